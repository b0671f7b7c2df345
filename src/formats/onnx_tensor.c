/* SPDX-License-Identifier: MIT
 * onnx_tensor.c - TensorProto -> cvs_tensor. The numbers stay where they are in the mapped file when they lie there as
 * little-endian elements at an address that fits their size; else they are copied once into the model's arena (varints,
 * odd addresses, 16-bit floats that are widened). What a tensor claims to hold must be in the file: nothing is allocated
 * from a shape alone. Side files are opened here and nowhere else, only beneath the model's folder.
 */
#include "onnx.h"

#include <sys/mman.h>

#include <stdlib.h>

#include "tensor/half.h"
#include "tensor/small.h"

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "views of little-endian files need a little-endian machine"
#endif

typedef struct tensor_fields {
    int64_t data_type, location;
    int rank;
    int64_t dim[CVS_MAX_RANK];
    const char *name;
    bool has_raw, has_segment, has_strings, has_side;
    cvi_pb_piece raw;
    int64_t offset;
    /* typed data: which field, how many numbers, how many fields they came in, and the only one if it was one */
    int64_t n_typed[12];
    int chunks[12];
    cvi_pb_piece chunk[12];
    const char *side_location, *side_offset, *side_length;
} tensor_fields;

cvs_dtype cvi_onnx_dtype(int64_t t) {
    bool held = (t >= CVS_F32 && t <= CVS_U64 && t != 8) || (t >= CVS_BF16 && t <= CVS_I2);
    return held ? (cvs_dtype)t : CVS_NONE;
}

cvs_dtype cvi_onnx_widened(const cvi_onnx *o, cvs_dtype dtype) {
    if (o->keep_types || (dtype != CVS_F16 && dtype != CVS_BF16)) {
        return dtype;
    }
    o->model->widened = true;
    return CVS_F32;
}

/* The field of typed data that holds elements of a type, and the width of its numbers on the wire (0: varint). */
static int typed_field(cvs_dtype dtype, int *width) {
    *width = 0;
    switch (dtype) {
    case CVS_F32:
        *width = 4;
        return 4;
    case CVS_F64:
        *width = 8;
        return 10;
    case CVS_I64:
        return 7;
    case CVS_U32:
    case CVS_U64:
        return 11;
    default:
        return 5; /* int32_data, bit patterns in the low bits */
    }
}

static cvs_status read_dims(const cvi_pb *r, const cvi_pb_field *f, tensor_fields *t) {
    cvi_pb_numbers numbers;
    bool more = true;
    uint64_t v = 0;
    CVI_TRY(cvi_pb_numbers_begin(r, f, 0, "TensorProto.dims", &numbers));
    for (;;) {
        CVI_TRY(cvi_pb_numbers_next(r, &numbers, &v, &more));
        if (!more) {
            return CVS_OK;
        }
        if (t->rank == CVS_MAX_RANK) {
            return cvi_at_offset(
                r->err,
                cvi_fail(r->err, CVS_E_UNSUPPORTED, "a tensor has more than %d dimensions", CVS_MAX_RANK),
                f->offset);
        }
        if ((int64_t)v < 0) {
            return cvi_at_offset(
                r->err,
                cvi_fail(r->err, CVS_E_FORMAT, "dimension %d of a tensor is %lld", t->rank, (long long)v),
                f->offset);
        }
        t->dim[t->rank++] = (int64_t)v;
    }
}

/* One key of external_data. The list of keys is closed; only those that a writer's cache adds are passed over. */
static cvs_status read_side_entry(cvi_onnx *o, const cvi_pb *r, const cvi_pb_field *f, tensor_fields *t) {
    const char *key, *value;
    CVI_TRY(cvi_pb_expect(r, f, CVI_PB_BYTES, "TensorProto.external_data"));
    CVI_TRY(cvi_onnx_parse_entry(o, r, &f->bytes, &key, &value));
    t->has_side = true;
    if (strcmp(key, "location") == 0) {
        t->side_location = value;
    } else if (strcmp(key, "offset") == 0) {
        t->side_offset = value;
    } else if (strcmp(key, "length") == 0) {
        t->side_length = value;
    } else if (strcmp(key, "checksum") != 0 && strncmp(key, "prepacked", 9) != 0 &&
               !(strcmp(key, "basepath") == 0 && !*value)) {
        return cvi_at_offset(
            o->err, cvi_fail(o->err, CVS_E_FORMAT, "external data has the unknown key \"%.60s\"", key),
            f->offset);
    }
    return CVS_OK;
}

static cvs_status typed_data(const cvi_pb *r, const cvi_pb_field *f, tensor_fields *t) {
    cvi_pb_numbers numbers;
    int width = f->number == 4 ? 4 : f->number == 10 ? 8 : 0;
    CVI_TRY(cvi_pb_numbers_begin(r, f, width, "TensorProto data", &numbers));
    t->n_typed[f->number] += cvi_pb_numbers_count(&numbers);
    t->chunks[f->number] += f->wire == CVI_PB_BYTES ? 1 : 2;
    t->chunk[f->number] = f->bytes;
    return CVS_OK;
}

static cvs_status read_field(cvi_onnx *o, const cvi_pb *r, const cvi_pb_field *f, tensor_fields *t) {
    switch (f->number) {
    case 1:
        return read_dims(r, f, t);
    case 2:
        CVI_TRY(cvi_pb_expect(r, f, CVI_PB_VARINT, "TensorProto.data_type"));
        t->data_type = (int64_t)f->value;
        return CVS_OK;
    case 3:
        t->has_segment = true;
        return CVS_OK;
    case 4:
    case 5:
    case 7:
    case 10:
    case 11:
        return typed_data(r, f, t);
    case 6:
        t->has_strings = true;
        return CVS_OK;
    case 8:
        return cvi_pb_string(r, o->work, f, o->model->limits.max_name_bytes, "TensorProto.name", &t->name);
    case 9:
        CVI_TRY(cvi_pb_expect(r, f, CVI_PB_BYTES, "TensorProto.raw_data"));
        t->raw = f->bytes;
        t->has_raw = true;
        return CVS_OK;
    case 13:
        return read_side_entry(o, r, f, t);
    case 14:
        CVI_TRY(cvi_pb_expect(r, f, CVI_PB_VARINT, "TensorProto.data_location"));
        t->location = (int64_t)f->value;
        return CVS_OK;
    default:
        return CVS_OK;
    }
}

/* ---- side files ---- */

static bool decimal(const char *s, int64_t *out) {
    int64_t v = 0;
    if (!s || !*s) {
        return false;
    }
    for (; *s; s++) {
        if (*s < '0' || *s > '9' || !cvi_mul(v, 10, &v) || !cvi_add(v, *s - '0', &v)) {
            return false;
        }
    }
    *out = v;
    return true;
}

static cvs_status open_side(cvi_onnx *o, const char *location, const cvi_onnx_side **out) {
    for (const cvi_onnx_side *s = o->sides; s; s = s->next) {
        if (strcmp(s->location, location) == 0) {
            *out = s;
            return CVS_OK;
        }
    }
    if (!o->folder) {
        return cvi_fail(
            o->err, CVS_E_UNSUPPORTED,
            "its weights are in another file (%.100s), which a model in memory cannot bring along", location);
    }
    cvi_onnx_side *side = cvi_onnx_alloc(o, 1, sizeof *side);
    if (!side) {
        return CVS_E_MEMORY;
    }
    cvi_file file = {0};
    cvs_status s = cvi_file_read_beneath(o->folder, location, &o->model->limits, &file, o->err);
    if (s != CVS_OK) { /* the byte that comes next is the model's, so the file has to be the model too */
        if (o->err) {
            o->err->file[0] = 0;
        }
        return cvi_at_attr(o->err, s, location);
    }
    *side = (cvi_onnx_side){.location = location, .data = file.data, .size = file.size, .next = o->sides};
    CVI_TRY(cvi_model_keep_file(o->model, &file, o->err));
    o->sides = side;
    *out = side;
    return CVS_OK;
}

/* Turns external data into `raw` bytes: offset and length are checked against the shape and the file. */
static cvs_status side_bytes(cvi_onnx *o, tensor_fields *t, size_t bytes) {
    int64_t offset = 0, length = (int64_t)bytes, end = 0;
    if (!t->side_location || !*t->side_location) {
        return cvi_fail(o->err, CVS_E_FORMAT, "external data names no file");
    }
    if ((t->side_offset && !decimal(t->side_offset, &offset)) ||
        (t->side_length && !decimal(t->side_length, &length)) || !cvi_add(offset, length, &end)) {
        return cvi_fail(o->err, CVS_E_FORMAT,
                        "external data has the offset \"%.40s\" and the length \"%.40s\"",
                        t->side_offset ? t->side_offset : "", t->side_length ? t->side_length : "");
    }
    if (length != (int64_t)bytes) {
        return cvi_fail(o->err, CVS_E_FORMAT, "external data has %lld bytes, the shape needs %lld",
                        (long long)length, (long long)bytes);
    }
    const cvi_onnx_side *side = NULL;
    CVI_TRY(open_side(o, t->side_location, &side));
    if (end > (int64_t)side->size) {
        return cvi_fail(o->err, CVS_E_FORMAT, "external data ends at byte %lld of %.100s, which has %lld",
                        (long long)end, t->side_location, (long long)side->size);
    }
    t->raw = (cvi_pb_piece){.data = side->data + offset, .size = bytes};
    t->has_raw = true;
    return CVS_OK;
}

/* ---- numbers ---- */

static void put_bits(uint8_t *p, size_t size, uint64_t v) {
    memcpy(p, &v, size); /* little-endian: the low bytes first */
}

/* Copies typed data that is packed, scattered over fields, or of another width than the element. */
static cvs_status copy_typed(const cvi_pb *message, uint32_t number, int width, size_t size, uint8_t *to) {
    cvi_pb r = *message;
    cvi_pb_field f;
    for (;;) {
        CVI_TRY(cvi_pb_next(&r, &f));
        if (!f.number) {
            return CVS_OK;
        }
        if (f.number != number) {
            continue;
        }
        cvi_pb_numbers numbers;
        uint64_t v = 0;
        bool more = true;
        CVI_TRY(cvi_pb_numbers_begin(&r, &f, width, "TensorProto data", &numbers));
        for (;;) {
            CVI_TRY(cvi_pb_numbers_next(&r, &numbers, &v, &more));
            if (!more) {
                break;
            }
            put_bits(to, size, v);
            to += size;
        }
    }
}

static void *arena_bytes(cvi_onnx *o, int64_t count, size_t size) {
    void *p = cvi_arena_alloc(o->model->arena, count, size);
    if (!p) {
        cvi_no_memory(o->err, (size_t)count * size);
    }
    return p;
}

/* Copies from a file in pieces and gives the file's pages back as it goes, so that weights which have to be copied are in
 * memory once, not twice. */
static void copy_out(const cvi_onnx *o, uint8_t *to, const uint8_t *from, size_t bytes) {
    const size_t piece = 4 << 20, page = 4096;
    const cvi_file *file = o->open ? o->open->file : NULL;
    bool mapped = file && file->mapped && from >= file->data && from < file->data + file->size;
    for (size_t at = 0; at < bytes; at += piece) {
        size_t n = CVI_MIN(piece, bytes - at);
        memcpy(to + at, from + at, n);
        uintptr_t first = ((uintptr_t)(from + at) + page - 1) / page * page;
        uintptr_t last = (uintptr_t)(from + at + n) / page * page;
        if (mapped && first < last) { /* a page size of another machine makes this a refused wish, no more */
            (void)madvise((void *)first, last - first, MADV_DONTNEED);
        }
    }
}

static cvs_status widen(cvi_onnx *o, cvs_tensor *t) {
    int64_t n = cvs_tensor_count(t);
    float *to = NULL;
    if (n > 0) {
        to = arena_bytes(o, n, sizeof *to);
        if (!to) {
            return CVS_E_MEMORY;
        }
    }
    const uint8_t *from = t->data;
    for (int64_t i = 0; i < n; i++) {
        uint16_t bits;
        memcpy(&bits, from + 2 * i, sizeof bits);
        to[i] = t->dtype == CVS_F16 ? cvi_half_to_float(bits) : cvi_bfloat_to_float(bits);
    }
    t->dtype = CVS_F32;
    t->data = to;
    t->bytes = (size_t)n * sizeof *to;
    o->model->widened = true;
    return CVS_OK;
}

/* A bool in a file may be any byte; ours are 0 or 1. */
static bool odd_bools(const cvs_tensor *t) {
    const uint8_t *p = t->data;
    for (size_t i = 0; t->dtype == CVS_BOOL && i < t->bytes; i++) {
        if (p[i] > 1) {
            return true;
        }
    }
    return false;
}

/* How many elements a file holds for count of ours: packed ones share a byte. */
static int64_t stored_count(cvs_dtype dtype, int64_t count) {
    return cvi_small_bits(dtype) > 0 ? cvi_small_bytes(dtype, count) : count;
}

/* Elements of less than 8 bits become a byte each. */
static cvs_status take_packed(cvi_onnx *o, const cvi_pb *message, const tensor_fields *f, int64_t count,
                              cvs_tensor *t) {
    const uint8_t *packed = f->raw.data;
    if (!f->has_raw) {
        uint8_t *copy = cvi_onnx_alloc(o, stored_count(t->dtype, count), 1);
        if (!copy) {
            return CVS_E_MEMORY;
        }
        CVI_TRY(copy_typed(message, 5, 0, 1, copy));
        packed = copy;
    }
    uint8_t *to = arena_bytes(o, count, 1);
    if (!to) {
        return CVS_E_MEMORY;
    }
    cvi_small_unpack(t->dtype, packed, count, to);
    t->data = to;
    return CVS_OK;
}

/* Sets t->data to the numbers, in place where they fit, else copied. */
static cvs_status take_numbers(cvi_onnx *o, const cvi_pb *message, const tensor_fields *f, int64_t count,
                               cvs_tensor *t) {
    size_t size = cvs_dtype_size(t->dtype);
    int width, field = typed_field(t->dtype, &width);
    const uint8_t *in_place = f->raw.data;
    if (!f->has_raw) {
        in_place = width && f->chunks[field] == 1 ? f->chunk[field].data : NULL;
    }
    bool widens = cvi_onnx_widened(o, t->dtype) != t->dtype;
    if (in_place && (widens || (uintptr_t)in_place % size == 0)) {
        t->data = (void *)(uintptr_t)in_place; /* never written to */
    } else {
        uint8_t *to = arena_bytes(o, count, size);
        if (!to) {
            return CVS_E_MEMORY;
        }
        if (in_place) {
            copy_out(o, to, in_place, t->bytes);
        } else {
            CVI_TRY(copy_typed(message, (uint32_t)field, width, size, to));
        }
        t->data = to;
    }
    if (odd_bools(t)) {
        uint8_t *to = arena_bytes(o, count, 1);
        if (!to) {
            return CVS_E_MEMORY;
        }
        for (int64_t i = 0; i < count; i++) {
            to[i] = ((const uint8_t *)t->data)[i] != 0;
        }
        t->data = to;
    }
    return widens ? widen(o, t) : CVS_OK;
}

static cvs_status check_type(cvi_onnx *o, const tensor_fields *f, cvs_tensor *t) {
    static const char *const names[] = {
        [8] = "string", [14] = "complex64", [15] = "complex128", [27] = "float6e2m3", [28] = "float6e3m2"};
    t->dtype = cvi_onnx_dtype(f->data_type);
    if (t->dtype != CVS_NONE) {
        return CVS_OK;
    }
    bool known = f->data_type > 0 && f->data_type < CVI_COUNT(names) && names[f->data_type];
    return known ? cvi_fail(o->err, CVS_E_UNSUPPORTED,
                            "tensor %.100s has elements of type %s, which is not supported", f->name,
                            names[f->data_type])
                 : cvi_fail(o->err, CVS_E_FORMAT, "tensor %.100s has the unknown element type %lld", f->name,
                            (long long)f->data_type);
}

static cvs_status build(cvi_onnx *o, const cvi_pb *message, tensor_fields *f, cvs_tensor *t) {
    CVI_TRY(check_type(o, f, t));
    t->rank = f->rank;
    memcpy(t->dim, f->dim, sizeof t->dim);
    int64_t count = cvs_tensor_count(t), bytes = 0;
    char text[200];
    if (count < 0 || !cvi_mul(count, (int64_t)cvs_dtype_size(t->dtype), &bytes)) {
        return cvi_fail(o->err, CVS_E_LIMIT, "tensor %.100s is too large: %s", f->name,
                        cvs_shape_text(t->rank, t->dim, text, sizeof text));
    }
    t->bytes = (size_t)bytes;
    if (f->has_segment) {
        return cvi_fail(o->err, CVS_E_UNSUPPORTED, "tensor %.100s comes in segments, which is not supported",
                        f->name);
    }
    int64_t stored = stored_count(t->dtype, count);
    size_t stored_bytes = (size_t)stored * cvs_dtype_size(t->dtype);
    if (f->location == 1) {
        CVI_TRY(side_bytes(o, f, stored_bytes));
    }
    int width, field = typed_field(t->dtype, &width);
    if (f->has_raw ? f->raw.size != stored_bytes : f->n_typed[field] != stored) {
        int64_t has = f->has_raw ? (int64_t)(f->raw.size / cvs_dtype_size(t->dtype)) : f->n_typed[field];
        int bits = cvi_small_bits(t->dtype);
        has *= bits > 0 ? 8 / bits : 1;
        return cvi_fail(o->err, CVS_E_FORMAT, "tensor %.100s holds %lld numbers, its shape %s needs %lld",
                        f->name, (long long)has, cvs_shape_text(t->rank, t->dim, text, sizeof text),
                        (long long)count);
    }
    if (count == 0) {
        t->dtype = cvi_onnx_widened(o, t->dtype);
        t->bytes = 0;
        return CVS_OK;
    }
    int bits = cvi_small_bits(t->dtype);
    return bits > 0 && bits < 8 ? take_packed(o, message, f, count, t)
                                : take_numbers(o, message, f, count, t);
}

cvs_status cvi_onnx_tensor(cvi_onnx *o, const cvi_pb *parent, const cvi_pb_piece *message, const char **name,
                           cvs_tensor *out) {
    cvi_pb r;
    tensor_fields f = {.name = "",
                       .offset = cvi_pb_offset(parent, message->data ? message->data : parent->base)};
    *out = (cvs_tensor){0};
    CVI_TRY(cvi_pb_enter(parent, message, &r));
    cvi_pb walk = r;
    for (;;) {
        cvi_pb_field field;
        CVI_TRY(cvi_pb_next(&walk, &field));
        if (!field.number) {
            break;
        }
        CVI_TRY(read_field(o, &walk, &field, &f));
    }
    if (name) {
        *name = f.name;
    }
    return cvi_at_offset(o->err, build(o, &r, &f, out), f.offset);
}

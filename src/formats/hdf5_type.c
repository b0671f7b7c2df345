/* SPDX-License-Identifier: MIT
 * hdf5_type.c - element types and dataspaces of HDF5, and attributes that hold text: fixed-length strings,
 * variable-length strings in the global heap, attributes in the header or in a fractal heap.
 */
#include "formats/hdf5_internal.h"

/* ---- element types ---- */

static cvs_dtype integer_type(int64_t size, bool has_sign) {
    switch (size) {
    case 1:
        return has_sign ? CVS_I8 : CVS_U8;
    case 2:
        return has_sign ? CVS_I16 : CVS_U16;
    case 4:
        return has_sign ? CVS_I32 : CVS_U32;
    case 8:
        return has_sign ? CVS_I64 : CVS_U64;
    default:
        return CVS_NONE;
    }
}

/* One of the IEEE layouts (or bfloat16), told by where its fields lie. */
static cvs_dtype float_type(cvi_h5_cursor *c, int64_t size, uint32_t bits) {
    static const struct {
        cvs_dtype dtype;
        int size, exponent_at, exponent, mantissa;
        uint32_t bias;
    } known[] = {{CVS_F16, 2, 10, 5, 10, 15},
                 {CVS_BF16, 2, 7, 8, 7, 127},
                 {CVS_F32, 4, 23, 8, 23, 127},
                 {CVS_F64, 8, 52, 11, 52, 1023}};
    int offset = (int)cvi_h5_uint(c, 2), precision = (int)cvi_h5_uint(c, 2);
    int exponent_at = (int)cvi_h5_uint(c, 1), exponent = (int)cvi_h5_uint(c, 1);
    int mantissa_at = (int)cvi_h5_uint(c, 1), mantissa = (int)cvi_h5_uint(c, 1);
    uint32_t bias = (uint32_t)cvi_h5_uint(c, 4);
    int sign_at = (int)(bits >> 8 & 0xff);
    for (int i = 0; i < CVI_COUNT(known); i++) {
        if (known[i].size == size && offset == 0 && precision == 8 * size && sign_at == precision - 1 &&
            mantissa_at == 0 && exponent_at == known[i].exponent_at && exponent == known[i].exponent &&
            mantissa == known[i].mantissa && bias == known[i].bias && (bits >> 4 & 3) == 2 && !(bits & 64)) {
            return known[i].dtype;
        }
    }
    return CVS_NONE;
}

cvs_status cvi_h5_read_type(cvi_h5_cursor *c, cvi_h5_type *out, cvs_error *err) {
    const char *what = "element type";
    int64_t at = c->pos;
    int head = (int)cvi_h5_uint(c, 1);
    uint32_t bits = (uint32_t)cvi_h5_uint(c, 3);
    *out = (cvi_h5_type){.kind = H5_OTHER, .class = head & 15, .size = (int64_t)cvi_h5_uint(c, 4)};
    CVI_TRY(cvi_h5_ok(c, what, err));
    if (head >> 4 < 1 || head >> 4 > 5) {
        return cvi_h5_version(what, head >> 4, at, c->f, err);
    }
    if (out->size <= 0) {
        cvs_status s = cvi_fail(err, CVS_E_FORMAT, "an element type has no size");
        return cvi_at_offset(err, s, c->f->start + at);
    }
    bool host_big = __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__;
    if (out->class == 8 && out->size <= 8) { /* enumeration (h5py's bool): its base type follows */
        head = (int)cvi_h5_uint(c, 1);
        bits = (uint32_t)cvi_h5_uint(c, 3);
        int64_t size = (int64_t)cvi_h5_uint(c, 4);
        out->class = (head & 15) == 0 && size == out->size ? 0 : 8;
    }
    if (out->class == 0) {
        int offset = (int)cvi_h5_uint(c, 2), precision = (int)cvi_h5_uint(c, 2);
        out->dtype = offset == 0 && precision == 8 * out->size ? integer_type(out->size, bits & 8) : CVS_NONE;
        out->kind = out->dtype != CVS_NONE ? H5_NUMBER : H5_OTHER;
        out->swap = out->size > 1 && (bool)(bits & 1) != host_big;
    } else if (out->class == 1) {
        out->dtype = float_type(c, out->size, bits);
        out->kind = out->dtype != CVS_NONE ? H5_NUMBER : H5_OTHER;
        out->swap = (bool)(bits & 1) != host_big;
    } else if (out->class == 3) {
        out->kind = H5_TEXT;
        out->space_padded = (bits & 15) == 2;
    } else if (out->class == 9 && (bits & 15) == 1) {
        out->kind = H5_TEXT_REFERENCE;
    }
    return cvi_h5_ok(c, what, err);
}

/* A dimension's limit: all bits set, or more than any file holds, is without end. */
static int64_t read_limit(cvi_h5_cursor *c) {
    int width = c->f->length_bytes;
    uint64_t v = cvi_h5_uint(c, width), all = width == 8 ? UINT64_MAX : (UINT64_C(1) << 8 * width) - 1;
    return v == all || v > INT64_MAX ? -1 : (int64_t)v;
}

cvs_status cvi_h5_read_space(cvi_h5_cursor *c, cvi_h5_space *out, cvs_error *err) {
    const char *what = "dataspace";
    int64_t at = c->pos;
    int version = (int)cvi_h5_uint(c, 1), rank = (int)cvi_h5_uint(c, 1);
    int flags = (int)cvi_h5_uint(c, 1);
    int type = (int)cvi_h5_uint(c, 1); /* reserved in version 1 */
    CVI_TRY(cvi_h5_ok(c, what, err));
    if (version != 1 && version != 2) {
        return cvi_h5_version(what, version, at, c->f, err);
    }
    cvi_h5_skip(c, version == 1 ? 4 : 0);
    if (rank > CVS_MAX_RANK) {
        cvs_status s =
            cvi_fail(err, CVS_E_UNSUPPORTED, "%d dimensions, at most %d are supported", rank, CVS_MAX_RANK);
        return cvi_at_offset(err, s, c->f->start + at);
    }
    *out = (cvi_h5_space){.null = version == 2 && type == 2, .rank = rank, .count = 1};
    for (int i = 0; i < rank; i++) {
        out->dim[i] = cvi_h5_length(c);
        CVI_TRY(cvi_h5_ok(c, what, err));
        if (!cvi_mul(out->count, out->dim[i], &out->count)) {
            cvs_status s = cvi_fail(err, CVS_E_FORMAT, "the dimensions of a data set are absurd");
            return cvi_at_offset(err, s, c->f->start + at);
        }
    }
    for (int i = 0; i < rank; i++) {
        out->limit[i] = flags & 1 ? read_limit(c) : out->dim[i];
        if (out->limit[i] >= 0 && out->limit[i] < out->dim[i]) {
            cvs_status s = cvi_fail(err, CVS_E_FORMAT, "the dimensions of a data set are absurd");
            return cvi_at_offset(err, s, c->f->start + at);
        }
    }
    if (out->null) {
        out->count = 0;
    }
    return cvi_h5_ok(c, what, err);
}

/* ---- attributes ---- */

typedef struct attribute {
    cvi_h5_type type;
    cvi_h5_space space;
    int64_t pos, size; /* of the values */
} attribute;

typedef struct search {
    cvi_h5 *f;
    const char *name;
    bool found;
    attribute a;
} search;

/* Reads one attribute if it has the wanted name. */
static cvs_status read_attribute(search *s, int64_t pos, int64_t size, cvs_error *err) {
    const char *what = "attribute";
    cvi_h5_cursor c = {.f = s->f, .pos = pos, .end = pos + size};
    int version = (int)cvi_h5_uint(&c, 1), flags = (int)cvi_h5_uint(&c, 1);
    int64_t bytes[3];
    for (int i = 0; i < 3; i++) {
        bytes[i] = (int64_t)cvi_h5_uint(&c, 2); /* name, type, space */
    }
    cvi_h5_skip(&c, version == 3 ? 1 : 0);
    CVI_TRY(cvi_h5_ok(&c, what, err));
    if (version < 1 || version > 3) {
        return cvi_h5_version(what, version, pos, s->f, err);
    }
    int64_t part[3];
    for (int i = 0; i < 3; i++) {
        part[i] = c.pos;
        cvi_h5_skip(&c, version == 1 ? (bytes[i] + 7) / 8 * 8 : bytes[i]);
    }
    CVI_TRY(cvi_h5_ok(&c, what, err));
    size_t n = strlen(s->name);
    const char *name = (const char *)s->f->data + part[0];
    if ((int64_t)n >= bytes[0] || memcmp(name, s->name, n + 1) != 0) {
        return CVS_OK;
    }
    if (version > 1 && flags & 3) {
        cvs_status e =
            cvi_fail(err, CVS_E_UNSUPPORTED, "committed types and shared header messages are not supported");
        return cvi_at_offset(err, e, s->f->start + pos);
    }
    s->a.pos = c.pos;
    s->a.size = c.end - c.pos;
    cvi_h5_cursor t = {.f = s->f, .pos = part[1], .end = part[1] + bytes[1]};
    CVI_TRY(cvi_h5_read_type(&t, &s->a.type, err));
    t = (cvi_h5_cursor){.f = s->f, .pos = part[2], .end = part[2] + bytes[2]};
    CVI_TRY(cvi_h5_read_space(&t, &s->a.space, err));
    s->found = true;
    return CVS_OK;
}

static cvs_status visit_attribute(void *context, int64_t pos, int64_t size, cvs_error *err) {
    return read_attribute(context, pos, size, err);
}

static cvs_status search_dense(search *s, const cvi_h5_message *m, cvs_error *err) {
    const char *what = "attribute information";
    cvi_h5_cursor c = {.f = s->f, .pos = m->pos, .end = m->pos + m->size};
    int version = (int)cvi_h5_uint(&c, 1), flags = (int)cvi_h5_uint(&c, 1);
    if (version != 0) {
        return cvi_h5_version(what, version, m->pos, s->f, err);
    }
    cvi_h5_skip(&c, flags & 1 ? 2 : 0);
    int64_t heap = cvi_h5_address(&c), tree = cvi_h5_address(&c);
    CVI_TRY(cvi_h5_ok(&c, what, err));
    return heap < 0 ? CVS_OK : cvi_h5_dense(s->f, heap, tree, 8, visit_attribute, s, err);
}

static cvs_status find_attribute(search *s, int64_t object, cvs_error *err) {
    cvi_h5_message *m = NULL;
    int64_t n = 0;
    CVI_TRY(cvi_h5_messages(s->f, object, &m, &n, err));
    for (int64_t i = 0; i < n && !s->found; i++) {
        if (m[i].type == H5_ATTRIBUTE && !(m[i].flags & 2)) {
            CVI_TRY(read_attribute(s, m[i].pos, m[i].size, err));
        } else if (m[i].type == H5_ATTRIBUTE_INFO) {
            CVI_TRY(search_dense(s, &m[i], err));
        }
    }
    return CVS_OK;
}

/* The bytes of one object of the global heap. */
static cvs_status global_object(cvi_h5 *f, int64_t collection, int64_t index, int64_t *pos, int64_t *size,
                                cvs_error *err) {
    const char *what = "global heap";
    cvi_h5_cursor c;
    CVI_TRY(cvi_h5_enter(f, collection, 8 + f->length_bytes, what, &c, err));
    CVI_TRY(cvi_h5_signature(&c, "GCOL", what, err));
    cvi_h5_skip(&c, 4);
    int64_t bytes = cvi_h5_length(&c), head = c.pos - collection;
    CVI_TRY(cvi_h5_enter(f, collection, bytes, what, &c, err));
    cvi_h5_skip(&c, head);
    while (c.end - c.pos >= 8 + f->length_bytes) {
        int64_t own = (int64_t)cvi_h5_uint(&c, 2);
        cvi_h5_skip(&c, 6);
        int64_t n = cvi_h5_length(&c);
        if (own == 0) { /* the free space at the end */
            break;
        }
        if (own == index && n >= 0 && n <= c.end - c.pos) {
            *pos = c.pos;
            *size = n;
            return CVS_OK;
        }
        cvi_h5_skip(&c, n < 0 || n > f->size ? -1 : (n + 7) / 8 * 8);
        CVI_TRY(cvi_h5_ok(&c, what, err));
    }
    cvs_status s = cvi_fail(err, CVS_E_FORMAT, "the global heap has no object %lld", (long long)index);
    return cvi_at_offset(err, s, f->start + collection);
}

/* One string of an attribute, its element at c. */
static cvs_status read_string(search *s, cvi_h5_cursor *c, const char **out, cvs_error *err) {
    cvi_h5 *f = s->f;
    int64_t pos = c->pos, n = s->a.type.size;
    if (s->a.type.kind == H5_TEXT_REFERENCE) {
        n = (int64_t)cvi_h5_uint(c, 4);
        int64_t collection = cvi_h5_address(c), index = (int64_t)cvi_h5_uint(c, 4), bytes = 0;
        CVI_TRY(cvi_h5_ok(c, "attribute", err));
        if (n > 0) {
            CVI_TRY(global_object(f, collection, index, &pos, &bytes, err));
        }
        if (n > bytes) {
            cvs_status e = cvi_fail(err, CVS_E_FORMAT, "a string declares %lld bytes, %lld are stored",
                                    (long long)n, (long long)bytes);
            return cvi_at_offset(err, e, f->start + c->pos);
        }
    } else {
        cvi_h5_skip(c, n);
    }
    const char *text = (const char *)f->data + pos;
    const char *end = n > 0 ? memchr(text, 0, (size_t)n) : NULL;
    n = end ? end - text : n;
    while (s->a.type.space_padded && n > 0 && text[n - 1] == ' ') {
        n--;
    }
    char *copy = cvi_arena_strn(f->arena, n > 0 ? text : "", (size_t)n);
    *out = copy;
    return copy ? CVS_OK : cvi_no_memory(err, (size_t)n + 1);
}

cvs_status cvi_h5_attribute(cvi_h5 *f, int64_t object, const char *name, int64_t *n, const char ***out,
                            cvs_error *err) {
    *n = -1;
    *out = NULL;
    search s = {.f = f, .name = name};
    CVI_TRY(find_attribute(&s, object, err));
    if (!s.found) {
        return CVS_OK;
    }
    int64_t count = s.a.space.count, element = s.a.type.size, bytes = 0;
    bool reference = s.a.type.kind == H5_TEXT_REFERENCE;
    if (count > 0 && !reference && s.a.type.kind != H5_TEXT) {
        cvs_status e = cvi_fail(err, CVS_E_FORMAT, "the attribute \"%.60s\" should be text", name);
        return cvi_at_offset(err, e, f->start + s.a.pos);
    }
    cvi_h5_cursor c = {.f = f, .pos = s.a.pos, .end = s.a.pos + s.a.size};
    element = reference ? 8 + f->offset_bytes : element;
    if (count > 0 && (!cvi_mul(count, element, &bytes) || bytes > s.a.size)) {
        cvs_status e =
            cvi_fail(err, CVS_E_FORMAT, "the attribute \"%.60s\" declares more values than it stores", name);
        return cvi_at_offset(err, e, f->start + s.a.pos);
    }
    const char **list = cvi_arena_alloc(f->arena, count + 1, sizeof *list);
    if (!list) {
        return cvi_no_memory(err, (size_t)(count + 1) * sizeof *list);
    }
    for (int64_t i = 0; i < count; i++) {
        CVI_TRY(read_string(&s, &c, &list[i], err));
    }
    *n = count;
    *out = list;
    return CVS_OK;
}

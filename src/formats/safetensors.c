/* SPDX-License-Identifier: MIT
 * safetensors.c - reads and writes .safetensors; see safetensors.h. Element types that we have no use for (complex) are
 * refused by name.
 */
#include "formats/safetensors.h"

#include <stdlib.h>

#define MAX_HEADER ((uint64_t)100000000) /* the reference reader's bound */

static const struct {
    const char *name;
    cvs_dtype dtype;
} types[] = {{"BOOL", CVS_BOOL},     {"U8", CVS_U8},
             {"I8", CVS_I8},         {"I16", CVS_I16},
             {"U16", CVS_U16},       {"F16", CVS_F16},
             {"BF16", CVS_BF16},     {"I32", CVS_I32},
             {"U32", CVS_U32},       {"F32", CVS_F32},
             {"F64", CVS_F64},       {"I64", CVS_I64},
             {"U64", CVS_U64},       {"F8_E4M3", CVS_F8E4M3FN},
             {"F8_E5M2", CVS_F8E5M2}};

static const char *type_name(cvs_dtype dtype) {
    for (int i = 0; i < CVI_COUNT(types); i++) {
        if (types[i].dtype == dtype) {
            return types[i].name;
        }
    }
    return NULL;
}

/* ---- reading -------------------------------------------------------------------------------------------- */

typedef struct entry {
    const char *name;
    cvs_tensor t;
    int64_t begin, end;
} entry;

typedef struct reading {
    const uint8_t *bytes; /* the numbers */
    int64_t size;         /* of them */
    cvi_safetensors *out;
    entry *entries;
    int64_t max_name;
    cvs_error *err;
} reading;

static cvs_status bad(const reading *r, const char *name, cvs_status s) {
    return cvi_at_attr(r->err, s, name);
}

static cvs_status read_shape(const reading *r, const char *name, const json_t *shape, entry *e) {
    if (!json_is_array(shape) || json_array_size(shape) > CVS_MAX_RANK) {
        return bad(r, name,
                   cvi_fail(r->err, CVS_E_FORMAT, "a shape of at most %d sizes expected", CVS_MAX_RANK));
    }
    e->t.rank = (int)json_array_size(shape);
    for (int i = 0; i < e->t.rank; i++) {
        const json_t *d = json_array_get(shape, (size_t)i);
        if (!json_is_integer(d) || json_integer_value(d) < 0) {
            return bad(r, name, cvi_fail(r->err, CVS_E_FORMAT, "a size must be a whole number from 0"));
        }
        e->t.dim[i] = json_integer_value(d);
    }
    return CVS_OK;
}

static cvs_status read_entry(const reading *r, const char *name, const json_t *value, entry *e) {
    const char *type = cvi_json_string(value, "dtype", "");
    const json_t *offsets = json_object_get(value, "data_offsets");
    for (int i = 0; i < CVI_COUNT(types); i++) {
        if (strcmp(types[i].name, type) == 0) {
            e->t.dtype = types[i].dtype;
        }
    }
    if (e->t.dtype == CVS_NONE) {
        return bad(r, name, cvi_fail(r->err, CVS_E_UNSUPPORTED, "element type \"%.40s\" is not read", type));
    }
    if (json_object_size(value) != 3) {
        return bad(
            r, name,
            cvi_fail(r->err, CVS_E_FORMAT, "a tensor has dtype, shape and data_offsets, nothing else"));
    }
    CVI_TRY(read_shape(r, name, json_object_get(value, "shape"), e));
    const json_t *a = json_array_get(offsets, 0), *b = json_array_get(offsets, 1);
    if (json_array_size(offsets) != 2 || !json_is_integer(a) || !json_is_integer(b)) {
        return bad(r, name, cvi_fail(r->err, CVS_E_FORMAT, "data_offsets must be two whole numbers"));
    }
    e->begin = json_integer_value(a);
    e->end = json_integer_value(b);
    int64_t count = cvs_tensor_count(&e->t), bytes = 0;
    bool fits = count >= 0 && cvi_mul(count, (int64_t)cvs_dtype_size(e->t.dtype), &bytes);
    if (!fits || e->begin < 0 || e->end < e->begin || e->end > r->size || bytes != e->end - e->begin) {
        return bad(r, name,
                   cvi_fail(r->err, CVS_E_FORMAT,
                            "the shape needs %lld bytes, data_offsets are %lld to %lld of %lld",
                            (long long)bytes, (long long)e->begin, (long long)e->end, (long long)r->size));
    }
    e->t.bytes = (size_t)bytes;
    e->name = cvi_arena_strn(r->out->arena, name, strlen(name));
    return e->name ? CVS_OK : cvi_no_memory(r->err, strlen(name));
}

static cvs_status read_metadata(const reading *r, json_t *value) {
    cvi_safetensors *out = r->out;
    const char *key;
    json_t *text;
    if (!json_is_object(value) || out->pairs) {
        return cvi_fail(r->err, CVS_E_FORMAT, "__metadata__ must hold texts only");
    }
    out->pairs = cvi_arena_alloc(out->arena, 2 * (int64_t)json_object_size(value) + 1, sizeof *out->pairs);
    if (!out->pairs) {
        return cvi_no_memory(r->err, json_object_size(value));
    }
    json_object_foreach(value, key, text) {
        if (!json_is_string(text)) {
            return cvi_fail(r->err, CVS_E_FORMAT, "__metadata__ must hold texts only");
        }
        const char *k = cvi_arena_strn(out->arena, key, strlen(key));
        const char *v = cvi_arena_strn(out->arena, json_string_value(text), json_string_length(text));
        if (!k || !v) {
            return cvi_no_memory(r->err, strlen(key));
        }
        out->pairs[2 * out->n_pairs] = k;
        out->pairs[2 * out->n_pairs++ + 1] = v;
    }
    return CVS_OK;
}

static int by_offset(const void *a, const void *b) {
    const entry *x = a, *y = b;
    if (x->begin != y->begin) {
        return x->begin < y->begin ? -1 : 1;
    }
    if (x->end != y->end) {
        return x->end < y->end ? -1 : 1;
    }
    return strcmp(x->name, y->name);
}

/* Numbers that do not lie at a multiple of their size are copied. */
static cvs_status place(const reading *r, entry *e) {
    const uint8_t *at = r->bytes + e->begin;
    cvi_safetensor *one = &r->out->list[r->out->n++];
    one->name = e->name;
    one->t = e->t;
    if (e->t.bytes == 0) {
        return CVS_OK;
    }
    one->t.data = (void *)(uintptr_t)at;
    if ((uintptr_t)at % cvs_dtype_size(e->t.dtype) != 0) {
        one->t.data = cvi_arena_raw(r->out->arena, (int64_t)e->t.bytes);
        if (!one->t.data) {
            return cvi_no_memory(r->err, e->t.bytes);
        }
        memcpy(one->t.data, at, e->t.bytes);
    }
    return CVS_OK;
}

static cvs_status read_header(reading *r, json_t *header) {
    const char *name;
    json_t *value;
    int n = 0;
    json_object_foreach(header, name, value) {
        if (strcmp(name, "__metadata__") == 0) {
            CVI_TRY(read_metadata(r, value));
            continue;
        }
        if ((int64_t)strlen(name) > r->max_name) {
            return cvi_fail(r->err, CVS_E_LIMIT, "a name is longer than %lld bytes, the limit",
                            (long long)r->max_name);
        }
        CVI_TRY(read_entry(r, name, value, &r->entries[n]));
        n++;
    }
    if (n > 1) {
        qsort(r->entries, (size_t)n, sizeof *r->entries, by_offset);
    }
    int64_t at = 0;
    for (int i = 0; i < n; i++) {
        if (r->entries[i].begin != at) {
            return bad(r, r->entries[i].name,
                       cvi_fail(r->err, CVS_E_FORMAT,
                                "its numbers begin at %lld, %lld expected: a hole or an overlap",
                                (long long)r->entries[i].begin, (long long)at));
        }
        at = r->entries[i].end;
        CVI_TRY(place(r, &r->entries[i]));
    }
    return at == r->size ? CVS_OK
                         : cvi_fail(r->err, CVS_E_FORMAT, "the tensors end at byte %lld of %lld",
                                    (long long)at, (long long)r->size);
}

static cvs_status parse(const uint8_t *data, size_t size, const cvs_limits *limits, cvi_safetensors *out,
                        cvs_error *err) {
    uint64_t length = 0;
    for (int i = 0; size >= 8 && i < 8; i++) {
        length |= (uint64_t)data[i] << (8 * i);
    }
    if (size < 8 || length > MAX_HEADER || length > size - 8) {
        return cvi_at_offset(
            err,
            cvi_fail(err, CVS_E_FORMAT, "the header's length does not fit into a file of %zu bytes", size),
            0);
    }
    if (length < 2 || data[8] != '{') {
        return cvi_at_offset(err, cvi_fail(err, CVS_E_FORMAT, "the header must begin with a brace"), 8);
    }
    json_t *header = NULL;
    CVI_TRY(cvi_json_parse((const char *)data + 8, (size_t)length, &header, err));
    reading r = {.bytes = data + 8 + length,
                 .size = (int64_t)(size - 8 - length),
                 .out = out,
                 .max_name = cvs_limits_default(limits).max_name_bytes,
                 .err = err};
    size_t n = json_object_size(header);
    out->arena = cvi_arena_new(cvs_limits_default(limits).max_memory_bytes);
    r.entries = cvi_calloc(n + 1, sizeof *r.entries);
    out->list = out->arena ? cvi_arena_alloc(out->arena, (int64_t)n + 1, sizeof *out->list) : NULL;
    cvs_status s =
        !r.entries || !out->list ? cvi_no_memory(err, n * sizeof *r.entries) : read_header(&r, header);
    cvi_free(r.entries);
    json_decref(header);
    return s;
}

cvs_status cvi_safetensors_parse(const uint8_t *data, size_t size, const cvs_limits *limits,
                                 cvi_safetensors *out, cvs_error *err) {
    *out = (cvi_safetensors){0};
    cvs_status s = parse(data, size, limits, out, err);
    if (s != CVS_OK) {
        cvi_safetensors_free(out);
    }
    return s;
}

cvs_status cvi_safetensors_read(const char *path, const cvs_limits *limits, cvi_safetensors *out,
                                cvs_error *err) {
    cvi_file file = {0};
    *out = (cvi_safetensors){0};
    CVI_TRY(cvi_file_read(path, limits, &file, err));
    cvs_status s = cvi_safetensors_parse(file.data, file.size, limits, out, err);
    if (s != CVS_OK) {
        cvi_file_close(&file);
        return cvi_at_file(err, s, path);
    }
    out->file = file;
    return CVS_OK;
}

void cvi_safetensors_free(cvi_safetensors *s) {
    cvi_arena_free(s->arena);
    cvi_file_close(&s->file);
    *s = (cvi_safetensors){0};
}

const cvs_tensor *cvi_safetensors_find(const cvi_safetensors *s, const char *name) {
    for (int i = 0; i < s->n; i++) {
        if (strcmp(s->list[i].name, name) == 0) {
            return &s->list[i].t;
        }
    }
    return NULL;
}

/* ---- writing -------------------------------------------------------------------------------------------- */

static int by_size_then_name(const void *a, const void *b) {
    const cvi_safetensor *x = a, *y = b;
    size_t sx = cvs_dtype_size(x->t.dtype), sy = cvs_dtype_size(y->t.dtype);
    return sx != sy ? (sx > sy ? -1 : 1) : strcmp(x->name, y->name);
}

/* "text" of JSON; false = out of memory or not UTF-8. */
static bool put_text(cvi_buf *b, const char *text) {
    json_t *value = json_string(text);
    char *quoted = value ? json_dumps(value, JSON_ENCODE_ANY) : NULL;
    cvi_buf_puts(b, quoted ? quoted : "");
    bool done = quoted != NULL;
    free(quoted); /* jansson's own memory */
    json_decref(value);
    return done;
}

static cvs_status make_header(const cvi_safetensor *list, int n, const char *const *pairs, int n_pairs,
                              cvi_buf *b, cvs_error *err) {
    int64_t at = 0;
    bool good = true;
    cvi_buf_add(b, "\0\0\0\0\0\0\0\0", 8);
    cvi_buf_puts(b, n_pairs ? "{\"__metadata__\":{" : "{");
    for (int i = 0; i < n_pairs; i++) {
        cvi_buf_puts(b, i ? "," : "");
        good = good && put_text(b, pairs[2 * i]);
        cvi_buf_puts(b, ":");
        good = good && put_text(b, pairs[2 * i + 1]);
    }
    cvi_buf_puts(b, n_pairs ? "}" : "");
    for (int i = 0; i < n; i++) {
        const cvs_tensor *t = &list[i].t;
        const char *type = type_name(t->dtype);
        if (!type) {
            return cvi_fail(err, CVS_E_UNSUPPORTED, "element type \"%.40s\" cannot be written",
                            cvs_dtype_name(t->dtype));
        }
        cvi_buf_puts(b, i || n_pairs ? "," : "");
        good = good && put_text(b, list[i].name);
        cvi_buf_printf(b, ":{\"dtype\":\"%s\",\"shape\":[", type);
        for (int d = 0; d < t->rank; d++) {
            cvi_buf_printf(b, "%s%lld", d ? "," : "", (long long)t->dim[d]);
        }
        cvi_buf_printf(b, "],\"data_offsets\":[%lld,%lld]}", (long long)at,
                       (long long)at + (long long)t->bytes);
        at += (int64_t)t->bytes;
    }
    cvi_buf_puts(b, "}");
    while (!b->failed && b->size % 8) {
        cvi_buf_puts(b, " ");
    }
    for (int i = 0; !b->failed && i < 8; i++) {
        b->data[i] = (char)((uint64_t)(b->size - 8) >> (8 * i));
    }
    return b->failed || !good ? cvi_no_memory(err, b->size) : CVS_OK;
}

static cvs_status stream(const cvi_safetensor *list, int n, const cvi_buf *header, cvi_writer *w,
                         cvs_error *err) {
    CVI_TRY(cvi_writer_add(w, header->data, header->size, err));
    for (int i = 0; i < n; i++) {
        if (list[i].t.bytes > 0) {
            CVI_TRY(cvi_writer_add(w, list[i].t.data, list[i].t.bytes, err));
        }
    }
    return CVS_OK;
}

cvs_status cvi_safetensors_write(const char *path, const cvi_safetensor *list, int n,
                                 const char *const *pairs, int n_pairs, cvs_error *err) {
    cvi_buf header = {0};
    cvi_writer w = {0};
    cvi_safetensor *sorted = cvi_calloc((size_t)n + 1, sizeof *sorted);
    if (!sorted) {
        return cvi_no_memory(err, (size_t)n * sizeof *sorted);
    }
    if (n > 0) {
        memcpy(sorted, list, (size_t)n * sizeof *sorted);
        qsort(sorted, (size_t)n, sizeof *sorted, by_size_then_name);
    }
    cvs_status s = make_header(sorted, n, pairs, n_pairs, &header, err);
    if (s == CVS_OK) {
        s = cvi_writer_begin(&w, path, err);
    }
    if (s == CVS_OK) {
        s = stream(sorted, n, &header, &w, err);
        if (s != CVS_OK) {
            cvi_writer_abort(&w);
        } else {
            s = cvi_writer_commit(&w, err);
        }
    }
    cvi_buf_free(&header);
    cvi_free(sorted);
    return s == CVS_OK ? s : cvi_at_file(err, s, path);
}

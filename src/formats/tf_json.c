/* SPDX-License-Identifier: MIT
 * tf_json.c - GraphDef as TensorFlow.js writes it: protobuf's JSON, bytes in base64, 64-bit numbers as texts, element types by name.
 */
#include "formats/tf_graph.h"

#include <stdlib.h>

#include "ops/op.h"

static int digit(char c) {
    return c >= 'A' && c <= 'Z'   ? c - 'A'
           : c >= 'a' && c <= 'z' ? c - 'a' + 26
           : c >= '0' && c <= '9' ? c - '0' + 52
           : c == '+' || c == '-' ? 62
           : c == '/' || c == '_' ? 63
                                  : -1;
}

/* Text of base64 (or JSON's list of numbers) into the arena; NULL: neither. */
static uint8_t *base64(cvi_arena *a, const json_t *value, size_t *size) {
    *size = 0;
    if (json_is_array(value)) { /* older converters list the bytes */
        uint8_t *out = cvi_arena_alloc(a, (int64_t)json_array_size(value) + 1, 1);
        for (size_t i = 0; out && i < json_array_size(value); i++) {
            out[(*size)++] = (uint8_t)json_integer_value(json_array_get(value, i));
        }
        return out;
    }
    if (!json_is_string(value)) {
        return NULL;
    }
    const char *s = json_string_value(value);
    uint8_t *out = cvi_arena_alloc(a, (int64_t)json_string_length(value) + 1, 1);
    uint32_t bits = 0;
    int have = 0;
    for (; out && *s && *s != '='; s++) {
        int d = digit(*s);
        if (d < 0) {
            return NULL;
        }
        bits = bits << 6 | (uint32_t)d;
        have += 6;
        if (have >= 8) {
            have -= 8;
            out[(*size)++] = (uint8_t)(bits >> have & 255);
        }
    }
    return out;
}

static int64_t whole(const json_t *v, int64_t otherwise) {
    return json_is_integer(v)  ? json_integer_value(v)
           : json_is_string(v) ? strtoll(json_string_value(v), NULL, 10)
           : json_is_real(v) && json_real_value(v) < 9e18 && json_real_value(v) > -9e18
               ? (int64_t)json_real_value(v)
           : json_is_boolean(v) ? json_is_true(v)
                                : otherwise;
}

/* "Infinity", "-Infinity", "NaN" are texts. */
static double number(const json_t *v) {
    return json_is_string(v) ? strtod(json_string_value(v), NULL) : json_number_value(v);
}

enum { FLOAT = 1, DOUBLE = 2, INT32 = 3, INT64 = 9 };

static int64_t type_number(const json_t *v) {
    static const char *const names[] = {
        "DT_INVALID",    "DT_FLOAT",  "DT_DOUBLE",    "DT_INT32",  "DT_UINT8",   "DT_INT16",
        "DT_INT8",       "DT_STRING", "DT_COMPLEX64", "DT_INT64",  "DT_BOOL",    "DT_QINT8",
        "DT_QUINT8",     "DT_QINT32", "DT_BFLOAT16",  "DT_QINT16", "DT_QUINT16", "DT_UINT16",
        "DT_COMPLEX128", "DT_HALF",   "DT_RESOURCE"};
    for (int i = 0; json_is_string(v) && i < CVI_COUNT(names); i++) {
        if (strcmp(names[i], json_string_value(v)) == 0) {
            return i;
        }
    }
    return json_is_integer(v) ? json_integer_value(v) : 0;
}

typedef struct reading {
    cvi_arena *a;
    cvs_error *err;
    const cvs_limits *limits;
} reading;

static cvs_status read_shape(const reading *r, const json_t *shape, int *rank, int64_t *dim) {
    const json_t *dims = json_object_get(shape, "dim");
    *rank = (int)CVI_MIN(json_array_size(dims), 1000);
    if (*rank > CVS_MAX_RANK) {
        return cvi_fail(r->err, CVS_E_UNSUPPORTED, "a tensor of rank %d, at most %d is supported", *rank,
                        CVS_MAX_RANK);
    }
    for (int i = 0; i < *rank; i++) {
        int64_t n = whole(json_object_get(json_array_get(dims, (size_t)i), "size"), 0);
        dim[i] = n < -1 ? -1 : n;
    }
    if (json_is_true(json_object_get(shape, "unknownRank"))) {
        *rank = -1;
    }
    return CVS_OK;
}

/* A text of base64 as a terminated text. */
static cvs_status read_text(const reading *r, const json_t *v, const char **out) {
    size_t n = 0;
    const uint8_t *bytes = base64(r->a, v, &n);
    bool good = bytes && cvi_utf8_valid(bytes, n);
    *out = cvi_arena_strn(r->a, good ? (const char *)bytes : "", good ? n : 0);
    return *out ? CVS_OK : cvi_no_memory(r->err, n);
}

static cvs_status read_values(const reading *r, const json_t *json, cvs_tensor *t, int64_t count) {
    static const char *const lists[] = {"floatVal", "intVal", "doubleVal", "int64Val", "boolVal"};
    const json_t *list = NULL;
    for (int i = 0; i < CVI_COUNT(lists) && !list; i++) {
        list = json_object_get(json, lists[i]);
        list = json_is_array(list) && json_array_size(list) > 0 ? list : NULL;
    }
    if (!list && count > 0) {
        return CVS_OK; /* the numbers are in the shards */
    }
    size_t n = json_array_size(list);
    if ((int64_t)n > count) {
        return cvi_fail(r->err, CVS_E_FORMAT, "a tensor has more numbers than its shape of %lld",
                        (long long)count);
    }
    t->data = cvi_arena_alloc(r->a, CVI_MAX(count, 1), CVI_MAX(cvs_dtype_size(t->dtype), 1));
    if (!t->data) {
        return cvi_no_memory(r->err, (size_t)count);
    }
    for (int64_t i = 0; i < count; i++) { /* the last one is repeated */
        const json_t *v = json_array_get(list, CVI_MIN((size_t)i, n - 1));
        if (t->dtype == CVS_I64) {
            ((int64_t *)t->data)[i] = whole(v, 0);
        } else {
            cvi_put(t, i, json_is_boolean(v) ? json_is_true(v) : number(v));
        }
    }
    return CVS_OK;
}

static cvs_status read_tensor(const reading *r, const json_t *json, tf_attr *a) {
    const json_t *content = json_object_get(json, "tensorContent");
    int64_t type = type_number(json_object_get(json, "dtype"));
    cvs_tensor t = {.dtype = cvi_tf_type(type == INT64 && !content ? INT32 : type)};
    int64_t need = 0;
    size_t have = 0;
    CVI_TRY(read_shape(r, json_object_get(json, "tensorShape"), &t.rank, t.dim));
    if (t.dtype == CVS_NONE) {
        return CVS_OK;
    }
    int64_t count = t.rank >= 0 ? cvs_tensor_count(&t) : -1;
    if (count < 0 || !cvi_mul(count, (int64_t)cvs_dtype_size(t.dtype), &need)) {
        return cvi_fail(r->err, CVS_E_FORMAT, "a weight has an impossible shape");
    }
    uint8_t *bytes = content ? base64(r->a, content, &have) : NULL;
    if (bytes && have > 0) {
        if ((int64_t)have != need) {
            char shape[200];
            return cvi_fail(r->err, CVS_E_FORMAT, "a tensor of shape %s has %lld bytes",
                            cvs_shape_text(t.rank, t.dim, shape, sizeof shape), (long long)have);
        }
        t.data = bytes;
    } else {
        CVI_TRY(read_values(r, json, &t, count));
    }
    t.bytes = (size_t)need;
    cvs_tensor *kept = cvi_arena_alloc(r->a, 1, sizeof *kept);
    if (!kept) {
        return cvi_no_memory(r->err, sizeof *kept);
    }
    *kept = t;
    a->tensor = kept;
    return CVS_OK;
}

static cvs_status read_list(const reading *r, const json_t *list, tf_attr *a) {
    const json_t *texts = json_object_get(list, "s"), *ints = json_object_get(list, "i");
    const json_t *types = json_object_get(list, "type");
    size_t n = json_array_size(texts);
    if (n > 0) {
        const char **s = cvi_arena_alloc(r->a, (int64_t)n, sizeof *s);
        if (!s) {
            return cvi_no_memory(r->err, n * sizeof *s);
        }
        for (size_t i = 0; i < n; i++) {
            CVI_TRY(read_text(r, json_array_get(texts, i), &s[i]));
        }
        a->strings = s;
        a->n = (int)n;
        return CVS_OK;
    }
    bool by_type = json_array_size(ints) == 0 && json_array_size(types) > 0;
    const json_t *numbers = by_type ? types : ints;
    n = json_array_size(numbers);
    int64_t *out = cvi_arena_alloc(r->a, CVI_MAX((int64_t)n, 1), sizeof *out);
    if (!out) {
        return cvi_no_memory(r->err, n * sizeof *out);
    }
    for (size_t i = 0; i < n; i++) {
        out[i] = by_type ? type_number(json_array_get(numbers, i)) : whole(json_array_get(numbers, i), 0);
    }
    a->ints = out;
    a->n = (int)n;
    return CVS_OK;
}

static cvs_status read_attr(const reading *r, const char *name, const json_t *v, tf_attr *a) {
    const json_t *s = json_object_get(v, "s"), *f = json_object_get(v, "f"), *i = json_object_get(v, "i");
    const json_t *b = json_object_get(v, "b"), *type = json_object_get(v, "type");
    const json_t *shape = json_object_get(v, "shape"), *tensor = json_object_get(v, "tensor");
    const json_t *list = json_object_get(v, "list"), *func = json_object_get(v, "func");
    a->name = cvi_arena_strn(r->a, name, strlen(name));
    if (!a->name) {
        return cvi_no_memory(r->err, strlen(name));
    }
    if (s) {
        CVI_TRY(read_text(r, s, &a->s));
    }
    if (func) {
        const char *fn = cvi_json_string(func, "name", "");
        a->s = cvi_arena_strn(r->a, fn, strlen(fn));
    }
    int64_t t = type_number(type);
    t = t == DOUBLE ? FLOAT : t == INT64 ? INT32 : t; /* TensorFlow.js has no others */
    a->i = type ? t : whole(i ? i : b, 0);
    a->f = f ? number(f) : (double)a->i;
    if (shape) {
        a->has_shape = true;
        CVI_TRY(read_shape(r, shape, &a->rank, a->dim));
    }
    CVI_TRY(tensor ? read_tensor(r, tensor, a) : CVS_OK);
    return list ? read_list(r, list, a) : CVS_OK;
}

static cvs_status copy_name(const reading *r, const json_t *v, const char **out) {
    const char *s = json_is_string(v) ? json_string_value(v) : "";
    size_t n = strlen(s);
    if ((int64_t)n > r->limits->max_name_bytes) {
        return cvi_fail(r->err, CVS_E_LIMIT, "a name has %lld bytes, the limit is %lld", (long long)n,
                        (long long)r->limits->max_name_bytes);
    }
    *out = cvi_arena_strn(r->a, s, n);
    return *out ? CVS_OK : cvi_no_memory(r->err, n);
}

static cvs_status read_node(const reading *r, const json_t *json, tf_body *body) {
    tf_node *n = cvi_tf_add_node(r->a, body);
    const json_t *inputs = json_object_get(json, "input"), *attrs = json_object_get(json, "attr");
    if (!n) {
        return cvi_no_memory(r->err, sizeof *n);
    }
    *n = (tf_node){0};
    CVI_TRY(copy_name(r, json_object_get(json, "name"), &n->name));
    CVI_TRY(copy_name(r, json_object_get(json, "op"), &n->op));
    n->in = cvi_arena_alloc(r->a, (int64_t)json_array_size(inputs) + 1, sizeof *n->in);
    n->attr = cvi_arena_alloc(r->a, (int64_t)json_object_size(attrs) + 1, sizeof *n->attr);
    if (!n->in || !n->attr) {
        return cvi_no_memory(r->err, 0);
    }
    for (size_t i = 0; i < json_array_size(inputs); i++) {
        CVI_TRY(copy_name(r, json_array_get(inputs, i), &n->in[n->n_in]));
        n->n_in += n->in[n->n_in][0] != '^';
    }
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)attrs, key, value) {
        cvs_status s = read_attr(r, key, value, &n->attr[n->n_attr++]);
        CVI_TRY(cvi_at_node(r->err, s, n->name, n->op));
    }
    return CVS_OK;
}

static cvs_status read_names(const reading *r, const json_t *list, const char ***names, int *n) {
    *names = cvi_arena_alloc(r->a, (int64_t)json_array_size(list) + 1, sizeof **names);
    if (!*names) {
        return cvi_no_memory(r->err, 0);
    }
    for (size_t i = 0; i < json_array_size(list); i++) {
        CVI_TRY(copy_name(r, json_object_get(json_array_get(list, i), "name"), &(*names)[(*n)++]));
    }
    return CVS_OK;
}

static cvs_status read_function(const reading *r, const json_t *json, tf_graphdef *g) {
    const json_t *sign = json_object_get(json, "signature"), *nodes = json_object_get(json, "nodeDef");
    tf_function *fn = cvi_tf_add_function(r->a, g);
    if (!fn) {
        return cvi_no_memory(r->err, sizeof *fn);
    }
    *fn = (tf_function){0};
    CVI_TRY(copy_name(r, json_object_get(sign, "name"), &fn->name));
    CVI_TRY(read_names(r, json_object_get(sign, "inputArg"), &fn->args, &fn->n_args));
    CVI_TRY(read_names(r, json_object_get(sign, "outputArg"), &fn->rets, &fn->n_rets));
    for (size_t i = 0; i < json_array_size(nodes); i++) {
        CVI_TRY(read_node(r, json_array_get(nodes, i), &fn->body));
    }
    fn->ret_from = cvi_arena_alloc(r->a, fn->n_rets + 1, sizeof *fn->ret_from);
    if (!fn->ret_from) {
        return cvi_no_memory(r->err, 0);
    }
    for (int i = 0; i < fn->n_rets; i++) {
        CVI_TRY(copy_name(r, json_object_get(json_object_get(json, "ret"), fn->rets[i]), &fn->ret_from[i]));
    }
    return CVS_OK;
}

cvs_status cvi_tf_read_json(cvi_arena *a, const json_t *topology, const cvs_limits *limits, tf_graphdef *out,
                            cvs_error *err) {
    reading r = {.a = a, .err = err, .limits = limits};
    const json_t *nodes = json_object_get(topology, "node");
    const json_t *functions = json_object_get(json_object_get(topology, "library"), "function");
    *out = (tf_graphdef){0};
    for (size_t i = 0; i < json_array_size(nodes); i++) {
        CVI_TRY(read_node(&r, json_array_get(nodes, i), &out->main));
    }
    for (size_t i = 0; i < json_array_size(functions); i++) {
        CVI_TRY(read_function(&r, json_array_get(functions, i), out));
    }
    return cvi_tf_index(a, out, err);
}

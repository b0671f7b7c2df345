/* SPDX-License-Identifier: MIT
 * tflite_file.c - TensorFlow Lite files as lists: operators' codes, tensors with their quantisation, buffers. Field numbers are those of
 * TensorFlow's schema (schema.fbs, version 3).
 */
#include "formats/tflite.h"

#include "formats/protobuf.h"
#include "ops/op.h"

enum { MAX_TENSORS = 1 << 20 };

static const cvs_dtype dtypes[] = {CVS_F32,  CVS_F16,  CVS_I32, CVS_U8,  CVS_I64,  CVS_NONE, CVS_BOOL,
                                   CVS_I16,  CVS_NONE, CVS_I8,  CVS_F64, CVS_NONE, CVS_U64,  CVS_NONE,
                                   CVS_NONE, CVS_U32,  CVS_U16, CVS_I8,  CVS_BF16};
enum { INT4 = 17 };

static cvs_dtype dtype_of(int64_t type) {
    return type >= 0 && type < CVI_COUNT(dtypes) ? dtypes[type] : CVS_NONE;
}

bool cvi_tflite_is_quantised(const tflite_tensor *x) {
    return x->scale.n > 0 && (x->dtype == CVS_I8 || x->dtype == CVS_U8 || x->dtype == CVS_I16);
}

double cvi_tflite_scale(const tflite *m, const tflite_tensor *x) {
    return cvi_fb_float_at(&m->f, &x->scale, 0);
}

int64_t cvi_tflite_zero(const tflite *m, const tflite_tensor *x) {
    return x->zero.n > 0 ? cvi_fb_int_at(&m->f, &x->zero, 0) : 0;
}

/* Names are for people: what is no text gets a number instead. */
static const char *tensor_name(tflite *m, const cvi_fb_table *t, int64_t i) {
    size_t n = 0;
    const char *s = cvi_fb_string_field(&m->f, t, 3, &n);
    bool good = n > 0 && cvi_utf8_valid((const uint8_t *)s, n);
    const char *end =
        good ? memchr(s, ';', n) : NULL; /* the converter lists all that it joined: the first will do */
    n = end && end > s ? (size_t)(end - s) : n;
    if (n > (size_t)m->t.b.model->limits.max_name_bytes) {
        cvi_build_set(&m->t.b, cvi_fail(m->t.b.err, CVS_E_LIMIT, "a name has %lld bytes, the limit is %lld",
                                        (long long)n, (long long)m->t.b.model->limits.max_name_bytes));
        return "";
    }
    return good ? cvi_build_name(&m->t.b, "%.*s", (int)n, s)
                : cvi_build_name(&m->t.b, "tensor_%lld", (long long)i);
}

static void read_shape(tflite *m, const cvi_fb_table *t, tflite_tensor *x) {
    cvi_fb_vector shape = cvi_fb_vector_field(&m->f, t, 0, 4), sign = cvi_fb_vector_field(&m->f, t, 7, 4);
    bool free_sizes = sign.n == shape.n && sign.n > 0;
    if (shape.n > CVS_MAX_RANK) {
        cvi_build_set(&m->t.b,
                      cvi_fail(m->t.b.err, CVS_E_UNSUPPORTED, "a tensor of rank %d, at most %d is supported",
                               (int)shape.n, CVS_MAX_RANK));
        return;
    }
    x->rank = (int)shape.n;
    for (int i = 0; i < x->rank && m->f.status == CVS_OK; i++) {
        x->dim[i] = cvi_fb_int_at(&m->f, &shape, i);
        x->dim[i] = free_sizes && cvi_fb_int_at(&m->f, &sign, i) < 0 ? -1 : x->dim[i];
        if (x->dim[i] < -1) {
            cvi_build_set(&m->t.b, cvi_fail(m->t.b.err, CVS_E_SHAPE, "size %d of tensor %.80s is %lld", i,
                                            x->name, (long long)x->dim[i]));
        }
    }
}

static void read_quantisation(tflite *m, const cvi_fb_table *t, tflite_tensor *x) {
    cvi_fb_table q = cvi_fb_table_field(&m->f, t, 4);
    x->scale = cvi_fb_vector_field(&m->f, &q, 2, 4);
    x->zero = cvi_fb_vector_field(&m->f, &q, 3, 8);
    x->axis =
        x->rank == 1 ? 0 : cvi_fb_int(&m->f, &q, 6, 4, true, 0); /* of a bias, files say what they like */
    bool bad = cvi_fb_int(&m->f, &q, 4, 1, false, 0) != 0;
    for (int64_t i = 0; i < x->scale.n && m->f.status == CVS_OK; i++) {
        double s = cvi_fb_float_at(&m->f, &x->scale, i);
        bad |= !(s >= 0 && s < 1e30);
    }
    if (x->scale.n == 1 && m->f.status == CVS_OK && cvi_fb_float_at(&m->f, &x->scale, 0) <= 0) {
        x->scale.n = 0;
    }
    if (bad) {
        cvi_build_set(&m->t.b,
                      cvi_fail(m->t.b.err, CVS_E_FORMAT,
                               "the scales of tensor %.80s are not ordinary positive numbers", x->name));
    }
}

cvi_fb_table cvi_tflite_lists(tflite *m, int64_t subgraph) {
    cvi_fb_table root = cvi_fb_root(&m->f), none = {0};
    cvi_fb_vector graphs = cvi_fb_vector_field(&m->f, &root, 2, 4);
    m->codes = cvi_fb_vector_field(&m->f, &root, 1, 4);
    m->buffers = cvi_fb_vector_field(&m->f, &root, 4, 4);
    m->n_graphs = graphs.n;
    if (m->f.status == CVS_OK && graphs.n <= subgraph) {
        cvi_build_set(&m->t.b, cvi_fail(m->t.b.err, CVS_E_FORMAT, "the file has no graph"));
        return none;
    }
    cvi_fb_table graph = m->f.status == CVS_OK ? cvi_fb_table_at(&m->f, &graphs, subgraph) : none;
    cvi_fb_vector tensors = cvi_fb_vector_field(&m->f, &graph, 0, 4);
    if (tensors.n > MAX_TENSORS) {
        cvi_build_set(&m->t.b, cvi_fail(m->t.b.err, CVS_E_LIMIT, "more than %d tensors", (int)MAX_TENSORS));
    }
    m->n_tensors = cvi_build_ok(&m->t.b) ? tensors.n : 0;
    m->tensor = cvi_arena_alloc(m->t.b.model->arena, CVI_MAX(m->n_tensors, 1), sizeof *m->tensor);
    if (!m->tensor) {
        cvi_build_no_memory(&m->t.b, 0);
        return none;
    }
    for (int64_t i = 0; i < m->n_tensors && m->f.status == CVS_OK && cvi_build_ok(&m->t.b); i++) {
        cvi_fb_table t = cvi_fb_table_at(&m->f, &tensors, i);
        tflite_tensor *x = &m->tensor[i];
        x->name = tensor_name(m, &t, i);
        x->type = (int)cvi_fb_int(&m->f, &t, 1, 1, true, 0);
        x->dtype = dtype_of(x->type);
        x->buffer = cvi_fb_int(&m->f, &t, 2, 4, false, 0);
        x->variable = cvi_fb_int(&m->f, &t, 5, 1, false, 0) != 0;
        x->sparsity = cvi_fb_table_field(&m->f, &t, 6);
        x->value = cvi_tf_none();
        read_shape(m, &t, x);
        read_quantisation(m, &t, x);
    }
    cvi_build_set(&m->t.b, m->f.status);
    return graph;
}

/* ---- constants ---- */

/* The bytes of a tensor's buffer; NULL: empty, so the tensor is no constant. */
static const uint8_t *buffer_of(tflite *m, const tflite_tensor *x, int64_t *size) {
    *size = 0;
    if (x->buffer < 1 || x->buffer >= m->buffers.n) {
        return NULL;
    }
    cvi_fb_table b = cvi_fb_table_at(&m->f, &m->buffers, x->buffer);
    cvi_fb_vector data = cvi_fb_vector_field(&m->f, &b, 0, 1);
    int64_t offset = cvi_fb_int(&m->f, &b, 1, 8, true, 0), n = cvi_fb_int(&m->f, &b, 2, 8, true, 0), end = 0;
    if (data.n > 0) {
        *size = data.n;
        return m->f.data + data.at;
    }
    if (offset > 1 && m->f.status == CVS_OK) { /* beyond the flatbuffer, in large files */
        if (!cvi_add(offset, n, &end) || end > (int64_t)m->f.size) {
            cvi_build_set(&m->t.b, cvi_fail(m->t.b.err, CVS_E_FORMAT,
                                            "%s points outside the file of %zu bytes", x->name, m->f.size));
            return NULL;
        }
        *size = n;
        return m->f.data + offset;
    }
    return NULL;
}

static void *room(tflite *m, int64_t n, size_t size) {
    void *p = cvi_build_ok(&m->t.b) ? cvi_arena_alloc(m->t.b.model->arena, CVI_MAX(n, 1), size) : NULL;
    if (!p) {
        cvi_build_no_memory(&m->t.b, (size_t)n * size);
    }
    return p;
}

/* Numbers of an integer tensor times its scales, as float32. */
static void dequantise(tflite *m, const tflite_tensor *x, cvs_tensor *c) {
    int64_t n = cvs_tensor_count(c), inner = 1, side = 1;
    if (x->scale.n > 1) {
        if (x->axis < 0 || x->axis >= x->rank || x->scale.n != x->dim[x->axis] ||
            (x->zero.n != x->scale.n && x->zero.n > 1)) {
            cvi_build_set(&m->t.b, cvi_fail(m->t.b.err, CVS_E_SHAPE,
                                            "tensor %.80s has %lld scales, which do not fit its shape",
                                            x->name, (long long)x->scale.n));
            return;
        }
        side = x->scale.n;
        for (int i = (int)x->axis + 1; i < x->rank; i++) {
            inner *= x->dim[i];
        }
    }
    float *out = room(m, n, sizeof *out);
    for (int64_t i = 0; out && i < n; i++) {
        int64_t k = i / inner % side;
        int64_t zero = x->zero.n > 1    ? cvi_fb_int_at(&m->f, &x->zero, k)
                       : x->zero.n == 1 ? cvi_fb_int_at(&m->f, &x->zero, 0)
                                        : 0;
        out[i] = (float)((double)(cvi_get_int(c, i) - zero) * cvi_fb_float_at(&m->f, &x->scale, k));
    }
    c->dtype = CVS_F32;
    c->data = out;
}

/* Two numbers a byte, the first in the low half. */
static void unpack4(tflite *m, cvs_tensor *c, const uint8_t *bytes) {
    int64_t n = cvs_tensor_count(c);
    int8_t *out = room(m, n, 1);
    for (int64_t i = 0; out && i < n; i++) {
        int v = bytes[i / 2] >> (i % 2 * 4) & 15;
        out[i] = (int8_t)(v > 7 ? v - 16 : v);
    }
    c->data = out;
}

static void widen(tflite *m, cvs_tensor *c) {
    int64_t n = cvs_tensor_count(c);
    float *out = room(m, n, sizeof *out);
    for (int64_t i = 0; out && i < n; i++) {
        out[i] = (float)cvi_get(c, i);
    }
    c->dtype = CVS_F32;
    c->data = out;
    m->t.b.model->widened = true;
}

static void make_constant(tflite *m, tflite_tensor *x, const uint8_t *bytes, int64_t size) {
    cvs_tensor c = {.dtype = x->dtype, .rank = x->rank};
    int64_t need = 0;
    memcpy(c.dim, x->dim, sizeof c.dim);
    if (x->sparsity.at && x->dtype != CVS_NONE) {
        bytes = cvi_tflite_dense(m, x, bytes, &size);
        if (!bytes) {
            return;
        }
    }
    int64_t n = cvs_tensor_count(&c);
    bool four = x->type == INT4 && !x->sparsity.at;
    if (x->dtype == CVS_NONE) {
        cvi_build_set(&m->t.b,
                      cvi_fail(m->t.b.err, CVS_E_UNSUPPORTED,
                               "tensor %.80s is of a kind that is not read (type %d)", x->name, x->type));
        return;
    }
    if (n < 0 || !cvi_mul(four ? n / 2 + n % 2 : n, (int64_t)cvs_dtype_size(c.dtype), &need) ||
        need != size) {
        char text[200];
        cvi_build_set(&m->t.b,
                      cvi_fail(m->t.b.err, CVS_E_FORMAT, "tensor %.80s of shape %s has %lld bytes", x->name,
                               cvs_shape_text(c.rank, c.dim, text, sizeof text), (long long)size));
        return;
    }
    if (four) {
        unpack4(m, &c, bytes);
    } else if ((uintptr_t)bytes % cvs_dtype_size(c.dtype)) { /* the file does not keep to alignment */
        c.data = room(m, size, 1);
        if (c.data) {
            memcpy(c.data, bytes, (size_t)size);
        }
    } else {
        union {
            const void *from;
            void *to;
        } borrow = {.from = bytes}; /* never written through: constants are read only */
        c.data = borrow.to;
    }
    if (!cvi_build_ok(&m->t.b)) {
        return;
    }
    if (x->scale.n > 0 && (cvi_tflite_is_quantised(x) || c.dtype == CVS_I32 || c.dtype == CVS_I64)) {
        dequantise(m, x, &c);
    } else if (c.dtype == CVS_F16 || c.dtype == CVS_BF16) {
        widen(m, &c);
    }
    c.bytes = (size_t)n * cvs_dtype_size(c.dtype);
    x->value = cvi_tf_constant(x->name, &c);
    x->made = true;
}

/* What a network remembers from one run to the next: every run here is the first, so zeros. */
static void make_state(tflite *m, tflite_tensor *x) {
    bool whole = cvi_tflite_is_quantised(x) || x->dtype == CVS_F16 || x->dtype == CVS_BF16;
    cvs_tensor c = {.dtype = whole ? CVS_F32 : x->dtype, .rank = x->rank};
    int64_t bytes = 0;
    memcpy(c.dim, x->dim, sizeof c.dim);
    int64_t n = cvs_tensor_count(&c);
    if (n < 0 || c.dtype == CVS_NONE || !cvi_mul(n, (int64_t)cvs_dtype_size(c.dtype), &bytes)) {
        return;
    }
    c.data = room(m, bytes, 1);
    c.bytes = (size_t)bytes;
    if (c.data) {
        x->value = cvi_tf_constant(x->name, &c);
        x->made = true;
    }
}

cvi_tf_tensor *cvi_tflite_value(tflite *m, int64_t index) {
    if (index < 0 || index >= m->n_tensors || !cvi_build_ok(&m->t.b)) {
        return NULL;
    }
    tflite_tensor *x = &m->tensor[index];
    if (!x->made) {
        int64_t size = 0;
        const uint8_t *bytes = buffer_of(m, x, &size);
        cvi_build_set(&m->t.b, m->f.status);
        if (bytes && cvi_build_ok(&m->t.b)) {
            make_constant(m, x, bytes, size);
        } else if (x->variable && cvi_build_ok(&m->t.b)) {
            make_state(m, x);
        }
    }
    return x->made && cvi_build_ok(&m->t.b) ? &x->value : NULL;
}

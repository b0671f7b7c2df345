/* SPDX-License-Identifier: MIT
 * onnx_sparse.c - a sparse initializer of an ONNX graph (values, where they stand, the shape) as the dense tensor that it means. The places are one
 * number each (row-major) or one index an axis, in rising order, as the format demands.
 */
#include "formats/onnx.h"

typedef struct sparse_parts {
    cvi_pb_piece values, indices;
    bool has_values, has_indices;
    int rank;
    int64_t dim[CVS_MAX_RANK];
} sparse_parts;

static cvs_status damaged(cvi_onnx *o, const char *name) {
    return cvi_at_attr(
        o->err, cvi_fail(o->err, CVS_E_FORMAT, "a sparse tensor whose values, places and shape do not fit"),
        name);
}

static cvs_status read_dims(const cvi_pb *r, const cvi_pb_field *f, sparse_parts *p) {
    cvi_pb_numbers numbers;
    bool more = true;
    uint64_t v = 0;
    CVI_TRY(cvi_pb_numbers_begin(r, f, 0, "SparseTensorProto.dims", &numbers));
    for (;;) {
        CVI_TRY(cvi_pb_numbers_next(r, &numbers, &v, &more));
        if (!more) {
            return CVS_OK;
        }
        if (p->rank == CVS_MAX_RANK) {
            return cvi_fail(r->err, CVS_E_UNSUPPORTED, "a tensor has more than %d dimensions", CVS_MAX_RANK);
        }
        p->dim[p->rank++] = (int64_t)v;
    }
}

static cvs_status read_parts(const cvi_pb *r, sparse_parts *p) {
    cvi_pb walk = *r;
    for (;;) {
        cvi_pb_field f;
        CVI_TRY(cvi_pb_next(&walk, &f));
        if (!f.number) {
            return CVS_OK;
        }
        if (f.number == 1 || f.number == 2) {
            CVI_TRY(cvi_pb_expect(r, &f, CVI_PB_BYTES, "SparseTensorProto"));
            *(f.number == 1 ? &p->values : &p->indices) = f.bytes;
            p->has_values |= f.number == 1;
            p->has_indices |= f.number == 2;
        } else if (f.number == 3) {
            CVI_TRY(read_dims(r, &f, p));
        }
    }
}

/* The row-major place of entry k; -1: outside the tensor. */
static int64_t place(const cvs_tensor *indices, int64_t k, const cvs_tensor *dense, int64_t total) {
    const int64_t *at = indices->data;
    if (indices->rank == 1) {
        return at[k] >= 0 && at[k] < total ? at[k] : -1;
    }
    int64_t p = 0;
    for (int d = 0; d < dense->rank; d++) {
        int64_t i = at[k * dense->rank + d];
        if (i < 0 || i >= dense->dim[d]) {
            return -1;
        }
        p = p * dense->dim[d] + i;
    }
    return p;
}

static cvs_status spread(cvi_onnx *o, const char *name, const cvs_tensor *values, const cvs_tensor *indices,
                         cvs_tensor *out) {
    size_t size = cvs_dtype_size(values->dtype);
    int64_t n = cvs_tensor_count(values), total = cvs_tensor_count(out), bytes = 0, before = -1;
    bool flat = indices->rank == 1 && cvs_tensor_count(indices) == n;
    bool each = indices->rank == 2 && indices->dim[0] == n && indices->dim[1] == out->rank;
    if (values->rank != 1 || indices->dtype != CVS_I64 || !(flat || each) || total < 0 || n > total ||
        size == 0) {
        return damaged(o, name);
    }
    if (!cvi_mul(total, (int64_t)size, &bytes) || bytes > o->model->limits.max_memory_bytes) {
        return cvi_at_attr(o->err, cvi_fail(o->err, CVS_E_LIMIT, "a tensor is too large"), name);
    }
    out->data = cvi_arena_alloc(o->model->arena, CVI_MAX(total, 1), size);
    if (!out->data) {
        return cvi_no_memory(o->err, (size_t)bytes);
    }
    out->bytes = (size_t)bytes;
    for (int64_t k = 0; k < n; k++) {
        int64_t p = place(indices, k, out, total);
        if (p <= before) {
            return damaged(o, name);
        }
        memcpy((uint8_t *)out->data + (size_t)p * size, (const uint8_t *)values->data + (size_t)k * size,
               size);
        before = p;
    }
    return CVS_OK;
}

cvs_status cvi_onnx_sparse(cvi_onnx *o, const cvi_pb *parent, const cvi_pb_piece *message, const char **name,
                           cvs_tensor *out) {
    cvi_pb r;
    sparse_parts p = {0};
    cvs_tensor values, indices;
    *out = (cvs_tensor){0};
    CVI_TRY(cvi_pb_enter(parent, message, &r));
    CVI_TRY(read_parts(&r, &p));
    if (!p.has_values || !p.has_indices) {
        return damaged(o, "sparse_initializer");
    }
    CVI_TRY(cvi_onnx_tensor(o, &r, &p.values, name, &values));
    CVI_TRY(cvi_onnx_tensor(o, &r, &p.indices, NULL, &indices));
    out->dtype = values.dtype;
    out->rank = p.rank;
    memcpy(out->dim, p.dim, sizeof out->dim);
    for (int d = 0; d < p.rank; d++) {
        if (p.dim[d] < 0) {
            return damaged(o, *name);
        }
    }
    return spread(o, *name, &values, &indices, out);
}

/* SPDX-License-Identifier: MIT
 * helpers.c - what operator families share: attributes with the table's defaults, output shapes, broadcasting, axes, and
 * element access for tensors of any type.
 */
#include <stdlib.h>

#include "ops/op.h"

cvs_status cvi_need(const cvi_opctx *ctx, int k) {
    const cvs_tensor *t = k < ctx->n_in ? ctx->in[k] : NULL;
    if (!t || t->data || cvs_tensor_count(t) == 0) {
        return CVS_OK;
    }
    return cvi_fail(ctx->err, CVS_E_LATE, "the numbers of input %d are known only while running", k);
}

static const char *initial(const cvi_opctx *ctx, const char *name) {
    for (int i = 0; i < ctx->op->n_attrs; i++) {
        if (strcmp(ctx->op->attrs[i].name, name) == 0) {
            return ctx->op->attrs[i].initial ? ctx->op->attrs[i].initial : "";
        }
    }
    return "";
}

int64_t cvi_op_int(const cvi_opctx *ctx, const char *name) {
    const cvi_attr *a = cvi_node_attr(ctx->node, name);
    return a && a->kind == CVI_ATTR_INT ? a->i : strtoll(initial(ctx, name), NULL, 10);
}

double cvi_op_float(const cvi_opctx *ctx, const char *name) {
    return cvi_node_float(ctx->node, name, strtod(initial(ctx, name), NULL));
}

const char *cvi_op_string(const cvi_opctx *ctx, const char *name) {
    return cvi_node_string(ctx->node, name, initial(ctx, name));
}

cvs_status cvi_out_shape(cvi_opctx *ctx, int k, cvs_dtype dtype, int rank, const int64_t *dim) {
    if (k >= ctx->n_out) {
        return CVS_OK; /* a trailing output that the node does not ask for */
    }
    cvs_tensor t = {.dtype = dtype, .rank = rank};
    if (rank > CVS_MAX_RANK) {
        return cvi_fail(ctx->err, CVS_E_UNSUPPORTED, "the output would have rank %d, at most %d is supported",
                        rank, CVS_MAX_RANK);
    }
    for (int i = 0; i < rank; i++) {
        t.dim[i] = dim[i];
        if (dim[i] < 0) {
            return cvi_fail(ctx->err, CVS_E_SHAPE, "output dimension %d would be %lld", i, (long long)dim[i]);
        }
    }
    int64_t count = cvs_tensor_count(&t), bytes = 0;
    if (count < 0 || !cvi_mul(count, (int64_t)cvs_dtype_size(dtype), &bytes)) {
        char text[200];
        return cvi_fail(ctx->err, CVS_E_LIMIT, "the output would be too large: %s",
                        cvs_shape_text(rank, dim, text, sizeof text));
    }
    t.bytes = (size_t)bytes;
    ctx->out[k] = t;
    return CVS_OK;
}

cvs_status cvi_broadcast(cvi_opctx *ctx, int n, const cvs_tensor *const *in, int *rank, int64_t *dim) {
    *rank = 0;
    for (int k = 0; k < n; k++) {
        *rank = CVI_MAX(*rank, in[k]->rank);
    }
    for (int i = 0; i < *rank; i++) {
        dim[i] = 1;
        for (int k = 0; k < n; k++) {
            int at = i - (*rank - in[k]->rank);
            int64_t d = at >= 0 ? in[k]->dim[at] : 1;
            if (d != 1 && dim[i] != 1 && d != dim[i]) {
                char a[200], b[200];
                return cvi_fail(ctx->err, CVS_E_SHAPE, "shapes %s and %s cannot be broadcast together",
                                cvs_shape_text(in[0]->rank, in[0]->dim, a, sizeof a),
                                cvs_shape_text(in[k]->rank, in[k]->dim, b, sizeof b));
            }
            if (d != 1) {
                dim[i] = d;
            }
        }
    }
    return CVS_OK;
}

cvs_status cvi_axis(const cvi_opctx *ctx, int64_t axis, int rank, int *out) {
    if (axis < -rank || axis >= rank) {
        return cvi_at_attr(
            ctx->err,
            cvi_fail(ctx->err, CVS_E_SHAPE, "axis %lld is outside of rank %d", (long long)axis, rank),
            "axis");
    }
    *out = (int)(axis < 0 ? axis + rank : axis);
    return CVS_OK;
}

bool cvi_apart_always(const cvi_opctx *ctx) {
    (void)ctx;
    return true;
}

bool cvi_apart_axis(const cvi_opctx *ctx) {
    int axis = 0;
    cvi_opctx quiet = *ctx;
    quiet.err = NULL;
    return cvi_axis(&quiet, cvi_op_int(ctx, "axis"), ctx->in[0]->rank, &axis) == CVS_OK && axis != 0;
}

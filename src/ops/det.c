/* SPDX-License-Identifier: MIT
 * det.c - Det: determinants of square matrices, by elimination with the largest pivot of each column.
 */
#include <math.h>

#include "ops/walk.h"

static cvs_status infer_det(cvi_opctx *ctx) {
    const cvs_tensor *x = ctx->in[0];
    CVI_TRY(cvi_want_float(ctx, 0));
    CVI_TRY(cvi_rank_from(ctx, 0, 2));
    if (x->dim[x->rank - 1] != x->dim[x->rank - 2]) {
        char text[128];
        return cvi_fail(ctx->err, CVS_E_SHAPE, "the matrices must be square, their shape is %s",
                        cvs_shape_text(2, x->dim + x->rank - 2, text, sizeof text));
    }
    return cvi_out_shape(ctx, 0, x->dtype, x->rank - 2, x->dim);
}

/* Overwrites a [n,n]. */
static double determinant(double *a, int64_t n) {
    double product = 1;
    for (int64_t c = 0; c < n; c++) {
        int64_t best = c;
        for (int64_t r = c + 1; r < n; r++) {
            best = fabs(a[r * n + c]) > fabs(a[best * n + c]) ? r : best;
        }
        for (int64_t k = c; k < n && best != c; k++) {
            double other = a[c * n + k];
            a[c * n + k] = a[best * n + k];
            a[best * n + k] = other;
        }
        double pivot = a[c * n + c];
        product *= best != c ? -pivot : pivot;
        if (pivot == 0) {
            return 0;
        }
        for (int64_t r = c + 1; r < n; r++) {
            double factor = a[r * n + c] / pivot;
            for (int64_t k = c + 1; k < n; k++) {
                a[r * n + k] -= factor * a[c * n + k];
            }
        }
    }
    return product;
}

static cvs_status forward_det(cvi_opctx *ctx) {
    const cvs_tensor *x = ctx->in[0];
    int64_t n = x->dim[x->rank - 1], count = cvs_tensor_count(&ctx->out[0]);
    double *a = cvi_arena_alloc(ctx->scratch, CVI_MAX(n * n, 1), sizeof *a);
    if (a == NULL) {
        return cvi_no_memory(ctx->err, (size_t)(n * n) * sizeof *a);
    }
    for (int64_t i = 0; i < count; i++) {
        for (int64_t k = 0; k < n * n; k++) {
            a[k] = cvi_get(x, i * n * n + k);
        }
        cvi_put(&ctx->out[0], i, determinant(a, n));
    }
    return CVS_OK;
}

static void cost_det(const cvi_opctx *ctx, cvi_cost *cost) {
    const cvs_tensor *x = ctx->in[0];
    int64_t n = x->dim[x->rank - 1];
    cost->macs = cvs_tensor_count(&ctx->out[0]) * n * n * n / 3;
}

static const cvi_op_io det_in[] = {{"X", CVI_DATA, false, false}};
static const cvi_op_io det_out[] = {{"Y", CVI_DATA, false, false}};

const cvi_op cvi_op_det = {
    .name = "Det",
    .since = 11,
    .inputs = det_in,
    .n_inputs = 1,
    .outputs = det_out,
    .n_outputs = 1,
    .glyph = CVI_GLYPH_MATH,
    .infer = infer_det,
    .forward = forward_det,
    .cost = cost_det,
    .field = cvi_field_all,
    .text = {"Determinant", "行列式", "Says by what factor each square matrix stretches volumes.",
             "给出每个方阵把体积放大的倍数。", "y = det(x)", "Zero where a matrix flattens space.",
             "矩阵把空间压扁处为零。"},
};

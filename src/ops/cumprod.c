/* SPDX-License-Identifier: MIT
 * cumprod.c - CumProd: running products along one axis, with or without the number itself, from either end.
 */
#include "ops/walk.h"

typedef struct lines {
    int64_t length, inner, count; /* a line is `length` numbers, `inner` elements apart */
    bool back, exclusive;
} lines;

static cvs_status make_lines(const cvi_opctx *ctx, lines *l) {
    const cvs_tensor *x = ctx->in[0];
    int64_t at;
    int n, axis;
    CVI_TRY(cvi_ints(ctx, 1, &at, 1, &n));
    if (n != 1) {
        return cvi_fail(ctx->err, CVS_E_SHAPE, "input %d has %lld elements, but must have one", 1,
                        (long long)n);
    }
    CVI_TRY(cvi_axis(ctx, at, x->rank, &axis));
    *l = (lines){.length = x->dim[axis],
                 .inner = cvi_product(x->dim, axis + 1, x->rank),
                 .back = cvi_op_int(ctx, "reverse") != 0,
                 .exclusive = cvi_op_int(ctx, "exclusive") != 0};
    l->count = cvi_product(x->dim, 0, axis) * l->inner;
    return CVS_OK;
}

/* Element k of line i, counted from the end that the products start at. */
static int64_t place(const lines *l, int64_t i, int64_t k) {
    return i / l->inner * l->length * l->inner + i % l->inner + (l->back ? l->length - 1 - k : k) * l->inner;
}

static cvs_status infer_cumprod(cvi_opctx *ctx) {
    lines l;
    CVI_TRY(make_lines(ctx, &l));
    return cvi_infer_same(ctx);
}

static cvs_status forward_cumprod(cvi_opctx *ctx) {
    const cvs_tensor *x = ctx->in[0];
    const cvs_tensor *y = &ctx->out[0];
    lines l;
    CVI_TRY(make_lines(ctx, &l));
    for (int64_t i = 0; i < l.count; i++) {
        double product = 1;
        uint64_t whole = 1;
        for (int64_t k = 0; k < l.length; k++) {
            int64_t at = place(&l, i, k);
            double before = product;
            uint64_t whole_before = whole;
            if (cvi_is_float(x->dtype)) {
                product *= cvi_get(x, at);
                cvi_put(y, at, l.exclusive ? before : product);
            } else {
                whole *= (uint64_t)cvi_get_int(x, at);
                cvi_put_int(y, at, (int64_t)(l.exclusive ? whole_before : whole));
            }
        }
    }
    return CVS_OK;
}

/* dL/dx[j] sums g[k] times the product of all others in the product k: without a division, so zeros do no harm. */
static cvs_status backward_cumprod(cvi_opctx *ctx, cvi_rule rule, const cvs_tensor *const *grad_out,
                                   cvs_tensor *const *grad_in) {
    (void)rule;
    const cvs_tensor *x = ctx->in[0];
    lines l;
    if (grad_out[0] == NULL || grad_in[0] == NULL) {
        return CVS_OK;
    }
    CVI_TRY(make_lines(ctx, &l));
    for (int64_t i = 0; i < l.count; i++) {
        double before = 1;
        for (int64_t j = 0; j < l.length; j++) {
            double others = before, sum = l.exclusive ? 0 : cvi_get(grad_out[0], place(&l, i, j)) * before;
            for (int64_t k = j + 1; k < l.length; k++) {
                if (!l.exclusive) {
                    others *= cvi_get(x, place(&l, i, k));
                }
                sum += cvi_get(grad_out[0], place(&l, i, k)) * others;
                if (l.exclusive) {
                    others *= cvi_get(x, place(&l, i, k));
                }
            }
            int64_t at = place(&l, i, j);
            cvi_put(grad_in[0], at, cvi_get(grad_in[0], at) + sum);
            before *= cvi_get(x, at);
        }
    }
    return CVS_OK;
}

static const cvi_op_io cumprod_in[] = {{"x", CVI_DATA, false, false}, {"axis", CVI_SHAPE, false, false}};
static const cvi_op_io cumprod_out[] = {{"y", CVI_DATA, false, false}};
static const cvi_op_attr cumprod_attrs[] = {
    {"exclusive", CVI_ATTR_INT, "0", "0|1", "1: each product leaves out the number at its own place",
     "取 1 时各乘积不含所在位置的数"},
    {"reverse", CVI_ATTR_INT, "0", "0|1", "1: from the end", "取 1 时从末端开始"},
};

const cvi_op cvi_op_cumprod = {
    .name = "CumProd",
    .since = 26,
    .inputs = cumprod_in,
    .n_inputs = 2,
    .outputs = cumprod_out,
    .n_outputs = 1,
    .attrs = cumprod_attrs,
    .n_attrs = 2,
    .glyph = CVI_GLYPH_MATH,
    .infer = infer_cumprod,
    .forward = forward_cumprod,
    .any_type = true,
    .backward = backward_cumprod,
    .cost = cvi_cost_each,
    .field = cvi_field_all,
    .text = {"Running product", "累乘积",
             "Multiplies along an axis and writes down every intermediate product.",
             "沿某一轴累乘，并记录每一步的积。", "y[i] = Π_{k ≤ i} x[k]",
             "Fades to nothing behind numbers below 1.", "遇到小于 1 的数之后逐渐归零。"},
};

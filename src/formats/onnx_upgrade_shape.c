/* SPDX-License-Identifier: MIT
 * onnx_upgrade_shape.c - upgrades that need shapes: broadcasting along a named axis (before opset 7), one slope per channel
 * (PRelu before 7), softmax over a flattened input (before 13).
 */
#include "onnx_upgrade.h"

/* Input k with `n` more dimensions of 1 at its end. A constant is looked at under another shape, else a node is added. */
static cvs_status trailing_ones(cvi_onnx_draft *d, int k, int rank, int n) {
    cvi_graph *g = d->scope->graph;
    if (n <= 0) {
        return CVS_OK;
    }
    const cvs_tensor *c = g->values[d->in[k]].constant;
    if (rank + n > CVS_MAX_RANK) {
        return cvi_fail(d->o->err, CVS_E_UNSUPPORTED, "broadcasting would need more than %d dimensions",
                        CVS_MAX_RANK);
    }
    int made = -1;
    if (c) {
        cvs_tensor t = *c;
        for (int i = 0; i < n; i++) {
            t.dim[t.rank++] = 1;
        }
        made = cvi_graph_constant(g, cvi_up_name(d, g->values[d->in[k]].name), &t, d->o->err);
    } else {
        int64_t axes[CVS_MAX_RANK];
        for (int i = 0; i < n; i++) {
            axes[i] = rank + i;
        }
        int in[2] = {d->in[k], cvi_graph_ints(g, cvi_up_name(d, "axes"), n, axes, d->o->err)};
        made = in[1] < 0 ? -1 : cvi_up_hidden(d, "Unsqueeze", 2, in, "broadcast", NULL, 0);
    }
    if (made < 0) {
        return d->o->err->code;
    }
    d->in[k] = made;
    return CVS_OK;
}

static cvs_status need_ranks(cvi_onnx_draft *d, const cvs_tensor *a, const cvs_tensor *b) {
    if (a->rank >= 0 && b->rank >= 0) {
        return CVS_OK;
    }
    return cvi_fail(d->o->err, CVS_E_UNSUPPORTED,
                    "broadcasting along an axis (opset %lld) needs shapes that are known while reading",
                    (long long)d->version);
}

/* B lies along A's dimensions from `axis` on: dimensions of 1 are added at its end. Without an axis it lies at A's end. */
cvs_status cvi_up_broadcast_7(cvi_onnx_draft *d) {
    cvi_attr broadcast = {0}, axis = {0};
    bool along = cvi_up_take(d, "axis", &axis);
    bool on = cvi_up_take(d, "broadcast", &broadcast) && broadcast.i != 0;
    if (!on || !along || d->n_in < 2 || d->in[0] < 0 || d->in[1] < 0) {
        return CVS_OK;
    }
    cvs_tensor a = cvi_onnx_shape(d, d->in[0]), b = cvi_onnx_shape(d, d->in[1]);
    CVI_TRY(need_ranks(d, &a, &b));
    int64_t at = axis.i < 0 ? axis.i + a.rank : axis.i;
    if (at < 0 || at + b.rank > a.rank) {
        return cvi_at_attr(d->o->err,
                           cvi_fail(d->o->err, CVS_E_SHAPE, "axis %lld does not fit the ranks %d and %d",
                                    (long long)axis.i, a.rank, b.rank),
                           "axis");
    }
    return trailing_ones(d, 1, b.rank, a.rank - (int)at - b.rank);
}

cvs_status cvi_up_gemm_7(cvi_onnx_draft *d) {
    cvi_attr unused;
    (void)cvi_up_take(d, "broadcast", &unused);
    return CVS_OK;
}

/* A slope of rank 1 belonged to the channels. */
cvs_status cvi_up_prelu_7(cvi_onnx_draft *d) {
    if (d->n_in < 2 || d->in[0] < 0 || d->in[1] < 0) {
        return CVS_OK;
    }
    cvs_tensor slope = cvi_onnx_shape(d, d->in[1]);
    if (slope.rank != 1 || slope.dim[0] == 1) {
        return CVS_OK;
    }
    cvs_tensor x = cvi_onnx_shape(d, d->in[0]);
    CVI_TRY(need_ranks(d, &x, &slope));
    return trailing_ones(d, 1, 1, x.rank - 2);
}

/* Before 13: the input is flattened to two dimensions at `axis`, and the second is normalised as one. */
cvs_status cvi_up_softmax_13(cvi_onnx_draft *d) {
    cvi_attr axis = {.i = 1};
    (void)cvi_up_take(d, "axis", &axis);
    if (d->n_in < 1 || d->in[0] < 0) {
        return CVS_OK;
    }
    cvs_tensor x = cvi_onnx_shape(d, d->in[0]);
    int64_t at = axis.i < 0 && x.rank >= 0 ? axis.i + x.rank : axis.i;
    bool plain = at == -1 || (x.rank >= 0 && at == x.rank - 1);
    if (!plain && x.rank >= 0 && at >= 0 &&
        at < x.rank) { /* only ones behind the axis: nothing is flattened */
        plain = true;
        for (int64_t i = at + 1; i < x.rank; i++) {
            plain = plain && x.dim[i] == 1;
        }
    }
    if (plain) {
        return cvi_up_set_int(d, "axis", at);
    }
    int input = d->in[0];
    int shape = cvi_up_hidden(d, "Shape", 1, &input, "shape", NULL, 0);
    int flat = shape < 0 ? -1 : cvi_up_hidden(d, "Flatten", 1, &input, "flat", "axis", at);
    int soft = flat < 0 ? -1 : cvi_up_hidden(d, d->op, 1, &flat, "soft", "axis", -1);
    if (soft < 0) {
        return d->o->err->code;
    }
    d->op = "Reshape";
    d->n_attr = 0;
    d->in[0] = soft;
    cvi_up_set_input(d, 1, shape);
    return CVS_OK;
}

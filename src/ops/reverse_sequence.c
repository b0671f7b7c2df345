/* SPDX-License-Identifier: MIT
 * reverse_sequence.c - ReverseSequence: turns the first numbers of every sequence of a batch round, each as many as its own length says.
 */
#include "ops/walk.h"

typedef struct turning {
    int64_t times, batch, inner; /* sides of the two leading axes; elements behind them */
    bool time_first;
} turning;

static cvs_status make_turning(const cvi_opctx *ctx, turning *t) {
    const cvs_tensor *x = ctx->in[0], *lengths = ctx->in[1];
    int64_t time_axis = cvi_op_int(ctx, "time_axis"), batch_axis = cvi_op_int(ctx, "batch_axis");
    CVI_TRY(cvi_rank_from(ctx, 0, 2));
    if (time_axis + batch_axis != 1 || time_axis < 0 || time_axis > 1) {
        return cvi_fail(ctx->err, CVS_E_SHAPE,
                        "time_axis is %lld and batch_axis %lld; one must be 0, the other 1",
                        (long long)time_axis, (long long)batch_axis);
    }
    *t = (turning){.times = x->dim[time_axis],
                   .batch = x->dim[batch_axis],
                   .inner = cvi_product(x->dim, 2, x->rank),
                   .time_first = time_axis == 0};
    if (!cvi_is_integer(lengths->dtype)) {
        return cvi_type_is(ctx, 1, cvi_is_integer, "of an integer type");
    }
    return cvi_want_vector(ctx, 1, t->batch);
}

static cvs_status infer_turning(cvi_opctx *ctx) {
    turning t;
    CVI_TRY(make_turning(ctx, &t));
    return cvi_infer_same(ctx);
}

static int64_t at_of(const turning *t, int64_t time, int64_t b) {
    return (t->time_first ? time * t->batch + b : b * t->times + time) * t->inner;
}

/* Where the numbers of step `time` come from. */
static cvs_status source_of(const cvi_opctx *ctx, const turning *t, int64_t time, int64_t b, int64_t *from) {
    int64_t length = cvi_get_int(ctx->in[1], b);
    if (length < 0 || length > t->times) {
        return cvi_fail(ctx->err, CVS_E_ARGUMENT, "sequence %lld has the length %lld, there are %lld steps",
                        (long long)b, (long long)length, (long long)t->times);
    }
    *from = at_of(t, time < length ? length - 1 - time : time, b);
    return CVS_OK;
}

static cvs_status forward_turning(cvi_opctx *ctx) {
    cvs_tensor *y = &ctx->out[0];
    size_t size = cvs_dtype_size(y->dtype);
    turning t;
    CVI_TRY(make_turning(ctx, &t));
    for (int64_t time = 0; time < t.times; time++) {
        for (int64_t b = 0; b < t.batch && t.inner > 0; b++) {
            int64_t from = 0;
            CVI_TRY(source_of(ctx, &t, time, b, &from));
            memcpy((char *)y->data + (size_t)at_of(&t, time, b) * size,
                   (const char *)ctx->in[0]->data + (size_t)from * size, (size_t)t.inner * size);
        }
    }
    return CVS_OK;
}

static cvs_status backward_turning(cvi_opctx *ctx, cvi_rule rule, const cvs_tensor *const *grad_out,
                                   cvs_tensor *const *grad_in) {
    (void)rule;
    turning t;
    if (grad_out[0] == NULL || grad_in[0] == NULL) {
        return CVS_OK;
    }
    CVI_TRY(make_turning(ctx, &t));
    for (int64_t time = 0; time < t.times; time++) {
        for (int64_t b = 0; b < t.batch; b++) {
            int64_t from = 0;
            CVI_TRY(source_of(ctx, &t, time, b, &from));
            for (int64_t i = 0; i < t.inner; i++) {
                cvi_put(grad_in[0], from + i,
                        cvi_get(grad_in[0], from + i) + cvi_get(grad_out[0], at_of(&t, time, b) + i));
            }
        }
    }
    return CVS_OK;
}

static const cvi_op_io turning_in[] = {{"input", CVI_DATA, false, false},
                                       {"sequence_lens", CVI_DATA, false, false}};
static const cvi_op_io turning_out[] = {{"Y", CVI_DATA, false, false}};
static const cvi_op_attr turning_attrs[] = {
    {"batch_axis", CVI_ATTR_INT, "1", "0|1", "axis of the batch", "批次所在的轴"},
    {"time_axis", CVI_ATTR_INT, "0", "0|1", "axis that is turned round", "被反转的轴"},
};

const cvi_op cvi_op_reverse_sequence = {
    .name = "ReverseSequence",
    .since = 10,
    .inputs = turning_in,
    .n_inputs = 2,
    .outputs = turning_out,
    .n_outputs = 1,
    .attrs = turning_attrs,
    .n_attrs = 2,
    .glyph = CVI_GLYPH_SHAPE,
    .infer = infer_turning,
    .forward = forward_turning,
    .any_type = true,
    .backward = backward_turning,
    .field = cvi_field_all,
    .text = {"Reverse sequences", "序列反转", "Turns each sequence of a batch round, up to its own length.",
             "把批次中每个序列按各自的长度反转。", "y[t,b] = x[len[b] − 1 − t, b] for t < len[b]",
             "The same steps from the end.", "同样的步骤，从末尾开始。"},
};

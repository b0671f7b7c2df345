/* SPDX-License-Identifier: MIT
 * join.c - Concat and Split: tensors laid one after another along an axis, and cut apart again. Both are block copies:
 * `outer` blocks of the sides before the axis, each a run of the axis and what is inside it.
 */
#include "ops/unit.h"
#include "ops/walk.h"

/* ---- Concat ------------------------------------------------------------------------------------------ */
static cvs_status infer_concat(cvi_opctx *ctx) {
    const cvs_tensor *first = ctx->in[0];
    int axis;
    int64_t dim[CVS_MAX_RANK];
    CVI_TRY(cvi_axis(ctx, cvi_op_int(ctx, "axis"), first->rank, &axis));
    memcpy(dim, first->dim, sizeof dim);
    for (int k = 1; k < ctx->n_in; k++) {
        const cvs_tensor *t = ctx->in[k];
        if (t == NULL) {
            return cvi_fail(ctx->err, CVS_E_FORMAT, "input %d is absent", k);
        }
        CVI_TRY(cvi_one_type(ctx, 0, k));
        bool fits = t->rank == first->rank;
        for (int a = 0; fits && a < t->rank; a++) {
            fits = a == axis || t->dim[a] == first->dim[a];
        }
        if (!fits) {
            char one[128], other[128];
            return cvi_fail(ctx->err, CVS_E_SHAPE, "%s and %s cannot be joined along axis %d",
                            cvs_shape_text(first->rank, first->dim, one, sizeof one),
                            cvs_shape_text(t->rank, t->dim, other, sizeof other), axis);
        }
        if (!cvi_add(dim[axis], t->dim[axis], &dim[axis])) {
            return cvi_fail(ctx->err, CVS_E_LIMIT, "the inputs are too large to be joined");
        }
    }
    return cvi_out_shape(ctx, 0, first->dtype, first->rank, dim);
}

/* Elements of tensor t from the axis on. */
static int64_t run_of(const cvs_tensor *t, int axis) {
    return cvi_product(t->dim, axis, t->rank);
}

static cvs_status forward_concat(cvi_opctx *ctx) {
    cvs_tensor *y = &ctx->out[0];
    int axis;
    CVI_TRY(cvi_axis(ctx, cvi_op_int(ctx, "axis"), y->rank, &axis));
    size_t size = cvs_dtype_size(y->dtype), row = (size_t)run_of(y, axis) * size, at = 0;
    int64_t outer = cvi_product(y->dim, 0, axis);
    for (int k = 0; k < ctx->n_in; k++) {
        size_t run = (size_t)run_of(ctx->in[k], axis) * size;
        for (int64_t o = 0; run > 0 && o < outer; o++) {
            memcpy((char *)y->data + (size_t)o * row + at, (const char *)ctx->in[k]->data + (size_t)o * run,
                   run);
        }
        at += run;
    }
    return CVS_OK;
}

/* to[i] += from[i] for one run, float32 or float64. */
static void add_run(const cvs_tensor *to, int64_t to_at, const cvs_tensor *from, int64_t from_at, int64_t n) {
    if (to->dtype == CVS_F32) {
        float *y = (float *)to->data + to_at;
        const float *x = (const float *)from->data + from_at;
        for (int64_t i = 0; i < n; i++) {
            y[i] += x[i];
        }
        return;
    }
    for (int64_t i = 0; i < n; i++) {
        cvi_put(to, to_at + i, cvi_get(to, to_at + i) + cvi_get(from, from_at + i));
    }
}

static cvs_status backward_concat(cvi_opctx *ctx, cvi_rule rule, const cvs_tensor *const *grad_out,
                                  cvs_tensor *const *grad_in) {
    (void)rule;
    const cvs_tensor *g = grad_out[0];
    int axis;
    if (g == NULL) {
        return CVS_OK;
    }
    CVI_TRY(cvi_axis(ctx, cvi_op_int(ctx, "axis"), g->rank, &axis));
    int64_t outer = cvi_product(g->dim, 0, axis), row = run_of(g, axis), at = 0;
    for (int k = 0; k < ctx->n_in; k++) {
        int64_t run = run_of(ctx->in[k], axis);
        for (int64_t o = 0; grad_in[k] != NULL && o < outer; o++) {
            add_run(grad_in[k], o * run, g, o * row + at, run);
        }
        at += run;
    }
    return CVS_OK;
}

/* Channels last: joining channels is a copy a pixel, and the padding channels stay 0. */
static bool can_fast_concat(const cvi_opctx *ctx) {
    if (ctx->out[0].rank != 4 || ctx->out[0].dtype != CVS_F32) {
        return false;
    }
    int64_t axis = cvi_op_int(ctx, "axis");
    return axis == 1 || axis == -3;
}

typedef struct join_job {
    const cvi_opctx *ctx;
    int64_t c8;
} join_job;

static void join_pixels(void *context, int64_t begin, int64_t end) {
    const join_job *job = context;
    const cvi_opctx *ctx = job->ctx;
    const cvs_tensor *y = &ctx->out[0];
    int64_t at = 0;
    for (int k = 0; k < ctx->n_in; k++) {
        int64_t channels = ctx->in[k]->dim[1], step = (channels + 7) / 8 * 8;
        const float *from = (const float *)ctx->in[k]->data + begin * step;
        float *to = (float *)y->data + begin * job->c8 + at;
        for (int64_t p = begin; p < end; p++, from += step, to += job->c8) {
            memcpy(to, from, (size_t)channels * sizeof(float));
        }
        at += channels;
    }
    for (int64_t p = begin; p < end && at < job->c8; p++) {
        memset((float *)y->data + p * job->c8 + at, 0, (size_t)(job->c8 - at) * sizeof(float));
    }
}

static cvs_status fast_concat(cvi_opctx *ctx) {
    const cvs_tensor *y = &ctx->out[0];
    join_job job = {ctx, (y->dim[1] + 7) / 8 * 8};
    cvi_each_rows(ctx, y->dim[0] * y->dim[2] * y->dim[3], job.c8, &job, join_pixels);
    return CVS_OK;
}

typedef struct part_job {
    const float *from, *base; /* from: first channel of the part */
    float *to;
    int64_t channels, step, c8;
    const cvi_back_gate *limit;
} part_job;

/* What a limit before the part does to its gradient, on one pixel. */
static void limit_pixel(const cvi_back_gate *g, const float *y, int64_t n, float *to) {
    const float low = g->lo, high = g->hi;
    if (g->positive) {
        for (int64_t c = 0; c < n; c++) {
            to[c] = to[c] > 0 ? to[c] : 0;
        }
    }
    if (y != NULL) { /* a limit that is NaN stops nothing, a y that is NaN everything */
        for (int64_t c = 0; c < n; c++) {
            to[c] = y[c] <= low || y[c] >= high || y[c] != y[c] ? 0 : to[c];
        }
    }
}

static void part_pixels(void *context, int64_t begin, int64_t end) {
    const part_job *job = context;
    for (int64_t p = begin; p < end; p++) {
        const float *from = job->from + p * job->c8,
                    *base = job->base == NULL ? NULL : job->base + p * job->step;
        float *to = job->to + p * job->step;
        if (job->base == NULL) {
            memcpy(to, from, (size_t)job->channels * sizeof(float));
        } else {
            for (int64_t c = 0; c < job->channels; c++) {
                to[c] = base[c] + from[c];
            }
        }
        memset(to + job->channels, 0, (size_t)(job->step - job->channels) * sizeof(float));
        if (job->limit->on) {
            limit_pixel(job->limit, job->limit->y == NULL ? NULL : job->limit->y + p * job->step,
                        job->channels, to);
        }
    }
}

static bool concat_back_form(const cvi_opctx *ctx, const bool *wants, cvi_back_form *form) {
    (void)wants; /* reads nothing but the gradient */
    form->gates = true;
    for (int k = 0; k < ctx->n_in; k++) {
        if (ctx->in[k] == NULL) {
            return false;
        }
    }
    return true;
}

static cvs_status concat_back(cvi_opctx *ctx, const cvi_back *back) {
    const cvs_tensor *g = back->grad_out[0];
    int64_t at = 0;
    for (int k = 0; g != NULL && k < ctx->n_in; k++) {
        int64_t channels = ctx->in[k]->dim[1];
        if (back->grad_in[k] != NULL) {
            part_job job = {.from = (const float *)g->data + at,
                            .base = back->base[k],
                            .to = back->grad_in[k]->data,
                            .channels = channels,
                            .step = (channels + 7) / 8 * 8,
                            .c8 = (g->dim[1] + 7) / 8 * 8,
                            .limit = &back->gate[k]};
            cvi_each_rows(ctx, g->dim[0] * g->dim[2] * g->dim[3], job.step, &job, part_pixels);
        }
        at += channels;
    }
    return CVS_OK;
}

/* ---- Split ------------------------------------------------------------------------------------------- */
/* Given lengths must add up; otherwise equal parts, the last one shorter where they do not divide. */
static cvs_status infer_split(cvi_opctx *ctx) {
    const cvs_tensor *x = ctx->in[0];
    int axis;
    CVI_TRY(cvi_axis(ctx, cvi_op_int(ctx, "axis"), x->rank, &axis));
    const cvs_tensor *lengths = cvi_in(ctx, 1);
    int64_t dim[CVS_MAX_RANK], total = 0, parts = cvi_op_int(ctx, "num_outputs");
    memcpy(dim, x->dim, sizeof dim);
    parts = parts > 0 ? parts : ctx->n_out;
    if (lengths != NULL) {
        CVI_TRY(cvi_need(ctx, 1));
        parts = cvs_tensor_count(lengths);
    }
    if (parts != ctx->n_out || parts < 1) {
        return cvi_fail(ctx->err, CVS_E_SHAPE, "the input is split into %lld parts, but there are %d outputs",
                        (long long)parts, ctx->n_out);
    }
    int64_t even = (x->dim[axis] + parts - 1) / parts;
    for (int k = 0; k < ctx->n_out; k++) {
        dim[axis] =
            lengths != NULL ? cvi_get_int(lengths, k) : CVI_MIN(even, CVI_MAX(x->dim[axis] - total, 0));
        if (!cvi_add(total, dim[axis], &total)) {
            return cvi_fail(ctx->err, CVS_E_SHAPE, "part %d of the split has length %lld", k,
                            (long long)dim[axis]);
        }
        CVI_TRY(cvi_out_shape(ctx, k, x->dtype, x->rank, dim));
    }
    if (total != x->dim[axis]) {
        return cvi_fail(ctx->err, CVS_E_SHAPE, "the parts of the split add up to %lld, but axis %d is %lld",
                        (long long)total, axis, (long long)x->dim[axis]);
    }
    return CVS_OK;
}

static cvs_status forward_split(cvi_opctx *ctx) {
    const cvs_tensor *x = ctx->in[0];
    int axis;
    CVI_TRY(cvi_axis(ctx, cvi_op_int(ctx, "axis"), x->rank, &axis));
    size_t size = cvs_dtype_size(x->dtype), row = (size_t)run_of(x, axis) * size, at = 0;
    int64_t outer = cvi_product(x->dim, 0, axis), inner = cvi_product(x->dim, axis + 1, x->rank);
    const cvs_tensor *lengths = cvi_in(ctx, 1);
    int64_t even = (x->dim[axis] + ctx->n_out - 1) / ctx->n_out;
    for (int k = 0; k < ctx->n_out; k++) {
        cvs_tensor *y = &ctx->out[k];
        /* An output that nobody wants has no shape here, but its length still counts. */
        int64_t length = lengths != NULL ? cvi_get_int(lengths, k) : even;
        size_t run = (size_t)(length * inner) * size;
        for (int64_t o = 0; y->dtype != CVS_NONE && y->bytes > 0 && o < outer; o++) {
            size_t part = y->bytes / (size_t)outer;
            memcpy((char *)y->data + (size_t)o * part, (const char *)x->data + (size_t)o * row + at, part);
        }
        at += run;
    }
    return CVS_OK;
}

static cvs_status backward_split(cvi_opctx *ctx, cvi_rule rule, const cvs_tensor *const *grad_out,
                                 cvs_tensor *const *grad_in) {
    (void)rule;
    cvs_tensor *to = grad_in[0];
    const cvs_tensor *lengths = cvi_in(ctx, 1);
    int axis;
    if (to == NULL) {
        return CVS_OK;
    }
    CVI_TRY(cvi_axis(ctx, cvi_op_int(ctx, "axis"), to->rank, &axis));
    int64_t outer = cvi_product(to->dim, 0, axis), row = run_of(to, axis), at = 0;
    int64_t inner = cvi_product(to->dim, axis + 1, to->rank);
    int64_t even = (to->dim[axis] + ctx->n_out - 1) / ctx->n_out;
    for (int k = 0; k < ctx->n_out; k++) {
        int64_t run = (lengths != NULL ? cvi_get_int(lengths, k)
                                       : CVI_MIN(even, to->dim[axis] - at / CVI_MAX(inner, 1))) *
                      inner;
        for (int64_t o = 0; grad_out[k] != NULL && o < outer; o++) {
            add_run(to, o * row + at, grad_out[k], o * run, run);
        }
        at += run;
    }
    return CVS_OK;
}

static void field_axis(const cvi_opctx *ctx, cvi_field_step *step) {
    int axis;
    int rank = ctx->in[0]->rank;
    bool known = cvi_axis(ctx, cvi_op_int(ctx, "axis"), rank, &axis) == CVS_OK;
    step->kind = known && rank >= 3 && axis < rank - 2 ? CVI_FIELD_SAME : CVI_FIELD_NONE;
}

/* ---- descriptors ------------------------------------------------------------------------------------- */
/* The number of one of the inputs, as it is. */
static cvs_status concat_unit(cvi_opctx *ctx, int64_t at, cvs_unit *unit) {
    const cvs_tensor *y = &ctx->out[0];
    int axis;
    CVI_TRY(cvi_axis(ctx, cvi_op_int(ctx, "axis"), y->rank, &axis));
    int64_t row = run_of(y, axis), inside = at % row;
    for (int k = 0; k < ctx->n_in; k++) {
        int64_t run = run_of(ctx->in[k], axis);
        if (inside < run) {
            int64_t x = at / row * run + inside;
            unit->kind = CVS_UNIT_COPY;
            cvi_unit_add(unit, k, x, -1, cvi_get(ctx->in[k], x), 1);
            return CVS_OK;
        }
        inside -= run;
    }
    return CVS_OK;
}

static const cvi_op_io concat_in[] = {{"inputs", CVI_DATA, false, true}};
static const cvi_op_io concat_out[] = {{"concat_result", CVI_DATA, false, false}};
static const cvi_op_attr concat_attrs[] = {
    {"axis", CVI_ATTR_INT, NULL, "-rank ... rank-1", "dimension along which the inputs are laid end to end",
     "沿哪一维首尾相接"},
};

const cvi_op cvi_op_concat = {
    .name = "Concat",
    .word_en = "concat",
    .word_zh = "拼接",
    .since = 4,
    .inputs = concat_in,
    .n_inputs = 1,
    .outputs = concat_out,
    .n_outputs = 1,
    .attrs = concat_attrs,
    .n_attrs = 1,
    .flags = CVI_OP_PIXELS | CVI_OP_JOINS,
    .glyph = CVI_GLYPH_CONCAT,
    .infer = infer_concat,
    .forward = forward_concat,
    .any_type = true,
    .can_fast = can_fast_concat,
    .fast_layout = CVS_NHWC8,
    .fast = fast_concat,
    .apart = cvi_apart_axis,
    .unit = concat_unit,
    .backward = backward_concat,
    .back_form = concat_back_form,
    .back_fast = concat_back,
    .field = field_axis,
    .text = {"Concatenation", "拼接",
             "Lays its inputs end to end, usually along the channels, so that the next layer sees the "
             "features of all of "
             "them.",
             "把各个输入首尾相接，通常沿通道方向，使下一层能同时看到它们的全部特征。", "y = [x₁, x₂, …]",
             "The maps of the first input come first, then those of the second, and so on; none is changed.",
             "先是第一个输入的特征图，再是第二个的，依此类推；内容都不变。"},
};

static const cvi_op_io split_in[] = {{"input", CVI_DATA, false, false}, {"split", CVI_SHAPE, true, false}};
static const cvi_op_io split_out[] = {{"outputs", CVI_DATA, false, true}};
static const cvi_op_attr split_attrs[] = {
    {"axis", CVI_ATTR_INT, "0", "-rank ... rank-1", "dimension that is cut", "沿哪一维切分"},
    {"num_outputs", CVI_ATTR_INT, "0", ">= 1", "number of equal parts when no lengths are given",
     "未给出各段长度时，等分的段数"},
};

const cvi_op cvi_op_split = {
    .name = "Split",
    .word_en = "split",
    .word_zh = "切分",
    .since = 13,
    .inputs = split_in,
    .n_inputs = 2,
    .outputs = split_out,
    .n_outputs = 1,
    .attrs = split_attrs,
    .n_attrs = 2,
    .glyph = CVI_GLYPH_SHAPE,
    .infer = infer_split,
    .forward = forward_split,
    .any_type = true,
    .backward = backward_split,
    .field = field_axis,
    .text = {"Split", "切分",
             "Cuts a tensor into parts along one dimension, for instance into groups of channels.",
             "沿某一维把张量切成几段，例如切成几组通道。", "[y₁, y₂, …] = x",
             "Each part shows some of the input's maps, unchanged.",
             "每一段都是输入的一部分特征图，内容不变。"},
};

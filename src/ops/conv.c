/* SPDX-License-Identifier: MIT
 * conv.c - Conv in 1, 2 and 3 dimensions: groups, dilation, every kind of padding.
 */
#include "ops/conv_fast.h"
#include "ops/unit.h"

static cvs_status conv_infer(cvi_opctx *ctx) {
    cvi_conv_sides s;
    CVI_TRY(cvi_want_float(ctx, 0));
    CVI_TRY(cvi_want_alike(ctx, 1, 2));
    CVI_TRY(cvi_conv_read(ctx, &s));
    if (s.groups < 1 || s.channels % s.groups != 0 || s.filters % s.groups != 0) {
        return cvi_at_attr(
            ctx->err,
            cvi_fail(ctx->err, CVS_E_SHAPE,
                     "group is %lld; it must divide the %lld input channels and the %lld filters",
                     (long long)s.groups, (long long)s.channels, (long long)s.filters),
            "group");
    }
    if (ctx->in[1]->dim[1] != s.channels / s.groups) {
        return cvi_fail(ctx->err, CVS_E_SHAPE,
                        "the kernel reads %lld channels, the input has %lld in %lld group(s): %lld for each",
                        (long long)ctx->in[1]->dim[1], (long long)s.channels, (long long)s.groups,
                        (long long)(s.channels / s.groups));
    }
    CVI_TRY(cvi_want_vector(ctx, 2, s.filters));
    int64_t dim[5] = {s.n, s.filters};
    for (int i = 0; i < s.w.axes; i++) {
        dim[2 + i] = s.w.out[3 - s.w.axes + i];
    }
    return cvi_out_shape(ctx, 0, ctx->in[0]->dtype, 2 + s.w.axes, dim);
}

static cvs_status conv_forward(cvi_opctx *ctx) {
    cvi_conv_sides s;
    CVI_TRY(cvi_conv_read(ctx, &s));
    const cvs_tensor *bias = cvi_in(ctx, 2);
    if (ctx->quick && !ctx->plain && bias == NULL && cvi_conv_fits(ctx, &s)) {
        memset(ctx->out[0].data, 0, ctx->out[0].bytes); /* the kernels' way adds */
        return cvi_conv_fast_small(ctx, &s, ctx->in[0]->data, ctx->in[1]->data, ctx->out[0].data);
    }
    cvi_conv_small(&s, ctx->in[0]->data, ctx->in[1]->data, bias == NULL ? NULL : bias->data, ctx->out[0].data,
                   false, ctx->pool);
    return CVS_OK;
}

static void conv_cost(const cvi_opctx *ctx, cvi_cost *cost) {
    const cvs_tensor *w = ctx->in[1];
    int64_t outputs = cvs_tensor_count(&ctx->out[0]), taps = cvi_span(w, 1, w->rank);
    if (!cvi_mul(outputs, taps, &cost->macs)) {
        cost->macs = INT64_MAX;
    }
    cost->flops = cvi_in(ctx, 2) != NULL ? outputs : 0;
}

static void conv_field(const cvi_opctx *ctx, cvi_field_step *step) {
    cvi_opctx quiet = *ctx;
    cvi_conv_sides s;
    quiet.err = NULL;
    if (cvi_conv_read(&quiet, &s) == CVS_OK) {
        cvi_window_field(&s.w, step);
    }
}

typedef struct unit_job {
    const cvi_opctx *ctx;
    cvs_unit *unit;
    int64_t kernel; /* of this filter and channel: where its taps begin */
} unit_job;

static void visit_tap(void *context, int64_t tap, int64_t at) {
    const unit_job *j = context;
    cvi_unit_add(j->unit, 0, at, j->kernel + tap, at < 0 ? 0 : cvi_get(j->ctx->in[0], at),
                 cvi_get(j->ctx->in[1], j->kernel + tap));
}

static cvs_status conv_unit(cvi_opctx *ctx, int64_t at, cvs_unit *unit) {
    cvi_conv_sides s;
    CVI_TRY(cvi_conv_read(ctx, &s));
    int64_t per = cvi_window_out(&s.w), plane = at / per, filter = plane % s.filters,
            sample = plane / s.filters;
    int64_t channels = s.channels / s.groups, first = filter / (s.filters / s.groups) * channels;
    unit_job j = {.ctx = ctx, .unit = unit};
    unit->kind = CVS_UNIT_SUM;
    unit->bias = cvi_in(ctx, 2) != NULL ? cvi_get(ctx->in[2], filter) : 0;
    for (int64_t c = 0; c < channels; c++) {
        j.kernel = (filter * channels + c) * cvi_window_kernel_size(&s.w);
        cvi_unit_window(&s.w, at % per, (sample * s.channels + first + c) * cvi_window_in(&s.w), visit_tap,
                        &j);
    }
    return CVS_OK;
}

static const cvi_op_io conv_in[] = {
    {"X", CVI_DATA, false, false}, {"W", CVI_WEIGHT, false, false}, {"B", CVI_BIAS, true, false}};
static const cvi_op_io conv_out[] = {{"Y", CVI_DATA, false, false}};
static const cvi_op_attr conv_attrs[] = {
    CVI_WINDOW_ATTRS,
    CVI_WINDOW_DILATIONS,
    {"group", CVI_ATTR_INT, "1", ">= 1",
     "number of groups; a filter reads the channels of its own group only",
     "分组数；每个卷积核只读取本组的通道"},
};

const cvi_op cvi_op_conv = {
    .name = "Conv",
    .word_en = "conv",
    .word_zh = "卷积",
    .since = 1,
    .inputs = conv_in,
    .n_inputs = CVI_COUNT(conv_in),
    .outputs = conv_out,
    .n_outputs = CVI_COUNT(conv_out),
    .attrs = conv_attrs,
    .n_attrs = CVI_COUNT(conv_attrs),
    .flags = CVI_OP_CONV,
    .glyph = CVI_GLYPH_CONV,
    .infer = conv_infer,
    .forward = conv_forward,
    .can_fast = cvi_conv_can_fast,
    .fast_layout = CVS_NHWC8,
    .prepare = cvi_conv_prepare,
    .drop = cvi_conv_drop,
    .repack = cvi_conv_repack,
    .fast = cvi_conv_fast,
    .band = cvi_conv_band,
    .how = cvi_conv_how,
    .epilogue = CVI_EPI_AFFINE | CVI_EPI_ADD | CVI_EPI_CLAMP | CVI_EPI_PITCH | CVI_EPI_OVER,
    .part = cvi_conv_part,
    .zero_edge = true,
    .grain = cvi_conv_grain,
    .unit = conv_unit,
    .backward = cvi_conv_backward,
    .back_form = cvi_conv_back_form,
    .back_fast = cvi_conv_back,
    .cost = conv_cost,
    .field = conv_field,
    .text = {"Convolution", "卷积",
             "Slides each filter over the picture and writes down, at every place, how well the filter "
             "matches what "
             "lies beneath it.",
             "每个卷积核在图像上逐位置滑动，记录它与所在区域的匹配程度。",
             "y[n,k,i,j] = b[k] + Σ w[k,c,r,s]·x[n,c,i·S+r·D−P,j·S+s·D−P]",
             "One map per filter: red places match the filter, blue places match its opposite.",
             "每个卷积核对应一张特征图：红色处与卷积核吻合，蓝色处与它相反。"},
};

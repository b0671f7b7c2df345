/* SPDX-License-Identifier: MIT
 * conv_transpose.c - ConvTranspose in 1, 2 and 3 dimensions: the same sums as Conv read backwards, so its input is the small
 * side of conv_loops.h and its output the large one.
 */
#include "ops/conv_fast.h"
#include "ops/unit.h"

static cvs_status transpose_infer(cvi_opctx *ctx) {
    cvi_conv_sides s;
    CVI_TRY(cvi_want_float(ctx, 0));
    CVI_TRY(cvi_want_alike(ctx, 1, 2));
    CVI_TRY(cvi_conv_read(ctx, &s));
    const cvs_tensor *w = ctx->in[1];
    if (w->dim[0] != s.filters) {
        return cvi_fail(ctx->err, CVS_E_SHAPE, "the kernel takes %lld channels, the input has %lld",
                        (long long)w->dim[0], (long long)s.filters);
    }
    if (s.filters % s.groups != 0) {
        return cvi_at_attr(ctx->err,
                           cvi_fail(ctx->err, CVS_E_SHAPE,
                                    "group is %lld; it must divide the %lld input channels",
                                    (long long)s.groups, (long long)s.filters),
                           "group");
    }
    CVI_TRY(cvi_want_vector(ctx, 2, s.channels));
    int64_t dim[5] = {s.n, s.channels};
    for (int i = 0; i < s.w.axes; i++) {
        dim[2 + i] = s.w.in[3 - s.w.axes + i];
    }
    return cvi_out_shape(ctx, 0, ctx->in[0]->dtype, 2 + s.w.axes, dim);
}

static cvs_status transpose_forward(cvi_opctx *ctx) {
    cvi_conv_sides s;
    CVI_TRY(cvi_conv_read(ctx, &s));
    const cvs_tensor *bias = cvi_in(ctx, 2);
    cvi_conv_large(&s, ctx->in[0]->data, ctx->in[1]->data, bias == NULL ? NULL : bias->data, ctx->out[0].data,
                   false, ctx->pool);
    return CVS_OK;
}

/* A factor per channel would have to be worked in along the weights' second axis. */
static bool transpose_back_form(const cvi_opctx *ctx, const bool *wants, cvi_back_form *form) {
    bool fits = cvi_conv_back_form(ctx, wants, form);
    form->scales = false;
    return fits;
}

/* Each input number is multiplied by its group's kernels once. */
static void transpose_cost(const cvi_opctx *ctx, cvi_cost *cost) {
    const cvs_tensor *w = ctx->in[1];
    if (!cvi_mul(cvs_tensor_count(ctx->in[0]), cvi_span(w, 1, w->rank), &cost->macs)) {
        cost->macs = INT64_MAX;
    }
    cost->flops = cvi_in(ctx, 2) != NULL ? cvs_tensor_count(&ctx->out[0]) : 0;
}

/* One output reads about kernel/stride inputs; the map grows by the stride. */
static void transpose_field(const cvi_opctx *ctx, cvi_field_step *step) {
    cvi_opctx quiet = *ctx;
    cvi_conv_sides s;
    quiet.err = NULL;
    if (cvi_conv_read(&quiet, &s) != CVS_OK) {
        return;
    }
    step->kind = CVI_FIELD_SCALE;
    for (int i = 0; i < 2; i++) {
        const cvi_window *w = &s.w;
        int64_t reach = (w->kernel[1 + i] - 1) * w->dilation[1 + i] + 1;
        step->kernel[i] = (reach + w->stride[1 + i] - 1) / w->stride[1 + i];
        step->scale[i] = w->out[1 + i] > 0 ? (double)w->in[1 + i] / (double)w->out[1 + i] : 1;
    }
}

/* The input position whose tap k of its stamp lies on output o; -1: none. */
static int64_t stamp_at(const cvi_window *w, int axis, int64_t o, int64_t k) {
    int64_t far = o + w->begin[axis] - k * w->dilation[axis];
    int64_t at = far >= 0 && far % w->stride[axis] == 0 ? far / w->stride[axis] : -1;
    return at < w->out[axis] ? at : -1;
}

/* All taps of every input channel of the group; those that no stamp lays on this place read nothing (at -1). */
static cvs_status transpose_unit(cvi_opctx *ctx, int64_t at, cvs_unit *unit) {
    cvi_conv_sides s;
    CVI_TRY(cvi_conv_read(ctx, &s));
    const cvi_window *w = &s.w;
    int64_t per = cvi_window_in(w), plane = at / per, o = at % per, channel = plane % s.channels;
    int64_t inside = s.channels / s.groups, each = s.filters / s.groups, group = channel / inside;
    int64_t place[3] = {o / (w->in[1] * w->in[2]), o / w->in[2] % w->in[1], o % w->in[2]};
    unit->kind = CVS_UNIT_SUM;
    unit->bias = cvi_in(ctx, 2) != NULL ? cvi_get(ctx->in[2], channel) : 0;
    for (int64_t c = group * each; c < (group + 1) * each; c++) {
        int64_t tap = (c * inside + channel % inside) * cvi_window_kernel_size(w);
        int64_t base = (plane / s.channels * s.filters + c) * cvi_window_out(w);
        for (int64_t d = 0; d < w->kernel[0]; d++) {
            for (int64_t h = 0; h < w->kernel[1]; h++) {
                for (int64_t k = 0; k < w->kernel[2]; k++, tap++) {
                    int64_t i = stamp_at(w, 0, place[0], d), j = stamp_at(w, 1, place[1], h),
                            l = stamp_at(w, 2, place[2], k);
                    bool lies = i >= 0 && j >= 0 && l >= 0;
                    int64_t x = lies ? base + (i * w->out[1] + j) * w->out[2] + l : -1;
                    cvi_unit_add(unit, 0, x, tap, lies ? cvi_get(ctx->in[0], x) : 0,
                                 cvi_get(ctx->in[1], tap));
                }
            }
        }
    }
    return CVS_OK;
}

static const cvi_op_io transpose_in[] = {
    {"X", CVI_DATA, false, false}, {"W", CVI_WEIGHT, false, false}, {"B", CVI_BIAS, true, false}};
static const cvi_op_io transpose_out[] = {{"Y", CVI_DATA, false, false}};
static const cvi_op_attr transpose_attrs[] = {
    CVI_WINDOW_ATTRS,
    CVI_WINDOW_DILATIONS,
    {"group", CVI_ATTR_INT, "1", ">= 1",
     "number of groups; a filter reads the channels of its own group only",
     "分组数；每个卷积核只读取本组的通道"},
    {"output_padding", CVI_ATTR_INTS, "", ">= 0", "positions added at the end of each axis of the output",
     "在输出每个轴末端追加的位置数"},
    {"output_shape", CVI_ATTR_INTS, "", ">= 1",
     "wanted size of the output on each axis; paddings follow from it", "期望的输出尺寸；填充由它推出"},
};

const cvi_op cvi_op_conv_transpose = {
    .name = "ConvTranspose",
    .word_en = "deconv",
    .word_zh = "反卷积",
    .since = 1,
    .inputs = transpose_in,
    .n_inputs = CVI_COUNT(transpose_in),
    .outputs = transpose_out,
    .n_outputs = CVI_COUNT(transpose_out),
    .attrs = transpose_attrs,
    .n_attrs = CVI_COUNT(transpose_attrs),
    .flags = CVI_OP_CONV,
    .glyph = CVI_GLYPH_UPSAMPLE,
    .infer = transpose_infer,
    .forward = transpose_forward,
    .can_fast = cvi_conv_can_fast,
    .fast_layout = CVS_NHWC8,
    .prepare = cvi_conv_prepare,
    .drop = cvi_conv_drop,
    .repack = cvi_conv_repack,
    .fast = cvi_conv_fast,
    .how = cvi_conv_how,
    .epilogue = CVI_EPI_AFFINE | CVI_EPI_ADD | CVI_EPI_CLAMP | CVI_EPI_PITCH | CVI_EPI_OVER,
    .unit = transpose_unit,
    .backward = cvi_conv_backward,
    .back_form = transpose_back_form,
    .back_fast = cvi_conv_back,
    .cost = transpose_cost,
    .field = transpose_field,
    .text =
        {"Transposed convolution", "转置卷积（反卷积）",
         "Stamps its filter onto a larger map once for every input number, as strong as that number; "
         "overlaps add up.",
         "对每个输入数，按其大小把卷积核“盖印”到更大的图上；重叠处相加。",
         "y[n,k,i·S+r·D−P,j·S+s·D−P] += w[c,k,r,s]·x[n,c,i,j];  y += b[k]",
         "A larger map painted with the filter; a checkerboard pattern means that stamps overlap unevenly.",
         "用卷积核“画”出的更大的图；棋盘状纹理说明盖印重叠不均。"},
};

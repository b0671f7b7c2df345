/* SPDX-License-Identifier: MIT
 * window.h (internal) - the geometry that convolutions and pools share: where the windows of each output position lie in
 * the input. Always three axes: a 1-D or 2-D operator has leading axes of size 1, so that one loop serves all.
 */
#ifndef CVI_OPS_WINDOW_H
#define CVI_OPS_WINDOW_H

#include "kernels/kernels.h"
#include "ops/typed.h"

typedef struct cvi_window {
    int axes; /* 1 to 3 real ones, the last of the three */
    int64_t in[3], out[3], kernel[3], stride[3], dilation[3], begin[3], end[3];
} cvi_window;

/* Reads strides, dilations, pads, auto_pad (and ceil_mode, if `ceil`) and computes out[] by ONNX's rules; `spatial` = in's shape
 * from dimension 2 on, kernel as many numbers. Errors name the attribute. */
cvs_status cvi_window_read(cvi_opctx *ctx, const cvs_tensor *in, const int64_t *kernel, bool ceil,
                           cvi_window *w);
/* The same for a transposed convolution: in[] is the large side (its output), out[] the small one (its input);
 * reads output_padding and output_shape too. */
cvs_status cvi_window_read_transposed(cvi_opctx *ctx, const cvs_tensor *in, const int64_t *kernel,
                                      cvi_window *w);
/* kernel_shape, required unless `weights` gives it (its dimensions from 2 on); exactly as many as in has axes. */
cvs_status cvi_window_kernel(cvi_opctx *ctx, const cvs_tensor *in, const cvs_tensor *weights,
                             int64_t *kernel);
/* Positions on one side. */
static inline int64_t cvi_window_in(const cvi_window *w) {
    return w->in[0] * w->in[1] * w->in[2];
}
static inline int64_t cvi_window_out(const cvi_window *w) {
    return w->out[0] * w->out[1] * w->out[2];
}
static inline int64_t cvi_window_kernel_size(const cvi_window *w) {
    return w->kernel[0] * w->kernel[1] * w->kernel[2];
}
/* The taps [*first, *last) of the window at output o that lie inside the input. */
static inline void cvi_window_taps(const cvi_window *w, int axis, int64_t o, int64_t *first, int64_t *last) {
    int64_t start = o * w->stride[axis] - w->begin[axis], d = w->dilation[axis];
    *first = start >= 0 ? 0 : (-start + d - 1) / d;
    int64_t room = w->in[axis] - start;
    int64_t end = room <= 0 ? 0 : (room + d - 1) / d;
    *last = CVI_MIN(end, w->kernel[axis]);
}
/* The outputs [*first, *last) whose tap k lies inside the input. */
static inline void cvi_window_outputs(const cvi_window *w, int axis, int64_t k, int64_t *first,
                                      int64_t *last) {
    int64_t shift = k * w->dilation[axis] - w->begin[axis], s = w->stride[axis];
    *first = shift >= 0 ? 0 : (-shift + s - 1) / s;
    int64_t room = w->in[axis] - shift;
    int64_t end = room <= 0 ? 0 : (room + s - 1) / s;
    *last = CVI_MIN(end, w->out[axis]);
}
/* The window as a receptive-field step over H and W (a 1-D operator fills W). */
void cvi_window_field(const cvi_window *w, cvi_field_step *step);

/* The window of a 2-D pool over x [N,C,H,W] as the kernels take it. */
cvi_pool_shape cvi_window_pool(const cvi_window *w, const cvs_tensor *x);

/* The same window over blocks (cvi_op.part). */
cvi_pool_shape cvi_window_part(const cvi_window *w, const cvi_part *part);

/* Rows of the attribute table that every windowed operator has. */
#define CVI_WINDOW_ATTRS                                                                                     \
    {"auto_pad",                                                                                             \
     CVI_ATTR_STRING,                                                                                        \
     "NOTSET",                                                                                               \
     "NOTSET|SAME_UPPER|SAME_LOWER|VALID",                                                                   \
     "how padding is chosen: from `pads`, or so that the output has the input's size divided by the stride", \
     "填充方式：按 pads 给定，或自动填充使输出尺寸等于输入尺寸除以步幅"},                                    \
        {"kernel_shape",        CVI_ATTR_INTS, "", ">= 1", "size of the window on each axis",                \
         "窗口在每个轴上的大小"},                                                                            \
        {"pads",                                                                                             \
         CVI_ATTR_INTS,                                                                                      \
         "",                                                                                                 \
         ">= 0",                                                                                             \
         "padding before each axis, then after each axis",                                                   \
         "先列各轴前端的填充，再列各轴后端的填充"},                                                          \
    {                                                                                                        \
        "strides", CVI_ATTR_INTS, "", ">= 1", "step between neighbouring windows on each axis",              \
            "相邻窗口在每个轴上的步幅"                                                           \
    }

#define CVI_WINDOW_DILATIONS                                                                                 \
    {                                                                                                        \
        "dilations", CVI_ATTR_INTS, "", ">= 1",                                                              \
            "distance between neighbouring taps of one window on each axis",                                 \
            "同一窗口内相邻采样点在每个轴上的间距（空洞率）"                          \
    }
#define CVI_WINDOW_CEIL                                                                                      \
    {                                                                                                        \
        "ceil_mode", CVI_ATTR_INT, "0", "0|1",                                                               \
            "1: round the output size up, keeping windows that reach past the end",                          \
            "取 1 时输出尺寸向上取整，保留越过末端的窗口"                                \
    }

#endif

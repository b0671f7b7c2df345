/* SPDX-License-Identifier: MIT
 * act_hard.c - cheap stand-ins for smooth activations: HardSigmoid, HardSwish, Softsign.
 */
#include <math.h>

#include "ops/map.h"

/* NaN stays NaN. */
static inline double unit(double v) {
    return v < 0 ? 0 : v > 1 ? 1 : v;
}

CVI_MAP(hard_sigmoid, unit(p[0] * v + p[1]), p[0] * v + p[1] > 0 && p[0] * v + p[1] < 1 ? p[0] : 0)
CVI_MAP(hard_swish, v *unit(v / 6 + 0.5), v <= -3 ? 0 : v >= 3 ? 1 : v / 3 + 0.5)
CVI_MAP(softsign, v / (1 + fabs(v)), 1 / ((1 + fabs(v)) * (1 + fabs(v))))

CVI_MAP_CALLS(hard_sigmoid, false, cvi_op_float(ctx, "alpha"), cvi_op_float(ctx, "beta"))
CVI_MAP_CALLS(hard_swish, false, 0, 0)
CVI_MAP_CALLS(softsign, false, 0, 0)

CVI_MAP_FAST(hard_sigmoid, CVI_U_HARDSIGMOID, cvi_op_float(ctx, "alpha"), cvi_op_float(ctx, "beta"))
CVI_MAP_FAST(hard_swish, CVI_U_HARDSWISH, 0, 0)
CVI_MAP_FAST(softsign, CVI_U_SOFTSIGN, 0, 0)

static const cvi_op_attr hard_sigmoid_attrs[] = {
    {"alpha", CVI_ATTR_FLOAT, "0.2", "any", "slope of the middle part", "中间段的斜率"},
    {"beta", CVI_ATTR_FLOAT, "0.5", "any", "value at 0", "在 0 处的取值"},
};
const cvi_op cvi_op_hard_sigmoid = {
    .name = "HardSigmoid",
    .word_en = "hard-sigmoid",
    .word_zh = "hard-sigmoid",
    .since = 6,
    CVI_MAP_COMMON(hard_sigmoid),
    .attrs = hard_sigmoid_attrs,
    .n_attrs = CVI_COUNT(hard_sigmoid_attrs),
    .flags = CVI_OP_POINTWISE,
    .infer = cvi_map_infer,
    .text = {"Hard sigmoid", "硬 Sigmoid", "A sigmoid made of three straight pieces, from 0 to 1.",
             "由三段直线组成的 Sigmoid，取值从 0 到 1。", "y = max(0, min(1, α·x + β))",
             "White is fully on, black fully off, grey in between.",
             "白色表示完全打开，黑色表示完全关闭，灰色介于两者之间。"},
};

const cvi_op cvi_op_hard_swish = {
    .name = "HardSwish",
    .word_en = "hard-swish",
    .word_zh = "hard-swish",
    .since = 14,
    CVI_MAP_COMMON(hard_swish),
    .flags = CVI_OP_POINTWISE,
    .infer = cvi_map_infer,
    .text = {"Hard swish", "硬 Swish", "Every number times a gate of straight pieces: a cheap swish.",
             "每个数乘以一个由直线组成的门控：计算更省的 Swish。", "y = x·max(0, min(1, x/6 + 1/2))",
             "As ReLU; slightly negative responses show as faint dark places.",
             "与 ReLU 相似；略负的响应显示为稍暗的位置。"},
};

const cvi_op cvi_op_softsign = {
    .name = "Softsign",
    .since = 1,
    CVI_MAP_COMMON(softsign),
    .flags = CVI_OP_POINTWISE,
    .infer = cvi_map_infer,
    .text = {"Softsign", "Softsign",
             "Squeezes every number into the range from −1 to 1, more gently than tanh.",
             "把每个数压缩到 −1 与 1 之间，比 tanh 更平缓。", "y = x / (1 + |x|)",
             "Large responses of either sign are flattened, small ones keep their order.",
             "过强的正负响应被压平，较小的响应保持先后次序。"},
};

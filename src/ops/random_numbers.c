/* SPDX-License-Identifier: MIT
 * random_numbers.c - RandomNormal RandomUniform (and ...Like) Bernoulli Multinomial: numbers by chance, as generators and samplers have them.
 * Element i of one seed is the same on every run and for any number of threads; other libraries' streams are not reproduced.
 */
#include <math.h>

#include "ops/walk.h"

enum { PURPOSE = 0x72616e64 /* "rand" */ };

/* Seed of this node: its attribute and the run's seed, told apart from other nodes by its output. */
static uint64_t seed_of(const cvi_opctx *ctx) {
    const cvi_attr *a = cvi_node_attr(ctx->node, "seed");
    uint64_t own = a != NULL ? (uint64_t)(int64_t)fmax(fmin(a->f, 9e18), -9e18) : 0;
    return cvi_random_bits(ctx->seed ^ own, PURPOSE, ctx->node->n_out > 0 ? (uint64_t)ctx->node->out[0] : 0);
}

static cvs_status chosen_type(const cvi_opctx *ctx, cvs_dtype otherwise, bool (*fits)(cvs_dtype),
                              cvs_dtype *type) {
    int64_t asked = cvi_op_int(ctx, "dtype");
    *type = asked != 0 ? (cvs_dtype)asked : otherwise;
    if (cvs_dtype_size(*type) == 0 || !fits(*type)) {
        return cvi_at_attr(
            ctx->err, cvi_fail(ctx->err, CVS_E_UNSUPPORTED, "element type %d is not supported", (int)*type),
            "dtype");
    }
    return CVS_OK;
}

static cvs_status infer_shaped(cvi_opctx *ctx) {
    int64_t dim[CVS_MAX_RANK];
    cvs_dtype type;
    int rank = cvi_node_ints(ctx->node, "shape", dim, CVS_MAX_RANK, 0);
    CVI_TRY(chosen_type(ctx, CVS_F32, cvi_is_float, &type));
    return cvi_out_shape(ctx, 0, type, rank, dim);
}

static cvs_status infer_like(cvi_opctx *ctx) {
    cvs_dtype type;
    CVI_TRY(chosen_type(ctx, ctx->in[0]->dtype, cvi_is_float, &type));
    return cvi_out_shape(ctx, 0, type, ctx->in[0]->rank, ctx->in[0]->dim);
}

static cvs_status forward_normal(cvi_opctx *ctx) {
    double mean = cvi_op_float(ctx, "mean"), scale = cvi_op_float(ctx, "scale");
    int64_t n = cvs_tensor_count(&ctx->out[0]);
    uint64_t seed = seed_of(ctx);
    for (int64_t i = 0; i < n; i++) {
        cvi_put(&ctx->out[0], i, mean + scale * cvi_random_normal(seed, PURPOSE, (uint64_t)i));
    }
    return CVS_OK;
}

static cvs_status forward_uniform(cvi_opctx *ctx) {
    double low = cvi_op_float(ctx, "low"), high = cvi_op_float(ctx, "high");
    int64_t n = cvs_tensor_count(&ctx->out[0]);
    uint64_t seed = seed_of(ctx);
    for (int64_t i = 0; i < n; i++) {
        cvi_put(&ctx->out[0], i, low + (high - low) * cvi_random_uniform(seed, PURPOSE, (uint64_t)i));
    }
    return CVS_OK;
}

/* ---- Bernoulli, Multinomial ---------------------------------------------------------------------------- */
static bool is_number(cvs_dtype type) {
    return type == CVS_BOOL || cvi_is_float(type) || cvi_is_integer(type);
}

static cvs_status infer_bernoulli(cvi_opctx *ctx) {
    cvs_dtype type;
    CVI_TRY(cvi_want_float(ctx, 0));
    CVI_TRY(chosen_type(ctx, ctx->in[0]->dtype, is_number, &type));
    return cvi_out_shape(ctx, 0, type, ctx->in[0]->rank, ctx->in[0]->dim);
}

static cvs_status forward_bernoulli(cvi_opctx *ctx) {
    int64_t n = cvs_tensor_count(&ctx->out[0]);
    uint64_t seed = seed_of(ctx);
    for (int64_t i = 0; i < n; i++) {
        cvi_put(&ctx->out[0], i,
                cvi_random_uniform(seed, PURPOSE, (uint64_t)i) < cvi_get(ctx->in[0], i) ? 1 : 0);
    }
    return CVS_OK;
}

static cvs_status infer_multinomial(cvi_opctx *ctx) {
    cvs_dtype type;
    CVI_TRY(cvi_want_float(ctx, 0));
    CVI_TRY(cvi_rank_is(ctx, 0, 2));
    CVI_TRY(chosen_type(ctx, CVS_I32, cvi_is_integer, &type));
    int64_t dim[2] = {ctx->in[0]->dim[0], cvi_op_int(ctx, "sample_size")};
    return cvi_out_shape(ctx, 0, type, 2, dim);
}

/* A class by its share of exp(logit). */
static cvs_status forward_multinomial(cvi_opctx *ctx) {
    const cvs_tensor *x = ctx->in[0], *y = &ctx->out[0];
    int64_t classes = x->dim[1], draws = y->dim[1];
    uint64_t seed = seed_of(ctx);
    for (int64_t r = 0; r < x->dim[0]; r++) {
        double most = -(double)INFINITY, total = 0;
        for (int64_t c = 0; c < classes; c++) {
            most = fmax(most, cvi_get(x, r * classes + c));
        }
        for (int64_t c = 0; c < classes; c++) {
            total += exp(cvi_get(x, r * classes + c) - most);
        }
        for (int64_t d = 0; d < draws; d++) {
            double left = total * cvi_random_uniform(seed, PURPOSE, (uint64_t)(r * draws + d));
            int64_t c = 0;
            for (; c + 1 < classes; c++) {
                left -= exp(cvi_get(x, r * classes + c) - most);
                if (left < 0) {
                    break;
                }
            }
            cvi_put_int(y, r * draws + d, c);
        }
    }
    return CVS_OK;
}

/* ---- descriptors ------------------------------------------------------------------------------------- */
static const cvi_op_io like_in[] = {{"input", CVI_DATA, false, false}};
static const cvi_op_io random_out[] = {{"output", CVI_DATA, false, false}};

#define DTYPE                                                                                                \
    { "dtype", CVI_ATTR_INT, "0", "an ONNX element type", "type of the output", "输出的元素类型" }
#define SEED                                                                                                 \
    { "seed", CVI_ATTR_FLOAT, "0", "any number", "where the numbers begin", "随机数的起点" }
#define SHAPE                                                                                                \
    { "shape", CVI_ATTR_INTS, "", ">= 0", "shape of the output", "输出的形状" }
#define NORMAL                                                                                               \
    {"mean", CVI_ATTR_FLOAT, "0", "any number", "mean of the numbers", "均值"}, {                            \
        "scale", CVI_ATTR_FLOAT, "1", "> 0", "their standard deviation", "标准差"                         \
    }
#define UNIFORM                                                                                              \
    {"low", CVI_ATTR_FLOAT, "0", "any number", "smallest number", "最小值"}, {                               \
        "high", CVI_ATTR_FLOAT, "1", "any number", "bound of the largest", "最大值的上界"              \
    }

static const cvi_op_attr normal_attrs[] = {DTYPE, SEED, NORMAL, SHAPE};
static const cvi_op_attr uniform_attrs[] = {DTYPE, SEED, UNIFORM, SHAPE};
static const cvi_op_attr bernoulli_attrs[] = {DTYPE, SEED};
static const cvi_op_attr multinomial_attrs[] = {
    DTYPE, SEED, {"sample_size", CVI_ATTR_INT, "1", ">= 0", "draws from each row", "每行抽取的次数"}};

#define RANDOM(ID, NAME, SINCE, INPUTS, N_IN, ATTRS, N_ATTRS, INFER, FORWARD, ...)                           \
    const cvi_op cvi_op_##ID = {.name = NAME,                                                                \
                                .since = SINCE,                                                              \
                                .inputs = INPUTS,                                                            \
                                .n_inputs = N_IN,                                                            \
                                .outputs = random_out,                                                       \
                                .n_outputs = 1,                                                              \
                                .attrs = ATTRS,                                                              \
                                .n_attrs = N_ATTRS,                                                          \
                                .flags = CVI_OP_RANDOM,                                                      \
                                .glyph = CVI_GLYPH_MATH,                                                     \
                                .infer = INFER,                                                              \
                                .forward = FORWARD,                                                          \
                                .any_type = true,                                                            \
                                .field = cvi_field_none,                                                     \
                                .text = {__VA_ARGS__}}

RANDOM(random_normal, "RandomNormal", 1, NULL, 0, normal_attrs, 5, infer_shaped, forward_normal,
       "Normal noise", "正态噪声", "Draws numbers from a bell curve.", "从正态分布中抽取随机数。",
       "y ~ N(mean, scale²)", "Noise, the same for the same seed.", "噪声；种子相同则相同。");
RANDOM(random_normal_like, "RandomNormalLike", 1, like_in, 1, normal_attrs, 4, infer_like, forward_normal,
       "Normal noise of a shape", "同形正态噪声",
       "Draws numbers from a bell curve, as many as its input has.", "从正态分布中抽取与输入同样多的随机数。",
       "y ~ N(mean, scale²)", "Noise, the same for the same seed.", "噪声；种子相同则相同。");
RANDOM(random_uniform, "RandomUniform", 1, NULL, 0, uniform_attrs, 5, infer_shaped, forward_uniform,
       "Uniform noise", "均匀噪声", "Draws numbers evenly between two bounds.",
       "在两个界限之间均匀地抽取随机数。", "y ~ U[low, high)", "Noise, the same for the same seed.",
       "噪声；种子相同则相同。");
RANDOM(random_uniform_like, "RandomUniformLike", 1, like_in, 1, uniform_attrs, 4, infer_like, forward_uniform,
       "Uniform noise of a shape", "同形均匀噪声",
       "Draws numbers evenly between two bounds, as many as its input has.",
       "在两个界限之间均匀地抽取与输入同样多的随机数。", "y ~ U[low, high)",
       "Noise, the same for the same seed.", "噪声；种子相同则相同。");
RANDOM(bernoulli, "Bernoulli", 15, like_in, 1, bernoulli_attrs, 2, infer_bernoulli, forward_bernoulli,
       "Coin by coin", "伯努利抽样", "Draws a one with the probability that its input says, else a zero.",
       "按输入给出的概率抽取 1，否则为 0。", "y = 1 with probability x, else 0",
       "Grainy: denser where the input is larger.", "颗粒状：输入大的地方更密。");
RANDOM(multinomial, "Multinomial", 7, like_in, 1, multinomial_attrs, 3, infer_multinomial,
       forward_multinomial, "Draw a class", "多项抽样",
       "Draws classes by the probabilities that its input's logits mean.",
       "按输入 logit 对应的概率抽取类别。", "P(y = c) = softmax(x)[c]", "Numbers of classes.",
       "类别的编号。");

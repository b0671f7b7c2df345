/* SPDX-License-Identifier: MIT
 * dropout.c - Dropout: the identity at inference; in training (its third input says so, or that is absent and the engine
 * trains) each number, or with convscope_maps each whole map of a sample, is 0 with probability `ratio` and the others are scaled up. The mask comes from a counter-based
 * generator: element i of one seed is dropped or not whoever computes it, so backward makes it again.
 */
#include "ops/typed.h"

enum { CHUNK = 4096, PURPOSE = 0x64726f70 /* "drop" */ };

typedef struct drop_job {
    cvs_dtype dtype;
    int64_t count;
    double ratio;
    uint64_t seed;
    const void *x;
    void *out;
    bool *mask; /* or NULL */
    bool add;
    int64_t together; /* numbers that are dropped or kept together: 1, or those of a map */
} drop_job;

static cvs_status drop_infer(cvi_opctx *ctx) {
    const cvs_tensor *x = ctx->in[0];
    CVI_TRY(cvi_want_float(ctx, 0));
    for (int k = 1; k <= 2; k++) {
        const cvs_tensor *t = cvi_in(ctx, k);
        char text[128];
        if (t != NULL && cvs_tensor_count(t) != 1) {
            return cvi_fail(ctx->err, CVS_E_SHAPE, "input %s must be one number, its shape is %s",
                            cvi_input_name(ctx, k), cvs_shape_text(t->rank, t->dim, text, sizeof text));
        }
    }
    CVI_TRY(cvi_out_shape(ctx, 0, x->dtype, x->rank, x->dim));
    return cvi_out_shape(ctx, 1, CVS_BOOL, x->rank, x->dim);
}

/* The share to drop: 0 while nothing is trained. */
static cvs_status read_ratio(const cvi_opctx *ctx, double *ratio) {
    const cvs_tensor *r = cvi_in(ctx, 1), *mode = cvi_in(ctx, 2);
    bool training = mode != NULL ? cvi_get_int(mode, 0) != 0 : ctx->training;
    *ratio = training ? (r != NULL ? cvi_get(r, 0) : 0.5) : 0;
    if (!(*ratio >= 0 && *ratio < 1)) {
        return cvi_fail(ctx->err, CVS_E_ARGUMENT,
                        "the dropout ratio is %g, it must be at least 0 and below 1", *ratio);
    }
    return CVS_OK;
}

/* Two numbers share one draw of 64 bits: the low half decides the even one. */
static inline bool keeps(const drop_job *j, uint64_t bits, int64_t i) {
    return (double)(i % 2 == 0 ? bits & UINT32_MAX : bits >> 32) >= j->ratio * 4294967296.0;
}

CVI_INLINE void drop_chunk(const drop_job *j, int64_t chunk, cvs_dtype type) {
    double scale = 1 / (1 - j->ratio);
    uint64_t bits = 0;
    for (int64_t i = chunk * CHUNK; i < CVI_MIN((chunk + 1) * CHUNK, j->count); i++) {
        if (j->ratio > 0 && i % 2 == 0) { /* chunks begin at even numbers */
            bits = cvi_random_bits(j->seed, PURPOSE, (uint64_t)i / 2);
        }
        bool keep = j->ratio == 0 || keeps(j, bits, i);
        double v = keep ? cvi_load(j->x, i, type) * scale : 0;
        cvi_store(j->out, i, j->add ? v + cvi_load(j->out, i, type) : v, type);
        if (j->mask != NULL) {
            j->mask[i] = keep;
        }
    }
}

/* The same where neighbours go together. */
CVI_INLINE void drop_maps(const drop_job *j, int64_t chunk, cvs_dtype type) {
    int64_t last = -1;
    double scale = 0;
    for (int64_t i = chunk * CHUNK; i < CVI_MIN((chunk + 1) * CHUNK, j->count); i++) {
        int64_t map = i / j->together;
        if (map != last) {
            last = map;
            scale = j->ratio == 0 || keeps(j, cvi_random_bits(j->seed, PURPOSE, (uint64_t)map / 2), map)
                        ? 1 / (1 - j->ratio)
                        : 0;
        }
        double v = scale > 0 ? cvi_load(j->x, i, type) * scale : 0;
        cvi_store(j->out, i, j->add ? v + cvi_load(j->out, i, type) : v, type);
        if (j->mask != NULL) {
            j->mask[i] = scale > 0;
        }
    }
}

static void drop_body(void *context, int64_t chunk, int worker) {
    (void)worker;
    const drop_job *j = context;
    if (j->together > 1) {
        CVI_TYPED(j->dtype, drop_maps, j, chunk);
        return;
    }
    CVI_TYPED(j->dtype, drop_chunk, j, chunk);
}

static cvs_status run(cvi_opctx *ctx, const void *x, void *out, bool *mask, bool add) {
    drop_job j = {.dtype = ctx->in[0]->dtype,
                  .count = cvs_tensor_count(ctx->in[0]),
                  .seed = ctx->seed,
                  .x = x,
                  .out = out,
                  .mask = mask,
                  .add = add,
                  .together = 1};
    const cvs_tensor *t = ctx->in[0];
    for (int i = 2; cvi_op_int(ctx, "convscope_maps") && i < t->rank; i++) {
        j.together *= t->dim[i];
    }
    CVI_TRY(read_ratio(ctx, &j.ratio));
    cvi_pool_run(ctx->pool, (j.count + CHUNK - 1) / CHUNK, drop_body, &j);
    return CVS_OK;
}

static cvs_status drop_forward(cvi_opctx *ctx) {
    return run(ctx, ctx->in[0]->data, ctx->out[0].data, cvi_has_out(ctx, 1) ? ctx->out[1].data : NULL, false);
}

static cvs_status drop_backward(cvi_opctx *ctx, cvi_rule rule, const cvs_tensor *const *grad_out,
                                cvs_tensor *const *grad_in) {
    (void)rule;
    if (grad_out[0] == NULL || grad_in[0] == NULL) {
        return CVS_OK;
    }
    return run(ctx, grad_out[0]->data, grad_in[0]->data, NULL, true);
}

static const cvi_op_io drop_in[] = {{"data", CVI_DATA, false, false},
                                    {"ratio", CVI_DATA, true, false},
                                    {"training_mode", CVI_DATA, true, false}};
static const cvi_op_io drop_out[] = {{"output", CVI_DATA, false, false}, {"mask", CVI_DATA, true, false}};
static const cvi_op_attr drop_attrs[] = {{"seed", CVI_ATTR_INT, "", "any",
                                          "not used: the run's own seed decides what is dropped",
                                          "不使用：丢弃哪些数由本次运行的种子决定"},
                                         {"convscope_maps", CVI_ATTR_INT, "0", "0|1",
                                          "1: whole maps are dropped (spatial dropout); not written to ONNX",
                                          "1：按整张特征图丢弃（空间 dropout）；不写入 ONNX"}};

const cvi_op cvi_op_dropout = {
    .name = "Dropout",
    .word_en = "dropout",
    .word_zh = "dropout",
    .since = 12,
    .inputs = drop_in,
    .n_inputs = CVI_COUNT(drop_in),
    .outputs = drop_out,
    .n_outputs = CVI_COUNT(drop_out),
    .attrs = drop_attrs,
    .n_attrs = CVI_COUNT(drop_attrs),
    .flags = CVI_OP_POINTWISE | CVI_OP_IDENTITY | CVI_OP_RANDOM,
    .glyph = CVI_GLYPH_ACTIVATION,
    .infer = drop_infer,
    .forward = drop_forward,
    .backward = drop_backward,
    .text = {"Dropout", "随机失活（Dropout）",
             "While training, a random share of the numbers is set to 0 so that no unit can rely on another; "
             "afterwards it "
             "passes everything on.",
             "训练时随机把一部分数置为 0，使任何单元都不能依赖别的单元；训练之后原样通过。",
             "training: y = x·m/(1 − p), m ∈ {0, 1};  afterwards: y = x",
             "At inference the picture is that of the layer before it.",
             "推理时，这里的图与前一层完全相同。"},
};

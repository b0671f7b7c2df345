/* SPDX-License-Identifier: MIT
 * recurrent.c - RNN, GRU and LSTM: shapes, the way through all directions and samples, cost. A direction is one product for all steps and
 * then a walk (recurrent_pass.c); directions and groups of samples are walked side by side where a product is too small to be shared.
 */
#include "kernels/kernels.h"
#include "ops/recurrent.h"

/* ---- shapes ---------------------------------------------------------------------------------------------------- */

static int gates_of(const cvi_opctx *ctx) {
    return strcmp(ctx->op->name, "LSTM") == 0 ? 4 : strcmp(ctx->op->name, "GRU") == 0 ? 3 : 1;
}

static cvs_status want_shape(const cvi_opctx *ctx, int k, int rank, const int64_t *dim) {
    const cvs_tensor *t = cvi_in(ctx, k);
    char have[128], want[128];
    if (!t || (t->rank == rank && memcmp(t->dim, dim, (size_t)rank * sizeof *dim) == 0)) {
        return CVS_OK;
    }
    return cvi_fail(ctx->err, CVS_E_SHAPE, "input %s has shape %s, needed is %s", cvi_input_name(ctx, k),
                    cvs_shape_text(t->rank, t->dim, have, sizeof have),
                    cvs_shape_text(rank, dim, want, sizeof want));
}

static cvs_status check_activations(const cvi_opctx *ctx, int64_t D, int functions) {
    const cvi_attr *names = cvi_node_attr(ctx->node, "activations");
    cvi_gate_fn fn;
    bool alphas, betas;
    if (!names || names->n == 0) {
        return CVS_OK;
    }
    cvs_status s = CVS_OK;
    if (names->n != D * functions) {
        s = cvi_fail(ctx->err, CVS_E_FORMAT, "there are %d activations, but %d are needed", names->n,
                     (int)D * functions);
    }
    for (int i = 0; i < names->n && s == CVS_OK; i++) {
        if (!cvi_gate_find(names->strings[i], &fn, &alphas, &betas)) {
            s = cvi_fail(ctx->err, CVS_E_UNSUPPORTED, "the activation \"%.40s\" is unknown",
                         names->strings[i]);
        }
    }
    return cvi_at_attr(ctx->err, s, "activations");
}

static cvs_status check_direction(const cvi_opctx *ctx, int64_t D) {
    const char *way = cvi_op_string(ctx, "direction");
    bool both = strcmp(way, "bidirectional") == 0;
    if (!both && strcmp(way, "forward") != 0 && strcmp(way, "reverse") != 0) {
        return cvi_at_attr(ctx->err,
                           cvi_fail(ctx->err, CVS_E_FORMAT,
                                    "direction is \"%.40s\"; known are forward, reverse, bidirectional", way),
                           "direction");
    }
    if (D != (both ? 2 : 1)) {
        return cvi_fail(ctx->err, CVS_E_SHAPE, "the weights are for %lld directions, the direction is %s",
                        (long long)D, way);
    }
    return CVS_OK;
}

static cvs_status recurrent_infer(cvi_opctx *ctx) {
    const cvs_tensor *x = ctx->in[0], *w = ctx->in[1], *s = ctx->in[2];
    int gates = gates_of(ctx);
    CVI_TRY(cvi_want_float(ctx, 0));
    CVI_TRY(cvi_want_alike(ctx, 1, 3));
    CVI_TRY(cvi_want_alike(ctx, 5, 7));
    if (x->rank != 3 || w->rank != 3 || s->rank != 3 || s->dim[2] < 1) {
        char a[128], b[128], c[128];
        return cvi_fail(
            ctx->err, CVS_E_SHAPE, "X, W and R must have 3 dimensions, their shapes are %s, %s, %s",
            cvs_shape_text(x->rank, x->dim, a, sizeof a), cvs_shape_text(w->rank, w->dim, b, sizeof b),
            cvs_shape_text(s->rank, s->dim, c, sizeof c));
    }
    bool batch_first = cvi_op_int(ctx, "layout") == 1;
    int64_t D = w->dim[0], H = s->dim[2], G = 0, I = x->dim[2], both = 0;
    int64_t T = x->dim[batch_first ? 1 : 0], B = x->dim[batch_first ? 0 : 1];
    if (!cvi_mul(gates, H, &G) || !cvi_mul(2, G, &both)) {
        return cvi_fail(ctx->err, CVS_E_LIMIT, "the values of this model are larger than any memory");
    }
    CVI_TRY(check_direction(ctx, D));
    CVI_TRY(check_activations(ctx, D, CVI_MAX(gates - 1, 1)));
    const int64_t state[3] = {batch_first ? B : D, batch_first ? D : B, H};
    CVI_TRY(want_shape(ctx, 1, 3, (const int64_t[]){D, G, I}));
    CVI_TRY(want_shape(ctx, 2, 3, (const int64_t[]){D, G, H}));
    CVI_TRY(want_shape(ctx, 3, 2, (const int64_t[]){D, both}));
    CVI_TRY(want_shape(ctx, 4, 1, (const int64_t[]){B}));
    CVI_TRY(want_shape(ctx, 5, 3, state));
    CVI_TRY(want_shape(ctx, 6, 3, state));
    CVI_TRY(want_shape(ctx, 7, 2, (const int64_t[]){D, both / 8 * 3}));
    const int64_t forward[4] = {T, D, B, H}, sample[4] = {B, T, D, H};
    CVI_TRY(cvi_out_shape(ctx, 0, x->dtype, 4, batch_first ? sample : forward));
    CVI_TRY(cvi_out_shape(ctx, 1, x->dtype, 3, state));
    return cvi_out_shape(ctx, 2, x->dtype, 3, state);
}

/* ---- forward ---------------------------------------------------------------------------------------------------- */

enum { ALONE = 4, GROUP = 16, SHARED = 1 << 18 }; /* samples in a group; numbers of a kernel worth sharing */

typedef struct walks {
    const cvi_recurrent_pass *pass;
    int64_t groups, each;
    cvi_pool *pool; /* for the products of a walk, or NULL */
} walks;

/* Up to ALONE samples each read the kernel themselves, which is faster than packing it for a product of a few rows. */
static void one_walk(void *context, int64_t chunk, int worker) {
    const walks *w = context;
    const cvi_recurrent_pass *p = &w->pass[chunk / w->groups];
    int64_t b0 = chunk % w->groups * w->each, b1 = CVI_MIN(p->r->B, b0 + w->each);
    cvi_recurrent_steps(p, b0, b1, w->pool, worker);
}

static void give_state(const cvi_recurrent *r, int d, const void *state, cvs_tensor *out) {
    size_t bytes = (size_t)r->H * cvs_dtype_size(r->type);
    for (int64_t b = 0; b < r->B; b++) {
        memcpy(cvi_recurrent_at(out->data, cvi_recurrent_state(r, d, b), r->type),
               cvi_recurrent_at(state, b * r->H, r->type), bytes);
    }
}

static cvs_status run(cvi_opctx *ctx, bool quick) {
    cvi_recurrent r;
    cvi_recurrent_pass pass[2];
    CVI_TRY(cvi_recurrent_read(ctx, quick, &r));
    if (cvi_has_out(ctx, 0) && r.length) {
        memset(ctx->out[0].data, 0, ctx->out[0].bytes);
    }
    for (int d = 0; d < r.D; d++) {
        CVI_TRY(cvi_recurrent_begin(&r, d, false, &pass[d]));
        pass[d].y = cvi_has_out(ctx, 0) ? ctx->out[0].data : NULL;
    }
    int64_t each = r.B <= ALONE ? 1 : GROUP, groups = (r.B + each - 1) / each, n = r.D * groups;
    walks w = {pass, CVI_MAX(groups, 1), each, NULL};
    bool shared = n < cvi_pool_threads(ctx->pool) && r.G * r.H >= SHARED;
    w.pool = shared ? ctx->pool : NULL;
    for (int64_t i = 0; shared && i < n; i++) {
        one_walk(&w, i, 0);
    }
    if (!shared) {
        cvi_pool_run(ctx->pool, n, one_walk, &w);
    }
    for (int d = 0; d < r.D; d++) {
        for (int k = 1; k < 3; k++) {
            if (cvi_has_out(ctx, k)) {
                give_state(&r, d, k == 1 ? pass[d].h : pass[d].c, &ctx->out[k]);
            }
        }
    }
    return CVS_OK;
}

static cvs_status recurrent_forward(cvi_opctx *ctx) {
    return run(ctx, ctx->quick && !ctx->plain);
}

static cvs_status recurrent_fast(cvi_opctx *ctx) {
    return run(ctx, true);
}

static bool recurrent_can_fast(const cvi_opctx *ctx) {
    return ctx->in[0]->dtype == CVS_F32;
}

/* Steps of a sample need each other; samples do not, and with layout 1 they come first. */
static bool recurrent_apart(const cvi_opctx *ctx) {
    return cvi_op_int(ctx, "layout") == 1;
}

static void recurrent_cost(const cvi_opctx *ctx, cvi_cost *cost) {
    const cvs_tensor *x = ctx->in[0], *w = ctx->in[1], *s = ctx->in[2];
    int64_t rows = 0, kernel = 0, sums = 0;
    bool fits = cvi_mul(x->dim[0], x->dim[1], &rows) && cvi_add(w->dim[2], s->dim[2], &kernel) &&
                cvi_mul(w->dim[0] * w->dim[1], rows, &sums);
    if (!fits || !cvi_mul(sums, kernel, &cost->macs) || !cvi_mul(sums, 3, &cost->flops)) {
        cost->macs = INT64_MAX;
    }
}

static void recurrent_field(const cvi_opctx *ctx, cvi_field_step *step) {
    (void)ctx;
    step->kind = CVI_FIELD_ALL;
}

/* ---- the three operators ------------------------------------------------------------------------------------------ */

#define INPUTS                                                                                               \
    {"X", CVI_DATA, false, false}, {"W", CVI_WEIGHT, false, false}, {"R", CVI_WEIGHT, false, false},         \
        {"B", CVI_BIAS, true, false}, {"sequence_lens", CVI_DATA, true, false}, {                            \
        "initial_h", CVI_DATA, true, false                                                                   \
    }
static const cvi_op_io inputs[] = {INPUTS};
static const cvi_op_io lstm_in[] = {
    INPUTS, {"initial_c", CVI_DATA, true, false}, {"P", CVI_WEIGHT, true, false}};
static const cvi_op_io outputs[] = {
    {"Y", CVI_DATA, true, false}, {"Y_h", CVI_DATA, true, false}, {"Y_c", CVI_DATA, true, false}};

#define ATTRIBUTES                                                                                           \
    {"activation_alpha",                                                                                     \
     CVI_ATTR_FLOATS,                                                                                        \
     "",                                                                                                     \
     "one for each function that has it",                                                                    \
     "first number of the gates' functions, in their order",                                                 \
     "门函数的第一个参数，按函数顺序"},                                                                      \
        {"activation_beta",                                                                                  \
         CVI_ATTR_FLOATS,                                                                                    \
         "",                                                                                                 \
         "one for each function that has it",                                                                \
         "second number of the gates' functions, in their order",                                            \
         "门函数的第二个参数，按函数顺序"},                                                                  \
        {"activations",                                                                                      \
         CVI_ATTR_STRINGS,                                                                                   \
         "",                                                                                                 \
         "Affine|Elu|HardSigmoid|LeakyRelu|Relu|ScaledTanh|Sigmoid|Softplus|Softsign|Tanh|ThresholdedRelu",  \
         "functions of the gates, for each direction; none: Sigmoid for gates, Tanh for contents",           \
         "各方向的门函数；缺省时门用 Sigmoid，内容用 Tanh"},                                                 \
        {"clip",                                                                                             \
         CVI_ATTR_FLOAT,                                                                                     \
         "0",                                                                                                \
         ">= 0",                                                                                             \
         "limit of what goes into a gate; 0: none",                                                          \
         "进入各门的数的上限；0 表示不限制"},                                                                \
        {"direction",                                                                                        \
         CVI_ATTR_STRING,                                                                                    \
         "forward",                                                                                          \
         "forward|reverse|bidirectional",                                                                    \
         "from which end the sequence is read",                                                              \
         "从哪一端读取序列"},                                                                                \
        {"hidden_size",                                                                                      \
         CVI_ATTR_INT,                                                                                       \
         "0",                                                                                                \
         ">= 1",                                                                                             \
         "numbers of the state; R says it too",                                                              \
         "状态的长度；R 的形状也给出它"},                                                                    \
    {                                                                                                        \
        "layout", CVI_ATTR_INT, "0", "0|1", "0: steps come first in X, Y; 1: samples come first",            \
            "0 表示 X、Y 以时间步为首轴；1 表示以样本为首轴"                              \
    }
static const cvi_op_attr rnn_attrs[] = {ATTRIBUTES};
static const cvi_op_attr gru_attrs[] = {
    ATTRIBUTES,
    {"linear_before_reset", CVI_ATTR_INT, "0", "0|1",
     "1: the reset gate multiplies the product with the state, not the state (PyTorch, cuDNN)",
     "1 表示重置门乘在状态的乘积上，而不是状态本身（PyTorch、cuDNN）"}};
static const cvi_op_attr lstm_attrs[] = {ATTRIBUTES,
                                         {"input_forget", CVI_ATTR_INT, "0", "0|1",
                                          "1: the forget gate is 1 minus the input gate",
                                          "1 表示遗忘门等于 1 减输入门"}};

#define COMMON(attrs_)                                                                                       \
    .outputs = outputs, .attrs = attrs_, .n_attrs = CVI_COUNT(attrs_), .flags = CVI_OP_RECURRENT,            \
    .glyph = CVI_GLYPH_MATH, .infer = recurrent_infer, .forward = recurrent_forward,                         \
    .can_fast = recurrent_can_fast, .fast_layout = CVS_PLAIN, .fast = recurrent_fast,                        \
    .apart = recurrent_apart, .backward = cvi_recurrent_backward, .cost = recurrent_cost,                    \
    .field = recurrent_field

const cvi_op cvi_op_rnn = {
    .name = "RNN",
    .since = 14,
    .inputs = inputs,
    .n_inputs = CVI_COUNT(inputs),
    .n_outputs = 2,
    COMMON(rnn_attrs),
    .word_en = "rnn",
    .word_zh = "循环层",
    .text =
        {"Recurrent layer", "循环层",
         "Reads a sequence step by step: what it knew and what it reads become what it knows next.",
         "逐步读取序列：已知的内容与当前输入共同成为新的状态。", "h[t] = f(W·x[t] + R·h[t−1] + b)",
         "One row per step: where the state changes is where something was read; what stays is remembered.",
         "每一步一行：状态变化之处读到了新内容，保持不变之处是记忆。"},
};

const cvi_op cvi_op_gru = {
    .name = "GRU",
    .since = 14,
    .inputs = inputs,
    .n_inputs = CVI_COUNT(inputs),
    .n_outputs = 2,
    COMMON(gru_attrs),
    .word_en = "gru",
    .word_zh = "GRU",
    .text =
        {"Gated recurrent unit", "门控循环单元",
         "Reads a sequence step by step: one gate says how much of the state is kept, another how much of it "
         "counts for the new content.",
         "逐步读取序列：更新门决定保留多少旧状态，重置门决定旧状态有多少参与新内容。",
         "z = σ(Wz·x + Rz·h + bz); r = σ(Wr·x + Rr·h + br); n = tanh(Wn·x + Rn·(r∘h) + bn); h ← "
         "(1−z)∘n + z∘h",
         "One row per step: a number that stays for many steps is remembered (its update gate is near 1).",
         "每一步一行：多步保持不变的数就是被记住的内容（其更新门接近 1）。"},
};

const cvi_op cvi_op_lstm = {
    .name = "LSTM",
    .since = 14,
    .inputs = lstm_in,
    .n_inputs = CVI_COUNT(lstm_in),
    .n_outputs = 3,
    COMMON(lstm_attrs),
    .word_en = "lstm",
    .word_zh = "LSTM",
    .text =
        {"Long short-term memory", "长短期记忆",
         "Reads a sequence step by step and keeps a cell: gates say what is written into it, what is "
         "forgotten "
         "and what is shown.",
         "逐步读取序列并维护一个记忆单元：各个门决定写入、遗忘和输出的内容。",
         "i, o, f = σ(W·x + R·h + b); c ← f∘c + i∘tanh(Wc·x + Rc·h + bc); h ← o∘tanh(c)",
         "One row per step: jumps are what was written or forgotten there; in a reader of text they stand "
         "where characters begin and end.",
         "每一步一行：跳变处发生了写入或遗忘；在文字识别网络中，它们出现在字符的开始与结束处。"},
};

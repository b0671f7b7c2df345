/* SPDX-License-Identifier: MIT
 * onnx_microsoft.c - operators that ONNX Runtime's optimiser writes (domain com.microsoft) in ONNX's own: convolutions and products fused
 * with what stood behind them, forms of GELU, normalisations fused with sums, attention, 4- and 8-bit products, channels-last pooling.
 * Meanings: https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md
 */
#include "onnx_rewrite.h"

static const char *const conv_names[] = {"auto_pad", "dilations", "group", "kernel_shape",
                                         "pads",     "strides",   NULL};
static const char *const pool_names[] = {"auto_pad",     "ceil_mode", "count_include_pad", "dilations",
                                         "kernel_shape", "pads",      "strides",           NULL};

/* ---- activations ---------------------------------------------------------------------------------------- */
/* Makes the draft's output from v by an activation of up to three numbers; "": v is the output of `op` itself. */
typedef struct activation {
    const char *name;
    double number[3];
} activation;

static bool is_one_of(const char *name, const char *const *list) {
    for (; *list && strcmp(*list, name) != 0; list++) {}
    return *list != NULL;
}

static bool known_activation(const activation *a) {
    static const char *const names[] = {"",          "Relu", "Sigmoid",     "Tanh",
                                        "LeakyRelu", "Clip", "HardSigmoid", NULL};
    return is_one_of(a->name, names);
}

static activation of_conv(const cvi_rw *p) {
    activation a = {.name = cvi_rw_string(p, "activation", ""), .number = {0.01, 0, 0}};
    const cvi_attr *params = cvi_rw_attr(p, "activation_params");
    for (int i = 0; params && params->kind == CVI_ATTR_FLOATS && i < params->n && i < 3; i++) {
        a.number[i] = params->floats[i];
    }
    return a;
}

static void end_activated(cvi_rw *p, int v, const activation *a) {
    if (strcmp(a->name, "Clip") == 0) {
        const int in[] = {v, cvi_rw_scalar(p, "min", CVS_F32, a->number[0]),
                          cvi_rw_scalar(p, "max", CVS_F32, a->number[1])};
        cvi_rw_end(p, 0, "Clip", 3, in, 0, NULL);
        return;
    }
    const cvi_attr attrs[] = {CVI_RW_FLOAT("alpha", a->number[0]), CVI_RW_FLOAT("beta", a->number[1])};
    int n = strcmp(a->name, "LeakyRelu") == 0 ? 1 : strcmp(a->name, "HardSigmoid") == 0 ? 2 : 0;
    cvi_rw_end(p, 0, a->name[0] ? a->name : "Identity", 1, &v, n, attrs);
}

/* ---- convolutions and pooling ---------------------------------------------------------------------------- */
/* Convolution, then a sum with input 3, then an activation; channels last where `last`. */
static void conv_like(cvi_rw *p, bool last) {
    cvi_attr attrs[8];
    activation a = of_conv(p);
    int n = cvi_rw_copy(p, conv_names, attrs), sum = cvi_rw_in(p, 3);
    if (!known_activation(&a) || !cvi_rw_need(p, 2)) {
        return;
    }
    int rank = last ? cvi_rw_rank(p, cvi_rw_in(p, 1)) : 4;
    if (rank < 3) {
        return;
    }
    int in[] = {cvi_rw_in(p, 0), cvi_rw_in(p, 1), cvi_rw_in(p, 2)};
    in[0] = last ? cvi_rw_turn(p, in[0], rank, true) : in[0];
    if (!last && !a.name[0] && sum < 0) {
        cvi_rw_end(p, 0, "Conv", 3, in, n, attrs);
        return;
    }
    int v = cvi_rw_put(p, "Conv", false, 3, in, n, attrs);
    v = last ? cvi_rw_turn(p, v, rank, false) : v;
    v = sum >= 0 ? cvi_rw_two(p, "Add", v, sum) : v;
    end_activated(p, v, &a);
}

static void fused_conv(cvi_rw *p) {
    conv_like(p, false);
}

static void nhwc_conv(cvi_rw *p) {
    conv_like(p, true);
}

static void nhwc_max_pool(cvi_rw *p) {
    cvi_attr attrs[8];
    int n = cvi_rw_copy(p, pool_names, attrs);
    const cvi_attr *kernel = cvi_rw_attr(p, "kernel_shape");
    int rank = kernel && kernel->kind == CVI_ATTR_INTS && kernel->n < CVS_MAX_RANK - 1 ? kernel->n + 2 : 0;
    if (rank >= 3 && cvi_rw_need(p, 1)) {
        int x = cvi_rw_turn(p, cvi_rw_in(p, 0), rank, true);
        int v = cvi_rw_turn(p, cvi_rw_put(p, "MaxPool", false, 1, &x, n, attrs), rank, false);
        cvi_rw_end(p, 0, "Identity", 1, &v, 0, NULL);
    }
}

/* ---- products -------------------------------------------------------------------------------------------- */
static void fused_gemm(cvi_rw *p) {
    static const char *const names[] = {"alpha", "beta", "transA", "transB", NULL};
    cvi_attr attrs[4];
    activation a = {.name = cvi_rw_string(p, "activation", ""),
                    .number = {cvi_rw_float(p, "activation_alpha", 0.01),
                               cvi_rw_float(p, "activation_beta", 0),
                               cvi_rw_float(p, "activation_gamma", 0)}};
    int n = cvi_rw_copy(p, names, attrs);
    const int in[] = {cvi_rw_in(p, 0), cvi_rw_in(p, 1), cvi_rw_in(p, 2)};
    if (known_activation(&a) && cvi_rw_need(p, 2)) {
        end_activated(p, cvi_rw_put(p, "Gemm", !a.name[0], 3, in, n, attrs), &a);
    }
}

/* v with its last two axes exchanged, -1 where the rank is not known. */
static int exchanged(cvi_rw *p, int v) {
    int rank = cvi_rw_rank(p, v);
    int64_t perm[CVS_MAX_RANK];
    cvi_attr a;
    if (rank < 2) {
        return rank == 1 ? v : -1;
    }
    for (int i = 0; i < rank; i++) {
        perm[i] = i == rank - 1 ? i - 1 : i == rank - 2 ? i + 1 : i;
    }
    if (!cvi_attr_set_ints(p->d->scope->graph, &a, "perm", rank, perm)) {
        p->s = cvi_no_memory(p->d->o->err, 0);
        return -1;
    }
    return cvi_rw_put(p, "Transpose", true, 1, &v, 1, &a);
}

static void fused_matmul(cvi_rw *p) {
    double alpha = cvi_rw_float(p, "alpha", 1);
    if (cvi_rw_int(p, "transBatchA", 0) || cvi_rw_int(p, "transBatchB", 0) || !cvi_rw_need(p, 2)) {
        return;
    }
    int a = cvi_rw_in(p, 0), b = cvi_rw_in(p, 1);
    a = cvi_rw_int(p, "transA", 0) ? exchanged(p, a) : a;
    b = cvi_rw_int(p, "transB", 0) && a >= 0 ? exchanged(p, b) : b;
    if (a < 0 || b < 0) {
        return;
    }
    const int in[] = {a, b};
    if (alpha == 1) {
        cvi_rw_end(p, 0, "MatMul", 2, in, 0, NULL);
        return;
    }
    const int factor[] = {cvi_rw_put(p, "MatMul", false, 2, in, 0, NULL),
                          cvi_rw_scalar(p, "alpha", CVS_F32, alpha)};
    cvi_rw_end(p, 0, "Mul", 2, factor, 0, NULL);
}

/* Element `at` of N-bit numbers, the low bits first. */
static int packed(const uint8_t *bytes, int64_t at, int bits) {
    int64_t each = 8 / bits;
    return bytes[at / each] >> (at % each * bits) & ((1 << bits) - 1);
}

/* What MatMulNBits says of its weights; false: a form that is not known. */
typedef struct nbits {
    int64_t k, n, bits, block, blocks, blob; /* blob: bytes a block */
    const cvs_tensor *b, *scale, *zero;
} nbits;

static bool read_nbits(const cvi_rw *p, nbits *w) {
    w->k = cvi_rw_int(p, "K", 0);
    w->n = cvi_rw_int(p, "N", 0);
    w->bits = cvi_rw_int(p, "bits", 4);
    w->block = cvi_rw_int(p, "block_size", 0);
    w->b = cvi_rw_constant(p, cvi_rw_in(p, 1));
    w->scale = cvi_rw_constant(p, cvi_rw_in(p, 2));
    w->zero = cvi_rw_constant(p, cvi_rw_in(p, 3));
    bool form = (w->bits == 2 || w->bits == 4 || w->bits == 8) && w->k > 0 && w->n > 0 && w->block >= 8 &&
                w->block <= 4096 && w->block % 8 == 0 && cvi_rw_in(p, 4) < 0 &&
                (w->zero != NULL) == (cvi_rw_in(p, 3) >= 0) && cvi_rw_int(p, "weight_prepacked", 0) == 0;
    int64_t count, numbers;
    if (!form || !w->b || w->b->dtype != CVS_U8 || !w->scale || w->scale->dtype != CVS_F32) {
        return false;
    }
    w->blocks = w->k / w->block + (w->k % w->block != 0);
    w->blob = w->block * w->bits / 8;
    int64_t row = w->blocks / (8 / w->bits) + (w->blocks % (8 / w->bits) != 0); /* bytes of zero points */
    return cvi_mul(w->n, w->blocks, &count) && cvi_mul(count, w->blob, &numbers) &&
           cvs_tensor_count(w->b) == numbers && cvs_tensor_count(w->scale) == count &&
           (!w->zero || (w->zero->dtype == CVS_U8 && cvs_tensor_count(w->zero) == row * w->n) ||
            (w->zero->dtype == CVS_F32 && cvs_tensor_count(w->zero) == count));
}

static void matmul_nbits(cvi_rw *p) {
    nbits w;
    int64_t total;
    if (!cvi_rw_need(p, 3) || !read_nbits(p, &w) || !cvi_mul(w.k, w.n, &total)) {
        return;
    }
    float *to = cvi_arena_alloc(p->d->scope->graph->arena, total, sizeof *to);
    if (!to) {
        p->s = cvi_no_memory(p->d->o->err, (size_t)total * sizeof *to);
        return;
    }
    int64_t each = 8 / w.bits, row = w.blocks / each + (w.blocks % each != 0);
    for (int64_t n = 0; n < w.n; n++) {
        for (int64_t k = 0; k < w.k; k++) {
            int64_t block = n * w.blocks + k / w.block;
            const uint8_t *bytes = (const uint8_t *)w.b->data + block * w.blob;
            double zero = (double)(1 << (w.bits - 1));
            if (w.zero && w.zero->dtype == CVS_U8) {
                zero = packed((const uint8_t *)w.zero->data + n * row, k / w.block, (int)w.bits);
            } else if (w.zero) {
                zero = cvi_get(w.zero, block);
            }
            double q = packed(bytes, k % w.block, (int)w.bits);
            to[k * w.n + n] = (float)((q - zero) * cvi_get(w.scale, block));
        }
    }
    const cvs_tensor t = {
        .dtype = CVS_F32, .rank = 2, .dim = {w.k, w.n}, .data = to, .bytes = (size_t)total * sizeof *to};
    const int in[] = {cvi_rw_in(p, 0), cvi_rw_tensor(p, "weight", &t)};
    int bias = cvi_rw_in(p, 5);
    if (bias < 0) {
        cvi_rw_end(p, 0, "MatMul", 2, in, 0, NULL);
        return;
    }
    const int sum[] = {cvi_rw_put(p, "MatMul", false, 2, in, 0, NULL), bias};
    cvi_rw_end(p, 0, "Add", 2, sum, 0, NULL);
}

/* ---- activations of their own ------------------------------------------------------------------------------- */
/* x, and what is added to it where it is there, through op. */
static void biased(cvi_rw *p, const char *op, int n_attr, const cvi_attr *attr) {
    if (cvi_rw_need(p, 1)) {
        int x = cvi_rw_in(p, 0), b = cvi_rw_in(p, 1);
        x = b >= 0 ? cvi_rw_two(p, "Add", x, b) : x;
        cvi_rw_end(p, 0, op, 1, &x, n_attr, attr);
    }
}

static void gelu(cvi_rw *p) {
    biased(p, "Gelu", 0, NULL);
}

static void fast_gelu(cvi_rw *p) {
    const cvi_attr tanh_form = {.name = "approximate", .kind = CVI_ATTR_STRING, .s = "tanh"};
    biased(p, "Gelu", 1, &tanh_form);
}

static void quick_gelu(cvi_rw *p) {
    const cvi_attr alpha = CVI_RW_FLOAT("alpha", cvi_rw_float(p, "alpha", 1.702));
    if (cvi_rw_need(p, 1)) {
        cvi_rw_end(p, 0, "Swish", 1, p->d->in, 1, &alpha);
    }
}

/* The second half of the last axis opens and closes the first. */
static void bias_split_gelu(cvi_rw *p) {
    if (!cvi_rw_need(p, 2)) {
        return;
    }
    const cvi_attr split[] = {CVI_RW_INT("axis", -1), CVI_RW_INT("num_outputs", 2)};
    int x = cvi_rw_two(p, "Add", cvi_rw_in(p, 0), cvi_rw_in(p, 1)), half[2];
    cvi_rw_many(p, "Split", 1, &x, 2, half, 2, split);
    const int in[] = {half[0], cvi_rw_one(p, "Gelu", half[1])};
    cvi_rw_end(p, 0, "Mul", 2, in, 0, NULL);
}

static void bias_softmax(cvi_rw *p) {
    int64_t axis = cvi_rw_int(p, "axis", 1);
    int rank = cvi_rw_rank(p, cvi_rw_in(p, 0));
    rank = rank < 0 ? cvi_rw_rank(p, cvi_rw_in(p, 1)) : rank;
    if (cvi_rw_need(p, 2) && (axis == -1 || axis == rank - 1)) { /* else several axes are one */
        const cvi_attr last = CVI_RW_INT("axis", -1);
        biased(p, "Softmax", 1, &last);
    }
}

/* Sums of the inputs from 0 on that are there, the first of them at least. */
static int sum_of(cvi_rw *p, const int *in, int n) {
    int v = in[0];
    for (int k = 1; k < n; k++) {
        v = in[k] >= 0 ? cvi_rw_two(p, "Add", v, in[k]) : v;
    }
    return v;
}

static bool only_first_output(const cvi_rw *p) {
    return p->d->n_out == 1 || p->d->out[1] < 0;
}

static void bias_dropout(cvi_rw *p) {
    if (cvi_rw_need(p, 2) && only_first_output(p)) {
        const int in[] = {cvi_rw_in(p, 0), cvi_rw_in(p, 1), cvi_rw_in(p, 2)};
        int v = sum_of(p, in, 3);
        cvi_rw_end(p, 0, "Identity", 1, &v, 0, NULL);
    }
}

static void bias_add(cvi_rw *p) {
    if (cvi_rw_need(p, 3)) {
        const int in[] = {cvi_rw_in(p, 0), cvi_rw_in(p, 1), cvi_rw_in(p, 2)};
        int v = sum_of(p, in, 3);
        cvi_rw_end(p, 0, "Identity", 1, &v, 0, NULL);
    }
}

/* ---- normalisations --------------------------------------------------------------------------------------- */
/* The sum of two inputs (and a bias), normalised over the last axis; output 3 is the sum. */
static void skip_norm(cvi_rw *p, const char *op, int bias, int n_norm) {
    int n_out = p->d->n_out;
    bool statistics = (n_out > 1 && p->d->out[1] >= 0) || (n_out > 2 && p->d->out[2] >= 0);
    if (statistics || !cvi_rw_need(p, 3)) {
        return;
    }
    const cvi_attr attrs[] = {CVI_RW_INT("axis", -1),
                              CVI_RW_FLOAT("epsilon", cvi_rw_float(p, "epsilon", 1e-12))};
    const int terms[] = {cvi_rw_in(p, 0), cvi_rw_in(p, 1), cvi_rw_in(p, bias)};
    const int in[] = {sum_of(p, terms, 3), cvi_rw_in(p, 2), cvi_rw_in(p, 3)};
    cvi_rw_end(p, 0, op, n_norm, in, 2, attrs);
    cvi_rw_end(p, 3, "Identity", 1, in, 0, NULL);
}

static void skip_layer_norm(cvi_rw *p) {
    skip_norm(p, "LayerNormalization", 4, 3);
}

static void skip_rms_norm(cvi_rw *p) {
    skip_norm(p, "RMSNormalization", 3, 2);
}

static void rms_norm(cvi_rw *p) {
    static const char *const names[] = {"axis", "epsilon", NULL};
    cvi_attr attrs[2];
    int n = cvi_rw_copy(p, names, attrs);
    if (cvi_rw_need(p, 2) && only_first_output(p)) {
        cvi_rw_end(p, 0, "RMSNormalization", 2, p->d->in, n, attrs);
    }
}

/* Channels last unless it says otherwise; activation 1 is SiLU. */
static void group_norm(cvi_rw *p) {
    bool last = cvi_rw_int(p, "channels_last", 1) != 0;
    int64_t act = cvi_rw_int(p, "activation", 0);
    if (!cvi_rw_need(p, 3) || act < 0 || act > 1) {
        return;
    }
    const cvi_attr attrs[] = {CVI_RW_INT("num_groups", cvi_rw_int(p, "groups", 1)),
                              CVI_RW_FLOAT("epsilon", cvi_rw_float(p, "epsilon", 1e-5))};
    int in[] = {cvi_rw_in(p, 0), cvi_rw_in(p, 1), cvi_rw_in(p, 2)};
    in[0] = last ? cvi_rw_turn(p, in[0], 4, true) : in[0];
    int v = cvi_rw_put(p, "GroupNormalization", false, 3, in, 2, attrs);
    v = last ? cvi_rw_turn(p, v, 4, false) : v;
    cvi_rw_end(p, 0, act ? "Swish" : "Identity", 1, &v, 0, NULL);
}

/* ---- the same under another name ------------------------------------------------------------------------------ */
static void same(cvi_rw *p, const char *op) {
    cvi_rw_end(p, 0, op, p->d->n_in, p->d->in, p->d->n_attr, p->d->attr);
}

static void quantize(cvi_rw *p) {
    same(p, "QuantizeLinear");
}

static void dequantize(cvi_rw *p) {
    same(p, "DequantizeLinear");
}

static void trilu(cvi_rw *p) {
    same(p, "Trilu");
}

static void gather_nd(cvi_rw *p) {
    same(p, "GatherND");
}

static void pad(cvi_rw *p) {
    same(p, "Pad");
}

static void expand_dims(cvi_rw *p) {
    if (cvi_rw_need(p, 2)) {
        same(p, "Unsqueeze");
    }
}

/* What tf2onnx leaves of TensorFlow's GELU. */
static void erfc_of(cvi_rw *p) {
    if (cvi_rw_need(p, 1)) {
        const int in[] = {cvi_rw_scalar(p, "one", CVS_F32, 1), cvi_rw_one(p, "Erf", cvi_rw_in(p, 0))};
        cvi_rw_end(p, 0, "Sub", 2, in, 0, NULL);
    }
}

/* The weights of these lie in blocks of 8 or 16 channels, and the file does not say of how many: said once, the node stays closed. */
static void blocked_conv(cvi_rw *p) {
    cvi_onnx *o = p->d->o;
    if (!o->blocked &&
        !cvi_model_note(o->model, "its weights lie in the blocks of the machine that it was optimised for "
                                  "(com.microsoft.nchwc), so it "
                                  "cannot be run; the optimiser's level extended keeps them as they are")) {
        p->s = cvi_no_memory(o->err, 0);
    }
    o->blocked = true;
}

const cvi_onnx_rule cvi_onnx_rules_microsoft[] = {
    {"Erfc", erfc_of},
    {"com.microsoft.nchwc::Conv", blocked_conv},
    {"com.microsoft::FusedConv", fused_conv},
    {"com.microsoft::NhwcConv", nhwc_conv},
    {"com.microsoft::NhwcFusedConv", nhwc_conv},
    {"com.microsoft::NhwcMaxPool", nhwc_max_pool},
    {"com.microsoft::FusedGemm", fused_gemm},
    {"com.microsoft::FusedMatMul", fused_matmul},
    {"com.microsoft::TransposeMatMul", fused_matmul},
    {"com.microsoft::MatMulNBits", matmul_nbits},
    {"com.microsoft::Gelu", gelu},
    {"com.microsoft::BiasGelu", gelu},
    {"com.microsoft::FastGelu", fast_gelu},
    {"com.microsoft::QuickGelu", quick_gelu},
    {"com.microsoft::BiasSplitGelu", bias_split_gelu},
    {"com.microsoft::BiasSoftmax", bias_softmax},
    {"com.microsoft::BiasDropout", bias_dropout},
    {"com.microsoft::BiasAdd", bias_add},
    {"com.microsoft::SkipLayerNormalization", skip_layer_norm},
    {"com.microsoft::SkipSimplifiedLayerNormalization", skip_rms_norm},
    {"com.microsoft::GroupNorm", group_norm},
    {"SimplifiedLayerNormalization", rms_norm},
    {"com.microsoft::QuantizeLinear", quantize},
    {"com.microsoft::DequantizeLinear", dequantize},
    {"com.microsoft::Trilu", trilu},
    {"com.microsoft::GatherND", gather_nd},
    {"com.microsoft::Pad", pad},
    {"com.microsoft::ExpandDims", expand_dims},
    {NULL, NULL},
};

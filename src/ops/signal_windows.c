/* SPDX-License-Identifier: MIT
 * signal_windows.c - HannWindow HammingWindow BlackmanWindow MelWeightMatrix: the constant curves and bands that networks on sound begin with.
 * Formulas of ONNX opset 17.
 */
#include <math.h>

#include "ops/walk.h"

static const double pi = 3.14159265358979323846;

static cvs_status whole_number(const cvi_opctx *ctx, int k, int64_t lowest, int64_t *out) {
    int n;
    const int64_t most = (int64_t)1 << 32;
    CVI_TRY(cvi_ints(ctx, k, out, 1, &n));
    if (n != 1 || *out < lowest || *out > most) {
        return cvi_fail(ctx->err, CVS_E_SHAPE, "input %s must be one number of at least %lld",
                        cvi_input_name(ctx, k), (long long)lowest);
    }
    return CVS_OK;
}

static cvs_status output_type(const cvi_opctx *ctx, cvs_dtype *type) {
    *type = (cvs_dtype)cvi_op_int(ctx, "output_datatype");
    if (!cvi_is_float(*type) && !cvi_is_integer(*type)) {
        return cvi_at_attr(
            ctx->err, cvi_fail(ctx->err, CVS_E_UNSUPPORTED, "element type %d is not supported", (int)*type),
            "output_datatype");
    }
    return cvs_dtype_size(*type) > 0
               ? CVS_OK
               : cvi_fail(ctx->err, CVS_E_UNSUPPORTED, "element type %d is not supported", (int)*type);
}

static cvs_status infer_window(cvi_opctx *ctx) {
    int64_t n;
    cvs_dtype type;
    CVI_TRY(whole_number(ctx, 0, 0, &n));
    CVI_TRY(output_type(ctx, &type));
    return cvi_out_shape(ctx, 0, type, 1, &n);
}

/* a - b cos(2 pi i/N) + c cos(4 pi i/N) */
static cvs_status run_window(cvi_opctx *ctx, double a, double b, double c) {
    int64_t n = ctx->out[0].dim[0], turns = cvi_op_int(ctx, "periodic") != 0 ? n : n - 1;
    for (int64_t i = 0; i < n; i++) {
        double angle = turns > 0 ? 2 * pi * (double)i / (double)turns : 0;
        cvi_put(&ctx->out[0], i, a - b * cos(angle) + c * cos(2 * angle));
    }
    return CVS_OK;
}

static cvs_status forward_hann(cvi_opctx *ctx) {
    return run_window(ctx, 0.5, 0.5, 0);
}

static cvs_status forward_hamming(cvi_opctx *ctx) {
    return run_window(ctx, 25.0 / 46.0, 1 - 25.0 / 46.0, 0);
}

static cvs_status forward_blackman(cvi_opctx *ctx) {
    return run_window(ctx, 0.42, 0.5, 0.08);
}

/* ---- MelWeightMatrix ---------------------------------------------------------------------------------- */
typedef struct mel {
    int64_t bands, length, rate;
    double low, high; /* on the mel scale */
} mel;

static double mel_of(double hertz) {
    return 2595 * log1p(hertz / 700) / log(10);
}

static cvs_status make_mel(const cvi_opctx *ctx, mel *m) {
    double edge[2] = {0};
    CVI_TRY(whole_number(ctx, 0, 1, &m->bands));
    CVI_TRY(whole_number(ctx, 1, 1, &m->length));
    CVI_TRY(whole_number(ctx, 2, 1, &m->rate));
    for (int k = 3; k < 5; k++) {
        CVI_TRY(cvi_want_float(ctx, k));
        if (cvs_tensor_count(ctx->in[k]) != 1) {
            return cvi_fail(ctx->err, CVS_E_SHAPE, "input %s must be one number of at least %lld",
                            cvi_input_name(ctx, k), 0LL);
        }
        CVI_TRY(cvi_need(ctx, k));
        edge[k - 3] = cvi_get(ctx->in[k], 0);
    }
    if (!(edge[0] >= 0 && edge[0] < edge[1] && edge[1] <= (double)m->rate)) {
        return cvi_fail(ctx->err, CVS_E_ARGUMENT, "bands from %g to %g Hz do not fit a sample rate of %lld",
                        edge[0], edge[1], (long long)m->rate);
    }
    m->low = mel_of(edge[0]);
    m->high = mel_of(edge[1]);
    return CVS_OK;
}

static cvs_status infer_mel(cvi_opctx *ctx) {
    mel m;
    cvs_dtype type;
    CVI_TRY(make_mel(ctx, &m));
    CVI_TRY(output_type(ctx, &type));
    int64_t dim[2] = {m.length / 2 + 1, m.bands};
    return cvi_out_shape(ctx, 0, type, 2, dim);
}

/* The line of the spectrum that edge i of the bands falls on. */
static int64_t line_of(const mel *m, int64_t i) {
    double step = (m->high - m->low) / (double)(m->bands + 2), at = (double)i * step + m->low;
    double hertz = 700 * expm1(at / 2595 * log(10));
    return (int64_t)floor((double)(m->length + 1) * hertz / (double)m->rate);
}

static cvs_status forward_mel(cvi_opctx *ctx) {
    cvs_tensor *y = &ctx->out[0];
    mel m;
    CVI_TRY(make_mel(ctx, &m));
    if (y->bytes > 0) {
        memset(y->data, 0, y->bytes);
    }
    for (int64_t b = 0; b < m.bands; b++) {
        int64_t left = line_of(&m, b), middle = line_of(&m, b + 1), right = line_of(&m, b + 2);
        for (int64_t i = left; i < right || i <= middle; i++) {
            double up = middle > left ? (double)(i - left) / (double)(middle - left) : 1;
            double v = i < middle || (i == middle && right == middle) ? up
                       : i == middle                                  ? 1
                                     : (double)(right - i) / (double)(right - middle);
            if (i >= 0 && i < y->dim[0]) {
                cvi_put(y, i * m.bands + b, v);
            }
        }
    }
    return CVS_OK;
}

/* ---- descriptors ------------------------------------------------------------------------------------- */
static const cvi_op_io window_in[] = {{"size", CVI_SHAPE, false, false}};
static const cvi_op_io signal_out[] = {{"output", CVI_DATA, false, false}};
static const cvi_op_attr window_attrs[] = {
    {"output_datatype", CVI_ATTR_INT, "1", "an ONNX element type", "type of the output", "输出的元素类型"},
    {"periodic", CVI_ATTR_INT, "1", "0|1", "1: one period of a wave; 0: the same from both ends",
     "取 1 时为波的一个周期；取 0 时两端对称"},
};

#define WINDOW(ID, NAME, FORWARD, ...)                                                                       \
    const cvi_op cvi_op_##ID = {.name = NAME,                                                                \
                                .since = 17,                                                                 \
                                .inputs = window_in,                                                         \
                                .n_inputs = 1,                                                               \
                                .outputs = signal_out,                                                       \
                                .n_outputs = 1,                                                              \
                                .attrs = window_attrs,                                                       \
                                .n_attrs = 2,                                                                \
                                .glyph = CVI_GLYPH_MATH,                                                     \
                                .infer = infer_window,                                                       \
                                .forward = FORWARD,                                                          \
                                .any_type = true,                                                            \
                                .field = cvi_field_none,                                                     \
                                .text = {__VA_ARGS__}}

WINDOW(hann_window, "HannWindow", forward_hann, "Hann window", "汉宁窗",
       "Makes a smooth bump that fades the ends of a frame out.", "生成平滑的窗，使一帧的两端渐隐。",
       "w[i] = 0.5 − 0.5·cos(2πi/N)", "Zero at the ends, one in the middle.", "两端为零，中间为一。");
WINDOW(hamming_window, "HammingWindow", forward_hamming, "Hamming window", "海明窗",
       "Makes a bump that nearly fades the ends of a frame out.", "生成使一帧两端近乎渐隐的窗。",
       "w[i] = 25/46 − 21/46·cos(2πi/N)", "Small at the ends, one in the middle.", "两端很小，中间为一。");
WINDOW(blackman_window, "BlackmanWindow", forward_blackman, "Blackman window", "布莱克曼窗",
       "Makes a narrow bump that fades the ends of a frame out.", "生成较窄的窗，使一帧的两端渐隐。",
       "w[i] = 0.42 − 0.5·cos(2πi/N) + 0.08·cos(4πi/N)", "Zero at the ends, one in the middle.",
       "两端为零，中间为一。");

static const cvi_op_io mel_in[] = {{"num_mel_bins", CVI_SHAPE, false, false},
                                   {"dft_length", CVI_SHAPE, false, false},
                                   {"sample_rate", CVI_SHAPE, false, false},
                                   {"lower_edge_hertz", CVI_SHAPE, false, false},
                                   {"upper_edge_hertz", CVI_SHAPE, false, false}};

const cvi_op cvi_op_mel_weight_matrix = {
    .name = "MelWeightMatrix",
    .since = 17,
    .inputs = mel_in,
    .n_inputs = 5,
    .outputs = signal_out,
    .n_outputs = 1,
    .attrs = window_attrs,
    .n_attrs = 1,
    .glyph = CVI_GLYPH_MATH,
    .infer = infer_mel,
    .forward = forward_mel,
    .any_type = true,
    .field = cvi_field_none,
    .text = {"Mel bands", "梅尔频带",
             "Makes triangles that gather a spectrum into bands as the ear hears them.",
             "生成三角形权重，把频谱按人耳听觉汇成频带。", "mel(f) = 2595·log₁₀(1 + f/700)",
             "Triangles that widen with the pitch.", "随音高变宽的三角形。"},
};

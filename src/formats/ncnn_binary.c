/* SPDX-License-Identifier: MIT
 * ncnn_binary.c - ncnn's binary .param.bin: the text's layers as 32-bit little-endian words, types as numbers of the list below, blobs as
 * numbers, no names. Settings are id, value ... -233; an array is -23300-id, count, values; a text -23400-id, bytes, padded to words.
 * Whether a word is a whole number or a float is not told: see value_of.
 */
#include "formats/ncnn.h"

#include <math.h>

/* In the order in which ncnn numbers them; new ones are added at the end (its src/CMakeLists.txt, 2017 to 2026). */
static const char *const types[] = {
    "AbsVal",
    "ArgMax",
    "BatchNorm",
    "Bias",
    "BNLL",
    "Concat",
    "Convolution",
    "Crop",
    "Deconvolution",
    "Dropout",
    "Eltwise",
    "ELU",
    "Embed",
    "Exp",
    "Flatten",
    "InnerProduct",
    "Input",
    "Log",
    "LRN",
    "MemoryData",
    "MVN",
    "Pooling",
    "Power",
    "PReLU",
    "Proposal",
    "Reduction",
    "ReLU",
    "Reshape",
    "ROIPooling",
    "Scale",
    "Sigmoid",
    "Slice",
    "Softmax",
    "Split",
    "SPP",
    "TanH",
    "Threshold",
    "Tile",
    "RNN",
    "LSTM",
    "BinaryOp",
    "UnaryOp",
    "ConvolutionDepthWise",
    "Padding",
    "Squeeze",
    "ExpandDims",
    "Normalize",
    "Permute",
    "PriorBox",
    "DetectionOutput",
    "Interp",
    "DeconvolutionDepthWise",
    "ShuffleChannel",
    "InstanceNorm",
    "Clip",
    "Reorg",
    "YoloDetectionOutput",
    "Quantize",
    "Dequantize",
    "Yolov3DetectionOutput",
    "PSROIPooling",
    "ROIAlign",
    "Packing",
    "Requantize",
    "Cast",
    "HardSigmoid",
    "SELU",
    "HardSwish",
    "Noop",
    "PixelShuffle",
    "DeepCopy",
    "Mish",
    "StatisticsPooling",
    "Swish",
    "Gemm",
    "GroupNorm",
    "LayerNorm",
    "Softplus",
    "GRU",
    "MultiHeadAttention",
    "GELU",
    "Convolution1D",
    "Pooling1D",
    "ConvolutionDepthWise1D",
    "Convolution3D",
    "ConvolutionDepthWise3D",
    "Pooling3D",
    "MatMul",
    "Deconvolution1D",
    "DeconvolutionDepthWise1D",
    "Deconvolution3D",
    "DeconvolutionDepthWise3D",
    "Einsum",
    "DeformableConv2D",
    "GLU",
    "Fold",
    "Unfold",
    "GridSample",
    "CumulativeSum",
    "CopyTo",
    "Erf",
    "Diag",
    "CELU",
    "Shrink",
    "RMSNorm",
    "Spectrogram",
    "InverseSpectrogram",
    "Flip",
    "SDPA",
    "RotaryEmbed",
};

typedef struct words {
    const uint8_t *data;
    size_t size, at;
    cvi_arena *a;
    cvs_error *err;
} words;

static uint32_t word_at(const uint8_t *p) {
    return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static int64_t left(const words *w) {
    return (int64_t)((w->size - w->at) / 4);
}

static cvs_status next(words *w, int32_t *v) {
    if (left(w) < 1) {
        return cvi_at_offset(w->err, cvi_fail(w->err, CVS_E_FORMAT, "the file ends within a layer"),
                             (int64_t)w->at);
    }
    uint32_t bits = word_at(w->data + w->at);
    memcpy(v, &bits, sizeof bits);
    w->at += 4;
    return CVS_OK;
}

/* A number of things that take a word each at least. */
static cvs_status next_count(words *w, int64_t most, int32_t *n) {
    int64_t at = (int64_t)w->at;
    CVI_TRY(next(w, n));
    if (*n < 0 || *n > most || *n > left(w)) {
        return cvi_at_offset(
            w->err, cvi_fail(w->err, CVS_E_FORMAT, "a count of %d cannot be in this file", (int)*n), at);
    }
    return CVS_OK;
}

/* A word as the number it most likely is. Whole numbers of a network (sizes, flags, -233) are small: as floats they would be denormal or
 * no number at all; floats of a network (slopes, epsilons, limits) are at least 1e-25. */
static double value_of(uint32_t bits) {
    float f;
    int32_t i;
    memcpy(&f, &bits, sizeof f);
    memcpy(&i, &bits, sizeof i);
    return isfinite(f) && fabsf(f) > 1e-25F ? (double)f : (double)i;
}

static cvs_status read_list(words *w, ncnn_setting *out) {
    int32_t n = 0;
    CVI_TRY(next_count(w, 1 << 20, &n));
    double *list = cvi_arena_alloc(w->a, CVI_MAX(n, 1), sizeof *list);
    if (!list) {
        return cvi_no_memory(w->err, (size_t)n * sizeof *list);
    }
    for (int32_t i = 0; i < n; i++) {
        list[i] = value_of(word_at(w->data + w->at + 4 * (size_t)i));
    }
    w->at += 4 * (size_t)n;
    *out = (ncnn_setting){.given = true, .value = n > 0 ? list[0] : 0, .n = n, .list = list};
    return CVS_OK;
}

static cvs_status read_text(words *w, ncnn_setting *out) {
    int32_t n = 0, at = 0;
    CVI_TRY(next(w, &n));
    if (n < 0 || n > 255 || (n + 3) / 4 > left(w)) {
        return cvi_at_offset(w->err,
                             cvi_fail(w->err, CVS_E_FORMAT, "a count of %d cannot be in this file", (int)n),
                             (int64_t)w->at - 4);
    }
    while (at < n && w->data[w->at + (size_t)at]) {
        at++;
    }
    const char *s = cvi_arena_strn(w->a, (const char *)w->data + w->at, (size_t)at);
    if (!s) {
        return cvi_no_memory(w->err, (size_t)n);
    }
    w->at += (size_t)(n + 3) / 4 * 4;
    *out = (ncnn_setting){.given = true, .n = -1, .text = s};
    return CVS_OK;
}

static cvs_status read_settings(words *w, ncnn_layer *l) {
    for (;;) {
        int32_t id = 0, bits = 0;
        int64_t at = (int64_t)w->at;
        ncnn_setting s = {.given = true, .n = -1};
        CVI_TRY(next(w, &id));
        if (id == -233) {
            return CVS_OK;
        }
        bool text = id <= -23400, list = !text && id <= -23300;
        int64_t number = text ? -23400 - (int64_t)id : list ? -23300 - (int64_t)id : id;
        if (number < 0 || number > 1000) {
            return cvi_at_offset(w->err, cvi_fail(w->err, CVS_E_FORMAT, "there is no setting %d", (int)id),
                                 at);
        }
        if (text) {
            CVI_TRY(read_text(w, &s));
        } else if (list) {
            CVI_TRY(read_list(w, &s));
        } else {
            uint32_t u;
            CVI_TRY(next(w, &bits));
            memcpy(&u, &bits, sizeof u);
            s.value = value_of(u);
        }
        if (number < NCNN_MAX_ID) { /* else of a newer ncnn */
            l->setting[number] = s;
        }
    }
}

static cvs_status read_blobs(words *w, int n, const char ***out) {
    *out = cvi_arena_alloc(w->a, CVI_MAX(n, 1), sizeof **out);
    if (!*out) {
        return cvi_no_memory(w->err, (size_t)n * sizeof **out);
    }
    for (int i = 0; i < n; i++) {
        int32_t number = 0;
        CVI_TRY(next(w, &number));
        (*out)[i] = cvi_arena_printf(w->a, "blob%d", (int)number);
        if (!(*out)[i]) {
            return cvi_no_memory(w->err, 0);
        }
    }
    return CVS_OK;
}

static cvs_status read_layer(words *w, ncnn_layer *l, int number) {
    int32_t type = 0, n_in = 0, n_out = 0;
    CVI_TRY(next(w, &type));
    CVI_TRY(next_count(w, 10000, &n_in));
    CVI_TRY(next_count(w, 10000, &n_out));
    bool known = type >= 0 && type < CVI_COUNT(types);
    l->type = known ? types[type] : cvi_arena_printf(w->a, "Layer%d", (int)type);
    l->name = l->type ? cvi_arena_printf(w->a, "%s_%d", l->type, number) : NULL;
    if (!l->type || !l->name) {
        return cvi_no_memory(w->err, 0);
    }
    l->n_in = n_in;
    l->n_out = n_out;
    CVI_TRY(read_blobs(w, n_in, &l->in));
    CVI_TRY(read_blobs(w, n_out, &l->out));
    return read_settings(w, l);
}

bool cvi_ncnn_is_type(const char *type) {
    for (int i = 0; i < CVI_COUNT(types); i++) {
        if (strcmp(types[i], type) == 0) {
            return true;
        }
    }
    return false;
}

bool cvi_ncnn_is_binary(const uint8_t *data, size_t size) {
    if (size < 16 || word_at(data) != 7767517) {
        return false;
    }
    uint32_t layers = word_at(data + 4), blobs = word_at(data + 8);
    return layers >= 1 && blobs >= 1 && layers <= size / 16 && blobs <= size / 4;
}

cvs_status cvi_ncnn_parse_binary(cvi_arena *a, const uint8_t *data, size_t size, const cvs_limits *limits,
                                 ncnn_param *out, cvs_error *err) {
    words w = {.data = data, .size = size, .at = 4, .a = a, .err = err};
    int32_t n = 0, blobs = 0;
    *out = (ncnn_param){0};
    CVI_TRY(next_count(&w, CVI_MIN(limits->max_nodes, INT32_MAX), &n));
    CVI_TRY(next_count(&w, INT32_MAX, &blobs));
    if (n < 1 || (size_t)n > size / 16) { /* a layer takes four words at least */
        return cvi_at_offset(err, cvi_fail(err, CVS_E_FORMAT, "a count of %d cannot be in this file", (int)n),
                             4);
    }
    out->layer = cvi_arena_alloc(a, n, sizeof *out->layer);
    if (!out->layer) {
        return cvi_no_memory(err, (size_t)n * sizeof *out->layer);
    }
    for (; out->n < n; out->n++) {
        CVI_TRY(read_layer(&w, &out->layer[out->n], out->n));
    }
    return CVS_OK;
}

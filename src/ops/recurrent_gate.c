/* SPDX-License-Identifier: MIT
 * recurrent_gate.c - the functions that gates of recurrent layers may have (ONNX's list for RNN, GRU and LSTM), with their
 * slopes for the gradient.
 */
#include <math.h>
#include <strings.h>

#include "kernels/kernels.h"
#include "ops/recurrent.h"

enum { AFFINE, ELU, HARD_SIGMOID, LEAKY, RELU, SCALED_TANH, SIGMOID, SOFTPLUS, SOFTSIGN, TANH, THRESHOLDED };

/* The usual numbers are those of the operators of the same name. */
static const struct {
    const char *name;
    bool alphas, betas;
    double alpha, beta;
    cvi_unary_op kernel;
} known[] = {
    [AFFINE] = {"Affine", true, true, 1, 0, CVI_U_LINEAR},
    [ELU] = {"Elu", true, false, 1, 0, CVI_U_ELU},
    [HARD_SIGMOID] = {"HardSigmoid", true, true, 0.2, 0.5, CVI_U_HARDSIGMOID},
    [LEAKY] = {"LeakyRelu", true, false, 0.01, 0, CVI_U_LEAKY},
    [RELU] = {"Relu", false, false, 0, 0, CVI_U_RELU},
    [SCALED_TANH] = {"ScaledTanh", true, true, 1, 1, CVI_U_TANH},
    [SIGMOID] = {"Sigmoid", false, false, 0, 0, CVI_U_SIGMOID},
    [SOFTPLUS] = {"Softplus", false, false, 0, 0, CVI_U_SOFTPLUS},
    [SOFTSIGN] = {"Softsign", false, false, 0, 0, CVI_U_SOFTSIGN},
    [TANH] = {"Tanh", false, false, 0, 0, CVI_U_TANH},
    [THRESHOLDED] = {"ThresholdedRelu", true, false, 1, 0, CVI_U_THRESHOLD},
};

bool cvi_gate_find(const char *name, cvi_gate_fn *fn, bool *alphas, bool *betas) {
    for (int i = 0; i < CVI_COUNT(known); i++) {
        if (strcasecmp(known[i].name, name) == 0) {
            *fn = (cvi_gate_fn){i, known[i].alpha, known[i].beta};
            *alphas = known[i].alphas;
            *betas = known[i].betas;
            return true;
        }
    }
    return false;
}

static double sigmoid(double x) {
    return x < 0 ? exp(x) / (1 + exp(x)) : 1 / (1 + exp(-x));
}

double cvi_gate_value(const cvi_gate_fn *fn, double x) {
    switch (fn->kind) {
    case AFFINE:
        return fn->alpha * x + fn->beta;
    case ELU:
        return x < 0 ? fn->alpha * expm1(x) : x;
    case HARD_SIGMOID:
        return fmin(fmax(fn->alpha * x + fn->beta, 0), 1);
    case LEAKY:
        return x < 0 ? fn->alpha * x : x;
    case RELU:
        return x < 0 ? 0 : x;
    case SCALED_TANH:
        return fn->alpha * tanh(fn->beta * x);
    case SIGMOID:
        return sigmoid(x);
    case SOFTPLUS:
        return (x > 0 ? x : 0) + log1p(exp(-fabs(x)));
    case SOFTSIGN:
        return x / (1 + fabs(x));
    case TANH:
        return tanh(x);
    default:
        return x > fn->alpha ? x : 0;
    }
}

double cvi_gate_slope(const cvi_gate_fn *fn, double x) {
    double y = 0;
    switch (fn->kind) {
    case AFFINE:
        return fn->alpha;
    case ELU:
        return x < 0 ? fn->alpha * exp(x) : 1;
    case HARD_SIGMOID:
        y = fn->alpha * x + fn->beta;
        return y > 0 && y < 1 ? fn->alpha : 0;
    case LEAKY:
        return x < 0 ? fn->alpha : 1;
    case RELU:
        return x > 0 ? 1 : 0;
    case SCALED_TANH:
        y = tanh(fn->beta * x);
        return fn->alpha * fn->beta * (1 - y * y);
    case SIGMOID:
        y = sigmoid(x);
        return y * (1 - y);
    case SOFTPLUS:
        return sigmoid(x);
    case SOFTSIGN:
        y = 1 + fabs(x);
        return 1 / (y * y);
    case TANH:
        y = tanh(x);
        return 1 - y * y;
    default:
        return x > fn->alpha ? 1 : 0;
    }
}

CVI_INLINE void run_plain(const cvi_gate_fn *fn, int64_t n, void *x, cvs_dtype type) {
    for (int64_t i = 0; i < n; i++) {
        cvi_store(x, i, cvi_gate_value(fn, cvi_load(x, i, type)), type);
    }
}

void cvi_gate_run(const cvi_gate_fn *fn, bool quick, int64_t n, void *x, cvs_dtype type) {
    if (!quick || type != CVS_F32) {
        CVI_TYPED(type, run_plain, fn, n, x);
        return;
    }
    bool scaled = fn->kind == SCALED_TANH;
    if (scaled) {
        cvi_unary(NULL, CVI_U_LINEAR, (float)fn->beta, 0, 1, n, n, x, x);
    }
    cvi_unary(NULL, known[fn->kind].kernel, (float)fn->alpha, (float)fn->beta, 1, n, n, x, x);
    if (scaled) {
        cvi_unary(NULL, CVI_U_LINEAR, (float)fn->alpha, 0, 1, n, n, x, x);
    }
}

/* SPDX-License-Identifier: MIT
 * ncnn_recurrent.c - ncnn's RNN, GRU and LSTM as ONNX's: gates in another order, one bias instead of two, rows [T,E] instead of [T,N,E].
 */
#include "formats/ncnn.h"

typedef struct cell {
    const char *op;
    int gates, biases; /* of ncnn: rows of its bias */
    int order[4];      /* ONNX's gate k is ncnn's order[k] */
} cell;
static const cell cells[] = {{"RNN", 1, 1, {0}}, {"GRU", 3, 4, {1, 0, 2}}, {"LSTM", 4, 4, {0, 2, 1, 3}}};

/* Kernels [directions, gates H, inner] with their gates in ONNX's order. */
static int kernel(ncnn *m, const cell *c, const char *part, int64_t directions, int64_t h, int64_t inner) {
    const int64_t dim[3] = {directions, c->gates * h, inner};
    cvs_tensor t = cvi_build_ok(&m->b) ? cvi_ncnn_numbers(m, true, 3, dim) : (cvs_tensor){0};
    int64_t n = cvi_build_ok(&m->b) ? cvs_tensor_count(&t) : 0, each = n / CVI_MAX(directions, 1);
    float *out = t.data && n > 0 ? cvi_arena_alloc(m->b.model->arena, n, sizeof *out) : NULL;
    if (t.data && n > 0 && !out) {
        cvi_build_no_memory(&m->b, t.bytes);
        return -1;
    }
    for (int64_t k = 0; out && k < directions; k++) {
        cvi_build_parts(out + k * each, (const float *)t.data + k * each, c->gates, c->order,
                        (size_t)(h * inner) * sizeof *out);
    }
    t.data = out;
    return cvi_ncnn_constant(m, part, &t);
}

/* Biases [directions, 2 gates H]: ncnn adds one for both kernels, but for the new state of a GRU. */
static int biases(ncnn *m, const cell *c, int64_t directions, int64_t h) {
    const int64_t dim[3] = {directions, c->biases, h};
    cvs_tensor t = cvi_build_ok(&m->b) ? cvi_ncnn_numbers(m, true, 3, dim) : (cvs_tensor){0};
    int64_t row = 2 * c->gates * h;
    cvs_tensor all = {
        .dtype = CVS_F32, .rank = 2, .dim = {directions, row}, .bytes = (size_t)(directions * row) * 4};
    float *out = cvi_build_ok(&m->b) && t.data
                     ? cvi_arena_alloc(m->b.model->arena, directions * row, sizeof *out)
                     : NULL;
    if (t.data && !out) {
        cvi_build_no_memory(&m->b, all.bytes);
        return -1;
    }
    for (int64_t k = 0; out && k < directions; k++) {
        const float *from = (const float *)t.data + k * c->biases * h;
        cvi_build_parts(out + k * row, from, c->gates, c->order, (size_t)h * sizeof *out);
        if (c->biases > c->gates) {
            memcpy(out + k * row + row - h, from + c->gates * h, (size_t)h * sizeof *out);
        }
    }
    all.data = out;
    return cvi_ncnn_constant(m, "bias", &all);
}

void cvi_ncnn_recurrent(ncnn *m) {
    static const char *const ways[] = {"forward", "reverse", "bidirectional"};
    const cell *c = &cells[m->layer->type[0] == 'R' ? 0 : m->layer->type[0] == 'G' ? 1 : 2];
    int64_t h = cvi_ncnn_int(m, 0, 0), size = cvi_ncnn_int(m, 1, 0), way = cvi_ncnn_int(m, 2, 0), per = 0;
    int64_t directions = way == 2 ? 2 : 1;
    if (h < 1 || way < 0 || way > 2 || !cvi_mul(h, directions * c->gates, &per) || per > INT32_MAX ||
        size < per || size % per || cvi_ncnn_rank(m, m->in[0]) != 3 || m->layer->n_in != 1 ||
        m->layer->n_out != 1 || cvi_ncnn_int(m, 8, 0) || (c->gates == 4 && cvi_ncnn_int(m, 3, h) != h)) {
        m->refused = "this form of the operator is not run";
        return;
    }
    int w = kernel(m, c, "weight", directions, h, size / per), b = biases(m, c, directions, h);
    int r = kernel(m, c, "recurrence", directions, h, h);
    int x = cvi_ncnn_transpose(m, "steps", m->in[0], 3, (int64_t[]){1, 0, 2});
    int v = cvi_ncnn_op(m, c->op, "states", 4, (int[]){x, w, r, b}); /* [T,directions,N,H] */
    cvi_build_int(&m->b, "hidden_size", h);
    cvi_build_string(&m->b, "direction", ways[way]);
    if (c->gates == 3) {
        cvi_build_int(&m->b, "linear_before_reset", 1);
    }
    v = cvi_ncnn_transpose(m, "pictures", v, 4, (int64_t[]){2, 0, 1, 3});
    cvi_ncnn_put(m, 0, cvi_ncnn_reshape(m, NULL, v, 3, (int64_t[]){0, 0, directions * h}));
}

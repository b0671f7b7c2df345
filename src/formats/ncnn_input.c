/* SPDX-License-Identifier: MIT
 * ncnn_input.c - inputs of ncnn networks whose file does not tell their shape, as pnnx writes them: channels are those that the first
 * layer with weights was made for, sides those at which all layers fit. A network that fits one size only gets it.
 */
#include "formats/ncnn.h"

#include "ops/op.h"

enum { USUAL = 224, NEXT = 32, STEP = 8, LARGEST = 1024, MANY_LAYERS = 3000, HOPS = 16 };

/* ---- channels ---- */

static const ncnn_layer *reader_of(const ncnn *m, const char *blob) {
    for (int i = 0; i < m->param->n; i++) {
        const ncnn_layer *l = &m->param->layer[i];
        for (int k = 0; k < l->n_in; k++) {
            if (strcmp(l->in[k], blob) == 0) {
                return l;
            }
        }
    }
    return NULL;
}

static double number(const ncnn_layer *l, int id, double otherwise) {
    return l->setting[id].given ? l->setting[id].value : otherwise;
}

/* a / b as a count, or 0. */
static int64_t count_of(double a, double b) {
    double n = b > 0 ? a / b : 0;
    return n >= 1 && n < 1e6 ? (int64_t)n : 0;
}

/* The rank of what a layer reads (the batch counts), its sizes in dim; 0: the layer does not tell. */
static int told_by(const ncnn_layer *l, int64_t dim[4]) {
    static const struct {
        const char *type;
        char form; /* k kernel, l kernel of rows, d dense, c channels, e rows of so many, w words */
        int a, b;  /* settings whose quotient it is; b -1: a alone */
    } known[] = {{"Convolution", 'k', 6, 0},   {"ConvolutionDepthWise", 'k', 6, 0},
                 {"Deconvolution", 'k', 6, 0}, {"Convolution1D", 'l', 6, 0},
                 {"InnerProduct", 'd', 2, 0},  {"BatchNorm", 'c', 0, -1},
                 {"Scale", 'c', 0, -1},        {"LayerNorm", 'e', 0, -1},
                 {"RMSNorm", 'e', 0, -1},      {"MultiHeadAttention", 'e', 2, 0},
                 {"Gemm", 'e', 9, -1},         {"Embed", 'w', 0, -1}};
    for (int i = 0; i < CVI_COUNT(known); i++) {
        if (strcmp(l->type, known[i].type) != 0) {
            continue;
        }
        char form = known[i].form;
        double k = number(l, 1, 0), area = form == 'k' ? k * number(l, 11, k) : form == 'l' ? k : 1;
        int64_t n = count_of(number(l, known[i].a, 0), known[i].b < 0 ? 1 : number(l, known[i].b, 0) * area);
        n *= strcmp(l->type, "ConvolutionDepthWise") == 0 ? CVI_MAX(count_of(number(l, 7, 1), 1), 1) : 1;
        int rank = form == 'k' || form == 'c' ? 4 : form == 'l' || form == 'e' ? 3 : 2;
        dim[1] = form == 'w' || form == 'e' ? -1 : n;
        dim[2] = form == 'e' ? n : -1;
        dim[3] = -1;
        return form == 'w' || n > 0 ? rank : 0;
    }
    return 0;
}

static int guess(const ncnn *m, const char *blob, int64_t dim[4]) {
    for (int hops = 0; hops < HOPS && blob; hops++) {
        const ncnn_layer *l = reader_of(m, blob);
        int rank = l ? told_by(l, dim) : 0;
        if (rank > 0) {
            return rank;
        }
        blob = l && l->n_out > 0 ? l->out[0] : NULL;
    }
    dim[1] = 3;
    dim[2] = dim[3] = -1;
    return 4;
}

/* ---- the input ---- */

void cvi_ncnn_input(ncnn *m) {
    int64_t w = cvi_ncnn_int(m, 0, 0), h = cvi_ncnn_int(m, 1, 0), c = cvi_ncnn_int(m, 2, 0),
            d = cvi_ncnn_int(m, 11, 0);
    int64_t dim[5] = {-1, c, h, w};
    int rank = d > 0 && c > 0 ? 5 : c > 0 || w <= 0 ? 4 : h > 0 ? 3 : 2;
    if (rank == 5) {
        memcpy(dim, (int64_t[]){-1, c, d, h, w}, sizeof dim);
    } else if (rank == 4 && c <= 0) {
        rank = m->layer->n_out > 0 ? guess(m, m->layer->out[0], dim) : 4;
    } else {
        dim[1] = rank == 3 ? h : rank == 2 ? w : c;
        dim[2] = rank == 3 ? w : h;
    }
    int64_t usual[2] = {0};
    for (int i = 2; i < 4 && rank == 4; i++) {
        dim[i] = i == 2 ? h : w;
        usual[i - 2] = dim[i] <= 0 ? (i == 2 ? m->sides.height : m->sides.width) : 0;
        dim[i] = dim[i] > 0 ? dim[i] : m->sides.fixed ? usual[i - 2] : -1;
    }
    int v = cvi_build_ok(&m->b) ? cvi_build_made(&m->b, cvi_graph_value(m->b.g, cvi_ncnn_name(m, NULL),
                                                                        CVS_F32, rank, dim, m->b.err))
                                : -1;
    if (cvi_build_ok(&m->b) && !cvi_graph_add_input(m->b.g, v)) {
        cvi_build_no_memory(&m->b, 0);
    }
    if (cvi_build_ok(&m->b) && rank == 4 && (dim[2] < 0 || dim[3] < 0)) { /* what stands for them */
        cvs_tensor t = {.dtype = CVS_F32, .rank = 4, .dim = {1, dim[1], dim[2], dim[3]}};
        for (int i = 0; i < 2; i++) {
            m->b.g->values[v].usual[2 + i] = CVI_MAX(usual[i], 0);
            t.dim[2 + i] = t.dim[2 + i] > 0 ? t.dim[2 + i] : usual[i];
        }
        cvi_shapes_tell(&m->shapes, &m->b, v, &t);
    }
    cvi_ncnn_put(m, 0, v);
}

/* ---- sides ---- */

/* Whether all layers fit at this size, and how many of them become boxes. Nothing is read from the weights. */
static cvs_status try_sides(const cvi_open *open, const ncnn_param *param, int64_t h, int64_t w, bool *fits,
                            int *boxes) {
    cvs_error quiet = {0};
    const ncnn_sides sides = {.height = h, .width = w, .fixed = true, .strict = true};
    cvs_model *model = cvi_model_new(&open->limits, &quiet);
    if (!model) {
        return cvi_no_memory(open->err, sizeof *model);
    }
    cvs_status s = cvi_ncnn_build_sized(model, param, NULL, 0, &sides, boxes, &quiet);
    cvs_model_free(model);
    *fits = s == CVS_OK;
    return s == CVS_E_MEMORY ? cvi_no_memory(open->err, 0) : CVS_OK;
}

cvs_status cvi_ncnn_find_sides(const cvi_open *open, const ncnn_param *param, ncnn_sides *out) {
    static const int64_t usual[] = {USUAL, 256, 320, 640, 416, 300, 512, 384, 299,
                                    192,   128, 112, 160, 96,  64,  48,  32,  28};
    int64_t h = open->options ? open->options->height : 0, w = open->options ? open->options->width : 0;
    bool asked = h > 0 && w > 0, fits = false, untold = false, other = false;
    int unknown = 0, boxes = 0, best = -1, more = 0;
    *out = (ncnn_sides){.height = asked ? h : USUAL, .width = asked ? w : USUAL};
    for (int i = 0; i < param->n; i++) {
        const ncnn_layer *l = &param->layer[i];
        bool input = strcmp(l->type, "Input") == 0;
        untold |= input && !(l->setting[0].value > 0);
        unknown += !input && !cvi_ncnn_kind(l->type);
    }
    if (!untold || param->n > MANY_LAYERS) {
        return CVS_OK;
    }
    int tries = asked ? 1 : CVI_COUNT(usual) + LARGEST / STEP;
    for (int i = 0; i < tries && best != unknown; i++) {
        int64_t side = i < CVI_COUNT(usual) ? usual[i] : (i - CVI_COUNT(usual) + 1) * STEP;
        CVI_TRY(try_sides(open, param, asked ? h : side, asked ? w : side, &fits, &boxes));
        if (fits && (best < 0 || boxes < best)) {
            best = boxes;
            out->height = asked ? h : side;
            out->width = asked ? w : side;
        }
    }
    if (best >= 0) {
        CVI_TRY(try_sides(open, param, out->height + NEXT, out->width + NEXT, &other, &more));
        out->fixed = !other || more != best;
        open->model->size_guessed = out->fixed && !asked;
    }
    return CVS_OK;
}

/* SPDX-License-Identifier: MIT
 * dream.c - DeepDream: a photograph moved so that what layers see in it becomes stronger (Mordvintsev, Olah, Tyka 2015; the octaves of
 * Chollet, Deep Learning with Python, 8.2). A picture larger than the network's input is looked at piece by piece, so that networks of
 * a fixed size dream in octaves too.
 */
#include <math.h>

#include "explain/probe.h"

enum { PURPOSE = 0x64726561, MOST_LAYERS = 16, MOST_OCTAVES = 8, BORDER = 2 };

typedef struct dream {
    const cvs_dream_options *o;
    const cvs_model *model;
    cvi_probe probe; /* of the last of the layers */
    int n, values[MOST_LAYERS];
    double shares[MOST_LAYERS];
    int octaves;
    double ratio, step;
    int64_t steps;
    cvs_tensor input;              /* [1,C,h,w] of the network; owned */
    cvs_tensor seeds[MOST_LAYERS]; /* owned */
    cvs_error *err;
} dream;

/* A picture in the network's own units, x [C,h,w]. */
typedef struct canvas {
    double *x;
    int64_t channels, h, w;
} canvas;

static cvs_status canvas_new(const dream *d, int64_t h, int64_t w, canvas *out) {
    *out = (canvas){.channels = d->input.dim[1], .h = h, .w = w};
    out->x = cvi_calloc((size_t)(out->channels * h * w), sizeof *out->x);
    return out->x ? CVS_OK : cvi_no_memory(d->err, (size_t)(out->channels * h * w) * sizeof *out->x);
}

/* ---- sizes --------------------------------------------------------------------------------------------------- */

/* Weights of a triangle as wide as a source pixel or, shrinking, as a target pixel: sum over the source of row k of the target. */
static double resampled(const double *line, int64_t n, int64_t stride, double scale, int64_t k) {
    double middle = ((double)k + 0.5) * scale - 0.5, reach = fmax(scale, 1.0), sum = 0, all = 0;
    int64_t first = (int64_t)ceil(middle - reach), last = (int64_t)floor(middle + reach);
    for (int64_t i = CVI_MAX(first, 0); i <= CVI_MIN(last, n - 1); i++) {
        double weight = 1 - fabs((double)i - middle) / reach;
        sum += weight * line[i * stride];
        all += weight;
    }
    return all > 0 ? sum / all : line[CVI_MIN(CVI_MAX((int64_t)middle, 0), n - 1) * stride];
}

/* Bilinear, averaging where it shrinks. out is owned. */
static cvs_status resize(const dream *d, const canvas *in, int64_t h, int64_t w, canvas *out) {
    canvas tall = {0};
    CVI_TRY(canvas_new(d, h, in->w, &tall));
    cvs_status s = canvas_new(d, h, w, out);
    for (int64_t c = 0; c < in->channels && s == CVS_OK; c++) {
        for (int64_t i = 0; i < h * in->w; i++) {
            const double *column = in->x + c * in->h * in->w + i % in->w;
            tall.x[c * h * in->w + i] = resampled(column, in->h, in->w, (double)in->h / (double)h, i / in->w);
        }
        for (int64_t i = 0; i < h * w; i++) {
            const double *row = tall.x + (c * h + i / w) * in->w;
            out->x[c * h * w + i] = resampled(row, in->w, 1, (double)in->w / (double)w, i % w);
        }
    }
    cvi_free(tall.x);
    return s;
}

/* ---- one look ------------------------------------------------------------------------------------------------ */

/* d (share * mean of squares, without a border) / d layer. */
static void fill_seed(const cvs_tensor *t, double share, cvs_tensor *seed) {
    int64_t h = t->rank >= 4 ? t->dim[2] : 1, w = t->rank >= 3 ? t->dim[t->rank - 1] : 1;
    int64_t edge = h > 4 * BORDER && w > 4 * BORDER ? BORDER : 0, n = cvs_tensor_count(t);
    int64_t counted = n / (h * w) * (h - 2 * edge) * (w - 2 * edge);
    const float *a = t->data;
    float *to = seed->data;
    for (int64_t i = 0; i < n; i++) {
        int64_t row = i / w % h, column = i % w;
        bool inside = row >= edge && row < h - edge && column >= edge && column < w - edge;
        to[i] = inside ? (float)(2 * share * (double)a[i] / (double)counted) : 0.0f;
    }
}

/* Adds d target / d picture of the window at (top, left) to `slope`, and 1 to `seen`. */
static cvs_status look(dream *d, const canvas *c, int64_t top, int64_t left, double *slope, double *seen) {
    int64_t h = d->input.dim[2], w = d->input.dim[3];
    float *x = d->input.data;
    cvs_tensor gradient, t;
    cvi_planes planes;
    for (int64_t i = 0; i < c->channels * h * w; i++) {
        int64_t k = i / (h * w), row = top + i / w % h, column = left + i % w;
        x[i] = (float)c->x[(k * c->h + row) * c->w + column];
    }
    CVI_TRY(cvi_probe_run(&d->probe, &d->input, &planes, d->err));
    for (int i = 0; i < d->n; i++) {
        CVI_TRY(cvi_exec_value(d->probe.exec, d->values[i], &t, d->err));
        if (!t.data || t.dtype != CVS_F32) {
            return cvi_fail(d->err, CVS_E_UNSUPPORTED,
                            "layer %.80s does not lie on the way to layer %.80s: dream of them one by one",
                            d->model->graph->values[d->values[i]].name, d->probe.layer);
        }
        if (!d->seeds[i].data) {
            CVI_TRY(cvs_tensor_new(&d->seeds[i], CVS_F32, t.rank, t.dim, d->err));
        }
        fill_seed(&t, d->shares[i], &d->seeds[i]);
    }
    CVI_TRY(cvi_exec_backward(d->probe.exec, CVI_GRADIENT, d->values, d->seeds, d->n, &d->probe.input, 1,
                              d->err));
    CVI_TRY(cvi_exec_gradient(d->probe.exec, d->probe.input, &gradient, d->err));
    for (int64_t i = 0; i < c->channels * h * w; i++) {
        int64_t k = i / (h * w), row = top + i / w % h, column = left + i % w;
        slope[(k * c->h + row) * c->w + column] += (double)((const float *)gradient.data)[i];
        seen[row * c->w + column] += k == 0 ? 1.0 : 0.0;
    }
    return CVS_OK;
}

/* First place of window i of n of `size` in `side` pixels: evenly over the side, all but the outer ones moved by `shift` of a gap. */
static int64_t place(int64_t i, int64_t n, int64_t size, int64_t side, double shift) {
    if (n == 1) {
        return 0;
    }
    double gap = (double)(side - size) / (double)(n - 1);
    double at = (double)i * gap + (i > 0 && i < n - 1 ? (shift - 0.5) * gap : 0);
    return CVI_MIN(CVI_MAX((int64_t)rint(at), 0), side - size);
}

/* What a step of 1 counts in channel c: half the range of pixels. */
static double half_range(const dream *d, int64_t c) {
    const cvs_preprocess *p = &d->model->preprocess;
    double std = c < 4 && p->std[c] != 0 ? p->std[c] : 1;
    return 127.5 * (p->scale > 0 ? p->scale : 1.0 / 255) / std;
}

/* x += step * half range * g / rms(g), within what a picture can hold. */
static void climb(const dream *d, canvas *c, const double *slope, const double *seen) {
    const cvs_preprocess *p = &d->model->preprocess;
    int64_t area = c->h * c->w;
    double square = 0;
    for (int64_t i = 0; i < c->channels * area; i++) {
        double g = slope[i] / fmax(seen[i % area], 1) * half_range(d, i / area);
        square += g * g;
    }
    double size = sqrt(square / (double)(c->channels * area)) + 1e-30;
    for (int64_t i = 0; i < c->channels * area; i++) {
        int64_t k = i / area;
        double range = half_range(d, k), std = k < 4 && p->std[k] != 0 ? p->std[k] : 1;
        double least = -(k < 4 ? p->mean[k] : 0) / std;
        double v = c->x[i] + d->step * range * range * slope[i] / fmax(seen[i % area], 1) / size;
        c->x[i] = fmin(fmax(v, least), least + 2 * range);
    }
}

static cvs_status dream_octave(dream *d, canvas *c, int octave) {
    int64_t h = d->input.dim[2], w = d->input.dim[3], area = c->h * c->w;
    int64_t down = c->h > h ? (c->h * 5 / 4 + h - 1) / h : 1,
            across = c->w > w ? (c->w * 5 / 4 + w - 1) / w : 1;
    double *slope = cvi_calloc((size_t)(c->channels * area), sizeof *slope);
    double *seen = cvi_calloc((size_t)area, sizeof *seen);
    cvs_status s = slope && seen ? CVS_OK : cvi_no_memory(d->err, (size_t)area * sizeof *seen);
    for (int64_t t = 0; t < d->steps && s == CVS_OK; t++) {
        memset(slope, 0, (size_t)(c->channels * area) * sizeof *slope);
        memset(seen, 0, (size_t)area * sizeof *seen);
        uint64_t at = (uint64_t)(octave * d->steps + t) * 2;
        double v = cvi_random_uniform(d->o->seed, PURPOSE, at),
               u = cvi_random_uniform(d->o->seed, PURPOSE, at + 1);
        for (int64_t i = 0; i < down * across && s == CVS_OK; i++) {
            s = look(d, c, place(i / across, down, h, c->h, v), place(i % across, across, w, c->w, u), slope,
                     seen);
        }
        if (s == CVS_OK) {
            climb(d, c, slope, seen);
        }
        double done = ((double)octave + (double)(t + 1) / (double)d->steps) / d->octaves;
        if (s == CVS_OK && d->o->progress && !d->o->progress(d->o->progress_context, d->probe.layer, done)) {
            s = cvi_fail(d->err, CVS_E_CANCELLED, "cancelled");
        }
    }
    cvi_free(slope);
    cvi_free(seen);
    return s;
}

/* ---- octaves ------------------------------------------------------------------------------------------------- */

static cvs_status enter(dream *d, const cvs_tensor *picture, int64_t h, int64_t w, canvas *out) {
    cvs_tensor x = {0};
    CVI_TRY(cvs_preprocess_apply(&d->model->preprocess, picture, d->input.dim[1], h, w, &x, NULL, d->err));
    cvs_status s = canvas_new(d, h, w, out);
    for (int64_t i = 0; s == CVS_OK && i < out->channels * h * w; i++) {
        out->x[i] = (double)((const float *)x.data)[i];
    }
    cvs_tensor_free(&x);
    return s;
}

static cvs_status leave(const dream *d, const canvas *c, cvs_tensor *out) {
    const cvs_preprocess *p = &d->model->preprocess;
    int64_t dim[3] = {c->h, c->w, 3}, area = c->h * c->w;
    CVI_TRY(cvs_tensor_new(out, CVS_U8, 3, dim, d->err));
    for (int64_t i = 0; i < area; i++) {
        for (int64_t k = 0; k < 3; k++) {
            int64_t from = c->channels == 3 ? (p->order == CVS_BGR ? 2 - k : k) : 0;
            double mean = p->mean[from], std = p->std[from] != 0 ? p->std[from] : 1;
            double v = (c->x[from * area + i] * std + mean) / (p->scale > 0 ? p->scale : 1.0 / 255);
            v = p->invert ? 255 - v : v;
            ((uint8_t *)out->data)[3 * i + k] = (uint8_t)lrint(fmin(fmax(v, 0), 255));
        }
    }
    return CVS_OK;
}

/* The next size: the dream enlarged, plus what its smaller picture had lost of the original. */
static cvs_status enlarge(dream *d, const cvs_tensor *picture, canvas *c, canvas *plain, int64_t h,
                          int64_t w) {
    canvas larger = {0}, original = {0}, lost = {0};
    cvs_status s = resize(d, c, h, w, &larger);
    s = s == CVS_OK ? resize(d, plain, h, w, &lost) : s;
    s = s == CVS_OK ? enter(d, picture, h, w, &original) : s;
    for (int64_t i = 0; i < c->channels * h * w && s == CVS_OK; i++) {
        larger.x[i] += original.x[i] - lost.x[i];
    }
    cvi_free(lost.x);
    cvi_free(c->x);
    cvi_free(plain->x);
    *c = larger;
    *plain = original;
    return s;
}

static cvs_status dream_all(dream *d, const cvs_tensor *picture, cvs_tensor *out) {
    canvas c = {0}, plain = {0};
    int64_t h = d->input.dim[2], w = d->input.dim[3];
    cvs_status s = enter(d, picture, h, w, &c);
    s = s == CVS_OK ? enter(d, picture, h, w, &plain) : s;
    for (int i = 0; i < d->octaves && s == CVS_OK; i++) {
        double scale = pow(d->ratio, i);
        if (i > 0) {
            s = enlarge(d, picture, &c, &plain, (int64_t)rint((double)h * scale),
                        (int64_t)rint((double)w * scale));
        }
        s = s == CVS_OK ? dream_octave(d, &c, i) : s;
    }
    s = s == CVS_OK ? leave(d, &c, out) : s;
    cvi_free(c.x);
    cvi_free(plain.x);
    return s;
}

/* ---- the question -------------------------------------------------------------------------------------------- */

static cvs_status take_layers(dream *d, const cvs_run_options *run_options) {
    const cvi_graph *g = d->model->graph;
    int last = -1;
    if (d->o->n_layers < 0 || d->o->n_layers > MOST_LAYERS) {
        return cvi_fail(d->err, CVS_E_ARGUMENT, "%d layers are too many to dream of, up to %d are possible",
                        d->o->n_layers, MOST_LAYERS);
    }
    d->n = CVI_MAX(d->o->n_layers, 1);
    for (int i = 0; i < d->n; i++) {
        const char *name = d->o->n_layers > 0 ? d->o->layers[i] : "last-conv";
        CVI_TRY(cvi_ops_find_layer(g, name, &d->values[i], d->err));
        d->shares[i] = d->o->n_layers > 0 && d->o->shares ? d->o->shares[i] : 1;
        last = last < 0 || g->values[d->values[i]].producer > g->values[last].producer ? d->values[i] : last;
    }
    CVI_TRY(cvi_probe_value(d->model, run_options, last, &d->probe, d->err));
    cvs_tensor shape;
    CVI_TRY(cvi_probe_input(&d->probe, &shape, d->err));
    return cvs_tensor_new(&d->input, CVS_F32, shape.rank, shape.dim, d->err);
}

static cvs_status take_numbers(dream *d) {
    const cvs_dream_options *o = d->o;
    d->octaves = o->octaves > 0 ? o->octaves : 3;
    d->ratio = o->ratio > 0 ? o->ratio : 1.4;
    d->steps = o->steps > 0 ? o->steps : 20;
    d->step = o->step > 0 ? o->step : 0.02;
    bool fits =
        d->octaves <= MOST_OCTAVES && d->ratio >= 1 && d->ratio <= 4 && d->steps <= 100000 && d->step < 100;
    double longer = (double)CVI_MAX(d->input.dim[2], d->input.dim[3]) * pow(d->ratio, d->octaves - 1);
    if (!fits || longer > 8192) {
        return cvi_fail(
            d->err, CVS_E_ARGUMENT,
            "a dream has 1 to %d octaves, each 1 to 4 times the one before, and at most 8192 pixels a "
            "side",
            MOST_OCTAVES);
    }
    return CVS_OK;
}

cvs_status cvs_dream(const cvs_model *model, const cvs_run_options *run_options, const cvs_tensor *picture,
                     const cvs_dream_options *options, cvs_tensor *out, cvs_error *err) {
    dream d = {.o = options, .model = model, .err = err};
    *out = (cvs_tensor){0};
    cvs_status s = take_layers(&d, run_options);
    s = s == CVS_OK ? take_numbers(&d) : s;
    s = s == CVS_OK ? dream_all(&d, picture, out) : s;
    for (int i = 0; i < d.n; i++) {
        cvs_tensor_free(&d.seeds[i]);
    }
    cvs_tensor_free(&d.input);
    cvi_probe_free(&d.probe);
    if (s != CVS_OK) {
        cvs_tensor_free(out);
    }
    return s;
}

/* SPDX-License-Identifier: MIT
 * similar.c - how alike the layers of two models are: linear CKA over the cells of a grid laid over the same pictures.
 *
 * A layer's features over n examples are X [n,C]; with K = X X^T, zeroed on the diagonal, HSIC(K, L) = (tr(K L) + 1K1 1L1 / ((n-1)(n-2))
 * - 2 1KL1 / (n-2)) / (n(n-3)), and CKA = HSIC(K,L) / sqrt(HSIC(K,K) HSIC(L,L)).
 */
#include <math.h>

#include "convscope/compare.h"
#include "base/base.h"

enum { ENOUGH = 128, MOST_EXAMPLES = 1024 };

typedef struct side {
    const cvs_model *model;
    int n, *layer;     /* borrowed from the result */
    float **features;  /* per layer [examples, channels], owned */
    int64_t *channels; /* owned */
    double **gram;     /* per layer [examples, examples], owned; NULL: nothing varies, or not finite */
    double *self;      /* HSIC of a layer with itself */
    double **rows;     /* per layer: sums of the gram's rows, and their sum behind them */
} side;

typedef struct comparing {
    const cvs_similarity_options *o;
    cvs_similarity *out;
    const cvs_tensor *pictures;
    int n_pictures, done, steps;
    cvs_error *err;
} comparing;

void cvs_similarity_free(cvs_similarity *s) {
    if (s) {
        for (int k = 0; k < 2; k++) {
            cvi_free(s->layer[k]);
            cvi_free(s->best[k]);
        }
        cvi_free(s->cka);
        *s = (cvs_similarity){0};
    }
}

static void side_free(side *s) {
    for (int i = 0; i < s->n; i++) {
        if (s->features) {
            cvi_free(s->features[i]);
        }
        if (s->gram) {
            cvi_free(s->gram[i]);
        }
        if (s->rows) {
            cvi_free(s->rows[i]);
        }
    }
    cvi_free(s->features);
    cvi_free(s->channels);
    cvi_free(s->gram);
    cvi_free(s->self);
    cvi_free(s->rows);
    *s = (side){0};
}

static cvs_status tell(comparing *c, const char *what) {
    double share = (double)c->done++ / (double)c->steps;
    return c->o->progress && !c->o->progress(c->o->progress_context, what, share)
               ? cvi_fail(c->err, CVS_E_CANCELLED, "cancelled")
               : CVS_OK;
}

/* ---- features ------------------------------------------------------------------------------------------------------ */

/* The layers to compare, from those that hold float32 with channels. */
static cvs_status choose_layers(comparing *c, side *s, int k, const cvs_run_options *options) {
    cvs_summary all;
    CVI_TRY(cvs_model_summarize(s->model, options, CVS_EN, &all, c->err));
    int *fit = cvi_calloc((size_t)CVI_MAX(all.n_layers, 1), sizeof *fit), n = 0;
    for (int i = 0; fit && i < all.n_layers; i++) {
        const cvs_layer *l = &all.layers[i];
        if (l->runnable && l->dtype == CVS_F32 && l->rank >= 2 && l->rank <= 4 && l->dim[1] > 0) {
            fit[n++] = i;
        }
    }
    cvs_summary_free(&all);
    s->n = CVI_MIN(n, CVS_SIMILAR_LAYERS);
    size_t room = (size_t)CVI_MAX(s->n, 1);
    c->out->layer[k] = cvi_calloc(room, sizeof(int));
    c->out->best[k] = cvi_calloc(room, sizeof(int));
    s->features = cvi_calloc(room, sizeof *s->features);
    s->channels = cvi_calloc(room, sizeof *s->channels);
    s->gram = cvi_calloc(room, sizeof *s->gram);
    s->self = cvi_calloc(room, sizeof *s->self);
    s->rows = cvi_calloc(room, sizeof *s->rows);
    if (!fit || !c->out->layer[k] || !c->out->best[k] || !s->features || !s->channels || !s->gram ||
        !s->self || !s->rows) {
        cvi_free(fit);
        return cvi_no_memory(c->err, room);
    }
    s->layer = c->out->layer[k];
    for (int i = 0; i < s->n; i++) {
        s->layer[i] = fit[s->n > 1 ? (int)((int64_t)i * (n - 1) / (s->n - 1)) : 0];
    }
    c->out->n[k] = s->n;
    cvi_free(fit);
    return CVS_OK;
}

/* The mean of one channel over cell (y, x) of the grid: rows floor(y h / g) to ceil((y+1) h / g), as adaptive average pooling does. */
static float cell(const float *map, int64_t h, int64_t w, int g, int y, int x) {
    int64_t top = y * h / g, bottom = ((y + 1) * h + g - 1) / g, left = x * w / g,
            right = ((x + 1) * w + g - 1) / g;
    double sum = 0.0;
    for (int64_t i = top; i < bottom; i++) {
        for (int64_t j = left; j < right; j++) {
            sum += (double)map[i * w + j];
        }
    }
    return (float)(sum / (double)((bottom - top) * (right - left)));
}

static cvs_status take_layer(comparing *c, side *s, int i, const cvs_tensor *t, int picture) {
    int64_t channels = t->dim[1], h = t->rank > 3 ? t->dim[2] : 1, w = t->rank > 2 ? t->dim[t->rank - 1] : 1;
    int g = c->out->grid;
    if (!s->features[i]) {
        int64_t count;
        bool fits = cvi_mul(channels, (int64_t)c->out->examples, &count) && count <= (int64_t)1 << 28;
        s->features[i] = fits ? cvi_calloc((size_t)count, sizeof(float)) : NULL;
        s->channels[i] = channels;
        if (!s->features[i]) {
            return cvi_no_memory(c->err, (size_t)channels * (size_t)c->out->examples);
        }
    }
    if (channels != s->channels[i] || cvs_tensor_count(t) < channels * h * w || h * w < 1) {
        return CVS_OK; /* another size for this picture: left at zero, which is no variation */
    }
    for (int64_t k = 0; k < channels; k++) {
        for (int at = 0; at < g * g; at++) {
            s->features[i][((int64_t)picture * g * g + at) * channels + k] =
                cell((const float *)t->data + k * h * w, h, w, g, at / g, at % g);
        }
    }
    return CVS_OK;
}

static cvs_status run_side(comparing *c, side *s, const cvs_run_options *options) {
    cvs_run *run = NULL;
    cvs_status status = cvs_run_new(s->model, options, &run, c->err);
    for (int p = 0; status == CVS_OK && p < c->n_pictures; p++) {
        status = tell(c, "run");
        status = status == CVS_OK ? cvs_run_image(run, &c->pictures[p], NULL, c->err) : status;
        for (int i = 0; status == CVS_OK && i < s->n; i++) {
            cvs_tensor t;
            status = cvs_run_layer(run, s->layer[i], &t, c->err);
            if (status == CVS_OK && t.dtype == CVS_F32 && t.rank >= 2 && t.rank <= 4) {
                status = take_layer(c, s, i, &t, p);
            }
        }
    }
    cvs_run_free(run);
    return status;
}

/* ---- similarity ------------------------------------------------------------------------------------------------------ */

static double hsic(const double *k, const double *k_rows, const double *l, const double *l_rows, int n) {
    double trace = 0.0, cross = 0.0, size = (double)n;
    for (int i = 0; i < n; i++) {
        double sum = 0.0;
        for (int j = 0; j < n; j++) {
            sum += k[(int64_t)i * n + j] * l[(int64_t)i * n + j];
        }
        trace += sum;
        cross += k_rows[i] * l_rows[i];
    }
    return (trace + k_rows[n] * l_rows[n] / ((size - 1) * (size - 2)) - 2.0 * cross / (size - 2)) /
           (size * (size - 3));
}

/* Eight sums side by side: as exact as doubles need here, and a compiler can make them one register. */
static double product(const float *x, const float *y, int64_t n) {
    float sum[8] = {0};
    double all = 0.0;
    int64_t j = 0;
    for (; j + 8 <= n; j += 8) {
        for (int k = 0; k < 8; k++) {
            sum[k] += x[j + k] * y[j + k];
        }
    }
    for (int k = 0; k < 8; k++) {
        all += (double)sum[k];
    }
    for (; j < n; j++) {
        all += (double)x[j] * (double)y[j];
    }
    return all;
}

/* K of a layer with the columns of its features centred first (which changes no HSIC, only rounding); features are spent. */
static cvs_status make_gram(comparing *c, side *s, int i) {
    int n = c->out->examples;
    int64_t channels = s->channels[i];
    float *x = s->features[i];
    double *k = x ? cvi_calloc((size_t)n * (size_t)n, sizeof *k) : NULL, *rows;
    s->rows[i] = rows = cvi_calloc((size_t)n + 1, sizeof *rows);
    if (!rows || (x && !k)) {
        cvi_free(k);
        return cvi_no_memory(c->err, (size_t)n * (size_t)n * sizeof(double));
    }
    double energy =
        0.0; /* of an example, before the mean is taken away: what is left of a layer that never varies is rounding */
    for (int64_t j = 0; x && j < channels; j++) {
        double mean = 0.0;
        for (int e = 0; e < n; e++) {
            double v = (double)x[e * channels + j];
            mean += v / n;
            energy += v * v / n;
        }
        for (int e = 0; e < n; e++) {
            x[e * channels + j] = (float)((double)x[e * channels + j] - mean);
        }
    }
    for (int e = 0; x && e < n; e++) {
        for (int f = 0; f < e; f++) {
            double dot = product(x + e * channels, x + f * channels, channels);
            k[e * n + f] = k[f * n + e] = dot;
            rows[e] += dot;
            rows[f] += dot;
            rows[n] += 2.0 * dot;
        }
    }
    cvi_free(x);
    s->features[i] = NULL;
    s->gram[i] = k;
    s->self[i] = k ? hsic(k, rows, k, rows, n) : 0.0;
    if (k && !(s->self[i] > 1e-20 * energy * energy && isfinite(s->self[i]))) {
        cvi_free(k);
        s->gram[i] = NULL;
    }
    return CVS_OK;
}

static void fill_matrix(comparing *c, const side *a, const side *b) {
    cvs_similarity *r = c->out;
    int n = r->examples;
    for (int i = 0; i < a->n; i++) {
        for (int j = 0; j < b->n; j++) {
            bool both = a->gram[i] && b->gram[j];
            r->cka[(int64_t)i * b->n + j] =
                both ? hsic(a->gram[i], a->rows[i], b->gram[j], b->rows[j], n) / sqrt(a->self[i] * b->self[j])
                     : (double)NAN;
        }
    }
    for (int i = 0; i < a->n; i++) {
        r->best[0][i] = -1;
        for (int j = 0; j < b->n; j++) {
            double v = r->cka[(int64_t)i * b->n + j];
            int now = r->best[0][i];
            r->best[0][i] = isfinite(v) && (now < 0 || v > r->cka[(int64_t)i * b->n + now]) ? j : now;
        }
    }
    for (int j = 0; j < b->n; j++) {
        r->best[1][j] = -1;
        for (int i = 0; i < a->n; i++) {
            double v = r->cka[(int64_t)i * b->n + j];
            int now = r->best[1][j];
            r->best[1][j] = isfinite(v) && (now < 0 || v > r->cka[(int64_t)now * b->n + j]) ? i : now;
        }
    }
}

static cvs_status compare(comparing *c, side s[2], const cvs_run_options *options) {
    for (int k = 0; k < 2; k++) {
        CVI_TRY(choose_layers(c, &s[k], k, options));
    }
    c->steps = 2 * c->n_pictures + s[0].n + s[1].n + 1;
    for (int k = 0; k < 2; k++) {
        CVI_TRY(run_side(c, &s[k], options));
    }
    for (int k = 0; k < 2; k++) {
        for (int i = 0; i < s[k].n; i++) {
            CVI_TRY(tell(c, "similarity"));
            CVI_TRY(make_gram(c, &s[k], i));
        }
    }
    c->out->cka = cvi_calloc((size_t)CVI_MAX(s[0].n, 1) * (size_t)CVI_MAX(s[1].n, 1), sizeof(double));
    if (!c->out->cka) {
        return cvi_no_memory(c->err, (size_t)s[0].n * (size_t)s[1].n * sizeof(double));
    }
    fill_matrix(c, &s[0], &s[1]);
    return CVS_OK;
}

cvs_status cvs_compare_layers(const cvs_model *a, const cvs_model *b, const cvs_run_options *run_options,
                              const cvs_tensor *pictures, int n_pictures,
                              const cvs_similarity_options *options, cvs_similarity *out, cvs_error *err) {
    static const cvs_similarity_options usual = {0};
    *out = (cvs_similarity){0};
    comparing c = {.o = options ? options : &usual,
                   .out = out,
                   .pictures = pictures,
                   .n_pictures = n_pictures,
                   .err = err};
    if (n_pictures < 1 || n_pictures > CVS_SIMILAR_PICTURES) {
        return cvi_fail(err, CVS_E_ARGUMENT, "layers are compared over 1 to %d pictures, not %d",
                        CVS_SIMILAR_PICTURES, n_pictures);
    }
    out->grid = c.o->grid > 0 ? c.o->grid : (int)ceil(sqrt((double)ENOUGH / n_pictures));
    int64_t examples = (int64_t)out->grid * out->grid * n_pictures;
    if (out->grid > 64 || examples < 4 || examples > MOST_EXAMPLES) {
        return cvi_fail(err, CVS_E_ARGUMENT,
                        "a grid of %d x %d over %d pictures makes %lld examples: 4 to %d are needed",
                        out->grid, out->grid, n_pictures, (long long)examples, MOST_EXAMPLES);
    }
    out->examples = (int)examples;
    side s[2] = {{.model = a}, {.model = b}};
    cvs_status status = compare(&c, s, run_options);
    side_free(&s[0]);
    side_free(&s[1]);
    if (status != CVS_OK) {
        cvs_similarity_free(out);
    }
    return status;
}

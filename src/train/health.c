/* SPDX-License-Identifier: MIT
 * health.c - measured while training: of weights their size, gradient and change on every k-th step; of activations, once an epoch on some
 * pictures, mean, deviation, zeros, saturated numbers and channels that never change; of labels, how the margins of their pictures add up. What it
 * costs is bounded by how seldom it is done: a table in docs/training.md has the measured share.
 */
#include "train/health.h"
#include "train/run_log.h"
#include "train/tally.h"

#include <math.h>
#include <stdlib.h>

enum { SELDOM = 50, OFTEN = 8, PER_EPOCH = 16, INPUT_PICTURES = 2000 };
enum {
    PROBES = 128,
    LEAST_PROBES = 16,
    PROBED = 200
};                                            /* one of so many pictures is looked at after an epoch */
static const int64_t PROBE_BYTES = 256 << 20; /* what the values of these pictures may take */

struct cvi_health {
    int64_t interval; /* steps between measurements */
    bool measured;    /* the step at hand */
    float *margins;   /* of the batch */

    /* The pictures that are taken through after every epoch: kept, since new memory costs more than the pass itself. */
    cvi_exec *exec;
    float *x; /* [n,C,H,W] */
    int *labels;
    int64_t n;
};

cvs_status cvi_health_new(const cvi_loop *r, cvi_health **out, cvs_error *err) {
    cvi_health *h = cvi_calloc(1, sizeof *h);
    int64_t per_epoch = (r->n_order + r->training.batch - 1) / r->training.batch;
    *out = h;
    if (!h) {
        return cvi_no_memory(err, sizeof *h);
    }
    h->interval = CVI_MIN(CVI_MAX(per_epoch / PER_EPOCH, OFTEN), SELDOM);
    h->margins = cvi_calloc((size_t)r->training.batch, sizeof *h->margins);
    return h->margins ? CVS_OK : cvi_no_memory(err, (size_t)r->training.batch * sizeof *h->margins);
}

void cvi_health_free(cvi_health *h) {
    if (h) {
        cvi_exec_free(h->exec);
        cvi_free(h->x);
        cvi_free(h->labels);
        cvi_free(h->margins);
        cvi_free(h);
    }
}

/* "health/WHO/what" */
static void scalar(cvi_events *e, const char *who, const char *what, int64_t step, double v) {
    char tag[700];
    snprintf(tag, sizeof tag, "health/%.600s%s%s", who, who[0] ? "/" : "", what);
    cvi_events_scalar(e, tag, step, v);
}

/* The i-th of some pictures from all over a set; sets are often sorted by class, or go round the classes. */
static int64_t somewhere(int64_t i, int64_t n) {
    return (int64_t)(cvi_random_bits(0x68656164, 0, (uint64_t)i) % (uint64_t)n);
}

/* ---- the pictures --------------------------------------------------------------------------------------- */

/* Mean and deviation of channel c over some pictures, as the network sees them. */
static void input_moments(const cvi_samples *s, int64_t c, double *mean, double *deviation) {
    int64_t count[2][256] = {{0}}; /* two: neighbours are often equal, and one would wait for the other */
    double sum = 0, square = 0, all = 0;
    int64_t n = CVI_MIN(s->n, (int64_t)INPUT_PICTURES), pixels = s->height * s->width;
    for (int64_t k = 0; k < n; k++) {
        const uint8_t *plane = s->pixels + ((n == s->n ? k : somewhere(k, s->n)) * s->channels + c) * pixels;
        for (int64_t i = 0; i < pixels; i++) {
            count[i & 1][plane[i]]++;
        }
    }
    for (int v = 0; v < 256; v++) {
        double times = (double)(count[0][v] + count[1][v]), value = (double)s->value[c][v];
        all += times;
        sum += times * value;
        square += times * value * value;
    }
    *mean = sum / fmax(all, 1);
    *deviation = sqrt(fmax(square / fmax(all, 1) - *mean * *mean, 0));
}

static uint64_t hash_of(const cvi_samples *s, int64_t i) {
    int64_t n = s->channels * s->height * s->width;
    const uint8_t *p = s->pixels + i * n;
    uint64_t h = 0x9e3779b97f4a7c15U;
    for (int64_t k = 0; k < n; k += 8) {
        uint64_t word = 0;
        memcpy(&word, p + k, (size_t)CVI_MIN(n - k, (int64_t)8));
        h = (h ^ word) * 0xff51afd7ed558ccdU;
        h ^= h >> 32;
    }
    return h;
}

static int by_number(const void *a, const void *b) {
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

/* How many test pictures are, pixel by pixel, training pictures. */
static cvs_status count_leaks(const cvi_loop *r, int64_t *leaks) {
    uint64_t *known = cvi_calloc((size_t)CVI_MAX(r->train.n, 1), sizeof *known);
    *leaks = 0;
    if (!known) {
        return cvi_no_memory(r->err, (size_t)r->train.n * sizeof *known);
    }
    for (int64_t i = 0; i < r->train.n; i++) {
        known[i] = hash_of(&r->train, i);
    }
    qsort(known, (size_t)r->train.n, sizeof *known, by_number);
    for (int64_t i = 0; i < r->test.n; i++) {
        uint64_t one = hash_of(&r->test, i);
        *leaks += bsearch(&one, known, (size_t)r->train.n, sizeof *known, by_number) != NULL;
    }
    cvi_free(known);
    return CVS_OK;
}

cvs_status cvi_health_data(const cvi_loop *r, cvi_events *e) {
    int64_t *count = cvi_calloc((size_t)r->train.n_classes, sizeof *count), leaks = 0, least = INT64_MAX,
            most = 0;
    if (!count) {
        return cvi_no_memory(r->err, (size_t)r->train.n_classes * sizeof *count);
    }
    for (int64_t c = 0; c < r->train.channels; c++) {
        double mean, deviation, test_mean, test_deviation;
        char who[40];
        input_moments(&r->train, c, &mean, &deviation);
        input_moments(&r->test, c, &test_mean, &test_deviation);
        snprintf(who, sizeof who, "input/%lld", (long long)c);
        scalar(e, who, "mean", 0, mean);
        scalar(e, who, "deviation", 0, deviation);
        scalar(e, who, "test_mean", 0, test_mean);
    }
    for (int64_t i = 0; i < r->train.n; i++) {
        count[r->train.labels[i]]++;
    }
    for (int c = 0; c < r->train.n_classes; c++) {
        least = count[c] > 0 ? CVI_MIN(least, count[c]) : least;
        most = CVI_MAX(most, count[c]);
    }
    cvi_free(count);
    scalar(e, "", "classes", 0, r->train.n_classes);
    scalar(e, "", "imbalance", 0, (double)most / (double)CVI_MAX(CVI_MIN(least, most), 1));
    CVI_TRY(count_leaks(r, &leaks));
    scalar(e, "", "leaks", 0, (double)leaks);
    scalar(e, "", "test_pictures", 0, (double)r->test.n);
    return CVS_OK;
}

/* ---- steps ---------------------------------------------------------------------------------------------- */

void cvi_health_before(cvi_health *h, cvi_loop *r, int64_t n) {
    int64_t step = r->at.step;
    (void)n;
    h->measured = step % h->interval == 0 || step == 1;
    cvi_trainer_watch(r->trainer, h->measured, r->training.augment.mixup > 0 ? NULL : h->margins);
}

static void write_measures(const cvi_loop *r, cvi_events *e) {
    const cvi_measure *m = cvi_trainer_measured(r->trainer);
    double all = 0;
    for (int i = 0; i < r->params.n_trained; i++) {
        const cvi_param *p = &r->params.list[i];
        double n = (double)CVI_MAX(cvs_tensor_count(&p->now), 1);
        all += m[i].gradient;
        if (!p->weight) {
            continue;
        }
        scalar(e, p->name, "weight_rms", r->at.step, sqrt(m[i].weight / n));
        scalar(e, p->name, "gradient_rms", r->at.step, sqrt(m[i].gradient / n));
        scalar(e, p->name, "update_ratio", r->at.step, sqrt(m[i].change / fmax(m[i].weight, 1e-300)));
        scalar(e, p->name, "unchanged", r->at.step, (double)m[i].unchanged / n);
        if (m[i].broken > 0) {
            scalar(e, p->name, "broken_gradients", r->at.step, (double)m[i].broken / n);
        }
    }
    scalar(e, "", "gradient_norm", r->at.step, sqrt(all));
    if (r->training.clip_norm > 0) {
        scalar(e, "", "clipped", r->at.step, sqrt(all) > r->training.clip_norm);
    }
}

void cvi_health_after(cvi_health *h, cvi_loop *r, cvi_events *e, int64_t n) {
    cvi_doubts *d = &r->history.doubts;
    for (int64_t i = 0; i < n; i++) {
        int64_t picture = r->order[r->at.taken - n + i];
        bool mixed = r->training.augment.mixup > 0; /* then a picture has no label of its own */
        if (d->seen[picture] < INT32_MAX && r->at.epoch > 1 && !mixed) { /* the first epoch knows little */
            d->sum[picture] += h->margins[i];
            d->seen[picture]++;
        }
    }
    if (h->measured) {
        write_measures(r, e);
    }
}

/* ---- activations ---------------------------------------------------------------------------------------- */

/* Bounds of what a squashing function gives, guessed from many of its numbers: all strictly inside (0,1), or inside [-1,1] on both
 * sides of 0. */
static double saturated_share(const float *v, int64_t n, double lo, double hi) {
    bool sigmoid = lo > 0 && hi < 1, tanh = lo < 0 && lo >= -1 && hi > 0 && hi <= 1;
    int64_t count = 0;
    for (int64_t i = 0; i < n; i++) {
        float x = v[i];
        count += sigmoid ? x < 0.03F || x > 0.97F : tanh && (x > 0.97F || x < -0.97F);
    }
    return (double)count / (double)CVI_MAX(n, 1);
}

static void write_activation(cvi_events *e, const char *layer, int64_t step, const cvs_tensor *t) {
    const float *v = t->data;
    int64_t n = cvs_tensor_count(t), channels = t->dim[1], inner = n / CVI_MAX(t->dim[0] * channels, 1),
            dead = 0;
    double sum = 0, square = 0, lo = HUGE_VAL, hi = -HUGE_VAL;
    int64_t zeros = 0;
    for (int64_t c = 0; c < channels; c++) {
        float least = INFINITY, most = -INFINITY;
        for (int64_t s = 0; s < t->dim[0]; s++) {
            const float *row = v + (s * channels + c) * inner;
            cvi_moments m = cvi_tally_moments(row, inner);
            cvi_extremes x = cvi_tally_extremes(row, inner);
            least = x.least < least ? x.least : least;
            most = x.most > most ? x.most : most;
            sum += m.sum;
            square += m.square;
            zeros += m.zeros;
        }
        dead += least == most;
        lo = fmin(lo, (double)least);
        hi = fmax(hi, (double)most);
    }
    double mean = sum / (double)n;
    scalar(e, layer, "mean", step, mean);
    scalar(e, layer, "deviation", step, sqrt(fmax(square / (double)n - mean * mean, 0)));
    scalar(e, layer, "zeros", step, (double)zeros / (double)n);
    scalar(e, layer, "dead", step, (double)dead / (double)channels);
    scalar(e, layer, "saturated", step, saturated_share(v, n, lo, hi));
}

static bool is_activation(const cvi_node *node) {
    const cvi_op *op = node->def;
    return op && !(op->flags & CVI_OP_IDENTITY) && node->n_out > 0 && node->out[0] >= 0 &&
           (op->glyph == CVI_GLYPH_ACTIVATION ||
            (op->glyph == CVI_GLYPH_SOFTMAX && op->flags & CVI_OP_POINTWISE));
}

/* Which share of the answers the most frequent class has, and the mean loss, of the pictures that were taken through. */
static void write_answers(const cvi_loop *r, cvi_events *e, const cvs_tensor *logits, const int *labels,
                          int64_t n, int64_t outputs) {
    double row[2] = {0}, loss = 0;
    int64_t *count = cvi_calloc((size_t)CVI_MAX(outputs, 2), sizeof *count), most = 0, right = 0;
    for (int64_t i = 0; count && i < n; i++) {
        const float *x = (const float *)logits->data + i * outputs;
        int64_t best = outputs == 1 ? x[0] > 0 : 0;
        for (int64_t c = 1; c < outputs; c++) {
            best = x[c] > x[best] ? c : best;
        }
        count[best]++;
        most = CVI_MAX(most, count[best]);
    }
    cvi_free(count);
    cvi_loss_batch(&r->training, false, n, outputs, logits->data, labels, 1, 1, NULL, row, &loss, &right);
    scalar(e, "", "probe_loss", r->at.step, loss / (double)n);
    scalar(e, "", "one_class", r->at.step, (double)most / (double)n);
}

static cvs_tensor probe_input(const cvi_health *h, const cvi_loop *r) {
    int64_t each = r->input[0] * r->input[1] * r->input[2];
    return (cvs_tensor){.dtype = CVS_F32,
                        .rank = 4,
                        .dim = {h->n, r->input[0], r->input[1], r->input[2]},
                        .data = h->x,
                        .bytes = (size_t)(h->n * each) * sizeof *h->x};
}

/* The exec for as many pictures as may be, and these; h->n = 0: the model wants batches larger than the data. */
static cvs_status need_probe(cvi_health *h, const cvi_loop *r) {
    const cvi_graph *g = r->model->graph;
    cvi_exec_options options = {
        .keep = CVI_KEEP_ALL, .pool = r->pool, .max_bytes = r->model->limits.max_memory_bytes};
    int64_t each = r->input[0] * r->input[1] * r->input[2], batch = g->values[g->inputs[0]].dim[0];
    if (h->exec) {
        return CVS_OK;
    }
    h->n = CVI_MIN(CVI_MIN(CVI_MAX(r->train.n / PROBED, (int64_t)LEAST_PROBES), (int64_t)PROBES), r->train.n);
    if (batch > 0) {
        h->n = batch <= r->train.n ? batch : 0;
    }
    while (h->n > 0) {
        cvs_tensor in = probe_input(h, r);
        bool last = batch > 0 || h->n == 1;
        cvs_status s = cvi_exec_new(g, &in, &options, &h->exec, last ? r->err : NULL);
        if (last || (s == CVS_OK && cvi_exec_bytes(h->exec) <= PROBE_BYTES)) {
            CVI_TRY(s);
            break;
        }
        cvi_exec_free(h->exec);
        h->exec = NULL;
        h->n /= 2;
    }
    h->x = cvi_calloc((size_t)CVI_MAX(h->n * each, 1), sizeof *h->x);
    h->labels = cvi_calloc((size_t)CVI_MAX(h->n, 1), sizeof *h->labels);
    if (!h->x || !h->labels) {
        return cvi_no_memory(r->err, (size_t)(h->n * each) * sizeof *h->x);
    }
    for (int64_t i = 0; i < h->n; i++) {
        int64_t picture = somewhere(i, r->train.n);
        cvi_samples_get(&r->train, picture, NULL, 0, 0, h->x + i * each);
        h->labels[i] = r->train.labels[picture];
    }
    return CVS_OK;
}

static cvs_status probe(cvi_health *h, const cvi_loop *r, cvi_events *e) {
    const cvi_graph *g = r->model->graph;
    cvi_exec *exec = h->exec;
    int64_t outputs;
    int answer = cvi_trainer_answer(r->trainer, &outputs);
    cvs_tensor in = probe_input(h, r), t;
    cvi_exec_settle(exec, false); /* other weights than after the last epoch */
    cvs_status s = CVS_OK;
    for (int i = 0; i < r->params.n && s == CVS_OK; i++) {
        s = cvi_exec_override(exec, r->params.list[i].value, &r->params.list[i].now, r->err);
    }
    if (s == CVS_OK) {
        s = cvi_exec_forward(exec, &in, answer, r->err);
    }
    for (int k = 0; k < g->n_nodes && s == CVS_OK; k++) {
        if (is_activation(&g->nodes[k])) {
            s = cvi_exec_value(exec, g->nodes[k].out[0], &t, r->err);
            if (s == CVS_OK && t.data && t.dtype == CVS_F32 && t.rank >= 2 && cvs_tensor_count(&t) > 0) {
                write_activation(e, g->nodes[k].layer, r->at.step, &t);
                cvi_run_log_histogram(e, g->nodes[k].layer, "activations", r->at.epoch - 1, t.data,
                                      cvs_tensor_count(&t));
            }
        }
    }
    if (s == CVS_OK) {
        s = cvi_exec_value(exec, answer, &t, r->err);
    }
    if (s == CVS_OK) {
        write_answers(r, e, &t, h->labels, h->n, outputs);
    }
    return s;
}

/* ---- labels --------------------------------------------------------------------------------------------- */

/* A label is doubted whose picture the network, over the epochs, held twenty times more likely to be of another class (Pleiss et al.
 * 2020 rank pictures by this sum of margins). */
static void write_doubts(const cvi_loop *r, cvi_events *e) {
    const cvi_doubts *d = &r->history.doubts;
    int64_t seen = 0, doubted = 0;
    for (int64_t i = 0; i < d->n; i++) {
        seen += d->seen[i] > 0;
        doubted += d->seen[i] > 0 && (double)d->sum[i] / d->seen[i] < -3;
    }
    if (seen > 0) {
        scalar(e, "", "doubted_labels", r->at.step, (double)doubted / (double)seen);
    }
}

cvs_status cvi_health_epoch(cvi_health *h, const cvi_loop *r, cvi_events *e) {
    CVI_TRY(need_probe(h, r));
    cvs_status s = h->n > 0 ? probe(h, r, e) : CVS_OK;
    write_doubts(r, e);
    return s;
}

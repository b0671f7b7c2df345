/* SPDX-License-Identifier: MIT
 * beside.c - does the network look at the object? Parts of the picture are covered, for all pictures, and answers that change are
 * counted (a place that decides wherever the object is, is a shortcut); and the positive evidence of a method is weighed inside and
 * outside the masks, by class.
 */
#include <math.h>
#include <stdlib.h>

#include "engine/run_state.h"
#include "explain/units.h"

enum { G = CVS_PLACES, CELLS = G * G, MOST_MAPS = 100, LEAST_CHANGED = 5 };

typedef struct box {
    int64_t y, x, h, w;
} box;

static box cell_box(const cvi_labelled *l, int cell) {
    int64_t h = l->shape.dim[2], w = l->shape.dim[3], r = cell / G, c = cell % G;
    return (box){r * h / G, c * w / G, (r + 1) * h / G - r * h / G, (c + 1) * w / G - c * w / G};
}

/* x with a box filled with the picture's mean colour. */
static void cover(const cvi_labelled *l, const float *from, box b, float *to) {
    int64_t h = l->shape.dim[2], w = l->shape.dim[3], area = h * w;
    memcpy(to, from, (size_t)l->pixels * sizeof *to);
    for (int64_t c = 0; c < l->shape.dim[1]; c++) {
        double mean = 0.0;
        for (int64_t i = 0; i < area; i++) {
            mean += (double)from[c * area + i] / (double)area;
        }
        for (int64_t i = 0; i < b.h * b.w; i++) {
            to[c * area + (b.y + i / b.w) * w + b.x + i % b.w] = (float)mean;
        }
    }
}

/* Whether any of the object lies in the box: a tenth of the box at least. */
static bool object_in(const cvi_labelled *l, int64_t i, box b) {
    int64_t h = l->shape.dim[2], w = l->shape.dim[3], n = 0;
    for (int64_t k = 0; l->mask && k < b.h * b.w; k++) {
        n += l->mask[i * h * w + (b.y + k / b.w) * w + b.x + k % b.w] != 0;
    }
    return n * 10 >= b.h * b.w;
}

/* Answers and logits of pictures order[first, last) with a box covered, into other[] and logits. */
static cvs_status ask_covered(cvi_diagnosing *g, box b, int64_t first, int64_t last) {
    const cvi_labelled *l = &g->l;
    cvi_labelled hidden = *l;
    hidden.x = cvi_calloc((size_t)(l->n * l->pixels), sizeof *hidden.x);
    if (!hidden.x) {
        return cvi_no_memory(g->err, (size_t)(l->n * l->pixels) * sizeof *hidden.x);
    }
    for (int64_t k = first; k < last; k++) {
        int64_t i = l->order[k];
        cover(l, l->x + i * l->pixels, b, hidden.x + i * l->pixels);
    }
    cvs_status s = cvi_labelled_ask(&hidden, g->model, g->run_options, first, last, NULL, NULL, g->other,
                                    g->logits, g->err);
    cvi_free(hidden.x);
    return s;
}

static cvs_status cover_all(cvi_diagnosing *g, int64_t n, double *off) {
    const cvi_labelled *l = &g->l;
    for (int c = 0; c < CELLS; c++) {
        box b = cell_box(l, c);
        int64_t changed = 0, with = 0, elsewhere = 0, elsewhere_changed = 0;
        if (b.h < 1 || b.w < 1) {
            continue;
        }
        CVI_TRY(cvi_tell_diagnosis(g, "places covered", 0.85 + 0.1 * c / CELLS));
        CVI_TRY(ask_covered(g, b, 0, n));
        for (int64_t k = 0; k < n; k++) {
            int64_t i = l->order[k];
            bool differs = g->other[i] != g->answer[i], object = object_in(l, i, b);
            changed += differs;
            with += object;
            elsewhere += !object;
            elsewhere_changed += differs && !object;
        }
        g->d->place[c] = (double)changed / (double)n;
        g->d->object[c] = (double)with / (double)n;
        off[c] = elsewhere * 4 >= n ? (double)elsewhere_changed / (double)elsewhere : 0.0;
    }
    return CVS_OK;
}

static int upwards(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* From which share of changed answers on a place stands out. */
static double bar_of(double usual) {
    return fmax(0.08, 3.0 * (usual + 0.01));
}

/* Does the place decide, in pictures where the object is not there? A few answers that change are chance; and where the object nearly
 * always is, nothing can be told apart. */
static cvs_status decides(cvi_diagnosing *g, box b, double usual, bool *out) {
    const cvi_labelled *l = &g->l;
    int64_t without = 0, changed = 0;
    CVI_TRY(ask_covered(g, b, 0, l->n));
    for (int64_t i = 0; i < l->n; i++) {
        bool here = l->mask && object_in(l, i, b);
        without += !here;
        changed += !here && g->other[i] != g->answer[i];
    }
    *out =
        without * 4 >= l->n && changed >= LEAST_CHANGED && (double)changed >= bar_of(usual) * (double)without;
    return CVS_OK;
}

/* Grows the box of cells that stand out, from the one that stands out most. Without masks only the border counts: in the middle it may be
 * the object itself. */
static bool standing_out(const cvi_diagnosing *g, const double *off, int *low, int *high, double *usual,
                         int *found) {
    double sorted[CELLS];
    int best = -1;
    memcpy(sorted, off, sizeof sorted);
    qsort(sorted, CELLS, sizeof *sorted, upwards);
    *usual = (sorted[CELLS / 2 - 1] + sorted[CELLS / 2]) / 2.0;
    double bar = bar_of(*usual);
    for (int c = 0; c < CELLS; c++) {
        bool edge = c / G == 0 || c % G == 0 || c / G == G - 1 || c % G == G - 1;
        if (off[c] >= bar && (g->l.mask || edge) && (best < 0 || off[c] > off[best])) {
            best = c;
        }
    }
    if (best < 0) {
        return false;
    }
    *found = best;
    low[0] = high[0] = best / G;
    low[1] = high[1] = best % G;
    for (bool grown = true; grown;) {
        grown = false;
        for (int c = 0; c < CELLS; c++) {
            int r = c / G, k = c % G;
            bool next = r >= low[0] - 1 && r <= high[0] + 1 && k >= low[1] - 1 && k <= high[1] + 1;
            bool in = r >= low[0] && r <= high[0] && k >= low[1] && k <= high[1];
            if (next && !in && off[c] >= bar / 2.0 && off[c] >= 0.25 * off[best]) {
                low[0] = CVI_MIN(low[0], r);
                high[0] = CVI_MAX(high[0], r);
                low[1] = CVI_MIN(low[1], k);
                high[1] = CVI_MAX(high[1], k);
                grown = true;
            }
        }
    }
    return (high[0] - low[0] + 1) * (high[1] - low[1] + 1) <= CELLS / 2;
}

/* The class whose pictures change most; its share. */
static int worst_class(const cvi_diagnosing *g, double *share) {
    int worst = -1;
    *share = 0.0;
    for (int k = 0; k < g->d->n_classes; k++) {
        int64_t n = 0, changed = 0;
        for (int64_t i = 0; i < g->l.n; i++) {
            n += g->l.label[i] == k;
            changed += g->l.label[i] == k && g->other[i] != g->answer[i];
        }
        if (n >= 3 && (double)changed / (double)n > *share) {
            *share = (double)changed / (double)n;
            worst = k;
        }
    }
    return worst;
}

static cvs_status say_place(cvi_diagnosing *g, box b, double usual, double with_object) {
    const cvi_labelled *l = &g->l;
    int64_t changed = 0, was = 0, is = 0, right = 0, measured_changed = 0;
    double loss = 0.0, share;
    CVI_TRY(ask_covered(g, b, 0, l->n));
    for (int64_t k = 0; k < l->n; k++) {
        int64_t i = l->order[k];
        bool differs = g->other[i] != g->answer[i];
        changed += differs;
        was += differs && g->answer[i] == l->label[i];
        is += differs && g->other[i] == l->label[i];
        if (k >= l->n_first) {
            right += g->other[i] == l->label[i];
            measured_changed += differs;
            loss += cvi_cross_entropy(g->logits + i * l->classes, l->classes, l->label[i]);
        }
    }
    cvs_finding *f = cvi_finding_new(g, CVS_FIND_PLACE, "");
    if (!f) {
        return CVS_E_MEMORY;
    }
    double n = (double)CVI_MAX(g->d->measuring, 1);
    f->box[0] = b.y;
    f->box[1] = b.x;
    f->box[2] = b.h;
    f->box[3] = b.w;
    f->without = (cvs_effect){.measured = true,
                              .accuracy = (double)right / n,
                              .loss = loss / n,
                              .changed = (double)measured_changed / n,
                              .macs = g->d->whole.macs,
                              .params = g->d->whole.params};
    int class = worst_class(g, &share);
    double of = (double)CVI_MAX(changed, 1);
    const char *name = class >= 0 ? g->d->classes[class] : "-";
    double part = 100.0 * (double)changed / (double)l->n, before = 100.0 * (double)was / of;
    double after = 100.0 * (double)is / of;
    if (l->mask) {
        cvi_finding_say(
            g, f,
            "Covering rows %lld to %lld, columns %lld to %lld changes %.0f %% of the answers (elsewhere %.0f "
            "%%), though the object is there in %.0f %% of the pictures. Of the answers that change, %.0f %% "
            "were right and %.0f %% are right with it covered. Most affected: %.40s (%.0f %%).",
            (long long)b.y, (long long)(b.y + b.h - 1), (long long)b.x, (long long)(b.x + b.w - 1), part,
            100.0 * usual, 100.0 * with_object, before, after, name, 100.0 * share);
        return CVS_OK;
    }
    cvi_finding_say(g, f,
                    "Covering rows %lld to %lld, columns %lld to %lld changes %.0f %% of the answers "
                    "(elsewhere %.0f %%), always at the same place. Of the answers that change, %.0f %% were "
                    "right and %.0f %% are right with it covered. Most affected: %.40s (%.0f %%).",
                    (long long)b.y, (long long)(b.y + b.h - 1), (long long)b.x, (long long)(b.x + b.w - 1),
                    part, 100.0 * usual, before, after, name, 100.0 * share);
    return CVS_OK;
}

static cvs_status find_place(cvi_diagnosing *g) {
    const cvi_labelled *l = &g->l;
    double off[CELLS] = {0}, usual;
    double each = (double)CVI_MAX(g->d->whole.macs, 1) * CELLS;
    double fit = (g->o->work > 0.0 ? g->o->work : 1e12) / each;
    int64_t n = fit < (double)l->n ? CVI_MAX((int64_t)fit, CVI_MIN(16, l->n)) : l->n;
    int low[2], high[2];
    CVI_TRY(cover_all(g, n, off));
    int best = 0;
    bool really = false;
    if (!standing_out(g, off, low, high, &usual, &best)) {
        return CVS_OK;
    }
    box a = cell_box(l, low[0] * G + low[1]), z = cell_box(l, high[0] * G + high[1]);
    box b = {a.y, a.x, z.y + z.h - a.y, z.x + z.w - a.x};
    CVI_TRY(decides(g, b, usual, &really));
    if (!really) { /* it grew over the object, or is chance */
        b = cell_box(l, best);
        CVI_TRY(decides(g, b, usual, &really));
    }
    if (!really) {
        return CVS_OK;
    }
    int64_t with = 0;
    for (int64_t i = 0; i < l->n; i++) {
        with += object_in(l, i, b);
    }
    return say_place(g, b, usual, (double)with / (double)l->n);
}

/* ---- evidence inside and outside the masks --------------------------------------------------------------------------- */

static cvs_status weigh(cvi_diagnosing *g, cvs_run *run, int64_t i, double *outside, double *object,
                        bool *any) {
    const cvi_labelled *l = &g->l;
    cvs_explain_options how = {.method = g->d->method, .target.index = -1};
    cvs_explanation e = {0};
    float *map = NULL;
    int64_t h = l->shape.dim[2], w = l->shape.dim[3];
    cvs_tensor x = cvi_labelled_input(l, g->model, 1);
    x.data = l->x + i * l->pixels;
    x.bytes = (size_t)l->pixels * sizeof(float);
    cvs_status s = cvs_run_tensors(run, &x, 1, g->err);
    if (s == CVS_OK) {
        s = cvs_explain(run, &how, &e, g->err);
    }
    if (s == CVS_OK) {
        s = cvi_evidence(&e, h, w, &map, g->err);
    }
    double in = 0.0, all = 0.0;
    int64_t covered = 0;
    for (int64_t k = 0; s == CVS_OK && k < h * w; k++) {
        double v = fmax((double)map[k], 0.0);
        all += v;
        in += l->mask[i * h * w + k] ? v : 0.0;
        covered += l->mask[i * h * w + k] != 0;
    }
    *any = all > 0.0 && covered > 0;
    *outside = *any ? 1.0 - in / all : 0.0;
    *object = (double)covered / (double)(h * w);
    cvi_free(map);
    cvs_explanation_free(&e);
    return s;
}

static cvs_status say_outside(cvi_diagnosing *g) {
    cvs_model_diagnosis *d = g->d;
    int worst = -1;
    for (int k = 0; k < d->n_classes; k++) {
        if (d->class_pictures[k] > 0 && (worst < 0 || d->class_outside[k] > d->class_outside[worst])) {
            worst = k;
        }
    }
    double lift = (1.0 - d->outside) / fmax(1.0 - d->chance, 1e-9);
    if (worst < 0 || lift >= 2.0) {
        return CVS_OK;
    }
    cvs_finding *f = cvi_finding_new(g, CVS_FIND_OUTSIDE, "");
    if (!f) {
        return CVS_E_MEMORY;
    }
    cvi_finding_say(g, f,
                    "%.0f %% of the positive evidence (%s) lies beside the object, where %.0f %% of the "
                    "picture is: the object "
                    "gets only %.1f times what chance gives. Worst class: %.40s, %.0f %%.",
                    100.0 * d->outside, d->method, 100.0 * d->chance, lift, d->classes[worst],
                    100.0 * d->class_outside[worst]);
    return CVS_OK;
}

static cvs_status find_outside(cvi_diagnosing *g) {
    cvs_model_diagnosis *d = g->d;
    cvs_run *run = NULL;
    cvs_run_options o = g->run_options ? *g->run_options : (cvs_run_options){0};
    double all = 0.0, object = 0.0;
    int64_t n = 0;
    o.for_gradients = true;
    o.progress = NULL;
    CVI_TRY(cvs_run_new(g->model, &o, &run, g->err));
    cvs_status s = CVS_OK;
    for (int64_t k = 0; s == CVS_OK && k < CVI_MIN(g->l.n, MOST_MAPS); k++) {
        double outside, covers;
        bool any;
        s = cvi_tell_diagnosis(g, "evidence weighed", 0.95 + 0.05 * (double)k / (double)MOST_MAPS);
        if (s == CVS_OK) {
            s = weigh(g, run, k, &outside, &covers, &any);
        }
        if (s == CVS_OK && any) {
            int label = g->l.label[k];
            all += outside;
            object += covers;
            n++;
            d->class_outside[label] += outside;
            d->class_pictures[label]++;
        }
    }
    cvs_run_free(run);
    CVI_TRY(s);
    for (int k = 0; k < d->n_classes; k++) {
        d->class_outside[k] =
            d->class_pictures[k] > 0 ? d->class_outside[k] / (double)d->class_pictures[k] : (double)NAN;
    }
    d->outside = n > 0 ? all / (double)n : 0.0;
    d->chance = n > 0 ? 1.0 - object / (double)n : 0.0;
    return n > 0 ? say_outside(g) : CVS_OK;
}

cvs_status cvi_find_beside(cvi_diagnosing *g) {
    CVI_TRY(find_place(g));
    return g->l.mask ? find_outside(g) : CVS_OK;
}

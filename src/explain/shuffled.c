/* SPDX-License-Identifier: MIT
 * shuffled.c - the sanity check of Adebayo et al. 2018: a map that stays as it is when the weights are shuffled shows the picture, not
 * what the network learned. From the answer down (theirs), from the input up (Binder et al. 2023 and Hedström et al. 2023: less biased),
 * and each group of layers alone.
 */
#include <math.h>

#include "engine/run_state.h"
#include "explain/checks.h"
#include "explain/twin.h"

enum { SHUFFLES = 3 };

typedef struct stage {
    cvs_run *run;
    const cvs_explain_options *how;
    const cvs_check_options *o;
    double *own, *size; /* [n] the map, and its sizes */
    double *other, *other_size;
    int64_t h, w;
    cvs_error *err;
} stage;

static void to_double(const float *from, int64_t n, double *value, double *size) {
    for (int64_t i = 0; i < n; i++) {
        value[i] = (double)from[i];
        size[i] = fabs(value[i]);
    }
}

/* The map of a network with the weights of [first, last) shuffled, against the map itself. */
static cvs_status compare(stage *s, int first, int last, uint64_t seed, cvs_likeness *out) {
    cvs_run *run = NULL;
    cvs_explanation e = {0};
    float *map = NULL;
    int64_t h = 0, w = 0;
    cvs_run_options ro = s->run->options;
    ro.for_gradients = true;
    ro.progress = NULL;
    cvs_model *twin = cvi_twin_new(s->run->model, s->err);
    cvs_status st = twin ? cvi_twin_shuffle(twin, first, last, seed, s->err) : CVS_E_MEMORY;
    if (st == CVS_OK) {
        st = cvs_run_new(twin, &ro, &run, s->err);
    }
    if (st == CVS_OK) {
        cvs_tensor x = s->run->inputs[0];
        x.owned = false;
        x.bytes /= (size_t)CVI_MAX(x.dim[0], 1);
        x.data = (char *)x.data + (size_t)s->how->sample * x.bytes;
        x.dim[0] = 1;
        st = cvs_run_tensors(run, &x, 1, s->err);
    }
    if (st == CVS_OK) {
        cvs_explain_options how = *s->how;
        how.sample = 0;
        how.progress = NULL;
        st = cvs_explain(run, &how, &e, s->err);
    }
    if (st == CVS_OK) {
        st = cvi_evidence_own(&e, &map, &h, &w, s->err);
    }
    if (st == CVS_OK && (h != s->h || w != s->w)) {
        st = cvi_fail(s->err, CVS_E_SHAPE, "the map changed its size when weights were shuffled");
    }
    if (st == CVS_OK) {
        to_double(map, h * w, s->other, s->other_size);
        st = cvi_spearman(s->size, s->other_size, h * w, &out->size, s->err);
    }
    if (st == CVS_OK) {
        st = cvi_spearman(s->own, s->other, h * w, &out->value, s->err);
        out->ssim = cvi_ssim(s->size, s->other_size, h, w);
    }
    cvi_free(map);
    cvs_explanation_free(&e);
    cvs_run_free(run);
    cvs_model_free(twin);
    return st;
}

/* All weights at once is what the verdict rests on: the mean of a few shuffles, those whose map is not constant. */
static cvs_status compare_all(stage *s, int n, cvs_likeness *out) {
    cvs_likeness sum = {0};
    int good = 0;
    for (int k = 0; k < SHUFFLES; k++) {
        cvs_likeness one;
        CVI_TRY(compare(s, 0, n, s->o->seed + (uint64_t)k, &one));
        if (isfinite(one.size) && isfinite(one.value) && isfinite(one.ssim)) {
            sum = (cvs_likeness){sum.size + one.size, sum.value + one.value, sum.ssim + one.ssim};
            good++;
        }
    }
    *out = (cvs_likeness){sum.size / good, sum.value / good, sum.ssim / good}; /* none: NaN */
    return CVS_OK;
}

static cvs_status tell(const stage *s, int done, int all) {
    const cvs_check_options *o = s->o;
    if (o->progress && !o->progress(o->progress_context, cvi_tr(o->lang, "shuffled weights"),
                                    0.3 + 0.7 * (double)done / (double)CVI_MAX(all, 1))) {
        return cvi_fail(s->err, CVS_E_CANCELLED, "cancelled");
    }
    return CVS_OK;
}

static cvs_status walk(stage *s, const int *nodes, int n, cvs_checked *out) {
    const cvi_graph *g = s->run->model->graph;
    int groups = CVI_MIN(CVI_MIN(s->o->stages > 0 ? s->o->stages : 6, CVS_CHECK_STAGES), n), all = 3 * groups;
    out->n_shuffled = groups;
    for (int i = 0, done = 0; i < groups; i++) {
        cvs_shuffled *to = &out->shuffled[i];
        int first = (int)((int64_t)i * n / groups), last = (int)((int64_t)(i + 1) * n / groups);
        snprintf(to->layer, sizeof to->layer, "%.90s", g->nodes[nodes[first]].layer);
        to->layers = last - first;
        CVI_TRY(tell(s, done++, all));
        CVI_TRY(i == 0 ? compare_all(s, n, &to->down) : compare(s, first, n, s->o->seed, &to->down));
        CVI_TRY(tell(s, done++, all));
        /* All: as the first one downwards; the last alone: as the last one downwards. */
        if (i == groups - 1) {
            to->up = out->shuffled[0].down;
            to->alone = to->down;
            break;
        }
        CVI_TRY(compare(s, 0, last, s->o->seed, &to->up));
        CVI_TRY(tell(s, done++, all));
        if (i == 0) {
            to->alone = to->up;
        } else {
            CVI_TRY(compare(s, first, last, s->o->seed, &to->alone));
        }
    }
    return CVS_OK;
}

cvs_status cvi_check_shuffled(cvs_run *run, const cvs_explain_options *how, const cvs_explanation *e,
                              const cvs_check_options *o, cvs_checked *out, cvs_error *err) {
    stage s = {.run = run, .how = how, .o = o, .err = err};
    float *map = NULL;
    CVI_TRY(cvi_evidence_own(e, &map, &s.h, &s.w, err));
    int64_t n = s.h * s.w, most = run->model->graph->n_nodes;
    int *nodes = cvi_calloc((size_t)most + 1, sizeof *nodes);
    s.own = cvi_calloc((size_t)n, 4 * sizeof *s.own);
    cvs_status st = nodes && s.own ? CVS_OK : cvi_no_memory(err, (size_t)n * 4 * sizeof *s.own);
    if (st == CVS_OK) {
        s.size = s.own + n;
        s.other = s.size + n;
        s.other_size = s.other + n;
        to_double(map, n, s.own, s.size);
        int count = cvi_weighted_nodes(run->model->graph, nodes, (int)most);
        st = count > 0 ? walk(&s, nodes, count, out) : CVS_OK;
    }
    cvi_free(nodes);
    cvi_free(map);
    cvi_free(s.own);
    return st;
}

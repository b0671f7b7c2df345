/* SPDX-License-Identifier: MIT
 * score.c - methods compared: each explains the same pictures for the class that the network answers, each map is measured, and means
 * are given with their standard errors.
 */
#include <math.h>
#include <time.h>

#include "engine/run_state.h"
#include "explain/checks.h"

static const char *const quick[] = {"gradient", "input-x-gradient", "smoothgrad",  "integrated-gradients",
                                    "deeplift", "guided-backprop",  "lrp-epsilon", "lrp-composite",
                                    "gradcam",  "gradcam++",        "layercam",    "hirescam",
                                    "eigencam", "occlusion"};

typedef struct scoring {
    const cvs_model *model;
    const cvs_data *data;
    const cvs_score_options *o;
    const char *const *methods;
    cvs_scores *out;
    cvs_run *run;
    cvs_tensor mask;
    cvs_checked *checked;
    double object;
    int64_t objects;
    cvs_error *err;
} scoring;

/* Welford: mean is the mean so far, error the sum of squared differences until finish. */
static void add(cvs_score_cell *c, double v) {
    double before = v - c->mean;
    c->least = c->n == 0 ? v : fmin(c->least, v);
    c->largest = c->n == 0 ? v : fmax(c->largest, v);
    c->n++;
    c->mean += before / (double)c->n;
    c->error += before * (v - c->mean);
}

static void finish(cvs_score_cell *c) {
    c->error = c->n > 1 ? sqrt(c->error / (double)(c->n - 1) / (double)c->n) : 0.0;
}

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static cvs_status measure(scoring *s, int k, bool first) {
    cvs_score_row *row = &s->out->rows[k];
    cvs_explanation e = {0};
    cvs_explain_options how = s->o->explain ? *s->o->explain : (cvs_explain_options){0};
    how.method = s->methods[k];
    how.target = (cvs_target){.index = -1};
    how.sample = 0;
    how.progress = NULL;
    cvs_check_options check = s->o->check;
    check.mask = s->mask.data ? &s->mask : NULL;
    check.stages = check.stages > 0 ? check.stages : 1;
    check.progress = NULL;
    double start = now();
    cvs_error why = {.lang = s->err ? s->err->lang : CVS_EN};
    cvs_status st = cvs_explain(s->run, &how, &e, &why);
    if (st == CVS_OK) {
        row->seconds += now() - start;
        st = cvs_check(s->run, &how, &e, &check, s->checked, &why);
    }
    cvs_explanation_free(&e);
    /* This method cannot answer here: the others can. */
    if (st == CVS_E_UNSUPPORTED || st == CVS_E_NOT_FOUND) {
        cvi_copy_text(row->failed, sizeof row->failed, why.message);
        return CVS_OK;
    }
    if (st != CVS_OK) {
        if (s->err) {
            *s->err = why;
        }
        return st;
    }
    for (int m = 0; m < CVS_N_METRICS; m++) {
        if (s->checked->metric[m].known) {
            add(&row->cell[m], s->checked->metric[m].value);
        }
    }
    if (first) { /* a random order is the same for every method */
        add(&s->out->random_deletion, s->checked->random_deletion);
        add(&s->out->random_insertion, s->checked->random_insertion);
        s->object += s->checked->object;
        s->objects += s->checked->object > 0.0;
    }
    return CVS_OK;
}

static cvs_status one_picture(scoring *s, int64_t i) {
    cvs_tensor_free(&s->mask);
    CVI_TRY(cvs_run_data(s->run, s->data, i, NULL, NULL, &s->mask, s->err));
    bool first = true;
    for (int k = 0; k < s->out->n; k++) {
        double done = (double)(i * s->out->n + k) / (double)(s->out->pictures * s->out->n);
        if (s->o->progress && !s->o->progress(s->o->progress_context, s->methods[k], done)) {
            return cvi_fail(s->err, CVS_E_CANCELLED, "cancelled");
        }
        if (!s->out->rows[k].failed[0]) {
            CVI_TRY(measure(s, k, first));
            first = first && s->out->rows[k].failed[0];
        }
    }
    return CVS_OK;
}

static cvs_status begin(scoring *s, const cvs_run_options *run_options) {
    cvs_data_info info;
    cvs_run_options ro = run_options ? *run_options : (cvs_run_options){0};
    ro.for_gradients = true;
    ro.progress = NULL;
    cvs_data_describe(s->data, &info);
    s->methods = s->o->methods && s->o->n_methods > 0 ? s->o->methods : quick;
    s->out->n = s->methods == quick ? CVI_COUNT(quick) : s->o->n_methods;
    s->out->pictures = CVI_MIN(s->o->pictures > 0 ? s->o->pictures : 20, info.count);
    s->out->has_masks = info.has_masks;
    for (int k = 0; k < s->out->n; k++) {
        int number;
        CVI_TRY(cvs_method_find(s->methods[k], &number, s->err));
    }
    s->out->rows = cvi_calloc((size_t)s->out->n, sizeof *s->out->rows);
    s->checked = cvi_malloc(sizeof *s->checked);
    if (!s->out->rows || !s->checked) {
        return cvi_no_memory(s->err, (size_t)s->out->n * sizeof *s->out->rows);
    }
    for (int k = 0; k < s->out->n; k++) {
        cvi_copy_text(s->out->rows[k].method, sizeof s->out->rows[k].method, s->methods[k]);
    }
    return cvs_run_new(s->model, &ro, &s->run, s->err);
}

cvs_status cvs_score_methods(const cvs_model *model, const cvs_run_options *run_options, const cvs_data *data,
                             const cvs_score_options *options, cvs_scores *out, cvs_error *err) {
    static const cvs_score_options defaults;
    *out = (cvs_scores){0};
    scoring s = {.model = model, .data = data, .o = options ? options : &defaults, .out = out, .err = err};
    cvs_status st = begin(&s, run_options);
    for (int64_t i = 0; st == CVS_OK && i < out->pictures; i++) {
        st = one_picture(&s, i);
    }
    for (int k = 0; st == CVS_OK && k < out->n; k++) {
        for (int m = 0; m < CVS_N_METRICS; m++) {
            finish(&out->rows[k].cell[m]);
        }
        out->rows[k].seconds /= (double)CVI_MAX(out->pictures, 1);
    }
    finish(&out->random_deletion);
    finish(&out->random_insertion);
    out->chance = s.objects > 0 ? s.object / (double)s.objects : 0.0;
    cvs_tensor_free(&s.mask);
    cvi_free(s.checked);
    cvs_run_free(s.run);
    if (st != CVS_OK) {
        cvs_scores_free(out);
    }
    return st;
}

void cvs_scores_free(cvs_scores *scores) {
    if (scores) {
        cvi_free(scores->rows);
        *scores = (cvs_scores){0};
    }
}

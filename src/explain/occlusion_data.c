/* SPDX-License-Identifier: MIT
 * occlusion_data.c - accuracy under occlusion: over a set of labelled pictures, the share whose class is still found with the patch at
 * each position.
 */
#include "convscope/check.h"
#include "engine/run_state.h"
#include "explain/method.h"

typedef struct counting {
    cvs_run *run;
    const cvs_data *data;
    cvs_data_info info;
    const cvs_explain_options *options;
    int *class_of; /* [labels] */
    int64_t *hits; /* [cells] */
    int64_t cells, whole, seen;
    cvs_explanation first; /* of the first picture: patch, sides, settings */
    cvs_error *err;
} counting;

/* Labels by name where the model knows all their names, else by number. */
static cvs_status match(counting *c, int64_t classes) {
    const cvs_model *m = c->run->model;
    int found = 0;
    c->class_of = cvi_calloc((size_t)CVI_MAX(c->info.n_classes, 1), sizeof *c->class_of);
    if (!c->class_of) {
        return cvi_no_memory(c->err, (size_t)c->info.n_classes * sizeof *c->class_of);
    }
    for (int i = 0; i < c->info.n_classes; i++) {
        c->class_of[i] = -1;
        for (int k = 0; k < m->n_classes && c->class_of[i] < 0; k++) {
            c->class_of[i] = strcmp(m->classes[k], c->info.classes[i]) == 0 ? k : -1;
        }
        found += c->class_of[i] >= 0;
    }
    for (int i = 0; i < c->info.n_classes && found < c->info.n_classes; i++) {
        c->class_of[i] = i;
    }
    if (found < c->info.n_classes && c->info.n_classes != classes) {
        return cvi_fail(c->err, CVS_E_SHAPE,
                        "the model has %d classes, the data set %d, and their names do not match either",
                        (int)classes, c->info.n_classes);
    }
    return CVS_OK;
}

static int best_of(const float *v, int64_t classes, int64_t step) {
    int best = 0;
    for (int64_t k = 1; k < classes; k++) {
        best = v[k * step] > v[(int64_t)best * step] ? (int)k : best;
    }
    return best;
}

static cvs_status count_one(counting *c, const cvs_explanation *e, int label) {
    int64_t classes = e->classes.dim[1], cells = cvs_tensor_count(&e->map);
    if (!c->class_of) {
        CVI_TRY(match(c, classes));
        c->cells = cells;
        c->hits = cvi_calloc((size_t)cells, sizeof *c->hits);
        if (!c->hits) {
            return cvi_no_memory(c->err, (size_t)cells * sizeof *c->hits);
        }
    }
    if (cells != c->cells || label < 0 || label >= c->info.n_classes) {
        return cvi_fail(c->err, CVS_E_SHAPE, "the pictures of this set have several sizes for this model");
    }
    cvs_score top;
    cvs_logit_kind kind;
    int found = 0;
    CVI_TRY(cvs_run_top(c->run, 0, 1, &top, &found, &kind, c->err));
    c->whole += found == 1 && top.index == c->class_of[label];
    for (int64_t i = 0; i < cells; i++) {
        c->hits[i] += best_of((const float *)e->classes.data + i, classes, cells) == c->class_of[label];
    }
    c->seen++;
    return CVS_OK;
}

static cvs_status count_all(counting *c) {
    for (int64_t i = 0; i < c->info.count; i++) {
        cvs_explain_options o = *c->options;
        cvs_explanation e = {0};
        int label = 0;
        o.method = "occlusion";
        o.target = (cvs_target){0};
        o.progress = NULL;
        if (c->options->progress && !c->options->progress(c->options->progress_context, "occlusion",
                                                          (double)i / (double)c->info.count)) {
            return cvi_fail(c->err, CVS_E_CANCELLED, "cancelled");
        }
        CVI_TRY(cvs_run_data(c->run, c->data, i, NULL, &label, NULL, c->err));
        CVI_TRY(cvs_explain(c->run, &o, &e, c->err));
        cvs_status s = e.classes.data
                           ? count_one(c, &e, label)
                           : cvi_fail(c->err, CVS_E_UNSUPPORTED, "the model tells no classes apart");
        if (i == 0 && s == CVS_OK) {
            c->first = e;
        } else {
            cvs_explanation_free(&e);
        }
        CVI_TRY(s);
    }
    return CVS_OK;
}

static cvs_status conclude(counting *c, cvs_explanation *out) {
    cvs_lang lang = c->options->lang;
    cvs_explanation *f = &c->first;
    *out = (cvs_explanation){.kind = CVS_MAP_GRID,
                             .patch = f->patch,
                             .stride = f->stride,
                             .target_index = -1,
                             .probability = true,
                             .target_value = (double)c->whole / (double)c->seen};
    memcpy(out->side, f->side, sizeof out->side);
    snprintf(out->method, sizeof out->method, "occlusion");
    snprintf(out->target_name, sizeof out->target_name, "%s", cvi_tr(lang, "right answers"));
    CVI_TRY(cvs_tensor_new(&out->map, CVS_F32, f->map.rank, f->map.dim, c->err));
    for (int64_t i = 0; i < c->cells; i++) {
        ((float *)out->map.data)[i] = (float)((double)c->hits[i] / (double)c->seen);
    }
    snprintf(
        out->caption, sizeof out->caption,
        cvi_tr(lang, "Accuracy under occlusion over %lld pictures of %.200s: the share that is still "
                     "classified rightly with a patch of %lldx%lld at each of %lldx%lld places (stride "
                     "%lld), %.4g without one. Raw values are these shares; Convscope %s. A place matters "
                     "only as often as objects are there."),
        (long long)c->seen, c->info.spec, (long long)f->patch, (long long)f->patch, (long long)f->map.dim[3],
        (long long)f->map.dim[2], (long long)f->stride, out->target_value, CVS_VERSION);
    return CVS_OK;
}

cvs_status cvs_occlusion_accuracy(cvs_run *run, const cvs_data *data, const cvs_explain_options *options,
                                  cvs_explanation *out, cvs_error *err) {
    counting c = {.run = run, .data = data, .options = options, .err = err};
    *out = (cvs_explanation){0};
    cvs_data_describe(data, &c.info);
    cvs_status s = c.info.count > 0
                       ? count_all(&c)
                       : cvi_fail(err, CVS_E_ARGUMENT, "there are no pictures in %.200s", c.info.spec);
    if (s == CVS_OK) {
        s = conclude(&c, out);
    }
    cvs_explanation_free(&c.first);
    cvi_free(c.class_of);
    cvi_free(c.hits);
    return s;
}

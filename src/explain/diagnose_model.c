/* SPDX-License-Identifier: MIT
 * diagnose_model.c - the order of a diagnosis: pictures in two halves, the network as it is, filters, layers, receptive fields, confusion, what
 * lies beside the object, everything together; and the smaller network as a file.
 */
#include <math.h>
#include <stdlib.h>

#include "engine/run_state.h"
#include "explain/units.h"

static const cvs_finding_info infos[CVS_N_FINDINGS] = {
    {"dead", "Dead filters", "their output is the same everywhere on all pictures"},
    {"duplicate", "Duplicate filters", "another filter of the layer gives nearly the same"},
    {"low-rank", "Low-rank layer", "filters that the others of the layer can be mixed from"},
    {"insensitive", "Insensitive filters", "the network does not miss them one by one"},
    {"redundant-layer", "Redundant layer", "the network does without it"},
    {"receptive-field", "Receptive field", "it looks at much less than it could"},
    {"confusion", "Confusion", "one class taken for another"},
    {"shortcut", "Shortcut", "a place that decides though the object is elsewhere"},
    {"beside-the-object", "Beside the object", "evidence that does not lie on the object"},
};

cvs_status cvs_finding_describe(cvs_finding_kind kind, cvs_lang lang, cvs_finding_info *out, cvs_error *err) {
    if ((int)kind < 0 || (int)kind >= CVS_N_FINDINGS) {
        return cvi_fail(err, CVS_E_ARGUMENT, "there is no finding %d", (int)kind);
    }
    *out = (cvs_finding_info){infos[kind].name, cvi_tr(lang, infos[kind].title),
                              cvi_tr(lang, infos[kind].sentence)};
    return CVS_OK;
}

cvs_finding *cvi_finding_new(cvi_diagnosing *g, cvs_finding_kind kind, const char *layer) {
    cvs_model_diagnosis *d = g->d;
    size_t n = (size_t)d->n_findings;
    if ((n & (n + 1)) == 0) { /* 0, 1, 3, 7, ...: as full as it gets */
        cvs_finding *more = cvi_realloc(d->findings, n * sizeof *more, (2 * n + 1) * sizeof *more);
        if (!more) {
            cvi_no_memory(g->err, (2 * n + 1) * sizeof *more);
            return NULL;
        }
        d->findings = more;
    }
    cvs_finding *f = &d->findings[d->n_findings++];
    *f = (cvs_finding){.kind = kind};
    snprintf(f->layer, sizeof f->layer, "%.120s", layer);
    return f;
}

void cvi_finding_say(const cvi_diagnosing *g, cvs_finding *f, const char *fmt, ...) {
    va_list args;
    va_start(args, fmt);
    vsnprintf(f->evidence, sizeof f->evidence, cvi_tr(g->o->lang, fmt), args);
    va_end(args);
}

cvs_status cvi_tell_diagnosis(const cvi_diagnosing *g, const char *what, double done) {
    if (g->o->progress && !g->o->progress(g->o->progress_context, cvi_tr(g->o->lang, what), done)) {
        return cvi_fail(g->err, CVS_E_CANCELLED, "cancelled");
    }
    return CVS_OK;
}

cvs_status cvi_effect_of(cvi_diagnosing *g, const cvs_model *model, cvs_effect *out, cvi_score *first) {
    const cvi_labelled *l = &g->l;
    int64_t right[2] = {0, 0}, changed = 0;
    double loss[2] = {0.0, 0.0};
    *out = (cvs_effect){0};
    CVI_TRY(cvi_labelled_ask(l, model, g->run_options, 0, l->n, NULL, NULL, g->other, g->logits, g->err));
    for (int64_t i = 0; i < l->n; i++) {
        right[l->half[i]] += g->other[i] == l->label[i];
        loss[l->half[i]] += cvi_cross_entropy(g->logits + i * l->classes, l->classes, l->label[i]);
        changed += l->half[i] == 1 && g->other[i] != g->answer[i];
    }
    double n = (double)CVI_MAX(l->n - l->n_first, 1);
    out->accuracy = (double)right[1] / n;
    out->loss = loss[1] / n;
    out->changed = (double)changed / n;
    double m = (double)CVI_MAX(l->n_first, 1);
    *first = (cvi_score){(double)right[0] / m, loss[0] / m};
    CVI_TRY(cvi_model_size(model, g->run_options, &out->macs, &out->params, g->err));
    out->measured = true;
    return CVS_OK;
}

bool cvi_affordable(const cvi_diagnosing *g, const cvi_score *first) {
    return first->accuracy >= g->first.accuracy - g->o->tolerance - 1e-9 &&
           first->loss <= g->first.loss + g->o->tolerance;
}

/* ---- confusion -------------------------------------------------------------------------------------------------- */

typedef struct pair {
    int64_t n;
    int label, answer;
} pair;

static int most_first(const void *a, const void *b) {
    const pair *x = a, *y = b;
    if (x->n != y->n) {
        return x->n > y->n ? -1 : 1;
    }
    return x->label != y->label ? x->label - y->label : x->answer - y->answer;
}

static cvs_status find_confusion(cvi_diagnosing *g) {
    cvs_model_diagnosis *d = g->d;
    int k = d->n_classes, n = 0;
    for (int64_t i = 0; i < g->l.n; i++) {
        d->confusion[g->l.label[i] * k + g->answer[i]]++;
    }
    pair *list = cvi_calloc((size_t)k * (size_t)k + 1, sizeof *list);
    if (!list) {
        return cvi_no_memory(g->err, (size_t)k * (size_t)k * sizeof *list);
    }
    for (int a = 0; a < k; a++) {
        for (int b = 0; b < k; b++) {
            if (a != b && d->confusion[a * k + b] > 1) {
                list[n++] = (pair){d->confusion[a * k + b], a, b};
            }
        }
    }
    qsort(list, (size_t)n, sizeof *list, most_first);
    cvs_status s = CVS_OK;
    for (int i = 0; i < CVI_MIN(n, 3) && s == CVS_OK; i++) {
        int64_t all = 0;
        for (int b = 0; b < k; b++) {
            all += d->confusion[list[i].label * k + b];
        }
        if (list[i].n * 20 < all) {
            continue;
        }
        cvs_finding *f = cvi_finding_new(g, CVS_FIND_CONFUSION, "");
        s = f ? CVS_OK : CVS_E_MEMORY;
        if (f) {
            cvi_finding_say(g, f, "%lld of %lld pictures of %.60s are taken for %.60s.", (long long)list[i].n,
                            (long long)all, d->classes[list[i].label], d->classes[list[i].answer]);
        }
    }
    cvi_free(list);
    return s;
}

/* ---- begin and end ------------------------------------------------------------------------------------------------- */

static cvs_status name_classes(cvi_diagnosing *g, const cvs_data *data) {
    cvs_model_diagnosis *d = g->d;
    cvs_data_info info;
    cvs_data_describe(data, &info);
    d->n_classes = g->l.classes;
    d->classes = cvi_calloc((size_t)d->n_classes + 1, sizeof *d->classes);
    d->confusion = cvi_calloc((size_t)d->n_classes * (size_t)d->n_classes + 1, sizeof *d->confusion);
    d->class_outside = cvi_calloc((size_t)d->n_classes + 1, sizeof *d->class_outside);
    d->class_pictures = cvi_calloc((size_t)d->n_classes + 1, sizeof *d->class_pictures);
    if (!d->classes || !d->confusion || !d->class_outside || !d->class_pictures) {
        return cvi_no_memory(g->err, (size_t)d->n_classes * (size_t)d->n_classes * sizeof *d->confusion);
    }
    for (int k = 0; k < d->n_classes; k++) {
        char number[24];
        snprintf(number, sizeof number, "%d", k);
        bool own = k < g->model->n_classes && g->model->classes[k][0];
        const char *name = own                              ? g->model->classes[k]
                           : info.n_classes == d->n_classes ? info.classes[k]
                                                            : number;
        const char *zh = g->o->lang == CVS_ZH && info.classes_zh && info.n_classes == d->n_classes &&
                                 strcmp(name, info.classes[k]) == 0
                             ? info.classes_zh[k]
                             : NULL;
        d->classes[k] = cvi_strdup(zh ? zh : name);
        if (!d->classes[k]) {
            return cvi_no_memory(g->err, strlen(name));
        }
    }
    return CVS_OK;
}

static cvs_status name_layers(cvi_diagnosing *g) {
    cvs_model_diagnosis *d = g->d;
    d->layers = cvi_calloc((size_t)g->u.n + 1, sizeof *d->layers);
    if (!d->layers) {
        return cvi_no_memory(g->err, (size_t)g->u.n * sizeof *d->layers);
    }
    for (int i = 0; i < g->u.n; i++) {
        const cvi_unit *u = &g->u.list[i];
        cvs_layer_health *h = &d->layers[d->n_layers++];
        snprintf(h->layer, sizeof h->layer, "%.120s", g->model->graph->nodes[u->node].layer);
        h->filters = (int)u->channels;
        h->loss = cvi_calloc((size_t)u->channels + 1, sizeof *h->loss);
        if (!h->loss) {
            return cvi_no_memory(g->err, (size_t)u->channels * sizeof *h->loss);
        }
        for (int c = 0; c < u->channels; c++) {
            h->loss[c] = NAN;
        }
        if (u->stuck && !u->answer) {
            snprintf(h->kept, sizeof h->kept, "%s", cvi_tr(g->o->lang, u->stuck));
        }
    }
    return CVS_OK;
}

static cvs_status start(cvi_diagnosing *g, const cvs_data *data) {
    cvs_model_diagnosis *d = g->d;
    cvi_score first;
    CVI_TRY(cvi_tell_diagnosis(g, "pictures", 0.0));
    CVI_TRY(cvi_labelled_load(g->model, g->run_options, data, g->o->pictures > 0 ? g->o->pictures : 400,
                              g->o->seed, &g->l, g->err));
    if (g->l.n_first < 1 || g->l.n_first >= g->l.n) {
        return cvi_fail(g->err, CVS_E_ARGUMENT,
                        "%lld pictures are too few: one half chooses, the other measures", (long long)g->l.n);
    }
    d->pictures = g->l.n;
    d->choosing = g->l.n_first;
    d->measuring = g->l.n - g->l.n_first;
    d->has_masks = g->l.mask != NULL;
    d->height = g->l.shape.dim[2];
    d->width = g->l.shape.dim[3];
    snprintf(d->method, sizeof d->method, "%.30s", g->o->method ? g->o->method : "gradcam");
    int number;
    CVI_TRY(cvs_method_find(d->method, &number, g->err));
    CVI_TRY(name_classes(g, data));
    size_t n = (size_t)g->l.n;
    g->answer = cvi_calloc(2 * n, sizeof *g->answer);
    g->logits = cvi_calloc(n * (size_t)g->l.classes, sizeof *g->logits);
    if (!g->answer || !g->logits) {
        return cvi_no_memory(g->err, n * (size_t)g->l.classes * sizeof *g->logits);
    }
    g->other = g->answer + n;
    CVI_TRY(cvi_effect_of(g, g->model, &d->whole, &first));
    memcpy(g->answer, g->other, n * sizeof *g->answer);
    g->first = first;
    d->whole.changed = 0.0;
    d->guessing = d->whole.accuracy * (double)d->n_classes < 2.0;
    g->pool = cvi_pool_new(g->run_options ? g->run_options->threads : 0);
    cvi_exec_options o = {.pool = g->pool, .keep = CVI_KEEP_ANSWER};
    cvs_tensor form = cvi_labelled_input(&g->l, g->model, 1);
    CVI_TRY(cvi_exec_new(g->model->graph, &form, &o, &g->shapes, g->err));
    CVI_TRY(cvi_units_find(g->model->graph, g->shapes, &g->u, g->err));
    return name_layers(g);
}

static cvs_status look(cvi_diagnosing *g) {
    cvs_model_diagnosis *d = g->d;
    double **loss = cvi_calloc((size_t)g->u.n + 1, sizeof *loss);
    g->filter = cvi_calloc((size_t)g->u.n + 1, sizeof *g->filter);
    if (!loss || !g->filter) {
        cvi_free(loss);
        return cvi_no_memory(g->err, (size_t)g->u.n * sizeof *loss);
    }
    for (int i = 0; i < g->u.n; i++) {
        loss[i] = d->layers[i].loss;
    }
    cvi_switching s = {.model = g->model,
                       .options = g->run_options,
                       .l = &g->l,
                       .pool = g->pool,
                       .work = g->o->work > 0.0 ? g->o->work : 1e12,
                       .macs = (double)d->whole.macs,
                       .progress = g->o->progress,
                       .progress_context = g->o->progress_context,
                       .err = g->err};
    cvs_status st = cvi_tell_diagnosis(g, "outputs of the filters", 0.03);
    if (st == CVS_OK) {
        st = cvi_units_measure(&g->u, g->model, g->run_options, &g->l, g->pool, g->err);
    }
    if (st == CVS_OK) {
        st = cvi_units_switch(&s, &g->u, loss, &d->channels_limited);
    }
    cvi_free(loss);
    for (int i = 0; st == CVS_OK && i < g->u.n; i++) {
        d->layers[i].rank = g->u.list[i].rank;
        d->n_too_few += g->u.list[i].too_few;
        d->layers[i].zeros = g->u.list[i].zeros;
        for (int c = 0; c < d->layers[i].filters; c++) {
            d->layers[i].tried += isfinite(d->layers[i].loss[c]);
        }
    }
    return st;
}

/* What makes answers wrong comes before what is only too much. */
static int turn_of(cvs_finding_kind kind) {
    return kind == CVS_FIND_PLACE ? -2 : kind == CVS_FIND_OUTSIDE ? -1 : (int)kind;
}

static int by_kind(const void *a, const void *b) {
    const cvs_finding *x = a, *y = b;
    if (x->kind != y->kind) {
        return turn_of(x->kind) - turn_of(y->kind);
    }
    if (x->kind <= CVS_FIND_INSENSITIVE && x->n_filters != y->n_filters) {
        return y->n_filters - x->n_filters;
    }
    return x->kind == CVS_FIND_LAYER && x->without.accuracy != y->without.accuracy
               ? (x->without.accuracy > y->without.accuracy ? -1 : 1)
               : strcmp(x->evidence, y->evidence);
}

/* Everything up to what may be taken together. */
static cvs_status find_what_can_go(cvi_diagnosing *g, const cvs_data *data) {
    CVI_TRY(start(g, data));
    CVI_TRY(look(g));
    CVI_TRY(cvi_find_filters(g));
    CVI_TRY(cvi_find_layers(g));
    if (g->d->n_findings > 0) {
        qsort(g->d->findings, (size_t)g->d->n_findings, sizeof *g->d->findings, by_kind);
    }
    return CVS_OK;
}

static void end(cvi_diagnosing *g) {
    for (int i = 0; g->filter && i < g->u.n; i++) {
        cvi_free(g->filter[i]);
    }
    cvi_free(g->filter);
    cvi_exec_free(g->shapes);
    cvi_units_free(&g->u);
    cvi_labelled_free(&g->l);
    cvi_pool_free(g->pool);
    cvi_free(g->answer);
    cvi_free(g->logits);
}

cvs_status cvs_diagnose_model(const cvs_model *model, const cvs_run_options *run_options,
                              const cvs_data *data, const cvs_diagnose_options *options,
                              cvs_model_diagnosis **out, cvs_error *err) {
    static const cvs_diagnose_options defaults;
    cvs_diagnose_options o = options ? *options : defaults;
    o.tolerance = o.tolerance > 0.0 ? o.tolerance : 0.01;
    *out = NULL;
    cvi_diagnosing g = {.model = model, .run_options = run_options, .o = &o, .err = err};
    g.d = cvi_calloc(1, sizeof *g.d);
    if (!g.d) {
        return cvi_no_memory(err, sizeof *g.d);
    }
    cvs_status s = find_what_can_go(&g, data);
    if (s == CVS_OK) {
        s = cvi_take_together(&g);
    }
    if (s == CVS_OK) {
        s = cvi_find_fields(&g);
    }
    if (s == CVS_OK) {
        s = find_confusion(&g);
    }
    if (s == CVS_OK) {
        s = cvi_find_beside(&g);
    }
    if (g.d->n_findings > 0) {
        qsort(g.d->findings, (size_t)g.d->n_findings, sizeof *g.d->findings, by_kind);
    }
    end(&g);
    if (s != CVS_OK) {
        cvs_model_diagnosis_free(g.d);
        return s;
    }
    *out = g.d;
    return CVS_OK;
}

void cvs_model_diagnosis_free(cvs_model_diagnosis *d) {
    if (!d) {
        return;
    }
    for (int i = 0; i < d->n_findings; i++) {
        cvi_free(d->findings[i].filters);
    }
    for (int i = 0; i < d->n_layers; i++) {
        cvi_free(d->layers[i].loss);
    }
    for (int k = 0; d->classes && k < d->n_classes; k++) {
        cvi_free((void *)(uintptr_t)d->classes[k]);
    }
    cvi_free(d->classes);
    cvi_free(d->confusion);
    cvi_free(d->class_outside);
    cvi_free(d->class_pictures);
    cvi_free(d->findings);
    cvi_free(d->layers);
    cvi_free(d);
}

/* ---- the smaller network ---------------------------------------------------------------------------------------------- */

/* The cut that a diagnosis took, made again from its findings. */
static cvs_status cut_again(cvi_diagnosing *g, const cvs_model_diagnosis *d) {
    g->joint = (cvi_cut){.units = &g->u, .filter = g->filter};
    for (int i = 0; i < d->n_findings; i++) {
        const cvs_finding *f = &d->findings[i];
        if (!f->taken) {
            continue;
        }
        if (f->kind == CVS_FIND_LAYER) {
            g->joint.from[g->joint.n_layers] = (int)f->box[0];
            g->joint.to[g->joint.n_layers++] = (int)f->box[1];
            continue;
        }
        for (int u = 0; u < g->u.n; u++) {
            if (strcmp(g->d->layers[u].layer, f->layer) != 0) {
                continue;
            }
            g->filter[u] =
                g->filter[u] ? g->filter[u] : cvi_calloc((size_t)g->u.list[u].channels, sizeof(bool));
            if (!g->filter[u]) {
                return cvi_no_memory(g->err, (size_t)g->u.list[u].channels);
            }
            for (int k = 0; k < f->n_filters && f->filters[k] < g->u.list[u].channels; k++) {
                g->filter[u][f->filters[k]] = true;
            }
        }
    }
    return CVS_OK;
}

/* The file as it was written, against the network in memory. */
static cvs_status compare(cvi_diagnosing *g, const cvs_model *twin, const char *path, double *difference) {
    cvs_model *back = NULL;
    size_t n = (size_t)g->l.n * (size_t)g->l.classes;
    double *want = cvi_calloc(n, sizeof *want);
    *difference = 0.0;
    cvs_status s = want ? cvs_model_open(path, NULL, &back, g->err) : cvi_no_memory(g->err, n * sizeof *want);
    if (s == CVS_OK) {
        s = cvi_labelled_ask(&g->l, twin, g->run_options, 0, g->l.n, NULL, NULL, NULL, want, g->err);
    }
    if (s == CVS_OK) {
        s = cvi_labelled_ask(&g->l, back, g->run_options, 0, g->l.n, NULL, NULL, NULL, g->logits, g->err);
    }
    for (size_t i = 0; s == CVS_OK && i < n; i++) {
        *difference = fmax(*difference, fabs(want[i] - g->logits[i]));
    }
    cvs_model_free(back);
    cvi_free(want);
    return s;
}

cvs_status cvs_model_diagnosis_write(const cvs_model_diagnosis *d, const cvs_model *model,
                                     const cvs_run_options *run_options, const cvs_data *data,
                                     const cvs_diagnose_options *options, const char *path,
                                     double *difference, cvs_error *err) {
    static const cvs_diagnose_options defaults;
    cvs_diagnose_options o = options ? *options : defaults;
    cvi_diagnosing g = {.model = model, .run_options = run_options, .o = &o, .err = err};
    cvs_model *twin = NULL;
    g.d = cvi_calloc(1, sizeof *g.d);
    if (!g.d) {
        return cvi_no_memory(err, sizeof *g.d);
    }
    o.progress = NULL;
    cvs_status s = start(&g, data);
    if (s == CVS_OK) {
        g.filter = cvi_calloc((size_t)g.u.n + 1, sizeof *g.filter);
        s = g.filter ? cvi_units_measure(&g.u, model, run_options, &g.l, g.pool, err)
                     : cvi_no_memory(err, (size_t)g.u.n * sizeof *g.filter);
    }
    if (s == CVS_OK) {
        s = cut_again(&g, d);
    }
    if (s == CVS_OK) {
        s = cvi_cut_make(model, &g.joint, &twin, err);
    }
    if (s == CVS_OK) {
        s = cvs_model_write(twin, path, err);
    }
    if (s == CVS_OK) {
        s = compare(&g, twin, path, difference);
    }
    cvs_model_free(twin);
    end(&g);
    cvs_model_diagnosis_free(g.d);
    return s;
}

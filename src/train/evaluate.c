/* SPDX-License-Identifier: MIT
 * evaluate.c - a classifier over a labelled set: each worker takes some pictures through an exec of its own and notes the answer,
 * its probability and the loss of every one; all sums are made afterwards in the order of the pictures. Of several models the
 * probabilities are averaged.
 */
#include <math.h>
#include <stdlib.h>

#include "convscope/evaluate.h"
#include "train/trainer.h"

enum { PICTURES = 16, BINS = 15, TOP = 5, WORST = 12 };

/* What one picture gave. */
typedef struct note {
    int label, answer;
    int better; /* classes with a larger logit than the label's */
    double loss, label_probability, answer_probability;
} note;

/* A model of the ensemble. */
typedef struct member {
    const cvs_model *model;
    int64_t input[3];
    int answer, outputs;
    cvs_logit_kind kind;
    const cvi_loss *loss;
    int *class_of; /* class of the first model by class of this one */
} member;

typedef struct worker_state {
    cvi_exec **execs; /* by member */
    float *x;
    double *row,
        *mean; /* [n_classes] probabilities of one picture; [batch][n_classes] their sum over the models */
    cvs_error err;
    cvs_status status;
} worker_state;

typedef struct evaluating {
    const cvs_model *model; /* the first */
    int n_members;
    member *members;
    const cvs_evaluate_options *o;
    cvs_data *data;
    cvs_data_info info;
    cvi_pool *pool;
    int64_t batch,
        most; /* batch: what the models insist on, or PICTURES; most: numbers of the largest input */
    int n_classes;
    bool by_number;
    int *label_of; /* class of the model by label of the set */
    note *notes;
    int n_workers;
    worker_state *workers;
    cvs_error *err;
} evaluating;

/* ---- opening -------------------------------------------------------------------------------------------- */

/* Every label's class in the model: by name where the model knows all names, else by number. */
static cvs_status match_classes(evaluating *v) {
    const cvs_model *m = v->model;
    int found = 0;
    v->label_of = cvi_calloc((size_t)CVI_MAX(v->info.n_classes, 1), sizeof *v->label_of);
    if (!v->label_of) {
        return cvi_no_memory(v->err, (size_t)v->info.n_classes * sizeof *v->label_of);
    }
    for (int i = 0; i < v->info.n_classes; i++) {
        v->label_of[i] = -1;
        for (int k = 0; k < CVI_MIN(m->n_classes, v->n_classes) && v->label_of[i] < 0; k++) {
            v->label_of[i] = strcmp(m->classes[k], v->info.classes[i]) == 0 ? k : -1;
        }
        found += v->label_of[i] >= 0;
    }
    if (found == v->info.n_classes) {
        return CVS_OK;
    }
    if (v->info.n_classes != v->n_classes) {
        return cvi_fail(v->err, CVS_E_SHAPE,
                        "the model has %d classes, the data set %d, and their names do not match either",
                        v->n_classes, v->info.n_classes);
    }
    for (int i = 0; i < v->info.n_classes; i++) {
        v->label_of[i] = i;
        v->by_number = v->model->n_classes > 0;
    }
    return CVS_OK;
}

static cvs_status make_exec(const evaluating *v, const member *m, cvi_exec **out, cvs_error *err) {
    cvs_tensor x = {.dtype = CVS_F32, .rank = 4, .dim = {v->batch, m->input[0], m->input[1], m->input[2]}};
    cvi_exec_options options = {.keep = CVI_KEEP_ANSWER,
                                .keep_values = &m->answer,
                                .n_keep = 1,
                                .max_bytes = m->model->limits.max_memory_bytes};
    return cvi_exec_new(m->model->graph, &x, &options, out, err);
}

static cvs_status find_answer(const evaluating *v, member *m) {
    const cvi_graph *g = m->model->graph;
    cvi_exec *x = NULL;
    cvs_tensor shape;
    m->answer = cvi_graph_logit(g, 0, &m->kind);
    CVI_TRY(make_exec(v, m, &x, v->err));
    cvs_status s = cvi_exec_value(x, m->answer, &shape, v->err);
    cvi_exec_free(x);
    CVI_TRY(s);
    int64_t count = cvs_tensor_count(&shape);
    if (shape.dtype != CVS_F32 || count < v->batch || count % v->batch != 0 || count / v->batch > 1000000 ||
        (count == v->batch && m->kind != CVS_LOGIT_BEFORE_SIGMOID)) {
        char text[200];
        return cvi_fail(v->err, CVS_E_UNSUPPORTED,
                        "this is no classifier of pictures: for %lld of them it answers with %s",
                        (long long)v->batch, cvs_shape_text(shape.rank, shape.dim, text, sizeof text));
    }
    m->outputs = (int)(count / v->batch);
    m->loss = cvi_loss_find(m->kind == CVS_LOGIT_BEFORE_SIGMOID ? "binary" : "cross_entropy");
    return CVS_OK;
}

/* A further model's classes in the first one's order: by name where both name them alike, else by number. */
static cvs_status order_classes(const evaluating *v, member *m) {
    int found = 0;
    if (CVI_MAX(m->outputs, 2) != v->n_classes) {
        return cvi_at_file(v->err,
                           cvi_fail(v->err, CVS_E_SHAPE,
                                    "this model has %d classes, the first one %d: they cannot be averaged",
                                    CVI_MAX(m->outputs, 2), v->n_classes),
                           m->model->path);
    }
    for (int i = 0; i < v->n_classes; i++) {
        m->class_of[i] = -1;
        for (int k = 0;
             i < m->model->n_classes && k < CVI_MIN(v->model->n_classes, v->n_classes) && m->class_of[i] < 0;
             k++) {
            m->class_of[i] = strcmp(m->model->classes[i], v->model->classes[k]) == 0 ? k : -1;
        }
        found += m->class_of[i] >= 0;
    }
    for (int i = 0; i < v->n_classes && found < v->n_classes; i++) {
        m->class_of[i] = i;
    }
    return CVS_OK;
}

static cvs_status open_member(evaluating *v, member *m) {
    CVI_TRY(cvi_trainer_input(m->model, &v->info, m->input, v->err));
    v->most = CVI_MAX(v->most, m->input[0] * m->input[1] * m->input[2]);
    CVI_TRY(find_answer(v, m));
    v->n_classes = m == v->members ? CVI_MAX(m->outputs, 2) : v->n_classes;
    m->class_of = cvi_calloc((size_t)v->n_classes, sizeof *m->class_of);
    return m->class_of ? order_classes(v, m)
                       : cvi_no_memory(v->err, (size_t)v->n_classes * sizeof *m->class_of);
}

/* Pictures at a time: what a model insists on, and then all must. */
static cvs_status find_batch(evaluating *v) {
    v->batch = 0;
    for (int i = 0; i < v->n_members; i++) {
        const cvi_graph *g = v->members[i].model->graph;
        int64_t fixed =
            g->n_inputs > 0 && g->values[g->inputs[0]].rank == 4 ? g->values[g->inputs[0]].dim[0] : 0;
        if (fixed > 0 && v->batch > 0 && fixed != v->batch) {
            return cvi_fail(v->err, CVS_E_SHAPE, "one model takes %lld pictures at a time, another %lld",
                            (long long)v->batch, (long long)fixed);
        }
        v->batch = fixed > 0 ? fixed : v->batch;
    }
    v->batch = v->batch > 0 ? v->batch : PICTURES;
    return CVS_OK;
}

static cvs_status make_workers(evaluating *v) {
    v->n_workers = cvi_pool_threads(v->pool);
    v->workers = cvi_calloc((size_t)v->n_workers, sizeof *v->workers);
    v->notes = cvi_calloc((size_t)CVI_MAX(v->info.count, 1), sizeof *v->notes);
    if (!v->workers || !v->notes) {
        return cvi_no_memory(v->err, (size_t)v->info.count * sizeof *v->notes);
    }
    for (int i = 0; i < v->n_workers; i++) {
        worker_state *w = &v->workers[i];
        w->err.lang = v->err ? v->err->lang : CVS_EN;
        w->x = cvi_calloc((size_t)(v->batch * v->most), sizeof *w->x);
        w->row = cvi_calloc((size_t)v->n_classes, sizeof *w->row);
        w->mean = cvi_calloc((size_t)(v->batch * v->n_classes), sizeof *w->mean);
        w->execs = cvi_calloc((size_t)v->n_members, sizeof *w->execs);
        if (!w->x || !w->row || !w->mean || !w->execs) {
            return cvi_no_memory(v->err, (size_t)(v->batch * v->most) * sizeof *w->x);
        }
    }
    return CVS_OK;
}

static cvs_status open_all(evaluating *v, const char *spec) {
    cvs_data_options options = {.split = v->o->training_pictures ? CVS_TRAIN : CVS_TEST,
                                .limit = v->o->limit,
                                .limits = v->o->limits};
    CVI_TRY(cvs_data_open(spec, &options, &v->data, v->err));
    cvs_data_describe(v->data, &v->info);
    if (v->info.count < 1) {
        return cvi_fail(v->err, CVS_E_ARGUMENT, "the data set %.200s has no pictures of this kind", spec);
    }
    CVI_TRY(find_batch(v));
    for (int i = 0; i < v->n_members; i++) {
        CVI_TRY(open_member(v, &v->members[i]));
    }
    CVI_TRY(match_classes(v));
    v->pool = cvi_pool_new(v->o->threads);
    return make_workers(v);
}

/* ---- running -------------------------------------------------------------------------------------------- */

/* Probabilities of one picture from its logits; one sigmoid unit stands for two classes. */
static void probabilities(const member *m, const float *logits, double *p) {
    double top = (double)logits[0], sum = 0;
    if (m->kind == CVS_LOGIT_BEFORE_SIGMOID) {
        for (int c = 0; c < m->outputs; c++) {
            p[c] = 1 / (1 + exp(-(double)logits[c]));
        }
        if (m->outputs == 1) {
            p[1] = p[0];
            p[0] = 1 - p[1];
        }
        return;
    }
    for (int c = 1; c < m->outputs; c++) {
        top = fmax(top, (double)logits[c]);
    }
    for (int c = 0; c < m->outputs; c++) {
        p[c] = exp((double)logits[c] - top);
        sum += p[c];
    }
    for (int c = 0; c < m->outputs; c++) {
        p[c] /= sum;
    }
}

static void take_note(const evaluating *v, const double *p, note *n) {
    for (int c = 1; c < v->n_classes; c++) {
        n->answer = p[c] > p[n->answer] ? c : n->answer;
    }
    /* Of equal ones the first stands before the others, as in the answer. */
    for (int c = 0; c < v->n_classes; c++) {
        n->better += p[c] > p[n->label] || (p[c] == p[n->label] && c < n->label);
    }
    n->label_probability = p[n->label];
    n->answer_probability = p[n->answer];
}

static cvs_status read_pictures(const evaluating *v, const member *m, worker_state *w, int64_t from,
                                int64_t n) {
    int64_t each = m->input[0] * m->input[1] * m->input[2];
    for (int64_t i = 0; i < n; i++) {
        cvs_tensor one = {0};
        int label = 0;
        CVI_TRY(cvi_samples_read(v->data, from + i, &m->model->preprocess, m->input, &one, NULL, &label,
                                 &w->err));
        memcpy(w->x + i * each, one.data, one.bytes);
        cvs_tensor_free(&one);
        v->notes[from + i].label = v->label_of[label];
    }
    return CVS_OK;
}

/* One model's answers to some pictures, added to the mean; a single model's loss is that of its logits. */
static cvs_status ask(const evaluating *v, worker_state *w, int which, int64_t from, int64_t n) {
    const member *m = &v->members[which];
    cvs_tensor x = {.dtype = CVS_F32,
                    .rank = 4,
                    .dim = {v->batch, m->input[0], m->input[1], m->input[2]},
                    .data = w->x,
                    .bytes = (size_t)(v->batch * m->input[0] * m->input[1] * m->input[2]) * sizeof(float)};
    cvs_tensor logits;
    if (!w->execs[which]) {
        CVI_TRY(make_exec(v, m, &w->execs[which], &w->err));
    }
    CVI_TRY(read_pictures(v, m, w, from, n));
    CVI_TRY(cvi_exec_forward(w->execs[which], &x, m->answer, &w->err));
    CVI_TRY(cvi_exec_value(w->execs[which], m->answer, &logits, &w->err));
    for (int64_t i = 0; i < n; i++) {
        const float *row = (const float *)logits.data + i * m->outputs;
        cvi_loss_row r = {.k = m->outputs,
                          .x = row,
                          .label = v->notes[from + i].label,
                          .values = (const double[CVI_MAX_SETTINGS]){0}};
        probabilities(m, row, w->row);
        for (int c = 0; c < v->n_classes; c++) {
            w->mean[i * v->n_classes + m->class_of[c]] += w->row[c] / v->n_members;
        }
        v->notes[from + i].loss = v->n_members == 1 ? m->loss->row(&r, NULL) : 0;
    }
    return CVS_OK;
}

static cvs_status some_pictures(evaluating *v, worker_state *w, int64_t from, int64_t n) {
    memset(w->mean, 0, (size_t)(v->batch * v->n_classes) * sizeof *w->mean);
    for (int i = 0; i < v->n_members; i++) {
        CVI_TRY(ask(v, w, i, from, n));
    }
    for (int64_t i = 0; i < n; i++) {
        note *one = &v->notes[from + i];
        take_note(v, w->mean + i * v->n_classes, one);
        one->loss = v->n_members > 1 ? -log(fmax(one->label_probability, 1e-300)) : one->loss;
    }
    return CVS_OK;
}

typedef struct stretch_job {
    evaluating *v;
    int64_t from, to;
} stretch_job;

static void body(void *context, int64_t chunk, int worker) {
    stretch_job *j = context;
    worker_state *w = &j->v->workers[worker];
    int64_t at = j->from + chunk * j->v->batch;
    if (w->status == CVS_OK) {
        w->status = some_pictures(j->v, w, at, CVI_MIN(j->v->batch, j->to - at));
    }
}

/* In stretches, so that progress can be told and an end asked for between them. */
static cvs_status run_all(evaluating *v) {
    int64_t stretch = v->batch * v->n_workers * 4;
    for (int64_t at = 0; at < v->info.count; at += stretch) {
        stretch_job j = {v, at, CVI_MIN(at + stretch, v->info.count)};
        cvi_pool_run(v->pool, (j.to - j.from + v->batch - 1) / v->batch, body, &j);
        for (int i = 0; i < v->n_workers; i++) {
            if (v->workers[i].status != CVS_OK) {
                if (v->err) {
                    *v->err = v->workers[i].err;
                }
                return v->workers[i].status;
            }
        }
        if (v->o->progress &&
            !v->o->progress(v->o->progress_context, "evaluate", (double)j.to / (double)v->info.count)) {
            return cvi_fail(v->err, CVS_E_CANCELLED, "cancelled");
        }
    }
    return CVS_OK;
}

/* ---- what comes out ------------------------------------------------------------------------------------- */

static void sum_up(const evaluating *v, cvs_evaluation *e) {
    double confidence[BINS] = {0}, right[BINS] = {0}, count[BINS] = {0};
    for (int64_t i = 0; i < e->count; i++) {
        const note *n = &v->notes[i];
        bool hit = n->answer == n->label;
        int bin = (int)(n->answer_probability * BINS);
        bin = isfinite(n->answer_probability) ? CVI_MIN(CVI_MAX(bin, 0), BINS - 1) : 0;
        e->right += hit;
        e->right_top += n->better < e->top;
        e->loss += n->loss / (double)e->count;
        e->confidence += n->answer_probability / (double)e->count;
        e->confusion[(int64_t)n->label * e->n_classes + n->answer]++;
        e->classes[n->label].count++;
        e->classes[n->label].right += hit;
        e->classes[n->answer].predicted++;
        confidence[bin] += n->answer_probability;
        right[bin] += hit;
        count[bin]++;
    }
    for (int b = 0; b < BINS; b++) {
        e->calibration += fabs(confidence[b] - right[b]) / (double)e->count;
    }
    int occur = 0;
    for (int c = 0; c < e->n_classes; c++) {
        cvs_class_score *s = &e->classes[c];
        s->precision = s->predicted > 0 ? (double)s->right / (double)s->predicted : (double)NAN;
        s->recall = s->count > 0 ? (double)s->right / (double)s->count : (double)NAN;
        s->f1 = s->count + s->predicted > 0 ? 2 * (double)s->right / (double)(s->count + s->predicted)
                                            : (double)NAN;
        e->macro_f1 += s->count > 0 ? s->f1 : 0;
        occur += s->count > 0;
    }
    e->macro_f1 /= CVI_MAX(occur, 1);
}

static bool is_worse(const note *a, const note *b) {
    return isnan(a->loss) ? !isnan(b->loss) : a->loss > b->loss;
}

/* The pictures with the largest loss, in order; of equal ones the first. */
static cvs_status find_worst(const evaluating *v, cvs_evaluation *e, int most) {
    int64_t n = 0;
    for (int64_t i = 0; i < e->count; i++) {
        const note *one = &v->notes[i];
        int64_t at = n;
        while (at > 0 && is_worse(one, &v->notes[e->worst[at - 1].index])) {
            at--;
        }
        if (at >= most) {
            continue;
        }
        n = CVI_MIN(n + 1, (int64_t)most);
        memmove(&e->worst[at + 1], &e->worst[at], (size_t)(n - 1 - at) * sizeof *e->worst);
        e->worst[at] = (cvs_worst_picture){.index = i,
                                           .label = one->label,
                                           .answer = one->answer,
                                           .loss = one->loss,
                                           .label_probability = one->label_probability,
                                           .answer_probability = one->answer_probability};
    }
    e->n_worst = (int)n;
    for (int i = 0; i < e->n_worst; i++) {
        cvs_tensor numbers = {0};
        int label;
        cvs_status s = cvi_samples_read(v->data, e->worst[i].index, &v->model->preprocess,
                                        v->members[0].input, &numbers, &e->worst[i].picture, &label, v->err);
        cvs_tensor_free(&numbers);
        CVI_TRY(s);
    }
    return CVS_OK;
}

static cvs_status name_classes(const evaluating *v, cvs_evaluation *e) {
    for (int c = 0; c < e->n_classes; c++) {
        char number[16];
        const char *name = c < v->model->n_classes ? v->model->classes[c] : NULL;
        for (int i = 0; i < v->info.n_classes; i++) {
            name = v->label_of[i] == c ? v->info.classes[i] : name;
        }
        snprintf(number, sizeof number, "%d", c);
        e->classes[c].name = cvi_strdup(name && name[0] ? name : number);
        if (!e->classes[c].name) {
            return cvi_no_memory(v->err, 16);
        }
    }
    return CVS_OK;
}

static cvs_status make_evaluation(const evaluating *v, cvs_evaluation *e) {
    int most = v->o->worst > 0 ? v->o->worst : v->o->worst < 0 ? 0 : WORST;
    int64_t cells = 0;
    most = (int)CVI_MIN((int64_t)most, v->info.count);
    e->count = v->info.count;
    e->n_classes = v->n_classes;
    e->top = v->o->top > 0 ? v->o->top : CVI_MIN(TOP, CVI_MAX(v->n_classes - 1, 1));
    e->by_number = v->by_number;
    e->fingerprint = v->info.fingerprint;
    e->classes = cvi_calloc((size_t)e->n_classes, sizeof *e->classes);
    if (cvi_mul(e->n_classes, e->n_classes, &cells) && cells <= INT64_C(1) << 28) {
        e->confusion = cvi_calloc((size_t)cells, sizeof *e->confusion);
    }
    e->worst = cvi_calloc((size_t)most + 1, sizeof *e->worst);
    if (!e->classes || !e->confusion || !e->worst) {
        return cvi_no_memory(v->err, (size_t)cells * sizeof *e->confusion);
    }
    CVI_TRY(name_classes(v, e));
    sum_up(v, e);
    return find_worst(v, e, most);
}

static void free_all(evaluating *v) {
    for (int i = 0; v->workers && i < v->n_workers; i++) {
        worker_state *w = &v->workers[i];
        for (int k = 0; w->execs && k < v->n_members; k++) {
            cvi_exec_free(w->execs[k]);
        }
        cvi_free(w->execs);
        cvi_free(w->x);
        cvi_free(w->row);
        cvi_free(w->mean);
    }
    for (int i = 0; v->members && i < v->n_members; i++) {
        cvi_free(v->members[i].class_of);
    }
    cvi_free(v->members);
    cvi_free(v->workers);
    cvi_free(v->notes);
    cvi_free(v->label_of);
    cvi_pool_free(v->pool);
    cvs_data_free(v->data);
}

cvs_status cvs_evaluate_ensemble(const cvs_model *const *models, int n, const char *data,
                                 const cvs_evaluate_options *options, cvs_evaluation **out, cvs_error *err) {
    static const cvs_evaluate_options none;
    evaluating v = {.o = options ? options : &none, .err = err};
    *out = NULL;
    if (n < 1) {
        return cvi_fail(err, CVS_E_ARGUMENT, "an ensemble needs at least one model");
    }
    v.model = models[0];
    v.members = cvi_calloc((size_t)n, sizeof *v.members);
    v.n_members = v.members ? n : 0;
    for (int i = 0; i < v.n_members; i++) {
        v.members[i].model = models[i];
    }
    cvs_evaluation *e = cvi_calloc(1, sizeof *e);
    cvs_status s = e && v.members ? open_all(&v, data) : cvi_no_memory(err, sizeof *e);
    if (s == CVS_OK) {
        s = run_all(&v);
    }
    if (s == CVS_OK) {
        s = make_evaluation(&v, e);
    }
    free_all(&v);
    if (s != CVS_OK) {
        cvs_evaluation_free(e);
        return s;
    }
    *out = e;
    return CVS_OK;
}

cvs_status cvs_evaluate(const cvs_model *model, const char *data, const cvs_evaluate_options *options,
                        cvs_evaluation **out, cvs_error *err) {
    return cvs_evaluate_ensemble(&model, 1, data, options, out, err);
}

void cvs_evaluation_free(cvs_evaluation *e) {
    if (!e) {
        return;
    }
    for (int c = 0; e->classes && c < e->n_classes; c++) {
        cvi_free((void *)(uintptr_t)e->classes[c].name);
    }
    for (int i = 0; e->worst && i < e->n_worst; i++) {
        cvs_tensor_free(&e->worst[i].picture);
    }
    cvi_free(e->classes);
    cvi_free(e->confusion);
    cvi_free(e->worst);
    cvi_free(e);
}

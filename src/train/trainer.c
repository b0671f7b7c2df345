/* SPDX-License-Identifier: MIT
 * trainer.c - one step of training, and one evaluation. A batch is cut into fixed pieces; threads claim pieces, each with an exec
 * and gradients of its own; then threads claim stretches of the parameters, add the pieces' gradients in order and
 * update. What is computed never depends on who computes it, so any number of threads gives the same bits.
 */
#include "train/trainer.h"

enum { EVALUATE = 64, STRETCH = 8192, MAX_WORKERS = 64 };

/* An exec for one batch size. Sizes are few: a full piece and what is left at the end of an epoch. */
typedef struct sized {
    int64_t n;
    cvi_exec *exec;
} sized;

typedef struct piece {
    sized sizes[2];
    int next; /* which of the two is replaced */
    cvi_exec *exec;
    cvs_tensor *gradients; /* of the trained parameters, borrowed from exec */
    float *seed;           /* gradient of the logits */
    int64_t seed_room;
    double loss;
    int64_t right;
    cvs_error err;
    cvs_status status;
} piece;

typedef struct stretch {
    int param;
    int64_t from, to;
} stretch;

struct cvi_trainer {
    const cvs_model *model;
    cvi_params *params;
    const cvi_training *training;
    cvi_pool *pool;
    int64_t input[3];
    int logits;
    int64_t outputs;
    int n_pieces;
    piece pieces[CVI_PIECES];
    int n_workers; /* that evaluate */
    piece *workers;
    stretch *stretches;
    int64_t n_stretches;
    /* the step being made */
    int64_t batch, step;
    const float *x;
    const int *labels;
    cvi_rates rates;
    /* the evaluation being made */
    const cvi_samples *samples;
    double *losses;
    int64_t *rights;
    float *room; /* of all workers */
    int *room_labels;
};

/* ---- execs ---------------------------------------------------------------------------------------------- */

static cvs_tensor input_tensor(const cvi_trainer *t, int64_t n, const float *x) {
    return (cvs_tensor){.dtype = CVS_F32,
                        .rank = 4,
                        .dim = {n, t->input[0], t->input[1], t->input[2]},
                        .data = (void *)(uintptr_t)x,
                        .bytes = (size_t)(n * t->input[0] * t->input[1] * t->input[2]) * sizeof(float)};
}

static cvs_status make_exec(const cvi_trainer *t, int64_t n, bool training, cvi_exec **out, cvs_error *err) {
    cvi_exec_options options = {.exact = true,
                                .training = training,
                                .keep_aux = training,
                                .pool = training && t->n_pieces == 1 ? t->pool : NULL,
                                .max_bytes = t->model->limits.max_memory_bytes};
    cvs_tensor x = input_tensor(t, n, NULL);
    x.bytes = 0;
    CVI_TRY(cvi_exec_new(t->model->graph, &x, &options, out, err));
    for (int i = 0; i < t->params->n; i++) {
        cvs_status s = cvi_exec_override(*out, t->params->list[i].value, &t->params->list[i].now, err);
        if (s != CVS_OK) {
            cvi_exec_free(*out);
            *out = NULL;
            return s;
        }
    }
    return CVS_OK;
}

/* Sets p->exec to one for n pictures. */
static cvs_status need_exec(const cvi_trainer *t, piece *p, int64_t n, bool training) {
    for (int i = 0; i < 2; i++) {
        if (p->sizes[i].exec && p->sizes[i].n == n) {
            p->exec = p->sizes[i].exec;
            return CVS_OK;
        }
    }
    sized *s = &p->sizes[p->next];
    p->next = !p->next;
    cvi_exec_free(s->exec);
    s->exec = NULL;
    s->n = n;
    CVI_TRY(make_exec(t, n, training, &s->exec, &p->err));
    p->exec = s->exec;
    return CVS_OK;
}

static void free_piece(piece *p) {
    cvi_exec_free(p->sizes[0].exec);
    cvi_exec_free(p->sizes[1].exec);
    cvi_free(p->gradients);
    cvi_free(p->seed);
}

/* Forward to the logits of n pictures; *logits is borrowed from the exec. */
static cvs_status forward(const cvi_trainer *t, piece *p, int64_t n, const float *x, bool training,
                          cvs_tensor *logits) {
    cvs_tensor in = input_tensor(t, n, x);
    CVI_TRY(need_exec(t, p, n, training));
    CVI_TRY(cvi_exec_forward(p->exec, &in, t->logits, &p->err));
    CVI_TRY(cvi_exec_value(p->exec, t->logits, logits, &p->err));
    if (cvs_tensor_count(logits) != n * t->outputs) {
        char text[200];
        return cvi_fail(&p->err, CVS_E_SHAPE,
                        "training needs one row of logits a picture; %.80s has the shape %s",
                        t->model->graph->values[t->logits].name,
                        cvs_shape_text(logits->rank, logits->dim, text, sizeof text));
    }
    return CVS_OK;
}

/* ---- one step ------------------------------------------------------------------------------------------- */

enum { PURPOSE_DROP = 0x70696563 /* "piec" */ };

static cvs_status piece_step(cvi_trainer *t, piece *p, int64_t index) {
    int64_t from = t->batch * index / t->n_pieces, n = t->batch * (index + 1) / t->n_pieces - from;
    int64_t each = t->input[0] * t->input[1] * t->input[2], k = t->outputs;
    p->loss = 0;
    p->right = 0;
    p->exec = NULL;
    if (n == 0) {
        return CVS_OK;
    }
    cvs_tensor logits = {0};
    CVI_TRY(need_exec(t, p, n, true));
    cvi_exec_reseed(p->exec, cvi_random_bits(t->training->seed, PURPOSE_DROP,
                                             (uint64_t)t->step * CVI_PIECES + (uint64_t)index));
    CVI_TRY(forward(t, p, n, t->x + from * each, true, &logits));
    if (n * k > p->seed_room) {
        cvi_free(p->seed);
        p->seed = cvi_malloc((size_t)(n * k) * sizeof *p->seed);
        p->seed_room = p->seed ? n * k : 0;
        if (!p->seed) {
            return cvi_no_memory(&p->err, (size_t)(n * k) * sizeof *p->seed);
        }
    }
    cvi_cross_entropy(n, k, logits.data, t->labels + from, t->batch, p->seed, &p->loss, &p->right);
    logits.data = p->seed;
    CVI_TRY(cvi_exec_backward(p->exec, CVI_GRADIENT, &t->logits, &logits, 1, t->params->values,
                              t->params->n_trained, &p->err));
    for (int i = 0; i < t->params->n_trained; i++) {
        CVI_TRY(cvi_exec_gradient(p->exec, t->params->values[i], &p->gradients[i], &p->err));
    }
    return CVS_OK;
}

static void piece_body(void *context, int64_t chunk, int worker) {
    (void)worker;
    cvi_trainer *t = context;
    piece *p = &t->pieces[chunk];
    p->status = piece_step(t, p, chunk);
}

/* Adds the pieces' gradients into the first one's, in order, and updates the weights. */
static void update_body(void *context, int64_t chunk, int worker) {
    (void)worker;
    cvi_trainer *t = context;
    const stretch *s = &t->stretches[chunk];
    cvi_param *param = &t->params->list[s->param];
    float *sum = NULL, *slots[CVI_MAX_SLOTS] = {NULL, NULL};
    for (int i = 0; i < t->n_pieces; i++) {
        if (!t->pieces[i].exec) {
            continue;
        }
        float *g = t->pieces[i].gradients[s->param].data;
        if (!sum) {
            sum = g;
            continue;
        }
        for (int64_t k = s->from; k < s->to; k++) {
            sum[k] += g[k];
        }
    }
    for (int k = 0; k < t->params->n_slots; k++) {
        slots[k] = param->slots[k] + s->from;
    }
    if (sum) {
        t->training->optimizer->update(&t->rates, t->step, s->to - s->from,
                                       (float *)param->now.data + s->from, sum + s->from, slots);
    }
}

/* The batch's statistics into the running ones; there is one piece where any node keeps some. */
static cvs_status renew_statistics(cvi_trainer *t, cvs_error *err) {
    const cvi_graph *g = t->model->graph;
    for (int n = 0; n < g->n_nodes && t->n_pieces == 1; n++) {
        const cvi_node *node = &g->nodes[n];
        for (int k = 0; node->def && node->def->renew && k < node->n_in; k++) {
            for (int i = t->params->n_trained; i < t->params->n; i++) {
                if (t->params->list[i].value == node->in[k]) {
                    CVI_TRY(cvi_exec_renew(t->pieces[0].exec, n, k, &t->params->list[i].now, err));
                }
            }
        }
    }
    return CVS_OK;
}

static cvs_status first_error(const piece *p, int n, cvs_error *err) {
    for (int i = 0; i < n; i++) {
        if (p[i].status != CVS_OK) {
            if (err) {
                *err = p[i].err;
            }
            return p[i].status;
        }
    }
    return CVS_OK;
}

cvs_status cvi_trainer_step(cvi_trainer *t, int64_t batch, float *x, const int *labels, int64_t step,
                            double learning_rate, double *loss, int64_t *right, cvs_error *err) {
    t->batch = batch;
    t->x = x;
    t->labels = labels;
    t->step = step;
    t->rates = t->training->rates;
    t->rates.learning_rate = learning_rate;
    for (int i = 0; i < t->n_pieces; i++) {
        t->pieces[i].err = (cvs_error){.lang = err ? err->lang : CVS_EN};
    }
    if (t->n_pieces == 1) { /* the operators themselves use the pool */
        piece_body(t, 0, 0);
    } else {
        cvi_pool_run(t->pool, t->n_pieces, piece_body, t);
    }
    CVI_TRY(first_error(t->pieces, t->n_pieces, err));
    for (int i = 0; i < t->n_pieces; i++) {
        *loss += t->pieces[i].loss;
        *right += t->pieces[i].right;
    }
    CVI_TRY(renew_statistics(t, err));
    cvi_pool_run(t->pool, t->n_stretches, update_body, t);
    return CVS_OK;
}

/* ---- evaluation ----------------------------------------------------------------------------------------- */

static void evaluate_body(void *context, int64_t chunk, int worker) {
    cvi_trainer *t = context;
    piece *p = &t->workers[worker];
    int64_t from = chunk * EVALUATE, n = CVI_MIN(t->samples->n - from, (int64_t)EVALUATE);
    int64_t each = t->input[0] * t->input[1] * t->input[2];
    float *x = t->room + worker * EVALUATE * each;
    int *labels = t->room_labels + worker * EVALUATE;
    cvs_tensor logits = {0};
    if (p->status != CVS_OK) {
        return;
    }
    for (int64_t i = 0; i < n; i++) {
        cvi_samples_get(t->samples, from + i, NULL, 0, 0, x + i * each);
        labels[i] = t->samples->labels[from + i];
    }
    p->status = forward(t, p, n, x, false, &logits);
    if (p->status == CVS_OK) {
        cvi_cross_entropy(n, t->outputs, logits.data, labels, n, NULL, &t->losses[chunk], &t->rights[chunk]);
    }
}

cvs_status cvi_trainer_evaluate(cvi_trainer *t, const cvi_samples *s, double *loss, double *accuracy,
                                cvs_error *err) {
    int64_t chunks = (s->n + EVALUATE - 1) / EVALUATE, each = t->input[0] * t->input[1] * t->input[2];
    *loss = *accuracy = 0;
    t->samples = s;
    t->losses = cvi_calloc((size_t)CVI_MAX(chunks, 1), sizeof *t->losses);
    t->rights = cvi_calloc((size_t)CVI_MAX(chunks, 1), sizeof *t->rights);
    t->room = cvi_calloc((size_t)(t->n_workers * EVALUATE * each), sizeof *t->room);
    t->room_labels = cvi_calloc((size_t)t->n_workers * EVALUATE, sizeof *t->room_labels);
    cvs_status status = CVS_OK;
    if (!t->losses || !t->rights || !t->room || !t->room_labels) {
        status = cvi_no_memory(err, (size_t)(t->n_workers * EVALUATE * each) * sizeof *t->room);
    }
    for (int i = 0; i < t->n_workers; i++) {
        t->workers[i].status = CVS_OK;
        t->workers[i].err = (cvs_error){.lang = err ? err->lang : CVS_EN};
    }
    if (status == CVS_OK) {
        cvi_pool_run(t->pool, chunks, evaluate_body, t);
        status = first_error(t->workers, t->n_workers, err);
    }
    int64_t right = 0;
    for (int64_t i = 0; status == CVS_OK && i < chunks; i++) {
        *loss += t->losses[i];
        right += t->rights[i];
    }
    if (s->n > 0) {
        *loss /= (double)s->n;
        *accuracy = (double)right / (double)s->n;
    }
    cvi_free(t->losses);
    cvi_free(t->rights);
    cvi_free(t->room);
    cvi_free(t->room_labels);
    t->losses = NULL;
    t->rights = NULL;
    t->room = NULL;
    t->room_labels = NULL;
    return status;
}

/* ---- life ----------------------------------------------------------------------------------------------- */

/* Which value holds the logits, and how many there are a picture: asked from a plan for one picture. */
static cvs_status find_logits(cvi_trainer *t, int n_classes, cvs_error *err) {
    const cvi_graph *g = t->model->graph;
    cvs_logit_kind kind;
    cvs_tensor shape;
    cvi_exec *x = NULL;
    t->logits = cvi_graph_logit(g, 0, &kind);
    const char *name = g->values[t->logits].name;
    if (kind == CVS_LOGIT_BEFORE_SIGMOID) {
        return cvi_fail(
            err, CVS_E_UNSUPPORTED,
            "%.80s goes into a sigmoid; training needs one logit a class, with or without a softmax", name);
    }
    CVI_TRY(make_exec(t, 1, false, &x, err));
    cvs_status s = cvi_exec_value(x, t->logits, &shape, err);
    cvi_exec_free(x);
    CVI_TRY(s);
    t->outputs = cvs_tensor_count(&shape);
    if (shape.dtype != CVS_F32 || t->outputs < 2) {
        return cvi_fail(err, CVS_E_UNSUPPORTED,
                        "training needs at least two logits of type float32; %.80s has %lld of %s", name,
                        (long long)t->outputs, cvs_dtype_name(shape.dtype));
    }
    if (n_classes > 0 && t->outputs != n_classes) {
        return cvi_fail(err, CVS_E_SHAPE, "the model has %lld outputs (%.80s), the data set has %d classes",
                        (long long)t->outputs, name, n_classes);
    }
    return CVS_OK;
}

static cvs_status make_stretches(cvi_trainer *t, cvs_error *err) {
    const cvi_params *p = t->params;
    int64_t n = p->numbers / STRETCH + p->n_trained;
    t->stretches = cvi_calloc((size_t)n + 1, sizeof *t->stretches);
    if (!t->stretches) {
        return cvi_no_memory(err, (size_t)n * sizeof *t->stretches);
    }
    for (int i = 0; i < p->n_trained; i++) {
        int64_t count = cvs_tensor_count(&p->list[i].now);
        for (int64_t at = 0; at < count; at += STRETCH) {
            t->stretches[t->n_stretches++] = (stretch){i, at, CVI_MIN(at + STRETCH, count)};
        }
    }
    return CVS_OK;
}

static cvs_status make_pieces(cvi_trainer *t, cvs_error *err) {
    const cvi_graph *g = t->model->graph;
    t->n_pieces = CVI_PIECES;
    for (int n = 0; n < g->n_nodes; n++) {
        t->n_pieces = g->nodes[n].def && g->nodes[n].def->renew ? 1 : t->n_pieces;
    }
    for (int i = 0; i < t->n_pieces; i++) {
        t->pieces[i].gradients = cvi_calloc((size_t)t->params->n_trained, sizeof *t->pieces[i].gradients);
        if (!t->pieces[i].gradients) {
            return cvi_no_memory(err, (size_t)t->params->n_trained * sizeof *t->pieces[i].gradients);
        }
    }
    t->n_workers = CVI_MIN(cvi_pool_threads(t->pool), MAX_WORKERS);
    t->workers = cvi_calloc((size_t)t->n_workers, sizeof *t->workers);
    return t->workers ? CVS_OK : cvi_no_memory(err, (size_t)t->n_workers * sizeof *t->workers);
}

cvs_status cvi_trainer_new(cvs_model *model, cvi_params *params, const cvi_training *training,
                           const int64_t input[3], int n_classes, cvi_pool *pool, cvi_trainer **out,
                           cvs_error *err) {
    cvi_trainer *t = cvi_calloc(1, sizeof *t);
    *out = NULL;
    if (!t) {
        return cvi_no_memory(err, sizeof *t);
    }
    t->model = model;
    t->params = params;
    t->training = training;
    t->pool = pool;
    memcpy(t->input, input, sizeof t->input);
    cvs_status s = make_pieces(t, err);
    if (s == CVS_OK) {
        s = find_logits(t, n_classes, err);
    }
    if (s == CVS_OK) {
        s = make_stretches(t, err);
    }
    if (s != CVS_OK) {
        cvi_trainer_free(t);
        return s;
    }
    *out = t;
    return CVS_OK;
}

void cvi_trainer_free(cvi_trainer *t) {
    if (!t) {
        return;
    }
    for (int i = 0; i < CVI_PIECES; i++) {
        free_piece(&t->pieces[i]);
    }
    for (int i = 0; t->workers && i < t->n_workers; i++) {
        free_piece(&t->workers[i]);
    }
    cvi_free(t->workers);
    cvi_free(t->stretches);
    cvi_free(t);
}

cvs_status cvi_trainer_input(const cvs_model *model, const cvs_data_info *info, int64_t input[3],
                             cvs_error *err) {
    const cvi_graph *g = model->graph;
    const cvi_value *v = g->n_inputs > 0 ? &g->values[g->inputs[0]] : NULL;
    char text[200];
    if (g->n_inputs != 1 || v->rank != 4 || v->dtype != CVS_F32 || g->n_outputs < 1) {
        return cvi_fail(err, CVS_E_UNSUPPORTED,
                        "training needs a model with one picture [N,C,H,W] of type float32 as its input");
    }
    int64_t data[3] = {info->channels, info->height, info->width};
    for (int i = 0; i < 3; i++) {
        input[i] = v->dim[i + 1] > 0 ? v->dim[i + 1] : data[i];
        if (input[i] <= 0) {
            return cvi_fail(err, CVS_E_SHAPE,
                            "the model leaves its input's size free (%s) and the pictures differ in size",
                            cvs_shape_text(v->rank, v->dim, text, sizeof text));
        }
    }
    return CVS_OK;
}

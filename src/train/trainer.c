/* SPDX-License-Identifier: MIT
 * trainer.c - one step of training, and one evaluation. A batch is cut into fixed pieces, whose gradients are summed apart; a thread takes
 * a piece a few pictures at a time, so that everything between picture and loss stays in its cache, on an exec of its own. Then
 * threads claim stretches of the parameters, add the pieces' gradients in order and update. What is computed
 * never depends on who computes it, so any number of threads gives the same bits. 3x3 layers go through Winograd in both directions
 * where the kernels' formula says so and the recipe does not want exact arithmetic: a quarter of a step's time on Keras's CIFAR net, for a rounding error far below a step's noise.
 */
#include <math.h>

#include "train/ranks.h"

/* ---- execs ---------------------------------------------------------------------------------------------- */

static cvs_tensor input_tensor(const cvi_trainer *t, int64_t n, const float *x) {
    return (cvs_tensor){.dtype = CVS_F32,
                        .rank = 4,
                        .dim = {n, t->input[0], t->input[1], t->input[2]},
                        .data = (void *)(uintptr_t)x,
                        .bytes = (size_t)(n * t->input[0] * t->input[1] * t->input[2]) * sizeof(float)};
}

static cvs_status make_exec(const cvi_trainer *t, int64_t n, bool training, cvi_exec **out, cvs_error *err) {
    cvi_exec_options options = {.keep = CVI_KEEP_GRADIENTS,
                                .exact = t->training->exact,
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

/* Sets w->exec to one for n pictures. */
static cvs_status need_exec(const cvi_trainer *t, worker_state *w, int64_t n, bool training) {
    for (int i = 0; i < SIZES; i++) {
        if (w->sizes[i].exec && w->sizes[i].n == n) {
            w->exec = w->sizes[i].exec;
            cvi_exec_settle(w->exec, training && w->sizes[i].round == t->round);
            w->sizes[i].round = t->round;
            return CVS_OK;
        }
    }
    sized *s = &w->sizes[w->next];
    w->next = (w->next + 1) % SIZES;
    cvi_exec_free(s->exec);
    s->exec = NULL;
    s->n = n;
    s->round = t->round;
    CVI_TRY(make_exec(t, n, training, &s->exec, &w->err));
    w->exec = s->exec;
    return CVS_OK;
}

static void free_worker(worker_state *w) {
    for (int i = 0; i < SIZES; i++) {
        cvi_exec_free(w->sizes[i].exec);
    }
    cvi_free(w->seed);
    cvi_free(w->row);
}

/* Forward to the answer for n pictures on w->exec; *answer is borrowed from it. */
static cvs_status forward(const cvi_trainer *t, worker_state *w, int64_t n, const float *x,
                          cvs_tensor *answer) {
    cvs_tensor in = input_tensor(t, n, x);
    CVI_TRY(cvi_exec_forward(w->exec, &in, t->answer, &w->err));
    CVI_TRY(cvi_exec_value(w->exec, t->answer, answer, &w->err));
    if (cvs_tensor_count(answer) != n * t->outputs) {
        char text[200];
        return cvi_fail(&w->err, CVS_E_SHAPE,
                        "training needs one row of logits a picture; %.80s has the shape %s",
                        t->model->graph->values[t->answer].name,
                        cvs_shape_text(answer->rank, answer->dim, text, sizeof text));
    }
    return CVS_OK;
}

/* ---- one step ------------------------------------------------------------------------------------------- */

enum { PURPOSE_DROP = 0x70696563 /* "piec" */ };

static cvs_status need_seed(const cvi_trainer *t, worker_state *w, int64_t n) {
    if (n * t->outputs <= w->seed_room) {
        return CVS_OK;
    }
    cvi_free(w->seed);
    cvi_free(w->row);
    w->seed = cvi_calloc((size_t)(n * t->outputs), sizeof *w->seed);
    w->row = cvi_calloc((size_t)t->outputs, 2 * sizeof *w->row);
    w->seed_room = w->seed && w->row ? n * t->outputs : 0;
    return w->seed_room > 0 ? CVS_OK : cvi_no_memory(&w->err, (size_t)(n * t->outputs) * sizeof *w->seed);
}

/* The label's logit less the largest other one; one logit stands for two classes. */
static void note_margins(const cvi_trainer *t, int64_t from, int64_t n, const float *x) {
    for (int64_t i = 0; t->margins && i < n; i++) {
        const float *row = x + i * t->outputs;
        int label = t->labels[from + i];
        float other = -INFINITY;
        for (int64_t c = 0; c < t->outputs; c++) {
            other = c != label && row[c] > other ? row[c] : other;
        }
        t->margins[from + i] = t->outputs == 1 ? (label == 1 ? row[0] : -row[0]) : row[label] - other;
    }
}

/* Pictures [from, from + n) of the batch. */
static cvs_status share_step(cvi_trainer *t, worker_state *w, piece *p, int64_t from, int64_t n) {
    int64_t each = t->input[0] * t->input[1] * t->input[2];
    cvs_tensor answer = {0};
    CVI_TRY(need_exec(t, w, n, true));
    CVI_TRY(need_seed(t, w, n));
    cvi_exec_reseed(
        w->exec, cvi_random_bits(t->training->seed, PURPOSE_DROP, (uint64_t)t->step << 20 | (uint64_t)from));
    CVI_TRY(forward(t, w, n, t->x + from * each, &answer));
    if (t->second) {
        cvi_loss_mixed(t->training, n, t->outputs, answer.data, t->labels + from, t->second + from, t->mix,
                       (double)t->batch / t->divisor, 1 / t->divisor, w->seed, w->row, &p->loss, &p->right);
    } else {
        cvi_loss_batch(t->training, true, n, t->outputs, answer.data, t->labels + from,
                       (double)t->batch / t->divisor, 1 / t->divisor, w->seed, w->row, &p->loss, &p->right);
    }
    note_margins(t, from, n, answer.data);
    answer.data = w->seed;
    CVI_TRY(cvi_exec_backward_into(w->exec, CVI_GRADIENT, &t->answer, &answer, 1, t->params->values,
                                   t->params->n_trained, p->into, p->any, &w->err));
    p->any = true;
    return CVS_OK;
}

cvs_status cvi_trainer_need_gradients(cvi_trainer *t, int index, cvs_error *err) {
    const cvi_params *params = t->params;
    piece *p = &t->pieces[index];
    if (p->gradients) {
        return CVS_OK;
    }
    size_t numbers = (size_t)CVI_MAX(params->numbers + t->n_statistics, 1);
    p->gradients = cvi_malloc(numbers * sizeof *p->gradients);
    p->into = p->gradients ? cvi_calloc((size_t)params->n_trained, sizeof *p->into) : NULL;
    if (!p->into) {
        cvi_free(p->gradients);
        p->gradients = NULL;
        return cvi_no_memory(err, numbers * sizeof *p->gradients);
    }
    float *at = p->gradients;
    for (int i = 0; i < params->n_trained; i++) {
        p->into[i] = at;
        at += cvs_tensor_count(&params->list[i].now);
    }
    return CVS_OK;
}

/* Whether the batch changes parameter i, a running statistic, through input k of a node. */
static bool renews(const cvi_trainer *t, const cvi_node *node, int k, int i) {
    const cvi_param *p = &t->params->list[i];
    return node->def && node->def->renew && p->value == node->in[k] && !p->frozen;
}

/* The running statistics as this piece alone would leave them, behind its gradients. */
static cvs_status keep_statistics(const cvi_trainer *t, worker_state *w, const piece *p) {
    const cvi_graph *g = t->model->graph;
    float *at = p->gradients + t->params->numbers;
    for (int i = t->params->n_trained; i < t->params->n; i++) {
        cvs_tensor one = t->params->list[i].now;
        if (one.bytes > 0) {
            memcpy(at, one.data, one.bytes);
        }
        one.data = at;
        one.owned = false;
        for (int n = 0; n < g->n_nodes; n++) {
            for (int k = 0; k < g->nodes[n].n_in; k++) {
                if (renews(t, &g->nodes[n], k, i)) {
                    CVI_TRY(cvi_exec_renew(w->exec, n, k, &one, &w->err));
                }
            }
        }
        at += cvs_tensor_count(&one);
    }
    return CVS_OK;
}

static cvs_status piece_step(cvi_trainer *t, worker_state *w, int64_t index) {
    piece *p = &t->pieces[index];
    int64_t at = t->batch * index / t->n_pieces, end = t->batch * (index + 1) / t->n_pieces;
    bool whole = t->n_pieces == 1 || t->n_statistics > 0, some = at < end;
    p->loss = 0;
    p->right = 0;
    p->any = false;
    if (some) {
        CVI_TRY(cvi_trainer_need_gradients(t, (int)index, &w->err));
    }
    for (int64_t n; at < end; at += n) {
        n = whole ? end - at : CVI_MIN(t->share, end - at);
        CVI_TRY(share_step(t, w, p, at, n));
    }
    return some && t->n_statistics > 0 ? keep_statistics(t, w, p) : CVS_OK;
}

static void piece_body(void *context, int64_t chunk, int worker) {
    cvi_trainer *t = context;
    worker_state *w = &t->workers[worker];
    int from, to;
    cvi_ranks_pieces(t, &from, &to);
    cvs_status s = w->status == CVS_OK ? piece_step(t, w, from + chunk) : CVS_OK;
    w->status = w->status == CVS_OK ? s : w->status;
}

/* The running statistics become the mean of what the pieces left, added in order. */
static void renew_statistics(cvi_trainer *t) {
    const cvi_graph *g = t->model->graph;
    float *sum = NULL;
    int pieces = 0;
    for (int i = 0; i < t->n_pieces && t->n_statistics > 0; i++) {
        pieces += t->batch * i / t->n_pieces < t->batch * (i + 1) / t->n_pieces;
        float *more = t->pieces[i].any ? t->pieces[i].gradients + t->params->numbers : NULL;
        for (int64_t k = 0; sum && more && k < t->n_statistics; k++) {
            sum[k] += more[k];
        }
        sum = sum ? sum : more;
    }
    for (int i = t->params->n_trained; sum && i < t->params->n; i++) {
        cvs_tensor *now = &t->params->list[i].now;
        int64_t count = cvs_tensor_count(now);
        bool renewed = false;
        for (int n = 0; n < g->n_nodes && !renewed; n++) {
            for (int k = 0; k < g->nodes[n].n_in && !renewed; k++) {
                renewed = renews(t, &g->nodes[n], k, i);
            }
        }
        for (int64_t k = 0; renewed && k < count; k++) {
            ((float *)now->data)[k] = sum[k] / (float)pieces;
        }
        sum += count;
    }
}

static cvs_status first_error(const worker_state *w, int n, cvs_error *err) {
    for (int i = 0; i < n; i++) {
        if (w[i].status != CVS_OK) {
            if (err) {
                *err = w[i].err;
            }
            return w[i].status;
        }
    }
    return CVS_OK;
}

static void clear_errors(worker_state *w, int n, const cvs_error *err) {
    for (int i = 0; i < n; i++) {
        w[i].status = CVS_OK;
        w[i].err = (cvs_error){.lang = err ? err->lang : CVS_EN};
    }
}

/* What the losses' sum is divided by: the pictures, or, as PyTorch does, the sum of their classes' weights. */
static double divisor_of(const cvi_trainer *t, int64_t batch, const int *labels) {
    double sum = 0;
    for (int64_t i = 0; t->training->class_weights && i < batch; i++) {
        sum += t->training->class_weights[labels[i]];
    }
    return sum > 0 && t->training->loss->by_weight && t->rates.profile == CVI_TORCH ? sum : (double)batch;
}

cvs_status cvi_trainer_step(cvi_trainer *t, int64_t batch, float *x, const int *labels, int64_t step,
                            double learning_rate, double *loss, int64_t *right, cvs_error *err) {
    t->batch = batch;
    t->x = x;
    t->labels = labels;
    t->step = step;
    t->round++;
    t->rates = t->training->rates;
    t->rates.learning_rate = learning_rate;
    t->divisor = divisor_of(t, batch, labels);
    t->margins = t->margins ? t->margins : t->own_margins;
    clear_errors(t->workers, t->n_workers, err);
    int from, to;
    cvi_ranks_pieces(t, &from, &to);
    if (t->n_pieces == 1) { /* the operators themselves use the pool */
        piece_body(t, 0, 0);
    } else {
        cvi_pool_run(t->pool, to - from, piece_body, t);
    }
    CVI_TRY(cvi_ranks_losses(t, first_error(t->workers, t->n_workers, err), err));
    for (int i = 0; i < t->n_pieces; i++) {
        *loss += t->pieces[i].loss;
        *right += t->pieces[i].right;
    }
    CVI_TRY(cvi_ranks_gradients(t, err));
    renew_statistics(t);
    *loss += cvi_trainer_update(t) * (double)batch;
    if (t->measuring) {
        cvi_trainer_sum_measures(t);
    }
    t->measuring = false;
    t->margins = NULL;
    t->second = NULL;
    return CVS_OK;
}

void cvi_trainer_watch(cvi_trainer *t, bool measure, float *margins) {
    t->measuring = measure;
    t->margins = margins;
}

void cvi_trainer_mix(cvi_trainer *t, const int *second, double share) {
    t->second = second;
    t->mix = share;
}

const cvi_measure *cvi_trainer_measured(const cvi_trainer *t) {
    return t->measures;
}

int cvi_trainer_answer(const cvi_trainer *t, int64_t *outputs) {
    *outputs = t->outputs;
    return t->answer;
}

/* ---- evaluation ----------------------------------------------------------------------------------------- */

static void evaluate_body(void *context, int64_t chunk, int worker) {
    cvi_trainer *t = context;
    worker_state *w = &t->testers[worker];
    chunk = t->comm ? chunk * t->comm->size + t->comm->rank : chunk;
    int64_t from = chunk * EVALUATE, n = CVI_MIN(t->samples->n - from, (int64_t)EVALUATE);
    int64_t each = t->input[0] * t->input[1] * t->input[2];
    float *x = t->room + worker * EVALUATE * each;
    int *labels = t->room_labels + worker * EVALUATE;
    cvs_tensor answer = {0};
    if (w->status != CVS_OK) {
        return;
    }
    for (int64_t i = 0; i < n; i++) {
        cvi_samples_get(t->samples, from + i, NULL, 0, 0, x + i * each);
        labels[i] = t->samples->labels[from + i];
    }
    w->status = need_exec(t, w, n, false);
    if (w->status == CVS_OK) {
        w->status = forward(t, w, n, x, &answer);
    }
    if (w->status == CVS_OK) {
        cvi_loss_batch(t->training, false, n, t->outputs, answer.data, labels, 1, 1, NULL, NULL,
                       &t->losses[chunk], &t->rights[chunk]);
        const float *v = answer.data;
        for (int64_t i = 0; t->answers && i < n; i++) {
            t->answers[from + i] = (int)cvi_loss_answer(t->outputs, v + i * t->outputs);
        }
    }
}

void cvi_trainer_confusion(cvi_trainer *t, int n, double *cells) {
    t->cells = cells;
    t->n_cells = n;
}

static void count_cells(const cvi_trainer *t, const cvi_samples *s) {
    for (int64_t i = 0; i < s->n; i++) {
        int row = s->labels[i], column = t->answers[i];
        if (row >= 0 && row < t->n_cells && column >= 0 && column < t->n_cells) {
            t->cells[(int64_t)row * t->n_cells + column]++;
        }
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
    t->answers = t->cells ? cvi_malloc((size_t)CVI_MAX(s->n, (int64_t)1) * sizeof *t->answers) : NULL;
    if (t->answers) {
        memset(t->answers, -1, (size_t)s->n * sizeof *t->answers);
    }
    if (!t->losses || !t->rights || !t->room || !t->room_labels || (t->cells && !t->answers)) {
        status = cvi_no_memory(err, (size_t)(t->n_workers * EVALUATE * each) * sizeof *t->room);
    }
    clear_errors(t->testers, t->n_workers, err);
    if (status == CVS_OK) {
        int64_t own = t->comm ? (chunks + t->comm->size - 1 - t->comm->rank) / t->comm->size : chunks;
        cvi_pool_run(t->pool, own, evaluate_body, t);
        status = first_error(t->testers, t->n_workers, err);
    }
    if (status == CVS_OK && t->answers) {
        count_cells(t, s);
    }
    status = cvi_ranks_evaluated(t, chunks, status, err);
    int64_t right = 0;
    for (int64_t i = 0; status == CVS_OK && i < chunks; i++) {
        *loss += t->losses[i];
        right += t->rights[i];
    }
    if (s->n > 0) {
        *loss /= (double)s->n;
        *accuracy = (double)right / (double)s->n;
    }
    cvi_free(t->answers);
    cvi_free(t->losses);
    cvi_free(t->rights);
    t->answers = NULL;
    t->cells = NULL;
    cvi_free(t->room);
    cvi_free(t->room_labels);
    t->losses = NULL;
    t->rights = NULL;
    t->room = NULL;
    t->room_labels = NULL;
    return status;
}

/* ---- life ----------------------------------------------------------------------------------------------- */

/* Which value the loss looks at, and how many numbers it has a picture: asked from a plan for one picture. */
static cvs_status find_answer(cvi_trainer *t, int n_classes, cvs_error *err) {
    const cvi_graph *g = t->model->graph;
    const cvi_loss *loss = t->training->loss;
    cvi_exec *x = NULL;
    cvs_logit_kind kind = CVS_LOGIT_IS_OUTPUT;
    cvs_tensor shape;
    t->answer = loss->on_answer ? g->outputs[0] : cvi_graph_logit(g, 0, &kind);
    const char *name = g->values[t->answer].name;
    if (kind == CVS_LOGIT_BEFORE_SIGMOID && !loss->sigmoid) {
        return cvi_fail(
            err, CVS_E_UNSUPPORTED,
            "%.80s goes into a sigmoid; training needs one logit a class, with or without a softmax", name);
    }
    CVI_TRY(make_exec(t, 1, true, &x, err));
    cvs_status s = cvi_exec_value(x, t->answer, &shape, err);
    t->share = CVI_MAX(1, CACHE / CVI_MAX(cvi_exec_bytes(x), 1));
    cvi_exec_free(x);
    CVI_TRY(s);
    t->outputs = cvs_tensor_count(&shape);
    if (shape.dtype != CVS_F32 || t->outputs < (loss->sigmoid ? 1 : 2)) {
        return cvi_fail(err, CVS_E_UNSUPPORTED,
                        "training needs at least two logits of type float32; %.80s has %lld of %s", name,
                        (long long)t->outputs, cvs_dtype_name(shape.dtype));
    }
    if (n_classes > 0 && CVI_MAX(t->outputs, 2) != n_classes) {
        return cvi_fail(err, CVS_E_SHAPE, "the model has %lld outputs (%.80s), the data set has %d classes",
                        (long long)t->outputs, name, n_classes);
    }
    if (t->training->n_classes > 0 && CVI_MAX(t->outputs, 2) != t->training->n_classes) {
        return cvi_fail(err, CVS_E_SHAPE, "there are %d weights of classes for %lld classes",
                        t->training->n_classes, (long long)CVI_MAX(t->outputs, 2));
    }
    return CVS_OK;
}

static cvs_status make_stretches(cvi_trainer *t, cvs_error *err) {
    const cvi_params *p = t->params;
    int64_t n = p->numbers / STRETCH + p->n_trained, before = 0;
    t->stretches = cvi_calloc((size_t)n + 1, sizeof *t->stretches);
    t->norms = cvi_calloc((size_t)n + 1, sizeof *t->norms);
    t->penalties = cvi_calloc((size_t)n + 1, sizeof *t->penalties);
    t->scales = cvi_calloc((size_t)p->n_trained + 1, sizeof *t->scales);
    t->parts = cvi_calloc((size_t)n + 1, sizeof *t->parts);
    t->measures = cvi_calloc((size_t)p->n_trained + 1, sizeof *t->measures);
    if (!t->stretches || !t->norms || !t->penalties || !t->scales || !t->parts || !t->measures) {
        return cvi_no_memory(err, (size_t)n * sizeof *t->stretches);
    }
    for (int i = 0; i < p->n_trained; i++) {
        int64_t count = cvs_tensor_count(&p->list[i].now);
        for (int64_t at = 0; at < count; at += STRETCH) {
            t->stretches[t->n_stretches++] = (stretch){i, at, CVI_MIN(at + STRETCH, count), before + at};
        }
        before += count;
    }
    return CVS_OK;
}

bool cvi_trainer_statistics(const cvi_graph *g) {
    for (int n = 0; n < g->n_nodes; n++) {
        if (g->nodes[n].def && g->nodes[n].def->renew) {
            return true;
        }
    }
    return false;
}

static cvs_status make_workers(cvi_trainer *t, cvs_error *err) {
    cvi_graph *g = t->model->graph;
    bool statistics = cvi_trainer_statistics(g);
    for (int n = 0; n < g->n_nodes; n++) {
        g->nodes[n].biased = t->training->rates.profile == CVI_KERAS;
    }
    for (int i = t->params->n_trained; i < t->params->n && statistics; i++) {
        t->n_statistics += cvs_tensor_count(&t->params->list[i].now);
    }
    t->n_pieces = t->training->shards > 0 ? t->training->shards : statistics ? 1 : CVI_PIECES;
    t->n_workers = cvi_pool_threads(t->pool);
    t->workers = cvi_calloc((size_t)t->n_workers, sizeof *t->workers);
    t->testers = cvi_calloc((size_t)t->n_workers, sizeof *t->testers);
    return t->workers && t->testers ? CVS_OK : cvi_no_memory(err, (size_t)t->n_workers * sizeof *t->workers);
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
    cvs_status s = make_workers(t, err);
    if (s == CVS_OK) {
        s = find_answer(t, n_classes, err);
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
    for (int i = 0; i < CVI_MAX_PIECES; i++) {
        cvi_free(t->pieces[i].gradients);
        cvi_free(t->pieces[i].into);
    }
    for (int i = 0; t->workers && t->testers && i < t->n_workers; i++) {
        free_worker(&t->workers[i]);
        free_worker(&t->testers[i]);
    }
    cvi_free(t->workers);
    cvi_free(t->testers);
    cvi_free(t->stretches);
    cvi_free(t->norms);
    cvi_free(t->penalties);
    cvi_free(t->scales);
    cvi_free(t->parts);
    cvi_free(t->measures);
    cvi_free(t->own_margins);
    cvi_free(t);
}

cvs_status cvi_trainer_join(cvi_trainer *t, const cvs_comm *comm, cvs_error *err) {
    if (!comm) {
        return CVS_OK;
    }
    t->comm = comm;
    t->own_margins = cvi_calloc((size_t)t->training->batch, sizeof *t->own_margins);
    if (!t->own_margins) {
        return cvi_no_memory(err, (size_t)t->training->batch * sizeof *t->own_margins);
    }
    return cvi_ranks_check(t, err);
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

/* SPDX-License-Identifier: MIT
 * head.c - a network for other classes: its last layer with weights gets as many outputs as there are classes, with first weights, and everything
 * before it stays as it was learned; and weights taken over from another model by name and shape.
 */
#include <math.h>

#include "convscope/model.h"
#include "ops/op.h"
#include "train/trainer.h"

/* ---- the head --------------------------------------------------------------------------------------------- */

/* The input of a node that is its weight, a constant; -1: it has none. */
static int weight_of(const cvi_graph *g, const cvi_node *node) {
    for (int k = 0; node->def && k < node->n_in && k < node->def->n_inputs; k++) {
        if (node->def->inputs[k].role == CVI_WEIGHT && node->in[k] >= 0 && g->values[node->in[k]].constant) {
            return k;
        }
    }
    return -1;
}

/* The only input of a node that is no constant; -1: there are none or several. */
static int only_input(const cvi_graph *g, const cvi_node *node) {
    int found = -1;
    for (int k = 0; k < node->n_in; k++) {
        if (node->in[k] >= 0 && !g->values[node->in[k]].constant) {
            if (found >= 0) {
                return -1;
            }
            found = node->in[k];
        }
    }
    return found;
}

/* The axis of a weight that counts outputs: kernels are [K,C,...], matrices [in,out] unless transB says [out,in]. */
static int output_axis(const cvi_node *node, const cvs_tensor *w) {
    return w->rank == 2 && !cvi_node_int(node, "transB", 0) ? 1 : 0;
}

typedef struct widening {
    cvs_model *model;
    cvi_graph *g;
    int64_t from, to; /* outputs */
    uint64_t seed;
    cvs_error *err;
} widening;

/* A constant with `to` where it had `from` along an axis: numbers drawn for a weight, else 0. */
static cvs_status replace(const widening *w, int v, int axis, bool weight) {
    const cvs_tensor *was = w->g->values[v].constant;
    cvs_tensor *now = cvi_arena_alloc(w->model->arena, 1, sizeof *now);
    if (!now) {
        return cvi_no_memory(w->err, sizeof *now);
    }
    *now = *was;
    now->dim[axis] = w->to;
    int64_t n = cvs_tensor_count(now), fan_in = n / CVI_MAX(w->to, 1);
    float *data = cvi_arena_alloc(w->model->arena, n, sizeof *data);
    if (!data) {
        return cvi_no_memory(w->err, (size_t)n * sizeof *data);
    }
    double deviation = sqrt(2.0 / (double)CVI_MAX(fan_in, 1));
    for (int64_t i = 0; i < n; i++) {
        data[i] = weight ? (float)(deviation * cvi_random_normal(w->seed, (uint64_t)v, (uint64_t)i)) : 0;
    }
    now->dtype = CVS_F32;
    now->data = data;
    now->bytes = (size_t)n * sizeof *data;
    now->owned = false;
    w->g->values[v].constant = now;
    memcpy(w->g->values[v].dim, now->dim, sizeof now->dim);
    return CVS_OK;
}

/* A list of sizes that names the outputs, as a Reshape's, names the new ones. */
static cvs_status replace_sizes(const widening *w, int v) {
    const cvs_tensor *was = w->g->values[v].constant;
    int64_t n = cvs_tensor_count(was);
    cvs_tensor *now = cvi_arena_alloc(w->model->arena, 1, sizeof *now);
    int64_t *data = now ? cvi_arena_alloc(w->model->arena, CVI_MAX(n, 1), sizeof *data) : NULL;
    if (!data) {
        return cvi_no_memory(w->err, (size_t)n * sizeof *data);
    }
    for (int64_t i = 0; i < n; i++) {
        int64_t one = ((const int64_t *)was->data)[i];
        data[i] = one == w->from ? w->to : one;
    }
    *now = *was;
    now->data = data;
    now->owned = false;
    w->g->values[v].constant = now;
    return CVS_OK;
}

/* What a node between the head and the answer reads and makes: constants with one number an output, and sizes. */
static cvs_status follow(const widening *w, const cvi_node *node, int weight) {
    for (int k = 0; k < node->n_in; k++) {
        const cvs_tensor *c = node->in[k] >= 0 ? w->g->values[node->in[k]].constant : NULL;
        if (!c || k == weight || !c->data) {
            continue;
        }
        if (c->dtype == CVS_I64) {
            CVI_TRY(replace_sizes(w, node->in[k]));
        } else if (c->dtype == CVS_F32 && cvs_tensor_count(c) == w->from && w->from > 1) {
            int axis = 0;
            while (c->dim[axis] != w->from) {
                axis++;
            }
            CVI_TRY(replace(w, node->in[k], axis, false));
        }
    }
    for (int k = 0; k < node->n_out; k++) {
        cvi_value *v = node->out[k] >= 0 ? &w->g->values[node->out[k]] : NULL;
        for (int i = 0; v && i < v->rank; i++) {
            v->dim[i] = v->dim[i] == w->from && i > 0 ? w->to : v->dim[i];
        }
    }
    return CVS_OK;
}

static cvs_status no_head(cvs_error *err, const char *name) {
    return cvi_fail(err, CVS_E_UNSUPPORTED,
                    "the head cannot be replaced: behind %.100s there is no single layer with weights that "
                    "makes the answer",
                    name);
}

cvs_status cvi_head_replace(cvs_model *model, int64_t outputs, uint64_t seed, cvs_error *err) {
    cvi_graph *g = model->graph;
    cvs_logit_kind kind = CVS_LOGIT_IS_OUTPUT;
    if (g->n_outputs < 1) {
        return no_head(err, g->name ? g->name : "");
    }
    int end = g->outputs[0], at = cvi_graph_logit(g, 0, &kind), head = -1, weight = -1;
    const char *name = g->values[at].name;
    for (int v = at; v >= 0 && g->values[v].producer >= 0 && head < 0;) {
        const cvi_node *node = &g->nodes[g->values[v].producer];
        weight = weight_of(g, node);
        head = weight >= 0 ? g->values[v].producer : -1;
        v = only_input(g, node);
    }
    if (head < 0 || cvi_node_int(&g->nodes[head], "group", 1) != 1) {
        return no_head(err, name);
    }
    const cvi_node *node = &g->nodes[head];
    const cvs_tensor *t = g->values[node->in[weight]].constant;
    int axis = output_axis(node, t);
    widening w = {model, g, t->rank > axis ? t->dim[axis] : 0, outputs, seed, err};
    if (t->rank < 2 || w.from < 1 || t->dtype != CVS_F32) {
        return no_head(err, name);
    }
    CVI_TRY(replace(&w, node->in[weight], axis, true));
    CVI_TRY(follow(&w, node, weight));
    for (int v = end; v >= 0 && g->values[v].producer >= 0 && g->values[v].producer != head;) {
        const cvi_node *after = &g->nodes[g->values[v].producer];
        CVI_TRY(follow(&w, after, -1));
        v = only_input(g, after);
    }
    model->n_classes = 0; /* the data names them */
    model->classes = NULL;
    return CVS_OK;
}

bool cvi_head_has(const cvs_model *model, int value) {
    const cvi_graph *g = model->graph;
    cvs_logit_kind kind = CVS_LOGIT_IS_OUTPUT;
    for (int v = cvi_graph_logit(g, 0, &kind); v >= 0 && g->values[v].producer >= 0;) {
        const cvi_node *node = &g->nodes[g->values[v].producer];
        for (int k = 0; k < node->n_in; k++) {
            if (node->in[k] == value) {
                return true;
            }
        }
        if (weight_of(g, node) >= 0) {
            return false;
        }
        v = only_input(g, node);
    }
    return false;
}

/* ---- another model's weights ------------------------------------------------------------------------------ */

static bool fits(const cvi_param *p, const cvs_tensor *t) {
    return t && t->data && t->dtype == CVS_F32 && t->rank == p->now.rank && t->bytes == p->now.bytes &&
           memcmp(t->dim, p->now.dim, sizeof *t->dim * (size_t)t->rank) == 0;
}

/* Constants of the other model by this one's names; returns how many. */
static int take_by_name(cvi_params *p, const cvi_graph *g, const char **unfit) {
    int taken = 0;
    for (int i = 0; i < p->n; i++) {
        int v = cvi_graph_find(g, p->list[i].name);
        const cvs_tensor *t = v >= 0 ? g->values[v].constant : NULL;
        if (fits(&p->list[i], t)) {
            memcpy(p->list[i].now.data, t->data, t->bytes);
            taken++;
        } else {
            *unfit = *unfit ? *unfit : p->list[i].name;
        }
    }
    return taken;
}

/* Where no name is the same: both models' parameters side by side in their order, as far as their shapes agree. */
static int take_in_order(cvi_params *p, const cvi_params *other, const char **unfit) {
    int taken = 0;
    for (int pass = 0; pass < 2; pass++) { /* trained ones, then running statistics; each in its own order */
        int a = 0, b = 0;
        for (; a < p->n && b < other->n; a++, b++) {
            while (a < p->n &&
                   (p->list[a].role == CVI_MEAN || p->list[a].role == CVI_VARIANCE) != (pass == 1)) {
                a++;
            }
            while (b < other->n &&
                   (other->list[b].role == CVI_MEAN || other->list[b].role == CVI_VARIANCE) != (pass == 1)) {
                b++;
            }
            if (a >= p->n || b >= other->n) {
                break;
            }
            if (p->list[a].role != other->list[b].role || !fits(&p->list[a], &other->list[b].now)) {
                *unfit = p->list[a].name;
                break;
            }
            memcpy(p->list[a].now.data, other->list[b].now.data, other->list[b].now.bytes);
            taken++;
        }
    }
    return taken;
}

cvs_status cvi_params_transfer(cvi_params *p, const char *path, const cvs_limits *limits, int *taken,
                               const char **unfit, cvs_error *err) {
    cvs_model *m = NULL;
    cvs_open_options open = {.limits = limits ? *limits : (cvs_limits){0}, .lang = err ? err->lang : CVS_EN};
    cvi_params other = {0};
    *taken = 0;
    *unfit = NULL;
    CVI_TRY(cvs_model_open(path, &open, &m, err));
    if (!m->has_weights) {
        cvs_model_free(m);
        return cvi_at_file(err, cvi_fail(err, CVS_E_ARGUMENT, "this model has no weights to begin from"),
                           path);
    }
    *taken = take_by_name(p, m->graph, unfit);
    cvs_status s = CVS_OK;
    if (*taken == 0) {
        static const cvi_training plain = {0};
        *unfit = NULL;
        s = cvi_params_take(m, &plain, &other, err);
        *taken = s == CVS_OK ? take_in_order(p, &other, unfit) : 0;
        if (s == CVS_OK && *taken == 0) {
            s = cvi_at_file(
                err,
                cvi_fail(err, CVS_E_SHAPE,
                         "no parameter of this model has the name or the shape of one that is trained"),
                path);
        }
    }
    cvs_model_free(m); /* before the parameters that its constants point to */
    cvi_params_free(&other);
    return s;
}

/* SPDX-License-Identifier: MIT
 * init.c - weights for a model that has none: each constant without data is filled by what its readers use it for. Kernels by an
 * initialiser, He et al. 2015 (normal, variance 2 / fan-in) where nobody chose another; 0 for bias, shift, mean; 1 for scale, variance.
 */
#include <math.h>

#include "ops/op.h"

/* The node of the first known operator that reads each value, -1 = none; owned. */
static int *first_readers(const cvi_graph *g) {
    int *reader = cvi_calloc((size_t)g->n_values + 1, sizeof *reader);
    for (int v = 0; reader && v < g->n_values; v++) {
        reader[v] = -1;
    }
    for (int n = g->n_nodes - 1; reader && n >= 0; n--) {
        for (int k = 0; g->nodes[n].def && k < g->nodes[n].n_in; k++) {
            if (g->nodes[n].in[k] >= 0) {
                reader[g->nodes[n].in[k]] = n;
            }
        }
    }
    return reader;
}

/* The role that the first operator reading the value gives it; *node is that operator's node. */
static cvi_role role_of(const cvi_graph *g, const int *reader, int v, const cvi_node **node) {
    *node = reader[v] >= 0 ? &g->nodes[reader[v]] : NULL;
    for (int k = 0; *node && k < (*node)->n_in; k++) {
        if ((*node)->in[k] == v) {
            const cvi_op *op = (*node)->def;
            return k < op->n_inputs ? op->inputs[k].role : op->inputs[op->n_inputs - 1].role;
        }
    }
    return CVI_DATA;
}

/* ---- initialisers --------------------------------------------------------------------------------------- */

typedef enum fan { FAN_NONE, FAN_IN, FAN_OUT, FAN_MEAN } fan;
typedef enum shape { NORMAL, TRUNCATED, UNIFORM } shape;

/* The variance is scale / fan; without a fan the settings say it. */
static const struct {
    const char *name;
    shape shape;
    fan fan;
    double scale;
    const char *key; /* the setting, without a fan */
    double initial;
    bool biases; /* PyTorch's layers draw them like their weights */
} known[] = {
    {"he_normal", NORMAL, FAN_IN, 2, NULL, 0, false},
    {"he_uniform", UNIFORM, FAN_IN, 2, NULL, 0, false},
    {"he_truncated", TRUNCATED, FAN_IN, 2, NULL, 0, false},
    {"glorot_normal", NORMAL, FAN_MEAN, 1, NULL, 0, false},
    {"glorot_uniform", UNIFORM, FAN_MEAN, 1, NULL, 0, false},
    {"glorot_truncated", TRUNCATED, FAN_MEAN, 1, NULL, 0, false},
    {"lecun_normal", NORMAL, FAN_IN, 1, NULL, 0, false},
    {"lecun_uniform", UNIFORM, FAN_IN, 1, NULL, 0, false},
    {"lecun_truncated", TRUNCATED, FAN_IN, 1, NULL, 0, false},
    {"torch", UNIFORM, FAN_IN, 1.0 / 3, NULL, 0, true},
    {"normal", NORMAL, FAN_NONE, 0, "deviation", 0.05, false},
    {"truncated", TRUNCATED, FAN_NONE, 0, "deviation", 0.05, false},
    {"uniform", UNIFORM, FAN_NONE, 0, "within", 0.05, false},
    {"constant", NORMAL, FAN_NONE, 0, "value", 0, false},
};
enum { CONSTANT = CVI_COUNT(known) - 1 };

bool cvi_initialiser_find(const char *name, cvi_initialiser *out) {
    for (int i = 0; i < CVI_COUNT(known); i++) {
        if (strcmp(known[i].name, name) == 0) {
            *out = (cvi_initialiser){i, known[i].initial, known[i].key};
            return true;
        }
    }
    return false;
}

const char *cvi_initialiser_names(char *text, size_t size) {
    size_t used = 0;
    text[0] = 0;
    for (int i = 0; i < CVI_COUNT(known); i++) {
        int n = snprintf(text + used, size - used, "%s%s", i ? ", " : "", known[i].name);
        used = CVI_MIN(used + (size_t)CVI_MAX(n, 0), size - 1);
    }
    return text;
}

typedef struct fans {
    double in, out;
} fans;

/* Inputs that one output sums over, and outputs that one input goes into. Kernels are [K,C/groups,R,S...]; a dense one is [in,out] unless
 * transB says [out,in]; a recurrent one [directions,out,in]. */
static fans fans_of(const cvs_tensor *t, const cvi_node *node) {
    double total = (double)cvs_tensor_count(t);
    if (t->rank < 2 || t->dim[0] == 0 || t->dim[1] == 0) {
        return (fans){1, 1};
    }
    if (t->rank == 2 && node && !cvi_node_int(node, "transB", 0)) {
        return (fans){(double)t->dim[0], (double)t->dim[1]};
    }
    if (t->rank == 3 && node && node->def && (node->def->flags & CVI_OP_RECURRENT)) {
        return (fans){(double)t->dim[2], (double)t->dim[1]};
    }
    return (fans){total / (double)t->dim[0], total / (double)t->dim[1]};
}

/* Keras counts the kernel [R,S,C,M] of a depthwise convolution, ours [C*M,1,R,S], like any other: R S C in, R S M out. */
static fans keras_fans_of(const cvs_tensor *t, const cvi_node *node) {
    double group = node && t->rank > 2 ? (double)cvi_node_int(node, "group", 1) : 1;
    fans f = fans_of(t, node);
    bool depthwise = group > 1 && t->dim[1] == 1;
    double field = t->rank > 2 ? (double)cvs_tensor_count(t) / (double)(t->dim[0] * t->dim[1]) : 1;
    return depthwise ? (fans){field * group, field * (double)t->dim[0] / group} : f;
}

/* The deviation of a normal distribution, cut at two of them (then widened so that what is left has it), or the half width of a uniform one. */
static double width_of(const cvi_initialiser *how, bool keras, const cvs_tensor *t, const cvi_node *node) {
    fans f = keras ? keras_fans_of(t, node) : fans_of(t, node);
    fan by = known[how->kind].fan;
    double inputs = by == FAN_IN ? f.in : by == FAN_OUT ? f.out : (f.in + f.out) / 2;
    if (by == FAN_NONE) {
        return how->value;
    }
    double deviation = sqrt(known[how->kind].scale / (inputs > 0 ? inputs : 1));
    switch (known[how->kind].shape) {
    case UNIFORM:
        return deviation * sqrt(3);
    case TRUNCATED:
        return deviation / 0.87962566103423978;
    default:
        return deviation;
    }
}

/* ---- filling -------------------------------------------------------------------------------------------- */

/* Every number is drawn by its own index: whoever draws it, it is the same. */
typedef struct drawing {
    float *data;
    int64_t n;
    uint64_t seed, purpose;
    shape shape;
    double width;
} drawing;

enum {
    DRAWN = 1 << 14,
    TRIES = 64
}; /* numbers a chunk; a normal one is beyond two deviations one time in 22 */

static double draw_one(const drawing *d, uint64_t i) {
    if (d->shape == UNIFORM) {
        return d->width * (2 * cvi_random_uniform(d->seed, d->purpose, i) - 1);
    }
    double v = cvi_random_normal(d->seed, d->purpose, i);
    for (uint64_t k = 1; d->shape == TRUNCATED && k < TRIES && fabs(v) > 2; k++) {
        v = cvi_random_normal(d->seed, d->purpose, i + (k << 48));
    }
    return d->width * v;
}

static void draw(void *context, int64_t chunk, int worker) {
    (void)worker;
    const drawing *d = context;
    int64_t end = (chunk + 1) * DRAWN < d->n ? (chunk + 1) * DRAWN : d->n;
    for (int64_t i = chunk * DRAWN; i < end; i++) {
        d->data[i] = (float)draw_one(d, (uint64_t)i);
    }
}

typedef struct filling {
    cvs_model *model;
    cvi_pool *pool;
    uint64_t seed;
    const cvi_init *init;
    const int *reader; /* first_readers */
    cvs_error *err;
} filling;

static cvi_initialiser choose(const filling *f, const char *name) {
    static const cvi_initialiser he = {0, 0, NULL};
    return f->init && f->init->choose ? f->init->choose(f->init->context, name) : he;
}

/* The kernel that a bias stands beside. */
static const cvs_tensor *weight_beside(const cvi_graph *g, const cvi_node *node, const char **name) {
    for (int k = 0; node && node->def && k < node->n_in && k < node->def->n_inputs; k++) {
        if (node->in[k] >= 0 && node->def->inputs[k].role == CVI_WEIGHT) {
            *name = g->values[node->in[k]].name;
            return g->values[node->in[k]].constant;
        }
    }
    return NULL;
}

static void fill_numbers(const filling *f, int v, const cvs_tensor *t, float *data) {
    const cvi_graph *g = f->model->graph;
    const cvi_node *node;
    cvi_role role = role_of(g, f->reader, v, &node);
    const char *name = g->values[v].name;
    const cvs_tensor *kernel = role == CVI_BIAS ? weight_beside(g, node, &name) : t;
    cvi_initialiser how = choose(f, name);
    int64_t n = cvs_tensor_count(t);
    bool drawn =
        role == CVI_WEIGHT || role == CVI_DATA || (role == CVI_BIAS && kernel && known[how.kind].biases);
    if (drawn && how.kind != CONSTANT) {
        drawing d = {data,
                     n,
                     f->seed,
                     (uint64_t)v,
                     known[how.kind].shape,
                     width_of(&how, f->init && f->init->keras, kernel, node)};
        cvi_pool_run(f->pool, (n + DRAWN - 1) / DRAWN, draw, &d);
        return;
    }
    double start = node && node->def && node->def->scale_start > 0 ? node->def->scale_start : 1;
    double all = role == CVI_SCALE ? start : role == CVI_VARIANCE ? 1 : drawn ? how.value : 0;
    for (int64_t i = 0; i < n; i++) {
        data[i] = (float)all;
    }
}

static cvs_status fill(const filling *f, int v) {
    cvi_graph *g = f->model->graph;
    cvs_tensor t = *g->values[v].constant;
    int64_t n = cvs_tensor_count(&t);
    if (n <= 0 || t.dtype != CVS_F32) {
        return n < 0 ? cvi_fail(f->err, CVS_E_SHAPE, "constant %.100s has a wrong shape", g->values[v].name)
                     : CVS_OK;
    }
    float *data = cvi_arena_alloc(f->model->arena, n, sizeof *data);
    cvs_tensor *copy = cvi_arena_alloc(f->model->arena, 1, sizeof *copy);
    if (!data || !copy) {
        return cvi_no_memory(f->err, (size_t)n * sizeof *data);
    }
    fill_numbers(f, v, &t, data);
    t.data = data;
    t.bytes = (size_t)n * sizeof *data;
    *copy = t;
    g->values[v].constant = copy;
    return CVS_OK;
}

cvs_status cvi_ops_init_by(cvs_model *model, uint64_t seed, const cvi_init *init, cvs_error *err) {
    cvi_graph *g = model->graph;
    int *reader = first_readers(g);
    filling f = {model, cvi_pool_new(0), seed, init, reader, err}; /* no pool: this thread draws alone */
    cvs_status s = reader ? CVS_OK : cvi_no_memory(err, (size_t)g->n_values * sizeof *reader);
    for (int v = 0; v < g->n_values && s == CVS_OK; v++) {
        const cvs_tensor *t = g->values[v].constant;
        if (t && !t->data && cvs_tensor_count(t) != 0) {
            s = fill(&f, v);
        }
    }
    cvi_pool_free(f.pool);
    cvi_free(reader);
    model->has_weights = model->has_weights || s == CVS_OK;
    return s;
}

cvs_status cvi_ops_init_weights(cvs_model *model, uint64_t seed, cvs_error *err) {
    return cvi_ops_init_by(model, seed, NULL, err);
}

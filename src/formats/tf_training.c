/* SPDX-License-Identifier: MIT
 * tf_training.c - graphs of TensorFlow 1 as a Saver keeps them: the network and, around it, losses, gradients, optimizers, summaries and what
 * saves it all. What an answer needs is found: outputs that come from an input and lead to no training, dropout off, normalisation by
 * the statistics that training kept, switches of training set to no.
 */
#include "formats/tf_saved.h"

#include <ctype.h>

enum { BANNED = 1, REACHED = 2, READ = 4, READ_BY_ALL = 8 };

static int node_of(const tf_body *body, const char *ref) {
    return cvi_tf_find(body, ref, strcspn(ref, ":"));
}

static bool begins(const char *text, const char *with) {
    return strncmp(text, with, strlen(with)) == 0;
}

/* Whether a word stands in a text, capitals or not. */
static bool mentions(const char *text, const char *word) {
    size_t n = strlen(word);
    for (; *text; text++) {
        size_t i = 0;
        while (i < n && tolower((unsigned char)text[i]) == word[i]) {
            i++;
        }
        if (i == n) {
            return true;
        }
    }
    return false;
}

/* Whether one of the scopes that a node's name is made of begins so. */
static bool in_scope(const char *name, const char *scope) {
    for (const char *p = name; p; p = strchr(p, '/') ? strchr(p, '/') + 1 : NULL) {
        if (begins(p, scope) && strchr(p, '/')) {
            return true;
        }
    }
    return false;
}

/* ---- a network in evaluation ---- */

static bool is_input(const tf_node *n) {
    return begins(n->op, "Placeholder");
}

static bool is_scalar(const tf_node *n) {
    const tf_attr *shape = cvi_tf_attr(n, "shape");
    return shape && shape->has_shape && shape->rank == 0;
}

static cvs_status set_attr(cvi_open *open, tf_node *n, tf_attr attr) {
    tf_attr *more = cvi_arena_alloc(open->model->arena, n->n_attr + 1, sizeof *more);
    if (!more) {
        return cvi_no_memory(open->err, sizeof *more);
    }
    more[0] = attr; /* of two the first counts */
    if (n->n_attr > 0) {
        memcpy(more + 1, n->attr, (size_t)n->n_attr * sizeof *more);
    }
    n->attr = more;
    n->n_attr++;
    return CVS_OK;
}

/* Makes a node a constant of one number. */
static cvs_status become(cvi_open *open, tf_node *n, cvs_dtype type, double number) {
    cvi_arena *a = open->model->arena;
    cvs_tensor *t = cvi_arena_alloc(a, 1, sizeof *t);
    void *data = cvi_arena_alloc(a, 1, 8);
    if (!t || !data) {
        return cvi_no_memory(open->err, 0);
    }
    *t = (cvs_tensor){.dtype = type, .data = data, .bytes = cvs_dtype_size(type)};
    if (type == CVS_BOOL) {
        *(uint8_t *)data = number != 0;
    } else {
        *(float *)data = (float)number;
    }
    n->op = "Const";
    n->n_in = 0;
    return set_attr(open, n, (tf_attr){.name = "value", .tensor = t});
}

/* Inputs that switch: whether it trains (no), how much a dropout keeps (all). */
static cvs_status set_switch(cvi_open *open, tf_node *n, int *set) {
    cvs_dtype type = cvi_tf_type(cvi_tf_attr_int(n, "dtype", 1));
    bool keeps = mentions(n->name, "keep"), drops = mentions(n->name, "drop");
    if (!is_input(n) || (type != CVS_BOOL && (type != CVS_F32 || (!keeps && !drops)))) {
        return CVS_OK;
    }
    if (type == CVS_F32 && !is_scalar(n) && cvi_tf_attr(n, "shape") && cvi_tf_attr(n, "shape")->rank > 0) {
        return CVS_OK;
    }
    ++*set;
    return become(open, n, type, type == CVS_F32 && keeps ? 1 : 0);
}

/* Whether a node's numbers come from a random one within a few steps. */
static bool is_random(const tf_body *body, int n, int steps) {
    const tf_node *node = n >= 0 ? &body->node[n] : NULL;
    if (!node || begins(node->op, "Random")) {
        return node != NULL;
    }
    for (int k = 0; k < node->n_in && k < 2 && steps > 0; k++) {
        if (is_random(body, node_of(body, node->in[k]), steps - 1)) {
            return true;
        }
    }
    return false;
}

/* x / keep * mask, or x * scale * mask, or one that chooses between them and 0, whose mask is random: becomes x. */
static void drop_dropout(const tf_body *body, tf_node *n) {
    static const char *const products[] = {"RealDiv", "Div", "Mul"};
    bool mul = strcmp(n->op, "Mul") == 0 && n->n_in == 2, select = begins(n->op, "Select") && n->n_in == 3;
    int scaled = mul ? node_of(body, n->in[0]) : select ? node_of(body, n->in[1]) : -1;
    int mask = mul ? node_of(body, n->in[1]) : select ? node_of(body, n->in[0]) : -1;
    bool masks = mask >= 0 && (select || strcmp(body->node[mask].op, "Floor") == 0 ||
                               strcmp(body->node[mask].op, "Cast") == 0);
    if (scaled < 0 || !masks || !is_random(body, mask, 6)) {
        return;
    }
    const tf_node *x = &body->node[scaled];
    for (int i = 0; i < CVI_COUNT(products) && x->n_in == 2; i++) {
        if (strcmp(x->op, products[i]) == 0) {
            n->in[0] = x->in[0];
            n->n_in = 1;
            n->op = "Identity";
            return;
        }
    }
}

/* The variable that a reference reads, through nodes that hand it on; -1. */
static int variable_of(const tf_body *body, const char *ref) {
    int n = node_of(body, ref);
    for (int hops = 0; hops < 4 && n >= 0; hops++) {
        const tf_node *node = &body->node[n];
        bool passes = begins(node->op, "Identity") || strcmp(node->op, "ReadVariableOp") == 0;
        if (!passes || node->n_in == 0) {
            return n;
        }
        n = node_of(body, node->in[0]);
    }
    return -1;
}

/* Normalisation by the batch: by the averages that stand beside its shift ("bn/beta": "bn/moving_mean"). */
static cvs_status keep_averages(cvi_open *open, const tf_body *body, tf_node *n, int *set) {
    static const char *const averages[] = {"moving_mean", "moving_variance"};
    const char *names[2] = {NULL, NULL};
    bool training = begins(n->op, "FusedBatchNorm") && n->n_in == 5 && cvi_tf_attr_int(n, "is_training", 1);
    int beta = training ? variable_of(body, n->in[2]) : -1;
    const char *name = beta >= 0 ? body->node[beta].name : "", *slash = strrchr(name, '/');
    for (int i = 0; i < 2 && slash; i++) {
        names[i] = cvi_arena_printf(open->model->arena, "%.*s/%s", (int)(slash - name), name, averages[i]);
        if (!names[i]) {
            return cvi_no_memory(open->err, 0);
        }
        if (cvi_tf_find(body, names[i], strlen(names[i])) < 0) {
            return CVS_OK;
        }
    }
    if (!slash) {
        return CVS_OK;
    }
    n->in[3] = names[0];
    n->in[4] = names[1];
    ++*set;
    return set_attr(open, n, (tf_attr){.name = "is_training"});
}

/* ---- outputs ---- */

static bool is_training(const tf_node *n) {
    static const char *const begin[] = {"Apply",      "ResourceApply", "SparseApply", "Assign",
                                        "Save",       "Restore",       "MergeV2",     "ScatterUpdate",
                                        "ScatterAdd", "ScatterSub",    "InTopK",      "L2Loss"};
    static const char *const inside[] = {"Summary", "CrossEntropy", "Grad", "Queue"};
    static const char *const scopes[] = {"gradients", "save", "AssignMovingAvg", "ExponentialMovingAverage"};
    static const char *const targets[] = {"label", "target", "ground_truth", "y_true"};
    bool found = strcmp(n->op, "Equal") == 0;
    for (int i = 0; i < CVI_COUNT(begin); i++) {
        found |= begins(n->op, begin[i]);
    }
    for (int i = 0; i < CVI_COUNT(inside); i++) {
        found |= strstr(n->op, inside[i]) != NULL;
    }
    for (int i = 0; i < CVI_COUNT(scopes); i++) {
        found |= in_scope(n->name, scopes[i]);
    }
    for (int i = 0; i < CVI_COUNT(targets) && is_input(n); i++) {
        found |= mentions(n->name, targets[i]);
    }
    return found;
}

/* Hands marks on to all that reads a node, until nothing changes: once or twice, as TensorFlow writes nodes in order. */
static void spread(const tf_body *body, uint8_t *mark) {
    const int64_t most = 20000000 / CVI_MAX(body->n, 1) + 2;
    bool more = true;
    for (int64_t pass = 0; pass < most && more; pass++) {
        more = false;
        for (int i = 0; i < body->n; i++) {
            const tf_node *n = &body->node[i];
            uint8_t now = mark[i];
            for (int k = 0; k < n->n_in; k++) {
                int from = node_of(body, n->in[k]);
                now |= from >= 0 ? mark[from] & (BANNED | REACHED) : 0;
            }
            more |= now != mark[i];
            mark[i] = now;
        }
    }
}

static bool is_plain(uint8_t mark) {
    return (mark & (BANNED | REACHED)) == REACHED;
}

/* Names that people give answers. */
static bool is_answer(const tf_node *n) {
    static const char *const words[] = {"softmax", "prob",  "predict", "output",
                                        "sigmoid", "logit", "heatmap"};
    const char *slash = strrchr(n->name, '/'), *last = slash ? slash + 1 : n->name;
    for (int i = 0; i < CVI_COUNT(words); i++) {
        if (mentions(last, words[i])) {
            return true;
        }
    }
    return false;
}

static cvs_status choose(cvi_open *open, const tf_body *body, const uint8_t *mark, tf_port **out, int *n) {
    *out = cvi_arena_alloc(open->model->arena, CVI_MAX(body->n, 1), sizeof **out);
    if (!*out) {
        return cvi_no_memory(open->err, 0);
    }
    /* answers by name; else what nobody reads; else what only the training reads */
    for (int round = 0; round < 3 && *n == 0; round++) {
        for (int i = 0; i < body->n; i++) {
            const tf_node *node = &body->node[i];
            bool last = is_plain(mark[i]) && !(mark[i] & READ) && !is_input(node) && node->n_in > 0;
            if (last && (round == 2 || (round == 0 ? is_answer(node) : !(mark[i] & READ_BY_ALL)))) {
                (*out)[(*n)++] = (tf_port){.key = node->name, .name = node->name};
            }
        }
    }
    return CVS_OK;
}

cvs_status cvi_tf_inference(cvi_open *open, tf_graphdef *g, tf_port **out, int *n) {
    tf_body *body = &g->main;
    int set = 0;
    uint8_t *mark = cvi_arena_alloc(open->model->arena, CVI_MAX(body->n, 1), sizeof *mark);
    *n = 0;
    if (!mark) {
        return cvi_no_memory(open->err, (size_t)body->n);
    }
    for (int i = 0; i < body->n; i++) {
        CVI_TRY(set_switch(open, &body->node[i], &set));
        drop_dropout(body, &body->node[i]);
        CVI_TRY(keep_averages(open, body, &body->node[i], &set));
    }
    for (int i = 0; i < body->n; i++) {
        bool training = is_training(&body->node[i]);
        mark[i] = (uint8_t)((training ? BANNED : 0) | (is_input(&body->node[i]) && !training ? REACHED : 0));
    }
    spread(body, mark);
    for (int i = 0; i < body->n; i++) {
        const tf_node *node = &body->node[i];
        for (int k = 0; k < node->n_in; k++) {
            int from = node_of(body, node->in[k]);
            if (from >= 0) {
                mark[from] |= (uint8_t)(READ_BY_ALL | (is_plain(mark[i]) ? READ : 0));
            }
        }
    }
    CVI_TRY(choose(open, body, mark, out, n));
    if (*n == 0) {
        return cvi_fail(open->err, CVS_E_UNSUPPORTED, "no input of the graph leads to an answer");
    }
    return set == 0 || cvi_model_note(open->model, "the graph trains too: dropout is off here, and "
                                                   "normalisation uses the statistics of training")
               ? CVS_OK
               : cvi_no_memory(open->err, 0);
}

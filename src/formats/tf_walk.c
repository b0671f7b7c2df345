/* SPDX-License-Identifier: MIT
 * tf_walk.c - builds the model's graph from a TensorFlow graph: backwards from the outputs, each operation once, functions written out
 * where they are called. A walk keeps its own stack, so that no file can exhaust the program's; calls nest to a limit.
 */
#include "formats/tf_graph.h"

#include <stdlib.h>

enum { MAX_MADE = 1 << 21, MAX_CALLS = 64, MAX_OUT = 1 << 16, MAX_BOX_OUT = 64 };

typedef struct result {
    cvi_tf_tensor *out;
    int n;
} result;

struct tf_scope {
    const tf_body *body;
    const tf_function *fn; /* NULL: the main graph */
    cvi_tf_tensor **args;
    int n_args;
    result *made;
    uint8_t *state; /* per node: 0 = not yet, 1 = being made, 2 = made */
    int *stack, *next;
    uint8_t *
        read; /* per node: how many of its outputs the graph reads, at most MAX_BOX_OUT; NULL: not counted yet */
};

/* ---- references ---- */

typedef struct ref {
    int node, arg; /* one of them, the other -1 */
    int out;
} ref;

/* Outputs that have names of their own: in functions they are referred to by these. */
static int base_output(const char *op, const char *name, size_t n) {
    static const struct {
        const char *op, *name;
        int at;
    } rows[] = {{"TopKV2", "indices", 1},
                {"Switch", "output_true", 1},
                {"Merge", "value_index", 1},
                {"FusedBatchNormV3", "batch_mean", 1},
                {"Unique", "idx", 1},
                {"FusedBatchNorm", "batch_mean", 1},
                {"TopK", "indices", 1},
                {"NonMaxSuppressionV4", "valid_outputs", 1},
                {"NonMaxSuppressionV5", "selected_scores", 1},
                {"NonMaxSuppressionV5", "valid_outputs", 2}};
    for (int i = 0; i < CVI_COUNT(rows); i++) {
        if (strcmp(rows[i].op, op) == 0 && strlen(rows[i].name) == n && strncmp(rows[i].name, name, n) == 0) {
            return rows[i].at;
        }
    }
    return 0;
}

/* "name", "name:1", "name:output:0"; false: nothing is called so. */
static bool find(const tf_scope *s, const char *text, ref *r) {
    const char *colon = strchr(text, ':'), *second = colon ? strchr(colon + 1, ':') : NULL;
    size_t n = colon ? (size_t)(colon - text) : strlen(text);
    *r = (ref){.node = cvi_tf_find(s->body, text, n), .arg = -1};
    for (int i = 0; s->fn && r->node < 0 && i < s->n_args && i < s->fn->n_args; i++) {
        const char *a = s->fn->args[i];
        r->arg = strlen(a) == n && strncmp(a, text, n) == 0 ? i : r->arg;
    }
    if (r->node < 0 && r->arg < 0) {
        return false;
    }
    long at = colon ? strtol((second ? second : colon) + 1, NULL, 10) : 0;
    r->out = at < 0 || at > MAX_OUT ? MAX_OUT : (int)at;
    if (second && r->node >= 0) {
        r->out += base_output(s->body->node[r->node].op, colon + 1, (size_t)(second - colon - 1));
    }
    return true;
}

static bool resolve(tf_net *m, const tf_scope *s, const char *text, ref *r) {
    bool found = find(s, text, r);
    if (!found) {
        cvi_build_set(&m->t.b, cvi_fail(m->t.b.err, CVS_E_FORMAT,
                                        "input %.100s is made by no node of the graph", text));
    }
    return found;
}

static cvi_tf_tensor *value_of(tf_net *m, const tf_scope *s, const ref *r) {
    if (r->arg >= 0) {
        return s->args[r->arg];
    }
    const result *made = &s->made[r->node];
    if (r->out >= made->n) {
        cvi_build_set(&m->t.b, cvi_fail(m->t.b.err, CVS_E_FORMAT, "node %.100s has no output %d",
                                        s->body->node[r->node].name, r->out));
        return NULL;
    }
    return &made->out[r->out];
}

/* ---- one operation ---- */

cvi_tf_tensor *cvi_tf_node_in(tf_net *m, int k) {
    return k >= 0 && k < m->n_in ? m->in[k] : NULL;
}

int cvi_tf_node_ints(tf_net *m, int k, int max, int64_t *out) {
    cvi_tf_tensor *x = cvi_tf_node_in(m, k);
    return x ? cvi_tf_ints(&m->t, x, max, out) : -1;
}

void cvi_tf_node_put(tf_net *m, int k, cvi_tf_tensor value) {
    if (!cvi_build_ok(&m->t.b)) {
        return;
    }
    if (k >= m->cap_out) {
        int cap = k < MAX_OUT ? CVI_MAX(4, 2 * k) : -1;
        cvi_tf_tensor *more = cvi_arena_alloc(m->t.b.model->arena, cap, sizeof *more);
        if (!more) {
            cvi_build_no_memory(&m->t.b, 0);
            return;
        }
        for (int i = 0; i < cap; i++) {
            more[i] = i < m->n_out ? m->out[i] : cvi_tf_none();
        }
        m->out = more;
        m->cap_out = cap;
    }
    cvi_tf_fold(&m->t, &value);
    m->out[k] = value;
    m->n_out = CVI_MAX(m->n_out, k + 1);
}

bool cvi_tf_node_variable(tf_net *m, const char *name) {
    cvs_tensor t = {0};
    bool found = false;
    if (m->lookup) {
        cvs_status s = m->lookup(m->context, name, &t, &found);
        cvi_build_set(&m->t.b, s);
    }
    if (found && cvi_build_ok(&m->t.b)) {
        const char *own = cvi_build_name(&m->t.b, "%s", name);
        cvi_tf_node_put(m, 0, cvi_tf_constant(own, &t));
    }
    return found;
}

/* Counts for every node of the graph how many of its outputs are read, or how many it says that it has. */
static bool count_outputs(tf_net *m, tf_scope *s) {
    s->read = cvi_arena_alloc(m->t.b.model->arena, CVI_MAX(s->body->n, 1), sizeof *s->read);
    if (!s->read) {
        cvi_build_no_memory(&m->t.b, (size_t)s->body->n);
        return false;
    }
    for (int i = 0; i < s->body->n; i++) {
        const tf_node *node = &s->body->node[i];
        int64_t told = cvi_tf_attr_int(node, "num_split", cvi_tf_attr_int(node, "num", 1));
        s->read[i] = (uint8_t)CVI_MAX(s->read[i], CVI_MAX(1, CVI_MIN(told, MAX_BOX_OUT)));
        for (int k = 0; k < node->n_in; k++) {
            ref r;
            if (strchr(node->in[k], ':') && find(s, node->in[k], &r) && r.node >= 0 && r.out < MAX_BOX_OUT) {
                s->read[r.node] = (uint8_t)CVI_MAX(s->read[r.node], r.out + 1);
            }
        }
    }
    return true;
}

static int outputs_read(tf_net *m, tf_scope *s, int node) {
    return s->read || count_outputs(m, s) ? s->read[node] : 1;
}

static void make_box(tf_net *m, tf_scope *s, int node, const char *why) {
    int n_out = outputs_read(m, s, node), n = 0;
    cvi_tf_tensor out[MAX_BOX_OUT],
        **in = cvi_arena_alloc(m->t.b.model->arena, CVI_MAX(m->n_in, 1), sizeof *in);
    if (!in) {
        cvi_build_no_memory(&m->t.b, 0);
        return;
    }
    for (int k = 0; k < m->n_in; k++) { /* resources and texts have no value */
        cvi_tf_tensor *x = m->in[k];
        if (x && (cvi_tf_is_constant(x) || x->form[0] >= 0 || x->form[1] >= 0)) {
            in[n++] = x;
        }
    }
    for (int k = 0; k < n_out; k++) {
        out[k] = cvi_tf_none();
    }
    cvi_tf_box(&m->t, n, in, n_out, out, why);
    for (int k = 0; k < n_out; k++) {
        cvi_tf_node_put(m, k, out[k]);
    }
}

/* A value on a branch that is never taken (the false side of a Switch). */
static bool is_dead(const cvi_tf_tensor *x) {
    return x && x->rank == -2;
}

static bool any_dead(const tf_net *m) {
    for (int k = 0; k < m->n_in; k++) {
        if (is_dead(m->in[k])) {
            return true;
        }
    }
    return false;
}

static void run_maker(tf_net *m, tf_scope *s, int n) {
    const tf_maker *maker = cvi_tf_maker(m->node->op);
    int nodes = m->t.b.g->n_nodes;
    if (any_dead(m) && strcmp(m->node->op, "Merge") != 0) {
        cvi_tf_tensor dead = cvi_tf_none();
        dead.rank = -2;
        for (int k = outputs_read(m, s, n) - 1; k >= 0; k--) {
            cvi_tf_node_put(m, k, dead);
        }
        return;
    }
    if (m->refused) { /* one of its inputs comes round a loop */
        cvi_tf_tensor none = cvi_tf_none();
        cvi_tf_node_put(m, 0, none);
    } else if (maker) {
        maker->make(m);
    } else if (cvi_tf_function(m->g, m->node->op)) {
        cvi_tf_call(m, m->node->op, 0);
    } else {
        m->refused = "this operator is not known: it is drawn, but not run";
    }
    bool cannot = m->t.b.status == CVS_E_UNSUPPORTED;
    if (cannot || (m->refused && cvi_build_ok(&m->t.b))) {
        m->t.b.status = CVS_OK;
        cvi_error_clear(m->t.b.err);
        if (!m->keep) {
            m->t.b.g->n_nodes = nodes;
            m->t.shapes.inferred = CVI_MIN(m->t.shapes.inferred, nodes);
        }
        m->n_out = 0;
        m->t.name = m->node->name;
        make_box(m, s, n, m->refused ? m->refused : "this form of the operator is not run");
    }
}

/* What a loop of TensorFlow 1 hands to its next turn: its Merge reads a NextIteration that is made of the Merge. */
static bool comes_round(const tf_scope *s, int node, const ref *r) {
    return r->node >= 0 && strcmp(s->body->node[node].op, "Merge") == 0 &&
           strcmp(s->body->node[r->node].op, "NextIteration") == 0;
}

static void make_node(tf_net *m, tf_scope *s, int n) {
    const tf_node *node = &s->body->node[n];
    cvi_arena *a = m->t.b.model->arena;
    bool looped = false;
    if (++m->made > MAX_MADE) {
        cvi_build_set(&m->t.b, cvi_fail(m->t.b.err, CVS_E_LIMIT,
                                        "more than %d operations, functions written out", (int)MAX_MADE));
        return;
    }
    m->node = node;
    m->n_in = node->n_in;
    m->in = cvi_arena_alloc(a, CVI_MAX(node->n_in, 1), sizeof *m->in);
    if (!m->in) {
        cvi_build_no_memory(&m->t.b, 0);
        return;
    }
    m->t.name = node->name;
    m->t.type = node->op;
    for (int k = 0; k < node->n_in && cvi_build_ok(&m->t.b); k++) {
        ref r;
        bool found = resolve(m, s, node->in[k], &r), back = found && comes_round(s, n, &r);
        m->in[k] = found && !back ? value_of(m, s, &r) : NULL;
        looped |= back;
    }
    m->out = NULL;
    m->n_out = m->cap_out = 0;
    m->keep = false;
    m->refused = looped ? "loops are drawn where they begin, but not run" : NULL;
    if (cvi_build_ok(&m->t.b)) {
        run_maker(m, s, n);
    }
    s->made[n] = (result){.out = m->out, .n = m->n_out};
}

/* ---- the walk ---- */

static bool open_scope(tf_net *m, tf_scope *s) {
    cvi_arena *a = m->t.b.model->arena;
    int n = CVI_MAX(s->body->n, 1);
    s->made = cvi_arena_alloc(a, n, sizeof *s->made);
    s->state = cvi_arena_alloc(a, n, sizeof *s->state);
    s->stack = cvi_arena_alloc(a, n, sizeof *s->stack);
    s->next = cvi_arena_alloc(a, n, sizeof *s->next);
    if (!s->made || !s->state || !s->stack || !s->next) {
        cvi_build_no_memory(&m->t.b, (size_t)n * sizeof *s->made);
    }
    return cvi_build_ok(&m->t.b);
}

static void need(tf_net *m, tf_scope *s, int target) {
    int depth = 0;
    if (s->state[target]) {
        return;
    }
    s->state[target] = 1;
    s->next[target] = 0;
    s->stack[depth++] = target;
    while (depth > 0 && cvi_build_ok(&m->t.b)) {
        int n = s->stack[depth - 1];
        const tf_node *node = &s->body->node[n];
        if (s->next[n] >= node->n_in) {
            make_node(m, s, n);
            s->state[n] = 2;
            depth--;
            continue;
        }
        ref r;
        m->t.name = node->name;
        m->t.type = node->op;
        if (!resolve(m, s, node->in[s->next[n]++], &r) || r.node < 0 || s->state[r.node] == 2 ||
            comes_round(s, n, &r)) {
            continue;
        }
        if (s->state[r.node] == 1) {
            cvi_build_set(&m->t.b, cvi_fail(m->t.b.err, CVS_E_FORMAT,
                                            "the graph has a cycle: this node waits for its own output"));
            return;
        }
        s->state[r.node] = 1;
        s->next[r.node] = 0;
        s->stack[depth++] = r.node;
    }
}

static cvi_tf_tensor *evaluate(tf_net *m, tf_scope *s, const char *text) {
    ref r;
    if (!resolve(m, s, text, &r)) {
        return NULL;
    }
    if (r.node >= 0) {
        need(m, s, r.node);
    }
    return cvi_build_ok(&m->t.b) ? value_of(m, s, &r) : NULL;
}

void cvi_tf_call(tf_net *m, const char *function, int first) {
    const tf_function *fn = cvi_tf_function(m->g, function);
    if (!fn) {
        cvi_build_set(&m->t.b,
                      cvi_fail(m->t.b.err, CVS_E_FORMAT, "function %.100s is not in the file", function));
        return;
    }
    if (m->depth >= MAX_CALLS) {
        cvi_build_set(&m->t.b, cvi_fail(m->t.b.err, CVS_E_LIMIT,
                                        "functions call each other more than %d deep", (int)MAX_CALLS));
        return;
    }
    const tf_net saved = *m;
    tf_scope s = {.body = &fn->body,
                  .fn = fn,
                  .args = first < m->n_in ? m->in + first : NULL,
                  .n_args = CVI_MAX(m->n_in - first, 0)};
    cvi_tf_tensor *results = cvi_arena_alloc(m->t.b.model->arena, CVI_MAX(fn->n_rets, 1), sizeof *results);
    if (!results) {
        cvi_build_no_memory(&m->t.b, 0);
        return;
    }
    m->depth++;
    if (open_scope(m, &s)) {
        for (int i = 0; i < fn->n_rets && cvi_build_ok(&m->t.b); i++) {
            const cvi_tf_tensor *x = evaluate(m, &s, fn->ret_from[i]);
            results[i] = x ? *x : cvi_tf_none();
        }
    }
    m->depth--;
    m->node = saved.node;
    m->in = saved.in;
    m->n_in = saved.n_in;
    m->t.name = saved.t.name;
    m->t.type = saved.t.type;
    m->refused = NULL;
    m->out = NULL;
    m->n_out = m->cap_out = 0;
    for (int i = 0; i < fn->n_rets; i++) {
        cvi_tf_node_put(m, i, results[i]);
    }
}

/* ---- ports ---- */

static bool is_placeholder(const tf_node *n) {
    return strcmp(n->op, "Placeholder") == 0 || strcmp(n->op, "PlaceholderV2") == 0;
}

/* What a shapeless picture input is: rank 4, with the channels of the first kernel that reads it. */
static void guess_shape(const tf_body *body, const tf_node *input, int *rank, int64_t *dim) {
    *rank = 4;
    dim[0] = dim[1] = dim[2] = dim[3] = -1;
    for (int i = 0; i < body->n; i++) {
        const tf_node *n = &body->node[i];
        bool reads = n->n_in > 1 && strcmp(n->in[0], input->name) == 0;
        int kernel = reads ? cvi_tf_find(body, n->in[1], strlen(n->in[1])) : -1;
        const tf_attr *value = kernel >= 0 ? cvi_tf_attr(&body->node[kernel], "value") : NULL;
        if (value && value->tensor && value->tensor->rank == 4 && strcmp(n->op, "Conv2D") == 0) {
            dim[3] = value->tensor->dim[2];
            return;
        }
        if (value && value->tensor && value->tensor->rank == 2 && strcmp(n->op, "MatMul") == 0) {
            *rank = 2;
            dim[1] = value->tensor->dim[0];
            return;
        }
    }
}

static void add_input(tf_net *m, tf_scope *s, int n) {
    const tf_node *node = &s->body->node[n];
    const tf_attr *shape = cvi_tf_attr(node, "shape");
    int64_t dim[CVS_MAX_RANK];
    int rank = shape && shape->has_shape ? shape->rank : -1;
    if (s->state[n]) {
        return;
    }
    if (rank >= 0) {
        memcpy(dim, shape->dim, sizeof dim);
    }
    if (rank < 0 ||
        (rank == 0 && m->g->main.n > 0 && cvi_tf_type(cvi_tf_attr_int(node, "dtype", 0)) == CVS_F32)) {
        guess_shape(s->body, node, &rank, dim);
    }
    for (int i = 0; i < rank; i++) { /* old files say 0 for a free size */
        dim[i] = dim[i] == 0 ? -1 : dim[i];
    }
    m->t.name = node->name;
    m->t.type = node->op;
    m->out = NULL;
    m->n_out = m->cap_out = 0;
    cvs_dtype type = cvi_tf_type(cvi_tf_attr_int(node, "dtype", 1));
    cvi_tf_node_put(m, 0, cvi_tf_input(&m->t, node->name, type, rank, dim));
    s->made[n] = (result){.out = m->out, .n = m->n_out};
    s->state[n] = 2;
}

/* Marks what the outputs need of the main graph. */
static void reach(tf_net *m, tf_scope *s, bool *seen, int from) {
    int depth = 0;
    if (seen[from]) {
        return;
    }
    seen[from] = true;
    s->stack[depth++] = from;
    while (depth > 0 && cvi_build_ok(&m->t.b)) {
        const tf_node *node = &s->body->node[s->stack[--depth]];
        for (int k = 0; k < node->n_in; k++) {
            ref r;
            m->t.name = node->name;
            m->t.type = node->op;
            if (resolve(m, s, node->in[k], &r) && r.node >= 0 && !seen[r.node]) {
                seen[r.node] = true;
                s->stack[depth++] = r.node;
            }
        }
    }
}

static void add_output(tf_net *m, const char *name, cvi_tf_tensor *x) {
    cvi_graph *g = m->t.b.g;
    int v = cvi_tf_is_constant(x) ? -1 : cvi_tf_any(&m->t, x);
    bool again = v < 0 || g->values[v].constant;
    for (int i = 0; v >= 0 && i < g->n_inputs + g->n_outputs; i++) {
        again |= v == (i < g->n_inputs ? g->inputs[i] : g->outputs[i - g->n_inputs]);
    }
    m->t.name = name;
    m->t.type = "output";
    if (again && cvi_build_ok(&m->t.b)) {
        cvi_tf_tensor copy = cvi_tf_identity(&m->t, x);
        v = cvi_tf_any(&m->t, &copy);
    }
    if (cvi_build_ok(&m->t.b) && !cvi_graph_add_output(g, v)) {
        cvi_build_no_memory(&m->t.b, 0);
    }
}

/* Nodes that nobody reads and that answer something. */
static int find_sinks(tf_net *m, const tf_scope *s, tf_port *out) {
    static const char *const silent[] = {"Const",
                                         "NoOp",
                                         "Placeholder",
                                         "Assert",
                                         "VarHandleOp",
                                         "Variable",
                                         "VariableV2",
                                         "Assign",
                                         "SaveV2",
                                         "RestoreV2",
                                         "AssignVariableOp",
                                         "VarIsInitializedOp",
                                         "PlaceholderWithDefault",
                                         "MergeV2Checkpoints",
                                         "ReadVariableOp"};
    bool *read = cvi_arena_alloc(m->t.b.model->arena, CVI_MAX(s->body->n, 1), sizeof *read);
    int n = 0;
    if (!read) {
        cvi_build_no_memory(&m->t.b, 0);
        return 0;
    }
    for (int i = 0; i < s->body->n; i++) {
        for (int k = 0; k < s->body->node[i].n_in; k++) {
            const char *text = s->body->node[i].in[k];
            int at = cvi_tf_find(s->body, text, strcspn(text, ":"));
            if (at >= 0) {
                read[at] = true;
            }
        }
    }
    for (int i = 0; i < s->body->n; i++) {
        bool quiet = read[i];
        for (int k = 0; k < CVI_COUNT(silent); k++) {
            quiet |= strcmp(s->body->node[i].op, silent[k]) == 0;
        }
        if (!quiet) {
            out[n++] = (tf_port){.key = s->body->node[i].name, .name = s->body->node[i].name};
        }
    }
    return n;
}

cvs_status cvi_tf_walk(tf_net *m, int n_in, const tf_port *inputs, int n_out, const tf_port *outputs) {
    tf_scope s = {.body = &m->g->main};
    bool *seen = cvi_arena_alloc(m->t.b.model->arena, CVI_MAX(s.body->n, 1), sizeof *seen);
    if (!seen || !open_scope(m, &s)) {
        return cvi_no_memory(m->t.b.err, 0);
    }
    if (n_out == 0) {
        tf_port *sinks = cvi_arena_alloc(m->t.b.model->arena, CVI_MAX(s.body->n, 1), sizeof *sinks);
        if (!sinks) {
            return cvi_no_memory(m->t.b.err, 0);
        }
        n_out = find_sinks(m, &s, sinks);
        outputs = sinks;
    }
    for (int i = 0; i < n_out && cvi_build_ok(&m->t.b); i++) {
        ref r;
        if (resolve(m, &s, outputs[i].name, &r)) {
            reach(m, &s, seen, r.node);
        }
    }
    for (int i = 0; i < n_in && cvi_build_ok(&m->t.b); i++) {
        int n = cvi_tf_find(s.body, inputs[i].name, strcspn(inputs[i].name, ":"));
        if (n >= 0 && seen[n] && is_placeholder(&s.body->node[n])) {
            add_input(m, &s, n);
        }
    }
    for (int n = 0; n < s.body->n && cvi_build_ok(&m->t.b); n++) {
        if (seen[n] && is_placeholder(&s.body->node[n])) {
            add_input(m, &s, n);
        }
    }
    for (int i = 0; i < n_out && cvi_build_ok(&m->t.b); i++) {
        cvi_tf_tensor *x = evaluate(m, &s, outputs[i].name);
        if (x && !is_dead(x) && (n_out == 1 || !cvi_tf_is_constant(x)) &&
            (cvi_tf_is_constant(x) || x->form[0] >= 0 || x->form[1] >= 0)) {
            add_output(m, outputs[i].key, x);
        }
    }
    m->t.name = NULL;
    if (cvi_build_ok(&m->t.b) && m->t.b.g->n_outputs == 0) {
        cvi_build_set(&m->t.b, cvi_fail(m->t.b.err, CVS_E_FORMAT, "the file has no graph"));
    }
    return cvi_tf_finish(&m->t);
}

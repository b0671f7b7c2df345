/* SPDX-License-Identifier: MIT
 * script_recurrent.c - torch.lstm, gru, rnn_tanh, rnn_relu: one ONNX node a layer, both directions in it, with kernels put into ONNX's order
 * of gates. Layers of projected states are refused.
 */
#include "formats/script.h"
#include "graph/build.h"

enum { MOST_LAYERS = 64, MOST_GATES = 4 };

/* How torch stacks gates: order[k] is where it has ONNX's gate k. */
typedef struct cell {
    const char *name, *op;
    int gates, states, order[MOST_GATES];
} cell;
static const cell cells[] = {
    {"lstm", "LSTM", 4, 2, {0, 3, 1, 2}},
    {"gru", "GRU", 3, 1, {1, 0, 2}},
    {"rnn_tanh", "RNN", 1, 1, {0}},
    {"rnn_relu", "RNN", 1, 1, {0}},
};

/* A call, read. */
typedef struct recurrent {
    script *s;
    const cell *cell;
    int x, state[2], layers, directions,
        params; /* state: -1 begins with zeros; params of a layer and direction */
    bool biases, batch_first;
    const script_value *param;
    int64_t hidden;
} recurrent;

/* ---- kernels ------------------------------------------------------------------------------------------------------ */

/* The parameters from[0..n) behind one another as one constant of that shape, each with its gates in ONNX's order. */
static int arranged(const recurrent *r, const int *from, int n, int rank, const int64_t *dim) {
    script *s = r->s;
    const cvi_value *first = &s->g->values[from[0]];
    cvs_tensor t = {.dtype = first->constant->dtype, .rank = rank};
    memcpy(t.dim, dim, (size_t)rank * sizeof *dim);
    int64_t count = cvs_tensor_count(&t), bytes = 0;
    bool fits = cvi_mul(count, (int64_t)cvs_dtype_size(t.dtype), &bytes) && bytes > 0;
    char *name = fits ? cvi_arena_printf(s->arena, "%s.onnx", first->name) : NULL;
    int known = name ? cvi_graph_find(s->g, name) : -1;
    if (known >= 0) { /* the layer is called again */
        return known;
    }
    uint8_t *at = name ? cvi_arena_raw(s->arena, bytes) : NULL;
    t.data = at;
    t.bytes = (size_t)bytes;
    for (int i = 0; i < n && at; i++) {
        const cvs_tensor *one = s->g->values[from[i]].constant;
        if (one->dtype != t.dtype || one->bytes != t.bytes / (size_t)n) {
            cvi_script_refuse(s, r->cell->name);
            return -1;
        }
        cvi_build_parts(at + (size_t)i * one->bytes, one->data, r->cell->gates, r->cell->order,
                        one->bytes / (size_t)r->cell->gates);
    }
    cvi_script_set(s, at ? CVS_OK : fits ? cvi_no_memory(s->err, t.bytes) : CVS_E_SHAPE);
    return cvi_script_ok(s) ? cvi_script_constant(s, name, &t) : -1;
}

/* Parameter k of layer and direction as a graph's constant with numbers, or -1. */
static int param_of(const recurrent *r, int layer, int direction, int k) {
    int at = (layer * r->directions + direction) * r->params + k;
    int v = cvi_script_graph(r->s, &r->param[at]);
    bool known = v >= 0 && cvi_script_ok(r->s) && r->s->g->values[v].constant &&
                 r->s->g->values[v].constant->data && r->s->g->values[v].constant->rank >= 1;
    return known ? v : -1;
}

/* in[1..3] of a layer's node: W [D,G,I], R [D,G,H], B [D,2G]. */
static bool take_kernels(recurrent *r, int layer, int *in) {
    for (int k = 0; k < (r->biases ? 3 : 2); k++) {
        int from[4], n = 0;
        for (int d = 0; d < r->directions; d++) {
            for (int half = 0; half < (k == 2 ? 2 : 1); half++) {
                from[n++] = param_of(r, layer, d, k + half);
                if (from[n - 1] < 0) {
                    cvi_script_refuse(r->s, r->cell->name);
                    return false;
                }
            }
        }
        const cvs_tensor *t = r->s->g->values[from[0]].constant;
        if (t->rank != (k == 2 ? 1 : 2) || t->dim[0] % r->cell->gates != 0 || t->dim[0] < 1 ||
            t->dim[0] > INT32_MAX || (r->hidden > 0 && t->dim[0] != r->hidden * r->cell->gates)) {
            cvi_script_refuse(r->s, r->cell->name);
            return false;
        }
        r->hidden = t->dim[0] / r->cell->gates;
        const int64_t dim[3] = {r->directions, t->dim[0] * (k == 2 ? 2 : 1), k == 2 ? 0 : t->dim[1]};
        in[1 + k] = arranged(r, from, n, k == 2 ? 2 : 3, dim);
        if (in[1 + k] < 0) {
            return false;
        }
    }
    return true;
}

/* ---- nodes -------------------------------------------------------------------------------------------------------- */

static int transposed(script *s, int x, int n, const int64_t *perm, bool hidden) {
    script_node node = cvi_script_node(s, "Transpose", 1, &x, 1, hidden);
    cvi_script_attr_ints(s, &node, "perm", n, perm);
    return cvi_script_done(s, node).v;
}

/* The layer's part of a state [layers*D,B,H]. */
static int part_of_state(const recurrent *r, int state, int layer) {
    script *s = r->s;
    if (state < 0 || r->layers == 1) {
        return state;
    }
    const int64_t begin = layer * r->directions, end = begin + r->directions, axis = 0;
    int in[4] = {state, cvi_script_const_ints(s, 1, &begin), cvi_script_const_ints(s, 1, &end),
                 cvi_script_const_ints(s, 1, &axis)};
    script_node node = cvi_script_node(s, "Slice", 4, in, 0, true);
    return cvi_script_done(s, node).v;
}

/* Y [T,D,B,H] as torch has it: [T,B,D*H], or [B,T,D*H] behind the last of layers with batch_first. */
static int settled(const recurrent *r, int y, bool batch_first) {
    static const int64_t steps[4] = {0, 2, 1, 3}, samples[4] = {2, 0, 1, 3}, join[3] = {0, 0, -1};
    script *s = r->s;
    int in[2] = {transposed(s, y, 4, batch_first ? samples : steps, true), cvi_script_const_ints(s, 3, join)};
    script_node node = cvi_script_node(s, "Reshape", 2, in, 0, false);
    return cvi_script_done(s, node).v;
}

/* One layer: its output, and its last states in last[]. */
static int one_layer(recurrent *r, int layer, int x, int *last) {
    script *s = r->s;
    int in[7] = {x, -1, -1, -1, -1, -1, -1}, n = 4;
    if (!take_kernels(r, layer, in)) {
        return -1;
    }
    for (int k = 0; k < r->cell->states; k++) {
        in[5 + k] = part_of_state(r, r->state[k], layer);
        n = in[5 + k] >= 0 ? 6 + k : n;
    }
    bool relu = strcmp(r->cell->name, "rnn_relu") == 0, gru = r->cell->gates == 3;
    script_node node = cvi_script_nodes(s, r->cell->op, n, in, 2 + (relu || gru), 1 + r->cell->states, false);
    cvi_script_attr_int(s, &node, "hidden_size", r->hidden);
    cvi_script_attr_string(s, &node, "direction", r->directions == 2 ? "bidirectional" : "forward");
    if (gru) {
        cvi_script_attr_int(s, &node, "linear_before_reset", 1);
    }
    static const char *const functions[] = {"Relu", "Relu"};
    if (relu) {
        cvi_script_attr_strings(s, &node, "activations", r->directions, functions);
    }
    int y = cvi_script_done(s, node).v;
    for (int k = 0; k < r->cell->states && cvi_script_ok(s); k++) {
        last[k] = s->g->nodes[node.index].out[1 + k];
        s->g->values[last[k]].hidden = true;
    }
    return cvi_script_ok(s) ? settled(r, y, r->batch_first && layer == r->layers - 1) : -1;
}

static script_value all_layers(recurrent *r) {
    static const int64_t swap[3] = {1, 0, 2};
    script *s = r->s;
    int last[2][MOST_LAYERS], x = r->batch_first ? transposed(s, r->x, 3, swap, true) : r->x;
    for (int l = 0; l < r->layers && cvi_script_ok(s); l++) {
        int states[2] = {-1, -1};
        x = one_layer(r, l, x, states);
        last[0][l] = states[0];
        last[1][l] = states[1];
    }
    script_value all[3] = {cvi_script_tensor(x), cvi_script_none(), cvi_script_none()};
    for (int k = 0; k < r->cell->states && cvi_script_ok(s); k++) {
        all[1 + k] = cvi_script_tensor(last[k][0]);
        if (r->layers > 1) {
            script_node join = cvi_script_node(s, "Concat", r->layers, last[k], 1, true);
            cvi_script_attr_int(s, &join, "axis", 0);
            all[1 + k] = cvi_script_done(s, join);
        }
    }
    return cvi_script_ok(s) ? cvi_script_list(s, 1 + r->cell->states, all) : cvi_script_none();
}

/* ---- calls -------------------------------------------------------------------------------------------------------- */

/* A constant of zeros, or one spread out to the size of a batch, is what an absent first state is. */
static bool all_zero(const script *s, int v) {
    for (int n = s->g->n_nodes - 1; n >= 0 && v >= 0; n--) {
        const cvi_node *node = &s->g->nodes[n];
        if (node->n_out == 1 && node->out[0] == v && strcmp(node->op, "Expand") == 0) {
            v = node->in[0];
        }
    }
    const cvs_tensor *t = v >= 0 ? s->g->values[v].constant : NULL;
    const uint8_t *data = t ? t->data : NULL;
    for (size_t i = 0; data && i < t->bytes; i++) {
        if (data[i]) {
            return false;
        }
    }
    return data;
}

static int64_t whole(const script_args *a, int k, const char *name) {
    script_value v = cvi_script_arg(a, k, name);
    return cvi_script_whole(&v, -1);
}

/* lstm(x, [h, c], params, biases, layers, dropout, train, bidirectional, batch_first); the others have one state, h. */
static script_value recurrent_call(script *s, const script_call *row, const script_args *a) {
    const cell *c = &cells[(int)row->f];
    script_value x = cvi_script_arg(a, 0, "input"), hx = cvi_script_arg(a, 1, "hx");
    script_value params = cvi_script_arg(a, 2, "params");
    int64_t layers = whole(a, 4, "num_layers"), biases = whole(a, 3, "has_biases");
    recurrent r = {.s = s, .cell = c, .state = {-1, -1}, .biases = biases == 1};
    r.directions = whole(a, 7, "bidirectional") == 1 ? 2 : 1;
    r.batch_first = whole(a, 8, "batch_first") == 1;
    r.params = r.biases ? 4 : 2;
    bool list = hx.kind == SCRIPT_V_LIST && params.kind == SCRIPT_V_LIST && *hx.shared_n == c->states;
    bool one = c->states == 1 && params.kind == SCRIPT_V_LIST;
    bool fits = (list || one) && layers >= 1 && layers <= MOST_LAYERS && x.kind == SCRIPT_V_TENSOR;
    if (!fits || *params.shared_n != (int)layers * r.directions * r.params) {
        return cvi_script_refuse(s, a->name);
    }
    r.layers = (int)layers;
    r.param = *params.shared;
    r.x = cvi_script_graph(s, &x);
    for (int k = 0; k < c->states; k++) {
        const script_value *state = c->states == 1 && !list ? &hx : &(*hx.shared)[k];
        int v = state->kind == SCRIPT_V_TENSOR ? cvi_script_graph(s, state) : -1;
        r.state[k] = all_zero(s, v) ? -1 : v;
    }
    if (!cvi_script_ok(s) || cvi_script_rank(s, r.x) != 3) {
        return cvi_script_refuse(s, a->name);
    }
    return all_layers(&r);
}

/* A layer's last states are joined whether or not anybody reads them: takes out the joints that nobody does. */
void cvi_script_drop_states(script *s) {
    for (int n = s->g->n_nodes - 1; n >= 0 && cvi_script_ok(s); n--) {
        const cvi_node *node = &s->g->nodes[n];
        bool joint = strcmp(node->op, "Concat") == 0 && node->n_out == 1 && s->g->values[node->out[0]].hidden;
        int user;
        for (int o = 0; joint && o < s->g->n_outputs; o++) {
            joint = s->g->outputs[o] != node->out[0];
        }
        if (joint && cvi_graph_users(s->g, node->out[0], &user, 1) == 0) {
            memmove(&s->g->nodes[n], &s->g->nodes[n + 1],
                    (size_t)(s->g->n_nodes - n - 1) * sizeof *s->g->nodes);
            s->g->n_nodes--;
        }
    }
}

static const script_call rows[] = {
    {"lstm", recurrent_call, NULL, 0},
    {"gru", recurrent_call, NULL, 1},
    {"rnn_tanh", recurrent_call, NULL, 2},
    {"rnn_relu", recurrent_call, NULL, 3},
};

const script_calls cvi_script_recurrent = {rows, CVI_COUNT(rows)};

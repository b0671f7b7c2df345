/* SPDX-License-Identifier: MIT
 * units.c - filters and what depends on them: from each node with kernels along its channels to those who mix them, and every constant
 * that has a part for each filter. Nothing here names an operator: flags, roles and shapes say what a node does to channels.
 */
#include <math.h>

#include "explain/units.h"

enum { MOST_STEPS = 2000 }; /* of a walk through sums */

typedef struct walk {
    const cvi_graph *g;
    cvi_exec *exec;
    cvi_unit *u;
    bool spread; /* beyond the value that readers get: only what leaves numbers as they are may come */
    int depth;
    /* of a walk through sums (tied != NULL): [values] gone forward from, and [values] climbed up from */
    bool *tied, *climbed;
    int from; /* the value that is read, before it was joined or flattened */
} walk;

static cvi_role role_of(const cvi_node *node, int k) {
    const cvi_op *op = node->def;
    return op && op->n_inputs > 0 ? op->inputs[CVI_MIN(k, op->n_inputs - 1)].role : CVI_DATA;
}

static const cvs_tensor *constant(const cvi_graph *g, int v) {
    const cvs_tensor *t = v >= 0 ? g->values[v].constant : NULL;
    return t && t->data ? t : NULL;
}

static bool shape_of(const walk *w, int value, cvs_tensor *out) {
    return cvi_exec_value(w->exec, value, out, NULL) == CVS_OK && out->rank >= 2;
}

/* How many nodes read a constant: one that is shared cannot be cut for one of them. */
static int uses(const cvi_graph *g, int v) {
    int n = 0;
    for (int i = 0; i < g->n_nodes; i++) {
        for (int k = 0; k < g->nodes[i].n_in; k++) {
            n += g->nodes[i].in[k] == v;
        }
    }
    return n;
}

static bool stick(walk *w, const char *why) {
    w->u->stuck = w->u->stuck ? w->u->stuck : why;
    return false;
}

static bool touch(walk *w, int value, int axis, cvi_span span, int group_node) {
    if (w->u->n_touch == CVI_TOUCHES) {
        return stick(w, "too much depends on its filters");
    }
    if (uses(w->g, value) != 1 || w->g->values[value].constant->dtype != CVS_F32) {
        return stick(w, "its numbers are shared with another layer");
    }
    w->u->touch[w->u->n_touch++] = (cvi_touch){value, axis, span, group_node};
    return true;
}

static bool follow(walk *w, int value, cvi_span span);
static bool climb(walk *w, int value);
static bool same_shape(const walk *w, int a, int b);

/* The number of the point that a reader gets its numbers from; -1: there are too many. */
static int point_of(walk *w) {
    cvi_unit *u = w->u;
    if (!w->tied) {
        return 0;
    }
    for (int i = 0; i < u->n_point; i++) {
        if (u->point[i] == w->from) {
            return i;
        }
    }
    if (u->n_point == CVI_POINTS) {
        return -1;
    }
    u->point[u->n_point] = w->from;
    return u->n_point++;
}

/* A node that mixes channels: remembered as a reader; a depthwise one goes channel by channel. */
static bool meet_weights(walk *w, int n, int k, cvi_span span) {
    const cvi_node *node = &w->g->nodes[n];
    int weight = node->in[1];
    const cvs_tensor *t = constant(w->g, weight);
    bool conv = node->def->flags & CVI_OP_CONV;
    if (k != 0 || !t || role_of(node, 1) != CVI_WEIGHT || (!conv && t->rank != 2)) {
        return stick(w, "a layer reads it whose weights are not its own");
    }
    int64_t groups = conv ? cvi_node_int(node, "group", 1) : 1;
    if (conv && groups > 1) {
        if (w->spread || span.area != 1 || groups != t->dim[0] || t->dim[1] != 1) {
            return stick(w, "a grouped convolution reads it");
        }
        bool ok = touch(w, weight, 0, span, n);
        int bias = node->n_in > 2 ? node->in[2] : -1;
        ok = ok && (bias < 0 || (constant(w->g, bias) ? touch(w, bias, 0, span, -1)
                                                      : stick(w, "a grouped convolution reads it")));
        return ok && follow(w, node->out[0], span);
    }
    bool turned = !conv && cvi_node_int(node, "transB", 0) != 0;
    int axis = conv || turned ? 1 : 0;
    /* a transposed convolution keeps its inputs on the first axis: told by the shape of its output's channels */
    cvs_tensor out;
    if (conv && (!shape_of(w, node->out[0], &out) || out.dim[1] != t->dim[0])) {
        return stick(w, "a layer reads it whose weights are not its own");
    }
    int point = w->u->n_reader < CVI_READERS ? point_of(w) : -1;
    if (point < 0) {
        return stick(w, "too much depends on its filters");
    }
    w->u->reader[w->u->n_reader++] = (cvi_reader){n, weight, axis, point, span};
    return touch(w, weight, axis, span, -1);
}

/* Constants of a node that works channel by channel: those with one number for each channel have parts to lose. */
static bool meet_constants(walk *w, const cvi_node *node, int k, const cvs_tensor *shape, cvi_span span) {
    for (int i = 0; i < node->n_in; i++) {
        if (i == k || node->in[i] < 0) {
            continue;
        }
        const cvs_tensor *t = constant(w->g, node->in[i]);
        if (!t && w->tied && node->def->glyph == CVI_GLYPH_ADD && !w->spread &&
            same_shape(w, node->in[i], node->out[0]) && same_shape(w, node->in[k], node->out[0])) {
            if (!climb(w, node->in[i])) {
                return false;
            }
            continue;
        }
        if (!t) {
            return stick(w, "it joins another branch in a sum or product");
        }
        int64_t count = cvs_tensor_count(t);
        if (count <= 1 || role_of(node, i) == CVI_SHAPE) {
            continue;
        }
        int axis = t->rank == 1 && role_of(node, i) != CVI_DATA ? 0 : t->rank - (shape->rank - 1);
        if (axis < 0 || axis >= t->rank || t->dim[axis] != shape->dim[1] || count != t->dim[axis]) {
            return stick(w, "it meets numbers that are not one for each filter");
        }
        if (!touch(w, node->in[i], axis, span, -1)) {
            return false;
        }
    }
    return true;
}

static bool meet_concat(walk *w, const cvi_node *node, int value, cvi_span span) {
    cvs_tensor one;
    int64_t before = 0;
    int times = 0;
    if (cvi_node_int(node, "axis", 1) != 1) {
        return stick(w, "it is joined along rows or columns");
    }
    for (int i = 0; i < node->n_in; i++) {
        times += node->in[i] == value;
    }
    for (int i = 0; i < node->n_in && node->in[i] != value; i++) {
        if (!shape_of(w, node->in[i], &one)) {
            return stick(w, "shapes are not known");
        }
        before += one.dim[1];
    }
    bool was = w->spread;
    w->spread = true;
    bool ok = times == 1
                  ? follow(w, node->out[0], (cvi_span){span.offset + before, span.step, span.area, span.hop})
                  : stick(w, "it joins another branch in a sum or product");
    w->spread = was;
    return ok;
}

/* Channels put last and then flattened, as files of channels-last programs do: filter c has every C-th number. */
static bool meet_flattened(walk *w, int value, const cvs_tensor *in, cvi_span span) {
    int users[2], n = cvi_graph_users(w->g, value, users, 2);
    cvs_tensor out;
    const cvi_node *node = n == 1 ? &w->g->nodes[users[0]] : NULL;
    if (!node || !node->def || !(node->def->flags & CVI_OP_RESHAPE) || !shape_of(w, node->out[0], &out) ||
        out.rank != 2 || out.dim[0] != in->dim[0]) {
        return stick(w, "its channels are reshaped");
    }
    const cvs_tensor *to = node->n_in > 1 && node->in[1] >= 0 ? constant(w->g, node->in[1]) : NULL;
    if (node->n_in > 1 &&
        (!to || to->dtype != CVS_I64 || cvs_tensor_count(to) != 2 || cvi_get_int(to, 1) != -1)) {
        return stick(w, "its channels are reshaped");
    }
    bool was = w->spread;
    w->spread = true;
    bool ok = follow(w, node->out[0], (cvi_span){span.offset, 1, in->dim[2] * in->dim[3], in->dim[1]});
    w->spread = was;
    return ok;
}

static bool meet(walk *w, int n, int value, cvi_span span) {
    const cvi_node *node = &w->g->nodes[n];
    cvs_tensor in, out;
    int k = 0;
    while (k < node->n_in && node->in[k] != value) {
        k++;
    }
    if (!node->def || node->n_out < 1 || node->out[0] < 0 || !shape_of(w, value, &in)) {
        return stick(w, "an unknown operator reads it");
    }
    if (node->def->glyph == CVI_GLYPH_CONCAT) {
        return meet_concat(w, node, value, span);
    }
    if (node->n_in > 1 && role_of(node, 1) == CVI_WEIGHT) {
        return meet_weights(w, n, k, span);
    }
    if (!shape_of(w, node->out[0], &out)) {
        return stick(w, "shapes are not known");
    }
    unsigned flags = node->def->flags;
    if (flags & CVI_OP_RESHAPE) {
        int64_t each = cvs_tensor_count(&in) / (in.dim[0] * in.dim[1]);
        bool shaped = node->n_in > 1 && node->in[1] >= 0 && out.dim[1] != in.dim[1];
        const cvs_tensor *to = shaped ? constant(w->g, node->in[1]) : NULL;
        bool free =
            !shaped || (to && to->dtype == CVS_I64 && cvs_tensor_count(to) == 2 && cvi_get_int(to, 1) == -1);
        if (out.dim[0] != in.dim[0] || !free ||
            (out.dim[1] != in.dim[1] && (out.rank != 2 || span.area != 1))) {
            return stick(w, "its channels are reshaped");
        }
        if (out.dim[1] == in.dim[1]) {
            return follow(w, node->out[0], span);
        }
        bool was = w->spread;
        w->spread = true; /* one filter is many numbers from here on: readers' value is the one before */
        bool ok = follow(w, node->out[0], (cvi_span){span.offset * each, each, each, 1});
        w->spread = was;
        return ok;
    }
    int64_t turn[4];
    if (in.rank == 4 && cvi_node_ints(node, "perm", turn, 4, -1) == 4) {
        bool last = turn[0] == 0 && turn[1] == 2 && turn[2] == 3 && turn[3] == 1;
        return last && span.area == 1 ? meet_flattened(w, node->out[0], &in, span)
                                      : stick(w, "its channels are reshaped");
    }
    bool same = out.rank == in.rank && out.dim[1] == in.dim[1];
    bool pools = flags & (CVI_OP_POOL | CVI_OP_IDENTITY);
    cvi_field_step step = {.kind = CVI_FIELD_SAME};
    if (!pools && out.dim[1] == in.dim[1] && node->def->field && in.rank == 4) {
        const cvs_tensor *list[1] = {&in};
        cvi_opctx ctx = {
            .graph = w->g, .node = node, .op = node->def, .n_in = 1, .n_out = 1, .in = list, .out = &out};
        if (node->n_in == 1) {
            node->def->field(&ctx, &step);
        }
        pools = step.kind == CVI_FIELD_ALL && cvs_tensor_count(&out) == out.dim[0] * out.dim[1];
        same = same || pools;
    }
    bool statistics = node->n_in > 1 && role_of(node, 1) != CVI_DATA; /* a normalisation's scale */
    if (!same || span.area != 1 || !(pools || statistics || (flags & CVI_OP_POINTWISE))) {
        return stick(w, "an operator mixes it in another way");
    }
    if (w->spread && !pools) {
        return stick(w, "it is changed after it was shared out");
    }
    return (pools || meet_constants(w, node, k, &in, span)) && follow(w, node->out[0], span);
}

static bool follow(walk *w, int value, cvi_span span) {
    const cvi_graph *g = w->g;
    int users[CVI_READERS], n = cvi_graph_users(g, value, users, CVI_READERS);
    for (int i = 0; i < g->n_outputs; i++) {
        if (g->outputs[i] == value) {
            return stick(w, "it is an output of the network");
        }
    }
    if (n > CVI_READERS || ++w->depth > (w->tied ? MOST_STEPS : 200)) {
        return stick(w, "too much depends on its filters");
    }
    if (w->tied && w->tied[value]) {
        return w->spread ? stick(w, "it joins another branch in a sum or product") : true;
    }
    if (w->tied) {
        int from = w->spread ? w->from : value;
        bool fine = true;
        w->tied[value] = true;
        for (int i = 0; i < n && fine; i++) {
            w->from = from;
            fine = meet(w, users[i], value, span);
        }
        return fine;
    }
    bool alone = n == 1 && !w->spread;
    if (!w->spread) {
        w->u->value = value;
    }
    bool was = w->spread;
    w->spread = !alone;
    bool ok = true;
    for (int i = 0; i < n && ok; i++) {
        ok = meet(w, users[i], value, span);
    }
    w->spread = was;
    return ok;
}

/* The rows of its own kernel and bias. */
static bool begin(walk *w, int n) {
    const cvi_node *node = &w->g->nodes[n];
    const cvs_tensor *t = constant(w->g, node->in[1]);
    bool conv = node->def->flags & CVI_OP_CONV;
    int axis = conv || cvi_node_int(node, "transB", 0) ? 0 : 1;
    cvi_unit *u = w->u;
    int bias = node->n_in > 2 ? node->in[2] : -1;
    const cvs_tensor *b = constant(w->g, bias);
    const cvi_span one = {0, 1, 1, 1};
    if (conv && cvi_node_int(node, "group", 1) != 1) {
        return stick(w, "it is a grouped convolution");
    }
    if (t->dim[axis] != u->channels) {
        return stick(w, "its kernels lie in another way");
    }
    if (!touch(w, node->in[1], axis, one, -1)) {
        return false;
    }
    if (bias >= 0 && (!b || cvs_tensor_count(b) > 1)) {
        return b && b->dim[b->rank - 1] == u->channels && cvs_tensor_count(b) == u->channels
                   ? touch(w, bias, b->rank - 1, one, -1)
                   : stick(w, "its kernels lie in another way");
    }
    return true;
}

/* ---- sums ----------------------------------------------------------------------------------------------------------- */

static bool same_shape(const walk *w, int a, int b) {
    cvs_tensor x, y;
    return shape_of(w, a, &x) && shape_of(w, b, &y) && x.rank == y.rank &&
           memcmp(x.dim, y.dim, (size_t)x.rank * sizeof *x.dim) == 0;
}

/* From a term of a sum up to the layers whose filters it is; each goes the whole way forward, which checks everything between. */
static bool climb(walk *w, int value) {
    const cvi_graph *g = w->g;
    int n = g->values[value].producer;
    cvi_unit *u = w->u;
    if (w->climbed[value]) {
        return true;
    }
    w->climbed[value] = true;
    const cvi_node *node = n >= 0 ? &g->nodes[n] : NULL;
    if (!node || !node->def || node->out[0] != value || ++w->depth > MOST_STEPS) {
        return stick(w, "it joins another branch in a sum or product");
    }
    if (node->n_in > 1 && role_of(node, 1) == CVI_WEIGHT) {
        if ((node->def->flags & CVI_OP_CONV) && cvi_node_int(node, "group", 1) != 1) {
            return climb(w, node->in[0]);
        }
        if (!constant(g, node->in[1]) || u->n_member == CVI_MEMBERS ||
            (node->def->flags & CVI_OP_RECURRENT)) {
            return stick(w, "it joins another branch in a sum or product");
        }
        u->member[u->n_member++] = n;
        return begin(w, n) && follow(w, value, (cvi_span){0, 1, 1, 1});
    }
    int above = 0;
    cvs_tensor in, out;
    for (int i = 0; i < node->n_in; i++) {
        if (node->in[i] < 0 || g->values[node->in[i]].constant) {
            continue;
        }
        if (!shape_of(w, node->in[i], &in) || !shape_of(w, value, &out) || in.rank != out.rank ||
            in.dim[1] != out.dim[1]) {
            return stick(w, "it joins another branch in a sum or product");
        }
        above++;
        if (!climb(w, node->in[i])) {
            return false;
        }
    }
    return above > 0 ? true : stick(w, "it joins another branch in a sum or product");
}

/* A unit whose outputs meet sums or fork: again, now with all whose filters are added to its own. Stays stuck where that fails. */
static cvs_status tie(const cvi_graph *g, cvi_exec *exec, cvi_unit *u, cvs_error *err) {
    bool *room = cvi_calloc((size_t)g->n_values * 2 + 1, sizeof *room);
    cvi_unit *old = cvi_calloc(1, sizeof *old);
    if (!room || !old) {
        cvi_free(room);
        cvi_free(old);
        return cvi_no_memory(err, sizeof *old);
    }
    walk w = {.g = g, .exec = exec, .u = u, .tied = room, .climbed = room + g->n_values};
    *old = *u;
    u->stuck = NULL;
    u->n_touch = u->n_reader = u->n_point = 0;
    w.climbed[g->nodes[u->node].out[0]] = true;
    bool ok =
        begin(&w, u->node) && follow(&w, g->nodes[u->node].out[0], (cvi_span){0, 1, 1, 1}) && u->n_point > 0;
    if (!ok || u->stuck) {
        *u = *old;
    }
    cvi_free(old);
    cvi_free(room);
    return CVS_OK;
}

/* Whether a node's filters go with those of a unit found before. */
static bool goes_along(const cvi_units *units, int node) {
    for (int i = 0; i < units->n; i++) {
        for (int k = 0; k < units->list[i].n_member; k++) {
            if (units->list[i].member[k] == node) {
                return true;
            }
        }
    }
    return false;
}

bool cvi_unit_still(const cvi_unit *u, int64_t c, double share) {
    for (int p = 0; p < u->n_point; p++) {
        const double *least = u->least + p * u->channels, *most = u->most + p * u->channels;
        double largest = 0.0;
        for (int64_t k = 0; share > 0.0 && k < u->channels; k++) {
            largest = fmax(largest, fmax(fabs(most[k]), fabs(least[k])));
        }
        if (most[c] - least[c] > share * largest) {
            return false;
        }
    }
    return true;
}

static bool is_answer(const cvi_graph *g, int value) {
    cvs_logit_kind kind;
    return g->n_outputs > 0 && (cvi_graph_logit(g, 0, &kind) == value || g->outputs[0] == value);
}

cvs_status cvi_units_find(const cvi_graph *g, cvi_exec *exec, cvi_units *out, cvs_error *err) {
    int *nodes = cvi_calloc((size_t)g->n_nodes + 1, sizeof *nodes);
    *out = (cvi_units){0};
    if (!nodes) {
        return cvi_no_memory(err, (size_t)g->n_nodes * sizeof *nodes);
    }
    int n = cvi_weighted_nodes(g, nodes, g->n_nodes);
    out->list = cvi_calloc((size_t)n + 1, sizeof *out->list);
    for (int i = 0; out->list && i < n; i++) {
        cvi_unit *u = &out->list[out->n];
        const cvi_node *node = &g->nodes[nodes[i]];
        walk w = {.g = g, .exec = exec, .u = u};
        cvs_tensor shape;
        if (node->n_in < 2 || role_of(node, 1) != CVI_WEIGHT || (node->def->flags & CVI_OP_RECURRENT) ||
            !shape_of(&w, node->out[0], &shape) || (shape.rank != 4 && shape.rank != 2) ||
            shape.dtype != CVS_F32) {
            continue;
        }
        *u = (cvi_unit){
            .node = nodes[i], .value = node->out[0], .begin = node->in[0], .channels = shape.dim[1]};
        if (begin(&w, nodes[i])) {
            follow(&w, node->out[0], (cvi_span){0, 1, 1, 1});
        }
        u->n_point = 1;
        u->point[0] = u->value;
        u->answer = is_answer(g, node->out[0]) || is_answer(g, u->value);
        for (int k = 0; k < g->n_nodes && !u->answer && u->stuck; k++) { /* a bias behind the last matrix */
            u->answer =
                g->nodes[k].n_in > 0 && g->nodes[k].in[0] == u->value && is_answer(g, g->nodes[k].out[0]);
        }
        cvs_status s = CVS_OK;
        if (u->stuck && !u->answer && goes_along(out, u->node)) {
            u->stuck = "its filters go with those of an earlier layer, to which they are added";
        } else if (u->stuck && !u->answer) {
            s = tie(g, exec, u, err);
        }
        out->n++;
        if (s != CVS_OK) {
            cvi_free(nodes);
            return s;
        }
    }
    cvi_free(nodes);
    return out->list ? CVS_OK : cvi_no_memory(err, (size_t)n * sizeof *out->list);
}

void cvi_units_free(cvi_units *u) {
    for (int i = 0; u->list && i < u->n; i++) {
        cvi_free(u->list[i].least);
        cvi_free(u->list[i].cov);
    }
    cvi_free(u->list);
    *u = (cvi_units){0};
}

/* SPDX-License-Identifier: MIT
 * tf_nodes_more.c - TensorFlow operations around detection heads and hand-written layers, from GraphDef nodes: what is gathered, sorted,
 * scattered or suppressed by indices, sums without axes of their own, angles, and the roundings of training for integers.
 * All work on the file's own axes; each is a few operators of the graph, hidden but for the last.
 */
#include "formats/tf_nodes.h"

#include <math.h>

#include "ops/op.h"

static const char form[] = "this form of the operator is not run";
static const char late[] = "its sizes are known only while running";

/* A hidden value of the node on its way. */
static int step(tf_net *m, const char *op, const char *part, int n, const int *in) {
    return cvi_tf_op(&m->t, op, part, n, in);
}

static int own_form(tf_net *m, int k) {
    cvi_tf_tensor *x = cvi_tf_node_in(m, k);
    return x ? cvi_tf_form(&m->t, x, false) : -1;
}

static int cast(tf_net *m, int v, const char *part, cvs_dtype to) {
    v = step(m, "Cast", part, 1, &v);
    cvi_build_int(&m->t.b, "to", to);
    return v;
}

static int reshaped(tf_net *m, int v, const char *part, int rank, const int64_t *dim) {
    int shape =
        cvi_build_const_ints(&m->t.b, cvi_build_name(&m->t.b, "%s/%s/shape", m->t.name, part), rank, dim);
    return step(m, "Reshape", part, 2, (int[]){v, shape});
}

/* The node's own result: value v in the file's own axes; rank -1: as its shape says. */
static void put(tf_net *m, int k, int v, int rank) {
    cvi_tf_node_put(m, k, cvi_tf_value(&m->t, v, rank, false));
}

/* The node's result as whole numbers of TensorFlow's usual kind, from v of 64 bits. */
static void put_cast(tf_net *m, int k, int v, cvs_dtype to, int rank) {
    put(m, k, cast(m, v, NULL, to), rank);
}

/* How many numbers v has. That is one number, also where its shape is known only while running. */
static int counted(tf_net *m, int v, const char *part) {
    const cvs_tensor one = {.dtype = CVS_I64, .bytes = sizeof(int64_t)};
    v = step(m, "Size", part, 1, &v);
    if (!cvi_shapes_of(&m->t.shapes, &m->t.b, v)) {
        cvi_shapes_tell(&m->t.shapes, &m->t.b, v, &one);
    }
    return v;
}

/* Whether all inputs up to n are there, with known ranks. */
static bool all_there(tf_net *m, int n) {
    for (int k = 0; k < n; k++) {
        const cvi_tf_tensor *x = cvi_tf_node_in(m, k);
        if (!x || x->rank < 0) {
            m->refused = late;
            return false;
        }
    }
    return true;
}

/* ---- by indices ---- */

void cvi_tfn_top_k(tf_net *m) {
    int64_t one = 1;
    if (!all_there(m, 2) || m->in[0]->rank < 1) {
        m->refused = late;
        return;
    }
    int k = cast(m, own_form(m, 1), "k", CVS_I64);
    const int in[2] = {own_form(m, 0), reshaped(m, k, "count", 1, &one)};
    const char *own = m->t.name;
    cvi_build_node(&m->t.b, "TopK", own, 2, in, 2);
    cvi_build_int(&m->t.b, "axis", -1);
    int values = cvi_build_out(&m->t.b, 0, own, false);
    int places = cvi_build_out(&m->t.b, 1, cvi_build_name(&m->t.b, "%s/places", own), true);
    put(m, 0, values, m->in[0]->rank);
    m->t.name = cvi_build_name(&m->t.b, "%s:1", own);
    put_cast(m, 1, places, CVS_I32, m->in[0]->rank);
    m->t.name = own;
}

void cvi_tfn_gather_nd(tf_net *m) {
    int64_t dim[CVS_MAX_RANK];
    if (!all_there(m, 2) || m->in[1]->rank < 1 || !cvi_tf_dims(&m->t, m->in[1], dim) ||
        cvi_tf_attr_int(m->node, "batch_dims", 0) != 0) {
        m->refused = late;
        return;
    }
    int64_t depth = dim[m->in[1]->rank - 1], rank = m->in[1]->rank - 1 + m->in[0]->rank - depth;
    if (depth < 1 || depth > m->in[0]->rank || rank > CVS_MAX_RANK) {
        m->refused = form;
        return;
    }
    int at = cast(m, own_form(m, 1), "places", CVS_I64);
    put(m, 0, step(m, "GatherND", NULL, 2, (int[]){own_form(m, 0), at}), (int)rank);
}

/* Places where a number is not 0, one row each. */
void cvi_tfn_where(tf_net *m) {
    if (all_there(m, 1) && m->n_in == 1) {
        int v = own_form(m, 0);
        v = step(m, "NonZero", "columns", 1, &v);
        const int64_t turn[2] = {1, 0};
        v = step(m, "Transpose", m->apart ? "rows" : NULL, 1, &v);
        cvi_build_ints(&m->t.b, "perm", 2, turn);
        put(m, 0, m->apart ? cast(m, v, NULL, CVS_I32) : v, 2); /* TensorFlow.js has no longer numbers */
    }
}

/* indices, depth, on, off. */
void cvi_tfn_one_hot(tf_net *m) {
    int64_t one = 1;
    if (!all_there(m, 4) || m->in[0]->rank >= CVS_MAX_RANK) {
        m->refused = late;
        return;
    }
    const int pair[2] = {reshaped(m, own_form(m, 3), "off", 1, &one),
                         reshaped(m, own_form(m, 2), "on", 1, &one)};
    int values = step(m, "Concat", "values", 2, pair);
    cvi_build_int(&m->t.b, "axis", 0);
    int v = step(m, "OneHot", NULL, 3,
                 (int[]){own_form(m, 0), reshaped(m, own_form(m, 1), "depth", 1, &one), values});
    cvi_build_int(&m->t.b, "axis", cvi_tf_attr_int(m->node, "axis", -1));
    put(m, 0, v, m->in[0]->rank + 1);
}

/* value 0: ScatterNd(indices, updates, shape) adds to zeros; 1: TensorScatterUpdate(x, indices, updates); 2: TensorScatterAdd;
 * 3: SparseToDense(indices [n,r], shape, values, default). */
void cvi_tfn_scatter(tf_net *m) {
    int kind = cvi_tf_maker(m->node->op)->value, n = kind == 3 ? 4 : 3;
    int64_t dim[CVS_MAX_RANK];
    if (!all_there(m, n)) {
        return;
    }
    int at = kind == 0 || kind == 3 ? 0 : 1, updates = kind == 0 ? 1 : 2, to = -1, rank = -1;
    if (kind == 0 || kind == 3) {
        cvi_tf_tensor *shape = m->in[kind == 0 ? 2 : 1];
        if (!cvi_tf_dims(&m->t, shape, dim) || shape->rank != 1 || dim[0] < 0 || dim[0] > CVS_MAX_RANK) {
            m->refused = late;
            return;
        }
        rank = (int)dim[0];
        int sizes = cast(m, cvi_tf_form(&m->t, shape, false), "sizes", CVS_I64);
        int value =
            kind == 3 ? own_form(m, 3) : cvi_build_const_float(&m->t.b, cvi_tf_part(&m->t, "zero"), 0);
        value = step(m, "CastLike", "nothing", 2, (int[]){value, own_form(m, updates)});
        to = step(m, "Expand", "empty", 2, (int[]){value, sizes});
    } else {
        rank = m->in[0]->rank;
        to = own_form(m, 0);
    }
    int places = cast(m, own_form(m, at), "places", CVS_I64), put_in = own_form(m, updates);
    if (kind == 3 && (m->in[0]->rank != 2 || m->in[2]->rank != 1)) {
        m->refused = form;
        return;
    }
    int v = step(m, "ScatterND", NULL, 3, (int[]){to, places, put_in});
    if (kind == 0 || kind == 2) {
        cvi_build_string(&m->t.b, "reduction", "add");
    }
    put(m, 0, v, rank);
}

/* boxes [n,4] as corners (y, x), scores [n], how many at most, overlap, least score. The numbers of what stays. */
void cvi_tfn_suppress(tf_net *m) {
    const char *op = m->node->op, *own = m->t.name;
    bool v5 = strcmp(op, "NonMaxSuppressionV5") == 0, v1 = strcmp(op, "NonMaxSuppression") == 0;
    int64_t one = 1, boxes[3] = {1, -1, 4}, scores[3] = {1, 1, -1}, two = 2;
    const cvs_tensor *soft = v5 && cvi_tf_node_in(m, 5) ? cvi_tf_numbers(&m->t, m->in[5]) : NULL;
    if (!all_there(m, v1 ? 3 : 4) || m->in[0]->rank != 2 || m->in[1]->rank != 1 ||
        cvi_tf_attr_int(m->node, "pad_to_max_output_size", 0) != 0 ||
        (v5 && (!soft || cvs_tensor_count(soft) != 1 || cvi_get(soft, 0) != 0))) {
        m->refused = form;
        return;
    }
    int in[5] = {reshaped(m, own_form(m, 0), "boxes", 3, boxes),
                 reshaped(m, own_form(m, 1), "scores", 3, scores),
                 reshaped(m, cast(m, own_form(m, 2), "most", CVS_I64), "count", 1, &one)};
    in[3] = v1 ? cvi_build_const_float(&m->t.b, cvi_tf_part(&m->t, "overlap"),
                                       cvi_tf_attr_float(m->node, "iou_threshold", 0.5))
               : own_form(m, 3);
    in[3] = reshaped(m, in[3], "most_overlap", 1, &one);
    int n = m->n_in > 4 && !v1 ? 5 : 4;
    if (n == 5) {
        in[4] = reshaped(m, own_form(m, 4), "least_score", 1, &one);
    }
    int v = step(m, "NonMaxSuppression", "rows", n, in);
    int column = cvi_build_const_ints(&m->t.b, cvi_tf_part(&m->t, "column"), 1, &two);
    v = step(m, "Gather", "kept", 2, (int[]){v, column});
    cvi_build_int(&m->t.b, "axis", 1);
    const int64_t flat = -1;
    v = reshaped(m, v, "places", 1, &flat);
    put_cast(m, 0, v, CVS_I32, 1);
    if (v5) {
        m->t.name = cvi_build_name(&m->t.b, "%s:1", own);
        put(m, 1, step(m, "Gather", NULL, 2, (int[]){own_form(m, 1), v}), 1);
    }
    m->t.name = cvi_build_name(&m->t.b, "%s:2", own);
    if (v5 || strcmp(op, "NonMaxSuppressionV4") == 0) {
        int count = counted(m, v, "count_kept");
        put_cast(m, v5 ? 2 : 1, count, CVS_I32, 0);
    }
    m->t.name = own;
}

/* ---- by shapes ---- */

void cvi_tfn_size(tf_net *m) {
    cvi_tf_tensor *x = cvi_tf_node_in(m, 0);
    cvs_dtype type = cvi_tf_type(cvi_tf_attr_int(m->node, "out_type", 3));
    if (x) {
        int v = cvi_tf_any(&m->t, x);
        put_cast(m, 0, counted(m, v, "count"), type == CVS_I64 ? CVS_I64 : CVS_I32, 0);
    }
}

void cvi_tfn_broadcast_to(tf_net *m) {
    int64_t dim[CVS_MAX_RANK];
    if (!all_there(m, 2) || !cvi_tf_dims(&m->t, m->in[1], dim) || m->in[1]->rank != 1 || dim[0] < 0 ||
        dim[0] > CVS_MAX_RANK) {
        m->refused = late;
        return;
    }
    int to = cast(m, own_form(m, 1), "sizes", CVS_I64);
    cvi_tf_tensor y =
        cvi_tf_value(&m->t, step(m, "Expand", NULL, 2, (int[]){own_form(m, 0), to}), (int)dim[0], false);
    y.exact = m->in[0]->exact && m->in[1]->exact;
    cvi_tf_node_put(m, 0, y);
}

/* A shape that is computed while running, filled with one number. */
void cvi_tfn_fill_late(tf_net *m) {
    int64_t dim[CVS_MAX_RANK];
    if (!all_there(m, 2) || !cvi_tf_dims(&m->t, m->in[0], dim) || m->in[0]->rank != 1 || dim[0] < 0 ||
        dim[0] > CVS_MAX_RANK || m->in[1]->rank != 0) {
        m->refused = late;
        return;
    }
    int to = cast(m, own_form(m, 0), "sizes", CVS_I64);
    put(m, 0, step(m, "Expand", NULL, 2, (int[]){own_form(m, 1), to}), (int)dim[0]);
}

/* Widths of padding that are computed while running: [rank,2], here begins before ends. */
void cvi_tfn_pad_late(tf_net *m) {
    int64_t flat = -1;
    const int64_t turn[2] = {1, 0};
    if (!all_there(m, 2) || m->in[1]->rank != 2 || strcmp(m->node->op, "MirrorPad") == 0) {
        m->refused = late;
        return;
    }
    int pads = cast(m, own_form(m, 1), "widths", CVS_I64);
    pads = step(m, "Transpose", "turned", 1, &pads);
    cvi_build_ints(&m->t.b, "perm", 2, turn);
    int in[3] = {own_form(m, 0), reshaped(m, pads, "pads", 1, &flat), -1};
    if (m->n_in > 2) {
        in[2] = own_form(m, 2);
    }
    put(m, 0, step(m, "Pad", NULL, m->n_in > 2 ? 3 : 2, in), m->in[0]->rank);
}

/* value: 0 or 1, in the shape of the input. */
void cvi_tfn_all_alike(tf_net *m) {
    cvi_tf_tensor *x = cvi_tf_node_in(m, 0);
    if (!x) {
        return;
    }
    bool moved = cvi_tf_is_moved(x);
    int v = cvi_tf_form(&m->t, x, moved), sizes = step(m, "Shape", "sizes", 1, &v);
    int number =
        cvi_build_const_float(&m->t.b, cvi_tf_part(&m->t, "number"), cvi_tf_maker(m->node->op)->value);
    number = step(m, "CastLike", "typed", 2, (int[]){number, v});
    v = step(m, "Expand", NULL, 2, (int[]){number, sizes});
    cvi_tf_tensor y = cvi_tf_value(&m->t, v, x->rank, moved);
    y.exact = x->exact;
    cvi_tf_node_put(m, 0, y);
}

/* ---- along axes ---- */

/* Whether all (any) of the numbers along axes are true. */
void cvi_tfn_truths(tf_net *m) {
    cvi_tf_tensor *x = cvi_tf_node_in(m, 0);
    int64_t axes[CVS_MAX_RANK];
    int n = cvi_tf_node_ints(m, 1, CVS_MAX_RANK, axes);
    if (!x || x->rank < 0 || n < 0) {
        m->refused = late;
        return;
    }
    const char *own = m->t.name;
    bool keep = cvi_tf_attr_int(m->node, "keep_dims", 0) != 0;
    m->t.name = cvi_tf_part(&m->t, "numbers");
    cvi_tf_tensor y = cvi_tf_cast(&m->t, x, CVS_I32);
    m->t.name = cvi_build_name(&m->t.b, "%s/whole", own);
    y = n == 0 ? y
               : cvi_tf_reduce(&m->t, strcmp(m->node->op, "All") == 0 ? "ReduceMin" : "ReduceMax", &y, n,
                               axes, keep);
    m->t.name = own;
    cvi_tf_node_put(m, 0, cvi_tf_cast(&m->t, &y, CVS_BOOL));
}

void cvi_tfn_cumsum(tf_net *m) {
    int64_t axis = 0;
    if (!all_there(m, 2) || cvi_tf_node_ints(m, 1, 1, &axis) != 1 || m->in[0]->rank < 1) {
        m->refused = late;
        return;
    }
    int a = cvi_tf_axis(&m->t, m->in[0], axis, false);
    const int64_t own_axis = a;
    int which = cvi_build_const_ints(&m->t.b, cvi_tf_part(&m->t, "axis"), 1, &own_axis);
    int v = step(m, "CumSum", NULL, 2, (int[]){own_form(m, 0), which});
    cvi_build_int(&m->t.b, "exclusive", cvi_tf_attr_int(m->node, "exclusive", 0) != 0);
    cvi_build_int(&m->t.b, "reverse", cvi_tf_attr_int(m->node, "reverse", 0) != 0);
    put(m, 0, v, m->in[0]->rank);
}

void cvi_tfn_reverse(tf_net *m) {
    cvi_tf_tensor *x = cvi_tf_node_in(m, 0);
    int64_t axes[CVS_MAX_RANK], begin[CVS_MAX_RANK], end[CVS_MAX_RANK], by[CVS_MAX_RANK];
    int n = cvi_tf_node_ints(m, 1, CVS_MAX_RANK, axes);
    if (!x || x->rank < 0 || n < 0) {
        m->refused = late;
        return;
    }
    for (int i = 0; i < x->rank; i++) {
        begin[i] = 0;
        end[i] = INT64_MAX;
        by[i] = 1;
    }
    for (int i = 0; i < n && cvi_build_ok(&m->t.b) && x->rank > 0; i++) {
        int a = cvi_tf_axis(&m->t, x, axes[i], false);
        begin[a] = -1;
        end[a] = INT64_MIN;
        by[a] = -1;
    }
    cvi_tf_node_put(m, 0, cvi_tf_slice(&m->t, x, begin, end, by));
}

/* x turned round along axes: the last `shift` numbers come first. */
void cvi_tfn_roll(tf_net *m) {
    cvi_tf_tensor now;
    int64_t shift[CVS_MAX_RANK], axes[CVS_MAX_RANK], dim[CVS_MAX_RANK];
    int n = cvi_tf_node_ints(m, 1, CVS_MAX_RANK, shift);
    const char *own = m->t.name;
    if (!all_there(m, 3) || n < 1 || cvi_tf_node_ints(m, 2, CVS_MAX_RANK, axes) != n || m->in[0]->rank < 1) {
        m->refused = late;
        return;
    }
    now = *m->in[0];
    for (int i = 0; i < n && cvi_build_ok(&m->t.b); i++) {
        int a = cvi_tf_axis(&m->t, &now, axes[i], false);
        if (!cvi_tf_dims(&m->t, m->in[0], dim) || dim[a] < 1) {
            m->refused = late;
            return;
        }
        int64_t by = (shift[i] % dim[a] + dim[a]) % dim[a], zero[CVS_MAX_RANK] = {0}, all[CVS_MAX_RANK],
                cut[CVS_MAX_RANK] = {0}, upto[CVS_MAX_RANK], one[CVS_MAX_RANK];
        for (int k = 0; k < now.rank; k++) {
            all[k] = upto[k] = INT64_MAX;
            one[k] = 1;
        }
        cut[a] = upto[a] = dim[a] - by;
        m->t.name = cvi_build_name(&m->t.b, "%s/last%d", own, i);
        cvi_tf_tensor last = cvi_tf_slice(&m->t, &now, cut, all, one);
        m->t.name = cvi_build_name(&m->t.b, "%s/first%d", own, i);
        cvi_tf_tensor first = cvi_tf_slice(&m->t, &now, zero, upto, one);
        m->t.name = i + 1 < n ? cvi_build_name(&m->t.b, "%s/turn%d", own, i) : own;
        now = by == 0 ? cvi_tf_identity(&m->t, &now)
                      : cvi_tf_concat(&m->t, 2, (cvi_tf_tensor *[]){&last, &first}, a);
    }
    m->t.name = own;
    cvi_tf_node_put(m, 0, now);
}

/* ---- number by number ---- */

void cvi_tfn_sum_all(tf_net *m) {
    if (!cvi_tf_node_in(m, 0)) {
        return;
    }
    for (int k = 0; k < m->n_in; k++) {
        if (!m->in[k]) {
            m->refused = form;
            return;
        }
    }
    cvi_tf_node_put(
        m, 0, m->n_in == 1 ? cvi_tf_identity(&m->t, m->in[0]) : cvi_tf_map(&m->t, "Sum", m->n_in, m->in));
}

/* One hidden step of several. */
static cvi_tf_tensor inner(tf_net *m, const char *own, const char *part, const char *op, int n,
                           cvi_tf_tensor *const *in) {
    m->t.name = cvi_build_name(&m->t.b, "%s/%s", own, part);
    cvi_tf_tensor y = cvi_tf_map(&m->t, op, n, in);
    if (cvi_build_ok(&m->t.b) && y.form[y.moved] >= 0) {
        m->t.b.g->values[y.form[y.moved]].hidden = true;
    }
    m->t.name = own;
    return y;
}

static cvi_tf_tensor inner_number(tf_net *m, const char *own, const char *part, const char *op,
                                  cvi_tf_tensor *x, double v) {
    m->t.name = cvi_build_name(&m->t.b, "%s/%s", own, part);
    cvi_tf_tensor y = cvi_tf_map_number(&m->t, op, x, v);
    if (cvi_build_ok(&m->t.b) && y.form[y.moved] >= 0) {
        m->t.b.g->values[y.form[y.moved]].hidden = true;
    }
    m->t.name = own;
    return y;
}

/* The angle of the point (x, y): atan(y / x), half a turn further where x < 0, and 0 at the middle. */
void cvi_tfn_atan2(tf_net *m) {
    const char *own = m->t.name;
    if (!all_there(m, 2)) {
        return;
    }
    cvi_tf_tensor *y = m->in[0], *x = m->in[1];
    cvi_tf_tensor slope = inner(m, own, "slope", "Div", 2, (cvi_tf_tensor *[]){y, x});
    cvi_tf_tensor angle = inner(m, own, "angle", "Atan", 1, (cvi_tf_tensor *[]){&slope});
    cvi_tf_tensor below = inner_number(m, own, "below", "Less", y, 0);
    cvi_tf_tensor up = inner_number(m, own, "up", "Add", &angle, acos(-1));
    cvi_tf_tensor down = inner_number(m, own, "down", "Add", &angle, -acos(-1));
    cvi_tf_tensor turned = inner(m, own, "turned", "Where", 3, (cvi_tf_tensor *[]){&below, &down, &up});
    cvi_tf_tensor left = inner_number(m, own, "left", "Less", x, 0);
    cvi_tf_tensor side = inner(m, own, "side", "Where", 3, (cvi_tf_tensor *[]){&left, &turned, &angle});
    cvi_tf_tensor no_x = inner_number(m, own, "no_x", "Equal", x, 0);
    cvi_tf_tensor no_y = inner_number(m, own, "no_y", "Equal", y, 0);
    cvi_tf_tensor middle = inner(m, own, "middle", "And", 2, (cvi_tf_tensor *[]){&no_x, &no_y});
    cvi_tf_tensor none = inner_number(m, own, "none", "Mul", y, 0);
    cvi_tf_node_put(m, 0, cvi_tf_map(&m->t, "Where", 3, (cvi_tf_tensor *[]){&middle, &none, &side}));
}

/* What is left of a division, with the sign of the divisor. */
void cvi_tfn_floor_mod(tf_net *m) {
    const char *own = m->t.name;
    if (!all_there(m, 2)) {
        return;
    }
    cvs_dtype type = cvi_tf_dtype(&m->t, m->in[0]);
    if (type == CVS_I32 || type == CVS_I64) {
        cvi_tf_node_put(m, 0, cvi_tf_map(&m->t, "Mod", 2, m->in));
        return;
    }
    cvi_tf_tensor part = inner(m, own, "part", "Div", 2, m->in);
    cvi_tf_tensor times = inner(m, own, "times", "Floor", 1, (cvi_tf_tensor *[]){&part});
    cvi_tf_tensor whole = inner(m, own, "whole", "Mul", 2, (cvi_tf_tensor *[]){&times, m->in[1]});
    cvi_tf_node_put(m, 0, cvi_tf_map(&m->t, "Sub", 2, (cvi_tf_tensor *[]){m->in[0], &whole}));
}

/* value 0: x / y, 1: x * y; 0 where the other is 0. */
void cvi_tfn_no_nan(tf_net *m) {
    const char *own = m->t.name;
    bool times = cvi_tf_maker(m->node->op)->value != 0;
    if (!all_there(m, 2)) {
        return;
    }
    cvi_tf_tensor y = inner(m, own, "all", times ? "Mul" : "Div", 2, m->in);
    cvi_tf_tensor none = inner_number(m, own, "none", "Equal", m->in[1], 0);
    cvi_tf_tensor zero = inner_number(m, own, "zero", "Mul", m->in[1], 0);
    cvi_tf_node_put(m, 0, cvi_tf_map(&m->t, "Where", 3, (cvi_tf_tensor *[]){&none, &zero, &y}));
}

/* Training for integers: numbers between `least` and `most` are rounded to steps, so that 0 is one of them. value 1: the range stands in
 * attributes, not in inputs. */
void cvi_tfn_fake_quant(tf_net *m) {
    cvi_tf_tensor *x = cvi_tf_node_in(m, 0);
    double range[2] = {cvi_tf_attr_float(m->node, "min", -6), cvi_tf_attr_float(m->node, "max", 6)};
    for (int i = 0; i < 2 && cvi_tf_maker(m->node->op)->value == 0; i++) {
        const cvs_tensor *v = cvi_tf_node_in(m, 1 + i) ? cvi_tf_numbers(&m->t, m->in[1 + i]) : NULL;
        if (!v || cvs_tensor_count(v) != 1) {
            m->refused = form;
            return;
        }
        range[i] = cvi_get(v, 0);
    }
    int64_t bits = cvi_tf_attr_int(m->node, "num_bits", 8),
            low = cvi_tf_attr_int(m->node, "narrow_range", 0) != 0;
    if (!x || bits != 8 || !(range[1] > range[0]) || !isfinite(range[0]) || !isfinite(range[1])) {
        m->refused = form;
        return;
    }
    double scale = (range[1] - range[0]) / (double)(255 - low), zero = (double)low - range[0] / scale;
    zero = zero < (double)low ? (double)low : zero > 255 ? 255 : round(zero);
    const char *own = m->t.name;
    m->t.name = low ? cvi_tf_part(&m->t, "rounded") : own;
    cvi_tf_tensor y = cvi_tf_round_to(&m->t, x, scale, (int64_t)zero, CVS_U8);
    m->t.name = own;
    cvi_tf_node_put(m, 0, low ? cvi_tf_clip(&m->t, &y, (1 - zero) * scale, (255 - zero) * scale) : y);
}

/* ---- pictures ---- */

/* Windows of a picture, each a pixel with all its numbers as channels: a convolution whose kernels pick one number each. */
void cvi_tfn_patches(tf_net *m) {
    cvi_tf_tensor *x = cvi_tf_node_in(m, 0);
    const tf_attr *k = cvi_tf_attr(m->node, "ksizes"), *s = cvi_tf_attr(m->node, "strides"),
                  *r = cvi_tf_attr(m->node, "rates");
    int64_t dim[CVS_MAX_RANK], n = 1, count = 0;
    if (!x || x->rank != 4 || !cvi_tf_dims(&m->t, x, dim) || !k || !s || !r || k->n != 4 || s->n != 4 ||
        r->n != 4 || !k->ints || !s->ints || !r->ints || dim[3] < 1 || k->ints[1] < 1 || k->ints[2] < 1 ||
        !cvi_mul(k->ints[1], k->ints[2], &n) || !cvi_mul(n, dim[3], &n) || !cvi_mul(n, n, &count) ||
        count > 1 << 24) {
        m->refused = form;
        return;
    }
    float *one = cvi_build_filled(&m->t.b, count, 0);
    for (int64_t i = 0; one && i < n; i++) {
        one[i * n + i] = 1;
    }
    if (!one) {
        return;
    }
    cvs_tensor t = {.dtype = CVS_F32, .rank = 4, .dim = {k->ints[1], k->ints[2], dim[3], n}, .data = one};
    t.bytes = (size_t)count * sizeof *one;
    cvi_tf_tensor kernel = cvi_tf_constant(cvi_tf_part(&m->t, "pick"), &t);
    const cvi_tf_window w = {.n = 2,
                             .stride = {s->ints[1], s->ints[2]},
                             .dilation = {r->ints[1], r->ints[2]},
                             .padding = strcmp(cvi_tf_attr_text(m->node, "padding", ""), "SAME") == 0
                                            ? CVI_TF_SAME
                                            : CVI_TF_VALID};
    cvi_tf_node_put(m, 0, cvi_tf_conv(&m->t, x, &kernel, CVI_TF_HWIO, NULL, &w));
}

/* With pixels counted at their middles TensorFlow takes another cubic, and leaves out what lies outside. */
void cvi_tfn_cubic(tf_net *m) {
    cvi_tf_tensor *x = cvi_tf_node_in(m, 0);
    bool align = cvi_tf_attr_int(m->node, "align_corners", 0) != 0;
    bool centre = cvi_tf_attr_int(m->node, "half_pixel_centers", 0) != 0;
    int64_t size[2];
    if (!x || x->rank != 4 || cvi_tf_node_ints(m, 1, 2, size) != 2) {
        m->refused = late;
        return;
    }
    cvi_tf_tensor y = cvi_tf_resize(&m->t, x, "cubic", size,
                                    align    ? CVI_TF_PIXEL_ALIGNED
                                    : centre ? CVI_TF_PIXEL_CENTRE
                                             : CVI_TF_PIXEL_CORNER);
    cvi_build_float(&m->t.b, "cubic_coeff_a", centre ? -0.5 : -0.75);
    cvi_build_int(&m->t.b, "exclude_outside", centre);
    cvi_tf_node_put(m, 0, y);
}

/* Keeps a band around the diagonal of matrices: so many below and above it, negative: all. */
void cvi_tfn_band(tf_net *m) {
    int64_t below = 0, above = 0;
    if (!all_there(m, 3) || m->in[0]->rank < 2 || cvi_tf_node_ints(m, 1, 1, &below) != 1 ||
        cvi_tf_node_ints(m, 2, 1, &above) != 1) {
        m->refused = late;
        return;
    }
    int v = own_form(m, 0);
    for (int upper = 0; upper < 2; upper++) { /* first cut away what is too far above */
        int64_t far = upper ? below : above, k = upper ? -below : above;
        if (far >= 0) {
            int at = cvi_build_const_ints(&m->t.b, cvi_tf_part(&m->t, upper ? "below" : "above"), 1, &k);
            v = step(m, "Trilu", upper ? "upper" : "lower", 2, (int[]){v, at});
            cvi_build_int(&m->t.b, "upper", upper);
        }
    }
    put(m, 0, step(m, "Identity", NULL, 1, &v), m->in[0]->rank);
}

/* Padding with the picture's mirror image, the edge doubled: a list of places for each axis. */
void cvi_tfn_mirror(tf_net *m) {
    cvi_tf_tensor *x = cvi_tf_node_in(m, 0), now;
    int64_t pads[2 * CVS_MAX_RANK], dim[CVS_MAX_RANK];
    const char *own = m->t.name;
    if (!x || x->rank < 1 || cvi_tf_node_ints(m, 1, 2 * CVS_MAX_RANK, pads) != 2 * x->rank ||
        !cvi_tf_dims(&m->t, x, dim)) {
        m->refused = late;
        return;
    }
    now = *x;
    for (int a = 0; a < x->rank && cvi_build_ok(&m->t.b); a++) {
        int64_t before = pads[2 * a], after = pads[2 * a + 1];
        if (before == 0 && after == 0) {
            continue;
        }
        if (dim[a] < 1 || before < 0 || after < 0 || before > dim[a] || after > dim[a] || dim[a] > 1 << 20) {
            m->refused = form;
            return;
        }
        int64_t n = before + dim[a] + after, *at = cvi_arena_alloc(m->t.b.model->arena, n, sizeof *at);
        if (!at) {
            cvi_build_no_memory(&m->t.b, (size_t)n * sizeof *at);
            return;
        }
        for (int64_t i = 0; i < n; i++) {
            int64_t p = i - before;
            at[i] = p < 0 ? -1 - p : p < dim[a] ? p : 2 * dim[a] - 1 - p;
        }
        cvs_tensor t = {.dtype = CVS_I64, .rank = 1, .dim = {n}, .bytes = (size_t)n * sizeof *at, .data = at};
        m->t.name = cvi_build_name(&m->t.b, "%s/axis%d", own, a);
        cvi_tf_tensor places = cvi_tf_constant(cvi_tf_part(&m->t, "places"), &t);
        now = cvi_tf_gather(&m->t, &now, &places, a);
    }
    m->t.name = own;
    cvi_tf_node_put(m, 0, cvi_tf_identity(&m->t, &now));
}

/* x log y, 0 where x is 0. */
void cvi_tfn_xlogy(tf_net *m) {
    const char *own = m->t.name;
    if (!all_there(m, 2)) {
        return;
    }
    cvi_tf_tensor log = inner(m, own, "log", "Log", 1, &m->in[1]);
    cvi_tf_tensor all = inner(m, own, "all", "Mul", 2, (cvi_tf_tensor *[]){m->in[0], &log});
    cvi_tf_tensor none = inner_number(m, own, "none", "Equal", m->in[0], 0);
    cvi_tf_tensor zero = inner_number(m, own, "zero", "Mul", m->in[0], 0);
    cvi_tf_node_put(m, 0, cvi_tf_map(&m->t, "Where", 3, (cvi_tf_tensor *[]){&none, &zero, &all}));
}

/* What is left of a division, with the sign of what is divided. */
void cvi_tfn_truncate_mod(tf_net *m) {
    if (all_there(m, 2)) {
        cvi_tf_tensor y = cvi_tf_map(&m->t, "Mod", 2, m->in);
        cvi_build_int(&m->t.b, "fmod", 1);
        cvi_tf_node_put(m, 0, y);
    }
}

/* SPDX-License-Identifier: MIT
 * script_select.c - torch calls that turn, repeat and pick numbers: roll, flip, repeat, index, gather, where, topk, argmax and their kind.
 */
#include "formats/script.h"

/* An axis counted from the front; -1 when there is none such. */
static int axis_of(int64_t axis, int rank) {
    axis += axis < 0 ? rank : 0;
    return rank > 0 && axis >= 0 && axis < rank ? (int)axis : -1;
}

/* ---- turning and repeating ---------------------------------------------------------------------------------------- */

static int cut(script *s, int x, int64_t axis, int64_t from, int64_t to) {
    int in[4] = {x, cvi_script_const_ints(s, 1, &from), cvi_script_const_ints(s, 1, &to),
                 cvi_script_const_ints(s, 1, &axis)};
    return cvi_script_done(s, cvi_script_node(s, "Slice", 4, in, 0, true)).v;
}

/* roll(x, shifts, dims): along each axis, the end before the beginning */
static script_value roll(script *s, const script_call *row, const script_args *a) {
    (void)row;
    int64_t shift[CVS_MAX_RANK], dim[CVS_MAX_RANK];
    script_value shifts = cvi_script_arg(a, 1, "shifts"), dims = cvi_script_arg(a, 2, "dims");
    int x = cvi_script_graph_arg(s, a, 0, "self"), rank = cvi_script_rank(s, x);
    int n = cvi_script_wholes(s, &shifts, shift, CVS_MAX_RANK);
    if (rank < 1 || n < 1 || n > CVS_MAX_RANK || cvi_script_wholes(s, &dims, dim, CVS_MAX_RANK) != n) {
        return cvi_script_refuse(s, a->name);
    }
    for (int i = 0; i < n && cvi_script_ok(s); i++) {
        int axis = axis_of(dim[i], rank);
        const cvs_tensor *p = cvi_script_shape(s, x, 0), *q = cvi_script_shape(s, x, 1);
        if (axis < 0) {
            return cvi_script_refuse(s, a->name);
        }
        bool fixed = q->rank == rank && p->dim[axis] == q->dim[axis] && p->dim[axis] > 0;
        int64_t k = fixed ? shift[i] % p->dim[axis] : shift[i];
        if (k == 0) {
            continue;
        }
        int half[2] = {cut(s, x, axis, -k, INT64_MAX), cut(s, x, axis, 0, -k)};
        script_node join = cvi_script_node(s, "Concat", 2, half, 1, i + 1 < n);
        cvi_script_attr_int(s, &join, "axis", axis);
        x = cvi_script_done(s, join).v;
    }
    return cvi_script_tensor(x);
}

static script_value flip(script *s, const script_call *row, const script_args *a) {
    (void)row;
    int64_t axis[CVS_MAX_RANK], from[CVS_MAX_RANK], to[CVS_MAX_RANK];
    script_value dims = cvi_script_arg(a, 1, "dims");
    int x = cvi_script_graph_arg(s, a, 0, "self"), n = cvi_script_wholes(s, &dims, axis, CVS_MAX_RANK);
    if (n < 1 || n > CVS_MAX_RANK) {
        return cvi_script_refuse(s, a->name);
    }
    for (int i = 0; i < n; i++) {
        from[i] = -1;
        to[i] = INT64_MIN + 1;
    }
    int in[5] = {x, cvi_script_const_ints(s, n, from), cvi_script_const_ints(s, n, to),
                 cvi_script_const_ints(s, n, axis), cvi_script_const_ints(s, n, from)};
    return cvi_script_simple(s, "Slice", 5, in);
}

/* repeat(x, counts), tile(x, counts): one of them may have more axes than the other */
static script_value repeat(script *s, const script_call *row, const script_args *a) {
    (void)row;
    int64_t count[CVS_MAX_RANK];
    script_value list = cvi_script_arg(a, 1, "repeats");
    int in[2] = {cvi_script_graph_arg(s, a, 0, "self"), -1}, rank = cvi_script_rank(s, in[0]);
    int n = list.kind == SCRIPT_V_LIST ? cvi_script_wholes(s, &list, count, CVS_MAX_RANK) : 0;
    if (rank < 0 || n < 1 || n > CVS_MAX_RANK) {
        return cvi_script_refuse(s, a->name);
    }
    if (n > rank) {
        int64_t axes[CVS_MAX_RANK];
        for (int i = 0; i < n - rank; i++) {
            axes[i] = i;
        }
        in[1] = cvi_script_const_ints(s, n - rank, axes);
        in[0] = cvi_script_done(s, cvi_script_node(s, "Unsqueeze", 2, in, 0, true)).v;
    }
    if (rank > n) {
        memmove(count + rank - n, count, (size_t)n * sizeof *count);
        for (int i = 0; i < rank - n; i++) {
            count[i] = 1;
        }
    }
    in[1] = cvi_script_const_ints(s, CVI_MAX(n, rank), count);
    return cvi_script_simple(s, "Tile", 2, in);
}

/* x with its places from start to end along an axis replaced */
static script_value replaced(script *s, int x, int part, int64_t axis, int64_t start, int64_t end) {
    int64_t have = axis >= 0 && axis < cvi_script_rank(s, x) ? cvi_script_shape(s, x, 0)->dim[axis] : 0;
    int join[3], n = 0;
    if (start != 0 && start > -have) {
        join[n++] = cut(s, x, axis, 0, start);
    }
    join[n++] = part;
    if (end < have) {
        join[n++] = cut(s, x, axis, end, INT64_MAX);
    }
    if (n == 1) {
        return cvi_script_tensor(part);
    }
    script_node node = cvi_script_node(s, "Concat", n, join, 1, true);
    cvi_script_attr_int(s, &node, "axis", axis);
    return cvi_script_done(s, node);
}

void cvi_script_write_back(script *s, int part, int value) {
    for (int depth = 0; depth < 16 && cvi_script_ok(s) && s->view[part].of >= 0; depth++) {
        script_view w = s->view[part];
        int base = w.of;
        while (s->now[base] != base) {
            base = s->now[base];
        }
        if (w.one) {
            int in[2] = {value, cvi_script_const_ints(s, 1, &w.axis)};
            value = cvi_script_done(s, cvi_script_node(s, "Unsqueeze", 2, in, 0, true)).v;
        }
        value = replaced(s, base, value, w.axis, w.start, w.end).v;
        if (cvi_script_ok(s) && value != base) {
            s->view[value] = s->view[w.of];
            s->now[base] = value;
        }
        part = w.of;
    }
}

/* slice_scatter(x, part, dim, start, end): x with a part of it replaced */
static script_value slice_scatter(script *s, const script_call *row, const script_args *a) {
    (void)row;
    int x = cvi_script_graph_arg(s, a, 0, "self"), part = cvi_script_graph_arg(s, a, 1, "src");
    int axis = axis_of(cvi_script_whole_arg(a, 2, "dim", 0), cvi_script_rank(s, x));
    return axis < 0 || cvi_script_whole_arg(a, 5, "step", 1) != 1
               ? cvi_script_refuse(s, a->name)
               : replaced(s, x, part, axis, cvi_script_whole_arg(a, 3, "start", 0),
                          cvi_script_whole_arg(a, 4, "end", INT64_MAX));
}

/* select_scatter(x, part, dim, index) */
static script_value select_scatter(script *s, const script_call *row, const script_args *a) {
    (void)row;
    int x = cvi_script_graph_arg(s, a, 0, "self"),
        axis = axis_of(cvi_script_whole_arg(a, 2, "dim", 0), cvi_script_rank(s, x));
    int64_t at = axis, index = cvi_script_whole_arg(a, 3, "index", 0);
    if (axis < 0) {
        return cvi_script_refuse(s, a->name);
    }
    int in[2] = {cvi_script_graph_arg(s, a, 1, "src"), cvi_script_const_ints(s, 1, &at)};
    int part = cvi_script_done(s, cvi_script_node(s, "Unsqueeze", 2, in, 0, true)).v;
    return replaced(s, x, part, axis, index, index == -1 ? INT64_MAX : index + 1);
}

/* movedim(x, from, to) of one axis or several */
static script_value movedim(script *s, const script_call *row, const script_args *a) {
    (void)row;
    int64_t from[CVS_MAX_RANK], to[CVS_MAX_RANK], perm[CVS_MAX_RANK];
    bool taken[CVS_MAX_RANK] = {false};
    script_value p = cvi_script_arg(a, 1, "source"), q = cvi_script_arg(a, 2, "destination");
    int x = cvi_script_graph_arg(s, a, 0, "self"), rank = cvi_script_rank(s, x);
    int n = cvi_script_wholes(s, &p, from, CVS_MAX_RANK), next = 0;
    bool ok = rank > 0 && n >= 1 && n <= rank && cvi_script_wholes(s, &q, to, CVS_MAX_RANK) == n;
    for (int i = 0; i < rank; i++) {
        perm[i] = -1;
    }
    for (int i = 0; i < n && ok; i++) {
        int f = axis_of(from[i], rank), t = axis_of(to[i], rank);
        ok = f >= 0 && t >= 0 && !taken[f] && perm[t] < 0;
        if (ok) {
            perm[t] = f;
            taken[f] = true;
        }
    }
    for (int i = 0; i < rank && ok; i++) {
        while (perm[i] < 0 && taken[next]) {
            next++;
        }
        perm[i] = perm[i] < 0 ? next++ : perm[i];
    }
    if (!ok) {
        return cvi_script_refuse(s, a->name);
    }
    script_node node = cvi_script_node(s, "Transpose", 1, &x, 1, false);
    cvi_script_attr_ints(s, &node, "perm", rank, perm);
    return cvi_script_done(s, node);
}

/* unflatten(x, dim, sizes): one axis into several */
static script_value unflatten(script *s, const script_call *row, const script_args *a) {
    (void)row;
    script_value sizes = cvi_script_arg(a, 2, "sizes"), all[CVS_MAX_RANK];
    int x = cvi_script_graph_arg(s, a, 0, "self"), rank = cvi_script_rank(s, x), n = 0;
    int axis = axis_of(cvi_script_whole_arg(a, 1, "dim", 0), rank),
        many = sizes.kind == SCRIPT_V_LIST ? *sizes.shared_n : 0;
    if (axis < 0 || many < 1 || rank - 1 + many > CVS_MAX_RANK) {
        return cvi_script_refuse(s, a->name);
    }
    for (int i = 0; i < rank; i++) {
        for (int k = 0; i == axis && k < many; k++) {
            all[n++] = (*sizes.shared)[k];
        }
        if (i != axis) {
            all[n++] = cvi_script_dimension(s, x, i);
        }
    }
    return cvi_script_reshape(s, x, all, n);
}

/* channel_shuffle(x, groups) of x [N,C,...] */
static script_value channel_shuffle(script *s, const script_call *row, const script_args *a) {
    (void)row;
    int x = cvi_script_graph_arg(s, a, 0, "self"), rank = cvi_script_rank(s, x);
    int64_t groups = cvi_script_whole_arg(a, 1, "groups", 1), perm[CVS_MAX_RANK];
    int64_t channels = rank > 1 ? cvi_script_shape(s, x, 0)->dim[1] : 0;
    script_value all[CVS_MAX_RANK], old[CVS_MAX_RANK];
    if (rank < 2 || rank >= CVS_MAX_RANK || groups < 1 || channels % groups != 0) {
        return cvi_script_refuse(s, a->name);
    }
    for (int i = 0; i < rank; i++) {
        old[i] = cvi_script_dimension(s, x, i);
        all[i + (i > 1)] = old[i];
        perm[i + (i > 1)] = i + (i > 1);
    }
    all[1] = cvi_script_int(groups);
    all[2] = cvi_script_int(channels / groups);
    perm[1] = 2;
    perm[2] = 1;
    script_value parts = cvi_script_reshape(s, x, all, rank + 1);
    int v = cvi_script_graph(s, &parts);
    script_node node = cvi_script_node(s, "Transpose", 1, &v, 1, true);
    cvi_script_attr_ints(s, &node, "perm", rank + 1, perm);
    return cvi_script_reshape(s, cvi_script_done(s, node).v, old, rank);
}

/* ---- picking -------------------------------------------------------------------------------------------------------- */

/* index_select(x, dim, index), gather(x, dim, index) */
static script_value gather(script *s, const script_call *row, const script_args *a) {
    int in[2] = {cvi_script_graph_arg(s, a, 0, "self"), cvi_script_graph_arg(s, a, 2, "index")};
    script_node node = cvi_script_node(s, row->op, 2, in, 1, false);
    cvi_script_attr_int(s, &node, "axis", cvi_script_whole_arg(a, 1, "dim", 0));
    return cvi_script_done(s, node);
}

/* One index of an outer product of indices: all its axes are 1 but one, the at-th of n, at either size that is tried. */
static bool is_outer(script *s, int v, int at, int n) {
    for (int k = 0; k < 2; k++) {
        const cvs_tensor *t = cvi_script_shape(s, v, k);
        for (int i = 0; i < t->rank; i++) {
            if (t->dim[i] != 1 && i - t->rank != at - n) {
                return false;
            }
        }
        if (t->rank < 0) {
            return false;
        }
    }
    return true;
}

static int of_two(script *s, const char *op, int a, int b) {
    const int in[2] = {a, b};
    return cvi_script_done(s, cvi_script_node(s, op, 2, in, 0, true)).v;
}

/* x[i, j] of the first two axes, the indices stretched to one another's shape as any two tensors are (a batch's best rows). */
static script_value index_pair(script *s, int x, int i, int j) {
    const int64_t last = -1;
    int axis = cvi_script_const_ints(s, 1, &last), both[2];
    int none_i = of_two(s, "Sub", i, i), none_j = of_two(s, "Sub", j, j);
    both[0] = of_two(s, "Unsqueeze", of_two(s, "Add", i, none_j), axis);
    both[1] = of_two(s, "Unsqueeze", of_two(s, "Add", j, none_i), axis);
    script_node node = cvi_script_node(s, "Concat", 2, both, 1, true);
    cvi_script_attr_int(s, &node, "axis", -1);
    int in[2] = {x, cvi_script_done(s, node).v};
    return cvi_script_simple(s, "GatherND", 2, in);
}

/* index(x, [None, i, j, ...]): one tensor of whole numbers along its axis, or several that span a rectangle (x[:, rows[:, None], columns]) */
static script_value index_with(script *s, const script_call *row, const script_args *a) {
    (void)row;
    script_value list = cvi_script_arg(a, 1, "indices");
    int x = cvi_script_graph_arg(s, a, 0, "self"), n = list.kind == SCRIPT_V_LIST ? *list.shared_n : 0;
    int first = -1, count = 0;
    for (int i = 0; i < n; i++) {
        if ((*list.shared)[i].kind == SCRIPT_V_TENSOR) {
            first = first < 0 ? i : first;
            count += first + count == i ? 1 : CVS_MAX_RANK + 1; /* side by side */
        }
    }
    if (count < 1 || count > CVS_MAX_RANK) {
        return cvi_script_refuse(s, a->name);
    }
    if (count == 2 && first == 0) {
        int i = cvi_script_graph(s, &(*list.shared)[0]), j = cvi_script_graph(s, &(*list.shared)[1]);
        const cvs_tensor *p = cvi_script_shape(s, i, 0), *q = cvi_script_shape(s, j, 0);
        bool whole = cvi_script_ok(s) && p->dtype == CVS_I64 && q->dtype == CVS_I64;
        if (whole && p->rank >= 1 && q->rank >= 1 && (!is_outer(s, i, 0, 2) || !is_outer(s, j, 1, 2))) {
            return index_pair(s, x, i, j);
        }
    }
    for (int i = 0; i < count && cvi_script_ok(s); i++) {
        int in[2] = {x, cvi_script_graph(s, &(*list.shared)[first + i])};
        const cvs_tensor *t = cvi_script_shape(s, in[1], 0);
        if (t->dtype == CVS_BOOL || t->dtype == CVS_U8 || (count > 1 && !is_outer(s, in[1], i, count))) {
            return cvi_script_refuse(s, a->name);
        }
        if (count > 1) {
            const int64_t flat = -1;
            int pair[2] = {in[1], cvi_script_const_ints(s, 1, &flat)};
            in[1] = cvi_script_done(s, cvi_script_node(s, "Reshape", 2, pair, 0, true)).v;
        }
        script_node node = cvi_script_node(s, "Gather", 2, in, 1, i + 1 < count);
        cvi_script_attr_int(s, &node, "axis", first + i);
        x = cvi_script_done(s, node).v;
    }
    return cvi_script_tensor(x);
}

/* where(condition, x, y); masked_fill(x, mask, y) */
static script_value where(script *s, const script_call *row, const script_args *a) {
    bool fill = strcmp(row->name, "masked_fill") == 0;
    script_value x = cvi_script_arg(a, fill ? 0 : 1, "self"),
                 y = cvi_script_arg(a, 2, fill ? "value" : "other");
    int in[3] = {cvi_script_graph_arg(s, a, fill ? 1 : 0, fill ? "mask" : "condition")};
    cvi_script_pair(s, fill ? &y : &x, fill ? &x : &y, in + 1);
    return cvi_script_simple(s, "Where", 3, in);
}

/* expand_as(x, other), view_as(x, other), copy(other, x) */
static script_value shaped_as(script *s, const script_call *row, const script_args *a) {
    if (row->f != 0 && a->n == 1 && a->arg[0].kind == SCRIPT_V_LIST) { /* of a list of numbers */
        return cvi_script_list(s, *a->arg[0].shared_n, *a->arg[0].shared);
    }
    int in[2] = {cvi_script_graph_arg(s, a, row->f != 0, "self"),
                 cvi_script_graph_arg(s, a, row->f == 0, "other")},
        rank = cvi_script_rank(s, in[1]);
    script_value all[CVS_MAX_RANK];
    for (int i = 0; i < rank; i++) {
        all[i] = cvi_script_dimension(s, in[1], i);
    }
    if (rank < 1) {
        return cvi_script_refuse(s, a->name);
    }
    if (strcmp(row->op, "Reshape") == 0) {
        return cvi_script_reshape(s, in[0], all, rank);
    }
    in[1] = cvi_script_sizes(s, all, rank);
    return cvi_script_simple(s, row->op, 2, in);
}

static script_value triangle(script *s, const script_call *row, const script_args *a) {
    int in[2] = {cvi_script_graph_arg(s, a, 0, "self"),
                 cvi_script_const_int(s, cvi_script_whole_arg(a, 1, "diagonal", 0))};
    script_node node = cvi_script_node(s, "Trilu", 2, in, 1, false);
    cvi_script_attr_int(s, &node, "upper", row->f != 0);
    return cvi_script_done(s, node);
}

static script_value cumsum(script *s, const script_call *row, const script_args *a) {
    (void)row;
    int64_t axis = cvi_script_whole_arg(a, 1, "dim", 0);
    int in[2] = {cvi_script_graph_arg(s, a, 0, "self"), cvi_script_const_ints(s, 1, &axis)};
    return cvi_script_simple(s, "CumSum", 2, in);
}

/* topk(x, k, dim, largest, sorted) and sort(x, dim, descending): numbers and their places */
static script_value topk(script *s, const script_call *row, const script_args *a) {
    bool sort = strcmp(row->name, "sort") == 0;
    int x = cvi_script_graph_arg(s, a, 0, "self"), rank = cvi_script_rank(s, x);
    int axis = axis_of(cvi_script_whole_arg(a, sort ? 1 : 2, "dim", -1), rank);
    if (axis < 0) {
        return cvi_script_refuse(s, a->name);
    }
    script_value k = sort ? cvi_script_dimension(s, x, axis) : cvi_script_arg(a, 1, "k");
    int in[2] = {x, k.kind == SCRIPT_V_INT ? cvi_script_sizes(s, &k, 1) : -1};
    script_node node = cvi_script_nodes(s, "TopK", 2, in, 3, 2, false);
    cvi_script_attr_int(s, &node, "axis", axis);
    cvi_script_attr_int(s, &node, "largest",
                        sort ? cvi_script_whole_arg(a, 2, "descending", 0)
                             : cvi_script_whole_arg(a, 3, "largest", 1));
    cvi_script_attr_int(s, &node, "sorted", 1);
    cvi_script_done(s, node);
    script_value both[2] = {cvi_script_none(), cvi_script_none()};
    for (int i = 0; i < 2 && cvi_script_ok(s); i++) {
        both[i] = cvi_script_tensor(s->g->nodes[node.index].out[i]);
    }
    return cvi_script_ok(s) ? cvi_script_list(s, 2, both) : both[0];
}

/* argmax(x, dim, keepdim) */
static script_value arg_most(script *s, const script_call *row, const script_args *a) {
    int x = cvi_script_graph_arg(s, a, 0, "self");
    script_value dim = cvi_script_arg(a, 1, "dim");
    if (dim.kind != SCRIPT_V_INT) {
        return cvi_script_refuse(s, a->name);
    }
    script_node node = cvi_script_node(s, row->op, 1, &x, 2, false);
    cvi_script_attr_int(s, &node, "axis", dim.i[0]);
    cvi_script_attr_int(s, &node, "keepdims", cvi_script_whole_arg(a, 2, "keepdim", 0));
    return cvi_script_done(s, node);
}

/* grid_sampler(x, grid, how, padding, align_corners) */
static script_value grid_sample(script *s, const script_call *row, const script_args *a) {
    static const char *const modes[] = {"linear", "nearest", "cubic"}, *const pads[] = {"zeros", "border",
                                                                                        "reflection"};
    (void)row;
    int in[2] = {cvi_script_graph_arg(s, a, 0, "self"), cvi_script_graph_arg(s, a, 1, "grid")};
    int64_t mode = cvi_script_whole_arg(a, 2, "interpolation_mode", 0),
            pad = cvi_script_whole_arg(a, 3, "padding_mode", 0);
    if (mode < 0 || mode > 2 || pad < 0 || pad > 2) {
        return cvi_script_refuse(s, a->name);
    }
    script_node node = cvi_script_node(s, "GridSample", 2, in, 3, false);
    cvi_script_attr_string(s, &node, "mode", modes[mode]);
    cvi_script_attr_string(s, &node, "padding_mode", pads[pad]);
    cvi_script_attr_int(s, &node, "align_corners", cvi_script_whole_arg(a, 4, "align_corners", 0));
    return cvi_script_done(s, node);
}

static const script_call rows[] = {
    {"roll", roll, NULL, 0},
    {"flip", flip, NULL, 0},
    {"repeat", repeat, NULL, 0},
    {"tile", repeat, NULL, 0},
    {"movedim", movedim, NULL, 0},
    {"moveaxis", movedim, NULL, 0},
    {"unflatten", unflatten, NULL, 0},
    {"channel_shuffle", channel_shuffle, NULL, 0},
    {"native_channel_shuffle", channel_shuffle, NULL, 0},
    {"index_select", gather, "Gather", 0},
    {"gather", gather, "GatherElements", 0},
    {"index", index_with, NULL, 0},
    {"_unsafe_index", index_with, NULL, 0},
    {"where", where, NULL, 0},
    {"masked_fill", where, NULL, 0},
    {"expand_as", shaped_as, "Expand", 0},
    {"copy", shaped_as, "Expand", 1},
    {"slice_scatter", slice_scatter, NULL, 0},
    {"select_scatter", select_scatter, NULL, 0},
    {"view_as", shaped_as, "Reshape", 0},
    {"reshape_as", shaped_as, "Reshape", 0},
    {"tril", triangle, NULL, 0},
    {"triu", triangle, NULL, 1},
    {"cumsum", cumsum, NULL, 0},
    {"topk", topk, NULL, 0},
    {"sort", topk, NULL, 0},
    {"argmax", arg_most, "ArgMax", 0},
    {"argmin", arg_most, "ArgMin", 0},
    {"grid_sampler", grid_sample, NULL, 0},
    {"grid_sampler_2d", grid_sample, NULL, 0},
};

const script_calls cvi_script_select = {rows, CVI_COUNT(rows)};

/* SPDX-License-Identifier: MIT
 * script_shapes.c - torch calls that move numbers: views, permutations, joining, cutting, padding. Sizes that do not depend on the input
 * are numbers; one that does and keeps its place is ONNX's 0; others are computed by hidden nodes.
 */
#include "formats/script.h"

script_value cvi_script_dimension(script *s, int x, int64_t axis) {
    const cvs_tensor *p = cvi_script_shape(s, x, 0), *q = cvi_script_shape(s, x, 1);
    axis += axis < 0 ? p->rank : 0;
    if (p->rank < 0 || axis < 0 || axis >= p->rank || q->rank != p->rank) {
        return cvi_script_refuse(s, "the size of a tensor of unknown shape");
    }
    return cvi_script_sized(s, p->dim[axis], q->dim[axis],
                            (script_size){.op = 'd', .value = x, .axis = (int)axis});
}

/* ---- views ------------------------------------------------------------------------------------------------------- */

/* Reshape to a list of sizes: what depends on the input stays as 0 (the same axis) or -1 (one of them) where that is possible. */
script_value cvi_script_reshape(script *s, int x, const script_value *list, int n) {
    int64_t dims[CVS_MAX_RANK];
    int open = -1, sized = 0;
    if (n < 1 || n > CVS_MAX_RANK) {
        return cvi_script_refuse(s, "view");
    }
    for (int i = 0; i < n; i++) {
        const script_size *size = list[i].size;
        dims[i] = list[i].i[0];
        if (size && size->op == 'd' && size->value == x && size->axis == i) {
            dims[i] = 0;
        } else if (size || dims[i] == -1) {
            sized += size != NULL;
            open = open >= 0 ? n : i;
            dims[i] = -1;
        }
    }
    int in[2] = {x, -1};
    bool simple = sized == 0 || (open >= 0 && open < n);
    in[1] = simple ? cvi_script_const_ints(s, n, dims) : cvi_script_sizes(s, list, n);
    return cvi_script_simple(s, "Reshape", 2, in);
}

static script_value view(script *s, const script_call *row, const script_args *a) {
    (void)row;
    int x = cvi_script_graph_arg(s, a, 0, "input");
    script_value list = cvi_script_arg(a, 1, "size");
    return list.kind == SCRIPT_V_LIST ? cvi_script_reshape(s, x, *list.shared, *list.shared_n)
                                      : cvi_script_refuse(s, a->name);
}

/* as_strided(x, size, stride, offset) where it only names other sizes for the numbers as they lie: axes of 1 place may have any stride. */
static script_value as_strided(script *s, const script_call *row, const script_args *a) {
    (void)row;
    int x = cvi_script_graph_arg(s, a, 0, "self");
    script_value size = cvi_script_arg(a, 1, "size"), stride = cvi_script_arg(a, 2, "stride");
    const cvs_tensor *t = cvi_script_shape(s, x, 0);
    int n = size.kind == SCRIPT_V_LIST ? *size.shared_n : 0;
    if (n < 1 || n > CVS_MAX_RANK || stride.kind != SCRIPT_V_LIST || *stride.shared_n != n || t->rank < 0 ||
        cvi_script_whole_arg(a, 3, "storage_offset", 0) != 0) {
        return cvi_script_refuse(s, a->name);
    }
    int64_t dense = 1;
    bool ok = true;
    for (int i = n - 1; i >= 0; i--) {
        const script_value *dim = &(*size.shared)[i], *step = &(*stride.shared)[i];
        bool one = !dim->size && dim->i[0] == 1;
        ok &= one || i == 0 || !dim->size; /* only the first may follow the input: strides are numbers then */
        ok &= one || (!step->size && step->i[0] == dense);
        ok &= cvi_mul(dense, dim->i[0], &dense);
    }
    return ok && dense == cvs_tensor_count(t) ? cvi_script_reshape(s, x, *size.shared, n)
                                              : cvi_script_refuse(s, a->name);
}

static script_value flatten(script *s, const script_call *row, const script_args *a) {
    (void)row;
    int x = cvi_script_graph_arg(s, a, 0, "input"), rank = cvi_script_rank(s, x);
    int64_t from = cvi_script_whole_arg(a, 1, "start_dim", 0), to = cvi_script_whole_arg(a, 2, "end_dim", -1);
    if (from == 1 && to == -1) {
        script_node node = cvi_script_node(s, "Flatten", 1, &x, 1, false);
        cvi_script_attr_int(s, &node, "axis", 1);
        return cvi_script_done(s, node);
    }
    from += from < 0 ? rank : 0;
    to += to < 0 ? rank : 0;
    if (rank < 1 || from < 0 || to >= rank || from > to) {
        return cvi_script_refuse(s, a->name);
    }
    script_value list[CVS_MAX_RANK];
    int n = 0;
    for (int i = 0; i < rank; i++) {
        if (i <= from || i > to) {
            list[n++] = cvi_script_dimension(s, x, i);
        } else {
            list[n - 1] = cvi_script_arith(s, '*', list[n - 1], cvi_script_dimension(s, x, i));
        }
    }
    return cvi_script_reshape(s, x, list, n);
}

/* squeeze(x), squeeze(x, dim), squeeze(x, dims), unsqueeze(x, dim): an axis longer than 1 is not squeezed */
static script_value squeeze(script *s, const script_call *row, const script_args *a) {
    script_value dim = cvi_script_arg(a, 1, "dim");
    int in[2] = {cvi_script_graph_arg(s, a, 0, "input"), -1}, rank = cvi_script_rank(s, in[0]), n = 0,
        kept = 0;
    int64_t axes[CVS_MAX_RANK];
    bool remove = strcmp(row->op, "Squeeze") == 0, all = remove && dim.kind == SCRIPT_V_NONE;
    const cvs_tensor *x = cvi_script_shape(s, in[0], 0);
    if (dim.kind == SCRIPT_V_LIST && remove) {
        n = CVI_MIN(cvi_script_wholes(s, &dim, axes, CVS_MAX_RANK), CVS_MAX_RANK);
    } else if (dim.kind == SCRIPT_V_INT) {
        axes[n++] = dim.i[0];
    }
    if (rank < 0 || (dim.kind != SCRIPT_V_INT && !remove)) {
        return cvi_script_refuse(s, a->name);
    }
    for (int i = 0; i < (all ? rank : n); i++) {
        int64_t axis = all ? i : axes[i] + (axes[i] < 0 ? rank + !remove : 0);
        if (!remove || axis < 0 || axis >= rank || x->dim[axis] == 1) {
            axes[kept++] = axis;
        }
    }
    if (kept == 0) {
        return cvi_script_tensor(in[0]);
    }
    in[1] = cvi_script_const_ints(s, kept, axes);
    return cvi_script_simple(s, row->op, 2, in);
}

static script_value permute_to(script *s, int x, const int64_t *perm, int n) {
    script_node node = cvi_script_node(s, "Transpose", 1, &x, 1, false);
    cvi_script_attr_ints(s, &node, "perm", n, perm);
    return cvi_script_done(s, node);
}

static script_value permute(script *s, const script_call *row, const script_args *a) {
    (void)row;
    int64_t perm[CVS_MAX_RANK];
    int x = cvi_script_graph_arg(s, a, 0, "input");
    script_value dims = cvi_script_arg(a, 1, "dims");
    int n = cvi_script_wholes(s, &dims, perm, CVS_MAX_RANK);
    if (dims.kind != SCRIPT_V_LIST || n < 1 || n > CVS_MAX_RANK) {
        return cvi_script_refuse(s, a->name);
    }
    for (int i = 0; i < n; i++) {
        perm[i] += perm[i] < 0 ? n : 0;
    }
    return permute_to(s, x, perm, n);
}

/* transpose(x, dim0, dim1); mT and mH turn the last two axes */
static script_value transpose(script *s, const script_call *row, const script_args *a) {
    int64_t perm[CVS_MAX_RANK], p = row->f != 0 ? -2 : cvi_script_whole_arg(a, 1, "dim0", 0),
                                q = row->f != 0 ? -1 : cvi_script_whole_arg(a, 2, "dim1", 1);
    int x = cvi_script_graph_arg(s, a, 0, "input"), rank = cvi_script_rank(s, x);
    p += p < 0 ? rank : 0;
    q += q < 0 ? rank : 0;
    if (rank < 1 || p < 0 || q < 0 || p >= rank || q >= rank) {
        return cvi_script_refuse(s, a->name);
    }
    for (int i = 0; i < rank; i++) {
        perm[i] = i == p ? q : i == q ? p : i;
    }
    return permute_to(s, x, perm, rank);
}

/* contiguous(x), detach(x), ...: the same numbers */
static script_value same(script *s, const script_call *row, const script_args *a) {
    (void)row;
    return a->n > 0 ? a->arg[0] : cvi_script_refuse(s, a->name);
}

/* clone(x): what changes x in place afterwards does not change this */
static script_value copied(script *s, const script_call *row, const script_args *a) {
    (void)row;
    int x = cvi_script_graph_arg(s, a, 0, "input");
    return cvi_script_done(s, cvi_script_node(s, "Identity", 1, &x, 0, true));
}

static script_value expand(script *s, const script_call *row, const script_args *a) {
    (void)row;
    int in[2] = {cvi_script_graph_arg(s, a, 0, "input"), -1}, rank = cvi_script_rank(s, in[0]);
    script_value list = cvi_script_arg(a, 1, "size"), want[CVS_MAX_RANK];
    int n = list.kind == SCRIPT_V_LIST ? *list.shared_n : 0;
    if (n < 1 || n > CVS_MAX_RANK || rank < 0) {
        return cvi_script_refuse(s, a->name);
    }
    for (int i = 0; i < n; i++) { /* -1: as it is, which ONNX's broadcasting says with 1 */
        want[i] = (*list.shared)[i];
        if (!want[i].size && want[i].i[0] == -1) {
            want[i] = cvi_script_int(1);
        }
    }
    in[1] = cvi_script_sizes(s, want, n);
    return cvi_script_simple(s, "Expand", 2, in);
}

/* ---- joining and cutting ------------------------------------------------------------------------------------------- */

static script_value cat(script *s, const script_call *row, const script_args *a) {
    int in[256];
    script_value list = cvi_script_arg(a, 0, "tensors");
    int n = list.kind == SCRIPT_V_LIST ? *list.shared_n : 0;
    int64_t axis = cvi_script_whole_arg(a, 1, "dim", 0);
    bool stack = strcmp(row->name, "stack") == 0;
    if (n < 1 || n > CVI_COUNT(in)) {
        return cvi_script_refuse(s, a->name);
    }
    for (int i = 0; i < n; i++) {
        in[i] = cvi_script_graph(s, &(*list.shared)[i]);
        if (stack) {
            int pair[2] = {in[i], cvi_script_const_ints(s, 1, &axis)};
            in[i] = cvi_script_done(s, cvi_script_node(s, "Unsqueeze", 2, pair, 0, true)).v;
        }
    }
    script_node node = cvi_script_node(s, "Concat", n, in, 1, false);
    cvi_script_attr_int(s, &node, "axis", axis);
    return cvi_script_done(s, node);
}

/* x cut along an axis into pieces of these sizes */
static script_value split_into(script *s, int x, int64_t axis, const int64_t *sizes, int n) {
    int in[2] = {x, cvi_script_const_ints(s, n, sizes)};
    script_value piece[256];
    script_node node = cvi_script_nodes(s, "Split", 2, in, 1, n, false);
    cvi_script_attr_int(s, &node, "axis", axis);
    cvi_script_done(s, node);
    for (int i = 0; i < n && cvi_script_ok(s); i++) {
        piece[i] = cvi_script_tensor(s->g->nodes[node.index].out[i]);
    }
    return cvi_script_ok(s) ? cvi_script_list(s, n, piece) : cvi_script_none();
}

/* chunk(x, count, dim), split(x, size, dim), split_with_sizes(x, sizes, dim), unbind(x, dim) */
static script_value split(script *s, const script_call *row, const script_args *a) {
    int64_t sizes[256], axis;
    int x = cvi_script_graph_arg(s, a, 0, "input"), rank = cvi_script_rank(s, x), n = 0;
    script_value how = cvi_script_arg(a, 1, "split_size");
    axis = cvi_script_whole_arg(a, 2, "dim", 0);
    axis += axis < 0 ? rank : 0;
    if (rank < 1 || axis < 0 || axis >= rank) {
        return cvi_script_refuse(s, a->name);
    }
    int64_t have = cvi_script_shape(s, x, 0)->dim[axis];
    s->fixed |= cvi_script_shape(s, x, 1)->rank == rank && cvi_script_shape(s, x, 1)->dim[axis] != have;
    if (how.kind == SCRIPT_V_LIST) {
        n = cvi_script_wholes(s, &how, sizes, 256);
    } else {
        int64_t k = cvi_script_whole(&how, 1);
        int64_t size = k > 0 && strcmp(row->name, "chunk") == 0 ? (have + k - 1) / k : k;
        for (int64_t at = 0; size > 0 && at < have && n < 256; at += size) {
            sizes[n++] = CVI_MIN(size, have - at);
        }
    }
    return n > 0 && n <= 256 ? split_into(s, x, axis, sizes, n) : cvi_script_refuse(s, a->name);
}

static script_value select_at(script *s, int x, int64_t axis, int64_t at) {
    int in[2] = {x, cvi_script_const_int(s, at)};
    script_node node = cvi_script_node(s, "Gather", 2, in, 1, false);
    cvi_script_attr_int(s, &node, "axis", axis);
    return cvi_script_done(s, node);
}

/* Remembers that v is a part of x. */
static script_value part_of(script *s, script_value v, int x, int64_t axis, int64_t start, int64_t end,
                            bool one) {
    axis += axis < 0 ? cvi_script_rank(s, x) : 0;
    if (cvi_script_ok(s) && v.v >= 0 && x >= 0 && v.v != x) {
        s->view[v.v] = (script_view){.of = x, .axis = axis, .start = start, .end = end, .one = one};
    }
    return v;
}

static script_value select_one(script *s, const script_call *row, const script_args *a) {
    (void)row;
    int x = cvi_script_graph_arg(s, a, 0, "input");
    int64_t axis = cvi_script_whole_arg(a, 1, "dim", 0), at = cvi_script_whole_arg(a, 2, "index", 0);
    return part_of(s, select_at(s, x, axis, at), x, axis, at, at == -1 ? INT64_MAX : at + 1, true);
}

static script_value unbind(script *s, const script_call *row, const script_args *a) {
    (void)row;
    int x = cvi_script_graph_arg(s, a, 0, "input"), rank = cvi_script_rank(s, x);
    int64_t axis = cvi_script_whole_arg(a, 1, "dim", 0);
    script_value piece[64];
    axis += axis < 0 ? rank : 0;
    int64_t n = rank > 0 && axis >= 0 && axis < rank ? cvi_script_shape(s, x, 0)->dim[axis] : 0;
    if (n < 1 || n > CVI_COUNT(piece)) {
        return cvi_script_refuse(s, a->name);
    }
    for (int i = 0; i < n; i++) {
        piece[i] = select_at(s, x, axis, i);
    }
    return cvi_script_list(s, (int)n, piece);
}

/* slice(list, start, end) */
static script_value slice_list(script *s, const script_args *a) {
    int n = *a->arg[0].shared_n;
    int64_t from = cvi_script_whole_arg(a, 1, "start", 0), to = cvi_script_whole_arg(a, 2, "end", n);
    from = CVI_MAX(from + (from < 0 ? n : 0), 0);
    to = CVI_MIN(to + (to < 0 ? n : 0), n);
    return cvi_script_whole_arg(a, 3, "step", 1) != 1
               ? cvi_script_refuse(s, a->name)
               : cvi_script_list(s, (int)CVI_MAX(to - from, 0), *a->arg[0].shared + CVI_MIN(from, n));
}

/* slice(x, dim, start, end, step); narrow(x, dim, start, length) */
static script_value slice(script *s, const script_call *row, const script_args *a) {
    if (a->n > 0 && a->arg[0].kind == SCRIPT_V_LIST) {
        return slice_list(s, a);
    }
    bool narrow = strcmp(row->name, "narrow") == 0;
    script_value start = cvi_script_arg(a, 2, "start"), end = cvi_script_arg(a, 3, "end");
    int64_t axis = cvi_script_whole_arg(a, 1, "dim", 0),
            step = narrow ? 1 : cvi_script_whole_arg(a, 4, "step", 1);
    start = start.kind == SCRIPT_V_INT ? start : cvi_script_int(0);
    end = end.kind == SCRIPT_V_INT ? end : cvi_script_int(INT64_MAX);
    end = narrow ? cvi_script_arith(s, '+', start, end) : end;
    int x = cvi_script_graph_arg(s, a, 0, "input");
    if (!start.size && !end.size && start.i[0] == 0 && end.i[0] == INT64_MAX && step == 1) {
        return cvi_script_tensor(x);
    }
    int in[5] = {x, cvi_script_sizes(s, &start, 1), cvi_script_sizes(s, &end, 1),
                 cvi_script_const_ints(s, 1, &axis), cvi_script_const_ints(s, 1, &step)};
    script_value v = cvi_script_simple(s, "Slice", 5, in);
    return step == 1 && !start.size && !end.size ? part_of(s, v, x, axis, start.i[0], end.i[0], false) : v;
}

/* ---- padding, shuffles ---------------------------------------------------------------------------------------------- */

/* constant_pad_nd(x, [left, right, top, bottom, ...], value); pad(x, pad, mode, value) */
static script_value pad(script *s, const script_call *row, const script_args *a) {
    int64_t amount[2 * CVS_MAX_RANK], pads[2 * CVS_MAX_RANK] = {0};
    int in[3] = {cvi_script_graph_arg(s, a, 0, "input"), -1, -1}, rank = cvi_script_rank(s, in[0]);
    script_value list = cvi_script_arg(a, 1, "pad"), mode = cvi_script_arg(a, 2, "mode"),
                 value = cvi_script_arg(a, 2, "value");
    const char *how = row->op;
    int n = cvi_script_wholes(s, &list, amount, 2 * CVS_MAX_RANK);
    if (!how) { /* pad() names its mode */
        how = mode.kind != SCRIPT_V_STRING || strcmp(mode.s, "constant") == 0 ? "constant"
              : strcmp(mode.s, "reflect") == 0                                ? "reflect"
              : strcmp(mode.s, "replicate") == 0                              ? "edge"
                                                                              : "wrap";
        value = cvi_script_arg(a, 3, "value");
    }
    if (list.kind != SCRIPT_V_LIST || rank < 1 || n % 2 || n / 2 > rank) {
        return cvi_script_refuse(s, a->name);
    }
    for (int i = 0; i < n / 2; i++) {
        pads[rank - 1 - i] = amount[2 * i];
        pads[2 * rank - 1 - i] = amount[2 * i + 1];
    }
    in[1] = cvi_script_const_ints(s, 2 * rank, pads);
    bool constant = strcmp(how, "constant") == 0;
    in[2] = constant ? cvi_script_const_float(s, cvi_script_number(&value, 0)) : -1;
    script_node node = cvi_script_node(s, "Pad", constant ? 3 : 2, in, 1, false);
    cvi_script_attr_string(s, &node, "mode", how);
    return cvi_script_done(s, node);
}

static script_value pixel_shuffle(script *s, const script_call *row, const script_args *a) {
    int x = cvi_script_graph_arg(s, a, 0, "input");
    script_node node = cvi_script_node(s, row->op, 1, &x, 2, false);
    cvi_script_attr_int(s, &node, "blocksize", cvi_script_whole_arg(a, 1, "factor", 2));
    cvi_script_attr_string(s, &node, "mode", "CRD");
    return cvi_script_done(s, node);
}

static script_value size(script *s, const script_call *row, const script_args *a) {
    (void)row;
    int x = cvi_script_graph_arg(s, a, 0, "input"), rank = cvi_script_rank(s, x);
    script_value dim = cvi_script_arg(a, 1, "dim"), all[CVS_MAX_RANK];
    if (dim.kind == SCRIPT_V_INT) {
        return cvi_script_dimension(s, x, dim.i[0]);
    }
    for (int i = 0; i < rank; i++) {
        all[i] = cvi_script_dimension(s, x, i);
    }
    return rank >= 0 ? cvi_script_list(s, rank, all)
                     : cvi_script_refuse(s, "the size of a tensor of unknown shape");
}

static script_value dim(script *s, const script_call *row, const script_args *a) {
    (void)row;
    int rank = cvi_script_rank(s, cvi_script_graph_arg(s, a, 0, "input"));
    return rank >= 0 ? cvi_script_int(rank) : cvi_script_refuse(s, "the size of a tensor of unknown shape");
}

static script_value numel(script *s, const script_call *row, const script_args *a) {
    (void)row;
    int x = cvi_script_graph_arg(s, a, 0, "self"), rank = cvi_script_rank(s, x);
    script_value n = cvi_script_int(1);
    for (int i = 0; i < rank; i++) {
        n = cvi_script_arith(s, '*', n, cvi_script_dimension(s, x, i));
    }
    return rank >= 0 ? n : cvi_script_refuse(s, "the size of a tensor of unknown shape");
}

static const script_call rows[] = {
    {"view", view, NULL, 0},
    {"reshape", view, NULL, 0},
    {"_reshape_alias", view, NULL, 0},
    {"_unsafe_view", view, NULL, 0},
    {"as_strided", as_strided, NULL, 0},
    {"flatten", flatten, NULL, 0},
    {"squeeze", squeeze, "Squeeze", 0},
    {"unsqueeze", squeeze, "Unsqueeze", 0},
    {"permute", permute, NULL, 0},
    {"transpose", transpose, NULL, 0},
    {"contiguous", same, NULL, 0},
    {"lift_fresh_copy", same, NULL, 0},
    {"detach", same, NULL, 0},
    {"alias", same, NULL, 0},
    {"cpu", same, NULL, 0},
    {"data", same, NULL, 0},
    {"clone", copied, NULL, 0},
    {"expand", expand, NULL, 0},
    {"cat", cat, NULL, 0},
    {"concat", cat, NULL, 0},
    {"stack", cat, NULL, 0},
    {"chunk", split, NULL, 0},
    {"split", split, NULL, 0},
    {"split_with_sizes", split, NULL, 0},
    {"tensor_split", split, NULL, 0},
    {"unbind", unbind, NULL, 0},
    {"select", select_one, NULL, 0},
    {"slice", slice, NULL, 0},
    {"narrow", slice, NULL, 0},
    {"constant_pad_nd", pad, "constant", 0},
    {"mT", transpose, NULL, 1},
    {"mH", transpose, NULL, 1},
    {"adjoint", transpose, NULL, 1},
    {"swapaxes", transpose, NULL, 0},
    {"swapdims", transpose, NULL, 0},
    {"numel", numel, NULL, 0},
    {"reflection_pad1d", pad, "reflect", 0},
    {"reflection_pad2d", pad, "reflect", 0},
    {"replication_pad1d", pad, "edge", 0},
    {"replication_pad2d", pad, "edge", 0},
    {"pad", pad, NULL, 0},
    {"pixel_shuffle", pixel_shuffle, "DepthToSpace", 0},
    {"pixel_unshuffle", pixel_shuffle, "SpaceToDepth", 0},
    {"size", size, NULL, 0},
    {"dim", dim, NULL, 0},
};

const script_calls cvi_script_shapes = {rows, CVI_COUNT(rows)};

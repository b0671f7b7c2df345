/* SPDX-License-Identifier: MIT
 * tf_shape.c - TensorFlow's operations that move numbers: reshaping (always in the order of the file's own axes), slices, joins,
 * padding, resizing. A free batch stays free where the shape says that it is kept.
 */
#include "formats/tf.h"

static bool is_image(const cvi_tf *t, int rank) {
    return (rank == 4 || rank == 5) && !t->first;
}

/* Hands the hidden or named value on: images that have the file's own axes are turned under the name. */
static cvi_tf_tensor settle(cvi_tf *t, int v, int rank) {
    int64_t perm[CVS_MAX_RANK];
    cvi_tf_permutation(rank, true, perm);
    int turned = cvi_tf_op(t, "Transpose", NULL, 1, &v);
    cvi_build_ints(&t->b, "perm", rank, perm);
    cvi_tf_tensor out = cvi_tf_value(t, turned, rank, true);
    out.form[0] = v;
    return out;
}

/* Whether an image of these own dimensions has the same order of elements in both forms. */
static bool one_order(int rank, const int64_t *dim) {
    bool sides = true;
    for (int i = 1; i < rank - 1; i++) {
        sides &= dim[i] == 1;
    }
    return sides || dim[rank - 1] == 1;
}

/* The target as the graph's Reshape wants it: 0 keeps the batch. */
static void free_batch(cvi_tf *t, cvi_tf_tensor *x, int rank, int64_t *dim) {
    int64_t have[CVS_MAX_RANK];
    bool open = false;
    for (int i = 0; i < rank; i++) {
        open |= dim[i] < 0;
    }
    if (x->exact || rank < 1 || x->rank < 1 || !cvi_tf_dims(t, x, have)) {
        return;
    }
    if (dim[0] > 0 && dim[0] == have[0]) {
        dim[0] = 0;
    } else if (dim[0] > 1 && !open) {
        dim[0] = -1;
    }
}

/* A constant seen as another shape is a constant. */
static cvi_tf_tensor reshape_constant(cvi_tf *t, const cvi_tf_tensor *x, int rank, const int64_t *dim) {
    cvs_tensor c = x->constant;
    int64_t n = cvs_tensor_count(&c), known = 1;
    int open = -1;
    c.rank = rank;
    for (int i = 0; i < rank; i++) {
        c.dim[i] = dim[i];
        open = dim[i] < 0 ? i : open;
        known = dim[i] < 0 || cvi_mul(known, dim[i], &known) ? known : -1;
    }
    if (open >= 0) {
        c.dim[open] = known > 0 ? n / known : 0;
    }
    if (cvs_tensor_count(&c) != n) {
        char text[200];
        cvi_build_set(&t->b, cvi_fail(t->b.err, CVS_E_SHAPE, "%lld numbers cannot have the shape %s",
                                      (long long)n, cvs_shape_text(rank, dim, text, sizeof text)));
    }
    return cvi_tf_constant(t->name, &c);
}

cvi_tf_tensor cvi_tf_reshape(cvi_tf *t, cvi_tf_tensor *x, int rank, const int64_t *dim) {
    int64_t to[CVS_MAX_RANK] = {0};
    if (rank > CVS_MAX_RANK) {
        cvi_build_set(&t->b, cvi_fail(t->b.err, CVS_E_UNSUPPORTED,
                                      "a tensor of rank %d, at most %d is supported", rank, CVS_MAX_RANK));
        return cvi_tf_none();
    }
    if (cvi_tf_is_constant(x)) {
        return reshape_constant(t, x, rank, dim);
    }
    for (int i = 0; i < rank; i++) {
        to[i] = dim[i];
        if (dim[i] == 0) { /* no elements; a 0 would copy the input's size */
            cvi_build_set(&t->b, cvi_fail(t->b.err, CVS_E_UNSUPPORTED, "a tensor without elements"));
        }
    }
    int v = cvi_tf_any_order(t, x);
    free_batch(t, x, rank, to);
    bool image = is_image(t, rank), direct = image && one_order(rank, to);
    if (direct) {
        int64_t perm[CVS_MAX_RANK], own[CVS_MAX_RANK];
        memcpy(own, to, sizeof own);
        cvi_tf_permutation(rank, true, perm);
        for (int i = 0; i < rank; i++) {
            to[i] = own[perm[i]];
        }
    }
    int in[2] = {v, cvi_build_const_ints(&t->b, cvi_tf_part(t, "shape"), rank, to)};
    v = cvi_tf_op(t, "Reshape", image && !direct ? "rows" : NULL, 2, in);
    cvi_tf_tensor out = image && !direct ? settle(t, v, rank) : cvi_tf_value(t, v, rank, direct);
    out.exact = x->exact;
    return out;
}

cvi_tf_tensor cvi_tf_reshape_to(cvi_tf *t, cvi_tf_tensor *x, cvi_tf_tensor *shape) {
    int in[2] = {cvi_tf_form(t, x, false), cvi_tf_form(t, shape, false)};
    int64_t rank[CVS_MAX_RANK];
    int v;
    if (cvi_tf_dtype(t, shape) != CVS_I64) {
        in[1] = cvi_tf_op(t, "Cast", "shape", 1, &in[1]);
        cvi_build_int(&t->b, "to", CVS_I64);
    }
    v = cvi_tf_op(t, "Reshape", NULL, 2, in);
    int n = cvi_tf_dims(t, shape, rank) && shape->rank == 1 && rank[0] <= CVS_MAX_RANK ? (int)rank[0] : -1;
    return cvi_tf_value(t, v, n, false);
}

cvi_tf_tensor cvi_tf_identity(cvi_tf *t, cvi_tf_tensor *x) {
    bool moved = cvi_tf_is_moved(x);
    int v = cvi_tf_form(t, x, moved);
    cvi_tf_tensor out = cvi_tf_value(t, cvi_tf_op(t, "Identity", NULL, 1, &v), x->rank, moved);
    out.exact = x->exact;
    return out;
}

/* Turning between the two forms is only another way to see the same value. */
static bool is_turn(int rank, const int64_t *perm, bool to_moved) {
    int64_t turn[CVS_MAX_RANK];
    cvi_tf_permutation(rank, to_moved, turn);
    return rank > 2 && memcmp(turn, perm, (size_t)rank * sizeof *perm) == 0;
}

cvi_tf_tensor cvi_tf_transpose(cvi_tf *t, cvi_tf_tensor *x, const int64_t *perm) {
    int rank = x->rank;
    bool constant = cvi_tf_is_constant(x);
    if (!constant && is_turn(rank, perm, true) && x->form[1] >= 0) { /* [N,H,W,C] -> [N,C,H,W]: it is there */
        int v = cvi_tf_op(t, "Identity", NULL, 1, &x->form[1]);
        return cvi_tf_value(t, v, rank, false);
    }
    if (!constant && is_image(t, rank) && is_turn(rank, perm, false) && x->form[0] >= 0) {
        int v = cvi_tf_op(t, "Identity", NULL, 1, &x->form[0]);
        return cvi_tf_value(t, v, rank, true);
    }
    int v = cvi_tf_form(t, x, false);
    v = cvi_tf_op(t, "Transpose", NULL, 1, &v);
    cvi_build_ints(&t->b, "perm", rank, perm);
    cvi_tf_tensor out = cvi_tf_value(t, v, rank, false);
    out.exact = x->exact;
    return out;
}

cvi_tf_tensor cvi_tf_concat(cvi_tf *t, int n, cvi_tf_tensor *const *in, int64_t axis) {
    int *values = cvi_arena_alloc(t->b.model->arena, CVI_MAX(n, 1), sizeof *values);
    bool moved = false, exact = true;
    if (!values || n < 1) {
        cvi_build_no_memory(&t->b, 0);
        return cvi_tf_none();
    }
    for (int i = 0; i < n; i++) {
        moved |= cvi_tf_is_moved(in[i]);
        exact &= in[i]->exact;
    }
    for (int i = 0; i < n; i++) {
        values[i] = cvi_tf_form(t, in[i], moved);
    }
    int a = cvi_tf_axis(t, in[0], axis, moved);
    int v = cvi_tf_op(t, "Concat", NULL, n, values);
    cvi_build_int(&t->b, "axis", a);
    cvi_tf_tensor out = cvi_tf_value(t, v, in[0]->rank, moved);
    out.exact = exact;
    return out;
}

cvi_tf_tensor cvi_tf_pack(cvi_tf *t, int n, cvi_tf_tensor *const *in, int64_t axis) {
    int *values = cvi_arena_alloc(t->b.model->arena, CVI_MAX(n, 1), sizeof *values);
    bool exact = true;
    if (!values || n < 1) {
        cvi_build_no_memory(&t->b, 0);
        return cvi_tf_none();
    }
    int rank = in[0]->rank + 1;
    int64_t a = axis < 0 ? axis + rank : axis;
    int axes = cvi_build_const_ints(&t->b, cvi_tf_part(t, "axis"), 1, &a);
    for (int i = 0; i < n; i++) {
        values[i] = cvi_tf_op(t, "Unsqueeze", "item", 2, (int[]){cvi_tf_form(t, in[i], false), axes});
        exact &= in[i]->exact;
    }
    bool image = is_image(t, rank);
    int v = cvi_tf_op(t, "Concat", image ? "rows" : NULL, n, values);
    cvi_build_int(&t->b, "axis", a);
    cvi_tf_tensor out = image ? settle(t, v, rank) : cvi_tf_value(t, v, rank, false);
    out.exact = exact;
    return out;
}

void cvi_tf_split(cvi_tf *t, cvi_tf_tensor *x, int64_t axis, int n, const int64_t *sizes, bool squeeze,
                  const char *const *names, cvi_tf_tensor *out) {
    bool moved = cvi_tf_is_moved(x) && !squeeze;
    const char *own = t->name;
    int a = cvi_tf_axis(t, x, axis, moved);
    int in[2] = {cvi_tf_form(t, x, moved), cvi_build_const_ints(&t->b, cvi_tf_part(t, "sizes"), n, sizes)};
    cvi_build_node(&t->b, "Split", t->name, 2, in, n);
    cvi_build_int(&t->b, "axis", a);
    for (int i = 0; i < n && cvi_build_ok(&t->b); i++) {
        const char *name = squeeze ? cvi_build_name(&t->b, "%s/piece", names[i]) : names[i];
        t->name = names[i];
        out[i] = cvi_tf_value(t, cvi_build_out(&t->b, i, name, squeeze), x->rank, moved);
        out[i].exact = x->exact;
    }
    for (int i = 0; i < n && squeeze && cvi_build_ok(&t->b); i++) {
        t->name = names[i];
        out[i] = cvi_tf_squeeze(t, &out[i], 1, (int64_t[]){a});
    }
    t->name = own;
}

cvi_tf_tensor cvi_tf_pad(cvi_tf *t, cvi_tf_tensor *x, const int64_t *pads, const char *mode, double value) {
    bool moved = cvi_tf_is_moved(x);
    int64_t list[2 * CVS_MAX_RANK];
    for (int i = 0; i < x->rank; i++) {
        int a = cvi_tf_axis(t, x, i, moved);
        list[a] = pads[2 * i];
        list[x->rank + a] = pads[2 * i + 1];
    }
    int in[3] = {cvi_tf_form(t, x, moved),
                 cvi_build_const_ints(&t->b, cvi_tf_part(t, "pads"), 2 * x->rank, list), -1};
    int n = 2;
    if (value != 0) {
        in[2] = cvi_build_const_float(&t->b, cvi_tf_part(t, "value"), value);
        n = 3;
    }
    int v = cvi_tf_op(t, "Pad", NULL, n, in);
    cvi_build_string(&t->b, "mode", mode);
    return cvi_tf_value(t, v, x->rank, moved);
}

cvi_tf_tensor cvi_tf_slice(cvi_tf *t, cvi_tf_tensor *x, const int64_t *begin, const int64_t *end,
                           const int64_t *step) {
    bool moved = cvi_tf_is_moved(x);
    int64_t b[CVS_MAX_RANK], e[CVS_MAX_RANK], s[CVS_MAX_RANK], axes[CVS_MAX_RANK];
    int m = 0;
    for (int i = 0; i < x->rank; i++) {
        bool whole = step[i] == 1 && begin[i] == 0 && end[i] == INT64_MAX;
        if (!whole) {
            b[m] = begin[i];
            e[m] = end[i];
            s[m] = step[i];
            axes[m++] = cvi_tf_axis(t, x, i, moved);
        }
    }
    if (m == 0) {
        return cvi_tf_identity(t, x);
    }
    int in[5] = {cvi_tf_form(t, x, moved), cvi_build_const_ints(&t->b, cvi_tf_part(t, "begin"), m, b),
                 cvi_build_const_ints(&t->b, cvi_tf_part(t, "end"), m, e),
                 cvi_build_const_ints(&t->b, cvi_tf_part(t, "axes"), m, axes),
                 cvi_build_const_ints(&t->b, cvi_tf_part(t, "steps"), m, s)};
    cvi_tf_tensor out = cvi_tf_value(t, cvi_tf_op(t, "Slice", NULL, 5, in), x->rank, moved);
    out.exact = x->exact;
    return out;
}

/* Spreads the specification over x's axes: what is said per entry, with an ellipsis and axes that are added or taken away. */
typedef struct spread {
    int64_t begin[CVS_MAX_RANK], end[CVS_MAX_RANK], step[CVS_MAX_RANK];
    int n_gone, n_new;
    int64_t gone[CVS_MAX_RANK], added[16]; /* axes of x; places among what is left */
} spread;

static bool spread_slices(int rank, const cvi_tf_strided *s, spread *p) {
    int axis = 0, place = 0, used = 0;
    bool ellipsis = false;
    for (int i = 0; i < s->n; i++) {
        used += !(s->new_axis_mask >> i & 1) && !(s->ellipsis_mask >> i & 1);
    }
    for (int i = 0; i < rank; i++) {
        p->begin[i] = 0;
        p->end[i] = INT64_MAX;
        p->step[i] = 1;
    }
    for (int i = 0; i < s->n; i++) {
        if (s->ellipsis_mask >> i & 1) {
            int skip = ellipsis ? 0 : CVI_MAX(rank - used, 0);
            ellipsis = true;
            axis += skip;
            place += skip;
        } else if (s->new_axis_mask >> i & 1) {
            p->added[p->n_new++] = place++;
        } else if (axis >= rank || s->step[i] == 0) {
            return false;
        } else {
            bool shrink = s->shrink_mask >> i & 1;
            p->step[axis] = shrink ? 1 : s->step[i];
            p->begin[axis] = s->begin_mask >> i & 1 ? (s->step[i] > 0 ? 0 : INT64_MAX) : s->begin[i];
            p->end[axis] = s->end_mask >> i & 1 ? (s->step[i] > 0 ? INT64_MAX : INT64_MIN) : s->end[i];
            if (shrink) {
                p->begin[axis] = s->begin[i];
                p->end[axis] = s->begin[i] == -1 ? INT64_MAX : s->begin[i] + 1;
                p->gone[p->n_gone++] = axis;
            }
            place += !shrink;
            axis++;
        }
    }
    return true;
}

cvi_tf_tensor cvi_tf_strided_slice(cvi_tf *t, cvi_tf_tensor *x, const cvi_tf_strided *s) {
    spread p = {0};
    if (x->rank < 0 || !spread_slices(x->rank, s, &p) || x->rank - p.n_gone + p.n_new > CVS_MAX_RANK) {
        cvi_build_set(&t->b, cvi_fail(t->b.err, x->rank < 0 ? CVS_E_UNSUPPORTED : CVS_E_SHAPE,
                                      "the slice does not fit a tensor of rank %d", x->rank));
        return cvi_tf_none();
    }
    const char *own = t->name;
    bool more = p.n_gone > 0 || p.n_new > 0;
    t->name = more ? cvi_tf_part(t, "slice") : own;
    cvi_tf_tensor out = cvi_tf_slice(t, x, p.begin, p.end, p.step);
    if (more && out.form[out.moved] >= 0) {
        t->b.g->values[out.form[out.moved]].hidden = true;
    }
    t->name = own;
    if (p.n_gone > 0) {
        t->name = p.n_new > 0 ? cvi_tf_part(t, "squeeze") : own;
        out = cvi_tf_squeeze(t, &out, p.n_gone, p.gone);
        t->name = own;
    }
    for (int i = 0; i < p.n_new; i++) {
        t->name = i + 1 < p.n_new ? cvi_tf_part(t, "axis") : own;
        out = cvi_tf_expand_dims(t, &out, p.added[i]);
        t->name = own;
    }
    return out;
}

/* Adding and taking away axes of size 1: for images a reshape, so that they come out moved; else the operators themselves. */
static cvi_tf_tensor reshape_ones(cvi_tf *t, cvi_tf_tensor *x, const char *op, int n, int64_t *axes, int rank,
                                  const int64_t *dim) {
    bool image = is_image(t, rank) || cvi_tf_is_moved(x);
    if (dim && image) {
        return cvi_tf_reshape(t, x, rank, dim);
    }
    int in[2] = {cvi_tf_form(t, x, false), cvi_build_const_ints(&t->b, cvi_tf_part(t, "axes"), n, axes)};
    cvi_tf_tensor out = cvi_tf_value(t, cvi_tf_op(t, op, NULL, 2, in), rank, false);
    out.exact = x->exact;
    return out;
}

cvi_tf_tensor cvi_tf_expand_dims(cvi_tf *t, cvi_tf_tensor *x, int64_t axis) {
    int64_t dim[CVS_MAX_RANK], to[CVS_MAX_RANK], a = axis < 0 ? axis + x->rank + 1 : axis;
    bool known = cvi_tf_dims(t, x, dim);
    if (x->rank < 0 || x->rank >= CVS_MAX_RANK || a < 0 || a > x->rank) {
        cvi_build_set(&t->b,
                      cvi_fail(t->b.err, x->rank < 0 ? CVS_E_UNSUPPORTED : CVS_E_SHAPE,
                               "axis %lld does not exist in a tensor of rank %d", (long long)axis, x->rank));
        return cvi_tf_none();
    }
    for (int i = 1; known && i < x->rank; i++) {
        known = dim[i] >= 0;
    }
    for (int i = 0; i <= x->rank; i++) {
        to[i] = i == a ? 1 : known ? dim[i < a ? i : i - 1] : 1;
    }
    return reshape_ones(t, x, "Unsqueeze", 1, &a, x->rank + 1, known && a > 0 ? to : NULL);
}

cvi_tf_tensor cvi_tf_squeeze(cvi_tf *t, cvi_tf_tensor *x, int n, const int64_t *axes) {
    int64_t dim[CVS_MAX_RANK], to[CVS_MAX_RANK], list[CVS_MAX_RANK];
    bool gone[CVS_MAX_RANK] = {false}, known = cvi_tf_dims(t, x, dim);
    int m = 0, rank = 0;
    if (n == 0 && !known) {
        cvi_build_set(&t->b, cvi_fail(t->b.err, CVS_E_UNSUPPORTED, "an input whose shape is not known"));
        return cvi_tf_none();
    }
    for (int i = 0; i < n && cvi_build_ok(&t->b); i++) {
        gone[cvi_tf_axis(t, x, axes[i], false)] = true;
    }
    for (int i = 0; i < x->rank; i++) {
        gone[i] |= n == 0 && dim[i] == 1 && (i > 0 || x->rank == 1);
        if (gone[i]) {
            list[m++] = i;
        } else {
            to[rank++] = known ? dim[i] : 1;
        }
    }
    if (m == 0) {
        return cvi_tf_identity(t, x);
    }
    for (int i = 1; known && i < x->rank; i++) {
        known = dim[i] >= 0;
    }
    return reshape_ones(t, x, "Squeeze", m, list, rank, known && !gone[0] ? to : NULL);
}

cvi_tf_tensor cvi_tf_tile(cvi_tf *t, cvi_tf_tensor *x, int n, const int64_t *times) {
    bool moved = cvi_tf_is_moved(x);
    int64_t list[CVS_MAX_RANK] = {1};
    for (int i = 0; i < x->rank && i < n; i++) {
        list[cvi_tf_axis(t, x, i, moved)] = times[i];
    }
    int in[2] = {cvi_tf_form(t, x, moved),
                 cvi_build_const_ints(&t->b, cvi_tf_part(t, "times"), x->rank, list)};
    cvi_tf_tensor out = cvi_tf_value(t, cvi_tf_op(t, "Tile", NULL, 2, in), x->rank, moved);
    out.exact = x->exact;
    return out;
}

cvi_tf_tensor cvi_tf_gather(cvi_tf *t, cvi_tf_tensor *x, cvi_tf_tensor *at, int64_t axis) {
    bool moved = cvi_tf_is_moved(x) && at->rank == 1;
    int a = cvi_tf_axis(t, x, axis, moved);
    int in[2] = {cvi_tf_form(t, x, moved), cvi_tf_form(t, at, false)};
    int v = cvi_tf_op(t, "Gather", NULL, 2, in);
    cvi_build_int(&t->b, "axis", a);
    cvi_tf_tensor out = cvi_tf_value(t, v, x->rank + at->rank - 1, moved);
    out.exact = x->exact && at->exact;
    return out;
}

cvi_tf_tensor cvi_tf_shape_of(cvi_tf *t, cvi_tf_tensor *x, cvs_dtype type) {
    bool moved = cvi_tf_is_moved(x), cast = type != CVS_I64;
    int v = cvi_tf_form(t, x, moved);
    v = cvi_tf_op(t, "Shape", cast || moved ? "shape" : NULL, 1, &v);
    if (moved) {
        int64_t order[CVS_MAX_RANK];
        cvi_tf_permutation(x->rank, false, order);
        int in[2] = {v, cvi_build_const_ints(&t->b, cvi_tf_part(t, "order"), x->rank, order)};
        v = cvi_tf_op(t, "Gather", cast ? "own" : NULL, 2, in);
    }
    if (cast) {
        v = cvi_tf_op(t, "Cast", NULL, 1, &v);
        cvi_build_int(&t->b, "to", type);
    }
    return cvi_tf_value(t, v, 1, false);
}

static cvi_tf_tensor resize(cvi_tf *t, cvi_tf_tensor *x, const char *mode, int sizes, cvi_tf_pixels where) {
    static const char *const names[] = {"asymmetric", "half_pixel", "align_corners"};
    bool nearest = strcmp(mode, "nearest") == 0;
    const int64_t axes[2] = {2, 3};
    int in[4] = {cvi_tf_form(t, x, true), -1, -1, sizes};
    int v = cvi_tf_op(t, "Resize", NULL, 4, in);
    cvi_build_string(&t->b, "mode", mode);
    cvi_build_string(&t->b, "coordinate_transformation_mode", names[where]);
    cvi_build_ints(&t->b, "axes", 2, axes);
    if (nearest) {
        cvi_build_string(&t->b, "nearest_mode", where == CVI_TF_PIXEL_CORNER ? "floor" : "round_prefer_ceil");
    }
    return cvi_tf_value(t, v, 4, true);
}

cvi_tf_tensor cvi_tf_resize(cvi_tf *t, cvi_tf_tensor *x, const char *mode, const int64_t size[2],
                            cvi_tf_pixels where) {
    return resize(t, x, mode, cvi_build_const_ints(&t->b, cvi_tf_part(t, "size"), 2, size), where);
}

cvi_tf_tensor cvi_tf_resize_to(cvi_tf *t, cvi_tf_tensor *x, const char *mode, cvi_tf_tensor *size,
                               cvi_tf_pixels where) {
    int v = cvi_tf_form(t, size, false);
    v = cvi_tf_op(t, "Cast", "size", 1, &v);
    cvi_build_int(&t->b, "to", CVS_I64);
    return resize(t, x, mode, v, where);
}

cvi_tf_tensor cvi_tf_blocks(cvi_tf *t, const char *op, cvi_tf_tensor *x, int64_t block) {
    int v = cvi_tf_form(t, x, true);
    v = cvi_tf_op(t, op, NULL, 1, &v);
    cvi_build_int(&t->b, "blocksize", block);
    return cvi_tf_value(t, v, 4, true);
}

cvi_tf_tensor cvi_tf_space_to_batch(cvi_tf *t, const cvi_tf_tensor *x, const int64_t block[2],
                                    const int64_t pads[4]) {
    cvi_tf_tensor out = *x;
    bool fits = x->rank == 4 && !x->block[0] && !t->first && !cvi_tf_is_constant(x);
    for (int i = 0; i < 4; i++) {
        fits &= pads[i] >= 0 && pads[i] < INT32_MAX;
    }
    if (!fits || block[0] < 1 || block[1] < 1 || block[0] > INT32_MAX || block[1] > INT32_MAX) {
        cvi_build_set(&t->b, cvi_fail(t->b.err, CVS_E_UNSUPPORTED, "pictures cut into blocks are not run"));
        return cvi_tf_none();
    }
    memcpy(out.block, block, sizeof out.block);
    memcpy(out.block_pads, pads, sizeof out.block_pads);
    out.joined = false;
    return out;
}

cvi_tf_tensor cvi_tf_batch_to_space(cvi_tf *t, cvi_tf_tensor *x, const int64_t block[2],
                                    const int64_t crops[4]) {
    if (!x->joined || memcmp(x->block, block, sizeof x->block) != 0) {
        cvi_build_set(&t->b, cvi_fail(t->b.err, CVS_E_UNSUPPORTED, "pictures cut into blocks are not run"));
        return cvi_tf_none();
    }
    cvi_tf_tensor whole = *x;
    memset(whole.block, 0, sizeof whole.block);
    whole.joined = false;
    const int64_t begin[4] = {0, crops[0], crops[1], 0}, step[4] = {1, 1, 1, 1};
    int64_t end[4] = {INT64_MAX, INT64_MAX, INT64_MAX, INT64_MAX};
    for (int i = 0; i < 2; i++) {
        end[1 + i] = crops[2 + i] > 0 ? -crops[2 + i] : INT64_MAX;
    }
    return cvi_tf_slice(t, &whole, begin, end, step);
}

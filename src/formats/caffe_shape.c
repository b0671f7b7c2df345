/* SPDX-License-Identifier: MIT
 * caffe_shape.c - Caffe's layers that join, cut and rearrange blobs.
 */
#include "formats/caffe.h"

void cvi_caffe_split(cvi_caffe *c) {
    for (int k = 0; k < CVI_MAX(c->layer->n_top, 1) && cvi_build_ok(&c->b); k++) {
        cvi_caffe_top(c, k, cvi_caffe_op(c, "Identity", NULL, 1, c->in));
    }
}

void cvi_caffe_concat(cvi_caffe *c) {
    int axis = cvi_caffe_axis(c, "axis", "concat_dim", 1, cvi_caffe_rank(c, c->in[0]));
    int v = cvi_caffe_op(c, "Concat", NULL, c->n_in, c->in);
    cvi_build_int(&c->b, "axis", axis);
    cvi_caffe_top(c, 0, v);
}

/* Each bottom times its coefficient. */
static void weigh(cvi_caffe *c, int *in) {
    for (int k = 0; k < c->n_in; k++) {
        double v = cvi_caffe_number(c, "coeff", NULL, k, 1);
        in[k] = c->in[k];
        if (v != 1) {
            char name[40];
            snprintf(name, sizeof name, "coefficient-%d", k);
            int pair[2] = {c->in[k], cvi_caffe_float(c, name, v)};
            snprintf(name, sizeof name, "weighted-%d", k);
            in[k] = cvi_caffe_op(c, "Mul", name, 2, pair);
        }
    }
}

void cvi_caffe_eltwise(cvi_caffe *c) {
    const char *how = cvi_caffe_word(c, "operation", "SUM");
    int in[CVI_COUNT(c->in)], n = c->n_in;
    if (cvi_caffe_same(how, "MAX") || strcmp(how, "2") == 0) {
        cvi_caffe_top(c, 0, cvi_caffe_op(c, "Max", NULL, n, c->in));
    } else if (cvi_caffe_same(how, "PROD") || strcmp(how, "0") == 0) {
        int v = c->in[0];
        for (int k = 1; k < n; k++) {
            char name[40];
            int pair[2] = {v, c->in[k]};
            snprintf(name, sizeof name, "product-%d", k);
            v = cvi_caffe_op(c, "Mul", k + 1 < n ? name : NULL, 2, pair);
        }
        cvi_caffe_top(c, 0, n > 1 ? v : cvi_caffe_op(c, "Identity", NULL, 1, c->in));
    } else {
        weigh(c, in);
        cvi_caffe_top(c, 0, cvi_caffe_op(c, n == 2 ? "Add" : "Sum", NULL, n, in));
    }
}

/* One cut of a blob along an axis, known by its top. */
static int cut(cvi_caffe *c, int x, int axis, int64_t from, int64_t to, int k) {
    char name[40];
    int64_t a = axis;
    snprintf(name, sizeof name, "from-%d", k);
    int in[4] = {x, cvi_caffe_ints(c, name, 1, &from), -1, -1};
    snprintf(name, sizeof name, "to-%d", k);
    in[2] = cvi_caffe_ints(c, name, 1, &to);
    snprintf(name, sizeof name, "axis-%d", k);
    in[3] = cvi_caffe_ints(c, name, 1, &a);
    c->name = c->layer->n_top > 1 ? c->layer->top[k] : NULL;
    int v = cvi_caffe_op(c, "Slice", NULL, 4, in);
    c->name = NULL;
    return v;
}

void cvi_caffe_slice(cvi_caffe *c) {
    int axis = cvi_caffe_axis(c, "axis", "slice_dim", 1, cvi_caffe_rank(c, c->in[0])), n = c->layer->n_top;
    int points = cvi_caffe_count(cvi_caffe_params(c), "slice_point");
    int64_t all = cvi_caffe_dim(c, c->in[0], axis), from = 0;
    if (points == 0 && (all < 0 || c->guessed)) {
        cvi_caffe_opaque(c, "the size that is to be cut is not known");
        return;
    }
    if (cvi_build_ok(&c->b) && (n < 1 || (points > 0 && points != n - 1) || (points == 0 && all % n != 0))) {
        cvi_build_set(&c->b,
                      cvi_fail(c->b.err, CVS_E_SHAPE, "%d tops do not fit %d points of cutting", n, points));
    }
    for (int k = 0; k < n && cvi_build_ok(&c->b); k++) {
        int64_t to = points == 0  ? all / n * (k + 1)
                     : k < points ? cvi_caffe_int(c, "slice_point", NULL, k, 0)
                                  : INT64_MAX;
        cvi_caffe_top(c, k, cut(c, c->in[0], axis, from, to, k));
        from = to;
    }
}

void cvi_caffe_crop(cvi_caffe *c) {
    const cvs_tensor *s = cvi_caffe_shape(c, c->in[0]);
    const cvs_tensor *like = c->n_in > 1 ? cvi_caffe_shape(c, c->in[1]) : NULL;
    if (!s || !like || s->rank != like->rank || c->guessed || strcmp(c->layer->type, "CROP") == 0) {
        cvi_caffe_opaque(c, "what this layer cuts out is not known from the file alone");
        return;
    }
    int rank = s->rank, axis = cvi_caffe_axis(c, "axis", NULL, 2, rank);
    int64_t from[CVS_MAX_RANK], to[CVS_MAX_RANK], axes[CVS_MAX_RANK];
    int many = cvi_caffe_count(cvi_caffe_params(c), "offset") > 1;
    for (int i = axis; i < rank; i++) {
        from[i - axis] = cvi_caffe_int(c, "offset", NULL, many ? i - axis : 0, 0);
        to[i - axis] = from[i - axis] + like->dim[i];
        axes[i - axis] = i;
        if (cvi_build_ok(&c->b) && (from[i - axis] < 0 || to[i - axis] > s->dim[i])) {
            cvi_build_set(&c->b, cvi_fail(c->b.err, CVS_E_SHAPE,
                                          "positions %lld to %lld of axis %d are asked for, there are %lld",
                                          (long long)from[i - axis], (long long)to[i - axis], i,
                                          (long long)s->dim[i]));
        }
    }
    int n = rank - axis;
    int in[4] = {c->in[0], cvi_caffe_ints(c, "from", n, from), cvi_caffe_ints(c, "to", n, to),
                 cvi_caffe_ints(c, "axes", n, axes)};
    cvi_caffe_top(c, 0, cvi_caffe_op(c, "Slice", NULL, 4, in));
}

static void reshape(cvi_caffe *c, int n, const int64_t *dim) {
    int in[2] = {c->in[0], cvi_caffe_ints(c, "shape", n, dim)};
    cvi_caffe_top(c, 0, cvi_caffe_op(c, "Reshape", NULL, 2, in));
}

void cvi_caffe_flatten(cvi_caffe *c) {
    int rank = cvi_caffe_rank(c, c->in[0]);
    int axis = cvi_caffe_axis(c, "axis", NULL, 1, rank), end = cvi_caffe_axis(c, "end_axis", NULL, -1, rank);
    if (axis == 1 && end == rank - 1) {
        int v = cvi_caffe_op(c, "Flatten", NULL, 1, c->in);
        cvi_build_int(&c->b, "axis", 1);
        cvi_caffe_top(c, 0, v);
        return;
    }
    int64_t dim[CVS_MAX_RANK] = {0};
    int n = axis;
    dim[n++] = -1;
    for (int i = end + 1; i < rank && n < CVS_MAX_RANK; i++) {
        dim[n++] = cvi_caffe_dim(c, c->in[0], i);
    }
    if (end < rank - 1 && (c->guessed || !cvi_caffe_shape(c, c->in[0]))) {
        cvi_caffe_opaque(c, "the size of this layer's input is not known, and no file has its weights");
        return;
    }
    reshape(c, n, dim);
}

void cvi_caffe_reshape(cvi_caffe *c) {
    const caffe_message *shape = cvi_caffe_message(cvi_caffe_params(c), "shape");
    int rank = cvi_caffe_rank(c, c->in[0]), own = cvi_caffe_count(shape, "dim"), n = 0;
    int64_t start = cvi_caffe_int(c, "axis", NULL, 0, 0), span = cvi_caffe_int(c, "num_axes", NULL, 0, -1);
    int64_t dim[CVS_MAX_RANK] = {0};
    start = start < 0 ? start + rank + 1 : start;
    span = span < 0 ? rank - start : span;
    if (!cvi_build_ok(&c->b)) {
        return;
    }
    if (start < 0 || start > rank || span > rank - start ||
        start + own + (rank - start - span) > CVS_MAX_RANK) {
        cvi_build_set(&c->b,
                      cvi_fail(c->b.err, CVS_E_SHAPE, "axis %lld does not exist in a tensor of rank %d",
                               (long long)start, rank));
        return;
    }
    n = (int)start;
    for (int i = 0; i < own; i++) {
        dim[n++] = cvi_caffe_int_of(c, shape, "dim", i, 0);
    }
    if (start + span < rank && (c->guessed || !cvi_caffe_shape(c, c->in[0]))) {
        cvi_caffe_opaque(c, "the size of this layer's input is not known, and no file has its weights");
        return;
    }
    for (int64_t i = start + span; i < rank; i++) {
        dim[n++] = cvi_caffe_dim(c, c->in[0], (int)i);
    }
    reshape(c, n, dim);
}

void cvi_caffe_permute(cvi_caffe *c) {
    const caffe_message *p = cvi_caffe_params(c);
    int rank = cvi_caffe_rank(c, c->in[0]), given = cvi_caffe_count(p, "order"), n = 0;
    int64_t perm[CVS_MAX_RANK];
    bool used[CVS_MAX_RANK] = {false};
    for (int i = 0; i < given && cvi_build_ok(&c->b); i++) {
        int64_t a = cvi_caffe_int(c, "order", NULL, i, 0);
        if (a < 0 || a >= rank || used[a]) {
            cvi_build_set(&c->b,
                          cvi_fail(c->b.err, CVS_E_SHAPE, "axis %lld does not exist in a tensor of rank %d",
                                   (long long)a, rank));
            return;
        }
        used[a] = true;
        perm[n++] = a;
    }
    for (int i = 0; i < rank; i++) { /* the axes that are not named follow in their order */
        if (!used[i]) {
            perm[n++] = i;
        }
    }
    int v = cvi_caffe_op(c, "Transpose", NULL, 1, c->in);
    cvi_build_ints(&c->b, "perm", n, perm);
    cvi_caffe_top(c, 0, v);
}

void cvi_caffe_tile(cvi_caffe *c) {
    int rank = cvi_caffe_rank(c, c->in[0]), axis = cvi_caffe_axis(c, "axis", NULL, 1, rank);
    int64_t times[CVS_MAX_RANK];
    for (int i = 0; i < rank; i++) {
        times[i] = i == axis ? cvi_caffe_int(c, "tiles", NULL, 0, 1) : 1;
    }
    int in[2] = {c->in[0], cvi_caffe_ints(c, "repeats", rank, times)};
    cvi_caffe_top(c, 0, cvi_caffe_op(c, "Tile", NULL, 2, in));
}

/* The pooling that gave out these places, or NULL. */
static const cvi_node *pooling_of(const cvi_caffe *c, int places) {
    for (int n = c->b.g->n_nodes - 1; n >= 0; n--) {
        const cvi_node *node = &c->b.g->nodes[n];
        if (node->n_out == 2 && node->out[1] == places && strcmp(node->op, "MaxPool") == 0) {
            return node;
        }
    }
    return NULL;
}

/* Every number back to the place where its maximum was, zeros elsewhere (SegNet). The picture has to be as large as the pooling's. */
static void unpool(cvi_caffe *c) {
    const cvi_node *pool = cvi_build_ok(&c->b) ? pooling_of(c, c->in[1]) : NULL;
    int64_t kernel[2], stride[2] = {1, 1};
    bool fits = pool && !c->guessed && cvi_caffe_rank(c, c->in[0]) == 4;
    int from = fits ? pool->in[0] : -1;
    if (fits) {
        cvi_node_ints(pool, "strides", stride, 2, 1);
    }
    for (int i = 0; i < 2 && fits; i++) {
        int64_t side = cvi_caffe_dim(c, c->in[0], 2 + i), whole = cvi_caffe_dim(c, from, 2 + i);
        int64_t told = cvi_caffe_int(c, i ? "upsample_w" : "upsample_h", NULL, 0, 0);
        told = told > 0 ? told : side * cvi_caffe_int(c, "scale", NULL, 0, 2);
        kernel[i] = whole - (side - 1) * stride[i];
        fits = side > 0 && whole == told && kernel[i] > 0 && side == cvi_caffe_dim(c, c->in[1], 2 + i);
    }
    if (!fits || cvi_caffe_dim(c, c->in[0], 1) != cvi_caffe_dim(c, c->in[1], 1)) {
        cvi_caffe_opaque(c, "the places are of a pooling of another size");
        return;
    }
    int v = cvi_caffe_op(c, "MaxUnpool", NULL, 2, c->in);
    cvi_build_ints(&c->b, "kernel_shape", 2, kernel);
    cvi_build_ints(&c->b, "strides", 2, stride);
    cvi_caffe_top(c, 0, v);
}

/* Every number repeated, as the layer that Darknet's networks bring along has it; with a second bottom (places of a pooling) put back there. */
void cvi_caffe_upsample(cvi_caffe *c) {
    double scale = cvi_caffe_number(c, "scale", NULL, 0, 2);
    const int64_t four = 4;
    const float scales[4] = {1, 1, (float)scale, (float)scale};
    if (c->n_in == 2) {
        unpool(c);
        return;
    }
    if (c->n_in != 1 || cvi_caffe_rank(c, c->in[0]) != 4 || !(scale >= 1 && scale <= 64)) {
        cvi_caffe_opaque(c, NULL);
        return;
    }
    int in[3] = {
        c->in[0], -1,
        cvi_build_const_floats(&c->b, cvi_build_name(&c->b, "%s/scales", c->layer->name), 1, &four, scales)};
    int v = cvi_caffe_op(c, "Resize", NULL, 3, in);
    cvi_build_string(&c->b, "mode", "nearest");
    cvi_build_string(&c->b, "coordinate_transformation_mode", "asymmetric");
    cvi_build_string(&c->b, "nearest_mode", "floor");
    cvi_caffe_top(c, 0, v);
}

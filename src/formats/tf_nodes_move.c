/* SPDX-License-Identifier: MIT
 * tf_nodes_move.c - TensorFlow operations that move numbers or stand for them (constants, variables, calls, branches that are decided in
 * the file), from GraphDef nodes; and the table of all that are known.
 */
#include "formats/tf_nodes.h"

#include "ops/op.h"

static const char late[] = "its sizes are known only while running";

/* ---- what stands for numbers ---- */

void cvi_tfn_const(tf_net *m) {
    const tf_attr *value = cvi_tf_attr(m->node, "value");
    if (!value || !value->tensor) { /* texts: for operations that are not run */
        cvi_tf_node_put(m, 0, cvi_tf_none());
        return;
    }
    cvs_tensor t = *value->tensor;
    if (!t.data && cvs_tensor_count(&t) != 0) {
        cvs_tensor given = {0};
        bool found = false;
        cvi_build_set(&m->t.b, m->apart ? m->lookup(m->context, m->node->name, &given, &found) : CVS_OK);
        if (found && cvi_build_ok(&m->t.b)) {
            if (cvs_tensor_count(&given) != cvs_tensor_count(&t)) {
                char a[200], b[200];
                cvi_build_set(&m->t.b,
                              cvi_fail(m->t.b.err, CVS_E_SHAPE, "the weight has shape %s, the graph wants %s",
                                       cvs_shape_text(given.rank, given.dim, a, sizeof a),
                                       cvs_shape_text(t.rank, t.dim, b, sizeof b)));
                return;
            }
            t.data = given.data;
            t.dtype = given.dtype;
            t.bytes = given.bytes;
        } else if (m->apart) {
            m->t.b.model->has_weights = false;
        } else { /* all bits 0: the file leaves zeros out */
            t.data = cvi_arena_alloc(m->t.b.model->arena, (int64_t)CVI_MAX(t.bytes, 1), 1);
            if (!t.data) {
                cvi_build_no_memory(&m->t.b, t.bytes);
            }
        }
    }
    if (t.data && (t.dtype == CVS_F16 || t.dtype == CVS_BF16)) {
        int64_t n = cvs_tensor_count(&t);
        float *wide = cvi_arena_alloc(m->t.b.model->arena, CVI_MAX(n, 1), sizeof *wide);
        for (int64_t i = 0; wide && i < n; i++) {
            wide[i] = (float)cvi_get(&t, i);
        }
        if (!wide) {
            cvi_build_no_memory(&m->t.b, (size_t)n * sizeof *wide);
        }
        t.dtype = CVS_F32;
        t.data = wide;
        t.bytes = (size_t)n * sizeof *wide;
        m->t.b.model->widened = true;
    }
    cvi_tf_node_put(m, 0, cvi_tf_constant(m->node->name, &t));
}

/* A variable: by the name that it is kept under. */
void cvi_tfn_variable(tf_net *m) {
    const char *shared = cvi_tf_attr_text(m->node, "shared_name", "");
    if (cvi_tf_node_variable(m, m->node->name) || (shared[0] && cvi_tf_node_variable(m, shared))) {
        return;
    }
    if (!cvi_build_ok(&m->t.b)) {
        return;
    }
    const tf_attr *shape = cvi_tf_attr(m->node, "shape");
    cvs_tensor t = {.dtype = cvi_tf_type(cvi_tf_attr_int(m->node, "dtype", 1))};
    if (!shape || !shape->has_shape || shape->rank < 0 || t.dtype == CVS_NONE) {
        cvi_tf_node_put(m, 0, cvi_tf_none());
        return;
    }
    t.rank = shape->rank;
    memcpy(t.dim, shape->dim, sizeof t.dim);
    int64_t n = cvs_tensor_count(&t), bytes = 0;
    if (n < 0 || !cvi_mul(n, (int64_t)cvs_dtype_size(t.dtype), &bytes)) {
        cvi_build_set(&m->t.b, cvi_fail(m->t.b.err, CVS_E_FORMAT, "a weight has an impossible shape"));
        return;
    }
    t.bytes = (size_t)bytes;
    m->t.b.model->has_weights = false;
    cvi_tf_node_put(m, 0, cvi_tf_constant(m->node->name, &t));
}

/* Passes its first input on under the other's name: nothing to compute. */
void cvi_tfn_pass(tf_net *m) {
    for (int k = 0; k < m->n_in; k++) {
        cvi_tf_node_put(m, k, m->in[k] ? *m->in[k] : cvi_tf_none());
    }
}

void cvi_tfn_call(tf_net *m) {
    const char *f = cvi_tf_attr_text(m->node, "f", "");
    cvi_tf_call(m, f, 0);
}

static bool truth(tf_net *m, int k, bool *yes) {
    cvi_tf_tensor *x = cvi_tf_node_in(m, k);
    const cvs_tensor *n = x ? cvi_tf_numbers(&m->t, x) : NULL;
    if (!n || cvs_tensor_count(n) != 1) {
        m->refused = "which way it goes is known only while running";
        return false;
    }
    *yes = cvi_get(n, 0) != 0;
    return true;
}

void cvi_tfn_if(tf_net *m) {
    bool yes = false;
    if (truth(m, 0, &yes)) {
        cvi_tf_call(m, cvi_tf_attr_text(m->node, yes ? "then_branch" : "else_branch", ""), 1);
    }
}

void cvi_tfn_switch(tf_net *m) {
    bool yes = false;
    cvi_tf_tensor dead = cvi_tf_none();
    dead.rank = -2;
    if (cvi_tf_node_in(m, 0) && truth(m, 1, &yes)) {
        cvi_tf_node_put(m, 0, yes ? dead : *m->in[0]);
        cvi_tf_node_put(m, 1, yes ? *m->in[0] : dead);
    }
}

void cvi_tfn_merge(tf_net *m) {
    for (int k = 0; k < m->n_in; k++) {
        if (m->in[k] && m->in[k]->rank != -2) {
            cvi_tf_node_put(m, 0, *m->in[k]);
            return;
        }
    }
}

/* Numbers in the arena as a constant of this node. */
static cvi_tf_tensor own_constant(tf_net *m, cvs_dtype type, int rank, const int64_t *dim, void **data) {
    cvs_tensor t = {.dtype = type, .rank = rank};
    for (int i = 0; i < rank; i++) {
        t.dim[i] = dim[i];
    }
    int64_t n = cvs_tensor_count(&t);
    *data = NULL;
    if (n < 0 || n > 1 << 24) {
        cvi_build_set(&m->t.b,
                      cvi_fail(m->t.b.err, CVS_E_LIMIT, "the layer has %lld channels, the limit is %d",
                               (long long)n, 1 << 24));
        return cvi_tf_none();
    }
    t.bytes = (size_t)n * cvs_dtype_size(type);
    t.data = *data = cvi_arena_alloc(m->t.b.model->arena, CVI_MAX((int64_t)t.bytes, 1), 1);
    if (!t.data) {
        cvi_build_no_memory(&m->t.b, t.bytes);
        return cvi_tf_none();
    }
    return cvi_tf_constant(m->node->name, &t);
}

void cvi_tfn_fill(tf_net *m) {
    int64_t dim[CVS_MAX_RANK];
    cvi_tf_tensor *value = cvi_tf_node_in(m, 1);
    int rank = cvi_tf_node_ints(m, 0, CVS_MAX_RANK, dim);
    const cvs_tensor *v = value ? cvi_tf_numbers(&m->t, value) : NULL;
    if (rank < 0 || !v || cvs_tensor_count(v) != 1) {
        cvi_tfn_fill_late(m);
        return;
    }
    void *data;
    cvi_tf_tensor out = own_constant(m, v->dtype, rank, dim, &data);
    for (int64_t i = 0; data && i < cvs_tensor_count(&out.constant); i++) {
        cvi_put(&out.constant, i, cvi_get(v, 0));
    }
    cvi_tf_node_put(m, 0, out);
}

/* How many numbers there are follows from what the network computes, as behind a suppression of boxes. */
static void range_while_running(tf_net *m) {
    int in[3];
    for (int k = 0; k < 3; k++) {
        cvi_tf_tensor *x = cvi_tf_node_in(m, k);
        if (!x || x->rank != 0) {
            m->refused = late;
            return;
        }
        in[k] = cvi_tf_form(&m->t, x, false);
    }
    cvi_tf_node_put(m, 0, cvi_tf_value(&m->t, cvi_tf_op(&m->t, "Range", NULL, 3, in), 1, false));
}

void cvi_tfn_range(tf_net *m) {
    cvi_tf_tensor *x = cvi_tf_node_in(m, 0);
    int64_t from = 0, to = 0, step = 0;
    if (!x || cvi_tf_node_ints(m, 0, 1, &from) != 1 || cvi_tf_node_ints(m, 1, 1, &to) != 1 ||
        cvi_tf_node_ints(m, 2, 1, &step) != 1 || step == 0 || from < INT32_MIN || from > INT32_MAX ||
        to < INT32_MIN || to > INT32_MAX || step < INT32_MIN || step > INT32_MAX) {
        range_while_running(m);
        return;
    }
    int64_t n = CVI_MAX((to - from + step - (step > 0 ? 1 : -1)) / step, 0);
    void *data;
    cvi_tf_tensor out = own_constant(m, cvi_tf_dtype(&m->t, x), 1, &n, &data);
    for (int64_t i = 0; data && i < n; i++) {
        cvi_put(&out.constant, i, (double)(from + i * step));
    }
    cvi_tf_node_put(m, 0, out);
}

void cvi_tfn_shape(tf_net *m) {
    cvi_tf_tensor *x = cvi_tf_node_in(m, 0);
    cvs_dtype type = cvi_tf_type(cvi_tf_attr_int(m->node, "out_type", 3));
    if (x) {
        cvi_tf_node_put(m, 0, cvi_tf_shape_of(&m->t, x, type == CVS_I64 ? CVS_I64 : CVS_I32));
    }
}

void cvi_tfn_rank(tf_net *m) {
    cvi_tf_tensor *x = cvi_tf_node_in(m, 0);
    void *data;
    if (!x || x->rank < 0) {
        m->refused = late;
        return;
    }
    cvi_tf_tensor out = own_constant(m, CVS_I32, 0, NULL, &data);
    if (data) {
        cvi_put(&out.constant, 0, x->rank);
    }
    cvi_tf_node_put(m, 0, out);
}

/* ---- moves ---- */

void cvi_tfn_reshape(tf_net *m) {
    cvi_tf_tensor *x = cvi_tf_node_in(m, 0), *shape = cvi_tf_node_in(m, 1);
    int64_t dim[CVS_MAX_RANK];
    int n = cvi_tf_node_ints(m, 1, CVS_MAX_RANK, dim);
    if (x && n >= 0) {
        cvi_tf_node_put(m, 0, cvi_tf_reshape(&m->t, x, n, dim));
    } else if (x && shape) {
        cvi_tf_node_put(m, 0, cvi_tf_reshape_to(&m->t, x, shape));
    }
}

void cvi_tfn_squeeze(tf_net *m) {
    cvi_tf_tensor *x = cvi_tf_node_in(m, 0);
    const tf_attr *axes = cvi_tf_attr(m->node, "squeeze_dims");
    axes = axes ? axes : cvi_tf_attr(m->node, "axis");
    int n = axes && axes->ints ? axes->n : 0;
    if (x && x->rank >= 0 && n <= CVS_MAX_RANK) {
        cvi_tf_node_put(m, 0, cvi_tf_squeeze(&m->t, x, n, axes ? axes->ints : NULL));
    } else {
        m->refused = late;
    }
}

void cvi_tfn_expand_dims(tf_net *m) {
    cvi_tf_tensor *x = cvi_tf_node_in(m, 0);
    int64_t axis = 0;
    if (!x || cvi_tf_node_ints(m, 1, 1, &axis) != 1) {
        m->refused = late;
    } else {
        cvi_tf_node_put(m, 0, cvi_tf_expand_dims(&m->t, x, axis));
    }
}

void cvi_tfn_transpose(tf_net *m) {
    cvi_tf_tensor *x = cvi_tf_node_in(m, 0);
    int64_t perm[CVS_MAX_RANK];
    if (!x || cvi_tf_node_ints(m, 1, CVS_MAX_RANK, perm) != x->rank) {
        m->refused = late;
    } else {
        cvi_tf_node_put(m, 0, cvi_tf_transpose(&m->t, x, perm));
    }
}

/* value 1: the axis comes last (ConcatV2), 0: first (Concat). */
void cvi_tfn_concat(tf_net *m) {
    bool last = cvi_tf_maker(m->node->op)->value != 0;
    int64_t axis = 0;
    if (m->n_in < 2 || cvi_tf_node_ints(m, last ? m->n_in - 1 : 0, 1, &axis) != 1) {
        m->refused = late;
    } else {
        cvi_tf_node_put(m, 0, cvi_tf_concat(&m->t, m->n_in - 1, last ? m->in : m->in + 1, axis));
    }
}

void cvi_tfn_pack(tf_net *m) {
    if (m->n_in > 0) {
        cvi_tf_node_put(m, 0, cvi_tf_pack(&m->t, m->n_in, m->in, cvi_tf_attr_int(m->node, "axis", 0)));
    }
}

static void split(tf_net *m, cvi_tf_tensor *x, int64_t axis, int n, const int64_t *sizes, bool squeeze) {
    int64_t dim[CVS_MAX_RANK];
    cvi_arena *a = m->t.b.model->arena;
    if (!x || n < 1 || n > 1 << 12 || !cvi_tf_dims(&m->t, x, dim)) {
        m->refused = late;
        return;
    }
    cvi_tf_tensor *out = cvi_arena_alloc(a, n, sizeof *out);
    const char **names = cvi_arena_alloc(a, n, sizeof *names);
    int64_t *equal = cvi_arena_alloc(a, n, sizeof *equal);
    if (!out || !names || !equal) {
        cvi_build_no_memory(&m->t.b, 0);
        return;
    }
    int64_t side = dim[cvi_tf_axis(&m->t, x, axis, false)], sum = 0;
    if (side < 0) {
        m->refused = late;
        return;
    }
    for (int k = 0; k < n; k++) {
        names[k] = k ? cvi_build_name(&m->t.b, "%s:%d", m->t.name, k) : m->t.name;
        equal[k] = sizes ? sizes[k] : side / n;
        sum = equal[k] > 0 && cvi_add(sum, equal[k], &sum) ? sum : sum;
        out[k] = cvi_tf_none();
    }
    for (int k = 0; sizes && k < n; k++) {
        equal[k] = equal[k] < 0 ? side - sum : equal[k];
    }
    if (!sizes && side % n) {
        m->refused = "this form of the operator is not run";
        return;
    }
    cvi_tf_split(&m->t, x, axis, n, equal, squeeze, names, out);
    for (int k = 0; k < n; k++) {
        cvi_tf_node_put(m, k, out[k]);
    }
}

void cvi_tfn_split(tf_net *m) {
    int64_t axis = 0;
    if (cvi_tf_node_ints(m, 0, 1, &axis) != 1) {
        m->refused = late;
    } else {
        split(m, cvi_tf_node_in(m, 1), axis, (int)CVI_MIN(cvi_tf_attr_int(m->node, "num_split", 1), 1 << 20),
              NULL, false);
    }
}

void cvi_tfn_split_v(tf_net *m) {
    int64_t axis = 0, sizes[256];
    int n = cvi_tf_node_ints(m, 1, 256, sizes);
    if (n < 1 || cvi_tf_node_ints(m, 2, 1, &axis) != 1) {
        m->refused = late;
    } else {
        split(m, cvi_tf_node_in(m, 0), axis, n, sizes, false);
    }
}

void cvi_tfn_unpack(tf_net *m) {
    split(m, cvi_tf_node_in(m, 0), cvi_tf_attr_int(m->node, "axis", 0),
          (int)CVI_MIN(cvi_tf_attr_int(m->node, "num", 1), 1 << 20), NULL, true);
}

void cvi_tfn_pad(tf_net *m) {
    cvi_tf_tensor *x = cvi_tf_node_in(m, 0), *given = cvi_tf_node_in(m, 2);
    int64_t pads[2 * CVS_MAX_RANK];
    bool mirror = strcmp(m->node->op, "MirrorPad") == 0;
    const cvs_tensor *value = given ? cvi_tf_numbers(&m->t, given) : NULL;
    if (!x || x->rank < 0 || cvi_tf_node_ints(m, 1, 2 * CVS_MAX_RANK, pads) != 2 * x->rank ||
        (given && (!value || cvs_tensor_count(value) != 1))) {
        cvi_tfn_pad_late(m);
    } else if (mirror && strcmp(cvi_tf_attr_text(m->node, "mode", ""), "REFLECT") != 0) {
        cvi_tfn_mirror(m);
    } else {
        cvi_tf_node_put(
            m, 0, cvi_tf_pad(&m->t, x, pads, mirror ? "reflect" : "constant", value ? cvi_get(value, 0) : 0));
    }
}

void cvi_tfn_slice(tf_net *m) {
    cvi_tf_tensor *x = cvi_tf_node_in(m, 0);
    int64_t begin[CVS_MAX_RANK], size[CVS_MAX_RANK], end[CVS_MAX_RANK], step[CVS_MAX_RANK];
    if (!x || x->rank < 0 || cvi_tf_node_ints(m, 1, CVS_MAX_RANK, begin) != x->rank ||
        cvi_tf_node_ints(m, 2, CVS_MAX_RANK, size) != x->rank) {
        m->refused = late;
        return;
    }
    for (int i = 0; i < x->rank; i++) {
        step[i] = 1;
        end[i] = size[i] < 0 || !cvi_add(begin[i], size[i], &end[i]) ? INT64_MAX : end[i];
    }
    cvi_tf_node_put(m, 0, cvi_tf_slice(&m->t, x, begin, end, step));
}

void cvi_tfn_strided_slice(tf_net *m) {
    cvi_tf_tensor *x = cvi_tf_node_in(m, 0);
    cvi_tf_strided s = {.begin_mask = cvi_tf_attr_int(m->node, "begin_mask", 0),
                        .end_mask = cvi_tf_attr_int(m->node, "end_mask", 0),
                        .ellipsis_mask = cvi_tf_attr_int(m->node, "ellipsis_mask", 0),
                        .new_axis_mask = cvi_tf_attr_int(m->node, "new_axis_mask", 0),
                        .shrink_mask = cvi_tf_attr_int(m->node, "shrink_axis_mask", 0)};
    s.n = cvi_tf_node_ints(m, 1, 16, s.begin);
    if (!x || s.n < 0 || cvi_tf_node_ints(m, 2, 16, s.end) != s.n ||
        cvi_tf_node_ints(m, 3, 16, s.step) != s.n) {
        m->refused = late;
        return;
    }
    cvi_tf_node_put(m, 0, cvi_tf_strided_slice(&m->t, x, &s));
}

void cvi_tfn_tile(tf_net *m) {
    cvi_tf_tensor *x = cvi_tf_node_in(m, 0);
    int64_t times[CVS_MAX_RANK];
    int n = cvi_tf_node_ints(m, 1, CVS_MAX_RANK, times);
    if (!x || n != x->rank) {
        m->refused = late;
    } else {
        cvi_tf_node_put(m, 0, cvi_tf_tile(&m->t, x, n, times));
    }
}

void cvi_tfn_gather(tf_net *m) {
    cvi_tf_tensor *x = cvi_tf_node_in(m, 0), *at = cvi_tf_node_in(m, 1);
    int64_t axis = 0;
    if (!x || !at || x->rank < 0 || at->rank < 0 || cvi_tf_attr_int(m->node, "batch_dims", 0) != 0 ||
        (m->n_in > 2 && cvi_tf_node_ints(m, 2, 1, &axis) != 1)) {
        m->refused = late;
    } else {
        cvi_tf_node_put(m, 0, cvi_tf_gather(&m->t, x, at, axis));
    }
}

void cvi_tfn_resize(tf_net *m) {
    cvi_tf_tensor *x = cvi_tf_node_in(m, 0), *to = cvi_tf_node_in(m, 1);
    bool align = cvi_tf_attr_int(m->node, "align_corners", 0) != 0;
    bool centre = cvi_tf_attr_int(m->node, "half_pixel_centers", 0) != 0;
    cvi_tf_pixels where = align ? CVI_TF_PIXEL_ALIGNED : centre ? CVI_TF_PIXEL_CENTRE : CVI_TF_PIXEL_CORNER;
    const char *mode = strcmp(m->node->op, "ResizeBilinear") == 0 ? "linear" : "nearest";
    int64_t size[2];
    if (!x || !to || x->rank != 4) {
        m->refused = late;
    } else if (cvi_tf_node_ints(m, 1, 2, size) == 2) {
        cvi_tf_node_put(m, 0, cvi_tf_resize(&m->t, x, mode, size, where));
    } else {
        cvi_tf_node_put(m, 0, cvi_tf_resize_to(&m->t, x, mode, to, where));
    }
}

void cvi_tfn_blocks(tf_net *m) {
    cvi_tf_tensor *x = cvi_tf_node_in(m, 0);
    if (x && x->rank == 4 && strcmp(cvi_tf_attr_text(m->node, "data_format", "NHWC"), "NHWC") == 0) {
        cvi_tf_node_put(m, 0,
                        cvi_tf_blocks(&m->t, m->node->op, x, cvi_tf_attr_int(m->node, "block_size", 1)));
    } else {
        m->refused = "this form of the operator is not run";
    }
}

void cvi_tfn_batches(tf_net *m) {
    cvi_tf_tensor *x = cvi_tf_node_in(m, 0);
    int64_t block[2] = {1, 1}, list[4] = {0};
    int n = cvi_tf_node_ints(m, 1, 2, block);
    if (!x || n < 1 || cvi_tf_node_ints(m, 2, 4, list) != 2 * n) {
        m->refused = late;
        return;
    }
    int64_t around[4] = {list[0], n > 1 ? list[2] : 0, list[1], n > 1 ? list[3] : 0};
    cvi_tf_node_put(m, 0,
                    m->node->op[0] == 'S' ? cvi_tf_space_to_batch(&m->t, x, block, around)
                                          : cvi_tf_batch_to_space(&m->t, x, block, around));
}

/* ---- the table ---- */

static const tf_maker table[] = {
#define TF_OP(name, make, value) {name, cvi_tfn_##make, value},
#include "tf_nodes.def"
#undef TF_OP
};

const tf_maker *cvi_tf_maker(const char *op) {
    for (int i = 0; i < CVI_COUNT(table); i++) {
        if (strcmp(table[i].op, op) == 0) {
            return &table[i];
        }
    }
    return NULL;
}

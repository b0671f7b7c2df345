/* SPDX-License-Identifier: MIT
 * tflite_moves.c - the operations of TensorFlow Lite that move numbers (shapes, slices, joins, resizing), and the table of all that are
 * known, by the file's code.
 */
#include "formats/tflite_ops.h"

#include "ops/op.h"

static const char late[] = "its sizes are known only while running";

void cvi_tflite_reshape(tflite *m) {
    cvi_tf_tensor *x = cvi_tflite_in(m, 0);
    const tflite_tensor *out = cvi_tflite_out(m, 0);
    int64_t dim[CVS_MAX_RANK];
    int n = cvi_tflite_n_inputs(m) > 1 ? cvi_tflite_ints(m, 1, CVS_MAX_RANK, dim) : -1;
    cvi_fb_vector list = cvi_fb_vector_field(&m->f, &m->options, 0, 4);
    if (!x || !out) {
        return;
    }
    if (n < 0 && list.n > 0 && list.n <= CVS_MAX_RANK && cvi_tflite_n_inputs(m) < 2) {
        n = (int)list.n;
        for (int i = 0; i < n; i++) {
            dim[i] = cvi_fb_int_at(&m->f, &list, i);
        }
    }
    if (n < 0) { /* the shape is computed: the file tells what it was */
        n = out->rank;
        memcpy(dim, out->dim, sizeof dim);
    }
    cvi_tflite_put(m, 0, cvi_tf_reshape(&m->t, x, n, dim));
}

void cvi_tflite_squeeze(tflite *m) {
    cvi_tf_tensor *x = cvi_tflite_in(m, 0);
    cvi_fb_vector list = cvi_fb_vector_field(&m->f, &m->options, 0, 4);
    int64_t axes[CVS_MAX_RANK];
    if (list.n > CVS_MAX_RANK) {
        m->refused = late;
        return;
    }
    for (int i = 0; i < list.n; i++) {
        axes[i] = cvi_fb_int_at(&m->f, &list, i);
    }
    if (x) {
        cvi_tflite_put(m, 0, cvi_tf_squeeze(&m->t, x, (int)list.n, axes));
    }
}

void cvi_tflite_expand_dims(tflite *m) {
    cvi_tf_tensor *x = cvi_tflite_in(m, 0);
    int64_t axis = 0;
    if (cvi_tflite_ints(m, 1, 1, &axis) != 1) {
        m->refused = late;
    } else if (x) {
        cvi_tflite_put(m, 0, cvi_tf_expand_dims(&m->t, x, axis));
    }
}

void cvi_tflite_transpose(tflite *m) {
    cvi_tf_tensor *x = cvi_tflite_in(m, 0);
    int64_t perm[CVS_MAX_RANK];
    if (!x || cvi_tflite_ints(m, 1, CVS_MAX_RANK, perm) != x->rank) {
        m->refused = late;
    } else {
        cvi_tflite_put(m, 0, cvi_tf_transpose(&m->t, x, perm));
    }
}

/* All inputs from k on; answers how many, 0 on failure. */
static int all_inputs(tflite *m, cvi_tf_tensor ***in) {
    int n = cvi_tflite_n_inputs(m);
    *in = cvi_arena_alloc(m->t.b.model->arena, CVI_MAX(n, 1), sizeof **in);
    if (!*in) {
        cvi_build_no_memory(&m->t.b, 0);
        return 0;
    }
    for (int k = 0; k < n; k++) {
        (*in)[k] = cvi_tflite_in(m, k);
        if (!(*in)[k]) {
            return 0;
        }
    }
    return n;
}

void cvi_tflite_concatenation(tflite *m) {
    cvi_tf_tensor **in;
    int n = all_inputs(m, &in);
    if (n > 0) {
        cvi_tflite_put(m, 0, cvi_tf_concat(&m->t, n, in, cvi_tflite_option(m, 0, 4, 0)));
    }
}

void cvi_tflite_pack(tflite *m) {
    cvi_tf_tensor **in;
    int n = all_inputs(m, &in);
    if (n > 0) {
        cvi_tflite_put(m, 0, cvi_tf_pack(&m->t, n, in, cvi_tflite_option(m, 1, 4, 0)));
    }
}

/* Pieces of x along an axis; sizes NULL: equal ones. */
static void split(tflite *m, cvi_tf_tensor *x, int64_t axis, const int64_t *sizes, bool squeeze) {
    int64_t dim[CVS_MAX_RANK];
    int n = (int)CVI_MIN(m->outputs.n, 1 << 16);
    cvi_arena *a = m->t.b.model->arena;
    cvi_tf_tensor *out = cvi_arena_alloc(a, CVI_MAX(n, 1), sizeof *out);
    const char **names = cvi_arena_alloc(a, CVI_MAX(n, 1), sizeof *names);
    int64_t *equal = cvi_arena_alloc(a, CVI_MAX(n, 1), sizeof *equal);
    if (!out || !names || !equal) {
        cvi_build_no_memory(&m->t.b, 0);
        return;
    }
    if (!x || !cvi_tf_dims(&m->t, x, dim)) {
        m->refused = late;
        return;
    }
    int64_t side = dim[cvi_tf_axis(&m->t, x, axis, false)];
    if (side < 0) {
        m->refused = late;
        return;
    }
    for (int k = 0; k < n; k++) {
        const tflite_tensor *o = cvi_tflite_out(m, k);
        names[k] = o ? o->name : "piece";
        equal[k] = sizes ? sizes[k] : side / n;
        out[k] = cvi_tf_none();
    }
    if (n < 1 || (!sizes && side % n)) {
        m->refused = "this form of the operator is not run";
        return;
    }
    cvi_tf_split(&m->t, x, axis, n, equal, squeeze, names, out);
    for (int k = 0; k < n; k++) {
        cvi_tflite_put(m, k, out[k]);
    }
}

void cvi_tflite_split(tflite *m) {
    int64_t axis = 0;
    if (cvi_tflite_ints(m, 0, 1, &axis) != 1) {
        m->refused = late;
    } else {
        split(m, cvi_tflite_in(m, 1), axis, NULL, false);
    }
}

void cvi_tflite_split_v(tflite *m) {
    int64_t axis = 0, sizes[256];
    int n = cvi_tflite_ints(m, 1, 256, sizes);
    if (cvi_tflite_ints(m, 2, 1, &axis) != 1 || n < 1 || n != m->outputs.n) {
        m->refused = late;
    } else {
        split(m, cvi_tflite_in(m, 0), axis, sizes, false);
    }
}

void cvi_tflite_unpack(tflite *m) {
    split(m, cvi_tflite_in(m, 0), cvi_tflite_option(m, 1, 4, 0), NULL, true);
}

void cvi_tflite_pad(tflite *m) {
    cvi_tf_tensor *x = cvi_tflite_in(m, 0);
    int64_t pads[2 * CVS_MAX_RANK];
    double value = 0;
    const char *mode = "constant";
    if (!x || x->rank < 0 || cvi_tflite_ints(m, 1, 2 * CVS_MAX_RANK, pads) != 2 * x->rank) {
        m->refused = late;
        return;
    }
    if (m->kind->code == 60) {
        cvi_tf_tensor *v = cvi_tflite_in(m, 2);
        const cvs_tensor *number = v ? cvi_tf_numbers(&m->t, v) : NULL;
        if (!number || cvs_tensor_count(number) != 1) {
            m->refused = late;
            return;
        }
        value = cvi_get(number, 0);
    } else if (m->kind->code == 100) {
        mode = "reflect";
        if (cvi_tflite_option(m, 0, 1, 0) != 0) { /* symmetric: the edge itself is doubled */
            m->refused = "this form of the operator is not run";
            return;
        }
    }
    cvi_tflite_put(m, 0, cvi_tf_pad(&m->t, x, pads, mode, value));
}

void cvi_tflite_slice(tflite *m) {
    cvi_tf_tensor *x = cvi_tflite_in(m, 0);
    int64_t begin[CVS_MAX_RANK], size[CVS_MAX_RANK], end[CVS_MAX_RANK], step[CVS_MAX_RANK];
    if (!x || x->rank < 0 || cvi_tflite_ints(m, 1, CVS_MAX_RANK, begin) != x->rank ||
        cvi_tflite_ints(m, 2, CVS_MAX_RANK, size) != x->rank) {
        m->refused = late;
        return;
    }
    for (int i = 0; i < x->rank; i++) {
        step[i] = 1;
        end[i] = size[i] < 0 || !cvi_add(begin[i], size[i], &end[i]) ? INT64_MAX : end[i];
    }
    cvi_tflite_put(m, 0, cvi_tf_slice(&m->t, x, begin, end, step));
}

void cvi_tflite_strided_slice(tflite *m) {
    cvi_tf_tensor *x = cvi_tflite_in(m, 0);
    cvi_tf_strided s = {.begin_mask = cvi_tflite_option(m, 0, 4, 0),
                        .end_mask = cvi_tflite_option(m, 1, 4, 0),
                        .ellipsis_mask = cvi_tflite_option(m, 2, 4, 0),
                        .new_axis_mask = cvi_tflite_option(m, 3, 4, 0),
                        .shrink_mask = cvi_tflite_option(m, 4, 4, 0)};
    s.n = cvi_tflite_ints(m, 1, 16, s.begin);
    if (!x || s.n < 0 || cvi_tflite_ints(m, 2, 16, s.end) != s.n ||
        cvi_tflite_ints(m, 3, 16, s.step) != s.n) {
        m->refused = late;
        return;
    }
    for (int i = 0; i < s.n && cvi_tflite_option(m, 5, 1, 0); i++) {
        s.end[i] = cvi_add(s.end[i], CVI_MAX(s.begin[i], 0), &s.end[i]) ? s.end[i] : INT64_MAX;
    }
    cvi_tflite_put(m, 0, cvi_tf_strided_slice(&m->t, x, &s));
}

void cvi_tflite_tile(tflite *m) {
    cvi_tf_tensor *x = cvi_tflite_in(m, 0);
    int64_t times[CVS_MAX_RANK];
    int n = cvi_tflite_ints(m, 1, CVS_MAX_RANK, times);
    if (!x || n != x->rank) {
        m->refused = late;
    } else {
        cvi_tflite_put(m, 0, cvi_tf_tile(&m->t, x, n, times));
    }
}

/* dims, value */
void cvi_tflite_fill(tflite *m) {
    int64_t dim[CVS_MAX_RANK];
    cvi_tf_tensor *value = cvi_tflite_in(m, 1);
    int rank = cvi_tflite_ints(m, 0, CVS_MAX_RANK, dim);
    const cvs_tensor *v = value ? cvi_tf_numbers(&m->t, value) : NULL;
    if (rank < 0 || !v || v->dtype != CVS_F32 || cvs_tensor_count(v) != 1) {
        m->refused = late;
        return;
    }
    cvs_tensor t = {.dtype = CVS_F32, .rank = rank};
    memcpy(t.dim, dim, sizeof *dim * (size_t)rank);
    int64_t n = cvs_tensor_count(&t);
    float *data = n > 0 && n <= m->t.b.model->limits.max_memory_bytes / 4
                      ? cvi_arena_alloc(m->t.b.model->arena, n, sizeof *data)
                      : NULL;
    if (!data) {
        cvi_build_set(&m->t.b, cvi_no_memory(m->t.b.err, 0));
        return;
    }
    for (int64_t i = 0; i < n; i++) {
        data[i] = ((const float *)v->data)[0];
    }
    t.data = data;
    t.bytes = (size_t)n * sizeof *data;
    cvi_tflite_put(m, 0, cvi_tf_constant(m->t.name, &t));
}

void cvi_tflite_gather(tflite *m) {
    cvi_tf_tensor *x = cvi_tflite_in(m, 0), *at = cvi_tflite_in(m, 1);
    if (cvi_tflite_option(m, 1, 4, 0) != 0) {
        m->refused = "this form of the operator is not run";
    } else if (x && at) {
        cvi_tflite_put(m, 0, cvi_tf_gather(&m->t, x, at, cvi_tflite_option(m, 0, 4, 0)));
    }
}

void cvi_tflite_shape(tflite *m) {
    cvi_tf_tensor *x = cvi_tflite_in(m, 0);
    const tflite_tensor *out = cvi_tflite_out(m, 0);
    if (x && out) {
        cvi_tflite_put(m, 0, cvi_tf_shape_of(&m->t, x, out->dtype == CVS_I64 ? CVS_I64 : CVS_I32));
    }
}

void cvi_tflite_resize(tflite *m) {
    cvi_tf_tensor *x = cvi_tflite_in(m, 0);
    bool nearest = m->kind->code == 97;
    bool align = cvi_tflite_option(m, nearest ? 0 : 2, 1, 0) != 0;
    bool centre = cvi_tflite_option(m, nearest ? 1 : 3, 1, 0) != 0;
    int64_t size[2];
    if (cvi_tflite_ints(m, 1, 2, size) != 2 || !x || x->rank != 4) {
        m->refused = late;
        return;
    }
    cvi_tf_pixels where = align ? CVI_TF_PIXEL_ALIGNED : centre ? CVI_TF_PIXEL_CENTRE : CVI_TF_PIXEL_CORNER;
    cvi_tflite_put(m, 0, cvi_tf_resize(&m->t, x, nearest ? "nearest" : "linear", size, where));
}

void cvi_tflite_blocks(tflite *m) {
    cvi_tf_tensor *x = cvi_tflite_in(m, 0);
    const char *op = m->kind->code == 5 ? "DepthToSpace" : "SpaceToDepth";
    if (x && x->rank == 4) {
        cvi_tflite_put(m, 0, cvi_tf_blocks(&m->t, op, x, cvi_tflite_option(m, 0, 4, 0)));
    } else {
        m->refused = "this form of the operator is not run";
    }
}

/* Block sizes and [begin, end] for each of their axes. */
void cvi_tflite_batches(tflite *m) {
    cvi_tf_tensor *x = cvi_tflite_in(m, 0);
    int64_t block[2] = {1, 1}, list[4] = {0};
    int n = cvi_tflite_ints(m, 1, 2, block);
    if (!x || n < 1 || cvi_tflite_ints(m, 2, 4, list) != 2 * n) {
        m->refused = late;
        return;
    }
    int64_t around[4] = {list[0], n > 1 ? list[2] : 0, list[1], n > 1 ? list[3] : 0};
    cvi_tflite_put(m, 0,
                   m->kind->code == 38 ? cvi_tf_space_to_batch(&m->t, x, block, around)
                                       : cvi_tf_batch_to_space(&m->t, x, block, around));
}

/* ---- the table ---- */

static const tflite_op table[] = {
#define TFLITE_OP(code, name, make, activation, moves) {code, name, cvi_tflite_##make, activation, moves},
#include "tflite_ops.def"
#undef TFLITE_OP
};

const tflite_op *cvi_tflite_op(int64_t code) {
    for (int i = 0; i < CVI_COUNT(table); i++) {
        if (table[i].code == code) {
            return &table[i];
        }
    }
    return NULL;
}

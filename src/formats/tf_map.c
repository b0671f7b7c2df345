/* SPDX-License-Identifier: MIT
 * tf_map.c - TensorFlow's operations that work number by number, with numpy's broadcasting from the last axis on, and sums along
 * axes. They stay in the moved form where an input is an image in it, so that no picture is turned for an activation.
 */
#include "formats/tf.h"

#include "ops/op.h"

/* Whether these can be worked on as moved images of rank `rank`: constants are turned, others must be such images (or numbers). */
static bool work_moved(int n, cvi_tf_tensor *const *in, int rank) {
    bool any = false;
    for (int i = 0; i < n; i++) {
        if (!cvi_tf_is_constant(in[i]) && in[i]->rank != 0) {
            if (in[i]->rank != rank) {
                return false;
            }
            any |= cvi_tf_is_moved(in[i]);
        }
    }
    return any && rank > 2;
}

static void keep_blocks(cvi_tf_tensor *out, const cvi_tf_tensor *in) {
    if (in->joined) {
        memcpy(out->block, in->block, sizeof out->block);
        out->joined = true;
    }
}

cvi_tf_tensor cvi_tf_map(cvi_tf *t, const char *op, int n, cvi_tf_tensor *const *in) {
    int rank = 0, *values = cvi_arena_alloc(t->b.model->arena, CVI_MAX(n, 1), sizeof *values);
    bool exact = true;
    if (!values) {
        cvi_build_no_memory(&t->b, 0);
        return cvi_tf_none();
    }
    for (int i = 0; i < n; i++) {
        rank = in[i]->rank < 0 || rank < 0 ? -1 : CVI_MAX(rank, in[i]->rank);
        exact &= in[i]->exact;
    }
    bool moved = work_moved(n, in, rank);
    for (int i = 0; i < n; i++) {
        values[i] = moved ? cvi_tf_aligned(t, in[i], rank) : cvi_tf_form(t, in[i], false);
    }
    int v = cvi_tf_op(t, op, NULL, n, values);
    cvi_tf_tensor out = cvi_tf_value(t, v, rank, moved);
    out.exact = exact;
    for (int i = 0; i < n; i++) {
        keep_blocks(&out, in[i]);
    }
    return out;
}

/* A scalar constant of x's type. */
static cvi_tf_tensor number_like(cvi_tf *t, cvi_tf_tensor *x, const char *part, double v) {
    cvs_dtype type = cvi_tf_dtype(t, x);
    cvs_tensor c = {.dtype = type == CVS_NONE ? CVS_F32 : type};
    c.bytes = cvs_dtype_size(c.dtype);
    c.data = cvi_arena_alloc(t->b.model->arena, 1, 16);
    if (!c.data) {
        cvi_build_no_memory(&t->b, 16);
        return cvi_tf_none();
    }
    cvi_put(&c, 0, v);
    return cvi_tf_constant(cvi_tf_part(t, part), &c);
}

cvi_tf_tensor cvi_tf_map_number(cvi_tf *t, const char *op, cvi_tf_tensor *x, double number) {
    cvi_tf_tensor c = number_like(t, x, "number", number);
    return cvi_tf_map(t, op, 2, (cvi_tf_tensor *const[]){x, &c});
}

cvi_tf_tensor cvi_tf_clip(cvi_tf *t, cvi_tf_tensor *x, double low, double high) {
    cvi_tf_tensor lo = number_like(t, x, "low", low), hi = number_like(t, x, "high", high);
    return cvi_tf_map(t, "Clip", 3, (cvi_tf_tensor *const[]){x, &lo, &hi});
}

cvi_tf_tensor cvi_tf_with_float(cvi_tf *t, const char *op, cvi_tf_tensor *x, const char *attr, double v) {
    cvi_tf_tensor out = cvi_tf_map(t, op, 1, &x);
    cvi_build_float(&t->b, attr, v);
    return out;
}

cvi_tf_tensor cvi_tf_cast(cvi_tf *t, cvi_tf_tensor *x, cvs_dtype to) {
    cvi_tf_tensor out = cvi_tf_map(t, "Cast", 1, &x);
    cvi_build_int(&t->b, "to", to);
    return out;
}

cvi_tf_tensor cvi_tf_prelu(cvi_tf *t, cvi_tf_tensor *x, cvi_tf_tensor *slope) {
    return cvi_tf_map(t, "PRelu", 2, (cvi_tf_tensor *const[]){x, slope});
}

cvi_tf_tensor cvi_tf_bias(cvi_tf *t, cvi_tf_tensor *x, cvi_tf_tensor *bias, bool first) {
    if (first && x->rank > 2 && bias->rank == 1) { /* [C] along axis 1 */
        int64_t dim[CVS_MAX_RANK] = {-1};
        for (int i = 1; i < x->rank - 1; i++) {
            dim[i] = 1;
        }
        int in[2] = {cvi_tf_form(t, x, false), cvi_tf_weight(t, bias, "bias", NULL, x->rank - 1, dim)};
        return cvi_tf_value(t, cvi_tf_op(t, "Add", NULL, 2, in), x->rank, false);
    }
    return cvi_tf_map(t, "Add", 2, (cvi_tf_tensor *const[]){x, bias});
}

bool cvi_tf_activation(cvi_tf *t, cvi_tf_tensor *x, const char *name, double alpha, cvi_tf_tensor *out) {
    static const struct {
        const char *name, *op;
    } plain[] = {{"Relu", "Relu"},
                 {"Tanh", "Tanh"},
                 {"Sigmoid", "Sigmoid"},
                 {"Softplus", "Softplus"},
                 {"Selu", "Selu"},
                 {"Softsign", "Softsign"},
                 {"_FusedHardSwish", "HardSwish"},
                 {"Elu", "Elu"},
                 {"HardSwish", "HardSwish"}};
    for (int i = 0; i < CVI_COUNT(plain); i++) {
        if (strcmp(name, plain[i].name) == 0) {
            *out = cvi_tf_map(t, plain[i].op, 1, &x);
            return true;
        }
    }
    if (strcmp(name, "Relu6") == 0) {
        *out = cvi_tf_clip(t, x, 0, 6);
    } else if (strcmp(name, "ReluN1To1") == 0) {
        *out = cvi_tf_clip(t, x, -1, 1);
    } else if (strcmp(name, "LeakyRelu") == 0) {
        *out = cvi_tf_with_float(t, "LeakyRelu", x, "alpha", alpha);
    } else {
        return false;
    }
    return true;
}

/* ---- along axes ---- */

/* Whether what is left after these axes are gone lies in the same order in the moved form. */
static bool order_stays(int rank, const bool *gone) {
    bool sides = true;
    for (int i = 1; i < rank - 1; i++) {
        sides &= gone[i];
    }
    return sides || gone[rank - 1];
}

cvi_tf_tensor cvi_tf_reduce(cvi_tf *t, const char *op, cvi_tf_tensor *x, int n, const int64_t *axes,
                            bool keep) {
    bool gone[CVS_MAX_RANK] = {false};
    int rank = x->rank, left = rank;
    if (n == 0) {
        memset(gone, n == 0, sizeof gone);
        left = 0;
    }
    for (int i = 0; i < n && cvi_build_ok(&t->b); i++) {
        int a = cvi_tf_axis(t, x, axes[i], false);
        left -= !gone[a];
        gone[a] = true;
    }
    bool moved = cvi_tf_is_moved(x) && (keep || order_stays(rank, gone));
    bool sides = rank == 4 && !gone[0] && gone[1] && gone[2] && !gone[3];
    int v = cvi_tf_form(t, x, moved);
    if (sides && moved && (strcmp(op, "ReduceMean") == 0 || strcmp(op, "ReduceMax") == 0)) {
        const char *pool = op[7] == 'e' ? "GlobalAveragePool" : "GlobalMaxPool";
        v = cvi_tf_op(t, pool, keep ? NULL : "pool", 1, &v);
        if (!keep) {
            v = cvi_tf_op(t, "Flatten", NULL, 1, &v);
            cvi_build_int(&t->b, "axis", 1);
        }
        return cvi_tf_value(t, v, keep ? 4 : 2, keep);
    }
    int64_t list[CVS_MAX_RANK];
    int m = 0;
    for (int i = 0; i < rank; i++) {
        if (gone[i]) {
            list[m++] = cvi_tf_axis(t, x, i, moved);
        }
    }
    if (m == 0) { /* nothing to sum over */
        return cvi_tf_value(t, cvi_tf_op(t, "Identity", NULL, 1, &v), rank, moved);
    }
    int in[2] = {v, cvi_build_const_ints(&t->b, cvi_tf_part(t, "axes"), m, list)};
    v = cvi_tf_op(t, op, NULL, 2, in);
    cvi_build_int(&t->b, "keepdims", keep);
    cvi_tf_tensor out = cvi_tf_value(t, v, keep ? rank : left, keep && moved);
    out.exact = x->exact;
    return out;
}

cvi_tf_tensor cvi_tf_along(cvi_tf *t, const char *op, cvi_tf_tensor *x, int64_t axis) {
    bool moved = cvi_tf_is_moved(x);
    int v = cvi_tf_form(t, x, moved), a = cvi_tf_axis(t, x, axis, moved);
    v = cvi_tf_op(t, op, NULL, 1, &v);
    cvi_build_int(&t->b, "axis", a);
    return cvi_tf_value(t, v, x->rank, moved);
}

cvi_tf_tensor cvi_tf_arg(cvi_tf *t, const char *op, cvi_tf_tensor *x, int64_t axis, cvs_dtype to) {
    int a = cvi_tf_axis(t, x, axis, false);
    bool moved = cvi_tf_is_moved(x) && a == x->rank - 1;
    int v = cvi_tf_form(t, x, moved);
    v = cvi_tf_op(t, op, to == CVS_I64 ? NULL : "index", 1, &v);
    cvi_build_int(&t->b, "axis", cvi_tf_axis(t, x, axis, moved));
    cvi_build_int(&t->b, "keepdims", 0);
    if (to != CVS_I64) {
        v = cvi_tf_op(t, "Cast", NULL, 1, &v);
        cvi_build_int(&t->b, "to", to);
    }
    return cvi_tf_value(t, v, x->rank - 1, false);
}

/* ---- small integers ---- */

static int zero_point(cvi_tf *t, int64_t zero, cvs_dtype type) {
    cvs_tensor c = {.dtype = type, .bytes = cvs_dtype_size(type)};
    c.data = cvi_build_ok(&t->b) ? cvi_arena_alloc(t->b.model->arena, 1, 16) : NULL;
    if (!c.data) {
        cvi_build_no_memory(&t->b, 16);
        return -1;
    }
    cvi_put(&c, 0, (double)zero);
    return cvi_build_constant(&t->b, cvi_tf_part(t, "zero"), &c);
}

static cvi_tf_tensor with_scale(cvi_tf *t, const char *op, const char *part, cvi_tf_tensor *x, double scale,
                                int64_t zero, cvs_dtype type) {
    bool moved = cvi_tf_is_moved(x);
    int in[3] = {cvi_tf_form(t, x, moved), cvi_build_const_float(&t->b, cvi_tf_part(t, "scale"), scale),
                 zero_point(t, zero, type)};
    cvi_tf_tensor out = cvi_tf_value(t, cvi_tf_op(t, op, part, 3, in), x->rank, moved);
    keep_blocks(&out, x);
    return out;
}

cvi_tf_tensor cvi_tf_quantize(cvi_tf *t, cvi_tf_tensor *x, double scale, int64_t zero, cvs_dtype type) {
    return with_scale(t, "QuantizeLinear", NULL, x, scale, zero, type);
}

cvi_tf_tensor cvi_tf_dequantize(cvi_tf *t, cvi_tf_tensor *x, double scale, int64_t zero) {
    cvs_dtype type = cvi_tf_dtype(t, x);
    return with_scale(t, "DequantizeLinear", NULL, x, scale, zero, type);
}

cvi_tf_tensor cvi_tf_round_to(cvi_tf *t, cvi_tf_tensor *x, double scale, int64_t zero, cvs_dtype type) {
    return with_scale(t, "convscope::Requantize", NULL, x, scale, zero, type);
}

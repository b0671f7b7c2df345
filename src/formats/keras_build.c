/* SPDX-License-Identifier: MIT
 * keras_build.c - the small moves that layers of a Keras model are built from: nodes and their attributes, constants,
 * the two forms of a tensor, sizes for models without weights.
 */
#include "formats/keras.h"

const char *cvi_keras_part(cvi_keras *k, const char *part) {
    return cvi_build_name(&k->b, "%s/%s", k->name, part);
}

int cvi_keras_op(cvi_keras *k, const char *op, const char *name, bool hidden, int n, const int *in) {
    return cvi_build_op(&k->b, op, name, hidden, n, in);
}

int cvi_keras_const_ints(cvi_keras *k, const char *part, int n, const int64_t *v) {
    return cvi_build_const_ints(&k->b, cvi_keras_part(k, part), n, v);
}

int cvi_keras_const_floats(cvi_keras *k, const char *part, int rank, const int64_t *dim, const float *v) {
    return cvi_build_const_floats(&k->b, cvi_keras_part(k, part), rank, dim, v);
}

int cvi_keras_const_float(cvi_keras *k, const char *part, double v) {
    return cvi_build_const_float(&k->b, cvi_keras_part(k, part), v);
}

int cvi_keras_fill(cvi_keras *k, const char *part, int64_t n, float v) {
    int value = cvi_build_fill(&k->b, cvi_keras_part(k, part), n, (double)v);
    if (value >= 0) {
        k->b.g->values[value].fixed = true;
    }
    return value;
}

/* ---- forms ---- */

int cvi_keras_value(const cvi_keras_tensor *t) {
    return t->form[t->moved];
}

cvi_keras_tensor cvi_keras_out(cvi_keras *k, int value, int rank, bool moved) {
    cvi_keras_tensor t = {.form = {-1, -1}, .rank = rank, .moved = moved && rank > 2};
    t.form[t.moved] = value;
    if (rank <= 2) {
        t.form[0] = t.form[1] = value; /* [N] and [N,C] are the same in both */
    } else if (moved && value >= 0) {
        k->b.g->values[value].file_layout = CVI_FILE_LAST;
    }
    return t;
}

/* The permutation between the forms: out axis j is in axis perm[j]. */
static void form_permutation(int rank, bool to_moved, int64_t *perm) {
    for (int j = 0; j < rank; j++) {
        perm[j] = j == 0 ? 0 : to_moved ? (j == 1 ? rank - 1 : j - 1) : (j == rank - 1 ? 1 : j + 1);
    }
}

int cvi_keras_form(cvi_keras *k, cvi_keras_tensor *t, bool moved) {
    if (!cvi_build_ok(&k->b) || t->form[moved] >= 0) {
        return t->form[moved];
    }
    int64_t perm[CVS_MAX_RANK];
    form_permutation(t->rank, moved, perm);
    int from = t->form[!moved];
    const char *base = from >= 0 ? k->b.g->values[from].name : "value";
    const char *name = cvi_arena_printf(k->b.model->arena, "%s/channels_%s", base, moved ? "first" : "last");
    if (!name) {
        cvi_build_no_memory(&k->b, 0);
        return -1;
    }
    t->form[moved] = cvi_keras_op(k, "Transpose", name, true, 1, &from);
    cvi_build_ints(&k->b, "perm", t->rank, perm);
    return t->form[moved];
}

int cvi_keras_axis(cvi_keras *k, const cvi_keras_tensor *t, int64_t axis) {
    int64_t a = axis < 0 ? axis + t->rank : axis;
    if (a < 0 || a >= t->rank) {
        cvi_build_set(&k->b,
                      cvi_fail(k->b.err, CVS_E_SHAPE, "axis %lld does not exist in a tensor of rank %d",
                               (long long)axis, t->rank));
        return 0;
    }
    return (int)(!t->moved || a == 0 ? a : a == t->rank - 1 ? 1 : a + 1);
}

cvi_keras_tensor cvi_keras_settle(cvi_keras *k, int v, int rank) {
    bool image = (rank == 4 || rank == 5) && !k->first;
    int64_t perm[CVS_MAX_RANK];
    form_permutation(rank, true, perm);
    if (image) {
        int moved = cvi_keras_op(k, "Transpose", k->name, false, 1, &v);
        cvi_build_ints(&k->b, "perm", rank, perm);
        cvi_keras_tensor t = cvi_keras_out(k, moved, rank, true);
        t.form[0] = v;
        return t;
    }
    return cvi_keras_out(k, v, rank, false);
}

bool cvi_keras_last(const cvi_keras *k) {
    const json_t *v = cvi_keras_get(k, "data_format", "dim_ordering");
    const char *s = json_is_string(v) ? json_string_value(v) : "";
    if (strcmp(s, "channels_first") == 0 || strcmp(s, "th") == 0) {
        return false;
    }
    return strcmp(s, "channels_last") == 0 || strcmp(s, "tf") == 0 || !k->first;
}

int64_t cvi_keras_dim(cvi_keras *k, cvi_keras_tensor *t, int64_t axis) {
    int a = cvi_keras_axis(k, t, axis);
    const cvs_tensor *s = cvi_shapes_of(&k->shapes, &k->b, cvi_keras_value(t));
    return s && a < s->rank ? s->dim[a] : -1;
}

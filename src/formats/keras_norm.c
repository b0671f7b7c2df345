/* SPDX-License-Identifier: MIT
 * keras_norm.c - normalising layers of Keras: BatchNormalization, LayerNormalization, GroupNormalization, and the
 * preprocessing layers Normalization and Rescaling, which tell what the network expects as pixels.
 */
#include "formats/keras.h"

#include <math.h>

/* The setting "axis" (a number or a list) as one axis >= 0; -1: several or none. */
static int single_axis(cvi_keras *k, int rank, int64_t otherwise) {
    const json_t *v = cvi_keras_get(k, "axis", NULL);
    v = json_is_array(v) && json_array_size(v) == 1 ? json_array_get(v, 0) : v;
    int64_t axis = json_is_integer(v) ? json_integer_value(v) : v ? INT64_MIN / 2 : otherwise;
    axis = axis < 0 ? axis + rank : axis;
    return axis >= 1 && axis < rank ? (int)axis : -1;
}

static int take(cvi_keras *k, const char *name, int64_t n) {
    return cvi_keras_take(k, &(cvi_keras_want){.name = name, .rank = 1, .dim = {n}});
}

/* Where the reference dimension came from: constant v's only dimension. */
static int64_t length(const cvi_keras *k, int v) {
    return cvi_build_ok(&k->b) && v >= 0 ? k->b.g->values[v].dim[0] : -1;
}

void cvi_keras_batch_norm(cvi_keras *k, cvi_keras_tensor *const *in, int n, cvi_keras_tensor *out) {
    (void)n;
    cvi_keras_tensor *t = in[0];
    int axis = single_axis(k, t->rank, -1);
    if (axis != 1 && axis != t->rank - 1) {
        cvi_keras_bad(k, "axis");
        return;
    }
    bool moved = t->rank > 2 && axis == t->rank - 1;
    int64_t c = k->source ? -1 : cvi_keras_dim(k, t, axis);
    int x[5] = {cvi_keras_form(k, t, moved), -1, -1, -1, -1};
    bool scale = cvi_keras_get_bool(k, "scale", NULL, true),
         center = cvi_keras_get_bool(k, "center", NULL, true);
    x[1] = scale ? take(k, "gamma", c) : -1;
    x[2] = center ? take(k, "beta", c) : -1;
    x[3] = take(k, k->version == 1 ? "running_mean" : "moving_mean", c);
    x[4] = take(k, k->version == 1 ? "running_std" : "moving_variance", c);
    x[1] = scale ? x[1] : cvi_keras_fill(k, "gamma", length(k, x[3]), 1);
    x[2] = center ? x[2] : cvi_keras_fill(k, "beta", length(k, x[3]), 0);
    int v = cvi_keras_op(k, "BatchNormalization", k->name, false, 5, x);
    cvi_build_float(&k->b, "epsilon", cvi_keras_get_number(k, "epsilon", NULL, 1e-3));
    cvi_build_float(&k->b, "momentum", cvi_keras_get_number(k, "momentum", NULL, 0.99));
    *out = cvi_keras_out(k, v, t->rank, moved);
}

/* The setting "axis" as the first of the last axes: -1 or [1, 2, 3]; -1 where it is none of that. */
static int last_axes(cvi_keras *k, int rank) {
    const json_t *v = cvi_keras_get(k, "axis", NULL);
    int n = json_is_array(v) ? (int)CVI_MIN(json_array_size(v), CVS_MAX_RANK) : 1;
    for (int i = 0; i < n && v; i++) {
        const json_t *e = json_is_array(v) ? json_array_get(v, (size_t)i) : v;
        int64_t axis = json_is_integer(e) ? json_integer_value(e) : INT64_MIN / 2;
        if (axis != rank - n + i && axis != i - n) {
            return -1;
        }
    }
    return rank - n >= 1 ? rank - n : -1;
}

void cvi_keras_layer_norm(cvi_keras *k, cvi_keras_tensor *const *in, int n, cvi_keras_tensor *out) {
    (void)n;
    cvi_keras_tensor *t = in[0];
    int axis = last_axes(k, t->rank);
    if (axis < 0 || cvi_keras_get_bool(k, "rms_scaling", NULL, false)) {
        cvi_keras_bad(k, "axis");
        return;
    }
    cvi_keras_want want = {.name = "gamma", .rank = t->rank - axis};
    for (int i = 0; i < want.rank; i++) {
        want.dim[i] = k->source ? -1 : cvi_keras_dim(k, t, axis + i);
    }
    bool scale = cvi_keras_get_bool(k, "scale", NULL, true),
         center = cvi_keras_get_bool(k, "center", NULL, true);
    int x[3] = {cvi_keras_form(k, t, false), scale ? cvi_keras_take(k, &want) : -1, -1};
    want.name = "beta";
    x[2] = center ? cvi_keras_take(k, &want) : -1;
    if (!scale) {
        int64_t width = center ? length(k, x[2]) : cvi_keras_dim(k, t, -1);
        x[1] = cvi_keras_fill(k, "gamma", width, 1);
    }
    bool image = (t->rank == 4 || t->rank == 5) && !k->first;
    int v = cvi_keras_op(k, "LayerNormalization", image ? cvi_keras_part(k, "rows") : k->name, image,
                         center ? 3 : 2, x);
    cvi_build_int(&k->b, "axis", want.rank > 1 ? axis : -1);
    cvi_build_float(&k->b, "epsilon", cvi_keras_get_number(k, "epsilon", NULL, 1e-3));
    *out = cvi_keras_settle(k, v, t->rank);
}

void cvi_keras_group_norm(cvi_keras *k, cvi_keras_tensor *const *in, int n, cvi_keras_tensor *out) {
    (void)n;
    cvi_keras_tensor *t = in[0];
    int axis = single_axis(k, t->rank, -1);
    if (axis != 1 && axis != t->rank - 1) {
        cvi_keras_bad(k, "axis");
        return;
    }
    bool moved = t->rank > 2 && axis == t->rank - 1;
    int64_t c = k->source ? -1 : cvi_keras_dim(k, t, axis), groups = cvi_keras_get_int(k, "groups", NULL, 32);
    bool scale = cvi_keras_get_bool(k, "scale", NULL, true),
         center = cvi_keras_get_bool(k, "center", NULL, true);
    int x[3] = {cvi_keras_form(k, t, moved), scale ? take(k, "gamma", c) : -1,
                center ? take(k, "beta", c) : -1};
    int64_t width = scale ? length(k, x[1]) : center ? length(k, x[2]) : cvi_keras_dim(k, t, axis);
    x[1] = scale ? x[1] : cvi_keras_fill(k, "gamma", width, 1);
    x[2] = center ? x[2] : cvi_keras_fill(k, "beta", width, 0);
    int v = cvi_keras_op(k, "GroupNormalization", k->name, false, 3, x);
    cvi_build_int(&k->b, "num_groups", groups == -1 ? width : groups);
    cvi_build_float(&k->b, "epsilon", cvi_keras_get_number(k, "epsilon", NULL, 1e-3));
    *out = cvi_keras_out(k, v, t->rank, moved);
}

/* ConvNeXt's LayerScale (a class of keras.applications): x * gamma along the last axis. */
void cvi_keras_layer_scale(cvi_keras *k, cvi_keras_tensor *const *in, int n, cvi_keras_tensor *out) {
    (void)n;
    cvi_keras_tensor *t = in[0];
    int64_t c = k->source ? -1 : cvi_keras_dim(k, t, -1);
    cvi_keras_want want = {.name = "gamma", .rank = 1, .dim = {c}, .out_rank = t->moved ? t->rank - 1 : 1};
    for (int i = 0; i < want.out_rank; i++) {
        want.out_dim[i] = i == 0 ? -1 : 1;
    }
    int x[2] = {cvi_keras_value(t), cvi_keras_take(k, &want)};
    *out = cvi_keras_out(k, cvi_keras_op(k, "Mul", k->name, false, 2, x), t->rank, t->moved);
}

/* ---- preprocessing layers ---- */

/* A layer right behind the input that scales pixels: pictures then go in as 0..255. */
static void note_pixels(cvi_keras *k, const cvi_keras_tensor *t) {
    for (int i = 0; cvi_build_ok(&k->b) && i < k->b.g->n_inputs; i++) {
        if ((k->b.g->inputs[i] == t->form[0] || k->b.g->inputs[i] == t->form[1]) && t->rank == 4) {
            cvs_preprocess *p = &k->b.model->preprocess;
            p->known = true;
            p->scale = 1;
            snprintf(p->from, sizeof p->from, "the model's own layer %.60s", k->name);
        }
    }
}

/* A list of numbers (nested lists of length 1 around it are dropped) or one number. Returns how many, 0 if neither. */
static int64_t read_numbers(cvi_keras *k, const json_t *v, const float **out) {
    while (json_is_array(v) && json_array_size(v) == 1 && json_is_array(json_array_get(v, 0))) {
        v = json_array_get(v, 0);
    }
    int64_t n = json_is_number(v) ? 1 : (int64_t)json_array_size(v);
    float *f = cvi_build_ok(&k->b) && n > 0 ? cvi_arena_alloc(k->b.model->arena, n, sizeof *f) : NULL;
    for (int64_t i = 0; f && i < n; i++) {
        const json_t *e = json_is_number(v) ? v : json_array_get(v, (size_t)i);
        if (json_is_array(e) && json_array_size(e) == 1) {
            e = json_array_get(e, 0);
        }
        if (!json_is_number(e)) {
            return 0;
        }
        f[i] = (float)json_number_value(e);
    }
    *out = f;
    return f ? n : 0;
}

/* n numbers along the last axis of t as a constant that broadcasts over its named form. */
static int along_channels(cvi_keras *k, const cvi_keras_tensor *t, const char *part, int64_t n,
                          const float *v) {
    int64_t dim[CVS_MAX_RANK] = {n, 1, 1, 1, 1, 1, 1, 1};
    if (n == 1) {
        return cvi_keras_const_floats(k, part, 0, NULL, v);
    }
    return cvi_keras_const_floats(k, part, t->moved ? t->rank - 1 : 1, dim, v);
}

void cvi_keras_rescaling(cvi_keras *k, cvi_keras_tensor *const *in, int n, cvi_keras_tensor *out) {
    (void)n;
    cvi_keras_tensor *t = in[0];
    const float *scale = NULL, *offset = NULL;
    int64_t ns = read_numbers(k, cvi_keras_get(k, "scale", NULL), &scale);
    int64_t no = read_numbers(k, cvi_keras_get(k, "offset", NULL), &offset);
    if (ns == 0) {
        cvi_keras_bad(k, "scale");
        return;
    }
    bool shift = no > 1 || (no == 1 && offset[0] != 0);
    int x[2] = {cvi_keras_value(t), along_channels(k, t, "scale", ns, scale)};
    int v = cvi_keras_op(k, "Mul", shift ? cvi_keras_part(k, "scaled") : k->name, shift, 2, x);
    if (shift) {
        v = cvi_keras_op(k, "Add", k->name, false, 2, (int[]){v, along_channels(k, t, "offset", no, offset)});
    }
    note_pixels(k, t);
    *out = cvi_keras_out(k, v, t->rank, t->moved);
}

/* A stored statistic (mean, variance) or the one in the settings. */
static int64_t statistic(cvi_keras *k, const char *name, const float **out) {
    const json_t *given = cvi_keras_get(k, name, NULL);
    if (given) {
        return read_numbers(k, given, out);
    }
    if (!k->source) {
        cvi_keras_bad(k, name);
        return 0;
    }
    bool axis = cvi_keras_get(k, "axis", NULL) != NULL;
    int v = cvi_keras_take(k, &(cvi_keras_want){.name = name, .rank = axis ? 1 : 0, .dim = {-1}});
    const cvs_tensor *t = cvi_build_ok(&k->b) ? k->b.g->values[v].constant : NULL;
    *out = t ? t->data : NULL;
    return t && t->data ? cvs_tensor_count(t) : 0;
}

/* (x - mean) / max(sqrt(variance), 1e-7) along the last axis, or over everything. */
void cvi_keras_normalization(cvi_keras *k, cvi_keras_tensor *const *in, int n, cvi_keras_tensor *out) {
    (void)n;
    cvi_keras_tensor *t = in[0];
    const float *mean = NULL, *variance = NULL;
    bool all = cvi_keras_get(k, "axis", NULL) == NULL;
    if ((!all && single_axis(k, t->rank, -1) != t->rank - 1) ||
        cvi_keras_get_bool(k, "invert", NULL, false)) {
        cvi_keras_bad(k, "axis");
        return;
    }
    int64_t nm = statistic(k, "mean", &mean), nv = statistic(k, "variance", &variance);
    float *deviation =
        cvi_build_ok(&k->b) && nv > 0 ? cvi_arena_alloc(k->b.model->arena, nv, sizeof *deviation) : NULL;
    if (nm == 0 || nv == 0 || !deviation) {
        cvi_keras_bad(k, "mean");
        return;
    }
    for (int64_t i = 0; i < nv; i++) {
        deviation[i] = fmaxf(sqrtf(variance[i]), 1e-7f);
    }
    int v = cvi_keras_op(k, "Sub", cvi_keras_part(k, "centred"), true, 2,
                         (int[]){cvi_keras_value(t), along_channels(k, t, "means", nm, mean)});
    v = cvi_keras_op(k, "Div", k->name, false, 2,
                     (int[]){v, along_channels(k, t, "deviations", nv, deviation)});
    note_pixels(k, t);
    cvi_keras_skip_rest(k); /* the stored count of samples is not needed */
    *out = cvi_keras_out(k, v, t->rank, t->moved);
}

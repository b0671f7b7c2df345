/* SPDX-License-Identifier: MIT
 * keras_shape.c - Keras layers that move numbers: Flatten, Reshape, Permute, padding, cropping, resizing, merging. The order
 * of elements is always that of Keras's own axes.
 */
#include "formats/keras.h"

void cvi_keras_identity(cvi_keras *k, cvi_keras_tensor *const *in, int n, cvi_keras_tensor *out) {
    (void)n;
    int x = cvi_keras_value(in[0]);
    *out = cvi_keras_out(k, cvi_keras_op(k, "Identity", k->name, false, 1, &x), in[0]->rank, in[0]->moved);
}

void cvi_keras_dropout(cvi_keras *k, cvi_keras_tensor *const *in, int n, cvi_keras_tensor *out) {
    (void)n;
    int x[2] = {cvi_keras_value(in[0]),
                cvi_keras_const_float(k, "rate", cvi_keras_get_number(k, "rate", "p", 0.5))};
    *out = cvi_keras_out(k, cvi_keras_op(k, "Dropout", k->name, false, 2, x), in[0]->rank, in[0]->moved);
}

void cvi_keras_flatten(cvi_keras *k, cvi_keras_tensor *const *in, int n, cvi_keras_tensor *out) {
    (void)n;
    cvi_keras_tensor *t = in[0];
    int x = cvi_keras_form(k, t, false);
    /* Since Keras 2.2 the layer may say channels_first: then it too flattens in row, column, channel order. */
    const char *format = cvi_keras_get_string(k, "data_format", NULL, "");
    if (t->rank > 2 && strcmp(format, "channels_first") == 0) {
        int64_t perm[CVS_MAX_RANK] = {0};
        for (int i = 1; i < t->rank; i++) {
            perm[i] = i == t->rank - 1 ? 1 : i + 1;
        }
        x = cvi_keras_op(k, "Transpose", cvi_keras_part(k, "channels_last"), true, 1, &x);
        cvi_build_ints(&k->b, "perm", t->rank, perm);
    }
    int v = cvi_keras_op(k, "Flatten", k->name, false, 1, &x);
    cvi_build_int(&k->b, "axis", 1);
    *out = cvi_keras_out(k, v, 2, false);
}

void cvi_keras_reshape(cvi_keras *k, cvi_keras_tensor *const *in, int n, cvi_keras_tensor *out) {
    (void)n;
    const json_t *target = cvi_keras_get(k, "target_shape", "dims");
    size_t m = json_array_size(target);
    int64_t dim[CVS_MAX_RANK] = {0}; /* 0: the batch is kept */
    bool ok = json_is_array(target) && m + 1 <= CVS_MAX_RANK;
    for (size_t i = 0; ok && i < m; i++) {
        const json_t *e = json_array_get(target, i);
        dim[i + 1] = json_is_null(e) ? -1 : json_integer_value(e);
        ok = (json_is_integer(e) || json_is_null(e)) && (dim[i + 1] > 0 || dim[i + 1] == -1);
    }
    if (!ok) {
        cvi_keras_bad(k, "target_shape");
        return;
    }
    int rank = (int)m + 1, x = cvi_keras_form(k, in[0], false);
    bool image = (rank == 4 || rank == 5) && !k->first;
    if (image && dim[rank - 1] == 1) { /* one channel: both forms have the same order */
        memmove(dim + 2, dim + 1, (size_t)(rank - 2) * sizeof *dim);
        dim[1] = 1;
        int v = cvi_keras_op(k, "Reshape", k->name, false, 2,
                             (int[]){x, cvi_keras_const_ints(k, "shape", rank, dim)});
        *out = cvi_keras_out(k, v, rank, true);
        return;
    }
    const char *name = image ? cvi_keras_part(k, "rows") : k->name;
    int v =
        cvi_keras_op(k, "Reshape", name, image, 2, (int[]){x, cvi_keras_const_ints(k, "shape", rank, dim)});
    *out = cvi_keras_settle(k, v, rank);
}

void cvi_keras_permute(cvi_keras *k, cvi_keras_tensor *const *in, int n, cvi_keras_tensor *out) {
    (void)n;
    const json_t *dims = cvi_keras_get(k, "dims", NULL);
    int rank = in[0]->rank;
    int64_t perm[CVS_MAX_RANK] = {0};
    bool ok = json_array_size(dims) + 1 == (size_t)rank;
    for (int i = 1; ok && i < rank; i++) {
        perm[i] = json_integer_value(json_array_get(dims, (size_t)i - 1));
        ok = perm[i] >= 1 && perm[i] < rank;
    }
    if (!ok) {
        cvi_keras_bad(k, "dims");
        return;
    }
    bool image = (rank == 4 || rank == 5) && !k->first;
    int x = cvi_keras_form(k, in[0], false);
    int v = cvi_keras_op(k, "Transpose", image ? cvi_keras_part(k, "rows") : k->name, image, 1, &x);
    cvi_build_ints(&k->b, "perm", rank, perm);
    *out = cvi_keras_settle(k, v, rank);
}

/* ---- along the spatial axes ---- */

/* begin and end amounts: 1, [1, 2], [[1, 2], [3, 4]]. */
static void read_amounts(cvi_keras *k, const json_t *v, const char *key, int n, int64_t *begin,
                         int64_t *end) {
    for (int i = 0; i < n; i++) {
        const json_t *e = json_is_array(v) && n > 1 ? json_array_get(v, (size_t)i) : v;
        const json_t *a = json_is_array(e) ? json_array_get(e, 0) : e,
                     *b = json_is_array(e) ? json_array_get(e, 1) : e;
        begin[i] = json_integer_value(a);
        end[i] = json_integer_value(b);
        if (!json_is_integer(a) || !json_is_integer(b) || begin[i] < 0 || end[i] < 0 ||
            begin[i] > INT32_MAX || end[i] > INT32_MAX) {
            cvi_keras_bad(k, key);
            begin[i] = end[i] = 0;
        }
    }
}

void cvi_keras_zero_pad(cvi_keras *k, cvi_keras_tensor *const *in, int n, cvi_keras_tensor *out) {
    (void)n;
    int m = cvi_keras_spatial(k), rank = m + 2;
    bool last = cvi_keras_last(k);
    int64_t pads[2 * CVS_MAX_RANK] = {0};
    if (!cvi_keras_check_rank(k, in[0], rank)) {
        return;
    }
    read_amounts(k, cvi_keras_get(k, "padding", NULL), "padding", m, pads + 2, pads + rank + 2);
    int x = cvi_keras_form(k, in[0], last);
    int v = cvi_keras_op(k, "Pad", k->name, false, 2,
                         (int[]){x, cvi_keras_const_ints(k, "pads", 2 * rank, pads)});
    *out = cvi_keras_out(k, v, rank, last);
}

void cvi_keras_crop(cvi_keras *k, cvi_keras_tensor *const *in, int n, cvi_keras_tensor *out) {
    (void)n;
    int m = cvi_keras_spatial(k), rank = m + 2;
    bool last = cvi_keras_last(k);
    int64_t begin[3] = {0}, end[3] = {0};
    static const int64_t axes[3] = {2, 3, 4};
    if (!cvi_keras_check_rank(k, in[0], rank)) {
        return;
    }
    read_amounts(k, cvi_keras_get(k, "cropping", NULL), "cropping", m, begin, end);
    for (int i = 0; i < m; i++) {
        end[i] = end[i] ? -end[i] : INT64_MAX;
    }
    int x[4] = {cvi_keras_form(k, in[0], last), cvi_keras_const_ints(k, "begin", m, begin),
                cvi_keras_const_ints(k, "end", m, end), cvi_keras_const_ints(k, "axes", m, axes)};
    *out = cvi_keras_out(k, cvi_keras_op(k, "Slice", k->name, false, 4, x), rank, last);
}

/* The settings of a Resize node for an interpolation of Keras. */
static void set_interpolation(cvi_keras *k, const char *how) {
    if (strcmp(how, "nearest") == 0) {
        cvi_build_string(&k->b, "mode", "nearest");
        cvi_build_string(&k->b, "coordinate_transformation_mode", "asymmetric");
        cvi_build_string(&k->b, "nearest_mode", "floor");
    } else if (strcmp(how, "bilinear") == 0) {
        cvi_build_string(&k->b, "mode", "linear");
        cvi_build_string(&k->b, "coordinate_transformation_mode", "half_pixel");
    } else if (strcmp(how, "bicubic") == 0) {
        cvi_build_string(&k->b, "mode", "cubic");
        cvi_build_string(&k->b, "coordinate_transformation_mode", "half_pixel");
        cvi_build_float(&k->b, "cubic_coeff_a", -0.5);
        cvi_build_int(&k->b, "exclude_outside", 1);
    } else {
        cvi_keras_bad(k, "interpolation");
    }
}

void cvi_keras_upsample(cvi_keras *k, cvi_keras_tensor *const *in, int n, cvi_keras_tensor *out) {
    (void)n;
    int m = cvi_keras_spatial(k), rank = m + 2;
    bool last = cvi_keras_last(k);
    int64_t size[3] = {1, 1, 1}, dim = rank;
    float scales[5] = {1, 1};
    if (!cvi_keras_check_rank(k, in[0], rank)) {
        return;
    }
    cvi_keras_get_sizes(k, cvi_keras_get(k, "size", "length"), "size", m, 2, size);
    for (int i = 0; i < m; i++) {
        scales[i + 2] = (float)size[i];
    }
    int x[3] = {cvi_keras_form(k, in[0], last), -1, cvi_keras_const_floats(k, "scales", 1, &dim, scales)};
    int v = cvi_keras_op(k, "Resize", k->name, false, 3, x);
    set_interpolation(k, cvi_keras_get_string(k, "interpolation", NULL, "nearest"));
    *out = cvi_keras_out(k, v, rank, last);
}

/* Before resizing the largest middle part of the wanted proportions is cut out, or the picture is put into the middle of one of them;
 * both round down as Keras does. Answers the graph value in the form of the layer's data format. */
static int fit(cvi_keras *k, cvi_keras_tensor *t, bool last, bool crop, const int64_t want[2]) {
    int64_t side[2], part[2], begin[2], end[2], pads[8] = {0};
    static const int64_t axes[2] = {2, 3};
    int x = cvi_keras_form(k, t, last);
    for (int i = 0; i < 2; i++) {
        side[i] = cvi_keras_dim(k, t, last ? 1 + i : 2 + i);
        if (side[i] < 1 || side[i] > INT32_MAX || want[i] > INT32_MAX) {
            cvi_keras_bad(k, "height");
            return -1;
        }
    }
    part[0] = (int64_t)((double)(side[1] * want[0]) / (double)want[1]);
    part[1] = (int64_t)((double)(side[0] * want[1]) / (double)want[0]);
    for (int i = 0; i < 2; i++) {
        part[i] = crop ? CVI_MAX(CVI_MIN(side[i], part[i]), 1) : CVI_MAX(side[i], part[i]);
        begin[i] = (crop ? side[i] - part[i] : part[i] - side[i]) / 2;
        end[i] = begin[i] + part[i];
        pads[2 + i] = pads[6 + i] = begin[i];
    }
    if (crop) {
        return cvi_keras_op(k, "Slice", cvi_keras_part(k, "middle"), true, 4,
                            (int[]){x, cvi_keras_const_ints(k, "begin", 2, begin),
                                    cvi_keras_const_ints(k, "end", 2, end),
                                    cvi_keras_const_ints(k, "axes", 2, axes)});
    }
    double value = cvi_keras_get_number(k, "fill_value", NULL, 0);
    return cvi_keras_op(
        k, "Pad", cvi_keras_part(k, "framed"), true, 3,
        (int[]){x, cvi_keras_const_ints(k, "pads", 8, pads), cvi_keras_const_float(k, "filling", value)});
}

void cvi_keras_resizing(cvi_keras *k, cvi_keras_tensor *const *in, int n, cvi_keras_tensor *out) {
    (void)n;
    bool last = cvi_keras_last(k);
    int64_t size[2] = {cvi_keras_get_int(k, "height", NULL, 0), cvi_keras_get_int(k, "width", NULL, 0)};
    if (!cvi_keras_check_rank(k, in[0], 4)) {
        return;
    }
    bool crop = cvi_keras_get_bool(k, "crop_to_aspect_ratio", NULL,
                                   strcmp(k->layer->class_name, "CenterCrop") == 0),
         pad = cvi_keras_get_bool(k, "pad_to_aspect_ratio", NULL, false);
    if (size[0] < 1 || size[1] < 1 || cvi_keras_get_bool(k, "antialias", NULL, false)) {
        cvi_keras_bad(k, "height");
        return;
    }
    int x[4] = {crop || pad ? fit(k, in[0], last, crop, size) : cvi_keras_form(k, in[0], last), -1, -1,
                cvi_keras_const_ints(k, "sizes", 2, size)};
    int v = cvi_keras_op(k, "Resize", k->name, false, 4, x);
    cvi_build_ints(&k->b, "axes", 2, (int64_t[]){2, 3});
    set_interpolation(k, cvi_keras_get_string(k, "interpolation", NULL, "bilinear"));
    if (cvi_build_ok(&k->b) &&
        strcmp(cvi_keras_get_string(k, "interpolation", NULL, "bilinear"), "nearest") == 0) {
        k->b.g->nodes[k->b.node].n_attr -= 2; /* TensorFlow takes the nearest pixel centre, halves upwards */
        cvi_build_string(&k->b, "coordinate_transformation_mode", "half_pixel");
        cvi_build_string(&k->b, "nearest_mode", "round_prefer_ceil");
    }
    *out = cvi_keras_out(k, v, 4, last);
}

/* ---- merging ---- */

/* Keras 3 and 2 name the class, Keras 1's Merge has a mode. */
static const char *merge_op(const cvi_keras *k) {
    static const char *const names[][2] = {{"Add", "Add"},
                                           {"Subtract", "Sub"},
                                           {"Multiply", "Mul"},
                                           {"Average", "Mean"},
                                           {"Maximum", "Max"},
                                           {"Minimum", "Min"},
                                           {"Concatenate", "Concat"},
                                           {"sum", "Add"},
                                           {"mul", "Mul"},
                                           {"ave", "Mean"},
                                           {"max", "Max"},
                                           {"concat", "Concat"}};
    const char *what = strcmp(k->layer->class_name, "Merge") == 0
                           ? cvi_keras_get_string(k, "mode", NULL, "sum")
                           : k->layer->class_name;
    for (int i = 0; i < CVI_COUNT(names); i++) {
        if (strcmp(names[i][0], what) == 0) {
            return names[i][1];
        }
    }
    return NULL;
}

/* Gives a tensor of lower rank the axes it lacks, after the batch, as Keras does before merging. */
static int widen(cvi_keras *k, cvi_keras_tensor *t, int rank, bool moved) {
    int x = cvi_keras_form(k, t, false), n = rank - t->rank;
    int64_t axes[CVS_MAX_RANK];
    for (int i = 0; i < n; i++) {
        axes[i] = i + 1;
    }
    const char *name = cvi_keras_part(k, "widened");
    int v = cvi_keras_op(k, "Unsqueeze", name, true, 2, (int[]){x, cvi_keras_const_ints(k, "axes", n, axes)});
    cvi_keras_tensor wide = {.form = {v, -1}, .rank = rank};
    return cvi_keras_form(k, &wide, moved);
}

void cvi_keras_merge(cvi_keras *k, cvi_keras_tensor *const *in, int n, cvi_keras_tensor *out) {
    const char *op = merge_op(k);
    if (!op) {
        cvi_keras_opaque(k, in, n, out);
        return;
    }
    int widest = 0;
    for (int i = 1; i < n; i++) {
        widest = in[i]->rank > in[widest]->rank ? i : widest;
    }
    cvi_keras_tensor like = *in[widest];
    int *x = cvi_build_ok(&k->b) ? cvi_arena_alloc(k->b.model->arena, n, sizeof *x) : NULL;
    if (!x) {
        cvi_build_set(&k->b, cvi_no_memory(k->b.err, (size_t)n * sizeof *x));
        return;
    }
    for (int i = 0; i < n; i++) {
        bool narrow = in[i]->rank < like.rank;
        x[i] = narrow ? widen(k, in[i], like.rank, like.moved) : cvi_keras_form(k, in[i], like.moved);
    }
    int v = x[0];
    bool pairs = strcmp(op, "Add") == 0 || strcmp(op, "Mul") == 0 || strcmp(op, "Sub") == 0;
    if (pairs && n >= 2) { /* ONNX adds and multiplies two at a time */
        for (int i = 1; i < n; i++) {
            bool more = i + 1 < n;
            v = cvi_keras_op(k, op, more ? cvi_keras_part(k, "part") : k->name, more, 2, (int[]){v, x[i]});
        }
    } else {
        v = cvi_keras_op(k, n == 1 ? "Identity" : op, k->name, false, n, x);
        if (n > 1 && strcmp(op, "Concat") == 0) {
            int64_t axis = cvi_keras_get_int(k, "axis", "concat_axis", -1);
            cvi_build_int(&k->b, "axis", cvi_keras_axis(k, &like, axis));
        }
    }
    *out = cvi_keras_out(k, v, like.rank, like.moved);
}

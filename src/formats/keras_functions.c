/* SPDX-License-Identifier: MIT
 * keras_functions.c - the makers of keras_functions.def: how the settings of a function that Keras applies without a layer become inputs
 * and attributes of TensorFlow's operation. Each answers false where the function is not in a form that is run.
 */
#include <ctype.h>

#include "formats/keras_lambda.h"
#include "ops/op.h"

static bool with_axes(lambda *l, const char *op, cvi_tf_tensor *x, bool keep) {
    int64_t axes[CVS_MAX_RANK];
    const json_t *given = cvi_lambda_setting(l, "axis", "axes", 1);
    int n = given ? cvi_lambda_list_of(given, CVS_MAX_RANK, 0, axes) : x->rank;
    if (n < 0 || x->rank < 0) {
        return false;
    }
    for (int i = 0; i < n && !given; i++) {
        axes[i] = i;
    }
    cvi_tf_tensor list = cvi_lambda_ints(l, "axes", 1, n, axes);
    cvi_lambda_add_int(l, "keep_dims", keep);
    return cvi_lambda_emit(l, op, 2, (cvi_tf_tensor *[]){x, &list});
}

static bool keeps(const lambda *l) {
    return cvi_lambda_truth(l, "keepdims", "keep_dims");
}

static bool make_map(lambda *l, const lambda_row *r) {
    cvi_tf_tensor *in[LAMBDA_OPERANDS];
    for (int i = 0; i < l->n; i++) {
        in[i] = &l->operand[i];
    }
    return cvi_lambda_emit(l, r->op, l->n, in);
}

static bool make_pair(lambda *l, const lambda_row *r) {
    return l->n == 2 && make_map(l, r);
}

static bool make_reduce(lambda *l, const lambda_row *r) {
    return with_axes(l, r->op, &l->operand[0], keeps(l));
}

/* Variance, or its root. */
static bool make_variance(lambda *l, const lambda_row *r) {
    cvi_tf_tensor mean, apart, v, *x = &l->operand[0];
    const char *own = l->net.t.name;
    l->net.t.name = cvi_tf_part(&l->net.t, "mean");
    bool done = with_axes(l, "Mean", x, true);
    l->net.t.name = own;
    if (!done) {
        return false;
    }
    mean = l->net.out[0];
    if (!cvi_lambda_between(l, "apart", "SquaredDifference", 2, (cvi_tf_tensor *[]){x, &mean}, &apart)) {
        return false;
    }
    l->net.t.name = strcmp(r->op, "Sqrt") == 0 ? cvi_tf_part(&l->net.t, "variance") : own;
    done = with_axes(l, "Mean", &apart, keeps(l));
    l->net.t.name = own;
    if (!done || strcmp(r->op, "Sqrt") != 0) {
        return done;
    }
    v = l->net.out[0];
    return cvi_lambda_emit(l, "Sqrt", 1, (cvi_tf_tensor *[]){&v});
}

/* log of the sum of exp, without overflow: the greatest is taken off first. */
static bool make_log_sum(lambda *l, const lambda_row *r) {
    cvi_tf_tensor *x = &l->operand[0], most, less, e, sum, low, log;
    const char *own = l->net.t.name;
    (void)r;
    l->net.t.name = cvi_tf_part(&l->net.t, "most");
    bool done = with_axes(l, "Max", x, true);
    most = done ? l->net.out[0] : cvi_tf_none();
    l->net.t.name = own;
    if (!done || !cvi_lambda_between(l, "less", "Sub", 2, (cvi_tf_tensor *[]){x, &most}, &less) ||
        !cvi_lambda_between(l, "exp", "Exp", 1, (cvi_tf_tensor *[]){&less}, &e)) {
        return false;
    }
    l->net.t.name = cvi_tf_part(&l->net.t, "sum");
    done = with_axes(l, "Sum", &e, keeps(l));
    sum = done ? l->net.out[0] : cvi_tf_none();
    l->net.t.name = cvi_build_name(&l->net.t.b, "%s/greatest", own);
    done = done && with_axes(l, "Max", x, keeps(l));
    low = done ? l->net.out[0] : cvi_tf_none();
    l->net.t.name = own;
    return done && cvi_lambda_between(l, "log", "Log", 1, (cvi_tf_tensor *[]){&sum}, &log) &&
           cvi_lambda_emit(l, "AddV2", 2, (cvi_tf_tensor *[]){&log, &low});
}

static bool make_reshape(lambda *l, const lambda_row *r) {
    int64_t dim[CVS_MAX_RANK];
    int n = cvi_lambda_list_of(cvi_lambda_setting(l, "newshape", "shape", 1), CVS_MAX_RANK, -1, dim);
    if (n < 0) {
        return false;
    }
    cvi_tf_tensor shape = cvi_lambda_ints(l, "shape", 1, n, dim);
    return cvi_lambda_emit(l, r->op, 2, (cvi_tf_tensor *[]){&l->operand[0], &shape});
}

static int64_t within(int64_t axis, int rank) {
    axis = axis < 0 ? axis + rank : axis;
    return axis >= 0 && axis < rank ? axis : -1;
}

static bool make_transpose(lambda *l, const lambda_row *r) {
    int64_t perm[CVS_MAX_RANK], from[CVS_MAX_RANK], to[CVS_MAX_RANK];
    int rank = l->operand[0].rank, n;
    if (rank < 1) {
        return false;
    }
    for (int i = 0; i < rank; i++) {
        perm[i] = i;
    }
    if (strcmp(r->name, "swapaxes") == 0) {
        int64_t a = within(cvi_lambda_number_or(cvi_lambda_setting(l, "axis1", NULL, 1), 99), rank),
                b = within(cvi_lambda_number_or(cvi_lambda_setting(l, "axis2", NULL, 2), 99), rank);
        if (a < 0 || b < 0) {
            return false;
        }
        perm[a] = b;
        perm[b] = a;
    } else if (strcmp(r->name, "moveaxis") == 0) {
        n = cvi_lambda_list_of(cvi_lambda_setting(l, "source", NULL, 1), 1, -1, from);
        int64_t a = n == 1 &&
                            cvi_lambda_list_of(cvi_lambda_setting(l, "destination", NULL, 2), 1, -1, to) == 1
                        ? within(from[0], rank)
                        : -1,
                b = a >= 0 ? within(to[0], rank) : -1;
        if (a < 0 || b < 0) {
            return false;
        }
        for (int64_t i = a; i != b; i += a < b ? 1 : -1) {
            perm[i] = perm[i + (a < b ? 1 : -1)];
        }
        perm[b] = a;
    } else {
        const json_t *axes = cvi_lambda_setting(l, "axes", "perm", 1);
        n = axes ? cvi_lambda_list_of(axes, CVS_MAX_RANK, -1, perm) : rank;
        for (int i = 0; i < rank && !axes; i++) {
            perm[i] = rank - 1 - i;
        }
        if (n != rank) {
            return false;
        }
    }
    cvi_tf_tensor order = cvi_lambda_ints(l, "order", 1, rank, perm);
    return cvi_lambda_emit(l, r->op, 2, (cvi_tf_tensor *[]){&l->operand[0], &order});
}

/* One number as the second input: ExpandDims, Cumsum, ReverseV2. */
static bool make_axis(lambda *l, const lambda_row *r) {
    int64_t axes[CVS_MAX_RANK];
    const json_t *given = cvi_lambda_setting(l, "axis", NULL, 1);
    int n = given ? cvi_lambda_list_of(given, CVS_MAX_RANK, 0, axes) : 0;
    if (n < 1) {
        return false;
    }
    bool several = strcmp(r->op, "ReverseV2") == 0;
    cvi_tf_tensor list =
        several ? cvi_lambda_ints(l, "axes", 1, n, axes) : cvi_lambda_whole(l, "axis", axes[0]);
    return (several || n == 1) && cvi_lambda_emit(l, r->op, 2, (cvi_tf_tensor *[]){&l->operand[0], &list});
}

static bool make_squeeze(lambda *l, const lambda_row *r) {
    int64_t axes[CVS_MAX_RANK];
    const json_t *given = cvi_lambda_setting(l, "axis", NULL, 1);
    int n = given ? cvi_lambda_list_of(given, CVS_MAX_RANK, 0, axes) : 0;
    cvi_lambda_add_list(l, "squeeze_dims", CVI_MAX(n, 0), axes);
    return n >= 0 && cvi_lambda_emit(l, r->op, 1, (cvi_tf_tensor *[]){&l->operand[0]});
}

static bool make_join(lambda *l, const lambda_row *r) {
    cvi_tf_tensor *in[LAMBDA_OPERANDS + 1], axis;
    int64_t a =
        cvi_lambda_number_or(cvi_lambda_setting(l, "axis", NULL, 1), strcmp(r->op, "Pack") == 0 ? 0 : -1);
    for (int i = 0; i < l->n; i++) {
        in[i] = &l->operand[i];
    }
    if (strcmp(r->op, "Pack") == 0) {
        cvi_lambda_add_int(l, "axis", a);
        return cvi_lambda_emit(l, r->op, l->n, in);
    }
    axis = cvi_lambda_whole(l, "axis", a);
    in[l->n] = &axis;
    return cvi_lambda_emit(l, r->op, l->n + 1, in);
}

static bool make_split(lambda *l, const lambda_row *r) {
    int64_t at[64], size[65], dim[CVS_MAX_RANK];
    cvi_tf_tensor *x = &l->operand[0], axis, sizes;
    const json_t *parts = cvi_lambda_setting(l, "indices_or_sections", "num_or_size_splits", 1);
    bool keras2 = cvi_lambda_setting(l, "num_or_size_splits", NULL, 99) != NULL;
    int64_t a = within(cvi_lambda_number_or(cvi_lambda_setting(l, "axis", NULL, 2), 0), x->rank);
    int n = cvi_lambda_list_of(parts, 64, -1, at);
    (void)r;
    if (n < 1 || a < 0 || !cvi_tf_dims(&l->net.t, x, dim)) {
        return false;
    }
    axis = cvi_lambda_whole(l, "axis", a);
    if (json_is_integer(parts)) {
        cvi_lambda_add_int(l, "num_split", at[0]);
        return cvi_lambda_emit(l, "Split", 2, (cvi_tf_tensor *[]){&axis, x});
    }
    for (int i = 0; i <= n && !keras2; i++) { /* places to cut at */
        int64_t from = i ? at[i - 1] : 0, to = i < n ? at[i] : dim[a];
        size[i] = to - from;
        if (from < 0 || to < from || to > dim[a]) {
            return false;
        }
    }
    sizes = keras2 ? cvi_lambda_ints(l, "sizes", 1, n, at) : cvi_lambda_ints(l, "sizes", 1, n + 1, size);
    return cvi_lambda_emit(l, "SplitV", 3, (cvi_tf_tensor *[]){x, &sizes, &axis});
}

static bool make_unstack(lambda *l, const lambda_row *r) {
    int64_t dim[CVS_MAX_RANK],
        a = within(cvi_lambda_number_or(cvi_lambda_setting(l, "axis", NULL, 2), 0), l->operand[0].rank);
    if (a < 0 || !cvi_tf_dims(&l->net.t, &l->operand[0], dim)) {
        return false;
    }
    cvi_lambda_add_int(l, "axis", a);
    cvi_lambda_add_int(l, "num", dim[a]);
    return cvi_lambda_emit(l, r->op, 1, (cvi_tf_tensor *[]){&l->operand[0]});
}

/* x[1:-1, ..., None, 3] */
static bool make_item(lambda *l, const lambda_row *r) {
    const json_t *spec = json_object_get(l->words, "slice_spec");
    cvi_tf_strided s = {0};
    (void)r;
    spec = spec ? spec : json_object_get(l->words, "key");
    spec = spec ? spec : json_array_get(l->args, 1);
    size_t n = json_is_array(spec) ? json_array_size(spec) : 1;
    for (size_t i = 0; i < n && n <= 16 && spec; i++, s.n++) {
        const json_t *e = json_is_array(spec) ? json_array_get(spec, i) : spec;
        const char *class = cvi_json_string(e, "class_name", "");
        const json_t *c = json_object_get(e, "config"), *slice = c ? c : e;
        int64_t bit = INT64_C(1) << i;
        s.step[i] = 1;
        if (json_is_null(e)) {
            s.new_axis_mask |= bit;
        } else if (json_is_integer(e)) {
            s.begin[i] = json_integer_value(e);
            s.end[i] = s.begin[i] + 1;
            s.shrink_mask |= bit;
        } else if (strcmp(class, "__ellipsis__") == 0 ||
                   (json_is_string(e) && strcmp(json_string_value(e), "...") == 0)) {
            s.ellipsis_mask |= bit;
        } else if (json_is_object(e) && (json_object_get(slice, "start") || json_object_get(slice, "stop"))) {
            const json_t *begin = json_object_get(slice, "start"), *end = json_object_get(slice, "stop"),
                         *by = json_object_get(slice, "step");
            bool good = (!begin || json_is_null(begin) || json_is_integer(begin)) &&
                        (!end || json_is_null(end) || json_is_integer(end)) &&
                        (!by || json_is_null(by) || json_is_integer(by));
            if (!good) {
                return false;
            }
            s.begin[i] = cvi_lambda_number_or(begin, 0);
            s.end[i] = cvi_lambda_number_or(end, 0);
            s.step[i] = cvi_lambda_number_or(by, 1);
            s.begin_mask |= json_is_integer(begin) ? 0 : bit;
            s.end_mask |= json_is_integer(end) ? 0 : bit;
        } else {
            return false;
        }
    }
    if (!spec || n > 16 || l->operand[0].rank < 0) {
        return false;
    }
    l->net.t.type = "StridedSlice";
    cvi_tf_node_put(&l->net, 0, cvi_tf_strided_slice(&l->net.t, &l->operand[0], &s));
    return cvi_build_ok(&l->net.t.b);
}

static bool make_pad(lambda *l, const lambda_row *r) {
    int64_t pads[2 * CVS_MAX_RANK];
    const json_t *given = cvi_lambda_unwrap(cvi_lambda_setting(l, "pad_width", "paddings", 1));
    const json_t *mode = cvi_lambda_setting(l, "mode", NULL, 2),
                 *value = cvi_lambda_setting(l, "constant_values", NULL, 3);
    int rank = l->operand[0].rank;
    (void)r;
    if (rank < 1 || !json_is_array(given) || json_array_size(given) != (size_t)rank) {
        return false;
    }
    for (int i = 0; i < rank; i++) {
        if (cvi_lambda_list_of(json_array_get(given, (size_t)i), 2, 0, pads + 2 * i) != 2) {
            return false;
        }
    }
    cvs_tensor t = {.dtype = CVS_I64, .rank = 2, .dim = {rank, 2}};
    cvi_tf_tensor widths = cvi_lambda_ints(l, "widths", 1, 2 * (int64_t)rank, pads), filling;
    t.bytes = widths.constant.bytes;
    t.data = widths.constant.data;
    widths = cvi_tf_constant(widths.name, &t);
    const char *how = json_is_string(mode) ? json_string_value(mode) : "constant";
    if (tolower((unsigned char)how[0]) == 'r' || tolower((unsigned char)how[0]) == 's') {
        cvi_lambda_add_text(l, "mode", tolower((unsigned char)how[0]) == 'r' ? "REFLECT" : "SYMMETRIC");
        return cvi_lambda_emit(l, "MirrorPad", 2, (cvi_tf_tensor *[]){&l->operand[0], &widths});
    }
    if (tolower((unsigned char)how[0]) != 'c') {
        return false;
    }
    bool filled = json_is_number(value) && cvi_lambda_constant(l, value, CVS_F32, &filling);
    return cvi_lambda_emit(l, filled ? "PadV2" : "Pad", filled ? 3 : 2,
                           (cvi_tf_tensor *[]){&l->operand[0], &widths, &filling});
}

/* A list of whole numbers as the second input: Tile, BroadcastTo. */
static bool make_list(lambda *l, const lambda_row *r) {
    int64_t list[CVS_MAX_RANK], dim[CVS_MAX_RANK];
    bool tile = strcmp(r->op, "Tile") == 0;
    int n = cvi_lambda_list_of(tile ? cvi_lambda_setting(l, "repeats", "multiples", 1)
                                    : cvi_lambda_setting(l, "shape", NULL, 1),
                               CVS_MAX_RANK, -1, list);
    if (n < 0 || (tile && n != l->operand[0].rank) || !cvi_tf_dims(&l->net.t, &l->operand[0], dim)) {
        return false;
    }
    for (int i = 0; i < n; i++) { /* None: as it is */
        int from = i - (n - l->operand[0].rank);
        list[i] = list[i] < 0 && from >= 0 ? dim[from] : list[i];
    }
    cvi_tf_tensor to = cvi_lambda_ints(l, "list", 1, n, list);
    return cvi_lambda_emit(l, r->op, 2, (cvi_tf_tensor *[]){&l->operand[0], &to});
}

static bool make_repeat(lambda *l, const lambda_row *r) {
    int64_t dim[CVS_MAX_RANK], times = cvi_lambda_number_or(cvi_lambda_setting(l, "repeats", NULL, 1), -1),
                               at[4096];
    int64_t a = within(cvi_lambda_number_or(cvi_lambda_setting(l, "axis", NULL, 2), 99), l->operand[0].rank);
    if (a < 0 || times < 1 || times > 4096 || !cvi_tf_dims(&l->net.t, &l->operand[0], dim) || dim[a] < 1 ||
        dim[a] > 4096 || dim[a] * times > 4096) {
        return false;
    }
    for (int64_t i = 0; i < dim[a] * times; i++) {
        at[i] = i / times;
    }
    cvi_tf_tensor places = cvi_lambda_ints(l, "places", 1, dim[a] * times, at),
                  axis = cvi_lambda_whole(l, "axis", a);
    return cvi_lambda_emit(l, r->op, 3, (cvi_tf_tensor *[]){&l->operand[0], &places, &axis});
}

static bool make_roll(lambda *l, const lambda_row *r) {
    int64_t shift[CVS_MAX_RANK], axes[CVS_MAX_RANK];
    int n = cvi_lambda_list_of(cvi_lambda_setting(l, "shift", NULL, 1), CVS_MAX_RANK, 0, shift),
        m = cvi_lambda_list_of(cvi_lambda_setting(l, "axis", NULL, 2), CVS_MAX_RANK, 0, axes);
    if (n < 1 || n != m) {
        return false;
    }
    cvi_tf_tensor by = cvi_lambda_ints(l, "by", 1, n, shift), along = cvi_lambda_ints(l, "axes", 1, n, axes);
    return cvi_lambda_emit(l, r->op, 3, (cvi_tf_tensor *[]){&l->operand[0], &by, &along});
}

static bool make_take(lambda *l, const lambda_row *r) {
    cvi_tf_tensor places, axis, *at = &places;
    const json_t *given = cvi_lambda_setting(l, "indices", NULL, 1);
    int64_t dim[CVS_MAX_RANK],
        a = within(cvi_lambda_number_or(cvi_lambda_setting(l, "axis", NULL, 2), 99), l->operand[0].rank);
    if (a < 0 || !cvi_tf_dims(&l->net.t, &l->operand[0], dim) ||
        !cvi_lambda_constant(l, given, CVS_I64, &places)) {
        return false;
    }
    for (int64_t i = 0; i < cvs_tensor_count(&places.constant); i++) {
        int64_t p = cvi_get_int(&places.constant, i);
        if (p < 0) {
            ((int64_t *)places.constant.data)[i] = p + dim[a];
        }
    }
    axis = cvi_lambda_whole(l, "axis", a);
    return cvi_lambda_emit(l, r->op, 3, (cvi_tf_tensor *[]){&l->operand[0], at, &axis});
}

static bool make_matmul(lambda *l, const lambda_row *r) {
    cvi_lambda_add_int(l, "adj_x", cvi_lambda_truth(l, "transpose_a", "adjoint_a"));
    cvi_lambda_add_int(l, "adj_y", cvi_lambda_truth(l, "transpose_b", "adjoint_b"));
    return make_pair(l, r);
}

static bool make_einsum(lambda *l, const lambda_row *r) {
    const json_t *text = cvi_lambda_setting(l, "subscripts", "equation", 0);
    if (!json_is_string(text)) {
        return false;
    }
    cvi_lambda_add_text(l, "equation", json_string_value(text));
    return make_map(l, r);
}

static bool make_arg(lambda *l, const lambda_row *r) {
    const json_t *given = cvi_lambda_setting(l, "axis", "dimension", 1);
    if (!json_is_integer(given) || keeps(l)) {
        return false;
    }
    cvi_tf_tensor axis = cvi_lambda_whole(l, "axis", json_integer_value(given));
    cvi_lambda_add_int(l, "output_type", 3);
    return cvi_lambda_emit(l, r->op, 2, (cvi_tf_tensor *[]){&l->operand[0], &axis});
}

static bool make_top(lambda *l, const lambda_row *r) {
    cvi_tf_tensor k = cvi_lambda_whole(l, "k", cvi_lambda_number_or(cvi_lambda_setting(l, "k", NULL, 1), 1));
    return cvi_lambda_emit(l, r->op, 2, (cvi_tf_tensor *[]){&l->operand[0], &k});
}

static bool make_clip(lambda *l, const lambda_row *r) {
    const json_t *low = cvi_lambda_setting(l, "x_min", "clip_value_min", 1),
                 *high = cvi_lambda_setting(l, "x_max", "clip_value_max", 2);
    cvi_tf_tensor a, b;
    return json_is_number(low) && json_is_number(high) && cvi_lambda_constant(l, low, CVS_F32, &a) &&
           cvi_lambda_constant(l, high, CVS_F32, &b) &&
           cvi_lambda_emit(l, r->op, 3, (cvi_tf_tensor *[]){&l->operand[0], &a, &b});
}

static bool make_one_hot(lambda *l, const lambda_row *r) {
    cvi_tf_tensor depth = cvi_lambda_whole(
                      l, "depth", cvi_lambda_number_or(cvi_lambda_setting(l, "num_classes", "depth", 1), -1)),
                  on, off;
    json_t *one = json_integer(1), *zero = json_integer(0);
    bool good = one && zero && cvi_lambda_constant(l, one, CVS_F32, &on) &&
                cvi_lambda_constant(l, zero, CVS_F32, &off);
    json_decref(one);
    json_decref(zero);
    cvi_lambda_add_int(l, "axis", cvi_lambda_number_or(cvi_lambda_setting(l, "axis", NULL, 2), -1));
    return good && cvi_lambda_emit(l, r->op, 4, (cvi_tf_tensor *[]){&l->operand[0], &depth, &on, &off});
}

static bool make_cast(lambda *l, const lambda_row *r) {
    static const struct {
        const char *name;
        int type;
    } types[] = {{"float32", 1}, {"float16", 1}, {"bfloat16", 1}, {"float64", 1}, {"int32", 3},
                 {"int64", 9},   {"bool", 10},   {"uint8", 4},    {"int8", 6}};
    const json_t *given = cvi_lambda_setting(l, "dtype", NULL, 1);
    const char *name = json_is_string(given) ? json_string_value(given)
                                             : cvi_json_string(json_object_get(given, "config"), "name", "");
    for (int i = 0; i < CVI_COUNT(types); i++) {
        if (strcmp(types[i].name, name) == 0) {
            cvi_lambda_add_int(l, "DstT", types[i].type);
            return cvi_lambda_emit(l, r->op, 1, (cvi_tf_tensor *[]){&l->operand[0]});
        }
    }
    return false;
}

/* x over the root of its squares' sum along axes. */
static bool make_normalize(lambda *l, const lambda_row *r) {
    cvi_tf_tensor *x = &l->operand[0], square, sum, root, most, least;
    const json_t *eps = cvi_lambda_setting(l, "epsilon", NULL, 3),
                 *order = cvi_lambda_setting(l, "order", NULL, 2);
    const char *own = l->net.t.name;
    bool keras2 = strcmp(r->name, "l2normalize") == 0;
    double small = json_is_number(eps) ? json_number_value(eps) : keras2 ? 1e-12 : 1e-7;
    json_t *bound = json_real(keras2 ? small : small * small);
    bool good = bound && cvi_lambda_constant(l, bound, CVS_F32, &least);
    json_decref(bound);
    if (!good || (!keras2 && cvi_lambda_number_or(order, 2) != 2) ||
        !cvi_lambda_between(l, "square", "Square", 1, (cvi_tf_tensor *[]){x}, &square)) {
        return false;
    }
    l->net.t.name = cvi_tf_part(&l->net.t, "sum");
    good = with_axes(l, "Sum", &square, true);
    sum = good ? l->net.out[0] : cvi_tf_none();
    l->net.t.name = own;
    return good && cvi_lambda_between(l, "most", "Maximum", 2, (cvi_tf_tensor *[]){&sum, &least}, &most) &&
           cvi_lambda_between(l, "root", "Sqrt", 1, (cvi_tf_tensor *[]){&most}, &root) &&
           cvi_lambda_emit(l, "RealDiv", 2, (cvi_tf_tensor *[]){x, &root});
}

/* ---- pictures ---- */

static bool channels_last(const lambda *l) {
    const json_t *v = cvi_lambda_setting(l, "data_format", NULL, 99);
    return !json_is_string(v) ? !l->k->first
                              : strcmp(json_string_value(v), "channels_last") == 0 ||
                                    strcmp(json_string_value(v), "NHWC") == 0;
}

static bool make_resize(lambda *l, const lambda_row *r) {
    static const char *const ops[][2] = {
        {"bilinear", "ResizeBilinear"}, {"nearest", "ResizeNearestNeighbor"}, {"bicubic", "ResizeBicubic"}};
    int64_t size[2];
    const json_t *how = cvi_lambda_setting(l, "interpolation", "method", 2);
    (void)r;
    if (!channels_last(l) ||
        cvi_lambda_list_of(cvi_lambda_setting(l, "size", "target_size", 1), 2, -1, size) != 2 ||
        cvi_lambda_truth(l, "antialias", NULL) ||
        cvi_lambda_truth(l, "crop_to_aspect_ratio", "preserve_aspect_ratio") ||
        cvi_lambda_truth(l, "pad_to_aspect_ratio", NULL)) {
        return false;
    }
    cvi_tf_tensor to = cvi_lambda_ints(l, "size", 1, 2, size);
    for (int i = 0; i < CVI_COUNT(ops); i++) {
        if (strcmp(json_is_string(how) ? json_string_value(how) : "bilinear", ops[i][0]) == 0) {
            cvi_lambda_add_int(l, "half_pixel_centers", 1);
            return cvi_lambda_emit(l, ops[i][1], 2, (cvi_tf_tensor *[]){&l->operand[0], &to});
        }
    }
    return false;
}

static bool make_blocks(lambda *l, const lambda_row *r) {
    cvi_lambda_add_int(l, "block_size",
                       cvi_lambda_number_or(cvi_lambda_setting(l, "block_size", NULL, 1), 1));
    return channels_last(l) && cvi_lambda_emit(l, r->op, 1, (cvi_tf_tensor *[]){&l->operand[0]});
}

/* A setting for both axes of a picture as the list that TensorFlow has, [1, a, b, 1]. */
static bool add_sides(lambda *l, const char *name, const json_t *v, int64_t a, int64_t b) {
    int64_t list[4] = {1, a, b, 1}, given[4];
    int n = v ? cvi_lambda_list_of(v, 4, 1, given) : 0;
    if (n < 0 || n == 3) {
        return false;
    }
    if (n == 4) {
        memcpy(list, given, sizeof list);
    } else if (n > 0) {
        list[1] = given[0];
        list[2] = given[n - 1];
    }
    cvi_lambda_add_list(l, name, 4, list);
    return true;
}

static bool make_window(lambda *l, const lambda_row *r) {
    const json_t *padding = cvi_lambda_setting(l, "padding", NULL, 3),
                 *strides = cvi_lambda_setting(l, "strides", NULL, 2);
    bool conv = strcmp(r->op, "Conv2D") == 0;
    const json_t *size = conv ? NULL : cvi_lambda_setting(l, "pool_size", "ksize", 1);
    int64_t side[4];
    int n = conv ? 1 : cvi_lambda_list_of(size, 4, 1, side);
    if (l->operand[0].rank != 4 || !channels_last(l) || n < 1 || n == 3 || l->n != (conv ? 2 : 1) ||
        (conv && l->operand[1].rank != 4)) {
        return false;
    }
    const char *how = json_is_string(padding) ? json_string_value(padding) : "valid";
    cvi_lambda_add_text(l, "padding", tolower((unsigned char)how[0]) == 's' ? "SAME" : "VALID");
    bool good = add_sides(l, "strides", strides,
                          conv     ? 1
                          : n == 4 ? side[1]
                                   : side[0],
                          conv    ? 1
                          : n > 1 ? side[n == 4 ? 2 : 1]
                                  : side[0]);
    good = good &&
           (conv ? add_sides(l, "dilations", cvi_lambda_setting(l, "dilation_rate", "dilations", 5), 1, 1)
                 : add_sides(l, "ksize", size, 1, 1));
    return good &&
           cvi_lambda_emit(l, r->op, conv ? 2 : 1, (cvi_tf_tensor *[]){&l->operand[0], &l->operand[1]});
}
/* ---- the table ---- */

static const lambda_row rows[] = {
#define KERAS_FUNCTION(name, op, maker) {name, op, make_##maker},
#include "formats/keras_functions.def"
#undef KERAS_FUNCTION
};

const lambda_row *cvi_lambda_function(const char *name) {
    for (int i = 0; i < CVI_COUNT(rows); i++) {
        if (strcmp(rows[i].name, name) == 0) {
            return &rows[i];
        }
    }
    return NULL;
}

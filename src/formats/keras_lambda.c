/* SPDX-License-Identifier: MIT
 * keras_lambda.c - functions that a functional model of Keras applies to tensors without a layer: keras.ops in Keras 3, functions of
 * TensorFlow in Keras 2 (TFOpLambda, SlicingOpLambda). Each is a row of the table: the operation of TensorFlow that it is, and how
 * its settings become that operation's inputs and attributes; tf_nodes*.c then makes it.
 */
#include <ctype.h>

#include "formats/keras.h"
#include "formats/tf_nodes.h"
#include "ops/op.h"

enum { MAX_OPERANDS = 64, MAX_ATTRS = 8 };

typedef struct lambda {
    cvi_keras *k;
    const json_t *args, *words; /* of the call; Keras 2 has no args */
    cvi_tf_tensor operand[MAX_OPERANDS];
    int n, n_given; /* operands; how many of the call's tensors they took */
    tf_net net;
    tf_node node;
    tf_attr attr[MAX_ATTRS];
} lambda;

/* ---- numbers in the file ---- */

static const json_t *unwrap(const json_t *v) { /* {"class_name": "__numpy__", "config": {"value": ...}} */
    const json_t *value = json_object_get(json_object_get(v, "config"), "value");
    return value ? value : v;
}

static bool fill(const json_t *v, const cvs_tensor *t, int axis, int64_t *at) {
    if (axis == t->rank) {
        bool number = json_is_number(v) || json_is_boolean(v);
        if (number) {
            cvi_put(t, (*at)++, json_is_boolean(v) ? json_is_true(v) : json_number_value(v));
        }
        return number;
    }
    if (!json_is_array(v) || (int64_t)json_array_size(v) != t->dim[axis]) {
        return false;
    }
    for (size_t i = 0; i < json_array_size(v); i++) {
        if (!fill(json_array_get(v, i), t, axis + 1, at)) {
            return false;
        }
    }
    return true;
}

/* A number or nested lists of them as a constant. False: it is neither. */
static bool constant(lambda *l, const json_t *v, cvs_dtype type, cvi_tf_tensor *out) {
    cvs_tensor t = {.dtype = type};
    int64_t at = 0;
    v = unwrap(v);
    for (const json_t *e = v; json_is_array(e); e = json_array_get(e, 0)) {
        if (t.rank == CVS_MAX_RANK) {
            return false;
        }
        t.dim[t.rank++] = (int64_t)json_array_size(e);
    }
    int64_t n = cvs_tensor_count(&t), bytes = 0;
    if (n < 0 || n > 1 << 24 || !cvi_mul(n, (int64_t)cvs_dtype_size(type), &bytes)) {
        return false;
    }
    t.bytes = (size_t)bytes;
    t.data = cvi_arena_alloc(l->k->b.model->arena, CVI_MAX(bytes, 1), 1);
    if (!t.data) {
        cvi_build_no_memory(&l->net.t.b, t.bytes);
        return false;
    }
    if (!fill(v, &t, 0, &at)) {
        return false;
    }
    *out = cvi_tf_constant(cvi_tf_part(&l->net.t, "numbers"), &t);
    return true;
}

static cvi_tf_tensor ints(lambda *l, const char *part, int rank, int64_t n, const int64_t *v) {
    cvs_tensor t = {.dtype = CVS_I64, .rank = rank, .dim = {n}, .bytes = (size_t)n * sizeof *v};
    int64_t *to = cvi_arena_alloc(l->k->b.model->arena, CVI_MAX(n, 1), sizeof *to);
    if (!to) {
        cvi_build_no_memory(&l->net.t.b, t.bytes);
        return cvi_tf_none();
    }
    memcpy(to, v, t.bytes);
    t.data = to;
    return cvi_tf_constant(cvi_tf_part(&l->net.t, part), &t);
}

static cvi_tf_tensor whole(lambda *l, const char *part, int64_t v) {
    return ints(l, part, 0, 1, &v);
}

/* ---- settings ---- */

/* By keyword in the layer's settings or the call, or by its place in the call. */
static const json_t *setting(const lambda *l, const char *key, const char *other, size_t place) {
    const json_t *v = cvi_keras_get(l->k, key, other);
    v = v ? v : json_object_get(l->words, key);
    v = v || !other ? v : json_object_get(l->words, other);
    v = v ? v : json_array_get(l->args, place);
    return json_is_null(v) ? NULL : v;
}

static bool truth(const lambda *l, const char *key, const char *other) {
    return json_is_true(setting(l, key, other, 99));
}

static int64_t number_or(const json_t *v, int64_t otherwise) {
    return json_is_integer(v) ? json_integer_value(v)
           : json_is_real(v) && json_real_value(v) > -1e15 && json_real_value(v) < 1e15
               ? (int64_t)json_real_value(v)
               : otherwise;
}

/* A whole number or a list of them; -1: it is neither, or has more than max. null in a list counts as `none`. */
static int list_of(const json_t *v, int max, int64_t none, int64_t *out) {
    v = unwrap(v);
    if (json_is_integer(v)) {
        out[0] = json_integer_value(v);
        return 1;
    }
    if (!json_is_array(v) || json_array_size(v) > (size_t)max) {
        return -1;
    }
    for (size_t i = 0; i < json_array_size(v); i++) {
        const json_t *e = json_array_get(v, i);
        if (!json_is_integer(e) && !json_is_null(e)) {
            return -1;
        }
        out[i] = json_is_null(e) ? none : json_integer_value(e);
    }
    return (int)json_array_size(v);
}

static void add_attr(lambda *l, tf_attr a) {
    if (l->node.n_attr < MAX_ATTRS) {
        l->attr[l->node.n_attr++] = a;
    }
}

static void add_int(lambda *l, const char *name, int64_t v) {
    add_attr(l, (tf_attr){.name = name, .i = v, .f = (double)v});
}

static void add_text(lambda *l, const char *name, const char *v) {
    add_attr(l, (tf_attr){.name = name, .s = v});
}

static void add_list(lambda *l, const char *name, int n, const int64_t *v) {
    int64_t *to = cvi_arena_alloc(l->k->b.model->arena, CVI_MAX(n, 1), sizeof *to);
    if (!to) {
        cvi_build_no_memory(&l->net.t.b, 0);
        return;
    }
    memcpy(to, v, (size_t)n * sizeof *v);
    add_attr(l, (tf_attr){.name = name, .n = n, .ints = to});
}

/* ---- making ---- */

/* Runs TensorFlow's operation; its outputs are then net.out. False: not in this form. */
static bool emit(lambda *l, const char *op, int n, cvi_tf_tensor *const *in) {
    const tf_maker *maker = cvi_tf_maker(op);
    tf_net *m = &l->net;
    if (!maker || !cvi_build_ok(&m->t.b)) {
        return false;
    }
    l->node.op = m->t.type = op;
    l->node.name = m->t.name;
    l->node.attr = l->attr;
    m->node = &l->node;
    m->in = cvi_arena_alloc(l->k->b.model->arena, CVI_MAX(n, 1), sizeof *m->in);
    if (!m->in) {
        cvi_build_no_memory(&m->t.b, 0);
        return false;
    }
    memcpy(m->in, in, (size_t)n * sizeof *in);
    m->n_in = n;
    m->out = NULL;
    m->n_out = m->cap_out = 0;
    m->refused = NULL;
    maker->make(m);
    l->node.n_attr = 0;
    return cvi_build_ok(&m->t.b) && !m->refused && m->n_out > 0;
}

/* The same as a hidden step on the way; the result is *out. */
static bool between(lambda *l, const char *part, const char *op, int n, cvi_tf_tensor *const *in,
                    cvi_tf_tensor *out) {
    const char *own = l->net.t.name;
    l->net.t.name = cvi_tf_part(&l->net.t, part);
    bool done = emit(l, op, n, in);
    l->net.t.name = own;
    *out = done ? l->net.out[0] : cvi_tf_none();
    if (done && out->form[out->moved] >= 0) {
        l->net.t.b.g->values[out->form[out->moved]].hidden = true;
    }
    return done;
}

typedef struct row row;
struct row {
    const char *name, *op;
    bool (*make)(lambda *l, const row *r);
};

static bool with_axes(lambda *l, const char *op, cvi_tf_tensor *x, bool keep) {
    int64_t axes[CVS_MAX_RANK];
    const json_t *given = setting(l, "axis", "axes", 1);
    int n = given ? list_of(given, CVS_MAX_RANK, 0, axes) : x->rank;
    if (n < 0 || x->rank < 0) {
        return false;
    }
    for (int i = 0; i < n && !given; i++) {
        axes[i] = i;
    }
    cvi_tf_tensor list = ints(l, "axes", 1, n, axes);
    add_int(l, "keep_dims", keep);
    return emit(l, op, 2, (cvi_tf_tensor *[]){x, &list});
}

static bool keeps(const lambda *l) {
    return truth(l, "keepdims", "keep_dims");
}

static bool make_map(lambda *l, const row *r) {
    cvi_tf_tensor *in[MAX_OPERANDS];
    for (int i = 0; i < l->n; i++) {
        in[i] = &l->operand[i];
    }
    return emit(l, r->op, l->n, in);
}

static bool make_pair(lambda *l, const row *r) {
    return l->n == 2 && make_map(l, r);
}

static bool make_reduce(lambda *l, const row *r) {
    return with_axes(l, r->op, &l->operand[0], keeps(l));
}

/* Variance, or its root. */
static bool make_variance(lambda *l, const row *r) {
    cvi_tf_tensor mean, apart, v, *x = &l->operand[0];
    const char *own = l->net.t.name;
    l->net.t.name = cvi_tf_part(&l->net.t, "mean");
    bool done = with_axes(l, "Mean", x, true);
    l->net.t.name = own;
    if (!done) {
        return false;
    }
    mean = l->net.out[0];
    if (!between(l, "apart", "SquaredDifference", 2, (cvi_tf_tensor *[]){x, &mean}, &apart)) {
        return false;
    }
    l->net.t.name = strcmp(r->op, "Sqrt") == 0 ? cvi_tf_part(&l->net.t, "variance") : own;
    done = with_axes(l, "Mean", &apart, keeps(l));
    l->net.t.name = own;
    if (!done || strcmp(r->op, "Sqrt") != 0) {
        return done;
    }
    v = l->net.out[0];
    return emit(l, "Sqrt", 1, (cvi_tf_tensor *[]){&v});
}

/* log of the sum of exp, without overflow: the greatest is taken off first. */
static bool make_log_sum(lambda *l, const row *r) {
    cvi_tf_tensor *x = &l->operand[0], most, less, e, sum, low, log;
    const char *own = l->net.t.name;
    (void)r;
    l->net.t.name = cvi_tf_part(&l->net.t, "most");
    bool done = with_axes(l, "Max", x, true);
    most = done ? l->net.out[0] : cvi_tf_none();
    l->net.t.name = own;
    if (!done || !between(l, "less", "Sub", 2, (cvi_tf_tensor *[]){x, &most}, &less) ||
        !between(l, "exp", "Exp", 1, (cvi_tf_tensor *[]){&less}, &e)) {
        return false;
    }
    l->net.t.name = cvi_tf_part(&l->net.t, "sum");
    done = with_axes(l, "Sum", &e, keeps(l));
    sum = done ? l->net.out[0] : cvi_tf_none();
    l->net.t.name = cvi_build_name(&l->net.t.b, "%s/greatest", own);
    done = done && with_axes(l, "Max", x, keeps(l));
    low = done ? l->net.out[0] : cvi_tf_none();
    l->net.t.name = own;
    return done && between(l, "log", "Log", 1, (cvi_tf_tensor *[]){&sum}, &log) &&
           emit(l, "AddV2", 2, (cvi_tf_tensor *[]){&log, &low});
}

static bool make_reshape(lambda *l, const row *r) {
    int64_t dim[CVS_MAX_RANK];
    int n = list_of(setting(l, "newshape", "shape", 1), CVS_MAX_RANK, -1, dim);
    if (n < 0) {
        return false;
    }
    cvi_tf_tensor shape = ints(l, "shape", 1, n, dim);
    return emit(l, r->op, 2, (cvi_tf_tensor *[]){&l->operand[0], &shape});
}

static int64_t within(int64_t axis, int rank) {
    axis = axis < 0 ? axis + rank : axis;
    return axis >= 0 && axis < rank ? axis : -1;
}

static bool make_transpose(lambda *l, const row *r) {
    int64_t perm[CVS_MAX_RANK], from[CVS_MAX_RANK], to[CVS_MAX_RANK];
    int rank = l->operand[0].rank, n;
    if (rank < 1) {
        return false;
    }
    for (int i = 0; i < rank; i++) {
        perm[i] = i;
    }
    if (strcmp(r->name, "swapaxes") == 0) {
        int64_t a = within(number_or(setting(l, "axis1", NULL, 1), 99), rank),
                b = within(number_or(setting(l, "axis2", NULL, 2), 99), rank);
        if (a < 0 || b < 0) {
            return false;
        }
        perm[a] = b;
        perm[b] = a;
    } else if (strcmp(r->name, "moveaxis") == 0) {
        n = list_of(setting(l, "source", NULL, 1), 1, -1, from);
        int64_t a = n == 1 && list_of(setting(l, "destination", NULL, 2), 1, -1, to) == 1
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
        const json_t *axes = setting(l, "axes", "perm", 1);
        n = axes ? list_of(axes, CVS_MAX_RANK, -1, perm) : rank;
        for (int i = 0; i < rank && !axes; i++) {
            perm[i] = rank - 1 - i;
        }
        if (n != rank) {
            return false;
        }
    }
    cvi_tf_tensor order = ints(l, "order", 1, rank, perm);
    return emit(l, r->op, 2, (cvi_tf_tensor *[]){&l->operand[0], &order});
}

/* One number as the second input: ExpandDims, Cumsum, ReverseV2. */
static bool make_axis(lambda *l, const row *r) {
    int64_t axes[CVS_MAX_RANK];
    const json_t *given = setting(l, "axis", NULL, 1);
    int n = given ? list_of(given, CVS_MAX_RANK, 0, axes) : 0;
    if (n < 1) {
        return false;
    }
    bool several = strcmp(r->op, "ReverseV2") == 0;
    cvi_tf_tensor list = several ? ints(l, "axes", 1, n, axes) : whole(l, "axis", axes[0]);
    return (several || n == 1) && emit(l, r->op, 2, (cvi_tf_tensor *[]){&l->operand[0], &list});
}

static bool make_squeeze(lambda *l, const row *r) {
    int64_t axes[CVS_MAX_RANK];
    const json_t *given = setting(l, "axis", NULL, 1);
    int n = given ? list_of(given, CVS_MAX_RANK, 0, axes) : 0;
    add_list(l, "squeeze_dims", CVI_MAX(n, 0), axes);
    return n >= 0 && emit(l, r->op, 1, (cvi_tf_tensor *[]){&l->operand[0]});
}

static bool make_join(lambda *l, const row *r) {
    cvi_tf_tensor *in[MAX_OPERANDS + 1], axis;
    int64_t a = number_or(setting(l, "axis", NULL, 1), strcmp(r->op, "Pack") == 0 ? 0 : -1);
    for (int i = 0; i < l->n; i++) {
        in[i] = &l->operand[i];
    }
    if (strcmp(r->op, "Pack") == 0) {
        add_int(l, "axis", a);
        return emit(l, r->op, l->n, in);
    }
    axis = whole(l, "axis", a);
    in[l->n] = &axis;
    return emit(l, r->op, l->n + 1, in);
}

static bool make_split(lambda *l, const row *r) {
    int64_t at[64], size[65], dim[CVS_MAX_RANK];
    cvi_tf_tensor *x = &l->operand[0], axis, sizes;
    const json_t *parts = setting(l, "indices_or_sections", "num_or_size_splits", 1);
    bool keras2 = setting(l, "num_or_size_splits", NULL, 99) != NULL;
    int64_t a = within(number_or(setting(l, "axis", NULL, 2), 0), x->rank);
    int n = list_of(parts, 64, -1, at);
    (void)r;
    if (n < 1 || a < 0 || !cvi_tf_dims(&l->net.t, x, dim)) {
        return false;
    }
    axis = whole(l, "axis", a);
    if (json_is_integer(parts)) {
        add_int(l, "num_split", at[0]);
        return emit(l, "Split", 2, (cvi_tf_tensor *[]){&axis, x});
    }
    for (int i = 0; i <= n && !keras2; i++) { /* places to cut at */
        int64_t from = i ? at[i - 1] : 0, to = i < n ? at[i] : dim[a];
        size[i] = to - from;
        if (from < 0 || to < from || to > dim[a]) {
            return false;
        }
    }
    sizes = keras2 ? ints(l, "sizes", 1, n, at) : ints(l, "sizes", 1, n + 1, size);
    return emit(l, "SplitV", 3, (cvi_tf_tensor *[]){x, &sizes, &axis});
}

static bool make_unstack(lambda *l, const row *r) {
    int64_t dim[CVS_MAX_RANK], a = within(number_or(setting(l, "axis", NULL, 2), 0), l->operand[0].rank);
    if (a < 0 || !cvi_tf_dims(&l->net.t, &l->operand[0], dim)) {
        return false;
    }
    add_int(l, "axis", a);
    add_int(l, "num", dim[a]);
    return emit(l, r->op, 1, (cvi_tf_tensor *[]){&l->operand[0]});
}

/* x[1:-1, ..., None, 3] */
static bool make_item(lambda *l, const row *r) {
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
            s.begin[i] = number_or(begin, 0);
            s.end[i] = number_or(end, 0);
            s.step[i] = number_or(by, 1);
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

static bool make_pad(lambda *l, const row *r) {
    int64_t pads[2 * CVS_MAX_RANK];
    const json_t *given = unwrap(setting(l, "pad_width", "paddings", 1));
    const json_t *mode = setting(l, "mode", NULL, 2), *value = setting(l, "constant_values", NULL, 3);
    int rank = l->operand[0].rank;
    (void)r;
    if (rank < 1 || !json_is_array(given) || json_array_size(given) != (size_t)rank) {
        return false;
    }
    for (int i = 0; i < rank; i++) {
        if (list_of(json_array_get(given, (size_t)i), 2, 0, pads + 2 * i) != 2) {
            return false;
        }
    }
    cvs_tensor t = {.dtype = CVS_I64, .rank = 2, .dim = {rank, 2}};
    cvi_tf_tensor widths = ints(l, "widths", 1, 2 * (int64_t)rank, pads), filling;
    t.bytes = widths.constant.bytes;
    t.data = widths.constant.data;
    widths = cvi_tf_constant(widths.name, &t);
    const char *how = json_is_string(mode) ? json_string_value(mode) : "constant";
    if (tolower((unsigned char)how[0]) == 'r' || tolower((unsigned char)how[0]) == 's') {
        add_text(l, "mode", tolower((unsigned char)how[0]) == 'r' ? "REFLECT" : "SYMMETRIC");
        return emit(l, "MirrorPad", 2, (cvi_tf_tensor *[]){&l->operand[0], &widths});
    }
    if (tolower((unsigned char)how[0]) != 'c') {
        return false;
    }
    bool filled = json_is_number(value) && constant(l, value, CVS_F32, &filling);
    return emit(l, filled ? "PadV2" : "Pad", filled ? 3 : 2,
                (cvi_tf_tensor *[]){&l->operand[0], &widths, &filling});
}

/* A list of whole numbers as the second input: Tile, BroadcastTo. */
static bool make_list(lambda *l, const row *r) {
    int64_t list[CVS_MAX_RANK], dim[CVS_MAX_RANK];
    bool tile = strcmp(r->op, "Tile") == 0;
    int n = list_of(tile ? setting(l, "repeats", "multiples", 1) : setting(l, "shape", NULL, 1), CVS_MAX_RANK,
                    -1, list);
    if (n < 0 || (tile && n != l->operand[0].rank) || !cvi_tf_dims(&l->net.t, &l->operand[0], dim)) {
        return false;
    }
    for (int i = 0; i < n; i++) { /* None: as it is */
        int from = i - (n - l->operand[0].rank);
        list[i] = list[i] < 0 && from >= 0 ? dim[from] : list[i];
    }
    cvi_tf_tensor to = ints(l, "list", 1, n, list);
    return emit(l, r->op, 2, (cvi_tf_tensor *[]){&l->operand[0], &to});
}

static bool make_repeat(lambda *l, const row *r) {
    int64_t dim[CVS_MAX_RANK], times = number_or(setting(l, "repeats", NULL, 1), -1), at[4096];
    int64_t a = within(number_or(setting(l, "axis", NULL, 2), 99), l->operand[0].rank);
    if (a < 0 || times < 1 || times > 4096 || !cvi_tf_dims(&l->net.t, &l->operand[0], dim) || dim[a] < 1 ||
        dim[a] > 4096 || dim[a] * times > 4096) {
        return false;
    }
    for (int64_t i = 0; i < dim[a] * times; i++) {
        at[i] = i / times;
    }
    cvi_tf_tensor places = ints(l, "places", 1, dim[a] * times, at), axis = whole(l, "axis", a);
    return emit(l, r->op, 3, (cvi_tf_tensor *[]){&l->operand[0], &places, &axis});
}

static bool make_roll(lambda *l, const row *r) {
    int64_t shift[CVS_MAX_RANK], axes[CVS_MAX_RANK];
    int n = list_of(setting(l, "shift", NULL, 1), CVS_MAX_RANK, 0, shift),
        m = list_of(setting(l, "axis", NULL, 2), CVS_MAX_RANK, 0, axes);
    if (n < 1 || n != m) {
        return false;
    }
    cvi_tf_tensor by = ints(l, "by", 1, n, shift), along = ints(l, "axes", 1, n, axes);
    return emit(l, r->op, 3, (cvi_tf_tensor *[]){&l->operand[0], &by, &along});
}

static bool make_take(lambda *l, const row *r) {
    cvi_tf_tensor places, axis, *at = &places;
    const json_t *given = setting(l, "indices", NULL, 1);
    int64_t dim[CVS_MAX_RANK], a = within(number_or(setting(l, "axis", NULL, 2), 99), l->operand[0].rank);
    if (a < 0 || !cvi_tf_dims(&l->net.t, &l->operand[0], dim) || !constant(l, given, CVS_I64, &places)) {
        return false;
    }
    for (int64_t i = 0; i < cvs_tensor_count(&places.constant); i++) {
        int64_t p = cvi_get_int(&places.constant, i);
        if (p < 0) {
            ((int64_t *)places.constant.data)[i] = p + dim[a];
        }
    }
    axis = whole(l, "axis", a);
    return emit(l, r->op, 3, (cvi_tf_tensor *[]){&l->operand[0], at, &axis});
}

static bool make_matmul(lambda *l, const row *r) {
    add_int(l, "adj_x", truth(l, "transpose_a", "adjoint_a"));
    add_int(l, "adj_y", truth(l, "transpose_b", "adjoint_b"));
    return make_pair(l, r);
}

static bool make_einsum(lambda *l, const row *r) {
    const json_t *text = setting(l, "subscripts", "equation", 0);
    if (!json_is_string(text)) {
        return false;
    }
    add_text(l, "equation", json_string_value(text));
    return make_map(l, r);
}

static bool make_arg(lambda *l, const row *r) {
    const json_t *given = setting(l, "axis", "dimension", 1);
    if (!json_is_integer(given) || keeps(l)) {
        return false;
    }
    cvi_tf_tensor axis = whole(l, "axis", json_integer_value(given));
    add_int(l, "output_type", 3);
    return emit(l, r->op, 2, (cvi_tf_tensor *[]){&l->operand[0], &axis});
}

static bool make_top(lambda *l, const row *r) {
    cvi_tf_tensor k = whole(l, "k", number_or(setting(l, "k", NULL, 1), 1));
    return emit(l, r->op, 2, (cvi_tf_tensor *[]){&l->operand[0], &k});
}

static bool make_clip(lambda *l, const row *r) {
    const json_t *low = setting(l, "x_min", "clip_value_min", 1),
                 *high = setting(l, "x_max", "clip_value_max", 2);
    cvi_tf_tensor a, b;
    return json_is_number(low) && json_is_number(high) && constant(l, low, CVS_F32, &a) &&
           constant(l, high, CVS_F32, &b) && emit(l, r->op, 3, (cvi_tf_tensor *[]){&l->operand[0], &a, &b});
}

static bool make_one_hot(lambda *l, const row *r) {
    cvi_tf_tensor depth = whole(l, "depth", number_or(setting(l, "num_classes", "depth", 1), -1)), on, off;
    json_t *one = json_integer(1), *zero = json_integer(0);
    bool good = one && zero && constant(l, one, CVS_F32, &on) && constant(l, zero, CVS_F32, &off);
    json_decref(one);
    json_decref(zero);
    add_int(l, "axis", number_or(setting(l, "axis", NULL, 2), -1));
    return good && emit(l, r->op, 4, (cvi_tf_tensor *[]){&l->operand[0], &depth, &on, &off});
}

static bool make_cast(lambda *l, const row *r) {
    static const struct {
        const char *name;
        int type;
    } types[] = {{"float32", 1}, {"float16", 1}, {"bfloat16", 1}, {"float64", 1}, {"int32", 3},
                 {"int64", 9},   {"bool", 10},   {"uint8", 4},    {"int8", 6}};
    const json_t *given = setting(l, "dtype", NULL, 1);
    const char *name = json_is_string(given) ? json_string_value(given)
                                             : cvi_json_string(json_object_get(given, "config"), "name", "");
    for (int i = 0; i < CVI_COUNT(types); i++) {
        if (strcmp(types[i].name, name) == 0) {
            add_int(l, "DstT", types[i].type);
            return emit(l, r->op, 1, (cvi_tf_tensor *[]){&l->operand[0]});
        }
    }
    return false;
}

/* x over the root of its squares' sum along axes. */
static bool make_normalize(lambda *l, const row *r) {
    cvi_tf_tensor *x = &l->operand[0], square, sum, root, most, least;
    const json_t *eps = setting(l, "epsilon", NULL, 3), *order = setting(l, "order", NULL, 2);
    const char *own = l->net.t.name;
    bool keras2 = strcmp(r->name, "l2normalize") == 0;
    double small = json_is_number(eps) ? json_number_value(eps) : keras2 ? 1e-12 : 1e-7;
    json_t *bound = json_real(keras2 ? small : small * small);
    bool good = bound && constant(l, bound, CVS_F32, &least);
    json_decref(bound);
    if (!good || (!keras2 && number_or(order, 2) != 2) ||
        !between(l, "square", "Square", 1, (cvi_tf_tensor *[]){x}, &square)) {
        return false;
    }
    l->net.t.name = cvi_tf_part(&l->net.t, "sum");
    good = with_axes(l, "Sum", &square, true);
    sum = good ? l->net.out[0] : cvi_tf_none();
    l->net.t.name = own;
    return good && between(l, "most", "Maximum", 2, (cvi_tf_tensor *[]){&sum, &least}, &most) &&
           between(l, "root", "Sqrt", 1, (cvi_tf_tensor *[]){&most}, &root) &&
           emit(l, "RealDiv", 2, (cvi_tf_tensor *[]){x, &root});
}

/* ---- pictures ---- */

static bool channels_last(const lambda *l) {
    const json_t *v = setting(l, "data_format", NULL, 99);
    return !json_is_string(v) ? !l->k->first
                              : strcmp(json_string_value(v), "channels_last") == 0 ||
                                    strcmp(json_string_value(v), "NHWC") == 0;
}

static bool make_resize(lambda *l, const row *r) {
    static const char *const ops[][2] = {
        {"bilinear", "ResizeBilinear"}, {"nearest", "ResizeNearestNeighbor"}, {"bicubic", "ResizeBicubic"}};
    int64_t size[2];
    const json_t *how = setting(l, "interpolation", "method", 2);
    (void)r;
    if (!channels_last(l) || list_of(setting(l, "size", "target_size", 1), 2, -1, size) != 2 ||
        truth(l, "antialias", NULL) || truth(l, "crop_to_aspect_ratio", "preserve_aspect_ratio") ||
        truth(l, "pad_to_aspect_ratio", NULL)) {
        return false;
    }
    cvi_tf_tensor to = ints(l, "size", 1, 2, size);
    for (int i = 0; i < CVI_COUNT(ops); i++) {
        if (strcmp(json_is_string(how) ? json_string_value(how) : "bilinear", ops[i][0]) == 0) {
            add_int(l, "half_pixel_centers", 1);
            return emit(l, ops[i][1], 2, (cvi_tf_tensor *[]){&l->operand[0], &to});
        }
    }
    return false;
}

static bool make_blocks(lambda *l, const row *r) {
    add_int(l, "block_size", number_or(setting(l, "block_size", NULL, 1), 1));
    return channels_last(l) && emit(l, r->op, 1, (cvi_tf_tensor *[]){&l->operand[0]});
}

/* A setting for both axes of a picture as the list that TensorFlow has, [1, a, b, 1]. */
static bool add_sides(lambda *l, const char *name, const json_t *v, int64_t a, int64_t b) {
    int64_t list[4] = {1, a, b, 1}, given[4];
    int n = v ? list_of(v, 4, 1, given) : 0;
    if (n < 0 || n == 3) {
        return false;
    }
    if (n == 4) {
        memcpy(list, given, sizeof list);
    } else if (n > 0) {
        list[1] = given[0];
        list[2] = given[n - 1];
    }
    add_list(l, name, 4, list);
    return true;
}

static bool make_window(lambda *l, const row *r) {
    const json_t *padding = setting(l, "padding", NULL, 3), *strides = setting(l, "strides", NULL, 2);
    bool conv = strcmp(r->op, "Conv2D") == 0;
    const json_t *size = conv ? NULL : setting(l, "pool_size", "ksize", 1);
    int64_t side[4];
    int n = conv ? 1 : list_of(size, 4, 1, side);
    if (l->operand[0].rank != 4 || !channels_last(l) || n < 1 || n == 3 || l->n != (conv ? 2 : 1) ||
        (conv && l->operand[1].rank != 4)) {
        return false;
    }
    const char *how = json_is_string(padding) ? json_string_value(padding) : "valid";
    add_text(l, "padding", tolower((unsigned char)how[0]) == 's' ? "SAME" : "VALID");
    bool good = add_sides(l, "strides", strides,
                          conv     ? 1
                          : n == 4 ? side[1]
                                   : side[0],
                          conv    ? 1
                          : n > 1 ? side[n == 4 ? 2 : 1]
                                  : side[0]);
    good = good && (conv ? add_sides(l, "dilations", setting(l, "dilation_rate", "dilations", 5), 1, 1)
                         : add_sides(l, "ksize", size, 1, 1));
    return good && emit(l, r->op, conv ? 2 : 1, (cvi_tf_tensor *[]){&l->operand[0], &l->operand[1]});
}

/* ---- the table ---- */

/* Names in lower case without underscores and without what stands before the last dot. */
static const row rows[] = {{"abs", "Abs", make_map},
                           {"absolute", "Abs", make_map},
                           {"add", "AddV2", make_pair},
                           {"addn", "AddN", make_map},
                           {"all", "All", make_reduce},
                           {"amax", "Max", make_reduce},
                           {"amin", "Min", make_reduce},
                           {"any", "Any", make_reduce},
                           {"arctan2", "Atan2", make_pair},
                           {"argmax", "ArgMax", make_arg},
                           {"argmin", "ArgMin", make_arg},
                           {"averagepool", "AvgPool", make_window},
                           {"avgpool", "AvgPool", make_window},
                           {"broadcastto", "BroadcastTo", make_list},
                           {"cast", "Cast", make_cast},
                           {"ceil", "Ceil", make_map},
                           {"clip", "ClipByValue", make_clip},
                           {"clipbyvalue", "ClipByValue", make_clip},
                           {"concat", "ConcatV2", make_join},
                           {"concatenate", "ConcatV2", make_join},
                           {"conv", "Conv2D", make_window},
                           {"cos", "Cos", make_map},
                           {"cumsum", "Cumsum", make_axis},
                           {"depthtospace", "DepthToSpace", make_blocks},
                           {"divide", "RealDiv", make_pair},
                           {"dividenonan", "DivNoNan", make_pair},
                           {"einsum", "Einsum", make_einsum},
                           {"equal", "Equal", make_pair},
                           {"erf", "Erf", make_map},
                           {"exp", "Exp", make_map},
                           {"expanddims", "ExpandDims", make_axis},
                           {"expm1", "Expm1", make_map},
                           {"flip", "ReverseV2", make_axis},
                           {"floor", "Floor", make_map},
                           {"floordiv", "FloorDiv", make_pair},
                           {"floordivide", "FloorDiv", make_pair},
                           {"floormod", "FloorMod", make_pair},
                           {"gather", "GatherV2", make_take},
                           {"getitem", "StridedSlice", make_item},
                           {"greater", "Greater", make_pair},
                           {"greaterequal", "GreaterEqual", make_pair},
                           {"isnan", "IsNan", make_map},
                           {"l2normalize", "", make_normalize},
                           {"less", "Less", make_pair},
                           {"lessequal", "LessEqual", make_pair},
                           {"log", "Log", make_map},
                           {"log1p", "Log1p", make_map},
                           {"logicaland", "LogicalAnd", make_pair},
                           {"logicalnot", "LogicalNot", make_map},
                           {"logicalor", "LogicalOr", make_pair},
                           {"logicalxor", "LogicalXor", make_pair},
                           {"logsumexp", "", make_log_sum},
                           {"matmul", "BatchMatMulV2", make_matmul},
                           {"max", "Max", make_reduce},
                           {"maximum", "Maximum", make_pair},
                           {"maxpool", "MaxPool", make_window},
                           {"mean", "Mean", make_reduce},
                           {"min", "Min", make_reduce},
                           {"minimum", "Minimum", make_pair},
                           {"mod", "FloorMod", make_pair},
                           {"moveaxis", "Transpose", make_transpose},
                           {"mul", "Mul", make_pair},
                           {"multiply", "Mul", make_pair},
                           {"neg", "Neg", make_map},
                           {"negative", "Neg", make_map},
                           {"normalize", "", make_normalize},
                           {"notequal", "NotEqual", make_pair},
                           {"onehot", "OneHot", make_one_hot},
                           {"oneslike", "OnesLike", make_map},
                           {"pad", "Pad", make_pad},
                           {"pow", "Pow", make_pair},
                           {"power", "Pow", make_pair},
                           {"prod", "Prod", make_reduce},
                           {"realdiv", "RealDiv", make_pair},
                           {"reciprocal", "Reciprocal", make_map},
                           {"reduceall", "All", make_reduce},
                           {"reduceany", "Any", make_reduce},
                           {"reducelogsumexp", "", make_log_sum},
                           {"reducemax", "Max", make_reduce},
                           {"reducemean", "Mean", make_reduce},
                           {"reducemin", "Min", make_reduce},
                           {"reduceprod", "Prod", make_reduce},
                           {"reducestd", "Sqrt", make_variance},
                           {"reducesum", "Sum", make_reduce},
                           {"reducevariance", "", make_variance},
                           {"repeat", "GatherV2", make_repeat},
                           {"reshape", "Reshape", make_reshape},
                           {"resize", "", make_resize},
                           {"reverse", "ReverseV2", make_axis},
                           {"roll", "Roll", make_roll},
                           {"round", "Round", make_map},
                           {"rsqrt", "Rsqrt", make_map},
                           {"sign", "Sign", make_map},
                           {"sin", "Sin", make_map},
                           {"spacetodepth", "SpaceToDepth", make_blocks},
                           {"split", "Split", make_split},
                           {"sqrt", "Sqrt", make_map},
                           {"square", "Square", make_map},
                           {"squareddifference", "SquaredDifference", make_pair},
                           {"squeeze", "Squeeze", make_squeeze},
                           {"stack", "Pack", make_join},
                           {"std", "Sqrt", make_variance},
                           {"sub", "Sub", make_pair},
                           {"subtract", "Sub", make_pair},
                           {"sum", "Sum", make_reduce},
                           {"swapaxes", "Transpose", make_transpose},
                           {"take", "GatherV2", make_take},
                           {"tan", "Tan", make_map},
                           {"tile", "Tile", make_list},
                           {"topk", "TopKV2", make_top},
                           {"transpose", "Transpose", make_transpose},
                           {"truediv", "RealDiv", make_pair},
                           {"truedivide", "RealDiv", make_pair},
                           {"unstack", "Unpack", make_unstack},
                           {"var", "", make_variance},
                           {"where", "SelectV2", make_map},
                           {"zeroslike", "ZerosLike", make_map}};

/* ---- operands ---- */

static bool is_tensor(const json_t *v) {
    return json_object_get(json_object_get(v, "config"), "keras_history") ||
           (json_is_array(v) && json_array_size(v) >= 3 && json_is_string(json_array_get(v, 0)) &&
            json_is_integer(json_array_get(v, 1)));
}

static bool add_operand(lambda *l, const json_t *v, cvi_keras_tensor *const *in, int n) {
    if (l->n == MAX_OPERANDS) {
        return false;
    }
    cvi_tf_tensor *to = &l->operand[l->n];
    if (is_tensor(v)) {
        if (l->n_given == n) {
            return false;
        }
        const cvi_keras_tensor *t = in[l->n_given++];
        *to = (cvi_tf_tensor){
            .name = l->net.t.name, .form = {t->form[0], t->form[1]}, .rank = t->rank, .moved = t->moved};
        l->n++;
        return true;
    }
    if (json_is_array(v) && json_array_size(v) > 0 && is_tensor(json_array_get(v, 0))) {
        for (size_t i = 0; i < json_array_size(v); i++) {
            if (!add_operand(l, json_array_get(v, i), in, n)) {
                return false;
            }
        }
        return true;
    }
    if ((json_is_number(v) || json_is_object(v)) && constant(l, v, CVS_F32, to)) {
        l->n++;
    }
    return true; /* a setting */
}

/* The call's operands in their order. Keras 2: [name, node, tensor, {keywords}], several of such, or "_CONSTANT_VALUE" for the name. */
static bool read_operands(lambda *l, cvi_keras_tensor *const *in, int n) {
    const json_t *call = l->k->call, *v = NULL;
    const char *key = NULL;
    json_t *word = NULL;
    l->args = json_object_get(call, "args");
    l->words = json_object_get(call, "kwargs");
    if (l->args) {
        for (size_t i = 0; i < json_array_size(l->args); i++) {
            if (!add_operand(l, json_array_get(l->args, i), in, n)) {
                return false;
            }
        }
    } else {
        while (json_is_array(call) && json_array_size(call) == 1) {
            call = json_array_get(call, 0);
        }
        bool several = json_is_array(json_array_get(call, 0));
        for (size_t i = 0; i < (several ? json_array_size(call) : 1); i++) {
            v = several ? json_array_get(call, i) : call;
            const json_t *name = json_array_get(v, 0);
            l->words = l->words ? l->words : json_array_get(v, 3);
            bool number = json_is_string(name) && strcmp(json_string_value(name), "_CONSTANT_VALUE") == 0;
            if (!add_operand(l, number ? json_array_get(v, 2) : v, in, n)) {
                return false;
            }
        }
    }
    json_object_foreach((json_t *)(uintptr_t)l->words, key, word) {
        bool operand = is_tensor(word) || strcmp(key, "y") == 0 || strcmp(key, "x2") == 0 ||
                       (json_is_array(word) && is_tensor(json_array_get(word, 0)));
        if (operand && !add_operand(l, word, in, n)) {
            return false;
        }
    }
    return l->n > 0 && l->n_given == n;
}

static void plain_name(const cvi_keras *k, char *out, size_t size) {
    const char *s = cvi_json_string(k->layer->config, "function", k->layer->class_name);
    const char *dot = strrchr(s, '.');
    size_t n = 0;
    s = strcmp(k->layer->class_name, "SlicingOpLambda") == 0 ? "getitem" : dot ? dot + 1 : s;
    for (const char *p = s; *p && n + 1 < size; p++) {
        if (*p != '_') {
            out[n++] = (char)tolower((unsigned char)*p);
        }
    }
    out[n] = 0;
}

/* What one operation gave, as Keras's layers see it. */
static cvi_keras_tensor seen(const cvi_tf_tensor *x) {
    bool moved = x->moved && x->form[1] >= 0;
    return (cvi_keras_tensor){.form = {x->form[0], x->form[1]}, .rank = x->rank, .moved = moved};
}

static bool collect(lambda *l, cvi_keras_tensor *out) {
    cvi_keras *k = l->k;
    tf_net *m = &l->net;
    for (int i = 0; i < m->n_out; i++) {
        cvi_tf_tensor *x = &m->out[i];
        if (cvi_tf_is_constant(x)) {
            cvi_tf_form(&m->t, x, false);
        }
        if (!cvi_build_ok(&m->t.b) || x->rank < 0 || (x->form[0] < 0 && x->form[1] < 0)) {
            return false;
        }
    }
    *out = seen(&m->out[0]);
    if (m->n_out > 1) {
        k->more = cvi_arena_alloc(k->b.model->arena, m->n_out - 1, sizeof *k->more);
        if (!k->more) {
            cvi_build_no_memory(&m->t.b, 0);
            return false;
        }
        for (int i = 1; i < m->n_out; i++) {
            k->more[i - 1] = seen(&m->out[i]);
        }
        k->n_more = m->n_out - 1;
    }
    return true;
}

/* Makes room for an operation, which works on the builder of the layer at hand. */
static lambda *begin(cvi_keras *k) {
    cvi_arena *a = k->b.model->arena;
    lambda *l = cvi_build_ok(&k->b) ? cvi_arena_alloc(a, 1, sizeof *l) : NULL;
    tf_graphdef *none = l ? cvi_arena_alloc(a, 1, sizeof *none) : NULL;
    if (!none) {
        cvi_build_no_memory(&k->b, sizeof *l);
        return NULL;
    }
    *l = (lambda){.k = k, .net = {.g = none}};
    l->net.t = (cvi_tf){
        .b = k->b, .shapes = k->shapes, .name = k->name, .type = "", .first = k->first, .domain = "keras"};
    l->net.t.shapes.evaluate = 1 << 20;
    return l;
}

/* Gives the builder back; what a refused operation left is taken out. */
static bool end(lambda *l, int nodes, bool done) {
    cvi_keras *k = l->k;
    int64_t evaluate = k->shapes.evaluate;
    k->b.status = l->net.t.b.status;
    k->b.node = l->net.t.b.node;
    k->shapes = l->net.t.shapes;
    k->shapes.evaluate = evaluate;
    if (!done && (cvi_build_ok(&k->b) || k->b.status == CVS_E_UNSUPPORTED)) {
        k->b.status = CVS_OK;
        cvi_error_clear(k->b.err);
        k->b.g->n_nodes = nodes;
        k->shapes.inferred = CVI_MIN(k->shapes.inferred, nodes);
    }
    return done;
}

bool cvi_keras_lambda(cvi_keras *k, cvi_keras_tensor *const *in, int n, cvi_keras_tensor *out) {
    char name[40];
    const row *r = NULL;
    plain_name(k, name, sizeof name);
    for (int i = 0; i < CVI_COUNT(rows) && !r; i++) {
        r = strcmp(rows[i].name, name) == 0 ? &rows[i] : NULL;
    }
    int nodes = k->b.g->n_nodes;
    lambda *l = r ? begin(k) : NULL;
    return l && end(l, nodes, read_operands(l, in, n) && r->make(l, r) && collect(l, out));
}

bool cvi_keras_einsum(cvi_keras *k, const char *equation, cvi_keras_tensor *x, int kernel, int rank,
                      cvi_keras_tensor *out) {
    int nodes = k->b.g->n_nodes;
    lambda *l = begin(k);
    if (!l) {
        return false;
    }
    l->operand[0] = (cvi_tf_tensor){
        .name = k->name, .form = {x->form[0], x->form[1]}, .rank = x->rank, .moved = x->moved};
    l->operand[1] = cvi_tf_value(&l->net.t, kernel, rank, false);
    add_text(l, "equation", equation);
    return end(l, nodes,
               emit(l, "Einsum", 2, (cvi_tf_tensor *[]){&l->operand[0], &l->operand[1]}) && collect(l, out));
}

/* SPDX-License-Identifier: MIT
 * script_compose.c - torch calls for which there is no one operator, written as several: activations of two terms, deviations and norms,
 * einsum, attention with a mask. The helpers here make hidden nodes; the last node of each bears the name.
 */
#include <math.h>

#include "formats/script.h"

static int one(script *s, const char *op, int x) {
    return cvi_script_done(s, cvi_script_node(s, op, 1, &x, 0, true)).v;
}

static int two(script *s, const char *op, int x, int y) {
    int in[2] = {x, y};
    return cvi_script_done(s, cvi_script_node(s, op, 2, in, 0, true)).v;
}

static int with_number(script *s, const char *op, int x, double v) {
    return two(s, op, x, cvi_script_const_float(s, v));
}

static int reduced(script *s, const char *op, int x, int n, const int64_t *axes, bool keep, bool hidden) {
    int in[2] = {x, n > 0 ? cvi_script_const_ints(s, n, axes) : -1};
    script_node node = cvi_script_node(s, op, n > 0 ? 2 : 1, in, 1, hidden);
    cvi_script_attr_int(s, &node, "keepdims", keep);
    return cvi_script_done(s, node).v;
}

static script_value last(script *s, const char *op, int x, int y) {
    int in[2] = {x, y};
    return cvi_script_simple(s, op, y >= 0 ? 2 : 1, in);
}

/* ---- activations of two terms ------------------------------------------------------------------------------------- */

/* log(sigmoid(x)) = -softplus(-x) */
static script_value log_sigmoid(script *s, const script_call *row, const script_args *a) {
    (void)row;
    return last(s, "Neg", one(s, "Softplus", one(s, "Neg", cvi_script_graph_arg(s, a, 0, "self"))), -1);
}

/* hardshrink(x, lambda), softshrink(x, lambda) */
static script_value shrink(script *s, const script_call *row, const script_args *a) {
    int x = cvi_script_graph_arg(s, a, 0, "self");
    double lambda = cvi_script_number_arg(a, 1, "lambd", 0.5);
    script_node node = cvi_script_node(s, "Shrink", 1, &x, 2, false);
    cvi_script_attr_float(s, &node, "lambd", lambda);
    cvi_script_attr_float(s, &node, "bias", row->f != 0 ? lambda : 0);
    return cvi_script_done(s, node);
}

/* softplus(x, beta) = log(1 + exp(beta x)) / beta */
static script_value softplus(script *s, const script_call *row, const script_args *a) {
    (void)row;
    int x = cvi_script_graph_arg(s, a, 0, "self");
    double beta = cvi_script_number_arg(a, 1, "beta", 1);
    if (beta == 1) {
        return last(s, "Softplus", x, -1);
    }
    x = one(s, "Softplus", with_number(s, "Mul", x, beta));
    return last(s, "Div", x, cvi_script_const_float(s, beta));
}

/* threshold(x, t, v): x where it is larger than t, else v; a rectifier where both are 0 */
static script_value threshold(script *s, const script_call *row, const script_args *a) {
    (void)row;
    int x = cvi_script_graph_arg(s, a, 0, "self");
    double t = cvi_script_number_arg(a, 1, "threshold", 0), v = cvi_script_number_arg(a, 2, "value", 0);
    if (t == 0 && v == 0) {
        return last(s, "Relu", x, -1);
    }
    int in[3] = {with_number(s, "Greater", x, t), x, cvi_script_const_float(s, v)};
    return cvi_script_simple(s, "Where", 3, in);
}

/* rrelu outside of training: the middle of its slopes */
static script_value rrelu(script *s, const script_call *row, const script_args *a) {
    int x = cvi_script_graph_arg(s, a, 0, "self"), noise = strncmp(row->name, "rrelu_", 6) == 0;
    script_node node = cvi_script_node(s, "LeakyRelu", 1, &x, 1, false);
    cvi_script_attr_float(s, &node, "alpha",
                          (cvi_script_number_arg(a, 1 + noise, "lower", 1.0 / 8) +
                           cvi_script_number_arg(a, 2 + noise, "upper", 1.0 / 3)) /
                              2);
    return cvi_script_done(s, node);
}

/* square, log1p, log2, ...: an operator of x and a number */
static script_value with_one(script *s, const script_call *row, const script_args *a) {
    int x = cvi_script_graph_arg(s, a, 0, "self");
    if (strcmp(row->name, "square") == 0) {
        return last(s, "Mul", x, x);
    }
    if (strcmp(row->name, "log1p") == 0) {
        return last(s, "Log", with_number(s, "Add", x, 1), -1);
    }
    if (strcmp(row->name, "expm1") == 0) {
        return last(s, "Sub", one(s, "Exp", x), cvi_script_const_float(s, 1));
    }
    return last(s, row->op, one(s, "Log", x), cvi_script_const_float(s, row->f)); /* log2, log10 */
}

/* addcmul(x, a, b, value) = x + value a b; addcdiv; lerp(x, y, w) = x + w (y - x) */
static script_value three(script *s, const script_call *row, const script_args *a) {
    int x = cvi_script_graph_arg(s, a, 0, "self"), y = cvi_script_graph_arg(s, a, 1, ""),
        z = cvi_script_graph_arg(s, a, 2, "");
    double factor = cvi_script_number_arg(a, -1, "value", 1);
    int t = strcmp(row->name, "lerp") == 0 ? two(s, "Mul", two(s, "Sub", y, x), z) : two(s, row->op, y, z);
    return last(s, "Add", x, factor != 1 ? with_number(s, "Mul", t, factor) : t);
}

/* baddbmm(x, a, b) = beta x + alpha a b */
static script_value baddbmm(script *s, const script_call *row, const script_args *a) {
    (void)row;
    int x = cvi_script_graph_arg(s, a, 0, "self"),
        y = two(s, "MatMul", cvi_script_graph_arg(s, a, 1, ""), cvi_script_graph_arg(s, a, 2, ""));
    double alpha = cvi_script_number_arg(a, -1, "alpha", 1), beta = cvi_script_number_arg(a, -1, "beta", 1);
    y = alpha != 1 ? with_number(s, "Mul", y, alpha) : y;
    return last(s, "Add", beta != 1 ? with_number(s, "Mul", x, beta) : x, y);
}

/* ---- layers packed for phones ------------------------------------------------------------------------------------- */

/* conv2d_clamp_run(x, packed), linear_clamp_run(x, packed): packed is weight, bias, the settings in order, and two limits or None. */
static script_value packed_layer(script *s, const script_call *row, const script_args *a) {
    script_value arg[12] = {cvi_script_arg(a, 0, "")}, packed = cvi_script_arg(a, 1, "");
    int n = packed.kind == SCRIPT_V_LIST ? *packed.shared_n : 0;
    if (n != (int)row->f) {
        return cvi_script_refuse(s, a->name);
    }
    memcpy(arg + 1, *packed.shared, (size_t)n * sizeof *arg);
    if (strstr(row->name, "transpose")) { /* conv_transpose2d has its dilation last */
        script_value dilation = arg[6];
        arg[6] = arg[7];
        arg[7] = dilation;
    }
    script_value limit[3] = {cvi_script_none(), arg[n - 1], arg[n]};
    script_args layer = {.name = row->op, .n = n - 1, .arg = arg},
                clamp = {.name = "torch.clamp", .n = 3, .arg = limit};
    limit[0] = cvi_script_call(s, &layer);
    bool none = limit[1].kind == SCRIPT_V_NONE && limit[2].kind == SCRIPT_V_NONE;
    return none || !cvi_script_ok(s) ? limit[0] : cvi_script_call(s, &clamp);
}

/* ---- deviations and norms ---------------------------------------------------------------------------------------- */

/* The axes of a reduction, none for all; -1 where they are not known. */
static int axes_of(script *s, const script_value *dims, int64_t *axes) {
    return dims->kind == SCRIPT_V_NONE
               ? 0
               : CVI_MIN(cvi_script_wholes(s, dims, axes, CVS_MAX_RANK), CVS_MAX_RANK);
}

/* How many numbers a reduction takes together; 0: it depends on the input. */
static int64_t numbers_in(script *s, int x, int n, const int64_t *axes) {
    const cvs_tensor *p = cvi_script_shape(s, x, 0), *q = cvi_script_shape(s, x, 1);
    int64_t all = 1;
    for (int i = 0; i < (n > 0 ? n : p->rank); i++) {
        int64_t axis = n > 0 ? axes[i] + (axes[i] < 0 ? p->rank : 0) : i;
        bool ok = axis >= 0 && axis < p->rank && q->rank == p->rank;
        s->fixed |= ok && p->dim[axis] != q->dim[axis];
        if (!ok || !cvi_mul(all, p->dim[axis], &all)) {
            return 0;
        }
    }
    return all;
}

/* var(x, dim, unbiased, keepdim), var(x, dim, *, correction, keepdim), var(x, unbiased); std is its root; var_mean has both */
static script_value variance(script *s, const script_call *row, const script_args *a) {
    int64_t axes[CVS_MAX_RANK];
    int x = cvi_script_graph_arg(s, a, 0, "self");
    script_value dims = cvi_script_arg(a, 1, "dim"), fix = cvi_script_arg(a, -1, "correction");
    bool alone = dims.kind == SCRIPT_V_BOOL; /* var(x, unbiased) */
    script_value unbiased = alone ? dims : cvi_script_arg(a, 2, "unbiased");
    int n = alone ? 0 : axes_of(s, &dims, axes);
    double correction =
        cvi_script_is_number(&fix) ? cvi_script_number(&fix, 1) : cvi_script_number(&unbiased, 1);
    bool keep = !alone && cvi_script_number_arg(a, 3, "keepdim", 0) != 0, root = row->name[0] == 's';
    int64_t count = n >= 0 ? numbers_in(s, x, n, axes) : 0;
    if (count <= 0 || (double)count - correction <= 0) {
        return cvi_script_refuse(s, a->name);
    }
    int middle = reduced(s, "ReduceMean", x, n, axes, true, true);
    int off = two(s, "Sub", x, middle);
    int sum = reduced(s, "ReduceSumSquare", off, n, axes, keep, true);
    int divisor = cvi_script_const_float(s, (double)count - correction);
    script_value v = root ? last(s, "Sqrt", two(s, "Div", sum, divisor), -1) : last(s, "Div", sum, divisor);
    if (!strstr(row->name, "_mean")) {
        return v;
    }
    script_value both[2] = {v, cvi_script_tensor(reduced(s, "ReduceMean", x, n, axes, keep, true))};
    return cvi_script_ok(s) ? cvi_script_list(s, 2, both) : v;
}

/* norm(x, p, dim, keepdim), linalg_vector_norm(x, p, dim, keepdim) */
static script_value norm(script *s, const script_call *row, const script_args *a) {
    int64_t axes[CVS_MAX_RANK];
    bool frobenius = strcmp(row->name, "frobenius_norm") == 0;
    int x = cvi_script_graph_arg(s, a, 0, "self"), at = frobenius ? 1 : 2;
    double p = frobenius ? 2 : cvi_script_number_arg(a, 1, "p", 2);
    script_value dims = cvi_script_arg(a, at, "dim");
    int n = axes_of(s, &dims, axes);
    bool keep = cvi_script_number_arg(a, at + 1, "keepdim", 0) != 0;
    if (p == 1 || p == 2) {
        return cvi_script_tensor(reduced(s, p == 1 ? "ReduceL1" : "ReduceL2", x, n, axes, keep, false));
    }
    if (isinf(p)) {
        return cvi_script_tensor(
            reduced(s, p > 0 ? "ReduceMax" : "ReduceMin", one(s, "Abs", x), n, axes, keep, false));
    }
    if (p == 0) {
        return cvi_script_refuse(s, a->name);
    }
    int sum = reduced(s, "ReduceSum", with_number(s, "Pow", one(s, "Abs", x), p), n, axes, keep, true);
    return last(s, "Pow", sum, cvi_script_const_float(s, 1 / p));
}

/* _weight_norm(v, g, dim) = g v / |v|, of each piece along dim; of constants a constant, so that the layer shows its weights */
static script_value weight_norm(script *s, const script_call *row, const script_args *a) {
    (void)row;
    int v = cvi_script_graph_arg(s, a, 0, "v"), g = cvi_script_graph_arg(s, a, 1, "g"), n = 0;
    int64_t axes[CVS_MAX_RANK], axis = cvi_script_whole_arg(a, 2, "dim", 0);
    const cvs_tensor *t = cvi_script_shape(s, v, 0), *scale = cvi_script_shape(s, g, 0);
    if (!cvi_script_ok(s) || v < 0 || g < 0 || axis >= t->rank || axis < -1) {
        return cvi_script_refuse(s, a->name);
    }
    for (int i = 0; i < t->rank; i++) {
        if (i != axis) {
            axes[n++] = i;
        }
    }
    bool known = s->g->values[v].constant && s->g->values[g].constant && axis == 0 && t->data &&
                 scale->data && t->dtype == CVS_F32 && scale->dtype == CVS_F32 &&
                 cvs_tensor_count(scale) == t->dim[0];
    if (!known) {
        return last(s, "Mul", two(s, "Div", v, reduced(s, "ReduceL2", v, n, axes, true, true)), g);
    }
    cvs_tensor made = *t;
    int64_t each = cvs_tensor_count(t) / CVI_MAX(t->dim[0], 1);
    char *name = cvi_arena_printf(s->arena, "%s.normed", s->g->values[v].name);
    made.owned = false;
    float *out = cvi_arena_raw(s->arena, CVI_MAX((int64_t)t->bytes, 1));
    if (!out || !name) {
        cvi_script_set(s, cvi_no_memory(s->err, t->bytes));
        return cvi_script_none();
    }
    for (int64_t i = 0; i < t->dim[0]; i++) {
        const float *from = (const float *)t->data + i * each;
        double sum = 0;
        for (int64_t k = 0; k < each; k++) {
            sum += (double)from[k] * (double)from[k];
        }
        for (int64_t k = 0; k < each; k++) {
            out[i * each + k] =
                (float)((double)from[k] / sqrt(sum) * (double)((const float *)scale->data)[i]);
        }
    }
    made.data = out;
    return cvi_script_tensor(cvi_script_constant(s, name, &made));
}

/* rms_norm(x, shape, weight, eps) = x / sqrt(mean(x x) + eps) * weight */
static script_value rms_norm(script *s, const script_call *row, const script_args *a) {
    (void)row;
    int64_t axes[CVS_MAX_RANK];
    script_value shape = cvi_script_arg(a, 1, "normalized_shape");
    int x = cvi_script_graph_arg(s, a, 0, "input"), w = cvi_script_graph_arg(s, a, 2, "weight");
    int n = shape.kind == SCRIPT_V_LIST ? *shape.shared_n : 0;
    if (n < 1 || n > CVS_MAX_RANK) {
        return cvi_script_refuse(s, a->name);
    }
    for (int i = 0; i < n; i++) {
        axes[i] = i - n;
    }
    int mean = reduced(s, "ReduceMean", two(s, "Mul", x, x), n, axes, true, true);
    int root = one(s, "Sqrt",
                   with_number(s, "Add", mean, cvi_script_number_arg(a, 3, "eps", 1.1920928955078125e-07)));
    return w < 0 ? last(s, "Div", x, root) : last(s, "Mul", two(s, "Div", x, root), w);
}

/* ---- einsum -------------------------------------------------------------------------------------------------------- */

enum { MAX_LABELS = CVS_MAX_RANK };

typedef struct subscripts {
    char all[MAX_LABELS + 1]; /* every letter: those of the output first */
    int n, n_out;
} subscripts;

/* x with an axis for each of the letters, 1 where it has none of that name. */
static int spread(script *s, int x, const char *labels, int n, const subscripts *sub) {
    int64_t perm[MAX_LABELS], missing[MAX_LABELS];
    int n_perm = 0, n_missing = 0;
    for (int i = 0; i < sub->n; i++) {
        const char *at = memchr(labels, sub->all[i], (size_t)n);
        if (at) {
            perm[n_perm++] = at - labels;
        } else {
            missing[n_missing++] = i;
        }
    }
    script_node turn = cvi_script_node(s, "Transpose", 1, &x, 1, true);
    cvi_script_attr_ints(s, &turn, "perm", n_perm, perm);
    x = cvi_script_done(s, turn).v;
    return n_missing > 0 ? two(s, "Unsqueeze", x, cvi_script_const_ints(s, n_missing, missing)) : x;
}

static bool add_label(subscripts *sub, char c) {
    if ((c < 'a' || c > 'z') && (c < 'A' || c > 'Z')) {
        return false;
    }
    if (!memchr(sub->all, c, (size_t)sub->n)) {
        if (sub->n == MAX_LABELS) {
            return false;
        }
        sub->all[sub->n++] = c;
    }
    return true;
}

/* "bij,bjk->bik" where a product of matrices does it: the letters of both are those before the last two, in order. */
static bool is_matmul(const char *x, int nx, const char *y, int ny, const char *out, int no) {
    bool same = nx >= 2 && nx == ny && nx == no && memcmp(x, y, (size_t)nx - 2) == 0 &&
                memcmp(x, out, (size_t)nx - 2) == 0;
    return same && x[nx - 1] == y[nx - 2] && out[nx - 2] == x[nx - 2] && out[nx - 1] == y[nx - 1] &&
           x[nx - 2] != y[nx - 1] && x[nx - 1] != y[nx - 1];
}

/* einsum(equation, tensors): a product of matrices where it is one, else the product of all, summed */
static script_value einsum(script *s, const script_call *row, const script_args *a) {
    (void)row;
    script_value text = cvi_script_arg(a, 0, "equation"), list = cvi_script_arg(a, 1, "tensors");
    int n = list.kind == SCRIPT_V_LIST ? *list.shared_n : 0, x = -1;
    char clean[120];
    size_t size = 0;
    for (const char *c = text.kind == SCRIPT_V_STRING ? text.s : ""; *c && size + 1 < sizeof clean; c++) {
        if (*c != ' ') {
            clean[size++] = *c;
        }
    }
    clean[size] = 0;
    const char *arrow = strstr(clean, "->"), *at = clean;
    subscripts sub = {.n = 0};
    bool ok = arrow && n >= 1 && n <= 4;
    for (const char *c = ok ? arrow + 2 : ""; *c && ok; c++) {
        ok = !memchr(sub.all, *c, (size_t)sub.n) && add_label(&sub, *c);
    }
    sub.n_out = sub.n;
    for (const char *c = clean; ok && c < arrow; c++) {
        ok = *c == ',' || add_label(&sub, *c);
    }
    for (int i = 0; i < n && ok && cvi_script_ok(s); i++) {
        int length = (int)strcspn(at, ",-"), v = cvi_script_graph(s, &(*list.shared)[i]);
        const char *next = at + length + 1;
        int other = (int)strcspn(next, ",-");
        if (i == 0 && n == 2 && is_matmul(at, length, next, other, arrow + 2, sub.n_out)) {
            return last(s, "MatMul", v, cvi_script_graph(s, &(*list.shared)[1]));
        }
        ok = length == cvi_script_rank(s, v) && (i + 1 < n ? at[length] == ',' : at + length == arrow);
        for (int k = 0; k < length && ok; k++) {
            ok = !memchr(at + k + 1, at[k], (size_t)(length - k - 1)); /* a diagonal */
        }
        if (ok) {
            v = spread(s, v, at, length, &sub);
            x = x < 0 ? v : two(s, "Mul", x, v);
            at = next;
        }
    }
    if (!ok) {
        return cvi_script_refuse(s, a->name);
    }
    int64_t axes[MAX_LABELS];
    for (int i = sub.n_out; i < sub.n; i++) {
        axes[i - sub.n_out] = i;
    }
    return sub.n > sub.n_out
               ? cvi_script_tensor(reduced(s, "ReduceSum", x, sub.n - sub.n_out, axes, false, false))
               : last(s, "Identity", x, -1);
}

/* ---- attention ---------------------------------------------------------------------------------------------------- */

/* The mask of a causal attention from n to m places: 0 up to the diagonal, minus infinity behind. */
static int causal(script *s, int q, int k) {
    const cvs_tensor *p = cvi_script_shape(s, q, 0), *r = cvi_script_shape(s, k, 0);
    int64_t n = p->rank > 1 ? p->dim[p->rank - 2] : 0, m = r->rank > 1 ? r->dim[r->rank - 2] : 0, count = 0;
    for (int which = 0; which < 2; which++) {
        const cvs_tensor *t = cvi_script_shape(s, which ? k : q, 1);
        s->fixed |= t->rank < 2 || t->dim[t->rank - 2] != (which ? m : n);
    }
    if (n < 1 || m < 1 || !cvi_mul(n, m, &count) || count > (1 << 24)) {
        cvi_script_refuse(s, "a causal mask");
        return -1;
    }
    float *v = cvi_arena_alloc(s->arena, count, sizeof *v);
    for (int64_t i = 0; v && i < count; i++) {
        v[i] = i % m > i / m ? -INFINITY : 0;
    }
    const int64_t dim[2] = {n, m};
    int c = v && cvi_script_ok(s) ? cvi_graph_floats(s->g, "causal", 2, dim, v, s->err) : -1;
    cvi_script_set(s, c < 0 ? cvi_no_memory(s->err, 0) : cvi_script_grow(s));
    return c;
}

/* scaled_dot_product_attention(q, k, v, mask, dropout, causal, scale) = softmax(q k' / sqrt(d) + mask) v */
static script_value attention(script *s, const script_call *row, const script_args *a) {
    (void)row;
    int q = cvi_script_graph_arg(s, a, 0, "query"), k = cvi_script_graph_arg(s, a, 1, "key"),
        v = cvi_script_graph_arg(s, a, 2, "value");
    const cvs_tensor *shape = cvi_script_shape(s, q, 0);
    int mask = cvi_script_graph_arg(s, a, 3, "attn_mask"), rank = shape->rank;
    script_value scale = cvi_script_arg(a, 6, "scale");
    int64_t perm[CVS_MAX_RANK];
    if (!cvi_script_ok(s) || rank < 2 || cvi_script_rank(s, k) != rank ||
        cvi_script_number_arg(a, 7, "enable_gqa", 0) != 0) {
        return cvi_script_refuse(s, a->name);
    }
    double factor = cvi_script_is_number(&scale) ? cvi_script_number(&scale, 1)
                                                 : 1 / sqrt((double)CVI_MAX(shape->dim[rank - 1], 1));
    for (int i = 0; i < rank; i++) {
        perm[i] = i < rank - 2 ? i : i == rank - 2 ? rank - 1 : rank - 2;
    }
    mask = mask < 0 && cvi_script_number_arg(a, 5, "is_causal", 0) != 0 ? causal(s, q, k) : mask;
    script_node turn = cvi_script_node(s, "Transpose", 1, &k, 1, true);
    cvi_script_attr_ints(s, &turn, "perm", rank, perm);
    int scores = with_number(s, "Mul", two(s, "MatMul", q, cvi_script_done(s, turn).v), factor);
    if (mask >= 0 && cvi_script_shape(s, mask, 0)->dtype == CVS_BOOL) {
        int in[3] = {mask, scores, cvi_script_const_float(s, -INFINITY)};
        scores = cvi_script_done(s, cvi_script_node(s, "Where", 3, in, 0, true)).v;
    } else if (mask >= 0) {
        scores = two(s, "Add", scores, mask);
    }
    script_node soft = cvi_script_node(s, "Softmax", 1, &scores, 1, false);
    cvi_script_attr_int(s, &soft, "axis", -1);
    return last(s, "MatMul", cvi_script_done(s, soft).v, v);
}

static const script_call rows[] = {
    {"log_sigmoid", log_sigmoid, NULL, 0},
    {"hardshrink", shrink, NULL, 0},
    {"softshrink", shrink, NULL, 1},
    {"softplus", softplus, NULL, 0},
    {"threshold", threshold, NULL, 0},
    {"rrelu", rrelu, NULL, 0},
    {"rrelu_with_noise", rrelu, NULL, 0},
    {"rrelu_with_noise_functional", rrelu, NULL, 0},
    {"square", with_one, NULL, 0},
    {"log1p", with_one, NULL, 0},
    {"expm1", with_one, NULL, 0},
    {"log2", with_one, "Div", 0.69314718055994530942},
    {"log10", with_one, "Div", 2.30258509299404568402},
    {"addcmul", three, "Mul", 0},
    {"addcdiv", three, "Div", 0},
    {"lerp", three, NULL, 0},
    {"baddbmm", baddbmm, NULL, 0},
    {"conv2d_clamp_run", packed_layer, "torch.conv2d", 8},
    {"conv2d_transpose_clamp_run", packed_layer, "torch.conv_transpose2d", 9},
    {"linear_clamp_run", packed_layer, "torch.linear", 4},
    {"var", variance, NULL, 0},
    {"std", variance, NULL, 0},
    {"var_mean", variance, NULL, 0},
    {"std_mean", variance, NULL, 0},
    {"norm", norm, NULL, 0},
    {"linalg_vector_norm", norm, NULL, 0},
    {"frobenius_norm", norm, NULL, 0},
    {"_weight_norm", weight_norm, NULL, 0},
    {"rms_norm", rms_norm, NULL, 0},
    {"einsum", einsum, NULL, 0},
    {"scaled_dot_product_attention", attention, NULL, 0},
};

const script_calls cvi_script_compose = {rows, CVI_COUNT(rows)};

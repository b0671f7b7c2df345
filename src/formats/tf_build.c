/* SPDX-License-Identifier: MIT
 * tf_build.c - tensors of TensorFlow's family in the forms that the graph needs them in: made, turned, folded; and the end, where
 * nodes that nothing needs are taken out.
 */
#include "formats/tf.h"

#include "ops/op.h"

enum { EVALUATE = 1 << 24 };

static void locate(const void *owner, cvs_error *err, cvs_status s) {
    const cvi_tf *t = owner;
    if (t->name && s != CVS_E_MEMORY) {
        cvi_at_node(err, s, t->name, t->type ? t->type : "");
    }
}

void cvi_tf_begin(cvi_tf *t, cvs_model *model, const char *domain, cvs_error *err) {
    *t = (cvi_tf){.b = {.model = model, .g = model->graph, .err = err, .locate = locate, .owner = t},
                  .shapes = {.evaluate = EVALUATE},
                  .domain = domain};
}

cvi_tf_tensor cvi_tf_none(void) {
    return (cvi_tf_tensor){.form = {-1, -1}, .rank = -1};
}

cvi_tf_tensor cvi_tf_constant(const char *name, const cvs_tensor *tensor) {
    return (cvi_tf_tensor){
        .name = name, .form = {-1, -1}, .rank = tensor->rank, .exact = true, .constant = *tensor};
}

/* Settles the rank of x from its shape if it is unknown. */
static void settle_rank(cvi_tf *t, cvi_tf_tensor *x) {
    const cvs_tensor *s = x->rank < 0 ? cvi_shapes_of(&t->shapes, &t->b, x->form[x->moved]) : NULL;
    if (s) {
        x->rank = s->rank;
        if (s->rank <= 2) {
            x->form[0] = x->form[1] = x->form[x->moved];
        }
    }
}

cvi_tf_tensor cvi_tf_value(cvi_tf *t, int value, int rank, bool moved) {
    cvi_tf_tensor x = {.name = t->name, .form = {-1, -1}, .rank = rank, .moved = moved && rank > 2};
    x.form[x.moved] = value;
    if (rank >= 0 && rank <= 2) {
        x.form[0] = x.form[1] = value; /* [N] and [N,C] are the same in both */
    } else if (x.moved && value >= 0) {
        t->b.g->values[value].file_layout = CVI_FILE_LAST;
    }
    if (rank < 0) {
        settle_rank(t, &x);
    }
    return x;
}

void cvi_tf_permutation(int rank, bool to_moved, int64_t *perm) {
    for (int j = 0; j < rank; j++) {
        perm[j] = j == 0 ? 0 : to_moved ? (j == 1 ? rank - 1 : j - 1) : (j == rank - 1 ? 1 : j + 1);
    }
}

cvi_tf_tensor cvi_tf_input(cvi_tf *t, const char *name, cvs_dtype dtype, int rank, const int64_t *dim) {
    bool planes = rank == 4 && dim[1] == 3 && dim[2] > 4 && dim[3] > 4; /* converted from channels first */
    bool moved = (rank == 4 || rank == 5) && !t->first && !planes;
    int64_t perm[CVS_MAX_RANK], turned[CVS_MAX_RANK];
    if (rank > CVS_MAX_RANK) {
        cvi_build_set(&t->b, cvi_fail(t->b.err, CVS_E_UNSUPPORTED,
                                      "a tensor of rank %d, at most %d is supported", rank, CVS_MAX_RANK));
        return cvi_tf_none();
    }
    cvi_tf_permutation(rank, true, perm);
    for (int i = 0; i < rank; i++) {
        t->free_sides |= i > 0 && dim[i] < 0;
        turned[i] = dim[moved ? perm[i] : i];
    }
    int v = cvi_build_ok(&t->b)
                ? cvi_build_made(&t->b, cvi_graph_value(t->b.g, name, dtype, rank, turned, t->b.err))
                : -1;
    if (v < 0) {
        return cvi_tf_none();
    }
    if (!cvi_graph_add_input(t->b.g, v)) {
        cvi_build_no_memory(&t->b, 0);
    }
    const char *own = t->name;
    t->name = name;
    cvi_tf_tensor x = cvi_tf_value(t, v, rank, moved);
    t->name = own;
    return x;
}

const char *cvi_tf_part(cvi_tf *t, const char *part) {
    return cvi_build_name(&t->b, "%s/%s", t->name, part);
}

int cvi_tf_op(cvi_tf *t, const char *op, const char *part, int n, const int *in) {
    return cvi_build_op(&t->b, op, part ? cvi_tf_part(t, part) : t->name, part != NULL, n, in);
}

bool cvi_tf_is_constant(const cvi_tf_tensor *x) {
    return x->constant.dtype != CVS_NONE;
}

bool cvi_tf_is_moved(const cvi_tf_tensor *x) {
    return !cvi_tf_is_constant(x) && x->rank > 2 && x->form[1] >= 0;
}

/* ---- constants ---- */

/* A tensor's elements in another order of axes, in the arena; out axis j is in axis perm[j]. Without data: only the shape. */
static bool permute(cvi_tf *t, const cvs_tensor *in, const int64_t *perm, cvs_tensor *out) {
    size_t size = cvs_dtype_size(in->dtype);
    int64_t n = cvs_tensor_count(in), step[CVS_MAX_RANK], at[CVS_MAX_RANK] = {0}, stride = 1;
    int64_t own[CVS_MAX_RANK];
    *out = *in;
    for (int i = in->rank - 1; i >= 0; i--) {
        own[i] = stride;
        stride *= in->dim[i];
    }
    for (int i = 0; i < in->rank; i++) {
        out->dim[i] = in->dim[perm[i]];
        step[i] = own[perm[i]];
    }
    if (!in->data) {
        return true;
    }
    char *to = cvi_arena_alloc(t->b.model->arena, CVI_MAX(n, 1), size);
    if (!to) {
        cvi_build_no_memory(&t->b, (size_t)n * size);
        return false;
    }
    const char *from = in->data;
    int64_t place = 0;
    for (int64_t i = 0; i < n; i++) {
        memcpy(to + (size_t)i * size, from + (size_t)place * size, size);
        for (int d = in->rank - 1; d >= 0; d--) {
            place += step[d];
            if (++at[d] < out->dim[d]) {
                break;
            }
            place -= step[d] * out->dim[d];
            at[d] = 0;
        }
    }
    out->data = to;
    return true;
}

static int add_constant(cvi_tf *t, const char *name, const cvs_tensor *c) {
    return cvi_build_constant(&t->b, name, c);
}

static int constant_form(cvi_tf *t, cvi_tf_tensor *x, bool moved) {
    const char *name = x->name ? x->name : t->name;
    cvs_tensor c = x->constant;
    if (moved && x->rank > 2) {
        int64_t perm[CVS_MAX_RANK];
        cvi_tf_permutation(x->rank, true, perm);
        if (!permute(t, &x->constant, perm, &c)) {
            return -1;
        }
    }
    int v = add_constant(t, name, &c);
    x->form[moved] = v;
    if (x->rank <= 2) {
        x->form[0] = x->form[1] = v;
    }
    return v;
}

int cvi_tf_form(cvi_tf *t, cvi_tf_tensor *x, bool moved) {
    if (x->block[0] && !x->joined) {
        cvi_build_set(&t->b, cvi_fail(t->b.err, CVS_E_UNSUPPORTED, "pictures cut into blocks are not run"));
        return -1;
    }
    if (!cvi_build_ok(&t->b) || x->form[moved] >= 0) {
        return x->form[moved];
    }
    if (cvi_tf_is_constant(x)) {
        return constant_form(t, x, moved);
    }
    int from = x->form[!moved];
    if (from < 0 || x->rank < 3) {
        cvi_build_set(&t->b, cvi_fail(t->b.err, CVS_E_UNSUPPORTED, "an input whose shape is not known"));
        return -1;
    }
    int64_t perm[CVS_MAX_RANK];
    cvi_tf_permutation(x->rank, moved, perm);
    const char *name =
        cvi_build_name(&t->b, "%s/channels_%s", t->b.g->values[from].name, moved ? "first" : "last");
    x->form[moved] = cvi_build_op(&t->b, "Transpose", name, true, 1, &from);
    cvi_build_ints(&t->b, "perm", x->rank, perm);
    return x->form[moved];
}

int cvi_tf_any(cvi_tf *t, cvi_tf_tensor *x) {
    return cvi_tf_form(t, x, cvi_tf_is_constant(x) ? false : x->form[x->moved] >= 0 ? x->moved : !x->moved);
}

int cvi_tf_any_order(cvi_tf *t, cvi_tf_tensor *x) {
    int64_t dim[CVS_MAX_RANK];
    if (x->form[0] < 0 && x->form[1] >= 0 && x->rank > 2 && cvi_tf_dims(t, x, dim)) {
        bool sides = true;
        for (int i = 1; i < x->rank - 1; i++) {
            sides &= dim[i] == 1;
        }
        if (sides || dim[x->rank - 1] == 1) {
            return x->form[1];
        }
    }
    return cvi_tf_form(t, x, false);
}

int cvi_tf_aligned(cvi_tf *t, cvi_tf_tensor *x, int rank) {
    if (!cvi_tf_is_constant(x) || x->rank == 0 || x->rank > rank) {
        return x->rank == 0 ? cvi_tf_form(t, x, false) : cvi_tf_form(t, x, true);
    }
    if (x->rank == rank) {
        return cvi_tf_form(t, x, true);
    }
    /* ones in front, then turned, then the ones in front away again: [C] -> [C,1,1] */
    cvs_tensor wide = x->constant, turned;
    wide.rank = rank;
    for (int i = 0; i < rank; i++) {
        int from = i - (rank - x->rank);
        wide.dim[i] = from < 0 ? 1 : x->constant.dim[from];
    }
    int64_t perm[CVS_MAX_RANK];
    cvi_tf_permutation(rank, true, perm);
    if (!cvi_build_ok(&t->b) || !permute(t, &wide, perm, &turned)) {
        return -1;
    }
    while (turned.rank > 1 && turned.dim[0] == 1) {
        memmove(turned.dim, turned.dim + 1, (size_t)(turned.rank - 1) * sizeof turned.dim[0]);
        turned.rank--;
    }
    return add_constant(t, x->name ? x->name : t->name, &turned);
}

int cvi_tf_weight(cvi_tf *t, cvi_tf_tensor *x, const char *part, const int *perm, int out_rank,
                  const int64_t *out_dim) {
    int64_t order[CVS_MAX_RANK];
    for (int i = 0; i < x->rank; i++) {
        order[i] = perm ? perm[i] : i;
    }
    if (!cvi_build_ok(&t->b)) {
        return -1;
    }
    if (cvi_tf_is_constant(x)) {
        cvs_tensor turned = x->constant;
        if (perm && !permute(t, &x->constant, order, &turned)) {
            return -1;
        }
        int64_t n = cvs_tensor_count(&x->constant), known = 1;
        int open = -1;
        for (int i = 0; i < out_rank; i++) {
            turned.dim[i] = out_dim[i];
            open = out_dim[i] < 0 ? i : open;
            known = out_dim[i] < 0 || !cvi_mul(known, out_dim[i], &known) ? known : known;
        }
        turned.rank = out_rank ? out_rank : x->rank;
        if (open >= 0) {
            turned.dim[open] = known > 0 ? n / known : 0;
        }
        if (cvs_tensor_count(&turned) != n) {
            cvi_build_set(&t->b, cvi_fail(t->b.err, CVS_E_SHAPE, "the kernel has a wrong shape"));
            return -1;
        }
        return add_constant(t, x->name ? x->name : cvi_tf_part(t, part), &turned);
    }
    int v = cvi_tf_form(t, x, false);
    if (perm) {
        v = cvi_build_op(&t->b, "Transpose", cvi_tf_part(t, part), true, 1, &v);
        cvi_build_ints(&t->b, "perm", x->rank, order);
    }
    if (out_rank) {
        int in[2] = {v, cvi_build_const_ints(&t->b, cvi_tf_part(t, "kernel_shape"), out_rank, out_dim)};
        v = cvi_build_op(&t->b, "Reshape", cvi_tf_part(t, part), true, 2, in);
    }
    return v;
}

/* ---- shapes and numbers ---- */

bool cvi_tf_dims(cvi_tf *t, cvi_tf_tensor *x, int64_t *dim) {
    if (cvi_tf_is_constant(x)) {
        memcpy(dim, x->constant.dim, sizeof x->constant.dim);
        return true;
    }
    bool moved = x->form[0] < 0;
    const cvs_tensor *s = cvi_shapes_of(&t->shapes, &t->b, x->form[moved]);
    int64_t perm[CVS_MAX_RANK];
    if (!s) {
        return false;
    }
    if (x->rank < 0) {
        x->rank = s->rank;
    }
    if (s->rank != x->rank) {
        return false;
    }
    cvi_tf_permutation(s->rank, false, perm);
    for (int i = 0; i < s->rank; i++) {
        dim[i] = s->dim[moved && s->rank > 2 ? perm[i] : i];
        bool side = t->first ? i > 1 : i > 0 && i < s->rank - 1;
        if (t->free_sides && side && dim[i] > 1) { /* only a stand-in */
            dim[i] = -1;
        }
    }
    return true;
}

cvs_dtype cvi_tf_dtype(cvi_tf *t, cvi_tf_tensor *x) {
    if (cvi_tf_is_constant(x)) {
        return x->constant.dtype;
    }
    const cvs_tensor *s = cvi_shapes_of(&t->shapes, &t->b, x->form[x->form[0] < 0]);
    return s ? s->dtype : CVS_NONE;
}

const cvs_tensor *cvi_tf_numbers(cvi_tf *t, cvi_tf_tensor *x) {
    if (cvi_tf_is_constant(x)) {
        return x->constant.data || cvs_tensor_count(&x->constant) == 0 ? &x->constant : NULL;
    }
    if (t->free_sides && !x->exact) {
        return NULL; /* it may come from a stand-in */
    }
    const cvs_tensor *s = cvi_shapes_of(&t->shapes, &t->b, x->form[0]);
    return s && (s->data || cvs_tensor_count(s) == 0) ? s : NULL;
}

int cvi_tf_ints(cvi_tf *t, cvi_tf_tensor *x, int max, int64_t *out) {
    const cvs_tensor *n = cvi_tf_numbers(t, x);
    int64_t count = n ? cvs_tensor_count(n) : -1;
    if (count < 0 || count > max) {
        return -1;
    }
    for (int64_t i = 0; i < count; i++) {
        out[i] = cvi_get_int(n, i);
    }
    return (int)count;
}

void cvi_tf_fold(cvi_tf *t, cvi_tf_tensor *x) {
    const cvs_tensor *n = x->exact && !cvi_tf_is_constant(x) && x->form[0] >= 0 ? cvi_tf_numbers(t, x) : NULL;
    if (n) {
        *x = cvi_tf_constant(x->name, n);
    }
}

int cvi_tf_axis(cvi_tf *t, const cvi_tf_tensor *x, int64_t axis, bool moved) {
    int64_t a = axis < 0 ? axis + x->rank : axis;
    if (a < 0 || a >= x->rank) {
        cvi_build_set(&t->b,
                      cvi_fail(t->b.err, x->rank < 0 ? CVS_E_UNSUPPORTED : CVS_E_SHAPE,
                               "axis %lld does not exist in a tensor of rank %d", (long long)axis, x->rank));
        return 0;
    }
    return (int)(!moved || x->rank < 3 || a == 0 ? a : a == x->rank - 1 ? 1 : a + 1);
}

/* ---- boxes ---- */

void cvi_tf_box(cvi_tf *t, int n, cvi_tf_tensor *const *in, int n_out, cvi_tf_tensor *out, const char *why) {
    int *values =
        cvi_build_ok(&t->b) ? cvi_arena_alloc(t->b.model->arena, CVI_MAX(n, 1), sizeof *values) : NULL;
    if (!values) {
        cvi_build_no_memory(&t->b, (size_t)n * sizeof *values);
        return;
    }
    for (int i = 0; i < n; i++) {
        values[i] = in[i] ? cvi_tf_any(t, in[i]) : -1;
    }
    const char *op = cvi_build_name(&t->b, "%s::%s", t->domain, t->type);
    cvi_build_node(&t->b, op, t->name, n, values, n_out);
    for (int i = 0; i < n_out && cvi_build_ok(&t->b); i++) {
        const char *name = out[i].name ? out[i].name
                           : i         ? cvi_build_name(&t->b, "%s:%d", t->name, i)
                                       : t->name;
        int v = cvi_build_out(&t->b, i, name, false);
        out[i] = (cvi_tf_tensor){.name = name, .form = {v, -1}, .rank = -1};
    }
    if (why && cvi_build_ok(&t->b)) {
        t->b.g->nodes[t->b.node].note = cvi_tr(t->b.model->lang, why);
    }
}

/* ---- the end ---- */

/* Marks what the outputs need. Nodes come in the order of making, so one walk back sees every reader before what it reads. */
static bool mark(const cvi_graph *g, bool *value, bool *node) {
    for (int i = 0; i < g->n_outputs; i++) {
        value[g->outputs[i]] = true;
    }
    for (int n = g->n_nodes - 1; n >= 0; n--) {
        for (int k = 0; k < g->nodes[n].n_out; k++) {
            node[n] |= g->nodes[n].out[k] >= 0 && value[g->nodes[n].out[k]];
        }
        for (int k = 0; node[n] && k < g->nodes[n].n_in; k++) {
            if (g->nodes[n].in[k] >= 0) {
                value[g->nodes[n].in[k]] = true;
            }
        }
    }
    return true;
}

cvs_status cvi_tf_finish(cvi_tf *t) {
    cvi_graph *g = t->b.g;
    t->name = NULL;
    if (!cvi_build_ok(&t->b)) {
        return t->b.status;
    }
    bool *value = cvi_arena_alloc(t->b.model->arena, CVI_MAX(g->n_values, 1), sizeof *value);
    bool *node = cvi_arena_alloc(t->b.model->arena, CVI_MAX(g->n_nodes, 1), sizeof *node);
    if (!value || !node) {
        return cvi_no_memory(t->b.err, 0);
    }
    mark(g, value, node);
    int kept = 0;
    for (int n = 0; n < g->n_nodes; n++) {
        if (node[n]) {
            g->nodes[kept++] = g->nodes[n];
        }
    }
    g->n_nodes = kept;
    return cvi_graph_finish(g, t->b.err);
}

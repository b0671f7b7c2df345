/* SPDX-License-Identifier: MIT
 * tf_einsum.c - TensorFlow's Einsum of two tensors ("abc,cde->abde", as attention and dense layers over several axes have it) as
 * transpositions, reshapes and one matrix product: axes in both and in the result are a batch, those in both alone are summed.
 */
#include "formats/tf_nodes.h"

/* Axes by their letters, in order. */
typedef struct letters {
    char c[CVS_MAX_RANK + 1];
    int n;
} letters;

typedef struct einsum {
    tf_net *m;
    letters in[2], out, batch, free[2], sum;
    int64_t size[128]; /* by letter */
} einsum;

static bool has(const letters *l, char c) {
    return memchr(l->c, c, (size_t)l->n) != NULL;
}

static void put(letters *l, char c) {
    if (l->n < CVS_MAX_RANK) {
        l->c[l->n++] = c;
    }
}

static void join(letters *l, const letters *more) {
    for (int i = 0; i < more->n; i++) {
        put(l, more->c[i]);
    }
}

/* Letters up to one of `ends`; false: doubled ones, dots, or too many. */
static bool read_letters(const char **at, const char *ends, letters *out) {
    for (; **at && !strchr(ends, **at); ++*at) {
        char c = **at;
        if (c == ' ') {
            continue;
        }
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')) || has(out, c) || out->n == CVS_MAX_RANK) {
            return false;
        }
        put(out, c);
    }
    return true;
}

static bool read_equation(einsum *e, const char *text) {
    if (!read_letters(&text, ",-", &e->in[0]) || *text++ != ',' || !read_letters(&text, ",-", &e->in[1]) ||
        strncmp(text, "->", 2) != 0) {
        return false;
    }
    text += 2;
    if (!read_letters(&text, ",-", &e->out) || *text) {
        return false;
    }
    for (int i = 0; i < e->out.n; i++) {
        char c = e->out.c[i];
        bool a = has(&e->in[0], c), b = has(&e->in[1], c);
        if (!a && !b) {
            return false;
        }
        put(a && b ? &e->batch : &e->free[!a], c);
    }
    for (int k = 0; k < 2; k++) {
        for (int i = 0; i < e->in[k].n; i++) {
            char c = e->in[k].c[i];
            if (!has(&e->out, c) && !has(&e->in[!k], c)) {
                return false; /* summed in one alone */
            }
            if (!has(&e->out, c) && k == 0) {
                put(&e->sum, c);
            }
        }
    }
    return true;
}

static int64_t product(const einsum *e, const letters *l) {
    int64_t n = 1;
    for (int i = 0; i < l->n; i++) {
        n = n < 0 || e->size[(int)l->c[i]] < 0 || !cvi_mul(n, e->size[(int)l->c[i]], &n) ? -1 : n;
    }
    return n;
}

static void hide(tf_net *m, const cvi_tf_tensor *x) {
    for (int i = 0; i < 2 && cvi_build_ok(&m->t.b); i++) {
        if (x->form[i] >= 0) {
            m->t.b.g->values[x->form[i]].hidden = true;
        }
    }
}

static cvi_tf_tensor ordered(einsum *e, cvi_tf_tensor *x, const letters *from, const letters *to,
                             const char *name) {
    int64_t perm[CVS_MAX_RANK];
    if (memcmp(from->c, to->c, (size_t)from->n) == 0) {
        return *x;
    }
    for (int i = 0; i < to->n; i++) {
        perm[i] = (const char *)memchr(from->c, to->c[i], (size_t)from->n) - from->c;
    }
    e->m->t.name = name;
    return cvi_tf_transpose(&e->m->t, x, perm);
}

/* [batch..., a..., b...] with the axes of a and of b as one each; where there is no batch, a's may stay (`keep`). */
static cvi_tf_tensor merged(einsum *e, cvi_tf_tensor *x, const letters *a, bool keep, const letters *b,
                            const char *name) {
    int64_t dim[CVS_MAX_RANK];
    int rank = 0;
    for (int i = 0; i < e->batch.n; i++) {
        dim[rank++] = e->size[(int)e->batch.c[i]];
    }
    for (int i = 0; i < a->n && keep; i++) {
        dim[rank++] = e->size[(int)a->c[i]];
    }
    if (!keep) {
        dim[rank++] = product(e, a);
    }
    dim[rank++] = product(e, b);
    if ((keep || a->n == 1) && b->n == 1) {
        return *x;
    }
    e->m->t.name = name;
    return cvi_tf_reshape(&e->m->t, x, rank, dim);
}

void cvi_tfn_einsum(tf_net *m) {
    einsum e = {.m = m};
    const char *own = m->t.name;
    cvi_tf_tensor *in[2] = {cvi_tf_node_in(m, 0), cvi_tf_node_in(m, 1)};
    bool fits =
        m->n_in == 2 && in[0] && in[1] && read_equation(&e, cvi_tf_attr_text(m->node, "equation", ""));
    for (int k = 0; k < 2 && fits; k++) {
        int64_t dim[CVS_MAX_RANK];
        fits = in[k]->rank == e.in[k].n && cvi_tf_dims(&m->t, in[k], dim);
        for (int i = 0; i < e.in[k].n && fits; i++) {
            e.size[(int)e.in[k].c[i]] = dim[i];
        }
    }
    bool keep = e.batch.n == 0 && e.free[0].n > 0;
    fits = fits && product(&e, &e.sum) > 0 && product(&e, &e.free[1]) > 0 &&
           (keep || product(&e, &e.free[0]) > 0) && e.batch.n + e.free[0].n + e.free[1].n <= CVS_MAX_RANK;
    if (!fits) {
        m->refused = "this form of the operator is not run";
        return;
    }
    letters left = e.batch, right = e.batch, result = e.batch;
    join(&left, &e.free[0]);
    join(&left, &e.sum);
    join(&right, &e.sum);
    join(&right, &e.free[1]);
    join(&result, &e.free[0]);
    join(&result, &e.free[1]);
    const char *parts[5];
    static const char *const names[5] = {"left", "rows", "right", "columns", "product"};
    for (int i = 0; i < 5; i++) {
        parts[i] = cvi_tf_part(&m->t, names[i]);
    }
    bool turns = memcmp(result.c, e.out.c, (size_t)result.n) != 0;
    bool splits = (!keep && e.free[0].n != 1) || e.free[1].n != 1;
    cvi_tf_tensor a = ordered(&e, in[0], &e.in[0], &left, parts[0]);
    a = merged(&e, &a, &e.free[0], keep, &e.sum, parts[1]);
    cvi_tf_tensor b = ordered(&e, in[1], &e.in[1], &right, parts[2]);
    b = merged(&e, &b, &e.sum, false, &e.free[1], parts[3]);
    cvi_tf_fold(&m->t, &b);
    m->t.name = turns || splits ? parts[4] : own;
    cvi_tf_tensor y = cvi_tf_matmul(&m->t, &a, &b, false, false);
    if (turns || splits) {
        hide(m, &y);
    }
    if (splits) {
        int64_t dim[CVS_MAX_RANK];
        for (int i = 0; i < result.n; i++) {
            dim[i] = e.size[(int)result.c[i]];
        }
        m->t.name = turns ? cvi_tf_part(&m->t, "split") : own;
        y = cvi_tf_reshape(&m->t, &y, result.n, dim);
        if (turns) {
            hide(m, &y);
        }
    }
    cvi_tf_node_put(m, 0, turns ? ordered(&e, &y, &result, &e.out, own) : y);
    m->t.name = own;
}

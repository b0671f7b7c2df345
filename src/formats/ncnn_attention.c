/* SPDX-License-Identifier: MIT
 * ncnn_attention.c - ncnn's layers of transformers as graph nodes: matrix products, attention, tables of words. Blobs are rows [L,E] or
 * heads [H,L,E]; the graph has the batch in front. Numbers of settings are ncnn's own.
 */
#include <math.h>

#include "formats/ncnn.h"

static void refuse(ncnn *m) {
    m->refused = "this form of the operator is not run";
}

int cvi_ncnn_reshape(ncnn *m, const char *part, int x, int n, const int64_t *dim) {
    const char *name = cvi_build_name(&m->b, "%s-shape", cvi_ncnn_name(m, part ? part : "new"));
    return cvi_ncnn_op(m, "Reshape", part, 2, (int[]){x, cvi_build_const_ints(&m->b, name, n, dim)});
}

int cvi_ncnn_transpose(ncnn *m, const char *part, int x, int n, const int64_t *perm) {
    int v = cvi_ncnn_op(m, "Transpose", part, 1, &x);
    cvi_build_ints(&m->b, "perm", n, perm);
    return v;
}

int cvi_ncnn_with(ncnn *m, const char *op, const char *part, int x, const char *number, double v) {
    int k = cvi_build_const_float(&m->b, cvi_ncnn_name(m, number), v);
    return cvi_ncnn_op(m, op, part, 2, (int[]){x, k});
}

int cvi_ncnn_unsqueeze(ncnn *m, const char *part, int x, int n, const int64_t *axes) {
    const char *name = cvi_build_name(&m->b, "%s-axes", cvi_ncnn_name(m, part ? part : "new"));
    return cvi_ncnn_op(m, "Unsqueeze", part, 2, (int[]){x, cvi_build_const_ints(&m->b, name, n, axes)});
}

/* The last two axes change places. */
static int turned(ncnn *m, const char *part, int x, int rank) {
    int64_t perm[CVS_MAX_RANK];
    for (int i = 0; i < rank; i++) {
        perm[i] = i < rank - 2 ? i : 2 * rank - 3 - i;
    }
    return cvi_ncnn_transpose(m, part, x, rank, perm);
}

/* ---- products of matrices ---- */

void cvi_ncnn_matmul(ncnn *m) {
    int rank[2];
    if (m->layer->n_in != 2) {
        refuse(m);
        return;
    }
    for (int k = 0; k < 2; k++) {
        rank[k] = cvi_ncnn_rank(m, m->in[k]);
        if (rank[k] < 3 || rank[k] > 5) {
            refuse(m);
            return;
        }
    }
    int most = CVI_MAX(rank[0], rank[1]), in[2];
    for (int k = 0; k < 2; k++) { /* a matrix against several: the same one for each */
        int64_t axes[CVS_MAX_RANK];
        for (int i = 0; i < most - rank[k]; i++) {
            axes[i] = i + 1;
        }
        in[k] = most > rank[k] ? cvi_ncnn_unsqueeze(m, k ? "second" : "first", m->in[k], most - rank[k], axes)
                               : m->in[k];
    }
    in[1] = cvi_ncnn_int(m, 0, 0) ? turned(m, "turned", in[1], most) : in[1];
    cvi_ncnn_put(m, 0, cvi_ncnn_op(m, "MatMul", NULL, 2, in));
}

typedef struct gemm {
    int64_t rows, columns, inner;
    int at; /* inputs taken */
} gemm;

/* A or B: from the file or the next input, as [.., rows, columns] without a turn. */
static int factor(ncnn *m, gemm *g, bool stored, bool turn, const char *part, const int64_t *dim) {
    if (stored) {
        const int64_t kept[3] = {1, turn ? dim[1] : dim[0], turn ? dim[0] : dim[1]};
        int v = cvi_ncnn_take(m, part, true, 3, kept);
        return turn ? turned(m, cvi_build_name(&m->b, "%s-turned", part), v, 3) : v;
    }
    int x = g->at < m->layer->n_in ? m->in[g->at] : -1;
    g->at++;
    if (x < 0 || cvi_ncnn_rank(m, x) != 3) {
        refuse(m);
        return -1;
    }
    return turn ? turned(m, cvi_build_name(&m->b, "%s-turned", part), x, 3) : x;
}

/* What is added: one number, one a row, one a column, or a matrix; -1: nothing. */
static int summand(ncnn *m, gemm *g, bool stored) {
    int64_t kind = cvi_ncnn_int(m, 10, 0);
    const int64_t dim[3] = {1, kind >= 1 && kind <= 3 ? g->rows : 1, kind >= 3 ? g->columns : 1};
    if (stored) {
        return kind < 0 ? -1 : cvi_ncnn_take(m, "summand", true, 3, dim);
    }
    int x = g->at < m->layer->n_in ? m->in[g->at++] : -1;
    if (x >= 0 && cvi_ncnn_rank(m, x) == 2) { /* as many as columns, else as rows */
        bool columns = cvi_ncnn_dim(m, x, 1) == g->columns;
        const int64_t axis = columns ? 1 : 2;
        x = cvi_ncnn_unsqueeze(m, "summand", x, 1, &axis);
    }
    return x;
}

void cvi_ncnn_gemm(ncnn *m) {
    gemm g = {
        .rows = cvi_ncnn_int(m, 7, 0), .columns = cvi_ncnn_int(m, 8, 0), .inner = cvi_ncnn_int(m, 9, 0)};
    bool a = cvi_ncnn_int(m, 4, 0) != 0, b = cvi_ncnn_int(m, 5, 0) != 0, c = cvi_ncnn_int(m, 6, 0) != 0;
    double alpha = cvi_ncnn_float(m, 0, 1), beta = cvi_ncnn_float(m, 1, 1);
    if (cvi_ncnn_int(m, 18, 0) || cvi_ncnn_int(m, 11, 0)) { /* bytes; another order of the result */
        refuse(m);
        return;
    }
    int in[2] = {factor(m, &g, a, cvi_ncnn_int(m, 2, 0) != 0, "first", (int64_t[]){g.rows, g.inner}), -1};
    in[1] = m->refused
                ? -1
                : factor(m, &g, b, cvi_ncnn_int(m, 3, 0) != 0, "second", (int64_t[]){g.inner, g.columns});
    if (m->refused) {
        return;
    }
    g.rows = g.rows > 0 ? g.rows : cvi_ncnn_dim(m, in[0], 1);
    g.columns = g.columns > 0 ? g.columns : cvi_ncnn_dim(m, in[1], 2);
    int add = summand(m, &g, c);
    bool scaled = alpha != 1, turn = cvi_ncnn_int(m, 14, 0) != 0;
    int v = cvi_ncnn_op(m, "MatMul", scaled || add >= 0 || turn ? "product" : NULL, 2, in);
    if (add >= 0) { /* alpha (A B + beta C) */
        add = beta != 1 ? cvi_ncnn_with(m, "Mul", "scaled-summand", add, "beta", beta) : add;
        v = cvi_ncnn_op(m, "Add", scaled || turn ? "sum" : NULL, 2, (int[]){v, add});
    }
    v = scaled ? cvi_ncnn_with(m, "Mul", turn ? "scaled" : NULL, v, "alpha", alpha) : v;
    cvi_ncnn_put(m, 0, turn ? turned(m, NULL, v, 3) : v);
}

/* ---- attention ---- */

/* softmax(q k' + mask) v of heads [N,H,L,E]; q is scaled. The result is a part, or the layer's own. */
static int attend(ncnn *m, int q, int k, int v, int mask, const char *part) {
    int s = cvi_ncnn_op(m, "MatMul", "scores", 2, (int[]){q, turned(m, "keys-turned", k, 4)});
    if (mask >= 0) {
        const int64_t one = 1;
        mask = cvi_ncnn_rank(m, mask) == 3 ? cvi_ncnn_unsqueeze(m, "mask", mask, 1, &one) : mask;
        s = cvi_ncnn_op(m, "Add", "masked", 2, (int[]){s, mask});
    }
    s = cvi_ncnn_op(m, "Softmax", "attention", 1, &s);
    cvi_build_int(&m->b, "axis", -1);
    return cvi_ncnn_op(m, "MatMul", part, 2, (int[]){s, v});
}

/* A dense layer on rows: weights [out,in] and a bias of the file. */
static int dense(ncnn *m, const char *part, int x, int64_t in, int64_t out, bool last) {
    int w = cvi_ncnn_take(m, cvi_build_name(&m->b, "%s-weight", part), true, 2, (int64_t[]){out, in});
    int b = cvi_ncnn_take(m, cvi_build_name(&m->b, "%s-bias", part), false, 1, &out);
    w = cvi_ncnn_transpose(m, cvi_build_name(&m->b, "%s-turned", part), w, 2, (int64_t[]){1, 0});
    x = cvi_ncnn_op(m, "MatMul", cvi_build_name(&m->b, "%s-product", part), 2, (int[]){x, w});
    return cvi_ncnn_op(m, "Add", last ? NULL : part, 2, (int[]){x, b});
}

static int heads_of(ncnn *m, const char *part, int x, int64_t heads, int64_t each) {
    x = cvi_ncnn_reshape(m, cvi_build_name(&m->b, "%s-cut", part), x, 4, (int64_t[]){0, 0, heads, each});
    return cvi_ncnn_transpose(m, cvi_build_name(&m->b, "%s-heads", part), x, 4, (int64_t[]){0, 2, 1, 3});
}

void cvi_ncnn_attention(ncnn *m) {
    int64_t width = cvi_ncnn_int(m, 0, 0), heads = cvi_ncnn_int(m, 1, 1), size = cvi_ncnn_int(m, 2, 0);
    int64_t keys = cvi_ncnn_int(m, 3, width), values = cvi_ncnn_int(m, 4, width);
    bool masked = cvi_ncnn_int(m, 5, 0) != 0;
    int n = m->layer->n_in - masked;
    if (width < 1 || heads < 1 || width % heads || size < width || size % width || n < 1 || n > 3 ||
        cvi_ncnn_int(m, 7, 0) || cvi_ncnn_int(m, 18, 0) || m->layer->n_out != 1) {
        refuse(m);
        return;
    }
    for (int k = 0; k < n; k++) {
        if (cvi_ncnn_rank(m, m->in[k]) != 3) {
            refuse(m);
            return;
        }
    }
    int key = m->in[n > 1 ? 1 : 0], value = m->in[n > 2 ? 2 : n > 1 ? 1 : 0];
    int64_t each = width / heads, wide = size / width;
    double scale = cvi_ncnn_float(m, 6, 1 / sqrt((double)each));
    int q = dense(m, "query", m->in[0], wide, width, false);
    q = cvi_ncnn_with(m, "Mul", "query-scaled", q, "scale", scale);
    q = heads_of(m, "query", q, heads, each);
    int k = heads_of(m, "key", dense(m, "key", key, keys, width, false), heads, each);
    int v = heads_of(m, "value", dense(m, "value", value, values, width, false), heads, each);
    int y = attend(m, q, k, v, masked ? m->in[n] : -1, "seen");
    y = cvi_ncnn_transpose(m, "seen-rows", y, 4, (int64_t[]){0, 2, 1, 3});
    y = cvi_ncnn_reshape(m, "joined", y, 3, (int64_t[]){0, 0, width});
    cvi_ncnn_put(m, 0, dense(m, "out", y, width, wide, true));
}

/* Attention whose dense layers stand outside. */
void cvi_ncnn_sdpa(ncnn *m) {
    bool masked = cvi_ncnn_int(m, 5, 0) != 0;
    double scale = cvi_ncnn_float(m, 6, 0);
    if (m->layer->n_in != 3 + masked || m->layer->n_out != 1 || cvi_ncnn_int(m, 7, 0) ||
        cvi_ncnn_int(m, 18, 0)) {
        refuse(m);
        return;
    }
    for (int k = 0; k < 3; k++) {
        if (cvi_ncnn_rank(m, m->in[k]) != 4 || cvi_ncnn_dim(m, m->in[k], 1) != cvi_ncnn_dim(m, m->in[0], 1)) {
            refuse(m);
            return;
        }
    }
    int64_t width = cvi_ncnn_dim(m, m->in[0], 3);
    if (width < 1) {
        refuse(m);
        return;
    }
    int q =
        cvi_ncnn_with(m, "Mul", "scaled", m->in[0], "scale", scale == 0 ? 1 / sqrt((double)width) : scale);
    cvi_ncnn_put(m, 0, attend(m, q, m->in[1], m->in[2], masked ? m->in[3] : -1, NULL));
}

/* Rows of a table. */
void cvi_ncnn_embed(ncnn *m) {
    int64_t out = cvi_ncnn_int(m, 0, 0), words = cvi_ncnn_int(m, 1, 0), size = 0;
    bool bias = cvi_ncnn_int(m, 2, 0) != 0;
    if (out < 1 || words < 1 || !cvi_mul(out, words, &size) || size != cvi_ncnn_int(m, 3, 0) ||
        cvi_ncnn_int(m, 18, 0)) {
        refuse(m);
        return;
    }
    int table = cvi_ncnn_take(m, "table", true, 2, (int64_t[]){words, out});
    int add = bias ? cvi_ncnn_take(m, "bias", false, 1, &out) : -1;
    int x = cvi_ncnn_op(m, "Cast", "numbers", 1, m->in);
    cvi_build_int(&m->b, "to", 7);
    int v = cvi_ncnn_op(m, "Gather", bias ? "rows" : NULL, 2, (int[]){table, x});
    cvi_ncnn_put(m, 0, bias ? cvi_ncnn_op(m, "Add", NULL, 2, (int[]){v, add}) : v);
}

/* SPDX-License-Identifier: MIT
 * dense.c - Gemm (dense layer) and MatMul with batches and broadcasting, both built on one strided product.
 */
#include "kernels/kernels.h"
#include "ops/product.h"
#include "ops/unit.h"

/* ---- Gemm: Y = alpha * op(A) op(B) + beta * C ------------------------------------------------------------ */

typedef struct gemm {
    bool ta, tb;
    double alpha, beta;
    int64_t M, N, K;
} gemm;

static void read_gemm(const cvi_opctx *ctx, gemm *g) {
    const cvs_tensor *a = ctx->in[0], *b = ctx->in[1];
    g->ta = cvi_op_int(ctx, "transA") != 0;
    g->tb = cvi_op_int(ctx, "transB") != 0;
    g->alpha = cvi_op_float(ctx, "alpha");
    g->beta = cvi_op_float(ctx, "beta");
    g->M = a->dim[g->ta ? 1 : 0];
    g->K = a->dim[g->ta ? 0 : 1];
    g->N = b->dim[g->tb ? 0 : 1];
}

static cvs_status gemm_infer(cvi_opctx *ctx) {
    const cvs_tensor *a = ctx->in[0], *b = ctx->in[1], *c = cvi_in(ctx, 2);
    char one[128], two[128];
    CVI_TRY(cvi_want_alike(ctx, 1, 2));
    cvs_shape_text(a->rank, a->dim, one, sizeof one);
    cvs_shape_text(b->rank, b->dim, two, sizeof two);
    if (a->rank != 2 || b->rank != 2) {
        return cvi_fail(ctx->err, CVS_E_SHAPE, "two matrices are needed, the shapes are %s and %s", one, two);
    }
    gemm g;
    read_gemm(ctx, &g);
    if (b->dim[g.tb ? 1 : 0] != g.K) {
        return cvi_fail(ctx->err, CVS_E_SHAPE,
                        "the matrices %s and %s do not fit: the first has %lld columns, the second %lld rows",
                        one, two, (long long)g.K, (long long)b->dim[g.tb ? 1 : 0]);
    }
    int64_t dim[2] = {g.M, g.N};
    bool fits = c == NULL || c->rank <= 2;
    for (int i = 1; fits && c != NULL && i <= c->rank; i++) {
        fits = c->dim[c->rank - i] == 1 || c->dim[c->rank - i] == dim[2 - i];
    }
    if (!fits) {
        return cvi_fail(ctx->err, CVS_E_SHAPE, "C of shape %s cannot be broadcast to %s",
                        cvs_shape_text(c->rank, c->dim, one, sizeof one),
                        cvs_shape_text(2, dim, two, sizeof two));
    }
    return cvi_out_shape(ctx, 0, a->dtype, 2, dim);
}

/* Where element (m,n) of C lies: c[m*row + n*col], 0 along broadcast axes. */
static void broadcast_strides(const cvs_tensor *c, int64_t *row, int64_t *col) {
    int64_t n = c->rank > 0 ? c->dim[c->rank - 1] : 1, m = c->rank > 1 ? c->dim[0] : 1;
    *col = n == 1 ? 0 : 1;
    *row = m == 1 ? 0 : n;
}

CVI_INLINE void put_c(const cvi_opctx *ctx, const gemm *g, cvs_dtype type) {
    const cvs_tensor *c = cvi_in(ctx, 2);
    int64_t row, col;
    broadcast_strides(c, &row, &col);
    for (int64_t m = 0; m < g->M; m++) {
        for (int64_t n = 0; n < g->N; n++) {
            cvi_store(ctx->out[0].data, m * g->N + n, g->beta * cvi_load(c->data, m * row + n * col, type),
                      type);
        }
    }
}

static cvi_product gemm_product(const cvi_opctx *ctx, const gemm *g) {
    return (cvi_product){.dtype = ctx->in[0]->dtype,
                         .M = g->M,
                         .N = g->N,
                         .K = g->K,
                         .alpha = g->alpha,
                         .a = ctx->in[0]->data,
                         .b = ctx->in[1]->data,
                         .a_row = g->ta ? 1 : g->K,
                         .a_col = g->ta ? g->M : 1,
                         .b_row = g->tb ? 1 : g->N,
                         .b_col = g->tb ? g->K : 1,
                         .out = ctx->out[0].data};
}

static cvs_status gemm_forward(cvi_opctx *ctx) {
    gemm g;
    read_gemm(ctx, &g);
    cvi_product p = gemm_product(ctx, &g);
    if (cvi_in(ctx, 2) != NULL && g.beta != 0) {
        CVI_TYPED(p.dtype, put_c, ctx, &g);
        p.add = true;
    }
    cvi_product_plain(&p, ctx->pool);
    return CVS_OK;
}

static bool dense_can_fast(const cvi_opctx *ctx) {
    return ctx->in[0]->dtype == CVS_F32 && ctx->in[1]->dtype == CVS_F32;
}

static cvs_status gemm_fast(cvi_opctx *ctx) {
    gemm g;
    read_gemm(ctx, &g);
    cvi_product p = gemm_product(ctx, &g);
    if (cvi_in(ctx, 2) != NULL && g.beta != 0) {
        put_c(ctx, &g, CVS_F32);
        p.add = true;
    }
    CVI_TRY(cvi_product_run(ctx, &p));
    cvi_epilogue_finish(ctx);
    return CVS_OK;
}

/* Rows of A are samples. */
static bool gemm_apart(const cvi_opctx *ctx) {
    return cvi_op_int(ctx, "transA") == 0;
}

/* gC += beta * g, summed along broadcast axes. */
CVI_INLINE void gradient_c(const cvi_opctx *ctx, const gemm *g, const void *grad, void *gc, cvs_dtype type) {
    int64_t row, col;
    broadcast_strides(ctx->in[2], &row, &col);
    for (int64_t n = 0; n < (col != 0 ? g->N : 1); n++) {
        for (int64_t m = 0; m < (row != 0 ? g->M : 1); m++) {
            double sum = 0;
            for (int64_t i = m; i < (row != 0 ? m + 1 : g->M); i++) {
                for (int64_t k = n; k < (col != 0 ? n + 1 : g->N); k++) {
                    sum += cvi_load(grad, i * g->N + k, type);
                }
            }
            cvi_accumulate(gc, m * row + n * col, g->beta * sum, type);
        }
    }
}

static cvs_status gemm_backward(cvi_opctx *ctx, cvi_rule rule, const cvs_tensor *const *grad_out,
                                cvs_tensor *const *grad_in) {
    (void)rule;
    gemm g;
    read_gemm(ctx, &g);
    if (grad_out[0] == NULL) {
        return CVS_OK;
    }
    const void *go = grad_out[0]->data;
    cvi_product f = gemm_product(ctx, &g);
    if (grad_in[0] != NULL) { /* gA = g op(B)', stored transposed when A was */
        cvi_product p = {.dtype = f.dtype, .alpha = g.alpha, .out = grad_in[0]->data, .add = true};
        if (!g.ta) {
            p.M = g.M, p.N = g.K, p.K = g.N;
            p.a = go, p.a_row = g.N, p.a_col = 1;
            p.b = f.b, p.b_row = f.b_col, p.b_col = f.b_row;
        } else {
            p.M = g.K, p.N = g.M, p.K = g.N;
            p.a = f.b, p.a_row = f.b_row, p.a_col = f.b_col;
            p.b = go, p.b_row = 1, p.b_col = g.N;
        }
        CVI_TRY(cvi_product_run(ctx, &p));
    }
    if (grad_in[1] != NULL) { /* gB = op(A)' g, stored transposed when B was */
        cvi_product p = {.dtype = f.dtype, .alpha = g.alpha, .out = grad_in[1]->data, .add = true};
        if (!g.tb) {
            p.M = g.K, p.N = g.N, p.K = g.M;
            p.a = f.a, p.a_row = f.a_col, p.a_col = f.a_row;
            p.b = go, p.b_row = g.N, p.b_col = 1;
        } else {
            p.M = g.N, p.N = g.K, p.K = g.M;
            p.a = go, p.a_row = 1, p.a_col = g.N;
            p.b = f.a, p.b_row = f.a_row, p.b_col = f.a_col;
        }
        CVI_TRY(cvi_product_run(ctx, &p));
    }
    if (ctx->n_in > 2 && grad_in[2] != NULL) {
        CVI_TYPED(f.dtype, gradient_c, ctx, &g, go, grad_in[2]->data);
    }
    return CVS_OK;
}

/* ---- fast backward: one picture reads the weights in place --------------------------------------------- */

static bool gemm_back_form(const cvi_opctx *ctx, const bool *wants, cvi_back_form *form) {
    form->in = wants[1] ? 1 : 0;
    return ctx->in[0]->dtype == CVS_F32;
}

/* grad_in[k] = base + what `backward` adds, for one input. */
static void lay_base(const cvi_back *back, int k) {
    cvs_tensor *t = back->grad_in[k];
    if (t != NULL && back->base[k] == NULL) {
        memset(t->data, 0, t->bytes);
    } else if (t != NULL && back->base[k] != t->data) {
        memcpy(t->data, back->base[k], t->bytes);
    }
}

static cvs_status gemm_back(cvi_opctx *ctx, const cvi_back *back) {
    gemm g;
    read_gemm(ctx, &g);
    if (back->grad_out[0] == NULL) {
        return CVS_OK;
    }
    cvs_tensor *grad_in[3] = {back->grad_in[0], back->grad_in[1], ctx->n_in > 2 ? back->grad_in[2] : NULL};
    if (grad_in[0] != NULL && g.M == 1 && g.tb && g.N > 0 && g.K > 0) {
        int64_t bytes = cvi_row_product_scratch(g.N, g.K);
        void *scratch = cvi_arena_raw(ctx->scratch, bytes);
        if (scratch == NULL) {
            return cvi_no_memory(ctx->err, (size_t)bytes);
        }
        cvi_row_product(ctx->pool, g.N, g.K, (float)g.alpha, back->grad_out[0]->data, ctx->in[1]->data, g.K,
                        back->base[0], grad_in[0]->data, scratch);
        grad_in[0] = NULL;
    }
    for (int k = 0; k < 3; k++) {
        if (grad_in[k] != NULL) {
            lay_base(back, k);
        }
    }
    return gemm_backward(ctx, back->rule, back->grad_out, grad_in);
}

static void gemm_cost(const cvi_opctx *ctx, cvi_cost *cost) {
    gemm g;
    read_gemm(ctx, &g);
    int64_t outputs = cvs_tensor_count(&ctx->out[0]);
    if (!cvi_mul(outputs, g.K, &cost->macs)) {
        cost->macs = INT64_MAX;
    }
    cost->flops = cvi_in(ctx, 2) != NULL ? outputs : 0;
}

static cvs_status gemm_unit(cvi_opctx *ctx, int64_t at, cvs_unit *unit) {
    gemm g;
    read_gemm(ctx, &g);
    int64_t m = at / g.N, n = at % g.N, row, col;
    unit->kind = CVS_UNIT_SUM;
    if (cvi_in(ctx, 2) != NULL) {
        broadcast_strides(ctx->in[2], &row, &col);
        unit->bias = g.beta * cvi_get(ctx->in[2], m * row + n * col);
    }
    for (int64_t k = 0; k < g.K; k++) {
        int64_t a = g.ta ? k * g.M + m : m * g.K + k, b = g.tb ? n * g.K + k : k * g.N + n;
        cvi_unit_add(unit, 0, a, b, cvi_get(ctx->in[0], a), g.alpha * cvi_get(ctx->in[1], b));
    }
    return CVS_OK;
}

/* A batch [.., K] times one matrix [K, N], as dense layers are; other products are followed by the gradient. */
static cvs_status matmul_unit(cvi_opctx *ctx, int64_t at, cvs_unit *unit) {
    const cvs_tensor *b = ctx->in[1];
    if (b->rank != 2 || ctx->in[0]->rank < 2) {
        return CVS_OK;
    }
    int64_t K = b->dim[0], N = b->dim[1];
    unit->kind = CVS_UNIT_SUM;
    for (int64_t k = 0; k < K; k++) {
        int64_t a = at / N * K + k, w = k * N + at % N;
        cvi_unit_add(unit, 0, a, w, cvi_get(ctx->in[0], a), cvi_get(b, w));
    }
    return CVS_OK;
}

static void dense_field(const cvi_opctx *ctx, cvi_field_step *step) {
    (void)ctx;
    step->kind = CVI_FIELD_ALL;
}

/* ---- MatMul: the last two axes are matrices, the others broadcast ------------------------------------------ */

typedef struct batch {
    int64_t M, N, K, count;
    int rank;                                                              /* of the batch axes */
    int64_t dim[CVS_MAX_RANK], a_step[CVS_MAX_RANK], b_step[CVS_MAX_RANK]; /* steps in matrices */
} batch;

/* How far one batch axis moves in an operand, 0 where it is broadcast. */
static void batch_steps(const cvs_tensor *t, int rank, int64_t *step) {
    int own = CVI_MAX(t->rank - 2, 0);
    int64_t s = 1;
    for (int i = rank - 1; i >= 0; i--) {
        int at = i - (rank - own);
        step[i] = at < 0 || t->dim[at] == 1 ? 0 : s;
        s *= at < 0 ? 1 : t->dim[at];
    }
}

static cvs_status read_batch(const cvi_opctx *ctx, batch *b) {
    const cvs_tensor *x = ctx->in[0], *y = ctx->in[1];
    char one[128], two[128];
    cvs_shape_text(x->rank, x->dim, one, sizeof one);
    cvs_shape_text(y->rank, y->dim, two, sizeof two);
    if (x->rank < 1 || y->rank < 1) {
        return cvi_fail(ctx->err, CVS_E_SHAPE, "two matrices are needed, the shapes are %s and %s", one, two);
    }
    *b = (batch){.M = x->rank > 1 ? x->dim[x->rank - 2] : 1,
                 .K = x->dim[x->rank - 1],
                 .N = y->rank > 1 ? y->dim[y->rank - 1] : 1,
                 .count = 1};
    int64_t rows = y->rank > 1 ? y->dim[y->rank - 2] : y->dim[0];
    if (rows != b->K) {
        return cvi_fail(ctx->err, CVS_E_SHAPE,
                        "the matrices %s and %s do not fit: the first has %lld columns, the second %lld rows",
                        one, two, (long long)b->K, (long long)rows);
    }
    int nx = CVI_MAX(x->rank - 2, 0), ny = CVI_MAX(y->rank - 2, 0);
    b->rank = CVI_MAX(nx, ny);
    for (int i = 0; i < b->rank; i++) {
        int64_t dx = i < b->rank - nx ? 1 : x->dim[i - (b->rank - nx)];
        int64_t dy = i < b->rank - ny ? 1 : y->dim[i - (b->rank - ny)];
        if (dx != dy && dx != 1 && dy != 1) {
            return cvi_fail(ctx->err, CVS_E_SHAPE, "shapes %s and %s cannot be broadcast together", one, two);
        }
        b->dim[i] = dx == 1 ? dy : dx;
        if (!cvi_mul(b->count, b->dim[i], &b->count)) {
            return cvi_fail(ctx->err, CVS_E_LIMIT, "the output would be too large: %s", one);
        }
    }
    batch_steps(x, b->rank, b->a_step);
    batch_steps(y, b->rank, b->b_step);
    return CVS_OK;
}

static cvs_status matmul_infer(cvi_opctx *ctx) {
    batch b;
    CVI_TRY(cvi_want_alike(ctx, 1, 1));
    CVI_TRY(read_batch(ctx, &b));
    int64_t dim[CVS_MAX_RANK];
    int rank = b.rank;
    memcpy(dim, b.dim, sizeof dim);
    if (ctx->in[0]->rank > 1) {
        dim[rank++] = b.M;
    }
    if (ctx->in[1]->rank > 1) {
        dim[rank++] = b.N;
    }
    return cvi_out_shape(ctx, 0, ctx->in[0]->dtype, rank, dim);
}

/* Dimension 0 is a row, or a batch of both. */
static bool matmul_apart(const cvi_opctx *ctx) {
    return ctx->in[0]->rank >= 2 && (ctx->in[1]->rank == 2 || ctx->in[1]->rank == ctx->in[0]->rank);
}

/* Which matrix of each operand batch element i takes. */
static void locate(const batch *b, int64_t i, int64_t *x, int64_t *y) {
    *x = *y = 0;
    for (int k = b->rank - 1; k >= 0; k--) {
        int64_t at = i % b->dim[k];
        i /= b->dim[k];
        *x += at * b->a_step[k];
        *y += at * b->b_step[k];
    }
}

static const void *at(const void *base, int64_t i, cvs_dtype type) {
    return (const char *)base + i * (int64_t)cvs_dtype_size(type);
}

static cvi_product matrix(const cvi_opctx *ctx, const batch *b, int64_t i) {
    int64_t x, y;
    cvs_dtype type = ctx->in[0]->dtype;
    locate(b, i, &x, &y);
    return (cvi_product){.dtype = type,
                         .M = b->M,
                         .N = b->N,
                         .K = b->K,
                         .alpha = 1,
                         .a = at(ctx->in[0]->data, x * b->M * b->K, type),
                         .a_row = b->K,
                         .a_col = 1,
                         .b = at(ctx->in[1]->data, y * b->K * b->N, type),
                         .b_row = b->N,
                         .b_col = 1};
}

static cvs_status matmul_forward(cvi_opctx *ctx) {
    batch b;
    CVI_TRY(read_batch(ctx, &b));
    for (int64_t i = 0; i < b.count; i++) {
        cvi_product p = matrix(ctx, &b, i);
        p.out = (char *)ctx->out[0].data + i * b.M * b.N * (int64_t)cvs_dtype_size(p.dtype);
        cvi_product_plain(&p, ctx->pool);
    }
    return CVS_OK;
}

/* One matrix on the right: all matrices on the left are one tall one. */
static cvs_status matmul_fast(cvi_opctx *ctx) {
    batch b;
    CVI_TRY(read_batch(ctx, &b));
    bool tall = ctx->in[1]->rank <= 2 && b.count > 0;
    for (int64_t i = 0; i < (tall ? 1 : b.count); i++) {
        cvi_product p = matrix(ctx, &b, i);
        p.M = tall ? b.M * b.count : b.M;
        p.out = (float *)ctx->out[0].data + i * b.M * b.N;
        CVI_TRY(cvi_product_run(ctx, &p));
        cvi_arena_reset(ctx->scratch);
    }
    return CVS_OK;
}

static cvs_status matmul_backward(cvi_opctx *ctx, cvi_rule rule, const cvs_tensor *const *grad_out,
                                  cvs_tensor *const *grad_in) {
    (void)rule;
    batch b;
    CVI_TRY(read_batch(ctx, &b));
    if (grad_out[0] == NULL) {
        return CVS_OK;
    }
    for (int64_t i = 0; i < b.count; i++) {
        int64_t x, y;
        locate(&b, i, &x, &y);
        cvi_product f = matrix(ctx, &b, i);
        int64_t size = (int64_t)cvs_dtype_size(f.dtype);
        const char *g = (const char *)grad_out[0]->data + i * b.M * b.N * size;
        if (grad_in[0] != NULL) {
            cvi_product p = {.dtype = f.dtype,
                             .M = b.M,
                             .N = b.K,
                             .K = b.N,
                             .alpha = 1,
                             .a = g,
                             .a_row = b.N,
                             .a_col = 1,
                             .b = f.b,
                             .b_row = 1,
                             .b_col = b.N,
                             .add = true};
            p.out = (char *)grad_in[0]->data + x * b.M * b.K * size;
            CVI_TRY(cvi_product_run(ctx, &p));
        }
        if (grad_in[1] != NULL) {
            cvi_product p = {.dtype = f.dtype,
                             .M = b.K,
                             .N = b.N,
                             .K = b.M,
                             .alpha = 1,
                             .a = f.a,
                             .a_row = 1,
                             .a_col = b.K,
                             .b = g,
                             .b_row = b.N,
                             .b_col = 1,
                             .add = true};
            p.out = (char *)grad_in[1]->data + y * b.K * b.N * size;
            CVI_TRY(cvi_product_run(ctx, &p));
        }
    }
    return CVS_OK;
}

static void matmul_cost(const cvi_opctx *ctx, cvi_cost *cost) {
    const cvs_tensor *x = ctx->in[0];
    if (!cvi_mul(cvs_tensor_count(&ctx->out[0]), x->dim[x->rank - 1], &cost->macs)) {
        cost->macs = INT64_MAX;
    }
}

/* ---- descriptors ----------------------------------------------------------------------------------------- */

static const cvi_op_io gemm_in[] = {
    {"A", CVI_DATA, false, false}, {"B", CVI_WEIGHT, false, false}, {"C", CVI_BIAS, true, false}};
static const cvi_op_io dense_out[] = {{"Y", CVI_DATA, false, false}};
static const cvi_op_attr gemm_attrs[] = {
    {"alpha", CVI_ATTR_FLOAT, "1", "any", "factor on the product", "乘积的系数"},
    {"beta", CVI_ATTR_FLOAT, "1", "any", "factor on C", "C 的系数"},
    {"transA", CVI_ATTR_INT, "0", "0|1", "1: A is stored transposed", "取 1 时 A 以转置形式存放"},
    {"transB", CVI_ATTR_INT, "0", "0|1", "1: B is stored transposed, one row per unit",
     "取 1 时 B 以转置形式存放，每行对应一个单元"},
};

const cvi_op cvi_op_gemm = {
    .name = "Gemm",
    .word_en = "dense",
    .word_zh = "全连接",
    .since = 7,
    .inputs = gemm_in,
    .n_inputs = CVI_COUNT(gemm_in),
    .outputs = dense_out,
    .n_outputs = CVI_COUNT(dense_out),
    .attrs = gemm_attrs,
    .n_attrs = CVI_COUNT(gemm_attrs),
    .glyph = CVI_GLYPH_DENSE,
    .infer = gemm_infer,
    .forward = gemm_forward,
    .any_type = true,
    .can_fast = dense_can_fast,
    .fast_layout = CVS_PLAIN,
    .fast = gemm_fast,
    .epilogue = CVI_EPI_ADD | CVI_EPI_CLAMP,
    .apart = gemm_apart,
    .unit = gemm_unit,
    .backward = gemm_backward,
    .back_form = gemm_back_form,
    .back_fast = gemm_back,
    .cost = gemm_cost,
    .field = dense_field,
    .text = {"Dense layer", "全连接层", "Every unit adds up all inputs, each times a weight of its own.",
             "每个单元把所有输入各乘一个自己的权重后相加。", "y[n,k] = α·Σ a[n,c]·b[c,k] + β·c[k]",
             "One bar per unit: long to the right votes for it, to the left against it.",
             "每个单元对应一根条：向右越长越支持，向左越长越反对。"},
};

static const cvi_op_io matmul_in[] = {{"A", CVI_DATA, false, false}, {"B", CVI_WEIGHT, false, false}};

const cvi_op cvi_op_matmul = {
    .name = "MatMul",
    .word_en = "matmul",
    .word_zh = "矩阵乘",
    .since = 1,
    .inputs = matmul_in,
    .n_inputs = CVI_COUNT(matmul_in),
    .outputs = dense_out,
    .n_outputs = CVI_COUNT(dense_out),
    .glyph = CVI_GLYPH_DENSE,
    .infer = matmul_infer,
    .forward = matmul_forward,
    .any_type = true,
    .can_fast = dense_can_fast,
    .fast_layout = CVS_PLAIN,
    .fast = matmul_fast,
    .apart = matmul_apart,
    .unit = matmul_unit,
    .backward = matmul_backward,
    .cost = matmul_cost,
    .field = dense_field,
    .text = {"Matrix product", "矩阵乘法",
             "Multiplies two matrices: every output is the sum of a row times a column.",
             "两个矩阵相乘：每个输出是一行与一列对应相乘之和。", "y[…,i,j] = Σ a[…,i,k]·b[…,k,j]",
             "Each column of the result is one mixture of the input's columns.",
             "结果的每一列都是输入各列的一种加权混合。"},
};

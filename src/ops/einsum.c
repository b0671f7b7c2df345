/* SPDX-License-Identifier: MIT
 * einsum.c - Einsum: products of tensors named by letters, summed over the letters that the result lacks ("bij,bjk->bik"), as numpy.einsum:
 * an ellipsis stands for leading axes that broadcast, a letter twice in one operand for its diagonal. Every operand becomes a set of steps
 * along the letters, so one loop serves all equations.
 */
#include "ops/walk.h"

enum {
    MAX_OPERANDS = 16,
    MAX_LABELS = 64,
    DOTS = 52 /* labels from here on are axes of the ellipsis, the last axis first */
};

typedef struct einsum {
    int operands, n_out, n_sum;
    int64_t size[MAX_LABELS];
    bool used[MAX_LABELS];
    int out[CVS_MAX_RANK], sum[MAX_LABELS];
    int64_t step[MAX_OPERANDS][MAX_LABELS]; /* of an operand along a label, in elements */
    int64_t sums;
    const cvs_tensor *in[MAX_OPERANDS];
} einsum;

static cvs_status wrong(const cvi_opctx *ctx, const char *equation) {
    return cvi_at_attr(
        ctx->err,
        cvi_fail(ctx->err, CVS_E_SHAPE, "the equation \"%.100s\" does not fit the inputs", equation),
        "equation");
}

static int label_of(char c) {
    return c >= 'a' && c <= 'z' ? c - 'a' : c >= 'A' && c <= 'Z' ? c - 'A' + 26 : -1;
}

/* Labels of one term up to `,` or `-` or the end: list of labels, the ellipsis as -1. false: no such term. */
static bool read_term(const char **at, int *labels, int *n, bool *dots) {
    *n = 0;
    *dots = false;
    for (; **at && **at != ',' && **at != '-'; ++*at) {
        if (**at == ' ') {
            continue;
        }
        int label = label_of(**at);
        if (label < 0) {
            if (strncmp(*at, "...", 3) != 0 || *dots) {
                return false;
            }
            *at += 2;
            *dots = true;
        }
        if (*n == 2 * CVS_MAX_RANK) {
            return false;
        }
        labels[(*n)++] = label;
    }
    return true;
}

/* Binds the axes of operand k to labels; an ellipsis takes the axes that letters leave, counted from its end. */
static bool bind_operand(einsum *e, int k, const int *labels, int n, bool dots) {
    const cvs_tensor *t = e->in[k];
    int64_t stride[CVS_MAX_RANK];
    int extra = t->rank - (n - dots), axis = 0;
    if (extra < 0 || (extra > 0 && !dots)) {
        return false;
    }
    cvi_strides(t->rank, t->dim, stride);
    for (int i = 0; i < n; i++) {
        int many = labels[i] < 0 ? extra : 1;
        for (int m = 0; m < many; m++, axis++) {
            int label = labels[i] < 0 ? DOTS + extra - 1 - m : labels[i];
            int64_t side = t->dim[axis];
            if (e->used[label] && side != e->size[label] && side != 1 && e->size[label] != 1) {
                return false;
            }
            e->size[label] = !e->used[label] || e->size[label] == 1 ? side : e->size[label];
            e->used[label] = true;
            e->step[k][label] += side == 1 ? 0 : stride[axis];
        }
    }
    return true;
}

/* The result's labels: as the equation says after "->", else the ellipsis and every letter that stands once, in order. */
static bool read_result(einsum *e, const char *at, const int *times) {
    int labels[2 * CVS_MAX_RANK], n = 0;
    bool dots = true, explicit_out = at[0] == '-';
    if (explicit_out) {
        if (at[1] != '>') {
            return false;
        }
        at += 2;
        if (!read_term(&at, labels, &n, &dots) || *at) {
            return false;
        }
    } else if (*at) {
        return false;
    } else {
        labels[n++] = -1;
        static const char order[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
        for (int i = 0; order[i] && n < 2 * CVS_MAX_RANK; i++) {
            if (times[label_of(order[i])] == 1) {
                labels[n++] = label_of(order[i]);
            }
        }
    }
    bool seen[MAX_LABELS] = {false};
    for (int i = 0; i < n; i++) {
        for (int d = labels[i] < 0 ? MAX_LABELS - 1 : labels[i]; d >= (labels[i] < 0 ? DOTS : labels[i]);
             d--) {
            if (labels[i] < 0 && !e->used[d]) {
                continue;
            }
            if (!e->used[d] || seen[d] || e->n_out == CVS_MAX_RANK) {
                return false;
            }
            seen[d] = true;
            e->out[e->n_out++] = d;
        }
    }
    for (int d = 0; d < MAX_LABELS; d++) {
        if (e->used[d] && !seen[d]) {
            e->sum[e->n_sum++] = d;
        }
    }
    return true;
}

static cvs_status read_equation(const cvi_opctx *ctx, einsum *e) {
    const char *equation = cvi_op_string(ctx, "equation"), *at = equation;
    int times[MAX_LABELS] = {0};
    *e = (einsum){.operands = ctx->n_in, .sums = 1};
    if (ctx->n_in > MAX_OPERANDS) {
        return wrong(ctx, equation);
    }
    for (int k = 0; k < ctx->n_in; k++) {
        int labels[2 * CVS_MAX_RANK], n;
        bool dots;
        e->in[k] = ctx->in[k];
        if (ctx->in[k] == NULL || (k > 0 && *at++ != ',') || !read_term(&at, labels, &n, &dots) ||
            !bind_operand(e, k, labels, n, dots)) {
            return wrong(ctx, equation);
        }
        for (int i = 0; i < n; i++) {
            times[labels[i] < 0 ? DOTS : labels[i]]++;
        }
    }
    if (!read_result(e, at, times)) {
        return wrong(ctx, equation);
    }
    for (int i = 0; i < e->n_sum; i++) {
        if (!cvi_mul(e->sums, e->size[e->sum[i]], &e->sums)) {
            return wrong(ctx, equation);
        }
    }
    return CVS_OK;
}

static cvs_status infer_einsum(cvi_opctx *ctx) {
    einsum e;
    int64_t dim[CVS_MAX_RANK];
    CVI_TRY(cvi_want_alike(ctx, 1, ctx->n_in - 1));
    CVI_TRY(read_equation(ctx, &e));
    for (int i = 0; i < e.n_out; i++) {
        dim[i] = e.size[e.out[i]];
    }
    return cvi_out_shape(ctx, 0, ctx->in[0]->dtype, e.n_out, dim);
}

/* Offsets of all operands at number `index` of the labels in `list`. */
static void offsets_at(const einsum *e, const int *list, int n, int64_t index, int64_t *offset) {
    for (int i = n - 1; i >= 0; i--) {
        int64_t side = CVI_MAX(e->size[list[i]], 1), v = index % side;
        index /= side;
        for (int k = 0; k < e->operands; k++) {
            offset[k] += v * e->step[k][list[i]];
        }
    }
}

typedef struct einsum_job {
    const einsum *e;
    const cvs_tensor *y;
} einsum_job;

CVI_INLINE void einsum_rows(const einsum_job *j, int64_t begin, int64_t end, cvs_dtype type) {
    const einsum *e = j->e;
    int64_t inner = e->n_sum > 0 ? e->size[e->sum[e->n_sum - 1]] : 1;
    int last = e->n_sum > 0 ? e->sum[e->n_sum - 1] : 0;
    for (int64_t row = begin; row < end; row++) {
        int64_t base[MAX_OPERANDS] = {0};
        double total = 0;
        offsets_at(e, e->out, e->n_out, row, base);
        for (int64_t s = 0; s < e->sums; s += inner) {
            int64_t at[MAX_OPERANDS];
            memcpy(at, base, sizeof at);
            offsets_at(e, e->sum, e->n_sum, s, at);
            int64_t sa = e->n_sum > 0 ? e->step[0][last] : 0, sb = e->n_sum > 0 ? e->step[1][last] : 0;
            for (int64_t i = 0; i < inner; i++) {
                double v = cvi_load(e->in[0]->data, at[0] + i * sa, type);
                if (e->operands > 1) {
                    v *= cvi_load(e->in[1]->data, at[1] + i * sb, type);
                }
                for (int k = 2; k < e->operands; k++) {
                    v *= cvi_load(e->in[k]->data, at[k] + i * (e->n_sum > 0 ? e->step[k][last] : 0), type);
                }
                total += v;
            }
        }
        cvi_store(j->y->data, row, total, type);
    }
}

static void einsum_body(void *context, int64_t begin, int64_t end) {
    const einsum_job *j = context;
    CVI_TYPED(j->y->dtype, einsum_rows, j, begin, end);
}

static cvs_status forward_einsum(cvi_opctx *ctx) {
    einsum e;
    CVI_TRY(read_equation(ctx, &e));
    einsum_job j = {&e, &ctx->out[0]};
    if (e.sums == 0 && ctx->out[0].bytes > 0) {
        memset(ctx->out[0].data, 0, ctx->out[0].bytes);
        return CVS_OK;
    }
    cvi_each_rows(ctx, cvs_tensor_count(&ctx->out[0]), e.sums, &j, einsum_body);
    return CVS_OK;
}

/* For each product its gradient times the other operands. */
static cvs_status backward_einsum(cvi_opctx *ctx, cvi_rule rule, const cvs_tensor *const *grad_out,
                                  cvs_tensor *const *grad_in) {
    (void)rule;
    einsum e;
    double *sum[MAX_OPERANDS] = {NULL};
    if (grad_out[0] == NULL) {
        return CVS_OK;
    }
    CVI_TRY(read_equation(ctx, &e));
    for (int k = 0; k < e.operands; k++) {
        if (grad_in[k] != NULL) {
            CVI_TRY(cvi_sum_new(ctx, grad_in[k], &sum[k]));
        }
    }
    int64_t rows = cvs_tensor_count(grad_out[0]);
    for (int64_t row = 0; row < rows; row++) {
        int64_t base[MAX_OPERANDS] = {0};
        double g = cvi_get(grad_out[0], row), v[MAX_OPERANDS];
        offsets_at(&e, e.out, e.n_out, row, base);
        for (int64_t s = 0; s < e.sums; s++) {
            int64_t at[MAX_OPERANDS];
            memcpy(at, base, sizeof at);
            offsets_at(&e, e.sum, e.n_sum, s, at);
            for (int k = 0; k < e.operands; k++) {
                v[k] = cvi_get(e.in[k], at[k]);
            }
            for (int k = 0; k < e.operands; k++) {
                double others = g;
                for (int m = 0; m < e.operands; m++) {
                    others *= m == k ? 1 : v[m];
                }
                if (sum[k] != NULL) {
                    sum[k][at[k]] += others;
                }
            }
        }
    }
    for (int k = 0; k < e.operands; k++) {
        if (sum[k] != NULL) {
            cvi_sum_add(grad_in[k], sum[k]);
        }
    }
    return CVS_OK;
}

static void cost_einsum(const cvi_opctx *ctx, cvi_cost *cost) {
    einsum e;
    cvi_opctx quiet = *ctx;
    quiet.err = NULL;
    int64_t n = cvs_tensor_count(&ctx->out[0]), macs = 0;
    if (read_equation(&quiet, &e) == CVS_OK && cvi_mul(n, e.sums, &macs) && macs > 0) {
        cost->macs = macs;
    }
}

static const cvi_op_io einsum_in[] = {{"Inputs", CVI_DATA, false, true}};
static const cvi_op_io einsum_out[] = {{"Output", CVI_DATA, false, false}};
static const cvi_op_attr einsum_attrs[] = {
    {"equation", CVI_ATTR_STRING, NULL, "letters, commas, ->",
     "the axes of every input and of the result, a letter each", "各输入与结果的轴，每轴一个字母"},
};

const cvi_op cvi_op_einsum = {
    .name = "Einsum",
    .since = 12,
    .inputs = einsum_in,
    .n_inputs = 1,
    .outputs = einsum_out,
    .n_outputs = 1,
    .attrs = einsum_attrs,
    .n_attrs = 1,
    .glyph = CVI_GLYPH_DENSE,
    .word_en = "einsum",
    .word_zh = "爱因斯坦求和",
    .infer = infer_einsum,
    .forward = forward_einsum,
    .backward = backward_einsum,
    .cost = cost_einsum,
    .field = cvi_field_all,
    .text = {"Einstein sum", "爱因斯坦求和",
             "Multiplies tensors along named axes and sums over those that the result lacks.",
             "沿命名的轴把张量相乘，并对结果中没有的轴求和。", "ij,jk→ik: y[i,k] = Σ_j a[i,j]·b[j,k]",
             "How well rows of one input match those of the other.",
             "一个输入的各行与另一个输入的各行有多匹配。"},
};

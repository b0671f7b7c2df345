/* SPDX-License-Identifier: MIT
 * attention.c - Attention: scaled dot products of queries with keys, a softmax over the keys, and the values weighted by it; heads that share
 * keys, a cache of earlier keys and values, masks, causal order, windows and a soft cap (ONNX opset 23 to 25). Every step is rounded to the
 * element type that it has in ONNX's own function body, which matters for 16 bits.
 */
#include <math.h>

#include "ops/walk.h"
#include "tensor/half.h"

enum { Q, K, V, MASK, PAST_K, PAST_V, LENGTHS };

typedef struct attention {
    int64_t batch, heads, kv_heads, queries, keys, past, size, value_size; /* keys: with the past ones */
    int64_t work;                                                          /* products of all */
    bool packed; /* [N,S,heads*size] instead of [N,heads,S,size] */
    double root, cap;
    int mode;
    bool causal;
    int64_t left, right;
    cvs_dtype type, inner; /* of the result; of the softmax */
    int64_t mask_step[4], mask_keys;
} attention;

static double rounded(double v, cvs_dtype type) {
    switch (type) {
    case CVS_F64:
        return v;
    case CVS_F16:
        return (double)cvi_half_to_float(cvi_float_to_half((float)v));
    case CVS_BF16:
        return (double)cvi_bfloat_to_float(cvi_float_to_bfloat((float)v));
    default:
        return (double)(float)v;
    }
}

static cvs_status misfit(const cvi_opctx *ctx, int k) {
    char text[128];
    const cvs_tensor *t = ctx->in[k];
    return cvi_fail(ctx->err, CVS_E_SHAPE, "input %s of shape %s does not fit the queries",
                    cvi_input_name(ctx, k), cvs_shape_text(t->rank, t->dim, text, sizeof text));
}

/* Heads, length and size of input k, by its own layout. */
static bool parts_of(const cvs_tensor *t, int64_t heads, int64_t *n, int64_t *length, int64_t *size) {
    if (t->rank == 4) {
        *n = t->dim[1];
        *length = t->dim[2];
        *size = t->dim[3];
        return true;
    }
    *n = heads;
    *length = t->dim[1];
    *size = heads > 0 ? t->dim[2] / heads : 0;
    return t->rank == 3 && heads > 0 && t->dim[2] % heads == 0;
}

static cvs_status read_mask(const cvi_opctx *ctx, attention *a) {
    const cvs_tensor *m = cvi_in(ctx, MASK);
    const int64_t want[4] = {a->batch, a->heads, a->queries, a->keys};
    int64_t stride[CVS_MAX_RANK];
    if (m == NULL) {
        return CVS_OK;
    }
    if (m->rank < 1 || m->rank > 4 || (m->dtype != CVS_BOOL && !cvi_is_float(m->dtype))) {
        return misfit(ctx, MASK);
    }
    cvi_strides(m->rank, m->dim, stride);
    for (int i = 0; i < m->rank; i++) {
        int to = 4 - m->rank + i;
        if (m->dim[i] != 1 && (to == 3 ? m->dim[i] > want[to] : m->dim[i] != want[to])) {
            return misfit(ctx, MASK);
        }
        a->mask_step[to] = m->dim[i] == 1 ? 0 : stride[i];
    }
    int64_t last = m->dim[m->rank - 1];
    a->mask_keys = last == 1 ? a->keys : last;
    return CVS_OK;
}

static cvs_status read_past(const cvi_opctx *ctx, attention *a, int64_t *v_size) {
    const cvs_tensor *k = cvi_in(ctx, PAST_K), *v = cvi_in(ctx, PAST_V), *lengths = cvi_in(ctx, LENGTHS);
    if ((k == NULL) != (v == NULL)) {
        return cvi_fail(ctx->err, CVS_E_FORMAT, "past_key and past_value come together");
    }
    for (int i = PAST_K; k != NULL && i <= PAST_V; i++) {
        const cvs_tensor *t = ctx->in[i];
        if (t->rank != 4 || t->dim[0] != a->batch || t->dim[1] != a->kv_heads || t->dim[2] != k->dim[2] ||
            t->dim[3] != (i == PAST_K ? a->size : *v_size) ||
            t->dtype != ctx->in[i == PAST_K ? K : V]->dtype) {
            return misfit(ctx, i);
        }
    }
    a->past = k != NULL ? k->dim[2] : 0;
    if (lengths != NULL &&
        (lengths->rank != 1 || lengths->dim[0] != a->batch || !cvi_is_integer(lengths->dtype))) {
        return misfit(ctx, LENGTHS);
    }
    return CVS_OK;
}

static cvs_status read_attention(const cvi_opctx *ctx, attention *a) {
    const cvs_tensor *q = ctx->in[Q];
    int64_t n = 0, length = 0, k_size = 0, keys = 0, v_heads = 0;
    *a = (attention){.batch = q->rank > 0 ? q->dim[0] : 0, .packed = q->rank == 3, .type = q->dtype};
    if (!parts_of(q, cvi_op_int(ctx, "q_num_heads"), &a->heads, &a->queries, &a->size)) {
        return misfit(ctx, Q);
    }
    bool k_fits = parts_of(ctx->in[K], cvi_op_int(ctx, "kv_num_heads"), &a->kv_heads, &keys, &k_size) &&
                  ctx->in[K]->rank == q->rank && ctx->in[K]->dim[0] == a->batch && k_size == a->size &&
                  a->kv_heads > 0 && a->heads % a->kv_heads == 0;
    if (!k_fits) {
        return misfit(ctx, K);
    }
    if (!parts_of(ctx->in[V], a->kv_heads, &v_heads, &length, &a->value_size) || v_heads != a->kv_heads ||
        ctx->in[V]->rank != q->rank || ctx->in[V]->dim[0] != a->batch || length != keys) {
        return misfit(ctx, V);
    }
    CVI_TRY(read_past(ctx, a, &a->value_size));
    if (a->size < 1 || a->value_size < 1 || !cvi_add(keys, a->past, &a->keys) ||
        !cvi_mul(a->batch, a->heads, &n) || !cvi_mul(n, a->queries, &n) || !cvi_mul(n, a->keys, &n) ||
        !cvi_mul(n, a->size + a->value_size, &a->work)) {
        return misfit(ctx, K);
    }
    const cvi_attr *scale = cvi_node_attr(ctx->node, "scale");
    double s = scale != NULL ? scale->f : 1 / sqrt((double)CVI_MAX(a->size, 1));
    a->root = rounded(sqrt(s), a->type);
    a->cap = cvi_op_float(ctx, "softcap");
    a->causal = cvi_op_int(ctx, "is_causal") != 0;
    a->mode = (int)cvi_op_int(ctx, "qk_matmul_output_mode");
    a->left = cvi_op_int(ctx, "left_window_size");
    a->right = cvi_op_int(ctx, "right_window_size");
    cvs_dtype asked = (cvs_dtype)cvi_op_int(ctx, "softmax_precision");
    a->inner = cvi_is_float(asked) ? asked : a->type;
    return read_mask(ctx, a);
}

static cvs_status infer_attention(cvi_opctx *ctx) {
    attention a;
    for (int k = Q; k <= V; k++) {
        CVI_TRY(cvi_want_float(ctx, k));
    }
    CVI_TRY(read_attention(ctx, &a));
    int64_t flat[3] = {a.batch, a.queries, 0}, y[4] = {a.batch, a.heads, a.queries, a.value_size};
    if (a.packed && !cvi_mul(a.heads, a.value_size, &flat[2])) {
        return misfit(ctx, V);
    }
    int64_t key[4] = {a.batch, a.kv_heads, a.keys, a.size},
            value[4] = {a.batch, a.kv_heads, a.keys, a.value_size};
    int64_t scores[4] = {a.batch, a.heads, a.queries, a.keys};
    CVI_TRY(cvi_out_shape(ctx, 0, a.type, a.packed ? 3 : 4, a.packed ? flat : y));
    CVI_TRY(cvi_out_shape(ctx, 1, ctx->in[K]->dtype, 4, key));
    CVI_TRY(cvi_out_shape(ctx, 2, ctx->in[V]->dtype, 4, value));
    return cvi_out_shape(ctx, 3, a.type, 4, scores);
}

/* First element of the vector of place s of head h: in an input or the result of `heads` heads and `length` places. */
static int64_t vector_at(const attention *a, int64_t heads, int64_t length, int64_t size, int64_t b,
                         int64_t h, int64_t s) {
    return a->packed ? ((b * length + s) * heads + h) * size : ((b * heads + h) * length + s) * size;
}

/* The vector of key (or value) s: in the past or in the input. */
static const cvs_tensor *key_at(const cvi_opctx *ctx, const attention *a, int which, int64_t b, int64_t h,
                                int64_t s, int64_t *at) {
    int64_t size = which == K ? a->size : a->value_size;
    if (s < a->past) {
        *at = ((b * a->kv_heads + h) * a->past + s) * size;
        return ctx->in[which == K ? PAST_K : PAST_V];
    }
    *at = vector_at(a, a->kv_heads, a->keys - a->past, size, b, h, s - a->past);
    return ctx->in[which];
}

/* What is added to the score of query i and key j: 0, -infinity or the mask's number. */
static double bias_of(const cvi_opctx *ctx, const attention *a, int64_t b, int64_t h, int64_t i, int64_t j) {
    const cvs_tensor *mask = cvi_in(ctx, MASK), *lengths = cvi_in(ctx, LENGTHS);
    int64_t known = lengths != NULL ? cvi_get_int(lengths, b) : a->keys;
    int64_t offset = cvi_in(ctx, PAST_K) != NULL ? a->past : lengths != NULL ? known - a->queries : 0;
    int64_t ahead = j - (i + offset);
    bool hidden = (a->causal && ahead > 0) || (a->left >= 0 && -ahead > a->left) ||
                  (a->right >= 0 && ahead > a->right) || j >= known || (mask != NULL && j >= a->mask_keys);
    if (hidden || mask == NULL) {
        return hidden ? -(double)INFINITY : 0;
    }
    int64_t at = b * a->mask_step[0] + h * a->mask_step[1] + i * a->mask_step[2] + j * a->mask_step[3];
    if (mask->dtype == CVS_BOOL) {
        return cvi_get_int(mask, at) != 0 ? 0 : -(double)INFINITY;
    }
    return cvi_get(mask, at);
}

/* The weights of query i over all keys, into p [keys]; `seen` [keys] or NULL: what output 3 shows. */
static void weights_of(const cvi_opctx *ctx, const attention *a, int64_t b, int64_t h, int64_t i, double *p,
                       double *seen) {
    int64_t q = vector_at(a, a->heads, a->queries, a->size, b, h, i), kv = h / (a->heads / a->kv_heads), at;
    double most = -(double)INFINITY, reach = -(double)INFINITY, sum = 0;
    for (int64_t j = 0; j < a->keys; j++) {
        const cvs_tensor *k = key_at(ctx, a, K, b, kv, j, &at);
        double dot = 0;
        for (int64_t d = 0; d < a->size; d++) {
            dot += rounded(cvi_get(ctx->in[Q], q + d) * a->root, a->type) *
                   rounded(cvi_get(k, at + d) * a->root, a->type);
        }
        double score = rounded(dot, a->type), bias = bias_of(ctx, a, b, h, i, j);
        if (seen != NULL) {
            seen[j] = score;
        }
        if (a->cap > 0) {
            score = rounded(rounded(tanh(rounded(score / a->cap, a->type)), a->type) * a->cap, a->type);
        }
        if (seen != NULL && a->mode > 0) {
            seen[j] = a->mode == 1 ? score : rounded(score + bias, a->type);
        }
        p[j] = rounded(rounded(score + bias, a->type), a->inner);
        most = fmax(most, p[j]);
        reach = fmax(reach, bias);
    }
    bool blind = isinf(reach) && reach < 0; /* no key may be seen: nothing, not NaN */
    for (int64_t j = 0; j < a->keys; j++) {
        p[j] = blind ? 0 : rounded(exp(rounded(p[j] - most, a->inner)), a->inner);
        sum += p[j];
    }
    sum = rounded(sum, a->inner);
    for (int64_t j = 0; j < a->keys; j++) {
        p[j] = blind ? 0 : rounded(rounded(p[j] / sum, a->inner), a->type);
        if (seen != NULL && a->mode == 3) {
            seen[j] = p[j];
        }
    }
}

typedef struct attention_job {
    const cvi_opctx *ctx;
    const attention *a;
    double *row; /* [N*heads, 2*keys + value_size] */
} attention_job;

static void attention_heads(void *context, int64_t begin, int64_t end) {
    const attention_job *job = context;
    const attention *a = job->a;
    const cvi_opctx *ctx = job->ctx;
    for (int64_t bh = begin; bh < end; bh++) {
        int64_t b = bh / a->heads, h = bh % a->heads, kv = h / (a->heads / a->kv_heads), at;
        double *p = job->row + bh * (2 * a->keys + a->value_size), *seen = p + a->keys, *y = seen + a->keys;
        for (int64_t i = 0; i < a->queries; i++) {
            weights_of(ctx, a, b, h, i, p, cvi_has_out(ctx, 3) ? seen : NULL);
            for (int64_t d = 0; d < a->value_size; d++) {
                y[d] = 0;
            }
            for (int64_t j = 0; j < a->keys; j++) {
                const cvs_tensor *v = key_at(ctx, a, V, b, kv, j, &at);
                for (int64_t d = 0; d < a->value_size && p[j] != 0; d++) {
                    y[d] += p[j] * cvi_get(v, at + d);
                }
                if (cvi_has_out(ctx, 3)) {
                    cvi_put(&ctx->out[3], (bh * a->queries + i) * a->keys + j, seen[j]);
                }
            }
            int64_t to = vector_at(a, a->heads, a->queries, a->value_size, b, h, i);
            for (int64_t d = 0; d < a->value_size && cvi_has_out(ctx, 0); d++) {
                cvi_put(&ctx->out[0], to + d, y[d]);
            }
        }
    }
}

/* The past and the new ones behind it, [N,heads,keys,size]. */
static void present(const cvi_opctx *ctx, const attention *a, int which) {
    int64_t size = which == K ? a->size : a->value_size, at;
    cvs_tensor *out = &ctx->out[which == K ? 1 : 2];
    for (int64_t i = 0; i < a->batch * a->kv_heads * a->keys; i++) {
        int64_t b = i / a->keys / a->kv_heads, h = i / a->keys % a->kv_heads;
        const cvs_tensor *t = key_at(ctx, a, which, b, h, i % a->keys, &at);
        for (int64_t d = 0; d < size; d++) {
            cvi_put(out, i * size + d, cvi_get(t, at + d));
        }
    }
}

static cvs_status make_rows(const cvi_opctx *ctx, const attention *a, int64_t rows, double **out) {
    int64_t each = 2 * a->keys + a->value_size, n = 0;
    *out = cvi_mul(CVI_MAX(rows, 1), CVI_MAX(each, 1), &n) ? cvi_arena_alloc(ctx->scratch, n, sizeof **out)
                                                           : NULL;
    return *out != NULL ? CVS_OK : cvi_no_memory(ctx->err, (size_t)n * sizeof **out);
}

static cvs_status forward_attention(cvi_opctx *ctx) {
    attention a;
    CVI_TRY(read_attention(ctx, &a));
    attention_job job = {.ctx = ctx, .a = &a};
    CVI_TRY(make_rows(ctx, &a, a.batch * a.heads, &job.row));
    cvi_each_rows(ctx, a.batch * a.heads, a.queries * CVI_MAX(a.keys, 1), &job, attention_heads);
    for (int k = 1; k <= 2; k++) {
        if (cvi_has_out(ctx, k)) {
            present(ctx, &a, k == 1 ? K : V);
        }
    }
    return CVS_OK;
}

static void add_to(cvs_tensor *t, int64_t i, double v) {
    if (t != NULL) {
        cvi_put(t, i, cvi_get(t, i) + v);
    }
}

/* With the weights p and their gradient h = g·v: the scores' is p (h - Σ p h), and so on to queries and keys. */
static cvs_status backward_attention(cvi_opctx *ctx, cvi_rule rule, const cvs_tensor *const *grad_out,
                                     cvs_tensor *const *grad_in) {
    (void)rule;
    attention a;
    double *p;
    if (grad_out[0] == NULL) {
        return CVS_OK;
    }
    CVI_TRY(read_attention(ctx, &a));
    CVI_TRY(make_rows(ctx, &a, 1, &p));
    double *h_of = p + a.keys;
    for (int64_t row = 0; row < a.batch * a.heads * a.queries; row++) {
        int64_t i = row % a.queries, h = row / a.queries % a.heads, b = row / a.queries / a.heads;
        int64_t kv = h / (a.heads / a.kv_heads), at;
        int64_t g = vector_at(&a, a.heads, a.queries, a.value_size, b, h, i);
        int64_t q = vector_at(&a, a.heads, a.queries, a.size, b, h, i);
        double mean = 0;
        weights_of(ctx, &a, b, h, i, p, NULL);
        for (int64_t j = 0; j < a.keys; j++) {
            const cvs_tensor *v = key_at(ctx, &a, V, b, kv, j, &at);
            cvs_tensor *gv = grad_in[j < a.past ? PAST_V : V];
            h_of[j] = 0;
            for (int64_t d = 0; d < a.value_size; d++) {
                double go = cvi_get(grad_out[0], g + d);
                h_of[j] += go * cvi_get(v, at + d);
                add_to(gv, at + d, go * p[j]);
            }
            mean += p[j] * h_of[j];
        }
        for (int64_t j = 0; j < a.keys; j++) {
            const cvs_tensor *k = key_at(ctx, &a, K, b, kv, j, &at);
            double slope = p[j] * (h_of[j] - mean) * a.root * a.root;
            if (a.cap > 0 && slope != 0) { /* of the cap at the score without it */
                double dot = 0;
                for (int64_t d = 0; d < a.size; d++) {
                    dot += cvi_get(ctx->in[Q], q + d) * cvi_get(k, at + d) * a.root * a.root;
                }
                double t = tanh(dot / a.cap);
                slope *= 1 - t * t;
            }
            for (int64_t d = 0; d < a.size && slope != 0; d++) {
                add_to(grad_in[Q], q + d, slope * cvi_get(k, at + d));
                add_to(grad_in[j < a.past ? PAST_K : K], at + d, slope * cvi_get(ctx->in[Q], q + d));
            }
        }
    }
    return CVS_OK;
}

static void cost_attention(const cvi_opctx *ctx, cvi_cost *cost) {
    attention a;
    cvi_opctx quiet = *ctx;
    quiet.err = NULL;
    if (read_attention(&quiet, &a) == CVS_OK) {
        cost->macs = a.work;
    }
}

static const cvi_op_io attention_in[] = {{"Q", CVI_DATA, false, false},
                                         {"K", CVI_DATA, false, false},
                                         {"V", CVI_DATA, false, false},
                                         {"attn_mask", CVI_DATA, true, false},
                                         {"past_key", CVI_DATA, true, false},
                                         {"past_value", CVI_DATA, true, false},
                                         {"nonpad_kv_seqlen", CVI_DATA, true, false}};
static const cvi_op_io attention_out[] = {{"Y", CVI_DATA, false, false},
                                          {"present_key", CVI_DATA, true, false},
                                          {"present_value", CVI_DATA, true, false},
                                          {"qk_matmul_output", CVI_DATA, true, false}};
static const cvi_op_attr attention_attrs[] = {
    {"is_causal", CVI_ATTR_INT, "0", "0|1", "1: a query sees no key behind its own place",
     "取 1 时查询看不到其位置之后的键"},
    {"kv_num_heads", CVI_ATTR_INT, "0", ">= 1", "heads of keys and values, for inputs of three axes",
     "键和值的头数，用于三维输入"},
    {"left_window_size", CVI_ATTR_INT, "-1", ">= -1", "how far back a query sees; -1: without bound",
     "查询向前能看多远；-1 表示不限"},
    {"q_num_heads", CVI_ATTR_INT, "0", ">= 1", "heads of queries, for inputs of three axes",
     "查询的头数，用于三维输入"},
    {"qk_matmul_output_mode", CVI_ATTR_INT, "0", "0 ... 3",
     "what the fourth output shows: products, capped, with the mask, weights",
     "第四个输出的内容：乘积、限幅后、加掩码后、权重"},
    {"right_window_size", CVI_ATTR_INT, "-1", ">= -1", "how far ahead a query sees; -1: without bound",
     "查询向后能看多远；-1 表示不限"},
    {"scale", CVI_ATTR_FLOAT, "", "> 0", "factor of the products; absent: 1/√size",
     "乘积的系数；缺省为 1/√size"},
    {"softcap", CVI_ATTR_FLOAT, "0", ">= 0", "bound that products approach; 0: none",
     "乘积趋近的上限；0 表示没有"},
    {"softmax_precision", CVI_ATTR_INT, "0", "an ONNX element type", "type of the softmax",
     "softmax 所用的类型"},
};

const cvi_op cvi_op_attention = {
    .name = "Attention",
    .since = 23,
    .inputs = attention_in,
    .n_inputs = 7,
    .outputs = attention_out,
    .n_outputs = 4,
    .attrs = attention_attrs,
    .n_attrs = CVI_COUNT(attention_attrs),
    .glyph = CVI_GLYPH_DENSE,
    .word_en = "attention",
    .word_zh = "注意力",
    .infer = infer_attention,
    .forward = forward_attention,
    .any_type = true,
    .backward = backward_attention,
    .cost = cost_attention,
    .field = cvi_field_all,
    .text = {"Attention", "注意力", "Mixes values, each by how well its key matches the query.",
             "按各个键与查询的匹配程度混合各个值。", "Y = softmax(QKᵀ·scale + mask)·V",
             "Places that the query found alike are mixed into it.", "与查询相似的位置会混入其中。"},
};

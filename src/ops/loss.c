/* SPDX-License-Identifier: MIT
 * loss.c - NegativeLogLikelihoodLoss and SoftmaxCrossEntropyLoss: how wrong scores [N,C,d1,...] are for class labels [N,d1,...],
 * with class weights, an ignored label and reductions. A label outside of the classes is an error with its place.
 */
#include <math.h>

#include "ops/walk.h"

/* ---- shapes ------------------------------------------------------------------------------------------ */
static cvs_status bad_labels(cvi_opctx *ctx) {
    char a[128], b[128];
    const cvs_tensor *x = ctx->in[0], *t = ctx->in[1];
    return cvi_fail(ctx->err, CVS_E_SHAPE, "scores of shape %s and labels of shape %s do not fit",
                    cvs_shape_text(x->rank, x->dim, a, sizeof a),
                    cvs_shape_text(t->rank, t->dim, b, sizeof b));
}

static cvs_status infer_loss(cvi_opctx *ctx) {
    const cvs_tensor *x = ctx->in[0], *t = ctx->in[1], *w = cvi_in(ctx, 2);
    const char *reduction = cvi_op_string(ctx, "reduction");
    CVI_TRY(cvi_type_is(ctx, 0, cvi_is_float, "of a floating-point type"));
    CVI_TRY(cvi_type_is(ctx, 1, cvi_is_integer, "of an integer type"));
    CVI_TRY(cvi_rank_from(ctx, 0, 2));
    bool fits = t->rank == x->rank - 1;
    for (int a = 0; fits && a < t->rank; a++) {
        fits = t->dim[a] == x->dim[a == 0 ? 0 : a + 1];
    }
    if (!fits) {
        return bad_labels(ctx);
    }
    if (w != NULL && (w->rank != 1 || w->dim[0] != x->dim[1])) {
        return cvi_fail(ctx->err, CVS_E_SHAPE, "there are %lld class weights for %lld classes",
                        (long long)cvs_tensor_count(w), (long long)x->dim[1]);
    }
    if (ctx->n_out > 1) {
        CVI_TRY(cvi_out_shape(ctx, 1, x->dtype, x->rank, x->dim));
    }
    if (strcmp(reduction, "none") == 0) {
        return cvi_out_shape(ctx, 0, x->dtype, t->rank, t->dim);
    }
    if (strcmp(reduction, "mean") != 0 && strcmp(reduction, "sum") != 0) {
        return cvi_at_attr(ctx->err,
                           cvi_fail(ctx->err, CVS_E_UNSUPPORTED, "%s is %.40s, which is not supported",
                                    "reduction", reduction),
                           "reduction");
    }
    return cvi_out_shape(ctx, 0, x->dtype, 0, NULL);
}

/* ---- what every label contributes -------------------------------------------------------------------------- */
typedef struct labels {
    int64_t classes, inner, count; /* scores are [N, classes, inner]; count = N * inner labels */
    bool ignores;
    int64_t ignored;
    bool mean, none;
    double weights; /* sum of the weights of all labels that count: what a mean divides by */
} labels;

/* Label i's class and weight; class -1 when it is ignored. */
static cvs_status label_at(const cvi_opctx *ctx, const labels *l, int64_t i, int64_t *which, double *weight) {
    int64_t c = cvi_get_int(ctx->in[1], i);
    const cvs_tensor *w = cvi_in(ctx, 2);
    *which = -1;
    *weight = 0;
    if (l->ignores && c == l->ignored) {
        return CVS_OK;
    }
    if (c < 0 || c >= l->classes) {
        return cvi_fail(ctx->err, CVS_E_ARGUMENT, "label %lld at place %lld is none of the %lld classes",
                        (long long)c, (long long)i, (long long)l->classes);
    }
    *which = c;
    *weight = w != NULL ? cvi_get(w, c) : 1;
    return CVS_OK;
}

static cvs_status read_labels(const cvi_opctx *ctx, labels *l) {
    const cvs_tensor *x = ctx->in[0];
    const cvi_attr *ignored = cvi_node_attr(ctx->node, "ignore_index");
    const char *reduction = cvi_op_string(ctx, "reduction");
    *l = (labels){.classes = x->dim[1], .inner = cvi_product(x->dim, 2, x->rank)};
    l->count = x->dim[0] * l->inner;
    l->ignores = ignored != NULL;
    l->ignored = ignored != NULL ? ignored->i : 0;
    l->mean = strcmp(reduction, "mean") == 0;
    l->none = strcmp(reduction, "none") == 0;
    for (int64_t i = 0; i < l->count; i++) {
        int64_t c;
        double w;
        CVI_TRY(label_at(ctx, l, i, &c, &w));
        l->weights += w;
    }
    return CVS_OK;
}

/* Offset of class c of label i in the scores. */
static int64_t score_at(const labels *l, int64_t i, int64_t c) {
    return (i / l->inner * l->classes + c) * l->inner + i % l->inner;
}

/* ln Σ exp over the classes of label i. */
static double log_sum_exp(const cvs_tensor *x, const labels *l, int64_t i) {
    double most = -INFINITY, sum = 0;
    for (int64_t c = 0; c < l->classes; c++) {
        most = fmax(most, cvi_get(x, score_at(l, i, c)));
    }
    most = isfinite(most) ? most : 0;
    for (int64_t c = 0; c < l->classes; c++) {
        sum += exp(cvi_get(x, score_at(l, i, c)) - most);
    }
    return most + log(sum);
}

/* ---- forward ----------------------------------------------------------------------------------------- */
static cvs_status forward_loss(cvi_opctx *ctx, bool softmax) {
    const cvs_tensor *x = ctx->in[0];
    cvs_tensor *y = &ctx->out[0];
    bool wants_log = softmax && ctx->n_out > 1 && ctx->out[1].dtype != CVS_NONE;
    labels l;
    double sum = 0;
    CVI_TRY(read_labels(ctx, &l));
    for (int64_t i = 0; i < l.count; i++) {
        int64_t c;
        double w, norm = softmax ? log_sum_exp(x, &l, i) : 0;
        CVI_TRY(label_at(ctx, &l, i, &c, &w));
        double loss = c < 0 ? 0 : w * (norm - cvi_get(x, score_at(&l, i, c)));
        sum += loss;
        if (l.none && y->dtype != CVS_NONE) {
            cvi_put(y, i, loss);
        }
        for (int64_t k = 0; wants_log && k < l.classes; k++) {
            int64_t at = score_at(&l, i, k);
            cvi_put(&ctx->out[1], at, cvi_get(x, at) - norm);
        }
    }
    if (!l.none && y->dtype != CVS_NONE) {
        cvi_put(y, 0, l.mean ? sum / l.weights : sum);
    }
    return CVS_OK;
}

static cvs_status forward_nll(cvi_opctx *ctx) {
    return forward_loss(ctx, false);
}

static cvs_status forward_cross_entropy(cvi_opctx *ctx) {
    return forward_loss(ctx, true);
}

/* ---- backward ---------------------------------------------------------------------------------------- */
static double upstream(const labels *l, const cvs_tensor *g, int64_t i) {
    if (g == NULL) {
        return 0;
    }
    return l->none ? cvi_get(g, i) : cvi_get(g, 0) / (l->mean ? l->weights : 1);
}

/* d loss/d score_c = w (softmax_c - [c is the label]); through log_prob: g_c - softmax_c Σ g. */
static cvs_status backward_cross_entropy(cvi_opctx *ctx, cvi_rule rule, const cvs_tensor *const *grad_out,
                                         cvs_tensor *const *grad_in) {
    (void)rule;
    const cvs_tensor *x = ctx->in[0], *log_g = ctx->n_out > 1 ? grad_out[1] : NULL;
    labels l;
    if (grad_in[0] == NULL) {
        return CVS_OK;
    }
    CVI_TRY(read_labels(ctx, &l));
    for (int64_t i = 0; i < l.count; i++) {
        int64_t label;
        double w, norm = log_sum_exp(x, &l, i), up = upstream(&l, grad_out[0], i), total = 0;
        CVI_TRY(label_at(ctx, &l, i, &label, &w));
        for (int64_t c = 0; log_g != NULL && c < l.classes; c++) {
            total += cvi_get(log_g, score_at(&l, i, c));
        }
        for (int64_t c = 0; c < l.classes; c++) {
            int64_t at = score_at(&l, i, c);
            double p = exp(cvi_get(x, at) - norm), d = label < 0 ? 0 : up * w * (p - (c == label));
            d += log_g != NULL ? cvi_get(log_g, at) - p * total : 0;
            cvi_put(grad_in[0], at, cvi_get(grad_in[0], at) + d);
        }
    }
    return CVS_OK;
}

static cvs_status backward_nll(cvi_opctx *ctx, cvi_rule rule, const cvs_tensor *const *grad_out,
                               cvs_tensor *const *grad_in) {
    (void)rule;
    labels l;
    if (grad_in[0] == NULL || grad_out[0] == NULL) {
        return CVS_OK;
    }
    CVI_TRY(read_labels(ctx, &l));
    for (int64_t i = 0; i < l.count; i++) {
        int64_t c;
        double w;
        CVI_TRY(label_at(ctx, &l, i, &c, &w));
        if (c >= 0) {
            int64_t at = score_at(&l, i, c);
            cvi_put(grad_in[0], at, cvi_get(grad_in[0], at) - w * upstream(&l, grad_out[0], i));
        }
    }
    return CVS_OK;
}

static void cost_loss(const cvi_opctx *ctx, cvi_cost *cost) {
    cost->flops = cvs_tensor_count(ctx->in[0]);
}

/* ---- descriptors ------------------------------------------------------------------------------------- */
static const cvi_op_attr loss_attrs[] = {
    {"ignore_index", CVI_ATTR_INT, "", "any", "a label that does not count", "不计入损失的标签"},
    {"reduction", CVI_ATTR_STRING, "mean", "none|sum|mean",
     "one loss a label, their sum, or their weighted mean", "逐标签给出、求和或求加权平均"},
};
static const cvi_op_io nll_in[] = {
    {"input", CVI_DATA, false, false}, {"target", CVI_DATA, false, false}, {"weight", CVI_DATA, true, false}};
static const cvi_op_io nll_out[] = {{"loss", CVI_DATA, false, false}};

const cvi_op cvi_op_negative_log_likelihood_loss = {
    .name = "NegativeLogLikelihoodLoss",
    .since = 13,
    .inputs = nll_in,
    .n_inputs = 3,
    .outputs = nll_out,
    .n_outputs = 1,
    .attrs = loss_attrs,
    .n_attrs = 2,
    .glyph = CVI_GLYPH_OUTPUT,
    .infer = infer_loss,
    .forward = forward_nll,
    .backward = backward_nll,
    .cost = cost_loss,
    .field = cvi_field_all,
    .text = {"Negative log likelihood", "负对数似然损失",
             "Measures how wrong log-probabilities are: minus the one of the true class.",
             "衡量对数概率的错误程度：取真实类别的对数概率的相反数。", "loss = −w[t] · x[t]",
             "0 means certain and right; each step of 0.7 halves the probability of the truth.",
             "0 表示确信且正确；每增加 0.7，真实类别的概率就减半。"},
};

static const cvi_op_io sce_in[] = {{"scores", CVI_DATA, false, false},
                                   {"labels", CVI_DATA, false, false},
                                   {"weights", CVI_DATA, true, false}};
static const cvi_op_io sce_out[] = {{"output", CVI_DATA, false, false}, {"log_prob", CVI_DATA, true, false}};

const cvi_op cvi_op_softmax_cross_entropy_loss = {
    .name = "SoftmaxCrossEntropyLoss",
    .since = 13,
    .inputs = sce_in,
    .n_inputs = 3,
    .outputs = sce_out,
    .n_outputs = 2,
    .attrs = loss_attrs,
    .n_attrs = 2,
    .glyph = CVI_GLYPH_OUTPUT,
    .infer = infer_loss,
    .forward = forward_cross_entropy,
    .backward = backward_cross_entropy,
    .cost = cost_loss,
    .field = cvi_field_all,
    .text = {"Cross-entropy", "交叉熵损失",
             "Turns scores into probabilities and measures how little of it the true class got.",
             "把得分转换为概率，并衡量真实类别得到的概率有多小。", "loss = −w[t] · ln softmax(x)[t]",
             "0 means certain and right; ln C means guessing among C classes.",
             "0 表示确信且正确；ln C 相当于在 C 个类别中瞎猜。"},
};

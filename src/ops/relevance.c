/* SPDX-License-Identifier: MIT
 * relevance.c - layer-wise relevance propagation, its relatives and DeepLIFT for every operator at once, out of the operators' own
 * forward and backward with other numbers put in. What flows back is a multiplier m per value: its relevance is value * m. Sums,
 * rectifiers, pools and moves then treat m as a gradient (a sum splits by contribution, a maximum gives all to the winner, a bias
 * keeps its share); kernels, other activations and products of two pictures are treated here. A normalisation behind a kernel counts
 * as part of it. Formulas: Bach et al. 2015; Montavon et al. 2017, 2019; Zhang et al. 2016; Shrikumar et al. 2017.
 */
#include <math.h>

#include "ops/typed.h"
#include "ops/walk.h"

enum { MOST_IN = 16 };

/* cvi_get and cvi_put, without a call for the common types. */
static inline double at(const cvs_tensor *t, int64_t i) {
    return cvi_load(t->data, i, t->dtype);
}

static inline void put(const cvs_tensor *t, int64_t i, double v) {
    cvi_store(t->data, i, v, t->dtype);
}

/* ---- the graph around a node ------------------------------------------------------------------------------ */

static const cvs_tensor *constant_of(const cvi_graph *g, const cvi_node *node, int k) {
    int v = k < node->n_in ? node->in[k] : -1;
    return v >= 0 ? g->values[v].constant : NULL;
}

/* y = kernel * x (+ bias): the weights are known numbers. */
static bool has_kernel(const cvi_graph *g, const cvi_node *node) {
    const cvi_op *op = node->def;
    return op && op->n_inputs > 1 && op->inputs[0].role == CVI_DATA && op->inputs[1].role == CVI_WEIGHT &&
           op->glyph != CVI_GLYPH_ACTIVATION && op->glyph != CVI_GLYPH_NORM &&
           !(op->flags & CVI_OP_RECURRENT) && constant_of(g, node, 1) && node->n_in <= MOST_IN;
}

/* Nothing with a kernel lies between this node's first input and the picture. */
static bool reads_picture(const cvi_graph *g, const cvi_node *node) {
    int v = node->n_in > 0 ? node->in[0] : -1;
    while (v >= 0 && g->values[v].producer >= 0) {
        const cvi_node *p = &g->nodes[g->values[v].producer];
        if (has_kernel(g, p)) {
            return false;
        }
        v = p->n_in > 0 ? p->in[0] : -1;
    }
    return v >= 0 && !g->values[v].constant;
}

/* The only node that reads this one's output, if it scales and shifts channels by known numbers; else NULL. */
static const cvi_node *affine_behind(const cvi_graph *g, const cvi_node *node) {
    const cvi_node *found = NULL;
    int v = node->n_out > 0 ? node->out[0] : -1, readers = 0;
    for (int o = 0; o < g->n_outputs; o++) {
        readers += g->outputs[o] == v;
    }
    for (int n = 0; n < g->n_nodes && readers < 2; n++) {
        for (int k = 0; k < g->nodes[n].n_in; k++) {
            if (g->nodes[n].in[k] == v) {
                readers++;
                found = &g->nodes[n];
            }
        }
    }
    bool fits = v >= 0 && readers == 1 && found && found->in[0] == v && found->def && found->def->affine &&
                found->n_in <= MOST_IN;
    for (int k = 1; fits && k < found->n_in; k++) {
        fits = found->in[k] < 0 || (constant_of(g, found, k) && constant_of(g, found, k)->data);
    }
    return fits ? found : NULL;
}

/* This node is the affine one behind a kernel, which speaks for both. */
static bool is_folded(const cvi_graph *g, const cvi_node *node) {
    int v = node->n_in > 0 ? node->in[0] : -1, p = v >= 0 ? g->values[v].producer : -1;
    return p >= 0 && has_kernel(g, &g->nodes[p]) && affine_behind(g, &g->nodes[p]) == node;
}

/* ---- kernels: the operator with other numbers ----------------------------------------------------------------- */

enum { PLUS, MINUS, POSITIVE, NEGATIVE, UP, DOWN, MORE, LESS, N_PARTS };

typedef struct kernel {
    cvi_opctx *ctx;
    const cvi_relevance *how;
    float *scale, *shift; /* of the affine node behind it, [channels], or NULL */
    cvs_tensor
        part[N_PARTS]; /* w+, w-; sums of positive and of negative terms; what goes back along each; like x */
} kernel;

static cvs_status like(cvs_tensor *t, const cvs_tensor *model, cvs_error *err) {
    return cvs_tensor_new(t, model->dtype, model->rank, model->dim, err); /* zeros */
}

/* y = the operator on x and w, without its bias. Sums of terms of one sign are divided by: no algorithm that leaves a rest where every
 * term is 0, so `exact`. */
static cvs_status product(const cvi_opctx *ctx, const cvs_tensor *x, const cvs_tensor *w, cvs_tensor *y) {
    const cvs_tensor *in[MOST_IN] = {x, w};
    cvi_opctx c = *ctx;
    c.in = in;
    c.n_in = 2;
    c.out = y;
    c.n_out = 1;
    c.aux = NULL;
    c.prepared = NULL;
    c.epilogue = NULL;
    c.quick = c.exact = true;
    return ctx->op->forward(&c);
}

/* to += signals s back along w. */
static cvs_status back_along(const cvi_opctx *ctx, const cvs_tensor *w, const cvs_tensor *s, cvs_tensor *to) {
    const cvs_tensor *in[MOST_IN] = {ctx->in[0], w}, *grad_out[1] = {s};
    cvs_tensor *grad_in[MOST_IN] = {to};
    cvi_opctx c = *ctx;
    c.in = in;
    c.n_in = 2;
    c.n_out = 1;
    c.prepared = NULL; /* made of other weights */
    return ctx->op->backward(&c, CVI_GRADIENT, grad_out, grad_in);
}

static void add_into(cvs_tensor *to, const cvs_tensor *from, double factor) {
    for (int64_t i = 0, n = cvs_tensor_count(to); i < n; i++) {
        put(to, i, at(to, i) + factor * at(from, i));
    }
}

/* The part of t with one sign. */
static void one_sign(const cvs_tensor *t, bool positive, cvs_tensor *out) {
    for (int64_t i = 0, n = cvs_tensor_count(t); i < n; i++) {
        double v = at(t, i);
        put(out, i, (v > 0) == positive ? v : 0);
    }
}

static bool any_negative(const cvs_tensor *t) {
    for (int64_t i = 0, n = cvs_tensor_count(t); i < n; i++) {
        if (at(t, i) < 0) {
            return true;
        }
    }
    return false;
}

static bool any_signal(const cvs_tensor *t) {
    for (int64_t i = 0, n = cvs_tensor_count(t); i < n; i++) {
        if (at(t, i) != 0) {
            return true;
        }
    }
    return false;
}

static cvs_status read_affine(kernel *k) {
    const cvi_opctx *ctx = k->ctx;
    const cvi_node *node = affine_behind(ctx->graph, ctx->node);
    const cvs_tensor *in[MOST_IN] = {&ctx->out[0]};
    cvs_tensor out = ctx->out[0];
    if (!node || ctx->out[0].rank < 2) {
        return CVS_OK;
    }
    for (int i = 1; i < node->n_in; i++) {
        in[i] = constant_of(ctx->graph, node, i);
    }
    cvi_opctx c = {.graph = ctx->graph,
                   .node = node,
                   .op = node->def,
                   .n_in = node->n_in,
                   .n_out = 1,
                   .in = in,
                   .out = &out,
                   .scratch = ctx->scratch,
                   .pool = ctx->pool,
                   .err = ctx->err};
    int64_t channels = ctx->out[0].dim[1];
    float *both = cvi_calloc((size_t)CVI_MAX(channels, 1), 2 * sizeof *both);
    if (!both) {
        return cvi_no_memory(ctx->err, (size_t)channels * 2 * sizeof *both);
    }
    k->scale = both;
    k->shift = both + channels;
    if (!node->def->affine(&c, k->scale, k->shift)) {
        return cvi_fail(ctx->err, CVS_E_UNSUPPORTED,
                        "%.60s cannot be joined to the layer before it, so relevance has no way through it",
                        node->name);
    }
    return CVS_OK;
}

/* Whether a factor behind the kernel turns signs round. */
static bool turns(const kernel *k) {
    for (int64_t c = 0; k->scale && c < k->ctx->out[0].dim[1]; c++) {
        if (!(k->scale[c] >= 0)) {
            return true;
        }
    }
    return false;
}

/* Sums of the positive and (both) of the negative terms x*w of every output; where x has both signs, each takes its part of w. */
static cvs_status split_terms(kernel *k, bool both) {
    const cvi_opctx *ctx = k->ctx;
    const cvs_tensor *x = ctx->in[0], *w = ctx->in[1];
    cvs_tensor *p = k->part;
    for (int i = PLUS; i <= DOWN; i++) {
        CVI_TRY(like(&p[i], i <= MINUS ? w : &ctx->out[0], ctx->err));
    }
    CVI_TRY(like(&p[MORE], x, ctx->err));
    one_sign(w, true, &p[PLUS]);
    one_sign(w, false, &p[MINUS]);
    one_sign(x, true, &p[MORE]);
    CVI_TRY(product(ctx, &p[MORE], &p[PLUS], &p[POSITIVE]));
    if (both) {
        CVI_TRY(product(ctx, &p[MORE], &p[MINUS], &p[NEGATIVE]));
    }
    if (any_negative(x)) {
        one_sign(x, false, &p[MORE]);
        CVI_TRY(product(ctx, &p[MORE], &p[MINUS], &p[UP])); /* as scratch */
        add_into(&p[POSITIVE], &p[UP], 1);
        if (both) {
            CVI_TRY(product(ctx, &p[MORE], &p[PLUS], &p[UP]));
            add_into(&p[NEGATIVE], &p[UP], 1);
        }
    }
    return CVS_OK;
}

/* x m = terms of one sign take signals UP, those of the other DOWN. */
static cvs_status send_terms(kernel *k, cvs_tensor *to) {
    const cvi_opctx *ctx = k->ctx;
    const cvs_tensor *x = ctx->in[0];
    cvs_tensor *p = k->part;
    CVI_TRY(like(&p[LESS], x, ctx->err));
    memset(p[MORE].data, 0, p[MORE].bytes);
    CVI_TRY(back_along(ctx, &p[PLUS], &p[UP], &p[MORE]));
    bool down = any_signal(&p[DOWN]), less = any_negative(x);
    if (down) {
        CVI_TRY(back_along(ctx, &p[MINUS], &p[DOWN], &p[MORE]));
    }
    if (less) {
        CVI_TRY(back_along(ctx, &p[MINUS], &p[UP], &p[LESS]));
    }
    if (less && down) {
        CVI_TRY(back_along(ctx, &p[PLUS], &p[DOWN], &p[LESS]));
    }
    for (int64_t i = 0, n = cvs_tensor_count(x); i < n; i++) {
        put(to, i, at(to, i) + at(at(x, i) < 0 ? &p[LESS] : &p[MORE], i));
    }
    return CVS_OK;
}

static double stable(const kernel *k, double z) {
    return z + (z < 0 ? -k->how->epsilon : k->how->epsilon);
}

static double share(double r, double z) {
    return r == 0 || z == 0 ? 0 : r / z;
}

/* One output of the kernel (with what is behind it): y, relevance r, the factor and the sums of its terms. */
typedef struct place {
    double y, r, scale, positive, negative;
} place;

static place place_at(const kernel *k, const cvs_tensor *m, int64_t i) {
    const cvs_tensor *out = &k->ctx->out[0];
    place a = {.y = at(out, i), .scale = 1};
    if (k->scale) {
        int64_t inner = cvi_span(out, 2, out->rank), c = i / inner % out->dim[1];
        a.scale = (double)k->scale[c];
        a.y = a.y * a.scale + (double)k->shift[c];
    }
    a.r = a.y * at(m, i);
    if (k->part[POSITIVE].data) {
        a.positive = a.scale * at(&k->part[a.scale < 0 ? NEGATIVE : POSITIVE], i);
        a.negative = a.scale * at(&k->part[a.scale < 0 ? POSITIVE : NEGATIVE], i);
    }
    return a;
}

typedef enum law { EPSILON, ZPLUS, GAMMA, ALPHABETA, BOX } law;

/* What every positive term and every negative term is multiplied by. */
static void shares_of(const kernel *k, law l, const place *a, double *up, double *down) {
    double bias = a->y - a->positive - a->negative, g = 1 + k->how->gamma;
    if (l == ZPLUS) {
        *up = share(a->r, a->positive + 1e-9);
        *down = 0;
    } else if (l == ALPHABETA) {
        *up = k->how->alpha * share(a->r, stable(k, a->positive + fmax(bias, 0)));
        *down = -k->how->beta * share(a->r, stable(k, fmin(a->negative + fmin(bias, 0), -0.0) - 1e-300));
    } else {
        bool high = a->y >= 0;
        double up_by = high ? g : 1, down_by = high ? 1 : g;
        double z = up_by * (a->positive + fmax(bias, 0)) + down_by * (a->negative + fmin(bias, 0));
        double one = share(a->r, stable(k, z));
        *up = up_by * one;
        *down = down_by * one;
    }
}

static cvs_status by_terms(kernel *k, law l, const cvs_tensor *m, cvs_tensor *to) {
    CVI_TRY(split_terms(k, l != ZPLUS || turns(k)));
    for (int64_t i = 0, n = cvs_tensor_count(m); i < n; i++) {
        place a = place_at(k, m, i);
        double up, down;
        shares_of(k, l, &a, &up, &down);
        put(&k->part[a.scale < 0 ? DOWN : UP], i, a.scale * up);
        put(&k->part[a.scale < 0 ? UP : DOWN], i, a.scale * down);
    }
    return send_terms(k, to);
}

static cvs_status by_whole(kernel *k, const cvs_tensor *m, cvs_tensor *to) {
    CVI_TRY(like(&k->part[UP], m, k->ctx->err));
    for (int64_t i = 0, n = cvs_tensor_count(m); i < n; i++) {
        place a = place_at(k, m, i);
        put(&k->part[UP], i, a.scale * share(a.r, stable(k, a.y)));
    }
    return back_along(k->ctx, k->ctx->in[1], &k->part[UP], to);
}

/* ---- the box rule: x w - l w+ - h w-, for pictures whose numbers lie between l and h ---------------------------- */

static void fill_bound(const kernel *k, bool high, cvs_tensor *out) {
    const cvs_tensor *x = k->ctx->in[0];
    const cvi_graph *g = k->ctx->graph;
    const double *known = high ? k->how->high : k->how->low;
    int64_t n = cvs_tensor_count(x);
    bool use =
        known && x->rank == 4 && x->dim[1] == k->how->channels && g->values[k->ctx->node->in[0]].producer < 0;
    double edge = n > 0 ? at(x, 0) : 0;
    for (int64_t i = 0; i < n; i++) {
        double v = at(x, i);
        edge = high ? fmax(edge, v) : fmin(edge, v);
    }
    for (int64_t i = 0; i < n; i++) {
        put(out, i, use ? known[i / (x->dim[2] * x->dim[3]) % x->dim[1]] : edge);
    }
}

/* Where the factor behind is negative, w+ and w- change places. Writes relevance itself. */
static cvs_status by_box(kernel *k, const cvs_tensor *m, cvs_tensor *to) {
    const cvi_opctx *ctx = k->ctx;
    cvs_tensor *p = k->part, bound[2] = {{0}, {0}}, z = {0}, t = {0};
    cvs_status s = split_terms(k, true);
    for (int h = 0; h < 2 && s == CVS_OK; h++) {
        s = like(&bound[h], ctx->in[0], ctx->err);
        if (s == CVS_OK) {
            fill_bound(k, h != 0, &bound[h]);
        }
    }
    s = s == CVS_OK ? like(&z, m, ctx->err) : s;
    s = s == CVS_OK ? like(&t, m, ctx->err) : s;
    s = s == CVS_OK ? product(ctx, ctx->in[0], ctx->in[1], &z) : s;
    for (int part = 0; part < 4 && s == CVS_OK; part++) { /* (l, w+), (l, w-), (h, w+), (h, w-) */
        s = product(ctx, &bound[part / 2], &p[part % 2 ? MINUS : PLUS], &t);
        for (int64_t i = 0, n = cvs_tensor_count(m); i < n && s == CVS_OK; i++) {
            bool swapped = place_at(k, m, i).scale < 0;
            if ((part == 0 || part == 3) != swapped) {
                put(&z, i, at(&z, i) - at(&t, i));
            }
        }
    }
    for (int64_t i = 0, n = cvs_tensor_count(m); i < n && s == CVS_OK; i++) {
        place a = place_at(k, m, i);
        double v = a.scale * share(a.r, stable(k, a.scale * at(&z, i)));
        put(&p[UP], i, a.scale < 0 ? 0 : v);
        put(&p[DOWN], i, a.scale < 0 ? v : 0);
    }
    static const int weight[4] = {PLUS, MINUS, MINUS, PLUS}, signal[4] = {UP, DOWN, UP, DOWN};
    for (int part = 0; part < 6 && s == CVS_OK; part++) {
        const cvs_tensor *w = part < 4 ? &p[weight[part]] : ctx->in[1];
        memset(p[MORE].data, 0, p[MORE].bytes);
        s = back_along(ctx, w, &p[part < 4 ? signal[part] : part == 4 ? UP : DOWN], &p[MORE]);
        const cvs_tensor *x = part < 4 ? &bound[part / 2] : ctx->in[0];
        for (int64_t i = 0, n = cvs_tensor_count(to); i < n && s == CVS_OK; i++) {
            put(to, i, at(to, i) + (part < 4 ? -1 : 1) * at(x, i) * at(&p[MORE], i));
        }
    }
    cvs_tensor_free(&bound[0]);
    cvs_tensor_free(&bound[1]);
    cvs_tensor_free(&z);
    cvs_tensor_free(&t);
    return s;
}

static law law_of(const cvi_opctx *ctx, cvi_rule rule) {
    bool conv = (ctx->op->flags & CVI_OP_CONV) != 0;
    if ((rule == CVI_LRP_COMPOSITE || rule == CVI_DEEP_TAYLOR) && reads_picture(ctx->graph, ctx->node)) {
        return BOX;
    }
    switch (rule) {
    case CVI_EXCITATION:
    case CVI_DEEP_TAYLOR:
        return ZPLUS;
    case CVI_LRP_ZPLUS:
        return conv ? ZPLUS : EPSILON;
    case CVI_LRP_GAMMA:
    case CVI_LRP_COMPOSITE:
        return conv ? GAMMA : EPSILON;
    case CVI_LRP_ALPHABETA:
        return conv ? ALPHABETA : EPSILON;
    default:
        return EPSILON;
    }
}

static cvs_status through_kernel(cvi_opctx *ctx, const cvi_relevance *how, cvi_rule rule, const cvs_tensor *m,
                                 cvs_tensor *to) {
    kernel k = {.ctx = ctx, .how = how};
    law l = law_of(ctx, rule);
    cvs_status s = read_affine(&k);
    if (s == CVS_OK) {
        s = l == EPSILON ? by_whole(&k, m, to) : l == BOX ? by_box(&k, m, to) : by_terms(&k, l, m, to);
    }
    for (int i = 0; i < N_PARTS; i++) {
        cvs_tensor_free(&k.part[i]);
    }
    cvi_free(k.scale);
    return s;
}

/* ---- the rest ------------------------------------------------------------------------------------------------ */

static int count_wanted(const cvi_opctx *ctx, cvs_tensor *const *grad_in) {
    int n = 0;
    for (int k = 0; k < ctx->n_in; k++) {
        n += grad_in[k] != NULL;
    }
    return n;
}

static bool is_activation(const cvi_opctx *ctx, cvs_tensor *const *grad_in) {
    return (ctx->op->flags & CVI_OP_POINTWISE) && grad_in[0] && count_wanted(ctx, grad_in) == 1 &&
           cvi_same_shape(ctx->in[0], &ctx->out[0]);
}

/* to += factor * what the operator's gradient makes of m, input by input. */
static cvs_status add_gradient(cvi_opctx *ctx, double factor, const cvs_tensor *const *grad_out,
                               cvs_tensor *const *grad_in) {
    cvs_tensor own[MOST_IN], *to[MOST_IN];
    cvs_status s = CVS_OK;
    if (ctx->n_in > MOST_IN) { /* a wide Concat: linear, and no product */
        return ctx->op->backward(ctx, CVI_GRADIENT, grad_out, grad_in);
    }
    memset(own, 0, sizeof own);
    for (int k = 0; k < ctx->n_in; k++) {
        to[k] = grad_in[k] ? &own[k] : NULL;
        if (grad_in[k] && s == CVS_OK) {
            s = like(&own[k], grad_in[k], ctx->err);
        }
    }
    s = s == CVS_OK ? ctx->op->backward(ctx, CVI_GRADIENT, grad_out, to) : s;
    for (int k = 0; k < ctx->n_in; k++) {
        if (grad_in[k] && s == CVS_OK) {
            add_into(grad_in[k], &own[k], factor);
        }
        cvs_tensor_free(&own[k]);
    }
    return s;
}

static cvs_status relevance_of(cvi_opctx *ctx, const cvi_relevance *how, cvi_rule rule,
                               const cvs_tensor *const *grad_out, cvs_tensor *const *grad_in) {
    const cvi_graph *g = ctx->graph;
    bool picture = (rule == CVI_LRP_COMPOSITE || rule == CVI_DEEP_TAYLOR) && reads_picture(g, ctx->node);
    if (has_kernel(g, ctx->node) && count_wanted(ctx, grad_in) == 1 && grad_in[0]) {
        return through_kernel(ctx, how, rule, grad_out[0], grad_in[0]);
    }
    if (grad_in[0] && cvi_same_shape(grad_in[0], grad_out[0]) && (picture || is_folded(g, ctx->node))) {
        add_into(grad_in[0], grad_out[0], 1);
        return CVS_OK;
    }
    if (ctx->op->glyph == CVI_GLYPH_ACTIVATION && is_activation(ctx, grad_in)) { /* relevance passes: m y/x */
        for (int64_t i = 0, n = cvs_tensor_count(grad_in[0]); i < n; i++) {
            double part = share(at(grad_out[0], i) * at(&ctx->out[0], i), at(ctx->in[0], i));
            put(grad_in[0], i, at(grad_in[0], i) + part);
        }
        return CVS_OK;
    }
    /* Both factors of a product explain it: half each keeps the sum. */
    bool halves = count_wanted(ctx, grad_in) == 2 &&
                  (ctx->op->glyph == CVI_GLYPH_MUL || ctx->op->glyph == CVI_GLYPH_DENSE);
    return add_gradient(ctx, halves ? 0.5 : 1, grad_out, grad_in);
}

/* ---- DeepLIFT ------------------------------------------------------------------------------------------------ */

/* Whether the picture's winner of output i is one of the baseline's too, as it is wherever that is even. */
static bool wins_both(const cvi_opctx *ctx, const cvi_opctx *other, int64_t i) {
    const int64_t *winner = ctx->aux; /* a place in its plane for every output; -1: none */
    const cvs_tensor *x = ctx->in[0], *y = &ctx->out[0];
    int64_t planes = x->dim[0] * x->dim[1];
    if (!winner || winner[i] < 0) {
        return false;
    }
    int64_t plane = i / (cvs_tensor_count(y) / planes);
    double there = at(other->in[0], plane * (cvs_tensor_count(x) / planes) + winner[i]);
    return there >= at(&other->out[0], i);
}

/* A pool that has run by the kernels kept no winners: finds them, for as long as ctx->scratch lasts. */
static cvs_status need_winners(cvi_opctx *ctx) {
    if (ctx->aux) {
        return CVS_OK;
    }
    cvi_opctx again = *ctx;
    cvs_tensor y = {0};
    int64_t count = cvs_tensor_count(&ctx->out[0]);
    int64_t *winner = cvi_arena_alloc(ctx->scratch, count, sizeof *winner);
    if (!winner) {
        return cvi_no_memory(ctx->err, (size_t)count * sizeof *winner);
    }
    CVI_TRY(like(&y, &ctx->out[0], ctx->err));
    again.n_out = 1;
    again.out = &y;
    again.aux = winner;
    cvs_status status = again.op->forward(&again);
    cvs_tensor_free(&y);
    ctx->aux = winner;
    return status;
}

/* A maximum: what the picture has more goes to the winner of its own run, what it has less to the winner of the run on the baseline.
 * There the inputs differ by at least as much, so no multiplier is larger than m; with the picture's winner for both, two inputs that
 * are nearly equal would make it as large as you like. Captum means the same, and agrees over an even baseline. */
static cvs_status difference_of_maxima(cvi_opctx *ctx, cvi_opctx *other, const cvs_tensor *m,
                                       cvs_tensor *to) {
    cvs_tensor more = {0}, less = {0}, way = {0},
               slope = {0}; /* differences; to their winners; the gradient */
    cvs_tensor *grad_in[MOST_IN] = {&way};
    const cvs_tensor *out[2] = {&more, NULL}; /* a pool's second output, its switches, has none */
    cvs_status status = like(&more, m, ctx->err);
    status = status == CVS_OK ? like(&less, m, ctx->err) : status;
    status = status == CVS_OK ? like(&way, to, ctx->err) : status;
    status = status == CVS_OK ? like(&slope, to, ctx->err) : status;
    for (int64_t i = 0, n = cvs_tensor_count(m); i < n && status == CVS_OK; i++) {
        double d = at(&ctx->out[0], i) - at(&other->out[0], i);
        put(d > 0 || wins_both(ctx, other, i) ? &more : &less, i, at(m, i) * d);
    }
    status = status == CVS_OK ? ctx->op->backward(ctx, CVI_GRADIENT, out, grad_in) : status;
    out[0] = &less;
    status = status == CVS_OK ? other->op->backward(other, CVI_GRADIENT, out, grad_in) : status;
    out[0] = m;
    grad_in[0] = &slope;
    status = status == CVS_OK ? ctx->op->backward(ctx, CVI_GRADIENT, out, grad_in) : status;
    for (int64_t i = 0, n = cvs_tensor_count(to); i < n && status == CVS_OK; i++) {
        double d = at(ctx->in[0], i) - at(other->in[0], i);
        double part = fabs(d) < 1e-10 ? at(&slope, i) : at(&way, i) / d;
        put(to, i, at(to, i) + part);
    }
    cvs_tensor_free(&more);
    cvs_tensor_free(&less);
    cvs_tensor_free(&way);
    cvs_tensor_free(&slope);
    return status;
}

/* The slope between the two runs; where their inputs are the same, the gradient. */
static cvs_status secant(cvi_opctx *ctx, const cvi_opctx *other, const cvs_tensor *const *grad_out,
                         cvs_tensor *to) {
    cvs_tensor g = {0}, *grad_in[MOST_IN] = {&g};
    cvs_status s = like(&g, to, ctx->err);
    s = s == CVS_OK ? ctx->op->backward(ctx, CVI_GRADIENT, grad_out, grad_in) : s;
    for (int64_t i = 0, n = cvs_tensor_count(to); i < n && s == CVS_OK; i++) {
        double d = at(ctx->in[0], i) - at(other->in[0], i);
        double step = at(&ctx->out[0], i) - at(&other->out[0], i);
        double part = fabs(d) < 1e-10 ? at(&g, i) : at(grad_out[0], i) * (step / d);
        put(to, i, at(to, i) + part);
    }
    cvs_tensor_free(&g);
    return s;
}

static cvs_status difference_of(cvi_opctx *ctx, const cvi_opctx *reference, const cvs_tensor *const *grad_out,
                                cvs_tensor *const *grad_in) {
    cvi_opctx other = *reference;
    other.scratch = ctx->scratch;
    other.err = ctx->err;
    if (has_kernel(ctx->graph, ctx->node) || ctx->n_in > MOST_IN) {
        return ctx->op->backward(ctx, CVI_GRADIENT, grad_out, grad_in);
    }
    if ((ctx->op->flags & CVI_OP_POOL) && ctx->op->aux_bytes && grad_in[0]) {
        cvi_opctx own = *ctx;
        CVI_TRY(need_winners(&own));
        CVI_TRY(need_winners(&other));
        return difference_of_maxima(&own, &other, grad_out[0], grad_in[0]);
    }
    if (is_activation(ctx, grad_in)) {
        return secant(ctx, &other, grad_out, grad_in[0]);
    }
    /* The mean of both gradients: exact for what is linear and for products of two. */
    other.aux = NULL;
    CVI_TRY(add_gradient(ctx, 0.5, grad_out, grad_in));
    return add_gradient(&other, 0.5, grad_out, grad_in);
}

cvs_status cvi_relevance_backward(cvi_opctx *ctx, const cvi_opctx *reference, const cvi_relevance *how,
                                  cvi_rule rule, const cvs_tensor *const *grad_out,
                                  cvs_tensor *const *grad_in) {
    if (!grad_out[0]) {
        return ctx->op->backward(ctx, CVI_GRADIENT, grad_out, grad_in);
    }
    if (rule == CVI_DEEPLIFT) {
        return difference_of(ctx, reference, grad_out, grad_in);
    }
    return relevance_of(ctx, how, rule, grad_out, grad_in);
}

/* SPDX-License-Identifier: MIT
 * unit_value.c - how one number of a run came about: the terms that its operator says it is made of, or, where the operator does
 * not say, every input element that its gradient names. And what a layer reads.
 */
#include <limits.h>
#include <math.h>

#include "engine/run_state.h"
#include "ops/unit.h"

/* ---- places -------------------------------------------------------------------------------------------------- */

static int value_at(const cvs_model *model, cvs_place place, int index, cvs_error *err) {
    const cvi_graph *g = model->graph;
    int v = -1;
    if (index >= 0) {
        v = place == CVS_PLACE_LAYER   ? cvi_graph_layer(g, index)
            : place == CVS_PLACE_INPUT ? (index < g->n_inputs ? g->inputs[index] : -1)
            : index < g->n_values      ? index
                                       : -1;
    }
    if (v < 0) {
        cvi_fail(err, CVS_E_NOT_FOUND, "there is no layer number %d: the model has %d layers, counted from 0",
                 index, cvi_graph_n_layers(g));
    }
    return v;
}

/* Calls back for every layer in order with its number and value, until it answers true. */
static void each_layer(const cvi_graph *g, bool (*visit)(void *context, int layer, int value),
                       void *context) {
    int layer = 0;
    for (int n = 0; n < g->n_nodes; n++) {
        for (int k = 0; k < g->nodes[n].n_out; k++) {
            int v = g->nodes[n].out[k];
            if (v >= 0 && !g->values[v].hidden && !g->values[v].constant && visit(context, layer++, v)) {
                return;
            }
        }
    }
}

typedef struct wanted {
    int value, layer;
} wanted;

static bool is_wanted(void *context, int layer, int value) {
    wanted *w = context;
    w->layer = value == w->value ? layer : -1;
    return value == w->value;
}

static int layer_number(const cvi_graph *g, int v) {
    wanted w = {.value = v, .layer = -1};
    each_layer(g, is_wanted, &w);
    return w.layer;
}

static cvs_source source_of(const cvi_graph *g, int v) {
    cvs_source s = {.place = g->values[v].constant ? CVS_PLACE_CONSTANT : CVS_PLACE_INNER,
                    .index = v,
                    .name = g->values[v].name};
    for (int i = 0; i < g->n_inputs; i++) {
        if (g->inputs[i] == v) {
            s.place = CVS_PLACE_INPUT;
            s.index = i;
        }
    }
    int layer = s.place == CVS_PLACE_INNER && !g->values[v].hidden ? layer_number(g, v) : -1;
    if (layer >= 0) {
        s.place = CVS_PLACE_LAYER;
        s.index = layer;
    }
    return s;
}

/* ---- what a layer reads ---------------------------------------------------------------------------------------- */

typedef struct reading {
    const cvi_graph *g;
    int *number; /* per value: its layer, -1 - input, or INT_MIN */
    int *seen;   /* per value: by which layer last, and one more */
    int *sources, n, capacity;
    cvs_links *out;
    bool failed;
} reading;

static void note_source(reading *r, int number) {
    if (r->n == r->capacity) {
        int more = r->capacity * 2 + 256;
        int *grown =
            cvi_realloc(r->sources, (size_t)r->capacity * sizeof *grown, (size_t)more * sizeof *grown);
        if (!grown) {
            r->failed = true;
            return;
        }
        r->sources = grown;
        r->capacity = more;
    }
    r->sources[r->n++] = number;
}

/* What the node behind a value reads, through what readers hid inside the layer. */
static void read_from(reading *r, int v, int layer, int depth) {
    int n = r->g->values[v].producer;
    for (int k = 0; n >= 0 && !r->failed && k < r->g->nodes[n].n_in; k++) {
        int in = r->g->nodes[n].in[k];
        if (in < 0 || r->g->values[in].constant || r->seen[in] == layer + 1) {
            continue;
        }
        r->seen[in] = layer + 1;
        if (r->number[in] != INT_MIN) {
            note_source(r, r->number[in]);
        } else if (depth < 256) {
            read_from(r, in, layer, depth + 1);
        }
    }
}

static bool number_layer(void *context, int layer, int value) {
    reading *r = context;
    r->number[value] = layer;
    r->out->n_layers = layer + 1;
    return false;
}

static bool read_layer(void *context, int layer, int value) {
    reading *r = context;
    r->out->first[layer] = r->n;
    read_from(r, value, layer, 0);
    r->out->first[layer + 1] = r->n;
    return r->failed;
}

cvs_status cvs_model_links(const cvs_model *model, cvs_links *out, cvs_error *err) {
    const cvi_graph *g = model->graph;
    size_t n = (size_t)CVI_MAX(g->n_values, 1);
    reading r = {.g = g, .out = out};
    *out = (cvs_links){0};
    r.number = cvi_calloc(n, sizeof *r.number);
    r.seen = cvi_calloc(n, sizeof *r.seen);
    r.failed = !r.number || !r.seen;
    if (!r.failed) {
        for (int v = 0; v < g->n_values; v++) {
            r.number[v] = INT_MIN;
        }
        for (int i = 0; i < g->n_inputs; i++) {
            r.number[g->inputs[i]] = -1 - i;
        }
        each_layer(g, number_layer, &r);
        out->first = cvi_calloc((size_t)out->n_layers + 1, sizeof *out->first);
        r.failed = !out->first;
    }
    if (!r.failed) {
        each_layer(g, read_layer, &r);
    }
    cvi_free(r.number);
    cvi_free(r.seen);
    out->source = r.sources;
    if (r.failed) {
        cvs_links_free(out);
        return cvi_no_memory(err, n * sizeof(int));
    }
    return CVS_OK;
}

void cvs_links_free(cvs_links *links) {
    if (links) {
        cvi_free(links->first);
        cvi_free(links->source);
        *links = (cvs_links){0};
    }
}

/* ---- terms by the gradient --------------------------------------------------------------------------------------- */

typedef struct slopes {
    cvs_tensor one, *grad;       /* the seed; per input */
    const cvs_tensor **grad_out; /* per output */
    cvs_tensor **grad_in;
} slopes;

static void free_slopes(slopes *s, int n_in) {
    for (int k = 0; s->grad && k < n_in; k++) {
        cvs_tensor_free(&s->grad[k]);
    }
    cvs_tensor_free(&s->one);
    cvi_free(s->grad);
    cvi_free(s->grad_out);
    cvi_free(s->grad_in);
}

/* Runs the operator's own backward rule from a single 1 at element `at`. */
static cvs_status find_slopes(cvi_opctx *ctx, int64_t at, slopes *s) {
    s->grad = cvi_calloc((size_t)ctx->n_in, sizeof *s->grad);
    s->grad_in = cvi_calloc((size_t)ctx->n_in, sizeof *s->grad_in);
    s->grad_out = cvi_calloc((size_t)CVI_MAX(ctx->n_out, 1), sizeof *s->grad_out);
    if (!s->grad || !s->grad_in || !s->grad_out) {
        return cvi_no_memory(ctx->err, (size_t)ctx->n_in * sizeof *s->grad);
    }
    CVI_TRY(cvs_tensor_new(&s->one, ctx->out[0].dtype, ctx->out[0].rank, ctx->out[0].dim, ctx->err));
    cvi_put(&s->one, at, 1);
    s->grad_out[0] = &s->one;
    for (int k = 0; k < ctx->n_in; k++) {
        const cvs_tensor *in = ctx->in[k];
        bool data = in && ctx->node->in[k] >= 0 && !ctx->graph->values[ctx->node->in[k]].constant;
        if (data && in->dtype == ctx->out[0].dtype) {
            CVI_TRY(cvs_tensor_new(&s->grad[k], in->dtype, in->rank, in->dim, ctx->err));
            s->grad_in[k] = &s->grad[k];
        }
    }
    return ctx->op->backward(ctx, CVI_GRADIENT, s->grad_out, s->grad_in);
}

static int64_t same_place(const cvi_opctx *ctx, int k, int64_t at) {
    const cvs_tensor *in = ctx->in[k], *out = &ctx->out[0];
    return cvs_tensor_count(in) == cvs_tensor_count(out) ? at : -1;
}

static void collect(cvi_opctx *ctx, int64_t at, const slopes *s, cvs_unit *u) {
    for (int k = 0; k < ctx->n_in; k++) {
        int64_t n = s->grad_in[k] ? cvs_tensor_count(&s->grad[k]) : 0;
        int64_t own = s->grad_in[k] && (ctx->op->flags & CVI_OP_POINTWISE) ? same_place(ctx, k, at) : -1;
        for (int64_t i = own >= 0 ? own : 0; i < (own >= 0 ? own + 1 : n); i++) {
            double slope = cvi_get(&s->grad[k], i);
            if (slope != 0 || i == own) {
                cvi_unit_add(u, k, i, -1, cvi_get(ctx->in[k], i), slope);
            }
        }
    }
}

static double weighted_sum(const cvs_unit *u) {
    double sum = u->bias;
    for (int64_t i = 0; i < u->n_terms; i++) {
        sum += u->terms[i].at < 0 ? 0 : u->terms[i].value * u->terms[i].weight;
    }
    return sum;
}

/* A factor and a number added, per channel: normalisations. */
static cvs_status by_affine(cvi_opctx *ctx, int64_t at, cvs_unit *u) {
    const cvs_tensor *out = &ctx->out[0];
    int64_t channels = out->rank > 1 ? out->dim[1] : 1, inner = 1;
    for (int i = 2; i < out->rank; i++) {
        inner *= out->dim[i];
    }
    float *scale = cvi_calloc((size_t)CVI_MAX(channels, 1) * 2, sizeof *scale);
    if (!scale) {
        return cvi_no_memory(ctx->err, (size_t)channels * 2 * sizeof *scale);
    }
    int64_t c = at / inner % CVI_MAX(channels, 1);
    if (ctx->op->affine(ctx, scale, scale + channels)) {
        u->kind = CVS_UNIT_SUM;
        u->bias = (double)scale[channels + c];
        cvi_unit_add(u, 0, at, -1, cvi_get(ctx->in[0], at), (double)scale[c]);
    }
    cvi_free(scale);
    return CVS_OK;
}

static cvs_status by_gradient(cvi_opctx *ctx, int64_t at, cvs_unit *u) {
    slopes s = {0};
    if (!ctx->op->backward) {
        return cvi_fail(ctx->err, CVS_E_UNSUPPORTED, "the arithmetic of the operator %.60s is not shown",
                        ctx->op->name);
    }
    cvs_status status = find_slopes(ctx, at, &s);
    if (status == CVS_OK) {
        collect(ctx, at, &s, u);
        double sum = weighted_sum(u), size = fmax(fabs(u->result), 1e-3);
        bool linear = fabs(sum - u->result) <= 1e-4 * size && !(ctx->op->glyph == CVI_GLYPH_ACTIVATION);
        u->kind = linear && u->n_terms == 1 && u->terms[0].weight == 1 ? CVS_UNIT_COPY
                  : linear                                             ? CVS_UNIT_SUM
                                                                       : CVS_UNIT_FUNCTION;
    }
    free_slopes(&s, ctx->n_in);
    return status;
}

/* ---- one number ------------------------------------------------------------------------------------------------------ */

/* The value from its terms alone, in double. */
static double total_of(const cvs_unit *u) {
    double sum = 0;
    switch (u->kind) {
    case CVS_UNIT_SUM:
        return weighted_sum(u);
    case CVS_UNIT_SOFTMAX:
        for (int64_t i = 0; i < u->n_terms; i++) {
            sum += u->terms[i].weight;
        }
        return u->own >= 0 && u->own < u->n_terms && sum > 0 ? u->terms[u->own].weight / sum : 0;
    case CVS_UNIT_MAX:
    case CVS_UNIT_COPY:
        for (int64_t i = 0; i < u->n_terms; i++) {
            sum += u->terms[i].weight != 0 ? u->terms[i].value : 0;
        }
        return sum;
    default:
        return u->result;
    }
}

/* Numbers of inputs become numbers of sources; an input that stands twice keeps both. */
static void name_sources(const cvi_graph *g, const cvi_node *node, const cvi_opctx *ctx, cvs_unit *u) {
    int of[CVS_UNIT_SOURCES];
    for (int k = 0; k < node->n_in; k++) {
        int at = -1;
        for (int64_t i = 0; i < u->n_terms; i++) {
            if (u->terms[i].source == k && at < 0 && u->n_sources < CVS_UNIT_SOURCES) {
                at = u->n_sources++;
                of[at] = k;
                u->source[at] = source_of(g, node->in[k]);
                u->source[at].rank = ctx->in[k]->rank;
                memcpy(u->source[at].dim, ctx->in[k]->dim, sizeof u->source[at].dim);
                break;
            }
        }
    }
    for (int64_t i = 0; i < u->n_terms; i++) {
        int to = 0;
        for (int s = 0; s < u->n_sources; s++) {
            to = of[s] == u->terms[i].source ? s : to;
        }
        u->terms[i].source = to;
    }
}

static cvs_status fill(cvs_run *run, int v, int64_t at, cvs_lang lang, cvs_unit *u, cvs_error *err) {
    const cvi_graph *g = run->model->graph;
    int n = g->values[v].producer;
    cvs_tensor value, in[64];
    const cvs_tensor *ins[64] = {0};
    cvi_opctx ctx;
    CVI_TRY(cvi_run_value(run, v, &value, err));
    if (at < 0 || at >= cvs_tensor_count(&value)) {
        return cvi_fail(err, CVS_E_ARGUMENT, "there is no element %lld: the value has %lld", (long long)at,
                        (long long)cvs_tensor_count(&value));
    }
    u->rank = value.rank;
    memcpy(u->dim, value.dim, sizeof u->dim);
    u->at = at;
    u->own = -1;
    u->result = u->total = cvi_get(&value, at);
    if (n < 0 || !g->nodes[n].def || g->nodes[n].n_in > 64 || g->nodes[n].out[0] != v) {
        return cvi_fail(err, CVS_E_UNSUPPORTED, "the arithmetic of the operator %.60s is not shown",
                        n < 0 ? g->values[v].name : g->nodes[n].op);
    }
    CVI_TRY(cvi_exec_opctx(run->exec, n, &ctx, err));
    for (int k = 0; k < ctx.n_in; k++) {
        if (g->nodes[n].in[k] >= 0) {
            CVI_TRY(cvi_run_value(run, g->nodes[n].in[k], &in[k], err));
            ins[k] = &in[k];
        }
    }
    ctx.in = ins;
    ctx.err = err;
    ctx.aux = NULL;
    u->op = ctx.op->name;
    u->title = lang == CVS_ZH ? ctx.op->text.title_zh : ctx.op->text.title_en;
    u->formula = ctx.op->text.formula;
    if (ctx.op->unit) {
        CVI_TRY(ctx.op->unit(&ctx, at, u));
    } else if ((ctx.op->flags & CVI_OP_IDENTITY) && same_place(&ctx, 0, at) >= 0) {
        u->kind = CVS_UNIT_COPY;
        cvi_unit_add(u, 0, at, -1, cvi_get(ctx.in[0], at), 1);
    } else if (ctx.op->affine) {
        CVI_TRY(by_affine(&ctx, at, u));
    }
    if (u->n_terms == 0 && !u->failed) {
        CVI_TRY(by_gradient(&ctx, at, u));
    }
    if (u->failed) {
        return cvi_no_memory(err, (size_t)u->capacity * sizeof *u->terms);
    }
    u->total = total_of(u);
    name_sources(g, &g->nodes[n], &ctx, u);
    return CVS_OK;
}

cvs_status cvs_run_unit(cvs_run *run, cvs_place place, int index, int64_t at, cvs_lang lang, cvs_unit *out,
                        cvs_error *err) {
    *out = (cvs_unit){.own = -1};
    int v = value_at(run->model, place, index, err);
    if (v < 0) {
        return CVS_E_NOT_FOUND;
    }
    cvs_status s = fill(run, v, at, lang, out, err);
    if (s != CVS_OK) {
        cvs_unit_free(out);
    }
    return s;
}

void cvs_unit_free(cvs_unit *u) {
    if (u) {
        cvi_free(u->terms);
        *u = (cvs_unit){.own = -1};
    }
}

/* SPDX-License-Identifier: MIT
 * connect.c - which channel of one layer feeds which channel of another: by the weights between them, and by what a picture sends
 * along them (activation times gradient, one backward pass for each channel of the upper layer).
 */
#include <math.h>

#include "convscope/connections.h"
#include "engine/run_state.h"
#include "explain/unit.h"

typedef struct link {
    const cvs_model *model;
    const cvs_connections_options *o;
    cvs_connections *out;
    int from, to; /* values */
    int kernel;   /* node of the kernels right between them, or -1 */
    cvs_error *err;
} link;

void cvs_connections_free(cvs_connections *c) {
    if (c) {
        cvs_tensor_free(&c->norm);
        cvs_tensor_free(&c->contribution);
        cvi_free(c->total);
        *c = (cvs_connections){0};
    }
}

/* ---- the way between two layers ------------------------------------------------------------------------------- */

static bool has_kernels(const cvi_node *node) {
    return node->def && ((node->def->flags & CVI_OP_CONV) || node->def->glyph == CVI_GLYPH_DENSE);
}

/* The one input that a node hands on channel by channel, or -1. */
static int channel_by_channel(const cvi_graph *g, const cvi_node *node) {
    unsigned keeps = CVI_OP_POINTWISE | CVI_OP_RELU | CVI_OP_POOL | CVI_OP_IDENTITY | CVI_OP_ROUNDS |
                     CVI_OP_RESHAPE; /* flattened: channel after channel */
    int found = -1, n = 0;
    if (!node->def ||
        !((node->def->flags & keeps) || node->def->affine || node->def->glyph == CVI_GLYPH_NORM)) {
        return -1;
    }
    for (int k = 0; k < node->n_in; k++) {
        int v = node->in[k];
        if (v >= 0 && !g->values[v].constant) {
            found = v;
            n++;
        }
    }
    return n == 1 ? found : -1;
}

/* The node with kernels that made v, up to what goes on channel by channel; -1: there is none. */
static int kernels_behind(const cvi_graph *g, int v) {
    while (v >= 0 && g->values[v].producer >= 0) {
        const cvi_node *node = &g->nodes[g->values[v].producer];
        if (has_kernels(node)) {
            return g->values[v].producer;
        }
        v = channel_by_channel(g, node);
    }
    return -1;
}

static bool is_layer(const cvi_graph *g, int v) {
    return g->values[v].producer >= 0 && !g->values[v].hidden;
}

/* From what a node with kernels reads down to `from` (or, from -1, to the first layer or the input). -1: not that way. */
static int walk_to(const cvi_graph *g, int v, int from) {
    while (v >= 0 && v != from) {
        if (from < 0 && (is_layer(g, v) || g->values[v].producer < 0)) {
            return v;
        }
        int producer = g->values[v].producer;
        v = producer >= 0 ? channel_by_channel(g, &g->nodes[producer]) : -1;
    }
    return v;
}

static bool leads_to(const cvi_graph *g, int from, int to, cvs_error *err, bool *leads) {
    bool *reached = cvi_calloc((size_t)g->n_values, sizeof *reached);
    if (!reached) {
        cvi_no_memory(err, (size_t)g->n_values);
        return false;
    }
    reached[from] = true;
    for (int n = 0; n < g->n_nodes; n++) {
        const cvi_node *node = &g->nodes[n];
        bool any = false;
        for (int k = 0; k < node->n_in; k++) {
            any = any || (node->in[k] >= 0 && reached[node->in[k]]);
        }
        for (int k = 0; k < node->n_out && any; k++) {
            if (node->out[k] >= 0) {
                reached[node->out[k]] = true;
            }
        }
    }
    *leads = reached[to] && from != to;
    cvi_free(reached);
    return true;
}

static cvs_status find_ends(link *l) {
    const cvi_graph *g = l->model->graph;
    bool leads = false;
    CVI_TRY(cvi_ops_find_layer(g, l->o->to ? l->o->to : "last-conv", &l->to, l->err));
    l->kernel = kernels_behind(g, l->to);
    int reads = l->kernel >= 0 ? g->nodes[l->kernel].in[0] : -1;
    if (l->o->from) {
        /* The picture itself is no layer, but a beginning. */
        for (int i = 0; i < g->n_inputs && l->from < 0; i++) {
            l->from = strcmp(g->values[g->inputs[i]].name, l->o->from) == 0 ? g->inputs[i] : -1;
        }
        if (l->from < 0) {
            CVI_TRY(cvi_ops_find_layer(g, l->o->from, &l->from, l->err));
        }
        l->kernel = reads >= 0 && walk_to(g, reads, l->from) >= 0 ? l->kernel : -1;
    } else {
        l->from = reads >= 0 ? walk_to(g, reads, -1) : -1;
    }
    if (l->from < 0) {
        return cvi_fail(l->err, CVS_E_ARGUMENT,
                        "no kernels make layer %.80s: name the layer that the connections come from (--from)",
                        g->values[l->to].name);
    }
    if (!leads_to(g, l->from, l->to, l->err, &leads)) {
        return CVS_E_MEMORY;
    }
    if (!leads) {
        return cvi_fail(l->err, CVS_E_ARGUMENT, "layer %.80s does not lead to layer %.80s",
                        g->values[l->from].name, g->values[l->to].name);
    }
    cvi_copy_text(l->out->from, sizeof l->out->from, g->values[l->from].name);
    cvi_copy_text(l->out->to, sizeof l->out->to, g->values[l->to].name);
    return CVS_OK;
}

/* ---- by weights -------------------------------------------------------------------------------------------------- */

static int layer_of_value(const cvi_graph *g, int v) {
    for (int i = 0; i < cvi_graph_n_layers(g); i++) {
        if (cvi_graph_layer(g, i) == v) {
            return i;
        }
    }
    return -1;
}

/* norm[k][c] of kernel [K,C/groups,...] between K and `from` channels; none where they do not fit. */
static cvs_status fill_norms(link *l, const cvs_tensor *kernel, int64_t n_from) {
    int64_t k = kernel->dim[0], cg = kernel->rank > 1 ? kernel->dim[1] : 1, shape[2];
    int64_t area = k > 0 && cg > 0 ? cvs_tensor_count(kernel) / k / cg : 0;
    if (kernel->rank == 2 && cg > n_from && cg % n_from == 0) { /* of a flattened layer: all its positions */
        area = cg / n_from;
        cg = n_from;
    }
    int64_t groups = cg > 0 && n_from % cg == 0 ? n_from / cg : 0;
    if (area < 1 || groups < 1 || k % groups != 0) {
        return CVS_OK;
    }
    l->out->n_to = shape[0] = k;
    l->out->n_from = shape[1] = n_from;
    CVI_TRY(cvs_tensor_new(&l->out->norm, CVS_F32, 2, shape, l->err));
    for (int64_t i = 0; i < k * cg; i++) {
        const float *w = (const float *)kernel->data + i * area;
        double sum = 0;
        for (int64_t j = 0; j < area; j++) {
            sum += (double)w[j] * (double)w[j];
        }
        int64_t group = i / cg / (k / groups);
        ((float *)l->out->norm.data)[i / cg * n_from + group * cg + i % cg] = (float)sqrt(sum);
    }
    return CVS_OK;
}

static cvs_status by_weights(link *l, int64_t n_from) {
    const cvi_graph *g = l->model->graph;
    cvs_tensor kernel = {0}, bias = {0};
    int layer = l->kernel >= 0 ? layer_of_value(g, g->nodes[l->kernel].out[0]) : -1;
    if (layer < 0) {
        return CVS_OK;
    }
    CVI_TRY(cvs_model_filters(l->model, layer, &kernel, &bias, l->err));
    /* without a run the channels below are known from the kernels alone, where these have no groups */
    int64_t groups = cvi_node_int(&g->nodes[l->kernel], "group", 1);
    int64_t own = kernel.rank > 1 ? kernel.dim[1] * CVI_MAX(groups, 1) : 1;
    cvs_status s = fill_norms(l, &kernel, n_from > 0 ? n_from : own);
    cvs_tensor_free(&kernel);
    cvs_tensor_free(&bias);
    return s;
}

/* ---- by a picture ------------------------------------------------------------------------------------------------- */

typedef struct flow {
    cvi_exec *exec;
    cvi_planes from, to;
    cvs_tensor seed; /* of the upper layer, owned */
} flow;

/* Row k: the signal of all positions of channel k, times the activations below. */
static cvs_status fill_row(link *l, flow *f, int64_t k) {
    int64_t area = f->to.rows * f->to.columns, below = f->from.rows * f->from.columns;
    float *seed = (float *)f->seed.data + f->to.first + k * area;
    float *row = (float *)l->out->contribution.data + k * l->out->n_from;
    cvs_tensor gradient;
    for (int64_t i = 0; i < area; i++) {
        seed[i] = 1.0f;
        l->out->total[k] += (double)f->to.data[k * area + i];
    }
    cvs_status s = cvi_exec_backward(f->exec, CVI_GRADIENT, &l->to, &f->seed, 1, &l->from, 1, l->err);
    s = s == CVS_OK ? cvi_exec_gradient(f->exec, l->from, &gradient, l->err) : s;
    memset(seed, 0, (size_t)area * sizeof *seed);
    for (int64_t c = 0; s == CVS_OK && c < l->out->n_from; c++) {
        const float *g = (const float *)gradient.data + f->from.first + c * below;
        double sum = 0;
        for (int64_t i = 0; i < below; i++) {
            sum += (double)g[i] * (double)f->from.data[c * below + i];
        }
        row[c] = (float)sum;
    }
    return s;
}

static cvs_status fill_rows(link *l, flow *f) {
    int64_t shape[2] = {f->to.channels, f->from.channels};
    if (l->out->norm.data && (l->out->n_to != shape[0] || l->out->n_from != shape[1])) {
        cvs_tensor_free(&l->out->norm);
    }
    l->out->n_to = shape[0];
    l->out->n_from = shape[1];
    CVI_TRY(cvs_tensor_new(&l->out->contribution, CVS_F32, 2, shape, l->err));
    l->out->total = cvi_calloc((size_t)shape[0], sizeof *l->out->total);
    if (!l->out->total) {
        return cvi_no_memory(l->err, (size_t)shape[0] * sizeof *l->out->total);
    }
    for (int64_t k = 0; k < shape[0]; k++) {
        CVI_TRY(fill_row(l, f, k));
        double done = (double)(k + 1) / (double)shape[0];
        if (l->o->progress && !l->o->progress(l->o->progress_context, l->out->to, done)) {
            return cvi_fail(l->err, CVS_E_CANCELLED, "cancelled");
        }
    }
    return CVS_OK;
}

static cvs_status by_picture(link *l, cvs_run *run) {
    int64_t sample = l->o->sample;
    flow f = {0};
    bool owned;
    cvs_tensor from, to;
    CVI_TRY(cvi_exec_of_sample(run, &sample, &f.exec, &owned, l->err));
    cvs_status s = cvi_exec_value(f.exec, l->from, &from, l->err);
    s = s == CVS_OK ? cvi_exec_value(f.exec, l->to, &to, l->err) : s;
    s = s == CVS_OK ? cvi_planes_of(&from, sample, l->out->from, &f.from, l->err) : s;
    s = s == CVS_OK ? cvi_planes_of(&to, sample, l->out->to, &f.to, l->err) : s;
    s = s == CVS_OK ? cvs_tensor_new(&f.seed, CVS_F32, to.rank, to.dim, l->err) : s;
    s = s == CVS_OK ? by_weights(l, f.from.channels) : s;
    s = s == CVS_OK ? fill_rows(l, &f) : s;
    cvs_tensor_free(&f.seed);
    if (owned) {
        cvi_exec_free(f.exec);
    }
    return s;
}

static void write_caption(const link *l) {
    cvs_connections *c = l->out;
    cvs_lang lang = l->o->lang;
    snprintf(
        c->caption, sizeof c->caption,
        cvi_tr(lang, "From %s (%lld channels) to %s (%lld channels). %s%sConvscope %s."), c->from,
        (long long)c->n_from, c->to, (long long)c->n_to,
        c->norm.data ? cvi_tr(lang, "Norm: root of the sum of squares of the weights between two channels. ")
                     : "",
        c->contribution.data
            ? cvi_tr(lang, "Contribution: activation times gradient, summed over positions: what a channel "
                           "adds to the sum of another in this picture; exact, but for biases, where "
                           "rectifiers and maxima only choose. ")
            : "",
        CVS_VERSION);
}

cvs_status cvs_connect(const cvs_model *model, cvs_run *run, const cvs_connections_options *options,
                       cvs_connections *out, cvs_error *err) {
    link l = {.model = model, .o = options, .out = out, .from = -1, .to = -1, .kernel = -1, .err = err};
    *out = (cvs_connections){0};
    cvs_status s = find_ends(&l);
    s = s == CVS_OK ? (run ? by_picture(&l, run) : by_weights(&l, 0)) : s;
    if (s == CVS_OK && !out->norm.data && !out->contribution.data) {
        s = cvi_fail(
            err, CVS_E_ARGUMENT,
            "more than one layer of kernels lies between %.80s and %.80s: without a picture there are no "
            "connections to show",
            out->from, out->to);
    }
    if (s != CVS_OK) {
        cvs_connections_free(out);
        return s;
    }
    write_caption(&l);
    return CVS_OK;
}

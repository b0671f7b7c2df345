/* SPDX-License-Identifier: MIT
 * layers_found.c - layers and branches that the network does without, each left out alone; receptive fields; and everything that may go,
 * taken together: choosing pictures decide, the others are told what it costs.
 */
#include <math.h>
#include <stdlib.h>

#include "explain/units.h"

static bool same_shape(const cvi_diagnosing *g, int a, int b) {
    cvs_tensor x, y;
    if (cvi_exec_value(g->shapes, a, &x, NULL) != CVS_OK ||
        cvi_exec_value(g->shapes, b, &y, NULL) != CVS_OK || x.rank != y.rank || x.dtype != y.dtype) {
        return false;
    }
    return memcmp(x.dim, y.dim, (size_t)x.rank * sizeof *x.dim) == 0;
}

/* Whether `value` is made from `from`: nodes are in topological order. */
static cvs_status is_made_from(cvi_diagnosing *g, int value, int from, bool *out) {
    const cvi_graph *graph = g->model->graph;
    bool *made = cvi_calloc((size_t)graph->n_values + 1, sizeof *made);
    if (!made) {
        return cvi_no_memory(g->err, (size_t)graph->n_values);
    }
    made[from] = true;
    for (int n = 0; n < graph->n_nodes; n++) {
        const cvi_node *node = &graph->nodes[n];
        bool any = false;
        for (int k = 0; k < node->n_in; k++) {
            any = any || (node->in[k] >= 0 && made[node->in[k]]);
        }
        for (int k = 0; any && k < node->n_out; k++) {
            if (node->out[k] >= 0) {
                made[node->out[k]] = true;
            }
        }
    }
    *out = made[value];
    cvi_free(made);
    return CVS_OK;
}

/* The network with one value replaced by another. A network that cannot run so is no finding. */
static cvs_status leave_out(cvi_diagnosing *g, const char *layer, int from, int to, bool branch) {
    cvs_model *twin = NULL;
    cvs_effect effect = {0};
    cvi_score first = {0};
    cvi_cut cut = {.units = &g->u, .n_layers = 1, .from = {from}, .to = {to}};
    CVI_TRY(cvi_cut_make(g->model, &cut, &twin, g->err));
    cvs_status s = cvi_effect_of(g, twin, &effect, &first);
    cvs_model_free(twin);
    if (s != CVS_OK && s != CVS_E_MEMORY && s != CVS_E_CANCELLED) {
        cvi_error_clear(g->err);
        return CVS_OK;
    }
    CVI_TRY(s);
    if (first.accuracy < g->first.accuracy - fmax(3.0 * g->o->tolerance, 0.03)) {
        return CVS_OK; /* it is needed */
    }
    cvs_finding *f = cvi_finding_new(g, CVS_FIND_LAYER, layer);
    if (!f) {
        return CVS_E_MEMORY;
    }
    f->box[0] = from;
    f->box[1] = to;
    f->without = effect;
    cvi_finding_say(g, f,
                    branch ? "The branch that is added here may be left out: what is beside it goes on alone."
                           : "What comes in has the shape of what goes out, and may go on as it is.");
    return CVS_OK;
}

cvs_status cvi_find_layers(cvi_diagnosing *g) {
    const cvi_graph *graph = g->model->graph;
    for (int i = 0; i < g->u.n; i++) {
        const cvi_unit *u = &g->u.list[i];
        if (!u->answer && graph->values[u->begin].producer >= 0 && same_shape(g, u->begin, u->value)) {
            CVI_TRY(cvi_tell_diagnosis(g, "layers left out", 0.75));
            CVI_TRY(leave_out(g, graph->nodes[u->node].layer, u->value, u->begin, false));
        }
    }
    for (int n = 0; n < graph->n_nodes; n++) {
        const cvi_node *node = &graph->nodes[n];
        if (!node->def || !(node->def->flags & CVI_OP_ADDS) || node->n_in != 2 || node->in[0] < 0 ||
            node->in[1] < 0 || graph->values[node->in[0]].constant || graph->values[node->in[1]].constant ||
            !same_shape(g, node->in[0], node->in[1])) {
            continue;
        }
        for (int k = 0; k < 2; k++) {
            bool from = false;
            CVI_TRY(is_made_from(g, node->in[1 - k], node->in[k], &from));
            if (from && node->in[0] != node->in[1]) {
                CVI_TRY(cvi_tell_diagnosis(g, "layers left out", 0.77));
                CVI_TRY(leave_out(g, node->layer, node->out[0], node->in[k], true));
            }
        }
    }
    return CVS_OK;
}

cvs_status cvi_find_fields(cvi_diagnosing *g) {
    const cvi_graph *graph = g->model->graph;
    double *side = cvi_calloc((size_t)g->u.n + 1, sizeof *side);
    cvs_summary sum = {0};
    if (!side) {
        return cvi_no_memory(g->err, (size_t)g->u.n * sizeof *side);
    }
    cvs_status s = cvs_model_summarize(g->model, g->run_options, CVS_EN, &sum, g->err);
    if (s == CVS_OK) {
        s = cvi_units_fields(g->model, g->run_options, &g->u, &g->l, g->pool, side, g->err);
    }
    int last = -1;
    for (int i = 0; s == CVS_OK && i < g->u.n; i++) {
        cvs_layer_health *h = &g->d->layers[i];
        for (int k = 0; k < sum.n_layers; k++) {
            if (sum.layers[k].has_field &&
                strcmp(sum.layers[k].name, graph->values[graph->nodes[g->u.list[i].node].out[0]].name) == 0) {
                double rows = (double)CVI_MIN(sum.layers[k].field[0], g->l.shape.dim[2]);
                double columns = (double)CVI_MIN(sum.layers[k].field[1], g->l.shape.dim[3]);
                h->field = sqrt(rows * columns);
            }
        }
        h->seen = side[i];
        last = h->field > 0.0 && h->seen > 0.0 && !g->u.list[i].answer ? i : last;
    }
    cvs_summary_free(&sum);
    cvi_free(side);
    if (s == CVS_OK && last >= 0 && g->d->layers[last].seen < 0.5 * g->d->layers[last].field) {
        cvs_layer_health *h = &g->d->layers[last];
        cvs_finding *f = cvi_finding_new(g, CVS_FIND_FIELD, h->layer);
        if (!f) {
            return CVS_E_MEMORY;
        }
        cvi_finding_say(g, f,
                        "A position could see %.0f x %.0f pixels of the picture; nearly all of its gradient "
                        "lies on as many "
                        "as %.0f x %.0f have.",
                        h->field, h->field, h->seen, h->seen);
    }
    return s;
}

/* ---- together --------------------------------------------------------------------------------------------------- */

static int unit_of(const cvi_diagnosing *g, const char *layer) {
    for (int i = 0; i < g->u.n; i++) {
        if (strcmp(g->d->layers[i].layer, layer) == 0) {
            return i;
        }
    }
    return -1;
}

/* Adds what a finding removes to g->joint, or (add false) goes back to `before`. */
static cvs_status add_filters(cvi_diagnosing *g, const cvs_finding *f, int unit, bool *before) {
    int64_t n = g->u.list[unit].channels, left = 0;
    if (!g->filter[unit]) {
        g->filter[unit] = cvi_calloc((size_t)n, sizeof **g->filter);
        if (!g->filter[unit]) {
            return cvi_no_memory(g->err, (size_t)n);
        }
    }
    memcpy(before, g->filter[unit], (size_t)n);
    for (int k = 0; k < f->n_filters; k++) {
        g->filter[unit][f->filters[k]] = true;
    }
    for (int64_t c = 0; c < n; c++) {
        left += !g->filter[unit][c];
    }
    return left > 0 ? CVS_OK : CVS_E_UNSUPPORTED;
}

static cvs_status try_one(cvi_diagnosing *g, cvs_finding *f) {
    bool layer = f->kind == CVS_FIND_LAYER;
    int unit = layer ? -1 : unit_of(g, f->layer);
    bool *before = NULL;
    cvs_model *twin = NULL;
    cvs_effect effect = {0};
    cvi_score first = {0};
    cvs_status s = CVS_OK;
    if (layer && g->joint.n_layers < CVI_COUNT(g->joint.from)) {
        g->joint.from[g->joint.n_layers] = (int)f->box[0];
        g->joint.to[g->joint.n_layers++] = (int)f->box[1];
    } else if (unit >= 0) {
        before = cvi_calloc((size_t)g->u.list[unit].channels, sizeof *before);
        s = before ? add_filters(g, f, unit, before)
                   : cvi_no_memory(g->err, (size_t)g->u.list[unit].channels);
    } else {
        return CVS_OK;
    }
    if (s == CVS_OK) {
        s = cvi_cut_make(g->model, &g->joint, &twin, g->err);
    }
    if (s == CVS_OK) {
        s = cvi_effect_of(g, twin, &effect, &first);
    }
    cvs_model_free(twin);
    f->taken = s == CVS_OK && cvi_affordable(g, &first);
    if (f->taken) {
        g->d->joint = effect;
        g->d->n_taken++;
    } else if (layer) {
        g->joint.n_layers--;
    } else if (before) {
        memcpy(g->filter[unit], before, (size_t)g->u.list[unit].channels);
    }
    cvi_free(before);
    /* The two do not go together: shapes would not fit. */
    if (s != CVS_OK && s != CVS_E_MEMORY && s != CVS_E_CANCELLED) {
        cvi_error_clear(g->err);
        s = CVS_OK;
    }
    return s;
}

static bool can_go(const cvs_finding *f) {
    return f->kind <= CVS_FIND_LAYER && f->without.measured && !f->kept[0];
}

cvs_status cvi_take_together(cvi_diagnosing *g) {
    static const cvs_finding_kind turn[] = {CVS_FIND_DEAD, CVS_FIND_DUPLICATE, CVS_FIND_LOW_RANK,
                                            CVS_FIND_INSENSITIVE, CVS_FIND_LAYER};
    g->joint = (cvi_cut){.units = &g->u, .filter = g->filter};
    g->d->joint = g->d->whole;
    for (int t = 0; t < CVI_COUNT(turn); t++) {
        for (int i = 0; i < g->d->n_findings; i++) {
            if (g->d->findings[i].kind == turn[t] && can_go(&g->d->findings[i])) {
                CVI_TRY(cvi_tell_diagnosis(g, "everything together", 0.8 + 0.04 * t));
                CVI_TRY(try_one(g, &g->d->findings[i]));
            }
        }
    }
    return CVS_OK;
}

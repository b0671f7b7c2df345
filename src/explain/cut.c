/* SPDX-License-Identifier: MIT
 * cut.c - filters cut out of a twin: rows of kernels and of everything that has a part for each filter, columns of those who read them,
 * after what the filters gave was shared out to those kept (least squares) and to biases.
 */
#include <math.h>

#include "engine/run_state.h"
#include "explain/units.h"

typedef struct cutting {
    const cvi_cut *cut;
    cvs_model *twin;
    bool **lost; /* [values * 2]: places along axis 0 and 1 of a constant that go; NULL: none */
    cvs_error *err;
} cutting;

/* A constant added to the twin's values: a bias that a reader did not have. */
static int new_constant(cvs_model *twin, const char *name, int64_t n, cvs_error *err) {
    cvi_graph *g = twin->graph;
    cvi_value *values = cvi_arena_alloc(twin->arena, g->n_values + 1, sizeof *values);
    cvs_tensor *t = cvi_arena_alloc(twin->arena, 1, sizeof *t);
    char *text = cvi_arena_printf(twin->arena, "%.100s_bias", name);
    float *data = cvi_arena_alloc(twin->arena, CVI_MAX(n, 1), sizeof *data);
    if (!values || !t || !text || !data) {
        cvi_no_memory(err, (size_t)n * sizeof *data);
        return -1;
    }
    *t = (cvs_tensor){
        .dtype = CVS_F32, .rank = 1, .dim = {n}, .data = data, .bytes = (size_t)n * sizeof *data};
    memcpy(values, g->values, (size_t)g->n_values * sizeof *values);
    values[g->n_values] = (cvi_value){
        .name = text, .dtype = CVS_F32, .rank = 1, .dim = {n}, .producer = -1, .constant = t, .outer = -1};
    g->values = values;
    return g->n_values++;
}

/* A copy of a constant of the twin's own, of the same shape, made once. */
static float *own_numbers(cutting *c, int value) {
    const cvs_tensor *old = c->twin->graph->values[value].constant;
    cvs_tensor *t = cvi_twin_constant(c->twin, value, old->rank, old->dim, c->err);
    if (!t) {
        return NULL;
    }
    memcpy(t->data, old->data, t->bytes);
    return t->data;
}

/* The bias of a node that reads filters: its own numbers, zeros where it had none. */
static float *bias_of(cutting *c, int n, int64_t outputs) {
    cvi_node *node = &c->twin->graph->nodes[n];
    if (node->n_in > 2 && node->in[2] >= 0) {
        const cvs_tensor *t = c->twin->graph->values[node->in[2]].constant;
        return t && t->data && t->dtype == CVS_F32 && cvs_tensor_count(t) == outputs
                   ? own_numbers(c, node->in[2])
                   : NULL;
    }
    if (node->def->n_inputs < 3 || node->def->inputs[2].role != CVI_BIAS) {
        return NULL; /* a plain product has no place for one */
    }
    int value = new_constant(c->twin, node->name, outputs, c->err);
    int *in = value >= 0 ? cvi_arena_alloc(c->twin->arena, 3, sizeof *in) : NULL;
    node = &c->twin->graph->nodes[n];
    if (!in) {
        return NULL;
    }
    memcpy(in, node->in, 2 * sizeof *in);
    in[2] = value;
    node->in = in;
    node->n_in = 3;
    return c->twin->graph->values[value].constant->data;
}

/* What the filters gone gave goes to those kept, w[.., kept] += mix w[.., gone], and to the bias. */
static cvs_status share_out(cutting *c, const cvi_unit *u, const int *kept, int n_kept, const int *gone,
                            int n_gone, const double *mix) {
    for (int r = 0; r < u->n_reader; r++) {
        const cvi_reader *read = &u->reader[r];
        const double *mean = u->mean + read->point * u->channels;
        const cvs_tensor *t = c->twin->graph->values[read->weight].constant;
        int64_t inner = 1, outputs = t->dim[1 - read->axis];
        for (int i = 2; i < t->rank; i++) {
            inner *= t->dim[i];
        }
        float *w = own_numbers(c, read->weight), *bias = bias_of(c, read->node, outputs);
        if (!w) {
            return c->err ? c->err->code : CVS_E_MEMORY;
        }
        int64_t step = read->axis == 1 ? inner : outputs, row = read->axis == 1 ? t->dim[1] * inner : 1;
        for (int64_t o = 0; o < outputs; o++) {
            for (int64_t k = 0; k < read->span.area * inner; k++) {
                /* element (o, offset + filter * step + k / inner * hop, k % inner) */
                float *at = w + o * row + (read->span.offset + k / inner * read->span.hop) * step + k % inner;
                int64_t each = read->span.step * step;
                for (int g = 0; g < n_gone; g++) {
                    double v = (double)at[gone[g] * each], left = mean[gone[g]];
                    for (int i = 0; i < n_kept; i++) {
                        double m = mix ? mix[g * n_kept + i] : 0.0;
                        left -= m * mean[kept[i]];
                        at[kept[i] * each] += (float)(m * v);
                    }
                    if (bias) {
                        bias[o] += (float)(left * v);
                    }
                }
            }
        }
    }
    return CVS_OK;
}

static cvs_status mark(cutting *c, int value, int axis, int64_t place) {
    bool **list = &c->lost[2 * value + axis];
    int64_t side = c->twin->graph->values[value].constant->dim[axis];
    if (!*list) {
        *list = cvi_calloc((size_t)CVI_MAX(side, 1), sizeof **list);
    }
    if (!*list) {
        return cvi_no_memory(c->err, (size_t)side);
    }
    if (place < side) {
        (*list)[place] = true;
    }
    return CVS_OK;
}

/* Filters of a unit that can be cut out: shared out, and everything of theirs marked. */
static cvs_status cut_unit(cutting *c, int number, const bool *filter) {
    const cvi_unit *u = &c->cut->units->list[number];
    int n_kept = 0, n_gone = 0, *kept = cvi_calloc((size_t)u->channels, 2 * sizeof *kept);
    if (!kept) {
        return cvi_no_memory(c->err, (size_t)u->channels * 2 * sizeof *kept);
    }
    int *gone = kept + u->channels;
    for (int i = 0; i < u->channels; i++) {
        if (filter[i]) {
            gone[n_gone++] = i;
        } else {
            kept[n_kept++] = i;
        }
    }
    if (n_gone == 0) {
        cvi_free(kept);
        return CVS_OK;
    }
    cvs_status s =
        n_kept > 0 ? CVS_OK : cvi_fail(c->err, CVS_E_UNSUPPORTED, "a layer cannot lose all its filters");
    double *mix =
        u->cov && s == CVS_OK ? cvi_calloc((size_t)n_kept * (size_t)CVI_MAX(n_gone, 1), sizeof *mix) : NULL;
    if (s == CVS_OK && u->cov) {
        s = mix ? cvi_mix(u->cov, u->channels, kept, n_kept, gone, n_gone, mix, c->err)
                : cvi_no_memory(c->err, sizeof *mix);
    }
    if (s == CVS_OK) {
        s = share_out(c, u, kept, n_kept, gone, n_gone, mix);
    }
    for (int t = 0; s == CVS_OK && t < u->n_touch; t++) {
        for (int i = 0; s == CVS_OK && i < n_gone; i++) {
            const cvi_span *p = &u->touch[t].span;
            for (int64_t k = 0; s == CVS_OK && k < p->area; k++) {
                s = mark(c, u->touch[t].value, u->touch[t].axis, p->offset + gone[i] * p->step + k * p->hop);
            }
        }
    }
    cvi_free(mix);
    cvi_free(kept);
    return s;
}

/* Takes the marked places out of a constant of rank 1 to 8 (marks lie on its first two axes, or a vector's only long one). */
static cvs_status shrink(cutting *c, int value) {
    const cvs_tensor *old = c->twin->graph->values[value].constant;
    const bool *lost[2] = {c->lost[2 * value], c->lost[2 * value + 1]};
    int64_t dim[CVS_MAX_RANK], inner = 1, rows = old->dim[0], columns = old->rank > 1 ? old->dim[1] : 1;
    memcpy(dim, old->dim, sizeof dim);
    for (int axis = 0; axis < 2 && axis < old->rank; axis++) {
        for (int64_t i = 0; lost[axis] && i < old->dim[axis]; i++) {
            dim[axis] -= lost[axis][i];
        }
    }
    for (int i = 2; i < old->rank; i++) {
        inner *= old->dim[i];
    }
    const float *from = old->data;
    cvs_tensor *t = cvi_twin_constant(c->twin, value, old->rank, dim, c->err);
    if (!t) {
        return CVS_E_MEMORY;
    }
    float *to = t->data;
    for (int64_t r = 0; r < rows; r++) {
        for (int64_t k = 0; k < columns; k++) {
            if (!(lost[0] && lost[0][r]) && !(lost[1] && lost[1][k])) {
                memcpy(to, from + (r * columns + k) * inner, (size_t)inner * sizeof *to);
                to += inner;
            }
        }
    }
    return CVS_OK;
}

/* Depthwise convolutions have as many groups as filters left; shapes that the file told are told no more. */
static cvs_status settle(cutting *c) {
    cvi_graph *g = c->twin->graph;
    for (int i = 0; i < c->cut->units->n; i++) {
        const cvi_unit *u = &c->cut->units->list[i];
        for (int t = 0; c->cut->filter && c->cut->filter[i] && t < u->n_touch; t++) {
            if (u->touch[t].group_node >= 0) {
                CVI_TRY(cvi_twin_int(c->twin, u->touch[t].group_node, "group",
                                     g->values[u->touch[t].value].constant->dim[0], c->err));
            }
        }
    }
    for (int v = 0; v < g->n_values; v++) {
        bool output = false;
        for (int i = 0; i < g->n_outputs; i++) {
            output = output || g->outputs[i] == v;
        }
        if (g->values[v].producer >= 0 && !output) {
            g->values[v].rank = -1;
        }
    }
    return CVS_OK;
}

/* A bias that a cut node was given loses its filters' places too. */
static cvs_status mark_new_biases(cutting *c, int n_values) {
    for (int i = 0; c->cut->filter && i < c->cut->units->n; i++) {
        const cvi_unit *u = &c->cut->units->list[i];
        const bool *filter = u->stuck ? NULL : c->cut->filter[i];
        for (int m = -1; filter && m < u->n_member; m++) {
            const cvi_node *node = &c->twin->graph->nodes[m < 0 ? u->node : u->member[m]];
            for (int f = 0; node->n_in > 2 && node->in[2] >= n_values && f < u->channels; f++) {
                if (filter[f]) {
                    CVI_TRY(mark(c, node->in[2], 0, f));
                }
            }
        }
    }
    return CVS_OK;
}

static cvs_status make(cutting *c) {
    const cvi_graph *g = c->twin->graph;
    int n_values = g->n_values;
    c->lost = cvi_calloc((size_t)(n_values + g->n_nodes) * 2 + 2, sizeof *c->lost);
    if (!c->lost) {
        return cvi_no_memory(c->err, (size_t)n_values * 2 * sizeof *c->lost);
    }
    for (int i = 0; c->cut->filter && i < c->cut->units->n; i++) {
        if (c->cut->filter[i] && !c->cut->units->list[i].stuck) {
            CVI_TRY(cut_unit(c, i, c->cut->filter[i]));
        }
    }
    CVI_TRY(mark_new_biases(c, n_values));
    for (int v = 0; v < c->twin->graph->n_values; v++) {
        if (c->lost[2 * v] || c->lost[2 * v + 1]) {
            CVI_TRY(shrink(c, v));
        }
    }
    CVI_TRY(settle(c));
    for (int i = 0; i < c->cut->n_layers; i++) {
        int to = c->cut->to[i];
        for (int k = 0; k < c->cut->n_layers; k++) { /* what it is replaced by may itself be replaced */
            for (int j = 0; j < i; j++) {
                to = c->cut->from[j] == to ? c->cut->to[j] : to;
            }
        }
        cvi_twin_reroute(c->twin, c->cut->from[i], to);
    }
    return cvi_twin_sweep(c->twin, c->err);
}

cvs_status cvi_cut_make(const cvs_model *model, const cvi_cut *cut, cvs_model **out, cvs_error *err) {
    cutting c = {.cut = cut, .err = err};
    *out = NULL;
    c.twin = cvi_twin_new(model, err);
    if (!c.twin) {
        return CVS_E_MEMORY;
    }
    int n_lost = c.twin->graph->n_values + c.twin->graph->n_nodes;
    cvs_status s = make(&c);
    for (int i = 0; c.lost && i < 2 * n_lost; i++) {
        cvi_free(c.lost[i]);
    }
    cvi_free(c.lost);
    if (s != CVS_OK) {
        cvs_model_free(c.twin);
        return s;
    }
    *out = c.twin;
    return CVS_OK;
}

cvs_status cvi_model_size(const cvs_model *model, const cvs_run_options *options, int64_t *macs,
                          int64_t *params, cvs_error *err) {
    cvs_summary s;
    CVI_TRY(cvs_model_summarize(model, options, CVS_EN, &s, err));
    *macs = s.macs;
    *params = s.params;
    cvs_summary_free(&s);
    return CVS_OK;
}

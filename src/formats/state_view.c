/* SPDX-License-Identifier: MIT
 * state_view.c - the view of last resort: every tensor of weights as the layer that its shape suggests, one behind the other only on
 * paper. Between them stand nodes of no known operator, so that a run stops at the first with its name instead of inventing numbers.
 */
#include "formats/state.h"

typedef struct view {
    cvi_open *open;
    const cvi_state *s;
    cvi_graph *g;
    int current; /* value that the next gap reads */
} view;

static cvs_status memory(const view *v, bool ok) {
    return ok ? CVS_OK : cvi_no_memory(v->open->err, 0);
}

static cvs_status constant(const view *v, const char *prefix, int length, const char *suffix, int *out) {
    const cvs_tensor *t = cvi_state_find(v->s, "%.*s%s", length, prefix, suffix);
    *out = -1;
    if (t) {
        char *name = cvi_arena_printf(v->g->arena, "%.*s%s", length, prefix, suffix);
        CVI_TRY(memory(v, name != NULL));
        *out = cvi_graph_constant(v->g, name, t, v->open->err);
        return *out >= 0 ? CVS_OK : CVS_E_MEMORY;
    }
    return CVS_OK;
}

/* The unknown way from one layer to the next: `rank` and the channels are what the next one needs. */
static cvs_status gap(view *v, const char *layer, int length, int rank, int64_t channels) {
    cvi_node *node = NULL;
    char *name = cvi_arena_printf(v->g->arena, "%.*s/input", length, layer);
    CVI_TRY(memory(v, name != NULL));
    v->current =
        cvi_graph_op(v->g, "convscope::UnknownConnection", 1, &v->current, name, 0, &node, v->open->err);
    CVI_TRY(v->current >= 0 ? CVS_OK : CVS_E_MEMORY);
    cvi_value *value = &v->g->values[v->current];
    value->dtype = CVS_F32;
    value->rank = rank;
    for (int i = 0; i < rank; i++) {
        value->dim[i] = i == 1 ? channels : -1;
    }
    return CVS_OK;
}

static cvs_status add_layer(view *v, const char *name, int length, const cvs_tensor *w) {
    static const char *const norm[] = {".weight", ".bias", ".running_mean", ".running_var"};
    cvi_graph *g = v->g;
    cvs_error *err = v->open->err;
    cvi_node *node = NULL;
    int in[5] = {-1, -1, -1, -1, -1};
    bool is_norm = cvi_state_find(v->s, "%.*s.running_mean", length, name) &&
                   cvi_state_find(v->s, "%.*s.running_var", length, name) &&
                   cvi_state_find(v->s, "%.*s.bias", length, name) && w->rank == 1;
    if (w->dtype != CVS_F32 || !w->data || (!is_norm && w->rank != 2 && (w->rank < 3 || w->rank > 5))) {
        return CVS_OK;
    }
    char *label = cvi_arena_printf(g->arena, "%.*s", length, name);
    CVI_TRY(memory(v, label != NULL));
    CVI_TRY(gap(v, name, length, is_norm ? 4 : w->rank, is_norm ? w->dim[0] : w->dim[1]));
    in[0] = v->current;
    for (int i = 0; i < (is_norm ? 4 : 2); i++) {
        CVI_TRY(constant(v, name, length, norm[i], &in[1 + i]));
    }
    const char *op = is_norm ? "BatchNormalization" : w->rank == 2 ? "Gemm" : "Conv";
    bool bias_fits =
        is_norm || in[2] < 0 ||
        (v->g->values[in[2]].constant->rank == 1 && v->g->values[in[2]].constant->dim[0] == w->dim[0]);
    int n = is_norm ? 5 : in[2] >= 0 && bias_fits ? 3 : 2;
    int out = cvi_graph_op(g, op, n, in, label, !is_norm, &node, err);
    CVI_TRY(out >= 0 ? CVS_OK : CVS_E_MEMORY);
    if (w->rank == 2) {
        CVI_TRY(memory(v, cvi_attr_set_int(g, &node->attr[0], "transB", 1)));
    } else if (!is_norm) {
        int64_t kernel[3] = {w->dim[2], w->rank > 3 ? w->dim[3] : 1, w->rank > 4 ? w->dim[4] : 1};
        CVI_TRY(memory(v, cvi_attr_set_ints(g, &node->attr[0], "kernel_shape", w->rank - 2, kernel)));
    }
    v->current = out;
    return CVS_OK;
}

cvs_status cvi_state_view(cvi_open *open, cvi_state *s) {
    cvs_model *m = open->model;
    static const int64_t free_dims[4] = {-1, -1, -1, -1};
    view v = {.open = open, .s = s};
    v.g = m->graph = cvi_graph_new(m, NULL, "", open->err);
    v.current = v.g ? cvi_graph_value(v.g, "input", CVS_F32, 4, free_dims, open->err) : -1;
    if (v.current < 0 || !cvi_graph_add_input(v.g, v.current)) {
        return cvi_no_memory(open->err, 0);
    }
    for (int i = 0; i < s->n; i++) {
        const char *name = s->item[i].name;
        size_t n = strlen(name);
        if (n > 7 && n < 4000 && strcmp(name + n - 7, ".weight") == 0) {
            CVI_TRY(add_layer(&v, name, (int)n - 7, &s->item[i].t));
        }
    }
    if (v.g->n_nodes == 0) {
        return cvi_fail(
            open->err, CVS_E_FORMAT,
            "the %d tensors of the file are no weights of layers; name the architecture: --arch FILE", s->n);
    }
    m->has_weights = true;
    bool ok =
        cvi_graph_add_output(v.g, v.current) &&
        cvi_model_note(
            m, "the file holds weights only, and no known architecture fits them: its layers are shown one "
               "by one as their shapes suggest, and cannot be run; name the architecture: --arch FILE");
    return ok ? cvi_graph_finish(v.g, open->err) : cvi_no_memory(open->err, 0);
}

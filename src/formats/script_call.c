/* SPDX-License-Identifier: MIT
 * script_call.c - which function makes what of a call: the rows of script_layers.c, script_maths.c, script_compose.c, script_shapes.c,
 * script_select.c, script_make.c, script_words.c and script_transformer.c by name. An unknown call with tensors becomes a node that opens, draws, and stops a run at its name.
 */
#include "formats/script.h"

script_value cvi_script_arg(const script_args *a, int k, const char *name) {
    if (k >= 0 && k < a->n) {
        return a->arg[k];
    }
    for (int i = 0; i < a->n_named; i++) {
        if (strcmp(a->key[i], name) == 0) {
            return a->named[i];
        }
    }
    return cvi_script_none();
}

double cvi_script_number_arg(const script_args *a, int k, const char *name, double otherwise) {
    script_value v = cvi_script_arg(a, k, name);
    return cvi_script_number(&v, otherwise);
}

int64_t cvi_script_whole_arg(const script_args *a, int k, const char *name, int64_t otherwise) {
    script_value v = cvi_script_arg(a, k, name);
    return cvi_script_whole(&v, otherwise);
}

int cvi_script_graph_arg(script *s, const script_args *a, int k, const char *name) {
    script_value v = cvi_script_arg(a, k, name);
    return cvi_script_graph(s, &v);
}

static const script_call *find(const char *name) {
    const script_calls *const lists[] = {&cvi_script_layers,  &cvi_script_maths,     &cvi_script_shapes,
                                         &cvi_script_words,   &cvi_script_make,      &cvi_script_select,
                                         &cvi_script_compose, &cvi_script_recurrent, &cvi_script_transformer};
    for (int l = 0; l < CVI_COUNT(lists); l++) {
        for (int i = 0; i < lists[l]->n; i++) {
            if (strcmp(lists[l]->list[i].name, name) == 0) {
                return &lists[l]->list[i];
            }
        }
    }
    return NULL;
}

static script_value opaque(script *s, const script_args *a, const char *name) {
    int in[32], n = 0;
    char op[120];
    for (int i = 0; i < a->n; i++) {
        const script_value *v = &a->arg[i];
        for (int k = 0; v->kind == SCRIPT_V_LIST && k < *v->shared_n && n < CVI_COUNT(in); k++) {
            if ((*v->shared)[k].kind == SCRIPT_V_TENSOR) {
                in[n++] = cvi_script_graph(s, &(*v->shared)[k]);
            }
        }
        if (v->kind == SCRIPT_V_TENSOR && n < CVI_COUNT(in)) {
            in[n++] = cvi_script_graph(s, v);
        }
    }
    if (n == 0) {
        return cvi_script_refuse(s, a->name);
    }
    snprintf(op, sizeof op, "torch::%.100s", name);
    bool known = false;
    for (int i = 0; i < s->n_opaque; i++) {
        known |= strcmp(s->opaque[i], op) == 0;
    }
    script_value v = cvi_script_simple(s, op, n, in);
    if (!known && s->n_opaque < CVI_COUNT(s->opaque) && cvi_script_ok(s)) {
        s->opaque[s->n_opaque++] = cvi_arena_strn(s->arena, op, strlen(op));
        cvi_script_set(s, s->opaque[s->n_opaque - 1] ? CVS_OK : cvi_no_memory(s->err, 0));
    }
    return v;
}

script_value cvi_script_call(script *s, const script_args *a) {
    static const char *const prefixes[] = {"torch._C._nn.", "torch.nn.functional.", "torch.", "ops.prim.",
                                           "ops.aten.",     "ops.prepacked.",       "ops."};
    const char *name = a->name;
    char small[120];
    for (int i = 0; i < CVI_COUNT(prefixes); i++) {
        size_t n = strlen(prefixes[i]);
        if (strncmp(name, prefixes[i], n) == 0) {
            name += n;
            break;
        }
    }
    size_t n = strlen(name);
    bool in_place = n > 1 && n < sizeof small && name[n - 1] == '_' && name[n - 2] != '_';
    const script_call *row = NULL;
    if (in_place) { /* add_ is add, and from now on its first argument is the result */
        memcpy(small, name, n - 1);
        small[n - 1] = 0;
        row = find(small);
        name = row ? small : name;
    }
    row = row ? row : find(name);
    script_value v = row ? row->make(s, row, a) : opaque(s, a, name);
    if (in_place && cvi_script_ok(s) && v.kind == SCRIPT_V_TENSOR && a->n > 0 &&
        a->arg[0].kind == SCRIPT_V_TENSOR) {
        int from = cvi_script_graph(s, &a->arg[0]);
        if (from != v.v) {
            s->view[v.v] = s->view[from];
            s->now[from] = v.v;
            cvi_script_write_back(s, from, v.v);
        }
    }
    return v;
}

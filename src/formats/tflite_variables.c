/* SPDX-License-Identifier: MIT
 * tflite_variables.c - what a TensorFlow Lite network remembers in variables: CALL_ONCE runs a subgraph that gives them their first numbers, then
 * operations read and assign them in the file's order. Every run here is the first, so a variable is the value that was last assigned.
 */
#include "formats/tflite_ops.h"

enum { MOST_VARIABLES = 1024, MOST_STARTS = 8 };

struct tflite_variable {
    const char *container, *name; /* borrowed from the file, not terminated */
    size_t n_container, n_name;
    cvi_tf_tensor value;
    bool assigned;
};

static tflite_tensor *tensor_at(tflite *m, const cvi_fb_vector *list, int k) {
    int64_t index = k < list->n ? cvi_fb_int_at(&m->f, list, k) : -1;
    return index >= 0 && index < m->n_tensors ? &m->tensor[index] : NULL;
}

/* The variable that input 0 stands for; NULL: none. */
static tflite_variable *variable(tflite *m) {
    const tflite_tensor *x = tensor_at(m, &m->inputs, 0);
    if (!x || x->handle < 1) {
        m->refused = "this variable is not known";
        return NULL;
    }
    return &m->variables[x->handle - 1];
}

static bool same(const char *a, size_t n, const char *b, size_t k) {
    return n == k && (n == 0 || memcmp(a, b, n) == 0);
}

void cvi_tflite_var_handle(tflite *m) {
    tflite_variable v = {.value = cvi_tf_none()};
    tflite_tensor *out = tensor_at(m, &m->outputs, 0);
    int i = 0;
    v.container = cvi_fb_string_field(&m->f, &m->options, 0, &v.n_container);
    v.name = cvi_fb_string_field(&m->f, &m->options, 1, &v.n_name);
    if (!m->variables) {
        m->variables = cvi_arena_alloc(m->t.b.model->arena, MOST_VARIABLES, sizeof *m->variables);
    }
    if (!m->variables) {
        cvi_build_no_memory(&m->t.b, 0);
        return;
    }
    while (i < m->n_variables &&
           !(same(v.name, v.n_name, m->variables[i].name, m->variables[i].n_name) &&
             same(v.container, v.n_container, m->variables[i].container, m->variables[i].n_container))) {
        i++;
    }
    if (i == MOST_VARIABLES || !out) {
        m->refused = "this variable is not known";
        return;
    }
    if (i == m->n_variables) {
        m->variables[m->n_variables++] = v;
    }
    out->handle = i + 1;
}

void cvi_tflite_read_variable(tflite *m) {
    tflite_variable *v = variable(m);
    if (v && !v->assigned) {
        m->refused = "nothing was assigned to this variable before";
    } else if (v && cvi_tf_is_constant(&v->value)) {
        cvi_tflite_put(m, 0, v->value);
    } else if (v) {
        cvi_tflite_put(m, 0, cvi_tf_identity(&m->t, &v->value));
    }
}

void cvi_tflite_assign_variable(tflite *m) {
    const cvi_tf_tensor *x = cvi_tflite_in(m, 1);
    tflite_variable *v = variable(m);
    if (!v || !x) {
        return;
    }
    v->value = *x;
    v->assigned = true;
    if (!m->is_start && !m->remembers) {
        m->remembers = true;
        if (!cvi_model_note(m->t.b.model, "the network remembers numbers; here every run is its first")) {
            cvi_build_no_memory(&m->t.b, 0);
        }
    }
}

void cvi_tflite_call_once(tflite *m) {
    int64_t graph = cvi_tflite_option(m, 0, 4, 0);
    if (m->is_start || m->n_starts == MOST_STARTS || graph < 1 || graph >= m->n_graphs) {
        m->refused = "this form of the operator is not run";
        return;
    }
    tflite start = *m;
    start.is_start = true;
    cvi_fb_table table = cvi_tflite_lists(&start, graph);
    cvi_tflite_operations(&start, &table);
    m->t = start.t;
    m->f = start.f;
    m->variables = start.variables;
    m->n_variables = start.n_variables;
    m->n_starts++;
}

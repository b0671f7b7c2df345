/* SPDX-License-Identifier: MIT
 * weights_write.c - writes a model's weights as safetensors: every floating-point constant of at least one axis that a node reads, under
 * its own name. The architecture is not in such a file: it is read back with --arch and the model that it came from.
 */
#include "formats/safetensors.h"
#include "formats/reader.h"
#include "ops/op.h"

static bool is_weight(const cvs_tensor *t) {
    bool real = t->dtype == CVS_F32 || t->dtype == CVS_F64 || t->dtype == CVS_F16 || t->dtype == CVS_BF16;
    return real && t->rank >= 1;
}

/* Marks the constants that nodes read, those of subgraphs not. */
static void mark(const cvi_graph *g, bool *used) {
    for (int n = 0; n < g->n_nodes; n++) {
        for (int k = 0; k < g->nodes[n].n_in; k++) {
            int v = g->nodes[n].in[k];
            if (v >= 0 && g->values[v].constant && is_weight(g->values[v].constant)) {
                used[v] = true;
            }
        }
    }
}

static cvs_status write_weights(const cvs_model *model, const char *path, cvs_error *err) {
    const cvi_graph *g = model->graph;
    bool *used = cvi_calloc((size_t)g->n_values + 1, sizeof *used);
    cvi_safetensor *list = cvi_calloc((size_t)g->n_values + 1, sizeof *list);
    const char *const pairs[] = {"format", "convscope", "model", model->name ? model->name : ""};
    cvs_status s = used && list ? CVS_OK : cvi_no_memory(err, (size_t)g->n_values * sizeof *list);
    int n = 0;
    if (s == CVS_OK) {
        mark(g, used);
    }
    for (int v = 0; v < g->n_values && s == CVS_OK; v++) {
        const cvs_tensor *t = used[v] ? g->values[v].constant : NULL;
        if (t && !t->data && cvs_tensor_count(t) != 0) {
            s = cvi_fail(err, CVS_E_ARGUMENT,
                         "the model has no weights to write; --init SEED gives it random ones");
        } else if (t) {
            list[n++] = (cvi_safetensor){.name = g->values[v].name, .t = *t};
        }
    }
    if (s == CVS_OK && n == 0) {
        s = cvi_fail(err, CVS_E_ARGUMENT,
                     "the model has no weights to write; --init SEED gives it random ones");
    }
    s = s == CVS_OK ? cvi_safetensors_write(path, list, n, pairs, 2, err) : s;
    cvi_free(used);
    cvi_free(list);
    return s;
}

const cvi_model_writer cvi_model_writer_safetensors = {
    .name = "safetensors", .title = "safetensors", .suffix = ".safetensors", .write = write_weights};

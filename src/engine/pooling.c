/* SPDX-License-Identifier: MIT
 * pooling.c - a pooling layer to look at: its input, its output, its window, and for maximum pooling the winner of every
 * window (the first in row-major order among equals).
 */
#include <math.h>

#include "engine/run_state.h"

/* One window, clipped to the picture: rows [top, bottom) step dilation, columns alike. */
typedef struct span {
    int64_t first, end, step;
} span;

static span span_of(const cvs_window *w, int axis, int64_t o, int64_t side) {
    int64_t start = o * w->stride[axis] - w->pad_begin[axis], d = CVI_MAX(w->dilation[axis], 1);
    int64_t end = start + (w->kernel[axis] - 1) * d + 1;
    if (start < 0) {
        start += (-start + d - 1) / d * d;
    }
    return (span){start, CVI_MIN(end, side), d};
}

/* Position h*W+w of the winner, -1 where the window is empty. A NaN wins, the first one first. */
static int64_t winner(const cvs_tensor *in, int64_t plane, span rows, span columns, double *value) {
    int64_t W = in->dim[3], base = plane * in->dim[2] * W, best = -1;
    for (int64_t h = rows.first; h < rows.end; h += rows.step) {
        for (int64_t w = columns.first; w < columns.end; w += columns.step) {
            double v = cvi_get(in, base + h * W + w);
            if (best < 0 || v > *value || (isnan(v) && !isnan(*value))) {
                *value = v;
                best = h * W + w;
            }
        }
    }
    return best;
}

static void find_switches(const cvs_tensor *in, const cvs_tensor *out, const cvs_window *w,
                          cvs_tensor *switches) {
    int64_t *to = switches->data, i = 0;
    for (int64_t plane = 0; plane < out->dim[0] * out->dim[1]; plane++) {
        for (int64_t y = 0; y < out->dim[2]; y++) {
            for (int64_t x = 0; x < out->dim[3]; x++, i++) {
                double value = 0;
                to[i] = winner(in, plane, span_of(w, 0, y, in->dim[2]), span_of(w, 1, x, in->dim[3]), &value);
            }
        }
    }
}

static cvs_status read_window(cvs_run *run, int n, const cvs_tensor *in, cvs_window *window, bool *global,
                              cvs_error *err) {
    cvi_opctx ctx;
    cvi_field_step step = {.kind = CVI_FIELD_SAME};
    CVI_TRY(cvi_exec_opctx(run->exec, n, &ctx, err));
    if (ctx.op->field) {
        ctx.op->field(&ctx, &step);
    }
    *global = step.kind == CVI_FIELD_ALL;
    for (int a = 0; a < 2; a++) {
        window->kernel[a] = *global ? in->dim[2 + a] : step.kernel[a];
        window->stride[a] = *global ? 1 : CVI_MAX(step.stride[a], 1);
        window->dilation[a] = *global ? 1 : CVI_MAX(step.dilation[a], 1);
        window->pad_begin[a] = *global ? 0 : step.pad_begin[a];
    }
    if (!*global && step.kind != CVI_FIELD_WINDOW) {
        return cvi_fail(err, CVS_E_UNSUPPORTED, "this pooling layer has no window over rows and columns");
    }
    return CVS_OK;
}

/* The pooling node that made a value, through nodes that pass it on. */
static int pooling_node(const cvi_graph *g, int v) {
    for (int n = g->values[v].producer; n >= 0; n = g->values[g->nodes[n].in[0]].producer) {
        const cvi_node *node = &g->nodes[n];
        if (node->def && (node->def->flags & CVI_OP_POOL)) {
            return n;
        }
        if (!node->def || !(node->def->flags & (CVI_OP_IDENTITY | CVI_OP_RESHAPE)) || node->n_in < 1 ||
            node->in[0] < 0) {
            return -1;
        }
    }
    return -1;
}

static bool has_attr(const cvi_op *op, const char *name) {
    for (int i = 0; i < op->n_attrs; i++) {
        if (strcmp(op->attrs[i].name, name) == 0) {
            return true;
        }
    }
    return false;
}

static cvs_status look(cvs_run *run, int n, cvs_tensor *input, cvs_tensor *output, cvs_tensor *switches,
                       cvs_window *window, cvs_error *err) {
    const cvi_node *node = &run->model->graph->nodes[n];
    bool global = false;
    CVI_TRY(cvi_run_value(run, node->in[0], input, err));
    CVI_TRY(cvi_run_value(run, node->out[0], output, err));
    if (input->rank != 4 || output->rank != 4) {
        return cvi_fail(err, CVS_E_UNSUPPORTED,
                        "pooling is shown for layers with rows and columns; this one has rank %d",
                        input->rank);
    }
    CVI_TRY(read_window(run, n, input, window, &global, err));
    bool maximum = node->def->aux_bytes != NULL; /* pools that keep switches are maximum pools */
    if (maximum) {
        CVI_TRY(cvs_tensor_new(switches, CVS_I64, output->rank, output->dim, err));
        find_switches(input, output, window, switches);
    }
    snprintf(window->kind, sizeof window->kind, "%s%s", global ? "global-" : "",
             maximum                    ? "max"
             : has_attr(node->def, "p") ? "lp"
                                        : "average");
    return CVS_OK;
}

cvs_status cvs_run_pooling(cvs_run *run, int layer, cvs_tensor *input, cvs_tensor *output,
                           cvs_tensor *switches, cvs_window *window, cvs_error *err) {
    const cvi_graph *g = run->model->graph;
    int v = cvi_run_layer_value(run, layer, err);
    *input = *output = *switches = (cvs_tensor){0};
    *window = (cvs_window){0};
    if (v < 0) {
        return CVS_E_NOT_FOUND;
    }
    int n = pooling_node(g, v);
    if (n < 0) {
        return cvi_fail(err, CVS_E_NOT_FOUND, "layer %.80s is no pooling layer", g->values[v].name);
    }
    cvs_status s = look(run, n, input, output, switches, window, err);
    if (s != CVS_OK) {
        cvs_tensor_free(switches);
        *input = *output = (cvs_tensor){0};
    }
    return s;
}

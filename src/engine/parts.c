/* SPDX-License-Identifier: MIT
 * parts.c - a batch in parts. Where only the answer is asked for, runs of steps that treat every sample by itself take a few
 * samples at a time, as many as keep a step's input and output in a second-level cache; values that nobody outside such a run
 * reads have memory for those few samples only. Dense layers, which read many weights for one sample, stay outside and see
 * the whole batch at once.
 */
#include "engine/plan.h"

/* Input and output of one step for one part. Chosen by measuring SqueezeNet, MobileNetV2 and ResNet-50. */
enum { PART_BYTES = 3 << 20 };

typedef enum unit { UNIT_NONE, UNIT_TRANSPARENT, UNIT_SAMPLES } unit;

/* A value of the batch in channels-last form that a run makes or reads. */
static bool is_batch(const cvi_exec *x, int v, int64_t batch) {
    const cvi_slot *slot = &x->slots[v];
    return slot->known && !slot->late && !slot->constant && slot->shape.rank == 4 &&
           slot->shape.dtype == CVS_F32 && slot->shape.dim[0] == batch;
}

static int64_t bytes_of(const cvi_exec *x, int v) {
    int64_t bytes = 0;
    return cvi_form_bytes(&x->slots[v].shape, CVS_NHWC8, &bytes) ? bytes : INT64_MAX / 8;
}

/* Inputs of node n as a unit: data of the whole batch, or numbers that all samples share. */
static bool reads_samples(const cvi_exec *x, int n, int64_t batch, int64_t *bytes) {
    const cvi_node *node = &x->g->nodes[n];
    bool any = false;
    for (int k = 0; k < node->n_in; k++) {
        int v = node->in[k];
        if (v < 0 || (x->slots[v].constant && !is_batch(x, v, batch))) {
            const cvs_tensor *t = v < 0 ? NULL : &x->slots[v].shape;
            if (t && t->rank == 4 && t->dim[0] == batch && cvi_op_role(node->def, k) == CVI_DATA) {
                return false; /* a constant with a row for each sample */
            }
            continue;
        }
        if (!is_batch(x, v, batch) || x->slots[v].inner || cvi_step_form(x, n, k) != CVS_NHWC8) {
            return false;
        }
        *bytes += bytes_of(x, v);
        any = true;
    }
    return any;
}

static bool is_apart(cvi_exec *x, int n) {
    const cvi_op *op = x->g->nodes[n].def;
    if (!op->apart) {
        return (op->flags & (CVI_OP_POINTWISE | CVI_OP_CONV | CVI_OP_POOL)) != 0;
    }
    bool apart = cvi_call_fill(x, n, &x->call, CVI_IN_CONSTANTS, NULL) == CVS_OK && op->apart(&x->call.ctx);
    cvi_arena_reset(x->scratch);
    return apart;
}

static unit classify(cvi_exec *x, int n, int64_t batch, int64_t *bytes) {
    const cvi_node *node = &x->g->nodes[n];
    const cvi_step *step = &x->steps[n];
    const cvi_group *group = step->group >= 0 ? &x->groups[step->group] : NULL;
    if (step->kind == CVI_STEP_FOLDED || (group && !cvi_group_ends(x, n))) {
        return UNIT_TRANSPARENT;
    }
    if (!node->def || step->late) {
        return UNIT_NONE;
    }
    int head = group ? group->node[0] : n, out = group ? group->out : node->out[0];
    const cvi_op *op = x->g->nodes[head].def;
    for (int k = 1; k < node->n_out; k++) {
        if (node->out[k] >= 0) {
            return UNIT_NONE;
        }
    }
    if (step->kind == CVI_STEP_VIEW) {
        bool same = !(node->def->flags & CVI_OP_RESHAPE) && is_batch(x, node->in[0], batch);
        return same ? UNIT_TRANSPARENT : UNIT_NONE;
    }
    if (step->kind != CVI_STEP_RUN || !step->fast || step->repack || !is_apart(x, head) ||
        (op->flags & CVI_OP_RANDOM) || op->fast_layout != CVS_NHWC8 || !is_batch(x, out, batch)) {
        return UNIT_NONE;
    }
    *bytes = bytes_of(x, out);
    return reads_samples(x, head, batch, bytes) ? UNIT_SAMPLES : UNIT_NONE;
}

static int64_t samples_for(const cvi_exec *x, int64_t batch, int64_t bytes) {
    int64_t most = x->options.part_bytes > 0 ? x->options.part_bytes : PART_BYTES;
    int64_t p = CVI_MAX(1, CVI_MIN(batch, most / CVI_MAX(1, bytes / batch)));
    while (batch % p != 0) {
        p--;
    }
    return p;
}

static void close_part(cvi_exec *x, cvi_stretch *part, int units) {
    if (units > 1 && part->samples < part->batch) {
        for (int n = part->first; n <= part->last; n++) {
            x->steps[n].part = x->n_parts;
        }
        x->parts[x->n_parts++] = *part;
    }
    part->first = -1;
}

static void find(cvi_exec *x, int64_t batch) {
    cvi_stretch part = {.first = -1, .batch = batch};
    int units = 0;
    for (int n = 0; n < x->g->n_nodes; n++) {
        int64_t bytes = 0, p;
        unit kind = classify(x, n, batch, &bytes);
        if (kind == UNIT_TRANSPARENT) {
            continue;
        }
        p = samples_for(x, batch, bytes);
        bool fits = kind == UNIT_SAMPLES && part.first >= 0 && p < 4 * part.samples && part.samples < 4 * p;
        if (part.first >= 0 && !fits) {
            close_part(x, &part, units);
        }
        if (kind == UNIT_SAMPLES) {
            units = part.first < 0 ? 1 : units + 1;
            part.samples = part.first < 0 ? p : CVI_MIN(part.samples, p);
            part.first = part.first < 0 ? n : part.first;
            part.last = n;
        }
    }
    if (part.first >= 0) {
        close_part(x, &part, units);
    }
}

/* ---- values inside one run ----------------------------------------------------------------------------------- */

enum { UNREAD = -2 };

typedef struct within {
    cvi_exec *x;
    int part; /* of the reader */
} within;

static bool read_from(void *context, int v) {
    const within *w = context;
    int *part = &w->x->slots[v].part;
    *part = *part == UNREAD || *part == w->part ? w->part : -1;
    return false;
}

static int part_of(const cvi_exec *x, int n) {
    int g = x->steps[n].group;
    return x->steps[g < 0 ? n : x->groups[g].node[x->groups[g].n - 1]].part;
}

/* The caller's pictures are converted part by part too where only one run reads them. */
static void mark_inputs(cvi_exec *x, int from, int to) {
    for (int i = 0; i < x->g->n_inputs; i++) {
        cvi_slot *slot = &x->slots[x->g->inputs[i]];
        if (!slot->keep && slot->part == from && slot->known) {
            slot->part = to;
        }
    }
}

/* slot.part: the run that alone makes and reads the value. A view and what it shows are inside together or not at all. */
static void mark_within(cvi_exec *x) {
    const cvi_graph *g = x->g;
    for (int v = 0; v < g->n_values; v++) {
        int producer = g->values[v].producer;
        x->slots[v].part =
            producer >= 0 && !x->slots[v].keep && !x->slots[v].constant ? part_of(x, producer) : -1;
    }
    mark_inputs(x, -1, UNREAD);
    for (int n = 0; n < g->n_nodes; n++) {
        within w = {x, part_of(x, n)};
        cvi_plan_reads(x, n, read_from, &w);
    }
    mark_inputs(x, UNREAD, -1);
    for (int n = g->n_nodes - 1; n >= 0; n--) {
        if (x->steps[n].kind == CVI_STEP_VIEW && x->slots[g->nodes[n].out[0]].part < 0) {
            x->slots[g->nodes[n].in[0]].part = -1;
        }
    }
    for (int n = 0; n < g->n_nodes; n++) {
        if (x->steps[n].kind == CVI_STEP_VIEW && x->slots[g->nodes[n].in[0]].part < 0) {
            x->slots[g->nodes[n].out[0]].part = -1;
        }
    }
}

cvs_status cvi_parts_find(cvi_exec *x, cvs_error *err) {
    const cvi_graph *g = x->g;
    const cvs_tensor *in = g->n_inputs > 0 ? &x->slots[g->inputs[0]].shape : NULL;
    if (x->options.keep != CVI_KEEP_ANSWER || x->options.keep_aux || x->options.training || !in ||
        in->rank != 4 || in->dim[0] < 2) {
        return CVS_OK;
    }
    x->parts = cvi_calloc((size_t)CVI_MAX(g->n_nodes, 1), sizeof *x->parts);
    if (!x->parts) {
        return cvi_no_memory(err, (size_t)g->n_nodes * sizeof *x->parts);
    }
    find(x, in->dim[0]);
    mark_within(x);
    return CVS_OK;
}

/* ---- running ------------------------------------------------------------------------------------------------- */

void cvi_part_narrow(const cvi_exec *x, int v, cvs_tensor *t) {
    const cvi_slot *slot = &x->slots[v];
    if (!x->now || t->layout != CVS_NHWC8 || slot->constant || t->dim[0] != x->now->batch) {
        return;
    }
    size_t each = t->bytes / (size_t)t->dim[0];
    t->dim[0] = x->now->samples;
    t->bytes = each * (size_t)t->dim[0];
    if (t->data && slot->part < 0) {
        t->data = (char *)t->data + each * (size_t)x->sample;
    }
}

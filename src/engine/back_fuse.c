/* SPDX-License-Identifier: MIT
 * back_fuse.c - after a backward pass is planned: a step that only limits a gradient (a rectifier) is left to the step that wrote it,
 * which does so while the numbers are near; a step that only multiplies by a factor per channel (a normalisation) is left to the
 * convolution that reads the product, which has the factors in its weights. Both happen only where nobody else looks at the
 * numbers in between.
 */
#include "engine/back.h"

/* Whether a step reads, or writes, a buffer. */
static bool reads(const cvi_exec *x, const cvi_back_plan *p, const cvi_back_step *s, int buffer) {
    if (s->kind == CVI_BACK_COPY) {
        return s->from == buffer || s->base == buffer;
    }
    if (s->kind != CVI_BACK_FAST && s->kind != CVI_BACK_PLAIN) {
        return false;
    }
    const cvi_node *node = &x->g->nodes[s->node];
    const cvi_back_part *part = cvi_back_parts(p) + s->parts;
    for (int k = 0; k < node->n_out + node->n_in; k++) {
        if ((k < node->n_out && part[k].buffer == buffer) || (k >= node->n_out && part[k].base == buffer)) {
            return true;
        }
    }
    return false;
}

/* The last input of a step's node whose gradient it writes into the buffer; -2: no step of a node, but it writes; -1: it does not. */
static int writes(const cvi_exec *x, const cvi_back_plan *p, const cvi_back_step *s, int buffer) {
    if (s->kind == CVI_BACK_SEED || s->kind == CVI_BACK_CLEAR || s->kind == CVI_BACK_COPY) {
        return s->to == buffer ? -2 : -1;
    }
    if (s->kind == CVI_BACK_NONE) {
        return -1;
    }
    const cvi_node *node = &x->g->nodes[s->node];
    const cvi_back_part *part = cvi_back_parts(p) + s->parts + node->n_out;
    for (int k = node->n_in - 1; k >= 0; k--) {
        if (part[k].buffer == buffer) {
            return k;
        }
    }
    return -1;
}

/* Buffers of a fast step of one output and one wanted input, which is the first; false for any other step. */
static bool one_to_one(const cvi_exec *x, const cvi_back_plan *p, const cvi_back_step *s, int *from,
                       int *to) {
    if (s->kind != CVI_BACK_FAST || x->g->nodes[s->node].n_out != 1) {
        return false;
    }
    const cvi_node *node = &x->g->nodes[s->node];
    const cvi_back_part *part = cvi_back_parts(p) + s->parts;
    for (int k = 1; k < node->n_in; k++) {
        if (part[1 + k].buffer >= 0) {
            return false;
        }
    }
    *from = part[0].buffer;
    *to = part[1].buffer;
    return part[1].base < 0 && *from >= 0 && *to >= 0;
}

/* Step i limits a buffer in place: the step that wrote it last does that. */
static void fuse_limit(cvi_exec *x, cvi_back_plan *p, int i) {
    cvi_back_step *steps = cvi_back_steps(p), *s = &steps[i];
    int from, to, k = -1, j = i - 1;
    float lo, hi;
    if (!one_to_one(x, p, s, &from, &to) || from != to || !x->g->nodes[s->node].def->clamp) {
        return;
    }
    if (cvi_call_fill(x, s->node, &x->call, CVI_IN_CONSTANTS, NULL) != CVS_OK ||
        !x->g->nodes[s->node].def->clamp(&x->call.ctx, &lo, &hi)) {
        return;
    }
    for (; j >= 0 && (k = writes(x, p, &steps[j], from)) == -1; j--) {
        if (reads(x, p, &steps[j], from)) {
            return;
        }
    }
    if (j < 0 || k < 0 || steps[j].kind != CVI_BACK_FAST || !steps[j].reads.gates) {
        return;
    }
    const cvi_node *writer = &x->g->nodes[steps[j].node];
    cvi_back_part *part = &cvi_back_parts(p)[steps[j].parts + writer->n_out + k];
    /* Not a gradient that was passed on to the limit's output from another value. */
    if (part->gate || writer->in[k] != x->g->nodes[s->node].out[0] ||
        cvi_back_node_form(x, steps[j].node, writer->in[k], CVI_DATA) !=
            cvi_back_node_form(x, s->node, writer->in[k], CVI_DATA)) {
        return;
    }
    part->gate = 1 + s->node;
    s->kind = CVI_BACK_NONE;
}

/* Step i multiplies `from` by factors into `to`: the one step that reads `to` has them in its weights. */
static void fuse_scale(cvi_exec *x, cvi_back_plan *p, const bool *wanted, int i) {
    cvi_back_step *steps = cvi_back_steps(p), *s = &steps[i], *reader = NULL;
    int from, to, last = i;
    const cvi_node *node = s->kind == CVI_BACK_FAST ? &x->g->nodes[s->node] : NULL;
    if (!node || !node->def->affine || !one_to_one(x, p, s, &from, &to) || wanted[node->in[0]] ||
        cvi_call_fill(x, s->node, &x->call, CVI_IN_CONSTANTS, NULL) != CVS_OK ||
        !node->def->affine(&x->call.ctx, NULL, NULL)) {
        return;
    }
    int end = cvi_back_buffers(p)[to].users > 0 ? p->steps.count - 1 : cvi_back_buffers(p)[to].death;
    for (int j = i + 1; j <= end; j++) {
        if (writes(x, p, &steps[j], to) != -1 && !reader) {
            return;
        }
        if (reads(x, p, &steps[j], to)) {
            if (reader) {
                return;
            }
            reader = &steps[j];
            last = j;
        }
    }
    if (!reader || reader->kind != CVI_BACK_FAST || !reader->reads.scales || reader->scale ||
        x->g->nodes[reader->node].out[0] != node->in[0]) {
        return;
    }
    for (int j = i + 1; j <= last && from != to; j++) { /* `from` must still hold its numbers then */
        if (writes(x, p, &steps[j], from) != -1) {
            return;
        }
    }
    cvi_back_parts(p)[reader->parts].buffer = from;
    cvi_back_buffers(p)[from].death = CVI_MAX(cvi_back_buffers(p)[from].death, last);
    if (from != to) {
        cvi_back_buffers(p)[to].bytes = 0;
    }
    reader->scale = 1 + s->node;
    s->kind = CVI_BACK_NONE;
}

void cvi_back_fuse(cvi_exec *x, cvi_back_plan *p, const bool *wanted) {
    for (int i = 0; i < p->steps.count; i++) {
        fuse_limit(x, p, i);
        fuse_scale(x, p, wanted, i);
        cvi_arena_reset(x->scratch);
    }
}

/* SPDX-License-Identifier: MIT
 * value_shapes.c - walks the nodes that a reader has made so far and asks each operator's shape rule; where all inputs' numbers are
 * known and the result is small, the operator's plain form computes it (the shape arithmetic of TensorFlow graphs).
 */
#include "formats/value_shapes.h"

#include "ops/op.h"

enum { MAX_PORTS = 64 };

static cvs_tensor source_shape(const cvi_shapes *s, const cvi_value *v) {
    if (v->constant) {
        return *v->constant;
    }
    cvs_tensor t = {.dtype = v->dtype, .rank = v->rank};
    if (v->rank < 0) {
        return (cvs_tensor){0};
    }
    for (int i = 0; i < v->rank; i++) {
        t.dim[i] = v->dim[i] >= 0 ? v->dim[i] : i == 0 ? 1 : s->side;
        if (t.dim[i] == 0 && v->dim[i] < 0) {
            return (cvs_tensor){0};
        }
    }
    return t;
}

static bool grow(cvi_shapes *s, cvi_build *b) {
    if (b->g->n_values > s->capacity) {
        int capacity = CVI_MAX(64, 2 * b->g->n_values);
        cvs_tensor *of = cvi_arena_alloc(b->model->arena, capacity, sizeof *of);
        if (!of) {
            cvi_build_no_memory(b, (size_t)capacity * sizeof *of);
            return false;
        }
        if (s->n > 0) {
            memcpy(of, s->of, (size_t)s->n * sizeof *of);
        }
        s->of = of;
        s->capacity = capacity;
    }
    for (; s->n < b->g->n_values; s->n++) {
        s->of[s->n] = source_shape(s, &b->g->values[s->n]);
    }
    return true;
}

/* Whether the numbers of all outputs can be worked out now. */
static bool can_evaluate(const cvi_shapes *s, const cvi_opctx *ctx) {
    if (!ctx->op->forward || s->evaluate <= 0) {
        return false;
    }
    for (int i = 0; i < ctx->n_in; i++) {
        const cvs_tensor *t = ctx->in[i];
        bool wide = t && (t->dtype == CVS_F16 || t->dtype == CVS_BF16) && !ctx->op->any_type;
        bool unknown = t && !t->data && cvs_tensor_count(t) != 0 && !(ctx->op->flags & CVI_OP_OF_SHAPE);
        if (wide || unknown) {
            return false;
        }
    }
    for (int i = 0; i < ctx->n_out; i++) {
        int64_t n = cvs_tensor_count(&ctx->out[i]);
        if (ctx->out[i].dtype == CVS_NONE || n < 0 || n > s->evaluate) {
            return false;
        }
    }
    return true;
}

static void evaluate(cvi_build *b, cvi_opctx *ctx) {
    for (int i = 0; i < ctx->n_out; i++) {
        int64_t bytes = cvs_tensor_count(&ctx->out[i]) * (int64_t)cvs_dtype_size(ctx->out[i].dtype);
        ctx->out[i].bytes = (size_t)bytes;
        ctx->out[i].data = cvi_arena_alloc(b->model->arena, CVI_MAX(bytes, 1), 1);
        if (!ctx->out[i].data) {
            cvi_build_no_memory(b, (size_t)bytes);
            return;
        }
    }
    cvs_status status = ctx->op->forward(ctx);
    if (status == CVS_E_MEMORY) {
        cvi_build_no_memory(b, 0);
    }
    for (int i = 0; status != CVS_OK && i < ctx->n_out; i++) {
        ctx->out[i].data = NULL;
    }
}

static void infer_node(cvi_shapes *s, cvi_build *b, const cvi_node *node, cvi_arena *scratch) {
    const cvi_op *op = cvi_op_find(node->op);
    const cvs_tensor *in[MAX_PORTS] = {NULL};
    cvs_tensor out[MAX_PORTS] = {{0}};
    if (!op || !op->infer || node->n_in > MAX_PORTS || node->n_out > MAX_PORTS || node->n_in < 1) {
        return;
    }
    for (int i = 0; i < op->n_inputs; i++) { /* what an operator needs, its rule reads without asking */
        if (!op->inputs[i].optional && (i >= node->n_in || node->in[i] < 0)) {
            return;
        }
    }
    for (int i = 0; i < node->n_in; i++) {
        in[i] = node->in[i] >= 0 ? &s->of[node->in[i]] : NULL;
        if (in[i] && in[i]->dtype == CVS_NONE) {
            return;
        }
    }
    cvs_error quiet = {.lang = b->err ? b->err->lang : CVS_EN};
    cvi_opctx ctx = {.graph = b->g,
                     .node = node,
                     .op = op,
                     .n_in = node->n_in,
                     .n_out = node->n_out,
                     .in = in,
                     .out = out,
                     .scratch = scratch,
                     .err = &quiet};
    cvs_status status = op->infer(&ctx);
    if (status == CVS_E_MEMORY) {
        cvi_build_no_memory(b, 0);
    }
    if (status != CVS_OK) {
        if (s->strict && status != CVS_E_LATE && cvi_build_ok(b)) {
            if (b->err) {
                *b->err = quiet;
            }
            cvi_build_set(b, status);
        }
        return;
    }
    if (can_evaluate(s, &ctx)) {
        evaluate(b, &ctx);
    }
    for (int i = 0; i < node->n_out; i++) {
        if (node->out[i] >= 0) {
            s->of[node->out[i]] = out[i];
        }
    }
}

const cvs_tensor *cvi_shapes_of(cvi_shapes *s, cvi_build *b, int value) {
    if (!cvi_build_ok(b) || value < 0 || !grow(s, b)) {
        return NULL;
    }
    if (s->inferred < b->g->n_nodes) {
        cvi_arena *scratch = cvi_arena_new(0);
        if (!scratch) {
            cvi_build_no_memory(b, 0);
            return NULL;
        }
        for (; s->inferred < b->g->n_nodes && cvi_build_ok(b); s->inferred++) {
            infer_node(s, b, &b->g->nodes[s->inferred], scratch);
            cvi_arena_reset(scratch);
        }
        cvi_arena_free(scratch);
    }
    return cvi_build_ok(b) && s->of[value].dtype != CVS_NONE ? &s->of[value] : NULL;
}

void cvi_shapes_tell(cvi_shapes *s, cvi_build *b, int value, const cvs_tensor *shape) {
    cvi_shapes_of(s, b, value); /* makes room, and settles what comes before */
    if (cvi_build_ok(b) && value >= 0) {
        s->of[value] = *shape;
    }
}

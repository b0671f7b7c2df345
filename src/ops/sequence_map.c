/* SPDX-License-Identifier: MIT
 * sequence_map.c - SequenceMap: a small graph on every tensor of a list (tensor/list.h), its results as lists. Further inputs are lists of the same
 * length, read in step, or tensors that are the same for all. As with a loop, infer runs it, while running, and leaves the outputs to forward.
 */
#include "ops/control.h"
#include "ops/walk.h"
#include "tensor/list.h"

typedef struct mapping {
    const cvi_graph *body;
    int64_t n;
    cvs_tensor **element;  /* of each input that is a list: views of its tensors; NULL: the input itself */
    cvs_tensor *in, *made; /* of one call; results: output k of element i is made[k*n + i], owned */
    int64_t bytes;         /* of results so far */
    void *state;
} mapping;

static cvs_status new_tensors(const cvi_opctx *ctx, int64_t count, int64_t more, cvs_tensor **out) {
    int64_t n = 0;
    *out = cvi_mul(count, more, &n) ? cvi_arena_alloc(ctx->scratch, CVI_MAX(n, 1), sizeof **out) : NULL;
    return *out ? CVS_OK : cvi_no_memory(ctx->err, (size_t)n * sizeof **out);
}

/* The lists among the inputs; the first input is one and says how long they are. */
static cvs_status read_lists(const cvi_opctx *ctx, mapping *m) {
    m->element = cvi_arena_alloc(ctx->scratch, CVI_MAX(ctx->n_in, 1), sizeof *m->element);
    if (!m->element) {
        return cvi_no_memory(ctx->err, (size_t)ctx->n_in * sizeof *m->element);
    }
    for (int k = 0; k < ctx->n_in; k++) {
        int kind;
        int64_t n;
        if (!ctx->in[k]) {
            return cvi_fail(ctx->err, CVS_E_FORMAT, "input %d is absent", k);
        }
        CVI_TRY(cvi_need(ctx, k));
        if (k > 0 && ctx->in[k]->dtype != CVI_LIST) {
            continue;
        }
        CVI_TRY(cvi_list_open(ctx->in[k], &kind, &n, NULL, ctx->err));
        if (k > 0 && n != m->n) {
            return cvi_fail(ctx->err, CVS_E_SHAPE, "the sequences have %lld and %lld tensors",
                            (long long)m->n, (long long)n);
        }
        m->n = n;
        CVI_TRY(new_tensors(ctx, n, 1, &m->element[k]));
        CVI_TRY(cvi_list_open(ctx->in[k], &kind, &n, m->element[k], ctx->err));
    }
    return CVS_OK;
}

static cvs_status find_body(const cvi_opctx *ctx, mapping *m) {
    const cvi_attr *attr = cvi_node_attr(ctx->node, "body");
    if (!attr || !attr->graph) {
        return cvi_at_attr(ctx->err, cvi_fail(ctx->err, CVS_E_FORMAT, "the branch is absent"), "body");
    }
    m->body = attr->graph;
    if (!ctx->run_body) {
        return cvi_fail(ctx->err, CVS_E_UNSUPPORTED, "subgraphs cannot be run here");
    }
    if (ctx->n_in < 1 || m->body->n_inputs != ctx->n_in || ctx->n_out > m->body->n_outputs) {
        return cvi_at_attr(ctx->err,
                           cvi_fail(ctx->err, CVS_E_FORMAT,
                                    "the body's %d inputs and %d outputs do not fit the node's %d and %d",
                                    m->body->n_inputs, m->body->n_outputs, ctx->n_in, ctx->n_out),
                           "body");
    }
    return CVS_OK;
}

static cvs_status run_all(const cvi_opctx *ctx, mapping *m) {
    cvs_tensor *out;
    CVI_TRY(new_tensors(ctx, m->body->n_outputs, 1, &out));
    for (int64_t i = 0; i < m->n; i++) {
        for (int k = 0; k < ctx->n_in; k++) {
            m->in[k] = m->element[k] ? m->element[k][i] : *ctx->in[k];
            m->in[k].owned = false;
        }
        CVI_TRY(ctx->run_body(ctx, m->body, m->in, out, &m->state));
        for (int k = 0; k < m->body->n_outputs; k++) {
            if (k < ctx->n_out) {
                m->made[k * m->n + i] = out[k];
                m->bytes += (int64_t)out[k].bytes;
            } else {
                cvs_tensor_free(&out[k]);
            }
            out[k] = (cvs_tensor){0};
        }
        if (m->bytes > m->body->limits->max_memory_bytes) {
            return cvi_fail(ctx->err, CVS_E_LIMIT, "the values of this model are larger than any memory");
        }
    }
    return CVS_OK;
}

static cvs_status pack(const cvi_opctx *ctx, const mapping *m, cvs_tensor *outputs) {
    for (int k = 0; k < ctx->n_out; k++) {
        const cvs_tensor *made = m->made + k * m->n;
        int64_t words = cvi_list_words(m->n, made);
        if (words < 0) {
            return cvi_fail(ctx->err, CVS_E_LIMIT, "the values of this model are larger than any memory");
        }
        CVI_TRY(cvs_tensor_new(&outputs[k], CVI_LIST, 1, &words, ctx->err));
        cvi_list_fill(CVI_LIST_SEQUENCE, m->n, made, outputs[k].data);
    }
    return CVS_OK;
}

static cvs_status run_map(cvi_opctx *ctx, cvs_tensor *outputs) {
    mapping m = {0};
    CVI_TRY(find_body(ctx, &m));
    CVI_TRY(read_lists(ctx, &m));
    CVI_TRY(new_tensors(ctx, ctx->n_in, 1, &m.in));
    CVI_TRY(new_tensors(ctx, m.n, CVI_MAX(ctx->n_out, 1), &m.made));
    cvs_status s = run_all(ctx, &m);
    s = s == CVS_OK ? pack(ctx, &m, outputs) : s;
    ctx->end_body(&m.state);
    for (int64_t i = 0; i < m.n * ctx->n_out; i++) {
        cvs_tensor_free(&m.made[i]);
    }
    return s;
}

static cvs_status infer_map(cvi_opctx *ctx) {
    return cvi_outputs_infer(ctx, run_map);
}

static cvs_status forward_map(cvi_opctx *ctx) {
    return cvi_outputs_forward(ctx, run_map);
}

static const cvi_op_io map_in[] = {{"input_sequence", CVI_DATA, false, false},
                                   {"additional_inputs", CVI_DATA, true, true}};
static const cvi_op_io map_out[] = {{"out_sequence", CVI_DATA, false, true}};
static const cvi_op_attr map_attrs[] = {{"body", CVI_ATTR_GRAPH, NULL, "a graph",
                                         "what runs on every tensor of the list",
                                         "对列表中每个张量运行的子图"}};

const cvi_op cvi_op_sequence_map = {
    .name = "SequenceMap",
    .since = 17,
    .inputs = map_in,
    .n_inputs = 2,
    .outputs = map_out,
    .n_outputs = 1,
    .attrs = map_attrs,
    .n_attrs = 1,
    .glyph = CVI_GLYPH_UNKNOWN,
    .infer = infer_map,
    .forward = forward_map,
    .any_type = true,
    .field = cvi_field_all,
    .text = {"Map over a sequence", "逐元素映射", "Runs a small graph on every tensor of a list.",
             "对列表中的每个张量运行一个小图。", "y[i] ← body(s[i])", "Has no picture; its elements have.",
             "没有图像；其元素有。"},
};

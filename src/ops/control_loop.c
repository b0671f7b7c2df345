/* SPDX-License-Identifier: MIT
 * control_loop.c - Loop and Scan: a subgraph that runs again and again, its state carried from turn to turn; what it gives beside the
 * state is stacked. Shapes depend on the number of turns and may change with them, so infer runs the loop itself (while running, when
 * all numbers are there) and leaves the outputs to forward. Definitions: ONNX operators Loop (1 to 21) and Scan (9 to 21).
 */
#include "ops/control.h"
#include "ops/walk.h"

enum { MOST_TURNS = 1 << 20 };

typedef struct loop {
    const cvi_graph *body;
    int first_state; /* input of the node that is the first state; the body's inputs before its states are `own` */
    int own; /* Loop: number of the turn and condition; Scan: 0. Its outputs before the states: 1, 0 */
    int states, slices, stacked;
    const int64_t *slice_axis, *slice_back, *stack_axis, *stack_back; /* Scan's, NULL: axis 0, forwards */
    int64_t most;                                                     /* turns */
    cvs_tensor *in, *out; /* of one turn: the body's inputs, borrowed or owned; its outputs, owned */
    cvs_tensor *shape;    /* of one piece of each stack; dtype CVS_NONE before the first turn */
    cvi_buf *stack;       /* the pieces behind one another */
    int64_t turns, piled;
    void *state;
} loop;

static int own_outputs(const loop *l) {
    return l->own > 0 ? 1 : 0;
}

/* ---- pieces along an axis -------------------------------------------------------------------------------- */

/* Piece t of n along an axis: `outer` runs of `inner` bytes, each n pieces apart in the whole. */
static void copy_piece(uint8_t *whole, uint8_t *piece, size_t outer, size_t inner, int64_t n, int64_t t,
                       bool cut) {
    for (size_t o = 0; o < outer && inner > 0; o++) {
        uint8_t *at = whole + (o * (size_t)n + (size_t)t) * inner;
        memcpy(cut ? piece + o * inner : at, cut ? at : piece + o * inner, inner);
    }
}

static int axis_of(const int64_t *list, int i, int rank) {
    int64_t a = list ? list[i] : 0;
    return (int)(a < 0 ? a + rank : a);
}

/* The slice of input k that the turn reads, in memory of its own. */
static cvs_status cut_slice(const cvi_opctx *ctx, const loop *l, int i, int64_t turn, cvs_tensor *piece) {
    const cvs_tensor *x = ctx->in[l->first_state + l->states + i];
    int axis = axis_of(l->slice_axis, i, x->rank);
    int64_t dim[CVS_MAX_RANK] = {0}, n = x->dim[axis];
    for (int a = 0, to = 0; a < x->rank; a++) {
        if (a != axis) {
            dim[to++] = x->dim[a];
        }
    }
    CVI_TRY(cvs_tensor_new(piece, x->dtype, x->rank - 1, dim, ctx->err));
    bool back = l->slice_back && l->slice_back[i];
    copy_piece(x->data, piece->data, (size_t)cvi_span(x, 0, axis),
               (size_t)cvi_span(x, axis + 1, x->rank) * cvs_dtype_size(x->dtype), n,
               back ? n - 1 - turn : turn, true);
    return CVS_OK;
}

/* ---- turns ------------------------------------------------------------------------------------------------- */

static cvs_status pile(const cvi_opctx *ctx, loop *l, int i, const cvs_tensor *t) {
    cvs_tensor *shape = &l->shape[i];
    if (shape->dtype == CVS_NONE) {
        *shape = *t;
        shape->data = NULL;
        shape->owned = false;
    } else if (shape->dtype != t->dtype || !cvi_same_shape(shape, t)) {
        return cvi_fail(ctx->err, CVS_E_SHAPE,
                        "the loop stacks its output %d, but its shape changed in turn %lld", l->states + i,
                        (long long)l->turns);
    }
    if (!cvi_add(l->piled, (int64_t)t->bytes, &l->piled) || l->piled > l->body->limits->max_memory_bytes) {
        return cvi_fail(ctx->err, CVS_E_LIMIT, "the values of this model are larger than any memory");
    }
    cvi_buf_add(&l->stack[i], t->data, t->bytes);
    return l->stack[i].failed ? cvi_no_memory(ctx->err, t->bytes) : CVS_OK;
}

/* Runs the body once; the states move on. *go: a Loop's condition for the next turn. */
static cvs_status one_turn(const cvi_opctx *ctx, loop *l, bool *go) {
    int first = own_outputs(l);
    for (int i = 0; i < l->slices; i++) {
        cvs_tensor *piece = &l->in[l->own + l->states + i];
        cvs_tensor_free(piece);
        CVI_TRY(cut_slice(ctx, l, i, l->turns, piece));
    }
    CVI_TRY(ctx->run_body(ctx, l->body, l->in, l->out, &l->state));
    l->turns++;
    cvs_status s = CVS_OK;
    if (first > 0) {
        bool one = cvs_tensor_count(&l->out[0]) == 1;
        *go = one && cvi_get(&l->out[0], 0) != 0;
        s = one ? CVS_OK : cvi_fail(ctx->err, CVS_E_SHAPE, "a loop's condition is one number");
    }
    for (int i = 0; i < l->stacked && s == CVS_OK; i++) {
        s = pile(ctx, l, i, &l->out[first + l->states + i]);
    }
    for (int i = 0; i < l->body->n_outputs; i++) {
        int k = i - first;
        if (s == CVS_OK && k >= 0 && k < l->states) {
            cvs_tensor_free(&l->in[l->own + k]);
            l->in[l->own + k] = l->out[i];
            l->out[i] = (cvs_tensor){0};
        } else {
            cvs_tensor_free(&l->out[i]);
        }
    }
    return s;
}

static cvs_status all_turns(const cvi_opctx *ctx, loop *l, bool go) {
    int64_t turn = 0;
    uint8_t condition = 1;
    if (l->own > 0) {
        l->in[0] = (cvs_tensor){.dtype = CVS_I64, .data = &turn, .bytes = sizeof turn};
        l->in[1] = (cvs_tensor){.dtype = CVS_BOOL, .data = &condition, .bytes = sizeof condition};
    }
    cvs_status s = CVS_OK;
    for (; turn < l->most && go && s == CVS_OK; turn++) {
        s = turn < MOST_TURNS
                ? one_turn(ctx, l, &go)
                : cvi_fail(ctx->err, CVS_E_LIMIT, "the loop takes more than %lld turns, the limit",
                           (long long)MOST_TURNS);
    }
    if (l->own > 0) { /* they pointed to this function's own numbers */
        l->in[0] = l->in[1] = (cvs_tensor){0};
    }
    return s;
}

/* ---- outputs ----------------------------------------------------------------------------------------------- */

/* Without a turn: what the body declares of its output, free sizes 0. */
static void declared(const loop *l, int i) {
    const cvi_value *v = &l->body->values[l->body->outputs[own_outputs(l) + l->states + i]];
    cvs_tensor *shape = &l->shape[i];
    if (shape->dtype == CVS_NONE) {
        shape->dtype = v->dtype == CVS_NONE ? CVS_F32 : v->dtype;
        shape->rank = CVI_MIN(CVI_MAX(v->rank, 0), CVS_MAX_RANK - 1);
        for (int a = 0; a < shape->rank; a++) {
            shape->dim[a] = CVI_MAX(v->dim[a], 0);
        }
    }
}

static cvs_status give_stack(const cvi_opctx *ctx, loop *l, int i, cvs_tensor *y) {
    declared(l, i);
    const cvs_tensor *shape = &l->shape[i];
    int axis = axis_of(l->stack_axis, i, shape->rank + 1);
    if (shape->rank >= CVS_MAX_RANK || axis < 0 || axis > shape->rank) {
        return cvi_fail(ctx->err, CVS_E_SHAPE, "output %d cannot be stacked along axis %d", l->states + i,
                        axis);
    }
    int64_t dim[CVS_MAX_RANK] = {0};
    for (int a = 0, from = 0; a <= shape->rank; a++) {
        dim[a] = a == axis ? l->turns : shape->dim[from++];
    }
    CVI_TRY(cvs_tensor_new(y, shape->dtype, shape->rank + 1, dim, ctx->err));
    size_t outer = (size_t)cvi_span(shape, 0, axis),
           inner = (size_t)cvi_span(shape, axis, shape->rank) * cvs_dtype_size(shape->dtype);
    bool back = l->stack_back && l->stack_back[i];
    for (int64_t t = 0; t < l->turns && outer * inner > 0; t++) {
        uint8_t *piece = (uint8_t *)l->stack[i].data + (size_t)t * outer * inner;
        copy_piece(y->data, piece, outer, inner, l->turns, back ? l->turns - 1 - t : t, false);
    }
    return CVS_OK;
}

static cvs_status give_state(const cvi_opctx *ctx, loop *l, int k, cvs_tensor *y) {
    cvs_tensor *t = &l->in[l->own + k];
    if (t->owned) {
        *y = *t;
        *t = (cvs_tensor){0};
        return CVS_OK;
    }
    CVI_TRY(cvs_tensor_new(y, t->dtype, t->rank, t->dim, ctx->err)); /* no turn: the state that came in */
    if (t->bytes > 0) {
        memcpy(y->data, t->data, t->bytes);
    }
    return CVS_OK;
}

static void free_loop(const cvi_opctx *ctx, loop *l) {
    ctx->end_body(&l->state);
    for (int i = 0; i < l->body->n_inputs; i++) {
        cvs_tensor_free(&l->in[i]);
    }
    for (int i = 0; i < l->stacked; i++) {
        cvi_buf_free(&l->stack[i]);
    }
}

static cvs_status run_loop(const cvi_opctx *ctx, loop *l, bool go, cvs_tensor *outputs) {
    const cvi_graph *body = l->body;
    l->in = cvi_arena_alloc(ctx->scratch, CVI_MAX(body->n_inputs, 1), sizeof *l->in);
    l->out = cvi_arena_alloc(ctx->scratch, CVI_MAX(body->n_outputs, 1), sizeof *l->out);
    l->shape = cvi_arena_alloc(ctx->scratch, CVI_MAX(l->stacked, 1), sizeof *l->shape);
    l->stack = cvi_arena_alloc(ctx->scratch, CVI_MAX(l->stacked, 1), sizeof *l->stack);
    if (!l->in || !l->out || !l->shape || !l->stack) {
        return cvi_no_memory(ctx->err, (size_t)body->n_inputs * sizeof *l->in);
    }
    for (int k = 0; k < l->states; k++) {
        l->in[l->own + k] = *ctx->in[l->first_state + k];
        l->in[l->own + k].owned = false;
    }
    cvs_status s = all_turns(ctx, l, go);
    for (int k = 0; k < ctx->n_out && s == CVS_OK; k++) {
        s = k < l->states ? give_state(ctx, l, k, &outputs[k])
                          : give_stack(ctx, l, k - l->states, &outputs[k]);
    }
    free_loop(ctx, l);
    return s;
}

/* ---- the two operators ------------------------------------------------------------------------------------- */

static cvs_status find_body(const cvi_opctx *ctx, loop *l) {
    const cvi_attr *attr = cvi_node_attr(ctx->node, "body");
    if (!attr || !attr->graph) {
        return cvi_at_attr(ctx->err, cvi_fail(ctx->err, CVS_E_FORMAT, "the branch is absent"), "body");
    }
    if (!ctx->run_body) {
        return cvi_fail(ctx->err, CVS_E_UNSUPPORTED, "subgraphs cannot be run here");
    }
    l->body = attr->graph;
    return CVS_OK;
}

/* Whether node and body fit each other, after `states` and `slices` are known. */
static cvs_status fit(const cvi_opctx *ctx, loop *l) {
    l->stacked = l->body->n_outputs - own_outputs(l) - l->states;
    if (l->states < 0 || l->stacked < 0 || l->body->n_inputs != l->own + l->states + l->slices ||
        ctx->n_out > l->states + l->stacked) {
        return cvi_at_attr(ctx->err,
                           cvi_fail(ctx->err, CVS_E_FORMAT,
                                    "the body's %d inputs and %d outputs do not fit the node's %d and %d",
                                    l->body->n_inputs, l->body->n_outputs, ctx->n_in, ctx->n_out),
                           "body");
    }
    for (int k = 0; k < ctx->n_in; k++) {
        if (k >= l->first_state && !ctx->in[k]) {
            return cvi_fail(ctx->err, CVS_E_FORMAT, "required input %d (%s) is absent", k,
                            cvi_input_name(ctx, k));
        }
        CVI_TRY(cvi_need(ctx, k));
    }
    return CVS_OK;
}

static cvs_status run_loop_node(cvi_opctx *ctx, cvs_tensor *outputs) {
    const cvs_tensor *most = cvi_in(ctx, 0), *condition = cvi_in(ctx, 1);
    loop l = {.first_state = 2, .own = 2, .states = CVI_MAX(ctx->n_in - 2, 0), .most = INT64_MAX};
    CVI_TRY(find_body(ctx, &l));
    CVI_TRY(fit(ctx, &l));
    if ((most && cvs_tensor_count(most) != 1) || (condition && cvs_tensor_count(condition) != 1)) {
        return cvi_fail(ctx->err, CVS_E_SHAPE, "a loop's condition is one number");
    }
    l.most = most ? cvi_get_int(most, 0) : INT64_MAX;
    return run_loop(ctx, &l, !condition || cvi_get(condition, 0) != 0, outputs);
}

/* A list of an axis or a direction for each of n; NULL where the attribute is absent. */
static cvs_status list_of(const cvi_opctx *ctx, const char *name, int n, const int64_t **list) {
    const cvi_attr *a = cvi_node_attr(ctx->node, name);
    *list = a && a->n > 0 ? a->ints : NULL;
    return !*list || a->n == n ? CVS_OK
                               : cvi_at_attr(ctx->err,
                                             cvi_fail(ctx->err, CVS_E_FORMAT,
                                                      "there are %d numbers, but %d are needed", a->n, n),
                                             name);
}

static cvs_status run_scan_node(cvi_opctx *ctx, cvs_tensor *outputs) {
    int64_t slices = cvi_op_int(ctx, "num_scan_inputs");
    loop l = {0};
    CVI_TRY(find_body(ctx, &l));
    if (slices < 1 || slices > ctx->n_in) {
        return cvi_fail(ctx->err, CVS_E_FORMAT, "num_scan_inputs is %lld, but there are %d inputs",
                        (long long)slices, ctx->n_in);
    }
    l.slices = (int)slices;
    l.states = ctx->n_in - l.slices;
    CVI_TRY(fit(ctx, &l));
    CVI_TRY(list_of(ctx, "scan_input_axes", l.slices, &l.slice_axis));
    CVI_TRY(list_of(ctx, "scan_input_directions", l.slices, &l.slice_back));
    CVI_TRY(list_of(ctx, "scan_output_axes", l.stacked, &l.stack_axis));
    CVI_TRY(list_of(ctx, "scan_output_directions", l.stacked, &l.stack_back));
    for (int i = 0; i < l.slices; i++) {
        const cvs_tensor *x = ctx->in[l.states + i];
        int axis = axis_of(l.slice_axis, i, x->rank);
        if (axis < 0 || axis >= x->rank || (i > 0 && x->dim[axis] != l.most)) {
            return cvi_fail(ctx->err, CVS_E_SHAPE,
                            "input %d cannot be cut along axis %d into as many pieces as the others",
                            l.states + i, axis);
        }
        l.most = x->dim[axis];
    }
    return run_loop(ctx, &l, true, outputs);
}

cvs_status cvi_outputs_infer(cvi_opctx *ctx, cvi_node_runner runner) {
    cvs_tensor *outputs = cvi_arena_alloc(ctx->scratch, CVI_MAX(ctx->n_out, 1), sizeof *outputs);
    cvs_status s = outputs ? runner(ctx, outputs) : cvi_no_memory(ctx->err, sizeof *outputs);
    for (int k = 0; k < ctx->n_out && s == CVS_OK; k++) {
        s = cvi_out_shape(ctx, k, outputs[k].dtype, outputs[k].rank, outputs[k].dim);
    }
    s = s == CVS_OK ? ctx->keep_outputs(ctx, outputs) : s;
    if (s != CVS_OK && outputs) {
        cvi_outputs_free(ctx, outputs);
    }
    return s;
}

cvs_status cvi_outputs_forward(cvi_opctx *ctx, cvi_node_runner runner) {
    cvs_tensor *outputs = cvi_arena_alloc(ctx->scratch, CVI_MAX(ctx->n_out, 1), sizeof *outputs);
    if (!outputs) {
        return cvi_no_memory(ctx->err, sizeof *outputs);
    }
    cvs_status s = ctx->take_outputs(ctx, outputs) ? CVS_OK : runner(ctx, outputs);
    return cvi_outputs_give(ctx, s, outputs);
}

static cvs_status infer_loop(cvi_opctx *ctx) {
    return cvi_outputs_infer(ctx, run_loop_node);
}
static cvs_status forward_loop(cvi_opctx *ctx) {
    return cvi_outputs_forward(ctx, run_loop_node);
}
static cvs_status infer_scan(cvi_opctx *ctx) {
    return cvi_outputs_infer(ctx, run_scan_node);
}
static cvs_status forward_scan(cvi_opctx *ctx) {
    return cvi_outputs_forward(ctx, run_scan_node);
}

static const cvi_op_io loop_in[] = {
    {"M", CVI_SHAPE, true, false}, {"cond", CVI_SHAPE, true, false}, {"v_initial", CVI_DATA, true, true}};
static const cvi_op_io loop_out[] = {{"v_final_and_scan_outputs", CVI_DATA, false, true}};
static const cvi_op_attr loop_attrs[] = {
    {"body", CVI_ATTR_GRAPH, NULL, "a graph",
     "what runs in every turn: number of the turn, condition and state "
     "in; condition, state and pieces out",
     "每一轮运行的子图：输入为轮次、条件和状态，输出为条件、状态和各段结果"},
};

const cvi_op cvi_op_loop = {
    .name = "Loop",
    .since = 1,
    .inputs = loop_in,
    .n_inputs = 3,
    .outputs = loop_out,
    .n_outputs = 1,
    .attrs = loop_attrs,
    .n_attrs = 1,
    .glyph = CVI_GLYPH_UNKNOWN,
    .infer = infer_loop,
    .forward = forward_loop,
    .any_type = true,
    .field = cvi_field_all,
    .text = {"Loop", "循环", "Runs a small graph again and again, with what it made as its next input.",
             "反复运行一个小图，把它的结果作为下一轮的输入。", "s ← body(turn, s), while the condition holds",
             "The state after the last turn, and what every turn gave, stacked.",
             "最后一轮之后的状态，以及各轮结果的堆叠。"},
};

static const cvi_op_io scan_in[] = {{"initial_state_and_scan_inputs", CVI_DATA, false, true}};
static const cvi_op_io scan_out[] = {{"final_state_and_scan_outputs", CVI_DATA, false, true}};
static const cvi_op_attr scan_attrs[] = {
    {"body", CVI_ATTR_GRAPH, NULL, "a graph",
     "what runs for every slice: state and slices in, state and pieces out",
     "对每一片运行的子图：输入为状态和切片，输出为状态和各段结果"},
    {"num_scan_inputs", CVI_ATTR_INT, NULL, ">= 1", "how many of the inputs are cut into slices",
     "有多少个输入被切片"},
    {"scan_input_axes", CVI_ATTR_INTS, "", "per input", "axis along which each is cut", "各输入沿哪个轴切片"},
    {"scan_input_directions", CVI_ATTR_INTS, "", "0|1", "1: from the last slice to the first",
     "1 表示从最后一片到第一片"},
    {"scan_output_axes", CVI_ATTR_INTS, "", "per output", "axis along which the pieces are stacked",
     "各段结果沿哪个轴堆叠"},
    {"scan_output_directions", CVI_ATTR_INTS, "", "0|1", "1: the last piece comes first",
     "1 表示最后一段排在最前"},
};

const cvi_op cvi_op_scan = {
    .name = "Scan",
    .since = 9,
    .inputs = scan_in,
    .n_inputs = 1,
    .outputs = scan_out,
    .n_outputs = 1,
    .attrs = scan_attrs,
    .n_attrs = 6,
    .glyph = CVI_GLYPH_UNKNOWN,
    .infer = infer_scan,
    .forward = forward_scan,
    .any_type = true,
    .field = cvi_field_all,
    .text = {"Scan", "逐片扫描",
             "Runs a small graph on one slice of the input after the other, carrying a state along.",
             "对输入的各片依次运行一个小图，并传递状态。", "s, y[t] ← body(s, x[t])",
             "The state after the last slice, and what every slice gave, stacked.",
             "最后一片之后的状态，以及各片结果的堆叠。"},
};

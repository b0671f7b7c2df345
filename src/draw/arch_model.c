/* SPDX-License-Identifier: MIT
 * arch_model.c - an opened model as boxes and arrows: one box per layer as people count them, with its numbers. Nothing is
 * run; what cannot be inferred stays unknown and is still drawn.
 */
#include "draw/arch.h"
#include "engine/cost.h"
#include "engine/field.h"
#include "engine/groups.h"
#include "engine/run_state.h"

#include <math.h>

typedef struct maker {
    const cvs_model *model;
    const cvi_graph *g;
    cvi_exec *x; /* NULL: the shapes cannot be planned */
    cvi_groups groups;
    cvi_field *field; /* per value */
    bool *counted;    /* per value: parameters charged */
    bool *needed;     /* per node: its numbers reach an output, not only a shape */
    int *node_of;     /* per layer: box, -1 = none */
    int *input_of;    /* per value: box of a graph input, -1 */
    cvi_node_numbers *numbers;
    cvi_arch *a;
} maker;

static void release(maker *m) {
    cvi_exec_free(m->x);
    cvi_groups_free(&m->groups);
    cvi_free(m->field);
    cvi_free(m->counted);
    cvi_free(m->needed);
    cvi_free(m->node_of);
    cvi_free(m->input_of);
    cvi_free(m->numbers);
}

/* ---- which nodes count ---------------------------------------------------------------------------------------- */

static cvi_role role_of(const cvi_node *node, int k) {
    return node->def == NULL || node->def->n_inputs == 0
               ? CVI_DATA
               : node->def->inputs[CVI_MIN(k, node->def->n_inputs - 1)].role;
}

static void need_value(const maker *m, int v) {
    if (v >= 0 && m->g->values[v].producer >= 0) {
        m->needed[m->g->values[v].producer] = true;
    }
}

/* Values that a subgraph takes from outside count as inputs of its node. */
static void need_captured(const maker *m, const cvi_node *node) {
    for (int i = 0; i < node->n_attr; i++) {
        const cvi_graph *sub = node->attr[i].graph;
        for (int v = 0; sub != NULL && v < sub->n_values; v++) {
            need_value(m, sub->values[v].outer);
        }
    }
}

/* Nodes whose numbers reach an output of the graph, or a value that nobody reads; not those that only compute shapes, nor what only
 * constants are made of (the grid of a detector, which follows the picture's size). */
static void mark_needed(const maker *m, bool *read) {
    for (int n = 0; n < m->g->n_nodes; n++) {
        for (int k = 0; k < m->g->nodes[n].n_in; k++) {
            if (m->g->nodes[n].in[k] >= 0) {
                read[m->g->nodes[n].in[k]] = true;
            }
        }
    }
    for (int i = 0; i < m->g->n_outputs; i++) {
        need_value(m, m->g->outputs[i]);
    }
    for (int n = m->g->n_nodes - 1; n >= 0; n--) {
        const cvi_node *node = &m->g->nodes[n];
        bool end = node->n_out > 0;
        for (int k = 0; k < node->n_out; k++) {
            end = end && (node->out[k] < 0 || !read[node->out[k]]);
        }
        m->needed[n] = m->needed[n] || end;
        for (int k = 0; m->needed[n] && !m->numbers[n].folded && k < node->n_in; k++) {
            if (role_of(node, k) != CVI_SHAPE) {
                need_value(m, node->in[k]);
            }
        }
        if (m->needed[n]) {
            need_captured(m, node);
        }
    }
}

static bool is_drawn(const maker *m, int n) {
    const cvi_node *node = &m->g->nodes[n];
    bool depends = false;
    for (int k = 0; k < node->n_out; k++) {
        depends = depends || (node->out[k] >= 0 && m->groups.depends[node->out[k]]);
    }
    return m->needed[n] && depends && !m->numbers[n].folded && m->groups.of_node[n] >= 0;
}

/* ---- shapes ------------------------------------------------------------------------------------------------------ */

static cvi_shape shape_of(const maker *m, int v) {
    cvi_shape s = {.rank = -1};
    cvs_tensor t = {0};
    if (v < 0) {
        return s;
    }
    if (m->x != NULL && cvi_exec_value(m->x, v, &t, NULL) == CVS_OK && t.dtype != CVS_NONE) {
        s.rank = t.rank;
        memcpy(s.dim, t.dim, sizeof s.dim);
    } else if (m->g->values[v].rank >= 0) {
        s.rank = m->g->values[v].rank;
        memcpy(s.dim, m->g->values[v].dim, sizeof s.dim);
    }
    return s;
}

static int64_t bytes_of(const maker *m, int v) {
    cvi_shape s = shape_of(m, v);
    cvs_dtype dtype = m->g->values[v].dtype == CVS_NONE ? CVS_F32 : m->g->values[v].dtype;
    int64_t n = (int64_t)cvs_dtype_size(dtype);
    for (int i = 0; i < s.rank; i++) {
        if (s.dim[i] < 0 || !cvi_mul(n, s.dim[i], &n)) {
            return 0;
        }
    }
    return s.rank < 0 ? 0 : n;
}

/* ---- one box ------------------------------------------------------------------------------------------------------ */

/* The constant that holds the kernel of a node; NULL without one. */
static const cvs_tensor *kernel_of(const maker *m, const cvi_node *node) {
    for (int k = 0; node->def != NULL && k < node->n_in; k++) {
        if (role_of(node, k) == CVI_WEIGHT && node->in[k] >= 0) {
            return m->g->values[node->in[k]].constant;
        }
    }
    return NULL;
}

static void fill_window(const maker *m, int n, cvi_arch_node *out) {
    const cvi_node *node = &m->g->nodes[n];
    const cvs_tensor *kernel = kernel_of(m, node);
    int64_t ones[3] = {1, 1, 1}, pads[6] = {0};
    memcpy(out->kernel, ones, sizeof ones);
    memcpy(out->stride, ones, sizeof ones);
    memcpy(out->dilation, ones, sizeof ones);
    int axes = cvi_node_ints(node, "kernel_shape", out->kernel, 3, 1);
    if (axes == 0 && (node->def->flags & CVI_OP_CONV) && kernel != NULL && kernel->rank >= 3) {
        axes = CVI_MIN(kernel->rank - 2, 3);
        memcpy(out->kernel, kernel->dim + 2, (size_t)axes * sizeof *out->kernel);
    }
    if (axes < 1 || axes > 3) {
        return;
    }
    out->windowed = true;
    out->axes = axes;
    cvi_node_ints(node, "strides", out->stride, 3, 1);
    cvi_node_ints(node, "dilations", out->dilation, 3, 1);
    cvi_node_ints(node, "pads", pads, 6, 0);
    memcpy(out->pad_begin, pads, (size_t)axes * sizeof *pads);
    memcpy(out->pad_end, pads + axes, (size_t)axes * sizeof *pads);
    cvi_opctx ctx;
    cvi_field_step step = {.kind = CVI_FIELD_SAME};
    if (m->x != NULL && node->def->field != NULL && cvi_exec_opctx(m->x, n, &ctx, NULL) == CVS_OK) {
        node->def->field(&ctx, &step); /* knows what automatic padding comes to */
    }
    for (int i = CVI_MAX(axes - 2, 0); step.kind == CVI_FIELD_WINDOW && i < axes; i++) {
        out->pad_begin[i] = step.pad_begin[2 - axes + i];
    }
    if (step.kind == CVI_FIELD_WINDOW && axes == 3 && step.deep.kernel > 0) {
        out->pad_begin[0] = step.deep.pad_begin;
    }
}

static void fill_units(const maker *m, const cvi_node *node, cvi_arch_node *out) {
    const cvs_tensor *kernel = kernel_of(m, node);
    if (node->def->flags & CVI_OP_CONV) {
        out->units = out->out.rank >= 2                    ? cvi_shape_channels(&out->out)
                     : kernel != NULL && kernel->rank >= 3 ? kernel->dim[0]
                                                           : 0;
    } else if (out->cls == CVI_CLASS_DENSE && out->out.rank >= 1) {
        out->units = out->out.dim[out->out.rank - 1];
    }
    out->units = CVI_MAX(out->units, 0);
}

/* The word of an operator on a drawing. */
static const char *word_of(const maker *m, const cvi_node *node) {
    const cvi_op *op = node->def;
    if (op == NULL) {
        const char *colon = strstr(node->op, "::");
        return colon != NULL ? colon + 2 : node->op;
    }
    const char *known = op->known_as != NULL ? op->known_as(m->g, node) : NULL;
    if (known != NULL) {
        return known;
    }
    if (m->a->lang == CVS_ZH) {
        return op->word_zh != NULL ? op->word_zh : op->text.title_zh != NULL ? op->text.title_zh : op->name;
    }
    return op->word_en != NULL ? op->word_en : op->name;
}

static void fill_class(const maker *m, const cvi_node *node, cvi_arch_node *out) {
    static const cvi_node_kind join[] = {
        [CVI_CLASS_ADD] = CVI_NODE_ADD, [CVI_CLASS_MUL] = CVI_NODE_MUL, [CVI_CLASS_CONCAT] = CVI_NODE_CONCAT};
    int flows = 0;
    out->kind = CVI_NODE_LAYER;
    out->known = node->def != NULL;
    out->cls = out->known ? (cvi_class)node->def->glyph : CVI_CLASS_UNKNOWN;
    out->word = word_of(m, node);
    out->op = node->op;
    out->note = node->note;
    out->op_flags = out->known ? node->def->flags : 0;
    out->symbol = out->known ? node->def->symbol : NULL;
    out->groups = CVI_MAX(cvi_node_int(node, "group", 1), 1);
    for (int k = 0; k < node->n_in; k++) {
        flows += node->in[k] >= 0 && m->groups.depends[node->in[k]];
    }
    if (flows >= 2 && (int)out->cls < CVI_COUNT(join) && join[out->cls] != CVI_NODE_INPUT) {
        out->kind = join[out->cls];
    }
    if (out->cls == CVI_CLASS_CONV && out->groups > 1) {
        out->cls = CVI_CLASS_DEPTHWISE;
    }
}

static void fill_field(const maker *m, int v, cvi_arch_node *out) {
    const cvi_field *f = &m->field[v];
    out->has_field = f->known;
    for (int i = 0; i < 2 && f->known; i++) {
        double size = f->high[i] - f->low[i] + 1;
        out->field[i] = size < 9e15 ? (int64_t)ceil(size - 1e-9) : INT64_MAX;
        out->jump[i] = f->jump[i] < 9e15 ? (int64_t)rint(f->jump[i]) : INT64_MAX;
    }
}

/* Members besides the one that names the box: an activation or normalisation inside a layer is a strip. */
static void fill_strips(const maker *m, int main, const int *members, int n, cvi_arch_node *out) {
    for (int i = 0; i < n && out->n_strips < CVI_MAX_STRIPS; i++) {
        const cvi_node *node = &m->g->nodes[members[i]];
        int glyph = node->def != NULL ? (int)node->def->glyph : CVI_GLYPH_UNKNOWN;
        bool small = glyph == CVI_GLYPH_ACTIVATION || glyph == CVI_GLYPH_NORM || glyph == CVI_GLYPH_SOFTMAX;
        if (members[i] == main || !small) {
            continue;
        }
        out->strip[out->n_strips++] = (cvi_strip){(cvi_class)glyph, word_of(m, node), out->name};
        out->n_heads += members[i] < main;
    }
}

static void fill_inner(const maker *m, const int *members, int n, cvi_arch_node *out) {
    for (int i = 0; i < n; i++) {
        const cvi_node_numbers *c = &m->numbers[members[i]];
        const cvi_node *node = &m->g->nodes[members[i]];
        out->params += c->params;
        out->trainable += c->trainable;
        out->weight_bytes += c->weight_bytes;
        out->macs += c->macs;
        out->flops += c->flops;
        for (int k = 0; k < node->n_out; k++) {
            int v = node->out[k];
            if (v >= 0 && !m->g->values[v].hidden) {
                out->bytes += bytes_of(m, v);
            }
        }
    }
}

/* What else the layer owns: nodes that only prepare its weights carry parameters but are not drawn. */
static void add_prepared(const maker *m) {
    for (int n = 0; n < m->g->n_nodes; n++) {
        int l = m->groups.of_node[n], box = l >= 0 ? m->node_of[l] : -1;
        if (box >= 0 && !is_drawn(m, n)) {
            m->a->nodes[box].params += m->numbers[n].params;
            m->a->nodes[box].trainable += m->numbers[n].trainable;
            m->a->nodes[box].weight_bytes += m->numbers[n].weight_bytes;
        }
    }
}

static cvs_status add_layer(maker *m, int l, const int *members, int n, cvs_error *err) {
    int v = m->groups.value[l], main = m->groups.main[l];
    const cvi_node *node = &m->g->nodes[main];
    bool found = false;
    for (int i = 0; i < n; i++) {
        found = found || members[i] == main;
    }
    if (!found) {
        main = members[n - 1];
        node = &m->g->nodes[main];
    }
    int *copy = cvi_arena_alloc(m->a->arena, n, sizeof *copy);
    if (copy == NULL) {
        return cvi_no_memory(err, (size_t)n * sizeof *copy);
    }
    memcpy(copy, members, (size_t)n * sizeof *copy);
    cvi_arch_node out = {.layer = l, .name = m->g->values[v].name, .n_members = n, .members = copy};
    fill_class(m, node, &out);
    out.in = shape_of(m, node->n_in > 0 ? node->in[0] : -1);
    out.out = shape_of(m, v);
    if (node->def != NULL) {
        fill_window(m, main, &out);
        fill_units(m, node, &out);
    }
    if (out.cls == CVI_CLASS_DEPTHWISE && out.groups == cvi_shape_channels(&out.in)) {
        out.word = cvi_arena_printf(m->a->arena, cvi_tr(m->a->lang, "dw %s"), out.word);
    }
    out.in_place = node->def != NULL && n == 1 && (node->def->flags & (CVI_OP_RESHAPE | CVI_OP_IDENTITY));
    fill_field(m, v, &out);
    fill_strips(m, main, members, n, &out);
    fill_inner(m, members, n, &out);
    m->node_of[l] = cvi_arch_add_node(m->a, &out);
    return m->node_of[l] < 0 || out.word == NULL ? cvi_no_memory(err, sizeof out) : CVS_OK;
}

static cvs_status add_inputs(maker *m, cvs_error *err) {
    for (int i = 0; i < m->g->n_inputs; i++) {
        int v = m->g->inputs[i];
        char shape[200];
        if (m->g->values[v].constant != NULL) {
            continue;
        }
        cvi_arch_node out = {.kind = CVI_NODE_INPUT,
                             .cls = CVI_CLASS_INPUT,
                             .known = true,
                             .layer = -1,
                             .name = m->g->values[v].name,
                             .word = cvi_tr(m->a->lang, "input"),
                             .groups = 1};
        out.in = out.out = shape_of(m, v);
        out.bytes = bytes_of(m, v);
        out.title =
            cvi_arena_printf(m->a->arena, "%s %s", out.word, cvi_shape_short(&out.out, shape, sizeof shape));
        fill_field(m, v, &out);
        m->input_of[v] = cvi_arch_add_node(m->a, &out);
        if (m->input_of[v] < 0 || out.title == NULL) {
            return cvi_no_memory(err, sizeof out);
        }
    }
    return CVS_OK;
}

/* ---- arrows ---------------------------------------------------------------------------------------------------------- */

/* The box that a value comes out of; -1: a constant or what was dropped. */
static int box_of_value(const maker *m, int v) {
    if (v < 0 || m->input_of[v] >= 0) {
        return v < 0 ? -1 : m->input_of[v];
    }
    int n = m->g->values[v].producer, l = n >= 0 && is_drawn(m, n) ? m->groups.of_node[n] : -1;
    return l >= 0 ? m->node_of[l] : -1;
}

static bool connect(const maker *m, int v, int to) {
    int from = box_of_value(m, v);
    if (from < 0 || from == to) {
        return true;
    }
    cvi_shape s = shape_of(m, v);
    return cvi_arch_add_edge(m->a, from, to, &s) >= 0;
}

static bool add_arrows(const maker *m, int box) {
    const cvi_arch_node *b = &m->a->nodes[box];
    for (int i = 0; i < b->n_members; i++) {
        const cvi_node *node = &m->g->nodes[b->members[i]];
        for (int k = 0; k < node->n_in; k++) {
            if (role_of(node, k) != CVI_SHAPE && !connect(m, node->in[k], box)) {
                return false;
            }
        }
        for (int k = 0; k < node->n_attr; k++) {
            const cvi_graph *sub = node->attr[k].graph;
            for (int v = 0; sub != NULL && v < sub->n_values; v++) {
                if (!connect(m, sub->values[v].outer, box)) {
                    return false;
                }
            }
        }
    }
    return true;
}

/* ---- all --------------------------------------------------------------------------------------------------------------- */

/* Nodes by layer: counting sort, node order kept. start[l] .. start[l + 1] in list. */
static void by_layer(const maker *m, int *start, int *list) {
    for (int n = 0; n < m->g->n_nodes; n++) {
        if (is_drawn(m, n)) {
            start[m->groups.of_node[n] + 1]++;
        }
    }
    for (int l = 0; l < m->groups.n_layers; l++) {
        start[l + 1] += start[l];
    }
    for (int n = 0; n < m->g->n_nodes; n++) {
        if (is_drawn(m, n)) {
            list[start[m->groups.of_node[n]]++] = n;
        }
    }
    for (int l = m->groups.n_layers; l > 0; l--) {
        start[l] = start[l - 1];
    }
    start[0] = 0;
}

static cvs_status add_boxes(maker *m, cvs_error *err) {
    int *start = cvi_calloc((size_t)m->groups.n_layers + 2, sizeof(int)),
        *list = cvi_calloc((size_t)m->g->n_nodes + 1, sizeof(int));
    cvs_status s = start != NULL && list != NULL ? add_inputs(m, err) : cvi_no_memory(err, sizeof(int));
    if (s == CVS_OK) {
        by_layer(m, start, list);
    }
    for (int l = 0; s == CVS_OK && l < m->groups.n_layers; l++) {
        m->node_of[l] = -1;
        if (start[l + 1] > start[l]) {
            s = add_layer(m, l, list + start[l], start[l + 1] - start[l], err);
        }
    }
    for (int i = 0; s == CVS_OK && i < m->g->n_outputs; i++) {
        int box = box_of_value(m, m->g->outputs[i]);
        if (box >= 0) {
            m->a->nodes[box].is_output = true;
        }
    }
    for (int i = 0; s == CVS_OK && i < m->a->n_nodes; i++) {
        s = add_arrows(m, i) ? CVS_OK : cvi_no_memory(err, sizeof(cvi_arch_edge));
    }
    if (s == CVS_OK) {
        add_prepared(m);
    }
    cvi_free(start);
    cvi_free(list);
    return s;
}

/* A plan for the shapes; without one the declared shapes are drawn and the reason is kept. */
static cvs_status plan(maker *m, const cvs_draw_options *o, cvs_error *err) {
    cvs_run_options run = {.batch = o->batch, .height = o->height, .width = o->width};
    cvs_error why = {.lang = o->lang};
    run.limits.max_memory_bytes = INT64_MAX / 4; /* nothing is allocated for a plan that never runs */
    cvs_status s = cvi_exec_default(m->model, &run, &m->x, &why);
    if (s == CVS_E_MEMORY) {
        if (err != NULL) {
            *err = why;
        }
        return s;
    }
    if (s != CVS_OK) {
        char text[1200];
        m->x = NULL;
        m->a->warning = cvi_arena_printf(m->a->arena, "%s", cvs_error_text(&why, text, sizeof text));
    } else {
        cvi_fields(m->x, m->field);
    }
    return CVS_OK;
}

static cvs_status make(maker *m, const cvs_draw_options *o, cvs_error *err) {
    size_t values = (size_t)m->g->n_values + 1, nodes = (size_t)m->g->n_nodes + 1;
    CVI_TRY(cvi_groups_make(m->g, &m->groups, err));
    bool *read = cvi_calloc(values, sizeof *read);
    m->field = cvi_calloc(values, sizeof *m->field);
    m->counted = cvi_calloc(values, sizeof *m->counted);
    m->needed = cvi_calloc(nodes, sizeof *m->needed);
    m->node_of = cvi_calloc((size_t)m->groups.n_layers + 1, sizeof *m->node_of);
    m->input_of = cvi_calloc(values, sizeof *m->input_of);
    m->numbers = cvi_calloc(nodes, sizeof *m->numbers);
    if (read == NULL || m->field == NULL || m->counted == NULL || m->needed == NULL || m->node_of == NULL ||
        m->input_of == NULL || m->numbers == NULL) {
        cvi_free(read);
        return cvi_no_memory(err, values * sizeof *m->field);
    }
    cvs_status planned = plan(m, o, err);
    for (int n = 0; planned == CVS_OK && m->x != NULL && n < m->g->n_nodes; n++) {
        m->numbers[n] = cvi_node_count(m->x, n, m->counted);
    }
    mark_needed(m, read);
    cvi_free(read);
    CVI_TRY(planned);
    for (int v = 0; v < m->g->n_values; v++) {
        m->input_of[v] = -1;
    }
    CVI_TRY(add_boxes(m, err));
    char shape[200];
    cvi_shape first = shape_of(m, m->g->n_inputs > 0 ? m->g->inputs[0] : -1);
    cvs_shape_text(CVI_MAX(first.rank, 0), first.dim, shape, sizeof shape);
    m->a->batch = first.rank >= 1 ? CVI_MAX(first.dim[0], 1) : 1;
    m->a->input = first.rank < 0 ? "?" : cvi_arena_strn(m->a->arena, shape, strlen(shape));
    return m->a->input == NULL ? cvi_no_memory(err, sizeof shape) : CVS_OK;
}

cvs_status cvi_arch_read(const cvs_model *model, const cvs_draw_options *o, cvi_arch **out, cvs_error *err) {
    maker m = {.model = model, .g = model->graph};
    m.a = cvi_arch_new(o->lang, model->name != NULL ? model->name : "", err);
    if (m.a == NULL) {
        return CVS_E_MEMORY;
    }
    m.a->model = model;
    m.a->source = model->format != NULL ? model->format : "";
    cvs_status s = make(&m, o, err);
    if (s == CVS_OK) {
        s = cvi_arch_finish(m.a, err);
    }
    if (s == CVS_OK) {
        s = cvi_arch_measure_memory(m.a, err);
    }
    release(&m);
    if (s != CVS_OK) {
        cvi_arch_free(m.a);
        return s;
    }
    *out = m.a;
    return CVS_OK;
}

cvs_status cvi_arch_from_model(const cvs_model *model, const cvs_draw_options *options, cvi_arch **out,
                               cvs_error *err) {
    cvs_draw_options none = {0};
    const cvs_draw_options *o = options != NULL ? options : &none;
    CVI_TRY(cvi_arch_read(model, o, out, err));
    cvs_status s = cvi_arch_simplify(*out, o, err);
    s = s == CVS_OK ? cvi_arch_chain_concats(*out, err) : s;
    s = s == CVS_OK && !o->no_group ? cvi_arch_fold(*out, err) : s;
    if (s != CVS_OK) {
        cvi_arch_free(*out);
        *out = NULL;
    }
    return s;
}

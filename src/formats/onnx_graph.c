/* SPDX-License-Identifier: MIT
 * onnx_graph.c - GraphProto -> cvi_graph. First every name that the graph makes is declared, then the nodes are put in, so
 * that a file need not be in order. Names that a subgraph does not know are captured from the graphs around it; constants
 * are captured with their numbers. Constant nodes, and Identity nodes on constants, become constants.
 */
#include "onnx.h"
#include "onnx_rewrite.h"

/* ---- names ---- */

static int new_value(cvi_onnx *o, cvi_onnx_scope *scope, const char *name, const cvi_onnx_info *info) {
    const char *full = name;
    if (scope->prefix[0]) {
        full = cvi_arena_printf(o->work, "%s%s", scope->prefix, name);
        if (!full) {
            cvi_no_memory(o->err, strlen(name));
            return -1;
        }
    }
    return cvi_graph_value(scope->graph, full, info ? info->dtype : CVS_NONE, info ? info->rank : -1,
                           info ? info->dim : NULL, o->err);
}

cvs_status cvi_onnx_bind(cvi_onnx *o, cvi_onnx_scope *scope, const char *name, int value) {
    return cvi_onnx_map_put(o, &scope->names, name, value) ? CVS_OK : CVS_E_MEMORY;
}

/* A value of the graph around, made visible in this one. */
static int capture(cvi_onnx *o, cvi_onnx_scope *scope, const char *name, int outer) {
    const cvi_value *from = &scope->parent->graph->values[outer];
    cvi_onnx_info info = {.dtype = from->dtype, .rank = from->rank};
    memcpy(info.dim, from->dim, sizeof info.dim);
    const cvs_tensor *constant = from->constant;
    int v = cvi_graph_value(scope->graph, name, info.dtype, info.rank, info.dim, o->err);
    if (v >= 0) {
        scope->graph->values[v].outer = outer;
        scope->graph->values[v].constant = constant;
    }
    return v;
}

/* The value that a name means here; -1 = absent on purpose. */
cvs_status cvi_onnx_resolve(cvi_onnx *o, cvi_onnx_scope *scope, const char *name, int *out) {
    int v = cvi_onnx_map_get(&scope->names, name);
    if (v == CVI_ONNX_UNSUPPORTED) {
        return cvi_fail(o->err, CVS_E_UNSUPPORTED,
                        "value %.100s has elements of a type that is not supported", name);
    }
    if (v != -1) {
        *out = v == CVI_ONNX_ABSENT ? -1 : v;
        return CVS_OK;
    }
    if (!scope->parent) {
        return cvi_fail(o->err, CVS_E_FORMAT, "value %.100s is read, but nothing makes it", name);
    }
    int outer = -1;
    CVI_TRY(cvi_onnx_resolve(o, scope->parent, name, &outer));
    if (outer < 0) {
        *out = -1;
        return CVS_OK;
    }
    *out = capture(o, scope, name, outer);
    return *out < 0 ? o->err->code : cvi_onnx_bind(o, scope, name, *out);
}

cvs_status cvi_onnx_declare(cvi_onnx *o, cvi_onnx_scope *scope, const cvi_onnx_node *node) {
    for (int k = 0; k < node->n_out; k++) {
        const char *name = node->out[k];
        int known = name[0] ? cvi_onnx_map_get(&scope->names, name) : -1;
        if (known != -1) {
            bool formal = known >= 0 && cvi_onnx_map_get(&scope->formal_out, name) == 0;
            if (formal) { /* an output of the function: its value is the caller's; a second maker is an error */
                if (!cvi_onnx_map_put(o, &scope->formal_out, name, 1)) {
                    return CVS_E_MEMORY;
                }
                continue;
            }
            cvs_status s = cvi_fail(o->err, CVS_E_FORMAT, "value %.100s is made twice", name);
            return cvi_at_offset(o->err, cvi_at_node(o->err, s, node->name, node->op), node->offset);
        }
        if (!name[0]) {
            continue;
        }
        int i = cvi_onnx_map_get(&scope->infos, name);
        cvi_onnx_info known_info = {.rank = -1};
        if (i >= 0) {
            known_info.dtype = scope->info[i].dtype;
            if (cvi_onnx_map_get(&scope->outputs, name) >= 0) {
                known_info = scope->info[i];
            }
        }
        int v = new_value(o, scope, name, &known_info);
        if (v < 0) {
            return o->err->code;
        }
        scope->graph->values[v].hidden = node->hidden;
        CVI_TRY(cvi_onnx_bind(o, scope, name, v));
    }
    return CVS_OK;
}

/* ---- attributes ---- */

static const cvi_onnx_attr *find_attr(const cvi_onnx_attr *list, int n, const char *name) {
    for (int i = 0; i < n; i++) {
        if (strcmp(list[i].name, name) == 0) {
            return &list[i];
        }
    }
    return NULL;
}

/* What an attribute of a function body means for this call: itself, what the caller gave, the default, or nothing. */
static const cvi_onnx_attr *actual(const cvi_onnx_scope *scope, const cvi_onnx_attr *a) {
    if (!a->ref || !a->ref[0] || !scope->function) {
        return a;
    }
    const cvi_onnx_attr *given = find_attr(scope->call, scope->n_call, a->ref);
    if (!given) {
        given = find_attr(scope->function->attr, scope->function->n_attr, a->ref);
    }
    return given && given->type ? given : NULL;
}

static bool set_strings(cvi_graph *g, cvi_attr *to, const char *name, const cvi_onnx_attr *a) {
    const char **copy = cvi_arena_alloc(g->arena, CVI_MAX(a->n, 1), sizeof *copy);
    *to =
        (cvi_attr){.name = cvi_arena_strn(g->arena, name, strlen(name)), .kind = CVI_ATTR_STRINGS, .n = a->n};
    for (int i = 0; copy && i < a->n; i++) {
        const char *s = a->strings[i] ? a->strings[i] : "";
        copy[i] = cvi_arena_strn(g->arena, s, strlen(s));
        if (!copy[i]) {
            return false;
        }
    }
    to->strings = copy;
    return copy && to->name;
}

static cvs_status set_tensor(cvi_onnx *o, cvi_graph *g, cvi_attr *to, const char *name,
                             const cvi_onnx_attr *a) {
    cvs_tensor *t = cvi_arena_alloc(g->arena, 1, sizeof *t);
    *to = (cvi_attr){
        .name = cvi_arena_strn(g->arena, name, strlen(name)), .kind = CVI_ATTR_TENSOR, .tensor = t};
    if (!t || !to->name) {
        return cvi_no_memory(o->err, sizeof *t);
    }
    return cvi_onnx_tensor(o, &o->root, &a->tensor, NULL, t);
}

/* Fills one attribute; *set = false when the attribute does not exist for this call or is of a kind nobody reads. */
static cvs_status set_attr(cvi_onnx *o, cvi_onnx_scope *scope, const cvi_onnx_attr *source, cvi_attr *to,
                           bool *set) {
    const cvi_onnx_attr *a = actual(scope, source);
    cvi_graph *g = scope->graph;
    const char *name = source->name;
    bool ok = true;
    *set = a != NULL;
    if (!a) {
        return CVS_OK;
    }
    switch (a->type) {
    case CVI_ONNX_FLOAT:
        ok = cvi_attr_set_float(g, to, name, a->f);
        break;
    case CVI_ONNX_INT:
        ok = cvi_attr_set_int(g, to, name, a->i);
        break;
    case CVI_ONNX_STRING:
        *set = a->s != NULL;
        ok = !a->s || cvi_attr_set_string(g, to, name, a->s);
        break;
    case CVI_ONNX_INTS:
        ok = cvi_attr_set_ints(g, to, name, a->n, a->ints);
        break;
    case CVI_ONNX_FLOATS:
        ok = cvi_attr_set_floats(g, to, name, a->n, a->floats);
        break;
    case CVI_ONNX_STRINGS:
        ok = set_strings(g, to, name, a);
        break;
    case CVI_ONNX_TENSOR:
        return set_tensor(o, g, to, name, a);
    case CVI_ONNX_GRAPH:
        ok = cvi_attr_set_int(g, to, name, 0);
        to->kind = CVI_ATTR_GRAPH;
        CVI_TRY(ok ? cvi_onnx_graph(o, scope, &o->root, &a->graph, scope->version, &to->graph)
                   : cvi_no_memory(o->err, 0));
        break;
    default:
        *set = false; /* lists of tensors or graphs, types: no operator of ours has them */
    }
    return ok ? CVS_OK : cvi_no_memory(o->err, 0);
}

/* ---- nodes ---- */

/* Constant and Identity-of-a-constant become constants, unless the graph hands the value out as an output. */
static bool is_output(const cvi_onnx_scope *scope, int v) {
    return v < scope->n_is_output && scope->is_output[v];
}

static void set_constant(cvi_graph *g, int v, const cvs_tensor *t) {
    cvi_value *value = &g->values[v];
    value->constant = t;
    value->dtype = t->dtype;
    value->rank = t->rank;
    memcpy(value->dim, t->dim, sizeof value->dim);
}

static cvs_status try_fold(cvi_onnx_draft *d, bool *folded) {
    cvi_graph *g = d->scope->graph;
    *folded = false;
    if (d->n_out != 1 || d->out[0] < 0 || is_output(d->scope, d->out[0])) {
        return CVS_OK;
    }
    if (strcmp(d->op, "Constant") == 0 && d->n_attr == 1 && d->attr[0].kind == CVI_ATTR_TENSOR) {
        set_constant(g, d->out[0], d->attr[0].tensor);
        *folded = true;
    } else if (strcmp(d->op, "Identity") == 0 && d->n_in == 1 && d->in[0] >= 0 &&
               g->values[d->in[0]].constant) {
        set_constant(g, d->out[0], g->values[d->in[0]].constant);
        *folded = true; /* later readers read the original, so that shared weights stay one */
        return cvi_onnx_bind(d->o, d->scope, d->source->out[0], d->in[0]);
    }
    return CVS_OK;
}

cvs_status cvi_onnx_emit(cvi_onnx_draft *d) {
    cvi_graph *g = d->scope->graph;
    cvi_onnx *o = d->o;
    while (d->n_in > 0 && d->in[d->n_in - 1] < 0) {
        d->n_in--;
    }
    while (d->n_out > 1 && d->out[d->n_out - 1] < 0) {
        d->n_out--;
    }
    bool folded = false;
    CVI_TRY(try_fold(d, &folded));
    if (folded) {
        return CVS_OK;
    }
    if (++o->n_nodes > o->model->limits.max_nodes) {
        return cvi_fail(o->err, CVS_E_LIMIT, "more than %lld nodes, the limit",
                        (long long)o->model->limits.max_nodes);
    }
    const char *name = d->source->name;
    if (d->scope->prefix[0] && name[0]) {
        name = cvi_arena_printf(o->work, "%s%s", d->scope->prefix, name);
        if (!name) {
            return cvi_no_memory(o->err, 0);
        }
    }
    int n = cvi_graph_node(g, name, d->op, d->n_in, d->n_out, d->n_attr, o->err);
    if (n < 0) {
        return o->err->code;
    }
    cvi_node *node = &g->nodes[n];
    for (int k = 0; k < d->n_in; k++) {
        node->in[k] = d->in[k];
    }
    for (int k = 0; k < d->n_out; k++) {
        node->out[k] = d->out[k];
    }
    for (int k = 0; k < d->n_attr; k++) {
        node->attr[k] = d->attr[k];
    }
    return cvi_onnx_track_shapes(d, n);
}

/* Names of classes, which a rule of onnx_ml.c takes: no value of the graph. */
static bool is_words(const cvi_onnx *o, const cvi_onnx_scope *scope, const cvi_onnx_node *node, int k) {
    return k == 0 && strcmp(node->op, "ArrayFeatureExtractor") == 0 &&
           cvi_onnx_map_get(&scope->names, node->in[k]) == CVI_ONNX_UNSUPPORTED &&
           cvi_onnx_find_words(o, node->in[k]) != NULL;
}

/* Attributes, inputs and outputs of a node, resolved, with room for what an upgrade adds. */
static cvs_status draft(cvi_onnx *o, cvi_onnx_scope *scope, const cvi_onnx_node *node, cvi_onnx_draft *d) {
    *d = (cvi_onnx_draft){.o = o, .scope = scope, .source = node, .version = scope->version};
    d->in = cvi_onnx_alloc(o, (int64_t)node->n_in + CVI_ONNX_SPARE, sizeof *d->in);
    d->out = cvi_onnx_alloc(o, node->n_out + 1, sizeof *d->out);
    d->attr = cvi_onnx_alloc(o, (int64_t)node->n_attr + CVI_ONNX_SPARE, sizeof *d->attr);
    if (!d->in || !d->out || !d->attr) {
        return CVS_E_MEMORY;
    }
    d->op = node->domain[0] ? cvi_arena_printf(o->work, "%s::%s", node->domain, node->op) : node->op;
    if (!d->op) {
        return cvi_no_memory(o->err, 0);
    }
    for (int k = 0; k < node->n_in; k++) {
        d->in[k] = -1;
        if (node->in[k][0] && !is_words(o, scope, node, k)) {
            CVI_TRY(cvi_onnx_resolve(o, scope, node->in[k], &d->in[k]));
        }
    }
    for (int k = 0; k < node->n_out; k++) {
        d->out[k] = node->out[k][0] ? cvi_onnx_map_get(&scope->names, node->out[k]) : -1;
    }
    d->n_in = node->n_in;
    d->n_out = node->n_out;
    for (int k = 0; k < node->n_attr; k++) {
        bool set = false;
        cvs_status s = set_attr(o, scope, &node->attr[k], &d->attr[d->n_attr], &set);
        if (s != CVS_OK) {
            return cvi_at_offset(o->err, cvi_at_attr(o->err, s, node->attr[k].name), node->attr[k].offset);
        }
        d->n_attr += set;
    }
    return CVS_OK;
}

/* A Constant of words: kept as a tensor of words among the initializers is. */
static cvs_status words_constant(cvi_onnx *o, cvi_onnx_scope *scope, const cvi_onnx_node *node, bool *done) {
    const cvi_onnx_attr *a = find_attr(node->attr, node->n_attr, "value");
    bool is = strcmp(node->op, "Constant") == 0 && !node->domain[0] && node->n_out == 1 && node->out[0][0] &&
              a && a->type == CVI_ONNX_TENSOR && !a->ref;
    if (!is) {
        return CVS_OK;
    }
    CVI_TRY(cvi_onnx_keep_words(o, &o->root, &a->tensor, node->out[0]));
    *done = cvi_onnx_find_words(o, node->out[0]) != NULL;
    return *done ? cvi_onnx_bind(o, scope, node->out[0], CVI_ONNX_UNSUPPORTED) : CVS_OK;
}

static cvs_status put_node(cvi_onnx *o, cvi_onnx_scope *scope, const cvi_onnx_node *node) {
    cvi_onnx_function *f = cvi_onnx_find_function(o, node);
    if (f) {
        return cvi_onnx_call(o, scope, node, f);
    }
    cvi_onnx_draft d;
    bool done = false;
    CVI_TRY(words_constant(o, scope, node, &done));
    if (done) {
        return CVS_OK;
    }
    CVI_TRY(draft(o, scope, node, &d));
    CVI_TRY(cvi_onnx_rewrite(&d, &done));
    if (done) {
        return CVS_OK;
    }
    return node->domain[0] ? cvi_onnx_emit(&d) : cvi_onnx_upgrade(&d);
}

cvs_status cvi_onnx_put_nodes(cvi_onnx *o, cvi_onnx_scope *scope, const cvi_onnx_node *nodes, int n) {
    for (int i = 0; i < n; i++) {
        cvs_status s = put_node(o, scope, &nodes[i]);
        if (s != CVS_OK) {
            const char *name = nodes[i].name[0] ? nodes[i].name : nodes[i].n_out > 0 ? nodes[i].out[0] : "";
            return cvi_at_offset(o->err, cvi_at_node(o->err, s, name, nodes[i].op), nodes[i].offset);
        }
    }
    return CVS_OK;
}

/* The attributes of a call with the caller's own references filled in. */
cvs_status cvi_onnx_call_attrs(cvi_onnx *o, const cvi_onnx_scope *scope, const cvi_onnx_node *node,
                               cvi_onnx_attr **out, int *n) {
    *n = 0;
    *out = cvi_onnx_alloc(o, node->n_attr, sizeof **out);
    if (!*out) {
        return CVS_E_MEMORY;
    }
    for (int i = 0; i < node->n_attr; i++) {
        const cvi_onnx_attr *a = actual(scope, &node->attr[i]);
        if (a && (a->type == CVI_ONNX_GRAPH)) {
            return cvi_at_attr(
                o->err,
                cvi_fail(o->err, CVS_E_UNSUPPORTED, "a graph as a function's attribute is not supported"),
                node->attr[i].name);
        }
        if (a) {
            (*out)[*n] = *a;
            (*out)[*n].ref = NULL;
            (*out)[(*n)++].name = node->attr[i].name;
        }
    }
    return CVS_OK;
}

/* ---- graphs ---- */

typedef struct graph_parts {
    const char *name;
    int n_nodes, n_in, n_out, n_initial, n_sparse, n_info;
    cvi_onnx_node *nodes;
    cvi_onnx_info *in, *out, *info;
    cvi_pb_piece *initial, *sparse;
} graph_parts;

static cvs_status graph_field(cvi_onnx *o, const cvi_pb *r, const cvi_pb_field *f, graph_parts *p) {
    switch (f->number) {
    case 1:
        CVI_TRY(cvi_pb_expect(r, f, CVI_PB_BYTES, "GraphProto.node"));
        return cvi_onnx_parse_node(o, r, &f->bytes, &p->nodes[p->n_nodes++]);
    case 2:
        return cvi_pb_string(r, o->work, f, o->model->limits.max_name_bytes, "GraphProto.name", &p->name);
    case 5:
        CVI_TRY(cvi_pb_expect(r, f, CVI_PB_BYTES, "GraphProto.initializer"));
        p->initial[p->n_initial++] = f->bytes;
        return CVS_OK;
    case 11:
        CVI_TRY(cvi_pb_expect(r, f, CVI_PB_BYTES, "GraphProto.input"));
        return cvi_onnx_parse_info(o, r, &f->bytes, &p->in[p->n_in++]);
    case 12:
        CVI_TRY(cvi_pb_expect(r, f, CVI_PB_BYTES, "GraphProto.output"));
        return cvi_onnx_parse_info(o, r, &f->bytes, &p->out[p->n_out++]);
    case 13:
        CVI_TRY(cvi_pb_expect(r, f, CVI_PB_BYTES, "GraphProto.value_info"));
        return cvi_onnx_parse_info(o, r, &f->bytes, &p->info[p->n_info++]);
    case 15:
        CVI_TRY(cvi_pb_expect(r, f, CVI_PB_BYTES, "GraphProto.sparse_initializer"));
        p->sparse[p->n_sparse++] = f->bytes;
        return CVS_OK;
    default:
        return CVS_OK;
    }
}

static cvs_status parse_graph(cvi_onnx *o, const cvi_pb *r, graph_parts *p) {
    int counts[16];
    *p = (graph_parts){.name = ""};
    CVI_TRY(cvi_onnx_count(r, CVI_COUNT(counts), counts));
    if (counts[1] > o->model->limits.max_nodes) {
        return cvi_fail(o->err, CVS_E_LIMIT, "more than %lld nodes, the limit",
                        (long long)o->model->limits.max_nodes);
    }
    p->nodes = cvi_onnx_alloc(o, counts[1], sizeof *p->nodes);
    p->initial = cvi_onnx_alloc(o, counts[5], sizeof *p->initial);
    p->sparse = cvi_onnx_alloc(o, counts[15], sizeof *p->sparse);
    p->in = cvi_onnx_alloc(o, counts[11], sizeof *p->in);
    p->out = cvi_onnx_alloc(o, counts[12], sizeof *p->out);
    p->info = cvi_onnx_alloc(o, (int64_t)counts[13] + counts[12], sizeof *p->info);
    if (!p->nodes || !p->initial || !p->sparse || !p->in || !p->out || !p->info) {
        return CVS_E_MEMORY;
    }
    cvi_pb walk = *r;
    for (;;) {
        cvi_pb_field f;
        CVI_TRY(cvi_pb_next(&walk, &f));
        if (!f.number) {
            return CVS_OK;
        }
        CVI_TRY(graph_field(o, &walk, &f, p));
    }
}

/* An initializer of a type that we do not hold stops nobody until a node reads it. */
static cvs_status put_initializer(cvi_onnx *o, cvi_onnx_scope *scope, const cvi_pb *r,
                                  const cvi_pb_piece *message, bool sparse) {
    const char *name = "";
    cvs_tensor t;
    int v = CVI_ONNX_UNSUPPORTED;
    cvs_status s =
        sparse ? cvi_onnx_sparse(o, r, message, &name, &t) : cvi_onnx_tensor(o, r, message, &name, &t);
    if (s == CVS_E_UNSUPPORTED && t.dtype == CVS_NONE && name[0]) {
        cvi_error_clear(o->err);
        CVI_TRY(sparse ? CVS_OK : cvi_onnx_keep_words(o, r, message, name));
    } else if (s != CVS_OK) {
        return s;
    } else {
        v = cvi_graph_constant(scope->graph, name, &t, o->err);
        if (v < 0) {
            return o->err->code;
        }
    }
    if (cvi_onnx_map_get(&scope->names, name) != -1) {
        return cvi_at_offset(o->err, cvi_fail(o->err, CVS_E_FORMAT, "value %.100s is made twice", name),
                             cvi_pb_offset(r, message->data));
    }
    return cvi_onnx_bind(o, scope, name, v);
}

static cvs_status put_input(cvi_onnx *o, cvi_onnx_scope *scope, const cvi_onnx_info *in) {
    int known = cvi_onnx_map_get(&scope->names, in->name);
    if (known != -1) { /* before IR 4 every initializer is listed as an input, later it may be */
        if (known >= 0 && !scope->graph->values[known].constant) {
            return cvi_at_offset(
                o->err, cvi_fail(o->err, CVS_E_FORMAT, "value %.100s is made twice", in->name), in->offset);
        }
        return CVS_OK;
    }
    int v = new_value(o, scope, in->name, in);
    if (v < 0 || !cvi_graph_add_input(scope->graph, v)) {
        return v < 0 ? o->err->code : cvi_no_memory(o->err, 0);
    }
    if (!scope->parent && !in->is_tensor &&
        !cvi_model_note(o->model, "input %.100s is no tensor, so the model cannot be run", in->name)) {
        return cvi_no_memory(o->err, 0);
    }
    return cvi_onnx_bind(o, scope, in->name, v);
}

/* Notes which names are outputs, and what the file says of types. */
static cvs_status put_infos(cvi_onnx *o, cvi_onnx_scope *scope, graph_parts *p) {
    for (int i = 0; i < p->n_out; i++) {
        if (!cvi_onnx_map_put(o, &scope->outputs, p->out[i].name, i)) {
            return CVS_E_MEMORY;
        }
        p->info[p->n_info++] = p->out[i];
    }
    scope->info = p->info;
    for (int i = 0; i < p->n_info; i++) {
        if (!cvi_onnx_map_put(o, &scope->infos, p->info[i].name, i)) {
            return CVS_E_MEMORY;
        }
    }
    return CVS_OK;
}

/* Which declared values are outputs: declared before any node is put in, so that constants among them stay nodes. */
static cvs_status mark_outputs(cvi_onnx *o, cvi_onnx_scope *scope, const graph_parts *p) {
    int total = 0;
    for (int i = 0; i < p->n_nodes; i++) {
        CVI_TRY(cvi_onnx_declare(o, scope, &p->nodes[i]));
    }
    total = scope->graph->n_values;
    scope->is_output = cvi_onnx_alloc(o, total, sizeof *scope->is_output);
    if (!scope->is_output) {
        return CVS_E_MEMORY;
    }
    for (int i = 0; i < p->n_out; i++) {
        int v = cvi_onnx_map_get(&scope->names, p->out[i].name);
        if (v >= 0) {
            scope->is_output[v] = true;
        }
    }
    scope->n_is_output = total;
    return CVS_OK;
}

static cvs_status fill_graph(cvi_onnx *o, cvi_onnx_scope *scope, const cvi_pb *r, graph_parts *p) {
    for (int i = 0; i < p->n_initial; i++) {
        CVI_TRY(put_initializer(o, scope, r, &p->initial[i], false));
    }
    for (int i = 0; i < p->n_sparse; i++) {
        CVI_TRY(put_initializer(o, scope, r, &p->sparse[i], true));
    }
    for (int i = 0; i < p->n_in; i++) {
        CVI_TRY(put_input(o, scope, &p->in[i]));
    }
    CVI_TRY(put_infos(o, scope, p));
    CVI_TRY(mark_outputs(o, scope, p));
    CVI_TRY(cvi_onnx_put_nodes(o, scope, p->nodes, p->n_nodes));
    for (int i = 0; i < p->n_out; i++) {
        int v = -1;
        cvs_status s = cvi_onnx_resolve(o, scope, p->out[i].name, &v);
        if (s == CVS_OK && v < 0) {
            s = cvi_fail(o->err, CVS_E_FORMAT, "value %.100s is read, but nothing makes it", p->out[i].name);
        }
        if (s != CVS_OK) {
            return cvi_at_offset(o->err, s, p->out[i].offset);
        }
        if (!cvi_graph_add_output(scope->graph, v)) {
            return cvi_no_memory(o->err, 0);
        }
    }
    return CVS_OK;
}

cvs_status cvi_onnx_graph(cvi_onnx *o, cvi_onnx_scope *parent, const cvi_pb *around,
                          const cvi_pb_piece *message, int64_t version, cvi_graph **out) {
    cvi_pb r;
    graph_parts parts;
    cvi_onnx_shapes shapes = {0};
    cvi_onnx_scope scope = {.parent = parent, .prefix = "", .version = version, .shapes = &shapes};
    if (parent) {
        scope.depth = parent->depth + 1;
        scope.nesting = parent->nesting;
        scope.function = parent->function;
        scope.call = parent->call;
        scope.n_call = parent->n_call;
    }
    if (scope.depth > o->model->limits.max_depth) {
        return cvi_fail(o->err, CVS_E_LIMIT, "subgraphs are nested more than %lld deep, the limit",
                        (long long)o->model->limits.max_depth);
    }
    CVI_TRY(cvi_pb_enter(around, message, &r));
    CVI_TRY(parse_graph(o, &r, &parts));
    scope.graph = cvi_graph_new(o->model, parent ? parent->graph : NULL, parts.name, o->err);
    if (!scope.graph) {
        return o->err->code;
    }
    *out = scope.graph;
    CVI_TRY(fill_graph(o, &scope, &r, &parts));
    if (!parent && parts.n_nodes == 0 && parts.n_out == 0) { /* two bytes make one */
        return cvi_fail(o->err, CVS_E_FORMAT, "the model has no layers");
    }
    return CVS_OK;
}

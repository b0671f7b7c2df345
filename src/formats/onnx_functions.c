/* SPDX-License-Identifier: MIT
 * onnx_functions.c - local functions: the body is put in place of each call, its names prefixed with the call's. Bounded
 * like onnx's own checker: so many calls in all, so many inside one another, no cycle.
 */
#include "onnx.h"

static const char *key_of(cvi_onnx *o, const char *domain, const char *name, const char *overload) {
    char *key = cvi_arena_printf(o->work, "%s\n%s\n%s", domain, name, overload);
    if (!key) {
        cvi_no_memory(o->err, strlen(name));
    }
    return key;
}

cvs_status cvi_onnx_index_functions(cvi_onnx *o) {
    for (int i = 0; i < o->n_functions; i++) {
        const cvi_onnx_function *f = &o->functions[i];
        const char *key = key_of(o, f->domain, f->name, f->overload);
        if (!key) {
            return CVS_E_MEMORY;
        }
        if (cvi_onnx_map_get(&o->function_index, key) >= 0) {
            return cvi_at_offset(o->err,
                                 cvi_fail(o->err, CVS_E_FORMAT, "function %.100s is defined twice", f->name),
                                 f->offset);
        }
        if (!cvi_onnx_map_put(o, &o->function_index, key, i)) {
            return CVS_E_MEMORY;
        }
    }
    return CVS_OK;
}

cvi_onnx_function *cvi_onnx_find_function(cvi_onnx *o, const cvi_onnx_node *node) {
    for (int i = 0; o->n_functions < 8 && i < o->n_functions; i++) {
        cvi_onnx_function *f = &o->functions[i];
        if (!strcmp(f->name, node->op) && !strcmp(f->domain, node->domain) &&
            !strcmp(f->overload, node->overload)) {
            return f;
        }
    }
    if (o->n_functions < 8) {
        return NULL;
    }
    const char *key = key_of(o, node->domain, node->op, node->overload);
    int i = key ? cvi_onnx_map_get(&o->function_index, key) : -1;
    return i >= 0 ? &o->functions[i] : NULL;
}

int64_t cvi_onnx_opset_of(const cvi_onnx_opset *opsets, int n, const char *domain, int64_t otherwise) {
    for (int i = 0; i < n; i++) {
        const char *d = strcmp(opsets[i].domain, "ai.onnx") == 0 ? "" : opsets[i].domain;
        if (strcmp(d, domain) == 0) {
            return opsets[i].version;
        }
    }
    return otherwise;
}

/* Binds the function's own names for its inputs to what the caller gave. */
static cvs_status bind_inputs(cvi_onnx *o, cvi_onnx_scope *caller, const cvi_onnx_node *node,
                              const cvi_onnx_function *f, cvi_onnx_scope *body) {
    if (node->n_in > f->n_in || node->n_out > f->n_out) {
        return cvi_fail(o->err, CVS_E_FORMAT,
                        "function %.100s takes %d inputs and gives %d outputs, the call has %d and %d",
                        f->name, f->n_in, f->n_out, node->n_in, node->n_out);
    }
    for (int k = 0; k < f->n_in; k++) {
        int v = -1;
        if (k < node->n_in && node->in[k][0]) {
            CVI_TRY(cvi_onnx_resolve(o, caller, node->in[k], &v));
        }
        CVI_TRY(cvi_onnx_bind(o, body, f->in[k], v < 0 ? CVI_ONNX_ABSENT : v));
    }
    return CVS_OK;
}

/* Outputs of the body are the caller's values. One that the body passes straight through from an input gets an Identity. */
static cvs_status bind_outputs(cvi_onnx *o, cvi_onnx_scope *caller, const cvi_onnx_node *node,
                               const cvi_onnx_function *f, cvi_onnx_scope *body) {
    for (int k = 0; k < node->n_out; k++) {
        int v = node->out[k][0] ? cvi_onnx_map_get(&caller->names, node->out[k]) : -1;
        if (v < 0) {
            continue;
        }
        int known = cvi_onnx_map_get(&body->names, f->out[k]);
        if (known == -1) {
            CVI_TRY(cvi_onnx_bind(o, body, f->out[k], v));
            if (!cvi_onnx_map_put(o, &body->formal_out, f->out[k], 0)) {
                return CVS_E_MEMORY;
            }
            continue;
        }
        const cvi_onnx_node identity = {
            .name = node->name, .op = "Identity", .n_out = 1, .out = &node->out[k]};
        cvi_onnx_draft d = {
            .o = o, .scope = caller, .source = &identity, .op = "Identity", .n_in = 1, .n_out = 1};
        d.in = &known;
        d.out = &v;
        CVI_TRY(cvi_onnx_emit(&d));
    }
    return CVS_OK;
}

static cvs_status check_made(cvi_onnx *o, const cvi_onnx_function *f, const cvi_onnx_scope *body) {
    for (int k = 0; k < f->n_out; k++) {
        if (cvi_onnx_map_get(&body->formal_out, f->out[k]) == 0) {
            return cvi_fail(o->err, CVS_E_FORMAT, "function %.100s does not make its output %.100s", f->name,
                            f->out[k]);
        }
    }
    return CVS_OK;
}

cvs_status cvi_onnx_call(cvi_onnx *o, cvi_onnx_scope *scope, const cvi_onnx_node *node,
                         cvi_onnx_function *f) {
    if (f->active) {
        return cvi_fail(o->err, CVS_E_FORMAT, "function %.100s calls itself", f->name);
    }
    if (scope->nesting >= CVI_ONNX_MAX_NESTING || ++o->n_calls > CVI_ONNX_MAX_CALLS) {
        return cvi_fail(o->err, CVS_E_LIMIT,
                        "more than %d calls of functions, or more than %d inside one another",
                        CVI_ONNX_MAX_CALLS, CVI_ONNX_MAX_NESTING);
    }
    cvi_onnx_scope body = {
        .graph = scope->graph, .nesting = scope->nesting + 1, .depth = scope->depth, .function = f};
    body.version = cvi_onnx_opset_of(f->opsets, f->n_opsets, "", scope->version);
    body.is_output = scope->is_output;
    body.n_is_output = scope->n_is_output;
    body.shapes = scope->shapes;
    body.prefix = cvi_arena_printf(o->work, "%s%s/", scope->prefix, node->name[0] ? node->name : node->op);
    if (!body.prefix) {
        return cvi_no_memory(o->err, 0);
    }
    cvi_onnx_attr *attrs = NULL;
    CVI_TRY(cvi_onnx_call_attrs(o, scope, node, &attrs, &body.n_call));
    body.call = attrs;
    CVI_TRY(bind_inputs(o, scope, node, f, &body));
    CVI_TRY(bind_outputs(o, scope, node, f, &body));
    f->active = true;
    cvs_status s = CVS_OK;
    for (int i = 0; i < f->n_nodes && s == CVS_OK; i++) {
        s = cvi_onnx_declare(o, &body, &f->nodes[i]);
    }
    if (s == CVS_OK) {
        s = cvi_onnx_put_nodes(o, &body, f->nodes, f->n_nodes);
    }
    f->active = false;
    return s == CVS_OK ? check_made(o, f, &body) : s;
}

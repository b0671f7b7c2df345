/* SPDX-License-Identifier: MIT
 * net_build.c - statements of the text language into a graph: names, scopes, branches, and shapes as they grow (the operators' own
 * shape rules, so that a mistake is said at its line). The words themselves are in net_words.c.
 */
#include <ctype.h>
#include <math.h>
#include <stdlib.h>

#include "formats/net.h"

cvs_status cvi_net_fail(const net_builder *b, const net_token *at, cvs_status s) {
    return cvi_at_line(b->err, s, at->line, at->column);
}

/* ---- arguments --------------------------------------------------------------------------------------- */

/* Replaces $name by the block's argument. */
static cvs_status substitute(const net_builder *b, const net_scope *scope, const net_token *t, char *out,
                             size_t size) {
    size_t at = 0;
    for (const char *s = t->text; *s;) {
        const char *piece = s;
        size_t n = 1, used = 1;
        if (*s == '$') {
            size_t length = 0;
            while (isalnum((unsigned char)s[1 + length]) || s[1 + length] == '_') {
                length++;
            }
            int k = 0;
            for (; scope && scope->block && k < scope->block->n_params; k++) {
                const char *name = scope->block->params[k].text;
                if (strlen(name) == length && strncmp(name, s + 1, length) == 0) {
                    break;
                }
            }
            if (!scope || !scope->block || k == scope->block->n_params) {
                return cvi_net_fail(b, t,
                                    cvi_fail(b->err, CVS_E_FORMAT, "%.60s is no parameter of this block", s));
            }
            piece = scope->args[k].text;
            n = strlen(piece);
            used = length + 1;
        }
        if (at + n + 1 > size) {
            return cvi_net_fail(b, t, cvi_fail(b->err, CVS_E_LIMIT, "this argument is too long"));
        }
        memcpy(out + at, piece, n);
        at += n;
        s += used;
    }
    out[at] = 0;
    return CVS_OK;
}

/* number {(*|/|+|-) number}, usual precedence; *end is where it stopped. */
static double expression(const char *s, const char **end) {
    char *stop;
    double sum = 0.0, term = strtod(s, &stop);
    *end = stop;
    if (stop == s) {
        return 0.0;
    }
    while (**end && strchr("+-*/", **end)) {
        char op = **end;
        const char *from = *end + 1;
        double v = strtod(from, &stop);
        if (stop == from) {
            break;
        }
        *end = stop;
        if (op == '*') {
            term *= v;
        } else if (op == '/') {
            term /= v;
        } else {
            sum += term;
            term = op == '+' ? v : -v;
        }
    }
    return sum + term;
}

static cvs_status not_a_number(const net_builder *b, const net_token *t) {
    return cvi_net_fail(b, t, cvi_fail(b->err, CVS_E_FORMAT, "\"%.60s\" is no number", t->text));
}

cvs_status cvi_net_number(const net_builder *b, const net_args *a, int k, double *out, bool *there) {
    *there = false;
    for (int i = 0; i < a->item->n_args; i++) {
        const net_token *t = &a->item->args[i];
        char text[256];
        CVI_TRY(substitute(b, a->scope, t, text, sizeof text));
        const char *end;
        if (isdigit((unsigned char)text[0]) || text[0] == '-' || text[0] == '.') {
            double v = expression(text, &end);
            if (*end || !isfinite(v)) {
                return not_a_number(b, t);
            }
            if (k-- == 0) {
                *out = v;
                *there = true;
                return CVS_OK;
            }
        }
    }
    return CVS_OK;
}

cvs_status cvi_net_pair(const net_builder *b, const net_args *a, const char *letter, int64_t out[2],
                        bool *there) {
    size_t n = strlen(letter);
    *there = false;
    for (int i = 0; i < a->item->n_args; i++) {
        const net_token *t = &a->item->args[i];
        char text[256];
        CVI_TRY(substitute(b, a->scope, t, text, sizeof text));
        if (strncmp(text, letter, n) != 0 || !(isdigit((unsigned char)text[n]) || text[n] == '=')) {
            continue;
        }
        const char *end;
        double v[2];
        v[0] = v[1] = expression(text + n + (text[n] == '='), &end);
        if (*end == 'x') {
            v[1] = expression(end + 1, &end);
        }
        for (int k = 0; k < 2; k++) {
            if (*end || !(v[k] >= 0 && v[k] <= 1e6) || v[k] != floor(v[k])) {
                return not_a_number(b, t);
            }
            out[k] = (int64_t)v[k];
        }
        *there = true;
    }
    return CVS_OK;
}

cvs_status cvi_net_key(const net_builder *b, const net_args *a, const char *key, double *out, bool *there) {
    size_t n = strlen(key);
    *there = false;
    for (int i = 0; i < a->item->n_args; i++) {
        const net_token *t = &a->item->args[i];
        char text[256];
        CVI_TRY(substitute(b, a->scope, t, text, sizeof text));
        if (strncmp(text, key, n) == 0 && text[n] == '=') {
            const char *end;
            *out = expression(text + n + 1, &end);
            if (*end || end == text + n + 1 || !isfinite(*out)) {
                return not_a_number(b, t);
            }
            *there = true;
        }
    }
    return CVS_OK;
}

bool cvi_net_has(const net_builder *b, const net_args *a, const char *flag) {
    (void)b;
    for (int i = 0; i < a->item->n_args; i++) {
        if (strcmp(a->item->args[i].text, flag) == 0) {
            return true;
        }
    }
    return false;
}

/* ---- values and names ----------------------------------------------------------------------------------- */

const cvs_tensor *cvi_net_shape(const net_builder *b, int value) {
    return &b->shapes[value];
}

cvs_status cvi_net_keep_shape(net_builder *b, int value, const cvs_tensor *shape) {
    if (value >= b->n_shapes) {
        int n = CVI_MAX(64, value * 2);
        cvs_tensor *bigger = cvi_arena_alloc(b->g->arena, n, sizeof *bigger);
        if (!bigger) {
            return cvi_no_memory(b->err, (size_t)n * sizeof *bigger);
        }
        if (b->n_shapes) {
            memcpy(bigger, b->shapes, (size_t)b->n_shapes * sizeof *bigger);
        }
        b->shapes = bigger;
        b->n_shapes = n;
    }
    b->shapes[value] = *shape;
    return CVS_OK;
}

cvs_status cvi_net_param(net_builder *b, const char *suffix, int rank, const int64_t *dim, int *value) {
    cvs_tensor t = {.dtype = CVS_F32, .rank = rank};
    for (int i = 0; i < rank; i++) {
        t.dim[i] = dim[i];
    }
    int64_t n = cvs_tensor_count(&t), bytes;
    if (n <= 0 || !cvi_mul(n, 4, &bytes)) {
        char shape[200];
        return cvi_fail(b->err, CVS_E_SHAPE, "a parameter of shape %s cannot be",
                        cvs_shape_text(rank, dim, shape, sizeof shape));
    }
    t.bytes = (size_t)bytes;
    char *name = cvi_arena_printf(b->g->arena, "%s.%s", b->name, suffix);
    if (!name) {
        return cvi_no_memory(b->err, 0);
    }
    *value = cvi_graph_constant(b->g, name, &t, b->err);
    b->model->has_weights = false;
    return *value < 0 ? CVS_E_MEMORY : cvi_net_keep_shape(b, *value, &t);
}

cvs_status cvi_net_node_optional(net_builder *b, const net_args *a, const char *op, int n_in, const int *in,
                                 int n_attr, cvi_node **node) {
    int v = cvi_graph_op(b->g, op, n_in, in, b->name, n_attr, node, b->err);
    return v < 0 ? cvi_net_fail(b, &a->item->word, b->err ? b->err->code : CVS_E_MEMORY) : CVS_OK;
}

cvs_status cvi_net_node(net_builder *b, const net_args *a, const char *op, int n_in, const int *in,
                        int n_attr, cvi_node **node) {
    for (int i = 0; i < n_in; i++) {
        if (in[i] < 0) {
            return cvi_net_fail(b, &a->item->word,
                                cvi_fail(b->err, CVS_E_FORMAT,
                                         "%.60s has nothing to read: begin with \"input CxHxW\"",
                                         a->item->word.text));
        }
    }
    return cvi_net_node_optional(b, a, op, n_in, in, n_attr, node);
}

/* What is known of a value while building: constants with their numbers, else the shape. */
static const cvs_tensor *known(const net_builder *b, int value) {
    const cvs_tensor *constant = b->g->values[value].constant;
    return constant ? constant : &b->shapes[value];
}

/* Shapes of a node's outputs. What needs numbers that only a run has, or is no operator that we know, stays unknown (rank -1). */
static cvs_status infer(net_builder *b, cvi_node *node, cvs_tensor *out) {
    CVI_TRY(cvi_op_bind(node, b->err)); /* infer may rely on required inputs being there */
    const cvi_op *op = node->def;
    const cvs_tensor **in = cvi_arena_alloc(b->g->arena, CVI_MAX(node->n_in, 1), sizeof *in);
    if (!in) {
        return cvi_no_memory(b->err, 0);
    }
    bool unknown = !op;
    for (int i = 0; i < node->n_in; i++) {
        in[i] = node->in[i] < 0 ? NULL : known(b, node->in[i]);
        unknown |= in[i] && in[i]->rank < 0;
    }
    cvs_error err = {.lang = b->err ? b->err->lang : CVS_EN};
    cvi_opctx ctx = {.graph = b->g,
                     .node = node,
                     .op = op,
                     .n_in = node->n_in,
                     .n_out = node->n_out,
                     .in = in,
                     .out = out,
                     .err = &err};
    cvs_status s = unknown ? CVS_E_LATE : op->infer(&ctx);
    if (s == CVS_E_LATE) {
        for (int i = 0; i < node->n_out; i++) {
            out[i] = (cvs_tensor){.rank = -1};
        }
        return CVS_OK;
    }
    if (s != CVS_OK && b->err) {
        *b->err = err;
    }
    return s;
}

cvs_status cvi_net_done(net_builder *b, const net_args *a, cvi_node *node) {
    cvs_tensor *out = cvi_arena_alloc(b->g->arena, CVI_MAX(node->n_out, 1), sizeof *out);
    if (!out) {
        return cvi_no_memory(b->err, 0);
    }
    memset(out, 0, (size_t)CVI_MAX(node->n_out, 1) * sizeof *out);
    cvs_status s = infer(b, node, out);
    if (s != CVS_OK) {
        return cvi_net_fail(b, &a->item->word, s);
    }
    bool hidden = cvi_net_has(b, a, "hidden");
    for (int i = 0; i < node->n_out; i++) {
        if (node->out[i] < 0) {
            continue;
        }
        cvi_value *value = &b->g->values[node->out[i]];
        value->dtype = out[i].dtype;
        value->rank = out[i].rank;
        value->hidden = hidden;
        memcpy(value->dim, out[i].dim, sizeof value->dim);
        if (out[i].rank > 0 && b->free_batch) {
            value->dim[0] = -1;
        }
        CVI_TRY(cvi_net_keep_shape(b, node->out[i], &out[i]));
    }
    b->current = node->out[0] >= 0 ? node->out[0] : b->current;
    return CVS_OK;
}

static int count_word(net_builder *b, const char *word) {
    for (int i = 0; i < NET_MAX_WORDS; i++) {
        if (!b->counts[i].word) {
            b->counts[i].word = word;
        }
        if (strcmp(b->counts[i].word, word) == 0) {
            return ++b->counts[i].n;
        }
    }
    return ++b->counts[NET_MAX_WORDS - 1].n;
}

typedef struct net_alias {
    struct net_alias *next;
    const char *name;
    int value;
} net_alias;

/* A label inside blocks is looked for with the innermost prefix first. */
static int find_value(const net_builder *b, const net_scope *scope, const char *name) {
    for (; scope; scope = scope->outer) {
        char full[512];
        snprintf(full, sizeof full, "%s%s", scope->prefix, name);
        for (const net_alias *x = b->aliases; x; x = x->next) {
            if (strcmp(x->name, full) == 0) {
                return x->value;
            }
        }
        int v = cvi_graph_find(b->g, full);
        if (v >= 0) {
            return v;
        }
    }
    return -1;
}

static cvs_status resolve(const net_builder *b, const net_scope *scope, const net_token *t, int *value) {
    if (t->kind == NET_WORD && strcmp(t->text, "_") == 0) {
        *value = -1; /* an input that is left out */
        return CVS_OK;
    }
    *value = find_value(b, scope, t->text);
    return *value >= 0 ? CVS_OK
                       : cvi_net_fail(b, t,
                                      cvi_fail(b->err, CVS_E_NOT_FOUND,
                                               "no layer above is labelled \"%.60s\"", t->text));
}

/* ---- building ------------------------------------------------------------------------------------------- */

static cvs_status build_body(net_builder *b, const net_scope *scope, const net_body *body);

/* Runs each body from `start`, then joins the ends with op. A missing second body of a residual is the start itself. */
static cvs_status build_branches(net_builder *b, const net_args *a, bool residual) {
    const net_item *item = a->item;
    const char *name = b->name;
    int n = item->n_bodies, ends[64], start = a->inputs[0];
    if (n < 1 || n > 63) {
        return cvi_net_fail(
            b, &item->word,
            cvi_fail(b->err, CVS_E_FORMAT, "%.60s needs one to 63 bodies in braces", item->word.text));
    }
    for (int i = 0; i < n; i++) {
        b->current = start;
        CVI_TRY(build_body(b, a->scope, &item->bodies[i]));
        ends[i] = b->current;
    }
    if (residual && n == 1) {
        ends[n++] = start;
    }
    b->name = name;
    if (n == 1) {
        return CVS_OK;
    }
    cvi_node *node;
    CVI_TRY(cvi_net_node(b, a, !residual ? "Concat" : n == 2 ? "Add" : "Sum", n, ends, !residual, &node));
    if (!residual && !cvi_attr_set_int(b->g, &node->attr[0], "axis", 1)) {
        return cvi_no_memory(b->err, 0);
    }
    return cvi_net_done(b, a, node);
}

static cvs_status build_repeat(net_builder *b, const net_args *a) {
    double n = 0;
    bool there;
    CVI_TRY(cvi_net_number(b, a, 0, &n, &there));
    if (!there || n < 0 || n != floor(n) || a->item->n_bodies != 1) {
        return cvi_net_fail(
            b, &a->item->word,
            cvi_fail(b->err, CVS_E_FORMAT, "repeat needs a count and one body: repeat 3 { ... }"));
    }
    for (double i = 0; i < n; i++) {
        if (++b->rounds > b->model->limits.max_nodes) {
            return cvi_net_fail(b, &a->item->word,
                                cvi_fail(b->err, CVS_E_LIMIT, "more than %lld repetitions, the limit",
                                         (long long)b->model->limits.max_nodes));
        }
        CVI_TRY(build_body(b, a->scope, &a->item->bodies[0]));
    }
    return CVS_OK;
}

static const net_block *find_block(const net_builder *b, const char *name) {
    for (int i = 0; i < b->file->n_blocks; i++) {
        if (strcmp(b->file->blocks[i].name.text, name) == 0) {
            return &b->file->blocks[i];
        }
    }
    return NULL;
}

static cvs_status build_call(net_builder *b, const net_args *a, const net_block *block) {
    const net_item *item = a->item;
    if (item->n_args != block->n_params) {
        return cvi_net_fail(b, &item->word,
                            cvi_fail(b->err, CVS_E_FORMAT, "block %.60s takes %d arguments, %d given",
                                     block->name.text, block->n_params, item->n_args));
    }
    net_token *args = cvi_arena_alloc(b->g->arena, CVI_MAX(item->n_args, 1), sizeof *args);
    char *prefix = cvi_arena_printf(b->g->arena, "%s/", b->name);
    if (!args || !prefix) {
        return cvi_no_memory(b->err, 0);
    }
    for (int i = 0; i < item->n_args; i++) {
        char text[256];
        args[i] = item->args[i];
        CVI_TRY(substitute(b, a->scope, &item->args[i], text, sizeof text));
        args[i].text = cvi_arena_strn(b->g->arena, text, strlen(text));
        if (!args[i].text) {
            return cvi_no_memory(b->err, 0);
        }
    }
    net_scope inner = {.outer = a->scope, .block = block, .args = args, .prefix = prefix};
    return build_body(b, &inner, &block->body);
}

static cvs_status build_item(net_builder *b, const net_args *a) {
    const char *word = a->item->word.text;
    const net_block *block = find_block(b, word);
    if (block) {
        return build_call(b, a, block);
    }
    if (strcmp(word, "repeat") == 0) {
        return build_repeat(b, a);
    }
    if (strcmp(word, "residual") == 0 || strcmp(word, "parallel") == 0) {
        return build_branches(b, a, word[0] == 'r');
    }
    const net_word *w = cvi_net_word(word);
    if (!w) {
        return cvi_net_fail(
            b, &a->item->word,
            cvi_fail(b->err, CVS_E_FORMAT, "\"%.60s\" is no operation of the language", word));
    }
    if (a->item->n_bodies) {
        return cvi_net_fail(b, &a->item->word,
                            cvi_fail(b->err, CVS_E_FORMAT, "%.60s takes no body in braces", word));
    }
    return w->build(b, w, a);
}

/* Joins what "skip from -> label" brings to the current value. */
static cvs_status take_skips(net_builder *b, const net_scope *scope, const net_statement *s) {
    int in[16] = {b->current}, n = 1;
    for (int i = 0; s->label.text && i < b->file->n_skips; i++) {
        if (strcmp(b->file->skips[i].to.text, s->label.text) == 0 && n < CVI_COUNT(in)) {
            CVI_TRY(resolve(b, scope, &b->file->skips[i].from, &in[n]));
            n++;
        }
    }
    if (n == 1) {
        return CVS_OK;
    }
    net_item item = {.word = s->label};
    net_args a = {.item = &item, .scope = scope};
    cvi_node *node;
    b->name = cvi_arena_printf(b->g->arena, "%s%s/concat", scope->prefix, s->label.text);
    CVI_TRY(b->name ? CVS_OK : cvi_no_memory(b->err, 0));
    CVI_TRY(cvi_net_node(b, &a, "Concat", n, in, 1, &node));
    CVI_TRY(cvi_attr_set_int(b->g, &node->attr[0], "axis", 1) ? CVS_OK : cvi_no_memory(b->err, 0));
    return cvi_net_done(b, &a, node);
}

static cvs_status name_item(net_builder *b, const net_scope *scope, const net_statement *s, int i) {
    const char *word = s->items[i].word.text;
    bool silent = strcmp(word, "repeat") == 0;
    if (s->label.text && i == s->n_items - 1) {
        b->name = cvi_arena_printf(b->g->arena, "%s%s", scope->prefix, s->label.text);
    } else if (s->label.text) {
        b->name = cvi_arena_printf(b->g->arena, "%s%s/%s", scope->prefix, s->label.text, word);
    } else {
        int count = silent ? 0 : count_word(b, word);
        bool only = count == 1 && strcmp(word, "input") == 0; /* one input needs no number */
        b->name = only ? cvi_arena_printf(b->g->arena, "%sinput", scope->prefix)
                       : cvi_arena_printf(b->g->arena, "%s%s_%d", scope->prefix, word, count);
    }
    return b->name ? CVS_OK : cvi_no_memory(b->err, 0);
}

static cvs_status build_statement(net_builder *b, const net_scope *scope, const net_statement *s) {
    int *from = cvi_arena_alloc(b->g->arena, CVI_MAX(s->n_from, 1), sizeof *from);
    if (!from) {
        return cvi_no_memory(b->err, 0);
    }
    b->made = -1;
    for (int i = 0; i < s->n_from; i++) {
        CVI_TRY(resolve(b, scope, &s->from[i], &from[i]));
    }
    CVI_TRY(take_skips(b, scope, s));
    for (int i = 0; i < s->n_items; i++) {
        bool first = i == 0 && s->n_from > 0;
        int current = first ? from[0] : b->current;
        net_args a = {.item = &s->items[i],
                      .scope = scope,
                      .next = i + 1 < s->n_items ? &s->items[i + 1] : NULL,
                      .n_inputs = first ? s->n_from : 1,
                      .inputs = first ? from : &current};
        b->current = current;
        CVI_TRY(name_item(b, scope, s, i));
        CVI_TRY(build_item(b, &a));
    }
    int labelled = b->made >= 0 ? b->made : b->current;
    if (s->label.text && labelled >= 0) {
        net_alias *x = cvi_arena_alloc(b->g->arena, 1, sizeof *x);
        char *name = cvi_arena_printf(b->g->arena, "%s%s", scope->prefix, s->label.text);
        if (!x || !name) {
            return cvi_no_memory(b->err, 0);
        }
        *x = (net_alias){.next = b->aliases, .name = name, .value = labelled};
        b->aliases = x;
    }
    return CVS_OK;
}

static cvs_status build_body(net_builder *b, const net_scope *scope, const net_body *body) {
    if (++b->depth > b->model->limits.max_depth) {
        return cvi_fail(b->err, CVS_E_LIMIT,
                        "blocks are nested more than %lld deep, the limit: does one call itself?",
                        (long long)b->model->limits.max_depth);
    }
    for (int i = 0; i < body->n; i++) {
        CVI_TRY(build_statement(b, scope, &body->statements[i]));
    }
    b->depth--;
    return CVS_OK;
}

cvs_status cvi_net_build(cvs_model *model, const net_file *file, cvs_error *err) {
    net_builder b = {.model = model, .file = file, .err = err, .current = -1};
    b.g = model->graph = cvi_graph_new(model, NULL, model->name, err);
    if (!b.g) {
        return CVS_E_MEMORY;
    }
    net_scope global = {.prefix = ""};
    CVI_TRY(build_body(&b, &global, &file->body));
    if (b.current < 0 || b.g->n_nodes == 0) {
        return cvi_fail(err, CVS_E_FORMAT, "the text describes no layers");
    }
    bool is_output = false;
    for (int i = 0; i < b.g->n_outputs; i++) {
        is_output |= b.g->outputs[i] == b.current;
    }
    if (!is_output && !cvi_graph_add_output(b.g, b.current)) {
        return cvi_no_memory(err, 0);
    }
    for (int i = 0; i < b.g->n_outputs; i++) {
        b.g->values[b.g->outputs[i]].hidden = false; /* what the network answers is a layer of its own */
    }
    return cvi_graph_finish(b.g, err);
}

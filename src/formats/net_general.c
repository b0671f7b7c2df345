/* SPDX-License-Identifier: MIT
 * net_general.c - what the text language needs to hold any model: "op NAME key=value ..." for operators that have no word of their
 * own, "param" for weights that are shared or oddly shaped, "const" for small numbers that decide something.
 *   shape: from x,sizes op Reshape allowzero=1        sizes: const i64[2][1;-1]
 *   a: op Split axis=1 out="b" out=""                 w: param f32[64x3x7x7]
 */
#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "formats/net.h"

static const struct {
    const char *name;
    cvs_dtype type;
} types[] = {{"f32", CVS_F32}, {"f64", CVS_F64}, {"f16", CVS_F16},  {"bf16", CVS_BF16}, {"i8", CVS_I8},
             {"i16", CVS_I16}, {"i32", CVS_I32}, {"i64", CVS_I64},  {"u8", CVS_U8},     {"u16", CVS_U16},
             {"u32", CVS_U32}, {"u64", CVS_U64}, {"bool", CVS_BOOL}};

const char *cvi_net_type(cvs_dtype type) {
    for (int i = 0; i < CVI_COUNT(types); i++) {
        if (types[i].type == type) {
            return types[i].name;
        }
    }
    return NULL;
}

/* ---- literals ---------------------------------------------------------------------------------------- */

/* "[2x3]", "[1x?]", "[]", "[*]" (rank unknown). */
static bool read_shape(const char **at, cvs_tensor *t) {
    const char *s = *at;
    if (*s++ != '[') {
        return false;
    }
    if (s[0] == '*' && s[1] == ']') {
        t->rank = -1;
        *at = s + 2;
        return true;
    }
    while (*s != ']') {
        char *end = NULL;
        if (t->rank == CVS_MAX_RANK) {
            return false;
        }
        if (*s == '?') {
            t->dim[t->rank] = -1;
            end = (char *)s + 1;
        } else if (isdigit((unsigned char)*s)) {
            errno = 0;
            t->dim[t->rank] = strtoll(s, &end, 10);
            if (errno) {
                return false;
            }
        } else {
            return false;
        }
        t->rank++;
        s = end + (*end == 'x');
        if (*end == 'x' ? *s == ']' : *end != ']') {
            return false;
        }
    }
    *at = s + 1;
    return true;
}

static bool is_whole(cvs_dtype type) {
    return type != CVS_F32 && type != CVS_F64 && type != CVS_F16 && type != CVS_BF16;
}

/* "[1;-1]": as many numbers as the shape has elements. */
static bool read_numbers(cvi_arena *arena, const char **at, cvs_tensor *t) {
    int64_t n = cvs_tensor_count(t), bytes;
    const char *s = *at + 1;
    if (n < 0 || n > (int64_t)strlen(s) + 1 || !cvi_mul(n, (int64_t)cvs_dtype_size(t->dtype), &bytes)) {
        return false;
    }
    t->bytes = (size_t)bytes;
    t->data = cvi_arena_alloc(arena, CVI_MAX(bytes, 1), 1);
    if (!t->data) {
        return false;
    }
    for (int64_t i = 0; i < n; i++) {
        char *end;
        errno = 0;
        if (t->dtype == CVS_U64) {
            ((uint64_t *)t->data)[i] = strtoull(s, &end, 10);
        } else if (t->dtype == CVS_I64) {
            ((int64_t *)t->data)[i] = strtoll(s, &end, 10);
        } else if (is_whole(t->dtype)) {
            cvi_put(t, i, (double)strtoll(s, &end, 10));
        } else {
            cvi_put(t, i, strtod(s, &end));
        }
        if (end == s || (errno && is_whole(t->dtype)) || *end != (i + 1 < n ? ';' : ']')) {
            return false;
        }
        s = end + 1;
    }
    if (n == 0 && *s++ != ']') {
        return false;
    }
    *at = s;
    return true;
}

bool cvi_net_literal(cvi_arena *arena, const char *text, cvs_tensor *out, bool data, const char **end) {
    *out = (cvs_tensor){0};
    const char *at = text;
    for (int i = 0; i < CVI_COUNT(types) && !out->dtype; i++) {
        size_t n = strlen(types[i].name);
        if (strncmp(text, types[i].name, n) == 0 && text[n] == '[') {
            out->dtype = types[i].type;
            at = text + n;
        }
    }
    if (!out->dtype || !read_shape(&at, out) || (data && *at == '[' && !read_numbers(arena, &at, out))) {
        return false;
    }
    *end = at;
    return true;
}

/* ---- constants ----------------------------------------------------------------------------------------- */

cvs_status cvi_net_constant(net_builder *b, const net_word *w, const net_args *a) {
    bool fresh = strcmp(w->word, "param") == 0;
    cvs_tensor t;
    const char *end = "?";
    if (a->item->n_args < 1 || !cvi_net_literal(b->g->arena, a->item->args[0].text, &t, !fresh, &end) ||
        *end || t.rank < 0 || cvs_tensor_count(&t) < 0) {
        return cvi_net_fail(
            b, &a->item->word,
            fresh
                ? cvi_fail(b->err, CVS_E_FORMAT, "param needs a type and a shape: param f32[64x3x7x7]")
                : cvi_fail(b->err, CVS_E_FORMAT, "const needs type, shape and numbers: const i64[2][1;-1]"));
    }
    if (!fresh && !t.data && cvs_tensor_count(&t) > 0) {
        return cvi_net_fail(
            b, &a->item->word,
            cvi_fail(b->err, CVS_E_FORMAT, "const needs type, shape and numbers: const i64[2][1;-1]"));
    }
    if (fresh) {
        int64_t bytes;
        if (!cvi_mul(cvs_tensor_count(&t), (int64_t)cvs_dtype_size(t.dtype), &bytes)) {
            char shape[200];
            return cvi_net_fail(b, &a->item->word,
                                cvi_fail(b->err, CVS_E_SHAPE, "a parameter of shape %s cannot be",
                                         cvs_shape_text(t.rank, t.dim, shape, sizeof shape)));
        }
        t.bytes = (size_t)bytes;
        b->model->has_weights = b->model->has_weights && bytes == 0;
    }
    int v = cvi_graph_constant(b->g, b->name, &t, b->err);
    if (v < 0) {
        return CVS_E_MEMORY;
    }
    b->made = v;
    return cvi_net_keep_shape(b, v, &t);
}

/* ---- any operator ---------------------------------------------------------------------------------------- */

/* The kind that the operator's own table gives an attribute; -1 when it has none. */
static int table_kind(const cvi_op *op, const char *name) {
    for (int i = 0; op && i < op->n_attrs; i++) {
        if (strcmp(op->attrs[i].name, name) == 0) {
            return (int)op->attrs[i].kind;
        }
    }
    return -1;
}

static bool looks_real(const char *s) {
    return strpbrk(s, ".eEnN") != NULL; /* 0.5, 1e-5, inf, nan */
}

/* "[1;2;3]" as integers, or as floats when the table says so or one of them is written as such. */
static bool set_list(net_builder *b, cvi_attr *attr, const char *name, const char *s, int kind) {
    size_t most = strlen(s);
    bool real = kind == CVI_ATTR_FLOATS || (kind < 0 && looks_real(s));
    int64_t *ints = cvi_arena_alloc(b->g->arena, (int64_t)most + 1, sizeof *ints);
    double *floats = cvi_arena_alloc(b->g->arena, (int64_t)most + 1, sizeof *floats);
    int n = 0;
    s++;
    while (ints && floats && *s && *s != ']') {
        char *end;
        if (real) {
            floats[n] = strtod(s, &end);
        } else {
            ints[n] = strtoll(s, &end, 10);
        }
        if (end == s || (*end != ';' && *end != ']')) {
            return false;
        }
        n++;
        s = end + (*end == ';');
    }
    return ints && floats && strcmp(s, "]") == 0 &&
           (real ? cvi_attr_set_floats(b->g, attr, name, n, floats)
                 : cvi_attr_set_ints(b->g, attr, name, n, ints));
}

static bool set_tensor(net_builder *b, cvi_attr *attr, const char *name, const char *s) {
    cvs_tensor *t = cvi_arena_alloc(b->g->arena, 1, sizeof *t);
    const char *end = "?";
    if (!t || !cvi_net_literal(b->g->arena, s, t, true, &end) || *end || t->rank < 0 || !t->data) {
        return false;
    }
    attr->name = cvi_arena_strn(b->g->arena, name, strlen(name));
    attr->kind = CVI_ATTR_TENSOR;
    attr->tensor = t;
    return attr->name != NULL;
}

static bool set_value(net_builder *b, cvi_attr *attr, const cvi_op *op, const char *name, const char *s) {
    int kind = table_kind(op, name);
    if (s[0] == '[') {
        return set_list(b, attr, name, s, kind);
    }
    if (strchr(s, '[')) {
        return set_tensor(b, attr, name, s);
    }
    char *end;
    errno = 0;
    if (kind == CVI_ATTR_FLOAT || (kind != CVI_ATTR_INT && looks_real(s))) {
        double v = strtod(s, &end);
        return end != s && !*end && cvi_attr_set_float(b->g, attr, name, v);
    }
    int64_t v = strtoll(s, &end, 10);
    return end != s && !*end && !errno && cvi_attr_set_int(b->g, attr, name, v);
}

/* One "key=value" at args[*k], or key="text", or key*="a" "b"; *k ends behind it. */
static cvs_status read_attribute(net_builder *b, const net_args *a, const cvi_op *op, cvi_attr *attr,
                                 int *k) {
    const net_token *t = &a->item->args[(*k)++];
    const char *equals = t->kind == NET_WORD ? strchr(t->text, '=') : NULL;
    if (!equals || equals == t->text) {
        return cvi_net_fail(b, t, cvi_fail(b->err, CVS_E_FORMAT, "\"%.60s\" is no key=value", t->text));
    }
    bool many = equals[-1] == '*';
    char *name = cvi_arena_strn(b->g->arena, t->text, (size_t)(equals - t->text) - many);
    int left = a->item->n_args - *k, n = 0;
    while (n < left && a->item->args[*k + n].kind == NET_STRING && !equals[1]) {
        n++;
    }
    bool ok = name != NULL;
    if (ok && many) {
        const char **list = cvi_arena_alloc(b->g->arena, CVI_MAX(n, 1), sizeof *list);
        for (int i = 0; list && i < n; i++) {
            list[i] = a->item->args[*k + i].text;
        }
        *attr = (cvi_attr){.name = name, .kind = CVI_ATTR_STRINGS, .n = n, .strings = list};
        ok = list != NULL;
    } else if (ok && n > 0) {
        n = 1;
        ok = cvi_attr_set_string(b->g, attr, name, a->item->args[*k].text);
    } else if (ok && !set_value(b, attr, op, name, equals + 1)) {
        return cvi_net_fail(
            b, t, cvi_fail(b->err, CVS_E_FORMAT, "the value of \"%.60s\" is not understood", t->text));
    }
    *k += n;
    return ok ? CVS_OK : cvi_no_memory(b->err, 0);
}

static bool is_out(const net_token *t) {
    return t->kind == NET_WORD && strcmp(t->text, "out=") == 0;
}

/* Further outputs: out="name" each, "" = left out. The first carries the label. */
static cvs_status make_outputs(net_builder *b, const net_args *a, cvi_node *node) {
    int n = 0;
    for (int k = 0; k <= a->item->n_args; k++) {
        const char *name = b->name;
        if (k > 0) {
            const net_token *t = &a->item->args[k - 1];
            if (!is_out(t)) {
                continue;
            }
            if (k == a->item->n_args || a->item->args[k].kind != NET_STRING) {
                return cvi_net_fail(b, t, cvi_fail(b->err, CVS_E_FORMAT, "out= needs a name in quotes"));
            }
            name = a->item->args[k].text;
        }
        node->out[n] = *name ? cvi_graph_value(b->g, name, CVS_NONE, -1, NULL, b->err) : -1;
        if (*name && node->out[n] < 0) {
            return CVS_E_MEMORY;
        }
        n++;
    }
    return CVS_OK;
}

cvs_status cvi_net_op(net_builder *b, const net_word *w, const net_args *a) {
    (void)w;
    const net_token *name = a->item->n_args ? &a->item->args[0] : &a->item->word;
    if (a->item->n_args < 1 || (name->kind != NET_STRING && strchr(name->text, '='))) {
        return cvi_net_fail(
            b, name, cvi_fail(b->err, CVS_E_FORMAT, "op needs an operator: op Resize mode=\"linear\""));
    }
    int n_in = a->n_inputs, n_out = 1, n_attr = 0;
    while (n_in > 0 && a->inputs[n_in - 1] < 0) {
        n_in--;
    }
    for (int k = 1; k < a->item->n_args; k++) {
        const net_token *t = &a->item->args[k];
        bool out = is_out(t);
        n_out += out;
        n_attr += !out && t->kind == NET_WORD && strcmp(t->text, "hidden") != 0;
    }
    int n = cvi_graph_node(b->g, b->name, name->text, n_in, n_out, n_attr, b->err);
    if (n < 0) {
        return cvi_net_fail(b, name, b->err ? b->err->code : CVS_E_MEMORY);
    }
    cvi_node *node = &b->g->nodes[n];
    for (int i = 0; i < n_in; i++) {
        node->in[i] = a->inputs[i];
    }
    CVI_TRY(make_outputs(b, a, node));
    const cvi_op *op = cvi_op_find(node->op);
    int at = 0;
    for (int k = 1; k < a->item->n_args;) {
        if (is_out(&a->item->args[k])) {
            k += 2;
        } else if (strcmp(a->item->args[k].text, "hidden") == 0) {
            k++;
        } else {
            CVI_TRY(read_attribute(b, a, op, &node->attr[at], &k));
            at++;
        }
    }
    return cvi_net_done(b, a, node);
}

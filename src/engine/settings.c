/* SPDX-License-Identifier: MIT
 * settings.c - a node's settings as people write them: windows in words, other attributes that differ from their default.
 */
#include <stdlib.h>

#include "engine/settings.h"

typedef struct line {
    char *buf;
    size_t size;
} line;

static void item(line *l, const char *text) {
    size_t n = strlen(l->buf), m = strlen(text);
    if (n + m + 3 > l->size) {
        return;
    }
    snprintf(l->buf + n, l->size - n, "%s%s", n ? ", " : "", text);
}

/* Numbers of a window, one an axis. */
typedef struct sizes {
    int axes;
    int64_t kernel[3], stride[3], dilation[3], pad[3];
} sizes;

/* "3x3", "3x5x5"; with `brief` "2" where all are alike. */
static const char *times(const int64_t *v, int n, bool brief, char *buf, size_t size) {
    size_t at = 0;
    bool alike = true;
    for (int i = 1; i < n; i++) {
        alike = alike && v[i] == v[0];
    }
    n = brief && alike ? 1 : n;
    for (int i = 0; i < n && at < size; i++) {
        at += (size_t)snprintf(buf + at, size - at, i ? "x%lld" : "%lld", (long long)v[i]);
    }
    return buf;
}

static bool differ(const int64_t *v, int n, int64_t usual) {
    bool differ = false;
    for (int i = 0; i < n; i++) {
        differ = differ || v[i] != usual;
    }
    return differ;
}

static void named(line *l, const char *fmt, const char *value) {
    char text[96];
    snprintf(text, sizeof text, fmt, value);
    item(l, text);
}

static void window_text(line *l, const cvi_node *node, const sizes *s, bool guessed, cvs_lang lang) {
    char text[96];
    int64_t groups = cvi_node_int(node, "group", 1);
    item(l,
         guessed ? cvi_tr(lang, "kernel of any size") : times(s->kernel, s->axes, false, text, sizeof text));
    if (differ(s->stride, s->axes, 1)) {
        named(l, cvi_tr(lang, "stride %s"), times(s->stride, s->axes, true, text, sizeof text));
    }
    if (differ(s->pad, s->axes, 0)) {
        named(l, cvi_tr(lang, "pad %s"), times(s->pad, s->axes, true, text, sizeof text));
    }
    if (differ(s->dilation, s->axes, 1)) {
        named(l, cvi_tr(lang, "dilation %s"), times(s->dilation, s->axes, true, text, sizeof text));
    }
    if (groups > 1) {
        snprintf(text, sizeof text, "%lld", (long long)groups);
        named(l, cvi_tr(lang, "groups %s"), text);
    }
}

/* The axes that the operator has: columns; rows and columns; depth, rows and columns. */
static sizes sizes_of(const cvi_opctx *ctx, const cvi_field_step *f) {
    bool flat = ctx->n_in > 0 && ctx->in[0] && ctx->in[0]->rank == 3; /* one axis: it is the columns */
    sizes s = {.axes = flat ? 1 : f->deep.kernel > 0 ? 3 : 2};
    if (s.axes == 3) {
        s.kernel[0] = f->deep.kernel;
        s.stride[0] = f->deep.stride;
        s.dilation[0] = f->deep.dilation;
        s.pad[0] = f->deep.pad_begin;
    }
    int from = flat ? 1 : 0, to = s.axes == 3 ? 1 : 0;
    for (int i = from; i < 2; i++, to++) {
        s.kernel[to] = f->kernel[i];
        s.stride[to] = f->stride[i];
        s.dilation[to] = f->dilation[i];
        s.pad[to] = f->pad_begin[i];
    }
    return s;
}

/* Whether sizes of the kernel are free in the file: an input takes kernels of any size, and what the plan holds is its own guess. */
static bool kernel_guessed(const cvi_graph *g, const cvi_node *node) {
    int v = node->def && (node->def->flags & CVI_OP_CONV) && node->n_in > 1 ? node->in[1] : -1;
    if (v < 0 || g->values[v].constant || g->values[v].producer >= 0 || cvi_node_attr(node, "kernel_shape")) {
        return false;
    }
    const cvi_value *kernel = &g->values[v];
    bool free_size = kernel->rank < 0;
    for (int i = 2; i < kernel->rank; i++) {
        free_size = free_size || kernel->dim[i] < 0;
    }
    return free_size;
}

void cvi_settings_unplaced(const cvi_graph *g, const cvi_node *node, cvs_lang lang, char *buf, size_t size) {
    line l = {buf, size};
    sizes s = {0};
    int64_t pads[6] = {0};
    buf[0] = '\0';
    if (!node->def || !(node->def->flags & (CVI_OP_CONV | CVI_OP_POOL))) {
        return;
    }
    const cvs_tensor *kernel = NULL;
    if ((node->def->flags & CVI_OP_CONV) && node->n_in > 1 && node->in[1] >= 0) {
        kernel = g->values[node->in[1]].constant;
    }
    s.axes = cvi_node_ints(node, "kernel_shape", s.kernel, 3, 1);
    if (s.axes == 0 && kernel && kernel->rank >= 3 && kernel->rank <= 5) {
        s.axes = kernel->rank - 2;
        memcpy(s.kernel, kernel->dim + 2, (size_t)s.axes * sizeof *s.kernel);
    }
    if (s.axes < 1 || s.axes > 3) {
        return;
    }
    cvi_node_ints(node, "strides", s.stride, 3, 1);
    cvi_node_ints(node, "dilations", s.dilation, 3, 1);
    cvi_node_ints(node, "pads", pads, 6, 0);
    memcpy(s.pad, pads, (size_t)s.axes * sizeof *pads);
    window_text(&l, node, &s, false, lang);
}

static void list_text(const cvi_attr *a, char *text, size_t size) {
    size_t n = strlen(text);
    for (int i = 0; i < a->n && i < CVS_MAX_RANK && n + 24 < size; i++) {
        snprintf(text + n, size - n, "%s%lld", i ? "," : " ", (long long)a->ints[i]);
        n = strlen(text);
    }
}

/* "alpha 0.1": what differs from the default. */
static void attr_text(line *l, const cvi_opctx *ctx, const cvi_attr *a) {
    char text[96];
    const char *initial = NULL;
    for (int i = 0; i < ctx->op->n_attrs; i++) {
        if (strcmp(ctx->op->attrs[i].name, a->name) == 0) {
            initial = ctx->op->attrs[i].initial ? ctx->op->attrs[i].initial : "";
        }
    }
    if (!initial) {
        return;
    }
    if (a->kind == CVI_ATTR_INT && (!*initial || strtoll(initial, NULL, 10) != a->i)) {
        snprintf(text, sizeof text, "%.40s %lld", a->name, (long long)a->i);
    } else if (a->kind == CVI_ATTR_FLOAT && (!*initial || (float)strtod(initial, NULL) != (float)a->f)) {
        snprintf(text, sizeof text, "%.40s %.6g", a->name, a->f);
    } else if (a->kind == CVI_ATTR_STRING && strcmp(initial, a->s) != 0) {
        snprintf(text, sizeof text, "%.40s %.40s", a->name, a->s);
    } else if (a->kind == CVI_ATTR_INTS && a->n > 0) {
        snprintf(text, sizeof text, "%.40s", a->name);
        list_text(a, text, sizeof text);
    } else {
        return;
    }
    item(l, text);
}

/* "512 → 10" for a dense layer. */
static void dense_text(line *l, const cvi_opctx *ctx) {
    const cvs_tensor *in = ctx->n_in > 0 ? ctx->in[0] : NULL, *out = &ctx->out[0];
    char text[64];
    if (in && in->rank > 0 && out->rank > 0) {
        snprintf(text, sizeof text, "%lld → %lld", (long long)in->dim[in->rank - 1],
                 (long long)out->dim[out->rank - 1]);
        item(l, text);
    }
}

void cvi_settings_text(const cvi_graph *g, const cvi_opctx *ctx, cvs_lang lang, char *buf, size_t size) {
    line l = {buf, size};
    cvi_field_step step = {.kind = CVI_FIELD_SAME};
    buf[0] = '\0';
    if (ctx->op->field) {
        ctx->op->field(ctx, &step);
    }
    if (step.kind == CVI_FIELD_WINDOW) {
        sizes s = sizes_of(ctx, &step);
        window_text(&l, ctx->node, &s, kernel_guessed(g, ctx->node), lang);
        return;
    }
    if (ctx->op->glyph == CVI_GLYPH_DENSE) {
        dense_text(&l, ctx);
        return;
    }
    for (int a = 0; a < ctx->node->n_attr; a++) {
        attr_text(&l, ctx, &ctx->node->attr[a]);
    }
}

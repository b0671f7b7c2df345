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

/* "2" for 2 and 2, "2x1" for two different ones. */
static const char *pair(const int64_t v[2], char *buf, size_t size) {
    snprintf(buf, size, v[0] == v[1] ? "%lld" : "%lldx%lld", (long long)v[0], (long long)v[1]);
    return buf;
}

static void named(line *l, const char *fmt, const char *value) {
    char text[96];
    snprintf(text, sizeof text, fmt, value);
    item(l, text);
}

static void window_text(line *l, const cvi_opctx *ctx, const cvi_field_step *s, cvs_lang lang) {
    char text[64];
    int64_t groups = cvi_node_int(ctx->node, "group", 1);
    bool flat = ctx->n_in > 0 && ctx->in[0] && ctx->in[0]->rank == 3; /* one axis: it is the columns */
    int64_t kernel = s->kernel[1];
    snprintf(text, sizeof text, flat ? "%lld" : "%lldx%lld", (long long)(flat ? kernel : s->kernel[0]),
             (long long)kernel);
    item(l, text);
    int64_t stride[2] = {flat ? s->stride[1] : s->stride[0], s->stride[1]};
    int64_t pad[2] = {flat ? s->pad_begin[1] : s->pad_begin[0], s->pad_begin[1]};
    int64_t dilation[2] = {flat ? s->dilation[1] : s->dilation[0], s->dilation[1]};
    if (stride[0] != 1 || stride[1] != 1) {
        named(l, cvi_tr(lang, "stride %s"), pair(stride, text, sizeof text));
    }
    if (pad[0] != 0 || pad[1] != 0) {
        named(l, cvi_tr(lang, "pad %s"), pair(pad, text, sizeof text));
    }
    if (dilation[0] > 1 || dilation[1] > 1) {
        named(l, cvi_tr(lang, "dilation %s"), pair(dilation, text, sizeof text));
    }
    if (groups > 1) {
        snprintf(text, sizeof text, "%lld", (long long)groups);
        named(l, cvi_tr(lang, "groups %s"), text);
    }
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

void cvi_settings_text(const cvi_opctx *ctx, cvs_lang lang, char *buf, size_t size) {
    line l = {buf, size};
    cvi_field_step step = {.kind = CVI_FIELD_SAME};
    buf[0] = '\0';
    if (ctx->op->field) {
        ctx->op->field(ctx, &step);
    }
    if (step.kind == CVI_FIELD_WINDOW) {
        window_text(&l, ctx, &step, lang);
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

/* SPDX-License-Identifier: MIT
 * arch_pen.c - a layer of keras.applications becomes lines of the text language, as its tensors say; see arch_pen.h.
 */
#include <stdlib.h>

#include "formats/arch_pen.h"

static int by_number(const void *a, const void *b) {
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* The numbers of "<stem>_<n>.<suffix>" and, counted as 0, of "<stem>.<suffix>". */
static void count(cvi_pen_counted *c, const cvi_state *s, const char *stem, const char *suffix) {
    size_t length = strlen(stem);
    c->n = 0;
    for (int i = 0; i < s->n && c->n < CVI_PEN_AUTO; i++) {
        const char *name = s->item[i].name;
        if (strncmp(name, stem, length) != 0) {
            continue;
        }
        char *end = (char *)name + length;
        int64_t n = *end == '_' ? strtoll(end + 1, &end, 10) : 0;
        if (n >= 0 && *end == '.' && strcmp(end + 1, suffix) == 0) {
            c->number[c->n++] = n;
        }
    }
    qsort(c->number, (size_t)c->n, sizeof *c->number, by_number);
}

static bool counted_name(const cvi_pen_counted *c, const char *stem, int i, char *out, size_t size) {
    if (i >= c->n) {
        return false;
    }
    snprintf(out, size, c->number[i] > 0 ? "%s_%lld" : "%s", stem, (long long)c->number[i]);
    return true;
}

bool cvi_pen_begin(cvi_pen *p, const cvi_state *s, cvi_buf *b, const char *first, const char *name,
                   const char *preprocess, int size, const char *eps) {
    *p = (cvi_pen){.s = s, .b = b, .eps = eps};
    count(&p->convs, s, "conv2d", "weight");
    count(&p->norms, s, "batch_normalization", "running_mean");
    char label[CVI_ARCH_LABEL];
    snprintf(label, sizeof label, "%s", first);
    const cvs_tensor *w = strcmp(first, "conv2d") != 0                             ? cvi_arch_weight(s, first)
                          : counted_name(&p->convs, first, 0, label, sizeof label) ? cvi_arch_weight(s, label)
                                                                                   : NULL;
    if (!w || w->rank != 4) {
        return false;
    }
    p->at = (cvi_arch_place){.label = "input", .channels = w->dim[1]};
    cvi_buf_printf(b, "name \"%s\"\n", name);
    if (preprocess) {
        cvi_buf_printf(b, "preprocess \"%s\"\n", preprocess);
    }
    cvi_buf_printf(b, "input: input %lldx%dx%d\n", (long long)w->dim[1], size, size);
    return true;
}

void cvi_pen_end(cvi_pen *p) {
    if (p->missing) {
        p->b->size = 0;
    }
}

static void print(char out[CVI_ARCH_LABEL], const char *fmt, va_list list) {
    vsnprintf(out, CVI_ARCH_LABEL, fmt, list);
}

bool cvi_pen_has(const cvi_pen *p, const char *fmt, ...) {
    char label[CVI_ARCH_LABEL];
    va_list list;
    va_start(list, fmt);
    print(label, fmt, list);
    va_end(list);
    return cvi_arch_weight(p->s, label) || cvi_state_find(p->s, "%s.running_mean", label);
}

/* `"label": from "place" words` */
static void line(cvi_pen *p, const char *label, const char *words) {
    if (!p->missing) {
        cvi_buf_printf(p->b, "\"%s\": from \"%s\" %s\n", label, p->at.label, words);
        snprintf(p->at.label, sizeof p->at.label, "%s", label);
    }
}

static void activate(cvi_pen *p, const char *act) {
    char label[CVI_ARCH_LABEL];
    if (act && !p->missing) {
        snprintf(label, sizeof label, "%.64s_%s", p->at.label, act);
        line(p, label, act);
    }
}

/* How the normalisation behind the convolution "x<conv>" is named: "x<norm>". */
static const struct {
    const char *conv, *norm;
} followers[] = {{"", "_bn"},        {"", "_BN"},         {"", "_BatchNorm"},   {"_conv", "_bn"},
                 {"_dwconv", "_bn"}, {"_dwconv2", "_bn"}, {"Conv1", "bn_Conv1"}};

/* The first that is there and as wide: what only sounds alike (DenseNet's pool2_bn, before pool2_conv) is not. */
static bool find_norm(const cvi_pen *p, const char *conv, char norm[CVI_ARCH_LABEL]) {
    for (int i = 0; i < CVI_COUNT(followers); i++) {
        size_t n = strlen(conv), tail = strlen(followers[i].conv);
        if (n >= tail && strcmp(conv + n - tail, followers[i].conv) == 0) {
            snprintf(norm, CVI_ARCH_LABEL, "%.*s%s", (int)CVI_MIN(n - tail, 60), conv, followers[i].norm);
            const cvs_tensor *mean = cvi_state_find(p->s, "%s.running_mean", norm);
            if (mean && cvi_arch_dim(mean, 0) == p->at.channels) {
                return true;
            }
        }
    }
    return false;
}

static void norm_line(cvi_pen *p, const char *label) {
    char words[40];
    snprintf(words, sizeof words, "bn eps=%s", p->eps);
    line(p, label, words);
}

/* One convolution of the tensor w, [O,I,h,w] or a dense layer's [O,I]. */
static void conv_line(cvi_pen *p, const char *label, const cvs_tensor *w, bool bias, const char *window) {
    char words[120];
    int64_t groups = w->dim[1] > 0 && p->at.channels % w->dim[1] == 0 ? p->at.channels / w->dim[1] : 1;
    snprintf(words, sizeof words, "conv %lld k%lldx%lld g%lld %.40s %s", (long long)w->dim[0],
             (long long)CVI_MAX(cvi_arch_dim(w, 2), 1), (long long)CVI_MAX(cvi_arch_dim(w, 3), 1),
             (long long)CVI_MAX(groups, 1), window, bias ? "bias" : "nobias");
    line(p, label, words);
    p->at.channels = w->dim[0];
}

static void layer(cvi_pen *p, const char *window, const char *label) {
    char half[CVI_ARCH_LABEL], words[60];
    const cvs_tensor *w = cvi_arch_weight(p->s, label);
    const cvs_tensor *depthwise = cvi_state_find(p->s, "%s/depthwise.weight", label);
    bool bias = cvi_state_find(p->s, "%s.bias", label) != NULL;
    p->missing |= !w || (w->rank != 4 && w->rank != 2);
    if (p->missing) {
        return;
    }
    if (strcmp(window, "fc") == 0) {
        snprintf(words, sizeof words, "fc %lld%s", (long long)w->dim[0], bias ? "" : " nobias");
        line(p, label, words);
        p->at.channels = w->dim[0];
        return;
    }
    if (depthwise && depthwise->rank == 4) {
        snprintf(half, sizeof half, "%.60s/depthwise", label);
        conv_line(p, half, depthwise, false, window);
        window = "";
    }
    conv_line(p, label, w, bias, window);
}

void cvi_pen_layer(cvi_pen *p, const char *window, const char *act, const char *fmt, ...) {
    char label[CVI_ARCH_LABEL], norm[CVI_ARCH_LABEL];
    va_list list;
    va_start(list, fmt);
    print(label, fmt, list);
    va_end(list);
    layer(p, window, label);
    if (!p->missing && find_norm(p, label, norm)) {
        norm_line(p, norm);
    }
    activate(p, act);
}

void cvi_pen_conv2d(cvi_pen *p, int i, const char *window, const char *act) {
    char label[CVI_ARCH_LABEL], norm[CVI_ARCH_LABEL];
    p->missing |= !counted_name(&p->convs, "conv2d", i, label, sizeof label) ||
                  !counted_name(&p->norms, "batch_normalization", i, norm, sizeof norm);
    if (!p->missing) {
        layer(p, window, label);
        norm_line(p, norm);
        activate(p, act);
    }
}

void cvi_pen_conv(cvi_pen *p, const char *prefix, const char *conv, const char *norm, const char *window,
                  const char *act) {
    char label[CVI_ARCH_LABEL];
    snprintf(label, sizeof label, "%.50s%.28s", prefix, conv);
    layer(p, window, label);
    if (norm && !p->missing) {
        snprintf(label, sizeof label, "%.50s%.28s", prefix, norm);
        norm_line(p, label);
    }
    activate(p, act);
}

void cvi_pen_split(cvi_pen *p, const char *prefix, int n, const int64_t *channels, cvi_arch_place *part) {
    if (p->missing) {
        return;
    }
    cvi_buf_printf(p->b, "\"%sparts\": const i64[%d][", prefix, n);
    for (int i = 0; i < n; i++) {
        cvi_buf_printf(p->b, "%s%lld", i ? ";" : "", (long long)channels[i]);
        snprintf(part[i].label, sizeof part[i].label, "%.60spart%d", prefix, i);
        part[i].channels = channels[i];
        p->missing |= channels[i] < 1;
    }
    cvi_buf_printf(p->b, "]\n\"%spart0\": from \"%s\",\"%sparts\" op Split axis=1", prefix, p->at.label,
                   prefix);
    for (int i = 1; i < n; i++) {
        cvi_buf_printf(p->b, " out=\"%spart%d\"", prefix, i);
    }
    cvi_buf_puts(p->b, " hidden\n");
}

void cvi_pen_norm(cvi_pen *p, const char *act, const char *fmt, ...) {
    char label[CVI_ARCH_LABEL];
    va_list list;
    va_start(list, fmt);
    print(label, fmt, list);
    va_end(list);
    norm_line(p, label);
    activate(p, act);
}

void cvi_pen_op(cvi_pen *p, const char *words, const char *fmt, ...) {
    char label[CVI_ARCH_LABEL];
    va_list list;
    va_start(list, fmt);
    print(label, fmt, list);
    va_end(list);
    line(p, label, words);
}

void cvi_pen_join(cvi_pen *p, const char *words, int n, const cvi_arch_place *from, const char *fmt, ...) {
    char label[CVI_ARCH_LABEL];
    va_list list;
    va_start(list, fmt);
    print(label, fmt, list);
    va_end(list);
    if (p->missing) {
        return;
    }
    cvi_buf_printf(p->b, "\"%s\": from ", label);
    int64_t channels = 0;
    for (int i = 0; i < n; i++) {
        cvi_buf_printf(p->b, "%s\"%s\"", i ? "," : "", from[i].label);
        channels += from[i].channels;
    }
    cvi_buf_printf(p->b, " %s\n", words);
    p->at.channels = strcmp(words, "concat") == 0 ? channels : from[0].channels;
    snprintf(p->at.label, sizeof p->at.label, "%s", label);
}

void cvi_pen_top(cvi_pen *p, const char *pool, const char *dense) {
    if (cvi_pen_has(p, "%s", dense)) {
        cvi_pen_op(p, "gap", "%s", pool);
        cvi_pen_layer(p, "fc", "softmax", "%s", dense);
    }
}

/* SPDX-License-Identifier: MIT
 * net_forms.c - which nodes a word of the text language says exactly: a row per operator, a function per family. Everything else is
 * written as "op" (net_write.c).
 */
#include <stdlib.h>

#include "formats/net_write.h"

/* ---- what a node says ------------------------------------------------------------------------------------- */

/* The text that the operator's table gives as an attribute's default; NULL: none. */
static const char *table_default(const cvi_node *node, const char *name) {
    for (int i = 0; node->def && i < node->def->n_attrs; i++) {
        if (strcmp(node->def->attrs[i].name, name) == 0) {
            return node->def->attrs[i].initial;
        }
    }
    return NULL;
}

static double real_of(const cvi_node *node, const char *name) {
    const char *initial = table_default(node, name);
    return cvi_node_float(node, name, initial ? strtod(initial, NULL) : 0.0);
}

static int64_t int_of(const cvi_node *node, const char *name) {
    const char *initial = table_default(node, name);
    return cvi_node_int(node, name, initial ? strtoll(initial, NULL, 10) : 0);
}

static bool is_default(const cvi_node *node, const cvi_attr *a) {
    const char *initial = table_default(node, a->name);
    switch (a->kind) {
    case CVI_ATTR_INT:
        return initial && *initial && strtoll(initial, NULL, 10) == a->i;
    case CVI_ATTR_FLOAT:
        return initial && *initial && (float)strtod(initial, NULL) == (float)a->f;
    case CVI_ATTR_STRING:
        return initial && strcmp(initial, a->s) == 0;
    case CVI_ATTR_INTS:
    case CVI_ATTR_FLOATS:
    case CVI_ATTR_STRINGS:
        return a->n == 0;
    case CVI_ATTR_TENSOR:
    case CVI_ATTR_GRAPH:
        break;
    }
    return false;
}

/* All attributes but those of the space-separated list are at their defaults. */
static bool says_only(const cvi_node *node, const char *list) {
    for (int i = 0; i < node->n_attr; i++) {
        const char *at = list;
        size_t n = strlen(node->attr[i].name);
        bool listed = false;
        while (!listed && (at = strstr(at, node->attr[i].name))) {
            listed = (at == list || at[-1] == ' ') && (at[n] == 0 || at[n] == ' ');
            at += n;
        }
        if (!listed && !is_default(node, &node->attr[i])) {
            return false;
        }
    }
    return true;
}

/* Input k is a float32 weight of this node alone, of this rank. */
static const cvs_tensor *weight(const net_writing *w, const cvi_node *node, int k, int rank) {
    int v = k < node->n_in ? node->in[k] : -1;
    const cvs_tensor *t = v < 0 ? NULL : w->g->values[v].constant;
    return t && t->rank == rank && t->dtype == CVS_F32 && w->uses[v] == 1 ? t : NULL;
}

static bool absent(const cvi_node *node, int k) {
    for (; k < node->n_in; k++) {
        if (node->in[k] >= 0) {
            return false;
        }
    }
    return true;
}

/* The flow comes in through input 0 and leaves through output 0 only. */
static bool is_simple(const net_writing *w, const cvi_node *node) {
    for (int i = 1; i < node->n_out; i++) {
        if (node->out[i] >= 0) {
            return false;
        }
    }
    return node->n_in > 0 && node->in[0] >= 0 && !w->g->values[node->in[0]].constant && node->n_out > 0 &&
           node->out[0] >= 0;
}

static int rank_of(const net_writing *w, int v) {
    for (int steps = 0; v >= 0 && steps < 64; steps++) {
        const cvi_value *value = &w->g->values[v];
        if (value->rank >= 0 || value->producer < 0) {
            return value->rank;
        }
        const cvi_node *node = &w->g->nodes[value->producer];
        if (node->def && (node->def->glyph == CVI_GLYPH_DENSE || strcmp(node->op, "Flatten") == 0)) {
            return 2;
        }
        if (!node->def || !(node->def->flags & (CVI_OP_POINTWISE | CVI_OP_IDENTITY)) || node->n_in < 1) {
            return -1;
        }
        v = node->in[0];
    }
    return -1;
}

static void begin(net_writing *w, const cvi_node *node, int n_from) {
    cvi_net_put_name(&w->out, w->g->values[node->out[0]].name);
    cvi_buf_puts(&w->out, ": ");
    cvi_net_put_from(w, n_from, node->in);
}

static void put_pair(net_writing *w, const char *letter, const int64_t v[2]) {
    cvi_buf_printf(&w->out, v[0] == v[1] ? " %s%lld" : " %s%lldx%lld", letter, (long long)v[0],
                   (long long)v[1]);
}

/* ---- words: false = the word does not mean exactly this node ---------------------------------------------------- */

typedef struct form {
    const char *op, *word;
    const char *number; /* attribute that the bare number sets, or NULL */
    bool (*write)(net_writing *w, const cvi_node *node, const struct form *f);
} form;

typedef struct window {
    int64_t k[2], s[2], p[2], d[2];
    bool same;
} window;

static bool read_window(const cvi_node *node, window *win) {
    int64_t pads[4] = {0};
    const char *automatic = cvi_node_string(node, "auto_pad", "NOTSET");
    const cvi_attr *kernel = cvi_node_attr(node, "kernel_shape"), *p = cvi_node_attr(node, "pads");
    if (!kernel || kernel->n != 2 || (p && p->n != 4)) {
        return false;
    }
    cvi_node_ints(node, "kernel_shape", win->k, 2, 1);
    cvi_node_ints(node, "strides", win->s, 2, 1);
    cvi_node_ints(node, "dilations", win->d, 2, 1);
    cvi_node_ints(node, "pads", pads, 4, 0);
    win->same = strcmp(automatic, "SAME_UPPER") == 0;
    win->p[0] = pads[0];
    win->p[1] = pads[1];
    bool symmetric = pads[0] == pads[2] && pads[1] == pads[3] && pads[0] >= 0 && pads[1] >= 0;
    return win->same || (strcmp(automatic, "NOTSET") == 0 && symmetric) || strcmp(automatic, "VALID") == 0;
}

/* k, s, p, d where they differ from what the word assumes. */
static void put_window(net_writing *w, const window *win, bool pool) {
    int64_t ones[2] = {1, 1};
    put_pair(w, "k", win->k);
    if (memcmp(win->s, pool ? win->k : ones, sizeof win->s) != 0) {
        put_pair(w, "s", win->s);
    }
    if (memcmp(win->d, ones, sizeof ones) != 0) {
        put_pair(w, "d", win->d);
    }
    int64_t usual[2];
    for (int i = 0; i < 2; i++) {
        usual[i] = pool || win->k[i] % 2 == 0 ? 0 : win->d[i] * (win->k[i] - 1) / 2;
    }
    if (win->same) {
        cvi_buf_puts(&w->out, " same");
    } else if (memcmp(win->p, usual, sizeof usual) != 0) {
        put_pair(w, "p", win->p);
    }
}

static bool conv(net_writing *w, const cvi_node *node, const form *f) {
    bool transposed = strcmp(f->word, "deconv") == 0;
    window win = {0};
    const cvs_tensor *kernel = weight(w, node, 1, 4), *bias = weight(w, node, 2, 1);
    if (w->general || !kernel || (!bias && !absent(node, 2)) ||
        !says_only(node, "kernel_shape strides dilations pads auto_pad group output_padding")) {
        return false;
    }
    int64_t groups = cvi_node_int(node, "group", 1), extra[2];
    cvi_node_ints(node, "output_padding", extra, 2, 0);
    if (cvi_node_attr(node, "kernel_shape") ? !read_window(node, &win) : true) {
        return false;
    }
    if (win.k[0] != kernel->dim[2] || win.k[1] != kernel->dim[3]) {
        return false;
    }
    bool depthwise = !transposed && groups > 1 && kernel->dim[1] == 1 && kernel->dim[0] % groups == 0;
    int64_t filters = transposed ? kernel->dim[1] * groups : kernel->dim[0];
    begin(w, node, 1);
    cvi_buf_puts(&w->out, depthwise ? "dwconv" : f->word);
    if (!depthwise || filters != groups) {
        cvi_buf_printf(&w->out, " %lld", (long long)filters);
    }
    put_window(w, &win, false);
    if (groups != 1 && !depthwise) {
        cvi_buf_printf(&w->out, " g%lld", (long long)groups);
    }
    if (extra[0] || extra[1]) {
        put_pair(w, "x", extra);
    }
    cvi_buf_puts(&w->out, bias ? "" : " nobias");
    return true;
}

static bool pool(net_writing *w, const cvi_node *node, const form *f) {
    window win = {0};
    if (w->general || !read_window(node, &win) ||
        !says_only(node, "kernel_shape strides dilations pads auto_pad ceil_mode count_include_pad")) {
        return false;
    }
    begin(w, node, 1);
    cvi_buf_puts(&w->out, f->word);
    put_window(w, &win, true);
    cvi_buf_puts(&w->out, cvi_node_int(node, "ceil_mode", 0) ? " ceil" : "");
    cvi_buf_puts(&w->out, cvi_node_int(node, "count_include_pad", 0) ? " countpad" : "");
    return true;
}

static bool fc(net_writing *w, const cvi_node *node, const form *f) {
    const cvs_tensor *matrix = weight(w, node, 1, 2), *bias = weight(w, node, 2, 1);
    bool transposed = cvi_node_int(node, "transB", 0) != 0;
    if (w->general || !matrix || (!bias && !absent(node, 2)) || !says_only(node, "transB") ||
        rank_of(w, node->in[0]) != 2) {
        return false;
    }
    int64_t units = matrix->dim[transposed ? 0 : 1];
    if (bias && bias->dim[0] != units) {
        return false;
    }
    begin(w, node, 1);
    cvi_buf_printf(&w->out, "%s %lld%s%s", f->word, (long long)units, transposed ? "" : " transB=0",
                   bias ? "" : " nobias");
    return true;
}

static bool bn(net_writing *w, const cvi_node *node, const form *f) {
    for (int k = 1; k < 5; k++) {
        if (!weight(w, node, k, 1)) {
            return false;
        }
    }
    if (w->general || !says_only(node, "epsilon momentum")) {
        return false;
    }
    begin(w, node, 1);
    cvi_buf_puts(&w->out, f->word);
    static const char *const keys[] = {"epsilon", "momentum"}, *const words[] = {"eps", "momentum"};
    for (int i = 0; i < 2; i++) {
        const cvi_attr *a = cvi_node_attr(node, keys[i]);
        if (a && !is_default(node, a)) {
            cvi_buf_printf(&w->out, " %s=", words[i]);
            cvi_net_put_real(&w->out, a->f);
        }
    }
    return true;
}

static bool prelu(net_writing *w, const cvi_node *node, const form *f) {
    const cvs_tensor *slope = weight(w, node, 1, 3);
    if (w->general || !slope || slope->dim[1] != 1 || slope->dim[2] != 1 || rank_of(w, node->in[0]) != 4) {
        return false;
    }
    begin(w, node, 1);
    cvi_buf_puts(&w->out, f->word);
    return true;
}

/* The single number of a constant input. */
static bool number(const net_writing *w, const cvi_node *node, int k, double *out) {
    const cvs_tensor *t = k < node->n_in && node->in[k] >= 0 ? w->g->values[node->in[k]].constant : NULL;
    if (!t || !t->data || t->rank != 0 || t->dtype != CVS_F32) {
        return false;
    }
    *out = cvi_get(t, 0);
    return true;
}

static bool relu6(net_writing *w, const cvi_node *node, const form *f) {
    double low, high;
    if (!number(w, node, 1, &low) || !number(w, node, 2, &high) || low != 0 || high != 6) {
        return false;
    }
    begin(w, node, 1);
    cvi_buf_puts(&w->out, f->word);
    return true;
}

static bool dropout(net_writing *w, const cvi_node *node, const form *f) {
    double ratio = 0.5;
    bool given = !absent(node, 1);
    if (!says_only(node, "convscope_maps") || !absent(node, 2) ||
        (given && (!number(w, node, 1, &ratio) || ratio >= 1))) {
        return false;
    }
    begin(w, node, 1);
    cvi_buf_puts(&w->out, f->word);
    if (given) {
        cvi_buf_puts(&w->out, " ");
        cvi_net_put_real(&w->out, ratio);
    }
    cvi_buf_puts(&w->out, cvi_node_int(node, "convscope_maps", 0) ? " maps" : "");
    return true;
}

static bool pixelshuffle(net_writing *w, const cvi_node *node, const form *f) {
    if (strcmp(cvi_node_string(node, "mode", "DCR"), "CRD") != 0 || !says_only(node, "mode blocksize")) {
        return false;
    }
    begin(w, node, 1);
    cvi_buf_printf(&w->out, "%s %lld", f->word, (long long)cvi_node_int(node, "blocksize", 1));
    return true;
}

/* One input, one number at most. */
static bool plain(net_writing *w, const cvi_node *node, const form *f) {
    if (!absent(node, 1) || !says_only(node, f->number ? f->number : "")) {
        return false;
    }
    if (strcmp(f->word, "flatten") == 0 && int_of(node, "axis") != 1) {
        return false;
    }
    begin(w, node, 1);
    cvi_buf_puts(&w->out, f->word);
    if (f->number) {
        const cvi_attr *a = cvi_node_attr(node, f->number);
        cvi_buf_puts(&w->out, " ");
        if (a ? a->kind == CVI_ATTR_INT : strchr("as", f->number[0]) && f->number[1] != 'l') {
            cvi_buf_printf(&w->out, "%lld", (long long)int_of(node, f->number));
        } else {
            cvi_net_put_real(&w->out, real_of(node, f->number));
        }
    }
    return true;
}

static bool join(net_writing *w, const cvi_node *node, const form *f) {
    bool concat = strcmp(f->word, "concat") == 0;
    if ((concat && (cvi_node_int(node, "axis", 0) != 1 || !says_only(node, "axis"))) ||
        (!concat && node->n_attr > 0) || node->n_in < 2 ||
        (strcmp(node->op, "Sum") == 0 && node->n_in == 2)) {
        return false;
    }
    for (int i = 0; i < node->n_in; i++) {
        if (node->in[i] < 0) {
            return false;
        }
    }
    begin(w, node, node->n_in);
    cvi_buf_puts(&w->out, f->word);
    return true;
}

static const form forms[] = {
    {"Conv", "conv", NULL, conv},
    {"ConvTranspose", "deconv", NULL, conv},
    {"MaxPool", "maxpool", NULL, pool},
    {"AveragePool", "avgpool", NULL, pool},
    {"GlobalAveragePool", "gap", NULL, plain},
    {"GlobalMaxPool", "gmp", NULL, plain},
    {"Gemm", "fc", NULL, fc},
    {"Flatten", "flatten", NULL, plain},
    {"BatchNormalization", "bn", NULL, bn},
    {"LRN", "lrn", "size", plain},
    {"Relu", "relu", NULL, plain},
    {"Clip", "relu6", NULL, relu6},
    {"LeakyRelu", "leaky", "alpha", plain},
    {"PRelu", "prelu", NULL, prelu},
    {"Elu", "elu", "alpha", plain},
    {"Selu", "selu", NULL, plain},
    {"Gelu", "gelu", NULL, plain},
    {"Swish", "silu", NULL, plain},
    {"Mish", "mish", NULL, plain},
    {"Sigmoid", "sigmoid", NULL, plain},
    {"HardSigmoid", "hsigmoid", "alpha", plain},
    {"HardSwish", "hswish", NULL, plain},
    {"Tanh", "tanh", NULL, plain},
    {"Softplus", "softplus", NULL, plain},
    {"Softmax", "softmax", "axis", plain},
    {"Dropout", "dropout", NULL, dropout},
    {"Identity", "identity", NULL, plain},
    {"DepthToSpace", "pixelshuffle", NULL, pixelshuffle},
    {"Add", "add", NULL, join},
    {"Sum", "add", NULL, join},
    {"Mul", "mul", NULL, join},
    {"Concat", "concat", NULL, join},
};

bool cvi_net_put_word(net_writing *w, const cvi_node *node) {
    for (int i = 0; i < CVI_COUNT(forms) && is_simple(w, node); i++) {
        bool constant = false;
        for (int k = 0; forms[i].write == join && k < node->n_in; k++) {
            constant |= node->in[k] >= 0 && w->g->values[node->in[k]].constant;
        }
        if (strcmp(forms[i].op, node->op) == 0 && !constant && forms[i].write(w, node, &forms[i])) {
            return true;
        }
    }
    return false;
}

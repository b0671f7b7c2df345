/* SPDX-License-Identifier: MIT
 * net_write.c - an opened model as text of the language: one statement per node, every layer under its own name, so that reading
 * the text gives the same graph (without the weights). A node is written with a word (conv, bn, fc ...) where the word means
 * exactly this node, else as "op". What was written is read again before it is handed out.
 */
#include <ctype.h>
#include <math.h>
#include <stdlib.h>

#include "formats/net.h"
#include "formats/reader.h"

#define MOST_NUMBERS 4096 /* constants longer than this are parameters: their numbers are not written */

typedef struct writing {
    const cvs_model *model;
    const cvi_graph *g;
    cvi_buf out;
    bool general;  /* words only where they need no shape */
    int current;   /* what the next statement would read */
    int *uses;     /* per value: how many inputs and outputs read it */
    bool *written; /* per value: constants that have their statement */
    cvs_error *err;
} writing;

/* ---- names and numbers ---------------------------------------------------------------------------------- */

static void put_string(cvi_buf *b, const char *s) {
    cvi_buf_puts(b, "\"");
    for (; *s; s++) {
        unsigned char c = (unsigned char)*s;
        if (c == '"' || c == '\\') {
            cvi_buf_printf(b, "\\%c", c);
        } else if (c == '\n' || c == '\t' || c == '\r') {
            cvi_buf_printf(b, "\\%c", c == '\n' ? 'n' : c == '\t' ? 't' : 'r');
        } else if (c < 32 || c == 127) {
            cvi_buf_printf(b, "\\x%02x", c);
        } else {
            cvi_buf_add(b, s, 1);
        }
    }
    cvi_buf_puts(b, "\"");
}

/* A name that the language takes as one word where a label may stand. */
static bool is_plain(const char *s) {
    static const char *const own[] = {"_", "->", "block", "skip", "train", "from"};
    for (int i = 0; i < CVI_COUNT(own); i++) {
        if (strcmp(s, own[i]) == 0) {
            return false;
        }
    }
    bool plain = *s != 0;
    for (const char *p = s; *p; p++) {
        unsigned char c = (unsigned char)*p;
        plain &= c > 127 || (c > 32 && c < 127 && !strchr("{}(),:|#\"", c));
    }
    return plain;
}

static void put_name(cvi_buf *b, const char *s) {
    if (is_plain(s)) {
        cvi_buf_puts(b, s);
    } else {
        put_string(b, s);
    }
}

static void put_value(writing *w, int v) {
    if (v < 0) {
        cvi_buf_puts(&w->out, "_");
    } else {
        put_name(&w->out, w->g->values[v].name);
    }
}

/* The shortest decimal that reads back as the same float (double where it is none), always with a point or exponent. */
static void put_real(cvi_buf *b, double v) {
    char text[40];
    for (int digits = 1; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, v);
        double back = strtod(text, NULL);
        if (back == v || (digits >= 6 && (double)(float)v == v && (float)back == (float)v) || isnan(v)) {
            break;
        }
    }
    cvi_buf_printf(b, "%s%s", text, strpbrk(text, ".einn") ? "" : ".0");
}

static void put_shape(cvi_buf *b, int rank, const int64_t *dim) {
    cvi_buf_puts(b, rank < 0 ? "[*" : "[");
    for (int i = 0; i < rank; i++) {
        cvi_buf_puts(b, i ? "x" : "");
        if (dim[i] < 0) {
            cvi_buf_puts(b, "?");
        } else {
            cvi_buf_printf(b, "%lld", (long long)dim[i]);
        }
    }
    cvi_buf_puts(b, "]");
}

static void put_numbers(cvi_buf *b, const cvs_tensor *t) {
    int64_t n = cvs_tensor_count(t);
    bool real = t->dtype == CVS_F32 || t->dtype == CVS_F64 || t->dtype == CVS_F16 || t->dtype == CVS_BF16;
    cvi_buf_puts(b, "[");
    for (int64_t i = 0; i < n; i++) {
        cvi_buf_puts(b, i ? ";" : "");
        if (real) {
            put_real(b, cvi_get(t, i));
        } else if (t->dtype == CVS_U64) {
            cvi_buf_printf(b, "%llu", (unsigned long long)((const uint64_t *)t->data)[i]);
        } else {
            cvi_buf_printf(b, "%lld", (long long)cvi_get_int(t, i));
        }
    }
    cvi_buf_puts(b, "]");
}

static cvs_status put_tensor(writing *w, const cvs_tensor *t, bool numbers, const char *name) {
    const char *type = cvi_net_type(t->dtype);
    if (!type) {
        return cvi_fail(w->err, CVS_E_UNSUPPORTED, "%.80s has type %s, which the text language does not know",
                        name, cvs_dtype_name(t->dtype));
    }
    cvi_buf_puts(&w->out, type);
    put_shape(&w->out, t->rank, t->dim);
    if (numbers) {
        put_numbers(&w->out, t);
    }
    return CVS_OK;
}

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
static const cvs_tensor *weight(const writing *w, const cvi_node *node, int k, int rank) {
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
static bool is_simple(const writing *w, const cvi_node *node) {
    for (int i = 1; i < node->n_out; i++) {
        if (node->out[i] >= 0) {
            return false;
        }
    }
    return node->n_in > 0 && node->in[0] >= 0 && !w->g->values[node->in[0]].constant && node->n_out > 0 &&
           node->out[0] >= 0;
}

static int rank_of(const writing *w, int v) {
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

static void put_from(writing *w, int n, const int *in) {
    if (n == 1 && in[0] == w->current) {
        return;
    }
    cvi_buf_puts(&w->out, "from ");
    for (int i = 0; i < n; i++) {
        cvi_buf_puts(&w->out, i ? "," : "");
        put_value(w, in[i]);
    }
    cvi_buf_puts(&w->out, " ");
}

static void begin(writing *w, const cvi_node *node, int n_from) {
    put_name(&w->out, w->g->values[node->out[0]].name);
    cvi_buf_puts(&w->out, ": ");
    put_from(w, n_from, node->in);
}

static void put_pair(writing *w, const char *letter, const int64_t v[2]) {
    cvi_buf_printf(&w->out, v[0] == v[1] ? " %s%lld" : " %s%lldx%lld", letter, (long long)v[0],
                   (long long)v[1]);
}

/* ---- words: false = the word does not mean exactly this node ---------------------------------------------------- */

typedef struct form {
    const char *op, *word;
    const char *number; /* attribute that the bare number sets, or NULL */
    bool (*write)(writing *w, const cvi_node *node, const struct form *f);
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
static void put_window(writing *w, const window *win, bool pool) {
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

static bool conv(writing *w, const cvi_node *node, const form *f) {
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

static bool pool(writing *w, const cvi_node *node, const form *f) {
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

static bool fc(writing *w, const cvi_node *node, const form *f) {
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

static bool bn(writing *w, const cvi_node *node, const form *f) {
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
            put_real(&w->out, a->f);
        }
    }
    return true;
}

static bool prelu(writing *w, const cvi_node *node, const form *f) {
    const cvs_tensor *slope = weight(w, node, 1, 3);
    if (w->general || !slope || slope->dim[1] != 1 || slope->dim[2] != 1 || rank_of(w, node->in[0]) != 4) {
        return false;
    }
    begin(w, node, 1);
    cvi_buf_puts(&w->out, f->word);
    return true;
}

/* The single number of a constant input. */
static bool number(const writing *w, const cvi_node *node, int k, double *out) {
    const cvs_tensor *t = k < node->n_in && node->in[k] >= 0 ? w->g->values[node->in[k]].constant : NULL;
    if (!t || !t->data || t->rank != 0 || t->dtype != CVS_F32) {
        return false;
    }
    *out = cvi_get(t, 0);
    return true;
}

static bool relu6(writing *w, const cvi_node *node, const form *f) {
    double low, high;
    if (!number(w, node, 1, &low) || !number(w, node, 2, &high) || low != 0 || high != 6) {
        return false;
    }
    begin(w, node, 1);
    cvi_buf_puts(&w->out, f->word);
    return true;
}

static bool dropout(writing *w, const cvi_node *node, const form *f) {
    double ratio = 0.5;
    bool given = !absent(node, 1);
    if (!says_only(node, "") || !absent(node, 2) || (given && (!number(w, node, 1, &ratio) || ratio >= 1))) {
        return false;
    }
    begin(w, node, 1);
    cvi_buf_puts(&w->out, f->word);
    if (given) {
        cvi_buf_puts(&w->out, " ");
        put_real(&w->out, ratio);
    }
    return true;
}

static bool pixelshuffle(writing *w, const cvi_node *node, const form *f) {
    if (strcmp(cvi_node_string(node, "mode", "DCR"), "CRD") != 0 || !says_only(node, "mode blocksize")) {
        return false;
    }
    begin(w, node, 1);
    cvi_buf_printf(&w->out, "%s %lld", f->word, (long long)cvi_node_int(node, "blocksize", 1));
    return true;
}

/* One input, one number at most. */
static bool plain(writing *w, const cvi_node *node, const form *f) {
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
            put_real(&w->out, real_of(node, f->number));
        }
    }
    return true;
}

static bool join(writing *w, const cvi_node *node, const form *f) {
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

/* ---- any operator ------------------------------------------------------------------------------------------- */

static cvs_status put_attribute(writing *w, const cvi_node *node, const cvi_attr *a) {
    cvi_buf *b = &w->out;
    cvi_buf_puts(b, " ");
    if (!is_plain(a->name) || strpbrk(a->name, "=*[\"") || strcmp(a->name, "out") == 0) {
        return cvi_fail(w->err, CVS_E_UNSUPPORTED, "node %.80s: attribute %.40s cannot be written as text",
                        node->name, a->name);
    }
    cvi_buf_puts(b, a->name);
    switch (a->kind) {
    case CVI_ATTR_INT:
        cvi_buf_printf(b, "=%lld", (long long)a->i);
        break;
    case CVI_ATTR_FLOAT:
        cvi_buf_puts(b, "=");
        put_real(b, a->f);
        break;
    case CVI_ATTR_STRING:
        cvi_buf_puts(b, "=");
        put_string(b, a->s);
        break;
    case CVI_ATTR_INTS:
    case CVI_ATTR_FLOATS:
        for (int i = 0; i < a->n; i++) {
            cvi_buf_puts(b, i ? ";" : "=[");
            if (a->kind == CVI_ATTR_FLOATS) {
                put_real(b, a->floats[i]);
            } else {
                cvi_buf_printf(b, "%lld", (long long)a->ints[i]);
            }
        }
        cvi_buf_puts(b, a->n ? "]" : "=[]");
        break;
    case CVI_ATTR_STRINGS:
        cvi_buf_puts(b, "*=");
        for (int i = 0; i < a->n; i++) {
            cvi_buf_puts(b, " ");
            put_string(b, a->strings[i]);
        }
        break;
    case CVI_ATTR_TENSOR:
        if (!a->tensor->data || a->tensor->layout != CVS_PLAIN ||
            cvs_tensor_count(a->tensor) > MOST_NUMBERS) {
            return cvi_fail(w->err, CVS_E_UNSUPPORTED,
                            "node %.80s: attribute %.40s cannot be written as text", node->name, a->name);
        }
        cvi_buf_puts(b, "=");
        return put_tensor(w, a->tensor, true, a->name);
    case CVI_ATTR_GRAPH:
        return cvi_fail(w->err, CVS_E_UNSUPPORTED,
                        "node %.80s holds a graph of its own (%.40s), which the text language cannot say",
                        node->name, a->name);
    }
    return CVS_OK;
}

/* "name: const ..." or "name: param ..." before its first reader. */
static cvs_status put_constant(writing *w, int v, bool small) {
    const cvi_value *value = &w->g->values[v];
    if (w->written[v] || !value->constant) {
        return CVS_OK;
    }
    const cvs_tensor *t = value->constant;
    bool numbers = t->data && small && cvs_tensor_count(t) <= MOST_NUMBERS && t->layout == CVS_PLAIN;
    w->written[v] = true;
    put_name(&w->out, value->name);
    cvi_buf_puts(&w->out, numbers || cvs_tensor_count(t) == 0 ? ": const " : ": param ");
    CVI_TRY(put_tensor(w, t, numbers, value->name));
    cvi_buf_puts(&w->out, "\n");
    return CVS_OK;
}

/* Weights are not written; numbers that flow as data or decide a shape are. */
static bool is_weight(const cvi_node *node, int k) {
    if (!node->def || node->def->n_inputs == 0) {
        return false;
    }
    cvi_role role = node->def->inputs[CVI_MIN(k, node->def->n_inputs - 1)].role;
    return role != CVI_DATA && role != CVI_SHAPE;
}

static cvs_status put_general(writing *w, const cvi_node *node) {
    for (int i = 0; i < node->n_in; i++) {
        if (node->in[i] >= 0) {
            CVI_TRY(put_constant(w, node->in[i], !is_weight(node, i)));
        }
    }
    int first = node->n_out > 0 ? node->out[0] : -1;
    if (first >= 0) {
        put_name(&w->out, w->g->values[first].name);
        cvi_buf_puts(&w->out, ": ");
    }
    static const int nothing = -1;
    put_from(w, CVI_MAX(node->n_in, 1), node->n_in ? node->in : &nothing);
    cvi_buf_puts(&w->out, "op ");
    put_name(&w->out, node->op);
    for (int i = 0; i < node->n_attr; i++) {
        CVI_TRY(put_attribute(w, node, &node->attr[i]));
    }
    for (int i = 1; i < node->n_out; i++) {
        cvi_buf_puts(&w->out, " out=");
        put_string(&w->out, node->out[i] < 0 ? "" : w->g->values[node->out[i]].name);
    }
    return CVS_OK;
}

static cvs_status put_node(writing *w, const cvi_node *node) {
    bool done = false;
    for (int i = 0; i < CVI_COUNT(forms) && !done && is_simple(w, node); i++) {
        bool constant = false;
        for (int k = 0; forms[i].write == join && k < node->n_in; k++) {
            constant |= node->in[k] >= 0 && w->g->values[node->in[k]].constant;
        }
        done = strcmp(forms[i].op, node->op) == 0 && !constant && forms[i].write(w, node, &forms[i]);
    }
    if (!done) {
        CVI_TRY(put_general(w, node));
    }
    int first = node->n_out > 0 ? node->out[0] : -1;
    if (first >= 0 && w->g->values[first].hidden) {
        cvi_buf_puts(&w->out, " hidden");
    }
    cvi_buf_puts(&w->out, "\n");
    w->current = first >= 0 ? first : w->current;
    return CVS_OK;
}

/* ---- the whole ------------------------------------------------------------------------------------------------ */

static cvs_status put_inputs(writing *w) {
    for (int i = 0; i < w->g->n_inputs; i++) {
        int v = w->g->inputs[i];
        const cvi_value *value = &w->g->values[v];
        bool usual = value->dtype == CVS_F32 && value->rank >= 2 && value->rank <= 5 && value->dim[0] == -1;
        for (int k = 1; usual && k < value->rank; k++) {
            usual = value->dim[k] > 0;
        }
        put_name(&w->out, value->name);
        cvi_buf_puts(&w->out, ": input ");
        if (usual) {
            for (int k = 1; k < value->rank; k++) {
                cvi_buf_printf(&w->out, k > 1 ? "x%lld" : "%lld", (long long)value->dim[k]);
            }
        } else {
            cvs_tensor t = {.dtype = value->dtype, .rank = value->rank};
            memcpy(t.dim, value->dim, sizeof t.dim);
            CVI_TRY(put_tensor(w, &t, false, value->name));
        }
        cvi_buf_puts(&w->out, "\n");
        w->current = v;
    }
    return CVS_OK;
}

static void put_heading(writing *w) {
    const cvs_model *m = w->model;
    char text[512];
    cvi_buf_printf(&w->out, "# The architecture of a %s model. Weights are not in this text.\nname ",
                   m->format ? m->format : "Convscope");
    put_string(&w->out, m->name && *m->name ? m->name : "model");
    cvi_buf_puts(&w->out, "\n");
    if (m->preprocess.known) {
        cvi_buf_puts(&w->out, "preprocess ");
        put_string(&w->out, cvs_preprocess_text(&m->preprocess, text, sizeof text));
        cvi_buf_puts(&w->out, "\n");
    }
    for (int i = 0; i < m->n_classes; i++) {
        cvi_buf_puts(&w->out, i ? " " : "classes ");
        put_string(&w->out, m->classes[i]);
    }
    cvi_buf_puts(&w->out, m->n_classes ? "\n\n" : "\n");
}

static cvs_status put_all(writing *w) {
    const cvi_graph *g = w->g;
    put_heading(w);
    CVI_TRY(put_inputs(w));
    for (int n = 0; n < g->n_nodes; n++) {
        CVI_TRY(put_node(w, &g->nodes[n]));
    }
    for (int i = 0; i < g->n_outputs; i++) {
        int v = g->outputs[i];
        CVI_TRY(put_constant(w, v, true));
        if (g->n_outputs > 1 || v != w->current) {
            put_from(w, 1, &v);
            cvi_buf_puts(&w->out, "output\n");
            w->current = v;
        }
    }
    return w->out.failed ? cvi_no_memory(w->err, 0) : CVS_OK;
}

static cvs_status write_once(writing *w) {
    const cvi_graph *g = w->g;
    w->current = -1;
    memset(w->written, 0, (size_t)CVI_MAX(g->n_values, 1) * sizeof *w->written);
    memset(w->uses, 0, (size_t)CVI_MAX(g->n_values, 1) * sizeof *w->uses);
    for (int n = 0; n < g->n_nodes; n++) {
        for (int i = 0; i < g->nodes[n].n_in; i++) {
            if (g->nodes[n].in[i] >= 0) {
                w->uses[g->nodes[n].in[i]]++;
            }
        }
    }
    for (int i = 0; i < g->n_outputs; i++) {
        w->uses[g->outputs[i]]++;
    }
    CVI_TRY(put_all(w));
    cvs_model *back = NULL;
    cvs_open_options options = {.limits = w->model->limits};
    cvs_status s = cvs_model_open_memory(w->out.data, w->out.size, "text", &options, &back, w->err);
    cvs_model_free(back);
    return s;
}

cvs_status cvi_net_text(const cvs_model *model, cvi_buf *out, cvs_error *err) {
    const cvi_graph *g = model->graph;
    writing w = {.model = model, .g = g, .err = err};
    w.uses = cvi_calloc(CVI_MAX(g->n_values, 1), sizeof *w.uses);
    w.written = cvi_calloc(CVI_MAX(g->n_values, 1), sizeof *w.written);
    cvs_status s = w.uses && w.written ? write_once(&w) : cvi_no_memory(err, 0);
    if (s == CVS_E_SHAPE || s == CVS_E_FORMAT) { /* a word needed a shape that only a run knows */
        cvi_buf_free(&w.out);
        w.out = (cvi_buf){0};
        w.general = true;
        cvi_error_clear(err);
        s = write_once(&w);
    }
    cvi_free(w.uses);
    cvi_free(w.written);
    if (s == CVS_OK) {
        *out = w.out;
    } else {
        cvi_buf_free(&w.out);
    }
    return s;
}

static cvs_status write(const cvs_model *model, const char *path, cvs_error *err) {
    cvi_buf text = {0};
    CVI_TRY(cvi_net_text(model, &text, err));
    cvs_status s = cvi_file_write(path, text.data, text.size, err);
    cvi_buf_free(&text);
    return s;
}

const cvi_model_writer cvi_model_writer_net = {
    .name = "net",
    .title = "Convscope text",
    .suffix = ".net",
    .write = write,
};

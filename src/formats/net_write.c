/* SPDX-License-Identifier: MIT
 * net_write.c - an opened model as text of the language: one statement per node, every layer under its own name, so that reading
 * the text gives the same graph (without the weights). A node is written with a word (conv, bn, fc ...) where the word means
 * exactly this node, else as "op". What was written is read again before it is handed out.
 */
#include <ctype.h>
#include <math.h>
#include <stdlib.h>

#include "formats/net_write.h"
#include "formats/reader.h"

#define MOST_NUMBERS 4096 /* constants longer than this are parameters: their numbers are not written */

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

/* A name that the language takes as one word where a label may stand; others go in quotes. */
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
        plain &= c > 127 || (c > 32 && c < 127 && !strchr("{}(),:|#=\"", c));
    }
    return plain;
}

void cvi_net_put_name(cvi_buf *b, const char *s) {
    if (is_plain(s)) {
        cvi_buf_puts(b, s);
    } else {
        put_string(b, s);
    }
}

static void put_value(net_writing *w, int v) {
    if (v < 0) {
        cvi_buf_puts(&w->out, "_");
    } else {
        cvi_net_put_name(&w->out, w->g->values[v].name);
    }
}

void cvi_net_put_real(cvi_buf *b, double v) {
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
            cvi_net_put_real(b, cvi_get(t, i));
        } else if (t->dtype == CVS_U64) {
            cvi_buf_printf(b, "%llu", (unsigned long long)((const uint64_t *)t->data)[i]);
        } else {
            cvi_buf_printf(b, "%lld", (long long)cvi_get_int(t, i));
        }
    }
    cvi_buf_puts(b, "]");
}

static cvs_status put_tensor(net_writing *w, const cvs_tensor *t, bool numbers, const char *name) {
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

void cvi_net_put_from(net_writing *w, int n, const int *in) {
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

/* ---- any operator ------------------------------------------------------------------------------------------- */

static cvs_status put_attribute(net_writing *w, const cvi_node *node, const cvi_attr *a) {
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
        cvi_net_put_real(b, a->f);
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
                cvi_net_put_real(b, a->floats[i]);
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
static cvs_status put_constant(net_writing *w, int v, bool small) {
    const cvi_value *value = &w->g->values[v];
    if (w->written[v] || !value->constant) {
        return CVS_OK;
    }
    const cvs_tensor *t = value->constant;
    bool numbers = t->data && small && cvs_tensor_count(t) <= MOST_NUMBERS && t->layout == CVS_PLAIN;
    w->written[v] = true;
    cvi_net_put_name(&w->out, value->name);
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

static cvs_status put_general(net_writing *w, const cvi_node *node) {
    for (int i = 0; i < node->n_in; i++) {
        if (node->in[i] >= 0) {
            CVI_TRY(put_constant(w, node->in[i], !is_weight(node, i)));
        }
    }
    int first = node->n_out > 0 ? node->out[0] : -1;
    if (first >= 0) {
        cvi_net_put_name(&w->out, w->g->values[first].name);
        cvi_buf_puts(&w->out, ": ");
    }
    static const int nothing = -1;
    cvi_net_put_from(w, CVI_MAX(node->n_in, 1), node->n_in ? node->in : &nothing);
    cvi_buf_puts(&w->out, "op ");
    cvi_net_put_name(&w->out, node->op);
    for (int i = 0; i < node->n_attr; i++) {
        CVI_TRY(put_attribute(w, node, &node->attr[i]));
    }
    for (int i = 1; i < node->n_out; i++) {
        cvi_buf_puts(&w->out, " out=");
        put_string(&w->out, node->out[i] < 0 ? "" : w->g->values[node->out[i]].name);
    }
    return CVS_OK;
}

static cvs_status put_node(net_writing *w, const cvi_node *node) {
    if (!cvi_net_put_word(w, node)) {
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

static cvs_status put_inputs(net_writing *w) {
    for (int i = 0; i < w->g->n_inputs; i++) {
        int v = w->g->inputs[i];
        const cvi_value *value = &w->g->values[v];
        bool usual = value->dtype == CVS_F32 && value->rank >= 2 && value->rank <= 5 && value->dim[0] == -1;
        for (int k = 1; usual && k < value->rank; k++) {
            usual = value->dim[k] > 0;
        }
        cvi_net_put_name(&w->out, value->name);
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

static void put_heading(net_writing *w) {
    const cvs_model *m = w->model;
    char text[512];
    cvi_buf_printf(&w->out, "# An architecture, read from %s. Weights are not in this text.\nname ",
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

static cvs_status put_all(net_writing *w) {
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
            cvi_net_put_from(w, 1, &v);
            cvi_buf_puts(&w->out, "output\n");
            w->current = v;
        }
    }
    return w->out.failed ? cvi_no_memory(w->err, 0) : CVS_OK;
}

static cvs_status write_once(net_writing *w) {
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
    net_writing w = {.model = model, .g = g, .err = err};
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

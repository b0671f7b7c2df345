/* SPDX-License-Identifier: MIT
 * onnx_write.c - cvs_model -> ONNX of opset CVI_OPSET. The small part is encoded first; then every length is known and the weights
 * are streamed from where they are, without a second copy. Their raw bytes start at multiples of 64 in the file (an unknown
 * field before them fills the gap, which every protobuf parser skips), so that reading them again needs no copy either.
 */
#include "onnx_write.h"

#include <stdlib.h>
#include <unistd.h>

#include "convscope/run.h"
#include "onnx_encode.h"
#include "onnx_metadata.h"
#include "ops/op.h"
#include "protobuf.h"
#include "reader.h"

#define PAD_FIELD 1000 /* no field of TensorProto or GraphProto */
#define SMALL     256  /* tensors below this stay in the model file, and are aligned to 8 only */

typedef struct weight {
    int value;
    cvs_tensor t;   /* as it is stored: borrowed, but elements of less than 8 bits packed and owned */
    int64_t length; /* of the TensorProto */
    int64_t pad;    /* content of the fill field, -1 = no field */
    int64_t offset; /* in the side file; -1 = in the model file */
} weight;

typedef struct writing {
    const cvs_model *model;
    const cvi_graph *g;
    const char *side;    /* name of the side file, NULL = none */
    cvi_buf head, small; /* ModelProto before the graph; GraphProto without initializers */
    weight *weights;
    int n_weights;
    int64_t graph_length, side_length;
    cvs_error *err;
} writing;

/* ---- the small part ---- */

/* Opset and domains that the nodes need. */
static int64_t newest_opset(const cvi_graph *g) {
    int64_t opset = CVI_OPSET;
    for (int v = 0; v < g->n_values; v++) { /* the first one with the type */
        cvs_dtype t = g->values[v].dtype;
        int since = t == CVS_F4E2M1 ? 23 : t == CVS_F8E8M0 ? 24 : t == CVS_U2 || t == CVS_I2 ? 25 : 0;
        opset = CVI_MAX(opset, since);
    }
    for (int n = 0; n < g->n_nodes; n++) {
        const cvi_node *node = &g->nodes[n];
        if (node->def && !strstr(node->op, "::")) {
            opset = CVI_MAX(opset, node->def->since);
        }
        for (int a = 0; a < node->n_attr; a++) {
            if (node->attr[a].graph) {
                opset = CVI_MAX(opset, newest_opset(node->attr[a].graph));
            }
        }
    }
    return opset;
}

static void put_opset(cvi_buf *b, const char *domain, size_t n, int64_t version) {
    cvi_buf m = {0};
    cvi_pbw_bytes(&m, 1, domain, n);
    cvi_pbw_int(&m, 2, version);
    cvi_pbw_message(b, 8, &m);
}

/* Other domains, once each; a graph has few. `seen` is a list of the domains already written, each ended by a newline. */
static void put_domains(cvi_buf *b, const cvi_graph *g, cvi_buf *seen) {
    for (int n = 0; n < g->n_nodes; n++) {
        const cvi_node *node = &g->nodes[n];
        const char *colon = strstr(node->op, "::");
        if (colon && !(node->def && node->def->onnx_pair[0])) {
            cvi_buf key = {0};
            cvi_buf_puts(&key, "\n");
            cvi_buf_add(&key, node->op, (size_t)(colon - node->op));
            cvi_buf_puts(&key, "\n");
            if (!key.failed && !(seen->data && strstr(seen->data, key.data))) {
                cvi_buf_puts(seen, key.data);
                put_opset(b, node->op, (size_t)(colon - node->op), 1);
            }
            b->failed |= key.failed;
            cvi_buf_free(&key);
        }
        for (int a = 0; a < node->n_attr; a++) {
            if (node->attr[a].graph) {
                put_domains(b, node->attr[a].graph, seen);
            }
        }
    }
}

static cvs_status put_metadata(cvi_buf *b, const cvs_model *m, cvs_error *err) {
    char *classes = NULL;
    char text[512];
    CVI_TRY(cvi_onnx_classes_text(m, &classes, err));
    if (classes) {
        cvi_pbw_entry(b, 14, CVI_ONNX_KEY_CLASSES, classes);
    }
    cvi_free(classes);
    if (m->preprocess.known) {
        cvi_pbw_entry(b, 14, CVI_ONNX_KEY_PREPROCESS, cvs_preprocess_text(&m->preprocess, text, sizeof text));
    }
    return CVS_OK;
}

static cvs_status put_head(writing *w) {
    cvi_buf seen = {0};
    int64_t opset = newest_opset(w->g);
    cvi_pbw_int(&w->head, 1, opset <= 22 ? 10 : opset == 23 ? 11 : opset == 24 ? 12 : 13);
    cvi_pbw_text(&w->head, 2, "convscope");
    cvi_pbw_text(&w->head, 3, CVS_VERSION);
    put_opset(&w->head, "", 0, opset);
    put_domains(&w->head, w->g, &seen);
    w->head.failed |= seen.failed;
    cvi_buf_free(&seen);
    return put_metadata(&w->head, w->model, w->err);
}

/* Types and shapes of the outputs: as the model says, else as the shape rules find them (a free batch stays free). */
static void output_info(const writing *w, const cvs_summary *summary, int v, cvs_tensor *t) {
    const cvi_value *value = &w->g->values[v];
    *t = (cvs_tensor){.dtype = value->dtype, .rank = value->rank};
    memcpy(t->dim, value->dim, sizeof t->dim);
    for (int i = 0; i < summary->n_layers; i++) {
        const cvs_layer *l = &summary->layers[i];
        if (strcmp(l->name, value->name) != 0) {
            continue;
        }
        t->dtype = t->dtype == CVS_NONE ? l->dtype : t->dtype;
        if (t->rank < 0) {
            bool fixed = true, only_batch = true;
            for (int k = 0; k < w->g->n_inputs; k++) {
                const cvi_value *in = &w->g->values[w->g->inputs[k]];
                for (int d = 0; d < in->rank; d++) {
                    fixed = fixed && in->dim[d] >= 0;
                    only_batch = only_batch && (d == 0 || in->dim[d] >= 0);
                }
            }
            t->rank = l->rank;
            for (int d = 0; d < l->rank; d++) {
                t->dim[d] = fixed || (only_batch && d > 0) ? l->dim[d] : -1;
            }
        }
    }
}

static cvs_status put_ports(writing *w) {
    const cvi_graph *g = w->g;
    cvs_summary summary = {0};
    cvs_error quiet = {0};
    for (int i = 0; i < g->n_inputs; i++) {
        const cvi_value *value = &g->values[g->inputs[i]];
        cvs_tensor t = {.dtype = value->dtype, .rank = value->rank};
        memcpy(t.dim, value->dim, sizeof t.dim);
        cvi_onnx_put_value(&w->small, 11, value->name, &t);
    }
    cvs_status s = cvs_model_summarize(w->model, NULL, CVS_EN, &summary, &quiet);
    if (s == CVS_E_MEMORY) {
        return cvi_no_memory(w->err, 0);
    }
    for (int i = 0; i < g->n_outputs; i++) {
        cvs_tensor t;
        output_info(w, &summary, g->outputs[i], &t);
        cvi_onnx_put_value(&w->small, 12, g->values[g->outputs[i]].name, &t);
    }
    cvs_summary_free(&summary);
    return CVS_OK;
}

static cvs_status put_small(writing *w) {
    const char *name = w->g->name[0] ? w->g->name : w->model->name;
    for (int n = 0; n < w->g->n_nodes; n++) {
        CVI_TRY(cvi_onnx_put_node(&w->small, w->g, &w->g->nodes[n], w->err));
    }
    cvi_pbw_text(&w->small, 2, name && *name ? name : "graph");
    CVI_TRY(put_ports(w));
    CVI_TRY(put_head(w));
    return w->small.failed || w->head.failed ? cvi_no_memory(w->err, w->small.size) : CVS_OK;
}

/* ---- the weights ---- */

static cvs_status list_weights(writing *w) {
    const cvi_graph *g = w->g;
    bool *used = cvi_calloc((size_t)g->n_values + 1, sizeof *used);
    w->weights = cvi_calloc((size_t)g->n_values + 1, sizeof *w->weights);
    if (!used || !w->weights) {
        cvi_free(used);
        return cvi_no_memory(w->err, (size_t)g->n_values);
    }
    cvi_onnx_mark_used(g, used);
    cvs_status s = CVS_OK;
    for (int v = 0; v < g->n_values && s == CVS_OK; v++) {
        const cvs_tensor *t = used[v] ? g->values[v].constant : NULL;
        if (t && !t->data && cvs_tensor_count(t) != 0) {
            s = cvi_fail(w->err, CVS_E_ARGUMENT,
                         "the model has no weights to write; --init SEED gives it random ones");
        } else if (t) {
            w->weights[w->n_weights++] = (weight){.value = v, .t = *t, .pad = -1, .offset = -1};
            w->weights[w->n_weights - 1].t.owned = false;
            s = cvi_onnx_packed(&w->weights[w->n_weights - 1].t, w->err);
        }
    }
    cvi_free(used);
    return s;
}

/* Everything of a TensorProto before its numbers. */
static void weight_head(const writing *w, const weight *x, cvi_buf *b) {
    const cvi_value *v = &w->g->values[x->value];
    cvi_onnx_put_tensor_head(b, &x->t, v->name);
    if (x->offset >= 0) {
        char number[24];
        cvi_pbw_entry(b, 13, "location", w->side);
        snprintf(number, sizeof number, "%lld", (long long)x->offset);
        cvi_pbw_entry(b, 13, "offset", number);
        snprintf(number, sizeof number, "%zu", x->t.bytes);
        cvi_pbw_entry(b, 13, "length", number);
        cvi_pbw_int(b, 14, 1);
    }
    if (x->pad >= 0) {
        cvi_pbw_varint(b, (uint64_t)PAD_FIELD << 3 | CVI_PB_BYTES);
        cvi_pbw_varint(b, (uint64_t)x->pad);
        for (int64_t i = 0; i < x->pad; i++) {
            cvi_buf_add(b, "", 1);
        }
    }
    if (x->offset < 0) {
        cvi_pbw_varint(b, 9 << 3 | CVI_PB_BYTES);
        cvi_pbw_varint(b, x->t.bytes);
    }
}

/* Chooses the fill so that the numbers of a tensor whose field starts at `at` are aligned; returns where the next one starts. */
static cvs_status place_weight(writing *w, weight *x, int64_t at, int64_t *next) {
    const cvs_tensor *t = &x->t;
    int64_t align = t->bytes >= SMALL ? 64 : 8, data = x->offset >= 0 ? 0 : (int64_t)t->bytes;
    cvi_buf b = {0};
    x->pad = -1;
    weight_head(w, x, &b);
    int64_t head = (int64_t)b.size;
    bool failed = b.failed;
    cvi_buf_free(&b);
    if (failed) {
        return cvi_no_memory(w->err, (size_t)head);
    }
    for (int round = 0; round < 30; round++) {
        int size =
            1 +
            round % 10; /* bytes that the length itself takes; it depends on the fill, which depends on it */
        int64_t plain = at + 1 + size + head, fill = 0;
        if (x->offset < 0 && t->bytes > 0 && (plain % align || round >= 10)) {
            fill = align - plain % align + (round / 10) * align;
            fill += fill < 3 ? align : 0; /* the field itself takes two bytes of tag and one of length */
        }
        int64_t length = head + fill + data;
        if (cvi_pbw_varint_size((uint64_t)length) == size && fill < 128) {
            x->pad = fill ? fill - 3 : -1;
            x->length = length;
            *next = at + 1 + size + length;
            return CVS_OK;
        }
    }
    return cvi_fail(w->err, CVS_E_INTERNAL, "a tensor of %zu bytes cannot be placed", t->bytes);
}

/* Where everything lies; the graph's length is part of its own place, so a few rounds. */
static cvs_status place_all(writing *w) {
    int64_t start = (int64_t)(w->head.size + 1), guess = 1;
    for (int round = 0; round < 20; round++) {
        int64_t begin = start + guess, at = begin + (int64_t)w->small.size;
        for (int i = 0; i < w->n_weights; i++) {
            CVI_TRY(place_weight(w, &w->weights[i], at, &at));
        }
        w->graph_length = at - begin;
        int64_t need = cvi_pbw_varint_size((uint64_t)w->graph_length);
        if (need == guess) {
            return CVS_OK;
        }
        if (need < guess) { /* it hovers at a power of 128: a little more makes it settle */
            static const char fill[64];
            cvi_pbw_bytes(&w->small, PAD_FIELD, fill, sizeof fill);
            if (w->small.failed) {
                return cvi_no_memory(w->err, w->small.size);
            }
            continue;
        }
        guess = need;
    }
    return cvi_fail(w->err, CVS_E_INTERNAL, "the graph cannot be placed");
}

/* Moves the numbers of all but small tensors to the side file. */
static void use_side_file(writing *w) {
    int64_t at = 0;
    for (int i = 0; i < w->n_weights; i++) {
        const cvs_tensor *t = &w->weights[i].t;
        if (t->bytes >= SMALL) {
            w->weights[i].offset = at;
            at = (at + (int64_t)t->bytes + 63) & ~(int64_t)63;
        }
    }
    w->side_length = at;
}

static cvs_status stream_model(writing *w, cvi_writer *out) {
    cvi_pbw_varint(&w->head, 7 << 3 | CVI_PB_BYTES);
    cvi_pbw_varint(&w->head, (uint64_t)w->graph_length);
    if (w->head.failed) {
        return cvi_no_memory(w->err, w->head.size);
    }
    CVI_TRY(cvi_writer_add(out, w->head.data, w->head.size, w->err));
    CVI_TRY(cvi_writer_add(out, w->small.data, w->small.size, w->err));
    for (int i = 0; i < w->n_weights; i++) {
        const weight *x = &w->weights[i];
        const cvs_tensor *t = &x->t;
        cvi_buf b = {0};
        cvi_pbw_varint(&b, 5 << 3 | CVI_PB_BYTES);
        cvi_pbw_varint(&b, (uint64_t)x->length);
        weight_head(w, x, &b);
        cvs_status s = b.failed ? cvi_no_memory(w->err, b.size) : cvi_writer_add(out, b.data, b.size, w->err);
        cvi_buf_free(&b);
        CVI_TRY(s);
        if (x->offset < 0 && t->bytes) {
            CVI_TRY(cvi_writer_add(out, t->data, t->bytes, w->err));
        }
    }
    return CVS_OK;
}

static cvs_status stream_side(writing *w, cvi_writer *out) {
    static const uint8_t zeros[64];
    for (int i = 0; i < w->n_weights; i++) {
        const cvs_tensor *t = &w->weights[i].t;
        if (w->weights[i].offset >= 0) {
            CVI_TRY(cvi_writer_add(out, t->data, t->bytes, w->err));
            CVI_TRY(cvi_writer_add(out, zeros, (64 - t->bytes % 64) % 64, w->err));
        }
    }
    return CVS_OK;
}

static cvs_status write_file(writing *w, const char *path, cvs_status (*stream)(writing *, cvi_writer *)) {
    cvi_writer out = {0};
    CVI_TRY(cvi_writer_begin(&out, path, w->err));
    cvs_status s = stream(w, &out);
    if (s != CVS_OK) {
        cvi_writer_abort(&out);
        return s;
    }
    return cvi_writer_commit(&out, w->err);
}

/* The side file first: a model file that is there is whole. */
static cvs_status write_both(writing *w, const char *path, const char *side_path) {
    if (w->side) {
        CVI_TRY(write_file(w, side_path, stream_side));
    }
    cvs_status s = write_file(w, path, stream_model);
    if (s != CVS_OK && w->side) {
        (void)unlink(side_path);
    }
    return s;
}

static cvs_status prepare(writing *w, const char *side_name, int64_t max_bytes) {
    CVI_TRY(list_weights(w));
    CVI_TRY(put_small(w));
    CVI_TRY(place_all(w));
    if (w->graph_length + (int64_t)w->head.size > max_bytes) {
        w->side = side_name;
        use_side_file(w);
        CVI_TRY(place_all(w));
    }
    if (w->graph_length + (int64_t)w->head.size > CVI_MAX(max_bytes, CVI_ONNX_MAX_INLINE)) {
        return cvi_fail(w->err, CVS_E_LIMIT, "the model is too large for an ONNX file");
    }
    return CVS_OK;
}

cvs_status cvi_onnx_write(const cvs_model *model, const char *path, int64_t max_bytes, cvs_error *err) {
    cvs_error local = {0};
    writing w = {.model = model, .g = model->graph, .err = err ? err : &local};
    cvi_buf side = {0};
    cvi_buf_puts(&side, path);
    cvi_buf_puts(&side, ".data");
    cvs_status s =
        side.failed ? cvi_no_memory(w.err, side.size) : prepare(&w, cvi_path_base(side.data), max_bytes);
    if (s == CVS_OK) {
        s = write_both(&w, path, side.data);
    }
    cvi_buf_free(&side);
    cvi_buf_free(&w.head);
    cvi_buf_free(&w.small);
    for (int i = 0; i < w.n_weights; i++) {
        cvs_tensor_free(&w.weights[i].t);
    }
    cvi_free(w.weights);
    return cvi_at_file(w.err, s, path);
}

static cvs_status write_onnx(const cvs_model *model, const char *path, cvs_error *err) {
    return cvi_onnx_write(model, path, CVI_ONNX_MAX_INLINE, err);
}

const cvi_model_writer cvi_model_writer_onnx = {
    .name = "onnx", .title = "ONNX", .suffix = ".onnx", .write = write_onnx};

/* SPDX-License-Identifier: MIT
 * ncnn_build.c - builds a graph from ncnn's layers: blobs by name, numbers from the .bin (raw, tagged, 16-bit), input, outputs. A layer that
 * is not known becomes a box; where it might have numbers of its own, those after it cannot be found, which is told.
 */
#include "formats/ncnn.h"

#include "ops/op.h"

enum { SIDE = 224 };

static void locate(const void *owner, cvs_error *err, cvs_status s) {
    const ncnn *m = owner;
    if (m->layer && s != CVS_E_MEMORY) {
        cvi_at_node(err, s, m->layer->name, m->layer->type);
        if (m->layer->line > 0) {
            cvi_at_line(err, s, m->layer->line, 1);
        }
    }
}

/* ---- blobs ---- */

static ncnn_blob *blob_of(ncnn *m, const char *name) {
    uint64_t h = 1469598103934665603u;
    for (const char *s = name; *s; s++) {
        h = (h ^ (unsigned char)*s) * 1099511628211u;
    }
    size_t mask = (size_t)m->capacity - 1, at = (size_t)(h ^ h >> 32) & mask;
    while (m->blob[at].name && strcmp(m->blob[at].name, name) != 0) {
        at = (at + 1) & mask;
    }
    return &m->blob[at];
}

static bool make_blobs(ncnn *m) {
    int64_t n = 64;
    for (int i = 0; i < m->param->n; i++) {
        n += m->param->layer[i].n_out;
    }
    m->capacity = 128;
    while (m->capacity < 2 * n && m->capacity < 1 << 28) {
        m->capacity *= 2;
    }
    m->blob = cvi_arena_alloc(m->b.model->arena, m->capacity, sizeof *m->blob);
    if (!m->blob) {
        cvi_build_no_memory(&m->b, (size_t)m->capacity * sizeof *m->blob);
    }
    return m->blob != NULL;
}

void cvi_ncnn_put(ncnn *m, int k, int value) {
    if (!cvi_build_ok(&m->b) || k >= m->layer->n_out) {
        return;
    }
    ncnn_blob *b = blob_of(m, m->layer->out[k]);
    if (b->name && b->value >= 0) {
        cvi_build_set(&m->b,
                      cvi_fail(m->b.err, CVS_E_FORMAT, "value %.100s is made twice", m->layer->out[k]));
        return;
    }
    *b = (ncnn_blob){.name = m->layer->out[k], .value = value, .read = b->read};
}

/* ---- numbers ---- */

static uint32_t u32(const uint8_t *p) {
    return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static const uint8_t *advance(ncnn *m, int64_t bytes) {
    if (bytes < 0 || m->at > m->size || bytes > (int64_t)(m->size - m->at)) {
        cvi_build_set(&m->b, cvi_fail(m->b.err, CVS_E_FORMAT,
                                      "the weights file ends: %lld bytes are needed here, %lld are left",
                                      (long long)bytes, (long long)(m->at > m->size ? 0 : m->size - m->at)));
        return NULL;
    }
    const uint8_t *p = m->data + m->at;
    m->at += (size_t)bytes;
    return p;
}

/* Numbers that are not plain float32: half ones, or a table of 256 with one byte each. */
static float *widened(ncnn *m, uint32_t tag, int64_t n) {
    float *out = cvi_arena_alloc(m->b.model->arena, CVI_MAX(n, 1), sizeof *out);
    if (!out) {
        cvi_build_no_memory(&m->b, (size_t)n * sizeof *out);
        return NULL;
    }
    if (tag == 0x01306B47) {
        const uint8_t *p = advance(m, (2 * n + 3) / 4 * 4);
        uint16_t bits;
        cvs_tensor one = {.dtype = CVS_F16, .data = &bits};
        for (int64_t i = 0; p && i < n; i++) {
            memcpy(&bits, p + 2 * i, 2);
            out[i] = (float)cvi_get(&one, 0);
        }
        m->b.model->widened = true;
        return out;
    }
    const uint8_t *table = advance(m, 1024), *p = table ? advance(m, (n + 3) / 4 * 4) : NULL;
    for (int64_t i = 0; p && i < n; i++) {
        memcpy(&out[i], table + 4 * p[i], 4);
    }
    return out;
}

/* Bytes, one whole number each, as float32: what the layer's scales divide. */
static float *eight_bits(ncnn *m, int64_t n) {
    float *out = cvi_arena_alloc(m->b.model->arena, CVI_MAX(n, 1), sizeof *out);
    if (!out) {
        cvi_build_no_memory(&m->b, (size_t)n * sizeof *out);
        return NULL;
    }
    const uint8_t *p = advance(m, (n + 3) / 4 * 4);
    for (int64_t i = 0; p && i < n; i++) {
        out[i] = (float)(int8_t)p[i];
    }
    return out;
}

cvs_tensor cvi_ncnn_numbers(ncnn *m, bool tagged, int rank, const int64_t *dim) {
    cvs_tensor t = {.dtype = CVS_F32, .rank = rank};
    int64_t bytes = 0;
    memcpy(t.dim, dim, (size_t)rank * sizeof *dim);
    int64_t n = cvs_tensor_count(&t);
    if (n < 1 || !cvi_mul(n, 4, &bytes)) {
        char shape[200];
        cvi_build_set(&m->b, cvi_fail(m->b.err, CVS_E_SHAPE, "a parameter of shape %s cannot be",
                                      cvs_shape_text(rank, t.dim, shape, sizeof shape)));
        return t;
    }
    t.bytes = (size_t)bytes;
    m->whole = false;
    if (!m->data || !cvi_build_ok(&m->b)) {
        return t;
    }
    const uint8_t *word = tagged ? advance(m, 4) : NULL;
    uint32_t tag = word ? u32(word) : 0;
    if (tag == 0x000D4B38) {
        t.data = eight_bits(m, n);
        m->whole = true;
    } else if (tag != 0 && tag != 0x0002C056) {
        t.data = cvi_build_ok(&m->b) ? widened(m, tag, n) : NULL;
    } else {
        union {
            const void *from;
            void *to;
        } borrow = {.from = cvi_build_ok(&m->b) ? advance(m, bytes)
                                                : NULL}; /* never written through; all is 4-byte aligned */
        t.data = borrow.to;
    }
    return t;
}

const char *cvi_ncnn_name(ncnn *m, const char *part) {
    const char *name = m->layer->n_out > 0 ? m->layer->out[0] : m->layer->name;
    return part ? cvi_build_name(&m->b, "%s/%s", name, part) : name;
}

int cvi_ncnn_take(ncnn *m, const char *part, bool tagged, int rank, const int64_t *dim) {
    cvs_tensor t = cvi_build_ok(&m->b) ? cvi_ncnn_numbers(m, tagged, rank, dim) : (cvs_tensor){0};
    return cvi_ncnn_constant(m, part, &t);
}

int cvi_ncnn_constant(ncnn *m, const char *part, const cvs_tensor *t) {
    if (m->whole) { /* bytes where no scale says what they stand for */
        cvi_build_set(&m->b, cvi_fail(m->b.err, CVS_E_FORMAT, "weights of 8 bits have no scales here"));
    }
    return cvi_build_constant(&m->b, cvi_build_name(&m->b, "%s.%s", m->layer->name, part), t);
}

int cvi_ncnn_take_swapped(ncnn *m, const char *part, int64_t groups, int rank, const int64_t *dim) {
    cvs_tensor t = cvi_build_ok(&m->b) ? cvi_ncnn_numbers(m, true, rank, dim) : (cvs_tensor){0}, turned = t;
    if (!cvi_build_ok(&m->b)) {
        return -1;
    }
    int64_t a = dim[0] / groups, b = dim[1], inner = cvs_tensor_count(&t) / (dim[0] * b);
    turned.dim[0] = b * groups;
    turned.dim[1] = a;
    float *out = t.data ? cvi_arena_alloc(m->b.model->arena, dim[0] * b * inner, sizeof *out) : NULL;
    if (t.data && !out) {
        cvi_build_no_memory(&m->b, t.bytes);
        return -1;
    }
    for (int64_t i = 0; out && i < dim[0]; i++) {
        int64_t first = i / a * a * b;
        for (int64_t j = 0; j < b; j++) {
            memcpy(out + (first + j * a + i % a) * inner, (const float *)t.data + (i * b + j) * inner,
                   (size_t)inner * sizeof *out);
        }
    }
    turned.data = out;
    return cvi_ncnn_constant(m, part, &turned);
}

/* ---- nodes and shapes ---- */

int cvi_ncnn_op(ncnn *m, const char *op, const char *part, int n, const int *in) {
    return cvi_build_op(&m->b, op, cvi_ncnn_name(m, part), part != NULL, n, in);
}

int cvi_ncnn_rank(ncnn *m, int value) {
    const cvs_tensor *s = cvi_shapes_of(&m->shapes, &m->b, value);
    return s ? s->rank : -1;
}

int64_t cvi_ncnn_dim(ncnn *m, int value, int axis) {
    const cvs_tensor *s = cvi_shapes_of(&m->shapes, &m->b, value);
    return s && axis < s->rank ? s->dim[axis] : -1;
}

int cvi_ncnn_as_image(ncnn *m, int value) {
    if (cvi_ncnn_rank(m, value) != 2) {
        return value;
    }
    const int64_t axes[2] = {2, 3};
    const char *name =
        cvi_build_name(&m->b, "%s/image", cvi_build_ok(&m->b) ? m->b.g->values[value].name : "");
    int in[2] = {value, cvi_build_const_ints(&m->b, cvi_build_name(&m->b, "%s/axes", name), 2, axes)};
    return cvi_build_op(&m->b, "Unsqueeze", name, true, 2, in);
}

/* ---- the whole ---- */

/* Whether a layer that is not read has numbers in the .bin, or may have. */
static bool may_hold_numbers(const ncnn_layer *l) {
    static const char *const holders[] = {"BatchNorm",
                                          "Bias",
                                          "Convolution",
                                          "Convolution1D",
                                          "Convolution3D",
                                          "ConvolutionDepthWise",
                                          "Deconvolution",
                                          "DeformableConv2D",
                                          "Dequantize",
                                          "Embed",
                                          "GRU",
                                          "Gemm",
                                          "GroupNorm",
                                          "InnerProduct",
                                          "InstanceNorm",
                                          "LSTM",
                                          "LayerNorm",
                                          "MemoryData",
                                          "Normalize",
                                          "PReLU",
                                          "Quantize",
                                          "RMSNorm",
                                          "RNN",
                                          "Requantize",
                                          "Scale",
                                          "Deconvolution1D",
                                          "Deconvolution3D",
                                          "MultiHeadAttention",
                                          "ConvolutionDepthWise1D",
                                          "ConvolutionDepthWise3D",
                                          "DeconvolutionDepthWise",
                                          "DeconvolutionDepthWise1D",
                                          "DeconvolutionDepthWise3D"};
    for (int i = 0; i < CVI_COUNT(holders); i++) {
        if (strcmp(l->type, holders[i]) == 0) {
            return true;
        }
    }
    return !cvi_ncnn_is_type(l->type); /* somebody's own */
}

/* How many numbers this layer has is not known, so those of the layers behind it cannot be found. */
static void lose_numbers(ncnn *m) {
    if (m->data && m->at < m->size && may_hold_numbers(m->layer)) {
        m->data = NULL;
        if (cvi_build_ok(&m->b) && !cvi_model_note(m->b.model,
                                                   "the numbers of the layers behind \"%.80s\" cannot be "
                                                   "found: how many it has itself is not known",
                                                   m->layer->name)) {
            cvi_build_no_memory(&m->b, 0);
        }
    }
}

static void make_box(ncnn *m, const char *why) {
    m->boxes++;
    lose_numbers(m);
    const ncnn_layer *l = m->layer;
    cvi_build_node(&m->b, cvi_build_name(&m->b, "ncnn::%s", l->type), l->name, l->n_in, m->in, l->n_out);
    for (int k = 0; k < l->n_out && cvi_build_ok(&m->b); k++) {
        cvi_ncnn_put(m, k, cvi_build_out(&m->b, k, l->out[k], false));
    }
    if (cvi_build_ok(&m->b)) {
        m->b.g->nodes[m->b.node].note = cvi_tr(m->b.model->lang, why);
    }
}

static void build_layer(ncnn *m) {
    const ncnn_layer *l = m->layer;
    m->in = cvi_arena_alloc(m->b.model->arena, CVI_MAX(l->n_in, 1), sizeof *m->in);
    if (!m->in) {
        cvi_build_no_memory(&m->b, 0);
        return;
    }
    for (int k = 0; k < l->n_in; k++) {
        ncnn_blob *b = blob_of(m, l->in[k]);
        if (!b->name) {
            cvi_build_set(&m->b, cvi_fail(m->b.err, CVS_E_FORMAT,
                                          "input %d, %.100s, is made by no node and is no input of the graph",
                                          k, l->in[k]));
            return;
        }
        b->read = true;
        m->in[k] = b->value;
    }
    if (strcmp(l->type, "Input") == 0) {
        cvi_ncnn_input(m);
        return;
    }
    const ncnn_kind *kind = cvi_ncnn_kind(l->type);
    int nodes = m->b.g->n_nodes;
    m->refused = NULL;
    if (kind && (l->n_in > 0 || kind->make == cvi_ncnn_memory) && l->n_out > 0) {
        kind->make(m);
    } else {
        m->refused = "this operator is not known: it is drawn, but not run";
    }
    if (m->b.status == CVS_E_UNSUPPORTED || (m->refused && cvi_build_ok(&m->b))) {
        m->b.status = CVS_OK;
        cvi_error_clear(m->b.err);
        m->b.g->n_nodes = nodes;
        m->shapes.inferred = CVI_MIN(m->shapes.inferred, nodes);
        make_box(m, m->refused ? m->refused : "this form of the operator is not run");
    }
}

static void add_outputs(ncnn *m) {
    for (int i = 0; i < m->param->n; i++) {
        const ncnn_layer *l = &m->param->layer[i];
        for (int k = 0; k < l->n_out && cvi_build_ok(&m->b); k++) {
            const ncnn_blob *b = blob_of(m, l->out[k]);
            bool made = b->name && b->value >= 0 && !b->read && m->b.g->values[b->value].constant == NULL;
            if (made && strcmp(l->type, "Input") != 0 && !cvi_graph_add_output(m->b.g, b->value)) {
                cvi_build_no_memory(&m->b, 0);
            }
        }
    }
}

cvs_status cvi_ncnn_build(cvs_model *model, const ncnn_param *param, const uint8_t *data, size_t size,
                          cvs_error *err) {
    const ncnn_sides sides = {.height = SIDE, .width = SIDE};
    int boxes;
    return cvi_ncnn_build_sized(model, param, data, size, &sides, &boxes, err);
}

cvs_status cvi_ncnn_build_sized(cvs_model *model, const ncnn_param *param, const uint8_t *data, size_t size,
                                const ncnn_sides *sides, int *boxes, cvs_error *err) {
    ncnn m = {.b = {.model = model, .err = err, .locate = locate, .owner = &m},
              .shapes = {.side = SIDE, .strict = sides->strict},
              .sides = *sides,
              .param = param,
              .data = data,
              .size = size};
    m.b.g = model->graph = cvi_graph_new(model, NULL, "", err);
    if (!m.b.g) {
        return CVS_E_MEMORY;
    }
    model->has_weights = data != NULL;
    if (!make_blobs(&m)) {
        return m.b.status;
    }
    for (int i = 0; i < param->n && cvi_build_ok(&m.b); i++) {
        m.layer = &param->layer[i];
        build_layer(&m);
    }
    m.layer = NULL;
    for (int v = 0; sides->strict && v < m.b.g->n_values && cvi_build_ok(&m.b); v++) {
        cvi_shapes_of(&m.shapes, &m.b, v);
    }
    *boxes = m.boxes;
    if (cvi_build_ok(&m.b)) {
        add_outputs(&m);
    }
    if (cvi_build_ok(&m.b) && param->line_left &&
        !cvi_model_note(model, "line %d and those behind it are not read: the file announces %d layers",
                        param->line_left, param->n)) {
        return cvi_no_memory(err, 0);
    }
    if (cvi_build_ok(&m.b) && m.data && m.at < size &&
        !cvi_model_note(model, "%lld bytes at the end of the weights file belong to no layer",
                        (long long)(size - m.at))) {
        return cvi_no_memory(err, 0);
    }
    return cvi_build_ok(&m.b) ? cvi_graph_finish(m.b.g, err) : m.b.status;
}

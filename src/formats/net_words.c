/* SPDX-License-Identifier: MIT
 * net_words.c - the words of the text language: one row in a table, a function where a word does more than add one operator
 * (any operator at all: net_general.c).
 * Defaults: stride 1, padding "same" for odd kernels of convolutions, none for pooling, pooling stride = kernel.
 */
#include <ctype.h>
#include <math.h>
#include <stdlib.h>

#include "convscope/data.h"
#include "formats/net.h"

static cvs_status memory(const net_builder *b, bool ok) {
    return ok ? CVS_OK : cvi_no_memory(b->err, 0);
}

static cvs_status refuse(const net_builder *b, const net_args *a, cvs_status s) {
    return cvi_net_fail(b, &a->item->word, s);
}

static bool whole(double v, double least, double most) {
    return v >= least && v <= most && v == floor(v);
}

/* An operator on the current value, with one optional number as attribute. */
static cvs_status plain(net_builder *b, const net_word *w, const net_args *a) {
    double v = w->initial;
    bool there;
    CVI_TRY(cvi_net_number(b, a, 0, &v, &there));
    cvi_node *node;
    CVI_TRY(cvi_net_node(b, a, w->op, 1, a->inputs, w->attr != NULL, &node));
    if (w->attr) {
        bool integer = strcmp(w->attr, "axis") == 0 || strcmp(w->attr, "size") == 0;
        if (integer && !whole(v, -1e6, 1e6)) {
            return refuse(b, a, cvi_fail(b->err, CVS_E_FORMAT, "%.60s takes a whole number", w->word));
        }
        CVI_TRY(memory(b, integer ? cvi_attr_set_int(b->g, &node->attr[0], w->attr, (int64_t)v)
                                  : cvi_attr_set_float(b->g, &node->attr[0], w->attr, v)));
    }
    return cvi_net_done(b, a, node);
}

/* An operator that joins what `from` names. */
static cvs_status join(net_builder *b, const net_word *w, const net_args *a) {
    cvi_node *node;
    bool concat = strcmp(w->op, "Concat") == 0,
         binary = strcmp(w->op, "Mul") == 0 || strcmp(w->op, "Sub") == 0;
    if (binary && a->n_inputs != 2) {
        return refuse(b, a,
                      cvi_fail(b->err, CVS_E_FORMAT, "%.60s reads two layers: write \"from a,b %.60s\"",
                               w->word, w->word));
    }
    const char *op = strcmp(w->op, "Sum") == 0 && a->n_inputs == 2 ? "Add" : w->op;
    CVI_TRY(cvi_net_node(b, a, op, a->n_inputs, a->inputs, concat, &node));
    CVI_TRY(memory(b, !concat || cvi_attr_set_int(b->g, &node->attr[0], "axis", 1)));
    return cvi_net_done(b, a, node);
}

/* "input f32[1x3x?x?]": type and all dimensions as they are; a free one counts as 1 while shapes are worked out. */
static cvs_status exact_input(net_builder *b, cvs_tensor *shape) {
    int v = cvi_graph_value(b->g, b->name, shape->dtype, shape->rank, shape->dim, b->err);
    if (v < 0) {
        return CVS_E_MEMORY;
    }
    CVI_TRY(memory(b, cvi_graph_add_input(b->g, v)));
    bool only_batch = shape->rank > 0 && shape->dim[0] < 0;
    for (int i = 0; i < shape->rank; i++) {
        if (shape->dim[i] < 0 && i == 0) {
            shape->dim[0] = 1;
        } else if (shape->dim[i] < 0) {
            *shape = (cvs_tensor){.dtype = shape->dtype, .rank = -1};
        }
    }
    b->free_batch |= only_batch;
    b->current = v;
    return cvi_net_keep_shape(b, v, shape);
}

static cvs_status input(net_builder *b, const net_word *w, const net_args *a) {
    (void)w;
    cvs_tensor shape = {.dtype = CVS_F32, .rank = 1, .dim = {1}};
    const char *s = a->item->n_args ? a->item->args[0].text : "";
    const char *end_of = s;
    cvs_tensor exact;
    if (cvi_net_literal(b->g->arena, s, &exact, false, &end_of) && !*end_of) {
        return exact_input(b, &exact);
    }
    while (isdigit((unsigned char)*s) && shape.rank < 5) {
        char *end;
        shape.dim[shape.rank++] = strtoll(s, &end, 10);
        s = *end == 'x' ? end + 1 : end;
    }
    int64_t n = cvs_tensor_count(&shape);
    if (*s || shape.rank < 2 || n <= 0) {
        return refuse(
            b, a,
            cvi_fail(b->err, CVS_E_FORMAT, "an input is written \"input CxHxW\", such as input 3x224x224"));
    }
    int64_t dim[CVS_MAX_RANK];
    memcpy(dim, shape.dim, sizeof dim);
    dim[0] = -1;
    int v = cvi_graph_value(b->g, b->name, CVS_F32, shape.rank, dim, b->err);
    if (v < 0) {
        return CVS_E_MEMORY;
    }
    CVI_TRY(memory(b, cvi_graph_add_input(b->g, v)));
    b->free_batch = true;
    b->current = v;
    return cvi_net_keep_shape(b, v, &shape);
}

/* Kernel, stride, padding, dilation, groups of convolutions and pools. */
typedef struct window {
    int64_t k[2], s[2], p[2], d[2], g;
    bool same, has_k, has_s;
} window;

static cvs_status read_window(const net_builder *b, const net_args *a, bool pool, window *w) {
    bool there;
    int64_t g[2] = {1, 1};
    *w = (window){.k = {1, 1}, .s = {1, 1}, .d = {1, 1}};
    CVI_TRY(cvi_net_pair(b, a, "k", w->k, &w->has_k));
    CVI_TRY(cvi_net_pair(b, a, "d", w->d, &there));
    CVI_TRY(cvi_net_pair(b, a, "g", g, &there));
    w->g = g[0];
    for (int i = 0; i < 2; i++) {
        w->s[i] = pool ? w->k[i] : 1;
        w->p[i] = pool || w->k[i] % 2 == 0 ? 0 : w->d[i] * (w->k[i] - 1) / 2;
    }
    CVI_TRY(cvi_net_pair(b, a, "s", w->s, &w->has_s));
    if (cvi_net_has(b, a, "valid")) {
        w->p[0] = w->p[1] = 0;
    }
    w->same = cvi_net_has(b, a, "same");
    CVI_TRY(cvi_net_pair(b, a, "p", w->p, &there));
    if (w->k[0] < 1 || w->k[1] < 1 || w->s[0] < 1 || w->s[1] < 1 || w->d[0] < 1 || w->d[1] < 1 || w->g < 1) {
        return refuse(b, a,
                      cvi_fail(b->err, CVS_E_FORMAT, "kernel, stride, dilation and groups are at least 1"));
    }
    return CVS_OK;
}

enum { WINDOW_ATTRS = 4 };

static cvs_status set_window(net_builder *b, cvi_node *node, int at, const window *w) {
    int64_t pads[4] = {w->p[0], w->p[1], w->p[0], w->p[1]};
    cvi_attr *attr = node->attr + at;
    bool ok = cvi_attr_set_ints(b->g, &attr[0], "kernel_shape", 2, w->k) &&
              cvi_attr_set_ints(b->g, &attr[1], "strides", 2, w->s) &&
              cvi_attr_set_ints(b->g, &attr[2], "dilations", 2, w->d) &&
              (w->same ? cvi_attr_set_string(b->g, &attr[3], "auto_pad", "SAME_UPPER")
                       : cvi_attr_set_ints(b->g, &attr[3], "pads", 4, pads));
    return memory(b, ok);
}

static cvs_status needs_picture(net_builder *b, const net_args *a, const cvs_tensor **shape) {
    if (a->inputs[0] < 0) {
        return refuse(b, a,
                      cvi_fail(b->err, CVS_E_FORMAT, "%.60s has nothing to read: begin with \"input CxHxW\"",
                               a->item->word.text));
    }
    *shape = cvi_net_shape(b, a->inputs[0]);
    if ((*shape)->rank < 0) {
        return refuse(b, a,
                      cvi_fail(b->err, CVS_E_SHAPE,
                               "the shape that %.60s reads is known only while running; write it as \"op\"",
                               a->item->word.text));
    }
    if ((*shape)->rank != 4) {
        return refuse(b, a,
                      cvi_fail(b->err, CVS_E_SHAPE, "%.60s reads feature maps [N,C,H,W], but gets rank %d",
                               a->item->word.text, (*shape)->rank));
    }
    return CVS_OK;
}

/* The next operation of the same line is a normalisation: then a bias would be lost in its shift. */
static bool followed_by_bn(const net_args *a) {
    const net_token *next = a->next ? &a->next->word : NULL;
    return next && strcmp(next->text, "bn") == 0;
}

static cvs_status conv(net_builder *b, const net_word *w, const net_args *a) {
    window win;
    const cvs_tensor *x;
    double filters = 0;
    bool there, transposed = strcmp(w->word, "deconv") == 0, depthwise = strcmp(w->word, "dwconv") == 0;
    CVI_TRY(needs_picture(b, a, &x));
    CVI_TRY(read_window(b, a, false, &win));
    CVI_TRY(cvi_net_number(b, a, 0, &filters, &there));
    int64_t c = x->dim[1];
    if (depthwise) {
        win.g = c;
        filters = there ? filters : (double)c;
    } else if (!there) {
        return refuse(
            b, a,
            cvi_fail(b->err, CVS_E_FORMAT, "%.60s needs the number of its filters: conv 64 k3", w->word));
    }
    if (!whole(filters, 1, 1e6)) {
        return refuse(
            b, a,
            cvi_fail(b->err, CVS_E_FORMAT, "%.60s takes a whole number of filters, 1 to 1000000", w->word));
    }
    int64_t k = (int64_t)filters;
    if (c % win.g || k % win.g) {
        return refuse(b, a,
                      cvi_fail(b->err, CVS_E_SHAPE, "%lld filters in %lld groups on %lld channels do not fit",
                               (long long)k, (long long)win.g, (long long)c));
    }
    int64_t kernel[4] = {transposed ? c : k, transposed ? k / win.g : c / win.g, win.k[0], win.k[1]};
    int in[3] = {a->inputs[0]};
    bool bias = cvi_net_has(b, a, "bias") || !(cvi_net_has(b, a, "nobias") || followed_by_bn(a));
    CVI_TRY(cvi_net_param(b, "weight", 4, kernel, &in[1]));
    if (bias) {
        CVI_TRY(cvi_net_param(b, "bias", 1, &k, &in[2]));
    }
    int64_t extra[2] = {0, 0};
    CVI_TRY(cvi_net_pair(b, a, "x", extra, &there)); /* output padding of a transposed convolution */
    cvi_node *node;
    CVI_TRY(cvi_net_node(b, a, transposed ? "ConvTranspose" : "Conv", 2 + bias, in,
                         WINDOW_ATTRS + 1 + (transposed && there), &node));
    CVI_TRY(set_window(b, node, 0, &win));
    CVI_TRY(memory(b, cvi_attr_set_int(b->g, &node->attr[WINDOW_ATTRS], "group", win.g)));
    if (transposed && there) {
        CVI_TRY(
            memory(b, cvi_attr_set_ints(b->g, &node->attr[WINDOW_ATTRS + 1], "output_padding", 2, extra)));
    }
    return cvi_net_done(b, a, node);
}

static cvs_status pool(net_builder *b, const net_word *w, const net_args *a) {
    window win;
    const cvs_tensor *x;
    CVI_TRY(needs_picture(b, a, &x));
    CVI_TRY(read_window(b, a, true, &win));
    if (!win.has_k) {
        win.k[0] = win.k[1] = 2;
        win.s[0] = win.has_s ? win.s[0] : 2;
        win.s[1] = win.has_s ? win.s[1] : 2;
    }
    bool average = strcmp(w->op, "AveragePool") == 0;
    cvi_node *node;
    CVI_TRY(cvi_net_node(b, a, w->op, 1, a->inputs, WINDOW_ATTRS + 1 + average, &node));
    CVI_TRY(set_window(b, node, 0, &win));
    CVI_TRY(
        memory(b, cvi_attr_set_int(b->g, &node->attr[WINDOW_ATTRS], "ceil_mode", cvi_net_has(b, a, "ceil"))));
    if (average) {
        CVI_TRY(memory(b, cvi_attr_set_int(b->g, &node->attr[WINDOW_ATTRS + 1], "count_include_pad",
                                           cvi_net_has(b, a, "countpad"))));
    }
    return cvi_net_done(b, a, node);
}

static cvs_status flatten(net_builder *b, const net_args *a, const int *in) {
    cvi_node *node;
    CVI_TRY(cvi_net_node(b, a, "Flatten", 1, in, 1, &node));
    CVI_TRY(memory(b, cvi_attr_set_int(b->g, &node->attr[0], "axis", 1)));
    return cvi_net_done(b, a, node);
}

static cvs_status flatten_word(net_builder *b, const net_word *w, const net_args *a) {
    (void)w;
    return flatten(b, a, a->inputs);
}

/* A dense layer; feature maps are flattened first by a hidden node. */
static cvs_status fc(net_builder *b, const net_word *w, const net_args *a) {
    double units = 0;
    bool there;
    CVI_TRY(cvi_net_number(b, a, 0, &units, &there));
    if (!there || !whole(units, 1, 1e8)) {
        return refuse(b, a,
                      cvi_fail(b->err, CVS_E_FORMAT, "%.60s needs the number of its units: fc 10", w->word));
    }
    int in[3] = {a->inputs[0]};
    if (in[0] >= 0 && cvi_net_shape(b, in[0])->rank > 2) {
        const char *name = b->name;
        b->name = cvi_arena_printf(b->g->arena, "%s/flatten", name);
        CVI_TRY(memory(b, b->name != NULL));
        CVI_TRY(flatten(b, a, in));
        b->name = name;
        in[0] = b->current;
        b->g->values[in[0]].hidden = true;
    }
    double transposed =
        1; /* weight [units, inputs] as PyTorch keeps it; transB=0: [inputs, units] as Keras does */
    CVI_TRY(cvi_net_key(b, a, "transB", &transposed, &there));
    int64_t width = in[0] >= 0 ? cvi_net_shape(b, in[0])->dim[1] : 1, n = (int64_t)units;
    int64_t dim[2] = {transposed != 0 ? n : width, transposed != 0 ? width : n};
    bool bias = !cvi_net_has(b, a, "nobias");
    CVI_TRY(cvi_net_param(b, "weight", 2, dim, &in[1]));
    if (bias) {
        CVI_TRY(cvi_net_param(b, "bias", 1, &n, &in[2]));
    }
    cvi_node *node;
    CVI_TRY(cvi_net_node(b, a, "Gemm", 2 + bias, in, 1, &node));
    CVI_TRY(memory(b, cvi_attr_set_int(b->g, &node->attr[0], "transB", transposed != 0)));
    return cvi_net_done(b, a, node);
}

static cvs_status bn(net_builder *b, const net_word *w, const net_args *a) {
    (void)w;
    double eps = 1e-5, momentum = 0.9;
    bool there;
    CVI_TRY(cvi_net_key(b, a, "eps", &eps, &there));
    CVI_TRY(cvi_net_key(b, a, "momentum", &momentum, &there));
    if (a->inputs[0] < 0 || cvi_net_shape(b, a->inputs[0])->rank < 2) {
        return refuse(
            b, a,
            cvi_fail(b->err, CVS_E_FORMAT, "%.60s has nothing to read: begin with \"input CxHxW\"", w->word));
    }
    int in[5] = {a->inputs[0]};
    int64_t c = cvi_net_shape(b, in[0])->dim[1];
    static const char *const names[] = {"scale", "shift", "mean", "variance"};
    for (int i = 0; i < 4; i++) {
        CVI_TRY(cvi_net_param(b, names[i], 1, &c, &in[1 + i]));
    }
    cvi_node *node;
    CVI_TRY(cvi_net_node(b, a, "BatchNormalization", 5, in, 2, &node));
    CVI_TRY(memory(b, cvi_attr_set_float(b->g, &node->attr[0], "epsilon", eps) &&
                          cvi_attr_set_float(b->g, &node->attr[1], "momentum", momentum)));
    return cvi_net_done(b, a, node);
}

/* "ln": over all of a sample; "gn 8": over groups of channels. */
static cvs_status sample_norm(net_builder *b, const net_word *w, const net_args *a) {
    double eps = 1e-5, groups = 0;
    bool there, layer = strcmp(w->word, "ln") == 0;
    CVI_TRY(cvi_net_key(b, a, "eps", &eps, &there));
    if (a->inputs[0] < 0 || cvi_net_shape(b, a->inputs[0])->rank < 2) {
        return refuse(
            b, a,
            cvi_fail(b->err, CVS_E_FORMAT, "%.60s has nothing to read: begin with \"input CxHxW\"", w->word));
    }
    const cvs_tensor *x = cvi_net_shape(b, a->inputs[0]);
    int rank = layer ? x->rank - 1 : 1;
    int64_t dim[CVS_MAX_RANK];
    memcpy(dim, x->dim + 1, sizeof *dim * (size_t)rank);
    CVI_TRY(cvi_net_number(b, a, 0, &groups, &there));
    if (!layer && (!whole(groups, 1, (double)dim[0]) || dim[0] % (int64_t)groups != 0)) {
        return refuse(b, a,
                      cvi_fail(b->err, CVS_E_FORMAT,
                               "gn takes a number of groups that divides the %lld channels: gn 8",
                               (long long)dim[0]));
    }
    int in[3] = {a->inputs[0]};
    CVI_TRY(cvi_net_param(b, "scale", rank, dim, &in[1]));
    CVI_TRY(cvi_net_param(b, "shift", rank, dim, &in[2]));
    cvi_node *node;
    CVI_TRY(cvi_net_node(b, a, w->op, 3, in, 2, &node));
    CVI_TRY(memory(b, cvi_attr_set_float(b->g, &node->attr[0], "epsilon", eps) &&
                          cvi_attr_set_int(b->g, &node->attr[1], w->attr, layer ? 1 : (int64_t)groups)));
    return cvi_net_done(b, a, node);
}

static cvs_status prelu(net_builder *b, const net_word *w, const net_args *a) {
    (void)w;
    const cvs_tensor *x;
    CVI_TRY(needs_picture(b, a, &x));
    int in[2] = {a->inputs[0]};
    int64_t dim[3] = {x->dim[1], 1, 1};
    CVI_TRY(cvi_net_param(b, "slope", 3, dim, &in[1]));
    cvi_node *node;
    CVI_TRY(cvi_net_node(b, a, "PRelu", 2, in, 0, &node));
    return cvi_net_done(b, a, node);
}

static cvs_status relu6(net_builder *b, const net_word *w, const net_args *a) {
    (void)w;
    float low = 0.0f, high = 6.0f;
    int in[3] = {a->inputs[0], cvi_graph_floats(b->g, "zero", 0, NULL, &low, b->err),
                 cvi_graph_floats(b->g, "six", 0, NULL, &high, b->err)};
    cvs_tensor scalar = {.dtype = CVS_F32};
    for (int i = 1; i < 3; i++) {
        if (in[i] < 0) {
            return CVS_E_MEMORY;
        }
        CVI_TRY(cvi_net_keep_shape(b, in[i], &scalar));
    }
    cvi_node *node;
    CVI_TRY(cvi_net_node(b, a, "Clip", 3, in, 0, &node));
    return cvi_net_done(b, a, node);
}

/* "upsample x2 [nearest|bilinear]" */
static cvs_status upsample(net_builder *b, const net_word *w, const net_args *a) {
    (void)w;
    const cvs_tensor *x;
    int64_t scale[2] = {2, 2};
    bool there;
    CVI_TRY(needs_picture(b, a, &x));
    CVI_TRY(cvi_net_pair(b, a, "x", scale, &there));
    float scales[4] = {1, 1, (float)scale[0], (float)scale[1]};
    int64_t four = 4;
    int at = cvi_graph_floats(b->g, "scales", 1, &four, scales, b->err);
    if (at < 0) {
        return CVS_E_MEMORY;
    }
    CVI_TRY(cvi_net_keep_shape(b, at, b->g->values[at].constant));
    int in[3] = {a->inputs[0], -1, at};
    bool linear = cvi_net_has(b, a, "bilinear");
    cvi_node *node;
    CVI_TRY(cvi_net_node_optional(b, a, "Resize", 3, in, 3, &node));
    CVI_TRY(memory(b, cvi_attr_set_string(b->g, &node->attr[0], "mode", linear ? "linear" : "nearest") &&
                          cvi_attr_set_string(b->g, &node->attr[1], "coordinate_transformation_mode",
                                              linear ? "half_pixel" : "asymmetric") &&
                          cvi_attr_set_string(b->g, &node->attr[2], "nearest_mode", "floor")));
    return cvi_net_done(b, a, node);
}

/* "dropout 0.5": the share of elements, or with "maps" of whole maps, that training drops. */
static cvs_status dropout(net_builder *b, const net_word *w, const net_args *a) {
    double ratio = w->initial;
    bool there;
    CVI_TRY(cvi_net_number(b, a, 0, &ratio, &there));
    if (!(ratio >= 0 && ratio < 1)) {
        return refuse(b, a,
                      cvi_fail(b->err, CVS_E_FORMAT, "dropout takes a share from 0 to below 1: dropout 0.5"));
    }
    float share = (float)ratio;
    int in[2] = {a->inputs[0], there ? cvi_graph_floats(b->g, "ratio", 0, NULL, &share, b->err) : -1};
    if (there) {
        cvs_tensor scalar = {.dtype = CVS_F32};
        CVI_TRY(in[1] < 0 ? CVS_E_MEMORY : cvi_net_keep_shape(b, in[1], &scalar));
    }
    cvi_node *node;
    bool maps = cvi_net_has(b, a, "maps");
    CVI_TRY(cvi_net_node(b, a, "Dropout", 1 + there, in, maps, &node));
    CVI_TRY(memory(b, !maps || cvi_attr_set_int(b->g, &node->attr[0], "convscope_maps", 1)));
    return cvi_net_done(b, a, node);
}

/* "pixelshuffle 2": channels of one position become a square of pixels, in the order of sub-pixel convolution (CRD). */
static cvs_status pixelshuffle(net_builder *b, const net_word *w, const net_args *a) {
    double block = w->initial;
    bool there;
    CVI_TRY(cvi_net_number(b, a, 0, &block, &there));
    if (!whole(block, 1, 1e6)) {
        return refuse(b, a,
                      cvi_fail(b->err, CVS_E_FORMAT, "pixelshuffle takes a whole factor: pixelshuffle 2"));
    }
    cvi_node *node;
    CVI_TRY(cvi_net_node(b, a, "DepthToSpace", 1, a->inputs, 2, &node));
    CVI_TRY(memory(b, cvi_attr_set_int(b->g, &node->attr[0], "blocksize", (int64_t)block) &&
                          cvi_attr_set_string(b->g, &node->attr[1], "mode", "CRD")));
    return cvi_net_done(b, a, node);
}

static cvs_status output(net_builder *b, const net_word *w, const net_args *a) {
    (void)w;
    if (a->inputs[0] < 0) {
        return refuse(b, a,
                      cvi_fail(b->err, CVS_E_FORMAT, "%.60s has nothing to read: begin with \"input CxHxW\"",
                               "output"));
    }
    return memory(b, cvi_graph_add_output(b->g, a->inputs[0]));
}

/* ---- words that say something about the model ---- */

static cvs_status name(net_builder *b, const net_word *w, const net_args *a) {
    (void)w;
    if (a->item->n_args != 1) {
        return refuse(b, a, cvi_fail(b->err, CVS_E_FORMAT, "name needs one name: name \"VGG-16\""));
    }
    b->model->name = a->item->args[0].text;
    return CVS_OK;
}

static cvs_status classes(net_builder *b, const net_word *w, const net_args *a) {
    (void)w;
    const char **list = cvi_arena_alloc(b->g->arena, CVI_MAX(a->item->n_args, 1), sizeof *list);
    CVI_TRY(memory(b, list != NULL));
    for (int i = 0; i < a->item->n_args; i++) {
        list[i] = a->item->args[i].text;
    }
    b->model->n_classes = a->item->n_args;
    b->model->classes = list;
    b->model->classes_from = "the model file";
    return CVS_OK;
}

static cvs_status preprocess(net_builder *b, const net_word *w, const net_args *a) {
    (void)w;
    char text[512] = "";
    size_t at = 0;
    for (int i = 0; i < a->item->n_args; i++) {
        int n = snprintf(text + at, sizeof text - at, "%s%s", i ? "," : "", a->item->args[i].text);
        at = CVI_MIN(at + (size_t)n, sizeof text - 1);
    }
    cvs_status s = cvs_preprocess_parse(text, &b->model->preprocess, b->err);
    if (s != CVS_OK) {
        return refuse(b, a, s);
    }
    snprintf(b->model->preprocess.from, sizeof b->model->preprocess.from, "model file");
    return CVS_OK;
}

static const net_word words[] = {
    {"input", NULL, NULL, 0, input},
    {"output", NULL, NULL, 0, output},
    {"name", NULL, NULL, 0, name},
    {"classes", NULL, NULL, 0, classes},
    {"preprocess", NULL, NULL, 0, preprocess},
    {"conv", NULL, NULL, 0, conv},
    {"dwconv", NULL, NULL, 0, conv},
    {"deconv", NULL, NULL, 0, conv},
    {"maxpool", "MaxPool", NULL, 0, pool},
    {"avgpool", "AveragePool", NULL, 0, pool},
    {"gap", "GlobalAveragePool", NULL, 0, plain},
    {"gmp", "GlobalMaxPool", NULL, 0, plain},
    {"fc", NULL, NULL, 0, fc},
    {"dense", NULL, NULL, 0, fc},
    {"flatten", NULL, NULL, 0, flatten_word},
    {"bn", NULL, NULL, 0, bn},
    {"gn", "GroupNormalization", "num_groups", 0, sample_norm},
    {"ln", "LayerNormalization", "axis", 0, sample_norm},
    {"lrn", "LRN", "size", 5, plain},
    {"relu", "Relu", NULL, 0, plain},
    {"relu6", NULL, NULL, 0, relu6},
    {"leaky", "LeakyRelu", "alpha", 0.01, plain},
    {"prelu", NULL, NULL, 0, prelu},
    {"elu", "Elu", "alpha", 1, plain},
    {"selu", "Selu", NULL, 0, plain},
    {"gelu", "Gelu", NULL, 0, plain},
    {"silu", "Swish", NULL, 0, plain},
    {"mish", "Mish", NULL, 0, plain},
    {"sigmoid", "Sigmoid", NULL, 0, plain},
    {"hsigmoid", "HardSigmoid", "alpha", 1.0 / 6, plain},
    {"hswish", "HardSwish", NULL, 0, plain},
    {"tanh", "Tanh", NULL, 0, plain},
    {"softplus", "Softplus", NULL, 0, plain},
    {"softmax", "Softmax", "axis", 1, plain},
    {"dropout", NULL, NULL, 0.5, dropout},
    {"identity", "Identity", NULL, 0, plain},
    {"pixelshuffle", NULL, NULL, 2, pixelshuffle},
    {"upsample", NULL, NULL, 0, upsample},
    {"add", "Sum", NULL, 0, join},
    {"mul", "Mul", NULL, 0, join},
    {"concat", "Concat", NULL, 0, join},
    {"op", NULL, NULL, 0, cvi_net_op},
    {"param", NULL, NULL, 0, cvi_net_constant},
    {"const", NULL, NULL, 0, cvi_net_constant},
};

const net_word *cvi_net_word(const char *word) {
    for (int i = 0; i < CVI_COUNT(words); i++) {
        if (strcmp(words[i].word, word) == 0) {
            return &words[i];
        }
    }
    return NULL;
}

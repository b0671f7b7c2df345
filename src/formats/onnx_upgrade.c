/* SPDX-License-Identifier: MIT
 * onnx_upgrade.c - nodes of older opsets in the words of CVI_OPSET: one rule per change of meaning, applied in the order of the
 * opsets. Attributes that became inputs become constants; what has no modern form of its own becomes hidden helper nodes.
 * Source of the changes: https://github.com/onnx/onnx/blob/main/docs/Changelog.md
 */
#include "onnx_upgrade.h"

/* ---- the draft ---- */

static cvi_attr *find_attr(cvi_onnx_draft *d, const char *name) {
    for (int i = 0; i < d->n_attr; i++) {
        if (strcmp(d->attr[i].name, name) == 0) {
            return &d->attr[i];
        }
    }
    return NULL;
}

bool cvi_up_take(cvi_onnx_draft *d, const char *name, cvi_attr *out) {
    cvi_attr *a = find_attr(d, name);
    if (!a) {
        return false;
    }
    *out = *a;
    *a = d->attr[--d->n_attr];
    return true;
}

static cvs_status checked(cvi_onnx_draft *d, bool ok) {
    return ok ? CVS_OK : cvi_no_memory(d->o->err, 0);
}

cvs_status cvi_up_set_int(cvi_onnx_draft *d, const char *name, int64_t v) {
    cvi_attr *a = find_attr(d, name);
    return checked(d, cvi_attr_set_int(d->scope->graph, a ? a : &d->attr[d->n_attr++], name, v));
}

static cvs_status set_float(cvi_onnx_draft *d, const char *name, double v) {
    cvi_attr *a = find_attr(d, name);
    return checked(d, cvi_attr_set_float(d->scope->graph, a ? a : &d->attr[d->n_attr++], name, v));
}

static cvs_status set_string(cvi_onnx_draft *d, const char *name, const char *v) {
    cvi_attr *a = find_attr(d, name);
    return checked(d, cvi_attr_set_string(d->scope->graph, a ? a : &d->attr[d->n_attr++], name, v));
}

void cvi_up_set_input(cvi_onnx_draft *d, int k, int value) {
    while (d->n_in <= k) {
        d->in[d->n_in++] = -1;
    }
    d->in[k] = value;
}

/* A name for what an upgrade adds: after the node's first output. */
const char *cvi_up_name(cvi_onnx_draft *d, const char *what) {
    const char *base = d->n_out > 0 && d->out[0] >= 0 ? d->scope->graph->values[d->out[0]].name : d->op;
    const char *s = cvi_arena_printf(d->o->work, "%s.%s", base, what);
    return s ? s : what;
}

/* Makes a constant and sets it as input k; `what` becomes part of its name. */
static cvs_status ints_input(cvi_onnx_draft *d, int k, const char *what, int n, const int64_t *v) {
    int c = cvi_graph_ints(d->scope->graph, cvi_up_name(d, what), n, v, d->o->err);
    if (c < 0) {
        return d->o->err->code;
    }
    cvi_up_set_input(d, k, c);
    return CVS_OK;
}

static cvs_status scalar_input(cvi_onnx_draft *d, int k, const char *what, cvs_dtype dtype, double v) {
    cvi_graph *g = d->scope->graph;
    cvs_tensor t = {.dtype = dtype, .bytes = cvs_dtype_size(dtype)};
    t.data = cvi_arena_alloc(g->arena, 1, 8);
    if (!t.data) {
        return cvi_no_memory(d->o->err, 8);
    }
    cvi_put(&t, 0, v);
    int c = cvi_graph_constant(g, cvi_up_name(d, what), &t, d->o->err);
    if (c < 0) {
        return d->o->err->code;
    }
    cvi_up_set_input(d, k, c);
    return CVS_OK;
}

int cvi_up_hidden(cvi_onnx_draft *d, const char *op, int n_in, const int *in, const char *what,
                  const char *attr, int64_t value) {
    cvi_graph *g = d->scope->graph;
    cvi_onnx_draft h = {
        .o = d->o, .scope = d->scope, .source = d->source, .op = op, .n_out = 1, .version = CVI_OPSET};
    int out = cvi_graph_value(g, cvi_up_name(d, what), CVS_NONE, -1, NULL, d->o->err);
    cvi_attr a;
    int inputs[2] = {n_in > 0 ? in[0] : -1, n_in > 1 ? in[1] : -1};
    if (out < 0) {
        return -1;
    }
    g->values[out].hidden = true;
    const cvi_onnx_node source = {.name = cvi_up_name(d, what), .op = op};
    h.source = &source;
    h.in = inputs;
    h.n_in = n_in;
    h.out = &out;
    h.attr = &a;
    if (attr) {
        h.n_attr = 1;
        if (!cvi_attr_set_int(g, &a, attr, value)) {
            cvi_no_memory(d->o->err, 0);
            return -1;
        }
    }
    return cvi_onnx_emit(&h) == CVS_OK ? out : -1;
}

/* The element type that a new constant beside input 0 must have. */
static cvs_dtype type_beside(const cvi_onnx_draft *d) {
    cvs_dtype t = CVS_NONE;
    if (d->n_in > 0 && d->in[0] >= 0) {
        t = d->scope->graph->values[d->in[0]].dtype;
        if (t == CVS_NONE) {
            t = cvi_onnx_shape(d, d->in[0]).dtype;
        }
    }
    return t == CVS_NONE ? CVS_F32 : t;
}

/* Moves an INTS attribute to input k. */
static cvs_status ints_to_input(cvi_onnx_draft *d, const char *name, int k) {
    cvi_attr a;
    if (!cvi_up_take(d, name, &a) || a.kind != CVI_ATTR_INTS) {
        return CVS_OK;
    }
    return ints_input(d, k, name, a.n, a.ints);
}

/* ---- rules ---- */

/* Attributes of opset 1 to 6 that no longer mean anything. */
static cvs_status drop_old(cvi_onnx_draft *d) {
    cvi_attr a;
    (void)cvi_up_take(d, "consumed_inputs", &a);
    (void)cvi_up_take(d, "is_test", &a);
    return CVS_OK;
}

static cvs_status axes_to_input(cvi_onnx_draft *d) {
    return ints_to_input(d, "axes", 1);
}

static cvs_status reshape_5(cvi_onnx_draft *d) {
    return ints_to_input(d, "shape", 1);
}

static cvs_status split_13(cvi_onnx_draft *d) {
    return ints_to_input(d, "split", 1);
}

/* Since 18 a Split without sizes says into how many parts. */
static cvs_status split_18(cvi_onnx_draft *d) {
    bool sizes = d->n_in > 1 && d->in[1] >= 0;
    return sizes || find_attr(d, "num_outputs") ? CVS_OK : cvi_up_set_int(d, "num_outputs", d->n_out);
}

static cvs_status slice_10(cvi_onnx_draft *d) {
    CVI_TRY(ints_to_input(d, "starts", 1));
    CVI_TRY(ints_to_input(d, "ends", 2));
    return ints_to_input(d, "axes", 3);
}

static cvs_status pad_2(cvi_onnx_draft *d) {
    cvi_attr *a = find_attr(d, "paddings");
    if (a) {
        a->name = "pads";
    }
    return CVS_OK;
}

static cvs_status pad_11(cvi_onnx_draft *d) {
    cvi_attr a;
    CVI_TRY(ints_to_input(d, "pads", 1));
    bool has = cvi_up_take(d, "value", &a) && (a.kind == CVI_ATTR_FLOAT || a.kind == CVI_ATTR_INT);
    double v = has ? (a.kind == CVI_ATTR_INT ? (double)a.i : a.f) : 0.0;
    return v != 0.0 ? scalar_input(d, 2, "value", type_beside(d), v) : CVS_OK;
}

static cvs_status clip_11(cvi_onnx_draft *d) {
    static const char *const names[] = {"min", "max"};
    for (int k = 0; k < 2; k++) {
        cvi_attr a;
        if (cvi_up_take(d, names[k], &a)) {
            double v = a.kind == CVI_ATTR_INT ? (double)a.i : a.f;
            CVI_TRY(scalar_input(d, k + 1, names[k], type_beside(d), v));
        }
    }
    return CVS_OK;
}

/* Before 12 the ratio was an attribute; without the test mark of opset 6 the node is still read as inference. */
static cvs_status dropout_12(cvi_onnx_draft *d) {
    cvi_attr a;
    if (cvi_up_take(d, "ratio", &a) && a.kind == CVI_ATTR_FLOAT) {
        CVI_TRY(scalar_input(d, 1, "ratio", CVS_F32, a.f));
    }
    return CVS_OK;
}

static cvs_status topk_10(cvi_onnx_draft *d) {
    cvi_attr a;
    if (cvi_up_take(d, "k", &a) && a.kind == CVI_ATTR_INT) {
        return ints_input(d, 1, "k", 1, &a.i);
    }
    return CVS_OK;
}

static cvs_status concat_4(cvi_onnx_draft *d) {
    return find_attr(d, "axis") ? CVS_OK : cvi_up_set_int(d, "axis", 1);
}

/* Cast said its type in words in opset 1. */
static cvs_status cast_6(cvi_onnx_draft *d) {
    static const char *const names[] = {"UNDEFINED", "FLOAT",  "UINT8",     "INT8",      "UINT16",  "INT16",
                                        "INT32",     "INT64",  "STRING",    "BOOL",      "FLOAT16", "DOUBLE",
                                        "UINT32",    "UINT64", "COMPLEX64", "COMPLEX128"};
    cvi_attr *a = find_attr(d, "to");
    if (!a || a->kind != CVI_ATTR_STRING) {
        return CVS_OK;
    }
    for (int i = 0; i < CVI_COUNT(names); i++) {
        if (strcmp(a->s, names[i]) == 0) {
            return cvi_up_set_int(d, "to", i);
        }
    }
    return cvi_at_attr(d->o->err, cvi_fail(d->o->err, CVS_E_FORMAT, "unknown element type \"%.40s\"", a->s),
                       "to");
}

static cvs_status selu_6(cvi_onnx_draft *d) {
    CVI_TRY(find_attr(d, "alpha") ? CVS_OK : set_float(d, "alpha", 1.6732));
    return find_attr(d, "gamma") ? CVS_OK : set_float(d, "gamma", 1.0507);
}

/* Upsample was renamed; its positions are those of Resize's "asymmetric". */
static cvs_status asymmetric(cvi_onnx_draft *d) {
    cvi_attr *mode = find_attr(d, "mode");
    d->op = "Resize";
    if (mode && mode->kind == CVI_ATTR_STRING && strcmp(mode->s, "bilinear") == 0) {
        CVI_TRY(set_string(d, "mode", "linear"));
    }
    CVI_TRY(set_string(d, "coordinate_transformation_mode", "asymmetric"));
    CVI_TRY(set_string(d, "nearest_mode", "floor"));
    int scales = d->n_in > 1 ? d->in[1] : -1;
    cvi_up_set_input(d, 1, -1);
    cvi_up_set_input(d, 2, scales);
    return CVS_OK;
}

static cvs_status upsample_9(cvi_onnx_draft *d) {
    cvi_attr a, h, w;
    float scales[CVS_MAX_RANK] = {1, 1, 1, 1};
    int64_t n = 4;
    if (cvi_up_take(d, "scales", &a) && a.kind == CVI_ATTR_FLOATS && a.n <= CVS_MAX_RANK) {
        n = a.n;
        for (int i = 0; i < a.n; i++) {
            scales[i] = (float)a.floats[i];
        }
    } else if (cvi_up_take(d, "height_scale", &h) && cvi_up_take(d, "width_scale", &w)) {
        scales[2] = (float)h.f;
        scales[3] = (float)w.f;
    } else {
        return CVS_OK;
    }
    int c = cvi_graph_floats(d->scope->graph, cvi_up_name(d, "scales"), 1, &n, scales, d->o->err);
    cvi_up_set_input(d, 1, c);
    return c < 0 ? d->o->err->code : CVS_OK;
}

/* The experimental ImageScaler of the first converters: x * scale + a bias per channel, which a normalisation with mean 0, variance 1
 * says. */
static cvs_status image_scaler(cvi_onnx_draft *d) {
    static const char *const names[] = {"scale", "bias", "mean", "variance"};
    cvi_attr bias, scale;
    if (!cvi_up_take(d, "bias", &bias) || bias.kind != CVI_ATTR_FLOATS || bias.n < 1) {
        return cvi_at_attr(d->o->err, cvi_fail(d->o->err, CVS_E_FORMAT, "a constant of the wrong type"),
                           "bias");
    }
    double factor = cvi_up_take(d, "scale", &scale) && scale.kind == CVI_ATTR_FLOAT ? scale.f : 1;
    int64_t n = bias.n;
    for (int k = 0; k < CVI_COUNT(names); k++) {
        float *v = cvi_arena_alloc(d->o->work, n, sizeof *v);
        if (!v) {
            return cvi_no_memory(d->o->err, (size_t)n * sizeof *v);
        }
        for (int64_t i = 0; i < n; i++) {
            v[i] = (float)(k == 0 ? factor : k == 1 ? bias.floats[i] : k == 3);
        }
        int c = cvi_graph_floats(d->scope->graph, cvi_up_name(d, names[k]), 1, &n, v, d->o->err);
        if (c < 0) {
            return d->o->err->code;
        }
        cvi_up_set_input(d, k + 1, c);
    }
    d->op = "BatchNormalization";
    return set_float(d, "epsilon", 0);
}

/* The experimental Crop of the same converters: borders left, top, right, bottom are cut off; or a size from the upper left corner. */
static cvs_status crop(cvi_onnx_draft *d) {
    cvi_attr border, size;
    bool sized = cvi_up_take(d, "scale", &size) && size.kind == CVI_ATTR_INTS && size.n == 2;
    if (!cvi_up_take(d, "border", &border) || border.kind != CVI_ATTR_INTS || border.n != 4) {
        return cvi_at_attr(d->o->err, cvi_fail(d->o->err, CVS_E_FORMAT, "a constant of the wrong type"),
                           "border");
    }
    const int64_t *b = border.ints, from[2] = {b[1], b[0]}, axes[2] = {2, 3};
    int64_t to[2] = {b[3] > 0 ? -b[3] : INT64_MAX, b[2] > 0 ? -b[2] : INT64_MAX};
    for (int i = 0; i < 2 && sized; i++) {
        if (!cvi_add(from[i], size.ints[i], &to[i])) {
            to[i] = INT64_MAX;
        }
    }
    d->op = "Slice";
    CVI_TRY(ints_input(d, 1, "from", 2, from));
    CVI_TRY(ints_input(d, 2, "to", 2, to));
    return ints_input(d, 3, "axes", 2, axes);
}

/* Exporters of opset 11 and 12 give empty tensors for what is absent. */
static cvs_status resize_empty(cvi_onnx_draft *d) {
    for (int k = 1; k < d->n_in; k++) {
        const cvs_tensor *c = d->in[k] >= 0 ? d->scope->graph->values[d->in[k]].constant : NULL;
        if (c && cvs_tensor_count(c) == 0) {
            d->in[k] = -1;
        }
    }
    return CVS_OK;
}

static cvs_status batchnorm_14(cvi_onnx_draft *d) {
    cvi_attr a;
    if (cvi_up_take(d, "spatial", &a) && a.kind == CVI_ATTR_INT && a.i == 0) {
        return cvi_fail(d->o->err, CVS_E_UNSUPPORTED,
                        "batch normalization per position (spatial = 0) is not supported");
    }
    d->n_out = CVI_MIN(d->n_out, 1); /* the others only matter while training */
    return CVS_OK;
}

static cvs_status gridsample_20(cvi_onnx_draft *d) {
    cvi_attr *mode = find_attr(d, "mode");
    bool text = mode && mode->kind == CVI_ATTR_STRING;
    if (text && strcmp(mode->s, "bilinear") == 0) {
        return set_string(d, "mode", "linear");
    }
    return text && strcmp(mode->s, "bicubic") == 0 ? set_string(d, "mode", "cubic") : CVS_OK;
}

static cvs_status scatter_11(cvi_onnx_draft *d) {
    d->op = "ScatterElements";
    return CVS_OK;
}

/* Opset 18 scales by group, 21 by channel: known numbers are repeated. */
static cvs_status groupnorm_21(cvi_onnx_draft *d) {
    cvi_graph *g = d->scope->graph;
    cvs_tensor x = cvi_onnx_shape(d, d->n_in > 0 ? d->in[0] : -1);
    for (int k = 1; k < 3 && k < d->n_in; k++) {
        const cvs_tensor *c = d->in[k] >= 0 ? g->values[d->in[k]].constant : NULL;
        int64_t groups = c && c->rank == 1 ? c->dim[0] : 0;
        if (groups <= 0 || c->dtype != CVS_F32 || x.rank < 2 || x.dim[1] < groups || x.dim[1] % groups) {
            return cvi_fail(
                d->o->err, CVS_E_UNSUPPORTED,
                "group normalization of opset 18 is supported with constant scales and known channels");
        }
        int64_t channels = x.dim[1], each = channels / groups;
        float *v = cvi_arena_alloc(d->o->work, channels, sizeof *v);
        if (!v) {
            return cvi_no_memory(d->o->err, (size_t)channels * sizeof *v);
        }
        for (int64_t i = 0; i < channels; i++) {
            v[i] = ((const float *)c->data)[i / each];
        }
        int made = cvi_graph_floats(g, cvi_up_name(d, k == 1 ? "scale" : "bias"), 1, &channels, v, d->o->err);
        if (made < 0) {
            return d->o->err->code;
        }
        d->in[k] = made;
    }
    return CVS_OK;
}

/* The forms that a Constant may have since 11 and 12 become a tensor. */
static cvs_status constant_forms(cvi_onnx_draft *d) {
    cvi_attr a;
    cvs_tensor t = {.dtype = CVS_F32};
    if (cvi_up_take(d, "value_int", &a) || cvi_up_take(d, "value_ints", &a)) {
        t.dtype = CVS_I64;
    } else if (!cvi_up_take(d, "value_float", &a) && !cvi_up_take(d, "value_floats", &a)) {
        return CVS_OK;
    }
    bool list = a.kind == CVI_ATTR_INTS || a.kind == CVI_ATTR_FLOATS;
    if (!list && a.kind != CVI_ATTR_INT && a.kind != CVI_ATTR_FLOAT) {
        return cvi_at_attr(d->o->err, cvi_fail(d->o->err, CVS_E_FORMAT, "a constant of the wrong type"),
                           a.name);
    }
    t.rank = list;
    t.dim[0] = a.n;
    int64_t n = list ? a.n : 1;
    t.bytes = (size_t)n * cvs_dtype_size(t.dtype);
    cvs_tensor *copy = cvi_arena_alloc(d->scope->graph->arena, 1, sizeof *copy);
    t.data = n ? cvi_arena_alloc(d->scope->graph->arena, n, 8) : NULL;
    if (!copy || (n && !t.data)) {
        return cvi_no_memory(d->o->err, t.bytes);
    }
    for (int64_t i = 0; i < n; i++) {
        if (t.dtype == CVS_I64) {
            ((int64_t *)t.data)[i] = a.kind == CVI_ATTR_INTS ? a.ints[i] : a.i;
        } else {
            ((float *)t.data)[i] = (float)(a.kind == CVI_ATTR_FLOATS ? a.floats[i] : a.f);
        }
    }
    *copy = t;
    d->attr[d->n_attr++] = (cvi_attr){.name = "value", .kind = CVI_ATTR_TENSOR, .tensor = copy};
    return CVS_OK;
}

/* The axis of a DFT became an input; before, it was 1 where nothing was said. */
static cvs_status dft_20(cvi_onnx_draft *d) {
    cvi_attr a;
    int64_t axis = cvi_up_take(d, "axis", &a) ? a.i : 1;
    return ints_input(d, 2, "axis", 1, &axis);
}

/* A widened model makes no 16-bit floats either. */
static cvs_status widen_types(cvi_onnx_draft *d) {
    static const char *const names[] = {"to", "dtype", "output_datatype", "softmax_precision"};
    for (int k = 0; k < CVI_COUNT(names); k++) {
        cvi_attr *a = find_attr(d, names[k]);
        if (a && a->kind == CVI_ATTR_INT) {
            a->i = cvi_onnx_widened(d->o, cvi_onnx_dtype(a->i)) == CVS_F32 ? CVS_F32 : a->i;
        }
    }
    return CVS_OK;
}

typedef struct upgrade_rule {
    const char *op;
    int before; /* needed by nodes of older opsets than this; 0 = always */
    cvs_status (*apply)(cvi_onnx_draft *d);
} upgrade_rule;

static const upgrade_rule rules[] = {
    {"Constant", 0, constant_forms},
    {"Cast", 0, widen_types},
    {"EyeLike", 0, widen_types},
    {"Bernoulli", 0, widen_types},
    {"Multinomial", 0, widen_types},
    {"RandomNormal", 0, widen_types},
    {"RandomNormalLike", 0, widen_types},
    {"RandomUniform", 0, widen_types},
    {"RandomUniformLike", 0, widen_types},
    {"HannWindow", 0, widen_types},
    {"HammingWindow", 0, widen_types},
    {"BlackmanWindow", 0, widen_types},
    {"MelWeightMatrix", 0, widen_types},
    {"Attention", 0, widen_types},
    {"Pad", 2, pad_2},
    {"Concat", 4, concat_4},
    {"Reshape", 5, reshape_5},
    {"Cast", 6, cast_6},
    {"Selu", 6, selu_6},
    {"Add", 7, cvi_up_broadcast_7},
    {"Sub", 7, cvi_up_broadcast_7},
    {"Mul", 7, cvi_up_broadcast_7},
    {"Div", 7, cvi_up_broadcast_7},
    {"Pow", 7, cvi_up_broadcast_7},
    {"And", 7, cvi_up_broadcast_7},
    {"Or", 7, cvi_up_broadcast_7},
    {"Xor", 7, cvi_up_broadcast_7},
    {"Equal", 7, cvi_up_broadcast_7},
    {"Greater", 7, cvi_up_broadcast_7},
    {"Less", 7, cvi_up_broadcast_7},
    {"Gemm", 7, cvi_up_gemm_7},
    {"PRelu", 7, cvi_up_prelu_7},
    {"ImageScaler", 0, image_scaler},
    {"Crop", 0, crop},
    {"Upsample", 9, upsample_9},
    {"Upsample", 0, asymmetric},
    {"Scan", 9, cvi_up_scan_9},
    {"Slice", 10, slice_10},
    {"TopK", 10, topk_10},
    {"Resize", 11, asymmetric},
    {"Resize", 0, resize_empty},
    {"Pad", 11, pad_11},
    {"Clip", 11, clip_11},
    {"Scatter", 0, scatter_11},
    {"Dropout", 12, dropout_12},
    {"Squeeze", 13, axes_to_input},
    {"Unsqueeze", 13, axes_to_input},
    {"ReduceSum", 13, axes_to_input},
    {"Split", 13, split_13},
    {"Softmax", 13, cvi_up_softmax_13},
    {"LogSoftmax", 13, cvi_up_softmax_13},
    {"Hardmax", 13, cvi_up_softmax_13},
    {"BatchNormalization", 14, batchnorm_14},
    {"ReduceL1", 18, axes_to_input},
    {"ReduceL2", 18, axes_to_input},
    {"ReduceLogSum", 18, axes_to_input},
    {"ReduceLogSumExp", 18, axes_to_input},
    {"ReduceMax", 18, axes_to_input},
    {"ReduceMean", 18, axes_to_input},
    {"ReduceMin", 18, axes_to_input},
    {"ReduceProd", 18, axes_to_input},
    {"ReduceSumSquare", 18, axes_to_input},
    {"Split", 18, split_18},
    {"GridSample", 20, gridsample_20},
    {"DFT", 20, dft_20},
    {"GroupNormalization", 21, groupnorm_21},
};

cvs_status cvi_onnx_upgrade(cvi_onnx_draft *d) {
    bool resized = strcmp(d->op, "Resize") == 0;
    if (d->version < 7) {
        CVI_TRY(drop_old(d));
    }
    for (int i = 0; i < CVI_COUNT(rules); i++) {
        bool old = rules[i].before == 0 || d->version < rules[i].before;
        if (!old || strcmp(rules[i].op, d->op) != 0) {
            continue;
        }
        if (rules[i].apply == asymmetric && rules[i].before && !resized) {
            continue; /* an Upsample that has just become a Resize */
        }
        CVI_TRY(rules[i].apply(d));
    }
    return cvi_onnx_emit(d);
}

/* SPDX-License-Identifier: MIT
 * script_layers.c - torch calls with weights or windows: convolutions, dense layers, normalisations, poolings, dropout, resizing.
 */
#include "formats/script.h"
#include "ops/op.h"

/* n numbers of a setting such as stride; one stands for all. */
static void setting(script *s, const script_args *a, int k, const char *name, int n, int64_t otherwise,
                    int64_t *out) {
    script_value v = cvi_script_arg(a, k, name);
    if (cvi_script_wholes(s, &v, out, n) == 0) {
        for (int i = 0; i < n; i++) {
            out[i] = otherwise;
        }
    }
}

/* ---- convolution ------------------------------------------------------------------------------------------------ */

typedef struct conv {
    int64_t stride[3], pad[3], dilation[3], extra[3], groups;
    bool transposed, same;
} conv;

/* The first convolution knows how many channels the picture has, and whether it is one: a row has one axis less, a video one more. */
static bool channels_fit(script *s, int x, int rank, int64_t channels) {
    bool input = false;
    for (int i = 0; i < s->g->n_inputs; i++) {
        input |= s->g->inputs[i] == x;
    }
    if (input && s->channels > 0 && s->rank > 0 && rank != s->rank) {
        s->wants_rank = true;
        s->asked_rank = rank;
        cvi_script_keep(s, CVS_E_SHAPE);
        return false;
    }
    if (input && s->channels > 0 && channels != s->channels &&
        channels > 0) { /* 0: the file says its input */
        s->wants_channels = true;
        s->asked_channels = channels;
        cvi_script_keep(s, CVS_E_SHAPE);
        return false;
    }
    return true;
}

static script_value make_conv(script *s, const script_args *a, const conv *c) {
    int in[3] = {cvi_script_graph_arg(s, a, 0, "input"), cvi_script_graph_arg(s, a, 1, "weight"),
                 cvi_script_graph_arg(s, a, 2, "bias")};
    const cvs_tensor *w = cvi_script_shape(s, in[1], 0);
    int n = w->rank - 2;
    if (!cvi_script_ok(s) || n < 1 || n > 3 || in[0] < 0) {
        return cvi_script_refuse(s, a->name);
    }
    int64_t channels = w->dim[0];
    if (!c->transposed && !cvi_mul(w->dim[1], c->groups, &channels)) {
        return cvi_script_refuse(s, a->name);
    }
    if (!channels_fit(s, in[0], n + 2, channels)) {
        return cvi_script_none();
    }
    int64_t pads[6], kernel[3];
    bool extra = false;
    for (int i = 0; i < n; i++) {
        pads[i] = pads[n + i] = c->pad[i];
        kernel[i] = w->dim[2 + i];
        extra |= c->extra[i] != 0;
    }
    script_node node = cvi_script_node(s, c->transposed ? "ConvTranspose" : "Conv", in[2] >= 0 ? 3 : 2, in,
                                       5 + extra, false);
    cvi_script_attr_ints(s, &node, "kernel_shape", n, kernel);
    cvi_script_attr_ints(s, &node, "strides", n, c->stride);
    cvi_script_attr_ints(s, &node, "dilations", n, c->dilation);
    if (c->same) {
        cvi_script_attr_string(s, &node, "auto_pad", "SAME_UPPER");
    } else {
        cvi_script_attr_ints(s, &node, "pads", 2 * n, pads);
    }
    cvi_script_attr_int(s, &node, "group", c->groups);
    if (extra) {
        cvi_script_attr_ints(s, &node, "output_padding", n, c->extra);
    }
    return cvi_script_done(s, node);
}

/* _convolution(x, w, b, stride, padding, dilation, transposed, output_padding, groups, ...) */
static script_value convolution(script *s, const script_call *row, const script_args *a) {
    (void)row;
    conv c = {.groups = cvi_script_whole_arg(a, 8, "groups", 1),
              .transposed = cvi_script_whole_arg(a, 6, "transposed", 0) != 0};
    setting(s, a, 3, "stride", 3, 1, c.stride);
    setting(s, a, 4, "padding", 3, 0, c.pad);
    setting(s, a, 5, "dilation", 3, 1, c.dilation);
    setting(s, a, 7, "output_padding", 3, 0, c.extra);
    return make_conv(s, a, &c);
}

/* conv2d(x, w, b, stride, padding, dilation, groups); the padding may be the word "same" or "valid" */
static script_value conv_plain(script *s, const script_call *row, const script_args *a) {
    (void)row;
    conv c = {.groups = cvi_script_whole_arg(a, 6, "groups", 1)};
    script_value pad = cvi_script_arg(a, 4, "padding");
    setting(s, a, 3, "stride", 3, 1, c.stride);
    setting(s, a, 5, "dilation", 3, 1, c.dilation);
    c.same = pad.kind == SCRIPT_V_STRING && strcmp(pad.s, "same") == 0;
    if (pad.kind != SCRIPT_V_STRING) {
        setting(s, a, 4, "padding", 3, 0, c.pad);
    }
    return make_conv(s, a, &c);
}

/* conv_transpose2d(x, w, b, stride, padding, output_padding, groups, dilation) */
static script_value conv_transpose(script *s, const script_call *row, const script_args *a) {
    (void)row;
    conv c = {.groups = cvi_script_whole_arg(a, 6, "groups", 1), .transposed = true};
    setting(s, a, 3, "stride", 3, 1, c.stride);
    setting(s, a, 4, "padding", 3, 0, c.pad);
    setting(s, a, 5, "output_padding", 3, 0, c.extra);
    setting(s, a, 7, "dilation", 3, 1, c.dilation);
    return make_conv(s, a, &c);
}

/* ---- dense ------------------------------------------------------------------------------------------------------- */

/* A constant with its two axes changed, under its own name + ".T". */
static int transposed_constant(script *s, int v) {
    const cvi_value *value = &s->g->values[v];
    cvs_tensor turned = {0};
    const int perm[2] = {1, 0};
    char *name = cvi_arena_printf(s->arena, "%s.T", value->name);
    int known = name ? cvi_graph_find(s->g, name) : -1;
    if (known >= 0 || !name) {
        return known;
    }
    cvi_script_set(s, cvs_tensor_permute(value->constant, perm, &turned, s->err));
    cvs_tensor kept = turned;
    kept.owned = false;
    kept.data = cvi_script_ok(s) ? cvi_arena_raw(s->arena, (int64_t)CVI_MAX(turned.bytes, 1)) : NULL;
    if (kept.data) {
        memcpy(kept.data, turned.data, turned.bytes);
    }
    cvs_tensor_free(&turned);
    cvi_script_set(s, kept.data ? CVS_OK : cvi_no_memory(s->err, kept.bytes));
    return cvi_script_constant(s, name, &kept);
}

static script_value linear(script *s, const script_call *row, const script_args *a) {
    (void)row;
    int in[3] = {cvi_script_graph_arg(s, a, 0, "input"), cvi_script_graph_arg(s, a, 1, "weight"),
                 cvi_script_graph_arg(s, a, 2, "bias")};
    if (!cvi_script_ok(s) || in[0] < 0 || in[1] < 0) {
        return cvi_script_refuse(s, a->name);
    }
    if (cvi_script_rank(s, in[0]) == 2) {
        script_node node = cvi_script_node(s, "Gemm", in[2] >= 0 ? 3 : 2, in, 1, false);
        cvi_script_attr_int(s, &node, "transB", 1);
        return cvi_script_done(s, node);
    }
    const cvs_tensor *weight = s->g->values[in[1]].constant;
    int product[2] = {in[0], weight && weight->rank == 2 ? transposed_constant(s, in[1]) : -1};
    if (product[1] < 0) {
        return cvi_script_refuse(s, a->name);
    }
    script_node node = cvi_script_node(s, "MatMul", 2, product, 0, in[2] >= 0);
    script_value v = cvi_script_done(s, node);
    if (in[2] < 0 || !cvi_script_ok(s)) {
        return v;
    }
    int sum[2] = {v.v, in[2]};
    return cvi_script_simple(s, "Add", 2, sum);
}

/* addmm(bias, x, w): w is the transposed weight */
static script_value addmm(script *s, const script_call *row, const script_args *a) {
    (void)row;
    int in[3] = {cvi_script_graph_arg(s, a, 1, "mat1"), cvi_script_graph_arg(s, a, 2, "mat2"),
                 cvi_script_graph_arg(s, a, 0, "input")};
    double alpha = cvi_script_number_arg(a, -1, "alpha", 1), beta = cvi_script_number_arg(a, -1, "beta", 1);
    script_node node = cvi_script_node(s, "Gemm", 3, in, 2, false);
    cvi_script_attr_float(s, &node, "alpha", alpha);
    cvi_script_attr_float(s, &node, "beta", beta);
    return cvi_script_done(s, node);
}

/* t(weight): of a constant, turned at once */
static script_value transpose_matrix(script *s, const script_call *row, const script_args *a) {
    (void)row;
    int v = cvi_script_graph_arg(s, a, 0, "input");
    if (cvi_script_ok(s) && v >= 0 && s->g->values[v].constant && cvi_script_rank(s, v) == 2) {
        return cvi_script_tensor(transposed_constant(s, v));
    }
    const int64_t perm[2] = {1, 0};
    script_node node = cvi_script_node(s, "Transpose", 1, &v, 1, true);
    cvi_script_attr_ints(s, &node, "perm", 2, perm);
    return cvi_script_done(s, node);
}

/* ---- normalisation ------------------------------------------------------------------------------------------------- */

/* Equal numbers, where a normalisation has no weights of its own. */
static int filled_shape(script *s, int rank, const int64_t *dim, float v) {
    int64_t n = 1;
    bool ok = true;
    for (int i = 0; i < rank; i++) {
        ok &= dim[i] > 0 && cvi_mul(n, dim[i], &n);
    }
    float *numbers = ok && n < (1 << 24) ? cvi_arena_alloc(s->arena, n, sizeof *numbers) : NULL;
    for (int64_t i = 0; numbers && i < n; i++) {
        numbers[i] = v;
    }
    int c = numbers && cvi_script_ok(s) ? cvi_graph_floats(s->g, "filled", rank, dim, numbers, s->err) : -1;
    cvi_script_set(s, c < 0 ? cvi_no_memory(s->err, 0) : cvi_script_grow(s));
    return c;
}

static int filled(script *s, int64_t n, float v) {
    return filled_shape(s, 1, &n, v);
}

static script_value batch_norm(script *s, const script_call *row, const script_args *a) {
    (void)row;
    int in[5];
    for (int i = 0; i < 5; i++) {
        in[i] = cvi_script_graph_arg(s, a, i, "");
    }
    const cvs_tensor *x = cvi_script_shape(s, in[0], 0);
    if (!cvi_script_ok(s) || in[3] < 0 || in[4] < 0) {
        return cvi_script_refuse(s, "batch normalisation without running statistics");
    }
    int64_t channels = x->rank > 1 ? x->dim[1] : cvi_script_shape(s, in[3], 0)->dim[0];
    in[1] = in[1] < 0 ? filled(s, channels, 1) : in[1];
    in[2] = in[2] < 0 ? filled(s, channels, 0) : in[2];
    script_node node = cvi_script_node(s, "BatchNormalization", 5, in, 2, false);
    cvi_script_attr_float(s, &node, "epsilon", cvi_script_number_arg(a, 7, "eps", 1e-5));
    cvi_script_attr_float(s, &node, "momentum", 1 - cvi_script_number_arg(a, 6, "momentum", 0.1));
    return cvi_script_done(s, node);
}

/* layer_norm(x, normalised shape, weight, bias, eps) */
static script_value layer_norm(script *s, const script_call *row, const script_args *a) {
    (void)row;
    int64_t shape[CVS_MAX_RANK];
    script_value list = cvi_script_arg(a, 1, "normalized_shape");
    int n = cvi_script_wholes(s, &list, shape, CVS_MAX_RANK);
    int in[3] = {cvi_script_graph_arg(s, a, 0, "input"), cvi_script_graph_arg(s, a, 2, "weight"),
                 cvi_script_graph_arg(s, a, 3, "bias")};
    if (n < 1 || n > CVS_MAX_RANK) {
        return cvi_script_refuse(s, a->name);
    }
    in[1] = in[1] < 0 ? filled_shape(s, n, shape, 1) : in[1];
    script_node node = cvi_script_node(s, "LayerNormalization", in[2] >= 0 ? 3 : 2, in, 2, false);
    cvi_script_attr_int(s, &node, "axis", -n);
    cvi_script_attr_float(s, &node, "epsilon", cvi_script_number_arg(a, 4, "eps", 1e-5));
    return cvi_script_done(s, node);
}

/* group_norm(x, groups, weight, bias, eps) */
static script_value group_norm(script *s, const script_call *row, const script_args *a) {
    (void)row;
    int in[3] = {cvi_script_graph_arg(s, a, 0, "input"), cvi_script_graph_arg(s, a, 2, "weight"),
                 cvi_script_graph_arg(s, a, 3, "bias")};
    const cvs_tensor *x = cvi_script_shape(s, in[0], 0);
    int64_t channels = x->rank > 1 ? x->dim[1] : 0;
    in[1] = in[1] < 0 ? filled(s, channels, 1) : in[1];
    in[2] = in[2] < 0 ? filled(s, channels, 0) : in[2];
    script_node node = cvi_script_node(s, "GroupNormalization", 3, in, 2, false);
    cvi_script_attr_int(s, &node, "num_groups", cvi_script_whole_arg(a, 1, "num_groups", 1));
    cvi_script_attr_float(s, &node, "epsilon", cvi_script_number_arg(a, 4, "eps", 1e-5));
    return cvi_script_done(s, node);
}

/* What torch.export splits layers into: their outputs come with statistics and places, which are not kept. */
static script_value first_of(script *s, script_value v, int n) {
    script_value list[3] = {v, cvi_script_none(), cvi_script_none()};
    return cvi_script_ok(s) ? cvi_script_list(s, n, list) : v;
}

/* _native_batch_norm_legit_no_training(x, weight, bias, mean, var, momentum, eps) */
static script_value native_batch_norm(script *s, const script_call *row, const script_args *a) {
    script_value arg[8];
    for (int i = 0; i < 8; i++) {
        arg[i] = i < 5    ? cvi_script_arg(a, i, "")
                 : i == 5 ? cvi_script_bool(false)
                          : cvi_script_arg(a, i - 1, "");
    }
    script_args plain = {.name = a->name, .n = 8, .arg = arg};
    return first_of(s, batch_norm(s, row, &plain), 3);
}

/* native_layer_norm(x, normalised shape, weight, bias, eps) */
static script_value native_layer_norm(script *s, const script_call *row, const script_args *a) {
    return first_of(s, layer_norm(s, row, a), 3);
}

/* native_group_norm(x, weight, bias, N, C, HxW, groups, eps) */
static script_value native_group_norm(script *s, const script_call *row, const script_args *a) {
    script_value arg[5] = {cvi_script_arg(a, 0, ""), cvi_script_arg(a, 6, ""), cvi_script_arg(a, 1, ""),
                           cvi_script_arg(a, 2, ""), cvi_script_arg(a, 7, "")};
    script_args plain = {.name = a->name, .n = 5, .arg = arg};
    return first_of(s, group_norm(s, row, &plain), 3);
}

/* instance_norm(x, weight, bias, mean, var, use_input_stats, momentum, eps, cudnn) */
static script_value instance_norm(script *s, const script_call *row, const script_args *a) {
    (void)row;
    if (!cvi_script_whole_arg(a, 5, "use_input_stats", 1)) {
        script_args bn = *a;
        script_value arg[9];
        for (int i = 0; i < 9; i++) {
            arg[i] = cvi_script_arg(a, i, "");
        }
        bn.arg = arg;
        bn.n = 9;
        return batch_norm(s, row, &bn);
    }
    int in[3] = {cvi_script_graph_arg(s, a, 0, "input"), cvi_script_graph_arg(s, a, 1, "weight"),
                 cvi_script_graph_arg(s, a, 2, "bias")};
    const cvs_tensor *x = cvi_script_shape(s, in[0], 0);
    int64_t channels = x->rank > 1 ? x->dim[1] : 0;
    in[1] = in[1] < 0 ? filled(s, channels, 1) : in[1];
    in[2] = in[2] < 0 ? filled(s, channels, 0) : in[2];
    script_node node = cvi_script_node(s, "InstanceNormalization", 3, in, 1, false);
    cvi_script_attr_float(s, &node, "epsilon", cvi_script_number_arg(a, 7, "eps", 1e-5));
    return cvi_script_done(s, node);
}

/* _native_batch_norm_legit.no_stats(x, weight, bias, True, momentum, eps): statistics of the batch, which for one row are its own */
static script_value batch_statistics(script *s, const script_call *row, const script_args *a) {
    int x = cvi_script_graph_arg(s, a, 0, "input");
    script_value arg[8] = {cvi_script_arg(a, 0, "input"), cvi_script_arg(a, 1, "weight"),
                           cvi_script_arg(a, 2, "bias"), [7] = cvi_script_arg(a, 5, "eps")};
    script_args plain = {.name = a->name, .n = 8, .arg = arg};
    if (cvi_script_rank(s, x) < 2 || cvi_script_shape(s, x, 0)->dim[0] != 1 || a->n > 6) {
        return cvi_script_refuse(s, "batch normalisation without running statistics");
    }
    arg[5] = cvi_script_bool(true);
    return first_of(s, instance_norm(s, row, &plain), 3);
}

/* ---- pooling ------------------------------------------------------------------------------------------------------- */

typedef struct window {
    int n;
    int64_t kernel[3], stride[3], pads[6], dilation[3];
} window;

static void read_window(script *s, const script_args *a, window *w) {
    int64_t pad[3];
    script_value stride = cvi_script_arg(a, 2, "stride");
    w->n = a->name[strlen(a->name) - 1] == '1' || strstr(a->name, "1d") ? 1 : strstr(a->name, "3d") ? 3 : 2;
    setting(s, a, 1, "kernel_size", w->n, 1, w->kernel);
    if (cvi_script_wholes(s, &stride, w->stride, w->n) == 0) {
        memcpy(w->stride, w->kernel, sizeof w->stride);
    }
    setting(s, a, 3, "padding", w->n, 0, pad);
    for (int i = 0; i < w->n; i++) {
        w->pads[i] = w->pads[w->n + i] = pad[i];
    }
}

/* max_pool2d(x, kernel, stride, padding, dilation, ceil) */
static script_value max_pool(script *s, const script_call *row, const script_args *a) {
    (void)row;
    window w;
    int x = cvi_script_graph_arg(s, a, 0, "input");
    read_window(s, a, &w);
    setting(s, a, 4, "dilation", w.n, 1, w.dilation);
    script_node node = cvi_script_node(s, "MaxPool", 1, &x, 5, false);
    cvi_script_attr_ints(s, &node, "kernel_shape", w.n, w.kernel);
    cvi_script_attr_ints(s, &node, "strides", w.n, w.stride);
    cvi_script_attr_ints(s, &node, "pads", 2 * w.n, w.pads);
    cvi_script_attr_ints(s, &node, "dilations", w.n, w.dilation);
    cvi_script_attr_int(s, &node, "ceil_mode", cvi_script_whole_arg(a, 5, "ceil_mode", 0));
    return cvi_script_done(s, node);
}

static script_value pool_with_places(script *s, const script_call *row, const script_args *a) {
    return first_of(s, max_pool(s, row, a), 2);
}

/* avg_pool2d(x, kernel, stride, padding, ceil, count padding, divisor) */
static script_value avg_pool(script *s, const script_call *row, const script_args *a) {
    (void)row;
    window w;
    int x = cvi_script_graph_arg(s, a, 0, "input");
    read_window(s, a, &w);
    if (cvi_script_arg(a, 6, "divisor_override").kind != SCRIPT_V_NONE) {
        return cvi_script_refuse(s, "divisor_override");
    }
    script_node node = cvi_script_node(s, "AveragePool", 1, &x, 5, false);
    cvi_script_attr_ints(s, &node, "kernel_shape", w.n, w.kernel);
    cvi_script_attr_ints(s, &node, "strides", w.n, w.stride);
    cvi_script_attr_ints(s, &node, "pads", 2 * w.n, w.pads);
    cvi_script_attr_int(s, &node, "ceil_mode", cvi_script_whole_arg(a, 4, "ceil_mode", 0));
    cvi_script_attr_int(s, &node, "count_include_pad", cvi_script_whole_arg(a, 5, "count_include_pad", 1));
    return cvi_script_done(s, node);
}

/* One axis into `size` windows that are not all of one length, as torch places them: from floor(i n / size) to ceil((i+1) n / size). */
static int uneven(script *s, int x, int axis, int64_t have, int64_t size, bool average, bool hidden) {
    int part[64];
    if (size < 1 || size > CVI_COUNT(part) || have < 1 || have > INT32_MAX) {
        cvi_script_refuse(s, "adaptive pooling");
        return -1;
    }
    int64_t at = axis;
    int where = cvi_script_const_ints(s, 1, &at);
    for (int64_t i = 0; i < size && cvi_script_ok(s); i++) {
        int64_t from = i * have / size, to = ((i + 1) * have + size - 1) / size;
        int in[4] = {x, cvi_script_const_ints(s, 1, &from), cvi_script_const_ints(s, 1, &to), where};
        int pair[2] = {cvi_script_done(s, cvi_script_node(s, "Slice", 4, in, 0, true)).v, where};
        script_node node = cvi_script_node(s, average ? "ReduceMean" : "ReduceMax", 2, pair, 1, true);
        cvi_script_attr_int(s, &node, "keepdims", 1);
        part[i] = cvi_script_done(s, node).v;
    }
    script_node join = cvi_script_ok(s) ? cvi_script_node(s, "Concat", (int)size, part, 1, hidden)
                                        : (script_node){.index = -1};
    if (cvi_script_ok(s)) {
        cvi_script_attr_int(s, &join, "axis", axis);
    }
    return cvi_script_done(s, join).v;
}

/* adaptive_avg_pool2d(x, size): size 1 is global; others are windows of the one input size that the model then takes. */
static script_value adaptive(script *s, const script_call *row, const script_args *a) {
    int x = cvi_script_graph_arg(s, a, 0, "input"), n = 2;
    int64_t size[3], kernel[3];
    bool average = strcmp(row->op, "AveragePool") == 0, global = true, same = true, even = true;
    const cvs_tensor *shape[2] = {cvi_script_shape(s, x, 0), cvi_script_shape(s, x, 1)};
    n = strstr(row->name, "1d") ? 1 : strstr(row->name, "3d") ? 3 : 2;
    setting(s, a, 1, "output_size", n, 1, size);
    for (int i = 0; i < n; i++) {
        global &= size[i] == 1;
    }
    if (global) {
        return cvi_script_simple(s, average ? "GlobalAveragePool" : "GlobalMaxPool", 1, &x);
    }
    if (shape[0]->rank < n + 1) {
        return cvi_script_refuse(s, a->name);
    }
    for (int i = 0; i < n; i++) {
        int axis = shape[0]->rank - n + i;
        int64_t have = shape[0]->dim[axis];
        size[i] = size[i] <= 0 ? have : size[i];
        s->fixed |= shape[1]->rank < 0 || have != shape[1]->dim[axis];
        s->guess = true; /* whose windows any fitting size could have */
        if (have % size[i] != 0 && s->channels > 0 && !s->uneven) { /* another size of the picture may do */
            s->was_uneven = true;
            cvi_script_set(s, cvi_fail(s->err, CVS_E_SHAPE,
                                       "adaptive pooling from %lld to %lld has windows of different sizes",
                                       (long long)have, (long long)size[i]));
            return cvi_script_none();
        }
        kernel[i] = have / size[i];
        same &= have == size[i];
        even &= have % size[i] == 0;
    }
    for (int i = 0; i < n && !even; i++) {
        int axis = shape[0]->rank - n + i;
        x = uneven(s, x, axis, cvi_script_shape(s, x, 0)->dim[axis], size[i], average, i + 1 < n);
    }
    if (!even) {
        return cvi_script_tensor(x);
    }
    if (same) {
        return cvi_script_simple(s, "Identity", 1, &x);
    }
    script_node node = cvi_script_node(s, average ? "AveragePool" : "MaxPool", 1, &x, 2, false);
    cvi_script_attr_ints(s, &node, "kernel_shape", n, kernel);
    cvi_script_attr_ints(s, &node, "strides", n, kernel);
    return cvi_script_done(s, node);
}

static script_value adaptive_max(script *s, const script_call *row, const script_args *a) {
    return first_of(s, adaptive(s, row, a), 2);
}

/* ---- dropout, resizing ------------------------------------------------------------------------------------------------ */

static script_value dropout(script *s, const script_call *row, const script_args *a) {
    (void)row;
    int in[2] = {cvi_script_graph_arg(s, a, 0, "input"), -1};
    in[1] = cvi_script_const_float(s, cvi_script_number_arg(a, 1, "p", 0.5));
    return cvi_script_simple(s, "Dropout", 2, in);
}

/* upsample_nearest2d(x, size, scales...), upsample_bilinear2d(x, size, align_corners, scales...): a size, or factors */
static script_value upsample(script *s, const script_call *row, const script_args *a) {
    bool linear = strcmp(row->op, "nearest") != 0;
    bool corners = linear && cvi_script_whole_arg(a, 2, "align_corners", 0);
    script_value size = cvi_script_arg(a, 1, "output_size");
    int x = cvi_script_graph_arg(s, a, 0, "input"), first = linear ? 3 : 2;
    const cvs_tensor *shape = cvi_script_shape(s, x, 0), *other = cvi_script_shape(s, x, 1);
    int n = shape->rank - 2, in[4] = {x, -1, -1, -1};
    if (n < 1 || n > 3) {
        return cvi_script_refuse(s, a->name);
    }
    if (size.kind == SCRIPT_V_LIST && *size.shared_n == n) {
        script_value all[5];
        for (int i = 0; i < 2; i++) {
            all[i] = cvi_script_sized(s, shape->dim[i], other->dim[i],
                                      (script_size){.op = 'd', .value = x, .axis = i});
        }
        memcpy(all + 2, *size.shared, (size_t)n * sizeof *all);
        in[3] = cvi_script_sizes(s, all, n + 2);
    } else {
        float scales[5] = {1, 1};
        script_value list = cvi_script_arg(a, first, "scale_factors");
        for (int i = 0; i < n; i++) {
            script_value v = list.kind == SCRIPT_V_LIST && *list.shared_n == n ? (*list.shared)[i]
                             : list.kind == SCRIPT_V_LIST                      ? cvi_script_none()
                                                          : cvi_script_arg(a, first + i, "");
            scales[2 + i] = (float)cvi_script_number(&v, 0);
            if (!(scales[2 + i] > 0)) {
                return cvi_script_refuse(s, a->name);
            }
        }
        int64_t count = n + 2;
        in[2] = cvi_script_ok(s) ? cvi_graph_floats(s->g, "scales", 1, &count, scales, s->err) : -1;
        cvi_script_set(s, in[2] < 0 ? CVS_E_MEMORY : cvi_script_grow(s));
    }
    script_node node =
        cvi_script_node(s, "Resize", in[3] >= 0 ? 4 : 3, in, 3 + (strcmp(row->op, "cubic") == 0), false);
    cvi_script_attr_string(s, &node, "mode", row->op);
    cvi_script_attr_string(s, &node, "coordinate_transformation_mode",
                           corners  ? "align_corners"
                           : linear ? "pytorch_half_pixel"
                                    : "asymmetric");
    cvi_script_attr_string(s, &node, "nearest_mode", "floor");
    if (strcmp(row->op, "cubic") == 0) {
        cvi_script_attr_float(s, &node, "cubic_coeff_a", -0.75);
    }
    return cvi_script_done(s, node);
}

static const script_call rows[] = {
    {"_convolution", convolution, NULL, 0},
    {"convolution", convolution, NULL, 0},
    {"_convolution_mode", conv_plain, NULL, 0},
    {"conv1d", conv_plain, NULL, 0},
    {"conv2d", conv_plain, NULL, 0},
    {"conv3d", conv_plain, NULL, 0},
    {"conv_transpose1d", conv_transpose, NULL, 0},
    {"conv_transpose2d", conv_transpose, NULL, 0},
    {"conv_transpose3d", conv_transpose, NULL, 0},
    {"linear", linear, NULL, 0},
    {"addmm", addmm, NULL, 0},
    {"t", transpose_matrix, NULL, 0},
    {"numpy_T", transpose_matrix, NULL, 0},
    {"batch_norm", batch_norm, NULL, 0},
    {"layer_norm", layer_norm, NULL, 0},
    {"group_norm", group_norm, NULL, 0},
    {"instance_norm", instance_norm, NULL, 0},
    {"_native_batch_norm_legit_no_training", native_batch_norm, NULL, 0},
    {"_native_batch_norm_legit", batch_statistics, NULL, 0},
    {"native_layer_norm", native_layer_norm, NULL, 0},
    {"native_group_norm", native_group_norm, NULL, 0},
    {"max_pool2d_with_indices", pool_with_places, NULL, 0},
    {"max_pool3d_with_indices", pool_with_places, NULL, 0},
    {"max_pool1d", max_pool, NULL, 0},
    {"max_pool2d", max_pool, NULL, 0},
    {"max_pool3d", max_pool, NULL, 0},
    {"avg_pool1d", avg_pool, NULL, 0},
    {"avg_pool2d", avg_pool, NULL, 0},
    {"avg_pool3d", avg_pool, NULL, 0},
    {"adaptive_avg_pool1d", adaptive, "AveragePool", 0},
    {"adaptive_avg_pool2d", adaptive, "AveragePool", 0},
    {"adaptive_avg_pool3d", adaptive, "AveragePool", 0},
    {"_adaptive_avg_pool2d", adaptive, "AveragePool", 0},
    {"_adaptive_avg_pool3d", adaptive, "AveragePool", 0},
    {"adaptive_max_pool1d", adaptive_max, "MaxPool", 0},
    {"adaptive_max_pool2d", adaptive_max, "MaxPool", 0},
    {"adaptive_max_pool3d", adaptive_max, "MaxPool", 0},
    {"dropout", dropout, NULL, 0},
    {"dropout2d", dropout, NULL, 0},
    {"feature_dropout", dropout, NULL, 0},
    {"alpha_dropout", dropout, NULL, 0},
    {"feature_alpha_dropout", dropout, NULL, 0},
    {"upsample_nearest1d", upsample, "nearest", 0},
    {"upsample_nearest2d", upsample, "nearest", 0},
    {"upsample_nearest3d", upsample, "nearest", 0},
    {"upsample_linear1d", upsample, "linear", 0},
    {"upsample_bilinear2d", upsample, "linear", 0},
    {"upsample_trilinear3d", upsample, "linear", 0},
    {"upsample_bicubic2d", upsample, "cubic", 0},
};

const script_calls cvi_script_layers = {rows, CVI_COUNT(rows)};

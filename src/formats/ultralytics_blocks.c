/* SPDX-License-Identifier: MIT
 * ultralytics_blocks.c - the modules of backbones and necks of YOLOv3 to YOLO11 as the package ultralytics and the YOLOv5 project name
 * them: convolutions with their normalisation, bottlenecks, the cross-stage blocks that split and join channels, pyramids of poolings,
 * attention over positions. One function a class; what a class has is read from the file, not assumed.
 */
#include <math.h>

#include "formats/ultralytics.h"

enum { MAX_PARTS = 66 };

static int value(const cvi_yolo *m, script_value x) {
    return cvi_script_graph(m->s, &x);
}

static int run(const cvi_yolo *m, const char *name, int x) {
    return value(m, cvi_yolo_run(m, name, cvi_script_tensor(x)));
}

static script_value result(int v) {
    return cvi_script_tensor(v);
}

/* x through the k-th module of a list. */
static int run_item(const cvi_yolo *m, const char *list, int k, int x) {
    char name[40];
    snprintf(name, sizeof name, "%s.%d", list, k);
    return run(m, name, x);
}

static int count_items(const cvi_yolo *m, const char *list) {
    char name[40];
    int n = 0;
    do {
        snprintf(name, sizeof name, "%s.%d", list, n);
    } while (cvi_yolo_part(m, name) && ++n < MAX_PARTS);
    return n;
}

static int sum(const cvi_yolo *m, int a, int b, bool last) {
    cvi_yolo_at(m, last);
    return cvi_yolo_two(m, "Add", a, b);
}

static int join(const cvi_yolo *m, int n, const int *in) {
    cvi_yolo_at(m, false);
    return cvi_yolo_concat(m, n, in, 1);
}

/* The channels of x in two halves. */
static void halve(const cvi_yolo *m, int x, int out[2]) {
    int64_t c = cvi_yolo_dim(m, x, 1), sizes[2] = {(c + 1) / 2, c / 2};
    cvi_yolo_at(m, false);
    cvi_yolo_split(m, x, 1, 2, sizes, out);
}

/* ---- convolutions ------------------------------------------------------------------------------------------- */

/* Where a checkpoint's convolutions were fused with their normalisation, the file has no bn. */
static script_value conv(const cvi_yolo *m, script_value x) {
    int v = run(m, "conv", value(m, x));
    v = cvi_yolo_part(m, "bn") ? run(m, "bn", v) : v;
    return result(cvi_yolo_part(m, "act") ? run(m, "act", v) : v);
}

/* Branches of one input added up before the activation: conv1 + conv2 [+ bn], or conv + conv1. */
static script_value rep_conv(const cvi_yolo *m, script_value x) {
    static const char *const branches[] = {"conv", "conv1", "conv2", "bn"};
    int in = value(m, x), v = -1;
    for (int i = 0; i < CVI_COUNT(branches); i++) {
        if (cvi_yolo_part(m, branches[i])) {
            int b = run(m, branches[i], in);
            v = v < 0 ? b : sum(m, v, b, false);
        }
    }
    return result(v >= 0 && cvi_yolo_part(m, "act") ? run(m, "act", v) : v);
}

/* Pixels of every second row and column side by side as channels: rows first, then columns. */
static script_value focus(const cvi_yolo *m, script_value x) {
    int in = value(m, x), part[4];
    const int64_t axes[2] = {2, 3}, steps[2] = {2, 2}, ends[2] = {INT64_MAX, INT64_MAX};
    cvi_yolo_at(m, false);
    for (int i = 0; i < 4 && cvi_script_ok(m->s); i++) {
        const int64_t starts[2] = {i & 1, i >> 1};
        int slice[5] = {in, cvi_script_const_ints(m->s, 2, starts), cvi_script_const_ints(m->s, 2, ends),
                        cvi_script_const_ints(m->s, 2, axes), cvi_script_const_ints(m->s, 2, steps)};
        part[i] = cvi_yolo_op(m, "Slice", 5, slice);
    }
    return result(cvi_script_ok(m->s) ? run(m, "conv", cvi_yolo_concat(m, 4, part, 1)) : -1);
}

static script_value ghost_conv(const cvi_yolo *m, script_value x) {
    int v[2] = {run(m, "cv1", value(m, x)), -1};
    v[1] = run(m, "cv2", v[0]);
    cvi_yolo_at(m, true);
    return result(cvi_yolo_concat(m, 2, v, 1));
}

/* ---- bottlenecks --------------------------------------------------------------------------------------------- */

static script_value bottleneck(const cvi_yolo *m, script_value x) {
    int in = value(m, x), v = run(m, "cv2", run(m, "cv1", in));
    return result(cvi_yolo_int(m, "add", 0) ? sum(m, in, v, true) : v);
}

static script_value ghost_bottleneck(const cvi_yolo *m, script_value x) {
    int in = value(m, x), v = run(m, "conv", in);
    return result(sum(m, v, run(m, "shortcut", in), true));
}

/* One path of layers, added to its input where the channels stay. */
static script_value cib(const cvi_yolo *m, script_value x) {
    int in = value(m, x), v = run(m, "cv1", in);
    return result(cvi_yolo_int(m, "add", 0) ? sum(m, in, v, true) : v);
}

static script_value two_convs(const cvi_yolo *m, script_value x) {
    return result(run(m, "cv2", run(m, "cv1", value(m, x))));
}

/* ---- cross-stage blocks --------------------------------------------------------------------------------------- */

/* cv3(m(cv1(x)), cv2(x)) */
static script_value c3(const cvi_yolo *m, script_value x) {
    int in = value(m, x), v[2] = {run(m, "m", run(m, "cv1", in)), -1};
    v[1] = run(m, "cv2", in);
    return result(run(m, "cv3", join(m, 2, v)));
}

/* The same with plain convolutions, normalised and activated after joining (YOLOv5 before version 4). */
static script_value bottleneck_csp(const cvi_yolo *m, script_value x) {
    int in = value(m, x), v[2] = {run(m, "cv3", run(m, "m", run(m, "cv1", in))), -1};
    v[1] = run(m, "cv2", in);
    return result(run(m, "cv4", run(m, "act", run(m, "bn", join(m, 2, v)))));
}

static script_value c1(const cvi_yolo *m, script_value x) {
    int v = run(m, "cv1", value(m, x));
    return result(sum(m, run(m, "m", v), v, true));
}

/* One half of cv1(x) goes through m, the other stays. */
static script_value c2(const cvi_yolo *m, script_value x) {
    int v[2];
    halve(m, run(m, "cv1", value(m, x)), v);
    v[0] = run(m, "m", v[0]);
    return result(run(m, "cv2", join(m, 2, v)));
}

/* The halves of cv1(x), and what each module of the list makes of the last, all joined. */
static script_value c2f(const cvi_yolo *m, script_value x) {
    int v[MAX_PARTS + 2], n = 2, items = count_items(m, "m");
    halve(m, run(m, "cv1", value(m, x)), v);
    for (int i = 0; i < items; i++, n++) {
        v[n] = run_item(m, "m", i, v[n - 1]);
    }
    return result(run(m, "cv2", join(m, n, v)));
}

/* YOLOv9's: further convolutions behind the halves (or behind the whole), all joined. */
static script_value elan(const cvi_yolo *m, script_value x, bool halves, const char *const *names, int n,
                         const char *last) {
    int v[6], k = 2;
    v[0] = run(m, "cv1", value(m, x));
    if (halves) {
        halve(m, v[0], v);
    } else {
        k = 1;
    }
    for (int i = 0; i < n; i++, k++) {
        v[k] = run(m, names[i], v[k - 1]);
    }
    return result(run(m, last, join(m, k, v)));
}

static script_value rep_elan(const cvi_yolo *m, script_value x) {
    static const char *const names[] = {"cv2", "cv3"};
    return elan(m, x, true, names, 2, "cv4");
}

static script_value spp_elan(const cvi_yolo *m, script_value x) {
    static const char *const names[] = {"cv2", "cv3", "cv4"};
    return elan(m, x, false, names, 3, "cv5");
}

/* YOLO12: cv1(x) and what each module of the list makes of the last; the input added where the file has a scale for it. */
static script_value a2c2f(const cvi_yolo *m, script_value x) {
    int in = value(m, x), v[MAX_PARTS + 1], n = 1, items = count_items(m, "m");
    const cvi_pickle *gamma = cvi_pickle_get(cvi_pickle_get(m->p->state, "_parameters"), "gamma");
    v[0] = run(m, "cv1", in);
    for (int i = 0; i < items; i++, n++) {
        v[n] = run_item(m, "m", i, v[n - 1]);
    }
    int y = run(m, "cv2", join(m, n, v));
    char *name = cvi_arena_printf(m->s->arena, "%s.gamma", m->path);
    script_value scale = gamma && name ? cvi_script_from_pickle(m->s, name, gamma) : cvi_script_none();
    if (scale.kind == SCRIPT_V_TENSOR) {
        const int64_t maps[4] = {1, -1, 1, 1};
        cvi_yolo_at(m, false);
        y = cvi_yolo_two(m, "Mul", cvi_yolo_reshape(m, scale.v, 4, maps), y);
        y = sum(m, in, y, true);
    }
    return result(y);
}

/* ---- poolings ------------------------------------------------------------------------------------------------- */

/* Side by side: the input and what each pooling of the list makes of it. */
static script_value spp(const cvi_yolo *m, script_value x) {
    int v[MAX_PARTS + 1], n = count_items(m, "m");
    v[0] = run(m, "cv1", value(m, x));
    for (int i = 0; i < n; i++) {
        v[1 + i] = run_item(m, "m", i, v[0]);
    }
    return result(run(m, "cv2", join(m, n + 1, v)));
}

/* One behind the other: one pooling, three times unless the file says otherwise. */
static script_value sppf(const cvi_yolo *m, script_value x) {
    int64_t n = CVI_MAX(CVI_MIN(cvi_yolo_int(m, "n", 3), 16), 1);
    int in = value(m, x), v[17];
    v[0] = run(m, "cv1", in);
    for (int i = 1; i <= n; i++) {
        v[i] = run(m, "m", v[i - 1]);
    }
    int y = run(m, "cv2", join(m, (int)n + 1, v));
    return result(cvi_yolo_int(m, "add", 0) ? sum(m, y, in, true) : y);
}

/* A pooling without a module of its own. */
static int pool(const cvi_yolo *m, const char *op, int x, int64_t kernel, int64_t stride, int64_t pad) {
    const int64_t k[2] = {kernel, kernel}, s[2] = {stride, stride}, p[4] = {pad, pad, pad, pad};
    cvi_yolo_at(m, false);
    script_node node = cvi_script_node(m->s, op, 1, &x, 3, false);
    cvi_script_attr_ints(m->s, &node, "kernel_shape", 2, k);
    cvi_script_attr_ints(m->s, &node, "strides", 2, s);
    cvi_script_attr_ints(m->s, &node, "pads", 4, p);
    return cvi_script_done(m->s, node).v;
}

static script_value a_down(const cvi_yolo *m, script_value x) {
    int v[2];
    halve(m, pool(m, "AveragePool", value(m, x), 2, 1, 0), v);
    v[0] = run(m, "cv1", v[0]);
    v[1] = run(m, "cv2", pool(m, "MaxPool", v[1], 3, 2, 1));
    cvi_yolo_at(m, true);
    return result(cvi_yolo_concat(m, 2, v, 1));
}

static script_value a_conv(const cvi_yolo *m, script_value x) {
    return result(run(m, "cv1", pool(m, "AveragePool", value(m, x), 2, 1, 0)));
}

/* ---- attention -------------------------------------------------------------------------------------------------- */

/* Queries, keys and values of every position, heads apart, and a depthwise convolution of the values added. */
static script_value attention(const cvi_yolo *m, script_value x) {
    int in = value(m, x), qkv = run(m, "qkv", in), part[3];
    int64_t heads = cvi_yolo_int(m, "num_heads", 1), key = cvi_yolo_int(m, "key_dim", 1),
            head = cvi_yolo_int(m, "head_dim", 1);
    const int64_t apart[4] = {0, heads, 2 * key + head, -1}, sizes[3] = {key, key, head};
    const int64_t whole[4] = {0, cvi_yolo_dim(m, in, 1), cvi_yolo_dim(m, in, 2), cvi_yolo_dim(m, in, 3)};
    static const int64_t turn[4] = {0, 1, 3, 2};
    cvi_yolo_at(m, false);
    cvi_yolo_split(m, cvi_yolo_reshape(m, qkv, 4, apart), 2, 3, sizes, part);
    int a = cvi_yolo_two(m, "MatMul", cvi_yolo_turn(m, part[0], 4, turn), part[1]);
    a = cvi_yolo_softmax(m, cvi_yolo_number(m, "Mul", a, cvi_yolo_float(m, "scale", 1)), -1);
    a = cvi_yolo_two(m, "MatMul", part[2], cvi_yolo_turn(m, a, 4, turn));
    a = cvi_yolo_reshape(m, a, 4, whole);
    int place = run(m, "pe", cvi_yolo_reshape(m, part[2], 4, whole));
    return result(run(m, "proj", sum(m, a, place, false)));
}

/* x + attn(x), then + ffn of that; without shortcuts where the file says so. */
static int attend(const cvi_yolo *m, int x, bool add, const char *last) {
    int v = run(m, "attn", x);
    x = add ? sum(m, x, v, false) : v;
    v = run(m, last, x);
    return add ? sum(m, x, v, true) : v;
}

static script_value psa_block(const cvi_yolo *m, script_value x) {
    return result(attend(m, value(m, x), cvi_yolo_int(m, "add", 1) != 0, "ffn"));
}

/* One half goes through attention, by a list of blocks or by modules of its own. */
static script_value psa(const cvi_yolo *m, script_value x) {
    int v[2];
    halve(m, run(m, "cv1", value(m, x)), v);
    if (cvi_yolo_part(m, "m")) {
        v[1] = run(m, "m", v[1]);
    } else {
        int a = sum(m, v[1], run(m, "attn", v[1]), false);
        v[1] = sum(m, a, run(m, "ffn", a), false);
    }
    return result(run(m, "cv2", join(m, 2, v)));
}

/* YOLO12: attention within bands of positions. */
static script_value area_attention(const cvi_yolo *m, script_value x) {
    int in = value(m, x), qkv = run(m, "qkv", in), part[3];
    int64_t heads = cvi_yolo_int(m, "num_heads", 1), head = cvi_yolo_int(m, "head_dim", 1),
            area = CVI_MAX(cvi_yolo_int(m, "area", 1), 1), h = cvi_yolo_dim(m, in, 2),
            w = cvi_yolo_dim(m, in, 3);
    if (head < 1 || heads < 1 || h * w % area) {
        cvi_script_refuse(m->s, "attention");
        return cvi_script_none();
    }
    /* [B, heads, 3 head, area, positions] with the areas beside the heads */
    const int64_t apart[5] = {0, heads, 3 * head, area, -1}, sizes[3] = {head, head, head};
    const int64_t maps[4] = {0, heads * head, h, w};
    static const int64_t bands[5] = {0, 3, 1, 2, 4}, back[5] = {0, 2, 3, 1, 4}, turn[5] = {0, 1, 2, 4, 3};
    cvi_yolo_at(m, false);
    int v = cvi_yolo_turn(m, cvi_yolo_reshape(m, qkv, 5, apart), 5, bands);
    cvi_yolo_split(m, v, 3, 3, sizes, part);
    int a = cvi_yolo_two(m, "MatMul", cvi_yolo_turn(m, part[0], 5, turn), part[1]);
    a = cvi_yolo_softmax(m, cvi_yolo_number(m, "Mul", a, pow((double)head, -0.5)), -1);
    a = cvi_yolo_two(m, "MatMul", part[2], cvi_yolo_turn(m, a, 5, turn));
    a = cvi_yolo_reshape(m, cvi_yolo_turn(m, a, 5, back), 4, maps);
    int values = cvi_yolo_reshape(m, cvi_yolo_turn(m, part[2], 5, back), 4, maps);
    return result(run(m, "proj", sum(m, a, run(m, "pe", values), false)));
}

static script_value area_block(const cvi_yolo *m, script_value x) {
    return result(attend(m, value(m, x), true, "mlp"));
}

/* ---- joining ----------------------------------------------------------------------------------------------------- */

static script_value concat(const cvi_yolo *m, script_value x) {
    int in[MAX_PARTS], n = CVI_MIN(cvi_yolo_count(x), MAX_PARTS);
    for (int i = 0; i < n; i++) {
        in[i] = value(m, cvi_yolo_item(m, x, i));
    }
    cvi_yolo_at(m, true);
    return result(cvi_yolo_concat(m, n, in, cvi_yolo_int(m, "d", 1)));
}

static script_value shortcut(const cvi_yolo *m, script_value x) {
    return result(sum(m, value(m, cvi_yolo_item(m, x, 0)), value(m, cvi_yolo_item(m, x, 1)), true));
}

/* torch's Upsample: a factor, or one for each side. */
static script_value upsample(const cvi_yolo *m, script_value x) {
    const cvi_pickle *f = cvi_pickle_get(m->p->state, "scale_factor"),
                     *c = cvi_pickle_get(m->p->state, "mode");
    float scales[4] = {1, 1, 0, 0};
    bool linear = strcmp(cvi_pickle_text(c), "bilinear") == 0;
    for (int i = 0; f && i < 2; i++) {
        const cvi_pickle *one = cvi_pickle_item(f, i) ? cvi_pickle_item(f, i) : f;
        scales[2 + i] = one->kind == CVI_PK_FLOAT ? (float)one->f
                        : one->kind == CVI_PK_INT ? (float)one->i
                                                  : 0;
    }
    if (!(scales[2] > 0 && scales[3] > 0) || (!linear && strcmp(cvi_pickle_text(c), "nearest") != 0)) {
        return cvi_script_refuse(m->s, "upsample");
    }
    int64_t four = 4;
    int in[3] = {value(m, x), -1, cvi_yolo_constant(m, "scales", 1, &four, scales)};
    cvi_yolo_at(m, true);
    script_node node = cvi_script_node(m->s, "Resize", 3, in, 3, false);
    const cvi_pickle *corners = cvi_pickle_get(m->p->state, "align_corners");
    cvi_script_attr_string(m->s, &node, "mode", linear ? "linear" : "nearest");
    cvi_script_attr_string(m->s, &node, "coordinate_transformation_mode",
                           !linear                      ? "asymmetric"
                           : corners && corners->i != 0 ? "align_corners"
                                                        : "pytorch_half_pixel");
    cvi_script_attr_string(m->s, &node, "nearest_mode", "floor");
    return cvi_script_done(m->s, node);
}

/* One convolution whose channels go to several places; and their sum, each brought to the size of the last. */
static script_value cb_linear(const cvi_yolo *m, script_value x) {
    const cvi_pickle *list = cvi_pickle_get(m->p->state, "c2s");
    int v = run(m, "conv", value(m, x)), out[16];
    int64_t sizes[16];
    script_value item[16];
    int n = list ? (int)CVI_MIN(list->n, 16) : 0;
    for (int i = 0; i < n; i++) {
        const cvi_pickle *c = cvi_pickle_item(list, i);
        sizes[i] = cvi_pickle_is(c, CVI_PK_INT) ? c->i : 0;
    }
    if (n < 1) {
        return cvi_script_refuse(m->s, "CBLinear");
    }
    cvi_yolo_at(m, false);
    cvi_yolo_split(m, v, 1, n, sizes, out);
    for (int i = 0; i < n; i++) {
        item[i] = cvi_script_tensor(out[i]);
    }
    return cvi_script_ok(m->s) ? cvi_script_list(m->s, n, item) : cvi_script_none();
}

static script_value cb_fuse(const cvi_yolo *m, script_value x) {
    const cvi_pickle *list = cvi_pickle_get(m->p->state, "idx");
    int n = cvi_yolo_count(x), v = value(m, cvi_yolo_item(m, x, n - 1)), last = v;
    for (int i = n - 2; i >= 0 && cvi_script_ok(m->s); i--) {
        const cvi_pickle *k = cvi_pickle_item(list, i);
        int one =
            value(m, cvi_yolo_item(m, cvi_yolo_item(m, x, i), cvi_pickle_is(k, CVI_PK_INT) ? (int)k->i : 0));
        int64_t have = cvi_yolo_dim(m, one, 2), want = cvi_yolo_dim(m, last, 2), four = 4;
        if (have < 1 || want % CVI_MAX(have, 1)) {
            return cvi_script_refuse(m->s, "CBFuse");
        }
        float factor = (float)(want / have), scales[4] = {1, 1, factor, factor};
        int in[3] = {one, -1, factor > 1 ? cvi_yolo_constant(m, "scales", 1, &four, scales) : -1};
        cvi_yolo_at(m, false);
        if (factor > 1) {
            script_node node = cvi_script_node(m->s, "Resize", 3, in, 3, false);
            cvi_script_attr_string(m->s, &node, "mode", "nearest");
            cvi_script_attr_string(m->s, &node, "coordinate_transformation_mode", "asymmetric");
            cvi_script_attr_string(m->s, &node, "nearest_mode", "floor");
            one = cvi_script_done(m->s, node).v;
        }
        v = sum(m, one, v, i == 0);
    }
    return result(v);
}

static const cvi_yolo_class rows[] = {
    {"Conv", conv},
    {"DWConv", conv},
    {"RepConv", rep_conv},
    {"RepVGGDW", rep_conv},
    {"Focus", focus},
    {"GhostConv", ghost_conv},
    {"Bottleneck", bottleneck},
    {"RepBottleneck", bottleneck},
    {"CrossConv", bottleneck},
    {"GhostBottleneck", ghost_bottleneck},
    {"CIB", cib},
    {"SCDown", two_convs},
    {"C1", c1},
    {"C2", c2},
    {"C3", c3},
    {"C3k", c3},
    {"C3x", c3},
    {"C3Ghost", c3},
    {"C3SPP", c3},
    {"RepCSP", c3},
    {"BottleneckCSP", bottleneck_csp},
    {"C2f", c2f},
    {"C3k2", c2f},
    {"C2fCIB", c2f},
    {"C2fPSA", c2f},
    {"A2C2f", a2c2f},
    {"RepNCSPELAN4", rep_elan},
    {"ELAN1", rep_elan},
    {"SPPELAN", spp_elan},
    {"SPP", spp},
    {"SPPF", sppf},
    {"ADown", a_down},
    {"AConv", a_conv},
    {"Attention", attention},
    {"PSABlock", psa_block},
    {"PSA", psa},
    {"C2PSA", psa},
    {"AAttn", area_attention},
    {"ABlock", area_block},
    {"Concat", concat},
    {"Shortcut", shortcut},
    {"Upsample", upsample},
    {"CBLinear", cb_linear},
    {"CBFuse", cb_fuse},
};

const cvi_yolo_classes cvi_yolo_blocks = {rows, CVI_COUNT(rows)};

/* SPDX-License-Identifier: MIT
 * tflite_more.c - operations of TensorFlow Lite that are TensorFlow's own under another number: the makers of graph operations
 * (tf_nodes.def) build them, from a node that is put together here; and windows of three dimensions.
 */
#include "formats/tf_graph.h"
#include "formats/tflite_ops.h"

/* ---- as TensorFlow has them ---- */

enum { MOST_INPUTS = 16 };

/* Builds operation `op` of TensorFlow on the operation's inputs, in that order (order NULL: as they are). */
static void as_graph(tflite *m, const char *op, int n, const int *order, int n_attr, tf_attr *attr) {
    cvi_tf_tensor *in[MOST_INPUTS];
    tf_node node = {.name = m->t.name, .op = op, .n_attr = n_attr, .attr = attr};
    tf_net net = {.t = m->t, .node = &node, .in = in, .n_in = n};
    const tf_maker *maker = cvi_tf_maker(op);
    for (int k = 0; k < n; k++) {
        in[k] = cvi_tflite_in(m, order ? order[k] : k);
        if (!in[k]) {
            m->refused = "this form of the operator is not run";
            return;
        }
    }
    if (!maker) {
        m->refused = "this operator is not known: it is drawn, but not run";
        return;
    }
    maker->make(&net);
    m->t = net.t;
    m->refused = net.refused;
    for (int k = 0; k < net.n_out && !net.refused && cvi_build_ok(&m->t.b); k++) {
        cvi_tflite_put(m, k, net.out[k]);
    }
}

/* Flags of an operation: name in TensorFlow, field of its options. */
typedef struct flag {
    const char *name;
    int field, bytes;
} flag;

void cvi_tflite_as_graph(tflite *m) {
    static const struct {
        int code;
        const char *op;
        int n;
        flag flags[2];
    } rows[] = {{48, "TopKV2", 2, {{0}}},
                {85, "OneHot", 4, {{"axis", 0, 4}}},
                {91, "Any", 2, {{"keep_dims", 0, 1}}},
                {93, "ZerosLike", 1, {{0}}},
                {95, "FloorMod", 2, {{0}}},
                {96, "Range", 3, {{0}}},
                {105, "ReverseV2", 2, {{0}}},
                {107, "GatherNd", 2, {{0}}},
                {109, "Where", 1, {{0}}},
                {110, "Rank", 1, {{0}}},
                {122, "ScatterNd", 3, {{0}}},
                {128, "Cumsum", 2, {{"exclusive", 0, 1}, {"reverse", 1, 1}}},
                {130, "BroadcastTo", 2, {{0}}},
                {140, "All", 2, {{"keep_dims", 0, 1}}},
                {156, "Atan2", 2, {{0}}}};
    for (int i = 0; i < CVI_COUNT(rows); i++) {
        if (rows[i].code == m->kind->code) {
            tf_attr attr[2];
            int n = 0;
            for (const flag *f = rows[i].flags; n < 2 && f[n].name; n++) {
                attr[n] = (tf_attr){.name = f[n].name, .i = cvi_tflite_option(m, f[n].field, f[n].bytes, 0)};
                attr[n].f = (double)attr[n].i;
            }
            as_graph(m, rows[i].op, rows[i].n, NULL, n, attr);
            return;
        }
    }
}

/* ---- three dimensions ---- */

static cvi_tf_window window_3d(tflite *m) {
    cvi_tf_window w = {.n = 3};
    static const int place[3] = {1, 3, 2}; /* depth, height and width of the strides, and of the dilations */
    w.padding = cvi_tflite_option(m, 0, 1, 0) == 0 ? CVI_TF_SAME : CVI_TF_VALID;
    for (int i = 0; i < 3; i++) {
        w.stride[i] = cvi_tflite_option(m, place[i], 4, 0);
        w.dilation[i] = cvi_tflite_option(m, place[i] + 4, 4, 1);
    }
    return w;
}

void cvi_tflite_conv_3d(tflite *m) {
    cvi_tf_tensor *x = cvi_tflite_in(m, 0), *kernel = cvi_tflite_in(m, 1), *bias = cvi_tflite_in(m, 2);
    cvi_tf_window w = window_3d(m);
    if (x && kernel) {
        cvi_tflite_put(m, 0, cvi_tf_conv(&m->t, x, kernel, CVI_TF_HWIO, bias, &w));
    }
}

void cvi_tflite_transpose_conv_3d(tflite *m) {
    int64_t dim[CVS_MAX_RANK];
    cvi_tf_tensor *kernel = cvi_tflite_in(m, 1), *x = cvi_tflite_in(m, 2), *bias = cvi_tflite_in(m, 3);
    cvi_tf_window w = window_3d(m);
    if (cvi_tflite_ints(m, 0, 5, dim) != 5) {
        m->refused = "the output's size is known only while running";
    } else if (x && kernel) {
        cvi_tflite_put(m, 0, cvi_tf_conv_transpose(&m->t, x, kernel, CVI_TF_T_HWOI, bias, &w, dim));
    }
}

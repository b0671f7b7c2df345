/* SPDX-License-Identifier: MIT
 * tflite_custom.c - custom operations of TensorFlow Lite, by name: what stands behind SSD detectors (TFLite_Detection_PostProcess) and the
 * transposed convolution with a bias of MediaPipe's networks. Settings of the first are a FlexBuffer.
 */
#include "formats/tflite_ops.h"

/* ---- FlexBuffers: numbers of a map by key ---- */

typedef struct flex {
    const uint8_t *data;
    size_t size;
} flex;

/* `width` bytes at a place as a number; false: outside. */
static bool flex_uint(const flex *f, size_t at, size_t width, uint64_t *out) {
    if (width < 1 || width > 8 || at > f->size || width > f->size - at) {
        return false;
    }
    *out = 0;
    for (size_t i = 0; i < width; i++) {
        *out |= (uint64_t)f->data[at + i] << (8 * i);
    }
    return true;
}

/* Where the number at a place points: so many bytes before it. */
static bool flex_back(const flex *f, size_t at, size_t width, size_t *out) {
    uint64_t n = 0;
    if (!flex_uint(f, at, width, &n) || n > at) {
        return false;
    }
    *out = at - (size_t)n;
    return true;
}

static double flex_real(uint64_t bits, size_t width) {
    float f = 0;
    double d = 0;
    uint32_t half = (uint32_t)bits;
    if (width == 4) {
        memcpy(&f, &half, sizeof f);
        return (double)f;
    }
    memcpy(&d, &bits, sizeof d);
    return width == 8 ? d : 0;
}

static double flex_value(const flex *f, size_t at, size_t width, unsigned type) {
    enum { INT = 1, UINT = 2, FLOAT = 3, INDIRECT_INT = 6, INDIRECT_FLOAT = 8, BOOL = 26 };
    unsigned kind = type >> 2;
    uint64_t bits = 0;
    if (kind >= INDIRECT_INT && kind <= INDIRECT_FLOAT) {
        if (!flex_back(f, at, width, &at)) {
            return 0;
        }
        width = (size_t)1 << (type & 3);
        kind -= INDIRECT_INT - INT;
    }
    if (!flex_uint(f, at, width, &bits)) {
        return 0;
    }
    if (kind == FLOAT) {
        return flex_real(bits, width);
    }
    bool negative = kind == INT && width < 8 && bits >> (8 * width - 1);
    return kind == INT ? (double)(int64_t)(negative ? bits | ~UINT64_C(0) << (8 * width) : bits)
           : kind == UINT || kind == BOOL ? (double)bits
                                          : 0;
}

static double flex_number(const flex *f, const char *key, double otherwise) {
    enum { MAP = 9, MOST = 1000 };
    uint64_t n = 0, key_width = 0;
    size_t map = 0, keys = 0, name = 0, length = strlen(key);
    if (f->size < 3) {
        return otherwise;
    }
    size_t root = f->data[f->size - 1], width = (size_t)1 << (f->data[f->size - 2] & 3);
    if (f->data[f->size - 2] >> 2 != MAP || root < 1 || root > 8 || f->size < 2 + root ||
        !flex_back(f, f->size - 2 - root, root, &map) || map < 3 * width ||
        !flex_uint(f, map - width, width, &n) || !flex_uint(f, map - 2 * width, width, &key_width) ||
        !flex_back(f, map - 3 * width, width, &keys) || n > MOST) {
        return otherwise;
    }
    for (size_t i = 0; i < n; i++) {
        size_t type = map + (size_t)n * width + i;
        if (type < f->size && flex_back(f, keys + i * key_width, key_width, &name) &&
            length < f->size - name && memcmp(f->data + name, key, length + 1) == 0) {
            return flex_value(f, map + i * width, width, f->data[type]);
        }
    }
    return otherwise;
}

static cvi_fb_vector custom_options(tflite *m) {
    return cvi_fb_vector_field(&m->f, &m->op, 5, 1);
}

/* ---- detections ---- */

static int constant(tflite *m, const char *part, double v) {
    return cvi_build_const_float(&m->t.b, cvi_tf_part(&m->t, part), v);
}

static int ints(tflite *m, const char *part, int n, const int64_t *v) {
    return cvi_build_const_ints(&m->t.b, cvi_tf_part(&m->t, part), n, v);
}

static int step(tflite *m, const char *op, const char *part, int n, const int *in) {
    return cvi_tf_op(&m->t, op, part, n, in);
}

static int reshape(tflite *m, int v, const char *part, int rank, const int64_t *dim) {
    int shape = ints(m, cvi_build_name(&m->t.b, "%s/shape", part), rank, dim);
    return step(m, "Reshape", part, 2, (int[]){v, shape});
}

/* Columns [from, to) of the last axis of `rank`. */
static int columns(tflite *m, int v, const char *part, int64_t axis, int64_t from, int64_t to) {
    int begin = ints(m, cvi_build_name(&m->t.b, "%s/from", part), 1, &from);
    int end = ints(m, cvi_build_name(&m->t.b, "%s/to", part), 1, &to);
    int along = ints(m, cvi_build_name(&m->t.b, "%s/axis", part), 1, &axis);
    return step(m, "Slice", part, 4, (int[]){v, begin, end, along});
}

/* Corners [N,4] (top, left, bottom, right) of boxes [1,N,4] that say where they lie beside anchors [N,4] (y, x, height, width). */
static int decode(tflite *m, const flex *f, int boxes, int anchors) {
    static const char *const scale[] = {"y_scale", "x_scale", "h_scale", "w_scale"};
    const int64_t flat[2] = {-1, 4};
    float by[4];
    const int64_t one[2] = {1, 4};
    for (int i = 0; i < 4; i++) {
        double s = flex_number(f, scale[i], 1);
        by[i] = s > 0 ? (float)s : 1;
    }
    int scales = cvi_build_const_floats(&m->t.b, cvi_tf_part(&m->t, "scales"), 2, one, by);
    int rows = reshape(m, boxes, "rows", 2, flat), half = constant(m, "half", 0.5);
    rows = step(m, "Div", "scaled", 2, (int[]){rows, scales});
    anchors = reshape(m, anchors, "anchors", 2, flat);
    int place = columns(m, rows, "place", 1, 0, 2), size = columns(m, rows, "size", 1, 2, 4);
    int middle = columns(m, anchors, "middle", 1, 0, 2), side = columns(m, anchors, "side", 1, 2, 4);
    place = step(m, "Mul", "moved", 2, (int[]){place, side});
    place = step(m, "Add", "centre", 2, (int[]){place, middle});
    size = step(m, "Exp", "grown", 1, &size);
    size = step(m, "Mul", "sides", 2, (int[]){size, side});
    size = step(m, "Mul", "half_sides", 2, (int[]){size, half});
    int first = step(m, "Sub", "first", 2, (int[]){place, size});
    int last = step(m, "Add", "last", 2, (int[]){place, size});
    int corners = step(m, "Concat", "corners", 2, (int[]){first, last});
    cvi_build_int(&m->t.b, "axis", 1);
    return corners;
}

/* Rows added behind, so that the best `most` are always there. */
static int padded(tflite *m, int v, const char *part, int rank, int64_t most, double with) {
    const int64_t pads[4] = {0, rank == 1 ? most : 0, most, 0};
    int widths = ints(m, cvi_build_name(&m->t.b, "%s/widths", part), 2 * rank, pads);
    int value = constant(m, cvi_build_name(&m->t.b, "%s/value", part), with);
    return step(m, "Pad", part, 3, (int[]){v, widths, value});
}

static void put(tflite *m, int k, int v, int rank) {
    cvi_tf_tensor out = cvi_tf_value(&m->t, v, rank, false);
    cvi_tflite_put(m, k, out);
}

/* The name that output k bears for the node that is about to be made. */
static void name_output(tflite *m, int k) {
    const tflite_tensor *out = cvi_tflite_out(m, k);
    m->t.name = out ? out->name : cvi_tf_part(&m->t, "output");
}

typedef struct kept {
    int rows;    /* [k,3]: 0, class, box */
    int scores;  /* [classes,N] */
    int classes; /* [N], of the best class of each; -1: rows say it */
    int corners; /* [N,4] */
    int64_t most;
} kept;

/* What stays as the four outputs: corners, classes, scores, how many. */
static void answer(tflite *m, const kept *s) {
    const char *own = m->t.name;
    const int64_t flat = -1, boxes[3] = {1, s->most, 4}, list[2] = {1, s->most}, one = 1;
    int two = ints(m, "column", 1, (const int64_t[]){2}), most = ints(m, "most", 1, &s->most);
    int box = step(m, "Gather", "kept", 2, (int[]){s->rows, two});
    cvi_build_int(&m->t.b, "axis", 1);
    box = reshape(m, box, "places", 1, &flat);
    int pair = columns(m, s->rows, "pairs", 1, 1, 3);
    int score = step(m, "GatherND", "kept_scores", 2, (int[]){s->scores, pair});
    int class = columns(m, s->rows, "classes", 1, 1, 2);
    class = s->classes >= 0 ? step(m, "Gather", "kept_classes", 2, (int[]){s->classes, box})
                            : reshape(m, class, "kept_classes", 1, &flat);
    class = step(m, "Cast", "class_numbers", 1, &class);
    cvi_build_int(&m->t.b, "to", CVS_F32);
    int corners = step(m, "Gather", "kept_corners", 2, (int[]){s->corners, box});
    int in[2] = {padded(m, score, "scores", 1, s->most, -1), most};
    int node = cvi_build_node(&m->t.b, "TopK", cvi_tf_part(&m->t, "best"), 2, in, 2);
    int best = cvi_build_out(&m->t.b, 0, cvi_tf_part(&m->t, "best"), true);
    int order = cvi_build_out(&m->t.b, 1, cvi_tf_part(&m->t, "order"), true);
    (void)node;
    corners = step(m, "Gather", "best_corners", 2,
                   (int[]){padded(m, corners, "more_corners", 2, s->most, 0), order});
    class =
        step(m, "Gather", "best_classes", 2, (int[]){padded(m, class, "more_classes", 1, s->most, 0), order});
    int zero = constant(m, "zero", 0), low = constant(m, "none", -0.5);
    int there = step(m, "Greater", "there", 2, (int[]){best, low});
    there = step(m, "Cast", "counted", 1, &there);
    cvi_build_int(&m->t.b, "to", CVS_F32);
    int above = step(m, "Max", "above", 2, (int[]){best, zero});
    const int results[] = {corners, class, above};
    for (int k = 0; k < 3; k++) {
        int shape = ints(m, cvi_build_name(&m->t.b, "shape_%d", k), k == 0 ? 3 : 2, k == 0 ? boxes : list);
        name_output(m, k);
        put(m, k, step(m, "Reshape", NULL, 2, (int[]){results[k], shape}), k == 0 ? 3 : 2);
        m->t.name = own;
    }
    int axis = ints(m, "all", 1, (const int64_t[]){0});
    name_output(m, 3);
    put(m, 3, step(m, "ReduceSum", NULL, 2, (int[]){there, axis}), 1);
    cvi_build_int(&m->t.b, "keepdims", one);
    m->t.name = own;
}

/* boxes [1,N,4], scores [1,N,background and classes], anchors [N,4]. */
static void detections(tflite *m) {
    cvi_fb_vector options = custom_options(m);
    const flex f = {.data = m->f.data + options.at, .size = options.n > 0 ? (size_t)options.n : 0};
    cvi_tf_tensor *boxes = cvi_tflite_in(m, 0), *scores = cvi_tflite_in(m, 1), *anchors = cvi_tflite_in(m, 2);
    int64_t dim[CVS_MAX_RANK], at[CVS_MAX_RANK];
    double most = flex_number(&f, "max_detections", 0), per = flex_number(&f, "detections_per_class", 100);
    bool regular = flex_number(&f, "use_regular_nms", 0) != 0;
    if (!boxes || !scores || !anchors || scores->rank != 3 || boxes->rank != 3 ||
        !cvi_tf_dims(&m->t, scores, dim) || !cvi_tf_dims(&m->t, boxes, at) || dim[0] != 1 || at[0] != 1 ||
        dim[1] < 1 || at[2] != 4 || at[1] != dim[1] || most < 1 || most > 10000 || per < 1 || per > 10000 ||
        (!regular && flex_number(&f, "max_classes_per_detection", 1) != 1)) {
        m->refused = "this form of the operator is not run";
        return;
    }
    double classes = flex_number(&f, "num_classes", (double)dim[2]);
    int64_t background = classes >= 1 && classes < (double)dim[2] ? dim[2] - (int64_t)classes : 0;
    kept s = {.most = (int64_t)most, .classes = -1};
    const int64_t last = -1, turn[2] = {1, 0}, rows[2] = {dim[1], dim[2]}, batch[3] = {1, -1, dim[1]},
                  whole[3] = {1, -1, 4};
    s.corners = decode(m, &f, cvi_tf_form(&m->t, boxes, false), cvi_tf_form(&m->t, anchors, false));
    int all = reshape(m, cvi_tf_form(&m->t, scores, false), "all_scores", 2, rows);
    all = columns(m, all, "own_scores", 1, background, dim[2]);
    if (!regular) {
        s.classes = step(m, "ArgMax", "best_class", 1, &all);
        cvi_build_int(&m->t.b, "axis", 1);
        cvi_build_int(&m->t.b, "keepdims", 0);
        int axis = ints(m, "classes_axis", 1, &last);
        all = step(m, "ReduceMax", "best_score", 2, (int[]){all, axis});
    }
    s.scores = step(m, "Transpose", "by_class", 1, &all);
    cvi_build_ints(&m->t.b, "perm", 2, turn);
    int in[5] = {reshape(m, s.corners, "batch_corners", 3, whole),
                 reshape(m, s.scores, "batch_scores", 3, batch),
                 ints(m, "per_class", 1, (const int64_t[]){regular ? (int64_t)per : s.most}),
                 constant(m, "overlap", flex_number(&f, "nms_iou_threshold", 0.5)),
                 constant(m, "least", flex_number(&f, "nms_score_threshold", 0))};
    s.rows = step(m, "NonMaxSuppression", "suppressed", 5, in);
    answer(m, &s);
}

/* ---- MediaPipe ---- */

/* x, kernel [O,h,w,I], bias; settings: kind of padding, widths and heights of steps, as three numbers of 32 bits. */
static void transpose_bias(tflite *m) {
    cvi_fb_vector options = custom_options(m);
    const flex f = {.data = m->f.data + options.at, .size = options.n > 0 ? (size_t)options.n : 0};
    cvi_tf_tensor *x = cvi_tflite_in(m, 0), *kernel = cvi_tflite_in(m, 1), *bias = cvi_tflite_in(m, 2);
    int64_t dim[CVS_MAX_RANK], side[CVS_MAX_RANK];
    uint64_t padding = 0, width = 0, height = 0;
    if (!x || !kernel || x->rank != 4 || kernel->rank != 4 || !cvi_tf_dims(&m->t, x, dim) ||
        !cvi_tf_dims(&m->t, kernel, side) || !flex_uint(&f, 0, 4, &padding) || !flex_uint(&f, 4, 4, &width) ||
        !flex_uint(&f, 8, 4, &height) || padding < 1 || padding > 2 || width < 1 || width > 64 ||
        height < 1 || height > 64) {
        m->refused = "this form of the operator is not run";
        return;
    }
    cvi_tf_window w = {.n = 2, .dilation = {1, 1, 1}, .stride = {(int64_t)height, (int64_t)width}};
    w.padding = padding == 1 ? CVI_TF_SAME : CVI_TF_VALID;
    for (int i = 1; i < 3; i++) {
        if (dim[i] < 1 || dim[i] > 1 << 20 || side[i] < 1 || side[i] > 1 << 20) {
            m->refused = "its sizes are known only while running";
            return;
        }
        dim[i] = padding == 1 ? dim[i] * w.stride[i - 1] : (dim[i] - 1) * w.stride[i - 1] + side[i];
    }
    dim[3] = side[0];
    cvi_tflite_put(m, 0, cvi_tf_conv_transpose(&m->t, x, kernel, CVI_TF_T_OHWI, bias, &w, dim));
}

const tflite_op *cvi_tflite_custom(const char *name) {
    static const tflite_op table[] = {{32, "TFLite_Detection_PostProcess", detections, -1, false},
                                      {32, "Convolution2DTransposeBias", transpose_bias, -1, false}};
    for (int i = 0; i < CVI_COUNT(table); i++) {
        if (strcmp(table[i].name, name) == 0) {
            return &table[i];
        }
    }
    return NULL;
}

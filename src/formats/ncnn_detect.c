/* SPDX-License-Identifier: MIT
 * ncnn_detect.c - ncnn's layers at the end of detectors as graph nodes: prior boxes and detections of the SSD kind, boxes of the third
 * and fourth YOLO. Rows are [class, score, left, top, right, bottom]. Numbers of settings are ncnn's own.
 */
#include <math.h>

#include "formats/ncnn.h"

enum { MOST = 64 };

static void refuse(ncnn *m) {
    m->refused = "this form of the operator is not run";
}

/* ---- the SSD kind ---- */

/* Pixels between places: told, else the picture shared evenly (in whole pixels, rounded up, where `whole`); 0: not known. */
static double step_of(ncnn *m, int id, int64_t image, int64_t side, bool whole) {
    double step = cvi_ncnn_float(m, id, -233);
    if (step != -233) {
        return step;
    }
    step = image > 0 && side > 0 ? (double)image / (double)side : 0;
    return whole ? ceil(step) : step;
}

void cvi_ncnn_prior_box(ncnn *m) {
    const ncnn_setting *s = m->layer->setting;
    double ratio[2 * MOST], variance[4], step[2];
    int64_t image[2] = {cvi_ncnn_int(m, 10, 0), cvi_ncnn_int(m, 9, 0)};
    int n = 0, ins = CVI_MIN(m->layer->n_in, 2);
    bool flip = cvi_ncnn_int(m, 7, 1) != 0, whole = cvi_ncnn_int(m, 14, 0) != 0;
    bool told = image[0] > 0 && image[1] > 0;
    if (cvi_ncnn_rank(m, m->in[0]) != 4 || s[0].n < 1 || s[0].n > MOST || s[1].n > s[0].n ||
        (s[1].n > 0 && s[1].n != s[0].n) || s[2].n > MOST || (!told && ins < 2)) {
        refuse(m); /* also MXNet's form, which has no picture */
        return;
    }
    for (int i = 0; i < s[2].n; i++) {
        ratio[n++] = s[2].list[i];
        if (flip) {
            ratio[n++] = 1 / s[2].list[i];
        }
    }
    for (int i = 0; i < 4; i++) {
        variance[i] = cvi_ncnn_float(m, 3 + i, i < 2 ? 0.1 : 0.2);
    }
    for (int i = 0; i < 2; i++) {
        int64_t side = told ? image[i] : cvi_ncnn_dim(m, m->in[1], 2 + i);
        step[i] = step_of(m, 12 - i, side, cvi_ncnn_dim(m, m->in[0], 2 + i), whole);
    }
    double offset = cvi_ncnn_float(m, 13, 0);
    if (cvi_ncnn_int(m, 15, 0)) { /* the middle of a cell counted from pixel to pixel */
        if (!(step[0] > 0) || step[0] != step[1]) {
            refuse(m);
            return;
        }
        offset = offset * (step[0] - 1) / step[0];
    }
    bool steps = whole || cvi_ncnn_float(m, 11, -233) != -233 || cvi_ncnn_float(m, 12, -233) != -233;
    int v = cvi_ncnn_op(m, "convscope::PriorBox", NULL, ins, m->in);
    cvi_build_floats(&m->b, "min_size", s[0].n, s[0].list);
    if (s[1].n > 0) {
        cvi_build_floats(&m->b, "max_size", s[1].n, s[1].list);
    }
    if (n > 0) {
        cvi_build_floats(&m->b, "aspect_ratio", n, ratio);
    }
    cvi_build_floats(&m->b, "variance", 4, variance);
    if (told) {
        cvi_build_ints(&m->b, "image", 2, image);
    }
    if (steps) {
        cvi_build_floats(&m->b, "step", 2, step);
    }
    cvi_build_float(&m->b, "offset", offset);
    cvi_build_int(&m->b, "clip", cvi_ncnn_int(m, 8, 0) != 0);
    cvi_ncnn_put(m, 0, v);
}

void cvi_ncnn_detection_output(ncnn *m) {
    if (m->layer->n_in < 3 || cvi_ncnn_int(m, 0, 0) == -233) { /* MXNet's form */
        refuse(m);
        return;
    }
    const int64_t one = 1, many = INT64_MAX, last = 3;
    int v = cvi_ncnn_op(m, "convscope::DetectionOutput", "rows", 3, m->in);
    cvi_build_string(&m->b, "code_type", "center_size");
    cvi_build_float(&m->b, "nms_threshold", cvi_ncnn_float(m, 1, 0.05));
    cvi_build_int(&m->b, "top_k", CVI_MAX(cvi_ncnn_int(m, 2, 300), 0));
    cvi_build_int(&m->b, "keep_top_k", CVI_MAX(cvi_ncnn_int(m, 3, 100), 0));
    cvi_build_float(&m->b, "confidence_threshold", cvi_ncnn_float(m, 4, 0.5));
    cvi_build_int(&m->b, "group_by_classes", 0);
    int in[4] = {v, cvi_build_const_ints(&m->b, cvi_ncnn_name(m, "from"), 1, &one),
                 cvi_build_const_ints(&m->b, cvi_ncnn_name(m, "to"), 1, &many),
                 cvi_build_const_ints(&m->b, cvi_ncnn_name(m, "axis"), 1, &last)};
    v = cvi_ncnn_op(m, "Slice", "boxes", 4, in); /* all but the picture's number */
    int out[2] = {v, cvi_build_const_ints(&m->b, cvi_ncnn_name(m, "line"), 1, &one)};
    cvi_ncnn_put(m, 0, cvi_ncnn_op(m, "Squeeze", NULL, 2, out));
}

/* ---- YOLO ---- */

typedef struct scale {
    int64_t boxes, classes, rows, columns;
    double anchor[MOST][2]; /* in parts of the picture */
    int k;                  /* which input */
} scale;

/* A name of a part of input k. */
static const char *of(ncnn *m, const scale *s, const char *part) {
    return cvi_build_name(&m->b, "%s-%d", part, s->k);
}

/* Numbers [from,to) of every box: x [N,B,5+C,HW] to [N,B,to-from,HW]. */
static int numbers_of(ncnn *m, const scale *s, const char *part, int x, int64_t from, int64_t to) {
    const int64_t axis = 2;
    const char *name = of(m, s, part);
    int in[4] = {
        x, cvi_build_const_ints(&m->b, cvi_build_name(&m->b, "%s-from", cvi_ncnn_name(m, name)), 1, &from),
        cvi_build_const_ints(&m->b, cvi_build_name(&m->b, "%s-to", cvi_ncnn_name(m, name)), 1, &to),
        cvi_build_const_ints(&m->b, cvi_build_name(&m->b, "%s-axis", cvi_ncnn_name(m, name)), 1, &axis)};
    return cvi_ncnn_op(m, "Slice", name, 4, in);
}

/* A constant by place: what lies left of and above it (half 0), or the anchors (half 1), as [1,1|B,2,HW|1]. */
static int constant_of(ncnn *m, const scale *s, bool anchors) {
    int64_t area = s->rows * s->columns, dim[4] = {1, anchors ? s->boxes : 1, 2, anchors ? 1 : area};
    float *v = cvi_arena_alloc(m->b.model->arena, dim[1] * 2 * dim[3], sizeof *v);
    if (!v) {
        cvi_build_no_memory(&m->b, (size_t)(dim[1] * 2 * dim[3]) * sizeof *v);
        return -1;
    }
    for (int64_t i = 0; i < dim[1]; i++) {
        for (int64_t k = 0; k < dim[3]; k++) {
            v[i * 2 * dim[3] + k] = anchors ? (float)s->anchor[i][0] : (float)(k % s->columns);
            v[(i * 2 + 1) * dim[3] + k] = anchors ? (float)s->anchor[i][1] : (float)(k / s->columns);
        }
    }
    return cvi_build_const_floats(&m->b, cvi_ncnn_name(m, of(m, s, anchors ? "anchors" : "places")), 4, dim,
                                  v);
}

/* Corners [N,B,4,HW] of moved anchors, as parts of the picture. */
static int corners(ncnn *m, const scale *s, int x) {
    const int64_t dim[4] = {1, 1, 2, 1};
    const float sides[2] = {1 / (float)s->columns, 1 / (float)s->rows};
    int at = numbers_of(m, s, "middle", x, 0, 2), size = numbers_of(m, s, "size", x, 2, 4);
    at = cvi_ncnn_op(m, "Sigmoid", of(m, s, "moved"), 1, &at);
    at = cvi_ncnn_op(m, "Add", of(m, s, "cells"), 2, (int[]){at, constant_of(m, s, false)});
    int part = cvi_build_const_floats(&m->b, cvi_ncnn_name(m, of(m, s, "sides")), 4, dim, sides);
    at = cvi_ncnn_op(m, "Mul", of(m, s, "at"), 2, (int[]){at, part});
    size = cvi_ncnn_op(m, "Exp", of(m, s, "times"), 1, &size);
    size = cvi_ncnn_op(m, "Mul", of(m, s, "wide"), 2, (int[]){size, constant_of(m, s, true)});
    size = cvi_ncnn_with(m, "Mul", of(m, s, "half"), size, of(m, s, "one-half"), 0.5);
    int low = cvi_ncnn_op(m, "Sub", of(m, s, "low"), 2, (int[]){at, size});
    int high = cvi_ncnn_op(m, "Add", of(m, s, "high"), 2, (int[]){at, size});
    int v = cvi_ncnn_op(m, "Concat", of(m, s, "corners"), 2, (int[]){low, high});
    cvi_build_int(&m->b, "axis", 2);
    return v;
}

/* The best class of every box and its score 1 / (1 + e^-object (1 + e^-class)), each [N,B,1,HW]. */
static void best_class(ncnn *m, const scale *s, int x, int *label, int *score) {
    const int64_t axis = 2;
    int object = numbers_of(m, s, "object", x, 4, 5),
        classes = numbers_of(m, s, "classes", x, 5, 5 + s->classes);
    int v = cvi_ncnn_op(m, "ArgMax", of(m, s, "best"), 1, &classes);
    cvi_build_int(&m->b, "axis", axis);
    v = cvi_ncnn_op(m, "Cast", of(m, s, "number"), 1, &v);
    cvi_build_int(&m->b, "to", 1);
    *label = cvi_ncnn_with(m, "Add", of(m, s, "label"), v, of(m, s, "one"), 1); /* 0 is the background */
    int at = cvi_build_const_ints(&m->b, cvi_ncnn_name(m, of(m, s, "class-axis")), 1, &axis);
    v = cvi_ncnn_op(m, "ReduceMax", of(m, s, "best-score"), 2, (int[]){classes, at});
    v = cvi_ncnn_op(m, "Neg", of(m, s, "less"), 1, &v);
    v = cvi_ncnn_op(m, "Exp", of(m, s, "odds"), 1, &v);
    v = cvi_ncnn_with(m, "Add", of(m, s, "more"), v, of(m, s, "one-more"), 1);
    object = cvi_ncnn_op(m, "Neg", of(m, s, "no-object"), 1, &object);
    object = cvi_ncnn_op(m, "Exp", of(m, s, "object-odds"), 1, &object);
    v = cvi_ncnn_op(m, "Mul", of(m, s, "both"), 2, (int[]){v, object});
    v = cvi_ncnn_with(m, "Add", of(m, s, "sum"), v, of(m, s, "one-again"), 1);
    *score = cvi_ncnn_op(m, "Reciprocal", of(m, s, "score"), 1, &v);
}

/* Rows [N,B HW,6] of one input; -1 where it does not fit. */
static int rows_of(ncnn *m, scale *s) {
    const ncnn_setting *size = &m->layer->setting[4], *mask = &m->layer->setting[5],
                       *wide = &m->layer->setting[6];
    int x = m->in[s->k], label = -1, score = -1;
    int64_t per = 5 + s->classes;
    s->rows = cvi_ncnn_dim(m, x, 2);
    s->columns = cvi_ncnn_dim(m, x, 3);
    if (cvi_ncnn_rank(m, x) != 4 || s->rows < 1 || s->columns < 1 || s->rows > 1 << 15 ||
        s->columns > 1 << 15 || cvi_ncnn_dim(m, x, 1) != s->boxes * per || wide->n <= s->k) {
        return -1;
    }
    for (int i = 0; i < s->boxes; i++) {
        int64_t at = s->boxes * s->k + i;
        double which = at < mask->n ? mask->list[at] : -1;
        if (!(which >= 0 && 2 * which + 1 < size->n)) {
            return -1;
        }
        s->anchor[i][0] = size->list[2 * (int)which] / trunc(wide->list[s->k] * (double)s->columns);
        s->anchor[i][1] = size->list[2 * (int)which + 1] / trunc(wide->list[s->k] * (double)s->rows);
    }
    int64_t area = s->rows * s->columns;
    x = cvi_ncnn_reshape(m, of(m, s, "cut"), x, 4, (int64_t[]){0, s->boxes, per, area});
    best_class(m, s, x, &label, &score);
    int v = cvi_ncnn_op(m, "Concat", of(m, s, "columns"), 3, (int[]){label, score, corners(m, s, x)});
    cvi_build_int(&m->b, "axis", 2);
    v = cvi_ncnn_transpose(m, of(m, s, "turned"), v, 4, (int64_t[]){0, 1, 3, 2});
    return cvi_ncnn_reshape(m, of(m, s, "rows"), v, 3, (int64_t[]){0, s->boxes * area, 6});
}

/* Columns [from,to) of rows [1,P,6]. */
static int columns_of(ncnn *m, const char *part, int rows, int64_t from, int64_t to) {
    const int64_t axis = 2;
    int in[4] = {
        rows, cvi_build_const_ints(&m->b, cvi_build_name(&m->b, "%s-from", cvi_ncnn_name(m, part)), 1, &from),
        cvi_build_const_ints(&m->b, cvi_build_name(&m->b, "%s-to", cvi_ncnn_name(m, part)), 1, &to),
        cvi_build_const_ints(&m->b, cvi_build_name(&m->b, "%s-axis", cvi_ncnn_name(m, part)), 1, &axis)};
    return cvi_ncnn_op(m, "Slice", part, 4, in);
}

void cvi_ncnn_yolo_output(ncnn *m) {
    scale s = {.boxes = cvi_ncnn_int(m, 1, 5), .classes = cvi_ncnn_int(m, 0, 20)};
    int part[16], n = m->layer->n_in;
    if (n < 1 || n > CVI_COUNT(part) || s.boxes < 1 || s.boxes > MOST || s.classes < 1 ||
        s.classes > 1 << 20) {
        refuse(m);
        return;
    }
    for (s.k = 0; s.k < n; s.k++) {
        part[s.k] = rows_of(m, &s);
        if (part[s.k] < 0) {
            refuse(m);
            return;
        }
    }
    int rows = cvi_ncnn_op(m, "Concat", "all", n, part);
    cvi_build_int(&m->b, "axis", 1);
    const int64_t most = INT32_MAX, two = 2, three = 3, zero = 0, turned[3] = {0, 2, 1};
    int boxes = columns_of(m, "boxes", rows, 2, 6), scores = columns_of(m, "scores", rows, 1, 2);
    int in[5] = {boxes, cvi_ncnn_transpose(m, "scores-line", scores, 3, turned),
                 cvi_build_const_ints(&m->b, cvi_ncnn_name(m, "most"), 1, &most),
                 cvi_build_const_float(&m->b, cvi_ncnn_name(m, "overlap"), cvi_ncnn_float(m, 3, 0.45)),
                 cvi_build_const_float(&m->b, cvi_ncnn_name(m, "least"), cvi_ncnn_float(m, 2, 0.01))};
    int kept = cvi_ncnn_op(m, "NonMaxSuppression", "kept", 5, in);
    const int64_t one = 1;
    int at[4] = {kept, cvi_build_const_ints(&m->b, cvi_ncnn_name(m, "kept-from"), 1, &two),
                 cvi_build_const_ints(&m->b, cvi_ncnn_name(m, "kept-to"), 1, &three),
                 cvi_build_const_ints(&m->b, cvi_ncnn_name(m, "kept-axis"), 1, &one)};
    int which = cvi_ncnn_op(m, "Slice", "which", 4, at);
    int list = cvi_ncnn_reshape(m, "list", rows, 2, (int64_t[]){-1, 6});
    int v = cvi_ncnn_op(m, "GatherND", "found", 2, (int[]){list, which});
    cvi_ncnn_put(m, 0, cvi_ncnn_unsqueeze(m, NULL, v, 1, &zero));
}

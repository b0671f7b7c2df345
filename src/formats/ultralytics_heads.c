/* SPDX-License-Identifier: MIT
 * ultralytics_heads.c - what stands at the end of the YOLO networks: boxes decoded to pixels with their scores, as the libraries' own
 * exports give them. YOLOv5: offsets to anchors of a grid. YOLOv8 and later: distances to four sides, each the mean of a distribution (Li
 * et al. 2020), from the middle of a cell; masks, key points and turned boxes beside them; YOLOv10: the best 300 instead of all.
 */
#include <math.h>

#include "formats/ultralytics.h"
#include "ops/op.h"

enum { MAX_LEVELS = 8 };

static int value(const cvi_yolo *m, script_value x) {
    return cvi_script_graph(m->s, &x);
}

static int run(const cvi_yolo *m, const char *name, int x) {
    return value(m, cvi_yolo_run(m, name, cvi_script_tensor(x)));
}

static int run_item(const cvi_yolo *m, const char *list, int k, int x) {
    char name[40];
    snprintf(name, sizeof name, "%s.%d", list, k);
    return run(m, name, x);
}

/* The maps that a head reads; 0 and a failure when it reads none, or too many. */
static int levels(const cvi_yolo *m, script_value x, int v[MAX_LEVELS]) {
    int n = cvi_yolo_count(x);
    if (n > MAX_LEVELS) {
        cvi_script_refuse(m->s, "a head of many levels");
        return 0;
    }
    for (int i = 0; i < n; i++) {
        v[i] = value(m, cvi_yolo_item(m, x, i));
    }
    return cvi_script_ok(m->s) ? n : 0;
}

/* All positions of all levels of list[i](x[i]), one behind the other: [B,channels,positions]. */
static int flat(const cvi_yolo *m, const char *list, const int *x, int n) {
    int v[MAX_LEVELS];
    for (int i = 0; i < n; i++) {
        v[i] = run_item(m, list, i, x[i]);
        const int64_t dim[3] = {0, cvi_yolo_dim(m, v[i], 1), -1};
        cvi_yolo_at(m, false);
        v[i] = cvi_yolo_reshape(m, v[i], 3, dim);
    }
    return cvi_yolo_concat(m, n, v, 2);
}

/* ---- YOLOv8 and later ---------------------------------------------------------------------------------------- */

/* The middle of each cell, in cells, [2,A], and how many pixels a cell has, [1,A]. */
typedef struct cells {
    int middle, stride;
} cells;

static cells make_cells(const cvi_yolo *m, const int *x, int n) {
    int64_t count = 0, at = 0, side = m->s->side;
    for (int i = 0; i < n; i++) {
        count += cvi_yolo_dim(m, x[i], 2) * cvi_yolo_dim(m, x[i], 3);
    }
    float *middle =
        count > 0 && count < 1 << 24 ? cvi_arena_alloc(m->s->arena, 3 * count, sizeof *middle) : NULL;
    if (!middle) {
        cvi_script_set(m->s, cvi_no_memory(m->s->err, 0));
        return (cells){-1, -1};
    }
    for (int i = 0; i < n; i++) {
        int64_t h = cvi_yolo_dim(m, x[i], 2), w = cvi_yolo_dim(m, x[i], 3);
        for (int64_t k = 0; k < h * w; k++, at++) {
            middle[at] = (float)(k % w) + 0.5f;
            middle[count + at] = (float)(k / w) + 0.5f;
            middle[2 * count + at] = (float)side / (float)h;
        }
    }
    const int64_t two[2] = {2, count}, one[2] = {1, count};
    return (cells){cvi_yolo_constant(m, "anchors", 2, two, middle),
                   cvi_yolo_constant(m, "strides", 2, one, middle + 2 * count)};
}

/* The mean of each of the four distributions: [B,4*bins,A] to [B,4,A]. */
static script_value means(const cvi_yolo *m, script_value in) {
    int x = value(m, in);
    const int64_t apart[4] = {0, 4, cvi_yolo_dim(m, x, 1) / 4, -1}, four[3] = {0, 4, -1};
    static const int64_t turn[4] = {0, 2, 1, 3};
    cvi_yolo_at(m, false);
    x = cvi_yolo_softmax(m, cvi_yolo_turn(m, cvi_yolo_reshape(m, x, 4, apart), 4, turn), 1);
    x = run(m, "conv", x);
    cvi_yolo_at(m, true);
    return cvi_script_tensor(cvi_yolo_reshape(m, x, 3, four));
}

/* Distances [B,4,A] left, up, right, down to boxes in cells: corners, or middle and size. */
static int boxes(const cvi_yolo *m, int x, const cells *c, bool corners) {
    static const int64_t two[2] = {2, 2};
    int d[2], v[2];
    cvi_yolo_split(m, x, 1, 2, two, d);
    v[0] = cvi_yolo_two(m, "Sub", c->middle, d[0]);
    v[1] = cvi_yolo_two(m, "Add", c->middle, d[1]);
    if (!corners) {
        int size = cvi_yolo_two(m, "Sub", v[1], v[0]);
        v[0] = cvi_yolo_number(m, "Mul", cvi_yolo_two(m, "Add", v[0], v[1]), 0.5);
        v[1] = size;
    }
    return cvi_yolo_concat(m, 2, v, 1);
}

/* Boxes that are turned: the middle moves along the box's own axes. */
static int turned_boxes(const cvi_yolo *m, int x, int angle, const cells *c) {
    static const int64_t two[2] = {2, 2}, one[2] = {1, 1};
    int d[2], f[2], v[2], cosine = cvi_yolo_op(m, "Cos", 1, &angle), sine = cvi_yolo_op(m, "Sin", 1, &angle);
    cvi_yolo_split(m, x, 1, 2, two, d);
    cvi_yolo_split(m, cvi_yolo_number(m, "Mul", cvi_yolo_two(m, "Sub", d[1], d[0]), 0.5), 1, 2, one, f);
    v[0] = cvi_yolo_two(m, "Sub", cvi_yolo_two(m, "Mul", f[0], cosine), cvi_yolo_two(m, "Mul", f[1], sine));
    v[1] = cvi_yolo_two(m, "Add", cvi_yolo_two(m, "Mul", f[0], sine), cvi_yolo_two(m, "Mul", f[1], cosine));
    v[0] = cvi_yolo_two(m, "Add", cvi_yolo_concat(m, 2, v, 1), c->middle);
    v[1] = cvi_yolo_two(m, "Add", d[0], d[1]);
    return cvi_yolo_concat(m, 2, v, 1);
}

/* Only the `keep` entries of x [B,A,k] that index [B,keep] names. */
static int gather(const cvi_yolo *m, int x, int index, int64_t k) {
    const int64_t axis = 2, sizes[3] = {1, 1, k};
    int in[2] = {index, cvi_script_const_ints(m->s, 1, &axis)};
    in[0] = cvi_yolo_op(m, "Unsqueeze", 2, in);
    in[1] = cvi_script_const_ints(m->s, 3, sizes);
    int pair[2] = {x, cvi_yolo_op(m, "Expand", 2, in)};
    script_node node = cvi_script_node(m->s, "GatherElements", 2, pair, 1, false);
    cvi_script_attr_int(m->s, &node, "axis", 1);
    return cvi_script_done(m->s, node).v;
}

/* The largest of x along its last axis, and their places. */
static void largest(const cvi_yolo *m, int x, int64_t keep, int out[2]) {
    int in[2] = {x, cvi_script_const_ints(m->s, 1, &keep)};
    script_node node = cvi_script_nodes(m->s, "TopK", 2, in, 1, 2, false);
    cvi_script_attr_int(m->s, &node, "axis", -1);
    cvi_script_done(m->s, node);
    for (int k = 0; k < 2; k++) {
        out[k] = cvi_script_ok(m->s) ? m->s->g->nodes[node.index].out[k] : -1;
    }
}

static int whole(const cvi_yolo *m, const char *op, int x, int64_t number) {
    int in[2] = {x, cvi_script_const_ints(m->s, 1, &number)};
    return cvi_yolo_op(m, op, 2, in);
}

/* YOLOv10: of boxes [B,4,A] and scores [B,classes,A] the best, as rows of box, score and class. */
static script_value best(const cvi_yolo *m, int box, int score, int64_t classes) {
    static const int64_t turn[3] = {0, 2, 1};
    const int64_t keep = CVI_MIN(CVI_MAX(cvi_yolo_int(m, "max_det", 300), 1), cvi_yolo_dim(m, box, 2)),
                  last = -1;
    int top[2], row[3];
    box = cvi_yolo_turn(m, box, 3, turn);
    score = cvi_yolo_turn(m, score, 3, turn);
    int in[2] = {score, cvi_script_const_ints(m->s, 1, &last)};
    script_node most = cvi_script_node(m->s, "ReduceMax", 2, in, 1, false);
    cvi_script_attr_int(m->s, &most, "keepdims", 0);
    largest(m, cvi_script_done(m->s, most).v, keep, top);
    box = gather(m, box, top[1], 4);
    score = gather(m, score, top[1], classes);
    const int64_t all[2] = {0, -1};
    largest(m, cvi_yolo_reshape(m, score, 2, all), keep, top);
    row[0] = gather(m, box, whole(m, "Div", top[1], classes), 4);
    int kind = whole(m, "Mod", top[1], classes);
    script_node cast = cvi_script_node(m->s, "Cast", 1, &kind, 1, false);
    cvi_script_attr_int(m->s, &cast, "to", CVS_F32);
    kind = cvi_script_done(m->s, cast).v;
    int axis = cvi_script_const_ints(m->s, 1, &last), score_in[2] = {top[0], axis}, kind_in[2] = {kind, axis};
    row[1] = cvi_yolo_op(m, "Unsqueeze", 2, score_in);
    row[2] = cvi_yolo_op(m, "Unsqueeze", 2, kind_in);
    cvi_yolo_at(m, true);
    return cvi_script_tensor(cvi_yolo_concat(m, 3, row, -1));
}

/* Boxes in pixels, probabilities of the classes, and `extra` [B,k,A] (or -1): [B,4+classes+k,A]. */
static script_value detected(const cvi_yolo *m, const int *x, int n, const cells *c, int angle, int extra) {
    bool ends = cvi_yolo_part(m, "one2one_cv2") != NULL;
    int box = flat(m, ends ? "one2one_cv2" : "cv2", x, n);
    int score = flat(m, ends ? "one2one_cv3" : "cv3", x, n);
    int64_t classes = cvi_yolo_dim(m, score, 1);
    box = cvi_yolo_dim(m, box, 1) > 4 ? run(m, "dfl", box)
                                      : box; /* four numbers are the distances themselves */
    cvi_yolo_at(m, false);
    box = angle >= 0 ? turned_boxes(m, box, angle, c) : boxes(m, box, c, ends);
    box = cvi_yolo_two(m, "Mul", box, c->stride);
    score = cvi_yolo_op(m, "Sigmoid", 1, &score);
    if (ends && extra < 0) {
        return best(m, box, score, classes);
    }
    int all[3] = {box, score, extra};
    cvi_yolo_at(m, true);
    return cvi_script_tensor(cvi_yolo_concat(m, extra >= 0 ? 3 : 2, all, 1));
}

/* ---- YOLOv5 -------------------------------------------------------------------------------------------------- */

/* The numbers of a tensor among the module's buffers or settings. */
static bool numbers(const cvi_yolo *m, const char *name, int64_t want, double *out) {
    const cvi_pickle *p = cvi_pickle_get(cvi_pickle_get(m->p->state, "_buffers"), name);
    cvs_tensor t = {0};
    bool is = false;
    p = p ? p : cvi_pickle_get(m->p->state, name);
    cvi_script_set(m->s, cvi_torch_tensor(m->s->torch, p, &is, &t));
    if (!cvi_script_ok(m->s) || !is || !t.data || cvs_tensor_count(&t) != want) {
        return false;
    }
    for (int64_t i = 0; i < want; i++) {
        out[i] = cvi_get(&t, i);
    }
    return true;
}

/* One level [B,anchors*each,h,w] to [B,anchors*h*w,each]; `masks` numbers at the end of each stay as they are. */
static int anchored(const cvi_yolo *m, int x, int64_t anchors, int64_t masks, const double *sizes) {
    int64_t h = cvi_yolo_dim(m, x, 2), w = cvi_yolo_dim(m, x, 3),
            each = cvi_yolo_dim(m, x, 1) / CVI_MAX(anchors, 1);
    double stride = h > 0 ? (double)m->s->side / (double)h : 0;
    const int64_t apart[5] = {0, anchors, each, h, w}, rows[3] = {0, anchors * h * w, each},
                  parts[4] = {2, 2, each - 4 - masks, masks}, cell[5] = {1, 1, h, w, 2},
                  box[5] = {1, anchors, 1, 1, 2};
    static const int64_t turn[5] = {0, 1, 3, 4, 2};
    float *grid = h > 0 && h * w < 1 << 22 ? cvi_arena_alloc(m->s->arena, 2 * h * w, sizeof *grid) : NULL,
          size[32];
    if (!grid || anchors > 16 || each - 4 - masks < 1) {
        cvi_script_refuse(m->s, "Detect");
        return -1;
    }
    for (int64_t k = 0; k < h * w; k++) {
        grid[2 * k] = (float)(((double)(k % w) - 0.5) * stride);
        grid[2 * k + 1] = (float)(((double)(k / w) - 0.5) * stride);
    }
    for (int64_t k = 0; k < 2 * anchors; k++) {
        size[k] = (float)(sizes[k] * stride * 4);
    }
    int v[4];
    cvi_yolo_at(m, false);
    cvi_yolo_split(m, cvi_yolo_turn(m, cvi_yolo_reshape(m, x, 5, apart), 5, turn), 4, masks > 0 ? 4 : 3,
                   parts, v);
    for (int i = 0; i < 3; i++) {
        v[i] = cvi_yolo_op(m, "Sigmoid", 1, &v[i]);
    }
    v[0] = cvi_yolo_number(m, "Mul", v[0], 2 * stride);
    v[0] = cvi_yolo_two(m, "Add", v[0], cvi_yolo_constant(m, "grid", 5, cell, grid));
    v[1] = cvi_yolo_two(m, "Mul", v[1], v[1]);
    v[1] = cvi_yolo_two(m, "Mul", v[1], cvi_yolo_constant(m, "anchors", 5, box, size));
    return cvi_yolo_reshape(m, cvi_yolo_concat(m, masks > 0 ? 4 : 3, v, 4), 3, rows);
}

static script_value detected_by_anchors(const cvi_yolo *m, const int *x, int n, int64_t masks) {
    int v[MAX_LEVELS];
    double size[MAX_LEVELS * 32];
    int64_t anchors = cvi_yolo_int(m, "na", 3);
    if (anchors < 1 || anchors > 16 || !numbers(m, "anchors", n * anchors * 2, size)) {
        return cvi_script_refuse(m->s, "Detect");
    }
    for (int i = 0; i < n && cvi_script_ok(m->s); i++) {
        v[i] = anchored(m, run_item(m, "m", i, x[i]), anchors, masks, size + i * anchors * 2);
    }
    cvi_yolo_at(m, true);
    return cvi_script_ok(m->s) ? cvi_script_tensor(cvi_yolo_concat(m, n, v, 1)) : cvi_script_none();
}

/* ---- the classes --------------------------------------------------------------------------------------------- */

static script_value detect(const cvi_yolo *m, script_value x) {
    int v[MAX_LEVELS], n = levels(m, x, v);
    if (n < 1) {
        return cvi_script_none();
    }
    if (cvi_yolo_part(m, "m")) {
        return detected_by_anchors(m, v, n, 0);
    }
    cells c = make_cells(m, v, n);
    return detected(m, v, n, &c, -1, -1);
}

/* Boxes with weights of masks, and the masks that are weighed. */
static script_value segment(const cvi_yolo *m, script_value x) {
    int v[MAX_LEVELS], n = levels(m, x, v);
    script_value out[2];
    if (n < 1) {
        return cvi_script_none();
    }
    out[1] = cvi_script_tensor(run(m, "proto", v[0]));
    if (cvi_yolo_part(m, "m")) {
        out[0] = detected_by_anchors(m, v, n, cvi_yolo_int(m, "nm", 32));
    } else {
        cells c = make_cells(m, v, n);
        out[0] = detected(m, v, n, &c, -1, flat(m, "cv4", v, n));
    }
    return cvi_script_ok(m->s) ? cvi_script_list(m->s, 2, out) : cvi_script_none();
}

/* Points [B,points*k,A]: places in pixels, and how sure where k is 3. */
static int points(const cvi_yolo *m, int x, const cells *c) {
    const cvi_pickle *shape = cvi_pickle_get(m->p->state, "kpt_shape"), *k = cvi_pickle_item(shape, 1);
    int64_t each = cvi_pickle_is(k, CVI_PK_INT) ? k->i : 3, all = cvi_yolo_dim(m, x, 1);
    const int64_t apart[4] = {0, each > 0 ? all / each : 0, each, -1}, flat_dim[3] = {0, all, -1},
                  parts[2] = {2, each - 2}, middle[4] = {1, 1, 2, -1}, one[4] = {1, 1, 1, -1};
    int v[2];
    if (each < 2 || each > 3) {
        cvi_script_refuse(m->s, "Pose");
        return -1;
    }
    cvi_yolo_at(m, false);
    v[0] = cvi_yolo_reshape(m, x, 4, apart);
    if (each == 3) {
        cvi_yolo_split(m, v[0], 2, 2, parts, v);
        v[1] = cvi_yolo_op(m, "Sigmoid", 1, &v[1]);
    }
    int corner = cvi_yolo_number(m, "Sub", c->middle, 0.5);
    v[0] = cvi_yolo_two(m, "Add", cvi_yolo_number(m, "Mul", v[0], 2), cvi_yolo_reshape(m, corner, 4, middle));
    v[0] = cvi_yolo_two(m, "Mul", v[0], cvi_yolo_reshape(m, c->stride, 4, one));
    return cvi_yolo_reshape(m, each == 3 ? cvi_yolo_concat(m, 2, v, 2) : v[0], 3, flat_dim);
}

static script_value pose(const cvi_yolo *m, script_value x) {
    int v[MAX_LEVELS], n = levels(m, x, v);
    if (n < 1) {
        return cvi_script_none();
    }
    cells c = make_cells(m, v, n);
    return detected(m, v, n, &c, -1, points(m, flat(m, "cv4", v, n), &c));
}

static script_value turned(const cvi_yolo *m, script_value x) {
    int v[MAX_LEVELS], n = levels(m, x, v);
    if (n < 1) {
        return cvi_script_none();
    }
    cells c = make_cells(m, v, n);
    int angle = flat(m, "cv4", v, n);
    cvi_yolo_at(m, false);
    angle = cvi_yolo_op(m, "Sigmoid", 1, &angle);
    angle = cvi_yolo_number(m, "Mul", cvi_yolo_number(m, "Sub", angle, 0.25), 3.14159265358979323846);
    return detected(m, v, n, &c, angle, angle);
}

/* The masks that a Segment weighs. */
static script_value proto(const cvi_yolo *m, script_value x) {
    int v = run(m, "upsample", run(m, "cv1", value(m, x)));
    return cvi_yolo_run(m, "cv3", cvi_script_tensor(run(m, "cv2", v)));
}

/* The package ultralytics answers with probabilities, YOLOv5 with what stands before them. */
static script_value classify(const cvi_yolo *m, script_value x) {
    int v[MAX_LEVELS], n = levels(m, x, v);
    cvi_yolo_at(m, false);
    int in = n > 1 ? cvi_yolo_concat(m, n, v, 1) : n == 1 ? v[0] : -1;
    in = run(m, "pool", run(m, "conv", in));
    cvi_yolo_at(m, false);
    script_node node = cvi_script_node(m->s, "Flatten", 1, &in, 1, true);
    cvi_script_attr_int(m->s, &node, "axis", 1);
    in = cvi_script_done(m->s, node).v;
    in = run(m, "linear", cvi_yolo_part(m, "drop") ? run(m, "drop", in) : in);
    bool probable = strncmp(cvi_pickle_maker(m->p), "ultralytics.", 12) == 0;
    cvi_yolo_at(m, true);
    return cvi_script_tensor(probable ? cvi_yolo_softmax(m, in, 1) : in);
}

static const cvi_yolo_class rows[] = {
    {"Detect", detect}, {"v10Detect", detect}, {"Segment", segment},   {"Pose", pose},
    {"OBB", turned},    {"Proto", proto},      {"Classify", classify}, {"DFL", means},
};

const cvi_yolo_classes cvi_yolo_heads = {rows, CVI_COUNT(rows)};

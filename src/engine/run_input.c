/* SPDX-License-Identifier: MIT
 * run_input.c - what goes into a run: tensors, .npy files in the model file's layout, pictures; checks it against what
 * the model declares.
 */
#include <math.h>

#include "engine/run_state.h"

/* ---- what the model takes --------------------------------------------------------------------------- */

static int64_t sensible_side(const cvs_model *model) {
    int64_t to = model->preprocess.known ? model->preprocess.resize_to : 0;
    return to <= 0 ? 224 : to <= 224 ? to : (int64_t)rint((double)to * 224 / 256);
}

cvs_status cvi_input_shape(const cvs_model *model, const cvs_run_options *o, int i, cvs_tensor *out,
                           cvs_error *err) {
    const cvi_value *value = &model->graph->values[model->graph->inputs[i]];
    *out = (cvs_tensor){.dtype = value->dtype == CVS_NONE ? CVS_F32 : value->dtype, .rank = value->rank};
    if (value->rank < 0) {
        return cvi_fail(err, CVS_E_LATE,
                        "the model does not tell the shape of its input %.80s: give it a .npy file",
                        value->name);
    }
    for (int d = 0; d < value->rank; d++) {
        int64_t n = value->dim[d];
        if (n < 0) {
            int64_t side = d == 2 ? o->height : d == 3 ? o->width : 0;
            n = d == 0                         ? CVI_MAX(o->batch, 1)
                : d == 1 && value->rank == 4   ? 3
                : d >= 2 && side > 0 && i == 0 ? side
                : value->usual[d] > 0          ? value->usual[d]
                : d >= 2 && value->rank >= 3   ? sensible_side(model)
                                               : 1;
        }
        out->dim[d] = n;
    }
    return CVS_OK;
}

/* Sides that networks are commonly made for; tried in turn where the file leaves them free and the first one does not fit. */
static const int64_t common_sides[] = {224, 299, 227, 256, 192, 128, 96, 64, 32, 28};

static bool has_free_side(const cvs_model *model) {
    const cvi_graph *g = model->graph;
    const cvi_value *value = g->n_inputs > 0 ? &g->values[g->inputs[0]] : NULL;
    return value && value->rank == 4 && (value->dim[2] < 0 || value->dim[3] < 0);
}

static cvs_status try_default(const cvs_model *model, const cvs_run_options *o, cvi_exec **out,
                              cvs_error *err) {
    int n = model->graph->n_inputs;
    cvs_tensor *shapes = cvi_calloc((size_t)CVI_MAX(n, 1), sizeof *shapes);
    if (!shapes) {
        return cvi_no_memory(err, sizeof *shapes);
    }
    for (int i = 0; i < n; i++) {
        if (cvi_input_shape(model, o, i, &shapes[i], NULL) != CVS_OK) {
            shapes[i] = (cvs_tensor){0};
        }
    }
    cvs_logit_kind kind;
    int logit = model->graph->n_outputs > 0 ? cvi_graph_logit(model->graph, 0, &kind) : -1;
    cvi_exec_options options = {.max_bytes = o->limits.max_memory_bytes,
                                .described = true,
                                .exact = o->exact,
                                .plain = o->plain,
                                .keep = o->answer_only ? CVI_KEEP_ANSWER : CVI_KEEP_ALL,
                                .keep_values = &logit,
                                .n_keep = 1};
    cvs_status s = cvi_exec_new(model->graph, shapes, &options, out, err);
    cvi_free(shapes);
    return s;
}

cvs_status cvi_exec_default(const cvs_model *model, const cvs_run_options *options, cvi_exec **out,
                            cvs_error *err) {
    cvs_run_options o = options ? *options : (cvs_run_options){0};
    *out = NULL;
    o.limits = cvs_limits_default(options ? &options->limits : NULL);
    cvs_status s = try_default(model, &o, out, err);
    bool free_side = s == CVS_E_SHAPE && o.height == 0 && o.width == 0 && has_free_side(model);
    for (int i = 0; free_side && s == CVS_E_SHAPE && i < CVI_COUNT(common_sides); i++) {
        o.height = o.width = common_sides[i];
        cvs_error quiet = {0};
        if (try_default(model, &o, out, &quiet) == CVS_OK) {
            cvi_error_clear(err);
            s = CVS_OK;
        }
    }
    return s;
}

cvs_status cvi_layout_last(const char *layout, cvi_file_layout own, bool *last, cvs_error *err) {
    if (!layout || !*layout) {
        *last = own == CVI_FILE_LAST;
    } else if (strcmp(layout, "nchw") == 0 || strcmp(layout, "nhwc") == 0) {
        *last = layout[3] == 'c';
    } else {
        return cvi_at_attr(
            err, cvi_fail(err, CVS_E_ARGUMENT, "unknown layout \"%.40s\"; layouts: nchw, nhwc", layout),
            "layout");
    }
    return CVS_OK;
}

/* A graph that has channels last itself (ONNX made from Keras or TensorFlow): nothing says so but the declared shape. */
static bool declared_last(const cvi_value *value) {
    if (value->file_layout == CVI_FILE_LAST || value->rank < 3 || value->rank > 4) {
        return false;
    }
    int64_t front = value->dim[value->rank - 3], back = value->dim[value->rank - 1];
    return (back == 1 || back == 3) && front != 1 && front != 3;
}

/* Compares with the declared shape; a batch that only differs in size is allowed (the run goes sample by sample). */
static cvs_status check_shape(const cvi_value *value, const cvs_tensor *t, cvs_error *err) {
    bool fits = value->rank < 0 || value->rank == t->rank;
    for (int d = 0; d < t->rank && fits; d++) {
        bool batch = d == 0 && value->rank >= 2 && t->dim[0] > 0;
        fits = value->rank < 0 || value->dim[d] < 0 || value->dim[d] == t->dim[d] || batch;
    }
    if (fits) {
        return CVS_OK;
    }
    char a[200], b[200];
    cvs_shape_text(CVI_MAX(value->rank, 0), value->dim, a, sizeof a);
    cvs_shape_text(t->rank, t->dim, b, sizeof b);
    cvs_status s =
        value->rank == 4 && !declared_last(value)
            ? cvi_fail(err, CVS_E_SHAPE,
                       "the model's input %.80s is %s (batch first, then channels), this is %s", value->name,
                       a, b)
            : cvi_fail(err, CVS_E_SHAPE, "the model's input %.80s is %s, this is %s", value->name, a, b);
    return cvi_at_attr(err, s, value->name);
}

/* ---- tensors ---------------------------------------------------------------------------------------- */

static void free_all(cvs_tensor *t, int n) {
    for (int i = 0; t && i < n; i++) {
        cvs_tensor_free(&t[i]);
    }
    cvi_free(t);
}

static cvs_status check_count(const cvs_model *model, int n, cvs_error *err) {
    if (n != model->graph->n_inputs) {
        return cvi_fail(err, CVS_E_ARGUMENT, "the model has %d inputs, %d were given", model->graph->n_inputs,
                        n);
    }
    return CVS_OK;
}

/* Owned copy of `t` in the value's type, checked. */
static cvs_status adopt(const cvi_value *value, const cvs_tensor *t, cvs_tensor *out, cvs_error *err) {
    CVI_TRY(check_shape(value, t, err));
    return cvs_tensor_convert(t, value->dtype == CVS_NONE ? t->dtype : value->dtype, out, err);
}

cvs_status cvs_run_tensors(cvs_run *run, const cvs_tensor *inputs, int n_inputs, cvs_error *err) {
    const cvi_graph *g = run->model->graph;
    CVI_TRY(check_count(run->model, n_inputs, err));
    cvs_tensor *own = cvi_calloc((size_t)CVI_MAX(n_inputs, 1), sizeof *own);
    cvs_status s = own ? CVS_OK : cvi_no_memory(err, sizeof *own);
    for (int i = 0; i < n_inputs && s == CVS_OK; i++) {
        s = adopt(&g->values[g->inputs[i]], &inputs[i], &own[i], err);
    }
    if (s == CVS_OK) {
        s = cvi_run_take(run, own, err);
    }
    free_all(own, n_inputs);
    return s;
}

static bool is_archive(const cvi_file *file) {
    return file->size >= 4 && memcmp(file->data, "PK\3\4", 4) == 0;
}

/* ---- .npy ------------------------------------------------------------------------------------------- */

typedef enum npy_turn { TURN_NONE, TURN_FRONT, TURN_BACK } npy_turn;

/* Where the channels of a .npy have to go. Without --layout the file is in the order that the model file declares. */
static npy_turn turn_for(const cvi_value *value, const char *layout, bool last) {
    if (!declared_last(value)) {
        return last ? TURN_FRONT : TURN_NONE;
    }
    return layout && *layout && !last ? TURN_BACK : TURN_NONE;
}

/* File order -> graph order: adds the batch dimension, moves the channels. `t` is changed, `out` owned. */
static cvs_status to_graph_order(const cvi_value *value, cvs_tensor *t, npy_turn turn, cvs_tensor *out,
                                 cvs_error *err) {
    if (value->rank >= 2 && t->rank == value->rank - 1) {
        memmove(t->dim + 1, t->dim, sizeof(int64_t) * (size_t)t->rank);
        t->dim[0] = 1;
        t->rank++;
    }
    cvs_tensor turned = {0};
    if (turn != TURN_NONE && t->rank >= 3) {
        int perm[CVS_MAX_RANK] = {0};
        for (int d = 1; d < t->rank; d++) {
            int to = turn == TURN_FRONT ? d : d == 1 ? t->rank - 1 : d - 1;
            perm[to] = turn == TURN_FRONT ? (d == 1 ? t->rank - 1 : d - 1) : d;
        }
        CVI_TRY(cvs_tensor_permute(t, perm, &turned, err));
        t = &turned;
    }
    cvs_status s = adopt(value, t, out, err);
    cvs_tensor_free(&turned);
    return s;
}

/* A .npy, or of a .npz the array of the input's name or the only one. */
static cvs_status read_array(const cvs_run *run, const cvi_value *value, const char *path, cvs_tensor *out,
                             cvs_error *err) {
    cvi_file file = {0};
    CVI_TRY(cvi_file_read(path, &run->options.limits, &file, err));
    bool archive = is_archive(&file);
    cvi_file_close(&file);
    return archive ? cvs_npz_read(path, value->name, &run->options.limits, out, err)
                   : cvs_npy_read(path, &run->options.limits, out, err);
}

static cvs_status read_one(const cvs_run *run, int i, const char *path, const char *layout, cvs_tensor *out,
                           cvs_error *err) {
    const cvi_value *value = &run->model->graph->values[run->model->graph->inputs[i]];
    cvs_tensor file = {0};
    bool last = false;
    CVI_TRY(cvi_layout_last(layout, value->file_layout, &last, err));
    CVI_TRY(read_array(run, value, path, &file, err));
    cvs_status s = to_graph_order(value, &file, turn_for(value, layout, last), out, err);
    cvs_tensor_free(&file);
    return s == CVS_OK ? s : cvi_at_file(err, s, path);
}

cvs_status cvs_run_npy(cvs_run *run, const char *const *paths, int n, const char *layout, cvs_error *err) {
    CVI_TRY(check_count(run->model, n, err));
    cvs_tensor *own = cvi_calloc((size_t)CVI_MAX(n, 1), sizeof *own);
    cvs_status s = own ? CVS_OK : cvi_no_memory(err, sizeof *own);
    for (int i = 0; i < n && s == CVS_OK; i++) {
        s = read_one(run, i, paths[i], layout, &own[i], err);
    }
    if (s == CVS_OK) {
        s = cvi_run_take(run, own, err);
    }
    free_all(own, n);
    return s;
}

/* ---- pictures --------------------------------------------------------------------------------------- */

/* Where channels, rows and columns are in an input for pictures. */
typedef struct picture_axes {
    int channel, row, column;
} picture_axes;

static bool find_axes(const cvs_tensor *shape, picture_axes *axes) {
    int first = shape->rank - 3; /* [N,C,H,W] or [C,H,W] */
    if (first != 0 && first != 1) {
        return false;
    }
    int64_t front = shape->dim[first], back = shape->dim[first + 2];
    bool last =
        (back == 1 || back == 3) && front != 1 && front != 3; /* a graph that has channels last itself */
    *axes = last ? (picture_axes){first + 2, first, first + 1} : (picture_axes){first, first + 1, first + 2};
    return true;
}

/* Pixels for networks that take whole numbers: as they are, unless something else was said. */
static cvs_preprocess preprocess_for(const cvs_model *model, cvs_dtype dtype) {
    cvs_preprocess p = model->preprocess;
    bool whole = dtype != CVS_F32 && dtype != CVS_F64 && dtype != CVS_F16 && dtype != CVS_BF16;
    if (!p.known && whole) {
        p.scale = 1;
    }
    return p;
}

/* [1,C,H,W] float32 -> the input's own order, rank and type. */
static cvs_status arrange(const cvs_tensor *planes, const cvs_tensor *shape, const picture_axes *axes,
                          cvs_tensor *out, cvs_error *err) {
    cvs_tensor turned = {0};
    int perm[4] = {0, 1, 2, 3};
    if (axes->channel > axes->row) {
        perm[1] = 2;
        perm[2] = 3;
        perm[3] = 1;
    }
    CVI_TRY(cvs_tensor_permute(planes, perm, &turned, err));
    if (shape->rank == 3) {
        memmove(turned.dim, turned.dim + 1, 3 * sizeof turned.dim[0]);
        turned.rank = 3;
    }
    if (shape->dtype != CVS_F32 && shape->dtype != CVS_F64 && shape->dtype != CVS_F16 &&
        shape->dtype != CVS_BF16) {
        float *v = turned.data;
        for (int64_t i = 0; i < cvs_tensor_count(&turned); i++) {
            v[i] = rintf(v[i]);
        }
    }
    cvs_status s = cvs_tensor_convert(&turned, shape->dtype, out, err);
    cvs_tensor_free(&turned);
    return s;
}

/* Where the sides are free: the first common one for which the whole model can be planned. */
static cvs_status find_side(const cvs_run *run, cvs_tensor *shape, cvs_error *err) {
    cvi_exec *x = NULL;
    CVI_TRY(cvi_exec_default(run->model, &run->options, &x, err));
    cvs_status s = cvi_exec_value(x, run->model->graph->inputs[0], shape, err);
    cvi_exec_free(x);
    return s;
}

static cvs_status picture_input(cvs_run *run, const cvs_tensor *image, cvs_tensor *out, cvs_tensor *shown,
                                cvs_error *err) {
    cvs_tensor shape = {0}, planes = {0};
    picture_axes axes;
    cvs_run_options options = run->options;
    CVI_TRY(check_count(run->model, 1, err));
    CVI_TRY(cvi_input_shape(run->model, &options, 0, &shape, err));
    if (has_free_side(run->model) && options.height == 0 && options.width == 0) {
        CVI_TRY(find_side(run, &shape, err));
    }
    if (!find_axes(&shape, &axes)) {
        char text[200];
        return cvi_fail(err, CVS_E_SHAPE, "the model takes %s: that is no picture; give it a .npy file",
                        cvs_shape_text(shape.rank, shape.dim, text, sizeof text));
    }
    cvs_preprocess p = preprocess_for(run->model, shape.dtype);
    if (p.known && p.resize == CVS_RESIZE_NONE) { /* free sides take the picture's */
        const cvi_value *value = &run->model->graph->values[run->model->graph->inputs[0]];
        if (value->dim[axes.row] < 0 && options.height == 0) {
            shape.dim[axes.row] = image->dim[0];
        }
        if (value->dim[axes.column] < 0 && options.width == 0) {
            shape.dim[axes.column] = image->dim[1];
        }
    }
    CVI_TRY(cvs_preprocess_apply(&p, image, shape.dim[axes.channel], shape.dim[axes.row],
                                 shape.dim[axes.column], &planes, shown, err));
    cvs_status s = arrange(&planes, &shape, &axes, out, err);
    cvs_tensor_free(&planes);
    return s;
}

cvs_status cvs_run_image(cvs_run *run, const cvs_tensor *image, cvs_tensor *shown, cvs_error *err) {
    cvs_tensor input = {0};
    if (shown) {
        *shown = (cvs_tensor){0};
    }
    cvs_status s = picture_input(run, image, &input, shown, err);
    if (s == CVS_OK) {
        s = cvi_run_take(run, &input, err);
    }
    cvs_tensor_free(&input);
    if (s != CVS_OK && s != CVS_E_UNSUPPORTED && shown) { /* unsupported: the run stopped on its way */
        cvs_tensor_free(shown);
    }
    return s;
}

/* ---- any file --------------------------------------------------------------------------------------- */

/* How numbers of an input become grey levels: back through the known preprocessing, else 0..1 or 0..255 as
 * they look, else their whole range. */
typedef struct levels {
    double gain[3], offset[3];
} levels;

static levels guess_levels(const cvs_preprocess *p, const cvs_tensor *t, int64_t count) {
    levels l = {{255, 255, 255}, {0, 0, 0}};
    if (p->known) {
        double scale = p->scale > 0 ? p->scale : 1.0 / 255;
        for (int c = 0; c < 3; c++) {
            l.gain[c] = (p->std[c] != 0 ? p->std[c] : 1) / scale;
            l.offset[c] = p->mean[c] / scale;
        }
        return l;
    }
    double low = INFINITY, high = -INFINITY;
    for (int64_t i = 0; i < count; i++) {
        low = fmin(low, cvi_get(t, i));
        high = fmax(high, cvi_get(t, i));
    }
    if (!(low >= 0 && high <= 1)) {
        bool bytes = low >= 0 && high <= 255;
        double range = high > low && isfinite(high - low) ? high - low : 1;
        for (int c = 0; c < 3; c++) {
            l.gain[c] = bytes ? 1 : 255 / range;
            l.offset[c] = bytes || !isfinite(low) ? 0 : -low * 255 / range;
        }
    }
    return l;
}

/* The first sample of a picture-like input as uint8 [H,W,3], owned; left zeroed where it is no picture. */
static cvs_status show_input(cvs_run *run, cvs_tensor *shown, cvs_error *err) {
    const cvs_tensor *t = &run->inputs[0];
    picture_axes axes;
    if (run->model->graph->n_inputs < 1 || !find_axes(t, &axes)) {
        return CVS_OK;
    }
    int64_t C = t->dim[axes.channel], H = t->dim[axes.row], W = t->dim[axes.column];
    bool last = axes.channel > axes.row;
    if (C != 1 && C != 3) {
        return CVS_OK;
    }
    const cvs_preprocess *p = &run->model->preprocess;
    levels l = guess_levels(p, t, C * H * W);
    int64_t dim[3] = {H, W, 3};
    CVI_TRY(cvs_tensor_new(shown, CVS_U8, 3, dim, err));
    uint8_t *px = shown->data;
    for (int64_t i = 0; i < H * W; i++) {
        for (int k = 0; k < 3; k++) {
            int64_t c = C == 1 ? 0 : p->known && p->order == CVS_BGR ? 2 - k : k;
            double v = cvi_get(t, last ? i * C + c : c * H * W + i) * l.gain[c] + l.offset[c];
            v = p->known && p->invert ? 255 - v : v;
            px[i * 3 + k] = (uint8_t)(v > 0 ? CVI_MIN(rint(v), 255) : 0);
        }
    }
    return CVS_OK;
}

static cvs_status is_npy(const char *path, const cvs_limits *limits, cvi_file *file, bool *npy,
                         cvs_error *err) {
    CVI_TRY(cvi_file_read(path, limits, file, err));
    *npy = file->size >= 6 && memcmp(file->data, "\x93NUMPY", 6) == 0;
    *npy = *npy || is_archive(file);
    return CVS_OK;
}

cvs_status cvs_run_file(cvs_run *run, const char *path, const char *layout, cvs_tensor *shown,
                        cvs_error *err) {
    cvi_file file = {0};
    cvs_tensor image = {0};
    bool npy = false;
    if (shown) {
        *shown = (cvs_tensor){0};
    }
    CVI_TRY(is_npy(path, &run->options.limits, &file, &npy, err));
    if (npy) {
        cvi_file_close(&file);
        CVI_TRY(cvs_run_npy(run, &path, 1, layout, err));
        return shown ? show_input(run, shown, err) : CVS_OK;
    }
    cvs_status s = cvs_image_decode(file.data, file.size, path, &run->options.limits, &image, err);
    cvi_file_close(&file);
    if (s == CVS_OK) {
        s = cvs_run_image(run, &image, shown, err);
    }
    cvs_tensor_free(&image);
    return s == CVS_OK ? s : cvi_at_file(err, s, path);
}

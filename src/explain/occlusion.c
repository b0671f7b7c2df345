/* SPDX-License-Identifier: MIT
 * occlusion.c - occlusion (Zeiler and Fergus 2014, figure 7): the target's value with a patch of one colour laid over every
 * position of a grid. The map holds those values themselves; patch, stride and colour are in the network's own units. With the same
 * runs come every class's value and the strongest feature map's sum at every position: the figure's three maps. Only what the patch
 * can reach is computed again.
 */
#include "explain/changes.h"

typedef struct occluder {
    cvi_again again;
    int64_t channels, h, w, patch, stride, rows, columns;
    bool flat;   /* the input is x [N,H,W]: the re-run takes its rows for channels */
    float *fill; /* [channels]; flat: one per row of the patch */
} occluder;

static cvi_edit patch_at(const occluder *o, int64_t cell) {
    int64_t y = cell / o->columns * o->stride, x = cell % o->columns * o->stride;
    int input = o->again.q->input_value;
    if (o->flat) {
        return (cvi_edit){
            .value = input, .c = y, .channels = o->patch, .y = x, .h = o->patch, .w = 1, .fill = o->fill};
    }
    return (cvi_edit){.value = input, .y = y, .x = x, .h = o->patch, .w = o->patch, .fill = o->fill};
}

/* A layer's number x for what follows it: its own rectifier and normalisation belong to it. */
static int with_activation(const cvi_graph *g, int v) {
    for (int steps = 0; steps < g->n_nodes; steps++) {
        int node;
        if (cvi_graph_users(g, v, &node, 1) != 1) {
            return v;
        }
        const cvi_op *op = g->nodes[node].def;
        bool belongs = op && g->nodes[node].in[0] == v && g->nodes[node].n_out >= 1 &&
                       (op->glyph == CVI_GLYPH_ACTIVATION || op->glyph == CVI_GLYPH_NORM);
        if (!belongs || g->nodes[node].out[0] < 0) {
            return v;
        }
        v = g->nodes[node].out[0];
    }
    return v;
}

/* The layer whose strongest feature map is watched: as asked, else the last convolution with its rectifier. Without feature maps, none
 * is. */
static cvs_status watch(occluder *o, cvi_changed *changed, cvs_explanation *out) {
    cvi_question *q = o->again.q;
    const cvi_graph *g = q->model->graph;
    int v = -1;
    cvs_tensor t;
    if (q->options->layer) {
        CVI_TRY(cvi_ops_find_layer(g, q->options->layer, &v, q->err));
    } else if (cvi_ops_find_layer(g, "last-conv", &v, NULL) == CVS_OK) {
        v = with_activation(g, v);
    }
    if (v < 0 || cvi_exec_value(o->again.exec, v, &t, NULL) != CVS_OK || t.rank != 4 || t.dtype != CVS_F32 ||
        cvs_tensor_count(&t) < 1) {
        return CVS_OK;
    }
    int64_t area = t.dim[2] * t.dim[3], dim[4] = {1, 1, o->rows, o->columns};
    for (int64_t k = 0; k < t.dim[1]; k++) {
        double sum = 0.0;
        for (int64_t i = 0; i < area; i++) {
            sum += cvi_get(&t, k * area + i);
        }
        if (k == 0 || sum > out->activation_whole) {
            out->activation_whole = sum;
            out->activation_channel = k;
        }
    }
    changed->map_value = v;
    changed->map_channel = out->activation_channel;
    snprintf(out->activation_layer, sizeof out->activation_layer, "%.120s", g->values[v].name);
    return cvs_tensor_new(&out->activation, CVS_F32, 4, dim, q->err);
}

/* Room for every class where the model tells classes apart; a target inside a layer needs none. */
static cvs_status make_classes(occluder *o, cvs_explanation *out) {
    cvi_question *q = o->again.q;
    int64_t classes = 0;
    int value;
    cvi_question other = *q;
    other.err = q->box.of_layer ? NULL : q->err;
    cvs_status s = cvi_question_classes(&other, o->again.exec, &classes, &value);
    if (s != CVS_OK) {
        return q->box.of_layer ? CVS_OK : s;
    }
    int64_t dim[4] = {1, classes, o->rows, o->columns};
    return cvs_tensor_new(&out->classes, CVS_F32, 4, dim, q->err);
}

static cvs_status cover(occluder *o, const cvi_change *change, int64_t cells, double *sum,
                        cvi_changed *changed, cvs_explanation *out) {
    CVI_TRY(cvi_changes_run(&o->again, change, cells, changed));
    for (int64_t i = 0; i < cells; i++) {
        ((float *)out->map.data)[i] = (float)changed->target[i];
        if (out->activation.data) {
            ((float *)out->activation.data)[i] = (float)sum[i];
        }
    }
    return CVS_OK;
}

static cvs_status measure(occluder *o, cvs_explanation *out) {
    cvi_again *a = &o->again;
    cvs_error *err = a->q->err;
    int64_t cells = o->rows * o->columns, dim[4] = {1, 1, o->rows, o->columns};
    double whole;
    cvi_changed changed = {0};
    CVI_TRY(cvi_again_scores(a, 1, 0.0, &whole)); /* the run that the others differ from */
    CVI_TRY(cvs_tensor_new(&out->map, CVS_F32, 4, dim, err));
    CVI_TRY(make_classes(o, out));
    CVI_TRY(watch(o, &changed, out));
    cvi_edit *edit = cvi_calloc((size_t)cells, sizeof *edit);
    cvi_change *change = cvi_calloc((size_t)cells, sizeof *change);
    double *numbers = cvi_calloc((size_t)cells, 2 * sizeof *numbers);
    cvs_status s =
        edit && change && numbers ? CVS_OK : cvi_no_memory(err, (size_t)cells * 2 * sizeof *numbers);
    for (int64_t i = 0; i < cells && s == CVS_OK; i++) {
        edit[i] = patch_at(o, i);
        change[i] = (cvi_change){&edit[i], 1};
    }
    if (s == CVS_OK) {
        changed.target = numbers;
        changed.classes = out->classes.data;
        changed.map_sum = out->activation.data ? numbers + cells : NULL;
        s = cover(o, change, cells, numbers + cells, &changed, out);
    }
    cvi_free(edit);
    cvi_free(change);
    cvi_free(numbers);
    return s;
}

static cvs_status settle(occluder *o, cvs_explanation *out) {
    cvi_question *q = o->again.q;
    const cvs_explain_options *options = q->options;
    const cvs_tensor *p = &o->again.picture;
    char text[200];
    if (p->rank != 4) {
        return cvi_fail(
            q->err, CVS_E_UNSUPPORTED,
            "the model's input %s is no picture [N,C,H,W] or [N,H,W], so no patch can be laid over it",
            cvs_shape_text(p->rank, p->dim, text, sizeof text));
    }
    o->channels = p->dim[1];
    o->h = p->dim[2];
    o->w = p->dim[3];
    int64_t side = CVI_MIN(o->h, o->w);
    o->patch = options->patch ? options->patch : CVI_MAX(1, side / 7);
    o->stride = options->stride ? options->stride : CVI_MAX(1, o->patch / 2);
    if (o->patch < 1 || o->patch > side) {
        return cvi_fail(q->err, CVS_E_ARGUMENT, "a patch of %lld does not fit a picture of %lldx%lld",
                        (long long)o->patch, (long long)o->w, (long long)o->h);
    }
    if (o->stride < 1) {
        return cvi_fail(q->err, CVS_E_ARGUMENT, "a stride of %lld is not possible, 1 or more is",
                        (long long)o->stride);
    }
    o->rows = (o->h - o->patch) / o->stride + 1;
    o->columns = (o->w - o->patch) / o->stride + 1;
    o->flat = o->again.inputs[0].rank == 3;
    int64_t numbers = o->flat ? o->patch : o->channels;
    o->fill = cvi_calloc((size_t)numbers, sizeof *o->fill);
    if (!o->fill) {
        return cvi_no_memory(q->err, (size_t)numbers * sizeof *o->fill);
    }
    double *mean = cvi_calloc((size_t)o->channels, sizeof *mean);
    if (!mean) {
        return cvi_no_memory(q->err, (size_t)o->channels * sizeof *mean);
    }
    cvi_channel_means(p, o->channels, mean);
    snprintf(text, sizeof text, "%s", cvi_tr(options->lang, "the picture's mean colour"));
    for (int64_t c = 0; c < numbers; c++) {
        o->fill[c] = (float)(options->has_fill ? options->fill : mean[o->flat ? 0 : c]);
    }
    cvi_free(mean);
    if (options->has_fill) {
        snprintf(text, sizeof text, "%.6g", options->fill);
    }
    out->patch = o->patch;
    out->stride = o->stride;
    out->side[0] = o->h;
    out->side[1] = o->w;
    snprintf(q->settings, sizeof q->settings,
             cvi_tr(options->lang, "patch %lldx%lld, stride %lld, fill %s, %lldx%lld positions; raw values "
                                   "are the target's with the patch there"),
             (long long)o->patch, (long long)o->patch, (long long)o->stride, text, (long long)o->columns,
             (long long)o->rows);
    return CVS_OK;
}

static cvs_status run(cvi_question *q, cvs_explanation *out) {
    occluder o = {0};
    cvs_status s = cvi_again_base(q, &o.again);
    if (s == CVS_OK) {
        s = settle(&o, out);
    }
    if (s == CVS_OK) {
        s = measure(&o, out);
    }
    cvi_again_free(&o.again);
    cvi_free(o.fill);
    return s;
}

const cvi_method cvi_method_occlusion = {
    .name = "occlusion",
    .title_en = "Occlusion",
    .title_zh = "遮挡",
    .sentence_en = "How the target fares when a patch covers each place of the picture.",
    .sentence_zh = "用一块补丁遮住图片各处时，目标的值如何变化。",
    .caveat_en =
        "The result depends on the patch's colour, size and stride; evidence in two places hides itself.",
    .caveat_zh = "结果取决于补丁的颜色、大小与步长；重复出现的证据被遮住一处时看不出来。",
    .source = "Zeiler and Fergus 2014, arXiv:1311.2901",
    .family = CVI_FAMILY_PERTURBATION,
    .flags = "--patch P"
             ", "
             "--stride S"
             ", " CVI_FLAG_FILL ", " CVI_FLAG_LAYER ", "
             "--raw-classes FILE.npy"
             ", "
             "--raw-activation FILE.npy"
             ", "
             "--data DIR",
    .kind = CVS_MAP_GRID,
    .run = run,
};

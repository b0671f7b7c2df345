/* SPDX-License-Identifier: MIT
 * occlusion.c - occlusion (Zeiler and Fergus 2014, figure 7): the target's value with a patch of one colour laid over every
 * position of a grid. The map holds those values themselves; patch, stride and colour are in the network's own units. Only what
 * the patch can reach is computed again, for all positions and every class.
 */
#include "engine/incremental.h"
#include "explain/again.h"

typedef struct occluder {
    cvi_again again;
    int64_t channels, h, w, patch, stride, rows, columns;
    float *fill; /* [channels] */
} occluder;

static cvi_edit patch_at(const occluder *o, int64_t cell) {
    return (cvi_edit){.value = o->again.q->input_value,
                      .y = cell / o->columns * o->stride,
                      .x = cell % o->columns * o->stride,
                      .h = o->patch,
                      .w = o->patch,
                      .fill = o->fill};
}

/* Every position at once through the incremental re-run: numbers [cells, count of the value]. */
static cvs_status rerun(occluder *o, int64_t cells, int value, float *numbers) {
    cvi_again *a = &o->again;
    cvi_edit *edit = cvi_calloc((size_t)cells, sizeof *edit);
    cvi_change *change = cvi_calloc((size_t)cells, sizeof *change);
    cvi_incr *incr = NULL;
    void *out[1] = {numbers};
    cvs_status s = edit && change ? CVS_OK : cvi_no_memory(a->q->err, (size_t)cells * sizeof *edit);
    for (int64_t i = 0; i < cells && s == CVS_OK; i++) {
        edit[i] = patch_at(o, i);
        change[i] = (cvi_change){&edit[i], 1};
    }
    if (s == CVS_OK) {
        s = cvi_incr_new(a->exec, &incr, a->q->err);
    }
    if (s == CVS_OK) {
        cvi_incr_told told = {a->q->options->progress, a->q->options->progress_context,
                              a->q->options->method};
        s = cvi_incr_run(incr, change, cells, &value, 1, out, &told, a->q->err);
    }
    cvi_incr_free(incr);
    cvi_free(edit);
    cvi_free(change);
    return s;
}

static cvs_status measure(occluder *o, cvs_explanation *out) {
    cvi_again *a = &o->again;
    cvs_error *err = a->q->err;
    int64_t cells = o->rows * o->columns, classes = 0, dim[4] = {1, 1, o->rows, o->columns};
    int value = -1;
    cvs_tensor t;
    double whole;
    CVI_TRY(cvi_again_scores(a, 1, 0.0, &whole)); /* the run that the others differ from */
    CVI_TRY(cvi_question_classes(a->q, a->exec, &classes, &value));
    CVI_TRY(cvi_exec_value(a->exec, value, &t, err));
    CVI_TRY(cvs_tensor_new(&out->map, CVS_F32, 4, dim, err));
    dim[1] = classes;
    CVI_TRY(cvs_tensor_new(&out->classes, CVS_F32, 4, dim, err));
    int64_t count = cvs_tensor_count(&t), total = 0;
    if (!cvi_mul(cells, count, &total)) {
        return cvi_fail(err, CVS_E_LIMIT, "there are too many positions");
    }
    float *numbers = cvi_calloc((size_t)total, sizeof *numbers);
    if (!numbers) {
        return cvi_no_memory(err, (size_t)total * sizeof *numbers);
    }
    cvs_status s = rerun(o, cells, value, numbers);
    if (s == CVS_OK) {
        s = cvi_question_grid(a->q, a->exec, numbers, cells, out->classes.data);
    }
    if (s == CVS_OK) {
        const float *target = (const float *)out->classes.data + a->q->target_index * cells;
        memcpy(out->map.data, target, (size_t)cells * sizeof *target);
    }
    cvi_free(numbers);
    return s;
}

static cvs_status settle(occluder *o, cvs_explanation *out) {
    cvi_question *q = o->again.q;
    const cvs_explain_options *options = q->options;
    const cvs_tensor *p = &o->again.picture;
    char text[200];
    if (p->rank != 4) {
        return cvi_fail(q->err, CVS_E_UNSUPPORTED,
                        "the model's input %s is no picture [N,C,H,W], so no patch can be laid over it",
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
    o->fill = cvi_calloc((size_t)o->channels, sizeof *o->fill);
    if (!o->fill) {
        return cvi_no_memory(q->err, (size_t)o->channels * sizeof *o->fill);
    }
    double *mean = cvi_calloc((size_t)o->channels, sizeof *mean);
    if (!mean) {
        return cvi_no_memory(q->err, (size_t)o->channels * sizeof *mean);
    }
    cvi_channel_means(p, o->channels, mean);
    snprintf(text, sizeof text, "%s", cvi_tr(options->lang, "the picture's mean colour"));
    for (int64_t c = 0; c < o->channels; c++) {
        o->fill[c] = (float)(options->has_fill ? options->fill : mean[c]);
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
    .kind = CVS_MAP_GRID,
    .run = run,
};

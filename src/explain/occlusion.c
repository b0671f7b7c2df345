/* SPDX-License-Identifier: MIT
 * occlusion.c - occlusion (Zeiler and Fergus 2014, figure 7): the target's value with a patch of one colour laid over every
 * position of a grid. The map holds those values themselves; patch, stride and colour are in the network's own units.
 */
#include "explain/again.h"

typedef struct occluder {
    cvi_again again;
    int64_t channels, h, w, patch, stride, rows, columns;
    double *fill; /* [channels] */
} occluder;

static void cover(occluder *o, float *place, int64_t cell) {
    int64_t top = cell / o->columns * o->stride, left = cell % o->columns * o->stride;
    memcpy(place, o->again.picture.data, (size_t)o->again.pixels * sizeof *place);
    for (int64_t c = 0; c < o->channels; c++) {
        for (int64_t y = top; y < top + o->patch; y++) {
            for (int64_t x = left; x < left + o->patch; x++) {
                place[(c * o->h + y) * o->w + x] = (float)o->fill[c];
            }
        }
    }
}

static cvs_status measure(occluder *o, cvs_explanation *out) {
    cvi_again *a = &o->again;
    int64_t cells = o->rows * o->columns, dim[4] = {1, 1, o->rows, o->columns};
    CVI_TRY(cvs_tensor_new(&out->map, CVS_F32, 4, dim, a->q->err));
    double *score = cvi_calloc((size_t)a->batch, sizeof *score);
    if (!score) {
        return cvi_no_memory(a->q->err, (size_t)a->batch * sizeof *score);
    }
    cvs_status s = CVS_OK;
    for (int64_t cell = 0; cell < cells && s == CVS_OK; cell += a->batch) {
        int64_t here = CVI_MIN(a->batch, cells - cell);
        for (int64_t b = 0; b < here; b++) {
            cover(o, cvi_again_place(a, b), cell + b);
        }
        s = cvi_again_scores(a, here, (double)cell / (double)cells, score);
        for (int64_t b = 0; b < here && s == CVS_OK; b++) {
            ((float *)out->map.data)[cell + b] = (float)score[b];
        }
    }
    cvi_free(score);
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
    cvi_channel_means(p, o->channels, o->fill);
    snprintf(text, sizeof text, "%s", cvi_tr(options->lang, "the picture's mean colour"));
    for (int64_t c = 0; options->has_fill && c < o->channels; c++) {
        o->fill[c] = options->fill;
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
    cvs_status s = cvi_again_new(q, &o.again);
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

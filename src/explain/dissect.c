/* SPDX-License-Identifier: MIT
 * dissect.c - network dissection with a data set's own masks: each feature map is cut at the value that a small share of its positions
 * exceeds, enlarged to the picture and laid over the objects (Bau et al. 2017).
 */
#include <math.h>
#include <stdlib.h>

#include "convscope/check.h"
#include "convscope/dissect.h"
#include "explain/method.h"
#include "explain/unit.h"

enum { PICTURES = 200 };

typedef struct dissecting {
    const cvs_dissect_options *o;
    cvs_dissection *out;
    cvs_run *run;
    int layer;
    float *maps;   /* [pictures][channels][h*w] */
    uint8_t *mask; /* [pictures][height*width] */
    int *label;    /* [pictures] */
    int64_t h, w, height, width;
    int64_t limit; /* bytes */
    cvs_error *err;
} dissecting;

void cvs_dissection_free(cvs_dissection *d) {
    if (d) {
        cvi_free(d->threshold);
        cvi_free(d->iou);
        cvi_free(d->best);
        *d = (cvs_dissection){0};
    }
}

/* Room for all pictures, once the first one has said how large they are. */
static cvs_status make_room(dissecting *d, const cvi_planes *a, const cvs_tensor *mask) {
    cvs_dissection *out = d->out;
    int64_t numbers, cells, area = a->rows * a->columns;
    out->channels = (int)a->channels;
    d->h = a->rows;
    d->w = a->columns;
    d->height = mask->dim[0];
    d->width = mask->dim[1];
    if (!cvi_mul(out->pictures * a->channels, area, &numbers) ||
        !cvi_mul(out->pictures, d->height * d->width, &cells) ||
        numbers > d->limit / (int64_t)sizeof(float) || cells > d->limit) {
        return cvi_fail(d->err, CVS_E_LIMIT,
                        "the maps of %lld pictures need more than %lld MiB of memory, the limit; use fewer",
                        (long long)out->pictures, (long long)(d->limit >> 20));
    }
    size_t pairs = (size_t)out->channels * (size_t)out->classes;
    d->maps = cvi_calloc((size_t)numbers, sizeof *d->maps);
    d->mask = cvi_calloc((size_t)cells, 1);
    d->label = cvi_calloc((size_t)out->pictures, sizeof *d->label);
    out->threshold = cvi_calloc((size_t)out->channels, sizeof *out->threshold);
    out->iou = cvi_calloc(pairs, sizeof *out->iou);
    out->best = cvi_calloc((size_t)out->channels, sizeof *out->best);
    return d->maps && d->mask && d->label && out->threshold && out->iou && out->best
               ? CVS_OK
               : cvi_no_memory(d->err, (size_t)numbers * sizeof *d->maps);
}

static cvs_status see(dissecting *d, const cvs_data *data, int64_t i) {
    cvs_tensor mask = {0}, t;
    cvi_planes a;
    int label = 0;
    cvs_status s = cvs_run_data(d->run, data, i, NULL, &label, &mask, d->err);
    s = s == CVS_OK ? cvs_run_layer(d->run, d->layer, &t, d->err) : s;
    s = s == CVS_OK ? cvi_planes_of(&t, 0, d->out->layer, &a, d->err) : s;
    if (s == CVS_OK && !mask.data) {
        s = cvi_fail(d->err, CVS_E_UNSUPPORTED, "picture %lld of the data has no mask", (long long)i);
    }
    s = s == CVS_OK && i == 0 ? make_room(d, &a, &mask) : s;
    if (s == CVS_OK) {
        int64_t size = d->out->channels * d->h * d->w, area = d->height * d->width;
        memcpy(d->maps + i * size, a.data, (size_t)size * sizeof *d->maps);
        memcpy(d->mask + i * area, mask.data, (size_t)area);
        d->label[i] = label;
    }
    cvs_tensor_free(&mask);
    return s;
}

static int downwards(const void *a, const void *b) {
    float x = *(const float *)a, y = *(const float *)b;
    return (x < y) - (x > y);
}

/* The value that `share` of the channel's positions exceed. all [pictures * h * w]: room. */
static double threshold_of(const dissecting *d, int channel, double share, float *all) {
    int64_t area = d->h * d->w, n = d->out->pictures * area;
    for (int64_t i = 0; i < d->out->pictures; i++) {
        memcpy(all + i * area, d->maps + (i * d->out->channels + channel) * area, (size_t)area * sizeof *all);
    }
    qsort(all, (size_t)n, sizeof *all, downwards);
    int64_t above = (int64_t)(share * (double)n);
    return above < n ? (double)all[above] : -(double)INFINITY;
}

/* The channel's row of iou: cut, enlarged, laid over the masks of each class. objects [classes]: positions of each class's objects. */
static void lay_over(const dissecting *d, int channel, const double *objects, double *both) {
    cvs_dissection *out = d->out;
    double lit = 0.0, least = out->threshold[channel];
    memset(both, 0, (size_t)out->classes * sizeof *both);
    for (int64_t i = 0; i < out->pictures; i++) {
        const float *map = d->maps + (i * out->channels + channel) * d->h * d->w;
        const uint8_t *mask = d->mask + i * d->height * d->width;
        for (int64_t p = 0; p < d->height * d->width; p++) {
            double v = cvi_map_bilinear(map, d->h, d->w, ((double)(p / d->width) + 0.5) / (double)d->height,
                                        ((double)(p % d->width) + 0.5) / (double)d->width);
            lit += v > least;
            both[d->label[i]] += v > least && mask[p];
        }
    }
    double *iou = out->iou + (int64_t)channel * out->classes;
    for (int k = 0; k < out->classes; k++) {
        double either = lit + objects[k] - both[k];
        iou[k] = either > 0.0 ? both[k] / either : 0.0;
        out->best[channel] = iou[k] > iou[out->best[channel]] ? k : out->best[channel];
    }
}

static cvs_status measure(dissecting *d, double share) {
    cvs_dissection *out = d->out;
    float *all = cvi_calloc((size_t)(out->pictures * d->h * d->w), sizeof *all);
    double *objects = cvi_calloc((size_t)out->classes, 2 * sizeof *objects);
    cvs_status s = all && objects ? CVS_OK : cvi_no_memory(d->err, (size_t)out->pictures * sizeof *all);
    for (int64_t i = 0; i < out->pictures * d->height * d->width && s == CVS_OK; i++) {
        objects[d->label[i / (d->height * d->width)]] += d->mask[i] != 0;
    }
    for (int c = 0; c < out->channels && s == CVS_OK; c++) {
        out->threshold[c] = threshold_of(d, c, share, all);
        lay_over(d, c, objects, objects + out->classes);
        if (d->o->progress &&
            !d->o->progress(d->o->progress_context, out->layer, 0.5 + 0.5 * (c + 1) / out->channels)) {
            s = cvi_fail(d->err, CVS_E_CANCELLED, "cancelled");
        }
    }
    cvi_free(all);
    cvi_free(objects);
    return s;
}

static cvs_status dissect(dissecting *d, const cvs_model *model, const cvs_run_options *run_options,
                          const cvs_data *data, double share) {
    cvs_data_info info;
    cvs_data_describe(data, &info);
    if (!info.has_masks) {
        return cvi_fail(
            d->err, CVS_E_UNSUPPORTED,
            "%.200s does not know where its objects are: dissection needs masks, as generated:things has",
            info.spec);
    }
    if (!(share >= 0.0 && share <= 1.0)) {
        return cvi_fail(d->err, CVS_E_ARGUMENT, "the share above the threshold is %g, 0 to 1 is possible",
                        share);
    }
    CVI_TRY(cvs_model_find_layer(model, d->o->layer ? d->o->layer : "last-conv", &d->layer, d->err));
    cvi_copy_text(d->out->layer, sizeof d->out->layer,
                  model->graph->values[cvi_graph_layer(model->graph, d->layer)].name);
    d->out->classes = info.n_classes;
    d->out->pictures = CVI_MIN(info.count, d->o->pictures > 0 ? d->o->pictures : PICTURES);
    CVI_TRY(cvs_run_new(model, run_options, &d->run, d->err));
    for (int64_t i = 0; i < d->out->pictures; i++) {
        CVI_TRY(see(d, data, i));
        if (d->o->progress && !d->o->progress(d->o->progress_context, d->out->layer,
                                              0.5 * (double)(i + 1) / (double)d->out->pictures)) {
            return cvi_fail(d->err, CVS_E_CANCELLED, "cancelled");
        }
    }
    return measure(d, share);
}

cvs_status cvs_dissect(const cvs_model *model, const cvs_run_options *run_options, const cvs_data *data,
                       const cvs_dissect_options *options, cvs_dissection *out, cvs_error *err) {
    double share = options->has_share || options->share > 0.0 ? options->share : 0.005;
    dissecting d = {.o = options,
                    .out = out,
                    .limit = cvs_limits_default(run_options ? &run_options->limits : NULL).max_memory_bytes,
                    .err = err};
    *out = (cvs_dissection){0};
    cvs_status s = dissect(&d, model, run_options, data, share);
    cvi_free(d.maps);
    cvi_free(d.mask);
    cvi_free(d.label);
    cvs_run_free(d.run);
    if (s != CVS_OK) {
        cvs_dissection_free(out);
        return s;
    }
    snprintf(
        out->caption, sizeof out->caption,
        cvi_tr(options->lang,
               "Network dissection of layer %s over %lld pictures: each map cut where %.3g %% of its "
               "positions lie above, enlarged bilinearly, intersection over union with the objects of each "
               "class; Convscope %s. Only what the masks name can be found."),
        out->layer, (long long)out->pictures, 100.0 * share, CVS_VERSION);
    return CVS_OK;
}

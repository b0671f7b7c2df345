/* SPDX-License-Identifier: MIT
 * labelled.c - pictures of a data set as the network's numbers, with labels and masks, in two halves; and a network asked about them.
 */
#include <math.h>

#include "engine/run_state.h"
#include "explain/units.h"

static cvs_status match_classes(const cvs_model *m, const cvs_data_info *info, int classes, int *to,
                                cvs_error *err) {
    int found = 0;
    for (int i = 0; i < info->n_classes; i++) {
        to[i] = -1;
        for (int k = 0; k < CVI_MIN(m->n_classes, classes) && to[i] < 0; k++) {
            to[i] = strcmp(m->classes[k], info->classes[i]) == 0 ? k : -1;
        }
        found += to[i] >= 0;
    }
    if (found == info->n_classes) {
        return CVS_OK;
    }
    if (info->n_classes != classes) {
        return cvi_fail(err, CVS_E_SHAPE,
                        "the model has %d classes, the data set %d, and their names do not match either",
                        classes, info->n_classes);
    }
    for (int i = 0; i < info->n_classes; i++) {
        to[i] = i;
    }
    return CVS_OK;
}

/* uint8 [H,W,1] or [H,W,3] -> [H,W,3] */
static cvs_status to_rgb(const cvs_tensor *t, cvs_tensor *out, cvs_error *err) {
    int64_t channels = t->dim[2];
    CVI_TRY(cvs_tensor_new(out, CVS_U8, 3, (int64_t[]){t->dim[0], t->dim[1], 3}, err));
    for (int64_t i = 0; i < 3 * t->dim[0] * t->dim[1]; i++) {
        ((uint8_t *)out->data)[i] =
            ((const uint8_t *)t->data)[i / 3 * channels + (channels == 3 ? i % 3 : 0)];
    }
    return CVS_OK;
}

static cvs_status load_one(cvi_labelled *l, const cvs_model *model, const cvs_data *data, int64_t i,
                           const int *to, cvs_error *err) {
    const int64_t *dim = l->shape.dim;
    cvs_tensor picture = {0}, rgb = {0}, x = {0}, mask = {0}, fitted = {0};
    int label = 0;
    cvs_status s = cvs_data_get(data, i, &picture, &label, l->mask ? &mask : NULL, err);
    if (s == CVS_OK) {
        s = to_rgb(&picture, &rgb, err);
    }
    if (s == CVS_OK) {
        s = cvs_preprocess_apply(&model->preprocess, &rgb, dim[1], dim[2], dim[3], &x, NULL, err);
    }
    if (s == CVS_OK && mask.data) {
        s = cvs_mask_fit(model, &mask, dim[2], dim[3], &fitted, err);
    }
    if (s == CVS_OK) {
        memcpy(l->x + i * l->pixels, x.data, (size_t)l->pixels * sizeof *l->x);
        l->label[i] = to[label];
    }
    if (s == CVS_OK && fitted.data) {
        memcpy(l->mask + i * dim[2] * dim[3], fitted.data, (size_t)(dim[2] * dim[3]));
    }
    cvs_tensor_free(&picture);
    cvs_tensor_free(&rgb);
    cvs_tensor_free(&x);
    cvs_tensor_free(&mask);
    cvs_tensor_free(&fitted);
    return s;
}

static cvs_status make_room(cvi_labelled *l, const cvs_limits *limits, bool masks, cvs_error *err) {
    int64_t numbers, most = cvs_limits_default(limits).max_memory_bytes;
    if (!cvi_mul(l->n, l->pixels, &numbers) || numbers > most / (int64_t)sizeof(float)) {
        return cvi_fail(err, CVS_E_LIMIT,
                        "%lld pictures of this size need more than %lld MiB of memory, the limit; use fewer",
                        (long long)l->n, (long long)(most >> 20));
    }
    l->x = cvi_calloc((size_t)CVI_MAX(numbers, 1), sizeof *l->x);
    l->label = cvi_calloc((size_t)l->n, sizeof *l->label);
    l->half = cvi_calloc((size_t)l->n, 1);
    l->order = cvi_calloc((size_t)l->n, sizeof *l->order);
    l->mask = masks ? cvi_calloc((size_t)(l->n * l->shape.dim[2]), (size_t)l->shape.dim[3]) : NULL;
    return l->x && l->label && l->half && l->order && (l->mask || !masks)
               ? CVS_OK
               : cvi_no_memory(err, (size_t)numbers * sizeof *l->x);
}

/* Every class divided between the halves as evenly as it goes, by a random draw. */
static void divide(cvi_labelled *l, uint64_t seed) {
    for (int k = 0; k < l->classes; k++) {
        int next = (int)(cvi_random_bits(seed, 0x68616C66u, (uint64_t)k) & 1);
        for (int64_t i = 0; i < l->n; i++) {
            if (l->label[i] == k) {
                l->half[i] = (uint8_t)next;
                next = !next;
            }
        }
    }
    l->n_first = 0;
    int64_t at = 0;
    for (int half = 0; half < 2; half++) {
        for (int64_t i = 0; i < l->n; i++) {
            if (l->half[i] == half) {
                l->order[at++] = i;
            }
        }
        l->n_first = half == 0 ? at : l->n_first;
    }
}

cvs_status cvi_labelled_load(const cvs_model *model, const cvs_run_options *options, const cvs_data *data,
                             int64_t limit, uint64_t seed, cvi_labelled *out, cvs_error *err) {
    static const cvs_run_options defaults;
    cvs_data_info info;
    *out = (cvi_labelled){0};
    cvs_data_describe(data, &info);
    if (model->graph->n_inputs != 1) {
        return cvi_fail(err, CVS_E_UNSUPPORTED,
                        "this is measured for models with one input [N,C,H,W] of float32 only");
    }
    CVI_TRY(cvi_input_shape(model, options ? options : &defaults, 0, &out->shape, err));
    cvi_as_picture(&out->shape);
    if (out->shape.rank != 4 || out->shape.dtype != CVS_F32) {
        return cvi_fail(err, CVS_E_UNSUPPORTED,
                        "this is measured for models with one input [N,C,H,W] of float32 only");
    }
    out->shape.dim[0] = 1;
    out->pixels = cvs_tensor_count(&out->shape);
    out->n = CVI_MIN(limit, info.count);
    CVI_TRY(make_room(out, options ? &options->limits : NULL, info.has_masks, err));
    cvi_many many;
    cvs_status s = cvi_many_new(model, options, &out->shape, 1, &many, err);
    if (s == CVS_OK) { /* asked once for the number of classes */
        s = cvi_many_ask(&many, 1, err);
    }
    out->classes = (int)many.classes;
    cvi_many_free(&many);
    int *to = cvi_calloc((size_t)info.n_classes + 1, sizeof *to);
    if (s == CVS_OK) {
        s = to ? match_classes(model, &info, out->classes, to, err) : cvi_no_memory(err, sizeof *to);
    }
    /* Evenly over the data: sets come in the order of their classes, or in turns. */
    for (int64_t i = 0; s == CVS_OK && i < out->n; i++) {
        s = load_one(out, model, data, i, to, err);
    }
    cvi_free(to);
    if (s == CVS_OK) {
        divide(out, seed);
    }
    return s;
}

cvs_tensor cvi_labelled_input(const cvi_labelled *l, const cvs_model *model, int64_t n) {
    cvs_tensor x = l->shape;
    x.dim[0] = n;
    cvi_as_input(model, &x);
    return x;
}

void cvi_labelled_free(cvi_labelled *l) {
    cvi_free(l->x);
    cvi_free(l->label);
    cvi_free(l->half);
    cvi_free(l->order);
    cvi_free(l->mask);
    *l = (cvi_labelled){0};
}

double cvi_cross_entropy(const double *logit, int64_t classes, int label) {
    double highest = logit[0], sum = 0.0;
    for (int64_t k = 1; k < classes; k++) {
        highest = fmax(highest, logit[k]);
    }
    for (int64_t k = 0; k < classes; k++) {
        sum += exp(logit[k] - highest);
    }
    return highest + log(sum) - logit[label];
}

cvs_status cvi_labelled_ask(const cvi_labelled *l, const cvs_model *model, const cvs_run_options *options,
                            int64_t first, int64_t last, double *loss, int64_t *right, int *answer,
                            double *logits, cvs_error *err) {
    cvi_many many;
    int64_t batch = CVI_MAX(1, CVI_MIN(32, CVI_MIN(last - first, (8 << 20) / l->pixels)));
    double sum = 0.0;
    int64_t hits = 0;
    cvs_status s = cvi_many_new(model, options, &l->shape, batch, &many, err);
    for (int64_t i = first; s == CVS_OK && i < last; i += batch) {
        int64_t n = CVI_MIN(batch, last - i);
        for (int64_t b = 0; b < n; b++) {
            memcpy(cvi_many_place(&many, b), l->x + l->order[i + b] * l->pixels,
                   (size_t)l->pixels * sizeof(float));
        }
        s = cvi_many_ask(&many, n, err);
        if (s == CVS_OK && many.classes != l->classes) {
            s = cvi_fail(err, CVS_E_SHAPE, "the number of classes changed");
        }
        for (int64_t b = 0; s == CVS_OK && b < n; b++) {
            const double *z = many.logit + b * many.classes;
            int64_t at = l->order[i + b], best = 0;
            for (int64_t k = 1; k < many.classes; k++) {
                best = z[k] > z[best] ? k : best;
            }
            sum += cvi_cross_entropy(z, many.classes, l->label[at]);
            hits += best == l->label[at];
            if (answer) {
                answer[at] = (int)best;
            }
            if (logits) {
                memcpy(logits + at * l->classes, z, (size_t)l->classes * sizeof *z);
            }
        }
    }
    cvi_many_free(&many);
    if (loss) {
        *loss = sum / (double)CVI_MAX(last - first, 1);
    }
    if (right) {
        *right = hits;
    }
    return s;
}

/* SPDX-License-Identifier: MIT
 * curves.c - deletion and insertion (RISE, Petsiuk, Das and Saenko 2018): the class's probability while pixels go or come in the order
 * of a map. Deleted pixels become the picture's mean colour; insertion starts from a blurred picture.
 */
#include <math.h>

#include "explain/checks.h"

/* Pictures in which the first `share` of the order comes from `to`, the rest from `from`; asked in batches. */
static cvs_status walk(const cvi_curves *c, const float *from, const float *to, cvs_removal *out,
                       double *area) {
    int64_t pixels = c->height * c->width, step = (pixels + c->points - 1) / c->points;
    out->n = (int)((pixels + step - 1) / step) + 1;
    for (int first = 0; first < out->n; first += (int)c->many->batch) {
        int n = CVI_MIN((int)c->many->batch, out->n - first);
        for (int b = 0; b < n; b++) {
            int64_t changed = CVI_MIN((int64_t)(first + b) * step, pixels);
            float *x = cvi_many_place(c->many, b);
            memcpy(x, from, (size_t)c->many->pixels * sizeof *x);
            for (int64_t i = 0; i < changed; i++) {
                for (int64_t k = 0; k < c->channels; k++) {
                    x[k * pixels + c->order[i]] = to[k * pixels + c->order[i]];
                }
            }
            out->x[first + b] = (double)changed / (double)pixels;
        }
        CVI_TRY(cvi_many_ask(c->many, n, c->err));
        for (int b = 0; b < n; b++) {
            out->y[first + b] = c->many->probability[b * c->many->classes + c->target];
        }
    }
    double sum = 0.0;
    for (int i = 0; i < out->n; i++) {
        sum += out->y[i];
    }
    *area = (sum - (out->y[0] + out->y[out->n - 1]) / 2.0) / (double)(out->n - 1);
    return CVS_OK;
}

cvs_status cvi_curve_deletion(const cvi_curves *c, cvs_removal *out, double *area) {
    int64_t pixels = c->height * c->width;
    float *fill = cvi_calloc((size_t)c->many->pixels, sizeof *fill);
    if (!fill) {
        return cvi_no_memory(c->err, (size_t)c->many->pixels * sizeof *fill);
    }
    for (int64_t k = 0; k < c->channels; k++) {
        double mean = 0.0;
        for (int64_t i = 0; i < pixels; i++) {
            mean += (double)c->picture[k * pixels + i] / (double)pixels;
        }
        for (int64_t i = 0; i < pixels; i++) {
            fill[k * pixels + i] = (float)mean;
        }
    }
    cvs_status s = walk(c, c->picture, fill, out, area);
    cvi_free(fill);
    return s;
}

cvs_status cvi_curve_insertion(const cvi_curves *c, cvs_removal *out, double *area) {
    float *soft = cvi_calloc((size_t)c->many->pixels, sizeof *soft);
    if (!soft) {
        return cvi_no_memory(c->err, (size_t)c->many->pixels * sizeof *soft);
    }
    cvs_status s = cvi_blur_11(c->picture, c->channels, c->height, c->width, soft, c->err);
    if (s == CVS_OK) {
        s = walk(c, soft, c->picture, out, area);
    }
    cvi_free(soft);
    return s;
}

cvs_status cvi_blur_11(const float *in, int64_t channels, int64_t h, int64_t w, float *out, cvs_error *err) {
    double kernel[11], sum = 0.0;
    for (int i = 0; i < 11; i++) {
        kernel[i] = exp(-(double)((i - 5) * (i - 5)) / 50.0);
        sum += kernel[i];
    }
    double *rows = cvi_calloc((size_t)CVI_MAX(h * w, 1), sizeof *rows);
    if (!rows) {
        return cvi_no_memory(err, (size_t)(h * w) * sizeof *rows);
    }
    for (int64_t c = 0; c < channels; c++) {
        for (int64_t i = 0; i < h * w; i++) {
            rows[i] = 0.0;
            for (int64_t k = 0; k < 11; k++) {
                int64_t x = CVI_MIN(CVI_MAX(i % w + k - 5, 0), w - 1);
                rows[i] += kernel[k] / sum * (double)in[c * h * w + i / w * w + x];
            }
        }
        for (int64_t i = 0; i < h * w; i++) {
            double v = 0.0;
            for (int64_t k = 0; k < 11; k++) {
                v += kernel[k] / sum * rows[CVI_MIN(CVI_MAX(i / w + k - 5, 0), h - 1) * w + i % w];
            }
            out[c * h * w + i] = (float)v;
        }
    }
    cvi_free(rows);
    return CVS_OK;
}

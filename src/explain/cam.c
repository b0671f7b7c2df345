/* SPDX-License-Identifier: MIT
 * cam.c - what the class activation maps share: summing the parts, the final ReLU, the votes of the feature maps.
 */
#include <math.h>
#include <stdlib.h>

#include "explain/method.h"

static int stronger(const void *a, const void *b) {
    const cvs_vote *x = a, *y = b;
    double p = fabs(x->value), q = fabs(y->value);
    return p > q ? -1 : p < q ? 1 : x->channel - y->channel;
}

cvs_status cvi_cam_votes(cvi_question *q, const double *value, const double *weight, int64_t channels,
                         cvs_explanation *out) {
    if (channels > INT32_MAX) {
        return cvi_fail(q->err, CVS_E_LIMIT, "%lld feature maps are too many", (long long)channels);
    }
    out->votes = cvi_calloc((size_t)CVI_MAX(channels, 1), sizeof *out->votes);
    if (!out->votes) {
        return cvi_no_memory(q->err, (size_t)channels * sizeof *out->votes);
    }
    out->n_votes = (int)channels;
    double all = 0.0;
    for (int64_t k = 0; k < channels; k++) {
        out->votes[k] = (cvs_vote){.channel = (int)k, .value = value[k], .weight = weight ? weight[k] : 0.0};
        all += fabs(value[k]);
    }
    for (int64_t k = 0; k < channels; k++) {
        out->votes[k].share = all > 0.0 ? fabs(out->votes[k].value) / all : 0.0;
    }
    qsort(out->votes, (size_t)channels, sizeof *out->votes, stronger);
    return CVS_OK;
}

cvs_status cvi_cam_finish(cvi_question *q, const double *parts, const double *weight, int64_t channels,
                          int64_t h, int64_t w, cvs_explanation *out) {
    int64_t dim[4] = {1, 1, h, w}, area = h * w;
    double *value = cvi_calloc((size_t)CVI_MAX(channels, 1), sizeof *value);
    cvs_status s = value ? cvs_tensor_new(&out->map, CVS_F32, 4, dim, q->err)
                         : cvi_no_memory(q->err, (size_t)channels * sizeof *value);
    for (int64_t k = 0; k < channels * area && s == CVS_OK; k++) {
        value[k / area] += parts[k];
    }
    float *map = out->map.data;
    for (int64_t i = 0; i < area && s == CVS_OK; i++) {
        double sum = 0.0;
        for (int64_t k = 0; k < channels; k++) {
            sum += parts[k * area + i];
        }
        map[i] = (float)(q->options->signed_map || q->sign == CVI_SIGN_ALWAYS ? sum : fmax(sum, 0.0));
    }
    if (s == CVS_OK) {
        s = cvi_cam_votes(q, value, weight, channels, out);
    }
    cvi_free(value);
    return s;
}

cvs_status cvi_cam_run(cvi_question *q, cvi_cam_weigh weigh, cvs_explanation *out) {
    cvs_tensor a, g;
    CVI_TRY(cvi_question_maps(q, &a, &g));
    int64_t channels = a.dim[1], area = a.dim[2] * a.dim[3];
    double *parts = cvi_calloc((size_t)CVI_MAX(channels * area, 1), sizeof *parts);
    double *weight = cvi_calloc((size_t)CVI_MAX(channels, 1), sizeof *weight);
    cvs_status s = CVS_OK;
    if (!parts || !weight) {
        s = cvi_no_memory(q->err, (size_t)(channels * area) * sizeof *parts);
    }
    const float *value = a.data, *slope = g.data;
    for (int64_t k = 0; k < channels && s == CVS_OK; k++) {
        weight[k] = weigh(value + k * area, slope + k * area, area, parts + k * area);
    }
    if (s == CVS_OK) {
        s = cvi_cam_finish(q, parts, weight, channels, a.dim[2], a.dim[3], out);
    }
    cvi_free(parts);
    cvi_free(weight);
    return s;
}

cvs_status cvi_cam_weighted(cvi_question *q, const cvs_tensor *maps, const double *weight,
                            cvs_explanation *out) {
    int64_t count = cvs_tensor_count(maps), area = maps->dim[2] * maps->dim[3];
    double *parts = cvi_calloc((size_t)CVI_MAX(count, 1), sizeof *parts);
    if (!parts) {
        return cvi_no_memory(q->err, (size_t)count * sizeof *parts);
    }
    for (int64_t i = 0; i < count; i++) {
        parts[i] = weight[i / area] * cvi_get(maps, i);
    }
    cvs_status s = cvi_cam_finish(q, parts, weight, maps->dim[1], maps->dim[2], maps->dim[3], out);
    cvi_free(parts);
    return s;
}

double cvi_map_bilinear(const float *map, int64_t h, int64_t w, double v, double u) {
    double y = fmin(fmax(v * (double)h - 0.5, 0.0), (double)h - 1.0);
    double x = fmin(fmax(u * (double)w - 0.5, 0.0), (double)w - 1.0);
    int64_t y0 = (int64_t)y, x0 = (int64_t)x, y1 = CVI_MIN(y0 + 1, h - 1), x1 = CVI_MIN(x0 + 1, w - 1);
    double fy = y - (double)y0, fx = x - (double)x0;
    double top = (double)map[y0 * w + x0] * (1 - fx) + (double)map[y0 * w + x1] * fx;
    double bottom = (double)map[y1 * w + x0] * (1 - fx) + (double)map[y1 * w + x1] * fx;
    return top * (1 - fy) + bottom * fy;
}

/* SPDX-License-Identifier: MIT
 * feature_book.c - gradient ascent as in Chollet, Deep Learning with Python (2017), section 5.4: noise around grey, plain steps along the
 * gradient divided by its root mean square, the result stretched to its own mean and deviation for the eye.
 */
#include <math.h>

#include "explain/feature.h"

enum { PURPOSE = 0x626f6f6b };

/* p -= mean; p /= std + 1e-5; p *= 0.1; p += 0.5; clipped, times 255. One colour or three; others as their mean. */
static void show(const cvs_feature_maker *m, const double *p, uint8_t *shown) {
    int64_t channels = m->input.dim[1], area = cvi_feature_pixels(m), n = channels * area;
    double mean = 0, square = 0;
    for (int64_t i = 0; i < n; i++) {
        mean += p[i] / (double)n;
    }
    for (int64_t i = 0; i < n; i++) {
        square += (p[i] - mean) * (p[i] - mean) / (double)n;
    }
    double deviation = sqrt(square) + 1e-5;
    for (int64_t i = 0; i < area; i++) {
        double sum = 0;
        for (int64_t c = 0; c < channels; c++) {
            double v = fmin(fmax((p[c * area + i] - mean) / deviation * 0.1 + 0.5, 0), 1) * 255;
            sum += v / (double)channels;
            if (channels == 3) {
                shown[3 * i + cvi_feature_colour(m, c)] = (uint8_t)v;
            }
        }
        if (channels != 3) {
            memset(shown + 3 * i, (uint8_t)sum, 3);
        }
    }
}

static void enter(cvs_feature_maker *m, const double *p) {
    float *x = m->input.data;
    for (int64_t i = 0; i < m->input.dim[1] * cvi_feature_pixels(m); i++) {
        double factor, offset;
        cvi_feature_scale(m, i / cvi_feature_pixels(m), &factor, &offset);
        x[i] = (float)(p[i] * factor);
    }
}

/* p += step * g / (rms(g) + 1e-5), g by pixels. */
static void climb(const cvs_feature_maker *m, const cvs_tensor *gradient, double *p) {
    int64_t area = cvi_feature_pixels(m), n = m->input.dim[1] * area;
    const float *g = gradient->data;
    double square = 0, factor, offset;
    for (int64_t i = 0; i < n; i++) {
        cvi_feature_scale(m, i / area, &factor, &offset);
        square += (double)g[i] * factor * (double)g[i] * factor;
    }
    double size = sqrt(square / (double)n) + 1e-5;
    for (int64_t i = 0; i < n; i++) {
        cvi_feature_scale(m, i / area, &factor, &offset);
        p[i] += m->o.step * (double)g[i] * factor / size;
    }
}

static cvs_status grow(cvs_feature_maker *m, double *p, double *value, bool *silent, cvs_error *err) {
    for (int64_t t = 0; t <= m->o.steps; t++) {
        cvs_tensor gradient;
        bool still = true;
        enter(m, p);
        CVI_TRY(cvi_feature_ask(m, t < m->o.steps, &value[t], err));
        if (t == m->o.steps) {
            return CVS_OK;
        }
        CVI_TRY(cvi_feature_answer(m, false, &gradient, &still, err));
        *silent = *silent && still;
        climb(m, &gradient, p);
        CVI_TRY(cvi_feature_tell(m, (double)(t + 1) / (double)m->o.steps, err));
    }
    return CVS_OK;
}

cvs_status cvi_feature_book(cvs_feature_maker *m, int i, cvs_feature *out, bool *silent, cvs_error *err) {
    int64_t n = m->input.dim[1] * cvi_feature_pixels(m);
    double *p = cvi_calloc((size_t)n, sizeof *p);
    if (!p) {
        return cvi_no_memory(err, (size_t)n * sizeof *p);
    }
    for (int64_t k = 0; k < n; k++) {
        p[k] = cvi_random_uniform(m->o.seed, PURPOSE + ((uint64_t)i << 32), (uint64_t)k) * 20 + 128;
    }
    cvs_status s = grow(m, p, out->value + i * (m->o.steps + 1), silent, err);
    if (s == CVS_OK) {
        memcpy((float *)out->input.data + i * n, m->input.data, (size_t)n * sizeof(float));
        show(m, p, (uint8_t *)out->shown.data + 3 * i * cvi_feature_pixels(m));
    }
    cvi_free(p);
    return s;
}

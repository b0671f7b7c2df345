/* SPDX-License-Identifier: MIT
 * maps_stats.c - a layer's value as maps: which axis is which, and what the maps of one sample are like.
 */
#include "draw/maps.h"

#include <math.h>

cvs_status cvi_maps_view(const cvs_tensor *value, int64_t sample, cvi_maps *out, cvs_error *err) {
    *out = (cvi_maps){0};
    int64_t count = value != NULL && value->rank <= CVS_MAX_RANK ? cvs_tensor_count(value) : 0;
    if (count <= 0 || value->dtype != CVS_F32 || value->layout != CVS_PLAIN || value->data == NULL) {
        return cvi_fail(err, CVS_E_ARGUMENT, "the value to draw must be float32 and hold numbers");
    }
    const int64_t *d = value->dim;
    int64_t n = value->rank >= 2 ? d[0] : 1;
    if (sample < 0 || sample >= n) {
        return cvi_fail(err, CVS_E_ARGUMENT, "sample %lld asked for, the value holds %lld", (long long)sample,
                        (long long)n);
    }
    out->maps = value->rank >= 2 ? d[1] : count;
    out->columns = value->rank >= 3 ? d[value->rank - 1] : 1;
    out->rows = count / n / out->maps / out->columns;
    out->data = (const float *)value->data + sample * (count / n);
    return CVS_OK;
}

const float *cvi_map(const cvi_maps *m, int64_t i) {
    return m->data + i * m->rows * m->columns;
}

cvi_map_kind cvi_map_look(const cvi_maps *m, int64_t i, double *least, double *largest) {
    const float *v = cvi_map(m, i);
    double lo = HUGE_VAL, hi = -HUGE_VAL;
    bool broken = false;
    for (int64_t k = 0; k < m->rows * m->columns; k++) {
        if (isfinite(v[k])) {
            lo = fmin(lo, (double)v[k]);
            hi = fmax(hi, (double)v[k]);
        } else {
            broken = true;
        }
    }
    *least = lo <= hi ? lo : 0.0;
    *largest = lo <= hi ? hi : 0.0;
    if (broken) {
        return CVI_MAP_BROKEN;
    }
    if (m->rows * m->columns == 1) { /* one number is not "constant" */
        return CVI_MAP_LIVE;
    }
    return lo < hi ? CVI_MAP_LIVE : lo == 0.0 ? CVI_MAP_BLANK : CVI_MAP_CONSTANT;
}

cvs_status cvs_maps_measure(const cvs_tensor *value, int64_t sample, cvs_maps_stats *out, cvs_error *err) {
    cvi_maps m;
    *out = (cvs_maps_stats){0};
    CVI_TRY(cvi_maps_view(value, sample, &m, err));
    out->maps = m.maps;
    out->rows = m.rows;
    out->columns = m.columns;
    out->least = HUGE_VAL;
    out->largest = -HUGE_VAL;
    double sum = 0.0;
    int64_t area = m.rows * m.columns, zeros = 0, finite = 0;
    for (int64_t i = 0; i < m.maps; i++) {
        double lo, hi;
        cvi_map_kind kind = cvi_map_look(&m, i, &lo, &hi);
        out->blank += kind == CVI_MAP_BLANK ? 1 : 0;
        out->constant += kind == CVI_MAP_CONSTANT ? 1 : 0;
        const float *v = cvi_map(&m, i);
        for (int64_t k = 0; k < area; k++) {
            if (isfinite(v[k])) {
                sum += (double)v[k];
                finite++;
                zeros += v[k] == 0.0F ? 1 : 0;
            }
        }
        out->least = fmin(out->least, lo);
        out->largest = fmax(out->largest, hi);
    }
    out->not_finite = m.maps * area - finite;
    out->mean = finite > 0 ? sum / (double)finite : 0.0;
    out->zero_share = finite > 0 ? (double)zeros / (double)finite : 0.0;
    return CVS_OK;
}

float cvi_map_mean(const cvi_maps *m, int64_t i, int64_t y, int64_t x, int64_t shrink) {
    const float *v = cvi_map(m, i);
    if (shrink == 1) {
        return v[y * m->columns + x];
    }
    double sum = 0.0;
    int64_t n = 0;
    for (int64_t r = y * shrink; r < CVI_MIN(m->rows, (y + 1) * shrink); r++) {
        for (int64_t c = x * shrink; c < CVI_MIN(m->columns, (x + 1) * shrink); c++, n++) {
            sum += (double)v[r * m->columns + c];
        }
    }
    return (float)(sum / (double)CVI_MAX(n, 1));
}

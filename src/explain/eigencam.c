/* SPDX-License-Identifier: MIT
 * eigencam.c - Eigen-CAM (Muhammad and Yeasin 2020): the layer's positions (rows: positions, columns: maps, columns centred)
 * projected on the first right singular vector. A singular vector has no sign; here the largest value of the map is
 * positive, so that the map does not depend on how it was computed.
 */
#include <math.h>

#include "explain/method.h"

enum { MOST = 4096, ROUNDS = 20000 };

/* m [rows,columns] -> small [n,n], m mT or mT m, whichever is smaller. */
static void gram(const double *m, int64_t rows, int64_t columns, double *small) {
    bool by_rows = rows <= columns;
    int64_t n = by_rows ? rows : columns, depth = by_rows ? columns : rows;
    for (int64_t i = 0; i < n; i++) {
        for (int64_t j = 0; j <= i; j++) {
            double sum = 0.0;
            for (int64_t k = 0; k < depth; k++) {
                sum += by_rows ? m[i * columns + k] * m[j * columns + k]
                               : m[k * columns + i] * m[k * columns + j];
            }
            small[i * n + j] = small[j * n + i] = sum;
        }
    }
}

/* First eigenvector of a symmetric matrix with no negative eigenvalue, by powers; started from its longest column. */
static void first_vector(const double *m, int64_t n, double *v, double *next) {
    int64_t start = 0;
    for (int64_t i = 1; i < n; i++) {
        start = m[i * n + i] > m[start * n + start] ? i : start;
    }
    for (int64_t i = 0; i < n; i++) {
        v[i] = m[start * n + i];
    }
    for (int round = 0; round < ROUNDS; round++) {
        double length = 0.0, change = 0.0;
        for (int64_t i = 0; i < n; i++) {
            next[i] = 0.0;
            for (int64_t j = 0; j < n; j++) {
                next[i] += m[i * n + j] * v[j];
            }
            length += next[i] * next[i];
        }
        length = sqrt(length);
        if (!(length > 0.0)) {
            return;
        }
        for (int64_t i = 0; i < n; i++) {
            change = fmax(change, fabs(next[i] / length - v[i]));
            v[i] = next[i] / length;
        }
        if (change < 1e-13) {
            return;
        }
    }
}

/* The map: with u the first left singular vector and s its value, s u. From mT m the vector v is the right one: m v. */
static void project(const double *m, int64_t rows, int64_t columns, const double *v,
                    const double *gram_matrix, double *map) {
    if (rows > columns) {
        for (int64_t i = 0; i < rows; i++) {
            map[i] = 0.0;
            for (int64_t k = 0; k < columns; k++) {
                map[i] += m[i * columns + k] * v[k];
            }
        }
        return;
    }
    double value = 0.0;
    for (int64_t i = 0; i < rows; i++) {
        for (int64_t j = 0; j < rows; j++) {
            value += v[i] * gram_matrix[i * rows + j] * v[j];
        }
    }
    for (int64_t i = 0; i < rows; i++) {
        map[i] = v[i] * sqrt(fmax(value, 0.0));
    }
}

/* A map's vote: its part of the pattern where that is positive (over all places every part is zero, for the maps are centred). m
 * [area, maps]; right [maps] is m's first right singular vector, the direction of mT map. */
static cvs_status vote(cvi_question *q, const double *m, const double *map, int64_t area, int64_t maps,
                       cvs_explanation *out) {
    double *value = cvi_calloc((size_t)CVI_MAX(2 * maps, 1), sizeof *value), length = 0.0;
    if (!value) {
        return cvi_no_memory(q->err, (size_t)maps * 2 * sizeof *value);
    }
    double *right = value + maps;
    for (int64_t i = 0; i < area * maps; i++) {
        right[i % maps] += m[i] * map[i / maps];
    }
    for (int64_t k = 0; k < maps; k++) {
        length += right[k] * right[k];
    }
    for (int64_t k = 0; k < maps; k++) {
        right[k] = length > 0.0 ? right[k] / sqrt(length) : 0.0;
    }
    for (int64_t i = 0; i < area * maps; i++) {
        value[i % maps] += map[i / maps] > 0.0 ? m[i] * right[i % maps] : 0.0;
    }
    cvs_status s = cvi_cam_votes(q, value, right, maps, out);
    cvi_free(value);
    return s;
}

static void finish(const cvi_question *q, double *map, int64_t area, float *out) {
    double high = 0.0, low = 0.0;
    for (int64_t i = 0; i < area; i++) {
        high = fmax(high, map[i]);
        low = fmin(low, map[i]);
    }
    double sign = -low > high ? -1.0 : 1.0;
    for (int64_t i = 0; i < area; i++) {
        map[i] *= sign;
        out[i] = (float)(q->options->signed_map ? map[i] : fmax(map[i], 0.0));
    }
}

static cvs_status run(cvi_question *q, cvs_explanation *out) {
    cvs_tensor a;
    CVI_TRY(cvi_question_layer(q, &a));
    int64_t maps = a.dim[1], area = a.dim[2] * a.dim[3], n = CVI_MIN(maps, area),
            dim[4] = {1, 1, a.dim[2], a.dim[3]};
    if (n > MOST) {
        return cvi_fail(q->err, CVS_E_LIMIT, "%lld feature maps are too many", (long long)maps);
    }
    CVI_TRY(cvs_tensor_new(&out->map, CVS_F32, 4, dim, q->err));
    size_t total = (size_t)(area * maps + n * n + 2 * n + area);
    double *m = cvi_calloc(CVI_MAX(total, 1), sizeof *m);
    if (!m) {
        return cvi_no_memory(q->err, total * sizeof *m);
    }
    double *small = m + area * maps, *v = small + n * n, *next = v + n, *map = next + n;
    const float *value = a.data;
    for (int64_t k = 0; k < maps; k++) {
        double mean = 0.0;
        for (int64_t i = 0; i < area; i++) {
            mean += (double)value[k * area + i] / (double)area;
        }
        for (int64_t i = 0; i < area; i++) {
            m[i * maps + k] = (double)value[k * area + i] - mean;
        }
    }
    gram(m, area, maps, small);
    first_vector(small, n, v, next);
    project(m, area, maps, v, small, map);
    finish(q, map, area, out->map.data);
    cvs_status s = vote(q, m, map, area, maps, out);
    cvi_free(m);
    return s;
}

const cvi_method cvi_method_eigencam = {
    .name = "eigencam",
    .title_en = "Eigen-CAM",
    .title_zh = "Eigen-CAM",
    .sentence_en = "The strongest pattern that the feature maps of a layer share; the class plays no part.",
    .sentence_zh = "某一层各特征图共有的最强模式；与类别无关。",
    .caveat_en = "The same map for every class; the sign of the pattern is a convention (its largest value "
                 "is positive).",
    .caveat_zh = "对所有类别都是同一张图；模式的正负号只是约定（绝对值最大处取正）。",
    .source = "Muhammad and Yeasin 2020, arXiv:2008.00299",
    .family = CVI_FAMILY_CAM,
    .flags = CVI_FLAG_LAYER ", " CVI_FLAG_SIGNED ", " CVI_FLAG_VOTES,
    .kind = CVS_MAP_LAYER,
    .needs_layer = true,
    .compat = CVI_PYTORCH_GRAD_CAM,
    .run = run,
};

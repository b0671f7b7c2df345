/* SPDX-License-Identifier: MIT
 * kernel_stats.c - norm and numerical rank of one convolution kernel seen as the matrix m [C, R*S].
 * The singular values are the roots of the eigenvalues of the smaller Gram matrix, by cyclic Jacobi rotations (Golub and
 * Van Loan, Matrix Computations, 8.5) in double. Squaring costs half the digits: values below 1e-8 of the largest are
 * lost, and the threshold, max(C, R*S) * 2^-23 (numpy's rule for float32), is above 1e-7.
 */
#include "draw/figure.h"

#include <math.h>

#define MAX_SIDE 256 /* of the Gram matrix: 16x16 kernels; beyond, the rank is not computed */

/* g = m m^T or m^T m, whichever is smaller; n x n. */
static void gram(const float *m, int64_t rows, int64_t cols, double *g, int64_t n) {
    bool by_rows = rows <= cols;
    for (int64_t i = 0; i < n; i++) {
        for (int64_t j = i; j < n; j++) {
            double sum = 0.0;
            for (int64_t k = 0; k < (by_rows ? cols : rows); k++) {
                double a = (double)(by_rows ? m[i * cols + k] : m[k * cols + i]);
                double b = (double)(by_rows ? m[j * cols + k] : m[k * cols + j]);
                sum += a * b;
            }
            g[i * n + j] = g[j * n + i] = sum;
        }
    }
}

/* One rotation that makes g[p][q] zero. */
static void rotate(double *g, int64_t n, int64_t p, int64_t q) {
    double apq = g[p * n + q];
    double theta = (g[q * n + q] - g[p * n + p]) / (2.0 * apq);
    double t = (theta >= 0.0 ? 1.0 : -1.0) / (fabs(theta) + sqrt(theta * theta + 1.0));
    double c = 1.0 / sqrt(t * t + 1.0), s = t * c;
    for (int64_t k = 0; k < n; k++) {
        double a = g[k * n + p], b = g[k * n + q];
        g[k * n + p] = c * a - s * b;
        g[k * n + q] = s * a + c * b;
    }
    for (int64_t k = 0; k < n; k++) {
        double a = g[p * n + k], b = g[q * n + k];
        g[p * n + k] = c * a - s * b;
        g[q * n + k] = s * a + c * b;
    }
}

/* Leaves the eigenvalues on the diagonal. */
static void diagonalise(double *g, int64_t n) {
    for (int sweep = 0; sweep < 40; sweep++) {
        double off = 0.0, all = 0.0;
        for (int64_t i = 0; i < n * n; i++) {
            all += g[i] * g[i];
            off += i / n != i % n ? g[i] * g[i] : 0.0;
        }
        if (!(off > all * 1e-30)) {
            return;
        }
        for (int64_t p = 0; p < n; p++) {
            for (int64_t q = p + 1; q < n; q++) {
                if (fabs(g[p * n + q]) > 0.0) {
                    rotate(g, n, p, q);
                }
            }
        }
    }
}

static int count_rank(const double *g, int64_t n, int64_t longer) {
    double top = 0.0;
    for (int64_t i = 0; i < n; i++) {
        top = fmax(top, g[i * n + i]);
    }
    double threshold = sqrt(top) * (double)longer * 0x1p-23;
    int rank = 0;
    for (int64_t i = 0; i < n; i++) {
        double value = g[i * n + i];
        rank += value > 0.0 && sqrt(value) > threshold ? 1 : 0;
    }
    return rank;
}

cvs_status cvs_kernel_measure(const float *weights, int64_t c, int64_t rs, cvs_kernel_stats *out,
                              cvs_error *err) {
    *out = (cvs_kernel_stats){.rank = -1};
    double sum = 0.0;
    int64_t count;
    if (c <= 0 || rs <= 0 || !cvi_mul(c, rs, &count)) {
        return CVS_OK;
    }
    for (int64_t i = 0; i < count; i++) {
        double v = (double)weights[i];
        sum += v * v;
        out->largest = fmax(out->largest, fabs(v));
    }
    out->norm = sqrt(sum);
    int64_t n = CVI_MIN(c, rs);
    if (!isfinite(sum) || n > MAX_SIDE) {
        return CVS_OK;
    }
    double *g = cvi_calloc((size_t)(n * n), sizeof *g);
    if (g == NULL) {
        return cvi_no_memory(err, (size_t)(n * n) * sizeof *g);
    }
    gram(weights, c, rs, g, n);
    diagonalise(g, n);
    out->rank = count_rank(g, n, CVI_MAX(c, rs));
    cvi_free(g);
    return CVS_OK;
}

/* SPDX-License-Identifier: MIT
 * covariance.c - what a covariance of filter outputs says: how many directions they span, which of them the others can be mixed from,
 * and with which weights. Householder and implicit QL as in Golub and Van Loan, Matrix Computations; pivoted and plain Cholesky.
 */
#include <math.h>

#include "explain/units.h"

/* a [n,n] symmetric -> diagonal d and side e (e[0] unused) of a tridiagonal matrix with the same eigenvalues. */
static void tridiagonal(double *a, int64_t n, double *d, double *e, double *p) {
    for (int64_t i = n - 1; i >= 2; i--) {
        double *v = a + i * n, size = 0.0; /* row i, columns 0..i-1, becomes (0 .. 0 alpha) */
        for (int64_t k = 0; k < i; k++) {
            size += v[k] * v[k];
        }
        double rest = size - v[i - 1] * v[i - 1];
        d[i] = a[i * n + i];
        if (!(rest > 0.0)) {
            e[i] = v[i - 1];
            continue;
        }
        double alpha = v[i - 1] > 0.0 ? -sqrt(size) : sqrt(size), vv = 2.0 * (size - alpha * v[i - 1]),
               pv = 0.0;
        e[i] = alpha;
        v[i - 1] -= alpha;
        for (int64_t r = 0; r < i; r++) {
            double sum = 0.0;
            for (int64_t k = 0; k < i; k++) {
                sum += (k <= r ? a[r * n + k] : a[k * n + r]) * v[k];
            }
            p[r] = 2.0 * sum / vv;
            pv += p[r] * v[r];
        }
        for (int64_t r = 0; r < i; r++) {
            p[r] -= pv / vv * v[r];
        }
        for (int64_t r = 0; r < i; r++) {
            for (int64_t k = 0; k <= r; k++) {
                a[r * n + k] -= v[r] * p[k] + p[r] * v[k];
            }
        }
    }
    d[0] = a[0];
    if (n > 1) {
        d[1] = a[n + 1];
        e[1] = a[n];
    }
}

/* Implicit QL with Wilkinson's shift on d, e (side between i and i+1 in e[i] here). */
static bool ql(double *d, double *e, int64_t n) {
    for (int64_t l = 0; l < n; l++) {
        for (int round = 0;; round++) {
            int64_t m = l;
            while (m + 1 < n && fabs(e[m]) > 1e-15 * (fabs(d[m]) + fabs(d[m + 1]))) {
                m++;
            }
            if (m == l) {
                break;
            }
            if (round == 60) {
                return false;
            }
            double g = (d[l + 1] - d[l]) / (2.0 * e[l]), r = hypot(g, 1.0), s = 1.0, c = 1.0, p = 0.0;
            g = d[m] - d[l] + e[l] / (g + (g >= 0.0 ? r : -r));
            int64_t i = m - 1;
            for (; i >= l; i--) {
                double f = s * e[i], b = c * e[i];
                r = hypot(f, g);
                e[i + 1] = r;
                if (r == 0.0) {
                    d[i + 1] -= p;
                    e[m] = 0.0;
                    break;
                }
                s = f / r;
                c = g / r;
                g = d[i + 1] - p;
                r = (d[i] - g) * s + 2.0 * c * b;
                p = s * r;
                d[i + 1] = g + p;
                g = c * r - b;
            }
            if (r == 0.0 && i >= l) {
                continue;
            }
            d[l] -= p;
            e[l] = g;
            e[m] = 0.0;
        }
    }
    return true;
}

cvs_status cvi_eigenvalues(double *a, int64_t n, double *value, cvs_error *err) {
    double *room = cvi_calloc((size_t)n + 1, 2 * sizeof *room);
    if (!room) {
        return cvi_no_memory(err, (size_t)n * 2 * sizeof *room);
    }
    double *e = room, *p = room + n + 1;
    tridiagonal(a, n, value, e, p);
    memmove(e, e + 1, (size_t)(n - 1) * sizeof *e);
    e[n - 1] = 0.0;
    bool done = ql(value, e, n);
    cvi_free(room);
    return done ? CVS_OK
                : cvi_fail(err, CVS_E_INTERNAL, "the eigenvalues of %lld x %lld numbers do not settle",
                           (long long)n, (long long)n);
}

cvs_status cvi_effective_rank(const double *cov, int64_t n, double *out, cvs_error *err) {
    double *a = cvi_calloc((size_t)(n * n + n), sizeof *a), sum = 0.0, entropy = 0.0;
    *out = 0.0;
    if (!a) {
        return cvi_no_memory(err, (size_t)(n * n) * sizeof *a);
    }
    memcpy(a, cov, (size_t)(n * n) * sizeof *a);
    double *value = a + n * n;
    cvs_status s = cvi_eigenvalues(a, n, value, err);
    for (int64_t i = 0; s == CVS_OK && i < n; i++) {
        sum += fmax(value[i], 0.0);
    }
    for (int64_t i = 0; s == CVS_OK && sum > 0.0 && i < n; i++) {
        double p = fmax(value[i], 0.0) / sum;
        entropy -= p > 0.0 ? p * log(p) : 0.0;
    }
    *out = s == CVS_OK && sum > 0.0 ? exp(entropy) : 0.0;
    cvi_free(a);
    return s;
}

cvs_status cvi_independent(const double *cov, int64_t n, double share, bool *keep, cvs_error *err) {
    double *left = cvi_calloc((size_t)(n * n + n), sizeof *left), total = 0.0;
    if (!left) {
        return cvi_no_memory(err, (size_t)(n * n) * sizeof *left);
    }
    double *row = left + n; /* [steps, n] rows of the factor */
    for (int64_t i = 0; i < n; i++) {
        left[i] = cov[i * n + i];
        total += left[i];
        keep[i] = false;
    }
    for (int64_t step = 0; step < n; step++) {
        int64_t best = -1;
        double rest = 0.0;
        for (int64_t i = 0; i < n; i++) {
            rest += keep[i] ? 0.0 : fmax(left[i], 0.0);
            best = !keep[i] && (best < 0 || left[i] > left[best]) ? i : best;
        }
        if (best < 0 || rest <= share * total || !(left[best] > 0.0)) {
            break;
        }
        keep[best] = true;
        double root = sqrt(left[best]), *now = row + step * n;
        for (int64_t i = 0; i < n; i++) {
            double v = cov[best * n + i];
            for (int64_t k = 0; k < step; k++) {
                v -= row[k * n + best] * row[k * n + i];
            }
            now[i] = v / root;
            left[i] -= now[i] * now[i];
        }
    }
    cvi_free(left);
    return CVS_OK;
}

cvs_status cvi_mix(const double *cov, int64_t n, const int *kept, int64_t n_kept, const int *gone,
                   int64_t n_gone, double *mix, cvs_error *err) {
    if (n_kept == 0 || n_gone == 0) {
        return CVS_OK;
    }
    double *f = cvi_calloc((size_t)(n_kept * n_kept), sizeof *f), trace = 0.0;
    if (!f) {
        return cvi_no_memory(err, (size_t)(n_kept * n_kept) * sizeof *f);
    }
    for (int64_t i = 0; i < n_kept; i++) {
        trace += cov[kept[i] * n + kept[i]];
    }
    double ridge = 1e-6 * trace / (double)n_kept + 1e-30;
    for (int64_t i = 0; i < n_kept; i++) { /* lower Cholesky factor */
        for (int64_t j = 0; j <= i; j++) {
            double v = cov[kept[i] * n + kept[j]] + (i == j ? ridge : 0.0);
            for (int64_t k = 0; k < j; k++) {
                v -= f[i * n_kept + k] * f[j * n_kept + k];
            }
            f[i * n_kept + j] = i == j ? sqrt(fmax(v, ridge)) : v / f[j * n_kept + j];
        }
    }
    for (int64_t g = 0; g < n_gone; g++) {
        double *b = mix + g * n_kept;
        for (int64_t i = 0; i < n_kept; i++) {
            double v = cov[gone[g] * n + kept[i]];
            for (int64_t k = 0; k < i; k++) {
                v -= f[i * n_kept + k] * b[k];
            }
            b[i] = v / f[i * n_kept + i];
        }
        for (int64_t i = n_kept - 1; i >= 0; i--) {
            double v = b[i];
            for (int64_t k = i + 1; k < n_kept; k++) {
                v -= f[k * n_kept + i] * b[k];
            }
            b[i] = v / f[i * n_kept + i];
        }
    }
    cvi_free(f);
    return CVS_OK;
}

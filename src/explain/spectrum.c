/* SPDX-License-Identifier: MIT
 * spectrum.c - a picture by its spectrum: inverse real Fourier transform, decorrelated colours, sigmoid; and the way back for
 * gradients. The transform splits a length by its prime factors (Cooley and Tukey), so that sides like 224 or 150 cost little.
 */
#include "explain/spectrum.h"

#include <math.h>

#define TWO_PI 6.283185307179586476925

int64_t cvi_fft_work(int64_t n) {
    return 6 * n;
}

static int64_t smallest_factor(int64_t n) {
    for (int64_t f = 2; f * f <= n; f++) {
        if (n % f == 0) {
            return f;
        }
    }
    return n;
}

/* in: n pairs `stride` pairs apart -> out: n pairs side by side; root: exp(sign 2 pi i j / total) for j < total. */
static void transform(const double *in, int64_t stride, double *out, int64_t n, const double *root,
                      int64_t total, double *scratch) {
    if (n == 1) {
        out[0] = in[0];
        out[1] = in[1];
        return;
    }
    int64_t f = smallest_factor(n), m = n / f;
    for (int64_t q = 0; q < f; q++) {
        transform(in + 2 * q * stride, stride * f, out + 2 * q * m, m, root, total, scratch);
    }
    memcpy(scratch, out, (size_t)(2 * n) * sizeof *out);
    for (int64_t k = 0; k < n; k++) {
        double re = 0, im = 0;
        int64_t turn = 0; /* q * k % n */
        for (int64_t q = 0; q < f; q++) {
            const double *part = scratch + 2 * (q * m + k % m);
            const double *w = root + 2 * turn * (total / n);
            re += part[0] * w[0] - part[1] * w[1];
            im += part[0] * w[1] + part[1] * w[0];
            turn = turn + k < n ? turn + k : turn + k - n;
        }
        out[2 * k] = re;
        out[2 * k + 1] = im;
    }
}

void cvi_fft(double *data, int64_t n, int64_t stride, int sign, double *work) {
    double *root = work, *out = work + 2 * n, *scratch = work + 4 * n;
    for (int64_t j = 0; j < n; j++) {
        root[2 * j] = cos(TWO_PI * (double)j / (double)n);
        root[2 * j + 1] = sign * sin(TWO_PI * (double)j / (double)n);
    }
    transform(data, stride, out, n, root, n, scratch);
    for (int64_t k = 0; k < n; k++) {
        data[2 * k * stride] = out[2 * k];
        data[2 * k * stride + 1] = out[2 * k + 1];
    }
}

/* ---- the parametrisation --------------------------------------------------------------------------------- */

/* The square root of the covariance of colours in ImageNet, divided by its longest column: what Lucid uses. */
static const double colour[3][3] = {{0.26, 0.09, 0.02}, {0.27, 0.00, -0.05}, {0.27, -0.09, 0.03}};

static double colour_scale(void) {
    double longest = 0;
    for (int k = 0; k < 3; k++) {
        double sum = 0;
        for (int c = 0; c < 3; c++) {
            sum += colour[c][k] * colour[c][k];
        }
        longest = fmax(longest, sqrt(sum));
    }
    return 1 / longest;
}

static double frequency(int64_t i, int64_t n) { /* cycles per pixel */
    return (double)(i <= n / 2 ? i : i - n) / (double)n;
}

cvs_status cvi_spectrum_new(int64_t channels, int64_t rows, int64_t columns, double decay, cvi_spectrum *out,
                            cvs_error *err) {
    int64_t area, all, longer = CVI_MAX(rows, columns);
    *out = (cvi_spectrum){.channels = channels, .rows = rows, .columns = columns, .half = columns / 2 + 1};
    if (!cvi_mul(rows, columns, &area) || !cvi_mul(area, channels, &all) || all > INT32_MAX / 8) {
        return cvi_fail(err, CVS_E_LIMIT, "a picture of %lld x %lld pixels is too large to grow",
                        (long long)columns, (long long)rows);
    }
    out->scale = cvi_calloc((size_t)(rows * out->half), sizeof(double));
    out->grid = cvi_calloc((size_t)(2 * area), sizeof(double));
    out->work = cvi_calloc((size_t)cvi_fft_work(longer), sizeof(double));
    out->planes = cvi_calloc((size_t)all, sizeof(double));
    if (!out->scale || !out->grid || !out->work || !out->planes) {
        return cvi_no_memory(err, (size_t)all * sizeof(double));
    }
    for (int64_t i = 0; i < rows * out->half; i++) {
        double fy = frequency(i / out->half, rows), fx = (double)(i % out->half) / (double)columns;
        double f = fmax(sqrt(fy * fy + fx * fx), 1.0 / (double)longer);
        out->scale[i] = sqrt((double)area) / pow(f, decay);
    }
    return CVS_OK;
}

void cvi_spectrum_free(cvi_spectrum *s) {
    cvi_free(s->scale);
    cvi_free(s->grid);
    cvi_free(s->work);
    cvi_free(s->planes);
    *s = (cvi_spectrum){0};
}

int64_t cvi_spectrum_count(const cvi_spectrum *s) {
    return 2 * s->channels * s->rows * s->half;
}

static void transform_plane(cvi_spectrum *s, int sign) {
    for (int64_t x = 0; x < s->columns; x++) {
        cvi_fft(s->grid + 2 * x, s->rows, s->columns, sign, s->work);
    }
    for (int64_t y = 0; y < s->rows; y++) {
        cvi_fft(s->grid + 2 * y * s->columns, s->columns, 1, sign, s->work);
    }
}

/* How often a column of the half spectrum stands in the whole one. */
static double times(const cvi_spectrum *s, int64_t kx) {
    return kx == 0 || (s->columns % 2 == 0 && kx == s->columns / 2) ? 1.0 : 2.0;
}

/* plane [H,W] = real part of the inverse transform of the half spectrum, whose other half is its mirror image. */
static void inverse(cvi_spectrum *s, const double *parameters, double *plane) {
    int64_t area = s->rows * s->columns;
    memset(s->grid, 0, (size_t)(2 * area) * sizeof *s->grid);
    for (int64_t i = 0; i < s->rows * s->half; i++) {
        double weight = s->scale[i] * times(s, i % s->half);
        double *at = s->grid + 2 * (i / s->half * s->columns + i % s->half);
        at[0] = weight * parameters[2 * i];
        at[1] = weight * parameters[2 * i + 1];
    }
    transform_plane(s, 1);
    for (int64_t i = 0; i < area; i++) {
        plane[i] = s->grid[2 * i] / (double)area / 4;
    }
}

void cvi_spectrum_picture(cvi_spectrum *s, const double *parameters, double *x) {
    int64_t area = s->rows * s->columns, per = 2 * s->rows * s->half;
    double scale = colour_scale();
    for (int64_t c = 0; c < s->channels; c++) {
        inverse(s, parameters + c * per, s->planes + c * area);
    }
    for (int64_t i = 0; i < area && s->channels == 3; i++) {
        double t[3] = {s->planes[i], s->planes[area + i], s->planes[2 * area + i]};
        for (int c = 0; c < 3; c++) {
            s->planes[c * area + i] =
                scale * (colour[c][0] * t[0] + colour[c][1] * t[1] + colour[c][2] * t[2]);
        }
    }
    for (int64_t i = 0; i < s->channels * area; i++) {
        x[i] = 1 / (1 + exp(-s->planes[i]));
    }
}

void cvi_spectrum_gradient(cvi_spectrum *s, const double *x, const double *dx, double *gradient) {
    int64_t area = s->rows * s->columns, per = 2 * s->rows * s->half;
    double scale = colour_scale();
    for (int64_t i = 0; i < s->channels * area; i++) {
        s->planes[i] = dx[i] * x[i] * (1 - x[i]) / 4;
    }
    for (int64_t i = 0; i < area && s->channels == 3; i++) {
        double t[3] = {s->planes[i], s->planes[area + i], s->planes[2 * area + i]};
        for (int k = 0; k < 3; k++) {
            s->planes[k * area + i] =
                scale * (colour[0][k] * t[0] + colour[1][k] * t[1] + colour[2][k] * t[2]);
        }
    }
    for (int64_t c = 0; c < s->channels; c++) {
        for (int64_t i = 0; i < area; i++) {
            s->grid[2 * i] = s->planes[c * area + i];
            s->grid[2 * i + 1] = 0;
        }
        transform_plane(s, -1);
        for (int64_t i = 0; i < s->rows * s->half; i++) {
            double weight = s->scale[i] * times(s, i % s->half) / (double)area;
            const double *at = s->grid + 2 * (i / s->half * s->columns + i % s->half);
            gradient[c * per + 2 * i] = weight * at[0];
            gradient[c * per + 2 * i + 1] = weight * at[1];
        }
    }
}

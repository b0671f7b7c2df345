/* SPDX-License-Identifier: MIT
 * sway.c - small random moves of a picture as one resampling (Lucid's pad, jitter, scale, turn, jitter), and its transpose.
 */
#include "explain/sway.h"

#include <math.h>

enum { PURPOSE = 0x73776179, DRAWS = 8, SCALES = 11, ANGLES = 26 };

static double move(uint64_t seed, uint64_t at, double most) {
    double steps = fmax(1, rint(most));
    return floor(cvi_random_uniform(seed, PURPOSE, at) * (steps + 1)) - steps / 2;
}

cvi_sway cvi_sway_draw(uint64_t seed, uint64_t n, int64_t rows, int64_t columns) {
    uint64_t at = n * DRAWS;
    double side = (double)CVI_MAX(rows, columns);
    double scale = 0.9 + 0.02 * floor(cvi_random_uniform(seed, PURPOSE, at) * SCALES);
    int turn = (int)(cvi_random_uniform(seed, PURPOSE, at + 1) * ANGLES); /* -10 .. 10, and five zeros */
    double angle = turn > 20 ? 0 : (turn - 10) * 3.14159265358979323846 / 180;
    cvi_sway s = {.a = cos(angle) / scale, .b = sin(angle) / scale};
    s.c = -s.b;
    s.d = s.a;
    s.down = move(seed, at + 2, side / 16) + move(seed, at + 4, side / 32);
    s.right = move(seed, at + 3, side / 16) + move(seed, at + 5, side / 32);
    return s;
}

/* The four pixels round a source position, and their weights; weight 0 beyond the border. */
typedef struct corners {
    int64_t at[4];
    double weight[4], inside;
} corners;

static corners find(const cvi_sway *s, int64_t i, int64_t rows, int64_t columns) {
    double mid_r = (double)(rows - 1) / 2, mid_c = (double)(columns - 1) / 2;
    double r = (double)(i / columns) - mid_r, c = (double)(i % columns) - mid_c;
    double y = s->a * r + s->b * c + s->down + mid_r, x = s->c * r + s->d * c + s->right + mid_c;
    double fy = y - floor(y), fx = x - floor(x);
    int64_t y0 = (int64_t)floor(y), x0 = (int64_t)floor(x);
    corners k = {.inside = 0};
    for (int j = 0; j < 4; j++) {
        int64_t row = y0 + j / 2, column = x0 + j % 2;
        bool in = row >= 0 && column >= 0 && row < rows && column < columns;
        k.at[j] = in ? row * columns + column : 0;
        k.weight[j] = in ? (j / 2 ? fy : 1 - fy) * (j % 2 ? fx : 1 - fx) : 0.0;
        k.inside += k.weight[j];
    }
    return k;
}

void cvi_sway_apply(const cvi_sway *s, const double *x, int64_t channels, int64_t rows, int64_t columns,
                    double *y) {
    int64_t area = rows * columns;
    for (int64_t i = 0; i < area; i++) {
        corners k = find(s, i, rows, columns);
        for (int64_t c = 0; c < channels; c++) {
            double sum = 0.5 * (1 - k.inside);
            for (int j = 0; j < 4; j++) {
                sum += k.weight[j] * x[c * area + k.at[j]];
            }
            y[c * area + i] = sum;
        }
    }
}

void cvi_sway_back(const cvi_sway *s, const double *dy, int64_t channels, int64_t rows, int64_t columns,
                   double *dx) {
    int64_t area = rows * columns;
    for (int64_t i = 0; i < area; i++) {
        corners k = find(s, i, rows, columns);
        for (int64_t c = 0; c < channels; c++) {
            for (int j = 0; j < 4; j++) {
                dx[c * area + k.at[j]] += k.weight[j] * dy[c * area + i];
            }
        }
    }
}

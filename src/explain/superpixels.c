/* SPDX-License-Identifier: MIT
 * superpixels.c - SLIC (Achanta et al. 2012): pixels gathered round the nearest of centres that begin on a grid, near meaning in
 * colour and in place; then every connected part of too few pixels joins the part before it.
 */
#include <math.h>

#include "explain/pieces.h"

enum { ROUNDS = 10 };
static const double compact =
    0.1; /* a step of the grid weighs as much as this share of the picture's range */

typedef struct slic {
    const cvs_tensor *x;
    int64_t channels, h, w, rows, columns;
    double side, range;
    double *centre, *sum; /* [k, 2 + channels] each: row, column, colours; sum has the number behind */
    double *distance;     /* [h*w] */
    int32_t *label;
} slic;

static double pixel(const slic *s, int64_t c, int64_t i) {
    return cvi_get(s->x, c * s->h * s->w + i);
}

static void gather(slic *s) {
    int64_t width = 2 + s->channels, k = s->rows * s->columns, reach = (int64_t)ceil(2.0 * s->side);
    for (int64_t i = 0; i < s->h * s->w; i++) {
        s->distance[i] = HUGE_VAL;
    }
    for (int64_t j = 0; j < k; j++) {
        const double *at = s->centre + j * width;
        int64_t top = CVI_MAX(0, (int64_t)at[0] - reach), end = CVI_MIN(s->h, (int64_t)at[0] + reach + 1);
        int64_t first = CVI_MAX(0, (int64_t)at[1] - reach), last = CVI_MIN(s->w, (int64_t)at[1] + reach + 1);
        for (int64_t y = top; y < end; y++) {
            for (int64_t x = first; x < last; x++) {
                double far =
                    ((double)y - at[0]) * ((double)y - at[0]) + ((double)x - at[1]) * ((double)x - at[1]);
                double d = far / (s->side * s->side);
                for (int64_t c = 0; c < s->channels; c++) {
                    double off = (pixel(s, c, y * s->w + x) - at[2 + c]) / (s->range * compact);
                    d += off * off / (double)s->channels;
                }
                if (d < s->distance[y * s->w + x]) {
                    s->distance[y * s->w + x] = d;
                    s->label[y * s->w + x] = (int32_t)j;
                }
            }
        }
    }
}

static void centre_again(slic *s) {
    int64_t width = 2 + s->channels, k = s->rows * s->columns;
    memset(s->sum, 0, (size_t)(k * (width + 1)) * sizeof *s->sum);
    for (int64_t i = 0; i < s->h * s->w; i++) {
        double *sum = s->sum + s->label[i] * (width + 1);
        sum[0] += (double)(i / s->w);
        sum[1] += (double)(i % s->w);
        for (int64_t c = 0; c < s->channels; c++) {
            sum[2 + c] += pixel(s, c, i);
        }
        sum[width] += 1.0;
    }
    for (int64_t j = 0; j < k; j++) {
        for (int64_t d = 0; d < width && s->sum[j * (width + 1) + width] > 0.0; d++) {
            s->centre[j * width + d] = s->sum[j * (width + 1) + d] / s->sum[j * (width + 1) + width];
        }
    }
}

/* Numbers the connected parts anew; one smaller than `least` joins a neighbour found before it. queue and done [h*w]. */
static int64_t connect(const slic *s, int64_t least, int32_t *done, int64_t *queue) {
    int64_t n = 0, area = s->h * s->w;
    for (int64_t i = 0; i < area; i++) {
        done[i] = -1;
    }
    for (int64_t i = 0; i < area; i++) {
        if (done[i] >= 0) {
            continue;
        }
        int64_t head = 0, tail = 0;
        int32_t before = i % s->w > 0 ? done[i - 1] : i >= s->w ? done[i - s->w] : -1;
        queue[tail++] = i;
        done[i] = (int32_t)n;
        while (head < tail) {
            int64_t at = queue[head++], y = at / s->w, x = at % s->w;
            const int64_t near[4] = {y > 0 ? at - s->w : at, y + 1 < s->h ? at + s->w : at,
                                     x > 0 ? at - 1 : at, x + 1 < s->w ? at + 1 : at};
            for (int k = 0; k < 4; k++) {
                if (done[near[k]] < 0 && s->label[near[k]] == s->label[i]) {
                    done[near[k]] = (int32_t)n;
                    queue[tail++] = near[k];
                }
            }
        }
        for (int64_t k = 0; k < tail && tail < least && before >= 0; k++) {
            done[queue[k]] = before;
        }
        n += tail >= least || before < 0;
    }
    return n;
}

static void start(slic *s) {
    int64_t width = 2 + s->channels;
    double low = HUGE_VAL, high = -HUGE_VAL;
    for (int64_t i = 0; i < cvs_tensor_count(s->x); i++) {
        low = fmin(low, cvi_get(s->x, i));
        high = fmax(high, cvi_get(s->x, i));
    }
    s->range = high > low ? high - low : 1.0;
    for (int64_t j = 0; j < s->rows * s->columns; j++) {
        double y = ((double)(j / s->columns) + 0.5) * (double)s->h / (double)s->rows;
        double x = ((double)(j % s->columns) + 0.5) * (double)s->w / (double)s->columns;
        int64_t at = (int64_t)y * s->w + (int64_t)x;
        s->centre[j * width] = y - 0.5;
        s->centre[j * width + 1] = x - 0.5;
        for (int64_t c = 0; c < s->channels; c++) {
            s->centre[j * width + 2 + c] = pixel(s, c, at);
        }
    }
    for (int64_t i = 0; i < s->h * s->w; i++) { /* a pixel that no centre reaches stays in its cell */
        s->label[i] = (int32_t)(i / s->w * s->rows / s->h * s->columns + i % s->w * s->columns / s->w);
    }
}

cvs_status cvi_superpixels(const cvs_tensor *x, int64_t wanted, int32_t *label, int64_t *n, cvs_error *err) {
    slic s = {.x = x, .channels = x->dim[1], .h = x->dim[2], .w = x->dim[3], .label = label};
    int64_t area = s.h * s.w, width = 2 + s.channels;
    s.side = fmax(1.0, sqrt((double)area / (double)wanted));
    s.rows = CVI_MAX(1, (int64_t)((double)s.h / s.side + 0.5));
    s.columns = CVI_MAX(1, (int64_t)((double)s.w / s.side + 0.5));
    int64_t k = s.rows * s.columns;
    s.centre = cvi_calloc((size_t)(k * (2 * width + 1) + area), sizeof *s.centre);
    int32_t *done = cvi_calloc((size_t)area, sizeof *done);
    int64_t *queue = cvi_calloc((size_t)area, sizeof *queue);
    if (!s.centre || !done || !queue) {
        cvi_free(s.centre);
        cvi_free(done);
        cvi_free(queue);
        return cvi_no_memory(err, (size_t)area * 2 * sizeof *queue);
    }
    s.sum = s.centre + k * width;
    s.distance = s.sum + k * (width + 1);
    start(&s);
    for (int round = 0; round < ROUNDS; round++) {
        gather(&s);
        centre_again(&s);
    }
    *n = connect(&s, CVI_MAX(1, (int64_t)(s.side * s.side / 4.0)), done, queue);
    memcpy(label, done, (size_t)area * sizeof *label);
    cvi_free(s.centre);
    cvi_free(done);
    cvi_free(queue);
    return CVS_OK;
}

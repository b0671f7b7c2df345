/* SPDX-License-Identifier: MIT
 * pool_view.c - windows and winners of a pooling layer, and what becomes of them when its input is shifted.
 */
#include "draw/pool_view.h"

#include <math.h>
#include <stdlib.h>

cvs_status cvi_pooling_view(const cvs_pooling_data *data, cvi_pooling *out, cvs_error *err) {
    *out = (cvi_pooling){.window = data->window};
    CVI_TRY(cvi_maps_view(data->input, data->sample, &out->in, err));
    CVI_TRY(cvi_maps_view(data->output, data->sample, &out->out, err));
    if (out->in.maps != out->out.maps) {
        return cvi_fail(err, CVS_E_SHAPE, "pooling keeps the channels: input has %lld, output %lld",
                        (long long)out->in.maps, (long long)out->out.maps);
    }
    const char *kind = data->window.kind;
    out->global = strncmp(kind, "global", 6) == 0;
    out->is_max = strstr(kind, "max") != NULL;
    if (out->global) {
        out->window.kernel[0] = out->in.rows;
        out->window.kernel[1] = out->in.columns;
        out->window.pad_begin[0] = out->window.pad_begin[1] = 0;
    }
    for (int a = 0; a < 2; a++) {
        int64_t bound = INT32_MAX;
        out->window.kernel[a] = CVI_MIN(CVI_MAX(out->window.kernel[a], 1), bound);
        out->window.stride[a] =
            out->global ? out->window.kernel[a] : CVI_MIN(CVI_MAX(out->window.stride[a], 1), bound);
        out->window.dilation[a] = CVI_MIN(CVI_MAX(out->window.dilation[a], 1), bound);
        out->window.pad_begin[a] = CVI_MIN(CVI_MAX(out->window.pad_begin[a], 0), bound);
    }
    const cvs_tensor *s = data->switches;
    int64_t per_sample = out->out.maps * out->out.rows * out->out.columns;
    if (s != NULL && s->data != NULL && s->dtype == CVS_I64 &&
        cvs_tensor_count(s) >= (data->sample + 1) * per_sample) {
        out->switches = (const int64_t *)s->data + data->sample * per_sample;
    }
    out->has_winners = out->is_max;
    return CVS_OK;
}

static void span(int64_t o, int64_t kernel, int64_t stride, int64_t dilation, int64_t pad, int64_t size,
                 int64_t *from, int64_t *to) {
    *from = o * stride - pad;
    *to = CVI_MIN(*from + (kernel - 1) * dilation + 1, size);
    *from = CVI_MAX(*from, 0);
}

void cvi_pooling_window(const cvi_pooling *p, int64_t oy, int64_t ox, int64_t *r0, int64_t *r1, int64_t *c0,
                        int64_t *c1) {
    const cvs_window *w = &p->window;
    span(oy, w->kernel[0], w->stride[0], w->dilation[0], w->pad_begin[0], p->in.rows, r0, r1);
    span(ox, w->kernel[1], w->stride[1], w->dilation[1], w->pad_begin[1], p->in.columns, c0, c1);
}

/* Value of the input moved by (dy, dx), edges repeated. */
static float moved(const cvi_pooling *p, int64_t channel, int64_t r, int64_t c, const int64_t shift[2]) {
    int64_t y = CVI_MIN(CVI_MAX(r - shift[1], 0), p->in.rows - 1),
            x = CVI_MIN(CVI_MAX(c - shift[0], 0), p->in.columns - 1);
    return cvi_map(&p->in, channel)[y * p->in.columns + x];
}

/* First largest value of a window of the shifted input (as MaxPool's switches), or its place -1 for an empty window; and
 * the mean of the values that exist. */
static int64_t pool_window(const cvi_pooling *p, int64_t channel, int64_t o, const int64_t shift[2],
                           float *largest, double *mean) {
    const cvs_window *w = &p->window;
    int64_t oy = o / p->out.columns, ox = o % p->out.columns, best = -1, n = 0;
    double sum = 0.0;
    for (int64_t i = 0; i < w->kernel[0]; i++) {
        int64_t r = oy * w->stride[0] - w->pad_begin[0] + i * w->dilation[0];
        for (int64_t j = 0; r >= 0 && r < p->in.rows && j < w->kernel[1]; j++) {
            int64_t c = ox * w->stride[1] - w->pad_begin[1] + j * w->dilation[1];
            if (c < 0 || c >= p->in.columns) {
                continue;
            }
            float v = moved(p, channel, r, c, shift);
            sum += (double)v;
            n++;
            if (best < 0 || v > *largest) {
                best = r * p->in.columns + c;
                *largest = v;
            }
        }
        if (r >= p->in.rows) {
            break;
        }
    }
    *mean = n > 0 ? sum / (double)n : 0.0;
    return best;
}

int64_t cvi_pooling_winner(const cvi_pooling *p, int64_t channel, int64_t o) {
    if (!p->has_winners) {
        return -1;
    }
    if (p->switches != NULL) {
        int64_t at = p->switches[channel * p->out.rows * p->out.columns + o];
        return at >= 0 && at < p->in.rows * p->in.columns ? at : -1;
    }
    float largest = 0.0F;
    double mean;
    static const int64_t still[2] = {0, 0};
    return pool_window(p, channel, o, still, &largest, &mean);
}

cvs_status cvs_pooling_shift(const cvs_pooling_data *data, cvs_shift_stats *out, cvs_error *err) {
    cvi_pooling p;
    *out = (cvs_shift_stats){0};
    CVI_TRY(cvi_pooling_view(data, &p, err));
    int64_t bound = INT32_MAX, move[2] = {CVI_MIN(CVI_MAX(data->shift[0], -bound), bound),
                                          CVI_MIN(CVI_MAX(data->shift[1], -bound), bound)};
    static const int64_t still[2] = {0, 0};
    for (int64_t c = 0; c < p.in.maps; c++) {
        for (int64_t o = 0; o < p.out.rows * p.out.columns; o++) {
            float v0 = 0.0F, v1 = 0.0F;
            double m0, m1;
            int64_t before = pool_window(&p, c, o, still, &v0, &m0),
                    after = pool_window(&p, c, o, move, &v1, &m1);
            out->windows++;
            out->same_output += (p.is_max ? v0 == v1 : m0 == m1) ? 1 : 0;
            if (!p.has_winners || before < 0) {
                continue;
            }
            int64_t dr = after / p.in.columns - before / p.in.columns,
                    dc = after % p.in.columns - before % p.in.columns;
            if (dr == 0 && dc == 0) {
                out->same++;
            } else if (dr == move[1] && dc == move[0]) {
                out->followed++;
            } else {
                out->elsewhere++;
            }
        }
    }
    return CVS_OK;
}

typedef struct keyed {
    double v;
    int64_t i;
} keyed;

static int by_strength(const void *a, const void *b) {
    const keyed *p = a, *q = b;
    return p->v > q->v ? -1 : p->v < q->v ? 1 : p->i < q->i ? -1 : p->i > q->i;
}

cvs_status cvi_pooling_strongest(const cvi_pooling *p, int64_t **order, cvs_error *err) {
    keyed *keys = cvi_calloc((size_t)p->out.maps, sizeof *keys);
    *order = cvi_calloc((size_t)p->out.maps, sizeof **order);
    if (keys == NULL || *order == NULL) {
        cvi_free(keys);
        return cvi_no_memory(err, (size_t)p->out.maps * sizeof *keys);
    }
    for (int64_t i = 0; i < p->out.maps; i++) {
        double lo, hi;
        cvi_map_look(&p->out, i, &lo, &hi);
        keys[i] = (keyed){fmax(fabs(lo), fabs(hi)), i};
    }
    qsort(keys, (size_t)p->out.maps, sizeof *keys, by_strength);
    for (int64_t i = 0; i < p->out.maps; i++) {
        (*order)[i] = keys[i].i;
    }
    cvi_free(keys);
    return CVS_OK;
}

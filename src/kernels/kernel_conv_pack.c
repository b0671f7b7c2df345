/* SPDX-License-Identifier: MIT
 * kernel_conv_pack.c - brings weights [K,C/groups,R,S] into the order in which the register blocks read them.
 * All of it is bound by memory: weights are read in runs as long as the file has them, turned 8x8 in registers, and
 * transformed weights of large layers go past the caches, because nobody reads them before they would be pushed out.
 */
#include "kernels/kernel_conv.h"

enum { PART = 64 }; /* input channels of a chunk */

typedef struct pack_job {
    const cvi_conv_plan *plan;
    const float *weights;
    int64_t panels, parts; /* of output channels in a group; of input channels in a group */
    int64_t order[9];      /* winograd: position of the 3x3 window -> index of its weight */
    bool stream;
} pack_job;

/* to[(c*area + tap)*16 + k] for `channels` input channels from c0 and the panel's output channels from k0, of group g;
 * lanes without an output channel are 0. */
static void gather(const pack_job *job, int64_t g, int64_t k0, int64_t c0, int64_t channels, float *to) {
    const cvi_conv_plan *p = job->plan;
    int64_t area = p->shape.R * p->shape.S, per = p->shape.C / p->groups;
    int64_t valid = CVI_MIN(16, p->group_out - k0);
    const float *from = job->weights + cvi_conv_weight_at(p, g, k0, c0, 0);
    if (valid < 16) {
        memset(to, 0, (size_t)(channels * area * 16) * sizeof(float));
    }
    if (p->kind == CVI_CONV_FORWARD) {
        p->kernels->transpose(valid, channels * area, from, per * area, to, 16);
        return;
    }
    for (int64_t c = 0; c < channels; c++, from += per * area, to += area * 16) {
        if (area == 1) {
            memcpy(to, from, (size_t)valid * sizeof(float));
        } else {
            p->kernels->transpose(valid, area, from, area, to, 16);
        }
    }
}

/* ---- direct: [phase][group][panel][tap][channel of the group][16 or 8] -------------------------------- */

/* Input channels gathered at once: a kernel of any size must fit the buffer. */
static int64_t step_of(const cvi_conv_plan *p) {
    return p->shape.R * p->shape.S <= 16 ? 8 : 1;
}

/* The taps of one phase from gathered weights. */
static void spread(const cvi_conv_plan *p, const cvi_phase *ph, int64_t width, const float *gathered,
                   int64_t channels, float *to) {
    int64_t area = p->shape.R * p->shape.S;
    for (int64_t t = 0; t < ph->n_taps; t++, to += p->group_in * width) {
        const float *from = gathered + p->taps[ph->first_tap + t].index * 16;
        for (int64_t c = 0; c < channels; c++) {
            memcpy(to + c * width, from + c * area * 16, (size_t)width * sizeof(float));
        }
    }
}

/* A large kernel: number by number, without a buffer. */
static void pack_plainly(const pack_job *job, const cvi_phase *ph, int64_t g, int64_t panel, int64_t c0,
                         int64_t c1, float *to) {
    const cvi_conv_plan *p = job->plan;
    int64_t width = cvi_panel_width(p->group_out, panel);
    for (int64_t t = 0; t < ph->n_taps; t++) {
        for (int64_t c = c0; c < c1; c++) {
            for (int64_t k = 0; k < width; k++) {
                int64_t out = panel * 16 + k;
                int64_t at = cvi_conv_weight_at(p, g, CVI_MIN(out, p->group_out - 1), c,
                                                p->taps[ph->first_tap + t].index);
                to[(t * p->group_in + c) * width + k] = out < p->group_out ? job->weights[at] : 0.0F;
            }
        }
    }
}

static void pack_direct(void *context, int64_t chunk, int worker) {
    const pack_job *job = context;
    const cvi_conv_plan *p = job->plan;
    (void)worker;
    int64_t part = chunk % job->parts, panel = chunk / job->parts % job->panels,
            g = chunk / job->parts / job->panels;
    int64_t width = cvi_panel_width(p->group_out, panel), area = p->shape.R * p->shape.S;
    int64_t c0 = part * PART, c1 = CVI_MIN(p->group_in, c0 + PART), step = step_of(p);
    float gathered[16 * 8 * 16];
    for (int64_t i = 0; i < p->n_phases; i++) {
        const cvi_phase *ph = &p->phases[i];
        float *to =
            p->packed + ph->packed + (g * cvi_conv_padded_out(p) + panel * 16) * ph->n_taps * p->group_in;
        if (area > 16) {
            pack_plainly(job, ph, g, panel, c0, c1, to);
            continue;
        }
        if (area == 1 && width == 16 && ph->n_taps == 1) {
            gather(job, g, panel * 16, c0, c1 - c0, to + c0 * 16);
            continue;
        }
        for (int64_t c = c0; c < c1; c += step) {
            int64_t channels = CVI_MIN(step, c1 - c);
            gather(job, g, panel * 16, c, channels, gathered);
            spread(p, ph, width, gathered, channels, to + c * width);
        }
    }
}

static void pack_depthwise(const cvi_conv_plan *p, const float *weights) {
    int64_t pitch = CVI_PITCH(p->in_c), area = p->shape.R * p->shape.S;
    for (int64_t i = 0; i < p->n_phases; i++) {
        const cvi_phase *ph = &p->phases[i];
        float *to = p->packed + ph->packed;
        for (int64_t t = 0; t < ph->n_taps; t++, to += pitch) {
            int64_t tap = p->taps[ph->first_tap + t].index;
            for (int64_t c = 0; c < pitch; c++) {
                to[c] = c < p->in_c ? weights[c * area + tap] : 0.0F;
            }
        }
    }
}

/* The registers' prefetch runs past the end: that must be memory, and costs nothing. */
static void clear_tail(const cvi_conv_plan *p) {
    memset(p->packed + p->packed_floats - CVI_PACKED_TAIL, 0, CVI_PACKED_TAIL * sizeof(float));
}

void cvi_direct_pack(const cvi_conv_plan *p, cvi_pool *pool, const float *weights) {
    clear_tail(p);
    if (p->algorithm == CVI_CONV_DEPTHWISE) {
        pack_depthwise(p, weights);
        return;
    }
    pack_job job = {.plan = p, .weights = weights, .parts = (p->group_in + PART - 1) / PART};
    job.panels = (p->group_out + 15) / 16;
    cvi_pool_run(pool, p->groups * job.panels * job.parts, pack_direct, &job);
}

/* ---- Winograd: [36 or 16][panel][in_c][16, the last 8 where enough] ------------------------------------ */

/* Position (i, j) of the 3x3 window as the input sees it -> index of its weight. Transposed runs it backwards. */
static void window_order(const cvi_conv_plan *p, int64_t order[9]) {
    int64_t dy = INT64_MAX, dx = INT64_MAX;
    for (int i = 0; i < 9; i++) {
        dy = CVI_MIN(dy, p->taps[i].dy);
        dx = CVI_MIN(dx, p->taps[i].dx);
    }
    for (int i = 0; i < 9; i++) {
        order[(p->taps[i].dy - dy) * 3 + p->taps[i].dx - dx] = p->taps[i].index;
    }
}

static void pack_winograd(void *context, int64_t chunk, int worker) {
    const pack_job *job = context;
    const cvi_conv_plan *p = job->plan;
    (void)worker;
    int64_t panel = chunk / job->parts, c0 = chunk % job->parts * PART, c1 = CVI_MIN(p->in_c, c0 + PART);
    int64_t width = cvi_panel_width(p->out_c, panel), matrix = cvi_conv_padded_out(p) * p->in_c;
    float g[9 * CVI_WINOGRAD_CHANNELS * 16];
    for (int64_t c = c0; c < c1; c += CVI_WINOGRAD_CHANNELS) {
        int64_t channels = CVI_MIN(CVI_WINOGRAD_CHANNELS, c1 - c);
        gather(job, 0, panel * 16, c, channels, g);
        float *u = p->packed + panel * 16 * p->in_c + c * width;
        (p->algorithm == CVI_CONV_WINOGRAD4
             ? p->kernels->winograd_weights_4
             : p->kernels->winograd_weights_2)(channels, width, g, job->order, job->stream, u, matrix);
    }
}

void cvi_winograd_pack(const cvi_conv_plan *p, cvi_pool *pool, const float *weights) {
    pack_job job = {.plan = p, .weights = weights, .parts = (p->in_c + PART - 1) / PART};
    clear_tail(p);
    window_order(p, job.order);
    job.stream = p->packed_floats > 1 << 19;
    job.panels = (p->out_c + 15) / 16;
    cvi_pool_run(pool, job.panels * job.parts, pack_winograd, &job);
}

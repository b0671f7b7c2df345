/* SPDX-License-Identifier: MIT
 * kernel_conv_plan.c - checks a convolution's shape, chooses its algorithm, and turns it (either direction)
 * into phases and taps, the form that all algorithms run.
 */
#include "kernels/kernel_conv.h"

static cvs_status check(const cvi_conv_shape *s, cvs_error *err) {
    const int64_t positive[] = {s->N,          s->C,      s->H,        s->W,        s->K,
                                s->R,          s->S,      s->stride_h, s->stride_w, s->dilation_h,
                                s->dilation_w, s->groups, s->OH,       s->OW};
    for (int i = 0; i < CVI_COUNT(positive); i++) {
        if (positive[i] <= 0) {
            return cvi_fail(err, CVS_E_SHAPE, "a convolution needs sizes of at least 1");
        }
    }
    if (s->C % s->groups != 0 || s->K % s->groups != 0) {
        return cvi_fail(err, CVS_E_SHAPE, "%lld groups do not divide %lld input and %lld output channels",
                        (long long)s->groups, (long long)s->C, (long long)s->K);
    }
    int64_t weights, area, input, output;
    bool fits = cvi_mul(s->R, s->S, &area) && cvi_mul(s->K, s->C / s->groups, &weights) &&
                cvi_mul(weights, area, &weights) && cvi_mul(s->H, s->W, &input) &&
                cvi_mul(input, s->N, &input) && cvi_mul(input, s->C + 8, &input) &&
                cvi_mul(s->OH, s->OW, &output) && cvi_mul(output, s->N, &output) &&
                cvi_mul(output, s->K + 8, &output);
    /* The bounds leave room for the few further products of sizes that plans make. */
    const int64_t most = (int64_t)1 << 40;
    if (!fits || weights > most || input > most || output > most) {
        return cvi_fail(err, CVS_E_LIMIT, "a convolution of this size is over the limit");
    }
    const int64_t offsets[] = {s->stride_h,   s->stride_w, s->dilation_h,
                               s->dilation_w, s->pad_top,  s->pad_left};
    for (int i = 0; i < CVI_COUNT(offsets); i++) {
        if (offsets[i] > INT32_MAX || offsets[i] < -INT32_MAX) {
            return cvi_fail(err, CVS_E_LIMIT, "a stride, dilation or pad of %lld is over the limit",
                            (long long)offsets[i]);
        }
    }
    return CVS_OK;
}

static bool is_winograd(cvi_conv_algorithm a) {
    return a == CVI_CONV_WINOGRAD2 || a == CVI_CONV_WINOGRAD4;
}

/* Time of F(o x o, 3x3) per pair of an input and an output channel, in multiply-adds of the direct kernel: the
 * products (less efficient with few input channels), the two transforms, and at least the time to read the
 * transformed weights where they overflow a second-level cache. Constants fitted to measurements. */
static double winograd_cost(const cvi_conv_plan *p, int64_t o) {
    double area = (double)((o + 2) * (o + 2)), c = (double)p->in_c, k = (double)p->out_c;
    double tiles = (double)(p->N * ((p->out_h + o - 1) / o) * ((p->out_w + o - 1) / o));
    double work = tiles * area * (1 + 12 / c + 4 / k + 3.5 / c);
    double reading = area * 4 * 2.5;
    return area * 4 * c * k > 1e6 ? CVI_MAX(work, reading) : work;
}

static cvi_conv_algorithm choose(const cvi_conv_plan *p, const cvi_conv_options *o) {
    const cvi_conv_shape *s = &p->shape;
    if (s->groups > 1 && s->groups == s->C && s->C == s->K) {
        return o->algorithm == CVI_CONV_DIRECT ? CVI_CONV_DIRECT : CVI_CONV_DEPTHWISE;
    }
    bool fits = s->R == 3 && s->S == 3 && s->stride_h == 1 && s->stride_w == 1 && s->dilation_h == 1 &&
                s->dilation_w == 1 && s->groups == 1;
    if (!fits || o->exact || o->algorithm == CVI_CONV_DIRECT) {
        return CVI_CONV_DIRECT;
    }
    if (is_winograd(o->algorithm)) {
        return o->algorithm;
    }
    if (p->in_c < 8 || (p->in_c <= 12 && p->out_c < 32)) { /* transforms are done for padding channels too */
        return CVI_CONV_DIRECT;
    }
    double direct = 9.0 * (double)(p->N * p->out_h * p->out_w) * (1 + 4.0 / (double)p->in_c);
    double two = winograd_cost(p, 2), four = winograd_cost(p, 4);
    if (direct <= two && direct <= four) {
        return CVI_CONV_DIRECT;
    }
    return two < four ? CVI_CONV_WINOGRAD2 : CVI_CONV_WINOGRAD4;
}

/* The output positions of one residue class, and the taps that reach the input from them. */
static void add_transposed_phase(cvi_conv_plan *p, int64_t y0, int64_t x0) {
    const cvi_conv_shape *s = &p->shape;
    cvi_phase *ph = &p->phases[p->n_phases++];
    *ph = (cvi_phase){.y0 = y0,
                      .x0 = x0,
                      .rows = (s->H - y0 + s->stride_h - 1) / s->stride_h,
                      .columns = (s->W - x0 + s->stride_w - 1) / s->stride_w,
                      .first_tap = p->n_taps};
    for (int64_t r = s->R - 1; r >= 0; r--) {            /* backwards, so that the input is read forwards */
        int64_t y = y0 + s->pad_top - r * s->dilation_h; /* = stride * (row of y the tap reads) */
        for (int64_t c = s->S - 1; c >= 0; c--) {
            int64_t x = x0 + s->pad_left - c * s->dilation_w;
            if (y % s->stride_h == 0 && x % s->stride_w == 0) {
                p->taps[p->n_taps++] =
                    (cvi_tap){.dy = y / s->stride_h, .dx = x / s->stride_w, .index = r * s->S + c};
            }
        }
    }
    ph->n_taps = p->n_taps - ph->first_tap;
}

static void add_phases(cvi_conv_plan *p) {
    const cvi_conv_shape *s = &p->shape;
    if (p->kind == CVI_CONV_TRANSPOSED) {
        for (int64_t y = 0; y < CVI_MIN(s->stride_h, s->H); y++) {
            for (int64_t x = 0; x < CVI_MIN(s->stride_w, s->W); x++) {
                add_transposed_phase(p, y, x);
            }
        }
    } else {
        for (int64_t r = 0; r < s->R; r++) {
            for (int64_t c = 0; c < s->S; c++) {
                p->taps[p->n_taps++] = (cvi_tap){.dy = r * s->dilation_h - s->pad_top,
                                                 .dx = c * s->dilation_w - s->pad_left,
                                                 .index = r * s->S + c};
            }
        }
        p->phases[p->n_phases++] = (cvi_phase){.rows = s->OH, .columns = s->OW, .n_taps = p->n_taps};
    }
    for (int64_t i = 0; i < p->n_phases; i++) {
        cvi_phase *ph = &p->phases[i];
        p->most_taps = CVI_MAX(p->most_taps, ph->n_taps);
        for (int64_t t = ph->first_tap; t < ph->first_tap + ph->n_taps; t++) {
            bool first = t == ph->first_tap;
            ph->low_y = first ? p->taps[t].dy : CVI_MIN(ph->low_y, p->taps[t].dy);
            ph->high_y = first ? p->taps[t].dy : CVI_MAX(ph->high_y, p->taps[t].dy);
            ph->low_x = first ? p->taps[t].dx : CVI_MIN(ph->low_x, p->taps[t].dx);
            ph->high_x = first ? p->taps[t].dx : CVI_MAX(ph->high_x, p->taps[t].dx);
        }
    }
}

static void set_direction(cvi_conv_plan *p) {
    const cvi_conv_shape *s = &p->shape;
    bool forward = p->kind == CVI_CONV_FORWARD;
    p->N = s->N;
    p->groups = s->groups;
    p->in_c = forward ? s->C : s->K;
    p->in_h = forward ? s->H : s->OH;
    p->in_w = forward ? s->W : s->OW;
    p->out_c = forward ? s->K : s->C;
    p->out_h = forward ? s->OH : s->H;
    p->out_w = forward ? s->OW : s->W;
    p->group_in = p->in_c / s->groups;
    p->group_out = p->out_c / s->groups;
    p->in_step_y = forward ? s->stride_h : 1;
    p->in_step_x = forward ? s->stride_w : 1;
    p->out_step_y = forward ? 1 : s->stride_h;
    p->out_step_x = forward ? 1 : s->stride_w;
}

cvs_status cvi_conv_plan_new(const cvi_conv_shape *shape, cvi_conv_kind kind, const cvi_conv_options *options,
                             cvi_conv_plan **out, cvs_error *err) {
    const cvi_conv_options defaults = {0};
    CVI_TRY(check(shape, err));
    cvi_conv_plan *p = cvi_calloc(1, sizeof *p);
    if (p == NULL) {
        return cvi_no_memory(err, sizeof *p);
    }
    p->shape = *shape;
    p->kind = kind;
    p->kernels = cvi_kernels_get();
    set_direction(p);
    bool forward = kind == CVI_CONV_FORWARD;
    size_t phases =
        forward ? 1 : (size_t)(CVI_MIN(shape->stride_h, shape->H) * CVI_MIN(shape->stride_w, shape->W));
    size_t taps = (size_t)(shape->R * shape->S), zeros = (size_t)p->in_c + 16;
    p->phases = cvi_calloc(phases, sizeof *p->phases);
    p->taps = cvi_calloc(taps, sizeof *p->taps);
    p->zeros = cvi_calloc(zeros, sizeof *p->zeros);
    if (p->phases == NULL || p->taps == NULL || p->zeros == NULL) {
        cvi_conv_plan_free(p);
        return cvi_no_memory(err,
                             phases * sizeof(cvi_phase) + taps * sizeof(cvi_tap) + zeros * sizeof(float));
    }
    add_phases(p);
    p->algorithm = choose(p, options != NULL ? options : &defaults);
    (is_winograd(p->algorithm) ? cvi_winograd_layout : cvi_direct_layout)(p);
    p->grid = p->algorithm == CVI_CONV_DEPTHWISE && cvi_depthwise_fits(p);
    p->few = cvi_rows_fit(p);
    *out = p;
    return CVS_OK;
}

void cvi_conv_plan_free(cvi_conv_plan *plan) {
    if (plan != NULL) {
        cvi_free(plan->phases);
        cvi_free(plan->taps);
        cvi_free(plan->zeros);
        cvi_free(plan->packed);
        cvi_free(plan);
    }
}

cvi_conv_algorithm cvi_conv_plan_algorithm(const cvi_conv_plan *plan) {
    return plan->algorithm;
}

int64_t cvi_conv_packed_bytes(const cvi_conv_plan *plan) {
    return plan->packed_floats * (int64_t)sizeof(float);
}

bool cvi_conv_packed(const cvi_conv_plan *plan) {
    return plan->weights != NULL;
}

cvs_status cvi_conv_pack(cvi_conv_plan *plan, cvi_pool *pool, const float *weights, cvs_error *err) {
    if (plan->packed == NULL) {
        plan->packed = cvi_malloc((size_t)cvi_conv_packed_bytes(plan));
        if (plan->packed == NULL) {
            return cvi_no_memory(err, (size_t)cvi_conv_packed_bytes(plan));
        }
    }
    (is_winograd(plan->algorithm) ? cvi_winograd_pack : cvi_direct_pack)(plan, pool, weights);
    plan->weights = plan->packed;
    return CVS_OK;
}

bool cvi_conv_borrow(cvi_conv_plan *plan, const cvi_conv_plan *owner) {
    const cvi_conv_shape *a = &plan->shape, *b = &owner->shape;
    bool same = plan->kind == owner->kind && plan->algorithm == owner->algorithm &&
                plan->kernels == owner->kernels && a->C == b->C && a->K == b->K && a->R == b->R &&
                a->S == b->S && a->groups == b->groups && plan->packed_floats == owner->packed_floats;
    /* What a transposed plan packs for a phase depends on where the phase's taps fall. */
    if (plan->kind == CVI_CONV_TRANSPOSED) {
        same = same && a->stride_h == b->stride_h && a->stride_w == b->stride_w &&
               a->dilation_h == b->dilation_h && a->dilation_w == b->dilation_w && a->pad_top == b->pad_top &&
               a->pad_left == b->pad_left && plan->n_phases == owner->n_phases;
    }
    if (!same || owner->weights == NULL) {
        return false;
    }
    plan->weights = owner->weights;
    return true;
}

int64_t cvi_conv_scratch_bytes(const cvi_conv_plan *plan, int threads) {
    int64_t each = is_winograd(plan->algorithm) ? cvi_winograd_scratch(plan)
                   : plan->grid                 ? cvi_depthwise_scratch(plan)
                   : plan->few                  ? cvi_rows_scratch(plan)
                                                : cvi_direct_scratch(plan);
    return each * CVI_MAX(threads, 1);
}

void cvi_conv_run(const cvi_conv_plan *plan, cvi_pool *pool, const cvi_conv_io *io) {
    (is_winograd(plan->algorithm) ? cvi_winograd_run
     : plan->grid                 ? cvi_depthwise_run
     : plan->few                  ? cvi_rows_run
                                  : cvi_direct_run)(plan, pool, io);
}

bool cvi_conv_by_rows(const cvi_conv_plan *plan, cvi_rows_read *reads) {
    const cvi_phase *ph = &plan->phases[0];
    *reads = (cvi_rows_read){plan->in_step_y, ph->low_y, ph->high_y - ph->low_y + 1};
    return plan->kind == CVI_CONV_FORWARD && !is_winograd(plan->algorithm) &&
           (plan->algorithm != CVI_CONV_DEPTHWISE || plan->grid);
}

void cvi_conv_run_rows(const cvi_conv_plan *plan, const cvi_conv_io *io, int64_t y0, int64_t y1, int worker) {
    (plan->grid ? cvi_depthwise_rows : plan->few ? cvi_rows_rows : cvi_direct_rows)(plan, io, y0, y1, worker);
}

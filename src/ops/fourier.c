/* SPDX-License-Identifier: MIT
 * fourier.c - DFT STFT: discrete Fourier transforms along an axis and of the frames of a signal. Powers of two by halving (Cooley and
 * Tukey), other lengths by the definition with a table of the roots of one. Complex numbers are a last axis of two. In double throughout.
 */
#include <math.h>

#include "ops/walk.h"

static const double two_pi = 6.283185307179586476925286766559;

/* A transform of n complex numbers, and its memory. */
typedef struct transform {
    int64_t n;
    double *root;     /* [n,2] cos and sin of 2 pi k/n; sin with the sign of the transform */
    double *in, *out; /* [n,2] */
} transform;

static cvs_status make_transform(const cvi_opctx *ctx, int64_t n, bool inverse, transform *t) {
    double *all = cvi_arena_alloc(ctx->scratch, CVI_MAX(n, 1), 6 * sizeof *all);
    if (all == NULL) {
        return cvi_no_memory(ctx->err, (size_t)n * 6 * sizeof *all);
    }
    *t = (transform){n, all, all + 2 * n, all + 4 * n};
    for (int64_t k = 0; k < n; k++) {
        double angle = two_pi * (double)k / (double)n;
        t->root[2 * k] = cos(angle);
        t->root[2 * k + 1] = inverse ? sin(angle) : -sin(angle);
    }
    return CVS_OK;
}

static void by_halves(const transform *t) {
    for (int64_t i = 0, j = 0; i < t->n; i++) { /* out = in in the order of reversed bits */
        t->out[2 * j] = t->in[2 * i];
        t->out[2 * j + 1] = t->in[2 * i + 1];
        int64_t bit = t->n >> 1;
        for (; bit > 0 && (j & bit) != 0; bit >>= 1) {
            j ^= bit;
        }
        j |= bit;
    }
    for (int64_t half = 1; half < t->n; half *= 2) {
        for (int64_t at = 0; at < t->n; at += 2 * half) {
            for (int64_t k = 0; k < half; k++) {
                const double *w = t->root + 2 * (k * (t->n / (2 * half)));
                double *a = t->out + 2 * (at + k), *b = a + 2 * half;
                double re = b[0] * w[0] - b[1] * w[1], im = b[0] * w[1] + b[1] * w[0];
                b[0] = a[0] - re;
                b[1] = a[1] - im;
                a[0] += re;
                a[1] += im;
            }
        }
    }
}

static void run_transform(const transform *t) {
    if ((t->n & (t->n - 1)) == 0) {
        by_halves(t);
        return;
    }
    for (int64_t k = 0; k < t->n; k++) {
        double re = 0, im = 0;
        for (int64_t i = 0, at = 0; i < t->n; i++, at = (at + k) % t->n) {
            const double *x = t->in + 2 * i, *w = t->root + 2 * at;
            re += x[0] * w[0] - x[1] * w[1];
            im += x[0] * w[1] + x[1] * w[0];
        }
        t->out[2 * k] = re;
        t->out[2 * k + 1] = im;
    }
}

static cvs_status one_number(const cvi_opctx *ctx, int k, int64_t otherwise, int64_t *out) {
    int n;
    CVI_TRY(cvi_ints(ctx, k, out, 1, &n));
    if (n == 0) {
        return cvi_fail(ctx->err, CVS_E_SHAPE, "input %d has %lld elements, but must have one", k, 0LL);
    }
    *out = n < 0 ? otherwise : *out;
    return CVS_OK;
}

static cvs_status want_complex(const cvi_opctx *ctx, int lowest_rank) {
    const cvs_tensor *x = ctx->in[0];
    CVI_TRY(cvi_want_float(ctx, 0));
    CVI_TRY(cvi_rank_from(ctx, 0, lowest_rank));
    int64_t parts = x->dim[x->rank - 1];
    if (parts != 1 && parts != 2) {
        return cvi_fail(ctx->err, CVS_E_SHAPE,
                        "the last axis must hold one part (real) or two (complex), not %lld",
                        (long long)parts);
    }
    return CVS_OK;
}

/* ---- DFT --------------------------------------------------------------------------------------------- */
typedef struct dft {
    int axis;
    bool inverse, onesided;
    int64_t length, out_side, outer, side, inner; /* inner: elements between neighbours, without the parts */
    int64_t parts, out_parts;
} dft;

static cvs_status make_dft(const cvi_opctx *ctx, dft *d) {
    const cvs_tensor *x = ctx->in[0];
    int64_t axis;
    CVI_TRY(want_complex(ctx, 2));
    CVI_TRY(one_number(ctx, 2, -2, &axis));
    *d = (dft){.inverse = cvi_op_int(ctx, "inverse") != 0, .onesided = cvi_op_int(ctx, "onesided") != 0};
    CVI_TRY(cvi_axis(ctx, axis, x->rank, &d->axis));
    if (d->axis == x->rank - 1) {
        return cvi_axis(ctx, x->rank, x->rank, &d->axis); /* the axis of the parts is none */
    }
    bool whole = d->inverse && d->onesided; /* half a spectrum gives real numbers */
    d->side = x->dim[d->axis];
    CVI_TRY(one_number(ctx, 1, whole ? 2 * (d->side - 1) : d->side, &d->length));
    if (d->length < 1 || d->length > (int64_t)1 << 40) {
        return cvi_fail(ctx->err, CVS_E_SHAPE, "a transform of %lld numbers is not possible",
                        (long long)d->length);
    }
    d->out_side = d->onesided && !d->inverse ? d->length / 2 + 1 : d->length;
    d->parts = x->dim[x->rank - 1];
    d->out_parts = whole ? 1 : 2;
    d->outer = cvi_product(x->dim, 0, d->axis);
    d->inner = cvi_product(x->dim, d->axis + 1, x->rank - 1);
    return CVS_OK;
}

static cvs_status infer_dft(cvi_opctx *ctx) {
    const cvs_tensor *x = ctx->in[0];
    int64_t dim[CVS_MAX_RANK];
    dft d;
    CVI_TRY(make_dft(ctx, &d));
    memcpy(dim, x->dim, sizeof dim);
    dim[d.axis] = d.out_side;
    dim[x->rank - 1] = d.out_parts;
    return cvi_out_shape(ctx, 0, x->dtype, x->rank, dim);
}

/* Number k of half a spectrum as part of the whole: the other half is its mirror image, conjugated. */
static double part_of(const cvs_tensor *x, const dft *d, int64_t base, int64_t k, int part) {
    bool mirrored = d->inverse && d->onesided && k > d->length / 2;
    k = mirrored ? d->length - k : k;
    if (k >= d->side || part >= d->parts) {
        return 0;
    }
    bool real = d->inverse && d->onesided && (k == 0 || 2 * k == d->length);
    double v = real && part == 1 ? 0 : cvi_get(x, (base + k * d->inner) * d->parts + part);
    return mirrored && part == 1 ? -v : v;
}

static cvs_status forward_dft(cvi_opctx *ctx) {
    dft d;
    transform t;
    CVI_TRY(make_dft(ctx, &d));
    CVI_TRY(make_transform(ctx, d.length, d.inverse, &t));
    double scale = d.inverse ? 1 / (double)d.length : 1;
    for (int64_t o = 0; o < d.outer; o++) {
        for (int64_t i = 0; i < d.inner; i++) {
            for (int64_t k = 0; k < d.length; k++) {
                for (int part = 0; part < 2; part++) {
                    t.in[2 * k + part] = part_of(ctx->in[0], &d, o * d.side * d.inner + i, k, part);
                }
            }
            run_transform(&t);
            for (int64_t k = 0; k < d.out_side; k++) {
                for (int64_t part = 0; part < d.out_parts; part++) {
                    cvi_put(&ctx->out[0], ((o * d.out_side + k) * d.inner + i) * d.out_parts + part,
                            t.out[2 * k + part] * scale);
                }
            }
        }
    }
    return CVS_OK;
}

/* ---- STFT -------------------------------------------------------------------------------------------- */
typedef struct stft {
    int64_t step, length, frames, bins, signal, parts;
} stft;

static cvs_status make_stft(const cvi_opctx *ctx, stft *s) {
    const cvs_tensor *x = ctx->in[0], *window = cvi_in(ctx, 2);
    CVI_TRY(want_complex(ctx, 3));
    CVI_TRY(cvi_rank_is(ctx, 0, 3));
    *s = (stft){.signal = x->dim[1], .parts = x->dim[2]};
    CVI_TRY(one_number(ctx, 1, 1, &s->step));
    CVI_TRY(one_number(ctx, 3, window != NULL ? cvs_tensor_count(window) : s->signal, &s->length));
    CVI_TRY(cvi_want_vector(ctx, 2, s->length));
    if (s->step < 1 || s->length < 1 || s->length > s->signal) {
        return cvi_fail(ctx->err, CVS_E_SHAPE,
                        "frames of %lld numbers, %lld apart, do not fit a signal of %lld",
                        (long long)s->length, (long long)s->step, (long long)s->signal);
    }
    s->frames = (s->signal - s->length) / s->step + 1;
    s->bins = cvi_op_int(ctx, "onesided") != 0 ? s->length / 2 + 1 : s->length;
    return CVS_OK;
}

static cvs_status infer_stft(cvi_opctx *ctx) {
    stft s;
    CVI_TRY(make_stft(ctx, &s));
    int64_t dim[4] = {ctx->in[0]->dim[0], s.frames, s.bins, 2};
    return cvi_out_shape(ctx, 0, ctx->in[0]->dtype, 4, dim);
}

static cvs_status forward_stft(cvi_opctx *ctx) {
    const cvs_tensor *x = ctx->in[0], *window = cvi_in(ctx, 2);
    stft s;
    transform t;
    CVI_TRY(make_stft(ctx, &s));
    CVI_TRY(make_transform(ctx, s.length, false, &t));
    int64_t frames = x->dim[0] * s.frames;
    for (int64_t f = 0; f < frames; f++) {
        int64_t from = f / s.frames * s.signal + f % s.frames * s.step;
        for (int64_t i = 0; i < s.length; i++) {
            double w = window != NULL ? cvi_get(window, i) : 1;
            t.in[2 * i] = cvi_get(x, (from + i) * s.parts) * w;
            t.in[2 * i + 1] = s.parts == 2 ? cvi_get(x, (from + i) * 2 + 1) * w : 0;
        }
        run_transform(&t);
        for (int64_t k = 0; k < 2 * s.bins; k++) {
            cvi_put(&ctx->out[0], f * 2 * s.bins + k, t.out[k]);
        }
    }
    return CVS_OK;
}

/* ---- descriptors ------------------------------------------------------------------------------------- */
static const cvi_op_io dft_in[] = {{"input", CVI_DATA, false, false},
                                   {"dft_length", CVI_SHAPE, true, false},
                                   {"axis", CVI_SHAPE, true, false}};
static const cvi_op_io spectrum_out[] = {{"output", CVI_DATA, false, false}};
static const cvi_op_attr dft_attrs[] = {
    {"inverse", CVI_ATTR_INT, "0", "0|1", "1: from the spectrum back", "取 1 时由频谱还原"},
    {"onesided", CVI_ATTR_INT, "0", "0|1", "1: half the spectrum, which is all of it for real numbers",
     "取 1 时只用半个频谱，对实数信号已足够"},
};

const cvi_op cvi_op_dft = {
    .name = "DFT",
    .since = 20,
    .inputs = dft_in,
    .n_inputs = 3,
    .outputs = spectrum_out,
    .n_outputs = 1,
    .attrs = dft_attrs,
    .n_attrs = 2,
    .glyph = CVI_GLYPH_MATH,
    .infer = infer_dft,
    .forward = forward_dft,
    .cost = cvi_cost_each,
    .field = cvi_field_all,
    .text = {"Discrete Fourier transform", "离散傅里叶变换", "Splits numbers along an axis into waves.",
             "把沿某一轴的数分解为各种频率的波。", "y[k] = Σ_n x[n]·e^(−2πi·kn/N)",
             "Slow waves at the beginning, quick ones behind.", "前端是低频，后端是高频。"},
};

static const cvi_op_io stft_in[] = {{"signal", CVI_DATA, false, false},
                                    {"frame_step", CVI_SHAPE, false, false},
                                    {"window", CVI_DATA, true, false},
                                    {"frame_length", CVI_SHAPE, true, false}};
static const cvi_op_attr stft_attrs[] = {
    {"onesided", CVI_ATTR_INT, "1", "0|1", "1: half the spectrum, which is all of it for real numbers",
     "取 1 时只用半个频谱，对实数信号已足够"},
};

const cvi_op cvi_op_stft = {
    .name = "STFT",
    .since = 17,
    .inputs = stft_in,
    .n_inputs = 4,
    .outputs = spectrum_out,
    .n_outputs = 1,
    .attrs = stft_attrs,
    .n_attrs = 1,
    .glyph = CVI_GLYPH_MATH,
    .infer = infer_stft,
    .forward = forward_stft,
    .cost = cvi_cost_each,
    .field = cvi_field_all,
    .text = {"Short-time Fourier transform", "短时傅里叶变换",
             "Splits each short frame of a signal into waves: a picture of sound.",
             "把信号的每个短帧分解为波：声音的图像。", "y[f,k] = Σ_n w[n]·x[f·S+n]·e^(−2πi·kn/N)",
             "Time one way, pitch the other.", "一个方向是时间，另一个方向是音高。"},
};

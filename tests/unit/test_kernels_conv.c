/* SPDX-License-Identifier: MIT
 * test_kernels_conv.c - every convolution algorithm, both directions, against the plain twin on random shapes; the
 * same bits on 1, 2 and 3 threads; outputs written everywhere and padding channels 0.
 */
#include "kernel_twins.h"

enum { SHAPES = 300 };

typedef struct problem {
    cvi_conv_shape shape;
    cvi_conv_kind kind;
    cvi_conv_algorithm algorithm;
    bool exact;
    int64_t in_c, in_p, out_c, out_p;      /* channels and pixels of one picture */
    float *in, *weights, *bias, *residual; /* plain, but residual is NHWC8 */
    float *packed_in;
    double *want, *size;
} problem;

static void make_problem(problem *p, uint64_t seed) {
    const cvi_conv_shape *s = &p->shape;
    bool forward = p->kind == CVI_CONV_FORWARD;
    p->in_c = forward ? s->C : s->K;
    p->in_p = forward ? s->H * s->W : s->OH * s->OW;
    p->out_c = forward ? s->K : s->C;
    p->out_p = forward ? s->OH * s->OW : s->H * s->W;
    p->in = random_floats(seed, 1, s->N * p->in_c * p->in_p);
    p->weights = random_floats(seed, 2, s->K * (s->C / s->groups) * s->R * s->S);
    p->bias = random_floats(seed, 3, p->out_c);
    float *plain = random_floats(seed, 4, s->N * p->out_c * p->out_p);
    p->residual = to_nhwc8(plain, s->N, p->out_c, p->out_p);
    p->packed_in = to_nhwc8(p->in, s->N, p->in_c, p->in_p);
    free(plain);
    p->want = calloc((size_t)(s->N * p->out_c * p->out_p), sizeof(double));
    p->size = calloc((size_t)(s->N * p->out_c * p->out_p), sizeof(double));
    (forward ? twin_conv : twin_transposed)(s, p->in, p->weights, p->want, p->size);
}

static void free_problem(problem *p) {
    void *all[] = {p->in, p->weights, p->bias, p->residual, p->packed_in, p->want, p->size};
    for (int i = 0; i < CVI_COUNT(all); i++) {
        free(all[i]);
    }
}

/* Runs on `threads` threads; the result is NHWC8, owned. */
static float *run_threads(const problem *p, const cvi_conv_plan *plan, int threads, cvi_conv_io io) {
    cvi_pool *pool = cvi_pool_new(threads);
    float *out = filled(p->shape.N * p->out_p * CVI_PITCH(p->out_c), 777.0F);
    void *scratch = cvi_malloc((size_t)cvi_conv_scratch_bytes(plan, threads) + 1);
    io.in = p->packed_in;
    io.out = out;
    io.scratch = scratch;
    cvi_conv_run(plan, pool, &io);
    cvi_free(scratch);
    cvi_pool_free(pool);
    return out;
}

static void compare(const problem *p, const float *out, const cvi_conv_io *io, double tolerance,
                    bool winograd, uint64_t seed) {
    int64_t pitch = CVI_PITCH(p->out_c);
    /* Winograd mixes the numbers of a whole tile: its error is relative to the largest sum, not to each. */
    double largest = 0;
    for (int64_t i = 0; winograd && i < p->shape.N * p->out_c * p->out_p; i++) {
        largest = fmax(largest, p->size[i]);
    }
    assert_padding_is_zero(out, p->shape.N * p->out_p, p->out_c);
    for (int64_t n = 0; n < p->shape.N; n++) {
        for (int64_t c = 0; c < p->out_c; c++) {
            for (int64_t i = 0; i < p->out_p; i++) {
                int64_t at = (n * p->out_c + c) * p->out_p + i, here = (n * p->out_p + i) * pitch + c;
                double want = p->want[at], size = fmax(largest, p->size[at]) + 1;
                want += io->bias != NULL ? (double)io->bias[c] : 0;
                want += io->residual != NULL ? (double)io->residual[here] : 0;
                if (io->clamp) {
                    want = fmin(fmax(want, (double)io->lo), (double)io->hi);
                }
                double got = (double)out[here];
                if (!(fabs(got - want) <= tolerance * size)) {
                    fail_msg("shape %llu algorithm %d kind %d: [%lld,%lld,%lld] is %.9g, not %.9g",
                             (unsigned long long)seed, (int)p->algorithm, (int)p->kind, (long long)n,
                             (long long)c, (long long)i, got, want);
                }
            }
        }
    }
}

static void check_problem(uint64_t seed, cvi_conv_shape shape, cvi_conv_kind kind,
                          cvi_conv_algorithm algorithm) {
    problem p = {.shape = shape, .kind = kind, .algorithm = algorithm};
    cvi_conv_options options = {.algorithm = algorithm};
    cvi_conv_plan *plan = NULL;
    cvs_error err = {0};
    assert_int_equal(cvi_conv_plan_new(&shape, kind, &options, &plan, &err), CVS_OK);
    make_problem(&p, seed);
    assert_int_equal(cvi_conv_pack(plan, NULL, p.weights, &err), CVS_OK);
    cvi_conv_algorithm used = cvi_conv_plan_algorithm(plan);
    double tolerance = used == CVI_CONV_WINOGRAD4 ? 1e-5 : used == CVI_CONV_WINOGRAD2 ? 3e-6 : 2e-6;
    cvi_conv_io io = {.bias = seed % 3 != 0 ? p.bias : NULL,
                      .residual = seed % 5 == 1 ? p.residual : NULL,
                      .clamp = seed % 2 == 0,
                      .lo = seed % 8 == 0 ? 0.25F : 0,
                      .hi = seed % 4 == 0 ? 6 : INFINITY};
    float *one = run_threads(&p, plan, 1, io);
    compare(&p, one, &io, tolerance, used == CVI_CONV_WINOGRAD4 || used == CVI_CONV_WINOGRAD2, seed);
    for (int threads = 2; threads <= 3; threads++) {
        float *more = run_threads(&p, plan, threads, io);
        assert_memory_equal(one, more, (size_t)(p.shape.N * p.out_p * CVI_PITCH(p.out_c)) * sizeof(float));
        free(more);
    }
    free(one);
    free_problem(&p);
    cvi_conv_plan_free(plan);
}

static void check_level(const char *level, uint64_t shapes) {
    if (!use_level(level)) {
        return;
    }
    for (uint64_t seed = 0; seed < shapes; seed++) {
        cvi_conv_shape shape = random_shape(seed);
        check_problem(seed, shape, CVI_CONV_FORWARD, CVI_CONV_AUTO);
        check_problem(seed, shape, CVI_CONV_TRANSPOSED, CVI_CONV_AUTO);
        if (seed % 4 == 3) {
            check_problem(seed, shape, CVI_CONV_FORWARD, CVI_CONV_WINOGRAD2);
            check_problem(seed, shape, CVI_CONV_FORWARD, CVI_CONV_WINOGRAD4);
            check_problem(seed, shape, CVI_CONV_TRANSPOSED, CVI_CONV_WINOGRAD4);
            check_problem(seed, shape, CVI_CONV_FORWARD, CVI_CONV_DIRECT);
        }
    }
}

static void portable_equals_twin(void **state) {
    (void)state;
    check_level("portable", SHAPES / 3); /* slower, and the same logic around the inner loops */
}

static void avx512_equals_twin(void **state) {
    (void)state;
    check_level("avx512", SHAPES);
}

static void avx2_equals_twin(void **state) {
    (void)state;
    check_level("avx2", SHAPES);
}

/* Several pairs of panels of few input numbers: blocks that follow each other without a gap, whatever is left at the end. */
static void streams_equal_twin(void **state) {
    (void)state;
    static const int64_t from[] = {3, 4, 5, 12, 16, 24, 31, 48}, to[] = {32, 40, 64, 72, 144, 160};
    static const int64_t sides[] = {1, 2, 5, 7, 13};
    if (!use_level("avx512")) {
        return;
    }
    for (uint64_t seed = 0; seed < 160; seed++) {
        int64_t C = from[pick(seed, 1, 0, 7)], K = to[pick(seed, 2, 0, 5)],
                R = pick(seed, 3, 0, 1) == 0 ? 1 : 3;
        int64_t H = sides[pick(seed, 4, 0, 4)], W = sides[pick(seed, 5, 0, 4)], step = pick(seed, 6, 1, 2);
        cvi_conv_shape shape = {1,
                                C,
                                H,
                                W,
                                K,
                                R,
                                R,
                                step,
                                step,
                                R / 2,
                                R / 2,
                                R / 2,
                                R / 2,
                                1,
                                1,
                                1,
                                (H - 1) / step + 1,
                                (W - 1) / step + 1};
        check_problem(seed, shape, CVI_CONV_FORWARD, CVI_CONV_AUTO);
        check_problem(seed, shape, CVI_CONV_FORWARD, step == 1 ? CVI_CONV_WINOGRAD4 : CVI_CONV_DIRECT);
    }
}

/* dw from the formula, and the sum of the absolute products. */
static void twin_dw(const cvi_conv_shape *s, const float *x, const float *dy, double *dw, double *size) {
    int64_t cg = s->C / s->groups, kg = s->K / s->groups, count = s->K * cg * s->R * s->S;
    for (int64_t i = 0; i < count; i++) {
        int64_t q = i % s->S, r = i / s->S % s->R, c = i / s->S / s->R % cg, k = i / s->S / s->R / cg;
        dw[i] = size[i] = 0;
        for (int64_t o = 0; o < s->N * s->OH * s->OW; o++) {
            int64_t n = o / (s->OH * s->OW), oy = o / s->OW % s->OH, ox = o % s->OW;
            int64_t iy = oy * s->stride_h - s->pad_top + r * s->dilation_h;
            int64_t ix = ox * s->stride_w - s->pad_left + q * s->dilation_w;
            if (iy >= 0 && iy < s->H && ix >= 0 && ix < s->W) {
                double v = (double)x[((n * s->C + k / kg * cg + c) * s->H + iy) * s->W + ix] *
                           (double)dy[(n * s->K + k) * s->OH * s->OW + oy * s->OW + ox];
                dw[i] += v;
                size[i] += fabs(v);
            }
        }
    }
}

static void check_dw(uint64_t seed) {
    cvi_conv_shape s = random_shape(seed);
    int64_t count = s.K * (s.C / s.groups) * s.R * s.S;
    float *x = random_floats(seed, 1, s.N * s.C * s.H * s.W),
          *dy = random_floats(seed, 2, s.N * s.K * s.OH * s.OW);
    float *x8 = to_nhwc8(x, s.N, s.C, s.H * s.W), *dy8 = to_nhwc8(dy, s.N, s.K, s.OH * s.OW), *first = NULL;
    double *want = calloc((size_t)count, sizeof(double)), *size = calloc((size_t)count, sizeof(double));
    twin_dw(&s, x, dy, want, size);
    bool accumulate = seed % 2 == 1;
    for (int threads = 1; threads <= 3; threads++) {
        cvi_pool *pool = cvi_pool_new(threads);
        float *dw = filled(count, 0.5F);
        void *scratch = cvi_malloc((size_t)cvi_conv_dw_scratch_bytes(&s, threads));
        cvi_conv_dw(&s, pool, x8, 0, dy8, 0, dw, accumulate, scratch);
        cvi_free(scratch);
        cvi_pool_free(pool);
        if (first == NULL) {
            first = dw;
        } else {
            assert_memory_equal(first, dw, (size_t)count * sizeof(float));
            free(dw);
        }
    }
    for (int64_t i = 0; i < count; i++) {
        double right = want[i] + (accumulate ? 0.5 : 0);
        if (!(fabs((double)first[i] - right) <= 2e-6 * (size[i] + 1))) {
            fail_msg("shape %llu: dw[%lld] is %.9g, not %.9g", (unsigned long long)seed, (long long)i,
                     (double)first[i], right);
        }
    }
    void *all[] = {x, dy, x8, dy8, first, want, size};
    for (int i = 0; i < CVI_COUNT(all); i++) {
        free(all[i]);
    }
}

static void gradient_to_weights(void **state) {
    (void)state;
    for (int level = 0; level < CVI_COUNT(kernel_levels); level++) {
        if (use_level(kernel_levels[level])) {
            for (uint64_t seed = 0; seed < 80; seed++) {
                check_dw(seed);
            }
        }
    }
}

/* Layers of real nets: more channels than one chunk holds, many chunks. */
static void real_layers(void **state) {
    (void)state;
    unsetenv("CONVSCOPE_CPU");
    const cvi_conv_shape layers[] = {
        {1, 3, 33, 35, 64, 7, 7, 2, 2, 3, 3, 3, 3, 1, 1, 1, 17, 18},
        {2, 256, 14, 14, 264, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1, 14, 14},
        {1, 64, 29, 31, 96, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1, 29, 31},
        {1, 512, 13, 13, 1000, 1, 1, 1, 1, 0, 0, 0, 0, 1, 1, 1, 13, 13},
        {1, 144, 28, 28, 144, 3, 3, 2, 2, 1, 1, 1, 1, 1, 1, 144, 14, 14},
        {1, 128, 14, 14, 128, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 32, 14, 14},
        /* depthwise with every leaf of its own, rows and columns that end in every way */
        {2, 40, 13, 17, 40, 5, 5, 1, 1, 2, 2, 2, 2, 1, 1, 40, 13, 17},
        {1, 24, 15, 14, 24, 5, 5, 2, 2, 2, 2, 2, 2, 1, 1, 24, 8, 7},
        {1, 20, 19, 9, 20, 7, 7, 1, 1, 3, 3, 3, 3, 1, 1, 20, 19, 9},
        {3, 72, 11, 13, 72, 3, 3, 2, 2, 0, 1, 1, 0, 1, 1, 72, 5, 6},
        {1, 100, 6, 5, 100, 3, 3, 1, 1, 2, 2, 2, 2, 1, 1, 100, 8, 7},
        {1, 33, 1, 1, 33, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 33, 1, 1},
        /* few channels, either side */
        {2, 3, 45, 38, 24, 7, 7, 2, 2, 3, 3, 3, 3, 1, 1, 1, 23, 19},
        {2, 12, 17, 31, 10, 3, 5, 1, 1, 1, 2, 1, 2, 1, 1, 1, 17, 31},
        {1, 10, 30, 30, 10, 3, 3, 1, 1, 0, 0, 0, 0, 1, 1, 1, 28, 28},
        {1, 5, 9, 40, 33, 4, 2, 3, 2, -1, 0, 0, -1, 1, 1, 1, 2, 19},
        /* few tiles and many channels: Winograd's chunks split the channels */
        {1, 96, 13, 13, 192, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1, 13, 13},
        {1, 256, 7, 7, 160, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1, 7, 7},
    };
    for (int i = 0; i < CVI_COUNT(layers); i++) {
        check_problem((uint64_t)i + 1, layers[i], CVI_CONV_FORWARD, CVI_CONV_AUTO);
        check_problem((uint64_t)i + 1, layers[i], CVI_CONV_TRANSPOSED, CVI_CONV_AUTO);
    }
}

/* A slice of a wider tensor is written and its neighbours are left alone; borrowed weights give the same. */
static void pitches_and_borrowing(void **state) {
    (void)state;
    unsetenv("CONVSCOPE_CPU");
    cvi_conv_shape s = {1, 16, 9, 9, 24, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1, 9, 9};
    problem p = {.shape = s, .kind = CVI_CONV_FORWARD};
    cvi_conv_plan *plan = NULL, *small = NULL;
    assert_int_equal(cvi_conv_plan_new(&s, CVI_CONV_FORWARD, NULL, &plan, NULL), CVS_OK);
    make_problem(&p, 5);
    assert_int_equal(cvi_conv_pack(plan, NULL, p.weights, NULL), CVS_OK);
    float *narrow = run_threads(&p, plan, 1, (cvi_conv_io){.bias = p.bias});
    float *wide = filled(81 * 40, 5.0F);
    void *scratch = cvi_malloc((size_t)cvi_conv_scratch_bytes(plan, 1) + 1);
    cvi_conv_io io = {
        .in = p.packed_in, .out = wide + 8, .out_pitch = 40, .bias = p.bias, .scratch = scratch};
    cvi_conv_run(plan, NULL, &io);
    for (int64_t i = 0; i < 81; i++) {
        assert_memory_equal(wide + i * 40 + 8, narrow + i * 24, 24 * sizeof(float));
        for (int64_t c = 0; c < 40; c++) {
            assert_true((c >= 8 && c < 32) || wide[i * 40 + c] == 5.0F);
        }
    }
    /* The upper half of the picture alone: rows 0..3 of the output are the same. */
    cvi_conv_shape half = s;
    half.H = 5;
    half.OH = 4;
    half.pad_bottom = 0;
    cvi_conv_options options = {.algorithm = cvi_conv_plan_algorithm(plan)};
    assert_int_equal(cvi_conv_plan_new(&half, CVI_CONV_FORWARD, &options, &small, NULL), CVS_OK);
    assert_true(cvi_conv_borrow(small, plan));
    assert_true(cvi_conv_packed(small));
    cvi_free(scratch);
    scratch = cvi_malloc((size_t)cvi_conv_scratch_bytes(small, 1) + 1);
    float *upper = filled(4 * 9 * 24, 9.0F);
    io = (cvi_conv_io){.in = p.packed_in, .out = upper, .bias = p.bias, .scratch = scratch};
    cvi_conv_run(small, NULL, &io);
    for (int64_t i = 0; i < 4 * 9 * 24; i++) {
        assert_true(fabs((double)upper[i] - (double)narrow[i]) < 1e-4);
    }
    cvi_free(scratch);
    free(upper);
    free(wide);
    free(narrow);
    free_problem(&p);
    cvi_conv_plan_free(small);
    cvi_conv_plan_free(plan);
}

static void bad_shapes_are_refused(void **state) {
    (void)state;
    cvi_conv_plan *plan = NULL;
    cvs_error err = {0};
    cvi_conv_shape s = {1, 3, 8, 8, 4, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 2, 8, 8};
    assert_int_equal(cvi_conv_plan_new(&s, CVI_CONV_FORWARD, NULL, &plan, &err), CVS_E_SHAPE);
    s.groups = 1;
    s.stride_h = 0;
    assert_int_equal(cvi_conv_plan_new(&s, CVI_CONV_FORWARD, NULL, &plan, &err), CVS_E_SHAPE);
    s.stride_h = 1;
    s.H = INT64_MAX / 4;
    assert_int_equal(cvi_conv_plan_new(&s, CVI_CONV_FORWARD, NULL, &plan, &err), CVS_E_LIMIT);
    assert_null(plan);
}

/* "exact" forbids Winograd; without it the large 3x3 layer uses it. A wish that does not fit is ignored. */
static void choices(void **state) {
    (void)state;
    unsetenv("CONVSCOPE_CPU");
    cvi_conv_shape s = {1, 64, 28, 28, 64, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1, 28, 28};
    const cvi_conv_options exact = {.exact = true}, wish = {.algorithm = CVI_CONV_WINOGRAD4};
    const cvi_conv_options both = {.exact = true, .algorithm = CVI_CONV_WINOGRAD4};
    const struct {
        const cvi_conv_options *options;
        int64_t stride;
        cvi_conv_algorithm want;
    } cases[] = {{NULL, 1, CVI_CONV_WINOGRAD4},
                 {&exact, 1, CVI_CONV_DIRECT},
                 {&both, 1, CVI_CONV_DIRECT},
                 {&wish, 2, CVI_CONV_DIRECT}};
    for (int i = 0; i < CVI_COUNT(cases); i++) {
        cvi_conv_plan *plan = NULL;
        s.stride_h = s.stride_w = cases[i].stride;
        s.OH = s.OW = 28 / cases[i].stride;
        assert_int_equal(cvi_conv_plan_new(&s, CVI_CONV_FORWARD, cases[i].options, &plan, NULL), CVS_OK);
        assert_int_equal(cvi_conv_plan_algorithm(plan), cases[i].want);
        assert_false(cvi_conv_packed(plan));
        cvi_conv_plan_free(plan);
    }
}

/* A NaN in the picture reaches every output that sees it, through bias and clamp. */
static void nan_propagates(void **state) {
    (void)state;
    for (int level = 0; level < CVI_COUNT(kernel_levels); level++) {
        if (!use_level(kernel_levels[level])) {
            continue;
        }
        cvi_conv_shape s = {1, 8, 6, 6, 8, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1, 6, 6};
        const cvi_conv_options options = {.exact = true};
        problem p = {.shape = s, .kind = CVI_CONV_FORWARD};
        cvi_conv_plan *plan = NULL;
        assert_int_equal(cvi_conv_plan_new(&s, CVI_CONV_FORWARD, &options, &plan, NULL), CVS_OK);
        make_problem(&p, 3);
        p.packed_in[(2 * 6 + 3) * 8 + 1] = NAN; /* row 2, column 3 */
        assert_int_equal(cvi_conv_pack(plan, NULL, p.weights, NULL), CVS_OK);
        float *out = run_threads(&p, plan, 2, (cvi_conv_io){.bias = p.bias, .clamp = true, .lo = 0, .hi = 6});
        for (int64_t i = 0; i < 36 * 8; i++) {
            int64_t y = i / 8 / 6, x = i / 8 % 6;
            bool sees = y >= 1 && y <= 3 && x >= 2 && x <= 4;
            assert_true(isnan(out[i]) == sees);
        }
        free(out);
        free_problem(&p);
        cvi_conv_plan_free(plan);
    }
}

static bool fail_at(void *context, size_t bytes) {
    (void)bytes;
    return --*(int *)context == 0;
}

/* Whichever allocation fails, planning and packing say so and leave nothing behind. */
static void failing_allocations(void **state) {
    (void)state;
    unsetenv("CONVSCOPE_CPU");
    const cvi_conv_shape s = {1, 16, 9, 9, 24, 3, 3, 2, 2, 1, 1, 1, 1, 1, 1, 1, 5, 5};
    float *weights = random_floats(1, 1, 16 * 24 * 9);
    int failed = 0;
    for (int k = 1; k < 20; k++) {
        int left = k;
        cvi_hooks hooks = {.fail_alloc = fail_at, .context = &left};
        cvi_conv_plan *plan = NULL;
        cvs_error err = {0};
        cvi_set_hooks(&hooks);
        cvs_status status = cvi_conv_plan_new(&s, CVI_CONV_TRANSPOSED, NULL, &plan, &err);
        if (status == CVS_OK) {
            status = cvi_conv_pack(plan, NULL, weights, &err);
            assert_true(cvi_conv_packed(plan) == (status == CVS_OK));
        }
        cvi_set_hooks(NULL);
        cvi_conv_plan_free(plan);
        assert_true(status == CVS_OK || (status == CVS_E_MEMORY && err.message[0] != '\0'));
        failed += status != CVS_OK ? 1 : 0;
    }
    assert_true(failed >= 4 && failed < 19);
    free(weights);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(portable_equals_twin),
        cmocka_unit_test(avx2_equals_twin),
        cmocka_unit_test(avx512_equals_twin),
        cmocka_unit_test(streams_equal_twin),
        cmocka_unit_test(real_layers),
        cmocka_unit_test(pitches_and_borrowing),
        cmocka_unit_test(bad_shapes_are_refused),
        cmocka_unit_test(gradient_to_weights),
        cmocka_unit_test(choices),
        cmocka_unit_test(nan_propagates),
        cmocka_unit_test(failing_allocations),
    };
    return cmocka_run_group_tests_name("kernels_conv", tests, NULL, NULL);
}

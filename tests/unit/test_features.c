/* SPDX-License-Identifier: MIT
 * test_features.c - what pictures made by a network rest on: the Fourier transform against its definition, every way back for gradients
 * against finite differences, the strongest units, figures without faults, allocations that fail.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "convscope/draw_features.h"
#include "explain/spectrum.h"
#include "explain/sway.h"
#include "explain/want.h"
#include "test_helpers.h"

static double *noise(int64_t n, uint64_t seed) {
    double *x = cvi_malloc((size_t)n * sizeof *x);
    assert_non_null(x);
    for (int64_t i = 0; i < n; i++) {
        x[i] = cvi_random_normal(seed, 77, (uint64_t)i);
    }
    return x;
}

static void assert_near(double a, double b, double bound) {
    if (!(fabs(a - b) <= bound)) {
        fail_msg("%.12g is not %.12g within %g", a, b, bound);
    }
}

/* ---- spectrum ------------------------------------------------------------------------------------------------- */

static void a_transform_is_its_definition(void **state) {
    (void)state;
    static const int64_t lengths[] = {1, 2, 3, 4, 5, 7, 8, 12, 28, 31, 45, 64};
    for (int k = 0; k < CVI_COUNT(lengths); k++) {
        int64_t n = lengths[k], stride = 3;
        double *x = noise(2 * n * stride, 5), *y = noise(2 * n * stride, 5);
        double *work = cvi_malloc((size_t)cvi_fft_work(n) * sizeof *work);
        for (int sign = -1; sign <= 1; sign += 2) {
            memcpy(y, x, (size_t)(2 * n * stride) * sizeof *x);
            cvi_fft(y, n, stride, sign, work);
            for (int64_t j = 0; j < n; j++) {
                double re = 0, im = 0;
                for (int64_t i = 0; i < n; i++) {
                    double turn = sign * 6.283185307179586 * (double)(i * j % n) / (double)n;
                    re += x[2 * i * stride] * cos(turn) - x[2 * i * stride + 1] * sin(turn);
                    im += x[2 * i * stride] * sin(turn) + x[2 * i * stride + 1] * cos(turn);
                }
                assert_near(y[2 * j * stride], re, 1e-10);
                assert_near(y[2 * j * stride + 1], im, 1e-10);
            }
        }
        cvi_free(x);
        cvi_free(y);
        cvi_free(work);
    }
}

static double weighted(const double *x, const double *w, int64_t n) {
    double sum = 0;
    for (int64_t i = 0; i < n; i++) {
        sum += x[i] * w[i];
    }
    return sum;
}

static void gradients_of_a_spectrum(void **state) {
    (void)state;
    static const int64_t shapes[][3] = {{3, 6, 8}, {1, 5, 7}, {3, 9, 4}, {2, 1, 6}};
    for (int k = 0; k < CVI_COUNT(shapes); k++) {
        cvi_spectrum s;
        int64_t pixels = shapes[k][0] * shapes[k][1] * shapes[k][2];
        assert_int_equal(cvi_spectrum_new(shapes[k][0], shapes[k][1], shapes[k][2], 1, &s, NULL), CVS_OK);
        int64_t n = cvi_spectrum_count(&s);
        double *p = noise(n, 1), *w = noise(pixels, 2), *x = noise(pixels, 3), *g = noise(n, 4);
        cvi_spectrum_picture(&s, p, x);
        for (int64_t i = 0; i < pixels; i++) {
            assert_true(x[i] > 0 && x[i] < 1);
        }
        cvi_spectrum_gradient(&s, x, w, g);
        for (int64_t i = 0; i < n; i++) {
            double was = p[i], step = 1e-5, up, down;
            p[i] = was + step;
            cvi_spectrum_picture(&s, p, x);
            up = weighted(x, w, pixels);
            p[i] = was - step;
            cvi_spectrum_picture(&s, p, x);
            down = weighted(x, w, pixels);
            p[i] = was;
            assert_near((up - down) / (2 * step), g[i], 1e-6);
        }
        cvi_free(p);
        cvi_free(w);
        cvi_free(x);
        cvi_free(g);
        cvi_spectrum_free(&s);
    }
}

/* ---- sway ------------------------------------------------------------------------------------------------------- */

static void moves_and_their_transpose(void **state) {
    (void)state;
    enum { H = 13, W = 9, C = 2, N = H * W * C };
    cvi_sway still = {.a = 1, .d = 1};
    double *x = noise(N, 1), *w = noise(N, 2), y[N], back[N];
    cvi_sway_apply(&still, x, C, H, W, y);
    assert_memory_equal(x, y, sizeof y);
    for (uint64_t n = 0; n < 20; n++) {
        cvi_sway s = cvi_sway_draw(3, n, H, W);
        double zero[N] = {0}, offset[N];
        memset(back, 0, sizeof back);
        cvi_sway_apply(&s, x, C, H, W, y);
        cvi_sway_apply(&s, zero, C, H, W, offset); /* the grey beyond the border */
        cvi_sway_back(&s, w, C, H, W, back);
        assert_near(weighted(y, w, N) - weighted(offset, w, N), weighted(x, back, N), 1e-10);
    }
    cvi_free(x);
    cvi_free(w);
}

/* ---- want ------------------------------------------------------------------------------------------------------- */

static void gradients_of_what_is_wanted(void **state) {
    (void)state;
    enum { K = 5, H = 4, W = 3, N = K * H * W };
    double *a = noise(N, 1), *d = noise(N, 2);
    float x[N], like[N], seed[N], direction[K];
    for (int i = 0; i < N; i++) {
        x[i] = (float)a[i];
        like[i] = (float)d[i];
        direction[i % K] = (float)d[i % K];
    }
    cvi_planes planes = {.data = x, .channels = K, .rows = H, .columns = W};
    const cvi_want wants[] = {{.kind = CVS_WANT_CHANNEL, .channel = 2, .row = -1},
                              {.kind = CVS_WANT_NEURON, .channel = 1, .row = -1},
                              {.kind = CVS_WANT_NEURON, .channel = 1, .row = 3, .column = 2},
                              {.kind = CVS_WANT_DIRECTION, .direction = direction, .row = -1},
                              {.kind = CVS_WANT_DIRECTION, .direction = direction, .power = 2, .row = -1},
                              {.kind = CVS_WANT_LIKENESS, .like = like, .like_size = 7, .row = -1}};
    for (int k = 0; k < CVI_COUNT(wants); k++) {
        (void)cvi_want_value(&wants[k], &planes, seed);
        double total = 0;
        for (int i = 0; i < N; i++) {
            float was = x[i], step = 1e-2f;
            x[i] = was + step;
            double up = cvi_want_value(&wants[k], &planes, NULL);
            x[i] = was - step;
            double down = cvi_want_value(&wants[k], &planes, NULL);
            x[i] = was;
            assert_near((up - down) / (2 * (double)step), (double)seed[i], 2e-3);
            total += fabs((double)seed[i]);
        }
        assert_true(total > 0);
    }
    cvi_free(a);
    cvi_free(d);
}

/* Mean over i of the sum over j of the cosines of the Gram matrices of x[i], x[j], by its definition. */
static double likeness(float x[3][24], int k, int area) {
    double g[3][16], total = 0;
    for (int n = 0; n < 3; n++) {
        double size = 0;
        for (int i = 0; i < k * k; i++) {
            g[n][i] = 0;
            for (int p = 0; p < area; p++) {
                g[n][i] += (double)x[n][i / k * area + p] * (double)x[n][i % k * area + p];
            }
            size += g[n][i] * g[n][i];
        }
        for (int i = 0; i < k * k; i++) {
            g[n][i] /= sqrt(size);
        }
    }
    for (int n = 0; n < 9; n++) {
        for (int i = 0; i < k * k && n / 3 != n % 3; i++) {
            total += g[n / 3][i] * g[n % 3][i] / 3;
        }
    }
    return total;
}

static void pictures_are_pushed_apart(void **state) {
    (void)state;
    enum { K = 4, AREA = 6 };
    float x[3][K * AREA], g[3][K * AREA] = {{0}}, *layers[3] = {x[0], x[1], x[2]},
                                   *seeds[3] = {g[0], g[1], g[2]};
    for (int i = 0; i < 3 * K * AREA; i++) {
        x[i / (K * AREA)][i % (K * AREA)] = (float)cvi_random_normal(9, 1, (uint64_t)i);
    }
    assert_true(cvi_want_apart(layers, 3, K, AREA, 2, seeds));
    for (int i = 0; i < 3 * K * AREA; i++) {
        float *at = &x[i / (K * AREA)][i % (K * AREA)], was = *at, step = 1e-2f;
        *at = was + step;
        double up = likeness(x, K, AREA);
        *at = was - step;
        double down = likeness(x, K, AREA);
        *at = was;
        assert_near(-2 * (up - down) / (2 * (double)step), (double)g[i / (K * AREA)][i % (K * AREA)], 3e-3);
    }
}

/* ---- with a model ----------------------------------------------------------------------------------------------- */

static cvs_model *open_model(const char *name) {
    char path[500];
    const char *root = getenv("CVS_SOURCE_ROOT");
    cvs_model *m = NULL;
    snprintf(path, sizeof path, "%s/models/%s", root ? root : "..", name);
    assert_int_equal(cvs_model_open(path, NULL, &m, NULL), CVS_OK);
    return m;
}

static void assert_good(cvs_figure *figure) {
    char *faults = NULL;
    int n = cvs_figure_check(figure, &faults);
    if (n != 0) {
        print_message("%s", faults);
    }
    assert_int_equal(n, 0);
    cvs_free(faults);
    cvs_figure_free(figure);
}

static void figures_of_features(void **state) {
    (void)state;
    cvs_model *m = open_model("digits.onnx");
    cvs_feature f[6] = {{0}};
    cvs_feature_maker *maker = NULL;
    cvs_feature_options o = {.mode = CVS_FEATURE_BOOK, .steps = 3, .variants = 2};
    assert_int_equal(cvs_feature_maker_new(m, NULL, &o, &maker, NULL), CVS_OK);
    for (int i = 0; i < 6; i++) {
        assert_int_equal(cvs_feature_make(maker, i, &f[i], NULL), CVS_OK);
        assert_true(f[i].silent || f[i].value[3] > f[i].value[0]);
    }
    for (int look = 0; look < 4; look++) {
        cvs_figure *figure;
        cvs_figure_options options = {.lang = look & 1 ? CVS_ZH : CVS_EN,
                                      .theme = look & 2 ? CVS_DARK : CVS_LIGHT};
        static const char *const names[] = {"<a>", "b & c", "", "a name that goes on and on and on and on",
                                            "e",   "f"};
        assert_int_equal(cvs_draw_features(f, 6, look & 1 ? names : NULL, &options, &figure, NULL), CVS_OK);
        assert_good(figure);
        assert_int_equal(cvs_draw_features(f, 1, NULL, &options, &figure, NULL), CVS_OK);
        assert_good(figure);
    }
    for (int i = 0; i < 6; i++) {
        cvs_feature_free(&f[i]);
    }
    cvs_feature_maker_free(maker);
    cvs_model_free(m);
}

static void the_same_seed_gives_the_same_bytes(void **state) {
    (void)state;
    cvs_model *m = open_model("digits.onnx");
    cvs_feature f[3] = {{0}};
    for (int i = 0; i < 3; i++) {
        cvs_feature_maker *maker = NULL;
        cvs_run_options run = {.threads = i == 0 ? 1 : 4};
        cvs_feature_options o = {
            .want = CVS_WANT_CLASS, .steps = 12, .variants = 2, .diversity = 3, .seed = i == 2 ? 8 : 7};
        assert_int_equal(cvs_feature_maker_new(m, &run, &o, &maker, NULL), CVS_OK);
        assert_int_equal(cvs_feature_make(maker, 4, &f[i], NULL), CVS_OK);
        assert_true(f[i].value[12] > f[i].value[0]);
        cvs_feature_maker_free(maker);
    }
    assert_memory_equal(f[0].input.data, f[1].input.data, f[0].input.bytes);
    assert_memory_equal(f[0].shown.data, f[1].shown.data, f[0].shown.bytes);
    assert_memory_not_equal(f[0].input.data, f[2].input.data, f[0].input.bytes);
    for (int i = 0; i < 3; i++) {
        cvs_feature_free(&f[i]);
    }
    cvs_model_free(m);
}

static void norms_are_those_of_the_kernels(void **state) {
    (void)state;
    cvs_model *m = open_model("things.onnx");
    cvs_connections c = {0};
    cvs_connections_options o = {.from = "pool_2", .to = "relu_3"};
    cvs_tensor kernel = {0}, bias = {0};
    int layer;
    assert_int_equal(cvs_connect(m, NULL, &o, &c, NULL), CVS_OK);
    assert_int_equal(cvs_model_find_layer(m, "conv_3", &layer, NULL), CVS_OK);
    assert_int_equal(cvs_model_filters(m, layer, &kernel, &bias, NULL), CVS_OK);
    assert_true(c.n_to == 48 && c.n_from == 32 && kernel.dim[0] == 48 && kernel.dim[1] == 32);
    for (int64_t i = 0; i < 48 * 32; i++) {
        double sum = 0;
        for (int k = 0; k < 9; k++) {
            double w = (double)((const float *)kernel.data)[9 * i + k];
            sum += w * w;
        }
        assert_near((double)((const float *)c.norm.data)[i], sqrt(sum), 1e-6);
    }
    cvs_tensor_free(&kernel);
    cvs_tensor_free(&bias);
    cvs_connections_free(&c);
    cvs_model_free(m);
}

static void figures_of_units_and_links(void **state) {
    (void)state;
    cvs_model *m = open_model("things.onnx");
    char path[500];
    const char *root = getenv("CVS_SOURCE_ROOT");
    snprintf(path, sizeof path, "%s/models/things_mug.png", root ? root : "..");
    cvs_run *run = NULL;
    cvs_tensor shown = {0}, from = {0};
    cvs_run_options options = {.for_gradients = true};
    cvs_connections c = {0};
    cvs_signals signals = {0};
    cvs_projection p = {0};
    cvs_unit_options unit = {.layer = "relu_3", .channel = 5, .lang = CVS_ZH};
    cvs_connections_options o = {.to = "conv_3", .lang = CVS_ZH};
    int layer;
    assert_int_equal(cvs_run_new(m, &options, &run, NULL), CVS_OK);
    assert_int_equal(cvs_run_file(run, path, NULL, &shown, NULL), CVS_OK);
    assert_int_equal(cvs_connect(m, run, &o, &c, NULL), CVS_OK);
    assert_int_equal(cvs_follow(run, &unit, 0, &signals, NULL), CVS_OK);
    assert_int_equal(cvs_project(run, &unit, &p, NULL), CVS_OK);
    assert_int_equal(cvs_model_find_layer(m, "pool_2", &layer, NULL), CVS_OK);
    assert_int_equal(cvs_run_layer(run, layer, &from, NULL), CVS_OK);
    for (int look = 0; look < 8; look++) {
        cvs_figure *figure;
        cvs_figure_options page = {.lang = look & 1 ? CVS_ZH : CVS_EN,
                                   .theme = look & 2 ? CVS_DARK : CVS_LIGHT,
                                   .width = look & 4 ? 320 : 0,
                                   .model = "a model",
                                   .command = "convscope connections"};
        cvs_connections_data data = {.connections = &c, .from_maps = look & 1 ? &from : NULL};
        cvs_projection_data one = {.projection = &p, .channel = 5, .picture = look & 2 ? NULL : &shown};
        assert_int_equal(cvs_draw_connections(&data, &page, &figure, NULL), CVS_OK);
        assert_good(figure);
        assert_int_equal(cvs_draw_signals(&signals, CVS_RGB, look & 1 ? &shown : NULL, &page, &figure, NULL),
                         CVS_OK);
        assert_good(figure);
        assert_int_equal(cvs_draw_projection(&one, &page, &figure, NULL), CVS_OK);
        assert_good(figure);
    }
    cvs_connections_free(&c);
    cvs_signals_free(&signals);
    cvs_projection_free(&p);
    cvs_tensor_free(&shown);
    cvs_run_free(run);
    cvs_model_free(m);
}

static void figures_of_measurements(void **state) {
    (void)state;
    cvs_model *m = open_model("things.onnx");
    cvs_tensor pictures[2] = {{0}};
    char path[500];
    const char *root = getenv("CVS_SOURCE_ROOT");
    cvs_invariance v = {0};
    cvs_correspondence c = {0};
    cvs_invariance_options o = {.target = -1, .steps = 6, .lang = CVS_ZH};
    cvs_correspondence_options p = {.random = 3};
    const cvs_part_box boxes[] = {
        {0, 0, {1, 1, 9, 9}}, {1, 0, {20, 20, 9, 9}}, {0, 1, {5, 5, 30, 20}}, {1, 1, {9, 9, 20, 20}}};
    const char *const names[] = {"a part with a very long name that goes on and on", "<b>"};
    for (int i = 0; i < 2; i++) {
        snprintf(path, sizeof path, "%s/models/%s", root ? root : "..",
                 i ? "things_mug.png" : "things_key.png");
        assert_int_equal(cvs_image_read(path, NULL, &pictures[i], NULL), CVS_OK);
    }
    assert_int_equal(cvs_measure_invariance(m, NULL, &pictures[0], &o, &v, NULL), CVS_OK);
    assert_int_equal(cvs_measure_correspondence(m, NULL, pictures, 2, boxes, 4, 2, &p, &c, NULL), CVS_OK);
    for (int look = 0; look < 8; look++) {
        cvs_figure *figure;
        cvs_figure_options page = {.lang = look & 1 ? CVS_ZH : CVS_EN,
                                   .theme = look & 2 ? CVS_DARK : CVS_LIGHT,
                                   .width = look & 4 ? 360 : 0};
        assert_int_equal(cvs_draw_invariance(&v, &page, &figure, NULL), CVS_OK);
        assert_good(figure);
        assert_int_equal(cvs_draw_correspondence(&c, names, &page, &figure, NULL), CVS_OK);
        assert_good(figure);
    }
    cvs_invariance_free(&v);
    cvs_correspondence_free(&c);
    cvs_tensor_free(&pictures[0]);
    cvs_tensor_free(&pictures[1]);
    cvs_model_free(m);
}

/* One of each kind of work, whatever becomes of it. */
static cvs_status all_kinds(const cvs_model *m, const char *folder) {
    cvs_feature_options o = {.steps = 2, .variants = 2, .diversity = 1};
    cvs_feature_maker *maker = NULL;
    cvs_feature f = {0};
    cvs_pictures *pictures = NULL;
    cvs_top top = {0};
    cvs_figure *figure = NULL;
    cvs_top_options t = {.maps = 2, .top = 2};
    cvs_data_options few = {.limit = 6};
    cvs_run_options run = {.threads = 1};
    cvs_status s = cvs_feature_maker_new(m, &run, &o, &maker, NULL);
    s = s == CVS_OK ? cvs_feature_make(maker, 1, &f, NULL) : s;
    s = s == CVS_OK ? cvs_draw_features(&f, 1, NULL, NULL, &figure, NULL) : s;
    cvs_figure_free(figure);
    figure = NULL;
    s = s == CVS_OK ? cvs_pictures_open(folder, &few, &pictures, NULL) : s;
    s = s == CVS_OK ? cvs_top_units(m, &run, pictures, &t, &top, NULL) : s;
    s = s == CVS_OK ? cvs_draw_top(&top, CVS_RGB, NULL, &figure, NULL) : s;
    cvs_figure_free(figure);
    cvs_top_free(&top);
    cvs_pictures_free(pictures);
    cvs_feature_free(&f);
    cvs_feature_maker_free(maker);
    return s;
}

static void failing_allocations(void **state) {
    (void)state;
    cvs_model *m = open_model("digits.onnx");
    assert_int_equal(all_kinds(m, "generated:digits"), CVS_OK);
    cvi_hooks hooks = {.fail_alloc = test_fail_alloc};
    bool failed = true;
    for (int k = 0; failed; k += k < 150 ? 1 : 37) {
        test_failures.allocs_left = k;
        test_failures.ios_left = -1;
        test_failures.failed = false;
        cvi_set_hooks(&hooks);
        cvs_status s = all_kinds(m, "generated:digits");
        cvi_set_hooks(NULL);
        failed = test_failures.failed;
        assert_true(failed || s == CVS_OK); /* and nothing crashes or leaks */
    }
    cvs_model_free(m);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_transform_is_its_definition),
        cmocka_unit_test(gradients_of_a_spectrum),
        cmocka_unit_test(moves_and_their_transpose),
        cmocka_unit_test(gradients_of_what_is_wanted),
        cmocka_unit_test(pictures_are_pushed_apart),
        cmocka_unit_test(figures_of_features),
        cmocka_unit_test(the_same_seed_gives_the_same_bytes),
        cmocka_unit_test(norms_are_those_of_the_kernels),
        cmocka_unit_test(figures_of_units_and_links),
        cmocka_unit_test(figures_of_measurements),
        cmocka_unit_test(failing_allocations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

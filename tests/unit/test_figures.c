/* SPDX-License-Identifier: MIT
 * test_figures.c - figures of made-up layers of every size, in both languages, with friendly and hostile names: the machine
 * checks find nothing, the files are well formed and repeat byte for byte, and the numbers beside the pictures are right.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "draw/attribution.h"
#include "markup.h"

static const char *const names[] = {
    "conv_1_1",
    "model/stem/block_with_a_name_that_goes_on_and_on/and_on/depthwise_conv2d_17/BiasAdd:0;and/again/and/"
    "again",
    "\xE7\xAC\xAC\xE4\xB8\x80\xE4\xB8\xAA\xE5\x8D\xB7\xE7\xA7\xAF\xE5\xB1\x82\xE7\x9A\x84\xE5\x90\x8D\xE5\xAD"
    "\x97",
    "<script>alert(\"&'\")</script>\x01\x1F\xFF\xC3 \xE2\x80\xAE",
    "",
};

static float noise(uint64_t i) {
    return (float)cvi_random_normal(5, 9, i);
}

static cvs_tensor numbers(int rank, const int64_t *dim, uint64_t seed) {
    cvs_tensor t = {0};
    assert_int_equal(cvs_tensor_new(&t, CVS_F32, rank, dim, NULL), CVS_OK);
    int64_t n = cvs_tensor_count(&t);
    /* A cheap wave: normal numbers for millions of elements would be slow. */
    for (int64_t i = 0; i < n; i++) {
        ((float *)t.data)[i] = (i < 4096 ? noise(seed * 4096 + (uint64_t)i) : 1.0F) *
                               (float)((i * 37 + (int64_t)seed) % 101 - 50);
    }
    return t;
}

/* Checked, written twice as SVG, and freed. */
static void assert_good(cvs_figure *figure) {
    char *faults = NULL, *a = NULL, *b = NULL;
    size_t na = 0, nb = 0;
    int n = cvs_figure_check(figure, &faults);
    if (n != 0) {
        print_message("%s", faults);
    }
    assert_int_equal(n, 0);
    assert_int_equal(cvs_figure_svg(figure, &a, &na, NULL), CVS_OK);
    assert_int_equal(cvs_figure_svg(figure, &b, &nb, NULL), CVS_OK);
    assert_int_equal(na, nb);
    assert_memory_equal(a, b, na);
    assert_well_formed(a);
    assert_null(strstr(a, "http://www.w3.org/1999"));
    assert_null(strstr(a, "<script"));
    double width, height, w = 0, h = 0;
    cvs_figure_size(figure, &width, &height);
    const char *box = strstr(a, "viewBox=\"0 0 ");
    assert_true(box != NULL && sscanf(box, "viewBox=\"0 0 %lf %lf", &w, &h) == 2);
    assert_float_equal(w, width, 0.01);
    assert_float_equal(h, height, 0.01);
    cvs_free(faults);
    cvs_free(a);
    cvs_free(b);
    cvs_figure_free(figure);
}

static cvs_figure_options look(int variant) {
    return (cvs_figure_options){
        .lang = variant & 1 ? CVS_ZH : CVS_EN,
        .theme = variant & 2 ? CVS_DARK : CVS_LIGHT,
        .compact = (variant & 4) != 0,
        .bare = (variant & 8) != 0,
        .width = variant & 16 ? 320 : 0,
        .model = names[variant % 5],
        .command = "convscope filters model.onnx --layer 'a name' -o very/long/path/to/a/file.svg",
        .max_pixels = 40000};
}

static void filters_of_every_size(void **state) {
    (void)state;
    static const int64_t sizes[][4] = {{1, 1, 1, 1},    {10, 3, 3, 3},    {64, 3, 7, 7},    {10, 10, 3, 3},
                                       {128, 48, 3, 3}, {96, 1, 3, 3},    {256, 128, 3, 3}, {2048, 4, 1, 1},
                                       {2048, 2, 3, 3}, {16, 16, 1, 7},   {4, 2, 31, 31},   {1000, 64, 1, 1},
                                       {3, 1, 224, 1},  {10, 1690, 1, 1}, {130, 2, 5, 5}};
    for (int i = 0; i < CVI_COUNT(sizes); i++) {
        cvs_tensor kernel = numbers(4, sizes[i], 1), bias = numbers(1, sizes[i], 2);
        for (int v = 0; v < 8; v++) {
            int variant = (i * 5 + v * 7) % 32;
            cvs_figure_options o = look(variant);
            cvs_filters_data d = {
                .layer = names[(i + v) % 5], .settings = "3x3, stride 2", .kernel = &kernel};
            d.bias = v % 3 ? &bias : NULL;
            d.sees_picture = v & 1;
            d.sorted = v & 2;
            d.view = (cvs_filter_view)(v % 4);
            cvs_figure *figure = NULL;
            assert_int_equal(cvs_draw_filters(&d, &o, &figure, NULL), CVS_OK);
            assert_good(figure);
        }
        cvs_tensor_free(&kernel);
        cvs_tensor_free(&bias);
    }
}

static void every_kernel_is_there(void **state) {
    (void)state;
    cvs_tensor kernel = numbers(4, (int64_t[]){300, 64, 3, 3}, 1);
    cvs_filters_data d = {.layer = "x", .kernel = &kernel, .sorted = true};
    cvs_figure *figure = NULL;
    char *svg = NULL;
    assert_int_equal(cvs_draw_filters(&d, NULL, &figure, NULL), CVS_OK);
    assert_int_equal(cvs_figure_svg(figure, &svg, NULL, NULL), CVS_OK);
    for (int k = 0; k < 300; k++) {
        char label[32];
        snprintf(label, sizeof label, ">%d</text>", k);
        assert_non_null(strstr(svg, label));
    }
    cvs_free(svg);
    cvs_figure_free(figure);
    cvs_tensor_free(&kernel);
}

static int rank_of(const float *w, int64_t c, int64_t rs) {
    cvs_kernel_stats s;
    assert_int_equal(cvs_kernel_measure(w, c, rs, &s, NULL), CVS_OK);
    return s.rank;
}

static void norms_and_ranks_are_right(void **state) {
    (void)state;
    float w[12 * 9];
    cvs_kernel_stats s;
    const float three[] = {3, 0, 0, -4};
    assert_int_equal(cvs_kernel_measure(three, 2, 2, &s, NULL), CVS_OK);
    assert_true(fabs(s.norm - 5.0) < 1e-12 && fabs(s.largest - 4.0) < 1e-12);
    assert_int_equal(s.rank, 2);
    memset(w, 0, sizeof w);
    assert_int_equal(rank_of(w, 12, 9), 0);
    for (int rank = 1; rank <= 9; rank++) { /* sums of `rank` outer products, in both orientations */
        for (int wide = 0; wide < 2; wide++) {
            int64_t rows = wide ? 9 : 12, cols = wide ? 12 : 9;
            for (int64_t i = 0; i < rows * cols; i++) {
                double sum = 0.0;
                for (int k = 0; k < rank; k++) {
                    sum += (double)noise((uint64_t)(k * 64 + i / cols)) *
                           (double)noise((uint64_t)(5000 + k * 64 + i % cols));
                }
                w[i] = (float)sum;
            }
            assert_int_equal(rank_of(w, rows, cols), rank);
        }
    }
    w[5] = NAN;
    assert_int_equal(rank_of(w, 12, 9), -1);
}

static void maps_of_every_size(void **state) {
    (void)state;
    static const int64_t sizes[][4] = {{1, 1, 1, 1},     {1, 3, 224, 224}, {1, 64, 112, 112}, {1, 2048, 7, 7},
                                       {1, 10, 62, 62},  {2, 5, 1, 90},    {1, 12, 90, 1},    {1, 1000, 1, 1},
                                       {1, 10, 1, 1},    {1, 4096, 1, 1},  {1, 25088, 1, 1},  {1, 1, 500, 3},
                                       {1, 512, 14, 14}, {1, 60, 1, 1},    {1, 61, 2, 2}};
    cvs_tensor picture = {0};
    assert_int_equal(cvs_tensor_new(&picture, CVS_U8, 3, (int64_t[]){30, 90, 3}, NULL), CVS_OK);
    for (int i = 0; i < CVI_COUNT(sizes); i++) {
        cvs_tensor value = numbers(4, sizes[i], 3);
        int64_t maps = sizes[i][1];
        const char **classes = cvi_calloc((size_t)maps, sizeof *classes);
        for (int64_t k = 0; k < maps; k++) {
            classes[k] = names[k % 5];
        }
        float *x = value.data;
        for (int64_t k = 0; i % 2 == 0 && k < cvs_tensor_count(&value); k++) {
            x[k] = fmaxf(x[k], 0.0F); /* half of them without negative values */
        }
        for (int v = 0; v < 8; v++) {
            cvs_figure_options o = look((i * 3 + v * 5) % 32);
            cvs_maps_data d = {
                .layer = names[(i + v) % 5], .value = &value, .sample = sizes[i][0] - 1, .own_scale = v & 4};
            d.picture = v & 1 ? &picture : NULL;
            d.picture_name = names[v % 5];
            d.classes = v & 2 ? classes : NULL;
            d.n_classes = (int)maps;
            cvs_figure *figure = NULL;
            assert_int_equal(cvs_draw_maps(&d, &o, &figure, NULL), CVS_OK);
            assert_good(figure);
        }
        cvi_free(classes);
        cvs_tensor_free(&value);
    }
    cvs_tensor_free(&picture);
}

static void blank_and_constant_maps_are_counted(void **state) {
    (void)state;
    cvs_tensor value = numbers(4, (int64_t[]){1, 6, 4, 4}, 4);
    float *x = value.data;
    memset(x, 0, 16 * sizeof *x);      /* map 0 blank */
    memset(x + 32, 0, 16 * sizeof *x); /* map 2 blank */
    for (int i = 0; i < 16; i++) {
        x[48 + i] = 2.5F; /* map 3 constant */
    }
    x[64] = NAN;
    x[80] = INFINITY;
    cvs_maps_stats s;
    assert_int_equal(cvs_maps_measure(&value, 0, &s, NULL), CVS_OK);
    assert_int_equal(s.maps, 6);
    assert_int_equal(s.blank, 2);
    assert_int_equal(s.constant, 1);
    assert_int_equal(s.not_finite, 2);
    assert_true(isfinite(s.mean) && isfinite(s.least) && isfinite(s.largest));
    cvs_maps_data d = {.layer = "x", .value = &value};
    cvs_figure *figure = NULL;
    assert_int_equal(cvs_draw_maps(&d, NULL, &figure, NULL), CVS_OK);
    assert_good(figure);
    assert_int_equal(cvs_maps_measure(&value, 1, &s, NULL), CVS_E_ARGUMENT);
    value.dtype = CVS_I32;
    assert_int_equal(cvs_draw_maps(&d, NULL, &figure, NULL), CVS_E_ARGUMENT);
    value.dtype = CVS_F32;
    cvs_tensor_free(&value);
}

/* ---- pooling -------------------------------------------------------------------------------------------------- */

static cvs_pooling_data pooling(cvs_tensor *in, cvs_tensor *out, int64_t maps, int64_t side, int64_t kernel,
                                int64_t stride, int64_t pad, const char *kind) {
    bool global = kind[0] == 'g';
    int64_t o = global ? 1 : (side + 2 * pad - kernel) / stride + 1;
    *in = numbers(4, (int64_t[]){1, maps, side, side}, 6);
    *out = numbers(4, (int64_t[]){1, maps, o, o}, 7);
    cvs_pooling_data d = {.layer = "pool", .settings = "2x2", .input = in, .output = out};
    snprintf(d.window.kind, sizeof d.window.kind, "%s", kind);
    for (int a = 0; a < 2; a++) {
        d.window.kernel[a] = kernel;
        d.window.stride[a] = stride;
        d.window.dilation[a] = 1;
        d.window.pad_begin[a] = pad;
    }
    return d;
}

static void pooling_of_every_size(void **state) {
    (void)state;
    static const char *const kinds[] = {"max", "average", "global-max", "global-average", "lp"};
    static const int64_t sizes[][5] = {{1, 2, 2, 2, 0},    {10, 26, 2, 2, 0},  {64, 112, 3, 2, 1},
                                       {2, 224, 2, 2, 0},  {2048, 7, 3, 2, 1}, {3, 9, 3, 1, 1},
                                       {5, 40, 13, 13, 0}, {1, 1, 1, 1, 0}};
    for (int i = 0; i < CVI_COUNT(sizes); i++) {
        for (int k = 0; k < 5; k++) {
            cvs_tensor in, out;
            const int64_t *s = sizes[i];
            cvs_pooling_data d = pooling(&in, &out, s[0], s[1], s[2], s[3], s[4], kinds[k]);
            d.layer = names[(i + k) % 5];
            d.shift[0] = k - 1;
            d.shift[1] = i % 3;
            cvs_figure_options o = look((i * 5 + k * 3) % 32);
            cvs_figure *figure = NULL;
            assert_int_equal(cvs_draw_pooling(&d, &o, &figure, NULL), CVS_OK);
            assert_good(figure);
            cvs_tensor_free(&in);
            cvs_tensor_free(&out);
        }
    }
}

static void shifts_are_counted(void **state) {
    (void)state;
    cvs_tensor in, out;
    cvs_pooling_data d = pooling(&in, &out, 1, 4, 2, 2, 0, "max");
    const float x[16] = {9, 0, 5, 0, /* winners at (0,0) (0,2) (3,0) (2,3) */
                         0, 0, 0, 0, 0, 0, 0, 7, 6, 0, 0, 0};
    memcpy(in.data, x, sizeof x);
    cvs_shift_stats s;
    assert_int_equal(cvs_pooling_shift(&d, &s, NULL), CVS_OK);
    assert_int_equal(s.windows, 4);
    assert_int_equal(s.same, 4);
    assert_int_equal(s.same_output, 4);
    d.shift[0] = 1; /* rows become 9 9 0 5 | 0 0 0 0 | 0 0 0 0 | 6 6 0 0 */
    assert_int_equal(cvs_pooling_shift(&d, &s, NULL), CVS_OK);
    assert_int_equal(s.windows, 4);
    assert_int_equal(s.same, 2);      /* 9 (repeated at the edge) and 6 win where they did */
    assert_int_equal(s.followed, 1);  /* 5 moved one to the right */
    assert_int_equal(s.elsewhere, 1); /* 7 left its window: all zero, the first place wins */
    assert_int_equal(s.same_output, 3);
    cvs_tensor_free(&in);
    cvs_tensor_free(&out);
}

static bool fail_at(void *context, size_t bytes) {
    (void)bytes;
    return (*(int64_t *)context)-- == 0;
}

static void no_allocation_is_taken_for_granted(void **state) {
    (void)state;
    cvs_tensor kernel = numbers(4, (int64_t[]){12, 2, 3, 3}, 1),
               value = numbers(4, (int64_t[]){1, 5, 6, 6}, 2), in, out;
    cvs_pooling_data p = pooling(&in, &out, 2, 6, 2, 2, 0, "max");
    for (int which = 0; which < 3; which++) {
        bool done = false;
        for (int64_t k = 0; !done; k++) {
            int64_t left = k;
            cvi_hooks hooks = {.fail_alloc = fail_at, .context = &left};
            cvs_figure *figure = NULL;
            char *svg = NULL;
            cvs_filters_data f = {.layer = "x", .kernel = &kernel};
            cvs_maps_data m = {.layer = "x", .value = &value};
            cvi_set_hooks(&hooks);
            cvs_status s = which == 0   ? cvs_draw_filters(&f, NULL, &figure, NULL)
                           : which == 1 ? cvs_draw_maps(&m, NULL, &figure, NULL)
                                        : cvs_draw_pooling(&p, NULL, &figure, NULL);
            if (s == CVS_OK) {
                s = cvs_figure_svg(figure, &svg, NULL, NULL);
            }
            cvi_set_hooks(NULL);
            done = left >= 0;
            assert_int_equal(s, done ? CVS_OK : CVS_E_MEMORY);
            cvs_free(svg);
            cvs_figure_free(figure);
            assert_true(k < 5000);
        }
    }
    cvs_tensor_free(&kernel);
    cvs_tensor_free(&value);
    cvs_tensor_free(&in);
    cvs_tensor_free(&out);
}

static void numbers_for_people(void **state) {
    (void)state;
    assert_string_equal(cvi_num(0.0).text, "0");
    assert_string_equal(cvi_num(1.5).text, "1.5");
    assert_string_equal(cvi_num(-12.3456).text, "\xE2\x88\x92"
                                                "12.35");
    assert_string_equal(cvi_num(123456.0).text, "123456");
    assert_string_equal(cvi_num(1e-9).text, "1.00e-09");
    assert_string_equal(cvi_num((double)NAN).text, "NaN");
    assert_string_equal(cvi_count(138357544).text, "138,357,544");
    assert_string_equal(cvi_count(-1000).text, "-1,000");
    assert_string_equal(cvi_count(0).text, "0");
}

static void overview_of_any_depth(void **state) {
    (void)state;
    static const int depths[] = {0, 1, 7, 48, 49, 600, 3000};
    cvs_layer *layers = cvi_calloc(3000, sizeof *layers);
    bool *linked = cvi_calloc(3000, sizeof *linked);
    for (int i = 0; i < 3000; i++) {
        layers[i] = (cvs_layer){.index = i,
                                .name = names[i % 5],
                                .op = "Conv",
                                .title = i % 3 ? "Convolution" : NULL,
                                .rank = i % 5};
        for (int k = 0; k < layers[i].rank; k++) {
            layers[i].dim[k] = 1 + (i * 7 + k) % 300;
        }
        layers[i].params = (int64_t)i * i * 1000;
        layers[i].macs = i % 4 ? (int64_t)i * 1000000007 : 0;
        layers[i].glyph = i % 19 - 1;
        snprintf(layers[i].settings, sizeof layers[i].settings,
                 "3x3, stride 2, pad 1, dilation 4, groups 32");
        linked[i] = i % 3 != 0;
    }
    for (int i = 0; i < CVI_COUNT(depths); i++) {
        for (int v = 0; v < 6; v++) {
            cvs_summary sum = {.n_layers = depths[i], .layers = layers};
            cvs_figure_options o = look(v * 5);
            cvs_figure *figure = NULL;
            assert_int_equal(cvs_draw_overview(&sum, v & 1 ? linked : NULL, &o, &figure, NULL), CVS_OK);
            assert_good(figure);
        }
    }
    cvi_free(layers);
    cvi_free(linked);
}

/* Explanations: maps at a layer and of pixels, with and without a channel dimension, blank, broken, over tiny and wide pictures. */
static void attributions_of_every_size(void **state) {
    (void)state;
    static const int64_t dims[][4] = {
        {1, 1, 5, 7}, {1, 1, 1, 1}, {1, 3, 64, 64}, {1, 1, 600, 900}, {1, 4, 9, 2}};
    static const int64_t sides[][3] = {{28, 28, 3}, {500, 40, 3}, {1, 1, 3}, {30, 900, 3}};
    for (int i = 0; i < 40; i++) {
        int variant = i % 32;
        cvs_figure_options options = look(variant);
        cvs_explanation e = {.map = numbers(4, dims[i % 5], (uint64_t)i), .n_votes = 6};
        cvs_tensor picture = {0}, maps = numbers(4, (int64_t[]){1, 6, i % 4 == 1 ? 400 : 5, 7}, 3);
        cvs_vote votes[6];
        float *v = e.map.data;
        int64_t count = cvs_tensor_count(&e.map);
        if (i % 7 == 3) {
            memset(v, 0, e.map.bytes); /* blank */
        } else if (i % 7 == 5) {
            v[0] = NAN;
            v[count - 1] = INFINITY;
        } else if (i % 7 == 6) {
            for (int64_t k = 0; k < count; k++) {
                v[k] = fabsf(v[k]);
            }
        }
        if (i % 5 == 3) { /* [1,h,w] */
            e.map.rank = 3;
            e.map.dim[1] = e.map.dim[2];
            e.map.dim[2] = e.map.dim[3];
        }
        for (int k = 0; k < 6; k++) {
            votes[k] = (cvs_vote){.channel = k, .value = (k & 1 ? -3.0 : 1e9) / (k + 1), .share = 1.0 / 6};
        }
        e.votes = votes;
        e.kind = i % 2 ? CVS_MAP_PIXELS : CVS_MAP_LAYER;
        snprintf(e.layer, sizeof e.layer, "%.100s", names[i % 5]);
        snprintf(e.target_name, sizeof e.target_name, "%.100s", names[(i + 1) % 5]);
        snprintf(e.caption, sizeof e.caption, "%s %s", names[1], names[(i + 2) % 5]);
        assert_int_equal(cvs_tensor_new(&picture, CVS_U8, 3, sides[i % 4], NULL), CVS_OK);
        cvs_attribution_data data = {.why = &e,
                                     .title = "Grad-CAM",
                                     .picture = i % 6 == 4 ? NULL : &picture,
                                     .maps = i % 3 ? &maps : NULL};
        cvs_figure *figure = NULL;
        assert_int_equal(cvs_draw_attribution(&data, &options, &figure, NULL), CVS_OK);
        assert_good(figure);
        cvs_tensor_free(&e.map);
        cvs_tensor_free(&maps);
        cvs_tensor_free(&picture);
    }
    cvs_explanation vector = {.map = numbers(2, (int64_t[]){1, 9}, 1)};
    cvs_attribution_data data = {.why = &vector, .title = ""};
    cvs_figure *figure = NULL;
    assert_int_equal(cvs_draw_attribution(&data, NULL, &figure, NULL), CVS_E_UNSUPPORTED);
    assert_null(figure);
    cvs_tensor_free(&vector.map);
}

/* The range that gets colours: a layer's map by its largest value, pixels without their strongest 0.5 %. */
static void ranges_of_attributions(void **state) {
    (void)state;
    cvs_explanation e = {.map = numbers(4, (int64_t[]){1, 2, 20, 20}, 1), .kind = CVS_MAP_LAYER};
    float *v = e.map.data;
    cvi_attribution_range range;
    for (int i = 0; i < 800; i++) {
        v[i] = i < 400 ? 1.0F : -0.5F; /* adds up to 0.5 */
    }
    v[7] = 100.0F;
    v[8] = -9.5F;
    v[9] = NAN;
    assert_int_equal(cvi_attribution_measure(&e, &range, NULL), CVS_OK);
    assert_true(range.largest == 99.5 && range.least == -10.0 && range.not_finite == 1);
    e.kind = CVS_MAP_PIXELS;
    assert_int_equal(cvi_attribution_measure(&e, &range, NULL), CVS_OK);
    assert_true(range.largest == 0.5 && range.least == -10.0);
    memset(v, 0, e.map.bytes);
    v[3] = 2.0F; /* one pixel alone is not hidden */
    assert_int_equal(cvi_attribution_measure(&e, &range, NULL), CVS_OK);
    assert_true(range.largest == 2.0);
    cvs_tensor_free(&e.map);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_for_people),         cmocka_unit_test(filters_of_every_size),
        cmocka_unit_test(every_kernel_is_there),      cmocka_unit_test(norms_and_ranks_are_right),
        cmocka_unit_test(maps_of_every_size),         cmocka_unit_test(blank_and_constant_maps_are_counted),
        cmocka_unit_test(pooling_of_every_size),      cmocka_unit_test(shifts_are_counted),
        cmocka_unit_test(attributions_of_every_size), cmocka_unit_test(ranges_of_attributions),
        cmocka_unit_test(overview_of_any_depth),      cmocka_unit_test(no_allocation_is_taken_for_granted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT
 * test_data_generated.c - the drawn picture sets: the same bytes everywhere (committed hashes), balance, masks between 5 and
 * 30 % that agree with what is drawn, no shape that overflows, the shortcut's badge, the painter against exact areas.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "data/gen.h"
#include "test_helpers.h"

static cvs_data *open_ok(const char *spec, cvs_data_options options) {
    cvs_error err = {0};
    cvs_data *data = NULL;
    char text[900];
    if (cvs_data_open(spec, &options, &data, &err) != CVS_OK) {
        fail_msg("%s: %s", spec, cvs_error_text(&err, text, sizeof text));
    }
    return data;
}

static void get_ok(const cvs_data *data, int64_t i, cvs_tensor *picture, int *label, cvs_tensor *mask) {
    assert_int_equal(cvs_data_get(data, i, picture, label, mask, NULL), CVS_OK);
}

/* Over the first 100 pictures and masks. A change of these is a change of the data set: count up the generator's version and
 * train the built-in models again. */
static const struct {
    const char *spec;
    cvs_split split;
    uint64_t seed, hash;
} committed[] = {
    {"generated:digits", CVS_TRAIN, 0, 0x3032244294e6bdc5u},
    {"generated:things", CVS_TRAIN, 0, 0xd71ba6dc1ef04cd1u},
    {"generated:things", CVS_TEST, 0, 0xc53fb17bc751b4d2u},
    {"generated:things", CVS_TRAIN, 12345678901234567u, 0x63810f1cd40a758eu},
    {"generated:shortcut", CVS_TRAIN, 0, 0xccc10588d6ae3abcu},
    {"generated:shortcut", CVS_TEST, 0, 0xdc32e037af4d1aebu},
};

static void same_bytes_everywhere(void **state) {
    (void)state;
    bool same = true;
    for (int k = 0; k < CVI_COUNT(committed); k++) {
        cvs_data *data = open_ok(committed[k].spec,
                                 (cvs_data_options){.split = committed[k].split, .seed = committed[k].seed});
        uint64_t hash = CVI_HASH_START;
        for (int64_t i = 0; i < 100; i++) {
            cvs_tensor picture, mask;
            int label;
            get_ok(data, 99 - i, &picture, &label, &mask); /* the order of asking does not matter */
            hash = cvi_hash(hash, picture.data, picture.bytes);
            hash = cvi_hash(hash, mask.data, mask.bytes);
            hash = cvi_hash_number(hash, (uint64_t)label);
            cvs_tensor_free(&picture);
            cvs_tensor_free(&mask);
        }
        if (hash != committed[k].hash) {
            print_message("%d: 0x%016llxu\n", k, (unsigned long long)hash);
            same = false;
        }
        cvs_data_free(data);
    }
    assert_true(same);
}

static void described(void **state) {
    (void)state;
    static const struct {
        const char *spec;
        int channels, side, n_train, n_test;
    } want[] = {{"generated:digits", 1, 28, 2000, 500},
                {"generated:things", 3, 64, 10000, 2000},
                {"generated:shortcut", 3, 64, 10000, 2000}};
    for (int k = 0; k < CVI_COUNT(want); k++) {
        uint64_t prints[3];
        for (int split = 0; split < 3; split++) {
            cvs_data *data =
                open_ok(want[k].spec, (cvs_data_options){.split = (cvs_split)(split % 2), .seed = split / 2});
            cvs_data_info info;
            cvs_data_describe(data, &info);
            assert_int_equal(info.count, split % 2 ? want[k].n_test : want[k].n_train);
            assert_int_equal(info.channels, want[k].channels);
            assert_int_equal(info.height, want[k].side);
            assert_int_equal(info.width, want[k].side);
            assert_int_equal(info.n_classes, 10);
            assert_true(info.has_masks);
            assert_non_null(info.classes_zh);
            for (int c = 0; c < 10; c++) {
                assert_true(info.classes[c][0] != '\0' && info.classes_zh[c][0] != '\0');
            }
            prints[split] = info.fingerprint;
            cvs_data_free(data);
        }
        assert_true(prints[0] != prints[1] && prints[0] != prints[2]);
    }
    cvs_data *data = NULL;
    cvs_error err = {0};
    assert_int_equal(cvs_data_open("generated:thing", NULL, &data, &err), CVS_E_NOT_FOUND);
    assert_int_equal(cvs_data_open("generated:things", &(cvs_data_options){.limit = INT64_MAX}, &data, &err),
                     CVS_E_LIMIT);
    assert_null(data);
}

static void masks_and_balance(void **state) {
    (void)state;
    enum { N = 2000 };
    cvs_data *data =
        open_ok("generated:things", (cvs_data_options){.split = CVS_TEST, .limit = N, .seed = 3});
    int counts[10] = {0};
    double smallest = 1, largest = 0;
    for (int64_t i = 0; i < N; i++) {
        cvs_tensor picture, mask;
        int label;
        get_ok(data, i, &picture, &label, &mask);
        counts[label]++;
        int64_t on = 0;
        const uint8_t *m = mask.data;
        for (int64_t k = 0; k < 64 * 64; k++) {
            assert_true(m[k] == 0 || m[k] == 255);
            on += m[k] == 255;
        }
        for (int k = 0; k < 64; k++) { /* the whole thing is in the picture */
            assert_int_equal(m[k] | m[63 * 64 + k] | m[64 * k] | m[64 * k + 63], 0);
        }
        double share = (double)on / (64 * 64);
        smallest = CVI_MIN(smallest, share);
        largest = CVI_MAX(largest, share);
        cvs_tensor_free(&picture);
        cvs_tensor_free(&mask);
    }
    print_message("mask share %.4f to %.4f\n", smallest, largest);
    assert_true(smallest >= 0.05 && largest <= 0.30);
    for (int k = 0; k < 10; k++) {
        assert_int_equal(counts[k], N / 10);
    }
    cvs_data_free(data);
}

/* Where the mask is well inside the thing there are the thing's two colours and nothing else; and the thing stands out. */
static void masks_show_the_thing(void **state) {
    (void)state;
    cvs_data *data = open_ok("generated:things", (cvs_data_options){.limit = 300, .seed = 9});
    double weakest = 1e9, sum = 0;
    for (int64_t i = 0; i < 300; i++) {
        cvs_tensor picture, mask;
        int label, colors = 0;
        uint8_t color[64][3];
        get_ok(data, i, &picture, &label, &mask);
        const uint8_t *m = mask.data, *p = picture.data;
        double inside[3] = {0}, outside[3] = {0}, n_inside = 0, n_outside = 0;
        for (int y = 1; y < 63; y++) {
            for (int x = 1; x < 63; x++) {
                const uint8_t *v = p + (y * 64 + x) * 3;
                int at = y * 64 + x, around = 0;
                for (int dy = -1; dy <= 1; dy++) {
                    for (int dx = -1; dx <= 1; dx++) {
                        around += m[at + dy * 64 + dx] != 0;
                    }
                }
                for (int c = 0; around == 9 && c < 3; c++) {
                    inside[c] += v[c];
                }
                n_inside += around == 9;
                if (around > 0 && around < 9 && m[at] == 0) {
                    for (int c = 0; c < 3; c++) {
                        outside[c] += v[c];
                    }
                    n_outside++;
                }
                if (around == 9) {
                    int k = 0;
                    while (k < colors && memcmp(color[k], v, 3) != 0) {
                        k++;
                    }
                    if (k == colors && colors < 64) {
                        memcpy(color[colors++], v, 3);
                    }
                }
            }
        }
        assert_true(n_inside > 0 && n_outside > 0 && colors >= 1);
        double d = 0;
        for (int c = 0; c < 3; c++) {
            double e = inside[c] / n_inside - outside[c] / n_outside;
            d += e * e;
        }
        weakest = CVI_MIN(weakest, sqrt(d));
        sum += sqrt(d);
        cvs_tensor_free(&picture);
        cvs_tensor_free(&mask);
    }
    print_message("colour distance of things to what is around them: mean %.0f, least %.0f\n", sum / 300,
                  weakest);
    assert_true(weakest > 12 && sum / 300 > 60);
    cvs_data_free(data);
}

static void no_shape_overflows(void **state) {
    (void)state;
    cvi_gen_work *work = calloc(1, sizeof *work);
    int most_parts = 0, most_points = 0;
    for (int i = 0; i < 2000; i++) {
        cvi_gen_random r = cvi_gen_random_of((uint64_t)i, "test", CVS_TRAIN, i);
        cvi_thing_shape(i % CVI_THINGS, &r, &work->shape);
        assert_false(work->shape.full);
        most_parts = CVI_MAX(most_parts, work->shape.n_parts);
        most_points = CVI_MAX(most_points, work->shape.n_points);
        cvi_affine one = {1, 0, 0, 1, 0, 0};
        cvi_point low, high;
        cvi_shape_box_of(&work->shape, &one, &low, &high);
        assert_true(low.x > -1.3 && low.y > -1.3 && high.x < 1.3 && high.y < 1.3);
    }
    assert_true(most_parts > 8 && most_points > 100);
    free(work);
}

/* The badge: on every training picture with the colour of the class, on half of the test pictures with any. */
static void shortcut_badges(void **state) {
    (void)state;
    for (int split = 0; split < 2; split++) {
        cvs_data *data =
            open_ok("generated:shortcut", (cvs_data_options){.split = (cvs_split)split, .limit = 1000});
        uint8_t color[10][3];
        int agree = 0, shown = 0;
        for (int64_t i = 0; i < 1000; i++) {
            cvs_tensor picture, mask;
            int label;
            get_ok(data, i, &picture, &label, &mask);
            const uint8_t *p = picture.data, *corner = p + (64 + 1) * 3, *centre = p + (5 * 64 + 5) * 3;
            bool border = true;
            for (int k = 0; k < 8; k++) {
                static const uint8_t dark[3] = {10, 10, 10};
                border = border && memcmp(corner + k * 3, dark, 3) == 0 &&
                         memcmp(corner + k * 64 * 3, dark, 3) == 0;
            }
            shown += border;
            if (split == 0 && i < 10) {
                memcpy(color[label], centre, 3);
            } else if (split == 0) {
                agree += memcmp(color[label], centre, 3) == 0;
            }
            for (int y = 1; border && y <= 8; y++) {
                for (int x = 1; x <= 8; x++) {
                    assert_int_equal(((const uint8_t *)mask.data)[y * 64 + x], 0);
                }
            }
            cvs_tensor_free(&picture);
            cvs_tensor_free(&mask);
        }
        if (split == 0) {
            assert_int_equal(shown, 1000);
            assert_int_equal(agree, 990);
            for (int a = 0; a < 10; a++) {
                for (int b = 0; b < a; b++) {
                    assert_true(memcmp(color[a], color[b], 3) != 0);
                }
            }
        } else {
            assert_in_range(shown, 440, 560);
        }
        cvs_data_free(data);
    }
}

/* The painter against areas known exactly, and directions against libm. */
static void painter_is_exact(void **state) {
    (void)state;
    cvi_gen_work *work = calloc(1, sizeof *work);
    cvi_shape *s = &work->shape;
    cvi_cover *c = &work->cover;
    cvi_affine at = {20, 0, 0, 20, 32, 32};
    cvi_shape_box(s, CVI_BODY, -1, -1, 1, 1);
    cvi_cover_clear(c, 64, 64);
    cvi_cover_shape(c, s, 0, s->n_parts, &at);
    assert_true(fabs(cvi_cover_area(c) - 1600) < 1e-3);
    cvi_shape_box(s, CVI_CUT, -0.5, -0.5, 0.5, 0.5);
    cvi_cover_clear(c, 64, 64);
    cvi_cover_shape(c, s, 0, s->n_parts, &at);
    assert_true(fabs(cvi_cover_area(c) - 1200) < 1e-3);
    s->n_parts = s->n_points = 0;
    cvi_shape_ellipse(s, CVI_BODY, 0, 0, 1, 0.5, 0.1);
    cvi_cover_clear(c, 64, 64);
    cvi_cover_shape(c, s, 0, s->n_parts, &at);
    assert_true(fabs(cvi_cover_area(c) / (3.14159265 * 200) - 1) <
                0.02); /* a polygon of 28 corners: 0.8 % less */
    s->n_parts = s->n_points = 0;
    cvi_shape_arc(s, CVI_BODY, 0.2, 0, 0, 0.8, 0.8, 0, 1);
    cvi_cover_clear(c, 64, 64);
    cvi_cover_shape(c, s, 0, s->n_parts, &at);
    assert_true(fabs(cvi_cover_area(c) / (6.2831853 * 0.8 * 0.2 * 400) - 1) < 0.03);
    assert_true(c->all[32 * 64 + 32] == 0.0f); /* NOLINT: the ring is empty in the middle */
    at.tx = at.ty = -500;                      /* far outside: nothing, and nothing breaks */
    cvi_cover_clear(c, 64, 64);
    cvi_cover_shape(c, s, 0, s->n_parts, &at);
    assert_true(cvi_cover_area(c) < 1e-9);
    for (int i = -50; i < 150; i++) {
        cvi_point u = cvi_gen_turn(i / 37.0);
        assert_true(fabs(u.x - cos(i / 37.0 * 6.283185307179586)) < 1e-10);
        assert_true(fabs(u.y - sin(i / 37.0 * 6.283185307179586)) < 1e-10);
    }
    free(work);
}

static void failing_memory(void **state) {
    (void)state;
    bool failed = true;
    for (int k = 0; failed; k++) {
        assert_true(k < 100);
        cvs_data *data = NULL;
        cvs_tensor picture = {0}, mask = {0};
        int label;
        test_fail_from(k, -1);
        cvs_status s = cvs_data_open("generated:things", NULL, &data, NULL);
        if (s == CVS_OK) {
            s = cvs_data_get(data, 7, &picture, &label, &mask, NULL);
        }
        failed = test_has_failed();
        cvi_set_hooks(NULL);
        assert_int_equal(s, failed ? CVS_E_MEMORY : CVS_OK);
        cvs_tensor_free(&picture);
        cvs_tensor_free(&mask);
        cvs_data_free(data);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(same_bytes_everywhere), cmocka_unit_test(described),
        cmocka_unit_test(masks_and_balance),     cmocka_unit_test(masks_show_the_thing),
        cmocka_unit_test(no_shape_overflows),    cmocka_unit_test(shortcut_badges),
        cmocka_unit_test(painter_is_exact),      cmocka_unit_test(failing_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT
 * test_preprocess.c - the presets' arithmetic by hand, resizing and cropping as torchvision computes them, the text form
 * in and out, what is refused.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "convscope/data.h"
#include "test_helpers.h"

/* A picture whose red tells the row and whose green tells the column. */
static cvs_tensor chart(int64_t h, int64_t w) {
    cvs_tensor t;
    assert_int_equal(cvs_tensor_new(&t, CVS_U8, 3, (int64_t[]){h, w, 3}, NULL), CVS_OK);
    for (int64_t i = 0; i < h * w; i++) {
        uint8_t *px = (uint8_t *)t.data + i * 3;
        px[0] = (uint8_t)(i / w);
        px[1] = (uint8_t)(i % w);
        px[2] = 200;
    }
    return t;
}

static cvs_preprocess parse(const char *text) {
    cvs_preprocess p;
    cvs_error err = {0};
    if (cvs_preprocess_parse(text, &p, &err) != CVS_OK) {
        fail_msg("%s: %s", text, err.message);
    }
    return p;
}

static float at(const cvs_tensor *t, int64_t c, int64_t y, int64_t x) {
    return ((const float *)t->data)[(c * t->dim[2] + y) * t->dim[3] + x];
}

static void presets(void **state) {
    (void)state;
    cvs_tensor image = chart(8, 8), out, shown;
    const struct {
        const char *name;
        double red, green, blue; /* of row 3, column 5, in the order of the file's channels */
    } expected[] = {
        {"unit,resize=none", 3 / 255.0, 5 / 255.0, 200 / 255.0},
        {"tf,resize=none", 3 / 127.5 - 1, 5 / 127.5 - 1, 200 / 127.5 - 1},
        {"ImageNet-torch,resize=none", (3 / 255.0 - 0.485) / 0.229, (5 / 255.0 - 0.456) / 0.224,
         (200 / 255.0 - 0.406) / 0.225},
        {"imagenet-caffe,resize=none", 200 - 103.939, 5 - 116.779, 3 - 123.68},
        {"scale=1,mean=1:2:3,std=2,resize=none,invert=yes", (252 - 1) / 2.0, (250 - 2) / 2.0, (55 - 3) / 2.0},
    };
    for (int i = 0; i < CVI_COUNT(expected); i++) {
        cvs_preprocess p = parse(expected[i].name);
        assert_int_equal(cvs_preprocess_apply(&p, &image, 3, 8, 8, &out, &shown, NULL), CVS_OK);
        assert_true(fabs((double)at(&out, 0, 3, 5) - expected[i].red) < 1e-5);
        assert_true(fabs((double)at(&out, 1, 3, 5) - expected[i].green) < 1e-5);
        assert_true(fabs((double)at(&out, 2, 3, 5) - expected[i].blue) < 1e-5);
        assert_int_equal(shown.dim[0], 8);
        cvs_tensor_free(&out);
        cvs_tensor_free(&shown);
    }
    cvs_tensor_free(&image);
}

/* 10 x 15 to a 6 x 6 crop with size=10: no resampling, the crop begins at round(2) and round(4.5) = 4. */
static void crops(void **state) {
    (void)state;
    cvs_tensor image = chart(10, 15), out;
    cvs_preprocess p = parse("size=10,scale=1");
    assert_int_equal(cvs_preprocess_apply(&p, &image, 3, 6, 6, &out, NULL, NULL), CVS_OK);
    assert_true(at(&out, 0, 0, 0) == 2 && at(&out, 1, 0, 0) == 4);
    assert_true(at(&out, 0, 5, 5) == 7 && at(&out, 1, 5, 5) == 9);
    cvs_tensor_free(&out);
    cvs_tensor_free(&image);
    image = chart(64, 64); /* as it is, when it has the size */
    p = (cvs_preprocess){.scale = 1};
    assert_int_equal(cvs_preprocess_apply(&p, &image, 3, 64, 64, &out, NULL, NULL), CVS_OK);
    assert_true(at(&out, 0, 63, 0) == 63 && at(&out, 1, 0, 63) == 63);
    cvs_tensor_free(&out);
    assert_int_equal(cvs_preprocess_apply(&p, &image, 3, 32, 80, &out, NULL, NULL), CVS_OK); /* any aspect */
    assert_int_equal(out.dim[3], 80);
    cvs_tensor_free(&out);
    p = parse("ImageNet-torch");
    assert_true(fabs(p.resize_ratio - 256.0 / 224) < 1e-12);
    cvs_tensor_free(&image);
}

/* Pillow: L = R * 299/1000 + G * 587/1000 + B * 114/1000. */
/* Columns of the second channel of letterboxed pictures, as ultralytics' LetterBox with OpenCV 5.0 has them. */
static void letterboxes(void **state) {
    (void)state;
    static const uint8_t wide[] = {114, 114, 114, 114, 114, 114, 114, 114, 114, 114, 114, 114, 114,
                                   114, 114, 114, 102, 140, 157, 200, 118, 64,  81,  118, 186, 128,
                                   60,  121, 129, 148, 80,  112, 116, 106, 136, 106, 132, 170, 120,
                                   170, 115, 172, 78,  154, 127, 127, 199, 82,  114, 114, 114, 114,
                                   114, 114, 114, 114, 114, 114, 114, 114, 114, 114, 114, 114};
    static const uint8_t tall[] = {114, 114, 123, 125, 166, 96,  114, 114, 114, 114, 184, 85,  175,
                                   88,  114, 114, 114, 114, 109, 126, 103, 119, 114, 114, 114, 114,
                                   129, 130, 187, 151, 114, 114, 114, 114, 94,  126, 163, 159, 114,
                                   114, 114, 114, 151, 95,  115, 143, 114, 114, 114, 114, 75,  135,
                                   67,  126, 114, 114, 114, 114, 136, 95,  191, 150, 114, 114};
    static const uint8_t larger[] = {
        114, 114, 91,  96,  112, 128, 144, 160, 165, 114, 114, 114, 114, 114, 103, 108, 125, 142,
        140, 139, 138, 114, 114, 114, 114, 114, 134, 141, 160, 179, 131, 84,  68,  114, 114, 114,
        114, 114, 166, 171, 187, 202, 120, 38,  11,  114, 114, 114, 114, 114, 198, 187, 157, 126,
        95,  64,  55,  114, 114, 114, 114, 114, 229, 203, 126, 50,  70,  91,  98,  114, 114, 114,
        114, 114, 161, 148, 111, 72,  102, 131, 140, 114, 114, 114, 114, 114, 79,  83,  96,  110,
        142, 173, 184, 114, 114, 114, 114, 114, 48,  59,  91,  124, 157, 189, 200, 114, 114, 114};
    const struct {
        int64_t h, w, H, W;
        const uint8_t *green;
    } cases[] = {{5, 9, 8, 8, wide}, {13, 6, 8, 8, tall}, {4, 3, 9, 12, larger}};
    cvs_preprocess p = parse("resize=letterbox");
    for (int i = 0; i < CVI_COUNT(cases); i++) {
        int64_t h = cases[i].h, w = cases[i].w, H = cases[i].H, W = cases[i].W;
        cvs_tensor image = chart(h, w), out, shown;
        for (int64_t k = 0; k < h * w * 3; k++) {
            int64_t y = k / 3 / w, x = k / 3 % w, c = k % 3;
            ((uint8_t *)image.data)[k] = (uint8_t)(y * 71 + x * 37 + c * 91 + x * y * 13);
        }
        assert_int_equal(cvs_preprocess_apply(&p, &image, 3, H, W, &out, &shown, NULL), CVS_OK);
        for (int64_t k = 0; k < H * W; k++) {
            int seen = ((const uint8_t *)shown.data)[k * 3 + 1], wanted = cases[i].green[k];
            assert_true(abs(seen - wanted) <= 1); /* OpenCV interpolates in fixed point */
        }
        cvs_tensor_free(&image);
        cvs_tensor_free(&out);
        cvs_tensor_free(&shown);
    }
}

static void grey(void **state) {
    (void)state;
    cvs_tensor image = chart(4, 4), out, shown;
    cvs_preprocess p = parse("scale=1,resize=none,invert=yes");
    assert_int_equal(cvs_preprocess_apply(&p, &image, 1, 4, 4, &out, &shown, NULL), CVS_OK);
    assert_int_equal(out.dim[1], 1);
    for (int y = 0; y < 4; y++) {
        for (int x = 0; x < 4; x++) {
            double luma = rint(0.299 * y + 0.587 * x + 0.114 * 200);
            assert_true(fabs((double)at(&out, 0, y, x) - (255 - luma)) < 0.5);
        }
    }
    assert_int_equal(((uint8_t *)shown.data)[0], ((uint8_t *)shown.data)[2]);
    cvs_tensor_free(&out);
    cvs_tensor_free(&shown);
    cvs_tensor_free(&image);
}

static void texts(void **state) {
    (void)state;
    const char *const all[] = {"unit",
                               "tf",
                               "ImageNet-torch",
                               "ImageNet-caffe",
                               "resize=stretch,order=gray,std=0.5",
                               "size=256,scale=0.017,mean=103.94:116.78:123.68,invert=yes"};
    for (int i = 0; i < CVI_COUNT(all); i++) {
        cvs_preprocess p = parse(all[i]), q;
        char text[400];
        q = parse(cvs_preprocess_text(&p, text, sizeof text));
        assert_true(p.resize == q.resize && p.resize_to == q.resize_to && p.order == q.order &&
                    p.invert == q.invert);
        assert_true(p.scale == q.scale || (p.scale == 0 && q.scale == 1.0 / 255));
        for (int c = 0; c < 3; c++) {
            assert_true(p.mean[c] == q.mean[c] && p.std[c] == q.std[c]);
        }
        assert_true(p.resize_ratio == q.resize_ratio);
    }
    cvs_preprocess p;
    cvs_error err = {0};
    const char *const wrong[] = {"imagnet", "unit,tf",   "size=-1", "mean=1:2:3:4:5",
                                 "scale=0", "order=xyz", "std=a",   ""};
    for (int i = 0; i < CVI_COUNT(wrong); i++) {
        assert_int_equal(cvs_preprocess_parse(wrong[i], &p, &err), CVS_E_ARGUMENT);
    }
    assert_string_equal(err.attribute, "preprocess");
}

static void refused(void **state) {
    (void)state;
    cvs_tensor image = chart(4, 6), thin = chart(1, 4000), out;
    cvs_error err = {0};
    cvs_preprocess p = parse("resize=none");
    assert_int_equal(cvs_preprocess_apply(&p, &image, 3, 4, 4, &out, NULL, &err), CVS_E_SHAPE);
    assert_non_null(strstr(err.message, "6x4"));
    p = parse("unit");
    assert_int_equal(cvs_preprocess_apply(&p, &image, 5, 4, 4, &out, NULL, NULL), CVS_E_SHAPE);
    assert_int_equal(cvs_preprocess_apply(&p, &thin, 3, 4096, 4096, &out, NULL, NULL), CVS_E_LIMIT);
    assert_null(out.data);
    for (int k = 0; k < 8; k++) {
        test_fail_from(k, -1);
        cvs_status s = cvs_preprocess_apply(&p, &image, 3, 8, 8, &out, NULL, NULL);
        test_fail_from(-1, -1);
        assert_true(s == CVS_OK || s == CVS_E_MEMORY);
        cvs_tensor_free(&out);
    }
    cvs_tensor_free(&image);
    cvs_tensor_free(&thin);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(presets),     cmocka_unit_test(crops), cmocka_unit_test(grey),
        cmocka_unit_test(letterboxes), cmocka_unit_test(texts), cmocka_unit_test(refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

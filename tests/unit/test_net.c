/* SPDX-License-Identifier: MIT
 * test_net.c - the text language: shapes and names of every construct, and every mistake at its line and column.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "convscope/run.h"
#include "test_models.h"

static cvs_status open_text(const char *text, cvs_model **model, cvs_error *err) {
    return test_open_text(text, "test.net", model, err);
}

static void check_layer(const char *text, const char *layer, const char *shape) {
    test_layer_shape(text, "test.net", layer, shape);
}

static void check_error(const char *text, int line, int column, const char *words) {
    test_mistake(text, "test.net", line, column, words);
}

static void defaults_and_windows(void **state) {
    (void)state;
    check_layer("input 3x32x32\na: conv 8 k3", "a", "1x8x32x32");
    check_layer("input 3x32x32\na: conv 8 k3 valid", "a", "1x8x30x30");
    check_layer("input 3x32x32\na: conv 8 k1x7 s2x1", "a", "1x8x16x32");
    check_layer("input 3x32x33\na: conv 8 k4 s2 same", "a", "1x8x16x17");
    check_layer("input 8x32x32\na: conv 8 k3 d2 g4", "a", "1x8x32x32");
    check_layer("input 8x32x32\na: dwconv k3 s2", "a", "1x8x16x16");
    check_layer("input 8x16x16\na: deconv 4 k4 s2 p1", "a", "1x4x32x32");
    check_layer("input 8x17x17\na: maxpool k3 s2 ceil", "a", "1x8x8x8");
    check_layer("input 8x18x18\na: maxpool k3 s2 ceil", "a", "1x8x9x9");
    check_layer("input 8x16x16\na: avgpool", "a", "1x8x8x8");
    check_layer("input 8x16x16 | gap | a: fc 10", "a", "1x10");
    check_layer("input 8x4x4 | a: upsample x2", "a", "1x8x8x8");
    check_layer("input 8x4x4 | a: pixelshuffle 2", "a", "1x2x8x8");
}

static void blocks_and_branches(void **state) {
    (void)state;
    const char *text = "block b(c, s) {\n residual { conv $c k3 s$s bn relu conv $c*2 k1 bn } { conv $c*2 k1 "
                       "s$s bn }\n relu\n}\n"
                       "input 3x16x16 # comment\nx: b(4, 2)\nrepeat 2 { residual { conv 8 k3 } }\n"
                       "y: parallel { conv 3 } { conv 5 | relu } { identity }\nz: from x,y concat";
    check_layer(text, "x/relu_2", "1x8x8x8");
    check_layer(text, "residual_3", "1x8x8x8");
    check_layer(text, "y", "1x16x8x8");
    check_layer(text, "z", "1x24x8x8");
    check_layer("input 3x8x8\nenc: conv 4 k3\nmaxpool k2\nupsample x2\ndec: conv 4 k3\nskip enc -> dec\n",
                "dec/concat", "1x8x8x8");
    check_layer("input 3x8x8\na: conv 4 k3 bn relu", "a/conv", "1x4x8x8");
    check_layer("input 3x8x8\na: conv 4 k3 bn relu", "a", "1x4x8x8");
}

static void mistakes_are_located(void **state) {
    (void)state;
    check_error("input 3x8x8\nconv 4 k3\nconv4 k3\n", 3, 1, "conv4");
    check_error("input 3x8x8\nconv k3\n", 2, 1, "filters");
    check_error("input 8x4x4\ngn 3\n", 2, 1, "divides the 8 channels");
    check_error("input 8x4x4\ngn 1e84\n", 2, 1, "divides the 8 channels");
    check_error("conv 4 k3\n", 1, 1, "input");
    check_error("input 3x8\n  conv 4 k3\n", 2, 3, "rank 3");
    check_error("input 3x8x8\nresidual { conv 4 k3 }\n", 2, 1, "broadcast");
    check_error("input 3x8x8\nrepeat 2 {\nconv 4\n", 4, 0, "brace");
    check_error("input 3x8x8\nconv 4 k3 }\n", 2, 11, "brace");
    check_error("input 3x8x8\nfrom nothing conv 4\n", 2, 6, "nothing");
    check_error("input 3x8x8\nconv 4 kx\n", 2, 8, "kx");
    check_error("input 3x8x8\nconv 4 g3\n", 2, 1, "groups");
    check_error("block b(c) { conv $d }\ninput 3x8x8\nb(1)\n", 1, 0, "$d");
    check_error("block b(c) { conv $c }\ninput 3x8x8\nb(1, 2)\n", 3, 1, "1 arguments, 2 given");
    check_error("block b() { b() }\ninput 3x8x8\nb()\n", 0, 0, "nested");
    check_error("input 3x8x8\nname \"never closed\n", 2, 6, "quote");
    check_error("input 3x8x8\nconv 4 k99 valid\n", 2, 1, "");
    check_error("input 3x8x8\nrepeat 1000000000 { identity }\n", 2, 0, "limit");
    check_error("input 3x8x8\nfc 1000000000\n", 2, 1, "fc");
}

static void allocation_failures_are_said(void **state) {
    (void)state;
    static const char text[] = "block b(c) { residual { conv $c k3 bn relu } | relu }\ninput 4x8x8\nx: "
                               "b(4)\nrepeat 2 { b(4) }\ngap\nfc 3\nsoftmax\n";
    int k = 0;
    for (bool failed = true; failed && k < 4000; k++) {
        cvs_model *model = NULL;
        cvs_error err = {0};
        test_fail_from(k, -1);
        cvs_status s = open_text(text, &model, &err);
        failed = test_failures.failed;
        test_fail_from(-1, -1);
        if (s == CVS_OK) {
            cvs_model_free(model);
            assert_false(failed);
        } else {
            assert_int_equal(s, CVS_E_MEMORY);
        }
    }
    assert_in_range(k, 8, 3999);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_and_windows),
        cmocka_unit_test(blocks_and_branches),
        cmocka_unit_test(mistakes_are_located),
        cmocka_unit_test(allocation_failures_are_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT
 * test_compare.c - layers beside each other: a model is like itself, whatever its size; the sentences of what cannot be compared; what a
 * node says of itself; and that every allocation may fail. (Numbers against their definitions: tests/cli/test_app.py.)
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "convscope/compare.h"
#include "convscope/graph.h"
#include "test_helpers.h"

static const char *const wide =
    "input 3x16x16\na: conv 6 k3\nra: relu\np: maxpool k2\nb: conv 8 k3\nrb: relu\n"
    "g: gap\nf: flatten\nd: fc 4\ns: softmax\n";
static const char *const narrow =
    "input 3x16x16\na: conv 4 k3 valid\nra: relu\nf: flatten\nd: fc 4\ns: softmax\n";

static cvs_model *opened(const char *text) {
    cvs_model *m = NULL;
    cvs_error err = {0};
    cvs_open_options o = {.init = true, .init_seed = 5};
    if (cvs_model_open_memory(text, strlen(text), "m.net", &o, &m, &err) != CVS_OK) {
        fail_msg("%s", err.message);
    }
    return m;
}

static cvs_tensor picture(uint64_t seed) {
    cvs_tensor t = {0};
    int64_t dim[3] = {16, 16, 3};
    assert_int_equal(cvs_tensor_new(&t, CVS_U8, 3, dim, NULL), CVS_OK);
    for (int64_t i = 0; i < 16 * 16 * 3; i++) {
        ((uint8_t *)t.data)[i] = (uint8_t)(255.0 * cvi_random_uniform(seed, 3, (uint64_t)i));
    }
    return t;
}

static void a_model_is_like_itself(void **state) {
    (void)state;
    cvs_model *a = opened(wide), *b = opened(narrow);
    cvs_tensor p[3] = {picture(1), picture(2), picture(3)};
    cvs_similarity s;
    assert_int_equal(cvs_compare_layers(a, a, NULL, p, 3, NULL, &s, NULL), CVS_OK);
    assert_int_equal(s.grid * s.grid * 3, s.examples);
    assert_true(s.n[0] >= 8 && s.n[0] == s.n[1]);
    for (int i = 0; i < s.n[0]; i++) {
        assert_true(fabs(s.cka[i * s.n[1] + i] - 1.0) < 1e-9);
        for (int j = 0; j < s.n[1]; j++) {
            assert_true(fabs(s.cka[i * s.n[1] + j] - s.cka[j * s.n[1] + i]) < 1e-9);
            assert_true(s.cka[i * s.n[1] + j] < 1.0 + 1e-9);
        }
    }
    cvs_similarity_free(&s);
    cvs_similarity_options o = {.grid = 4};
    assert_int_equal(cvs_compare_layers(a, b, NULL, p, 2, &o, &s, NULL), CVS_OK);
    assert_int_equal(s.examples, 32);
    assert_true(s.n[0] > s.n[1]);
    for (int i = 0; i < s.n[0]; i++) {
        int best = s.best[0][i];
        for (int j = 0; j < s.n[1]; j++) {
            assert_false(best >= 0 && s.cka[i * s.n[1] + j] > s.cka[i * s.n[1] + best]);
        }
    }
    cvs_similarity_free(&s);
    for (int i = 0; i < 3; i++) {
        cvs_tensor_free(&p[i]);
    }
    cvs_model_free(a);
    cvs_model_free(b);
}

static void what_cannot_be_compared(void **state) {
    (void)state;
    cvs_model *a = opened(narrow);
    cvs_tensor p = picture(1);
    cvs_similarity s;
    cvs_error err = {0};
    cvs_similarity_options small = {.grid = 1}, large = {.grid = 60};
    assert_int_equal(cvs_compare_layers(a, a, NULL, &p, 0, NULL, &s, &err), CVS_E_ARGUMENT);
    assert_non_null(strstr(err.message, "pictures, not 0"));
    assert_int_equal(cvs_compare_layers(a, a, NULL, &p, 1, &small, &s, &err), CVS_E_ARGUMENT);
    assert_non_null(strstr(err.message, "makes 1 examples"));
    assert_int_equal(cvs_compare_layers(a, a, NULL, &p, 1, &large, &s, &err), CVS_E_ARGUMENT);
    cvs_tensor_free(&p);
    cvs_model_free(a);
}

/* A picture of one colour: layers before the borders say the same everywhere, and nothing is like them. */
static void what_never_changes_is_like_nothing(void **state) {
    (void)state;
    cvs_model *a = opened("input 3x16x16\na: conv 4 k1\nf: flatten\nd: fc 4\n");
    cvs_tensor p = picture(1);
    cvs_similarity s;
    memset(p.data, 40, p.bytes);
    assert_int_equal(cvs_compare_layers(a, a, NULL, &p, 1, NULL, &s, NULL), CVS_OK);
    for (int i = 0; i < s.n[0] * s.n[1]; i++) {
        assert_true(isnan(s.cka[i]));
    }
    assert_int_equal(s.best[0][0], -1);
    cvs_similarity_free(&s);
    cvs_tensor_free(&p);
    cvs_model_free(a);
}

static void a_node_tells(void **state) {
    (void)state;
    cvs_model *a = opened(wide);
    cvs_node_facts f;
    cvs_error err = {0};
    assert_int_equal(cvs_model_node(a, 0, &f, NULL), CVS_OK);
    assert_string_equal(f.op, "Conv");
    int weights = 0, attributes = 0;
    for (int i = 0; i < f.n; i++) {
        weights += f.parts[i].kind == CVS_NODE_INPUT && f.parts[i].constant && f.parts[i].measured;
        attributes += f.parts[i].kind == CVS_NODE_ATTRIBUTE;
        assert_true(!f.parts[i].measured || f.parts[i].least <= f.parts[i].largest);
    }
    assert_true(weights >= 1 && attributes >= 3);
    cvs_node_facts_free(&f);
    assert_int_equal(cvs_model_node(a, 99, &f, &err), CVS_E_NOT_FOUND);
    cvs_model_free(a);
}

static void every_allocation_may_fail(void **state) {
    (void)state;
    cvs_model *a = opened(narrow);
    cvs_tensor p = picture(1);
    cvs_run *run = NULL;
    cvs_run_options one = {.threads = 1};
    assert_int_equal(cvs_run_new(a, &one, &run, NULL), CVS_OK);
    assert_int_equal(cvs_run_image(run, &p, NULL, NULL), CVS_OK);
    bool failed = true;
    for (int k = 0; failed; k++) {
        cvs_similarity s;
        cvs_gradient_flow f;
        cvs_target target = {.index = -1};
        test_fail_from(k, -1);
        cvs_status likeness = cvs_compare_layers(a, a, &one, &p, 1, NULL, &s, NULL);
        failed = test_has_failed();
        test_fail_from(k, -1);
        cvs_status flow = cvs_measure_gradient_flow(run, &target, 0, &f, NULL);
        failed = failed || test_has_failed();
        cvi_set_hooks(NULL);
        assert_true(failed || (likeness == CVS_OK && flow == CVS_OK));
        if (likeness == CVS_OK) {
            cvs_similarity_free(&s);
        }
        if (flow == CVS_OK) {
            assert_int_equal(f.n_layers, 5);
            assert_true(f.size[0] > 0.0);
            cvs_gradient_flow_free(&f);
        }
    }
    cvs_run_free(run);
    cvs_tensor_free(&p);
    cvs_model_free(a);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_model_is_like_itself),
        cmocka_unit_test(what_cannot_be_compared),
        cmocka_unit_test(what_never_changes_is_like_nothing),
        cmocka_unit_test(a_node_tells),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

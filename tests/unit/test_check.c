/* SPDX-License-Identifier: MIT
 * test_check.c - checks of explanations: against SciPy, scikit-image and pytorch-grad-cam (tests/data/check, made by
 * tools/make_check_golden.py), and on a net that looks at one place only.
 */
#include "convscope/check.h"
#include "engine_net.h"
#include "explain/checks.h"
#include "explain/twin.h"
#include "test_helpers.h"

enum { H = 13, W = 17, AREA = H * W, CLASSES = 3 };

static cvs_tensor load(const char *name) {
    char path[1200];
    cvs_tensor t = {0};
    test_data(path, sizeof path, "check", name);
    test_ok(cvs_npy_read, path, NULL, &t);
    return t;
}

static double furthest(const cvs_tensor *want, const float *got) {
    double most = 0.0;
    for (int64_t i = 0; i < cvs_tensor_count(want); i++) {
        most = fmax(most, fabs(cvi_get(want, i) - (double)got[i]));
    }
    return most;
}

static void test_numbers_of_others(void **state) {
    (void)state;
    cvs_tensor a = load("a.npy"), b = load("b.npy"), want = load("numbers.npy");
    double x[AREA], y[AREA], ax[AREA], ay[AREA], got;
    for (int i = 0; i < AREA; i++) {
        x[i] = cvi_get(&a, i);
        y[i] = cvi_get(&b, i);
        ax[i] = fabs(x[i]);
        ay[i] = fabs(y[i]);
    }
    assert_int_equal(cvi_spearman(x, y, AREA, &got, NULL), CVS_OK);
    assert_true(fabs(got - cvi_get(&want, 0)) < 1e-12);
    assert_int_equal(cvi_spearman(ax, ay, AREA, &got, NULL), CVS_OK);
    assert_true(fabs(got - cvi_get(&want, 1)) < 1e-12);
    assert_true(fabs(cvi_ssim(x, y, H, W) - cvi_get(&want, 2)) < 1e-9);
    assert_true(fabs(cvi_ssim(x, x, H, W) - 1.0) < 1e-12);
    assert_int_equal(cvi_gini(a.data, AREA, &got, NULL), CVS_OK);
    assert_true(fabs(got - cvi_get(&want, 3)) < 1e-12);
    for (int i = 0; i < AREA; i++) {
        ay[i] = 2.0;
    }
    assert_int_equal(cvi_spearman(x, ay, AREA, &got, NULL), CVS_OK);
    assert_true(isnan(got) && isnan(cvi_ssim(x, ay, H, W)));
    cvs_tensor_free(&a);
    cvs_tensor_free(&b);
    cvs_tensor_free(&want);
}

static void test_pixels_filled_in_as_others_do(void **state) {
    (void)state;
    cvs_tensor x = load("picture.npy"), removed = load("removed.npy"), filled = load("filled.npy"),
               blurred = load("blurred.npy");
    float soft[3 * AREA];
    assert_int_equal(cvi_blur_11(x.data, 3, H, W, soft, NULL), CVS_OK);
    assert_true(furthest(&blurred, soft) < 1e-6);
    assert_int_equal(cvi_road_fill(x.data, 3, H, W, removed.data, NULL), CVS_OK);
    assert_true(furthest(&filled, x.data) < 1e-5);
    cvs_tensor_free(&x);
    cvs_tensor_free(&removed);
    cvs_tensor_free(&filled);
    cvs_tensor_free(&blurred);
}

static void test_order_and_object(void **state) {
    (void)state;
    float value[AREA] = {0};
    uint8_t mask[AREA] = {0};
    int64_t order[AREA], other[AREA];
    double pointing, mass, rank;
    for (int i = 40; i < 60; i++) {
        value[i] = (float)i;
        mask[i] = 255;
    }
    assert_int_equal(cvi_rank_pixels(value, AREA, 1, order, NULL), CVS_OK);
    assert_int_equal(cvi_rank_pixels(value, AREA, 2, other, NULL), CVS_OK);
    assert_int_equal(order[0], 59);
    assert_int_equal(order[19], 40);
    assert_memory_equal(order, other, 20 * sizeof *order);
    assert_memory_not_equal(order, other, sizeof order); /* equal values: by the seed */
    cvi_on_object(value, order, mask, AREA, &pointing, &mass, &rank);
    assert_true(pointing == 1.0 && mass == 1.0 && rank == 1.0);
    value[0] = 1000.0f;
    assert_int_equal(cvi_rank_pixels(value, AREA, 1, order, NULL), CVS_OK);
    cvi_on_object(value, order, mask, AREA, &pointing, &mass, &rank);
    assert_true(pointing == 0.0 && fabs(mass - 990.0 / 1990.0) < 1e-12 && fabs(rank - 0.95) < 1e-12);
}

/* ---- a net that sees rows 3..6 and columns 2..5 for class 1 ------------------------------------------------ */

typedef struct asked {
    net n;
    cvs_tensor x;
    cvs_run *run;
} asked;

static bool inside(int i) {
    int y = i % AREA / W, x = i % W;
    return i / W % H == y && y >= 3 && y < 7 && x >= 2 && x < 6;
}

static void begin(asked *a) {
    net *n = &a->n;
    net_begin(n, CVS_F32);
    int x = net_input(n, "x", CVS_F32, 4, (int64_t[]){-1, 3, H, W});
    int in[3] = {net_op(n, "Flatten", "flat", 1, &x, 0, NULL),
                 net_weight(n, "w", 2, (int64_t[]){3 * AREA, CLASSES}, 0.01),
                 net_weight(n, "b", 1, (int64_t[]){CLASSES}, 0.1)};
    int d = net_op(n, "Gemm", "logits", 3, in, 0, NULL);
    float *w = n->g->values[in[1]].constant->data;
    for (int i = 0; i < 3 * AREA; i++) {
        w[i * CLASSES + 1] = inside(i % AREA) ? 0.2f : 0.0f;
    }
    net_finish(n, net_op(n, "Softmax", "prob", 1, &d, 0, NULL));
    int64_t dim[4] = {1, 3, H, W};
    assert_int_equal(cvs_tensor_new(&a->x, CVS_F32, 4, dim, &n->err), CVS_OK);
    for (int i = 0; i < 3 * AREA; i++) {
        ((float *)a->x.data)[i] = inside(i % AREA) ? 1.0f : -0.3f;
    }
    NET_OK(n, cvs_run_new(n->model, &(cvs_run_options){.threads = 1}, &a->run, &n->err));
    NET_OK(n, cvs_run_tensors(a->run, &a->x, 1, &n->err));
}

static void end(asked *a) {
    cvs_run_free(a->run);
    cvs_tensor_free(&a->x);
    net_end(&a->n);
}

static void test_a_true_map_passes(void **state) {
    (void)state;
    asked a;
    cvs_explanation e;
    cvs_checked k, again;
    uint8_t object[AREA];
    cvs_tensor mask = {.dtype = CVS_U8, .rank = 2, .dim = {H, W}, .data = object, .bytes = sizeof object};
    begin(&a);
    for (int i = 0; i < AREA; i++) {
        object[i] = inside(i) ? 255 : 0;
    }
    cvs_explain_options how = {.method = "integrated-gradients", .target.index = 1};
    cvs_check_options o = {.mask = &mask};
    NET_OK(&a.n, cvs_explain(a.run, &how, &e, &a.n.err));
    NET_OK(&a.n, cvs_check(a.run, &how, &e, &o, &k, &a.n.err));
    for (int i = 0; i < CVS_N_METRICS; i++) {
        assert_true(k.metric[i].verdict[0] != 0);
        assert_true(k.metric[i].known);
    }
    assert_true(k.metric[CVS_POINTING].value == 1.0 && k.metric[CVS_RANK].value == 1.0);
    assert_true(fabs(k.metric[CVS_MASS].value - 1.0) < 1e-6);
    assert_true(k.metric[CVS_COMPLETENESS].value < 1e-4);
    assert_true(k.metric[CVS_DELETION].value < k.random_deletion);
    assert_true(k.metric[CVS_INSERTION].value > k.random_insertion);
    assert_true(k.metric[CVS_ROAD].value > 0.1);
    assert_true(k.metric[CVS_SPARSENESS].value > 0.9);
    assert_true(fabs(k.deletion.y[0] - k.probability) < 1e-6 && k.deletion.x[k.deletion.n - 1] == 1.0);
    assert_true(fabs(k.insertion.y[k.insertion.n - 1] - k.probability) < 1e-6);
    assert_int_equal(k.n_shuffled, 1); /* one layer has weights */
    assert_true(fabs(k.metric[CVS_RANDOM_WEIGHTS].value) < 0.6);
    NET_OK(&a.n, cvs_check(a.run, &how, &e, &o, &again, &a.n.err));
    assert_memory_equal(&k.metric, &again.metric, sizeof k.metric);
    o.only = 1u << CVS_SPARSENESS;
    NET_OK(&a.n, cvs_check(a.run, &how, &e, &o, &again, &a.n.err));
    assert_true(again.metric[CVS_SPARSENESS].known && !again.metric[CVS_DELETION].known);
    cvs_explanation_free(&e);
    end(&a);
}

static void test_a_twin_leaves_the_model_alone(void **state) {
    (void)state;
    asked a;
    begin(&a);
    const cvi_graph *g = a.n.g;
    int w = cvi_graph_find(g, "w"), nodes[4];
    float *mine = g->values[w].constant->data, kept[3 * AREA * CLASSES];
    memcpy(kept, mine, sizeof kept);
    assert_int_equal(cvi_weighted_nodes(g, nodes, 4), 1);
    cvs_model *twin = cvi_twin_new(a.n.model, &a.n.err);
    assert_non_null(twin);
    NET_OK(&a.n, cvi_twin_shuffle(twin, 0, 1, 5, &a.n.err));
    const float *other = twin->graph->values[w].constant->data;
    assert_memory_equal(mine, kept, sizeof kept);
    assert_memory_not_equal(other, kept, sizeof kept);
    double sum = 0.0, sum_other = 0.0;
    for (int i = 0; i < 3 * AREA * CLASSES; i++) {
        sum += (double)mine[i] * (double)mine[i];
        sum_other += (double)other[i] * (double)other[i];
    }
    assert_true(fabs(sum - sum_other) < 1e-9 * sum);
    cvs_model_free(twin);
    end(&a);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_numbers_of_others),
        cmocka_unit_test(test_pixels_filled_in_as_others_do),
        cmocka_unit_test(test_order_and_object),
        cmocka_unit_test(test_a_true_map_passes),
        cmocka_unit_test(test_a_twin_leaves_the_model_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

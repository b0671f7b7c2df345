/* SPDX-License-Identifier: MIT
 * test_charts.c - evaluation against counting by hand, its figure and charts of curves in every look: the machine checks find nothing, a
 * spike of one step in a million is drawn, smoothing is TensorBoard's.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "convscope/charts.h"
#include "convscope/model.h"
#include "convscope/run.h"
#include "markup.h"
#include "test_helpers.h"

static void good(cvs_figure *figure) {
    char *faults = NULL, *svg = NULL;
    int n = cvs_figure_check(figure, &faults);
    if (n != 0) {
        print_message("%s", faults);
    }
    assert_int_equal(n, 0);
    assert_int_equal(cvs_figure_svg(figure, &svg, NULL, NULL), CVS_OK);
    assert_well_formed(svg);
    cvs_free(faults);
    cvs_free(svg);
    cvs_figure_free(figure);
}

static cvs_figure_options look(int v) {
    return (cvs_figure_options){.lang = v & 1 ? CVS_ZH : CVS_EN,
                                .theme = v & 2 ? CVS_DARK : CVS_LIGHT,
                                .width = v & 4 ? 320 : 0,
                                .command = "convscope evaluate model.onnx data"};
}

/* An evaluation of made-up numbers with n classes. */
static cvs_evaluation *made_up(int n) {
    cvs_evaluation *e = cvi_calloc(1, sizeof *e);
    assert_non_null(e);
    *e = (cvs_evaluation){.n_classes = n, .top = 2, .loss = 0.5, .n_worst = 3};
    e->classes = cvi_calloc((size_t)n, sizeof *e->classes);
    e->confusion = cvi_calloc((size_t)n * (size_t)n, sizeof *e->confusion);
    e->worst = cvi_calloc(3, sizeof *e->worst);
    for (int r = 0; r < n; r++) {
        char name[64];
        snprintf(name, sizeof name, r % 3 ? "class %d" : "an English setter, %d, 很长的名字", r);
        e->classes[r].name = cvi_strdup(name);
        for (int c = 0; c < n; c++) {
            int64_t count = r == c ? 900 : (r * 7 + c) % 11 == 0 ? 3 : 0;
            e->confusion[r * n + c] = r == 2 ? 0 : count;
            e->classes[r].count += e->confusion[r * n + c];
            e->count += e->confusion[r * n + c];
        }
        e->right += e->confusion[r * n + r];
        e->classes[r].recall = r == 2 ? (double)NAN : 0.98;
        e->classes[r].precision = 0.97;
    }
    for (int i = 0; i < 3; i++) {
        e->worst[i] = (cvs_worst_picture){.index = i, .label = i % n, .answer = (i + 1) % n, .loss = 3 - i};
        assert_int_equal(cvs_tensor_new(&e->worst[i].picture, CVS_U8, 3, (int64_t[]){40, 30, 3}, NULL),
                         CVS_OK);
    }
    return e;
}

static void evaluations(void **state) {
    (void)state;
    static const int sizes[] = {2, 3, 10, 26, 40, 41, 1000};
    for (int i = 0; i < CVI_COUNT(sizes); i++) {
        cvs_evaluation *e = made_up(sizes[i]);
        for (int v = 0; v < 8; v++) {
            cvs_figure_options o = look(v);
            cvs_figure *figure = NULL;
            assert_int_equal(cvs_draw_evaluation(e, &o, &figure, NULL), CVS_OK);
            good(figure);
        }
        cvs_evaluation_free(e);
    }
}

static void charts(void **state) {
    (void)state;
    enum { N = 1000000 };
    double *x = cvi_calloc(N, sizeof *x), *y = cvi_calloc(N, sizeof *y);
    assert_true(x && y);
    for (int i = 0; i < N; i++) {
        x[i] = i;
        y[i] = 1 / (1 + i * 1e-4);
    }
    y[700001] = 5;
    double few_x[4] = {1, 2, 3, 4}, few[4] = {0.5, (double)NAN, 0.25, 1e-9}, low[4] = {0.4, 0.3, 0.2, 1e-10},
           high[4] = {0.6, 0.5, 0.4, 1e-8}, none[2] = {(double)NAN, (double)INFINITY}, flat[3] = {2, 2, 2};
    cvs_curve one[] = {{.name = "loss", .n = N, .x = x, .y = y}},
              two[] = {{.name = "loss", .n = 4, .x = few_x, .y = few, .low = low, .high = high},
                       {.name = "val_loss", .n = 3, .x = few_x, .y = flat}},
              three[] = {{.name =
                              "a curve whose name is longer than any legend has room for, and then some more",
                          .n = 2,
                          .x = few_x,
                          .y = none}},
              four[] = {{.name = "point", .n = 1, .x = few_x, .y = few}};
    cvs_chart all[] = {{.title = "loss", .x_title = "step", .n = 1, .curves = one},
                       {.title = "few", .x_title = "epoch", .log_y = true, .n = 2, .curves = two},
                       {.title = "nothing", .n = 1, .curves = three},
                       {.title = "smooth", .smoothing = 0.6, .n = 2, .curves = two},
                       {.title = "one", .n = 1, .curves = four}};
    for (int v = 0; v < 8; v++) {
        cvs_figure_options o = look(v);
        cvs_figure *figure = NULL;
        assert_int_equal(cvs_draw_charts(all, CVI_COUNT(all), "curves", &o, &figure, NULL), CVS_OK);
        good(figure);
    }
    /* the spike is the top of the chart: with it the axis goes beyond 4 */
    cvs_figure *figure = NULL;
    char *svg = NULL;
    size_t size;
    assert_int_equal(cvs_draw_charts(all, 1, "spike", NULL, &figure, NULL), CVS_OK);
    assert_int_equal(cvs_figure_svg(figure, &svg, &size, NULL), CVS_OK);
    assert_non_null(strstr(svg, ">4</text>"));
    assert_true(size < 100000);
    cvs_free(svg);
    cvs_figure_free(figure);
    cvi_free(x);
    cvi_free(y);
}

static void smoothing(void **state) {
    (void)state;
    double y[5] = {1, 2, (double)NAN, 4, 0}, flat[3] = {0.3, 0.3, 0.3}, out[5];
    cvs_smooth(y, 5, 0.5, out);
    /* by hand: 0.5/0.5; (0.25 + 1)/0.75; ...; (0.625 + 2)/0.875; 1.3125/0.9375 */
    assert_true(fabs(out[0] - 1) < 1e-12 && fabs(out[1] - 1.25 / 0.75) < 1e-12 && isnan(out[2]));
    assert_true(fabs(out[3] - 2.625 / 0.875) < 1e-12 && fabs(out[4] - 1.3125 / 0.9375) < 1e-12);
    cvs_smooth(flat, 3, 0.9, out);
    assert_true(out[2] == 0.3);
}

/* A linear model on generated digits, against the public way of running it, picture by picture. */
static void counted(void **state) {
    (void)state;
    static const char net[] = "input 1x28x28\nflatten\nfc 10\nsoftmax\n";
    cvs_error err = {0};
    cvs_model *m = NULL;
    cvs_run *run = NULL;
    cvs_data *data = NULL;
    cvs_evaluation *e = NULL;
    assert_int_equal(
        cvs_model_open_memory(net, strlen(net), "x.net", &(cvs_open_options){.init = true}, &m, &err),
        CVS_OK);
    assert_int_equal(cvs_run_new(m, NULL, &run, &err), CVS_OK);
    assert_int_equal(
        cvs_data_open("generated:digits", &(cvs_data_options){.split = CVS_TEST, .limit = 100}, &data, &err),
        CVS_OK);
    assert_int_equal(cvs_evaluate(m, "generated:digits",
                                  &(cvs_evaluate_options){.limit = 100, .top = 3, .worst = 1}, &e, &err),
                     CVS_OK);
    int64_t right = 0, in_three = 0, confusion[100] = {0};
    double loss = 0, worst = 0;
    for (int i = 0; i < 100; i++) {
        cvs_tensor t = {0}, rgb = {0};
        cvs_score best[10];
        cvs_logit_kind kind;
        int label, n = 0;
        assert_int_equal(cvs_data_get(data, i, &t, &label, NULL, &err), CVS_OK);
        assert_int_equal(cvs_tensor_new(&rgb, CVS_U8, 3, (int64_t[]){28, 28, 3}, &err), CVS_OK);
        for (int k = 0; k < 784 * 3; k++) {
            ((uint8_t *)rgb.data)[k] = ((const uint8_t *)t.data)[k / 3];
        }
        assert_int_equal(cvs_run_image(run, &rgb, NULL, &err), CVS_OK);
        assert_int_equal(cvs_run_top(run, 0, 10, best, &n, &kind, &err), CVS_OK);
        for (int k = 0; k < 10; k++) {
            right += k == 0 && best[k].index == label;
            in_three += k < 3 && best[k].index == label;
            loss -= best[k].index == label ? log(best[k].probability) / 100 : 0;
            worst = best[k].index == label ? fmax(worst, -log(best[k].probability)) : worst;
        }
        confusion[label * 10 + best[0].index]++;
        cvs_tensor_free(&t);
        cvs_tensor_free(&rgb);
    }
    assert_true(e->count == 100 && e->right == right && e->right_top == in_three);
    assert_true(fabs(e->loss - loss) < 1e-5 && e->n_worst == 1 && fabs(e->worst[0].loss - worst) < 1e-4);
    assert_memory_equal(e->confusion, confusion, sizeof confusion);
    cvs_evaluation_free(e);
    assert_int_not_equal(cvs_evaluate(m, "generated:none", NULL, &e, &err), CVS_OK);
    assert_null(e);
    cvs_data_free(data);
    cvs_run_free(run);
    cvs_model_free(m);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(evaluations), cmocka_unit_test(charts),
                                       cmocka_unit_test(smoothing), cmocka_unit_test(counted)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

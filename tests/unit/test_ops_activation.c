/* SPDX-License-Identifier: MIT
 * test_ops_activation.c - activations against PyTorch 1.13 (values and slopes at ten places), gradients by finite
 * differences, the rules deconvnet and guided, integers, NaN, PRelu and Dropout.
 */
#include "op_harness.h"

enum { PLACES = 10 };
static const double places[PLACES] = {-7, -3.5, -1.25, -0.5, -0.1, 0.1, 0.7, 1.5, 3.25, 8};

typedef struct recorded {
    const char *op, *approximate;
    struct {
        const char *name;
        double value;
    } attr[2];
    double y[PLACES], slope[PLACES];
} recorded;

/* torch.nn.functional in float64; slopes by autograd. */
static const recorded table[] = {
    {"Relu", NULL, {{NULL, 0}}, {0, 0, 0, 0, 0, 0.1, 0.7, 1.5, 3.25, 8}, {0, 0, 0, 0, 0, 1, 1, 1, 1, 1}},
    {"LeakyRelu",
     NULL,
     {{"alpha", 0.2}},
     {-1.4, -0.7, -0.25, -0.1, -0.02, 0.1, 0.7, 1.5, 3.25, 8},
     {0.2, 0.2, 0.2, 0.2, 0.2, 1, 1, 1, 1, 1}},
    {"Elu",
     NULL,
     {{"alpha", 1.3}},
     {-1.29881455344, -1.26074340155, -0.927543764082, -0.511510142374, -0.123711356553, 0.1, 0.7, 1.5, 3.25,
      8},
     {0.00118544655522, 0.039256598449, 0.372456235918, 0.788489857626, 1.17628864345, 1, 1, 1, 1, 1}},
    {"Selu",
     NULL,
     {{NULL, 0}},
     {-1.75649616176, -1.70500934096, -1.25439544634, -0.691758187803, -0.167305272624, 0.105070098736,
      0.735490691149, 1.57605148103, 3.41477820891, 8.40560789884},
     {0.00160317908257, 0.0530899998901, 0.50370389451, 1.06634115304, 1.59079406822, 1.05070098736,
      1.05070098736, 1.05070098736, 1.05070098736, 1.05070098736}},
    {"Celu",
     NULL,
     {{"alpha", 0.7}},
     {-0.699968220049, -0.695283437101, -0.582625925874, -0.35732083831, -0.0931854701749, 0.1, 0.7, 1.5,
      3.25, 8},
     {4.53999228041e-05, 0.0067379465401, 0.167677246508, 0.489541661939, 0.866877912404, 1, 1, 1, 1, 1}},
    {"Sigmoid",
     NULL,
     {{NULL, 0}},
     {0.000911051194401, 0.0293122307514, 0.222700138825, 0.377540668798, 0.475020812521, 0.524979187479,
      0.668187772168, 0.817574476194, 0.962673112656, 0.99966464987},
     {0.000910221180122, 0.0284530238797, 0.173104786992, 0.235003712202, 0.249376040193, 0.249376040193,
      0.221712873293, 0.14914645207, 0.0359335908253, 0.000335237670756}},
    {"HardSigmoid",
     NULL,
     {{"alpha", 1.0 / 6}},
     {0, 0, 0.291666666667, 0.416666666667, 0.483333333333, 0.516666666667, 0.616666666667, 0.75, 1, 1},
     {0, 0, 0.166666671634, 0.166666671634, 0.166666671634, 0.166666671634, 0.166666671634, 0.166666671634, 0,
      0}},
    {"HardSwish",
     NULL,
     {{NULL, 0}},
     {-0, -0, -0.364583333333, -0.208333333333, -0.0483333333333, 0.0516666666667, 0.431666666667, 1.125,
      3.25, 8},
     {0, 0, 0.0833333333333, 0.333333333333, 0.466666666667, 0.533333333333, 0.733333333333, 1, 1, 1}},
    {"Swish",
     NULL,
     {{NULL, 0}},
     {-0.0063773583608, -0.10259280763, -0.278375173532, -0.188770334399, -0.0475020812521, 0.0524979187479,
      0.467731440518, 1.22636171429, 3.12868761613, 7.99731719896},
     {-0.00546049706645, -0.0702733528277, 0.00631915508469, 0.260038812697, 0.450083208502, 0.549916791498,
      0.823386783473, 1.0412941543, 1.07945728284, 1.00234655124}},
    {"Mish",
     NULL,
     {{NULL, 0}},
     {-0.00638026340957, -0.104095754486, -0.308413961142, -0.220743774652, -0.0567885752128, 0.0631794174915,
      0.561148377644, 1.4033782664, 3.24095617336, 7.99999820064},
     {-0.00546588686131, -0.0727604134433, -0.014697562473, 0.289510677914, 0.535702817873, 0.663336820752,
      0.9687948682, 1.08848798501, 1.01460555458, 1.00000337258}},
    {"Tanh",
     NULL,
     {{NULL, 0}},
     {-0.999998336944, -0.998177897611, -0.848283639958, -0.46211715726, -0.099667994625, 0.099667994625,
      0.604367777117, 0.905148253645, 0.996997635487, 0.99999977493},
     {3.32610934487e-06, 0.00364088472049, 0.28041486618, 0.786447732966, 0.990066290847, 0.990066290847,
      0.634739589982, 0.180706638924, 0.00599571483428, 4.50140597655e-07}},
    {"Softplus",
     NULL,
     {{NULL, 0}},
     {0.000911466453774, 0.0297504182726, 0.251929081345, 0.47407698418, 0.644396660074, 0.744396660074,
      1.10318604889, 1.70141327798, 3.28804137169, 8.00033540637},
     {0.000911051194401, 0.0293122307514, 0.222700138825, 0.377540668798, 0.475020812521, 0.524979187479,
      0.668187772168, 0.817574476194, 0.962673112656, 0.99966464987}},
    {"Softsign",
     NULL,
     {{NULL, 0}},
     {-0.875, -0.777777777778, -0.555555555556, -0.333333333333, -0.0909090909091, 0.0909090909091,
      0.411764705882, 0.6, 0.764705882353, 0.888888888889},
     {0.015625, 0.0493827160494, 0.197530864198, 0.444444444444, 0.826446280992, 0.826446280992,
      0.346020761246, 0.16, 0.0553633217993, 0.0123456790123}},
    {"ThresholdedRelu",
     NULL,
     {{"alpha", 0.6}},
     {0, 0, 0, 0, 0, 0, 0.7, 1.5, 3.25, 8},
     {0, 0, 0, 0, 0, 0, 1, 1, 1, 1}},
    {"Gelu",
     NULL,
     {{NULL, 0}},
     {-8.95866714146e-12, -0.000814201776624, -0.132062217084, -0.154268769363, -0.0460172162723,
      0.0539827837277, 0.530625443444, 1.3997891981, 3.24812466861, 8},
     {-6.26632332669e-11, -0.00282176035362, -0.122661583069, 0.132504875344, 0.420476907975, 0.579523092025,
      0.976614101134, 1.12746919223, 1.00601738114, 1}},
    {"Gelu",
     "tanh",
     {{NULL, 0}},
     {-2.33146835171e-15, -0.000616197655374, -0.13228579703, -0.154285990175, -0.0460172489546,
      0.0539827510454, 0.530570134705, 1.39957157698, 3.24843137286, 8},
     {-2.78425581909e-14, -0.00242264376012, -0.12249263225, 0.132630096465, 0.420478210728, 0.579521789272,
      0.976357218656, 1.12771079315, 1.00556434564, 1}},
    {"Shrink",
     NULL,
     {{"lambd", 0.6}},
     {-7, -3.5, -1.25, 0, 0, 0, 0.7, 1.5, 3.25, 8},
     {1, 1, 1, 0, 0, 0, 1, 1, 1, 1}},
    {"Shrink",
     NULL,
     {{"lambd", 0.6}, {"bias", 0.6}},
     {-6.4, -2.9, -0.65, 0, 0, 0, 0.1, 0.9, 2.65, 7.4},
     {1, 1, 1, 0, 0, 0, 1, 1, 1, 1}},
    {"Clip",
     NULL,
     {{NULL, 0}},
     {-1, -1, -1, -0.5, -0.1, 0.1, 0.7, 1.5, 3.25, 6},
     {0, 0, 0, 1, 1, 1, 1, 1, 1, 0}},
    {"Erf",
     NULL,
     {{NULL, 0}},
     {-1, -0.999999256902, -0.922900128256, -0.520499877813, -0.112462916018, 0.112462916018, 0.677801193837,
      0.966105146475, 0.999995697221, 1},
     {5.915962958e-22, 5.39942677738e-06, 0.236521122447, 0.878782578935, 1.11715160679, 1.11715160679,
      0.691274860411, 0.118930289224, 2.91890253836e-05, 1.80970679686e-28}},
};

static void begin(oph *h, const recorded *r, cvs_dtype type) {
    oph_begin(h, r->op);
    for (int i = 0; i < 2 && r->attr[i].name != NULL; i++) {
        oph_float(h, r->attr[i].name, r->attr[i].value);
    }
    if (r->approximate != NULL) {
        oph_string(h, "approximate", r->approximate);
    }
    oph_values(h, 0, type, 1, (int64_t[]){PLACES}, places);
    if (strcmp(r->op, "Clip") == 0) {
        oph_values(h, 1, type, 0, NULL, (double[]){-1});
        oph_values(h, 2, type, 0, NULL, (double[]){6});
    }
}

static void test_torch(void **state) {
    (void)state;
    for (int i = 0; i < CVI_COUNT(table); i++) {
        oph h;
        begin(&h, &table[i], CVS_F64);
        oph_run(&h);
        oph_expect_near(&h.output[0], table[i].y, 1e-6, 1e-15);
        cvs_tensor grad[OPH_INPUTS];
        oph_backward(&h, CVI_GRADIENT, 1, 0, grad);
        for (int k = 0; k < PLACES; k++) {
            double want = table[i].slope[k] * oph_weight(0, k), have = cvi_get(&grad[0], k);
            assert_true(fabs(have - want) <= 1e-6 * fabs(want) + 1e-15);
        }
        cvs_tensor_free(&grad[0]);
        oph_end(&h);
        begin(&h, &table[i], CVS_F32);
        oph_run(&h);
        oph_expect_near(&h.output[0], table[i].y, 2e-6, 1e-7);
        oph_end(&h);
    }
}

static void test_gradients_and_threads(void **state) {
    (void)state;
    for (int i = 0; i < CVI_COUNT(table); i++) {
        oph h;
        begin(&h, &table[i], CVS_F64);
        oph_random(&h, 0, CVS_F64, 4, (int64_t[]){2, 3, 5, 7});
        oph_range(&h, 0, -3.4, 3.9);
        oph_check_gradients_of(&h, 1);
        oph_end(&h);
        begin(&h, &table[i], CVS_F32);
        oph_random(&h, 0, CVS_F32, 4, (int64_t[]){3, 5, 41, 37});
        oph_check_threads(&h);
        oph_end(&h);
    }
}

/* R [z>0], R [R>0], R [z>0][R>0]. */
static void check_rules(const char *op, const double *limits) {
    oph h;
    oph_begin(&h, op);
    oph_random(&h, 0, CVS_F64, 4, (int64_t[]){1, 3, 6, 6});
    for (int k = 0; limits != NULL && k < 2; k++) {
        oph_values(&h, 1 + k, CVS_F64, 0, NULL, &limits[k]);
    }
    if (strcmp(op, "ThresholdedRelu") == 0) {
        oph_float(&h, "alpha", 0.25);
    }
    oph_run(&h);
    int seen[4] = {0};
    for (int rule = CVI_GRADIENT; rule < CVI_N_RULES; rule++) {
        cvs_tensor grad[OPH_INPUTS];
        oph_backward(&h, (cvi_rule)rule, 1, 0, grad);
        for (int64_t i = 0; i < cvs_tensor_count(&grad[0]); i++) {
            double g = oph_weight(0, i), x = cvi_get(&h.input[0], i);
            bool open = limits != NULL ? x >= limits[0] && x <= limits[1]
                                       : x > (strcmp(op, "ThresholdedRelu") == 0 ? 0.25 : 0);
            bool pass = (rule == CVI_DECONVNET || open) && (rule == CVI_GRADIENT || g > 0);
            seen[(open ? 1 : 0) + (g > 0 ? 2 : 0)]++;
            assert_true(cvi_get(&grad[0], i) == (pass ? g : 0));
        }
        cvs_tensor_free(&grad[0]);
    }
    assert_true(seen[0] > 0 && seen[1] > 0 && seen[2] > 0 && seen[3] > 0);
    oph_end(&h);
}

static void test_rules(void **state) {
    (void)state;
    check_rules("Relu", NULL);
    check_rules("ThresholdedRelu", NULL);
    check_rules("Clip", (double[]){0, 0.5});
}

/* No rectifier: every rule is the gradient. */
static void test_rules_elsewhere(void **state) {
    (void)state;
    static const char *const ops[] = {"Sigmoid", "LeakyRelu", "Gelu", "Clip"};
    for (int i = 0; i < CVI_COUNT(ops); i++) {
        oph h;
        oph_begin(&h, ops[i]);
        oph_random(&h, 0, CVS_F64, 2, (int64_t[]){4, 9});
        if (i == 3) {
            oph_values(&h, 1, CVS_F64, 0, NULL, (double[]){-0.5});
        }
        oph_run(&h);
        cvs_tensor a[OPH_INPUTS], b[OPH_INPUTS];
        for (int rule = CVI_DECONVNET; rule < CVI_N_RULES; rule++) {
            oph_backward(&h, CVI_GRADIENT, 1, 0, a);
            oph_backward(&h, (cvi_rule)rule, 1, 0, b);
            assert_memory_equal(a[0].data, b[0].data, a[0].bytes);
            cvs_tensor_free(&a[0]);
            cvs_tensor_free(&b[0]);
        }
        oph_end(&h);
    }
}

static void test_nan(void **state) {
    (void)state;
    static const char *const ops[] = {"Relu",      "LeakyRelu", "Clip",   "HardSigmoid",
                                      "HardSwish", "Sigmoid",   "Shrink", "ThresholdedRelu"};
    for (int i = 0; i < CVI_COUNT(ops); i++) {
        oph h;
        oph_begin(&h, ops[i]);
        oph_values(&h, 0, CVS_F32, 1, (int64_t[]){1}, (double[]){(double)NAN});
        oph_run(&h);
        oph_expect_near(&h.output[0], (double[]){(double)NAN}, 0, 0);
        oph_end(&h);
    }
}

static void test_integers(void **state) {
    (void)state;
    oph h;
    int64_t big = ((int64_t)1 << 62) + 1; /* not a double */
    oph_begin(&h, "Relu");
    cvs_tensor *t = oph_input(&h, 0, CVS_I64, 1, (int64_t[]){3});
    memcpy(t->data, (int64_t[]){-big, big, 7}, 24);
    oph_run(&h);
    assert_memory_equal(h.output[0].data, ((int64_t[]){0, big, 7}), 24);
    oph_end(&h);
    oph_begin(&h, "Clip");
    oph_values(&h, 0, CVS_I8, 1, (int64_t[]){4}, (double[]){-100, -3, 5, 100});
    oph_values(&h, 1, CVS_I8, 0, NULL, (double[]){-5});
    oph_values(&h, 2, CVS_I8, 0, NULL, (double[]){6});
    oph_run(&h);
    oph_expect_near(&h.output[0], (double[]){-5, -3, 5, 6}, 0, 0);
    oph_values(&h, 1, CVS_F32, 0, NULL, (double[]){-5});
    oph_expect_error(&h, CVS_E_SHAPE, "input min holds float32, the numbers to limit are int8");
    oph_end(&h);
    oph_begin(&h, "Sigmoid");
    oph_random(&h, 0, CVS_I32, 1, (int64_t[]){4});
    oph_expect_error(&h, CVS_E_UNSUPPORTED, "floating-point numbers, it holds int32");
    oph_end(&h);
}

static void test_crossed_limits(void **state) {
    (void)state;
    oph h;
    oph_begin(&h, "Clip");
    oph_values(&h, 0, CVS_F64, 1, (int64_t[]){3}, (double[]){-2, 0, 6});
    oph_values(&h, 1, CVS_F64, 0, NULL, (double[]){2});
    oph_values(&h, 2, CVS_F64, 0, NULL, (double[]){1});
    oph_run(&h);
    oph_expect_near(&h.output[0], (double[]){1, 1, 1}, 0, 0);
    oph_check_gradients(&h);
    oph_values(&h, 1, CVS_F64, 0, NULL, (double[]){-1});
    oph_check_gradients(&h);
    oph_end(&h);
}

static void test_prelu(void **state) {
    (void)state;
    static const struct {
        int rank;
        int64_t dim[4];
    } slopes[] = {{0, {0}}, {1, {1}},          {3, {3, 1, 1}},   {4, {2, 1, 4, 1}},
                  {1, {5}}, {4, {2, 3, 4, 5}}, {4, {1, 3, 1, 5}}};
    for (int i = 0; i < CVI_COUNT(slopes); i++) {
        oph h;
        oph_begin(&h, "PRelu");
        oph_random(&h, 0, CVS_F64, 4, (int64_t[]){2, 3, 4, 5});
        oph_random(&h, 1, CVS_F64, slopes[i].rank, slopes[i].dim);
        oph_run(&h);
        for (int64_t k = 0; k < 120; k++) {
            int64_t place[4] = {k / 60, k / 20 % 3, k / 5 % 4, k % 5}, at = 0;
            for (int a = 0; a < slopes[i].rank; a++) {
                int64_t size = slopes[i].dim[a];
                at = at * size + (size == 1 ? 0 : place[4 - slopes[i].rank + a]);
            }
            double x = cvi_get(&h.input[0], k);
            assert_true(cvi_get(&h.output[0], k) == (x < 0 ? x * cvi_get(&h.input[1], at) : x));
        }
        oph_check_gradients(&h);
        oph_check_threads(&h);
        oph_end(&h);
    }
    oph h;
    oph_begin(&h, "PRelu");
    oph_random(&h, 0, CVS_F64, 4, (int64_t[]){2, 3, 4, 5});
    oph_random(&h, 1, CVS_F64, 1, (int64_t[]){3});
    oph_expect_error(&h, CVS_E_SHAPE, "slopes of shape 3 cannot be broadcast to 2x3x4x5");
    oph_end(&h);
}

static void test_dropout(void **state) {
    (void)state;
    oph h;
    oph_begin(&h, "Dropout");
    h.node.n_out = 2;
    oph_random(&h, 0, CVS_F64, 2, (int64_t[]){100, 100});
    oph_run(&h); /* inference: the identity, everything kept */
    assert_memory_equal(h.output[0].data, h.input[0].data, h.input[0].bytes);
    assert_true(((bool *)h.output[1].data)[77]);
    oph_values(&h, 1, CVS_F64, 0, NULL, (double[]){0.3});
    h.ctx.training = true;
    h.ctx.seed = 5;
    oph_check_threads(&h);
    int64_t kept = 0;
    for (int64_t i = 0; i < 10000; i++) {
        bool keep = ((bool *)h.output[1].data)[i];
        kept += keep;
        assert_true(fabs(cvi_get(&h.output[0], i) - (keep ? cvi_get(&h.input[0], i) / 0.7 : 0)) < 1e-12);
    }
    assert_true(kept > 6800 && kept < 7200); /* 7000 +- 4 standard deviations */
    oph_check_gradients_of(&h, 1);
    oph_values(&h, 2, CVS_BOOL, 0, NULL, (double[]){0}); /* the input says no, whatever the engine does */
    oph_run(&h);
    assert_memory_equal(h.output[0].data, h.input[0].data, h.input[0].bytes);
    oph_values(&h, 2, CVS_BOOL, 0, NULL, (double[]){1});
    oph_values(&h, 1, CVS_F64, 0, NULL, (double[]){1});
    assert_int_equal(oph_try(&h, false), CVS_E_ARGUMENT);
    oph_end(&h);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_torch),
        cmocka_unit_test(test_gradients_and_threads),
        cmocka_unit_test(test_rules),
        cmocka_unit_test(test_rules_elsewhere),
        cmocka_unit_test(test_nan),
        cmocka_unit_test(test_integers),
        cmocka_unit_test(test_crossed_limits),
        cmocka_unit_test(test_prelu),
        cmocka_unit_test(test_dropout),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

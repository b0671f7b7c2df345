/* SPDX-License-Identifier: MIT
 * test_ops_norm.c - normalisations and ConvTranspose against values and gradients recorded from PyTorch 1.13, then gradients by
 * finite differences on more shapes, threads, and wrong input.
 */
#include "op_harness.h"

/* Input k is sin(0.37 i (k+1) + k), the target's weights cos(0.23 i): the recording used the same. */
static void waves(oph *h, int k, cvs_dtype type, int rank, const int64_t *dim) {
    cvs_tensor *t = oph_input(h, k, type, rank, dim);
    for (int64_t i = 0; i < cvs_tensor_count(t); i++) {
        cvi_put(t, i, sin(0.37 * (double)i * (k + 1) + k));
    }
}

static void waves_back(oph *h, cvs_tensor *grad) {
    cvs_tensor g;
    const cvs_tensor *grad_out[OPH_OUTPUTS] = {&g};
    cvs_tensor *grad_in[OPH_INPUTS] = {NULL};
    assert_int_equal(cvs_tensor_new(&g, CVS_F64, h->output[0].rank, h->output[0].dim, NULL), CVS_OK);
    for (int64_t i = 0; i < cvs_tensor_count(&g); i++) {
        cvi_put(&g, i, cos(0.23 * (double)i));
    }
    for (int k = 0; k < h->node.n_in; k++) {
        assert_int_equal(cvs_tensor_new(&grad[k], CVS_F64, h->in[k]->rank, h->in[k]->dim, NULL), CVS_OK);
        grad_in[k] = &grad[k];
    }
    assert_int_equal(h->node.def->backward(&h->ctx, CVI_GRADIENT, grad_out, grad_in), CVS_OK);
    cvi_arena_reset(h->scratch);
    cvs_tensor_free(&g);
}

typedef struct shape {
    int rank;
    int64_t dim[4];
} shape;

typedef struct recorded {
    const char *op;
    void (*attrs)(oph *h);
    shape in[3];
    double numbers[4][32]; /* the output, then the gradient of each input */
} recorded;

static void epsilon(oph *h) {
    oph_float(h, "epsilon", 1e-3);
}
static void two_groups(oph *h) {
    epsilon(h);
    oph_int(h, "num_groups", 2);
}
static void first_axis(oph *h) {
    epsilon(h);
    oph_int(h, "axis", 1);
}
static void three_channels(oph *h) {
    oph_int(h, "size", 3);
    oph_float(h, "alpha", 0.5);
    oph_float(h, "beta", 0.6);
    oph_float(h, "bias", 1.2);
}
static void up(oph *h) {
    static const int64_t two[] = {2, 2}, pads[] = {1, 1, 1, 1}, extra[] = {1, 0}, dilation[] = {2, 1};
    oph_ints(h, "strides", 2, two);
    oph_ints(h, "pads", 4, pads);
    oph_ints(h, "output_padding", 2, extra);
    oph_ints(h, "dilations", 2, dilation);
    oph_int(h, "group", 2);
}

static const recorded table[] = {
    {"InstanceNormalization",
     epsilon,
     {{4, {2, 2, 2, 3}}, {1, {2}}, {1, {2}}},
     {{-0.5945392674, 0.2445109564,  0.9699996686, 1.483735375,   1.716186359,  1.635891469,
       1.430065289,   0.9532729367,  0.3523895677, -0.2912580728, -0.890555296, -1.364390034,
       0.1759542895,  0.1019885872,  0.3383187413, 0.8529585739,  1.576253998,  2.410310371,
       -1.862208567,  -0.4394251311, 0.5632068244, 1.009985768,   0.8404422644, 0.07752323263},
      {-0.1929277376, 0.1437553663,   0.3076153979,   0.2615854838,   -0.01204689512, -0.5079816153,
       0.07535092438, -0.03087123641, -0.05692900084, -0.03209797481, 0.009484877837, 0.03506240985,
       0.1309987251,  0.009761118852, -0.06720487847, -0.09108133233, -0.05023574071, 0.06776210752,
       -0.2005821248, -0.9768202744,  -1.165166397,   -0.6556528215,  0.5694677995,   2.428753819},
      {-0.4971792534, 3.647441808},
      {-0.7886228537, -2.064769683}}},
    {"GroupNormalization",
     two_groups,
     {{4, {1, 4, 2, 2}}, {1, {4}}, {1, {4}}},
     {{-0.7933980553, 0.1521615215, 0.9697440454, 1.548693557, 1.08745559, 0.9814563117, 0.4769399442,
       -0.3578095892, 0.3627909095, -0.2181529266, -0.7590669391, -1.186740954, -0.7436035426, -0.7371392785,
       -0.7577934533, -0.8027706216},
      {0.3773637398, 0.6425007488, 0.7283443675, 0.606496839, 0.5380223736, -0.09838267677, -0.9208526819,
       -1.87349271, 0.3732975679, -0.1730458598, -0.665079431, -1.060694911, 0.3261280947, 0.3199395534,
       0.3802936099, 0.4991613757},
      {-2.249154448, 1.143728039, -0.780478164, 2.718520124},
      {3.640964908, 1.164754797, -2.22970104, -3.866350464}}},
    {"LayerNormalization",
     first_axis,
     {{3, {2, 3, 2}}, {2, {3, 2}}, {2, {3, 2}}},
     {{-0.5945392674, -0.7471593267, -0.8368861438, -0.8687348881, -0.543882267, 0.09073772828, 2.10312483,
       0.9532729367, -0.6812580093, -0.7896103279, 0.8391441576, 2.370245543},
      {-0.8389121461, 0.8805192952, 0.9567324517, 0.1252364861, -0.5417614784, -0.5818146085, 0.5238165518,
       -0.04113816737, -0.5312113993, -0.4623749178, 0.06650906187, 0.4443988709},
      {-1.518101392, -0.8058722374, -0.02191824978, 0.6832920651, 1.204225521, 1.512214608},
      {1.189640831, 0.9344727632, 0.6300886219, 0.2925194708, -0.06045586464, -0.4102471584}}},
    {"LRN",
     three_channels,
     {{4, {1, 5, 2, 1}}, {-1, {0}}, {-1, {0}}},
     {{0, 0.3012908215, 0.5415438637, 0.699615501, 0.7665533847, 0.7437704609, 0.6304984854, 0.4272148078,
       0.1535004573, -0.1636976858},
      {0.8640424198, 0.7697356601, 0.6337527528, 0.4641131748, 0.3233189019, 0.2115386865, 0.09433420809,
       -0.05803060235, -0.2278602905, -0.4165133289}}},
    {"ConvTranspose",
     up,
     {{4, {1, 4, 2, 3}}, {4, {4, 1, 2, 2}}, {1, {2}}},
     {{0.9092974268,  0.9092974268, 0.9092974268,  0.9092974268,  1.897437015,   1.96494259,    2.338449719,
       2.582118186,   0.9092974268, 0.9092974268,  0.9092974268,  0.9092974268,  0.8584317868,  1.916804286,
       0.885867375,   2.097790426,  0.03158739844, 0.03158739844, 0.03158739844, 0.03158739844, -1.988157634,
       -2.086684741,  -1.794561478, -1.915304687,  0.03158739844, 0.03158739844, 0.03158739844, 0.03158739844,
       -0.6044944998, -1.16838325,  -0.4995995479, -0.7029761848},
      {-0.04745209569, 0.2361101646,  -0.02407955843, 0.6698617296,  0.001420820696, -0.6183672873,
       -0.06240086875, -0.324577734,  0.02926844861,  -0.510180042,  0.3530412707,   0.740145326,
       -0.03150862011, 0.1959831457,  0.4666315843,   0.1674480561,  1.424668938,    0.8907495087,
       0.05042909938,  -0.2628077984, -0.5101659153,  -0.3397950054, -1.600582966,   -0.8589398037},
      {0.3691289513, 0.7314919893, -1.779092857, -1.755517674, -0.1850503703, -0.2139454486, 1.493637087,
       1.283987025, -0.03796451914, -0.04596113905, -0.9286805921, -1.181830918, 0.5452574258, 0.2150563578,
       1.983799953, 1.956973999},
      {-1.2903318, 5.36442615}}},
};

static void test_torch(void **state) {
    (void)state;
    for (int t = 0; t < CVI_COUNT(table); t++) {
        oph h;
        cvs_tensor grad[OPH_INPUTS];
        oph_begin(&h, table[t].op);
        table[t].attrs(&h);
        for (int k = 0; k < 3 && table[t].in[k].rank >= 0; k++) {
            waves(&h, k, CVS_F64, table[t].in[k].rank, table[t].in[k].dim);
        }
        oph_run(&h);
        oph_expect_near(&h.output[0], table[t].numbers[0], 1e-8, 1e-9);
        waves_back(&h, grad);
        for (int k = 0; k < h.node.n_in; k++) {
            oph_expect_near(&grad[k], table[t].numbers[1 + k], 1e-8, 1e-9);
            cvs_tensor_free(&grad[k]);
        }
        oph_end(&h);
    }
}

/* The output and the gradients of x, scale, B and, at inference, of the running mean and variance. */
static const double bn_training[][12] = {
    {-0.3752566772, 0.7232720245, 1.67312002, 0.9151884759, 1.046683557, 1.001261581, 2.044579305, 1.21670456,
     0.1733653289, -0.5063051329, -0.9559113296, -1.311392761},
    {1.29223946, 1.512520853, 1.536379784, 0.3137167429, -0.01317762745, -0.234273497, -0.5080466745,
     -1.429504824, -2.403588599, -0.1403822224, -0.01125188665, 0.08536849057},
    {-0.4542959904, 3.76124743},
    {2.754202216, -0.1781835522}};
static const double bn_inference[][12] = {
    {0.7082909127, 1.0717262, 1.385972226, 0.8920707897, 0.9786482705, 0.9487420546, 1.508865157, 1.234972545,
     0.8897960441, -0.04385270127, -0.339877248, -0.5739292479},
    {1.005032571, 0.97856644, 0.9005619451, 0.6665112609, 0.5235501366, 0.3530150873, 0.1905952122,
     -0.0393908765, -0.2673023576, -0.4137157617, -0.5757961305, -0.7075509235},
    {0.5827834498, 2.426055773},
    {2.754202216, -0.1781835522},
    {-2.768062934, 0.1539863309},
    {-0.3497827129, -0.9190659894}};
static const double torch_running[2][2] = {{0.2445703141803568, -0.03549809511447424},
                                           {0.5781745295163555, 1.1751165920167739}};

static void begin_bn(oph *h, bool training) {
    oph_begin(h, "BatchNormalization");
    epsilon(h);
    oph_float(h, "momentum", 0.8);
    oph_int(h, "training_mode", training);
    waves(h, 0, CVS_F64, 3, (int64_t[]){2, 2, 3});
    waves(h, 1, CVS_F64, 1, (int64_t[]){2});
    waves(h, 2, CVS_F64, 1, (int64_t[]){2});
    oph_values(h, 3, CVS_F64, 1, (int64_t[]){2}, (double[]){0.2, -0.1});
    oph_values(h, 4, CVS_F64, 1, (int64_t[]){2}, (double[]){0.7, 1.3});
}

static void test_batch_norm(void **state) {
    (void)state;
    for (int training = 0; training < 2; training++) {
        oph h;
        cvs_tensor grad[OPH_INPUTS];
        begin_bn(&h, training);
        h.node.n_out = training ? 3 : 1;
        oph_run(&h);
        const double(*want)[12] = training ? bn_training : bn_inference;
        oph_expect_near(&h.output[0], want[0], 1e-8, 1e-9);
        waves_back(&h, grad);
        for (int k = 0; k < 5; k++) {
            if (k < (training ? 3 : 5)) {
                oph_expect_near(&grad[k], want[1 + k], 1e-8, 1e-9);
            }
            cvs_tensor_free(&grad[k]);
        }
        if (training) { /* ONNX keeps the variance divided by n where PyTorch divides by n - 1; n is 6 here */
            double variance[2];
            for (int c = 0; c < 2; c++) {
                double old = cvi_get(&h.input[4], c) * 0.8;
                variance[c] = old + (torch_running[1][c] - old) * 5 / 6;
            }
            oph_expect_near(&h.output[1], torch_running[0], 1e-8, 0);
            oph_expect_near(&h.output[2], variance, 1e-8, 0);
        }
        h.node.n_out = 1;
        oph_check_gradients_of(&h, training ? 7 : 31);
        oph_check_threads(&h);
        oph_end(&h);
    }
    oph h; /* training asked by the engine, not the file: the same numbers */
    begin_bn(&h, false);
    h.ctx.training = true;
    oph_run(&h);
    oph_expect_near(&h.output[0], bn_training[0], 1e-8, 1e-9);
    oph_random(&h, 1, CVS_F64, 1, (int64_t[]){3});
    oph_expect_error(&h, CVS_E_SHAPE, "input scale must be a vector of 2 numbers, its shape is 3");
    oph_end(&h);
}

static void test_group_gradients(void **state) {
    (void)state;
    for (int t = 0; t < 7; t++) {
        static const char *const ops[] = {"InstanceNormalization", "GroupNormalization", "GroupNormalization",
                                          "LayerNormalization",    "LayerNormalization", "LayerNormalization",
                                          "LayerNormalization"};
        oph h;
        oph_begin(&h, ops[t]);
        oph_random(&h, 0, CVS_F64, 4, (int64_t[]){2, 6, 3, 4});
        if (t < 3) {
            oph_int(&h, "num_groups", t == 1 ? 3 : 1);
            oph_random(&h, 1, CVS_F64, 1, (int64_t[]){6});
            oph_random(&h, 2, CVS_F64, 1, (int64_t[]){6});
        } else if (t == 6) { /* no shift, one scale for all */
            oph_int(&h, "axis", 2);
            oph_random(&h, 1, CVS_F64, 1, (int64_t[]){1});
        } else { /* the statistics are outputs too, and have gradients */
            int axis = t - 3 + 1;
            oph_int(&h, "axis", axis);
            h.node.n_out = 3;
            oph_random(&h, 1, CVS_F64, 4 - axis, (int64_t[]){6, 3, 4} + axis - 1);
            oph_random(&h, 2, CVS_F64, 4 - axis, (int64_t[]){6, 3, 4} + axis - 1);
        }
        oph_check_gradients(&h);
        oph_check_threads(&h);
        oph_end(&h);
    }
}

static void test_layer_statistics(void **state) {
    (void)state;
    oph h;
    oph_begin(&h, "LayerNormalization");
    h.node.n_out = 3;
    oph_random(&h, 0, CVS_F32, 3, (int64_t[]){2, 3, 5});
    oph_random(&h, 1, CVS_F32, 1, (int64_t[]){5});
    oph_run(&h);
    oph_expect_shape(&h, 1, 3, (int64_t[]){2, 3, 1});
    for (int64_t r = 0; r < 6; r++) {
        double mean = 0, square = 0;
        for (int64_t i = 0; i < 5; i++) {
            mean += cvi_get(&h.input[0], r * 5 + i) / 5;
            square += pow(cvi_get(&h.input[0], r * 5 + i), 2) / 5;
        }
        assert_true(fabs(cvi_get(&h.output[1], r) - mean) < 1e-6);
        assert_true(fabs(cvi_get(&h.output[2], r) - 1 / sqrt(square - mean * mean + 1e-5)) < 1e-4);
    }
    oph_random(&h, 1, CVS_F32, 1, (int64_t[]){3});
    oph_expect_error(&h, CVS_E_SHAPE, "input Scale has shape 3, the normalised axes have 5");
    oph_end(&h);
}

static void test_local(void **state) {
    (void)state;
    /* Even sizes look one further ahead; more than all channels too. */
    for (int64_t size = 1; size <= 9; size++) {
        oph h;
        oph_begin(&h, "LRN");
        oph_int(&h, "size", size);
        oph_float(&h, "alpha", 0.3);
        oph_random(&h, 0, CVS_F64, 4, (int64_t[]){2, 5, 2, 3});
        oph_run(&h);
        for (int64_t i = 0; i < 60; i++) {
            int64_t c = i / 6 % 5;
            double sum = 0;
            for (int64_t k = CVI_MAX(0, c - (size - 1) / 2); k <= CVI_MIN(4, c + size / 2); k++) {
                sum += pow(cvi_get(&h.input[0], i + (k - c) * 6), 2);
            }
            double want = cvi_get(&h.input[0], i) / pow(1 + 0.3 / (double)size * sum, 0.75);
            assert_true(fabs(cvi_get(&h.output[0], i) - want) < 1e-12);
        }
        oph_check_gradients(&h);
        oph_check_threads(&h);
        oph_end(&h);
    }
    for (int t = 0; t < 8; t++) {
        int64_t axis = t / 2 - 1, p = t % 2 + 1;
        oph h;
        oph_begin(&h, "LpNormalization");
        oph_int(&h, "axis", axis);
        oph_int(&h, "p", p);
        oph_random(&h, 0, CVS_F64, 3, (int64_t[]){3, 4, 5});
        oph_run(&h);
        int64_t step = axis == 0 ? 20 : axis == 1 ? 5 : 1, length = axis == 0 ? 3 : axis == 1 ? 4 : 5;
        for (int64_t line = 0; line < 60 / length; line++) {
            double sum = 0;
            for (int64_t k = 0; k < length; k++) {
                sum += pow(fabs(cvi_get(&h.output[0], line / step * step * length + line % step + k * step)),
                           (double)p);
            }
            assert_true(fabs(sum - 1) < 1e-12);
        }
        oph_check_gradients(&h);
        oph_end(&h);
    }
    oph h;
    oph_begin(&h, "LpNormalization");
    oph_values(&h, 0, CVS_F32, 2, (int64_t[]){2, 2}, (double[]){0, 0, 3, -4});
    oph_run(&h);
    oph_expect_near(&h.output[0], (double[]){0, 0, 0.6, -0.8}, 1e-6, 0);
    oph_end(&h);
}

static void test_mean_variance(void **state) {
    (void)state;
    static const int64_t axes[][3] = {{0, 2, 3}, {1}, {-1, 0}, {1, 2, 3}};
    static const int counts[] = {0, 1, 2, 3}; /* the first case relies on the default */
    for (int t = 0; t < 4; t++) {
        oph h;
        oph_begin(&h, "MeanVarianceNormalization");
        if (counts[t] > 0) {
            oph_ints(&h, "axes", counts[t], axes[t]);
        }
        oph_random(&h, 0, CVS_F64, 4, (int64_t[]){2, 3, 4, 5});
        oph_run(&h);
        double sum[120] = {0}, squares[120] = {0}, count[120] = {0};
        for (int64_t i = 0; i < 120; i++) {
            int64_t place[4] = {i / 60, i / 20 % 3, i / 5 % 4, i % 5}, set;
            for (int a = 0; a < (t == 0 ? 3 : counts[t]); a++) {
                place[(axes[t][a] + 4) % 4] = 0;
            }
            set = ((place[0] * 3 + place[1]) * 4 + place[2]) * 5 + place[3];
            sum[set] += cvi_get(&h.output[0], i);
            squares[set] += pow(cvi_get(&h.output[0], i), 2);
            count[set]++;
        }
        for (int s = 0; s < 120; s++) {
            assert_true(count[s] == 0 || (fabs(sum[s]) < 1e-9 && fabs(squares[s] / count[s] - 1) < 1e-6));
        }
        oph_check_gradients(&h);
        oph_check_threads(&h);
        oph_end(&h);
    }
}

/* Sizes by the ONNX formulas, and conv(x).y = x.transposed(y). */
static void test_transposed(void **state) {
    (void)state;
    static const struct {
        const char *pad;
        int64_t in, stride, extra, shape, want;
    } sizes[] = {{NULL, 5, 2, 0, 0, 11}, {NULL, 5, 2, 1, 0, 12},         {"SAME_UPPER", 5, 2, 0, 0, 10},
                 {NULL, 5, 2, 0, 9, 9},  {"SAME_LOWER", 4, 3, 0, 0, 12}, {"VALID", 3, 1, 0, 0, 5},
                 {NULL, 3, 3, 0, 14, 14}};
    for (int t = 0; t < CVI_COUNT(sizes); t++) {
        oph h;
        oph_begin(&h, "ConvTranspose");
        if (sizes[t].pad != NULL) {
            oph_string(&h, "auto_pad", sizes[t].pad);
        }
        oph_ints(&h, "strides", 1, &sizes[t].stride);
        oph_ints(&h, "output_padding", 1, &sizes[t].extra);
        if (sizes[t].shape > 0) {
            oph_ints(&h, "output_shape", 1, &sizes[t].shape);
        }
        oph_random(&h, 0, CVS_F64, 3, (int64_t[]){2, 4, sizes[t].in});
        oph_random(&h, 1, CVS_F64, 3, (int64_t[]){4, 3, 3});
        oph_random(&h, 2, CVS_F64, 1, (int64_t[]){3});
        oph_run(&h);
        oph_expect_shape(&h, 0, 3, (int64_t[]){2, 3, sizes[t].want});
        oph_check_gradients(&h);
        oph_check_threads(&h);
        oph_end(&h);
    }
    oph a, b;
    static const int64_t pads[] = {1, 0, 2, 1}, strides[] = {2, 1};
    oph_begin(&a, "Conv");
    oph_begin(&b, "ConvTranspose");
    oph_ints(&a, "pads", 4, pads);
    oph_ints(&b, "pads", 4, pads);
    oph_ints(&a, "strides", 2, strides);
    oph_ints(&b, "strides", 2, strides);
    oph_random(&a, 0, CVS_F64, 4, (int64_t[]){1, 3, 6, 5});
    oph_random(&a, 1, CVS_F64, 4, (int64_t[]){4, 3, 3, 2});
    oph_run(&a);
    oph_random(&b, 0, CVS_F64, 4, a.output[0].dim);
    oph_random(&b, 1, CVS_F64, 4, (int64_t[]){4, 3, 3, 2});
    memcpy(b.input[1].data, a.input[1].data, a.input[1].bytes);
    oph_run(&b);
    oph_expect_shape(&b, 0, 4, a.input[0].dim);
    double left = 0, right = 0;
    for (int64_t i = 0; i < cvs_tensor_count(&a.output[0]); i++) {
        left += cvi_get(&a.output[0], i) * cvi_get(&b.input[0], i);
    }
    for (int64_t i = 0; i < cvs_tensor_count(&a.input[0]); i++) {
        right += cvi_get(&a.input[0], i) * cvi_get(&b.output[0], i);
    }
    assert_true(fabs(left - right) < 1e-12 * (1 + fabs(left)));
    oph_random(&b, 1, CVS_F64, 4, (int64_t[]){5, 3, 3, 2});
    oph_expect_error(&b, CVS_E_SHAPE, "the kernel takes 5 channels, the input has 4");
    oph_end(&a);
    oph_end(&b);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_torch),           cmocka_unit_test(test_batch_norm),
        cmocka_unit_test(test_group_gradients), cmocka_unit_test(test_layer_statistics),
        cmocka_unit_test(test_local),           cmocka_unit_test(test_mean_variance),
        cmocka_unit_test(test_transposed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT
 * test_kernels_winograd.c - how far Winograd's 3x3 convolution is from the exact result (float64, straight from the
 * formula), beside the direct kernel: on random weights and on the weights of real networks. The bounds here are the
 * ones that docs/kernels.md promises; the table printed is the one it shows.
 */
#include "kernel_twins.h"

#include "convscope/convscope.h"
#include "graph/graph.h"
#include "test_helpers.h"

enum { SIDE = 14, MOST_LAYERS = 40 };

/* Largest error of one layer on a 14x14 map, as a share of the largest |y|; [direct, F(2x2), F(4x4)]. */
static void layer_errors(int64_t C, int64_t K, const float *weights, uint64_t seed, double error[3]) {
    static const cvi_conv_algorithm algorithms[3] = {CVI_CONV_DIRECT, CVI_CONV_WINOGRAD2, CVI_CONV_WINOGRAD4};
    cvi_conv_shape s = {1, C, SIDE, SIDE, K, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1, SIDE, SIDE};
    float *x = random_floats(seed, 5, C * SIDE * SIDE);
    for (int64_t i = 0; i < C * SIDE * SIDE; i++) { /* as after a ReLU: half of them 0, the rest up to 4 */
        x[i] = x[i] > 0 ? 4 * x[i] : 0;
    }
    double *want = calloc((size_t)(K * SIDE * SIDE), sizeof *want),
           *size = calloc((size_t)(K * SIDE * SIDE), sizeof *size), largest = 0;
    twin_conv(&s, x, weights, want, size);
    for (int64_t i = 0; i < K * SIDE * SIDE; i++) {
        largest = fmax(largest, fabs(want[i]));
    }
    float *x8 = to_nhwc8(x, 1, C, SIDE * SIDE), *y = new_floats(SIDE * SIDE * CVI_PITCH(K));
    for (int a = 0; a < 3; a++) {
        cvi_conv_options options = {.algorithm = algorithms[a]};
        cvi_conv_plan *plan = NULL;
        assert_int_equal(cvi_conv_plan_new(&s, CVI_CONV_FORWARD, &options, &plan, NULL), CVS_OK);
        assert_int_equal(cvi_conv_plan_algorithm(plan), algorithms[a]);
        assert_int_equal(cvi_conv_pack(plan, NULL, weights, NULL), CVS_OK);
        void *scratch = cvi_malloc((size_t)cvi_conv_scratch_bytes(plan, 1) + 1);
        cvi_conv_io io = {.in = x8, .out = y, .scratch = scratch};
        cvi_conv_run(plan, NULL, &io);
        error[a] = 0;
        for (int64_t i = 0; i < K * SIDE * SIDE; i++) {
            double got = (double)y[i % (SIDE * SIDE) * CVI_PITCH(K) + i / (SIDE * SIDE)];
            assert_false(isnan(got));
            error[a] = fmax(error[a], fabs(got - want[i]) / fmax(largest, 1e-30));
        }
        cvi_free(scratch);
        cvi_conv_plan_free(plan);
    }
    void *all[] = {x, x8, y, want, size};
    for (int i = 0; i < CVI_COUNT(all); i++) {
        free(all[i]);
    }
}

/* What docs/kernels.md says: relative to the largest output of the layer. */
static const double bounds[3] = {3e-6, 3e-6, 2e-5};

static void check_layer(const char *name, int64_t C, int64_t K, const float *weights, uint64_t seed,
                        double worst[3]) {
    double error[3];
    layer_errors(C, K, weights, seed, error);
    for (int a = 0; a < 3; a++) {
        worst[a] = fmax(worst[a], error[a]);
        if (error[a] > bounds[a]) {
            fail_msg("%s, %lld -> %lld: error %g of the largest output, more than %g (algorithm %d)", name,
                     (long long)C, (long long)K, error[a], bounds[a], a);
        }
    }
}

static void print_worst(const char *name, int layers, const double worst[3]) {
    print_message("  %-34s %2d layers: direct %.1e  F(2x2) %.1e  F(4x4) %.1e\n", name, layers, worst[0],
                  worst[1], worst[2]);
}

static void random_weights(void **state) {
    (void)state;
    static const int64_t sizes[][2] = {{8, 16}, {16, 64}, {64, 64}, {128, 128}, {256, 64}, {512, 32}};
    unsetenv("CONVSCOPE_CPU");
    double worst[3] = {0};
    for (int i = 0; i < CVI_COUNT(sizes); i++) {
        float *w = random_floats((uint64_t)i, 9, sizes[i][0] * sizes[i][1] * 9);
        check_layer("random", sizes[i][0], sizes[i][1], w, (uint64_t)i, worst);
        free(w);
    }
    print_worst("random weights", CVI_COUNT(sizes), worst);
}

/* The first MOST_LAYERS dense 3x3 convolutions of stride 1 of a model file. At most 64 of a layer's filters: the
 * twin is slow, and every filter is a sample. */
static void check_model(const char *name, const char *relative) {
    char path[600];
    if (!test_shared(path, sizeof path, relative)) {
        print_message("[  SKIPPED ] %s is not there\n", relative);
        return;
    }
    cvs_model *model = NULL;
    test_ok(cvs_model_open, path, NULL, &model);
    const cvi_graph *g = model->graph;
    double worst[3] = {0};
    int layers = 0;
    for (int i = 0; i < g->n_nodes && layers < MOST_LAYERS; i++) {
        const cvi_node *node = &g->nodes[i];
        if (strcmp(node->op, "Conv") != 0 || node->n_in < 2 || node->in[1] < 0) {
            continue;
        }
        const cvs_tensor *w = g->values[node->in[1]].constant;
        int64_t strides[2], dilations[2];
        cvi_node_ints(node, "strides", strides, 2, 1);
        cvi_node_ints(node, "dilations", dilations, 2, 1);
        if (w == NULL || w->data == NULL || w->dtype != CVS_F32 || w->rank != 4 || w->dim[2] != 3 ||
            w->dim[3] != 3 || w->dim[1] < 8 || strides[0] * strides[1] * dilations[0] * dilations[1] != 1 ||
            cvi_node_int(node, "group", 1) != 1) {
            continue;
        }
        check_layer(node->layer, w->dim[1], CVI_MIN(64, w->dim[0]), w->data, (uint64_t)i, worst);
        layers++;
    }
    print_worst(name, layers, worst);
    assert_true(layers > 0);
    cvs_model_free(model);
}

static void real_weights(void **state) {
    (void)state;
    unsetenv("CONVSCOPE_CPU");
    check_model("SqueezeNet 1.1 (half floats widened)",
                "data/models/onnx/squeezenet-fp16/SqueezeNet_fp16.onnx");
    check_model("super-resolution", "data/models/onnx/super-resolution/super_resolution.onnx");
    check_model("face detector slim-320",
                "data/models/onnx/slim-320/version-slim-320_without_postprocessing.onnx");
    check_model("Tiny VGG", "data/models/converted-tiny-vgg/tiny_vgg_opset13.onnx");
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(random_weights), cmocka_unit_test(real_weights)};
    return cmocka_run_group_tests_name("kernels_winograd", tests, NULL, NULL);
}

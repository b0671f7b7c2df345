/* SPDX-License-Identifier: MIT
 * test_train_layers.c - ten steps of networks made of the rarer layers (group and layer normalisation, ELU, SELU, SiLU, Mish, GELU, leaky,
 * hard swish, softplus, tanh, transposed and grouped convolution, average pools) against PyTorch's numbers
 * (tools/make_layer_fixtures.py); and what spatial dropout drops.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "convscope/model.h"
#include "test_helpers.h"
#include "train/trainer.h"

static const struct {
    const char *name, *text;
} nets[] = {
    {"a",
     "input 2x6x6\nconv 4 k3\ngn 2\nsilu\nconv 4 k3\nln\nelu\nconv 4 k3\nleaky 0.1\nconv 4 k3\ngelu\nfc 3\n"},
    {"b",
     "input 2x6x6\nconv 4 k3 s2 p1\nselu\nconv 8 k3 g2\nmish\ndeconv 4 k2 s2\nhswish\nconv 4 k3\nsoftplus\n"
     "avgpool k2\nconv 4 k1\ntanh\nmaxpool k3\nfc 3\n"}};

static void one(const char *net, const char *text, const char *optimizer, double rate, int threads) {
    char path[4096], file[100];
    cvs_error err = {0};
    cvs_tensor t = {0};
    cvs_model *m = NULL;
    cvi_training training;
    cvi_params params;
    cvi_trainer *trainer = NULL;
    cvi_pool *pool = cvi_pool_new(threads);
    snprintf(file, sizeof file, "layers_%s_%s.npy", net, optimizer);
    test_data(path, sizeof path, "training", file);
    assert_int_equal(cvs_npy_read(path, NULL, &t, &err), CVS_OK);
    const float *at = t.data;
    assert_int_equal(cvs_model_open_memory(text, strlen(text), "x.net", NULL, &m, &err), CVS_OK);
    assert_int_equal(cvi_training_read(m, &(cvs_train_options){.optimizer = optimizer}, &training, &err),
                     CVS_OK);
    assert_int_equal(cvi_ops_init_weights(m, 1, &err), CVS_OK);
    assert_int_equal(cvi_params_take(m, &training, &params, &err), CVS_OK);
    assert_int_equal(params.n, params.n_trained);
    for (int i = 0; i < params.n; i++) {
        memcpy(params.list[i].now.data, at, params.list[i].now.bytes);
        at += cvs_tensor_count(&params.list[i].now);
    }
    assert_int_equal(2 * params.numbers + 10 * 4 * (72 + 1) + 10, cvs_tensor_count(&t));
    assert_int_equal(
        cvi_trainer_new(m, &params, &training, (const int64_t[]){2, 6, 6}, 3, pool, &trainer, &err), CVS_OK);
    float x[4 * 72];
    const float *labels = at + 10 * 4 * 72, *losses = labels + 40;
    for (int step = 0; step < 10; step++) {
        int label[4];
        double loss = 0;
        int64_t right = 0;
        memcpy(x, at + step * 4 * 72, sizeof x);
        for (int i = 0; i < 4; i++) {
            label[i] = (int)labels[step * 4 + i];
        }
        assert_int_equal(cvi_trainer_step(trainer, 4, x, label, step + 1, rate, &loss, &right, &err), CVS_OK);
        if (!(fabs(loss / 4 - (double)losses[step]) < 1e-5)) {
            fail_msg("%s with %s, step %d: loss %.7g, PyTorch %.7g", net, optimizer, step, loss / 4,
                     (double)losses[step]);
        }
    }
    at = losses + 10;
    for (int i = 0; i < params.n; i++) {
        const float *now = params.list[i].now.data;
        for (int64_t k = 0; k < cvs_tensor_count(&params.list[i].now); k++, at++) {
            if (!(fabs((double)now[k] - (double)*at) <= 1e-5 * (1 + fabs((double)*at)))) {
                fail_msg("%s with %s: %s[%lld] is %.8g, PyTorch %.8g", net, optimizer, params.list[i].name,
                         (long long)k, (double)now[k], (double)*at);
            }
        }
    }
    cvi_trainer_free(trainer);
    cvs_model_free(m);
    cvi_params_free(&params);
    cvi_pool_free(pool);
    cvs_tensor_free(&t);
}

static void layers(void **state) {
    (void)state;
    for (int i = 0; i < CVI_COUNT(nets); i++) {
        one(nets[i].name, nets[i].text, "sgd", 0.05, 1 + i);
        one(nets[i].name, nets[i].text, "adam", 0.003, 2);
    }
}

/* Of [2,6,4,4] whole maps: each all zero or all doubled; about half; the mask of backward is that of forward; nothing at inference. */
static void spatial_dropout(void **state) {
    (void)state;
    static const char text[] = "input 6x4x4\ndropout 0.5 maps\n";
    cvs_error err = {0};
    cvs_model *m = NULL;
    cvi_exec *exec = NULL;
    float x[2 * 6 * 16], ones[2 * 6 * 16];
    for (int i = 0; i < 2 * 6 * 16; i++) {
        x[i] = 1.0F + (float)i;
        ones[i] = 1;
    }
    cvs_tensor in = {.dtype = CVS_F32, .rank = 4, .dim = {2, 6, 4, 4}, .data = x, .bytes = sizeof x}, out,
               g = in;
    g.data = ones;
    assert_int_equal(cvs_model_open_memory(text, strlen(text), "x.net", NULL, &m, &err), CVS_OK);
    int y = m->graph->outputs[0], input = m->graph->inputs[0], dropped = 0;
    for (int training = 0; training < 2; training++) {
        cvi_exec_options options = {.training = training, .keep_aux = training, .seed = 4};
        assert_int_equal(cvi_exec_new(m->graph, &in, &options, &exec, &err), CVS_OK);
        assert_int_equal(cvi_exec_forward(exec, &in, -1, &err), CVS_OK);
        assert_int_equal(cvi_exec_value(exec, y, &out, &err), CVS_OK);
        float kept[192];
        memcpy(kept, out.data, sizeof kept);
        assert_int_equal(cvi_exec_backward(exec, CVI_GRADIENT, &y, &g, 1, &input, 1, &err), CVS_OK);
        assert_int_equal(cvi_exec_gradient(exec, input, &out, &err), CVS_OK);
        for (int map = 0; map < 12; map++) {
            bool gone = kept[map * 16] == 0;
            dropped += gone;
            for (int i = map * 16; i < map * 16 + 16; i++) {
                float factor = gone ? 0 : training ? 2 : 1;
                assert_true(kept[i] == factor * x[i] && ((float *)out.data)[i] == factor);
            }
        }
        assert_true(training ? dropped > 1 && dropped < 11 : dropped == 0);
        cvi_exec_free(exec);
    }
    cvs_model_free(m);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(layers), cmocka_unit_test(spatial_dropout)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

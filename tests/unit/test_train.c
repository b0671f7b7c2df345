/* SPDX-License-Identifier: MIT
 * test_train.c - training against PyTorch's numbers (first batch, 20 steps of three optimisers), gradients of the loss against
 * finite differences, the same bits for any number of threads, recipes with faults, and what a run leaves behind.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "convscope/model.h"
#include "convscope/run.h"
#include "formats/safetensors.h"
#include "test_helpers.h"
#include "train/trainer.h"

/* A model, its parameters and a trainer. */
typedef struct fixture {
    cvs_model *model;
    cvi_training training;
    cvi_params params;
    cvi_pool *pool;
    cvi_trainer *trainer;
} fixture;

static void make(fixture *f, const char *text, const char *optimizer, int threads, const int64_t input[3]) {
    cvs_error err = {0};
    cvs_train_options options = {.optimizer = optimizer, .has_seed = true, .seed = 3};
    *f = (fixture){.pool = threads > 1 ? cvi_pool_new(threads) : NULL};
    OK(cvs_model_open_memory(text, strlen(text), "test.net", NULL, &f->model, &err));
    OK(cvi_training_read(f->model, &options, &f->training, &err));
    if (!f->model->has_weights) {
        OK(cvi_ops_init_weights(f->model, 3, &err));
    }
    OK(cvi_params_take(f->model, &f->training, &f->params, &err));
    OK(cvi_trainer_new(f->model, &f->params, &f->training, input, 0, f->pool, &f->trainer, &err));
}

static void drop(fixture *f) {
    cvi_trainer_free(f->trainer);
    cvs_model_free(f->model);
    cvi_params_free(&f->params);
    cvi_pool_free(f->pool);
}

static cvi_param *param(fixture *f, const char *name) {
    for (int i = 0; i < f->params.n; i++) {
        if (strcmp(f->params.list[i].name, name) == 0) {
            return &f->params.list[i];
        }
    }
    fail_msg("there is no parameter %s", name);
    return NULL;
}

/* ---- PyTorch's numbers ---------------------------------------------------------------------------------- */

static const char golden_net[] = "input 1x28x28\n"
                                 "conv1: conv 4 k3\nrelu1: relu\npool1: maxpool k2\n"
                                 "conv2: conv 8 k3 s2 p1 nobias\nnorm: bn\nrelu2: relu\nfc: fc 10\n";
static const struct {
    const char *theirs, *ours;
} names[] = {{"conv1.weight", "conv1.weight"},
             {"conv1.bias", "conv1.bias"},
             {"conv2.weight", "conv2.weight"},
             {"norm.weight", "norm.scale"},
             {"norm.bias", "norm.shift"},
             {"fc.weight", "fc.weight"},
             {"fc.bias", "fc.bias"},
             {"norm.running_mean", "norm.mean"},
             {"norm.running_var", "norm.variance"}};
enum { TRAINED = 7, BATCH = 32, STEPS = 20 };
static const int64_t digit[3] = {1, 28, 28};

static cvs_tensor golden(const char *folder, const char *prefix, const char *name) {
    char base[4096], path[4600];
    cvs_tensor t = {0}, f = {0};
    cvs_error err = {0};
    assert_true(test_shared(base, sizeof base, "data/goldens/training"));
    snprintf(path, sizeof path, "%s/%s/%s%s.npy", base, folder, prefix, name);
    OK(cvs_npy_read(path, NULL, &t, &err));
    OK(cvs_tensor_convert(&t, CVS_F32, &f, &err));
    cvs_tensor_free(&t);
    return f;
}

static void compare(const cvs_tensor *ours, const char *folder, const char *prefix, const char *name) {
    cvs_tensor t = golden(folder, prefix, name);
    assert_int_equal(cvs_tensor_count(&t), cvs_tensor_count(ours));
    for (int64_t i = 0; i < cvs_tensor_count(&t); i++) {
        double a = cvi_get(ours, i), b = cvi_get(&t, i);
        if (!(fabs(a - b) <= 1e-5 * (1 + fabs(b)))) {
            fail_msg("%s/%s%s[%lld]: %.8g, PyTorch has %.8g", folder, prefix, name, (long long)i, a, b);
        }
    }
    cvs_tensor_free(&t);
}

static void compare_all(fixture *f, const char *folder) {
    for (int i = 0; i < CVI_COUNT(names); i++) {
        compare(&param(f, names[i].ours)->now, folder, "", names[i].theirs);
    }
}

static void load_start(fixture *f) {
    for (int i = 0; i < CVI_COUNT(names); i++) {
        cvs_tensor t = golden("start", "", names[i].theirs);
        cvi_param *p = param(f, names[i].ours);
        assert_int_equal(t.bytes, p->now.bytes);
        memcpy(p->now.data, t.data, t.bytes);
        cvs_tensor_free(&t);
    }
}

/* The first digits of the training set, /255; false where the shared data is absent. */
static bool digits(float **x, int **labels) {
    char path[4096], spec[4200];
    cvs_error err = {0};
    cvs_data *data = NULL;
    if (!test_shared(path, sizeof path, "data/goldens/training")) {
        print_message("skipped: the shared data is not there\n");
        skip();
    }
    assert_true(test_shared(path, sizeof path, "data/mnist"));
    snprintf(spec, sizeof spec, "mnist:%s", path);
    OK(cvs_data_open(spec, NULL, &data, &err));
    *x = cvi_calloc((size_t)STEPS * BATCH * 784, sizeof **x);
    *labels = cvi_calloc((size_t)STEPS * BATCH, sizeof **labels);
    assert_true(*x && *labels);
    for (int i = 0; i < STEPS * BATCH; i++) {
        cvs_tensor t = {0};
        OK(cvs_data_get(data, i, &t, &(*labels)[i], NULL, &err));
        for (int k = 0; k < 784; k++) {
            (*x)[i * 784 + k] = (float)((const uint8_t *)t.data)[k] / 255.0f;
        }
        cvs_tensor_free(&t);
    }
    cvs_data_free(data);
    return true;
}

static void first_batch(void **state) {
    (void)state;
    float *x, gradient[BATCH * 10];
    double room[10];
    int *labels;
    fixture f;
    cvs_error err = {0};
    digits(&x, &labels);
    make(&f, golden_net, "sgd", 1, digit);
    load_start(&f);
    cvi_exec *exec = NULL;
    cvs_tensor in = {
        .dtype = CVS_F32, .rank = 4, .dim = {BATCH, 1, 28, 28}, .data = x, .bytes = BATCH * 784 * 4};
    cvi_exec_options options = {.training = true, .keep_aux = true, .exact = true};
    OK(cvi_exec_new(f.model->graph, &in, &options, &exec, &err));
    int wanted[TRAINED + 1], logits = f.model->graph->outputs[0];
    for (int i = 0; i < CVI_COUNT(names); i++) {
        cvi_param *p = param(&f, names[i].ours);
        OK(cvi_exec_override(exec, p->value, &p->now, &err));
        wanted[CVI_MIN(i, TRAINED)] = p->value;
    }
    wanted[TRAINED] = f.model->graph->inputs[0];
    cvs_tensor out = {0};
    OK(cvi_exec_forward(exec, &in, -1, &err));
    OK(cvi_exec_value(exec, logits, &out, &err));
    compare(&out, "first_batch", "", "logits");
    double loss = 0;
    int64_t right = 0;
    cvi_loss_batch(&f.training, true, BATCH, 10, out.data, labels, 1, 1.0 / BATCH, gradient, room, &loss,
                   &right);
    assert_true(fabs(loss / BATCH - 2.3141474639596873) < 1e-5);
    out.data = gradient;
    OK(cvi_exec_backward(exec, CVI_GRADIENT, &logits, &out, 1, wanted, TRAINED + 1, &err));
    for (int i = 0; i <= TRAINED; i++) {
        OK(cvi_exec_gradient(exec, wanted[i], &out, &err));
        compare(&out, "first_batch", "grad_", i < TRAINED ? names[i].theirs : "input");
    }
    cvi_exec_free(exec);
    drop(&f);
    cvi_free(x);
    cvi_free(labels);
}

static void twenty_steps(const char *name, double rate) {
    float *x;
    int *labels;
    fixture f;
    cvs_error err = {0};
    char folder[60];
    digits(&x, &labels);
    make(&f, golden_net, name, 2, digit);
    load_start(&f);
    for (int step = 1; step <= STEPS; step++) {
        double loss = 0;
        int64_t right = 0;
        OK(cvi_trainer_step(f.trainer, BATCH, x + (step - 1) * BATCH * 784, labels + (step - 1) * BATCH, step,
                            rate, &loss, &right, &err));
        if (step == 1 || step == STEPS) {
            snprintf(folder, sizeof folder, "%s/after_%d", name, step);
            compare_all(&f, folder);
        }
    }
    drop(&f);
    cvi_free(x);
    cvi_free(labels);
}

static void sgd_steps(void **state) {
    (void)state;
    twenty_steps("sgd", 0.1);
}

static void momentum_steps(void **state) {
    (void)state;
    twenty_steps("momentum", 0.05);
}

static void adam_steps(void **state) {
    (void)state;
    twenty_steps("adam", 0.002);
}

/* ---- finite differences --------------------------------------------------------------------------------- */

static const int64_t small[3] = {2, 8, 8};
enum { SMALL = 12 };

static void fill(float *x, int *labels, int classes) {
    for (int i = 0; i < SMALL * 128; i++) {
        x[i] = (float)cvi_random_normal(5, 1, (uint64_t)i);
    }
    for (int i = 0; i < SMALL; i++) {
        labels[i] = i % classes;
    }
}

/* The loss of the batch as training computes it; the rate 0 leaves the weights as they are. */
static double loss_at(fixture *f, float *x, const int *labels, double rate) {
    cvs_error err = {0};
    double loss = 0;
    int64_t right = 0;
    OK(cvi_trainer_step(f->trainer, SMALL, x, labels, 1, rate, &loss, &right, &err));
    return loss / SMALL;
}

/* Plain descent at rate 1 shows the gradient as the change of the weights. */
static void differences(const char *text) {
    float x[SMALL * 128];
    int labels[SMALL];
    fixture f, g;
    fill(x, labels, 3);
    make(&f, text, "sgd", 1, small);
    make(&g, text, "sgd", 1, small);
    loss_at(&g, x, labels, 1);
    for (int i = 0; i < f.params.n_trained; i++) {
        int64_t count = cvs_tensor_count(&f.params.list[i].now);
        for (int64_t k = 0; k < count; k += 1 + count / 7) {
            const float h = 1e-2f;
            float *w = (float *)f.params.list[i].now.data + k, was = *w;
            double gradient = (double)was - (double)((const float *)g.params.list[i].now.data)[k];
            *w = was + h;
            double up = loss_at(&f, x, labels, 0);
            *w = was - h;
            double down = loss_at(&f, x, labels, 0);
            *w = was;
            double slope = (up - down) / (2 * (double)h);
            if (fabs(slope - gradient) > 1e-4 + 1e-3 * fabs(slope)) {
                fail_msg("%s[%lld]: slope %.7g, gradient %.7g", f.params.list[i].name, (long long)k, slope,
                         gradient);
            }
        }
    }
    drop(&f);
    drop(&g);
}

static void finite_differences(void **state) {
    (void)state;
    differences("input 2x8x8\nconv 4 k3 tanh avgpool k2 conv 5 k3 tanh gap fc 3 softmax\n");
    differences("input 2x8x8\nconv 4 k3 bn tanh avgpool k2\nresidual { conv 4 k3 bn tanh }\nfc 3\n");
}

/* ---- the same bits -------------------------------------------------------------------------------------- */

static const char mixed_net[] =
    "input 2x8x8\nconv 6 k3 relu maxpool k2 dropout 0.3 conv 9 k3 relu gap fc 3 softmax\n";
static const char normed_net[] = "input 2x8x8\nconv 6 k3 bn relu maxpool k2 conv 9 k3 bn relu gap fc 3\n";

static void steps_with(const char *text, int threads, fixture *f) {
    float x[SMALL * 128];
    int labels[SMALL];
    cvs_error err = {0};
    fill(x, labels, 3);
    make(f, text, "adam", threads, small);
    for (int step = 1; step <= 5; step++) {
        double loss = 0;
        int64_t right = 0, n = step % 2 ? SMALL : SMALL - 5; /* a last batch is smaller */
        OK(cvi_trainer_step(f->trainer, n, x, labels, step, 0.01, &loss, &right, &err));
    }
}

static void same_bits(void **state) {
    (void)state;
    const char *texts[] = {mixed_net, normed_net};
    for (int t = 0; t < 2; t++) {
        fixture one, more;
        steps_with(texts[t], 1, &one);
        for (int threads = 1; threads <= 3; threads++) {
            steps_with(texts[t], threads, &more);
            for (int i = 0; i < one.params.n; i++) {
                assert_memory_equal(one.params.list[i].now.data, more.params.list[i].now.data,
                                    one.params.list[i].now.bytes);
            }
            drop(&more);
        }
        drop(&one);
    }
}

/* ---- recipes -------------------------------------------------------------------------------------------- */

static void recipe_settings(void **state) {
    (void)state;
    static const char text[] =
        "input 1x4x4\nfc 2\ntrain {\n  optimizer momentum lr=0.2 momentum=0.8 | batch 7\n"
        "  epochs 3 | seed 9; # no\n}\n";
    static const char good[] =
        "input 1x4x4\nfc 2\ntrain { optimizer momentum lr=0.2 momentum=0.8 | batch 7\n"
        "  epochs 3 | seed 9\n schedule step every=2 factor=0.5\n augment flip, shift=1\n"
        " data mnist:some/where | limit 100 }\n";
    cvs_error err = {0};
    cvs_model *m = NULL;
    cvi_training t;
    OK(cvs_model_open_memory(good, strlen(good), "good.net", NULL, &m, &err));
    OK(cvi_training_read(m, NULL, &t, &err));
    assert_string_equal(t.optimizer->name, "momentum");
    assert_true(t.rates.learning_rate == 0.2 && t.rates.momentum == 0.8);
    assert_true(t.batch == 7 && t.epochs == 3 && t.seed == 9 && t.limit == 100);
    assert_true(t.augment.flip && t.augment.shift == 1);
    assert_string_equal(t.data, "mnist:some/where");
    assert_true(cvi_training_rate(&t, 0, 10, 5, 1, NULL) == 0.2 &&
                cvi_training_rate(&t, 0, 10, 5, 2, NULL) == 0.1);
    cvs_train_options options = {.optimizer = "sgd", .epochs = 4, .learning_rate = 0.5};
    OK(cvi_training_read(m, &options, &t, &err));
    assert_true(t.optimizer->n_slots == 0 && t.epochs == 4 && t.rates.learning_rate == 0.5);
    cvs_model_free(m);
    OK(cvs_model_open_memory(text, strlen(text), "text.net", NULL, &m, &err));
    assert_int_not_equal(cvi_training_read(m, NULL, &t, &err), CVS_OK);
    assert_true(err.line == 5 && err.column == 19); /* "9;" */
    cvs_model_free(m);
}

static void recipe_faults(void **state) {
    (void)state;
    static const struct {
        const char *block;
        int column;
    } faults[] = {
        {"train { optimiser adam }", 9},
        {"train { optimizer adamsky }", 19},
        {"train { optimizer adam lr=fast }", 24},
        {"train { optimizer adam speed=1 }", 24},
        {"train { batch 0 }", 15},
        {"train { batch 1.5 }", 15},
        {"train { epochs }", 9},
        {"train { epochs 1 2 }", 18},
        {"train { seed -1 }", 14},
        {"train { schedule wave }", 18},
        {"train { schedule cosine every=2 }", 25},
        {"train { augment rotate }", 17},
        {"train { augment shift=x }", 17},
        {"train { batch 2 ( }", 17},
        {"train batch 2", 7},
        {"train { batch 2", 1},
        {"train { batch 2 } train { }", 19},
    };
    for (int i = 0; i < CVI_COUNT(faults); i++) {
        char text[300], said[900];
        cvs_error err = {.lang = i % 2 ? CVS_ZH : CVS_EN};
        cvs_model *m = NULL;
        cvi_training t;
        snprintf(text, sizeof text, "input 1x4x4\nfc 2\n%s\n", faults[i].block);
        cvs_status s = cvs_model_open_memory(text, strlen(text), "bad.net", NULL, &m, &err);
        if (s == CVS_OK) {
            s = cvi_training_read(m, NULL, &t, &err);
        }
        cvs_model_free(m);
        cvs_error_text(&err, said, sizeof said);
        if (s == CVS_OK || err.line != 3 || err.column != faults[i].column || !strstr(said, "bad.net")) {
            fail_msg("%s: line %d, column %d, column %d expected: %s", faults[i].block, err.line, err.column,
                     faults[i].column, said);
        }
    }
}

/* ---- whole runs ----------------------------------------------------------------------------------------- */

static const char run_net[] = "name small\nclasses zero one two three four five six seven eight nine\n"
                              "input 1x28x28\nconv 4 k5 s2 relu maxpool k2 fc 10 softmax\n"
                              "train { epochs 2 | batch 32 | limit 320 | data generated:digits }\n";

static bool stop_at_once(void *context, const cvs_train_step *step) {
    (void)context;
    return step->step < 3;
}

static void run_in(const char *folder, const cvs_train_options *options, cvs_train_result *result) {
    char recipe[600];
    cvs_error err = {0};
    snprintf(recipe, sizeof recipe, "%s.net", folder);
    OK(cvs_file_write(recipe, run_net, strlen(run_net), &err));
    OK(cvs_train(recipe, NULL, folder, options, result, &err));
}

static void same_file(const char *a, const char *b, const char *name) {
    char one[600], two[600];
    cvi_file x = {0}, y = {0};
    cvs_error err = {0};
    snprintf(one, sizeof one, "%s/%s", a, name);
    snprintf(two, sizeof two, "%s/%s", b, name);
    OK(cvi_file_read(one, NULL, &x, &err));
    OK(cvi_file_read(two, NULL, &y, &err));
    assert_true(x.size == y.size && memcmp(x.data, y.data, x.size) == 0);
    cvi_file_close(&x);
    cvi_file_close(&y);
}

/* How often the written model is right on the test pictures, through the public way of predicting. */
static double accuracy_of(const char *folder, int count) {
    char path[600];
    cvs_error err = {0};
    cvs_model *m = NULL;
    cvs_run *run = NULL;
    cvs_data *data = NULL;
    cvs_model_info info;
    int right = 0;
    snprintf(path, sizeof path, "%s/model.onnx", folder);
    OK(cvs_model_open(path, NULL, &m, &err));
    cvs_model_describe(m, &info);
    assert_int_equal(info.n_classes, 10);
    assert_string_equal(info.classes[9], "nine");
    assert_true(info.preprocess->known);
    OK(cvs_run_new(m, NULL, &run, &err));
    OK(cvs_data_open("generated:digits", &(cvs_data_options){.split = CVS_TEST}, &data, &err));
    for (int i = 0; i < count; i++) {
        cvs_tensor t = {0}, rgb = {0};
        cvs_score best[1];
        cvs_logit_kind kind;
        int label, n = 0;
        OK(cvs_data_get(data, i, &t, &label, NULL, &err));
        OK(cvs_tensor_new(&rgb, CVS_U8, 3, (int64_t[]){28, 28, 3}, &err));
        for (int k = 0; k < 784 * 3; k++) {
            ((uint8_t *)rgb.data)[k] = ((const uint8_t *)t.data)[k / 3];
        }
        OK(cvs_run_image(run, &rgb, NULL, &err));
        OK(cvs_run_top(run, 0, 1, best, &n, &kind, &err));
        right += n == 1 && best[0].index == label;
        cvs_tensor_free(&t);
        cvs_tensor_free(&rgb);
    }
    cvs_data_free(data);
    cvs_run_free(run);
    cvs_model_free(m);
    return (double)right / count;
}

static void whole_run(void **state) {
    (void)state;
    char folder[256], a[400], b[400], c[400], path[600];
    cvs_train_result result;
    cvs_error err = {0};
    test_folder(folder);
    snprintf(a, sizeof a, "%s/a", folder);
    snprintf(b, sizeof b, "%s/b", folder);
    snprintf(c, sizeof c, "%s/c", folder);
    run_in(a, &(cvs_train_options){.threads = 1, .write_params = true}, &result);
    run_in(b, &(cvs_train_options){.threads = 3}, &result);
    assert_true(result.epochs == 2 && !result.stopped && result.params == 4 * 25 + 4 + 4 * 49 * 10 + 10);
    same_file(a, b, "model.onnx");
    same_file(a, b, "state.safetensors");
    cvs_data *data = NULL;
    cvs_data_info info;
    OK(cvs_data_open("generated:digits", &(cvs_data_options){.split = CVS_TEST}, &data, &err));
    cvs_data_describe(data, &info);
    cvs_data_free(data);
    assert_true(fabs(accuracy_of(b, (int)info.count) - result.val_accuracy) < 1e-9);
    /* what --params wrote is a start; one step at nearly no rate leaves it as it is */
    snprintf(path, sizeof path, "%s/params", a);
    run_in(c, &(cvs_train_options){.start = path, .max_steps = 1, .learning_rate = 1e-12, .optimizer = "sgd"},
           &result);
    cvi_safetensors first, second;
    snprintf(path, sizeof path, "%s/state.safetensors", a);
    OK(cvi_safetensors_read(path, NULL, &first, &err));
    snprintf(path, sizeof path, "%s/state.safetensors", c);
    OK(cvi_safetensors_read(path, NULL, &second, &err));
    assert_true(first.n - 2 == 3 * (second.n - 2) &&
                second.n - 2 == 4); /* adam has two buffers for each; two of doubts */
    for (int i = 0; i < second.n; i++) {
        const cvs_tensor *t = cvi_safetensors_find(&first, second.list[i].name);
        assert_true(t && t->bytes == second.list[i].t.bytes);
        bool doubts =
            strncmp(second.list[i].name, "doubts/", 7) == 0; /* of the pictures, not of the network */
        for (int64_t k = 0; k < cvs_tensor_count(t) && !doubts; k++) {
            assert_true(fabs(cvi_get(t, k) - cvi_get(&second.list[i].t, k)) < 1e-6);
        }
    }
    cvi_safetensors_free(&first);
    cvi_safetensors_free(&second);
}

static void stopped_run(void **state) {
    (void)state;
    char folder[256], a[400], path[600];
    cvs_train_result result;
    cvs_error err = {0};
    json_t *history = NULL;
    cvi_file file = {0};
    test_folder(folder);
    snprintf(a, sizeof a, "%s/a", folder);
    run_in(a, &(cvs_train_options){.on_step = stop_at_once}, &result);
    assert_true(result.stopped && result.epochs == 1);
    snprintf(path, sizeof path, "%s/history.json", a);
    OK(cvi_file_read(path, NULL, &file, &err));
    OK(cvi_json_parse((const char *)file.data, file.size, &history, &err));
    assert_int_equal(cvi_json_int(history, "steps", 0), 3);
    assert_true(cvi_json_bool(history, "stopped", false));
    assert_true(json_is_null(json_array_get(json_object_get(history, "val_accuracy"), 0)));
    json_decref(history);
    cvi_file_close(&file);
}

static void bad_runs(void **state) {
    (void)state;
    char folder[256], recipe[400], run[400], order[400];
    cvs_error err = {0};
    test_folder(folder);
    snprintf(recipe, sizeof recipe, "%s/r.net", folder);
    snprintf(run, sizeof run, "%s/run", folder);
    snprintf(order, sizeof order, "%s/order.txt", folder);
    OK(cvs_file_write(recipe, run_net, strlen(run_net), &err));
    assert_int_equal(cvs_train("none.net", NULL, "/dev/full", NULL, NULL, &err),
                     CVS_E_IO); /* the place first */
    assert_non_null(strstr(err.file, "/dev/full"));
    assert_int_not_equal(cvs_train(recipe, "mnist:/nowhere/at/all", run, NULL, NULL, &err), CVS_OK);
    assert_int_not_equal(cvs_train(recipe, "generated:nothing", run, NULL, NULL, &err), CVS_OK);
    assert_int_not_equal(cvs_train(recipe, NULL, run, &(cvs_train_options){.start = folder}, NULL, &err),
                         CVS_OK);
    OK(cvs_file_write(order, "1\n2\nx\n", 6, &err));
    assert_int_equal(cvs_train(recipe, NULL, run, &(cvs_train_options){.order = order}, NULL, &err),
                     CVS_E_FORMAT);
    assert_int_equal(err.line, 3);
    OK(cvs_file_write(order, "1\n320\n", 6, &err));
    assert_int_equal(cvs_train(recipe, NULL, run, &(cvs_train_options){.order = order}, NULL, &err),
                     CVS_E_FORMAT);
    assert_int_equal(err.line, 2);
    assert_false(cvi_is_folder(run)); /* nothing half-written */
    OK(cvs_file_write(order, "5 \n\n7\n", 6, &err));
    OK(cvs_train(recipe, NULL, run, &(cvs_train_options){.order = order, .epochs = 1}, NULL, &err));
    /* a weight that is no number: the loss is none either, and that is said */
    float none[10] = {NAN};
    cvs_tensor bias = {.dtype = CVS_F32, .rank = 1, .dim = {10}, .data = none, .bytes = sizeof none};
    OK(cvs_train(recipe, NULL, run, &(cvs_train_options){.max_steps = 1, .write_params = true}, NULL, &err));
    snprintf(order, sizeof order, "%.380s/params", run);
    char path[600];
    snprintf(path, sizeof path, "%s/fc_1.bias.npy", order);
    assert_true(cvi_is_file(path));
    OK(cvs_npy_write(path, &bias, &err));
    assert_int_equal(cvs_train(recipe, NULL, run, &(cvs_train_options){.start = order}, NULL, &err),
                     CVS_E_ARGUMENT);
    assert_non_null(strstr(err.message, "step 1 "));
}

/* ---- state files ---------------------------------------------------------------------------------------- */

static void safetensors_faults(void **state) {
    (void)state;
    static const struct {
        const char *header;
        int data;
    } faults[] = {
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}", 9},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}", 7},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[4,12]}}", 12},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[3],\"data_offsets\":[0,8]}}", 8},
        {"{\"a\":{\"dtype\":\"F99\",\"shape\":[2],\"data_offsets\":[0,8]}}", 8},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[-2],\"data_offsets\":[0,8]}}", 8},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[8,0]}}", 8},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2]}}", 8},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0,2]},"
         "\"b\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[1,3]}}",
         3},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]},"
         "\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[1,2]}}",
         2},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[4611686018427387904,4],\"data_offsets\":[0,0]}}", 0},
        {"{\"__metadata__\":{\"a\":1}}", 0},
        {"[]", 0},
        {"{\"a\":3}", 0},
    };
    for (int i = 0; i < CVI_COUNT(faults); i++) {
        uint8_t bytes[600] = {0};
        size_t n = strlen(faults[i].header);
        bytes[0] = (uint8_t)n;
        memcpy(bytes + 8, faults[i].header, n);
        cvi_safetensors s;
        cvs_error err = {0};
        if (cvi_safetensors_parse(bytes, 8 + n + (size_t)faults[i].data, NULL, &s, &err) == CVS_OK) {
            fail_msg("fault %d was not found", i);
        }
        assert_true(err.message[0] && !s.arena);
        for (size_t cut = 0; cut < 8 + n; cut++) {
            assert_int_not_equal(cvi_safetensors_parse(bytes, cut, NULL, &s, &err), CVS_OK);
        }
    }
}

static void safetensors_round(void **state) {
    (void)state;
    char folder[256], path[400];
    cvs_error err = {0};
    double d[3] = {1, -2, 1e300};
    uint8_t u[3] = {1, 2, 255};
    float f = 0.5f;
    cvi_safetensor list[] = {
        {"b/\"u\"", {.dtype = CVS_U8, .rank = 2, .dim = {1, 3}, .data = u, .bytes = 3}},
        {"a", {.dtype = CVS_F32, .rank = 0, .data = &f, .bytes = 4}},
        {"empty", {.dtype = CVS_F32, .rank = 2, .dim = {0, 5}}},
        {"d", {.dtype = CVS_F64, .rank = 1, .dim = {3}, .data = d, .bytes = 24}},
    };
    const char *pairs[] = {"who", "测试"};
    test_folder(folder);
    snprintf(path, sizeof path, "%s/x.safetensors", folder);
    OK(cvi_safetensors_write(path, list, 4, pairs, 1, &err));
    cvi_safetensors s;
    OK(cvi_safetensors_read(path, NULL, &s, &err));
    assert_true(s.n == 4 && s.n_pairs == 1);
    assert_string_equal(s.pairs[1], "测试");
    assert_string_equal(s.list[0].name, "d");
    for (int i = 0; i < 4; i++) {
        const cvs_tensor *t = cvi_safetensors_find(&s, list[i].name);
        assert_true(t && t->dtype == list[i].t.dtype && t->rank == list[i].t.rank &&
                    t->bytes == list[i].t.bytes);
        assert_true(t->bytes == 0 || memcmp(t->data, list[i].t.data, t->bytes) == 0);
    }
    cvi_safetensors_free(&s);
    assert_int_equal(cvi_safetensors_write("/dev/full", list, 4, pairs, 1, &err), CVS_E_IO);
    for (int k = 0; k < 40; k++) { /* every allocation may fail, in writing and in reading */
        cvs_error quiet = {0};
        test_fail_from(k, -1);
        cvs_status w = cvi_safetensors_write(path, list, 4, pairs, 1, &quiet);
        bool failed = test_has_failed();
        cvi_set_hooks(NULL);
        assert_true(failed || w == CVS_OK); /* syncing the folder is a courtesy that may fail */
        test_fail_from(k, -1);
        cvs_status r = cvi_safetensors_read(path, NULL, &s, &quiet);
        failed = test_has_failed();
        cvi_set_hooks(NULL);
        assert_true(failed == (r != CVS_OK));
        cvi_safetensors_free(&s);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(first_batch),        cmocka_unit_test(sgd_steps),
        cmocka_unit_test(momentum_steps),     cmocka_unit_test(adam_steps),
        cmocka_unit_test(finite_differences), cmocka_unit_test(same_bits),
        cmocka_unit_test(recipe_settings),    cmocka_unit_test(recipe_faults),
        cmocka_unit_test(whole_run),          cmocka_unit_test(stopped_run),
        cmocka_unit_test(bad_runs),           cmocka_unit_test(safetensors_faults),
        cmocka_unit_test(safetensors_round),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

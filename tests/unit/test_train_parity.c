/* SPDX-License-Identifier: MIT
 * test_train_parity.c - ten steps from the same weights and batches as PyTorch and as Keras made them, every optimiser with its options, every
 * loss, clipping, penalty, and networks of many layers, to 1e-5; and Keras's own files, which say themselves how they are trained.
 * tools/make_training_fixtures.py wrote the numbers with the real libraries.
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

enum { STEPS = 10, BATCH = 4, EACH = 72 };

static const int64_t input[3] = {2, 6, 6};

static bool near(double a, double b) {
    return fabs(a - b) <= 1e-5 * (1 + fabs(b));
}

static cvs_tensor numbers(const char *name) {
    char path[4096];
    cvs_error err = {0};
    cvs_tensor t = {0};
    test_data(path, sizeof path, "training", name);
    assert_int_equal(cvs_npy_read(path, NULL, &t, &err), CVS_OK);
    return t;
}

/* Ten steps; the losses are compared as they come. half: the rate is halved after five, as the generator does for such names. */
static void ten_steps(const char *name, cvs_model *m, const cvi_training *training, cvi_params *params,
                      const float *batches, const float *losses, bool half) {
    cvs_error err = {0};
    char text[900];
    cvi_trainer *trainer = NULL;
    cvi_pool *pool = cvi_pool_new(2);
    if (cvi_trainer_new(m, params, training, input, 3, pool, &trainer, &err) != CVS_OK) {
        fail_msg("%s: %s", name, cvs_error_text(&err, text, sizeof text));
    }
    for (int step = 0; step < STEPS; step++) {
        float x[BATCH * EACH];
        int label[BATCH];
        double loss = 0, rate = training->rates.learning_rate * (half && step >= STEPS / 2 ? 0.5 : 1);
        int64_t right = 0;
        memcpy(x, batches + step * BATCH * EACH, sizeof x);
        for (int i = 0; i < BATCH; i++) {
            label[i] = (int)batches[STEPS * BATCH * EACH + step * BATCH + i];
        }
        assert_int_equal(cvi_trainer_step(trainer, BATCH, x, label, step + 1, rate, &loss, &right, &err),
                         CVS_OK);
        if (!near(loss / BATCH, (double)losses[step])) {
            fail_msg("%s, step %d: loss %.8g, theirs %.8g", name, step + 1, loss / BATCH,
                     (double)losses[step]);
        }
    }
    cvi_trainer_free(trainer);
    cvi_pool_free(pool);
}

static void compare(const char *name, const cvi_param *p, const cvs_tensor *theirs) {
    for (int64_t k = 0; k < cvs_tensor_count(&p->now); k++) {
        double a = cvi_get(&p->now, k), b = cvi_get(theirs, k);
        if (!near(a, b)) {
            fail_msg("%s: %s[%lld] is %.8g, theirs %.8g", name, p->name, (long long)k, a, b);
        }
    }
}

/* One line of the text; returns where its numbers end. */
static const float *one_case(const char *name, const char *text, const float *batches, const float *at) {
    cvs_error err = {0};
    char said[900];
    cvs_model *m = NULL;
    cvi_training training;
    cvi_params params;
    cvs_status s = cvs_model_open_memory(text, strlen(text), name, NULL, &m, &err);
    s = s == CVS_OK ? cvi_training_read(m, NULL, &training, &err) : s;
    s = s == CVS_OK ? cvi_ops_init_weights(m, 1, &err) : s;
    s = s == CVS_OK ? cvi_params_take(m, &training, &params, &err) : s;
    if (s != CVS_OK) {
        fail_msg("%s: %s", text, cvs_error_text(&err, said, sizeof said));
    }
    for (int i = 0; i < params.n; i++) {
        memcpy(params.list[i].now.data, at, params.list[i].now.bytes);
        at += cvs_tensor_count(&params.list[i].now);
    }
    ten_steps(name, m, &training, &params, batches, at, strstr(name, "half") != NULL);
    at += STEPS;
    for (int i = 0; i < params.n; i++) {
        cvs_tensor theirs = params.list[i].now;
        theirs.data = (void *)(uintptr_t)at;
        compare(name, &params.list[i], &theirs);
        at += cvs_tensor_count(&params.list[i].now);
    }
    cvs_model_free(m);
    cvi_params_free(&params);
    return at;
}

static void all_of(const char *profile, int least) {
    char path[4096], file[40], line[1000];
    snprintf(file, sizeof file, "parity_%s.npy", profile);
    cvs_tensor t = numbers(file);
    snprintf(file, sizeof file, "parity_%s.txt", profile);
    test_data(path, sizeof path, "training", file);
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    const float *at = (const float *)t.data + STEPS * BATCH * (EACH + 1);
    int n = 0;
    for (; fgets(line, sizeof line, f); n++) {
        char *net = strchr(line, '\t'), *training = net ? strchr(net + 1, '\t') : NULL, text[1200];
        assert_non_null(training);
        *net = *training = 0;
        int used = snprintf(text, sizeof text, "%s\ntrain {\n%s}\n", net + 1, training + 1);
        for (int i = 0; i < used; i++) {
            text[i] = text[i] == ';' ? '\n' : text[i];
        }
        at = one_case(line, text, t.data, at);
    }
    fclose(f);
    assert_true(n >= least && at == (const float *)t.data + cvs_tensor_count(&t));
    cvs_tensor_free(&t);
}

static void torch(void **state) {
    (void)state;
    all_of("torch", 29);
}

static void keras(void **state) {
    (void)state;
    all_of("keras", 25);
}

/* A model that Keras saved compiled: optimiser, loss and penalties are the file's. */
static void keras_file(const char *net, int index) {
    char path[4096], file[60];
    cvs_error err = {0};
    cvs_model *m = NULL, *after = NULL;
    cvi_training training;
    cvi_params params;
    cvs_tensor t = numbers("parity_keras.npy"), losses = numbers("keras_losses.npy");
    snprintf(file, sizeof file, "keras_%s.keras", net);
    test_data(path, sizeof path, "training", file);
    assert_int_equal(cvs_model_open(path, NULL, &m, &err), CVS_OK);
    snprintf(file, sizeof file, "keras_%s_after.keras", net);
    test_data(path, sizeof path, "training", file);
    assert_int_equal(cvs_model_open(path, NULL, &after, &err), CVS_OK);
    assert_int_equal(cvi_training_read(m, NULL, &training, &err), CVS_OK);
    assert_string_equal(training.optimizer->name, index == 0 ? "adam" : "nesterov");
    assert_int_equal(training.rates.profile, CVI_KERAS);
    assert_int_equal(cvi_params_take(m, &training, &params, &err), CVS_OK);
    ten_steps(net, m, &training, &params, t.data, (const float *)losses.data + index * STEPS, false);
    for (int i = 0; i < params.n; i++) {
        int v = cvi_graph_find(after->graph, params.list[i].name);
        assert_true(v >= 0);
        compare(net, &params.list[i], after->graph->values[v].constant);
    }
    cvs_model_free(m);
    cvs_model_free(after);
    cvi_params_free(&params);
    cvs_tensor_free(&t);
    cvs_tensor_free(&losses);
}

static void keras_files(void **state) {
    (void)state;
    keras_file("a", 0);
    keras_file("b", 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(torch), cmocka_unit_test(keras),
                                       cmocka_unit_test(keras_files)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

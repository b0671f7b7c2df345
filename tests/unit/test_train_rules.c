/* SPDX-License-Identifier: MIT
 * test_train_rules.c - every optimiser and loss by itself, against the numbers of PyTorch and Keras in tests/data/training
 * (tools/make_training_fixtures.py).
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "convscope/model.h"
#include "test_helpers.h"
#include "train/trainer.h"

static void check_optimizer(const char *name, cvi_profile profile, const float *want) {
    const cvi_optimizer *o = cvi_optimizer_find(name);
    float w[3] = {0.5F, -1, 2}, slot[CVI_MAX_SLOTS][3] = {{0}};
    assert_non_null(o);
    cvi_rates rates = o->rates[profile];
    rates.profile = profile;
    for (int t = 1; t <= 5; t++) {
        float g[3] = {0.1F * (float)t, -0.3F, 0.05F * (float)(t - 3)};
        o->update(&rates, t, 3, w, g, (float *[CVI_MAX_SLOTS]){slot[0], slot[1]});
    }
    for (int i = 0; i < 3; i++) {
        if (fabs((double)w[i] - (double)want[i]) > 1e-6) {
            fail_msg("%s, profile %d: %.9g, theirs %.9g", name, (int)profile, (double)w[i], (double)want[i]);
        }
    }
}

static void check_loss(const char *name, float smoothing, const float *want) {
    const cvi_loss *loss = cvi_loss_find(name);
    float x[4] = {0.5F, -1.25F, 2, 0};
    double values[CVI_MAX_SETTINGS], gradient[4];
    assert_non_null(loss);
    for (int i = 0; i < CVI_MAX_SETTINGS; i++) {
        values[i] = loss->settings[i].initial;
    }
    values[0] = smoothing > 0 ? (double)smoothing : values[0];
    cvi_loss_row r = {.k = 4, .x = x, .label = 2, .values = values};
    double got = loss->row(&r, gradient);
    if (fabs(got - (double)want[0]) > 1e-6 || fabs(loss->row(&r, NULL) - got) > 1e-12) {
        fail_msg("%s: %.9g, theirs %.9g", name, got, (double)want[0]);
    }
    for (int i = 0; i < 4; i++) {
        if (fabs(gradient[i] - (double)want[1 + i]) > 1e-6) {
            fail_msg("%s, gradient %d: %.9g, theirs %.9g", name, i, gradient[i], (double)want[1 + i]);
        }
    }
}

static void rules(void **state) {
    (void)state;
    static const char *const files[CVI_N_PROFILES] = {"torch.txt", "keras.txt"};
    int seen = 0;
    for (int p = 0; p < CVI_N_PROFILES; p++) {
        char path[4096], kind[40], name[40];
        float setting, v[5];
        test_data(path, sizeof path, "training", files[p]);
        FILE *f = fopen(path, "r");
        assert_non_null(f);
        while (fscanf(f, "%39s %39s %f %f %f %f", kind, name, &setting, v, v + 1, v + 2) == 6) {
            seen++;
            if (strcmp(kind, "optimizer") == 0) {
                check_optimizer(name, (cvi_profile)p, v);
            } else {
                assert_int_equal(fscanf(f, "%f %f", v + 3, v + 4), 2);
                check_loss(name, setting, v);
            }
        }
        fclose(f);
    }
    assert_int_equal(seen, 6 + 7 + 6);
}

/* A network with these statements; reads how it is to be trained. */
static cvs_model *with(const char *statements, cvi_training *out) {
    char text[5000], said[900];
    cvs_error err = {0};
    cvs_model *m = NULL;
    snprintf(text, sizeof text, "input 1x4x4\nfc 2\ntrain {\n%s\n}\n", statements);
    for (char *c = strchr(text, ';'); c; c = strchr(c, ';')) {
        *c = '\n';
    }
    if (cvs_model_open_memory(text, strlen(text), "x.net", NULL, &m, &err) != CVS_OK ||
        cvi_training_read(m, NULL, out, &err) != CVS_OK) {
        fail_msg("%s: %s", statements, cvs_error_text(&err, said, sizeof said));
    }
    return m;
}

/* The rate of each of sixty steps, of one step an epoch, as the libraries' own schedules give it. */
static void schedules(void **state) {
    static const char *const files[] = {"schedules_torch.txt", "schedules_keras.txt"};
    int seen = 0;
    (void)state;
    for (int i = 0; i < 2; i++) {
        char path[4096], line[4096];
        test_data(path, sizeof path, "training", files[i]);
        FILE *f = fopen(path, "r");
        assert_non_null(f);
        for (; fgets(line, sizeof line, f); seen++) {
            char statements[4200], *at = strchr(line, '\t');
            cvi_training training;
            assert_non_null(at);
            *at++ = 0;
            snprintf(statements, sizeof statements, "lr 0.1;%s%s",
                     strncmp(line, "warmup", 6) ? "schedule " : "", line);
            cvs_model *m = with(statements, &training);
            for (int step = 0; step < 60; step++) {
                double want = strtod(at, &at), got = cvi_training_rate(&training, step, 60, 1, step, NULL);
                if (fabs(want - got) > 2e-7) {
                    fail_msg("%s, step %d: %.9g, theirs %.9g", line, step, got, want);
                }
            }
            cvs_model_free(m);
        }
        fclose(f);
    }
    assert_int_equal(seen, 7 + 12);
}

/* What Keras writes into a compiled model about its schedule. */
static void schedules_of_keras_files(void **state) {
    static const struct {
        const char *class_name, *config, *schedule;
        double rate, at_0, at_30;
    } list[] = {
        {"ExponentialDecay",
         "\"initial_learning_rate\": 0.1, \"decay_steps\": 8, \"decay_rate\": 0.7, \"staircase\": true",
         "exponential", 0.1, 0.1, 0.0343},
        {"CosineDecay",
         "\"initial_learning_rate\": 0.02, \"decay_steps\": 40, \"alpha\": 0.05, \"warmup_target\": 0.1, "
         "\"warmup_steps\": 12",
         "cosine", 0.1, 0.02, 0.05993064},
        {"CosineDecay",
         "\"initial_learning_rate\": 0.0, \"decay_steps\": 40, \"warmup_target\": 0.1, \"warmup_steps\": 10",
         "cosine", 0.1, 0, 0.05},
        {"PiecewiseConstantDecay", "\"boundaries\": [5, 20, 30], \"values\": [0.1, 0.05, 0.02, 0.001]",
         "piecewise", 0.1, 0.1, 0.02},
        {"PolynomialDecay",
         "\"initial_learning_rate\": 0.1, \"decay_steps\": 40, \"end_learning_rate\": 0.01, \"power\": 1.0, "
         "\"cycle\": false",
         "polynomial", 0.1, 0.1, 0.0325},
        {"InverseTimeDecay",
         "\"initial_learning_rate\": 0.1, \"decay_steps\": 8, \"decay_rate\": 0.7, \"staircase\": false",
         "inverse", 0.1, 0.1, 0.1 / 3.625},
        {"CosineDecayRestarts",
         "\"initial_learning_rate\": 0.1, \"first_decay_steps\": 30, \"t_mul\": 2.0, \"m_mul\": 0.5",
         "restarts", 0.1, 0.1, 0.05}};
    (void)state;
    for (int i = 0; i < CVI_COUNT(list); i++) {
        char text[3000], said[900];
        cvs_error err = {0};
        cvs_model *m = NULL;
        cvi_training training;
        snprintf(text, sizeof text,
                 "{\"module\": \"keras\", \"class_name\": \"Sequential\", \"config\": {\"name\": \"m\", "
                 "\"layers\": ["
                 "{\"class_name\": \"InputLayer\", \"config\": {\"batch_shape\": [null, 4, 4, 1], \"name\": "
                 "\"i\"}},"
                 "{\"class_name\": \"Flatten\", \"config\": {\"name\": \"f\"}},"
                 "{\"class_name\": \"Dense\", \"config\": {\"name\": \"d\", \"units\": 2, \"activation\": "
                 "\"softmax\"}}]},"
                 "\"compile_config\": {\"loss\": \"sparse_categorical_crossentropy\", \"optimizer\": "
                 "{\"class_name\": \"Adam\","
                 "\"config\": {\"learning_rate\": {\"module\": \"keras.optimizers.schedules\", "
                 "\"class_name\": \"%s\","
                 "\"config\": {%s}}}}}}",
                 list[i].class_name, list[i].config);
        if (cvs_model_open_memory(text, strlen(text), "m.json", NULL, &m, &err) != CVS_OK ||
            cvi_training_read(m, NULL, &training, &err) != CVS_OK) {
            fail_msg("%s: %s", list[i].class_name, cvs_error_text(&err, said, sizeof said));
        }
        assert_string_equal(training.schedule->name, list[i].schedule);
        assert_true(fabs(training.rates.learning_rate - list[i].rate) < 1e-9);
        assert_true(fabs(cvi_training_rate(&training, 0, 60, 6, 0, NULL) - list[i].at_0) < 1e-7);
        if (fabs(cvi_training_rate(&training, 30, 60, 6, 5, NULL) - list[i].at_30) > 1e-7) {
            fail_msg("%s: %.9g at step 30", list[i].class_name,
                     cvi_training_rate(&training, 30, 60, 6, 5, NULL));
        }
        cvs_model_free(m);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(rules), cmocka_unit_test(schedules),
                                       cmocka_unit_test(schedules_of_keras_files)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

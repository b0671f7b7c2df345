/* SPDX-License-Identifier: MIT
 * test_train_rules.c - every optimiser and loss by itself, against the numbers of PyTorch and Keras in tests/data/training
 * (tools/make_training_fixtures.py).
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

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

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(rules)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

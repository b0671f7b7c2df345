/* SPDX-License-Identifier: MIT
 * test_models.h - what tests of text formats share: opening a text under a file's name, the shape of a layer, and a mistake that
 * must be said at its line and column in both languages.
 */
#ifndef TEST_MODELS_H
#define TEST_MODELS_H

#include "convscope/model.h"
#include "convscope/run.h"
#include "test_helpers.h"

static inline cvs_status test_open_text(const char *text, const char *name, cvs_model **model,
                                        cvs_error *err) {
    return cvs_model_open_memory(text, strlen(text), name, NULL, model, err);
}

static inline bool test_is_chinese(const char *s) {
    for (; *s; s++) {
        if ((unsigned char)*s >= 0xe4 && (unsigned char)*s <= 0xe9) {
            return true;
        }
    }
    return false;
}

/* Opens, sums up, and compares the shape of a named layer. */
static inline void test_layer_shape(const char *text, const char *name, const char *layer,
                                    const char *shape) {
    cvs_model *model = NULL;
    cvs_error err = {0};
    cvs_summary sum = {0};
    char line[900];
    if (test_open_text(text, name, &model, &err) != CVS_OK ||
        cvs_model_summarize(model, NULL, CVS_EN, &sum, &err) != CVS_OK) {
        fail_msg("%s", cvs_error_text(&err, line, sizeof line));
    }
    int i = 0;
    while (i < sum.n_layers && strcmp(sum.layers[i].name, layer) != 0) {
        i++;
    }
    if (i == sum.n_layers) {
        fail_msg("no layer %s", layer);
    }
    assert_string_equal(cvs_shape_text(sum.layers[i].rank, sum.layers[i].dim, line, sizeof line), shape);
    cvs_summary_free(&sum);
    cvs_model_free(model);
}

/* column 0: any. `words` stand in the English sentence. */
static inline void test_mistake(const char *text, const char *name, int line, int column, const char *words) {
    cvs_model *model = NULL;
    cvs_error err = {0}, zh = {.lang = CVS_ZH};
    assert_int_not_equal(test_open_text(text, name, &model, &err), CVS_OK);
    assert_null(model);
    if (err.line != line || (column > 0 && err.column != column) || !strstr(err.message, words)) {
        fail_msg("line %d column %d: %s (line %d column %d: %s expected)", err.line, err.column, err.message,
                 line, column, words);
    }
    assert_int_not_equal(test_open_text(text, name, &model, &zh), CVS_OK);
    assert_true(test_is_chinese(zh.message));
}

#endif

/* SPDX-License-Identifier: MIT
 * test_ops_table.c - walks the operator table: no field empty, every text in both languages, names sorted and found, defaults
 * that parse, fast forms complete, and every operator named by a unit test.
 */
#include <dirent.h>

#include "op_harness.h"

static void filled(const cvi_op *op, const char *what, const char *text) {
    if (text == NULL || text[0] == '\0') {
        fail_msg("%s: %s is empty", op->name, what);
    }
}

/* Chinese text: some character beyond Latin, Greek and signs, unless it is a name that stays as it is. */
static bool has_chinese(const char *text) {
    for (const unsigned char *p = (const unsigned char *)text; *p != '\0'; p++) {
        if (*p >= 0xe4 && *p <= 0xe9) {
            return true;
        }
    }
    return false;
}

static void chinese(const cvi_op *op, const char *what, const char *text) {
    filled(op, what, text);
    if (!has_chinese(text)) {
        fail_msg("%s: %s is not Chinese: %s", op->name, what, text);
    }
}

static void test_texts(void **state) {
    (void)state;
    assert_true(cvi_n_ops > 0);
    for (int i = 0; i < cvi_n_ops; i++) {
        const cvi_op *op = cvi_ops[i];
        filled(op, "name", op->name);
        filled(op, "title", op->text.title_en);
        filled(op, "Chinese title", op->text.title_zh);
        filled(op, "sentence", op->text.sentence_en);
        chinese(op, "Chinese sentence", op->text.sentence_zh);
        filled(op, "formula", op->text.formula);
        filled(op, "reading", op->text.reading_en);
        chinese(op, "Chinese reading", op->text.reading_zh);
        size_t n = strlen(op->text.sentence_en);
        if (op->text.sentence_en[n - 1] != '.' || has_chinese(op->text.sentence_en)) {
            fail_msg("%s: not an English sentence: %s", op->name, op->text.sentence_en);
        }
    }
}

static void test_inputs_and_attributes(void **state) {
    (void)state;
    for (int i = 0; i < cvi_n_ops; i++) {
        const cvi_op *op = cvi_ops[i];
        assert_true(op->since >= 1 && op->since <= 28);
        assert_true(op->n_outputs > 0 && op->outputs != NULL);
        assert_true(op->n_inputs == 0 || op->inputs != NULL);
        for (int k = 0; k < op->n_inputs; k++) {
            filled(op, "an input's name", op->inputs[k].name);
            assert_true(!op->inputs[k].variadic || k == op->n_inputs - 1);
        }
        for (int k = 0; k < op->n_outputs; k++) {
            filled(op, "an output's name", op->outputs[k].name);
        }
        for (int k = 0; k < op->n_attrs; k++) {
            const cvi_op_attr *a = &op->attrs[k];
            filled(op, "an attribute's name", a->name);
            filled(op, "an attribute's range", a->range);
            filled(op, "an attribute's meaning", a->en);
            chinese(op, "an attribute's Chinese meaning", a->zh);
            bool number = a->initial != NULL && a->initial[0] != '\0' &&
                          (a->kind == CVI_ATTR_INT || a->kind == CVI_ATTR_FLOAT);
            if (number) {
                char *end = NULL;
                (void)strtod(a->initial, &end);
                if (*end != '\0') {
                    fail_msg("%s: the default of %s is no number: %s", op->name, a->name, a->initial);
                }
            }
        }
    }
}

static void test_functions(void **state) {
    (void)state;
    for (int i = 0; i < cvi_n_ops; i++) {
        const cvi_op *op = cvi_ops[i];
        if (op->infer == NULL || op->forward == NULL) {
            fail_msg("%s has no infer or no forward", op->name);
        }
        if ((op->fast != NULL) != (op->can_fast != NULL) || (op->prepare != NULL) != (op->drop != NULL)) {
            fail_msg("%s: fast and can_fast, prepare and drop come in pairs", op->name);
        }
        assert_ptr_equal(cvi_op_find(op->name), op);
        for (int k = i + 1; k < cvi_n_ops; k++) {
            assert_string_not_equal(op->name, cvi_ops[k]->name);
        }
    }
    assert_null(cvi_op_find("NoSuchOperator"));
}

/* All unit tests but this one, in one text. */
static char *read_tests(const char *folder) {
    cvi_buf all = {0};
    DIR *dir = opendir(folder);
    for (struct dirent *e; dir != NULL && (e = readdir(dir)) != NULL;) {
        size_t n = strlen(e->d_name);
        if (n < 3 || strcmp(e->d_name + n - 2, ".c") != 0 || strcmp(e->d_name, "test_ops_table.c") == 0) {
            continue;
        }
        char *path = cvi_path_join(folder, e->d_name);
        cvi_file f;
        assert_non_null(path);
        assert_int_equal(cvi_file_read(path, NULL, &f, NULL), CVS_OK);
        cvi_buf_add(&all, f.data, f.size);
        cvi_file_close(&f);
        cvi_free(path);
    }
    if (dir != NULL) {
        closedir(dir);
    }
    assert_false(all.failed);
    return all.data;
}

static void test_every_operator_is_tested(void **state) {
    (void)state;
    const char *root = getenv("CVS_SOURCE_ROOT");
    if (root == NULL) {
        print_message("skipped: CVS_SOURCE_ROOT is not set\n");
        skip();
    }
    char *folder = cvi_path_join(root, "tests/unit");
    char *tests = folder == NULL ? NULL : read_tests(folder);
    assert_non_null(tests);
    cvi_buf missing = {0};
    for (int i = 0; i < cvi_n_ops; i++) {
        char quoted[160];
        snprintf(quoted, sizeof quoted, "\"%s\"", cvi_ops[i]->name);
        if (strstr(tests, quoted) == NULL) {
            cvi_buf_printf(&missing, " %s", cvi_ops[i]->name);
        }
    }
    if (missing.size > 0) {
        fail_msg("no unit test names:%s", missing.data);
    }
    cvi_buf_free(&missing);
    cvi_free(tests);
    cvi_free(folder);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_texts),
        cmocka_unit_test(test_inputs_and_attributes),
        cmocka_unit_test(test_functions),
        cmocka_unit_test(test_every_operator_is_tested),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

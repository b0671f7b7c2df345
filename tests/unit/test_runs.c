/* SPDX-License-Identifier: MIT
 * test_runs.c - the record of a run: what is written is read, also half-way and by another process; a folder has one writer; what a killed
 * writer leaves; damaged and hostile files; failing memory and files; a thousand of them.
 */
#include <math.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <sqlite3.h>

#include "convscope/runs.h"
#include "test_helpers.h"
#include "watch/run_store.h"

static const cvs_run_setting settings[] = {{"optimizer", "adam", (double)NAN}, {"learning_rate", "0.5", 0.5}};
static const cvs_run_artifact files[] = {{"model.onnx", "model", 2}, {"best.onnx", "best", 1}};

static cvs_run_record sample(const char *name) {
    return (cvs_run_record){.name = name,
                            .recipe = "digits.net",
                            .data = "mnist:\xe6\x95\xb0",
                            .version = "0.1.0",
                            .seed = UINT64_MAX,
                            .params = 12762,
                            .pictures = 60000,
                            .val_pictures = 10000,
                            .epochs = 3,
                            .steps = 30,
                            .now_loss = (double)NAN,
                            .now_accuracy = (double)NAN,
                            .watched = "val_loss",
                            .n_settings = 2,
                            .settings = settings};
}

static cvs_run_epoch epoch(int number) {
    return (cvs_run_epoch){.epoch = number,
                           .step = 10 * number,
                           .loss = 1.0 / number,
                           .accuracy = 0.5,
                           .val_loss = number == 3 ? (double)NAN : 0.1 + 0.2 * number,
                           .val_accuracy = number == 3 ? (double)NAN : 0.25,
                           .learning_rate = 1e-3,
                           .seconds = 1.5};
}

static cvi_run_store *begin(const char *folder, bool go_on, const cvs_run_record *what) {
    cvs_error err = {0};
    cvi_run_store *s = NULL;
    cvi_run_begin b = {.what = what, .go_on = go_on, .threads = 2, .ranks = 1};
    OK(cvi_run_store_begin(folder, &b, &s, &err));
    return s;
}

static void write_epochs(cvi_run_store *s, cvs_run_record *what, int from, int to) {
    cvs_error err = {0};
    for (int i = from; i <= to; i++) {
        cvs_run_epoch row = epoch(i);
        what->step = row.step;
        what->best_epoch = 1;
        what->best = 0.1 + 0.2;
        what->files = files;
        what->n_files = 2;
        OK(cvi_run_store_epoch(s, what, &row, &err));
    }
}

/* A run of so many epochs that has ended in that state. */
static void record(const char *folder, cvs_run_record *what, int n_epochs, cvs_run_state state) {
    cvs_error err = {0};
    cvi_run_store *s = begin(folder, false, what);
    write_epochs(s, what, 1, n_epochs);
    OK(cvi_run_store_end(s, what, state, "", &err));
}

static cvs_runs *open_runs(const char *folder, int n) {
    cvs_error err = {0};
    cvs_runs *runs = NULL;
    OK(cvs_runs_open(folder, NULL, &runs, &err));
    assert_int_equal(cvs_runs_count(runs), n);
    return runs;
}

/* Everything that goes in comes out, bit for bit; NaN too; while it goes on and when it has ended. */
static void test_round_trip(void **state) {
    (void)state;
    char folder[256];
    cvs_error err = {0};
    test_folder(folder);
    cvs_run_record what = sample("a run");
    cvi_run_store *s = begin(folder, false, &what);
    cvs_runs *runs = open_runs(folder, 1);
    assert_int_equal(cvs_runs_get(runs, 0)->state, CVS_RUN_RUNNING);
    assert_int_equal(cvs_runs_get(runs, 0)->n_epochs, 0);
    write_epochs(s, &what, 1, 3);
    bool changed = false;
    OK(cvs_runs_refresh(runs, &changed, &err));
    assert_true(changed);
    const cvs_run_record *r = cvs_runs_get(runs, 0);
    assert_int_equal(r->n_epochs, 3);
    assert_true(isnan(r->list[2].val_loss) && isnan(r->now_loss));
    double sum = 0.1 + 0.2;
    assert_memory_equal(&r->list[0].val_loss, &sum, sizeof sum);
    assert_memory_equal(&r->best, &sum, sizeof sum);
    OK(cvi_run_store_end(s, &what, CVS_RUN_FINISHED, "", &err));
    OK(cvs_runs_refresh(runs, &changed, &err));
    r = cvs_runs_get(runs, 0);
    assert_int_equal(r->state, CVS_RUN_FINISHED);
    assert_true(r->ended >= r->started && r->started > 1e9);
    assert_true(r->seed == UINT64_MAX);
    assert_string_equal(r->name, "a run");
    assert_string_equal(r->data, "mnist:\xe6\x95\xb0");
    assert_string_equal(cvs_run_record_setting(r, "learning_rate"), "0.5");
    assert_true(r->settings[1].number == 0.5 && isnan(r->settings[0].number));
    assert_null(cvs_run_record_setting(r, "nothing"));
    assert_int_equal(r->n_files, 2);
    assert_string_equal(r->files[1].kind, "best");
    assert_int_equal(r->n_sessions, 1);
    assert_int_equal(r->sessions[0].pid, getpid());
    assert_int_equal(strlen(r->id), 16);
    OK(cvs_runs_refresh(runs, &changed, &err));
    assert_false(changed);
    char wal[300];
    snprintf(wal, sizeof wal, "%s/run.sqlite-wal", folder);
    assert_false(cvi_is_file(wal));
    cvs_runs_free(runs);
    test_remove(folder);
}

/* Going on keeps id, start and sessions, and the epochs that the checkpoint knows; beginning anew keeps nothing. */
static void test_go_on(void **state) {
    (void)state;
    char folder[256], id[20];
    cvs_error err = {0};
    test_folder(folder);
    cvs_run_record what = sample("r");
    record(folder, &what, 3, CVS_RUN_STOPPED);
    cvs_runs *runs = open_runs(folder, 1);
    snprintf(id, sizeof id, "%s", cvs_runs_get(runs, 0)->id);
    cvs_run_epoch known[] = {epoch(1), epoch(2)};
    what.list = known;
    what.n_epochs = 2;
    cvi_run_store *s = begin(folder, true, &what);
    OK(cvs_runs_refresh(runs, NULL, &err));
    const cvs_run_record *r = cvs_runs_get(runs, 0);
    assert_string_equal(r->id, id);
    assert_int_equal(r->n_epochs, 2);
    assert_int_equal(r->n_sessions, 2);
    assert_string_equal(r->sessions[0].status, "stopped");
    OK(cvi_run_store_end(s, &what, CVS_RUN_FAILED, "the loss is no number", &err));
    OK(cvs_runs_refresh(runs, NULL, &err));
    assert_string_equal(cvs_runs_get(runs, 0)->message, "the loss is no number");
    what.list = NULL;
    what.n_epochs = 0;
    s = begin(folder, false, &what);
    OK(cvs_runs_refresh(runs, NULL, &err));
    r = cvs_runs_get(runs, 0);
    assert_string_not_equal(r->id, id);
    assert_true(r->n_epochs == 0 && r->n_sessions == 1 && r->message[0] == 0);
    OK(cvi_run_store_end(s, &what, CVS_RUN_FINISHED, "", &err));
    cvs_runs_free(runs);
    test_remove(folder);
}

static void test_one_writer(void **state) {
    (void)state;
    char folder[256];
    cvs_error err = {0};
    test_folder(folder);
    cvs_run_record what = sample("r");
    cvi_run_store *s = begin(folder, false, &what), *second = NULL;
    cvi_run_begin b = {.what = &what, .threads = 1, .ranks = 1};
    assert_int_equal(cvi_run_store_begin(folder, &b, &second, &err), CVS_E_ARGUMENT);
    assert_non_null(strstr(err.message, "another process"));
    assert_null(second);
    OK(cvi_run_store_end(s, &what, CVS_RUN_FINISHED, "", &err));
    s = begin(folder, false, &what);
    OK(cvi_run_store_end(s, &what, CVS_RUN_FINISHED, "", &err));
    test_remove(folder);
}

/* A process is killed at some moment: what it committed is there, and the run is said to be killed. */
static void test_killed(void **state) {
    (void)state;
    for (int round = 0; round < 12; round++) {
        char folder[256], byte;
        int pipes[2];
        test_folder(folder);
        assert_int_equal(pipe(pipes), 0);
        pid_t child = fork();
        if (child == 0) {
            cvs_error err = {0};
            cvs_run_record what = sample("r");
            cvi_run_store *s = NULL;
            cvi_run_begin b = {.what = &what, .threads = 1, .ranks = 1};
            if (cvi_run_store_begin(folder, &b, &s, &err) != CVS_OK) {
                _exit(1);
            }
            for (int i = 1;; i++) {
                cvs_run_epoch row = epoch(i);
                if (cvi_run_store_epoch(s, &what, &row, &err) != CVS_OK || write(pipes[1], "x", 1) != 1) {
                    _exit(1);
                }
            }
        }
        close(pipes[1]);
        int committed = 0;
        while (committed < 1 + round * 3 && read(pipes[0], &byte, 1) == 1) {
            committed++;
        }
        usleep((useconds_t)(round * 137));
        kill(child, SIGKILL);
        int status;
        waitpid(child, &status, 0);
        assert_true(WIFSIGNALED(status));
        while (read(pipes[0], &byte, 1) == 1) {
            committed++;
        }
        close(pipes[0]);
        cvs_runs *runs = open_runs(folder, 1);
        const cvs_run_record *r = cvs_runs_get(runs, 0);
        assert_int_equal(r->state, CVS_RUN_KILLED);
        assert_true(r->n_epochs == committed || r->n_epochs == committed + 1);
        for (int i = 0; i < r->n_epochs; i++) {
            assert_int_equal(r->list[i].epoch, i + 1);
        }
        cvs_runs_free(runs);
        test_remove(folder);
    }
}

static void sql(const char *path, const char *text) {
    sqlite3 *db = NULL;
    char *why = NULL;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    if (sqlite3_exec(db, text, NULL, NULL, &why) != SQLITE_OK) {
        fail_msg("%s: %s", text, why);
    }
    sqlite3_close(db);
}

/* Somebody else's file: a note, never more. */
static void test_hostile(void **state) {
    (void)state;
    static const char *const attacks[] = {
        "DROP TABLE run; CREATE VIEW run AS WITH RECURSIVE c(x) AS (VALUES(1) UNION ALL SELECT x+1 FROM c) "
        "SELECT x FROM c",
        "CREATE TRIGGER t AFTER UPDATE ON run BEGIN DELETE FROM epochs; END",
        "CREATE VIEW v AS SELECT 1",
        "CREATE TABLE more (a)",
        "CREATE INDEX i ON epochs (abs(loss))",
        "DROP TABLE epochs; CREATE TABLE epochs (epoch INTEGER PRIMARY KEY, step AS "
        "(hex(zeroblob(500000000))), loss REAL, "
        "accuracy REAL, val_loss REAL, val_accuracy REAL, learning_rate REAL, seconds REAL)",
        "PRAGMA user_version=2",
        "PRAGMA application_id=1",
        "DELETE FROM run",
        "UPDATE run SET recipe = hex(zeroblob(3000000))",
        "WITH RECURSIVE c(x) AS (VALUES(1) UNION ALL SELECT x+1 FROM c WHERE x < 200000) INSERT INTO "
        "settings SELECT x, x, x FROM c",
        "PRAGMA writable_schema=ON; UPDATE sqlite_schema SET rootpage = 2 WHERE name = 'epochs'; DELETE FROM "
        "run",
    };
    for (int i = 0; i < CVI_COUNT(attacks); i++) {
        char folder[256], path[300];
        cvs_error err = {0};
        test_folder(folder);
        cvs_run_record what = sample("r");
        record(folder, &what, 3, CVS_RUN_FINISHED);
        snprintf(path, sizeof path, "%s/run.sqlite", folder);
        sql(path, attacks[i]);
        cvs_runs *runs = NULL;
        OK(cvs_runs_open(folder, NULL, &runs, &err));
        if (cvs_runs_count(runs) != 0 || !cvs_runs_note(runs, 0)) {
            fail_msg("read in spite of: %s", attacks[i]);
        }
        cvs_runs_free(runs);
        /* and a run that begins there is a whole one again */
        record(folder, &what, 2, CVS_RUN_FINISHED);
        cvs_runs_free(open_runs(folder, 1));
        test_remove(folder);
    }
}

/* Every byte range spoilt in turn: read, or a note. */
static void test_damaged(void **state) {
    (void)state;
    char folder[256], path[300];
    cvs_error err = {0};
    test_folder(folder);
    cvs_run_record what = sample("r");
    record(folder, &what, 3, CVS_RUN_FINISHED);
    snprintf(path, sizeof path, "%s/run.sqlite", folder);
    cvi_file whole = {0};
    OK(cvi_file_read(path, NULL, &whole, &err));
    uint8_t *bytes = malloc(whole.size);
    int read_well = 0, noted = 0;
    for (size_t i = 0; i < 300; i++) {
        memcpy(bytes, whole.data, whole.size);
        size_t n = i % 10 == 9 ? whole.size * (i / 10) / 31 : whole.size; /* or cut off */
        for (size_t k = 0; k < 1 + i % 40 && i % 10 != 9; k++) {
            bytes[cvi_random_bits(7, i, 2 * k) % (i % 3 ? whole.size : 4096)] ^=
                (uint8_t)cvi_random_bits(7, i, 2 * k + 1);
        }
        OK(cvi_file_write(path, bytes, n, &err));
        cvs_runs *runs = NULL;
        OK(cvs_runs_open(folder, NULL, &runs, &err));
        read_well += cvs_runs_count(runs);
        noted += cvs_runs_note(runs, 0) != NULL;
        assert_int_equal(cvs_runs_count(runs) + (cvs_runs_note(runs, 0) != NULL), 1);
        cvs_runs_free(runs);
    }
    assert_true(read_well > 0 && noted > 50);
    free(bytes);
    cvi_file_close(&whole);
    test_remove(folder);
}

/* Any allocation or file access may fail. */
static void test_failures_are_sentences(void **state) {
    (void)state;
    for (int kind = 0; kind < 2; kind++) {
        for (int k = 0; k < 400; k++) {
            char folder[256];
            cvs_error err = {0};
            test_folder(folder);
            cvs_run_record what = sample("r");
            what.files = files;
            what.n_files = 2;
            cvi_run_store *s = NULL;
            cvs_runs *runs = NULL;
            cvi_run_begin b = {.what = &what, .threads = 1, .ranks = 1};
            cvs_run_epoch row = epoch(1);
            test_fail_from(kind == 0 ? k : -1, kind == 1 ? k : -1);
            cvs_status status = cvi_run_store_begin(folder, &b, &s, &err);
            if (status == CVS_OK) {
                status = cvi_run_store_epoch(s, &what, &row, &err);
                cvs_status ended =
                    cvi_run_store_end(s, &what, CVS_RUN_FINISHED, "", status == CVS_OK ? &err : NULL);
                status = status == CVS_OK ? ended : status;
            }
            if (status == CVS_OK) {
                status = cvs_runs_open(folder, NULL, &runs, &err);
                cvs_runs_free(status == CVS_OK ? runs : NULL);
            }
            bool failed = test_failures.failed;
            cvi_set_hooks(NULL);
            assert_true(status == CVS_OK || err.message[0]);
            test_remove(folder);
            if (!failed) {
                assert_int_equal(status, CVS_OK);
                assert_true(k > 3);
                break;
            }
            assert_true(k < 399);
        }
    }
}

/* Found at any depth, in the order of their numbers; not below another run. */
static void test_many(void **state) {
    (void)state;
    char folder[256], path[300], name[400];
    cvs_error err = {0};
    test_folder(folder);
    for (int i = 0; i < 30; i++) {
        snprintf(path, sizeof path, i % 2 ? "%s/run_%d" : "%s/a/b/run_%d", folder, i);
        OK(cvi_make_folder(path, &err));
        cvs_run_record what = sample(cvi_path_base(path));
        record(path, &what, 0, CVS_RUN_FINISHED);
    }
    snprintf(name, sizeof name, "%s/inside", path);
    OK(cvi_make_folder(name, &err));
    cvs_run_record what = sample("inside");
    record(name, &what, 0, CVS_RUN_FINISHED);
    cvs_runs *runs = open_runs(folder, 30);
    assert_string_equal(cvs_runs_get(runs, 0)->folder, "a/b/run_0");
    assert_string_equal(cvs_runs_get(runs, 1)->folder, "a/b/run_2");
    assert_string_equal(cvs_runs_get(runs, 14)->folder, "a/b/run_28");
    assert_string_equal(cvs_runs_get(runs, 15)->folder, "run_1");
    assert_null(cvs_runs_get(runs, 30));
    test_remove(path);
    bool changed = false;
    OK(cvs_runs_refresh(runs, &changed, &err));
    assert_true(changed);
    assert_int_equal(cvs_runs_count(runs), 29);
    cvs_runs_free(runs);
    cvs_runs *none = NULL;
    assert_int_equal(cvs_runs_open(path, NULL, &none, &err), CVS_E_IO);
    test_remove(folder);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip), cmocka_unit_test(test_go_on),
        cmocka_unit_test(test_one_writer), cmocka_unit_test(test_killed),
        cmocka_unit_test(test_hostile),    cmocka_unit_test(test_damaged),
        cmocka_unit_test(test_many),       cmocka_unit_test(test_failures_are_sentences),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT
 * test_train_kill.c - a run that is killed a hundred times, with SIGKILL, ends with the bytes of one that nobody interrupted. No clock is involved:
 * a process of its own ends at its k-th event, where an event is a step, a write, a sync or a rename, so every place between two of them comes
 * to be the last one. write, fsync and rename are this program's own, which count and then do what they are for. And a full disk: every
 * write of a run fails once, with a sentence, and the run goes on from what it had.
 */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "convscope/train.h"
#include "test_helpers.h"

enum { SIDE = 8, PICTURES = 120, KILLS = 100 };

static int events, kill_at, fail_at; /* 0: never */
static bool failed;

/* One more event: whether this one is to fail. */
static bool count(bool may_fail) {
    events++;
    if (kill_at > 0 && events == kill_at) {
        kill(getpid(), SIGKILL);
    }
    bool fails = may_fail && fail_at > 0 && events >= fail_at;
    failed = failed || fails;
    errno = fails ? ENOSPC : errno;
    return fails;
}

ssize_t write(int fd, const void *data, size_t n) {
    return fd > 2 && count(true) ? -1 : (ssize_t)syscall(SYS_write, fd, data, n);
}

int fsync(int fd) {
    (void)fd; /* a process that is killed loses nothing that it wrote: only the power could */
    return count(true) ? -1 : 0;
}

int rename(const char *from, const char *to) {
    return count(false) ? -1 : (int)syscall(SYS_renameat2, -100 /* AT_FDCWD */, from, -100, to, 0);
}

static bool on_step(void *context, const cvs_train_step *step) {
    (void)context;
    (void)step;
    count(false);
    return true;
}

static const char recipe[] =
    "input 1x8x8\nconv 3 k3\nbn\nrelu\nmaxpool\ndropout 0.2\nfc 10\n"
    "train {\n optimizer adam lr=0.01\n schedule plateau patience=1\n batch 16\n epochs 6\n seed 4\n"
    " augment shift=1 mixup=0.3\n}\n";

/* A set as two .npy files: three classes of noisy bars. */
static void write_set(const char *folder, char spec[700]) {
    static uint8_t pixels[PICTURES * SIDE * SIDE], labels[PICTURES];
    char x[300], y[300];
    cvs_error err = {0};
    for (int i = 0; i < PICTURES; i++) {
        labels[i] = (uint8_t)(i % 3);
        for (int k = 0; k < SIDE * SIDE; k++) {
            int bar = i % 3 == 0 ? k % SIDE : i % 3 == 1 ? k / SIDE : (k % SIDE + k / SIDE) % SIDE;
            pixels[i * SIDE * SIDE + k] = (uint8_t)((bar == i % 5 ? 180 : 30) + (i * 7 + k * 13) % 50);
        }
    }
    cvs_tensor p = {
        .dtype = CVS_U8, .rank = 3, .dim = {PICTURES, SIDE, SIDE}, .data = pixels, .bytes = sizeof pixels};
    cvs_tensor l = {.dtype = CVS_U8, .rank = 1, .dim = {PICTURES}, .data = labels, .bytes = sizeof labels};
    snprintf(x, sizeof x, "%.200s/x.npy", folder);
    snprintf(y, sizeof y, "%.200s/y.npy", folder);
    assert_int_equal(cvs_npy_write(x, &p, &err), CVS_OK);
    assert_int_equal(cvs_npy_write(y, &l, &err), CVS_OK);
    snprintf(spec, 700, "npy:%s,%s", x, y);
}

/* The whole run, or what is left of it. Checkpoints come after every step. */
static cvs_status train(const char *net, const char *spec, const char *run, int threads, cvs_error *err) {
    cvs_train_options o = {.threads = threads, .resume = true, .save_seconds = 1e-9, .on_step = on_step};
    return cvs_train(net, spec, run, &o, NULL, err);
}

static void same(const char *a, const char *b, const char *name) {
    char one[400], two[400];
    cvi_file x = {0}, y = {0};
    cvs_error err = {0};
    snprintf(one, sizeof one, "%.300s/%s", a, name);
    snprintf(two, sizeof two, "%.300s/%s", b, name);
    assert_int_equal(cvi_file_read(one, NULL, &x, &err), CVS_OK);
    assert_int_equal(cvi_file_read(two, NULL, &y, &err), CVS_OK);
    if (x.size != y.size || memcmp(x.data, y.data, x.size) != 0) {
        fail_msg("%s differs after interruptions", name);
    }
    cvi_file_close(&x);
    cvi_file_close(&y);
}

typedef struct place {
    char folder[256], net[300], spec[700], whole[300], parts[300];
} place;

static void begin(place *p) {
    cvs_error err = {0};
    kill_at = fail_at = 0;
    test_folder(p->folder);
    snprintf(p->net, sizeof p->net, "%s/r.net", p->folder);
    snprintf(p->whole, sizeof p->whole, "%s/whole", p->folder);
    snprintf(p->parts, sizeof p->parts, "%s/parts", p->folder);
    assert_int_equal(cvs_file_write(p->net, recipe, strlen(recipe), &err), CVS_OK);
    write_set(p->folder, p->spec);
    char text[900];
    if (train(p->net, p->spec, p->whole, 2, &err) != CVS_OK) {
        fail_msg("%s", cvs_error_text(&err, text, sizeof text));
    }
}

static void compare(const place *p) {
    same(p->whole, p->parts, "model.onnx");
    same(p->whole, p->parts, "best.onnx");
    same(p->whole, p->parts,
         "state.safetensors"); /* weights, buffers, history, and what is doubted of labels */
}

static void killed(void **state) {
    (void)state;
    place p;
    begin(&p);
    int kills = 0, ended = 0;
    for (int life = 0; kills < KILLS && ended < 30; life++) { /* a run that came to its end is begun anew */
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            cvs_error err = {0};
            events = 0;
            kill_at = 1 + life * 29 % 61;
            _exit(train(p.net, p.spec, p.parts, 1 + life % 3, &err) == CVS_OK ? 0 : 1);
        }
        int status = 0;
        assert_int_equal(waitpid(child, &status, 0), child);
        bool by_us = WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
        if (!by_us && !(WIFEXITED(status) && WEXITSTATUS(status) == 0)) {
            fail_msg("life %d ended with status %d", life, status);
        }
        kills += by_us;
        if (!by_us) {
            compare(&p);
            ended++;
            snprintf(p.parts, sizeof p.parts, "%s/parts%d", p.folder, ended);
        }
    }
    assert_int_equal(kills, KILLS);
    cvs_error err = {0};
    assert_int_equal(train(p.net, p.spec, p.parts, 2, &err), CVS_OK);
    compare(&p);
    print_message("%d kills, %d runs to their end\n", kills, ended + 1);
}

/* From the k-th write on the disk is full. Then there is room again. */
static void full_disk(void **state) {
    (void)state;
    place p;
    begin(&p);
    int said = 0;
    for (int k = 1; k < 200; k += 9) {
        cvs_error err = {0};
        char text[900];
        events = 0;
        failed = false;
        fail_at = k;
        cvs_status s = train(p.net, p.spec, p.parts, 2, &err);
        fail_at = 0;
        if (s == CVS_OK) { /* it came to its end before the disk was full */
            assert_false(failed);
            break;
        }
        said++;
        cvs_error_text(&err, text, sizeof text);
        assert_int_equal(s, CVS_E_IO);
        assert_true(strlen(err.message) > 10 && strstr(text, p.parts));
    }
    assert_true(said >= 5);
    cvs_error err = {0};
    assert_int_equal(train(p.net, p.spec, p.parts, 3, &err), CVS_OK);
    compare(&p);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(killed), cmocka_unit_test(full_disk)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

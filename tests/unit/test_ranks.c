/* SPDX-License-Identifier: MIT
 * test_ranks.c - training by several processes, here threads that exchange numbers in memory: any number of them gives the bytes of one, with
 * and without BatchNormalization, clipping and a last batch smaller than the shards; failures of one end all with its sentence.
 */
#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "convscope/train.h"
#include "test_helpers.h"

/* ---- a cvs_comm of threads -------------------------------------------------------------------------------- */

enum { MOST = 9 };
typedef struct hall {
    pthread_barrier_t barrier;
    int size;
    const void *there[MOST];
    const int *counts[MOST];
} hall;
typedef struct seat {
    hall *h;
    int rank;
} seat;

static void show(seat *s, const void *data, const int *counts) {
    s->h->there[s->rank] = data;
    s->h->counts[s->rank] = counts;
    pthread_barrier_wait(&s->h->barrier);
}

static void leave(const seat *s) {
    pthread_barrier_wait(&s->h->barrier);
}

static bool all_to_all(void *context, const float *send, const int *send_counts, float *receive,
                       const int *receive_counts) {
    seat *s = context;
    show(s, send, send_counts);
    for (int r = 0; r < s->h->size; r++) {
        const float *from = s->h->there[r];
        for (int k = 0; k < s->rank; k++) {
            from += s->h->counts[r][k];
        }
        assert_int_equal(s->h->counts[r][s->rank], receive_counts[r]);
        memcpy(receive, from, (size_t)receive_counts[r] * sizeof *receive);
        receive += receive_counts[r];
    }
    leave(s);
    return true;
}

static bool all_gather(void *context, float *data, const int *counts) {
    seat *s = context;
    show(s, data, counts);
    int64_t at = 0;
    for (int r = 0; r < s->h->size; r++) {
        if (r != s->rank) {
            memcpy(data + at, (const float *)s->h->there[r] + at, (size_t)counts[r] * sizeof *data);
        }
        at += counts[r];
    }
    leave(s);
    return true;
}

static bool sum(void *context, double *v, int n) {
    seat *s = context;
    double *all = malloc((size_t)n * sizeof *all);
    show(s, v, NULL);
    for (int i = 0; i < n; i++) {
        all[i] = 0;
        for (int r = s->h->size - 1; r >= 0; r--) { /* the order must not matter */
            all[i] += ((const double *)s->h->there[r])[i];
        }
    }
    leave(s);
    memcpy(v, all, (size_t)n * sizeof *all);
    free(all);
    return true;
}

static bool broadcast(void *context, int from, void *data, int64_t bytes) {
    seat *s = context;
    show(s, data, NULL);
    if (s->rank != from) {
        memcpy(data, s->h->there[from], (size_t)bytes);
    }
    leave(s);
    return true;
}

/* ---- runs --------------------------------------------------------------------------------------------------- */

typedef struct one {
    pthread_t thread;
    seat s;
    cvs_comm comm;
    cvs_train_options options;
    const char *net, *data, *run;
    cvs_status status;
    cvs_error err;
} one;

static void *train(void *context) {
    one *o = context;
    o->status = cvs_train(o->net, o->data, o->run, &o->options, NULL, &o->err);
    return NULL;
}

/* Trains with so many processes; `each` may change a process's options. */
static void train_with(int size, const cvs_train_options *options, const char *net, const char *data,
                       const char *run, void (*each)(one *o, int rank), one *out) {
    hall h = {.size = size};
    pthread_barrier_init(&h.barrier, NULL, (unsigned)size);
    for (int r = 0; r < size; r++) {
        out[r] = (one){.s = {&h, r}, .options = *options, .net = net, .data = data, .run = run};
        out[r].comm = (cvs_comm){r, size, size, all_to_all, all_gather, sum, broadcast, &out[r].s};
        out[r].options.comm = &out[r].comm;
        out[r].options.threads = 1 + r % 2;
        if (each) {
            each(&out[r], r);
        }
    }
    for (int r = 0; r < size; r++) {
        pthread_create(&out[r].thread, NULL, train, &out[r]);
    }
    for (int r = 0; r < size; r++) {
        pthread_join(out[r].thread, NULL);
    }
    pthread_barrier_destroy(&h.barrier);
}

static char folder[256];

static const char *place(const char *name, char out[400]) {
    snprintf(out, 400, "%s/%s", folder, name);
    return out;
}

static void write_net(const char *name, const char *body, const char *training) {
    char path[400], text[2000];
    cvs_error err = {0};
    snprintf(text, sizeof text, "input 1x28x28\n%s\ntrain {\n seed 2\n batch 30\n epochs 2\n%s\n}\n", body,
             training);
    assert_int_equal(cvi_file_write(place(name, path), text, strlen(text), &err), CVS_OK);
}

static void same_file(const char *a, const char *b, const char *name) {
    char p[400], q[400];
    cvi_file x = {0}, y = {0};
    cvs_error err = {0};
    snprintf(p, sizeof p, "%s/%s/%s", folder, a, name);
    snprintf(q, sizeof q, "%s/%s/%s", folder, b, name);
    assert_int_equal(cvi_file_read(p, NULL, &x, &err), CVS_OK);
    assert_int_equal(cvi_file_read(q, NULL, &y, &err), CVS_OK);
    if (x.size != y.size || memcmp(x.data, y.data, x.size) != 0) {
        fail_msg("%s of %s and %s differ", name, a, b);
    }
    cvi_file_close(&x);
    cvi_file_close(&y);
}

static int make_folder(void **state) {
    (void)state;
    test_folder(folder);
    return 0;
}

static int remove_all(void **state) {
    (void)state;
    test_remove(folder);
    return 0;
}

static void good(const one *list, int n) {
    for (int r = 0; r < n; r++) {
        char text[900];
        if (list[r].status != CVS_OK) {
            fail_msg("process %d: %s", r, cvs_error_text(&list[r].err, text, sizeof text));
        }
    }
}

static const char plain_net[] = "conv 6 k5 s2\nrelu\nconv 8 k3\nrelu\ngap\nfc 10";
static const char normal_net[] = "conv 6 k5 s2 nobias\nbn\nrelu\ndropout 0.3\ngap\nfc 10";

/* 157 pictures in batches of 30: the last one has 7, fewer than shards. */
static void check_same(const char *body, const char *training, const cvs_train_options *options,
                       const char *alone) {
    char net[400], run[400], name[40];
    cvs_error err = {0};
    one list[MOST];
    write_net("n.net", body, training);
    place("n.net", net);
    cvs_train_options o = *options;
    o.limit = 157;
    if (alone) {
        cvs_train_options single = o;
        single.shards = strstr(body, "bn") ? 8 : 0;
        assert_int_equal(cvs_train(net, "generated:digits", place(alone, run), &single, NULL, &err), CVS_OK);
    }
    static const int sizes[] = {1, 2, 3, 8};
    for (int i = 0; i < CVI_COUNT(sizes); i++) {
        snprintf(name, sizeof name, "ranks%d", sizes[i]);
        train_with(sizes[i], &o, net, "generated:digits", place(name, run), NULL, list);
        good(list, sizes[i]);
        same_file(i > 0 ? "ranks1" : alone ? alone : "ranks1", name, "state.safetensors");
        same_file(i > 0 ? "ranks1" : alone ? alone : "ranks1", name, "model.onnx");
        same_file(i > 0 ? "ranks1" : alone ? alone : "ranks1", name, "best.onnx");
    }
}

static void test_any_number_gives_the_same_bytes(void **state) {
    (void)state;
    check_same(plain_net, " optimizer adam", &(cvs_train_options){0}, "alone");
}

static void test_clipping_and_augmentation(void **state) {
    (void)state;
    check_same(plain_net,
               " optimizer momentum lr=0.1\n clip norm=0.5\n penalty l2=0.001\n augment shift=2 rotate=10",
               &(cvs_train_options){.no_events = true}, "alone_clip");
}

static void test_normalisation_by_shard(void **state) {
    (void)state;
    check_same(normal_net, " optimizer adam", &(cvs_train_options){0}, "alone_bn");
}

/* Without shards a plain run normalises by the whole batch, as it always did: other bytes. */
static void test_shards_are_a_setting(void **state) {
    (void)state;
    char net[400], run[400];
    cvs_error err = {0};
    write_net("s.net", normal_net, " optimizer adam");
    cvs_train_options o = {.limit = 120, .no_events = true, .resume = true};
    assert_int_equal(cvs_train(place("s.net", net), "generated:digits", place("whole", run), &o, NULL, &err),
                     CVS_OK);
    o.shards = 4;
    assert_int_equal(cvs_train(net, "generated:digits", run, &o, NULL, &err), CVS_E_ARGUMENT);
    assert_non_null(strstr(err.message, "shards"));
    write_net("s.net", normal_net, " optimizer adam\n shards 4");
    o.shards = 0;
    assert_int_equal(cvs_train(net, "generated:digits", place("four", run), &o, NULL, &err), CVS_OK);
    o.shards = 4;
    assert_int_equal(cvs_train(net, "generated:digits", run, &o, NULL, &err),
                     CVS_OK); /* the same, and done */
}

/* Stopped by one, gone on with another number: the bytes of a run that nobody stopped. */
static bool stops_after_7(void *context, const cvs_train_step *step) {
    int64_t *left = context;
    return step->epoch_ended || --*left > 0;
}

static int64_t left_of_rank_1;

static void rank_1_stops(one *o, int rank) {
    if (rank == 1) {
        left_of_rank_1 = 7;
        o->options.on_step = stops_after_7;
        o->options.context = &left_of_rank_1;
    }
}

static void test_stop_and_resume(void **state) {
    (void)state;
    char net[400], run[400];
    one list[MOST];
    write_net("r.net", plain_net, " optimizer adam");
    place("r.net", net);
    cvs_train_options o = {.limit = 157, .resume = true};
    train_with(2, &o, net, "generated:digits", place("r_whole", run), NULL, list);
    good(list, 2);
    train_with(3, &o, net, "generated:digits", place("r_cut", run), rank_1_stops, list);
    good(list, 3);
    train_with(2, &o, net, "generated:digits", run, NULL, list);
    good(list, 2);
    same_file("r_whole", "r_cut", "state.safetensors");
    same_file("r_whole", "r_cut", "model.onnx");
    same_file("r_whole", "r_cut", "best.onnx");
}

static void all_fail(const one *list, int n, cvs_status status, const char *said) {
    for (int r = 0; r < n; r++) {
        if (list[r].status != status || !strstr(list[r].err.message, said)) {
            fail_msg("process %d: status %d: %s", r, list[r].status, list[r].err.message);
        }
    }
}

static void rank_2_has_other_data(one *o, int rank) {
    if (rank == 2) {
        o->options.limit = 60;
    }
}

static void rank_1_has_no_data(one *o, int rank) {
    if (rank == 1) {
        o->data = "mnist:/nowhere at all";
    }
}

static void test_failures_end_all(void **state) {
    (void)state;
    char net[400], run[400], file[400];
    one list[MOST];
    cvs_error err = {0};
    write_net("f.net", plain_net, " optimizer adam");
    place("f.net", net);
    place("failed", run);
    cvs_train_options o = {.limit = 157};
    train_with(9, &o, net, "generated:digits", run, NULL, list);
    all_fail(list, 9, CVS_E_ARGUMENT, "9 processes are too many");
    train_with(3, &o, net, "generated:digits", run, rank_2_has_other_data, list);
    all_fail(list, 3, CVS_E_ARGUMENT, "process 2 has other data");
    train_with(2, &o, net, "generated:digits", run, rank_1_has_no_data, list);
    assert_int_not_equal(list[0].status, CVS_OK);
    all_fail(list, 2, list[1].status, list[1].err.message);
    write_net("f.net", "flatten\nfc 10", " optimizer sgd lr=1000\n loss mse");
    o.epochs = 20;
    train_with(2, &o, net, "generated:digits", run, NULL, list);
    all_fail(list, 2, CVS_E_ARGUMENT, "no number any more");
    /* the writer cannot write */
    assert_int_equal(cvi_file_write(place("file", file), "x", 1, &err), CVS_OK);
    write_net("f.net", plain_net, " optimizer adam");
    train_with(2, &o, net, "generated:digits", file, NULL, list);
    assert_int_not_equal(list[0].status, CVS_OK);
    all_fail(list, 2, list[0].status, list[0].err.message);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_any_number_gives_the_same_bytes),
        cmocka_unit_test(test_clipping_and_augmentation),
        cmocka_unit_test(test_normalisation_by_shard),
        cmocka_unit_test(test_shards_are_a_setting),
        cmocka_unit_test(test_stop_and_resume),
        cmocka_unit_test(test_failures_end_all),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_all);
}

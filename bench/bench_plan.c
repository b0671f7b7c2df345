/* SPDX-License-Identifier: MIT
 * bench_plan.c - milliseconds of every step of a forward pass, in the order of the graph, and of the whole pass. Weights are random
 * where the file has none. Not a test: machines are noisy, so the minimum of the repetitions is shown.
 * usage: bench_plan MODEL [all|answer|gradients [BATCH [THREADS [REPETITIONS [PART-KIB [steps]]]]]]
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "convscope/convscope.h"
#include "engine/engine.h"

enum { MOST_STEPS = 4096 };

typedef struct watch {
    int at, steps;
    const char *name[MOST_STEPS];
    double began, spent[MOST_STEPS],
        best[MOST_STEPS]; /* spent: in this pass; a step may run several times for parts of the batch */
} watch;

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return 1e3 * (double)t.tv_sec + 1e-6 * (double)t.tv_nsec;
}

static void end_step(watch *w) {
    if (w->at >= 0 && w->at < MOST_STEPS) {
        w->spent[w->at] += now() - w->began;
    }
}

static bool step(void *context, const char *what, double part) {
    watch *w = context;
    (void)part;
    end_step(w);
    for (w->at = 0; w->at < w->steps && strcmp(w->name[w->at], what) != 0; w->at++) {}
    if (w->at < MOST_STEPS) {
        w->name[w->at] = what;
        w->steps = w->at + 1 > w->steps ? w->at + 1 : w->steps;
    }
    w->began = now();
    return true;
}

static int fail(const cvs_error *err) {
    char text[1000];
    fprintf(stderr, "%s\n", cvs_error_text(err, text, sizeof text));
    return 1;
}

static cvs_status random_input(const cvs_model *model, int64_t batch, cvs_tensor *x, cvs_error *err) {
    const cvi_value *v = &model->graph->values[model->graph->inputs[0]];
    int64_t dim[CVS_MAX_RANK] = {0};
    for (int i = 0; i < v->rank; i++) {
        dim[i] = i == 0 ? batch : v->dim[i] > 0 ? v->dim[i] : 224;
    }
    CVI_TRY(cvs_tensor_new(x, CVS_F32, v->rank, dim, err));
    for (int64_t i = 0; i < cvs_tensor_count(x); i++) {
        ((float *)x->data)[i] = (float)cvi_random_normal(1, 2, (uint64_t)i);
    }
    return CVS_OK;
}

int main(int argc, char **argv) {
    static watch w;
    cvs_error err = {0};
    cvs_model *model = NULL;
    cvs_tensor x = {0};
    cvi_exec *exec = NULL;
    const char *keep = argc > 2 ? argv[2] : "answer";
    int64_t batch = argc > 3 ? atoi(argv[3]) : 1;
    int repetitions = argc > 5 ? atoi(argv[5]) : 20;
    if (argc < 2) {
        fprintf(stderr, "usage: bench_plan MODEL [all|answer|gradients [BATCH [THREADS [REPETITIONS "
                        "[PART-KIB [steps]]]]]]\n");
        return 2;
    }
    cvi_exec_options o = {.pool = cvi_pool_new(argc > 4 ? atoi(argv[4]) : 0),
                          .keep = strcmp(keep, "all") == 0         ? CVI_KEEP_ALL
                                  : strcmp(keep, "gradients") == 0 ? CVI_KEEP_GRADIENTS
                                                                   : CVI_KEEP_ANSWER};
    o.part_bytes = argc > 6 ? atoll(argv[6]) * 1024 : 0;
    bool steps = argc > 7;
    if (steps) {
        o.progress = step;
        o.progress_context = &w;
    }
    if (cvs_model_open(argv[1], NULL, &model, &err) != CVS_OK ||
        cvi_ops_init_weights(model, 1, &err) != CVS_OK || random_input(model, batch, &x, &err) != CVS_OK ||
        cvi_exec_new(model->graph, &x, &o, &exec, &err) != CVS_OK) {
        return fail(&err);
    }
    double best = 0, first = 0;
    for (int i = 0; i < repetitions; i++) {
        double begin = now();
        w.at = -1;
        if (cvi_exec_forward(exec, &x, -1, &err) != CVS_OK) {
            return fail(&err);
        }
        double spent = now() - begin;
        if (steps) {
            end_step(&w);
        }
        for (int k = 0; k < w.steps; k++) {
            w.best[k] = i == 0 || w.spent[k] < w.best[k] ? w.spent[k] : w.best[k];
            w.spent[k] = 0;
        }
        first = i == 0 ? spent : first;
        best = i == 1 || (i > 1 && spent < best) ? spent : best;
    }
    for (int i = 0; i < w.steps; i++) {
        printf("%8.3f  %s\n", w.best[i], w.name[i]);
    }
    printf("%s %s batch %lld: first %.2f ms, best %.2f ms, %.1f MiB\n", argv[1], keep, (long long)batch,
           first, best, (double)cvi_exec_bytes(exec) / 1048576);
    cvi_exec_free(exec);
    cvi_pool_free(o.pool);
    cvs_tensor_free(&x);
    cvs_model_free(model);
    return 0;
}

/* SPDX-License-Identifier: MIT
 * bench_train.c - how many pictures a second a recipe trains on, over the public API: the time from one batch's end to the next one's,
 * reading and augmenting of the pictures included, the first steps left out. Minimum and median over all other steps.
 * usage: bench_train RECIPE DATA RUN [THREADS [BATCH [STEPS]]]   e.g. bench_train zoo/keras_cifar.net generated:things /some/folder 2
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <convscope/convscope.h>

enum { MOST = 4000, WARM = 5 };

typedef struct clock_state {
    double last, times[MOST];
    int n, steps;
} clock_state;

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int by_time(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Between epochs the test pictures are looked at: no step begins there. */
static bool tick(void *context, const cvs_train_step *s) {
    clock_state *c = context;
    double t = now();
    if (!s->epoch_ended && s->step > 1 && c->n < MOST) {
        c->times[c->n++] = t - c->last;
    }
    c->last = now();
    return c->n < c->steps + WARM;
}

int main(int argc, char **argv) {
    static clock_state c;
    cvs_error err = {0};
    char text[900];
    if (argc < 4) {
        fprintf(stderr, "usage: bench_train RECIPE DATA RUN [THREADS [BATCH [STEPS]]]\n");
        return 2;
    }
    cvs_train_options options = {.threads = argc > 4 ? atoi(argv[4]) : 2,
                                 .batch = argc > 5 ? atoi(argv[5]) : 64,
                                 .epochs = 1000,
                                 .optimizer = "adam",
                                 .on_step = tick,
                                 .context = &c};
    c.steps = argc > 6 ? atoi(argv[6]) : 100;
    options.limit = (int64_t)options.batch * 20;
    if (cvs_train(argv[1], argv[2], argv[3], &options, NULL, &err) != CVS_OK || c.n <= WARM) {
        fprintf(stderr, "%s\n", cvs_error_text(&err, text, sizeof text));
        return 1;
    }
    int n = c.n - WARM;
    double *t = c.times + WARM;
    qsort(t, (size_t)n, sizeof *t, by_time);
    printf("step_ms_best,step_ms_median,images_s_best,images_s_median\n%.3f,%.3f,%.0f,%.0f\n", t[0] * 1e3,
           t[n / 2] * 1e3, options.batch / t[0], options.batch / t[n / 2]);
    return 0;
}

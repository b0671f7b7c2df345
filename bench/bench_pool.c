/* SPDX-License-Identifier: MIT
 * bench_pool.c - what it costs to hand work to the threads: an empty job, jobs of 16 chunks of various sizes, each in
 * a quiet machine and beside one busy process that this program starts and ends. Not a test: machines are noisy.
 * usage: bench_pool [THREADS]
 */
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/base.h"

enum { MOST = 20000, CHUNKS = 16, BUSY_SECONDS = 10 };

typedef struct work {
    int64_t steps; /* dependent multiply-adds of a chunk */
    float sink[64 * 16];
} work;

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void chunk_body(void *context, int64_t chunk, int worker) {
    work *w = context;
    (void)chunk;
    float x = w->sink[worker % 64 * 16];
    for (int64_t i = 0; i < w->steps; i++) {
        x = x * 0.999F + 0.5F;
    }
    w->sink[worker % 64 * 16] = x;
}

/* Median of the job's time in microseconds; prints it with the best and the mean. */
static double measure(cvi_pool *pool, int64_t chunks, int64_t steps, double pause, const char *name) {
    static double times[MOST];
    static work w;
    int n = 0;
    double sum = 0, until = now() + 1.0;
    w.steps = steps;
    for (; n < MOST && (n < 20 || now() < until); n++) {
        double t = now();
        cvi_pool_run(pool, chunks, chunk_body, &w);
        times[n] = now() - t;
        sum += times[n];
        for (t = now(); now() - t < pause;) { /* as a caller that works between two layers */
        }
    }
    qsort(times, (size_t)n, sizeof *times, ascending);
    printf("%-44s best %9.2f us  median %9.2f  99%% %9.2f  mean %9.2f\n", name, times[0] * 1e6,
           times[n / 2] * 1e6, times[(int64_t)n * 99 / 100] * 1e6, sum / n * 1e6);
    fflush(stdout);
    return times[n / 2];
}

typedef struct job {
    const char *name;
    int64_t chunks, steps;
    double pause;
} job;

static const job jobs[] = {
    {"empty, 2 chunks", 2, 0, 0},
    {"empty, 2 chunks, 3 us between jobs", 2, 0, 3e-6},
    {"empty, 2 chunks, 100 us between jobs", 2, 0, 1e-4},
    {"16 chunks of ~1 us", CHUNKS, 500, 0},
    {"16 chunks of ~10 us", CHUNKS, 5000, 0},
    {"16 chunks of ~100 us", CHUNKS, 50000, 0},
};

/* A process that only burns a processor until it is told to stop. */
static pid_t start_busy(void) {
    pid_t child = fork();
    if (child == 0) {
        for (volatile int64_t i = 0;; i++) {}
    }
    usleep(100000);
    return child;
}

int main(int argc, char **argv) {
    cvi_pool *pool = cvi_pool_new(argc > 1 ? atoi(argv[1]) : 0);
    double quiet[CVI_COUNT(jobs)];
    if (pool == NULL) {
        return 1;
    }
    printf("%d threads, alone\n", cvi_pool_threads(pool));
    for (int i = 0; i < CVI_COUNT(jobs); i++) {
        quiet[i] = measure(pool, jobs[i].chunks, jobs[i].steps, jobs[i].pause, jobs[i].name);
    }
    pid_t busy = start_busy();
    printf("%d threads, beside one busy process\n", cvi_pool_threads(pool));
    for (int i = 0; i < CVI_COUNT(jobs) && busy > 0; i++) {
        double median = measure(pool, jobs[i].chunks, jobs[i].steps, jobs[i].pause, jobs[i].name);
        printf("  %.2f times as long\n", median / quiet[i]);
    }
    if (busy > 0) {
        kill(busy, SIGKILL);
        waitpid(busy, NULL, 0);
    }
    cvi_pool_free(pool);
    return 0;
}

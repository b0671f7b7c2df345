/* SPDX-License-Identifier: MIT
 * bench_kernels.c - GFLOP/s of the convolution kernels on the layers of real nets, beside the peak of the same loop on
 * data in the first-level cache, measured in the same process. Not a test: machines are noisy.
 * usage: bench_kernels [THREADS [NET-PREFIX [auto|direct|f2|f4]]]
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "kernels/kernel_table.h"

typedef struct layer {
    const char *net;
    int C, H, K, R, stride, pad, groups, count; /* square maps; count: how often the net has this layer */
} layer;

static const layer layers[] = {
    {"vgg16", 3, 224, 64, 3, 1, 1, 1, 1},         {"vgg16", 64, 224, 64, 3, 1, 1, 1, 1},
    {"vgg16", 64, 112, 128, 3, 1, 1, 1, 1},       {"vgg16", 128, 112, 128, 3, 1, 1, 1, 1},
    {"vgg16", 128, 56, 256, 3, 1, 1, 1, 1},       {"vgg16", 256, 56, 256, 3, 1, 1, 1, 2},
    {"vgg16", 256, 28, 512, 3, 1, 1, 1, 1},       {"vgg16", 512, 28, 512, 3, 1, 1, 1, 2},
    {"vgg16", 512, 14, 512, 3, 1, 1, 1, 3},       {"resnet50", 3, 224, 64, 7, 2, 3, 1, 1},
    {"resnet50", 64, 56, 64, 1, 1, 0, 1, 1},      {"resnet50", 64, 56, 64, 3, 1, 1, 1, 3},
    {"resnet50", 64, 56, 256, 1, 1, 0, 1, 4},     {"resnet50", 256, 56, 64, 1, 1, 0, 1, 2},
    {"resnet50", 256, 56, 128, 1, 1, 0, 1, 1},    {"resnet50", 128, 56, 128, 3, 2, 1, 1, 1},
    {"resnet50", 128, 28, 512, 1, 1, 0, 1, 4},    {"resnet50", 256, 56, 512, 1, 2, 0, 1, 1},
    {"resnet50", 512, 28, 128, 1, 1, 0, 1, 3},    {"resnet50", 128, 28, 128, 3, 1, 1, 1, 3},
    {"resnet50", 512, 28, 256, 1, 1, 0, 1, 1},    {"resnet50", 256, 28, 256, 3, 2, 1, 1, 1},
    {"resnet50", 256, 14, 1024, 1, 1, 0, 1, 6},   {"resnet50", 512, 28, 1024, 1, 2, 0, 1, 1},
    {"resnet50", 1024, 14, 256, 1, 1, 0, 1, 5},   {"resnet50", 256, 14, 256, 3, 1, 1, 1, 5},
    {"resnet50", 1024, 14, 512, 1, 1, 0, 1, 1},   {"resnet50", 512, 14, 512, 3, 2, 1, 1, 1},
    {"resnet50", 512, 7, 2048, 1, 1, 0, 1, 3},    {"resnet50", 1024, 14, 2048, 1, 2, 0, 1, 1},
    {"resnet50", 2048, 7, 512, 1, 1, 0, 1, 2},    {"resnet50", 512, 7, 512, 3, 1, 1, 1, 2},
    {"squeezenet", 3, 224, 64, 3, 2, 0, 1, 1},    {"squeezenet", 64, 55, 16, 1, 1, 0, 1, 1},
    {"squeezenet", 16, 55, 64, 1, 1, 0, 1, 2},    {"squeezenet", 16, 55, 64, 3, 1, 1, 1, 2},
    {"squeezenet", 128, 55, 16, 1, 1, 0, 1, 1},   {"squeezenet", 128, 27, 32, 1, 1, 0, 1, 1},
    {"squeezenet", 32, 27, 128, 1, 1, 0, 1, 2},   {"squeezenet", 32, 27, 128, 3, 1, 1, 1, 2},
    {"squeezenet", 256, 27, 32, 1, 1, 0, 1, 1},   {"squeezenet", 256, 13, 48, 1, 1, 0, 1, 1},
    {"squeezenet", 48, 13, 192, 1, 1, 0, 1, 2},   {"squeezenet", 48, 13, 192, 3, 1, 1, 1, 2},
    {"squeezenet", 384, 13, 48, 1, 1, 0, 1, 1},   {"squeezenet", 384, 13, 64, 1, 1, 0, 1, 1},
    {"squeezenet", 64, 13, 256, 1, 1, 0, 1, 2},   {"squeezenet", 64, 13, 256, 3, 1, 1, 1, 2},
    {"squeezenet", 512, 13, 64, 1, 1, 0, 1, 1},   {"squeezenet", 512, 13, 1000, 1, 1, 0, 1, 1},
    {"mobilenet", 3, 224, 32, 3, 2, 1, 1, 1},     {"mobilenet", 32, 112, 32, 3, 1, 1, 32, 1},
    {"mobilenet", 32, 112, 16, 1, 1, 0, 1, 1},    {"mobilenet", 16, 112, 96, 1, 1, 0, 1, 1},
    {"mobilenet", 96, 112, 96, 3, 2, 1, 96, 1},   {"mobilenet", 96, 56, 24, 1, 1, 0, 1, 1},
    {"mobilenet", 24, 56, 144, 1, 1, 0, 1, 2},    {"mobilenet", 144, 56, 144, 3, 1, 1, 144, 1},
    {"mobilenet", 144, 56, 24, 1, 1, 0, 1, 1},    {"mobilenet", 192, 28, 192, 3, 1, 1, 192, 2},
    {"mobilenet", 384, 14, 384, 3, 1, 1, 384, 4}, {"mobilenet", 384, 14, 64, 1, 1, 0, 1, 3},
    {"mobilenet", 960, 7, 160, 1, 1, 0, 1, 2},    {"mobilenet", 320, 7, 1280, 1, 1, 0, 1, 1},
    {"tinyvgg", 3, 64, 10, 3, 1, 0, 1, 1},        {"tinyvgg", 10, 62, 10, 3, 1, 0, 1, 1},
    {"tinyvgg", 10, 30, 10, 3, 1, 0, 1, 1},       {"tinyvgg", 10, 28, 10, 3, 1, 0, 1, 1},
    {"cifar", 3, 32, 32, 3, 1, 0, 1, 1},          {"cifar", 32, 15, 64, 3, 1, 0, 1, 1},
    {"cifar", 64, 6, 64, 3, 1, 0, 1, 1},
};

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

typedef struct peak_job {
    const cvi_kernels *kernels;
    const float *weights;
    const float *pixels;
    float *out; /* [threads][96] */
} peak_job;

enum { PEAK_CHANNELS = 256, PEAK_ROUNDS = 200 };

static void peak_chunk(void *context, int64_t chunk, int worker) {
    const peak_job *job = context;
    (void)chunk;
    const float *rows[CVI_MAX_ROWS];
    for (int i = 0; i < job->kernels->rows; i++) {
        rows[i] = job->pixels + i * PEAK_CHANNELS;
    }
    cvi_tile tile = {
        .bias = job->pixels, .out = job->out + (ptrdiff_t)worker * 16 * CVI_MAX_ROWS, .pitch = 16};
    for (int i = 0; i < PEAK_ROUNDS; i++) {
        job->kernels->micro16[job->kernels->rows](1, PEAK_CHANNELS, rows, 0, job->weights, &tile);
    }
}

/* GFLOP/s of the register block when everything is in the first-level cache: the most any layer can reach. */
static double measure_peak(cvi_pool *pool) {
    peak_job job = {.kernels = cvi_kernels_get()};
    float *memory = cvi_calloc((size_t)(PEAK_CHANNELS * 22 + 1024 + 96 * 1024), sizeof(float));
    job.weights = memory;
    job.pixels = memory + PEAK_CHANNELS * 16 + 512;
    job.out = memory + PEAK_CHANNELS * 22 + 1024;
    int64_t chunks = 8 * cvi_pool_threads(pool);
    double best = 1e9, flops = 2.0 * 16 * PEAK_CHANNELS * job.kernels->rows * PEAK_ROUNDS * (double)chunks;
    for (int r = 0; r < 30; r++) {
        double t = now();
        cvi_pool_run(pool, chunks, peak_chunk, &job);
        t = now() - t;
        best = t < best ? t : best;
    }
    cvi_free(memory);
    return flops / best * 1e-9;
}

static float *noise(int64_t n) {
    float *p = cvi_malloc((size_t)n * sizeof(float));
    for (int64_t i = 0; p != NULL && i < n; i++) {
        p[i] = (float)((double)(i * 2654435761U >> 7 & 1023) / 1024.0 - 0.5);
    }
    return p;
}

/* Prints one layer; adds its best time to *total. */
static int bench_layer(const layer *l, cvi_pool *pool, const cvi_conv_options *options, double peak,
                       double *total) {
    int64_t out = (l->H + 2 * l->pad - l->R) / l->stride + 1;
    cvi_conv_shape s = {1,      l->C,   l->H,   l->H,   l->K, l->R, l->R,      l->stride, l->stride,
                        l->pad, l->pad, l->pad, l->pad, 1,    1,    l->groups, out,       out};
    cvi_conv_plan *plan = NULL;
    if (cvi_conv_plan_new(&s, CVI_CONV_FORWARD, options, &plan, NULL) != CVS_OK) {
        return 1;
    }
    float *x = noise(s.H * s.W * CVI_PITCH(s.C)), *w = noise(s.K * s.C / s.groups * s.R * s.S),
          *bias = noise(s.K);
    float *y = noise(out * out * CVI_PITCH(s.K));
    void *scratch = cvi_malloc((size_t)cvi_conv_scratch_bytes(plan, cvi_pool_threads(pool)) + 1);
    double packing = now();
    cvi_conv_pack(plan, pool, w, NULL);
    packing = now() - packing;
    cvi_conv_io io = {
        .in = x, .out = y, .bias = bias, .clamp = true, .lo = 0, .hi = 1e30F, .scratch = scratch};
    double gflop = 2e-9 * (double)(out * out * s.K * s.C / s.groups * s.R * s.S), times[201];
    int repeats = gflop > 1 ? 7 : gflop > 0.1 ? 41 : 201;
    cvi_conv_run(plan, pool, &io);
    for (int r = 0; r < repeats; r++) {
        double t = now();
        cvi_conv_run(plan, pool, &io);
        times[r] = now() - t;
    }
    qsort(times, (size_t)repeats, sizeof *times, ascending);
    static const char *const names[] = {"auto", "direct", "depthwise", "f2x2", "f4x4"};
    printf("%-10s %4dx%-3d -> %4d %dx%d/%d g%-3d %-9s best %8.3f ms median %8.3f ms %7.1f GFLOP/s %4.0f%% of "
           "peak "
           "(median %.0f%%), packing %.2f ms\n",
           l->net, l->C, l->H, l->K, l->R, l->R, l->stride, l->groups, names[cvi_conv_plan_algorithm(plan)],
           times[0] * 1e3, times[repeats / 2] * 1e3, gflop / times[0], gflop / times[0] / peak * 100,
           gflop / times[repeats / 2] / peak * 100, packing * 1e3);
    fflush(stdout);
    *total += times[0] * l->count;
    cvi_conv_plan_free(plan);
    void *all[] = {x, w, bias, y, scratch};
    for (int i = 0; i < CVI_COUNT(all); i++) {
        cvi_free(all[i]);
    }
    return 0;
}

int main(int argc, char **argv) {
    int threads = argc > 1 ? atoi(argv[1]) : 0;
    const char *net = argc > 2 ? argv[2] : "", *algorithm = argc > 3 ? argv[3] : "auto";
    cvi_conv_options options = {0};
    options.algorithm = strcmp(algorithm, "direct") == 0 ? CVI_CONV_DIRECT
                        : strcmp(algorithm, "f2") == 0   ? CVI_CONV_WINOGRAD2
                        : strcmp(algorithm, "f4") == 0   ? CVI_CONV_WINOGRAD4
                                                         : CVI_CONV_AUTO;
    cvi_pool *pool = cvi_pool_new(threads);
    double peak = measure_peak(pool), total = 0;
    printf("level %s, %d threads, peak %.1f GFLOP/s\n", cvi_kernels_name(cvi_kernels_get()),
           cvi_pool_threads(pool), peak);
    for (int i = 0; i < CVI_COUNT(layers); i++) {
        if (strncmp(layers[i].net, net, strlen(net)) == 0) {
            bench_layer(&layers[i], pool, &options, peak, &total);
        }
    }
    printf("all layers as often as the nets have them: %.2f ms\n", total * 1e3);
    cvi_pool_free(pool);
    return 0;
}

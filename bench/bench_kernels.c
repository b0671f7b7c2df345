/* SPDX-License-Identifier: MIT
 * bench_kernels.c - GFLOP/s of the convolution kernels on the layers of real nets, beside the peak of the same loop on
 * data in the first-level cache, measured in the same process. Not a test: machines are noisy.
 * usage: bench_kernels [--threads N] [--batch N] [--net PREFIX] [--direction forward|data|weights] [--csv THREADS] ...
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
    {"mobilenet", 144, 56, 24, 1, 1, 0, 1, 1},    {"mobilenet", 144, 56, 144, 3, 2, 1, 144, 1},
    {"mobilenet", 144, 28, 32, 1, 1, 0, 1, 1},    {"mobilenet", 32, 28, 192, 1, 1, 0, 1, 3},
    {"mobilenet", 192, 28, 192, 3, 1, 1, 192, 2}, {"mobilenet", 192, 28, 32, 1, 1, 0, 1, 2},
    {"mobilenet", 192, 28, 192, 3, 2, 1, 192, 1}, {"mobilenet", 192, 14, 64, 1, 1, 0, 1, 1},
    {"mobilenet", 64, 14, 384, 1, 1, 0, 1, 4},    {"mobilenet", 384, 14, 384, 3, 1, 1, 384, 4},
    {"mobilenet", 384, 14, 64, 1, 1, 0, 1, 3},    {"mobilenet", 384, 14, 96, 1, 1, 0, 1, 1},
    {"mobilenet", 96, 14, 576, 1, 1, 0, 1, 3},    {"mobilenet", 576, 14, 576, 3, 1, 1, 576, 2},
    {"mobilenet", 576, 14, 96, 1, 1, 0, 1, 2},    {"mobilenet", 576, 14, 576, 3, 2, 1, 576, 1},
    {"mobilenet", 576, 7, 160, 1, 1, 0, 1, 1},    {"mobilenet", 160, 7, 960, 1, 1, 0, 1, 3},
    {"mobilenet", 960, 7, 960, 3, 1, 1, 960, 3},  {"mobilenet", 960, 7, 160, 1, 1, 0, 1, 2},
    {"mobilenet", 960, 7, 320, 1, 1, 0, 1, 1},    {"mobilenet", 320, 7, 1280, 1, 1, 0, 1, 1},
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

/* GFLOP/s: the register block when everything is in the first-level cache: the most any layer can reach. */
static double measure_peak(cvi_pool *pool) {
    peak_job job = {.kernels = cvi_kernels_get()};
    float *memory = cvi_calloc((size_t)(PEAK_CHANNELS * 40 + 1024 + 96 * 1024), sizeof(float));
    job.weights = memory;
    job.pixels = memory + PEAK_CHANNELS * 16 + 512;
    job.out = memory + PEAK_CHANNELS * 40 + 1024;
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

typedef struct setting {
    int threads, batch;
    const char *net;
    cvi_conv_options options;
    cvi_conv_kind kind;
    bool cold,
        weights; /* weights and pixels out of the caches before every run; gradient to weights instead */
    bool csv;    /* machine-readable lines only */
    cvi_pool *pool;
    double peak;
    float *flush; /* FLUSH floats */
} setting;

enum { FLUSH = 16 << 20, MOST = 401 };

static const char *const algorithm_names[] = {"auto", "direct", "depthwise", "f2x2", "f4x4"};

static cvi_conv_shape shape_of(const layer *l, int batch) {
    int64_t out = (l->H + 2 * l->pad - l->R) / l->stride + 1;
    return (cvi_conv_shape){batch,  l->C,   l->H,   l->H,   l->K, l->R, l->R,      l->stride, l->stride,
                            l->pad, l->pad, l->pad, l->pad, 1,    1,    l->groups, out,       out};
}

/* Memory of one layer, both directions alike: x [N,H,W,C], y [N,OH,OW,K] in NHWC8. */
typedef struct buffers {
    float *x, *y, *w, *bias, *dw;
    void *scratch;
} buffers;

static bool make_buffers(const cvi_conv_shape *s, int64_t scratch, buffers *b) {
    int64_t weights = s->K * s->C / s->groups * s->R * s->S;
    *b = (buffers){.x = noise(s->N * s->H * s->W * CVI_PITCH(s->C)),
                   .y = noise(s->N * s->OH * s->OW * CVI_PITCH(s->K)),
                   .w = noise(weights),
                   .bias = noise(CVI_MAX(s->K, s->C)),
                   .dw = noise(weights),
                   .scratch = cvi_malloc((size_t)scratch + 1)};
    return b->x != NULL && b->y != NULL && b->w != NULL && b->bias != NULL && b->dw != NULL &&
           b->scratch != NULL;
}

static void free_buffers(buffers *b) {
    void *all[] = {b->x, b->y, b->w, b->bias, b->dw, b->scratch};
    for (int i = 0; i < CVI_COUNT(all); i++) {
        cvi_free(all[i]);
    }
}

/* One run; seconds. */
static double run_once(const setting *set, const cvi_conv_shape *s, const cvi_conv_plan *plan,
                       const buffers *b) {
    bool forward = set->kind == CVI_CONV_FORWARD;
    cvi_conv_io io = {.in = forward ? b->x : b->y,
                      .out = forward ? b->y : b->x,
                      .bias = forward ? b->bias : NULL,
                      .clamp = forward,
                      .lo = 0,
                      .hi = 1e30F,
                      .scratch = b->scratch};
    for (int64_t i = 0; set->cold && i < FLUSH; i += 16) {
        set->flush[i] += 1;
    }
    double t = now();
    if (set->weights) {
        cvi_conv_dw(s, set->pool, b->x, 0, b->y, 0, b->dw, false, b->scratch);
    } else {
        cvi_conv_run(plan, set->pool, &io);
    }
    return now() - t;
}

/* Prints one layer; adds its best time to *total. */
static void bench_layer(const layer *l, const setting *set, double *total) {
    cvi_conv_shape s = shape_of(l, set->batch);
    cvi_conv_plan *plan = NULL;
    buffers b = {0};
    if (cvi_conv_plan_new(&s, set->kind, &set->options, &plan, NULL) != CVS_OK) {
        return;
    }
    int64_t scratch = CVI_MAX(cvi_conv_scratch_bytes(plan, cvi_pool_threads(set->pool)),
                              cvi_conv_dw_scratch_bytes(&s, cvi_pool_threads(set->pool)));
    if (make_buffers(&s, scratch, &b)) {
        double packing = now(), times[MOST], start;
        cvi_conv_pack(plan, set->pool, b.w, NULL);
        packing = now() - packing;
        double again = now();
        cvi_conv_pack(plan, set->pool, b.w, NULL);
        again = now() - again;
        double gflop = 2e-9 * (double)(s.N * s.OH * s.OW * s.K * s.C / s.groups * s.R * s.S);
        int n = 0;
        (void)run_once(set, &s, plan, &b);
        for (start = now(); n < MOST && (n < 5 || now() - start < 0.25); n++) {
            times[n] = run_once(set, &s, plan, &b);
        }
        qsort(times, (size_t)n, sizeof *times, ascending);
        const char *name = set->weights ? "weights" : algorithm_names[cvi_conv_plan_algorithm(plan)];
        double best = gflop / times[0] / set->peak, median = gflop / times[n / 2] / set->peak;
        if (set->csv) { /* the best time, and its share of the peak */
            printf("%s,%dx%d->%d %dx%d/%d g%d b%d,%s,%.4f,%.4f\n", l->net, l->C, l->H, l->K, l->R, l->R,
                   l->stride, l->groups, set->batch, name, times[0] * 1e3, best);
        } else {
            printf("%-10s %4dx%-3d -> %4d %dx%d/%d g%-3d x%d %-9s best %8.3f ms  median %8.3f ms  %4.0f%% of "
                   "peak "
                   "(median %4.0f%%)  packing %6.2f ms, again %6.2f\n",
                   l->net, l->C, l->H, l->K, l->R, l->R, l->stride, l->groups, l->count, name, times[0] * 1e3,
                   times[n / 2] * 1e3, best * 100, median * 100, packing * 1e3, again * 1e3);
        }
        fflush(stdout);
        *total += times[0] * l->count;
    }
    free_buffers(&b);
    cvi_conv_plan_free(plan);
}

/* ---- dense layers and what only moves memory: GB/s of what must be read and written ---------------------- */

typedef struct movement {
    const char *name;
    int64_t N, C, H, K; /* dense: K outputs of C inputs, N rows; else a map [N,C,H,H] */
} movement;

static const movement movements[] = {
    {"dense", 1, 25088, 0, 4096},  {"dense", 1, 4096, 0, 4096},   {"dense", 1, 4096, 0, 1000},
    {"dense", 16, 25088, 0, 4096}, {"dense", 1, 2048, 0, 1000},   {"maxpool2/2", 1, 64, 224, 0},
    {"maxpool2/2", 1, 512, 28, 0}, {"maxpool3/2", 1, 64, 112, 0}, {"maxpool3/2", 1, 64, 54, 0},
    {"avgpool3/1", 1, 64, 56, 0},  {"global", 1, 2048, 7, 0},     {"add+relu", 1, 256, 56, 0},
    {"add+relu", 1, 1024, 14, 0},  {"to nhwc8", 1, 64, 112, 0},   {"from nhwc8", 1, 64, 112, 0},
    {"picture in", 1, 3, 224, 0},
};

static void move_once(const movement *m, const setting *set, float *a, float *b, float *w, void *scratch) {
    int64_t rows = m->N * m->H * m->H, out = m->H / 2;
    cvi_pool_shape two = {m->N, m->C, m->H, m->H, 2, 2, 2, 2, 0, 0, 0, 0, 1, 1, out, out};
    cvi_pool_shape three = {m->N, m->C, m->H, m->H, 3, 3, 2, 2, 1, 1, 1, 1, 1, 1, out, out};
    cvi_pool_shape mean = {m->N, m->C, m->H, m->H, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, m->H, m->H};
    cvi_gemm_args dense = {.tb = true,
                           .M = m->N,
                           .N = m->K,
                           .K = m->C,
                           .alpha = 1,
                           .A = a,
                           .lda = m->C,
                           .B = w,
                           .ldb = m->C,
                           .C = b,
                           .ldc = m->K,
                           .scratch = scratch};
    if (strcmp(m->name, "dense") == 0) {
        cvi_gemm(set->pool, &dense);
    } else if (strncmp(m->name, "maxpool", 7) == 0) {
        cvi_maxpool(set->pool, m->name[7] == '2' ? &two : &three, a, b, NULL);
    } else if (strcmp(m->name, "avgpool3/1") == 0) {
        cvi_avgpool(set->pool, &mean, false, a, b);
    } else if (strcmp(m->name, "global") == 0) {
        cvi_global_avgpool(set->pool, m->N, m->C, m->H * m->H, a, b);
    } else if (strcmp(m->name, "add+relu") == 0) {
        cvi_binary(set->pool, CVI_B_ADD, false, true, rows, m->C, m->C, a, b, b);
    } else if (strcmp(m->name, "from nhwc8") == 0) {
        cvi_from_nhwc8(set->pool, m->N, m->C, m->H * m->H, a, b);
    } else {
        cvi_to_nhwc8(set->pool, m->N, m->C, m->H * m->H, a, b);
    }
}

/* Bytes that any implementation must move. */
static double bytes_of(const movement *m) {
    double map = 4.0 * (double)(m->N * m->H * m->H * m->C);
    if (strcmp(m->name, "dense") == 0) {
        return 4.0 * (double)(m->C * m->K + m->N * (m->C + m->K));
    }
    return strncmp(m->name, "maxpool", 7) == 0 ? 1.25 * map
           : strcmp(m->name, "global") == 0    ? map
           : strcmp(m->name, "add+relu") == 0  ? 3 * map
                                               : 2 * map;
}

static void bench_movement(const movement *m, const setting *set) {
    int64_t floats = CVI_MAX(m->N * CVI_MAX(m->H * m->H, 1) * CVI_PITCH(m->C), m->N * CVI_MAX(m->K, 1)) + 64;
    float *a = noise(floats), *b = noise(floats), *w = noise(CVI_MAX(1, m->C * m->K));
    void *scratch = cvi_malloc((size_t)cvi_gemm_scratch_bytes(cvi_pool_threads(set->pool)) + 1);
    if (a != NULL && b != NULL && w != NULL && scratch != NULL) {
        double times[MOST], start;
        int n = 0;
        move_once(m, set, a, b, w, scratch);
        for (start = now(); n < MOST && (n < 5 || now() - start < 0.25); n++) {
            double t = now();
            move_once(m, set, a, b, w, scratch);
            times[n] = now() - t;
        }
        qsort(times, (size_t)n, sizeof *times, ascending);
        if (set->csv) {
            printf("moving,%s %lldx%lldx%lld->%lld,,%.4f,\n", m->name, (long long)m->N, (long long)m->C,
                   (long long)m->H, (long long)m->K, times[0] * 1e3);
        } else {
            printf("%-12s N %-3lld C %-6lld side %-4lld outputs %-5lld best %8.3f ms  median %8.3f ms  %6.1f "
                   "GB/s\n",
                   m->name, (long long)m->N, (long long)m->C, (long long)m->H, (long long)m->K,
                   times[0] * 1e3, times[n / 2] * 1e3, bytes_of(m) / times[0] * 1e-9);
        }
        fflush(stdout);
    }
    void *all[] = {a, b, w, scratch};
    for (int i = 0; i < CVI_COUNT(all); i++) {
        cvi_free(all[i]);
    }
}

static bool read_option(const char *name, const char *value, setting *set) {
    bool known = true;
    if (strcmp(name, "--threads") == 0) {
        set->threads = atoi(value);
    } else if (strcmp(name, "--batch") == 0) {
        set->batch = CVI_MAX(1, atoi(value));
    } else if (strcmp(name, "--net") == 0) {
        set->net = value;
    } else if (strcmp(name, "--csv") == 0) {
        set->csv = true;
        set->threads = atoi(value);
    } else if (strcmp(name, "--direction") == 0) {
        set->kind = strcmp(value, "data") == 0 ? CVI_CONV_TRANSPOSED : CVI_CONV_FORWARD;
        set->weights = strcmp(value, "weights") == 0;
    } else if (strcmp(name, "--caches") == 0) {
        set->cold = strcmp(value, "cold") == 0;
    } else if (strcmp(name, "--algorithm") == 0) {
        for (int i = 0; i < CVI_COUNT(algorithm_names); i++) {
            set->options.algorithm =
                strcmp(value, algorithm_names[i]) == 0 ? (cvi_conv_algorithm)i : set->options.algorithm;
        }
    } else {
        known = false;
    }
    return known;
}

int main(int argc, char **argv) {
    setting set = {.batch = 1, .net = ""};
    for (int i = 1; i < argc; i += 2) {
        if (i + 1 == argc || !read_option(argv[i], argv[i + 1], &set)) {
            fprintf(stderr,
                    "usage: %s [--threads N] [--batch N] [--net PREFIX] [--direction forward|data|weights]\n"
                    "  [--algorithm auto|direct|f2x2|f4x4] [--caches warm|cold] [--csv THREADS]\n",
                    argv[0]);
            return 2;
        }
    }
    set.pool = cvi_pool_new(set.threads);
    set.flush = noise(FLUSH);
    if (set.pool == NULL || set.flush == NULL) {
        return 1;
    }
    set.peak = measure_peak(set.pool);
    if (set.csv) {
        printf("peak,%.2f\n", set.peak);
    } else {
        printf("level %s, %d threads, batch %d, FMA peak %.1f GFLOP/s\n", cvi_kernels_name(cvi_kernels_get()),
               cvi_pool_threads(set.pool), set.batch, set.peak);
    }
    for (int i = 0; i < CVI_COUNT(layers);) {
        const char *net = layers[i].net;
        double total = 0;
        for (; i < CVI_COUNT(layers) && strcmp(net, layers[i].net) == 0; i++) {
            if (strncmp(net, set.net, strlen(set.net)) == 0) {
                bench_layer(&layers[i], &set, &total);
            }
        }
        if (total > 0 && !set.csv) {
            printf("%s, each layer as often as the net has it: %.3f ms\n", net, total * 1e3);
        }
    }
    for (int i = 0; i < CVI_COUNT(movements) && strncmp("moving", set.net, strlen(set.net)) == 0; i++) {
        bench_movement(&movements[i], &set);
    }
    cvi_free(set.flush);
    if (!set.csv) { /* at the start the threads may not have had a core each */
        printf("FMA peak %.1f GFLOP/s at the end\n", measure_peak(set.pool));
    }
    cvi_pool_free(set.pool);
    return 0;
}

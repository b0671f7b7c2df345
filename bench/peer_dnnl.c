/* SPDX-License-Identifier: MIT
 * peer_dnnl.c - bare forward convolutions of oneDNN (C API 2.x), each in the layout it likes best. Compiled by the benchmark only.
 * usage: peer_dnnl THREADS <layers    a layer a line: channels side filters kernel stride groups pad
 * output: "VERSION ISA", then per layer best and median in milliseconds.
 */
#include <dnnl.h>
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define CHECK(call)                                                                                          \
    do {                                                                                                     \
        dnnl_status_t status_ = (call);                                                                      \
        if (status_ != dnnl_success) {                                                                       \
            fprintf(stderr, "%s -> %d\n", #call, (int)status_);                                              \
            exit(1);                                                                                         \
        }                                                                                                    \
    } while (0)

enum { MOST = 4000 };

static double now_ms(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + 1e-6 * (double)t.tv_nsec;
}

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static dnnl_memory_t memory_of(const dnnl_memory_desc_t *d, dnnl_engine_t engine) {
    size_t size = dnnl_memory_desc_get_size(d);
    float *p = aligned_alloc(4096, (size + 4095) / 4096 * 4096);
    for (size_t i = 0; p && i < size / 4; i++) {
        p[i] = (float)((i * 2654435761u >> 20) & 255) / 256.0f - 0.5f;
    }
    dnnl_memory_t m;
    CHECK(dnnl_memory_create(&m, d, engine, p));
    return m;
}

static void free_memory(dnnl_memory_t m) {
    void *p = NULL;
    dnnl_memory_get_data_handle(m, &p);
    dnnl_memory_destroy(m);
    free(p);
}

static void layer(dnnl_engine_t engine, dnnl_stream_t stream, const long *v) {
    long channels = v[0], side = v[1], filters = v[2], kernel = v[3], stride = v[4], groups = v[5];
    long pad = v[6], out = (side + 2 * pad - kernel) / stride + 1;
    dnnl_dims_t x = {1, channels, side, side}, y = {1, filters, out, out}, b = {filters},
                s = {stride, stride}, p = {pad, pad};
    dnnl_dims_t w = {filters, channels, kernel, kernel};
    dnnl_dims_t wg = {groups, filters / groups, channels / groups, kernel, kernel};
    dnnl_memory_desc_t xd, yd, wd, bd;
    CHECK(dnnl_memory_desc_init_by_tag(&xd, 4, x, dnnl_f32, dnnl_format_tag_any));
    CHECK(dnnl_memory_desc_init_by_tag(&yd, 4, y, dnnl_f32, dnnl_format_tag_any));
    CHECK(dnnl_memory_desc_init_by_tag(&wd, groups > 1 ? 5 : 4, groups > 1 ? wg : w, dnnl_f32,
                                       dnnl_format_tag_any));
    CHECK(dnnl_memory_desc_init_by_tag(&bd, 1, b, dnnl_f32, dnnl_a));
    dnnl_convolution_desc_t cd;
    dnnl_primitive_desc_t pd;
    dnnl_primitive_t primitive;
    CHECK(dnnl_convolution_forward_desc_init(&cd, dnnl_forward_inference, dnnl_convolution_auto, &xd, &wd,
                                             &bd, &yd, s, p, p));
    CHECK(dnnl_primitive_desc_create(&pd, &cd, NULL, engine, NULL));
    CHECK(dnnl_primitive_create(&primitive, pd));
    dnnl_exec_arg_t a[4] = {
        {DNNL_ARG_SRC, memory_of(dnnl_primitive_desc_query_md(pd, dnnl_query_src_md, 0), engine)},
        {DNNL_ARG_WEIGHTS, memory_of(dnnl_primitive_desc_query_md(pd, dnnl_query_weights_md, 0), engine)},
        {DNNL_ARG_BIAS, memory_of(&bd, engine)},
        {DNNL_ARG_DST, memory_of(dnnl_primitive_desc_query_md(pd, dnnl_query_dst_md, 0), engine)},
    };
    static double ms[MOST];
    int n = 0;
    double begun = now_ms();
    while (n < MOST && (n < 7 || now_ms() - begun < 120)) {
        double t = now_ms();
        CHECK(dnnl_primitive_execute(primitive, stream, 4, a));
        CHECK(dnnl_stream_wait(stream));
        ms[n++] = now_ms() - t;
    }
    qsort(ms, (size_t)n, sizeof *ms, ascending);
    printf("%.5f %.5f\n", ms[0], ms[n / 2]);
    for (int i = 0; i < 4; i++) {
        free_memory(a[i].memory);
    }
    dnnl_primitive_destroy(primitive);
    dnnl_primitive_desc_destroy(pd);
}

int main(int argc, char **argv) {
    long v[7];
    dnnl_engine_t engine;
    dnnl_stream_t stream;
    omp_set_num_threads(argc > 1 ? atoi(argv[1]) : 2);
    const dnnl_version_t *version = dnnl_version();
    printf("%d.%d.%d isa-0x%x\n", version->major, version->minor, version->patch,
           (unsigned)dnnl_get_effective_cpu_isa());
    CHECK(dnnl_engine_create(&engine, dnnl_cpu, 0));
    CHECK(dnnl_stream_create(&stream, engine, dnnl_stream_default_flags));
    while (scanf("%ld %ld %ld %ld %ld %ld %ld", &v[0], &v[1], &v[2], &v[3], &v[4], &v[5], &v[6]) == 7) {
        layer(engine, stream, v);
    }
    return 0;
}

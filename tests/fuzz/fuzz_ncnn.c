/* SPDX-License-Identifier: MIT
 * fuzz_ncnn.c - libFuzzer target: any bytes as an ncnn .param, opened and planned; the same with numbers behind a byte 0.
 */
#include "convscope/run.h"
#include "formats/ncnn.h"
#include "fuzz_open.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Text up to a NUL, numbers behind it. */
static void with_weights(const uint8_t *data, size_t size) {
    cvs_error err = {0};
    const cvs_limits limits = {.max_memory_bytes = 64 << 20, .max_nodes = 500};
    const uint8_t *end = memchr(data, 0, size);
    cvs_model *m = end ? cvi_model_new(&limits, &err) : NULL;
    if (!m) {
        return;
    }
    size_t n = size - (size_t)(end + 1 - data);
    uint8_t *numbers = cvi_arena_alloc(m->arena, (int64_t)n + 1, 1);
    ncnn_param param;
    if (numbers) {
        memcpy(numbers, end + 1, n);
        if (cvi_ncnn_parse(m->arena, (const char *)data, (size_t)(end - data), &m->limits, &param, &err) ==
            CVS_OK) {
            (void)cvi_ncnn_build(m, &param, numbers, n, &err);
        }
    }
    cvs_model_free(m);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    with_weights(data, size);
    fuzz_open_and_sum(data, size, "fuzz.param");
    return 0;
}

/* SPDX-License-Identifier: MIT
 * fuzz_darknet.c - libFuzzer target: any bytes as a Darknet cfg, opened and planned; the same with numbers behind a byte 0.
 */
#include "convscope/run.h"
#include "formats/darknet.h"
#include "fuzz_open.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Text up to a NUL, weights behind it. */
static void with_weights(const uint8_t *data, size_t size) {
    cvs_error err = {0};
    const cvs_limits limits = {.max_memory_bytes = 64 << 20, .max_nodes = 500};
    const uint8_t *end = memchr(data, 0, size);
    cvs_model *m = end ? cvi_model_new(&limits, &err) : NULL;
    if (!m) {
        return;
    }
    size_t n = size - (size_t)(end + 1 - data);
    cvi_file file = {.data = cvi_arena_alloc(m->arena, (int64_t)n + 1, 1), .size = n};
    darknet_cfg cfg;
    darknet_weights weights = {0};
    if (file.data) {
        memcpy((void *)(uintptr_t)file.data, end + 1, n);
        if (cvi_darknet_parse(m->arena, (const char *)data, (size_t)(end - data), &cfg, &err) == CVS_OK &&
            cvi_darknet_weights(&file, &weights, &err) == CVS_OK) {
            (void)cvi_darknet_build(m, &cfg, &weights, &err);
        }
    }
    cvs_model_free(m);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    with_weights(data, size);
    fuzz_open_and_sum(data, size, "fuzz.cfg");
    return 0;
}

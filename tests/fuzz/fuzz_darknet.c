/* SPDX-License-Identifier: MIT
 * fuzz_darknet.c - libFuzzer target: any bytes as a Darknet cfg, opened and planned; the same with numbers behind a byte 0.
 */
#include "convscope/run.h"
#include "formats/darknet.h"

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
    cvs_error err = {0};
    const cvs_open_options options = {
        .limits = {.max_memory_bytes = 64 << 20, .max_nodes = 500, .max_depth = 16}};
    cvs_model *model = NULL;
    with_weights(data, size);
    if (cvs_model_open_memory(data, size, "fuzz.cfg", &options, &model, &err) != CVS_OK) {
        return 0;
    }
    const cvs_run_options run = {.threads = 1, .limits = options.limits};
    cvs_summary summary = {0};
    if (cvs_model_summarize(model, &run, CVS_ZH, &summary, &err) == CVS_OK) {
        cvs_summary_free(&summary);
    }
    cvs_model_free(model);
    return 0;
}

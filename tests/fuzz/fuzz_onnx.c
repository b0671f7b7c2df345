/* SPDX-License-Identifier: MIT
 * fuzz_onnx.c - libFuzzer target: opens any bytes as a model, asks for its shapes, and opens the same bytes with types kept. The
 * unit test of the reader includes it and drives the same walk over damaged fixtures.
 */
#include "convscope/run.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void open_once(const uint8_t *data, size_t size, bool keep_types, bool shapes) {
    cvs_error err = {0};
    const cvs_open_options options = {
        .keep_types = keep_types,
        .limits = {.max_memory_bytes = 64 << 20, .max_nodes = 2000, .max_depth = 32}};
    cvs_model *model = NULL;
    if (cvs_model_open_memory(data, size, "fuzz.onnx", &options, &model, &err) != CVS_OK) {
        return;
    }
    const cvs_run_options run = {.threads = 1, .limits = options.limits};
    cvs_summary summary = {0};
    if (shapes && cvs_model_summarize(model, &run, CVS_EN, &summary, &err) == CVS_OK) {
        cvs_summary_free(&summary);
    }
    cvs_model_free(model);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    open_once(data, size, false, true);
    open_once(data, size, true, false);
    return 0;
}

/* SPDX-License-Identifier: MIT
 * fuzz_tflite.c - libFuzzer target: any bytes as a TensorFlow Lite model, opened and planned.
 */
#include "convscope/run.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    cvs_error err = {0};
    const cvs_open_options options = {
        .limits = {.max_memory_bytes = 64 << 20, .max_nodes = 500, .max_depth = 16}};
    cvs_model *model = NULL;
    if (cvs_model_open_memory(data, size, "fuzz.tflite", &options, &model, &err) != CVS_OK) {
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

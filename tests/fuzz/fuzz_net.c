/* SPDX-License-Identifier: MIT
 * fuzz_net.c - libFuzzer target: any bytes as a text of the architecture language, its shapes and costs, and back into a text, which
 * must open again.
 */
#include <stdlib.h>

#include "convscope/run.h"
#include "formats/net.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    cvs_error err = {0};
    const cvs_open_options options = {
        .limits = {.max_memory_bytes = 64 << 20, .max_nodes = 500, .max_depth = 16}};
    cvs_model *model = NULL;
    if (cvs_model_open_memory(data, size, "fuzz.net", &options, &model, &err) != CVS_OK) {
        return 0;
    }
    const cvs_run_options run = {.threads = 1, .limits = options.limits};
    cvs_summary summary = {0};
    if (cvs_model_summarize(model, &run, CVS_ZH, &summary, &err) == CVS_OK) {
        cvs_summary_free(&summary);
    }
    cvi_buf text = {0};
    cvs_status s = cvi_net_text(model, &text, &err);
    if (s == CVS_E_FORMAT || s == CVS_E_SHAPE || s == CVS_E_NOT_FOUND) {
        abort(); /* what we wrote does not open */
    }
    cvi_buf_free(&text);
    cvs_model_free(model);
    return 0;
}

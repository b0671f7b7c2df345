/* SPDX-License-Identifier: MIT
 * fuzz_open.h - what fuzz targets of small text formats share: the bytes opened under tight limits, and what opens summed up, which asks
 * every operator for its shapes.
 */
#ifndef FUZZ_OPEN_H
#define FUZZ_OPEN_H

#include "convscope/run.h"

static inline void fuzz_open_and_sum(const uint8_t *data, size_t size, const char *name) {
    cvs_error err = {0};
    const cvs_open_options options = {
        .limits = {.max_memory_bytes = 64 << 20, .max_nodes = 500, .max_depth = 16}};
    cvs_model *model = NULL;
    if (cvs_model_open_memory(data, size, name, &options, &model, &err) != CVS_OK) {
        return;
    }
    const cvs_run_options run = {.threads = 1, .limits = options.limits};
    cvs_summary summary = {0};
    if (cvs_model_summarize(model, &run, CVS_ZH, &summary, &err) == CVS_OK) {
        cvs_summary_free(&summary);
    }
    cvs_model_free(model);
}

#endif

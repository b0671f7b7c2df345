/* SPDX-License-Identifier: MIT
 * fuzz_caffe.c - libFuzzer target: any bytes as a prototxt (opened and planned) and as a caffemodel (every blob's numbers taken).
 */
#include "convscope/run.h"
#include "formats/caffe.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void take_numbers(const uint8_t *data, size_t size) {
    cvs_error err = {0};
    cvs_limits limits = cvs_limits_default(NULL);
    cvi_arena *a = cvi_arena_new(64 << 20);
    caffe_weights w;
    if (a && cvi_caffe_weights(a, data, size, &limits, &w, &err) == CVS_OK) {
        for (int64_t i = 0; i < w.n; i++) {
            for (int k = 0; k < w.layer[i]->n; k++) {
                float *out = cvi_arena_alloc(a, CVI_MAX(w.layer[i]->blob[k].count, 1), sizeof *out);
                if (out) {
                    cvi_caffe_numbers(&w.layer[i]->blob[k], out, &err);
                }
            }
        }
    }
    cvi_arena_free(a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    cvs_error err = {0};
    const cvs_open_options options = {
        .limits = {.max_memory_bytes = 64 << 20, .max_nodes = 500, .max_depth = 16}};
    cvs_model *model = NULL;
    take_numbers(data, size);
    if (cvs_model_open_memory(data, size, "fuzz.prototxt", &options, &model, &err) != CVS_OK) {
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

/* SPDX-License-Identifier: MIT
 * fuzz_tensorflow.c - libFuzzer target: any bytes as a TensorFlow graph (GraphDef, SavedModel without its variables, TensorFlow.js graph
 * without its shards), opened and planned; and as the index of a SavedModel's weights.
 */
#include "formats/tf_graph.h"
#include "convscope/run.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_index(const uint8_t *data, size_t size) {
    cvs_error err = {0};
    const cvs_limits limits = {.max_memory_bytes = 64 << 20};
    cvs_model *m = cvi_model_new(&limits, &err);
    tf_bundle *b = NULL;
    if (m) {
        (void)cvi_tf_bundle_parse(m, data, size, &b, &err);
        cvs_model_free(m);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    cvs_error err = {0};
    const cvs_open_options options = {
        .limits = {.max_memory_bytes = 64 << 20, .max_nodes = 500, .max_depth = 16}};
    cvs_model *model = NULL;
    read_index(data, size);
    if (cvs_model_open_memory(data, size, "fuzz.pb", &options, &model, &err) != CVS_OK) {
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

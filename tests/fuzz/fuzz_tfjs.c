/* SPDX-License-Identifier: MIT
 * fuzz_tfjs.c - libFuzzer target: any bytes as the model.json of a TensorFlow.js model, beside one shard of 4096 bytes named "w".
 */
#include "convscope/model.h"
#include "fuzz_folder.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static bool ready;
    cvs_error err = {0};
    const cvs_open_options options = {.limits = {.max_memory_bytes = 64 << 20, .max_nodes = 20000}};
    cvs_model *model = NULL;
    if (!ready) {
        uint8_t shard[4096];
        for (size_t i = 0; i < sizeof shard; i++) {
            shard[i] = (uint8_t)(i * 37);
        }
        fuzz_write("w", shard, sizeof shard);
        ready = true;
    }
    if (cvs_model_open(fuzz_write("model.json", data, size), &options, &model, &err) == CVS_OK) {
        cvs_model_free(model);
    }
    return 0;
}

/* SPDX-License-Identifier: MIT
 * fuzz_torch.c - libFuzzer target: opens any bytes as a model (PyTorch zip and stream files, TorchScript among them) and asks for a plan.
 */
#include "convscope/run.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    cvs_error err = {0};
    cvs_open_options options = {.limits = {.max_memory_bytes = 64 << 20, .max_nodes = 20000}};
    cvs_model *model = NULL;
    if (cvs_model_open_memory(data, size, "fuzz.pt", &options, &model, &err) == CVS_OK) {
        cvs_run *run = NULL;
        cvs_run_options plain = {.threads = 1, .limits = options.limits};
        if (cvs_run_new(model, &plain, &run, &err) == CVS_OK) {
            cvs_run_free(run);
        }
        cvs_model_free(model);
    }
    return 0;
}

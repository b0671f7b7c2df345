/* SPDX-License-Identifier: MIT
 * fuzz_script.c - libFuzzer target: any bytes as the code of a TorchScript module with a convolution's weights, w [4,3,3,3], inside an
 * archive that is otherwise right, so that the parser and what follows the code are reached. Few nodes are allowed: the code is followed anew
 * for every size of picture that is tried, and long chains found by the fuzzer would take all of its time.
 */
#include "convscope/run.h"

#include "tiny_zip.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const char tree[] = "c__torch__\nM\n)\x81}(Vw\nctorch._utils\n_rebuild_tensor_v2\n(("
                               "Vstorage\nctorch\nFloatStorage\nV0\nVcpu\nI108\ntQ"
                               "I0\n(I4\nI3\nI3\nI3\nt(I27\nI9\nI3\nI1\nt\x89NtRVb\nNub.";
    static const uint8_t numbers[432] = {0};
    cvs_error err = {0};
    cvs_open_options options = {.limits = {.max_memory_bytes = 64 << 20, .max_nodes = 600}};
    tiny_zip z = {0};
    cvs_model *model = NULL;
    tiny_add(&z, "m/data.pkl", tree, sizeof tree - 1);
    tiny_add(&z, "m/data/0", numbers, sizeof numbers);
    tiny_add(&z, "m/code/__torch__.py", data, size);
    if (tiny_end(&z) &&
        cvs_model_open_memory(z.out.data, z.out.size, "fuzz.pt", &options, &model, &err) == CVS_OK) {
        cvs_model_free(model);
    }
    tiny_free(&z);
    return 0;
}

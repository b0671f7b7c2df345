/* SPDX-License-Identifier: MIT
 * fuzz_pt2.c - libFuzzer target: any bytes as the graph of a torch.export archive that is otherwise right, with eight tensors of numbers.
 */
#include "convscope/run.h"

#include "tiny_zip.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const char config[] =
        "{\"config\": {\"conv1.weight\": {\"path_name\": \"w\", \"tensor_meta\": {\"dtype\": 7, \"sizes\": "
        "[{\"as_int\": 4}, "
        "{\"as_int\": 1}, {\"as_int\": 3}, {\"as_int\": 3}], \"strides\": [{\"as_int\": 9}, {\"as_int\": 9}, "
        "{\"as_int\": 3}, {\"as_int\": 1}]}}, \"conv1.bias\": {\"path_name\": \"w\", \"tensor_meta\": "
        "{\"dtype\": 7, "
        "\"sizes\": [{\"as_int\": 4}], \"strides\": [{\"as_int\": 1}]}}}}";
    static const float numbers[36] = {0};
    cvs_error err = {0};
    cvs_open_options options = {.limits = {.max_memory_bytes = 64 << 20, .max_nodes = 5000}};
    tiny_zip z = {0};
    cvs_model *model = NULL;
    tiny_add(&z, "a/archive_format", "pt2", 3);
    tiny_add(&z, "a/data/weights/w", numbers, sizeof numbers);
    tiny_add(&z, "a/data/weights/m_weights_config.json", config, sizeof config - 1);
    tiny_add(&z, "a/models/m.json", data, size);
    if (tiny_end(&z) &&
        cvs_model_open_memory(z.out.data, z.out.size, "fuzz.pt2", &options, &model, &err) == CVS_OK) {
        cvs_model_free(model);
    }
    tiny_free(&z);
    return 0;
}

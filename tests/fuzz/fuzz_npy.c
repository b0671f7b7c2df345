/* SPDX-License-Identifier: MIT
 * fuzz_npy.c - libFuzzer target: decodes any bytes as a .npy file, and as JSON.
 */
#include "base/base.h"
#include "tensor/npy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    cvs_error err = {0};
    cvs_limits limits = {.max_memory_bytes = 1 << 24};
    cvs_tensor t;
    cvi_npy_decode(data, size, &limits, &t, &err);
    cvs_tensor_free(&t);
    json_t *json = NULL;
    cvi_json_parse((const char *)data, size, &json, &err);
    json_decref(json);
    return 0;
}

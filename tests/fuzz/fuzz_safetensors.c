/* SPDX-License-Identifier: MIT
 * fuzz_safetensors.c - libFuzzer target: any bytes as a .safetensors file; every number of a tensor that is accepted is read.
 */
#include "formats/safetensors.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    cvs_error err = {0};
    cvs_limits limits = {.max_memory_bytes = 1 << 24};
    cvi_safetensors s;
    unsigned sum = 0;
    if (cvi_safetensors_parse(data, size, &limits, &s, &err) == CVS_OK) {
        for (int i = 0; i < s.n; i++) {
            for (size_t k = 0; k < s.list[i].t.bytes; k++) {
                sum += ((const uint8_t *)s.list[i].t.data)[k];
            }
        }
    }
    cvi_safetensors_free(&s);
    return sum == 0xffffffffu ? -1 : 0; /* the sum is used, so the reads are made */
}

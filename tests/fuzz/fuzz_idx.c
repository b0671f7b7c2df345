/* SPDX-License-Identifier: MIT
 * fuzz_idx.c - libFuzzer target: decodes any bytes as an idx file of pictures and of labels, plain or gzipped.
 */
#include "data/dataset.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    cvs_limits limits = {.max_memory_bytes = 1 << 24};
    for (int rank = 1; rank <= 3; rank += 2) {
        cvs_error err = {0};
        cvi_idx idx;
        cvi_idx_decode(data, size, rank, &limits, &idx, &err);
        cvi_idx_free(&idx);
    }
    return 0;
}

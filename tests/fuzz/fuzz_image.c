/* SPDX-License-Identifier: MIT
 * fuzz_image.c - libFuzzer target: decodes any bytes as a picture, of at most a million pixels.
 */
#include "convscope/tensor.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    cvs_error err = {0};
    cvs_limits limits = {.max_pixels = 1 << 20};
    cvs_tensor t;
    cvs_image_decode(data, size, "fuzz", &limits, &t, &err);
    cvs_tensor_free(&t);
    return 0;
}

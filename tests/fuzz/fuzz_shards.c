/* SPDX-License-Identifier: MIT
 * fuzz_shards.c - libFuzzer target: any text as the index of a model in parts, beside one part of safetensors that is right, named "w"; and behind a
 * byte 0 the header of a second part, "v", with 64 bytes of numbers, and the same bytes as a part of PyTorch's, "v.bin".
 */
#include "fuzz_folder.h"
#include "fuzz_open.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A length of eight bytes, a header, numbers. */
static void write_part(const char *name, const uint8_t *header, size_t n) {
    static uint8_t part[1 << 16];
    n = n < sizeof part - 72 ? n : sizeof part - 72;
    memset(part, 0, 8);
    part[0] = (uint8_t)n;
    part[1] = (uint8_t)(n >> 8);
    memcpy(part + 8, header, n);
    memset(part + 8 + n, 1, 64);
    fuzz_write(name, part, n + 72);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const char right[] =
        "{\"conv.weight\":{\"dtype\":\"F32\",\"shape\":[2,2,2,2],\"data_offsets\":[0,64]}}";
    const uint8_t *second = NULL;
    size_t n_second = 0, n = fuzz_split(data, size, &second, &n_second);
    cvs_error err = {0};
    const cvs_open_options options = {
        .limits = {.max_memory_bytes = 64 << 20, .max_nodes = 500, .max_depth = 16}};
    cvs_model *model = NULL;
    write_part("w", (const uint8_t *)right, sizeof right - 1);
    write_part("v", second, n_second);
    fuzz_write("v.bin", second, n_second);
    if (cvs_model_open(fuzz_write("m.safetensors.index.json", data, n), &options, &model, &err) == CVS_OK) {
        cvs_model_free(model);
    }
    return 0;
}

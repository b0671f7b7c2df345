/* SPDX-License-Identifier: MIT
 * fuzz_script.c - libFuzzer target: any bytes as the code of a TorchScript module with a convolution's weights, w [4,3,3,3], inside an
 * archive that is otherwise right, so that the parser and what follows the code are reached.
 */
#include <zlib.h>

#include "base/base.h"
#include "convscope/run.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void put(cvi_buf *b, uint64_t v, int bytes) {
    for (int i = 0; i < bytes; i++) {
        uint8_t c = (uint8_t)(v >> (8 * i));
        cvi_buf_add(b, &c, 1);
    }
}

static void add(cvi_buf *out, cvi_buf *directory, const char *name, const void *data, size_t size) {
    uint32_t crc = (uint32_t)crc32(0, data, (uInt)size);
    size_t at = out->size;
    for (int central = 0; central < 2; central++) {
        cvi_buf *b = central ? directory : out;
        put(b, central ? 0x02014b50 : 0x04034b50, 4);
        put(b, 20, central ? 4 : 2);
        put(b, 0, 8);
        put(b, crc, 4);
        put(b, size, 4);
        put(b, size, 4);
        put(b, strlen(name), 2);
        put(b, 0, central ? 12 : 2);
        if (central) {
            put(b, at, 4);
        }
        cvi_buf_puts(b, name);
    }
    cvi_buf_add(out, data, size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const char tree[] = "c__torch__\nM\n)\x81}(Vw\nctorch._utils\n_rebuild_tensor_v2\n(("
                               "Vstorage\nctorch\nFloatStorage\nV0\nVcpu\nI108\ntQ"
                               "I0\n(I4\nI3\nI3\nI3\nt(I27\nI9\nI3\nI1\nt\x89NtRVb\nNub.";
    static const uint8_t numbers[432] = {0};
    cvs_error err = {0};
    cvs_open_options options = {.limits = {.max_memory_bytes = 64 << 20, .max_nodes = 5000}};
    cvi_buf b = {0}, directory = {0};
    cvs_model *model = NULL;
    add(&b, &directory, "m/data.pkl", tree, sizeof tree - 1);
    add(&b, &directory, "m/data/0", numbers, sizeof numbers);
    add(&b, &directory, "m/code/__torch__.py", data, size);
    size_t at = b.size;
    cvi_buf_add(&b, directory.data, directory.size);
    put(&b, 0x06054b50, 4);
    put(&b, 0, 4);
    put(&b, 3, 2);
    put(&b, 3, 2);
    put(&b, directory.size, 4);
    put(&b, at, 4);
    put(&b, 0, 2);
    if (!b.failed && !directory.failed &&
        cvs_model_open_memory(b.data, b.size, "fuzz.pt", &options, &model, &err) == CVS_OK) {
        cvs_model_free(model);
    }
    cvi_buf_free(&b);
    cvi_buf_free(&directory);
    return 0;
}

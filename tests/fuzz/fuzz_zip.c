/* SPDX-License-Identifier: MIT
 * fuzz_zip.c - libFuzzer target: any bytes as a zip archive; every entry is read.
 */
#include "formats/zip.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    cvs_error err = {0};
    cvs_limits limits = {.max_memory_bytes = 8 << 20};
    cvi_zip *z = NULL;
    cvi_arena *arena = cvi_arena_new(limits.max_memory_bytes);
    if (arena && cvi_zip_open(data, size, &limits, &z, &err) == CVS_OK) {
        for (int i = 0; i < cvi_zip_count(z); i++) {
            const uint8_t *bytes = NULL;
            if (cvi_zip_read(z, cvi_zip_at(z, i), arena, &bytes, NULL, &err) == CVS_OK) {
                volatile uint8_t last = cvi_zip_at(z, i)->size > 0 ? bytes[cvi_zip_at(z, i)->size - 1]
                                                                   : 0; /* all of it is there */
                (void)last;
            }
        }
        cvi_zip_close(z);
    }
    cvi_arena_free(arena);
    return 0;
}

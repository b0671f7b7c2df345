/* SPDX-License-Identifier: MIT
 * fuzz_keras_zip.c - libFuzzer target: any text as the config.json of a .keras archive that is otherwise right; behind a byte 0 its
 * model.weights.h5.
 */
#include "fuzz_folder.h"
#include "fuzz_open.h"
#include "tiny_zip.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const char about[] = "{\"keras_version\": \"3.6.0\", \"date_saved\": \"2024-01-01\"}";
    const uint8_t *h5 = NULL;
    size_t n_h5 = 0, n = fuzz_split(data, size, &h5, &n_h5);
    tiny_zip z = {0};
    tiny_add(&z, "metadata.json", about, sizeof about - 1);
    tiny_add(&z, "config.json", data, n);
    if (n_h5 > 0) {
        tiny_add(&z, "model.weights.h5", h5, n_h5);
    }
    if (tiny_end(&z)) {
        fuzz_open_and_sum((const uint8_t *)z.out.data, z.out.size, "fuzz.keras");
    }
    tiny_free(&z);
    return 0;
}

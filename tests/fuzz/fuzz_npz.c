/* SPDX-License-Identifier: MIT
 * fuzz_npz.c - libFuzzer target: two bytes that say where to cut, then two arrays of a NumPy archive that is otherwise right: as the input of a
 * network, as weights, and as a data set of pictures x and labels y.
 */
#include "convscope/data.h"
#include "fuzz_folder.h"
#include "fuzz_open.h"
#include "tiny_zip.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void as_input(const char *path) {
    cvs_error err = {0};
    const cvs_limits limits = {.max_memory_bytes = 1 << 22};
    cvs_tensor t = {0};
    if (cvs_npz_read(path, "y", &limits, &t, &err) == CVS_OK) {
        cvs_tensor_free(&t);
    }
}

static void as_data(const char *path) {
    char spec[400];
    cvs_error err = {0};
    const cvs_data_options options = {.limits = {.max_memory_bytes = 1 << 22}};
    cvs_data *set = NULL;
    snprintf(spec, sizeof spec, "npz:%s", path);
    if (cvs_data_open(spec, &options, &set, &err) == CVS_OK) {
        cvs_data_info info;
        cvs_tensor picture = {0};
        int label = 0;
        cvs_data_describe(set, &info);
        if (info.count > 0 && cvs_data_get(set, info.count - 1, &picture, &label, NULL, &err) == CVS_OK) {
            cvs_tensor_free(&picture);
        }
    }
    cvs_data_free(set);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 2) {
        return 0;
    }
    size_t first = (size_t)(data[0] | data[1] << 8);
    first = CVI_MIN(first, size - 2);
    tiny_zip z = {0};
    tiny_add(&z, "x.npy", data + 2, first);
    tiny_add(&z, "y.npy", data + 2 + first, size - 2 - first);
    if (tiny_end(&z)) {
        const char *path = fuzz_write("a.npz", z.out.data, z.out.size);
        as_input(path);
        as_data(path);
        fuzz_open_and_sum((const uint8_t *)z.out.data, z.out.size, "fuzz.npz");
    }
    tiny_free(&z);
    return 0;
}

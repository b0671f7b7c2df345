/* SPDX-License-Identifier: MIT
 * fuzz_hdf5.c - libFuzzer target: walks every group, attribute and data set of a file made of any bytes. The unit
 * test of the reader includes it and drives the same walk over damaged fixtures.
 */
#include "formats/hdf5.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void walk_object(cvi_h5 *f, int64_t object, int depth, int *left, cvs_error *err) {
    static const char *const names[] = {"model_config", "layer_names", "vlen", "attribute_07"};
    for (int i = 0; i < CVI_COUNT(names); i++) {
        int64_t n = 0;
        const char **list = NULL;
        if (cvi_h5_attribute(f, object, names[i], &n, &list, err) == CVS_OK) {
            for (int64_t k = 0; k < n; k++) {
                *left -= strlen(list[k]) > 1000;
            }
        }
    }
    cvs_tensor t;
    if (cvi_h5_dataset(f, object, &t, err) == CVS_OK && t.bytes > 0) {
        *left -=
            ((const uint8_t *)t.data)[0] + ((const uint8_t *)t.data)[t.bytes - 1] > 600; /* touch both ends */
    }
    cvs_tensor_free(&t);
    cvi_h5_group group = {0};
    if (depth < 8 && cvi_h5_list(f, object, &group, err) == CVS_OK) {
        for (int64_t i = 0; i<group.n && * left> 0; i++) {
            --*left;
            if (group.link[i].object >= 0) {
                walk_object(f, group.link[i].object, depth + 1, left, err);
            }
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    cvs_error err = {0};
    cvs_limits limits = {.max_memory_bytes = 64 << 20};
    cvi_h5 *f = NULL;
    if (cvi_h5_open(data, size, &limits, &f, &err) == CVS_OK) {
        int left = 500;
        walk_object(f, cvi_h5_root(f), 0, &left, &err);
        cvi_h5_close(f);
    }
    return 0;
}

/* SPDX-License-Identifier: MIT
 * fuzz_cifar.c - libFuzzer target: any bytes as a batch of the python version of CIFAR, as its file of names, and as a batch of the binary one.
 */
#include "data/dataset.h"
#include "fuzz_folder.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void pickled(const char *path) {
    cvs_error err = {0};
    const cvs_limits limits = cvs_limits_default(&(cvs_limits){.max_memory_bytes = 1 << 24});
    cvi_arrays arrays = {0};
    (void)cvi_cifar_pickle(path, "labels", 10, &limits, &arrays, &err);
    cvi_arrays_free(&arrays);
    cvi_arena *names = cvi_arena_new(1 << 20);
    const char **list = NULL;
    err = (cvs_error){0};
    if (names) {
        (void)cvi_cifar_names(path, "label_names", &limits, names, &list, &err);
    }
    cvi_arena_free(names);
}

static void binary(void) {
    char spec[300];
    cvs_error err = {0};
    const cvs_data_options options = {.limits = {.max_memory_bytes = 1 << 24}};
    cvs_data *set = NULL;
    snprintf(spec, sizeof spec, "cifar10:%s", fuzz_folder_path());
    (void)cvs_data_open(spec, &options, &set, &err);
    cvs_data_free(set);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    pickled(fuzz_write("data_batch_1.bin", data, size));
    if (size > 0 && size % 3073 == 0) {
        binary();
    }
    return 0;
}

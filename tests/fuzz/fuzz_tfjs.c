/* SPDX-License-Identifier: MIT
 * fuzz_tfjs.c - libFuzzer target: any bytes as the model.json of a TensorFlow.js model, in a temporary folder of this process
 * beside one shard of 4096 bytes named "w".
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "convscope/model.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char folder[200], model_path[240], shard_path[240];

static void clean_up(void) {
    unlink(model_path);
    unlink(shard_path);
    rmdir(folder);
}

static void write_file(const char *path, const uint8_t *data, size_t size) {
    FILE *f = fopen(path, "wb");
    if (!f || fwrite(data, 1, size, f) != size || fclose(f) != 0) {
        abort(); /* nothing to test with */
    }
}

static void set_up(void) {
    static uint8_t shard[4096];
    const char *tmp = getenv("TMPDIR");
    snprintf(folder, sizeof folder, "%.150s/convscope-fuzz-XXXXXX", tmp ? tmp : P_tmpdir);
    if (!mkdtemp(folder)) {
        abort();
    }
    snprintf(model_path, sizeof model_path, "%s/model.json", folder);
    snprintf(shard_path, sizeof shard_path, "%s/w", folder);
    for (size_t i = 0; i < sizeof shard; i++) {
        shard[i] = (uint8_t)(i * 37);
    }
    write_file(shard_path, shard, sizeof shard);
    atexit(clean_up);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    cvs_error err = {0};
    cvs_open_options options = {.limits = {.max_memory_bytes = 64 << 20, .max_nodes = 20000}};
    cvs_model *model = NULL;
    if (!folder[0]) {
        set_up();
    }
    write_file(model_path, data, size);
    if (cvs_model_open(model_path, &options, &model, &err) == CVS_OK) {
        cvs_model_free(model);
    }
    return 0;
}

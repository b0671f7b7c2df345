/* SPDX-License-Identifier: MIT
 * fuzz_saved.c - libFuzzer target: any bytes as the saved_model.pb of a SavedModel folder with variables. Before them stand the length of the
 * index of the variables, two bytes, and the index; the numbers are 4096 bytes of 1. With the highest bit of the length they are a checkpoint
 * instead: its index, and the .meta beside it.
 */
#include <errno.h>
#include <sys/stat.h>

#include "convscope/run.h"
#include "fuzz_folder.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The folder's subfolder and the numbers, made once. */
static void make_variables(void) {
    static bool made;
    static uint8_t numbers[4096];
    char path[240];
    if (made) {
        return;
    }
    snprintf(path, sizeof path, "%s/variables", fuzz_folder_path());
    if (mkdir(path, 0700) != 0 && errno != EEXIST) {
        abort();
    }
    memset(numbers, 1, sizeof numbers);
    fuzz_write("variables/variables.data-00000-of-00001", numbers, sizeof numbers);
    fuzz_write("variables/one.data-00000-of-00001", numbers, sizeof numbers);
    made = true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    cvs_error err = {0};
    const cvs_open_options options = {
        .limits = {.max_memory_bytes = 64 << 20, .max_nodes = 500, .max_depth = 16}};
    const cvs_run_options run = {.threads = 1, .limits = options.limits};
    cvs_model *model = NULL;
    cvs_summary summary = {0};
    size_t n = size >= 2 ? (size_t)(data[0] | (data[1] & 127) << 8) : 0;
    if (size < 2 || n > size - 2) {
        return 0;
    }
    bool checkpoint = data[1] & 128;
    make_variables();
    const char *index =
        fuzz_write(checkpoint ? "variables/one.index" : "variables/variables.index", data + 2, n);
    fuzz_write(checkpoint ? "variables/one.meta" : "saved_model.pb", data + 2 + n, size - 2 - n);
    if (cvs_model_open(checkpoint ? index : fuzz_folder_path(), &options, &model, &err) != CVS_OK) {
        return 0;
    }
    if (cvs_model_summarize(model, &run, CVS_ZH, &summary, &err) == CVS_OK) {
        cvs_summary_free(&summary);
    }
    cvs_model_free(model);
    return 0;
}

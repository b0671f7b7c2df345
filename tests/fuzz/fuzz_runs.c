/* SPDX-License-Identifier: MIT
 * fuzz_runs.c - libFuzzer target: any bytes as the record of a training run, run.sqlite, read as the table of runs reads it.
 */
#include "convscope/runs.h"
#include "fuzz_folder.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    cvs_error err = {0};
    cvs_runs *runs = NULL;
    const cvs_limits limits = {.max_memory_bytes = 1 << 24};
    fuzz_write("run.sqlite", data, size);
    if (cvs_runs_open(fuzz_folder_path(), &limits, &runs, &err) == CVS_OK) {
        size_t seen = 0;
        for (int i = 0; i < cvs_runs_count(runs); i++) {
            const cvs_run_record *r = cvs_runs_get(runs, i);
            seen += strlen(cvs_run_state_name(r->state));
        }
        if (seen > 1000) {
            abort(); /* one folder, one run */
        }
    }
    cvs_runs_free(runs);
    return 0;
}

/* SPDX-License-Identifier: MIT
 * fuzz_pickle.c - libFuzzer target: any bytes as a pickle, and its tree as what torch.save wrote.
 */
#include "formats/torch.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    cvs_error err = {0};
    cvs_limits limits = cvs_limits_default(&(cvs_limits){.max_memory_bytes = 32 << 20, .max_nodes = 20000});
    cvs_model *m = cvi_model_new(&limits, &err);
    cvi_pickled p;
    if (m && cvi_pickle_read(m->arena, data, size, 0, &p, &err) == CVS_OK) {
        cvi_torch_storage storage = {.key = "0", .data = data, .bytes = (int64_t)size};
        cvi_torch t = {.model = m, .err = &err, .folder = "data/", .storage = &storage, .n_storages = 1};
        cvi_state state = {.model = m, .ordered = true};
        cvi_torch_foreign(&t, p.globals);
        if (cvi_torch_collect(&t, p.root, &state) == CVS_OK && state.n > 0) {
            (void)cvi_state_done(&state, &err);
        }
    }
    cvs_model_free(m);
    return 0;
}

/* SPDX-License-Identifier: MIT
 * fuzz_checkpoint.c - libFuzzer target: any bytes as RUN/state.safetensors, from which a training of one small layer with momentum is to go on.
 * The first input is one that the project wrote itself (tests/fuzz/seeds/checkpoint).
 */
#include "fuzz_folder.h"
#include "train/trainer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { EPOCHS = 4 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    cvs_error err = {0};
    const cvs_limits limits = cvs_limits_default(&(cvs_limits){.max_memory_bytes = 64 << 20});
    float now[6] = {0}, slot[6] = {0}, sum[3] = {0};
    int32_t seen[3] = {0};
    cvi_param param = {.name = "fc.weight", .trained = true, .slots = {slot}};
    param.now = (cvs_tensor){.dtype = CVS_F32, .rank = 2, .dim = {2, 3}, .data = now, .bytes = sizeof now};
    cvi_params params = {.n = 1, .list = &param, .n_trained = 1, .n_slots = 1, .numbers = 6};
    const cvi_training training = {.optimizer = cvi_optimizer_find("momentum"),
                                   .loss = cvi_loss_find("cross_entropy"),
                                   .schedule = cvi_schedule_find("constant"),
                                   .batch = 2};
    cvi_epoch epochs[EPOCHS] = {{0}};
    cvi_change changes[CVI_MAX_CHANGES];
    cvi_history history = {.list = epochs, .training = &training, .changes = changes};
    history.doubts.n = 3;
    history.doubts.sum = sum;
    history.doubts.seen = seen;
    cvi_standing at = {.epoch = 1};
    bool found = false;
    if (getenv("CVS_WRITE_SEED")) { /* the seed: a run of which one epoch is made */
        history.n = 1;
        at.epoch = 2;
        history.changes[0] = (cvi_change){.step = 3, .rate = 0.5};
        history.n_changes = 1;
        return cvi_state_write(&params, &at, &history, getenv("CVS_WRITE_SEED"), &err);
    }
    fuzz_write("state.safetensors", data, size);
    if (cvi_state_read(&params, &at, &history, EPOCHS, fuzz_folder_path(), &limits, &found, &err) == CVS_OK &&
        (!found || history.n > EPOCHS || history.n_changes > CVI_MAX_CHANGES || at.epoch < 1)) {
        abort(); /* a run that cannot be gone on with */
    }
    return 0;
}

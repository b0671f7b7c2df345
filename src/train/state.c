/* SPDX-License-Identifier: MIT
 * state.c - RUN/state.safetensors: every parameter and running statistic by name, the optimiser's buffers as NAME/slot, and the
 * counters as metadata, so that other programs can read the weights and a run can be looked at where it stood.
 */
#include "formats/safetensors.h"
#include "train/trainer.h"

static cvs_status list_tensors(const cvi_params *p, const cvi_training *t, cvi_arena *arena,
                               cvi_safetensor *list, int *n, cvs_error *err) {
    for (int i = 0; i < p->n; i++) {
        const cvi_param *param = &p->list[i];
        list[(*n)++] = (cvi_safetensor){param->name, param->now};
        for (int k = 0; param->trained && k < p->n_slots; k++) {
            cvs_tensor slot = param->now;
            slot.data = param->slots[k];
            slot.owned = false;
            const char *name = cvi_arena_printf(arena, "%s/%s", param->name, t->optimizer->slots[k]);
            if (!name) {
                return cvi_no_memory(err, strlen(param->name));
            }
            list[(*n)++] = (cvi_safetensor){name, slot};
        }
    }
    return CVS_OK;
}

cvs_status cvi_state_write(const cvi_params *p, const cvi_training *t, int64_t step, int epoch,
                           const char *run, cvs_error *err) {
    cvi_arena *arena = cvi_arena_new(0);
    char *path = cvi_path_join(run, "state.safetensors");
    size_t room = (size_t)p->n * (size_t)(1 + p->n_slots);
    cvi_safetensor *list = cvi_calloc(room + 1, sizeof *list);
    const char *pairs[10] = {"format", "convscope-state", "optimizer", t->optimizer->name};
    cvs_status s = CVS_OK;
    int n = 0;
    if (arena) {
        pairs[4] = "step";
        pairs[5] = cvi_arena_printf(arena, "%lld", (long long)step);
        pairs[6] = "epoch";
        pairs[7] = cvi_arena_printf(arena, "%d", epoch);
        pairs[8] = "seed";
        pairs[9] = cvi_arena_printf(arena, "%llu", (unsigned long long)t->seed);
    }
    if (!arena || !path || !list || !pairs[5] || !pairs[7] || !pairs[9]) {
        s = cvi_no_memory(err, room * sizeof *list);
    }
    if (s == CVS_OK) {
        s = list_tensors(p, t, arena, list, &n, err);
    }
    if (s == CVS_OK) {
        s = cvi_safetensors_write(path, list, n, pairs, 5, err);
    }
    cvi_free(list);
    cvi_free(path);
    cvi_arena_free(arena);
    return s;
}

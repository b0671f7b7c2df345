/* SPDX-License-Identifier: MIT
 * optimizer.c - the list of optimisers and looking them up; each is in a file of its own, optimizer_<name>.c.
 */
#include "train/trainer.h"

#define CVI_OPTIMIZER(name) extern const cvi_optimizer cvi_optimizer_##name;
#include "train/optimizers.def"
#undef CVI_OPTIMIZER

static const cvi_optimizer *const optimizers[] = {
#define CVI_OPTIMIZER(name) &cvi_optimizer_##name,
#include "train/optimizers.def"
#undef CVI_OPTIMIZER
};

const cvi_optimizer *cvi_optimizer_find(const char *name) {
    for (int i = 0; i < CVI_COUNT(optimizers); i++) {
        if (strcmp(optimizers[i]->name, name) == 0) {
            return optimizers[i];
        }
    }
    return NULL;
}

const char *cvi_optimizer_names(char *text, size_t size) {
    size_t used = 0;
    text[0] = 0;
    for (int i = 0; i < CVI_COUNT(optimizers); i++) {
        int n = snprintf(text + used, size - used, "%s%s", i ? ", " : "", optimizers[i]->name);
        used = CVI_MIN(used + (size_t)CVI_MAX(n, 0), size - 1);
    }
    return text;
}

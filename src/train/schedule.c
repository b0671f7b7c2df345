/* SPDX-License-Identifier: MIT
 * schedule.c - the list of schedules of the learning rate and looking them up; each is in a file of its own, schedule_<name>.c.
 */
#include "train/trainer.h"

#define CVI_SCHEDULE(name) extern const cvi_schedule cvi_schedule_##name;
#include "train/schedules.def"
#undef CVI_SCHEDULE

static const cvi_schedule *const schedules[] = {
#define CVI_SCHEDULE(name) &cvi_schedule_##name,
#include "train/schedules.def"
#undef CVI_SCHEDULE
};

const cvi_schedule *cvi_schedule_find(const char *name) {
    for (int i = 0; i < CVI_COUNT(schedules); i++) {
        if (strcmp(schedules[i]->name, name) == 0) {
            return schedules[i];
        }
    }
    return NULL;
}

const char *cvi_schedule_names(char *text, size_t size) {
    size_t used = 0;
    text[0] = 0;
    for (int i = 0; i < CVI_COUNT(schedules); i++) {
        int n = snprintf(text + used, size - used, "%s%s", i ? ", " : "", schedules[i]->name);
        used = CVI_MIN(used + (size_t)CVI_MAX(n, 0), size - 1);
    }
    return text;
}

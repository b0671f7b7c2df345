/* SPDX-License-Identifier: MIT
 * fuzz_events.c - libFuzzer target: any bytes as the message of one event, every value and number of it looked at.
 */
#include "watch/event_read.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static cvs_status visit(void *context, int k, const cvi_event_value *v, bool *more) {
    int64_t n;
    (void)context;
    *more = k < 1000;
    cvi_free(cvi_event_numbers(&v->tensor, 1000, &n));
    return CVS_OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    cvs_error err = {0};
    cvi_event event;
    cvi_arena *arena = cvi_arena_new(1 << 22);
    if (arena && cvi_event_parse(data, size, &event, &err) == CVS_OK) {
        cvi_event_each(data, size, arena, visit, NULL, &err);
    }
    cvi_arena_free(arena);
    return 0;
}

/* SPDX-License-Identifier: MIT
 * state_list.c - the list of named tensors; see state.h.
 */
#include "formats/state.h"

#include "tensor/small.h"

#include <stdlib.h>

cvs_status cvi_state_add(cvi_state *s, const char *name, const cvs_tensor *t, cvs_error *err) {
    cvi_arena *arena = s->model->arena;
    if (s->n == s->capacity) {
        int64_t room = CVI_MAX(2 * s->capacity, 64);
        cvi_state_item *bigger = cvi_arena_alloc(arena, room, sizeof *bigger);
        if (!bigger || room > s->model->limits.max_nodes * 4) {
            return cvi_no_memory(err, (size_t)room * sizeof *bigger);
        }
        if (s->n > 0) {
            memcpy(bigger, s->item, (size_t)s->n * sizeof *bigger);
        }
        s->item = bigger;
        s->capacity = room;
    }
    cvi_state_item *item = &s->item[s->n++];
    *item = (cvi_state_item){.name = cvi_arena_strn(arena, name, strlen(name)), .t = *t};
    if (!item->name) {
        return cvi_no_memory(err, strlen(name));
    }
    bool half = t->dtype == CVS_F16 || t->dtype == CVS_BF16 || cvi_is_small_float(t->dtype),
         wide = t->dtype == CVS_F64;
    if ((!half && !wide) || s->keep_types) {
        return CVS_OK;
    }
    cvs_tensor converted = {0};
    CVI_TRY(cvs_tensor_convert(t, CVS_F32, &converted, err));
    item->t = converted;
    item->t.owned = false;
    item->t.data = converted.bytes > 0 ? cvi_arena_raw(arena, (int64_t)converted.bytes) : NULL;
    if (item->t.data) {
        memcpy(item->t.data, converted.data, converted.bytes);
    }
    bool ok = item->t.data || converted.bytes == 0;
    cvs_tensor_free(&converted);
    s->model->widened |= half;
    return ok ? CVS_OK : cvi_no_memory(err, item->t.bytes);
}

/* What wraps a whole network: DataParallel, torch.compile, Lightning and the like. */
static const char *const wrappers[] = {"module.", "_orig_mod.", "model.", "net.", "network.", "backbone."};

static bool strip(cvi_state *s) {
    for (int i = 0; i < CVI_COUNT(wrappers); i++) {
        size_t n = strlen(wrappers[i]);
        bool all = s->n > 0, some = false;
        for (int k = 0; k < s->n && all; k++) {
            bool inside = strncmp(s->item[k].name, wrappers[i], n) == 0 && s->item[k].name[n];
            all = inside || cvi_state_is_counter(&s->item[k]);
            some |= inside;
        }
        all = all && some;
        if (all) {
            for (int k = 0; k < s->n; k++) {
                s->item[k].name += strncmp(s->item[k].name, wrappers[i], n) == 0 ? n : 0;
            }
            return true;
        }
    }
    return false;
}

static int by_name(const void *a, const void *b) {
    return strcmp((*(cvi_state_item *const *)a)->name, (*(cvi_state_item *const *)b)->name);
}

cvs_status cvi_state_done(cvi_state *s, cvs_error *err) {
    while (!s->exact && strip(s)) {}
    CVI_TRY(s->exact ? CVS_OK : cvi_state_merge(s, err));
    s->by_name = cvi_arena_alloc(s->model->arena, s->n + 1, sizeof(cvi_state_item *));
    if (!s->by_name) {
        return cvi_no_memory(err, (size_t)s->n * sizeof(cvi_state_item *));
    }
    for (int i = 0; i < s->n; i++) {
        s->by_name[i] = &s->item[i];
    }
    if (s->n > 1) {
        qsort(s->by_name, (size_t)s->n, sizeof(cvi_state_item *), by_name);
    }
    for (int i = 1; i < s->n; i++) {
        if (strcmp(s->by_name[i - 1]->name, s->by_name[i]->name) == 0) {
            return cvi_at_attr(err, cvi_fail(err, CVS_E_FORMAT, "two tensors have the same name"),
                               s->by_name[i]->name);
        }
    }
    return CVS_OK;
}

const cvs_tensor *cvi_state_find(const cvi_state *s, const char *fmt, ...) {
    char name[512];
    va_list list;
    va_start(list, fmt);
    int n = vsnprintf(name, sizeof name, fmt, list);
    va_end(list);
    if (n < 0 || (size_t)n >= sizeof name) {
        return NULL;
    }
    cvi_state_item key = {.name = name};
    cvi_state_item *k = &key;
    cvi_state_item **found = bsearch(&k, s->by_name, (size_t)s->n, sizeof(cvi_state_item *), by_name);
    return found ? &(*found)->t : NULL;
}

bool cvi_state_is_counter(const cvi_state_item *item) {
    const char *last = strrchr(item->name, '.');
    return strcmp(last ? last + 1 : item->name, "num_batches_tracked") == 0 ||
           strcmp(item->name, "n_averaged") == 0; /* of AveragedModel, beside what it wraps */
}

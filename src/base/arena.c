/* SPDX-License-Identifier: MIT
 * arena.c - many small pieces that are freed together, out of a chain of growing blocks.
 * The bound and cvi_arena_bytes count the pieces handed out (rounded to 16 bytes), not the blocks.
 */
#include "base/asan.h"
#include "base/base.h"

enum { GAP = CVI_ASAN ? 16 : 0 }; /* bytes between two pieces that nobody may touch */
enum { PIECE_ALIGNMENT = 16, FIRST_BLOCK = 4096, LARGEST_STEP = 1 << 20 };

typedef struct block {
    struct block *next;
    size_t capacity, used; /* of the bytes after this header */
    char padding[64 - 2 * sizeof(size_t) - sizeof(struct block *)];
} block;

struct cvi_arena {
    block *first, *current; /* blocks after `current` are empty ones kept by a reset */
    int64_t bytes, max_bytes;
    size_t step;
};

cvi_arena *cvi_arena_new(int64_t max_bytes) {
    cvi_arena *a = cvi_calloc(1, sizeof *a);
    if (a != NULL) {
        a->max_bytes = max_bytes > 0 ? max_bytes : INT64_MAX;
        a->step = FIRST_BLOCK;
    }
    return a;
}

void cvi_arena_free(cvi_arena *a) {
    if (a == NULL) {
        return;
    }
    for (block *b = a->first; b != NULL;) {
        block *next = b->next;
        cvi_asan_allow(b + 1, b->capacity);
        cvi_free(b);
        b = next;
    }
    cvi_free(a);
}

void cvi_arena_reset(cvi_arena *a) {
    for (block *b = a->first; b != NULL; b = b->next) {
        b->used = 0;
        cvi_asan_forbid(b + 1, b->capacity);
    }
    a->current = a->first;
    a->bytes = 0;
}

/* Makes `current` a block with room for `bytes`: the current one, a kept one, or a new one. */
static bool make_room(cvi_arena *a, size_t bytes) {
    block *b = a->current;
    if (b != NULL && b->capacity - b->used >= bytes) {
        return true;
    }
    if (b != NULL && b->next != NULL && b->next->capacity >= bytes) {
        a->current = b->next;
        return true;
    }
    size_t capacity = CVI_MAX(a->step, bytes);
    if (capacity > SIZE_MAX / 2) {
        return false;
    }
    block *fresh = cvi_malloc(sizeof *fresh + capacity);
    if (fresh == NULL) {
        return false;
    }
    fresh->capacity = capacity;
    fresh->used = 0;
    cvi_asan_forbid(fresh + 1, capacity);
    a->step = CVI_MIN(a->step * 2, (size_t)LARGEST_STEP);
    if (b == NULL) {
        fresh->next = NULL;
        a->first = a->current = fresh;
    } else {
        fresh->next = b->next;
        b->next = fresh;
        a->current = fresh;
    }
    return true;
}

static void *take(cvi_arena *a, int64_t bytes) {
    int64_t total = 0, asked = bytes;
    if (!cvi_add(bytes, PIECE_ALIGNMENT - 1, &bytes)) {
        return NULL;
    }
    bytes = CVI_MAX(bytes / PIECE_ALIGNMENT * PIECE_ALIGNMENT, (int64_t)PIECE_ALIGNMENT);
    if (!cvi_add(a->bytes, bytes, &total) || total > a->max_bytes || (uint64_t)bytes > SIZE_MAX / 2 ||
        !make_room(a, (size_t)bytes + GAP)) {
        return NULL;
    }
    char *p = (char *)(a->current + 1) + a->current->used;
    a->current->used += (size_t)bytes + GAP;
    a->bytes = total;
    cvi_asan_allow(p, (size_t)asked);
    return p;
}

void *cvi_arena_alloc(cvi_arena *a, int64_t count, size_t size) {
    int64_t bytes = 0;
    if (size > INT64_MAX || !cvi_mul(count, (int64_t)size, &bytes)) {
        return NULL;
    }
    void *p = take(a, bytes);
    return p == NULL ? NULL : memset(p, 0, (size_t)bytes);
}

void *cvi_arena_raw(cvi_arena *a, int64_t bytes) {
    enum { ALIGNMENT = 64 };
    char *p = cvi_add(bytes, ALIGNMENT, &bytes) ? take(a, bytes) : NULL;
    return p == NULL ? NULL : p + (ALIGNMENT - (uintptr_t)p % ALIGNMENT) % ALIGNMENT;
}

char *cvi_arena_strn(cvi_arena *a, const char *s, size_t n) {
    if (n >= INT64_MAX) {
        return NULL;
    }
    char *copy = cvi_arena_alloc(a, (int64_t)n + 1, 1);
    if (copy != NULL && n > 0) {
        memcpy(copy, s, n);
    }
    return copy;
}

char *cvi_arena_printf(cvi_arena *a, const char *fmt, ...) {
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    char *text = n < 0 ? NULL : cvi_arena_alloc(a, (int64_t)n + 1, 1);
    if (text != NULL) {
        va_start(args, fmt);
        vsnprintf(text, (size_t)n + 1, fmt, args);
        va_end(args);
    }
    return text;
}

int64_t cvi_arena_bytes(const cvi_arena *a) {
    return a->bytes;
}

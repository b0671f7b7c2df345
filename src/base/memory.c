/* SPDX-License-Identifier: MIT
 * memory.c - every allocation of the library, the hooks that make one fail in a test, checked arithmetic.
 * All blocks are aligned for vector loads and for cache lines; they are released by free(), so that memory
 * may be handed to the user and to jansson without a second convention.
 */
#include <stdlib.h>
#include <sys/mman.h>

#include "base/asan.h"
#include "base/base.h"

enum { ALIGNMENT = 64, LARGE = 4 << 20, PAGE = 2 << 20 };

static cvi_hooks hooks; /* set by tests before they start threads */

void cvi_set_hooks(const cvi_hooks *new_hooks) {
    hooks = new_hooks != NULL ? *new_hooks : (cvi_hooks){0};
}

bool cvi_alloc_should_fail(size_t bytes) {
    return hooks.fail_alloc != NULL && hooks.fail_alloc(hooks.context, bytes);
}

bool cvi_io_should_fail(void) {
    return hooks.fail_io != NULL && hooks.fail_io(hooks.context);
}

/* Weights and activations: in pages of 2 MiB where the system has them, because touching memory for the first time
 * in pages of 4 KiB costs several times what filling it does, and walks over many channels miss the page tables. */
static void *large_block(size_t bytes) {
    void *p = NULL;
    if (posix_memalign(&p, PAGE, bytes) != 0) { /* aligned_alloc may want whole pages */
        return NULL;
    }
#if defined(MADV_HUGEPAGE)
    (void)madvise(p, bytes / PAGE * PAGE, MADV_HUGEPAGE); /* a wish: any answer will do */
#endif
    return p;
}

void *cvi_malloc(size_t bytes) {
    if (bytes > SIZE_MAX / 2 || cvi_alloc_should_fail(bytes)) {
        return NULL;
    }
    size_t rounded = (CVI_MAX(bytes, (size_t)1) + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    if (CVI_ASAN) { /* to the byte, so that it sees what reads one too far */
        void *p = NULL;
        return posix_memalign(&p, ALIGNMENT, CVI_MAX(bytes, (size_t)1)) == 0 ? p : NULL;
    }
    return bytes >= LARGE ? large_block(rounded) : aligned_alloc(ALIGNMENT, rounded);
}

void *cvi_calloc(size_t count, size_t size) {
    if (size != 0 && count > SIZE_MAX / size) {
        return NULL;
    }
    void *p = cvi_malloc(count * size);
    if (p != NULL) {
        memset(p, 0, count * size);
    }
    return p;
}

void *cvi_realloc(void *p, size_t old_bytes, size_t new_bytes) {
    void *q = cvi_malloc(new_bytes);
    if (q != NULL && p != NULL) {
        memcpy(q, p, CVI_MIN(old_bytes, new_bytes));
        free(p);
    }
    return q;
}

void cvi_free(void *p) {
    free(p);
}

void cvs_free(void *memory) {
    free(memory);
}

char *cvi_strdup(const char *s) {
    size_t n = strlen(s) + 1;
    char *copy = cvi_malloc(n);
    if (copy != NULL) {
        memcpy(copy, s, n);
    }
    return copy;
}

bool cvi_mul(int64_t a, int64_t b, int64_t *out) {
    if (a < 0 || b < 0 || (a > 0 && b > INT64_MAX / a)) {
        return false;
    }
    *out = a * b;
    return true;
}

bool cvi_add(int64_t a, int64_t b, int64_t *out) {
    if (a < 0 || b < 0 || a > INT64_MAX - b) {
        return false;
    }
    *out = a + b;
    return true;
}

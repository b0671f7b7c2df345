/* SPDX-License-Identifier: MIT
 * kernel_cpu.c - chooses the table of inner loops for the CPU this process runs on.
 */
#include <stdlib.h>

#include "kernels/kernel_table.h"

static bool wanted(const char *wish, const char *name) {
    return wish == NULL || strcmp(wish, name) == 0;
}

/* The environment is read on every call instead of once into a global: tests switch levels, and a call per
 * layer costs less than a microsecond. */
const cvi_kernels *cvi_kernels_get(void) {
    const char *wish = getenv("CONVSCOPE_CPU");
    if (wish != NULL && strcmp(wish, "portable") != 0 && strcmp(wish, "avx2") != 0) {
        wish = NULL;
    }
#if defined(CVI_HAVE_AVX2)
    if (wanted(wish, "avx2") && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
        return &cvi_kernels_avx2;
    }
#else
    (void)wanted;
#endif
    return &cvi_kernels_portable;
}

const char *cvi_kernels_name(const cvi_kernels *k) {
    return k->name;
}

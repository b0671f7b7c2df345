/* SPDX-License-Identifier: MIT
 * kernel_cpu.c - chooses the table of inner loops for the CPU this process runs on.
 */
#include <stdlib.h>

#include "kernels/kernel_table.h"

/* All that the AVX-512 level is compiled with; the compiler's builtin asks for the system's support too. */
static bool has_avx512(void) {
#if defined(CVI_HAVE_X86)
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw");
#else
    return false;
#endif
}

static bool has_avx2(void) {
#if defined(CVI_HAVE_X86)
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
#else
    return false;
#endif
}

/* The environment is read on every call instead of once into a global: tests switch levels, and a call per
 * layer costs less than a microsecond. */
const cvi_kernels *cvi_kernels_get(void) {
    const char *wish = getenv("CONVSCOPE_CPU");
    bool portable = wish != NULL && strcmp(wish, "portable") == 0,
         avx2 = wish != NULL && strcmp(wish, "avx2") == 0;
#if defined(CVI_HAVE_X86)
    if (!portable && !avx2 && has_avx2() && has_avx512()) {
        return &cvi_kernels_avx512;
    }
    if (!portable && has_avx2()) {
        return &cvi_kernels_avx2;
    }
#else
    (void)portable;
    (void)avx2;
    (void)has_avx2;
    (void)has_avx512;
#endif
    return &cvi_kernels_portable;
}

const char *cvi_kernels_name(const cvi_kernels *k) {
    return k->name;
}

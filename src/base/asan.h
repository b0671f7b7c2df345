/* SPDX-License-Identifier: MIT
 * asan.h (internal to base) - what the allocators tell AddressSanitizer, in builds that have it, so that it sees every piece they hand out and
 * not only the blocks behind them. Nothing elsewhere.
 */
#ifndef CVI_ASAN_H
#define CVI_ASAN_H

#if defined(__SANITIZE_ADDRESS__)
#define CVI_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define CVI_ASAN 1
#endif
#endif

#ifdef CVI_ASAN
#include <sanitizer/asan_interface.h>
#define cvi_asan_forbid(p, n) __asan_poison_memory_region(p, n)
#define cvi_asan_allow(p, n)  __asan_unpoison_memory_region(p, n)
#else
#define CVI_ASAN              0
#define cvi_asan_forbid(p, n) ((void)(p), (void)(n))
#define cvi_asan_allow(p, n)  ((void)(p), (void)(n))
#endif

#endif

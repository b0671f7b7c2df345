/* SPDX-License-Identifier: MIT
 * random.c - counter-based random numbers: Philox 4x32-10 (Salmon, Moraes, Dror, Shaw, "Parallel random numbers:
 * as easy as 1, 2, 3", SC 2011). The seed is the key; index and purpose are the counter, so any number can
 * be had without those before it, in any order, by any thread.
 */
#include <math.h>

#include "base/base.h"

void cvi_philox(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4]) {
    uint32_t c0 = counter[0], c1 = counter[1], c2 = counter[2], c3 = counter[3];
    uint32_t k0 = key[0], k1 = key[1];
    for (int round = 0; round < 10; round++) {
        uint64_t p0 = (uint64_t)0xD2511F53u * c0, p1 = (uint64_t)0xCD9E8D57u * c2;
        uint32_t n0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0, n2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
        c0 = n0, c1 = (uint32_t)p1, c2 = n2, c3 = (uint32_t)p0;
        k0 += 0x9E3779B9u, k1 += 0xBB67AE85u;
    }
    out[0] = c0, out[1] = c1, out[2] = c2, out[3] = c3;
}

static void draw(uint64_t seed, uint64_t purpose, uint64_t index, uint64_t out[2]) {
    uint32_t counter[4] = {(uint32_t)index, (uint32_t)(index >> 32), (uint32_t)purpose,
                           (uint32_t)(purpose >> 32)};
    uint32_t key[2] = {(uint32_t)seed, (uint32_t)(seed >> 32)}, words[4];
    cvi_philox(counter, key, words);
    out[0] = words[0] | (uint64_t)words[1] << 32;
    out[1] = words[2] | (uint64_t)words[3] << 32;
}

uint64_t cvi_random_bits(uint64_t seed, uint64_t purpose, uint64_t index) {
    uint64_t bits[2];
    draw(seed, purpose, index, bits);
    return bits[0];
}

double cvi_random_uniform(uint64_t seed, uint64_t purpose, uint64_t index) {
    return (double)(cvi_random_bits(seed, purpose, index) >> 11) * 0x1p-53;
}

double cvi_random_normal(uint64_t seed, uint64_t purpose, uint64_t index) {
    uint64_t bits[2];
    draw(seed, purpose, index, bits);
    double u = (double)((bits[0] >> 11) + 1) * 0x1p-53; /* (0,1]: its logarithm is finite */
    double v = (double)(bits[1] >> 11) * 0x1p-53;
    return sqrt(-2.0 * log(u)) * cos(6.283185307179586 * v);
}

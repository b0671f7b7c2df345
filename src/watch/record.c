/* SPDX-License-Identifier: MIT
 * record.c - TFRecord framing and its checksum, four bits at a time: the table is small enough to be read.
 */
#include "watch/record.h"

uint32_t cvi_crc32c(const void *data, size_t n) {
    static const uint32_t table[16] = {0x00000000, 0x105ec76f, 0x20bd8ede, 0x30e349b1, 0x417b1dbc, 0x5125dad3,
                                       0x61c69362, 0x7198540d, 0x82f63b78, 0x92a8fc17, 0xa24bb5a6, 0xb21572c9,
                                       0xc38d26c4, 0xd3d3e1ab, 0xe330a81a, 0xf36e6f75};
    const uint8_t *p = data;
    uint32_t crc = 0xffffffff;
    for (size_t i = 0; i < n; i++) {
        crc ^= p[i];
        crc = crc >> 4 ^ table[crc & 15];
        crc = crc >> 4 ^ table[crc & 15];
    }
    return crc ^ 0xffffffff;
}

uint32_t cvi_masked_crc32c(const void *data, size_t n) {
    uint32_t crc = cvi_crc32c(data, n);
    return (crc >> 15 | crc << 17) + 0xa282ead8U;
}

static void put(uint8_t *to, uint64_t v, int n) {
    for (int i = 0; i < n; i++) {
        to[i] = (uint8_t)(v >> (8 * i));
    }
}

static uint64_t get(const uint8_t *from, int n) {
    uint64_t v = 0;
    for (int i = 0; i < n; i++) {
        v |= (uint64_t)from[i] << (8 * i);
    }
    return v;
}

void cvi_record_add(cvi_buf *b, const void *data, size_t n) {
    uint8_t head[CVI_RECORD_HEAD], tail[CVI_RECORD_TAIL];
    put(head, n, 8);
    put(head + 8, cvi_masked_crc32c(head, 8), 4);
    put(tail, cvi_masked_crc32c(data, n), 4);
    cvi_buf_add(b, head, sizeof head);
    cvi_buf_add(b, data, n);
    cvi_buf_add(b, tail, sizeof tail);
}

bool cvi_record_length(const uint8_t head[CVI_RECORD_HEAD], uint64_t *length) {
    *length = get(head, 8);
    return get(head + 8, 4) == cvi_masked_crc32c(head, 8);
}

bool cvi_record_good(const uint8_t *data, size_t n) {
    return get(data + n, 4) == cvi_masked_crc32c(data, n);
}

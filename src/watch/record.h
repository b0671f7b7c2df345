/* SPDX-License-Identifier: MIT
 * record.h (internal) - TFRecord framing: u64 length, its checksum, the bytes, their checksum; little endian, masked CRC-32C.
 */
#ifndef CVI_RECORD_H
#define CVI_RECORD_H

#include "base/base.h"

enum { CVI_RECORD_HEAD = 12, CVI_RECORD_TAIL = 4 };

/* CRC-32C (Castagnoli), and as TensorFlow masks it. */
uint32_t cvi_crc32c(const void *data, size_t n);
uint32_t cvi_masked_crc32c(const void *data, size_t n);
/* Appends one record. */
void cvi_record_add(cvi_buf *b, const void *data, size_t n);
/* Reads the 12 bytes before a record's own: false when the length's checksum is wrong. */
bool cvi_record_length(const uint8_t head[CVI_RECORD_HEAD], uint64_t *length);
/* True when the four bytes behind a record's own are its checksum. */
bool cvi_record_good(const uint8_t *data, size_t n);

#endif

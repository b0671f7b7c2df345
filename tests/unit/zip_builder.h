/* SPDX-License-Identifier: MIT
 * zip_builder.h - for unit tests: writes zip archives, right ones and wrong ones, field by field.
 * Include after cmocka.h.
 */
#ifndef ZIP_BUILDER_H
#define ZIP_BUILDER_H

#include <zlib.h>

#include "base/base.h"

typedef struct zip_builder {
    cvi_buf out, directory;
    int n;
} zip_builder;

/* What to say about an entry; zero = the truth. */
typedef struct zip_lie {
    const char *local_name;
    uint32_t flags, method, crc_off, size_off, local_size_off, mode, header_off;
    bool deflate, descriptor, hidden;
} zip_lie;

static inline void zip_number(cvi_buf *b, uint64_t v, int bytes) {
    for (int i = 0; i < bytes; i++) {
        uint8_t c = i < 8 ? (uint8_t)(v >> (8 * i)) : 0;
        cvi_buf_add(b, &c, 1);
    }
}

static inline size_t zip_deflate(const void *data, size_t size, uint8_t *out, size_t room) {
    z_stream z = {0};
    assert_int_equal(deflateInit2(&z, 9, Z_DEFLATED, -15, 8, Z_DEFAULT_STRATEGY), Z_OK);
    z.next_in = (Bytef *)(uintptr_t)data;
    z.avail_in = (uInt)size;
    z.next_out = out;
    z.avail_out = (uInt)room;
    assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
    size_t n = room - z.avail_out;
    deflateEnd(&z);
    return n;
}

static inline void zip_add(zip_builder *b, const char *name, const void *data, size_t size,
                           const zip_lie *said) {
    const zip_lie lie = said ? *said : (zip_lie){0};
    uint32_t crc = (uint32_t)crc32(0, data, (uInt)size) + lie.crc_off, method = lie.deflate ? 8 : 0;
    uint32_t flags = lie.flags | (lie.descriptor ? 8 : 0), header = (uint32_t)b->out.size + lie.header_off;
    uint8_t *packed = NULL;
    size_t stored = size, total = size + lie.size_off;
    if (lie.deflate) {
        packed = cvi_malloc(size + 1000);
        stored = zip_deflate(data, size, packed, size + 1000);
    }
    method = lie.method ? lie.method : method;
    const char *local = lie.local_name ? lie.local_name : name;
    zip_number(&b->out, 0x04034b50, 4);
    zip_number(&b->out, 20, 2);
    zip_number(&b->out, flags, 2);
    zip_number(&b->out, method, 2);
    zip_number(&b->out, 0, 4);
    zip_number(&b->out, lie.descriptor ? 0 : crc, 4);
    zip_number(&b->out, lie.descriptor ? 0 : stored, 4);
    zip_number(&b->out, lie.descriptor ? 0 : total + lie.local_size_off, 4);
    zip_number(&b->out, strlen(local), 2);
    zip_number(&b->out, 0, 2);
    cvi_buf_puts(&b->out, local);
    cvi_buf_add(&b->out, packed ? packed : data, stored);
    if (lie.descriptor) {
        zip_number(&b->out, 0x08074b50, 4);
        zip_number(&b->out, crc, 4);
        zip_number(&b->out, stored, 4);
        zip_number(&b->out, total, 4);
    }
    cvi_free(packed);
    if (lie.hidden) {
        return;
    }
    zip_number(&b->directory, 0x02014b50, 4);
    zip_number(&b->directory, 20 | 3 << 8, 2);
    zip_number(&b->directory, 20, 2);
    zip_number(&b->directory, flags, 2);
    zip_number(&b->directory, method, 2);
    zip_number(&b->directory, 0, 4);
    zip_number(&b->directory, crc, 4);
    zip_number(&b->directory, stored, 4);
    zip_number(&b->directory, total, 4);
    zip_number(&b->directory, strlen(name), 2);
    zip_number(&b->directory, 0, 8);
    zip_number(&b->directory, (uint64_t)lie.mode << 16, 4);
    zip_number(&b->directory, header, 4);
    cvi_buf_puts(&b->directory, name);
    b->n++;
}

/* The directory and the end; the archive is b->out. */
static inline void zip_finish(zip_builder *b, int claimed, const char *comment) {
    size_t at = b->out.size;
    cvi_buf_add(&b->out, b->directory.data, b->directory.size);
    zip_number(&b->out, 0x06054b50, 4);
    zip_number(&b->out, 0, 4);
    zip_number(&b->out, (uint64_t)claimed, 2);
    zip_number(&b->out, (uint64_t)claimed, 2);
    zip_number(&b->out, b->directory.size, 4);
    zip_number(&b->out, at, 4);
    zip_number(&b->out, strlen(comment), 2);
    cvi_buf_puts(&b->out, comment);
    assert_false(b->out.failed || b->directory.failed);
}

static inline void zip_free(zip_builder *b) {
    cvi_buf_free(&b->out);
    cvi_buf_free(&b->directory);
}

#endif

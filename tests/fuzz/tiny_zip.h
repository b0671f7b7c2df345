/* SPDX-License-Identifier: MIT
 * tiny_zip.h - for fuzz targets: a zip archive that is right, around bytes that need not be.
 */
#ifndef TINY_ZIP_H
#define TINY_ZIP_H

#include <zlib.h>

#include "base/base.h"

typedef struct tiny_zip {
    cvi_buf out, directory;
    int n;
} tiny_zip;

static inline void tiny_put(cvi_buf *b, uint64_t v, int bytes) {
    for (int i = 0; i < bytes; i++) {
        uint8_t c = i < 8 ? (uint8_t)(v >> (8 * i)) : 0;
        cvi_buf_add(b, &c, 1);
    }
}

static inline void tiny_add(tiny_zip *z, const char *name, const void *data, size_t size) {
    uint32_t crc = (uint32_t)crc32(0, data, (uInt)size);
    size_t at = z->out.size;
    for (int central = 0; central < 2; central++) {
        cvi_buf *b = central ? &z->directory : &z->out;
        tiny_put(b, central ? 0x02014b50 : 0x04034b50, 4);
        tiny_put(b, 20, central ? 4 : 2);
        tiny_put(b, 0, 8);
        tiny_put(b, crc, 4);
        tiny_put(b, size, 4);
        tiny_put(b, size, 4);
        tiny_put(b, strlen(name), 2);
        tiny_put(b, 0, central ? 12 : 2);
        if (central) {
            tiny_put(b, at, 4);
        }
        cvi_buf_puts(b, name);
    }
    cvi_buf_add(&z->out, data, size);
    z->n++;
}

/* The end; false when memory ran out. The archive is z->out. */
static inline bool tiny_end(tiny_zip *z) {
    size_t at = z->out.size;
    cvi_buf_add(&z->out, z->directory.data, z->directory.size);
    tiny_put(&z->out, 0x06054b50, 4);
    tiny_put(&z->out, 0, 4);
    tiny_put(&z->out, (uint64_t)z->n, 2);
    tiny_put(&z->out, (uint64_t)z->n, 2);
    tiny_put(&z->out, z->directory.size, 4);
    tiny_put(&z->out, at, 4);
    tiny_put(&z->out, 0, 2);
    return !z->out.failed && !z->directory.failed;
}

static inline void tiny_free(tiny_zip *z) {
    cvi_buf_free(&z->out);
    cvi_buf_free(&z->directory);
}

#endif

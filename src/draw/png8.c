/* SPDX-License-Identifier: MIT
 * png8.c - PNG with a palette, straight over zlib: a quarter of the bytes of RGBA for maps drawn in one colour scale.
 * Format: W3C PNG specification, chunks IHDR PLTE tRNS IDAT IEND, 8 bits per pixel, no filter, no interlace.
 */
#include "draw/scene.h"

#include <zlib.h>

static void put32(uint8_t *p, uint32_t v) {
    for (int i = 0; i < 4; i++) {
        p[i] = (uint8_t)(v >> (24 - 8 * i));
    }
}

static void chunk(cvi_buf *out, const char *type, const uint8_t *data, size_t n) {
    uint8_t word[4];
    put32(word, (uint32_t)n);
    cvi_buf_add(out, word, 4);
    cvi_buf_add(out, type, 4);
    cvi_buf_add(out, data, n);
    uLong crc = crc32(crc32(0, (const Bytef *)type, 4), data, (uInt)n);
    put32(word, (uint32_t)crc);
    cvi_buf_add(out, word, 4);
}

static voidpf zlib_alloc(voidpf context, uInt count, uInt size) {
    (void)context;
    return cvi_calloc(count, size);
}

static void zlib_free(voidpf context, voidpf p) {
    (void)context;
    cvi_free(p);
}

/* Renumbers the colours in use to 0..n-1 in their order; returns n. */
static int compact(const uint8_t *pixels, int64_t count, uint8_t map[256], uint8_t used[256]) {
    bool seen[256] = {false};
    for (int64_t i = 0; i < count; i++) {
        seen[pixels[i]] = true;
    }
    int n = 0;
    for (int i = 0; i < 256; i++) {
        if (seen[i]) {
            map[i] = (uint8_t)n;
            used[n++] = (uint8_t)i;
        }
    }
    return n;
}

/* Deflates the rows (each with filter byte 0) into out as one IDAT chunk. */
static bool deflate_rows(const uint8_t *pixels, int64_t width, int64_t height, const uint8_t map[256],
                         cvi_buf *out) {
    z_stream z = {.zalloc = zlib_alloc, .zfree = zlib_free};
    int64_t raw = (width + 1) * height;
    uint8_t *row = cvi_malloc((size_t)width + 1);
    if (row == NULL || deflateInit(&z, 7) != Z_OK) {
        cvi_free(row);
        return false;
    }
    uLong bound = deflateBound(&z, (uLong)raw);
    uint8_t *packed = cvi_malloc(bound);
    bool ok = packed != NULL;
    z.next_out = packed;
    z.avail_out = (uInt)bound;
    for (int64_t y = 0; ok && y < height; y++) {
        row[0] = 0;
        for (int64_t x = 0; x < width; x++) {
            row[x + 1] = map[pixels[y * width + x]];
        }
        z.next_in = row;
        z.avail_in = (uInt)(width + 1);
        int rc = deflate(&z, y + 1 == height ? Z_FINISH : Z_NO_FLUSH);
        ok = rc == (y + 1 == height ? Z_STREAM_END : Z_OK);
    }
    if (ok) {
        chunk(out, "IDAT", packed, (size_t)z.total_out);
    }
    deflateEnd(&z);
    cvi_free(packed);
    cvi_free(row);
    return ok;
}

cvs_status cvi_png8_encode(const uint8_t *pixels, int64_t width, int64_t height, const cvi_color *palette,
                           cvi_buf *out, cvs_error *err) {
    if (width <= 0 || height <= 0 || width > INT32_MAX / 4 || height > INT32_MAX / (width + 1)) {
        return cvi_fail(err, CVS_E_LIMIT, "a picture of %lld x %lld pixels is too large to write",
                        (long long)width, (long long)height);
    }
    uint8_t map[256] = {0}, used[256] = {0}, head[13] = {0}, colors[768], alpha[256];
    int n = compact(pixels, width * height, map, used), opaque_tail = n;
    put32(head, (uint32_t)width);
    put32(head + 4, (uint32_t)height);
    head[8] = 8;
    head[9] = 3;
    for (int i = 0; i < n; i++) {
        cvi_color c = palette[used[i]];
        colors[3 * i] = (uint8_t)(c >> 24);
        colors[3 * i + 1] = (uint8_t)(c >> 16);
        colors[3 * i + 2] = (uint8_t)(c >> 8);
        alpha[i] = (uint8_t)c;
    }
    while (opaque_tail > 0 && alpha[opaque_tail - 1] == 0xFF) {
        opaque_tail--;
    }
    cvi_buf_add(out, "\x89PNG\r\n\x1a\n", 8);
    chunk(out, "IHDR", head, sizeof head);
    chunk(out, "PLTE", colors, (size_t)n * 3);
    if (opaque_tail > 0) {
        chunk(out, "tRNS", alpha, (size_t)opaque_tail);
    }
    if (!deflate_rows(pixels, width, height, map, out) || out->failed) {
        return cvi_no_memory(err, (size_t)(width * height));
    }
    chunk(out, "IEND", (const uint8_t *)"", 0);
    return out->failed ? cvi_no_memory(err, out->size) : CVS_OK;
}

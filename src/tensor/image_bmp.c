/* SPDX-License-Identifier: MIT
 * image_bmp.c - uncompressed Windows bitmaps of 1, 4, 8, 16, 24 and 32 bits, either row order.
 * Colours of 16 and 32 bits are cut out by masks, which are either in the file or the customary ones; a mask
 * for alpha counts only where the file gives one.
 */
#include "base/base.h"
#include "tensor/image.h"

typedef struct bmp {
    size_t pixels_at;
    int64_t width, height;
    bool top_down;
    int bits;
    uint32_t mask[4]; /* R, G, B, A */
    uint8_t palette[256][3];
    int colors;
} bmp;

static uint32_t little16(const uint8_t *p) {
    return (uint32_t)p[0] | (uint32_t)p[1] << 8;
}

static uint32_t little32(const uint8_t *p) {
    return little16(p) | little16(p + 2) << 16;
}

static cvs_status damaged(cvs_error *err, int64_t offset) {
    return cvi_at_offset(err, cvi_fail(err, CVS_E_FORMAT, "the BMP header is damaged"), offset);
}

/* The masks of 16 and 32 bits: customary, or (compression 3 and 6) in or behind the header. */
static cvs_status read_masks(const uint8_t *data, size_t size, uint32_t header, uint32_t compression, bmp *b,
                             cvs_error *err) {
    static const uint32_t usual[2][3] = {{0x7C00, 0x3E0, 0x1F}, {0xFF0000, 0xFF00, 0xFF}};
    memcpy(b->mask, usual[b->bits == 32], sizeof usual[0]);
    b->mask[3] = 0;
    if (compression == 3 || compression == 6) {
        int n = header >= 56 || compression == 6 ? 4 : 3;
        if (size < 54 + 4 * (size_t)n) {
            return damaged(err, 54);
        }
        for (int i = 0; i < n; i++) {
            b->mask[i] = little32(data + 54 + 4 * i);
        }
    }
    return CVS_OK;
}

static cvs_status read_palette(const uint8_t *data, size_t size, size_t at, int entry, uint32_t colors,
                               bmp *b, cvs_error *err) {
    uint32_t most = 1u << b->bits;
    colors = colors == 0 ? most : colors;
    if (colors > most || at > size || (size - at) / (size_t)entry < colors) {
        return damaged(err, (int64_t)CVI_MIN(at, size));
    }
    for (uint32_t i = 0; i < colors; i++, at += (size_t)entry) {
        for (int c = 0; c < 3; c++) {
            b->palette[i][c] = data[at + 2 - (size_t)c];
        }
    }
    b->colors = (int)colors;
    return CVS_OK;
}

static cvs_status read_header(const uint8_t *data, size_t size, bmp *b, cvs_error *err) {
    uint32_t header = little32(data + 14), compression = 0, colors = 0, planes;
    b->pixels_at = little32(data + 10);
    if (header == 12) { /* OS/2: 16-bit sizes, palette entries of three bytes */
        b->width = little16(data + 18);
        b->height = little16(data + 20);
        planes = little16(data + 22);
        b->bits = (int)little16(data + 24);
    } else {
        if (header < 40 || header > 1024 || size < 14 + (size_t)header) {
            return damaged(err, 14);
        }
        b->width = (int32_t)little32(data + 18);
        b->height = (int32_t)little32(data + 22);
        b->top_down = b->height < 0;
        b->height = b->top_down ? -b->height : b->height;
        planes = little16(data + 26);
        b->bits = (int)little16(data + 28);
        compression = little32(data + 30);
        colors = little32(data + 46);
    }
    if (planes != 1) {
        return damaged(err, 26);
    }
    bool masks = compression == 3 || compression == 6;
    bool indexed = b->bits == 1 || b->bits == 4 || b->bits == 8;
    if ((compression != 0 && !masks) || (masks && b->bits != 16 && b->bits != 32) ||
        (!indexed && b->bits != 16 && b->bits != 24 && b->bits != 32)) {
        return cvi_fail(err, CVS_E_UNSUPPORTED, "BMP of %d bits with compression %u is not supported",
                        b->bits, (unsigned)compression);
    }
    if (indexed) {
        return read_palette(data, size, 14 + (size_t)header, header == 12 ? 3 : 4, colors, b, err);
    }
    return b->bits == 24 ? CVS_OK : read_masks(data, size, header, compression, b, err);
}

/* The bits of value under mask, scaled to 0..255; `otherwise` where there is no mask. */
static uint8_t cut_out(uint32_t value, uint32_t mask, uint8_t otherwise) {
    if (mask == 0) {
        return otherwise;
    }
    uint32_t low = mask & (~mask + 1u);
    uint64_t most = mask / low, v = (value & mask) / low;
    return (uint8_t)((v * 255 + most / 2) / most);
}

/* One row of pixels to RGB; false where an index has no colour. */
static bool convert_row(const bmp *b, const uint8_t *in, uint8_t *out) {
    for (int64_t x = 0; x < b->width; x++, out += 3) {
        if (b->bits == 24) {
            out[0] = in[3 * x + 2], out[1] = in[3 * x + 1], out[2] = in[3 * x];
        } else if (b->bits <= 8) {
            int64_t bit = x * b->bits;
            int index = in[bit / 8] >> (8 - b->bits - bit % 8) & ((1 << b->bits) - 1);
            if (index >= b->colors) {
                return false;
            }
            memcpy(out, b->palette[index], 3);
        } else {
            uint32_t value = b->bits == 16 ? little16(in + 2 * x) : little32(in + 4 * x);
            uint8_t rgba[4];
            for (int c = 0; c < 4; c++) {
                rgba[c] = cut_out(value, b->mask[c], c == 3 ? 255 : 0);
            }
            cvi_image_over_white(rgba, out, 1);
        }
    }
    return true;
}

cvs_status cvi_bmp_decode(const uint8_t *data, size_t size, const cvs_limits *limits, cvs_tensor *out,
                          int *orientation, cvs_error *err) {
    bmp b = {0};
    *orientation = 1;
    CVI_TRY(read_header(data, size, &b, err));
    CVI_TRY(cvi_image_new(b.height, b.width, limits, out, err));
    int64_t row_bytes = (b.width * b.bits + 31) / 32 * 4, bytes = 0; /* width < 2^31 */
    if (!cvi_mul(row_bytes, b.height, &bytes) || b.pixels_at > size || (uint64_t)bytes > size - b.pixels_at) {
        cvs_status s = cvi_fail(
            err, CVS_E_FORMAT, "the BMP file ends too early: %lld bytes of pixels are needed, %lld are there",
            (long long)bytes, (long long)(b.pixels_at > size ? 0 : size - b.pixels_at));
        return cvi_at_offset(err, s, (int64_t)CVI_MIN(b.pixels_at, size));
    }
    for (int64_t y = 0; y < b.height; y++) {
        int64_t row = b.top_down ? y : b.height - 1 - y;
        size_t at = b.pixels_at + (size_t)(row * row_bytes);
        if (!convert_row(&b, data + at, (uint8_t *)out->data + y * b.width * 3)) {
            return cvi_at_offset(
                err,
                cvi_fail(err, CVS_E_FORMAT,
                         "a pixel of the BMP file names a colour that is not in its palette"),
                (int64_t)at);
        }
    }
    return CVS_OK;
}

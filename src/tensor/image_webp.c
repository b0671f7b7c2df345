/* SPDX-License-Identifier: MIT
 * image_webp.c - still WebP pictures, lossy and lossless, by libwebp.
 * The container is walked here first: libwebp decodes a file whose later chunks are cut off, we do not.
 */
#include <webp/decode.h>

#include "base/base.h"
#include "tensor/image.h"

static uint32_t little32(const uint8_t *p) {
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

/* Checks that every chunk lies inside the file, and reads the orientation where there is an EXIF chunk. */
static cvs_status walk_chunks(const uint8_t *data, size_t size, int *orientation, cvs_error *err) {
    size_t end = (size_t)little32(data + 4) + 8, at = 12;
    if (end > size) {
        cvs_status s = cvi_fail(err, CVS_E_FORMAT, "the WebP file ends too early: %zu of %zu bytes are there",
                                size, end);
        return cvi_at_offset(err, s, (int64_t)size);
    }
    while (end >= at && end - at >= 8) {
        size_t length = little32(data + at + 4);
        if (length > end - at - 8) {
            return cvi_at_offset(err, cvi_fail(err, CVS_E_FORMAT, "the WebP data are damaged"), (int64_t)at);
        }
        if (memcmp(data + at, "EXIF", 4) == 0) {
            *orientation = cvi_exif_orientation(data + at + 8, length);
        }
        at += 8 + length + (length & 1);
    }
    return CVS_OK;
}

static cvs_status decode_into(const uint8_t *data, size_t size, bool alpha, uint8_t *pixels, size_t bytes,
                              int64_t width, cvs_error *err) {
    WebPDecoderConfig config;
    if (!WebPInitDecoderConfig(&config)) {
        return cvi_fail(err, CVS_E_INTERNAL, "the WebP library is of another version");
    }
    config.output.colorspace = alpha ? MODE_RGBA : MODE_RGB;
    config.output.is_external_memory = 1;
    config.output.u.RGBA.rgba = pixels;
    config.output.u.RGBA.stride = (int)(width * (alpha ? 4 : 3));
    config.output.u.RGBA.size = bytes;
    VP8StatusCode code = WebPDecode(data, size, &config);
    WebPFreeDecBuffer(&config.output);
    if (code == VP8_STATUS_OUT_OF_MEMORY) {
        return cvi_no_memory(err, bytes);
    }
    return code == VP8_STATUS_OK ? CVS_OK : cvi_fail(err, CVS_E_FORMAT, "the WebP data are damaged");
}

cvs_status cvi_webp_decode(const uint8_t *data, size_t size, const cvs_limits *limits, cvs_tensor *out,
                           int *orientation, cvs_error *err) {
    WebPBitstreamFeatures features;
    CVI_TRY(walk_chunks(data, size, orientation, err));
    if (WebPGetFeatures(data, size, &features) != VP8_STATUS_OK) {
        return cvi_fail(err, CVS_E_FORMAT, "the WebP data are damaged");
    }
    if (features.has_animation) {
        return cvi_fail(err, CVS_E_UNSUPPORTED, "animated WebP is not supported, a still picture is needed");
    }
    CVI_TRY(cvi_image_new(features.height, features.width, limits, out, err));
    int64_t pixels = (int64_t)features.height * features.width;
    if (!features.has_alpha) {
        return decode_into(data, size, false, out->data, out->bytes, features.width, err);
    }
    size_t bytes = (size_t)pixels * 4;
    uint8_t *rgba = cvi_malloc(bytes);
    if (rgba == NULL) {
        return cvi_no_memory(err, bytes);
    }
    cvs_status s = decode_into(data, size, true, rgba, bytes, features.width, err);
    if (s == CVS_OK) {
        cvi_image_over_white(rgba, out->data, pixels);
    }
    cvi_free(rgba);
    return s;
}

/* SPDX-License-Identifier: MIT
 * image.c - pictures into tensors: which decoder, limits, alpha, EXIF orientation.
 * The content decides what a file is, never its name.
 */
#include "base/base.h"
#include "tensor/image.h"

cvs_status cvi_image_new(int64_t height, int64_t width, const cvs_limits *limits, cvs_tensor *out,
                         cvs_error *err) {
    cvs_limits l = cvs_limits_default(limits);
    int64_t dim[3] = {height, width, 3}, pixels = 0;
    *out = (cvs_tensor){0};
    if (height <= 0 || width <= 0) {
        return cvi_fail(err, CVS_E_FORMAT, "the picture says it is %lld x %lld pixels", (long long)width,
                        (long long)height);
    }
    if (!cvi_mul(height, width, &pixels) || pixels > l.max_pixels || pixels > l.max_memory_bytes / 3) {
        return cvi_fail(err, CVS_E_LIMIT, "the picture has %lld x %lld pixels, the limit is %lld pixels",
                        (long long)width, (long long)height,
                        (long long)CVI_MIN(l.max_pixels, l.max_memory_bytes / 3));
    }
    return cvs_tensor_new(out, CVS_U8, 3, dim, err);
}

void cvi_image_over_white(const uint8_t *rgba, uint8_t *rgb, int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        unsigned alpha = rgba[4 * i + 3];
        for (int c = 0; c < 3; c++) {
            rgb[3 * i + c] = (uint8_t)((rgba[4 * i + c] * alpha + 255 * (255 - alpha) + 127) / 255);
        }
    }
}

static unsigned number(const uint8_t *p, int bytes, bool big_endian) {
    unsigned value = 0;
    for (int i = 0; i < bytes; i++) {
        value = value << 8 | p[big_endian ? i : bytes - 1 - i];
    }
    return value;
}

int cvi_exif_orientation(const uint8_t *data, size_t size) {
    if (size >= 6 && memcmp(data, "Exif\0\0", 6) == 0) {
        data += 6;
        size -= 6;
    }
    if (size < 8 || (memcmp(data, "II*\0", 4) != 0 && memcmp(data, "MM\0*", 4) != 0)) {
        return 1;
    }
    bool big = data[0] == 'M';
    size_t at = number(data + 4, 4, big);
    if (at > size - 2) {
        return 1;
    }
    unsigned entries = number(data + at, 2, big);
    at += 2;
    for (unsigned i = 0; i < entries && size - at >= 12; i++, at += 12) {
        if (number(data + at, 2, big) == 0x0112 && number(data + at + 2, 2, big) == 3) {
            unsigned value = number(data + at + 8, 2, big);
            return value >= 1 && value <= 8 ? (int)value : 1;
        }
    }
    return 1;
}

/* Replaces `image` by the upright one. The eight orientations are a transposition (5 to 8) and two mirrorings. */
static cvs_status make_upright(cvs_tensor *image, int orientation, const cvs_limits *limits, cvs_error *err) {
    if (orientation <= 1 || orientation > 8) {
        return CVS_OK;
    }
    int64_t h = image->dim[0], w = image->dim[1];
    bool transposed = orientation >= 5;
    bool flip_rows =
        orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7; /* of the source */
    bool flip_columns = orientation == 2 || orientation == 3 || orientation == 7 || orientation == 8;
    cvs_tensor upright;
    CVI_TRY(cvi_image_new(transposed ? w : h, transposed ? h : w, limits, &upright, err));
    const uint8_t *src = image->data;
    uint8_t *dst = upright.data;
    for (int64_t y = 0; y < upright.dim[0]; y++) {
        for (int64_t x = 0; x < upright.dim[1]; x++, dst += 3) {
            int64_t row = transposed ? x : y, column = transposed ? y : x;
            row = flip_rows ? h - 1 - row : row;
            column = flip_columns ? w - 1 - column : column;
            memcpy(dst, src + (row * w + column) * 3, 3);
        }
    }
    cvs_tensor_free(image);
    *image = upright;
    return CVS_OK;
}

static bool begins(const uint8_t *data, size_t size, size_t at, const char *magic, size_t n) {
    return size >= at + n && memcmp(data + at, magic, n) == 0;
}

/* Says what the bytes are instead of a picture. */
static cvs_status not_a_picture(const uint8_t *data, size_t size, cvs_error *err) {
    static const struct {
        size_t at;
        const char *magic, *name;
    } others[] = {{0, "GIF8", "GIF"},      {0, "II*", "TIFF"},      {0, "MM\0*", "TIFF"},
                  {4, "ftypavif", "AVIF"}, {4, "ftyphei", "HEIF"},  {4, "ftypmif1", "HEIF"},
                  {0, "%PDF", "PDF"},      {0, "8BPS", "Photoshop"}};
    if (size == 0) {
        return cvi_fail(err, CVS_E_FORMAT, "the file is empty, a picture was expected");
    }
    for (int i = 0; i < CVI_COUNT(others); i++) {
        if (begins(data, size, others[i].at, others[i].magic, CVI_MAX(strlen(others[i].magic), (size_t)3))) {
            return cvi_fail(err, CVS_E_UNSUPPORTED,
                            "%s pictures are not supported; JPEG, PNG, WebP and BMP are", others[i].name);
        }
    }
    bool text = true;
    for (size_t i = 0; i < CVI_MIN(size, (size_t)256); i++) {
        text = text && (data[i] >= 0x20 || data[i] == '\n' || data[i] == '\r' || data[i] == '\t');
    }
    return text ? cvi_fail(err, CVS_E_FORMAT,
                           "this is a text file, not a picture; JPEG, PNG, WebP and BMP are opened")
                : cvi_fail(err, CVS_E_FORMAT, "this is not a picture: it is neither JPEG, PNG, WebP nor BMP");
}

static cvs_status decode(const uint8_t *data, size_t size, const cvs_limits *limits, cvs_tensor *out,
                         int *orientation, cvs_error *err) {
    if (begins(data, size, 0, "\xFF\xD8\xFF", 3)) {
        return cvi_jpeg_decode(data, size, limits, out, orientation, err);
    }
    if (begins(data, size, 0, "\x89PNG\r\n\x1A\n", 8)) {
        return cvi_png_decode(data, size, limits, out, orientation, err);
    }
    if (begins(data, size, 0, "RIFF", 4) && begins(data, size, 8, "WEBP", 4)) {
        return cvi_webp_decode(data, size, limits, out, orientation, err);
    }
    if (begins(data, size, 0, "BM", 2) && size >= 26 && data[15] == 0 && data[16] == 0 && data[17] == 0) {
        return cvi_bmp_decode(data, size, limits, out, orientation, err);
    }
    return not_a_picture(data, size, err);
}

cvs_status cvs_image_decode(const void *data, size_t size, const char *name, const cvs_limits *limits,
                            cvs_tensor *out, cvs_error *err) {
    int orientation = 1;
    *out = (cvs_tensor){0};
    cvs_status s = decode(data, size, limits, out, &orientation, err);
    if (s == CVS_OK) {
        s = make_upright(out, orientation, limits, err);
    }
    if (s != CVS_OK) {
        cvs_tensor_free(out);
    }
    return cvi_at_file(err, s, name);
}

cvs_status cvs_image_read(const char *path, const cvs_limits *limits, cvs_tensor *out, cvs_error *err) {
    cvi_file file;
    *out = (cvs_tensor){0};
    CVI_TRY(cvi_file_read(path, limits, &file, err));
    cvs_status s = cvs_image_decode(file.data, file.size, path, limits, out, err);
    cvi_file_close(&file);
    return s;
}

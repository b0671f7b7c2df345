/* SPDX-License-Identifier: MIT
 * image_jpeg.c - JPEG by libjpeg-turbo with its defaults (accurate integer DCT, smooth chroma upsampling).
 * libjpeg reports a fatal error by a function that must not return, so this file uses setjmp: one guarded() runs the
 * whole decoder, everything it owns lives in `job`, and nothing is freed in between. Damage that libjpeg merely
 * warns about, such as a file that ends too early, is an error here: half a picture must not be explained.
 */
#include <setjmp.h>
#include <stdio.h>

#include <jpeglib.h>
#include <jerror.h>

#include "base/base.h"
#include "tensor/image.h"

enum { MAX_SCANS = 500 }; /* a progressive file of many scans is small and takes hours */

typedef struct job {
    struct jpeg_decompress_struct jpeg;
    struct jpeg_error_mgr errors;
    struct jpeg_progress_mgr progress;
    jmp_buf back;
    const uint8_t *data;
    size_t size;
    const cvs_limits *limits;
    cvs_tensor *out;
    uint8_t *row; /* of CMYK pixels */
    cvs_status status;
    cvs_error *err;
} job;

static cvs_status classify(int code) {
    switch (code) {
    case JERR_OUT_OF_MEMORY:
        return CVS_E_MEMORY;
    case JERR_BAD_PRECISION:
    case JERR_SOF_UNSUPPORTED:
    case JERR_ARITH_NOTIMPL:
    case JERR_CONVERSION_NOTIMPL:
    case JERR_NOT_COMPILED:
    case JERR_CCIR601_NOTIMPL:
        return CVS_E_UNSUPPORTED;
    default:
        return CVS_E_FORMAT;
    }
}

static void fatal(j_common_ptr common) {
    job *j = common->client_data;
    char text[JMSG_LENGTH_MAX];
    common->err->format_message(common, text);
    j->status = classify(common->err->msg_code);
    if (j->status == CVS_E_MEMORY) {
        cvi_no_memory(j->err, 0);
    } else if (j->status == CVS_E_UNSUPPORTED) {
        cvi_fail(j->err, j->status, "this kind of JPEG is not supported: %s", text);
    } else {
        cvi_fail(j->err, j->status, "the JPEG data are damaged: %s", text);
    }
    longjmp(j->back, 1);
}

/* Level -1 is a warning: all are damage but these, which leave every pixel in place. */
static void message(j_common_ptr common, int level) {
    int code = common->err->msg_code;
    if (level < 0 && code != JWRN_EXTRANEOUS_DATA && code != JWRN_ADOBE_XFORM && code != JWRN_JFIF_MAJOR) {
        fatal(common);
    }
}

static void count_scans(j_common_ptr common) {
    job *j = common->client_data;
    if (j->jpeg.input_scan_number > MAX_SCANS) {
        j->status = cvi_fail(j->err, CVS_E_LIMIT, "the JPEG file has more than %d scans", (int)MAX_SCANS);
        longjmp(j->back, 1);
    }
}

/* Four inks to RGB. Files in the wild hold them inverted (255 = no ink), as Adobe's do. */
static void inks_to_rgb(const uint8_t *cmyk, uint8_t *rgb, int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        unsigned white = cmyk[4 * i + 3];
        for (int c = 0; c < 3; c++) {
            unsigned product = (255u - cmyk[4 * i + c]) * white + 128;
            rgb[3 * i + c] = (uint8_t)(white - ((product + (product >> 8)) >> 8));
        }
    }
}

/* Stops decoding with an error of our own. */
static void stop(job *j, cvs_status status) {
    j->status = status;
    longjmp(j->back, 1);
}

static void decode(job *j) {
    struct jpeg_decompress_struct *jpeg = &j->jpeg;
    jpeg_create_decompress(jpeg);
    jpeg->progress = &j->progress;
    jpeg_mem_src(jpeg, j->data, (unsigned long)j->size);
    jpeg_read_header(jpeg, TRUE);
    bool inks = jpeg->jpeg_color_space == JCS_CMYK || jpeg->jpeg_color_space == JCS_YCCK;
    jpeg->out_color_space = inks ? JCS_CMYK : JCS_RGB;
    int64_t height = jpeg->image_height, width = jpeg->image_width;
    cvs_status s = cvi_image_new(height, width, j->limits, j->out, j->err);
    if (s != CVS_OK) {
        stop(j, s);
    }
    if (inks) {
        j->row = cvi_malloc((size_t)width * 4);
        if (j->row == NULL) {
            stop(j, cvi_no_memory(j->err, (size_t)width * 4));
        }
    }
    jpeg_start_decompress(jpeg);
    while (jpeg->output_scanline < jpeg->output_height) {
        uint8_t *line = (uint8_t *)j->out->data + (size_t)jpeg->output_scanline * (size_t)width * 3;
        JSAMPROW target = inks ? j->row : line;
        jpeg_read_scanlines(jpeg, &target, 1);
        if (inks) {
            inks_to_rgb(j->row, line, width);
        }
    }
    jpeg_finish_decompress(jpeg);
}

static bool guarded(job *j) {
    if (setjmp(j->back) != 0) {
        return false;
    }
    decode(j);
    return true;
}

/* Walks the segments before the first scan to the EXIF one. */
static int find_orientation(const uint8_t *data, size_t size) {
    size_t at = 2;
    while (size - at >= 4 && data[at] == 0xFF) {
        unsigned marker = data[at + 1];
        if (marker == 0xFF) { /* fill byte */
            at++;
            continue;
        }
        size_t length = (size_t)data[at + 2] << 8 | data[at + 3];
        if (marker == 0xDA || marker == 0xD9 || length < 2 || length > size - at - 2) {
            break;
        }
        if (marker == 0xE1 && length >= 8 && memcmp(data + at + 4, "Exif\0\0", 6) == 0) {
            return cvi_exif_orientation(data + at + 4, length - 2);
        }
        at += 2 + length;
    }
    return 1;
}

cvs_status cvi_jpeg_decode(const uint8_t *data, size_t size, const cvs_limits *limits, cvs_tensor *out,
                           int *orientation, cvs_error *err) {
    job *j = cvi_calloc(1, sizeof *j); /* its values must survive longjmp, which locals need not */
    if (j == NULL) {
        return cvi_no_memory(err, sizeof *j);
    }
    j->data = data;
    j->size = size;
    j->limits = limits;
    j->out = out;
    j->err = err;
    j->jpeg.err = jpeg_std_error(&j->errors);
    j->errors.error_exit = fatal;
    j->errors.emit_message = message;
    j->progress.progress_monitor = count_scans;
    j->jpeg.client_data = j;
    cvs_status s = guarded(j) ? CVS_OK : j->status;
    jpeg_destroy_decompress(&j->jpeg);
    cvi_free(j->row);
    cvi_free(j);
    *orientation = find_orientation(data, size);
    return s;
}

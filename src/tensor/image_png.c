/* SPDX-License-Identifier: MIT
 * image_png.c - PNG in and out by libpng: every depth and colour type to 8-bit RGB, and 8-bit RGB(A) to PNG.
 * The numbers of the file are taken as they are (gAMA and profiles ignored; 16 bits keep their high byte), as the
 * training programs do. libpng, too, reports errors by a function that must not return: hence setjmp, used as
 * in image_jpeg.c.
 */
#include <setjmp.h>

#include <png.h>

#include "base/base.h"
#include "tensor/image.h"

enum { MAX_CHUNK = 8 << 20 }; /* bytes one ancillary chunk may take, for instance unpacked text */

typedef struct job {
    jmp_buf back;
    png_structp png;
    png_infop info;
    const uint8_t *data; /* reading: what is left of the file */
    size_t size, left;
    const cvs_limits *limits;
    cvs_tensor *out;
    uint8_t *rgba;
    png_bytep *rows;
    int orientation;
    const cvs_tensor *image; /* writing */
    bool quick;
    cvi_buf buf;
    cvs_status status;
    cvs_error *err;
} job;

static void fatal(png_structp png, png_const_charp text) {
    job *j = png_get_error_ptr(png);
    if (j->status == CVS_OK) { /* else it was our own function that stopped */
        j->status = cvi_fail(j->err, CVS_E_FORMAT, "the PNG data are damaged: %s", text);
        cvi_at_offset(j->err, j->status, (int64_t)(j->size - j->left));
    }
    longjmp(j->back, 1);
}

static void ignore(png_structp png, png_const_charp text) {
    (void)png;
    (void)text;
}

static png_voidp take_memory(png_structp png, png_alloc_size_t bytes) {
    job *j = png_get_mem_ptr(png);
    void *p = cvi_malloc(bytes);
    if (p == NULL && j->status == CVS_OK) {
        j->status = cvi_no_memory(j->err, bytes);
    }
    return p;
}

static void give_memory(png_structp png, png_voidp p) {
    (void)png;
    cvi_free(p);
}

static void stop(job *j, cvs_status status) {
    j->status = status;
    longjmp(j->back, 1);
}

static void read_bytes(png_structp png, png_bytep out, size_t n) {
    job *j = png_get_io_ptr(png);
    if (n > j->left) {
        cvs_status s = cvi_fail(j->err, CVS_E_FORMAT, "the PNG file ends too early");
        stop(j, cvi_at_offset(j->err, s, (int64_t)j->size));
    }
    memcpy(out, j->data + (j->size - j->left), n);
    j->left -= n;
}

/* Asks for 8-bit RGB or RGBA whatever the file holds. */
static void set_transforms(job *j) {
    png_set_expand(j->png); /* palette, fewer bits, the transparent colour */
    png_set_strip_16(j->png);
    png_set_gray_to_rgb(j->png);
    png_set_interlace_handling(j->png);
    png_read_update_info(j->png, j->info);
}

static void read_picture(job *j) {
    png_structp png = j->png;
    png_set_read_fn(png, j, read_bytes);
    png_set_user_limits(png, PNG_UINT_31_MAX, PNG_UINT_31_MAX); /* cvi_image_new has the real limit */
    png_set_chunk_malloc_max(png, MAX_CHUNK);
    png_read_info(png, j->info);
    int64_t height = png_get_image_height(png, j->info), width = png_get_image_width(png, j->info);
    cvs_status s;
    /* Deflate shrinks at most 1032 times: what cannot come out of this file gets no memory. */
    if ((uint64_t)height * png_get_rowbytes(png, j->info) / 1040 > j->size) {
        s = cvi_fail(j->err, CVS_E_FORMAT, "the PNG file ends too early");
        stop(j, cvi_at_offset(j->err, s, (int64_t)j->size));
    }
    s = cvi_image_new(height, width, j->limits, j->out, j->err);
    if (s != CVS_OK) {
        stop(j, s);
    }
    set_transforms(j);
    bool alpha = png_get_channels(png, j->info) == 4;
    size_t row_bytes = (size_t)width * (alpha ? 4 : 3);
    uint8_t *pixels = j->out->data;
    if (png_get_rowbytes(png, j->info) != row_bytes) {
        png_error(png, "row size");
    }
    if (alpha) {
        pixels = j->rgba = cvi_malloc((size_t)height * row_bytes);
    }
    j->rows = cvi_calloc((size_t)height, sizeof *j->rows);
    if (pixels == NULL || j->rows == NULL) {
        stop(j, cvi_no_memory(j->err, (size_t)height * row_bytes));
    }
    for (int64_t y = 0; y < height; y++) {
        j->rows[y] = pixels + (size_t)y * row_bytes;
    }
    png_read_image(png, j->rows);
    png_read_end(png, j->info);
    if (alpha) {
        cvi_image_over_white(j->rgba, j->out->data, height * width);
    }
    png_bytep exif = NULL;
    png_uint_32 exif_bytes = 0;
    if (png_get_eXIf_1(png, j->info, &exif_bytes, &exif) != 0 && exif != NULL) {
        j->orientation = cvi_exif_orientation(exif, exif_bytes);
    }
}

static void write_bytes(png_structp png, png_bytep data, size_t n) {
    job *j = png_get_io_ptr(png);
    cvi_buf_add(&j->buf, data, n);
    if (j->buf.failed) {
        stop(j, cvi_no_memory(j->err, j->buf.size + n));
    }
}

static void flush(png_structp png) {
    (void)png;
}

static void write_picture(job *j) {
    png_structp png = j->png;
    int64_t height = j->image->dim[0], width = j->image->dim[1], channels = j->image->dim[2];
    png_set_write_fn(png, j, write_bytes, flush);
    png_set_user_limits(png, PNG_UINT_31_MAX, PNG_UINT_31_MAX);
    png_set_compression_level(png, j->quick ? 1 : 6);
    if (j->quick) {
        png_set_filter(png, PNG_FILTER_TYPE_BASE, PNG_FILTER_NONE);
    }
    png_set_IHDR(png, j->info, (png_uint_32)width, (png_uint_32)height, 8,
                 channels == 4 ? PNG_COLOR_TYPE_RGB_ALPHA : PNG_COLOR_TYPE_RGB, PNG_INTERLACE_NONE,
                 PNG_COMPRESSION_TYPE_BASE, PNG_FILTER_TYPE_BASE);
    png_write_info(png, j->info);
    for (int64_t y = 0; y < height; y++) {
        png_write_row(png, (const uint8_t *)j->image->data + (size_t)(y * width * channels));
    }
    png_write_end(png, j->info);
}

/* Runs one of the two between making and destroying libpng's structures. */
static bool guarded(job *j, bool writing) {
    if (setjmp(j->back) != 0) {
        return false;
    }
    j->png =
        writing
            ? png_create_write_struct_2(PNG_LIBPNG_VER_STRING, j, fatal, ignore, j, take_memory, give_memory)
            : png_create_read_struct_2(PNG_LIBPNG_VER_STRING, j, fatal, ignore, j, take_memory, give_memory);
    j->info = j->png != NULL ? png_create_info_struct(j->png) : NULL;
    if (j->info == NULL) {
        stop(j, j->status != CVS_OK ? j->status : cvi_no_memory(j->err, 0));
    }
    if (writing) {
        write_picture(j);
    } else {
        read_picture(j);
    }
    return true;
}

cvs_status cvi_png_decode(const uint8_t *data, size_t size, const cvs_limits *limits, cvs_tensor *out,
                          int *orientation, cvs_error *err) {
    job *j = cvi_calloc(1, sizeof *j);
    if (j == NULL) {
        return cvi_no_memory(err, sizeof *j);
    }
    j->data = data;
    j->size = j->left = size;
    j->limits = limits;
    j->out = out;
    j->err = err;
    j->orientation = 1;
    cvs_status s = guarded(j, false) ? CVS_OK : j->status;
    if (j->png != NULL) {
        png_destroy_read_struct(&j->png, &j->info, NULL);
    }
    *orientation = j->orientation;
    cvi_free(j->rgba);
    cvi_free(j->rows);
    cvi_free(j);
    return s;
}

static cvs_status encode(const cvs_tensor *image, bool quick, uint8_t **out, size_t *out_bytes,
                         cvs_error *err) {
    *out = NULL;
    *out_bytes = 0;
    int64_t count = cvs_tensor_count(image);
    if (image->dtype != CVS_U8 || image->layout != CVS_PLAIN || image->rank != 3 || count <= 0 ||
        (image->dim[2] != 3 && image->dim[2] != 4) || image->data == NULL || (uint64_t)count > image->bytes ||
        image->dim[0] > PNG_UINT_31_MAX || image->dim[1] > PNG_UINT_31_MAX / 8) {
        char text[200];
        return cvi_fail(err, CVS_E_SHAPE, "a picture is uint8 [H,W,3] or [H,W,4], not %s %s",
                        cvs_dtype_name(image->dtype),
                        cvs_shape_text(image->rank, image->dim, text, sizeof text));
    }
    job *j = cvi_calloc(1, sizeof *j);
    if (j == NULL) {
        return cvi_no_memory(err, sizeof *j);
    }
    j->image = image;
    j->quick = quick;
    j->err = err;
    cvs_status s = guarded(j, true) ? CVS_OK : j->status;
    if (j->png != NULL) {
        png_destroy_write_struct(&j->png, &j->info);
    }
    if (s == CVS_OK) {
        *out = (uint8_t *)j->buf.data;
        *out_bytes = j->buf.size;
    } else {
        cvi_buf_free(&j->buf);
    }
    cvi_free(j);
    return s;
}

cvs_status cvs_png_encode(const cvs_tensor *image, uint8_t **out, size_t *out_bytes, cvs_error *err) {
    return encode(image, false, out, out_bytes, err);
}

cvs_status cvi_png_encode_quick(const cvs_tensor *image, uint8_t **out, size_t *out_bytes, cvs_error *err) {
    return encode(image, true, out, out_bytes, err);
}

cvs_status cvs_png_write(const char *path, const cvs_tensor *image, cvs_error *err) {
    uint8_t *data = NULL;
    size_t bytes = 0;
    cvs_status s = cvs_png_encode(image, &data, &bytes, err);
    if (s == CVS_OK) {
        s = cvi_file_write(path, data, bytes, err);
    }
    cvi_free(data);
    return cvi_at_file(err, s, path);
}

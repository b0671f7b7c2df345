/* SPDX-License-Identifier: MIT
 * tensor.h - numbers with a shape, .npy files, and pictures as tensors.
 * Shapes are written x [N,C,H,W]: N batch, C channels, H rows, W columns.
 */
#ifndef CONVSCOPE_TENSOR_H
#define CONVSCOPE_TENSOR_H

#include "base.h"

#ifdef __cplusplus
extern "C" {
#endif

#define CVS_MAX_RANK 8

/* Element types, numbered as ONNX TensorProto.DataType. */
typedef enum cvs_dtype {
    CVS_NONE = 0,
    CVS_F32 = 1,
    CVS_U8 = 2,
    CVS_I8 = 3,
    CVS_U16 = 4,
    CVS_I16 = 5,
    CVS_I32 = 6,
    CVS_I64 = 7,
    CVS_BOOL = 9,
    CVS_F16 = 10,
    CVS_F64 = 11,
    CVS_U32 = 12,
    CVS_U64 = 13,
    CVS_BF16 = 16,
    CVS_F8E4M3FN =
        17, /* the small ones take a byte each in memory, .npy files have them as float32, int8 or uint8 */
    CVS_F8E4M3FNUZ = 18,
    CVS_F8E5M2 = 19,
    CVS_F8E5M2FNUZ = 20,
    CVS_U4 = 21,
    CVS_I4 = 22,
    CVS_F4E2M1 = 23,
    CVS_F8E8M0 = 24,
    CVS_U2 = 25,
    CVS_I2 = 26
} cvs_dtype;

/* How the elements lie in memory. Everything the public interface hands out is CVS_PLAIN. */
typedef enum cvs_layout {
    CVS_PLAIN, /* row-major in the order of dim */
    CVS_NHWC8  /* dim is [N,C,H,W], memory is [N][H][W][C rounded up to 8], padding channels are 0 */
} cvs_layout;

typedef struct cvs_tensor {
    cvs_dtype dtype;
    cvs_layout layout;
    int rank; /* 0 (a scalar) to CVS_MAX_RANK */
    int64_t dim[CVS_MAX_RANK];
    void *data;   /* NULL: only the shape is known, or there are no elements */
    size_t bytes; /* of data */
    bool owned;   /* data is freed by cvs_tensor_free; else it is borrowed */
} cvs_tensor;

/* Bytes of one element (0 for CVS_NONE), and the lower-case name ("float32"; "?" when unknown). */
size_t cvs_dtype_size(cvs_dtype dtype);
const char *cvs_dtype_name(cvs_dtype dtype);

/* Number of elements (1 for rank 0); -1 if a dimension is negative or the product overflows. */
int64_t cvs_tensor_count(const cvs_tensor *t);

/* Makes an owned, zeroed, CVS_PLAIN tensor; data is 64-byte aligned. Free with cvs_tensor_free. */
cvs_status cvs_tensor_new(cvs_tensor *out, cvs_dtype dtype, int rank, const int64_t *dim, cvs_error *err);
/* Frees what is owned and zeroes the struct. NULL is allowed. */
void cvs_tensor_free(cvs_tensor *t);
/* Converts to another element type (round to nearest even for f16/bf16, truncation towards zero and
 * wrapping for integers), owned. `t` must be CVS_PLAIN. */
cvs_status cvs_tensor_convert(const cvs_tensor *t, cvs_dtype dtype, cvs_tensor *out, cvs_error *err);
/* Copies with dimensions reordered: out.dim[i] = t.dim[perm[i]], owned, any dtype. */
cvs_status cvs_tensor_permute(const cvs_tensor *t, const int *perm, cvs_tensor *out, cvs_error *err);
/* Writes "1x3x224x224" ("scalar" for rank 0) into buf; returns buf. Unknown (-1) dimensions are "?". */
const char *cvs_shape_text(int rank, const int64_t *dim, char *buf, size_t size);

/* Reads a .npy file (versions 1-3, C or Fortran order, either byte order), owned. Object arrays are refused. */
cvs_status cvs_npy_read(const char *path, const cvs_limits *limits, cvs_tensor *out, cvs_error *err);
/* Reads one array of a .npz archive (numpy.savez), owned: the one of that name, or the only one. */
cvs_status cvs_npz_read(const char *path, const char *name, const cvs_limits *limits, cvs_tensor *out,
                        cvs_error *err);
/* Writes t (CVS_PLAIN; bf16 and smaller floats are widened to float32, integers of less than 8 bits to int8 or uint8) as .npy 1.0, atomically (temporary file, then rename). */
cvs_status cvs_npy_write(const char *path, const cvs_tensor *t, cvs_error *err);

/* Reads a picture by content (JPEG of any colour space, PNG of any depth, WebP, BMP), upright after EXIF
 * orientation, alpha laid over white: out is uint8 [H,W,3] RGB, owned. */
cvs_status cvs_image_read(const char *path, const cvs_limits *limits, cvs_tensor *out, cvs_error *err);
/* The same from memory; `name` is used in messages only. */
cvs_status cvs_image_decode(const void *data, size_t size, const char *name, const cvs_limits *limits,
                            cvs_tensor *out, cvs_error *err);
/* Writes uint8 [H,W,3] or [H,W,4] as PNG (same input, same bytes), atomically. */
cvs_status cvs_png_write(const char *path, const cvs_tensor *image, cvs_error *err);
/* The same into memory: *out is owned, cvs_free. */
cvs_status cvs_png_encode(const cvs_tensor *image, uint8_t **out, size_t *out_bytes, cvs_error *err);
/* n frames uint8 [H,W,3] of one size as a GIF that runs for ever, `delay` milliseconds each, in one palette of at most 256 colours. Atomic.
 * CVS_E_UNSUPPORTED in a program that was built without giflib. */
cvs_status cvs_gif_write(const char *path, const cvs_tensor *frames, int n, int delay, cvs_error *err);
/* Resamples uint8 [H,W,3] to [height,width,3], owned: antialiased bilinear (triangle filter, support grows
 * when shrinking, half-pixel centres), as Pillow's BILINEAR. */
cvs_status cvs_image_resize(const cvs_tensor *image, int64_t height, int64_t width, cvs_tensor *out,
                            cvs_error *err);

#ifdef __cplusplus
}
#endif
#endif

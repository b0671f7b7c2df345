/* SPDX-License-Identifier: MIT
 * image_resize.c - resampling 8-bit pictures with a triangle filter, in fixed point.
 * Each output pixel is a weighted mean of the input pixels under a triangle centred on its half-pixel centre, as wide
 * as two pixels of the coarser of the two grids; rows first, then columns, rounding to 8 bits after each.
 * The weights have 22 fraction bits. This is the arithmetic behind Pillow's BILINEAR, which most training
 * pipelines used, so that a model sees here what it saw there.
 */
#include <math.h>

#include "base/base.h"
#include "tensor/image.h"

enum { FRACTION = 22 };

/* For output pixel i: input pixels first[i] .. first[i]+count[i]-1 with weight[i * most ...]. */
typedef struct taps {
    int64_t *first, *count;
    int32_t *weight;
    int64_t most;
} taps;

static void free_taps(taps *t) {
    cvi_free(t->first);
    cvi_free(t->count);
    cvi_free(t->weight);
    *t = (taps){0};
}

static cvs_status make_taps(int64_t in, int64_t out, taps *t, cvs_error *err) {
    double scale = (double)in / (double)out, reach = CVI_MAX(scale, 1.0);
    int64_t most = (int64_t)ceil(reach) * 2 + 1, total = 0;
    *t = (taps){.most = most};
    if (!cvi_mul(out, most, &total)) {
        return cvi_no_memory(err, SIZE_MAX);
    }
    t->first = cvi_calloc((size_t)out, sizeof *t->first);
    t->count = cvi_calloc((size_t)out, sizeof *t->count);
    t->weight = cvi_calloc((size_t)total, sizeof *t->weight);
    double *exact = cvi_calloc((size_t)most, sizeof *exact);
    if (t->first == NULL || t->count == NULL || t->weight == NULL || exact == NULL) {
        cvi_free(exact);
        free_taps(t);
        return cvi_no_memory(err, (size_t)total * sizeof *t->weight);
    }
    for (int64_t i = 0; i < out; i++) {
        double center = ((double)i + 0.5) * scale, sum = 0, narrow = 1.0 / reach;
        int64_t low = CVI_MAX((int64_t)(center - reach + 0.5), (int64_t)0);
        int64_t high = CVI_MIN((int64_t)(center + reach + 0.5), in);
        for (int64_t k = 0; k < high - low; k++) {
            double distance = fabs(((double)(k + low) - center + 0.5) * narrow);
            exact[k] = distance < 1.0 ? 1.0 - distance : 0.0;
            sum += exact[k];
        }
        for (int64_t k = 0; k < high - low; k++) {
            double w = sum != 0 ? exact[k] / sum : exact[k];
            t->weight[i * most + k] = (int32_t)(0.5 + w * (1 << FRACTION));
        }
        t->first[i] = low;
        t->count[i] = high - low;
    }
    cvi_free(exact);
    return CVS_OK;
}

static uint8_t to_byte(int32_t sum) {
    int32_t v = sum >> FRACTION;
    return (uint8_t)(v < 0 ? 0 : v > 255 ? 255 : v);
}

static void resample_row(const uint8_t *in, uint8_t *out, int64_t width, const taps *t) {
    for (int64_t x = 0; x < width; x++, out += 3) {
        const int32_t *w = t->weight + x * t->most;
        const uint8_t *p = in + t->first[x] * 3;
        int32_t r = 1 << (FRACTION - 1), g = r, b = r;
        for (int64_t k = 0; k < t->count[x]; k++, p += 3) {
            r += p[0] * w[k];
            g += p[1] * w[k];
            b += p[2] * w[k];
        }
        out[0] = to_byte(r);
        out[1] = to_byte(g);
        out[2] = to_byte(b);
    }
}

/* Output row y from the input rows under its taps; sums is scratch of `n` = 3 * width values. */
static void resample_column(const uint8_t *in, uint8_t *out, int64_t n, const taps *t, int64_t y,
                            int32_t *sums) {
    for (int64_t i = 0; i < n; i++) {
        sums[i] = 1 << (FRACTION - 1);
    }
    for (int64_t k = 0; k < t->count[y]; k++) {
        int32_t w = t->weight[y * t->most + k];
        const uint8_t *row = in + (t->first[y] + k) * n;
        for (int64_t i = 0; i < n; i++) {
            sums[i] += row[i] * w;
        }
    }
    for (int64_t i = 0; i < n; i++) {
        out[i] = to_byte(sums[i]);
    }
}

static cvs_status resample_rows(const cvs_tensor *image, int64_t width, cvs_tensor *out, cvs_error *err) {
    int64_t height = image->dim[0], in_width = image->dim[1];
    taps t;
    CVI_TRY(make_taps(in_width, width, &t, err));
    cvs_status s = cvi_image_new(height, width, NULL, out, err);
    for (int64_t y = 0; s == CVS_OK && y < height; y++) {
        resample_row((const uint8_t *)image->data + y * in_width * 3, (uint8_t *)out->data + y * width * 3,
                     width, &t);
    }
    free_taps(&t);
    return s;
}

static cvs_status resample_columns(const cvs_tensor *image, int64_t height, cvs_tensor *out, cvs_error *err) {
    int64_t n = image->dim[1] * 3;
    taps t;
    CVI_TRY(make_taps(image->dim[0], height, &t, err));
    cvs_status s = cvi_image_new(height, image->dim[1], NULL, out, err);
    int32_t *sums = s == CVS_OK ? cvi_calloc((size_t)n, sizeof *sums) : NULL;
    if (s == CVS_OK && sums == NULL) {
        cvs_tensor_free(out);
        s = cvi_no_memory(err, (size_t)n * sizeof *sums);
    }
    for (int64_t y = 0; s == CVS_OK && y < height; y++) {
        resample_column(image->data, (uint8_t *)out->data + y * n, n, &t, y, sums);
    }
    cvi_free(sums);
    free_taps(&t);
    return s;
}

cvs_status cvs_image_resize(const cvs_tensor *image, int64_t height, int64_t width, cvs_tensor *out,
                            cvs_error *err) {
    *out = (cvs_tensor){0};
    int64_t count = cvs_tensor_count(image);
    if (image->dtype != CVS_U8 || image->layout != CVS_PLAIN || image->rank != 3 || image->dim[2] != 3 ||
        count <= 0 || image->data == NULL || (uint64_t)count > image->bytes) {
        char text[200];
        return cvi_fail(err, CVS_E_SHAPE, "a picture to be resized is uint8 [H,W,3], not %s %s",
                        cvs_dtype_name(image->dtype),
                        cvs_shape_text(image->rank, image->dim, text, sizeof text));
    }
    int64_t pixels = 0;
    if (height <= 0 || width <= 0 || !cvi_mul(height, width, &pixels) ||
        pixels > cvs_limits_default(NULL).max_pixels) {
        return cvi_fail(err, CVS_E_ARGUMENT, "a picture cannot be made %lld x %lld pixels", (long long)width,
                        (long long)height);
    }
    cvs_tensor wide;
    if (width == image->dim[1] && height == image->dim[0]) {
        return cvs_tensor_convert(image, CVS_U8, out, err);
    }
    if (width == image->dim[1]) {
        return resample_columns(image, height, out, err);
    }
    if (height == image->dim[0]) {
        return resample_rows(image, width, out, err);
    }
    CVI_TRY(resample_rows(image, width, &wide, err));
    cvs_status s = resample_columns(&wide, height, out, err);
    cvs_tensor_free(&wide);
    return s;
}

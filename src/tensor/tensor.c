/* SPDX-License-Identifier: MIT
 * tensor.c - making, freeing, converting and permuting tensors, and shapes as text.
 */
#include "base/base.h"
#include "tensor/dtype.h"

int64_t cvs_tensor_count(const cvs_tensor *t) {
    int64_t count = 1;
    if (t->rank < 0 || t->rank > CVS_MAX_RANK) {
        return -1;
    }
    for (int i = 0; i < t->rank; i++) {
        if (t->dim[i] < 0) {
            return -1;
        }
    }
    for (int i = 0; i < t->rank; i++) {
        if (t->dim[i] == 0) {
            return 0; /* whatever the others are */
        }
    }
    for (int i = 0; i < t->rank; i++) {
        if (!cvi_mul(count, t->dim[i], &count)) {
            return -1;
        }
    }
    return count;
}

const char *cvs_shape_text(int rank, const int64_t *dim, char *buf, size_t size) {
    if (size == 0) {
        return "";
    }
    buf[0] = '\0';
    if (rank == 0) {
        cvi_copy_text(buf, size, "scalar");
    }
    size_t at = 0;
    for (int i = 0; i < rank && at < size; i++) {
        const char *x = i > 0 ? "x" : "";
        int n = dim[i] < 0 ? snprintf(buf + at, size - at, "%s?", x)
                           : snprintf(buf + at, size - at, "%s%lld", x, (long long)dim[i]);
        at += (size_t)CVI_MAX(n, 0);
    }
    return buf;
}

cvs_status cvs_tensor_new(cvs_tensor *out, cvs_dtype dtype, int rank, const int64_t *dim, cvs_error *err) {
    cvs_tensor t = {.dtype = dtype, .rank = rank, .owned = true};
    *out = (cvs_tensor){0};
    if (rank < 0 || rank > CVS_MAX_RANK) {
        return cvi_fail(err, CVS_E_SHAPE, "a tensor has 0 to %d dimensions, not %d", CVS_MAX_RANK, rank);
    }
    size_t size = cvs_dtype_size(dtype);
    if (size == 0) {
        return cvi_fail(err, CVS_E_ARGUMENT, "element type %d is unknown", (int)dtype);
    }
    for (int i = 0; i < rank; i++) {
        t.dim[i] = dim[i];
    }
    int64_t count = cvs_tensor_count(&t), bytes = 0;
    if (count < 0 || !cvi_mul(count, (int64_t)size, &bytes) || (uint64_t)bytes > SIZE_MAX / 2) {
        char text[200];
        return cvi_fail(err, CVS_E_SHAPE, "the shape %s is negative or too large",
                        cvs_shape_text(rank, dim, text, sizeof text));
    }
    if (bytes > 0) {
        t.bytes = (size_t)bytes;
        t.data = cvi_calloc(1, t.bytes);
        if (t.data == NULL) {
            return cvi_no_memory(err, t.bytes);
        }
    }
    *out = t;
    return CVS_OK;
}

void cvs_tensor_free(cvs_tensor *t) {
    if (t == NULL) {
        return;
    }
    if (t->owned) {
        cvi_free(t->data);
    }
    *t = (cvs_tensor){0};
}

/* A tensor with all its elements in plain order, or an error that says what it is instead. */
static cvs_status need_plain(const cvs_tensor *t, int64_t *count, cvs_error *err) {
    int64_t bytes = 0;
    *count = cvs_tensor_count(t);
    if (t->layout != CVS_PLAIN) {
        return cvi_fail(err, CVS_E_ARGUMENT, "the tensor must be in plain layout");
    }
    if (*count < 0 || !cvi_mul(*count, (int64_t)cvs_dtype_size(t->dtype), &bytes) ||
        (uint64_t)bytes > t->bytes || (bytes > 0 && t->data == NULL)) {
        char text[200];
        return cvi_fail(err, CVS_E_ARGUMENT, "a tensor of shape %s holds %zu bytes only",
                        cvs_shape_text(t->rank, t->dim, text, sizeof text),
                        t->data != NULL ? t->bytes : (size_t)0);
    }
    return CVS_OK;
}

cvs_status cvs_tensor_convert(const cvs_tensor *t, cvs_dtype dtype, cvs_tensor *out, cvs_error *err) {
    int64_t count = 0;
    *out = (cvs_tensor){0};
    CVI_TRY(need_plain(t, &count, err));
    CVI_TRY(cvs_tensor_new(out, dtype, t->rank, t->dim, err));
    if (count > 0) {
        cvi_convert(out->data, dtype, t->data, t->dtype, count);
    }
    return CVS_OK;
}

/* Copies n elements that lie `stride` elements apart into a row. */
static void gather(char *dst, const char *src, size_t size, int64_t stride, int64_t n) {
    if (stride == 1) {
        memcpy(dst, src, (size_t)n * size);
        return;
    }
    size_t step = (size_t)stride * size;
    switch (size) { /* constant sizes, so that each copy is one load and one store */
    case 1:
        for (int64_t i = 0; i < n; i++) {
            dst[i] = src[(size_t)i * step];
        }
        break;
    case 2:
        for (int64_t i = 0; i < n; i++) {
            memcpy(dst + i * 2, src + (size_t)i * step, 2);
        }
        break;
    case 4:
        for (int64_t i = 0; i < n; i++) {
            memcpy(dst + i * 4, src + (size_t)i * step, 4);
        }
        break;
    default:
        for (int64_t i = 0; i < n; i++) {
            memcpy(dst + i * 8, src + (size_t)i * step, 8);
        }
        break;
    }
}

cvs_status cvs_tensor_permute(const cvs_tensor *t, const int *perm, cvs_tensor *out, cvs_error *err) {
    int64_t count = 0, dim[CVS_MAX_RANK] = {0}, stride[CVS_MAX_RANK] = {0}, in_stride[CVS_MAX_RANK] = {0};
    *out = (cvs_tensor){0};
    CVI_TRY(need_plain(t, &count, err));
    int rank = t->rank;
    unsigned seen = 0;
    for (int i = 0; i < rank; i++) {
        if (perm[i] < 0 || perm[i] >= rank || (seen >> perm[i] & 1u) != 0) {
            return cvi_fail(err, CVS_E_ARGUMENT, "the order of dimensions must name each of the %d once",
                            rank);
        }
        seen |= 1u << perm[i];
        dim[i] = t->dim[perm[i]];
    }
    CVI_TRY(cvs_tensor_new(out, t->dtype, rank, dim, err));
    if (count == 0) {
        return CVS_OK;
    }
    size_t size = cvs_dtype_size(t->dtype);
    if (rank < 2) {
        memcpy(out->data, t->data, out->bytes);
        return CVS_OK;
    }
    for (int64_t i = rank - 1, s = 1; i >= 0; i--) {
        in_stride[i] = s;
        s *= t->dim[i];
    }
    for (int i = 0; i < rank; i++) {
        stride[i] = in_stride[perm[i]];
    }
    int64_t index[CVS_MAX_RANK] = {0}, inner = dim[rank - 1], from = 0;
    char *dst = out->data;
    for (int64_t done = 0; done < count; done += inner) {
        gather(dst, (const char *)t->data + (size_t)from * size, size, stride[rank - 1], inner);
        dst += (size_t)inner * size;
        for (int i = rank - 2; i >= 0; i--) { /* odometer over the outer dimensions */
            from += stride[i];
            if (++index[i] < dim[i]) {
                break;
            }
            from -= stride[i] * dim[i];
            index[i] = 0;
        }
    }
    return CVS_OK;
}

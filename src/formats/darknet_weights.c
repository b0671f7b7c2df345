/* SPDX-License-Identifier: MIT
 * darknet_weights.c - Darknet's weights: three version numbers, how many pictures were seen, then raw float32 in the order of the cfg. Nothing
 * in the file says where a layer's numbers begin, so a missing or an extra one is only seen at the end; both are told.
 */
#include "formats/darknet.h"

static uint32_t u32(const uint8_t *p) {
    return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

cvs_status cvi_darknet_weights(const cvi_file *file, darknet_weights *out, cvs_error *err) {
    if (file->size < 16) {
        return cvi_fail(err, CVS_E_FORMAT, "a weights file of %zu bytes has no room for its header",
                        file->size);
    }
    uint32_t major = u32(file->data), minor = u32(file->data + 4);
    bool wide = major < 1000 && minor < 1000 && major * 10 + minor >= 2;
    *out = (darknet_weights){.data = file->data,
                             .size = file->size,
                             .at = wide ? 20 : 16,
                             .transposed = major > 1000 || minor > 1000};
    return CVS_OK;
}

int cvi_darknet_take(darknet *d, const char *part, int rank, const int64_t *dim) {
    cvs_tensor t = {.dtype = CVS_F32, .rank = rank};
    darknet_weights *w = d->weights;
    int64_t bytes = 0;
    memcpy(t.dim, dim, (size_t)rank * sizeof *dim);
    int64_t n = cvs_tensor_count(&t);
    if (!cvi_build_ok(&d->b)) {
        return -1;
    }
    if (n < 1 || !cvi_mul(n, 4, &bytes)) {
        char shape[200];
        cvi_build_set(&d->b, cvi_fail(d->b.err, CVS_E_SHAPE, "a parameter of shape %s cannot be",
                                      cvs_shape_text(rank, t.dim, shape, sizeof shape)));
        return -1;
    }
    t.bytes = (size_t)bytes;
    if (w->data) {
        if (w->at > w->size || bytes > (int64_t)(w->size - w->at)) {
            cvi_build_set(&d->b,
                          cvi_fail(d->b.err, CVS_E_FORMAT,
                                   "the weights file ends: %lld bytes are needed here, %lld are left",
                                   (long long)bytes, (long long)(w->at > w->size ? 0 : w->size - w->at)));
            return -1;
        }
        union {
            const void *from;
            void *to;
        } borrow = {.from = w->data + w->at}; /* never written through; the header keeps it aligned */
        t.data = borrow.to;
        w->at += (size_t)bytes;
    }
    return cvi_build_constant(
        &d->b,
        cvi_build_name(&d->b, "%s_%d.%s", cvi_darknet_kind(d->section->kind)->short_name, d->number, part),
        &t);
}

/* SPDX-License-Identifier: MIT
 * inflate.c - zlib and raw deflate streams of known size, as they lie in zip, HDF5 and npz files.
 * The output never grows beyond what the caller announced, so a bomb is an error and not a memory problem.
 */
#include <zlib.h>

#include "base/base.h"

static void *zlib_alloc(void *opaque, unsigned count, unsigned size) {
    (void)opaque;
    return cvi_calloc(count, size);
}

static void zlib_free(void *opaque, void *p) {
    (void)opaque;
    cvi_free(p);
}

/* Feeds zlib, whose counters are 32-bit, in steps. Leaves what zlib said last in the result. */
static int inflate_all(z_stream *z, const uint8_t *in, size_t in_size, uint8_t *out, size_t out_size,
                       size_t *used, size_t *made) {
    const size_t step = (size_t)1 << 30;
    uint8_t probe = 0; /* one byte too many shows that the stream is longer than announced */
    int state = Z_OK;
    *used = *made = 0;
    while (state == Z_OK) {
        size_t room = out_size - *made, left = in_size - *used;
        bool beyond = *made >= out_size;
        z->next_in = (Bytef *)(uintptr_t)(in + *used); /* zlib's older interface has no const */
        z->avail_in = (uInt)CVI_MIN(left, step);
        z->next_out = beyond ? &probe : out + *made;
        z->avail_out = beyond ? 1 : (uInt)CVI_MIN(room, step);
        uInt in_before = z->avail_in, out_before = z->avail_out;
        state = inflate(z, Z_NO_FLUSH);
        *used += in_before - z->avail_in;
        *made += out_before - z->avail_out;
        if (*made > out_size) {
            return Z_OK;
        }
        if (state == Z_OK && in_before == z->avail_in && out_before == z->avail_out) {
            return Z_BUF_ERROR;
        }
    }
    return state;
}

cvs_status cvi_inflate(const void *in, size_t in_size, bool raw, void *out, size_t out_size, cvs_error *err) {
    z_stream z = {.zalloc = zlib_alloc, .zfree = zlib_free};
    int state = inflateInit2(&z, raw ? -15 : 15);
    if (state != Z_OK) {
        return cvi_no_memory(err, 0);
    }
    size_t used = 0, made = 0;
    state = inflate_all(&z, in, in_size, out, out_size, &used, &made);
    char reason[80];
    snprintf(reason, sizeof reason, "%.70s", z.msg != NULL ? z.msg : "?");
    inflateEnd(&z);
    cvs_status s = CVS_OK;
    if (made > out_size) {
        s = cvi_fail(err, CVS_E_FORMAT, "the compressed data hold more than the %zu bytes that were expected",
                     out_size);
    } else if (state == Z_MEM_ERROR) {
        s = cvi_no_memory(err, (size_t)1 << 15);
    } else if (state == Z_BUF_ERROR || (state == Z_STREAM_END && made < out_size)) {
        s = cvi_fail(err, CVS_E_FORMAT, "the compressed data end too early: %zu of %zu bytes came out", made,
                     out_size);
    } else if (state != Z_STREAM_END) {
        s = cvi_fail(err, CVS_E_FORMAT, "the compressed data are damaged: %s",
                     state == Z_NEED_DICT ? "dictionary" : reason);
    } else if (used < in_size) {
        s = cvi_fail(err, CVS_E_FORMAT, "%zu bytes follow the end of the compressed data", in_size - used);
    }
    return s;
}

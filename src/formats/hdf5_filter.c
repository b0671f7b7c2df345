/* SPDX-License-Identifier: MIT
 * hdf5_filter.c - undoes what HDF5 did to a chunk before storing it: deflate, shuffle, fletcher32. Any other
 * filter is refused by name. A deflated chunk may hold at most 1032 times its stored bytes (zlib's own bound).
 */
#include "formats/hdf5_internal.h"

static cvs_status check_filter(const cvi_h5_filters *filters, int id, int64_t at, const cvi_h5 *f,
                               cvs_error *err) {
    if (id != H5_DEFLATE && id != H5_SHUFFLE && id != H5_FLETCHER32) {
        cvs_status s = cvi_fail(err, CVS_E_UNSUPPORTED,
                                "HDF5 filter %d is not supported; deflate, shuffle and fletcher32 are", id);
        return cvi_at_offset(err, s, f->start + at);
    }
    for (int i = 0; i < filters->n; i++) {
        if (filters->id[i] == id) {
            cvs_status s = cvi_fail(err, CVS_E_FORMAT, "an HDF5 filter stands twice in one pipeline");
            return cvi_at_offset(err, s, f->start + at);
        }
    }
    return CVS_OK;
}

cvs_status cvi_h5_read_filters(cvi_h5_cursor *c, cvi_h5_filters *out, cvs_error *err) {
    const char *what = "filter pipeline";
    int64_t at = c->pos;
    int version = (int)cvi_h5_uint(c, 1), n = (int)cvi_h5_uint(c, 1);
    CVI_TRY(cvi_h5_ok(c, what, err));
    if (version != 1 && version != 2) {
        return cvi_h5_version(what, version, at, c->f, err);
    }
    cvi_h5_skip(c, version == 1 ? 6 : 0);
    *out = (cvi_h5_filters){0};
    for (int i = 0; i < n; i++) {
        int64_t here = c->pos;
        int id = (int)cvi_h5_uint(c, 2);
        int64_t name = version == 1 || id >= 256 ? (int64_t)cvi_h5_uint(c, 2) : 0;
        cvi_h5_skip(c, 2);
        int64_t values = (int64_t)cvi_h5_uint(c, 2);
        cvi_h5_skip(c, version == 1 ? (name + 7) / 8 * 8 : name);
        cvi_h5_skip(c, 4 * values + (version == 1 && values % 2 ? 4 : 0));
        CVI_TRY(cvi_h5_ok(c, what, err));
        CVI_TRY(check_filter(out, id, here, c->f, err));
        out->id[out->n++] = id; /* three distinct ones at most */
    }
    return CVS_OK;
}

/* Fletcher's checksum over big-endian 16-bit words. */
static uint32_t fletcher32(const uint8_t *p, int64_t n) {
    uint32_t a = 0, b = 0;
    for (int64_t i = 0; i < n; i += 2) {
        a = (a + ((uint32_t)p[i] << 8 | (i + 1 < n ? p[i + 1] : 0u))) % 65535;
        b = (b + a) % 65535;
    }
    return b << 16 | a;
}

/* Both give 0 for 65535; the writer's folding may leave either. */
static bool same_sum(uint32_t a, uint32_t b) {
    return (a >> 16) % 65535 == (b >> 16) % 65535 && (a & 65535) % 65535 == (b & 65535) % 65535;
}

static void unshuffle(const uint8_t *in, uint8_t *out, int64_t bytes, int64_t element) {
    int64_t n = element > 0 ? bytes / element : 0;
    for (int64_t j = 0; j < (n > 0 ? element : 0); j++) {
        for (int64_t i = 0; i < n; i++) {
            out[i * element + j] = in[j * n + i];
        }
    }
    memcpy(out + n * element, in + n * element, (size_t)(bytes - n * element));
}

static cvs_status wrong_size(const cvi_h5 *f, int64_t pos, int64_t got, int64_t want, cvs_error *err) {
    cvs_status s = cvi_fail(err, CVS_E_FORMAT, "a chunk holds %lld bytes, %lld are needed", (long long)got,
                            (long long)want);
    return cvi_at_offset(err, s, f->start + pos);
}

/* Checks and drops the 4 bytes of checksum at the end. */
static cvs_status drop_sum(const cvi_h5 *f, const uint8_t *in, int64_t bytes, int64_t pos, cvs_error *err) {
    uint32_t stored = (uint32_t)in[bytes] | (uint32_t)in[bytes + 1] << 8 | (uint32_t)in[bytes + 2] << 16 |
                      (uint32_t)in[bytes + 3] << 24;
    if (!same_sum(fletcher32(in, bytes), stored)) {
        cvs_status s = cvi_fail(err, CVS_E_FORMAT, "the checksum of a chunk is wrong: the file is damaged");
        return cvi_at_offset(err, s, f->start + pos);
    }
    return CVS_OK;
}

cvs_status cvi_h5_unfilter(const cvi_h5 *f, const cvi_h5_filters *filters, uint32_t skip_mask, int64_t pos,
                           int64_t stored, int64_t element, uint8_t *out, int64_t out_bytes, uint8_t *scratch,
                           cvs_error *err) {
    int64_t before[H5_MAX_FILTERS + 1]; /* bytes before filter i was applied, -1 unknown (after deflate) */
    before[0] = out_bytes;
    for (int i = 0; i < filters->n; i++) {
        bool skip = skip_mask >> i & 1;
        int id = filters->id[i];
        int64_t b = before[i];
        before[i + 1] = skip || b < 0 ? b : id == H5_DEFLATE ? -1 : id == H5_FLETCHER32 ? b + 4 : b;
    }
    const uint8_t *in = f->data + pos;
    int64_t have = stored;
    int side = 0;
    for (int i = filters->n - 1; i >= 0; i--) {
        if (skip_mask >> i & 1) {
            continue;
        }
        uint8_t *next = scratch + side * (out_bytes + 8 * H5_MAX_FILTERS);
        if (filters->id[i] == H5_FLETCHER32) {
            if (have < 4) {
                return wrong_size(f, pos, have, 4, err);
            }
            have -= 4;
            CVI_TRY(drop_sum(f, in, have, pos, err));
            continue;
        }
        if (filters->id[i] == H5_DEFLATE) {
            if (before[i] / 1032 > have) {
                return wrong_size(f, pos, have, before[i] / 1032, err);
            }
            CVI_TRY(cvi_at_offset(err, cvi_inflate(in, (size_t)have, false, next, (size_t)before[i], err),
                                  f->start + pos));
            have = before[i];
        } else if (before[i] >= 0 && have != before[i]) {
            return wrong_size(f, pos, have, before[i], err);
        } else if (before[i] < 0) { /* shuffled after deflate: nobody writes that */
            return cvi_h5_version("filter pipeline", 0, pos, f, err);
        } else {
            unshuffle(in, next, have, element);
        }
        in = next;
        side = !side;
    }
    if (have != out_bytes) {
        return wrong_size(f, pos, have, out_bytes, err);
    }
    memcpy(out, in, (size_t)out_bytes);
    return CVS_OK;
}

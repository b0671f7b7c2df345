/* SPDX-License-Identifier: MIT
 * idx.c - idx files of unsigned bytes (the format of MNIST, LeCun, Cortes, Burges), plain or gzipped.
 * The header's sizes are checked against the file's before anything of that size is allocated: plain files must have
 * exactly that many bytes, and deflate cannot expand more than 1032-fold.
 */
#include <zlib.h>

#include "data/dataset.h"

enum { MOST_EXPANSION = 1032, UNSIGNED_BYTES = 8 };

/* ---- a stream of bytes from a plain or gzipped file ---------------------------------------------------- */

typedef struct source {
    const uint8_t *data;
    size_t size, at; /* of the file */
    bool gzip;
    z_stream z;
    bool ended;    /* the gzip stream; a plain one ends with the file */
    bool complete; /* it ended where the file ends, checksum included */
} source;

static void *zlib_alloc(void *opaque, unsigned count, unsigned size) {
    (void)opaque;
    return cvi_calloc(count, size);
}

static void zlib_free(void *opaque, void *p) {
    (void)opaque;
    cvi_free(p);
}

static cvs_status source_open(source *s, const uint8_t *data, size_t size, cvs_error *err) {
    *s = (source){.data = data, .size = size};
    s->gzip = s->size >= 2 && s->data[0] == 0x1F && s->data[1] == 0x8B;
    if (s->gzip) {
        s->z.zalloc = zlib_alloc;
        s->z.zfree = zlib_free;
        if (inflateInit2(&s->z, 15 + 16) != Z_OK) {
            s->gzip = false; /* nothing to end */
            return cvi_no_memory(err, (size_t)1 << 15);
        }
    }
    return CVS_OK;
}

static void source_close(source *s) {
    if (s->gzip) {
        inflateEnd(&s->z);
    }
}

/* One step of zlib; a gzip file may be several members one after the other. */
static cvs_status inflate_step(source *s, uint8_t *out, size_t room, size_t *made, cvs_error *err) {
    const size_t step = (size_t)1 << 24;
    s->z.next_in = (Bytef *)(uintptr_t)(s->data + s->at);
    s->z.avail_in = (uInt)CVI_MIN(s->size - s->at, step);
    s->z.next_out = out;
    s->z.avail_out = (uInt)CVI_MIN(room, step);
    uInt in_before = s->z.avail_in, out_before = s->z.avail_out;
    int state = inflate(&s->z, Z_NO_FLUSH);
    s->at += in_before - s->z.avail_in;
    *made = out_before - s->z.avail_out;
    if (state == Z_STREAM_END) {
        s->ended = s->complete = s->at == s->size;
        return s->ended || inflateReset(&s->z) == Z_OK ? CVS_OK : cvi_no_memory(err, 0);
    }
    if (state == Z_MEM_ERROR) {
        return cvi_no_memory(err, (size_t)1 << 15);
    }
    if (state == Z_BUF_ERROR || (state == Z_OK && s->at == s->size && *made == 0)) {
        s->ended = true; /* cut off: the caller misses bytes */
        return CVS_OK;
    }
    if (state != Z_OK) {
        char reason[80];
        snprintf(reason, sizeof reason, "%.70s", s->z.msg != NULL ? s->z.msg : "?");
        cvi_fail(err, CVS_E_FORMAT, "the compressed data are damaged: %s", reason);
        return cvi_at_offset(err, CVS_E_FORMAT, (int64_t)s->at);
    }
    return CVS_OK;
}

/* Reads up to n bytes; *got < n means that the file has no more. */
static cvs_status source_read(source *s, uint8_t *out, size_t n, size_t *got, cvs_error *err) {
    *got = 0;
    if (!s->gzip) {
        *got = CVI_MIN(n, s->size - s->at);
        memcpy(out, s->data + s->at, *got);
        s->at += *got;
        return CVS_OK;
    }
    while (*got < n && !s->ended) {
        size_t made = 0;
        CVI_TRY(inflate_step(s, out + *got, n - *got, &made, err));
        *got += made;
    }
    return CVS_OK;
}

/* ---- the format ------------------------------------------------------------------------------------------ */

static cvs_status read_header(source *s, int rank, cvi_idx *out, cvs_error *err) {
    uint8_t head[4 + 4 * 4];
    size_t want = 4 + 4 * (size_t)rank, got = 0;
    CVI_TRY(source_read(s, head, want, &got, err));
    if (got < 4 || head[0] != 0 || head[1] != 0) {
        cvi_fail(err, CVS_E_FORMAT, "this is no idx file: it must begin with two zero bytes");
        return cvi_at_offset(err, CVS_E_FORMAT, 0);
    }
    if (head[2] != UNSIGNED_BYTES) {
        cvi_fail(err, CVS_E_UNSUPPORTED,
                 "the idx file holds numbers of type 0x%02x, unsigned bytes (0x08) expected", head[2]);
        return cvi_at_offset(err, CVS_E_UNSUPPORTED, 2);
    }
    if (head[3] != rank) {
        cvi_fail(err, CVS_E_FORMAT, "the idx file has %d dimensions, %d expected", head[3], rank);
        return cvi_at_offset(err, CVS_E_FORMAT, 3);
    }
    if (got < want) {
        return cvi_fail(err, CVS_E_FORMAT, "the idx file ends within its header: %zu of %zu bytes", got,
                        want);
    }
    out->rank = rank;
    out->bytes = 1;
    bool fits = true;
    for (int i = 0; i < rank; i++) {
        const uint8_t *p = head + 4 + 4 * i;
        out->dim[i] = (int64_t)p[0] << 24 | (int64_t)p[1] << 16 | (int64_t)p[2] << 8 | p[3];
        fits = fits && cvi_mul(out->bytes, out->dim[i], &out->bytes);
    }
    return fits ? CVS_OK : cvi_fail(err, CVS_E_FORMAT, "the sizes in the idx header are too large together");
}

static cvs_status check_size(const source *s, const cvi_idx *idx, const cvs_limits *limits, cvs_error *err) {
    if (idx->bytes > limits->max_memory_bytes) {
        return cvi_fail(err, CVS_E_LIMIT, "the idx file holds %lld bytes, the limit of memory is %lld",
                        (long long)idx->bytes, (long long)limits->max_memory_bytes);
    }
    int64_t head = 4 + 4 * idx->rank, size = (int64_t)s->size;
    if (!s->gzip && idx->bytes != size - head) {
        cvi_fail(err, CVS_E_FORMAT, "the idx header announces %lld bytes, but %lld follow it",
                 (long long)idx->bytes, (long long)(size - head));
        return cvi_at_offset(err, CVS_E_FORMAT, CVI_MIN(size, head + idx->bytes));
    }
    if (s->gzip && idx->bytes / MOST_EXPANSION > size) {
        return cvi_fail(err, CVS_E_FORMAT,
                        "the idx header announces %lld bytes, more than the %lld compressed ones can hold",
                        (long long)idx->bytes, (long long)size);
    }
    return CVS_OK;
}

static cvs_status read_body(source *s, cvi_idx *idx, cvs_error *err) {
    idx->data = cvi_malloc((size_t)CVI_MAX(idx->bytes, 1));
    if (idx->data == NULL) {
        return cvi_no_memory(err, (size_t)idx->bytes);
    }
    size_t got = 0;
    CVI_TRY(source_read(s, idx->data, (size_t)idx->bytes, &got, err));
    if (got < (size_t)idx->bytes) {
        return cvi_fail(err, CVS_E_FORMAT, "the compressed data end too early: %zu of %zu bytes came out",
                        got, (size_t)idx->bytes);
    }
    uint8_t probe = 0; /* reading on also makes zlib compare the checksum */
    CVI_TRY(source_read(s, &probe, 1, &got, err));
    if (got != 0) {
        return cvi_fail(err, CVS_E_FORMAT, "more bytes follow than the %lld that the idx header announces",
                        (long long)idx->bytes);
    }
    if (s->gzip && !s->complete) {
        return cvi_fail(err, CVS_E_FORMAT, "the compressed data end too early: their checksum is missing");
    }
    return CVS_OK;
}

cvs_status cvi_idx_decode(const uint8_t *data, size_t size, int rank, const cvs_limits *limits, cvi_idx *out,
                          cvs_error *err) {
    *out = (cvi_idx){0};
    cvs_limits l = cvs_limits_default(limits);
    source in;
    cvs_status s = source_open(&in, data, size, err);
    if (s == CVS_OK) {
        s = read_header(&in, rank, out, err);
    }
    if (s == CVS_OK) {
        s = check_size(&in, out, &l, err);
    }
    if (s == CVS_OK) {
        s = read_body(&in, out, err);
    }
    source_close(&in);
    if (s != CVS_OK) {
        cvi_idx_free(out);
    }
    return s;
}

cvs_status cvi_idx_read(const char *path, int rank, const cvs_limits *limits, cvi_idx *out, cvs_error *err) {
    *out = (cvi_idx){0};
    cvi_file file;
    CVI_TRY(cvi_file_read(path, limits, &file, err));
    cvs_status s = cvi_idx_decode(file.data, file.size, rank, limits, out, err);
    cvi_file_close(&file);
    return cvi_at_file(err, s, path);
}

void cvi_idx_free(cvi_idx *idx) {
    cvi_free(idx->data);
    *idx = (cvi_idx){0};
}

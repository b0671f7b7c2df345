/* SPDX-License-Identifier: MIT
 * hdf5_data.c - values of an HDF5 data set: compact, contiguous (borrowed in place when aligned and in this
 * machine's byte order) and chunked storage. What is declared must be stored; fill values are never invented.
 */
#include "formats/hdf5_internal.h"

#include <stdlib.h>

typedef struct dataset {
    cvi_h5 *f;
    int64_t object;
    cvi_h5_type type;
    cvi_h5_space space;
    cvi_h5_filters filters;
    int64_t bytes; /* of all elements */
} dataset;

static cvs_status fail_at(const dataset *d, int64_t at, cvs_status s, cvs_error *err) {
    return cvi_at_offset(err, s, d->f->start + at);
}

static cvs_status not_stored(const dataset *d, int64_t at, int64_t stored, cvs_error *err) {
    cvs_status s = cvi_fail(err, CVS_E_FORMAT, "a data set declares %lld bytes, %lld are stored",
                            (long long)d->bytes, (long long)stored);
    return fail_at(d, at, s, err);
}

static void swap_bytes(uint8_t *p, int64_t count, int64_t size) {
    for (int64_t i = 0; i < count; i++, p += size) {
        for (int64_t a = 0, b = size - 1; a < b; a++, b--) {
            uint8_t t = p[a];
            p[a] = p[b];
            p[b] = t;
        }
    }
}

/* Hands out stored bytes: borrowed when possible. */
static cvs_status take_bytes(const dataset *d, int64_t pos, cvs_tensor *out, cvs_error *err) {
    const uint8_t *p = d->f->data + pos;
    if (!d->type.swap && (uintptr_t)p % (uintptr_t)d->type.size == 0) {
        *out = (cvs_tensor){.dtype = d->type.dtype, .rank = d->space.rank, .bytes = (size_t)d->bytes};
        memcpy(out->dim, d->space.dim, sizeof out->dim);
        union {
            const void *from;
            void *to;
        } borrow = {.from = p}; /* never written through: owned is false */
        out->data = d->bytes > 0 ? borrow.to : NULL;
        return CVS_OK;
    }
    CVI_TRY(cvs_tensor_new(out, d->type.dtype, d->space.rank, d->space.dim, err));
    if (d->bytes > 0) {
        memcpy(out->data, p, (size_t)d->bytes);
    }
    if (d->type.swap) {
        swap_bytes(out->data, d->space.count, d->type.size);
    }
    return CVS_OK;
}

/* Chunk shape and counts, once layout has filled chunk[]. */
static cvs_status measure_chunks(const dataset *d, cvi_h5_chunked *s, int64_t at, cvs_error *err) {
    s->n_chunks = 1;
    s->chunk_bytes = d->type.size;
    for (int i = 0; i < d->space.rank; i++) {
        bool ok = s->chunk[i] > 0 && cvi_mul(s->chunk_bytes, s->chunk[i], &s->chunk_bytes);
        s->grid[i] = ok ? d->space.dim[i] / s->chunk[i] + (d->space.dim[i] % s->chunk[i] != 0) : 0;
        if (!ok || !cvi_mul(s->n_chunks, s->grid[i], &s->n_chunks)) {
            return fail_at(d, at,
                           cvi_fail(err, CVS_E_FORMAT, "the chunks of a data set have an absurd shape"), err);
        }
    }
    if (s->chunk_bytes > d->f->max_memory) {
        return fail_at(d, at,
                       cvi_fail(err, CVS_E_LIMIT, "a chunk of %lld bytes is over the limit of %lld bytes",
                                (long long)s->chunk_bytes, (long long)d->f->max_memory),
                       err);
    }
    return CVS_OK;
}

/* What follows the chunk shape in layout version 4. */
static cvs_status read_index_type(dataset *d, cvi_h5_cursor *c, int flags, cvi_h5_chunked *s,
                                  cvs_error *err) {
    s->plain_edges = flags & 1;
    int64_t at = c->pos;
    s->index_type = (int)cvi_h5_uint(c, 1);
    switch (s->index_type) {
    case 1: /* a single chunk */
        s->single_bytes = s->chunk_bytes;
        if (flags & 2) {
            s->single_bytes = cvi_h5_length(c);
            s->single_mask = (uint32_t)cvi_h5_uint(c, 4);
        }
        return CVS_OK;
    case 2: /* implicit: one after the other */
        return CVS_OK;
    case 3: /* fixed array */
        cvi_h5_skip(c, 1);
        return CVS_OK;
    case 4: /* extensible array: its header repeats these */
        cvi_h5_skip(c, 5);
        return CVS_OK;
    case 5: /* version-2 B-tree: likewise */
        cvi_h5_skip(c, 6);
        return CVS_OK;
    default:
        return fail_at(d, at,
                       cvi_fail(err, CVS_E_UNSUPPORTED,
                                "the chunks of this data set are indexed in a way (%d) that is not supported",
                                s->index_type),
                       err);
    }
}

static cvs_status read_chunked(dataset *d, cvi_h5_cursor *c, int version, cvs_tensor *out, cvs_error *err) {
    const char *what = "data layout";
    cvi_h5_chunked s = {.type = &d->type, .space = &d->space, .filters = &d->filters};
    int64_t at = c->pos;
    int flags = version >= 4 ? (int)cvi_h5_uint(c, 1) : 0, rank = (int)cvi_h5_uint(c, 1);
    if (version == 3) {
        s.address = cvi_h5_address(c);
    }
    int width = version >= 4 ? (int)cvi_h5_uint(c, 1) : 4;
    CVI_TRY(cvi_h5_ok(c, what, err));
    if (rank != d->space.rank + 1 || width < 1 || width > 8) {
        return fail_at(d, at, cvi_fail(err, CVS_E_FORMAT, "the chunks of a data set have an absurd shape"),
                       err);
    }
    for (int i = 0; i < d->space.rank; i++) {
        uint64_t n = cvi_h5_uint(c, width);
        s.chunk[i] = n > INT64_MAX ? -1 : (int64_t)n;
    }
    uint64_t element = cvi_h5_uint(c, width);
    CVI_TRY(cvi_h5_ok(c, what, err));
    if (element != (uint64_t)d->type.size) {
        return fail_at(d, at, cvi_fail(err, CVS_E_FORMAT, "the chunks of a data set have an absurd shape"),
                       err);
    }
    CVI_TRY(measure_chunks(d, &s, at, err));
    if (version >= 4) {
        CVI_TRY(read_index_type(d, c, flags, &s, err));
        s.address = cvi_h5_address(c);
        CVI_TRY(cvi_h5_ok(c, what, err));
    }
    if (d->space.count > 0 && s.address < 0) {
        return not_stored(d, at, 0, err);
    }
    /* All chunks lie in the file, side by side, so even deflated they cannot hold more than this. */
    if (d->bytes / 1032 > d->f->size) {
        return not_stored(d, at, d->f->size, err);
    }
    cvs_status status = d->space.count > 0
                            ? cvi_h5_read_chunks(d->f, &s, out, err)
                            : cvs_tensor_new(out, d->type.dtype, d->space.rank, d->space.dim, err);
    if (status != CVS_OK) {
        cvs_tensor_free(out);
        return status;
    }
    if (d->type.swap) {
        swap_bytes(out->data, d->space.count, d->type.size);
    }
    return CVS_OK;
}

static cvs_status read_layout(dataset *d, const cvi_h5_message *m, cvs_tensor *out, cvs_error *err) {
    const char *what = "data layout";
    cvi_h5_cursor c = {.f = d->f, .pos = m->pos, .end = m->pos + m->size};
    int version = (int)cvi_h5_uint(&c, 1), class = (int)cvi_h5_uint(&c, 1);
    CVI_TRY(cvi_h5_ok(&c, what, err));
    if (version < 3 || version > 5) { /* 5: sizes of filtered chunks take more bytes than in 4 */
        return cvi_h5_version(what, version, m->pos, d->f, err);
    }
    if (class == 0) { /* compact: in the header itself */
        int64_t size = (int64_t)cvi_h5_uint(&c, 2);
        CVI_TRY(cvi_h5_ok(&c, what, err));
        return size < d->bytes || c.end - c.pos < d->bytes
                   ? not_stored(d, m->pos, CVI_MIN(size, c.end - c.pos), err)
                   : take_bytes(d, c.pos, out, err);
    }
    if (class == 1) { /* in one piece */
        int64_t address = cvi_h5_address(&c), size = cvi_h5_length(&c);
        CVI_TRY(cvi_h5_ok(&c, what, err));
        if (d->bytes > 0 && (address < 0 || size < d->bytes)) {
            return not_stored(d, m->pos, address < 0 ? 0 : size, err);
        }
        if (d->bytes > 0) {
            CVI_TRY(cvi_h5_enter(d->f, address, d->bytes, "data set", &(cvi_h5_cursor){0}, err));
            d->f->work += d->bytes; /* values are no structures: they cost no budget */
        }
        return take_bytes(d, d->bytes > 0 ? address : 0, out, err);
    }
    if (class == 2) {
        return read_chunked(d, &c, version, out, err);
    }
    return fail_at(d, m->pos, cvi_fail(err, CVS_E_UNSUPPORTED, "virtual data sets are not supported"), err);
}

/* Type, dataspace and filters of an object that should be a data set of numbers. */
static cvs_status describe(dataset *d, const cvi_h5_message *m, int64_t n, const cvi_h5_message **layout,
                           cvs_error *err) {
    const cvi_h5_message *type = NULL, *space = NULL, *filters = NULL, *files = NULL;
    CVI_TRY(cvi_h5_one(d->f, m, n, H5_DATATYPE, &type, err));
    CVI_TRY(cvi_h5_one(d->f, m, n, H5_DATASPACE, &space, err));
    CVI_TRY(cvi_h5_one(d->f, m, n, H5_LAYOUT, layout, err));
    CVI_TRY(cvi_h5_one(d->f, m, n, H5_FILTERS, &filters, err));
    CVI_TRY(cvi_h5_one(d->f, m, n, H5_EXTERNAL_FILES, &files, err));
    if (files) {
        return fail_at(d, files->pos,
                       cvi_fail(err, CVS_E_UNSUPPORTED, "values kept in other files are not read"), err);
    }
    if (!type || !space || !*layout) {
        return fail_at(d, d->object, cvi_fail(err, CVS_E_FORMAT, "this is no data set"), err);
    }
    cvi_h5_cursor c = {.f = d->f, .pos = type->pos, .end = type->pos + type->size};
    CVI_TRY(cvi_h5_read_type(&c, &d->type, err));
    if (d->type.kind != H5_NUMBER) {
        return fail_at(d, type->pos,
                       cvi_fail(err, CVS_E_UNSUPPORTED,
                                "elements of HDF5 class %d with %lld bytes are not supported; "
                                "integers and IEEE floats are",
                                d->type.class, (long long)d->type.size),
                       err);
    }
    c = (cvi_h5_cursor){.f = d->f, .pos = space->pos, .end = space->pos + space->size};
    CVI_TRY(cvi_h5_read_space(&c, &d->space, err));
    if (d->space.null) {
        d->space.rank = 1;
        d->space.dim[0] = 0;
    }
    if (!cvi_mul(d->space.count, d->type.size, &d->bytes) || d->bytes > d->f->max_memory) {
        return fail_at(d, space->pos,
                       cvi_fail(err, CVS_E_LIMIT,
                                "a data set of %lld elements is over the limit of %lld bytes",
                                (long long)d->space.count, (long long)d->f->max_memory),
                       err);
    }
    if (filters) {
        c = (cvi_h5_cursor){.f = d->f, .pos = filters->pos, .end = filters->pos + filters->size};
        CVI_TRY(cvi_h5_read_filters(&c, &d->filters, err));
    }
    return CVS_OK;
}

cvs_status cvi_h5_dataset(cvi_h5 *f, int64_t object, cvs_tensor *out, cvs_error *err) {
    memset(out, 0, sizeof *out);
    cvi_h5_message *m = NULL;
    int64_t n = 0;
    CVI_TRY(cvi_h5_messages(f, object, &m, &n, err));
    dataset d = {.f = f, .object = object};
    const cvi_h5_message *layout = NULL;
    CVI_TRY(describe(&d, m, n, &layout, err));
    return read_layout(&d, layout, out, err);
}

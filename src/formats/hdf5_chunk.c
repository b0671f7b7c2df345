/* SPDX-License-Identifier: MIT
 * hdf5_chunk.c - finds and joins the chunks of an HDF5 data set: version-1 B-tree, single chunk, implicit index,
 * fixed array. Every chunk must be there exactly once, and together they must not be larger than the file.
 */
#include "formats/hdf5_internal.h"

#include <stdlib.h>

typedef struct gather {
    cvi_h5 *f;
    const cvi_h5_chunked *s;
    cvi_h5_chunk *chunk; /* one per place in the grid; address -1 until found */
    int64_t found;
    int64_t stored; /* bytes of all chunks */
    int64_t walked; /* bytes of tree nodes */
} gather;

static cvs_status add_chunk(gather *g, int64_t index, int64_t address, int64_t stored, uint32_t mask,
                            cvs_error *err) {
    if (index < 0 || index >= g->s->n_chunks || g->chunk[index].stored > 0) {
        cvs_status s = cvi_fail(err, CVS_E_FORMAT, "a chunk stands twice or outside its data set");
        return address < 0 ? s : cvi_at_offset(err, s, g->f->start + address);
    }
    if (!g->s->filters->n && stored != g->s->chunk_bytes) {
        cvs_status s = cvi_fail(err, CVS_E_FORMAT, "a chunk holds %lld bytes, %lld are needed",
                                (long long)stored, (long long)g->s->chunk_bytes);
        return address < 0 ? s : cvi_at_offset(err, s, g->f->start + address);
    }
    if (g->s->chunk_bytes / 1032 > stored) { /* more than deflate can hold */
        cvs_status s = cvi_fail(err, CVS_E_FORMAT, "a chunk holds %lld bytes, %lld are needed",
                                (long long)stored, (long long)(g->s->chunk_bytes / 1032));
        return address < 0 ? s : cvi_at_offset(err, s, g->f->start + address);
    }
    cvi_h5_cursor c;
    CVI_TRY(cvi_h5_enter(g->f, address, stored, "chunk", &c, err));
    g->f->work += stored;
    g->stored += stored;
    if (stored == 0 || g->stored > g->f->size) {
        cvs_status s = cvi_fail(err, CVS_E_FORMAT, "the chunks of a data set overlap, or are empty");
        return cvi_at_offset(err, s, g->f->start + address);
    }
    g->chunk[index] = (cvi_h5_chunk){.index = index, .address = address, .stored = stored, .skip_mask = mask};
    g->found++;
    return CVS_OK;
}

/* A version-1 B-tree node; the level must fall by one a step. */
static cvs_status read_tree(gather *g, int64_t address, int level, cvs_error *err) {
    const char *what = "B-tree node";
    int rank = g->s->space->rank;
    cvi_h5_cursor c;
    CVI_TRY(cvi_h5_enter(g->f, address, 8 + 2 * g->f->offset_bytes, what, &c, err));
    CVI_TRY(cvi_h5_signature(&c, "TREE", what, err));
    int type = (int)cvi_h5_uint(&c, 1), own = (int)cvi_h5_uint(&c, 1);
    int64_t n = (int64_t)cvi_h5_uint(&c, 2);
    int64_t bytes = n * (8 + 8 * (rank + 1) + g->f->offset_bytes);
    g->walked += 24 + bytes;
    if (type != 1 || own > 16 || (level >= 0 && own != level) || g->walked > g->f->size) {
        cvs_status s = cvi_fail(err, CVS_E_FORMAT,
                                "this B-tree node does not belong here (type %d, level %d)", type, own);
        return cvi_at_offset(err, s, g->f->start + address);
    }
    CVI_TRY(cvi_h5_enter(g->f, c.end, bytes, what, &c, err));
    for (int64_t i = 0; i < n; i++) {
        int64_t stored = (int64_t)cvi_h5_uint(&c, 4), index = 0;
        uint32_t mask = (uint32_t)cvi_h5_uint(&c, 4);
        for (int k = 0; k < rank; k++) {
            uint64_t at = cvi_h5_uint(&c, 8), place = at / (uint64_t)g->s->chunk[k];
            bool ok = index >= 0 && at % (uint64_t)g->s->chunk[k] == 0 && place < (uint64_t)g->s->grid[k];
            index = ok ? index * g->s->grid[k] + (int64_t)place : -1;
        }
        cvi_h5_skip(&c, 8); /* the offset within an element */
        int64_t child = cvi_h5_address(&c);
        CVI_TRY(cvi_h5_ok(&c, what, err));
        CVI_TRY(own > 0 ? read_tree(g, child, own - 1, err) : add_chunk(g, index, child, stored, mask, err));
    }
    return CVS_OK;
}

/* ---- fixed array ---- */

/* Elements [first, first + n) of a fixed array, at c. */
static cvs_status read_elements(gather *g, cvi_h5_cursor *c, int64_t first, int64_t n, int entry,
                                bool filtered, cvs_error *err) {
    for (int64_t i = 0; i < n; i++) {
        int64_t address = cvi_h5_address(c), stored = g->s->chunk_bytes;
        uint32_t mask = 0;
        if (filtered) {
            uint64_t bytes = cvi_h5_uint(c, entry - g->f->offset_bytes - 4);
            stored = bytes > INT64_MAX ? -1 : (int64_t)bytes;
            mask = (uint32_t)cvi_h5_uint(c, 4);
        }
        CVI_TRY(cvi_h5_ok(c, "fixed array", err));
        CVI_TRY(add_chunk(g, first + i, address, stored, mask, err));
    }
    return CVS_OK;
}

static cvs_status read_array(gather *g, cvs_error *err) {
    const char *what = "fixed array";
    cvi_h5 *f = g->f;
    cvi_h5_cursor c;
    int64_t head = 8 + f->length_bytes + f->offset_bytes;
    CVI_TRY(cvi_h5_enter(f, g->s->address, head, what, &c, err));
    CVI_TRY(cvi_h5_signature(&c, "FAHD", what, err));
    int version = (int)cvi_h5_uint(&c, 1), filtered = (int)cvi_h5_uint(&c, 1);
    int entry = (int)cvi_h5_uint(&c, 1), page_bits = (int)cvi_h5_uint(&c, 1);
    int64_t n = cvi_h5_length(&c), block = cvi_h5_address(&c);
    CVI_TRY(cvi_h5_checksum(f, g->s->address, c.pos, what, err));
    int size_bytes = entry - f->offset_bytes - 4;
    if (version != 0 || page_bits > 31 || n < g->s->n_chunks || filtered != (g->s->filters->n > 0) ||
        (filtered ? size_bytes < 1 || size_bytes > 8 : entry != f->offset_bytes)) {
        cvs_status s = cvi_fail(err, CVS_E_FORMAT, "the fixed array of a data set does not fit its chunks");
        return cvi_at_offset(err, s, f->start + g->s->address);
    }
    n = g->s->n_chunks;
    int64_t page = (int64_t)1 << page_bits, pages = n > page ? (n + page - 1) / page : 0;
    int64_t prefix = 6 + f->offset_bytes + (pages ? (pages + 7) / 8 : n * entry);
    CVI_TRY(cvi_h5_enter(f, block, prefix, what, &c, err));
    CVI_TRY(cvi_h5_signature(&c, "FADB", what, err));
    CVI_TRY(cvi_h5_checksum(f, block, c.end, what, err));
    cvi_h5_skip(&c, 2 + f->offset_bytes);
    if (!pages) {
        return read_elements(g, &c, 0, n, entry, filtered, err);
    }
    int64_t at = block + prefix + 4;
    for (int64_t first = 0; first < n; first += page, at += page * entry + 4) {
        int64_t here = CVI_MIN(page, n - first);
        CVI_TRY(cvi_h5_enter(f, at, here * entry, what, &c, err));
        CVI_TRY(read_elements(g, &c, first, here, entry, filtered, err));
    }
    return CVS_OK;
}

static cvs_status find_chunks(gather *g, cvs_error *err) {
    const cvi_h5_chunked *s = g->s;
    switch (s->index_type) {
    case 0:
        return read_tree(g, s->address, -1, err);
    case 1:
        return add_chunk(g, s->n_chunks == 1 ? 0 : -1, s->address, s->single_bytes, s->single_mask, err);
    case 2:
        for (int64_t i = 0, at = s->address; i < s->n_chunks; i++, at += s->chunk_bytes) {
            CVI_TRY(add_chunk(g, i, at, s->chunk_bytes, 0, err));
        }
        return CVS_OK;
    default:
        return read_array(g, err);
    }
}

/* Copies one chunk's elements to their places. from holds a whole chunk; parts beyond the edges are dropped. */
static void place(const cvi_h5_chunked *s, int64_t index, const uint8_t *from, uint8_t *out) {
    int rank = s->space->rank;
    int64_t size = s->type->size, first[CVS_MAX_RANK] = {0}, n[CVS_MAX_RANK] = {0}, at[CVS_MAX_RANK] = {0};
    for (int k = rank - 1; k >= 0; k--) {
        first[k] = index % s->grid[k] * s->chunk[k];
        n[k] = CVI_MIN(s->chunk[k], s->space->dim[k] - first[k]);
        index /= s->grid[k];
    }
    if (rank == 0) {
        memcpy(out, from, (size_t)size);
        return;
    }
    for (;;) {
        int64_t source = 0, target = 0;
        for (int k = 0; k < rank; k++) {
            source = source * s->chunk[k] + at[k];
            target = target * s->space->dim[k] + first[k] + at[k];
        }
        memcpy(out + target * size, from + source * size, (size_t)(n[rank - 1] * size));
        int k = rank - 2;
        while (k >= 0 && ++at[k] == n[k]) {
            at[k--] = 0;
        }
        if (k < 0) {
            return;
        }
    }
}

static bool at_edge(const cvi_h5_chunked *s, int64_t index) {
    bool edge = false;
    for (int k = s->space->rank - 1; k >= 0; k--) {
        edge = edge || (index % s->grid[k] + 1) * s->chunk[k] > s->space->dim[k];
        index /= s->grid[k];
    }
    return edge;
}

static cvs_status join(gather *g, uint8_t *out, uint8_t *scratch, cvs_error *err) {
    const cvi_h5_chunked *s = g->s;
    for (int64_t i = 0; i < s->n_chunks; i++) {
        const cvi_h5_chunk *c = &g->chunk[i];
        const uint8_t *from = g->f->data + c->address;
        if (s->filters->n > 0) {
            uint32_t mask = s->plain_edges && at_edge(s, i) ? UINT32_MAX : c->skip_mask;
            CVI_TRY(cvi_h5_unfilter(g->f, s->filters, mask, c->address, c->stored, s->type->size, scratch,
                                    s->chunk_bytes, scratch + s->chunk_bytes, err));
            from = scratch;
        }
        place(s, i, from, out);
    }
    return CVS_OK;
}

cvs_status cvi_h5_read_chunks(cvi_h5 *f, const cvi_h5_chunked *storage, cvs_tensor *out, cvs_error *err) {
    gather g = {.f = f, .s = storage};
    int64_t least = storage->index_type == 0 || storage->index_type == 3 ? 8 : storage->chunk_bytes;
    if (storage->n_chunks >
        f->size / CVI_MAX(least, 1)) { /* bytes that a chunk or its entry takes in the file */
        cvs_status s = cvi_fail(err, CVS_E_FORMAT, "a data set has %lld chunks, the file only %lld bytes",
                                (long long)storage->n_chunks, (long long)f->size);
        return cvi_at_offset(err, s, f->start + storage->address);
    }
    g.chunk = cvi_calloc((size_t)storage->n_chunks, sizeof *g.chunk);
    if (!g.chunk) {
        return cvi_no_memory(err, (size_t)storage->n_chunks * sizeof *g.chunk);
    }
    cvs_status s = find_chunks(&g, err);
    if (s == CVS_OK && g.found < storage->n_chunks) {
        s = cvi_fail(err, CVS_E_FORMAT, "only %lld of %lld chunks of a data set are stored",
                     (long long)g.found, (long long)storage->n_chunks);
        s = cvi_at_offset(err, s, f->start + storage->address);
    }
    if (s == CVS_OK) { /* only now: everything that is declared is there */
        s = cvs_tensor_new(out, storage->type->dtype, storage->space->rank, storage->space->dim, err);
    }
    uint8_t *scratch = NULL;
    size_t bytes = 3 * (size_t)storage->chunk_bytes + 2 * 8 * H5_MAX_FILTERS;
    if (s == CVS_OK && storage->filters->n > 0) {
        scratch = cvi_malloc(bytes);
        s = scratch ? CVS_OK : cvi_no_memory(err, bytes);
    }
    if (s == CVS_OK) {
        s = join(&g, out->data, scratch, err);
    }
    cvi_free(scratch);
    cvi_free(g.chunk);
    return s;
}

/* SPDX-License-Identifier: MIT
 * hdf5_chunk.c - finds and joins the chunks of an HDF5 data set: B-trees of both versions, single chunk, implicit
 * index, fixed and extensible array. Every chunk must be there exactly once, and together they must not be larger than the file.
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

/* ---- arrays: a chunk's number counts in the grid of the largest shape that the data set may grow to ---- */

/* The element of an array, or the place in an implicit index, that holds a chunk: the dimension without end counts
 * first, the others in their order. With `back`, the other way round; -1: beyond the shape of today. */
static int64_t convert(const cvi_h5_chunked *s, int64_t from, bool back) {
    int rank = s->space->rank, order[CVS_MAX_RANK] = {0}, n = 0;
    int64_t largest[CVS_MAX_RANK] = {0}, at[CVS_MAX_RANK] = {0}, to = 0;
    int endless = -1;
    for (int k = 0; k < rank; k++) {
        int64_t limit = s->space->limit[k];
        largest[k] = limit < 0 ? s->grid[k] : limit / s->chunk[k] + (limit % s->chunk[k] != 0);
        endless = limit < 0 ? k : endless;
    }
    if (endless >= 0) {
        order[n++] = endless;
    }
    for (int k = 0; k < rank; k++) {
        if (k != endless) {
            order[n++] = k;
        }
    }
    for (int i = rank - 1; i >= 0; i--) {
        int k = back ? order[i] : i;
        int64_t radix = back ? largest[k] : s->grid[k];
        bool first = i == 0; /* the first counts on without end */
        at[k] = first || radix == 0 ? from : from % radix;
        from = first || radix == 0 ? 0 : from / radix;
        if (back && at[k] >= s->grid[k]) {
            return -1;
        }
    }
    for (int i = 0; i < rank; i++) {
        int k = back ? i : order[i];
        int64_t radix = back ? s->grid[k] : largest[k];
        if (!cvi_mul(to, radix, &to) || !cvi_add(to, at[k], &to)) {
            return -1;
        }
    }
    return to;
}

/* Elements [first, first + n) of an array, at c. */
static cvs_status read_elements(gather *g, cvi_h5_cursor *c, int64_t first, int64_t n, int entry,
                                cvs_error *err) {
    for (int64_t i = 0; i < n; i++) {
        int64_t address = cvi_h5_address(c), stored = g->s->chunk_bytes;
        uint32_t mask = 0;
        if (g->s->filters->n > 0) {
            uint64_t bytes = cvi_h5_uint(c, entry - g->f->offset_bytes - 4);
            stored = bytes > INT64_MAX ? -1 : (int64_t)bytes;
            mask = (uint32_t)cvi_h5_uint(c, 4);
        }
        CVI_TRY(cvi_h5_ok(c, "chunk array", err));
        int64_t index = address < 0 ? -1 : convert(g->s, first + i, true);
        if (index >= 0) {
            CVI_TRY(add_chunk(g, index, address, stored, mask, err));
        }
    }
    return CVS_OK;
}

static cvs_status does_not_fit(const gather *g, int64_t at, cvs_error *err) {
    cvs_status s = cvi_fail(err, CVS_E_FORMAT, "the array that lists a data set's chunks does not fit them");
    return cvi_at_offset(err, s, g->f->start + at);
}

/* Whether elements of `entry` bytes hold an address, and with filters a size and a mask. */
static bool entry_fits(const gather *g, int filtered, int entry) {
    int size_bytes = entry - g->f->offset_bytes - 4;
    return filtered == (g->s->filters->n > 0) &&
           (filtered ? size_bytes >= 1 && size_bytes <= 8 : entry == g->f->offset_bytes);
}

/* Pages of a block of n elements, each with a checksum of its own; those whose bit (of the bitmap at `bits`, from
 * number `bit` on) is clear were never written. */
static cvs_status read_pages(gather *g, int64_t at, int64_t first, int64_t n, int64_t page, int entry,
                             int64_t bits, int64_t bit, cvs_error *err) {
    const char *what = "chunk array";
    for (int64_t k = 0; k < n; k += page, bit++, at += page * entry + 4) {
        int64_t here = CVI_MIN(page, n - k);
        cvi_h5_cursor c;
        if (!(g->f->data[bits + bit / 8] & (0x80 >> bit % 8))) {
            continue;
        }
        CVI_TRY(cvi_h5_enter(g->f, at, here * entry, what, &c, err));
        CVI_TRY(cvi_h5_checksum(g->f, at, c.end, what, err));
        CVI_TRY(read_elements(g, &c, first + k, here, entry, err));
    }
    return CVS_OK;
}

static cvs_status read_fixed(gather *g, cvs_error *err) {
    const char *what = "chunk array";
    cvi_h5 *f = g->f;
    cvi_h5_cursor c;
    int64_t head = 8 + f->length_bytes + f->offset_bytes;
    CVI_TRY(cvi_h5_enter(f, g->s->address, head, what, &c, err));
    CVI_TRY(cvi_h5_signature(&c, "FAHD", what, err));
    int version = (int)cvi_h5_uint(&c, 1), filtered = (int)cvi_h5_uint(&c, 1);
    int entry = (int)cvi_h5_uint(&c, 1), page_bits = (int)cvi_h5_uint(&c, 1);
    int64_t n = cvi_h5_length(&c), block = cvi_h5_address(&c);
    CVI_TRY(cvi_h5_checksum(f, g->s->address, c.pos, what, err));
    if (version != 0 || page_bits > 31 || n < g->s->n_chunks || !entry_fits(g, filtered, entry) ||
        n > f->size / entry) {
        return does_not_fit(g, g->s->address, err);
    }
    int64_t page = (int64_t)1 << page_bits, pages = n > page ? (n + page - 1) / page : 0;
    int64_t prefix = 6 + f->offset_bytes + (pages ? (pages + 7) / 8 : n * entry);
    CVI_TRY(cvi_h5_enter(f, block, prefix, what, &c, err));
    CVI_TRY(cvi_h5_signature(&c, "FADB", what, err));
    CVI_TRY(cvi_h5_checksum(f, block, c.end, what, err));
    cvi_h5_skip(&c, 2 + f->offset_bytes);
    return pages ? read_pages(g, block + prefix + 4, 0, n, page, entry, c.pos, 0, err)
                 : read_elements(g, &c, 0, n, entry, err);
}

/* The header of an extensible array: some elements stand in its index block; then come groups ("super blocks") of data
 * blocks, group u having 2^(u/2) blocks of 2^((u+1)/2) * least elements. The index block knows the data blocks of the
 * first groups itself. */
typedef struct extensible {
    int entry, max_bits, offset_bytes;
    int64_t in_index, least, pointers, page;
    int groups, direct; /* all, and those that the index block knows */
    int64_t last;       /* the highest element that a chunk of the present shape has */
} extensible;

static cvs_status read_block(gather *g, const extensible *e, int64_t address, int64_t first, int64_t n,
                             int64_t bits, int64_t bit, cvs_error *err) {
    const char *what = "chunk array";
    bool paged = n > e->page;
    if (address < 0 || first > e->last) {
        return CVS_OK; /* nothing was written there */
    }
    int64_t prefix = 6 + g->f->offset_bytes + e->offset_bytes;
    cvi_h5_cursor c;
    CVI_TRY(cvi_h5_enter(g->f, address, prefix + (paged ? 0 : n * e->entry), what, &c, err));
    CVI_TRY(cvi_h5_signature(&c, "EADB", what, err));
    CVI_TRY(cvi_h5_checksum(g->f, address, c.end, what, err));
    cvi_h5_skip(&c, prefix - 4);
    if (!paged) {
        return read_elements(g, &c, first, n, e->entry, err);
    }
    return bits < 0 ? does_not_fit(g, address, err)
                    : read_pages(g, c.end + 4, first, n, e->page, e->entry, bits, bit, err);
}

/* The data blocks of one group, whose addresses stand at c; bits: the bitmap of their pages, or -1. */
static cvs_status read_blocks(gather *g, const extensible *e, cvi_h5_cursor *c, int group, int64_t first,
                              int64_t bits, cvs_error *err) {
    int64_t blocks = (int64_t)1 << group / 2, n = e->least << (group + 1) / 2;
    for (int64_t i = 0; i < blocks && first + i * n <= e->last; i++) {
        int64_t address = cvi_h5_address(c);
        CVI_TRY(cvi_h5_ok(c, "chunk array", err));
        CVI_TRY(read_block(g, e, address, first + i * n, n, bits, i * (n / e->page), err));
    }
    return CVS_OK;
}

static cvs_status read_group(gather *g, const extensible *e, int64_t address, int group, int64_t first,
                             cvs_error *err) {
    const char *what = "chunk array";
    int64_t blocks = (int64_t)1 << group / 2, n = e->least << (group + 1) / 2;
    int64_t bitmap = n > e->page ? blocks * ((n / e->page + 7) / 8) : 0;
    int64_t prefix = 6 + g->f->offset_bytes + e->offset_bytes;
    if (address < 0) {
        return CVS_OK;
    }
    cvi_h5_cursor c;
    CVI_TRY(cvi_h5_enter(g->f, address, prefix + bitmap + blocks * g->f->offset_bytes, what, &c, err));
    CVI_TRY(cvi_h5_signature(&c, "EASB", what, err));
    CVI_TRY(cvi_h5_checksum(g->f, address, c.end, what, err));
    cvi_h5_skip(&c, prefix - 4 + bitmap);
    return read_blocks(g, e, &c, group, first, bitmap ? address + prefix : -1, err);
}

static bool power_of_two(int64_t v) {
    return v > 0 && (v & (v - 1)) == 0;
}

static int log2_of(int64_t v) {
    int n = 0;
    while (v > 1) {
        v >>= 1;
        n++;
    }
    return n;
}

/* Everything behind the header; the index block is at `block`. */
static cvs_status read_index(gather *g, const extensible *e, int64_t block, cvs_error *err) {
    const char *what = "chunk array";
    cvi_h5 *f = g->f;
    int64_t addresses = 2 * (e->pointers - 1) + (e->groups - e->direct);
    cvi_h5_cursor c;
    CVI_TRY(cvi_h5_enter(f, block, 6 + f->offset_bytes + e->in_index * e->entry + addresses * f->offset_bytes,
                         what, &c, err));
    CVI_TRY(cvi_h5_signature(&c, "EAIB", what, err));
    CVI_TRY(cvi_h5_checksum(f, block, c.end, what, err));
    cvi_h5_skip(&c, 2 + f->offset_bytes);
    CVI_TRY(read_elements(g, &c, 0, e->in_index, e->entry, err));
    int64_t first = e->in_index;
    for (int u = 0; u < e->groups && first <= e->last; u++) {
        if (u < e->direct) {
            CVI_TRY(read_blocks(g, e, &c, u, first, -1, err));
        } else {
            int64_t address = cvi_h5_address(&c);
            CVI_TRY(cvi_h5_ok(&c, what, err));
            CVI_TRY(read_group(g, e, address, u, first, err));
        }
        first += e->least << (u / 2 + (u + 1) / 2);
    }
    return CVS_OK;
}

static cvs_status read_extensible(gather *g, cvs_error *err) {
    const char *what = "chunk array";
    cvi_h5 *f = g->f;
    int64_t at = g->s->address;
    cvi_h5_cursor c;
    CVI_TRY(cvi_h5_enter(f, at, 12 + 6 * f->length_bytes + f->offset_bytes, what, &c, err));
    CVI_TRY(cvi_h5_signature(&c, "EAHD", what, err));
    int version = (int)cvi_h5_uint(&c, 1), filtered = (int)cvi_h5_uint(&c, 1);
    extensible e = {.entry = (int)cvi_h5_uint(&c, 1), .max_bits = (int)cvi_h5_uint(&c, 1)};
    e.in_index = (int64_t)cvi_h5_uint(&c, 1);
    e.least = (int64_t)cvi_h5_uint(&c, 1);
    e.pointers = (int64_t)cvi_h5_uint(&c, 1);
    int page_bits = (int)cvi_h5_uint(&c, 1);
    cvi_h5_skip(&c, 6 * f->length_bytes);
    int64_t block = cvi_h5_address(&c);
    CVI_TRY(cvi_h5_checksum(f, at, c.pos, what, err));
    e.offset_bytes = (e.max_bits + 7) / 8;
    e.page = (int64_t)1 << CVI_MIN(page_bits, 31);
    e.last = convert(g->s, g->s->n_chunks - 1, false);
    if (version != 0 || page_bits > 31 || !entry_fits(g, filtered, e.entry) || !power_of_two(e.least) ||
        !power_of_two(e.pointers) || e.max_bits > 40 || e.max_bits < log2_of(e.least) || e.last < 0) {
        return does_not_fit(g, at, err);
    }
    e.groups = 1 + e.max_bits - log2_of(e.least);
    e.direct = 2 * log2_of(e.pointers);
    return e.groups < e.direct ? does_not_fit(g, at, err) : read_index(g, &e, block, err);
}

/* ---- version-2 B-tree ---- */

static cvs_status visit_chunk(void *context, int64_t pos, int64_t size, cvs_error *err) {
    gather *g = context;
    const cvi_h5_chunked *s = g->s;
    int rank = s->space->rank, size_bytes = (int)size - g->f->offset_bytes - 4 - 8 * rank;
    cvi_h5_cursor c = {.f = g->f, .pos = pos, .end = pos + size};
    int64_t address = cvi_h5_address(&c), stored = s->chunk_bytes, index = 0;
    uint32_t mask = 0;
    if (s->filters->n > 0) {
        uint64_t bytes = cvi_h5_uint(&c, size_bytes);
        stored = bytes > INT64_MAX ? -1 : (int64_t)bytes;
        mask = (uint32_t)cvi_h5_uint(&c, 4);
    }
    for (int k = 0; k < rank; k++) {
        uint64_t at = cvi_h5_uint(&c, 8);
        index = index >= 0 && at < (uint64_t)s->grid[k] ? index * s->grid[k] + (int64_t)at : -1;
    }
    CVI_TRY(cvi_h5_ok(&c, "B-tree node", err));
    return add_chunk(g, index, address, stored, mask, err);
}

static cvs_status read_tree_2(gather *g, cvs_error *err) {
    bool filtered = g->s->filters->n > 0;
    int least = g->f->offset_bytes + 8 * g->s->space->rank + (filtered ? 5 : 0);
    return cvi_h5_records(g->f, g->s->address, filtered ? 11 : 10, least, visit_chunk, g, err);
}

static cvs_status read_implicit(gather *g, cvs_error *err) {
    const cvi_h5_chunked *s = g->s;
    for (int64_t i = 0, at = 0; i < s->n_chunks; i++) {
        bool ok = cvi_mul(convert(s, i, false), s->chunk_bytes, &at) && cvi_add(at, s->address, &at);
        CVI_TRY(add_chunk(g, i, ok ? at : INT64_MAX, s->chunk_bytes, 0, err));
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
        return read_implicit(g, err);
    case 3:
        return read_fixed(g, err);
    case 4:
        return read_extensible(g, err);
    default:
        return read_tree_2(g, err);
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
    int64_t least = storage->index_type == 0 || storage->index_type >= 3 ? 2 : storage->chunk_bytes;
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

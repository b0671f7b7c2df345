/* SPDX-License-Identifier: MIT
 * hdf5_dense.c - version-2 B-trees: of chunks, and of dense links and attributes (written by newer HDF5 for more than eight of
 * them), where the tree lists objects of a fractal heap. Managed and tiny heap objects; huge ones and filtered heaps are refused.
 * "Row" below is a row of the heap's doubling table: rows 0 and 1 have blocks of the starting size, each further
 * row blocks twice as large.
 */
#include "formats/hdf5_internal.h"

typedef struct heap {
    cvi_h5 *f;
    int64_t address;
    int id_bytes, offset_bytes, length_bytes;
    int64_t width, start,
        max_direct; /* blocks in a row, bytes of the first and of the largest direct block */
    int64_t root;
    int root_rows; /* 0: the root is a direct block */
} heap;

typedef struct walk {
    cvi_h5 *f;
    heap heap; /* of dense links and attributes; records of chunks have none */
    int record_type, record_bytes;
    int64_t node_bytes, walked;
    cvi_h5_visit visit;
    void *context;
} walk;

static cvs_status damaged(const cvi_h5 *f, int64_t at, cvs_error *err) {
    cvs_status s = cvi_fail(err, CVS_E_FORMAT, "the fractal heap or its B-tree is damaged");
    return cvi_at_offset(err, s, f->start + at);
}

static int log2_of(int64_t v) {
    int n = 0;
    while (v > 1) {
        v >>= 1;
        n++;
    }
    return n;
}

/* Bytes that hold any number up to v. */
static int bytes_for(int64_t v) {
    return log2_of(v) / 8 + 1;
}

static bool power_of_two(int64_t v) {
    return v > 0 && (v & (v - 1)) == 0;
}

static cvs_status open_heap(cvi_h5 *f, int64_t address, heap *h, cvs_error *err) {
    const char *what = "fractal heap";
    int o = f->offset_bytes, l = f->length_bytes;
    cvi_h5_cursor c;
    CVI_TRY(cvi_h5_enter(f, address, 22 + 12 * l + 3 * o, what, &c, err));
    CVI_TRY(cvi_h5_signature(&c, "FRHP", what, err));
    int version = (int)cvi_h5_uint(&c, 1);
    *h = (heap){.f = f, .address = address, .id_bytes = (int)cvi_h5_uint(&c, 2)};
    int filters = (int)cvi_h5_uint(&c, 2);
    cvi_h5_skip(&c, 1);
    int64_t max_managed = (int64_t)cvi_h5_uint(&c, 4);
    cvi_h5_skip(&c, 10 * l + 2 * o);
    h->width = (int64_t)cvi_h5_uint(&c, 2);
    h->start = cvi_h5_length(&c);
    h->max_direct = cvi_h5_length(&c);
    int max_bits = (int)cvi_h5_uint(&c, 2);
    cvi_h5_skip(&c, 2);
    h->root = cvi_h5_address(&c);
    h->root_rows = (int)cvi_h5_uint(&c, 2);
    CVI_TRY(cvi_h5_ok(&c, what, err));
    if (version != 0 || filters) {
        return cvi_h5_version(what, version, address, f, err);
    }
    CVI_TRY(cvi_h5_checksum(f, address, c.pos, what, err));
    if (!power_of_two(h->width) || !power_of_two(h->start) || !power_of_two(h->max_direct) ||
        h->start > h->max_direct || h->max_direct > INT64_C(1) << 31 || max_bits < 1 || max_bits > 62 ||
        max_managed < 1 || h->root_rows > 64) {
        return damaged(f, address, err);
    }
    h->offset_bytes = (max_bits + 7) / 8;
    h->length_bytes = CVI_MIN((log2_of(h->max_direct) + 7) / 8, bytes_for(max_managed));
    return h->id_bytes < 1 + h->offset_bytes + h->length_bytes ? damaged(f, address, err) : CVS_OK;
}

/* Finds the direct block of a heap offset: its address and its bytes, and the offset within it. */
static cvs_status find_block(const heap *h, int64_t *offset, int64_t *block, int64_t *block_bytes,
                             cvs_error *err) {
    const char *what = "fractal heap block";
    int direct_rows = log2_of(h->max_direct / h->start) + 2;
    int64_t rows = h->root_rows, first = h->start * h->width;
    *block = h->root;
    *block_bytes = h->start;
    while (rows > 0) {
        int row = *offset < first ? 0 : log2_of(*offset / first) + 1;
        if (row >= rows) {
            return damaged(h->f, *block, err);
        }
        int64_t size = row < 2 ? h->start : h->start << (row - 1);
        int64_t column = (*offset - (row ? first << (row - 1) : 0)) / size;
        cvi_h5_cursor c;
        CVI_TRY(cvi_h5_enter(h->f, *block, 5, what, &c, err));
        CVI_TRY(cvi_h5_signature(&c, "FHIB", what, err));
        int64_t place = *block + 5 + h->f->offset_bytes + h->offset_bytes +
                        (row * h->width + column) * h->f->offset_bytes;
        CVI_TRY(cvi_h5_enter(h->f, place, h->f->offset_bytes, what, &c, err));
        *offset -= (row ? first << (row - 1) : 0) + column * size;
        *block = cvi_h5_address(&c);
        *block_bytes = size;
        rows = row < direct_rows ? 0 : log2_of(size) - log2_of(first) + 1;
    }
    return CVS_OK;
}

/* The bytes of one heap object, from its id. */
static cvs_status find_object(const heap *h, int64_t id, int64_t *pos, int64_t *size, cvs_error *err) {
    cvi_h5_cursor c = {.f = h->f, .pos = id, .end = id + h->id_bytes};
    int head = (int)cvi_h5_uint(&c, 1), kind = head >> 4 & 3;
    if (kind == 2) { /* tiny: the object stands in its own id */
        *pos = c.pos;
        *size = (head & 15) + 1;
        return *size < h->id_bytes ? CVS_OK : damaged(h->f, id, err);
    }
    if (kind != 0) {
        cvs_status s = cvi_fail(err, CVS_E_UNSUPPORTED, "huge objects of a fractal heap are not supported");
        return cvi_at_offset(err, s, h->f->start + id);
    }
    int64_t offset = (int64_t)cvi_h5_uint(&c, h->offset_bytes), block = 0, bytes = 0;
    *size = (int64_t)cvi_h5_uint(&c, h->length_bytes);
    if (c.bad || offset < 0) {
        return damaged(h->f, id, err);
    }
    CVI_TRY(find_block(h, &offset, &block, &bytes, err));
    CVI_TRY(cvi_h5_enter(h->f, block, 5, "fractal heap block", &c, err));
    CVI_TRY(cvi_h5_signature(&c, "FHDB", "fractal heap block", err));
    if (offset >= bytes || *size > bytes - offset) {
        return damaged(h->f, id, err);
    }
    *pos = block + offset;
    return cvi_h5_enter(h->f, *pos, *size, "fractal heap block", &c, err);
}

/* ---- version-2 B-tree ---- */

static cvs_status visit_record(walk *w, int64_t pos, cvs_error *err) {
    if (w->record_type == 10 || w->record_type == 11) {
        return w->visit(w->context, pos, w->record_bytes, err);
    }
    int64_t id = w->record_type == 5 ? pos + 4 : pos, object = 0, size = 0;
    if (w->record_type == 8 && w->heap.f->data[pos + w->heap.id_bytes] & 2) {
        cvs_status s =
            cvi_fail(err, CVS_E_UNSUPPORTED, "committed types and shared header messages are not supported");
        return cvi_at_offset(err, s, w->heap.f->start + pos);
    }
    CVI_TRY(find_object(&w->heap, id, &object, &size, err));
    return w->visit(w->context, object, size, err);
}

/* Bytes of the "number of records" and "total number of records" fields of pointers in a node of this depth. */
static void pointer_fields(const walk *w, int depth, int *records, int *total) {
    int64_t leaf = (w->node_bytes - 10) / w->record_bytes, cumulative = leaf;
    *records = bytes_for(leaf);
    *total = 0;
    for (int d = 1; d < depth; d++) { /* capacity of a node one level up */
        int64_t pointer = w->f->offset_bytes + *records + *total;
        int64_t n = (w->node_bytes - 10 - pointer) / (w->record_bytes + pointer);
        cumulative = CVI_MIN((n + 1) * cumulative + n, INT64_C(1) << 40);
        *total = bytes_for(cumulative);
    }
}

static cvs_status walk_node(walk *w, int64_t address, int64_t n, int depth, cvs_error *err) {
    const char *what = "B-tree node";
    cvi_h5 *f = w->f;
    int records = 0, total = 0;
    pointer_fields(w, depth, &records, &total);
    int64_t pointer = depth ? f->offset_bytes + records + total : 0;
    int64_t bytes = 6 + n * w->record_bytes + (depth ? n + 1 : 0) * pointer;
    cvi_h5_cursor c;
    CVI_TRY(cvi_h5_enter(f, address, bytes, what, &c, err));
    CVI_TRY(cvi_h5_signature(&c, depth ? "BTIN" : "BTLF", what, err));
    w->walked += bytes;
    if (w->walked > f->size || f->data[address + 5] != w->record_type) {
        return damaged(f, address, err);
    }
    CVI_TRY(cvi_h5_checksum(f, address, c.end, what, err));
    int64_t record = address + 6, child = record + n * w->record_bytes;
    for (int64_t i = 0; i < n; i++) {
        CVI_TRY(visit_record(w, record + i * w->record_bytes, err));
    }
    for (int64_t i = 0; depth && i <= n; i++) {
        c = (cvi_h5_cursor){.f = f, .pos = child + i * pointer, .end = child + (i + 1) * pointer};
        int64_t at = cvi_h5_address(&c), k = (int64_t)cvi_h5_uint(&c, records);
        CVI_TRY(walk_node(w, at, k, depth - 1, err));
    }
    return CVS_OK;
}

/* Reads the tree's header and visits its records; least = bytes that a record must have. */
static cvs_status walk_tree(walk *w, int64_t tree, int least, cvs_error *err) {
    const char *what = "B-tree header";
    cvi_h5 *f = w->f;
    cvi_h5_cursor c;
    CVI_TRY(cvi_h5_enter(f, tree, 18 + f->offset_bytes + f->length_bytes, what, &c, err));
    CVI_TRY(cvi_h5_signature(&c, "BTHD", what, err));
    int version = (int)cvi_h5_uint(&c, 1), type = (int)cvi_h5_uint(&c, 1);
    w->node_bytes = (int64_t)cvi_h5_uint(&c, 4);
    w->record_bytes = (int)cvi_h5_uint(&c, 2);
    int depth = (int)cvi_h5_uint(&c, 2);
    cvi_h5_skip(&c, 2);
    int64_t root = cvi_h5_address(&c), n = (int64_t)cvi_h5_uint(&c, 2);
    cvi_h5_length(&c);
    CVI_TRY(cvi_h5_ok(&c, what, err));
    if (version != 0) {
        return cvi_h5_version(what, version, tree, f, err);
    }
    CVI_TRY(cvi_h5_checksum(f, tree, c.pos, what, err));
    if (type != w->record_type || w->record_bytes < least || w->node_bytes < 64 || depth > 8) {
        return damaged(f, tree, err);
    }
    return root < 0 || n == 0 ? CVS_OK : walk_node(w, root, n, depth, err);
}

cvs_status cvi_h5_dense(cvi_h5 *f, int64_t heap_address, int64_t tree, int record_type, cvi_h5_visit visit,
                        void *context, cvs_error *err) {
    walk w = {.f = f, .visit = visit, .context = context, .record_type = record_type};
    CVI_TRY(open_heap(f, heap_address, &w.heap, err));
    return walk_tree(&w, tree, w.heap.id_bytes + (record_type == 5 ? 4 : 9), err);
}

cvs_status cvi_h5_records(cvi_h5 *f, int64_t tree, int record_type, int least, cvi_h5_visit visit,
                          void *context, cvs_error *err) {
    walk w = {.f = f, .visit = visit, .context = context, .record_type = record_type};
    return walk_tree(&w, tree, least, err);
}

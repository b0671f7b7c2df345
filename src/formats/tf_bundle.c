/* SPDX-License-Identifier: MIT
 * tf_bundle.c - the numbers of a checkpoint or SavedModel ("tensor bundle"): an index, which is a sorted string table of blocks (LevelDB's
 * format), and shards of raw bytes. The whole index is read once; shards are opened beneath the folder when first asked for. Checkpoints of
 * the first generation are such a table with the numbers inside (tf_slices.c).
 */
#include "formats/tf_bundle.h"

enum { FOOTER = 48, MAX_SHARDS = 1 << 12, MAX_KEY = 1 << 16 };

static const uint8_t magic[8] = {0x57, 0xfb, 0x80, 0x8b, 0x24, 0x75, 0x47, 0xdb};

typedef struct span {
    const uint8_t *at, *end;
} span;

static bool varint(span *s, uint64_t *out) {
    *out = 0;
    for (int shift = 0; shift < 64 && s->at < s->end; shift += 7) {
        uint8_t b = *s->at++;
        *out |= (uint64_t)(b & 127) << shift;
        if (!(b & 128)) {
            return true;
        }
    }
    return false;
}

static uint32_t u32(const uint8_t *p) {
    return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

cvs_status cvi_tf_bundle_damaged(cvs_error *err) {
    return cvi_fail(err, CVS_E_FORMAT, "the index of the weights is damaged");
}

/* The entries of the block that a handle (offset, size) names, without its restart points. */
static cvs_status open_block(const cvi_file *f, span *handle, span *out, uint64_t *read, cvs_error *err) {
    uint64_t offset = 0, size = 0;
    if (!varint(handle, &offset) || !varint(handle, &size) || offset > f->size || size > f->size - offset ||
        f->size - offset - size < 5 || size < 4) {
        return cvi_tf_bundle_damaged(err);
    }
    const uint8_t *p = f->data + offset;
    if (p[size] != 0) {
        return cvi_fail(err, CVS_E_UNSUPPORTED, "the index of the weights is compressed, which is not read");
    }
    uint64_t restarts = u32(p + size - 4);
    *read += size;
    if (restarts > (size - 4) / 4 || *read > f->size) { /* no block is named twice */
        return cvi_tf_bundle_damaged(err);
    }
    *out = (span){.at = p, .end = p + size - 4 - 4 * restarts};
    return CVS_OK;
}

typedef struct row {
    char *key; /* terminated */
    size_t room;
    size_t n;
    span value;
} row;

/* The next entry of a block; its key shares a beginning with the one before. */
static cvs_status next_row(span *block, row *r, cvs_error *err) {
    uint64_t shared = 0, more = 0, value = 0;
    if (!varint(block, &shared) || !varint(block, &more) || !varint(block, &value) || shared > r->n ||
        more > (uint64_t)(block->end - block->at) || value > (uint64_t)(block->end - block->at) - more ||
        shared + more >= r->room) {
        return cvi_tf_bundle_damaged(err);
    }
    memcpy(r->key + shared, block->at, more);
    r->n = (size_t)(shared + more);
    r->key[r->n] = '\0';
    r->value = (span){.at = block->at + more, .end = block->at + more + value};
    block->at = r->value.end;
    return CVS_OK;
}

cvs_status cvi_tf_bundle_shape(const cvi_pb *parent, const cvi_pb_field *field, cvs_tensor *t,
                               cvs_error *err) {
    cvi_pb p, d;
    cvi_pb_field f, g;
    CVI_TRY(cvi_pb_expect(parent, field, CVI_PB_BYTES, "a shape"));
    CVI_TRY(cvi_pb_enter(parent, &field->bytes, &p));
    TF_EACH(p, f) {
        if (f.number != 2) {
            continue;
        }
        CVI_TRY(cvi_pb_expect(&p, &f, CVI_PB_BYTES, "a dimension"));
        if (t->rank == CVS_MAX_RANK) {
            return cvi_fail(err, CVS_E_UNSUPPORTED, "a tensor of rank %d, at most %d is supported",
                            CVS_MAX_RANK + 1, CVS_MAX_RANK);
        }
        CVI_TRY(cvi_pb_enter(&p, &f.bytes, &d));
        int64_t *dim = &t->dim[t->rank++];
        TF_EACH(d, g) {
            *dim = g.number == 1 ? (int64_t)g.value : *dim;
        }
    }
    return CVS_OK;
}

cvs_status cvi_tf_bundle_add(tf_bundle *b, const char *key, size_t n, bundle_entry **out, cvs_error *err) {
    if (b->n == b->capacity) {
        int64_t capacity = CVI_MAX(64, 2 * b->capacity);
        bundle_entry *more = cvi_arena_alloc(b->model->arena, capacity, sizeof *more);
        if (!more) {
            return cvi_no_memory(err, (size_t)capacity * sizeof *more);
        }
        if (b->n > 0) {
            memcpy(more, b->entry, (size_t)b->n * sizeof *more);
        }
        b->entry = more;
        b->capacity = capacity;
    }
    bundle_entry *e = &b->entry[b->n];
    *e = (bundle_entry){.key = cvi_arena_strn(b->model->arena, key, n), .n_key = n};
    b->n += e->key != NULL;
    *out = e;
    return e->key ? CVS_OK : cvi_no_memory(err, n);
}

/* The row without a key: what kind of file it is. */
static cvs_status read_header(tf_bundle *b, const row *r, cvs_error *err) {
    cvi_pb p = cvi_pb_begin(r->value.at, (size_t)(r->value.end - r->value.at), 8, err);
    cvi_pb_field f;
    TF_EACH(p, f) {
        if (f.number == 1 && f.wire == CVI_PB_BYTES) {
            b->first_generation = true;
            return CVS_OK;
        }
        b->n_shards = f.number == 1 ? (int64_t)f.value : b->n_shards;
        b->big_endian |= f.number == 2 && f.value == 1;
    }
    return CVS_OK;
}

static cvs_status add_entry(tf_bundle *b, const row *r, cvs_error *err) {
    size_t size = (size_t)(r->value.end - r->value.at);
    cvi_pb p = cvi_pb_begin(r->value.at, size, 8, err);
    cvi_pb_field f;
    bundle_entry *e = NULL;
    CVI_TRY(r->n == 0 ? read_header(b, r, err) : CVS_OK);
    if (b->first_generation || r->n == 0) {
        return b->first_generation ? cvi_tf_first_row(b, r->value.at, size, err) : CVS_OK;
    }
    CVI_TRY(cvi_tf_bundle_add(b, r->key, r->n, &e, err));
    TF_EACH(p, f) {
        switch (f.number) {
        case 1:
            e->type = (int64_t)f.value;
            e->t.dtype = cvi_tf_type(e->type);
            break;
        case 2:
            CVI_TRY(cvi_tf_bundle_shape(&p, &f, &e->t, err));
            break;
        case 3:
            e->shard = (int64_t)f.value;
            break;
        case 4:
            e->offset = (int64_t)f.value;
            break;
        case 5:
            e->size = (int64_t)f.value;
            break;
        case 7:
            CVI_TRY(cvi_tf_slice_read(b, &p, &f, e, err));
            break;
        default:
            break;
        }
    }
    return CVS_OK;
}

bool cvi_tf_bundle_is(const void *data, size_t size) {
    return size >= FOOTER && memcmp((const uint8_t *)data + size - 8, magic, 8) == 0;
}

/* keys: two pieces of `room` bytes. */
static cvs_status read_index(tf_bundle *b, const cvi_file *f, char *keys, size_t room, cvs_error *err) {
    if (!cvi_tf_bundle_is(f->data, f->size)) {
        return cvi_tf_bundle_damaged(err);
    }
    span handle = {.at = f->data + f->size - FOOTER, .end = f->data + f->size - 8}, index, block;
    uint64_t skip = 0, read = 0;
    if (!varint(&handle, &skip) || !varint(&handle, &skip)) {
        return cvi_tf_bundle_damaged(err);
    }
    CVI_TRY(open_block(f, &handle, &index, &read, err));
    row outer = {.key = keys, .room = room};
    while (index.at < index.end) {
        CVI_TRY(next_row(&index, &outer, err));
        CVI_TRY(open_block(f, &outer.value, &block, &read, err));
        row r = {.key = keys + room, .room = room};
        while (block.at < block.end) {
            CVI_TRY(next_row(&block, &r, err));
            CVI_TRY(add_entry(b, &r, err));
        }
    }
    return CVS_OK;
}

cvs_status cvi_tf_bundle_parse(cvs_model *model, const void *data, size_t size, tf_bundle **out,
                               cvs_error *err) {
    const cvi_file f = {.data = data, .size = size};
    tf_bundle *b = cvi_arena_alloc(model->arena, 1, sizeof *b);
    size_t room = CVI_MIN(size + 1, (size_t)MAX_KEY); /* every byte of a key stands in the file */
    char *keys = cvi_arena_raw(model->arena, 2 * (int64_t)room);
    if (!b || !keys) {
        return cvi_no_memory(err, sizeof *b);
    }
    *b = (tf_bundle){.model = model, .folder = "", .prefix = ""};
    CVI_TRY(read_index(b, &f, keys, room, err));
    *out = b;
    if (b->first_generation) {
        cvi_tf_first_done(b);
        return CVS_OK;
    }
    if (b->n_shards < 1 || b->n_shards > MAX_SHARDS || b->big_endian) {
        return cvi_tf_bundle_damaged(err);
    }
    b->shard = cvi_arena_alloc(model->arena, b->n_shards, sizeof *b->shard);
    return b->shard ? CVS_OK : cvi_no_memory(err, 0);
}

/* The first generation has its numbers in the index: then that file stays. */
static cvs_status parse_and_keep(cvs_model *model, cvi_file *f, tf_bundle **out, cvs_error *err) {
    const void *data = f->data;
    size_t size = f->size;
    CVI_TRY(cvi_tf_bundle_parse(model, data, size, out, err));
    return (*out)->first_generation ? cvi_model_keep_file(model, f, err) : CVS_OK;
}

cvs_status cvi_tf_bundle_open(cvs_model *model, const char *folder, const char *prefix, tf_bundle **out,
                              cvs_error *err) {
    char *name = cvi_arena_printf(model->arena, "%s.index", prefix);
    const char *where = cvi_arena_strn(model->arena, folder, strlen(folder));
    const char *stem = cvi_arena_strn(model->arena, prefix, strlen(prefix));
    cvi_file f = {0};
    if (!name || !where || !stem) {
        return cvi_no_memory(err, 0);
    }
    CVI_TRY(cvi_at_file(err, cvi_file_read_beneath(folder, name, &model->limits, &f, err), name));
    cvs_status s = parse_and_keep(model, &f, out, err);
    cvi_file_close(&f);
    if (s == CVS_OK) {
        (*out)->folder = where;
        (*out)->prefix = stem;
    }
    return cvi_at_file(err, s, name);
}

static cvs_status open_shard(tf_bundle *b, int64_t k, cvs_error *err) {
    cvi_file file = {0};
    char name[300];
    if (k < 0 || k >= b->n_shards) {
        return cvi_tf_bundle_damaged(err);
    }
    if (b->shard[k].data) {
        return CVS_OK;
    }
    snprintf(name, sizeof name, "%.200s.data-%05lld-of-%05lld", b->prefix, (long long)k,
             (long long)b->n_shards);
    CVI_TRY(cvi_at_file(err, cvi_file_read_beneath(b->folder, name, &b->model->limits, &file, err), name));
    b->shard[k] = file;
    return cvi_model_keep_file(b->model, &file, err);
}

static int compare(const char *a, size_t n, const bundle_entry *e) {
    int c = memcmp(a, e->key, CVI_MIN(n, e->n_key));
    return c ? c : (n > e->n_key) - (n < e->n_key);
}

bundle_entry *cvi_tf_bundle_find(const tf_bundle *b, const char *key, size_t n) {
    int64_t low = 0, high = b->n - 1;
    while (low <= high) { /* the table is sorted; a file that is not only finds less */
        int64_t middle = low + (high - low) / 2;
        int c = compare(key, n, &b->entry[middle]);
        if (c == 0) {
            return &b->entry[middle];
        }
        low = c > 0 ? middle + 1 : low;
        high = c > 0 ? high : middle - 1;
    }
    return NULL;
}

cvs_status cvi_tf_bundle_bytes(tf_bundle *b, const bundle_entry *e, const uint8_t **out, cvs_error *err) {
    CVI_TRY(open_shard(b, e->shard, err));
    const cvi_file *f = &b->shard[e->shard];
    if (e->size < 0 || e->offset < 0 || e->offset > (int64_t)f->size ||
        e->size > (int64_t)f->size - e->offset) {
        return cvi_fail(err, CVS_E_FORMAT, "weight %.100s has %lld bytes at %lld of a file of %zu", e->key,
                        (long long)e->size, (long long)e->offset, f->size);
    }
    *out = f->data ? f->data + e->offset : NULL;
    return CVS_OK;
}

/* A tensor in one piece: borrowed from its shard where it is aligned. */
static cvs_status get_whole(tf_bundle *b, const bundle_entry *e, cvs_tensor *out, cvs_error *err) {
    const uint8_t *bytes = NULL;
    int64_t n = cvs_tensor_count(out), need = 0;
    CVI_TRY(cvi_tf_bundle_bytes(b, e, &bytes, err));
    if (n < 0 || !cvi_mul(n, (int64_t)cvs_dtype_size(out->dtype), &need) || need != e->size) {
        return cvi_fail(err, CVS_E_FORMAT, "weight %.100s has %lld bytes at %lld of a file of %zu", e->key,
                        (long long)e->size, (long long)e->offset, b->shard[e->shard].size);
    }
    out->bytes = (size_t)need;
    if ((uintptr_t)bytes % cvs_dtype_size(out->dtype) == 0 && need > 0) {
        union {
            const void *from;
            void *to;
        } borrow = {.from = bytes}; /* never written through */
        out->data = borrow.to;
        return CVS_OK;
    }
    out->data = cvi_arena_alloc(b->model->arena, CVI_MAX(need, 1), 1);
    if (!out->data) {
        return cvi_no_memory(err, (size_t)need);
    }
    if (need > 0) {
        memcpy(out->data, bytes, (size_t)need);
    }
    return CVS_OK;
}

cvs_status cvi_tf_bundle_get(tf_bundle *b, const char *key, cvs_tensor *out, bool *found, cvs_error *err) {
    const bundle_entry *e = cvi_tf_bundle_find(b, key, strlen(key));
    *found = false;
    if (!e || e->t.dtype == CVS_NONE || (!e->slice && b->first_generation)) {
        return CVS_OK;
    }
    *out = e->t;
    if (e->slice) {
        return cvi_tf_slices_join(b, e, out, found, err);
    }
    *found = true;
    return get_whole(b, e, out, err);
}

int64_t cvi_tf_bundle_count(const tf_bundle *b) {
    return b->n;
}

const char *cvi_tf_bundle_key(const tf_bundle *b, int64_t i) {
    const bundle_entry *e = &b->entry[i];
    return strlen(e->key) == e->n_key && e->t.dtype != CVS_NONE ? e->key : NULL;
}

/* One text: its length, a checksum of the length, and the text. */
cvs_status cvi_tf_bundle_text(tf_bundle *b, const char *key, cvi_pb_piece *out, cvs_error *err) {
    enum { TEXT = 7 };
    const bundle_entry *e = cvi_tf_bundle_find(b, key, strlen(key));
    const uint8_t *bytes = NULL;
    uint64_t length = 0;
    *out = (cvi_pb_piece){0};
    if (!e || b->first_generation || e->type != TEXT || e->t.rank != 0 || e->slice) {
        return CVS_OK;
    }
    CVI_TRY(cvi_tf_bundle_bytes(b, e, &bytes, err));
    span s = {.at = bytes, .end = bytes ? bytes + e->size : NULL};
    if (!bytes || !varint(&s, &length) || s.end - s.at < 4 || length != (uint64_t)(s.end - s.at - 4)) {
        return cvi_tf_bundle_damaged(err);
    }
    *out = (cvi_pb_piece){.data = s.at + 4, .size = (size_t)length};
    return CVS_OK;
}

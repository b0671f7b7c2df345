/* SPDX-License-Identifier: MIT
 * tf_bundle.c - the numbers of a SavedModel ("tensor bundle"): an index, which is a sorted string table of blocks (LevelDB's format), and
 * shards of raw bytes. The whole index is read once; shards are opened beneath the folder when first asked for.
 */
#include "formats/tf_graph.h"

enum { FOOTER = 48, MAX_SHARDS = 1 << 12, MAX_KEY = 1 << 16 };

typedef struct bundle_entry {
    const char *key;
    cvs_tensor t; /* without data */
    int64_t shard, offset, size;
    bool sliced;
} bundle_entry;

struct tf_bundle {
    cvs_model *model;
    const char *folder, *prefix;
    bundle_entry *entry;
    int64_t n, capacity, n_shards;
    cvi_file *shard; /* kept here too: the model closes them */
    bool big_endian;
};

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

static cvs_status damaged(cvs_error *err) {
    return cvi_fail(err, CVS_E_FORMAT, "the index of the weights is damaged");
}

/* The entries of the block that a handle (offset, size) names, without its restart points. */
static cvs_status open_block(const cvi_file *f, span *handle, span *out, cvs_error *err) {
    uint64_t offset = 0, size = 0;
    if (!varint(handle, &offset) || !varint(handle, &size) || offset > f->size || size > f->size - offset ||
        f->size - offset - size < 5 || size < 4) {
        return damaged(err);
    }
    const uint8_t *p = f->data + offset;
    if (p[size] != 0) {
        return cvi_fail(err, CVS_E_UNSUPPORTED, "the index of the weights is compressed, which is not read");
    }
    uint64_t restarts = u32(p + size - 4);
    if (restarts > (size - 4) / 4) {
        return damaged(err);
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
        return damaged(err);
    }
    memcpy(r->key + shared, block->at, more);
    r->n = (size_t)(shared + more);
    r->key[r->n] = '\0';
    r->value = (span){.at = block->at + more, .end = block->at + more + value};
    block->at = r->value.end;
    return CVS_OK;
}

static cvs_status read_dims(const cvi_pb *parent, const cvi_pb_field *field, bundle_entry *e,
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
        if (e->t.rank == CVS_MAX_RANK) {
            return cvi_fail(err, CVS_E_UNSUPPORTED, "a tensor of rank %d, at most %d is supported",
                            CVS_MAX_RANK + 1, CVS_MAX_RANK);
        }
        CVI_TRY(cvi_pb_enter(&p, &f.bytes, &d));
        int64_t *dim = &e->t.dim[e->t.rank++];
        TF_EACH(d, g) {
            *dim = g.number == 1 ? (int64_t)g.value : *dim;
        }
    }
    return CVS_OK;
}

static cvs_status add_entry(tf_bundle *b, const row *r, cvs_error *err) {
    cvi_pb p = cvi_pb_begin(r->value.at, (size_t)(r->value.end - r->value.at), 8, err);
    cvi_pb_field f;
    if (r->n == 0) { /* the header */
        TF_EACH(p, f) {
            b->n_shards = f.number == 1 ? (int64_t)f.value : b->n_shards;
            b->big_endian |= f.number == 2 && f.value == 1;
        }
        return CVS_OK;
    }
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
    *e = (bundle_entry){.key = cvi_arena_strn(b->model->arena, r->key, r->n)};
    if (!e->key) {
        return cvi_no_memory(err, r->n);
    }
    TF_EACH(p, f) {
        switch (f.number) {
        case 1:
            e->t.dtype = cvi_tf_type((int64_t)f.value);
            break;
        case 2:
            CVI_TRY(read_dims(&p, &f, e, err));
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
        default:
            e->sliced |= f.number == 7;
        }
    }
    b->n++;
    return CVS_OK;
}

/* keys: two pieces of `room` bytes. */
static cvs_status read_index(tf_bundle *b, const cvi_file *f, char *keys, size_t room, cvs_error *err) {
    static const uint8_t magic[8] = {0x57, 0xfb, 0x80, 0x8b, 0x24, 0x75, 0x47, 0xdb};
    if (f->size < FOOTER || memcmp(f->data + f->size - 8, magic, 8) != 0) {
        return damaged(err);
    }
    span handle = {.at = f->data + f->size - FOOTER, .end = f->data + f->size - 8}, index, block;
    uint64_t skip = 0;
    if (!varint(&handle, &skip) || !varint(&handle, &skip)) {
        return damaged(err);
    }
    CVI_TRY(open_block(f, &handle, &index, err));
    row outer = {.key = keys, .room = room};
    while (index.at < index.end) {
        CVI_TRY(next_row(&index, &outer, err));
        CVI_TRY(open_block(f, &outer.value, &block, err));
        row r = {.key = keys + room, .room = room};
        while (block.at < block.end) {
            CVI_TRY(next_row(&block, &r, err));
            CVI_TRY(add_entry(b, &r, err));
        }
        if (b->n > 1 << 22) { /* blocks may be named more than once */
            return damaged(err);
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
    if (b->n_shards < 1 || b->n_shards > MAX_SHARDS || b->big_endian) {
        return damaged(err);
    }
    b->shard = cvi_arena_alloc(model->arena, b->n_shards, sizeof *b->shard);
    *out = b;
    return b->shard ? CVS_OK : cvi_no_memory(err, 0);
}

cvs_status cvi_tf_bundle_open(cvs_model *model, const char *folder, const char *prefix, tf_bundle **out,
                              cvs_error *err) {
    char *name = cvi_arena_printf(model->arena, "%s.index", prefix);
    const char *where = cvi_arena_strn(model->arena, folder, strlen(folder));
    cvi_file f = {0};
    if (!name || !where) {
        return cvi_no_memory(err, 0);
    }
    CVI_TRY(cvi_at_file(err, cvi_file_read_beneath(folder, name, &model->limits, &f, err), name));
    cvs_status s = cvi_tf_bundle_parse(model, f.data, f.size, out, err);
    cvi_file_close(&f);
    if (s == CVS_OK) {
        (*out)->folder = where;
        (*out)->prefix = prefix;
    }
    return cvi_at_file(err, s, name);
}

static cvs_status open_shard(tf_bundle *b, int64_t k, cvs_error *err) {
    cvi_file file = {0};
    char name[300];
    if (k < 0 || k >= b->n_shards) {
        return damaged(err);
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

cvs_status cvi_tf_bundle_get(tf_bundle *b, const char *key, cvs_tensor *out, bool *found, cvs_error *err) {
    const bundle_entry *e = NULL;
    int64_t low = 0, high = b->n - 1, need = 0;
    *found = false;
    while (low <= high && !e) { /* the table is sorted; a file that is not only finds less */
        int64_t middle = low + (high - low) / 2;
        int c = strcmp(key, b->entry[middle].key);
        e = c == 0 ? &b->entry[middle] : NULL;
        low = c > 0 ? middle + 1 : low;
        high = c > 0 ? high : middle - 1;
    }
    if (!e || e->t.dtype == CVS_NONE || e->sliced) {
        return CVS_OK;
    }
    *out = e->t;
    int64_t n = cvs_tensor_count(out);
    CVI_TRY(open_shard(b, e->shard, err));
    const cvi_file *f = &b->shard[e->shard];
    if (n < 0 || !cvi_mul(n, (int64_t)cvs_dtype_size(out->dtype), &need) || need != e->size ||
        e->offset < 0 || e->offset > (int64_t)f->size || need > (int64_t)f->size - e->offset) {
        return cvi_fail(err, CVS_E_FORMAT, "weight %.100s has %lld bytes at %lld of a file of %zu", key,
                        (long long)e->size, (long long)e->offset, f->size);
    }
    const uint8_t *bytes = f->data + e->offset;
    out->bytes = (size_t)need;
    *found = true;
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
    memcpy(out->data, bytes, (size_t)need);
    return CVS_OK;
}

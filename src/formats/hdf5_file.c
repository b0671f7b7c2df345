/* SPDX-License-Identifier: MIT
 * hdf5_file.c - opens an HDF5 file: superblock (versions 0 to 3), bounded cursor, checksums, object headers of
 * version 1 and 2 with their continuation blocks.
 */
#include "formats/hdf5_internal.h"

#include <stdlib.h>

static const uint8_t magic[8] = {0x89, 'H', 'D', 'F', 0x0D, 0x0A, 0x1A, 0x0A};

/* The superblock's place: 0, or a power of two from 512 on (a user block may stand before it); -1: none. */
static int64_t find_magic(const uint8_t *data, size_t size) {
    for (size_t at = 0; size >= 8 && at <= size - 8; at = at ? at * 2 : 512) {
        if (memcmp(data + at, magic, 8) == 0) {
            return (int64_t)at;
        }
        if (at > SIZE_MAX / 4) {
            break;
        }
    }
    return -1;
}

bool cvi_h5_is(const void *data, size_t size) {
    return find_magic(data, size) >= 0;
}

/* The name of a structure in the error's language. */
static const char *name_of(const cvs_error *err, const char *what) {
    return cvi_tr(err ? err->lang : CVS_EN, what);
}

cvs_status cvi_h5_version(const char *what, int version, int64_t at, const cvi_h5 *f, cvs_error *err) {
    cvs_status s = cvi_fail(err, CVS_E_UNSUPPORTED, "version %d of the %s is not supported", version,
                            name_of(err, what));
    return cvi_at_offset(err, s, f->start + at);
}

/* ---- cursor ---- */

cvs_status cvi_h5_enter(cvi_h5 *f, int64_t address, int64_t bytes, const char *what, cvi_h5_cursor *out,
                        cvs_error *err) {
    int64_t end = 0;
    if (address < 0 || bytes < 0 || !cvi_add(address, bytes, &end) || end > f->size) {
        cvs_status s = cvi_fail(err, CVS_E_FORMAT, "the %s lies outside the file, which has %lld bytes",
                                name_of(err, what), (long long)(f->size + f->start));
        return address < 0 || address > f->size ? s : cvi_at_offset(err, s, f->start + address);
    }
    f->work -= bytes + 16;
    if (f->work < 0) {
        cvs_status s =
            cvi_fail(err, CVS_E_LIMIT, "the structures of this HDF5 file refer to each other in circles");
        return cvi_at_offset(err, s, f->start + address);
    }
    *out = (cvi_h5_cursor){.f = f, .pos = address, .end = end};
    return CVS_OK;
}

uint64_t cvi_h5_uint(cvi_h5_cursor *c, int bytes) {
    if (c->bad || bytes < 0 || bytes > 8 || c->end - c->pos < bytes) {
        c->bad = true;
        return 0;
    }
    uint64_t v = 0;
    for (int i = bytes - 1; i >= 0; i--) {
        v = v << 8 | c->f->data[c->pos + i];
    }
    c->pos += bytes;
    return v;
}

/* An all-ones number means "undefined"; anything above 2^63 cannot be in a file and is taken as that too. */
static int64_t read_place(cvi_h5_cursor *c, int bytes) {
    uint64_t v = cvi_h5_uint(c, bytes);
    uint64_t ones = bytes == 8 ? UINT64_MAX : ((uint64_t)1 << (8 * bytes)) - 1;
    return v == ones || v > INT64_MAX ? -1 : (int64_t)v;
}

int64_t cvi_h5_address(cvi_h5_cursor *c) {
    return read_place(c, c->f->offset_bytes);
}

int64_t cvi_h5_length(cvi_h5_cursor *c) {
    return read_place(c, c->f->length_bytes);
}

void cvi_h5_skip(cvi_h5_cursor *c, int64_t bytes) {
    if (c->bad || bytes < 0 || bytes > c->end - c->pos) {
        c->bad = true;
    } else {
        c->pos += bytes;
    }
}

cvs_status cvi_h5_ok(const cvi_h5_cursor *c, const char *what, cvs_error *err) {
    if (!c->bad) {
        return CVS_OK;
    }
    cvs_status s = cvi_fail(err, CVS_E_FORMAT, "the %s is cut short", name_of(err, what));
    return cvi_at_offset(err, s, c->f->start + c->pos);
}

cvs_status cvi_h5_signature(cvi_h5_cursor *c, const char *letters, const char *what, cvs_error *err) {
    if (c->end - c->pos < 4 || memcmp(c->f->data + c->pos, letters, 4) != 0) {
        cvs_status s =
            cvi_fail(err, CVS_E_FORMAT, "here should be the %s (letters %s)", name_of(err, what), letters);
        return cvi_at_offset(err, s, c->f->start + c->pos);
    }
    c->pos += 4;
    return CVS_OK;
}

/* ---- checksum: Bob Jenkins' lookup3 (hashlittle, public domain), as the format prescribes ---- */

static uint32_t rotate(uint32_t x, int k) {
    return x << k | x >> (32 - k);
}

static void mix(uint32_t v[3]) {
    static const int by[6] = {4, 6, 8, 16, 19, 4};
    for (int i = 0; i < 6; i++) {
        uint32_t *a = &v[i % 3], *b = &v[(i + 1) % 3], *c = &v[(i + 2) % 3];
        *a -= *c;
        *a ^= rotate(*c, by[i]);
        *c += *b;
    }
}

static void finish(uint32_t v[3]) {
    static const int by[7] = {14, 11, 25, 16, 4, 14, 24};
    for (int i = 0; i < 7; i++) {
        uint32_t *x = &v[(i + 2) % 3], *y = &v[(i + 1) % 3];
        *x ^= *y;
        *x -= rotate(*y, by[i]);
    }
}

static uint32_t lookup3(const uint8_t *p, int64_t n) {
    uint32_t v[3];
    v[0] = v[1] = v[2] = 0xdeadbeefu + (uint32_t)n;
    while (n > 0) {
        int64_t part = CVI_MIN(n, 12);
        for (int64_t i = 0; i < part; i++) {
            v[i / 4] += (uint32_t)p[i] << (8 * (i % 4));
        }
        p += part;
        n -= part;
        if (n > 0) {
            mix(v);
        } else {
            finish(v);
        }
    }
    return v[2];
}

cvs_status cvi_h5_checksum(const cvi_h5 *f, int64_t begin, int64_t end, const char *what, cvs_error *err) {
#ifndef FUZZING_BUILD_MODE_UNSAFE_FOR_PRODUCTION
    cvi_h5_cursor c = {.f = f, .pos = end, .end = f->size};
    uint32_t stored = (uint32_t)cvi_h5_uint(&c, 4);
    CVI_TRY(cvi_h5_ok(&c, what, err));
    if (lookup3(f->data + begin, end - begin) != stored) {
        cvs_status s = cvi_fail(err, CVS_E_FORMAT, "the checksum of the %s is wrong: the file is damaged",
                                name_of(err, what));
        return cvi_at_offset(err, s, f->start + begin);
    }
#else
    (void)f, (void)begin, (void)end, (void)what, (void)err, (void)lookup3;
#endif
    return CVS_OK;
}

/* ---- superblock ---- */

static cvs_status check_widths(cvi_h5 *f, cvs_error *err) {
    for (int i = 0; i < 2; i++) {
        int w = i ? f->length_bytes : f->offset_bytes;
        if (w != 2 && w != 4 && w != 8) {
            cvs_status s =
                cvi_fail(err, CVS_E_FORMAT, "HDF5 superblock: addresses of %d bytes are not possible", w);
            return cvi_at_offset(err, s, f->start + 8);
        }
    }
    return CVS_OK;
}

static cvs_status read_superblock(cvi_h5 *f, cvs_error *err) {
    const char *what = "superblock";
    cvi_h5_cursor c;
    CVI_TRY(cvi_h5_enter(f, 0, CVI_MIN(f->size, 128), what, &c, err));
    cvi_h5_skip(&c, 8);
    int version = (int)cvi_h5_uint(&c, 1);
    if (version > 3) {
        return cvi_h5_version(what, version, 8, f, err);
    }
    cvi_h5_skip(&c, version < 2 ? 4 : 0);
    f->offset_bytes = (int)cvi_h5_uint(&c, 1);
    f->length_bytes = (int)cvi_h5_uint(&c, 1);
    CVI_TRY(cvi_h5_ok(&c, what, err));
    CVI_TRY(check_widths(f, err));
    /* reserved, two tree sizes, flags; version 1 has one more tree size; then the base address and another one */
    cvi_h5_skip(&c, version < 2 ? 1 + 4 + 4 + (version == 1 ? 4 : 0) : 1);
    cvi_h5_skip(&c, 2 * f->offset_bytes);
    f->whole = cvi_h5_address(&c);
    if (version < 2) {
        cvi_h5_skip(&c, f->offset_bytes);
        cvi_h5_address(&c); /* name of the root's symbol table entry */
    }
    f->root = cvi_h5_address(&c);
    CVI_TRY(cvi_h5_ok(&c, what, err));
    return version < 2 ? CVS_OK : cvi_h5_checksum(f, 0, c.pos, what, err);
}

cvs_status cvi_h5_open(const void *data, size_t size, const cvs_limits *limits, cvi_h5 **out,
                       cvs_error *err) {
    *out = NULL;
    int64_t at = find_magic(data, size);
    if (at < 0) {
        return cvi_fail(err, CVS_E_FORMAT, "this is no HDF5 file: it lacks the signature");
    }
    cvs_limits l = cvs_limits_default(limits);
    cvi_h5 *f = cvi_calloc(1, sizeof *f);
    if (!f) {
        return cvi_no_memory(err, sizeof *f);
    }
    f->data = (const uint8_t *)data + at;
    f->size = (int64_t)size - at;
    f->start = at;
    f->max_memory = l.max_memory_bytes;
    f->max_name = l.max_name_bytes;
    f->work = INT64_C(256) * 1024 * 1024 + (f->size < INT64_MAX / 64 ? 16 * f->size : 0);
    f->arena = cvi_arena_new(CVI_MIN(l.max_memory_bytes, INT64_C(64) * 1024 * 1024 + f->size / 2 * 8));
    cvs_status s = f->arena ? read_superblock(f, err) : cvi_no_memory(err, sizeof *f);
    if (s != CVS_OK) {
        cvi_h5_close(f);
        return s;
    }
    *out = f;
    return CVS_OK;
}

cvs_status cvi_h5_complete(const cvi_h5 *f, cvs_error *err) {
    int64_t size = f->start + f->size;
    return f->whole <= size
               ? CVS_OK
               : cvi_fail(err, CVS_E_FORMAT,
                          "the file has %lld bytes and says that it has %lld: its end is missing",
                          (long long)size, (long long)f->whole);
}

void cvi_h5_close(cvi_h5 *f) {
    if (f) {
        cvi_arena_free(f->arena);
        cvi_free(f);
    }
}

int64_t cvi_h5_root(const cvi_h5 *f) {
    return f->root;
}

/* ---- object headers ---- */

typedef struct header {
    cvi_h5 *f;
    int version;
    int64_t left;   /* messages still expected (version 1) */
    bool has_order; /* version 2: a creation order in every message */
    int64_t bytes;  /* of all blocks: more than the file holds means a circle */
    cvi_h5_message *m;
    int64_t n, capacity;
    int64_t next; /* first message not yet looked at for a continuation */
} header;

static cvs_status add_message(header *h, cvi_h5_message m, cvs_error *err) {
    if (h->n == h->capacity) {
        int64_t capacity = h->capacity ? 2 * h->capacity : 16;
        cvi_h5_message *grown = cvi_arena_alloc(h->f->arena, capacity, sizeof *grown);
        if (!grown) {
            return cvi_no_memory(err, (size_t)capacity * sizeof *grown);
        }
        if (h->n > 0) {
            memcpy(grown, h->m, (size_t)h->n * sizeof *grown);
        }
        h->m = grown;
        h->capacity = capacity;
    }
    h->m[h->n++] = m;
    return CVS_OK;
}

/* Collects the messages of one block of a header. */
static cvs_status read_block(header *h, cvi_h5_cursor *c, cvs_error *err) {
    int prefix = h->version == 1 ? 8 : h->has_order ? 6 : 4;
    while (c->end - c->pos >= prefix && (h->version == 2 || h->left > 0)) {
        cvi_h5_message m = {0};
        int64_t at = c->pos;
        m.type = (int)cvi_h5_uint(c, h->version == 1 ? 2 : 1);
        m.size = (int64_t)cvi_h5_uint(c, 2);
        m.flags = (int)cvi_h5_uint(c, 1);
        cvi_h5_skip(c, prefix - (h->version == 1 ? 5 : 4));
        m.pos = c->pos;
        if (m.size > c->end - c->pos) {
            cvs_status s =
                cvi_fail(err, CVS_E_FORMAT, "a message of %lld bytes does not fit in its object header",
                         (long long)m.size);
            return cvi_at_offset(err, s, c->f->start + at);
        }
        cvi_h5_skip(c, m.size);
        h->left--;
        CVI_TRY(add_message(h, m, err));
    }
    return CVS_OK;
}

static cvs_status enter_block(header *h, int64_t address, int64_t bytes, cvi_h5_cursor *c, cvs_error *err) {
    CVI_TRY(cvi_h5_enter(h->f, address, bytes, "object header", c, err));
    h->bytes += CVI_MAX(bytes, 1);
    if (h->bytes > h->f->size) {
        cvs_status s =
            cvi_fail(err, CVS_E_FORMAT, "the blocks of an object header refer to each other in a circle");
        return cvi_at_offset(err, s, h->f->start + address);
    }
    return CVS_OK;
}

static cvs_status read_first_block(header *h, int64_t address, cvs_error *err) {
    const char *what = "object header";
    cvi_h5 *f = h->f;
    cvi_h5_cursor c;
    CVI_TRY(cvi_h5_enter(f, address, address >= 0 ? CVI_MIN(64, f->size - address) : 0, what, &c, err));
    if (c.end - c.pos >= 4 && memcmp(f->data + c.pos, "OHDR", 4) == 0) {
        h->version = 2;
        cvi_h5_skip(&c, 4);
        int version = (int)cvi_h5_uint(&c, 1), flags = (int)cvi_h5_uint(&c, 1);
        if (version != 2) {
            return cvi_h5_version(what, version, address + 4, f, err);
        }
        h->has_order = flags & 4;
        cvi_h5_skip(&c, (flags & 32 ? 16 : 0) + (flags & 16 ? 4 : 0));
        uint64_t bytes = cvi_h5_uint(&c, 1 << (flags & 3));
        CVI_TRY(cvi_h5_ok(&c, what, err));
        int64_t begin = c.pos;
        CVI_TRY(enter_block(h, begin, bytes > INT64_MAX ? INT64_MAX : (int64_t)bytes, &c, err));
        CVI_TRY(cvi_h5_checksum(f, address, c.end, what, err));
        return read_block(h, &c, err);
    }
    h->version = (int)cvi_h5_uint(&c, 1);
    if (h->version != 1) {
        cvs_status s = cvi_fail(err, CVS_E_FORMAT, "here should be an object header");
        return cvi_at_offset(err, s, f->start + address);
    }
    cvi_h5_skip(&c, 1);
    h->left = (int64_t)cvi_h5_uint(&c, 2);
    cvi_h5_skip(&c, 4);
    int64_t bytes = (int64_t)cvi_h5_uint(&c, 4);
    CVI_TRY(cvi_h5_ok(&c, what, err));
    CVI_TRY(enter_block(h, address + 16, bytes, &c, err));
    return read_block(h, &c, err);
}

static cvs_status read_continuation(header *h, const cvi_h5_message *m, cvs_error *err) {
    const char *what = "object header continuation";
    cvi_h5_cursor c = {.f = h->f, .pos = m->pos, .end = m->pos + m->size};
    int64_t address = cvi_h5_address(&c), bytes = cvi_h5_length(&c);
    CVI_TRY(cvi_h5_ok(&c, what, err));
    CVI_TRY(enter_block(h, address, bytes, &c, err));
    if (h->version == 2) {
        CVI_TRY(cvi_h5_signature(&c, "OCHK", what, err));
        c.end -= 4;
        if (c.end < c.pos) {
            c.bad = true;
            return cvi_h5_ok(&c, what, err);
        }
        CVI_TRY(cvi_h5_checksum(h->f, address, c.end, what, err));
    }
    return read_block(h, &c, err);
}

cvs_status cvi_h5_messages(cvi_h5 *f, int64_t object, cvi_h5_message **out, int64_t *n, cvs_error *err) {
    header h = {.f = f};
    CVI_TRY(read_first_block(&h, object, err));
    for (int64_t i = 0; i < h.n; i++) {
        if (h.m[i].type == H5_CONTINUATION) {
            cvi_h5_message m = h.m[i];
            CVI_TRY(read_continuation(&h, &m, err));
        }
    }
    *out = h.m;
    *n = h.n;
    return CVS_OK;
}

cvs_status cvi_h5_one(const cvi_h5 *f, const cvi_h5_message *m, int64_t n, int type,
                      const cvi_h5_message **out, cvs_error *err) {
    *out = NULL;
    for (int64_t i = 0; i < n && !*out; i++) {
        if (m[i].type == type) {
            *out = &m[i];
        }
    }
    if (*out && (*out)->flags & 2) {
        cvs_status s =
            cvi_fail(err, CVS_E_UNSUPPORTED, "committed types and shared header messages are not supported");
        return cvi_at_offset(err, s, f->start + (*out)->pos);
    }
    return CVS_OK;
}

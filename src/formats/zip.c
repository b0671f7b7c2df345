/* SPDX-License-Identifier: MIT
 * zip.c - the zip reader; see zip.h. Written from PKWARE's APPNOTE 6.3: end record, zip64 end record, directory, local headers.
 * Everything is checked when the archive is opened, so that reading an entry can only meet a damaged deflate stream.
 */
#include "formats/zip.h"

#include <stdlib.h>
#include <zlib.h>

enum {
    LOCAL = 0x04034b50,
    CENTRAL = 0x02014b50,
    END = 0x06054b50,
    END64 = 0x06064b50,
    LOCATOR = 0x07064b50,
    DESCRIPTOR = 0x08074b50,
    LOCAL_SIZE = 30,
    CENTRAL_SIZE = 46,
    END_SIZE = 22,
    END64_SIZE = 56,
    LOCATOR_SIZE = 20,
    MAX_DESCRIPTOR = 24,
    FLAG_ENCRYPTED = 1,
    FLAG_DESCRIPTOR = 8,
    FLAG_HIDDEN = 0x2040, /* strong encryption, masked headers */
    EXTRA_ZIP64 = 1
};
#define MAX_ENTRIES ((int64_t)1 << 20)
/* Deflate cannot do better than 1032 to 1. Weights that are mostly zero come near it, so a strict ratio only bounds large entries. */
#define MAX_RATIO   1040
#define LARGE       ((int64_t)64 << 20)
#define LARGE_RATIO 200

struct cvi_zip {
    const uint8_t *bytes;
    int64_t size;
    cvi_arena *arena;
    int n;
    cvi_zip_entry *entry;
    const cvi_zip_entry **by_name;
    int64_t budget; /* bytes that may still be inflated */
    int64_t max_name;
    bool behind;    /* other bytes come first, up to the first entry */
    cvs_error *err; /* while opening */
};

static uint32_t u16(const uint8_t *p) {
    return (uint32_t)p[0] | (uint32_t)p[1] << 8;
}

static uint32_t u32(const uint8_t *p) {
    return u16(p) | u16(p + 2) << 16;
}

static uint64_t u64(const uint8_t *p) {
    return u32(p) | (uint64_t)u32(p + 4) << 32;
}

bool cvi_zip_is(const void *data, size_t size) {
    return size >= END_SIZE && u32(data) == LOCAL;
}

static cvs_status at(const cvi_zip *z, int64_t offset, cvs_status s) {
    return cvi_at_offset(z->err, s, offset);
}

static cvs_status cut(const cvi_zip *z, int64_t offset) {
    return at(z, offset, cvi_fail(z->err, CVS_E_FORMAT, "the zip archive is cut off or damaged"));
}

/* ---- the end of the file: where the directory is --------------------------------------------------------- */

typedef struct place {
    int64_t n, bytes, offset, end; /* end: first byte behind the directory */
} place;

/* The end record: the one whose comment ends with the file. Two of them would be two archives in one. */
static cvs_status find_end(const cvi_zip *z, int64_t *found) {
    int64_t first = CVI_MAX(z->size - END_SIZE - 0xFFFF, 0);
    *found = -1;
    const uint8_t *from = z->bytes + first, *p;
    for (int64_t n = z->size - END_SIZE + 1 - first; n > 0 && (p = memrchr(from, END & 0xFF, (size_t)n));
         n = p - from) {
        int64_t i = p - z->bytes;
        if (u32(p) != END || u16(p + 20) != z->size - i - END_SIZE) {
            continue;
        }
        if (*found >= 0) {
            return at(z, i, cvi_fail(z->err, CVS_E_FORMAT, "the zip archive has two ends"));
        }
        *found = i;
    }
    return *found >= 0 ? CVS_OK
                       : cvi_fail(z->err, CVS_E_FORMAT,
                                  "the zip archive has no end: it is cut off, or bytes follow it");
}

/* A number beyond every file stays too large as a signed one. */
static int64_t bounded(uint64_t v) {
    return v > INT64_MAX ? INT64_MAX : (int64_t)v;
}

static cvs_status find_directory(const cvi_zip *z, place *out) {
    int64_t end = 0;
    CVI_TRY(find_end(z, &end));
    const uint8_t *e = z->bytes + end;
    *out = (place){.n = u16(e + 10), .bytes = u32(e + 12), .offset = u32(e + 16), .end = end};
    bool many = u16(e + 4) != u16(e + 6) || u16(e + 8) != u16(e + 10) || u16(e + 4) != 0;
    int64_t at64 = end - LOCATOR_SIZE;
    if (at64 >= 0 && u32(z->bytes + at64) == LOCATOR) {
        int64_t record = bounded(u64(z->bytes + at64 + 8));
        if (record > at64 - END64_SIZE || u32(z->bytes + record) != END64) {
            return cut(z, at64);
        }
        const uint8_t *r = z->bytes + record;
        if (bounded(u64(r + 4)) != at64 - record - 12) {
            return cut(z, record);
        }
        place big = {.n = bounded(u64(r + 32)),
                     .bytes = bounded(u64(r + 40)),
                     .offset = bounded(u64(r + 48)),
                     .end = record};
        many = u32(r + 16) != u32(r + 20) || u32(r + 16) != 0 || u64(r + 24) != u64(r + 32);
        bool agree = (out->n == 0xFFFF || out->n == big.n) &&
                     (out->bytes == 0xFFFFFFFF || out->bytes == big.bytes) &&
                     (out->offset == 0xFFFFFFFF || out->offset == big.offset);
        if (!agree) {
            return at(z, record,
                      cvi_fail(z->err, CVS_E_FORMAT, "the two ends of the zip archive do not agree"));
        }
        *out = big;
    }
    if (many) {
        return at(z, end, cvi_fail(z->err, CVS_E_UNSUPPORTED, "the zip archive has more than one part"));
    }
    if (out->offset > out->end || out->bytes != out->end - out->offset ||
        out->n > out->bytes / CENTRAL_SIZE) {
        return at(z, end,
                  cvi_fail(z->err, CVS_E_FORMAT,
                           "the directory of the zip archive does not lie where its end says"));
    }
    return out->n <= MAX_ENTRIES
               ? CVS_OK
               : at(z, end,
                    cvi_fail(z->err, CVS_E_LIMIT, "the zip archive has %lld entries, at most %lld are read",
                             (long long)out->n, (long long)MAX_ENTRIES));
}

/* ---- entries ---------------------------------------------------------------------------------------------- */

/* A relative path of plain parts, without anything that a file system reads as more than a name. */
static bool good_name(const uint8_t *s, size_t n) {
    if (n == 0 || s[0] == '/' || (n >= 2 && s[1] == ':')) {
        return false;
    }
    for (size_t i = 0; i < n;) {
        uint32_t code = 0;
        bool valid = true;
        i += cvi_utf8_next((const char *)s + i, n - i, &code, &valid);
        if (!valid || code < 32 || code == 127 || code == '\\') {
            return false;
        }
    }
    for (size_t i = 0; i < n;) { /* no part "", "." or ".."; a last "/" makes a folder */
        size_t end = i;
        while (end < n && s[end] != '/') {
            end++;
        }
        size_t length = end - i;
        if (length == 0 || (length == 1 && s[i] == '.') || (length == 2 && s[i] == '.' && s[i + 1] == '.')) {
            return false;
        }
        i = end + 1;
    }
    return true;
}

/* The zip64 field of an extra block: the values that were all ones, in a fixed order. */
static bool read_zip64(const uint8_t *extra, int64_t n, uint64_t *const *wanted, int n_wanted) {
    for (int64_t i = 0; i + 4 <= n;) {
        int64_t id = u16(extra + i), length = u16(extra + i + 2);
        if (i + 4 + length > n) {
            return false;
        }
        if (id == EXTRA_ZIP64) {
            for (int k = 0; k < n_wanted; k++) {
                if ((k + 1) * 8 > length) {
                    return false;
                }
                *wanted[k] = u64(extra + i + 4 + k * 8);
            }
            return true;
        }
        i += 4 + length;
    }
    return n_wanted == 0;
}

static cvs_status refuse(const cvi_zip *z, const cvi_zip_entry *e, cvs_status s) {
    return at(z, e->header, cvi_at_attr(z->err, s, e->name));
}

/* The local header must tell the same story as the directory. */
static cvs_status check_local(cvi_zip *z, cvi_zip_entry *e, uint32_t method, uint32_t flags,
                              int64_t directory) {
    if (e->header > directory - LOCAL_SIZE || u32(z->bytes + e->header) != LOCAL) {
        return cut(z, e->header);
    }
    const uint8_t *p = z->bytes + e->header;
    int64_t n_name = u16(p + 26), n_extra = u16(p + 28), name = e->header + LOCAL_SIZE;
    e->data = name + n_name + n_extra;
    if (e->data > directory || e->stored > directory - e->data) {
        return refuse(z, e, cvi_fail(z->err, CVS_E_FORMAT, "the entry reaches beyond the archive's entries"));
    }
    uint64_t stored = u32(p + 18), size = u32(p + 22);
    uint64_t *wanted[2];
    int n_wanted = 0;
    if (size == 0xFFFFFFFF) {
        wanted[n_wanted++] = &size;
    }
    if (stored == 0xFFFFFFFF) {
        wanted[n_wanted++] = &stored;
    }
    bool late = flags & FLAG_DESCRIPTOR; /* sizes and checksum may come behind the numbers */
    bool same = u16(p + 8) == method && (u16(p + 6) & ~0x0806U) == (flags & ~0x0806U) &&
                (size_t)n_name == strlen(e->name) + e->folder &&
                memcmp(z->bytes + name, e->name, strlen(e->name)) == 0 &&
                read_zip64(z->bytes + name + n_name, n_extra, wanted, n_wanted);
    same = same && ((int64_t)stored == e->stored || (late && stored == 0)) &&
           ((int64_t)size == e->size || (late && size == 0)) && (u32(p + 14) == e->crc || late);
    return same ? CVS_OK
                : refuse(z, e,
                         cvi_fail(z->err, CVS_E_FORMAT,
                                  "the entry's own header and the archive's directory do not agree"));
}

static cvs_status check_kind(const cvi_zip *z, const cvi_zip_entry *e, uint32_t method, uint32_t flags,
                             uint32_t mode) {
    if (flags & (FLAG_ENCRYPTED | FLAG_HIDDEN)) {
        return refuse(z, e, cvi_fail(z->err, CVS_E_UNSUPPORTED, "the entry is encrypted"));
    }
    if (method != 0 && method != 8) {
        return refuse(z, e,
                      cvi_fail(z->err, CVS_E_UNSUPPORTED, "compression method %d is not read, only deflate",
                               (int)method));
    }
    if ((mode & 0170000) == 0120000) {
        return refuse(z, e, cvi_fail(z->err, CVS_E_FORMAT, "the entry is a symbolic link"));
    }
    if ((method == 0 && e->stored != e->size) || (e->folder && e->size != 0)) {
        return refuse(z, e,
                      cvi_fail(z->err, CVS_E_FORMAT, "the entry's two sizes, %lld and %lld, do not fit",
                               (long long)e->stored, (long long)e->size));
    }
    bool bomb = e->size / MAX_RATIO > e->stored + 1 ||
                (e->size > LARGE && e->size / LARGE_RATIO > e->stored) || e->size > z->budget;
    return bomb && method == 8
               ? refuse(z, e,
                        cvi_fail(z->err, CVS_E_LIMIT, "%lld bytes would become %lld: too much to be true",
                                 (long long)e->stored, (long long)e->size))
               : CVS_OK;
}

static cvs_status read_central(cvi_zip *z, const place *d, int64_t *offset, cvi_zip_entry *e) {
    int64_t left = d->end - *offset;
    const uint8_t *p = z->bytes + *offset;
    if (left < CENTRAL_SIZE || u32(p) != CENTRAL) {
        return cut(z, *offset);
    }
    int64_t n_name = u16(p + 28), n_extra = u16(p + 30), n_comment = u16(p + 32);
    if (CENTRAL_SIZE + n_name + n_extra + n_comment > left) {
        return cut(z, *offset);
    }
    const uint8_t *name = p + CENTRAL_SIZE;
    if (!good_name(name, (size_t)n_name) || n_name > z->max_name) {
        return at(z, *offset,
                  cvi_fail(z->err, CVS_E_FORMAT,
                           "the name of an entry is empty, too long, or leads out of the archive"));
    }
    uint64_t stored = u32(p + 20), size = u32(p + 24), header = u32(p + 42);
    uint64_t *wanted[3];
    int n_wanted = 0;
    if (size == 0xFFFFFFFF) {
        wanted[n_wanted++] = &size;
    }
    if (stored == 0xFFFFFFFF) {
        wanted[n_wanted++] = &stored;
    }
    if (header == 0xFFFFFFFF) {
        wanted[n_wanted++] = &header;
    }
    if (!read_zip64(name + n_name, n_extra, wanted, n_wanted)) {
        return cut(z, *offset);
    }
    bool folder = name[n_name - 1] == '/';
    *e = (cvi_zip_entry){.name = cvi_arena_strn(z->arena, (const char *)name, (size_t)(n_name - folder)),
                         .header = bounded(header),
                         .stored = bounded(stored),
                         .size = bounded(size),
                         .crc = u32(p + 16),
                         .deflated = u16(p + 10) == 8,
                         .folder = folder};
    if (!e->name) {
        return cvi_no_memory(z->err, (size_t)n_name);
    }
    uint32_t unix_mode = p[5] == 3 ? u32(p + 38) >> 16 : 0;
    CVI_TRY(check_local(z, e, u16(p + 10), u16(p + 8), d->offset));
    CVI_TRY(check_kind(z, e, u16(p + 10), u16(p + 8), unix_mode));
    *offset += CENTRAL_SIZE + n_name + n_extra + n_comment;
    return CVS_OK;
}

/* ---- all together ------------------------------------------------------------------------------------------ */

static int by_header(const void *a, const void *b) {
    const cvi_zip_entry *x = *(const cvi_zip_entry *const *)a, *y = *(const cvi_zip_entry *const *)b;
    return x->header < y->header ? -1 : x->header > y->header;
}

static int by_name(const void *a, const void *b) {
    return strcmp((*(const cvi_zip_entry *const *)a)->name, (*(const cvi_zip_entry *const *)b)->name);
}

/* Between two entries only a data descriptor may stand: anything else is hidden from one reader and seen by another. */
static cvs_status check_order(cvi_zip *z, const place *d) {
    int64_t end = 0;
    bool descriptor = false;
    for (int i = 0; i <= z->n; i++) {
        const cvi_zip_entry *e = i < z->n ? z->by_name[i] : NULL;
        int64_t next = e ? e->header : d->offset, gap = next - end;
        if (i == 0 && z->behind) {
            gap = 0; /* what comes first is another reader's */
        }
        if (gap < 0 || (gap > 0 && !descriptor) || gap > MAX_DESCRIPTOR) {
            return at(z, end,
                      gap < 0 ? cvi_fail(z->err, CVS_E_FORMAT, "two entries of the zip archive overlap")
                              : cvi_fail(z->err, CVS_E_FORMAT,
                                         "%lld bytes of the zip archive belong to no entry", (long long)gap));
        }
        if (e) {
            end = e->data + e->stored;
            descriptor = u16(z->bytes + e->header + 6) & FLAG_DESCRIPTOR;
        }
    }
    return CVS_OK;
}

static cvs_status read_all(cvi_zip *z) {
    place d;
    CVI_TRY(find_directory(z, &d));
    z->entry = cvi_arena_alloc(z->arena, d.n + 1, sizeof *z->entry);
    z->by_name = cvi_arena_alloc(z->arena, d.n + 1, sizeof *z->by_name);
    if (!z->entry || !z->by_name) {
        return cvi_no_memory(z->err, (size_t)d.n * sizeof *z->entry);
    }
    int64_t offset = d.offset;
    for (; z->n < d.n; z->n++) {
        CVI_TRY(read_central(z, &d, &offset, &z->entry[z->n]));
        z->by_name[z->n] = &z->entry[z->n];
    }
    if (offset != d.end) {
        return cut(z, offset);
    }
    if (z->n > 1) {
        qsort(z->by_name, (size_t)z->n, sizeof(const cvi_zip_entry *), by_header);
    }
    CVI_TRY(check_order(z, &d));
    if (z->n > 1) {
        qsort(z->by_name, (size_t)z->n, sizeof(const cvi_zip_entry *), by_name);
    }
    for (int i = 1; i < z->n; i++) {
        if (strcmp(z->by_name[i - 1]->name, z->by_name[i]->name) == 0) {
            return refuse(z, z->by_name[i], cvi_fail(z->err, CVS_E_FORMAT, "two entries have the same name"));
        }
    }
    return CVS_OK;
}

static cvs_status open_archive(const void *data, size_t size, bool behind, const cvs_limits *limits,
                               cvi_zip **out, cvs_error *err) {
    cvs_limits l = cvs_limits_default(limits);
    *out = NULL;
    cvi_zip *z = cvi_calloc(1, sizeof *z);
    cvi_arena *arena = cvi_arena_new(l.max_memory_bytes);
    if (!z || !arena) {
        cvi_free(z);
        cvi_arena_free(arena);
        return cvi_no_memory(err, sizeof *z);
    }
    *z = (cvi_zip){.bytes = data,
                   .size = (int64_t)size,
                   .arena = arena,
                   .budget = l.max_memory_bytes,
                   .max_name = l.max_name_bytes,
                   .behind = behind,
                   .err = err};
    cvs_status s = size < END_SIZE ? cut(z, 0) : read_all(z);
    z->err = NULL;
    if (s != CVS_OK) {
        cvi_zip_close(z);
        return s;
    }
    *out = z;
    return CVS_OK;
}

cvs_status cvi_zip_open(const void *data, size_t size, const cvs_limits *limits, cvi_zip **out,
                        cvs_error *err) {
    return open_archive(data, size, false, limits, out, err);
}

bool cvi_zip_follows(const void *data, size_t size) {
    cvi_zip z = {.bytes = data, .size = (int64_t)size};
    int64_t end = 0;
    return size >= END_SIZE && (find_end(&z, &end) == CVS_OK || end >= 0);
}

cvs_status cvi_zip_open_behind(const void *data, size_t size, const cvs_limits *limits, cvi_zip **out,
                               cvs_error *err) {
    cvi_zip z = {.bytes = data, .size = (int64_t)size};
    int64_t end = -1;
    bool found = size >= END_SIZE && find_end(&z, &end) == CVS_OK;
    int64_t bytes = found ? u32(z.bytes + end + 12) : 0, offset = found ? u32(z.bytes + end + 16) : 0;
    int64_t base = end - bytes - offset;
    if (found && base > 0) { /* its own places: it was made alone and put behind */
        return open_archive(z.bytes + base, size - (size_t)base, false, limits, out, err);
    }
    return open_archive(data, size, true, limits, out, err);
}

void cvi_zip_close(cvi_zip *z) {
    if (z) {
        cvi_arena_free(z->arena);
        cvi_free(z);
    }
}

int cvi_zip_count(const cvi_zip *z) {
    return z->n;
}

const cvi_zip_entry *cvi_zip_at(const cvi_zip *z, int i) {
    return &z->entry[i];
}

const cvi_zip_entry *cvi_zip_find(const cvi_zip *z, const char *name) {
    cvi_zip_entry key = {.name = name};
    const cvi_zip_entry *k = &key;
    const cvi_zip_entry **found =
        bsearch(&k, z->by_name, (size_t)z->n, sizeof(const cvi_zip_entry *), by_name);
    return found ? *found : NULL;
}

static uint32_t checksum(const uint8_t *data, int64_t n) {
    uLong crc = crc32(0, NULL, 0);
    while (n > 0) {
        uInt step = (uInt)CVI_MIN(n, (int64_t)1 << 30);
        crc = crc32(crc, data, step);
        data += step;
        n -= step;
    }
    return (uint32_t)crc;
}

cvs_status cvi_zip_read(cvi_zip *z, const cvi_zip_entry *e, cvi_arena *arena, const uint8_t **out,
                        bool *checked, cvs_error *err) {
    const uint8_t *bytes = z->bytes + e->data;
    if (e->deflated) {
        uint8_t *room = e->size <= z->budget ? cvi_arena_raw(arena, CVI_MAX(e->size, 1)) : NULL;
        if (!room) {
            return cvi_at_attr(err, cvi_no_memory(err, (size_t)e->size), e->name);
        }
        z->budget -= e->size;
        cvs_status s = cvi_inflate(bytes, (size_t)e->stored, true, room, (size_t)e->size, err);
        if (s != CVS_OK) {
            return cvi_at_offset(err, cvi_at_attr(err, s, e->name), e->data);
        }
        bytes = room;
    }
    bool good = checksum(bytes, e->size) == e->crc;
    if (checked) {
        *checked = good;
    } else if (!good) {
        cvs_status s =
            cvi_fail(err, CVS_E_FORMAT, "the entry's checksum does not fit its bytes: it is damaged");
        return cvi_at_offset(err, cvi_at_attr(err, s, e->name), e->data);
    }
    *out = bytes;
    return CVS_OK;
}

/* SPDX-License-Identifier: MIT
 * hdf5_group.c - members of HDF5 groups: symbol tables (version-1 B-tree, SNOD nodes, local heap), link messages
 * in the object header, and dense groups (fractal heap). Lists are sorted by name; a name that stands twice is an
 * error, since readers would differ in which one they take.
 */
#include "formats/hdf5_internal.h"

#include <stdlib.h>

typedef struct lister {
    cvi_h5 *f;
    cvi_h5_link *link;
    int64_t n, capacity;
    int64_t heap, heap_bytes; /* data segment of the local heap */
    int64_t walked;           /* bytes of tree nodes: more than the file holds means a circle */
} lister;

static cvs_status add_link(lister *l, const char *name, int64_t object, cvs_error *err) {
    if (l->n == l->capacity) {
        int64_t capacity = l->capacity ? 2 * l->capacity : 16;
        cvi_h5_link *grown = cvi_arena_alloc(l->f->arena, capacity, sizeof *grown);
        if (!grown) {
            return cvi_no_memory(err, (size_t)capacity * sizeof *grown);
        }
        if (l->n > 0) {
            memcpy(grown, l->link, (size_t)l->n * sizeof *grown);
        }
        l->link = grown;
        l->capacity = capacity;
    }
    l->link[l->n++] = (cvi_h5_link){.name = name, .object = object};
    return CVS_OK;
}

/* ---- symbol tables ---- */

static cvs_status read_heap(lister *l, int64_t address, cvs_error *err) {
    const char *what = "local heap";
    cvi_h5_cursor c;
    CVI_TRY(cvi_h5_enter(l->f, address, 8 + 2 * l->f->length_bytes + l->f->offset_bytes, what, &c, err));
    CVI_TRY(cvi_h5_signature(&c, "HEAP", what, err));
    cvi_h5_skip(&c, 4);
    l->heap_bytes = cvi_h5_length(&c);
    cvi_h5_skip(&c, l->f->length_bytes);
    l->heap = cvi_h5_address(&c);
    CVI_TRY(cvi_h5_ok(&c, what, err));
    return cvi_h5_enter(l->f, l->heap, l->heap_bytes, what, &c, err);
}

/* A name of the local heap, in place: it must end inside the heap. */
static cvs_status heap_name(lister *l, int64_t offset, int64_t at, const char **out, cvs_error *err) {
    if (offset >= 0 && offset < l->heap_bytes) {
        int64_t room = CVI_MIN(l->heap_bytes - offset, l->f->max_name);
        const char *name = (const char *)l->f->data + l->heap + offset;
        if (memchr(name, 0, (size_t)room)) {
            *out = name;
            return CVS_OK;
        }
    }
    cvs_status s =
        cvi_fail(err, CVS_E_FORMAT, "the name of a group member is not in the local heap, or too long");
    return cvi_at_offset(err, s, l->f->start + at);
}

static cvs_status read_symbols(lister *l, int64_t address, cvs_error *err) {
    const char *what = "symbol table node";
    cvi_h5_cursor c;
    CVI_TRY(cvi_h5_enter(l->f, address, 8, what, &c, err));
    CVI_TRY(cvi_h5_signature(&c, "SNOD", what, err));
    cvi_h5_skip(&c, 2);
    int64_t n = (int64_t)cvi_h5_uint(&c, 2);
    int64_t entry = 2 * l->f->offset_bytes + 24;
    l->walked += 8 + n * entry;
    CVI_TRY(cvi_h5_enter(l->f, address + 8, n * entry, what, &c, err));
    for (int64_t i = 0; i < n; i++) {
        int64_t at = c.pos;
        int64_t name_at = cvi_h5_address(&c), object = cvi_h5_address(&c);
        int cache = (int)cvi_h5_uint(&c, 4);
        cvi_h5_skip(&c, 20);
        CVI_TRY(cvi_h5_ok(&c, what, err));
        const char *name = NULL;
        CVI_TRY(heap_name(l, name_at, at, &name, err));
        CVI_TRY(add_link(l, name, cache == 2 ? -1 : object, err));
    }
    return CVS_OK;
}

/* Walks a tree of symbol table nodes; `level` must fall by one a step, and no more may be walked than the file
 * holds. */
static cvs_status read_tree(lister *l, int64_t address, int level, cvs_error *err) {
    const char *what = "B-tree node";
    cvi_h5_cursor c;
    CVI_TRY(cvi_h5_enter(l->f, address, 8 + 2 * l->f->offset_bytes, what, &c, err));
    CVI_TRY(cvi_h5_signature(&c, "TREE", what, err));
    int type = (int)cvi_h5_uint(&c, 1), own = (int)cvi_h5_uint(&c, 1);
    int64_t n = (int64_t)cvi_h5_uint(&c, 2);
    int64_t bytes = n * (l->f->length_bytes + l->f->offset_bytes);
    l->walked += 24 + bytes;
    if (type != 0 || own > 16 || (level >= 0 && own != level) || l->walked > l->f->size) {
        cvs_status s = cvi_fail(err, CVS_E_FORMAT,
                                "this B-tree node does not belong here (type %d, level %d)", type, own);
        return cvi_at_offset(err, s, l->f->start + address);
    }
    CVI_TRY(cvi_h5_enter(l->f, c.end, bytes, what, &c, err));
    for (int64_t i = 0; i < n; i++) {
        cvi_h5_length(&c); /* key: a name between this child and the one before */
        int64_t child = cvi_h5_address(&c);
        CVI_TRY(cvi_h5_ok(&c, what, err));
        CVI_TRY(own > 0 ? read_tree(l, child, own - 1, err) : read_symbols(l, child, err));
    }
    return CVS_OK;
}

/* ---- link messages ---- */

static cvs_status read_link(lister *l, int64_t pos, int64_t size, cvs_error *err) {
    const char *what = "link message";
    cvi_h5_cursor c = {.f = l->f, .pos = pos, .end = pos + size};
    int version = (int)cvi_h5_uint(&c, 1), flags = (int)cvi_h5_uint(&c, 1);
    CVI_TRY(cvi_h5_ok(&c, what, err));
    if (version != 1) {
        return cvi_h5_version(what, version, pos, l->f, err);
    }
    int type = flags & 8 ? (int)cvi_h5_uint(&c, 1) : 0;
    cvi_h5_skip(&c, (flags & 4 ? 8 : 0) + (flags & 16 ? 1 : 0));
    uint64_t length = cvi_h5_uint(&c, 1 << (flags & 3));
    CVI_TRY(cvi_h5_ok(&c, what, err));
    const char *name = (const char *)l->f->data + c.pos;
    if (length == 0 || length > (uint64_t)(c.end - c.pos) || (int64_t)length > l->f->max_name ||
        memchr(name, 0, (size_t)length)) {
        cvs_status s = cvi_fail(err, CVS_E_FORMAT, "a group member has an impossible name");
        return cvi_at_offset(err, s, l->f->start + pos);
    }
    cvi_h5_skip(&c, (int64_t)length);
    int64_t object = type == 0 ? cvi_h5_address(&c) : -1;
    CVI_TRY(cvi_h5_ok(&c, what, err));
    char *copy = cvi_arena_strn(l->f->arena, name, (size_t)length);
    return copy ? add_link(l, copy, object, err) : cvi_no_memory(err, (size_t)length);
}

static cvs_status visit_link(void *context, int64_t pos, int64_t size, cvs_error *err) {
    return read_link(context, pos, size, err);
}

static cvs_status read_link_info(lister *l, const cvi_h5_message *m, cvs_error *err) {
    const char *what = "link information";
    cvi_h5_cursor c = {.f = l->f, .pos = m->pos, .end = m->pos + m->size};
    int version = (int)cvi_h5_uint(&c, 1), flags = (int)cvi_h5_uint(&c, 1);
    if (version != 0) {
        return cvi_h5_version(what, version, m->pos, l->f, err);
    }
    cvi_h5_skip(&c, flags & 1 ? 8 : 0);
    int64_t heap = cvi_h5_address(&c), tree = cvi_h5_address(&c);
    CVI_TRY(cvi_h5_ok(&c, what, err));
    return heap < 0 ? CVS_OK : cvi_h5_dense(l->f, heap, tree, 5, visit_link, l, err);
}

/* ---- public ---- */

static int by_name(const void *a, const void *b) {
    return strcmp(((const cvi_h5_link *)a)->name, ((const cvi_h5_link *)b)->name);
}

cvs_status cvi_h5_list(cvi_h5 *f, int64_t object, cvi_h5_group *out, cvs_error *err) {
    cvi_h5_message *m = NULL;
    int64_t n = 0;
    CVI_TRY(cvi_h5_messages(f, object, &m, &n, err));
    lister l = {.f = f};
    for (int64_t i = 0; i < n; i++) {
        if (m[i].type == H5_SYMBOL_TABLE) {
            cvi_h5_cursor c = {.f = f, .pos = m[i].pos, .end = m[i].pos + m[i].size};
            int64_t tree = cvi_h5_address(&c), heap = cvi_h5_address(&c);
            CVI_TRY(cvi_h5_ok(&c, "symbol table message", err));
            CVI_TRY(read_heap(&l, heap, err));
            CVI_TRY(read_tree(&l, tree, -1, err));
        } else if (m[i].type == H5_LINK) {
            CVI_TRY(read_link(&l, m[i].pos, m[i].size, err));
        } else if (m[i].type == H5_LINK_INFO) {
            CVI_TRY(read_link_info(&l, &m[i], err));
        }
    }
    if (l.n > 1) {
        qsort(l.link, (size_t)l.n, sizeof *l.link, by_name);
    }
    for (int64_t i = 1; i < l.n; i++) {
        if (strcmp(l.link[i].name, l.link[i - 1].name) == 0) {
            cvs_status s =
                cvi_fail(err, CVS_E_FORMAT, "a group has two members named \"%.80s\"", l.link[i].name);
            return cvi_at_offset(err, s, f->start + object);
        }
    }
    *out = (cvi_h5_group){.n = l.n, .link = l.link};
    return CVS_OK;
}

const cvi_h5_link *cvi_h5_member(const cvi_h5_group *group, const char *name) {
    cvi_h5_link key = {.name = name};
    return group->n > 0 ? bsearch(&key, group->link, (size_t)group->n, sizeof key, by_name) : NULL;
}

cvs_status cvi_h5_find(cvi_h5 *f, int64_t object, const char *path, int64_t *out, cvs_error *err) {
    *out = -1;
    while (*path) {
        size_t n = strcspn(path, "/");
        if (n > 0) {
            cvi_h5_group group;
            CVI_TRY(cvi_h5_list(f, object, &group, err));
            char *name = cvi_arena_strn(f->arena, path, n);
            if (!name) {
                return cvi_no_memory(err, n);
            }
            const cvi_h5_link *link = cvi_h5_member(&group, name);
            if (!link) {
                return CVS_OK;
            }
            if (link->object < 0) {
                return cvi_fail(
                    err, CVS_E_UNSUPPORTED,
                    "\"%.80s\" is a soft or external link; only members of the file itself are read", name);
            }
            object = link->object;
        }
        path += n + (path[n] == '/');
    }
    *out = object;
    return CVS_OK;
}

/* SPDX-License-Identifier: MIT
 * cifar_pickle.c - the python version of CIFAR: a batch is a pickled dictionary with "data", a NumPy array uint8 [N,3072] (red, green, blue
 * planes of 32x32), and "labels" or "fine_labels", a list of whole numbers. Nothing in it is executed: the array is known by the names of a closed
 * list and its bytes are taken as they are. Written by Python 2 (bytes as text) and Python 3 (bytes, or text that _codecs.encode turns
 * into bytes).
 */
#include "data/dataset.h"
#include "formats/pickle.h"

enum { PIXELS = 3 * 32 * 32 };

static bool is_maker(const cvi_pickle *p, const char *const *names) {
    const char *maker = cvi_pickle_maker(p);
    for (int i = 0; names[i]; i++) {
        if (strcmp(maker, names[i]) == 0) {
            return true;
        }
    }
    return false;
}

/* Text or bytes; bytes that Python 3 wrote for an old protocol as text to be encoded; else NULL. */
static const cvi_pickle *bytes_of(const cvi_pickle *p) {
    static const char *const encode[] = {"_codecs.encode", NULL};
    if (cvi_pickle_is(p, CVI_PK_OBJECT) && is_maker(p, encode)) {
        p = cvi_pickle_item(p->args, 0);
        return cvi_pickle_is(p, CVI_PK_TEXT) ? p : NULL;
    }
    return cvi_pickle_is(p, CVI_PK_TEXT) || cvi_pickle_is(p, CVI_PK_BYTES) ? p : NULL;
}

/* A key of the dictionary, whether Python wrote it as text or bytes. */
static const cvi_pickle *get(const cvi_pickle *p, const char *key) {
    size_t n = strlen(key);
    for (int64_t i = 0; cvi_pickle_is(p, CVI_PK_DICT) && i + 1 < p->n; i += 2) {
        const cvi_pickle *k = bytes_of(p->item[i]);
        if (k && k->n == (int64_t)n && memcmp(k->text, key, n) == 0) {
            return p->item[i + 1];
        }
    }
    return NULL;
}

/* Text in UTF-8 whose characters are bytes, as Python 3 writes bytes for old protocols; returns how many, -1: not that. */
static int64_t from_latin1(const cvi_pickle *p, uint8_t *to, int64_t room) {
    int64_t n = 0;
    const uint8_t *s = (const uint8_t *)p->text;
    for (int64_t i = 0; i < p->n; i++) {
        int c = s[i];
        if (c >= 0x80) {
            if ((c != 0xC2 && c != 0xC3) || i + 1 >= p->n || (s[i + 1] & 0xC0) != 0x80) {
                return -1;
            }
            c = (c & 3) << 6 | (s[++i] & 0x3F);
        }
        if (n >= room) {
            return -1;
        }
        to[n++] = (uint8_t)c;
    }
    return n;
}

/* The bytes of an array's state into to[n]; false: it has others. */
static bool take_bytes(const cvi_pickle *p, uint8_t *to, int64_t n) {
    static const char *const encode[] = {"_codecs.encode", NULL};
    if (cvi_pickle_is(p, CVI_PK_OBJECT) && is_maker(p, encode)) {
        const cvi_pickle *text = cvi_pickle_item(p->args, 0);
        return cvi_pickle_is(text, CVI_PK_TEXT) && from_latin1(text, to, n) == n;
    }
    if ((!cvi_pickle_is(p, CVI_PK_TEXT) && !cvi_pickle_is(p, CVI_PK_BYTES)) || p->n != n) {
        return false;
    }
    memcpy(to, p->text, (size_t)n);
    return true;
}

/* "data" as an array uint8 [n,3072] in row order: how many rows, or -1. Its bytes are *bytes. */
static int64_t rows_of(const cvi_pickle *p, const cvi_pickle **bytes) {
    static const char *const arrays[] = {"numpy.core.multiarray._reconstruct",
                                         "numpy._core.multiarray._reconstruct", NULL},
                             *const types[] = {"numpy.dtype", NULL};
    if (!cvi_pickle_is(p, CVI_PK_OBJECT) || !is_maker(p, arrays) || !cvi_pickle_is(p->state, CVI_PK_TUPLE) ||
        p->state->n != 5) {
        return -1;
    }
    const cvi_pickle *shape = cvi_pickle_item(p->state, 1), *type = cvi_pickle_item(p->state, 2),
                     *across = cvi_pickle_item(p->state, 3);
    const cvi_pickle *n = cvi_pickle_item(shape, 0), *width = cvi_pickle_item(shape, 1);
    const char *code = type && type->args ? cvi_pickle_text(cvi_pickle_item(type->args, 0)) : "";
    bool good = cvi_pickle_is(shape, CVI_PK_TUPLE) && shape->n == 2 && cvi_pickle_is(n, CVI_PK_INT) &&
                cvi_pickle_is(width, CVI_PK_INT) && width->i == PIXELS && n->i >= 1 && n->i <= 10000000 &&
                is_maker(type, types) && strcmp(code, "u1") == 0 && cvi_pickle_is(across, CVI_PK_BOOL) &&
                across->i == 0;
    *bytes = good ? cvi_pickle_item(p->state, 4) : NULL;
    return good ? n->i : -1;
}

static cvs_status add(const cvi_pickle *root, const char *labels, int classes, cvi_arrays *a,
                      cvs_error *err) {
    const cvi_pickle *bytes = NULL, *list = get(root, labels);
    int64_t n = rows_of(get(root, "data"), &bytes);
    if (n < 0) {
        return cvi_fail(err, CVS_E_FORMAT,
                        "this pickle holds no \"data\" that is a NumPy array uint8 [N,3072]");
    }
    if (!cvi_pickle_is(list, CVI_PK_LIST) || list->n != n) {
        return cvi_fail(err, CVS_E_FORMAT,
                        "this pickle holds no list \"%.20s\" with a label for each of its %lld pictures",
                        labels, (long long)n);
    }
    uint8_t *pixels = cvi_realloc(a->pixels, (size_t)a->n * PIXELS, (size_t)(a->n + n) * PIXELS);
    a->pixels = pixels ? pixels : a->pixels;
    uint8_t *room = pixels ? cvi_realloc(a->labels, (size_t)a->n, (size_t)(a->n + n)) : NULL;
    a->labels = room ? room : a->labels;
    if (!room) {
        return cvi_no_memory(err, (size_t)(a->n + n) * PIXELS);
    }
    if (!take_bytes(bytes, a->pixels + a->n * PIXELS, n * PIXELS)) {
        return cvi_fail(err, CVS_E_FORMAT, "the array \"data\" of this pickle does not hold its %lld bytes",
                        (long long)(n * PIXELS));
    }
    for (int64_t i = 0; i < n; i++) {
        const cvi_pickle *v = cvi_pickle_item(list, i);
        if (!cvi_pickle_is(v, CVI_PK_INT) || v->i < 0 || v->i >= classes) {
            return cvi_fail(err, CVS_E_FORMAT, "label %lld of this pickle is no whole number from 0 to %d",
                            (long long)i, classes - 1);
        }
        a->labels[a->n + i] = (uint8_t)v->i;
    }
    a->n += n;
    return CVS_OK;
}

/* The root of a pickled file; what it is made of lives in the arena and in *file. */
static cvs_status read_root(const char *path, const cvs_limits *limits, cvi_arena *arena, cvi_file *file,
                            cvi_pickle **root, cvs_error *err) {
    cvi_pickled p = {0};
    CVI_TRY(cvi_file_read(path, limits, file, err));
    CVI_TRY(cvi_pickle_read(arena, file->data, file->size, 0, &p, err));
    *root = p.root;
    return CVS_OK;
}

cvs_status cvi_cifar_pickle(const char *path, const char *labels, int classes, const cvs_limits *limits,
                            cvi_arrays *a, cvs_error *err) {
    cvi_arena *arena = cvi_arena_new(0);
    cvi_file file = {0};
    cvi_pickle *root = NULL;
    cvs_status s = arena ? read_root(path, limits, arena, &file, &root, err) : cvi_no_memory(err, 0);
    s = s == CVS_OK ? add(root, labels, classes, a, err) : s;
    cvi_file_close(&file);
    cvi_arena_free(arena);
    return cvi_at_file(err, s, path);
}

cvs_status cvi_cifar_names(const char *path, const char *key, const cvs_limits *limits, cvi_arena *names,
                           const char ***out, cvs_error *err) {
    cvi_arena *arena = cvi_arena_new(0);
    cvi_file file = {0};
    cvi_pickle *root = NULL;
    cvs_status s = arena ? read_root(path, limits, arena, &file, &root, err) : cvi_no_memory(err, 0);
    const cvi_pickle *list = s == CVS_OK ? get(root, key) : NULL;
    int64_t n = cvi_pickle_is(list, CVI_PK_LIST) ? CVI_MIN(list->n, (int64_t)256) : 0;
    *out = s == CVS_OK ? cvi_arena_alloc(names, n + 1, sizeof **out) : NULL;
    for (int64_t i = 0; *out && i < n; i++) {
        const cvi_pickle *v = bytes_of(cvi_pickle_item(list, i));
        (*out)[i] = v ? cvi_arena_strn(names, v->text, (size_t)v->n) : NULL;
    }
    if (*out) {
        (*out)[n] = NULL;
    } else if (s == CVS_OK) {
        s = cvi_no_memory(err, 256 * sizeof **out);
    }
    cvi_file_close(&file);
    cvi_arena_free(arena);
    return cvi_at_file(err, s, path);
}

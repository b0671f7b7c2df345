/* SPDX-License-Identifier: MIT
 * caffe_tree.c - looking things up: fields of a message by name, and a small map from names to numbers.
 */
#include <ctype.h>

#include "formats/caffe.h"

/* ---- map: open addressing, grown at half full ---- */

typedef struct map_entry {
    const char *name; /* borrowed */
    int64_t number;
} map_entry;

struct caffe_map {
    cvi_arena *arena;
    map_entry *entry;
    int64_t n, size; /* size is a power of two */
};

static uint64_t hash(const char *s) {
    uint64_t h = 14695981039346656037u; /* FNV-1a */
    for (; *s; s++) {
        h = (h ^ (unsigned char)*s) * 1099511628211u;
    }
    return h ^ (h >> 29);
}

static map_entry *place(const caffe_map *m, const char *name) {
    int64_t at = (int64_t)(hash(name) & (uint64_t)(m->size - 1));
    while (m->entry[at].name && strcmp(m->entry[at].name, name) != 0) {
        at = (at + 1) & (m->size - 1);
    }
    return &m->entry[at];
}

static bool grow(caffe_map *m, int64_t size) {
    caffe_map bigger = {.arena = m->arena, .n = m->n, .size = size};
    bigger.entry = cvi_arena_alloc(m->arena, size, sizeof *bigger.entry);
    if (!bigger.entry) {
        return false;
    }
    for (int64_t i = 0; i < m->size; i++) {
        if (m->entry[i].name) {
            *place(&bigger, m->entry[i].name) = m->entry[i];
        }
    }
    *m = bigger;
    return true;
}

caffe_map *cvi_caffe_map(cvi_arena *a) {
    caffe_map *m = cvi_arena_alloc(a, 1, sizeof *m);
    if (m) {
        m->arena = a;
    }
    return m && grow(m, 64) ? m : NULL;
}

bool cvi_caffe_map_put(caffe_map *m, const char *name, int64_t number) {
    if (2 * (m->n + 1) > m->size && !grow(m, 2 * m->size)) {
        return false;
    }
    map_entry *e = place(m, name);
    m->n += !e->name;
    *e = (map_entry){.name = name, .number = number};
    return true;
}

int64_t cvi_caffe_map_get(const caffe_map *m, const char *name) {
    const map_entry *e = place(m, name);
    return e->name ? e->number : -1;
}

/* ---- fields ---- */

const caffe_field *cvi_caffe_field(const caffe_message *m, const char *name, int k) {
    for (const caffe_field *f = m ? m->first : NULL; f; f = f->next) {
        if (strcmp(f->name, name) == 0 && k-- == 0) {
            return f;
        }
    }
    return NULL;
}

int cvi_caffe_count(const caffe_message *m, const char *name) {
    int n = 0;
    for (const caffe_field *f = m ? m->first : NULL; f && n < INT32_MAX; f = f->next) {
        n += strcmp(f->name, name) == 0;
    }
    return n;
}

const caffe_message *cvi_caffe_message(const caffe_message *m, const char *name) {
    const caffe_field *f = cvi_caffe_field(m, name, 0);
    return f ? f->message : NULL;
}

const char *cvi_caffe_text(const caffe_message *m, const char *name, int k, const char *otherwise) {
    const caffe_field *f = cvi_caffe_field(m, name, k);
    return f && !f->message ? f->text : otherwise;
}

bool cvi_caffe_same(const char *a, const char *b) {
    for (;;) {
        while (*a == '_') {
            a++;
        }
        while (*b == '_') {
            b++;
        }
        if (tolower((unsigned char)*a) != tolower((unsigned char)*b)) {
            return false;
        }
        if (!*a) {
            return true;
        }
        a++;
        b++;
    }
}

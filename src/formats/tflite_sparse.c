/* SPDX-License-Identifier: MIT
 * tflite_sparse.c - sparse tensors of TensorFlow Lite as dense ones. Their axes, and those of blocks that axes are cut into, are walked in an
 * order that the file says; each is either dense or a list of segments and places (as compressed rows are).
 */
#include "formats/tflite.h"

enum { MOST_LEVELS = 2 * CVS_MAX_RANK, INT4 = 17 };

typedef struct level {
    int axis;      /* of the tensor */
    int64_t times; /* its place on that axis so far counts so often: the block's size */
    bool sparse;
    int64_t size; /* dense */
    cvi_fb_vector segments, places;
} level;

typedef struct sparse {
    tflite *m;
    const tflite_tensor *x;
    level level[MOST_LEVELS];
    int n_levels;
    int64_t n_values, steps, most; /* what a walk may take: no more than all elements, level by level */
    size_t bytes;                  /* of an element */
    const uint8_t *from;
    uint8_t *to;
} sparse;

static bool damaged(const sparse *s) {
    tflite *m = s->m;
    cvi_build_set(&m->t.b, cvi_fail(m->t.b.err, CVS_E_FORMAT,
                                    "the lists of the sparse tensor %.80s do not fit its shape", s->x->name));
    return false;
}

/* A union of three vectors: whole numbers of 32 bits, unsigned ones of 16 and 8. */
static cvi_fb_vector numbers(sparse *s, const cvi_fb_table *t, int field) {
    static const size_t width[] = {0, 4, 2, 1};
    cvi_fb *f = &s->m->f;
    int64_t type = cvi_fb_int(f, t, field, 1, false, 0);
    cvi_fb_table list = cvi_fb_table_field(f, t, field + 1);
    cvi_fb_vector none = {0};
    return type >= 1 && type <= 3 ? cvi_fb_vector_field(f, &list, 0, width[type]) : none;
}

/* Element i, which is never negative in these lists; -1: there is none. */
static int64_t number_at(const sparse *s, const cvi_fb_vector *v, int64_t i) {
    if (i < 0 || i >= v->n) {
        return -1;
    }
    const uint8_t *p = s->m->f.data + v->at + (size_t)i * v->size;
    return v->size == 4 ? (int32_t)(p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24)
           : v->size == 2 ? p[0] | p[1] << 8
                          : p[0];
}

static bool read_levels(sparse *s) {
    tflite *m = s->m;
    const tflite_tensor *x = s->x;
    cvi_fb_vector order = cvi_fb_vector_field(&m->f, &x->sparsity, 0, 4),
                  blocks = cvi_fb_vector_field(&m->f, &x->sparsity, 1, 4),
                  meta = cvi_fb_vector_field(&m->f, &x->sparsity, 2, 4);
    bool seen[MOST_LEVELS] = {false};
    if (m->f.status != CVS_OK || blocks.n > x->rank || order.n != x->rank + blocks.n || meta.n != order.n) {
        return damaged(s);
    }
    s->n_levels = (int)order.n;
    for (int i = 0; i < s->n_levels; i++) {
        cvi_fb_table t = cvi_fb_table_at(&m->f, &meta, i);
        int64_t at = cvi_fb_int_at(&m->f, &order, i);
        if (at < 0 || at >= s->n_levels || seen[at]) {
            return damaged(s);
        }
        seen[at] = true;
        int64_t axis = at < x->rank ? at : cvi_fb_int_at(&m->f, &blocks, at - x->rank);
        level *l = &s->level[i];
        *l = (level){.sparse = cvi_fb_int(&m->f, &t, 0, 1, true, 0) != 0,
                     .size = cvi_fb_int(&m->f, &t, 1, 4, true, 0),
                     .segments = numbers(s, &t, 2),
                     .places = numbers(s, &t, 4)};
        if (axis < 0 || axis >= x->rank || l->size < 0 || m->f.status != CVS_OK) {
            return damaged(s);
        }
        l->axis = (int)axis;
        l->times = at < x->rank ? 1 : l->size;
    }
    return true;
}

static bool walk(sparse *s, int depth, int64_t before, const int64_t *at) {
    if (++s->steps > s->most) {
        return damaged(s);
    }
    if (depth == s->n_levels) {
        int64_t to = 0;
        for (int i = 0; i < s->x->rank; i++) {
            if (at[i] < 0 || at[i] >= s->x->dim[i]) {
                return damaged(s);
            }
            to = to * s->x->dim[i] + at[i];
        }
        if (before < 0 || before >= s->n_values) {
            return damaged(s);
        }
        memcpy(s->to + (size_t)to * s->bytes, s->from + (size_t)before * s->bytes, s->bytes);
        return true;
    }
    const level *l = &s->level[depth];
    int64_t from = 0, end = l->size, inner[CVS_MAX_RANK];
    memcpy(inner, at, sizeof inner);
    if (l->sparse) {
        from = number_at(s, &l->segments, before);
        end = number_at(s, &l->segments, before + 1);
        if (from < 0 || end < from || end > l->places.n) {
            return damaged(s);
        }
    }
    for (int64_t i = from; i < end; i++) {
        int64_t place = l->sparse ? number_at(s, &l->places, i) : i, next = i;
        if (!cvi_mul(at[l->axis], l->times, &inner[l->axis]) ||
            !cvi_add(inner[l->axis], place, &inner[l->axis]) ||
            (!l->sparse && (!cvi_mul(before, l->size, &next) || !cvi_add(next, i, &next)))) {
            return damaged(s);
        }
        if (!walk(s, depth + 1, next, inner)) {
            return false;
        }
    }
    return true;
}

const uint8_t *cvi_tflite_dense(tflite *m, const tflite_tensor *x, const uint8_t *bytes, int64_t *size) {
    cvs_tensor dense = {.dtype = x->dtype, .rank = x->rank};
    sparse s = {.m = m, .x = x, .from = bytes, .bytes = cvs_dtype_size(x->dtype)};
    const int64_t origin[CVS_MAX_RANK] = {0};
    int64_t need = 0;
    memcpy(dense.dim, x->dim, sizeof dense.dim);
    int64_t n = cvs_tensor_count(&dense);
    if (x->type == INT4 || n < 0 || !cvi_mul(n, (int64_t)s.bytes, &need) || !read_levels(&s) ||
        !cvi_mul(n + MOST_LEVELS, s.n_levels + 1, &s.most)) {
        damaged(&s);
        return NULL;
    }
    s.n_values = *size / (int64_t)s.bytes;
    s.to = cvi_arena_alloc(m->t.b.model->arena, CVI_MAX(need, 1), 1);
    if (!s.to) {
        cvi_build_no_memory(&m->t.b, (size_t)need);
        return NULL;
    }
    *size = need;
    return walk(&s, 0, 0, origin) ? s.to : NULL;
}

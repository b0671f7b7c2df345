/* SPDX-License-Identifier: MIT
 * incr_blocks.c - memory of the incremental re-run: buffers that are used again while they are warm in the cache, blocks cut out of
 * values as they are with a change, and whole values made from blocks.
 */
#include "engine/incr.h"
#include "kernels/kernels.h"

/* ---- buffers ------------------------------------------------------------------------------------------ */

static int new_buffer(cvi_incr *s) {
    if (s->n_buffer == s->room_buffer) {
        int room = CVI_MAX(16, 2 * s->room_buffer);
        cvi_incr_buffer *more =
            cvi_realloc(s->buffer, sizeof *more * (size_t)s->room_buffer, sizeof *more * (size_t)room);
        if (!more) {
            return -1;
        }
        s->buffer = more;
        s->room_buffer = room;
    }
    s->buffer[s->n_buffer] = (cvi_incr_buffer){0};
    return s->n_buffer++;
}

/* The free buffer that fits best; one that is far too large stays for others. */
cvs_status cvi_incr_take(cvi_incr *s, int64_t bytes, int *buffer, cvs_error *err) {
    int best = -1, empty = -1;
    size_t want = (size_t)CVI_MAX(bytes, 64);
    for (int i = 0; i < s->n_buffer; i++) {
        const cvi_incr_buffer *b = &s->buffer[i];
        if (b->users == 0 && !b->data) {
            empty = i;
        } else if (b->users == 0 && b->bytes >= want && b->bytes / 4 <= want &&
                   (best < 0 || b->bytes < s->buffer[best].bytes)) {
            best = i;
        }
    }
    if (best < 0) {
        best = empty >= 0 ? empty : new_buffer(s);
        if (best < 0) {
            return cvi_no_memory(err, sizeof *s->buffer);
        }
        s->buffer[best].data = cvi_malloc(want);
        if (!s->buffer[best].data) {
            return cvi_no_memory(err, want);
        }
        s->buffer[best].bytes = want;
    }
    s->buffer[best].users = 1;
    *buffer = best;
    return CVS_OK;
}

void cvi_incr_drop(cvi_incr *s, int *buffer) {
    if (*buffer >= 0) {
        s->buffer[*buffer].users--;
    }
    *buffer = -1;
}

void cvi_lane_clear(cvi_incr *s, int v) {
    cvi_lane *l = &s->lanes[v];
    cvi_incr_drop(s, &l->blocks);
    cvi_incr_drop(s, &l->stack[0]);
    cvi_incr_drop(s, &l->stack[1]);
}

int64_t cvi_lane_bytes(const cvi_incr *s, int v, cvs_layout form) {
    int64_t bytes = 0;
    (void)cvi_form_bytes(&s->x->slots[v].shape, form, &bytes);
    return bytes;
}

/* ---- cutting ------------------------------------------------------------------------------------------ */

typedef struct cut_job {
    const cvi_incr *s;
    const cvi_cut *cut;
    const float *base;
    const char *stack; /* of channels-last whole values, or NULL */
    const float *blocks;
    int64_t pitch, h, w, bands, rows; /* a chunk is a band of rows of one box */
} cut_job;

static void copy_pixels(float *to, const float *from, int64_t count, int64_t pitch) {
    if (count > 0) {
        memcpy(to, from, (size_t)(count * pitch) * sizeof *to);
    }
}

/* Columns [x0, x1) of row y, all inside the picture. */
static void cut_inside(const cut_job *j, int64_t who, int64_t y, int64_t x0, int64_t x1, float *to) {
    const cvi_lane *l = &j->s->lanes[j->cut->v];
    int64_t p = j->pitch;
    if (j->stack) {
        copy_pixels(to, (const float *)(const void *)j->stack + ((who * j->h + y) * j->w + x0) * p, x1 - x0,
                    p);
        return;
    }
    const float *row = j->base + y * j->w * p;
    const cvi_box *have = l->dirty ? &l->have[who] : NULL;
    if (!have || y < have->y || y >= have->y + have->h || cvi_box_empty(have)) {
        copy_pixels(to, row + x0 * p, x1 - x0, p);
        return;
    }
    int64_t a = CVI_MAX(x0, CVI_MIN(x1, have->x)), b = CVI_MAX(a, CVI_MIN(x1, have->x + have->w));
    const float *block = j->blocks + l->at[who] + ((y - have->y) * have->w - have->x) * p;
    copy_pixels(to, row + x0 * p, a - x0, p);
    copy_pixels(to + (a - x0) * p, block + a * p, b - a, p);
    copy_pixels(to + (b - x0) * p, row + b * p, x1 - b, p);
}

static void cut_rows(void *context, int64_t chunk, int worker) {
    const cut_job *j = context;
    int64_t i = chunk / j->bands, first = chunk % j->bands * j->rows;
    const cvi_box *b = &j->cut->box[i];
    int64_t last = CVI_MIN(b->h, first + j->rows), p = j->pitch;
    (void)worker;
    for (int64_t r = first; r < last; r++) {
        int64_t y = b->y + r, x0 = CVI_MAX(0, CVI_MIN(-b->x, b->w)),
                x1 = CVI_MAX(x0, CVI_MIN(b->w, j->w - b->x));
        float *to = j->cut->to + j->cut->at[i] + r * b->w * p;
        if (y < 0 || y >= j->h) {
            memset(to, 0, (size_t)(b->w * p) * sizeof *to);
            continue;
        }
        memset(to, 0, (size_t)(x0 * p) * sizeof *to);
        cut_inside(j, j->cut->who[i], y, b->x + x0, b->x + x1, to + x0 * p);
        memset(to + x1 * p, 0, (size_t)((b->w - x1) * p) * sizeof *to);
    }
}

cvs_status cvi_incr_cut(cvi_incr *s, const cvi_cut *cut, cvs_error *err) {
    const cvi_lane *l = &s->lanes[cut->v];
    const cvs_tensor *t = &s->x->slots[cut->v].shape;
    cut_job j = {.s = s, .cut = cut, .pitch = cvi_incr_pitch(s, cut->v), .h = t->dim[2], .w = t->dim[3]};
    int64_t high = 1, wide = 1;
    void *base = NULL;
    char *stack = NULL;
    if (l->dirty && l->stacked) {
        CVI_TRY(cvi_incr_stack(s, cut->v, CVS_NHWC8, &stack, err));
        j.stack = stack;
    } else {
        CVI_TRY(cvi_exec_form(s->x, cut->v, CVS_NHWC8, &base, err));
        j.base = base;
        j.blocks = l->blocks >= 0 ? (const float *)(const void *)s->buffer[l->blocks].data : NULL;
    }
    for (int64_t i = 0; i < cut->n; i++) {
        high = CVI_MAX(high, cut->box[i].h);
        wide = CVI_MAX(wide, cut->box[i].w);
    }
    j.rows = CVI_MAX(1, CVI_MIN(high, 16384 / (wide * j.pitch)));
    j.bands = (high + j.rows - 1) / j.rows;
    cvi_pool_run(s->x->options.pool, cut->n * j.bands, cut_rows, &j);
    return CVS_OK;
}

/* ---- whole values --------------------------------------------------------------------------------------- */

/* Channels-last pictures of all positions from their blocks. */
static cvs_status paste(cvi_incr *s, int v, char *to, cvs_error *err) {
    const cvs_tensor *t = &s->x->slots[v].shape;
    int64_t one = t->dim[2] * t->dim[3] * cvi_incr_pitch(s, v);
    cvi_arena_reset(s->x->scratch);
    int64_t *who = cvi_arena_alloc(s->x->scratch, s->n, sizeof *who);
    int64_t *at = cvi_arena_alloc(s->x->scratch, s->n, sizeof *at);
    cvi_box *box = cvi_arena_alloc(s->x->scratch, s->n, sizeof *box);
    if (!who || !at || !box) {
        return cvi_no_memory(err, (size_t)s->n * sizeof *box);
    }
    for (int64_t i = 0; i < s->n; i++) {
        who[i] = i;
        at[i] = i * one;
        box[i] = (cvi_box){0, 0, t->dim[2], t->dim[3]};
    }
    cvi_cut cut = {.v = v, .n = s->n, .who = who, .at = at, .box = box, .to = (float *)(void *)to};
    return cvi_incr_cut(s, &cut, err);
}

static cvs_status repeat(cvi_incr *s, int v, cvs_layout form, char *to, cvs_error *err) {
    size_t bytes = (size_t)cvi_lane_bytes(s, v, form);
    void *base = NULL;
    CVI_TRY(cvi_exec_form(s->x, v, form, &base, err));
    for (int64_t i = 0; i < s->n && bytes > 0; i++) {
        memcpy(to + (size_t)i * bytes, base, bytes);
    }
    return CVS_OK;
}

static void turn(const cvi_incr *s, int v, cvs_layout to, const char *from, char *out) {
    const cvs_tensor *t = &s->x->slots[v].shape;
    int64_t pixels = t->dim[2] * t->dim[3], n = s->n * t->dim[0];
    const float *a = (const float *)(const void *)from;
    float *b = (float *)(void *)out;
    (to == CVS_NHWC8 ? cvi_to_nhwc8 : cvi_from_nhwc8)(s->x->options.pool, n, t->dim[1], pixels, a, b);
}

cvs_status cvi_incr_stack(cvi_incr *s, int v, cvs_layout form, char **data, cvs_error *err) {
    cvi_lane *l = &s->lanes[v];
    if (l->stack[form] < 0) {
        int made = -1;
        int64_t bytes = 0;
        if (!cvi_mul(s->n, cvi_lane_bytes(s, v, form), &bytes)) {
            return cvi_fail(err, CVS_E_LIMIT, "the values of this model are larger than any memory");
        }
        CVI_TRY(cvi_incr_take(s, bytes, &made, err));
        cvs_status status = CVS_OK;
        char *to = s->buffer[made].data;
        cvs_layout other = form == CVS_PLAIN ? CVS_NHWC8 : CVS_PLAIN;
        if (!l->dirty) {
            status = repeat(s, v, form, to, err);
        } else if (l->stack[other] >= 0) {
            turn(s, v, form, s->buffer[l->stack[other]].data, to);
        } else if (form == CVS_NHWC8) {
            status = paste(s, v, to, err);
        } else {
            char *last = NULL;
            status = cvi_incr_stack(s, v, CVS_NHWC8, &last, err);
            if (status == CVS_OK) {
                turn(s, v, form, last, s->buffer[made].data);
            }
        }
        if (status != CVS_OK) {
            cvi_incr_drop(s, &made);
            return status;
        }
        l->stack[form] = made;
    }
    *data = s->buffer[l->stack[form]].data;
    return CVS_OK;
}

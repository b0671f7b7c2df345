/* SPDX-License-Identifier: MIT
 * incr_edit.c - edits of the incremental re-run: the box that they touch, and writing the new numbers into blocks or whole values.
 */
#include "engine/incr.h"

/* A value as [C,H,W] of its first sample. */
typedef struct view {
    int64_t c, h, w;
} view;

static view view_of(const cvi_incr *s, int v) {
    const cvs_tensor *t = &s->x->slots[v].shape;
    view q = {1, 1, 1};
    if (t->rank == 1) {
        q.c = t->dim[0];
    } else if (t->rank == 4) {
        q = (view){t->dim[1], t->dim[2], t->dim[3]};
    } else if (t->rank > 1) {
        q.c = t->dim[1];
        for (int i = 2; i < t->rank; i++) {
            q.h *= t->dim[i];
        }
    }
    return q;
}

/* The box of an edit, clipped; false where nothing is left. */
static bool edit_box(const cvi_incr *s, const cvi_edit *e, cvi_box *box) {
    view q = view_of(s, e->value);
    int64_t y1 = e->h > q.h - e->y ? q.h : e->y + e->h, x1 = e->w > q.w - e->x ? q.w : e->x + e->w;
    box->y = CVI_MAX(0, e->y);
    box->x = CVI_MAX(0, e->x);
    box->h = CVI_MAX(0, y1 - box->y);
    box->w = CVI_MAX(0, x1 - box->x);
    bool channels = e->c < q.c && e->channels >= 0;
    if (!channels || cvi_box_empty(box)) {
        *box = (cvi_box){0};
        return false;
    }
    return true;
}

cvi_box cvi_edit_around(const cvi_incr *s, int v, int64_t position) {
    cvi_box all = {0}, one;
    const cvi_change *change = &s->changes[position];
    for (int i = 0; i < change->n; i++) {
        if (change->edit[i].value == v && edit_box(s, &change->edit[i], &one)) {
            all = cvi_box_join(&all, &one);
        }
    }
    return all;
}

/* The number of channel c (counted in the value) at (y, x). */
static float number_at(const cvi_edit *e, int64_t c, int64_t y, int64_t x) {
    int64_t k = c - e->c;
    return e->fill ? e->fill[k] : e->data ? e->data[(k * e->h + y - e->y) * e->w + x - e->x] : 0.0F;
}

static int64_t last_channel(const cvi_edit *e, int64_t channels) {
    return e->channels == 0 || e->channels > channels - e->c ? channels : e->c + e->channels;
}

/* Into a block that lies at `block` of its picture and contains the edit. */
static void make_last(const cvi_incr *s, const cvi_edit *e, const cvi_box *block, float *to) {
    cvi_box b;
    int64_t pitch = cvi_incr_pitch(s, e->value), end = last_channel(e, s->x->slots[e->value].shape.dim[1]);
    if (!edit_box(s, e, &b)) {
        return;
    }
    for (int64_t y = b.y; y < b.y + b.h; y++) {
        for (int64_t x = b.x; x < b.x + b.w; x++) {
            float *pixel = to + ((y - block->y) * block->w + x - block->x) * pitch;
            for (int64_t c = CVI_MAX(0, e->c); c < end; c++) {
                pixel[c] = number_at(e, c, y, x);
            }
        }
    }
}

/* Into a whole value in plain memory; count: its numbers. */
void cvi_edit_plain(const cvi_incr *s, const cvi_edit *e, void *data, int64_t count) {
    view q = view_of(s, e->value);
    cvs_tensor t = s->x->slots[e->value].shape;
    cvi_box b;
    t.data = data;
    if (!edit_box(s, e, &b)) {
        return;
    }
    for (int64_t c = CVI_MAX(0, e->c); c < last_channel(e, q.c); c++) {
        for (int64_t y = b.y; y < b.y + b.h; y++) {
            for (int64_t x = b.x; x < b.x + b.w; x++) {
                int64_t at = (c * q.h + y) * q.w + x;
                if (at < count) {
                    cvi_put(&t, at, (double)number_at(e, c, y, x));
                }
            }
        }
    }
}

void cvi_edit_make(cvi_incr *s, int v) {
    cvi_lane *l = &s->lanes[v];
    const cvs_tensor *t = &s->x->slots[v].shape;
    bool last = cvi_incr_picture(s, v) && (!l->stacked || l->stack[CVS_NHWC8] >= 0);
    cvi_box whole = {0, 0, t->rank == 4 ? t->dim[2] : 0, t->rank == 4 ? t->dim[3] : 0};
    int buffer = !l->stacked ? l->blocks : l->stack[last ? CVS_NHWC8 : CVS_PLAIN];
    if (l->stacked) { /* the other form, if any, has the old numbers */
        cvi_incr_drop(s, &l->stack[last ? CVS_PLAIN : CVS_NHWC8]);
    }
    for (int64_t p = 0; p < s->n; p++) {
        for (int i = 0; i < s->changes[p].n; i++) {
            const cvi_edit *e = &s->changes[p].edit[i];
            if (e->value != v) {
                continue;
            }
            char *data = s->buffer[buffer].data;
            if (!last) {
                cvi_edit_plain(s, e, data + p * cvi_lane_bytes(s, v, CVS_PLAIN), cvs_tensor_count(t));
            } else if (l->stacked) {
                make_last(s, e, &whole, (float *)(void *)(data + p * cvi_lane_bytes(s, v, CVS_NHWC8)));
            } else {
                make_last(s, e, &l->have[p], (float *)(void *)data + l->at[p]);
            }
        }
    }
}

/* SPDX-License-Identifier: MIT
 * incr_window.c - operators whose output sees a window of their input (convolution, pooling), on rectangles. The rectangle that can
 * change follows per axis from kernel, stride, dilation and padding, cut to the map; rectangles of equal sides run together.
 */
#include "engine/incr.h"

enum {
    WHOLE_PERCENT = 85
}; /* of a map's grains: from here on the rectangle is the map, which saves cutting and halo */

typedef struct item {
    int64_t key[9]; /* equal keys run together: sides of output and input block, begin, end */
    int64_t who;
    cvi_box out, in;
} item;

typedef struct window_job {
    const cvi_unit *u;
    int from, to; /* values */
    const cvi_op *op;
    cvi_field_step field;
    int64_t in[2], out[2], grain; /* sides */
    item *items;
    int64_t n_items, changed;
} window_job;

/* First and last (exclusive) output along an axis whose window meets inputs [a, b). */
static void reach(const cvi_field_step *f, int axis, int64_t outputs, int64_t a, int64_t b, int64_t *from,
                  int64_t *to) {
    int64_t s = f->stride[axis], low = a + f->pad_begin[axis] - (f->kernel[axis] - 1) * f->dilation[axis];
    int64_t high = b - 1 + f->pad_begin[axis];
    *from = low <= 0 ? 0 : (low + s - 1) / s;
    *to = high < 0 ? 0 : CVI_MIN(outputs, high / s + 1);
}

static cvi_box reached(const window_job *j, const cvi_box *in) {
    int64_t y0, y1, x0, x1;
    if (cvi_box_empty(in)) {
        return (cvi_box){0};
    }
    reach(&j->field, 0, j->out[0], in->y, in->y + in->h, &y0, &y1);
    reach(&j->field, 1, j->out[1], in->x, in->x + in->w, &x0, &x1);
    return y1 > y0 && x1 > x0 ? (cvi_box){y0, x0, y1 - y0, x1 - x0} : (cvi_box){0};
}

/* Longer, to a multiple of the grain, as far as the map goes. */
static void round_up(int64_t grain, int64_t side, int64_t *at, int64_t *length) {
    *length = CVI_MIN(side, (*length + grain - 1) / grain * grain);
    *at = CVI_MIN(*at, side - *length);
}

static void settle(const window_job *j, item *it) {
    const cvi_field_step *f = &j->field;
    cvi_box *o = &it->out;
    int64_t g = j->grain, grains = ((o->h + g - 1) / g) * ((o->w + g - 1) / g);
    int64_t all = ((j->out[0] + g - 1) / g) * ((j->out[1] + g - 1) / g);
    bool whole = grains * 100 >= all * WHOLE_PERCENT;
    if (whole) {
        *o = (cvi_box){0, 0, j->out[0], j->out[1]};
        it->in = (cvi_box){0, 0, j->in[0], j->in[1]};
    } else {
        round_up(j->grain, j->out[0], &o->y, &o->h);
        round_up(j->grain, j->out[1], &o->x, &o->w);
    }
    int64_t begin[2], end[2], first[2] = {o->y, o->x}, count[2] = {o->h, o->w};
    for (int a = 0; a < 2; a++) {
        int64_t at = first[a] * f->stride[a] - f->pad_begin[a];
        int64_t until = at + (count[a] - 1) * f->stride[a] + (f->kernel[a] - 1) * f->dilation[a] + 1;
        int64_t from = at;
        if (whole) {
            from = 0;
            until = j->in[a];
        } else if (!j->op->zero_edge) {
            from = CVI_MIN(CVI_MAX(at, 0), j->in[a] - 1);
            until = CVI_MAX(CVI_MIN(until, j->in[a]), from + 1);
        }
        begin[a] = from - at;
        end[a] = (whole || !j->op->zero_edge) && until == j->in[a];
        *(a == 0 ? &it->in.y : &it->in.x) = from;
        *(a == 0 ? &it->in.h : &it->in.w) = until - from;
    }
    int64_t key[9] = {o->h, o->w, it->in.h, it->in.w, begin[0], begin[1], end[0], end[1], whole};
    memcpy(it->key, key, sizeof key);
}

static int by_key(const void *a, const void *b) {
    const item *x = a, *y = b;
    for (int i = 0; i < 9; i++) {
        if (x->key[i] != y->key[i]) {
            return x->key[i] < y->key[i] ? -1 : 1;
        }
    }
    return x->who < y->who ? -1 : x->who > y->who;
}

/* What can change at each position, and what will be computed. */
static cvs_status measure(cvi_incr *s, window_job *j, cvs_error *err) {
    const cvi_lane *in = &s->lanes[j->from];
    const cvi_lane *add =
        j->u->residual >= 0 && s->lanes[j->u->residual].dirty ? &s->lanes[j->u->residual] : NULL;
    cvi_lane *out = &s->lanes[j->to];
    j->items = cvi_calloc((size_t)s->n, sizeof *j->items);
    if (!j->items) {
        return cvi_no_memory(err, (size_t)s->n * sizeof *j->items);
    }
    for (int64_t p = 0; p < s->n; p++) {
        cvi_box box = in->dirty ? reached(j, &in->change[p]) : (cvi_box){0};
        if (add) {
            box = cvi_box_join(&box, &add->change[p]);
        }
        if (s->edited[j->to]) {
            cvi_box edit = cvi_edit_around(s, j->to, p);
            box = cvi_box_join(&box, &edit);
        }
        out->change[p] = box;
        out->have[p] = (cvi_box){0};
        out->at[p] = 0;
        if (!cvi_box_empty(&box)) {
            item *it = &j->items[j->n_items++];
            it->who = p;
            it->out = box;
            settle(j, it);
            j->changed += box.h * box.w;
        }
    }
    qsort(j->items, (size_t)j->n_items, sizeof *j->items, by_key);
    return CVS_OK;
}

/* Cuts blocks of value v for items [first, last): what they read (`in`) or what they write. */
static cvs_status cut_items(cvi_incr *s, const window_job *j, int v, bool in, int64_t first, int64_t last,
                            float *to, cvs_error *err) {
    int64_t n = last - first, floats = 0;
    int64_t *who = cvi_calloc((size_t)n, sizeof *who), *at = cvi_calloc((size_t)n, sizeof *at);
    cvi_box *box = cvi_calloc((size_t)n, sizeof *box);
    cvs_status status = who && at && box ? CVS_OK : cvi_no_memory(err, (size_t)n * sizeof *box);
    for (int64_t i = 0; i < n && status == CVS_OK; i++) {
        const item *it = &j->items[first + i];
        who[i] = it->who;
        box[i] = in ? it->in : it->out;
        at[i] = floats;
        floats += box[i].h * box[i].w * cvi_incr_pitch(s, v);
    }
    if (status == CVS_OK) {
        cvi_cut cut = {.v = v, .n = n, .who = who, .at = at, .box = box, .to = to};
        status = cvi_incr_cut(s, &cut, err);
    }
    cvi_free(who);
    cvi_free(at);
    cvi_free(box);
    return status;
}

/* The input blocks of items [first, last), cut out unless they lie there as they are needed. */
static cvs_status blocks_of(cvi_incr *s, const window_job *j, int64_t first, int64_t last, int *buffer,
                            const float **data, cvs_error *err) {
    const cvi_lane *in = &s->lanes[j->from];
    int64_t n = last - first, one = j->items[first].in.h * j->items[first].in.w * cvi_incr_pitch(s, j->from);
    bool there = in->dirty && !in->stacked;
    *buffer = -1;
    for (int64_t i = first; i < last && there; i++) {
        const item *it = &j->items[i];
        there = cvi_box_same(&it->in, &in->have[it->who]) &&
                in->at[it->who] == in->at[j->items[first].who] + (i - first) * one;
    }
    if (there) {
        *data = (const float *)(const void *)s->buffer[in->blocks].data + in->at[j->items[first].who];
        return CVS_OK;
    }
    if (in->dirty && in->stacked && n == s->n && j->items[first].key[8] != 0) { /* whole maps of all */
        char *stack;
        CVI_TRY(cvi_incr_stack(s, j->from, CVS_NHWC8, &stack, err));
        *data = (const float *)(const void *)stack;
        return CVS_OK;
    }
    CVI_TRY(cvi_incr_take(s, n * one * (int64_t)sizeof(float), buffer, err));
    float *to = (float *)(void *)s->buffer[*buffer].data;
    cvs_status status = cut_items(s, j, j->from, true, first, last, to, err);
    *data = to;
    if (status != CVS_OK) {
        cvi_incr_drop(s, buffer);
    }
    return status;
}

static cvs_status run_items(cvi_incr *s, const window_job *j, int64_t first, int64_t last, float *out,
                            cvs_error *err) {
    const item *it = &j->items[first];
    int buffer = -1;
    const float *data = NULL;
    CVI_TRY(blocks_of(s, j, first, last, &buffer, &data, err));
    cvs_status status = CVS_OK;
    if (j->u->residual >= 0) { /* waits where the result will be */
        status = cut_items(s, j, j->u->residual, false, first, last, out, err);
    }
    if (status == CVS_OK) {
        status = cvi_incr_fill(s, j->u, CVI_IN_CONSTANTS, err);
    }
    if (status == CVS_OK) {
        s->epilogue.residual = j->u->residual >= 0 ? out : NULL;
        cvs_tensor a = s->x->slots[j->from].shape, b = s->x->slots[j->to].shape;
        a.layout = b.layout = CVS_NHWC8;
        a.dim[0] = b.dim[0] = last - first;
        a.dim[2] = it->in.h;
        a.dim[3] = it->in.w;
        b.dim[2] = it->out.h;
        b.dim[3] = it->out.w;
        a.data = (void *)(uintptr_t)data;
        b.data = out;
        cvi_part part = {.in = &a,
                         .out = &b,
                         .begin = {it->key[4], it->key[5]},
                         .end = {it->key[6] != 0, it->key[7] != 0}};
        status = j->op->part(&s->call.ctx, &part);
        cvi_arena_reset(s->x->scratch);
    }
    cvi_incr_drop(s, &buffer);
    return status;
}

static cvs_status run_all(cvi_incr *s, window_job *j, cvs_error *err) {
    cvi_lane *out = &s->lanes[j->to];
    int64_t floats = 0, pitch = cvi_incr_pitch(s, j->to), computed = 0;
    bool whole = j->n_items == s->n;
    for (int64_t i = 0; i < j->n_items; i++) {
        const item *it = &j->items[i];
        out->have[it->who] = it->out;
        out->at[it->who] = floats;
        floats += it->out.h * it->out.w * pitch;
        computed += it->out.h * it->out.w;
        whole = whole && it->key[8] != 0;
    }
    int made = -1;
    CVI_TRY(cvi_incr_take(s, floats * (int64_t)sizeof(float), &made, err));
    for (int64_t i = 0, last; i < j->n_items; i = last) {
        last = i + 1;
        while (last < j->n_items &&
               memcmp(j->items[i].key, j->items[last].key, sizeof j->items[i].key) == 0) {
            last++;
        }
        float *to = (float *)(void *)s->buffer[made].data + out->at[j->items[i].who];
        cvs_status status = run_items(s, j, i, last, to, err);
        if (status != CVS_OK) {
            cvi_incr_drop(s, &made);
            return status;
        }
    }
    out->dirty = true;
    out->stacked = whole;
    *(whole ? &out->stack[CVS_NHWC8] : &out->blocks) = made;
    int64_t channels = s->x->slots[j->to].shape.dim[1];
    s->stats.changed += j->changed * channels;
    s->stats.computed += computed * channels;
    return CVS_OK;
}

cvs_status cvi_incr_window(cvi_incr *s, const cvi_unit *u, cvs_error *err) {
    const cvi_node *node = &s->x->g->nodes[u->n];
    window_job j = {.u = u, .from = node->in[0], .to = u->out, .op = node->def, .grain = 1};
    const cvs_tensor *a = &s->x->slots[j.from].shape, *b = &s->x->slots[j.to].shape;
    CVI_TRY(cvi_incr_fill(s, u, CVI_IN_CONSTANTS, err));
    node->def->field(&s->call.ctx, &j.field);
    if (node->def->grain) {
        j.grain = CVI_MAX(1, node->def->grain(&s->call.ctx));
    }
    for (int i = 0; i < 2; i++) {
        j.in[i] = a->dim[2 + i];
        j.out[i] = b->dim[2 + i];
    }
    cvi_arena_reset(s->x->scratch);
    cvs_status status = measure(s, &j, err);
    if (status == CVS_OK && j.n_items > 0) {
        status = run_all(s, &j, err);
    }
    cvi_free(j.items);
    return status;
}

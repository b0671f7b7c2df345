/* SPDX-License-Identifier: MIT
 * incr.h (internal to the incremental re-run) - the session, and what a batch of changes has of each value.
 *
 * A batch is a number of changes computed together ("positions"). Of every value that any of them reaches there is either one block
 * of pixels per position, channels last, that lies over the unchanged picture; or the whole value for every position, one after
 * another ("stack"), as if the batch dimension had been enlarged.
 */
#ifndef CVI_INCR_H
#define CVI_INCR_H

#include "engine/incremental.h"
#include "engine/plan.h"

/* Rows [y, y+h), columns [x, x+w). Nothing where h or w is 0. */
typedef struct cvi_box {
    int64_t y, x, h, w;
} cvi_box;

/* Memory that is used again for other values when its last user is gone; shared by views. */
typedef struct cvi_incr_buffer {
    char *data;
    size_t bytes;
    int users;
} cvi_incr_buffer;

typedef struct cvi_lane {
    bool dirty;      /* reached by a position of the batch */
    bool stacked;    /* whole values, in one or both forms of `stack` */
    cvi_box *change; /* [batch] what can differ from the base */
    cvi_box *have;   /* [batch] what was computed: contains change */
    int64_t *at;     /* [batch] where the block lies, in floats */
    int blocks;      /* buffer, -1 = none */
    int stack[2];    /* buffer by layout, -1 = none */
    int readers;     /* nodes of this run that have still to read it, and 1 if it is wanted */
    /* While the network is run again: the value's own memory, borrowed; a copy of what was there; as edited. Owned, but was. */
    cvs_tensor was, copy, held;
} cvi_lane;

typedef enum cvi_incr_mode {
    CVI_INCR_NONE,   /* not here: the network must be run again */
    CVI_INCR_VIEW,   /* the input under another name or shape */
    CVI_INCR_PIXELS, /* every pixel by itself */
    CVI_INCR_WINDOW, /* the operator's rule for rectangles */
    CVI_INCR_STACK,  /* whole values of all positions in one call */
    CVI_INCR_EACH    /* whole values, one position after another */
} cvi_incr_mode;

/* What runs as one: a node, or a fused group (plan.h) at the place of its last node. */
typedef struct cvi_unit {
    int n;        /* the node, or the group's head */
    int last;     /* the node, or the group's last one */
    int out;      /* first output */
    int residual; /* value that is added, -1 = none */
    cvi_group *group;
} cvi_unit;

struct cvi_incr {
    cvi_exec *x;
    cvi_lane *lanes;    /* per value */
    cvi_box *boxes;     /* memory of change and have */
    int64_t *ats;       /* memory of at */
    uint8_t *mode;      /* per node */
    bool *edited, *run; /* per value: edited in this run; per node: to be computed in this run */
    bool *split; /* per group: runs node by node, because somebody wants to see or change what is inside */
    cvi_epilogue epilogue;
    int64_t room;  /* positions that the lanes have room for */
    int64_t batch; /* asked for; 0 = chosen */
    cvi_incr_buffer *buffer;
    int n_buffer, room_buffer;
    cvi_call call;
    cvs_tensor part_in, part_out;
    /* the batch at work */
    const cvi_change *changes;
    int64_t n;
    bool keep; /* nothing is given back: every value may be asked for */
    bool live; /* a change was applied */
    bool again;
    cvi_incr_stats stats;
};

/* incr_blocks.c */
cvs_status cvi_incr_take(cvi_incr *s, int64_t bytes, int *buffer, cvs_error *err);
void cvi_incr_drop(cvi_incr *s, int *buffer); /* -1 allowed; becomes -1 */
void cvi_lane_clear(cvi_incr *s, int v);
int64_t cvi_lane_bytes(const cvi_incr *s, int v, cvs_layout form); /* of one whole value */
/* The whole value for every position of the batch in this form. */
cvs_status cvi_incr_stack(cvi_incr *s, int v, cvs_layout form, char **data, cvs_error *err);
/* Copies boxes (which may reach out of the picture: zeros there) of positions who[0..n), as they are with the change, to floats
 * at[i] of `to`; box and at count from 0 as who does. */
typedef struct cvi_cut {
    int v;
    int64_t n;
    const int64_t *who, *at;
    const cvi_box *box;
    float *to;
} cvi_cut;
cvs_status cvi_incr_cut(cvi_incr *s, const cvi_cut *cut, cvs_error *err);
/* incr_edit.c */
/* The box around all edits of v by a position. */
cvi_box cvi_edit_around(const cvi_incr *s, int v, int64_t position);
/* Makes the edits of v in its blocks or stack. */
void cvi_edit_make(cvi_incr *s, int v);
void cvi_edit_plain(const cvi_incr *s, const cvi_edit *e, void *data, int64_t count);
/* incr_window.c, incr_nodes.c */
/* What node n is part of; false where it runs later, at the last node of its group. */
bool cvi_incr_unit(const cvi_incr *s, int n, cvi_unit *u);
/* s->call for the unit, as cvi_call_fill does, with its weights and epilogue (but no residual yet). */
cvs_status cvi_incr_fill(cvi_incr *s, const cvi_unit *u, cvi_inputs what, cvs_error *err);
cvs_status cvi_incr_window(cvi_incr *s, const cvi_unit *u, cvs_error *err);
cvs_status cvi_incr_node(cvi_incr *s, const cvi_unit *u, cvs_error *err);
cvi_incr_mode cvi_incr_mode_of(cvi_incr *s, int n);

static inline bool cvi_box_empty(const cvi_box *b) {
    return b->h <= 0 || b->w <= 0;
}
static inline cvi_box cvi_box_join(const cvi_box *a, const cvi_box *b) {
    if (cvi_box_empty(a) || cvi_box_empty(b)) {
        return cvi_box_empty(a) ? *b : *a;
    }
    int64_t y = CVI_MIN(a->y, b->y), x = CVI_MIN(a->x, b->x);
    return (cvi_box){y, x, CVI_MAX(a->y + a->h, b->y + b->h) - y, CVI_MAX(a->x + a->w, b->x + b->w) - x};
}
static inline bool cvi_box_same(const cvi_box *a, const cvi_box *b) {
    return a->y == b->y && a->x == b->x && a->h == b->h && a->w == b->w;
}
static inline bool cvi_box_within(const cvi_box *a, const cvi_box *b) {
    return a->y >= b->y && a->x >= b->x && a->y + a->h <= b->y + b->h && a->x + a->w <= b->x + b->w;
}
/* float32 [1,C,H,W]: can lie in blocks. */
static inline bool cvi_incr_picture(const cvi_incr *s, int v) {
    const cvs_tensor *t = &s->x->slots[v].shape;
    return t->rank == 4 && t->dtype == CVS_F32 && t->dim[0] == 1 && t->dim[1] > 0 && t->dim[2] > 0 &&
           t->dim[3] > 0;
}
static inline int64_t cvi_incr_pitch(const cvi_incr *s, int v) {
    return (s->x->slots[v].shape.dim[1] + 7) / 8 * 8;
}

#endif

/* SPDX-License-Identifier: MIT
 * volume_places.c - sizes and places of the boxes of the style `volume`: solids of one size stand close together, long chains
 * break into rows, and an encoder and decoder with skips between equal sizes become a V.
 */
#include "draw/volume.h"

#include <math.h>

/* ---- sizes ------------------------------------------------------------------------------------------------------ */

static bool same_size(const cvi_shape *a, const cvi_shape *b) {
    return (a->rank < 0) == (b->rank < 0) && cvi_shape_height(a) == cvi_shape_height(b) &&
           cvi_shape_width(a) == cvi_shape_width(b) && (a->rank <= 2) == (b->rank <= 2);
}

static bool is_vector(const cvi_shape *s) {
    return s->rank >= 0 && s->rank <= 2;
}

static void size_solids(cvi_volume *v) {
    cvi_sketch *k = v->k;
    double side[2] = {HUGE_VAL, 1}, deep[2] = {HUGE_VAL, 1}, length[2] = {HUGE_VAL, 1};
    for (int i = 0; i < v->n; i++) {
        const cvi_shape *s = &k->node[i].out;
        double c = (double)CVI_MAX(cvi_shape_channels(s), 1);
        double *range = is_vector(s) ? length : deep;
        range[0] = fmin(range[0], c);
        range[1] = fmax(range[1], c);
        double h = (double)CVI_MAX(cvi_shape_height(s), 1), w = (double)CVI_MAX(cvi_shape_width(s), 1);
        side[0] = fmin(side[0], fmin(h, w));
        side[1] = fmax(side[1], fmax(h, w));
    }
    double most = k->o->fit == CVS_FIT_COLUMN ? 54 : k->o->fit == CVS_FIT_SLIDE ? 96 : 78;
    cvi_size_scale sides = cvi_size_scale_for(side[0], side[1], 8,
                                              v->is_v ? most * (0.15 + 0.75 * v->shrink) : most),
                   channels = cvi_size_scale_for(deep[0], deep[1], 4 * v->shrink, 30 * v->shrink),
                   lengths = cvi_size_scale_for(length[0], length[1], 14, most);
    cvi_font bold = cvi_sketch_font(k, 6.5, true, CVI_INK);
    for (int i = 0; i < v->n; i++) {
        cvi_solid *b = &v->at[i];
        const cvi_arch_node *n = &k->node[i];
        int64_t c = cvi_shape_channels(&n->out);
        b->ball = n->kind == CVI_NODE_ADD || n->kind == CVI_NODE_MUL;
        b->vector = is_vector(&n->out);
        if (b->ball) {
            b->w = b->h = 2 * CVI_BALL;
            b->d = 0;
        } else if (b->vector) {
            b->w = 4;
            b->h = 8;
            b->d = cvi_size_of(&lengths, (double)CVI_MAX(c, 1));
        } else {
            b->w = cvi_size_of(&channels, (double)CVI_MAX(c, 1));
            b->h = cvi_size_of(&sides, (double)CVI_MAX(cvi_shape_height(&n->out), 1));
            b->d = cvi_size_of(&sides, (double)CVI_MAX(cvi_shape_width(&n->out), 1));
        }
        b->count = b->ball ? "" : c >= 0 ? cvi_sketch_text(k, "%lld", (long long)c) : "?";
        b->label = cvi_text_width(&bold, b->count);
        b->starts = i == 0 || !same_size(&n->out, &k->node[i - 1].out);
        b->caption = b->ball ? "" : cvi_sketch_caption(k, i);
    }
    for (int i = 0; i < k->view->n_links; i++) {
        const cvi_link *l = &k->view->links[i];
        v->at[l->to].linked = v->at[l->to].linked || l->from == l->to - 1;
    }
}

/* Texts on the depth edges and captions: said once where neighbours would repeat them. */
static void choose_texts(cvi_volume *v) {
    cvi_sketch *k = v->k;
    const char *before = "";
    for (int i = 0; i < v->n; i++) {
        cvi_solid *b = &v->at[i];
        const cvi_shape *s = &k->node[i].out;
        bool last = i + 1 == v->n || v->at[i + 1].starts;
        if (last && !b->vector && !b->ball) {
            b->size = s->rank < 0 || (cvi_shape_height(s) == 1 && cvi_shape_width(s) == 1)
                          ? NULL
                          : cvi_sketch_text(k, "%lld×%lld", (long long)cvi_shape_height(s),
                                            (long long)cvi_shape_width(s));
        }
        if (b->ball) {
            continue;
        }
        bool repeats = !b->starts && strcmp(before, b->caption) == 0;
        before = b->caption;
        if (repeats || !v->captions) {
            b->caption = "";
        }
    }
}

/* Innermost frame around a box that stands for several units; -1 = none. */
int cvi_volume_repeat(const cvi_volume *v, int i) {
    int f = v->k->view->boxes[i].frame;
    while (f >= 0 && v->k->view->frames[f].repeat < 2) {
        f = v->k->view->frames[f].parent;
    }
    return f;
}

/* ---- places ------------------------------------------------------------------------------------------------------- */

/* How far the slanted size of a solid reaches to the right of its axis end. */
double cvi_solid_size_reach(const cvi_volume *v, const cvi_solid *b) {
    cvi_font small = cvi_sketch_font(v->k, 6.2, false, CVI_MUTED);
    return b->size == NULL ? CVI_OBLIQUE_HALF * b->d
                           : fmax(CVI_OBLIQUE_HALF * b->d,
                                  -CVI_OBLIQUE_HALF * b->d + 8 + 0.71 * cvi_text_width(&small, b->size));
}

double cvi_solid_reach_left(const cvi_solid *b) {
    return fmax(CVI_OBLIQUE_HALF * b->d, CVI_OBLIQUE_HALF * b->d + (b->label - b->w) / 2);
}

/* Free axis between a solid and the one before it. */
static double gap_before(const cvi_volume *v, int i) {
    const cvi_solid *p = &v->at[i - 1], *b = &v->at[i];
    bool close = !b->starts && b->linked;
    double gap = close ? 4.0 * v->shrink
                       : fmax(cvi_solid_size_reach(v, p) + 5, 13 * v->shrink) + cvi_solid_reach_left(b);
    double pitch = p->w / 2 + b->w / 2 + CVI_OBLIQUE_HALF * (p->d - b->d);
    double least = fmax((p->label + b->label) / 2 + 2.5, b->ball || p->ball || v->is_v ? 0 : 9.5);
    if (b->ball || p->ball) {
        gap = fmax(gap, 4 + CVI_OBLIQUE_HALF * CVI_MAX(p->d, b->d));
    } else if (b->vector && p->vector && fabs(b->d - p->d) > 0.1) { /* the shorter bar stays in front */
        gap = fmax(gap, fabs(b->d - p->d) * CVI_OBLIQUE_HALF + 5);
    }
    if (cvi_volume_repeat(v, i) != cvi_volume_repeat(v, i - 1)) { /* room for the hull's edge */
        gap = fmax(gap, CVI_OBLIQUE_HALF * p->d + CVI_OBLIQUE_HALF * b->d + 8);
    }
    return fmax(gap, least - pitch);
}

/* In a V a smaller size begins below the end of the larger one, a larger one above the end of the smaller. */
static double v_step(const cvi_volume *v, int i) {
    const cvi_solid *p = &v->at[i - 1], *b = &v->at[i];
    bool down = cvi_shape_height(&v->k->node[i].out) < cvi_shape_height(&v->k->node[i - 1].out);
    return p->x + p->w / 2 - b->w / 2 + (down ? 0 : CVI_OBLIQUE_HALF * b->d);
}

/* x of every solid, row by row; rows break before a run, or inside one that is too long. Returns the rows' width. */
static double place_solids(cvi_volume *v) {
    cvi_sketch *k = v->k;
    double x = k->left, widest = 0, indent = v->captions ? 16 : 4;
    int row = 0, run = 0;
    for (int i = 0; i < v->n; i++) {
        cvi_solid *b = &v->at[i];
        bool first = i == 0;
        if (b->starts && !first) {
            run = i;
        }
        b->x = first                  ? x + indent + cvi_solid_reach_left(b)
               : v->is_v && b->starts ? v_step(v, i)
                                      : x + gap_before(v, i);
        b->row = row;
        double end = b->x + b->w + cvi_solid_size_reach(v, b);
        if (!v->is_v && end + 8 > k->left + k->limit && i > 0 && v->at[i - 1].row == row) {
            bool whole =
                run < i && run > 0 && v->at[run - 1].row == row && v->at[run].x - k->left > 0.55 * k->limit;
            int from = whole ? run : i;
            row++;
            x = k->left + indent + 8;
            for (int j = from; j <= i; j++) {
                v->at[j].x = j == from ? x + cvi_solid_reach_left(&v->at[j]) : x + gap_before(v, j);
                v->at[j].row = row;
                x = v->at[j].x + v->at[j].w;
            }
            end = b->x + b->w + cvi_solid_size_reach(v, b);
        }
        x = b->x + b->w;
        widest = fmax(widest, end - k->left);
    }
    v->rows = row + 1;
    return widest;
}

/* ---- skips ---------------------------------------------------------------------------------------------------------- */

/* A V: at least two nested long skips between equal sizes that differ from each other. */
static bool find_v(cvi_volume *v) {
    const cvi_view *view = v->k->view;
    int outer = -1, nested = 0;
    for (int i = 0; i < view->n_links; i++) {
        const cvi_link *l = &view->links[i];
        const cvi_shape *a = &v->k->node[l->from].out, *b = &v->k->node[l->to].out;
        if (l->to - l->from < 4 || !same_size(a, b) || a->rank <= 2) {
            continue;
        }
        bool dips = false; /* something smaller lies between */
        for (int j = l->from + 1; j < l->to; j++) {
            dips = dips || cvi_shape_height(&v->k->node[j].out) < cvi_shape_height(a);
        }
        if (!dips) {
            continue;
        }
        if (outer >= 0) {
            const cvi_link *o = &view->links[outer];
            nested += (l->from > o->from && l->to < o->to) || (l->from < o->from && l->to > o->to);
        }
        if (outer < 0 || l->to - l->from > view->links[outer].to - view->links[outer].from) {
            outer = i;
        }
    }
    return nested >= 1;
}

/* In a V every size has its own height on the page. */
double cvi_volume_levels(cvi_volume *v, double top) {
    double y = 0, bottom = 0;
    int64_t last = INT64_MAX;
    double before = 0;
    for (;;) { /* sizes from large to small */
        int64_t size = -1;
        double h = 0;
        for (int i = 0; i < v->n; i++) {
            int64_t s = cvi_shape_height(&v->k->node[i].out);
            size = s < last && s > size ? s : size;
        }
        if (size < 0) {
            break;
        }
        for (int i = 0; i < v->n; i++) {
            if (cvi_shape_height(&v->k->node[i].out) == size) {
                h = fmax(h, v->at[i].h / 2 + CVI_OBLIQUE_HALF * v->at[i].d);
            }
        }
        y = last == INT64_MAX ? top + h : y + before + h + (v->captions ? 44 : 20);
        for (int i = 0; i < v->n; i++) {
            if (cvi_shape_height(&v->k->node[i].out) == size) {
                v->at[i].y = y;
            }
        }
        bottom = fmax(bottom, y + h);
        before = h;
        last = size;
    }
    for (int i = 0; i < v->n; i++) { /* unknown sizes */
        v->at[i].y = v->at[i].y > 0 ? v->at[i].y : y;
    }
    return bottom;
}

/* ---- all ---------------------------------------------------------------------------------------------------------- */

void cvi_volume_place(cvi_volume *v) {
    cvi_sketch *k = v->k;
    static const double shrinks[] = {1.0, 0.85, 0.7, 0.55, 0.42};
    v->is_v = find_v(v);
    v->captions = !(k->o->labels & CVS_LABEL_NONE) && (!v->is_v || (k->o->labels & CVS_LABEL_NAMES));
    bool fits = false;
    for (int i = 0; v->is_v && !fits && i < CVI_COUNT(shrinks); i++) {
        v->shrink = shrinks[i];
        size_solids(v);
        choose_texts(v);
        fits = place_solids(v) <= k->limit;
    }
    if (!fits) {
        v->captions = !(k->o->labels & CVS_LABEL_NONE);
        v->is_v = false;
        v->shrink = k->o->fit == CVS_FIT_COLUMN ? 0.75 : 1.0;
        size_solids(v);
        choose_texts(v);
        place_solids(v);
    }
}

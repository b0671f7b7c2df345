/* SPDX-License-Identifier: MIT
 * style_pgm.c - draws a graphical model in plate notation (DAFT, tikz-bayesnet): circles, grey what is observed, a double ring for
 * what is computed, a dot for what is fixed, rectangles for what repeats. Not a network: it reads a text of its own (pgm.h).
 */
#include <math.h>

#include "draw/arch.h"
#include "draw/pgm.h"

static void draw_label(cvi_scene *s, const cvi_pgm_node *n, double x, double y) {
    cvi_font font = {.size = CVI_PGM_FONT, .color = s->theme->role[CVI_INK], .anchor = CVI_MIDDLE};
    if (cvi_math_width(&n->math, &font) > 150) { /* no label is that long: shortened, whole in the tooltip */
        cvi_draw_text_fit(s, x, y, 148, &font, n->label ? n->label : n->id);
    } else {
        cvi_math_draw(s, x, y, &font, &n->math);
    }
}

static void ellipse(cvi_scene *s, double x, double y, double a, double b, const cvi_paint *paint) {
    const double k = 0.5522847498; /* a circle as four Bezier curves */
    cvi_path_begin(s);
    cvi_path_move(s, x + a, y);
    cvi_path_curve(s, x + a, y + k * b, x + k * a, y + b, x, y + b);
    cvi_path_curve(s, x - k * a, y + b, x - a, y + k * b, x - a, y);
    cvi_path_curve(s, x - a, y - k * b, x - k * a, y - b, x, y - b);
    cvi_path_curve(s, x + k * a, y - b, x + a, y - k * b, x + a, y);
    cvi_path_close(s);
    cvi_path_end(s, paint);
}

static void outline(cvi_scene *s, const cvi_pgm_node *n, double inset, const cvi_paint *paint) {
    double w = n->w - 2 * inset, h = n->h - 2 * inset;
    if (n->box) {
        cvi_draw_rect(s, n->x - w / 2, n->y - h / 2, w, h, 2, paint);
    } else {
        ellipse(s, n->x, n->y, w / 2, h / 2, paint);
    }
}

/* An edge of a fixed value usually leaves downwards or sideways: its label stands above, else below. */
static bool label_below(const cvi_pgm *p, int node) {
    for (int e = 0; e < p->n_edges; e++) {
        int other = p->edges[e].from == node ? p->edges[e].to
                    : p->edges[e].to == node ? p->edges[e].from
                                             : -1;
        if (other >= 0 && p->nodes[other].y < p->nodes[node].y - 1 &&
            fabs(p->nodes[other].x - p->nodes[node].x) < p->nodes[node].y - p->nodes[other].y) {
            return true;
        }
    }
    return false;
}

static void draw_node(cvi_scene *s, const cvi_pgm *p, int i) {
    const cvi_pgm_node *n = &p->nodes[i];
    cvi_paint paint = {.fill = s->theme->role[CVI_PAGE], .stroke = s->theme->role[CVI_INK], .width = 1};
    char *id = cvi_arena_printf(s->arena, "node-%s", n->id);
    cvi_group_begin(s, id, n->label ? n->label : n->id, NULL);
    if (n->kind == CVI_PGM_FIXED) {
        paint.fill = s->theme->role[CVI_INK];
        cvi_draw_circle(s, n->x, n->y, 3, &paint);
        draw_label(s, n, n->x, label_below(p, i) ? n->y + 6 + CVI_ASCENT * CVI_PGM_FONT : n->y - 8);
    } else {
        if (n->kind == CVI_PGM_OBSERVED) {
            paint.fill = s->theme->look[CVI_CLASS_INPUT].fill;
        }
        outline(s, n, 0, &paint);
        if (n->kind == CVI_PGM_ALTERNATE) {
            paint.fill = 0;
            outline(s, n, 3, &paint);
        }
        draw_label(s, n, n->x, n->y + 0.35 * CVI_PGM_FONT);
    }
    cvi_group_end(s);
}

/* Where the way from (x, y) into the node meets its outline. */
static void rim(const cvi_pgm_node *n, double x, double y, double *rx, double *ry) {
    double dx = x - n->x, dy = y - n->y, a = n->w / 2 + 0.5, b = n->h / 2 + 0.5;
    if (n->kind == CVI_PGM_FIXED) {
        a = b = 3.5;
    }
    double u = n->box ? 1 / CVI_MAX(CVI_MAX(fabs(dx) / a, fabs(dy) / b), 1e-9)
                      : 1 / CVI_MAX(sqrt(dx * dx / (a * a) + dy * dy / (b * b)), 1e-9);
    *rx = n->x + u * dx;
    *ry = n->y + u * dy;
}

static void draw_edge(cvi_scene *s, const cvi_pgm *p, const cvi_pgm_edge *e) {
    const cvi_pgm_node *a = &p->nodes[e->from], *b = &p->nodes[e->to];
    cvi_color ink = s->theme->role[CVI_INK];
    cvi_paint paint = {.stroke = ink, .width = 1};
    double length = CVI_MAX(hypot(b->x - a->x, b->y - a->y), 1e-9);
    double nx = (b->y - a->y) / length, ny = -(b->x - a->x) / length; /* to the left of the way */
    double cx = (a->x + b->x) / 2 + 2 * e->bend * nx, cy = (a->y + b->y) / 2 + 2 * e->bend * ny;
    double x1, y1, x2, y2, head = e->directed ? 6 : 0;
    rim(a, e->bend != 0 ? cx : b->x, e->bend != 0 ? cy : b->y, &x1, &y1);
    rim(b, e->bend != 0 ? cx : a->x, e->bend != 0 ? cy : a->y, &x2, &y2);
    double dx = e->bend != 0 ? x2 - cx : x2 - x1, dy = e->bend != 0 ? y2 - cy : y2 - y1;
    double d = CVI_MAX(hypot(dx, dy), 1e-9);
    dx /= d;
    dy /= d;
    double ex = x2 - dx * head * 0.7, ey = y2 - dy * head * 0.7; /* the line ends inside the head */
    char *title = cvi_arena_printf(s->arena, e->directed ? "%s → %s" : "%s — %s", a->id, b->id);
    cvi_group_begin(s, NULL, title, NULL);
    cvi_path_begin(s);
    cvi_path_move(s, x1, y1);
    if (e->bend != 0) { /* the quadratic curve as a cubic one */
        cvi_path_curve(s, x1 + (cx - x1) * 2 / 3, y1 + (cy - y1) * 2 / 3, ex + (cx - ex) * 2 / 3,
                       ey + (cy - ey) * 2 / 3, ex, ey);
    } else {
        cvi_path_line(s, ex, ey);
    }
    cvi_path_end(s, &paint);
    if (e->directed) {
        cvi_draw_arrow_head(s, x2, y2, dx, dy, head, ink);
    }
    if (e->label) {
        cvi_font font = {.size = 9, .color = s->theme->role[CVI_MUTED], .anchor = CVI_MIDDLE};
        double width = cvi_math_width(&e->math, &font) / 2 + 4;
        double mx = (x1 + x2) / 4 + cx / 2, my = (y1 + y2) / 4 + cy / 2, side = e->bend < 0 ? -1 : 1;
        double tx = mx + side * nx * width, ty = my + side * ny * 9 + 3;
        const cvi_paint page = {.fill = s->theme->role[CVI_PAGE]};
        cvi_draw_rect(s, tx - width + 2, ty - 8, 2 * width - 4, 11, 0, &page);
        cvi_math_draw(s, tx, ty, &font, &e->math);
    }
    cvi_group_end(s);
}

static void draw_plate(cvi_scene *s, const cvi_pgm_plate *q, int i) {
    cvi_paint paint = {.stroke = s->theme->role[CVI_INK], .width = 1};
    char *id = cvi_arena_printf(s->arena, "plate-%d", i + 1);
    cvi_group_begin(s, id, q->label, NULL);
    cvi_draw_rect(s, q->x, q->y, q->w, q->h, 3, &paint);
    cvi_font font = {.size = CVI_PGM_FONT, .color = s->theme->role[CVI_INK]};
    if (cvi_math_width(&q->math, &font) > q->w - 8) {
        cvi_draw_text_fit(s, q->x + 6, q->y + q->h - 6, q->w - 12, &font, q->label);
    } else {
        cvi_math_draw(s, q->x + 6, q->y + q->h - 6, &font, &q->math);
    }
    cvi_group_end(s);
}

static cvs_status draw_pgm(const cvi_draw_job *job, cvi_pgm *p, cvi_drawing *out, cvs_error *err) {
    const char *title = job->o->title ? job->o->title : p->title ? p->title : "";
    CVI_TRY(cvi_pgm_parse(p->arena, job->source[0].text, p, err));
    CVI_TRY(cvi_pgm_layout(p, err));
    title = job->o->title ? job->o->title : p->title ? p->title : "";
    cvi_scene *s = out->scene =
        cvi_scene_new(job->o->lang, job->o->theme, *title ? title : job->source[0].name);
    if (!s) {
        return cvi_no_memory(err, sizeof *s);
    }
    cvi_font font = {.size = 13, .bold = true, .color = s->theme->role[CVI_INK], .anchor = CVI_MIDDLE};
    double head = *title ? 24 : 0;
    double width = CVI_MAX(p->width, *title ? CVI_MIN(cvi_text_width(&font, title) + 24, 480) : 0),
           dx = (width - p->width) / 2;
    for (int i = 0; i < p->n_nodes; i++) {
        p->nodes[i].x += dx;
        p->nodes[i].y += head;
    }
    for (int q = 0; q < p->n_plates; q++) {
        p->plates[q].x += dx;
        p->plates[q].y += head;
    }
    if (*title) {
        cvi_draw_text_fit(s, width / 2, 18, width - 16, &font, title);
    }
    for (int q = 0; q < p->n_plates; q++) {
        draw_plate(s, &p->plates[q], q);
    }
    for (int e = 0; e < p->n_edges; e++) {
        draw_edge(s, p, &p->edges[e]);
    }
    for (int i = 0; i < p->n_nodes; i++) {
        draw_node(s, p, i);
    }
    cvi_scene_page(s, width, p->height + head);
    return CVS_OK;
}

static cvs_status draw(const cvi_draw_job *job, cvi_drawing *out, cvs_error *err) {
    if (!job->source[0].text) {
        return cvi_fail(err, CVS_E_ARGUMENT,
                        "the style pgm draws a text of nodes, edges and plates; %.80s is a model",
                        job->source[0].name ? job->source[0].name : "this");
    }
    cvi_pgm p = {.arena = cvi_arena_new(64 << 20)};
    if (!p.arena) {
        return cvi_no_memory(err, sizeof p);
    }
    cvs_status s = draw_pgm(job, &p, out, err);
    cvi_arena_free(p.arena);
    return s == CVS_OK ? s : cvi_at_file(err, s, job->source[0].name ? job->source[0].name : "text");
}

const cvi_draw_style cvi_style_pgm = {
    .name = "pgm",
    .en = "a graphical model in plate notation, from a text of nodes, edges and plates",
    .zh = "盘式记法的概率图模型，由描述节点、边与盘的文本生成",
    .pictures = true,
    .most = 1,
    .sources_only = true,
    .reads = cvi_pgm_match,
    .draw = draw,
};

/* SPDX-License-Identifier: MIT
 * style_convnetdraw.c - ConvNetDraw's picture: cuboids in a row, channels wide, rows high, columns deep on linear scales, with
 * its colours and sliders (--set ratio1=,ratio2=,zoomx=,zoomy=,zoomz=,bw=) and, if asked, arrows. Boxes that are not square
 * are centred by their height and spaced by their width, which the original confuses.
 */
#include "draw/convnetdraw.h"
#include "draw/sketch.h"

#include <math.h>

typedef struct sliders {
    double ratio1, ratio2, zoomx, zoomy, zoomz, bw, arrows;
} sliders;

typedef struct cuboid {
    double x, w, h, dx, dy, body, pitch; /* front face; depth as drawn */
    int row;
    const char *label;
} cuboid;

static cvs_status read_sliders(const cvs_draw_options *o, sliders *s, cvs_error *err) {
    CVI_TRY(cvi_sketch_settings(o, "ratio1 ratio2 zoomx zoomy zoomz bw arrows", err));
    CVI_TRY(cvi_sketch_setting(o, "ratio1", 0, 1000, 300, &s->ratio1, err));
    CVI_TRY(cvi_sketch_setting(o, "ratio2", 0, 1000, 500, &s->ratio2, err));
    CVI_TRY(cvi_sketch_setting(o, "zoomx", 0, 20, 4, &s->zoomx, err));
    CVI_TRY(cvi_sketch_setting(o, "zoomy", 0, 20, 4, &s->zoomy, err));
    CVI_TRY(cvi_sketch_setting(o, "zoomz", 0, 20, 4, &s->zoomz, err));
    CVI_TRY(cvi_sketch_setting(o, "bw", 0, 1, o->theme == CVS_BLACK_WHITE, &s->bw, err));
    return cvi_sketch_setting(o, "arrows", 0, 1, 0, &s->arrows, err);
}

static cvi_color color_of(const cvi_sketch *k, cvi_class cls) {
    if (k->o->theme != CVS_LIGHT) {
        return k->t->look[cls].fill;
    }
    switch (cls) { /* the original's */
    case CVI_CLASS_CONV:
        return 0x5BC3C4FF;
    case CVI_CLASS_ACTIVATION:
        return 0xFFC33FFF;
    case CVI_CLASS_POOL:
        return 0xF9E3B4FF;
    case CVI_CLASS_DENSE:
        return 0xFE4D66FF;
    case CVI_CLASS_SOFTMAX:
        return 0xFE4D69FF;
    case CVI_CLASS_INPUT:
    case CVI_CLASS_UNKNOWN:
        return 0x00C8FAFF;
    default:
        return k->t->look[cls].fill;
    }
}

static double side(int64_t v) {
    return (double)CVI_MAX(v, 1);
}

static void size_cuboids(cvi_sketch *k, const sliders *o, cuboid *at) {
    cvi_font font = cvi_sketch_font(k, 6.2, false, CVI_INK);
    double tall = 0, wide = 0;
    for (int i = 0; i < k->view->n_boxes; i++) {
        const cvi_shape *s = &k->node[i].out;
        cuboid *c = &at[i];
        c->w = side(cvi_shape_channels(s)) * o->zoomx;
        c->h = side(cvi_shape_height(s)) * o->zoomy;
        c->dx = side(cvi_shape_width(s)) * o->zoomz * o->ratio1 / 1000;
        c->dy = side(cvi_shape_width(s)) * o->zoomz * o->ratio2 / 1000;
        c->label = s->rank < 0
                       ? "?"
                       : cvi_sketch_text(k, "%lldx%lldx%lld", (long long)cvi_shape_height(s),
                                         (long long)cvi_shape_width(s), (long long)cvi_shape_channels(s));
        tall = fmax(tall, c->h + c->dy);
        wide = fmax(wide, c->w + c->dx);
    }
    double fit = fmin(1.0, fmin(170 / fmax(tall, 1), k->limit / fmax(wide, 1)));
    for (int i = 0; i < k->view->n_boxes; i++) {
        cuboid *c = &at[i];
        c->w = fmax(c->w * fit, 0.6);
        c->h = fmax(c->h * fit, 0.6);
        c->dx *= fit;
        c->dy *= fit;
        c->body = c->w + c->dx;
        c->pitch = fmax(c->body, cvi_text_width(&font, c->label)) + (o->arrows > 0.5 ? 16 : 5);
    }
}

static void draw_cuboid(cvi_sketch *k, const sliders *o, int i, const cuboid *c, double middle) {
    cvi_color fill = o->bw > 0.5 ? k->t->role[CVI_PAGE] : color_of(k, k->node[i].cls);
    cvi_paint face = {.stroke = k->t->role[CVI_INK], .width = 0.75, .round = true};
    double x = c->x + (c->pitch - c->body) / 2, y = middle - (c->h - c->dy) / 2, x1 = x + c->w, y1 = y + c->h;
    cvi_font font = cvi_sketch_font(k, 6.2, false, CVI_INK);
    font.anchor = CVI_MIDDLE;
    cvi_sketch_box_begin(k, i);
    face.fill = o->bw > 0.5 ? fill : cvi_shade(fill, -0.1);
    cvi_draw_rect(k->s, x, y, c->w, c->h, 0, &face);
    face.fill = o->bw > 0.5 ? fill : cvi_shade(fill, 0.2);
    cvi_draw_polygon(k->s, (double[]){x, y, x + c->dx, y - c->dy, x1 + c->dx, y - c->dy, x1, y}, 4, &face);
    face.fill = o->bw > 0.5 ? fill : cvi_shade(fill, 0.1);
    cvi_draw_polygon(k->s, (double[]){x1, y, x1 + c->dx, y - c->dy, x1 + c->dx, y1 - c->dy, x1, y1}, 4,
                     &face);
    cvi_draw_text(k->s, x + c->body / 2, y - c->dy - 4, &font, c->label);
    cvi_group_end(k->s);
}

static void draw_rows(cvi_sketch *k, const sliders *o, cuboid *at) {
    int n = k->view->n_boxes;
    for (int first = 0; first < n;) {
        int end = first;
        double x = k->left, tall = 0;
        while (end < n && (end == first || x + at[end].pitch <= k->left + k->limit)) {
            at[end].x = x;
            x += at[end].pitch;
            tall = fmax(tall, at[end].h + at[end].dy);
            end++;
        }
        double middle = k->y + 10 + tall / 2;
        for (int i = first; i < end; i++) {
            draw_cuboid(k, o, i, &at[i], middle);
            if (o->arrows > 0.5 && i > first) {
                cvi_paint line = {.stroke = k->t->role[CVI_MUTED], .width = 0.8};
                cvi_draw_line(k->s, at[i].x - 6, middle, at[i].x + 1, middle, &line);
                cvi_draw_arrow_head(k->s, at[i].x + 4, middle, 1, 0, 4, line.stroke);
            }
        }
        k->right = fmax(k->right, x);
        k->y = middle + tall / 2 + 8;
        first = end;
    }
}

static cvs_status draw(const cvi_draw_job *job, cvi_drawing *out, cvs_error *err) {
    cvi_sketch k;
    sliders o;
    cuboid *at = NULL;
    CVI_TRY(read_sliders(job->o, &o, err));
    cvs_status s = cvi_sketch_begin_blocks(&k, job, err);
    if (s == CVS_OK) {
        at = cvi_calloc((size_t)CVI_MAX(k.view->n_boxes, 1), sizeof *at);
        s = at != NULL ? CVS_OK : cvi_no_memory(err, sizeof *at);
    }
    if (s == CVS_OK) {
        int skips = 0;
        for (int i = 0; i < k.view->n_links; i++) {
            skips += k.view->links[i].to != k.view->links[i].from + 1;
        }
        size_cuboids(&k, &o, at);
        draw_rows(&k, &o, at);
        const char *notes[] = {
            cvi_sketch_tr(&k, "Height x width x channels above each box; all three on linear scales."),
            skips > 0 ? cvi_sketch_text(&k, cvi_sketch_tr(&k, "Not drawn: %d connections that skip."), skips)
                      : NULL,
            NULL};
        memset(k.used, 0, sizeof k.used); /* its colours are not the legend's */
        s = cvi_sketch_end(&k, notes, out, err);
    }
    cvi_free(at);
    cvi_sketch_free(&k);
    return s;
}

const cvi_draw_style cvi_style_convnetdraw = {
    .name = "convnetdraw",
    .en = "ConvNetDraw's cuboids, from its scripts or any model",
    .zh = "ConvNetDraw 的立方体图，读取其脚本或任何模型",
    .pictures = true,
    .most = 1,
    .reads = cvi_convnetdraw_match,
    .draw = draw,
};

/* SPDX-License-Identifier: MIT
 * style_lenet.c - the architecture as stacks of maps, after figure 2 of LeCun, Bottou, Bengio and Haffner 1998: the window of
 * every layer as a patch with lines to the value it makes; with a picture and weights, the maps are the real ones.
 */
#include "convscope/run.h"
#include "draw/sketch.h"

#include <math.h>

enum { MOST_MAPS = 8 };

typedef struct stack {
    int box;
    double x, y;        /* top left of the rearmost map */
    double w, h, pitch; /* of one map; room that it takes along the row */
    double shift;       /* from map to map, points */
    int maps, row;
    bool vector;
    const char *label, *below;
    bool stub; /* a side branch begins or ends here */
} stack;

typedef struct lenet {
    cvi_sketch *k;
    stack *at;
    int n, hidden; /* hidden: boxes that are not on the main path */
    cvs_run *run;
    cvs_summary sum;
} lenet;

/* ---- the main path ------------------------------------------------------------------------------------------------ */

/* Boxes from an input to the end with the most multiply-accumulates, then boxes. */
static cvs_status find_path(lenet *t, cvs_error *err) {
    const cvi_view *v = t->k->view;
    size_t n = (size_t)CVI_MAX(v->n_boxes, 1);
    double *best = cvi_calloc(n, sizeof *best);
    int *before = cvi_calloc(n, sizeof *before), end = -1;
    t->at = cvi_calloc(n, sizeof *t->at);
    if (best == NULL || before == NULL || t->at == NULL) {
        cvi_free(best);
        cvi_free(before);
        return cvi_no_memory(err, n * sizeof *t->at);
    }
    for (int i = 0, l = 0; i < v->n_boxes; i++) {
        before[i] = -1;
        for (; l < v->n_links && v->links[l].to == i; l++) { /* links are sorted by their end */
            int from = v->links[l].from;
            before[i] = before[i] < 0 || best[from] > best[before[i]] ? from : before[i];
        }
        best[i] = (before[i] >= 0 ? best[before[i]] : 0) + (double)t->k->node[i].macs + 1.0;
        end = end < 0 || best[i] >= best[end] ? i : end;
    }
    for (int i = end; i >= 0; i = before[i]) {
        t->at[t->n++].box = i;
    }
    for (int i = 0; i < t->n / 2; i++) {
        int b = t->at[i].box;
        t->at[i].box = t->at[t->n - 1 - i].box;
        t->at[t->n - 1 - i].box = b;
    }
    t->hidden = v->n_boxes - t->n;
    for (int i = 0; i < t->n; i++) {
        for (int l = 0; l < v->n_links; l++) {
            const cvi_link *k = &v->links[l];
            bool next = i + 1 < t->n && k->from == t->at[i].box && k->to == t->at[i + 1].box;
            bool last = i > 0 && k->to == t->at[i].box && k->from == t->at[i - 1].box;
            t->at[i].stub =
                t->at[i].stub || ((k->from == t->at[i].box || k->to == t->at[i].box) && !next && !last);
        }
    }
    cvi_free(best);
    cvi_free(before);
    return CVS_OK;
}

/* ---- sizes and places ------------------------------------------------------------------------------------------------ */

static void size_stacks(lenet *t) {
    cvi_sketch *k = t->k;
    double side[2] = {HUGE_VAL, 1}, length[2] = {HUGE_VAL, 1};
    for (int i = 0; i < t->n; i++) {
        const cvi_shape *s = &k->node[t->at[i].box].out;
        double a = (double)CVI_MAX(cvi_shape_height(s), 1), b = (double)CVI_MAX(cvi_shape_width(s), 1);
        double c = (double)CVI_MAX(cvi_shape_channels(s), 1);
        bool vector = s->rank >= 0 && s->rank <= 2;
        double *r = vector ? length : side;
        r[0] = fmin(r[0], vector ? c : fmin(a, b));
        r[1] = fmax(r[1], vector ? c : fmax(a, b));
    }
    double most = k->o->fit == CVS_FIT_COLUMN ? 40 : 54;
    cvi_size_scale sides = cvi_size_scale_for(side[0], side[1], 9, most),
                   lengths = cvi_size_scale_for(length[0], length[1], 26, most + 10);
    cvi_font bold = cvi_sketch_font(k, 6.4, true, CVI_INK), small = cvi_sketch_font(k, 6.2, false, CVI_MUTED);
    for (int i = 0; i < t->n; i++) {
        stack *s = &t->at[i];
        const cvi_arch_node *n = &k->node[s->box];
        long long c = (long long)cvi_shape_channels(&n->out), h = (long long)cvi_shape_height(&n->out),
                  w = (long long)cvi_shape_width(&n->out);
        s->vector = n->out.rank >= 0 && n->out.rank <= 2;
        s->shift = t->run != NULL ? 7.5 : 2.8;
        s->maps = s->vector ? 1 : (int)CVI_MIN(CVI_MAX(c, 1), t->run != NULL ? 5 : MOST_MAPS);
        s->h = s->vector ? cvi_size_of(&lengths, (double)CVI_MAX(c, 1))
                         : cvi_size_of(&sides, (double)CVI_MAX(h, 1));
        s->w = s->vector ? 5 : cvi_size_of(&sides, (double)CVI_MAX(w, 1));
        s->label = n->out.rank < 0 ? "?"
                   : s->vector     ? cvi_sketch_text(k, "%lld", c)
                                   : cvi_sketch_text(k, "%lld@%lld×%lld", c, h, w);
        s->below = cvi_sketch_caption(k, s->box);
        double body = s->vector ? s->h * 0.45 + 5 : s->w + s->shift * (s->maps - 1) + (c > s->maps ? 9 : 0);
        double words = fmax(cvi_text_width(&bold, s->label), fmin(cvi_text_width(&small, s->below), 62));
        s->pitch = fmax(body, words) + 7;
    }
}

static void place_stacks(lenet *t) {
    double x = t->k->left;
    for (int i = 0, row = 0; i < t->n; i++) {
        stack *s = &t->at[i];
        if (x + s->pitch > t->k->left + t->k->limit && x > t->k->left) {
            row++;
            x = t->k->left + 8;
        }
        s->x = x;
        s->row = row;
        x += s->pitch;
        t->k->right = fmax(t->k->right, x);
    }
}

/* ---- the maps of a picture ---------------------------------------------------------------------------------------------- */

/* The value that leaves a box: of its last strip's layer where it has one. */
static int layer_of(const lenet *t, const stack *s) {
    const cvi_arch_node *n = &t->k->node[s->box];
    const char *name = n->n_strips > n->n_heads ? n->strip[n->n_strips - 1].name : n->name;
    for (int i = 0; i < t->sum.n_layers && name != NULL; i++) {
        if (strcmp(t->sum.layers[i].name, name) == 0) {
            return i;
        }
    }
    return n->layer;
}

/* Fills `maps` pictures of one layer in its own scale; false where there is nothing to show. */
static bool draw_real(lenet *t, const stack *s) {
    cvs_tensor raw = {0}, value = {0};
    const cvi_arch_node *n = &t->k->node[s->box];
    if (t->run == NULL || s->vector || t->k->view->boxes[s->box].kind != CVI_BOX_NODE) {
        return false;
    }
    cvs_status status = n->kind == CVI_NODE_INPUT ? cvs_run_input(t->run, 0, &raw, NULL)
                                                  : cvs_run_layer(t->run, layer_of(t, s), &raw, NULL);
    if (status != CVS_OK || cvs_tensor_convert(&raw, CVS_F32, &value, NULL) != CVS_OK || value.rank != 4 ||
        value.dim[1] < s->maps || value.dim[2] < 1 || value.dim[3] < 1) {
        cvs_tensor_free(&value);
        return false;
    }
    int64_t h = value.dim[2], w = value.dim[3], step = CVI_MAX(1, CVI_MAX(h, w) / 64),
            oh = (h + step - 1) / step, ow = (w + step - 1) / step;
    const float *p = value.data;
    float lo = 0, hi = 0;
    for (int64_t i = 0; i < s->maps * h * w; i++) {
        lo = isfinite(p[i]) ? fminf(lo, p[i]) : lo;
        hi = isfinite(p[i]) ? fmaxf(hi, p[i]) : hi;
    }
    cvi_paint edge = {.stroke = t->k->t->role[CVI_PAGE], .width = 0.7};
    for (int m = 0; m < s->maps; m++) {
        double x = s->x + s->shift * m, y = s->y + s->shift * m;
        uint8_t *out = cvi_draw_image(t->k->s, x, y, s->w, s->h, ow, oh, 1, t->k->t->sequential, false);
        for (int64_t i = 0; out != NULL && i < oh * ow; i++) {
            out[i] = cvi_map_sequential(p[(m * h + i / ow * step) * w + i % ow * step], lo, hi);
        }
        cvi_draw_rect(t->k->s, x, y, s->w, s->h, 0, &edge);
    }
    cvs_tensor_free(&value);
    return true;
}

/* ---- drawing ------------------------------------------------------------------------------------------------------------ */

static double front_x(const stack *s) {
    return s->x + s->shift * (s->maps - 1);
}
static double front_y(const stack *s) {
    return s->y + s->shift * (s->maps - 1);
}

static void draw_vector(lenet *t, const stack *s) {
    cvi_sketch *k = t->k;
    cvi_paint paint = cvi_class_paint(k->t, k->node[s->box].cls, 0.7);
    double lean = s->h * 0.45;
    cvi_draw_polygon(
        k->s, (double[]){s->x, s->y, s->x + 5, s->y, s->x + 5 + lean, s->y + s->h, s->x + lean, s->y + s->h},
        4, &paint);
}

static void draw_stack(lenet *t, const stack *s) {
    cvi_sketch *k = t->k;
    const cvi_arch_node *n = &k->node[s->box];
    if (s->vector) {
        draw_vector(t, s);
        return;
    }
    if (!draw_real(t, s)) {
        cvi_paint paint = cvi_class_paint(k->t, n->cls, 0.6);
        cvi_color light = cvi_shade(paint.fill, k->o->theme == CVS_DARK ? 0.10 : 0.30), dark = paint.fill;
        for (int m = 0; m < s->maps; m++) {
            paint.fill = (s->maps - m) % 2 ? dark : light;
            paint.hatch = m + 1 == s->maps ? paint.hatch : CVI_HATCH_NONE;
            cvi_draw_rect(k->s, s->x + s->shift * m, s->y + s->shift * m, s->w, s->h, 0, &paint);
        }
    }
    if (!s->vector && cvi_shape_channels(&n->out) > s->maps) { /* dots for the rest */
        cvi_paint dot = {.fill = k->t->role[CVI_MUTED]};
        for (int d = 1; d <= 3; d++) {
            cvi_draw_circle(k->s, front_x(s) + s->w + 2.4 * d - 1, front_y(s) + s->h - 4 + 2.4 * d - 1, 0.65,
                            &dot);
        }
    }
}

/* The window on the front map of `a` and its lines to the value that it makes in `b`. */
static void draw_window(lenet *t, const stack *a, const stack *b) {
    cvi_sketch *k = t->k;
    const cvi_arch_node *n = &k->node[b->box];
    cvi_paint line = {.stroke = k->t->role[CVI_INK], .width = 0.5};
    if (a->vector || b->vector || !n->windowed || n->kernel[0] <= 0) { /* everything to everything */
        double x = a->vector ? a->x + 5 : front_x(a) + a->w, lean = a->vector ? a->h * 0.45 : 0;
        double top = a->vector ? a->y : front_y(a), low = a->vector ? a->y + a->h : front_y(a) + a->h;
        double to = b->vector ? b->x + b->h * 0.45 : b->x;
        line.stroke = k->t->role[CVI_MUTED];
        cvi_draw_line(k->s, x, top, b->x, b->y, &line);
        cvi_draw_line(k->s, x + lean, low, to, b->vector ? b->y + b->h : front_y(b) + b->h, &line);
        return;
    }
    double rows = (double)CVI_MAX(cvi_shape_height(&k->node[a->box].out), 1),
           columns = (double)CVI_MAX(cvi_shape_width(&k->node[a->box].out), 1);
    double ph = a->h * fmin((double)n->kernel[0] / rows, 1),
           pw = a->w * fmin((double)n->kernel[n->axes > 1] / columns, 1);
    ph = fmin(fmax(ph, 2.5), a->h);
    pw = fmin(fmax(pw, 2.5), a->w);
    double x = front_x(a) + (a->w - pw) * 0.72, y = front_y(a) + (a->h - ph) * 0.34;
    double px = front_x(b) + (b->w - 2) * 0.6, py = front_y(b) + (b->h - 2) * 0.45;
    cvi_paint patch = {.stroke = line.stroke, .width = 0.7}, point = {.fill = k->t->role[CVI_MARK]};
    if (t->run == NULL) {
        patch.fill = (k->t->role[CVI_PAGE] & ~0xFFu) | 0x99;
    } else {
        patch.stroke = k->t->role[CVI_MARK];
    }
    cvi_draw_rect(k->s, x, y, pw, ph, 0, &patch);
    line.stroke = t->run == NULL ? line.stroke : k->t->role[CVI_MARK];
    cvi_draw_line(k->s, x + pw, y, px, py, &line);
    cvi_draw_line(k->s, x + pw, y + ph, px, py + 2, &line);
    cvi_draw_line(k->s, x, y, px, py, &line);
    cvi_draw_line(k->s, x, y + ph, px, py + 2, &line);
    cvi_draw_rect(k->s, px, py, 2, 2, 0, &point);
}

static void draw_row(lenet *t, int first, int end) {
    cvi_sketch *k = t->k;
    double tall = 0;
    cvi_font bold = cvi_sketch_font(k, 6.4, true, CVI_INK), small = cvi_sketch_font(k, 6.2, false, CVI_MUTED);
    cvi_paint line = {.stroke = k->t->role[CVI_ACCENT], .width = 0.8};
    for (int i = first; i < end; i++) {
        tall = fmax(tall, t->at[i].h + t->at[i].shift * (t->at[i].maps - 1));
    }
    double top = k->y + 18;
    for (int i = first; i < end; i++) { /* the shortest sit in the middle */
        stack *s = &t->at[i];
        s->y = top + (tall - s->h - s->shift * (s->maps - 1)) / 2;
    }
    for (int i = first; i < end; i++) {
        cvi_sketch_box_begin(k, t->at[i].box);
        draw_stack(t, &t->at[i]);
        cvi_group_end(k->s);
    }
    for (int i = first; i + 1 < end; i++) {
        draw_window(t, &t->at[i], &t->at[i + 1]);
    }
    for (int i = first; i < end; i++) {
        const stack *s = &t->at[i];
        cvi_draw_text(k->s, s->x, s->y - 4, &bold, s->label);
        cvi_draw_text_fit(k->s, s->x, top + tall + 10, s->pitch - 5, &small, s->below);
        if (s->stub) {
            double x = s->x + (s->vector ? 2.5 : s->w / 2);
            cvi_draw_line(k->s, x, s->y - 11.5, x, s->y - 17, &line);
            cvi_draw_arrow_head(k->s, x, s->y - 11, 0, 1, 3.4, line.stroke);
        }
    }
    if (end < t->n) { /* goes on in the next row */
        const stack *s = &t->at[end - 1];
        double x = fmax(s->x + s->pitch - 4, front_x(s) + s->w + 3), y = top + tall / 2,
               low = top + tall + 16;
        cvi_paint wire = {.stroke = k->t->role[CVI_MUTED], .width = 0.8, .round = true};
        cvi_path_begin(k->s);
        cvi_path_move(k->s, x, y);
        cvi_path_line(k->s, x + 4, y);
        cvi_path_line(k->s, x + 4, low);
        cvi_path_line(k->s, k->left - 1, low);
        cvi_path_line(k->s, k->left - 1, low + 20);
        cvi_path_line(k->s, k->left + 3, low + 20);
        cvi_path_end(k->s, &wire);
        cvi_draw_arrow_head(k->s, k->left + 6, low + 20, 1, 0, 4, wire.stroke);
        k->right = fmax(k->right, x + 5);
    }
    k->y = top + tall + 20;
}

/* ---- the style ------------------------------------------------------------------------------------------------------------ */

static cvs_status run_picture(lenet *t, const cvi_draw_job *job, cvs_error *err) {
    cvs_tensor shown = {0};
    if (job->o->image == NULL || job->source[0].model == NULL) {
        return CVS_OK;
    }
    CVI_TRY(cvs_model_summarize(job->source[0].model, NULL, job->o->lang, &t->sum, err));
    CVI_TRY(cvs_run_new(job->source[0].model, NULL, &t->run, err));
    cvs_status s = cvs_run_file(t->run, job->o->image, NULL, &shown, err);
    cvs_tensor_free(&shown);
    return s;
}

static cvs_status draw(const cvi_draw_job *job, cvi_drawing *out, cvs_error *err) {
    cvi_sketch k;
    lenet t = {.k = &k};
    CVI_TRY(cvi_sketch_settings(job->o, "", err));
    cvs_status s = cvi_sketch_begin_blocks(&k, job, err);
    s = s == CVS_OK ? find_path(&t, err) : s;
    s = s == CVS_OK ? run_picture(&t, job, err) : s;
    if (s == CVS_OK) {
        size_stacks(&t);
        place_stacks(&t);
        for (int first = 0, row = 0; first < t.n; row++) {
            int end = first;
            while (end < t.n && t.at[end].row == row) {
                end++;
            }
            draw_row(&t, first, end);
            first = end;
        }
        const char *notes[5] = {
            cvi_sketch_tr(&k, "The side of a map grows with log2 of its rows and columns; at most 8 maps "
                              "are drawn, dots stand for the rest.")};
        int n = 1;
        if (t.run != NULL) {
            notes[n++] = cvi_sketch_tr(
                &k, "The maps are real: the first ones of every layer, each layer in its own scale.");
        }
        if (t.hidden > 0) {
            notes[n++] = cvi_sketch_text(
                &k,
                cvi_sketch_tr(&k, "Drawn: the path with the most multiply-adds; %d boxes beside "
                                  "it are stubs (small arrows)."),
                t.hidden);
        }
        s = cvi_sketch_end(&k, notes, out, err);
    }
    cvs_run_free(t.run);
    cvs_summary_free(&t.sum);
    cvi_free(t.at);
    cvi_sketch_free(&k);
    return s;
}

const cvi_draw_style cvi_style_lenet = {
    .name = "lenet",
    .en = "stacks of maps with their windows, as in LeNet's figure; --image shows the real maps",
    .zh = "特征图堆叠与窗口，如 LeNet 原图；--image 显示真实特征图",
    .pictures = true,
    .most = 1,
    .draw = draw,
};

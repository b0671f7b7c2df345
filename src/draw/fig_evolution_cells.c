/* SPDX-License-Identifier: MIT
 * fig_evolution_cells.c - how the channels of some convolutions form: one epoch as a frame (of an animation or a log), or all epochs side by side as
 * in figure 4 of Zeiler and Fergus 2014, the strongest unit among the training pictures projected to the pixels.
 */
#include <math.h>

#include "convscope/charts.h"
#include "draw/figure.h"
#include "draw/signed_picture.h"
#include "watch/events.h"

enum { LABEL = 62, GAP = 4 };

typedef struct view {
    cvi_page page;
    const cvs_evolution_layer *layer;
    double side; /* of a tile */
} view;

static const cvs_evolution_cell *cell(const view *v, int epoch, int channel) {
    return &v->layer->cells[(int64_t)epoch * v->layer->n_channels + channel];
}

/* Numbers [h,w] by a scale of the channel's own, the same for all epochs. */
static void draw_map(view *v, double x, const cvs_tensor *t, double most, bool is_signed) {
    int64_t h = t->dim[t->rank - 2], w = t->dim[t->rank - 1];
    cvi_color palette[256];
    cvi_scale scale = {.is_signed = is_signed, .lo = is_signed ? -most : 0, .hi = most};
    double fit = v->side / (double)CVI_MAX(CVI_MAX(h, w), 1);
    cvi_scale_palette(&scale, v->page.t, palette);
    uint8_t *out =
        cvi_draw_image(v->page.s, x, v->page.y, fit * (double)w, fit * (double)h, w, h, 1, palette, false);
    for (int64_t i = 0; out && i < h * w; i++) {
        out[i] = cvi_scale_index(&scale, ((const float *)t->data)[i]);
    }
}

static void draw_colours(view *v, double x, const cvs_tensor *t) {
    int64_t h = t->dim[0], w = t->dim[1];
    double fit = v->side / (double)CVI_MAX(CVI_MAX(h, w), 1);
    uint8_t *out =
        cvi_draw_image(v->page.s, x, v->page.y, fit * (double)w, fit * (double)h, w, h, 3, NULL, false);
    if (out) {
        memcpy(out, t->data, t->bytes);
    }
}

/* Projections and colour kernels: grey is 0. */
static void draw_signed(view *v, double x, const cvs_tensor *t) {
    int64_t h = t->dim[1], w = t->dim[2];
    double fit = v->side / (double)CVI_MAX(CVI_MAX(h, w), 1);
    cvi_draw_signed(&v->page, x, v->page.y, fit * (double)w, t->data, t->dim[0], h, w, v->layer->order);
}

/* ---- one kind of picture of a cell ---------------------------------------------------------------------- */

typedef enum what { KERNEL, MAP, STRONGEST, PATCH, TRACK, KINDS } what;

static const cvs_tensor *tensor_of(const cvs_evolution_cell *c, what k) {
    const cvs_tensor *const list[KINDS] = {&c->kernel, &c->map, &c->projection, &c->patch, &c->track};
    return list[k];
}

static bool has(const view *v, what k) {
    for (int64_t i = 0; i < (int64_t)v->layer->n_epochs * v->layer->n_channels; i++) {
        if (tensor_of(&v->layer->cells[i], k)->data) {
            return true;
        }
    }
    return false;
}

/* Largest absolute value of a channel over all epochs; *least: whether any is negative. */
static double most_of(const view *v, what k, int channel, bool *negative) {
    double most = 0;
    *negative = k == KERNEL;
    for (int e = 0; e < v->layer->n_epochs; e++) {
        const cvs_tensor *t = tensor_of(cell(v, e, channel), k);
        for (int64_t i = 0; t->data && i < cvs_tensor_count(t); i++) {
            double x = (double)((const float *)t->data)[i];
            most = isfinite(x) && fabs(x) > most ? fabs(x) : most;
            *negative = *negative || x < 0;
        }
    }
    return most;
}

static void draw_cell(view *v, what k, int epoch, int channel, double x) {
    const cvs_tensor *t = tensor_of(cell(v, epoch, channel), k);
    bool negative;
    if (!t->data) {
        cvi_draw_rect(v->page.s, x, v->page.y, v->side, v->side, 0,
                      &(cvi_paint){.stroke = v->page.t->role[CVI_LINE], .width = 0.5});
    } else if (k == PATCH) {
        draw_colours(v, x, t);
    } else if (k == STRONGEST || k == TRACK || (k == KERNEL && t->dim[0] == 3)) {
        draw_signed(v, x, t);
    } else {
        double most = most_of(v, k, channel, &negative);
        draw_map(v, x, t, most, negative);
    }
}

/* ---- one epoch ------------------------------------------------------------------------------------------- */

static void label(view *v, const char *text) {
    cvi_font small = cvi_font_small(&v->page);
    cvi_draw_text_fit(v->page.s, v->page.left, v->page.y + v->side / 2 + 2, LABEL - 4, &small, text);
}

static void draw_epoch(view *v, int epoch) {
    static const char *const names[KINDS] = {"kernel", "feature map", "strongest unit", "its picture",
                                             "in this picture"};
    const cvs_evolution_layer *l = v->layer;
    int columns = CVI_MAX(l->n_channels, 1);
    v->side = fmin((v->page.width - LABEL) / columns - GAP, 42);
    cvi_page_heading(&v->page, l->name);
    for (int k = 0; k < KINDS; k++) {
        if (!has(v, (what)k)) {
            continue;
        }
        label(v, cvi_page_tr(&v->page, names[k]));
        for (int c = 0; c < l->n_channels; c++) {
            draw_cell(v, (what)k, epoch, c, v->page.left + LABEL + c * (v->side + GAP));
        }
        v->page.y += v->side + GAP;
    }
}

cvs_status cvs_draw_evolution_frame(const cvs_evolution_layer *layers, int n, int epoch, int number,
                                    const cvs_figure_options *options, cvs_figure **out, cvs_error *err) {
    view v = {0};
    char title[120];
    cvs_lang lang = options ? options->lang : CVS_EN;
    snprintf(title, sizeof title, cvi_tr(lang, "Epoch %d"), number);
    CVI_TRY(cvi_page_begin(&v.page, options, title, NULL, err));
    if (n > 0 && layers[n - 1].target >= 0 && layers[n - 1].probability) {
        cvi_page_notef(&v.page, cvi_page_tr(&v.page, "%s: probability %.1f %%"),
                       layers[n - 1].target_name[0] ? layers[n - 1].target_name : "?",
                       100 * layers[n - 1].probability[epoch]);
    }
    for (int i = 0; i < n; i++) {
        v.layer = &layers[i];
        draw_epoch(&v, epoch);
    }
    return cvi_page_end(&v.page, out, err);
}

/* ---- all epochs ------------------------------------------------------------------------------------------ */

static void draw_strip(view *v, const int *epochs) {
    const cvs_evolution_layer *l = v->layer;
    cvi_font small = cvi_font_small(&v->page);
    double across = (v->page.width - 20) / CVI_MAX(l->n_epochs, 1);
    v->side = fmin(across - GAP, 46);
    char text[300];
    snprintf(text, sizeof text, "%s: %s", l->name,
             cvi_page_tr(&v->page, "strongest unit among the training pictures"));
    cvi_page_heading(&v->page, text);
    small.anchor = CVI_MIDDLE;
    for (int e = 0; e < l->n_epochs; e++) {
        cvi_draw_textf(v->page.s, v->page.left + 20 + e * (v->side + GAP) + v->side / 2, v->page.y + 7,
                       &small, "%d", epochs[e]);
    }
    small.anchor = CVI_START;
    v->page.y += 11;
    for (int c = 0; c < l->n_channels; c++) {
        cvi_draw_textf(v->page.s, v->page.left, v->page.y + v->side / 2 + 2, &small, "%lld",
                       (long long)l->channels[c]);
        for (int e = 0; e < l->n_epochs; e++) {
            double x = v->page.left + 20 + e * (v->side + GAP);
            draw_cell(v, STRONGEST, e, c, x);
            if (cell(v, e, c)->moved) { /* another picture than before */
                cvi_draw_rect(v->page.s, x - GAP / 2.0 - 1, v->page.y, 1.5, v->side, 0,
                              &(cvi_paint){.fill = v->page.t->role[CVI_ACCENT]});
            }
        }
        v->page.y += v->side + GAP;
    }
}

cvs_status cvs_draw_evolution_strip(const cvs_evolution_layer *layers, int n, const int *epochs,
                                    const char *run, const cvs_figure_options *options, cvs_figure **out,
                                    cvs_error *err) {
    view v = {0};
    CVI_TRY(cvi_page_begin(&v.page, options, cvi_tr(options ? options->lang : CVS_EN, "Features forming"),
                           cvi_path_base(run), err));
    for (int i = 0; i < n; i++) {
        v.layer = &layers[i];
        draw_strip(&v, epochs);
    }
    cvi_page_space(&v.page, 4);
    cvi_page_notef(
        &v.page,
        cvi_page_tr(
            &v.page,
            "Columns are epochs, rows channels. Of each channel the unit that is strongest among %lld "
            "training pictures, projected to the pixels (deconvnet); each by its own scale, grey is 0. A bar "
            "to the left: another picture than before."),
        n > 0 ? (long long)layers[0].pictures : 0);
    return cvi_page_end(&v.page, out, err);
}

/* ---- into a log, into an animation ------------------------------------------------------------------------ */

static cvs_status paint(const cvs_evolution_layer *layers, int n, int epoch, int number,
                        const cvs_figure_options *options, double scale, cvs_tensor *out, cvs_error *err) {
    cvs_figure *figure = NULL;
    CVI_TRY(cvs_draw_evolution_frame(layers, n, epoch, number, options, &figure, err));
    cvs_status s = cvs_figure_paint(figure, scale, out, err);
    cvs_figure_free(figure);
    return s;
}

cvs_status cvs_evolution_gif(const cvs_evolution_layer *layers, int n, const int *epochs, const char *path,
                             const cvs_figure_options *options, double scale, cvs_error *err) {
    int count = n > 0 ? layers[0].n_epochs : 0;
    cvs_tensor *frames = cvi_calloc((size_t)CVI_MAX(count, 1), sizeof *frames);
    cvs_status s = frames ? CVS_OK : cvi_no_memory(err, (size_t)count * sizeof *frames);
    for (int i = 0; i < count && s == CVS_OK; i++) {
        s = paint(layers, n, i, epochs[i], options, scale > 0 ? scale : 1.5, &frames[i], err);
    }
    if (s == CVS_OK) {
        s = cvs_gif_write(path, frames, count, 700, err);
    }
    for (int i = 0; frames && i < count; i++) {
        cvs_tensor_free(&frames[i]);
    }
    cvi_free(frames);
    return s;
}

cvs_status cvs_evolution_events(const cvs_evolution_layer *layers, int n, const int *epochs,
                                const char *folder, const cvs_figure_options *options, cvs_error *err) {
    cvi_events *events = NULL;
    CVI_TRY(cvi_events_open(folder, -1, &events, err));
    cvs_status s = CVS_OK;
    for (int i = 0; i < n && s == CVS_OK; i++) {
        char tag[200];
        snprintf(tag, sizeof tag, "%s/evolution", layers[i].name);
        for (int e = 0; e < layers[i].n_epochs && s == CVS_OK; e++) {
            cvs_tensor picture = {0};
            s = paint(&layers[i], 1, e, epochs[e], options, 1.5, &picture, err);
            if (s == CVS_OK) {
                cvi_events_image(events, tag, epochs[e], &picture);
            }
            cvs_tensor_free(&picture);
        }
    }
    cvs_status closed = cvi_events_close(events, s == CVS_OK ? err : NULL);
    return s == CVS_OK ? closed : s;
}

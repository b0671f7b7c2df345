/* SPDX-License-Identifier: MIT
 * fig_evolution.c - how features form (as in figure 4 of Zeiler and Fergus 2014): the snapshots of a run side by side. Above the picture with
 * Grad-CAM for what the network says at the end, then the filters of the first convolution, then feature maps of the picture; one row a
 * channel with one scale for all its epochs, so that growth is seen.
 */
#include <math.h>

#include "convscope/charts.h"
#include "draw/figure.h"
#include "train/snapshots.h"

enum { MOST_EPOCHS = 14, ROWS = 8, LABEL = 34 };

typedef struct snapshot {
    char *path;
    int epoch;
    cvs_tensor kernel; /* [K,C,h,w], float32 */
    cvs_tensor maps;   /* [1,K,h,w], float32 */
    cvs_tensor why;    /* [1,1,h,w] */
    double probability;
} snapshot;

typedef struct evolution {
    const cvs_evolution_options *o;
    cvi_page page;
    int n;
    snapshot list[MOST_EPOCHS];
    cvs_tensor shown; /* the picture as the network sees it */
    int target;
    char target_name[120], first[200], layer[200];
    double side; /* of a tile */
    cvs_error *err;
} evolution;

/* ---- reading -------------------------------------------------------------------------------------------- */

static cvs_status find_snapshots(evolution *v, const char *run) {
    cvi_snapshot found[MOST_EPOCHS];
    CVI_TRY(cvi_snapshots_find(run, MOST_EPOCHS, found, &v->n, v->err));
    for (int i = 0; i < v->n; i++) {
        v->list[i] = (snapshot){.path = found[i].path, .epoch = found[i].epoch};
    }
    return CVS_OK;
}

static cvs_status copy_floats(const cvs_tensor *from, cvs_tensor *out, cvs_error *err) {
    CVI_TRY(cvs_tensor_new(out, CVS_F32, from->rank, from->dim, err));
    memcpy(out->data, from->data, out->bytes);
    return CVS_OK;
}

static cvs_status take_kernel(evolution *v, const cvs_model *model, snapshot *s) {
    cvs_summary sum;
    CVI_TRY(cvs_model_summarize(model, NULL, v->page.o.lang, &sum, v->err));
    cvs_status status = CVS_OK;
    for (int i = 0; i < sum.n_layers; i++) {
        if (sum.layers[i].is_conv && sum.layers[i].has_filters) {
            cvs_tensor kernel = {0}, bias = {0};
            status = cvs_model_filters(model, i, &kernel, &bias, v->err);
            if (status == CVS_OK && kernel.rank == 4) {
                status = copy_floats(&kernel, &s->kernel, v->err);
                snprintf(v->first, sizeof v->first, "%.190s", sum.layers[i].name);
            }
            cvs_tensor_free(&kernel);
            cvs_tensor_free(&bias);
            break;
        }
    }
    cvs_summary_free(&sum);
    return status;
}

/* What the network says to the picture: maps of the layer, and why. last: its answer is what all are asked about. */
static cvs_status take_answers(evolution *v, const cvs_model *model, snapshot *s, bool last) {
    cvs_run *run = NULL;
    cvs_tensor shown = {0}, value;
    cvs_score *scores = NULL;
    cvs_explanation e = {0};
    cvs_logit_kind kind;
    const char *layer = v->o->layer ? v->o->layer : "last-conv";
    int index = 0, count = 0;
    cvs_status status = cvs_run_new(model, NULL, &run, v->err);
    if (status == CVS_OK) {
        status = cvs_run_file(run, v->o->image, NULL, &shown, v->err);
    }
    if (status == CVS_OK) {
        status = cvs_model_find_layer(model, layer, &index, v->err);
    }
    if (status == CVS_OK) {
        status = cvs_run_layer(run, index, &value, v->err);
    }
    if (status == CVS_OK && value.dtype == CVS_F32 && value.rank == 4) {
        status = copy_floats(&value, &s->maps, v->err);
    }
    scores = status == CVS_OK ? cvi_calloc(100000, sizeof *scores) : NULL;
    if (scores && cvs_run_top(run, 0, 100000, scores, &count, &kind, v->err) == CVS_OK && count > 0) {
        if (last) {
            v->target = scores[0].index;
            snprintf(v->target_name, sizeof v->target_name, "%.100s",
                     scores[0].name[0] ? scores[0].name : "");
        }
        for (int i = 0; i < count; i++) {
            s->probability = scores[i].index == v->target ? scores[i].probability : s->probability;
        }
        cvs_explain_options o = {.method = "gradcam", .target = {.index = v->target}, .layer = layer};
        cvs_error quiet = {0};
        if (cvs_explain(run, &o, &e, &quiet) == CVS_OK && e.kind == CVS_MAP_LAYER) {
            status = copy_floats(&e.map, &s->why, v->err);
        }
        cvs_explanation_free(&e);
    }
    cvi_free(scores);
    if (last && status == CVS_OK) {
        v->shown = shown;
        shown = (cvs_tensor){0};
        cvs_summary sum;
        if (cvs_model_summarize(model, NULL, v->page.o.lang, &sum, NULL) == CVS_OK) {
            snprintf(v->layer, sizeof v->layer, "%.190s", sum.layers[index].name);
            cvs_summary_free(&sum);
        }
    }
    cvs_tensor_free(&shown);
    cvs_run_free(run);
    return status;
}

/* The last snapshot first: it decides the target. */
static cvs_status read_all(evolution *v) {
    for (int i = v->n - 1; i >= 0; i--) {
        cvs_model *model = NULL;
        cvs_status s = cvs_model_open(v->list[i].path, NULL, &model, v->err);
        if (s == CVS_OK) {
            s = take_kernel(v, model, &v->list[i]);
        }
        if (s == CVS_OK && v->o->image) {
            s = take_answers(v, model, &v->list[i], i == v->n - 1);
        }
        cvs_model_free(model);
        CVI_TRY(s);
    }
    return CVS_OK;
}

/* ---- drawing -------------------------------------------------------------------------------------------- */

static double column(const evolution *v, int i) {
    return v->page.left + LABEL + i * (v->side + 4);
}

static void draw_epochs(evolution *v) {
    cvi_font small = cvi_font_small(&v->page);
    small.anchor = CVI_MIDDLE;
    for (int i = 0; i < v->n; i++) {
        cvi_draw_textf(v->page.s, column(v, i) + v->side / 2, v->page.y + 7, &small, "%d", v->list[i].epoch);
    }
    small.anchor = CVI_START;
    cvi_draw_text_fit(v->page.s, v->page.left, v->page.y + 7, LABEL - 2, &small,
                      cvi_page_tr(&v->page, "epoch"));
    v->page.y += 11;
}

/* Largest absolute value of channel c over all epochs. */
static double most_of(const evolution *v, const cvs_tensor *(*of)(const snapshot *), int64_t c) {
    double most = 0;
    for (int i = 0; i < v->n; i++) {
        const cvs_tensor *t = of(&v->list[i]);
        int64_t size = t->data ? cvs_tensor_count(t) / CVI_MAX(t->dim[t->dim[0] == 1 ? 1 : 0], 1) : 0;
        for (int64_t k = 0; k < size; k++) {
            double x = fabs((double)((const float *)t->data)[c * size + k]);
            most = isfinite(x) && x > most ? x : most;
        }
    }
    return most;
}

/* One picture of h x w numbers (or, rgb, of three planes) at (x, y). */
static void draw_tile(evolution *v, double x, double y, const float *data, int64_t h, int64_t w, bool rgb,
                      double most, bool is_signed) {
    cvi_color palette[256];
    cvi_scale scale = {.is_signed = is_signed, .lo = is_signed ? -most : 0, .hi = most};
    double fit = v->side / (double)CVI_MAX(h, w);
    cvi_scale_palette(&scale, v->page.t, palette);
    uint8_t *out = cvi_draw_image(v->page.s, x, y, fit * (double)w, fit * (double)h, w, h, rgb ? 3 : 1,
                                  rgb ? NULL : palette, false);
    for (int64_t i = 0; out && i < h * w; i++) {
        for (int p = 0; rgb && p < 3; p++) {
            double one = (double)data[p * h * w + i];
            out[3 * i + p] = (uint8_t)(127.5 + 127.5 * (most > 0 && isfinite(one) ? one / most : 0));
        }
        if (!rgb) {
            out[i] = cvi_scale_index(&scale, data[i]);
        }
    }
}

static const cvs_tensor *kernel_of(const snapshot *s) {
    return &s->kernel;
}

static const cvs_tensor *maps_of(const snapshot *s) {
    return &s->maps;
}

/* Rows of channels; `of` gives [K,C,h,w] (filters) or [1,K,h,w] (maps). */
static void draw_rows(evolution *v, const cvs_tensor *(*of)(const snapshot *), bool filters) {
    const cvs_tensor *last = of(&v->list[v->n - 1]);
    int64_t channels = filters ? last->dim[0] : last->dim[1], h = last->dim[2], w = last->dim[3];
    int64_t each = cvs_tensor_count(last) / CVI_MAX(channels, 1);
    bool rgb = filters && last->dim[1] == 3;
    int rows = v->o->rows > 0 ? v->o->rows : ROWS;
    cvi_font small = cvi_font_small(&v->page);
    bool is_signed = filters;
    for (int64_t k = 0; !filters && k < cvs_tensor_count(last) && !is_signed; k++) {
        is_signed = ((const float *)last->data)[k] < 0;
    }
    draw_epochs(v);
    double fit = v->side * (double)h / (double)CVI_MAX(h, w);
    for (int64_t c = 0; c < CVI_MIN(channels, (int64_t)rows); c++) {
        double most = most_of(v, of, c);
        cvi_draw_textf(v->page.s, v->page.left, v->page.y + fit / 2 + 2, &small, "%lld", (long long)c);
        for (int i = 0; i < v->n; i++) {
            const cvs_tensor *t = of(&v->list[i]);
            if (t->data && t->bytes == last->bytes) {
                draw_tile(v, column(v, i), v->page.y, (const float *)t->data + c * each, h, w, rgb, most,
                          is_signed);
            }
        }
        v->page.y += fit + 4;
    }
}

/* The picture in grey under the colours of a map, which is scaled by its own largest value. */
static void draw_why(evolution *v) {
    int64_t h = v->shown.dim[0], w = v->shown.dim[1];
    const uint8_t *seen = v->shown.data;
    cvi_font small = cvi_font_small(&v->page);
    double fit = v->side / (double)CVI_MAX(h, w);
    small.anchor = CVI_MIDDLE;
    draw_epochs(v);
    for (int i = 0; i < v->n; i++) {
        const cvs_tensor *m = &v->list[i].why;
        double most = 0;
        for (int64_t k = 0; m->data && k < cvs_tensor_count(m); k++) {
            most = fmax(most, (double)((const float *)m->data)[k]);
        }
        uint8_t *out = cvi_draw_image(v->page.s, column(v, i), v->page.y, fit * (double)w, fit * (double)h, w,
                                      h, 3, NULL, false);
        for (int64_t k = 0; out && k < h * w; k++) {
            double heat = 0, grey = 0.3 * seen[3 * k] + 0.6 * seen[3 * k + 1] + 0.1 * seen[3 * k + 2];
            if (m->data && most > 0) {
                int64_t y = k / w * m->dim[2] / h, x = k % w * m->dim[3] / w;
                heat = fmax((double)((const float *)m->data)[y * m->dim[3] + x], 0) / most;
            }
            cvi_color c = v->page.t->sequential[(int)(heat * 255)];
            for (int p = 0; p < 3; p++) {
                double colour = (double)(c >> (24 - 8 * p) & 0xff);
                out[3 * k + p] = (uint8_t)(grey * 0.5 + colour * 0.5);
            }
        }
        cvi_draw_textf(v->page.s, column(v, i) + v->side / 2, v->page.y + fit * (double)h + 8, &small,
                       "%.0f%%", 100 * v->list[i].probability);
    }
    v->page.y += fit * (double)h + 14;
}

static void draw_all(evolution *v) {
    cvi_page *page = &v->page;
    v->side = fmin((page->width - LABEL) / v->n - 4, 48);
    if (v->shown.data) {
        char text[300];
        snprintf(text, sizeof text,
                 cvi_page_tr(page, "Why %.80s: Grad-CAM of %.80s, and how probable it was"),
                 v->target_name[0] ? v->target_name : "?", v->layer);
        cvi_page_heading(page, text);
        draw_why(v);
    }
    if (v->list[v->n - 1].kernel.data) {
        char text[300];
        snprintf(text, sizeof text, cvi_page_tr(page, "Filters of %.120s"), v->first);
        cvi_page_heading(page, text);
        draw_rows(v, kernel_of, true);
    }
    if (v->list[v->n - 1].maps.data) {
        char text[300];
        snprintf(text, sizeof text, cvi_page_tr(page, "Feature maps of %.120s for this picture"), v->layer);
        cvi_page_heading(page, text);
        draw_rows(v, maps_of, false);
    }
    cvi_page_space(page, 4);
    cvi_page_note(
        page, cvi_page_tr(page, "Each row has one scale for all epochs; epoch 0 is before the first step."));
}

cvs_status cvs_draw_evolution(const char *run, const cvs_evolution_options *o,
                              const cvs_figure_options *options, cvs_figure **out, cvs_error *err) {
    static const cvs_evolution_options none;
    evolution *v = cvi_calloc(1, sizeof *v);
    if (!v) {
        return cvi_no_memory(err, sizeof *v);
    }
    v->o = o ? o : &none;
    v->err = err;
    cvs_status s =
        cvi_page_begin(&v->page, options, cvi_tr(options ? options->lang : CVS_EN, "Features forming"),
                       cvi_path_base(run), err);
    bool begun = s == CVS_OK;
    if (s == CVS_OK) {
        s = find_snapshots(v, run);
    }
    if (s == CVS_OK) {
        s = read_all(v);
    }
    if (s == CVS_OK) {
        draw_all(v);
        s = cvi_page_end(&v->page, out, err);
    } else if (begun) {
        cvi_page_abort(&v->page);
    }
    for (int i = 0; i < v->n; i++) {
        cvi_free(v->list[i].path);
        cvs_tensor_free(&v->list[i].kernel);
        cvs_tensor_free(&v->list[i].maps);
        cvs_tensor_free(&v->list[i].why);
    }
    cvs_tensor_free(&v->shown);
    cvi_free(v);
    return s;
}

/* SPDX-License-Identifier: MIT
 * report_layer.c - one layer of the report: what it does, its kernels, its maps, its pooling, each with the command that
 * draws it. A picture that cannot be made is a sentence, never a missing report; only memory and limits stop it.
 */
#include "draw/report.h"

#define FEW_MAPS 64 /* up to so many, tiles carry their numbers; more are numbered by row */

static void put_heading(cvi_report *r, const char *text) {
    cvi_buf_puts(&r->out, "<h3>");
    cvi_report_text(r, text);
    cvi_buf_puts(&r->out, "</h3>\n");
}

/* Deep networks open only at their convolutions' beginning, so that the page stays light. */
static bool is_open(const cvi_report *r, const cvs_layer *layer) {
    return !r->deep || layer->index == 0;
}

static void put_summary(cvi_report *r, const cvs_layer *l, const cvs_maps_stats *stats) {
    char shape[64];
    cvi_buf_printf(&r->out, "<details class=\"layer\" id=\"L%d\"%s>\n<summary><span class=\"idx\">%d</span>",
                   l->index, is_open(r, l) ? " open" : "", l->index);
    cvi_report_chip(r, l);
    cvi_buf_puts(&r->out, "<span class=\"lname\">");
    cvi_report_text(r, l->name);
    cvi_buf_puts(&r->out, "</span><span class=\"op\">");
    cvi_report_text(r, l->title != NULL ? l->title : l->op);
    if (l->settings[0] != '\0') {
        cvi_buf_puts(&r->out, " · ");
        cvi_report_text(r, l->settings);
    }
    cvi_buf_puts(&r->out, "</span><span class=\"right\">");
    if (stats->rows * stats->columns > 1 && stats->blank > 0) {
        cvi_buf_puts(&r->out, "<span class=\"dead\">");
        cvi_report_textf(r, cvi_report_tr(r, "%s of %s maps blank"), cvi_count(stats->blank).text,
                         cvi_count(stats->maps).text);
        cvi_buf_puts(&r->out, "</span> · ");
    }
    cvi_report_text(r, l->rank >= 0 ? cvs_shape_text(l->rank, l->dim, shape, sizeof shape) : "?");
    cvi_buf_puts(&r->out, "</span></summary>\n<div class=\"body\">\n");
}

static void put_words(cvi_report *r, const cvs_layer *l) {
    if (l->sentence != NULL && l->sentence[0] != '\0') {
        cvi_report_p(r, NULL, l->sentence);
    }
    if (l->formula != NULL && l->formula[0] != '\0') {
        cvi_report_p(r, "formula", l->formula);
    }
    cvi_buf_puts(&r->out, "<p class=\"quiet\">");
    cvi_report_textf(r, cvi_report_tr(r, "%s parameters, %s multiply-adds."), cvi_count(l->params).text,
                     cvi_count(l->macs).text);
    if (l->has_field) {
        cvi_buf_puts(&r->out, " ");
        cvi_report_textf(
            r,
            cvi_report_tr(
                r, "One position sees %lld x %lld input pixels; neighbours lie %lld x %lld pixels apart."),
            (long long)l->field[0], (long long)l->field[1], (long long)l->jump[0], (long long)l->jump[1]);
    }
    cvi_buf_puts(&r->out, "</p>\n");
    if (l->note != NULL && l->note[0] != '\0') {
        cvi_report_p(r, "warn", cvi_report_tr(r, l->note));
    }
}

/* A figure, or the sentence why there is none. Out of memory and cancellation go up. */
static cvs_status put_figure(cvi_report *r, cvs_status made, cvs_figure *figure, const cvs_error *why,
                             const cvs_layer *l, const char *kind, cvs_error *err) {
    char prefix[48];
    if (made == CVS_E_MEMORY || made == CVS_E_CANCELLED) {
        if (err != NULL) {
            *err = *why;
        }
        return made;
    }
    if (made != CVS_OK) {
        cvi_buf_puts(&r->out, "<p class=\"quiet\">");
        cvi_report_textf(r, cvi_report_tr(r, "No picture: %s"), why->message);
        cvi_buf_puts(&r->out, "</p>\n");
        return CVS_OK;
    }
    snprintf(prefix, sizeof prefix, "L%d%s-", l->index, kind);
    return cvi_report_figure(r, figure, prefix, err);
}

static cvs_status put_filters(cvi_report *r, const cvs_layer *l, cvs_error *err) {
    cvs_error why = {.lang = r->o.lang};
    cvs_figure *figure = NULL;
    int64_t kernels = l->rank >= 2 ? l->dim[1] : 0;
    cvs_figure_options look = cvi_report_look(r, r->deep || kernels > FEW_MAPS);
    put_heading(r, cvi_report_tr(r, l->is_dense ? "Weights" : "Filters"));
    cvs_status made = cvi_filters_of(r->model, l, CVS_FILTERS_AUTO, false, &look, &figure, &why);
    CVI_TRY(put_figure(r, made, figure, &why, l, "f", err));
    cvi_report_command(r, "filters", false, l, "-o filters.svg");
    return CVS_OK;
}

static cvs_status put_maps(cvi_report *r, const cvs_layer *l, const cvs_maps_stats *stats, cvs_error *err) {
    cvs_error why = {.lang = r->o.lang};
    cvs_figure *figure = NULL;
    bool vector = stats->rows * stats->columns == 1;
    cvs_figure_options look = cvi_report_look(r, r->deep || stats->maps > FEW_MAPS);
    put_heading(r, cvi_report_tr(r, vector ? "Values" : "Feature maps"));
    cvs_status made = cvi_maps_of(r->run, r->model, l, r->shown, false, &look, &figure, &why);
    CVI_TRY(put_figure(r, made, figure, &why, l, "m", err));
    if (l->reading != NULL && l->reading[0] != '\0') {
        cvi_report_p(r, "cap", l->reading);
    }
    cvi_report_command(r, "activations", true, l, "-o maps.svg");
    return CVS_OK;
}

static cvs_status put_pooling(cvi_report *r, const cvs_layer *l, cvs_error *err) {
    cvs_error why = {.lang = r->o.lang};
    cvs_figure *figure = NULL;
    cvs_figure_options look = cvi_report_look(r, true);
    look.max_pixels = r->layer_pixels / 2;
    put_heading(r, cvi_report_tr(r, "Pooling"));
    cvs_status made = cvi_pooling_of(r->run, l, NULL, r->deep ? 1 : 2, &look, &figure, &why);
    CVI_TRY(put_figure(r, made, figure, &why, l, "p", err));
    cvi_report_command(r, "pooling", true, l, "--shift 1,0 -o pooling.svg");
    return CVS_OK;
}

cvs_status cvi_report_layer(cvi_report *r, const cvs_layer *layer, cvs_error *err) {
    const cvs_maps_stats *stats = &r->stats[layer->index];
    put_summary(r, layer, stats);
    put_words(r, layer);
    if (layer->has_filters) {
        CVI_TRY(put_filters(r, layer, err));
    }
    if (layer->is_pool) {
        CVI_TRY(put_pooling(r, layer, err));
    }
    if (stats->maps > 0) {
        CVI_TRY(put_maps(r, layer, stats, err));
    } else {
        cvi_report_p(r, "quiet", cvi_report_tr(r, "This layer has no numbers to picture."));
    }
    cvi_buf_puts(&r->out, "</div>\n</details>\n");
    return CVS_OK;
}

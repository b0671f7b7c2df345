/* SPDX-License-Identifier: MIT
 * report_parts.c - the head of the report: what the model is, what it answered, how it is built.
 */
#include "draw/report.h"

#include <math.h>

/* "138,357,544" or, where that is long, "15.5 G" with the exact number as a tooltip. */
static void put_short(cvi_report *r, int64_t v, const char *unit) {
    static const struct {
        double scale;
        const char *letter;
    } steps[] = {{1e12, "T"}, {1e9, "G"}, {1e6, "M"}, {1e3, "k"}};
    cvi_buf_printf(&r->out, "<span title=\"%s\">", cvi_count(v).text);
    for (int i = 0; i < CVI_COUNT(steps); i++) {
        if ((double)v >= steps[i].scale * 10 || ((double)v >= steps[i].scale && i < 3)) {
            cvi_buf_printf(&r->out, "%.3g %s%s</span>", (double)v / steps[i].scale, steps[i].letter, unit);
            return;
        }
    }
    cvi_buf_printf(&r->out, "%s%s%s</span>", cvi_count(v).text, *unit ? " " : "", unit);
}

static void begin_fact(cvi_report *r, const char *name) {
    cvi_buf_printf(&r->out, "<div><dt>%s</dt><dd>", cvi_report_tr(r, name));
}

static void put_facts(cvi_report *r) {
    cvi_buf_puts(&r->out, "<dl class=\"facts\">\n");
    begin_fact(r, "format");
    cvi_report_text(r, r->info.format != NULL ? r->info.format : "?");
    cvi_buf_puts(&r->out, "</dd></div>\n");
    begin_fact(r, "input");
    cvi_report_text(r, r->sum.input);
    cvi_buf_puts(&r->out, "</dd></div>\n");
    begin_fact(r, "layers");
    cvi_buf_puts(&r->out, cvi_count(r->sum.n_layers).text);
    cvi_buf_puts(&r->out, "</dd></div>\n");
    const struct {
        const char *name;
        int64_t value;
        const char *unit;
    } rows[] = {{"parameters", r->sum.params, ""},
                {"multiply-adds", r->sum.macs, ""},
                {"weights", r->sum.weight_bytes, "B"},
                {"all activations", r->sum.activation_bytes, "B"}};
    for (int i = 0; i < CVI_COUNT(rows); i++) {
        begin_fact(r, rows[i].name);
        put_short(r, rows[i].value, rows[i].unit);
        cvi_buf_puts(&r->out, "</dd></div>\n");
    }
    cvi_buf_puts(&r->out, "</dl>\n");
}

void cvi_report_header(cvi_report *r) {
    cvi_buf_puts(
        &r->out,
        "<header>\n<div class=\"top\"><span class=\"brand\"><svg viewBox=\"0 0 24 24\" aria-hidden=\"true\">"
        "<rect x=\"1\" y=\"7\" width=\"14\" height=\"14\" rx=\"2.5\" fill=\"var(--cvs-CONV-FILL)\" "
        "stroke=\"var(--cvs-CONV-EDGE)\" stroke-width=\"1.3\"/><rect x=\"5\" y=\"5\" width=\"12.5\" "
        "height=\"12.5\" rx=\"2.5\" "
        "fill=\"var(--cvs-POOL-FILL)\" stroke=\"var(--cvs-POOL-EDGE)\" stroke-width=\"1.3\"/>"
        "<circle cx=\"15.5\" cy=\"9.5\" r=\"6\" fill=\"var(--cvs-PAGE)\" stroke=\"var(--cvs-INK)\" "
        "stroke-width=\"1.8\"/>"
        "<path d=\"M19.8 14l3 3.4\" stroke=\"var(--cvs-INK)\" stroke-width=\"2.2\" "
        "stroke-linecap=\"round\"/></svg>Convscope</span>");
    cvi_buf_printf(&r->out, "<label for=\"flip\">◐ %s</label></div>\n<h1>", cvi_report_tr(r, "light / dark"));
    cvi_report_text(r, cvi_report_title(r));
    cvi_buf_puts(&r->out, "</h1>\n<p class=\"sub\">");
    cvi_report_text(r, r->model_arg);
    if (strcmp(r->info.name, cvi_report_title(r)) != 0) {
        cvi_buf_puts(&r->out, " · ");
        cvi_report_text(r, r->info.name);
    }
    if (r->info.producer != NULL && r->info.producer[0] != '\0') {
        cvi_buf_puts(&r->out, " · ");
        cvi_report_text(r, r->info.producer);
    }
    cvi_buf_puts(&r->out, "</p>\n");
    put_facts(r);
    if (r->info.n_notes > 0) {
        cvi_buf_puts(&r->out, "<ul class=\"notes\">\n");
        for (int i = 0; i < r->info.n_notes; i++) {
            cvi_buf_puts(&r->out, "<li>");
            cvi_report_text(r, cvi_report_tr(r, r->info.notes[i]));
            cvi_buf_puts(&r->out, "</li>\n");
        }
        cvi_buf_puts(&r->out, "</ul>\n");
    }
    cvi_buf_puts(&r->out, "</header>\n");
}

/* ---- prediction ------------------------------------------------------------------------------------------------ */

static cvs_status put_picture(cvi_report *r, cvs_error *err) {
    const cvs_tensor *p = r->shown;
    if (p == NULL || p->rank != 3 || p->dtype != CVS_U8 || p->dim[2] != 3) {
        return CVS_OK;
    }
    uint8_t *png = NULL;
    size_t n = 0;
    CVI_TRY(cvs_png_encode(p, &png, &n, err));
    cvi_buf_printf(
        &r->out, "<figure><img class=\"shown%s\" width=\"%lld\" height=\"%lld\" style=\"height:auto\" alt=\"",
        p->dim[1] < 160 ? " tiny" : "", (long long)p->dim[1], (long long)p->dim[0]);
    cvi_report_text(r, cvi_path_base(r->image_arg));
    cvi_buf_puts(&r->out, "\" src=\"data:image/png;base64,");
    cvi_buf_base64(&r->out, png, n);
    cvi_buf_puts(&r->out, "\"><figcaption>");
    cvi_report_textf(r, cvi_report_tr(r, "%s as the network sees it, %lld x %lld"),
                     cvi_path_base(r->image_arg), (long long)p->dim[1], (long long)p->dim[0]);
    cvi_buf_puts(&r->out, "</figcaption></figure>\n");
    cvs_free(png);
    return CVS_OK;
}

static void put_scores(cvi_report *r, const cvs_score *scores, int count) {
    cvi_buf_printf(&r->out,
                   "<table><thead><tr><th>%s</th><th></th><th class=\"n\">%s</th><th "
                   "class=\"n\">%s</th></tr></thead><tbody>\n",
                   cvi_report_tr(r, "class"), cvi_report_tr(r, "probability"), cvi_report_tr(r, "logit"));
    for (int i = 0; i < count; i++) {
        const cvs_score *s = &scores[i];
        cvi_buf_printf(&r->out, "<tr%s><td class=\"name\">", i == 0 ? " class=\"best\"" : "");
        if (s->name != NULL && s->name[0] != '\0') {
            cvi_report_text(r, s->name);
        } else {
            cvi_report_textf(r, cvi_report_tr(r, "class %d"), s->index);
        }
        double p = isfinite(s->probability) ? fmin(fmax(s->probability, 0.0), 1.0) : 0.0;
        cvi_buf_printf(&r->out,
                       "</td><td class=\"bar\"><i style=\"width:%.2f%%\"></i></td><td "
                       "class=\"n\">%.2f%%</td><td class=\"n\">%s</td></tr>\n",
                       100.0 * p, 100.0 * s->probability, cvi_num(s->logit).text);
    }
    cvi_buf_puts(&r->out, "</tbody></table>\n");
}

static const char *logit_words(const cvi_report *r, cvs_logit_kind kind) {
    switch (kind) {
    case CVS_LOGIT_BEFORE_SOFTMAX:
        return cvi_report_tr(r, "The model ends in softmax; the logit is what goes into it.");
    case CVS_LOGIT_BEFORE_SIGMOID:
        return cvi_report_tr(r, "The model ends in a sigmoid; the logit is what goes into it.");
    case CVS_LOGIT_IS_OUTPUT:
        break;
    }
    return cvi_report_tr(r,
                         "The model's output is the logit; softmax was applied to it for the probability.");
}

cvs_status cvi_report_prediction(cvi_report *r, cvs_error *err) {
    cvs_error why = {.lang = r->o.lang};
    cvs_logit_kind kind = CVS_LOGIT_IS_OUTPUT;
    int count = 0, top = CVI_MIN(r->o.top, 1000);
    cvs_score *scores = cvi_calloc((size_t)top, sizeof *scores);
    if (scores == NULL) {
        return cvi_no_memory(err, (size_t)top * sizeof *scores);
    }
    cvi_buf_printf(&r->out, "<section id=\"prediction\">\n<h2>%s</h2>\n<div class=\"predict\">\n",
                   cvi_report_tr(r, "Prediction"));
    cvs_status status = put_picture(r, err);
    cvi_buf_puts(&r->out, "<div>\n");
    if (status == CVS_OK && cvs_run_top(r->run, 0, top, scores, &count, &kind, &why) == CVS_OK) {
        put_scores(r, scores, count);
        cvi_report_p(r, "quiet", logit_words(r, kind));
        if (r->info.preprocess != NULL && r->shown != NULL) {
            char words[256];
            const cvs_preprocess *p = r->info.preprocess;
            cvi_buf_puts(&r->out, "<p class=\"quiet\">");
            cvi_report_textf(r, cvi_report_tr(r, "Preprocessing (%s): %s"),
                             p->known && p->from[0] != '\0'
                                 ? cvi_report_tr(r, p->from)
                                 : cvi_report_tr(r, p->known
                                                        ? "said by the model"
                                                        : "a guess: nothing says what the network wants"),
                             cvs_preprocess_text(p, words, sizeof words));
            cvi_buf_puts(&r->out, "</p>\n");
        }
        char rest[32];
        snprintf(rest, sizeof rest, "--top %d", top);
        cvi_report_command(r, "predict", true, NULL, rest);
    } else if (status == CVS_OK) {
        cvi_buf_puts(&r->out, "<p class=\"quiet\">");
        cvi_report_textf(r, cvi_report_tr(r, "No class scores: %s"), why.message);
        cvi_buf_puts(&r->out, "</p>\n");
    }
    cvi_buf_puts(&r->out, "</div>\n</div>\n</section>\n");
    cvi_free(scores);
    return status;
}

/* ---- structure ------------------------------------------------------------------------------------------------- */

static void put_share(cvi_report *r, int64_t part, int64_t whole) {
    if (part == 0) {
        cvi_buf_puts(&r->out, "<td></td>");
        return;
    }
    cvi_buf_printf(&r->out,
                   "<td class=\"n\">%s<span class=\"share\"><i style=\"width:%.1f%%\"></i></span></td>",
                   cvi_count(part).text, whole > 0 ? 100.0 * (double)part / (double)whole : 0.0);
}

static void put_row(cvi_report *r, const cvs_layer *l, const cvs_maps_stats *stats) {
    char shape[64] = "?";
    cvi_buf_printf(&r->out, "<tr><td class=\"n\">%d</td><td class=\"name\"><a href=\"#L%d\">", l->index,
                   l->index);
    cvi_report_text(r, l->name);
    cvi_buf_puts(&r->out, "</a></td><td>");
    cvi_report_chip(r, l);
    cvi_buf_puts(&r->out, " ");
    cvi_report_text(r, l->title != NULL ? l->title : l->op);
    cvi_buf_puts(&r->out, "</td><td>");
    cvi_report_text(r, l->settings);
    cvi_buf_puts(&r->out, "</td><td class=\"n\">");
    cvi_report_text(r, l->rank >= 0 ? cvs_shape_text(l->rank, l->dim, shape, sizeof shape) : shape);
    cvi_buf_puts(&r->out, "</td>");
    put_share(r, l->params, r->sum.params);
    put_share(r, l->macs, r->sum.macs);
    cvi_buf_puts(&r->out, "<td class=\"n\">");
    if (l->has_field) {
        cvi_buf_printf(&r->out, "%lld x %lld", (long long)l->field[0], (long long)l->field[1]);
    }
    cvi_buf_puts(&r->out, "</td><td class=\"n\">");
    if (stats->rows * stats->columns > 1) {
        cvi_buf_printf(&r->out, "%s / %s", cvi_count(stats->blank).text, cvi_count(stats->maps).text);
    }
    cvi_buf_puts(&r->out, "</td></tr>\n");
}

cvs_status cvi_report_structure(cvi_report *r, cvs_error *err) {
    static const char *const heads[] = {"#",         "layer",      "type",          "settings",
                                        "shape",     "parameters", "multiply-adds", "receptive field",
                                        "blank maps"};
    cvs_figure_options look = cvi_report_look(r, false);
    cvs_figure *figure;
    cvi_buf_printf(&r->out, "<section id=\"structure\">\n<h2>%s</h2>\n", cvi_report_tr(r, "Structure"));
    CVI_TRY(cvs_draw_overview(&r->sum, r->linked, &look, &figure, err));
    CVI_TRY(cvi_report_figure(r, figure, "all-", err));
    cvi_report_p(r, "quiet",
                 cvi_report_tr(r, "Layers in the order of computation; colour is the kind of operator, an "
                                  "arrow says that a layer reads the one before it. "
                                  "Receptive field: how many input pixels one position can see. Blank maps: "
                                  "channels that are all zero for this picture."));
    cvi_buf_puts(&r->out, "<div class=\"scroll\" tabindex=\"0\"><table><thead><tr>");
    for (int i = 0; i < CVI_COUNT(heads); i++) {
        cvi_buf_printf(&r->out, "<th%s>%s</th>", i == 0 || i >= 4 ? " class=\"n\"" : "",
                       cvi_report_tr(r, heads[i]));
    }
    cvi_buf_puts(&r->out, "</tr></thead><tbody>\n");
    for (int i = 0; i < r->sum.n_layers; i++) {
        put_row(r, &r->sum.layers[i], &r->stats[i]);
    }
    cvi_buf_puts(&r->out, "</tbody></table></div>\n");
    cvi_report_command(r, "info", false, NULL, "");
    cvi_buf_puts(&r->out, "</section>\n");
    return CVS_OK;
}

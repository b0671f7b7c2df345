/* SPDX-License-Identifier: MIT
 * report_why.c - the report's Why section: Grad-CAM for the predicted class beside the runner-up on one colour scale, the votes of the
 * feature maps, the gradient of the pixels, each with its caption and its command. Where a method does not apply, a sentence
 * says why; only memory and cancellation stop the report.
 */
#include <math.h>

#include "draw/attribution.h"
#include "draw/report.h"
#include "graph/graph.h"

typedef struct why {
    cvi_report *r;
    cvs_score score[2]; /* predicted, runner-up */
    int n;              /* how many of them */
    int layer;          /* that Grad-CAM looks at, -1: none */
    const char *moved;  /* why `layer` is not the last convolution, or NULL */
    cvs_explanation cam[2];
    cvi_attribution_range range[2];
} why;

static const char *method_title(const cvi_report *r, const char *name) {
    cvs_method_info m;
    for (int i = 0; i < cvs_method_count(); i++) {
        if (cvs_method_describe(i, r->o.lang, &m, NULL) == CVS_OK && strcmp(m.name, name) == 0) {
            return m.title;
        }
    }
    return name;
}

static const char *method_sentence(const cvi_report *r, const char *name) {
    cvs_method_info m;
    for (int i = 0; i < cvs_method_count(); i++) {
        if (cvs_method_describe(i, r->o.lang, &m, NULL) == CVS_OK && strcmp(m.name, name) == 0) {
            return m.sentence;
        }
    }
    return "";
}

/* True when an error must stop the report; else its sentence takes the picture's place. */
static bool stops(cvs_status s) {
    return s == CVS_E_MEMORY || s == CVS_E_CANCELLED;
}

static cvs_status say_why_not(cvi_report *r, cvs_status s, const char *format, const cvs_error *reason,
                              cvs_error *err) {
    if (stops(s)) {
        if (err != NULL) {
            *err = *reason;
        }
        return s;
    }
    cvi_buf_puts(&r->out, "<p class=\"quiet\">");
    cvi_report_textf(r, cvi_report_tr(r, format), reason->message);
    cvi_buf_puts(&r->out, "</p>\n");
    return CVS_OK;
}

static void put_heading(cvi_report *r, const char *title, const char *layer, const char *sentence) {
    cvi_buf_puts(&r->out, "<h3>");
    cvi_report_text(r, title);
    if (layer != NULL) {
        cvi_report_textf(r, cvi_report_tr(r, " at layer %s"), layer);
    }
    cvi_buf_puts(&r->out, "</h3>\n");
    cvi_report_p(r, NULL, sentence);
}

static void put_class(cvi_report *r, const cvs_score *s, bool first) {
    cvi_buf_printf(&r->out, "<p class=\"class\"><span class=\"tag%s\">%s</span> <strong>",
                   first ? " first" : "", cvi_report_tr(r, first ? "predicted" : "runner-up"));
    if (s->name != NULL && s->name[0] != '\0') {
        cvi_report_text(r, s->name);
    } else {
        cvi_report_textf(r, cvi_report_tr(r, "class %d"), s->index);
    }
    cvi_buf_printf(&r->out, "</strong> <span class=\"quiet\">%.2f%% · ", 100.0 * s->probability);
    cvi_report_textf(r, "%s %s", cvi_report_tr(r, "logit"), cvi_num(s->logit).text);
    cvi_buf_puts(&r->out, "</span></p>\n");
}

/* ---- Grad-CAM ----------------------------------------------------------------------------------------------- */

static cvs_status explain(why *w, const char *method, int layer, int class_index, cvs_explanation *out,
                          cvs_error *err) {
    cvs_explain_options o = {.method = method,
                             .target = {.index = class_index},
                             .lang = w->r->o.lang,
                             .progress = w->r->o.progress,
                             .progress_context = w->r->o.progress_context};
    o.layer = layer >= 0 ? w->r->sum.layers[layer].name : NULL;
    return cvs_explain(w->r->run, &o, out, err);
}

/* The layer that the node of `layer` reads, through values that readers hid; -1: none. */
static int layer_before(const cvi_report *r, int layer) {
    const cvi_graph *g = r->model->graph;
    int v = cvi_graph_layer(g, layer);
    for (int step = 0; v >= 0 && step < 8; step++) {
        int node = g->values[v].producer;
        v = node >= 0 && g->nodes[node].n_in > 0 ? g->nodes[node].in[0] : -1;
        for (int i = 0; v >= 0 && i < r->sum.n_layers; i++) {
            if (cvi_graph_layer(g, i) == v) {
                return r->sum.layers[i].rank == 4 ? i : -1;
            }
        }
    }
    return -1;
}

/* The activation that follows the node of `layer`, through a bias or a normalization; -1: none. */
static int activation_after(const cvi_report *r, int layer) {
    const cvi_graph *g = r->model->graph;
    int v = cvi_graph_layer(g, layer), steps = 0;
    for (int i = layer + 1; i < r->sum.n_layers && steps < 4; i++) {
        const cvs_layer *l = &r->sum.layers[i];
        int out = cvi_graph_layer(g, i), node = out >= 0 ? g->values[out].producer : -1;
        bool reads = false;
        for (int k = 0; node >= 0 && k < g->nodes[node].n_in; k++) {
            reads |= g->nodes[node].in[k] == v;
        }
        if (!reads || l->rank != 4) {
            continue;
        }
        if (l->glyph == CVI_CLASS_ACTIVATION) {
            return i;
        }
        v = out;
        steps++;
    }
    return -1;
}

/* One map per class and only the target's own speaks: a fully convolutional head. Its features lie one layer before. */
static bool is_head(const cvs_explanation *e) {
    return e->n_votes > 2 && e->votes[0].channel == e->target_index && e->votes[0].value != 0.0 &&
           e->votes[1].value == 0.0;
}

/* What is left of the map after its ReLU is next to nothing beside the votes: values before an activation, whose sign the
 * mean gradient does not know. */
static bool is_hushed(const cvs_explanation *e) {
    double votes = 0.0, left = 0.0;
    for (int i = 0; i < e->n_votes; i++) {
        votes += fabs(e->votes[i].value);
    }
    for (int64_t i = 0; i < cvs_tensor_count(&e->map); i++) {
        left += (double)((const float *)e->map.data)[i];
    }
    return left < 0.02 * votes;
}

/* Looks at another layer instead, if that works. */
static cvs_status move_to(why *w, int layer, const char *reason_why, cvs_error *reason) {
    cvs_explanation other = {0};
    cvs_status s =
        layer >= 0 ? explain(w, "gradcam", layer, w->score[0].index, &other, reason) : CVS_E_NOT_FOUND;
    if (stops(s)) {
        return s;
    }
    if (s == CVS_OK) {
        cvs_explanation_free(&w->cam[0]);
        w->cam[0] = other;
        w->layer = layer;
        w->moved = reason_why;
    }
    return CVS_OK;
}

static cvs_status find_cams(why *w, cvs_error *reason) {
    CVI_TRY(cvs_model_find_layer(w->r->model, "last-conv", &w->layer, reason));
    CVI_TRY(explain(w, "gradcam", w->layer, w->score[0].index, &w->cam[0], reason));
    if (is_head(&w->cam[0])) {
        CVI_TRY(move_to(w, layer_before(w->r, w->layer),
                        "The last convolution makes one map per class, so only the class's own map would "
                        "vote there; the layer that it reads is shown instead.",
                        reason));
    } else if (is_hushed(&w->cam[0])) {
        CVI_TRY(move_to(w, activation_after(w->r, w->layer),
                        "At the last convolution itself almost nothing is left of the map: its values are "
                        "those before the activation. The activation that follows is shown instead.",
                        reason));
    }
    for (int i = 0; i < w->n; i++) {
        if (i > 0) {
            CVI_TRY(explain(w, "gradcam", w->layer, w->score[i].index, &w->cam[i], reason));
        }
        CVI_TRY(cvi_attribution_measure(&w->cam[i], &w->range[i], reason));
    }
    return CVS_OK;
}

static void put_command(why *w, const char *method, int layer, int class_index, const char *file) {
    char rest[96];
    snprintf(rest, sizeof rest, "--method %s --target %d -o %s", method, class_index, file);
    cvi_report_command(w->r, "explain", true, layer >= 0 ? &w->r->sum.layers[layer] : NULL, rest);
}

static cvs_status put_cam(why *w, int i, const cvi_attribution_range *both, cvs_error *err) {
    cvi_report *r = w->r;
    cvs_figure_options look = cvi_report_look(r, true);
    cvi_attribution_parts parts = {.maps = true, .range = both};
    cvs_attribution_data data = {.why = &w->cam[i], .title = "", .picture = r->shown};
    cvs_error reason = {.lang = r->o.lang};
    cvs_figure *figure = NULL;
    cvi_buf_puts(&r->out, "<figure>\n");
    put_class(r, &w->score[i], i == 0);
    if (w->range[i].largest == 0.0) {
        cvi_report_p(
            r, "quiet",
            cvi_report_tr(r, "The map is zero everywhere: nothing in this layer spoke for the target."));
    } else {
        look.width = 352;
        cvs_status s = cvi_draw_attribution_parts(&data, &parts, &look, &figure, &reason);
        if (s == CVS_OK) {
            CVI_TRY(cvi_report_figure(r, figure, i == 0 ? "why0-" : "why1-", err));
        } else {
            CVI_TRY(say_why_not(r, s, "No picture: %s", &reason, err));
        }
    }
    cvi_buf_puts(&r->out, "<figcaption>");
    cvi_report_text(r, w->cam[i].caption);
    cvi_buf_puts(&r->out, "</figcaption>\n");
    put_command(w, "gradcam", w->layer, w->score[i].index, i == 0 ? "why.svg" : "runner-up.svg");
    cvi_buf_puts(&r->out, "</figure>\n");
    return CVS_OK;
}

static cvs_status put_votes(why *w, cvs_error *err) {
    cvi_report *r = w->r;
    cvs_tensor maps = {0};
    cvs_error reason = {.lang = r->o.lang};
    cvs_figure *figure = NULL;
    cvi_buf_puts(&r->out, "<h3>");
    cvi_report_text(r, cvi_report_tr(r, "Votes of the feature maps"));
    cvi_buf_puts(&r->out, "</h3>\n");
    if (w->cam[0].n_votes < 1 || w->cam[0].votes[0].value == 0.0) {
        cvi_report_p(r, "quiet", cvi_report_tr(r, "No feature map of this layer voted: all parts are zero."));
        return CVS_OK;
    }
    cvs_status s = cvi_layer_floats(r->run, &r->sum.layers[w->layer], &maps, &reason);
    if (s == CVS_OK) {
        cvs_figure_options look = cvi_report_look(r, true);
        cvi_attribution_parts parts = {.votes = true};
        cvs_attribution_data data = {.why = &w->cam[0], .title = "", .maps = &maps};
        s = cvi_draw_attribution_parts(&data, &parts, &look, &figure, &reason);
    }
    cvs_tensor_free(&maps);
    if (s != CVS_OK) {
        return say_why_not(r, s, "No picture: %s", &reason, err);
    }
    CVI_TRY(cvi_report_figure(r, figure, "votes-", err));
    char rest[96];
    snprintf(rest, sizeof rest, "--method gradcam --target %d --votes votes.csv", w->score[0].index);
    cvi_report_command(r, "explain", true, &r->sum.layers[w->layer], rest);
    return CVS_OK;
}

static cvs_status put_cams(why *w, cvs_error *err) {
    cvi_report *r = w->r;
    cvs_error reason = {.lang = r->o.lang};
    cvs_status s = find_cams(w, &reason);
    put_heading(r, method_title(r, "gradcam"), s == CVS_OK ? r->sum.layers[w->layer].name : NULL,
                method_sentence(r, "gradcam"));
    if (s != CVS_OK) {
        return say_why_not(r, s, "Grad-CAM does not apply to this model: %s", &reason, err);
    }
    if (w->moved != NULL) {
        cvi_report_p(r, "quiet", cvi_report_tr(r, w->moved));
    }
    cvi_attribution_range both = w->range[0];
    if (w->n > 1) {
        both.least = CVI_MIN(both.least, w->range[1].least);
        both.largest = CVI_MAX(both.largest, w->range[1].largest);
        if (both.largest > 0.0) {
            cvi_report_p(r, "quiet", cvi_report_tr(r, "Both maps share one colour scale."));
        }
    }
    if (w->range[0].not_finite + (w->n > 1 ? w->range[1].not_finite : 0) > 0) {
        cvi_report_p(r, "warn",
                     cvi_report_tr(r, "Some values of the map are not finite; they are drawn as zero."));
    }
    cvi_buf_puts(&r->out, "<div class=\"pair\">\n");
    for (int i = 0; i < w->n; i++) {
        CVI_TRY(put_cam(w, i, &both, err));
    }
    cvi_buf_puts(&r->out, "</div>\n");
    return put_votes(w, err);
}

/* ---- gradient ----------------------------------------------------------------------------------------------- */

static cvs_status draw_gradient(why *w, cvs_explanation *e, cvs_figure **figure, bool *blank,
                                cvs_error *reason) {
    cvi_report *r = w->r;
    cvs_figure_options look = cvi_report_look(r, true);
    cvi_attribution_range range;
    CVI_TRY(explain(w, "gradient", -1, w->score[0].index, e, reason));
    CVI_TRY(cvi_attribution_measure(e, &range, reason));
    *blank = range.largest == 0.0;
    if (*blank) {
        return CVS_OK;
    }
    cvi_attribution_parts parts = {.picture = true, .maps = true, .range = &range};
    cvs_attribution_data data = {.why = e, .title = "", .picture = r->shown};
    look.width = 540;
    return cvi_draw_attribution_parts(&data, &parts, &look, figure, reason);
}

static cvs_status put_gradient(why *w, cvs_error *err) {
    cvi_report *r = w->r;
    cvs_explanation e = {0};
    cvs_error reason = {.lang = r->o.lang};
    cvs_figure *figure = NULL;
    bool blank = false;
    put_heading(r, method_title(r, "gradient"), NULL, method_sentence(r, "gradient"));
    cvs_status s = draw_gradient(w, &e, &figure, &blank, &reason);
    if (s != CVS_OK) {
        cvs_explanation_free(&e);
        return say_why_not(r, s, "The gradient of the pixels does not apply to this model: %s", &reason, err);
    }
    if (blank) {
        cvi_report_p(r, "quiet",
                     cvi_report_tr(r, "The gradient is zero everywhere: no small change of any pixel would "
                                      "change the target."));
    } else {
        s = cvi_report_figure(r, figure, "grad-", err);
    }
    cvi_report_p(r, "cap", e.caption);
    cvs_explanation_free(&e);
    put_command(w, "gradient", -1, w->score[0].index, "gradient.svg");
    return s;
}

cvs_status cvi_report_why(cvi_report *r, cvs_error *err) {
    why w = {.r = r, .layer = -1};
    cvs_logit_kind kind;
    cvs_error reason = {.lang = r->o.lang};
    if (r->o.progress != NULL &&
        !r->o.progress(r->o.progress_context, cvi_report_tr(r, "explaining the prediction"), 0)) {
        return cvi_fail(err, CVS_E_CANCELLED, "the report was cancelled");
    }
    cvi_buf_printf(&r->out, "<section id=\"why\">\n<h2>%s</h2>\n", cvi_report_tr(r, "Why"));
    cvs_status s = cvs_run_top(r->run, 0, 2, w.score, &w.n, &kind, &reason);
    if (s != CVS_OK) {
        s = say_why_not(r, s, "There is no class to explain: %s", &reason, err);
    } else {
        s = put_cams(&w, err);
        if (s == CVS_OK) {
            s = put_gradient(&w, err);
        }
    }
    cvi_buf_puts(&r->out, "</section>\n");
    for (int i = 0; i < 2; i++) {
        cvs_explanation_free(&w.cam[i]);
    }
    return s;
}

/* SPDX-License-Identifier: MIT
 * report.c - one self-contained HTML page about a model and a picture: frame, style, navigation, and the little things its
 * parts share. No script, no font, nothing from elsewhere; the content security policy in its head says so to the browser.
 * Light and dark follow the system and can be flipped (a checkbox and CSS). The same input gives the same bytes: no dates.
 */
#include "draw/report.h"
#include "graph/graph.h"

#include <stdlib.h>

const char *cvi_report_tr(const cvi_report *r, const char *english) {
    return cvi_tr(r->o.lang, english);
}

void cvi_report_text(cvi_report *r, const char *text) {
    cvi_buf_xml(&r->out, text);
}

void cvi_report_textf(cvi_report *r, const char *fmt, ...) {
    char text[1024];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    cvi_buf_xml(&r->out, text);
}

void cvi_report_p(cvi_report *r, const char *class_name, const char *text) {
    cvi_buf_puts(&r->out, "<p");
    if (class_name != NULL) {
        cvi_buf_printf(&r->out, " class=\"%s\"", class_name);
    }
    cvi_buf_puts(&r->out, ">");
    cvi_buf_xml(&r->out, text);
    cvi_buf_puts(&r->out, "</p>\n");
}

/* A word for a POSIX shell: as it is when harmless, else in single quotes; escaped for HTML. */
static void put_word(cvi_report *r, const char *word) {
    bool harmless = *word != '\0';
    for (const unsigned char *p = (const unsigned char *)word; *p != '\0'; p++) {
        bool letter =
            (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') || (*p >= '0' && *p <= '9') || *p >= 0x80;
        harmless &= letter || strchr("_./:=@%+-,", *p) != NULL;
    }
    if (harmless) {
        cvi_report_text(r, word);
        return;
    }
    cvi_buf_puts(&r->out, "&#39;");
    for (const char *p = word; *p != '\0';) {
        size_t n = strcspn(p, "'");
        cvi_buf part = {0};
        cvi_buf_add(&part, p, n);
        if (part.data != NULL) {
            cvi_buf_xml(&r->out, part.data);
        }
        r->out.failed |= part.failed;
        cvi_buf_free(&part);
        p += n;
        if (*p == '\'') {
            cvi_buf_puts(&r->out, "&#39;\\&#39;&#39;");
            p++;
        }
    }
    cvi_buf_puts(&r->out, "&#39;");
}

void cvi_report_command(cvi_report *r, const char *verb, bool with_image, const cvs_layer *layer,
                        const char *rest) {
    cvi_buf_printf(&r->out, "<code class=\"cmd\" tabindex=\"0\">convscope %s ", verb);
    put_word(r, r->model_arg);
    if (with_image) {
        cvi_buf_puts(&r->out, " ");
        put_word(r, r->image_arg);
    }
    if (layer != NULL) {
        cvi_buf_puts(&r->out, " --layer ");
        put_word(r, layer->name);
    }
    cvi_buf_printf(&r->out, "%s%s</code>\n", *rest != '\0' ? " " : "", rest);
}

cvs_figure_options cvi_report_look(const cvi_report *r, bool compact) {
    return (cvs_figure_options){
        .lang = r->o.lang, .width = 720, .bare = true, .compact = compact, .max_pixels = r->layer_pixels};
}

cvs_status cvi_report_figure(cvi_report *r, cvs_figure *figure, const char *prefix, cvs_error *err) {
    cvi_svg_options options = {.id_prefix = prefix, .variables = true, .embedded = true};
    cvi_buf_puts(&r->out, "<div class=\"fig\">\n");
    cvs_status status = cvi_scene_svg(figure->scene, &options, &r->out, err);
    cvi_buf_puts(&r->out, "</div>\n");
    cvs_figure_free(figure);
    return status;
}

void cvi_report_chip(cvi_report *r, const cvs_layer *layer) {
    const cvi_theme *t = cvi_theme_get(CVS_LIGHT);
    int g = layer->glyph >= 0 && layer->glyph < CVI_N_CLASSES ? layer->glyph : CVI_CLASS_UNKNOWN;
    cvi_buf_printf(&r->out, "<i class=\"chip\" style=\"background:var(--%s);border-color:var(--%s)\"></i>",
                   cvi_theme_variable(t, t->look[g].fill), cvi_theme_variable(t, t->look[g].edge));
}

const char *cvi_report_title(const cvi_report *r) {
    const char *base = cvi_path_base(r->model_arg);
    if (*base == '\0') { /* "folder/" */
        return r->info.name;
    }
    const char *start = base;
    if (strncmp(base, "model.", 6) == 0 && base - r->model_arg > 1) {
        for (start = base - 1; start > r->model_arg && start[-1] != '/'; start--) {}
    }
    return start;
}

/* ---- frame -------------------------------------------------------------------------------------------------- */

static void put_style(cvi_report *r) {
    cvi_buf light = {0}, dark = {0};
    cvi_theme_css(cvi_theme_get(CVS_LIGHT), &light);
    cvi_theme_css(cvi_theme_get(CVS_DARK), &dark);
    r->out.failed |= light.failed || dark.failed;
    if (!r->out.failed) {
        cvi_buf_printf(&r->out,
                       "<style>\n:root{color-scheme:light dark}\n.page{%s}\n.flip:checked~.page{%s}\n",
                       light.data, dark.data);
        cvi_buf_printf(&r->out, "@media(prefers-color-scheme:dark){.page{%s}.flip:checked~.page{%s}}\n",
                       dark.data, light.data);
        cvi_buf_printf(&r->out, "@media print{.page,.flip:checked~.page{%s}}\n", light.data);
        cvi_buf_puts(&r->out,
#include "draw/report_style.def"
        );
        cvi_buf_puts(&r->out, "\n</style>\n");
    }
    cvi_buf_free(&light);
    cvi_buf_free(&dark);
}

static void put_head(cvi_report *r) {
    cvi_buf_printf(
        &r->out,
        "<!doctype html>\n<html lang=\"%s\">\n<head>\n<meta charset=\"utf-8\">\n"
        "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n"
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; img-src data:; style-src "
        "'unsafe-inline'\">\n<meta name=\"generator\" content=\"Convscope " CVS_VERSION "\">\n<title>",
        r->o.lang == CVS_ZH ? "zh-CN" : "en");
    cvi_report_text(r, cvi_report_title(r));
    cvi_buf_puts(&r->out, " · Convscope</title>\n");
    put_style(r);
    cvi_buf_puts(&r->out, "</head>\n<body>\n<input type=\"checkbox\" class=\"flip\" id=\"flip\">\n"
                          "<div class=\"page\"><div class=\"wrap\">\n");
}

static void put_navigation(cvi_report *r) {
    static const char *const parts[][2] = {
        {"prediction", "Prediction"}, {"why", "Why"}, {"structure", "Structure"}, {"layers", "Layers"}};
    cvi_buf_printf(&r->out, "<nav aria-label=\"%s\">\n", cvi_report_tr(r, "Contents"));
    for (int i = 0; i < CVI_COUNT(parts); i++) {
        cvi_buf_printf(&r->out, "<a class=\"part\" href=\"#%s\">%s</a>\n", parts[i][0],
                       cvi_report_tr(r, parts[i][1]));
    }
    for (int i = 0; i < r->sum.n_layers; i++) {
        cvi_buf_printf(&r->out, "<a href=\"#L%d\">", i);
        cvi_report_chip(r, &r->sum.layers[i]);
        cvi_buf_puts(&r->out, "<span>");
        cvi_report_text(r, r->sum.layers[i].name);
        cvi_buf_puts(&r->out, "</span></a>\n");
    }
    cvi_buf_puts(&r->out, "</nav>\n");
}

static cvs_status put_layers(cvi_report *r, cvs_error *err) {
    cvi_buf_printf(&r->out, "<section id=\"layers\">\n<h2>%s</h2>\n", cvi_report_tr(r, "Layers"));
    cvi_report_p(
        r, "quiet",
        cvi_report_tr(
            r, "Every layer with what it does, its kernels and what it made of this picture. A click on a "
               "heading opens or closes it; a click on a command selects it."));
    for (int i = 0; i < r->sum.n_layers; i++) {
        const char *what = cvi_report_tr(r, "drawing the report");
        if (r->o.progress != NULL &&
            !r->o.progress(r->o.progress_context, what, (double)i / r->sum.n_layers)) {
            return cvi_fail(err, CVS_E_CANCELLED, "the report was cancelled");
        }
        CVI_TRY(cvi_report_layer(r, &r->sum.layers[i], err));
        if (r->out.failed) {
            return cvi_no_memory(err, r->out.size);
        }
    }
    cvi_buf_puts(&r->out, "</section>\n");
    return CVS_OK;
}

static void put_footer(cvi_report *r) {
    cvi_buf_puts(&r->out, "<footer>\n");
    cvi_buf_puts(&r->out, "<p>");
    cvi_report_textf(
        r, cvi_report_tr(r, "Made by Convscope %s with one command. This page loads nothing from elsewhere."),
        CVS_VERSION);
    cvi_buf_puts(&r->out, "</p>\n");
    cvi_report_command(r, "report", true, NULL,
                       r->o.lang == CVS_ZH ? "--lang zh -o report.html" : "-o report.html");
    cvi_buf_puts(&r->out, "</footer>\n</main>\n</div>\n</div></div>\n</body>\n</html>\n");
}

static cvs_status compose(cvi_report *r, cvs_error *err) {
    put_head(r);
    cvi_report_header(r);
    cvi_buf_puts(&r->out, "<div class=\"cols\">\n");
    put_navigation(r);
    cvi_buf_puts(&r->out, "<main>\n");
    CVI_TRY(cvi_report_prediction(r, err));
    CVI_TRY(cvi_report_why(r, err));
    CVI_TRY(cvi_report_structure(r, err));
    CVI_TRY(put_layers(r, err));
    put_footer(r);
    return r->out.failed ? cvi_no_memory(err, r->out.size) : CVS_OK;
}

/* ---- what is measured first ------------------------------------------------------------------------------------ */

/* True when value v is read by node n, directly or through values that readers hid. */
static bool reads(const cvi_graph *g, int n, int v, int depth) {
    for (int k = 0; n >= 0 && k < g->nodes[n].n_in; k++) {
        int in = g->nodes[n].in[k];
        if (in == v || (in >= 0 && depth > 0 && g->values[in].hidden &&
                        reads(g, g->values[in].producer, v, depth - 1))) {
            return true;
        }
    }
    return false;
}

static cvs_status measure(cvi_report *r, cvs_error *err) {
    int n = r->sum.n_layers, before = -1;
    r->stats = cvi_calloc((size_t)n + 1, sizeof *r->stats);
    r->linked = cvi_calloc((size_t)n + 1, sizeof *r->linked);
    if (r->stats == NULL || r->linked == NULL) {
        return cvi_no_memory(err, (size_t)n * sizeof *r->stats);
    }
    for (int i = 0; i < n; i++) {
        int v = cvi_graph_layer(r->model->graph, i);
        r->linked[i] =
            before >= 0 && v >= 0 && reads(r->model->graph, r->model->graph->values[v].producer, before, 4);
        before = v;
        cvs_tensor value = {0};
        cvs_error ignored = {
            0}; /* a layer that cannot be read (a branch not taken, a type without numbers) has no picture */
        if (cvi_layer_floats(r->run, &r->sum.layers[i], &value, &ignored) != CVS_OK ||
            cvs_maps_measure(&value, 0, &r->stats[i], &ignored) != CVS_OK) {
            r->stats[i] = (cvs_maps_stats){0};
            if (ignored.code == CVS_E_MEMORY) {
                cvs_tensor_free(&value);
                return cvi_no_memory(err, 0);
            }
        }
        cvs_tensor_free(&value);
    }
    return CVS_OK;
}

cvs_status cvs_report_html(cvs_run *run, const cvs_model *model, const cvs_tensor *shown,
                           const cvs_report_options *options, char **html, size_t *size, cvs_error *err) {
    cvi_report r = {.run = run, .model = model};
    if (options != NULL) {
        r.o = *options;
    }
    *html = NULL;
    *size = 0;
    r.shown = shown != NULL && shown->data != NULL ? shown : NULL;
    r.o.top = r.o.top > 0 ? r.o.top : 10;
    cvs_model_describe(model, &r.info);
    r.model_arg = r.o.model_path != NULL ? r.o.model_path : r.info.path != NULL ? r.info.path : "MODEL";
    r.image_arg = r.o.image_path != NULL ? r.o.image_path : "IMAGE";
    CVI_TRY(cvs_model_summarize(model, NULL, r.o.lang, &r.sum, err));
    int64_t all = r.o.max_pixels > 0 ? r.o.max_pixels : 6000000;
    r.deep = r.sum.n_layers > 40;
    r.layer_pixels = CVI_MIN(CVI_MAX(all / CVI_MAX(r.sum.n_layers, 1), 10000), 1200000);
    cvs_status status = measure(&r, err);
    if (status == CVS_OK) {
        status = compose(&r, err);
    }
    if (status == CVS_OK) {
        *html = r.out.data;
        *size = r.out.size;
    } else {
        cvi_buf_free(&r.out);
    }
    cvi_free(r.stats);
    cvi_free(r.linked);
    cvs_summary_free(&r.sum);
    return status;
}

cvs_status cvs_report_write(cvs_run *run, const cvs_model *model, const cvs_tensor *shown, const char *path,
                            const cvs_report_options *options, cvs_error *err) {
    char *html = NULL;
    size_t size = 0;
    CVI_TRY(cvi_check_output(path, err));
    CVI_TRY(cvs_report_html(run, model, shown, options, &html, &size, err));
    cvs_status status = cvi_file_write(path, html, size, err);
    cvs_free(html);
    return status;
}

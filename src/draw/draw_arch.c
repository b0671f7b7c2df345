/* SPDX-License-Identifier: MIT
 * draw_arch.c - draws architectures: from models and options to a style, and from its scene or text to a file.
 */
#include "draw/arch.h"
#include "draw/convnetdraw.h"

#include <ctype.h>
#include <strings.h>

#define DRAW_STYLE(name) extern const cvi_draw_style cvi_style_##name;
#include "draw/styles.def"
#undef DRAW_STYLE

/* In the order of styles.def. */
static const cvi_draw_style *const styles[] = {
#define DRAW_STYLE(name) &cvi_style_##name,
#include "draw/styles.def"
#undef DRAW_STYLE
};
enum { N_STYLES = CVI_COUNT(styles) };

static const cvi_draw_style *find_style(const char *name) {
    for (int i = 0; i < N_STYLES; i++) {
        if (strcmp(styles[i]->name, name) == 0) {
            return styles[i];
        }
    }
    return NULL;
}

/* The style that suits an architecture best ("auto"). */
static const cvi_draw_style *suited_style(const cvi_arch *a) {
    bool chain = true;
    for (int i = 0; i < a->n_nodes; i++) {
        chain = chain && cvi_arch_n_inputs(a, i) <= 1 && a->users_at[i + 1] - a->users_at[i] <= 1;
    }
    return find_style(chain && a->n_nodes <= 13 ? "volume" : "graph");
}

int cvs_draw_style_count(void) {
    return N_STYLES;
}

cvs_status cvs_draw_style_describe(int i, cvs_lang lang, cvs_draw_style_info *out, cvs_error *err) {
    if (i < 0 || i >= N_STYLES) {
        return cvi_fail(err, CVS_E_ARGUMENT, "there is no drawing style number %d; there are %d", i,
                        N_STYLES);
    }
    const cvi_draw_style *s = styles[i];
    *out = (cvs_draw_style_info){.name = s->name,
                                 .summary = lang == CVS_ZH ? s->zh : s->en,
                                 .texts = s->texts != NULL ? s->texts : "",
                                 .pictures = s->pictures};
    return CVS_OK;
}

const char *cvs_draw_text_style(const char *text) {
    for (int i = 0; i < N_STYLES; i++) {
        if (styles[i]->reads != NULL && styles[i]->reads(text)) {
            return styles[i]->name;
        }
    }
    return NULL;
}

/* ---- names ------------------------------------------------------------------------------------------------------ */

static cvs_status unknown_style(const char *name, cvs_error *err) {
    char list[400] = "auto";
    for (int i = 0; i < N_STYLES; i++) {
        size_t n = strlen(list);
        snprintf(list + n, sizeof list - n, ", %s", styles[i]->name);
    }
    return cvi_at_attr(
        err, cvi_fail(err, CVS_E_ARGUMENT, "unknown drawing style \"%.40s\"; styles: %s", name, list),
        "style");
}

static bool is_auto(const char *style) {
    return style == NULL || style[0] == '\0' || strcmp(style, "auto") == 0;
}

/* Whether a list of extensions (".md .csv") holds one. */
static bool has_extension(const char *list, const char *extension) {
    size_t n = strlen(extension);
    for (const char *p = list; p != NULL && n > 0 && (p = strstr(p, extension)) != NULL; p += n) {
        if (p[n] == ' ' || p[n] == '\0') {
            return true;
        }
    }
    return false;
}

/* ".svg" of a path in lower case, "" without one. */
static void extension_of(const char *path, char out[16]) {
    const char *dot = strrchr(cvi_path_base(path), '.');
    size_t n = 0;
    for (; dot != NULL && dot[n] != '\0' && n < 15; n++) {
        out[n] = (char)tolower((unsigned char)dot[n]);
    }
    out[n] = '\0';
}

/* What draws a format best where nobody asked for a style. */
static const cvi_draw_style *style_for(const char *extension, const cvi_arch *a) {
    for (int pictures = 0; pictures < 2 && !cvi_is_picture_extension(extension); pictures++) {
        for (int i = 0; i < N_STYLES; i++) { /* numbers rather than a layout */
            if (styles[i]->pictures == (pictures == 1) && has_extension(styles[i]->texts, extension)) {
                return styles[i];
            }
        }
    }
    return suited_style(a);
}

static cvs_status check_extension(const cvi_draw_style *style, const char *extension, cvs_error *err) {
    if (has_extension(style->texts, extension) || (style->pictures && cvi_is_picture_extension(extension))) {
        return CVS_OK;
    }
    return cvi_fail(err, CVS_E_ARGUMENT, "the style %s does not write \"%s\" files; it writes%s%s%s",
                    style->name, extension, style->pictures ? cvi_picture_extensions() : "",
                    style->texts != NULL ? " " : "", style->texts != NULL ? style->texts : "");
}

static bool any_style_writes(const char *extension) {
    for (int i = 0; i < N_STYLES; i++) {
        const cvi_draw_style *s = styles[i];
        if (has_extension(s->texts, extension) || (s->pictures && cvi_is_picture_extension(extension))) {
            return true;
        }
    }
    return false;
}

cvs_status cvs_draw_check(const char *style, const char *path, cvs_error *err) {
    char extension[16];
    extension_of(path, extension);
    if (!is_auto(style)) {
        const cvi_draw_style *s = find_style(style);
        if (s == NULL) {
            return unknown_style(style, err);
        }
        cvs_status status = check_extension(s, extension, err);
        if (status != CVS_OK) {
            return cvi_at_file(err, status, path);
        }
    } else if (!any_style_writes(extension)) {
        return cvi_check_figure_path(path, err);
    }
    return cvi_check_output(path, err);
}

/* ---- drawing ----------------------------------------------------------------------------------------------------- */

typedef struct session {
    cvs_draw_options o;
    const cvi_draw_style *style;
    cvi_arch **arch;
    int n;
    cvi_drawing drawing;
} session;

static void release(session *s) {
    for (int i = 0; s->arch != NULL && i < s->n; i++) {
        cvi_arch_free(s->arch[i]);
    }
    cvi_free(s->arch);
    cvi_scene_free(s->drawing.scene);
    cvi_buf_free(&s->drawing.text);
}

static cvs_status read_source(session *s, const cvs_draw_source *source, int i, cvs_error *err) {
    if (source->model == NULL) { /* a text: one that describes a network serves every style */
        bool script = source->text != NULL && cvi_convnetdraw_match(source->text);
        const char *name = source->name != NULL ? source->name : "";
        cvs_status status =
            script ? cvi_arch_from_convnetdraw(source->text, cvi_path_base(name), s->o.lang, &s->arch[i], err)
                   : CVS_OK;
        return status == CVS_OK ? status : cvi_at_file(err, status, name);
    }
    return s->style != NULL && s->style->raw ? cvi_arch_read(source->model, &s->o, &s->arch[i], err)
                                             : cvi_arch_from_model(source->model, &s->o, &s->arch[i], err);
}

static cvs_status read_sources(session *s, const cvs_draw_source *sources, int n, cvs_error *err) {
    s->arch = cvi_calloc((size_t)n, sizeof(cvi_arch *));
    if (s->arch == NULL) {
        return cvi_no_memory(err, sizeof(cvi_arch *));
    }
    s->n = n;
    for (int i = 0; i < n; i++) {
        CVI_TRY(read_source(s, &sources[i], i, err));
        if (s->arch[i] == NULL && s->style != NULL && !s->style->sources_only) {
            return cvi_fail(err, CVS_E_ARGUMENT, "the style %s draws a network; \"%.80s\" describes none",
                            s->style->name, sources[i].name != NULL ? sources[i].name : "");
        }
    }
    return CVS_OK;
}

static cvs_status draw(session *s, const cvs_draw_source *sources, int n, const char *extension,
                       cvs_error *err) {
    if (n < 1) {
        return cvi_fail(err, CVS_E_ARGUMENT, "there is nothing to draw");
    }
    if (!is_auto(s->o.style) && (s->style = find_style(s->o.style)) == NULL) {
        return unknown_style(s->o.style, err);
    }
    CVI_TRY(read_sources(s, sources, n, err));
    if (s->style == NULL) {
        s->style = style_for(extension, s->arch[0]);
        if (s->style->raw) { /* it wants them otherwise */
            for (int i = 0; i < n; i++) {
                cvi_arch_free(s->arch[i]);
            }
            cvi_free(s->arch);
            s->arch = NULL;
            CVI_TRY(read_sources(s, sources, n, err));
        }
    }
    CVI_TRY(check_extension(s->style, extension, err));
    if (s->style->most > 0 && n > s->style->most) {
        return cvi_fail(err, CVS_E_ARGUMENT, "the style %s draws at most %d models at once, there are %d",
                        s->style->name, s->style->most, n);
    }
    cvi_draw_job job = {.n = n,
                        .arch = (const cvi_arch *const *)s->arch,
                        .source = sources,
                        .o = &s->o,
                        .extension = extension};
    CVI_TRY(s->style->draw(&job, &s->drawing, err));
    if (s->drawing.text.failed || (s->drawing.scene != NULL && s->drawing.scene->failed)) {
        return cvi_no_memory(err, sizeof(cvi_scene));
    }
    return CVS_OK;
}

static session begin(const cvs_draw_options *options) {
    session s = {0};
    if (options != NULL) {
        s.o = *options;
    }
    return s;
}

cvs_status cvs_draw_architecture_memory(const cvs_draw_source *sources, int n,
                                        const cvs_draw_options *options, const char *extension, char **out,
                                        size_t *size, cvs_error *err) {
    session s = begin(options);
    cvi_buf buf = {0};
    *out = NULL;
    cvs_status status = draw(&s, sources, n, extension, err);
    if (status == CVS_OK && s.drawing.scene != NULL) {
        s.drawing.scene->fragment = s.o.fragment;
        status = cvi_scene_encode(s.drawing.scene, extension, s.o.scale, &buf, err);
    } else if (status == CVS_OK) {
        buf = s.drawing.text;
        s.drawing.text = (cvi_buf){0};
    }
    release(&s);
    if (status != CVS_OK || buf.failed) {
        cvi_buf_free(&buf);
        return status != CVS_OK ? status : cvi_no_memory(err, 1);
    }
    *out = buf.data;
    if (size != NULL) {
        *size = buf.size;
    }
    return CVS_OK;
}

cvs_status cvs_draw_architecture(const cvs_draw_source *sources, int n, const cvs_draw_options *options,
                                 const char *path, cvs_error *err) {
    char extension[16], *data = NULL;
    size_t size = 0;
    extension_of(path, extension);
    CVI_TRY(cvs_draw_check(options != NULL ? options->style : NULL, path, err));
    CVI_TRY(cvs_draw_architecture_memory(sources, n, options, extension, &data, &size, err));
    cvs_status status = cvi_file_write(path, data, size, err);
    cvi_free(data);
    return status;
}

cvs_status cvs_draw_architecture_figure(const cvs_draw_source *sources, int n,
                                        const cvs_draw_options *options, cvs_figure **out, cvs_error *err) {
    session s = begin(options);
    *out = NULL;
    cvs_status status = draw(&s, sources, n, ".svg", err);
    if (status == CVS_OK && s.drawing.scene == NULL) {
        status = cvi_fail(err, CVS_E_UNSUPPORTED, "the style %s makes no picture", s.style->name);
    }
    if (status == CVS_OK) {
        *out = cvi_calloc(1, sizeof **out);
        if (*out == NULL) {
            status = cvi_no_memory(err, sizeof **out);
        } else {
            (*out)->scene = s.drawing.scene;
            s.drawing.scene = NULL;
        }
    }
    release(&s);
    return status;
}

/* SPDX-License-Identifier: MIT
 * figure.c - the page of a figure: frame, words, numbers, colour scales; and the public functions of a figure.
 */
#include "draw/figure.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>

#define MARGIN 18.0

const char *cvi_page_tr(const cvi_page *page, const char *english) {
    return cvi_tr(page->o.lang, english);
}

cvi_font cvi_font_small(const cvi_page *page) {
    return (cvi_font){.size = page->o.bare ? 7.5 : 6.5, .color = page->t->role[CVI_MUTED]};
}

cvi_font cvi_font_note(const cvi_page *page) {
    return (cvi_font){.size = page->o.bare ? 9.0 : 7.5, .color = page->t->role[CVI_MUTED]};
}

cvi_font cvi_font_body(const cvi_page *page) {
    return (cvi_font){.size = 9.0, .color = page->t->role[CVI_INK]};
}

cvi_font cvi_font_strong(const cvi_page *page) {
    return (cvi_font){.size = 9.0, .bold = true, .color = page->t->role[CVI_INK]};
}

cvs_status cvi_page_begin(cvi_page *page, const cvs_figure_options *options, const char *title,
                          const char *settings, cvs_error *err) {
    *page = (cvi_page){0};
    if (options != NULL) {
        page->o = *options;
    }
    page->o.width = page->o.width > 0.0 ? fmax(page->o.width, 240.0) : 540.0;
    page->o.max_pixels = page->o.max_pixels > 0 ? page->o.max_pixels : 6000000;
    page->s = cvi_scene_new(page->o.lang, page->o.theme, title);
    if (page->s == NULL) {
        return cvi_no_memory(err, sizeof(cvi_scene));
    }
    page->t = page->s->theme;
    page->left = page->o.bare ? 0.0 : MARGIN;
    page->width = page->o.width - 2 * page->left;
    page->y = page->o.bare ? 0.0 : MARGIN;
    if (page->o.bare) {
        return CVS_OK;
    }
    cvi_font head = {.size = 13, .bold = true, .color = page->t->role[CVI_INK]}, note = cvi_font_note(page);
    page->y += 10;
    page->y += 15 * (cvi_draw_text_wrap(page->s, page->left, page->y, page->width, 15, 2, &head, title) - 1);
    char line[512] = "";
    snprintf(line, sizeof line, "%s%s%s", page->o.model ? page->o.model : "",
             page->o.model && settings ? " · " : "", settings ? settings : "");
    if (line[0] != '\0') {
        page->y += 12;
        page->y +=
            10 * (cvi_draw_text_wrap(page->s, page->left, page->y, page->width, 10, 2, &note, line) - 1);
    }
    page->y += 10;
    return CVS_OK;
}

cvs_status cvi_page_end(cvi_page *page, cvs_figure **out, cvs_error *err) {
    cvi_scene *s = page->s;
    if (!page->o.bare && page->o.command != NULL) {
        cvi_font mono = {.size = 6.5, .mono = true, .color = page->t->role[CVI_MUTED]};
        page->y += 12;
        page->y +=
            9 * (cvi_draw_text_wrap(s, page->left, page->y, page->width, 9, 3, &mono, page->o.command) - 1);
        page->y += 2;
    }
    cvi_scene_page(s, page->o.width, page->y + (page->o.bare ? 1.0 : MARGIN));
    cvs_figure *figure = s->failed ? NULL : cvi_calloc(1, sizeof *figure);
    if (figure == NULL) {
        cvi_page_abort(page);
        return cvi_no_memory(err, sizeof *figure);
    }
    figure->scene = s;
    page->s = NULL;
    *out = figure;
    return CVS_OK;
}

void cvi_page_abort(cvi_page *page) {
    cvi_scene_free(page->s);
    page->s = NULL;
}

void cvi_page_note(cvi_page *page, const char *text) {
    cvi_font note = cvi_font_note(page);
    double leading = note.size * 1.35, max = fmin(page->width, note.size * 62);
    page->y +=
        leading * cvi_draw_text_wrap(page->s, page->left, page->y + note.size, max, leading, 0, &note, text);
}

void cvi_page_notef(cvi_page *page, const char *fmt, ...) {
    char text[1024];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    cvi_page_note(page, text);
}

void cvi_page_heading(cvi_page *page, const char *text) {
    cvi_font strong = cvi_font_strong(page);
    page->y += 12;
    cvi_draw_text_fit(page->s, page->left, page->y, page->width, &strong, text);
    page->y += 5;
}

void cvi_page_space(cvi_page *page, double points) {
    page->y += points;
}

cvi_number cvi_num(double v) {
    cvi_number n;
    if (isnan(v)) {
        snprintf(n.text, sizeof n.text, "NaN");
        return n;
    }
    double a = fabs(v);
    char digits[24];
    if (isinf(v)) {
        snprintf(digits, sizeof digits, "∞");
    } else if (a == 0.0) {
        snprintf(digits, sizeof digits, "0");
    } else if (a < 1e-3 || a >= 1e6) {
        snprintf(digits, sizeof digits, "%.2e", a);
    } else {
        int whole = a >= 1.0 ? (int)floor(log10(a)) + 1 : 0;
        snprintf(digits, sizeof digits, "%.*f", whole >= 4 ? 0 : a >= 1.0 ? 4 - whole : a >= 0.1 ? 3 : 4, a);
        if (strchr(digits, '.') != NULL) { /* 1.500 -> 1.5 */
            size_t k = strlen(digits);
            while (digits[k - 1] == '0') {
                digits[--k] = '\0';
            }
            if (digits[k - 1] == '.') {
                digits[k - 1] = '\0';
            }
        }
    }
    snprintf(n.text, sizeof n.text, "%s%s", v < 0.0 ? "\xE2\x88\x92" : "", digits);
    return n;
}

cvi_number cvi_count(int64_t v) {
    char digits[24];
    cvi_number n;
    snprintf(digits, sizeof digits, "%lld", (long long)v);
    size_t k = strlen(digits), at = 0, first = digits[0] == '-' ? 1 : 0;
    for (size_t i = 0; i < k; i++) {
        if (i > first && (k - i) % 3 == 0) {
            n.text[at++] = ',';
        }
        n.text[at++] = digits[i];
    }
    n.text[at] = '\0';
    return n;
}

cvi_scale cvi_scale_for(double least, double largest) {
    cvi_scale scale = {.is_signed = least < 0.0, .lo = 0.0, .hi = fmax(fabs(least), fabs(largest))};
    if (scale.is_signed) {
        scale.lo = -scale.hi;
    }
    return scale;
}

uint8_t cvi_scale_index(const cvi_scale *scale, float v) {
    uint8_t i = scale->is_signed ? cvi_map_diverging(v, (float)scale->hi)
                                 : cvi_map_sequential(v, (float)scale->lo, (float)scale->hi);
    return CVI_MAX(i, 1);
}

void cvi_scale_palette(const cvi_scale *scale, const cvi_theme *theme, cvi_color palette[256]) {
    memcpy(palette, scale->is_signed ? theme->diverging : theme->sequential, 256 * sizeof *palette);
    palette[0] = 0;
}

double cvi_legend(cvi_page *page, double x, double y, double width, const cvi_scale *scale,
                  const char *what) {
    cvi_font small = cvi_font_small(page);
    cvi_color palette[256];
    cvi_scale_palette(scale, page->t, palette);
    cvi_draw_text_fit(page->s, x, y + 6.5, width, &small, what);
    uint8_t *bar = cvi_draw_image(page->s, x, y + 10, width, 7, 255, 1, 1, palette, true);
    for (int i = 0; bar != NULL && i < 255; i++) {
        bar[i] = (uint8_t)(i + 1);
    }
    cvi_paint edge = {.stroke = page->t->role[CVI_LINE], .width = 0.5};
    cvi_draw_rect(page->s, x, y + 10, width, 7, 0, &edge);
    cvi_draw_text(page->s, x, y + 25, &small, cvi_num(scale->lo).text);
    small.anchor = CVI_END;
    cvi_draw_text(page->s, x + width, y + 25, &small, cvi_num(scale->hi).text);
    if (scale->is_signed) {
        small.anchor = CVI_MIDDLE;
        cvi_draw_text(page->s, x + width / 2, y + 25, &small, "0");
        edge.stroke = page->t->role[CVI_MUTED];
        cvi_draw_line(page->s, x + width / 2, y + 17, x + width / 2, y + 18.5, &edge);
    }
    return 28;
}

cvi_color cvi_ink_on(cvi_color background) {
    const cvi_color black = 0x101418FF, white = 0xFFFFFFFF;
    return cvi_contrast(background, black) >= cvi_contrast(background, white) ? black : white;
}

/* ---- the public side --------------------------------------------------------------------------------- */

void cvs_figure_free(cvs_figure *figure) {
    if (figure != NULL) {
        cvi_scene_free(figure->scene);
        cvi_free(figure);
    }
}

cvs_status cvs_figure_write(const cvs_figure *figure, const char *path, double scale, cvs_error *err) {
    return cvi_scene_write(figure->scene, path, scale, err);
}

cvs_status cvs_figure_encode(const cvs_figure *figure, const char *extension, double scale, char **out,
                             size_t *size, cvs_error *err) {
    cvi_buf buf = {0};
    *out = NULL;
    cvs_status status = cvi_scene_encode(figure->scene, extension, scale, &buf, err);
    if (status != CVS_OK || buf.failed) {
        cvi_buf_free(&buf);
        return status != CVS_OK ? status : cvi_no_memory(err, 1);
    }
    *out = buf.data;
    *size = buf.size;
    return CVS_OK;
}

cvs_status cvs_figure_check_path(const char *path, cvs_error *err) {
    return cvi_check_figure_path(path, err);
}

cvs_status cvs_figure_svg(const cvs_figure *figure, char **out, size_t *size, cvs_error *err) {
    cvi_buf buf = {0};
    cvs_status status = cvi_scene_svg(figure->scene, NULL, &buf, err);
    if (status != CVS_OK) {
        cvi_buf_free(&buf);
        return status;
    }
    *out = buf.data;
    if (size != NULL) {
        *size = buf.size;
    }
    return CVS_OK;
}

cvs_status cvs_figure_paint(const cvs_figure *figure, double scale, cvs_tensor *out, cvs_error *err) {
    return cvi_scene_paint(figure->scene, scale, out, err);
}

void cvs_figure_size(const cvs_figure *figure, double *width, double *height) {
    *width = figure->scene->width;
    *height = figure->scene->height;
}

int cvs_figure_check(const cvs_figure *figure, char **faults) {
    cvi_buf report = {0};
    int n = cvi_scene_check(figure->scene, &report);
    if (faults != NULL) {
        *faults = report.data;
    } else {
        cvi_buf_free(&report);
    }
    return n;
}

/* SPDX-License-Identifier: MIT
 * paint.c - a scene through cairo and pango: pixels, PNG, PDF. Texts are set in the machine's fonts but squeezed or
 * stretched to the width that the layout counted with, so nothing can collide that the scene check passed.
 */
#include "draw/scene.h"

#include <math.h>

#include "draw/cairo_calls.h"

#define MAX_SIDE 32000 /* pixels: cairo's own bound is 32767 */

static void set_color(cairo_t *c, cvi_color color) {
    cairo_set_source_rgba(c, (color >> 24) / 255.0, (color >> 16 & 0xFF) / 255.0, (color >> 8 & 0xFF) / 255.0,
                          (color & 0xFF) / 255.0);
}

/* Hatch lines over the current clip's box, the same geometry as the SVG patterns. */
static void paint_hatch(cairo_t *c, const cvi_item *item, const cvi_paint *p) {
    set_color(c, (p->stroke & ~0xFFu) | 0x8C);
    cairo_set_line_width(c, 0.5);
    cairo_set_dash(c, NULL, 0, 0);
    double x0 = floor(item->x / 4) * 4, y0 = floor(item->y / 4) * 4, x1 = item->x + item->w,
           y1 = item->y + item->h;
    double side = (x1 - x0) + (y1 - y0);
    if (p->hatch == CVI_HATCH_DOTS) {
        for (double y = y0; y < y1; y += 2) {
            for (double x = x0 + fmod(y - y0, 4) + 1; x < x1; x += 4) {
                cairo_rectangle(c, x, y + 0.75, 0.8, 0.5);
            }
        }
        cairo_fill(c);
        return;
    }
    if (p->hatch == CVI_HATCH_HORIZONTAL || p->hatch == CVI_HATCH_VERTICAL) {
        bool level = p->hatch == CVI_HATCH_HORIZONTAL;
        for (double d = (level ? y0 : x0) + 2; d < (level ? y1 : x1); d += 4) {
            cairo_move_to(c, level ? x0 : d, level ? d : y0);
            cairo_line_to(c, level ? x1 : d, level ? d : y1);
        }
        cairo_stroke(c);
        return;
    }
    for (double d = 0; d < side; d += 4) {
        if (p->hatch != CVI_HATCH_FALLING) {
            cairo_move_to(c, x0 + d, y0);
            cairo_line_to(c, x0 + d - side, y0 + side);
        }
        if (p->hatch != CVI_HATCH_RISING) {
            cairo_move_to(c, x1 - d, y0);
            cairo_line_to(c, x1 - d + side, y0 + side);
        }
    }
    cairo_stroke(c);
}

/* Fills and strokes the current path as `p` says. */
static void paint_shape(cairo_t *c, const cvi_item *item, const cvi_paint *p) {
    if ((p->fill & 0xFF) != 0) {
        set_color(c, p->fill);
        cairo_fill_preserve(c);
    }
    if (p->hatch != CVI_HATCH_NONE && (p->stroke & 0xFF) != 0) {
        cairo_path_t *path = cairo_copy_path(c);
        cairo_save(c);
        cairo_clip(c);
        paint_hatch(c, item, p);
        cairo_restore(c);
        cairo_new_path(c);
        cairo_append_path(c, path);
        cairo_path_destroy(path);
    }
    if ((p->stroke & 0xFF) != 0 && p->width > 0.0) {
        set_color(c, p->stroke);
        cairo_set_line_width(c, p->width);
        cairo_set_dash(c, p->dash, p->dash[0] > 0.0 ? 2 : 0, 0.0);
        cairo_set_line_cap(c, p->round ? CAIRO_LINE_CAP_ROUND : CAIRO_LINE_CAP_BUTT);
        cairo_set_line_join(c, p->round ? CAIRO_LINE_JOIN_ROUND : CAIRO_LINE_JOIN_MITER);
        cairo_stroke_preserve(c);
    }
    cairo_new_path(c);
}

static void paint_rect(cairo_t *c, const cvi_item *item) {
    double x = item->x, y = item->y, w = item->w, h = item->h, r = item->u.rect.radius;
    cairo_new_path(c);
    if (r > 0.0) {
        const double quarter = 1.57079632679489661923;
        cairo_arc(c, x + w - r, y + r, r, -quarter, 0);
        cairo_arc(c, x + w - r, y + h - r, r, 0, quarter);
        cairo_arc(c, x + r, y + h - r, r, quarter, 2 * quarter);
        cairo_arc(c, x + r, y + r, r, 2 * quarter, 3 * quarter);
        cairo_close_path(c);
    } else {
        cairo_rectangle(c, x, y, w, h);
    }
    paint_shape(c, item, &item->u.rect.paint);
}

static void paint_path(cairo_t *c, const cvi_scene *s, const cvi_item *item) {
    cairo_new_path(c);
    for (int64_t i = 0; i < item->u.path.count; i++) {
        const cvi_step *step = &s->steps[item->u.path.first + i];
        const double *p = step->p;
        if (step->op == 'M') {
            cairo_move_to(c, p[0], p[1]);
        } else if (step->op == 'L') {
            cairo_line_to(c, p[0], p[1]);
        } else if (step->op == 'C') {
            cairo_curve_to(c, p[0], p[1], p[2], p[3], p[4], p[5]);
        } else {
            cairo_close_path(c);
        }
    }
    paint_shape(c, item, &item->u.path.paint);
}

static void paint_text(cairo_t *c, PangoLayout *layout, const cvi_scene *s, const cvi_item *item) {
    const cvi_font *f = &item->u.text.font;
    PangoFontDescription *d = pango_font_description_new();
    pango_font_description_set_family_static(d, f->mono ? "DejaVu Sans Mono,Noto Sans Mono CJK SC,monospace"
                                                        : "DejaVu Sans,Noto Sans CJK SC,sans-serif");
    pango_font_description_set_absolute_size(d, f->size * PANGO_SCALE);
    pango_font_description_set_weight(d, f->bold ? PANGO_WEIGHT_BOLD : PANGO_WEIGHT_NORMAL);
    pango_layout_set_font_description(layout, d);
    pango_layout_set_text(layout, item->u.text.string, -1);
    pango_context_set_language(pango_layout_get_context(layout),
                               pango_language_from_string(s->lang == CVS_ZH ? "zh-cn" : "en"));
    PangoRectangle box;
    pango_layout_get_extents(layout, NULL, &box);
    double natural = (double)box.width / PANGO_SCALE,
           squeeze = natural > 0.0 && item->w > 0.0 ? item->w / natural : 1.0;
    double start = f->anchor == CVI_START ? 0.0 : f->anchor == CVI_MIDDLE ? -item->w / 2 : -item->w;
    cairo_save(c);
    set_color(c, f->color);
    cairo_translate(c, item->x, item->y);
    cairo_rotate(c, f->angle * (3.14159265358979323846 / 180.0));
    cairo_translate(c, start, 0.0);
    cairo_scale(c, squeeze, 1.0);
    cairo_move_to(c, -(double)box.x / PANGO_SCALE, 0.0);
    pango_cairo_show_layout_line(c, pango_layout_get_line_readonly(layout, 0));
    cairo_restore(c);
    pango_font_description_free(d);
}

/* One pixel as cairo wants it: premultiplied ARGB in a native word. */
static uint32_t argb(const cvi_item *item, int64_t i) {
    const uint8_t *p = item->u.image.pixels + i * item->u.image.channels;
    uint32_t r = p[0], g = p[0], b = p[0], a = 255;
    if (item->u.image.channels == 1) {
        cvi_color color = item->u.image.palette[p[0]];
        r = color >> 24;
        g = color >> 16 & 0xFF;
        b = color >> 8 & 0xFF;
        a = color & 0xFF;
    } else {
        g = p[1];
        b = p[2];
        a = item->u.image.channels == 4 ? p[3] : 255;
    }
    return a << 24 | (r * a + 127) / 255 << 16 | (g * a + 127) / 255 << 8 | (b * a + 127) / 255;
}

static cvs_status paint_image(cairo_t *c, const cvi_item *item, cvs_error *err) {
    int64_t w = item->u.image.width, h = item->u.image.height;
    if (w > MAX_SIDE || h > MAX_SIDE) {
        return cvi_fail(err, CVS_E_LIMIT, "a picture of %lld x %lld pixels is too large to write",
                        (long long)w, (long long)h);
    }
    cairo_surface_t *image = cairo_image_surface_create(CAIRO_FORMAT_ARGB32, (int)w, (int)h);
    if (cairo_surface_status(image) != CAIRO_STATUS_SUCCESS) {
        cairo_surface_destroy(image);
        return cvi_no_memory(err, (size_t)(w * h * 4));
    }
    uint8_t *rows = cairo_image_surface_get_data(image);
    int stride = cairo_image_surface_get_stride(image);
    for (int64_t y = 0; y < h; y++) {
        for (int64_t x = 0; x < w; x++) {
            uint32_t word = argb(item, y * w + x);
            memcpy(rows + y * stride + x * 4, &word, 4);
        }
    }
    cairo_surface_mark_dirty(image);
    cairo_save(c);
    cairo_translate(c, item->x, item->y);
    cairo_scale(c, item->w / (double)w, item->h / (double)h);
    cairo_set_source_surface(c, image, 0, 0);
    cairo_pattern_set_filter(cairo_get_source(c),
                             item->u.image.smooth ? CAIRO_FILTER_GOOD : CAIRO_FILTER_NEAREST);
    cairo_pattern_set_extend(cairo_get_source(c), CAIRO_EXTEND_PAD);
    cairo_rectangle(c, 0, 0, (double)w, (double)h);
    cairo_fill(c);
    cairo_restore(c);
    cairo_surface_destroy(image);
    return CVS_OK;
}

/* Everything, in order, onto a context whose unit is one point. */
static cvs_status paint_items(cairo_t *c, const cvi_scene *s, cvs_error *err) {
    set_color(c, s->theme->role[CVI_PAGE]);
    cairo_paint(c);
    PangoLayout *layout = pango_cairo_create_layout(c);
    cairo_font_options_t *options = cairo_font_options_create();
    cairo_font_options_set_antialias(options, CAIRO_ANTIALIAS_GRAY);
    cairo_font_options_set_hint_style(options, CAIRO_HINT_STYLE_NONE);
    cairo_font_options_set_hint_metrics(options, CAIRO_HINT_METRICS_OFF);
    pango_cairo_context_set_font_options(pango_layout_get_context(layout), options);
    pango_layout_set_single_paragraph_mode(layout, TRUE);
    cvs_status status = CVS_OK;
    for (int64_t i = 0; i < s->n_items && status == CVS_OK; i++) {
        const cvi_item *item = &s->items[i];
        if (item->kind == CVI_ITEM_RECT) {
            paint_rect(c, item);
        } else if (item->kind == CVI_ITEM_PATH) {
            paint_path(c, s, item);
        } else if (item->kind == CVI_ITEM_TEXT) {
            paint_text(c, layout, s, item);
        } else if (item->kind == CVI_ITEM_IMAGE) {
            status = paint_image(c, item, err);
        }
    }
    cairo_font_options_destroy(options);
    g_object_unref(layout);
    if (status == CVS_OK && cairo_status(c) != CAIRO_STATUS_SUCCESS) {
        status = cvi_fail(err, CVS_E_MEMORY, "the picture cannot be painted: %s",
                          cairo_status_to_string(cairo_status(c)));
    }
    return status;
}

/* Copies the painted words to RGB bytes. */
static cvs_status to_rgb(cairo_surface_t *surface, int64_t w, int64_t h, cvs_tensor *out, cvs_error *err) {
    CVI_TRY(cvs_tensor_new(out, CVS_U8, 3, (int64_t[]){h, w, 3}, err));
    cairo_surface_flush(surface);
    const uint8_t *rows = cairo_image_surface_get_data(surface);
    int stride = cairo_image_surface_get_stride(surface);
    uint8_t *p = out->data;
    for (int64_t y = 0; y < h; y++) {
        for (int64_t x = 0; x < w; x++) {
            uint32_t word;
            memcpy(&word, rows + y * stride + x * 4, 4);
            *p++ = (uint8_t)(word >> 16);
            *p++ = (uint8_t)(word >> 8);
            *p++ = (uint8_t)word;
        }
    }
    return CVS_OK;
}

cvs_status cvi_scene_paint(const cvi_scene *s, double scale, cvs_tensor *out, cvs_error *err) {
    scale = scale > 0.0 ? scale : 2.0;
    double w = ceil(s->width * scale - 1e-6), h = ceil(s->height * scale - 1e-6);
    if (s->failed) {
        return cvi_no_memory(err, (size_t)s->n_items * sizeof(cvi_item));
    }
    if (!(w >= 1.0) || !(h >= 1.0) || w > MAX_SIDE || h > MAX_SIDE) {
        return cvi_fail(err, CVS_E_LIMIT,
                        "the figure would be %.0f x %.0f pixels; 1 to %d a side can be painted", w, h,
                        MAX_SIDE);
    }
    CVI_TRY(cvi_cairo_load(err));
    cairo_surface_t *surface = cairo_image_surface_create(CAIRO_FORMAT_RGB24, (int)w, (int)h);
    if (cairo_surface_status(surface) != CAIRO_STATUS_SUCCESS) {
        cairo_surface_destroy(surface);
        return cvi_no_memory(err, (size_t)(w * h * 4));
    }
    cairo_t *c = cairo_create(surface);
    cairo_scale(c, scale, scale);
    cvs_status status = paint_items(c, s, err);
    cairo_destroy(c);
    if (status == CVS_OK) {
        status = to_rgb(surface, (int64_t)w, (int64_t)h, out, err);
    }
    cairo_surface_destroy(surface);
    return status;
}

cvs_status cvi_scene_png(const cvi_scene *s, double scale, cvi_buf *out, cvs_error *err) {
    cvs_tensor image = {0};
    uint8_t *bytes = NULL;
    size_t n = 0;
    cvs_status status = cvi_scene_paint(s, scale, &image, err);
    if (status == CVS_OK) {
        status = cvs_png_encode(&image, &bytes, &n, err);
    }
    if (status == CVS_OK) {
        cvi_buf_add(out, bytes, n);
        status = out->failed ? cvi_no_memory(err, n) : CVS_OK;
    }
    cvs_free(bytes);
    cvs_tensor_free(&image);
    return status;
}

static cairo_status_t pdf_bytes(void *closure, const unsigned char *data, unsigned n) {
    cvi_buf *out = closure;
    cvi_buf_add(out, data, n);
    return out->failed ? CAIRO_STATUS_NO_MEMORY : CAIRO_STATUS_SUCCESS;
}

cvs_status cvi_scene_pdf(const cvi_scene *s, double scale, cvi_buf *out, cvs_error *err) {
    (void)scale;
    if (s->failed) {
        return cvi_no_memory(err, (size_t)s->n_items * sizeof(cvi_item));
    }
    CVI_TRY(cvi_cairo_load(err));
    cairo_surface_t *surface = cairo_pdf_surface_create_for_stream(pdf_bytes, out, s->width, s->height);
    cairo_pdf_surface_set_metadata(surface, CAIRO_PDF_METADATA_TITLE, s->title);
    cairo_pdf_surface_set_metadata(surface, CAIRO_PDF_METADATA_CREATOR, "Convscope " CVS_VERSION);
    /* No date, so that the same figure gives the same bytes. */
    cairo_pdf_surface_set_metadata(surface, CAIRO_PDF_METADATA_CREATE_DATE, "");
    cairo_t *c = cairo_create(surface);
    cvs_status status = paint_items(c, s, err);
    cairo_destroy(c);
    cairo_surface_finish(surface);
    if (status == CVS_OK && cairo_surface_status(surface) != CAIRO_STATUS_SUCCESS) {
        status = cvi_fail(err, CVS_E_MEMORY, "the picture cannot be painted: %s",
                          cairo_status_to_string(cairo_surface_status(surface)));
    }
    cairo_surface_destroy(surface);
    return status;
}

/* SPDX-License-Identifier: MIT
 * scene.c - building the display list: every item is stored as given, texts cleaned and measured once.
 */
#include "draw/scene.h"
#include "draw/text_width.h"

#include <math.h>

cvi_scene *cvi_scene_new(cvs_lang lang, cvs_theme theme, const char *title) {
    cvi_scene *s = cvi_calloc(1, sizeof *s);
    if (s == NULL) {
        return NULL;
    }
    s->arena = cvi_arena_new(0);
    if (s->arena == NULL) {
        cvi_free(s);
        return NULL;
    }
    s->lang = lang;
    s->theme = cvi_theme_get(theme);
    s->path_start = -1;
    char *copy = cvi_arena_alloc(s->arena, (int64_t)cvi_text_clean(title, NULL) + 1, 1);
    if (copy == NULL) {
        cvi_scene_free(s);
        return NULL;
    }
    cvi_text_clean(title, copy);
    s->title = copy;
    return s;
}

void cvi_scene_free(cvi_scene *s) {
    if (s == NULL) {
        return;
    }
    for (int64_t i = 0; i < s->n_items; i++) {
        if (s->items[i].kind == CVI_ITEM_IMAGE) {
            cvi_free(s->items[i].u.image.pixels);
        }
    }
    cvi_free(s->items);
    cvi_free(s->steps);
    cvi_arena_free(s->arena);
    cvi_free(s);
}

cvi_paint cvi_class_paint(const cvi_theme *theme, cvi_class cls, double width) {
    const cvi_class_look *look = &theme->look[cls];
    return (cvi_paint){
        .fill = look->fill,
        .stroke = look->edge,
        .width = width,
        .hatch = theme->hatched || cls == CVI_CLASS_DEPTHWISE ? look->hatch : CVI_HATCH_NONE,
    };
}

void cvi_scene_page(cvi_scene *s, double width, double height) {
    s->width = width;
    s->height = height;
}

/* Makes room for one more element in a growing array; false (and a failed scene) when out of memory. */
static bool grow(cvi_scene *s, void **array, int64_t used, int64_t *capacity, size_t size) {
    if (s->failed || used < *capacity) {
        return !s->failed;
    }
    int64_t wanted = *capacity == 0 ? 64 : *capacity * 2, bytes;
    if (!cvi_mul(wanted, (int64_t)size, &bytes)) {
        s->failed = true;
        return false;
    }
    void *p = cvi_realloc(*array, (size_t)*capacity * size, (size_t)bytes);
    if (p == NULL) {
        s->failed = true;
        return false;
    }
    *array = p;
    *capacity = wanted;
    return true;
}

static cvi_item *add_item(cvi_scene *s, cvi_item_kind kind) {
    if (!grow(s, (void **)&s->items, s->n_items, &s->cap_items, sizeof *s->items)) {
        return NULL;
    }
    cvi_item *item = &s->items[s->n_items++];
    *item = (cvi_item){.kind = kind};
    return item;
}

/* A cleaned copy in the scene's arena; NULL (and a failed scene) when out of memory. */
static const char *keep(cvi_scene *s, const char *text) {
    char *copy = s->failed ? NULL : cvi_arena_alloc(s->arena, (int64_t)cvi_text_clean(text, NULL) + 1, 1);
    if (copy == NULL) {
        s->failed = true;
        return NULL;
    }
    cvi_text_clean(text, copy);
    return copy;
}

void cvi_draw_rect(cvi_scene *s, double x, double y, double w, double h, double radius,
                   const cvi_paint *paint) {
    cvi_item *item = add_item(s, CVI_ITEM_RECT);
    if (item != NULL) {
        item->x = x;
        item->y = y;
        item->w = w;
        item->h = h;
        item->u.rect.paint = *paint;
        item->u.rect.radius = CVI_MIN(radius, CVI_MIN(w, h) / 2);
    }
}

void cvi_draw_line(cvi_scene *s, double x1, double y1, double x2, double y2, const cvi_paint *paint) {
    cvi_path_begin(s);
    cvi_path_move(s, x1, y1);
    cvi_path_line(s, x2, y2);
    cvi_path_end(s, paint);
}

void cvi_draw_circle(cvi_scene *s, double x, double y, double r, const cvi_paint *paint) {
    cvi_draw_rect(s, x - r, y - r, 2 * r, 2 * r, r, paint);
}

void cvi_path_begin(cvi_scene *s) {
    s->path_start = s->n_steps;
}

static void add_step(cvi_scene *s, char op, const double *p, int n) {
    if (s->path_start < 0 || !grow(s, (void **)&s->steps, s->n_steps, &s->cap_steps, sizeof *s->steps)) {
        return;
    }
    cvi_step *step = &s->steps[s->n_steps++];
    *step = (cvi_step){.op = op};
    memcpy(step->p, p, (size_t)n * sizeof *p);
}

void cvi_path_move(cvi_scene *s, double x, double y) {
    add_step(s, 'M', (double[]){x, y}, 2);
}

void cvi_path_line(cvi_scene *s, double x, double y) {
    add_step(s, 'L', (double[]){x, y}, 2);
}

void cvi_path_curve(cvi_scene *s, double x1, double y1, double x2, double y2, double x, double y) {
    add_step(s, 'C', (double[]){x1, y1, x2, y2, x, y}, 6);
}

void cvi_path_close(cvi_scene *s) {
    add_step(s, 'Z', (double[]){0, 0}, 2);
}

void cvi_path_end(cvi_scene *s, const cvi_paint *paint) {
    int64_t first = s->path_start;
    s->path_start = -1;
    cvi_item *item = first < 0 || first == s->n_steps ? NULL : add_item(s, CVI_ITEM_PATH);
    if (item == NULL) {
        return;
    }
    double lo[2] = {HUGE_VAL, HUGE_VAL}, hi[2] = {-HUGE_VAL, -HUGE_VAL};
    for (int64_t i = first; i < s->n_steps; i++) {
        const cvi_step *step = &s->steps[i];
        int n = step->op == 'C' ? 6 : step->op == 'Z' ? 0 : 2;
        for (int k = 0; k < n; k++) { /* control points bound a curve */
            lo[k % 2] = CVI_MIN(lo[k % 2], step->p[k]);
            hi[k % 2] = CVI_MAX(hi[k % 2], step->p[k]);
        }
    }
    item->x = lo[0];
    item->y = lo[1];
    item->w = hi[0] - lo[0];
    item->h = hi[1] - lo[1];
    item->u.path.paint = *paint;
    item->u.path.first = first;
    item->u.path.count = s->n_steps - first;
}

void cvi_draw_arrow_head(cvi_scene *s, double x, double y, double dx, double dy, double size,
                         cvi_color color) {
    double length = hypot(dx, dy);
    if (!(length > 0.0)) {
        return;
    }
    dx *= size / length;
    dy *= size / length;
    cvi_path_begin(s);
    cvi_path_move(s, x, y);
    cvi_path_line(s, x - dx - dy * 0.45, y - dy + dx * 0.45);
    cvi_path_line(s, x - dx * 0.75, y - dy * 0.75);
    cvi_path_line(s, x - dx + dy * 0.45, y - dy - dx * 0.45);
    cvi_path_close(s);
    cvi_path_end(s, &(cvi_paint){.fill = color});
}

double cvi_text_width(const cvi_font *font, const char *text) {
    return font->size * cvi_width_em(text, font->bold, font->mono);
}

/* Draws a string that is already clean and lives in the arena. */
static double draw_kept(cvi_scene *s, double x, double y, const cvi_font *font, const char *text) {
    cvi_item *item = text == NULL || *text == '\0' ? NULL : add_item(s, CVI_ITEM_TEXT);
    if (item == NULL) {
        return 0.0;
    }
    item->x = x;
    item->y = y;
    item->w = cvi_text_width(font, text);
    item->h = font->size;
    item->u.text.font = *font;
    item->u.text.string = text;
    return item->w;
}

double cvi_draw_text(cvi_scene *s, double x, double y, const cvi_font *font, const char *text) {
    return draw_kept(s, x, y, font, keep(s, text));
}

double cvi_draw_textf(cvi_scene *s, double x, double y, const cvi_font *font, const char *fmt, ...) {
    char text[512];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    return cvi_draw_text(s, x, y, font, text);
}

/* Bytes of the longest beginning of text that is at most max_em wide. */
static size_t prefix(const char *text, double max_em, const cvi_font *font) {
    const char *p = text;
    double width = 0.0;
    while (*p != '\0') {
        const char *start = p;
        width += cvi_advance(cvi_code_next(&p), font->bold, font->mono);
        if (width > max_em) {
            return (size_t)(start - text);
        }
    }
    return (size_t)(p - text);
}

/* Start of the longest end of text that is at most max_em wide. */
static size_t suffix(const char *text, double max_em, const cvi_font *font) {
    double rest = cvi_width_em(text, font->bold, font->mono);
    const char *p = text;
    while (*p != '\0' && rest > max_em) {
        rest -= cvi_advance(cvi_code_next(&p), font->bold, font->mono);
    }
    return (size_t)(p - text);
}

double cvi_draw_text_fit(cvi_scene *s, double x, double y, double max, const cvi_font *font,
                         const char *text) {
    const char *whole = keep(s, text);
    if (whole == NULL || cvi_text_width(font, whole) <= max + 1e-6) {
        return draw_kept(s, x, y, font, whole);
    }
    double room = max / font->size - cvi_advance(0x2026, font->bold, font->mono);
    if (room < 0.0) {
        return 0.0; /* not even the ellipsis fits */
    }
    size_t head = prefix(whole, room * 0.6, font), tail = suffix(whole, room * 0.4, font);
    char *copy = cvi_arena_alloc(s->arena, (int64_t)(head + 3 + strlen(whole + tail) + 1), 1);
    if (copy == NULL) {
        s->failed = true;
        return 0.0;
    }
    memcpy(copy, whole, head);
    memcpy(copy + head, "\xE2\x80\xA6", 3);
    memcpy(copy + head + 3, whole + tail, strlen(whole + tail) + 1);
    cvi_group_begin(s, NULL, whole, NULL);
    double width = draw_kept(s, x, y, font, copy);
    cvi_group_end(s);
    return width;
}

int cvi_draw_text_wrap(cvi_scene *s, double x, double y, double max, double leading, int max_lines,
                       const cvi_font *font, const char *text) {
    const char *p = keep(s, text);
    int lines = 0;
    while (p != NULL && *p != '\0') {
        const char *next;
        size_t n = cvi_line_break(p, max / font->size, font->bold, font->mono, &next);
        double at = y + lines * leading;
        lines++;
        if (max_lines > 0 && lines == max_lines && *next != '\0') {
            cvi_draw_text_fit(s, x, at, max, font, p);
            return lines;
        }
        char *line = cvi_arena_strn(s->arena, p, n);
        s->failed |= line == NULL;
        draw_kept(s, x, at, font, line);
        p = next;
    }
    return lines;
}

uint8_t *cvi_draw_image(cvi_scene *s, double x, double y, double w, double h, int64_t width, int64_t height,
                        int channels, const cvi_color *palette, bool smooth) {
    int64_t bytes;
    if (width <= 0 || height <= 0 || !cvi_mul(width, height, &bytes) || !cvi_mul(bytes, channels, &bytes)) {
        s->failed = true;
        return NULL;
    }
    cvi_color *colors = NULL;
    if (channels == 1) {
        colors = cvi_arena_alloc(s->arena, 256, sizeof *colors);
        if (colors == NULL) {
            s->failed = true;
            return NULL;
        }
        memcpy(colors, palette, 256 * sizeof *colors);
    }
    cvi_item *item = add_item(s, CVI_ITEM_IMAGE);
    if (item == NULL) {
        return NULL;
    }
    item->x = x;
    item->y = y;
    item->w = w;
    item->h = h;
    item->u.image.pixels = cvi_calloc((size_t)bytes, 1);
    item->u.image.width = width;
    item->u.image.height = height;
    item->u.image.channels = channels;
    item->u.image.palette = colors;
    item->u.image.smooth = smooth;
    s->failed |= item->u.image.pixels == NULL;
    return item->u.image.pixels;
}

void cvi_group_begin(cvi_scene *s, const char *id, const char *title, const char *link) {
    id = id == NULL ? NULL : keep(s, id);
    title = title == NULL ? NULL : keep(s, title);
    link = link == NULL ? NULL : keep(s, link);
    cvi_item *item = add_item(s, CVI_ITEM_BEGIN);
    if (item != NULL) {
        item->u.group.id = id;
        item->u.group.title = title;
        item->u.group.link = link;
        s->depth++;
    }
}

void cvi_group_end(cvi_scene *s) {
    if (s->depth > 0 && add_item(s, CVI_ITEM_END) != NULL) {
        s->depth--;
    }
}

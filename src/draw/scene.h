/* SPDX-License-Identifier: MIT
 * scene.h (internal) - the display list that every figure is made of, and what can be done with one.
 *
 * A figure function fills a scene (rectangles, paths, texts, pictures, nested groups); svg.c, paint.c and later
 * writers turn it into a file. Lengths are points (1/72 inch), x to the right, y down, text at its baseline.
 * Failure is sticky: builders never return a status, and the writers refuse a scene that ran out of memory.
 * Building and writing a scene needs no lock, but one scene belongs to one thread at a time.
 */
#ifndef CVI_SCENE_H
#define CVI_SCENE_H

#include "base/base.h"
#include "convscope/tensor.h"
#include "draw/theme.h"

typedef enum cvi_anchor { CVI_START, CVI_MIDDLE, CVI_END } cvi_anchor;

/* How a shape is filled and outlined; zeroed = invisible. */
typedef struct cvi_paint {
    cvi_color fill;   /* alpha 0: not filled */
    cvi_color stroke; /* alpha 0 or width 0: no outline */
    double width;     /* of the outline, points */
    double dash[2];   /* on, off in points; {0, 0} = solid */
    cvi_hatch hatch;  /* drawn over the fill, in the stroke's colour */
    bool round;       /* round caps and joins (else butt and miter) */
} cvi_paint;

/* The fill, edge and (where the theme wants it, and always for DEPTHWISE) hatch of a class. */
cvi_paint cvi_class_paint(const cvi_theme *theme, cvi_class cls, double width);

/* How a text is set. */
typedef struct cvi_font {
    double size; /* points; the checks want at least CVI_MIN_TEXT */
    bool bold, mono;
    cvi_color color;
    cvi_anchor anchor;
    double angle; /* degrees, clockwise on the page, about (x, y) */
} cvi_font;

#define CVI_MIN_TEXT 6.0 /* points: nothing smaller is ever drawn */

typedef enum cvi_item_kind {
    CVI_ITEM_RECT,
    CVI_ITEM_PATH,
    CVI_ITEM_TEXT,
    CVI_ITEM_IMAGE,
    CVI_ITEM_BEGIN, /* a group; nested */
    CVI_ITEM_END
} cvi_item_kind;

/* One step of a path: 'M' x y, 'L' x y, 'C' x1 y1 x2 y2 x y, 'Z'. */
typedef struct cvi_step {
    char op;
    double p[6];
} cvi_step;

typedef struct cvi_item {
    cvi_item_kind kind;
    double x, y, w, h; /* RECT, IMAGE: the box. TEXT: baseline point and measured width. PATH: bounding box */
    union {
        struct {
            cvi_paint paint;
            double radius;
        } rect;
        struct {
            cvi_paint paint;
            int64_t first, count; /* into cvi_scene.steps */
        } path;
        struct {
            cvi_font font;
            const char *string; /* valid UTF-8, no control characters */
        } text;
        struct {
            int64_t width, height;    /* pixels */
            int channels;             /* 1: indexed by palette, 3: RGB, 4: RGBA (straight alpha) */
            uint8_t *pixels;          /* row-major, tightly packed */
            const cvi_color *palette; /* 256 entries where channels is 1 */
            bool smooth;              /* interpolate when scaled; false keeps pixels crisp */
        } image;
        struct {
            const char *id, *title, *link; /* each may be NULL */
        } group;
    } u;
} cvi_item;

/* Read freely; change only through the functions below. */
typedef struct cvi_scene {
    double width, height; /* the page */
    cvs_lang lang;
    const cvi_theme *theme; /* borrowed, static */
    const char *title;      /* becomes <title> and the PDF's title; never NULL */
    cvi_item *items;
    int64_t n_items, cap_items;
    cvi_step *steps;
    int64_t n_steps, cap_steps;
    int64_t path_start; /* first step of the path being drawn, -1 outside one */
    int64_t depth;      /* groups open */
    cvi_arena *arena;
    bool failed;
    bool fragment; /* a writer that makes documents (TikZ) writes the picture only */
} cvi_scene;

/* A new scene on the theme's page colour, owned (cvi_scene_free); NULL when out of memory. */
cvi_scene *cvi_scene_new(cvs_lang lang, cvs_theme theme, const char *title);
void cvi_scene_free(cvi_scene *s);
/* The page, set when the layout is known (any time before writing). */
void cvi_scene_page(cvi_scene *s, double width, double height);

/* ---- drawing: later items lie over earlier ones ----------------------------------------------------- */
void cvi_draw_rect(cvi_scene *s, double x, double y, double w, double h, double radius,
                   const cvi_paint *paint);
void cvi_draw_line(cvi_scene *s, double x1, double y1, double x2, double y2, const cvi_paint *paint);
void cvi_draw_circle(cvi_scene *s, double x, double y, double r, const cvi_paint *paint);
/* A path: steps between begin and end. */
void cvi_path_begin(cvi_scene *s);
void cvi_path_move(cvi_scene *s, double x, double y);
void cvi_path_line(cvi_scene *s, double x, double y);
void cvi_path_curve(cvi_scene *s, double x1, double y1, double x2, double y2, double x, double y);
void cvi_path_close(cvi_scene *s);
void cvi_path_end(cvi_scene *s, const cvi_paint *paint);
/* A filled arrow head whose tip is at (x, y), pointing along (dx, dy). */
void cvi_draw_arrow_head(cvi_scene *s, double x, double y, double dx, double dy, double size,
                         cvi_color color);

/* One line of text at its baseline; returns the width it takes. Broken UTF-8 becomes U+FFFD, control and
 * direction characters are dropped. */
double cvi_draw_text(cvi_scene *s, double x, double y, const cvi_font *font, const char *text);
double cvi_draw_textf(cvi_scene *s, double x, double y, const cvi_font *font, const char *fmt, ...)
    CVI_PRINTF(5, 6);
/* The same, shortened with an ellipsis in the middle when wider than `max`; the whole text is then its tooltip. */
double cvi_draw_text_fit(cvi_scene *s, double x, double y, double max, const cvi_font *font,
                         const char *text);
/* Breaks text into lines no wider than `max` (words; any place between CJK characters; inside over-long words)
 * and draws them `leading` points apart; at most max_lines (0 = all), the last one then shortened. Returns the
 * number of lines drawn; (x, y) is the first baseline. */
int cvi_draw_text_wrap(cvi_scene *s, double x, double y, double max, double leading, int max_lines,
                       const cvi_font *font, const char *text);

/* Reserves a picture of width x height pixels and returns its zeroed pixels to fill (owned by the scene; NULL when
 * out of memory). channels 1 takes a palette of 256 colours, which is copied. */
uint8_t *cvi_draw_image(cvi_scene *s, double x, double y, double w, double h, int64_t width, int64_t height,
                        int channels, const cvi_color *palette, bool smooth);

/* A group: id (made XML-safe and unique by the writers), tooltip, link target (a #fragment); each may be NULL. */
void cvi_group_begin(cvi_scene *s, const char *id, const char *title, const char *link);
void cvi_group_end(cvi_scene *s);

/* ---- measuring (text_width.c has the table) ---------------------------------------------------------- */
double cvi_text_width(const cvi_font *font, const char *text);
#define CVI_ASCENT  0.76 /* of the size, above the baseline */
#define CVI_DESCENT 0.20 /* of the size, below it */

/* ---- machine checks (scene_check.c) ----------------------------------------------------------------- */
/* Says what is wrong with a finished scene, one sentence a line, into `report` (may be NULL): texts that overlap,
 * leave the page, are smaller than CVI_MIN_TEXT or are covered by something drawn later; pictures and shapes off the
 * page; open groups. Returns the number of faults (0 = good). */
int cvi_scene_check(const cvi_scene *s, cvi_buf *report);

/* ---- writers ---------------------------------------------------------------------------------------- */
typedef struct cvi_svg_options {
    const char *id_prefix; /* put before every id, so that many scenes can stand in one page; NULL = "" */
    bool variables; /* theme colours as CSS variables var(--NAME,#hex): one scene serves light and dark */
    bool embedded;  /* for HTML: no XML declaration, no page background, width 100% up to its own */
} cvi_svg_options;
/* Appends the scene as SVG 1.1 with real text; the same scene gives the same bytes. options may be NULL. */
cvs_status cvi_scene_svg(const cvi_scene *s, const cvi_svg_options *options, cvi_buf *out, cvs_error *err);
/* Paints at `scale` pixels per point (0 = 2): out is uint8 [H,W,3], owned. */
cvs_status cvi_scene_paint(const cvi_scene *s, double scale, cvs_tensor *out, cvs_error *err);
cvs_status cvi_scene_png(const cvi_scene *s, double scale, cvi_buf *out, cvs_error *err);
cvs_status cvi_scene_pdf(const cvi_scene *s, double scale, cvi_buf *out, cvs_error *err);
/* A LaTeX document that needs TikZ only, or with s->fragment the tikzpicture and its definitions (tikz.c). */
cvs_status cvi_scene_tikz(const cvi_scene *s, double scale, cvi_buf *out, cvs_error *err);
/* Writes the format that the extension of `path` names (outputs.def); another one is a CVS_E_ARGUMENT error that lists
 * them. `scale` counts for PNG only. The check says the same without a scene, before the work. */
cvs_status cvi_scene_write(const cvi_scene *s, const char *path, double scale, cvs_error *err);
cvs_status cvi_check_figure_path(const char *path, cvs_error *err);
/* The same into memory, by extension (".svg"); whether one is known; all of them, " .svg .png ...". */
cvs_status cvi_scene_encode(const cvi_scene *s, const char *extension, double scale, cvi_buf *out,
                            cvs_error *err);
bool cvi_is_picture_extension(const char *extension);
const char *cvi_picture_extensions(void);

/* PNG with a palette (png8.c): pixels [height][width], 256 colours; only those used are written. */
cvs_status cvi_png8_encode(const uint8_t *pixels, int64_t width, int64_t height, const cvi_color *palette,
                           cvi_buf *out, cvs_error *err);

#endif

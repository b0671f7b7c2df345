/* SPDX-License-Identifier: MIT
 * figure.h (internal) - what every figure is laid out with: a page that grows downwards, titles, notes, colour legends,
 * sheets of tiles, distributions. A figure file says what to show; this says where it goes.
 */
#ifndef CVI_FIGURE_H
#define CVI_FIGURE_H

#include "convscope/draw.h"
#include "draw/scene.h"

struct cvs_figure {
    cvi_scene *scene;
};

typedef struct cvi_page {
    cvi_scene *s;
    const cvi_theme *t;
    cvs_figure_options o; /* defaults filled in */
    double left, width;   /* of the content */
    double y;             /* where the next thing goes */
} cvi_page;

/* A new page with title and the line under it (settings or NULL); options may be NULL. */
cvs_status cvi_page_begin(cvi_page *page, const cvs_figure_options *options, const char *title,
                          const char *settings, cvs_error *err);
/* Prints the command, sets the page's height and hands the scene over. Frees it on failure. */
cvs_status cvi_page_end(cvi_page *page, cvs_figure **out, cvs_error *err);
void cvi_page_abort(cvi_page *page);

const char *cvi_page_tr(const cvi_page *page, const char *english);
/* Fonts of the page: 6.5 small, 7.5 note, 9 body, 13 title. */
cvi_font cvi_font_small(const cvi_page *page);
cvi_font cvi_font_note(const cvi_page *page);
cvi_font cvi_font_body(const cvi_page *page);
cvi_font cvi_font_strong(const cvi_page *page);

/* A paragraph across the page, wrapped; moves y. */
void cvi_page_note(cvi_page *page, const char *text);
void cvi_page_notef(cvi_page *page, const char *fmt, ...) CVI_PRINTF(2, 3);
/* A small heading; moves y. */
void cvi_page_heading(cvi_page *page, const char *text);
void cvi_page_space(cvi_page *page, double points);

/* ---- numbers for people ------------------------------------------------------------------------------ */
/* At most four significant digits, a real minus sign, no exponent between 1e-3 and 1e6; returns buf. */
typedef struct cvi_number {
    char text[32];
} cvi_number;
cvi_number cvi_num(double v);
cvi_number cvi_count(int64_t n); /* thousands separated: "2,048" */

/* ---- colour scales ------------------------------------------------------------------------------------ */
/* Index 0 of a tile palette is "nothing here"; values take 1..255. */
typedef struct cvi_scale {
    bool is_signed; /* -limit..0..limit, else lo..hi */
    double lo, hi;
} cvi_scale;
/* The scale for values between least and largest: signed when any is negative. */
cvi_scale cvi_scale_for(double least, double largest);
uint8_t cvi_scale_index(const cvi_scale *scale, float v);
/* The palette of a scale: entry 0 transparent. */
void cvi_scale_palette(const cvi_scale *scale, const cvi_theme *theme, cvi_color palette[256]);
/* A colour bar with its numbers at (x, y), `width` wide; what = "activation". Returns its height. */
double cvi_legend(cvi_page *page, double x, double y, double width, const cvi_scale *scale, const char *what);

/* ---- sheets of equal tiles ------------------------------------------------------------------------------ */
typedef enum cvi_tile_mark {
    CVI_TILE_PLAIN,
    CVI_TILE_BLANK,
    CVI_TILE_CONSTANT,
    CVI_TILE_BROKEN
} cvi_tile_mark;

typedef struct cvi_tile {
    int64_t number;      /* printed under it */
    const char *label;   /* printed instead of the number, or NULL; may be two lines separated by '\n' */
    const char *tooltip; /* or NULL */
    cvi_tile_mark mark;
} cvi_tile;

typedef struct cvi_sheet {
    int64_t count;
    int64_t rows, columns;  /* of one tile, in values */
    double side;            /* wanted longer side of a tile, points; 0 = chosen from count */
    int label_lines;        /* 0: none, 1, 2 */
    double label_width;     /* points that the widest label needs */
    bool rgb;               /* paint writes 3 bytes a value, else 1 (palette) */
    cvi_color palette[256]; /* when not rgb */
    /* Writes tile i: rows x columns pixels, row-major, 1 or 3 bytes each. */
    void (*paint)(void *context, int64_t i, uint8_t *pixels);
    /* Describes tile i; strings live until the next call. */
    void (*describe)(void *context, int64_t i, cvi_tile *tile);
    void *context;
} cvi_sheet;
/* Draws all tiles in rows across the page; moves y. */
cvs_status cvi_draw_sheet(cvi_page *page, const cvi_sheet *sheet, cvs_error *err);
/* Factor by which maps of rows x columns must be averaged down so that `count` of them fit max_pixels. */
int64_t cvi_shrink_factor(int64_t count, int64_t rows, int64_t columns, int64_t max_pixels);

/* ---- small charts --------------------------------------------------------------------------------------- */
/* A histogram of n values with its name and range. */
void cvi_draw_histogram(cvi_page *page, double x, double y, double w, double h, const char *name,
                        const double *values, int64_t n);
/* A line of n points (value against number, from 0) with its least and largest value; for training curves too. */
void cvi_draw_curve(cvi_page *page, double x, double y, double w, double h, const char *name,
                    const double *values, int64_t n, cvi_color color);

/* Black or white, whichever reads better on a background. */
cvi_color cvi_ink_on(cvi_color background);

#endif

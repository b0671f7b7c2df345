/* SPDX-License-Identifier: MIT
 * theme.h (internal) - colours: the roles of a page, the operator classes, the colour maps.
 *
 * Colour means operator class, the same in every figure, the report and the app. The values are in theme.def and
 * theme_print.def; the colour maps are tables made by tools/make_colormaps.py. Every text is ink, muted or a class edge on page, panel or a
 * class fill, with a contrast of at least 4.5:1 (a test computes them all).
 */
#ifndef CVI_THEME_H
#define CVI_THEME_H

#include "base/base.h"
#include "convscope/draw.h"

typedef uint32_t cvi_color; /* 0xRRGGBBAA */

/* A hatch over a fill tells classes apart in greyscale print. */
typedef enum cvi_hatch {
    CVI_HATCH_NONE,
    CVI_HATCH_RISING,
    CVI_HATCH_FALLING,
    CVI_HATCH_CROSS,
    CVI_HATCH_DOTS,
    CVI_HATCH_HORIZONTAL,
    CVI_HATCH_VERTICAL
} cvi_hatch;

typedef enum cvi_theme_role {
#define CVI_ROLE(name, light, dark) CVI_##name,
#define CVI_CLASS(name, light_fill, light_edge, dark_fill, dark_edge, hatch, text)
#include "theme.def"
#undef CVI_ROLE
#undef CVI_CLASS
    CVI_N_THEME_ROLES
} cvi_theme_role;

typedef enum cvi_class {
#define CVI_ROLE(name, light, dark)
#define CVI_CLASS(name, light_fill, light_edge, dark_fill, dark_edge, hatch, text) CVI_CLASS_##name,
#include "theme.def"
#undef CVI_ROLE
#undef CVI_CLASS
    CVI_N_CLASSES
} cvi_class;

typedef struct cvi_class_look {
    cvi_color fill, edge;
    cvi_hatch hatch;  /* for greyscale print; figures use it always for DEPTHWISE, else on demand */
    const char *name; /* English literal, for cvi_tr */
} cvi_class_look;

typedef struct cvi_theme {
    cvs_theme kind;
    bool hatched; /* every class wears its hatch, not DEPTHWISE alone */
    cvi_color role[CVI_N_THEME_ROLES];
    cvi_class_look look[CVI_N_CLASSES];
    const cvi_color *sequential; /* 256 colours, dark to bright (light theme: as well), perceptually even */
    const cvi_color *diverging;  /* 256 colours; 128 is exactly the neutral colour of zero */
} cvi_theme;

const cvi_theme *cvi_theme_get(cvs_theme kind);

/* The CSS variable of a theme colour ("cvs-ink", "cvs-conv-fill"), NULL when the colour is none of the theme's.
 * All colours of one theme differ, so that this is a function. */
const char *cvi_theme_variable(const cvi_theme *theme, cvi_color color);
/* Appends "--cvs-ink:#1f2328;..." for every colour of the theme: the body of a CSS rule. */
void cvi_theme_css(const cvi_theme *theme, cvi_buf *out);

/* Position of v in a map: sequential from lo to hi; diverging from -limit over 0 (index 128) to +limit. NaN gives 0,
 * respectively 128; values beyond the ends are clamped. */
uint8_t cvi_map_sequential(float v, float lo, float hi);
uint8_t cvi_map_diverging(float v, float limit);

/* Relative luminance contrast of two opaque colours, 1 to 21 (WCAG 2.1). */
double cvi_contrast(cvi_color a, cvi_color b);

#endif

/* SPDX-License-Identifier: MIT
 * math_text.h (internal) - the small part of mathematical text that labels of figures need, without LaTeX: Greek letters, sub- and
 * superscripts, a few signs. "$\theta_{k}$" or, where a label is a bare name, "theta_k".
 */
#ifndef CVI_MATH_TEXT_H
#define CVI_MATH_TEXT_H

#include "draw/scene.h"

typedef struct cvi_math_run {
    char *text; /* UTF-8 */
    int level;  /* 0 on the line, -1 below, +1 above */
    bool bold;
} cvi_math_run;

typedef struct cvi_math {
    int n;
    cvi_math_run *run;
} cvi_math;

/* Splits a label: inside $...$ commands and scripts count, outside nothing does. `name`: the label is a bare name, whose Greek
 * words and underscores count although there are no dollars. In the arena; false = out of memory. */
bool cvi_math_parse(cvi_arena *arena, const char *label, bool name, cvi_math *out);
/* Width in points when set in this font; scripts are 0.7 of its size (never below CVI_MIN_TEXT). */
double cvi_math_width(const cvi_math *m, const cvi_font *font);
/* Draws it with its left end (or middle, or right end, as the font says) at x on baseline y. */
void cvi_math_draw(cvi_scene *s, double x, double y, const cvi_font *font, const cvi_math *m);

#endif

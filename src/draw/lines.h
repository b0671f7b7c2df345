/* SPDX-License-Identifier: MIT
 * lines.h (internal) - a chart of several lines with axes and a legend, for figures that compare curves.
 */
#ifndef CVI_LINES_H
#define CVI_LINES_H

#include "draw/figure.h"

typedef struct cvi_line {
    const char *name;
    const double *x, *y; /* [n]; a point that is not finite lifts the pen */
    int n;
    cvi_color color;
    bool dashed, dots;
} cvi_line;

typedef struct cvi_lines {
    const char *title, *below; /* `below`: what the x axis counts */
    const cvi_line *line;
    int n;
    double x0, x1, y0, y1;    /* of the axes */
    const char *left, *right; /* written at the ends of the x axis; NULL: the numbers x0, x1 */
} cvi_lines;
/* At (x, y), w wide; returns its height: h for the chart, and the legend under it. */
double cvi_draw_lines(cvi_page *page, double x, double y, double w, double h, const cvi_lines *chart);

#endif

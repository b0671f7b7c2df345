/* SPDX-License-Identifier: MIT
 * graph_box.h (internal to the graph style) - the look of one box: its lines, its size, its drawing.
 */
#ifndef CVI_GRAPH_BOX_H
#define CVI_GRAPH_BOX_H

#include "draw/graph_layout.h"

typedef struct cvi_box_style {
    const cvs_draw_options *o;
    const cvi_theme *theme;
    unsigned labels;  /* CVS_LABEL_* with the default filled in */
    double most_w;    /* of a box */
    double costliest; /* the largest cost of a box, for the bars; 0 = no bars */
    double total;     /* of the arch */
} cvi_box_style;

/* What a box costs by the chosen measure. */
double cvi_box_cost(const cvi_box_style *s, const cvi_arch_node *n);
cvi_box_size cvi_box_measure(const cvi_box_style *s, const cvi_view *v, int box);
void cvi_box_draw(const cvi_box_style *s, cvi_scene *scene, const cvi_view *v, int box, const cvi_place *at);
/* "conv1: 3×3 conv, 64; 3×224×224 → 64×112×112; 9,408 parameters; ..." in the arch's language; fills buf. */
const char *cvi_box_tooltip(const cvi_view *v, int box, char *buf, size_t size);

#endif

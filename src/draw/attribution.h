/* SPDX-License-Identifier: MIT
 * attribution.h (internal) - the figure of an explanation in parts, for pages that say the words themselves (the report).
 */
#ifndef CVI_ATTRIBUTION_H
#define CVI_ATTRIBUTION_H

#include "draw/figure.h"

/* The range of a map [1,C,h,w] or [1,h,w] once its channels are added up. A pixel map's largest is that of all but the strongest 0.5 %: single
 * pixels would leave the rest colourless. */
typedef struct cvi_attribution_range {
    double least, largest; /* least <= 0; largest: of absolute values; both 0: the map is zero everywhere */
    int64_t not_finite;
} cvi_attribution_range;
/* A map that is no float32 [1,C,h,w] or [1,h,w] is an error. */
cvs_status cvi_attribution_measure(const cvs_explanation *e, cvi_attribution_range *out, cvs_error *err);

typedef struct cvi_attribution_parts {
    bool picture, maps, votes, caption;
    const cvi_attribution_range *range; /* NULL: the map's own; else one scale for several figures */
} cvi_attribution_parts;
cvs_status cvi_draw_attribution_parts(const cvs_attribution_data *data, const cvi_attribution_parts *parts,
                                      const cvs_figure_options *options, cvs_figure **out, cvs_error *err);

/* An occlusion's three maps (fig_occlusion.c) below what the page holds; nothing where there are none. */
cvs_status cvi_draw_occlusion(cvi_page *page, const cvs_attribution_data *data, cvs_error *err);

#endif

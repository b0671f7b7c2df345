/* SPDX-License-Identifier: MIT
 * draw_features.h - figures of what features.h finds. As in draw.h: pure functions, files by cvs_figure_write.
 */
#ifndef CONVSCOPE_DRAW_FEATURES_H
#define CONVSCOPE_DRAW_FEATURES_H

#include "draw.h"
#include "connections.h"
#include "features.h"
#include "invariance.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Every projection is drawn by its own largest value (all but the strongest half a percent of it), mid-grey = 0, in the network's colours;
 * one of other than 1 or 3 channels as the sum of them. */

typedef struct cvs_projection_data {
    const cvs_projection *projection;
    int64_t channel;
    cvs_channel_order order;   /* of the projection's channels */
    const cvs_tensor *picture; /* uint8 [H,W,3] that the network saw, or NULL */
    const cvs_tensor *map;     /* the channel, float32 [h,w], or NULL */
} cvs_projection_data;
/* The picture with the unit's field, the channel with the unit, the projection, and both cut out. */
cvs_status cvs_draw_projection(const cvs_projection_data *data, const cvs_figure_options *options,
                               cvs_figure **out, cvs_error *err);
/* Per channel the projections beside the patches, strongest first, as in Zeiler and Fergus's figure 2. */
cvs_status cvs_draw_top(const cvs_top *top, cvs_channel_order order, const cvs_figure_options *options,
                        cvs_figure **out, cvs_error *err);

/* Made-up pictures: a tile each with its channel (or names[i], where names is not NULL) and how much of what was wanted it reached; of up to
 * four pictures also the curve over the steps. All of one model and layer. */
cvs_status cvs_draw_features(const cvs_feature *features, int n, const char *const *names,
                             const cvs_figure_options *options, cvs_figure **out, cvs_error *err);
/* A photograph (uint8 [H,W,3]) and what became of it, with a caption. */
cvs_status cvs_draw_dream(const cvs_tensor *picture, const cvs_tensor *dream, const char *layers,
                          const cvs_figure_options *options, cvs_figure **out, cvs_error *err);

typedef struct cvs_connections_data {
    const cvs_connections *connections;
    const cvs_tensor *from_maps,
        *to_maps; /* the layers' values, float32 [N,C,h,w] (the first sample is drawn), or NULL */
    int links;    /* drawn one by one, strongest first; 0 = 30 */
} cvs_connections_data;
/* The strongest links between channels (with their maps), by contribution where there is one, else by weights; then all of them as
 * matrices. */
cvs_status cvs_draw_connections(const cvs_connections_data *data, const cvs_figure_options *options,
                                cvs_figure **out, cvs_error *err);
/* A row per layer, a column each for activations, gradient, deconvnet and guided signal, with the share of zeros. */
cvs_status cvs_draw_signals(const cvs_signals *signals, cvs_channel_order order, const cvs_tensor *picture,
                            const cvs_figure_options *options, cvs_figure **out, cvs_error *err);

/* For each change: the picture along it, distances as shares of the layers' own size, probability. */
cvs_status cvs_draw_invariance(const cvs_invariance *v, const cvs_figure_options *options, cvs_figure **out,
                               cvs_error *err);
/* A bar with its deviation for every part and layer; names: of the parts, [n_parts - 1]; the last is called "random places". */
cvs_status cvs_draw_correspondence(const cvs_correspondence *c, const char *const *names,
                                   const cvs_figure_options *options, cvs_figure **out, cvs_error *err);

#ifdef __cplusplus
}
#endif
#endif

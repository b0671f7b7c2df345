/* SPDX-License-Identifier: MIT
 * pool_view.h (internal) - a pooling layer's input, windows, winners and output as its figure needs them.
 */
#ifndef CVI_POOL_VIEW_H
#define CVI_POOL_VIEW_H

#include "draw/maps.h"

typedef struct cvi_pooling {
    cvi_maps in, out;
    cvs_window window; /* global: the whole map */
    bool is_max, global, has_winners;
    const int64_t *switches; /* of this sample, or NULL */
} cvi_pooling;

cvs_status cvi_pooling_view(const cvs_pooling_data *data, cvi_pooling *out, cvs_error *err);
/* Rows [r0, r1) and columns [c0, c1) of the input that window (oy, ox) covers, dilation holes included, inside the map. */
void cvi_pooling_window(const cvi_pooling *p, int64_t oy, int64_t ox, int64_t *r0, int64_t *r1, int64_t *c0,
                        int64_t *c1);
/* Place h*W+w of the winner of output o of a channel; -1 where there is none. */
int64_t cvi_pooling_winner(const cvi_pooling *p, int64_t channel, int64_t o);
/* Channel numbers by the largest absolute output, strongest first; owned, cvi_free. */
cvs_status cvi_pooling_strongest(const cvi_pooling *p, int64_t **order, cvs_error *err);

#endif

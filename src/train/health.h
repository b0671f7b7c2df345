/* SPDX-License-Identifier: MIT
 * health.h (internal) - how the layers of a run are doing, measured now and then while it trains, as scalars of its event file. The rules
 * of src/watch read them. Measuring changes no bit of what is trained.
 */
#ifndef CVI_HEALTH_H
#define CVI_HEALTH_H

#include "train/loop.h"
#include "watch/events.h"

typedef struct cvi_health cvi_health;

cvs_status cvi_health_new(const cvi_loop *r, cvi_health **out, cvs_error *err);
void cvi_health_free(cvi_health *h); /* NULL allowed */
/* What the pictures are like (step 0): mean, deviation, classes, test pictures that are training pictures too. */
cvs_status cvi_health_data(const cvi_loop *r, cvi_events *e);
/* Before a step with n pictures from r->at.taken of the order; and after it, with its learning rate. */
void cvi_health_before(cvi_health *h, cvi_loop *r, int64_t n);
void cvi_health_after(cvi_health *h, cvi_loop *r, cvi_events *e, int64_t n);
/* After an epoch: activations of some training pictures, and labels that speak against all that was learned. */
cvs_status cvi_health_epoch(cvi_health *h, const cvi_loop *r, cvi_events *e);

#endif

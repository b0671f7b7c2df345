/* SPDX-License-Identifier: MIT
 * feed.h (internal) - batches of training pictures as numbers, made one ahead of their step (feed.c).
 */
#ifndef CVI_FEED_H
#define CVI_FEED_H

#include "train/loop.h"

/* Of a step: x [n,C,H,W]. With mixup every picture is `share` of the first label's and the rest of the second's. Borrowed from the feed
 * until the next one. */
typedef struct cvi_batch {
    int64_t n;
    float *x;
    const int *labels, *second; /* second: NULL without mixup */
    double share;
} cvi_batch;

/* *out is set on failure too. The loop's order, samples and pool must live as long. */
cvs_status cvi_feed_new(cvi_loop *r, cvi_feed **out, cvs_error *err);
void cvi_feed_free(cvi_feed *f); /* NULL allowed */
/* The batch at r->at (its step and pictures taken, before they are counted on), and begins the one after it. */
const cvi_batch *cvi_feed_next(cvi_feed *f);
/* The order is about to change: what was made ahead is dropped. */
void cvi_feed_forget(cvi_feed *f);

#endif

/* SPDX-License-Identifier: MIT
 * api.h (internal to serve) - what the api_*.c files share.
 */
#ifndef SERVE_API_H
#define SERVE_API_H

#include "app.h"

#define ROUTE(path, post, lane, most, handle) handler handle;
#include "routes.def"
#undef ROUTE

json_t *json_shape(int rank, const int64_t *dim);
/* "12" for a layer, "in0" for an input, "v7" for an inner value or constant. */
json_t *json_place(const cvs_source *s);
/* Copies what the library allocated. */
void reply_copy(reply *r, const char *type, const void *data, size_t size);
/* Averages blocks of f x f (smaller at the far edges) of one map. */
void map_shrink(const float *from, int64_t h, int64_t w, int64_t f, float *to);

/* ---- what channels are like (channels.c) ------------------------------------------------------------------------- */
typedef struct channel_stats {
    float least, largest, mean, strength, zeros,
        twin; /* strength: root mean square; zeros: share; twin: -1 */
} channel_stats;
/* Of every channel of a value, owned (free); least and largest of all. NULL: no memory. */
channel_stats *channels_measure(const grid *g, double *least, double *largest);
/* Marks a channel whose map is that of an earlier one: cosine above 0.999 on maps of at most 8 x 8. */
void channels_find_twins(const grid *g, channel_stats *stats);
/* Counts into bins between least and largest; returns how many numbers are not finite. */
int64_t channels_histogram(const grid *g, double least, double largest, float *bins, int n_bins);

/* What /api/predict says of the picture that a slot holds, owned. */
json_t *answer_json(entry *e, slot *s, int top, cvs_lang lang);
/* uint8 [H,W,3] as PNG. */
void reply_png(reply *r, const cvs_tensor *image);
/* A float32 tensor as a .npy file. */
void reply_npy(reply *r, const cvs_tensor *t);
/* The slot of the arguments m and p, locked; NULL and a reply. */
slot *enter_slot(app *a, const request *q, reply *r, entry **e);
/* The same, also where the run stopped on its way (slot.stopped): for what reads single values. */
slot *enter_slot_part(app *a, const request *q, reply *r, entry **e);

#endif

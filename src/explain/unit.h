/* SPDX-License-Identifier: MIT
 * unit.h (internal) - one channel of a value at one position: finding it, and the seed that starts a backward pass there.
 */
#ifndef CVI_UNIT_H
#define CVI_UNIT_H

#include "convscope/features.h"
#include "engine/engine.h"

/* How the numbers of a sample of a value lie: channels x rows x columns. [N,C,H,W], [N,C,L], [N,C], [C]. */
typedef struct cvi_planes {
    const float *data;                      /* of the sample */
    int64_t channels, rows, columns, first; /* first: the sample's place in the tensor */
} cvi_planes;
/* A sentence (naming `layer`) unless the value is float32 of such a shape, with that sample. */
cvs_status cvi_planes_of(const cvs_tensor *t, int64_t sample, const char *layer, cvi_planes *out,
                         cvs_error *err);
/* A sentence unless 0 <= channel < channels. */
cvs_status cvi_planes_channel(const cvi_planes *p, int64_t channel, const char *layer, cvs_error *err);
/* The place of a channel's largest number, row * columns + column: the first in reading order; never that of a NaN beside numbers. */
int64_t cvi_planes_largest(const cvi_planes *p, int64_t channel);

/* What position (row, column) of a value sees of the input: top, left, rows, columns. False where that is not known. */
bool cvi_unit_box(const cvi_graph *g, cvi_exec *x, int value, int64_t row, int64_t column, int64_t box[4]);

/* d value[at] * seed / d input under a rule, after a forward pass: everything in `layer` (a view of the value) but one number is
 * zero. Borrowed until the next backward pass. */
cvs_status cvi_project_seed(cvi_exec *x, int value, const cvs_tensor *layer, int64_t at, float seed,
                            int input, cvs_backward_rule rule, cvs_tensor *gradient, cvs_error *err);

/* A picture [n,C,H,W], or [n,1,H,W] of a model that takes [N,H,W] (flat), as the model's own file would hold it; owned. */
cvs_status cvi_picture_file(const cvs_tensor *picture, bool flat, bool channels_last, const char *layout,
                            cvs_tensor *out, cvs_error *err);

/* The exec that holds a sample of the last run, and the sample's number in it: the run's own, or, where a model of fixed batch ran
 * several times, one that runs its pass again (*owned, cvi_exec_free). */
cvs_status cvi_exec_of_sample(cvs_run *run, int64_t *sample, cvi_exec **out, bool *owned, cvs_error *err);

#endif

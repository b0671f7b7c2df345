/* SPDX-License-Identifier: MIT
 * ranks.h (internal to src/train) - processes that train together (convscope/comm.h). Each takes some of the batch's pieces; what a piece
 * computes and the order in which pieces are added up never depend on who had them, so the bits do not depend on the number of
 * processes. All functions do nothing for a process that is alone (comm NULL).
 */
#ifndef CVI_RANKS_H
#define CVI_RANKS_H

#include "convscope/comm.h"
#include "train/loop.h"
#include "train/trainer_parts.h"

/* The pieces of this process: [*from, *to). */
void cvi_ranks_pieces(const cvi_trainer *t, int *from, int *to);
/* Whether there are at least as many pieces as processes. */
cvs_status cvi_ranks_check(const cvi_trainer *t, cvs_error *err);
/* After the pieces: everybody learns the losses and margins of all pieces and whether any failed (own: this process's status) ... */
cvs_status cvi_ranks_losses(cvi_trainer *t, cvs_status own, cvs_error *err);
/* ... and gets the sum of all pieces' gradients and statistics, in order, as that of the first piece. */
cvs_status cvi_ranks_gradients(cvi_trainer *t, cvs_error *err);
/* Of an evaluation, of which this process did chunks rank, rank + size, ...: everybody gets the others' too. */
cvs_status cvi_ranks_evaluated(cvi_trainer *t, int64_t chunks, cvs_status own, cvs_error *err);

/* One for all: after this every process has the same status, and the error of the first one that failed by itself; *stop (may be NULL) is
 * true where any wants to stop. */
cvs_status cvi_ranks_agree(const cvs_comm *comm, cvs_status own, bool *stop, cvs_error *err);
/* A run begins: weights, the optimiser's buffers and where the run stands from rank 0; the data must be the same. */
cvs_status cvi_ranks_begin(cvi_loop *r);
/* The changes of the learning rate, from rank 0. */
cvs_status cvi_ranks_steering(cvi_loop *r);
/* Threads for each process when the user did not say: an equal part of the machine. */
int cvi_ranks_threads(const cvs_comm *comm, int wanted);

#endif

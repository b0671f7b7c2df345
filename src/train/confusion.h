/* SPDX-License-Identifier: MIT
 * confusion.h (internal) - which class the test pictures of an epoch were taken for, for those who watch the run.
 */
#ifndef CVI_CONFUSION_H
#define CVI_CONFUSION_H

#include "train/loop.h"
#include "watch/events.h"

enum { CVI_MOST_CONFUSED = 100 /* classes: with more of them nothing is written */ };

/* Before the test of an epoch: makes r->confusion and has it filled by the test itself. The same in every process. */
void cvi_confusion_ask(cvi_loop *r);
/* The matrix as a picture (confusion_matrix) and as a table in Markdown with the names of the classes (confusion_table). */
cvs_status cvi_confusion_add(cvi_loop *r, cvi_events *e, int64_t step);

#endif

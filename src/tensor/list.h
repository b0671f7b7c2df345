/* SPDX-License-Identifier: MIT
 * list.h (internal) - ONNX's sequences and optional values as tensors: several tensors packed into one of an element type of its own,
 * 64-bit words, so that plans, branches and loops carry them like any other value. Never in a file; every use checks the packing.
 */
#ifndef CVI_LIST_H
#define CVI_LIST_H

#include "convscope/tensor.h"

#define CVI_LIST ((cvs_dtype)64) /* the element type; no number of ONNX's */

enum { CVI_LIST_SEQUENCE = 1, CVI_LIST_OPTIONAL = 2 };

/* Words that n tensors take, from their types and shapes alone (an element may be a list); -1: too many. */
int64_t cvi_list_words(int64_t n, const cvs_tensor *element);
/* Packs them into `words` as many. */
void cvi_list_fill(int kind, int64_t n, const cvs_tensor *element, int64_t *words);
/* Checks a packed list and says its kind and length; `element` (NULL, or room for as many) becomes views of its memory. */
cvs_status cvi_list_open(const cvs_tensor *t, int *kind, int64_t *n, cvs_tensor *element, cvs_error *err);

#endif

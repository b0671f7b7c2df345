/* SPDX-License-Identifier: MIT
 * npy.h - .npy from memory, for containers that hold such files (.npz).
 */
#ifndef CVI_NPY_H
#define CVI_NPY_H

#include "convscope/tensor.h"

/* Decodes one whole .npy file; `out` is owned and does not borrow from data. Errors carry the byte offset, not the
 * name: the caller adds it. */
cvs_status cvi_npy_decode(const void *data, size_t size, const cvs_limits *limits, cvs_tensor *out,
                          cvs_error *err);

#endif

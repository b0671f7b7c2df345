/* SPDX-License-Identifier: MIT
 * onnx_write.h (internal) - the ONNX writer with its one knob, for tests.
 */
#ifndef CVI_ONNX_WRITE_H
#define CVI_ONNX_WRITE_H

#include "graph/graph.h"

#define CVI_ONNX_MAX_INLINE 2000000000 /* a protobuf file ends below 2 GiB */

/* Writes a model; a file that would grow beyond max_bytes keeps its weights beside it, in PATH.data. */
cvs_status cvi_onnx_write(const cvs_model *model, const char *path, int64_t max_bytes, cvs_error *err);

#endif

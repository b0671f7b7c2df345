/* SPDX-License-Identifier: MIT
 * onnx_metadata.h (internal) - class names and preprocessing in an ONNX file's metadata_props: the keys, writing, reading.
 *   convscope.classes     a JSON list of names in output order
 *   convscope.preprocess  what cvs_preprocess_text writes
 */
#ifndef CVI_ONNX_METADATA_H
#define CVI_ONNX_METADATA_H

#include "graph/graph.h"

#define CVI_ONNX_KEY_CLASSES    "convscope.classes"
#define CVI_ONNX_KEY_PREPROCESS "convscope.preprocess"

/* Takes one entry into the model; keys of others, and values that do not parse, are left alone. */
cvs_status cvi_onnx_take_metadata(cvs_model *model, const char *key, const char *value, cvs_error *err);
/* The classes as the JSON text that take() reads; *out is owned (cvi_free), NULL when there are none. */
cvs_status cvi_onnx_classes_text(const cvs_model *model, char **out, cvs_error *err);

#endif

/* SPDX-License-Identifier: MIT
 * sharded.h (internal) - weights in several files with an index: the JSON text of Hugging Face whose "weight_map" names for every tensor the
 * file that holds it (model.safetensors.index.json, pytorch_model.bin.index.json). Parts are opened only beneath the index's own folder.
 */
#ifndef CVI_SHARDED_H
#define CVI_SHARDED_H

#include "graph/graph.h"

/* Whether a file is an index: of files "NAME.bin" (torch), else of any others. */
bool cvi_sharded_is(const cvi_file *f, bool torch);

/* Takes one part, whose bytes stay with the model. */
typedef cvs_status (*cvi_sharded_part)(void *to, const uint8_t *data, size_t size, cvs_error *err);
/* Gives every part of the index to `add`, once, in the order of its first mention. path: of the index, NULL where it comes from memory and has
 * nothing beside it (an error). Errors of a part bear its name. */
cvs_status cvi_sharded_read(cvs_model *model, const uint8_t *data, size_t size, const char *path,
                            cvi_sharded_part add, void *to, cvs_error *err);

#endif

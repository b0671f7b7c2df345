/* SPDX-License-Identifier: MIT
 * tf_checkpoint.h (internal) - TensorFlow checkpoints as files: which index, shards and graph belong together, and the weights in them.
 */
#ifndef CVI_TF_CHECKPOINT_H
#define CVI_TF_CHECKPOINT_H

#include "formats/keras.h"
#include "formats/tf_graph.h"

/* Where a checkpoint lies; both owned (cvi_free). */
typedef struct cvi_tf_checkpoint {
    char *folder, *prefix;
    bool single; /* first generation: <prefix> is the file itself, there is no index */
} cvi_tf_checkpoint;

/* What `path` names: a folder with one checkpoint, an index, a shard, a .meta, their common beginning, or a file of the first generation.
 * Leaves *out empty (folder NULL) where it names none. */
cvs_status cvi_tf_checkpoint_find(const char *path, const cvs_limits *limits, cvi_tf_checkpoint *out,
                                  cvs_error *err);
void cvi_tf_checkpoint_free(cvi_tf_checkpoint *c);
bool cvi_tf_checkpoint_is(const char *path, const cvs_limits *limits);
/* The numbers of the checkpoint that `path` names. */
cvs_status cvi_tf_checkpoint_open(cvs_model *model, const char *path, tf_bundle **out, cvs_error *err);
/* Its weights for an architecture of Keras, to be found by name; everything in the model's arena. */
cvs_status cvi_tf_checkpoint_source(cvs_model *model, const char *path, cvi_keras_source *out,
                                    cvs_error *err);

#endif

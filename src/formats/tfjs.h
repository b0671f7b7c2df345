/* SPDX-License-Identifier: MIT
 * tfjs.h (internal) - the weights of a TensorFlow.js model, for both of its kinds.
 */
#ifndef CVI_TFJS_H
#define CVI_TFJS_H

#include "formats/keras.h"

/* Lists the weights of model.json's weightsManifest; shards are opened beneath the model's folder and kept by the model. Where one is
 * not there a note says so, and out->load is NULL: there are no weights. */
cvs_status cvi_tfjs_source(cvi_open *open, const json_t *root, cvi_keras_source *out);

#endif

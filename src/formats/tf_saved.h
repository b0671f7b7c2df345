/* SPDX-License-Identifier: MIT
 * tf_saved.h (internal) - what tf_read.c and tf_saved.c share.
 */
#ifndef CVI_TF_SAVED_H
#define CVI_TF_SAVED_H

#include "formats/tf_graph.h"

/* Builds open->model from saved_model.pb; folder: where variables/ lies, or NULL (from memory). */
cvs_status cvi_tf_read_saved(cvi_open *open, const cvi_file *file, const char *folder);
/* Makes the model's graph and walks `net` (whose g, lookup and context are set). */
cvs_status cvi_tf_build(tf_net *net, cvi_open *open, int n_in, const tf_port *inputs, int n_out,
                        const tf_port *outputs);

#endif

/* SPDX-License-Identifier: MIT
 * tf_saved.h (internal) - what tf_read.c and tf_saved.c share.
 */
#ifndef CVI_TF_SAVED_H
#define CVI_TF_SAVED_H

#include "formats/tf_graph.h"

/* Builds open->model from saved_model.pb; folder: where variables/ lies, or NULL (from memory). */
cvs_status cvi_tf_read_saved(cvi_open *open, const cvi_file *file, const char *folder);
/* Whether a file is a MetaGraphDef: what a Saver of TensorFlow 1 writes beside its checkpoints. */
bool cvi_tf_is_meta(const cvi_file *file);
/* Builds open->model from one, with the numbers of the checkpoint beside it: what it computes, without what trains it. */
cvs_status cvi_tf_read_meta(cvi_open *open, const cvi_file *file, tf_bundle *bundle);
/* The same from a GraphDef with variables, whose numbers are in the checkpoint `weights`. */
cvs_status cvi_tf_read_unfrozen(cvi_open *open, const cvi_pb *graph, const char *weights);
/* The outputs of a graph that may hold its training too (tf_training.c); fails where there is none. */
cvs_status cvi_tf_inference(cvi_open *open, tf_graphdef *g, tf_port **out, int *n);
/* Makes the model's graph and walks `net` (whose g, lookup and context are set). */
cvs_status cvi_tf_build(tf_net *net, cvi_open *open, int n_in, const tf_port *inputs, int n_out,
                        const tf_port *outputs);

#endif

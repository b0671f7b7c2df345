/* SPDX-License-Identifier: MIT
 * tflite_ops.h (internal) - the makers that tflite_ops.def names; each builds the operation that `m` holds.
 */
#ifndef CVI_TFLITE_OPS_H
#define CVI_TFLITE_OPS_H

#include "formats/tflite.h"

void cvi_tflite_arg(tflite *m);
void cvi_tflite_as_graph(tflite *m);
void cvi_tflite_assign_variable(tflite *m);
void cvi_tflite_average_pool(tflite *m);
void cvi_tflite_batches(tflite *m);
void cvi_tflite_batch_matmul(tflite *m);
void cvi_tflite_blocks(tflite *m);
void cvi_tflite_call_once(tflite *m);
void cvi_tflite_cast(tflite *m);
void cvi_tflite_clipped(tflite *m);
void cvi_tflite_concatenation(tflite *m);
void cvi_tflite_conv_2d(tflite *m);
void cvi_tflite_conv_3d(tflite *m);
void cvi_tflite_depthwise(tflite *m);
void cvi_tflite_expand_dims(tflite *m);
void cvi_tflite_fill(tflite *m);
void cvi_tflite_fully_connected(tflite *m);
void cvi_tflite_gather(tflite *m);
void cvi_tflite_gelu(tflite *m);
void cvi_tflite_l2_normalization(tflite *m);
void cvi_tflite_leaky_relu(tflite *m);
void cvi_tflite_lrn(tflite *m);
void cvi_tflite_map(tflite *m);
void cvi_tflite_max_pool(tflite *m);
void cvi_tflite_pack(tflite *m);
void cvi_tflite_pad(tflite *m);
void cvi_tflite_pass(tflite *m);
void cvi_tflite_prelu(tflite *m);
void cvi_tflite_read_variable(tflite *m);
void cvi_tflite_reduce(tflite *m);
void cvi_tflite_reshape(tflite *m);
void cvi_tflite_resize(tflite *m);
void cvi_tflite_shape(tflite *m);
void cvi_tflite_slice(tflite *m);
void cvi_tflite_softmax(tflite *m);
void cvi_tflite_split(tflite *m);
void cvi_tflite_split_v(tflite *m);
void cvi_tflite_square(tflite *m);
void cvi_tflite_squeeze(tflite *m);
void cvi_tflite_strided_slice(tflite *m);
void cvi_tflite_tile(tflite *m);
void cvi_tflite_transpose(tflite *m);
void cvi_tflite_transpose_conv(tflite *m);
void cvi_tflite_transpose_conv_3d(tflite *m);
void cvi_tflite_two_steps(tflite *m);
void cvi_tflite_unpack(tflite *m);
void cvi_tflite_var_handle(tflite *m);

#endif

/* SPDX-License-Identifier: MIT
 * tf_nodes.h (internal) - the makers that tf_nodes.def names; each builds the operation that `m` holds.
 */
#ifndef CVI_TF_NODES_H
#define CVI_TF_NODES_H

#include "formats/tf_graph.h"

void cvi_tfn_activation(tf_net *m);
void cvi_tfn_all_alike(tf_net *m);
void cvi_tfn_arg(tf_net *m);
void cvi_tfn_atan2(tf_net *m);
void cvi_tfn_band(tf_net *m);
void cvi_tfn_batch_norm(tf_net *m);
void cvi_tfn_batches(tf_net *m);
void cvi_tfn_bias_add(tf_net *m);
void cvi_tfn_blocks(tf_net *m);
void cvi_tfn_broadcast_to(tf_net *m);
void cvi_tfn_call(tf_net *m);
void cvi_tfn_cast(tf_net *m);
void cvi_tfn_concat(tf_net *m);
void cvi_tfn_const(tf_net *m);
void cvi_tfn_conv2d(tf_net *m);
void cvi_tfn_conv3d(tf_net *m);
void cvi_tfn_conv_transpose(tf_net *m);
void cvi_tfn_cubic(tf_net *m);
void cvi_tfn_cumsum(tf_net *m);
void cvi_tfn_depthwise(tf_net *m);
void cvi_tfn_einsum(tf_net *m);
void cvi_tfn_expand_dims(tf_net *m);
void cvi_tfn_fake_quant(tf_net *m);
void cvi_tfn_fill(tf_net *m);
void cvi_tfn_fill_late(tf_net *m);
void cvi_tfn_floor_mod(tf_net *m);
void cvi_tfn_gather(tf_net *m);
void cvi_tfn_gather_nd(tf_net *m);
void cvi_tfn_if(tf_net *m);
void cvi_tfn_list_from_tensor(tf_net *m);
void cvi_tfn_list_get(tf_net *m);
void cvi_tfn_list_length(tf_net *m);
void cvi_tfn_list_reserve(tf_net *m);
void cvi_tfn_list_set(tf_net *m);
void cvi_tfn_list_stack(tf_net *m);
void cvi_tfn_lrn(tf_net *m);
void cvi_tfn_map(tf_net *m);
void cvi_tfn_matmul(tf_net *m);
void cvi_tfn_merge(tf_net *m);
void cvi_tfn_mirror(tf_net *m);
void cvi_tfn_no_nan(tf_net *m);
void cvi_tfn_one(tf_net *m);
void cvi_tfn_one_hot(tf_net *m);
void cvi_tfn_pack(tf_net *m);
void cvi_tfn_pad(tf_net *m);
void cvi_tfn_pad_late(tf_net *m);
void cvi_tfn_pass(tf_net *m);
void cvi_tfn_patches(tf_net *m);
void cvi_tfn_pool(tf_net *m);
void cvi_tfn_range(tf_net *m);
void cvi_tfn_rank(tf_net *m);
void cvi_tfn_reduce(tf_net *m);
void cvi_tfn_reshape(tf_net *m);
void cvi_tfn_resize(tf_net *m);
void cvi_tfn_reverse(tf_net *m);
void cvi_tfn_roll(tf_net *m);
void cvi_tfn_scatter(tf_net *m);
void cvi_tfn_shape(tf_net *m);
void cvi_tfn_size(tf_net *m);
void cvi_tfn_slice(tf_net *m);
void cvi_tfn_softmax(tf_net *m);
void cvi_tfn_split(tf_net *m);
void cvi_tfn_split_v(tf_net *m);
void cvi_tfn_square(tf_net *m);
void cvi_tfn_squeeze(tf_net *m);
void cvi_tfn_strided_slice(tf_net *m);
void cvi_tfn_sum_all(tf_net *m);
void cvi_tfn_suppress(tf_net *m);
void cvi_tfn_switch(tf_net *m);
void cvi_tfn_tile(tf_net *m);
void cvi_tfn_top_k(tf_net *m);
void cvi_tfn_transpose(tf_net *m);
void cvi_tfn_truncate_mod(tf_net *m);
void cvi_tfn_truths(tf_net *m);
void cvi_tfn_two_steps(tf_net *m);
void cvi_tfn_unpack(tf_net *m);
void cvi_tfn_variable(tf_net *m);
void cvi_tfn_where(tf_net *m);
void cvi_tfn_while(tf_net *m);
void cvi_tfn_xlogy(tf_net *m);

#endif

/* SPDX-License-Identifier: MIT
 * index.h (internal) - from index tensors to offsets in a data tensor: what the Gather and Scatter families share. Every index is
 * checked; negative ones count from the end.
 */
#ifndef CVI_OPS_INDEX_H
#define CVI_OPS_INDEX_H

#include "ops/walk.h"

/* index in [-side, side) -> [0, side), else a sentence. */
cvs_status cvi_index_in(const cvi_opctx *ctx, int64_t index, int64_t side, int64_t *out);
/* For every element of `index` (same rank as `data`): the offset in data of its position with side `axis` replaced by the
 * index. *at is in ctx->scratch. */
cvs_status cvi_index_elements(const cvi_opctx *ctx, const cvs_tensor *data, const cvs_tensor *index, int axis,
                              int64_t **at);
/* For every row of `index` [..., q]: the offset in data of the block that the row and `batch` leading sides name. *n = rows, *block
 * = elements of a block. */
cvs_status cvi_index_blocks(const cvi_opctx *ctx, const cvs_tensor *data, const cvs_tensor *index, int batch,
                            int64_t **at, int64_t *n, int64_t *block);
/* A sentence unless input k is int32 or int64. */
cvs_status cvi_index_type(const cvi_opctx *ctx, int k);

#endif

/* SPDX-License-Identifier: MIT
 * index.c - from index tensors to checked offsets (index.h).
 */
#include "ops/index.h"

static bool is_index_type(cvs_dtype dtype) {
    return dtype == CVS_I32 || dtype == CVS_I64;
}

cvs_status cvi_index_type(const cvi_opctx *ctx, int k) {
    return cvi_type_is(ctx, k, is_index_type, "int32 or int64");
}

cvs_status cvi_index_in(const cvi_opctx *ctx, int64_t index, int64_t side, int64_t *out) {
    if (index < -side || index >= side) {
        return cvi_fail(ctx->err, CVS_E_SHAPE, "index %lld is outside of a side of %lld", (long long)index,
                        (long long)side);
    }
    *out = index < 0 ? index + side : index;
    return CVS_OK;
}

static cvs_status room_for(const cvi_opctx *ctx, int64_t n, int64_t **at) {
    *at = cvi_arena_alloc(ctx->scratch, CVI_MAX(n, 1), sizeof(int64_t));
    return *at != NULL ? CVS_OK : cvi_no_memory(ctx->err, (size_t)n * sizeof(int64_t));
}

cvs_status cvi_index_elements(const cvi_opctx *ctx, const cvs_tensor *data, const cvs_tensor *index, int axis,
                              int64_t **at) {
    int64_t stride[CVS_MAX_RANK], position[CVS_MAX_RANK] = {0}, n = cvs_tensor_count(index);
    cvi_strides(data->rank, data->dim, stride);
    CVI_TRY(room_for(ctx, n, at));
    for (int64_t i = 0; i < n; i++) {
        int64_t k = 0, offset;
        CVI_TRY(cvi_index_in(ctx, cvi_get_int(index, i), data->dim[axis], &k));
        offset = k * stride[axis];
        for (int a = 0; a < data->rank; a++) {
            offset += a == axis ? 0 : position[a] * stride[a];
        }
        (*at)[i] = offset;
        for (int a = index->rank - 1; a >= 0 && ++position[a] == index->dim[a]; a--) {
            position[a] = 0;
        }
    }
    return CVS_OK;
}

cvs_status cvi_index_blocks(const cvi_opctx *ctx, const cvs_tensor *data, const cvs_tensor *index, int batch,
                            int64_t **at, int64_t *n, int64_t *block) {
    int q = (int)index->dim[index->rank - 1];
    int64_t stride[CVS_MAX_RANK];
    cvi_strides(data->rank, data->dim, stride);
    *n = cvi_product(index->dim, 0, index->rank - 1);
    *block = cvi_product(data->dim, batch + q, data->rank);
    int64_t batches = cvi_product(data->dim, 0, batch), each = batches > 0 ? *n / batches : 0;
    int64_t batch_step = cvi_product(data->dim, batch, data->rank);
    CVI_TRY(room_for(ctx, *n, at));
    for (int64_t i = 0; i < *n; i++) {
        int64_t offset = batch > 0 ? i / each * batch_step : 0;
        for (int k = 0; k < q; k++) {
            int64_t v = 0;
            CVI_TRY(cvi_index_in(ctx, cvi_get_int(index, i * q + k), data->dim[batch + k], &v));
            offset += v * stride[batch + k];
        }
        (*at)[i] = offset;
    }
    return CVS_OK;
}

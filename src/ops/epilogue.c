/* SPDX-License-Identifier: MIT
 * epilogue.c - the parts of an epilogue (op.h) that a fast form leaves to a pass of its own over the output.
 */
#include "ops/map.h"

void cvi_epilogue_finish(cvi_opctx *ctx) {
    const cvi_epilogue *e = ctx->epilogue;
    cvi_rows r = cvi_rows_of(&ctx->out[0]);
    float *y = ctx->out[0].data;
    if (e == NULL || r.rows <= 0 || r.channels <= 0) {
        return;
    }
    if (e->residual != NULL) {
        cvi_binary(ctx->pool, CVI_B_ADD, false, false, r.rows, r.channels, r.pitch, y, e->residual, y);
    }
    if (e->clamp) {
        cvi_unary(ctx->pool, CVI_U_CLAMP, e->lo, e->hi, r.rows, r.channels, r.pitch, y, y);
    }
}

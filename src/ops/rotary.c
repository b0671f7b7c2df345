/* SPDX-License-Identifier: MIT
 * rotary.c - RotaryEmbedding: pairs of numbers of every head turned by an angle that grows with the place (arXiv 2104.09864). The angles come
 * as tables of cosines and sines, by place or by the place that an input names.
 */
#include "ops/walk.h"

enum { X, COS, SIN, PLACES };

typedef struct rotary {
    int64_t batch, heads, length, size, half; /* the first 2*half of `size` numbers turn */
    bool packed, interleaved;
    int64_t rows; /* of the tables, when an input names the places */
} rotary;

static cvs_status read_rotary(const cvi_opctx *ctx, rotary *r) {
    const cvs_tensor *x = ctx->in[X], *places = cvi_in(ctx, PLACES);
    int64_t heads = cvi_op_int(ctx, "num_heads"), turned = cvi_op_int(ctx, "rotary_embedding_dim");
    bool packed = x->rank == 3, ok = x->rank == 4 || (packed && heads > 0 && x->dim[2] % heads == 0);
    *r = (rotary){.packed = packed, .interleaved = cvi_op_int(ctx, "interleaved") != 0};
    if (ok) {
        r->batch = x->dim[0];
        r->heads = packed ? heads : x->dim[1];
        r->length = packed ? x->dim[1] : x->dim[2];
        r->size = packed ? x->dim[2] / heads : x->dim[3];
        turned = turned > 0 ? turned : r->size;
        r->half = turned / 2;
        ok = r->size > 0 && turned % 2 == 0 && turned <= r->size;
    }
    for (int k = COS; k <= SIN && ok; k++) {
        const cvs_tensor *t = ctx->in[k];
        ok = t->rank == (places != NULL ? 2 : 3) && t->dim[t->rank - 1] == r->half &&
             cvi_same_shape(t, ctx->in[COS]) &&
             (places != NULL || (t->dim[0] == r->batch && t->dim[1] == r->length));
    }
    if (ok && places != NULL) {
        ok = places->rank == 2 && places->dim[0] == r->batch && places->dim[1] == r->length &&
             cvi_is_integer(places->dtype);
        r->rows = ctx->in[COS]->dim[0];
    }
    if (!ok) {
        char a[128], b[128];
        return cvi_fail(ctx->err, CVS_E_SHAPE, "tables of shape %s do not fit an input of shape %s",
                        cvs_shape_text(ctx->in[COS]->rank, ctx->in[COS]->dim, a, sizeof a),
                        cvs_shape_text(x->rank, x->dim, b, sizeof b));
    }
    return CVS_OK;
}

static cvs_status infer_rotary(cvi_opctx *ctx) {
    rotary r;
    CVI_TRY(cvi_want_float(ctx, X));
    CVI_TRY(cvi_want_float(ctx, COS));
    CVI_TRY(cvi_want_float(ctx, SIN));
    CVI_TRY(read_rotary(ctx, &r));
    return cvi_infer_same(ctx);
}

/* Row of the tables for place s of sample b. */
static cvs_status row_of(const cvi_opctx *ctx, const rotary *r, int64_t b, int64_t s, int64_t *row) {
    const cvs_tensor *places = cvi_in(ctx, PLACES);
    *row = b * r->length + s;
    if (places == NULL) {
        return CVS_OK;
    }
    int64_t k = cvi_get_int(places, *row);
    if (k < 0 || k >= r->rows) {
        return cvi_fail(ctx->err, CVS_E_ARGUMENT, "index %lld is outside of a side of %lld", (long long)k,
                        (long long)r->rows);
    }
    *row = k;
    return CVS_OK;
}

/* to += or = from, turned forwards (way 1) or back (way -1). */
static cvs_status turn(const cvi_opctx *ctx, const cvs_tensor *from, const cvs_tensor *to, int way,
                       bool adding) {
    rotary r;
    CVI_TRY(read_rotary(ctx, &r));
    for (int64_t b = 0; b < r.batch; b++) {
        for (int64_t s = 0; s < r.length; s++) {
            int64_t row = 0;
            CVI_TRY(row_of(ctx, &r, b, s, &row));
            for (int64_t h = 0; h < r.heads; h++) {
                int64_t at =
                    (r.packed ? (b * r.length + s) * r.heads + h : (b * r.heads + h) * r.length + s) * r.size;
                for (int64_t i = 0; i < r.half; i++) {
                    int64_t p = at + (r.interleaved ? 2 * i : i),
                            q = at + (r.interleaved ? 2 * i + 1 : r.half + i);
                    double c = cvi_get(ctx->in[COS], row * r.half + i),
                           n = way * cvi_get(ctx->in[SIN], row * r.half + i);
                    double x = cvi_get(from, p), y = cvi_get(from, q);
                    cvi_put(to, p, c * x - n * y + (adding ? cvi_get(to, p) : 0));
                    cvi_put(to, q, n * x + c * y + (adding ? cvi_get(to, q) : 0));
                }
                for (int64_t i = at + 2 * r.half; i < at + r.size; i++) {
                    cvi_put(to, i, cvi_get(from, i) + (adding ? cvi_get(to, i) : 0));
                }
            }
        }
    }
    return CVS_OK;
}

static cvs_status forward_rotary(cvi_opctx *ctx) {
    return turn(ctx, ctx->in[X], &ctx->out[0], 1, false);
}

static cvs_status backward_rotary(cvi_opctx *ctx, cvi_rule rule, const cvs_tensor *const *grad_out,
                                  cvs_tensor *const *grad_in) {
    (void)rule;
    return grad_out[0] != NULL && grad_in[X] != NULL ? turn(ctx, grad_out[0], grad_in[X], -1, true) : CVS_OK;
}

static const cvi_op_io rotary_in[] = {{"X", CVI_DATA, false, false},
                                      {"cos_cache", CVI_DATA, false, false},
                                      {"sin_cache", CVI_DATA, false, false},
                                      {"position_ids", CVI_DATA, true, false}};
static const cvi_op_io rotary_out[] = {{"Y", CVI_DATA, false, false}};
static const cvi_op_attr rotary_attrs[] = {
    {"interleaved", CVI_ATTR_INT, "0", "0|1", "1: neighbours are a pair; 0: one of either half",
     "取 1 时相邻两数成对；取 0 时前后两半各取一个"},
    {"num_heads", CVI_ATTR_INT, "0", ">= 1", "heads, for an input of three axes", "头数，用于三维输入"},
    {"rotary_embedding_dim", CVI_ATTR_INT, "0", ">= 0", "how many numbers of a head turn; 0: all",
     "每个头中有多少个数被旋转；0 表示全部"},
};

const cvi_op cvi_op_rotary_embedding = {
    .name = "RotaryEmbedding",
    .since = 23,
    .inputs = rotary_in,
    .n_inputs = 4,
    .outputs = rotary_out,
    .n_outputs = 1,
    .attrs = rotary_attrs,
    .n_attrs = 3,
    .glyph = CVI_GLYPH_MATH,
    .infer = infer_rotary,
    .forward = forward_rotary,
    .backward = backward_rotary,
    .cost = cvi_cost_each,
    .field = cvi_field_all,
    .text = {"Rotary position", "旋转位置编码",
             "Turns pairs of numbers by an angle that grows with the place.",
             "把成对的数旋转一个随位置增大的角度。", "(x, y) → (x·cos − y·sin, x·sin + y·cos)",
             "The same strength in a turned direction.", "强度不变，方向旋转。"},
};

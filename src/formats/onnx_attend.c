/* SPDX-License-Identifier: MIT
 * onnx_attend.c - ONNX Runtime's Attention (one product makes queries, keys and values) and MultiHeadAttention (they come apart) as ONNX's
 * Attention. Forms with a memory of earlier calls, masks of lengths and relative positions stay closed.
 */
#include "onnx_rewrite.h"

static bool absent_from(const cvi_rw *p, int k, int end) {
    for (; k < end; k++) {
        if (cvi_rw_in(p, k) >= 0) {
            return false;
        }
    }
    return true;
}

/* Queries, keys, values and what is added to their products -> the draft's output. */
static void end_attention(cvi_rw *p, const int *qkv, int mask, int64_t heads) {
    double scale = cvi_rw_float(p, "scale", 0);
    const cvi_attr attrs[] = {CVI_RW_INT("q_num_heads", heads), CVI_RW_INT("kv_num_heads", heads),
                              CVI_RW_INT("is_causal", cvi_rw_int(p, "unidirectional", 0) != 0),
                              CVI_RW_FLOAT("scale", scale)};
    const int in[] = {qkv[0], qkv[1], qkv[2], mask};
    cvi_rw_end(p, 0, "Attention", 4, in, scale > 0 ? 4 : 3, attrs);
}

static bool plain_attention(const cvi_rw *p) {
    return cvi_rw_int(p, "num_heads", 0) > 0 && cvi_rw_int(p, "do_rotary", 0) == 0 &&
           (p->d->n_out < 2 || p->d->out[1] < 0) && (p->d->n_out < 3 || p->d->out[2] < 0);
}

/* input [B,S,D], weights [D,3H], bias [3H], a mask, a past, what is added to the products [B|1,heads|1,S,S]. */
static void attention(cvi_rw *p) {
    if (!cvi_rw_need(p, 2) || !plain_attention(p) || !absent_from(p, 3, 5) || !absent_from(p, 6, 7)) {
        return;
    }
    const int in[] = {cvi_rw_in(p, 0), cvi_rw_in(p, 1)};
    int v = cvi_rw_put(p, "MatMul", false, 2, in, 0, NULL), qkv[3];
    v = cvi_rw_in(p, 2) >= 0 ? cvi_rw_two(p, "Add", v, cvi_rw_in(p, 2)) : v;
    const cvi_attr *sizes = cvi_rw_attr(p, "qkv_hidden_sizes");
    const cvi_attr split[] = {CVI_RW_INT("axis", -1), CVI_RW_INT("num_outputs", 3)};
    bool named = sizes && sizes->kind == CVI_ATTR_INTS && sizes->n == 3;
    const int parts[] = {v, named ? cvi_rw_ints(p, "sizes", 3, sizes->ints) : -1};
    cvi_rw_many(p, "Split", 2, parts, 3, qkv, named ? 1 : 2, split);
    if (p->s == CVS_OK) {
        end_attention(p, qkv, cvi_rw_in(p, 5), cvi_rw_int(p, "num_heads", 0));
    }
}

/* query, key, value [B,S,D], bias [3D], lengths of keys, what is added to the products, pasts. */
static void multi_head(cvi_rw *p) {
    if (!cvi_rw_need(p, 3) || !plain_attention(p) || cvi_rw_in(p, 4) >= 0 || !absent_from(p, 6, p->d->n_in)) {
        return;
    }
    int qkv[] = {cvi_rw_in(p, 0), cvi_rw_in(p, 1), cvi_rw_in(p, 2)}, bias = cvi_rw_in(p, 3), part[3];
    for (int k = 0; k < 3; k++) {
        if (cvi_rw_rank(p, qkv[k]) > 3) { /* packed, or turned already */
            return;
        }
    }
    if (bias >= 0) {
        const cvi_attr split[] = {CVI_RW_INT("axis", 0), CVI_RW_INT("num_outputs", 3)};
        cvi_rw_many(p, "Split", 1, &bias, 3, part, 2, split);
        for (int k = 0; k < 3 && p->s == CVS_OK; k++) {
            qkv[k] = cvi_rw_two(p, "Add", qkv[k], part[k]);
        }
    }
    if (p->s == CVS_OK) {
        end_attention(p, qkv, cvi_rw_in(p, 5), cvi_rw_int(p, "num_heads", 0));
    }
}

const cvi_onnx_rule cvi_onnx_rules_attention[] = {
    {"com.microsoft::Attention", attention},
    {"com.microsoft::MultiHeadAttention", multi_head},
    {NULL, NULL},
};

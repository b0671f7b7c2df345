/* SPDX-License-Identifier: MIT
 * unique.c - Unique: the different numbers of a tensor, or its different slices along an axis, sorted or in the order of their first
 * appearance, with where they stood first, which one each was, and how often it came. How many there are is known only from the numbers.
 */
#include "ops/walk.h"

typedef struct different {
    const cvs_tensor *x;
    int axis; /* -1: all numbers, flattened */
    int64_t outer, side, inner, n;
    int64_t *first, *count; /* [n] of each different slice, in the order of the result; [n] */
    int64_t *which;         /* [side] */
} different;

/* -1, 0, 1 as slice i is smaller than, equal to or larger than slice j: by the first number that differs; a NaN is above everything. */
static int order(const different *d, int64_t i, int64_t j) {
    for (int64_t o = 0; o < d->outer; o++) {
        for (int64_t k = 0; k < d->inner; k++) {
            int64_t a = (o * d->side + i) * d->inner + k, b = (o * d->side + j) * d->inner + k;
            int c;
            if (cvi_is_float(d->x->dtype)) {
                double p = cvi_get(d->x, a), q = cvi_get(d->x, b);
                c = p != p || q != q ? (p != p) - (q != q) : (p > q) - (p < q);
            } else if (d->x->dtype == CVS_U64) {
                uint64_t p = (uint64_t)cvi_get_int(d->x, a), q = (uint64_t)cvi_get_int(d->x, b);
                c = (p > q) - (p < q);
            } else {
                int64_t p = cvi_get_int(d->x, a), q = cvi_get_int(d->x, b);
                c = (p > q) - (p < q);
            }
            if (c != 0) {
                return c;
            }
        }
    }
    return 0;
}

/* Sorts list [n] by `order`, equal ones by their place; spare [n]. */
static void sort(const different *d, int64_t *list, int64_t *spare, int64_t n) {
    for (int64_t width = 1; width < n; width *= 2) {
        for (int64_t at = 0; at < n; at += 2 * width) {
            int64_t a = at, middle = CVI_MIN(at + width, n), b = middle, end = CVI_MIN(at + 2 * width, n);
            for (int64_t k = at; k < end; k++) {
                bool left = a < middle && (b >= end || order(d, list[a], list[b]) <= 0);
                spare[k] = list[left ? a++ : b++];
            }
        }
        memcpy(list, spare, (size_t)n * sizeof *list);
    }
}

/* The different slices in the order of their first places. */
static void by_appearance(different *d, int64_t *spare) {
    int64_t n = 0;
    for (int64_t i = 0; i < d->side; i++) {
        int64_t old = d->which[i];
        if (d->first[old] == i) {
            spare[old] = n++;
        }
    }
    for (int64_t i = 0; i < d->side; i++) {
        d->which[i] = spare[d->which[i]];
    }
    memset(d->count, 0, (size_t)d->n * sizeof *d->count);
    for (int64_t i = d->side - 1; i >= 0; i--) {
        d->first[d->which[i]] = i;
        d->count[d->which[i]]++;
    }
}

static cvs_status find_different(const cvi_opctx *ctx, different *d) {
    const cvs_tensor *x = ctx->in[0];
    const cvi_attr *attr = cvi_node_attr(ctx->node, "axis");
    *d = (different){.x = x, .axis = -1, .outer = 1, .side = cvs_tensor_count(x), .inner = 1};
    if (attr != NULL) {
        CVI_TRY(cvi_axis(ctx, attr->i, x->rank, &d->axis));
        d->outer = cvi_product(x->dim, 0, d->axis);
        d->side = x->dim[d->axis];
        d->inner = cvi_product(x->dim, d->axis + 1, x->rank);
    }
    CVI_TRY(cvi_need(ctx, 0));
    int64_t n = CVI_MAX(d->side, 1);
    int64_t *sorted = cvi_arena_alloc(ctx->scratch, n, sizeof *sorted);
    int64_t *spare = cvi_arena_alloc(ctx->scratch, n, sizeof *spare);
    d->first = cvi_arena_alloc(ctx->scratch, n, sizeof *d->first);
    d->count = cvi_arena_alloc(ctx->scratch, n, sizeof *d->count);
    d->which = cvi_arena_alloc(ctx->scratch, n, sizeof *d->which);
    if (sorted == NULL || spare == NULL || d->first == NULL || d->count == NULL || d->which == NULL) {
        return cvi_no_memory(ctx->err, (size_t)n * sizeof *sorted);
    }
    for (int64_t i = 0; i < d->side; i++) {
        sorted[i] = i;
    }
    sort(d, sorted, spare, d->side);
    for (int64_t i = 0; i < d->side; i++) {
        if (i == 0 || order(d, sorted[i - 1], sorted[i]) != 0) {
            d->first[d->n] = sorted[i];
            d->count[d->n++] = 0;
        }
        d->which[sorted[i]] = d->n - 1;
        d->count[d->n - 1]++;
    }
    if (cvi_op_int(ctx, "sorted") == 0) {
        by_appearance(d, spare);
    }
    return CVS_OK;
}

static cvs_status infer_unique(cvi_opctx *ctx) {
    const cvs_tensor *x = ctx->in[0];
    different d;
    int64_t dim[CVS_MAX_RANK];
    CVI_TRY(find_different(ctx, &d));
    memcpy(dim, x->dim, sizeof dim);
    dim[CVI_MAX(d.axis, 0)] = d.n;
    CVI_TRY(cvi_out_shape(ctx, 0, x->dtype, d.axis < 0 ? 1 : x->rank, dim));
    CVI_TRY(cvi_out_shape(ctx, 1, CVS_I64, 1, &d.n));
    CVI_TRY(cvi_out_shape(ctx, 2, CVS_I64, 1, &d.side));
    return cvi_out_shape(ctx, 3, CVS_I64, 1, &d.n);
}

static cvs_status forward_unique(cvi_opctx *ctx) {
    different d;
    CVI_TRY(find_different(ctx, &d));
    size_t size = cvs_dtype_size(d.x->dtype), run = (size_t)d.inner * size;
    for (int64_t o = 0; o < d.outer && run > 0 && cvi_has_out(ctx, 0); o++) {
        for (int64_t i = 0; i < d.n; i++) {
            memcpy((char *)ctx->out[0].data + (size_t)(o * d.n + i) * run,
                   (const char *)d.x->data + (size_t)(o * d.side + d.first[i]) * run, run);
        }
    }
    const int64_t *const lists[] = {NULL, d.first, d.which, d.count};
    for (int k = 1; k < 4; k++) {
        if (cvi_has_out(ctx, k) && ctx->out[k].bytes > 0) {
            memcpy(ctx->out[k].data, lists[k], ctx->out[k].bytes);
        }
    }
    return CVS_OK;
}

static const cvi_op_io unique_in[] = {{"X", CVI_DATA, false, false}};
static const cvi_op_io unique_out[] = {{"Y", CVI_DATA, false, false},
                                       {"indices", CVI_DATA, true, false},
                                       {"inverse_indices", CVI_DATA, true, false},
                                       {"counts", CVI_DATA, true, false}};
static const cvi_op_attr unique_attrs[] = {
    {"axis", CVI_ATTR_INT, "", "-rank ... rank-1", "axis whose slices are compared; absent: single numbers",
     "比较沿该轴的各切片；缺省时比较单个数"},
    {"sorted", CVI_ATTR_INT, "1", "0|1", "0: in the order of their first appearance",
     "取 0 时按首次出现的次序"},
};

const cvi_op cvi_op_unique = {
    .name = "Unique",
    .since = 11,
    .inputs = unique_in,
    .n_inputs = 1,
    .outputs = unique_out,
    .n_outputs = 4,
    .attrs = unique_attrs,
    .n_attrs = 2,
    .glyph = CVI_GLYPH_SHAPE,
    .infer = infer_unique,
    .forward = forward_unique,
    .any_type = true,
    .field = cvi_field_none,
    .text = {"Different values", "去重", "Lists the different numbers or slices of its input, each once.",
             "列出输入中不同的数或切片，每个只列一次。", "y = {x}", "A list of what occurs; places are lost.",
             "出现过的值的列表；位置信息丢失。"},
};

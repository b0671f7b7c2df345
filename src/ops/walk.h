/* SPDX-License-Identifier: MIT
 * walk.h (internal) - ways through tensors that operators share: rows of a broadcast, moving elements by tables of
 * offsets (and the adjoint, adding them back), and sums in double. Nothing here knows an operator. All on CVS_PLAIN data.
 */
#ifndef CVI_WALK_H
#define CVI_WALK_H

#include "ops/typed.h"

#define CVI_WALK_OPERANDS 4

/* The rows of a shape with operands repeated along it as numpy does: neighbouring axes are joined where every operand allows
 * it, so that equal shapes are one long row. step[o][a] is in elements, 0 where operand o is repeated along axis a. */
typedef struct cvi_walk {
    int rank, n;
    int64_t dim[CVS_MAX_RANK];
    int64_t step[CVI_WALK_OPERANDS][CVS_MAX_RANK];
    int64_t rows, length; /* product of all axes but the last; the last */
} cvi_walk;

/* Makes the walk over shape `dim` of n operands (at most CVI_WALK_OPERANDS), which broadcast to it. */
void cvi_walk_make(cvi_walk *w, int rank, const int64_t *dim, int n, const cvs_tensor *const *operand);
/* Offset of each operand at the start of a row. */
void cvi_walk_at(const cvi_walk *w, int64_t row, int64_t *offset);

/* Calls body for [begin, end) pieces of `rows` rows of `length` elements, in pieces that depend only on these numbers. */
void cvi_each_rows(const cvi_opctx *ctx, int64_t rows, int64_t length, void *context,
                   void (*body)(void *context, int64_t begin, int64_t end));

/* out[i0,i1,...] = in[at[0][i0] + at[1][i1] + ...]; a negative table entry means "fill" there. */
typedef struct cvi_map {
    int rank;
    int64_t dim[CVS_MAX_RANK];
    int64_t *at[CVS_MAX_RANK];
} cvi_map;
/* Tables for an output of this shape, filled with 0, in ctx->scratch. */
cvs_status cvi_map_new(const cvi_opctx *ctx, cvi_map *m, int rank, const int64_t *dim);
/* Table of one axis: at[axis][i] = start + i * step. */
void cvi_map_line(cvi_map *m, int axis, int64_t start, int64_t step);
/* Moves elements of `size` bytes (1, 2, 4 or 8); fill points to one element (NULL: zero bytes). */
void cvi_map_move(const cvi_opctx *ctx, const cvi_map *m, const void *in, size_t size, const void *fill,
                  void *out);
/* The adjoint: grad_in[at...] += grad_out[i0,i1,...], float32 or float64, summed in double. */
cvs_status cvi_map_add(const cvi_opctx *ctx, const cvi_map *m, const cvs_tensor *grad_out,
                       cvs_tensor *grad_in);

/* Zeroed doubles for the elements of t (in ctx->scratch); add them to t. */
cvs_status cvi_sum_new(const cvi_opctx *ctx, const cvs_tensor *t, double **sum);
void cvi_sum_add(cvs_tensor *t, const double *sum);
/* t[i] += from[i], same type (float32 or float64) and count. */
void cvi_tensor_add(cvs_tensor *t, const cvs_tensor *from);

/* Row-major strides in elements. */
void cvi_strides(int rank, const int64_t *dim, int64_t *stride);
/* Product of dim[from..to), of a shape that was checked. */
int64_t cvi_product(const int64_t *dim, int from, int to);
bool cvi_same_shape(const cvs_tensor *a, const cvs_tensor *b);
bool cvi_is_signed(cvs_dtype dtype); /* signed integer or float */
/* Stores an integer: wraps into the type, bool as != 0, floats rounded. */
void cvi_put_int(const cvs_tensor *t, int64_t i, int64_t v);
/* A sentence unless inputs a and b (both present) have one type. */
cvs_status cvi_one_type(const cvi_opctx *ctx, int a, int b);
/* A sentence unless input k has a type that `fits` accepts; `wanted` names them ("a floating-point type"). */
cvs_status cvi_type_is(const cvi_opctx *ctx, int k, bool (*fits)(cvs_dtype), const char *wanted);
/* A sentence unless input k has this rank / at least this rank. */
cvs_status cvi_rank_is(const cvi_opctx *ctx, int k, int rank);
cvs_status cvi_rank_from(const cvi_opctx *ctx, int k, int rank);
/* The integers of input k (needed now, so CVS_E_LATE as cvi_need): at most `max`, a sentence when there are more or it is no integer
 * tensor. *n = -1 when the input is absent. */
cvs_status cvi_ints(const cvi_opctx *ctx, int k, int64_t *v, int max, int *n);

/* Common callbacks of descriptors. */
cvs_status cvi_infer_same(cvi_opctx *ctx);                /* out[0] like in[0] */
void cvi_cost_each(const cvi_opctx *ctx, cvi_cost *cost); /* one operation an output element */
void cvi_field_none(const cvi_opctx *ctx, cvi_field_step *step);
void cvi_field_all(const cvi_opctx *ctx, cvi_field_step *step);
/* Same while the last two axes keep their sides, else none: reshapes that leave the picture alone. */
void cvi_field_kept(const cvi_opctx *ctx, cvi_field_step *step);

#endif

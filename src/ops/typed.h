/* SPDX-License-Identifier: MIT
 * typed.h (internal) - one loop body for every element type. A body takes the element type as its last argument and is
 * always inlined; CVI_TYPED calls it with a constant, so that the float32 and the float64 loop are compiled
 * apart, without the test, from one text. Arithmetic inside is in double either way.
 */
#ifndef CVI_OPS_TYPED_H
#define CVI_OPS_TYPED_H

#include "ops/op.h"
#include "tensor/small.h"

#if defined(__GNUC__)
#define CVI_INLINE static inline __attribute__((always_inline))
#else
#define CVI_INLINE static inline
#endif

/* Element i of plain memory of type `type`. The third case serves 16-bit floats and integers. */
CVI_INLINE double cvi_load(const void *data, int64_t i, cvs_dtype type) {
    if (type == CVS_F32) {
        return (double)((const float *)data)[i];
    }
    if (type == CVS_F64) {
        return ((const double *)data)[i];
    }
    cvs_tensor view = {.dtype = type, .data = (void *)(uintptr_t)data};
    return cvi_get(&view, i);
}

CVI_INLINE void cvi_store(void *data, int64_t i, double v, cvs_dtype type) {
    if (type == CVS_F32) {
        ((float *)data)[i] = (float)v;
    } else if (type == CVS_F64) {
        ((double *)data)[i] = v;
    } else {
        cvs_tensor view = {.dtype = type, .data = data};
        cvi_put(&view, i, v);
    }
}

/* data[i] += v, rounded once. */
CVI_INLINE void cvi_accumulate(void *data, int64_t i, double v, cvs_dtype type) {
    cvi_store(data, i, cvi_load(data, i, type) + v, type);
}

/* CVI_TYPED(dtype, body, a, b) = body(a, b, dtype) compiled once for each common type. */
#define CVI_TYPED(dtype, body, ...)                                                                          \
    do {                                                                                                     \
        if ((dtype) == CVS_F32) {                                                                            \
            body(__VA_ARGS__, CVS_F32);                                                                      \
        } else if ((dtype) == CVS_F64) {                                                                     \
            body(__VA_ARGS__, CVS_F64);                                                                      \
        } else {                                                                                             \
            body(__VA_ARGS__, (dtype));                                                                      \
        }                                                                                                    \
    } while (0)

static inline bool cvi_is_float(cvs_dtype type) {
    return type == CVS_F32 || type == CVS_F64 || type == CVS_F16 || type == CVS_BF16;
}
static inline bool cvi_is_integer(cvs_dtype type) {
    return type != CVS_NONE && type != CVS_BOOL && !cvi_is_float(type) && !cvi_is_small_float(type);
}

/* A sentence unless in[k] has a floating-point type. */
cvs_status cvi_want_float(const cvi_opctx *ctx, int k);
/* A sentence unless inputs first ... last, where present, have the type of input 0; 16-bit floats count as float32 where the
 * engine widens them. Loops read all of them as that type, so a file that mixes types must stop here. */
cvs_status cvi_want_alike(const cvi_opctx *ctx, int first, int last);
/* A sentence unless in[k] has at least `lowest` dimensions. */
cvs_status cvi_want_rank(const cvi_opctx *ctx, int k, int lowest);
/* A sentence unless the optional input k, where present, is a vector of n numbers. */
cvs_status cvi_want_vector(const cvi_opctx *ctx, int k, int64_t n);
/* The name of input k in the operator's table ("input" beyond it). */
const char *cvi_input_name(const cvi_opctx *ctx, int k);
/* Input k, or NULL when absent or beyond the node's inputs. */
static inline const cvs_tensor *cvi_in(const cvi_opctx *ctx, int k) {
    return k < ctx->n_in ? ctx->in[k] : NULL;
}
/* Output k is asked for. */
static inline bool cvi_has_out(const cvi_opctx *ctx, int k) {
    return k < ctx->n_out && ctx->out[k].dtype != CVS_NONE;
}
/* Product of dim[from..to), at least 1. The tensor's whole product was checked when it was made. */
static inline int64_t cvi_span(const cvs_tensor *t, int from, int to) {
    int64_t n = 1;
    for (int i = from; i < to; i++) {
        n *= t->dim[i];
    }
    return n;
}

#endif

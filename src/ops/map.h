/* SPDX-License-Identifier: MIT
 * map.h (internal) - operators that change each number by itself. A family file writes two expressions, the value and the
 * derivative, both of v in double; CVI_MAP makes the loops, map.c brings types, threads and the rules.
 */
#ifndef CVI_OPS_MAP_H
#define CVI_OPS_MAP_H

#include "kernels/kernels.h"
#include "ops/typed.h"

enum { CVI_MAP_BLOCK = 256 }; /* numbers handed to one call of a loop */

/* out[i] = f(x[i]) for n <= CVI_MAP_BLOCK numbers; p: the operator's parameters. */
typedef void (*cvi_map_loop)(const double *p, int64_t n, const double *x, double *out);

/* Makes name_value() and name_slope() from two expressions of v (and p[0], p[1]). */
#define CVI_MAP(name, value, slope)                                                                          \
    static void name##_value(const double *p, int64_t n, const double *x, double *out) {                     \
        (void)p;                                                                                             \
        for (int64_t i = 0; i < n; i++) {                                                                    \
            double v = x[i];                                                                                 \
            out[i] = (value);                                                                                \
        }                                                                                                    \
    }                                                                                                        \
    static void name##_slope(const double *p, int64_t n, const double *x, double *out) {                     \
        (void)p;                                                                                             \
        for (int64_t i = 0; i < n; i++) {                                                                    \
            double v = x[i];                                                                                 \
            out[i] = (slope);                                                                                \
        }                                                                                                    \
    }

#if defined(__GNUC__)
#define CVI_UNUSED __attribute__((unused))
#else
#define CVI_UNUSED
#endif

/* Makes name_forward(), name_backward() and name_back() over them; parameters are evaluated with ctx in sight. */
#define CVI_MAP_CALLS(name, rectifier, p0, p1)                                                               \
    static cvs_status name##_forward(cvi_opctx *ctx) {                                                       \
        return cvi_map_forward(ctx, name##_value, (const double[]){p0, p1});                                 \
    }                                                                                                        \
    static cvs_status name##_backward(cvi_opctx *ctx, cvi_rule rule, const cvs_tensor *const *grad_out,      \
                                      cvs_tensor *const *grad_in) {                                          \
        return cvi_map_backward(ctx, name##_slope, (const double[]){p0, p1},                                 \
                                (rectifier) ? rule : CVI_GRADIENT, grad_out, grad_in);                       \
    }                                                                                                        \
    CVI_UNUSED static cvs_status name##_back(cvi_opctx *ctx, const cvi_back *back) {                         \
        return cvi_map_back(ctx, name##_slope, (const double[]){p0, p1},                                     \
                            (rectifier) ? back->rule : CVI_GRADIENT, back);                                  \
    }

/* Makes name_fast() on a kernel. */
#define CVI_MAP_FAST(name, op, p0, p1)                                                                       \
    static cvs_status name##_fast(cvi_opctx *ctx) {                                                          \
        return cvi_map_fast(ctx, (op), (p0), (p1));                                                          \
    }

/* Output as input 0; floating-point numbers only, or any numbers. */
cvs_status cvi_map_infer(cvi_opctx *ctx);
cvs_status cvi_map_infer_any(cvi_opctx *ctx);
cvs_status cvi_map_forward(cvi_opctx *ctx, cvi_map_loop value, const double *p);
/* grad_in[0] += g * slope(x); under deconvnet max(g,0) alone, under guided max(g,0) * slope(x). */
cvs_status cvi_map_backward(cvi_opctx *ctx, cvi_map_loop slope, const double *p, cvi_rule rule,
                            const cvs_tensor *const *grad_out, cvs_tensor *const *grad_in);
/* The same as a fast backward, which reads x. */
bool cvi_map_back_form(const cvi_opctx *ctx, const bool *wants, cvi_back_form *form);
cvs_status cvi_map_back(cvi_opctx *ctx, cvi_map_loop slope, const double *p, cvi_rule rule,
                        const cvi_back *back);
/* Fast backward of straight pieces: slope 1 where low < y < high (NaN: no such limit), else `slope`. The form says that y is the
 * output; one that reads the input is cvi_map_back_form. */
bool cvi_gate_back_form(const cvi_opctx *ctx, const bool *wants, cvi_back_form *form);
cvs_status cvi_gate_back(cvi_opctx *ctx, const cvs_tensor *y, float low, float high, float slope,
                         cvi_rule rule, const cvi_back *back);
/* float32 in any layout. */
bool cvi_map_can_fast(const cvi_opctx *ctx);
cvs_status cvi_map_fast(cvi_opctx *ctx, cvi_unary_op op, double a, double b);
/* One operation a number. */
void cvi_map_cost(const cvi_opctx *ctx, cvi_cost *cost);

extern const cvi_op_io cvi_map_in[1], cvi_map_out[1];

/* How a tensor lies for the kernels: rows of `channels` numbers, `pitch` apart. Plain memory is one row. */
typedef struct cvi_rows {
    int64_t rows, channels, pitch;
} cvi_rows;
cvi_rows cvi_rows_of(const cvs_tensor *t);

/* Fields that every one-input activation shares. */
#define CVI_MAP_COMMON(name_)                                                                                \
    .inputs = cvi_map_in, .n_inputs = 1, .outputs = cvi_map_out, .n_outputs = 1,                             \
    .glyph = CVI_GLYPH_ACTIVATION, .forward = name_##_forward, .backward = name_##_backward,                 \
    .back_form = cvi_map_back_form, .back_fast = name_##_back, .can_fast = cvi_map_can_fast,                 \
    .fast_layout = CVS_NHWC8, .fast = name_##_fast, .cost = cvi_map_cost

#endif

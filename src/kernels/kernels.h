/* SPDX-License-Identifier: MIT
 * kernels.h (internal) - the fast loops: convolution, matrix product, pooling, element-wise maps, resizing,
 * layout. What src/ops and src/engine call; nothing here knows a graph.
 *
 * Conventions. All numbers are float32. x [N,C,H,W] "NHWC8" lies as [N][H][W][pitch] with pitch = C rounded
 * up to 8 unless a pitch is given; channels from C on are 0 in every input and are written as 0 in every
 * output. NHWC8 data is 32-byte aligned at best, any float alignment works. Nothing here allocates except
 * plans; scratch is the caller's, its size asked for. Every function that takes a pool splits its work into
 * chunks fixed by the shapes alone: the same bits on any number of threads. Shapes are trusted: callers
 * check sizes (cvi_conv_plan_new checks its own). The CPU level is chosen at run time; see cvi_kernels_get.
 */
#ifndef CVI_KERNELS_H
#define CVI_KERNELS_H

#include "base/base.h"

/* C channels rounded up to the 8 of NHWC8. */
#define CVI_PITCH(C) (((C) + 7) & ~(int64_t)7)

/* ---- CPU level (kernel_cpu.c) ----------------------------------------------------------------------
 * The best table this CPU can run; the environment variable CONVSCOPE_CPU=portable|avx2|avx512 chooses another
 * one (an unknown or impossible name is ignored). The struct is in kernel_table.h. */
typedef struct cvi_kernels cvi_kernels;
const cvi_kernels *cvi_kernels_get(void);
const char *cvi_kernels_name(const cvi_kernels *k); /* "portable", "avx2", "avx512" */

/* ---- convolution (kernel_conv*.c) ------------------------------------------------------------------
 * The relation between x [N,C,H,W] and y [N,K,OH,OW] through weights [K,C/groups,R,S] (plain, row-major):
 * y[n,k,oy,ox] = sum over c,r,s of x[n, c, oy*stride_h - pad_top + r*dilation_h, ...] * w[k,c,r,s].
 * Pads may be negative (cropping) and pad_bottom/right follow from OH, OW, so they are not read. */
typedef struct cvi_conv_shape {
    int64_t N, C, H, W;
    int64_t K, R, S;
    int64_t stride_h, stride_w;
    int64_t pad_top, pad_left, pad_bottom, pad_right;
    int64_t dilation_h, dilation_w;
    int64_t groups;
    int64_t OH, OW;
} cvi_conv_shape;

/* FORWARD: x -> y. TRANSPOSED: y -> x, which is both the gradient to the data and, with the same weight
 * memory, ONNX ConvTranspose (its input is the y side, its weight [K, C/groups, R, S]). */
typedef enum cvi_conv_kind { CVI_CONV_FORWARD, CVI_CONV_TRANSPOSED } cvi_conv_kind;

typedef enum cvi_conv_algorithm {
    CVI_CONV_AUTO,      /* by shape */
    CVI_CONV_DIRECT,    /* register blocks over lists of taps; every shape (1x1 is a matrix product) */
    CVI_CONV_DEPTHWISE, /* groups == C == K */
    CVI_CONV_WINOGRAD2, /* F(2x2,3x3): 3x3, stride 1, dilation 1, groups 1 */
    CVI_CONV_WINOGRAD4  /* F(4x4,3x3): the same; loses about one decimal digit */
} cvi_conv_algorithm;

typedef struct cvi_conv_options {
    bool exact;                   /* never Winograd */
    cvi_conv_algorithm algorithm; /* AUTO, or a wish: ignored where it does not fit the shape */
} cvi_conv_options;

/* What a limit or rectifier y = f(x) does to a gradient: the signal where lo < y < hi (y NULL: everywhere; a limit that is NaN is
 * none), slope * signal elsewhere; the signal is g, or, positive, max(g, 0). */
typedef struct cvi_gate {
    float lo, hi, slope;
    bool positive;
} cvi_gate;

/* One run. Pitches are floats between neighbouring pixels, 0 = channels rounded up to 8; a pitch larger than
 * that writes into (or reads) a slice of a wider tensor, whose first channel is a multiple of 8. `in`/`out`
 * are x/y for FORWARD and y/x for TRANSPOSED. out = clamp(conv + bias + residual). */
typedef struct cvi_conv_io {
    const float *in;
    int64_t in_pitch;
    float *out; /* may not overlap in */
    int64_t out_pitch;
    const float *bias;     /* one per output channel, or NULL */
    const float *residual; /* shape and pitch of out (may be out itself: accumulate), or NULL */
    bool clamp;            /* limit to [lo,hi]; NaN stays NaN */
    float lo, hi;
    const cvi_gate
        *gate; /* or NULL: out = gate(out) by gate_y [shape and pitch of out], NULL = only the sign */
    const float *gate_y;
    void *scratch; /* cvi_conv_scratch_bytes(), 16-byte aligned; not shared by concurrent runs */
} cvi_conv_io;

/* A plan: algorithm and packed weights for one shape. Immutable while running, so any number of runs (each
 * with its own scratch) may use it at once. Errors: CVS_E_SHAPE, CVS_E_MEMORY. */
typedef struct cvi_conv_plan cvi_conv_plan;
cvs_status cvi_conv_plan_new(const cvi_conv_shape *shape, cvi_conv_kind kind, const cvi_conv_options *options,
                             cvi_conv_plan **out, cvs_error *err); /* options NULL = defaults */
void cvi_conv_plan_free(cvi_conv_plan *plan);                      /* NULL allowed */
cvi_conv_algorithm cvi_conv_plan_algorithm(const cvi_conv_plan *plan);
/* Packs weights [K,C/groups,R,S] into memory the plan owns; again after the weights changed. */
cvs_status cvi_conv_pack(cvi_conv_plan *plan, cvi_pool *pool, const float *weights, cvs_error *err);
int64_t cvi_conv_packed_bytes(const cvi_conv_plan *plan);
bool cvi_conv_packed(const cvi_conv_plan *plan); /* weights are there */
/* Uses `owner`'s packed weights (which must outlive the plan) for another size of input: true if the two
 * plans agree in everything but N, H, W, OH, OW and, when FORWARD, pads. Lets rectangles of a map be
 * computed without packing again. */
bool cvi_conv_borrow(cvi_conv_plan *plan, const cvi_conv_plan *owner);
int64_t cvi_conv_scratch_bytes(const cvi_conv_plan *plan, int threads);
void cvi_conv_run(const cvi_conv_plan *plan, cvi_pool *pool, const cvi_conv_io *io);

/* By rows, for work that goes through several layers band by band: output row y reads the input rows from y*step + first on, `count` of
 * them, as far as they exist. by_rows: whether the plan can. run_rows computes the output rows [y0,y1) of one picture on the calling
 * thread, as number `worker` of those that share io->scratch; io->in and io->out are where row 0 of that picture would be: rows
 * that are not read or written need no memory. */
typedef struct cvi_rows_read {
    int64_t step, first, count;
} cvi_rows_read;
bool cvi_conv_by_rows(const cvi_conv_plan *plan, cvi_rows_read *reads);
void cvi_conv_run_rows(const cvi_conv_plan *plan, const cvi_conv_io *io, int64_t y0, int64_t y1, int worker);

/* Gradient to the weights: dw [K,C/groups,R,S] plain = (accumulate ? dw : 0) + sum over n, oy, ox. x and dy are
 * NHWC8 (pitch 0 as above). */
int64_t cvi_conv_dw_scratch_bytes(const cvi_conv_shape *shape, int threads);
void cvi_conv_dw(const cvi_conv_shape *shape, cvi_pool *pool, const float *x, int64_t x_pitch,
                 const float *dy, int64_t dy_pitch, float *dw, bool accumulate, void *scratch);
/* Gradient to a bias: db[c] = (accumulate ? db : 0) + sum over rows of dy [rows][pitch]. */
void cvi_channel_sum(cvi_pool *pool, int64_t rows, int64_t C, int64_t pitch, const float *dy, float *db,
                     bool accumulate);

/* ---- matrix product (kernel_gemm.c) ----------------------------------------------------------------
 * Row-major: C [M,N] = alpha * op(A) op(B) + beta * C; op(A) is [M,K], op(B) is [K,N]; with ta A is stored
 * [K,M], with tb B is stored [N,K]. ld* are floats between stored rows. C may not overlap A or B; with
 * beta == 0 C is not read. M == 1 reads B once, in place (a dense layer for one picture). bias [N] (or NULL)
 * is added to every row. */
typedef struct cvi_gemm_args {
    bool ta, tb;
    int64_t M, N, K;
    float alpha;
    const float *A;
    int64_t lda;
    const float *B;
    int64_t ldb;
    float beta;
    float *C;
    int64_t ldc;
    const float *bias;
    void *scratch; /* cvi_gemm_scratch_bytes(threads), 16-byte aligned */
} cvi_gemm_args;
int64_t cvi_gemm_scratch_bytes(int threads);
void cvi_gemm(cvi_pool *pool, const cvi_gemm_args *args);

/* ---- pooling (kernel_pooling.c), NHWC8 in and out ---------------------------------------------------
 * OH, OW are the caller's (floor, ceil or SAME rule). A window without any valid element gives 0. */
typedef struct cvi_pool_shape {
    int64_t N, C, H, W;
    int64_t R, S, stride_h, stride_w, pad_top, pad_left, pad_bottom, pad_right, dilation_h, dilation_w;
    int64_t OH, OW;
} cvi_pool_shape;
/* argmax (or NULL) gets the winner of every output as y*W+x, in the memory order of `out` (int32 NHWC8, padding
 * channels 0, -1 where the window is empty): the first maximum in row-major order; a NaN wins, the first
 * NaN first. */
void cvi_maxpool(cvi_pool *pool, const cvi_pool_shape *s, const float *in, float *out, int32_t *argmax);
/* Output rows [y0,y1) of one picture on the calling thread; in and out as in cvi_conv_run_rows. */
void cvi_maxpool_rows(const cvi_pool_shape *s, const float *in, float *out, int64_t y0, int64_t y1);
/* Mean over the elements inside the picture, or, count_pad, over the window clipped to the padded picture. */
void cvi_avgpool(cvi_pool *pool, const cvi_pool_shape *s, bool count_pad, const float *in, float *out);
/* x [N,C,pixels] NHWC8 -> y [N,C,1,1] NHWC8, i.e. N rows of CVI_PITCH(C): mean, or maximum. */
void cvi_global_avgpool(cvi_pool *pool, int64_t N, int64_t C, int64_t pixels, const float *in, float *out);
void cvi_global_maxpool(cvi_pool *pool, int64_t N, int64_t C, int64_t pixels, const float *in, float *out);

/* ---- gradients that write all of their result, added to `base` (or NULL: to nothing; it may be the result itself) ----------
 * Of pools (kernel_pool_back.c), NHWC8: a maximum pool sends what a window received to its winner, found again from x and y
 * (windows of at most CVI_POOL_ROUTED elements), and then through a limit before it (gate and gate_y as in cvi_conv_io, or NULL); an average pool spreads it. */
enum { CVI_POOL_ROUTED = 256 };
void cvi_maxpool_route(cvi_pool *pool, const cvi_pool_shape *s, const float *x, const float *y,
                       const float *dy, const float *base, const cvi_gate *gate, const float *gate_y,
                       float *dx);
void cvi_avgpool_spread(cvi_pool *pool, const cvi_pool_shape *s, bool count_pad, const float *dy,
                        const float *base, float *dx);
/* dy [N,C,1,1] -> dx [N,C,pixels], NHWC8; scratch: CVI_PITCH(C) floats. */
void cvi_global_avgpool_backward(cvi_pool *pool, int64_t N, int64_t C, int64_t pixels, const float *dy,
                                 const float *base, float *dx, float *scratch);
/* Of element-wise functions (kernel_back.c), n numbers in any order. dx = base + gate(g). */
void cvi_gate_backward(cvi_pool *pool, const cvi_gate *gate, int64_t n, const float *g, const float *y,
                       const float *base, float *dx);
/* out = base + x * y. */
void cvi_multiply_add(cvi_pool *pool, int64_t n, const float *x, const float *y, const float *base,
                      float *out);
/* dx = base + g * scale[c] on rows of C numbers `pitch` apart; padding is written as 0. */
void cvi_scale_backward(cvi_pool *pool, int64_t rows, int64_t C, int64_t pitch, const float *g,
                        const float *scale, const float *base, float *dx);
/* out[c] = base[c] + sum over rows of x * y, all `pitch` (a multiple of 8) numbers of a row. */
void cvi_channel_dot(cvi_pool *pool, int64_t rows, int64_t pitch, const float *x, const float *y,
                     const float *base, float *out);
/* out [N] = base + alpha * a [K] B [K,N]: the gradient to the input of a dense layer for one picture. B is read once, in place;
 * its rows under a 0 of a are not read at all. scratch: cvi_row_product_scratch() bytes. */
int64_t cvi_row_product_scratch(int64_t K, int64_t N);
void cvi_row_product(cvi_pool *pool, int64_t K, int64_t N, float alpha, const float *a, const float *B,
                     int64_t ldb, const float *base, float *out, void *scratch);

/* ---- from gradients to weights (kernel_update.c), on the calling thread ----------------------------------
 * Every operation is rounded by itself and in this order, so that every level gives the same bits, those of the plain loop.
 * out = x[0] + x[1] + ... + x[count - 1], from the left, n numbers each, count >= 1; out may be x[0]. */
void cvi_sum_listed(int64_t count, int64_t n, const float *const *x, float *out);
/* Adam (Kingma and Ba 2015), Keras's and PyTorch's: d = g + decay w; m = beta1 m + new1 d; v = beta2 v + new2 d d; top = max(v, top);
 * w = left w - rate m / (sqrt(top) / root + epsilon). top NULL: v in its place (with it: amsgrad, Reddi et al. 2018). */
typedef struct cvi_adam {
    float beta1, new1, beta2, new2, decay, left, rate, root, epsilon;
} cvi_adam;
void cvi_adam_step(const cvi_adam *a, int64_t n, float *w, const float *g, float *m, float *v, float *top);

/* ---- element-wise (kernel_map.c) -------------------------------------------------------------------
 * On rows of C numbers that lie `pitch` apart; numbers from C to pitch are written as 0. NHWC8: rows = N*H*W,
 * pitch = CVI_PITCH(C). Plain memory: rows = 1, C = pitch = count. In place is allowed. Accuracy of the
 * vector functions against the exact value: exp 1 ulp, sigmoid 3, tanh 3, log 2, erf and gelu absolute 3e-7 of the
 * result's scale; measured by the unit test. Infinities and NaN as libm. */
typedef enum cvi_unary_op {
    CVI_U_COPY,
    CVI_U_RELU,
    CVI_U_CLAMP,     /* [a,b] */
    CVI_U_LEAKY,     /* x<0: a*x */
    CVI_U_ELU,       /* x<0: a*(exp(x)-1) */
    CVI_U_SELU,      /* b*(x<0: a*(exp(x)-1)) */
    CVI_U_CELU,      /* x<0: a*(exp(x/a)-1) */
    CVI_U_THRESHOLD, /* ThresholdedRelu: x>a ? x : 0 */
    CVI_U_SIGMOID,
    CVI_U_HARDSIGMOID, /* clamp(a*x+b, 0, 1) */
    CVI_U_HARDSWISH,   /* x*clamp(x/6+0.5, 0, 1) */
    CVI_U_SILU,        /* x*sigmoid(a*x), a = 1 for SiLU/Swish */
    CVI_U_TANH,
    CVI_U_SOFTPLUS,
    CVI_U_SOFTSIGN,
    CVI_U_MISH,
    CVI_U_GELU,      /* x*0.5*(1+erf(x/sqrt 2)) */
    CVI_U_GELU_TANH, /* the tanh approximation */
    CVI_U_ERF,
    CVI_U_EXP,
    CVI_U_LOG,
    CVI_U_SQRT,
    CVI_U_RSQRT, /* 1/sqrt(x), exact division */
    CVI_U_RECIPROCAL,
    CVI_U_ABS,
    CVI_U_NEG,
    CVI_U_SQUARE,
    CVI_U_LINEAR, /* a*x+b */
    CVI_N_UNARY
} cvi_unary_op;
void cvi_unary(cvi_pool *pool, cvi_unary_op op, float a, float b, int64_t rows, int64_t C, int64_t pitch,
               const float *x, float *y);

typedef enum cvi_binary_op {
    CVI_B_ADD,
    CVI_B_SUB,
    CVI_B_MUL,
    CVI_B_DIV, /* padding channels stay 0 */
    CVI_B_MAX, /* NaN if either is NaN */
    CVI_B_MIN,
    CVI_N_BINARY
} cvi_binary_op;
/* z = x op y, both of the same shape; or y one number per channel [C] (per_channel); relu: z = max(z, 0). */
void cvi_binary(cvi_pool *pool, cvi_binary_op op, bool per_channel, bool relu, int64_t rows, int64_t C,
                int64_t pitch, const float *x, const float *y, float *z);
/* y = x*scale[c] + shift[c]: batch normalisation at inference, PReLU's parts, ... shift may be NULL. */
void cvi_affine(cvi_pool *pool, bool relu, int64_t rows, int64_t C, int64_t pitch, const float *x,
                const float *scale, const float *shift, float *y);
/* y = x<0 ? slope[c]*x : x */
void cvi_prelu(cvi_pool *pool, int64_t rows, int64_t C, int64_t pitch, const float *x, const float *slope,
               float *y);
/* Softmax (or its logarithm) along each row of C numbers; the maximum is subtracted first. */
void cvi_softmax(cvi_pool *pool, bool logarithm, int64_t rows, int64_t C, int64_t pitch, const float *x,
                 float *y);

/* ---- layout and resampling (kernel_layout.c) ------------------------------------------------------- */
/* x [N,C,pixels] plain <-> NHWC8. */
void cvi_to_nhwc8(cvi_pool *pool, int64_t N, int64_t C, int64_t pixels, const float *plain, float *nhwc8);
void cvi_from_nhwc8(cvi_pool *pool, int64_t N, int64_t C, int64_t pixels, const float *nhwc8, float *plain);
/* Copies channels [from, from+count) of every row to [to, to+count) of another tensor's rows (concat, slice,
 * split, channel pads). Touches no other channel: clear the padding of `out` once with cvi_pad_channels. */
void cvi_copy_channels(cvi_pool *pool, int64_t rows, int64_t count, const float *in, int64_t in_pitch,
                       int64_t from, float *out, int64_t out_pitch, int64_t to);
void cvi_pad_channels(cvi_pool *pool, int64_t rows, int64_t C, int64_t pitch, float *x);
/* Resizing with two taps per axis: out row i = (1-wy[i])*in row y0[i] + wy[i]*in row y1[i], the same for columns.
 * The caller makes the tables (any coordinate rule; nearest: w = 0), so this serves every ONNX mode but cubic. */
typedef struct cvi_resize_axis {
    const int32_t *i0, *i1; /* [out length] source indices */
    const float *w;         /* [out length] weight of i1 */
} cvi_resize_axis;
void cvi_resize(cvi_pool *pool, int64_t N, int64_t C, int64_t H, int64_t W, int64_t OH, int64_t OW,
                const cvi_resize_axis *rows, const cvi_resize_axis *columns, const float *in, float *out);

#endif

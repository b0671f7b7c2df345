/* SPDX-License-Identifier: MIT
 * tf.h (internal) - TensorFlow's operations as graph nodes, for all readers of that family: GraphDef, SavedModel, TensorFlow.js
 * graph models, TFLite. The readers know files and names of operations; the meaning is here, once.
 *
 * TensorFlow counts axes as [N,H,W,C], the graph as [N,C,H,W]. So a tensor may exist in two forms: form 0 has the file's own axes,
 * form 1 ("moved") has the last axis at place 1. A missing form is made by a hidden Transpose where it is needed. The value that
 * bears the tensor's name is form `moved`; a moved one is marked CVI_FILE_LAST, so that .npy files keep the file's axes.
 * Axes in these calls are always the file's own. Constants are kept apart from the graph until something reads them, already turned.
 *
 * Failure is sticky (graph/build.h).
 */
#ifndef CVI_TF_H
#define CVI_TF_H

#include "formats/reader.h"
#include "formats/value_shapes.h"
#include "graph/build.h"

/* A list of tensors, known while reading (tf_nodes_loop.c). */
typedef struct cvi_tf_list cvi_tf_list;

typedef struct cvi_tf_tensor {
    const char *name; /* in the file; names constants */
    int form[2];      /* graph values, -1 = not made */
    int rank;         /* -1 unknown */
    bool moved;       /* which form bears the name */
    bool exact;       /* its numbers (once worked out) hold for every batch */
    int64_t
        block[2]; /* cut into blocks that lie along the batch (dilated convolutions of old files); 0: not */
    int64_t block_pads[4];   /* zeros put around it before: top, left, bottom, right */
    bool joined;             /* was worked on as if it had never been cut */
    const cvi_tf_list *list; /* or NULL; then it has no form */
    cvs_tensor constant;     /* dtype CVS_NONE: no constant. Own axes; data borrowed */
} cvi_tf_tensor;

typedef struct cvi_tf {
    cvi_build b;
    cvi_shapes shapes;
    const char *name; /* of the result that is being made */
    const char *type; /* the file's word for the operation, for errors */
    bool
        free_sides; /* an input leaves more than the batch free: sizes along pictures are not known while reading */
    bool first;         /* channels come first in this file: nothing is moved */
    const char *domain; /* of operators that only open and draw: "tflite", "tf" */
    int64_t *boxes;     /* how many of those there are */
} cvi_tf;

/* ---- tf_build.c: forms, constants, shapes ---- */
/* Sets up t for a model that has a graph. */
void cvi_tf_begin(cvi_tf *t, cvs_model *model, const char *domain, cvs_error *err);
cvi_tf_tensor cvi_tf_none(void);
/* A constant of the file; data borrowed, own axes. */
cvi_tf_tensor cvi_tf_constant(const char *name, const cvs_tensor *tensor);
/* A value that was made in a form. */
cvi_tf_tensor cvi_tf_value(cvi_tf *t, int value, int rank, bool moved);
/* An input of the model. dim: own axes, -1 = free. An image (rank 4, 5) is moved. */
cvi_tf_tensor cvi_tf_input(cvi_tf *t, const char *name, cvs_dtype dtype, int rank, const int64_t *dim);
/* The graph value in a form; either form, whichever is there; either form when both have the same order of elements, else form 0. */
int cvi_tf_form(cvi_tf *t, cvi_tf_tensor *x, bool moved);
int cvi_tf_any(cvi_tf *t, cvi_tf_tensor *x);
int cvi_tf_any_order(cvi_tf *t, cvi_tf_tensor *x);
/* A constant or computed tensor in the form of images of rank `rank`, so that it broadcasts there as it does with its own axes. */
int cvi_tf_aligned(cvi_tf *t, cvi_tf_tensor *x, int rank);
/* The axes permuted, then seen as another shape (out_rank 0: as permuted; -1 in out_dim: computed). For kernels. */
int cvi_tf_weight(cvi_tf *t, cvi_tf_tensor *x, const char *part, const int *perm, int out_rank,
                  const int64_t *out_dim);
bool cvi_tf_is_constant(const cvi_tf_tensor *x);
/* Whether x should be worked on in the moved form: an image that is there in it. */
bool cvi_tf_is_moved(const cvi_tf_tensor *x);
/* Own dimensions (a free batch counts as 1; a free side is -1); false: not known. */
bool cvi_tf_dims(cvi_tf *t, cvi_tf_tensor *x, int64_t *dim);
cvs_dtype cvi_tf_dtype(cvi_tf *t, cvi_tf_tensor *x);
/* Numbers in own axes, or NULL when they are not known before a run. */
const cvs_tensor *cvi_tf_numbers(cvi_tf *t, cvi_tf_tensor *x);
/* Up to max whole numbers; answers how many, -1: not known or more. */
int cvi_tf_ints(cvi_tf *t, cvi_tf_tensor *x, int max, int64_t *out);
/* A result all of whose inputs are constants becomes one itself. */
void cvi_tf_fold(cvi_tf *t, cvi_tf_tensor *x);
/* own axis (may be negative) -> place in that form; a failure where there is no such axis. */
int cvi_tf_axis(cvi_tf *t, const cvi_tf_tensor *x, int64_t axis, bool moved);
void cvi_tf_permutation(int rank, bool to_moved, int64_t *perm);
/* "<name>/<part>". */
const char *cvi_tf_part(cvi_tf *t, const char *part);
/* A node under the tensor's name, or hidden under name/part. */
int cvi_tf_op(cvi_tf *t, const char *op, const char *part, int n, const int *in);
/* An operation that only opens and draws; `why` becomes its note (translated), or NULL. */
void cvi_tf_box(cvi_tf *t, int n, cvi_tf_tensor *const *in, int n_out, cvi_tf_tensor *out, const char *why);
/* Nodes that no output needs are taken out; then the graph is finished. */
cvs_status cvi_tf_finish(cvi_tf *t);

/* ---- tf_window.c: convolutions and pools ---- */
typedef enum cvi_tf_padding { CVI_TF_VALID, CVI_TF_SAME, CVI_TF_EXPLICIT } cvi_tf_padding;
typedef struct cvi_tf_window {
    int n;                                     /* axes: 1 to 3 */
    int64_t kernel[3], stride[3], dilation[3]; /* kernel: pools only */
    cvi_tf_padding padding;
    int64_t pads[6]; /* begin..., end..., where explicit */
    bool first;      /* channels are at place 1 of the file's own axes */
} cvi_tf_window;
/* How a kernel lies. */
typedef enum cvi_tf_kernel {
    CVI_TF_HWIO,   /* [k..., I, O] */
    CVI_TF_OHWI,   /* [O, k..., I] (TFLite) */
    CVI_TF_HWIM,   /* [k..., C, m], depthwise */
    CVI_TF_1HWC,   /* [1, k..., C*m], depthwise (TFLite) */
    CVI_TF_T_HWOI, /* [k..., O, I], transposed */
    CVI_TF_T_OHWI  /* [O, k..., I], transposed (TFLite) */
} cvi_tf_kernel;
/* bias may be NULL. */
cvi_tf_tensor cvi_tf_conv(cvi_tf *t, cvi_tf_tensor *x, cvi_tf_tensor *kernel, cvi_tf_kernel form,
                          cvi_tf_tensor *bias, const cvi_tf_window *w);
/* out_dim: the result's own dimensions. */
cvi_tf_tensor cvi_tf_conv_transpose(cvi_tf *t, cvi_tf_tensor *x, cvi_tf_tensor *kernel, cvi_tf_kernel form,
                                    cvi_tf_tensor *bias, const cvi_tf_window *w, const int64_t *out_dim);
cvi_tf_tensor cvi_tf_pool(cvi_tf *t, cvi_tf_tensor *x, const char *op, const cvi_tf_window *w);
cvi_tf_tensor cvi_tf_batch_norm(cvi_tf *t, cvi_tf_tensor *const x[5], double epsilon, bool first);
cvi_tf_tensor cvi_tf_lrn(cvi_tf *t, cvi_tf_tensor *x, int64_t radius, double bias, double alpha, double beta);
/* [.., in] times [in, out] or, transposed, [out, in]. */
cvi_tf_tensor cvi_tf_dense(cvi_tf *t, cvi_tf_tensor *x, cvi_tf_tensor *weight, bool transposed,
                           cvi_tf_tensor *bias);
cvi_tf_tensor cvi_tf_matmul(cvi_tf *t, cvi_tf_tensor *a, cvi_tf_tensor *b, bool turn_a, bool turn_b);

/* ---- tf_map.c: number by number ---- */
cvi_tf_tensor cvi_tf_map(cvi_tf *t, const char *op, int n, cvi_tf_tensor *const *in);
/* The same with one number as the other operand. */
cvi_tf_tensor cvi_tf_map_number(cvi_tf *t, const char *op, cvi_tf_tensor *x, double number);
cvi_tf_tensor cvi_tf_clip(cvi_tf *t, cvi_tf_tensor *x, double low, double high);
cvi_tf_tensor cvi_tf_with_float(cvi_tf *t, const char *op, cvi_tf_tensor *x, const char *attr, double v);
cvi_tf_tensor cvi_tf_cast(cvi_tf *t, cvi_tf_tensor *x, cvs_dtype to);
cvi_tf_tensor cvi_tf_prelu(cvi_tf *t, cvi_tf_tensor *x, cvi_tf_tensor *slope);
/* Adds a vector along the channels (the last axis, or axis 1). */
cvi_tf_tensor cvi_tf_bias(cvi_tf *t, cvi_tf_tensor *x, cvi_tf_tensor *bias, bool first);
/* An activation by TensorFlow's name (Relu, Relu6, ...); false: unknown, nothing made. The result bears t->name. */
bool cvi_tf_activation(cvi_tf *t, cvi_tf_tensor *x, const char *name, double alpha, cvi_tf_tensor *out);
cvi_tf_tensor cvi_tf_reduce(cvi_tf *t, const char *op, cvi_tf_tensor *x, int n, const int64_t *axes,
                            bool keep);
cvi_tf_tensor cvi_tf_along(cvi_tf *t, const char *op, cvi_tf_tensor *x, int64_t axis);
cvi_tf_tensor cvi_tf_arg(cvi_tf *t, const char *op, cvi_tf_tensor *x, int64_t axis, cvs_dtype to);
/* x rounded as numbers of that integer type with one scale are: y = clamp(round(x/scale) + zero) back as real numbers. */
cvi_tf_tensor cvi_tf_round_to(cvi_tf *t, cvi_tf_tensor *x, double scale, int64_t zero, cvs_dtype type);
cvi_tf_tensor cvi_tf_quantize(cvi_tf *t, cvi_tf_tensor *x, double scale, int64_t zero, cvs_dtype type);
cvi_tf_tensor cvi_tf_dequantize(cvi_tf *t, cvi_tf_tensor *x, double scale, int64_t zero);

/* ---- tf_shape.c: moving numbers ---- */
/* dim: own axes, -1 = computed; the batch is kept free where dim[0] is the input's. */
cvi_tf_tensor cvi_tf_reshape(cvi_tf *t, cvi_tf_tensor *x, int rank, const int64_t *dim);
/* The same where the shape is computed while running. */
cvi_tf_tensor cvi_tf_reshape_to(cvi_tf *t, cvi_tf_tensor *x, cvi_tf_tensor *shape);
cvi_tf_tensor cvi_tf_identity(cvi_tf *t, cvi_tf_tensor *x);
cvi_tf_tensor cvi_tf_transpose(cvi_tf *t, cvi_tf_tensor *x, const int64_t *perm);
cvi_tf_tensor cvi_tf_concat(cvi_tf *t, int n, cvi_tf_tensor *const *in, int64_t axis);
cvi_tf_tensor cvi_tf_pack(cvi_tf *t, int n, cvi_tf_tensor *const *in, int64_t axis);
void cvi_tf_split(cvi_tf *t, cvi_tf_tensor *x, int64_t axis, int n, const int64_t *sizes, bool squeeze,
                  const char *const *names, cvi_tf_tensor *out);
/* pads: [begin, end] for each own axis. mode: constant, reflect. */
cvi_tf_tensor cvi_tf_pad(cvi_tf *t, cvi_tf_tensor *x, const int64_t *pads, const char *mode, double value);
/* begin, end, step for each own axis, as numpy takes them. */
cvi_tf_tensor cvi_tf_slice(cvi_tf *t, cvi_tf_tensor *x, const int64_t *begin, const int64_t *end,
                           const int64_t *step);
typedef struct cvi_tf_strided {
    int n;
    int64_t begin[16], end[16], step[16];
    int64_t begin_mask, end_mask, ellipsis_mask, new_axis_mask, shrink_mask;
} cvi_tf_strided;
cvi_tf_tensor cvi_tf_strided_slice(cvi_tf *t, cvi_tf_tensor *x, const cvi_tf_strided *s);
cvi_tf_tensor cvi_tf_expand_dims(cvi_tf *t, cvi_tf_tensor *x, int64_t axis);
/* n 0: all axes of size 1. */
cvi_tf_tensor cvi_tf_squeeze(cvi_tf *t, cvi_tf_tensor *x, int n, const int64_t *axes);
cvi_tf_tensor cvi_tf_tile(cvi_tf *t, cvi_tf_tensor *x, int n, const int64_t *times);
cvi_tf_tensor cvi_tf_gather(cvi_tf *t, cvi_tf_tensor *x, cvi_tf_tensor *at, int64_t axis);
cvi_tf_tensor cvi_tf_shape_of(cvi_tf *t, cvi_tf_tensor *x, cvs_dtype type);
typedef enum cvi_tf_pixels { CVI_TF_PIXEL_CORNER, CVI_TF_PIXEL_CENTRE, CVI_TF_PIXEL_ALIGNED } cvi_tf_pixels;
cvi_tf_tensor cvi_tf_resize(cvi_tf *t, cvi_tf_tensor *x, const char *mode, const int64_t size[2],
                            cvi_tf_pixels where);
/* The same to a size that is computed while running. */
cvi_tf_tensor cvi_tf_resize_to(cvi_tf *t, cvi_tf_tensor *x, const char *mode, cvi_tf_tensor *size,
                               cvi_tf_pixels where);
/* Cutting a picture into a batch of sparse ones, convolving, joining: a dilated convolution. Only that is understood. */
cvi_tf_tensor cvi_tf_space_to_batch(cvi_tf *t, const cvi_tf_tensor *x, const int64_t block[2],
                                    const int64_t pads[4]);
cvi_tf_tensor cvi_tf_batch_to_space(cvi_tf *t, cvi_tf_tensor *x, const int64_t block[2],
                                    const int64_t crops[4]);
/* DepthToSpace, SpaceToDepth. */
cvi_tf_tensor cvi_tf_blocks(cvi_tf *t, const char *op, cvi_tf_tensor *x, int64_t block);

#endif

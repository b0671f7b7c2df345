/* SPDX-License-Identifier: MIT
 * ncnn.h (internal) - what the files ncnn_*.c share: a .param, text or binary, with its .bin becomes a graph.
 *
 * ncnn's blobs have no batch: its axis k is the graph's k + 1. Shapes follow from the Input layer, or, where that is silent, from the first
 * kernel's size and a stand-in for the sides. A layer with one blob out gives it its name; numbered settings are ncnn's.
 */
#ifndef CVI_NCNN_H
#define CVI_NCNN_H

#include "formats/value_shapes.h"
#include "formats/reader.h"

enum { NCNN_MAX_ID = 40 };

/* A setting: a number, or an array (n >= 0). */
typedef struct ncnn_setting {
    bool given;
    double value;
    int n; /* of an array; -1: one number */
    const double *list;
    const char *text; /* an expression of sizes, or NULL */
} ncnn_setting;

typedef struct ncnn_layer {
    const char *type, *name;
    int line; /* 0: of a binary file */
    int n_in, n_out;
    const char **in, **out;
    ncnn_setting setting[NCNN_MAX_ID];
} ncnn_layer;

typedef struct ncnn_param {
    ncnn_layer *layer;
    int n;
    int line_left; /* the first line behind the layers that are announced; 0: none */
} ncnn_param;

typedef struct ncnn_blob {
    const char *name;
    int value; /* -1: not made */
    bool read;
} ncnn_blob;

/* Rows and columns of a picture whose input does not tell them. */
typedef struct ncnn_sides {
    int64_t height, width;
    bool fixed;  /* the network takes no other */
    bool strict; /* a layer that does not fit is a failure */
} ncnn_sides;

typedef struct ncnn {
    cvi_build b;
    cvi_shapes shapes;
    const ncnn_param *param;
    const ncnn_layer *layer; /* being built */
    const uint8_t *data;     /* the numbers; NULL: none */
    size_t size, at;
    ncnn_blob *blob; /* open addressing by name */
    int capacity;
    int *in; /* values of the layer's inputs */
    ncnn_sides sides;
    int boxes;  /* layers that are drawn only */
    bool whole; /* the numbers taken last are bytes, to be divided by a scale */
    const char *refused;
} ncnn;

typedef struct ncnn_kind {
    const char *name;
    void (*make)(ncnn *m);
    const char *op; /* for makers of several operations */
} ncnn_kind;
const ncnn_kind *cvi_ncnn_kind(const char *name);

/* ---- ncnn_quantized.c ---- */
/* Weights [out, ...] and bias (-1: none) of a layer that computes in integers where setting `term` is not 0: the scales behind them are
 * taken, and x becomes as coarse as ncnn makes it. */
typedef struct ncnn_kernel {
    int x, weight, bias;
} ncnn_kernel;
ncnn_kernel cvi_ncnn_kernel(ncnn *m, int x, int rank, const int64_t *dim, bool bias, int term);
/* Its result, where it goes on as integers. */
int cvi_ncnn_requantize(ncnn *m, int value, int term);

/* ---- ncnn_attention.c, ncnn_simple.c, ncnn_size.c: small moves (parts are hidden; NULL: the layer's own) and makers ---- */
int cvi_ncnn_reshape(ncnn *m, const char *part, int x, int n, const int64_t *dim);
int cvi_ncnn_transpose(ncnn *m, const char *part, int x, int n, const int64_t *perm);
int cvi_ncnn_unsqueeze(ncnn *m, const char *part, int x, int n, const int64_t *axes);
/* x and a number, which is the constant "<layer>/<number>". */
int cvi_ncnn_with(ncnn *m, const char *op, const char *part, int x, const char *number, double v);
/* The numbers of an expression of sizes, how many; -1: not of a known form, not known, or more than `most`. */
int cvi_ncnn_sizes(ncnn *m, const char *text, int64_t *out, int most);
/* Pools the last `axes` axes to these sizes. */
void cvi_ncnn_adaptive(ncnn *m, bool average, int axes, const int64_t *wanted);
void cvi_ncnn_attention(ncnn *m);
void cvi_ncnn_bias(ncnn *m);
void cvi_ncnn_celu(ncnn *m);
void cvi_ncnn_cumulative(ncnn *m);
void cvi_ncnn_deconvolution_1d(ncnn *m);
void cvi_ncnn_deformable(ncnn *m);
void cvi_ncnn_einsum(ncnn *m);
void cvi_ncnn_embed(ncnn *m);
void cvi_ncnn_exp_log(ncnn *m);
void cvi_ncnn_flip(ncnn *m);
void cvi_ncnn_fold(ncnn *m);
void cvi_ncnn_gemm(ncnn *m);
void cvi_ncnn_glu(ncnn *m);
void cvi_ncnn_grid_sample(ncnn *m);
void cvi_ncnn_matmul(ncnn *m);
void cvi_ncnn_mvn(ncnn *m);
void cvi_ncnn_pooling_1d(ncnn *m);
void cvi_ncnn_reorg(ncnn *m);
void cvi_ncnn_reshape_layer(ncnn *m);
void cvi_ncnn_sdpa(ncnn *m);
void cvi_ncnn_shrink(ncnn *m);
void cvi_ncnn_statistics(ncnn *m);
void cvi_ncnn_threshold(ncnn *m);
void cvi_ncnn_tile(ncnn *m);
void cvi_ncnn_unfold(ncnn *m);

/* ---- ncnn_more.c: makers of the table in ncnn_layers.c ---- */
void cvi_ncnn_convolution_1d(ncnn *m);
void cvi_ncnn_crop(ncnn *m);
void cvi_ncnn_gelu(ncnn *m);
void cvi_ncnn_group_norm(ncnn *m);
void cvi_ncnn_layer_norm(ncnn *m);
void cvi_ncnn_lrn(ncnn *m);
void cvi_ncnn_memory(ncnn *m);
void cvi_ncnn_normalize(ncnn *m);
void cvi_ncnn_power(ncnn *m);
void cvi_ncnn_reduction(ncnn *m);
void cvi_ncnn_squeeze(ncnn *m);

/* ---- ncnn_text.c ---- */
cvs_status cvi_ncnn_parse(cvi_arena *a, const char *text, size_t size, const cvs_limits *limits,
                          ncnn_param *out, cvs_error *err);
int64_t cvi_ncnn_int(ncnn *m, int id, int64_t otherwise);
double cvi_ncnn_float(const ncnn *m, int id, double otherwise);

/* ---- ncnn_binary.c ---- */
bool cvi_ncnn_is_type(const char *type); /* one of ncnn's own layers */
bool cvi_ncnn_is_binary(const uint8_t *data, size_t size);
cvs_status cvi_ncnn_parse_binary(cvi_arena *a, const uint8_t *data, size_t size, const cvs_limits *limits,
                                 ncnn_param *out, cvs_error *err);

/* ---- ncnn_build.c ---- */
cvs_status cvi_ncnn_build(cvs_model *model, const ncnn_param *param, const uint8_t *data, size_t size,
                          cvs_error *err);
/* The same with sides for inputs that tell none; *boxes: layers that became boxes. */
cvs_status cvi_ncnn_build_sized(cvs_model *model, const ncnn_param *param, const uint8_t *data, size_t size,
                                const ncnn_sides *sides, int *boxes, cvs_error *err);

/* ---- ncnn_input.c ---- */
void cvi_ncnn_input(ncnn *m); /* the layer Input */
/* Sides at which the layers fit together. */
cvs_status cvi_ncnn_find_sides(const cvi_open *open, const ncnn_param *param, ncnn_sides *out);

/* ---- ncnn_detect.c ---- */
void cvi_ncnn_prior_box(ncnn *m);
void cvi_ncnn_detection_output(ncnn *m);
void cvi_ncnn_yolo_output(ncnn *m);

/* ---- ncnn_recurrent.c ---- */
void cvi_ncnn_recurrent(ncnn *m);

/* ---- ncnn_build.c: numbers and nodes ---- */
/* The next numbers of the .bin as float32, and a constant of the layer from such. */
cvs_tensor cvi_ncnn_numbers(ncnn *m, bool tagged, int rank, const int64_t *dim);
int cvi_ncnn_constant(ncnn *m, const char *part, const cvs_tensor *t);
/* Both: the next n numbers of the .bin as float32 constant of that shape; tagged: they begin with a word that says how they are stored. */
int cvi_ncnn_take(ncnn *m, const char *part, bool tagged, int rank, const int64_t *dim);
/* The same with the first two axes of every group swapped (kernels of deconvolutions: [out, in/group, h, w] to [in, out/group, h, w]). */
int cvi_ncnn_take_swapped(ncnn *m, const char *part, int64_t groups, int rank, const int64_t *dim);
int cvi_ncnn_op(ncnn *m, const char *op, const char *part, int n, const int *in);
const char *cvi_ncnn_name(ncnn *m, const char *part);
void cvi_ncnn_put(ncnn *m, int k, int value);
/* Rank of the graph's value (the batch counts), -1 unknown; a dimension, batch 1, -1 unknown. */
int cvi_ncnn_rank(ncnn *m, int value);
int64_t cvi_ncnn_dim(ncnn *m, int value, int axis);
/* Applies the activation that a layer carries in settings 9 and 10; the result bears its name. */
int cvi_ncnn_activate(ncnn *m, int value);
bool cvi_ncnn_has_activation(ncnn *m);
/* The value as [N,C,1,1] when it is [N,C]. */
int cvi_ncnn_as_image(ncnn *m, int value);

#endif

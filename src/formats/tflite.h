/* SPDX-License-Identifier: MIT
 * tflite.h (internal) - what the files tflite_*.c share. A quantised tensor is, in the graph, the real numbers that its integers stand
 * for, rounded as they are (convscope::Requantize); only inputs and outputs of the model are integers as the file has them.
 */
#ifndef CVI_TFLITE_H
#define CVI_TFLITE_H

#include "formats/flatbuffer.h"
#include "formats/tf.h"

typedef struct tflite_tensor {
    const char *name;
    int type; /* the file's number */
    cvs_dtype dtype;
    int rank;
    int64_t dim[CVS_MAX_RANK];
    int64_t buffer;
    cvi_fb_vector scale, zero; /* n 0: not quantised */
    int64_t axis;              /* of the scales */
    bool variable;             /* kept from run to run */
    cvi_fb_table sparsity;     /* at 0: dense */
    int handle;                /* which variable it stands for, from 1; 0: none */
    bool is_output, made;
    cvi_tf_tensor value;
} tflite_tensor;

typedef struct tflite_op tflite_op;
typedef struct tflite_variable tflite_variable;

typedef struct tflite {
    cvi_tf t;
    cvi_fb f;
    cvi_fb_vector buffers, codes;
    tflite_tensor *tensor;
    int64_t n_tensors, n_graphs;
    tflite_variable *variables; /* tflite_variables.c */
    int n_variables, n_starts;
    bool is_start; /* the subgraph that gives variables their first numbers */
    bool remembers;
    /* the operation being built */
    cvi_fb_table op, options;
    cvi_fb_vector inputs, outputs;
    const tflite_op *kind;
    const char *refused; /* why it becomes a box */
} tflite;

struct tflite_op {
    int code;
    const char *name;
    void (*make)(tflite *m);
    int activation; /* field of its options that holds a fused activation; -1: none */
    bool moves;     /* moves numbers: the output is rounded as the input is, so not again */
};
/* NULL: unknown. */
const tflite_op *cvi_tflite_op(int64_t code);
/* The same for a custom operation. */
const tflite_op *cvi_tflite_custom(const char *name);

/* ---- tflite_file.c ---- */
/* Reads lists of tensors and codes of a subgraph; returns the table of the subgraph. */
cvi_fb_table cvi_tflite_lists(tflite *m, int64_t subgraph);
/* The tensor of the model with that number as a graph tensor, constants made when first asked for; NULL: absent or not made. */
cvi_tf_tensor *cvi_tflite_value(tflite *m, int64_t index);
bool cvi_tflite_is_quantised(const tflite_tensor *x);
double cvi_tflite_scale(const tflite *m, const tflite_tensor *x);
int64_t cvi_tflite_zero(const tflite *m, const tflite_tensor *x);

/* ---- tflite_sparse.c ---- */
/* The bytes of a sparse tensor with its zeros, in the arena, and how many they are; NULL: damaged or not read, the build's status is set. */
const uint8_t *cvi_tflite_dense(tflite *m, const tflite_tensor *x, const uint8_t *bytes, int64_t *size);

/* ---- tflite_build.c ---- */
int cvi_tflite_n_inputs(const tflite *m);
/* Input k of the operation, NULL when absent. */
cvi_tf_tensor *cvi_tflite_in(tflite *m, int k);
/* Whole numbers of input k; answers how many, -1: absent or not known. */
int cvi_tflite_ints(tflite *m, int k, int max, int64_t *out);
/* A field of the options. */
int64_t cvi_tflite_option(tflite *m, int field, int bytes, int64_t otherwise);
double cvi_tflite_option_float(tflite *m, int field, double otherwise);
const tflite_tensor *cvi_tflite_out(const tflite *m, int k);
/* Hands output k on; the fused activation and the rounding follow. */
void cvi_tflite_put(tflite *m, int k, cvi_tf_tensor value);
/* Builds all operations of the subgraph in the file's order. */
void cvi_tflite_operations(tflite *m, const cvi_fb_table *subgraph);
/* The same, and inputs and outputs. */
void cvi_tflite_build(tflite *m, const cvi_fb_table *subgraph);

/* ---- tflite_metadata.c ---- */
/* Takes class names and preprocessing from the file's metadata and the archive behind it; after the graph is built. What is damaged
 * there becomes a note of the model. */
cvs_status cvi_tflite_metadata(tflite *m);

#endif

/* SPDX-License-Identifier: MIT
 * keras_write.h (internal to the writer of Keras JSON) - what its two halves share: keras_write.c writes the file, keras_write_layers.c
 * says each operator as a layer.
 *
 * Keras keeps channels last. A value of four axes that is [N,C,H,W] here is written as [N,H,W,C] there ("turned"); one whose axes already lie
 * in Keras's order (behind a Transpose of a converter, and everything of two axes) is "as it lies". Permute layers go between the two.
 */
#ifndef CVI_KERAS_WRITE_H
#define CVI_KERAS_WRITE_H

#include "formats/value_shapes.h"

typedef struct keras_value {
    const char *layer; /* whose output it is; NULL: none (constants, shape arithmetic) */
    const char *other; /* the same value in the other order, once a Permute made it; NULL: not yet */
    bool turned;       /* the layer's output is the value with channels last */
    bool positive;     /* never below zero: padding with zeros does a maximum no harm */
} keras_value;

typedef struct keras_writing {
    const cvs_model *model;
    const cvi_graph *g;
    cvi_build b; /* around a model of its own: memory of the shapes and names */
    cvi_shapes shapes;
    bool fixed;          /* no input leaves its height or width free */
    keras_value *value;  /* per value of the graph */
    bool *done;          /* per node: an earlier one was written with it */
    json_t *names;       /* names that are taken */
    cvi_buf layers;      /* JSON of the layers, commas between */
    cvi_buf manifest;    /* JSON of the weights, commas between */
    cvi_buf data;        /* their numbers */
    const cvi_node *now; /* being written */
    const char *label;   /* the name of its layer */
    cvs_error *err;
} keras_writing;

/* Writes one layer: fmt is the rest of its settings (", \"units\": 3"). inputs: layer names. Answers the layer's name (arena). */
const char *cvi_keras_put_layer(keras_writing *w, const char *class_name, const char *label, int n,
                                const char *const *inputs, const char *fmt, ...) CVI_PRINTF(6, 7);
/* Room for a weight of the layer put last; to fill, NULL after a failure. */
float *cvi_keras_put_weight(keras_writing *w, const char *layer, const char *name, int rank,
                            const int64_t *dim);
/* The layer that holds a value with channels last, or as it lies; Permutes where it must. NULL after a failure. */
const char *cvi_keras_turned(keras_writing *w, int v);
const char *cvi_keras_lying(keras_writing *w, int v);
/* Shape of a value here, NULL: unknown; a constant's numbers where it is a float32 one with data. */
const cvs_tensor *cvi_keras_dims(keras_writing *w, int v);
const cvs_tensor *cvi_keras_floats(keras_writing *w, int v);
/* Says that no Keras layer means this node. */
void cvi_keras_refuse(keras_writing *w, const char *why);
/* The value that the node being written makes is that layer's output. */
void cvi_keras_give(keras_writing *w, const char *layer, bool turned, bool positive);

/* Length of axis i, -1 where there is none; input i of a node, -1 where it is left out. */
static inline int64_t cvi_keras_dim(const cvs_tensor *t, int i) {
    return t && i >= 0 && i < t->rank ? t->dim[i] : -1;
}
static inline int cvi_keras_input(const cvi_node *node, int i) {
    return i < node->n_in ? node->in[i] : -1;
}

/* keras_write_conv.c: operators with weights or windows. */
void cvi_keras_put_conv(keras_writing *w, const cvi_node *node);
void cvi_keras_put_transposed(keras_writing *w, const cvi_node *node);
void cvi_keras_put_dense_layer(keras_writing *w, const cvi_node *node);
void cvi_keras_put_norm(keras_writing *w, const cvi_node *node);
void cvi_keras_put_prelu(keras_writing *w, const cvi_node *node);
void cvi_keras_put_pool(keras_writing *w, const cvi_node *node);
/* Writes the node. */
void cvi_keras_put_node(keras_writing *w, const cvi_node *node);

#endif

/* SPDX-License-Identifier: MIT
 * keras_lambda.h (internal) - what keras_lambda.c and keras_functions.c share: a function that Keras applies to tensors without a layer, on
 * its way to being one of TensorFlow's operations.
 */
#ifndef CVI_KERAS_LAMBDA_H
#define CVI_KERAS_LAMBDA_H

#include "formats/keras.h"
#include "formats/tf_nodes.h"

enum { LAMBDA_OPERANDS = 64, LAMBDA_ATTRS = 8 };

typedef struct lambda {
    cvi_keras *k;
    const json_t *args, *words; /* of the call; Keras 2 has no args */
    cvi_tf_tensor operand[LAMBDA_OPERANDS];
    int n, n_given; /* operands; how many of the call's tensors they took */
    tf_net net;
    tf_node node;
    tf_attr attr[LAMBDA_ATTRS];
} lambda;

typedef struct lambda_row lambda_row;
struct lambda_row {
    const char *name, *op;
    bool (*make)(lambda *l, const lambda_row *r);
};
/* NULL: no function of that name is known. */
const lambda_row *cvi_lambda_function(const char *name);

/* What numbers in the file are wrapped in; a number or nested lists of them as a constant (false: it is neither); whole numbers as one. */
const json_t *cvi_lambda_unwrap(const json_t *v);
bool cvi_lambda_constant(lambda *l, const json_t *v, cvs_dtype type, cvi_tf_tensor *out);
cvi_tf_tensor cvi_lambda_ints(lambda *l, const char *part, int rank, int64_t n, const int64_t *v);
cvi_tf_tensor cvi_lambda_whole(lambda *l, const char *part, int64_t v);
/* A setting by keyword, in the layer or the call, or by its place in the call; NULL: absent or null. */
const json_t *cvi_lambda_setting(const lambda *l, const char *key, const char *other, size_t place);
bool cvi_lambda_truth(const lambda *l, const char *key, const char *other);
int64_t cvi_lambda_number_or(const json_t *v, int64_t otherwise);
/* A whole number or a list of them; -1: neither, or more than max. null in a list counts as `none`. */
int cvi_lambda_list_of(const json_t *v, int max, int64_t none, int64_t *out);
/* Attributes of the operation that the next emit makes. */
void cvi_lambda_add_int(lambda *l, const char *name, int64_t v);
void cvi_lambda_add_text(lambda *l, const char *name, const char *v);
void cvi_lambda_add_list(lambda *l, const char *name, int n, const int64_t *v);
/* Runs TensorFlow's operation; its outputs are then net.out. As a hidden step on the way: the result is *out. False: not in this form. */
bool cvi_lambda_emit(lambda *l, const char *op, int n, cvi_tf_tensor *const *in);
bool cvi_lambda_between(lambda *l, const char *part, const char *op, int n, cvi_tf_tensor *const *in,
                        cvi_tf_tensor *out);

#endif

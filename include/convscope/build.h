/* SPDX-License-Identifier: MIT
 * build.h - a network layer by layer in code, compiled and fitted as with Keras:
 *
 *     cvs_net *net = cvs_net_new(3, 32, 32);
 *     cvs_net_conv2d(net, 32, 3, "relu");
 *     cvs_net_max_pooling2d(net, 2);
 *     cvs_net_flatten(net);
 *     cvs_net_dense(net, 10, NULL);
 *     cvs_net_compile(net, "adam", "cross_entropy");
 *     cvs_net_fit(net, "cifar10:DIR", 10, "run", NULL, &result, &err);
 *     cvs_net_free(net);
 *
 * A network in code is a text of the language (docs/language.md) that is written for you: cvs_net_add takes any words of it, and
 * the folder of a fit holds it as recipe.net. What is wrong (a layer that does not fit, no memory) is said by compile's model, fit or
 * model, with the layer's line. One thread at a time.
 */
#ifndef CONVSCOPE_BUILD_H
#define CONVSCOPE_BUILD_H

#include "train.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct cvs_net cvs_net;

/* A network for pictures [channels, height, width]; NULL when out of memory. Owned, cvs_net_free (NULL allowed). */
cvs_net *cvs_net_new(int channels, int height, int width);
/* A network to train further: any model file that opens. It has no layers to add; cvs_net_train_with(net, "head data") gives it a new last
 * layer for the data's classes, "freeze body" leaves all others as they are, and what a Keras file says about its training holds
 * unless compile says otherwise. The path is copied; NULL when out of memory. */
cvs_net *cvs_net_from(const char *model);
void cvs_net_free(cvs_net *net);

/* activation: relu, leaky, elu, selu, gelu, silu, mish, sigmoid, tanh, softplus, softmax, ... of the language; NULL = none. */
void cvs_net_conv2d(cvs_net *net, int filters, int kernel, const char *activation);
/* strides, and padding "same" (as many rows and columns as before, divided by the stride) or "valid". */
void cvs_net_conv2d_with(cvs_net *net, int filters, int kernel, int strides, const char *padding,
                         const char *activation);
void cvs_net_depthwise_conv2d(cvs_net *net, int kernel, const char *activation);
void cvs_net_max_pooling2d(cvs_net *net, int size);
void cvs_net_average_pooling2d(cvs_net *net, int size);
void cvs_net_global_average_pooling2d(cvs_net *net);
void cvs_net_flatten(cvs_net *net);
void cvs_net_dense(cvs_net *net, int units, const char *activation);
void cvs_net_batch_normalization(cvs_net *net);
void cvs_net_layer_normalization(cvs_net *net);
void cvs_net_group_normalization(cvs_net *net, int groups);
void cvs_net_dropout(cvs_net *net, double rate);
void cvs_net_spatial_dropout2d(cvs_net *net, double rate);
void cvs_net_activation(cvs_net *net, const char *activation);
/* Any statements of the language: "residual { conv 64 k3 bn relu conv 64 k3 bn }", "from a,b concat"; printf's format. */
void cvs_net_add(cvs_net *net, const char *fmt, ...);

/* Optimiser and loss by name, with settings as in a recipe: "adam lr=0.002", "cross_entropy smoothing=0.1"; NULL = adam, cross_entropy. */
void cvs_net_compile(cvs_net *net, const char *optimizer, const char *loss);
/* One statement more of the training block: "schedule cosine", "augment shift=4 flip", "stop patience=3". */
void cvs_net_train_with(cvs_net *net, const char *statement);
/* The text so far, borrowed until the next call; NULL when out of memory. */
const char *cvs_net_text(cvs_net *net);

/* Trains on a data set (a spec of data.h) into folder `run` and keeps the result in the net: best.onnx when it is there. options and
 * result may be NULL; epochs 0 = the options'. */
cvs_status cvs_net_fit(cvs_net *net, const char *data, int epochs, const char *run,
                       const cvs_train_options *options, cvs_train_result *result, cvs_error *err);
/* The network as a model: after a fit with what it learned, before with first weights. Borrowed from the net until the next fit. */
cvs_status cvs_net_model(cvs_net *net, const cvs_model **out, cvs_error *err);

#ifdef __cplusplus
}
#endif
#endif

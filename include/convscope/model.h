/* SPDX-License-Identifier: MIT
 * model.h - open a model file, ask what it is, write it in another format.
 */
#ifndef CONVSCOPE_MODEL_H
#define CONVSCOPE_MODEL_H

#include "data.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A loaded model; immutable after opening, may be shared by threads. */
typedef struct cvs_model cvs_model;

typedef struct cvs_open_options {
    cvs_limits limits;
    cvs_lang lang;
    const char *weights; /* a second file with the weights, or NULL */
    const char *arch;    /* a file with the architecture when `path` has only weights, or NULL */
    const char *
        classes; /* file with one class name a line, "imagenet" (its 1,000 names), or NULL (classes.txt or labels.txt beside the model is read) */
    const cvs_preprocess *preprocess; /* instead of what the model or its side file says, or NULL */
    bool init;                        /* a model without weights gets random ones, from init_seed */
    uint64_t init_seed;
    bool keep_types; /* do not widen 16-bit floats to float32 (for conformance tests) */
    int64_t height,
        width; /* pictures of this size where the file does not say one (TorchScript); 0: usual ones are tried */
    const char *signature; /* which of a SavedModel's signatures, or NULL: the usual one */
} cvs_open_options;

/* Opens a model by content: a file, or a folder that holds one. *out is owned, cvs_model_free. options may be NULL. */
cvs_status cvs_model_open(const char *path, const cvs_open_options *options, cvs_model **out, cvs_error *err);
/* The same from memory (copied); `name` is for messages. */
cvs_status cvs_model_open_memory(const void *data, size_t size, const char *name,
                                 const cvs_open_options *options, cvs_model **out, cvs_error *err);
void cvs_model_free(cvs_model *model);

/* What it is; strings borrowed from the model. */
typedef struct cvs_model_info {
    const char *path, *name, *format, *producer;
    bool has_weights, widened, channels_last;
    bool random_weights; /* the file has none, options asked for random ones */
    bool
        size_guessed; /* it takes one size of picture, which the file does not say; another may do (options: height, width) */
    int n_inputs, n_outputs, n_nodes, n_layers, n_classes, n_notes;
    const char *const *classes;
    const char *classes_from; /* NULL: no names known */
    const char *const *notes;
    const cvs_preprocess *preprocess;
    int64_t file_bytes;
} cvs_model_info;
void cvs_model_describe(const cvs_model *model, cvs_model_info *out);

/* A guess for models whose file names no classes: what class `index` of `classes` is called if the model was trained on ImageNet (1,000
 * classes, or 1,001 with a background before them). English, from WordNet. false: another number of classes. */
bool cvs_imagenet_name(int64_t classes, int64_t index, char *name, size_t size);

/* Input or output i: name (borrowed) and shape in the graph's own order; -1 where it is free. */
typedef struct cvs_port {
    const char *name;
    cvs_dtype dtype;
    int rank;
    int64_t dim[CVS_MAX_RANK];
    bool channels_last; /* .npy in and out has channels last */
} cvs_port;
cvs_status cvs_model_input(const cvs_model *model, int i, cvs_port *out, cvs_error *err);
cvs_status cvs_model_output(const cvs_model *model, int i, cvs_port *out, cvs_error *err);

/* Finds a layer by name, index, "last-conv", "first-conv" or "first-pool"; *layer counts as in run.h. An unknown one: the error lists near names. */
cvs_status cvs_model_find_layer(const cvs_model *model, const char *text, int *layer, cvs_error *err);

/* Writes the model in the format that the suffix of `path` names (.onnx, ...), atomically. */
cvs_status cvs_model_write(const cvs_model *model, const char *path, cvs_error *err);

#ifdef __cplusplus
}
#endif
#endif

/* SPDX-License-Identifier: MIT
 * keras.h (internal) - what the files keras_*.c and tfjs.c share: a Keras architecture (JSON) with weights from
 * somewhere becomes a graph with ONNX meaning.
 *
 * Keras counts axes as [N,H,W,C], the graph as [N,C,H,W]. So every tensor of the Keras model may exist in two forms:
 * form 0 has Keras's own axes, form 1 has the last axis moved to place 1. The missing form is made by a hidden
 * Transpose where a layer needs it. The value that bears the layer's name is form `moved`; a moved one is marked
 * CVI_FILE_LAST, so that .npy files keep Keras's axes. In channels_first models nothing is moved.
 *
 * Names: a layer's name is its value after a fused activation; the value before it is "<layer>/linear", a separable
 * convolution's first half is "<layer>/depthwise". Helpers that hold no weights are hidden.
 *
 * Failure is sticky: after k->b.status is set, every helper does nothing and answers -1.
 */
#ifndef CVI_KERAS_H
#define CVI_KERAS_H

#include "formats/reader.h"
#include "formats/value_shapes.h"

typedef struct cvi_keras cvi_keras;
typedef struct cvi_keras_layer cvi_keras_layer;
typedef struct cvi_keras_net cvi_keras_net;
typedef struct cvi_keras_source cvi_keras_source;

typedef struct cvi_keras_tensor {
    int form[2]; /* graph values, -1 = not made */
    int rank;
    bool moved; /* which form bears the name */
} cvi_keras_tensor;

/* One stored weight. */
typedef struct cvi_keras_weight {
    const char *group; /* h5: name of the top layer that it belongs to; tfjs: NULL */
    const char *name;  /* full name in the file */
    int64_t place;     /* for load() */
    bool used;
} cvi_keras_weight;

/* The weights of one group, consecutive in the list. */
typedef struct cvi_keras_group {
    const char *
        name; /* of the layer; in the order of Keras 3 ("by path") with the models around it: "outer/inner" */
    const char *counted; /* by path only: the same by class and number, "functional/conv2d_1" */
    int64_t first, n;
} cvi_keras_group;

/* Where weights come from. load() gives the tensor of weight w: owned, or borrowed from a file that the model keeps. */
struct cvi_keras_source {
    cvi_keras_weight *weight; /* in file order */
    int64_t n;
    cvi_keras_group *group; /* in file order; n_groups 0: no groups, weights are found by name */
    int64_t n_groups;
    const cvi_keras_group **by_name; /* groups sorted by name, or by counted name */
    bool by_path;                    /* every layer of a nested model has its own group (Keras 3) */
    cvs_status (*load)(cvi_keras_source *s, const cvi_keras_weight *w, cvs_tensor *out, cvs_error *err);
    void *context;
    int64_t searched; /* names compared so far, bounded */
};

enum { KERAS_MAX_SLOTS = 8, KERAS_MAX_CALLS = 200000 };

/* Makes the graph of one call of a layer: n inputs, one output. */
typedef void (*cvi_keras_make)(cvi_keras *k, cvi_keras_tensor *const *in, int n, cvi_keras_tensor *out);

typedef struct cvi_keras_class {
    const char *name;
    cvi_keras_make make;
    bool weighted; /* has weights in the file */
} cvi_keras_class;

struct cvi_keras_layer {
    const char *name, *class_name;
    const char *path;           /* with the names of the models around it, "outer/inner" */
    const cvi_keras_layer *top; /* the layer of the whole model that contains it, or itself */
    const json_t *json, *config;
    const cvi_keras_class *kind;  /* NULL: unknown class */
    cvi_keras_net *net;           /* a nested model */
    const cvi_keras_group *group; /* of the top layer, once weights are assigned */
    int calls;
    int n_slots;
    int slot[KERAS_MAX_SLOTS]; /* constants made at the first call, shared by all */
};

struct cvi_keras {
    cvi_build b;
    cvi_keras_source *source; /* NULL: no weights */
    bool keep_types;
    int version;            /* of Keras: 1, 2, 3 */
    bool theano;            /* kernels of convolutions are stored rotated */
    bool first;             /* channels_first unless a layer says otherwise */
    cvi_keras_layer *layer; /* being built */
    const json_t *call;     /* its call in a functional model's inbound_nodes, or NULL */
    const char *name;       /* of its value */
    int slot;               /* next weight of the layer */
    int calls;
    cvi_keras_tensor *more; /* what a layer gives besides its first output: set by its maker, or NULL */
    int n_more;
    cvi_shapes shapes; /* for weights that are not stored */
};

/* ---- keras_conv.c ---- */
/* How many spatial dimensions the layer's class has: the digit in its name (Conv2D: 2). */
int cvi_keras_spatial(const cvi_keras *k);
/* False, with the build's error set, where the layer's input is not of that rank. */
bool cvi_keras_check_rank(cvi_keras *k, const cvi_keras_tensor *t, int rank);

/* ---- keras_build.c: values, nodes, weights ---- */
/* "<name>/<part>", in the arena. */
const char *cvi_keras_part(cvi_keras *k, const char *part);
/* A node with one output; attributes follow by calls of build.h. */
int cvi_keras_op(cvi_keras *k, const char *op, const char *name, bool hidden, int n, const int *in);
int cvi_keras_const_ints(cvi_keras *k, const char *part, int n, const int64_t *v);
int cvi_keras_const_float(cvi_keras *k, const char *part, double v);
int cvi_keras_const_floats(cvi_keras *k, const char *part, int rank, const int64_t *dim, const float *v);
/* The value of a tensor in a form (made if need be); the named one; an axis of Keras in that form. */
int cvi_keras_form(cvi_keras *k, cvi_keras_tensor *t, bool moved);
int cvi_keras_value(const cvi_keras_tensor *t);
int cvi_keras_axis(cvi_keras *k, const cvi_keras_tensor *t, int64_t axis);
cvi_keras_tensor cvi_keras_out(cvi_keras *k, int value, int rank, bool moved);
/* Hands the hidden value v (Keras's axes) on under the layer's name, moved if images of this model are. */
cvi_keras_tensor cvi_keras_settle(cvi_keras *k, int v, int rank);
/* Whether images of this rank are moved under the layer's data_format. */
bool cvi_keras_last(const cvi_keras *k);
/* Dimension of an axis (Keras's) of a tensor, or -1. */
int64_t cvi_keras_dim(cvi_keras *k, cvi_keras_tensor *t, int64_t axis);

/* The layer's next weight as a constant: `dim` as stored (-1 = any, must be known when no weights are stored);
 * stored axes are permuted by `perm` (NULL: kept), flipped along the first `flip` axes first, then seen as out_dim. */
typedef struct cvi_keras_want {
    const char *name;
    int rank;
    int64_t dim[CVS_MAX_RANK];
    const int *perm;
    int flip;
    int out_rank;                  /* 0: as permuted */
    int64_t out_dim[CVS_MAX_RANK]; /* -1: one dimension is computed */
} cvi_keras_want;
int cvi_keras_take(cvi_keras *k, const cvi_keras_want *want);
/* Fails unless all stored weights of the layer were taken. */
void cvi_keras_all_taken(cvi_keras *k);
/* Marks weights of the layer that are not needed. */
void cvi_keras_skip_rest(cvi_keras *k);
/* A constant of n equal numbers. */
int cvi_keras_fill(cvi_keras *k, const char *part, int64_t n, float v);

/* ---- keras_config.c: settings of the layer being built ---- */
const json_t *cvi_keras_get(const cvi_keras *k, const char *key, const char *old_key);
int64_t cvi_keras_get_int(const cvi_keras *k, const char *key, const char *old_key, int64_t otherwise);
double cvi_keras_get_number(const cvi_keras *k, const char *key, const char *old_key, double otherwise);
bool cvi_keras_get_bool(const cvi_keras *k, const char *key, const char *old_key, bool otherwise);
const char *cvi_keras_get_string(const cvi_keras *k, const char *key, const char *old_key,
                                 const char *otherwise);
/* n numbers >= 1, given as one number or a list. Fails otherwise. */
void cvi_keras_get_sizes(cvi_keras *k, const json_t *v, const char *key, int n, int64_t otherwise,
                         int64_t *out);
/* "setting ... is not understood": a form that is not run (the layer opens and is drawn), or one that no Keras writes (the file is refused). */
void cvi_keras_bad(cvi_keras *k, const char *key);
void cvi_keras_wrong(cvi_keras *k, const char *key);

/* ---- layers ---- */
const cvi_keras_class *cvi_keras_find_class(const char *name);
/* Applies an activation given as in a config (string, object or null) to t; the result bears the layer's name. */
void cvi_keras_activate(cvi_keras *k, cvi_keras_tensor *t, const json_t *activation, cvi_keras_tensor *out);
bool cvi_keras_has_activation(const cvi_keras *k);
/* A node that only opens and draws. */
void cvi_keras_opaque(cvi_keras *k, cvi_keras_tensor *const *in, int n, cvi_keras_tensor *out);

void cvi_keras_conv(cvi_keras *k, cvi_keras_tensor *const *in, int n, cvi_keras_tensor *out);
void cvi_keras_depthwise(cvi_keras *k, cvi_keras_tensor *const *in, int n, cvi_keras_tensor *out);
void cvi_keras_separable(cvi_keras *k, cvi_keras_tensor *const *in, int n, cvi_keras_tensor *out);
void cvi_keras_transposed(cvi_keras *k, cvi_keras_tensor *const *in, int n, cvi_keras_tensor *out);
void cvi_keras_dense(cvi_keras *k, cvi_keras_tensor *const *in, int n, cvi_keras_tensor *out);
void cvi_keras_pool(cvi_keras *k, cvi_keras_tensor *const *in, int n, cvi_keras_tensor *out);
void cvi_keras_global_pool(cvi_keras *k, cvi_keras_tensor *const *in, int n, cvi_keras_tensor *out);
void cvi_keras_batch_norm(cvi_keras *k, cvi_keras_tensor *const *in, int n, cvi_keras_tensor *out);
void cvi_keras_layer_norm(cvi_keras *k, cvi_keras_tensor *const *in, int n, cvi_keras_tensor *out);
void cvi_keras_group_norm(cvi_keras *k, cvi_keras_tensor *const *in, int n, cvi_keras_tensor *out);
void cvi_keras_layer_scale(cvi_keras *k, cvi_keras_tensor *const *in, int n, cvi_keras_tensor *out);
void cvi_keras_normalization(cvi_keras *k, cvi_keras_tensor *const *in, int n, cvi_keras_tensor *out);
void cvi_keras_rescaling(cvi_keras *k, cvi_keras_tensor *const *in, int n, cvi_keras_tensor *out);
void cvi_keras_prelu(cvi_keras *k, cvi_keras_tensor *const *in, int n, cvi_keras_tensor *out);
void cvi_keras_activation(cvi_keras *k, cvi_keras_tensor *const *in, int n, cvi_keras_tensor *out);
void cvi_keras_activation_class(cvi_keras *k, cvi_keras_tensor *const *in, int n, cvi_keras_tensor *out);
void cvi_keras_identity(cvi_keras *k, cvi_keras_tensor *const *in, int n, cvi_keras_tensor *out);
void cvi_keras_dropout(cvi_keras *k, cvi_keras_tensor *const *in, int n, cvi_keras_tensor *out);
void cvi_keras_flatten(cvi_keras *k, cvi_keras_tensor *const *in, int n, cvi_keras_tensor *out);
void cvi_keras_reshape(cvi_keras *k, cvi_keras_tensor *const *in, int n, cvi_keras_tensor *out);
void cvi_keras_permute(cvi_keras *k, cvi_keras_tensor *const *in, int n, cvi_keras_tensor *out);
void cvi_keras_zero_pad(cvi_keras *k, cvi_keras_tensor *const *in, int n, cvi_keras_tensor *out);
void cvi_keras_crop(cvi_keras *k, cvi_keras_tensor *const *in, int n, cvi_keras_tensor *out);
void cvi_keras_upsample(cvi_keras *k, cvi_keras_tensor *const *in, int n, cvi_keras_tensor *out);
void cvi_keras_resizing(cvi_keras *k, cvi_keras_tensor *const *in, int n, cvi_keras_tensor *out);
void cvi_keras_repeat_vector(cvi_keras *k, cvi_keras_tensor *const *in, int n, cvi_keras_tensor *out);
void cvi_keras_embedding(cvi_keras *k, cvi_keras_tensor *const *in, int n, cvi_keras_tensor *out);
void cvi_keras_center_crop(cvi_keras *k, cvi_keras_tensor *const *in, int n, cvi_keras_tensor *out);
void cvi_keras_unit_norm(cvi_keras *k, cvi_keras_tensor *const *in, int n, cvi_keras_tensor *out);
void cvi_keras_rms_norm(cvi_keras *k, cvi_keras_tensor *const *in, int n, cvi_keras_tensor *out);
void cvi_keras_einsum_dense(cvi_keras *k, cvi_keras_tensor *const *in, int n, cvi_keras_tensor *out);
void cvi_keras_rnn(cvi_keras *k, cvi_keras_tensor *const *in, int n, cvi_keras_tensor *out);
void cvi_keras_merge(cvi_keras *k, cvi_keras_tensor *const *in, int n, cvi_keras_tensor *out);
void cvi_keras_recurrent(cvi_keras *k, cvi_keras_tensor *const *in, int n, cvi_keras_tensor *out);
void cvi_keras_bidirectional(cvi_keras *k, cvi_keras_tensor *const *in, int n, cvi_keras_tensor *out);
/* An arithmetic operation that was applied to tensors without a layer (x + 3, tf.nn.relu); others become opaque. */
void cvi_keras_operation(cvi_keras *k, cvi_keras_tensor *const *in, int n, cvi_keras_tensor *out);
/* The same for a function that is one of TensorFlow's operations (keras_lambda.c); false: it is none, nothing was made. */
bool cvi_keras_lambda(cvi_keras *k, cvi_keras_tensor *const *in, int n, cvi_keras_tensor *out);
/* An input times a kernel (a value with that rank, in its own axes) as TensorFlow's Einsum has it; false: not in this form. */
bool cvi_keras_einsum(cvi_keras *k, const char *equation, cvi_keras_tensor *x, int kernel, int rank,
                      cvi_keras_tensor *out);
/* Whether the call has the form of an operation, add(x, y), and not of a layer, Add([x, y]). */
bool cvi_keras_is_operation(const cvi_keras *k);
/* Applies the activation of that name (any spelling); false: there is none. */
bool cvi_keras_activate_named(cvi_keras *k, cvi_keras_tensor *t, const char *what, const json_t *config,
                              cvi_keras_tensor *out);
void cvi_keras_multi_head(cvi_keras *k, cvi_keras_tensor *const *in, int n, cvi_keras_tensor *out);
void cvi_keras_attention(cvi_keras *k, cvi_keras_tensor *const *in, int n, cvi_keras_tensor *out);
void cvi_keras_dot(cvi_keras *k, cvi_keras_tensor *const *in, int n, cvi_keras_tensor *out);
void cvi_keras_spectral(cvi_keras *k, cvi_keras_tensor *const *in, int n, cvi_keras_tensor *out);
void cvi_keras_time_distributed(cvi_keras *k, cvi_keras_tensor *const *in, int n, cvi_keras_tensor *out);

/* ---- keras_train.c ---- */
/* How the model was compiled as a recipe, model->recipe, unless it has one: `compiled` is compile_config or training_config, or NULL. */
cvs_status cvi_keras_read_training(cvs_model *model, const json_t *topology, const json_t *compiled,
                                   cvs_error *err);

/* ---- keras_net.c: the whole ---- */
/* Builds open->model from an architecture: `topology` is {class_name, config, ...} or {"model_config": that}. source may be
 * NULL (no weights). keras_version and backend are what the file says around it, or NULL. */
cvs_status cvi_keras_read_topology(cvi_open *open, const json_t *topology, cvi_keras_source *source,
                                   const char *keras_version, const char *backend);
/* Gives every layer of the model its group of weights, by name or, if names differ, in order. */
void cvi_keras_assign(cvi_keras *k, cvi_keras_net *net);
/* Net of a config (keras_parse.c); everything in the model's arena. */
struct cvi_keras_net {
    cvi_keras_layer *layer;
    int n;
    const json_t *config;
    bool sequential;
    bool weighted;
    cvi_keras_layer **by_name; /* sorted */
};
cvi_keras_net *cvi_keras_parse(cvi_keras *k, const json_t *json, const char *prefix,
                               const cvi_keras_layer *top, int depth);
/* A reference to the output of a call of a layer. */
typedef struct cvi_keras_ref {
    int layer;
    int64_t node, tensor;
} cvi_keras_ref;
typedef struct cvi_keras_refs {
    cvi_keras_ref *ref;
    int n;
} cvi_keras_refs;
/* References of call `node` of a layer, of the net's inputs or outputs. */
void cvi_keras_call_refs(cvi_keras *k, const cvi_keras_net *net, const json_t *call, cvi_keras_refs *out);
void cvi_keras_port_refs(cvi_keras *k, const cvi_keras_net *net, const char *key, cvi_keras_refs *out);

/* ---- keras_h5.c ---- */
/* Lists the weights of an HDF5 file (whole model or weights only); everything in the model's arena. */
typedef struct cvi_h5 cvi_h5;
cvs_status cvi_keras_h5_source(cvs_model *model, cvi_h5 *file, cvi_keras_source *out, cvs_error *err);
/* A model out of weights alone: a known architecture, or the layers one by one (keras_state.c). */
cvs_status cvi_keras_read_state(cvi_open *open, cvi_h5 *file);
/* Weights of layers (groups with names, not by path) as named tensors in PyTorch's order: "conv1.weight" (keras_state.c). */
typedef struct cvi_state cvi_state;
cvs_status cvi_keras_state_of(cvi_open *open, cvi_keras_source *source, cvi_state *s);
/* The text of the attribute `name` of an object, or NULL (absent, empty or not text). */
const char *cvi_keras_h5_text(cvi_h5 *file, int64_t object, const char *name);
/* Reads an architecture with the weights that options->weights names (or none). */
cvs_status cvi_keras_read_with_option(cvi_open *open, const json_t *topology, const char *keras_version,
                                      const char *backend);

/* The same for the layout of Keras 3's "model.weights.h5": layers/<class>_<n>/vars/<i> (keras_v3.c). `layers` is that group. */
cvs_status cvi_keras_v3_source(cvs_model *model, cvi_h5 *file, int64_t layers, cvi_keras_source *out,
                               cvs_error *err);
/* That group of an open file, or -1. */
int64_t cvi_keras_v3_layers(cvi_h5 *file);
/* Room for n more weights in a source's list. */
cvs_status cvi_keras_more_weights(cvs_model *m, cvi_keras_source *s, int64_t n, int64_t *capacity,
                                  cvs_error *err);
/* load() of a source whose places are objects of the HDF5 file `context`. */
cvs_status cvi_keras_h5_load(cvi_keras_source *s, const cvi_keras_weight *w, cvs_tensor *out, cvs_error *err);

extern const cvi_reader cvi_reader_keras_h5, cvi_reader_keras_json, cvi_reader_keras_zip, cvi_reader_tfjs;

#endif

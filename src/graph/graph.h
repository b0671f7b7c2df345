/* SPDX-License-Identifier: MIT
 * graph.h (internal) - the model as data: values, nodes, attributes, and the model around them.
 *
 * The meaning of a node is that of the ONNX operator of its name at opset CVI_OPSET; readers of other formats and
 * of older opsets translate while reading (attributes that became inputs become constant values, and so on), so that
 * nothing after the readers knows of versions. All shapes are in [N,C,H,W] order. Everything is owned by the model's
 * arena or its mapped files; nothing changes after cvi_graph_finish().
 */
#ifndef CVI_GRAPH_H
#define CVI_GRAPH_H

#include "base/base.h"
#include "convscope/tensor.h"
#include "convscope/data.h"

#define CVI_OPSET 21 /* the opset whose meaning our nodes have; what the ONNX writer writes */

typedef struct cvi_op cvi_op; /* src/ops/op.h */
typedef struct cvi_graph cvi_graph;
typedef struct cvs_model cvs_model;

typedef enum cvi_attr_kind {
    CVI_ATTR_INT,
    CVI_ATTR_FLOAT,
    CVI_ATTR_STRING,
    CVI_ATTR_INTS,
    CVI_ATTR_FLOATS,
    CVI_ATTR_STRINGS,
    CVI_ATTR_TENSOR,
    CVI_ATTR_GRAPH
} cvi_attr_kind;

typedef struct cvi_attr {
    const char *name;
    cvi_attr_kind kind;
    int64_t i;
    double f;
    const char *s; /* terminated */
    int n;         /* of ints, floats or strings */
    const int64_t *ints;
    const double *floats;
    const char *const *strings;
    const cvs_tensor *tensor;
    cvi_graph *graph;
} cvi_attr;

/* How a value's numbers lie in the model's own file, for .npy in and out. */
typedef enum cvi_file_layout {
    CVI_FILE_SAME, /* as in the graph */
    CVI_FILE_LAST /* the file has channels last: [N,H,W,C] where the graph has [N,C,H,W] (rank 3 and 5 alike) */
} cvi_file_layout;

typedef struct cvi_value {
    const char *name;           /* unique in its graph, never NULL */
    cvs_dtype dtype;            /* CVS_NONE when unknown before a run */
    int rank;                   /* -1 when unknown */
    int64_t dim[CVS_MAX_RANK];  /* -1 where unknown */
    int producer;               /* node, or -1: graph input, constant or outer value */
    const cvs_tensor *constant; /* weights and other constants; data NULL while the model has no weights */
    int outer;                  /* in a subgraph: the value of the parent graph that it captures, else -1 */
    cvi_file_layout file_layout;
    bool hidden; /* made by a reader as a help; not listed as a layer */
    bool fixed;  /* a constant in place of a parameter that the file's layer lacks: training leaves it */
    int64_t usual[CVS_MAX_RANK]; /* of an input: what the file names for a free dimension; 0 = nothing */
} cvi_value;

typedef struct cvi_node {
    const char *name;  /* never NULL; may repeat in a file, made unique by readers */
    const char *op;    /* "Conv"; other domains "domain::Name" */
    const char *layer; /* the name that people know it by: its first output's name */
    const cvi_op *def; /* NULL: unknown operator (opens, draws, stops a run) */
    int n_in, n_out, n_attr;
    int *in;  /* values; -1 = absent */
    int *out; /* values; -1 = absent */
    cvi_attr *attr;
    const char *note; /* what a reader wants people to know ("Lambda: not executed"), or NULL */
    bool frozen;      /* training holds its parameters: it works as in use, on its running statistics */
    bool
        biased; /* training renews the running variance with the batch's own (Keras), not the unbiased one (PyTorch) */
} cvi_node;

struct cvi_graph {
    cvi_arena *arena; /* borrowed from the model */
    cvi_graph *parent;
    const char *name;
    int n_values, n_nodes, n_inputs, n_outputs;
    int cap_values, cap_nodes;
    cvi_value *values;
    cvi_node *nodes; /* in topological order after finish */
    int *inputs, *outputs;
    void *index;              /* name -> value, graph.c */
    const cvs_limits *limits; /* the model's */
};

/* The train { } block of a text: what it says, word by word, for the trainer to read. Nothing is checked by the reader. */
typedef struct cvi_recipe_word {
    const char *text;
    int line, column; /* from 1 */
} cvi_recipe_word;
typedef struct cvi_recipe_statement {
    int n; /* at least 1: the key and its arguments */
    cvi_recipe_word *words;
} cvi_recipe_statement;
typedef struct cvi_recipe {
    int n;
    cvi_recipe_statement *statements;
} cvi_recipe;

/* A loaded model (public name, private inside). */
struct cvs_model {
    cvi_arena *arena;
    cvi_graph *graph;
    const char *path, *name;     /* name: of the graph or file, for people */
    const char *format;          /* "ONNX", "Keras HDF5", ... of the reader's title */
    const char *producer;        /* program and version that wrote the file, or "" */
    bool has_weights;            /* false: some constant has no data */
    bool size_guessed;           /* the input's size is one of several that fit */
    bool random_weights;         /* those without data were drawn by chance (options->init) */
    bool widened;                /* 16-bit floats were widened to float32 at reading */
    cvi_file_layout file_layout; /* of image-like values made later (inputs) */
    cvs_preprocess preprocess;   /* .known false when nothing said so */
    int n_classes;               /* 0: no names known */
    const char *const *classes;
    const char *classes_from; /* where the names come from, for people; or NULL */
    int n_notes;              /* sentences a reader wants said ('optimizer state ignored'), in `lang` */
    const char **notes;
    int n_files;
    cvi_file *files;    /* kept open while tensors point into them */
    int64_t file_bytes; /* of the model file itself */
    cvi_recipe recipe;  /* how to train it, where the file says so */
    cvs_limits limits;
    cvs_lang lang; /* of the notes */
};

/* ---- building (readers) ----------------------------------------------------------------------------
 * All return NULL or -1 on failure with err filled (memory, limits, duplicate names). Strings are copied. */
cvs_model *cvi_model_new(const cvs_limits *limits, cvs_error *err);
void cvs_model_free(cvs_model *model);
cvi_graph *cvi_graph_new(cvs_model *model, cvi_graph *parent, const char *name, cvs_error *err);
/* Adds a value. name NULL or "" or taken: a unique one is made from `name` (or "value") with a suffix. rank -1 = unknown. */
int cvi_graph_value(cvi_graph *g, const char *name, cvs_dtype dtype, int rank, const int64_t *dim,
                    cvs_error *err);
/* The value of that name, or -1. */
int cvi_graph_find(const cvi_graph *g, const char *name);
/* Adds a constant: `t` is copied as a struct, its data is borrowed (arena, mapped file) and must live as long as the model. */
int cvi_graph_constant(cvi_graph *g, const char *name, const cvs_tensor *t, cvs_error *err);
/* Small constants, data copied into the arena: a 1-D int64 tensor, a float32 tensor of any shape. */
int cvi_graph_ints(cvi_graph *g, const char *name, int n, const int64_t *v, cvs_error *err);
int cvi_graph_floats(cvi_graph *g, const char *name, int rank, const int64_t *dim, const float *v,
                     cvs_error *err);
/* Adds a node with room for its inputs, outputs and attributes, all absent/-1; returns its index. `op` e.g. "Conv". */
int cvi_graph_node(cvi_graph *g, const char *name, const char *op, int n_in, int n_out, int n_attr,
                   cvs_error *err);
/* The usual case in one call: in[] (values or -1), one new output value named out_name; returns the output value. */
int cvi_graph_op(cvi_graph *g, const char *op, int n_in, const int *in, const char *out_name, int n_attr,
                 cvi_node **node, cvs_error *err);
/* Fill attribute k of a node (arrays and strings are copied into the arena; false = out of memory). */
bool cvi_attr_set_int(cvi_graph *g, cvi_attr *a, const char *name, int64_t v);
bool cvi_attr_set_float(cvi_graph *g, cvi_attr *a, const char *name, double v);
bool cvi_attr_set_string(cvi_graph *g, cvi_attr *a, const char *name, const char *v);
bool cvi_attr_set_ints(cvi_graph *g, cvi_attr *a, const char *name, int n, const int64_t *v);
bool cvi_attr_set_floats(cvi_graph *g, cvi_attr *a, const char *name, int n, const double *v);
bool cvi_graph_add_input(cvi_graph *g, int value);
bool cvi_graph_add_output(cvi_graph *g, int value);
/* Adds a sentence; fmt is an English literal with a Chinese row, like that of cvi_fail. */
bool cvi_model_note(cvs_model *m, const char *fmt, ...) CVI_PRINTF(2, 3);
/* Hands a mapped file to the model (closed with it); on failure the file is closed. */
cvs_status cvi_model_keep_file(cvs_model *m, cvi_file *f, cvs_error *err);
/* Sorts topologically, sets producers, makes node names unique, sets node->layer, checks: every input exists, one producer each, no
 * cycle, limits. Subgraphs of attributes too. A located error otherwise. */
cvs_status cvi_graph_finish(cvi_graph *g, cvs_error *err);

/* ---- reading ---------------------------------------------------------------------------------------- */
const cvi_attr *cvi_node_attr(const cvi_node *node, const char *name); /* NULL if absent */
int64_t cvi_node_int(const cvi_node *node, const char *name, int64_t otherwise);
double cvi_node_float(const cvi_node *node, const char *name, double otherwise);
const char *cvi_node_string(const cvi_node *node, const char *name, const char *otherwise);
/* Copies up to `max` ints, fills the rest with `fill`; returns how many the attribute has (0: absent). */
int cvi_node_ints(const cvi_node *node, const char *name, int64_t *out, int max, int64_t fill);
/* Layers: the values that a node made and no reader hid, in topological order. Returns value or -1. */
int cvi_graph_n_layers(const cvi_graph *g);
int cvi_graph_layer(const cvi_graph *g, int layer);
/* The other way round, for all at once: layer_of [n_values], -1 where a value is none. */
void cvi_graph_layer_numbers(const cvi_graph *g, int *layer_of);
/* Finds a layer by name or by index ("12"); the error lists near names. (op.h has the form that knows "last-conv".) */
cvs_status cvi_graph_find_layer(const cvi_graph *g, const char *text, int *value, cvs_error *err);
/* Consumers: nodes that read value v; fills up to max, returns the count. */
int cvi_graph_users(const cvi_graph *g, int v, int *nodes, int max);

#endif

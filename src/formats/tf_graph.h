/* SPDX-License-Identifier: MIT
 * tf_graph.h (internal) - TensorFlow graphs as data (GraphDef), whether they came as protobuf or as JSON, and the walk that builds the
 * model's graph from them: backwards from the outputs, functions written out where they are called. The operations are in tf_nodes_*.c,
 * what they mean in tf.h.
 */
#ifndef CVI_TF_GRAPH_H
#define CVI_TF_GRAPH_H

#include "formats/protobuf.h"
#include "formats/tf.h"

/* Walks the fields of a message, the numbers of a repeated field; a damaged one ends the function. */
#define TF_EACH(p, f)                                                                                        \
    for (cvs_status tf_each_##f = cvi_pb_next(&(p), &(f)); tf_each_##f != CVS_OK || (f).number;              \
         tf_each_##f = cvi_pb_next(&(p), &(f)))                                                              \
        if (tf_each_##f != CVS_OK) {                                                                         \
            return tf_each_##f;                                                                              \
        } else
#define TF_EACH_NUMBER(p, list, bits, more)                                                                  \
    for (cvs_status tf_each_##list = cvi_pb_numbers_next(&(p), &(list), &(bits), &(more));                   \
         tf_each_##list != CVS_OK || (more);                                                                 \
         tf_each_##list = cvi_pb_numbers_next(&(p), &(list), &(bits), &(more)))                              \
        if (tf_each_##list != CVS_OK) {                                                                      \
            return tf_each_##list;                                                                           \
        } else

typedef struct tf_attr {
    const char *name;
    const char *s; /* text (also of a function: its name), or NULL */
    int64_t i;     /* number, truth, element type (the file's number) */
    double f;
    bool has_shape;
    int rank; /* of a shape; -1 unknown */
    int64_t dim[CVS_MAX_RANK];
    const cvs_tensor *tensor; /* or NULL */
    int n;                    /* of a list, of texts in a tensor */
    const int64_t *ints;
    const char *const *strings;
} tf_attr;

typedef struct tf_node {
    const char *name, *op;
    int n_in, n_attr;
    const char **in; /* as in the file: "name", "name:1", "name:output:0"; "^name" only orders */
    tf_attr *attr;
} tf_node;

typedef struct tf_body {
    tf_node *node;
    int n, capacity;
    int *by_name; /* sorted */
} tf_body;

typedef struct tf_function {
    const char *name;
    int n_args, n_rets;
    const char **args;
    const char **rets; /* names of outputs, then what each is */
    const char **ret_from;
    tf_body body;
} tf_function;

typedef struct tf_graphdef {
    tf_body main;
    tf_function *function;
    int n_functions, cap_functions;
} tf_graphdef;

/* A named value that a signature speaks of: "dense/Softmax:0". */
typedef struct tf_port {
    const char *key, *name;
} tf_port;

/* ---- tf_graph.c ---- */
const tf_attr *cvi_tf_attr(const tf_node *node, const char *name); /* NULL: absent */
int64_t cvi_tf_attr_int(const tf_node *node, const char *name, int64_t otherwise);
double cvi_tf_attr_float(const tf_node *node, const char *name, double otherwise);
const char *cvi_tf_attr_text(const tf_node *node, const char *name, const char *otherwise);
/* The file's number of an element type; CVS_NONE: none of ours. */
cvs_dtype cvi_tf_type(int64_t number);
/* Room for one more. NULL: out of memory. */
tf_node *cvi_tf_add_node(cvi_arena *a, tf_body *body);
tf_function *cvi_tf_add_function(cvi_arena *a, tf_graphdef *g);
/* Sorts names; fails on doubled ones. */
cvs_status cvi_tf_index(cvi_arena *a, tf_graphdef *g, cvs_error *err);
int cvi_tf_find(const tf_body *body, const char *name, size_t n); /* -1 */
const tf_function *cvi_tf_function(const tf_graphdef *g, const char *name);

/* ---- tf_proto.c, tf_json.c ---- */
cvs_status cvi_tf_read_graph(cvi_arena *a, const cvi_pb *parent, const cvi_pb_piece *message,
                             const cvs_limits *limits, tf_graphdef *out);
cvs_status cvi_tf_read_json(cvi_arena *a, const json_t *topology, const cvs_limits *limits, tf_graphdef *out,
                            cvs_error *err);

/* ---- tf_walk.c ---- */
typedef struct tf_net tf_net;
/* A variable or a constant without numbers by its name: *found false: nobody knows it. */
typedef cvs_status (*cvi_tf_lookup)(void *context, const char *name, cvs_tensor *out, bool *found);

typedef struct tf_scope tf_scope;
struct tf_net {
    cvi_tf t;
    const tf_graphdef *g;
    cvi_tf_lookup lookup; /* or NULL */
    void *context;
    bool apart; /* constants without numbers are looked up too (TensorFlow.js); else they are zeros */
    int depth;
    int64_t made; /* operations so far, those inside functions included */
    /* the operation being built */
    const tf_node *node;
    cvi_tf_tensor **in;
    int n_in, n_out, cap_out;
    cvi_tf_tensor *out;
    const char *refused; /* why it becomes a box */
    bool keep; /* then too, what was made for it stays (nodes that nobody reads are taken out in the end) */
};

typedef struct tf_maker {
    const char *op;
    void (*make)(tf_net *m);
    int value; /* for makers of several operations */
} tf_maker;
const tf_maker *cvi_tf_maker(const char *op);

/* Builds all that the outputs need. n_out 0: the operations that nobody reads. inputs: the order of the model's inputs, or NULL. */
cvs_status cvi_tf_walk(tf_net *m, int n_in, const tf_port *inputs, int n_out, const tf_port *outputs);
/* For makers. Input k or NULL; a result; "k" whole numbers of input k. */
cvi_tf_tensor *cvi_tf_node_in(tf_net *m, int k);
void cvi_tf_node_put(tf_net *m, int k, cvi_tf_tensor value);
int cvi_tf_node_ints(tf_net *m, int k, int max, int64_t *out);
/* Calls a function of the graph on the node's inputs from `first` on; its results become the node's. */
void cvi_tf_call(tf_net *m, const char *function, int first);
/* The tensor of a variable as a constant. */
bool cvi_tf_node_variable(tf_net *m, const char *name);

/* ---- tf_bundle.c: the numbers of a SavedModel ---- */
typedef struct tf_bundle tf_bundle;
/* Reads <folder>/<prefix>.index; shards are opened beneath the folder when first asked for, and kept by the model. */
cvs_status cvi_tf_bundle_open(cvs_model *model, const char *folder, const char *prefix, tf_bundle **out,
                              cvs_error *err);
/* The index alone, from memory: for tests. */
cvs_status cvi_tf_bundle_parse(cvs_model *model, const void *data, size_t size, tf_bundle **out,
                               cvs_error *err);
/* The tensor of that key, put together where it is kept in slices; *found false: there is none. Borrowed from the shard where it is aligned. */
cvs_status cvi_tf_bundle_get(tf_bundle *b, const char *key, cvs_tensor *out, bool *found, cvs_error *err);
/* Whether bytes end as an index does (a checkpoint of the first generation too). */
bool cvi_tf_bundle_is(const void *data, size_t size);
int64_t cvi_tf_bundle_count(const tf_bundle *b);
/* The key of entry i; NULL: no numbers, or a slice. */
const char *cvi_tf_bundle_key(const tf_bundle *b, int64_t i);
/* The text of that key, borrowed; empty where there is none. */
cvs_status cvi_tf_bundle_text(tf_bundle *b, const char *key, cvi_pb_piece *out, cvs_error *err);

/* Element i of t from the bits of a TensorProto's typed field of that number. */
void cvi_tf_put_number(const cvs_tensor *t, int64_t i, uint32_t field, uint64_t bits);

#endif

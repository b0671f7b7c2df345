/* SPDX-License-Identifier: MIT
 * onnx.h (internal) - what the files of the ONNX reader share. The way of a model through them:
 *   onnx_read.c       ModelProto: opsets, metadata, functions, then the main graph
 *   onnx_proto.c      NodeProto, AttributeProto, FunctionProto, ValueInfoProto as plain structs
 *   onnx_tensor.c     TensorProto -> cvs_tensor: typed fields, raw bytes (no copy where they are aligned), side files
 *   onnx_graph.c      GraphProto -> cvi_graph: names and scopes, subgraphs
 *   onnx_functions.c  bodies of local functions put in place of their calls
 *   onnx_rewrite.c    operators of ONNX Runtime's domains in ONNX's own (onnx_microsoft.c, onnx_qlinear.c, onnx_attend.c, onnx_ml.c)
 *   onnx_quantized.c  quantised networks as real numbers
 *   onnx_upgrade.c    older opsets -> the meaning of CVI_OPSET, operator by operator
 * Field numbers: onnx.proto of ONNX 1.17 (https://github.com/onnx/onnx/blob/main/onnx/onnx.proto).
 */
#ifndef CVI_ONNX_H
#define CVI_ONNX_H

#include "protobuf.h"
#include "reader.h"

#define CVI_ONNX_NEWEST      28    /* the newest opset whose changes this reader knows */
#define CVI_ONNX_MAX_CALLS   10000 /* function bodies put in place, as onnx's own checker bounds it */
#define CVI_ONNX_MAX_NESTING 100   /* functions that call functions */
#define CVI_ONNX_SPARE       6     /* inputs and attributes that an upgrade may add to a node */

/* What a name may mean beside a value: left out by the caller of a function; of a type that no tensor of ours holds. */
#define CVI_ONNX_ABSENT      (-2)
#define CVI_ONNX_UNSUPPORTED (-3)

/* AttributeProto.type */
enum {
    CVI_ONNX_FLOAT = 1,
    CVI_ONNX_INT,
    CVI_ONNX_STRING,
    CVI_ONNX_TENSOR,
    CVI_ONNX_GRAPH,
    CVI_ONNX_FLOATS,
    CVI_ONNX_INTS,
    CVI_ONNX_STRINGS,
    CVI_ONNX_TENSORS,
    CVI_ONNX_GRAPHS,
    CVI_ONNX_SPARSE
};

/* Parsed messages; strings and arrays live in the reader's working arena. */
typedef struct cvi_onnx_attr {
    const char *name, *ref; /* ref: the function's attribute that stands here, or NULL */
    int type;
    double f;
    int64_t i;
    const char *s; /* NULL when it is no text */
    int n;
    int64_t *ints;
    double *floats;
    const char **strings;
    cvi_pb_piece tensor, graph;
    int64_t offset;
} cvi_onnx_attr;

typedef struct cvi_onnx_node {
    const char *name, *op, *domain, *overload;
    int n_in, n_out, n_attr;
    const char **in, **out;
    cvi_onnx_attr *attr;
    bool hidden; /* our own mark in its metadata */
    int64_t offset;
} cvi_onnx_node;

typedef struct cvi_onnx_info { /* ValueInfoProto */
    const char *name;
    cvs_dtype dtype; /* CVS_NONE: not a tensor of a type we hold */
    int rank;        /* -1 unknown */
    int64_t dim[CVS_MAX_RANK];
    bool is_tensor;
    int64_t offset;
} cvi_onnx_info;

typedef struct cvi_onnx_opset {
    const char *domain;
    int64_t version;
} cvi_onnx_opset;

typedef struct cvi_onnx_function {
    const char *name, *domain, *overload;
    int n_in, n_out, n_attr, n_nodes, n_opsets;
    const char **in, **out;
    cvi_onnx_attr *attr; /* declared ones; those with a default have it */
    cvi_onnx_node *nodes;
    cvi_onnx_opset *opsets;
    int64_t offset;
    bool active; /* its body is being put in place: a call now is a cycle */
} cvi_onnx_function;

/* Name -> number: open addressing in the working arena. */
typedef struct cvi_onnx_map {
    int capacity, count;
    const char **key;
    int *value;
} cvi_onnx_map;

typedef struct cvi_onnx_side { /* a side file with weights, opened once */
    const char *location;
    const uint8_t *data;
    size_t size;
    struct cvi_onnx_side *next;
} cvi_onnx_side;

typedef struct cvi_onnx_words { /* an initializer of words; they live in the model's arena */
    const char *name;
    int n;
    const char **words;
    struct cvi_onnx_words *next;
} cvi_onnx_words;

typedef struct cvi_onnx {
    cvi_open *open;
    cvs_model *model;
    cvi_arena *work;    /* freed after reading */
    const char *folder; /* of the model file; NULL when it came from memory */
    cvi_pb root;
    bool keep_types;
    bool blocked;    /* it was said that weights lie in blocks */
    int64_t n_nodes; /* all graphs together */
    int n_opsets, n_functions, n_calls;
    cvi_onnx_opset *opsets;
    cvi_onnx_function *functions;
    cvi_onnx_map function_index;
    cvi_onnx_side *sides;
    cvi_onnx_words *words;
    int n_words;
    int label;          /* 1 + the main graph's value that names a class by its index; 0: none */
    bool track;         /* some opset needs shapes for its upgrade */
    cvi_arena *scratch; /* for shape rules, emptied after each */
    cvs_error *err;     /* never NULL */
} cvi_onnx;

/* Shapes by value, as far as they could be worked out while reading (upgrades of old opsets need ranks). */
typedef struct cvi_onnx_shapes {
    int n;
    cvs_tensor *at; /* rank -1 = unknown */
} cvi_onnx_shapes;

/* Where names are looked up: one per graph and one per function body put in place. */
typedef struct cvi_onnx_scope {
    struct cvi_onnx_scope
        *parent; /* of a subgraph: the graph around it; NULL for the main graph and function bodies */
    cvi_graph *graph;
    cvi_onnx_map names;                /* -> value */
    const char *prefix;                /* of names inside a function body, "" elsewhere */
    int64_t version;                   /* opset of the default domain */
    const cvi_onnx_function *function; /* the body we are in, and what its caller gave; NULL outside */
    const cvi_onnx_attr *call;
    int n_call;
    cvi_onnx_map formal_out; /* a function's outputs: 0 = not made yet, 1 = made */
    int depth, nesting;      /* of subgraphs, of function calls */
    cvi_onnx_map outputs;    /* names of the graph's outputs */
    bool *is_output;         /* by value: a constant that is handed out stays a node */
    int n_is_output;
    cvi_onnx_map infos; /* name -> index of info */
    cvi_onnx_info *info;
    cvi_onnx_shapes *shapes; /* of the graph, as far as known; shared by function bodies in it */
} cvi_onnx_scope;

/* A node on its way into the graph; upgrades change it. */
typedef struct cvi_onnx_draft {
    cvi_onnx *o;
    cvi_onnx_scope *scope;
    const cvi_onnx_node *source;
    const char *op;
    int n_in, n_out, n_attr;
    int *in, *out;  /* CVI_ONNX_SPARE more than the source has */
    cvi_attr *attr; /* the same */
    int64_t version;
} cvi_onnx_draft;

/* ---- onnx_proto.c ---- */
cvs_status cvi_onnx_parse_node(cvi_onnx *o, const cvi_pb *parent, const cvi_pb_piece *message,
                               cvi_onnx_node *out);
cvs_status cvi_onnx_parse_info(cvi_onnx *o, const cvi_pb *parent, const cvi_pb_piece *message,
                               cvi_onnx_info *out);
cvs_status cvi_onnx_parse_opset(cvi_onnx *o, const cvi_pb *parent, const cvi_pb_piece *message,
                                cvi_onnx_opset *out);
cvs_status cvi_onnx_parse_function(cvi_onnx *o, const cvi_pb *parent, const cvi_pb_piece *message,
                                   cvi_onnx_function *out);
/* Key and value of a StringStringEntryProto; a value that is no text becomes "". */
cvs_status cvi_onnx_parse_entry(cvi_onnx *o, const cvi_pb *parent, const cvi_pb_piece *message,
                                const char **key, const char **value);
/* How often each field number below `n` occurs in a message (for exact arrays); counts[0] is not used. */
cvs_status cvi_onnx_count(const cvi_pb *message, int n, int *counts);
void *cvi_onnx_alloc(cvi_onnx *o, int64_t count, size_t size); /* working arena; fills o->err */
bool cvi_onnx_map_put(cvi_onnx *o, cvi_onnx_map *m, const char *key, int value); /* replaces */
int cvi_onnx_map_get(const cvi_onnx_map *m, const char *key);                    /* -1 if absent */

/* ---- onnx_tensor.c ---- */
/* What a data_type number means; CVS_NONE for types that no tensor of ours holds. */
cvs_dtype cvi_onnx_dtype(int64_t data_type);
/* The type that a value has after widening (float32 for 16-bit floats, unless types are kept). */
cvs_dtype cvi_onnx_widened(const cvi_onnx *o, cvs_dtype dtype);
/* Reads a tensor: data points into the file or lies in the model's arena. name (may be NULL) gets the tensor's name. */
cvs_status cvi_onnx_tensor(cvi_onnx *o, const cvi_pb *parent, const cvi_pb_piece *message, const char **name,
                           cvs_tensor *out);
/* A sparse one, made dense (onnx_sparse.c). */
cvs_status cvi_onnx_sparse(cvi_onnx *o, const cvi_pb *parent, const cvi_pb_piece *message, const char **name,
                           cvs_tensor *out);

/* ---- onnx_words.c ---- */
/* Keeps the words of a tensor that has some; none: nothing happens. name: of the value that they are. */
cvs_status cvi_onnx_keep_words(cvi_onnx *o, const cvi_pb *parent, const cvi_pb_piece *message,
                               const char *name);
const cvi_onnx_words *cvi_onnx_find_words(const cvi_onnx *o, const char *name); /* NULL: none of that name */

/* ---- onnx_graph.c ---- */
/* Builds a graph (or, with parent, a subgraph) from its GraphProto. */
cvs_status cvi_onnx_graph(cvi_onnx *o, cvi_onnx_scope *parent, const cvi_pb *around,
                          const cvi_pb_piece *message, int64_t version, cvi_graph **out);
cvs_status cvi_onnx_bind(cvi_onnx *o, cvi_onnx_scope *scope, const char *name, int value);
/* The value that a name means here, captured from the graphs around if need be; -1 = absent on purpose. */
cvs_status cvi_onnx_resolve(cvi_onnx *o, cvi_onnx_scope *scope, const char *name, int *out);
/* Makes the values of a node's outputs; a name that is made already is an error. */
cvs_status cvi_onnx_declare(cvi_onnx *o, cvi_onnx_scope *scope, const cvi_onnx_node *node);
cvs_status cvi_onnx_put_nodes(cvi_onnx *o, cvi_onnx_scope *scope, const cvi_onnx_node *nodes, int n);
/* The attributes of a call with the caller's own references filled in. */
cvs_status cvi_onnx_call_attrs(cvi_onnx *o, const cvi_onnx_scope *scope, const cvi_onnx_node *node,
                               cvi_onnx_attr **out, int *n);
/* Puts the draft into the graph as it is. */
cvs_status cvi_onnx_emit(cvi_onnx_draft *d);

/* ---- onnx_functions.c ---- */
cvi_onnx_function *cvi_onnx_find_function(cvi_onnx *o,
                                          const cvi_onnx_node *node); /* NULL: not a local function */
cvs_status cvi_onnx_index_functions(cvi_onnx *o); /* a function defined twice is an error */
cvs_status cvi_onnx_call(cvi_onnx *o, cvi_onnx_scope *scope, const cvi_onnx_node *node, cvi_onnx_function *f);
/* The version of a domain in a list; `otherwise` when it is not there. */
int64_t cvi_onnx_opset_of(const cvi_onnx_opset *opsets, int n, const char *domain, int64_t otherwise);

/* ---- onnx_shapes.c ---- */
/* Works out the shapes that node n makes, where an upgrade may ask for them. */
cvs_status cvi_onnx_track_shapes(cvi_onnx_draft *d, int n);
/* The shape of a value as far as it is known: rank -1, dim -1. */
cvs_tensor cvi_onnx_shape(const cvi_onnx_draft *d, int value);

/* ---- onnx_upgrade.c ---- */
/* Changes a node of the default domain from opset d->version to CVI_OPSET and puts it into the graph. */
cvs_status cvi_onnx_upgrade(cvi_onnx_draft *d);

/* ---- onnx_dynamic.c ---- */
/* Integer products whose input is rounded by its own range as products of real numbers. Before cvi_onnx_real_numbers. */
cvs_status cvi_onnx_dynamic(cvi_onnx *o, cvi_graph *g);

/* ---- onnx_quantized.c ---- */
/* Sets kept[value] of what the graph hands out or a subgraph reads. */
void cvi_onnx_mark_kept(const cvi_graph *g, bool *kept);
/* A quantised network as the real numbers that its integers stand for. Before cvi_graph_finish. */
cvs_status cvi_onnx_real_numbers(cvi_onnx *o, cvi_graph *g);

/* ---- onnx_ml.c ---- */
/* An output that only names the best class stands behind the numbers. */
void cvi_onnx_label_last(const cvi_onnx *o, cvi_graph *g);

/* ---- onnx_layout.c ---- */
/* Inputs of pictures with channels last that are turned at once become inputs with channels first. Before cvi_graph_finish. */
void cvi_onnx_pictures_first(cvi_graph *g);

#endif

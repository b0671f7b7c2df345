/* SPDX-License-Identifier: MIT
 * caffe.h (internal) - what the files caffe_*.c share: a prototxt (protobuf text format, Caffe's three generations) becomes a
 * tree of fields, the layers of the test phase become a graph with ONNX meaning, and a binary caffemodel gives the numbers,
 * joined by layer name.
 *
 * Names: a layer with one top is the value of the layer's name (so that layers in place are all seen), one with several tops
 * has the tops' names. Helpers are hidden. Failure while building is sticky: after c->b.status is set every helper does nothing.
 */
#ifndef CVI_CAFFE_H
#define CVI_CAFFE_H

#include "formats/reader.h"
#include "formats/value_shapes.h"

/* ---- caffe_text.c: the tree ---- */
typedef struct caffe_message caffe_message;
typedef struct caffe_field {
    const char *name;
    const char *text;       /* of a scalar: the word, or the string without its quotes; "" for a message */
    caffe_message *message; /* NULL for a scalar */
    bool quoted;
    int line, column; /* of the name, from 1 */
    struct caffe_field *next;
} caffe_field;
struct caffe_message {
    caffe_field *first, *last;
};
/* Parses protobuf text into fields (all in the arena). Errors have line and column. */
cvs_status cvi_caffe_parse(cvi_arena *a, const char *text, size_t size, int64_t max_depth, caffe_message *out,
                           cvs_error *err);

/* ---- caffe_weights.c: numbers ---- */
enum { CAFFE_MAX_BLOBS = 8 };
typedef struct caffe_blob {
    const uint8_t *data; /* the message BlobProto */
    size_t size;
    int rank;
    int64_t dim[CVS_MAX_RANK];
    int64_t count;
} caffe_blob;
typedef struct caffe_blobs {
    const char *layer;
    int n;
    caffe_blob blob[CAFFE_MAX_BLOBS];
} caffe_blobs;
typedef struct caffe_map caffe_map;
typedef struct caffe_weights {
    caffe_blobs **layer;
    int64_t n, capacity;
    caffe_map *by_name; /* place in `layer` */
} caffe_weights;
/* Reads where everything is; the blobs point into `data`, which must stay until the numbers are taken. */
cvs_status cvi_caffe_weights(cvi_arena *a, const void *data, size_t size, const cvs_limits *limits,
                             caffe_weights *out, cvs_error *err);
/* Copies a blob's numbers: out has room for blob->count. */
cvs_status cvi_caffe_numbers(const caffe_blob *blob, float *out, cvs_error *err);
/* 0 or how sure one is that the bytes are a caffemodel. */
int cvi_caffe_is_weights(const void *data, size_t size);

/* ---- caffe_tree.c: names to places, and typed lookups ---- */
/* A map from names to numbers >= 0 in an arena; the last put wins. get: -1 when absent. */
caffe_map *cvi_caffe_map(cvi_arena *a);
bool cvi_caffe_map_put(caffe_map *m, const char *name, int64_t number);
int64_t cvi_caffe_map_get(const caffe_map *m, const char *name);

/* The k-th field of that name, or NULL. message may be NULL. */
const caffe_field *cvi_caffe_field(const caffe_message *m, const char *name, int k);
int cvi_caffe_count(const caffe_message *m, const char *name);
/* The first message of that name, or NULL. */
const caffe_message *cvi_caffe_message(const caffe_message *m, const char *name);
const char *cvi_caffe_text(const caffe_message *m, const char *name, int k, const char *otherwise);
/* Compares words without regard to case and underscores: INNER_PRODUCT is InnerProduct. */
bool cvi_caffe_same(const char *a, const char *b);

/* ---- the builder ---- */
typedef struct caffe_class caffe_class;
typedef struct caffe_layer {
    const char *name, *type;
    const caffe_message *message; /* names, include, parameters */
    const caffe_message *v0;      /* the nested layer of the first generation: parameters lie right in it */
    const caffe_class *kind;      /* NULL: unknown */
    const caffe_blobs *blobs;     /* NULL: no numbers */
    int line, column;
    bool kept; /* in the test phase */
    bool done; /* made together with the layer before it */
    int n_bottom, n_top;
    const char **bottom, **top;
} caffe_layer;

typedef struct cvi_caffe {
    cvi_build b;
    const caffe_message *file;
    const caffe_weights *weights; /* NULL: none */
    caffe_layer *layers;
    int n_layers;
    caffe_layer *layer; /* being built */
    bool deploy;        /* the file speaks of a stage "deploy": we are in it */
    bool fixed_batch;   /* a layer names the batch size */
    bool fixed_sides;   /* a layer needs the declared rows and columns */
    bool guessed;       /* the file does not tell the input's sides; shapes are stand-ins */
    int searched;       /* blobs looked for among all layers, bounded */
    int missing;        /* layers whose numbers are not in the weights file */
    caffe_map *blob;    /* blob name -> value + 1, 0 = dropped */
    const char *name;   /* of the next node instead of the layer's, or NULL */
    cvi_shapes shapes;
    int in[64]; /* the layer's bottoms */
    int n_in;
} cvi_caffe;

/* Makes a layer: reads c->in, answers by cvi_caffe_top. */
struct caffe_class {
    const char *name;
    void (*make)(cvi_caffe *c);
    const char *param; /* name of its message of parameters */
    bool sized;        /* works for one size of picture only */
};

/* ---- caffe_build.c ---- */
/* Fails at a field. */
void cvi_caffe_bad(cvi_caffe *c, const caffe_field *f, cvs_status s);
/* Parameters of the layer being built: number k of a field, absent: `otherwise`; two names (the second may be NULL). */
const caffe_message *cvi_caffe_params(const cvi_caffe *c);
double cvi_caffe_number(cvi_caffe *c, const char *name, const char *old, int k, double otherwise);
int64_t cvi_caffe_int(cvi_caffe *c, const char *name, const char *old, int k, int64_t otherwise);
/* Any message's; lowest and highest allowed. */
int64_t cvi_caffe_int_of(cvi_caffe *c, const caffe_message *m, const char *name, int k, int64_t otherwise);
double cvi_caffe_number_of(cvi_caffe *c, const caffe_message *m, const char *name, int k, double otherwise);
bool cvi_caffe_bool(cvi_caffe *c, const char *name, const char *old, bool otherwise);
const char *cvi_caffe_word(const cvi_caffe *c, const char *name, const char *otherwise);
/* A node with one output, named by the layer, or "<layer>/<part>" and hidden. Attributes follow. */
int cvi_caffe_op(cvi_caffe *c, const char *op, const char *part, int n, const int *in);
int cvi_caffe_ints(cvi_caffe *c, const char *part, int n, const int64_t *v);
int cvi_caffe_float(cvi_caffe *c, const char *part, double v);
/* Parameter: blob number k of the layer as a constant "<layer>.<part>" of this shape; one dimension may be -1 where there are
 * numbers. fill: what it is filled with where there are none; NAN: left empty. times: factor on the numbers. */
int cvi_caffe_param(cvi_caffe *c, const char *part, int blob, int rank, const int64_t *dim, double fill,
                    double times);
bool cvi_caffe_has_blob(const cvi_caffe *c, int blob);
/* A constant of n equal numbers, shared by all layers. */
int cvi_caffe_constant(cvi_caffe *c, int64_t n, double v);
/* Shape by the operators' own rules, or NULL. */
const cvs_tensor *cvi_caffe_shape(cvi_caffe *c, int value);
/* Rank (otherwise 4) and dimension (or -1). */
int cvi_caffe_rank(cvi_caffe *c, int value);
int64_t cvi_caffe_dim(cvi_caffe *c, int value, int axis);
/* The axis that a field names, in [0, rank). */
int cvi_caffe_axis(cvi_caffe *c, const char *name, const char *old, int64_t otherwise, int rank);
/* The value of top k. */
void cvi_caffe_top(cvi_caffe *c, int k, int value);
/* The layer as a box that does not run. why: NULL, or a sentence for people. */
void cvi_caffe_opaque(cvi_caffe *c, const char *why);

/* ---- caffe_net.c ---- */
cvs_status cvi_caffe_build(cvs_model *model, const caffe_message *file, const caffe_weights *weights,
                           cvs_error *err);
/* ---- caffe_input.c ---- */
bool cvi_caffe_is_data(const char *type);
/* Inputs named at the top of the file. */
void cvi_caffe_file_inputs(cvi_caffe *c);
/* Inputs from a layer that brings data: all tops. */
void cvi_caffe_data_layer(cvi_caffe *c);
/* What the data layer does to pictures. */
void cvi_caffe_transform(cvi_caffe *c);

/* ---- layers (caffe_conv.c, caffe_detect.c, caffe_layer.c, caffe_more.c,
 * caffe_shape.c) ---- */
void cvi_caffe_lrn_within(cvi_caffe *c); /* of cvi_caffe_lrn */
#define CAFFE_CLASS(name, make, param, sized) void make(cvi_caffe *c);
#include "formats/caffe_classes.def"
#undef CAFFE_CLASS

#endif

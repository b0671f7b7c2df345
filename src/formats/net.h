/* SPDX-License-Identifier: MIT
 * net.h (internal) - the text language for architectures: lexed and parsed into statements (net_parse.c), built into a graph
 * (net_build.c) with one function per word (net_words.c; net_general.c for any operator), and written from a graph (net_write.c). docs/language.md is its manual.
 */
#ifndef CVI_NET_H
#define CVI_NET_H

#include "ops/op.h"

typedef struct net_token {
    enum {
        NET_END,
        NET_BREAK,
        NET_WORD,
        NET_STRING,
        NET_OPEN,
        NET_CLOSE,
        NET_LEFT,
        NET_RIGHT,
        NET_COMMA,
        NET_COLON,
        NET_ARROW
    } kind;
    const char *text; /* terminated copy of a word or string */
    int line, column;
} net_token;

typedef struct net_body net_body;

/* One operation with its arguments: "conv 64 k7 s2", "repeat 3 {...}", "NAME(64, 2)". */
typedef struct net_item {
    net_token word;
    int n_args;
    net_token *args;
    int n_bodies;
    net_body *bodies;
} net_item;

/* "label: from a,b item item ..." */
typedef struct net_statement {
    net_token label; /* text NULL: none */
    int n_from;
    net_token *from;
    int n_items;
    net_item *items;
} net_statement;

struct net_body {
    int n;
    net_statement *statements;
};

typedef struct net_block {
    net_token name;
    int n_params;
    net_token *params;
    net_body body;
} net_block;

typedef struct net_skip {
    net_token from, to;
} net_skip;

typedef struct net_file {
    net_body body;
    int n_blocks, n_skips;
    net_block *blocks;
    net_skip *skips;
    bool has_train;
    cvi_recipe train;
} net_file;

/* Statements of a text; all in the arena. Errors carry line and column. */
cvs_status cvi_net_parse(cvi_arena *arena, const char *text, size_t size, int64_t max_depth, net_file *out,
                         cvs_error *err);

/* The graph of a parsed text, into model->graph. */
cvs_status cvi_net_build(cvs_model *model, const net_file *file, cvs_error *err);

/* What is bound to a block's parameters while its body is built. */
typedef struct net_scope {
    const struct net_scope *outer;
    const net_block *block;
    const net_token *args;
    const char *prefix; /* of names made inside, "" outside */
} net_scope;

enum { NET_MAX_WORDS = 64 }; /* kinds of words counted for automatic names */

typedef struct net_builder {
    cvs_model *model;
    cvi_graph *g;
    const net_file *file;
    cvs_error *err;
    int current;     /* value that the next operation reads, -1 before input */
    int made;        /* constant that the statement made, which its label then names; -1 = none */
    bool free_batch; /* the first dimension is free, as "input CxHxW" means it */
    int n_shapes;
    cvs_tensor *shapes; /* per value, batch 1 */
    struct {
        const char *word;
        int n;
    } counts[NET_MAX_WORDS];
    const char *name; /* what the next value is to be called, or NULL for an automatic name */
    int depth;
    int64_t rounds;            /* of all repeats together */
    struct net_alias *aliases; /* labels and what they stand for */
} net_builder;

/* Arguments of one item after substitution, ready for the words. */
typedef struct net_args {
    const net_item *item;
    const net_item *next; /* of the same statement, or NULL */
    const net_scope *scope;
    int n_inputs; /* from `from`, else 1: the current value */
    const int *inputs;
} net_args;

typedef struct net_word {
    const char *word;
    const char *op;   /* ONNX operator for plain words, NULL where build does all */
    const char *attr; /* attribute that a bare number sets, or NULL */
    double initial;   /* its default */
    cvs_status (*build)(net_builder *b, const struct net_word *w, const net_args *a);
} net_word;

/* The text of a model (net_write.c), checked by reading it again; *out is the caller's. */
cvs_status cvi_net_text(const cvs_model *model, cvi_buf *out, cvs_error *err);

const net_word *cvi_net_word(const char *word);
/* net_general.c: "op NAME key=value", "param f32[64x3x7x7]", "const i64[2][1;-1]", and "f32[1x3x?x?]" of an input. */
cvs_status cvi_net_op(net_builder *b, const net_word *w, const net_args *a);
cvs_status cvi_net_constant(net_builder *b, const net_word *w, const net_args *a);
const char *cvi_net_type(cvs_dtype type); /* "f32"; NULL: none */
/* Reads "TYPE[DxD]" and, where `data` is given, an optional "[1;2]"; *end is where it stopped. false: not of this form. */
bool cvi_net_literal(cvi_arena *arena, const char *text, cvs_tensor *out, bool data, const char **end);

/* ---- for the words (net_build.c) ---- */
cvs_status cvi_net_fail(const net_builder *b, const net_token *at, cvs_status s);
/* Integer arguments: the k-th bare number; the one after a letter ("k3", "k3x1": out[0] rows, out[1] columns); a key=value. false = absent. */
cvs_status cvi_net_number(const net_builder *b, const net_args *a, int k, double *out, bool *there);
cvs_status cvi_net_pair(const net_builder *b, const net_args *a, const char *letter, int64_t out[2],
                        bool *there);
cvs_status cvi_net_key(const net_builder *b, const net_args *a, const char *key, double *out, bool *there);
bool cvi_net_has(const net_builder *b, const net_args *a, const char *flag);
const cvs_tensor *cvi_net_shape(const net_builder *b, int value);
/* Adds a node reading in[] and infers its shape; its value becomes the current one. node->attr has room for n_attr. */
cvs_status cvi_net_node(net_builder *b, const net_args *a, const char *op, int n_in, const int *in,
                        int n_attr, cvi_node **node);
/* The same where an input may be absent (-1). */
cvs_status cvi_net_node_optional(net_builder *b, const net_args *a, const char *op, int n_in, const int *in,
                                 int n_attr, cvi_node **node);
cvs_status cvi_net_keep_shape(net_builder *b, int value, const cvs_tensor *shape);
/* Finishes a node once its attributes are set: shape inference, errors at the word. A shape that only a run can tell has rank -1. */
cvs_status cvi_net_done(net_builder *b, const net_args *a, cvi_node *node);
/* A parameter without data, named after the value being made. */
cvs_status cvi_net_param(net_builder *b, const char *suffix, int rank, const int64_t *dim, int *value);

#endif

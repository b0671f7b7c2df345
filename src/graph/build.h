/* SPDX-License-Identifier: MIT
 * build.h (internal) - the small moves that readers make a graph with: a node and then its attributes one by one, small constants,
 * names made of parts. Failure is sticky: once `status` is set every call does nothing and answers -1, so that a reader asks once.
 */
#ifndef CVI_BUILD_H
#define CVI_BUILD_H

#include "graph/graph.h"

typedef struct cvi_build {
    cvs_model *model;
    cvi_graph *g;
    cvs_error *err;
    cvs_status status;
    int node; /* the last one made by cvi_build_op */
    /* Adds the place in the file to an error that is about to be kept; NULL: there is none to add. */
    void (*locate)(const void *owner, cvs_error *err, cvs_status s);
    const void *owner;
} cvi_build;

bool cvi_build_ok(const cvi_build *b);
/* Keeps a failure (CVS_OK: nothing), located. */
void cvi_build_keep(cvi_build *b, cvs_status s);
/* Keeps the failure that `call` answers; after an earlier one `call` is not even made, so that the first stays. */
#define cvi_build_set(b, call) (cvi_build_ok(b) ? cvi_build_keep((b), (call)) : (void)0)
void cvi_build_no_memory(cvi_build *b, size_t bytes);

/* A formatted name in the arena; "" after a failure. */
const char *cvi_build_name(cvi_build *b, const char *fmt, ...) CVI_PRINTF(2, 3);
/* A node with one output, whose value it answers; attributes follow by the calls below, twelve at most. */
int cvi_build_op(cvi_build *b, const char *op, const char *name, bool hidden, int n, const int *in);
/* A node with n_out outputs, left absent (-1) for cvi_build_out. Answers the node. */
int cvi_build_node(cvi_build *b, const char *op, const char *name, int n, const int *in, int n_out);
/* Gives output k of the last node a value of that name. */
int cvi_build_out(cvi_build *b, int k, const char *name, bool hidden);
void cvi_build_int(cvi_build *b, const char *name, int64_t v);
void cvi_build_float(cvi_build *b, const char *name, double v);
void cvi_build_string(cvi_build *b, const char *name, const char *v);
void cvi_build_ints(cvi_build *b, const char *name, int n, const int64_t *v);
void cvi_build_floats(cvi_build *b, const char *name, int n, const double *v);
void cvi_build_strings(cvi_build *b, const char *name, int n, const char *const *v);

/* As the setters of graph.h. */
bool cvi_attr_set_strings(cvi_graph *g, cvi_attr *a, const char *name, int n, const char *const *v);

/* Copies n parts of `bytes` each: part k of `to` is part order[k] of `from` (gates of recurrent layers). */
void cvi_build_parts(void *to, const void *from, int n, const int *order, size_t bytes);

/* Constants, hidden; data are copied into the arena, but those of `tensor` are borrowed (they live as long as the model). */
int cvi_build_const_ints(cvi_build *b, const char *name, int n, const int64_t *v);
int cvi_build_const_float(cvi_build *b, const char *name, double v);
int cvi_build_const_floats(cvi_build *b, const char *name, int rank, const int64_t *dim, const float *v);
int cvi_build_constant(cvi_build *b, const char *name, const cvs_tensor *tensor);
/* n equal numbers in the arena (at most 2^24, which no file backs); a constant of them. */
float *cvi_build_filled(cvi_build *b, int64_t n, double v);
int cvi_build_fill(cvi_build *b, const char *name, int64_t n, double v);
/* Settles a value that a call of graph.h answered: -1 becomes the builder's failure. */
int cvi_build_made(cvi_build *b, int v);

#endif

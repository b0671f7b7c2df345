/* SPDX-License-Identifier: MIT
 * ultralytics.h (internal) - what the files ultralytics*.c share: checkpoints of YOLOv5 and of the package ultralytics, which are whole
 * pickled modules. Each module class that is known has one function, which makes the nodes that the class stands for out of the settings
 * and parameters in the file; nothing of the file is run.
 */
#ifndef CVI_ULTRALYTICS_H
#define CVI_ULTRALYTICS_H

#include "formats/script.h"

/* A module of the tree at its dotted path, while its nodes are made. */
typedef struct cvi_yolo {
    script *s;
    const cvi_pickle *p;
    const char *path;
} cvi_yolo;

typedef struct cvi_yolo_class {
    const char *name; /* the last part of the class's name */
    script_value (*run)(const cvi_yolo *m, script_value x);
} cvi_yolo_class;
typedef struct cvi_yolo_classes {
    const cvi_yolo_class *list;
    int n;
} cvi_yolo_classes;
extern const cvi_yolo_classes cvi_yolo_blocks, cvi_yolo_heads;

/* ---- ultralytics.c: a module's parts and settings ---- */
/* The submodule of that name (dots lead into it), NULL where there is none. */
const cvi_pickle *cvi_yolo_part(const cvi_yolo *m, const char *name);
/* What the submodule makes of x. */
script_value cvi_yolo_run(const cvi_yolo *m, const char *name, script_value x);
int64_t cvi_yolo_int(const cvi_yolo *m, const char *name, int64_t otherwise);
double cvi_yolo_float(const cvi_yolo *m, const char *name, double otherwise);
/* Item i of a list that several layers feed; x itself where it is none and i is 0. */
script_value cvi_yolo_item(const cvi_yolo *m, script_value x, int i);
int cvi_yolo_count(script_value x);

/* ---- nodes of the module itself; values of the graph. `last`: the next node is the module's result and bears its path ---- */
void cvi_yolo_at(const cvi_yolo *m, bool last);
int cvi_yolo_op(const cvi_yolo *m, const char *op, int n, const int *in);
int cvi_yolo_two(const cvi_yolo *m, const char *op, int a, int b);
int cvi_yolo_number(const cvi_yolo *m, const char *op, int x, double number);
int cvi_yolo_softmax(const cvi_yolo *m, int x, int64_t axis);
int cvi_yolo_concat(const cvi_yolo *m, int n, const int *in, int64_t axis);
/* x cut along an axis into n pieces of these sizes. */
void cvi_yolo_split(const cvi_yolo *m, int x, int64_t axis, int n, const int64_t *sizes, int *out);
/* 0 keeps a size, -1 is what is left. */
int cvi_yolo_reshape(const cvi_yolo *m, int x, int n, const int64_t *dim);
int cvi_yolo_turn(const cvi_yolo *m, int x, int n, const int64_t *perm);
/* A constant; the numbers are copied. */
int cvi_yolo_constant(const cvi_yolo *m, const char *name, int rank, const int64_t *dim, const float *v);
/* Size of a value's axis, 0 where it is not known. */
int64_t cvi_yolo_dim(const cvi_yolo *m, int x, int axis);

#endif

/* SPDX-License-Identifier: MIT
 * darknet.h (internal) - what the files darknet_*.c share: a cfg (sections with key=value) with its weights becomes a graph.
 *
 * Names: a section's own computation is "<kind>_<number>" as in the weights' order ("conv_0", "shortcut_5"); what it does afterwards is
 * "bn_<number>" and "<activation>_<number>".
 */
#ifndef CVI_DARKNET_H
#define CVI_DARKNET_H

#include "formats/value_shapes.h"
#include "formats/reader.h"

typedef struct darknet_option {
    const char *key, *value;
    int line;
    bool used;
} darknet_option;

typedef struct darknet_section {
    const char *kind; /* without brackets */
    int line, n, capacity;
    darknet_option *option;
} darknet_section;

typedef struct darknet_cfg {
    darknet_section *section; /* the first is [net] */
    int n, capacity;
} darknet_cfg;

/* The numbers, taken one after the other. data NULL: there are none. */
typedef struct darknet_weights {
    const uint8_t *data;
    size_t size, at;
    bool transposed; /* dense layers are stored [in, out] */
} darknet_weights;

typedef struct darknet {
    cvi_build b;
    cvi_shapes shapes;
    cvi_arena *a;
    const darknet_cfg *cfg;
    darknet_section *section; /* being built */
    int number;               /* of it, as layers are counted */
    darknet_weights *weights;
    int *made; /* value of each layer */
    int last;  /* value before this section */
    const char *refused;
} darknet;

typedef struct darknet_kind {
    const char *name;       /* in the file */
    const char *short_name; /* in names of values */
    void (*make)(darknet *d);
} darknet_kind;
const darknet_kind *cvi_darknet_kind(const char *name);

/* ---- darknet_text.c ---- */
cvs_status cvi_darknet_parse(cvi_arena *a, const char *text, size_t size, darknet_cfg *out, cvs_error *err);
/* Options of the section being built; wrong numbers fail at their line. */
const char *cvi_darknet_text(darknet *d, const char *key, const char *otherwise);
int64_t cvi_darknet_int(darknet *d, const char *key, int64_t otherwise);
double cvi_darknet_float(darknet *d, const char *key, double otherwise);
/* A list of whole numbers; answers how many (0: absent). */
int cvi_darknet_list(darknet *d, const char *key, int max, int64_t *out);

/* ---- darknet_weights.c ---- */
cvs_status cvi_darknet_weights(const cvi_file *file, darknet_weights *out, cvs_error *err);
/* The next numbers as a constant of that shape, "<section>.<part>". */
int cvi_darknet_take(darknet *d, const char *part, int rank, const int64_t *dim);

/* ---- darknet_build.c, darknet_layers.c ---- */
cvs_status cvi_darknet_build(cvs_model *model, const darknet_cfg *cfg, darknet_weights *weights,
                             cvs_error *err);
const char *cvi_darknet_name(darknet *d, const char *kind);
/* Dimension of a value (1: channels, 2: rows, 3: columns), batch 1; fails when unknown. */
int64_t cvi_darknet_dim(darknet *d, int value, int axis);
/* The value of a layer by what `from` and `layers` say: negative counts back. */
int cvi_darknet_layer(darknet *d, int64_t index);
int cvi_darknet_op(darknet *d, const char *op, const char *name, int n, const int *in);
/* Applies the section's activation. */
int cvi_darknet_activate(darknet *d, int value, const char *otherwise);
void cvi_darknet_done(darknet *d, int value);
/* BatchNormalization by parameters in the file's order. */
int cvi_darknet_normalise(darknet *d, int x, int beta, int scale, int mean, int variance);

/* ---- darknet_more.c ---- */
/* A layer's value as it is added to another one of other sizes; -1 (and refused): it cannot. */
int cvi_darknet_fit(darknet *d, int value, int like, int number);
void cvi_darknet_crop(darknet *d);
void cvi_darknet_local(darknet *d);
void cvi_darknet_deconvolutional(darknet *d);

#endif

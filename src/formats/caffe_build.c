/* SPDX-License-Identifier: MIT
 * caffe_build.c - the small moves that Caffe's layers are built from: parameters of the prototxt with their place in
 * messages, nodes and attributes, constants from the weights file, shapes.
 */
#include <math.h>
#include <stdlib.h>

#include "formats/caffe.h"

void cvi_caffe_bad(cvi_caffe *c, const caffe_field *f, cvs_status s) {
    if (cvi_build_ok(&c->b)) {
        cvi_at_line(c->b.err, s, f->line, f->column);
        cvi_build_keep(&c->b, s);
    }
}

/* ---- parameters ---- */

const caffe_message *cvi_caffe_params(const cvi_caffe *c) {
    const caffe_layer *l = c->layer;
    if (l->v0) {
        return l->v0;
    }
    return l->kind && l->kind->param[0] ? cvi_caffe_message(l->message, l->kind->param) : NULL;
}

static const caffe_field *find(const cvi_caffe *c, const char *name, const char *old, int k) {
    const caffe_message *m = cvi_caffe_params(c);
    const caffe_field *f = cvi_caffe_field(m, name, k);
    return f || !old ? f : cvi_caffe_field(m, old, k);
}

static double number(cvi_caffe *c, const caffe_field *f, double otherwise) {
    if (!f) {
        return otherwise;
    }
    char *end;
    double v = strtod(f->text, &end);
    if (end != f->text && (*end == 'f' || *end == 'F')) {
        end++;
    }
    if (f->message || end == f->text || *end || !isfinite(v)) {
        cvi_caffe_bad(c, f,
                      cvi_build_ok(&c->b)
                          ? cvi_fail(c->b.err, CVS_E_FORMAT, "%.60s should be a number, it is \"%.60s\"",
                                     f->name, f->message ? "{" : f->text)
                          : CVS_E_FORMAT);
        return otherwise;
    }
    return v;
}

static int64_t whole(cvi_caffe *c, const caffe_field *f, int64_t otherwise) {
    double v = number(c, f, (double)otherwise);
    if (f && (v != floor(v) || fabs(v) > INT32_MAX)) {
        if (cvi_build_ok(&c->b)) { /* else something before it is told */
            cvi_caffe_bad(c, f,
                          cvi_fail(c->b.err, CVS_E_FORMAT,
                                   "%.60s should be a whole number of 32 bits, it is %.60s", f->name,
                                   f->text));
        }
        return otherwise;
    }
    return (int64_t)v;
}

double cvi_caffe_number_of(cvi_caffe *c, const caffe_message *m, const char *name, int k, double otherwise) {
    return number(c, cvi_caffe_field(m, name, k), otherwise);
}

int64_t cvi_caffe_int_of(cvi_caffe *c, const caffe_message *m, const char *name, int k, int64_t otherwise) {
    return whole(c, cvi_caffe_field(m, name, k), otherwise);
}

double cvi_caffe_number(cvi_caffe *c, const char *name, const char *old, int k, double otherwise) {
    return number(c, find(c, name, old, k), otherwise);
}

int64_t cvi_caffe_int(cvi_caffe *c, const char *name, const char *old, int k, int64_t otherwise) {
    return whole(c, find(c, name, old, k), otherwise);
}

bool cvi_caffe_bool(cvi_caffe *c, const char *name, const char *old, bool otherwise) {
    const caffe_field *f = find(c, name, old, 0);
    if (!f) {
        return otherwise;
    }
    bool yes = cvi_caffe_same(f->text, "true") || cvi_caffe_same(f->text, "t") || strcmp(f->text, "1") == 0;
    bool no = cvi_caffe_same(f->text, "false") || cvi_caffe_same(f->text, "f") || strcmp(f->text, "0") == 0;
    if (!yes && !no && cvi_build_ok(&c->b)) {
        cvi_caffe_bad(c, f,
                      cvi_fail(c->b.err, CVS_E_FORMAT, "%.60s should be true or false, it is \"%.60s\"",
                               f->name, f->text));
    }
    return yes;
}

const char *cvi_caffe_word(const cvi_caffe *c, const char *name, const char *otherwise) {
    const caffe_field *f = find(c, name, NULL, 0);
    return f && !f->message ? f->text : otherwise;
}

/* ---- nodes ---- */

static const char *part_name(cvi_caffe *c, const char *part) {
    return cvi_build_name(&c->b, "%s/%s", c->layer->name, part);
}

int cvi_caffe_op(cvi_caffe *c, const char *op, const char *part, int n, const int *in) {
    const caffe_layer *l = c->layer;
    const char *name = part         ? part_name(c, part)
                       : c->name    ? c->name
                       : l->name[0] ? l->name
                       : l->n_top   ? l->top[0]
                                    : "layer";
    return cvi_build_op(&c->b, op, name, part != NULL, n, in);
}

int cvi_caffe_ints(cvi_caffe *c, const char *part, int n, const int64_t *v) {
    return cvi_build_const_ints(&c->b, part_name(c, part), n, v);
}

int cvi_caffe_float(cvi_caffe *c, const char *part, double v) {
    return cvi_build_const_float(&c->b, part_name(c, part), v);
}

/* ---- weights ---- */

int cvi_caffe_constant(cvi_caffe *c, int64_t n, double v) {
    char name[64];
    snprintf(name, sizeof name, "caffe/%g/%lld", v, (long long)n);
    int old = cvi_build_ok(&c->b) ? cvi_graph_find(c->b.g, name) : -1;
    if (old >= 0 && c->b.g->values[old].constant) {
        return old;
    }
    float *all = cvi_build_filled(&c->b, n, v);
    return all ? cvi_build_const_floats(&c->b, name, 1, &n, all) : -1;
}

bool cvi_caffe_has_blob(const cvi_caffe *c, int blob) {
    return c->layer->blobs && blob < c->layer->blobs->n;
}

/* Settles the one unknown dimension by the blob's count and compares; false: they do not fit. */
static bool settle(const caffe_blob *b, cvs_tensor *t) {
    int64_t known = 1;
    int open = -1;
    for (int i = 0; i < t->rank; i++) {
        if (t->dim[i] < 0) {
            open = i;
        } else if (!cvi_mul(known, t->dim[i], &known)) {
            return false;
        }
    }
    if (open >= 0) {
        t->dim[open] = known > 0 && b->count % known == 0 ? b->count / known : 0;
        return t->dim[open] > 0;
    }
    return known == b->count;
}

static float *take(cvi_caffe *c, const caffe_blob *b, cvs_tensor *t, int blob, double times) {
    if (!settle(b, t)) {
        char have[200], want[200];
        cvi_build_set(&c->b, cvi_fail(c->b.err, CVS_E_SHAPE,
                                      "blob %d of this layer has shape %s in the weights file, %s is needed",
                                      blob, cvs_shape_text(b->rank, b->dim, have, sizeof have),
                                      cvs_shape_text(t->rank, t->dim, want, sizeof want)));
        return NULL;
    }
    float *data = cvi_arena_alloc(c->b.g->arena, b->count, sizeof *data);
    if (!data) {
        cvi_build_no_memory(&c->b, (size_t)b->count * sizeof *data);
        return NULL;
    }
    cvi_build_set(&c->b, cvi_caffe_numbers(b, data, c->b.err));
    for (int64_t i = 0; times != 1 && i < b->count; i++) {
        data[i] = (float)((double)data[i] * times);
    }
    return data;
}

int cvi_caffe_param(cvi_caffe *c, const char *part, int blob, int rank, const int64_t *dim, double fill,
                    double times) {
    cvs_tensor t = {.dtype = CVS_F32, .rank = rank};
    char shape[200];
    if (!cvi_build_ok(&c->b)) {
        return -1;
    }
    memcpy(t.dim, dim, (size_t)rank * sizeof *dim);
    if (cvi_caffe_has_blob(c, blob)) {
        t.data = take(c, &c->layer->blobs->blob[blob], &t, blob, times);
    } else if (cvs_tensor_count(&t) <= 0) {
        cvi_build_set(&c->b, cvi_fail(c->b.err, CVS_E_SHAPE, "a parameter of shape %s cannot be",
                                      cvs_shape_text(rank, t.dim, shape, sizeof shape)));
    } else {
        c->b.model->has_weights = false;
        c->missing += blob == 0 && c->weights;
        t.data = isnan(fill) ? NULL : cvi_build_filled(&c->b, cvs_tensor_count(&t), fill);
    }
    int64_t bytes = 0;
    if (cvi_build_ok(&c->b) && !cvi_mul(cvs_tensor_count(&t), 4, &bytes)) {
        cvi_build_set(&c->b, cvi_fail(c->b.err, CVS_E_SHAPE, "a parameter of shape %s cannot be",
                                      cvs_shape_text(rank, t.dim, shape, sizeof shape)));
    }
    t.bytes = (size_t)bytes;
    char *name = cvi_build_ok(&c->b) ? cvi_arena_printf(c->b.g->arena, "%s.%s", c->layer->name, part) : NULL;
    if (!name) {
        cvi_build_no_memory(&c->b, strlen(part));
        return -1;
    }
    return cvi_build_made(&c->b, cvi_graph_constant(c->b.g, name, &t, c->b.err));
}

/* ---- shapes ---- */

/* Where the sides are stand-ins, what does not fit may fit the real ones. */
const cvs_tensor *cvi_caffe_shape(cvi_caffe *c, int value) {
    c->shapes.strict = !c->guessed;
    return cvi_shapes_of(&c->shapes, &c->b, value);
}

int cvi_caffe_rank(cvi_caffe *c, int value) {
    const cvs_tensor *s = cvi_caffe_shape(c, value);
    return s ? s->rank : 4;
}

int64_t cvi_caffe_dim(cvi_caffe *c, int value, int axis) {
    const cvs_tensor *s = cvi_caffe_shape(c, value);
    return s && axis < s->rank ? s->dim[axis] : -1;
}

int cvi_caffe_axis(cvi_caffe *c, const char *name, const char *old, int64_t otherwise, int rank) {
    int64_t a = cvi_caffe_int(c, name, old, 0, otherwise);
    a = a < 0 ? a + rank : a;
    if (cvi_build_ok(&c->b) && (a < 0 || a >= rank)) {
        const caffe_field *f = find(c, name, old, 0);
        cvs_status s = cvi_fail(c->b.err, CVS_E_SHAPE, "axis %lld does not exist in a tensor of rank %d",
                                (long long)(a < 0 ? a - rank : a), rank);
        if (f) {
            cvi_caffe_bad(c, f, s);
        } else {
            cvi_build_set(&c->b, s);
        }
        return 0;
    }
    return cvi_build_ok(&c->b) ? (int)a : 0;
}

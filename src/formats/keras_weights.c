/* SPDX-License-Identifier: MIT
 * keras_weights.c - finds the stored weights of a layer and turns them into constants with the graph's axes.
 * In an HDF5 file the weights of a layer of the whole model are a group and are taken in order; inside a nested model
 * and in TensorFlow.js they are found by name ("<layer>/<weight>", prefixes and suffixes allowed).
 */
#include "formats/keras.h"
#include "ops/op.h"

/* ---- finding ---- */

/* The part of a weight's name after the last '/', without ":0". */
static size_t last_part(const char *name, const char **part) {
    const char *slash = strrchr(name, '/');
    *part = slash ? slash + 1 : name;
    return strcspn(*part, ":");
}

static bool is_called(const char *name, const char *slot) {
    const char *part = NULL;
    size_t n = last_part(name, &part);
    if (n == 16 && strcmp(slot, "kernel") == 0 && memcmp(part, "depthwise_kernel", n) == 0) {
        return true; /* what DepthwiseConv2D called it before Keras 3, and TensorFlow.js does */
    }
    return strlen(slot) == n && memcmp(part, slot, n) == 0;
}

/* Whether one of the folders in a weight's name is the layer's name; `loose` allows a suffix "_1". */
static bool is_of_layer(const char *name, const char *layer, bool loose) {
    size_t n = strlen(layer);
    for (const char *p = name; p; p = strchr(p, '/') ? strchr(p, '/') + 1 : NULL) {
        if (strncmp(p, layer, n) == 0) {
            const char *rest = p + n;
            if (*rest == '/' || (loose && *rest == '_' && rest[1 + strspn(rest + 1, "0123456789")] == '/')) {
                return true;
            }
        }
    }
    return false;
}

typedef bool (*matcher)(const char *name, const char *layer, const char *slot);

static bool exactly(const char *name, const char *layer, const char *slot) {
    return is_called(name, slot) && is_of_layer(name, layer, false);
}

static bool loosely(const char *name, const char *layer, const char *slot) {
    return is_called(name, slot) && is_of_layer(name, layer, true);
}

static bool by_slot(const char *name, const char *layer, const char *slot) {
    (void)layer;
    return is_called(name, slot);
}

/* The first unused weight of [first, first + n) that matches; ever looser. */
static cvi_keras_weight *search(cvi_keras_source *s, int64_t first, int64_t n, const char *layer,
                                const char *slot) {
    static const matcher matchers[] = {exactly, loosely, by_slot};
    for (int m = 0; m < CVI_COUNT(matchers); m++) {
        for (int64_t i = first; i < first + n; i++) {
            if (!s->weight[i].used && matchers[m](s->weight[i].name, layer, slot)) {
                return &s->weight[i];
            }
        }
        s->searched += n;
    }
    return NULL;
}

static cvi_keras_weight *find(cvi_keras *k, const char *slot) {
    cvi_keras_source *s = k->source;
    const cvi_keras_layer *l = k->layer;
    if (s->searched > INT64_C(100000000)) {
        cvi_build_set(&k->b, cvi_fail(k->b.err, CVS_E_LIMIT, "too many weights and layers to match by name"));
        return NULL;
    }
    cvi_keras_weight *w = NULL;
    if (s->n_groups == 0) {
        w = search(s, 0, s->n, l->name, slot);
    } else if (l->group && (l->top == l || s->by_path)) { /* in order */
        w = k->slot < l->group->n ? &s->weight[l->group->first + k->slot] : NULL;
    } else if (l->top->group && !s->by_path) {
        w = search(s, l->top->group->first, l->top->group->n, l->name, slot);
    }
    if (!w) {
        cvi_build_set(
            &k->b, cvi_fail(k->b.err, CVS_E_FORMAT, "the file has no weight \"%.60s\" for this layer", slot));
        return NULL;
    }
    w->used = true;
    return w;
}

void cvi_keras_all_taken(cvi_keras *k) {
    const cvi_keras_group *g = cvi_build_ok(&k->b) && k->source ? k->layer->group : NULL;
    if (g && k->layer->kind && k->layer->kind->weighted && k->layer->calls == 1 && k->slot < g->n) {
        cvi_build_set(&k->b, cvi_fail(k->b.err, CVS_E_FORMAT,
                                      "the file has %lld weights for this layer, %d expected",
                                      (long long)g->n, k->slot));
    }
}

void cvi_keras_skip_rest(cvi_keras *k) {
    const cvi_keras_group *g = k->source ? k->layer->group : NULL;
    for (int64_t i = k->slot; g && i < g->n; i++) {
        k->source->weight[g->first + i].used = true;
    }
    k->slot = KERAS_MAX_SLOTS;
}

/* ---- turning ---- */

static cvs_status wrong_shape(cvi_keras *k, const cvi_keras_want *want, const cvs_tensor *t) {
    char got[96], wanted[96];
    cvs_status s =
        cvi_fail(k->b.err, CVS_E_SHAPE, "the weight \"%.40s\" has shape %s, the layer's settings ask for %s",
                 want->name, cvs_shape_text(t->rank, t->dim, got, sizeof got),
                 cvs_shape_text(want->rank, want->dim, wanted, sizeof wanted));
    return cvi_at_attr(k->b.err, s, want->name);
}

/* Keras 1 kept kernels of channels_first layers as [O,I,h,w]: seen as [h,w,I,O] through these strides. */
static bool old_kernel(const cvi_keras *k, const cvi_keras_want *want, const cvs_tensor *t) {
    return k->version == 1 && k->layer->top && want->rank == 4 && t->rank == 4 && !cvi_keras_last(k) &&
           want->flip == 2 && t->dim[2] == want->dim[0] && t->dim[3] == want->dim[1] &&
           (want->dim[2] < 0 || t->dim[1] == want->dim[2]) && (want->dim[3] < 0 || t->dim[0] == want->dim[3]);
}

typedef struct view {
    int rank;
    int64_t dim[CVS_MAX_RANK], stride[CVS_MAX_RANK]; /* in elements; negative where flipped */
    int64_t start;
} view;

/* How the stored elements are visited to come out in the graph's order. */
static bool make_view(const cvi_keras *k, const cvi_keras_want *want, const cvs_tensor *t, view *v) {
    bool old = old_kernel(k, want, t);
    static const int to_old[4] = {2, 3, 1, 0};
    int64_t dim[CVS_MAX_RANK], stride[CVS_MAX_RANK], stored[CVS_MAX_RANK], step = 1;
    if (t->rank != want->rank) {
        return false;
    }
    for (int i = t->rank - 1; i >= 0; i--) {
        stored[i] = step;
        step *= t->dim[i];
    }
    for (int i = 0; i < t->rank; i++) {
        dim[i] = t->dim[old ? to_old[i] : i];
        stride[i] = stored[old ? to_old[i] : i];
    }
    v->rank = t->rank;
    v->start = 0;
    bool flip = k->theano && want->flip > 0;
    for (int i = 0; i < t->rank; i++) {
        if (want->dim[i] >= 0 && want->dim[i] != dim[i]) {
            return false;
        }
        if (flip && i < want->flip && dim[i] > 0) {
            v->start += (dim[i] - 1) * stride[i];
            stride[i] = -stride[i];
        }
    }
    for (int i = 0; i < t->rank; i++) {
        int from = want->perm ? want->perm[i] : i;
        v->dim[i] = dim[from];
        v->stride[i] = stride[from];
    }
    return true;
}

static bool in_order(const view *v) {
    int64_t step = 1;
    for (int i = v->rank - 1; i >= 0; i--) {
        if (v->dim[i] != 1 && v->stride[i] != step) {
            return false;
        }
        step *= v->dim[i];
    }
    return true;
}

static void gather(const float *from, const view *v, int axis, int64_t at, float **out) {
    if (axis >= v->rank - 1) {
        int64_t n = v->rank > 0 ? v->dim[axis] : 1, step = v->rank > 0 ? v->stride[axis] : 0;
        for (int64_t i = 0; i < n; i++) {
            (*out)[i] = from[at + i * step];
        }
        *out += n;
        return;
    }
    for (int64_t i = 0; i < v->dim[axis]; i++) {
        gather(from, v, axis + 1, at + i * v->stride[axis], out);
    }
}

/* The shape that the constant gets. */
static bool out_shape(const cvi_keras_want *want, const view *v, cvs_tensor *out) {
    int64_t count = 1, known = 1;
    int open = -1;
    for (int i = 0; i < v->rank; i++) {
        count *= v->dim[i];
    }
    out->rank = want->out_rank ? want->out_rank : v->rank;
    for (int i = 0; i < out->rank; i++) {
        out->dim[i] = want->out_rank ? want->out_dim[i] : v->dim[i];
        if (out->dim[i] < 0) {
            open = i;
        } else {
            known *= out->dim[i];
        }
    }
    if (open >= 0) {
        out->dim[open] = known > 0 ? count / known : 0;
        known *= out->dim[open];
    }
    return known == count;
}

/* Makes the constant's numbers: borrowed when the file's bytes will do, else in the arena. */
static cvs_status turn(cvi_keras *k, const cvi_keras_want *want, const cvs_tensor *t, cvs_tensor *out) {
    view v;
    *out = (cvs_tensor){.dtype = CVS_F32};
    int64_t count = cvs_tensor_count(t);
    if (!make_view(k, want, t, &v) || count < 0 || !out_shape(want, &v, out)) {
        return wrong_shape(k, want, t);
    }
    out->bytes = (size_t)count * sizeof(float);
    if (t->dtype == CVS_F32 && !t->owned && in_order(&v)) {
        out->data = t->data;
        return CVS_OK;
    }
    if (count == 0) {
        return CVS_OK;
    }
    cvs_tensor wide = {0};
    if (t->dtype != CVS_F32) {
        k->b.model->widened = k->b.model->widened || cvs_dtype_size(t->dtype) < 4;
        CVI_TRY(cvs_tensor_convert(t, CVS_F32, &wide, k->b.err));
    }
    const float *from = wide.data ? wide.data : t->data;
    float *to = cvi_arena_alloc(k->b.model->arena, count, sizeof *to);
    out->data = to;
    if (to && in_order(&v)) {
        memcpy(to, from, out->bytes);
    } else if (to) {
        gather(from, &v, 0, v.start, &to);
    }
    cvs_tensor_free(&wide);
    return out->data ? CVS_OK : cvi_no_memory(k->b.err, out->bytes);
}

/* Without stored weights: only the shape, which must be known. */
static cvs_status shape_only(cvi_keras *k, const cvi_keras_want *want, cvs_tensor *out) {
    view v = {.rank = want->rank};
    *out = (cvs_tensor){.dtype = CVS_F32};
    int64_t count = 1;
    for (int i = 0; i < want->rank; i++) {
        v.dim[i] = want->dim[want->perm ? want->perm[i] : i];
        if (v.dim[i] < 0 || !cvi_mul(count, v.dim[i], &count) ||
            count > k->b.model->limits.max_memory_bytes / 4) {
            return cvi_fail(k->b.err, CVS_E_SHAPE,
                            "the size of the weight \"%.60s\" cannot be told: the file has no weights, "
                            "and the input's shape is not fixed or too large",
                            want->name);
        }
    }
    k->b.model->has_weights = false;
    return out_shape(want, &v, out) ? CVS_OK : wrong_shape(k, want, out);
}

int cvi_keras_take(cvi_keras *k, const cvi_keras_want *want) {
    cvi_keras_layer *l = k->layer;
    if (!cvi_build_ok(&k->b) || k->slot >= KERAS_MAX_SLOTS) {
        return -1;
    }
    if (k->slot < l->n_slots) { /* a later call of a shared layer */
        return l->slot[k->slot++];
    }
    cvs_tensor stored = {0}, t = {0};
    cvs_status s = CVS_OK;
    if (k->source) {
        cvi_keras_weight *w = find(k, want->name);
        if (!w) {
            return -1;
        }
        s = k->source->load(k->source, w, &stored, k->b.err);
        s = s == CVS_OK ? turn(k, want, &stored, &t) : s;
        cvs_tensor_free(&stored);
    } else {
        s = shape_only(k, want, &t);
    }
    const char *name = s == CVS_OK ? cvi_arena_printf(k->b.model->arena, "%s/%s", l->path, want->name) : "";
    s = name ? s : cvi_no_memory(k->b.err, 0);
    int v = s == CVS_OK ? cvi_graph_constant(k->b.g, name, &t, k->b.err) : -1;
    if (v < 0) {
        cvi_build_set(&k->b, s != CVS_OK                            ? s
                             : k->b.err && k->b.err->code != CVS_OK ? k->b.err->code
                                                                    : CVS_E_MEMORY);
        return -1;
    }
    k->b.g->values[v].hidden = true;
    l->slot[l->n_slots++] = v;
    k->slot++;
    return v;
}

/* SPDX-License-Identifier: MIT
 * keras_state.c - Keras weights that came without their network (.weights.h5, or .h5 of save_weights), as named tensors: each turned to
 * the order that PyTorch and ONNX keep and named as there ("conv1_conv.weight"), for the architectures of archs.def, or to be shown.
 */
#include <stdlib.h>

#include "formats/hdf5.h"
#include "formats/keras.h"
#include "formats/state.h"

/* The kind of a weight: from its name, or in Keras 3, where it is a number, from the group's shapes. */
typedef enum kind {
    OTHER,
    KERNEL,
    DEPTHWISE,
    FIRST_HALF, /* of a separable convolution; its second half bears the layer's name */
    BIAS,
    GAMMA,
    BETA,
    MEAN,
    VARIANCE,
    PICTURE_MEAN /* of a Normalization layer */
} kind;

/* What weights are called: by Keras 2 and 3, by Keras 1 ("conv1_W_1:0"), by TF-Slim, and here. */
static const struct {
    const char *keras, *oldest, *slim, *ours;
} names[] = {[OTHER] = {"", "", "", ""},
             [KERNEL] = {"kernel", "_W", "weights", ".weight"},
             [DEPTHWISE] = {"depthwise_kernel", "", "depthwise_weights", ".weight"},
             [FIRST_HALF] = {"depthwise_kernel", "", "depthwise_weights", "/depthwise.weight"},
             [BIAS] = {"bias", "_b", "biases", ".bias"},
             [GAMMA] = {"gamma", "_gamma", "", ".weight"},
             [BETA] = {"beta", "_beta", "", ".bias"},
             [MEAN] = {"moving_mean", "_running_mean", "", ".running_mean"},
             [VARIANCE] = {"moving_variance", "_running_std", "", ".running_var"},
             [PICTURE_MEAN] = {"mean", "", "", ".mean"}};

/* Keras 3 stores numbers for names: what a weight is follows from the layer's class and from how many there are. */
static kind kind_by_number(const cvi_keras_group *g, int64_t i, int rank) {
    static const kind full[] = {GAMMA, BETA, MEAN, VARIANCE};
    const char *slash = strrchr(g->counted, '/'), *class_name = slash ? slash + 1 : g->counted;
    bool separable = strncmp(class_name, "separable_", 10) == 0;
    if (strncmp(class_name, "normalization", 13) == 0) {
        return i == 0 ? PICTURE_MEAN : OTHER;
    }
    if (rank >= 2) {
        bool depthwise = strncmp(class_name, "depthwise_", 10) == 0;
        return i == 0                ? (separable   ? FIRST_HALF
                                        : depthwise ? DEPTHWISE
                                                    : KERNEL)
               : i == 1 && separable ? KERNEL
                                     : OTHER;
    }
    bool batch = strncmp(class_name, "batch_norm", 10) == 0, norm = batch || strstr(class_name, "norm");
    return rank != 1            ? OTHER
           : batch && g->n == 3 ? full[i + 1] /* without a scale */
           : norm && i < 4      ? full[i]
           : g->n == 1          ? GAMMA /* LayerScale */
           : i + 1 == g->n      ? BIAS
                                : OTHER;
}

static bool ends_with(const char *text, size_t n, const char *tail) {
    size_t k = strlen(tail);
    return k > 0 && n >= k && memcmp(text + n - k, tail, k) == 0;
}

static kind kind_of(const cvi_keras_source *s, const cvi_keras_group *g, int64_t i, int rank) {
    if (s->by_path) {
        return kind_by_number(g, i, rank);
    }
    const char *name = s->weight[g->first + i].name, *slash = strrchr(name, '/');
    size_t from = slash ? (size_t)(slash + 1 - name) : 0, n = strcspn(name + from, ":"), shorter = n;
    name += from;
    while (shorter > 0 && name[shorter - 1] >= '0' && name[shorter - 1] <= '9') {
        shorter--;
    }
    shorter -= shorter > 0 && shorter < n && name[shorter - 1] == '_'; /* "conv1_W_1" is "conv1_W" */
    bool separable = false;
    for (int64_t k = 0; k < g->n; k++) {
        separable |= strstr(s->weight[g->first + k].name, "pointwise_") != NULL;
    }
    if ((n == 16 && memcmp(name, "pointwise_kernel", n) == 0) ||
        (n == 17 && memcmp(name, "pointwise_weights", n) == 0)) {
        return KERNEL;
    }
    for (int k = KERNEL; k <= PICTURE_MEAN; k++) {
        if ((n == strlen(names[k].keras) && memcmp(name, names[k].keras, n) == 0) ||
            (slash && n == strlen(names[k].slim) && memcmp(name, names[k].slim, n) == 0) ||
            (!slash && ends_with(name, shorter, names[k].oldest))) {
            return k == DEPTHWISE && separable ? FIRST_HALF : (kind)k;
        }
    }
    return rank == 1 && g->n == 1 ? GAMMA : OTHER; /* ConvNeXt's scales have no name of their own */
}

/* ---- names of layers ---- */

/* The weights of a nested model are one group of the older files: then their own names tell the layer. */
static bool is_nested(const cvi_keras_source *s, const cvi_keras_group *g) {
    const char *first = g->n ? s->weight[g->first].name : "", *slash = strrchr(first, '/');
    size_t n = slash ? (size_t)(slash - first) : 0;
    for (int64_t i = 1; i < g->n; i++) {
        const char *name = s->weight[g->first + i].name;
        const char *other = strrchr(name, '/');
        if ((other ? (size_t)(other - name) : 0) != n || memcmp(name, first, n) != 0) {
            return true;
        }
    }
    return false;
}

static int by_last(const void *a, const void *b) {
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static const char *last_part(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/* Whether the layers of nested models can go without the names of the models around them. */
static cvs_status are_last_parts_unique(const cvi_state *s, const cvi_keras_source *from, bool *unique,
                                        cvs_error *err) {
    int64_t n = 0;
    const char **last = cvi_arena_alloc(s->model->arena, from->n_groups + 1, sizeof *last);
    if (!last) {
        return cvi_no_memory(err, (size_t)from->n_groups * sizeof *last);
    }
    for (int64_t i = 0; i < from->n_groups; i++) {
        if (from->group[i].n > 0) {
            last[n++] = last_part(from->group[i].name);
        }
    }
    if (n > 1) {
        qsort(last, (size_t)n, sizeof *last, by_last);
    }
    *unique = true;
    for (int64_t i = 1; i < n; i++) {
        *unique &= strcmp(last[i - 1], last[i]) != 0;
    }
    return CVS_OK;
}

/* "conv1/conv" is "conv1_conv", as Keras 3 names it: a slash has no place in a layer's name there. */
static char *layer_name(const cvi_state *s, const cvi_keras_source *from, const cvi_keras_group *g, int64_t i,
                        bool nested, bool unique) {
    const char *name = nested ? from->weight[g->first + i].name : g->name;
    const char *slash = nested ? strrchr(name, '/') : NULL;
    char *own = from->by_path
                    ? cvi_arena_printf(s->model->arena, "%s", unique ? last_part(name) : name)
                    : cvi_arena_strn(s->model->arena, name, slash ? (size_t)(slash - name) : strlen(name));
    for (char *p = own; p && *p && !from->by_path; p++) {
        *p = *p == '/' ? '_' : *p;
    }
    return own;
}

/* ---- values ---- */

/* Kernels [spatial..., I, O] become [O, I, spatial...]; depthwise ones [H, W, C, m] become [C * m, 1, H, W]. */
static void turn(bool depthwise, const float *from, float *to, cvs_tensor *t) {
    int64_t places = 1, in = t->dim[t->rank - 2], out = t->dim[t->rank - 1], dim[CVS_MAX_RANK] = {0};
    for (int i = 0; i < t->rank - 2; i++) {
        dim[2 + i] = t->dim[i];
        places *= t->dim[i];
    }
    for (int64_t p = 0; p < places; p++) {
        for (int64_t i = 0; i < in; i++) {
            for (int64_t o = 0; o < out; o++) {
                int64_t filter = depthwise ? i * out + o : o * in + i;
                to[filter * places + p] = from[(p * in + i) * out + o];
            }
        }
    }
    dim[0] = depthwise ? in * out : out;
    dim[1] = depthwise ? 1 : in;
    memcpy(t->dim, dim, sizeof dim);
}

/* One weight in the arena, as float32. */
static cvs_status add(cvi_state *s, const char *layer, kind k, const cvs_tensor *stored, cvs_error *err) {
    bool depthwise = k == DEPTHWISE || k == FIRST_HALF, kernel = k == KERNEL || depthwise;
    if (k == OTHER || stored->bytes == 0 || (kernel ? stored->rank < 2 : stored->rank != 1)) {
        return CVS_OK;
    }
    cvs_tensor wide = {0};
    CVI_TRY(cvs_tensor_convert(stored, CVS_F32, &wide, err));
    cvs_tensor t = wide;
    t.owned = false;
    t.data = wide.bytes ? cvi_arena_raw(s->model->arena, (int64_t)wide.bytes) : NULL;
    const char *name = cvi_arena_printf(s->model->arena, "%s%s", layer, names[k].ours);
    cvs_status e = name && (t.data || !wide.bytes) ? CVS_OK : cvi_no_memory(err, wide.bytes);
    if (e == CVS_OK && kernel) {
        turn(depthwise, wide.data, t.data, &t);
    } else if (e == CVS_OK && wide.bytes) {
        memcpy(t.data, wide.data, wide.bytes);
    }
    e = e == CVS_OK ? cvi_state_add(s, name, &t, err) : e;
    cvs_tensor_free(&wide);
    return e;
}

/* Normalisations without a scale (InceptionV3) have ones. */
static cvs_status add_ones(cvi_state *s, const char *layer, int64_t n, cvs_error *err) {
    cvs_tensor t = {.dtype = CVS_F32, .rank = 1, .dim = {n}, .bytes = (size_t)n * sizeof(float)};
    float *one = cvi_arena_alloc(s->model->arena, n, sizeof *one);
    const char *name = cvi_arena_printf(s->model->arena, "%s.weight", layer);
    if (!one || !name) {
        return cvi_no_memory(err, t.bytes);
    }
    for (int64_t i = 0; i < n; i++) {
        one[i] = 1.0f;
    }
    t.data = one;
    return cvi_state_add(s, name, &t, err);
}

/* Keras 3 calls the kernel [h,w,C,1] of a depthwise convolution what it calls others: then the layer's name says it. */
static bool is_depthwise(const char *layer, const cvs_tensor *kernel) {
    return kernel->rank == 4 && kernel->dim[3] == 1 && kernel->dim[2] > 1 &&
           (strstr(layer, "dw") || strstr(layer, "depthwise"));
}

static cvs_status add_group(cvi_state *s, cvi_keras_source *from, const cvi_keras_group *g, bool unique,
                            cvs_error *err) {
    bool nested = !from->by_path && is_nested(from, g);
    const char *scaled = NULL;
    for (int64_t i = 0; i < g->n; i++) {
        cvs_tensor stored = {0};
        const char *layer = layer_name(s, from, g, i, nested, unique);
        CVI_TRY(layer ? CVS_OK : cvi_no_memory(err, 0));
        CVI_TRY(from->load(from, &from->weight[g->first + i], &stored, err));
        kind k = kind_of(from, g, i, stored.rank);
        if (k == KERNEL && !from->by_path && is_depthwise(layer, &stored)) {
            k = DEPTHWISE;
        }
        cvs_status e = add(s, layer, k, &stored, err);
        if (e == CVS_OK && k == GAMMA) {
            scaled = layer;
        } else if (e == CVS_OK && k == MEAN && stored.rank == 1 && stored.dim[0] > 0 &&
                   (!scaled || strcmp(scaled, layer) != 0)) {
            e = add_ones(s, layer, stored.dim[0], err);
        }
        cvs_tensor_free(&stored);
        CVI_TRY(e);
    }
    return CVS_OK;
}

cvs_status cvi_keras_state_of(cvi_open *open, cvi_keras_source *source, cvi_state *s) {
    bool unique = false;
    *s = (cvi_state){.model = open->model, .foreign = true};
    CVI_TRY(are_last_parts_unique(s, source, &unique, open->err));
    for (int64_t i = 0; i < source->n_groups; i++) {
        CVI_TRY(add_group(s, source, &source->group[i], unique, open->err));
    }
    if (s->n == 0) {
        return cvi_fail(
            open->err, CVS_E_FORMAT,
            "this file holds weights, but no architecture; name the architecture too: --arch FILE");
    }
    return cvi_state_done(s, open->err);
}

cvs_status cvi_keras_read_state(cvi_open *open, cvi_h5 *file) {
    cvi_keras_source source;
    cvi_state s;
    CVI_TRY(cvi_keras_h5_source(open->model, file, &source, open->err));
    CVI_TRY(cvi_keras_state_of(open, &source, &s));
    return cvi_state_model(open, &s);
}

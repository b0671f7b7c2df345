/* SPDX-License-Identifier: MIT
 * keras_state.c - Keras weights that came without their network (.weights.h5, or .h5 of save_weights), as named tensors: each turned to
 * the order that PyTorch and ONNX keep and named as there ("conv1_conv.weight"), for the architectures of archs.def, or to be shown.
 */
#include "formats/hdf5.h"
#include "formats/keras.h"
#include "formats/state.h"

/* The kind of a weight: from its name, or in Keras 3, where it is a number, from the group's shapes. */
typedef enum kind { OTHER, KERNEL, DEPTHWISE, BIAS, GAMMA, BETA, MEAN, VARIANCE } kind;

static const struct {
    const char *keras, *ours;
} names[] = {[OTHER] = {"", ""},
             [KERNEL] = {"kernel", "weight"},
             [DEPTHWISE] = {"depthwise_kernel", "weight"},
             [BIAS] = {"bias", "bias"},
             [GAMMA] = {"gamma", "weight"},
             [BETA] = {"beta", "bias"},
             [MEAN] = {"moving_mean", "running_mean"},
             [VARIANCE] = {"moving_variance", "running_var"}};

static kind kind_of(const cvi_keras_source *s, const cvi_keras_group *g, int64_t i, const cvs_tensor *t) {
    if (s->by_path) {
        bool depthwise = g->counted && strstr(g->counted, "depthwise_conv");
        static const kind norm[] = {GAMMA, BETA, MEAN, VARIANCE};
        return t->rank >= 2 && i == 0      ? (depthwise ? DEPTHWISE : KERNEL)
               : g->n == 4 && t->rank == 1 ? norm[i]
               : g->n == 2 && t->rank == 1 ? (i == 1 ? BIAS : OTHER)
                                           : OTHER;
    }
    const char *name = s->weight[g->first + i].name, *slash = strrchr(name, '/');
    name = slash ? slash + 1 : name;
    for (int k = KERNEL; k <= VARIANCE; k++) {
        size_t n = strlen(names[k].keras);
        if (strncmp(name, names[k].keras, n) == 0 && (name[n] == ':' || !name[n])) {
            return (kind)k;
        }
    }
    return OTHER;
}

/* Kernels [spatial..., I, O] become [O, I, spatial...]; depthwise ones [H, W, C, m] become [C * m, 1, H, W]. */
static void turn(kind k, const float *from, float *to, cvs_tensor *t) {
    int64_t places = 1, in = t->dim[t->rank - 2], out = t->dim[t->rank - 1], dim[CVS_MAX_RANK] = {0};
    for (int i = 0; i < t->rank - 2; i++) {
        dim[2 + i] = t->dim[i];
        places *= t->dim[i];
    }
    for (int64_t p = 0; p < places; p++) {
        for (int64_t i = 0; i < in; i++) {
            for (int64_t o = 0; o < out; o++) {
                int64_t filter = k == DEPTHWISE ? i * out + o : o * in + i;
                to[filter * places + p] = from[(p * in + i) * out + o];
            }
        }
    }
    dim[0] = k == DEPTHWISE ? in * out : out;
    dim[1] = k == DEPTHWISE ? 1 : in;
    memcpy(t->dim, dim, sizeof dim);
}

/* One weight in the arena, as float32. */
static cvs_status add(cvi_state *s, cvi_keras_source *from, const cvi_keras_group *g, int64_t i,
                      cvs_error *err) {
    cvs_tensor stored = {0}, wide = {0};
    CVI_TRY(from->load(from, &from->weight[g->first + i], &stored, err));
    kind k = kind_of(from, g, i, &stored);
    bool kernel = k == KERNEL || k == DEPTHWISE;
    if (k == OTHER || stored.bytes == 0 || (kernel ? stored.rank < 2 : stored.rank != 1)) {
        cvs_tensor_free(&stored);
        return CVS_OK;
    }
    cvs_status e = cvs_tensor_convert(&stored, CVS_F32, &wide, err);
    cvs_tensor t = wide;
    t.owned = false;
    t.data = e == CVS_OK && wide.bytes ? cvi_arena_raw(s->model->arena, (int64_t)wide.bytes) : NULL;
    const char *name = cvi_arena_printf(s->model->arena, "%s.%s", g->name, names[k].ours);
    if (e == CVS_OK && (!name || (!t.data && wide.bytes))) {
        e = cvi_no_memory(err, wide.bytes);
    }
    if (e == CVS_OK && kernel) {
        turn(k, wide.data, t.data, &t);
    } else if (e == CVS_OK && wide.bytes) {
        memcpy(t.data, wide.data, wide.bytes);
    }
    e = e == CVS_OK ? cvi_state_add(s, name, &t, err) : e;
    cvs_tensor_free(&wide);
    cvs_tensor_free(&stored);
    return e;
}

cvs_status cvi_keras_read_state(cvi_open *open, cvi_h5 *file) {
    cvi_keras_source source;
    cvi_state s = {.model = open->model, .foreign = true};
    CVI_TRY(cvi_keras_h5_source(open->model, file, &source, open->err));
    for (int64_t i = 0; i < source.n_groups; i++) {
        for (int64_t k = 0; k < source.group[i].n; k++) {
            CVI_TRY(add(&s, &source, &source.group[i], k, open->err));
        }
    }
    if (s.n == 0) {
        return cvi_fail(
            open->err, CVS_E_FORMAT,
            "this file holds weights, but no architecture; name the architecture too: --arch FILE");
    }
    CVI_TRY(cvi_state_done(&s, open->err));
    return cvi_state_model(open, &s);
}

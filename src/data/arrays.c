/* SPDX-License-Identifier: MIT
 * arrays.c - a set whose pictures and labels lie in memory: picking, fingerprint, one picture.
 */
#include "data/dataset.h"

void cvi_arrays_free(cvi_arrays *a) {
    cvi_free(a->pixels);
    cvi_free(a->labels);
    cvi_free(a->index);
    *a = (cvi_arrays){0};
}

static cvs_status pick(cvs_data *data, cvi_arrays *a, bool own_split, const cvs_data_options *options,
                       cvs_error *err) {
    int *label = cvi_calloc((size_t)CVI_MAX(a->n, 1), sizeof *label);
    if (label == NULL) {
        return cvi_no_memory(err, (size_t)a->n * sizeof *label);
    }
    for (int64_t i = 0; i < a->n; i++) {
        label[i] = a->labels[i];
    }
    cvs_status s =
        cvi_pick(label, a->n, data->info.n_classes, own_split, options, &a->index, &data->info.count, err);
    cvi_free(label);
    return s;
}

static uint64_t fingerprint(const cvi_arrays *a, int64_t count) {
    uint64_t h = CVI_HASH_START;
    int64_t size = a->height * a->width * a->channels;
    h = cvi_hash_number(h, (uint64_t)a->height);
    h = cvi_hash_number(h, (uint64_t)a->width);
    h = cvi_hash_number(h, (uint64_t)a->channels);
    for (int64_t i = 0; i < count; i++) {
        h = cvi_hash(h, a->labels + a->index[i], 1);
        h = cvi_hash(h, a->pixels + a->index[i] * size, (size_t)size);
    }
    return h;
}

cvs_status cvi_arrays_finish(cvs_data *data, cvi_arrays *a, bool own_split, const char *dir, const char *file,
                             const char *const *known, const cvs_data_options *options, cvs_error *err) {
    cvi_arrays *self = cvi_calloc(1, sizeof *self);
    int most = 0;
    if (self == NULL) {
        cvi_arrays_free(a);
        return cvi_no_memory(err, sizeof *self);
    }
    *self = *a;
    *a = (cvi_arrays){0};
    data->self = self;
    for (int64_t i = 0; i < self->n; i++) {
        most = CVI_MAX(most, self->labels[i]);
    }
    CVI_TRY(cvi_name_classes(data, dir, file, known, most, err));
    CVI_TRY(pick(data, self, own_split, options, err));
    data->info.channels = self->channels;
    data->info.height = self->height;
    data->info.width = self->width;
    data->info.fingerprint = fingerprint(self, data->info.count);
    return CVS_OK;
}

cvs_status cvi_arrays_get(const cvs_data *data, int64_t i, cvs_tensor *picture, int *label, cvs_tensor *mask,
                          cvs_error *err) {
    (void)mask;
    const cvi_arrays *a = data->self;
    int64_t h = a->height, w = a->width, c = a->channels;
    const uint8_t *from = a->pixels + a->index[i] * h * w * c;
    CVI_TRY(cvs_tensor_new(picture, CVS_U8, 3, (int64_t[]){h, w, c}, err));
    uint8_t *to = picture->data;
    for (int64_t k = 0; a->planes && k < h * w; k++) {
        for (int64_t p = 0; p < c; p++) {
            to[k * c + p] = from[p * h * w + k];
        }
    }
    if (!a->planes) {
        memcpy(to, from, (size_t)(h * w * c));
    }
    *label = a->labels[a->index[i]];
    return CVS_OK;
}

void cvi_arrays_close(cvs_data *data) {
    if (data->self != NULL) {
        cvi_arrays_free(data->self);
        cvi_free(data->self);
    }
}

/* SPDX-License-Identifier: MIT
 * source_arrays.c - "npz:FILE" with x_train, y_train, x_test, y_test (Keras's mnist.npz) or only x and y, which are divided; "npy:X.npy,Y.npy".
 * Pictures are [N,H,W], [N,H,W,1] or [N,H,W,3]: uint8, or other numbers, which count from 0 to 1 when none is above 1, else from 0 to 255.
 */
#include <math.h>

#include "data/dataset.h"
#include "formats/zip.h"
#include "ops/op.h"
#include "tensor/npy.h"

/* Pictures of any numeric type as bytes. */
static cvs_status take_pictures(const cvs_tensor *t, cvi_arrays *a, cvs_error *err) {
    char text[200];
    if (t->rank < 3 || t->rank > 4 || (t->rank == 4 && t->dim[3] != 1 && t->dim[3] != 3) ||
        cvs_tensor_count(t) < 1) {
        return cvi_fail(err, CVS_E_SHAPE,
                        "the pictures have the shape %s; [N,H,W], [N,H,W,1] or [N,H,W,3] expected",
                        cvs_shape_text(t->rank, t->dim, text, sizeof text));
    }
    int64_t count = cvs_tensor_count(t);
    a->n = t->dim[0];
    a->height = t->dim[1];
    a->width = t->dim[2];
    a->channels = t->rank == 4 ? (int)t->dim[3] : 1;
    a->pixels = cvi_malloc((size_t)count);
    if (!a->pixels) {
        return cvi_no_memory(err, (size_t)count);
    }
    if (t->dtype == CVS_U8) {
        memcpy(a->pixels, t->data, (size_t)count);
        return CVS_OK;
    }
    double most = 0;
    for (int64_t i = 0; i < count; i++) {
        double v = cvi_get(t, i);
        if (!(v >= 0 && v <= 255)) {
            return cvi_fail(err, CVS_E_FORMAT, "pixel %lld is %g; from 0 to 255 or 0 to 1 expected",
                            (long long)i, v);
        }
        most = v > most ? v : most;
    }
    for (int64_t i = 0; i < count; i++) {
        a->pixels[i] = (uint8_t)(cvi_get(t, i) * (most <= 1 ? 255 : 1) + 0.5);
    }
    return CVS_OK;
}

static cvs_status take_labels(const cvs_tensor *t, cvi_arrays *a, cvs_error *err) {
    bool one_a_row = t->rank == 1 || (t->rank == 2 && t->dim[1] == 1);
    if (!one_a_row || t->dim[0] != a->n) {
        char text[200];
        return cvi_fail(err, CVS_E_SHAPE, "the labels have the shape %s; [%lld] expected, one a picture",
                        cvs_shape_text(t->rank, t->dim, text, sizeof text), (long long)a->n);
    }
    a->labels = cvi_malloc((size_t)CVI_MAX(a->n, 1));
    for (int64_t i = 0; a->labels && i < a->n; i++) {
        double v = cvi_get(t, i);
        if (!(v >= 0 && v < 256) || v != floor(v)) {
            return cvi_fail(err, CVS_E_FORMAT, "label %lld is %g; a whole number from 0 to 255 expected",
                            (long long)i, v);
        }
        a->labels[i] = (uint8_t)v;
    }
    return a->labels ? CVS_OK : cvi_no_memory(err, (size_t)a->n);
}

static cvs_status take(const cvs_tensor *x, const cvs_tensor *y, cvi_arrays *a, cvs_error *err) {
    cvs_status s = take_pictures(x, a, err);
    if (s == CVS_OK) {
        s = take_labels(y, a, err);
    }
    if (s != CVS_OK) {
        cvi_arrays_free(a);
    }
    return s;
}

/* ---- .npz ------------------------------------------------------------------------------------------------ */

static cvs_status read_entry(cvi_zip *z, const char *name, const cvs_limits *limits, cvi_arena *arena,
                             cvs_tensor *out, cvs_error *err) {
    const cvi_zip_entry *e = cvi_zip_find(z, name);
    const uint8_t *bytes;
    if (!e) {
        return cvi_fail(err, CVS_E_NOT_FOUND, "there is no array %.40s in this file", name);
    }
    CVI_TRY(cvi_zip_read(z, e, arena, &bytes, NULL, err));
    return cvi_npy_decode(bytes, (size_t)e->size, limits, out, err);
}

static cvs_status read_npz(cvi_zip *z, const cvs_data_options *o, bool *own, cvi_arrays *a, cvs_error *err) {
    cvi_arena *arena = cvi_arena_new(0);
    cvs_tensor x = {0}, y = {0};
    *own = cvi_zip_find(z, "x_train.npy") && cvi_zip_find(z, "x_test.npy");
    const char *part = !*own ? "" : o->split == CVS_TEST ? "_test" : "_train";
    char pictures[40], labels[40];
    snprintf(pictures, sizeof pictures, "x%s.npy", part);
    snprintf(labels, sizeof labels, "y%s.npy", part);
    cvs_status s = arena ? read_entry(z, pictures, &o->limits, arena, &x, err) : cvi_no_memory(err, 0);
    if (s == CVS_OK) {
        s = read_entry(z, labels, &o->limits, arena, &y, err);
    }
    if (s == CVS_OK) {
        s = take(&x, &y, a, err);
    }
    cvs_tensor_free(&x);
    cvs_tensor_free(&y);
    cvi_arena_free(arena);
    return s;
}

/* Names of classes stand in classes.txt beside the file. */
static cvs_status finish(cvs_data *data, cvi_arrays *a, bool own, const char *path, const cvs_data_options *o,
                         cvs_error *err) {
    char *dir = cvi_path_dir(path);
    if (!dir) {
        cvi_arrays_free(a);
        return cvi_no_memory(err, strlen(path));
    }
    cvs_status s = cvi_arrays_finish(data, a, own, dir, "classes.txt", NULL, o, err);
    cvi_free(dir);
    return s;
}

static cvs_status open_npz(cvs_data *data, const char *where, const cvs_data_options *o, cvs_error *err) {
    cvi_file file = {0};
    cvi_zip *z = NULL;
    cvi_arrays a = {0};
    bool own = false;
    CVI_TRY(cvi_file_read(where, &o->limits, &file, err));
    cvs_status s = cvi_zip_open(file.data, file.size, &o->limits, &z, err);
    if (s == CVS_OK) {
        s = read_npz(z, o, &own, &a, err);
    }
    cvi_zip_close(z);
    cvi_file_close(&file);
    if (s == CVS_OK) {
        s = finish(data, &a, own, where, o, err);
    }
    return cvi_at_file(err, s, where);
}

/* ---- two .npy files -------------------------------------------------------------------------------------- */

static cvs_status open_npy(cvs_data *data, const char *where, const cvs_data_options *o, cvs_error *err) {
    const char *comma = strchr(where, ',');
    char *pictures = comma ? cvi_arena_strn(data->arena, where, (size_t)(comma - where)) : NULL;
    cvs_tensor x = {0}, y = {0};
    cvi_arrays a = {0};
    if (!comma) {
        return cvi_fail(err, CVS_E_ARGUMENT, "two files expected, npy:PICTURES.npy,LABELS.npy");
    }
    cvs_status s = pictures ? cvs_npy_read(pictures, &o->limits, &x, err) : cvi_no_memory(err, strlen(where));
    if (s == CVS_OK) {
        s = cvs_npy_read(comma + 1, &o->limits, &y, err);
    }
    if (s == CVS_OK) {
        s = cvi_at_file(err, take(&x, &y, &a, err), where);
    }
    if (s == CVS_OK) {
        s = cvi_at_file(err, finish(data, &a, false, pictures, o, err), where);
    }
    cvs_tensor_free(&x);
    cvs_tensor_free(&y);
    return s;
}

const cvi_source cvi_source_npz = {
    .name = "npz",
    .en = "npz:FILE - NumPy archive with x_train, y_train, x_test, y_test (mnist.npz), or x and y",
    .zh = "npz:FILE - NumPy 归档，含 x_train、y_train、x_test、y_test（mnist.npz），或 x 与 y",
    .open = open_npz,
    .get = cvi_arrays_get,
    .close = cvi_arrays_close,
};

const cvi_source cvi_source_npy = {
    .name = "npy",
    .en = "npy:X.npy,Y.npy - pictures [N,H,W] or [N,H,W,C] and their labels",
    .zh = "npy:X.npy,Y.npy - 图片 [N,H,W] 或 [N,H,W,C] 与标签",
    .open = open_npy,
    .get = cvi_arrays_get,
    .close = cvi_arrays_close,
};

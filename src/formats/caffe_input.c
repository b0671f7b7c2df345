/* SPDX-License-Identifier: MIT
 * caffe_input.c - what goes into a Caffe network: inputs named at the top of the file, Input layers, data layers of every kind
 * (their labels are left out), and what a data layer does to pictures.
 */
#include <stdlib.h>

#include "formats/caffe.h"

static const char *const data_types[] = {"Input",         "Data",       "ImageData",  "Images",
                                         "HDF5Data",      "WindowData", "MemoryData", "DummyData",
                                         "AnnotatedData", "Parameter",  "VideoData",  "DenseImageData"};

bool cvi_caffe_is_data(const char *type) {
    for (int i = 0; i < CVI_COUNT(data_types); i++) {
        if (cvi_caffe_same(type, data_types[i])) {
            return true;
        }
    }
    return false;
}

/* An input of a declared shape; dimensions < 1 are not told. The batch is free unless a layer names it, rows and columns are
 * free where no layer needs the declared ones. */
static void add_input(cvi_caffe *c, const char *name, int rank, const int64_t *declared) {
    if (!cvi_build_ok(&c->b)) {
        return;
    }
    int64_t dim[CVS_MAX_RANK];
    cvs_tensor shape = {.dtype = CVS_F32, .rank = rank};
    for (int i = 0; i < rank; i++) {
        bool told = declared[i] > 0;
        bool open = i == 0 ? rank > 1 && !c->fixed_batch : i >= 2 && rank == 4 && !c->fixed_sides;
        dim[i] = told && !open ? declared[i] : -1;
        shape.dim[i] = told ? declared[i] : i == 0 ? 1 : i == 1 && rank == 4 ? 3 : 224;
        c->guessed |= !told && i > 0;
    }
    int v = cvi_graph_value(c->b.g, name, CVS_F32, rank, dim, c->b.err);
    if (v < 0 || !cvi_graph_add_input(c->b.g, v)) {
        cvi_build_set(&c->b, c->b.err && c->b.err->code ? c->b.err->code : cvi_no_memory(c->b.err, 0));
        return;
    }
    for (int i = 2; i < rank; i++) {
        c->b.g->values[v].usual[i] = CVI_MAX(declared[i], 0);
    }
    cvi_shapes_tell(&c->shapes, &c->b, v, &shape);
    if (cvi_build_ok(&c->b) && !cvi_caffe_map_put(c->blob, name, v + 1)) {
        cvi_build_set(&c->b, cvi_no_memory(c->b.err, 0));
    }
}

/* A BlobShape's dimensions. */
static int read_dims(cvi_caffe *c, const caffe_message *m, int64_t *dim) {
    int n = cvi_caffe_count(m, "dim");
    if (n > CVS_MAX_RANK) {
        const caffe_field *f = cvi_caffe_field(m, "dim", CVS_MAX_RANK);
        if (cvi_build_ok(&c->b)) {
            cvi_caffe_bad(c, f,
                          cvi_fail(c->b.err, CVS_E_LIMIT, "a shape of %d dimensions; at most %d are allowed",
                                   n, CVS_MAX_RANK));
        }
        return 0;
    }
    for (int i = 0; i < n; i++) {
        dim[i] = cvi_caffe_int_of(c, m, "dim", i, 0);
    }
    return n;
}

void cvi_caffe_file_inputs(cvi_caffe *c) {
    int64_t dim[CVS_MAX_RANK];
    for (int k = 0; cvi_build_ok(&c->b) && cvi_caffe_field(c->file, "input", k); k++) {
        const char *name = cvi_caffe_text(c->file, "input", k, "");
        const caffe_field *f = cvi_caffe_field(c->file, "input_shape", k);
        int n = f && f->message ? read_dims(c, f->message, dim) : 0;
        for (; n < 4 && !f && cvi_caffe_field(c->file, "input_dim", 4 * k + n); n++) {
            dim[n] = cvi_caffe_int_of(c, c->file, "input_dim", 4 * k + n, 0);
        }
        if (n == 0) {
            for (; n < 4; n++) {
                dim[n] = 0;
            }
        }
        add_input(c, name, n, dim);
    }
}

static const char *const param_names[] = {"input_param",     "memory_data_param", "dummy_data_param",
                                          "data_param",      "image_data_param",  "window_data_param",
                                          "hdf5_data_param", "transform_param",   "annotated_data_param"};

static int64_t first_of(cvi_caffe *c, const char *name, int k) {
    int64_t v = 0;
    for (int i = 0; i < CVI_COUNT(param_names) && v <= 0; i++) {
        v = cvi_caffe_int_of(c, cvi_caffe_message(c->layer->message, param_names[i]), name, k, 0);
        v = v <= 0 && k > 0
                ? cvi_caffe_int_of(c, cvi_caffe_message(c->layer->message, param_names[i]), name, 0, 0)
                : v;
    }
    return v <= 0 ? cvi_caffe_int_of(c, c->layer->v0, name, 0, 0) : v;
}

static const caffe_message *shape_of(const cvi_caffe *c, int k) {
    for (int i = 0; i < CVI_COUNT(param_names); i++) {
        const caffe_message *m = cvi_caffe_message(c->layer->message, param_names[i]);
        const caffe_field *f = cvi_caffe_field(m, "shape", k);
        f = f ? f : cvi_caffe_field(m, "shape", 0);
        if (f && f->message) {
            return f->message;
        }
    }
    return NULL;
}

void cvi_caffe_data_layer(cvi_caffe *c) {
    const caffe_layer *l = c->layer;
    bool all = cvi_caffe_same(l->type, "Input") || cvi_caffe_same(l->type, "DummyData") ||
               !cvi_caffe_is_data(l->type);
    for (int k = 0; k < l->n_top && cvi_build_ok(&c->b); k++) {
        int64_t dim[CVS_MAX_RANK] = {0};
        if ((!all && k > 0) || cvi_caffe_same(l->top[k], "label")) {
            if (!cvi_caffe_map_put(c->blob, l->top[k], 0)) {
                cvi_build_set(&c->b, cvi_no_memory(c->b.err, 0));
            }
            continue;
        }
        const caffe_message *shape = shape_of(c, k);
        int n = shape ? read_dims(c, shape, dim) : 0;
        if (n == 0) {
            int64_t crop = first_of(c, "crop_size", 0);
            crop = crop > 0 ? crop : first_of(c, "cropsize", 0);
            int64_t high = crop > 0 ? crop : first_of(c, "new_height", 0),
                    wide = crop > 0 ? crop : first_of(c, "new_width", 0);
            const caffe_message *t = cvi_caffe_message(l->message, "transform_param");
            int means = cvi_caffe_count(t, "mean_value");
            const char *gray = cvi_caffe_text(t, "force_gray", 0, "false");
            dim[1] = first_of(c, "channels", k);
            dim[1] = dim[1] > 0 ? dim[1] : cvi_caffe_same(gray, "true") ? 1 : crop > 0 || means == 3 ? 3 : 0;
            dim[2] = high > 0 ? high : first_of(c, "height", k);
            dim[3] = wide > 0 ? wide : first_of(c, "width", k);
            n = 4;
        }
        add_input(c, l->top[k], n, dim);
        if (cvi_build_ok(&c->b) && (dim[n - 1] <= 0) &&
            !cvi_model_note(c->b.model, "the file does not tell the size of its input \"%.80s\"",
                            l->top[k])) {
            cvi_build_set(&c->b, cvi_no_memory(c->b.err, 0));
        }
    }
}

/* (pixel - mean) * scale becomes pixel * scale - mean * scale. Caffe's pictures are blue, green, red. */
void cvi_caffe_transform(cvi_caffe *c) {
    const caffe_message *t = cvi_caffe_message(c->layer->message, "transform_param");
    int means = cvi_caffe_count(t, "mean_value");
    const char *file = cvi_caffe_text(t, "mean_file", 0, NULL);
    if (file && cvi_build_ok(&c->b) &&
        !cvi_model_note(c->b.model, "the mean picture %.100s that the data layer names is not read", file)) {
        cvi_build_set(&c->b, cvi_no_memory(c->b.err, 0));
    }
    if (!t || c->b.model->preprocess.known || (means == 0 && !cvi_caffe_field(t, "scale", 0)) || means > 4) {
        return;
    }
    double scale = cvi_caffe_number_of(c, t, "scale", 0, 1);
    if (!cvi_build_ok(&c->b) || scale == 0) {
        return;
    }
    cvs_preprocess *p = &c->b.model->preprocess;
    *p = (cvs_preprocess){.known = true, .order = CVS_BGR, .scale = scale};
    for (int i = 0; i < 4; i++) {
        int k = means > 1 ? CVI_MIN(i, means - 1) : 0;
        p->mean[i] = means ? scale * cvi_caffe_number_of(c, t, "mean_value", k, 0) : 0;
        p->std[i] = 1;
    }
    snprintf(p->from, sizeof p->from, "transform_param");
}

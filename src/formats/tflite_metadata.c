/* SPDX-License-Identifier: MIT
 * tflite_metadata.c - class names and preprocessing that a TensorFlow Lite file brings along: the buffer "TFLITE_METADATA" (a FlatBuffer of
 * its own, metadata_schema.fbs of tflite-support, identifier M001) says how inputs are normalised and which file lists the classes; the
 * files themselves are a zip archive behind the model. Damage here is noted: the network itself is whole.
 */
#include "formats/class_list.h"
#include "formats/tflite.h"
#include "formats/told.h"
#include "formats/zip.h"

enum { MAX_LISTED = 64, AXIS_LABELS = 2, NORMALIZATION = 1 };

#define FROM "metadata of the model file"

/* Damage in the metadata, or in the archive, becomes a note; lack of memory stays an error. */
static cvs_status note(tflite *m, cvs_status s, bool archive, const cvs_error *why) {
    cvs_model *model = m->t.b.model;
    bool said = s != CVS_E_MEMORY;
    if (s == CVS_OK) {
        return CVS_OK;
    }
    if (said && archive) {
        said =
            cvi_model_note(model, "the files at the end of the model file were not used: %s", why->message);
    } else if (said) {
        said = cvi_model_note(model, "the metadata of the file was not used: %s", why->message);
    }
    return said ? CVS_OK : cvi_no_memory(m->t.b.err, 0);
}

static bool is_text(const char *s, size_t n, const char *wanted) {
    return n == strlen(wanted) && memcmp(s, wanted, n) == 0;
}

/* The bytes of the entry "TFLITE_METADATA" as a FlatBuffer; size 0: there is none. */
static cvi_fb find_metadata(const tflite *m, cvs_error *err) {
    cvi_fb f = m->f, out = {.err = err};
    f.err = err;
    cvi_fb_table root = cvi_fb_root(&f);
    cvi_fb_vector list = cvi_fb_vector_field(&f, &root, 6, 4);
    for (int64_t i = 0; i < CVI_MIN(list.n, MAX_LISTED) && f.status == CVS_OK; i++) {
        cvi_fb_table entry = cvi_fb_table_at(&f, &list, i);
        size_t n = 0;
        const char *name = cvi_fb_string_field(&f, &entry, 0, &n);
        int64_t buffer = cvi_fb_int(&f, &entry, 1, 4, false, 0);
        if (!is_text(name, n, "TFLITE_METADATA") || buffer >= m->buffers.n) {
            continue;
        }
        cvi_fb_table b = cvi_fb_table_at(&f, &m->buffers, buffer);
        cvi_fb_vector data = cvi_fb_vector_field(&f, &b, 0, 1);
        out.data = f.data + data.at;
        out.size = (size_t)data.n;
        break;
    }
    out.status = f.status;
    return out;
}

/* A list of one number, or one a channel; false: neither, or not finite. */
static bool per_channel(const cvi_fb *f, const cvi_fb_vector *v, double otherwise, double out[4]) {
    for (int c = 0; c < 4; c++) {
        out[c] = v->n == 0 ? otherwise : cvi_fb_float_at(f, v, c < v->n ? c : v->n - 1);
        if (!(out[c] > -1e9 && out[c] < 1e9)) {
            return false;
        }
    }
    return v->n <= 4;
}

/* (pixel - mean) / std, for a float input; integers take pixels as their own scale and zero point say. */
static void take_normalisation(tflite *m, cvi_fb *f, const cvi_fb_table *input) {
    cvi_fb_vector units = cvi_fb_vector_field(f, input, 4, 4);
    const cvi_graph *g = m->t.b.g;
    bool real = g->n_inputs > 0 && g->values[g->inputs[0]].dtype == CVS_F32;
    for (int64_t i = 0; real && i < CVI_MIN(units.n, MAX_LISTED) && f->status == CVS_OK; i++) {
        cvi_fb_table unit = cvi_fb_table_at(f, &units, i);
        if (cvi_fb_int(f, &unit, 0, 1, false, 0) != NORMALIZATION) {
            continue;
        }
        cvi_fb_table options = cvi_fb_table_field(f, &unit, 1);
        cvi_fb_vector mean = cvi_fb_vector_field(f, &options, 0, 4);
        cvi_fb_vector std = cvi_fb_vector_field(f, &options, 1, 4);
        cvs_preprocess p = {.known = true, .scale = 1};
        bool good = f->status == CVS_OK && per_channel(f, &mean, 0, p.mean) && per_channel(f, &std, 1, p.std);
        for (int c = 0; c < 4; c++) {
            good = good && p.std[c] > 0;
        }
        if (good) {
            snprintf(p.from, sizeof p.from, "%s", FROM);
            m->t.b.model->preprocess = p;
            return;
        }
    }
}

/* The name of the file that lists what the values along an output's last axis stand for; *n 0: none is named. */
static const char *labels_name(cvi_fb *f, const cvi_fb_table *graph, size_t *n) {
    cvi_fb_vector outputs = cvi_fb_vector_field(f, graph, 3, 4);
    for (int64_t i = 0; i < CVI_MIN(outputs.n, MAX_LISTED) && f->status == CVS_OK; i++) {
        cvi_fb_table output = cvi_fb_table_at(f, &outputs, i);
        cvi_fb_vector files = cvi_fb_vector_field(f, &output, 6, 4);
        for (int64_t k = 0; k < CVI_MIN(files.n, MAX_LISTED) && f->status == CVS_OK; k++) {
            cvi_fb_table file = cvi_fb_table_at(f, &files, k);
            const char *name = cvi_fb_string_field(f, &file, 0, n);
            if (cvi_fb_int(f, &file, 2, 1, true, 0) == AXIS_LABELS && *n > 0 && f->status == CVS_OK) {
                return name;
            }
        }
    }
    *n = 0;
    return NULL;
}

/* Without a word in the metadata the customary names will do. */
static const cvi_zip_entry *find_labels(const cvi_zip *z, const char *name, size_t n) {
    static const char *const customary[] = {"labels.txt", "labelmap.txt", "label_map.txt", "label.txt"};
    for (int i = 0; n > 0 && i < cvi_zip_count(z); i++) {
        if (is_text(name, n, cvi_zip_at(z, i)->name)) {
            return cvi_zip_at(z, i);
        }
    }
    const cvi_zip_entry *found = NULL;
    for (int i = 0; n == 0 && !found && i < CVI_COUNT(customary); i++) {
        found = cvi_zip_find(z, customary[i]);
    }
    return found;
}

static cvs_status read_labels(tflite *m, cvi_zip *z, const cvi_zip_entry *e, cvs_error *err) {
    cvs_model *model = m->t.b.model;
    const uint8_t *text = NULL;
    CVI_TRY(cvi_zip_read(z, e, model->arena, &text, NULL, err));
    return cvi_at_attr(err, cvi_classes_from_text(model, (const char *)text, (size_t)e->size, FROM, err),
                       e->name);
}

/* What YOLO's exporters put beside: a dictionary of Python, in newer files JSON. */
static cvs_status read_told(tflite *m, cvi_zip *z, cvs_error *err) {
    static const char *const customary[] = {"metadata.json", "temp_meta.txt", "meta.txt"};
    cvs_model *model = m->t.b.model;
    const cvi_zip_entry *e = NULL;
    for (int i = 0; !e && i < CVI_COUNT(customary); i++) {
        e = cvi_zip_find(z, customary[i]);
    }
    if (!e || e->folder) {
        return CVS_OK;
    }
    const uint8_t *text = NULL;
    int64_t side = 0;
    CVI_TRY(cvi_zip_read(z, e, model->arena, &text, NULL, err));
    return cvi_told_text(model, (const char *)text, (size_t)e->size, &side, err);
}

static cvs_status take_files(tflite *m, const char *name, size_t n, cvs_error *err) {
    cvi_zip *z = NULL;
    if (!cvi_zip_follows(m->f.data, m->f.size)) {
        return CVS_OK;
    }
    CVI_TRY(cvi_zip_open_behind(m->f.data, m->f.size, &m->t.b.model->limits, &z, err));
    const cvi_zip_entry *e = find_labels(z, name, n);
    cvs_status s = e && !e->folder ? read_labels(m, z, e, err) : CVS_OK;
    s = s == CVS_OK ? read_told(m, z, err) : s;
    cvi_zip_close(z);
    return s;
}

cvs_status cvi_tflite_metadata(tflite *m) {
    cvs_error why = {0};
    cvi_fb f = find_metadata(m, &why);
    const char *labels = NULL;
    size_t n = 0;
    if (f.status == CVS_OK && f.size > 0) {
        cvi_fb_table root = cvi_fb_root(&f);
        cvi_fb_vector graphs = cvi_fb_vector_field(&f, &root, 3, 4);
        cvi_fb_table graph =
            graphs.n > 0 && f.status == CVS_OK ? cvi_fb_table_at(&f, &graphs, 0) : (cvi_fb_table){0};
        cvi_fb_vector inputs = cvi_fb_vector_field(&f, &graph, 2, 4);
        if (inputs.n > 0 && f.status == CVS_OK) {
            cvi_fb_table input = cvi_fb_table_at(&f, &inputs, 0);
            take_normalisation(m, &f, &input);
        }
        labels = labels_name(&f, &graph, &n);
    }
    CVI_TRY(note(m, f.status, false, &why));
    cvs_error wrong = {0};
    return note(m, take_files(m, labels, n, &wrong), true, &wrong);
}

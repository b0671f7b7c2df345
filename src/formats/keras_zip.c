/* SPDX-License-Identifier: MIT
 * keras_zip.c - reader of .keras archives (Keras 3, and tf.keras from 2.12 on): config.json is the architecture, metadata.json says who
 * wrote it, model.weights.h5 holds the weights; assets are left alone.
 */
#include "formats/hdf5.h"
#include "formats/keras.h"
#include "formats/zip.h"

static int match(const cvi_open *open) {
    if (open->is_folder || !cvi_zip_is(open->file->data, open->file->size)) {
        return 0;
    }
    if (!open->zip) {
        const char *name = open->path ? strrchr(open->path, '.') : NULL;
        return name && strcmp(name, ".keras") == 0 ? 60 : 0; /* so that reading says what is wrong */
    }
    return cvi_zip_find(open->zip, "config.json") && cvi_zip_find(open->zip, "metadata.json") ? 95 : 0;
}

static cvs_status read_json(cvi_open *open, cvi_zip *z, const char *name, json_t **out) {
    const cvi_zip_entry *e = cvi_zip_find(z, name);
    const uint8_t *text = NULL;
    *out = NULL;
    if (!e || e->folder) {
        return CVS_OK;
    }
    CVI_TRY(cvi_zip_read(z, e, open->model->arena, &text, NULL, open->err));
    return cvi_at_attr(open->err, cvi_json_parse((const char *)text, (size_t)e->size, out, open->err), name);
}

static cvs_status read_weights(cvi_open *open, cvi_zip *z, const cvi_zip_entry *e, const json_t *config,
                               const char *version) {
    const uint8_t *data = NULL;
    cvi_h5 *h5 = NULL;
    cvi_keras_source source;
    CVI_TRY(cvi_zip_read(z, e, open->model->arena, &data, NULL, open->err));
    CVI_TRY(
        cvi_at_attr(open->err, cvi_h5_open(data, (size_t)e->size, &open->limits, &h5, open->err), e->name));
    cvs_status s = cvi_keras_h5_source(open->model, h5, &source, open->err);
    if (s == CVS_OK) {
        s = cvi_keras_read_topology(open, config, &source, version, NULL);
    }
    cvi_h5_close(h5);
    return s;
}

static cvs_status read_entries(cvi_open *open, cvi_zip *z, const json_t *config, const json_t *metadata) {
    const char *version = cvi_json_string(metadata, "keras_version", NULL);
    const cvi_zip_entry *weights = cvi_zip_find(z, "model.weights.h5");
    if (!config) {
        return cvi_fail(open->err, CVS_E_FORMAT, "the archive has no config.json");
    }
    if (open->options && open->options->weights) {
        return cvi_keras_read_with_option(open, config, version, NULL);
    }
    if (weights && !weights->folder) {
        return read_weights(open, z, weights, config, version);
    }
    if (cvi_zip_find(z, "model.weights.npz")) {
        return cvi_fail(
            open->err, CVS_E_UNSUPPORTED,
            "the weights are kept as model.weights.npz, which is not read; save with h5py installed");
    }
    return cvi_keras_read_topology(open, config, NULL, version, NULL);
}

static cvs_status read(cvi_open *open) {
    cvi_zip *z = NULL;
    json_t *config = NULL, *metadata = NULL;
    const void *data = open->file->data;
    size_t size = open->file->size;
    CVI_TRY(cvi_model_keep_file(open->model, open->file, open->err)); /* weights may be borrowed from it */
    CVI_TRY(cvi_zip_open(data, size, &open->limits, &z, open->err));
    cvs_status s = read_json(open, z, "config.json", &config);
    s = s == CVS_OK ? read_json(open, z, "metadata.json", &metadata) : s;
    s = s == CVS_OK ? read_entries(open, z, config, metadata) : s;
    json_decref(config);
    json_decref(metadata);
    cvi_zip_close(z);
    return s;
}

const cvi_reader cvi_reader_keras_zip = {
    .name = "keras", .title = "Keras", .suffixes = ".keras", .match = match, .read = read};

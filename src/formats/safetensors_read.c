/* SPDX-License-Identifier: MIT
 * safetensors_read.c - reader of model files in the safetensors format, one file or several with an index (sharded.h);
 * class names from what their metadata tell.
 */
#include "formats/safetensors.h"
#include "formats/sharded.h"
#include "formats/state.h"
#include "formats/told.h"

/* Where tensors go, and what the metadata of the first file that says something says of classes (NULL: nobody asks). */
typedef struct target {
    cvi_state *state;
    json_t *told;
} target;

static int match(const cvi_open *open) {
    const cvi_file *f = open->file;
    if (open->is_folder || f->size < 10) {
        return 0;
    }
    uint64_t n = 0;
    for (int i = 0; i < 8; i++) {
        n |= (uint64_t)f->data[i] << (8 * i);
    }
    if (f->data[8] == '{' && n >= 2 && n <= 100000000) {
        return n <= f->size - 8 ? 90 : 40; /* cut off: reading says so */
    }
    return cvi_sharded_is(f, false) ? 85 : 0;
}

/* "__metadata__" of one file; of doubled keys the first counts. */
static cvs_status add_metadata(const target *to, const cvi_safetensors *file, cvs_error *err) {
    for (int i = 0; to->told && i < file->n_pairs; i++) {
        const char *key = file->pairs[2 * i];
        if (!json_object_get(to->told, key) &&
            json_object_set_new(to->told, key, json_string(file->pairs[2 * i + 1])) != 0) {
            return cvi_no_memory(err, strlen(key));
        }
    }
    return CVS_OK;
}

/* The tensors of one file into the state; its arena's numbers are copied, the others stay in the kept bytes. */
static cvs_status add_file(void *into, const uint8_t *data, size_t size, cvs_error *err) {
    const target *to = into;
    cvi_state *s = to->state;
    cvi_safetensors file = {0};
    CVI_TRY(cvi_safetensors_parse(data, size, &s->model->limits, &file, err));
    cvs_status e = add_metadata(to, &file, err);
    for (int i = 0; i < file.n && e == CVS_OK; i++) {
        cvs_tensor t = file.list[i].t;
        const uint8_t *at = t.data;
        bool borrowed = !at || (at >= data && at < data + size);
        if (!borrowed) {
            t.data = cvi_arena_raw(s->model->arena, (int64_t)t.bytes);
            if (t.data) {
                memcpy(t.data, at, t.bytes);
            }
        }
        e = t.data || !at ? cvi_state_add(s, file.list[i].name, &t, err) : cvi_no_memory(err, t.bytes);
    }
    cvi_safetensors_free(&file);
    return e;
}

static cvs_status read_state(cvs_model *m, cvi_file *file, const char *path, bool keep_types, json_t *told,
                             cvi_state *s, cvs_error *err) {
    const uint8_t *data = file->data;
    size_t size = file->size;
    target to = {.state = s, .told = told};
    bool index = size > 0 && data[0] == '{' && !(size > 8 && data[8] == '{' && data[7] == 0);
    *s = (cvi_state){.model = m, .keep_types = keep_types};
    CVI_TRY(cvi_model_keep_file(m, file, err));
    CVI_TRY(index ? cvi_sharded_read(m, data, size, path, add_file, &to, err)
                  : add_file(&to, data, size, err));
    if (s->n == 0) {
        return cvi_fail(err, CVS_E_FORMAT, "the file holds no tensors");
    }
    return cvi_state_done(s, err);
}

static cvs_status read(cvi_open *open) {
    cvi_state s;
    bool taken = false;
    json_t *told = json_object();
    if (!told) {
        return cvi_no_memory(open->err, 0);
    }
    open->model->producer = "";
    cvs_status e = read_state(open->model, open->file, open->from_memory ? NULL : open->path,
                              open->options && open->options->keep_types, told, &s, open->err);
    e = e == CVS_OK ? cvi_state_model(open, &s) : e;
    if (e == CVS_OK && open->model->n_classes == 0) {
        e = cvi_told_object(open->model, told, "metadata of the model file", &taken, open->err);
    }
    json_decref(told);
    return e;
}

static cvs_status load_weights(cvs_model *model, const char *path, cvs_error *err) {
    cvi_state s;
    cvi_file file = {0};
    CVI_TRY(cvi_file_read(path, &model->limits, &file, err));
    CVI_TRY(read_state(model, &file, path, false, NULL, &s, err));
    return cvi_state_assign(model, &s, err);
}

const cvi_reader cvi_reader_safetensors = {.name = "safetensors",
                                           .title = "safetensors",
                                           .suffixes = ".safetensors .safetensors.index.json",
                                           .match = match,
                                           .read = read,
                                           .load_weights = load_weights,
                                           .by_name = true};

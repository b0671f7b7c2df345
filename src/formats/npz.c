/* SPDX-License-Identifier: MIT
 * npz.c - reader of NumPy's archives of arrays (numpy.savez) as weights: every entry is one .npy, its name without the suffix is the
 * tensor's. Which architecture they belong to is found as for a state_dict (state.h). Arrays of Python objects are refused: they are pickles.
 */
#include "formats/state.h"
#include "formats/zip.h"
#include "tensor/npy.h"

static bool is_array(const cvi_zip_entry *e) {
    size_t n = strlen(e->name);
    return !e->folder && n > 4 && strcmp(e->name + n - 4, ".npy") == 0;
}

/* Arrays and nothing else. */
static int match(const cvi_open *open) {
    cvi_zip *z = NULL;
    if (open->is_folder || !cvi_zip_is(open->file->data, open->file->size)) {
        return 0;
    }
    if (cvi_zip_open(open->file->data, open->file->size, &open->limits, &z, NULL) != CVS_OK) {
        const char *name = open->path ? strrchr(open->path, '.') : NULL;
        return name && strcmp(name, ".npz") == 0 ? 60 : 0; /* so that reading says what is wrong */
    }
    int n = cvi_zip_count(z), arrays = 0;
    for (int i = 0; i < n; i++) {
        arrays += is_array(cvi_zip_at(z, i));
    }
    cvi_zip_close(z);
    return arrays > 0 && arrays == n ? 90 : 0;
}

/* One entry, its numbers moved into the model's arena. */
static cvs_status add_array(cvi_state *s, cvi_zip *z, const cvi_zip_entry *e, cvs_error *err) {
    cvs_model *m = s->model;
    const uint8_t *data = NULL;
    cvs_tensor t = {0};
    CVI_TRY(cvi_zip_read(z, e, m->arena, &data, NULL, err));
    CVI_TRY(cvi_npy_decode(data, (size_t)e->size, &m->limits, &t, err));
    char *name = cvi_arena_strn(m->arena, e->name, strlen(e->name) - 4);
    cvs_tensor kept = t;
    kept.data = t.bytes ? cvi_arena_raw(m->arena, (int64_t)t.bytes) : NULL;
    kept.owned = false;
    cvs_status status = name && (kept.data || !t.bytes) ? CVS_OK : cvi_no_memory(err, t.bytes);
    if (status == CVS_OK) {
        if (t.bytes) {
            memcpy(kept.data, t.data, t.bytes);
        }
        status = cvi_state_add(s, name, &kept, err);
    }
    cvs_tensor_free(&t);
    return status;
}

static cvs_status read_state(cvs_model *m, cvi_file *file, bool keep_types, cvi_state *s, cvs_error *err) {
    const uint8_t *data = file->data;
    size_t size = file->size;
    cvi_zip *z = NULL;
    *s = (cvi_state){.model = m, .keep_types = keep_types, .ordered = true};
    CVI_TRY(cvi_model_keep_file(m, file, err));
    CVI_TRY(cvi_zip_open(data, size, &m->limits, &z, err));
    cvs_status status = CVS_OK;
    for (int i = 0; i < cvi_zip_count(z) && status == CVS_OK; i++) {
        const cvi_zip_entry *e = cvi_zip_at(z, i);
        if (is_array(e)) {
            status = add_array(s, z, e, err);
            status = status == CVS_OK ? status : cvi_at_attr(err, status, e->name);
        }
    }
    cvi_zip_close(z);
    CVI_TRY(status);
    if (s->n == 0) {
        return cvi_fail(err, CVS_E_FORMAT, "the file holds no tensors");
    }
    return cvi_state_done(s, err);
}

static cvs_status read(cvi_open *open) {
    cvi_state s;
    open->model->producer = "NumPy";
    CVI_TRY(read_state(open->model, open->file, open->options && open->options->keep_types, &s, open->err));
    return cvi_state_model(open, &s);
}

static cvs_status load_weights(cvs_model *model, const char *path, cvs_error *err) {
    cvi_state s;
    cvi_file file = {0};
    CVI_TRY(cvi_file_read(path, &model->limits, &file, err));
    CVI_TRY(read_state(model, &file, false, &s, err));
    return cvi_state_assign(model, &s, err);
}

const cvi_reader cvi_reader_npz = {.name = "npz",
                                   .title = "NumPy archive",
                                   .suffixes = ".npz",
                                   .match = match,
                                   .read = read,
                                   .load_weights = load_weights};

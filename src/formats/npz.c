/* SPDX-License-Identifier: MIT
 * npz.c - reader of NumPy's archives of arrays (numpy.savez) as weights: every entry is one .npy, its name without the suffix is the
 * tensor's. Or one array, as an input. Which architecture they belong to is found as for a state_dict (state.h). Arrays of Python objects are refused: they are pickles.
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
    if (open->is_folder || !cvi_zip_is(open->file->data, open->file->size)) {
        return 0;
    }
    if (!open->zip) {
        const char *name = open->path ? strrchr(open->path, '.') : NULL;
        return name && strcmp(name, ".npz") == 0 ? 60 : 0; /* so that reading says what is wrong */
    }
    int n = cvi_zip_count(open->zip), arrays = 0;
    for (int i = 0; i < n; i++) {
        arrays += is_array(cvi_zip_at(open->zip, i));
    }
    return arrays > 0 && arrays == n ? 90 : 0;
}

/* ---- one array, as an input of a network ---- */

static const cvi_zip_entry *find_array(const cvi_zip *z, const char *name, int *arrays) {
    const cvi_zip_entry *only = NULL, *named = NULL;
    size_t n = strlen(name);
    *arrays = 0;
    for (int i = 0; i < cvi_zip_count(z); i++) {
        const cvi_zip_entry *e = cvi_zip_at(z, i);
        if (is_array(e)) {
            bool same = strlen(e->name) == n + 4 && memcmp(e->name, name, n) == 0;
            named = same ? e : named;
            only = e;
            ++*arrays;
        }
    }
    return named ? named : *arrays == 1 ? only : NULL;
}

static cvs_status read_array(cvi_zip *z, const char *name, const cvs_limits *limits, cvs_tensor *out,
                             cvs_error *err) {
    int arrays = 0;
    const cvi_zip_entry *e = find_array(z, name, &arrays);
    const uint8_t *data = NULL;
    if (!e) {
        return cvi_fail(err, CVS_E_NOT_FOUND,
                        "the archive has %d arrays: one alone is wanted, or one that is named %.100s", arrays,
                        name);
    }
    cvi_arena *arena = cvi_arena_new(cvs_limits_default(limits).max_memory_bytes);
    cvs_status s = arena ? cvi_zip_read(z, e, arena, &data, NULL, err) : cvi_no_memory(err, 0);
    if (s == CVS_OK) {
        s = cvi_at_attr(err, cvi_npy_decode(data, (size_t)e->size, limits, out, err), e->name);
    }
    cvi_arena_free(arena);
    return s;
}

cvs_status cvs_npz_read(const char *path, const char *name, const cvs_limits *limits, cvs_tensor *out,
                        cvs_error *err) {
    cvi_file file = {0};
    cvi_zip *z = NULL;
    *out = (cvs_tensor){0};
    CVI_TRY(cvi_file_read(path, limits, &file, err));
    cvs_status s = cvi_zip_open(file.data, file.size, limits, &z, err);
    if (s == CVS_OK) {
        s = read_array(z, name, limits, out, err);
    }
    cvi_zip_close(z);
    cvi_file_close(&file);
    return cvi_at_file(err, s, path);
}

/* ---- weights ---- */

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
                                   .load_weights = load_weights,
                                   .by_name = true};

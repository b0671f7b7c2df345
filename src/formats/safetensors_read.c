/* SPDX-License-Identifier: MIT
 * safetensors_read.c - reader of model files in the safetensors format, one file or several with an index (*.safetensors.index.json),
 * whose parts are opened only beneath the index's own folder.
 */
#include "formats/safetensors.h"
#include "formats/state.h"

static bool is_index(const cvi_file *f) {
    size_t n = CVI_MIN(f->size, 4096);
    const char *key = "\"weight_map\"";
    return f->size > 2 && f->data[0] == '{' &&
           (memmem(f->data, n, key, strlen(key)) != NULL ||
            memmem(f->data + f->size - n, n, ".safetensors\"", 13) != NULL) &&
           memmem(f->data, f->size, key, strlen(key)) != NULL;
}

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
    return is_index(f) ? 85 : 0;
}

/* The tensors of one file into the state; its arena's numbers are copied, the others stay in the kept bytes. */
static cvs_status add_file(cvi_state *s, const uint8_t *data, size_t size, cvs_error *err) {
    cvi_safetensors file = {0};
    CVI_TRY(cvi_safetensors_parse(data, size, &s->model->limits, &file, err));
    cvs_status e = CVS_OK;
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

/* Each part once, in the order of its first mention. */
static cvs_status add_parts(cvi_state *s, const char *path, const json_t *map, cvs_error *err) {
    const char *key;
    const json_t *name;
    json_t *seen = json_object();
    char *folder = cvi_path_dir(path);
    cvs_status e = seen && folder ? CVS_OK : cvi_no_memory(err, 0);
    json_object_foreach((json_t *)(uintptr_t)map, key, name) {
        if (e != CVS_OK) {
            break;
        }
        if (!json_is_string(name)) {
            e = cvi_at_attr(
                err, cvi_fail(err, CVS_E_FORMAT, "weight_map should name a file for every tensor"), key);
            break;
        }
        const char *part = json_string_value(name);
        if (json_object_get(seen, part)) {
            continue;
        }
        cvi_file file = {0};
        e = json_object_set_new(seen, part, json_true()) == 0 ? CVS_OK : cvi_no_memory(err, 0);
        e = e == CVS_OK ? cvi_file_read_beneath(folder, part, &s->model->limits, &file, err) : e;
        if (e == CVS_OK) {
            const uint8_t *data = file.data;
            size_t size = file.size;
            e = cvi_model_keep_file(s->model, &file, err);
            e = e == CVS_OK ? add_file(s, data, size, err) : e;
            e = e == CVS_OK ? e : cvi_at_file(err, e, part);
        }
    }
    json_decref(seen);
    cvi_free(folder);
    return e;
}

static cvs_status read_state(cvs_model *m, cvi_file *file, const char *path, bool alone, bool keep_types,
                             cvi_state *s, cvs_error *err) {
    const uint8_t *data = file->data;
    size_t size = file->size;
    bool index = size > 0 && data[0] == '{' && !(size > 8 && data[8] == '{' && data[7] == 0);
    *s = (cvi_state){.model = m, .keep_types = keep_types};
    CVI_TRY(cvi_model_keep_file(m, file, err));
    if (!index) {
        CVI_TRY(add_file(s, data, size, err));
    } else if (alone) {
        return cvi_fail(err, CVS_E_UNSUPPORTED,
                        "an index names files beside it, which a model in memory has not");
    } else {
        json_t *json = NULL;
        CVI_TRY(cvi_json_parse((const char *)data, size, &json, err));
        cvs_status e = add_parts(s, path, json_object_get(json, "weight_map"), err);
        json_decref(json);
        CVI_TRY(e);
    }
    if (s->n == 0) {
        return cvi_fail(err, CVS_E_FORMAT, "the file holds no tensors");
    }
    return cvi_state_done(s, err);
}

static cvs_status read(cvi_open *open) {
    cvi_state s;
    open->model->producer = "";
    CVI_TRY(read_state(open->model, open->file, open->path, open->from_memory,
                       open->options && open->options->keep_types, &s, open->err));
    return cvi_state_model(open, &s);
}

static cvs_status load_weights(cvs_model *model, const char *path, cvs_error *err) {
    cvi_state s;
    cvi_file file = {0};
    CVI_TRY(cvi_file_read(path, &model->limits, &file, err));
    CVI_TRY(read_state(model, &file, path, false, false, &s, err));
    return cvi_state_assign(model, &s, err);
}

const cvi_reader cvi_reader_safetensors = {.name = "safetensors",
                                           .title = "safetensors",
                                           .suffixes = ".safetensors .safetensors.index.json",
                                           .match = match,
                                           .read = read,
                                           .load_weights = load_weights,
                                           .by_name = true};

/* SPDX-License-Identifier: MIT
 * sharded.c - the index of weights in several files, and its parts one after the other; see sharded.h.
 */
#include "formats/sharded.h"

enum { WINDOW = 4096, MAX_PARTS = 1024 }; /* the largest published networks have some 200 */

#define KEY "\"weight_map\""

/* Whether a word stands in the first or the last bytes. */
static bool at_ends(const cvi_file *f, const char *word) {
    size_t n = CVI_MIN(f->size, WINDOW);
    return memmem(f->data, n, word, strlen(word)) != NULL ||
           memmem(f->data + f->size - n, n, word, strlen(word)) != NULL;
}

bool cvi_sharded_is(const cvi_file *f, bool torch) {
    if (f->size <= 2 || f->data[0] != '{') {
        return false;
    }
    bool others = at_ends(f, ".safetensors\""), binary = at_ends(f, ".bin\"") && !others;
    bool likely = torch ? binary : !binary && (others || at_ends(f, KEY));
    return likely && memmem(f->data, f->size, KEY, strlen(KEY)) != NULL;
}

static cvs_status read_part(cvs_model *m, const char *folder, const char *name, cvi_sharded_part add,
                            void *to, cvs_error *err) {
    cvi_file file = {0};
    CVI_TRY(cvi_file_read_beneath(folder, name, &m->limits, &file, err));
    const uint8_t *data = file.data;
    size_t size = file.size;
    cvs_status s = cvi_model_keep_file(m, &file, err);
    s = s == CVS_OK ? add(to, data, size, err) : s;
    return s == CVS_OK ? s : cvi_at_file(err, s, name);
}

static cvs_status read_parts(cvs_model *m, const char *folder, const json_t *map, json_t *seen,
                             cvi_sharded_part add, void *to, cvs_error *err) {
    const char *key;
    const json_t *name;
    json_object_foreach((json_t *)(uintptr_t)map, key, name) {
        const char *part = json_string_value(name);
        if (!part) {
            return cvi_at_attr(
                err, cvi_fail(err, CVS_E_FORMAT, "weight_map should name a file for every tensor"), key);
        }
        if (json_object_get(seen, part)) {
            continue;
        }
        if (json_object_size(seen) == MAX_PARTS) {
            return cvi_fail(err, CVS_E_LIMIT, "weight_map names more than %d files", MAX_PARTS);
        }
        if (json_object_set_new(seen, part, json_true()) != 0) {
            return cvi_no_memory(err, 0);
        }
        CVI_TRY(read_part(m, folder, part, add, to, err));
    }
    return CVS_OK;
}

cvs_status cvi_sharded_read(cvs_model *m, const uint8_t *data, size_t size, const char *path,
                            cvi_sharded_part add, void *to, cvs_error *err) {
    json_t *json = NULL;
    if (!path) {
        return cvi_fail(err, CVS_E_UNSUPPORTED,
                        "an index names files beside it, which a model in memory has not");
    }
    CVI_TRY(cvi_json_parse((const char *)data, size, &json, err));
    json_t *seen = json_object();
    char *folder = cvi_path_dir(path);
    cvs_status s = seen && folder
                       ? read_parts(m, folder, json_object_get(json, "weight_map"), seen, add, to, err)
                       : cvi_no_memory(err, 0);
    json_decref(seen);
    json_decref(json);
    cvi_free(folder);
    return s;
}

/* SPDX-License-Identifier: MIT
 * side_files.c - what lies beside a model file: class names and preprocessing. A .json side file is the user's word and its
 * mistakes are errors; a plain list that cannot be read is only noted.
 */
#include "open.h"

/* folder + "/" + name + suffix if that is a file, owned; else NULL. *failed on lack of memory. */
static char *beside(const char *folder, const char *name, const char *suffix, bool *failed) {
    cvi_buf b = {0};
    cvi_buf_puts(&b, folder);
    cvi_buf_puts(&b, "/");
    cvi_buf_puts(&b, name);
    cvi_buf_puts(&b, suffix);
    if (b.failed) {
        cvi_buf_free(&b);
        *failed = true;
        return NULL;
    }
    if (!cvi_is_file(b.data)) {
        cvi_buf_free(&b);
    }
    return b.data;
}

/* "preprocess": what cvs_preprocess_parse reads; "classes": a list, or the name of a file in the same folder. */
static cvs_status read_json_keys(cvs_model *m, const json_t *json, const char *folder, const char *from,
                                 cvs_error *err) {
    const json_t *classes = json_object_get(json, "classes");
    const char *preprocess = cvi_json_string(json, "preprocess", NULL);
    if (!json_is_object(json)) {
        return cvi_fail(err, CVS_E_FORMAT,
                        "a side file should be an object with \"preprocess\" and \"classes\"");
    }
    if (preprocess) {
        cvs_preprocess p = {0};
        CVI_TRY(cvi_at_attr(err, cvs_preprocess_parse(preprocess, &p, err), "preprocess"));
        m->preprocess = p;
        m->preprocess.known = true;
        snprintf(m->preprocess.from, sizeof m->preprocess.from, "%.90s", from);
    }
    if (json_is_string(classes)) {
        const char *name = json_string_value(classes);
        cvi_file f = {0};
        CVI_TRY(cvi_at_attr(err, cvi_file_read_beneath(folder, name, &m->limits, &f, err), "classes"));
        cvs_status s = cvi_classes_from_text(m, (const char *)f.data, f.size, name, err);
        cvi_file_close(&f);
        return cvi_at_attr(err, s, "classes");
    }
    return classes ? cvi_at_attr(err, cvi_classes_from_json(m, classes, from, err), "classes") : CVS_OK;
}

static cvs_status read_json(cvs_model *m, const char *folder, const char *path, cvs_error *err) {
    cvi_file f = {0};
    json_t *json = NULL;
    CVI_TRY(cvi_file_read(path, &m->limits, &f, err));
    cvs_status s = cvi_json_parse((const char *)f.data, f.size, &json, err);
    if (s == CVS_OK) {
        s = read_json_keys(m, json, folder, cvi_path_base(path), err);
    }
    json_decref(json);
    cvi_file_close(&f);
    return cvi_at_file(err, s, path);
}

/* A plain list of names; one that is damaged is noted and left. */
static cvs_status read_list(cvs_model *m, const char *path, cvs_error *err) {
    cvs_error quiet = {0};
    cvs_status s = cvi_classes_from_file(m, path, cvi_path_base(path), &quiet);
    if (s == CVS_E_MEMORY) {
        return cvi_no_memory(err, 0);
    }
    if (s != CVS_OK &&
        !cvi_model_note(m, "%s beside the model was not used: %s", cvi_path_base(path), quiet.message)) {
        return cvi_no_memory(err, 0);
    }
    return CVS_OK;
}

typedef struct side_name {
    const char *name, *suffix;
} side_name;

static cvs_status read_sides(cvs_model *m, const char *folder, const char *file, const char *stem,
                             cvs_error *err) {
    const side_name json[] = {{file, ".convscope.json"}, {stem, ".convscope.json"}, {"convscope", ".json"}};
    const side_name lists[] = {{stem, ".txt"}, {"classes", ".txt"}, {"labels", ".txt"}};
    bool failed = false, done = false;
    for (int i = 0; i < CVI_COUNT(json) && !done; i++) {
        char *path = beside(folder, json[i].name, json[i].suffix, &failed);
        cvs_status s = failed ? cvi_no_memory(err, 0) : path ? read_json(m, folder, path, err) : CVS_OK;
        done = path != NULL;
        cvi_free(path);
        CVI_TRY(s);
    }
    for (int i = 0; i < CVI_COUNT(lists) && m->n_classes == 0; i++) {
        if (strcmp(file, "model.txt") == 0 && i == 0) {
            continue;
        }
        char *path = beside(folder, lists[i].name, lists[i].suffix, &failed);
        cvs_status s = failed ? cvi_no_memory(err, 0) : path ? read_list(m, path, err) : CVS_OK;
        cvi_free(path);
        CVI_TRY(s);
    }
    return CVS_OK;
}

cvs_status cvi_side_files(cvs_model *m, const char *path, cvs_error *err) {
    const char *file = cvi_path_base(path);
    const char *dot = strrchr(file, '.');
    char *folder = cvi_is_folder(path) ? cvi_strdup(path) : cvi_path_dir(path), *stem = cvi_strdup(file);
    cvs_status s;
    if (!folder || !stem) {
        s = cvi_no_memory(err, strlen(path));
    } else {
        if (dot && dot != file) {
            stem[dot - file] = '\0';
        }
        s = read_sides(m, folder, file, stem, err);
    }
    cvi_free(folder);
    cvi_free(stem);
    return s;
}

/* The reader that knows weights of this file: the surest by content, the model's own format among equals. */
static const cvi_reader *weights_reader(const cvs_model *m, const char *path) {
    const cvi_reader *best = NULL, *own = NULL;
    cvi_file file = {0};
    cvs_error quiet = {0};
    int score = 0;
    cvi_open open = {.path = path, .file = &file, .limits = m->limits, .err = &quiet};
    open.is_folder = cvi_is_folder(path);
    bool readable = open.is_folder || cvi_file_read(path, &m->limits, &file, &quiet) == CVS_OK;
    if (readable && !open.is_folder) {
        cvi_look_begin(&open);
    }
    for (int i = 0; i < cvi_n_readers; i++) {
        if (!cvi_readers[i]->load_weights) {
            continue;
        }
        bool same = strcmp(cvi_readers[i]->title, m->format) == 0;
        int s = readable ? 2 * cvi_readers[i]->match(&open) : 0;
        own = same ? cvi_readers[i] : own;
        if (s > 0 && s + same > score) {
            score = s + same;
            best = cvi_readers[i];
        }
    }
    cvi_look_end(&open);
    cvi_file_close(&file);
    return best ? best : own;
}

/* What a file that no reader knows looks like, or why it cannot be read. */
static cvs_status no_weights(const cvs_model *m, const char *path, cvs_error *err) {
    cvi_file file = {0};
    CVI_TRY(cvi_file_read(path, &m->limits, &file, err));
    cvs_status s = cvi_unknown_file(&file, err);
    cvi_file_close(&file);
    return s;
}

cvs_status cvi_load_weights(cvs_model *m, const char *path, cvs_error *err) {
    const cvi_reader *reader = weights_reader(m, path);
    cvs_status s = reader ? reader->load_weights(m, path, err) : no_weights(m, path, err);
    return cvi_at_file(err, s, path);
}

/* SPDX-License-Identifier: MIT
 * open.c - opens a model by content: a file, a folder that holds one, or bytes in memory. The readers say how sure they are;
 * the surest reads. Then what lies beside the model (side_files.c), operators are bound, weights made if asked.
 */
#include "open.h"

#include "formats/hub.h"
#include "formats/zip.h"
#include "ops/op.h"

void cvi_look_begin(cvi_open *open) {
    if (!open->is_folder && cvi_zip_is(open->file->data, open->file->size)) {
        (void)cvi_zip_open(open->file->data, open->file->size, &open->limits, &open->zip, NULL);
    }
}

void cvi_look_end(cvi_open *open) {
    cvi_zip_close(open->zip);
    open->zip = NULL;
}

/* The reader that is surest of the bytes; NULL when none knows them. */
static const cvi_reader *best_reader(cvi_open *open, int *score) {
    const cvi_reader *best = NULL;
    *score = 0;
    if (cvi_is_foreign(open->file)) {
        return NULL;
    }
    cvi_look_begin(open);
    for (int i = 0; i < cvi_n_readers; i++) {
        int s = cvi_readers[i]->match(open);
        if (s > *score) {
            *score = s;
            best = cvi_readers[i];
        }
    }
    cvi_look_end(open);
    return best;
}

static cvs_status set_names(cvs_model *m, const char *path, const char *title) {
    const char *base = cvi_path_base(path);
    m->path = cvi_arena_strn(m->arena, path, strlen(path));
    m->format = title;
    if (!m->name || !m->name[0]) {
        m->name = cvi_arena_strn(m->arena, base, strlen(base));
    }
    return m->path && m->name ? CVS_OK : CVS_E_MEMORY;
}

/* Everything after the reader: binding, side files, the caller's wishes. */
static cvs_status complete(cvi_open *open, cvs_error *err) {
    cvs_model *m = open->model;
    const cvs_open_options *options = open->options;
    if (!m->graph) {
        return cvi_fail(err, CVS_E_INTERNAL, "the reader made no graph");
    }
    CVI_TRY(cvi_ops_bind(m->graph, err));
    if (options && options->weights) {
        CVI_TRY(cvi_load_weights(m, options->weights, err));
    }
    if (!open->from_memory) {
        CVI_TRY(cvi_hub_take(m, open->hub ? open->hub : open->path, err));
        CVI_TRY(m->n_classes > 0 ? cvi_classes_check(m, err) : CVS_OK); /* names that do not fit make room */
        CVI_TRY(cvi_side_files(m, open->path, err));
    }
    if (options && options->preprocess) {
        m->preprocess = *options->preprocess;
    }
    if (options && options->classes && strcmp(options->classes, "imagenet") == 0) {
        CVI_TRY(cvi_classes_imagenet(m, cvi_classes_wanted(m) == 1001, err));
    } else if (options && options->classes) {
        CVI_TRY(cvi_classes_from_file(m, options->classes, cvi_path_base(options->classes), err));
    }
    if (options && options->init && !m->has_weights) {
        CVI_TRY(cvi_ops_init_weights(m, options->init_seed, err));
        m->random_weights = true;
        if (!cvi_model_note(m, "the file has no weights: these are random, nothing is learned")) {
            return cvi_no_memory(err, 128);
        }
    }
    return cvi_classes_check(m, err);
}

/* Whether the file of weights is matched by name to a finished graph (safetensors, PyTorch, npz), so that readers whose own form of
 * weights is part of building the graph (Caffe, Keras, Darknet, ncnn) leave it alone. */
static bool weights_by_name(const char *path, const cvs_limits *limits) {
    cvi_file file = {0};
    cvs_error quiet = {0};
    int score = 0;
    bool by_name = false;
    if (cvi_file_read(path, limits, &file, &quiet) == CVS_OK) {
        cvi_open open = {.path = path, .file = &file, .limits = *limits, .err = &quiet};
        const cvi_reader *reader = best_reader(&open, &score);
        by_name = reader && reader->by_name;
        cvi_file_close(&file);
    }
    return by_name;
}

/* Reads what `open` describes with the surest reader. */
static cvs_status read_open(cvi_open *open, cvs_model **out, cvs_error *err) {
    int score = 0;
    const cvi_reader *reader = best_reader(open, &score);
    if (!reader) {
        return cvi_unknown_file(open->file, err);
    }
    open->model = cvi_model_new(&open->limits, err);
    if (!open->model) {
        return CVS_E_MEMORY;
    }
    open->model->lang = open->options ? open->options->lang : CVS_EN;
    open->model->file_bytes = (int64_t)open->file->size;
    const cvs_open_options *asked = open->options;
    cvs_open_options later = {0};
    if (asked && asked->weights && weights_by_name(asked->weights, &open->limits)) {
        later = *asked;
        later.weights = NULL;
        open->options = &later;
    }
    cvs_status s = reader->read(open);
    open->options = asked;
    if (s == CVS_OK && asked && asked->signature && !open->has_signatures) {
        s = cvi_fail(err, CVS_E_ARGUMENT, "a model of the format %s has no signatures to choose from",
                     reader->title);
    }
    if (s == CVS_OK && set_names(open->model, open->path, reader->title) != CVS_OK) {
        s = cvi_no_memory(err, strlen(open->path));
    }
    if (s == CVS_OK) {
        s = complete(open, err);
    }
    if (s != CVS_OK) {
        cvs_model_free(open->model);
        open->model = NULL;
        return s;
    }
    *out = open->model;
    return CVS_OK;
}

/* "x.ckpt" of x.ckpt.index, as TensorFlow itself calls a checkpoint: no file has that name. NULL: it is none, or out of memory. */
static char *index_of(const char *path) {
    if (cvi_is_file(path) || cvi_is_folder(path)) {
        return NULL;
    }
    size_t n = strlen(path);
    char *index = cvi_malloc(n + sizeof ".index");
    if (index) {
        memcpy(index, path, n);
        memcpy(index + n, ".index", sizeof ".index");
    }
    if (index && !cvi_is_file(index)) {
        cvi_free(index);
        index = NULL;
    }
    return index;
}

/* hub: see cvi_open. */
static cvs_status open_file(const char *path, const char *hub, const cvs_open_options *options,
                            cvs_model **out, cvs_error *err) {
    cvi_file file = {0};
    cvi_open open = {.path = path, .hub = hub, .file = &file, .options = options, .err = err};
    open.limits = cvs_limits_default(options ? &options->limits : NULL);
    CVI_TRY(cvi_file_read(path, &open.limits, &file, err));
    cvs_status s = read_open(&open, out, err);
    cvi_file_close(&file);
    return s;
}

/* How sure the surest reader is of a file, for choosing inside a folder. An unreadable file is none. */
static int score_file(const char *path, const cvs_limits *limits) {
    cvi_file file = {0};
    cvs_error quiet = {0};
    int score = 0;
    if (cvi_file_read(path, limits, &file, &quiet) == CVS_OK) {
        cvi_open open = {.path = path, .file = &file, .limits = *limits, .err = &quiet};
        const cvi_reader *reader = best_reader(&open, &score);
        score = reader && reader->part ? 0 : score;
        cvi_file_close(&file);
    }
    return score;
}

static cvs_status open_folder(const char *path, const cvs_open_options *options, cvs_model **out,
                              cvs_error *err) {
    cvi_file none = {0};
    cvi_open open = {.path = path, .is_folder = true, .file = &none, .options = options, .err = err};
    int score = 0;
    open.limits = cvs_limits_default(options ? &options->limits : NULL);
    bool known = best_reader(&open, &score) != NULL;
    if (known && score >= CVI_SURE) { /* a format that is a folder */
        return read_open(&open, out, err);
    }
    CVI_TRY(cvi_other_folder(path, err));
    char *found = NULL;
    cvs_status s = cvi_find_in_folder(path, &open.limits, score_file, &found, err);
    if (s == CVS_E_NOT_FOUND && known) { /* files that are a model together, and none that is one alone */
        cvi_error_clear(err);
        return read_open(&open, out, err);
    }
    if (s == CVS_OK) {
        s = open_file(found, path, options, out, err);
    }
    if (s != CVS_OK && found) {
        s = cvi_at_file(err, s, found);
    }
    cvi_free(found);
    return s;
}

cvs_status cvs_model_open(const char *path, const cvs_open_options *options, cvs_model **out,
                          cvs_error *err) {
    cvs_error local = {0};
    err = err ? err : &local;
    cvi_error_clear(err);
    *out = NULL;
    if (!path || !*path) {
        return cvi_fail(err, CVS_E_ARGUMENT, "the path is empty");
    }
    /* Weights alone say no architecture: with one given, that is opened and they are loaded into it. */
    cvs_open_options both = options ? *options : (cvs_open_options){0};
    const char *first = path;
    if (both.arch) {
        first = both.arch;
        both.weights = path;
        both.arch = NULL;
    }
    char *index = index_of(first), *weights = both.weights ? index_of(both.weights) : NULL;
    first = index ? index : first;
    both.weights = weights ? weights : both.weights;
    cvs_status s =
        cvi_is_folder(first) ? open_folder(first, &both, out, err) : open_file(first, NULL, &both, out, err);
    s = s == CVS_OK ? s : cvi_at_file(err, s, first);
    cvi_free(index);
    cvi_free(weights);
    return s;
}

cvs_status cvs_model_open_memory(const void *data, size_t size, const char *name,
                                 const cvs_open_options *options, cvs_model **out, cvs_error *err) {
    cvs_error local = {0};
    err = err ? err : &local;
    cvi_error_clear(err);
    *out = NULL;
    name = name && *name ? name : "memory";
    cvi_file file = {.size = size, .path = cvi_strdup(name)};
    uint8_t *copy = cvi_malloc(CVI_MAX(size, 1));
    if (!copy || !file.path) {
        cvi_free(copy);
        cvi_free(file.path);
        return cvi_no_memory(err, size);
    }
    if (size) {
        memcpy(copy, data, size);
    }
    file.data = copy;
    cvi_open open = {.path = name, .from_memory = true, .file = &file, .options = options, .err = err};
    open.limits = cvs_limits_default(options ? &options->limits : NULL);
    cvs_status s = read_open(&open, out, err);
    cvi_file_close(&file);
    return s == CVS_OK ? s : cvi_at_file(err, s, name);
}

/* SPDX-License-Identifier: MIT
 * keras_h5.c - readers of Keras files: .h5 whole models, architectures as JSON (weights from the file that --weights names), and
 * weights-only .h5 files.
 */
#include "formats/keras.h"
#include "formats/hdf5.h"
#include "formats/tf_checkpoint.h"

/* ---- weights of an HDF5 file ---- */

const char *cvi_keras_h5_text(cvi_h5 *file, int64_t object, const char *name) {
    int64_t n = 0;
    const char **list = NULL;
    return cvi_h5_attribute(file, object, name, &n, &list, NULL) == CVS_OK && n == 1 ? list[0] : NULL;
}

/* A list attribute, which long lists are split into: name, or name0, name1, ... *n = -1 when absent. */
static cvs_status read_list(cvs_model *m, cvi_h5 *f, int64_t object, const char *name, int64_t *n,
                            const char ***out, cvs_error *err) {
    CVI_TRY(cvi_h5_attribute(f, object, name, n, out, err));
    for (int part = 0; *n < 0 || part > 0; part++) {
        char piece[40];
        int64_t k = 0;
        const char **more = NULL;
        snprintf(piece, sizeof piece, "%s%d", name, part);
        CVI_TRY(cvi_h5_attribute(f, object, piece, &k, &more, err));
        if (k < 0) {
            break;
        }
        int64_t have = CVI_MAX(*n, 0);
        const char **all = cvi_arena_alloc(m->arena, have + k + 1, sizeof *all);
        if (!all) {
            return cvi_no_memory(err, (size_t)(have + k) * sizeof *all);
        }
        for (int64_t i = 0; i < have + k; i++) {
            all[i] = i < have ? (*out)[i] : more[i - have];
        }
        *n = have + k;
        *out = all;
    }
    return CVS_OK;
}

cvs_status cvi_keras_h5_load(cvi_keras_source *s, const cvi_keras_weight *w, cvs_tensor *out,
                             cvs_error *err) {
    cvs_status e = cvi_h5_dataset(s->context, w->place, out, err);
    return e == CVS_OK ? e : cvi_at_attr(err, e, w->name);
}

cvs_status cvi_keras_more_weights(cvs_model *m, cvi_keras_source *s, int64_t n, int64_t *capacity,
                                  cvs_error *err) {
    if (s->n + n > *capacity) {
        int64_t cap = 2 * (s->n + n) + 16;
        cvi_keras_weight *w = cvi_arena_alloc(m->arena, cap, sizeof *w);
        if (!w) {
            return cvi_no_memory(err, (size_t)cap * sizeof *w);
        }
        if (s->n > 0) {
            memcpy(w, s->weight, (size_t)s->n * sizeof *w);
        }
        s->weight = w;
        *capacity = cap;
    }
    return CVS_OK;
}

static cvs_status read_group(cvs_model *m, cvi_h5 *f, int64_t object, cvi_keras_source *s, cvi_keras_group *g,
                             int64_t *capacity, cvs_error *err) {
    int64_t n = 0;
    const char **names = NULL;
    CVI_TRY(read_list(m, f, object, "weight_names", &n, &names, err));
    n = CVI_MAX(n, 0);
    CVI_TRY(cvi_keras_more_weights(m, s, n, capacity, err));
    g->first = s->n;
    g->n = n;
    for (int64_t i = 0; i < n; i++) {
        char *name =
            cvi_arena_strn(m->arena, names[i], strlen(names[i])); /* the file's own copy is closed with it */
        int64_t place = -1;
        CVI_TRY(name ? cvi_h5_find(f, object, name, &place, err) : cvi_no_memory(err, 0));
        if (place < 0) {
            return cvi_fail(err, CVS_E_FORMAT, "the weight \"%.120s\" is listed, but it is not in the file",
                            name);
        }
        s->weight[s->n++] = (cvi_keras_weight){.group = g->name, .name = name, .place = place};
    }
    return CVS_OK;
}

cvs_status cvi_keras_h5_source(cvs_model *m, cvi_h5 *f, cvi_keras_source *out, cvs_error *err) {
    CVI_TRY(cvi_h5_complete(f, err));
    int64_t root = cvi_h5_root(f), weights = -1, n = 0, capacity = 0;
    const char **names = NULL;
    *out = (cvi_keras_source){.load = cvi_keras_h5_load, .context = f};
    CVI_TRY(cvi_h5_find(f, root, "model_weights", &weights, err));
    root = weights >= 0 ? weights : root;
    CVI_TRY(read_list(m, f, root, "layer_names", &n, &names, err));
    int64_t layers = n < 0 ? cvi_keras_v3_layers(f) : -1;
    if (layers >= 0) {
        return cvi_keras_v3_source(m, f, layers, out, err);
    }
    if (n < 0) {
        return cvi_fail(err, CVS_E_FORMAT, "this HDF5 file has no list of Keras layers (layer_names)");
    }
    cvi_h5_group members;
    CVI_TRY(cvi_h5_list(f, root, &members, err));
    out->group = cvi_arena_alloc(m->arena, n + 1, sizeof *out->group);
    if (!out->group) {
        return cvi_no_memory(err, (size_t)n * sizeof *out->group);
    }
    for (int64_t i = 0; i < n; i++) {
        cvi_keras_group *g = &out->group[out->n_groups++];
        g->name = cvi_arena_strn(m->arena, names[i], strlen(names[i]));
        const cvi_h5_link *link = g->name ? cvi_h5_member(&members, g->name) : NULL;
        int64_t object = link ? link->object : -1;
        if (g->name && !link && strchr(g->name, '/')) {
            CVI_TRY(cvi_h5_find(f, root, g->name, &object, err));
        }
        if (object < 0) {
            return g->name ? cvi_fail(err, CVS_E_FORMAT,
                                      "the layer \"%.120s\" is listed, but its weights are not in the file",
                                      g->name)
                           : cvi_no_memory(err, 0);
        }
        CVI_TRY(read_group(m, f, object, out, g, &capacity, err));
    }
    return CVS_OK;
}

/* ---- architecture + a file of weights ---- */

cvs_status cvi_keras_read_with_option(cvi_open *open, const json_t *topology, const char *keras_version,
                                      const char *backend) {
    const char *path = open->options ? open->options->weights : NULL;
    if (!path) {
        return cvi_keras_read_topology(open, topology, NULL, keras_version, backend);
    }
    cvi_file file = {0};
    cvi_h5 *h5 = NULL;
    cvi_keras_source source;
    if (cvi_tf_checkpoint_is(path, &open->limits)) {
        cvs_status s = cvi_tf_checkpoint_source(open->model, path, &source, open->err);
        s = s == CVS_OK ? cvi_keras_read_topology(open, topology, &source, keras_version, backend) : s;
        return cvi_at_file(open->err, s, path);
    }
    CVI_TRY(cvi_file_read(path, &open->limits, &file, open->err));
    const void *data = file.data;
    size_t size = file.size;
    CVI_TRY(cvi_model_keep_file(open->model, &file, open->err));
    cvs_status s = cvi_h5_open(data, size, &open->limits, &h5, open->err);
    s = s == CVS_OK ? cvi_keras_h5_source(open->model, h5, &source, open->err) : s;
    if (s == CVS_OK) {
        const char *written_by = cvi_keras_h5_text(h5, cvi_h5_root(h5), "keras_version");
        const char *written_on = cvi_keras_h5_text(h5, cvi_h5_root(h5), "backend");
        s = cvi_keras_read_topology(open, topology, &source, written_by ? written_by : keras_version,
                                    written_on ? written_on : backend);
    }
    cvi_h5_close(h5);
    return s == CVS_OK ? s : cvi_at_file(open->err, s, path);
}

/* ---- the readers ---- */

/* 95: a whole model; 30: Keras weights alone; 60: HDF5 too damaged to tell, so that reading says where. */
static int match_h5(const cvi_open *open) {
    if (open->is_folder || !cvi_h5_is(open->file->data, open->file->size)) {
        return 0;
    }
    cvi_h5 *f = NULL;
    if (cvi_h5_open(open->file->data, open->file->size, &open->limits, &f, NULL) != CVS_OK) {
        return 60;
    }
    static const char *const attributes[] = {"model_config", "layer_names", "layer_names0"};
    int score = 0;
    for (int i = 0; i < CVI_COUNT(attributes) && !score; i++) {
        int64_t n = 0;
        const char **list = NULL;
        cvs_status s = cvi_h5_attribute(f, cvi_h5_root(f), attributes[i], &n, &list, NULL);
        score = s != CVS_OK ? 60 : n < 0 ? 0 : i == 0 ? 95 : 30;
    }
    score = score == 0 && cvi_keras_v3_layers(f) >= 0 ? 30 : score;
    cvi_h5_close(f);
    return score;
}

/* The attribute training_config; a file may lack it, and what is wrong in it does not keep the model from opening. */
static cvs_status read_training(cvi_open *open, cvi_h5 *f, const json_t *topology) {
    const char *text = cvi_keras_h5_text(f, cvi_h5_root(f), "training_config");
    json_t *compiled = NULL;
    if (!text || cvi_json_parse(text, strlen(text), &compiled, NULL) != CVS_OK) {
        return CVS_OK;
    }
    const json_t *inner = json_object_get(topology, "model_config");
    cvs_status s =
        cvi_keras_read_training(open->model, json_is_object(inner) ? inner : topology, compiled, open->err);
    json_decref(compiled);
    return s;
}

static cvs_status read_model(cvi_open *open, cvi_h5 *f) {
    cvs_error *err = open->err;
    int64_t n = 0;
    const char **config = NULL;
    json_t *topology = NULL;
    cvi_keras_source source;
    CVI_TRY(cvi_h5_attribute(f, cvi_h5_root(f), "model_config", &n, &config, err));
    if (n != 1) {
        return cvi_keras_read_state(open, f);
    }
    CVI_TRY(cvi_at_attr(err, cvi_json_parse(config[0], strlen(config[0]), &topology, err), "model_config"));
    const char *version = cvi_keras_h5_text(f, cvi_h5_root(f), "keras_version");
    const char *backend = cvi_keras_h5_text(f, cvi_h5_root(f), "backend");
    cvs_status s = CVS_OK;
    int64_t weights = -1;
    if (open->options && open->options->weights) {
        s = cvi_keras_read_with_option(open, topology, version, backend);
    } else {
        s = cvi_h5_find(f, cvi_h5_root(f), "model_weights", &weights, err);
        s = s == CVS_OK && weights >= 0 ? cvi_keras_h5_source(open->model, f, &source, err) : s;
        if (s == CVS_OK) {
            s = cvi_keras_read_topology(open, topology, weights >= 0 ? &source : NULL, version, backend);
        }
    }
    if (s == CVS_OK) {
        s = read_training(open, f, topology);
    }
    json_decref(topology);
    return s;
}

static cvs_status read_h5(cvi_open *open) {
    cvi_h5 *f = NULL;
    const void *data = open->file->data;
    size_t size = open->file->size;
    CVI_TRY(cvi_model_keep_file(open->model, open->file, open->err)); /* weights may be borrowed from it */
    CVI_TRY(cvi_h5_open(data, size, &open->limits, &f, open->err));
    cvs_status s = read_model(open, f);
    cvi_h5_close(f);
    return s;
}

/* JSON with "class_name" and "config" near its beginning, and no weights manifest. */
static bool holds(const cvi_file *f, const char *word, size_t within) {
    return memmem(f->data, CVI_MIN(f->size, within), word, strlen(word)) != NULL;
}

static int match_json(const cvi_open *open) {
    const cvi_file *f = open->file;
    size_t at = 0;
    while (!open->is_folder && at < f->size &&
           (f->data[at] <= ' ' || f->data[at] == 0xEF || f->data[at] == 0xBB || f->data[at] == 0xBF)) {
        at++;
    }
    if (open->is_folder || at >= f->size || f->data[at] != '{') {
        return 0;
    }
    bool keras = holds(f, "\"class_name\"", 1 << 16) && holds(f, "\"config\"", 1 << 16);
    return keras && !holds(f, "\"modelTopology\"", 1 << 16) && !holds(f, "\"weightsManifest\"", f->size) ? 80
                                                                                                         : 0;
}

static cvs_status read_json(cvi_open *open) {
    json_t *topology = NULL;
    CVI_TRY(cvi_json_parse((const char *)open->file->data, open->file->size, &topology, open->err));
    cvs_status s = cvi_keras_read_with_option(open, topology, NULL, NULL);
    json_decref(topology);
    return s;
}

/* Architectures of Keras were built with the weights at once (cvi_keras_read_with_option). */
static cvs_status load_weights(cvs_model *model, const char *path, cvs_error *err) {
    (void)path;
    bool keras = strcmp(model->format, cvi_reader_keras_h5.title) == 0 ||
                 strcmp(model->format, cvi_reader_keras_json.title) == 0 ||
                 strcmp(model->format, cvi_reader_tfjs.title) == 0 ||
                 strcmp(model->format, cvi_reader_keras_zip.title) == 0;
    if (keras && model->has_weights) {
        return CVS_OK;
    }
    return cvi_fail(err, CVS_E_UNSUPPORTED,
                    "weights of a Keras file fit an architecture of Keras only (JSON, .h5, .keras)");
}

const cvi_reader cvi_reader_keras_h5 = {.name = "keras-h5",
                                        .title = "Keras HDF5",
                                        .suffixes = ".h5 .hdf5 .keras",
                                        .match = match_h5,
                                        .read = read_h5,
                                        .load_weights = load_weights};
const cvi_reader cvi_reader_keras_json = {
    .name = "keras-json", .title = "Keras JSON", .suffixes = ".json", .match = match_json, .read = read_json};

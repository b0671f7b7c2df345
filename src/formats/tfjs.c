/* SPDX-License-Identifier: MIT
 * tfjs.c - TensorFlow.js layers models: model.json holds a Keras architecture and a list of weights, whose bytes lie one after
 * the other in shard files beside it. Weights may be quantised to uint8, uint16 (value = q * scale + min) or float16.
 * Shards are opened only beneath the model's own folder.
 */
#include "formats/tfjs.h"

#include <math.h>

/* One weight of the manifest: where its bytes are, and how they are kept. */
typedef struct entry {
    cvs_dtype stored, dtype;
    int rank;
    int64_t dim[CVS_MAX_RANK], count;
    double scale, min;
    bool affine;
    const uint8_t *bytes;
} entry;

typedef struct manifest {
    cvi_open *open;
    char *folder;
    const char *missing; /* the first shard that is not there */
    entry *entry;
    cvi_keras_source source;
    int64_t capacity;
} manifest;

static const struct {
    const char *name;
    cvs_dtype dtype;
} dtypes[] = {{"float32", CVS_F32}, {"float16", CVS_F16}, {"int32", CVS_I32}, {"uint8", CVS_U8},
              {"uint16", CVS_U16},  {"bool", CVS_BOOL},   {"int8", CVS_I8},   {"int16", CVS_I16}};

static cvs_status read_dtype(manifest *m, const json_t *where, const char *name, cvs_dtype *out) {
    const char *text = cvi_json_string(where, "dtype", "float32");
    for (int i = 0; i < CVI_COUNT(dtypes); i++) {
        if (strcmp(dtypes[i].name, text) == 0) {
            *out = dtypes[i].dtype;
            return CVS_OK;
        }
    }
    cvs_status s =
        cvi_fail(m->open->err, CVS_E_UNSUPPORTED, "weights of type \"%.30s\" are not supported", text);
    return cvi_at_attr(m->open->err, s, name);
}

/* Shape and types of one weight of the list. */
static cvs_status read_entry(manifest *m, const json_t *w, entry *e, const char **name) {
    cvs_error *err = m->open->err;
    *name = cvi_json_string(w, "name", NULL);
    const json_t *shape = json_object_get(w, "shape"), *q = json_object_get(w, "quantization");
    if (!*name || !json_is_array(shape) || json_array_size(shape) > CVS_MAX_RANK) {
        return cvi_fail(err, CVS_E_FORMAT, "an entry of weightsManifest has no name or no shape");
    }
    e->count = 1;
    e->rank = (int)json_array_size(shape);
    for (int i = 0; i < e->rank; i++) {
        const json_t *d = json_array_get(shape, (size_t)i);
        e->dim[i] = json_is_integer(d) ? json_integer_value(d) : -1;
        if (!cvi_mul(e->count, e->dim[i], &e->count)) {
            cvs_status s = cvi_fail(err, CVS_E_FORMAT, "a weight has an impossible shape");
            return cvi_at_attr(err, s, *name);
        }
    }
    CVI_TRY(read_dtype(m, w, *name, &e->dtype));
    e->stored = e->dtype;
    if (json_is_object(q)) {
        CVI_TRY(read_dtype(m, q, *name, &e->stored));
        e->affine = e->stored == CVS_U8 || e->stored == CVS_U16;
        e->scale = cvi_json_number(q, "scale", 1);
        e->min = cvi_json_number(q, "min", 0);
    }
    return CVS_OK;
}

static cvs_status grow(manifest *m, int64_t n) {
    int64_t want = m->source.n + n;
    if (want <= m->capacity) {
        return CVS_OK;
    }
    cvi_arena *a = m->open->model->arena;
    entry *e = cvi_arena_alloc(a, 2 * want, sizeof *e);
    cvi_keras_weight *w = cvi_arena_alloc(a, 2 * want, sizeof *w);
    if (!e || !w) {
        return cvi_no_memory(m->open->err, (size_t)want * sizeof *e);
    }
    if (m->source.n > 0) {
        memcpy(e, m->entry, (size_t)m->source.n * sizeof *e);
        memcpy(w, m->source.weight, (size_t)m->source.n * sizeof *w);
    }
    m->entry = e;
    m->source.weight = w;
    m->capacity = 2 * want;
    return CVS_OK;
}

/* ---- shards ---- */

static cvs_status read_shard(manifest *m, const json_t *path, cvi_file *out) {
    cvs_error *err = m->open->err;
    if (m->open->from_memory) {
        return cvi_fail(err, CVS_E_UNSUPPORTED,
                        "the weights of this model lie in files beside it: open it as a file");
    }
    if (!json_is_string(path)) {
        return cvi_fail(err, CVS_E_FORMAT, "a path in weightsManifest is no text");
    }
    const char *name = json_string_value(path);
    cvs_status s = cvi_file_read_beneath(m->folder, name, &m->open->limits, out, err);
    if (s == CVS_E_IO) {
        char *whole = cvi_path_join(m->folder, name);
        bool beside = strlen(name) < 256 && !strstr(name, "://"); /* an address is no file that is missing */
        m->missing = beside && whole && !cvi_is_file(whole) && !cvi_is_folder(whole) ? name : NULL;
        cvi_free(whole);
    }
    return s == CVS_OK ? s : cvi_at_file(err, s, name);
}

/* The bytes of all shards of a group in one piece: the mapped file itself when there is one, else joined in the arena. */
static cvs_status read_shards(manifest *m, const json_t *paths, const uint8_t **bytes, int64_t *size) {
    cvs_error *err = m->open->err;
    size_t n = json_array_size(paths);
    *size = 0;
    *bytes = (const uint8_t *)"";
    if (n == 1) {
        cvi_file file = {0};
        CVI_TRY(read_shard(m, json_array_get(paths, 0), &file));
        *bytes = file.data;
        *size = (int64_t)file.size;
        return cvi_model_keep_file(m->open->model, &file, err);
    }
    cvi_buf all = {0};
    cvs_status s = CVS_OK;
    for (size_t i = 0; i < n && s == CVS_OK; i++) {
        cvi_file file = {0};
        s = read_shard(m, json_array_get(paths, i), &file);
        if (s == CVS_OK && (int64_t)(all.size + file.size) > m->open->limits.max_memory_bytes) {
            s = cvi_fail(err, CVS_E_LIMIT, "the weights have more than %lld bytes, the limit",
                         (long long)m->open->limits.max_memory_bytes);
        }
        if (s == CVS_OK) {
            cvi_buf_add(&all, file.data, file.size);
            s = all.failed ? cvi_no_memory(err, all.size + file.size) : CVS_OK;
        }
        cvi_file_close(&file);
    }
    uint8_t *kept =
        s == CVS_OK && all.size > 0 ? cvi_arena_alloc(m->open->model->arena, (int64_t)all.size, 1) : NULL;
    if (kept) {
        memcpy(kept, all.data, all.size);
        *bytes = kept;
        *size = (int64_t)all.size;
    } else if (s == CVS_OK && all.size > 0) {
        s = cvi_no_memory(err, all.size);
    }
    cvi_buf_free(&all);
    return s;
}

static cvs_status read_group(manifest *m, const json_t *group) {
    cvs_error *err = m->open->err;
    const json_t *weights = json_object_get(group, "weights");
    const uint8_t *bytes = NULL;
    int64_t size = 0, at = 0;
    CVI_TRY(read_shards(m, json_object_get(group, "paths"), &bytes, &size));
    CVI_TRY(grow(m, (int64_t)json_array_size(weights)));
    for (size_t i = 0; i < json_array_size(weights); i++) {
        entry *e = &m->entry[m->source.n];
        const char *name = NULL;
        int64_t need = 0, end = 0;
        *e = (entry){0};
        CVI_TRY(read_entry(m, json_array_get(weights, i), e, &name));
        if (!cvi_mul(e->count, (int64_t)cvs_dtype_size(e->stored), &need) || !cvi_add(at, need, &end) ||
            end > size) {
            cvs_status s =
                cvi_fail(err, CVS_E_FORMAT, "the shards have %lld bytes, this weight ends at byte %lld",
                         (long long)size, (long long)(need > INT64_MAX - at ? INT64_MAX : at + need));
            return cvi_at_attr(err, s, name);
        }
        e->bytes = bytes + at;
        at = end;
        m->source.weight[m->source.n] = (cvi_keras_weight){.name = name, .place = m->source.n};
        m->source.n++;
    }
    if (at < size &&
        !cvi_model_note(m->open->model, "%lld bytes at the end of the shards belong to no weight",
                        (long long)(size - at))) {
        return cvi_no_memory(err, 0);
    }
    return CVS_OK;
}

/* ---- values ---- */

static void dequantise(const entry *e, float *out) {
    for (int64_t i = 0; i < e->count; i++) {
        uint16_t q = e->bytes[i];
        if (e->stored == CVS_U16) {
            q = (uint16_t)(e->bytes[2 * i] | e->bytes[2 * i + 1] << 8);
        }
        double v = q * e->scale + e->min;
        out[i] = (float)(e->dtype == CVS_I32 ? round(v) : v);
    }
}

static cvs_status load(cvi_keras_source *s, const cvi_keras_weight *w, cvs_tensor *out, cvs_error *err) {
    const manifest *m = s->context;
    const entry *e = &m->entry[w->place];
    size_t bytes = (size_t)e->count * cvs_dtype_size(e->stored);
    if (!e->affine && (uintptr_t)e->bytes % cvs_dtype_size(e->stored) == 0) { /* as it lies */
        union {
            const void *from;
            void *to;
        } borrow = {.from = e->bytes}; /* never written through: owned is false */
        *out = (cvs_tensor){
            .dtype = e->stored, .rank = e->rank, .bytes = bytes, .data = bytes ? borrow.to : NULL};
        memcpy(out->dim, e->dim, sizeof out->dim);
        return CVS_OK;
    }
    CVI_TRY(cvs_tensor_new(out, e->affine ? CVS_F32 : e->stored, e->rank, e->dim, err));
    if (e->affine) {
        dequantise(e, out->data);
    } else if (bytes) {
        memcpy(out->data, e->bytes, bytes);
    }
    return CVS_OK;
}

/* ---- the reader ---- */

static bool holds(const cvi_file *f, const char *word, size_t within) {
    return memmem(f->data, CVI_MIN(f->size, within), word, strlen(word)) != NULL;
}

static int match(const cvi_open *open) {
    const cvi_file *f = open->file;
    if (open->is_folder || f->size == 0 || !memchr(f->data, '{', CVI_MIN(f->size, 16))) {
        return 0;
    }
    bool layers = holds(f, "\"class_name\"", 1 << 20) && holds(f, "\"modelTopology\"", f->size);
    return layers && !holds(f, "\"graph-model\"", 1 << 12) ? 90 : 0;
}

cvs_status cvi_tfjs_source(cvi_open *open, const json_t *root, cvi_keras_source *out) {
    const json_t *groups = json_object_get(root, "weightsManifest");
    manifest *m = cvi_arena_alloc(open->model->arena, 1, sizeof *m);
    char *folder = cvi_path_dir(open->path);
    if (!m || !folder) {
        cvi_free(folder);
        return cvi_no_memory(open->err, strlen(open->path));
    }
    *m = (manifest){.open = open, .folder = folder};
    cvs_status s = CVS_OK;
    for (size_t i = 0; i < json_array_size(groups) && s == CVS_OK; i++) {
        s = read_group(m, json_array_get(groups, i));
    }
    cvi_free(folder);
    m->folder = NULL;
    if (s == CVS_E_IO && m->missing) { /* what somebody saved of a page: the network can still be looked at */
        cvi_error_clear(open->err);
        *out = (cvi_keras_source){0};
        return cvi_model_note(
                   open->model,
                   "the file \"%.100s\" with weights is not beside this one: only the architecture is "
                   "shown",
                   m->missing)
                   ? CVS_OK
                   : cvi_no_memory(open->err, 0);
    }
    m->source.load = load;
    m->source.context = m;
    *out = m->source;
    return s;
}

static cvs_status read_all(cvi_open *open, const json_t *root) {
    const json_t *topology = json_object_get(root, "modelTopology"),
                 *groups = json_object_get(root, "weightsManifest");
    cvi_keras_source source;
    if (!json_is_object(topology)) {
        return cvi_fail(open->err, CVS_E_FORMAT, "this JSON file has no modelTopology");
    }
    if (!groups || (open->options && open->options->weights)) {
        return cvi_keras_read_with_option(open, topology, NULL, NULL);
    }
    CVI_TRY(cvi_tfjs_source(open, root, &source));
    return cvi_keras_read_topology(open, topology, source.load ? &source : NULL,
                                   cvi_json_string(root, "generatedBy", NULL), NULL);
}

static cvs_status read_model(cvi_open *open) {
    json_t *root = NULL;
    CVI_TRY(cvi_json_parse((const char *)open->file->data, open->file->size, &root, open->err));
    cvs_status s = read_all(open, root);
    json_decref(root);
    return s;
}

const cvi_reader cvi_reader_tfjs = {
    .name = "tfjs", .title = "TensorFlow.js layers", .suffixes = ".json", .match = match, .read = read_model};

/* SPDX-License-Identifier: MIT
 * tf_checkpoint.c - TensorFlow checkpoints: weights by name (x.index with its shards, a folder with the file "checkpoint", or one file of
 * the first generation). A MetaGraphDef beside it (x.meta) is the network; without one the names say it, as they do for Keras weights. The
 * graph of objects in the checkpoints of TensorFlow 2 names the variables as their layers do.
 */
#include "formats/tf_checkpoint.h"

#include "formats/state.h"
#include "formats/tf_bundle.h"
#include "formats/tf_saved.h"

#include <ctype.h>
#include <dirent.h>
#include <stdlib.h>

/* ---- files ---- */

void cvi_tf_checkpoint_free(cvi_tf_checkpoint *c) {
    cvi_free(c->folder);
    cvi_free(c->prefix);
    *c = (cvi_tf_checkpoint){0};
}

static bool ends(const char *name, const char *suffix) {
    size_t n = strlen(name), k = strlen(suffix);
    return n > k && strcmp(name + n - k, suffix) == 0;
}

/* Length of what stands before ".data-00000-of-00001"; 0: it does not end so. */
static size_t before_shard(const char *name) {
    static const char form[] = ".data-ddddd-of-ddddd";
    size_t n = strlen(name), k = sizeof form - 1;
    if (n <= k) {
        return 0;
    }
    for (size_t i = 0; i < k; i++) {
        char c = name[n - k + i];
        if (form[i] == 'd' && i != 1 ? !isdigit((unsigned char)c) : c != form[i]) {
            return 0;
        }
    }
    return n - k;
}

/* Whether folder/name + suffix is a file. */
static bool is_there(const char *folder, const char *name, const char *suffix) {
    char joined[600];
    int n = snprintf(joined, sizeof joined, "%s%s", name, suffix);
    char *path = n > 0 && (size_t)n < sizeof joined ? cvi_path_join(folder, joined) : NULL;
    bool there = path && cvi_is_file(path);
    cvi_free(path);
    return there;
}

/* Takes a beginning of names if files of a checkpoint bear it. */
static cvs_status take(cvi_tf_checkpoint *out, const char *folder, const char *name, size_t n,
                       cvs_error *err) {
    char *prefix = n > 0 && n < 500 ? cvi_malloc(n + 1) : NULL;
    if (!prefix) {
        return n > 0 && n < 500 ? cvi_no_memory(err, n) : CVS_OK;
    }
    memcpy(prefix, name, n);
    prefix[n] = '\0';
    bool indexed = is_there(folder, prefix, ".index");
    if (!indexed && !is_there(folder, prefix, "")) {
        cvi_free(prefix);
        return CVS_OK;
    }
    *out = (cvi_tf_checkpoint){.folder = cvi_strdup(folder), .prefix = prefix, .single = !indexed};
    if (!out->folder) {
        cvi_tf_checkpoint_free(out);
        return cvi_no_memory(err, strlen(folder));
    }
    return CVS_OK;
}

/* The file "checkpoint" says which of several is the newest; a path in it may be another machine's, so its last part counts. */
static cvs_status take_newest(const char *folder, const cvs_limits *limits, cvi_tf_checkpoint *out,
                              cvs_error *err) {
    static const char key[] = "model_checkpoint_path:";
    cvi_file f = {0};
    if (!is_there(folder, "checkpoint", "") ||
        cvi_file_read_beneath(folder, "checkpoint", limits, &f, NULL) != CVS_OK) {
        return CVS_OK;
    }
    cvs_status s = CVS_OK;
    const char *text = (const char *)f.data;
    if (f.size > sizeof key && memcmp(text, key, sizeof key - 1) == 0) {
        const char *from = memchr(text, '"', f.size);
        const char *to = from ? memchr(from + 1, '"', f.size - (size_t)(from + 1 - text)) : NULL;
        for (const char *p = from; to && p < to; p++) {
            from = *p == '/' || *p == '\\' ? p : from;
        }
        s = to ? take(out, folder, from + 1, (size_t)(to - from - 1), err) : CVS_OK;
    }
    cvi_file_close(&f);
    return s;
}

/* The only index of the folder. */
static cvs_status take_only(const char *folder, cvi_tf_checkpoint *out, cvs_error *err) {
    enum { MOST = 4096 };
    DIR *d = opendir(folder);
    char name[300] = "";
    int n = 0, looked = 0;
    for (struct dirent *e = d ? readdir(d) : NULL; e && looked < MOST; e = readdir(d)) {
        looked++;
        if (ends(e->d_name, ".index") && strlen(e->d_name) < sizeof name) {
            snprintf(name, sizeof name, "%s", e->d_name);
            n++;
        }
    }
    if (d) {
        closedir(d);
    }
    return n == 1 ? take(out, folder, name, strlen(name) - strlen(".index"), err) : CVS_OK;
}

cvs_status cvi_tf_checkpoint_find(const char *path, const cvs_limits *limits, cvi_tf_checkpoint *out,
                                  cvs_error *err) {
    *out = (cvi_tf_checkpoint){0};
    if (cvi_is_folder(path)) {
        CVI_TRY(take_newest(path, limits, out, err));
        return out->folder ? CVS_OK : take_only(path, out, err);
    }
    const char *base = cvi_path_base(path);
    size_t n = strlen(base), shard = before_shard(base);
    char *folder = cvi_path_dir(path);
    if (!folder) {
        return cvi_no_memory(err, strlen(path));
    }
    n = shard                  ? shard
        : ends(base, ".index") ? n - strlen(".index")
        : ends(base, ".meta")  ? n - strlen(".meta")
                               : n;
    cvs_status s = take(out, folder, base, n, err);
    cvi_free(folder);
    return s;
}

static bool holds_index(const char *path, const cvs_limits *limits) {
    cvi_file f = {0};
    cvs_error quiet = {0};
    bool is = cvi_file_read(path, limits, &f, &quiet) == CVS_OK && cvi_tf_bundle_is(f.data, f.size);
    cvi_file_close(&f);
    return is;
}

bool cvi_tf_checkpoint_is(const char *path, const cvs_limits *limits) {
    cvi_tf_checkpoint c;
    cvs_error quiet = {0};
    char *index = NULL;
    bool is = false;
    if (cvi_tf_checkpoint_find(path, limits, &c, &quiet) == CVS_OK && c.folder) {
        char name[600];
        snprintf(name, sizeof name, "%s%s", c.prefix, c.single ? "" : ".index");
        index = cvi_path_join(c.folder, name);
        is = index && holds_index(index, limits);
    }
    cvi_free(index);
    cvi_tf_checkpoint_free(&c);
    return is;
}

static cvs_status open_found(cvs_model *model, const cvi_tf_checkpoint *c, tf_bundle **out, cvs_error *err) {
    if (!c->single) {
        return cvi_tf_bundle_open(model, c->folder, c->prefix, out, err);
    }
    cvi_file f = {0};
    CVI_TRY(cvi_file_read_beneath(c->folder, c->prefix, &model->limits, &f, err));
    const void *data = f.data;
    size_t size = f.size;
    CVI_TRY(cvi_model_keep_file(model, &f, err)); /* its numbers are in it */
    CVI_TRY(cvi_tf_bundle_parse(model, data, size, out, err));
    return CVS_OK;
}

static cvs_status not_there(cvs_error *err) {
    return cvi_fail(err, CVS_E_NOT_FOUND, "the index of this checkpoint (NAME.index) is not beside it");
}

cvs_status cvi_tf_checkpoint_open(cvs_model *model, const char *path, tf_bundle **out, cvs_error *err) {
    cvi_tf_checkpoint c;
    CVI_TRY(cvi_tf_checkpoint_find(path, &model->limits, &c, err));
    cvs_status s = c.folder ? open_found(model, &c, out, err) : not_there(err);
    cvi_tf_checkpoint_free(&c);
    return s;
}

/* ---- weights ---- */

typedef struct named {
    const char *name, *key; /* "conv1/kernel"; where it is kept */
    size_t layer;           /* length of the layer's name in it */
    int64_t order;
} named;

typedef struct weights {
    cvs_model *model;
    tf_bundle *bundle;
    named *list;
    int64_t n, capacity;
} weights;

static cvs_status add(weights *w, const char *name, const char *key, cvs_error *err) {
    cvi_arena *a = w->model->arena;
    const char *slash = strrchr(name, '/');
    if (w->n == w->capacity) {
        int64_t capacity = CVI_MAX(64, 2 * w->capacity);
        named *more = cvi_arena_alloc(a, capacity, sizeof *more);
        if (!more) {
            return cvi_no_memory(err, (size_t)capacity * sizeof *more);
        }
        if (w->n > 0) {
            memcpy(more, w->list, (size_t)w->n * sizeof *more);
        }
        w->list = more;
        w->capacity = capacity;
    }
    w->list[w->n] =
        (named){.name = name, .key = key, .layer = slash ? (size_t)(slash - name) : 0, .order = w->n};
    w->n++;
    return CVS_OK;
}

/* What optimizers and programs keep beside the network. */
static bool is_of_training(const tf_bundle *b, const char *key) {
    const char *slash = strrchr(key, '/');
    const char *optimizer = strstr(key, "optimizer/"), *list = strstr(key, "/_trainable_variables/");
    if (list) {
        return false; /* an optimizer lists the network's own */
    }
    if (strstr(key, "/.OPTIMIZER_SLOT/") || strstr(key, "/_variables/") || strstr(key, "save_counter") ||
        (optimizer && (optimizer == key || optimizer[-1] == '/'))) {
        return true;
    }
    return slash && cvi_tf_bundle_find(b, key, (size_t)(slash - key)) != NULL; /* "w/Adam" beside "w" */
}

/* A SerializedTensor of the graph of objects. */
static cvs_status add_object(weights *w, const cvi_pb *parent, const cvi_pb_field *field, cvs_error *err) {
    cvi_pb p;
    cvi_pb_field f;
    const char *full = "", *key = "";
    int64_t most = w->model->limits.max_name_bytes;
    CVI_TRY(cvi_pb_expect(parent, field, CVI_PB_BYTES, "a variable"));
    CVI_TRY(cvi_pb_enter(parent, &field->bytes, &p));
    TF_EACH(p, f) {
        if (f.number == 2) {
            CVI_TRY(cvi_pb_string(&p, w->model->arena, &f, most, "a name", &full));
        } else if (f.number == 3) {
            CVI_TRY(cvi_pb_string(&p, w->model->arena, &f, most, "a name", &key));
        }
    }
    return !full[0] || !key[0] || is_of_training(w->bundle, key) ? CVS_OK : add(w, full, key, err);
}

static cvs_status read_objects(weights *w, const cvi_pb_piece *text, cvs_error *err) {
    cvi_pb p = cvi_pb_begin(text->data, text->size, 8, err), q;
    cvi_pb_field f, g;
    TF_EACH(p, f) {
        if (f.number != 1) {
            continue;
        }
        CVI_TRY(cvi_pb_expect(&p, &f, CVI_PB_BYTES, "an object"));
        CVI_TRY(cvi_pb_enter(&p, &f.bytes, &q));
        TF_EACH(q, g) {
            CVI_TRY(g.number == 2 ? add_object(w, &q, &g, err) : CVS_OK);
        }
    }
    return CVS_OK;
}

static int by_name(const void *a, const void *b) {
    return strcmp(((const named *)a)->name, ((const named *)b)->name);
}

static int by_order(const void *a, const void *b) {
    const named *x = a, *y = b;
    return (x->order > y->order) - (x->order < y->order);
}

static bool are_unique(weights *w) {
    bool unique = true;
    if (w->n > 1) {
        qsort(w->list, (size_t)w->n, sizeof *w->list, by_name);
    }
    for (int64_t i = 1; i < w->n; i++) {
        unique &= strcmp(w->list[i - 1].name, w->list[i].name) != 0;
    }
    if (w->n > 1) {
        qsort(w->list, (size_t)w->n, sizeof *w->list, by_order);
    }
    return unique;
}

/* "vgg_16/conv1/weights": what all names begin with is the network's, as long as a layer's name is left. */
static void strip(weights *w) {
    for (bool more = w->n > 0; more;) {
        const char *first = w->list[0].name, *slash = strchr(first, '/');
        size_t n = slash ? (size_t)(slash + 1 - first) : 0;
        for (int64_t i = 0; i < w->n && more; i++) {
            more = n > 0 && strncmp(w->list[i].name, first, n) == 0 && w->list[i].layer > n;
        }
        for (int64_t i = 0; i < w->n && more; i++) {
            w->list[i].name += n;
            w->list[i].layer -= n;
        }
    }
}

static cvs_status list_weights(weights *w, cvs_error *err) {
    static const char tail[] = "/.ATTRIBUTES/VARIABLE_VALUE";
    cvi_pb_piece objects;
    CVI_TRY(cvi_tf_bundle_text(w->bundle, "_CHECKPOINTABLE_OBJECT_GRAPH", &objects, err));
    if (objects.size > 0) {
        CVI_TRY(cvi_at_attr(err, read_objects(w, &objects, err), "_CHECKPOINTABLE_OBJECT_GRAPH"));
    }
    if (w->n == 0 || !are_unique(w)) {
        w->n = 0;
        for (int64_t i = 0; i < cvi_tf_bundle_count(w->bundle); i++) {
            const char *key = cvi_tf_bundle_key(w->bundle, i);
            if (!key || is_of_training(w->bundle, key)) {
                continue;
            }
            const char *name =
                ends(key, tail) ? cvi_arena_strn(w->model->arena, key, strlen(key) - (sizeof tail - 1)) : key;
            CVI_TRY(name ? add(w, name, key, err) : cvi_no_memory(err, strlen(key)));
        }
    }
    int64_t kept = 0;
    for (int64_t i = 0; i < w->n; i++) { /* steps, counters and the like belong to no layer */
        w->list[kept] = w->list[i];
        kept += w->list[i].layer > 0;
    }
    w->n = kept;
    strip(w);
    return w->n > 0 ? CVS_OK : cvi_fail(err, CVS_E_FORMAT, "the file holds no tensors");
}

static cvs_status load(cvi_keras_source *s, const cvi_keras_weight *weight, cvs_tensor *out, cvs_error *err) {
    weights *w = s->context;
    bool found = false;
    CVI_TRY(cvi_tf_bundle_get(w->bundle, w->list[weight->place].key, out, &found, err));
    return found ? CVS_OK
                 : cvi_at_attr(err, cvi_fail(err, CVS_E_FORMAT, "the file does not hold this tensor"),
                               w->list[weight->place].key);
}

static cvs_status list_source(weights *w, cvi_keras_source *out, cvs_error *err) {
    CVI_TRY(list_weights(w, err));
    *out = (cvi_keras_source){.n = w->n, .load = load, .context = w};
    out->weight = cvi_arena_alloc(w->model->arena, w->n, sizeof *out->weight);
    if (!out->weight) {
        return cvi_no_memory(err, (size_t)w->n * sizeof *out->weight);
    }
    for (int64_t i = 0; i < w->n; i++) {
        out->weight[i] = (cvi_keras_weight){.name = w->list[i].name, .place = i};
    }
    return CVS_OK;
}

static weights *new_weights(cvs_model *model, cvs_error *err) {
    weights *w = cvi_arena_alloc(model->arena, 1, sizeof *w);
    if (w) {
        w->model = model;
    } else {
        cvi_no_memory(err, sizeof *w);
    }
    return w;
}

cvs_status cvi_tf_checkpoint_source(cvs_model *model, const char *path, cvi_keras_source *out,
                                    cvs_error *err) {
    weights *w = new_weights(model, err);
    CVI_TRY(w ? CVS_OK : CVS_E_MEMORY);
    CVI_TRY(cvi_tf_checkpoint_open(model, path, &w->bundle, err));
    return list_source(w, out, err);
}

/* ---- layers, for weights without a network ---- */

static int by_layer(const void *a, const void *b) {
    const named *x = a, *y = b;
    int c = memcmp(x->name, y->name, CVI_MIN(x->layer, y->layer));
    c = c ? c : (x->layer > y->layer) - (x->layer < y->layer);
    return c ? c : by_order(a, b);
}

static int by_first(const void *a, const void *b) {
    const cvi_keras_group *x = a, *y = b;
    return (x->first > y->first) - (x->first < y->first);
}

/* Weights side by side with those of the same layer; layers in the order of their first. */
static cvs_status group(weights *w, cvi_keras_source *s, cvs_error *err) {
    cvi_arena *a = w->model->arena;
    s->group = cvi_arena_alloc(a, w->n, sizeof *s->group);
    if (!s->group) {
        return cvi_no_memory(err, (size_t)w->n * sizeof *s->group);
    }
    qsort(w->list, (size_t)w->n, sizeof *w->list, by_layer);
    for (int64_t i = 0; i < w->n; i++) {
        const named *x = &w->list[i], *before = i ? &w->list[i - 1] : NULL;
        bool same = before && before->layer == x->layer && memcmp(before->name, x->name, x->layer) == 0;
        cvi_keras_group *g = &s->group[same ? s->n_groups - 1 : s->n_groups];
        if (!same) {
            *g = (cvi_keras_group){.name = cvi_arena_strn(a, x->name, x->layer), .first = x->order};
            CVI_TRY(g->name ? CVS_OK : cvi_no_memory(err, x->layer));
            s->n_groups++;
        }
        g->n++;
        s->weight[i] = (cvi_keras_weight){.group = g->name, .name = x->name, .place = i};
    }
    int64_t at = 0; /* `first` was the order; now both */
    int64_t *first = cvi_arena_alloc(a, s->n_groups, sizeof *first);
    CVI_TRY(first ? CVS_OK : cvi_no_memory(err, 0));
    for (int64_t i = 0; i < s->n_groups; i++) {
        first[i] = at;
        at += s->group[i].n;
        s->group[i].counted = (const char *)&first[i];
    }
    qsort(s->group, (size_t)s->n_groups, sizeof *s->group, by_first);
    for (int64_t i = 0; i < s->n_groups; i++) {
        s->group[i].first = *(const int64_t *)(const void *)s->group[i].counted;
        s->group[i].counted = s->group[i].name;
    }
    return CVS_OK;
}

static cvs_status make_state(cvi_open *open, tf_bundle *bundle, cvi_state *s) {
    cvi_keras_source source;
    weights *w = new_weights(open->model, open->err);
    CVI_TRY(w ? CVS_OK : CVS_E_MEMORY);
    w->bundle = bundle;
    CVI_TRY(list_source(w, &source, open->err));
    CVI_TRY(group(w, &source, open->err));
    return cvi_keras_state_of(open, &source, s);
}

/* ---- the reader ---- */

/* Of a folder less than sure: a model file in it comes first. */
static int match(const cvi_open *open) {
    cvi_tf_checkpoint c;
    cvs_error quiet = {0};
    int score = 0;
    if (!open->is_folder && cvi_tf_bundle_is(open->file->data, open->file->size)) {
        return 90;
    }
    if (!open->is_folder && !open->from_memory && cvi_tf_is_meta(open->file)) {
        return 93;
    }
    bool shard =
        !open->is_folder && !open->from_memory && open->path && before_shard(cvi_path_base(open->path));
    if (open->is_folder || shard) {
        bool found = cvi_tf_checkpoint_find(open->path, &open->limits, &c, &quiet) == CVS_OK && c.folder;
        score = found ? 44 : 0;
        cvi_tf_checkpoint_free(&c);
    }
    return score;
}

/* The network of the .meta beside, if there is one that can be built; *built says so. */
static cvs_status try_meta(cvi_open *open, const cvi_tf_checkpoint *c, tf_bundle *bundle, bool *built) {
    cvs_model *m = open->model;
    char name[600];
    cvi_file f = {0};
    *built = false;
    snprintf(name, sizeof name, "%s.meta", c->prefix);
    if (!is_there(c->folder, c->prefix, ".meta")) {
        return CVS_OK;
    }
    CVI_TRY(
        cvi_at_file(open->err, cvi_file_read_beneath(c->folder, name, &open->limits, &f, open->err), name));
    CVI_TRY(cvi_model_keep_file(m, &f, open->err));
    const cvi_file *kept = &m->files[m->n_files - 1];
    cvs_status s = cvi_tf_read_meta(open, kept, bundle);
    *built = s == CVS_OK;
    bool asked = strcmp(cvi_path_base(open->path), name) == 0;
    if (s == CVS_OK || s == CVS_E_MEMORY || asked) {
        return asked ? s : cvi_at_file(open->err, s, name);
    }
    char why[sizeof open->err->message];
    snprintf(why, sizeof why, "%s", open->err->message);
    cvi_error_clear(open->err);
    m->graph = NULL;
    return cvi_model_note(m, "the graph %.100s beside the weights cannot be read: %s", name, why)
               ? CVS_OK
               : cvi_no_memory(open->err, 0);
}

static cvs_status read_found(cvi_open *open, const cvi_tf_checkpoint *c) {
    tf_bundle *bundle = NULL;
    bool built = false;
    CVI_TRY(open_found(open->model, c, &bundle, open->err));
    CVI_TRY(try_meta(open, c, bundle, &built));
    if (built) {
        return CVS_OK;
    }
    cvi_state s;
    CVI_TRY(make_state(open, bundle, &s));
    return cvi_state_model(open, &s);
}

static cvs_status read_memory(cvi_open *open) {
    cvs_model *m = open->model;
    tf_bundle *bundle = NULL;
    cvi_state s;
    CVI_TRY(cvi_model_keep_file(m, open->file, open->err));
    const cvi_file *f = &m->files[m->n_files - 1];
    CVI_TRY(cvi_tf_bundle_parse(m, f->data, f->size, &bundle, open->err));
    CVI_TRY(make_state(open, bundle, &s));
    return cvi_state_model(open, &s);
}

static cvs_status read(cvi_open *open) {
    cvi_tf_checkpoint c;
    open->model->producer = "TensorFlow";
    if (open->from_memory) {
        return read_memory(open);
    }
    CVI_TRY(cvi_tf_checkpoint_find(open->path, &open->limits, &c, open->err));
    cvs_status s = c.folder ? read_found(open, &c) : not_there(open->err);
    cvi_tf_checkpoint_free(&c);
    return s;
}

/* Architectures of Keras and graphs of TensorFlow took the numbers while they were built; others by the names of their layers. */
static cvs_status load_weights(cvs_model *model, const char *path, cvs_error *err) {
    tf_bundle *bundle = NULL;
    cvi_state s;
    cvi_open open = {.path = path, .model = model, .limits = model->limits, .err = err};
    bool keras = strncmp(model->format, "Keras", 5) == 0 || strncmp(model->format, "TensorFlow", 10) == 0;
    if (keras && model->has_weights) {
        return CVS_OK;
    }
    CVI_TRY(cvi_tf_checkpoint_open(model, path, &bundle, err));
    CVI_TRY(make_state(&open, bundle, &s));
    return cvi_state_assign(model, &s, err);
}

const cvi_reader cvi_reader_tf_checkpoint = {.name = "tf_checkpoint",
                                             .title = "TensorFlow checkpoint",
                                             .suffixes = ".index .ckpt .meta",
                                             .match = match,
                                             .read = read,
                                             .load_weights = load_weights,
                                             .part = true};

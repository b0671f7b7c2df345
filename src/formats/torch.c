/* SPDX-License-Identifier: MIT
 * torch.c - reader of PyTorch files: the zip form (since 1.6) and the stream form before it, several of either with
 * an index, TorchScript archives by their code. Nothing in a file is run: see pickle.h.
 */
#include "formats/sharded.h"
#include "formats/told.h"
#include "formats/torch.h"

#include <stdlib.h>

/* LONG1 of the magic number, as every stream begins, whatever the protocol. */
static const uint8_t magic[] = {0x8a, 0x0a, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19, '.'};

static bool is_stream(const cvi_file *f) {
    return f->size > 2 + sizeof magic && f->data[0] == 0x80 && memcmp(f->data + 2, magic, sizeof magic) == 0;
}

/* The one folder that holds data.pkl; NULL when there is none or several. */
static const char *find_root(const cvi_zip *z, cvi_arena *arena) {
    const char *found = NULL;
    for (int i = 0; i < cvi_zip_count(z); i++) {
        const char *name = cvi_zip_at(z, i)->name, *slash = strchr(name, '/');
        if (slash && strcmp(slash, "/data.pkl") == 0) {
            if (found) {
                return NULL;
            }
            found = cvi_arena_strn(arena, name, (size_t)(slash - name));
        }
    }
    return found;
}

static int match(const cvi_open *open) {
    if (open->is_folder) {
        return 0;
    }
    if (is_stream(open->file)) {
        return 95;
    }
    if (!cvi_zip_is(open->file->data, open->file->size)) {
        return cvi_sharded_is(open->file, true) ? 85 : 0;
    }
    if (!open->zip) {
        return 55; /* a damaged zip archive: reading says what is wrong with it */
    }
    cvi_arena *arena = cvi_arena_new(1 << 20);
    int score = arena && find_root(open->zip, arena) ? 95 : 0;
    cvi_arena_free(arena);
    return score;
}

cvs_status cvi_torch_pickle(cvi_torch *t, const char *name, cvi_pickle **out) {
    const uint8_t *data = NULL;
    int64_t n = 0;
    cvi_pickled p = {0};
    CVI_TRY(cvi_torch_entry(t, name, &data, &n));
    *out = NULL;
    if (data) {
        CVI_TRY(cvi_at_attr(t->err, cvi_pickle_read(t->model->arena, data, (size_t)n, 0, &p, t->err), name));
        *out = p.root;
        cvi_torch_foreign(t, p.globals);
    }
    return CVS_OK;
}

/* ---- the zip form ---------------------------------------------------------------------------------------- */

static cvs_status check_order(cvi_torch *t) {
    const uint8_t *text = NULL;
    int64_t n = 0;
    CVI_TRY(cvi_torch_entry(t, "byteorder", &text, &n));
    return text && n == 3 && memcmp(text, "big", 3) == 0
               ? cvi_fail(t->err, CVS_E_UNSUPPORTED, "the file was written on a big-endian machine")
               : CVS_OK;
}

static bool has_code(const cvi_torch *t) {
    char prefix[600];
    int n = snprintf(prefix, sizeof prefix, "%s/code/", t->root);
    for (int i = 0; i < cvi_zip_count(t->zip); i++) {
        if (strncmp(cvi_zip_at(t->zip, i)->name, prefix, (size_t)n) == 0) {
            return true;
        }
    }
    return false;
}

/* ---- the stream form -------------------------------------------------------------------------------------- */

typedef struct stream {
    cvi_torch *t;
    const uint8_t *data;
    size_t size, at;
} stream;

static cvs_status next(stream *s, cvi_pickled *out) {
    CVI_TRY(cvi_pickle_read(s->t->model->arena, s->data + s->at, s->size - s->at, (int64_t)s->at, out,
                            s->t->err));
    s->at += out->used;
    return CVS_OK;
}

static cvs_status cut(const stream *s) {
    return cvi_at_offset(s->t->err, cvi_fail(s->t->err, CVS_E_FORMAT, "the file is cut off or damaged"),
                         (int64_t)s->at);
}

typedef struct key_type {
    const char *key;
    size_t size; /* of an element */
} key_type;

static int by_key(const void *a, const void *b) {
    return strcmp(((const key_type *)a)->key, ((const key_type *)b)->key);
}

/* Which storages the tree speaks of, and how large their elements are. */
static cvs_status list_types(const stream *s, const cvi_pickle *refs, key_type **out, int64_t *n) {
    int64_t count = 0;
    for (const cvi_pickle *r = refs; r; r = r->before) {
        count++;
    }
    *out = cvi_arena_alloc(s->t->model->arena, count + 1, sizeof **out);
    *n = 0;
    if (!*out) {
        return cvi_no_memory(s->t->err, (size_t)count * sizeof **out);
    }
    for (const cvi_pickle *r = refs; r; r = r->before) {
        int64_t elements = 0;
        const char *key = "";
        cvs_dtype type = cvi_torch_storage_type(r, &key, &elements);
        if (type != CVS_NONE) {
            (*out)[(*n)++] = (key_type){.key = key, .size = cvs_dtype_size(type)};
        }
    }
    if (*n > 1) {
        qsort(*out, (size_t)*n, sizeof **out, by_key);
    }
    return CVS_OK;
}

/* The list of keys, then for each a count and the numbers. */
static cvs_status read_storages(stream *s, const cvi_pickle *refs) {
    cvi_pickled keys;
    key_type *types = NULL;
    int64_t n_types = 0;
    CVI_TRY(list_types(s, refs, &types, &n_types));
    CVI_TRY(next(s, &keys));
    if (!cvi_pickle_is(keys.root, CVI_PK_LIST) || keys.root->n > (int64_t)s->size) {
        return cut(s);
    }
    cvi_torch *t = s->t;
    t->storage = cvi_arena_alloc(t->model->arena, keys.root->n + 1, sizeof *t->storage);
    if (!t->storage) {
        return cvi_no_memory(t->err, (size_t)keys.root->n * sizeof *t->storage);
    }
    for (int64_t i = 0; i < keys.root->n; i++) {
        key_type want = {.key = cvi_pickle_text(keys.root->item[i])};
        const key_type *type =
            n_types > 0 ? bsearch(&want, types, (size_t)n_types, sizeof *types, by_key) : NULL;
        int64_t count = 0, bytes = 0;
        if (!type || s->size - s->at < 8) {
            return cut(s);
        }
        for (int k = 7; k >= 0; k--) {
            count = (int64_t)((uint64_t)count << 8 | s->data[s->at + (size_t)k]);
        }
        s->at += 8;
        if (count < 0 || !cvi_mul(count, (int64_t)type->size, &bytes) || bytes > (int64_t)(s->size - s->at)) {
            return cut(s);
        }
        t->storage[t->n_storages++] =
            (cvi_torch_storage){.key = want.key, .data = s->data + s->at, .bytes = bytes};
        s->at += (size_t)bytes;
    }
    return CVS_OK;
}

/* Magic number, protocol version, facts about the machine, the objects, the numbers. */
static cvs_status read_stream(cvi_torch *t, const uint8_t *data, size_t size, cvi_pickle **root) {
    stream s = {.t = t, .data = data, .size = size};
    cvi_pickled part[4];
    for (int i = 0; i < 4; i++) {
        CVI_TRY(next(&s, &part[i]));
    }
    if (!cvi_pickle_is(part[1].root, CVI_PK_INT) || part[1].root->i != 1001) {
        return cvi_fail(t->err, CVS_E_UNSUPPORTED, "this version of PyTorch's old format is not known");
    }
    const cvi_pickle *little = cvi_pickle_get(part[2].root, "little_endian");
    if (little && little->kind == CVI_PK_BOOL && !little->i) {
        return cvi_fail(t->err, CVS_E_UNSUPPORTED, "the file was written on a big-endian machine");
    }
    *root = part[3].root;
    cvi_torch_foreign(t, part[3].globals);
    return read_storages(&s, part[3].refs);
}

/* ---- the readers -------------------------------------------------------------------------------------------- */

/* Reads the tree; t->zip is open afterwards for the zip form. */
static cvs_status begin(cvi_torch *t, const void *data, size_t size, cvi_pickle **root) {
    cvi_file f = {.data = data, .size = size};
    t->folder = "data/";
    if (is_stream(&f)) {
        return read_stream(t, data, size, root);
    }
    CVI_TRY(cvi_zip_open(data, size, &t->model->limits, &t->zip, t->err));
    t->root = find_root(t->zip, t->model->arena);
    if (!t->root) {
        return cvi_fail(t->err, CVS_E_FORMAT,
                        "the zip archive holds no model: neither data.pkl nor config.json");
    }
    CVI_TRY(check_order(t));
    return cvi_torch_pickle(t, "data.pkl", root);
}

static cvs_status finish(cvi_torch *t, cvi_state *state) {
    if (state->n == 0 && t->n_foreign > 0) {
        char list[300];
        return cvi_fail(t->err, CVS_E_FORMAT,
                        "the file holds no tensors; what it would have Python make or call is never run: %s",
                        cvi_torch_foreign_text(t, list, sizeof list));
    }
    if (state->n == 0) {
        return cvi_fail(t->err, CVS_E_FORMAT, "the file holds no tensors");
    }
    return cvi_state_done(state, t->err);
}

static cvs_status read_state(cvi_torch *t, const cvi_pickle *root, cvi_state *state) {
    *state = (cvi_state){.model = t->model, .keep_types = t->keep_types, .ordered = true};
    CVI_TRY(cvi_torch_collect(t, root, state));
    return finish(t, state);
}

/* ---- several files with an index ----------------------------------------------------------------------------- */

typedef struct target {
    cvi_torch *t;
    cvi_state *state;
} target;

static cvs_status add_part(void *into, const uint8_t *data, size_t size, cvs_error *err) {
    const target *to = into;
    cvi_torch *t = to->t;
    cvi_pickle *root = NULL;
    (void)err; /* t->err */
    t->root = NULL;
    t->storage = NULL;
    t->n_storages = 0;
    cvs_status s = begin(t, data, size, &root);
    s = s == CVS_OK ? cvi_torch_collect(t, root, to->state) : s;
    cvi_zip_close(t->zip);
    t->zip = NULL;
    return s;
}

static cvs_status read_parts(cvi_torch *t, const uint8_t *data, size_t size, const char *path,
                             cvi_state *state) {
    target to = {.t = t, .state = state};
    *state = (cvi_state){.model = t->model, .keep_types = t->keep_types};
    CVI_TRY(cvi_sharded_read(t->model, data, size, path, add_part, &to, t->err));
    return finish(t, state);
}

/* The weights alone, whatever architecture they fit. */
static cvs_status read_weights(cvi_open *open, cvi_torch *t, const cvi_pickle *root, const char *unknown) {
    cvi_state state;
    if (unknown &&
        !cvi_model_note(open->model, "a network of YOLO modules, of which %.100s is not known: weights only",
                        unknown)) {
        return cvi_no_memory(open->err, 0);
    }
    CVI_TRY(read_state(t, root, &state));
    return cvi_state_model(open, &state);
}

/* TorchScript with what its exporter left in an extra file: the size of pictures, then, for the model that came out, classes. */
static cvs_status read_script(cvi_open *open, cvi_torch *t, const cvi_pickle *root) {
    const cvs_open_options *asked = open->options;
    cvs_open_options sized = asked ? *asked : (cvs_open_options){0};
    const uint8_t *text = NULL;
    int64_t n = 0, side = 0;
    CVI_TRY(cvi_torch_entry(t, "extra/config.txt", &text, &n));
    CVI_TRY(text ? cvi_told_text(open->model, (const char *)text, (size_t)n, &side, open->err) : CVS_OK);
    if (side > 0 && sized.height == 0 && sized.width == 0) {
        sized.height = sized.width = side;
        open->options = &sized;
    }
    cvs_status s = cvi_torchscript_read(open, t, root);
    open->options = asked;
    return s == CVS_OK && text ? cvi_told_text(open->model, (const char *)text, (size_t)n, &side, open->err)
                               : s;
}

static cvs_status read(cvi_open *open) {
    cvi_torch t = {
        .model = open->model, .keep_types = open->options && open->options->keep_types, .err = open->err};
    const char *unknown = NULL;
    cvi_pickle *root = NULL;
    const void *data = open->file->data;
    size_t size = open->file->size;
    bool sharded = cvi_sharded_is(open->file, true);
    open->model->producer = "";
    CVI_TRY(cvi_model_keep_file(open->model, open->file, open->err)); /* tensors point into it */
    if (sharded) {
        cvi_state state;
        CVI_TRY(read_parts(&t, data, size, open->from_memory ? NULL : open->path, &state));
        CVI_TRY(cvi_state_model(open, &state));
        return cvi_torch_notes(&t);
    }
    cvs_status s = begin(&t, data, size, &root);
    if (s == CVS_OK && t.zip && has_code(&t)) {
        s = read_script(open, &t, root);
    } else if (s == CVS_OK && cvi_torch_is_sequential(root)) {
        s = cvi_torch_sequential_read(open, &t, root);
    } else if (s == CVS_OK) {
        bool yolo = cvi_ultralytics_model(root) != NULL;
        s = yolo ? cvi_ultralytics_read(open, &t, root, &unknown) : CVS_OK;
        s = s == CVS_OK && (!yolo || unknown) ? read_weights(open, &t, root, unknown) : s;
        s = s == CVS_OK && open->model->n_classes == 0 ? cvi_torch_classes(&t, root) : s;
    }
    s = s == CVS_OK ? cvi_torch_notes(&t) : s;
    cvi_zip_close(t.zip);
    return s;
}

static cvs_status load_weights(cvs_model *model, const char *path, cvs_error *err) {
    cvi_torch t = {.model = model, .err = err};
    cvi_state state;
    cvi_pickle *root = NULL;
    cvi_file file = {0};
    CVI_TRY(cvi_file_read(path, &model->limits, &file, err));
    const void *data = file.data;
    size_t size = file.size;
    bool sharded = cvi_sharded_is(&file, true);
    CVI_TRY(cvi_model_keep_file(model, &file, err));
    cvs_status s = sharded ? read_parts(&t, data, size, path, &state) : begin(&t, data, size, &root);
    s = s == CVS_OK && !sharded ? read_state(&t, root, &state) : s;
    s = s == CVS_OK ? cvi_state_assign(model, &state, err) : s;
    s = s == CVS_OK ? cvi_torch_notes(&t) : s;
    cvi_zip_close(t.zip);
    return s;
}

const cvi_reader cvi_reader_torch = {.name = "pytorch",
                                     .title = "PyTorch",
                                     .suffixes = ".pt .pth .bin .ckpt .bin.index.json",
                                     .match = match,
                                     .read = read,
                                     .load_weights = load_weights,
                                     .by_name = true};

/* SPDX-License-Identifier: MIT
 * tf_read.c - the readers of TensorFlow graphs: a frozen GraphDef, a SavedModel folder, a TensorFlow.js graph model.
 */
#include "formats/tf_checkpoint.h"
#include "formats/tf_saved.h"
#include "formats/tfjs.h"

#include <ctype.h>
#include <stdlib.h>

/* ---- recognising ---- */

/* Whether a message looks like a NodeDef: a name and an operation that is a word. */
static bool looks_like_node(const cvi_pb *parent, const cvi_pb_field *field) {
    cvi_pb p;
    cvi_pb_field f;
    bool name = false, op = false;
    if (field->wire != CVI_PB_BYTES || cvi_pb_enter(parent, &field->bytes, &p) != CVS_OK) {
        return false;
    }
    for (int i = 0; i < 4 && cvi_pb_next(&p, &f) == CVS_OK && f.number; i++) {
        const uint8_t *s = f.bytes.data;
        name |= f.number == 1 && f.wire == CVI_PB_BYTES && cvi_utf8_valid(s, f.bytes.size);
        op |= f.number == 2 && f.wire == CVI_PB_BYTES && f.bytes.size > 0 && f.bytes.size < 200 &&
              (isupper(s[0]) || s[0] == '_') && (f.bytes.size < 2 || isalnum(s[1]) || s[1] == '_');
    }
    return name && op;
}

/* A GraphDef: nodes, functions, versions; the first node decides. */
static bool looks_like_graph(cvi_pb p) {
    cvi_pb_field f;
    for (int i = 0; i < 4 && cvi_pb_next(&p, &f) == CVS_OK && f.number; i++) {
        if (f.number == 1) {
            return looks_like_node(&p, &f);
        }
        if (f.number != 2 && f.number != 4) {
            return false;
        }
    }
    return false;
}

bool cvi_tf_is_meta(const cvi_file *file) {
    cvs_error quiet = {0};
    cvi_pb r = cvi_pb_begin(file->data, file->size, 16, &quiet), p;
    cvi_pb_field f;
    for (int i = 0; i < 4 && file->size >= 8 && cvi_pb_next(&r, &f) == CVS_OK && f.number; i++) {
        if (f.number == 2) {
            return f.wire == CVI_PB_BYTES && cvi_pb_enter(&r, &f.bytes, &p) == CVS_OK && looks_like_graph(p);
        }
        if (f.number != 1 || f.wire != CVI_PB_BYTES) {
            return false;
        }
    }
    return false;
}

static int match_graph(const cvi_open *open) {
    cvs_error quiet = {0};
    if (open->is_folder || open->file->size < 8) {
        return 0;
    }
    return looks_like_graph(cvi_pb_begin(open->file->data, open->file->size, 16, &quiet)) ? 92 : 0;
}

static bool looks_saved(const cvi_file *file) {
    cvs_error quiet = {0};
    cvi_pb r = cvi_pb_begin(file->data, file->size, 16, &quiet), p, q;
    cvi_pb_field f, g;
    for (int i = 0; i < 4 && cvi_pb_next(&r, &f) == CVS_OK && f.number; i++) {
        if (f.number != 2 || f.wire != CVI_PB_BYTES || cvi_pb_enter(&r, &f.bytes, &p) != CVS_OK) {
            continue;
        }
        for (int k = 0; k < 4 && cvi_pb_next(&p, &g) == CVS_OK && g.number; k++) {
            if (g.number == 2 && g.wire == CVI_PB_BYTES && cvi_pb_enter(&p, &g.bytes, &q) == CVS_OK) {
                return looks_like_graph(q);
            }
        }
    }
    return false;
}

static int match_saved(const cvi_open *open) {
    if (!open->is_folder) {
        return open->file->size >= 8 && looks_saved(open->file) ? 95 : 0;
    }
    char *path = cvi_path_join(open->path, "saved_model.pb");
    bool there = path && cvi_is_file(path);
    cvi_free(path);
    return there ? 100 : 0;
}

static int match_json(const cvi_open *open) {
    const cvi_file *f = open->file;
    if (open->is_folder || f->size == 0 || !memchr(f->data, '{', CVI_MIN(f->size, 16))) {
        return 0;
    }
    bool topology = memmem(f->data, f->size, "\"modelTopology\"", 15) != NULL;
    bool nodes = memmem(f->data, f->size, "\"node\"", 6) && memmem(f->data, f->size, "\"op\"", 4);
    return topology && nodes ? 88 : 0;
}

/* ---- reading ---- */

cvs_status cvi_tf_build(tf_net *net, cvi_open *open, int n_in, const tf_port *inputs, int n_out,
                        const tf_port *outputs) {
    cvs_model *model = open->model;
    bool first = false;
    for (int k = -1; k < net->g->n_functions; k++) {
        const tf_body *body = k < 0 ? &net->g->main : &net->g->function[k].body;
        for (int i = 0; i < body->n && !first; i++) {
            first = strcmp(cvi_tf_attr_text(&body->node[i], "data_format", ""), "NCHW") == 0;
        }
    }
    model->graph = cvi_graph_new(model, NULL, "", open->err);
    if (!model->graph) {
        return CVS_E_MEMORY;
    }
    model->file_layout = first ? CVI_FILE_SAME : CVI_FILE_LAST;
    cvi_tf_begin(&net->t, model, "tf", open->err);
    net->t.first = first;
    net->t.shapes.side = 224;
    return cvi_tf_walk(net, n_in, inputs, n_out, outputs);
}

static cvs_status read_graph(cvi_open *open) {
    tf_graphdef g;
    tf_net net = {.g = &g};
    CVI_TRY(cvi_model_keep_file(open->model, open->file, open->err)); /* weights stay where they lie */
    const cvi_file *f = &open->model->files[open->model->n_files - 1];
    cvi_pb p = cvi_pb_begin(f->data, f->size, open->limits.max_depth, open->err);
    const char *weights = open->options ? open->options->weights : NULL;
    if (weights && cvi_tf_checkpoint_is(weights, &open->limits)) { /* of a graph that is not frozen */
        return cvi_tf_read_unfrozen(open, &p, weights);
    }
    CVI_TRY(cvi_tf_read_graph(open->model->arena, &p, NULL, &open->limits, &g));
    return cvi_tf_build(&net, open, 0, NULL, 0, NULL);
}

static cvs_status read_saved(cvi_open *open) {
    cvs_model *model = open->model;
    if (open->is_folder) {
        cvi_file file = {0};
        CVI_TRY(cvi_file_read_beneath(open->path, "saved_model.pb", &open->limits, &file, open->err));
        model->file_bytes = (int64_t)file.size;
        CVI_TRY(cvi_model_keep_file(model, &file, open->err));
        return cvi_tf_read_saved(open, &model->files[model->n_files - 1], open->path);
    }
    char *folder = open->from_memory ? NULL : cvi_path_dir(open->path);
    if (!folder && !open->from_memory) {
        return cvi_no_memory(open->err, strlen(open->path));
    }
    cvs_status s = cvi_model_keep_file(model, open->file, open->err);
    s = s == CVS_OK ? cvi_tf_read_saved(open, &model->files[model->n_files - 1], folder) : s;
    cvi_free(folder);
    return s;
}

/* ---- TensorFlow.js ---- */

typedef struct shards {
    cvi_keras_source source;
    cvs_model *model;
    cvs_error *err;
} shards;

static cvs_status look_up_shard(void *context, const char *name, cvs_tensor *out, bool *found) {
    shards *s = context;
    *found = false;
    for (int64_t i = 0; i < s->source.n && !*found; i++) {
        cvi_keras_weight *w = &s->source.weight[i];
        if (w->used || strcmp(w->name, name) != 0) {
            continue;
        }
        CVI_TRY(s->source.load(&s->source, w, out, s->err));
        w->used = *found = true;
        if (out->owned) {
            void *copy = cvi_arena_alloc(s->model->arena, (int64_t)CVI_MAX(out->bytes, 1), 1);
            if (copy && out->bytes) {
                memcpy(copy, out->data, out->bytes);
            }
            cvs_tensor kept = *out; /* freeing forgets shape and type too */
            cvs_tensor_free(out);
            kept.data = copy;
            kept.owned = false;
            *out = kept;
            if (!copy) {
                return cvi_no_memory(s->err, kept.bytes);
            }
        }
    }
    return CVS_OK;
}

/* "signature": {"inputs": {key: {"name": ...}}, "outputs": ...}, at the top or inside userDefinedMetadata. */
static cvs_status json_ports(cvi_arena *a, const json_t *list, tf_port **out, int *n, cvs_error *err) {
    const char *key;
    json_t *value;
    *n = 0;
    *out = cvi_arena_alloc(a, (int64_t)json_object_size(list) + 1, sizeof **out);
    if (!*out) {
        return cvi_no_memory(err, 0);
    }
    json_object_foreach((json_t *)(uintptr_t)list, key, value) {
        const char *name = cvi_json_string(value, "name", key);
        (*out)[*n].key = cvi_arena_strn(a, key, strlen(key));
        (*out)[*n].name = cvi_arena_strn(a, name, strlen(name));
        if (!(*out)[*n].key || !(*out)[*n].name) {
            return cvi_no_memory(err, 0);
        }
        ++*n;
    }
    return CVS_OK;
}

static cvs_status read_topology(cvi_open *open, const json_t *root, shards *s) {
    cvi_arena *a = open->model->arena;
    tf_graphdef g;
    tf_net net = {.g = &g, .lookup = look_up_shard, .context = s, .apart = true};
    tf_port *in = NULL, *out = NULL;
    int n_in = 0, n_out = 0;
    const json_t *sign = json_object_get(root, "signature"),
                 *meta = json_object_get(root, "userDefinedMetadata");
    sign = json_is_object(sign) ? sign : json_object_get(meta, "signature");
    CVI_TRY(cvi_tf_read_json(a, json_object_get(root, "modelTopology"), &open->limits, &g, open->err));
    CVI_TRY(json_ports(a, json_object_get(sign, "inputs"), &in, &n_in, open->err));
    CVI_TRY(json_ports(a, json_object_get(sign, "outputs"), &out, &n_out, open->err));
    for (int i = 0; i < n_out; i++) { /* a signature that speaks of other names is no help */
        if (cvi_tf_find(&g.main, out[i].name, strcspn(out[i].name, ":")) < 0) {
            n_out = 0;
        }
    }
    return cvi_tf_build(&net, open, n_in, in, n_out, out);
}

static cvs_status read_json(cvi_open *open) {
    json_t *root = NULL;
    shards s = {.model = open->model, .err = open->err};
    CVI_TRY(cvi_json_parse((const char *)open->file->data, open->file->size, &root, open->err));
    cvs_status status = CVS_OK;
    if (!open->from_memory || json_array_size(json_object_get(root, "weightsManifest")) > 0) {
        status = cvi_tfjs_source(open, root, &s.source);
    }
    status = status == CVS_OK ? read_topology(open, root, &s) : status;
    json_decref(root);
    return status;
}

const cvi_reader cvi_reader_tf_graph = {.name = "tf_graph",
                                        .title = "TensorFlow graph",
                                        .suffixes = ".pb",
                                        .match = match_graph,
                                        .read = read_graph};
const cvi_reader cvi_reader_tf_saved = {.name = "tf_saved",
                                        .title = "TensorFlow SavedModel",
                                        .suffixes = ".pb",
                                        .match = match_saved,
                                        .read = read_saved};
const cvi_reader cvi_reader_tfjs_graph = {.name = "tfjs_graph",
                                          .title = "TensorFlow.js graph",
                                          .suffixes = ".json",
                                          .match = match_json,
                                          .read = read_json};

/* SPDX-License-Identifier: MIT
 * keras_write.c - writer of Keras JSON: the architecture as keras.models.model_from_json reads it, and for the weights, which Keras JSON has no
 * place for, the keys of TensorFlow.js's layers format in the same file (modelTopology, weightsManifest) with one shard of float32 beside
 * it: NAME.json and NAME.weights.bin. Operators that no Keras layer means are refused by name (keras_write_layers.c).
 */
#include <stdarg.h>

#include "formats/keras_write.h"
#include "formats/reader.h"

static bool ok(const keras_writing *w) {
    return cvi_build_ok(&w->b);
}

/* A layer's name: letters, digits, '_', '-' and '.', not taken yet (case aside: files of some systems do not tell it). */
static const char *unique(keras_writing *w, const char *label) {
    char *base = cvi_arena_strn(w->b.model->arena, label, CVI_MIN(strlen(label), (size_t)100));
    if (!base) {
        cvi_build_no_memory(&w->b, strlen(label));
        return NULL;
    }
    for (char *s = base; *s; s++) {
        bool plain = (*s >= 'a' && *s <= 'z') || (*s >= 'A' && *s <= 'Z') || (*s >= '0' && *s <= '9');
        *s = plain || *s == '-' || (*s == '.' && s != base) ? *s : '_';
    }
    const char *name = *base == '_' || !*base ? cvi_build_name(&w->b, "layer%s", base) : base;
    for (int k = 1; ok(w) && json_object_get(w->names, name); k++) {
        name = cvi_build_name(&w->b, "%s_%d", base, k);
    }
    if (ok(w) && json_object_set_new(w->names, name, json_true()) != 0) {
        cvi_build_no_memory(&w->b, strlen(name));
    }
    return ok(w) ? name : NULL;
}

const char *cvi_keras_put_layer(keras_writing *w, const char *class_name, const char *label, int n,
                                const char *const *inputs, const char *fmt, ...) {
    const char *name = ok(w) ? unique(w, label) : NULL;
    char settings[1024];
    va_list ap;
    va_start(ap, fmt);
    int length = vsnprintf(settings, sizeof settings, fmt, ap);
    va_end(ap);
    if (!name || length < 0 || length >= (int)sizeof settings) {
        cvi_build_set(&w->b, cvi_fail(w->err, CVS_E_INTERNAL, "a layer's settings are too long"));
        return NULL;
    }
    cvi_buf *b = &w->layers;
    cvi_buf_printf(b,
                   "%s{\"module\": \"keras.layers\", \"class_name\": \"%s\", \"name\": \"%s\", \"config\": "
                   "{\"name\": \"%s\", \"dtype\": \"float32\"%s}, \"registered_name\": null, "
                   "\"inbound_nodes\": [",
                   b->size ? ",\n  " : "", class_name, name, name, settings);
    for (int i = 0; i < n; i++) {
        if (!inputs[i]) {
            return NULL; /* its failure is kept */
        }
        cvi_buf_printf(b, "%s[\"%s\", 0, 0, {}]%s", i ? ", " : "[", inputs[i], i == n - 1 ? "]" : "");
    }
    cvi_buf_puts(b, "]}");
    return name;
}

float *cvi_keras_put_weight(keras_writing *w, const char *layer, const char *name, int rank,
                            const int64_t *dim) {
    int64_t bytes = sizeof(float);
    if (!ok(w) || !layer) {
        return NULL;
    }
    cvi_buf_printf(&w->manifest, "%s{\"name\": \"%s/%s\", \"shape\": [", w->manifest.size ? ",\n  " : "",
                   layer, name);
    for (int i = 0; i < rank; i++) {
        cvi_buf_printf(&w->manifest, "%s%lld", i ? ", " : "", (long long)dim[i]);
        if (!cvi_mul(bytes, dim[i], &bytes)) {
            cvi_build_no_memory(&w->b, SIZE_MAX);
            return NULL;
        }
    }
    cvi_buf_puts(&w->manifest, "], \"dtype\": \"float32\"}");
    static const char zeros[4096];
    size_t at = w->data.size;
    for (int64_t left = bytes; left > 0 && !w->data.failed; left -= (int64_t)sizeof zeros) {
        cvi_buf_add(&w->data, zeros, (size_t)CVI_MIN(left, (int64_t)sizeof zeros));
    }
    if (w->data.failed || w->manifest.failed) {
        cvi_build_no_memory(&w->b, (size_t)bytes);
        return NULL;
    }
    return (float *)(void *)(w->data.data + at);
}

const cvs_tensor *cvi_keras_dims(keras_writing *w, int v) {
    const cvs_tensor *t = cvi_shapes_of(&w->shapes, &w->b, v);
    return t;
}

const cvs_tensor *cvi_keras_floats(keras_writing *w, int v) {
    const cvs_tensor *t = v >= 0 ? w->g->values[v].constant : NULL;
    if (!t && v >= 0) { /* worked out from constants */
        t = cvi_keras_dims(w, v);
    }
    return t && t->dtype == CVS_F32 && (t->data || !w->model->has_weights) ? t : NULL;
}

void cvi_keras_refuse(keras_writing *w, const char *why) {
    if (ok(w)) {
        cvs_status s = cvi_fail(w->err, CVS_E_UNSUPPORTED,
                                "no layer of Keras says this operator (%s); .onnx and .net hold it",
                                cvi_tr(w->err->lang, why));
        cvi_build_set(&w->b,
                      cvi_at_node(w->err, s, w->now->layer ? w->now->layer : w->now->name, w->now->op));
    }
}

void cvi_keras_give(keras_writing *w, const char *layer, bool turned, bool positive) {
    int v = w->now->out[0];
    const cvs_tensor *t = cvi_keras_dims(w, v);
    if (v >= 0 && ok(w)) {
        w->value[v] =
            (keras_value){.layer = layer, .turned = turned && (!t || t->rank == 4), .positive = positive};
    }
}

/* The value in the order that is not its layer's own: a Permute, made once. */
static const char *other_order(keras_writing *w, int v) {
    keras_value *k = &w->value[v];
    if (!k->other && ok(w)) {
        char label[160];
        snprintf(label, sizeof label, "%.100s_permute", k->layer);
        k->other = cvi_keras_put_layer(w, "Permute", label, 1, &k->layer, ", \"dims\": [%s]",
                                       k->turned ? "3, 1, 2" : "2, 3, 1");
    }
    return k->other;
}

static const char *in_order(keras_writing *w, int v, bool turned) {
    const cvs_tensor *t = v >= 0 ? cvi_keras_dims(w, v) : NULL;
    if (!t || !w->value[v].layer) {
        cvi_keras_refuse(w, "an input that is no activation");
        return NULL;
    }
    return t->rank != 4 || w->value[v].turned == turned ? w->value[v].layer : other_order(w, v);
}

const char *cvi_keras_turned(keras_writing *w, int v) {
    return in_order(w, v, true);
}

const char *cvi_keras_lying(keras_writing *w, int v) {
    return in_order(w, v, false);
}

/* ---- inputs, outputs, the file -------------------------------------------------------------------------- */

/* An input that is only ever turned to channels first lies with channels last. */
static bool lies_last(const cvi_graph *g, int v) {
    int nodes[4];
    int n = cvi_graph_users(g, v, nodes, CVI_COUNT(nodes));
    int64_t perm[4] = {0};
    for (int i = 0; i < CVI_MIN(n, CVI_COUNT(nodes)); i++) {
        const cvi_node *node = &g->nodes[nodes[i]];
        if (strcmp(node->op, "Transpose") != 0 || cvi_node_ints(node, "perm", perm, 4, 0) != 4 ||
            perm[1] != 3) {
            return false;
        }
    }
    return n > 0;
}

static void put_inputs(keras_writing *w) {
    w->fixed = true;
    for (int i = 0; i < w->g->n_inputs && ok(w); i++) {
        int v = w->g->inputs[i];
        const cvi_value *in = &w->g->values[v];
        keras_value *k = &w->value[v];
        char shape[100] = "null";
        k->turned = in->rank == 4 && !lies_last(w->g, v);
        if (in->rank < 2 || in->rank > 4 || in->dtype != CVS_F32) {
            cvs_status s = cvi_fail(w->err, CVS_E_UNSUPPORTED,
                                    "a Keras model needs inputs of two to four axes and float32");
            cvi_build_set(&w->b, cvi_at_attr(w->err, s, in->name));
            return;
        }
        for (int d = 1; d < in->rank; d++) {
            int64_t n = in->dim[!k->turned ? d : d == in->rank - 1 ? 1 : d + 1];
            size_t at = strlen(shape);
            snprintf(shape + at, sizeof shape - at, n >= 0 ? ", %lld" : ", null", (long long)n);
            w->fixed &= n >= 0;
        }
        k->layer = cvi_keras_put_layer(w, "InputLayer", in->name, 0, NULL, ", \"batch_shape\": [%s]", shape);
    }
}

static void put_ends(keras_writing *w, cvi_buf *out, const char *key, int n, const int *values) {
    cvi_buf_printf(out, "\"%s\": [", key);
    for (int i = 0; i < n && ok(w); i++) {
        const char *layer = w->value[values[i]].layer;
        if (!layer) {
            cvi_build_set(&w->b, cvi_fail(w->err, CVS_E_UNSUPPORTED, "an output of the model is a constant"));
            return;
        }
        cvi_buf_printf(out, "%s[\"%s\", 0, 0]", i ? ", " : "", layer);
    }
    cvi_buf_puts(out, "]");
}

static void put_topology(keras_writing *w, cvi_buf *out) {
    cvi_buf_puts(
        out,
        "\"module\": \"keras.src.models.functional\", \"class_name\": \"Functional\", \"config\": {\"name\": "
        "\"model\", \"trainable\": "
        "true, \"layers\": [\n  ");
    cvi_buf_add(out, w->layers.data, w->layers.size);
    cvi_buf_puts(out, "],\n");
    put_ends(w, out, "input_layers", w->g->n_inputs, w->g->inputs);
    cvi_buf_puts(out, ",\n");
    put_ends(w, out, "output_layers", w->g->n_outputs, w->g->outputs);
    cvi_buf_puts(out, "}, \"registered_name\": \"Functional\"");
}

static cvs_status write_files(keras_writing *w, const char *path) {
    cvi_buf out = {0}, side = {0};
    bool weights = w->data.size > 0 && w->model->has_weights;
    size_t stem = strlen(path) - strlen(".json");
    cvi_buf_add(&side, path, stem);
    cvi_buf_puts(&side, ".weights.bin");
    cvi_buf_puts(&out, "{");
    put_topology(w, &out);
    cvi_buf_puts(&out, ", \"keras_version\": \"3.0.0\", \"backend\": \"tensorflow\"");
    if (weights) {
        cvi_buf_puts(&out,
                     ",\n\"format\": \"layers-model\", \"generatedBy\": \"keras v3.0.0\", \"convertedBy\": "
                     "\"convscope " CVS_VERSION
                     "\",\n\"modelTopology\": {\"keras_version\": \"3.0.0\", \"backend\": "
                     "\"tensorflow\", \"model_config\": {");
        put_topology(w, &out);
        json_t *name = json_string(cvi_path_base(side.failed ? "" : side.data));
        char *quoted = name ? json_dumps(name, JSON_ENCODE_ANY) : NULL;
        cvi_buf_printf(&out, "}},\n\"weightsManifest\": [{\"paths\": [%s], \"weights\": [\n  ",
                       quoted ? quoted : "");
        out.failed |= !quoted;
        free(quoted);
        json_decref(name);
        cvi_buf_add(&out, w->manifest.data, w->manifest.size);
        cvi_buf_puts(&out, "]}]");
    }
    cvi_buf_puts(&out, "}\n");
    cvs_status s = w->b.status;
    if (s == CVS_OK && (out.failed || side.failed || w->layers.failed || w->manifest.failed)) {
        s = cvi_no_memory(w->err, out.size);
    }
    if (s == CVS_OK && weights) {
        s = cvi_file_write(side.data, w->data.data, w->data.size, w->err);
    }
    s = s == CVS_OK ? cvi_file_write(path, out.data, out.size, w->err) : s;
    cvi_buf_free(&out);
    cvi_buf_free(&side);
    return s;
}

static cvs_status write_keras(const cvs_model *model, const char *path, cvs_error *err) {
    cvs_error local = {0};
    keras_writing w = {.model = model, .g = model->graph, .err = err ? err : &local};
    w.b = (cvi_build){.model = cvi_model_new(&model->limits, w.err), .g = model->graph, .err = w.err};
    w.shapes = (cvi_shapes){.side = 224, .evaluate = 4096};
    w.names = json_object();
    w.value = cvi_calloc((size_t)w.g->n_values + 1, sizeof *w.value);
    w.done = cvi_calloc((size_t)w.g->n_nodes + 1, sizeof *w.done);
    cvs_status s = w.b.model && w.names && w.value && w.done ? CVS_OK : cvi_no_memory(w.err, 0);
    if (s == CVS_OK) {
        put_inputs(&w);
        for (int i = 0; i < w.g->n_nodes && ok(&w); i++) {
            if (!w.done[i]) {
                cvi_keras_put_node(&w, &w.g->nodes[i]);
            }
        }
        s = write_files(&w, path);
    }
    cvs_model_free(w.b.model);
    json_decref(w.names);
    cvi_free(w.value);
    cvi_free(w.done);
    cvi_buf_free(&w.layers);
    cvi_buf_free(&w.manifest);
    cvi_buf_free(&w.data);
    return cvi_at_file(w.err, s, path);
}

const cvi_model_writer cvi_model_writer_keras = {
    .name = "keras", .title = "Keras JSON", .suffix = ".json", .write = write_keras};

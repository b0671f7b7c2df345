/* SPDX-License-Identifier: MIT
 * api_models.c - what is open, what a model is made of, its graph laid out, its kernels; opening more.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api.h"

/* ---- what is open ------------------------------------------------------------------------------------------------ */

static json_t *model_line(app *a, int i) {
    const entry *e = &a->models[i];
    cvs_model_info info;
    cvs_model_describe(e->model, &info);
    return json_pack("{si so ss ss so sb si}", "id", i, "name", json_clean(e->name), "builtin", e->builtin,
                     "format", info.format, "command", json_clean(e->command), "weights", info.has_weights,
                     "layers", info.n_layers);
}

static json_t *picture_line(app *a, int i) {
    const picture *p = &a->pictures[i];
    return json_pack("{si so ss so sI sI}", "id", i, "name", json_clean(p->name), "group", p->group,
                     "command", json_clean(p->command), "height",
                     (json_int_t)(p->path ? 0 : p->pixels.dim[0]), "width",
                     (json_int_t)(p->path ? 0 : p->pixels.dim[1]));
}

static json_t *method_lines(cvs_lang lang) {
    json_t *list = json_array();
    for (int i = 0; i < cvs_method_count(); i++) {
        cvs_method_info m;
        if (cvs_method_describe(i, lang, &m, NULL) == CVS_OK) {
            json_array_append_new(list, json_pack("{ss ss ss ss sb si}", "name", m.name, "title", m.title,
                                                  "sentence", m.sentence, "caveat", m.caveat ? m.caveat : "",
                                                  "layer", m.needs_layer, "kind", (int)m.kind));
        }
    }
    return list;
}

void api_state(app *a, const request *q, reply *r) {
    json_t *models = json_array(), *pictures = json_array(), *closed = json_array();
    static const char *const names[] = {"things", "digits", "shortcut"};
    bool open[3] = {0};
    pthread_mutex_lock(&a->lock);
    int n_models = a->n_models, n_pictures = a->n_pictures;
    pthread_mutex_unlock(&a->lock);
    for (int i = 0; i < n_models; i++) {
        json_array_append_new(models, model_line(a, i));
        for (int k = 0; k < 3; k++) {
            open[k] = open[k] || strcmp(a->models[i].builtin, names[k]) == 0;
        }
    }
    for (int i = 0; i < n_pictures; i++) {
        json_array_append_new(pictures, picture_line(a, i));
    }
    for (int k = 0; k < 3 && a->options->builtin; k++) {
        if (!open[k]) {
            json_array_append_new(closed, json_string(names[k]));
        }
    }
    reply_json(r, json_pack("{ss so so so so si si}", "version", CVS_VERSION, "models", models, "pictures",
                            pictures, "builtin", closed, "methods", method_lines(arg_lang(q)), "watching",
                            a->options->n_logs, "visdom", a->options->visdom_port));
}

/* ---- opening ------------------------------------------------------------------------------------------------------- */

void api_models(app *a, const request *q, reply *r) {
    cvs_error err = {.lang = arg_lang(q)};
    int id;
    if (strncmp(q->content, "application/json", 16) == 0) {
        json_t *j = body_json(q, r);
        if (!j) {
            return;
        }
        const char *name = json_string_value(json_object_get(j, "builtin"));
        id = store_builtin(a, name ? name : "", &err);
        json_decref(j);
    } else if (strncmp(q->content, "application/octet-stream", 24) == 0) {
        id = store_upload_model(a, q->body, q->size, arg_text(q, "name", "model"), arg_lang(q), &err);
    } else {
        reply_error(r, 415, "the body must be JSON or application/octet-stream");
        return;
    }
    if (id < 0) {
        reply_failed(r, &err);
        return;
    }
    reply_json(r, json_pack("{si}", "id", id));
}

/* ---- a model --------------------------------------------------------------------------------------------------------- */

json_t *json_shape(int rank, const int64_t *dim) {
    json_t *list = json_array();
    for (int i = 0; i < rank; i++) {
        json_array_append_new(list, json_integer(dim[i]));
    }
    return list;
}

json_t *json_place(const cvs_source *s) {
    char text[24];
    snprintf(text, sizeof text, "%s%d",
             s->place == CVS_PLACE_INPUT   ? "in"
             : s->place == CVS_PLACE_LAYER ? ""
                                           : "v",
             s->index);
    return json_string(text);
}

static json_t *layer_sources(const cvs_links *links, int layer) {
    json_t *list = json_array();
    for (int i = links->first[layer]; layer < links->n_layers && i < links->first[layer + 1]; i++) {
        char text[24];
        int at = links->source[i];
        snprintf(text, sizeof text, "%s%d", at < 0 ? "in" : "", at < 0 ? -1 - at : at);
        json_array_append_new(list, json_string(text));
    }
    return list;
}

static json_t *layer_line(const cvs_links *links, const cvs_layer *l) {
    json_t *j = json_pack("{si so ss ss so so sI sI sI ss ss ss si}", "index", l->index, "name",
                          json_clean(l->name), "op", l->op, "title", l->title ? l->title : l->op, "dim",
                          json_shape(l->rank, l->dim), "from", layer_sources(links, l->index), "params",
                          (json_int_t)l->params, "macs", (json_int_t)l->macs, "bytes", (json_int_t)l->bytes,
                          "settings", l->settings, "formula", l->formula ? l->formula : "", "sentence",
                          l->sentence ? l->sentence : "", "glyph", l->glyph);
    json_t *more = json_pack("{ss so sb sb sb sb sb}", "reading", l->reading ? l->reading : "", "note",
                             json_clean(l->note ? l->note : ""), "conv", l->is_conv, "pool", l->is_pool,
                             "dense", l->is_dense, "filters", l->has_filters, "output", l->is_output);
    json_object_update(j, more);
    json_decref(more);
    if (l->has_field) {
        json_object_set_new(j, "field",
                            json_pack("{s[II] s[II] s[ff]}", "size", (json_int_t)l->field[0],
                                      (json_int_t)l->field[1], "jump", (json_int_t)l->jump[0],
                                      (json_int_t)l->jump[1], "start", l->start[0], l->start[1]));
    }
    return j;
}

/* Values that one sample of the model's output has, by its shape. */
static int64_t answers_of(const cvs_summary *s) {
    for (int i = s->n_layers - 1; i >= 0; i--) {
        if (s->layers[i].is_output) {
            int64_t n = 1;
            for (int k = 1; k < s->layers[i].rank && n > 0 && n <= 1001; k++) {
                n *= s->layers[i].dim[k];
            }
            return n;
        }
    }
    return 0;
}

/* Names of the classes; where the model has none and as many as ImageNet, those, and *guess says so. */
static json_t *class_list(const cvs_model_info *info, const cvs_summary *s, bool *guess) {
    json_t *list = json_array();
    char name[200];
    int64_t n = info->n_classes || info->random_weights ? 0 : answers_of(s);
    *guess = false;
    for (int64_t i = 0; i < n && cvs_imagenet_name(n, i, name, sizeof name); i++) {
        json_array_append_new(list, json_string(name));
        *guess = true;
    }
    for (int i = 0; i < info->n_classes; i++) {
        json_array_append_new(list, json_clean(info->classes[i]));
    }
    return list;
}

static json_t *input_list(const cvs_model *model, int n) {
    json_t *list = json_array();
    for (int i = 0; i < n; i++) {
        cvs_port p;
        if (cvs_model_input(model, i, &p, NULL) == CVS_OK) {
            json_array_append_new(
                list, json_pack("{so so}", "name", json_clean(p.name), "dim", json_shape(p.rank, p.dim)));
        }
    }
    return list;
}

void api_model(app *a, const request *q, reply *r) {
    cvs_error err = {.lang = arg_lang(q)};
    entry *e = store_find_model(a, q, r, "m");
    const cvs_summary *s = e ? store_summary(e, &err) : NULL;
    if (!s) {
        if (e) {
            reply_failed(r, &err);
        }
        return;
    }
    cvs_model_info info;
    char text[300];
    cvs_model_describe(e->model, &info);
    cvs_links links;
    if (cvs_model_links(e->model, &links, &err) != CVS_OK) {
        reply_failed(r, &err);
        return;
    }
    json_t *layers = json_array(), *notes = json_array();
    for (int i = 0; i < s->n_layers; i++) {
        json_array_append_new(layers, layer_line(&links, &s->layers[i]));
    }
    cvs_links_free(&links);
    for (int i = 0; i < info.n_notes; i++) {
        json_array_append_new(notes, json_clean(info.notes[i]));
    }
    bool guess;
    json_t *classes = class_list(&info, s, &guess);
    json_t *j = json_pack("{so ss ss sb so so so so sI sI sI ss}", "name", json_clean(e->name), "format",
                          info.format, "producer", "", "weights", info.has_weights, "classes", classes,
                          "inputs", input_list(e->model, info.n_inputs), "layers", layers, "notes", notes,
                          "params", (json_int_t)s->params, "macs", (json_int_t)s->macs, "memory",
                          (json_int_t)s->activation_bytes, "input", s->input);
    json_object_set_new(j, "producer", json_clean(info.producer ? info.producer : ""));
    json_object_set_new(j, "preprocess", json_clean(cvs_preprocess_text(info.preprocess, text, sizeof text)));
    json_object_set_new(j, "classes_guessed", json_boolean(guess));
    json_object_set_new(j, "random", json_boolean(info.random_weights));
    json_object_set_new(j, "guessed", json_boolean(!info.preprocess->known));
    reply_json(r, j);
}

/* ---- its graph, laid out ------------------------------------------------------------------------------------------------ */

static cvs_draw_options draw_options(const request *q) {
    cvs_draw_options o = {.lang = arg_lang(q), .depth = (int)arg_int(q, "depth", 0)};
    bool all = strcmp(arg_text(q, "view", "folded"), "all") == 0;
    o.fold = all ? CVS_FOLD_NONE : CVS_FOLD_AUTO;
    o.keep_small = o.no_fuse = o.no_group = all;
    o.expand = arg_text(q, "expand", NULL);
    o.direction = strcmp(arg_text(q, "direction", "tb"), "lr") == 0 ? CVS_LEFT_RIGHT : CVS_TOP_DOWN;
    o.theme = strcmp(arg_text(q, "theme", "light"), "dark") == 0 ? CVS_DARK : CVS_LIGHT;
    return o;
}

void api_graph(app *a, const request *q, reply *r) {
    cvs_error err = {.lang = arg_lang(q)};
    entry *e = store_find_model(a, q, r, "m");
    if (!e) {
        return;
    }
    cvs_draw_options o = draw_options(q);
    cvs_draw_source source = {.model = e->model, .name = e->name};
    char *out = NULL, gap[32];
    size_t size = 0;
    o.style = "graph";
    snprintf(gap, sizeof gap, "gap=%lld", (long long)arg_int(q, "gap", 0)); /* room for maps on the arrows */
    o.extra = gap;
    if (cvs_draw_architecture_memory(&source, 1, &o, ".json", &out, &size, &err) != CVS_OK) {
        reply_failed(r, &err);
        return;
    }
    reply_copy(r, "application/json", out, size);
    cvs_free(out);
}

void api_figure(app *a, const request *q, reply *r) {
    static const char *const kinds[][2] = {{"svg", "image/svg+xml"},
                                           {"png", "image/png"},
                                           {"pdf", "application/pdf"},
                                           {"tex", "text/plain; charset=utf-8"},
                                           {"dot", "text/plain; charset=utf-8"}};
    cvs_error err = {.lang = arg_lang(q)};
    entry *e = store_find_model(a, q, r, "m");
    const char *ext = arg_text(q, "ext", "svg"), *type = NULL;
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        type = strcmp(kinds[i][0], ext) == 0 ? kinds[i][1] : type;
    }
    if (!e || !type) {
        if (e) {
            reply_error(r, 400, "no such format");
        }
        return;
    }
    cvs_draw_options o = draw_options(q);
    cvs_draw_source source = {.model = e->model, .name = e->name};
    char *out = NULL, dotted[8];
    size_t size = 0;
    o.style = arg_text(q, "style", "auto");
    o.legend = true;
    snprintf(dotted, sizeof dotted, ".%s", ext);
    if (cvs_draw_architecture_memory(&source, 1, &o, dotted, &out, &size, &err) != CVS_OK) {
        reply_failed(r, &err);
        return;
    }
    reply_copy(r, type, out, size);
    cvs_free(out);
    snprintf(r->file, sizeof r->file, "architecture.%s", ext);
}

/* ---- kernels ------------------------------------------------------------------------------------------------------------- */

/* Filters [from, from+count) of a layer, whole: [count, C, R, S]. */
void api_filters(app *a, const request *q, reply *r) {
    cvs_error err = {.lang = arg_lang(q)};
    cvs_tensor kernel = {0}, bias = {0};
    entry *e = store_find_model(a, q, r, "m");
    if (!e) {
        return;
    }
    if (cvs_model_filters(e->model, (int)arg_int(q, "layer", -1), &kernel, &bias, &err) != CVS_OK) {
        reply_failed(r, &err);
        return;
    }
    int64_t K = kernel.rank > 0 ? kernel.dim[0] : 0, each = K > 0 ? cvs_tensor_count(&kernel) / K : 0;
    int64_t from = arg_int(q, "from", 0), count = arg_int(q, "count", 1);
    from = from < 0 ? 0 : from > K ? K : from;
    count = count < 0 ? 0 : count > K - from ? K - from : count;
    if (each * count > (int64_t)4 << 20) {
        count = each > 0 ? ((int64_t)4 << 20) / each : 0;
    }
    json_t *j = json_pack("{sI sI so sb}", "from", (json_int_t)from, "count", (json_int_t)count, "dim",
                          json_shape(kernel.rank, kernel.dim), "bias", bias.data != NULL);
    part parts[] = {
        {(const float *)kernel.data + from * each, (size_t)(count * each) * sizeof(float)},
        {bias.data ? (const float *)bias.data + from : NULL, bias.data ? (size_t)count * sizeof(float) : 0}};
    reply_packet(r, j, parts, 2);
    cvs_tensor_free(&kernel);
    cvs_tensor_free(&bias);
}

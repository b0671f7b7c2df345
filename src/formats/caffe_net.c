/* SPDX-License-Identifier: MIT
 * caffe_net.c - the layers of a prototxt into a graph: which belong to the test phase, which blob is which value (layers in
 * place make a new one), labels and what hangs on them left out, unknown layers as boxes, and the outputs.
 */
#include "formats/caffe.h"

static const caffe_class classes[] = {
#define CAFFE_CLASS(name, make, param, sized) {name, make, param, sized},
#include "formats/caffe_classes.def"
#undef CAFFE_CLASS
};

static const caffe_class *find_class(const char *type) {
    for (int i = 0; i < CVI_COUNT(classes); i++) {
        if (cvi_caffe_same(type, classes[i].name)) {
            return &classes[i];
        }
    }
    return NULL;
}

/* ---- phases ---- */

static bool rule_met(const cvi_caffe *c, const caffe_message *rule) {
    const char *phase = cvi_caffe_text(rule, "phase", 0, NULL);
    const char *least = cvi_caffe_text(rule, "min_level", 0, NULL);
    if (phase && !cvi_caffe_same(phase, "TEST") && strcmp(phase, "1") != 0) {
        return false;
    }
    if (least && least[0] != '-' && strcmp(least, "0") != 0) {
        return false;
    }
    for (int k = 0; cvi_caffe_field(rule, "stage", k); k++) {
        if (!c->deploy || strcmp(cvi_caffe_text(rule, "stage", k, ""), "deploy") != 0) {
            return false;
        }
    }
    for (int k = 0; cvi_caffe_field(rule, "not_stage", k); k++) {
        if (c->deploy && strcmp(cvi_caffe_text(rule, "not_stage", k, ""), "deploy") == 0) {
            return false;
        }
    }
    return true;
}

static bool any_met(const cvi_caffe *c, const caffe_message *m, const char *name) {
    for (const caffe_field *f = m->first; f; f = f->next) {
        if (strcmp(f->name, name) == 0 && f->message && rule_met(c, f->message)) {
            return true;
        }
    }
    return false;
}

static bool in_test(const cvi_caffe *c, const caffe_message *m) {
    const char *phase = cvi_caffe_text(m, "phase", 0, NULL);
    if (phase && !cvi_caffe_same(phase, "TEST") && strcmp(phase, "1") != 0) {
        return false;
    }
    return cvi_caffe_field(m, "include", 0) ? any_met(c, m, "include") : !any_met(c, m, "exclude");
}

static bool speaks_of_deploy(const caffe_message *m) {
    for (const caffe_field *f = m->first; f; f = f->next) {
        bool rule = strcmp(f->name, "include") == 0 || strcmp(f->name, "exclude") == 0;
        for (int k = 0; rule && f->message && cvi_caffe_field(f->message, "stage", k); k++) {
            if (strcmp(cvi_caffe_text(f->message, "stage", k, ""), "deploy") == 0) {
                return true;
            }
        }
    }
    return false;
}

/* ---- the list of layers ---- */

static bool names(cvi_caffe *c, const caffe_message *m, const char *key, int *n, const char ***out) {
    *n = cvi_caffe_count(m, key);
    *out = cvi_arena_alloc(c->b.g->arena, CVI_MAX(*n, 1), sizeof **out);
    if (!*out) {
        return false;
    }
    int at = 0;
    for (const caffe_field *f = m->first; f; f = f->next) {
        if (strcmp(f->name, key) == 0) {
            (*out)[at++] = f->text;
        }
    }
    return true;
}

static void read_layer(cvi_caffe *c, const caffe_field *f, caffe_layer *l) {
    const caffe_message *m = f->message;
    l->message = m;
    l->line = f->line;
    l->column = f->column;
    l->v0 = cvi_caffe_message(m, "layer"); /* of the first generation */
    l->name = cvi_caffe_text(m, "name", 0, cvi_caffe_text(l->v0, "name", 0, ""));
    l->type = cvi_caffe_text(m, "type", 0, cvi_caffe_text(l->v0, "type", 0, ""));
    l->kept = in_test(c, m);
    c->layer = l;
    if (!names(c, m, "bottom", &l->n_bottom, &l->bottom) || !names(c, m, "top", &l->n_top, &l->top)) {
        cvi_build_set(&c->b, cvi_no_memory(c->b.err, 0));
        return;
    }
    if (!l->type[0]) {
        cvi_build_set(&c->b, cvi_fail(c->b.err, CVS_E_FORMAT, "the layer \"%.80s\" has no type", l->name));
        return;
    }
    if (!l->name[0] && l->n_top > 0) {
        l->name = l->top[0];
    }
    l->kind = find_class(l->type);
    if (c->weights) {
        int64_t at = cvi_caffe_map_get(c->weights->by_name, l->name);
        l->blobs = at < 0 ? NULL : c->weights->layer[at];
    }
    c->layer = NULL;
}

static bool is_layer(const caffe_field *f) {
    return f->message && (strcmp(f->name, "layer") == 0 || strcmp(f->name, "layers") == 0);
}

static void read_layers(cvi_caffe *c) {
    int64_t n = 0;
    for (const caffe_field *f = c->file->first; f; f = f->next) {
        n += is_layer(f);
        c->deploy |= is_layer(f) && speaks_of_deploy(f->message);
    }
    if (n > c->b.model->limits.max_nodes) {
        cvi_build_set(&c->b, cvi_fail(c->b.err, CVS_E_LIMIT, "the file has %lld layers, the limit is %lld",
                                      (long long)n, (long long)c->b.model->limits.max_nodes));
        return;
    }
    if (n == 0) {
        cvi_build_set(&c->b, cvi_fail(c->b.err, CVS_E_FORMAT, "the text describes no layers"));
        return;
    }
    c->layers = cvi_arena_alloc(c->b.g->arena, n, sizeof *c->layers);
    if (!c->layers) {
        cvi_build_set(&c->b, cvi_no_memory(c->b.err, (size_t)n * sizeof *c->layers));
        return;
    }
    for (const caffe_field *f = c->file->first; f && cvi_build_ok(&c->b); f = f->next) {
        if (is_layer(f)) {
            read_layer(c, f, &c->layers[c->n_layers++]);
        }
    }
}

/* What the layers say about sizes, before the inputs are made. */
static void survey(cvi_caffe *c) {
    for (int i = 0; i < c->n_layers; i++) {
        const caffe_layer *l = &c->layers[i];
        if (!l->kept || cvi_caffe_is_data(l->type)) {
            continue;
        }
        c->fixed_sides |=
            !l->kind || l->kind->sized || (l->kind->make == cvi_caffe_upsample && l->n_bottom > 1);
        const caffe_message *shape =
            cvi_caffe_message(cvi_caffe_message(l->message, "reshape_param"), "shape");
        const char *first = cvi_caffe_text(shape, "dim", 0, "0");
        c->fixed_batch |= first[0] != '-' && strcmp(first, "0") != 0;
    }
}

/* ---- blobs ---- */

static void name_blob(cvi_caffe *c, const char *blob, int value) {
    if (cvi_build_ok(&c->b) && !cvi_caffe_map_put(c->blob, blob, value + 1)) {
        cvi_build_set(&c->b, cvi_no_memory(c->b.err, strlen(blob)));
    }
}

void cvi_caffe_top(cvi_caffe *c, int k, int value) {
    const caffe_layer *l = c->layer;
    name_blob(c, k < l->n_top ? l->top[k] : l->name, value);
}

enum { MAX_SEARCHED = 1 << 20 };

/* A blob that only a data layer of another phase makes; or the name of a layer where the top's name was meant. */
static int64_t late_blob(cvi_caffe *c, const char *name) {
    caffe_layer *reader = c->layer;
    for (int i = 0; i < c->n_layers && c->searched < MAX_SEARCHED; i++, c->searched++) {
        caffe_layer *l = &c->layers[i];
        bool has = false;
        for (int k = 0; k < l->n_top; k++) {
            has |= strcmp(l->top[k], name) == 0;
        }
        if (has && !l->kept && !l->done && cvi_caffe_is_data(l->type)) {
            c->layer = l;
            l->done = true;
            cvi_caffe_data_layer(c);
            cvi_caffe_transform(c);
            c->layer = reader;
            return cvi_caffe_map_get(c->blob, name);
        }
        if (l->done && l->n_top > 0 && strcmp(l->name, name) == 0) {
            if (cvi_build_ok(&c->b) &&
                !cvi_model_note(
                    c->b.model,
                    "layer %.100s reads \"%.100s\", which is a layer's name and no blob's: its first "
                    "top is read",
                    reader->name, name)) {
                cvi_build_set(&c->b, cvi_no_memory(c->b.err, 0));
            }
            return cvi_caffe_map_get(c->blob, l->top[0]);
        }
    }
    return -1;
}

static void no_such_blob(cvi_caffe *c, int k) {
    const caffe_field *f = cvi_caffe_field(c->layer->message, "bottom", k);
    if (cvi_build_ok(&c->b)) {
        cvi_caffe_bad(
            c, f, cvi_fail(c->b.err, CVS_E_NOT_FOUND, "no layer above makes the blob \"%.80s\"", f->text));
    }
}

/* Sets c->in; answers whether a bottom was dropped. */
static bool read_bottoms(cvi_caffe *c) {
    const caffe_layer *l = c->layer;
    bool loss = l->kind && l->n_bottom > 1 &&
                (l->kind->make == cvi_caffe_softmax || l->kind->make == cvi_caffe_sigmoid);
    int n = loss ? 1 : l->n_bottom; /* the second bottom is the label */
    c->n_in = 0;
    if (n > CVI_COUNT(c->in)) {
        cvi_build_set(&c->b, cvi_fail(c->b.err, CVS_E_LIMIT, "the layer reads %d blobs, the limit is %d", n,
                                      CVI_COUNT(c->in)));
        return false;
    }
    for (int k = 0; k < n && cvi_build_ok(&c->b); k++) {
        int64_t at = cvi_caffe_map_get(c->blob, l->bottom[k]);
        at = at < 0 ? late_blob(c, l->bottom[k]) : at;
        if (at == 0) {
            return true;
        }
        if (at < 0) {
            no_such_blob(c, k);
            return false;
        }
        c->in[c->n_in++] = (int)at - 1;
    }
    return false;
}

static void drop_tops(cvi_caffe *c) {
    for (int k = 0; k < c->layer->n_top; k++) {
        name_blob(c, c->layer->top[k], -1);
    }
}

void cvi_caffe_drop(cvi_caffe *c) {
    drop_tops(c);
}

/* The shape of a box's top where the type tells it, so that the layers behind it keep their sizes. */
static void guess_shape(cvi_caffe *c, int v) {
    static const char *const alike[] = {"Mish", "HardSwish"};
    const char *type = c->layer->type;
    const cvs_tensor *in = c->n_in > 0 ? cvi_caffe_shape(c, c->in[0]) : NULL;
    const cvs_tensor *like = c->n_in > 1 ? cvi_caffe_shape(c, c->in[1]) : in;
    if (!in || !like) {
        return;
    }
    cvs_tensor t = *in;
    t.data = NULL;
    bool crop = cvi_caffe_same(type, "Crop") && in->rank == 4 && like->rank == 4;
    for (int i = 2; crop && i < 4; i++) {
        t.dim[i] = like->dim[i];
    }
    bool told = crop;
    for (int i = 0; i < CVI_COUNT(alike); i++) {
        told |= cvi_caffe_same(type, alike[i]);
    }
    if (told) {
        cvi_shapes_tell(&c->shapes, &c->b, v, &t);
    }
}

void cvi_caffe_opaque(cvi_caffe *c, const char *why) {
    const caffe_layer *l = c->layer;
    int outs = CVI_MAX(l->n_top, 1);
    char *op = cvi_build_ok(&c->b) ? cvi_arena_printf(c->b.g->arena, "caffe::%s", l->type) : NULL;
    int n = op ? cvi_graph_node(c->b.g, l->name, op, c->n_in, outs, 0, c->b.err) : -1;
    if (n < 0) {
        cvi_build_set(&c->b, op && c->b.err && c->b.err->code ? c->b.err->code : cvi_no_memory(c->b.err, 0));
        return;
    }
    memcpy(c->b.g->nodes[n].in, c->in, (size_t)c->n_in * sizeof *c->in);
    c->b.g->nodes[n].note = why;
    for (int k = 0; k < outs && cvi_build_ok(&c->b); k++) {
        const char *name = l->n_top > 1 ? l->top[k] : l->name;
        int v = cvi_graph_value(c->b.g, name, CVS_NONE, -1, NULL, c->b.err);
        if (v < 0) {
            cvi_build_set(&c->b, c->b.err && c->b.err->code ? c->b.err->code : CVS_E_MEMORY);
            return;
        }
        c->b.g->nodes[n].out[k] = v;
        cvi_caffe_top(c, k, v);
        if (outs == 1) {
            guess_shape(c, v);
        }
    }
}

static void build_layer(cvi_caffe *c) {
    caffe_layer *l = c->layer;
    bool data = cvi_caffe_is_data(l->type);
    if (data || (l->n_bottom == 0 && !l->kind)) {
        cvi_caffe_data_layer(c);
        cvi_caffe_transform(c);
        return;
    }
    bool dropped = read_bottoms(c);
    if (!cvi_build_ok(&c->b)) {
        return;
    }
    if (dropped) {
        drop_tops(c);
    } else if (!l->kind) {
        cvi_caffe_opaque(c, NULL);
    } else if (c->n_in == 0) {
        cvi_build_set(&c->b, cvi_fail(c->b.err, CVS_E_FORMAT, "the layer reads nothing: it has no bottom"));
    } else {
        l->kind->make(c);
    }
}

/* ---- outputs: what no layer reads, but helpers (places of maxima where the maxima are wanted) ---- */

static void add_outputs(cvi_caffe *c) {
    cvi_graph *g = c->b.g;
    bool *read = cvi_calloc((size_t)CVI_MAX(g->n_values, 1), sizeof *read);
    if (!read) {
        cvi_build_set(&c->b, cvi_no_memory(c->b.err, (size_t)g->n_values));
        return;
    }
    for (int n = 0; n < g->n_nodes; n++) {
        for (int k = 0; k < g->nodes[n].n_in; k++) {
            if (g->nodes[n].in[k] >= 0) {
                read[g->nodes[n].in[k]] = true;
            }
        }
    }
    for (int n = 0; n < g->n_nodes; n++) {
        for (int k = 0; k < g->nodes[n].n_out && cvi_build_ok(&c->b); k++) {
            int v = g->nodes[n].out[k];
            if (v >= 0 && !read[v] && !g->values[v].hidden && !cvi_graph_add_output(g, v)) {
                cvi_build_set(&c->b, cvi_no_memory(c->b.err, 0));
            }
        }
    }
    cvi_free(read);
}

/* A failure happened at the layer that is being built. */
static void locate(const void *owner, cvs_error *err, cvs_status s) {
    const cvi_caffe *c = owner;
    if (c->layer && s != CVS_E_MEMORY) {
        cvi_at_node(err, s, c->layer->name, c->layer->type);
        cvi_at_line(err, s, c->layer->line, c->layer->column);
    }
}

cvs_status cvi_caffe_build(cvs_model *model, const caffe_message *file, const caffe_weights *weights,
                           cvs_error *err) {
    cvi_caffe c = {
        .b = {.model = model, .err = err, .locate = locate, .owner = &c}, .file = file, .weights = weights};
    model->has_weights = true;
    model->name = cvi_caffe_text(file, "name", 0, "");
    c.b.g = model->graph = cvi_graph_new(model, NULL, model->name, err);
    c.blob = c.b.g ? cvi_caffe_map(c.b.g->arena) : NULL;
    if (!c.blob) {
        return err && err->code ? err->code : cvi_no_memory(err, 0);
    }
    read_layers(&c);
    if (cvi_build_ok(&c.b)) {
        survey(&c);
        cvi_caffe_file_inputs(&c);
    }
    for (int i = 0; i < c.n_layers && cvi_build_ok(&c.b); i++) {
        c.layer = &c.layers[i];
        if (c.layer->kept) {
            build_layer(&c);
            c.layer->done = true;
        }
    }
    c.layer = NULL;
    if (cvi_build_ok(&c.b)) {
        add_outputs(&c);
    }
    if (cvi_build_ok(&c.b) && c.b.g->n_nodes == 0) {
        cvi_build_set(&c.b, cvi_fail(err, CVS_E_FORMAT, "the text describes no layers"));
    }
    if (cvi_build_ok(&c.b) && c.missing > 0 &&
        !cvi_model_note(model, "%d layers have no numbers in the weights file", c.missing)) {
        cvi_build_set(&c.b, cvi_no_memory(err, 0));
    }
    return cvi_build_ok(&c.b) ? cvi_graph_finish(c.b.g, err) : c.b.status;
}

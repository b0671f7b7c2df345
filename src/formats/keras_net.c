/* SPDX-License-Identifier: MIT
 * keras_net.c - runs through a Keras architecture once, calling each layer as often as it is called, and so makes the graph:
 * inputs, Sequential chains, functional models, nested ones, outputs.
 */
#include "formats/keras.h"

#include <stdlib.h>

enum { MAX_PASSES = 1000 };

/* What one call of a layer gave. */
typedef struct result {
    int n;
    cvi_keras_tensor *tensor;
} result;

static void run_net(cvi_keras *k, cvi_keras_net *net, cvi_keras_tensor **in, int n_in, result *out);

/* ---- inputs ---- */

/* The shape that a layer says its input has, with the batch; NULL: it says none. Looks into nested models. */
static const json_t *said_shape(const cvi_keras_layer *l) {
    static const char *const keys[] = {"batch_input_shape", "batch_shape", "build_input_shape"};
    for (; l; l = l->net && l->net->n > 0 ? &l->net->layer[0] : NULL) {
        for (int i = 0; i < CVI_COUNT(keys); i++) {
            const json_t *v = json_object_get(l->config, keys[i]);
            if (json_is_array(v)) {
                return v;
            }
        }
    }
    return NULL;
}

static cvi_keras_tensor make_input(cvi_keras *k, const char *name, const json_t *shape) {
    int64_t dim[CVS_MAX_RANK];
    size_t rank = json_array_size(shape);
    if (cvi_build_ok(&k->b) && (rank < 1 || rank > CVS_MAX_RANK)) {
        cvi_build_set(
            &k->b, cvi_fail(k->b.err, CVS_E_SHAPE, "the file does not say what shape the model's input has"));
    }
    if (!cvi_build_ok(&k->b)) {
        return (cvi_keras_tensor){.form = {-1, -1}, .rank = 1};
    }
    bool moved = (rank == 4 || rank == 5) && !k->first;
    for (size_t i = 0; i < rank; i++) {
        const json_t *d = json_array_get(shape, i);
        size_t to = !moved || i == 0 ? i : i == rank - 1 ? 1 : i + 1;
        dim[to] = json_is_integer(d) && json_integer_value(d) >= 0 ? json_integer_value(d) : -1;
    }
    int v = cvi_graph_value(k->b.g, name, CVS_F32, (int)rank, dim, k->b.err);
    if (v < 0 || !cvi_graph_add_input(k->b.g, v)) {
        cvi_build_set(&k->b,
                      v < 0 && k->b.err && k->b.err->code ? k->b.err->code : cvi_no_memory(k->b.err, 0));
    }
    return cvi_keras_out(k, v, (int)rank, moved);
}

/* ---- one call ---- */

/* A layer in a form that is not run opens and draws, like one of an unknown class; its note says what it is that is not run. What was
 * made of it so far is forgotten, and with it the forms of its inputs that were made on the way. */
static void close_layer(cvi_keras *k, int nodes, const cvi_keras_tensor *before, cvi_keras_tensor **in, int n,
                        cvi_keras_tensor *out) {
    const char *why = k->b.err ? cvi_arena_printf(k->b.model->arena, "%.200s", k->b.err->message) : NULL;
    k->b.status = CVS_OK;
    cvi_error_clear(k->b.err);
    k->b.g->n_nodes = nodes;
    k->shapes.inferred = CVI_MIN(k->shapes.inferred, nodes);
    k->n_more = 0;
    for (int i = 0; i < n; i++) {
        *in[i] = before[i];
    }
    *out = (cvi_keras_tensor){.form = {-1, -1}, .rank = 1};
    cvi_keras_opaque(k, (cvi_keras_tensor *const *)in, n, out);
    cvi_keras_skip_rest(k);
    if (why && cvi_build_ok(&k->b)) {
        k->b.g->nodes[k->b.node].note = why;
    }
}

static void make_layer(cvi_keras *k, cvi_keras_layer *l, cvi_keras_tensor **in, int n,
                       cvi_keras_tensor *out) {
    int nodes = k->b.g->n_nodes;
    cvi_keras_tensor *before = cvi_arena_alloc(k->b.model->arena, n, sizeof *before);
    if (!before) {
        cvi_build_no_memory(&k->b, (size_t)n * sizeof *before);
        return;
    }
    for (int i = 0; i < n; i++) {
        before[i] = *in[i];
    }
    if (l->kind && !cvi_keras_is_operation(k)) {
        l->kind->make(k, (cvi_keras_tensor *const *)in, n, out);
        if (k->b.status == CVS_E_UNSUPPORTED) {
            close_layer(k, nodes, before, in, n, out);
        }
        cvi_keras_all_taken(k);
    } else {
        cvi_keras_operation(k, in, n, out);
    }
}

/* The first output and those that the maker put into k->more. */
static void all_outputs(cvi_keras *k, result *out) {
    if (k->n_more == 0 || !cvi_build_ok(&k->b)) {
        return;
    }
    cvi_keras_tensor *all = cvi_arena_alloc(k->b.model->arena, 1 + k->n_more, sizeof *all);
    if (!all) {
        cvi_build_no_memory(&k->b, sizeof *all);
        return;
    }
    all[0] = *out->tensor;
    memcpy(all + 1, k->more, (size_t)k->n_more * sizeof *all);
    *out = (result){.n = 1 + k->n_more, .tensor = all};
}

static void call_layer(cvi_keras *k, cvi_keras_layer *l, const json_t *call, cvi_keras_tensor **in, int n,
                       result *out) {
    if (!cvi_build_ok(&k->b)) {
        return;
    }
    if (++k->calls > KERAS_MAX_CALLS) {
        cvi_build_set(&k->b, cvi_fail(k->b.err, CVS_E_LIMIT, "the model calls its layers more than %d times",
                                      (int)KERAS_MAX_CALLS));
        return;
    }
    l->calls++;
    if (l->net) {
        run_net(k, l->net, in, n, out);
        return;
    }
    cvi_arena *a = k->b.model->arena;
    out->n = 1;
    out->tensor = cvi_arena_alloc(a, 1, sizeof *out->tensor);
    k->name = l->calls == 1 ? l->path : cvi_arena_printf(a, "%s_%d", l->path, l->calls);
    if (!out->tensor || !k->name) {
        cvi_build_set(&k->b, cvi_no_memory(k->b.err, 0));
        return;
    }
    *out->tensor = (cvi_keras_tensor){.form = {-1, -1}, .rank = 1};
    k->layer = l;
    k->call = call;
    k->slot = 0;
    k->n_more = 0;
    if (n < 1) {
        cvi_build_set(&k->b, cvi_fail(k->b.err, CVS_E_FORMAT, "this layer has no input"));
    } else {
        make_layer(k, l, in, n, out->tensor);
        all_outputs(k, out);
    }
    k->layer = NULL;
}

/* ---- Sequential ---- */

static void run_sequential(cvi_keras *k, cvi_keras_net *net, cvi_keras_tensor **in, int n_in, result *out) {
    cvi_keras_tensor *now = n_in > 0 ? in[0] : NULL;
    for (int i = 0; i < net->n && cvi_build_ok(&k->b); i++) {
        if (strcmp(net->layer[i].class_name, "InputLayer") == 0) {
            continue;
        }
        result r = {0};
        call_layer(k, &net->layer[i], NULL, &now, 1, &r);
        if (cvi_build_ok(&k->b) && r.n < 1) {
            cvi_build_set(&k->b, cvi_fail(k->b.err, CVS_E_FORMAT, "a model inside the model has no output"));
        }
        now = r.tensor;
    }
    out->n = now ? 1 : 0;
    out->tensor = now;
}

/* ---- functional ---- */

typedef struct program {
    cvi_keras_net *net;
    int *first; /* per layer: its first call in the lists below */
    int *shift; /* per layer: what its references count from (nested models may count from 1) */
    int n;      /* calls in all */
    int *layer; /* per call */
    cvi_keras_refs *refs;
    result *results; /* n == 0 && !tensor: not made yet */
    bool *done;
} program;

static int count_calls(const cvi_keras_layer *l) {
    size_t n = json_array_size(json_object_get(l->json, "inbound_nodes"));
    bool input = strcmp(l->class_name, "InputLayer") == 0;
    return input ? 1 : (int)CVI_MIN(n, (size_t)KERAS_MAX_CALLS);
}

static bool room(cvi_keras *k, program *p) {
    cvi_arena *a = k->b.model->arena;
    p->first = cvi_arena_alloc(a, p->net->n + 1, sizeof *p->first);
    p->shift = cvi_arena_alloc(a, p->net->n + 1, sizeof *p->shift);
    int64_t n = 0;
    for (int i = 0; p->first && i < p->net->n; i++) {
        p->first[i] = (int)n;
        n += count_calls(&p->net->layer[i]);
        if (n > KERAS_MAX_CALLS) {
            cvi_build_set(&k->b,
                          cvi_fail(k->b.err, CVS_E_LIMIT, "the model calls its layers more than %d times",
                                   (int)KERAS_MAX_CALLS));
            return false;
        }
    }
    p->n = (int)n;
    p->layer = cvi_arena_alloc(a, n + 1, sizeof *p->layer);
    p->refs = cvi_arena_alloc(a, n + 1, sizeof *p->refs);
    p->results = cvi_arena_alloc(a, n + 1, sizeof *p->results);
    p->done = cvi_arena_alloc(a, n + 1, sizeof *p->done);
    if (!p->first || !p->shift || !p->layer || !p->refs || !p->results || !p->done) {
        cvi_build_set(&k->b, cvi_no_memory(k->b.err, (size_t)n * sizeof *p->refs));
        return false;
    }
    p->first[p->net->n] = p->n;
    return true;
}

/* A nested model's own creation may count as call 0: references beyond its calls are shifted back. */
static void set_shift(program *p, const cvi_keras_refs *refs) {
    for (int i = 0; i < refs->n; i++) {
        const cvi_keras_ref *r = &refs->ref[i];
        int64_t calls = p->first[r->layer + 1] - p->first[r->layer], over = r->node - (calls - 1);
        if (p->net->layer[r->layer].net && over > p->shift[r->layer] && over < KERAS_MAX_CALLS) {
            p->shift[r->layer] = (int)over;
        }
    }
}

/* The call that a reference means, or -1 with a failure. */
static int call_of(cvi_keras *k, const program *p, const cvi_keras_ref *r) {
    int64_t node = r->node - p->shift[r->layer];
    if (node < 0 || node >= p->first[r->layer + 1] - p->first[r->layer]) {
        cvi_build_set(&k->b, cvi_fail(k->b.err, CVS_E_FORMAT,
                                      "call %lld of layer \"%.80s\" is used, but it is not there",
                                      (long long)r->node, p->net->layer[r->layer].name));
        return -1;
    }
    return p->first[r->layer] + (int)node;
}

static cvi_keras_tensor *tensor_of(cvi_keras *k, const program *p, const cvi_keras_ref *r) {
    int call = call_of(k, p, r);
    if (call < 0 || !p->done[call]) {
        return NULL;
    }
    if (r->tensor > 0 && p->results[call].n == 1 && !p->net->layer[r->layer].net) {
        return &p->results[call]
                    .tensor[0]; /* nobody knows what an unknown layer gives out: it is only drawn */
    }
    if (r->tensor < 0 || r->tensor >= p->results[call].n) {
        cvi_build_set(
            &k->b, cvi_fail(k->b.err, CVS_E_UNSUPPORTED, "output %lld of layer \"%.80s\" is used, it has %d",
                            (long long)r->tensor, p->net->layer[r->layer].name, p->results[call].n));
        return NULL;
    }
    return &p->results[call].tensor[r->tensor];
}

static bool ready(cvi_keras *k, const program *p, int call) {
    for (int i = 0; i < p->refs[call].n && cvi_build_ok(&k->b); i++) {
        int from = call_of(k, p, &p->refs[call].ref[i]);
        if (from < 0 || !p->done[from]) {
            return false;
        }
    }
    return cvi_build_ok(&k->b);
}

static void do_call(cvi_keras *k, program *p, int call) {
    int n = p->refs[call].n;
    cvi_keras_tensor **in = cvi_arena_alloc(k->b.model->arena, CVI_MAX(n, 1), sizeof *in);
    if (!in) {
        cvi_build_set(&k->b, cvi_no_memory(k->b.err, (size_t)n * sizeof *in));
        return;
    }
    for (int i = 0; i < n; i++) {
        in[i] = tensor_of(k, p, &p->refs[call].ref[i]);
    }
    if (cvi_build_ok(&k->b)) {
        cvi_keras_layer *l = &p->net->layer[p->layer[call]];
        const json_t *nodes = json_object_get(l->json, "inbound_nodes");
        call_layer(k, l, json_array_get(nodes, (size_t)(call - p->first[p->layer[call]])), in, n,
                   &p->results[call]);
        p->done[call] = true;
    }
}

/* Layers stand in an order that works, but for shared ones; so few passes do. */
static void run_calls(cvi_keras *k, program *p) {
    int left = 0, before = -1;
    for (int pass = 0; pass < MAX_PASSES && left != before; pass++) {
        before = left;
        left = 0;
        for (int c = 0; c < p->n && cvi_build_ok(&k->b); c++) {
            if (!p->done[c] && ready(k, p, c)) {
                do_call(k, p, c);
            }
            left += !p->done[c];
        }
        if (left == 0 || !cvi_build_ok(&k->b)) {
            return;
        }
    }
    for (int c = 0; c < p->n; c++) {
        if (!p->done[c]) {
            cvi_build_set(&k->b, cvi_fail(k->b.err, CVS_E_FORMAT,
                                          "layer \"%.80s\" waits for itself: the layers form a circle",
                                          p->net->layer[p->layer[c]].name));
            return;
        }
    }
}

/* Collects what every call reads; calls of input layers are done before anything runs. */
static void read_calls(cvi_keras *k, program *p) {
    for (int i = 0; i < p->net->n; i++) {
        const json_t *nodes = json_object_get(p->net->layer[i].json, "inbound_nodes");
        for (int c = p->first[i]; c < p->first[i + 1] && cvi_build_ok(&k->b); c++) {
            p->layer[c] = i;
            cvi_keras_call_refs(k, p->net, json_array_get(nodes, (size_t)(c - p->first[i])), &p->refs[c]);
            set_shift(p, &p->refs[c]);
        }
    }
}

static void bind_inputs(cvi_keras *k, program *p, cvi_keras_tensor **in, int n_in) {
    cvi_keras_refs ports;
    cvi_keras_port_refs(k, p->net, "input_layers", &ports);
    if (cvi_build_ok(&k->b) && in && ports.n != n_in) {
        cvi_build_set(&k->b, cvi_fail(k->b.err, CVS_E_FORMAT,
                                      "a model inside the model gets %d inputs, it has %d", n_in, ports.n));
    }
    for (int i = 0; i < ports.n && cvi_build_ok(&k->b); i++) {
        const cvi_keras_layer *l = &p->net->layer[ports.ref[i].layer];
        int call = p->first[ports.ref[i].layer];
        if (strcmp(l->class_name, "InputLayer") != 0 || p->done[call]) {
            cvi_build_set(&k->b, cvi_fail(k->b.err, CVS_E_FORMAT,
                                          "the input \"%.80s\" is no input layer, or stands twice", l->name));
            return;
        }
        cvi_keras_tensor *t = in ? in[i] : cvi_arena_alloc(k->b.model->arena, 1, sizeof *t);
        if (!t) {
            cvi_build_set(&k->b, cvi_no_memory(k->b.err, sizeof *t));
            return;
        }
        if (!in) {
            *t = make_input(k, l->path, said_shape(l));
        }
        p->results[call] = (result){.n = 1, .tensor = t};
        p->done[call] = true;
    }
}

static void run_functional(cvi_keras *k, cvi_keras_net *net, cvi_keras_tensor **in, int n_in, result *out) {
    program p = {.net = net};
    cvi_keras_refs ports;
    if (!room(k, &p)) {
        return;
    }
    read_calls(k, &p);
    cvi_keras_port_refs(k, net, "output_layers", &ports);
    if (cvi_build_ok(&k->b)) {
        set_shift(&p, &ports);
        bind_inputs(k, &p, in, n_in);
    }
    if (cvi_build_ok(&k->b)) {
        run_calls(k, &p);
    }
    out->n = 0;
    out->tensor = cvi_build_ok(&k->b)
                      ? cvi_arena_alloc(k->b.model->arena, CVI_MAX(ports.n, 1), sizeof *out->tensor)
                      : NULL;
    if (!out->tensor) {
        cvi_build_set(&k->b, cvi_no_memory(k->b.err, 0));
        return;
    }
    for (int i = 0; i < ports.n; i++) {
        const cvi_keras_tensor *t = tensor_of(k, &p, &ports.ref[i]);
        if (!t) {
            return;
        }
        out->tensor[out->n++] = *t;
    }
}

static void run_net(cvi_keras *k, cvi_keras_net *net, cvi_keras_tensor **in, int n_in, result *out) {
    if (net->sequential) {
        run_sequential(k, net, in, n_in, out);
    } else {
        run_functional(k, net, in, n_in, out);
    }
}

/* ---- the whole ---- */

/* channels_first if some layer says so and none the contrary. */
static void find_layout(const cvi_keras_net *net, bool *first, bool *last) {
    for (int i = 0; i < net->n; i++) {
        const cvi_keras_layer *l = &net->layer[i];
        if (l->net) {
            find_layout(l->net, first, last);
            continue;
        }
        const char *s =
            cvi_json_string(l->config, "data_format", cvi_json_string(l->config, "dim_ordering", ""));
        *first = *first || strcmp(s, "channels_first") == 0 || strcmp(s, "th") == 0;
        *last = *last || strcmp(s, "channels_last") == 0 || strcmp(s, "tf") == 0;
    }
}

/* A model may give its own input out again; that becomes a layer, so that every output is one. */
static int output_value(cvi_keras *k, int v) {
    for (int i = 0; i < k->b.g->n_inputs; i++) {
        if (k->b.g->inputs[i] == v) {
            const char *name = cvi_arena_printf(k->b.model->arena, "%s/output", k->b.g->values[v].name);
            int out = cvi_keras_op(k, "Identity", name, false, 1, &v);
            if (out >= 0) {
                k->b.g->values[out].file_layout = k->b.g->values[v].file_layout;
            }
            return out;
        }
    }
    return v;
}

static void run_whole(cvi_keras *k, cvi_keras_net *net) {
    result r = {0}; /* of a model without layers: its own input, which must outlive the branch below */
    cvi_keras_tensor t = {0}, *in = &t;
    bool first = false, last = false;
    find_layout(net, &first, &last);
    k->first = first && !last;
    k->b.model->file_layout = k->first ? CVI_FILE_SAME : CVI_FILE_LAST;
    if (net->sequential) {
        const cvi_keras_layer *l = &net->layer[0];
        const json_t *shape = said_shape(l);
        shape = shape ? shape : json_object_get(net->config, "build_input_shape");
        bool input = strcmp(l->class_name, "InputLayer") == 0;
        const char *name = input ? l->path : cvi_arena_printf(k->b.model->arena, "%s_input", l->path);
        t = make_input(k, name ? name : "input", shape);
        run_net(k, net, &in, 1, &r);
    } else {
        run_net(k, net, NULL, 0, &r);
    }
    if (cvi_build_ok(&k->b) && r.n == 0) {
        cvi_build_set(&k->b, cvi_fail(k->b.err, CVS_E_FORMAT, "the model has no output"));
    }
    for (int i = 0; i < r.n && cvi_build_ok(&k->b); i++) {
        int v = output_value(k, cvi_keras_value(&r.tensor[i]));
        if (cvi_build_ok(&k->b) && !cvi_graph_add_output(k->b.g, v)) {
            cvi_build_set(&k->b, cvi_no_memory(k->b.err, 0));
        }
    }
}

/* "2.15.0" -> 2; what names no Keras of its own counts as 2. */
static int major_version(const char *s, const json_t *topology) {
    if (!s && json_object_get(topology, "module")) {
        return 3;
    }
    return s && (s[0] == '1' || s[0] == '3') && s[1] == '.' ? s[0] - '0' : 2;
}

static void note_unused(cvi_keras *k) {
    int64_t unused = 0;
    for (int64_t i = 0; k->source && i < k->source->n; i++) {
        unused += !k->source->weight[i].used;
    }
    if (unused > 0 && !cvi_model_note(k->b.model, "%lld stored weights belong to no layer that is executed",
                                      (long long)unused)) {
        cvi_build_set(&k->b, cvi_no_memory(k->b.err, 0));
    }
}

/* A failure happened at the layer that is being built. */
static void locate(const void *owner, cvs_error *err, cvs_status s) {
    const cvi_keras *k = owner;
    if (k->layer) {
        cvi_at_node(err, s, k->layer->path, k->layer->class_name);
    }
}

cvs_status cvi_keras_read_topology(cvi_open *open, const json_t *topology, cvi_keras_source *source,
                                   const char *keras_version, const char *backend) {
    cvs_model *m = open->model;
    cvs_error own = {0};
    cvs_error *err = open->err ? open->err : &own;
    keras_version = cvi_json_string(topology, "keras_version", keras_version);
    backend = cvi_json_string(topology, "backend", backend);
    const json_t *outer = topology, *inner = json_object_get(topology, "model_config");
    topology = json_is_object(inner) ? inner : topology;
    keras_version = cvi_json_string(topology, "keras_version", keras_version);
    backend = cvi_json_string(topology, "backend", backend);
    cvi_keras k = {.b = {.model = m, .err = err, .locate = locate, .owner = &k}, .source = source};
    k.version = major_version(keras_version, topology);
    k.theano = backend && strcmp(backend, "theano") == 0;
    const json_t *config = json_object_get(topology, "config");
    const char *name = cvi_json_string(topology, "name", cvi_json_string(config, "name", ""));
    m->graph = k.b.g = cvi_graph_new(m, NULL, name, err);
    m->name = cvi_arena_strn(m->arena, name, strlen(name));
    m->producer =
        cvi_arena_printf(m->arena, "%s%.40s",
                         keras_version && (keras_version[0] < '0' || keras_version[0] > '9') ? "" : "Keras ",
                         keras_version    ? keras_version
                         : k.version == 3 ? "3"
                                          : "");
    if (!k.b.g || !m->name || !m->producer) {
        return cvi_no_memory(err, 0);
    }
    cvi_keras_net *net = cvi_keras_parse(&k, topology, "", NULL, 0);
    if (cvi_build_ok(&k.b)) {
        cvi_keras_assign(&k, net);
    }
    if (cvi_build_ok(&k.b)) {
        run_whole(&k, net);
        note_unused(&k);
    }
    CVI_TRY(cvi_build_ok(&k.b) ? cvi_graph_finish(k.b.g, err) : k.b.status);
    const json_t *compiled = json_object_get(outer, "compile_config");
    compiled = compiled ? compiled : json_object_get(outer, "training_config");
    return cvi_keras_read_training(m, topology, compiled, err);
}

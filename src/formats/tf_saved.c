/* SPDX-License-Identifier: MIT
 * tf_saved.c - SavedModel: a folder with saved_model.pb (graphs, functions, signatures) and variables/. Which tensor of the bundle a
 * variable has is not written down; the file's own function for restoring says it: RestoreV2 reads keys, Assign gives them to variables.
 */
#include "formats/tf_checkpoint.h"
#include "formats/tf_saved.h"

#include <stdlib.h>

typedef struct binding {
    const char *variable, *key;
    const char *slice; /* "70 3 0,24:0,3": the part of it that the variable holds; "": all */
} binding;

enum { MOST_NAMES = 32 };

typedef struct saved {
    cvi_open *open;
    cvi_arena *a;
    tf_graphdef g;
    tf_port *in, *out;
    int n_in, n_out;
    const char *signature;         /* the one that is taken, or NULL */
    bool is_wanted;                /* it is the usual one, or the one that options name */
    const char *names[MOST_NAMES]; /* all that can be taken, as many as are told */
    int n_names;
    binding *bound;
    int n_bound, cap_bound;
    tf_bundle *bundle; /* NULL: no variables folder */
} saved;

/* ---- signatures ---- */

static cvs_status read_text(const saved *s, const cvi_pb *p, const cvi_pb_field *f, const char **out) {
    return cvi_pb_string(p, s->a, f, s->open->limits.max_name_bytes, "a name", out);
}

static int by_key(const void *a, const void *b) {
    return strcmp(((const tf_port *)a)->key, ((const tf_port *)b)->key);
}

/* One entry of inputs or outputs: key, and the tensor's name. */
static cvs_status read_port(const saved *s, const cvi_pb *parent, const cvi_pb_field *field, tf_port **list,
                            int *n) {
    cvi_pb p, q;
    cvi_pb_field f, g;
    tf_port port = {.key = "", .name = ""};
    CVI_TRY(cvi_pb_expect(parent, field, CVI_PB_BYTES, "a signature"));
    CVI_TRY(cvi_pb_enter(parent, &field->bytes, &p));
    TF_EACH(p, f) {
        if (f.number == 1) {
            CVI_TRY(read_text(s, &p, &f, &port.key));
        } else if (f.number == 2) {
            CVI_TRY(cvi_pb_expect(&p, &f, CVI_PB_BYTES, "a signature"));
            CVI_TRY(cvi_pb_enter(&p, &f.bytes, &q));
            TF_EACH(q, g) {
                CVI_TRY(g.number == 1 ? read_text(s, &q, &g, &port.name) : CVS_OK);
            }
        }
    }
    tf_port *more = cvi_arena_alloc(s->a, *n + 1, sizeof *more);
    if (!more || *n > 4096) {
        return cvi_no_memory(s->open->err, 0);
    }
    if (*n > 0) {
        memcpy(more, *list, (size_t)*n * sizeof *more);
    }
    more[(*n)++] = port;
    *list = more;
    return CVS_OK;
}

static const char *asked_for(const saved *s) {
    return s->open->options ? s->open->options->signature : NULL;
}

static bool is_usual(const char *name) { /* Keras writes the usual one twice */
    return strcmp(name, "serve") == 0 || strcmp(name, "serving_default") == 0;
}

/* The names of the signatures, without `taken` and its twin unless it is NULL. */
static void list_names(const saved *s, const char *taken, char *text, size_t size) {
    size_t n = 0;
    text[0] = 0;
    for (int i = 0; i < s->n_names && n < size; i++) {
        const char *name = s->names[i];
        if (!taken || (strcmp(name, taken) != 0 && !(is_usual(name) && is_usual(taken)))) {
            int more = snprintf(text + n, size - n, "%s%.60s", n ? ", " : "", name);
            n += more > 0 ? (size_t)more : 0;
        }
    }
}

/* The signature that options name, else "serving_default", else the first that has inputs and outputs. */
static cvs_status read_signature(saved *s, const cvi_pb *parent, const cvi_pb_field *field) {
    cvi_pb p, q;
    cvi_pb_field f, g;
    const char *key = "";
    tf_port *in = NULL, *out = NULL;
    int n_in = 0, n_out = 0;
    CVI_TRY(cvi_pb_expect(parent, field, CVI_PB_BYTES, "a signature"));
    CVI_TRY(cvi_pb_enter(parent, &field->bytes, &p));
    TF_EACH(p, f) {
        if (f.number == 1) {
            CVI_TRY(read_text(s, &p, &f, &key));
        } else if (f.number == 2) {
            CVI_TRY(cvi_pb_expect(&p, &f, CVI_PB_BYTES, "a signature"));
            CVI_TRY(cvi_pb_enter(&p, &f.bytes, &q));
            TF_EACH(q, g) {
                CVI_TRY(g.number == 1   ? read_port(s, &q, &g, &in, &n_in)
                        : g.number == 2 ? read_port(s, &q, &g, &out, &n_out)
                                        : CVS_OK);
            }
        }
    }
    bool wanted = strcmp(key, asked_for(s) ? asked_for(s) : "serving_default") == 0;
    if (n_in == 0 || n_out == 0) {
        return CVS_OK;
    }
    if (s->n_names < MOST_NAMES) {
        s->names[s->n_names++] = key;
    }
    if (!s->signature || (wanted && !s->is_wanted)) {
        qsort(in, (size_t)n_in, sizeof *in, by_key);
        qsort(out, (size_t)n_out, sizeof *out, by_key);
        s->in = in;
        s->out = out;
        s->n_in = n_in;
        s->n_out = n_out;
        s->signature = key;
        s->is_wanted = wanted;
    }
    return CVS_OK;
}

/* Says which signatures there are beside the one that is taken; one that options name must be there. */
static cvs_status check_signature(const saved *s) {
    char others[200];
    s->open->has_signatures = true;
    if (asked_for(s) && !s->is_wanted) {
        list_names(s, NULL, others, sizeof others);
        return !others[0]
                   ? cvi_fail(s->open->err, CVS_E_ARGUMENT, "the file has no signatures to choose from")
                   : cvi_fail(s->open->err, CVS_E_NOT_FOUND,
                              "the file has no signature \"%.60s\" with inputs and outputs; it has: %s",
                              asked_for(s), others);
    }
    list_names(s, s->signature ? s->signature : "", others, sizeof others);
    return !others[0] || cvi_model_note(s->open->model, "this is the signature %.60s; the file also has: %s",
                                        s->signature, others)
               ? CVS_OK
               : cvi_no_memory(s->open->err, 0);
}

/* A MetaGraphDef: a graph and its signatures. */
static cvs_status read_meta_graph(saved *s, cvi_pb *p, bool *done) {
    cvi_pb_field f;
    TF_EACH(*p, f) {
        if (f.number == 2 && !*done) {
            CVI_TRY(cvi_pb_expect(p, &f, CVI_PB_BYTES, "a graph"));
            CVI_TRY(cvi_tf_read_graph(s->a, p, &f.bytes, &s->open->limits, &s->g));
            *done = true;
        } else if (f.number == 5) {
            CVI_TRY(read_signature(s, p, &f));
        }
    }
    return CVS_OK;
}

static cvs_status no_graph(const saved *s) {
    return cvi_fail(s->open->err, CVS_E_FORMAT, "the file has no graph");
}

/* The first graph of the file (a second one is for training). */
static cvs_status read_file(saved *s, const cvi_file *file) {
    cvi_pb r = cvi_pb_begin(file->data, file->size, s->open->limits.max_depth, s->open->err), p;
    cvi_pb_field f;
    bool done = false;
    TF_EACH(r, f) {
        if (done) {
            break;
        }
        if (f.number != 2) {
            continue;
        }
        CVI_TRY(cvi_pb_expect(&r, &f, CVI_PB_BYTES, "a graph"));
        CVI_TRY(cvi_pb_enter(&r, &f.bytes, &p));
        CVI_TRY(read_meta_graph(s, &p, &done));
    }
    return done ? CVS_OK : no_graph(s);
}

/* ---- which key belongs to which variable ---- */

static cvs_status bind(saved *s, const char *variable, const binding *what) {
    if (s->n_bound == s->cap_bound) {
        int cap = CVI_MAX(64, 2 * s->cap_bound);
        binding *more = cvi_arena_alloc(s->a, cap, sizeof *more);
        if (!more) {
            return cvi_no_memory(s->open->err, 0);
        }
        if (s->n_bound > 0) {
            memcpy(more, s->bound, (size_t)s->n_bound * sizeof *more);
        }
        s->bound = more;
        s->cap_bound = cap;
    }
    s->bound[s->n_bound++] = (binding){.variable = variable, .key = what->key, .slice = what->slice};
    return CVS_OK;
}

static const binding *bound_to(const saved *s, const char *variable) {
    for (int i = 0; i < s->n_bound; i++) {
        if (strcmp(s->bound[i].variable, variable) == 0) {
            return &s->bound[i];
        }
    }
    return NULL;
}

static int node_of(const tf_body *body, const char *ref) {
    return cvi_tf_find(body, ref, strcspn(ref, ":"));
}

/* The text of that place in the list that a constant holds, or NULL. */
static const char *text_of(const tf_body *body, const char *ref, int at) {
    int n = node_of(body, ref);
    const tf_attr *value = n >= 0 ? cvi_tf_attr(&body->node[n], "value") : NULL;
    return value && value->strings && at >= 0 && at < value->n ? value->strings[at] : NULL;
}

/* Follows Identity nodes to RestoreV2, for the key that the value is read from; false: it is not. */
static bool restored(const tf_body *body, const char *ref, binding *out) {
    for (int hops = 0; hops < 8; hops++) {
        int n = node_of(body, ref);
        const tf_node *node = n >= 0 ? &body->node[n] : NULL;
        if (node && strncmp(node->op, "Identity", 8) == 0 && node->n_in > 0) {
            ref = node->in[0];
            continue;
        }
        if (!node || strcmp(node->op, "RestoreV2") != 0 || node->n_in < 2) {
            return false;
        }
        const char *last = strrchr(ref, ':');
        int at = last ? (int)strtol(last + 1, NULL, 10) : 0;
        const char *slice = node->n_in > 2 ? text_of(body, node->in[2], at) : NULL;
        *out = (binding){.key = text_of(body, node->in[1], at), .slice = slice ? slice : ""};
        return out->key != NULL;
    }
    return false;
}

static bool is_assign(const tf_node *n) {
    return n->n_in >= 2 && (strcmp(n->op, "AssignVariableOp") == 0 || strcmp(n->op, "Assign") == 0);
}

/* Argument `name` of a function: what the calls in the main graph give it. */
static cvs_status bind_argument(saved *s, const tf_function *fn, const char *name, const binding *what) {
    int arg = -1;
    for (int i = 0; i < fn->n_args; i++) {
        arg = strcmp(fn->args[i], name) == 0 ? i : arg;
    }
    for (int i = 0; i < s->g.main.n && arg >= 0; i++) {
        const tf_node *n = &s->g.main.node[i];
        const char *f = cvi_tf_attr_text(n, "f", NULL);
        if (f && strcmp(f, fn->name) == 0 && arg < n->n_in) {
            return bind(s, n->in[arg], what);
        }
    }
    return CVS_OK;
}

static cvs_status bind_all(saved *s) {
    for (int k = -1; k < s->g.n_functions; k++) {
        const tf_function *fn = k < 0 ? NULL : &s->g.function[k];
        const tf_body *body = fn ? &fn->body : &s->g.main;
        for (int i = 0; i < body->n; i++) {
            const tf_node *n = &body->node[i];
            binding what = {0};
            if (is_assign(n) && restored(body, n->in[1], &what)) {
                CVI_TRY(fn ? bind_argument(s, fn, n->in[0], &what) : bind(s, n->in[0], &what));
            }
        }
    }
    /* A variable that was made as a copy of another holds its numbers. */
    for (int i = 0; i < s->g.main.n; i++) {
        const tf_node *n = &s->g.main.node[i];
        int from = is_assign(n) ? node_of(&s->g.main, n->in[1]) : -1;
        const tf_node *read = from >= 0 ? &s->g.main.node[from] : NULL;
        const binding *known =
            read && strcmp(read->op, "ReadVariableOp") == 0 && read->n_in > 0 ? bound_to(s, n->in[0]) : NULL;
        if (known && !bound_to(s, read->in[0])) {
            const binding copy = *known;
            CVI_TRY(bind(s, read->in[0], &copy));
        }
    }
    return CVS_OK;
}

/* "70 3 0,24:-": the sides of the whole tensor, then begin and length along each; "-" is a whole side. False: it is written otherwise. */
static bool read_slice(const char *text, const cvs_tensor *whole, int64_t *begin, int64_t *length) {
    char *end = NULL;
    for (int i = 0; i < whole->rank; i++, text = end) {
        if (strtoll(text, &end, 10) != whole->dim[i] || end == text) {
            return false;
        }
    }
    text += *text == ' ';
    for (int i = 0; i < whole->rank; i++) {
        begin[i] = 0;
        length[i] = whole->dim[i];
        if (*text == '-') {
            text++;
        } else {
            begin[i] = strtoll(text, &end, 10);
            if (end == text || *end != ',') {
                return false;
            }
            text = end + 1;
            length[i] = strtoll(text, &end, 10);
            if (end == text || begin[i] < 0 || length[i] < 0 || begin[i] > whole->dim[i] ||
                length[i] > whole->dim[i] - begin[i]) {
                return false;
            }
            text = end;
        }
        text += *text == ':';
    }
    return *text == '\0';
}

/* The part of t that a slice names, copied. */
static cvs_status cut(const saved *s, const char *slice, cvs_tensor *t) {
    int64_t begin[CVS_MAX_RANK], length[CVS_MAX_RANK], at[CVS_MAX_RANK] = {0};
    size_t size = cvs_dtype_size(t->dtype), n = 0;
    cvs_tensor part = *t;
    if (!read_slice(slice, t, begin, length)) {
        return cvi_fail(s->open->err, CVS_E_FORMAT, "the index of the weights is damaged");
    }
    memcpy(part.dim, length, sizeof length[0] * (size_t)t->rank);
    int64_t count = cvs_tensor_count(&part);
    uint8_t *to = cvi_arena_raw(s->a, CVI_MAX(count, 1) * (int64_t)size);
    if (!to) {
        return cvi_no_memory(s->open->err, (size_t)count * size);
    }
    for (int64_t i = 0; i < count; i++) {
        int64_t from = 0;
        for (int k = 0; k < t->rank; k++) {
            from = from * t->dim[k] + begin[k] + at[k];
        }
        memcpy(to + n, (const uint8_t *)t->data + from * (int64_t)size, size);
        n += size;
        for (int k = t->rank - 1; k >= 0 && ++at[k] == length[k]; k--) {
            at[k] = 0;
        }
    }
    part.data = to;
    part.bytes = n;
    *t = part;
    return CVS_OK;
}

static cvs_status lookup(void *context, const char *name, cvs_tensor *out, bool *found) {
    saved *s = context;
    char key[1200];
    *found = false;
    if (!s->bundle) {
        return CVS_OK;
    }
    const binding *known = bound_to(s, name);
    if (known) {
        CVI_TRY(cvi_tf_bundle_get(s->bundle, known->key, out, found, s->open->err));
        return *found && known->slice[0] ? cut(s, known->slice, out) : CVS_OK;
    }
    CVI_TRY(cvi_tf_bundle_get(s->bundle, name, out, found, s->open->err));
    if (!*found && strlen(name) < 1000) {
        snprintf(key, sizeof key, "%s/.ATTRIBUTES/VARIABLE_VALUE", name);
        return cvi_tf_bundle_get(s->bundle, key, out, found, s->open->err);
    }
    return CVS_OK;
}

/* ---- the reader ---- */

static cvs_status build(saved *s, const char *folder) {
    cvs_model *model = s->open->model;
    tf_net net = {.g = &s->g, .lookup = lookup, .context = s};
    if (folder) {
        char *variables = cvi_path_join(folder, "variables");
        cvs_status status = variables ? CVS_OK : cvi_no_memory(s->open->err, strlen(folder));
        if (status == CVS_OK && cvi_is_folder(variables)) {
            status = cvi_tf_bundle_open(model, variables, "variables", &s->bundle, s->open->err);
        }
        cvi_free(variables);
        CVI_TRY(status);
    }
    CVI_TRY(check_signature(s));
    CVI_TRY(bind_all(s));
    return cvi_tf_build(&net, s->open, s->n_in, s->in, s->n_out, s->out);
}

/* The same for a graph whose outputs nobody named. */
static cvs_status build_inference(saved *s) {
    tf_net net = {.g = &s->g, .lookup = lookup, .context = s};
    CVI_TRY(check_signature(s));
    if (s->n_out == 0) {
        CVI_TRY(cvi_tf_inference(s->open, &s->g, &s->out, &s->n_out));
    }
    CVI_TRY(bind_all(s));
    return cvi_tf_build(&net, s->open, s->n_in, s->in, s->n_out, s->out);
}

cvs_status cvi_tf_read_meta(cvi_open *open, const cvi_file *file, tf_bundle *bundle) {
    saved s = {.open = open, .a = open->model->arena, .bundle = bundle};
    cvi_pb r = cvi_pb_begin(file->data, file->size, open->limits.max_depth, open->err);
    bool done = false;
    CVI_TRY(read_meta_graph(&s, &r, &done));
    return done ? build_inference(&s) : no_graph(&s);
}

cvs_status cvi_tf_read_unfrozen(cvi_open *open, const cvi_pb *graph, const char *weights) {
    saved s = {.open = open, .a = open->model->arena};
    CVI_TRY(cvi_tf_read_graph(s.a, graph, NULL, &open->limits, &s.g));
    CVI_TRY(cvi_tf_checkpoint_open(open->model, weights, &s.bundle, open->err));
    return build_inference(&s);
}

cvs_status cvi_tf_read_saved(cvi_open *open, const cvi_file *file, const char *folder) {
    saved s = {.open = open, .a = open->model->arena};
    CVI_TRY(read_file(&s, file));
    return build(&s, folder);
}

/* SPDX-License-Identifier: MIT
 * tf_saved.c - SavedModel: a folder with saved_model.pb (graphs, functions, signatures) and variables/. Which tensor of the bundle a
 * variable has is not written down; the file's own function for restoring says it: RestoreV2 reads keys, Assign gives them to variables.
 */
#include "formats/tf_saved.h"

#include <stdlib.h>

typedef struct binding {
    const char *variable, *key;
} binding;

typedef struct saved {
    cvi_open *open;
    cvi_arena *a;
    tf_graphdef g;
    tf_port *in, *out;
    int n_in, n_out;
    bool has_signature, is_default;
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

/* The signature "serving_default", else the first that has inputs and outputs. */
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
    bool usual = strcmp(key, "serving_default") == 0;
    if (n_in > 0 && n_out > 0 && (usual || !s->has_signature)) {
        qsort(in, (size_t)n_in, sizeof *in, by_key);
        qsort(out, (size_t)n_out, sizeof *out, by_key);
        s->in = in;
        s->out = out;
        s->n_in = n_in;
        s->n_out = n_out;
        s->has_signature = true;
    }
    return CVS_OK;
}

/* The first graph of the file (a second one is for training). */
static cvs_status read_file(saved *s, const cvi_file *file) {
    cvi_pb r = cvi_pb_begin(file->data, file->size, s->open->limits.max_depth, s->open->err), p;
    cvi_pb_field f, g;
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
        TF_EACH(p, g) {
            if (g.number == 2) {
                CVI_TRY(cvi_pb_expect(&p, &g, CVI_PB_BYTES, "a graph"));
                CVI_TRY(cvi_tf_read_graph(s->a, &p, &g.bytes, &s->open->limits, &s->g));
                done = true;
            } else if (g.number == 5) {
                CVI_TRY(read_signature(s, &p, &g));
            }
        }
    }
    return done ? CVS_OK : cvi_fail(s->open->err, CVS_E_FORMAT, "the file has no graph");
}

/* ---- which key belongs to which variable ---- */

static cvs_status bind(saved *s, const char *variable, const char *key) {
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
    s->bound[s->n_bound++] = (binding){.variable = variable, .key = key};
    return CVS_OK;
}

static const char *key_of(const saved *s, const char *variable) {
    for (int i = 0; i < s->n_bound; i++) {
        if (strcmp(s->bound[i].variable, variable) == 0) {
            return s->bound[i].key;
        }
    }
    return NULL;
}

static int node_of(const tf_body *body, const char *ref) {
    return cvi_tf_find(body, ref, strcspn(ref, ":"));
}

/* Follows Identity nodes to RestoreV2 and answers the key that the value is read from, or NULL. */
static const char *restored_key(const tf_body *body, const char *ref) {
    for (int hops = 0; hops < 8; hops++) {
        int n = node_of(body, ref);
        const tf_node *node = n >= 0 ? &body->node[n] : NULL;
        if (node && strncmp(node->op, "Identity", 8) == 0 && node->n_in > 0) {
            ref = node->in[0];
            continue;
        }
        if (!node || strcmp(node->op, "RestoreV2") != 0 || node->n_in < 2) {
            return NULL;
        }
        const char *last = strrchr(ref, ':');
        int at = last ? (int)strtol(last + 1, NULL, 10) : 0, names = node_of(body, node->in[1]);
        const tf_attr *value = names >= 0 ? cvi_tf_attr(&body->node[names], "value") : NULL;
        return value && value->strings && at >= 0 && at < value->n ? value->strings[at] : NULL;
    }
    return NULL;
}

static bool is_assign(const tf_node *n) {
    return n->n_in >= 2 && (strcmp(n->op, "AssignVariableOp") == 0 || strcmp(n->op, "Assign") == 0);
}

/* Argument `name` of a function: what the calls in the main graph give it. */
static cvs_status bind_argument(saved *s, const tf_function *fn, const char *name, const char *key) {
    int arg = -1;
    for (int i = 0; i < fn->n_args; i++) {
        arg = strcmp(fn->args[i], name) == 0 ? i : arg;
    }
    for (int i = 0; i < s->g.main.n && arg >= 0; i++) {
        const tf_node *n = &s->g.main.node[i];
        const char *f = cvi_tf_attr_text(n, "f", NULL);
        if (f && strcmp(f, fn->name) == 0 && arg < n->n_in) {
            return bind(s, n->in[arg], key);
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
            const char *key = is_assign(n) ? restored_key(body, n->in[1]) : NULL;
            if (key) {
                CVI_TRY(fn ? bind_argument(s, fn, n->in[0], key) : bind(s, n->in[0], key));
            }
        }
    }
    /* A variable that was made as a copy of another holds its numbers. */
    for (int i = 0; i < s->g.main.n; i++) {
        const tf_node *n = &s->g.main.node[i];
        int from = is_assign(n) ? node_of(&s->g.main, n->in[1]) : -1;
        const tf_node *read = from >= 0 ? &s->g.main.node[from] : NULL;
        const char *key =
            read && strcmp(read->op, "ReadVariableOp") == 0 && read->n_in > 0 ? key_of(s, n->in[0]) : NULL;
        if (key && !key_of(s, read->in[0])) {
            CVI_TRY(bind(s, read->in[0], key));
        }
    }
    return CVS_OK;
}

static cvs_status lookup(void *context, const char *name, cvs_tensor *out, bool *found) {
    saved *s = context;
    char key[1200];
    *found = false;
    if (!s->bundle) {
        return CVS_OK;
    }
    const char *known = key_of(s, name);
    if (known) {
        return cvi_tf_bundle_get(s->bundle, known, out, found, s->open->err);
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
    CVI_TRY(bind_all(s));
    return cvi_tf_build(&net, s->open, s->n_in, s->in, s->n_out, s->out);
}

cvs_status cvi_tf_read_saved(cvi_open *open, const cvi_file *file, const char *folder) {
    saved s = {.open = open, .a = open->model->arena};
    CVI_TRY(read_file(&s, file));
    return build(&s, folder);
}

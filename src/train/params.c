/* SPDX-License-Identifier: MIT
 * params.c - the numbers that training changes: constants by the role that their readers give them, with room for the
 * optimiser's buffers; and their files NAME.npy.
 */
#include "train/trainer.h"

/* A constant that is added behind a layer with weights: a bias that its file did not put into the layer. */
static bool is_behind_weights(const cvi_graph *g, const cvi_node *node, int v) {
    bool behind = false;
    if (!node->def || node->n_in != 2 || !(node->def->flags & CVI_OP_ADDS) ||
        cvs_tensor_count(g->values[v].constant) < 2) {
        return false;
    }
    int other = node->in[0] == v ? node->in[1] : node->in[0];
    const cvi_node *before =
        other >= 0 && g->values[other].producer >= 0 ? &g->nodes[g->values[other].producer] : NULL;
    for (int k = 0; before && before->def && k < before->n_in && k < before->def->n_inputs; k++) {
        behind = behind || before->def->inputs[k].role == CVI_WEIGHT;
    }
    return behind;
}

/* What the readers of a constant make of it: the first role that is not plain data. */
static cvi_role role_of(const cvi_graph *g, int v) {
    if (g->values[v].fixed) {
        return CVI_DATA;
    }
    for (int n = 0; n < g->n_nodes; n++) {
        const cvi_node *node = &g->nodes[n];
        for (int k = 0; node->def && k < node->n_in && node->def->n_inputs > 0; k++) {
            cvi_role role = node->def->inputs[CVI_MIN(k, node->def->n_inputs - 1)].role;
            if (node->in[k] == v && role != CVI_DATA) {
                return role;
            }
            if (node->in[k] == v && is_behind_weights(g, node, v)) {
                return CVI_BIAS;
            }
        }
    }
    return CVI_DATA;
}

static bool is_trained(cvi_role role) {
    return role == CVI_WEIGHT || role == CVI_BIAS || role == CVI_SCALE || role == CVI_SHIFT;
}

static bool is_statistic(cvi_role role) {
    return role == CVI_MEAN || role == CVI_VARIANCE;
}

static bool begins_with(const char *name, const char *with) {
    return strncmp(name, with, strlen(with)) == 0;
}

/* The recipe's penalties on all weights, and those that name the beginning of this one's name. */
static cvs_status set_penalties(const cvs_model *model, const cvi_training *t, cvi_param *p, cvs_error *err) {
    p->l1 = t->l1;
    p->l2 = t->l2;
    for (int i = 0; t->recipe && i < t->recipe->n; i++) {
        const cvi_recipe_statement *s = &t->recipe->statements[i];
        double l1 = 0, l2 = 0;
        int names = 0;
        if (strcmp(s->words[0].text, "penalty") != 0) {
            continue;
        }
        CVI_TRY(cvi_training_penalty(model, s, &l1, &l2, &names, err));
        for (int w = s->n - names; w < s->n; w++) {
            if (begins_with(p->name, s->words[w].text)) {
                p->l1 = l1;
                p->l2 = l2;
            }
        }
    }
    return CVS_OK;
}

static cvs_status take(cvi_graph *g, int v, cvi_role role, cvi_params *p, cvs_error *err) {
    cvi_param *one = &p->list[p->n];
    CVI_TRY(cvs_tensor_convert(g->values[v].constant, CVS_F32, &one->now, err));
    p->n++;
    one->value = v;
    one->name = g->values[v].name;
    one->role = role;
    one->trained = is_trained(role);
    one->weight = role == CVI_WEIGHT;
    int64_t n = cvs_tensor_count(&one->now);
    for (int k = 0; one->trained && k < p->n_slots; k++) {
        one->slots[k] = cvi_calloc((size_t)CVI_MAX(n, 1), sizeof(float));
        if (!one->slots[k]) {
            return cvi_no_memory(err, (size_t)n * sizeof(float));
        }
    }
    if (one->trained) {
        p->values[p->n_trained++] = v;
        p->numbers += n;
    }
    return CVS_OK;
}

static cvs_status take_all(cvi_graph *g, cvi_params *p, cvs_error *err) {
    for (int pass = 0; pass < 2; pass++) { /* trained ones first */
        for (int v = 0; v < g->n_values; v++) {
            const cvs_tensor *t = g->values[v].constant;
            cvi_role role = t && t->data && t->dtype == CVS_F32 ? role_of(g, v) : CVI_DATA;
            if (pass == 0 ? is_trained(role) : is_statistic(role)) {
                CVI_TRY(take(g, v, role, p, err));
            }
        }
    }
    return CVS_OK;
}

cvs_status cvi_params_take(cvs_model *model, const cvi_training *training, cvi_params *out, cvs_error *err) {
    cvi_graph *g = model->graph;
    *out = (cvi_params){.n_slots = training->n_slots};
    out->list = cvi_calloc((size_t)g->n_values + 1, sizeof *out->list);
    out->values = cvi_calloc((size_t)g->n_values + 1, sizeof *out->values);
    cvs_status s = out->list && out->values ? take_all(g, out, err)
                                            : cvi_no_memory(err, (size_t)g->n_values * sizeof *out->list);
    if (s == CVS_OK && out->n_trained == 0) {
        s = cvi_fail(err, CVS_E_UNSUPPORTED, "this model has no weights that training could change");
    }
    for (int i = 0; s == CVS_OK && i < out->n; i++) {
        s = out->list[i].weight ? set_penalties(model, training, &out->list[i], err) : CVS_OK;
    }
    for (int i = 0; s == CVS_OK && i < out->n; i++) {
        g->values[out->list[i].value].constant = &out->list[i].now;
    }
    return s;
}

/* The frozen ones go behind the others; what is trained keeps its order. */
static void sort_frozen(cvi_params *p, cvi_param *sorted) {
    int n = 0;
    for (int pass = 0; pass < 3; pass++) { /* trained, statistics, frozen */
        for (int i = 0; i < p->n; i++) {
            const cvi_param *one = &p->list[i];
            int kind = one->frozen ? 2 : one->trained ? 0 : 1;
            if (kind == pass) {
                sorted[n++] = *one;
            }
        }
    }
    memcpy(p->list, sorted, (size_t)p->n * sizeof *sorted);
    p->n_trained = 0;
    p->numbers = 0;
    for (int i = 0; i < p->n; i++) {
        cvi_param *one = &p->list[i];
        one->trained = one->trained && !one->frozen;
        for (int k = 0; one->frozen && k < CVI_MAX_SLOTS; k++) {
            cvi_free(one->slots[k]);
            one->slots[k] = NULL;
        }
        if (one->trained) {
            p->values[p->n_trained++] = one->value;
            p->numbers += cvs_tensor_count(&one->now);
        }
    }
}

static const cvi_param *param_of(const cvi_params *p, int value) {
    for (int i = 0; i < p->n; i++) {
        if (p->list[i].value == value) {
            return &p->list[i];
        }
    }
    return NULL;
}

/* A node whose every parameter is held. */
static void freeze_nodes(cvi_graph *g, const cvi_params *p) {
    for (int n = 0; n < g->n_nodes; n++) {
        cvi_node *node = &g->nodes[n];
        int held = 0, free = 0;
        for (int k = 0; k < node->n_in; k++) {
            const cvi_param *one = node->in[k] >= 0 ? param_of(p, node->in[k]) : NULL;
            held += one && one->frozen;
            free += one && !one->frozen;
        }
        node->frozen = held > 0 && free == 0;
    }
}

cvs_status cvi_params_freeze(cvs_model *model, cvi_params *p, const cvi_recipe_statement *freeze,
                             cvs_error *err) {
    for (int w = 1; freeze && w < freeze->n; w++) {
        bool any = false;
        for (int i = 0; i < p->n; i++) {
            bool body = strcmp(freeze->words[w].text, "body") == 0 && !cvi_head_has(model, p->list[i].value);
            if (body || begins_with(p->list[i].name, freeze->words[w].text)) {
                p->list[i].frozen = any = true;
            }
        }
        if (!any) {
            return cvi_at_line(err,
                               cvi_fail(err, CVS_E_ARGUMENT,
                                        "\"freeze\" names %.100s, but no parameter's name begins so",
                                        freeze->words[w].text),
                               freeze->words[w].line, freeze->words[w].column);
        }
    }
    cvi_param *sorted = freeze ? cvi_calloc((size_t)p->n + 1, sizeof *sorted) : NULL;
    if (freeze && !sorted) {
        return cvi_no_memory(err, (size_t)p->n * sizeof *sorted);
    }
    if (freeze) {
        freeze_nodes(model->graph, p);
        sort_frozen(p, sorted);
    }
    for (int i = 0; i < p->n; i++) { /* they have moved */
        model->graph->values[p->list[i].value].constant = &p->list[i].now;
    }
    cvi_free(sorted);
    return p->n_trained > 0
               ? CVS_OK
               : cvi_fail(err, CVS_E_ARGUMENT, "nothing is left to train: \"freeze\" holds every parameter");
}

void cvi_params_free(cvi_params *p) {
    for (int i = 0; p->list && i < p->n; i++) {
        cvs_tensor_free(&p->list[i].now);
        for (int k = 0; k < CVI_MAX_SLOTS; k++) {
            cvi_free(p->list[i].slots[k]);
        }
    }
    cvi_free(p->list);
    cvi_free(p->values);
    *p = (cvi_params){0};
}

/* ---- files ---------------------------------------------------------------------------------------------- */

/* FOLDER/NAME.npy, owned; what has a meaning in paths becomes '_'. */
static char *file_of(const char *folder, const char *name) {
    cvi_buf b = {0};
    cvi_buf_printf(&b, "%s/", folder);
    size_t start = b.size;
    cvi_buf_printf(&b, "%s%s.npy", name[0] == '.' ? "_" : "", name);
    for (size_t i = start; !b.failed && i < b.size; i++) {
        b.data[i] = b.data[i] == '/' || (unsigned char)b.data[i] < 32 ? '_' : b.data[i];
    }
    if (b.failed) {
        cvi_buf_free(&b);
        return NULL;
    }
    return b.data;
}

static cvs_status load_one(cvi_param *p, const char *path, const cvs_limits *limits, cvs_error *err) {
    cvs_tensor t = {0}, f = {0};
    char a[200], b[200];
    CVI_TRY(cvs_npy_read(path, limits, &t, err));
    cvs_status s = CVS_OK;
    if (t.rank != p->now.rank || memcmp(t.dim, p->now.dim, sizeof *t.dim * (size_t)t.rank) != 0) {
        s = cvi_fail(err, CVS_E_SHAPE, "%.80s has the shape %s, this file has %s", p->name,
                     cvs_shape_text(p->now.rank, p->now.dim, a, sizeof a),
                     cvs_shape_text(t.rank, t.dim, b, sizeof b));
        s = cvi_at_file(err, s, path);
    } else {
        s = cvs_tensor_convert(&t, CVS_F32, &f, err);
    }
    if (s == CVS_OK && f.bytes > 0) {
        memcpy(p->now.data, f.data, f.bytes);
    }
    cvs_tensor_free(&f);
    cvs_tensor_free(&t);
    return s;
}

/* What other libraries call the last part of a parameter's name. */
static const char *const *other_names(cvi_role role) {
    static const char *const scale[] = {"weight", "gamma", "scale", NULL},
                             *const shift[] = {"bias", "beta", "shift", NULL},
                             *const mean[] = {"running_mean", "moving_mean", "mean", NULL},
                             *const variance[] = {"running_var", "moving_variance", "variance", "var", NULL},
                             *const none[] = {NULL};
    return role == CVI_SCALE      ? scale
           : role == CVI_SHIFT    ? shift
           : role == CVI_MEAN     ? mean
           : role == CVI_VARIANCE ? variance
                                  : none;
}

/* The name under which FOLDER has a file for this parameter: its own, or one of the other libraries' (in the arena); NULL: none. */
static const char *name_in(const cvi_param *p, cvi_arena *arena, const char *folder) {
    const char *dot = strrchr(p->name, '.');
    const char *const *others = other_names(p->role);
    for (int k = -1; k < 0 || (dot && others[k]); k++) {
        const char *name =
            k < 0 ? p->name : cvi_arena_printf(arena, "%.*s.%s", (int)(dot - p->name), p->name, others[k]);
        char *path = name ? file_of(folder, name) : NULL;
        bool there = path && cvi_is_file(path);
        cvi_free(path);
        if (there) {
            return name;
        }
    }
    return NULL;
}

cvs_status cvi_params_load(cvi_params *p, cvi_arena *arena, const char *folder, const cvs_limits *limits,
                           cvs_error *err) {
    for (int i = 0; i < p->n; i++) {
        cvi_param *one = &p->list[i];
        one->file = name_in(one, arena, folder);
        char *path = file_of(folder, one->file ? one->file : one->name);
        cvs_status s = path ? load_one(one, path, limits, err) : cvi_no_memory(err, 0);
        cvi_free(path);
        CVI_TRY(s);
    }
    return CVS_OK;
}

cvs_status cvi_params_save(const cvi_params *p, const char *folder, cvs_error *err) {
    CVI_TRY(cvi_make_folder(folder, err));
    for (int i = 0; i < p->n; i++) {
        char *path = file_of(folder, p->list[i].file ? p->list[i].file : p->list[i].name);
        cvs_status s = path ? cvs_npy_write(path, &p->list[i].now, err) : cvi_no_memory(err, 0);
        cvi_free(path);
        CVI_TRY(s);
    }
    return CVS_OK;
}

/* SPDX-License-Identifier: MIT
 * keras_train.c - how a Keras model was compiled (compile_config of Keras 3, training_config of earlier .h5 files), as the statements that a
 * recipe would have: optimiser, loss, clipping, the penalties of its layers, and which of them are not trainable. What has no counterpart is noted and left out.
 */
#include "formats/keras.h"

enum { MOST = 512, WORDS = 12 };

typedef struct making {
    cvs_model *model;
    cvi_recipe_statement *list; /* room for MOST */
    int n;
    bool failed; /* out of memory */
} making;

static const char *copy(making *k, const char *text) {
    const char *kept = cvi_arena_strn(k->model->arena, text, strlen(text));
    k->failed = k->failed || !kept;
    return kept ? kept : "";
}

/* A statement of these words. */
static void add(making *k, int n, const char *const *words) {
    cvi_recipe_word *w = k->n < MOST ? cvi_arena_alloc(k->model->arena, n, sizeof *w) : NULL;
    k->failed = k->failed || (!w && k->n < MOST);
    for (int i = 0; w && i < n; i++) {
        w[i] = (cvi_recipe_word){copy(k, words[i]), 1, 1};
    }
    if (w) {
        k->list[k->n++] = (cvi_recipe_statement){n, w};
    }
}

/* "KEY=NUMBER" of a configuration's number, if it has one, behind the words. */
static void put(making *k, const json_t *config, const char *key, const char *ours, const char **words,
                int *n) {
    const json_t *v = json_object_get(config, key);
    if (json_is_number(v) && *n < WORDS) {
        const char *word = cvi_arena_printf(k->model->arena, "%s=%.9g", ours, json_number_value(v));
        k->failed = k->failed || !word;
        words[(*n)++] = word ? word : "";
    }
}

/* What a setting names: "adam", {"class_name": "Adam", "config": {...}} or {"class_name": "function", "config": "mse"}. */
static const char *name_of(const json_t *v, const json_t **config) {
    *config = json_object_get(v, "config");
    const char *name = json_is_string(v) ? json_string_value(v) : cvi_json_string(v, "class_name", NULL);
    return name && strcmp(name, "function") == 0 && json_is_string(*config) ? json_string_value(*config)
                                                                            : name;
}

/* Without letters' case and underscores. */
static bool same_name(const char *a, const char *b) {
    for (; *a || *b; a++, b++) {
        while (*a == '_') {
            a++;
        }
        while (*b == '_') {
            b++;
        }
        char x = *a >= 'A' && *a <= 'Z' ? (char)(*a - 'A' + 'a') : *a,
             y = *b >= 'A' && *b <= 'Z' ? (char)(*b - 'A' + 'a') : *b;
        if (x != y) {
            return false;
        }
        if (!x) {
            return true;
        }
    }
    return true;
}

static void add_clipping(making *k, const json_t *config) {
    static const char *const keys[][2] = {
        {"clipnorm", "each"}, {"global_clipnorm", "norm"}, {"clipvalue", "value"}};
    for (int i = 0; i < CVI_COUNT(keys); i++) {
        const char *words[WORDS] = {"clip"};
        int n = 1;
        put(k, config, keys[i][0], keys[i][1], words, &n);
        if (n > 1) {
            add(k, n, words);
        }
    }
}

static void add_optimizer(making *k, const json_t *v) {
    static const struct {
        const char *theirs, *ours, *variant;
    } known[] = {{"SGD", "sgd", "nesterov"},
                 {"Adam", "adam", "amsgrad"},
                 {"AdamW", "adamw", "amsgrad"},
                 {"RMSprop", "rmsprop", "centered"}};
    static const char *const keys[][2] = {
        {"learning_rate", "lr"}, {"lr", "lr"},   {"momentum", "momentum"}, {"beta_1", "beta1"},
        {"beta_2", "beta2"},     {"rho", "rho"}, {"epsilon", "eps"},       {"weight_decay", "decay"}};
    const json_t *config, *rate;
    const char *name = name_of(v, &config), *words[WORDS] = {"optimizer"};
    int n = 1;
    for (int i = 0; name && i < CVI_COUNT(known) && n == 1; i++) {
        const char *plain = strrchr(name, '>'); /* "Custom>Adam" */
        if (same_name(plain ? plain + 1 : name, known[i].theirs)) {
            words[n++] = known[i].ours;
            if (json_is_true(json_object_get(config, known[i].variant))) {
                words[n++] = known[i].variant;
            }
        }
    }
    if (n == 1) {
        k->failed =
            k->failed ||
            !cvi_model_note(k->model, "compiled with the optimizer %.60s, which training does not have",
                            name ? name : "?");
        return;
    }
    rate = json_object_get(config, "learning_rate");
    if (json_is_object(rate)) {
        k->failed = k->failed || !cvi_model_note(k->model, "the learning rate's schedule %.60s was left out",
                                                 cvi_json_string(rate, "class_name", "?"));
        put(k, json_object_get(rate, "config"), "initial_learning_rate", "lr", words, &n);
    }
    for (int i = 0; i < CVI_COUNT(keys); i++) {
        put(k, config, keys[i][0], keys[i][1], words, &n);
    }
    add(k, n, words);
    add_clipping(k, config);
}

static void add_loss(making *k, const json_t *v) {
    static const char *const known[][2] = {{"sparse_categorical_crossentropy", "cross_entropy"},
                                           {"categorical_crossentropy", "cross_entropy"},
                                           {"binary_crossentropy", "binary"},
                                           {"mean_squared_error", "mse"},
                                           {"mse", "mse"},
                                           {"mean_absolute_error", "mae"},
                                           {"mae", "mae"},
                                           {"hinge", "hinge"}};
    const json_t *config;
    const char *name = name_of(v, &config), *words[WORDS] = {"loss"};
    int n = 1;
    for (int i = 0; name && i < CVI_COUNT(known) && n == 1; i++) {
        if (same_name(name, known[i][0])) {
            words[n++] = known[i][1];
        }
    }
    if (n == 1) {
        k->failed = k->failed ||
                    (v && !json_is_null(v) &&
                     !cvi_model_note(k->model, "compiled with the loss %.60s, which training does not have",
                                     name ? name : "?"));
        return;
    }
    if (json_is_object(config) && json_number_value(json_object_get(config, "label_smoothing")) > 0) {
        put(k, config, "label_smoothing", "smoothing", words, &n);
    }
    add(k, n, words);
}

/* The kernel_regularizer of each layer, of nested models too: Keras adds l2 times the squares, without a half, as ours does. */
static void add_penalties(making *k, const json_t *layers, const char *prefix, int depth) {
    size_t i;
    const json_t *layer;
    json_array_foreach(layers, i, layer) {
        const json_t *config = json_object_get(layer, "config"), *inner = json_object_get(config, "layers"),
                     *own;
        const char *name = cvi_json_string(config, "name", cvi_json_string(layer, "name", ""));
        const char *path = cvi_arena_printf(k->model->arena, "%s%.200s/", prefix, name);
        k->failed = k->failed || !path;
        const json_t *penalty = json_object_get(config, "kernel_regularizer");
        const char *words[WORDS] = {"penalty"};
        int n = 1;
        (void)name_of(penalty, &own);
        put(k, own, "l1", "l1", words, &n);
        put(k, own, "l2", "l2", words, &n);
        if (n > 1 && path) {
            words[n++] = path;
            add(k, n, words);
        }
        if (json_is_array(inner) && depth < 8 && path) {
            add_penalties(k, inner, path, depth + 1);
        }
    }
}

/* Whether some constant's name begins so: a layer without weights cannot be frozen. */
static bool has_weights(const cvi_graph *g, const char *prefix) {
    for (int v = 0; prefix && v < g->n_values; v++) {
        if (g->values[v].constant && g->values[v].name &&
            strncmp(g->values[v].name, prefix, strlen(prefix)) == 0) {
            return true;
        }
    }
    return false;
}

/* "freeze" with every layer that is not trainable, of nested models too. */
static void gather_frozen(making *k, const json_t *layers, const char *prefix, cvi_recipe_word *words, int *n,
                          int depth) {
    size_t i;
    const json_t *layer;
    json_array_foreach(layers, i, layer) {
        const json_t *config = json_object_get(layer, "config"), *inner = json_object_get(config, "layers");
        const char *name = cvi_json_string(config, "name", cvi_json_string(layer, "name", ""));
        const char *path = cvi_arena_printf(k->model->arena, "%s%.200s/", prefix, name);
        bool counts = has_weights(k->model->graph, path);
        k->failed = k->failed || !path;
        if (json_is_false(json_object_get(config, "trainable")) && counts && *n < MOST) {
            words[(*n)++] = (cvi_recipe_word){path, 1, 1};
        } else if (json_is_array(inner) && depth < 8 && path) {
            gather_frozen(k, inner, path, words, n, depth + 1);
        }
    }
}

cvs_status cvi_keras_read_training(cvs_model *model, const json_t *topology, const json_t *compiled,
                                   cvs_error *err) {
    const json_t *optimizer = json_object_get(compiled, "optimizer"),
                 *config = json_object_get(topology, "config");
    optimizer = optimizer ? optimizer : json_object_get(compiled, "optimizer_config");
    if (!json_is_object(compiled) || !optimizer || model->recipe.n > 0) {
        return CVS_OK;
    }
    making k = {.model = model, .list = cvi_arena_alloc(model->arena, MOST, sizeof *k.list)};
    if (!k.list) {
        return cvi_no_memory(err, MOST * sizeof *k.list);
    }
    add(&k, 2, (const char *[]){"profile", "keras"});
    add_optimizer(&k, optimizer);
    add_loss(&k, json_object_get(compiled, "loss"));
    const json_t *layers = json_is_array(config) ? config : json_object_get(config, "layers");
    add_penalties(&k, layers, "", 0);
    cvi_recipe_word *frozen = cvi_arena_alloc(model->arena, MOST, sizeof *frozen);
    if (!frozen) {
        return cvi_no_memory(err, MOST * sizeof *frozen);
    }
    int n = 1;
    frozen[0] = (cvi_recipe_word){"freeze", 1, 1};
    gather_frozen(&k, layers, "", frozen, &n, 0);
    if (n > 1 && k.n < MOST) {
        k.list[k.n++] = (cvi_recipe_statement){n, frozen};
    }
    model->recipe = (cvi_recipe){k.n, k.list};
    return k.failed ? cvi_no_memory(err, 0) : CVS_OK;
}

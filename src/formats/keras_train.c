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

static double number_of(const json_t *config, const char *key, double otherwise) {
    const json_t *v = json_object_get(config, key);
    return json_is_number(v) ? json_number_value(v) : otherwise;
}

/* "KEY=NUMBER" behind the words. */
static void say(making *k, const char *ours, double v, const char **words, int *n) {
    const char *word = *n < WORDS ? cvi_arena_printf(k->model->arena, "%s=%.9g", ours, v) : "";
    k->failed = k->failed || !word;
    if (*n < WORDS) {
        words[(*n)++] = word ? word : "";
    }
}

/* PiecewiseConstantDecay: values[i] counts up to boundaries[i], that step too. Gives the first rate. */
static double add_pieces(making *k, const json_t *config) {
    const json_t *at = json_object_get(config, "boundaries"), *values = json_object_get(config, "values");
    size_t n = json_array_size(at);
    const char **words = cvi_arena_alloc(k->model->arena, (int64_t)n + 2, sizeof *words);
    double first = json_number_value(json_array_get(values, 0));
    if (!words || n > MOST || json_array_size(values) != n + 1 || !(first > 0)) {
        k->failed = k->failed || !words;
        return 0;
    }
    words[0] = "schedule";
    words[1] = "piecewise";
    for (size_t i = 0; i < n; i++) {
        double factor = json_number_value(json_array_get(values, i + 1)) / first;
        words[i + 2] = cvi_arena_printf(k->model->arena, "%.0f=%.9g",
                                        json_number_value(json_array_get(at, i)) + 1, factor);
        k->failed = k->failed || !words[i + 2];
    }
    add(k, (int)n + 2, words);
    return first;
}

/* The warm-up of CosineDecay: from its first rate to warmup_target, which the rest begins with. */
static double add_warmup(making *k, const json_t *config, double rate) {
    double target = number_of(config, "warmup_target", 0), steps = number_of(config, "warmup_steps", 0);
    const char *words[WORDS] = {"warmup"};
    int n = 1;
    if (!(target > 0) || !(steps > 0)) {
        return rate;
    }
    say(k, "steps", steps, words, &n);
    say(k, "from", rate / target, words, &n);
    add(k, n, words);
    return target;
}

/* A schedule of the learning rate as a statement; the rate that it begins with, 0: not one of ours. */
static double add_schedule(making *k, const json_t *v) {
    static const struct {
        const char *theirs, *ours;
        const char *keys[5][2];
    } known[] = {
        {"ExponentialDecay",
         "exponential",
         {{"decay_steps", "steps"}, {"decay_rate", "factor"}, {"staircase", "stairs"}}},
        {"InverseTimeDecay",
         "inverse",
         {{"decay_steps", "steps"}, {"decay_rate", "factor"}, {"staircase", "stairs"}}},
        {"PolynomialDecay",
         "polynomial",
         {{"decay_steps", "steps"}, {"power", "power"}, {"cycle", "again"}, {"end_learning_rate", "/to"}}},
        {"CosineDecay", "cosine", {{"decay_steps", "steps"}, {"alpha", "to"}}},
        {"CosineDecayRestarts",
         "restarts",
         {{"first_decay_steps", "steps"}, {"t_mul", "times"}, {"m_mul", "shrink"}, {"alpha", "to"}}}};
    const json_t *config;
    const char *name = name_of(v, &config), *plain = name ? strrchr(name, '>') : NULL;
    double rate = number_of(config, "initial_learning_rate", 0);
    plain = plain ? plain + 1 : name;
    if (plain && same_name(plain, "PiecewiseConstantDecay")) {
        return add_pieces(k, config);
    }
    bool rises = number_of(config, "warmup_target", 0) > 0; /* often from 0 */
    for (int i = 0; plain && (rate > 0 || rises) && i < CVI_COUNT(known); i++) {
        const char *words[WORDS] = {"schedule", known[i].ours};
        int n = 2;
        for (int w = 0; same_name(plain, known[i].theirs) && w < 5 && known[i].keys[w][0]; w++) {
            const json_t *one = json_object_get(config, known[i].keys[w][0]);
            const char *ours = known[i].keys[w][1];
            if (json_is_boolean(one) || json_is_number(one)) {
                double x = json_is_boolean(one) ? json_is_true(one) : json_number_value(one);
                say(k, ours + (ours[0] == '/'), ours[0] == '/' ? x / rate : x, words, &n);
            }
        }
        if (n > 2) {
            add(k, n, words);
            return i == 3 ? add_warmup(k, config, rate) : rate;
        }
    }
    return 0;
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
        double first = add_schedule(k, rate);
        if (first > 0) {
            say(k, "lr", first, words, &n);
        } else {
            k->failed =
                k->failed || !cvi_model_note(k->model, "the learning rate's schedule %.60s was left out",
                                             cvi_json_string(rate, "class_name", "?"));
            put(k, json_object_get(rate, "config"), "initial_learning_rate", "lr", words, &n);
        }
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

/* Keras's VarianceScaling; its "normal" is the truncated one. NULL: none of ours. */
static const char *scaling_of(const json_t *config) {
    static const char *const ours[][3] = {{"he_truncated", "he_uniform", "he_normal"},
                                          {"lecun_truncated", "lecun_uniform", "lecun_normal"},
                                          {"glorot_truncated", "glorot_uniform", "glorot_normal"}};
    const char *mode = cvi_json_string(config, "mode", "fan_in"),
               *distribution = cvi_json_string(config, "distribution", "truncated_normal");
    double scale = number_of(config, "scale", 1);
    int column = strcmp(distribution, "uniform") == 0              ? 1
                 : strcmp(distribution, "untruncated_normal") == 0 ? 2
                                                                   : 0;
    if (strcmp(mode, "fan_avg") == 0) {
        return scale == 1 ? ours[2][column] : NULL;
    }
    return strcmp(mode, "fan_in") != 0 ? NULL
           : scale == 2                ? ours[0][column]
           : scale == 1                ? ours[1][column]
                                       : NULL;
}

/* The words of an initialiser, or false: none of ours. */
static bool find_initialiser(making *k, const json_t *v, const char **words, int *n) {
    static const struct {
        const char *theirs, *ours, *key, *setting;
        double otherwise;
    } known[] = {{"HeNormal", "he_truncated", NULL, NULL, 0},
                 {"HeUniform", "he_uniform", NULL, NULL, 0},
                 {"GlorotNormal", "glorot_truncated", NULL, NULL, 0},
                 {"GlorotUniform", "glorot_uniform", NULL, NULL, 0},
                 {"LecunNormal", "lecun_truncated", NULL, NULL, 0},
                 {"LecunUniform", "lecun_uniform", NULL, NULL, 0},
                 {"RandomNormal", "normal", "stddev", "deviation", 0.05},
                 {"TruncatedNormal", "truncated", "stddev", "deviation", 0.05},
                 {"RandomUniform", "uniform", "maxval", "within", 0.05},
                 {"Zeros", "constant", "", "value", 0},
                 {"Ones", "constant", "", "value", 1},
                 {"Constant", "constant", "value", "value", 0}};
    const json_t *config;
    const char *name = name_of(v, &config), *dot = name ? strrchr(name, '.') : NULL;
    name = dot ? dot + 1 : name;
    if (name && same_name(name, "VarianceScaling")) {
        words[*n] = scaling_of(config);
        return words[(*n)++] != NULL;
    }
    for (int i = 0; name && i < CVI_COUNT(known); i++) {
        if (same_name(name, known[i].theirs)) {
            words[(*n)++] = known[i].ours;
            double value = known[i].key ? number_of(config, known[i].key, known[i].otherwise) : 0;
            if (known[i].setting) {
                say(k, known[i].setting, value, words, n);
            }
            return number_of(config, "mean", 0) == 0 && number_of(config, "minval", -value) == -value;
        }
    }
    return false;
}

/* The kernel_initializer of each layer, where it is not Keras's default. */
static void add_initialisers(making *k, const json_t *layers, const char *prefix, int depth) {
    static const char *const keys[] = {"kernel_initializer", "depthwise_initializer",
                                       "pointwise_initializer"};
    size_t i;
    const json_t *layer;
    json_array_foreach(layers, i, layer) {
        const json_t *config = json_object_get(layer, "config"), *inner = json_object_get(config, "layers");
        const char *name = cvi_json_string(config, "name", cvi_json_string(layer, "name", ""));
        const char *path = cvi_arena_printf(k->model->arena, "%s%.200s/", prefix, name);
        k->failed = k->failed || !path;
        for (int w = 0; w < CVI_COUNT(keys) && path; w++) {
            const json_t *own = json_object_get(config, keys[w]);
            const char *words[WORDS] = {"init"};
            int n = 1;
            if (!json_is_object(own) && !json_is_string(own)) {
                continue;
            }
            if (!find_initialiser(k, own, words, &n)) {
                k->failed = k->failed ||
                            !cvi_model_note(k->model,
                                            "the first weights of %.100s are not drawn as Keras would", path);
            } else if (strcmp(words[1], "glorot_uniform") != 0) {
                words[n++] = path;
                add(k, n, words);
            }
        }
        if (json_is_array(inner) && depth < 8 && path) {
            add_initialisers(k, inner, path, depth + 1);
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
    bool trains = json_is_object(compiled) && optimizer;
    if (model->recipe.n > 0 || (!trains && model->has_weights)) {
        return CVS_OK;
    }
    making k = {.model = model, .list = cvi_arena_alloc(model->arena, MOST, sizeof *k.list)};
    if (!k.list) {
        return cvi_no_memory(err, MOST * sizeof *k.list);
    }
    const json_t *layers = json_is_array(config) ? config : json_object_get(config, "layers");
    if (trains) {
        add(&k, 2, (const char *[]){"profile", "keras"});
        add_optimizer(&k, optimizer);
        add_loss(&k, json_object_get(compiled, "loss"));
        add_penalties(&k, layers, "", 0);
    }
    if (!model->has_weights) {
        add(&k, 2, (const char *[]){"init", "glorot_uniform"});
        add_initialisers(&k, layers, "", 0);
    }
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

/* SPDX-License-Identifier: MIT
 * onnx_ml.c - what exporters of classifiers write behind a network (domain ai.onnx.ml): the numbers' own part in ONNX's words, and the
 * names of classes for the model: ZipMap, LabelEncoder and a list of words that ArrayFeatureExtractor reads pass numbers on as they are. And
 * linear models on a network's features.
 */
#include "onnx_rewrite.h"

/* The names become the model's classes, unless it has some. */
static void take_words(cvi_rw *p, int n, const char *const *words) {
    cvs_model *m = p->d->o->model;
    if (n > 0 && m->n_classes == 0) {
        m->classes = words;
        m->n_classes = n;
        m->classes_from = "metadata of the model file";
    }
}

static void take_names(cvi_rw *p, const cvi_attr *names) {
    if (names && names->kind == CVI_ATTR_STRINGS) {
        take_words(p, names->n, names->strings);
    }
}

static void is_label(cvi_rw *p) {
    if (!p->d->scope->parent) {
        p->d->o->label = p->d->out[0] + 1;
    }
}

void cvi_onnx_label_last(const cvi_onnx *o, cvi_graph *g) {
    if (g->n_outputs > 1 && g->outputs[0] == o->label - 1) {
        memmove(g->outputs, g->outputs + 1, (size_t)(g->n_outputs - 1) * sizeof *g->outputs);
        g->outputs[g->n_outputs - 1] = o->label - 1;
    }
}

static void passed_on(cvi_rw *p) {
    if (cvi_rw_need(p, 1)) {
        cvi_rw_end(p, 0, "Identity", 1, p->d->in, 0, NULL);
    }
}

static void zip_map(cvi_rw *p) {
    take_names(p, cvi_rw_attr(p, "classlabels_strings"));
    passed_on(p);
}

/* Whether keys count 0, 1, 2, ...: then the words are the names of classes in order. */
static bool counts_up(const cvi_attr *keys) {
    for (int i = 0; keys && keys->kind == CVI_ATTR_INTS && i < keys->n; i++) {
        if (keys->ints[i] != i) {
            return false;
        }
    }
    return keys && keys->kind == CVI_ATTR_INTS;
}

/* Numbers to words: the first version has the words alone, later ones keys and values. */
static void label_encoder(cvi_rw *p) {
    const cvi_attr *keys = cvi_rw_attr(p, "keys_int64s"), *values = cvi_rw_attr(p, "values_strings");
    const cvi_attr *first = cvi_rw_attr(p, "classes_strings");
    if (first || (values && counts_up(keys) && values->kind == CVI_ATTR_STRINGS && values->n == keys->n)) {
        take_names(p, first ? first : values);
        is_label(p);
        passed_on(p);
    }
}

/* The places of the last axis that input 1 names; of a list of words (absent here): the places themselves. */
static void feature_extractor(cvi_rw *p) {
    const cvi_attr axis = CVI_RW_INT("axis", -1);
    int words = cvi_rw_in(p, 0), places = cvi_rw_in(p, 1);
    if (places < 0) {
        return;
    }
    if (words < 0) {
        const cvi_onnx_words *w = cvi_onnx_find_words(p->d->o, p->d->source->in[0]);
        if (w) {
            take_words(p, w->n, w->words);
        }
        is_label(p);
        cvi_rw_end(p, 0, "Identity", 1, &places, 0, NULL);
    } else {
        cvi_rw_end(p, 0, "Gather", 2, p->d->in, 1, &axis);
    }
}

/* A list of floats as a constant; -1 where the attribute is absent or of another kind. */
static int floats(cvi_rw *p, const char *name) {
    const cvi_attr *a = cvi_rw_attr(p, name);
    if (!a || a->kind != CVI_ATTR_FLOATS || a->n < 1) {
        return -1;
    }
    int64_t n = a->n;
    float *v = cvi_arena_alloc(p->d->scope->graph->arena, n, sizeof *v);
    if (!v) {
        p->s = cvi_no_memory(p->d->o->err, (size_t)n * sizeof *v);
        return -1;
    }
    for (int64_t i = 0; i < n; i++) {
        v[i] = (float)a->floats[i];
    }
    const cvs_tensor t = {.dtype = CVS_F32, .rank = 1, .dim = {n}, .data = v, .bytes = (size_t)n * sizeof *v};
    return cvi_rw_tensor(p, name, &t);
}

/* (x - offset) * scale along the last axis. */
static void scaler(cvi_rw *p) {
    if (cvi_rw_need(p, 1)) {
        int offset = floats(p, "offset"), scale = floats(p, "scale"), x = cvi_rw_in(p, 0);
        x = offset >= 0 ? cvi_rw_two(p, "Sub", x, offset) : x;
        const int in[] = {x, scale};
        cvi_rw_end(p, 0, scale >= 0 ? "Mul" : "Identity", scale >= 0 ? 2 : 1, in, 0, NULL);
    }
}

static void normalizer(cvi_rw *p) {
    const char *norm = cvi_rw_string(p, "norm", "MAX");
    if (!cvi_rw_need(p, 1)) {
        return;
    }
    if (strcmp(norm, "MAX") == 0) {
        const int64_t last = -1;
        const int in[] = {cvi_rw_in(p, 0), cvi_rw_ints(p, "axes", 1, &last)};
        const int parts[] = {in[0], cvi_rw_put(p, "ReduceMax", true, 2, in, 0, NULL)};
        cvi_rw_end(p, 0, "Div", 2, parts, 0, NULL);
    } else if (strcmp(norm, "L1") == 0 || strcmp(norm, "L2") == 0) {
        const cvi_attr attrs[] = {CVI_RW_INT("axis", -1), CVI_RW_INT("p", norm[1] - '0')};
        cvi_rw_end(p, 0, "LpNormalization", 1, p->d->in, 2, attrs);
    }
}

static void binarizer(cvi_rw *p) {
    if (cvi_rw_need(p, 1)) {
        const int in[] = {cvi_rw_in(p, 0),
                          cvi_rw_scalar(p, "threshold", CVS_F32, cvi_rw_float(p, "threshold", 0))};
        const cvi_attr to = CVI_RW_INT("to", CVS_F32);
        int v = cvi_rw_put(p, "Greater", true, 2, in, 0, NULL);
        cvi_rw_end(p, 0, "Cast", 1, &v, 1, &to);
    }
}

/* ---- linear models on a network's features ---------------------------------------------------------------------------- */
/* Numbers [rows,columns] that lie in an attribute row by row, as a constant [columns,rows]; -1: not as many, or no memory (said). */
static int turned(cvi_rw *p, const char *name, int64_t rows) {
    const cvi_attr *a = cvi_rw_attr(p, name);
    if (!a || a->kind != CVI_ATTR_FLOATS || rows < 1 || a->n < rows || a->n % rows != 0) {
        return -1;
    }
    int64_t columns = a->n / rows;
    float *v = cvi_arena_alloc(p->d->scope->graph->arena, a->n, sizeof *v);
    if (!v) {
        p->s = cvi_no_memory(p->d->o->err, (size_t)a->n * sizeof *v);
        return -1;
    }
    for (int64_t i = 0; i < a->n; i++) {
        v[i % columns * rows + i / columns] = (float)a->floats[i];
    }
    const cvs_tensor t = {
        .dtype = CVS_F32, .rank = 2, .dim = {columns, rows}, .data = v, .bytes = (size_t)a->n * sizeof *v};
    return cvi_rw_tensor(p, name, &t);
}

/* x times the coefficients, and the intercepts where there are some; -1: they do not fit. */
static int linear(cvi_rw *p, int64_t rows) {
    int w = cvi_rw_need(p, 1) ? turned(p, "coefficients", rows) : -1,
        b = w >= 0 ? floats(p, "intercepts") : -1;
    if (w < 0) {
        return -1;
    }
    const int in[] = {cvi_rw_in(p, 0), w};
    int v = cvi_rw_put(p, "MatMul", false, 2, in, 0, NULL);
    return b >= 0 ? cvi_rw_two(p, "Add", v, b) : v;
}

/* What the scores become: NULL: a form that is not known. */
static const char *after(const cvi_rw *p) {
    static const char *const names[][2] = {
        {"NONE", "Identity"}, {"SOFTMAX", "Softmax"}, {"LOGISTIC", "Sigmoid"}};
    const char *word = cvi_rw_string(p, "post_transform", "NONE");
    for (int i = 0; i < CVI_COUNT(names); i++) {
        if (strcmp(word, names[i][0]) == 0) {
            return names[i][1];
        }
    }
    return NULL;
}

static void linear_regressor(cvi_rw *p) {
    const char *op = after(p);
    int v = op ? linear(p, cvi_rw_int(p, "targets", 1)) : -1;
    if (v >= 0) {
        cvi_rw_end(p, 0, op, 1, &v, 0, NULL);
    }
}

/* The label as its number, and the scores. Two classes with one row of coefficients stay closed. */
static void linear_classifier(cvi_rw *p) {
    const cvi_attr *ints = cvi_rw_attr(p, "classlabels_ints"), *words = cvi_rw_attr(p, "classlabels_strings");
    bool named = words && words->kind == CVI_ATTR_STRINGS && words->n > 0,
         numbered = ints && ints->kind == CVI_ATTR_INTS;
    int n = named ? words->n : numbered ? ints->n : 0;
    const cvi_attr *b = cvi_rw_attr(p, "intercepts"), *coefficients = cvi_rw_attr(p, "coefficients");
    bool fits = n >= 2 && (!b || (b->kind == CVI_ATTR_FLOATS && b->n == n)) && coefficients &&
                (b || coefficients->n > n);
    const char *op = after(p);
    int v = fits && op ? linear(p, n) : -1;
    if (v < 0) {
        return;
    }
    const cvi_attr best[] = {CVI_RW_INT("axis", -1), CVI_RW_INT("keepdims", 0)};
    cvi_rw_end(p, 1, op, 1, &v, 0, NULL);
    is_label(p);
    if (named || counts_up(ints)) {
        take_names(p, words);
        cvi_rw_end(p, 0, "ArgMax", 1, &v, 2, best);
    } else {
        const int in[] = {cvi_rw_ints(p, "labels", n, ints->ints),
                          cvi_rw_put(p, "ArgMax", true, 1, &v, 2, best)};
        cvi_rw_end(p, 0, "Gather", 2, in, 0, NULL);
    }
}

const cvi_onnx_rule cvi_onnx_rules_ml[] = {
    {"ai.onnx.ml::LinearRegressor", linear_regressor},
    {"ai.onnx.ml::LinearClassifier", linear_classifier},
    {"ai.onnx.ml::ZipMap", zip_map},
    {"ai.onnx.ml::LabelEncoder", label_encoder},
    {"ai.onnx.ml::ArrayFeatureExtractor", feature_extractor},
    {"ai.onnx.ml::Scaler", scaler},
    {"ai.onnx.ml::Normalizer", normalizer},
    {"ai.onnx.ml::Binarizer", binarizer},
    {NULL, NULL},
};

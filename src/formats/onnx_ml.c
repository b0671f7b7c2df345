/* SPDX-License-Identifier: MIT
 * onnx_ml.c - what exporters of classifiers write behind a network (domain ai.onnx.ml): the numbers' own part in ONNX's words, and the
 * names of classes for the model: ZipMap, LabelEncoder and a list of words that ArrayFeatureExtractor reads pass numbers on as they are.
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

const cvi_onnx_rule cvi_onnx_rules_ml[] = {
    {"ai.onnx.ml::ZipMap", zip_map},
    {"ai.onnx.ml::LabelEncoder", label_encoder},
    {"ai.onnx.ml::ArrayFeatureExtractor", feature_extractor},
    {"ai.onnx.ml::Scaler", scaler},
    {"ai.onnx.ml::Normalizer", normalizer},
    {"ai.onnx.ml::Binarizer", binarizer},
    {NULL, NULL},
};

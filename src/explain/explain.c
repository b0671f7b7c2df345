/* SPDX-License-Identifier: MIT
 * explain.c - asks a method a question about the last run: which sample, which scalar, which layer; writes the caption.
 */
#include <math.h>

#include "engine/run_state.h"
#include "explain/method.h"
#include "explain/unit.h"

#define CVI_METHOD(name) extern const cvi_method cvi_method_##name;
#include "methods.def"
#undef CVI_METHOD

const cvi_method *const cvi_methods[] = {
#define CVI_METHOD(name) &cvi_method_##name,
#include "methods.def"
#undef CVI_METHOD
};
const int cvi_n_methods = CVI_COUNT(cvi_methods);

int cvs_method_count(void) {
    return cvi_n_methods;
}

static const char *const families[] = {"gradients", "modified backward passes", "class activation maps",
                                       "perturbation", "inside the network"};

cvs_status cvs_method_describe(int i, cvs_lang lang, cvs_method_info *out, cvs_error *err) {
    if (i < 0 || i >= cvi_n_methods) {
        return cvi_fail(err, CVS_E_ARGUMENT, "there is no method number %d, there are %d", i, cvi_n_methods);
    }
    const cvi_method *m = cvi_methods[i];
    bool zh = lang == CVS_ZH;
    *out = (cvs_method_info){.name = m->name,
                             .title = zh ? m->title_zh : m->title_en,
                             .sentence = zh ? m->sentence_zh : m->sentence_en,
                             .caveat = zh ? m->caveat_zh : m->caveat_en,
                             .kind = m->kind,
                             .needs_layer = m->needs_layer,
                             .family = cvi_tr(lang, families[m->family]),
                             .flags = m->flags,
                             .compat = cvi_compat_list(m->compat)};
    return CVS_OK;
}

/* Names that hold the text or begin with its first letters, three or more of them; where there are none, the first of all. Whole
 * names only, as many as fit. */
static void near_methods(const char *text, char *out, size_t size) {
    size_t at = 0;
    out[0] = 0;
    for (size_t letters = strlen(text); at == 0; letters--) {
        bool any = letters < 3;
        for (int i = 0; i < cvi_n_methods; i++) {
            const char *name = cvi_methods[i]->name;
            bool near = any || strncmp(name, text, letters) == 0 || strstr(name, text);
            size_t n = strlen(name) + (at ? 2 : 0);
            if (near && at + n < size) {
                at += (size_t)snprintf(out + at, size - at, "%s%s", at ? ", " : "", name);
            }
        }
        if (any) {
            return;
        }
    }
}

cvs_status cvs_method_find(const char *name, int *out, cvs_error *err) {
    char list[200];
    for (int i = 0; i < cvi_n_methods; i++) {
        if (strcmp(cvi_methods[i]->name, name ? name : "") == 0) {
            *out = i;
            return CVS_OK;
        }
    }
    near_methods(name ? name : "", list, sizeof list);
    return cvi_fail(err, CVS_E_NOT_FOUND,
                    "there is no method \"%.60s\"; some that there are: %.200s; --method list shows all %d",
                    name ? name : "", list, cvi_n_methods);
}

/* ---- gradients for the methods ---------------------------------------------------------------------- */

cvs_status cvi_no_picture(cvs_error *err) {
    return cvi_fail(err, CVS_E_UNSUPPORTED,
                    "the model's input is no picture [N,C,H,W] or [N,H,W], so no map can be laid over it; "
                    "gradient, integrated-gradients and the class activation maps need none");
}

cvs_status cvi_whole_numbers(cvs_dtype dtype, cvs_error *err) {
    return cvi_fail(
        err, CVS_E_UNSUPPORTED,
        "the picture enters this network as whole numbers (%s), which have no gradient and cannot "
        "be changed a little: gradcam, hirescam, eigencam and the other maps of a layer apply",
        cvs_dtype_name(dtype));
}

/* A view of one sample along the first dimension; a value without that batch dimension is taken whole. */
static void one_sample(const cvi_question *q, cvs_tensor *t) {
    if (t->rank < 2 || t->dim[0] <= 1) {
        return;
    }
    size_t bytes = t->bytes / (size_t)t->dim[0];
    t->data = (char *)t->data + (size_t)CVI_MIN(q->sample, t->dim[0] - 1) * bytes;
    t->bytes = bytes;
    t->dim[0] = 1;
    t->owned = false;
}

cvs_status cvi_question_gradient(cvi_question *q, cvi_rule rule, int value, cvs_tensor *out) {
    cvs_dtype dtype = q->run->inputs[0].dtype;
    if (value == q->input_value && dtype != CVS_F32 && dtype != CVS_F64 && dtype != CVS_F16) {
        return cvi_whole_numbers(dtype, q->err);
    }
    CVI_TRY(cvi_exec_backward(q->exec, rule, &q->target_value, &q->seed, 1, &value, 1, q->err));
    CVI_TRY(cvi_exec_gradient(q->exec, value, out, q->err));
    one_sample(q, out);
    return CVS_OK;
}

cvs_status cvi_question_value(cvi_question *q, int value, cvs_tensor *out) {
    CVI_TRY(cvi_exec_value(q->exec, value, out, q->err));
    one_sample(q, out);
    return CVS_OK;
}

cvs_status cvi_question_layer(cvi_question *q, cvs_tensor *activation) {
    CVI_TRY(cvi_question_value(q, q->layer_value, activation));
    if (activation->rank != 4 || activation->dtype != CVS_F32) {
        char text[200];
        return cvi_fail(q->err, CVS_E_UNSUPPORTED,
                        "layer %.80s has the shape %s: feature maps [N,C,H,W] are needed; last-conv has them",
                        q->model->graph->values[q->layer_value].name,
                        cvs_shape_text(activation->rank, activation->dim, text, sizeof text));
    }
    return CVS_OK;
}

cvs_status cvi_question_maps(cvi_question *q, cvs_tensor *activation, cvs_tensor *gradient) {
    CVI_TRY(cvi_question_gradient(q, CVI_GRADIENT, q->layer_value, gradient));
    return cvi_question_layer(q, activation);
}

/* ---- the question ------------------------------------------------------------------------------------- */

static const char *signs(const cvi_question *q, const cvs_explanation *out) {
    bool kept = q->sign == CVI_SIGN_ALWAYS || out->kind != CVS_MAP_LAYER || q->options->signed_map;
    return q->sign == CVI_SIGN_NEVER ? "never negative" : kept ? "signed" : "negative parts removed";
}

/* What the numbers of the map are and how they become a picture: "map of 13 x 13 values, raw, signed; drawn enlarged bilinearly". */
static void map_words(const cvi_question *q, const cvs_explanation *out, char *buf, size_t size) {
    cvs_lang lang = q->options->lang;
    const cvs_tensor *t = &out->map;
    char shape[120];
    size_t at = 0;
    shape[0] = 0;
    for (int i = t->rank > 2 && t->dim[0] == 1 ? 1 : 0; i < t->rank; i++) {
        bool flat = out->kind != CVS_MAP_PIXELS && i + 2 < t->rank; /* one map: rows and columns */
        if (!flat && at < sizeof shape) {
            at += (size_t)snprintf(shape + at, sizeof shape - at, "%s%lld", at ? " x " : "",
                                   (long long)t->dim[i]);
        }
    }
    if (out->kind == CVS_MAP_GRID) {
        snprintf(buf, size,
                 cvi_tr(lang, "map of %s values, raw; drawn as what the target loses, enlarged "
                              "bilinearly"),
                 shape);
    } else if (out->kind == CVS_MAP_LAYER) {
        snprintf(buf, size,
                 cvi_tr(lang, "map of %s values, raw, %s; drawn enlarged bilinearly, half-pixel centres"),
                 shape, cvi_tr(lang, signs(q, out)));
    } else {
        snprintf(buf, size, cvi_tr(lang, "map of %s values, raw, %s; drawn with its channels added up"),
                 shape, cvi_tr(lang, signs(q, out)));
    }
}

static void write_caption(const cvi_question *q, const cvi_method *m, cvs_explanation *out) {
    cvs_lang lang = q->options->lang;
    bool zh = lang == CVS_ZH;
    char target[200], layer[200] = "", kind[80], settings[sizeof q->settings + 180] = "";
    char map[240];
    cvi_question_target_words(q, out, target, sizeof target);
    map_words(q, out, map, sizeof map);
    if (m->needs_layer) {
        snprintf(layer, sizeof layer, cvi_tr(lang, "; layer %s"), out->layer);
    }
    if (q->settings[0]) {
        snprintf(settings, sizeof settings, cvi_tr(lang, "; %s"), q->settings);
    }
    if (q->compat != CVI_OWN) {
        size_t at = strlen(settings);
        snprintf(settings + at, sizeof settings - at, cvi_tr(lang, "; arithmetic of %s"),
                 cvi_compat_title(q->compat));
    }
    if (out->has_completeness) {
        size_t at = strlen(settings);
        double error = out->completeness_error, of = fabs(out->completeness_of);
        if (of > 0.0) {
            snprintf(settings + at, sizeof settings - at,
                     cvi_tr(lang, "; completeness error %.2g of %.4g (%.2g %%)"), error, out->completeness_of,
                     100.0 * fabs(error) / of);
        } else {
            snprintf(settings + at, sizeof settings - at, cvi_tr(lang, "; completeness error %.2g of 0"),
                     error);
        }
    }
    snprintf(kind, sizeof kind, "%s",
             cvi_tr(lang, out->probability  ? "probability"
                          : q->box.of_layer ? "value"
                                            : "logit"));
    snprintf(out->caption, sizeof out->caption, cvi_tr(lang, "%s of %s, %s %.4g%s%s; %s; Convscope %s. %s"),
             zh ? m->title_zh : m->title_en, target, kind, out->target_value, layer, settings, map,
             CVS_VERSION, zh ? m->caveat_zh : m->caveat_en);
}

/* Marks what the target is made of, itself included: before [n_values]. */
static void mark_before(const cvi_question *q, bool *before) {
    const cvi_graph *g = q->model->graph;
    before[q->target_value] = true;
    for (int n = g->n_nodes - 1; n >= 0; n--) {
        const cvi_node *node = &g->nodes[n];
        bool needed = false;
        for (int k = 0; k < node->n_out; k++) {
            needed = needed || (node->out[k] >= 0 && before[node->out[k]]);
        }
        for (int k = 0; k < node->n_in && needed; k++) {
            if (node->in[k] >= 0) {
                before[node->in[k]] = true;
            }
        }
    }
}

/* The layer asked for, which the target must depend on; unless named, the last convolution before the target. */
static cvs_status ask_layer(cvi_question *q) {
    const cvi_graph *g = q->model->graph;
    bool *before = cvi_calloc((size_t)CVI_MAX(g->n_values, 1), sizeof *before);
    if (!before) {
        return cvi_no_memory(q->err, (size_t)g->n_values * sizeof *before);
    }
    mark_before(q, before);
    cvs_status s = CVS_OK;
    bool any = !q->options->layer || strcmp(q->options->layer, "last-conv") == 0;
    for (int n = g->n_nodes - 1; n >= 0 && any && q->layer_value < 0; n--) {
        const cvi_node *node = &g->nodes[n];
        int v = node->n_out > 0 ? node->out[0] : -1;
        bool conv = node->def && (node->def->flags & CVI_OP_CONV) && v >= 0 && before[v];
        q->layer_value = conv && !(q->box.of_layer && v == q->target_value) ? v : -1;
    }
    if (!any) {
        s = cvi_ops_find_layer(g, q->options->layer, &q->layer_value, q->err);
    } else if (q->layer_value < 0) {
        s = cvi_fail(q->err, CVS_E_NOT_FOUND,
                     "there is no convolution before the target, so there is no last-conv; gradient and the "
                     "other methods of pixels need no layer");
    }
    if (s == CVS_OK && !before[q->layer_value]) {
        s = cvi_fail(q->err, CVS_E_ARGUMENT,
                     "the target does not depend on layer %.80s: a layer before %.80s is needed",
                     g->values[q->layer_value].name, g->values[q->target_value].name);
    }
    cvi_free(before);
    return s;
}

static cvs_status ask(cvi_question *q, const cvi_method *m, cvs_explanation *out) {
    const cvi_graph *g = q->model->graph;
    if (g->n_inputs < 1) {
        return cvi_fail(q->err, CVS_E_UNSUPPORTED, "the model has no input");
    }
    q->input_value = g->inputs[0];
    q->layer_value = -1;
    CVI_TRY(cvi_question_ask_target(q, out));
    if (m->needs_layer) {
        CVI_TRY(ask_layer(q));
        snprintf(out->layer, sizeof out->layer, "%.120s", g->values[q->layer_value].name);
    }
    out->kind = m->kind;
    snprintf(out->method, sizeof out->method, "%s", m->name);
    q->sign = m->sign;
    out->channels_last = g->values[q->input_value].file_layout == CVI_FILE_LAST;
    CVI_TRY(m->run(q, out));
    if (out->kind == CVS_MAP_PIXELS) {
        cvi_as_input(q->model, &out->map);
    }
    cvi_remark(q, out);
    write_caption(q, m, out);
    return CVS_OK;
}

cvs_status cvs_explain(cvs_run *run, const cvs_explain_options *options, cvs_explanation *out,
                       cvs_error *err) {
    int number = 0;
    *out = (cvs_explanation){0};
    CVI_TRY(cvs_method_find(options->method, &number, err));
    const cvi_method *m = cvi_methods[number];
    cvs_explain_options own = *options;
    cvi_compat compat;
    CVI_TRY(cvi_compat_find(options->compat, m, &compat, err));
    own.target.probability = own.target.probability || compat == CVI_DLWP; /* the book explains those */
    cvi_question q = {.model = run->model,
                      .sample = options->sample,
                      .options = &own,
                      .compat = compat,
                      .run = run,
                      .err = err};
    bool owned;
    CVI_TRY(cvi_exec_of_sample(run, &q.sample, &q.exec, &owned, err));
    cvs_status s = ask(&q, m, out);
    if (owned) {
        cvi_exec_free(q.exec);
    }
    cvs_tensor_free(&q.seed);
    if (s != CVS_OK) {
        cvs_explanation_free(out);
    }
    return s;
}

void cvs_explanation_free(cvs_explanation *e) {
    if (e) {
        cvs_tensor_free(&e->map);
        cvs_tensor_free(&e->classes);
        cvs_tensor_free(&e->activation);
        cvi_free(e->votes);
        *e = (cvs_explanation){0};
    }
}

cvs_status cvs_explanation_file(const cvs_explanation *e, const char *layout, cvs_tensor *out,
                                cvs_error *err) {
    bool last = e->channels_last;
    if (layout) {
        if (strcmp(layout, "nchw") != 0 && strcmp(layout, "nhwc") != 0) {
            return cvi_fail(err, CVS_E_ARGUMENT, "layout is \"%.40s\", nchw or nhwc expected", layout);
        }
        last = strcmp(layout, "nhwc") == 0;
    }
    int perm[CVS_MAX_RANK];
    for (int i = 0; i < e->map.rank; i++) {
        perm[i] = i;
    }
    if (e->kind == CVS_MAP_PIXELS && last && e->map.rank >= 3) {
        for (int i = 1; i < e->map.rank; i++) {
            perm[i] = i + 1 < e->map.rank ? i + 1 : 1;
        }
    }
    CVI_TRY(cvs_tensor_permute(&e->map, perm, out, err));
    if (e->kind != CVS_MAP_PIXELS && out->rank == 4) { /* one map: rows and columns */
        out->dim[0] = out->dim[2];
        out->dim[1] = out->dim[3];
        out->rank = 2;
    }
    return CVS_OK;
}

/* SPDX-License-Identifier: MIT
 * summary.c - what a model is made of, with numbers: shapes, parameters, arithmetic, memory and receptive field of every
 * layer, from a plan; nothing is run.
 */
#include <math.h>

#include "engine/cost.h"
#include "engine/field.h"
#include "engine/groups.h"
#include "engine/live.h"
#include "engine/plan.h"
#include "engine/run_state.h"
#include "engine/settings.h"

enum { TITLE_BYTES = 96 };

typedef struct survey {
    const cvi_graph *g;
    cvi_exec *x;
    cvi_groups groups;
    cvi_field *field;
    bool *counted; /* per value: its parameters are in the sums */
    bool *outputs; /* per value: the graph gives it out */
    cvs_lang lang;
    cvs_summary *out;
    char *titles;
} survey;

static void add_to(int64_t *sum, int64_t v) {
    if (!cvi_add(*sum, v, sum)) {
        *sum = INT64_MAX;
    }
}

static void count_node(survey *s, int n) {
    int l = s->groups.of_node[n];
    cvi_node_numbers c = cvi_node_count(s->x, n, s->counted);
    s->out->n_unknown += !s->g->nodes[n].def;
    s->out->params += c.params;
    s->out->params_trainable += c.trainable;
    s->out->weight_bytes += c.weight_bytes;
    add_to(&s->out->macs, c.macs);
    add_to(&s->out->flops, c.flops);
    if (l >= 0) {
        s->out->layers[l].params += c.params;
        add_to(&s->out->layers[l].macs, c.macs);
        add_to(&s->out->layers[l].flops, c.flops);
    }
}

/* ---- one layer ---------------------------------------------------------------------------------------- */

static const char *title_of(const survey *s, const cvi_node *node) {
    if (!node->def) {
        return cvi_tr(s->lang, "Unknown operator");
    }
    return s->lang == CVS_ZH ? node->def->text.title_zh : node->def->text.title_en;
}

/* "Convolution", or "Convolution + ReLU" where a layer of the file is several nodes. */
static const char *layer_title(survey *s, int l, int main, int own) {
    char *title = s->titles + (size_t)l * TITLE_BYTES;
    const cvi_node *last = &s->g->nodes[own];
    bool joined = main != own && last->def && last->def->glyph != CVI_GLYPH_SHAPE &&
                  last->def->glyph != CVI_GLYPH_ADD && !(last->def->flags & CVI_OP_IDENTITY);
    char text[TITLE_BYTES * 2];
    snprintf(text, sizeof text, joined ? "%s + %s" : "%s", title_of(s, &s->g->nodes[main]),
             title_of(s, last));
    cvi_copy_text(title, TITLE_BYTES, text);
    return title;
}

static void fill_shape(const survey *s, int v, cvs_layer *out) {
    const cvi_value *value = &s->g->values[v];
    const cvi_slot *slot = &s->x->slots[v];
    int64_t bytes = 0;
    out->known = slot->known;
    out->dtype = slot->known ? slot->shape.dtype : value->dtype;
    out->rank = slot->known ? slot->shape.rank : value->rank;
    memcpy(out->dim, slot->known ? slot->shape.dim : value->dim, sizeof out->dim);
    if (slot->known && cvi_form_bytes(&slot->shape, CVS_PLAIN, &bytes)) {
        out->bytes = bytes;
    }
}

static void fill_field(const survey *s, int v, cvs_layer *out) {
    const cvi_field *f = &s->field[v];
    out->has_field = f->known;
    for (int a = 0; a < 2 && f->known; a++) {
        double size = f->high[a] - f->low[a] + 1;
        out->field[a] = size < 9e15 ? (int64_t)ceil(size - 1e-9) : INT64_MAX;
        out->jump[a] = f->jump[a] < 9e15 ? (int64_t)rint(f->jump[a]) : INT64_MAX;
        out->start[a] = (f->low[a] + f->high[a]) / 2;
    }
}

static void fill_texts(const survey *s, const cvi_node *main, cvs_layer *out) {
    const cvi_op *op = main->def;
    bool zh = s->lang == CVS_ZH;
    out->sentence =
        op ? (zh ? op->text.sentence_zh : op->text.sentence_en)
           : cvi_tr(s->lang,
                    "This program does not know the operator; the model opens, but a run stops here.");
    out->reading = op ? (zh ? op->text.reading_zh : op->text.reading_en) : "";
    out->formula = op ? op->text.formula : "";
    out->sentence = out->sentence ? out->sentence : "";
    out->reading = out->reading ? out->reading : "";
    out->formula = out->formula ? out->formula : "";
    out->note = main->note;
    out->glyph = op ? (int)op->glyph : CVI_GLYPH_UNKNOWN;
}

static void fill_layer(survey *s, int l) {
    int v = s->groups.value[l], own = s->g->values[v].producer;
    const cvi_node *main = &s->g->nodes[s->groups.main[l]];
    const cvi_op *op = main->def;
    cvs_layer *out = &s->out->layers[l];
    cvi_opctx ctx;
    out->index = l;
    out->name = s->g->values[v].name;
    out->node = main->name;
    out->op = main->op;
    out->title = layer_title(s, l, s->groups.main[l], own);
    fill_shape(s, v, out);
    fill_field(s, v, out);
    fill_texts(s, main, out);
    out->is_conv = op && (op->flags & CVI_OP_CONV);
    out->is_pool = op && (op->flags & CVI_OP_POOL);
    out->is_dense = op && op->glyph == CVI_GLYPH_DENSE;
    out->has_filters = out->is_conv || (out->is_dense && out->params > 0);
    out->runnable = op && (op->forward || op->fast);
    out->is_output = s->outputs[v];
    if (op && cvi_exec_opctx(s->x, s->groups.main[l], &ctx, NULL) == CVS_OK) {
        cvi_settings_text(s->g, &ctx, s->lang, out->settings, sizeof out->settings);
    } else {
        cvi_settings_unplaced(s->g, main, s->lang, out->settings, sizeof out->settings);
    }
    add_to(&s->out->activation_bytes, out->bytes);
}

/* ---- all ---------------------------------------------------------------------------------------------- */

static cvs_status make_survey(survey *s, cvs_error *err) {
    size_t values = (size_t)CVI_MAX(s->g->n_values, 1);
    CVI_TRY(cvi_groups_make(s->g, &s->groups, err));
    int n = s->groups.n_layers;
    s->field = cvi_calloc(values, sizeof *s->field);
    s->counted = cvi_calloc(values, sizeof *s->counted);
    s->outputs = cvi_calloc(values, sizeof *s->outputs);
    s->out->layers = cvi_calloc((size_t)CVI_MAX(n, 1), sizeof *s->out->layers + TITLE_BYTES);
    if (!s->field || !s->counted || !s->outputs || !s->out->layers) {
        return cvi_no_memory(err, values * sizeof *s->field);
    }
    s->titles = (char *)(s->out->layers + n); /* in the same piece, so that one free frees all */
    s->out->n_layers = n;
    for (int i = 0; i < s->g->n_outputs; i++) {
        s->outputs[s->g->outputs[i]] = true;
    }
    return CVS_OK;
}

/* Memory alive at each layer, from the sizes of layers and inputs. */
static cvs_status survey_memory(survey *s, cvs_error *err) {
    int n = s->g->n_inputs;
    int64_t *bytes = cvi_calloc((size_t)CVI_MAX(n, 1), sizeof *bytes);
    if (!bytes) {
        return cvi_no_memory(err, sizeof *bytes);
    }
    for (int i = 0; i < n; i++) {
        const cvi_slot *slot = &s->x->slots[s->g->inputs[i]];
        if (!slot->known || !cvi_form_bytes(&slot->shape, CVS_PLAIN, &bytes[i])) {
            bytes[i] = 0;
        }
    }
    cvs_status status = cvi_live_bytes(s->g, &s->groups, bytes, s->out, err);
    cvi_free(bytes);
    return status;
}

static void survey_model(survey *s) {
    cvi_fields(s->x, s->field);
    for (int n = 0; n < s->g->n_nodes; n++) {
        count_node(s, n);
    }
    for (int l = 0; l < s->groups.n_layers; l++) {
        fill_layer(s, l);
    }
    s->out->peak_bytes = cvi_exec_bytes(s->x);
    if (s->g->n_inputs > 0) {
        const cvs_tensor *t = &s->x->slots[s->g->inputs[0]].shape;
        char text[200] = "?";
        cvi_copy_text(s->out->input, sizeof s->out->input,
                      t->dtype == CVS_NONE ? text : cvs_shape_text(t->rank, t->dim, text, sizeof text));
    }
}

cvs_status cvs_model_summarize(const cvs_model *model, const cvs_run_options *options, cvs_lang lang,
                               cvs_summary *out, cvs_error *err) {
    survey s = {.g = model->graph, .lang = lang, .out = out};
    *out = (cvs_summary){0};
    cvs_status status = cvi_exec_default(model, options, &s.x, err);
    if (status == CVS_OK) {
        status = make_survey(&s, err);
    }
    if (status == CVS_OK) {
        survey_model(&s);
        status = survey_memory(&s, err);
    }
    cvi_exec_free(s.x);
    cvi_groups_free(&s.groups);
    cvi_free(s.field);
    cvi_free(s.counted);
    cvi_free(s.outputs);
    if (status != CVS_OK) {
        cvs_summary_free(out);
    }
    return status;
}

void cvs_summary_free(cvs_summary *s) {
    if (s) {
        cvi_free(s->layers);
        *s = (cvs_summary){0};
    }
}

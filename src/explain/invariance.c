/* SPDX-License-Identifier: MIT
 * invariance.c - how far a low and a high layer move, and what becomes of the answer, when the picture is moved, scaled and turned
 * (Zeiler and Fergus 2014, figure 5). The network's input itself is resampled, so that nothing is cut or resized twice.
 */
#include <math.h>

#include "engine/run_state.h"
#include "explain/ends.h"
#include "explain/method.h"

enum { USUAL_STEPS = 25, MOST_STEPS = 1000, MOST_CLASSES = 100000 };

typedef struct trial {
    const cvs_invariance_options *o;
    cvs_invariance *out;
    cvs_run *run;
    cvs_tensor plain, shown; /* the network's input and its picture, unchanged; owned */
    int layer[2];
    float *base[2]; /* the layers of the unchanged picture; owned */
    int64_t count[2];
    cvs_score *scores; /* room for all classes; owned */
    cvs_error *err;
} trial;

void cvs_invariance_free(cvs_invariance *v) {
    for (int c = 0; v && c < CVS_CHANGES; c++) {
        cvi_free(v->amount[c]);
        cvi_free(v->distance[c][0]);
        cvi_free(v->distance[c][1]);
        cvi_free(v->probability[c]);
        for (int i = 0; i < CVS_CHANGE_SAMPLES; i++) {
            cvs_tensor_free(&v->sample[c][i]);
        }
    }
    if (v) {
        *v = (cvs_invariance){0};
    }
}

/* ---- which layers, shared with correspond.c ---------------------------------------------------------------------- */

cvs_status cvi_low_layer(const cvs_model *model, int *layer, cvs_error *err) {
    const cvi_graph *g = model->graph;
    for (int i = 0; i < cvi_graph_n_layers(g); i++) {
        int v = cvi_graph_layer(g, i), maker = g->values[v].producer;
        if (maker >= 0 && g->nodes[maker].def && (g->nodes[maker].def->flags & CVI_OP_CONV)) {
            *layer = i;
            return CVS_OK;
        }
    }
    return cvi_fail(err, CVS_E_NOT_FOUND, "the model has no layer with kernels");
}

cvs_status cvi_high_layer(const cvs_model *model, int *layer, cvs_error *err) {
    const cvi_graph *g = model->graph;
    cvs_logit_kind kind;
    int v = g->n_outputs > 0 ? cvi_graph_logit(g, 0, &kind) : -1;
    int maker = v >= 0 ? g->values[v].producer : -1;
    v = maker >= 0 && g->nodes[maker].n_in > 0 ? g->nodes[maker].in[0] : -1;
    for (int hops = 0; v >= 0 && hops < 64; hops++) {
        for (int i = 0; i < cvi_graph_n_layers(g); i++) {
            if (cvi_graph_layer(g, i) == v) {
                *layer = i;
                return CVS_OK;
            }
        }
        maker = g->values[v].producer;
        v = maker >= 0 && g->nodes[maker].n_in > 0 ? g->nodes[maker].in[0] : -1;
    }
    return cvi_fail(err, CVS_E_NOT_FOUND, "no layer lies before the model's logits");
}

/* ---- one look ------------------------------------------------------------------------------------------------------ */

typedef struct affine {
    double m[4], down; /* source = m * (row, column from the middle) - (down, 0) */
} affine;

static affine change_of(cvs_change change, double amount) {
    double angle = amount * 3.14159265358979323846 / 180;
    switch (change) {
    case CVS_CHANGE_MOVE:
        return (affine){.m = {1, 0, 0, 1}, .down = amount};
    case CVS_CHANGE_SCALE:
        return (affine){.m = {1 / amount, 0, 0, 1 / amount}};
    case CVS_CHANGE_TURN:
        break;
    }
    return (affine){.m = {cos(angle), sin(angle), -sin(angle), cos(angle)}};
}

/* One channel, bilinear; `fill` beyond the border. step: numbers from pixel to pixel. */
static double sample(const affine *a, const float *v, int64_t h, int64_t w, int64_t i, double fill) {
    double r = (double)(i / w) - (double)(h - 1) / 2, c = (double)(i % w) - (double)(w - 1) / 2;
    double y = a->m[0] * r + a->m[1] * c - a->down + (double)(h - 1) / 2;
    double x = a->m[2] * r + a->m[3] * c + (double)(w - 1) / 2, sum = 0;
    int64_t y0 = (int64_t)floor(y), x0 = (int64_t)floor(x);
    for (int k = 0; k < 4; k++) {
        int64_t row = y0 + k / 2, column = x0 + k % 2;
        double weight =
            (k / 2 ? y - floor(y) : 1 - (y - floor(y))) * (k % 2 ? x - floor(x) : 1 - (x - floor(x)));
        bool in = row >= 0 && column >= 0 && row < h && column < w;
        sum += weight * (in ? (double)v[row * w + column] : fill);
    }
    return sum;
}

static double mean_of(const float *v, int64_t n) {
    double sum = 0;
    for (int64_t i = 0; i < n; i++) {
        sum += (double)v[i];
    }
    return sum / (double)n;
}

static void apply(const trial *t, const affine *a, cvs_tensor *out) {
    int64_t h = t->plain.dim[2], w = t->plain.dim[3];
    for (int64_t c = 0; c < t->plain.dim[1]; c++) {
        const float *v = (const float *)t->plain.data + c * h * w;
        double fill = mean_of(v, h * w);
        for (int64_t i = 0; i < h * w; i++) {
            ((float *)out->data)[c * h * w + i] = (float)sample(a, v, h, w, i, fill);
        }
    }
}

/* The same for the eye. */
static cvs_status keep_sample(trial *t, const affine *a, cvs_tensor *out) {
    int64_t h = t->shown.dim[0], w = t->shown.dim[1];
    float *plane = cvi_malloc((size_t)(h * w) * sizeof *plane);
    cvs_status s = plane ? cvs_tensor_new(out, CVS_U8, 3, t->shown.dim, t->err)
                         : cvi_no_memory(t->err, (size_t)(h * w) * sizeof *plane);
    for (int c = 0; c < 3 && s == CVS_OK; c++) {
        for (int64_t i = 0; i < h * w; i++) {
            plane[i] = (float)((const uint8_t *)t->shown.data)[3 * i + c];
        }
        double fill = mean_of(plane, h * w);
        for (int64_t i = 0; i < h * w; i++) {
            ((uint8_t *)out->data)[3 * i + c] =
                (uint8_t)lrint(fmin(fmax(sample(a, plane, h, w, i, fill), 0), 255));
        }
    }
    cvi_free(plane);
    return s;
}

static cvs_status probability_of(trial *t, double *out) {
    cvs_logit_kind kind;
    int n = 0;
    CVI_TRY(cvs_run_top(t->run, 0, MOST_CLASSES, t->scores, &n, &kind, t->err));
    for (int i = 0; i < n; i++) {
        if (t->out->target < 0) { /* of the unchanged picture */
            t->out->target = t->scores[0].index;
        }
        if (t->scores[i].index == t->out->target) {
            cvi_copy_text(t->out->target_name, sizeof t->out->target_name, t->scores[i].name);
            *out = t->scores[i].probability;
            return CVS_OK;
        }
    }
    return cvi_fail(t->err, CVS_E_NOT_FOUND, "there is no class %lld, the model has %lld, counted from 0",
                    (long long)t->out->target, (long long)n);
}

static cvs_status distance_of(trial *t, int which, double *out) {
    cvs_tensor v;
    double sum = 0;
    CVI_TRY(cvs_run_layer(t->run, t->layer[which], &v, t->err));
    for (int64_t i = 0; i < t->count[which]; i++) {
        double off = (double)((const float *)v.data)[i] - (double)t->base[which][i];
        sum += off * off;
    }
    *out = sqrt(sum);
    return CVS_OK;
}

/* ---- all of them ---------------------------------------------------------------------------------------------------- */

static double amount_of(const trial *t, cvs_change change, int i) {
    double share = (double)i / (double)(t->out->steps - 1);
    double reach = rint((double)t->plain.dim[2] * 60 / 224);
    return change == CVS_CHANGE_MOVE    ? -reach + 2 * reach * share
           : change == CVS_CHANGE_SCALE ? 1 + 0.8 * share
                                        : 360 * share;
}

static cvs_status follow(trial *t, cvs_change change) {
    cvs_tensor x = {0};
    CVI_TRY(cvs_tensor_new(&x, CVS_F32, t->plain.rank, t->plain.dim, t->err));
    cvs_status s = CVS_OK;
    for (int i = 0, kept = 0; i < t->out->steps && s == CVS_OK; i++) {
        double amount = amount_of(t, change, i);
        affine a = change_of(change, amount);
        t->out->amount[change][i] = amount;
        apply(t, &a, &x);
        cvs_tensor input = x;
        cvi_as_input(t->run->model, &input);
        s = cvs_run_tensors(t->run, &input, 1, t->err);
        s = s == CVS_OK ? distance_of(t, 0, &t->out->distance[change][0][i]) : s;
        s = s == CVS_OK ? distance_of(t, 1, &t->out->distance[change][1][i]) : s;
        s = s == CVS_OK ? probability_of(t, &t->out->probability[change][i]) : s;
        if (s == CVS_OK && i == kept * (t->out->steps - 1) / (CVS_CHANGE_SAMPLES - 1) &&
            kept < CVS_CHANGE_SAMPLES) {
            s = keep_sample(t, &a, &t->out->sample[change][kept++]);
        }
        double done = ((double)change + (double)(i + 1) / t->out->steps) / CVS_CHANGES;
        if (s == CVS_OK && t->o->progress &&
            !t->o->progress(t->o->progress_context, t->out->layer[1], done)) {
            s = cvi_fail(t->err, CVS_E_CANCELLED, "cancelled");
        }
    }
    cvs_tensor_free(&x);
    return s;
}

static cvs_status keep_base(trial *t, int which) {
    cvs_tensor v;
    const cvi_graph *g = t->run->model->graph;
    CVI_TRY(cvs_run_layer(t->run, t->layer[which], &v, t->err));
    cvi_copy_text(t->out->layer[which], sizeof t->out->layer[which],
                  g->values[cvi_graph_layer(g, t->layer[which])].name);
    t->count[which] = cvs_tensor_count(&v);
    if (v.dtype != CVS_F32 || t->count[which] < 1) {
        return cvi_fail(t->err, CVS_E_UNSUPPORTED, "layer %.80s has no numbers of float32 to compare",
                        t->out->layer[which]);
    }
    t->base[which] = cvi_malloc(v.bytes);
    if (!t->base[which]) {
        return cvi_no_memory(t->err, v.bytes);
    }
    memcpy(t->base[which], v.data, v.bytes);
    double sum = 0;
    for (int64_t i = 0; i < t->count[which]; i++) {
        sum += (double)t->base[which][i] * (double)t->base[which][i];
    }
    t->out->size[which] = sqrt(sum);
    return CVS_OK;
}

static cvs_status prepare(trial *t, const cvs_model *model, const cvs_run_options *run_options,
                          const cvs_tensor *picture) {
    cvs_tensor x;
    double now;
    CVI_TRY(t->o->first ? cvs_model_find_layer(model, t->o->first, &t->layer[0], t->err)
                        : cvi_low_layer(model, &t->layer[0], t->err));
    CVI_TRY(t->o->last ? cvs_model_find_layer(model, t->o->last, &t->layer[1], t->err)
                       : cvi_high_layer(model, &t->layer[1], t->err));
    CVI_TRY(cvs_run_new(model, run_options, &t->run, t->err));
    CVI_TRY(cvs_run_image(t->run, picture, &t->shown, t->err));
    CVI_TRY(cvs_run_input(t->run, 0, &x, t->err));
    cvi_as_picture(&x);
    if (x.rank != 4 || x.dtype != CVS_F32 || x.dim[0] != 1 || model->graph->n_inputs != 1) {
        return cvi_fail(t->err, CVS_E_UNSUPPORTED,
                        "this needs a model that takes one picture, float32 [1,C,H,W] or [1,H,W]");
    }
    x.owned = false;
    CVI_TRY(cvs_tensor_convert(&x, CVS_F32, &t->plain, t->err));
    CVI_TRY(keep_base(t, 0));
    CVI_TRY(keep_base(t, 1));
    t->scores = cvi_calloc(MOST_CLASSES, sizeof *t->scores);
    for (int c = 0; c < CVS_CHANGES; c++) {
        t->out->amount[c] = cvi_calloc((size_t)t->out->steps, sizeof(double));
        t->out->distance[c][0] = cvi_calloc((size_t)t->out->steps, sizeof(double));
        t->out->distance[c][1] = cvi_calloc((size_t)t->out->steps, sizeof(double));
        t->out->probability[c] = cvi_calloc((size_t)t->out->steps, sizeof(double));
        if (!t->scores || !t->out->amount[c] || !t->out->distance[c][0] || !t->out->distance[c][1] ||
            !t->out->probability[c]) {
            return cvi_no_memory(t->err, (size_t)t->out->steps * sizeof(double));
        }
    }
    return probability_of(t, &now);
}

cvs_status cvs_measure_invariance(const cvs_model *model, const cvs_run_options *run_options,
                                  const cvs_tensor *picture, const cvs_invariance_options *options,
                                  cvs_invariance *out, cvs_error *err) {
    trial t = {.o = options, .out = out, .err = err};
    *out = (cvs_invariance){.target = options->target,
                            .steps = options->steps > 0 ? options->steps : USUAL_STEPS};
    if (out->steps < 2 || out->steps > MOST_STEPS) {
        return cvi_fail(err, CVS_E_ARGUMENT, "%lld steps are not possible, 1 to %lld are",
                        (long long)out->steps, (long long)MOST_STEPS);
    }
    cvs_status s = prepare(&t, model, run_options, picture);
    for (int c = 0; c < CVS_CHANGES && s == CVS_OK; c++) {
        s = follow(&t, (cvs_change)c);
    }
    cvs_tensor_free(&t.plain);
    cvs_tensor_free(&t.shown);
    cvi_free(t.base[0]);
    cvi_free(t.base[1]);
    cvi_free(t.scores);
    cvs_run_free(t.run);
    if (s != CVS_OK) {
        cvs_invariance_free(out);
        return s;
    }
    char number[24], who[160];
    snprintf(number, sizeof number, "%d", out->target);
    snprintf(who, sizeof who, out->target_name[0] ? "%s (%s)" : "%s%s", out->target_name, number);
    if (!out->target_name[0]) { /* a class without a name goes by its number */
        cvi_copy_text(out->target_name, sizeof out->target_name, number);
    }
    snprintf(out->caption, sizeof out->caption,
             cvi_tr(options->lang,
                    "Euclidean distance of layers %s and %s from those of the unchanged picture, and the "
                    "probability of class %s. Beyond the border: the picture's mean "
                    "colour. After Zeiler and Fergus 2014, figure 5; Convscope %s."),
             out->layer[0], out->layer[1], who, CVS_VERSION);
    return CVS_OK;
}

/* SPDX-License-Identifier: MIT
 * evolution.c - the snapshots of a run, and what one convolution was like in each of them: kernels, maps of a picture, Grad-CAM, the strongest units
 * projected to the pixels. Every number is of the snapshot's own weights, over the same pictures.
 */
#include "convscope/evolution.h"

#include <math.h>

#include "base/base.h"
#include "convscope/run.h"
#include "train/snapshots.h"

enum { MOST_EPOCHS = 32, MOST_LAYERS = 256, USUAL_CHANNELS = 12, MOST_CHANNELS = 512, SCORES = 100000 };

struct cvs_evolution {
    int n;
    cvi_snapshot list[MOST_EPOCHS];
    int n_layers;
    char layers[MOST_LAYERS][128], units[MOST_LAYERS][128];
    char data[1024];
    cvs_limits limits;
};

/* ---- opening -------------------------------------------------------------------------------------------- */

/* Convolutions with weights; their maps are looked at behind the normalisation and activation function that follow. */
static cvs_status find_layers(cvs_evolution *e, cvs_error *err) {
    enum { NORM = 3, ACTIVATION = 4 }; /* glyphs, draw.h */
    cvs_model *model = NULL;
    cvs_summary sum;
    cvs_open_options open = {.limits = e->limits};
    CVI_TRY(cvs_model_open(e->list[e->n - 1].path, &open, &model, err));
    cvs_status s = cvs_model_summarize(model, NULL, CVS_EN, &sum, err);
    for (int i = 0; s == CVS_OK && i < sum.n_layers && e->n_layers < MOST_LAYERS; i++) {
        if (!sum.layers[i].is_conv || !sum.layers[i].has_filters || sum.layers[i].rank != 4) {
            continue;
        }
        int unit = i;
        while (unit + 1 < sum.n_layers && sum.layers[unit].glyph != ACTIVATION &&
               (sum.layers[unit + 1].glyph == NORM || sum.layers[unit + 1].glyph == ACTIVATION)) {
            unit++;
        }
        cvi_copy_text(e->layers[e->n_layers], sizeof e->layers[0], sum.layers[i].name);
        cvi_copy_text(e->units[e->n_layers++], sizeof e->units[0], sum.layers[unit].name);
    }
    if (s == CVS_OK) {
        cvs_summary_free(&sum);
    }
    cvs_model_free(model);
    return s == CVS_OK && e->n_layers == 0
               ? cvi_fail(err, CVS_E_UNSUPPORTED, "this network has no convolution to look at")
               : s;
}

static void read_data_name(cvs_evolution *e, const char *run) {
    char *path = cvi_path_join(run, "history.json");
    cvi_file file = {0};
    json_t *root = NULL;
    if (path && cvi_is_file(path) && cvi_file_read(path, &e->limits, &file, NULL) == CVS_OK &&
        cvi_json_parse((const char *)file.data, file.size, &root, NULL) == CVS_OK) {
        cvi_copy_text(e->data, sizeof e->data,
                      cvi_json_string(json_object_get(root, "settings"), "data", ""));
    }
    json_decref(root);
    cvi_file_close(&file);
    cvi_free(path);
}

cvs_status cvs_evolution_open(const char *run, const cvs_limits *limits, cvs_evolution **out,
                              cvs_error *err) {
    *out = NULL;
    cvs_evolution *e = cvi_calloc(1, sizeof *e);
    if (!e) {
        return cvi_no_memory(err, sizeof *e);
    }
    e->limits = cvs_limits_default(limits);
    cvs_status s = cvi_snapshots_find(run, MOST_EPOCHS, e->list, &e->n, err);
    s = s == CVS_OK ? find_layers(e, err) : s;
    if (s != CVS_OK) {
        cvs_evolution_free(e);
        return s;
    }
    read_data_name(e, run);
    *out = e;
    return CVS_OK;
}

void cvs_evolution_free(cvs_evolution *e) {
    for (int i = 0; e && i < e->n; i++) {
        cvi_free(e->list[i].path);
    }
    cvi_free(e);
}

int cvs_evolution_count(const cvs_evolution *e) {
    return e->n;
}

int cvs_evolution_epoch(const cvs_evolution *e, int i) {
    return e->list[i].epoch;
}

const char *cvs_evolution_path(const cvs_evolution *e, int i) {
    return e->list[i].path;
}

const char *cvs_evolution_layer_name(const cvs_evolution *e, int layer) {
    return layer >= 0 && layer < e->n_layers ? e->layers[layer] : NULL;
}

const char *cvs_evolution_data(const cvs_evolution *e) {
    return e->data;
}

/* ---- looking -------------------------------------------------------------------------------------------- */

typedef struct look {
    const cvs_evolution *e;
    const cvs_evolution_want *want;
    cvs_evolution_layer *out;
    int layer, at;    /* at: the snapshot */
    cvs_tensor last;  /* the whole kernel of the last snapshot */
    cvs_model *model; /* of the snapshot */
    cvs_error *err;
} look;

static cvs_evolution_cell *cell(const look *l, int i) {
    return &l->out->cells[(int64_t)l->at * l->out->n_channels + i];
}

static cvs_status copy_part(const float *from, int rank, const int64_t *dim, cvs_tensor *out,
                            cvs_error *err) {
    CVI_TRY(cvs_tensor_new(out, CVS_F32, rank, dim, err));
    memcpy(out->data, from, out->bytes);
    return CVS_OK;
}

/* The input channel whose slices are largest in the last snapshot: the same one for all epochs. */
static int64_t strongest_input(const cvs_tensor *k) {
    int64_t best = 0, area = k->dim[2] * k->dim[3];
    double most = -1;
    for (int64_t c = 0; c < k->dim[1]; c++) {
        double sum = 0;
        for (int64_t o = 0; o < k->dim[0]; o++) {
            const float *v = (const float *)k->data + (o * k->dim[1] + c) * area;
            for (int64_t i = 0; i < area; i++) {
                sum += (double)v[i] * (double)v[i];
            }
        }
        best = sum > most ? c : best;
        most = fmax(most, sum);
    }
    return best;
}

static double cosine(const float *a, const float *b, int64_t n) {
    double ab = 0, aa = 0, bb = 0;
    for (int64_t i = 0; i < n; i++) {
        ab += (double)a[i] * (double)b[i];
        aa += (double)a[i] * (double)a[i];
        bb += (double)b[i] * (double)b[i];
    }
    return aa > 0 && bb > 0 ? ab / sqrt(aa * bb) : 0;
}

static cvs_status make_room(look *l, int64_t channels) {
    cvs_evolution_layer *out = l->out;
    int64_t wanted = l->want->channels > 0 ? l->want->channels : USUAL_CHANNELS;
    out->n_epochs = l->e->n;
    out->n_channels = (int)CVI_MIN(CVI_MIN(wanted, channels), (int64_t)MOST_CHANNELS);
    size_t n = (size_t)out->n_epochs, c = (size_t)CVI_MAX(out->n_channels, 1);
    out->channels = cvi_calloc(c, sizeof *out->channels);
    out->cells = cvi_calloc(n * c, sizeof *out->cells);
    out->why = cvi_calloc(n, sizeof *out->why);
    out->probability = cvi_calloc(n, sizeof *out->probability);
    if (!out->channels || !out->cells || !out->why || !out->probability) {
        return cvi_no_memory(l->err, n * c * sizeof *out->cells);
    }
    for (int i = 0; i < out->n_channels; i++) {
        out->channels[i] = i * channels / out->n_channels;
    }
    return CVS_OK;
}

/* The kernels of the snapshot; the last one comes first and decides the shapes. */
static cvs_status look_at_kernels(look *l) {
    cvs_tensor kernel = {0}, bias = {0};
    int index;
    CVI_TRY(cvs_model_find_layer(l->model, l->e->layers[l->layer], &index, l->err));
    cvs_status s = cvs_model_filters(l->model, index, &kernel, &bias, l->err);
    if (s == CVS_OK && (kernel.rank != 4 || kernel.dtype != CVS_F32)) {
        s = cvi_fail(l->err, CVS_E_UNSUPPORTED, "this network has no convolution to look at");
    }
    if (s == CVS_OK && !l->last.data) {
        s = copy_part(kernel.data, 4, kernel.dim, &l->last, l->err);
        s = s == CVS_OK ? make_room(l, kernel.dim[0]) : s;
        l->out->of_input = kernel.dim[1] == 3 ? -1 : strongest_input(&kernel);
    }
    if (s == CVS_OK && kernel.bytes != l->last.bytes) {
        s = cvi_fail(l->err, CVS_E_FORMAT, "the snapshots are not of one network");
    }
    int64_t area = s == CVS_OK ? kernel.dim[2] * kernel.dim[3] : 0,
            each = s == CVS_OK ? kernel.dim[1] * area : 0;
    for (int i = 0; s == CVS_OK && i < l->out->n_channels; i++) {
        const float *v = (const float *)kernel.data + l->out->channels[i] * each;
        int64_t dim[3] = {l->out->of_input < 0 ? 3 : 1, kernel.dim[2], kernel.dim[3]};
        cell(l, i)->alike = cosine(v, (const float *)l->last.data + l->out->channels[i] * each, each);
        s = copy_part(v + CVI_MAX(l->out->of_input, (int64_t)0) * area, 3, dim, &cell(l, i)->kernel, l->err);
    }
    cvs_tensor_free(&kernel);
    cvs_tensor_free(&bias);
    return s;
}

/* How probable the target is; the last snapshot, which comes first, says what the target is. */
static void look_at_answer(look *l, cvs_run *run) {
    cvs_evolution_layer *out = l->out;
    cvs_score *scores = cvi_calloc(SCORES, sizeof *scores);
    cvs_logit_kind kind;
    int count = 0;
    cvs_error quiet = {0};
    if (scores && cvs_run_top(run, 0, SCORES, scores, &count, &kind, &quiet) == CVS_OK && count > 0) {
        if (out->target < 0) {
            out->target = scores[0].index;
            cvi_copy_text(out->target_name, sizeof out->target_name, scores[0].name);
        }
        for (int i = 0; i < count; i++) {
            out->probability[l->at] =
                scores[i].index == out->target ? scores[i].probability : out->probability[l->at];
        }
    }
    cvi_free(scores);
}

static cvs_status look_at_picture(look *l) {
    cvs_run *run = NULL;
    cvs_tensor value, shown = {0};
    cvs_explanation why = {0};
    cvs_error quiet = {0};
    const char *unit = l->e->units[l->layer];
    int index = 0;
    CVI_TRY(cvs_run_new(l->model, NULL, &run, l->err));
    cvs_status s = cvs_run_image(run, l->want->image, &shown, l->err);
    s = s == CVS_OK ? cvs_model_find_layer(l->model, unit, &index, l->err) : s;
    s = s == CVS_OK ? cvs_run_layer(run, index, &value, l->err) : s;
    if (s == CVS_OK && value.dtype == CVS_F32 && value.rank == 4) {
        int64_t area = value.dim[2] * value.dim[3];
        for (int i = 0; i < l->out->n_channels && s == CVS_OK; i++) {
            int64_t c = CVI_MIN(l->out->channels[i], value.dim[1] - 1);
            s = copy_part((const float *)value.data + c * area, 2, value.dim + 2, &cell(l, i)->map, l->err);
        }
    }
    if (s == CVS_OK) {
        look_at_answer(l, run);
    }
    for (int i = 0; i < l->out->n_channels && s == CVS_OK; i++) {
        cvs_unit_options o = {
            .layer = unit, .channel = l->out->channels[i], .rule = l->want->rule, .lang = l->want->lang};
        cvs_projection p = {0};
        if (cvs_project(run, &o, &p, &quiet) == CVS_OK && p.map.rank == 4) {
            s = copy_part(p.map.data, 3, p.map.dim + 1, &cell(l, i)->track, l->err);
        }
        cvs_projection_free(&p);
    }
    cvs_explain_options o = {.method = "gradcam", .target = {.index = l->out->target}, .layer = unit};
    if (s == CVS_OK && l->out->target >= 0 && cvs_explain(run, &o, &why, &quiet) == CVS_OK &&
        why.kind == CVS_MAP_LAYER && why.map.rank == 4) {
        s = copy_part(why.map.data, 2, why.map.dim + 2, &l->out->why[l->at], l->err);
    }
    cvs_explanation_free(&why);
    if (s == CVS_OK && !l->out->shown.data) {
        l->out->shown = shown;
    } else {
        cvs_tensor_free(&shown);
    }
    cvs_run_free(run);
    return s;
}

static bool tell(void *context, const char *what, double fraction) {
    const look *l = context;
    const cvs_evolution_want *w = l->want;
    double part = fraction < 0 ? 0.5 : fraction;
    return !w->progress ||
           w->progress(w->progress_context, what, ((double)(l->e->n - 1 - l->at) + part) / l->e->n);
}

static cvs_status look_at_strongest(look *l) {
    cvs_evolution_layer *out = l->out;
    const char *data = l->want->data ? l->want->data : l->e->data;
    cvs_data_options options = {
        .split = CVS_TRAIN, .limit = CVI_MAX(l->want->strongest, (int64_t)0), .limits = l->e->limits};
    cvs_pictures *pictures = NULL;
    cvs_top_options o = {.layer = l->e->units[l->layer],
                         .channels = out->channels,
                         .n_channels = out->n_channels,
                         .top = 1,
                         .rule = l->want->rule,
                         .lang = l->want->lang,
                         .progress = tell,
                         .progress_context = l};
    cvs_top top = {0};
    if (!data[0]) {
        return cvi_fail(l->err, CVS_E_ARGUMENT,
                        "what to train on is missing: --data mnist:DIR, folder:DIR or generated:NAME");
    }
    CVI_TRY(cvs_pictures_open(data, &options, &pictures, l->err));
    cvs_status s = cvs_top_units(l->model, NULL, pictures, &o, &top, l->err);
    cvs_pictures_free(pictures);
    for (int i = 0; s == CVS_OK && i < out->n_channels; i++) {
        cvs_top_unit *u = &top.units[i];
        cvs_evolution_cell *to = cell(l, i);
        if (u->picture) { /* the tensors change hands */
            cvi_copy_text(to->picture, sizeof to->picture, u->picture);
            to->value = u->value;
            to->patch = u->patch;
            to->projection = u->projection;
            u->patch = u->projection = (cvs_tensor){0};
        }
    }
    out->pictures = s == CVS_OK ? top.pictures : 0;
    cvs_top_free(&top);
    return s;
}

static cvs_status look_at_snapshot(look *l) {
    cvs_open_options open = {.limits = l->e->limits};
    CVI_TRY(cvs_model_open(l->e->list[l->at].path, &open, &l->model, l->err));
    cvs_status s = look_at_kernels(l);
    if (s == CVS_OK && l->want->image) {
        s = look_at_picture(l);
    }
    if (s == CVS_OK && l->want->strongest != 0) {
        s = look_at_strongest(l);
    }
    cvs_model_info info;
    cvs_model_describe(l->model, &info);
    l->out->order = info.preprocess->order;
    cvs_model_free(l->model);
    l->model = NULL;
    return s;
}

cvs_status cvs_evolution_look(const cvs_evolution *e, int layer, const cvs_evolution_want *want,
                              cvs_evolution_layer *out, cvs_error *err) {
    static const cvs_evolution_want none;
    look l = {.e = e, .want = want ? want : &none, .out = out, .layer = layer, .err = err};
    *out = (cvs_evolution_layer){.target = -1};
    if (layer < 0 || layer >= e->n_layers) {
        return cvi_fail(err, CVS_E_NOT_FOUND, "the network has %d convolutions, counted from 0", e->n_layers);
    }
    cvi_copy_text(out->name, sizeof out->name, e->layers[layer]);
    cvi_copy_text(out->unit, sizeof out->unit, e->units[layer]);
    cvs_status s = CVS_OK;
    for (l.at = e->n - 1; l.at >= 0 && s == CVS_OK; l.at--) {
        s = look_at_snapshot(&l);
    }
    cvs_tensor_free(&l.last);
    for (int64_t i = out->n_channels; s == CVS_OK && i < (int64_t)out->n_epochs * out->n_channels; i++) {
        out->cells[i].moved = strcmp(out->cells[i].picture, out->cells[i - out->n_channels].picture) != 0;
    }
    if (s != CVS_OK) {
        cvs_evolution_layer_free(out);
    }
    return s;
}

void cvs_evolution_layer_free(cvs_evolution_layer *layer) {
    for (int64_t i = 0; layer->cells && i < (int64_t)layer->n_epochs * layer->n_channels; i++) {
        cvs_tensor *const list[] = {&layer->cells[i].kernel, &layer->cells[i].map, &layer->cells[i].track,
                                    &layer->cells[i].patch, &layer->cells[i].projection};
        for (int k = 0; k < CVI_COUNT(list); k++) {
            cvs_tensor_free(list[k]);
        }
    }
    for (int i = 0; layer->why && i < layer->n_epochs; i++) {
        cvs_tensor_free(&layer->why[i]);
    }
    cvs_tensor_free(&layer->shown);
    cvi_free(layer->channels);
    cvi_free(layer->cells);
    cvi_free(layer->why);
    cvi_free(layer->probability);
    *layer = (cvs_evolution_layer){0};
}

/* SPDX-License-Identifier: MIT
 * task_features.c - what excites a channel: a picture made for it by gradient ascent, the patches of a set of pictures that it answers to
 * most, its strongest unit of the current picture projected down to the pixels.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api.h"
#include "tasks.h"

enum { MOST_TOP = 24, MOST_LOOKED_AT = 100000 };

static cvs_channel_order order_of(app *a, const job *j) {
    cvs_model_info info;
    cvs_model_describe(store_model_at(a, j->model)->model, &info);
    return info.preprocess->order;
}

/* The layer as text, the way the library takes it. */
static const char *layer_of(const json_t *ask, char *text, size_t size) {
    snprintf(text, size, "%lld", (long long)ask_int(ask, "layer", -1));
    return text;
}

static cvs_status refuse(cvs_error *err, const char *en, const char *zh) {
    err->code = CVS_E_ARGUMENT;
    snprintf(err->message, sizeof err->message, "%s", err->lang == CVS_ZH ? zh : en);
    return err->code;
}

static cvs_status channel_check(const json_t *ask, const cvs_model *model, cvs_error *err) {
    char text[24];
    int layer;
    cvs_status s = cvs_model_find_layer(model, layer_of(ask, text, sizeof text), &layer, err);
    if (s == CVS_OK && ask_int(ask, "channel", -1) < 0) {
        s = refuse(err, "channel must be a whole number from 0", "channel 必须是不小于 0 的整数");
    }
    return s;
}

/* ---- a picture that it likes ------------------------------------------------------------------------------------------ */

/* The maker lives from job to job (its plan is made once); its progress goes to the job that is on. */
static bool maker_progress(void *context, const char *what, double fraction) {
    app *a = context;
    return job_progress(a->maker.job, what, fraction);
}

static cvs_status ready_maker(app *a, job *j, cvs_error *err) {
    json_t *how = json_deep_copy(j->ask);
    json_object_del(how, "channel");
    json_object_del(how, "p");
    a->maker.job = j;
    if (a->maker.maker && json_equal(how, a->maker.how)) {
        json_decref(how);
        return CVS_OK;
    }
    cvs_feature_maker_free(a->maker.maker);
    json_decref(a->maker.how);
    a->maker.maker = NULL;
    a->maker.how = how;
    char text[24];
    const char *mode = ask_text(j->ask, "mode");
    cvs_run_options run = a->options->run;
    run.progress = NULL;
    cvs_feature_options o = {.mode = mode && mode[0] == 'b' ? CVS_FEATURE_BOOK : CVS_FEATURE_FOURIER,
                             .want = json_is_true(json_object_get(j->ask, "neuron")) ? CVS_WANT_NEURON
                                                                                     : CVS_WANT_CHANNEL,
                             .layer = layer_of(j->ask, text, sizeof text),
                             .steps = ask_int(j->ask, "steps", 0),
                             .variants = (int)ask_int(j->ask, "variants", 1),
                             .seed = (uint64_t)ask_int(j->ask, "seed", 0),
                             .lang = j->lang,
                             .progress = maker_progress,
                             .progress_context = a};
    return cvs_feature_maker_new(store_model_at(a, j->model)->model, &run, &o, &a->maker.maker, err);
}

static cvs_status feature_check(const json_t *ask, const cvs_model *model, cvs_error *err) {
    int64_t steps = ask_int(ask, "steps", 0), variants = ask_int(ask, "variants", 1);
    if (steps < 0 || steps > 4096 || variants < 1 || variants > 16) {
        return refuse(err, "steps are 0 to 4096, variants 1 to 16",
                      "steps 应在 0 到 4096 之间，variants 应在 1 到 16 之间");
    }
    return channel_check(ask, model, err);
}

static cvs_status feature_work(app *a, job *j, cvs_error *err) {
    cvs_status s = ready_maker(a, j, err);
    if (s == CVS_OK) {
        s = cvs_feature_make(a->maker.maker, ask_int(j->ask, "channel", 0), &j->result.feature, err);
    }
    return s;
}

static void feature_drop(job *j) {
    cvs_feature_free(&j->result.feature);
}

static void feature_tell(const job *j, reply *r) {
    const cvs_feature *f = &j->result.feature;
    json_t *values = json_array();
    for (int64_t i = 0; i <= f->steps; i++) {
        json_array_append_new(values, json_number_any(f->value[i]));
    }
    part p = {f->shown.data, f->shown.bytes};
    reply_packet(r,
                 json_pack("{ss so sI so so sb sf}", "task", "feature", "layer", json_clean(f->layer),
                           "channel", (json_int_t)f->channel, "dim", json_shape(f->shown.rank, f->shown.dim),
                           "values", values, "silent", f->silent, "seconds", j->seconds),
                 &p, 1);
}

static cvs_status feature_numbers(const job *j, cvs_tensor *out, cvs_error *err) {
    return cvs_feature_file(&j->result.feature, NULL, out, err);
}

static cvs_status feature_draw(app *a, const job *j, const cvs_figure_options *options, cvs_figure **out,
                               cvs_error *err) {
    (void)a;
    return cvs_draw_features(&j->result.feature, 1, NULL, options, out, err);
}

const task cvs_task_feature = {
    .name = "feature",
    .check = feature_check,
    .work = feature_work,
    .drop = feature_drop,
    .tell = feature_tell,
    .numbers = feature_numbers,
    .draw = feature_draw,
};

/* ---- the patches that it answers to most ---------------------------------------------------------------------------------- */

/* The pictures that stand in the rail of this model. */
typedef struct opened {
    cvs_tensor *pixels;
    const char **names;
    int n;
} opened;

static bool gather(app *a, const job *j, opened *o) {
    const entry *e = store_model_at(a, j->model);
    pthread_mutex_lock(&a->lock);
    int n = a->n_pictures;
    pthread_mutex_unlock(&a->lock);
    o->pixels = calloc((size_t)n + 1, sizeof *o->pixels);
    o->names = calloc((size_t)n + 1, sizeof *o->names);
    for (int i = 0; o->pixels && o->names && i < n; i++) {
        const picture *p = &a->pictures[i];
        bool ours = p->group[0] == 0 || strcmp(p->group, e->builtin) == 0;
        if (ours && p->pixels.data) {
            o->pixels[o->n] = p->pixels; /* borrowed */
            o->names[o->n++] = p->name;
        }
    }
    return o->pixels && o->names;
}

/* "open", or a set that the program draws itself: never a path, which a page has no business to name. */
static bool is_generated(const char *source) {
    static const char *const known[] = {"generated:things", "generated:digits", "generated:shortcut"};
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (strcmp(source, known[i]) == 0) {
            return true;
        }
    }
    return false;
}

static cvs_status top_check(const json_t *ask, const cvs_model *model, cvs_error *err) {
    const char *source = ask_text(ask, "source");
    int64_t limit = ask_int(ask, "limit", 1), top = ask_int(ask, "top", 9);
    if (source && strcmp(source, "open") != 0 && !is_generated(source)) {
        return refuse(err, "source is open, generated:things, generated:digits or generated:shortcut",
                      "source 只能是 open、generated:things、generated:digits 或 generated:shortcut");
    }
    if (limit < 1 || limit > MOST_LOOKED_AT || top < 1 || top > MOST_TOP) {
        return refuse(err, "limit is 1 to 100000, top 1 to 24",
                      "limit 应在 1 到 100000 之间，top 应在 1 到 24 之间");
    }
    return channel_check(ask, model, err);
}

static cvs_status top_work(app *a, job *j, cvs_error *err) {
    const char *source = ask_text(j->ask, "source");
    cvs_data_options data = {.limit = ask_int(j->ask, "limit", 300)};
    cvs_pictures *pictures = NULL;
    opened o = {0};
    char text[24];
    int64_t channel = ask_int(j->ask, "channel", 0);
    cvs_run_options run = a->options->run;
    run.progress = NULL;
    cvs_top_options options = {.layer = layer_of(j->ask, text, sizeof text),
                               .channels = &channel,
                               .n_channels = 1,
                               .top = (int)ask_int(j->ask, "top", 9),
                               .lang = j->lang,
                               .progress = job_progress,
                               .progress_context = j};
    cvs_status s;
    if (source && is_generated(source)) {
        s = cvs_pictures_open(source, &data, &pictures, err);
    } else {
        s = gather(a, j, &o) ? cvs_pictures_memory(o.pixels, o.names, o.n, &pictures, err) : CVS_E_MEMORY;
    }
    if (s == CVS_OK) {
        s = cvs_top_units(store_model_at(a, j->model)->model, &run, pictures, &options, &j->result.top, err);
    }
    cvs_pictures_free(pictures);
    free(o.pixels);
    free(o.names);
    return s;
}

static void top_drop(job *j) {
    cvs_top_free(&j->result.top);
}

static int found(const cvs_top *t) {
    int n = 0;
    while (n < t->top && t->units[n].picture) {
        n++;
    }
    return n;
}

static void top_tell(const job *j, reply *r) {
    const cvs_top *t = &j->result.top;
    int n = found(t);
    part parts[2 * MOST_TOP];
    json_t *items = json_array();
    for (int i = 0; i < n; i++) {
        const cvs_top_unit *u = &t->units[i];
        json_array_append_new(
            items, json_pack("{so so s[II] s[IIII] so so}", "name", json_clean(u->picture), "value",
                             json_number_any(u->value), "at", (json_int_t)u->row, (json_int_t)u->column,
                             "box", (json_int_t)u->box[0], (json_int_t)u->box[1], (json_int_t)u->box[2],
                             (json_int_t)u->box[3], "patch", json_shape(u->patch.rank, u->patch.dim),
                             "projection", json_shape(u->projection.rank, u->projection.dim)));
        parts[i] = (part){u->projection.data, u->projection.bytes};
        parts[n + i] = (part){u->patch.data, u->patch.bytes};
    }
    reply_packet(r,
                 json_pack("{ss so sI sI sI so sf}", "task", "top", "layer", json_clean(t->layer), "channel",
                           (json_int_t)(t->n_channels > 0 ? t->channels[0] : 0), "pictures",
                           (json_int_t)t->pictures, "skipped", (json_int_t)t->skipped, "items", items,
                           "seconds", j->seconds),
                 parts, 2 * n);
}

static cvs_status top_draw(app *a, const job *j, const cvs_figure_options *options, cvs_figure **out,
                           cvs_error *err) {
    return cvs_draw_top(&j->result.top, order_of(a, j), options, out, err);
}

const task cvs_task_top = {
    .name = "top",
    .check = top_check,
    .work = top_work,
    .drop = top_drop,
    .tell = top_tell,
    .draw = top_draw,
};

/* ---- down to the pixels ---------------------------------------------------------------------------------------------------- */

static cvs_status deconv_work(app *a, job *j, cvs_error *err) {
    const char *rule = ask_text(j->ask, "rule");
    char text[24];
    cvs_unit_options o = {.layer = layer_of(j->ask, text, sizeof text),
                          .channel = ask_int(j->ask, "channel", 0),
                          .has_position = ask_int(j->ask, "row", -1) >= 0,
                          .row = ask_int(j->ask, "row", 0),
                          .column = ask_int(j->ask, "column", 0),
                          .rule = rule && strcmp(rule, "guided") == 0     ? CVS_BACK_GUIDED
                                  : rule && strcmp(rule, "gradient") == 0 ? CVS_BACK_GRADIENT
                                                                          : CVS_BACK_DECONVNET,
                          .lang = j->lang};
    return cvs_project(a->why.run, &o, &j->result.projection, err);
}

static void deconv_drop(job *j) {
    cvs_projection_free(&j->result.projection);
}

static void deconv_tell(const job *j, reply *r) {
    const cvs_projection *p = &j->result.projection;
    json_t *head = json_pack("{ss so sI so so s[II] sf}", "task", "deconv", "layer", json_clean(p->layer),
                             "channel", (json_int_t)ask_int(j->ask, "channel", 0), "dim",
                             json_shape(p->map.rank, p->map.dim), "value", json_number_any(p->value), "at",
                             (json_int_t)p->row, (json_int_t)p->column, "seconds", j->seconds);
    if (p->has_field) {
        json_object_set_new(head, "box",
                            json_pack("[IIII]", (json_int_t)p->box[0], (json_int_t)p->box[1],
                                      (json_int_t)p->box[2], (json_int_t)p->box[3]));
    }
    part all = {p->map.data, p->map.bytes};
    reply_packet(r, head, &all, 1);
}

static cvs_status deconv_numbers(const job *j, cvs_tensor *out, cvs_error *err) {
    return cvs_projection_file(&j->result.projection, NULL, out, err);
}

static cvs_status deconv_draw(app *a, const job *j, const cvs_figure_options *options, cvs_figure **out,
                              cvs_error *err) {
    const cvs_projection *p = &j->result.projection;
    cvs_projection_data data = {
        .projection = p, .channel = ask_int(j->ask, "channel", 0), .order = order_of(a, j)};
    cvs_tensor layer = {0}, plane = {0};
    int number;
    slot *s = slot_enter(a, store_model_at(a, j->model), j->picture, err);
    if (!s) {
        return err->code;
    }
    data.picture = s->shown.data ? &s->shown : NULL;
    if (cvs_model_find_layer(store_model_at(a, j->model)->model, p->layer, &number, NULL) == CVS_OK &&
        cvs_run_layer(s->run, number, &layer, NULL) == CVS_OK && layer.rank == 4 && layer.dtype == CVS_F32 &&
        data.channel < layer.dim[1]) {
        int64_t area = layer.dim[2] * layer.dim[3];
        plane = (cvs_tensor){.dtype = CVS_F32, .rank = 2, .dim = {layer.dim[2], layer.dim[3]}};
        plane.data = (float *)layer.data + data.channel * area;
        plane.bytes = (size_t)area * sizeof(float);
        data.map = &plane;
    }
    cvs_status status = cvs_draw_projection(&data, options, out, err);
    slot_leave(s);
    return status;
}

const task cvs_task_deconv = {
    .name = "deconv",
    .pictured = true,
    .check = channel_check,
    .work = deconv_work,
    .drop = deconv_drop,
    .tell = deconv_tell,
    .numbers = deconv_numbers,
    .draw = deconv_draw,
};

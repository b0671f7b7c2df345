/* SPDX-License-Identifier: MIT
 * tasks.c - the table of tasks, and the first of them: an explanation of the model's answer.
 */
#include <stdio.h>
#include <string.h>

#include "api.h"
#include "tasks.h"

#define TASK(name, word) extern const task cvs_task_##word;
#include "tasks.def"
#undef TASK

const task *task_find(const char *name) {
    static const task *const tasks[] = {
#define TASK(name, word) &cvs_task_##word,
#include "tasks.def"
#undef TASK
    };
    for (size_t i = 0; i < sizeof tasks / sizeof tasks[0]; i++) {
        if (strcmp(tasks[i]->name, name && name[0] ? name : "explain") == 0) {
            return tasks[i];
        }
    }
    return NULL;
}

const char *ask_text(const json_t *ask, const char *key) {
    const char *s = json_string_value(json_object_get(ask, key));
    return s && s[0] ? s : NULL;
}

double ask_number(const json_t *ask, const char *key) {
    const json_t *j = json_object_get(ask, key);
    return json_is_number(j) ? json_number_value(j) : 0;
}

int64_t ask_int(const json_t *ask, const char *key, int64_t otherwise) {
    const json_t *j = json_object_get(ask, key);
    return json_is_integer(j) ? (int64_t)json_integer_value(j) : otherwise;
}

/* ---- explain ------------------------------------------------------------------------------------------------------- */

/* A class by number, or a text as on the command line: "neuron:LAYER:CHANNEL,ROW,COLUMN", "region:...", "mix:...". */
static cvs_status read_target(const json_t *ask, const cvs_model *model, cvs_target *out, cvs_error *err) {
    const json_t *target = json_object_get(ask, "target");
    *out = (cvs_target){.index = -1};
    if (json_is_string(target) && json_string_length(target) > 0) {
        cvs_status s = cvs_target_parse(model, json_string_value(target), out, err);
        if (s != CVS_OK) {
            return s;
        }
    } else if (json_is_integer(target)) {
        out->index = (int)json_integer_value(target);
    }
    out->probability = json_is_true(json_object_get(ask, "probability"));
    return CVS_OK;
}

static cvs_status explain_check(const json_t *ask, const cvs_model *model, cvs_error *err) {
    const char *method = json_string_value(json_object_get(ask, "method"));
    cvs_target target;
    int number;
    cvs_status s = cvs_method_find(method ? method : "", &number, err);
    return s == CVS_OK ? read_target(ask, model, &target, err) : s;
}

static cvs_status explain_work(app *a, job *j, cvs_error *err) {
    cvs_explain_options o = {.method = ask_text(j->ask, "method"),
                             .layer = ask_text(j->ask, "layer"),
                             .baseline = ask_text(j->ask, "baseline"),
                             .signed_map = json_is_true(json_object_get(j->ask, "signed")),
                             .steps = (int64_t)ask_number(j->ask, "steps"),
                             .samples = (int64_t)ask_number(j->ask, "samples"),
                             .patch = (int64_t)ask_number(j->ask, "patch"),
                             .stride = (int64_t)ask_number(j->ask, "stride"),
                             .seed = (uint64_t)ask_number(j->ask, "seed"),
                             .lang = j->lang,
                             .progress = job_progress,
                             .progress_context = j};
    cvs_status s = read_target(j->ask, store_model_at(a, j->model)->model, &o.target, err);
    return s == CVS_OK ? cvs_explain(a->why.run, &o, &j->result.why, err) : s;
}

static void explain_drop(job *j) {
    cvs_explanation_free(&j->result.why);
}

static json_t *vote_list(const cvs_explanation *e) {
    json_t *list = json_array();
    for (int i = 0; i < e->n_votes; i++) {
        json_array_append_new(list,
                              json_pack("[i o o]", e->votes[i].channel, json_number_any(e->votes[i].value),
                                        json_number_any(e->votes[i].weight)));
    }
    return list;
}

static void explain_tell(const job *j, reply *r) {
    static const char *const kinds[] = {"pixels", "layer", "grid"};
    const cvs_explanation *e = &j->result.why;
    json_t *head =
        json_pack("{ss so ss so so si sb so so sf so sI sI so}", "kind", kinds[e->kind], "dim",
                  json_shape(e->map.rank, e->map.dim), "method", e->method, "layer", json_clean(e->layer),
                  "target", json_clean(e->target_name), "index", e->target_index, "probability",
                  e->probability, "value", json_number_any(e->target_value), "caption",
                  json_clean(e->caption), "seconds", j->seconds, "votes", vote_list(e), "patch",
                  (json_int_t)e->patch, "stride", (json_int_t)e->stride, "note", json_clean(e->note));
    part p = {e->map.data, e->map.bytes};
    reply_packet(r, head, &p, 1);
}

static cvs_status explain_numbers(const job *j, cvs_tensor *out, cvs_error *err) {
    return cvs_explanation_file(&j->result.why, NULL, out, err);
}

static cvs_status explain_draw(app *a, const job *j, const cvs_figure_options *options, cvs_figure **out,
                               cvs_error *err) {
    const cvs_explanation *e = &j->result.why;
    cvs_method_info method = {0};
    cvs_attribution_data data = {.why = e, .title = e->method};
    cvs_tensor maps = {0};
    int number, layer;
    slot *s = slot_enter(a, store_model_at(a, j->model), j->picture, err);
    if (!s) {
        return err->code;
    }
    if (cvs_method_find(e->method, &number, NULL) == CVS_OK &&
        cvs_method_describe(number, options->lang, &method, NULL) == CVS_OK) {
        data.title = method.title;
    }
    data.picture = s->shown.data ? &s->shown : NULL;
    if (e->n_votes > 0 &&
        cvs_model_find_layer(store_model_at(a, j->model)->model, e->layer, &layer, NULL) == CVS_OK &&
        cvs_run_layer(s->run, layer, &maps, NULL) == CVS_OK && maps.rank == 4 && maps.dtype == CVS_F32) {
        data.maps = &maps;
    }
    cvs_status status = cvs_draw_attribution(&data, options, out, err);
    slot_leave(s);
    return status;
}

const task cvs_task_explain = {
    .name = "explain",
    .pictured = true,
    .check = explain_check,
    .work = explain_work,
    .drop = explain_drop,
    .tell = explain_tell,
    .numbers = explain_numbers,
    .draw = explain_draw,
};

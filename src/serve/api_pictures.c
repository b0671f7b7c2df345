/* SPDX-License-Identifier: MIT
 * api_pictures.c - pictures in and out, what the network saw of one, what it answered.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api.h"

void reply_copy(reply *r, const char *type, const void *data, size_t size) {
    void *own = malloc(size > 0 ? size : 1);
    if (!own) {
        reply_error(r, 503, "out of memory");
        return;
    }
    memcpy(own, data, size);
    reply_bytes(r, type, own, size);
}

void reply_png(reply *r, const cvs_tensor *image) {
    cvs_error err = {0};
    uint8_t *png = NULL;
    size_t size = 0;
    if (cvs_png_encode(image, &png, &size, &err) != CVS_OK) {
        reply_failed(r, &err);
        return;
    }
    reply_copy(r, "image/png", png, size);
    cvs_free(png);
}

static slot *enter(app *a, const request *q, reply *r, entry **e, bool stopped) {
    cvs_error err = {.lang = arg_lang(q)};
    int number;
    *e = store_find_model(a, q, r, "m");
    if (!*e || !store_find_picture(a, q, r, "p", &number)) {
        return NULL;
    }
    slot *s = stopped ? slot_enter_part(a, *e, number, &err) : slot_enter(a, *e, number, &err);
    if (!s) {
        reply_failed(r, &err);
    }
    return s;
}

slot *enter_slot(app *a, const request *q, reply *r, entry **e) {
    return enter(a, q, r, e, false);
}

slot *enter_slot_part(app *a, const request *q, reply *r, entry **e) {
    return enter(a, q, r, e, true);
}

void api_pictures(app *a, const request *q, reply *r) {
    cvs_error err = {.lang = arg_lang(q)};
    int id = store_upload_picture(a, q->body, q->size, arg_text(q, "name", "picture"), &err);
    if (id < 0) {
        reply_failed(r, &err);
        return;
    }
    reply_json(r, json_pack("{si}", "id", id));
}

/* The picture as PNG, its longer side at most `side` pixels. */
void api_picture(app *a, const request *q, reply *r) {
    int number;
    picture *p = store_find_picture(a, q, r, "p", &number);
    if (!p) {
        return;
    }
    if (p->path) {
        reply_error(r, 404, "this one is numbers, not a picture");
        return;
    }
    int64_t h = p->pixels.dim[0], w = p->pixels.dim[1], side = arg_int(q, "side", 0), longer = h > w ? h : w;
    if (side < 8 || longer <= side) {
        reply_png(r, &p->pixels);
        return;
    }
    cvs_tensor small = {0};
    cvs_error err = {0};
    int64_t sh = h * side / longer, sw = w * side / longer;
    if (cvs_image_resize(&p->pixels, sh > 0 ? sh : 1, sw > 0 ? sw : 1, &small, &err) != CVS_OK) {
        reply_failed(r, &err);
        return;
    }
    reply_png(r, &small);
    cvs_tensor_free(&small);
}

void api_shown(app *a, const request *q, reply *r) {
    entry *e;
    slot *s = enter_slot_part(a, q, r, &e);
    if (!s) {
        return;
    }
    if (s->shown.data) {
        reply_png(r, &s->shown);
    } else {
        reply_error(r, 404, "this one is numbers, not a picture");
    }
    slot_leave(s);
}

/* The layers of a run that stopped which have numbers. */
static json_t *reached(cvs_run *run, int n_layers) {
    json_t *list = json_array();
    cvs_tensor t;
    for (int i = 0; i < n_layers; i++) {
        if (cvs_run_layer(run, i, &t, NULL) == CVS_OK) {
            json_array_append_new(list, json_integer(i));
        }
    }
    return list;
}

json_t *answer_json(entry *e, slot *s, int top, cvs_lang lang) {
    cvs_error err = {.lang = lang};
    cvs_score scores[100];
    cvs_logit_kind kind = CVS_LOGIT_IS_OUTPUT;
    int count = 0;
    json_t *list = json_array();
    cvs_tensor answer;
    char guess[200] = "";
    int64_t n = cvs_run_output(s->run, 0, &answer, NULL) == CVS_OK && answer.rank > 0
                    ? cvs_tensor_count(&answer) / (answer.rank > 1 && answer.dim[0] > 0 ? answer.dim[0] : 1)
                    : 0;
    top = top < 1 ? 1 : top > 100 ? 100 : top;
    /* a model that answers with something else than classes has no list; that is no failure */
    cvs_model_info info;
    cvs_model_describe(e->model, &info);
    bool classes =
        s->stopped.code == CVS_OK && cvs_run_top(s->run, 0, top, scores, &count, &kind, &err) == CVS_OK;
    for (int i = 0; classes && i < count; i++) {
        const char *name = scores[i].name ? scores[i].name : "";
        bool guessed =
            !name[0] && !info.random_weights && cvs_imagenet_name(n, scores[i].index, guess, sizeof guess);
        json_array_append_new(list, json_pack("{si so so so}", "index", scores[i].index, "name",
                                              json_clean(guessed ? guess : name), "probability",
                                              json_number_any(scores[i].probability), "logit",
                                              json_number_any(scores[i].logit)));
    }
    json_t *j = json_pack("{so sb sb sf sb si}", "scores", list, "classes", classes, "guessed", guess[0] != 0,
                          "ms", s->ms, "picture", s->shown.data != NULL, "logit", (int)kind);
    if (s->stopped.code != CVS_OK) {
        char text[1200];
        cvs_error_text(&s->stopped, text, sizeof text);
        json_object_set_new(j, "stopped", json_clean(text));
        json_object_set_new(j, "reached", reached(s->run, info.n_layers));
    }
    if (s->shown.data) {
        json_object_set_new(j, "side",
                            json_pack("[II]", (json_int_t)s->shown.dim[0], (json_int_t)s->shown.dim[1]));
    }
    return j;
}

void api_predict(app *a, const request *q, reply *r) {
    entry *e;
    int64_t top = arg_int(q, "top", 10);
    slot *s = enter_slot_part(a, q, r, &e);
    if (!s) {
        return;
    }
    json_t *j = answer_json(e, s, top < 1 ? 1 : top > 100 ? 100 : (int)top, arg_lang(q));
    slot_leave(s);
    reply_json(r, j);
}

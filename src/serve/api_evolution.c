/* SPDX-License-Identifier: MIT
 * api_evolution.c - the snapshots of the watched runs: which there are, pictures of their data to look at, and what one convolution was like in each
 * of them.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api.h"
#include "convscope/evolution.h"
#include "watching.h"

enum { MOST = 64, SAMPLES = 12 };

static bool not_stopped(void *context, const char *what, double fraction) {
    const app *a = context;
    (void)what;
    (void)fraction;
    return !atomic_load(&a->stopping);
}

/* The folders with snapshots, owned (free); *n: how many. */
static watch_folder *find(app *a, reply *r, int *n) {
    watching *w = watching_enter(a, r);
    *n = 0;
    if (!w) {
        return NULL;
    }
    watch_folder *list = calloc(MOST, sizeof *list);
    *n = list ? watching_folders(w, "snapshots", list, MOST) : 0;
    watching_leave(w);
    return list;
}

void api_evolution(app *a, const request *q, reply *r) {
    int n;
    (void)q;
    watch_folder *list = find(a, r, &n);
    json_t *runs = json_array();
    for (int i = 0; i < n; i++) {
        cvs_evolution *e;
        if (cvs_evolution_open(list[i].path, NULL, &e, NULL) != CVS_OK) {
            continue;
        }
        json_t *epochs = json_array(), *layers = json_array();
        for (int k = 0; k < cvs_evolution_count(e); k++) {
            json_array_append_new(epochs, json_integer(cvs_evolution_epoch(e, k)));
        }
        for (int k = 0; cvs_evolution_layer_name(e, k); k++) {
            json_array_append_new(layers, json_clean(cvs_evolution_layer_name(e, k)));
        }
        json_array_append_new(runs, json_pack("{so so so so}", "run", json_clean(list[i].path), "data",
                                              json_clean(cvs_evolution_data(e)), "epochs", epochs, "layers",
                                              layers));
        cvs_evolution_free(e);
    }
    if (list) {
        reply_json(r, json_pack("{so si}", "runs", runs, "samples", SAMPLES));
    } else {
        json_decref(runs);
    }
    free(list);
}

/* The run that the arguments name, opened; NULL and a reply. */
static cvs_evolution *open_run(app *a, const request *q, reply *r, cvs_error *err) {
    int n;
    cvs_evolution *e = NULL;
    const char *name = arg_text(q, "run", "");
    watch_folder *list = find(a, r, &n);
    bool found = false;
    for (int i = 0; i < n && !found; i++) {
        json_t *clean = json_clean(list[i].path);
        found = clean && strcmp(json_string_value(clean), name) == 0;
        json_decref(clean);
        if (found && cvs_evolution_open(list[i].path, NULL, &e, err) != CVS_OK) {
            reply_failed(r, err);
        }
    }
    if (list && !found) {
        reply_error(r, 404, "there is no such run with snapshots");
    }
    free(list);
    return e;
}

/* Picture k of the run's test pictures as uint8 [H,W,3], owned. */
static cvs_status read_sample(const cvs_evolution *e, int64_t k, cvs_tensor *out, cvs_error *err) {
    cvs_data_options options = {.split = CVS_TEST, .limit = SAMPLES};
    cvs_data *data = NULL;
    cvs_tensor t = {0};
    int label;
    cvs_status s = cvs_data_open(cvs_evolution_data(e), &options, &data, err);
    s = s == CVS_OK ? cvs_data_get(data, k, &t, &label, NULL, err) : s;
    if (s == CVS_OK && t.dim[2] == 1) {
        s = cvs_tensor_new(out, CVS_U8, 3, (int64_t[]){t.dim[0], t.dim[1], 3}, err);
        for (size_t i = 0; s == CVS_OK && i < out->bytes; i++) {
            ((uint8_t *)out->data)[i] = ((const uint8_t *)t.data)[i / 3];
        }
        cvs_tensor_free(&t);
    } else if (s == CVS_OK) {
        *out = t;
    }
    cvs_data_free(data);
    return s;
}

void api_evolution_picture(app *a, const request *q, reply *r) {
    cvs_error err = {.lang = arg_lang(q)};
    cvs_evolution *e = open_run(a, q, r, &err);
    cvs_tensor t = {0};
    if (e && read_sample(e, arg_int(q, "k", 0), &t, &err) == CVS_OK) {
        reply_png(r, &t);
    } else if (e) {
        reply_failed(r, &err);
    }
    cvs_tensor_free(&t);
    cvs_evolution_free(e);
}

/* ---- one layer -------------------------------------------------------------------------------------------- */

typedef struct packing {
    part *parts;
    int n;
} packing;

/* How many numbers, or [h,w] of what has a size of its own; the bytes go into the packet. */
static void pack(packing *p, const cvs_tensor *t) {
    if (t->data) {
        p->parts[p->n++] = (part){t->data, t->bytes};
    }
}

static json_t *size_of(const cvs_tensor *t) {
    return t->data ? json_shape(t->rank, t->dim) : json_null();
}

static json_t *cell_line(const cvs_evolution_cell *c) {
    return json_pack("{so so so sb so so so so so}", "alike", json_number_any(c->alike), "value",
                     json_number_any(c->value), "picture", json_clean(c->picture), "moved", c->moved,
                     "kernel", size_of(&c->kernel), "map", size_of(&c->map), "track", size_of(&c->track),
                     "projection", size_of(&c->projection), "patch", size_of(&c->patch));
}

static void reply_layer(const cvs_evolution_layer *l, reply *r) {
    int cells = l->n_epochs * l->n_channels;
    packing p = {.parts = calloc((size_t)cells * 5 + (size_t)l->n_epochs + 2, sizeof *p.parts)};
    json_t *channels = json_array(), *probability = json_array(), *why = json_array(), *list = json_array();
    if (!p.parts) {
        reply_error(r, 503, "out of memory");
        return;
    }
    for (int i = 0; i < l->n_channels; i++) {
        json_array_append_new(channels, json_integer((json_int_t)l->channels[i]));
    }
    for (int i = 0; i < cells; i++) { /* float32 first, then bytes: nothing is out of step */
        const cvs_evolution_cell *c = &l->cells[i];
        json_array_append_new(list, cell_line(c));
        pack(&p, &c->kernel);
        pack(&p, &c->map);
        pack(&p, &c->track);
        pack(&p, &c->projection);
    }
    for (int i = 0; i < l->n_epochs; i++) {
        json_array_append_new(probability, json_number_any(l->probability[i]));
        json_array_append_new(why, size_of(&l->why[i]));
        pack(&p, &l->why[i]);
    }
    for (int i = 0; i < cells; i++) {
        pack(&p, &l->cells[i].patch);
    }
    pack(&p, &l->shown);
    json_t *head = json_pack(
        "{so so so si sI so si so so so so sI sb}", "name", json_clean(l->name), "unit", json_clean(l->unit),
        "channels", channels, "epochs", l->n_epochs, "input", (json_int_t)l->of_input, "cells", list,
        "target", l->target, "targetName", json_clean(l->target_name), "probability", probability, "why", why,
        "shown", size_of(&l->shown), "pictures", (json_int_t)l->pictures, "bgr", l->order == CVS_BGR);
    reply_packet(r, head, p.parts, p.n);
    free(p.parts);
}

void api_evolution_layer(app *a, const request *q, reply *r) {
    cvs_error err = {.lang = arg_lang(q)};
    cvs_evolution *e = open_run(a, q, r, &err);
    if (!e) {
        return;
    }
    cvs_evolution_layer layer = {0};
    cvs_tensor sample = {0};
    int64_t p = arg_int(q, "p", -1), k = arg_int(q, "k", -1), channels = arg_int(q, "channels", 12);
    picture *given = p >= 0 ? store_picture_at(a, p) : NULL;
    cvs_evolution_want want = {.channels = (int)(channels < 1    ? 1
                                                 : channels > 64 ? 64
                                                                 : channels),
                               .strongest = arg_int(q, "strongest", 0),
                               .lang = err.lang,
                               .progress = not_stopped,
                               .progress_context = a};
    cvs_status s = CVS_OK;
    if (given && !given->path) {
        want.image = &given->pixels;
    } else if (k >= 0) {
        s = read_sample(e, k, &sample, &err);
        want.image = &sample;
    }
    s = s == CVS_OK ? cvs_evolution_look(e, (int)arg_int(q, "layer", 0), &want, &layer, &err) : s;
    if (s == CVS_OK) {
        reply_layer(&layer, r);
        cvs_evolution_layer_free(&layer);
    } else {
        reply_failed(r, &err);
    }
    cvs_tensor_free(&sample);
    cvs_evolution_free(e);
}

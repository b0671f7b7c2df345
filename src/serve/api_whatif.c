/* SPDX-License-Identifier: MIT
 * api_whatif.c - what-if edits: rectangles covered, channels switched off, a weight changed; only what can change is computed again.
 *
 * A changed weight changes one channel of its layer, by (new - old) times the number that the weight is multiplied with at every
 * position: that channel is computed here, with the edits before it made, and given to the layer as an edit like the others.
 */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "api.h"

enum { MAX_EDITS = 256, MOST_PRODUCTS = 64 << 20 };

typedef struct edits {
    cvs_edit edit[MAX_EDITS];
    float *owned[MAX_EDITS];
    int n;
} edits;

static int64_t whole(const json_t *j, const char *key) {
    return (int64_t)json_number_value(json_object_get(j, key));
}

/* Where an edit is made; false: nowhere. t: the value there, unchanged. */
static bool find_place(const json_t *j, slot *s, bool *input, int *index, cvs_tensor *t) {
    const char *where = json_string_value(json_object_get(j, "place"));
    cvs_place place;
    if (!where || !parse_place(where, &place, index) || place == CVS_PLACE_INNER) {
        return false;
    }
    *input = place == CVS_PLACE_INPUT;
    return (*input ? cvs_run_input(s->run, *index, t, NULL) : cvs_run_layer(s->run, *index, t, NULL)) ==
           CVS_OK;
}

/* {"place":"in0"|"12","y","x","h","w","channel","channels","fill":number or [numbers]} */
static bool read_fill(const json_t *j, slot *s, edits *to) {
    cvs_tensor t;
    cvs_edit e = {.y = whole(j, "y"),
                  .x = whole(j, "x"),
                  .h = whole(j, "h"),
                  .w = whole(j, "w"),
                  .channel = whole(j, "channel"),
                  .channels = whole(j, "channels")};
    if (!find_place(j, s, &e.input, &e.index, &t)) {
        return false;
    }
    int64_t all = t.rank > 1 ? t.dim[1] : 1;
    if (e.channel < 0 || e.channel >= all || e.channels < 0 || e.channels > all - e.channel) {
        return false;
    }
    int64_t n = e.channels ? e.channels : all - e.channel;
    const json_t *fill = json_object_get(j, "fill");
    float *numbers = calloc((size_t)n, sizeof *numbers);
    for (int64_t i = 0; numbers && i < n; i++) {
        numbers[i] = (float)json_number_value(json_is_array(fill) ? json_array_get(fill, (size_t)i) : fill);
    }
    e.fill = numbers;
    to->owned[to->n] = numbers;
    to->edit[to->n++] = e;
    return numbers != NULL;
}

/* ---- a weight ------------------------------------------------------------------------------------------------------- */

static const float *edited_value(slot *s, const cvs_source *from) {
    cvs_tensor t;
    cvs_status status = from->place == CVS_PLACE_INPUT   ? cvs_whatif_input(s->whatif, from->index, &t, NULL)
                        : from->place == CVS_PLACE_LAYER ? cvs_whatif_layer(s->whatif, from->index, &t, NULL)
                                                         : CVS_E_NOT_FOUND;
    return status == CVS_OK && t.dtype == CVS_F32 ? t.data : NULL;
}

/* Adds (new - old) * x to one position of the channel; false: the layer has no such weight. */
static bool change_position(slot *s, int layer, int64_t at, int64_t tap, double weight, float *number) {
    cvs_unit u;
    if (cvs_run_unit(s->run, CVS_PLACE_LAYER, layer, at, CVS_EN, &u, NULL) != CVS_OK) {
        return false;
    }
    const float *x = u.n_sources > 0 ? edited_value(s, &u.source[0]) : NULL;
    bool found = false;
    for (int64_t i = 0; x && u.kind == CVS_UNIT_SUM && i < u.n_terms; i++) {
        const cvs_term *t = &u.terms[i];
        if (t->tap == tap) {
            found = true;
            *number += t->at < 0 ? 0 : (float)((weight - t->weight) * (double)x[t->at]);
        }
    }
    cvs_unit_free(&u);
    return found;
}

/* {"place":"12","channel":3,"tap":17,"weight":0.25}: element `tap` of the kernel, one of channel 3's. */
static bool read_weight(const json_t *j, slot *s, edits *to) {
    cvs_tensor t, now;
    bool input;
    int layer;
    int64_t channel = whole(j, "channel"), tap = whole(j, "tap");
    double weight = json_number_value(json_object_get(j, "weight"));
    if (!find_place(j, s, &input, &layer, &t) || input || t.dtype != CVS_F32 || t.rank < 2 || channel < 0 ||
        channel >= t.dim[1] || cvs_whatif_apply(s->whatif, to->edit, to->n, NULL) != CVS_OK ||
        cvs_whatif_layer(s->whatif, layer, &now, NULL) != CVS_OK) {
        return false;
    }
    int64_t h = t.rank > 3 ? t.dim[2] : 1, w = t.rank > 2 ? t.dim[t.rank - 1] : 1, n = h * w;
    cvs_unit u;
    if (t.rank > 4 || cvs_run_unit(s->run, CVS_PLACE_LAYER, layer, channel * n, CVS_EN, &u, NULL) != CVS_OK) {
        return false;
    }
    bool good = u.n_terms > 0 && n <= MOST_PRODUCTS / u.n_terms;
    cvs_unit_free(&u);
    float *numbers = good ? malloc((size_t)n * sizeof *numbers) : NULL;
    for (int64_t i = 0; numbers && i < n; i++) {
        numbers[i] = ((const float *)now.data)[channel * n + i];
        good = good && change_position(s, layer, channel * n + i, tap, weight, &numbers[i]);
    }
    to->owned[to->n] = numbers;
    to->edit[to->n++] =
        (cvs_edit){.index = layer, .h = h, .w = w, .channel = channel, .channels = 1, .data = numbers};
    return good && numbers != NULL;
}

static bool read_edits(const json_t *all, slot *s, edits *to) {
    bool good = json_array_size(all) <= MAX_EDITS;
    for (size_t i = 0; good && i < json_array_size(all); i++) {
        const json_t *j = json_array_get(all, i);
        good = json_object_get(j, "weight") ? read_weight(j, s, to) : read_fill(j, s, to);
    }
    return good;
}

/* ---- answering ------------------------------------------------------------------------------------------------------------ */

static json_t *first_output(slot *s, cvs_error *err) {
    cvs_tensor t, f = {0};
    if (cvs_whatif_output(s->whatif, 0, &t, err) != CVS_OK ||
        cvs_tensor_convert(&t, CVS_F32, &f, err) != CVS_OK) {
        return NULL;
    }
    json_t *list = json_array();
    int64_t n = cvs_tensor_count(&f);
    for (int64_t i = 0; i < n && i < 4096; i++) {
        json_array_append_new(list, json_number_any((double)((const float *)f.data)[i]));
    }
    cvs_tensor_free(&f);
    return list;
}

static double now_ms(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

/* Makes these edits on the unchanged picture (those of before are gone) and answers the model's first output. */
static void answer(slot *s, const json_t *ask, edits *list, cvs_lang lang, reply *r) {
    cvs_error err = {.lang = lang};
    double start = now_ms();
    cvs_status status = s->whatif ? CVS_OK : cvs_whatif_new(s->run, 0, &s->whatif, &err);
    bool good = status == CVS_OK && read_edits(json_object_get(ask, "edits"), s, list);
    status = good ? cvs_whatif_apply(s->whatif, list->edit, list->n, &err) : status;
    json_t *out = good && status == CVS_OK ? first_output(s, &err) : NULL;
    if (out) {
        reply_json(r, json_pack("{so sf}", "output", out, "ms", now_ms() - start));
    } else if (good || status != CVS_OK) {
        reply_failed(r, &err);
    } else {
        reply_error(r, 400, "an edit names a place, a channel, a weight or a number that is not there");
    }
}

void api_whatif(app *a, const request *q, reply *r) {
    entry *e;
    edits *list = calloc(1, sizeof *list);
    json_t *ask = list ? body_json(q, r) : NULL;
    slot *s = ask ? enter_slot(a, q, r, &e) : NULL;
    if (s) {
        answer(s, ask, list, arg_lang(q), r);
        slot_leave(s);
    }
    for (int i = 0; list && i < list->n; i++) {
        free(list->owned[i]);
    }
    json_decref(ask);
    free(list);
}

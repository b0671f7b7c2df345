/* SPDX-License-Identifier: MIT
 * edits.c - what-if edits: rectangles covered, channels switched off, a weight changed. Every view of the page (a tab) has edits of its own
 * of every picture. A slot holds the runs of two views; what it gave up is made again from the edits that are remembered.
 *
 * A changed weight changes one channel of its layer, by (new - old) times the number that the weight is multiplied with at every
 * position: that channel is computed here, with the edits before it made, and given to the layer as an edit like the others.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api.h"

enum { MAX_EDITS = 256, MOST_PRODUCTS = 64 << 20 };

typedef struct edits {
    cvs_whatif *whatif; /* that they are for, borrowed */
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

static const float *edited_value(cvs_whatif *w, const cvs_source *from) {
    cvs_tensor t;
    cvs_status status = from->place == CVS_PLACE_INPUT   ? cvs_whatif_input(w, from->index, &t, NULL)
                        : from->place == CVS_PLACE_LAYER ? cvs_whatif_layer(w, from->index, &t, NULL)
                                                         : CVS_E_NOT_FOUND;
    return status == CVS_OK && t.dtype == CVS_F32 ? t.data : NULL;
}

/* Adds (new - old) * x to one position of the channel; false: the layer has no such weight. */
static bool change_position(slot *s, cvs_whatif *w, int layer, int64_t at, int64_t tap, double weight,
                            float *number) {
    cvs_unit u;
    if (cvs_run_unit(s->run, CVS_PLACE_LAYER, layer, at, CVS_EN, &u, NULL) != CVS_OK) {
        return false;
    }
    const float *x = u.n_sources > 0 ? edited_value(w, &u.source[0]) : NULL;
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
        channel >= t.dim[1] || cvs_whatif_apply(to->whatif, to->edit, to->n, NULL) != CVS_OK ||
        cvs_whatif_layer(to->whatif, layer, &now, NULL) != CVS_OK) {
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
        good = good && change_position(s, to->whatif, layer, channel * n + i, tap, weight, &numbers[i]);
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

/* ---- whose edits ------------------------------------------------------------------------------------------------- */

/* Owned; NULL: this view has none of this picture. */
static json_t *recall(app *a, const entry *e, int number, const char *view) {
    json_t *found = NULL;
    pthread_mutex_lock(&a->lock);
    for (int i = 0; i < MAX_VIEWS && !found; i++) {
        edit_set *s = &a->edits[i];
        if (s->edits && s->model == e && s->picture == number && strcmp(s->view, view) == 0) {
            found = json_deep_copy(s->edits);
            s->used = (int64_t)atomic_fetch_add(&a->clock, 1) + 1;
        }
    }
    pthread_mutex_unlock(&a->lock);
    return found;
}

/* Those of before are gone; where too many are kept, the ones that nobody looked at for longest go. */
static void remember(app *a, const entry *e, int number, const char *view, const json_t *list) {
    json_t *kept = json_deep_copy(list);
    pthread_mutex_lock(&a->lock);
    edit_set *best = &a->edits[0];
    for (int i = 0; i < MAX_VIEWS; i++) {
        edit_set *s = &a->edits[i];
        if (s->edits && s->model == e && s->picture == number && strcmp(s->view, view) == 0) {
            best = s;
            break;
        }
        best = s->used < best->used ? s : best;
    }
    json_decref(best->edits);
    *best = (edit_set){
        .model = e, .picture = number, .edits = kept, .used = (int64_t)atomic_fetch_add(&a->clock, 1) + 1};
    snprintf(best->view, sizeof best->view, "%s", view);
    pthread_mutex_unlock(&a->lock);
}

/* The run of a view; else one that is free or was used least lately, under the new name and with *mine = false. */
static cvs_status find_run(app *a, slot *s, const char *view, edited_run **out, bool *mine, cvs_error *err) {
    edited_run *best = &s->edited[0];
    *mine = false;
    for (int i = 0; i < VIEWS_HELD && !*mine; i++) {
        edited_run *r = &s->edited[i];
        *mine = r->whatif && strcmp(r->view, view) == 0;
        best = *mine || r->used < best->used ? r : best;
    }
    *out = best;
    best->used = (int64_t)atomic_fetch_add(&a->clock, 1) + 1;
    if (!*mine) {
        best->view[0] = '\0';
    }
    return best->whatif ? CVS_OK : cvs_whatif_new(s->run, 0, &best->whatif, err);
}

static cvs_status apply(slot *s, edited_run *run, const char *view, const json_t *list, cvs_error *err) {
    edits *all = calloc(1, sizeof *all);
    if (!all) {
        return err->code = CVS_E_MEMORY;
    }
    all->whatif = run->whatif;
    cvs_status status = CVS_E_ARGUMENT;
    err->message[0] = '\0';
    if (read_edits(list, s, all)) {
        status = cvs_whatif_apply(run->whatif, all->edit, all->n, err);
    }
    for (int i = 0; i < all->n; i++) {
        free(all->owned[i]);
    }
    free(all);
    if (status != CVS_OK) { /* half made: nobody's */
        cvs_whatif_free(run->whatif);
        run->whatif = NULL;
    }
    snprintf(run->view, sizeof run->view, "%s", view);
    return status;
}

cvs_status edits_make(app *a, entry *e, slot *s, const char *view, const json_t *list, cvs_whatif **out,
                      cvs_error *err) {
    edited_run *run;
    bool mine;
    cvs_status status = find_run(a, s, view, &run, &mine, err);
    status = status == CVS_OK ? apply(s, run, view, list, err) : status;
    if (status == CVS_OK) {
        remember(a, e, s->picture, view, list);
        *out = run->whatif;
    }
    return status;
}

cvs_status edits_see(app *a, entry *e, slot *s, const char *view, cvs_whatif **out, cvs_error *err) {
    *out = NULL;
    for (int i = 0; i < VIEWS_HELD; i++) {
        if (s->edited[i].whatif && strcmp(s->edited[i].view, view) == 0) {
            s->edited[i].used = (int64_t)atomic_fetch_add(&a->clock, 1) + 1;
            *out = s->edited[i].whatif;
            return CVS_OK;
        }
    }
    json_t *list = recall(a, e, s->picture, view);
    cvs_status status = list ? edits_make(a, e, s, view, list, out, err) : CVS_OK;
    json_decref(list);
    return status;
}

void edits_drop(slot *s) {
    for (int i = 0; i < VIEWS_HELD; i++) {
        cvs_whatif_free(s->edited[i].whatif);
        s->edited[i] = (edited_run){0};
    }
}

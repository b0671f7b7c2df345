/* SPDX-License-Identifier: MIT
 * slots.c - runs that hold the numbers of a picture: two for every model, so that two pictures can be compared and going back to
 * the last one costs nothing. The least recently used one is run anew.
 */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "app.h"

cvs_status run_picture(cvs_run *run, const picture *p, cvs_tensor *shown, cvs_error *err) {
    return p->path ? cvs_run_file(run, p->path, NULL, shown, err)
                   : cvs_run_image(run, &p->pixels, shown, err);
}

static cvs_status fill(app *a, entry *e, slot *s, int number, cvs_error *err) {
    cvs_run_options options = a->options->run;
    options.progress = NULL;
    edits_drop(s);
    s->picture = -1;
    s->stopped = (cvs_error){0};
    cvs_tensor_free(&s->shown);
    if (!s->run) {
        cvs_status made = cvs_run_new(e->model, &options, &s->run, err);
        if (made != CVS_OK) {
            return made;
        }
    }
    struct timespec t0, t1;
    clock_gettime(CLOCK_MONOTONIC, &t0);
    cvs_status ran = run_picture(s->run, store_picture_at(a, number), &s->shown, err);
    clock_gettime(CLOCK_MONOTONIC, &t1);
    s->ms = (double)(t1.tv_sec - t0.tv_sec) * 1e3 + (double)(t1.tv_nsec - t0.tv_nsec) / 1e6;
    if (ran == CVS_E_UNSUPPORTED && err) {
        s->stopped = *err;
    }
    s->picture = ran == CVS_OK || s->stopped.code != CVS_OK ? number : -1;
    return s->picture < 0 ? ran : CVS_OK;
}

/* The slot that has the picture or is to get it. It gets the number while e->lock is held, so that two who ask for one picture meet
 * in one slot; what it holds is known for certain only once its own lock is held. */
static slot *choose(app *a, entry *e, int number) {
    slot *best = NULL;
    pthread_mutex_lock(&e->lock);
    for (int k = 0; k < SLOTS && !best; k++) {
        best = e->slots[k].used > 0 && e->slots[k].wanted == number ? &e->slots[k] : NULL;
    }
    for (int k = 0; k < SLOTS && !best; k++) {
        best = e->slots[k].used == 0 ? &e->slots[k] : NULL;
    }
    if (!best) {
        best = e->slots[0].used < e->slots[1].used ? &e->slots[0] : &e->slots[1];
    }
    best->wanted = number;
    best->used = (int64_t)atomic_fetch_add(&a->clock, 1) + 1;
    pthread_mutex_unlock(&e->lock);
    return best;
}

slot *slot_enter_part(app *a, entry *e, int number, cvs_error *err) {
    cvs_error own = {0};
    slot *s = choose(a, e, number);
    err = err ? err : &own;
    pthread_mutex_lock(&s->lock);
    bool there = s->picture == number && (s->stopped.code == CVS_OK || s->stopped.lang == err->lang);
    if (!there && fill(a, e, s, number, err) != CVS_OK) {
        pthread_mutex_unlock(&s->lock);
        return NULL;
    }
    return s;
}

slot *slot_enter(app *a, entry *e, int number, cvs_error *err) {
    slot *s = slot_enter_part(a, e, number, err);
    if (s && s->stopped.code != CVS_OK) {
        if (err) {
            *err = s->stopped;
        }
        slot_leave(s);
        return NULL;
    }
    return s;
}

void slot_leave(slot *s) {
    pthread_mutex_unlock(&s->lock);
}

/* ---- values as maps ------------------------------------------------------------------------------------------------- */

bool parse_place(const char *where, cvs_place *place, int *index) {
    char *end = NULL;
    *place = strncmp(where, "in", 2) == 0  ? CVS_PLACE_INPUT
             : strncmp(where, "v", 1) == 0 ? CVS_PLACE_INNER
                                           : CVS_PLACE_LAYER;
    const char *digits = where + (*place == CVS_PLACE_INPUT ? 2 : *place == CVS_PLACE_INNER ? 1 : 0);
    long n = strtol(digits, &end, 10);
    *index = (int)n;
    return digits[0] >= '0' && digits[0] <= '9' && *end == 0 && n < 100000000;
}

static cvs_status read_value(slot *s, cvs_place place, int index, cvs_whatif *edits, cvs_tensor *out,
                             cvs_error *err) {
    if (edits) {
        return place == CVS_PLACE_INPUT ? cvs_whatif_input(edits, index, out, err)
                                        : cvs_whatif_layer(edits, index, out, err);
    }
    return place == CVS_PLACE_INPUT ? cvs_run_input(s->run, index, out, err)
                                    : cvs_run_layer(s->run, index, out, err);
}

cvs_status grid_read(slot *s, const char *where, cvs_whatif *edits, grid *out, cvs_error *err) {
    cvs_place place;
    int index;
    cvs_tensor t;
    *out = (grid){0};
    if (!parse_place(where, &place, &index) || place == CVS_PLACE_INNER) {
        index = -1;
    }
    cvs_status status = read_value(s, place, index, edits, &t, err);
    if (status == CVS_OK && t.dtype != CVS_F32) {
        status = cvs_tensor_convert(&t, CVS_F32, &out->converted, err);
        t = out->converted;
    }
    if (status != CVS_OK) {
        return status;
    }
    out->data = t.data;
    out->c = t.rank >= 2 ? t.dim[1] : t.rank == 1 ? t.dim[0] : 1;
    out->w = t.rank >= 3 ? t.dim[t.rank - 1] : 1;
    out->h = 1;
    for (int i = 2; i < t.rank - 1; i++) { /* rows of deeper values lie one below the other */
        out->h *= t.dim[i];
    }
    return CVS_OK;
}

void grid_free(grid *g) {
    cvs_tensor_free(&g->converted);
}

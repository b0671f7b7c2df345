/* SPDX-License-Identifier: MIT
 * api_reach.c - forwards from one number: it is changed, and every later layer says how much of it changes with it.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "api.h"

/* What changed of one layer. */
typedef struct reach {
    int64_t changed, channels, strongest, box[4]; /* box: rows and columns, ends excluded */
    double most, was, is, size; /* the largest change; the number there; root mean squares' ratio */
} reach;

static reach compare(const grid *was, const grid *is) {
    reach r = {.strongest = -1, .box = {was->h, was->w, 0, 0}};
    double change = 0, all = 0, least = 0;
    int64_t plane = was->h * was->w;
    for (int64_t i = 0; i < was->c * plane; i++) {
        least = fmax(least, fabs((double)was->data[i]));
    }
    least *= 2e-5; /* less than this of the largest is what computing in another order does */
    for (int64_t c = 0; c < was->c; c++) {
        int64_t before = r.changed;
        for (int64_t i = 0; i < plane; i++) {
            double a = (double)was->data[c * plane + i], b = (double)is->data[c * plane + i], d = fabs(b - a);
            all += a * a;
            if (!(d > least)) {
                continue;
            }
            change += d * d;
            int64_t y = i / was->w, x = i % was->w;
            r.changed++;
            r.box[0] = y < r.box[0] ? y : r.box[0];
            r.box[1] = x < r.box[1] ? x : r.box[1];
            r.box[2] = y + 1 > r.box[2] ? y + 1 : r.box[2];
            r.box[3] = x + 1 > r.box[3] ? x + 1 : r.box[3];
            if (d > r.most) {
                r.most = d;
                r.strongest = c * plane + i;
                r.was = a;
                r.is = b;
            }
        }
        r.channels += r.changed > before;
    }
    r.size = all > 0 ? sqrt(change / all) : 0;
    return r;
}

static json_t *as_json(int layer, const reach *r) {
    return json_pack("{si sI sI sI s[IIII] so so so}", "layer", layer, "changed", (json_int_t)r->changed,
                     "channels", (json_int_t)r->channels, "at", (json_int_t)r->strongest, "box",
                     (json_int_t)r->box[0], (json_int_t)r->box[1], (json_int_t)r->box[2],
                     (json_int_t)r->box[3], "was", json_number_any(r->was), "is", json_number_any(r->is),
                     "size", json_number_any(r->size));
}

/* The edit that changes element `at` of a value, as POST /api/whatif takes it: to 0, or where it is next to nothing, to the value's
 * largest. Owned; NULL: there is no such number. */
static json_t *make_edit(const char *where, const grid *g, int64_t at, double *fill) {
    int64_t plane = g->h * g->w;
    double most = 0;
    if (at < 0 || at >= g->c * plane) {
        return NULL;
    }
    for (int64_t i = 0; i < g->c * plane; i++) {
        most = fmax(most, fabs((double)g->data[i]));
    }
    *fill = fabs((double)g->data[at]) > 1e-3 * most ? 0 : most > 0 ? most : 1;
    return json_pack("[{ss sI sI si si sI si sf}]", "place", where, "y", (json_int_t)(at % plane / g->w), "x",
                     (json_int_t)(at % plane % g->w), "h", 1, "w", 1, "channel", (json_int_t)(at / plane),
                     "channels", 1, "fill", *fill);
}

static void all_layers(slot *s, cvs_whatif *edits, int n, const request *q, json_t *list) {
    for (int i = 0; i < n && !atomic_load(&q->gone); i++) {
        char where[16];
        grid was, is;
        snprintf(where, sizeof where, "%d", i);
        if (grid_read(s, where, NULL, &was, NULL) != CVS_OK) {
            continue;
        }
        if (grid_read(s, where, edits, &is, NULL) == CVS_OK) {
            reach r = was.c == is.c && was.h == is.h && was.w == is.w ? compare(&was, &is) : (reach){0};
            if (r.changed > 0) {
                json_array_append_new(list, as_json(i, &r));
            }
            grid_free(&is);
        }
        grid_free(&was);
    }
}

/* The view's edits are this one afterwards: maps with edited=1 show it. */
void api_reach(app *a, const request *q, reply *r) {
    cvs_error err = {.lang = arg_lang(q)};
    const char *where = arg_text(q, "layer", "");
    int64_t at = arg_int(q, "at", -1);
    entry *e;
    grid g;
    double fill = 0;
    cvs_whatif *edits = NULL;
    slot *s = enter_slot(a, q, r, &e);
    if (!s) {
        return;
    }
    const cvs_summary *summary = store_summary(e, &err);
    cvs_status status = summary ? grid_read(s, where, NULL, &g, &err) : err.code;
    if (status != CVS_OK) {
        slot_leave(s);
        reply_failed(r, &err);
        return;
    }
    json_t *edit = make_edit(where, &g, at, &fill), *list = json_array();
    double was = edit ? (double)g.data[at] : 0;
    grid_free(&g);
    status = edit ? edits_make(a, e, s, arg_view(q), edit, &edits, &err) : CVS_OK;
    if (edit && status == CVS_OK) {
        all_layers(s, edits, summary->n_layers, q, list);
    }
    slot_leave(s);
    if (!edit) {
        reply_error(r, 400, "there is no such number");
    } else if (status != CVS_OK) {
        reply_failed(r, &err);
    } else {
        reply_json(r, json_pack("{so so sO}", "was", json_number_any(was), "set", json_number_any(fill),
                                "layers", list));
    }
    json_decref(edit);
    json_decref(list);
}

/* SPDX-License-Identifier: MIT
 * api_glance.c - all that the overview shows of a picture, in one reply: what the channels of every column are like, which of them are
 * shown, their maps made small, and the answer. One request where a page would wait for three, one after the other.
 */
#include <stdlib.h>
#include <string.h>

#include "api.h"

enum {
    MOST_COLUMNS = 64,
    MOST_ROWS = 64,
    MOST_SIDE = 256,
    MOST_STRIP = 4096,
    MOST_LIKE = 64,
    MOST_NUMBERS = 8 << 20
};

typedef enum column_kind { MAPS, STRIP, CLASSES } column_kind;

typedef struct column {
    const char *place;
    column_kind kind;
    bool first;          /* its first channels, not its strongest */
    int like[MOST_LIKE]; /* later columns whose channels are its own: the first that shows any decides */
    int n_like;
    grid g;
    channel_stats *stats; /* owned */
    double least, largest;
    int64_t channel[MOST_STRIP], n, f, h, w; /* sent: n maps of [h,w], averaged over f x f */
} column;

typedef struct glance {
    column *columns; /* owned */
    int n, rows, side;
    float *maps; /* owned */
    size_t n_maps;
} glance;

/* ---- what is asked ----------------------------------------------------------------------------------------------- */

static bool read_column(const json_t *j, int i, int n, column *c) {
    const char *kind = json_string_value(json_object_get(j, "kind"));
    const json_t *like = json_object_get(j, "like"), *k;
    size_t at;
    c->place = json_string_value(json_object_get(j, "place"));
    c->first = json_is_true(json_object_get(j, "first"));
    if (!c->place || !kind || json_array_size(like) > MOST_LIKE) {
        return false;
    }
    c->kind = strcmp(kind, "strip") == 0 ? STRIP : strcmp(kind, "classes") == 0 ? CLASSES : MAPS;
    json_array_foreach(like, at, k) {
        c->like[c->n_like++] = (int)json_integer_value(k);
        if (c->like[at] <= i || c->like[at] >= n) {
            return false;
        }
    }
    return true;
}

static bool read_glance(const json_t *ask, glance *g) {
    const json_t *list = json_object_get(ask, "columns");
    size_t n = json_array_size(list);
    g->rows = (int)json_integer_value(json_object_get(ask, "rows"));
    g->side = (int)json_integer_value(json_object_get(ask, "side"));
    if (n < 1 || n > MOST_COLUMNS || g->rows < 1 || g->rows > MOST_ROWS || g->side < 1 ||
        g->side > MOST_SIDE) {
        return false;
    }
    g->columns = calloc(n, sizeof *g->columns);
    g->n = g->columns ? (int)n : 0;
    for (int i = 0; i < g->n; i++) {
        if (!read_column(json_array_get(list, (size_t)i), i, g->n, &g->columns[i])) {
            return false;
        }
    }
    return true;
}

/* ---- which channels ---------------------------------------------------------------------------------------------- */

static int by_number(const void *a, const void *b) {
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return x < y ? -1 : x > y;
}

/* The `rows` strongest, in the order of their numbers; among equals the earlier ones. */
static void choose_strongest(column *c, int rows) {
    float best[MOST_ROWS];
    for (int64_t k = 0; k < c->g.c; k++) {
        int64_t at = c->n;
        while (at > 0 && c->stats[k].strength > best[at - 1]) {
            at--;
        }
        if (at >= rows) {
            continue;
        }
        for (int64_t i = c->n < rows ? c->n : rows - 1; i > at; i--) {
            best[i] = best[i - 1];
            c->channel[i] = c->channel[i - 1];
        }
        best[at] = c->stats[k].strength;
        c->channel[at] = k;
        c->n += c->n < rows;
    }
    qsort(c->channel, (size_t)c->n, sizeof c->channel[0], by_number);
}

static void choose_first(column *c, int64_t most) {
    for (c->n = 0; c->n < most && c->n < c->g.c; c->n++) {
        c->channel[c->n] = c->n;
    }
}

/* The answer's best classes, where it has some and not all fit. */
static void choose_classes(column *c, const json_t *answer, int rows) {
    const json_t *one, *scores = json_object_get(answer, "scores");
    size_t i;
    json_array_foreach(scores, i, one) {
        int64_t k = json_integer_value(json_object_get(one, "index"));
        if (c->n < rows && k < c->g.c) {
            c->channel[c->n++] = k;
        }
    }
    if (c->n == 0 || c->g.c <= rows) {
        choose_first(c, rows);
    }
}

/* From the end: the last column of a run of layers that keep their channels decides for all of them. */
static void choose(glance *g, const json_t *answer) {
    for (int i = g->n - 1; i >= 0; i--) {
        column *c = &g->columns[i], *later = NULL;
        for (int k = 0; k < c->n_like && !later; k++) {
            column *d = &g->columns[c->like[k]];
            later = d->kind == MAPS && d->n > 0 && d->g.c == c->g.c ? d : NULL;
        }
        if (c->kind == STRIP) {
            choose_first(c, MOST_STRIP);
        } else if (c->kind == CLASSES) {
            choose_classes(c, answer, g->rows);
        } else if (later) {
            c->n = later->n;
            memcpy(c->channel, later->channel, sizeof c->channel);
        } else if (c->first) {
            choose_first(c, g->rows);
        } else {
            choose_strongest(c, g->rows);
        }
    }
}

/* ---- their maps --------------------------------------------------------------------------------------------------- */

static cvs_status shrink_maps(glance *g, cvs_error *err) {
    for (int i = 0; i < g->n; i++) {
        column *c = &g->columns[i];
        int64_t longer = c->g.h > c->g.w ? c->g.h : c->g.w;
        c->f = longer > g->side ? (longer + g->side - 1) / g->side : 1;
        c->h = (c->g.h + c->f - 1) / c->f;
        c->w = (c->g.w + c->f - 1) / c->f;
        g->n_maps += (size_t)(c->n * c->h * c->w);
    }
    if (g->n_maps > MOST_NUMBERS) {
        return err->code = CVS_E_LIMIT;
    }
    float *to = g->maps = malloc((g->n_maps > 0 ? g->n_maps : 1) * sizeof *g->maps);
    for (int i = 0; to && i < g->n; i++) {
        const column *c = &g->columns[i];
        for (int64_t k = 0; k < c->n; k++, to += c->h * c->w) {
            const float *from = c->g.data + c->channel[k] * c->g.h * c->g.w;
            if (c->f == 1) {
                memcpy(to, from, (size_t)(c->h * c->w) * sizeof *to);
            } else {
                map_shrink(from, c->g.h, c->g.w, c->f, to);
            }
        }
    }
    return g->maps ? CVS_OK : (err->code = CVS_E_MEMORY);
}

/* With the slot locked. */
static cvs_status look(glance *g, slot *s, const json_t *answer, cvs_error *err) {
    for (int i = 0; i < g->n; i++) {
        column *c = &g->columns[i];
        cvs_status status = grid_read(s, c->place, NULL, &c->g, err);
        if (status == CVS_E_NOT_FOUND && s->stopped.code != CVS_OK) {
            c->g = (grid){0}; /* the run stopped before it: no channels, no maps */
            status = CVS_OK;
        }
        if (status != CVS_OK) {
            return status;
        }
        c->stats = channels_measure(&c->g, &c->least, &c->largest);
        if (!c->stats) {
            return err->code = CVS_E_MEMORY;
        }
    }
    choose(g, answer);
    return shrink_maps(g, err);
}

/* ---- the reply ---------------------------------------------------------------------------------------------------- */

static json_t *column_json(const column *c) {
    int64_t dim[3] = {c->g.c, c->g.h, c->g.w}, sent[3] = {c->n, c->h, c->w};
    json_t *list = json_array();
    for (int64_t k = 0; k < c->n && c->kind != STRIP; k++) {
        json_array_append_new(list, json_integer(c->channel[k]));
    }
    return json_pack("{so so sI so so so}", "dim", json_shape(3, dim), "sent", json_shape(3, sent), "factor",
                     (json_int_t)c->f, "channels", list, "least", json_number_any(c->least), "largest",
                     json_number_any(c->largest));
}

/* Header; six numbers a channel, column after column; then the maps. Takes the answer. */
static void tell(const glance *g, json_t *answer, reply *r) {
    part parts[MOST_COLUMNS + 1];
    json_t *list = json_array();
    for (int i = 0; i < g->n; i++) {
        const column *c = &g->columns[i];
        json_array_append_new(list, column_json(c));
        parts[i] = (part){c->stats, (size_t)c->g.c * sizeof *c->stats};
    }
    parts[g->n] = (part){g->maps, g->n_maps * sizeof *g->maps};
    reply_packet(r, json_pack("{so so}", "columns", list, "answer", answer), parts, g->n + 1);
}

void api_glance(app *a, const request *q, reply *r) {
    cvs_error err = {.lang = arg_lang(q)};
    glance g = {0};
    entry *e;
    json_t *ask = body_json(q, r);
    if (!ask) {
        return;
    }
    slot *s = NULL;
    if (!read_glance(ask, &g)) {
        reply_error(r, 400, "columns: 1 to 64 of {place, kind, like}; rows: 1 to 64; side: 1 to 256");
    } else {
        s = enter_slot_part(a, q, r, &e);
    }
    if (s) {
        json_t *answer = answer_json(e, s, g.rows, arg_lang(q));
        cvs_status status = look(&g, s, answer, &err);
        slot_leave(s);
        if (status == CVS_OK) {
            tell(&g, json_incref(answer), r);
        } else {
            reply_failed(r, &err);
        }
        json_decref(answer);
    }
    for (int i = 0; i < g.n; i++) {
        grid_free(&g.columns[i].g);
        free(g.columns[i].stats);
    }
    free(g.columns);
    free(g.maps);
    json_decref(ask);
}

/* SPDX-License-Identifier: MIT
 * api_layers.c - the numbers of a layer: maps made small enough for the screen, what its channels are like, one number's
 * arithmetic, all of it as .npy.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api.h"

enum { MOST_NUMBERS = 8 << 20, BINS = 64 };

/* ---- maps ----------------------------------------------------------------------------------------------------------- */

/* The channels asked for: "list=3,1,7", else from and count. Returns how many; numbers[] has room for `most`. */
static int64_t chosen(const request *q, int64_t channels, int64_t most, int64_t *numbers) {
    const char *list = arg_text(q, "list", "");
    int64_t n = 0;
    while (*list && n < most) {
        char *end = NULL;
        long long c = strtoll(list, &end, 10);
        if (end == list) {
            break;
        }
        if (c >= 0 && c < channels) {
            numbers[n++] = c;
        }
        list = *end == ',' ? end + 1 : end;
    }
    if (n == 0 && !arg_text(q, "list", NULL)) {
        int64_t from = arg_int(q, "from", 0), count = arg_int(q, "count", most);
        for (int64_t c = from < 0 ? 0 : from; c < channels && n < most && n < count; c++) {
            numbers[n++] = c;
        }
    }
    return n;
}

/* The value of the argument layer; with edited=1 what the view's edits made of it. */
static cvs_status read_asked(app *a, const request *q, entry *e, slot *s, grid *g, cvs_error *err) {
    cvs_whatif *edits = NULL;
    cvs_status status = arg_int(q, "edited", 0) != 0 ? edits_see(a, e, s, arg_view(q), &edits, err) : CVS_OK;
    return status == CVS_OK ? grid_read(s, arg_text(q, "layer", ""), edits, g, err) : status;
}

void api_maps(app *a, const request *q, reply *r) {
    cvs_error err = {.lang = arg_lang(q)};
    entry *e;
    grid g;
    slot *s = enter_slot_part(a, q, r, &e);
    if (!s) {
        return;
    }
    if (read_asked(a, q, e, s, &g, &err) != CVS_OK) {
        slot_leave(s);
        reply_failed(r, &err);
        return;
    }
    int64_t side = arg_int(q, "side", 0), longer = g.h > g.w ? g.h : g.w;
    int64_t f = side > 0 && longer > side ? (longer + side - 1) / side : 1;
    int64_t h = (g.h + f - 1) / f, w = (g.w + f - 1) / f, each = h * w > 0 ? h * w : 1,
            most = MOST_NUMBERS / each;
    int64_t *numbers = malloc((size_t)(g.c > 0 ? g.c : 1) * sizeof *numbers);
    int64_t n = numbers ? chosen(q, g.c, most < g.c ? most : g.c, numbers) : 0;
    float *out = malloc((size_t)(n > 0 ? n * each : 1) * sizeof *out);
    if (numbers && out) {
        for (int64_t i = 0; i < n; i++) {
            if (f == 1) {
                memcpy(out + i * each, g.data + numbers[i] * g.h * g.w, (size_t)(h * w) * sizeof *out);
            } else {
                map_shrink(g.data + numbers[i] * g.h * g.w, g.h, g.w, f, out + i * each);
            }
        }
    }
    int64_t dims[3] = {g.c, g.h, g.w}, sent[3] = {n, h, w};
    grid_free(&g);
    slot_leave(s);
    if (numbers && out) {
        part p = {out, (size_t)(n * h * w) * sizeof *out};
        reply_packet(r,
                     json_pack("{so so sI}", "dim", json_shape(3, dims), "sent", json_shape(3, sent),
                               "factor", (json_int_t)f),
                     &p, 1);
    } else {
        reply_error(r, 503, "out of memory");
    }
    free(numbers);
    free(out);
}

/* ---- channels ---------------------------------------------------------------------------------------------------------- */

/* Six numbers a channel and a histogram of all of them. */
void api_stats(app *a, const request *q, reply *r) {
    cvs_error err = {.lang = arg_lang(q)};
    entry *e;
    grid g;
    slot *s = enter_slot_part(a, q, r, &e);
    if (!s) {
        return;
    }
    if (read_asked(a, q, e, s, &g, &err) != CVS_OK) {
        slot_leave(s);
        reply_failed(r, &err);
        return;
    }
    double least, largest;
    float bins[BINS] = {0};
    channel_stats *stats = channels_measure(&g, &least, &largest);
    int64_t broken = stats ? channels_histogram(&g, least, largest, bins, BINS) : 0;
    if (stats) {
        channels_find_twins(&g, stats);
    }
    int64_t dims[3] = {g.c, g.h, g.w};
    grid_free(&g);
    slot_leave(s);
    if (!stats) {
        reply_error(r, 503, "out of memory");
        return;
    }
    part parts[] = {{stats, (size_t)dims[0] * sizeof *stats}, {bins, sizeof bins}};
    reply_packet(r,
                 json_pack("{so so so sI si}", "dim", json_shape(3, dims), "least", json_number_any(least),
                           "largest", json_number_any(largest), "broken", (json_int_t)broken, "bins", BINS),
                 parts, 2);
    free(stats);
}

/* ---- one number ------------------------------------------------------------------------------------------------------------ */

static json_t *source_list(const cvs_unit *u) {
    json_t *list = json_array();
    for (int i = 0; i < u->n_sources; i++) {
        json_array_append_new(list, json_pack("{so so so}", "place", json_place(&u->source[i]), "name",
                                              json_clean(u->source[i].name), "dim",
                                              json_shape(u->source[i].rank, u->source[i].dim)));
    }
    return list;
}

static void reply_unit(reply *r, const cvs_unit *u) {
    static const char *const kinds[] = {"sum", "max", "copy", "function", "softmax"};
    size_t n = (size_t)u->n_terms;
    double *values = malloc((n > 0 ? n : 1) * 5 * sizeof *values);
    if (!values) {
        reply_error(r, 503, "out of memory");
        return;
    }
    for (size_t i = 0; i < n; i++) { /* column by column, as float64: places are exact up to 2^53 */
        values[i] = (double)u->terms[i].source;
        values[n + i] = (double)u->terms[i].at;
        values[2 * n + i] = (double)u->terms[i].tap;
        values[3 * n + i] = u->terms[i].value;
        values[4 * n + i] = u->terms[i].weight;
    }
    part p = {values, n * 5 * sizeof *values};
    json_t *j =
        json_pack("{ss ss ss ss so sI so so so sI sI so}", "kind", kinds[u->kind], "op", u->op, "title",
                  u->title, "formula", u->formula ? u->formula : "", "dim", json_shape(u->rank, u->dim), "at",
                  (json_int_t)u->at, "result", json_number_any(u->result), "total", json_number_any(u->total),
                  "bias", json_number_any(u->bias), "own", (json_int_t)u->own, "terms",
                  (json_int_t)u->n_terms, "sources", source_list(u));
    reply_packet(r, j, &p, 1);
    free(values);
}

void api_unit(app *a, const request *q, reply *r) {
    cvs_error err = {.lang = arg_lang(q)};
    cvs_place place;
    cvs_unit u;
    entry *e;
    int index;
    if (!parse_place(arg_text(q, "layer", ""), &place, &index)) {
        reply_error(r, 400, "layer: a number, or v and a number");
        return;
    }
    slot *s = enter_slot_part(a, q, r, &e);
    if (!s) {
        return;
    }
    cvs_status status = cvs_run_unit(s->run, place, index, arg_int(q, "at", 0), arg_lang(q), &u, &err);
    slot_leave(s);
    if (status != CVS_OK) {
        reply_failed(r, &err);
        return;
    }
    reply_unit(r, &u);
    cvs_unit_free(&u);
}

/* ---- as a file --------------------------------------------------------------------------------------------------------------- */

void reply_npy(reply *r, const cvs_tensor *t) {
    char shape[256] = "", head[512];
    size_t n = 0;
    for (int i = 0; i < t->rank; i++) {
        n += (size_t)snprintf(shape + n, sizeof shape - n, "%lld,", (long long)t->dim[i]);
    }
    int used =
        snprintf(head, sizeof head, "{'descr': '<f4', 'fortran_order': False, 'shape': (%s), }", shape);
    int padded = (10 + used + 1 + 63) / 64 * 64 - 10;
    uint8_t *data = malloc(10 + (size_t)padded + t->bytes);
    if (!data) {
        reply_error(r, 503, "out of memory");
        return;
    }
    memcpy(data, "\x93NUMPY\x01\x00", 8);
    data[8] = (uint8_t)padded;
    data[9] = (uint8_t)(padded >> 8);
    memset(data + 10, ' ', (size_t)padded);
    memcpy(data + 10, head, (size_t)used);
    data[10 + padded - 1] = '\n';
    memcpy(data + 10 + padded, t->data, t->bytes);
    reply_bytes(r, "application/octet-stream", data, 10 + (size_t)padded + t->bytes);
}

void api_npy(app *a, const request *q, reply *r) {
    cvs_error err = {.lang = arg_lang(q)};
    cvs_tensor t = {0}, f = {0};
    entry *e;
    int layer = (int)arg_int(q, "layer", -1);
    slot *s = enter_slot_part(a, q, r, &e);
    if (!s) {
        return;
    }
    cvs_status status = cvs_run_layer_file(s->run, layer, NULL, &t, &err);
    slot_leave(s);
    if (status == CVS_OK) {
        status = cvs_tensor_convert(&t, CVS_F32, &f, &err);
    }
    if (status == CVS_OK) {
        reply_npy(r, &f);
        snprintf(r->file, sizeof r->file, "layer_%d.npy", layer);
    } else {
        reply_failed(r, &err);
    }
    cvs_tensor_free(&t);
    cvs_tensor_free(&f);
}

/* SPDX-License-Identifier: MIT
 * api_net.c - what the page of the network and that of comparing ask for: how strong every layer is, how strongly the answer hangs on
 * it, small maps of many layers at once, what a node says of itself, and how alike the layers of two models are.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "api.h"

enum { MOST_THUMBS = 128, MOST_CHANNELS = 8, MOST_SIDE = 64, MOST_COMPARED = 8 };

/* ---- strength ------------------------------------------------------------------------------------------------------ */

static float size_of(const grid *g, float *largest, float *zeros) {
    int64_t n = g->c * g->h * g->w, none = 0;
    double sum = 0.0;
    float most = 0.0f;
    for (int64_t i = 0; i < n; i++) {
        float v = g->data[i];
        sum += (double)v * (double)v;
        most = fabsf(v) > most ? fabsf(v) : most;
        none += v == 0.0f;
    }
    *largest = most;
    *zeros = n > 0 ? (float)none / (float)n : 0.0f;
    return n > 0 ? (float)sqrt(sum / (double)n) : NAN;
}

/* Three numbers a layer: root mean square, largest absolute value, share of zeros. NaN: no numbers to look at. */
void api_strength(app *a, const request *q, reply *r) {
    entry *e;
    cvs_error err = {.lang = arg_lang(q)};
    slot *s = enter_slot_part(a, q, r, &e);
    if (!s) {
        return;
    }
    const cvs_summary *all = store_summary(e, &err);
    float *out = all ? calloc((size_t)all->n_layers + 1, 3 * sizeof *out) : NULL;
    for (int i = 0; out && i < all->n_layers && !atomic_load(&q->gone); i++) {
        char where[16];
        grid g;
        snprintf(where, sizeof where, "%d", i);
        out[3 * i] = out[3 * i + 1] = out[3 * i + 2] = NAN;
        if (grid_read(s, where, NULL, &g, NULL) == CVS_OK) {
            out[3 * i] = size_of(&g, &out[3 * i + 1], &out[3 * i + 2]);
        }
        grid_free(&g);
    }
    slot_leave(s);
    if (!out) {
        reply_error(r, 503, "out of memory");
        return;
    }
    part p = {out, (size_t)all->n_layers * 3 * sizeof *out};
    reply_packet(r, json_pack("{si}", "layers", all->n_layers), &p, 1);
    free(out);
}

void api_gradients(app *a, const request *q, reply *r) {
    cvs_error err = {.lang = arg_lang(q)};
    int p;
    entry *e = store_find_model(a, q, r, "m");
    if (!e || !store_find_picture(a, q, r, "p", &p)) {
        return;
    }
    cvs_target target = {.index = (int)arg_int(q, "target", -1)};
    cvs_gradient_flow flow = {0};
    cvs_run *run = NULL;
    cvs_status s = why_run(a, (int)arg_int(q, "m", 0), p, &run, &err);
    s = s == CVS_OK ? cvs_measure_gradient_flow(run, &target, 0, &flow, &err) : s;
    if (s != CVS_OK) {
        reply_failed(r, &err);
        return;
    }
    part numbers = {flow.size, (size_t)flow.n_layers * sizeof *flow.size};
    reply_packet(r,
                 json_pack("{si so si so}", "layers", flow.n_layers, "target", json_clean(flow.target_name),
                           "index", flow.target_index, "value", json_number_any(flow.target_value)),
                 &numbers, 1);
    cvs_gradient_flow_free(&flow);
}

/* ---- small maps -------------------------------------------------------------------------------------------------------- */

static void strongest(const grid *g, int want, int64_t *channels, int *n) {
    double best[MOST_CHANNELS];
    int64_t area = g->h * g->w;
    *n = 0;
    for (int64_t c = 0; c < g->c; c++) {
        double sum = 0.0;
        for (int64_t i = 0; i < area; i++) {
            double v = (double)g->data[c * area + i];
            sum += v * v;
        }
        int at = *n;
        while (at > 0 && sum > best[at - 1]) {
            at--;
        }
        if (at >= want) {
            continue;
        }
        for (int k = *n < want ? *n : want - 1; k > at; k--) {
            best[k] = best[k - 1];
            channels[k] = channels[k - 1];
        }
        best[at] = sum;
        channels[at] = c;
        *n = *n < want ? *n + 1 : want;
    }
}

typedef struct thumbs {
    json_t *list; /* owned */
    float *data;  /* owned */
    size_t n, room;
    int want, side;
} thumbs;

static void add_thumbs(thumbs *t, const char *where, const grid *g) {
    int64_t channels[MOST_CHANNELS], longer = g->h > g->w ? g->h : g->w;
    int64_t f = longer > t->side ? (longer + t->side - 1) / t->side : 1, h = (g->h + f - 1) / f,
            w = (g->w + f - 1) / f;
    int n;
    strongest(g, t->want, channels, &n);
    size_t more = (size_t)(n * h * w);
    if (g->h * g->w < 4 || n < 1 || h * w > MOST_SIDE * MOST_SIDE) {
        return; /* a number is no picture */
    }
    if (t->n + more > t->room) {
        size_t room = (t->n + more) * 2;
        float *data = realloc(t->data, room * sizeof *data);
        if (!data) {
            return;
        }
        t->data = data;
        t->room = room;
    }
    json_t *chosen = json_array();
    for (int k = 0; k < n; k++) {
        json_array_append_new(chosen, json_integer(channels[k]));
        map_shrink(g->data + channels[k] * g->h * g->w, g->h, g->w, f, t->data + t->n + (size_t)(k * h * w));
    }
    t->n += more;
    json_array_append_new(
        t->list, json_pack("{ss so si si}", "place", where, "channels", chosen, "h", (int)h, "w", (int)w));
}

/* The strongest maps of many layers, made small: what a graph can show of each. */
void api_thumbs(app *a, const request *q, reply *r) {
    entry *e;
    thumbs t = {
        .list = json_array(), .want = (int)arg_int(q, "count", 1), .side = (int)arg_int(q, "side", 24)};
    t.want = t.want < 1 ? 1 : t.want > MOST_CHANNELS ? MOST_CHANNELS : t.want;
    t.side = t.side < 4 ? 4 : t.side > MOST_SIDE ? MOST_SIDE : t.side;
    slot *s = t.list ? enter_slot_part(a, q, r, &e) : NULL;
    if (!s) {
        json_decref(t.list);
        return;
    }
    const char *at = arg_text(q, "layers", "");
    for (int i = 0; *at && i < MOST_THUMBS && !atomic_load(&q->gone); i++) {
        char where[16] = "";
        size_t n = strcspn(at, ",");
        grid g;
        memcpy(where, at, n < sizeof where ? n : 0);
        if (grid_read(s, where, NULL, &g, NULL) == CVS_OK) {
            add_thumbs(&t, where, &g);
        }
        grid_free(&g);
        at += n + (at[n] == ',');
    }
    slot_leave(s);
    part p = {t.data, t.n * sizeof *t.data};
    reply_packet(r, json_pack("{so}", "maps", t.list), &p, t.data ? 1 : 0);
    free(t.data);
}

/* ---- what a node says of itself --------------------------------------------------------------------------------------- */

static json_t *part_line(const cvs_node_part *p) {
    static const char *const kinds[] = {"attribute", "input", "output"};
    json_t *j = json_pack("{ss so so sb}", "kind", kinds[p->kind], "name", json_clean(p->name), "text",
                          json_clean(p->text), "constant", p->constant);
    if (p->measured) {
        json_object_set_new(j, "numbers",
                            json_pack("[o o o o o]", json_number_any(p->least), json_number_any(p->largest),
                                      json_number_any(p->mean), json_number_any(p->deviation),
                                      json_number_any(p->zeros)));
    }
    return j;
}

void api_node(app *a, const request *q, reply *r) {
    cvs_error err = {.lang = arg_lang(q)};
    cvs_node_facts f;
    entry *e = store_find_model(a, q, r, "m");
    if (!e) {
        return;
    }
    if (cvs_model_node(e->model, (int)arg_int(q, "layer", -1), &f, &err) != CVS_OK) {
        reply_failed(r, &err);
        return;
    }
    json_t *list = json_array();
    for (int i = 0; i < f.n; i++) {
        json_array_append_new(list, part_line(&f.parts[i]));
    }
    reply_json(r, json_pack("{so so so so}", "name", json_clean(f.name), "op", json_clean(f.op), "note",
                            json_clean(f.note ? f.note : ""), "parts", list));
    cvs_node_facts_free(&f);
}

/* ---- layers of two models beside each other ------------------------------------------------------------------------------ */

static bool on_similar(void *context, const char *what, double fraction) {
    const request *q = context;
    (void)what;
    (void)fraction;
    return !atomic_load(&q->gone);
}

/* The pictures of the list "pictures", or those asked for by p and p2; .npy inputs are left out. */
static int compared_pictures(app *a, const request *q, cvs_tensor *pictures) {
    const char *at = arg_text(q, "pictures", "");
    int n = 0;
    while (*at && n < MOST_COMPARED) {
        char *end = NULL;
        long number = strtol(at, &end, 10);
        const picture *p = end > at ? store_picture_at(a, number) : NULL;
        if (p && !p->path) {
            pictures[n++] = p->pixels;
        }
        if (end == at) {
            break;
        }
        at = *end == ',' ? end + 1 : end;
    }
    return n;
}

static json_t *numbers_of(const int *list, int n) {
    json_t *j = json_array();
    for (int i = 0; i < n; i++) {
        json_array_append_new(j, json_integer(list[i]));
    }
    return j;
}

void api_similar(app *a, const request *q, reply *r) {
    cvs_error err = {.lang = arg_lang(q)};
    cvs_similarity s;
    cvs_tensor pictures[MOST_COMPARED];
    entry *e = store_find_model(a, q, r, "m"), *f = e ? store_find_model(a, q, r, "m2") : NULL;
    if (!f) {
        return;
    }
    int n = compared_pictures(a, q, pictures);
    cvs_run_options options = a->options->run;
    options.progress = NULL;
    cvs_similarity_options o = {.progress = on_similar, .progress_context = (void *)(uintptr_t)q};
    if (cvs_compare_layers(e->model, f->model, &options, pictures, n, &o, &s, &err) != CVS_OK) {
        reply_failed(r, &err);
        return;
    }
    size_t count = (size_t)s.n[0] * (size_t)s.n[1];
    part p = {s.cka, count * sizeof *s.cka};
    reply_packet(r,
                 json_pack("{so so so so si si}", "a", numbers_of(s.layer[0], s.n[0]), "b",
                           numbers_of(s.layer[1], s.n[1]), "best", numbers_of(s.best[0], s.n[0]), "best2",
                           numbers_of(s.best[1], s.n[1]), "grid", s.grid, "examples", s.examples),
                 &p, 1);
    cvs_similarity_free(&s);
}

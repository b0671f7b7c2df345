/* SPDX-License-Identifier: MIT
 * api_plot.c - what the page shows as a file: the figures that the commands draw, as SVG, PNG, PDF or TikZ.
 */
#include <stdio.h>
#include <string.h>

#include "api.h"
#include "tasks.h"

static const char *type_of(const char *ext) {
    static const char *const kinds[][2] = {{"svg", "image/svg+xml"},
                                           {"png", "image/png"},
                                           {"pdf", "application/pdf"},
                                           {"tex", "text/plain; charset=utf-8"}};
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        if (strcmp(kinds[i][0], ext) == 0) {
            return kinds[i][1];
        }
    }
    return NULL;
}

/* Figures of a layer: its maps, its kernels, its pooling, one number of it. */
typedef cvs_status plot(slot *s, entry *e, const request *q, const cvs_figure_options *o, cvs_figure **out,
                        cvs_error *err);

static int layer_of(const request *q) {
    return (int)arg_int(q, "layer", -1);
}

static cvs_status plot_maps(slot *s, entry *e, const request *q, const cvs_figure_options *o,
                            cvs_figure **out, cvs_error *err) {
    bool own = strcmp(arg_text(q, "scale", ""), "map") == 0;
    return cvs_layer_activations(s->run, e->model, layer_of(q), s->shown.data ? &s->shown : NULL, own, o, out,
                                 err);
}

static cvs_status plot_filters(slot *s, entry *e, const request *q, const cvs_figure_options *o,
                               cvs_figure **out, cvs_error *err) {
    (void)s;
    return cvs_layer_filters(e->model, layer_of(q), CVS_FILTERS_AUTO, false, o, out, err);
}

static cvs_status plot_pooling(slot *s, entry *e, const request *q, const cvs_figure_options *o,
                               cvs_figure **out, cvs_error *err) {
    static const int64_t still[2] = {0, 0};
    return cvs_layer_pooling(s->run, e->model, layer_of(q), still, o, out, err);
}

static cvs_status plot_unit(slot *s, entry *e, const request *q, const cvs_figure_options *o,
                            cvs_figure **out, cvs_error *err) {
    cvs_unit u;
    cvs_place place;
    int index;
    (void)e;
    if (!parse_place(arg_text(q, "layer", ""), &place, &index)) {
        index = -1;
    }
    cvs_status status = cvs_run_unit(s->run, place, index, arg_int(q, "at", -1), o->lang, &u, err);
    if (status == CVS_OK) {
        cvs_unit_data data = {.unit = &u, .layer = arg_text(q, "name", "")};
        status = cvs_draw_unit(&data, o, out, err);
        cvs_unit_free(&u);
    }
    return status;
}

static plot *plot_find(const char *what) {
    static const struct {
        const char *name;
        plot *make;
    } plots[] = {
        {"maps", plot_maps}, {"filters", plot_filters}, {"pooling", plot_pooling}, {"unit", plot_unit}};
    for (size_t i = 0; i < sizeof plots / sizeof plots[0]; i++) {
        if (strcmp(plots[i].name, what) == 0) {
            return plots[i].make;
        }
    }
    return NULL;
}

/* The figure of a job that is done. */
static cvs_status plot_job(app *a, const request *q, const cvs_figure_options *o, cvs_figure **out,
                           cvs_error *err) {
    job *j = job_enter(a, arg_int(q, "job", 0));
    if (!j) {
        return err->code = CVS_E_NOT_FOUND;
    }
    bool there = atomic_load(&j->done) && !j->failed;
    job_hold(j); /* drawing enters a slot and may take long: the table must not stay locked */
    job_leave(j);
    cvs_status s = there ? j->task->draw(a, j, o, out, err) : (err->code = CVS_E_CANCELLED);
    job_let_go(j);
    return s;
}

static void send_figure(reply *r, const cvs_figure *figure, const request *q, const char *ext,
                        const char *type, cvs_error *err) {
    char *data = NULL, dotted[8];
    size_t size = 0;
    snprintf(dotted, sizeof dotted, ".%s", ext);
    if (cvs_figure_encode(figure, dotted, 0, &data, &size, err) != CVS_OK) {
        reply_failed(r, err);
        return;
    }
    reply_copy(r, type, data, size);
    cvs_free(data);
    const char *name = arg_text(q, "what", "figure");
    size_t plain = strspn(name, "abcdefghijklmnopqrstuvwxyz");
    snprintf(r->file, sizeof r->file, "%.*s.%s", (int)(plain < 40 ? plain : 40), name, ext);
}

void api_plot(app *a, const request *q, reply *r) {
    cvs_error err = {.lang = arg_lang(q)};
    const char *ext = arg_text(q, "ext", "svg"), *type = type_of(ext), *command = arg_text(q, "command", "");
    bool of_job = arg_text(q, "job", NULL) != NULL;
    plot *make = of_job ? NULL : plot_find(arg_text(q, "what", ""));
    cvs_figure_options o = {.lang = arg_lang(q), .command = command[0] ? command : NULL};
    cvs_figure *figure = NULL;
    cvs_status status;
    o.theme = strcmp(arg_text(q, "theme", "light"), "dark") == 0 ? CVS_DARK : CVS_LIGHT;
    if (!type || (!of_job && !make)) {
        reply_error(r, 400, "no such figure or format");
        return;
    }
    if (of_job) {
        status = plot_job(a, q, &o, &figure, &err);
    } else {
        entry *e;
        slot *s = enter_slot(a, q, r, &e);
        if (!s) {
            return;
        }
        o.model = e->name;
        status = make(s, e, q, &o, &figure, &err);
        slot_leave(s);
    }
    if (status == CVS_OK) {
        send_figure(r, figure, q, ext, type, &err);
    } else {
        reply_failed(r, &err);
    }
    cvs_figure_free(figure);
}

/* SPDX-License-Identifier: MIT
 * api_why.c - explanations as jobs, two pictures or models layer by layer, the report as one file.
 */
#include <math.h>
#include <stdlib.h>
#include <stdio.h>
#include <string.h>

#include "api.h"
#include "tasks.h"

/* ---- explanations --------------------------------------------------------------------------------------------------- */

/* Any task: {"task": NAME (explain where it is missing), "m", "p", and what the task asks}. */
void api_explain(app *a, const request *q, reply *r) {
    json_t *ask = body_json(q, r);
    if (!ask) {
        return;
    }
    int64_t m = ask_int(ask, "m", 0), p = ask_int(ask, "p", 0);
    const task *t = task_find(ask_text(ask, "task"));
    const entry *e = store_model_at(a, m);
    cvs_error err = {.lang = arg_lang(q)};
    if (!e || (t && t->pictured && !store_picture_at(a, p))) {
        reply_error(r, 404, "there is no such model or picture");
    } else if (!t) {
        reply_error(r, 404, "there is no such task");
    } else if (t->check(ask, e->model, &err) != CVS_OK) {
        reply_failed(r, &err);
    } else {
        job *j = job_start(a, t, ask, (int)m, (int)p, arg_lang(q));
        if (j) {
            reply_json(r, json_pack("{si}", "job", j->id));
        } else {
            reply_error(r, 503, "too much is waiting; try again");
        }
    }
    json_decref(ask);
}

static job *find_job(app *a, const request *q, reply *r) {
    job *j = job_enter(a, arg_int(q, "job", 0));
    if (!j) {
        reply_error(r, 404, "there is no such job (any more)");
    }
    return j;
}

void api_job(app *a, const request *q, reply *r) {
    job *j = find_job(a, q, r);
    if (!j) {
        return;
    }
    char text[1200] = "";
    bool done = atomic_load(&j->done);
    if (done && j->failed) {
        cvs_error_text(&j->err, text, sizeof text);
    }
    json_t *out = json_pack("{sb so so so sb}", "done", done, "fraction", json_number_any(j->fraction),
                            "what", json_clean(j->what), "error", json_clean(text), "cancelled",
                            done && j->failed && j->err.code == CVS_E_CANCELLED);
    job_leave(j);
    reply_json(r, out);
}

void api_cancel(app *a, const request *q, reply *r) {
    job *j = find_job(a, q, r);
    if (!j) {
        return;
    }
    atomic_store(&j->cancel, true);
    job_leave(j);
    reply_json(r, json_pack("{sb}", "cancelled", true));
}

/* What a job that is done has to tell: a packet, or, as ext=npy, its numbers in the layout of the model's own file. */
void api_map(app *a, const request *q, reply *r) {
    job *j = find_job(a, q, r);
    if (!j) {
        return;
    }
    cvs_error err = {.lang = arg_lang(q)};
    cvs_tensor t = {0}, f = {0};
    bool npy = strcmp(arg_text(q, "ext", ""), "npy") == 0;
    if (!atomic_load(&j->done) || j->failed) {
        reply_error(r, 409, "this explanation has no map");
    } else if (!npy) {
        j->task->tell(j, r);
    } else if (!j->task->numbers) {
        reply_error(r, 404, "this has no single array of numbers");
    } else if (j->task->numbers(j, &t, &err) != CVS_OK ||
               cvs_tensor_convert(&t, CVS_F32, &f, &err) != CVS_OK) {
        reply_failed(r, &err);
    } else {
        reply_npy(r, &f);
        snprintf(r->file, sizeof r->file, "%s.npy", j->task->name);
    }
    cvs_tensor_free(&t);
    cvs_tensor_free(&f);
    job_leave(j);
}

/* ---- comparing ------------------------------------------------------------------------------------------------------------ */

/* How far two values lie apart: |a-b| / (|a|+|b|), root mean squares, and the cosine. */
static json_t *difference(const grid *x, const grid *y) {
    int64_t n = x->c * x->h * x->w;
    double d = 0, a = 0, b = 0, dot = 0;
    if (x->c != y->c || x->h != y->h || x->w != y->w) {
        return json_null();
    }
    for (int64_t i = 0; i < n; i++) {
        double u = (double)x->data[i], v = (double)y->data[i];
        d += (u - v) * (u - v);
        a += u * u;
        b += v * v;
        dot += u * v;
    }
    double size = sqrt(a) + sqrt(b), both = sqrt(a) * sqrt(b);
    return json_pack("[o o]", json_number_any(size > 0 ? sqrt(d) / size : 0),
                     json_number_any(both > 0 ? dot / both : 1));
}

static float *copy_of(const grid *g) {
    size_t n = (size_t)(g->c * g->h * g->w);
    float *own = malloc((n > 0 ? n : 1) * sizeof *own);
    if (own && n > 0) {
        memcpy(own, g->data, n * sizeof *own);
    }
    return own;
}

/* One layer of two runs; a lock at a time, so that two comparisons cannot wait for each other. */
static json_t *compare_layer(app *a, entry *e[2], const int p[2], int layer) {
    grid g[2] = {{0}, {0}};
    float *own[2] = {NULL, NULL};
    char where[16];
    snprintf(where, sizeof where, "%d", layer);
    for (int k = 0; k < 2; k++) {
        slot *s = slot_enter(a, e[k], p[k], NULL);
        if (s && grid_read(s, where, NULL, &g[k], NULL) == CVS_OK) {
            own[k] = copy_of(&g[k]);
            grid_free(&g[k]);
            g[k].data = own[k];
        }
        if (s) {
            slot_leave(s);
        }
    }
    json_t *j = own[0] && own[1] ? difference(&g[0], &g[1]) : json_null();
    free(own[0]);
    free(own[1]);
    return j;
}

/* Layer by layer in their order: models compared with each other must have as many layers. */
void api_compare(app *a, const request *q, reply *r) {
    cvs_error err = {.lang = arg_lang(q)};
    entry *e[2] = {store_find_model(a, q, r, "m"), NULL};
    int p[2];
    e[1] = e[0] ? store_model_at(a, arg_int(q, "m2", arg_int(q, "m", -1))) : NULL;
    if (!e[0] || !store_find_picture(a, q, r, "p", &p[0]) || !store_find_picture(a, q, r, "p2", &p[1])) {
        return;
    }
    const cvs_summary *s = store_summary(e[0], &err), *t = e[1] ? store_summary(e[1], &err) : NULL;
    if (!s || !t) {
        reply_failed(r, &err);
        return;
    }
    json_t *list = json_array();
    int n = s->n_layers < t->n_layers ? s->n_layers : t->n_layers;
    for (int i = 0; i < n && !atomic_load(&q->gone); i++) {
        json_array_append_new(list, compare_layer(a, e, p, i));
    }
    reply_json(r, json_pack("{so si si}", "layers", list, "n", s->n_layers, "n2", t->n_layers));
}

/* ---- the report ------------------------------------------------------------------------------------------------------------- */

/* One page that opens anywhere; made in a run of its own, since it takes long. */
void api_report(app *a, const request *q, reply *r) {
    cvs_error err = {.lang = arg_lang(q)};
    cvs_tensor shown = {0};
    cvs_run *run = NULL;
    char *html = NULL;
    size_t size = 0;
    int number;
    entry *e = store_find_model(a, q, r, "m");
    picture *p = e ? store_find_picture(a, q, r, "p", &number) : NULL;
    if (!p) {
        return;
    }
    cvs_run_options run_options = a->options->run;
    run_options.progress = NULL;
    cvs_report_options o = {.lang = arg_lang(q),
                            .model_path = e->command[0] ? e->command : e->name,
                            .image_path = p->command[0] ? p->command : p->name};
    cvs_status s = cvs_run_new(e->model, &run_options, &run, &err);
    s = s == CVS_OK ? run_picture(run, p, &shown, &err) : s;
    s = s == CVS_OK ? cvs_report_html(run, e->model, shown.data ? &shown : NULL, &o, &html, &size, &err) : s;
    if (s == CVS_OK) {
        reply_copy(r, "text/html; charset=utf-8", html, size);
        snprintf(r->file, sizeof r->file, "convscope-report.html");
    } else {
        reply_failed(r, &err);
    }
    cvs_free(html);
    cvs_tensor_free(&shown);
    cvs_run_free(run);
}

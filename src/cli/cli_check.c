/* SPDX-License-Identifier: MIT
 * cli_check.c - explain --check: measures the explanation and says it, as text or JSON on standard output and as a figure; and pictures
 * of data sets by number (generated:things#19), whose masks come with them.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "cli.h"
#include "cli_check.h"

/* ---- a picture of a data set ---------------------------------------------------------------------------------- */

bool cli_data_number(const char *path, char *spec, size_t size, int64_t *number) {
    const char *mark = strrchr(path, '#'), *colon = strchr(path, ':');
    char *end;
    if (!mark || !colon || colon > mark || !mark[1] || (size_t)(mark - path) >= size) {
        return false;
    }
    *number = strtoll(mark + 1, &end, 10);
    memcpy(spec, path, (size_t)(mark - path));
    spec[mark - path] = 0;
    return !*end && *number >= 0;
}

cvs_status cli_run_number(cli *c, cvs_run *run, const char *spec, int64_t number, cvs_tensor *shown,
                          cvs_tensor *mask) {
    cvs_data *data = NULL;
    cvs_data_options o = {.split = CVS_TEST};
    cvs_status s = cvs_data_open(spec, &o, &data, &c->err);
    if (s == CVS_OK) {
        s = cvs_run_data(run, data, number, shown, NULL, mask, &c->err);
    }
    cvs_data_free(data);
    return s;
}

cvs_status cli_run_picture(cli *c, const cvs_model *model, cvs_run *run, const char *path, cvs_tensor *shown,
                           cvs_tensor *mask) {
    char spec[1024];
    int64_t number;
    const char *file = cli_value(c, "--mask");
    cvs_status s = cli_data_number(path, spec, sizeof spec, &number)
                       ? cli_run_number(c, run, spec, number, shown, mask)
                       : cli_run_file(c, model, run, path, shown);
    if (s == CVS_OK && mask && file && shown->data) {
        cvs_tensor picture = {0};
        cvs_tensor_free(mask);
        s = cli_picture(c, file, &picture);
        if (s == CVS_OK) {
            s = cvs_mask_fit(model, &picture, shown->dim[0], shown->dim[1], mask, &c->err);
        }
        cvs_tensor_free(&picture);
    }
    return s;
}

/* ---- what is said ------------------------------------------------------------------------------------------------- */

static json_t *number(double v) {
    return isfinite(v) ? json_real(v) : json_null();
}

static json_t *curve_json(const cvs_removal *k) {
    json_t *x = json_array(), *y = json_array();
    for (int i = 0; i < k->n; i++) {
        json_array_append_new(x, number(k->x[i]));
        json_array_append_new(y, number(k->y[i]));
    }
    return json_pack("{s:o,s:o}", "share", x, "probability", y);
}

static json_t *likeness_json(const cvs_likeness *k) {
    return json_pack("{s:o,s:o,s:o}", "spearman_size", number(k->size), "spearman_value", number(k->value),
                     "ssim", number(k->ssim));
}

static json_t *as_json(const cli *c, const cvs_checked *k, const cvs_explanation *e) {
    json_t *metrics = json_object(), *shuffled = json_array();
    for (int i = 0; i < CVS_N_METRICS; i++) {
        cvs_metric_info m;
        if (cvs_metric_describe((cvs_metric)i, c->lang, &m, NULL) == CVS_OK && k->metric[i].verdict[0]) {
            json_object_set_new(metrics, m.name,
                                json_pack("{s:o,s:s}", "value",
                                          k->metric[i].known ? number(k->metric[i].value) : json_null(),
                                          "verdict", k->metric[i].verdict));
        }
    }
    for (int i = 0; i < k->n_shuffled; i++) {
        const cvs_shuffled *s = &k->shuffled[i];
        json_array_append_new(shuffled, json_pack("{s:s,s:i,s:o,s:o,s:o}", "layer", s->layer, "layers",
                                                  s->layers, "from_here_to_the_answer",
                                                  likeness_json(&s->down), "from_the_input_to_here",
                                                  likeness_json(&s->up), "alone", likeness_json(&s->alone)));
    }
    return json_pack("{s:s,s:i,s:s,s:o,s:s,s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:o}", "method", e->method, "target",
                     e->target_index, "layer", e->layer, "probability", number(k->probability), "caption",
                     e->caption, "metrics", metrics, "deletion", curve_json(&k->deletion), "insertion",
                     curve_json(&k->insertion), "road_without_highest", curve_json(&k->without_highest),
                     "road_without_lowest", curve_json(&k->without_lowest), "random_deletion",
                     number(k->random_deletion), "random_insertion", number(k->random_insertion),
                     "shuffled_weights", shuffled);
}

static void as_text(const cli *c, const cvs_checked *k) {
    for (int i = 0; i < CVS_N_METRICS; i++) {
        cvs_metric_info m;
        char value[32] = "-";
        if (!k->metric[i].verdict[0] || cvs_metric_describe((cvs_metric)i, c->lang, &m, NULL) != CVS_OK) {
            continue;
        }
        if (k->metric[i].known) {
            snprintf(value, sizeof value, "%.4g", k->metric[i].value);
        }
        cli_pad(stdout, m.title, 31, false);
        cli_pad(stdout, value, 10, true);
        printf("  %s\n", k->metric[i].verdict);
    }
}

static cvs_status draw(cli *c, const cvs_model *model, const cvs_checked *k, const cvs_explanation *e,
                       const char *path) {
    cli_figure figure;
    cvs_figure *picture = NULL;
    const char *title = e->method;
    int i;
    cvs_method_info m;
    if (cvs_method_find(e->method, &i, NULL) == CVS_OK &&
        cvs_method_describe(i, c->lang, &m, NULL) == CVS_OK) {
        title = m.title;
    }
    cli_figure_plain(c, model, path, &figure);
    cvs_status s = cvs_draw_checked(k, e, title, &figure.options, &picture, &c->err);
    return cli_figure_write(c, s, picture, path);
}

cvs_status cli_check(cli *c, const cvs_model *model, cvs_run *run, const cvs_explain_options *how,
                     const cvs_explanation *e, const cvs_tensor *mask) {
    cvs_checked *k = calloc(1, sizeof *k);
    cvs_check_options o = {.mask = mask && mask->data ? mask : NULL,
                           .seed = how->seed,
                           .lang = c->lang,
                           .progress = cli_progress,
                           .progress_context = c};
    const char *path = cli_value(c, "--check-figure");
    if (!k) {
        return c->err.code = CVS_E_MEMORY;
    }
    cvs_status s = cvs_check(run, how, e, &o, k, &c->err);
    cli_progress(c, "", 1.0);
    if (s == CVS_OK && path) {
        s = draw(c, model, k, e, path);
    }
    if (s == CVS_OK && cli_flag(c, "--json")) {
        json_t *json = as_json(c, k, e);
        json_dumpf(json, stdout, JSON_INDENT(1) | JSON_REAL_PRECISION(9));
        printf("\n");
        json_decref(json);
    } else if (s == CVS_OK) {
        as_text(c, k);
    }
    free(k);
    return s;
}

/* SPDX-License-Identifier: MIT
 * figures.c - what the commands that draw a layer share: options, the line of the command, opening and running.
 */
#include <string.h>

#include "cli.h"

bool cli_figure_options(cli *c, cli_figure *out) {
    *out = (cli_figure){.path = cli_value(c, "-o"), .layer = cli_value(c, "--layer")};
    out->options.lang = c->lang;
    out->options.theme = cli_theme(c);
    if (!out->path) {
        cli_usage(c,
                  CLI_T(c, "convscope %s needs -o FILE (.png, .svg or .pdf)",
                        "convscope %s 需要 -o FILE（.png、.svg 或 .pdf）"),
                  c->command->name);
        return false;
    }
    out->layer = out->layer ? out->layer : c->command->usual_layer;
    return true;
}

/* A word as a shell would need it. */
static size_t quoted(const char *word, char *out, size_t size) {
    bool plain = *word != 0;
    for (const char *s = word; *s; s++) {
        plain = plain && ((*s >= 'a' && *s <= 'z') || (*s >= 'A' && *s <= 'Z') || (*s >= '0' && *s <= '9') ||
                          strchr("-_./=,:+%@", *s) || (unsigned char)*s > 127);
    }
    size_t at = 0;
    if (!plain && at + 1 < size) {
        out[at++] = '\'';
    }
    for (const char *s = word; *s && at + 6 < size; s++) {
        if (*s == '\'') {
            memcpy(out + at, "'\\''", 4);
            at += 4;
        } else {
            out[at++] = *s;
        }
    }
    if (!plain && at + 1 < size) {
        out[at++] = '\'';
    }
    out[at] = 0;
    return at;
}

const char *cli_command_line(const cli *c, char *buf, size_t size) {
    size_t at = (size_t)snprintf(buf, size, "convscope %s", c->command->name);
    for (int i = 0; i < c->n_args && at + 8 < size; i++) {
        buf[at++] = ' ';
        at += quoted(c->args[i], buf + at, size - at);
    }
    for (int i = 0; i < c->n_set && at + 8 < size; i++) {
        at += (size_t)snprintf(buf + at, size - at, " %s", c->set[i].name);
        if (at + 8 < size && c->set[i].value[0]) {
            buf[at++] = ' ';
            at += quoted(c->set[i].value, buf + at, size - at);
        }
    }
    return buf;
}

void cli_figure_titles(cli *c, const cvs_model *model, cli_figure *figure) {
    cvs_model_info info;
    cvs_model_describe(model, &info);
    figure->options.model = info.name;
    figure->options.command = cli_command_line(c, figure->command, sizeof figure->command);
}

cvs_theme cli_theme(const cli *c) {
    const char *theme = cli_value(c, "--theme");
    return theme && strcmp(theme, "dark") == 0 ? CVS_DARK : CVS_LIGHT;
}

cvs_status cli_figure_write(cli *c, cvs_status drawn, cvs_figure *figure, const char *path) {
    cvs_status s = drawn == CVS_OK ? cvs_figure_write(figure, path, 0, &c->err) : drawn;
    cvs_figure_free(figure);
    return s;
}

int cli_layer_figure(cli *c, cli_layer_draw *draw) {
    cli_figure figure;
    cvs_run_options run_options;
    if (!cli_figure_options(c, &figure) || !cli_run_options(c, &run_options)) {
        return cvs_status_exit(CVS_E_ARGUMENT);
    }
    if (cvs_figure_check_path(figure.path, &c->err) != CVS_OK) {
        return cli_fail(c);
    }
    cvs_model *model = NULL;
    cvs_run *run = NULL;
    cvs_figure *picture = NULL;
    cvs_tensor shown = {0};
    int layer = 0;
    cvs_status s = cli_open(c, c->args[0], false, &model);
    if (s == CVS_OK) {
        s = cvs_model_find_layer(model, figure.layer, &layer, &c->err);
    }
    if (s == CVS_OK) {
        s = cvs_run_new(model, &run_options, &run, &c->err);
    }
    if (s == CVS_OK) {
        s = cli_run_layer(c, model, run, c->args[1], layer, &shown);
    }
    if (s == CVS_OK) {
        cli_figure_titles(c, model, &figure);
        s = draw(c, model, run, layer, shown.data ? &shown : NULL, &figure, &picture);
    }
    s = cli_figure_write(c, s, picture, figure.path);
    cvs_tensor_free(&shown);
    cvs_run_free(run);
    cvs_model_free(model);
    return s == CVS_OK ? 0 : c->err.code == CVS_OK ? cvs_status_exit(s) : cli_fail(c);
}

cvs_status cli_draw_explanation(cli *c, const cvs_model *model, cvs_run *run, const cvs_tensor *shown,
                                const cvs_explanation *e, const char *path) {
    cli_figure figure;
    cvs_attribution_data data = {.why = e, .picture = shown, .title = e->method};
    cvs_tensor maps = {0};
    int layer;
    cvs_model_info info;
    cvs_model_describe(model, &info);
    data.class_names = info.classes;
    data.n_class_names = info.n_classes;
    for (int i = 0; i < cvs_method_count(); i++) {
        cvs_method_info m;
        if (cvs_method_describe(i, c->lang, &m, NULL) == CVS_OK && strcmp(m.name, e->method) == 0) {
            data.title = m.title;
        }
    }
    if (e->n_votes > 0 && cvs_model_find_layer(model, e->layer, &layer, NULL) == CVS_OK &&
        cvs_run_layer(run, layer, &maps, NULL) == CVS_OK) {
        data.maps = &maps;
    }
    cli_figure_plain(c, model, path, &figure);
    cvs_figure *picture = NULL;
    cvs_status s = cvs_draw_attribution(&data, &figure.options, &picture, &c->err);
    return cli_figure_write(c, s, picture, path);
}

void cli_figure_plain(cli *c, const cvs_model *model, const char *path, cli_figure *out) {
    *out = (cli_figure){.path = path};
    out->options.lang = c->lang;
    out->options.theme = cli_theme(c);
    cli_figure_titles(c, model, out);
}

/* SPDX-License-Identifier: MIT
 * cmd_evolution.c - convscope evolution RUN [IMAGE] -o FILE: how filters, feature maps of a picture and Grad-CAM formed over the epochs, from the
 * snapshots that train kept; the strongest units among the training pictures (Zeiler and Fergus, figure 4); as a figure, an animation, into a log.
 */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "cli.h"
#include "convscope/charts.h"
#include "convscope/evolution.h"

static const cli_option options[] = {
    {"-o", "FILE", "the figure (.png, .svg or .pdf) or animation (.gif)",
     "输出图（.png、.svg 或 .pdf）或动画（.gif）"},
    {"--layer", "L",
     "whose feature maps and Grad-CAM (the last convolution; in animations and logs all convolutions)",
     "显示哪一层的特征图与 Grad-CAM（默认最后一个卷积层；动画与日志默认所有卷积层）"},
    {"--rows", "N", "channels of filters and maps (8)", "卷积核与特征图显示的通道数（8）"},
    {"--strongest", "N",
     "of each channel the unit that is strongest among N training pictures (all: every one), projected to "
     "the pixels",
     "每个通道在 N 张训练图片（all：全部）中最强的单元，投影到像素"},
    {"--data", "SPEC", "the training pictures (default: the run's own)",
     "训练图片（默认使用该次训练的数据）"},
    {"--events", "DIR", "write the pictures of every layer and epoch into a TensorBoard log",
     "把每层每轮的图片写入 TensorBoard 日志"},
    {"--theme", "light|dark", "of the figure", "图的主题"},
};

typedef struct work {
    cli *c;
    cvs_evolution *e;
    cvs_tensor image;
    cvs_evolution_layer *layers;
    int n, *epochs;
    int64_t rows, strongest;
    cvs_figure_options figure;
    char command[1500];
} work;

static bool is_gif(const char *path) {
    size_t n = path ? strlen(path) : 0;
    return n > 4 && strcasecmp(path + n - 4, ".gif") == 0;
}

/* What is looked at besides: names of a picture that needs no layers of its own are checked by who looks. */
static bool wanted(const work *w, int layer) {
    const char *name = cli_value(w->c, "--layer"), *own = cvs_evolution_layer_name(w->e, layer);
    char number[20];
    snprintf(number, sizeof number, "%d", layer);
    bool last = !cvs_evolution_layer_name(w->e, layer + 1);
    return !name || strcmp(name, own) == 0 || strcmp(name, number) == 0 ||
           (last && strcmp(name, "last-conv") == 0);
}

static cvs_status look(work *w) {
    cvs_status s = CVS_OK;
    int count = 0;
    while (cvs_evolution_layer_name(w->e, count)) {
        count++;
    }
    w->layers = calloc((size_t)count + 1, sizeof *w->layers);
    w->epochs = calloc((size_t)cvs_evolution_count(w->e) + 1, sizeof *w->epochs);
    if (!w->layers || !w->epochs) {
        return CVS_E_MEMORY;
    }
    for (int i = 0; i < cvs_evolution_count(w->e); i++) {
        w->epochs[i] = cvs_evolution_epoch(w->e, i);
    }
    cvs_evolution_want want = {.image = w->image.data ? &w->image : NULL,
                               .channels = (int)w->rows,
                               .strongest = w->strongest,
                               .data = cli_value(w->c, "--data"),
                               .lang = w->c->lang,
                               .progress = cli_progress,
                               .progress_context = w->c};
    for (int i = 0; i < count && s == CVS_OK; i++) {
        if (wanted(w, i)) {
            s = cvs_evolution_look(w->e, i, &want, &w->layers[w->n], &w->c->err);
            w->n += s == CVS_OK;
        }
    }
    cli_progress(w->c, "", 1.0);
    if (s == CVS_OK && w->n == 0) {
        char safe[200];
        cli_usage(
            w->c,
            CLI_T(w->c, "--layer %s is none of the run's convolutions", "--layer %s 不是该网络的卷积层"),
            cli_safe(cli_value(w->c, "--layer"), safe, sizeof safe));
        return CVS_E_NOT_FOUND;
    }
    return s;
}

static cvs_status write_all(work *w, const char *path) {
    const char *events = cli_value(w->c, "--events");
    cvs_error *err = &w->c->err;
    cvs_figure *figure = NULL;
    cvs_status s = CVS_OK;
    if (is_gif(path)) {
        s = cvs_evolution_gif(w->layers, w->n, w->epochs, path, &w->figure, 0, err);
    } else if (path) {
        s = cvs_draw_evolution_strip(w->layers, w->n, w->epochs, w->c->args[0], &w->figure, &figure, err);
        s = s == CVS_OK ? cvs_figure_write(figure, path, 0, err) : s;
    }
    cvs_figure_free(figure);
    return s == CVS_OK && events ? cvs_evolution_events(w->layers, w->n, w->epochs, events, &w->figure, err)
                                 : s;
}

/* Animations, logs and figure 4: from cells of every layer. */
static int run_cells(work *w, const char *path) {
    cli *c = w->c;
    cvs_status s = path && !is_gif(path) ? cvs_figure_check_path(path, &c->err) : CVS_OK;
    s = s == CVS_OK ? cvs_evolution_open(c->args[0], NULL, &w->e, &c->err) : s;
    if (s == CVS_OK && c->n_args > 1) {
        s = cli_picture(c, c->args[1], &w->image);
    }
    s = s == CVS_OK ? look(w) : s;
    s = s == CVS_OK ? write_all(w, path) : s;
    for (int i = 0; i < w->n; i++) {
        cvs_evolution_layer_free(&w->layers[i]);
    }
    free(w->layers);
    free(w->epochs);
    cvs_tensor_free(&w->image);
    cvs_evolution_free(w->e);
    return s == CVS_OK ? 0 : c->err.code == CVS_OK ? cvs_status_exit(s) : cli_fail(c);
}

static int run_figure(work *w, const char *path) {
    cli *c = w->c;
    cvs_evolution_options o = {
        .image = c->n_args > 1 ? c->args[1] : NULL, .layer = cli_value(c, "--layer"), .rows = (int)w->rows};
    cvs_figure *picture = NULL;
    cvs_status s = cvs_figure_check_path(path, &c->err);
    if (s == CVS_OK) {
        s = cvs_draw_evolution(c->args[0], &o, &w->figure, &picture, &c->err);
    }
    if (s == CVS_OK) {
        s = cvs_figure_write(picture, path, 0, &c->err);
    }
    cvs_figure_free(picture);
    return s == CVS_OK ? 0 : cli_fail(c);
}

static int run(cli *c) {
    const char *path = cli_value(c, "-o"), *many = cli_value(c, "--strongest");
    work w = {.c = c};
    if (!path && !cli_value(c, "--events")) {
        return cli_usage(c,
                         CLI_T(c, "convscope %s needs -o FILE (.png, .svg, .pdf or .gif)",
                               "convscope %s 需要 -o FILE（.png、.svg、.pdf 或 .gif）"),
                         c->command->name);
    }
    if (!cli_int(c, "--rows", 1, 200, 8, &w.rows) ||
        (many && strcmp(many, "all") != 0 && !cli_int(c, "--strongest", 1, INT64_MAX, 0, &w.strongest))) {
        return cvs_status_exit(CVS_E_ARGUMENT);
    }
    w.strongest = many && strcmp(many, "all") == 0 ? -1 : w.strongest;
    w.figure = (cvs_figure_options){
        .lang = c->lang, .theme = cli_theme(c), .command = cli_command_line(c, w.command, sizeof w.command)};
    return many || is_gif(path) || cli_value(c, "--events") ? run_cells(&w, path) : run_figure(&w, path);
}

const cli_command cli_command_evolution = {
    .name = "evolution",
    .args = "RUN [IMAGE]",
    .en = "how features formed over the epochs: filters, feature maps of a picture, Grad-CAM",
    .zh = "特征在各轮中如何形成：卷积核、某张图片的特征图、Grad-CAM",
    .min_args = 1,
    .max_args = 2,
    .options = options,
    .n_options = sizeof options / sizeof options[0],
    .run = run,
};

/* SPDX-License-Identifier: MIT
 * cmd_evolution.c - convscope evolution RUN [IMAGE] -o FILE: how filters, feature maps of a picture and Grad-CAM formed over the epochs,
 * from the snapshots that train kept.
 */
#include <string.h>

#include "cli.h"
#include "convscope/charts.h"

static const cli_option options[] = {
    {"-o", "FILE", "the figure (.png, .svg or .pdf)", "输出图（.png、.svg 或 .pdf）"},
    {"--layer", "L", "whose feature maps and Grad-CAM (the last convolution)",
     "显示哪一层的特征图与 Grad-CAM（默认最后一个卷积层）"},
    {"--rows", "N", "channels of filters and maps (8)", "卷积核与特征图显示的通道数（8）"},
    {"--theme", "light|dark", "of the figure", "图的主题"},
};

static int run(cli *c) {
    const char *path = cli_value(c, "-o"), *theme = cli_value(c, "--theme");
    char command[1500];
    int64_t rows;
    if (!path) {
        return cli_usage(c,
                         CLI_T(c, "convscope %s needs -o FILE (.png, .svg or .pdf)",
                               "convscope %s 需要 -o FILE（.png、.svg 或 .pdf）"),
                         c->command->name);
    }
    if (!cli_int(c, "--rows", 1, 200, 8, &rows)) {
        return cvs_status_exit(CVS_E_ARGUMENT);
    }
    cvs_evolution_options o = {
        .image = c->n_args > 1 ? c->args[1] : NULL, .layer = cli_value(c, "--layer"), .rows = (int)rows};
    cvs_figure_options figure = {.lang = c->lang,
                                 .theme = theme && strcmp(theme, "dark") == 0 ? CVS_DARK : CVS_LIGHT,
                                 .command = cli_command_line(c, command, sizeof command)};
    cvs_figure *picture = NULL;
    cvs_status s = cvs_figure_check_path(path, &c->err);
    if (s == CVS_OK) {
        s = cvs_draw_evolution(c->args[0], &o, &figure, &picture, &c->err);
    }
    if (s == CVS_OK) {
        s = cvs_figure_write(picture, path, 0, &c->err);
    }
    cvs_figure_free(picture);
    return s == CVS_OK ? 0 : cli_fail(c);
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

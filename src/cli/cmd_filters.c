/* SPDX-License-Identifier: MIT
 * cmd_filters.c - convscope filters MODEL --layer L -o F: the kernels of a layer as a picture.
 */
#include <string.h>

#include "cli.h"

static const cli_option options[] = {
    {"--layer", "L", "layer: name, number, last-conv (first-conv)",
     "层：名称、编号或 last-conv（first-conv）"},
    {"--view", "auto|color|slices|norm", "how a kernel of many channels is shown (auto)",
     "多通道卷积核的显示方式（auto）"},
    {"--sort", NULL, "largest norm first", "按范数从大到小排列"},
};

static bool view_of(const char *text, cvs_filter_view *out) {
    static const char *const names[] = {"auto", "color", "slices", "norm"};
    static const cvs_filter_view views[] = {CVS_FILTERS_AUTO, CVS_FILTERS_COLOR, CVS_FILTERS_SLICES,
                                            CVS_FILTERS_NORM};
    *out = CVS_FILTERS_AUTO;
    for (int i = 0; text && i < 4; i++) {
        if (strcmp(text, names[i]) == 0) {
            *out = views[i];
            return true;
        }
    }
    return !text;
}

static int run(cli *c) {
    cli_figure figure;
    cvs_filter_view view;
    if (!cli_figure_options(c, &figure)) {
        return cvs_status_exit(CVS_E_ARGUMENT);
    }
    if (!view_of(cli_value(c, "--view"), &view)) {
        return cli_usage(c, CLI_T(c, "--view is auto, color, slices or norm",
                                  "--view 只能是 auto、color、slices 或 norm"));
    }
    if (cvs_figure_check_path(figure.path, &c->err) != CVS_OK) {
        return cli_fail(c);
    }
    cvs_model *model = NULL;
    cvs_figure *picture = NULL;
    int layer;
    cvs_status s = cli_open(c, c->args[0], false, &model);
    if (s == CVS_OK) {
        s = cvs_model_find_layer(model, figure.layer, &layer, &c->err);
    }
    if (s == CVS_OK) {
        cli_figure_titles(c, model, &figure);
        s = cvs_layer_filters(model, layer, view, cli_flag(c, "--sort"), &figure.options, &picture, &c->err);
    }
    if (s == CVS_OK) {
        s = cvs_figure_write(picture, figure.path, 0, &c->err);
    }
    cvs_figure_free(picture);
    cvs_model_free(model);
    return s == CVS_OK ? 0 : cli_fail(c);
}

const cli_command cli_command_filters = {
    .name = "filters",
    .args = "MODEL [--layer L] -o FILE",
    .usual_layer = "first-conv",
    .en = "kernels of a layer as pictures, with bias, norm and rank",
    .zh = "某一层的卷积核图，含偏置、范数与秩",
    .min_args = 1,
    .max_args = 1,
    .groups = CLI_MODEL | CLI_FIGURE,
    .options = options,
    .n_options = sizeof options / sizeof options[0],
    .run = run,
};

/* SPDX-License-Identifier: MIT
 * cmd_activations.c - convscope activations MODEL IMAGE --layer L -o F: every feature map of a layer.
 */
#include "cli.h"

static const cli_option options[] = {
    {"--layer", "L", "layer: name, number, last-conv (first-conv)",
     "层：名称、编号或 last-conv（first-conv）"},
    {"--own-scale", NULL, "every map by its own largest value (default: one scale for the layer)",
     "每张特征图用各自的最大值标度（默认整层共用一个标度）"},
};

static cvs_status draw(cli *c, const cvs_model *model, cvs_run *run, int layer, const cvs_tensor *shown,
                       const cli_figure *figure, cvs_figure **out) {
    return cvs_layer_activations(run, model, layer, shown, cli_flag(c, "--own-scale"), &figure->options, out,
                                 &c->err);
}

static int run(cli *c) {
    return cli_layer_figure(c, draw);
}

const cli_command cli_command_activations = {
    .name = "activations",
    .args = "MODEL IMAGE [--layer L] -o FILE",
    .usual_layer = "first-conv",
    .en = "every feature map of a layer, none dropped, dead ones marked",
    .zh = "某一层的全部特征图，标出失活的图",
    .min_args = 2,
    .max_args = 2,
    .groups = CLI_MODEL | CLI_INPUT | CLI_RUN | CLI_FIGURE,
    .options = options,
    .n_options = sizeof options / sizeof options[0],
    .run = run,
};

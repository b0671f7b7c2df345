/* SPDX-License-Identifier: MIT
 * cmd_pooling.c - convscope pooling MODEL IMAGE --layer L -o F: windows, winners and output of a pooling layer.
 */
#include <stdio.h>

#include "cli.h"

static const cli_option options[] = {
    {"--layer", "L", "pooling layer: name or number (first-pool)", "池化层：名称或编号（first-pool）"},
    {"--shift", "DX,DY", "also pool the input moved by this much, count the winners that move",
     "将输入平移后再池化，统计改变的最大值位置"},
};

static cvs_status draw(cli *c, const cvs_model *model, cvs_run *run, int layer, const cvs_tensor *shown,
                       const cli_figure *figure, cvs_figure **out) {
    (void)shown;
    int64_t shift[2] = {0, 0};
    const char *text = cli_value(c, "--shift");
    int dx = 0, dy = 0, end = 0;
    if (text && (sscanf(text, "%d,%d%n", &dx, &dy, &end) != 2 || text[end] || dx < -4096 || dx > 4096 ||
                 dy < -4096 || dy > 4096)) {
        cli_usage(c, CLI_T(c, "--shift is DX,DY in positions, such as 1,0",
                           "--shift 应为 DX,DY（单位：位置），如 1,0"));
        return CVS_E_ARGUMENT;
    }
    shift[0] = dx;
    shift[1] = dy;
    return cvs_layer_pooling(run, model, layer, shift, &figure->options, out, &c->err);
}

static int run(cli *c) {
    return cli_layer_figure(c, draw);
}

const cli_command cli_command_pooling = {
    .name = "pooling",
    .args = "MODEL IMAGE [--layer L] -o FILE",
    .usual_layer = "first-pool",
    .en = "input, windows, winners and output of a pooling layer",
    .zh = "池化层的输入、窗口、最大值位置与输出",
    .min_args = 2,
    .max_args = 2,
    .groups = CLI_MODEL | CLI_INPUT | CLI_RUN | CLI_FIGURE,
    .options = options,
    .n_options = sizeof options / sizeof options[0],
    .run = run,
};

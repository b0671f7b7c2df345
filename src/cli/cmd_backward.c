/* SPDX-License-Identifier: MIT
 * cmd_backward.c - convscope backward MODEL IMAGE --layer L --channel K: a unit's activations on the way up beside the signal on the way
 * back, layer by layer.
 */
#include <stdio.h>

#include "cli.h"

static const cli_option options[] = {
    {"--layer", "L", "the unit's layer: name, number, last-conv (last-conv)",
     "单元所在的层：名称、编号或 last-conv（last-conv）"},
    {"--channel", "K", "its channel, from 0 (0)", "其通道，从 0 数起（0）"},
    {"--at", "ROW,COLUMN", "its position (where the channel is largest)",
     "其位置：行,列（默认为该通道的最大处）"},
    {"--layers", "N", "layers shown on the way down (8)", "向下显示的层数（8）"},
    {"--sample", "N", "which sample of a .npy with several (0)", ".npy 含多个样本时选择哪一个（0）"},
};

static cvs_status draw(cli *c, const cvs_model *model, cvs_run *run, int layer, const cvs_tensor *shown,
                       const cli_figure *figure, cvs_figure **out) {
    int64_t most;
    (void)layer;
    cvs_unit_options o = {.layer = figure->layer, .lang = c->lang};
    cvs_signals signals = {0};
    cvs_model_info info;
    if (!cli_int(c, "--channel", 0, INT32_MAX, 0, &o.channel) ||
        !cli_int(c, "--sample", 0, INT64_MAX, 0, &o.sample) || !cli_int(c, "--layers", 2, 64, 8, &most) ||
        !cli_place(c, &o)) {
        return CVS_E_ARGUMENT; /* said already */
    }
    cvs_model_describe(model, &info);
    cvs_status s = cvs_follow(run, &o, (int)most, &signals, &c->err);
    s = s == CVS_OK
            ? cvs_draw_signals(&signals, info.preprocess->order, shown, &figure->options, out, &c->err)
            : s;
    if (s == CVS_OK) {
        cli_say(c, "%s", signals.caption);
    }
    cvs_signals_free(&signals);
    return s;
}

static int run(cli *c) {
    return cli_layer_figure(c, draw);
}

const cli_command cli_command_backward = {
    .name = "backward",
    .args = "MODEL IMAGE --layer L --channel K -o FILE",
    .en = "forward beside backward: a unit's activations and its signal back, layer by layer",
    .zh = "正向与反向并列：单元的激活值与逐层返回的信号",
    .min_args = 2,
    .max_args = 2,
    .groups = CLI_MODEL | CLI_INPUT | CLI_RUN | CLI_FIGURE,
    .options = options,
    .n_options = sizeof options / sizeof options[0],
    .run = run,
};

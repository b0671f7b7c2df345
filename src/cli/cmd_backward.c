/* SPDX-License-Identifier: MIT
 * cmd_backward.c - convscope backward MODEL IMAGE [--layer L] [--channel K]: a unit's activations on the way up beside the signal on the way
 * back, layer by layer.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"

static const cli_option options[] = {
    {"--layer", "L", "the unit's layer: name, number, last-conv (last-conv)",
     "单元所在的层：名称、编号或 last-conv（last-conv）"},
    {"--channel", "K", "its channel, from 0 (0)", "其通道，从 0 数起（0）"},
    {"--at", "ROW,COLUMN", "its position (where the channel is largest)",
     "其位置：行,列（默认为该通道的最大处）"},
    {"--layers", "N", "layers shown on the way down (8)", "向下显示的层数（8）"},
    {"--sample", "N", "which sample of a .npy with several (0)", ".npy 含多个样本时选择哪一个（0）"},
    {"--csv", "FILE", "layer, channel, and the share of zeros forward and back under each rule",
     "层、通道，以及正向与各规则反向信号中零的占比"},
    {"--raw", "DIR", "every plane as .npy: 00_forward, 00_gradient, 00_deconvnet, 00_guided, 01_...",
     "每幅图的原始数值（.npy）：00_forward、00_gradient、00_deconvnet、00_guided、01_……"},
};

static const char *const rules[CVS_SIGNAL_RULES] = {"gradient", "deconvnet", "guided"};

static cvs_status write_csv(cli *c, const cvs_signals *s, const char *path) {
    cli_table t;
    if (!cli_table_begin(c, &t)) {
        return CVS_E_MEMORY;
    }
    fprintf(t.to, "layer,channel,channels,zeros_forward,zeros_gradient,zeros_deconvnet,zeros_guided\n");
    for (int i = 0; i < s->n; i++) {
        const cvs_signal *l = &s->layers[i];
        cli_csv_cell(t.to, l->layer);
        fprintf(t.to, ",%lld,%lld,%.6g,%.6g,%.6g,%.6g\n", (long long)l->channel, (long long)l->channels,
                l->zeros[0], l->zeros[1], l->zeros[2], l->zeros[3]);
    }
    return cli_table_end(c, &t, path);
}

static cvs_status write_raw(cli *c, const cvs_signals *s, const char *folder) {
    cvs_status status = cvs_folder_make(folder, NULL, &c->err);
    for (int i = 0; i < s->n; i++) {
        for (int k = 0; k <= CVS_SIGNAL_RULES && status == CVS_OK; k++) {
            char path[4200];
            snprintf(path, sizeof path, "%.4000s/%02d_%s.npy", folder, i, k ? rules[k - 1] : "forward");
            status = cvs_npy_write(path, k ? &s->layers[i].back[k - 1] : &s->layers[i].forward, &c->err);
        }
    }
    return status;
}

static cvs_status write_numbers(cli *c, const cvs_signals *s) {
    const char *csv = cli_value(c, "--csv"), *raw = cli_value(c, "--raw");
    cvs_status status = csv ? write_csv(c, s, csv) : CVS_OK;
    return status == CVS_OK && raw ? write_raw(c, s, raw) : status;
}

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
    s = s == CVS_OK ? write_numbers(c, &signals) : s;
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
    .args = "MODEL IMAGE [--layer L] [--channel K] -o FILE",
    .en = "forward beside backward: a unit's activations and its signal back, layer by layer",
    .zh = "正向与反向并列：单元的激活值与逐层返回的信号",
    .min_args = 2,
    .max_args = 2,
    .groups = CLI_MODEL | CLI_INPUT | CLI_RUN | CLI_FIGURE,
    .options = options,
    .n_options = sizeof options / sizeof options[0],
    .run = run,
    .usual_layer = "last-conv",
};

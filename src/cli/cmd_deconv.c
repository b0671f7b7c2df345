/* SPDX-License-Identifier: MIT
 * cmd_deconv.c - convscope deconv MODEL IMAGE --layer L --channel K: a unit projected down to the pixels (Zeiler and Fergus 2014).
 */
#include <string.h>

#include "cli.h"

static const cli_option options[] = {
    {"--layer", "L", "layer: name, number, last-conv (last-conv)", "层：名称、编号或 last-conv（last-conv）"},
    {"--channel", "K", "the channel whose largest unit is projected, from 0",
     "要投影其最大单元的通道，从 0 数起"},
    {"--at", "ROW,COLUMN", "another unit of that channel", "该通道中的另一个单元：行,列"},
    {"--rule", "R", "how the signal passes rectifiers: deconvnet, guided, gradient (deconvnet)",
     "信号经过整流器的规则：deconvnet、guided、gradient（deconvnet）"},
    {"--sample", "N", "which sample of a .npy with several (0)", ".npy 含多个样本时选择哪一个（0）"},
    {"--raw", "FILE.npy", "the projection itself: signed, not scaled", "投影的原始数值：带正负号，不缩放"},
};

/* A usage error was said, or the options are filled. */
static bool read_options(cli *c, cvs_unit_options *o) {
    static const char *const rules[] = {"deconvnet", "guided", "gradient"};
    const char *at = cli_value(c, "--at"), *rule = cli_value(c, "--rule");
    *o = (cvs_unit_options){.layer = cli_value(c, "--layer"), .lang = c->lang};
    if (!cli_int(c, "--channel", 0, INT32_MAX, 0, &o->channel) ||
        !cli_int(c, "--sample", 0, INT64_MAX, 0, &o->sample)) {
        return false;
    }
    if (at) {
        long long row = 0, column = 0;
        int end = 0;
        if (sscanf(at, "%9lld,%9lld%n", &row, &column, &end) != 2 || at[end]) {
            cli_usage(c, CLI_T(c, "--at is ROW,COLUMN, such as 3,5", "--at 应为 行,列，如 3,5"));
            return false;
        }
        o->has_position = true;
        o->row = row;
        o->column = column;
    }
    for (int i = 0; rule && i < 3; i++) {
        if (strcmp(rule, rules[i]) == 0) {
            o->rule = (cvs_backward_rule)i;
            return true;
        }
    }
    if (rule) {
        cli_usage(c, CLI_T(c, "--rule is deconvnet, guided or gradient",
                           "--rule 只能是 deconvnet、guided 或 gradient"));
    }
    return !rule;
}

static cvs_status write_raw(cli *c, const cvs_projection *p, const char *path) {
    cvs_tensor t = {0};
    cvs_status s = cvs_projection_file(p, cli_value(c, "--layout"), &t, &c->err);
    if (s == CVS_OK) {
        s = cvs_npy_write(path, &t, &c->err);
    }
    cvs_tensor_free(&t);
    return s;
}

static cvs_status project(cli *c, const cvs_run_options *run_options, const cvs_unit_options *o,
                          const char *raw) {
    cvs_model *model = NULL;
    cvs_run *run = NULL;
    cvs_tensor shown = {0};
    cvs_projection p = {0};
    int layer;
    cvs_status s = cvs_output_check(raw, &c->err);
    if (s == CVS_OK) {
        s = cli_open(c, c->args[0], false, &model);
    }
    if (s == CVS_OK && o->layer) {
        s = cvs_model_find_layer(model, o->layer, &layer, &c->err);
    }
    if (s == CVS_OK) {
        s = cvs_run_new(model, run_options, &run, &c->err);
    }
    if (s == CVS_OK) {
        s = cli_run_file(c, model, run, c->args[1], &shown);
    }
    if (s == CVS_OK) {
        s = cvs_project(run, o, &p, &c->err);
    }
    if (s == CVS_OK) {
        s = write_raw(c, &p, raw);
    }
    if (s == CVS_OK) {
        cli_say(c, "%s", p.caption);
    }
    cvs_projection_free(&p);
    cvs_tensor_free(&shown);
    cvs_run_free(run);
    cvs_model_free(model);
    return s;
}

static int run(cli *c) {
    cvs_run_options run_options;
    cvs_unit_options o;
    const char *raw = cli_value(c, "--raw");
    if (!cli_value(c, "--channel") || !raw) {
        return cli_usage(c, CLI_T(c, "convscope deconv needs --channel K and --raw FILE.npy",
                                  "convscope deconv 需要 --channel K 与 --raw FILE.npy"));
    }
    if (!read_options(c, &o) || !cli_run_options(c, &run_options)) {
        return cvs_status_exit(CVS_E_ARGUMENT);
    }
    run_options.for_gradients = true;
    return project(c, &run_options, &o, raw) == CVS_OK ? 0 : cli_fail(c);
}

const cli_command cli_command_deconv = {
    .name = "deconv",
    .args = "MODEL IMAGE --layer L --channel K --raw FILE.npy",
    .en = "what excites a unit: its activation projected down to the pixels",
    .zh = "什么激发了某个单元：把其激活值投影回像素",
    .min_args = 2,
    .max_args = 2,
    .groups = CLI_MODEL | CLI_INPUT | CLI_RUN,
    .options = options,
    .n_options = sizeof options / sizeof options[0],
    .run = run,
};

/* SPDX-License-Identifier: MIT
 * cmd_invariance.c - convscope invariance MODEL IMAGE: how far layers move, and the answer, when the picture is moved, scaled, turned.
 */
#include <stdlib.h>

#include "cli.h"

static const cli_option options[] = {
    {"--from", "L", "the lower layer (the first one with kernels)", "较低的层（第一个带卷积核的层）"},
    {"--to", "L", "the upper layer (what the logits are made of)", "较高的层（logit 的输入）"},
    {"--target", "INDEX|NAME|top", "the class to follow (top)", "所跟踪的类别（top：预测的类别）"},
    {"--steps", "N", "points of each curve (25)", "每条曲线的点数（25）"},
    {"--csv", "FILE", "change, amount, distance of both layers, probability", "变化、幅度、两层的距离、概率"},
};

static cvs_status write_csv(cli *c, const cvs_invariance *v, const char *path) {
    static const char *const names[] = {"move", "scale", "turn"};
    cli_table t;
    if (!cli_table_begin(c, &t)) {
        return CVS_E_MEMORY;
    }
    fprintf(t.to, "change,amount,distance_low,distance_high,probability\n");
    for (int k = 0; k < CVS_CHANGES; k++) {
        for (int i = 0; i < v->steps; i++) {
            fprintf(t.to, "%s,%.9g,%.9g,%.9g,%.9g\n", names[k], v->amount[k][i], v->distance[k][0][i],
                    v->distance[k][1][i], v->probability[k][i]);
        }
    }
    return cli_table_end(c, &t, path);
}

static cvs_status draw(cli *c, const cvs_model *model, const cvs_invariance *v) {
    cli_figure figure;
    cvs_figure *picture = NULL;
    cli_figure_plain(c, model, cli_value(c, "-o"), &figure);
    cvs_status s = cvs_draw_invariance(v, &figure.options, &picture, &c->err);
    return cli_figure_write(c, s, picture, cli_value(c, "-o"));
}

static cvs_status measure(cli *c, const cvs_run_options *run_options, cvs_invariance_options *o) {
    cvs_model *model = NULL;
    cvs_tensor picture = {0};
    cvs_invariance v = {0};
    cvs_target target = {.index = -1};
    const char *figure = cli_value(c, "-o"), *csv = cli_value(c, "--csv");
    cvs_status s = figure ? cvs_figure_check_path(figure, &c->err) : CVS_OK;
    s = s == CVS_OK && csv ? cvs_output_check(csv, &c->err) : s;
    s = s == CVS_OK ? cli_open(c, c->args[0], false, &model) : s;
    s = s == CVS_OK ? cvs_target_parse(model, cli_value(c, "--target"), &target, &c->err) : s;
    o->target = target.index;
    s = s == CVS_OK ? cli_picture(c, c->args[1], &picture) : s;
    s = s == CVS_OK ? cvs_measure_invariance(model, run_options, &picture, o, &v, &c->err) : s;
    s = s == CVS_OK && csv ? write_csv(c, &v, csv) : s;
    s = s == CVS_OK && figure ? draw(c, model, &v) : s;
    if (s == CVS_OK) {
        cli_say(c, "%s", v.caption);
    }
    cvs_invariance_free(&v);
    cvs_tensor_free(&picture);
    cvs_model_free(model);
    return s;
}

static int run(cli *c) {
    cvs_run_options run_options;
    int64_t steps;
    cvs_invariance_options o = {.first = cli_value(c, "--from"),
                                .last = cli_value(c, "--to"),
                                .lang = c->lang,
                                .progress = cli_progress,
                                .progress_context = c};
    if (!cli_value(c, "-o") && !cli_value(c, "--csv")) {
        return cli_usage(c, CLI_T(c, "convscope invariance needs -o FILE or --csv FILE",
                                  "convscope invariance 需要 -o FILE 或 --csv FILE"));
    }
    if (!cli_int(c, "--steps", 2, 1000, 25, &steps) || !cli_run_options(c, &run_options)) {
        return cvs_status_exit(CVS_E_ARGUMENT);
    }
    run_options.progress = NULL;
    o.steps = (int)steps;
    return measure(c, &run_options, &o) == CVS_OK ? 0 : cli_fail(c);
}

const cli_command cli_command_invariance = {
    .name = "invariance",
    .args = "MODEL IMAGE -o FILE",
    .en = "how far layers and the answer move when the picture is moved, scaled and turned",
    .zh = "图片平移、缩放、旋转时，各层与答案变化多少",
    .min_args = 2,
    .max_args = 2,
    .groups = CLI_MODEL | CLI_INPUT | CLI_RUN | CLI_FIGURE,
    .options = options,
    .n_options = sizeof options / sizeof options[0],
    .run = run,
};

/* SPDX-License-Identifier: MIT
 * cmd_dissect.c - convscope dissect MODEL DATA: which feature maps light up on which objects, by the masks of the data set.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "convscope/dissect.h"

static const cli_option options[] = {
    {"--layer", "L", "layer: name, number, last-conv (last-conv)", "层：名称、编号或 last-conv（last-conv）"},
    {"--share", "X", "share of a map's positions that lie above its threshold (0.005)",
     "特征图中超过阈值的位置所占比例（0.005）"},
    {"--pictures", "N", "pictures of the data (200)", "使用的图片数（200）"},
    {"--split", "train|test", "which pictures (test)", "使用哪部分图片（test）"},
    {"--csv", "FILE", "channel, threshold, class, intersection over union: all pairs",
     "通道、阈值、类别、交并比：全部组合"},
    {"--raw", "FILE.npy", "intersection over union, [channels, classes]", "交并比，[通道, 类别]"},
};

static cvs_status write_csv(cli *c, const cvs_dissection *d, const cvs_data_info *info, const char *path) {
    cli_table t;
    if (!cli_table_begin(c, &t)) {
        return CVS_E_MEMORY;
    }
    fprintf(t.to, "channel,threshold,class,iou\n");
    for (int i = 0; i < d->channels * d->classes; i++) {
        fprintf(t.to, "%d,%.9g,", i / d->classes, d->threshold[i / d->classes]);
        cli_csv_cell(t.to, info->classes[i % d->classes]);
        fprintf(t.to, ",%.9g\n", d->iou[i]);
    }
    return cli_table_end(c, &t, path);
}

static cvs_status write_raw(cli *c, const cvs_dissection *d, const char *path) {
    cvs_tensor t;
    int64_t dim[2] = {d->channels, d->classes};
    cvs_status s = cvs_tensor_new(&t, CVS_F32, 2, dim, &c->err);
    for (int i = 0; s == CVS_OK && i < d->channels * d->classes; i++) {
        ((float *)t.data)[i] = (float)d->iou[i];
    }
    s = s == CVS_OK ? cvs_npy_write(path, &t, &c->err) : s;
    cvs_tensor_free(&t);
    return s;
}

/* Every map, the one that fits its class best first. */
static void print_table(const cli *c, const cvs_dissection *d, const cvs_data_info *info) {
    bool *done = calloc((size_t)d->channels, sizeof *done);
    int detectors = 0;
    printf("%8s  %-20s %8s  %s\n", CLI_T(c, "channel", "通道"), CLI_T(c, "class", "类别"),
           CLI_T(c, "IoU", "交并比"), CLI_T(c, "threshold", "阈值"));
    for (int n = 0; n < d->channels && done; n++) {
        int next = -1;
        for (int k = 0; k < d->channels; k++) {
            double v = d->iou[k * d->classes + d->best[k]];
            if (!done[k] && (next < 0 || v > d->iou[next * d->classes + d->best[next]])) {
                next = k;
            }
        }
        double v = d->iou[next * d->classes + d->best[next]];
        const char *const *names = c->lang == CVS_ZH && info->classes_zh ? info->classes_zh : info->classes;
        char safe[80];
        done[next] = true;
        detectors += v >= 0.04;
        printf("%8d  ", next);
        cli_pad(stdout, cli_safe(names[d->best[next]], safe, sizeof safe), 20, false);
        printf(" %8.4f  %.4g\n", v, d->threshold[next]);
    }
    free(done);
    cli_say(c,
            CLI_T(c, "%d of %d maps are detectors (0.04 or more).",
                  "%d 张特征图（共 %d 张）是检测器（0.04 及以上）。"),
            detectors, d->channels);
}

static cvs_status dissect(cli *c, const cvs_run_options *run_options, const cvs_data_options *which,
                          const cvs_dissect_options *o) {
    const char *csv = cli_value(c, "--csv"), *raw = cli_value(c, "--raw");
    cvs_model *model = NULL;
    cvs_data *data = NULL;
    cvs_dissection d = {0};
    cvs_data_info info;
    cvs_status s = csv ? cvs_output_check(csv, &c->err) : CVS_OK;
    s = s == CVS_OK && raw ? cvs_output_check(raw, &c->err) : s;
    s = s == CVS_OK ? cli_open(c, c->args[0], false, &model) : s;
    s = s == CVS_OK ? cvs_data_open(c->args[1], which, &data, &c->err) : s;
    if (s == CVS_OK) {
        cvs_data_describe(data, &info);
        s = cvs_dissect(model, run_options, data, o, &d, &c->err);
        cli_progress(c, "", 1.0);
    }
    s = s == CVS_OK && csv ? write_csv(c, &d, &info, csv) : s;
    s = s == CVS_OK && raw ? write_raw(c, &d, raw) : s;
    if (s == CVS_OK) {
        print_table(c, &d, &info);
        cli_say(c, "%s", d.caption);
    }
    cvs_dissection_free(&d);
    cvs_data_free(data);
    cvs_model_free(model);
    return s;
}

static int run(cli *c) {
    const char *split = cli_value(c, "--split"), *share = cli_value(c, "--share");
    cvs_run_options run_options;
    cvs_dissect_options o = {
        .layer = cli_value(c, "--layer"), .lang = c->lang, .progress = cli_progress, .progress_context = c};
    if (!cli_int(c, "--pictures", 1, 1000000, 0, &o.pictures) || !cli_run_options(c, &run_options)) {
        return cvs_status_exit(CVS_E_ARGUMENT);
    }
    char *end = NULL;
    o.has_share = share != NULL;
    o.share = share ? strtod(share, &end) : 0;
    if (share && (end == share || *end || !isfinite(o.share))) {
        return cli_usage(c, CLI_T(c, "--share is a number from 0 to 1", "--share 应为 0 到 1 的数字"));
    }
    cvs_data_options which = {.split = split && split[1] == 'r' ? CVS_TRAIN : CVS_TEST};
    cvs_status s = dissect(c, &run_options, &which, &o);
    return s == CVS_OK ? 0 : cli_fail(c);
}

const cli_command cli_command_dissect = {
    .name = "dissect",
    .args = "MODEL DATA",
    .en = "network dissection: which feature maps light up on which objects, by the data's masks",
    .zh = "网络解剖：按数据集的掩膜，哪些特征图在哪些物体上激活",
    .min_args = 2,
    .max_args = 2,
    .groups = CLI_MODEL | CLI_INPUT | CLI_RUN,
    .options = options,
    .n_options = sizeof options / sizeof options[0],
    .run = run,
};

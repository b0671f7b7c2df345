/* SPDX-License-Identifier: MIT
 * cmd_deconv.c - convscope deconv MODEL IMAGE|DATA --layer L --channel K: a unit projected down to the pixels; over a data set or a
 * folder, of each channel the pictures that excite it most (Zeiler and Fergus 2014).
 */
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "cli_check.h"

static const cli_option options[] = {
    {"--layer", "L", "layer: name, number, last-conv (last-conv)", "层：名称、编号或 last-conv（last-conv）"},
    {"--channel", "K[,K...]", "the channel whose largest unit is projected, from 0; of DATA: which channels",
     "要投影其最大单元的通道，从 0 数起；对 DATA 可列出多个通道"},
    {"--at", "ROW,COLUMN", "another unit of that channel", "该通道中的另一个单元：行,列"},
    {"--rule", "R", "how the signal passes rectifiers: deconvnet, guided, gradient (deconvnet)",
     "信号经过整流器的规则：deconvnet、guided、gradient（deconvnet）"},
    {"--sample", "N", "which sample of a .npy with several (0)", ".npy 含多个样本时选择哪一个（0）"},
    {"--maps", "N", "of DATA without --channel: this many channels, spread evenly (12)",
     "对 DATA 且未给 --channel：均匀选取的通道数（12）"},
    {"--top", "N", "of DATA: pictures for each channel (9)", "对 DATA：每个通道的图片数（9）"},
    {"--crop", "field|effective|whole",
     "of DATA: cut to all that the unit can see, to the square that holds 99 % of its projection, or not "
     "(field)",
     "对 DATA：裁剪为单元所能看到的全部范围、包含其投影 99 % 的方形，或不裁剪（field）"},
    {"--limit", "N", "of DATA: at most this many pictures (all)", "对 DATA：最多使用的图片数（全部）"},
    {"--csv", "FILE", "of DATA: channel, rank, activation, row, column, picture",
     "对 DATA：通道、名次、激活值、行、列、图片"},
    {"--raw", "FILE.npy", "the projection itself: signed, not scaled; of DATA: a folder for all of them",
     "投影的原始数值：带正负号，不缩放；对 DATA 则为存放全部投影的文件夹"},
};

enum { MOST_CHANNELS = 4096 };

static bool read_rule(cli *c, cvs_backward_rule *out) {
    static const char *const rules[] = {"deconvnet", "guided", "gradient"};
    const char *rule = cli_value(c, "--rule");
    *out = CVS_BACK_DECONVNET;
    for (int i = 0; rule && i < 3; i++) {
        if (strcmp(rule, rules[i]) == 0) {
            *out = (cvs_backward_rule)i;
            return true;
        }
    }
    if (rule) {
        cli_usage(c, CLI_T(c, "--rule is deconvnet, guided or gradient",
                           "--rule 只能是 deconvnet、guided 或 gradient"));
    }
    return !rule;
}

/* Where results go, checked before the work. */
static cvs_status check_places(cli *c, bool data) {
    const char *figure = cli_value(c, "-o"), *raw = cli_value(c, "--raw"), *csv = cli_value(c, "--csv");
    cvs_status s = figure ? cvs_figure_check_path(figure, &c->err) : CVS_OK;
    if (s == CVS_OK && raw && !data) {
        s = cvs_output_check(raw, &c->err);
    }
    return s == CVS_OK && csv ? cvs_output_check(csv, &c->err) : s;
}

static cvs_channel_order order_of(const cvs_model *model) {
    cvs_model_info info;
    cvs_model_describe(model, &info);
    return info.preprocess->order;
}

/* ---- one picture ---------------------------------------------------------------------------------------- */

static bool read_unit(cli *c, cvs_unit_options *o) {
    *o = (cvs_unit_options){.layer = cli_value(c, "--layer"), .lang = c->lang};
    if (!cli_value(c, "--channel")) {
        cli_usage(c, CLI_T(c, "convscope deconv of one picture needs --channel K",
                           "对单张图片，convscope deconv 需要 --channel K"));
        return false;
    }
    if (!cli_int(c, "--channel", 0, INT32_MAX, 0, &o->channel) ||
        !cli_int(c, "--sample", 0, INT64_MAX, 0, &o->sample) || !read_rule(c, &o->rule)) {
        return false;
    }
    return cli_place(c, o);
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

/* A view of the channel's plane, or a tensor without data where it has none. */
static cvs_tensor channel_plane(const cvs_tensor *layer, int64_t sample, int64_t channel) {
    cvs_tensor out = {0};
    if (layer->rank == 4 && layer->dtype == CVS_F32 && layer->data && sample < layer->dim[0]) {
        int64_t area = layer->dim[2] * layer->dim[3];
        out = (cvs_tensor){.dtype = CVS_F32, .rank = 2, .dim = {layer->dim[2], layer->dim[3]}};
        out.data = (float *)layer->data + (sample * layer->dim[1] + channel) * area;
        out.bytes = (size_t)area * sizeof(float);
    }
    return out;
}

static cvs_status draw_unit(cli *c, const cvs_model *model, cvs_run *run, const cvs_tensor *shown,
                            const cvs_unit_options *o, const cvs_projection *p) {
    cli_figure figure = {0};
    cvs_tensor layer = {0}, plane = {0};
    cvs_figure *picture = NULL;
    int number;
    if (cvs_model_find_layer(model, p->layer, &number, NULL) == CVS_OK &&
        cvs_run_layer(run, number, &layer, NULL) == CVS_OK) {
        plane = channel_plane(&layer, o->sample, o->channel);
    }
    cvs_projection_data data = {.projection = p,
                                .channel = o->channel,
                                .order = order_of(model),
                                .picture = shown->data ? shown : NULL,
                                .map = plane.data ? &plane : NULL};
    cli_figure_plain(c, model, cli_value(c, "-o"), &figure);
    cvs_status s = cvs_draw_projection(&data, &figure.options, &picture, &c->err);
    return cli_figure_write(c, s, picture, figure.path);
}

static cvs_status project(cli *c, const cvs_run_options *run_options, const cvs_unit_options *o) {
    cvs_model *model = NULL;
    cvs_run *run = NULL;
    cvs_tensor shown = {0};
    cvs_projection p = {0};
    int layer;
    cvs_status s = check_places(c, false);
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
    if (s == CVS_OK && cli_value(c, "--raw")) {
        s = write_raw(c, &p, cli_value(c, "--raw"));
    }
    if (s == CVS_OK && cli_value(c, "-o")) {
        s = draw_unit(c, model, run, &shown, o, &p);
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

/* ---- a set of pictures ------------------------------------------------------------------------------------ */

/* "3,17,40" */
static bool read_channels(cli *c, int64_t *channels, int *n) {
    const char *at = cli_value(c, "--channel");
    for (*n = 0; at && *at; (*n)++) {
        char *end;
        long v = strtol(at, &end, 10);
        if (end == at || v < 0 || v > INT32_MAX || (*end && *end != ',') || *n == MOST_CHANNELS) {
            cli_usage(c, CLI_T(c, "--channel is K or K,K,..., numbers from 0",
                               "--channel 应为 K 或 K,K,...，从 0 数起"));
            return false;
        }
        channels[*n] = v;
        at = *end ? end + 1 : end;
    }
    return true;
}

static cvs_status write_csv(cli *c, const cvs_top *top, const char *path) {
    cli_table t;
    if (!cli_table_begin(c, &t)) {
        return CVS_E_MEMORY;
    }
    fprintf(t.to, "channel,rank,activation,row,column,picture\n");
    for (int i = 0; i < top->n_channels * top->top; i++) {
        const cvs_top_unit *u = &top->units[i];
        if (u->picture) {
            fprintf(t.to, "%lld,%d,%.9g,%lld,%lld,", (long long)top->channels[i / top->top], i % top->top + 1,
                    u->value, (long long)u->row, (long long)u->column);
            cli_csv_cell(t.to, u->picture);
            putc('\n', t.to);
        }
    }
    return cli_table_end(c, &t, path);
}

static cvs_status write_projections(cli *c, const cvs_top *top, const char *folder) {
    bool made;
    cvs_status s = cvs_folder_make(folder, &made, &c->err);
    for (int i = 0; i < top->n_channels * top->top && s == CVS_OK; i++) {
        char path[4400];
        snprintf(path, sizeof path, "%s/channel%lld_%d.npy", folder, (long long)top->channels[i / top->top],
                 i % top->top + 1);
        s = top->units[i].picture ? cvs_npy_write(path, &top->units[i].projection, &c->err) : CVS_OK;
    }
    return s;
}

static cvs_status write_top(cli *c, const cvs_model *model, const cvs_top *top) {
    cvs_status s = CVS_OK;
    if (cli_value(c, "-o")) {
        cli_figure figure = {0};
        cvs_figure *picture = NULL;
        cli_figure_plain(c, model, cli_value(c, "-o"), &figure);
        s = cvs_draw_top(top, order_of(model), &figure.options, &picture, &c->err);
        s = cli_figure_write(c, s, picture, figure.path);
    }
    if (s == CVS_OK && cli_value(c, "--csv")) {
        s = write_csv(c, top, cli_value(c, "--csv"));
    }
    if (s == CVS_OK && cli_value(c, "--raw")) {
        s = write_projections(c, top, cli_value(c, "--raw"));
    }
    return s;
}

static cvs_status search(cli *c, const cvs_run_options *run_options, const cvs_top_options *o,
                         int64_t limit) {
    cvs_model *model = NULL;
    cvs_pictures *pictures = NULL;
    cvs_top top = {0};
    cvs_data_options data = {.limit = limit};
    int layer;
    cvs_status s = check_places(c, true);
    if (s == CVS_OK) {
        s = cli_open(c, c->args[0], false, &model);
    }
    if (s == CVS_OK && o->layer) {
        s = cvs_model_find_layer(model, o->layer, &layer, &c->err);
    }
    if (s == CVS_OK) {
        s = cvs_pictures_open(c->args[1], &data, &pictures, &c->err);
    }
    if (s == CVS_OK) {
        s = cvs_top_units(model, run_options, pictures, o, &top, &c->err);
    }
    if (s == CVS_OK) {
        s = write_top(c, model, &top);
    }
    if (s == CVS_OK) {
        const char *first;
        int64_t skipped = cvs_pictures_skipped(pictures, &first);
        cli_say(c, "%s", top.caption);
        if (skipped > 0) {
            cli_say(c,
                    CLI_T(c, "note: %lld pictures could not be read, the first is %s",
                          "注：有 %lld 张图片无法读取，第一张是 %s"),
                    (long long)skipped, first);
        }
    }
    cvs_top_free(&top);
    cvs_pictures_free(pictures);
    cvs_model_free(model);
    return s;
}

static int run_data(cli *c, const cvs_run_options *run_options) {
    int64_t *channels = malloc(MOST_CHANNELS * sizeof *channels), maps, top, limit;
    cvs_top_options o = {
        .layer = cli_value(c, "--layer"), .lang = c->lang, .progress = cli_progress, .progress_context = c};
    if (!channels) {
        c->err.code = CVS_E_MEMORY;
        return cli_fail(c);
    }
    if (!read_rule(c, &o.rule) || !read_channels(c, channels, &o.n_channels) ||
        !cli_int(c, "--maps", 1, MOST_CHANNELS, 0, &maps) || !cli_int(c, "--top", 1, 100, 0, &top) ||
        !cli_int(c, "--limit", 1, INT64_MAX, 0, &limit)) {
        free(channels);
        return cvs_status_exit(CVS_E_ARGUMENT);
    }
    static const char *const crops[] = {"field", "effective", "whole"};
    const char *crop = cli_value(c, "--crop");
    int which = 0;
    while (crop && which < 3 && strcmp(crop, crops[which]) != 0) {
        which++;
    }
    if (which == 3) {
        free(channels);
        return cli_usage(
            c, CLI_T(c, "--crop is field, effective or whole", "--crop 只能是 field、effective 或 whole"));
    }
    o.crop = (cvs_top_crop)which;
    o.channels = channels;
    o.maps = (int)maps;
    o.top = (int)top;
    cvs_status s = search(c, run_options, &o, limit);
    free(channels);
    return s == CVS_OK ? 0 : cli_fail(c);
}

static int run(cli *c) {
    cvs_run_options run_options;
    cvs_unit_options unit;
    char spec[1024];
    int64_t number; /* one picture of a data set is one picture */
    bool data = !cli_data_number(c->args[1], spec, sizeof spec, &number) && cvs_is_pictures(c->args[1]);
    if (!cli_value(c, "-o") && !cli_value(c, "--raw") && !(data && cli_value(c, "--csv"))) {
        return cli_usage(c, CLI_T(c, "convscope deconv needs -o FILE or --raw FILE.npy",
                                  "convscope deconv 需要 -o FILE 或 --raw FILE.npy"));
    }
    if (!cli_run_options(c, &run_options)) {
        return cvs_status_exit(CVS_E_ARGUMENT);
    }
    if (data) {
        return run_data(c, &run_options);
    }
    if (!read_unit(c, &unit)) {
        return cvs_status_exit(CVS_E_ARGUMENT);
    }
    run_options.for_gradients = true;
    return project(c, &run_options, &unit) == CVS_OK ? 0 : cli_fail(c);
}

const cli_command cli_command_deconv = {
    .name = "deconv",
    .args = "MODEL IMAGE|DATA --layer L --channel K -o FILE",
    .en = "what excites a unit: projected down to the pixels; the strongest pictures of a set",
    .zh = "什么激发了某个单元：投影回像素；数据集中最强的图片",
    .min_args = 2,
    .max_args = 2,
    .groups = CLI_MODEL | CLI_INPUT | CLI_RUN | CLI_FIGURE,
    .options = options,
    .n_options = sizeof options / sizeof options[0],
    .run = run,
};

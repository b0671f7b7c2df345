/* SPDX-License-Identifier: MIT
 * cmd_diagnose.c - convscope diagnose MODEL DATA: what is wrong with a trained network, what it could do without, and (--apply) the
 * network without it.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "cli.h"

static const cli_option options[] = {
    {"--pictures", "N", "pictures of the data: one half chooses, the other measures (400)",
     "使用的图片数：一半用于选择，另一半用于测量（400）"},
    {"--split", "train|test", "which pictures (test)", "使用哪部分图片（test）"},
    {"--tolerance", "X", "accuracy (and loss, in nats) that removals may cost (0.01)",
     "移除允许损失的准确率（以及损失函数增量，单位 nat）（0.01）"},
    {"--method", "NAME", "whose maps say where the evidence lies (gradcam)",
     "用哪种方法的热图判断证据位置（gradcam）"},
    {"--work", "X", "multiply-accumulates that switching filters off may take (1e12)",
     "逐个关闭卷积核允许花费的乘加次数（1e12）"},
    {"--seed", "N", "of the halves (0)", "划分两半的随机种子（0）"},
    {"--apply", "FILE", "write the network without everything that may go together (.onnx)",
     "写出移除全部可省部分后的网络（.onnx）"},
};

/* ---- JSON ------------------------------------------------------------------------------------------------------------ */

static json_t *number(double v) {
    return isfinite(v) ? json_real(v) : json_null();
}

static json_t *text(const char *s) {
    char safe[1100];
    return json_string(cli_safe(s, safe, sizeof safe));
}

static json_t *effect_json(const cvs_effect *e) {
    return e->measured ? json_pack("{s:o,s:o,s:o,s:I,s:I}", "accuracy", number(e->accuracy), "loss",
                                   number(e->loss), "changed_answers", number(e->changed), "macs",
                                   (json_int_t)e->macs, "params", (json_int_t)e->params)
                       : json_null();
}

static json_t *finding_json(const cli *c, const cvs_finding *f) {
    cvs_finding_info info = {0};
    json_t *filters = json_array();
    cvs_finding_describe(f->kind, c->lang, &info, NULL);
    for (int i = 0; i < f->n_filters; i++) {
        json_array_append_new(filters, json_integer(f->filters[i]));
    }
    json_t *o = json_pack("{s:s,s:s,s:o,s:o,s:o,s:i,s:o,s:b}", "kind", info.name, "title", info.title,
                          "layer", text(f->layer), "evidence", text(f->evidence), "filters", filters, "of",
                          f->of, "without", effect_json(&f->without), "taken", f->taken);
    if (f->kept[0]) {
        json_object_set_new(o, "kept_because", text(f->kept));
    }
    if (f->kind == CVS_FIND_PLACE) {
        json_object_set_new(o, "place",
                            json_pack("{s:I,s:I,s:I,s:I}", "row", (json_int_t)f->box[0], "column",
                                      (json_int_t)f->box[1], "rows", (json_int_t)f->box[2], "columns",
                                      (json_int_t)f->box[3]));
    }
    return o;
}

static json_t *layers_json(const cvs_model_diagnosis *d) {
    json_t *list = json_array();
    for (int i = 0; i < d->n_layers; i++) {
        const cvs_layer_health *h = &d->layers[i];
        json_t *loss = json_array();
        for (int k = 0; k < h->filters && h->tried > 0; k++) {
            json_array_append_new(loss, number(h->loss[k]));
        }
        json_array_append_new(
            list, json_pack("{s:o,s:i,s:i,s:i,s:i,s:i,s:o,s:o,s:o,s:o,s:i,s:o}", "layer", text(h->layer),
                            "filters", h->filters, "dead", h->dead, "duplicate", h->duplicate, "dependent",
                            h->dependent, "insensitive", h->insensitive, "effective_rank", number(h->rank),
                            "zeros", number(h->zeros), "field", number(h->field), "field_seen",
                            number(h->seen), "switched_off", h->tried, "loss_when_off", loss));
    }
    return list;
}

static json_t *as_json(const cli *c, const cvs_model_diagnosis *d) {
    json_t *findings = json_array(), *confusion = json_array(), *classes = json_array(),
           *place = json_array();
    json_t *object = json_array(), *outside = json_array();
    for (int i = 0; i < d->n_findings; i++) {
        json_array_append_new(findings, finding_json(c, &d->findings[i]));
    }
    for (int k = 0; k < d->n_classes; k++) {
        json_t *row = json_array();
        for (int j = 0; j < d->n_classes; j++) {
            json_array_append_new(row, json_integer(d->confusion[k * d->n_classes + j]));
        }
        json_array_append_new(confusion, row);
        json_array_append_new(classes, text(d->classes[k]));
        json_array_append_new(outside, number(d->has_masks ? d->class_outside[k] : (double)NAN));
    }
    for (int i = 0; i < CVS_PLACES * CVS_PLACES; i++) {
        json_array_append_new(place, number(d->place[i]));
        json_array_append_new(object, number(d->has_masks ? d->object[i] : (double)NAN));
    }
    return json_pack("{s:I,s:I,s:I,s:o,s:o,s:i,s:o,s:o,s:o,s:o,s:i,s:o,s:o,s:o,s:o,s:o,s:s}", "pictures",
                     (json_int_t)d->pictures, "choosing", (json_int_t)d->choosing, "measuring",
                     (json_int_t)d->measuring, "network", effect_json(&d->whole), "together",
                     effect_json(&d->joint), "taken", d->n_taken, "findings", findings, "layers",
                     layers_json(d), "classes", classes, "confusion", confusion, "places_a_side", CVS_PLACES,
                     "answers_changed_by_place", place, "object_by_place", object, "outside_by_class",
                     outside, "outside", number(d->has_masks ? d->outside : (double)NAN), "outside_by_chance",
                     number(d->has_masks ? d->chance : (double)NAN), "method", d->method);
}

/* ---- text ------------------------------------------------------------------------------------------------------------ */

static void print_effect(const cli *c, const cvs_model_diagnosis *d, const cvs_effect *e, bool place) {
    double macs = 100.0 * (1.0 - (double)e->macs / (double)(d->whole.macs > 0 ? d->whole.macs : 1));
    double params = 100.0 * (1.0 - (double)e->params / (double)(d->whole.params > 0 ? d->whole.params : 1));
    if (place) {
        printf(CLI_T(c, "accuracy %.3f -> %.3f, loss %.3f -> %.3f, %.1f %% of the answers change\n",
                     "准确率 %.3f -> %.3f，损失 %.3f -> %.3f，%.1f %% 的回答改变\n"),
               d->whole.accuracy, e->accuracy, d->whole.loss, e->loss, 100.0 * e->changed);
        return;
    }
    printf(
        CLI_T(c,
              "accuracy %.3f -> %.3f, loss %.3f -> %.3f, %.1f %% of the answers change, MACs -%.1f %%, "
              "parameters -%.1f %%\n",
              "准确率 %.3f -> %.3f，损失 %.3f -> %.3f，%.1f %% 的回答改变，乘加 -%.1f %%，参数 -%.1f %%\n"),
        d->whole.accuracy, e->accuracy, d->whole.loss, e->loss, 100.0 * e->changed, macs, params);
}

static void print_finding(const cli *c, const cvs_model_diagnosis *d, const cvs_finding *f) {
    cvs_finding_info info = {0};
    cvs_finding_describe(f->kind, c->lang, &info, NULL);
    printf("%s%s%s%s\n", f->taken ? "* " : "- ", info.title, f->layer[0] ? ": " : "", f->layer);
    printf("    %s\n", f->evidence);
    if (f->without.measured) {
        printf("    %s", f->kind == CVS_FIND_PLACE ? CLI_T(c, "covered: ", "遮住后：")
                                                   : CLI_T(c, "without: ", "移除后："));
        print_effect(c, d, &f->without, f->kind == CVS_FIND_PLACE);
    }
    if (f->kept[0]) {
        printf(CLI_T(c, "    cannot be cut out: %s\n", "    无法切除：%s\n"), f->kept);
    }
}

static void print_layers(const cli *c, const cvs_model_diagnosis *d) {
    static const char *const heads[2][9] = {
        {"layer", "filters", "dead", "twins", "mixable", "spare", "rank", "zeros", "sees"},
        {"层", "卷积核", "死亡", "重复", "可混合", "可省", "有效秩", "零值", "视野"}};
    static const int widths[9] = {22, 9, 7, 7, 9, 7, 8, 8, 14};
    for (int k = 0; k < 9; k++) {
        cli_pad(stdout, heads[c->lang == CVS_ZH][k], widths[k], k > 0);
    }
    printf("\n");
    for (int i = 0; i < d->n_layers; i++) {
        const cvs_layer_health *h = &d->layers[i];
        char safe[140], rank[24] = "-", sees[40] = "-";
        if (h->rank > 0.0) {
            snprintf(rank, sizeof rank, "%.1f", h->rank);
        }
        if (h->seen > 0.0) {
            snprintf(sees, sizeof sees, "%.0f / %.0f", h->seen, h->field);
        }
        cli_pad(stdout, cli_safe(h->layer, safe, sizeof safe), 22, false);
        printf("%9d%7d%7d%9d%7d%8s%7.1f%%%14s\n", h->filters, h->dead, h->duplicate, h->dependent,
               h->insensitive, rank, 100.0 * h->zeros, sees);
    }
}

static void print_text(const cli *c, const cvs_model_diagnosis *d) {
    char macs[40], params[40];
    printf(
        CLI_T(
            c,
            "%lld pictures: %lld choose, %lld measure. Accuracy %.3f, loss %.3f; %s MACs, %s parameters.\n\n",
            "%lld 张图片：%lld 张用于选择，%lld 张用于测量。准确率 %.3f，损失 %.3f；乘加 %s，参数 %s。\n\n"),
        (long long)d->pictures, (long long)d->choosing, (long long)d->measuring, d->whole.accuracy,
        d->whole.loss, cli_short((double)d->whole.macs, macs, sizeof macs),
        cli_grouped(d->whole.params, params, sizeof params));
    if (d->guessing) {
        printf("%s\n\n", CLI_T(c,
                               "On these pictures the network answers hardly better than chance: what its "
                               "filters are worth cannot be judged from them.",
                               "在这些图片上，网络的回答与随机猜测相差无几：无法据此判断各卷积核的价值。"));
    }
    print_layers(c, d);
    printf("\n");
    for (int i = 0; i < d->n_findings; i++) {
        print_finding(c, d, &d->findings[i]);
    }
    if (d->n_taken > 0) {
        printf(CLI_T(c, "\nEverything marked * together: ", "\n标有 * 的全部移除："));
        print_effect(c, d, &d->joint, false);
    } else {
        printf("\n%s\n", CLI_T(c, "Nothing can go without costing accuracy.",
                               "没有可以在不损失准确率的情况下移除的部分。"));
    }
    if (d->n_too_few > 0) {
        printf(CLI_T(c, "Too few pictures for rank, duplicates and mixtures of %d layers: --pictures.\n",
                     "图片太少，无法判断 %d 层的秩、重复与混合：可用 --pictures 增加。\n"),
               d->n_too_few);
    }
    if (d->channels_limited) {
        printf("%s\n", CLI_T(c, "Not every filter was switched off: --work bounds it.",
                             "并非每个卷积核都被关闭测试过：受 --work 限制。"));
    }
}

/* ---- the command -------------------------------------------------------------------------------------------------------- */

static bool real(cli *c, const char *name, double otherwise, double low, double high, double *out) {
    const char *value = cli_value(c, name);
    char *end;
    *out = otherwise;
    if (!value) {
        return true;
    }
    *out = strtod(value, &end);
    if (end == value || *end || !(*out >= low && *out <= high)) {
        char safe[60];
        cli_usage(
            c, CLI_T(c, "%s is \"%s\", a number from %g to %g expected", "%s 的值是“%s”，应为 %g 到 %g 的数"),
            name, cli_safe(value, safe, sizeof safe), low, high);
        return false;
    }
    return true;
}

static cvs_status draw(cli *c, const cvs_model *model, const cvs_model_diagnosis *d, const char *path) {
    cli_figure figure;
    cvs_figure *picture = NULL;
    cli_figure_plain(c, model, path, &figure);
    cvs_status s = cvs_draw_diagnosis(d, &figure.options, &picture, &c->err);
    return cli_figure_write(c, s, picture, path);
}

static cvs_status apply(cli *c, const cvs_model *model, const cvs_run_options *ro, const cvs_data *data,
                        const cvs_diagnose_options *o, const cvs_model_diagnosis *d) {
    const char *path = cli_value(c, "--apply");
    double difference;
    cvs_status s = cvs_model_diagnosis_write(d, model, ro, data, o, path, &difference, &c->err);
    if (s == CVS_OK) {
        cli_say(c,
                CLI_T(c, "%s: %d findings taken; read back, its logits differ by at most %.2g",
                      "%s：已移除 %d 项；重新读入后 logit 最大相差 %.2g"),
                path, d->n_taken, difference);
    }
    return s;
}

static cvs_status say_all(cli *c, const cvs_model *model, const cvs_model_diagnosis *d) {
    cvs_status s = cli_value(c, "-o") ? draw(c, model, d, cli_value(c, "-o")) : CVS_OK;
    if (s == CVS_OK && cli_flag(c, "--json")) {
        json_t *json = as_json(c, d);
        json_dumpf(json, stdout, JSON_INDENT(1) | JSON_REAL_PRECISION(9));
        printf("\n");
        json_decref(json);
    } else if (s == CVS_OK) {
        print_text(c, d);
    }
    return s;
}

static cvs_status diagnose(cli *c, const cvs_run_options *ro, const cvs_data_options *data_options,
                           const cvs_diagnose_options *o) {
    cvs_model *model = NULL;
    cvs_data *data = NULL;
    cvs_model_diagnosis *d = NULL;
    cvs_status s = cli_value(c, "-o") ? cvs_figure_check_path(cli_value(c, "-o"), &c->err) : CVS_OK;
    if (s == CVS_OK && cli_value(c, "--apply")) {
        s = cvs_output_check(cli_value(c, "--apply"), &c->err);
    }
    if (s == CVS_OK) {
        s = cli_open(c, c->args[0], false, &model);
    }
    if (s == CVS_OK) {
        s = cvs_data_open(c->args[1], data_options, &data, &c->err);
    }
    if (s == CVS_OK) {
        s = cvs_diagnose_model(model, ro, data, o, &d, &c->err);
        cli_progress(c, "", 1.0);
    }
    if (s == CVS_OK && cli_value(c, "--apply")) {
        s = apply(c, model, ro, data, o, d);
    }
    if (s == CVS_OK) {
        s = say_all(c, model, d);
    }
    cvs_model_diagnosis_free(d);
    cvs_data_free(data);
    cvs_model_free(model);
    return s;
}

static int run(cli *c) {
    const char *split = cli_value(c, "--split");
    int64_t pictures, seed;
    cvs_run_options ro;
    cvs_diagnose_options o = {
        .method = cli_value(c, "--method"), .lang = c->lang, .progress = cli_progress, .progress_context = c};
    if (!cli_int(c, "--pictures", 2, 10000000, 400, &pictures) ||
        !cli_int(c, "--seed", 0, INT64_MAX, 0, &seed) ||
        !real(c, "--tolerance", 0.01, 1e-9, 1.0, &o.tolerance) ||
        !real(c, "--work", 1e12, 1.0, 1e18, &o.work) || !cli_run_options(c, &ro)) {
        return cvs_status_exit(CVS_E_ARGUMENT);
    }
    o.pictures = pictures;
    o.seed = (uint64_t)seed;
    ro.progress = NULL;
    /* The limit spreads them evenly over the classes. */
    cvs_data_options data_options = {.split = split && split[1] == 'r' ? CVS_TRAIN : CVS_TEST,
                                     .limit = pictures};
    return diagnose(c, &ro, &data_options, &o) == CVS_OK ? 0 : cli_fail(c);
}

const cli_command cli_command_diagnose = {
    .name = "diagnose",
    .args = "MODEL DATA",
    .en = "what is wrong with a network and what it could do without, each measured; --apply removes it",
    .zh = "网络有什么问题、哪些部分可以省去，逐项实测；--apply 将其移除",
    .min_args = 2,
    .max_args = 2,
    .groups = CLI_MODEL | CLI_INPUT | CLI_RUN | CLI_FIGURE | CLI_JSON,
    .options = options,
    .n_options = sizeof options / sizeof options[0],
    .run = run,
};

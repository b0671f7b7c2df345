/* SPDX-License-Identifier: MIT
 * cmd_info.c - convscope info MODEL: every layer with shape, parameters, multiply-accumulates, activation bytes, receptive field.
 */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"

static json_t *shape_json(int rank, const int64_t *dim) {
    json_t *list = json_array();
    for (int i = 0; i < rank; i++) {
        json_array_append_new(list, json_integer(dim[i]));
    }
    return list;
}

static json_t *text_json(const char *s) {
    char safe[2048];
    return json_string(cli_safe(s ? s : "", safe, sizeof safe));
}

static json_t *layer_json(const cvs_layer *l) {
    json_t *o = json_object();
    json_object_set_new(o, "index", json_integer(l->index));
    json_object_set_new(o, "name", text_json(l->name));
    json_object_set_new(o, "node", text_json(l->node));
    json_object_set_new(o, "op", text_json(l->op));
    json_object_set_new(o, "settings", text_json(l->settings));
    json_object_set_new(o, "dtype", json_string(cvs_dtype_name(l->dtype)));
    json_object_set_new(o, "shape", l->rank >= 0 ? shape_json(l->rank, l->dim) : json_null());
    json_object_set_new(o, "params", json_integer(l->params));
    json_object_set_new(o, "macs", json_integer(l->macs));
    json_object_set_new(o, "flops", json_integer(l->flops));
    json_object_set_new(o, "activation_bytes", json_integer(l->bytes));
    json_object_set_new(o, "live_bytes", json_integer(l->live_bytes));
    json_object_set_new(o, "peak_bytes", json_integer(l->peak_bytes));
    json_object_set_new(o, "receptive_field", l->has_field ? shape_json(2, l->field) : json_null());
    json_object_set_new(o, "stride", l->has_field ? shape_json(2, l->jump) : json_null());
    json_object_set_new(o, "runs", json_boolean(l->runnable));
    return o;
}

static json_t *port_json(const cvs_port *p) {
    json_t *shape = json_array();
    for (int i = 0; i < p->rank; i++) {
        json_array_append_new(shape, p->dim[i] < 0 ? json_null() : json_integer(p->dim[i]));
    }
    json_t *o = json_object();
    json_object_set_new(o, "name", text_json(p->name));
    json_object_set_new(o, "dtype", json_string(cvs_dtype_name(p->dtype)));
    json_object_set_new(o, "shape", p->rank >= 0 ? json_incref(shape) : json_null());
    json_object_set_new(o, "channels_last", json_boolean(p->channels_last));
    json_decref(shape);
    return o;
}

static json_t *ports_json(const cvs_model *model, int n, bool inputs, cvs_error *err) {
    json_t *list = json_array();
    for (int i = 0; i < n; i++) {
        cvs_port p;
        if ((inputs ? cvs_model_input : cvs_model_output)(model, i, &p, err) == CVS_OK) {
            json_array_append_new(list, port_json(&p));
        }
    }
    return list;
}

static void print_json(cli *c, const cvs_model *model, const cvs_model_info *info, const cvs_summary *s) {
    json_t *o = json_object(), *layers = json_array(), *totals = json_object(), *classes = json_array(),
           *notes = json_array();
    char text[300];
    for (int i = 0; i < s->n_layers; i++) {
        json_array_append_new(layers, layer_json(&s->layers[i]));
    }
    for (int i = 0; i < info->n_classes; i++) {
        json_array_append_new(classes, text_json(info->classes[i]));
    }
    for (int i = 0; i < info->n_notes; i++) {
        json_array_append_new(notes, text_json(info->notes[i]));
    }
    json_object_set_new(totals, "params", json_integer(s->params));
    json_object_set_new(totals, "params_trainable", json_integer(s->params_trainable));
    json_object_set_new(totals, "macs", json_integer(s->macs));
    json_object_set_new(totals, "flops", json_integer(s->flops));
    json_object_set_new(totals, "activation_bytes", json_integer(s->activation_bytes));
    json_object_set_new(totals, "weight_bytes", json_integer(s->weight_bytes));
    json_object_set_new(totals, "live_peak_bytes", json_integer(s->live_peak_bytes));
    json_object_set_new(totals, "peak_bytes", json_integer(s->peak_bytes));
    json_object_set_new(totals, "unknown_operators", json_integer(s->n_unknown));
    json_object_set_new(o, "name", text_json(info->name));
    json_object_set_new(o, "file", text_json(info->path));
    json_object_set_new(o, "format", text_json(info->format));
    json_object_set_new(o, "producer", text_json(info->producer));
    json_object_set_new(o, "has_weights", json_boolean(info->has_weights));
    json_object_set_new(o, "computed_for_input", text_json(s->input));
    json_object_set_new(o, "preprocess", text_json(cvs_preprocess_text(info->preprocess, text, sizeof text)));
    json_object_set_new(o, "preprocess_known", json_boolean(info->preprocess->known));
    json_object_set_new(o, "inputs", ports_json(model, info->n_inputs, true, &c->err));
    json_object_set_new(o, "outputs", ports_json(model, info->n_outputs, false, &c->err));
    json_object_set_new(o, "classes", classes);
    json_object_set_new(o, "notes", notes);
    json_object_set_new(o, "layers", layers);
    json_object_set_new(o, "totals", totals);
    json_dumpf(o, stdout, JSON_INDENT(1));
    printf("\n");
    json_decref(o);
}

enum { COLUMNS = 13 };

static void percent(int64_t part, int64_t whole, char cell[200]) {
    cell[0] = 0;
    if (part > 0 && whole > 0) {
        snprintf(cell, 200, "%.1f", 100.0 * (double)part / (double)whole);
    }
}

static void pair(const int64_t v[2], char cell[200]) {
    snprintf(cell, 200, v[0] == v[1] ? "%lld" : "%lldx%lld", (long long)v[0], (long long)v[1]);
}

static void layer_row(const cli *c, const cvs_summary *s, const cvs_layer *l, char cell[COLUMNS][200]) {
    char shape[120], op[80];
    snprintf(cell[0], 200, "%d", l->index);
    cli_safe(l->name, cell[1], 80);
    snprintf(cell[2], 200, "%.60s%s", cli_safe(l->op, op, sizeof op),
             l->runnable ? "" : CLI_T(c, " (unknown)", "（未知）"));
    snprintf(cell[3], 200, "%s", l->settings);
    snprintf(cell[4], 200, "%s", l->rank >= 0 ? cvs_shape_text(l->rank, l->dim, shape, sizeof shape) : "?");
    cell[5][0] = cell[7][0] = cell[11][0] = cell[12][0] = 0;
    if (l->params) {
        cli_grouped(l->params, cell[5], 200);
    }
    if (l->macs) {
        cli_short((double)l->macs, cell[7], 200);
    }
    percent(l->params, s->params, cell[6]);
    percent(l->macs, s->macs, cell[8]);
    cli_bytes(l->bytes, cell[9], 200);
    cli_bytes(l->peak_bytes, cell[10], 200);
    if (l->has_field) {
        pair(l->field, cell[11]);
        pair(l->jump, cell[12]);
    }
}

/* Prints rows in two passes: measure, then pad. Numbers stand right. */
static void print_table(const cli *c, const cvs_summary *s) {
    const char *head[COLUMNS] = {"#",
                                 CLI_T(c, "layer", "层"),
                                 CLI_T(c, "operator", "算子"),
                                 CLI_T(c, "settings", "设置"),
                                 CLI_T(c, "output", "输出形状"),
                                 CLI_T(c, "params", "参数量"),
                                 CLI_T(c, "%", "%"),
                                 CLI_T(c, "MACs", "乘加数"),
                                 CLI_T(c, "%", "%"),
                                 CLI_T(c, "activation", "激活内存"),
                                 CLI_T(c, "peak so far", "至此峰值"),
                                 CLI_T(c, "field", "感受野"),
                                 CLI_T(c, "stride", "总步长")};
    static const bool right[COLUMNS] = {true, false, false, false, false, true, true,
                                        true, true,  true,  true,  true,  true};
    int width[COLUMNS];
    char cell[COLUMNS][200];
    for (int k = 0; k < COLUMNS; k++) {
        width[k] = cli_width(head[k]);
    }
    for (int i = 0; i < s->n_layers; i++) {
        layer_row(c, s, &s->layers[i], cell);
        for (int k = 0; k < COLUMNS; k++) {
            int w = cli_width(cell[k]);
            width[k] = w > width[k] ? w : width[k];
        }
    }
    for (int i = -1; i < s->n_layers; i++) {
        if (i >= 0) {
            layer_row(c, s, &s->layers[i], cell);
        }
        for (int k = 0; k < COLUMNS; k++) {
            cli_pad(stdout, i < 0 ? head[k] : cell[k], k + 1 < COLUMNS ? width[k] + 2 * !right[k] : width[k],
                    right[k]);
            printf("%s", right[k] && k + 1 < COLUMNS ? "  " : "");
        }
        printf("\n");
    }
}

static void print_ports(const cli *c, const cvs_model *model, const cvs_model_info *info) {
    cvs_port p;
    char shape[160], safe[200];
    for (int i = 0; i < info->n_inputs + info->n_outputs; i++) {
        bool in = i < info->n_inputs;
        if ((in ? cvs_model_input(model, i, &p, NULL)
                : cvs_model_output(model, i - info->n_inputs, &p, NULL)) == CVS_OK) {
            printf("%s  %s  %s %s%s\n",
                   in ? CLI_T(c, "input   ", "输入    ") : CLI_T(c, "output  ", "输出    "),
                   cli_safe(p.name, safe, sizeof safe), p.dtype == CVS_NONE ? "" : cvs_dtype_name(p.dtype),
                   p.rank >= 0 ? cvs_shape_text(p.rank, p.dim, shape, sizeof shape) : "",
                   p.channels_last ? CLI_T(c, "  (channels last in the file)", "（文件中通道在最后）") : "");
        }
    }
}

static void print_text(const cli *c, const cvs_model *model, const cvs_model_info *info,
                       const cvs_summary *s) {
    char a[64], b[64], d[64], text[300], made[200];
    printf("%s  %s%s%s\n", cli_safe(info->name, text, sizeof text), info->format,
           info->producer[0] ? ", " : "", cli_safe(info->producer, made, sizeof made));
    print_ports(c, model, info);
    printf("%s  %s%s\n\n", CLI_T(c, "pictures", "图片    "),
           cvs_preprocess_text(info->preprocess, text, sizeof text),
           info->preprocess->known ? "" : CLI_T(c, "  (a guess)", "（猜测）"));
    print_table(c, s);
    printf("\n%s\n", CLI_T(c, "Totals", "合计"));
    printf("  %s %s (%s %s)\n", CLI_T(c, "parameters     ", "参数量      "),
           cli_grouped(s->params, a, sizeof a), cli_bytes(s->weight_bytes, b, sizeof b),
           CLI_T(c, "of weights", "权重"));
    printf("  %s %s\n", CLI_T(c, "MACs           ", "乘加数      "), cli_grouped(s->macs, a, sizeof a));
    printf("  %s %s%s%s\n", CLI_T(c, "activations    ", "激活内存    "),
           cli_bytes(s->activation_bytes, d, sizeof d), CLI_T(c, ", for input ", "，输入为 "), s->input);
    printf("  %s %s%s\n", CLI_T(c, "peak           ", "激活峰值    "),
           cli_bytes(s->live_peak_bytes, d, sizeof d),
           CLI_T(c, ", each activation freed after its last reader", "，每个激活在最后一次被读取后释放"));
    if (s->n_unknown) {
        printf(CLI_T(c, "  %d nodes have an operator that is not known here; a run stops there\n",
                     "  有 %d 个节点的算子未知；运行到该处会停止\n"),
               s->n_unknown);
    }
    if (!info->has_weights) {
        printf("%s\n", CLI_T(c, "  the model has no weights: --init SEED fills it with random ones",
                             "  模型没有权重：用 --init SEED 随机初始化"));
    }
}

static int run(cli *c) {
    cvs_run_options run_options;
    if (!cli_run_options(c, &run_options)) {
        return cvs_status_exit(CVS_E_ARGUMENT);
    }
    cvs_model *model;
    if (cli_open(c, c->args[0], false, &model) != CVS_OK) {
        return cli_fail(c);
    }
    if (cli_flag(c, "--plan")) {
        int status = cli_print_plan(c, model, run_options);
        cvs_model_free(model);
        return status;
    }
    cvs_summary summary;
    cvs_status s = cvs_model_summarize(model, &run_options, c->lang, &summary, &c->err);
    if (s == CVS_OK) {
        cvs_model_info info;
        cvs_model_describe(model, &info);
        if (cli_flag(c, "--json")) {
            print_json(c, model, &info, &summary);
        } else {
            print_text(c, model, &info, &summary);
        }
        cvs_summary_free(&summary);
    }
    cvs_model_free(model);
    return s == CVS_OK ? 0 : cli_fail(c);
}

static const cli_option options[] = {{"--plan", NULL,
                                      "how a run goes instead: calls, algorithms, layouts, memory",
                                      "改为显示运行方式：调用、算法、布局、内存"}};

const cli_command cli_command_info = {
    .name = "info",
    .args = "MODEL",
    .en = "layers, shapes, parameters, multiply-accumulates, receptive field",
    .zh = "各层、形状、参数量、乘加数与感受野",
    .min_args = 1,
    .max_args = 1,
    .groups = CLI_MODEL | CLI_INPUT | CLI_RUN | CLI_JSON,
    .options = options,
    .n_options = sizeof options / sizeof options[0],
    .run = run,
};

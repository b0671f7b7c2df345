/* SPDX-License-Identifier: MIT
 * cmd_connections.c - convscope connections MODEL [IMAGE] --from A --to B: which channel feeds which, by weights and by a picture.
 */
#include <stdlib.h>

#include "cli.h"

static const cli_option options[] = {
    {"--from", "L", "the lower layer: name or number (what the kernels of --to read)",
     "较低的层：名称或编号（默认为 --to 的卷积核所读取的层）"},
    {"--to", "L", "the upper layer: name, number, last-conv (last-conv)",
     "较高的层：名称、编号或 last-conv（last-conv）"},
    {"--links", "N", "links drawn one by one (30)", "逐条绘出的连接数（30）"},
    {"--sample", "N", "which sample of a .npy with several (0)", ".npy 含多个样本时选择哪一个（0）"},
    {"--csv", "FILE", "to, from, norm, contribution, share of all that reaches the channel",
     "到、从、范数、贡献、占该通道全部贡献的比例"},
    {"--json", NULL, "the matrices as JSON on standard output", "在标准输出以 JSON 给出矩阵"},
};

static void print_matrix(FILE *to, const char *name, const cvs_tensor *t, bool more) {
    const float *v = t->data;
    fprintf(to, "  \"%s\": [", name);
    for (int64_t i = 0; i < t->dim[0]; i++) {
        fprintf(to, "%s\n    [", i ? "," : "");
        for (int64_t k = 0; k < t->dim[1]; k++) {
            fprintf(to, "%s%.9g", k ? ", " : "", (double)v[i * t->dim[1] + k]);
        }
        fprintf(to, "]");
    }
    fprintf(to, "\n  ]%s\n", more ? "," : "");
}

static void print_name(FILE *to, const char *key, const char *name) {
    fprintf(to, "  \"%s\": \"", key);
    for (const char *s = name; *s; s++) {
        if ((unsigned char)*s < 32) {
            fprintf(to, "\\u%04x", (unsigned)(unsigned char)*s);
        } else {
            fprintf(to, "%s%c", *s == '"' || *s == '\\' ? "\\" : "", *s);
        }
    }
    fprintf(to, "\",\n");
}

static void print_json(const cvs_connections *n) {
    printf("{\n");
    print_name(stdout, "from", n->from);
    print_name(stdout, "to", n->to);
    printf("  \"channels\": [%lld, %lld]%s\n", (long long)n->n_to, (long long)n->n_from,
           n->norm.data || n->contribution.data ? "," : "");
    if (n->norm.data) {
        print_matrix(stdout, "norm", &n->norm, n->contribution.data != NULL);
    }
    if (n->contribution.data) {
        print_matrix(stdout, "contribution", &n->contribution, true);
        printf("  \"total\": [");
        for (int64_t i = 0; i < n->n_to; i++) {
            printf("%s%.9g", i ? ", " : "", n->total[i]);
        }
        printf("]\n");
    }
    printf("}\n");
}

static double size_of(double v) {
    return v < 0 ? -v : v;
}

static cvs_status write_csv(cli *c, const cvs_connections *n, const char *path) {
    cli_table t;
    if (!cli_table_begin(c, &t)) {
        return CVS_E_MEMORY;
    }
    const float *norm = n->norm.data, *part = n->contribution.data;
    fprintf(t.to, "to,from,norm,contribution,share\n");
    for (int64_t k = 0; k < n->n_to; k++) {
        double all = 0;
        for (int64_t i = 0; part && i < n->n_from; i++) {
            all += size_of((double)part[k * n->n_from + i]);
        }
        for (int64_t i = 0; i < n->n_from; i++) {
            fprintf(t.to, "%lld,%lld,", (long long)k, (long long)i);
            if (norm) {
                fprintf(t.to, "%.9g", (double)norm[k * n->n_from + i]);
            }
            if (part) {
                double v = (double)part[k * n->n_from + i];
                fprintf(t.to, ",%.9g,%.9g\n", v, all > 0 ? size_of(v) / all : 0.0);
            } else {
                fprintf(t.to, ",,\n");
            }
        }
    }
    return cli_table_end(c, &t, path);
}

static bool layer_value(const cvs_model *model, cvs_run *run, const char *name, cvs_tensor *out) {
    int layer;
    cvs_port port;
    if (!run) {
        return false;
    }
    if (cvs_model_input(model, 0, &port, NULL) == CVS_OK && port.name && name[0] &&
        cvs_model_find_layer(model, name, &layer, NULL) != CVS_OK) {
        return cvs_run_input(run, 0, out, NULL) == CVS_OK;
    }
    return cvs_model_find_layer(model, name, &layer, NULL) == CVS_OK &&
           cvs_run_layer(run, layer, out, NULL) == CVS_OK;
}

static cvs_status draw(cli *c, const cvs_model *model, cvs_run *run, const cvs_connections *n,
                       int64_t links) {
    cli_figure figure;
    cvs_tensor from = {0}, to = {0};
    cvs_figure *picture = NULL;
    cvs_connections_data data = {.connections = n, .links = (int)links};
    data.from_maps = layer_value(model, run, n->from, &from) ? &from : NULL;
    data.to_maps = layer_value(model, run, n->to, &to) ? &to : NULL;
    cli_figure_plain(c, model, cli_value(c, "-o"), &figure);
    cvs_status s = cvs_draw_connections(&data, &figure.options, &picture, &c->err);
    return cli_figure_write(c, s, picture, cli_value(c, "-o"));
}

static cvs_status connect(cli *c, const cvs_run_options *run_options, cvs_connections_options *o,
                          int64_t links) {
    cvs_model *model = NULL;
    cvs_run *run = NULL;
    cvs_connections n = {0};
    const char *figure = cli_value(c, "-o"), *csv = cli_value(c, "--csv");
    cvs_status s = figure ? cvs_figure_check_path(figure, &c->err) : CVS_OK;
    s = s == CVS_OK && csv ? cvs_output_check(csv, &c->err) : s;
    s = s == CVS_OK ? cli_open(c, c->args[0], false, &model) : s;
    if (s == CVS_OK && c->n_args > 1) {
        s = cvs_run_new(model, run_options, &run, &c->err);
        s = s == CVS_OK ? cli_run_file(c, model, run, c->args[1], NULL) : s;
    }
    s = s == CVS_OK ? cvs_connect(model, run, o, &n, &c->err) : s;
    s = s == CVS_OK && csv ? write_csv(c, &n, csv) : s;
    s = s == CVS_OK && figure ? draw(c, model, run, &n, links) : s;
    if (s == CVS_OK && cli_flag(c, "--json")) {
        print_json(&n);
    } else if (s == CVS_OK) {
        cli_say(c, "%s", n.caption);
    }
    cvs_connections_free(&n);
    cvs_run_free(run);
    cvs_model_free(model);
    return s;
}

static int run(cli *c) {
    cvs_run_options run_options;
    int64_t links;
    cvs_connections_options o = {.from = cli_value(c, "--from"),
                                 .to = cli_value(c, "--to"),
                                 .lang = c->lang,
                                 .progress = cli_progress,
                                 .progress_context = c};
    if (!cli_value(c, "-o") && !cli_value(c, "--csv") && !cli_flag(c, "--json")) {
        return cli_usage(c, CLI_T(c, "convscope connections needs -o FILE, --csv FILE or --json",
                                  "convscope connections 需要 -o FILE、--csv FILE 或 --json"));
    }
    if (!cli_int(c, "--sample", 0, INT64_MAX, 0, &o.sample) || !cli_int(c, "--links", 1, 1000, 0, &links) ||
        !cli_run_options(c, &run_options)) {
        return cvs_status_exit(CVS_E_ARGUMENT);
    }
    run_options.for_gradients = true;
    return connect(c, &run_options, &o, links) == CVS_OK ? 0 : cli_fail(c);
}

const cli_command cli_command_connections = {
    .name = "connections",
    .args = "MODEL [IMAGE] --from A --to B -o FILE",
    .en = "which channel feeds which: weights between two layers, and what a picture sends along them",
    .zh = "哪个通道供给哪个通道：两层之间的权重，以及图片沿其传递的量",
    .min_args = 1,
    .max_args = 2,
    .groups = CLI_MODEL | CLI_INPUT | CLI_RUN | CLI_FIGURE,
    .options = options,
    .n_options = sizeof options / sizeof options[0],
    .run = run,
};

/* SPDX-License-Identifier: MIT
 * cmd_score.c - convscope score MODEL DATA: explanation methods compared over many pictures, with standard errors.
 */
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "cli.h"

static const cli_option options[] = {
    {"--methods", "A,B,...|all", "methods to compare (a choice of quick ones)",
     "要比较的方法（默认选取较快的一组）"},
    {"--pictures", "N", "pictures of the data (20)", "使用的图片数（20）"},
    {"--split", "train|test", "which pictures (test)", "使用哪部分图片（test）"},
    {"--layer", "L", "for methods that look at a layer (last-conv)", "针对某一层的方法所用的层（last-conv）"},
    {"--seed", "N", "of all that is random (0)", "随机数的种子（0）"},
    {"--fast", NULL, "without shuffled weights and noise, which ask each method 14 times more",
     "不做打乱权重与噪声两项（它们要多问每个方法 14 次）"},
    {"--csv", "FILE", "one line for each method and measure", "每个方法的每项指标一行"},
    {"--markdown", "FILE", "the table as Markdown", "Markdown 表格"},
};

static cvs_status write_csv(cli *c, const cvs_scores *s, const char *path) {
    cli_table t;
    if (!cli_table_begin(c, &t)) {
        return CVS_E_MEMORY;
    }
    fprintf(t.to, "method,measure,pictures,mean,standard_error,least,largest\n");
    for (int i = 0; i < s->n; i++) {
        for (int m = 0; m < CVS_N_METRICS; m++) {
            const cvs_score_cell *k = &s->rows[i].cell[m];
            cvs_metric_info info;
            if (k->n > 0 && cvs_metric_describe((cvs_metric)m, CVS_EN, &info, NULL) == CVS_OK) {
                fprintf(t.to, "%s,%s,%lld,%.9g,%.9g,%.9g,%.9g\n", s->rows[i].method, info.name,
                        (long long)k->n, k->mean, k->error, k->least, k->largest);
            }
        }
        fprintf(t.to, "%s,seconds,%lld,%.6g,,,\n", s->rows[i].method, (long long)s->pictures,
                s->rows[i].seconds);
    }
    return cli_table_end(c, &t, path);
}

static bool has_column(const cvs_scores *s, int m) {
    for (int i = 0; i < s->n; i++) {
        if (s->rows[i].cell[m].n > 0) {
            return true;
        }
    }
    return false;
}

static cvs_status write_markdown(cli *c, const cvs_scores *s, const char *path) {
    cli_table t;
    if (!cli_table_begin(c, &t)) {
        return CVS_E_MEMORY;
    }
    cvs_metric_info info;
    fprintf(t.to, "| %s |", CLI_T(c, "method", "方法"));
    for (int m = 0; m < CVS_N_METRICS; m++) {
        if (has_column(s, m) && cvs_metric_describe((cvs_metric)m, c->lang, &info, NULL) == CVS_OK) {
            fprintf(t.to, " %s %s|", info.title, info.better > 0 ? "↑ " : info.better < 0 ? "↓ " : "");
        }
    }
    fprintf(t.to, " %s |\n|---|", CLI_T(c, "seconds a map", "每张热图秒数"));
    for (int m = 0; m < CVS_N_METRICS; m++) {
        fprintf(t.to, "%s", has_column(s, m) ? "---|" : "");
    }
    fprintf(t.to, "---|\n");
    for (int i = 0; i < s->n; i++) {
        fprintf(t.to, "| %s |", s->rows[i].method);
        for (int m = 0; m < CVS_N_METRICS; m++) {
            const cvs_score_cell *k = &s->rows[i].cell[m];
            if (has_column(s, m) && k->n > 0) {
                fprintf(t.to, " %.3f ± %.3f |", k->mean, k->error);
            } else if (has_column(s, m)) {
                fprintf(t.to, " |");
            }
        }
        fprintf(t.to, " %.3f |\n", s->rows[i].seconds);
    }
    return cli_table_end(c, &t, path);
}

static json_t *cell_json(const cvs_score_cell *k) {
    return json_pack("{s:I,s:f,s:f,s:f,s:f}", "pictures", (json_int_t)k->n, "mean", k->mean, "standard_error",
                     k->error, "least", k->least, "largest", k->largest);
}

static void print_json(const cvs_scores *s) {
    json_t *rows = json_array();
    for (int i = 0; i < s->n; i++) {
        json_t *row = json_pack("{s:s,s:f}", "method", s->rows[i].method, "seconds", s->rows[i].seconds);
        for (int m = 0; m < CVS_N_METRICS; m++) {
            cvs_metric_info info;
            if (s->rows[i].cell[m].n > 0 &&
                cvs_metric_describe((cvs_metric)m, CVS_EN, &info, NULL) == CVS_OK) {
                json_object_set_new(row, info.name, cell_json(&s->rows[i].cell[m]));
            }
        }
        if (s->rows[i].failed[0]) {
            json_object_set_new(row, "failed", json_string(s->rows[i].failed));
        }
        json_array_append_new(rows, row);
    }
    json_t *all = json_pack("{s:I,s:f,s:o,s:o,s:o}", "pictures", (json_int_t)s->pictures, "object_share",
                            s->chance, "random_deletion", cell_json(&s->random_deletion), "random_insertion",
                            cell_json(&s->random_insertion), "methods", rows);
    json_dumpf(all, stdout, JSON_INDENT(1) | JSON_REAL_PRECISION(9));
    printf("\n");
    json_decref(all);
}

static void print_table(const cli *c, const cvs_scores *s) {
    cvs_metric_info info;
    cli_pad(stdout, CLI_T(c, "method", "方法"), 22, false);
    for (int m = 0; m < CVS_N_METRICS; m++) {
        if (has_column(s, m) && cvs_metric_describe((cvs_metric)m, c->lang, &info, NULL) == CVS_OK) {
            cli_pad(stdout, c->lang == CVS_ZH ? info.title : info.name, 18, true);
        }
    }
    cli_pad(stdout, CLI_T(c, "seconds", "秒"), 9, true);
    printf("\n");
    for (int i = 0; i < s->n; i++) {
        cli_pad(stdout, s->rows[i].method, 22, false);
        if (s->rows[i].failed[0]) {
            printf("%s\n", s->rows[i].failed);
            continue;
        }
        for (int m = 0; m < CVS_N_METRICS; m++) {
            const cvs_score_cell *k = &s->rows[i].cell[m];
            char cell[64] = "-";
            if (k->n > 0) {
                snprintf(cell, sizeof cell, "%.3f ± %.3f", k->mean, k->error);
            }
            if (has_column(s, m)) {
                cli_pad(stdout, cell, 18, true);
            }
        }
        printf("%9.3f\n", s->rows[i].seconds);
    }
    cli_say(c,
            CLI_T(c, "%lld pictures; chance: deletion %.3f, insertion %.3f, object %.3f",
                  "%lld 张图片；随机水平：删除 %.3f，插入 %.3f，物体 %.3f"),
            (long long)s->pictures, s->random_deletion.mean, s->random_insertion.mean, s->chance);
}

static cvs_status draw(cli *c, const cvs_model *model, const cvs_scores *s, const char *path) {
    cli_figure figure;
    cvs_figure *picture = NULL;
    cli_figure_plain(c, model, path, &figure);
    cvs_status st = cvs_draw_scores(s, &figure.options, &picture, &c->err);
    return cli_figure_write(c, st, picture, path);
}

static cvs_status write_all(cli *c, const cvs_model *model, const cvs_scores *s) {
    cvs_status st = CVS_OK;
    if (cli_value(c, "--csv")) {
        st = write_csv(c, s, cli_value(c, "--csv"));
    }
    if (st == CVS_OK && cli_value(c, "--markdown")) {
        st = write_markdown(c, s, cli_value(c, "--markdown"));
    }
    if (st == CVS_OK && cli_value(c, "-o")) {
        st = draw(c, model, s, cli_value(c, "-o"));
    }
    if (st == CVS_OK && cli_flag(c, "--json")) {
        print_json(s);
    } else if (st == CVS_OK) {
        print_table(c, s);
    }
    return st;
}

enum { MOST_METHODS = 128 };

/* Splits "a,b" in place; "all": every method. */
static int methods_of(char *names, const char **out) {
    int n = 0;
    if (strcmp(names, "all") == 0) {
        for (int i = 0; i < cvs_method_count() && n < MOST_METHODS; i++) {
            cvs_method_info m;
            if (cvs_method_describe(i, CVS_EN, &m, NULL) == CVS_OK) {
                out[n++] = m.name;
            }
        }
        return n;
    }
    for (char *next = NULL, *word = strtok_r(names, ",", &next); word && n < MOST_METHODS;
         word = strtok_r(NULL, ",", &next)) {
        out[n++] = word;
    }
    return n;
}

static cvs_status check_places(cli *c) {
    static const char *const names[] = {"--csv", "--markdown"};
    cvs_status s = CVS_OK;
    for (int i = 0; i < 2 && s == CVS_OK; i++) {
        s = cli_value(c, names[i]) ? cvs_output_check(cli_value(c, names[i]), &c->err) : CVS_OK;
    }
    return s == CVS_OK && cli_value(c, "-o") ? cvs_figure_check_path(cli_value(c, "-o"), &c->err) : s;
}

static cvs_status score(cli *c, const cvs_run_options *run_options, const cvs_data_options *data_options,
                        const cvs_score_options *o) {
    cvs_model *model = NULL;
    cvs_data *data = NULL;
    cvs_scores scores = {0};
    cvs_status s = check_places(c);
    if (s == CVS_OK) {
        s = cli_open(c, c->args[0], false, &model);
    }
    if (s == CVS_OK) {
        s = cvs_data_open(c->args[1], data_options, &data, &c->err);
    }
    if (s == CVS_OK) {
        s = cvs_score_methods(model, run_options, data, o, &scores, &c->err);
        cli_progress(c, "", 1.0);
    }
    if (s == CVS_OK) {
        s = write_all(c, model, &scores);
    }
    cvs_scores_free(&scores);
    cvs_data_free(data);
    cvs_model_free(model);
    return s;
}

static int run(cli *c) {
    const char *names = cli_value(c, "--methods"), *split = cli_value(c, "--split");
    const char *methods[MOST_METHODS];
    int64_t pictures, seed;
    cvs_run_options run_options;
    if (!cli_int(c, "--pictures", 1, 1000000, 20, &pictures) ||
        !cli_int(c, "--seed", 0, INT64_MAX, 0, &seed) || !cli_run_options(c, &run_options)) {
        return cvs_status_exit(CVS_E_ARGUMENT);
    }
    char *copy = names ? strdup(names) : NULL;
    if (names && !copy) {
        c->err.code = CVS_E_MEMORY;
        return cli_fail(c);
    }
    cvs_explain_options how = {.layer = cli_value(c, "--layer"), .seed = (uint64_t)seed, .lang = c->lang};
    cvs_score_options o = {.methods = copy ? methods : NULL,
                           .n_methods = copy ? methods_of(copy, methods) : 0,
                           .pictures = pictures,
                           .explain = &how,
                           .progress = cli_progress,
                           .progress_context = c};
    cvs_data_options data_options = {.split = split && split[1] == 'r' ? CVS_TRAIN : CVS_TEST, .limit = 0};
    o.check.seed = (uint64_t)seed;
    o.check.lang = c->lang;
    if (cli_flag(c, "--fast")) {
        o.check.only = ((1u << CVS_N_METRICS) - 1) & ~(1u << CVS_RANDOM_WEIGHTS) & ~(1u << CVS_SENSITIVITY);
    }
    cvs_status s = score(c, &run_options, &data_options, &o);
    free(copy);
    return s == CVS_OK ? 0 : cli_fail(c);
}

const cli_command cli_command_score = {
    .name = "score",
    .args = "MODEL DATA",
    .en = "explanation methods compared over many pictures: which can be believed on this model",
    .zh = "在多张图片上比较各解释方法：对该模型哪些方法可信",
    .min_args = 2,
    .max_args = 2,
    .groups = CLI_MODEL | CLI_INPUT | CLI_RUN | CLI_FIGURE | CLI_JSON,
    .options = options,
    .n_options = sizeof options / sizeof options[0],
    .run = run,
};

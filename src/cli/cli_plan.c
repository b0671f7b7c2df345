/* SPDX-License-Identifier: MIT
 * cli_plan.c - info --plan: how a run that is asked for the answer only would go, step by step, and the memory that it and a run that
 * keeps every activation need.
 */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"

enum { COLUMNS = 7 };

static void step_row(const cli *c, const cvs_plan_step *p, int index, char cell[COLUMNS][200]) {
    snprintf(cell[0], 200, "%d", index);
    cli_safe(p->name ? p->name : "", cell[1], 80);
    snprintf(cell[2], 200, "%s", p->ops);
    snprintf(cell[3], 200, "%s", p->how);
    snprintf(cell[4], 200, "%s",
             p->channels_last ? CLI_T(c, "channels last", "通道在后") : CLI_T(c, "as its shape", "同形状"));
    cell[6][0] = 0;
    cli_bytes(p->bytes, cell[5], 200);
    if (p->packed_bytes > 0) {
        cli_bytes(p->packed_bytes, cell[6], 200);
    }
}

static void print_steps(const cli *c, const cvs_plan *plan) {
    const char *head[COLUMNS] = {"#",
                                 CLI_T(c, "ends with", "末层"),
                                 CLI_T(c, "one call for", "一次调用计算"),
                                 CLI_T(c, "algorithm", "算法"),
                                 CLI_T(c, "layout", "布局"),
                                 CLI_T(c, "writes", "写出"),
                                 CLI_T(c, "packed weights", "重排权重")};
    static const bool right[COLUMNS] = {true, false, false, false, false, true, true};
    int width[COLUMNS];
    char cell[COLUMNS][200];
    for (int k = 0; k < COLUMNS; k++) {
        width[k] = cli_width(head[k]);
    }
    for (int i = 0; i < 2 * plan->n_steps + 1; i++) { /* first to measure, then to print, the head between */
        bool print = i >= plan->n_steps;
        int row = print ? i - plan->n_steps - 1 : i;
        if (row >= 0) {
            step_row(c, &plan->steps[row], row, cell);
        }
        for (int k = 0; k < COLUMNS; k++) {
            if (!print) {
                width[k] = cli_width(cell[k]) > width[k] ? cli_width(cell[k]) : width[k];
                continue;
            }
            cli_pad(stdout, row < 0 ? head[k] : cell[k], width[k] + 2 * !right[k], right[k]);
            printf("%s", right[k] && k + 1 < COLUMNS ? "  " : "");
        }
        printf("%s", print ? "\n" : "");
    }
}

static void print_sum(const cli *c, const char *title, const cvs_plan *plan) {
    char a[64], b[64], d[64], e[64];
    printf("%s %s (%s %s, %s %s, %s %s)\n", title,
           cli_bytes(plan->value_bytes + plan->packed_bytes + plan->scratch_bytes, a, sizeof a),
           CLI_T(c, "values", "数值"), cli_bytes(plan->value_bytes, b, sizeof b),
           CLI_T(c, "packed weights", "重排权重"), cli_bytes(plan->packed_bytes, d, sizeof d),
           CLI_T(c, "scratch", "临时内存"), cli_bytes(plan->scratch_bytes, e, sizeof e));
}

static json_t *sum_json(const cvs_plan *plan) {
    json_t *o = json_object();
    json_object_set_new(o, "peak_bytes",
                        json_integer(plan->value_bytes + plan->packed_bytes + plan->scratch_bytes));
    json_object_set_new(o, "value_bytes", json_integer(plan->value_bytes));
    json_object_set_new(o, "packed_bytes", json_integer(plan->packed_bytes));
    json_object_set_new(o, "scratch_bytes", json_integer(plan->scratch_bytes));
    return o;
}

static void print_json(const cvs_plan *answer, const cvs_plan *all) {
    json_t *o = json_object(), *steps = json_array();
    char safe[2048];
    for (int i = 0; i < answer->n_steps; i++) {
        const cvs_plan_step *p = &answer->steps[i];
        json_t *s = json_object();
        json_object_set_new(s, "name", json_string(cli_safe(p->name ? p->name : "", safe, sizeof safe)));
        json_object_set_new(s, "operators", json_string(p->ops));
        json_object_set_new(s, "algorithm", json_string(p->how));
        json_object_set_new(s, "channels_last", json_boolean(p->channels_last));
        json_object_set_new(s, "samples", json_integer(p->samples));
        json_object_set_new(s, "bytes", json_integer(p->bytes));
        json_object_set_new(s, "packed_bytes", json_integer(p->packed_bytes));
        json_array_append_new(steps, s);
    }
    json_object_set_new(o, "steps", steps);
    json_object_set_new(o, "answer_only", sum_json(answer));
    json_object_set_new(o, "all_activations", sum_json(all));
    json_dumpf(o, stdout, JSON_INDENT(1));
    printf("\n");
    json_decref(o);
}

int cli_print_plan(cli *c, const cvs_model *model, cvs_run_options options) {
    cvs_plan answer = {0}, all = {0};
    options.answer_only = true;
    cvs_status s = cvs_model_plan(model, &options, c->lang, &answer, &c->err);
    options.answer_only = false;
    s = s == CVS_OK ? cvs_model_plan(model, &options, c->lang, &all, &c->err) : s;
    if (s == CVS_OK && cli_flag(c, "--json")) {
        print_json(&answer, &all);
    } else if (s == CVS_OK) {
        print_steps(c, &answer);
        printf("\n%s\n", CLI_T(c, "Most memory of a run", "一次运行的内存峰值"));
        print_sum(c, CLI_T(c, "  the answer only      ", "  只要答案        "), &answer);
        print_sum(c, CLI_T(c, "  every activation kept", "  保留所有激活    "), &all);
    }
    cvs_plan_free(&answer);
    cvs_plan_free(&all);
    return s == CVS_OK ? 0 : cli_fail(c);
}

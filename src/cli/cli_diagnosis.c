/* SPDX-License-Identifier: MIT
 * cli_diagnosis.c - warnings about training runs, in words: what, where, since when, why, and what to do.
 */
#include "cli.h"

static void print_one(const cli *c, const cvs_log *log, const cvs_warning *w, FILE *to) {
    static const char *const en[] = {"note", "warning", "fault"}, *const zh[] = {"提示", "警告", "故障"};
    char safe[700];
    fprintf(to, "%s: %s [%s]", (c->lang == CVS_ZH ? zh : en)[w->severity], w->title, w->code);
    if (w->layer[0]) {
        fprintf(to, CLI_T(c, ", layer %s", "，层 %s"), cli_safe(w->layer, safe, sizeof safe));
    }
    if (w->step >= 0) {
        fprintf(to, CLI_T(c, ", since step %lld", "，自第 %lld 步起"), (long long)w->step);
    }
    if (cvs_log_n_runs(log) > 2) {
        fprintf(to, CLI_T(c, ", run %s", "，运行 %s"), cli_safe(cvs_log_run(log, w->run), safe, sizeof safe));
    }
    fprintf(to, "\n  %s\n", cli_safe(w->evidence, safe, sizeof safe));
    fprintf(to, CLI_T(c, "  why: %s\n  do: %s\n", "  原因：%s\n  建议：%s\n"), w->why, w->advice);
    if (w->recipe[0]) {
        fprintf(to, CLI_T(c, "  in the recipe: %s\n", "  配方中可写：%s\n"), w->recipe);
    }
}

cvs_status cli_print_diagnosis(cli *c, const cvs_log *log, bool quiet, FILE *to) {
    cvs_diagnosis d;
    cvs_status s = cvs_diagnose(log, c->lang, &d, &c->err);
    if (s != CVS_OK) {
        return s;
    }
    for (int i = 0; i < d.n; i++) {
        print_one(c, log, &d.list[i], to);
    }
    if (d.n == 0 && !quiet && cvs_log_n_runs(log) > 0) {
        fprintf(to, "%s\n", CLI_T(c, "diagnosis: nothing wrong was found", "诊断：未发现问题"));
    }
    cvs_diagnosis_free(&d);
    return CVS_OK;
}

/* SPDX-License-Identifier: MIT
 * cmd_runs.c - convscope runs [DIR...]: what was trained below a folder and how it went, from the runs' records (run.sqlite), also while they go
 * on. Several runs: a table of results and of the settings in which they differ. One run: all of it. --json, --csv FILE.
 */
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cli.h"

static const cli_option options[] = {
    {"--sort", "NAME",
     "by val_accuracy, val_loss, accuracy, loss, seconds, started or any setting; best first",
     "按 val_accuracy、val_loss、accuracy、loss、seconds、started 或任一设置排序，最好的在前"},
    {"--state", "NAME", "only running, finished, stopped, failed or killed ones",
     "只列出 running、finished、stopped、failed 或 killed 状态的训练"},
    {"--settings", NULL, "a column for every setting, not only for those in which the runs differ",
     "列出全部设置，而不只是各次训练不同的设置"},
    {"--csv", "FILE", "the same as CSV, every setting a column (-: to stdout)",
     "以 CSV 写出，每项设置一列（- 表示标准输出）"},
};

enum { MOST_COLUMNS = 200, TIME = 24 };

typedef struct table {
    cli *c;
    int n_lists;
    cvs_runs **lists;
    int n;
    const cvs_run_record **rows;
    int n_settings;
    const char *settings[MOST_COLUMNS]; /* names, in the order they come */
    bool differs[MOST_COLUMNS];
    const char *sort;
} table;

/* ---- numbers of a run ------------------------------------------------------------------------------------- */

static const cvs_run_epoch *last_tested(const cvs_run_record *r) {
    for (int i = r->n_epochs; i > 0; i--) {
        if (isfinite(r->list[i - 1].val_loss)) {
            return &r->list[i - 1];
        }
    }
    return r->n_epochs > 0 ? &r->list[r->n_epochs - 1] : NULL;
}

/* A result by name, NaN where there is none; *known: there is a result of that name. */
static double result(const cvs_run_record *r, const char *name, bool *known) {
    const cvs_run_epoch *e = last_tested(r);
    const struct {
        const char *name;
        double value;
    } all[] = {
        {"val_accuracy", e ? e->val_accuracy : (double)NAN},
        {"val_loss", e ? e->val_loss : (double)NAN},
        {"accuracy", e ? e->accuracy : (double)NAN},
        {"loss", e ? e->loss : (double)NAN},
        {"best", r->best},
        {"seconds", r->seconds},
        {"started", r->started},
        {"epoch", r->n_epochs},
        {"step", (double)r->step},
    };
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        if (strcmp(all[i].name, name) == 0) {
            *known = true;
            return all[i].value;
        }
    }
    *known = false;
    return (double)NAN;
}

static double setting_number(const cvs_run_record *r, const char *name) {
    for (int i = 0; i < r->n_settings; i++) {
        if (strcmp(r->settings[i].name, name) == 0) {
            return r->settings[i].number;
        }
    }
    return (double)NAN;
}

/* ---- order and columns ------------------------------------------------------------------------------------- */

static int by_number(double a, double b) {
    return isnan(a) ? !isnan(b) : isnan(b) ? -1 : (a > b) - (a < b); /* those without come last */
}

/* qsort has no context: the column that is sorted by travels with the rows. */
typedef struct keyed {
    const cvs_run_record *row;
    const char *text;
    double number;
    int at;
} keyed;

static int by_key(const void *a, const void *b) {
    const keyed *x = a, *y = b;
    int order = by_number(x->number, y->number);
    if (order == 0 && isnan(x->number)) {
        order = !x->text || !y->text ? !x->text - !y->text : strcmp(x->text, y->text);
    }
    return order != 0 ? order : x->at - y->at;
}

static bool sort_rows(table *t) {
    keyed *keys = calloc((size_t)t->n + 1, sizeof *keys);
    bool larger_first = t->sort && (strstr(t->sort, "accuracy") || strcmp(t->sort, "started") == 0);
    for (int i = 0; keys && i < t->n; i++) {
        bool known = false;
        double v = result(t->rows[i], t->sort, &known);
        v = known ? v : setting_number(t->rows[i], t->sort);
        keys[i] = (keyed){t->rows[i], cvs_run_record_setting(t->rows[i], t->sort), larger_first ? -v : v, i};
    }
    if (keys) {
        qsort(keys, (size_t)t->n, sizeof *keys, by_key);
        for (int i = 0; i < t->n; i++) {
            t->rows[i] = keys[i].row;
        }
    }
    free(keys);
    return keys != NULL;
}

static void find_columns(table *t) {
    for (int i = 0; i < t->n; i++) {
        for (int k = 0; k < t->rows[i]->n_settings; k++) {
            int at = 0;
            while (at < t->n_settings && strcmp(t->settings[at], t->rows[i]->settings[k].name) != 0) {
                at++;
            }
            if (at == t->n_settings && at < MOST_COLUMNS) {
                t->settings[t->n_settings++] = t->rows[i]->settings[k].name;
            }
        }
    }
    for (int at = 0; at < t->n_settings; at++) {
        const char *first = t->n > 0 ? cvs_run_record_setting(t->rows[0], t->settings[at]) : NULL;
        for (int i = 1; i < t->n && !t->differs[at]; i++) {
            const char *text = cvs_run_record_setting(t->rows[i], t->settings[at]);
            t->differs[at] = !text || !first ? text != first : strcmp(text, first) != 0;
        }
    }
}

/* ---- text --------------------------------------------------------------------------------------------------- */

static const char *at_time(double seconds, char out[TIME]) {
    time_t t = (time_t)seconds;
    struct tm parts;
    if (!(seconds > 0) || !localtime_r(&t, &parts) || strftime(out, TIME, "%Y-%m-%d %H:%M", &parts) == 0) {
        snprintf(out, TIME, "-");
    }
    return out;
}

static const char *duration(double seconds, char out[TIME]) {
    long long s = seconds > 0 && seconds < 1e15 ? (long long)(seconds + 0.5) : 0;
    if (s < 60) {
        snprintf(out, TIME, "%.1f s", seconds > 0 ? seconds : 0.0);
    } else if (s < 3600) {
        snprintf(out, TIME, "%lld:%02lld", s / 60, s % 60);
    } else {
        snprintf(out, TIME, "%lld:%02lld:%02lld", s / 3600, s / 60 % 60, s % 60);
    }
    return out;
}

static void put_number(double v, const char *format, int width) {
    char text[40];
    if (isfinite(v)) {
        snprintf(text, sizeof text, format, v);
    } else {
        snprintf(text, sizeof text, "-");
    }
    cli_pad(stdout, text, width, true);
}

static int name_width(const table *t) {
    int width = 4;
    for (int i = 0; i < t->n; i++) {
        char safe[300];
        int w = cli_width(cli_safe(t->rows[i]->folder[0] == '.' ? t->rows[i]->name : t->rows[i]->folder, safe,
                                   sizeof safe));
        width = w > width ? w : width;
    }
    return width < 48 ? width : 48;
}

static int column_width(const table *t, int at) {
    int width = cli_width(t->settings[at]);
    for (int i = 0; i < t->n; i++) {
        char safe[60];
        const char *text = cvs_run_record_setting(t->rows[i], t->settings[at]);
        int w = text ? cli_width(cli_safe(text, safe, sizeof safe)) : 1;
        width = w > width ? w : width;
    }
    return width;
}

static void print_head(const table *t, int width, const int *widths) {
    const cli *c = t->c;
    cli_pad(stdout, CLI_T(c, "run", "训练"), width, false);
    printf("  ");
    cli_pad(stdout, CLI_T(c, "state", "状态"), 9, false);
    cli_pad(stdout, CLI_T(c, "epoch", "轮"), 11, true);
    printf(" %9s %9s %9s ", "val_acc", "val_loss", "loss");
    cli_pad(stdout, CLI_T(c, "best", "最佳"), 15, true);
    cli_pad(stdout, CLI_T(c, "time", "用时"), 10, true);
    for (int at = 0; at < t->n_settings; at++) {
        if (widths[at] > 0) {
            printf("  ");
            cli_pad(stdout, t->settings[at], widths[at], true);
        }
    }
    printf("\n");
}

static void print_row(const table *t, const cvs_run_record *r, int width, const int *widths) {
    char safe[300], text[60], clock[TIME];
    const cvs_run_epoch *e = last_tested(r);
    cli_pad(stdout, cli_safe(r->folder[0] == '.' ? r->name : r->folder, safe, sizeof safe), width, false);
    printf("  ");
    cli_pad(stdout, cvs_run_state_text(r->state, t->c->lang), 9, false);
    snprintf(text, sizeof text, "%d/%d", r->n_epochs, r->epochs);
    cli_pad(stdout, text, 11, true);
    printf(" ");
    put_number(e ? e->val_accuracy : (double)NAN, "%.4f", 9);
    printf(" ");
    put_number(e ? e->val_loss : (double)NAN, "%.4f", 9);
    printf(" ");
    put_number(r->state == CVS_RUN_RUNNING && isfinite(r->now_loss) ? r->now_loss
               : e                                                  ? e->loss
                                                                    : (double)NAN,
               "%.4f", 9);
    snprintf(text, sizeof text, r->best_epoch > 0 ? "%.4f @%d" : "-", r->best, r->best_epoch);
    printf(" ");
    cli_pad(stdout, text, 15, true);
    cli_pad(stdout, duration(r->seconds, clock), 10, true);
    for (int at = 0; at < t->n_settings; at++) {
        if (widths[at] > 0) {
            const char *value = cvs_run_record_setting(r, t->settings[at]);
            printf("  ");
            cli_pad(stdout, value ? cli_safe(value, text, sizeof text) : "-", widths[at], true);
        }
    }
    printf("\n");
}

static void print_table(const table *t) {
    int width = name_width(t), widths[MOST_COLUMNS] = {0}, counts[CVS_N_RUN_STATES] = {0};
    for (int at = 0; at < t->n_settings; at++) {
        bool told = strstr(t->settings[at], "fingerprint") || strcmp(t->settings[at], "version") == 0;
        bool shown = cli_flag(t->c, "--settings") || (t->differs[at] && !told) ||
                     (t->sort && strcmp(t->sort, t->settings[at]) == 0);
        widths[at] = shown ? column_width(t, at) : 0;
    }
    print_head(t, width, widths);
    for (int i = 0; i < t->n; i++) {
        print_row(t, t->rows[i], width, widths);
        counts[t->rows[i]->state]++;
    }
    printf("\n");
    printf(CLI_T(t->c, "%d runs", "共 %d 次训练"), t->n);
    for (int i = 0; i < CVS_N_RUN_STATES; i++) {
        if (counts[i] > 0) {
            printf(CLI_T(t->c, ", %d %s", "，%d 次%s"), counts[i],
                   cvs_run_state_text((cvs_run_state)i, t->c->lang));
        }
    }
    printf("\n");
}

/* ---- one run ------------------------------------------------------------------------------------------------- */

static void print_line(const char *name, const char *value) {
    char safe[600];
    printf("  ");
    cli_pad(stdout, name, 16, false);
    printf(" %s\n", cli_safe(value, safe, sizeof safe));
}

static void print_settings(const cli *c, const cvs_run_record *r) {
    printf(CLI_T(c, "\nsettings\n", "\n设置\n"));
    for (int i = 0; i < r->n_settings; i++) {
        char safe[200], text[260];
        snprintf(text, sizeof text, "%s = %.120s", r->settings[i].name,
                 cli_safe(r->settings[i].text, safe, sizeof safe));
        printf("  ");
        if (i % 2 == 0 && i + 1 < r->n_settings && cli_width(text) < 44) {
            cli_pad(stdout, text, 44, false);
        } else {
            printf("%s\n", text);
        }
    }
}

static void print_epochs(const cli *c, const cvs_run_record *r) {
    printf("\n%7s %9s %11s %9s %11s %9s %12s %9s\n", CLI_T(c, "epoch", "epoch"), "step", "loss", "accuracy",
           "val_loss", "val_acc", "lr", CLI_T(c, "seconds", "seconds"));
    for (int i = 0; i < r->n_epochs; i++) {
        const cvs_run_epoch *e = &r->list[i];
        printf("%6d%c %9lld", e->epoch, e->epoch == r->best_epoch ? '*' : ' ', (long long)e->step);
        const double v[] = {e->loss, e->accuracy, e->val_loss, e->val_accuracy, e->learning_rate, e->seconds};
        static const char *const formats[] = {"%.5f", "%.4f", "%.5f", "%.4f", "%.4g", "%.2f"};
        static const int widths[] = {12, 10, 12, 10, 13, 10};
        for (int k = 0; k < 6; k++) {
            put_number(v[k], formats[k], widths[k]);
        }
        printf("\n");
    }
    if (r->best_epoch > 0) {
        printf(CLI_T(c, "* best.onnx: %s %.5f\n", "* best.onnx：%s %.5f\n"), r->watched, r->best);
    }
}

static void print_sessions(const cli *c, const cvs_run_record *r) {
    char from[TIME], to[TIME], safe[100];
    printf(CLI_T(c, "\nsessions\n", "\n各次进程\n"));
    for (int i = 0; i < r->n_sessions; i++) {
        const cvs_run_session *s = &r->sessions[i];
        bool on = s->ended <= 0 && i + 1 == r->n_sessions && r->state == CVS_RUN_RUNNING;
        printf(CLI_T(c, "  %s to %s, from step %lld, %d threads, %d ranks, %s (pid %lld)\n",
                     "  %s 至 %s，从第 %lld 步起，%d 线程，%d 个进程，%s（pid %lld）\n"),
               at_time(s->started, from),
               on             ? CLI_T(c, "now", "现在")
               : s->ended > 0 ? at_time(s->ended, to)
                              : "?",
               (long long)s->from_step, s->threads, s->ranks, cli_safe(s->host, safe, sizeof safe),
               (long long)s->pid);
    }
}

static void print_one(const cli *c, const cvs_run_record *r) {
    char text[400], clock[TIME], a[40], b[40];
    print_line(CLI_T(c, "run", "训练"), r->name);
    print_line(CLI_T(c, "folder", "文件夹"), r->path);
    print_line(CLI_T(c, "id", "编号"), r->id);
    snprintf(text, sizeof text, "%s%s%.300s", cvs_run_state_text(r->state, c->lang),
             r->message[0] ? ": " : "", r->message);
    print_line(CLI_T(c, "state", "状态"), text);
    print_line(CLI_T(c, "recipe", "配方"), r->recipe);
    print_line(CLI_T(c, "data", "数据"), r->data);
    snprintf(text, sizeof text, CLI_T(c, "%s parameters, %s pictures", "%s 个参数，%s 张图片"),
             cli_grouped(r->params, a, sizeof a), cli_grouped(r->pictures, b, sizeof b));
    print_line(CLI_T(c, "size", "规模"), text);
    print_line(CLI_T(c, "started", "开始"), at_time(r->started, clock));
    snprintf(text, sizeof text, CLI_T(c, "%s, step %s of %lld", "%s，第 %s 步，共 %lld 步"),
             duration(r->seconds, clock), cli_grouped(r->step, a, sizeof a), (long long)r->steps);
    print_line(CLI_T(c, "trained", "已训练"), text);
    if (r->state == CVS_RUN_RUNNING && isfinite(r->now_loss)) {
        snprintf(text, sizeof text,
                 CLI_T(c, "epoch %d: loss %.4f, accuracy %.4f", "第 %d 轮：loss %.4f，accuracy %.4f"),
                 r->now_epoch, r->now_loss, r->now_accuracy);
        print_line(CLI_T(c, "now", "现在"), text);
    }
    print_epochs(c, r);
    print_settings(c, r);
    print_sessions(c, r);
    printf(CLI_T(c, "\nfiles\n", "\n文件\n"));
    for (int i = 0; i < r->n_files; i++) {
        char safe[200];
        printf(r->files[i].epoch > 0 ? CLI_T(c, "  %s (%s, epoch %d)\n", "  %s（%s，第 %d 轮）\n")
                                     : "  %s (%s)\n",
               cli_safe(r->files[i].name, safe, sizeof safe), r->files[i].kind, r->files[i].epoch);
    }
}

/* ---- JSON and CSV -------------------------------------------------------------------------------------------- */

static json_t *text_json(const char *s) {
    char safe[4200];
    return json_string(cli_safe(s, safe, sizeof safe));
}

static json_t *number_json(double v) {
    return isfinite(v) ? json_real(v) : json_null();
}

static json_t *record_json(const cvs_run_record *r) {
    json_t *settings = json_object(), *epochs = json_array(), *files = json_array(), *sessions = json_array();
    for (int i = 0; i < r->n_settings; i++) {
        const cvs_run_setting *s = &r->settings[i];
        char safe[300];
        json_object_set_new(settings, cli_safe(s->name, safe, sizeof safe),
                            isfinite(s->number) ? json_real(s->number) : text_json(s->text));
    }
    for (int i = 0; i < r->n_epochs; i++) {
        const cvs_run_epoch *e = &r->list[i];
        json_array_append_new(epochs,
                              json_pack("{s:i,s:I,s:o,s:o,s:o,s:o,s:o,s:o}", "epoch", e->epoch, "step",
                                        (json_int_t)e->step, "loss", number_json(e->loss), "accuracy",
                                        number_json(e->accuracy), "val_loss", number_json(e->val_loss),
                                        "val_accuracy", number_json(e->val_accuracy), "learning_rate",
                                        number_json(e->learning_rate), "seconds", number_json(e->seconds)));
    }
    for (int i = 0; i < r->n_files; i++) {
        json_array_append_new(files, json_pack("{s:o,s:o,s:i}", "name", text_json(r->files[i].name), "kind",
                                               text_json(r->files[i].kind), "epoch", r->files[i].epoch));
    }
    for (int i = 0; i < r->n_sessions; i++) {
        const cvs_run_session *s = &r->sessions[i];
        json_array_append_new(sessions,
                              json_pack("{s:f,s:f,s:o,s:I,s:i,s:i,s:o,s:I}", "started", s->started, "ended",
                                        s->ended, "status", text_json(s->status), "from_step",
                                        (json_int_t)s->from_step, "threads", s->threads, "ranks", s->ranks,
                                        "host", text_json(s->host), "pid", (json_int_t)s->pid));
    }
    json_t *all =
        json_pack("{s:o,s:o,s:o,s:s,s:o,s:o,s:o,s:o,s:I,s:f,s:f,s:f,s:f,s:I,s:I,s:I,s:i,s:I,s:I}", "run",
                  text_json(r->folder), "id", text_json(r->id), "name", text_json(r->name), "state",
                  cvs_run_state_name(r->state), "message", text_json(r->message), "recipe",
                  text_json(r->recipe), "data", text_json(r->data), "version", text_json(r->version), "seed",
                  (json_int_t)r->seed, "started", r->started, "updated", r->updated, "ended", r->ended,
                  "seconds", r->seconds, "parameters", (json_int_t)r->params, "pictures",
                  (json_int_t)r->pictures, "val_pictures", (json_int_t)r->val_pictures, "epochs_planned",
                  r->epochs, "step", (json_int_t)r->step, "steps", (json_int_t)r->steps);
    json_object_set_new(all, "watched", text_json(r->watched));
    json_object_set_new(all, "best_epoch", json_integer(r->best_epoch));
    json_object_set_new(all, "best", number_json(r->best));
    json_object_set_new(all, "now_epoch", json_integer(r->now_epoch));
    json_object_set_new(all, "now_loss", number_json(r->now_loss));
    json_object_set_new(all, "now_accuracy", number_json(r->now_accuracy));
    json_object_set_new(all, "settings", settings);
    json_object_set_new(all, "epochs", epochs);
    json_object_set_new(all, "files", files);
    json_object_set_new(all, "sessions", sessions);
    return all;
}

static void print_json(const table *t) {
    json_t *all = json_array();
    for (int i = 0; i < t->n; i++) {
        json_array_append_new(all, record_json(t->rows[i]));
    }
    json_dumpf(all, stdout, JSON_INDENT(1) | JSON_REAL_PRECISION(12));
    printf("\n");
    json_decref(all);
}

static void csv_number(FILE *to, double v) {
    if (isfinite(v)) {
        fprintf(to, ",%.9g", v);
    } else {
        putc(',', to);
    }
}

static void write_csv(const table *t, FILE *to) {
    static const char *const results[] = {"val_accuracy", "val_loss", "accuracy", "loss",
                                          "best",         "seconds",  "step"};
    /* a setting is called loss too */
    static const char *const titles[] = {"val_accuracy", "val_loss", "train_accuracy", "train_loss", "best",
                                         "seconds",      "step"};
    fprintf(to, "run,id,state,epochs_made");
    for (size_t k = 0; k < sizeof results / sizeof results[0]; k++) {
        fprintf(to, ",%s", titles[k]);
    }
    for (int at = 0; at < t->n_settings; at++) {
        putc(',', to);
        cli_csv_cell(to, t->settings[at]);
    }
    putc('\n', to);
    for (int i = 0; i < t->n; i++) {
        const cvs_run_record *r = t->rows[i];
        cli_csv_cell(to, r->folder[0] == '.' ? r->name : r->folder);
        fprintf(to, ",%s,%s,%d", r->id, cvs_run_state_name(r->state), r->n_epochs);
        for (size_t k = 0; k < sizeof results / sizeof results[0]; k++) {
            bool known;
            csv_number(to, result(r, results[k], &known));
        }
        for (int at = 0; at < t->n_settings; at++) {
            const char *text = cvs_run_record_setting(r, t->settings[at]);
            putc(',', to);
            cli_csv_cell(to, text ? text : "");
        }
        putc('\n', to);
    }
}

static cvs_status save_csv(const table *t, const char *path) {
    if (strcmp(path, "-") == 0) {
        write_csv(t, stdout);
        return CVS_OK;
    }
    cli_table file;
    if (!cli_table_begin(t->c, &file)) {
        return CVS_E_MEMORY;
    }
    write_csv(t, file.to);
    return cli_table_end(t->c, &file, path);
}

/* ---- the command ----------------------------------------------------------------------------------------------- */

static bool state_is_known(const char *name) {
    for (int i = 0; i < CVS_N_RUN_STATES; i++) {
        if (strcmp(name, cvs_run_state_name((cvs_run_state)i)) == 0) {
            return true;
        }
    }
    return false;
}

static cvs_status open_all(table *t) {
    static const char *const here[] = {"."};
    cli *c = t->c;
    int n = c->n_args > 0 ? c->n_args : 1, all = 0;
    const char *state = cli_value(c, "--state");
    t->lists = calloc((size_t)n, sizeof(cvs_runs *));
    for (int i = 0; i < n; i++) {
        cvs_status s = t->lists
                           ? cvs_runs_open(c->n_args > 0 ? c->args[i] : here[0], NULL, &t->lists[i], &c->err)
                           : CVS_E_MEMORY;
        if (s != CVS_OK) {
            return s;
        }
        t->n_lists++;
        all += cvs_runs_count(t->lists[i]);
        for (int k = 0; cvs_runs_note(t->lists[i], k); k++) {
            char safe[900];
            cli_say(c, CLI_T(c, "note: %s", "注：%s"),
                    cli_safe(cvs_runs_note(t->lists[i], k), safe, sizeof safe));
        }
    }
    t->rows = calloc((size_t)all + 1, sizeof(const cvs_run_record *));
    for (int i = 0; t->rows && i < n; i++) {
        for (int k = 0; k < cvs_runs_count(t->lists[i]); k++) {
            const cvs_run_record *r = cvs_runs_get(t->lists[i], k);
            if (!state || strcmp(state, cvs_run_state_name(r->state)) == 0) {
                t->rows[t->n++] = r;
            }
        }
    }
    return t->rows ? CVS_OK : CVS_E_MEMORY;
}

static bool check_options(table *t) {
    cli *c = t->c;
    const char *state = cli_value(c, "--state");
    char safe[60];
    bool known = true;
    if (state && !state_is_known(state)) {
        cli_usage(c,
                  CLI_T(c, "--state is \"%s\"; running, finished, stopped, failed or killed expected",
                        "--state 的值是“%s”，应为 running、finished、stopped、failed 或 killed"),
                  cli_safe(state, safe, sizeof safe));
        return false;
    }
    if (t->sort && t->n > 0) {
        (void)result(t->rows[0], t->sort, &known);
        for (int i = 0; i < t->n_settings && !known; i++) {
            known = strcmp(t->settings[i], t->sort) == 0;
        }
        if (!known) {
            cli_usage(c,
                      CLI_T(c, "--sort is \"%s\"; these runs have no result or setting of that name",
                            "--sort 的值是“%s”，这些训练没有此名称的结果或设置"),
                      cli_safe(t->sort, safe, sizeof safe));
        }
    }
    return known;
}

static cvs_status show(table *t) {
    cli *c = t->c;
    const char *csv = cli_value(c, "--csv");
    if (t->sort && !sort_rows(t)) {
        return CVS_E_MEMORY;
    }
    if (csv) {
        return save_csv(t, csv);
    }
    if (cli_flag(c, "--json")) {
        print_json(t);
    } else if (t->n == 0) {
        cli_say(c, CLI_T(c, "there are no records of runs in %s", "%s 中没有训练记录"),
                c->n_args > 0 ? c->args[0] : ".");
    } else if (t->n == 1) {
        print_one(c, t->rows[0]);
    } else {
        print_table(t);
    }
    return CVS_OK;
}

static int run(cli *c) {
    table t = {.c = c, .sort = cli_value(c, "--sort")};
    cvs_status s = open_all(&t);
    if (s == CVS_OK) {
        find_columns(&t);
        s = check_options(&t) ? show(&t) : CVS_E_ARGUMENT;
    }
    for (int i = 0; i < t.n_lists; i++) {
        cvs_runs_free(t.lists[i]);
    }
    free(t.lists);
    free(t.rows);
    return s == CVS_OK ? 0 : c->err.code == CVS_OK ? cvs_status_exit(s) : cli_fail(c);
}

const cli_command cli_command_runs = {
    .name = "runs",
    .args = "[DIR...]",
    .en = "what was trained below a folder and how it went, also while it goes on; settings compared",
    .zh = "列出文件夹下的训练及其结果（包括进行中的），并比较设置",
    .min_args = 0,
    .max_args = -1,
    .groups = CLI_JSON,
    .options = options,
    .n_options = sizeof options / sizeof options[0],
    .run = run,
};

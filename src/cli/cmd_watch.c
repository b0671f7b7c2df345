/* SPDX-License-Identifier: MIT
 * cmd_watch.c - convscope watch RUN|LOGDIR...: what training runs logged, Convscope's own and any TensorBoard event files: the app's page, or
 * in the terminal a table with small curves, JSON, or a figure of the curves.
 */
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli.h"
#include "convscope/charts.h"
#include "convscope/serve.h"

static const cli_option options[] = {
    {"--text", NULL, "a table in the terminal (the default where standard output is no terminal)",
     "在终端显示表格（标准输出不是终端时的默认方式）"},
    {"--port", "N", "of the page, on 127.0.0.1 (0: any free one)",
     "网页在 127.0.0.1 上的端口（0：任意空闲端口）"},
    {"--visdom-port", "N",
     "a page more: what the Visdom client for Python sends to this port of this machine",
     "增加一页：显示 Python 的 Visdom 客户端发到本机此端口的内容"},
    {"--visdom-dir", "DIR", "where Visdom's environments are saved (RUN/visdom)",
     "保存 Visdom 环境的文件夹（RUN/visdom）"},
    {"--no-browser", NULL, "serve the page, only print its address", "提供网页，只打印地址，不打开浏览器"},
    {"-o", "FILE", "figure of the curves (.png, .svg or .pdf)", "曲线图（.png、.svg 或 .pdf）"},
    {"--tag", "TEXT", "only tags that contain this", "只显示名称含此文字的数据"},
    {"--smooth", "X", "smoothing of the curves, from 0 to 0.999 (0)", "曲线平滑系数，0 到 0.999（0）"},
    {"--log", NULL, "logarithmic y axes", "纵轴用对数坐标"},
    {"--theme", "light|dark", "of the figure", "图的主题"},
    {"--follow", NULL, "print again whenever something new comes, until Ctrl-C",
     "有新数据时重新打印，直到 Ctrl-C"},
};

enum { SPARKS = 24, MOST_CHARTS = 24 };

typedef struct watching {
    cli *c;
    int n;
    cvs_log **logs;
    const char *tag;
} watching;

/* ---- text ----------------------------------------------------------------------------------------------- */

/* The curve in 24 columns; each shows its largest number, so that a spike is seen. */
static void spark(const cvs_series *s, char out[SPARKS * 3 + 1]) {
    static const char *const bars[] = {"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
    double lo = HUGE_VAL, hi = -HUGE_VAL;
    int64_t columns = s->n < SPARKS ? s->n : SPARKS;
    out[0] = 0;
    for (int64_t i = 0; i < s->n; i++) {
        if (isfinite(s->value[i])) {
            lo = fmin(lo, s->value[i]);
            hi = fmax(hi, s->value[i]);
        }
    }
    for (int64_t k = 0; k < columns; k++) {
        double most = -HUGE_VAL;
        for (int64_t i = k * s->n / columns; i < (k + 1) * s->n / columns; i++) {
            most = isfinite(s->value[i]) ? fmax(most, s->value[i]) : most;
        }
        int level = hi > lo && isfinite(most) ? (int)((most - lo) / (hi - lo) * 7.999) : 0;
        strcat(out, isfinite(most) ? bars[level] : "×");
    }
}

/* The health of the layers (hundreds of series) only when it is asked for. */
static bool wanted(const watching *w, const cvs_series *s) {
    return w->tag ? strstr(s->tag, w->tag) != NULL : strncmp(s->tag, "health/", 7) != 0;
}

static void print_scalars(const watching *w, const cvs_series *s) {
    char safe[200], bars[SPARKS * 3 + 1], text[32];
    int64_t low = -1, high = -1, broken = 0;
    for (int64_t i = 0; i < s->n; i++) {
        if (!isfinite(s->value[i])) {
            broken++;
            continue;
        }
        low = low < 0 || s->value[i] < s->value[low] ? i : low;
        high = high < 0 || s->value[i] > s->value[high] ? i : high;
    }
    spark(s, bars);
    printf("  ");
    cli_pad(stdout, cli_safe(s->tag, safe, sizeof safe), 28, false);
    printf(" ");
    cli_pad(stdout, bars, SPARKS, false);
    printf(" %11.5g", s->n > 0 ? s->value[s->n - 1] : (double)NAN);
    if (low >= 0) {
        snprintf(text, sizeof text, "%.5g", s->value[low]);
        printf("  %11s @%-8lld", text, (long long)s->step[low]);
        snprintf(text, sizeof text, "%.5g", s->value[high]);
        printf(" %11s @%-8lld", text, (long long)s->step[high]);
    }
    if (broken > 0) {
        printf(CLI_T(w->c, "  %lld not finite", "  %lld 个非有限值"), (long long)broken);
    }
    printf("\n");
}

static void print_run(const watching *w, const cvs_log *log, int run) {
    const char *name, *value;
    char safe[300];
    int of, others[4] = {0}, hidden = 0;
    printf("%s\n", cli_safe(cvs_log_run(log, run), safe, sizeof safe));
    for (int i = 0, shown = 0; cvs_log_hparam(log, i, &of, &name, &value); i++) {
        if (of == run) {
            char a[120];
            printf("%s%s = %s", shown++ ? ", " : "  ", cli_safe(name, safe, sizeof safe),
                   cli_safe(value, a, sizeof a));
        }
        if (shown && !cvs_log_hparam(log, i + 1, &of, &name, &value)) {
            printf("\n");
        }
    }
    printf("  ");
    cli_pad(stdout, CLI_T(w->c, "scalar", "标量"), 54, false);
    cli_pad(stdout, CLI_T(w->c, "last", "最新"), 11, true);
    cli_pad(stdout, CLI_T(w->c, "least @ step", "最小 @ 步"), 22, true);
    cli_pad(stdout, CLI_T(w->c, "largest @ step", "最大 @ 步"), 21, true);
    printf("\n");
    for (int i = 0; i < cvs_log_count(log); i++) {
        cvs_series s;
        cvs_log_series(log, i, &s);
        if (s.run == run && s.kind == CVS_SCALARS && wanted(w, &s)) {
            print_scalars(w, &s);
        } else if (s.run == run && s.kind != CVS_SCALARS) {
            others[s.kind - 1]++;
        } else if (s.run == run) {
            hidden++;
        }
    }
    if (others[0] + others[1] + others[2] + others[3] > 0) {
        printf(CLI_T(w->c, "  also %d histograms, %d pictures, %d texts, %d others over time\n",
                     "  另有随时间记录的直方图 %d 组、图片 %d 组、文本 %d 组、其他 %d 组\n"),
               others[0], others[1], others[2], others[3]);
    }
    if (hidden > 0 && !w->tag) {
        printf(CLI_T(w->c, "  and %d series of the layers' health (--tag health)\n",
                     "  以及各层健康状况 %d 组（--tag health）\n"),
               hidden);
    }
    printf("\n");
}

static void print_text(const watching *w) {
    for (int i = 0; i < w->n; i++) {
        for (int run = 0; run < cvs_log_n_runs(w->logs[i]); run++) {
            print_run(w, w->logs[i], run);
        }
    }
    for (int i = 0; i < w->n && !w->tag; i++) {
        (void)cli_print_diagnosis(w->c, w->logs[i], false, stdout);
    }
    fflush(stdout);
}

/* ---- JSON ----------------------------------------------------------------------------------------------- */

static json_t *text(const char *s) {
    char safe[4200];
    return json_string(cli_safe(s, safe, sizeof safe));
}

static json_t *series_json(const cvs_series *s) {
    static const char *const kinds[] = {"scalar", "histogram", "picture", "text", "other"};
    json_t *steps = json_array(), *walls = json_array(), *values = json_array();
    for (int64_t i = 0; i < s->n; i++) {
        json_array_append_new(steps, json_integer((json_int_t)s->step[i]));
        json_array_append_new(walls, isfinite(s->wall[i]) ? json_real(s->wall[i]) : json_null());
        if (s->value) {
            json_array_append_new(values, isfinite(s->value[i]) ? json_real(s->value[i]) : json_null());
        }
    }
    return json_pack("{s:o,s:o,s:s,s:o,s:o,s:o}", "run", text(s->run_name), "tag", text(s->tag), "kind",
                     kinds[s->kind], "step", steps, "wall", walls, "value", values);
}

static json_t *warnings_json(const watching *w) {
    static const char *const grades[] = {"note", "warning", "fault"};
    json_t *list = json_array();
    for (int k = 0; k < w->n; k++) {
        cvs_diagnosis d = {0};
        if (cvs_diagnose(w->logs[k], w->c->lang, &d, &w->c->err) != CVS_OK) {
            break;
        }
        for (int i = 0; i < d.n; i++) {
            const cvs_warning *one = &d.list[i];
            json_array_append_new(list, json_pack("{s:o,s:s,s:s,s:s,s:I,s:o,s:o,s:s,s:s,s:s,s:o}", "run",
                                                  text(cvs_log_run(w->logs[k], one->run)), "code", one->code,
                                                  "severity", grades[one->severity], "title", one->title,
                                                  "step", (json_int_t)one->step, "layer", text(one->layer),
                                                  "evidence", text(one->evidence), "why", one->why, "advice",
                                                  one->advice, "recipe", one->recipe, "tag", text(one->tag)));
        }
        cvs_diagnosis_free(&d);
    }
    return list;
}

static void print_json(const watching *w) {
    json_t *all = json_array(), *settings = json_array();
    for (int k = 0; k < w->n; k++) {
        const char *name, *value;
        int run;
        for (int i = 0; i < cvs_log_count(w->logs[k]); i++) {
            cvs_series s;
            cvs_log_series(w->logs[k], i, &s);
            if (wanted(w, &s)) {
                json_array_append_new(all, series_json(&s));
            }
        }
        for (int i = 0; cvs_log_hparam(w->logs[k], i, &run, &name, &value); i++) {
            json_array_append_new(settings,
                                  json_pack("{s:o,s:o,s:o}", "run", text(cvs_log_run(w->logs[k], run)),
                                            "name", text(name), "value", text(value)));
        }
    }
    json_t *root =
        json_pack("{s:o,s:o,s:o}", "series", all, "hparams", settings, "warnings", warnings_json(w));
    json_dumpf(root, stdout, JSON_INDENT(1) | JSON_REAL_PRECISION(9));
    printf("\n");
    json_decref(root);
}

/* ---- the figure ----------------------------------------------------------------------------------------- */

typedef struct figure_data {
    cvs_chart charts[MOST_CHARTS];
    int n;
    cvs_curve *curves; /* of all charts */
    double **steps;    /* owned, one a curve */
    char **names;      /* owned */
    int n_curves;
} figure_data;

static void free_figure_data(figure_data *f) {
    for (int i = 0; i < f->n_curves; i++) {
        free(f->steps[i]);
        free(f->names[i]);
    }
    free(f->curves);
    free(f->steps);
    free(f->names);
}

/* A chart for every tag with scalars, in the order they come; false when there are too many or memory is out. */
static bool find_tags(const watching *w, figure_data *f, int *most) {
    *most = 0;
    for (int k = 0; k < w->n; k++) {
        for (int i = 0; i < cvs_log_count(w->logs[k]); i++) {
            cvs_series s;
            int at = 0;
            cvs_log_series(w->logs[k], i, &s);
            if (s.kind != CVS_SCALARS || !wanted(w, &s)) {
                continue;
            }
            (*most)++;
            while (at < f->n && strcmp(f->charts[at].title, s.tag) != 0) {
                at++;
            }
            if (at == f->n && f->n < MOST_CHARTS) {
                f->charts[f->n++] = (cvs_chart){.title = s.tag};
            }
        }
    }
    return *most > 0;
}

static const char *last_part(const char *folder, size_t *n) {
    size_t end = strlen(folder), begin;
    while (end > 1 && folder[end - 1] == '/') {
        end--;
    }
    for (begin = end; begin > 0 && folder[begin - 1] != '/'; begin--) {}
    *n = end - begin;
    return folder + begin;
}

/* "mnist/train" where several folders are shown, with the folder's number where two are called alike. */
static void name_curve(const watching *w, int k, const char *run, char *out, size_t size) {
    char safe[260], part[100], shown[110];
    size_t n, m;
    const char *own = last_part(w->c->args[k], &n);
    bool alike = false;
    for (int i = 0; i < w->n; i++) {
        const char *other = last_part(w->c->args[i], &m);
        alike = alike || (i != k && n == m && memcmp(own, other, n) == 0);
    }
    snprintf(part, sizeof part, "%.*s", (int)(n < sizeof part ? n : sizeof part - 1), own);
    cli_safe(run, safe, sizeof safe);
    if (w->n == 1) {
        snprintf(out, size, "%s", safe);
    } else if (alike) {
        snprintf(out, size, "%s/%s (%d)", cli_safe(part, shown, sizeof shown), safe, k + 1);
    } else {
        snprintf(out, size, "%s/%s", cli_safe(part, shown, sizeof shown), safe);
    }
}

static bool fill_chart(const watching *w, figure_data *f, cvs_chart *chart) {
    chart->curves = f->curves + f->n_curves;
    for (int k = 0; k < w->n; k++) {
        for (int i = 0; i < cvs_log_count(w->logs[k]); i++) {
            cvs_series s;
            cvs_log_series(w->logs[k], i, &s);
            if (s.kind != CVS_SCALARS || strcmp(s.tag, chart->title) != 0) {
                continue;
            }
            char name[400];
            double *x = malloc((size_t)(s.n + 1) * sizeof *x);
            name_curve(w, k, s.run_name, name, sizeof name);
            f->names[f->n_curves] = strdup(name);
            f->steps[f->n_curves] = x;
            if (!x || !f->names[f->n_curves]) {
                f->n_curves++;
                return false;
            }
            for (int64_t p = 0; p < s.n; p++) {
                x[p] = (double)s.step[p];
            }
            f->curves[f->n_curves] =
                (cvs_curve){.name = f->names[f->n_curves], .n = s.n, .x = x, .y = s.value};
            f->n_curves++;
            chart->n++;
        }
    }
    return true;
}

static cvs_status draw(const watching *w, const char *path, double smoothing, cvs_figure **out) {
    cli *c = w->c;
    char command[1500];
    figure_data f = {0};
    int most = 0;
    if (!find_tags(w, &f, &most)) {
        cli_usage(c, CLI_T(c, "there are no scalars of this kind to draw in %s", "%s 中没有可绘制的标量"),
                  c->args[0]);
        return CVS_E_ARGUMENT;
    }
    f.curves = calloc((size_t)most, sizeof *f.curves);
    f.steps = calloc((size_t)most, sizeof *f.steps);
    f.names = calloc((size_t)most, sizeof *f.names);
    bool good = f.curves && f.steps && f.names;
    for (int i = 0; i < f.n && good; i++) {
        good = fill_chart(w, &f, &f.charts[i]);
        f.charts[i].log_y = cli_flag(c, "--log");
        f.charts[i].smoothing = smoothing;
    }
    cvs_figure_options o = {
        .lang = c->lang, .theme = cli_theme(c), .command = cli_command_line(c, command, sizeof command)};
    cvs_status s =
        good ? cvs_draw_charts(f.charts, f.n, CLI_T(c, "Training curves", "训练曲线"), &o, out, &c->err)
             : CVS_E_MEMORY;
    if (s == CVS_OK) {
        s = cvs_figure_write(*out, path, 0, &c->err);
    }
    free_figure_data(&f);
    return s;
}

/* ---- the command ---------------------------------------------------------------------------------------- */

static cvs_status open_all(watching *w) {
    cvs_status s = CVS_OK;
    for (int i = 0; i < w->c->n_args && s == CVS_OK; i++) {
        s = cvs_log_open(w->c->args[i], NULL, &w->logs[i], &w->c->err);
        w->n += s == CVS_OK;
        for (int k = 0; s == CVS_OK && cvs_log_note(w->logs[i], k); k++) {
            char safe[900];
            cli_say(w->c, CLI_T(w->c, "note: %s", "注：%s"),
                    cli_safe(cvs_log_note(w->logs[i], k), safe, sizeof safe));
        }
        if (s == CVS_OK && cvs_log_n_runs(w->logs[i]) == 0) {
            cli_say(w->c,
                    CLI_T(w->c, "note: there are no event files (yet) in %s", "注：%s 中（还）没有事件文件"),
                    w->c->args[i]);
        }
    }
    return s;
}

static cvs_status follow(watching *w) {
    for (;;) {
        bool any = false;
        struct timespec pause = {.tv_sec = 1};
        nanosleep(&pause, NULL);
        for (int i = 0; i < w->n; i++) {
            bool changed = false;
            cvs_status s = cvs_log_refresh(w->logs[i], &changed, &w->c->err);
            if (s != CVS_OK) {
                return s;
            }
            any = any || changed;
        }
        if (any) {
            print_text(w);
        }
    }
}

/* The page unless something else was asked for, or the output goes into a file or another program. */
static bool wants_page(const cli *c) {
    static const char *const others[] = {"--text", "-o", "--tag", "--smooth", "--log", "--follow", "--json"};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        if (cli_value(c, others[i]) || cli_flag(c, others[i])) {
            return false;
        }
    }
    return cli_flag(c, "--no-browser") || cli_value(c, "--port") || cli_value(c, "--visdom-port") ||
           isatty(STDOUT_FILENO);
}

static int serve_page(cli *c) {
    int64_t port, visdom;
    char beside[4200];
    const char *folder = cli_value(c, "--visdom-dir");
    if (!cli_int(c, "--port", 0, 65535, 0, &port) || !cli_int(c, "--visdom-port", 1, 65535, 0, &visdom)) {
        return cvs_status_exit(CVS_E_ARGUMENT);
    }
    snprintf(beside, sizeof beside, "%s/visdom", c->args[0]);
    cli_ready told = {.c = c, .page = "watch"};
    cvs_serve_options setup = {.port = (int)port,
                               .lang = c->lang,
                               .visdom_port = (int)visdom,
                               .visdom_folder = folder ? folder : beside,
                               .logs = c->args,
                               .n_logs = c->n_args,
                               .open = {.lang = c->lang},
                               .ready = cli_on_ready,
                               .context = &told};
    return cvs_serve(&setup, &c->err) == CVS_OK ? 0 : cli_fail(c);
}

static int run(cli *c) {
    if (wants_page(c)) {
        return serve_page(c);
    }
    watching w = {.c = c, .tag = cli_value(c, "--tag")};
    const char *path = cli_value(c, "-o"), *number = cli_value(c, "--smooth");
    char *end = NULL;
    double smoothing = number ? strtod(number, &end) : 0;
    if (number && (end == number || *end || !(smoothing >= 0 && smoothing <= 0.999))) {
        return cli_usage(c,
                         CLI_T(c, "--smooth is \"%s\", a number from 0 to 0.999 expected",
                               "--smooth 的值是“%s”，应为 0 到 0.999 的数"),
                         number);
    }
    if (path && cvs_figure_check_path(path, &c->err) != CVS_OK) {
        return cli_fail(c);
    }
    w.logs = calloc((size_t)c->n_args, sizeof(cvs_log *));
    cvs_figure *figure = NULL;
    cvs_status s = w.logs ? open_all(&w) : CVS_E_MEMORY;
    if (s == CVS_OK && path) {
        s = draw(&w, path, smoothing, &figure);
    } else if (s == CVS_OK && cli_flag(c, "--json")) {
        print_json(&w);
    } else if (s == CVS_OK) {
        print_text(&w);
        s = cli_flag(c, "--follow") ? follow(&w) : CVS_OK;
    }
    cvs_figure_free(figure);
    for (int i = 0; w.logs && i < w.n; i++) {
        cvs_log_free(w.logs[i]);
    }
    free(w.logs);
    return s == CVS_OK ? 0 : c->err.code == CVS_OK ? cvs_status_exit(s) : cli_fail(c);
}

const cli_command cli_command_watch = {
    .name = "watch",
    .args = "RUN|LOGDIR...",
    .en = "what training runs logged (Convscope's, TensorBoard's, Keras's, PyTorch's): curves, settings",
    .zh = "查看训练记录（Convscope、TensorBoard、Keras、PyTorch）：曲线与设置",
    .min_args = 1,
    .max_args = -1,
    .groups = CLI_JSON,
    .options = options,
    .n_options = sizeof options / sizeof options[0],
    .run = run,
};

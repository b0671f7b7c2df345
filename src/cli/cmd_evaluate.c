/* SPDX-License-Identifier: MIT
 * cmd_evaluate.c - convscope evaluate MODEL... DATA: how often the model, or the mean of several, is right on labelled pictures, class by
 * class; what it takes for what; the worst pictures. Text, JSON, and with -o a figure.
 */
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"
#include "convscope/charts.h"

static const cli_option options[] = {
    {"--split", "train|test", "unseen or training pictures (test)", "测试图片或训练图片（test）"},
    {"--top", "N", "right when among so many best answers (5)", "前 N 名内算对（5）"},
    {"--limit", "N", "at most so many pictures", "最多使用的图片数"},
    {"--worst", "N", "how many of the pictures with the largest loss (12)", "列出损失最大的图片数（12）"},
    {"--threads", "N", "threads (default: one per CPU); the results have the same bits",
     "线程数（默认每个 CPU 一个）；结果逐位相同"},
    {"-o", "FILE", "figure: confusion matrix and worst pictures (.png, .svg or .pdf)",
     "图：混淆矩阵与最差图片（.png、.svg 或 .pdf）"},
    {"--theme", "light|dark", "of the figure", "图的主题"},
};

static json_t *number(double v) {
    return isfinite(v) ? json_real(v) : json_null();
}

static json_t *text(const char *s) {
    char safe[2048];
    return json_string(cli_safe(s, safe, sizeof safe));
}

static double share(int64_t part, int64_t whole) {
    return whole > 0 ? (double)part / (double)whole : 0;
}

static json_t *classes_json(const cvs_evaluation *e) {
    json_t *list = json_array();
    for (int c = 0; c < e->n_classes; c++) {
        const cvs_class_score *s = &e->classes[c];
        json_array_append_new(list, json_pack("{s:i,s:o,s:I,s:I,s:I,s:o,s:o,s:o}", "index", c, "name",
                                              text(s->name), "count", (json_int_t)s->count, "predicted",
                                              (json_int_t)s->predicted, "right", (json_int_t)s->right,
                                              "precision", number(s->precision), "recall", number(s->recall),
                                              "f1", number(s->f1)));
    }
    return list;
}

static json_t *worst_json(const cvs_evaluation *e) {
    json_t *list = json_array();
    for (int i = 0; i < e->n_worst; i++) {
        const cvs_worst_picture *w = &e->worst[i];
        json_array_append_new(list, json_pack("{s:I,s:o,s:o,s:o,s:o,s:o}", "picture", (json_int_t)w->index,
                                              "label", text(e->classes[w->label].name), "answer",
                                              text(e->classes[w->answer].name), "loss", number(w->loss),
                                              "label_probability", number(w->label_probability),
                                              "answer_probability", number(w->answer_probability)));
    }
    return list;
}

static void print_json(const cvs_evaluation *e) {
    json_t *matrix = json_array();
    for (int r = 0; r < e->n_classes; r++) {
        json_t *row = json_array();
        for (int c = 0; c < e->n_classes; c++) {
            json_array_append_new(row, json_integer((json_int_t)e->confusion[(int64_t)r * e->n_classes + c]));
        }
        json_array_append_new(matrix, row);
    }
    char fingerprint[24];
    snprintf(fingerprint, sizeof fingerprint, "%016llx", (unsigned long long)e->fingerprint);
    json_t *all =
        json_pack("{s:I,s:o,s:o,s:i,s:o,s:o,s:o,s:o,s:s,s:o,s:o,s:o}", "pictures", (json_int_t)e->count,
                  "loss", number(e->loss), "accuracy", number(share(e->right, e->count)), "top", e->top,
                  "top_accuracy", number(share(e->right_top, e->count)), "confidence", number(e->confidence),
                  "calibration_error", number(e->calibration), "macro_f1", number(e->macro_f1), "fingerprint",
                  fingerprint, "classes", classes_json(e), "confusion", matrix, "worst", worst_json(e));
    json_dumpf(all, stdout, JSON_INDENT(1) | JSON_REAL_PRECISION(9));
    printf("\n");
    json_decref(all);
}

static void print_share(double v) {
    if (isfinite(v)) {
        printf("%9.2f%%", 100 * v);
    } else {
        printf("%10s", "–");
    }
}

/* What the class is most often taken for. */
static int usual_mistake(const cvs_evaluation *e, int row) {
    int best = -1;
    for (int c = 0; c < e->n_classes; c++) {
        int64_t n = c == row ? 0 : e->confusion[(int64_t)row * e->n_classes + c];
        best = n > 0 && (best < 0 || n > e->confusion[(int64_t)row * e->n_classes + best]) ? c : best;
    }
    return best;
}

static void print_class(const cli *c, const cvs_evaluation *e, int i) {
    const cvs_class_score *s = &e->classes[i];
    char safe[120], count[32];
    int mistake = usual_mistake(e, i);
    cli_pad(stdout, cli_safe(s->name, safe, sizeof safe), 20, false);
    printf("%9s", cli_grouped(s->count, count, sizeof count));
    print_share(s->recall);
    print_share(s->precision);
    print_share(s->f1);
    if (mistake >= 0) {
        printf(CLI_T(c, "   most often taken for %s (%lld)", "   最常被认作 %s（%lld）"),
               cli_safe(e->classes[mistake].name, safe, sizeof safe),
               (long long)e->confusion[(int64_t)i * e->n_classes + mistake]);
    }
    printf("\n");
}

static void print_text(const cli *c, const cvs_evaluation *e) {
    char count[32], a[120], b[120];
    printf(CLI_T(c, "pictures      %s\n", "图片数        %s\n"), cli_grouped(e->count, count, sizeof count));
    printf(CLI_T(c, "right         %.2f%%\n", "正确率        %.2f%%\n"), 100 * share(e->right, e->count));
    snprintf(a, sizeof a, CLI_T(c, "in best %d", "前 %d 名内"), e->top);
    cli_pad(stdout, a, 14, false);
    printf("%.2f%%\n", 100 * share(e->right_top, e->count));
    printf(CLI_T(c, "loss          %.4f\n", "损失          %.4f\n"), e->loss);
    printf(CLI_T(c, "confidence    %.2f%% (calibration error %.2f%%)\n",
                 "置信度        %.2f%%（校准误差 %.2f%%）\n"),
           100 * e->confidence, 100 * e->calibration);
    printf(CLI_T(c, "macro F1      %.4f\n\n", "宏平均 F1     %.4f\n\n"), e->macro_f1);
    cli_pad(stdout, CLI_T(c, "class", "类别"), 20, false);
    cli_pad(stdout, CLI_T(c, "pictures", "图片数"), 9, true);
    cli_pad(stdout, CLI_T(c, "recall", "召回率"), 10, true);
    cli_pad(stdout, CLI_T(c, "precision", "精确率"), 10, true);
    cli_pad(stdout, "F1", 10, true);
    printf("\n");
    for (int i = 0; i < e->n_classes; i++) {
        if (e->n_classes <= 100 || e->classes[i].count > 0) {
            print_class(c, e, i);
        }
    }
    if (e->n_worst > 0) {
        printf("%s", CLI_T(c, "\nlargest loss\n", "\n损失最大的图片\n"));
    }
    for (int i = 0; i < e->n_worst; i++) {
        const cvs_worst_picture *w = &e->worst[i];
        printf(CLI_T(c, "  picture %lld: %s (%.2f%%), answer %s (%.2f%%), loss %.3f\n",
                     "  第 %lld 张：%s（%.2f%%），预测 %s（%.2f%%），损失 %.3f\n"),
               (long long)w->index, cli_safe(e->classes[w->label].name, a, sizeof a),
               100 * w->label_probability, cli_safe(e->classes[w->answer].name, b, sizeof b),
               100 * w->answer_probability, w->loss);
    }
}

/* A model file, or a folder of a run: its best.onnx. */
static cvs_status open_member(cli *c, const char *where, cvs_model **out) {
    char best[4200];
    int n = snprintf(best, sizeof best, "%s/best.onnx", where);
    bool run = n > 0 && (size_t)n < sizeof best && access(best, R_OK) == 0;
    return cli_open(c, run ? best : where, false, out);
}

static cvs_status draw(cli *c, const cvs_model *model, const cvs_evaluation *e, const char *path) {
    cli_figure figure;
    cvs_figure *picture = NULL;
    cli_figure_plain(c, model, path, &figure);
    cvs_status s = cvs_draw_evaluation(e, &figure.options, &picture, &c->err);
    return cli_figure_write(c, s, picture, path);
}

static bool read_options(cli *c, cvs_evaluate_options *o) {
    int64_t top, worst, threads;
    const char *split = cli_value(c, "--split");
    *o = (cvs_evaluate_options){.progress = cli_progress, .progress_context = c};
    if (!cli_int(c, "--top", 1, 1000000, 0, &top) || !cli_int(c, "--worst", 0, 1000, 12, &worst) ||
        !cli_int(c, "--threads", 1, 1024, 0, &threads) ||
        !cli_int(c, "--limit", 1, INT64_MAX, 0, &o->limit)) {
        return false;
    }
    o->training_pictures = split && split[1] == 'r';
    o->top = (int)top;
    o->worst = worst > 0 ? (int)worst : -1;
    o->threads = (int)threads;
    return true;
}

static int run(cli *c) {
    cvs_evaluate_options o;
    const char *path = cli_value(c, "-o");
    if (!read_options(c, &o)) {
        return cvs_status_exit(CVS_E_ARGUMENT);
    }
    if (path && cvs_figure_check_path(path, &c->err) != CVS_OK) {
        return cli_fail(c);
    }
    int n = c->n_args - 1;
    cvs_model **models = calloc((size_t)n, sizeof *models);
    cvs_evaluation *e = NULL;
    cvs_status s = models ? CVS_OK : CVS_E_MEMORY;
    for (int i = 0; i < n && s == CVS_OK; i++) {
        s = open_member(c, c->args[i], &models[i]);
    }
    if (s == CVS_OK) {
        s = cvs_evaluate_ensemble((const cvs_model *const *)models, n, c->args[n], &o, &e, &c->err);
        cli_progress(c, "", 1.0);
    }
    if (s == CVS_OK && n > 1) {
        cli_say(c, CLI_T(c, "the mean of the probabilities of %d models", "%d 个模型概率的平均"), n);
    }
    if (s == CVS_OK && e->by_number) {
        cli_say(
            c, "%s",
            CLI_T(c,
                  "note: the model's classes have other names than the data's; labels were matched by number",
                  "注：模型的类别名称与数据集不同；标签按编号对应"));
    }
    if (s == CVS_OK && cli_flag(c, "--json")) {
        print_json(e);
    } else if (s == CVS_OK) {
        print_text(c, e);
    }
    if (s == CVS_OK && path) {
        s = draw(c, models[0], e, path);
    }
    cvs_evaluation_free(e);
    for (int i = 0; models && i < n; i++) {
        cvs_model_free(models[i]);
    }
    free(models);
    return s == CVS_OK ? 0 : cli_fail(c);
}

const cli_command cli_command_evaluate = {
    .name = "evaluate",
    .args = "MODEL... DATA",
    .en = "how good the model, or the mean of several, is on labelled pictures: loss, top-k, every class, "
          "the worst pictures",
    .zh = "模型（或多个模型的平均）在带标签图片上的表现：损失、top-k、各类别与最差图片",
    .min_args = 2,
    .max_args = -1,
    .groups = CLI_MODEL | CLI_INPUT | CLI_JSON,
    .options = options,
    .n_options = sizeof options / sizeof options[0],
    .run = run,
};

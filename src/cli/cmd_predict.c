/* SPDX-License-Identifier: MIT
 * cmd_predict.c - convscope predict MODEL IMAGE...: the best classes of each picture, with probability and logit.
 */
#include <jansson.h>
#include <math.h>
#include <stdlib.h>

#include "cli.h"

static const cli_option options[] = {
    {"--top", "N", "how many classes (5)", "显示多少个类别（5）"},
};

/* JSON has no NaN and no infinity: null stands for them. */
static json_t *number(double v) {
    return isfinite(v) ? json_real(v) : json_null();
}

static json_t *text(const char *s) {
    char safe[2048];
    return json_string(cli_safe(s, safe, sizeof safe));
}

/* What the class may be called, where the model names none; "" else. */
static const char *guess(int64_t classes, const cvs_score *s, char *name, size_t size) {
    name[0] = 0;
    return !s->name[0] && cvs_imagenet_name(classes, s->index, name, size) ? name : "";
}

static json_t *as_json(const char *file, int64_t sample, int64_t samples, int64_t classes,
                       const cvs_score *scores, int n) {
    json_t *top = json_array();
    for (int i = 0; i < n; i++) {
        char maybe[160];
        json_t *line =
            json_pack("{s:i,s:o,s:o,s:o}", "index", scores[i].index, "name", text(scores[i].name),
                      "probability", number(scores[i].probability), "logit", number(scores[i].logit));
        if (guess(classes, &scores[i], maybe, sizeof maybe)[0]) {
            json_object_set_new(line, "guess", json_string(maybe));
        }
        json_array_append_new(top, line);
    }
    json_t *one = json_pack("{s:o,s:o}", "file", text(file), "top", top);
    if (samples > 1) {
        json_object_set_new(one, "sample", json_integer(sample));
    }
    return one;
}

static void as_text(const cli *c, const char *file, int64_t sample, int64_t samples, int64_t classes,
                    const cvs_score *scores, int n) {
    char safe[300], maybe[160];
    printf("%s", cli_safe(file, safe, sizeof safe));
    if (samples > 1) {
        printf(" [%lld]", (long long)sample);
    }
    printf("\n");
    for (int i = 0; i < n; i++) {
        char name[200], number[200];
        bool guessed = guess(classes, &scores[i], maybe, sizeof maybe)[0] != 0;
        snprintf(number, sizeof number, guessed ? "%d  %s?" : "%d", scores[i].index, maybe);
        cli_safe(scores[i].name[0] ? scores[i].name : number, name, sizeof name);
        int bar = (int)(scores[i].probability * 20 + 0.5);
        printf("  %6.2f%%  ", scores[i].probability * 100);
        for (int k = 0; k < 20; k++) {
            printf("%s", k < bar ? "█" : "·");
        }
        printf("  ");
        cli_pad(stdout, name, 28, false);
        printf("  %s %.4g\n", CLI_T(c, "logit", "logit"), scores[i].logit);
    }
}

/* How the logits were found, and where names come from, once per call. */
static void say_kind(const cli *c, cvs_logit_kind kind, bool guessed) {
    if (guessed) {
        cli_say(c, "%s",
                CLI_T(c,
                      "note: the model names no classes; names with a ? are those of ImageNet, a guess "
                      "(--classes imagenet takes them, --classes FILE names others)",
                      "注：模型没有类别名称；带 ? 的名称取自 ImageNet，仅为猜测（--classes imagenet "
                      "采用它们，--classes FILE 指定其他名称）"));
    }
    if (kind == CVS_LOGIT_IS_OUTPUT) {
        cli_say(c, "%s",
                CLI_T(c,
                      "note: the model ends without softmax or sigmoid; its outputs are the logits, softmax "
                      "was applied for the probabilities",
                      "注：模型末尾没有 softmax 或 sigmoid；其输出即 logit，概率由 softmax 算出"));
    }
}

static cvs_status predict_file(cli *c, const cvs_model *model, cvs_run *run, const char *path, int top,
                               cvs_score *scores, json_t *list, cvs_logit_kind *kind, bool *guessed) {
    cvs_status s = cli_run_file(c, model, run, path, NULL);
    cvs_tensor output;
    if (s == CVS_OK) {
        s = cvs_run_output(run, 0, &output, &c->err);
    }
    int64_t samples = s == CVS_OK && output.rank > 1 ? output.dim[0] : 1;
    cvs_model_info info;
    cvs_model_describe(model, &info);
    int64_t classes =
        s == CVS_OK && samples > 0 && !info.random_weights ? cvs_tensor_count(&output) / samples : 0;
    for (int64_t n = 0; n < samples && s == CVS_OK; n++) {
        int count = 0;
        s = cvs_run_top(run, n, top, scores, &count, kind, &c->err);
        char maybe[160];
        *guessed = s == CVS_OK && count > 0 && guess(classes, &scores[0], maybe, sizeof maybe)[0];
        if (s == CVS_OK && list) {
            json_array_append_new(list, as_json(path, n, samples, classes, scores, count));
        } else if (s == CVS_OK) {
            as_text(c, path, n, samples, classes, scores, count);
        }
    }
    return s;
}

static int run(cli *c) {
    int64_t top;
    cvs_run_options run_options;
    if (!cli_int(c, "--top", 1, 1000000, 5, &top) || !cli_run_options(c, &run_options)) {
        return cvs_status_exit(CVS_E_ARGUMENT);
    }
    run_options.answer_only =
        true; /* a first answer is mostly the price of fresh memory: little of it is needed */
    cvs_model *model = NULL;
    cvs_run *runner = NULL;
    cvs_score *scores = calloc((size_t)top, sizeof *scores);
    json_t *list = cli_flag(c, "--json") ? json_array() : NULL;
    cvs_status s = scores ? cli_open(c, c->args[0], false, &model) : CVS_E_MEMORY;
    if (s == CVS_OK) {
        s = cvs_run_new(model, &run_options, &runner, &c->err);
    }
    cvs_logit_kind kind = CVS_LOGIT_BEFORE_SOFTMAX;
    for (int i = 1; i < c->n_args && s == CVS_OK; i++) {
        bool guessed = false;
        s = predict_file(c, model, runner, c->args[i], (int)top, scores, list, &kind, &guessed);
        if (i == 1 && s == CVS_OK) {
            say_kind(c, kind, guessed);
        }
    }
    if (s == CVS_OK && list) {
        json_dumpf(list, stdout, JSON_INDENT(1) | JSON_REAL_PRECISION(9));
        printf("\n");
    }
    json_decref(list);
    cvs_run_free(runner);
    cvs_model_free(model);
    free(scores);
    return s == CVS_OK ? 0 : cli_fail(c);
}

const cli_command cli_command_predict = {
    .name = "predict",
    .args = "MODEL IMAGE...",
    .en = "what the model says the pictures are: names, probabilities, logits",
    .zh = "模型认为图片是什么：类别、概率与 logit",
    .min_args = 2,
    .max_args = -1,
    .groups = CLI_MODEL | CLI_INPUT | CLI_RUN | CLI_JSON,
    .options = options,
    .n_options = sizeof options / sizeof options[0],
    .run = run,
};

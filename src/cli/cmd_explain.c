/* SPDX-License-Identifier: MIT
 * cmd_explain.c - convscope explain MODEL IMAGE --method M: why this class; the raw map as .npy and a picture.
 */
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "cli_check.h"

static const cli_option options[] = {
    {"--method", "NAME|list", "gradient, gradcam, ... (list: all of them)",
     "方法：gradient、gradcam 等（list 列出全部）"},
    {"--target", "T",
     "what to explain: top, a class by number or name, mix:2*CLASS,-1*CLASS, "
     "neuron:LAYER:CHANNEL[,ROW,COLUMN] "
     "or region:LAYER:CHANNEL[,ROWS,COLUMNS] with rows as 3-8 and * for all channels (top)",
     "要解释什么：top、类别编号或名称、mix:2*类别,-1*类别、neuron:层:通道[,行,列]，或 "
     "region:层:通道[,行,列]（行写作 3-8，* 表示所有通道）（top）"},
    {"--output", "logit|prob", "explain the logit or the probability (logit)",
     "解释 logit 还是概率（logit）"},
    {"--layer", "L", "for methods that look at a layer: name, number, last-conv (last-conv)",
     "针对某一层的方法：名称、编号或 last-conv（last-conv）"},
    {"--signed", NULL, "keep negative parts of class activation maps", "保留类激活热图的负值部分"},
    {"--sample", "N", "which sample of a .npy with several (0)", ".npy 含多个样本时选择哪一个（0）"},
    {"--baseline", "B", "integrated gradients and DeepLIFT start from: black, mean, white, FILE.npy (black)",
     "积分梯度与 DeepLIFT 的起点：black、mean、white 或 文件.npy（black）"},
    {"--rule", "R", "their quadrature: gauss, midpoint, left, right, trapezoid (gauss)",
     "其求积法则：gauss、midpoint、left、right、trapezoid（gauss）"},
    {"--steps", "N", "its steps (doubled until the completeness error is below 1 %)",
     "其步数（默认加倍直至完备性误差低于 1 %）"},
    {"--samples", "N", "noisy copies, draws or masks of the picture (25; rise 4000; lime, kernelshap 1000)",
     "加噪副本、抽样或遮罩的数量（25；rise 为 4000；lime、kernelshap 为 1000）"},
    {"--noise", "S", "their noise as a share of the picture's range (0.15)",
     "噪声占图片取值范围的比例（0.15）"},
    {"--seed", "N", "of all that is random (0)", "随机数的种子（0）"},
    {"--patch", "P", "occlusion: side of the patch in input pixels (1/7 of the picture)",
     "遮挡：补丁边长，以输入像素计（图片的 1/7）"},
    {"--stride", "S", "occlusion: pixels between positions (half the patch)",
     "遮挡：位置间隔像素数（补丁的一半）"},
    {"--fill", "V", "occlusion: the patch's value in the network's input (the picture's mean colour)",
     "遮挡：补丁在网络输入中的值（图片的平均颜色）"},
    {"--epsilon", "E", "LRP: what keeps denominators from zero (1e-6)", "LRP：使分母不为零的量（1e-6）"},
    {"--gamma", "G", "LRP gamma, composite: extra weight of positive parts (0.25)",
     "LRP gamma 与组合规则：正贡献的额外权重（0.25）"},
    {"--alpha", "A", "LRP alpha-beta: weight of positive parts, beta = alpha - 1 (2)",
     "LRP alpha-beta：正贡献的权重，beta = alpha - 1（2）"},
    {"--compat", "LIBRARY",
     "another library's arithmetic: captum, pytorch-grad-cam, tf-keras-vis, dlwp (the book)",
     "采用另一个库的算法：captum、pytorch-grad-cam、tf-keras-vis、dlwp（《Python 深度学习》）"},
    {"--raw", "FILE.npy", "the map itself: not scaled, its own resolution",
     "热图原始数值：不缩放，保持其自身分辨率"},
    {"--check", NULL, "put the map to the test: shuffled weights, pixels taken away, noise, sums, the object",
     "检验热图：打乱权重、移除像素、噪声、求和、物体位置"},
    {"--check-figure", "FILE", "the same as curves", "把检验结果画成曲线图"},
    {"--mask", "FILE", "a picture that is white on the object, for --check",
     "物体处为白色的掩膜图片，供 --check 使用"},
    {"--votes", "FILE.csv", "what every feature map said: channel, value, share, weight",
     "每张特征图的投票：通道、数值、占比、权重"},
};

static int list_methods(const cli *c) {
    for (int i = 0; i < cvs_method_count(); i++) {
        cvs_method_info m;
        if (cvs_method_describe(i, c->lang, &m, NULL) == CVS_OK) {
            cli_pad(stdout, m.name, 24, false);
            printf("%s\n", m.sentence);
        }
    }
    return 0;
}

static cvs_status write_votes(cli *c, const cvs_explanation *e, const char *path) {
    char line[160];
    size_t size = 64 + (size_t)e->n_votes * 120, at;
    char *text = malloc(size);
    if (!text) {
        return c->err.code = CVS_E_MEMORY;
    }
    at = (size_t)snprintf(text, size, "channel,value,share,weight\n");
    for (int i = 0; i < e->n_votes; i++) {
        int n = snprintf(line, sizeof line, "%d,%.9g,%.9g,%.9g\n", e->votes[i].channel, e->votes[i].value,
                         e->votes[i].share, e->votes[i].weight);
        memcpy(text + at, line, (size_t)n);
        at += (size_t)n;
    }
    cvs_status s = cvs_file_write(path, text, at, &c->err);
    free(text);
    return s;
}

static cvs_status write_results(cli *c, const cvs_model *model, cvs_run *run, const cvs_tensor *shown,
                                const cvs_explanation *e) {
    const char *raw = cli_value(c, "--raw"), *votes = cli_value(c, "--votes"), *picture = cli_value(c, "-o");
    cvs_status s = CVS_OK;
    if (raw) {
        cvs_tensor t = {0};
        s = cvs_explanation_file(e, cli_value(c, "--layout"), &t, &c->err);
        if (s == CVS_OK) {
            s = cvs_npy_write(raw, &t, &c->err);
        }
        cvs_tensor_free(&t);
    }
    if (s == CVS_OK && votes) {
        s = write_votes(c, e, votes);
    }
    if (s == CVS_OK && picture) {
        s = cli_draw_explanation(c, model, run, shown, e, picture);
    }
    if (s == CVS_OK) {
        cli_say(c, "%s", e->caption);
    }
    return s;
}

static bool number(cli *c, const char *name, bool *given, double *out) {
    const char *text = cli_value(c, name);
    char *end;
    *given = text != NULL;
    if (!text) {
        return true;
    }
    *out = strtod(text, &end);
    if (end == text || *end || !(*out >= -1e30 && *out <= 1e30)) {
        char safe[60];
        cli_usage(c, CLI_T(c, "%s is \"%s\", a number expected", "%s 的值是“%s”，应为数字"), name,
                  cli_safe(text, safe, sizeof safe));
        return false;
    }
    return true;
}

static bool check_settings(cli *c, cvs_explain_options *o) {
    int64_t seed = 0;
    bool given;
    o->baseline = cli_value(c, "--baseline");
    o->rule = cli_value(c, "--rule");
    o->compat = cli_value(c, "--compat");
    bool ok = cli_int(c, "--steps", 1, 1000000, 0, &o->steps) &&
              cli_int(c, "--samples", 1, 1000000, 0, &o->samples) &&
              cli_int(c, "--seed", 0, INT64_MAX, 0, &seed) &&
              cli_int(c, "--patch", 1, INT32_MAX, 0, &o->patch) &&
              cli_int(c, "--stride", 1, INT32_MAX, 0, &o->stride) &&
              number(c, "--fill", &o->has_fill, &o->fill) && number(c, "--noise", &o->has_noise, &o->noise) &&
              number(c, "--epsilon", &o->has_epsilon, &o->epsilon) &&
              number(c, "--gamma", &o->has_gamma, &o->gamma) && number(c, "--alpha", &given, &o->alpha);
    o->seed = (uint64_t)seed;
    return ok;
}

static bool check(cli *c, cvs_explain_options *o) {
    const char *output = cli_value(c, "--output");
    if (!cli_value(c, "-o") && !cli_value(c, "--raw") && !cli_value(c, "--votes") &&
        !cli_flag(c, "--check")) {
        cli_usage(c, CLI_T(c, "convscope explain needs -o FILE, --raw FILE.npy or --check",
                           "convscope explain 需要 -o FILE、--raw FILE.npy 或 --check"));
        return false;
    }
    if (output && strcmp(output, "logit") != 0 && strcmp(output, "prob") != 0) {
        cli_usage(c, CLI_T(c, "--output is logit or prob", "--output 只能是 logit 或 prob"));
        return false;
    }
    o->target.probability = output && output[0] == 'p';
    return cli_int(c, "--sample", 0, INT64_MAX, 0, &o->sample);
}

static cvs_status check_places(cli *c) {
    static const char *const names[] = {"--raw", "--votes"};
    for (int i = 0; i < 2; i++) {
        const char *path = cli_value(c, names[i]);
        cvs_status s = path ? cvs_output_check(path, &c->err) : CVS_OK;
        if (s != CVS_OK) {
            return s;
        }
    }
    if (cli_value(c, "--check-figure")) {
        cvs_status s = cvs_figure_check_path(cli_value(c, "--check-figure"), &c->err);
        if (s != CVS_OK) {
            return s;
        }
    }
    return cli_value(c, "-o") ? cvs_figure_check_path(cli_value(c, "-o"), &c->err) : CVS_OK;
}

static cvs_status explain(cli *c, const cvs_run_options *run_options, cvs_explain_options *o) {
    cvs_model *model = NULL;
    cvs_run *run = NULL;
    cvs_tensor shown = {0}, mask = {0};
    cvs_explanation e = {0};
    bool probability = o->target.probability;
    int number;
    cvs_status s = cvs_method_find(o->method, &number, &c->err);
    if (s == CVS_OK) {
        s = check_places(c);
    }
    if (s == CVS_OK) {
        s = cli_open(c, c->args[0], false, &model);
    }
    if (s == CVS_OK && o->layer) {
        s = cvs_model_find_layer(model, o->layer, &number, &c->err);
    }
    if (s == CVS_OK) {
        s = cvs_target_parse(model, cli_value(c, "--target"), &o->target, &c->err);
        o->target.probability = probability;
    }
    if (s == CVS_OK) {
        s = cvs_run_new(model, run_options, &run, &c->err);
    }
    if (s == CVS_OK) {
        s = cli_run_picture(c, model, run, c->args[1], &shown, &mask);
    }
    if (s == CVS_OK) {
        s = cvs_explain(run, o, &e, &c->err);
    }
    if (s == CVS_OK) {
        s = write_results(c, model, run, shown.data ? &shown : NULL, &e);
    }
    if (s == CVS_OK && cli_flag(c, "--check")) {
        s = cli_check(c, model, run, o, &e, &mask);
    }
    cvs_tensor_free(&mask);
    cvs_explanation_free(&e);
    cvs_tensor_free(&shown);
    cvs_run_free(run);
    cvs_model_free(model);
    return s;
}

static int run(cli *c) {
    const char *method = cli_value(c, "--method");
    if (method && strcmp(method, "list") == 0) {
        return list_methods(c);
    }
    if (!method || c->n_args != 2) {
        return cli_usage(
            c, CLI_T(c, "convscope explain needs MODEL, IMAGE and --method NAME (--method list shows them)",
                     "convscope explain 需要 MODEL、IMAGE 与 --method NAME（--method list 可列出）"));
    }
    cvs_run_options run_options;
    cvs_explain_options o = {.method = method,
                             .layer = cli_value(c, "--layer"),
                             .signed_map = cli_flag(c, "--signed"),
                             .lang = c->lang};
    if (!check(c, &o) || !check_settings(c, &o) || !cli_run_options(c, &run_options)) {
        return cvs_status_exit(CVS_E_ARGUMENT);
    }
    run_options.for_gradients = true;
    cvs_status s = explain(c, &run_options, &o);
    return s == CVS_OK ? 0 : c->err.code == CVS_OK ? cvs_status_exit(s) : cli_fail(c);
}

const cli_command cli_command_explain = {
    .name = "explain",
    .args = "MODEL IMAGE --method M -o FILE",
    .en = "why this class: attribution maps and the votes of the feature maps",
    .zh = "为什么是这个类别：归因图与各特征图的投票",
    .min_args = 0,
    .max_args = 2,
    .groups = CLI_MODEL | CLI_INPUT | CLI_RUN | CLI_FIGURE | CLI_JSON,
    .options = options,
    .n_options = sizeof options / sizeof options[0],
    .run = run,
};

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
    {"--signed", NULL,
     "class activation maps keep their negative parts; fullgrad: parts that add up to the target",
     "类激活热图保留负值部分；fullgrad：各部分之和等于目标"},
    {"--sample", "N", "which sample of a .npy with several (0)", ".npy 含多个样本时选择哪一个（0）"},
    {"--baseline", "B",
     "the picture to start from (integrated-gradients, guided-ig, gradientshap, xrai, deeplift, layer "
     "methods) or "
     "to show instead of pieces (lime, kernelshap): black, mean, blur, white, noise, FILE.npy (black)",
     "起点图片（integrated-gradients、guided-ig、gradientshap、xrai、deeplift "
     "与层方法），或代替区块的图片（lime、"
     "kernelshap）：black、mean、blur、white、noise、文件.npy（black）"},
    {"--rule", "R",
     "quadrature: gauss, midpoint, left, right, trapezoid (gauss; guided-ig and blur-ig: trapezoid, or left "
     "as "
     "PAIR saliency has it; conductance: gauss or trapezoid)",
     "求积法则：gauss、midpoint、left、right、trapezoid（gauss；guided-ig 与 blur-ig 为 trapezoid，left 即 "
     "PAIR saliency "
     "的算法；conductance 为 gauss 或 trapezoid）"},
    {"--steps", "N",
     "of the quadrature (integrated-gradients, guided-ig, blur-ig: doubled until the completeness error is "
     "below "
     "1 %; layer methods 50; xrai 100)",
     "求积步数（integrated-gradients、guided-ig、blur-ig：加倍直至完备性误差低于 1 %；层方法 50；xrai 100）"},
    {"--samples", "N",
     "noisy copies, draws or masks (smoothgrad, vargrad 25; gradientshap 50; rise 4000; lime, kernelshap "
     "1000)",
     "加噪副本、抽样或遮罩的数量（smoothgrad、vargrad 25；gradientshap 50；rise 4000；lime、kernelshap "
     "1000）"},
    {"--noise", "S",
     "smoothgrad, vargrad (0.15), gradientshap (0): standard deviation as a share of the picture's range",
     "smoothgrad、vargrad（0.15）与 gradientshap（0）的噪声：标准差占图片取值范围的比例"},
    {"--seed", "N", "of all that is random (0)", "随机数的种子（0）"},
    {"--patch", "P", "occlusion: side of the patch in input pixels (1/7 of the picture)",
     "遮挡：补丁边长，以输入像素计（图片的 1/7）"},
    {"--stride", "S", "occlusion: pixels between positions (half the patch)",
     "遮挡：位置间隔像素数（补丁的一半）"},
    {"--fill", "V",
     "a value of the network's input: of the patch (the picture's mean colour), or instead of pieces (lime: "
     "their "
     "own mean colour; kernelshap: black)",
     "网络输入中的一个值：用于补丁（默认为图片的平均颜色），或代替区块（lime：区块自身的平均颜色；kernelshap"
     "：黑色）"},
    {"--data", "SET",
     "occlusion, in place of an image: accuracy with the patch at each place, over a folder of class folders "
     "or "
     "mnist:DIR, folder:DIR, generated:NAME",
     "遮挡，用数据集代替图片：补丁位于各处时的准确率；可为按类别分子文件夹的文件夹，或 "
     "mnist:DIR、folder:DIR、generated:NAME"},
    {"--limit", "N", "--data: at most so many pictures", "--data：最多使用的图片数"},
    {"--epsilon", "E",
     "lrp-*, excitation-backprop, deep-taylor: what keeps denominators from zero (1e-6; 0 is allowed)",
     "lrp-*、excitation-backprop、deep-taylor：使分母不为零的量（1e-6；可为 0）"},
    {"--gamma", "G", "lrp-gamma, lrp-composite: extra weight of positive parts (0.25; 0 is allowed)",
     "lrp-gamma 与 lrp-composite：正贡献的额外权重（0.25；可为 0）"},
    {"--alpha", "A", "lrp-alphabeta: weight of positive parts, 1 or more; beta = alpha - 1 (2)",
     "lrp-alphabeta：正贡献的权重，不小于 1；beta = alpha - 1（2）"},
    {"--compat", "LIBRARY",
     "another library's arithmetic: captum, pytorch-grad-cam, tf-keras-vis, dlwp (the book)",
     "采用另一个库的算法：captum、pytorch-grad-cam、tf-keras-vis、dlwp（《Python 深度学习》）"},
    {"--raw", "FILE.npy", "the map itself: not scaled, its own resolution",
     "热图原始数值：不缩放，保持其自身分辨率"},
    {"--raw-classes", "FILE.npy", "occlusion: every class at every position, [classes, rows, columns]",
     "遮挡：每个位置上每个类别的值，[类别, 行, 列]"},
    {"--raw-activation", "FILE.npy",
     "occlusion: the strongest feature map's sum at every position, of --layer or the last convolution",
     "遮挡：每个位置上最强特征图之和（--layer 所指的层，默认最后一个卷积）"},
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
            cli_pad(stdout, m.name, 28, false);
            printf("%s%s%s%s%s%s%s\n", m.sentence, m.flags[0] ? " [" : "", m.flags, m.flags[0] ? "]" : "",
                   m.compat[0] ? " [--compat " : "", m.compat, m.compat[0] ? "]" : "");
        }
    }
    return 0;
}

/* Settings that were given and that the method does not read are said, not passed over. */
static void tell_unread(cli *c, const char *method) {
    static const char *const settings[] = {"--layer",  "--signed",  "--baseline",    "--rule",
                                           "--steps",  "--samples", "--noise",       "--patch",
                                           "--stride", "--fill",    "--epsilon",     "--gamma",
                                           "--alpha",  "--votes",   "--raw-classes", "--raw-activation"};
    cvs_method_info m;
    int number;
    if (cvs_method_find(method, &number, NULL) != CVS_OK ||
        cvs_method_describe(number, c->lang, &m, NULL) != CVS_OK) {
        return;
    }
    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++) {
        char with_value[40];
        snprintf(with_value, sizeof with_value, "%s ", settings[i]);
        bool flag = strcmp(settings[i], "--signed") == 0;
        if ((flag ? cli_flag(c, settings[i]) : cli_value(c, settings[i]) != NULL) &&
            !strstr(m.flags, flag ? settings[i] : with_value)) {
            cli_say(c,
                    CLI_T(c, "note: %s does not read %s (convscope explain --method list says what does)",
                          "注：%s 不使用 %s（convscope explain --method list 列出哪些方法使用它）"),
                    method, settings[i]);
        }
    }
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

/* A tensor [1,...] without its batch dimension (and, one map, without its channel). */
static cvs_status write_raw(cli *c, const char *option, const cvs_tensor *t) {
    const char *path = cli_value(c, option);
    if (!path) {
        return CVS_OK;
    }
    if (!t->data) {
        cli_usage(c,
                  CLI_T(c, "%s: this method has no such numbers for this model, occlusion has them",
                        "%s：该方法对此模型没有这些数值，occlusion 才有"),
                  option);
        return CVS_E_ARGUMENT;
    }
    cvs_tensor view = *t;
    int drop = t->dim[1] == 1 ? 2 : 1;
    view.owned = false;
    view.rank -= drop;
    memmove(view.dim, view.dim + drop, sizeof *view.dim * (size_t)view.rank);
    return cvs_npy_write(path, &view, &c->err);
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
    if (s == CVS_OK) {
        s = write_raw(c, "--raw-classes", &e->classes);
    }
    if (s == CVS_OK) {
        s = write_raw(c, "--raw-activation", &e->activation);
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
    if (s == CVS_OK && e->note[0]) {
        cli_say(c, "%s", e->note);
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
    if (ok && given && o->alpha < 1.0) {
        cli_usage(c, CLI_T(c, "--alpha is %g, 1 or more is possible", "--alpha 为 %g，应不小于 1"), o->alpha);
        return false;
    }
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
    static const char *const names[] = {"--raw", "--votes", "--raw-classes", "--raw-activation"};
    for (int i = 0; i < 4; i++) {
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

/* explain --data: occlusion over a set. */
static cvs_status over_data(cli *c, cvs_run *run, cvs_explain_options *o, cvs_explanation *e) {
    const char *text = cli_value(c, "--data");
    char spec[1024];
    cvs_data *data = NULL;
    cvs_data_options which = {.split = CVS_TEST};
    if (strcmp(o->method, "occlusion") != 0) {
        cli_usage(c,
                  CLI_T(c, "--data goes with --method occlusion, not with %s",
                        "--data 只能与 --method occlusion 一起使用，不能用于 %s"),
                  o->method);
        return CVS_E_ARGUMENT;
    }
    if (!cli_int(c, "--limit", 1, INT64_MAX, 0, &which.limit)) {
        return CVS_E_ARGUMENT;
    }
    snprintf(spec, sizeof spec, "%s%s", strchr(text, ':') ? "" : "folder:", text);
    o->progress = cli_progress;
    o->progress_context = c;
    cvs_status s = cvs_data_open(spec, &which, &data, &c->err);
    if (s == CVS_OK) {
        s = cvs_occlusion_accuracy(run, data, o, e, &c->err);
        cli_progress(c, "", 1.0);
    }
    cvs_data_free(data);
    return s;
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
    if (s == CVS_OK && cli_value(c, "--data")) {
        s = over_data(c, run, o, &e);
    } else if (s == CVS_OK) {
        s = cli_run_picture(c, model, run, c->args[1], &shown, &mask);
        if (s == CVS_OK) {
            s = cvs_explain(run, o, &e, &c->err);
        }
    }
    if (s == CVS_OK) {
        s = write_results(c, model, run, shown.data ? &shown : NULL, &e);
    }
    if (s == CVS_OK && cli_flag(c, "--check") && !cli_value(c, "--data")) {
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
    if (!method || c->n_args != (cli_value(c, "--data") ? 1 : 2)) {
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
    tell_unread(c, method);
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

/* SPDX-License-Identifier: MIT
 * cmd_convert.c - convscope convert MODEL -o out.onnx: writes an opened model in another format, chosen by the suffix.
 */
#include "convert_check.h"

static const cli_option options[] = {
    {"-o", "FILE", "the model to write; its suffix chooses the format (.onnx, .json, .net, .safetensors)",
     "要写出的模型文件；由后缀决定格式（.onnx、.json、.net、.safetensors）"},
    {"--no-check", NULL, "do not run both models afterwards", "写出后不运行两个模型作比较"},
};

/* Says how far the written model's outputs are from the first one's. Not the same: exit code 1. */
static int check(cli *c, const cvs_model *model, const char *to) {
    cvs_model_info info;
    double worst = 0;
    char text[700];
    cvs_model_describe(model, &info);
    cvs_status s = info.has_weights ? cli_convert_check(c, model, info.path, to, &worst) : CVS_E_ARGUMENT;
    if (s != CVS_OK) {
        cli_say(c, CLI_T(c, "outputs not compared: %s", "未比较输出：%s"),
                c->err.code != CVS_OK
                    ? cvs_error_text(&c->err, text, sizeof text)
                    : CLI_T(c, "there are no weights to compute with", "没有可供计算的权重"));
        return 0;
    }
    if (worst == 0) {
        cli_say(c, CLI_T(c, "outputs are equal: both were run, every number is the same",
                         "输出相同：已运行两个模型，每个数值都一致"));
        return 0;
    }
    if (worst <= 1e-5) {
        cli_say(
            c,
            CLI_T(c, "outputs are equal: both were run, the largest difference is %.2g of the largest number",
                  "输出相同：已运行两个模型，最大差异为最大数值的 %.2g"),
            worst);
        return 0;
    }
    cli_say(c,
            CLI_T(c, "outputs DIFFER: both were run, the largest difference is %.2g of the largest number",
                  "输出不同：已运行两个模型，最大差异为最大数值的 %.2g"),
            worst);
    return 1;
}

static int run(cli *c) {
    const char *to = cli_value(c, "-o");
    if (!to) {
        return cli_usage(c, CLI_T(c, "convscope convert needs -o FILE", "convscope convert 需要 -o FILE"));
    }
    if (cvs_output_check(to, &c->err) != CVS_OK) {
        return cli_fail(c);
    }
    cvs_model *model;
    if (cli_open(c, c->args[0], false, &model) != CVS_OK) {
        return cli_fail(c);
    }
    cvs_status s = cvs_model_write(model, to, &c->err);
    if (s == CVS_OK) {
        cvs_model_info info;
        cvs_model_describe(model, &info);
        cli_say(c, CLI_T(c, "wrote %s: %d nodes, from %s", "已写出 %s：%d 个节点，源格式 %s"), to,
                info.n_nodes, info.format);
    }
    int code = s != CVS_OK ? cli_fail(c) : cli_flag(c, "--no-check") ? 0 : check(c, model, to);
    cvs_model_free(model);
    return code;
}

const cli_command cli_command_convert = {
    .name = "convert",
    .args = "MODEL -o FILE",
    .en = "write the model in another format (.onnx, .json of Keras, .safetensors), or as text (.net), and "
          "compare outputs",
    .zh = "将模型写成另一种格式（.onnx、Keras 的 .json、.safetensors）或文本（.net），并比较输出",
    .min_args = 1,
    .max_args = 1,
    .groups = CLI_MODEL,
    .options = options,
    .n_options = sizeof options / sizeof options[0],
    .run = run,
};

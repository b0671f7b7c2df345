/* SPDX-License-Identifier: MIT
 * cmd_convert.c - convscope convert MODEL -o out.onnx: writes an opened model in another format, chosen by the suffix.
 */
#include "cli.h"

static const cli_option options[] = {
    {"-o", "FILE", "the model to write; its suffix chooses the format (.onnx, .net)",
     "要写出的模型文件；由后缀决定格式（.onnx、.net）"},
};

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
    cvs_model_free(model);
    return s == CVS_OK ? 0 : cli_fail(c);
}

const cli_command cli_command_convert = {
    .name = "convert",
    .args = "MODEL -o FILE",
    .en = "write the model in another format (.onnx), or as text (.net)",
    .zh = "将模型写成另一种格式（.onnx），或写成文本（.net）",
    .min_args = 1,
    .max_args = 1,
    .groups = CLI_MODEL,
    .options = options,
    .n_options = sizeof options / sizeof options[0],
    .run = run,
};

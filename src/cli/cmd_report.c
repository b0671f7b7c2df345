/* SPDX-License-Identifier: MIT
 * cmd_report.c - convscope report MODEL IMAGE -o out.html: everything about a model and a picture in one file.
 */
#include "cli.h"

static const cli_option options[] = {
    {"-o", "FILE", "the page to write (.html)", "要写出的网页（.html）"},
    {"--top", "N", "how many classes (10)", "显示多少个类别（10）"},
};

static int run(cli *c) {
    const char *path = cli_value(c, "-o");
    if (!path) {
        return cli_usage(c, CLI_T(c, "convscope report needs -o FILE", "convscope report 需要 -o FILE"));
    }
    cli_report report = {.model = c->args[0], .image = c->args[1]};
    if (cvs_output_check(path, &c->err) != CVS_OK || cli_report_make(c, &report) != CVS_OK) {
        return c->err.code == CVS_OK ? cvs_status_exit(CVS_E_ARGUMENT) : cli_fail(c);
    }
    cvs_status s = cvs_file_write(path, report.html, report.size, &c->err);
    cvs_free(report.html);
    return s == CVS_OK ? 0 : cli_fail(c);
}

const cli_command cli_command_report = {
    .name = "report",
    .args = "MODEL IMAGE -o FILE",
    .en = "one self-contained page: structure, prediction, every layer's filters, maps, pooling",
    .zh = "一个自包含网页：结构、预测、每层的卷积核、特征图与池化",
    .min_args = 2,
    .max_args = 2,
    .groups = CLI_MODEL | CLI_INPUT | CLI_RUN,
    .options = options,
    .n_options = sizeof options / sizeof options[0],
    .run = run,
};

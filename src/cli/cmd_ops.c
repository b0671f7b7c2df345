/* SPDX-License-Identifier: MIT
 * cmd_ops.c - convscope ops: the operator table, for people or as the Markdown page docs/ops.md.
 */
#include <string.h>

#include "cli.h"

static const cli_option options[] = {
    {"--markdown", NULL, "as a Markdown page with every attribute", "输出含全部属性的 Markdown 文档"},
};

static void markdown(cli *c, int i, const cvs_op_info *op) {
    printf("## %s\n\n**%s.** %s\n\n`%s`\n\n%s\n\n", op->name, op->title, op->sentence, op->formula,
           op->reading);
    if (op->n_attributes > 0) {
        printf("| %s | %s | %s | %s |\n|---|---|---|---|\n", CLI_T(c, "attribute", "属性"),
               CLI_T(c, "default", "默认值"), CLI_T(c, "range", "取值"), CLI_T(c, "meaning", "含义"));
    }
    for (int k = 0; k < op->n_attributes; k++) {
        const char *name, *initial, *range, *meaning;
        if (cvs_op_attribute(i, k, c->lang, &name, &initial, &range, &meaning, &c->err) == CVS_OK) {
            printf("| %s | %s | ", name, initial ? initial : CLI_T(c, "required", "必填"));
            for (const char *r = range; r && *r; r++) {
                printf(*r == '|' ? "\\|" : "%c", *r);
            }
            printf(" | %s |\n", meaning);
        }
    }
    printf("%s%s%s\n\n", op->n_attributes > 0 ? "\n" : "",
           op->differentiable ? CLI_T(c, "Differentiable", "可求导")
                              : CLI_T(c, "Not differentiable here", "此处不可求导"),
           op->fast ? CLI_T(c, "; has a fast form.", "；有快速实现。") : CLI_T(c, ".", "。"));
}

static int run(cli *c) {
    bool page = cli_flag(c, "--markdown");
    if (page) {
        printf("# %s\n\n%s\n\n", CLI_T(c, "Operators", "算子"),
               CLI_T(c, "Printed by `convscope ops --markdown`.", "由 `convscope ops --markdown` 输出。"));
    }
    for (int i = 0; i < cvs_op_count(); i++) {
        cvs_op_info op;
        if (cvs_op_describe(i, c->lang, &op, &c->err) != CVS_OK) {
            return cli_fail(c);
        }
        if (page) {
            markdown(c, i, &op);
        } else {
            cli_pad(stdout, op.name, 28, false);
            printf("%s%s\n", strlen(op.name) < 28 ? "" : " ", op.sentence);
        }
    }
    return 0;
}

const cli_command cli_command_ops = {
    .name = "ops",
    .args = "",
    .en = "the operators that run, what they do",
    .zh = "列出可运行的算子及其作用",
    .min_args = 0,
    .max_args = 0,
    .options = options,
    .n_options = sizeof options / sizeof options[0],
    .run = run,
};

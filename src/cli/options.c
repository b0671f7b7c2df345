/* SPDX-License-Identifier: MIT
 * options.c - options from tables: groups that commands share, parsing, help printed from the same rows.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"

static const cli_option always[] = {
    {"--lang", "en|zh", "language of messages and figures (default: LC_ALL, LANG)",
     "信息与图的语言（默认看 LC_ALL、LANG）"},
    {"--help", NULL, "this text", "显示本说明"},
};
static const cli_option model_options[] = {
    {"--weights", "FILE", "weights from a second file", "从另一个文件读取权重"},
    {"--arch", "FILE", "architecture for a file that has only weights", "为只含权重的文件指定结构文件"},
    {"--signature", "NAME", "which signature of a SavedModel to open (default: serving_default)",
     "打开 SavedModel 中的哪个签名（默认 serving_default）"},
    {"--init", "SEED", "random weights for a model that has none", "为没有权重的模型随机初始化权重"},
    {"--max-memory", "MIB", "bound on what one model or run may allocate (8192)",
     "单个模型或一次运行可用内存的上限，MiB（8192）"},
    {"--confine", NULL, "run in a process that reaches only the files named: no network, no other folder",
     "在受限进程中运行：只能访问命令中给出的文件，不能联网，不能访问其他文件夹"},
    {"--max-seconds", "S", "with --confine: processor time it may take (600)",
     "与 --confine 同用：可占用的处理器时间，秒（600）"},
};
static const cli_option input_options[] = {
    {"--preprocess", "SPEC",
     "unit, tf, ImageNet-torch, ImageNet-caffe, and key=value pairs: resize=shorter|stretch|none|letterbox, "
     "size=, "
     "order=rgb|bgr|gray, scale=, mean=a:b:c, std=a:b:c, invert=yes",
     "预处理：unit、tf、ImageNet-torch、ImageNet-caffe，以及键值对 "
     "resize=shorter|stretch|none|letterbox、size=、order=rgb|bgr|gray、scale=、mean=a:b:c、std=a:b:"
     "c、invert=yes"},
    {"--classes", "FILE|imagenet", "class names, one a line; imagenet: its 1,000 names",
     "类别名称文件，每行一个；imagenet：使用 ImageNet 的 1000 个类别名（英文）"},
    {"--layout", "nchw|nhwc", "how a .npy lies, in and out (default: as in the model file)",
     ".npy 输入输出的数据排列（默认与模型文件相同）"},
};
static const cli_option run_options[] = {
    {"--threads", "N", "threads (default: one per CPU); the results have the same bits",
     "线程数（默认每个 CPU 一个）；结果逐位相同"},
    {"--exact", NULL, "no fast algorithm that rounds differently (Winograd)",
     "不用舍入不同的快速算法（Winograd）"},
    {"--device", "NAME", "where to compute: cpu", "计算设备：cpu"},
    {"--batch", "N", "batch size for shapes and costs (1)", "计算形状与开销时的批大小（1）"},
    {"--size", "HxW", "input size where the model leaves it free", "模型未定输入大小时使用的高x宽"},
};
static const cli_option json_options[] = {
    {"--json", NULL, "JSON on standard output", "在标准输出给出 JSON"},
};
static const cli_option figure_options[] = {
    {"-o", "FILE", "the picture: .png, .svg or .pdf", "输出图片：.png、.svg 或 .pdf"},
    {"--theme", "light|dark", "colours of the figure (light)", "图的配色（light）"},
};

static const struct {
    unsigned group;
    const cli_option *options;
    int n;
} groups[] = {
#define GROUP(g, list)                                                                                       \
    { g, list, (int)(sizeof list / sizeof list[0]) }
    GROUP(CLI_FIGURE, figure_options), GROUP(CLI_JSON, json_options), GROUP(CLI_MODEL, model_options),
    GROUP(CLI_INPUT, input_options),   GROUP(CLI_RUN, run_options),   GROUP(~0u, always),
};
enum { N_GROUPS = sizeof groups / sizeof groups[0] };

static const cli_option *find_option(const cli_command *command, const char *name, size_t length) {
    for (int i = 0; i < command->n_options; i++) {
        if (strlen(command->options[i].name) == length &&
            strncmp(command->options[i].name, name, length) == 0) {
            return &command->options[i];
        }
    }
    for (int g = 0; g < N_GROUPS; g++) {
        for (int i = 0; groups[g].group & (command->groups | 1u << 31) && i < groups[g].n; i++) {
            if (strlen(groups[g].options[i].name) == length &&
                strncmp(groups[g].options[i].name, name, length) == 0) {
                return &groups[g].options[i];
            }
        }
    }
    return NULL;
}

/* Whether a value is one of the two that its option has; of other options, true. (draw has more themes than two and looks itself.) */
static bool is_choice(const cli_option *o, const char *value) {
    static const char *const pairs[] = {"en|zh", "light|dark", "train|test"};
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        size_t n = strcspn(pairs[i], "|");
        if (o->value && strcmp(o->value, pairs[i]) == 0) {
            return strcmp(value, pairs[i] + n + 1) == 0 ||
                   (strlen(value) == n && memcmp(value, pairs[i], n) == 0);
        }
    }
    return true;
}

static int take_option(cli *c, int argc, char **argv, int *at) {
    const char *word = argv[*at], *equals = strchr(word, '=');
    size_t length = equals && word[1] == '-' ? (size_t)(equals - word) : strlen(word);
    const cli_option *o = find_option(c->command, word, length);
    char safe[80];
    if (!o) {
        return cli_usage(c,
                         CLI_T(c, "\"%s\" is no option of convscope %s (convscope %s --help lists them)",
                               "“%s”不是 convscope %s 的选项（convscope %s --help 可列出选项）"),
                         cli_safe(word, safe, sizeof safe), c->command->name, c->command->name);
    }
    if (strcmp(o->name, "--help") == 0) {
        cli_help(c, c->command, stdout);
        return -1;
    }
    const char *value = length < strlen(word) ? equals + 1 : NULL;
    if (o->value && !value) {
        if (*at + 1 >= argc) {
            return cli_usage(c, CLI_T(c, "option %s needs a value (%s)", "选项 %s 需要一个值（%s）"), o->name,
                             o->value);
        }
        value = argv[++*at];
    }
    if (!o->value && value) {
        return cli_usage(c, CLI_T(c, "option %s takes no value", "选项 %s 不接受值"), o->name);
    }
    if (value && !is_choice(o, value)) {
        int n = (int)strcspn(o->value, "|");
        return cli_usage(c, CLI_T(c, "%s is %.*s or %s", "%s 只能是 %.*s 或 %s"), o->name, n, o->value,
                         o->value + n + 1);
    }
    if (c->n_set == (int)(sizeof c->set / sizeof c->set[0])) {
        return cli_usage(c, CLI_T(c, "too many options", "选项太多"));
    }
    c->set[c->n_set].name = o->name;
    c->set[c->n_set++].value = value ? value : "";
    return 0;
}

int cli_parse(cli *c, int argc, char **argv) {
    bool only_args = false;
    for (int i = 0; i < argc; i++) {
        if (!only_args && strcmp(argv[i], "--") == 0) {
            only_args = true;
        } else if (!only_args && argv[i][0] == '-' && argv[i][1]) {
            int code = take_option(c, argc, argv, &i);
            if (code != 0) {
                return code;
            }
        } else {
            c->args[c->n_args++] = argv[i];
        }
    }
    if (c->n_args < c->command->min_args) {
        return cli_usage(c, CLI_T(c, "convscope %s needs %s", "convscope %s 需要 %s"), c->command->name,
                         c->command->args);
    }
    if (c->command->max_args >= 0 && c->n_args > c->command->max_args) {
        return cli_usage(c, CLI_T(c, "convscope %s takes %s and nothing more", "convscope %s 只接受 %s"),
                         c->command->name,
                         c->command->args[0] ? c->command->args : CLI_T(c, "no arguments", "零个参数"));
    }
    return 0;
}

const char *cli_value(const cli *c, const char *name) {
    for (int i = c->n_set - 1; i >= 0; i--) {
        if (strcmp(c->set[i].name, name) == 0) {
            return c->set[i].value;
        }
    }
    return NULL;
}

bool cli_flag(const cli *c, const char *name) {
    return cli_value(c, name) != NULL;
}

bool cli_int(cli *c, const char *name, int64_t low, int64_t high, int64_t otherwise, int64_t *out) {
    const char *text = cli_value(c, name);
    *out = otherwise;
    if (!text) {
        return true;
    }
    char *end;
    errno = 0;
    long long v = strtoll(text, &end, 10);
    if (errno || end == text || *end || v < low || v > high) {
        char safe[60];
        cli_usage(c,
                  CLI_T(c, "%s is \"%s\", a whole number from %lld to %lld expected",
                        "%s 的值是“%s”，应为 %lld 到 %lld 的整数"),
                  name, cli_safe(text, safe, sizeof safe), (long long)low, (long long)high);
        return false;
    }
    *out = v;
    return true;
}

static void print_options(const cli *c, const cli_option *options, int n, FILE *to) {
    for (int i = 0; i < n; i++) {
        char head[64];
        snprintf(head, sizeof head, "  %s%s%s", options[i].name, options[i].value ? " " : "",
                 options[i].value ? options[i].value : "");
        cli_pad(to, head, 24, false);
        fprintf(to, "  %s\n", CLI_T(c, options[i].en, options[i].zh));
    }
}

static bool takes_data(const cli_command *command) {
    bool takes = strstr(command->args, "DATA") || strstr(command->args, "SPEC");
    for (int i = 0; i < command->n_options; i++) {
        takes = takes || (command->options[i].value && strcmp(command->options[i].value, "SPEC") == 0);
    }
    return takes;
}

static void command_help(const cli *c, const cli_command *command, FILE *to) {
    fprintf(to, "convscope %s%s%s\n\n%s\n\n", command->name, command->args[0] ? " " : "", command->args,
            CLI_T(c, command->en, command->zh));
    fprintf(to, "%s\n", CLI_T(c, "Options:", "选项："));
    print_options(c, command->options, command->n_options, to);
    for (int g = 0; g < N_GROUPS; g++) {
        if (groups[g].group & (command->groups | 1u << 31)) {
            print_options(c, groups[g].options, groups[g].n, to);
        }
    }
    if (takes_data(command)) {
        fprintf(to, "\n%s\n", CLI_T(c, "Pictures with labels (DATA, SPEC):", "带标签的图片（DATA、SPEC）："));
        for (int i = 0; cvs_data_source(i, c->lang); i++) {
            fprintf(to, "  %s\n", cvs_data_source(i, c->lang));
        }
    }
}

void cli_help(const cli *c, const cli_command *command, FILE *to) {
    if (command) {
        command_help(c, command, to);
        return;
    }
    fprintf(to, "%s\n\n",
            CLI_T(c, "convscope - open any convolutional network and look inside",
                  "convscope - 打开任意卷积神经网络，看见其内部"));
    for (int i = 0; i < cli_n_commands; i++) {
        char head[160];
        snprintf(head, sizeof head, "  convscope %s %s", cli_commands[i]->name, cli_commands[i]->args);
        cli_pad(to, head, 44, false);
        fprintf(to, "  %s\n", CLI_T(c, cli_commands[i]->en, cli_commands[i]->zh));
    }
    fprintf(to, "\n%s\n",
            CLI_T(c, "convscope COMMAND --help lists the options of a command; --lang zh speaks Chinese.",
                  "convscope 命令 --help 列出该命令的选项；--lang en 使用英文。"));
}

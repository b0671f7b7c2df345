/* SPDX-License-Identifier: MIT
 * cmd_draw.c - convscope draw MODEL|TEXT|FILE... -o F: a figure, table or text of architectures.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cli.h"

static const cli_option options[] = {
    {"--style", "NAME", "graph, volume, table, ...; --styles lists them (auto)",
     "图的样式：graph、volume、table 等；--styles 列出全部（auto）"},
    {"-o", "FILE", "what to write; the extension says the format", "输出文件；扩展名决定格式"},
    {"--styles", NULL, "list the styles and what they write", "列出所有样式及其输出格式"},
    {"--theme", "colour|colour-blind|bw|dark", "colours (colour)", "配色（colour）"},
    {"--direction", "tb|lr", "from top to bottom or from left to right", "自上而下或自左向右"},
    {"--fit", "column|page|slide|none", "the page: 88 mm, 180 mm, 16:9, or as large as it takes (none)",
     "页面：单栏 88 毫米、整页 180 毫米、16:9 幻灯片，或按需（none）"},
    {"--depth", "N", "levels of groups that are opened (by what fits)", "展开的分组层数（默认按页面）"},
    {"--fold", "auto|none", "repeated blocks once with their count, or every layer (auto)",
     "重复块只画一次并标次数，或画出每一层（auto）"},
    {"--expand", "GROUPS", "groups to draw in full, by name, comma-separated; or all",
     "完整画出的分组名称，用逗号分隔；或 all"},
    {"--labels", "LIST", "names, shapes, params, macs, memory, field, none",
     "标注：names、shapes、params、macs、memory、field、none"},
    {"--cost", "macs|params|memory", "show what each box costs", "显示每个方框的开销"},
    {"--legend", NULL, "explain the colours", "附图例"},
    {"--keep", "LIST",
     "what is usually left out: small (dropout, casts), fuse (normalisation as boxes), groups",
     "保留通常省略的内容：small（dropout、类型转换）、fuse（归一化单独成框）、groups"},
    {"--title", "TEXT", "instead of the model's name", "代替模型名称的标题"},
    {"--image", "FILE", "a picture whose feature maps are shown (lenet)", "显示其特征图的图片（lenet）"},
    {"--set", "KEY=VALUE,...", "settings of one style", "某一样式专用的设置"},
    {"--scale", "N", "pixels per point of a PNG (2)", "PNG 每点的像素数（2）"},
    {"--fragment", NULL, "TikZ and LaTeX: without a document around it", "TikZ 与 LaTeX：只输出片段"},
    {"--batch", "N", "batch size for shapes and costs (1)", "计算形状与开销时的批大小（1）"},
    {"--size", "HxW", "input size where the model leaves it free", "模型未定输入大小时使用的高x宽"},
};

/* One word of a list ("tb|lr") as its number; -1 and a sentence where it is none; `otherwise` where not given. */
static int choice(cli *c, const char *name, const char *const *words, int n, int otherwise) {
    const char *value = cli_value(c, name);
    char list[200] = "";
    for (int i = 0; i < n; i++) {
        if (value && strcmp(value, words[i]) == 0) {
            return i;
        }
        snprintf(list + strlen(list), sizeof list - strlen(list), "%s%s", i ? ", " : "", words[i]);
    }
    if (value) {
        cli_usage(c, CLI_T(c, "%s is one of %s", "%s 可取 %s"), name, list);
        return -1;
    }
    return otherwise;
}

/* Words of a comma-separated list as bits; false and a sentence for a word that is none. */
static bool bits(cli *c, const char *name, const char *const *words, const unsigned *bit, int n,
                 unsigned *out) {
    const char *p = cli_value(c, name);
    *out = 0;
    while (p && *p) {
        size_t length = strcspn(p, ",");
        int found = -1;
        for (int i = 0; i < n; i++) {
            found = strlen(words[i]) == length && strncmp(p, words[i], length) == 0 ? i : found;
        }
        if (found < 0) {
            cli_usage(c, CLI_T(c, "%s does not know \"%.*s\"", "%s 不认识“%.*s”"), name, (int)length, p);
            return false;
        }
        *out |= bit[found];
        p += length + (p[length] == ',');
    }
    return true;
}

static bool read_looks(cli *c, cvs_draw_options *o) {
    static const char *const themes[] = {"colour", "dark",        "colour-blind", "bw",
                                         "color",  "color-blind", "light"};
    static const cvs_theme theme_of[] = {CVS_LIGHT, CVS_DARK,        CVS_COLOR_BLIND, CVS_BLACK_WHITE,
                                         CVS_LIGHT, CVS_COLOR_BLIND, CVS_LIGHT};
    static const char *const directions[] = {"auto", "tb", "lr"},
                             *const fits[] = {"none", "column", "page", "slide"},
                             *const folds[] = {"auto", "none"},
                             *const costs[] = {"none", "macs", "params", "memory"};
    int theme = choice(c, "--theme", themes, 7, 0), direction = choice(c, "--direction", directions, 3, 0),
        fit = choice(c, "--fit", fits, 4, 0), fold = choice(c, "--fold", folds, 2, 0),
        cost = choice(c, "--cost", costs, 4, 0);
    if (theme < 0 || direction < 0 || fit < 0 || fold < 0 || cost < 0) {
        return false;
    }
    o->theme = theme_of[theme];
    o->direction = (cvs_direction)direction;
    o->fit = (cvs_fit)fit;
    o->fold = (cvs_fold)fold;
    o->cost = (cvs_cost)cost;
    return true;
}

static bool read_options(cli *c, cvs_draw_options *o) {
    static const char *const labels[] = {"names", "shapes", "params", "macs", "memory", "field", "none"};
    static const unsigned label_bit[] = {CVS_LABEL_NAMES,  CVS_LABEL_SHAPES, CVS_LABEL_PARAMS, CVS_LABEL_MACS,
                                         CVS_LABEL_MEMORY, CVS_LABEL_FIELD,  CVS_LABEL_NONE};
    static const char *const keeps[] = {"small", "fuse", "groups"};
    static const unsigned keep_bit[] = {1, 2, 4};
    int64_t depth, batch;
    unsigned keep;
    *o = (cvs_draw_options){.lang = c->lang,
                            .style = cli_value(c, "--style"),
                            .expand = cli_value(c, "--expand"),
                            .legend = cli_flag(c, "--legend"),
                            .fragment = cli_flag(c, "--fragment"),
                            .title = cli_value(c, "--title"),
                            .image = cli_value(c, "--image"),
                            .extra = cli_value(c, "--set")};
    if (!read_looks(c, o) || !bits(c, "--labels", labels, label_bit, 7, &o->labels) ||
        !bits(c, "--keep", keeps, keep_bit, 3, &keep) || !cli_int(c, "--depth", 1, 64, 0, &depth) ||
        !cli_int(c, "--batch", 1, 1 << 20, 0, &batch)) {
        return false;
    }
    o->depth = (int)depth;
    o->batch = batch;
    o->keep_small = keep & 1;
    o->no_fuse = (keep & 2) != 0;
    o->no_group = (keep & 4) != 0;
    const char *scale = cli_value(c, "--scale"), *size = cli_value(c, "--size");
    char *end = NULL;
    o->scale = scale ? strtod(scale, &end) : 0;
    if (scale && (*end || !(o->scale >= 0.1 && o->scale <= 20))) {
        cli_usage(c, CLI_T(c, "--scale is a number from 0.1 to 20", "--scale 应为 0.1 到 20 之间的数"));
        return false;
    }
    long long h = 0, w = 0;
    int used = 0;
    if (size && (sscanf(size, "%lldx%lld%n", &h, &w, &used) != 2 || size[used] || h < 1 || w < 1 ||
                 h > 65536 || w > 65536)) {
        cli_usage(
            c, CLI_T(c, "--size is HxW in pixels, such as 224x224", "--size 应为 高x宽（像素），如 224x224"));
        return false;
    }
    o->height = h;
    o->width = w;
    return true;
}

/* An argument that is a description itself: statements with '|', ',' or a line's end, and no file of that name. */
static bool is_text(const char *arg) {
    struct stat info;
    return stat(arg, &info) != 0 && (strpbrk(arg, "|;\n(") || strncmp(arg, "input ", 6) == 0);
}

/* A source is a model, a description given on the command line, or a file with a text that only one style reads; that style
 * is then taken where none was asked for. *text is for free(). */
static cvs_status open_one(cli *c, const char *arg, cvs_draw_options *o, cvs_draw_source *out, char **text) {
    *out = (cvs_draw_source){.name = arg};
    bool given = is_text(arg);
    *text = given ? NULL : cli_small_text(arg);
    const char *words = given ? arg : *text, *own = words ? cvs_draw_text_style(words) : NULL;
    if (own) {
        o->style = o->style && strcmp(o->style, "auto") != 0 ? o->style : own;
        out->text = words;
        out->name = given ? CLI_T(c, "text", "文本") : arg;
        return CVS_OK;
    }
    if (!given) {
        return cli_open(c, arg, true, (cvs_model **)&out->model);
    }
    cvs_open_options open = {.lang = c->lang};
    out->text = arg;
    return cvs_model_open_memory(arg, strlen(arg), CLI_T(c, "text", "文本"), &open, (cvs_model **)&out->model,
                                 &c->err);
}

static int list_styles(const cli *c) {
    cvs_draw_style_info info;
    for (int i = 0; i < cvs_draw_style_count(); i++) {
        if (cvs_draw_style_describe(i, c->lang, &info, NULL) == CVS_OK) {
            cli_pad(stdout, info.name, 14, false);
            printf("%s  [%s%s%s]\n", info.summary, info.pictures ? ".svg .png .pdf .tikz" : "",
                   info.pictures && info.texts[0] ? " " : "", info.texts);
        }
    }
    return 0;
}

static int run(cli *c) {
    cvs_draw_options o;
    char command[1500];
    const char *path = cli_value(c, "-o");
    if (cli_flag(c, "--styles")) {
        return list_styles(c);
    }
    if (!read_options(c, &o)) {
        return cvs_status_exit(CVS_E_ARGUMENT);
    }
    if (!path || c->n_args < 1) {
        return cli_usage(c, CLI_T(c, "convscope draw needs MODEL and -o FILE (.svg, .pdf, .png, .md, ...)",
                                  "convscope draw 需要 MODEL 和 -o FILE（.svg、.pdf、.png、.md 等）"));
    }
    if (cvs_draw_check(o.style, path, &c->err) != CVS_OK) {
        return cli_fail(c);
    }
    cvs_draw_source *sources = calloc((size_t)c->n_args, sizeof *sources);
    char **texts = calloc((size_t)c->n_args, sizeof *texts);
    cvs_status s = sources && texts ? CVS_OK : CVS_E_MEMORY;
    for (int i = 0; s == CVS_OK && i < c->n_args; i++) {
        s = open_one(c, c->args[i], &o, &sources[i], &texts[i]);
    }
    if (s == CVS_OK) {
        o.command = cli_command_line(c, command, sizeof command);
        s = cvs_draw_architecture(sources, c->n_args, &o, path, &c->err);
    }
    for (int i = 0; sources && i < c->n_args; i++) {
        cvs_model_free((cvs_model *)sources[i].model);
        free(texts ? texts[i] : NULL);
    }
    free(texts);
    free(sources);
    return s == CVS_OK ? 0 : cli_fail(c);
}

const cli_command cli_command_draw = {
    .name = "draw",
    .args = "MODEL|TEXT|FILE... -o FILE",
    .en = "a figure, table or text of an architecture",
    .zh = "绘制网络结构图、表格或文本",
    .min_args = 0,
    .max_args = -1,
    .groups = CLI_MODEL,
    .options = options,
    .n_options = sizeof options / sizeof options[0],
    .run = run,
};

/* SPDX-License-Identifier: MIT
 * cmd_features.c - convscope features MODEL --layer L: pictures that channels, units, classes or directions like most, made by gradient
 * ascent; a layer turned back into a picture; DeepDream.
 */
#include <stdlib.h>
#include <string.h>

#include "cli.h"

static const cli_option options[] = {
    {"--layer", "L", "layer: name, number, last-conv (last-conv); of --dream also L,L,...",
     "层：名称、编号或 last-conv（last-conv）；--dream 可用 L,L,..."},
    {"--channel", "K[,K...]|all", "channels, from 0 (all)", "通道，从 0 数起（all：全部）"},
    {"--neuron", "ROW,COLUMN|middle", "one unit of the channel instead of all its positions",
     "通道的一个单元，而非其全部位置"},
    {"--class", "C[,C...]|all", "classes by number or name: their logits",
     "类别的编号或名称：使其 logit 增大"},
    {"--direction", "FILE.npy", "a direction among the layer's channels", "该层通道空间中的一个方向"},
    {"--power", "P", "of a direction: times max(0.1, cosine) to this power (0)",
     "方向：乘以 max(0.1, 余弦) 的此次幂（0）"},
    {"--invert", "IMAGE", "the picture whose layer is to come out again", "反演：使该层与此图片的相同"},
    {"--dream", "IMAGE", "DeepDream: what the layers see in this picture grows",
     "DeepDream：增强各层在此图片中所见"},
    {"--mode", "book|fourier",
     "plain steps from noise, or the picture's spectrum (book for more than 4 pictures)",
     "从噪声出发的普通梯度上升，或图片频谱（多于 4 张时默认 book）"},
    {"--steps", "N", "book 40, fourier 512, dream 20 in each octave",
     "步数：book 40，fourier 512，dream 每个倍频 20"},
    {"--step", "S", "book 1, fourier 0.05, dream 0.02", "步长：book 1，fourier 0.05，dream 0.02"},
    {"--variants", "N", "pictures of each channel (1)", "每个通道的图片数（1）"},
    {"--diversity", "W", "fourier: how hard variants are pushed apart (0)",
     "fourier：各变体相互推开的强度（0）"},
    {"--still", NULL, "fourier: without random moves", "fourier：不作随机变换"},
    {"--octaves", "N", "of a dream (3)", "dream 的倍频数（3）"},
    {"--seed", "N", "of all that is random (0)", "随机数的种子（0）"},
    {"--csv", "FILE", "channel, variant, what was wanted before and after", "通道、变体、目标值的前与后"},
    {"--raw", "FILE.npy", "what goes into the network; of several channels: a folder",
     "输入网络的数值；多个通道时为文件夹"},
};

enum { MOST_CHANNELS = 65536 };

typedef struct job {
    cli *c;
    cvs_model *model;
    cvs_feature_options o;
    cvs_run_options run;
    cvs_tensor direction, like;
    int64_t *channels;
    int n;
    cvs_feature *features;
    cvs_feature_maker *maker;
} job;

static bool number(cli *c, const char *name, double *out) {
    const char *text = cli_value(c, name);
    char *end;
    if (!text) {
        return true;
    }
    *out = strtod(text, &end);
    if (end == text || *end || !(*out >= 0 && *out <= 1e9)) {
        char safe[60];
        cli_usage(c, CLI_T(c, "%s is \"%s\", a number expected", "%s 的值是“%s”，应为数字"), name,
                  cli_safe(text, safe, sizeof safe));
        return false;
    }
    return true;
}

/* What is asked for, in words; false: said what is wrong. */
static bool read_options(job *j) {
    cli *c = j->c;
    int64_t variants, seed;
    const char *mode = cli_value(c, "--mode"), *neuron = cli_value(c, "--neuron");
    int asked = cli_flag(c, "--class") + cli_flag(c, "--direction") + cli_flag(c, "--invert") +
                cli_flag(c, "--dream") + cli_flag(c, "--channel");
    if (asked > 1) {
        cli_usage(c, CLI_T(c, "one of --channel, --class, --direction, --invert and --dream, not several",
                           "--channel、--class、--direction、--invert 与 --dream 只能选一个"));
        return false;
    }
    if (mode && strcmp(mode, "book") != 0 && strcmp(mode, "fourier") != 0) {
        cli_usage(c, CLI_T(c, "--mode is book or fourier", "--mode 只能是 book 或 fourier"));
        return false;
    }
    j->o.mode = mode && mode[0] == 'b' ? CVS_FEATURE_BOOK : CVS_FEATURE_FOURIER;
    j->o.want = cli_flag(c, "--class")       ? CVS_WANT_CLASS
                : cli_flag(c, "--direction") ? CVS_WANT_DIRECTION
                : cli_flag(c, "--invert")    ? CVS_WANT_LIKENESS
                : neuron                     ? CVS_WANT_NEURON
                                             : CVS_WANT_CHANNEL;
    if (neuron && strcmp(neuron, "middle") != 0) {
        long long row = 0, column = 0;
        int end = 0;
        if (sscanf(neuron, "%9lld,%9lld%n", &row, &column, &end) != 2 || neuron[end]) {
            cli_usage(c, CLI_T(c, "--neuron is ROW,COLUMN or middle", "--neuron 应为 行,列 或 middle"));
            return false;
        }
        j->o.has_position = true;
        j->o.row = row;
        j->o.column = column;
    }
    j->o.layer = cli_value(c, "--layer");
    j->o.still = cli_flag(c, "--still");
    if (!cli_int(c, "--steps", 1, 1000000, 0, &j->o.steps) ||
        !cli_int(c, "--variants", 1, 16, 1, &variants) || !cli_int(c, "--seed", 0, INT64_MAX, 0, &seed) ||
        !number(c, "--step", &j->o.step) || !number(c, "--power", &j->o.power) ||
        !number(c, "--diversity", &j->o.diversity)) {
        return false;
    }
    j->o.variants = (int)variants;
    j->o.seed = (uint64_t)seed;
    j->o.lang = c->lang;
    j->o.progress = cli_progress;
    j->o.progress_context = c;
    return true;
}

static cvs_status check_places(cli *c, bool many) {
    const char *figure = cli_value(c, "-o"), *raw = cli_value(c, "--raw"), *csv = cli_value(c, "--csv");
    cvs_status s = figure ? cvs_figure_check_path(figure, &c->err) : CVS_OK;
    if (s == CVS_OK && raw) {
        s = many ? cvs_folder_check(raw, &c->err) : cvs_output_check(raw, &c->err);
    }
    return s == CVS_OK && csv ? cvs_output_check(csv, &c->err) : s;
}

/* ---- which channels ---------------------------------------------------------------------------------------- */

static cvs_status out_of_memory(cli *c) {
    return c->err.code = CVS_E_MEMORY;
}

/* "3,17" or class names separated by commas; all or nothing: every one. */
static cvs_status read_list(job *j, const char *text) {
    cli *c = j->c;
    int64_t most = cvs_feature_channels(j->maker);
    bool all = !text || strcmp(text, "all") == 0;
    most = most < MOST_CHANNELS ? most : MOST_CHANNELS;
    j->channels = malloc((size_t)(most > 0 ? most : 1) * sizeof *j->channels);
    if (!j->channels) {
        return out_of_memory(c);
    }
    for (int64_t i = 0; all && i < most; i++) {
        j->channels[j->n++] = i;
    }
    while (!all && *text && j->n < most) {
        size_t length = strcspn(text, ",");
        char word[200];
        cvs_target target;
        snprintf(word, sizeof word, "%.*s", (int)(length < 199 ? length : 199), text);
        cvs_status s = cvs_target_parse(j->model, word, &target, &c->err);
        if (s != CVS_OK) {
            return s;
        }
        j->channels[j->n++] = target.index < 0 ? 0 : target.index;
        text += length + (text[length] == ',');
    }
    return CVS_OK;
}

/* --channel takes numbers only. */
static bool is_list(const char *text) {
    return !text || strcmp(text, "all") == 0 || (*text && strspn(text, "0123456789,") == strlen(text));
}

/* How many pictures the words ask for, before the model is open: 0 = a whole layer. */
static int words_in(const char *text) {
    int n = text && *text ? 1 : 0;
    for (; text && *text; text++) {
        n += *text == ',';
    }
    return n;
}

static bool is_many(const job *j) {
    const char *text = cli_value(j->c, j->o.want == CVS_WANT_CLASS ? "--class" : "--channel");
    if (j->o.want == CVS_WANT_DIRECTION || j->o.want == CVS_WANT_LIKENESS) {
        return false;
    }
    return !text || strcmp(text, "all") == 0 || words_in(text) > 1;
}

/* ---- making them --------------------------------------------------------------------------------------------- */

static cvs_status read_helpers(job *j) {
    cli *c = j->c;
    cvs_status s = CVS_OK;
    if (cli_value(c, "--direction")) {
        cvs_tensor t = {0};
        s = cvs_npy_read(cli_value(c, "--direction"), NULL, &t, &c->err);
        s = s == CVS_OK ? cvs_tensor_convert(&t, CVS_F32, &j->direction, &c->err) : s;
        cvs_tensor_free(&t);
        j->o.direction = &j->direction;
    }
    if (s == CVS_OK && cli_value(c, "--invert")) {
        s = cli_picture(c, cli_value(c, "--invert"), &j->like);
        j->o.like = &j->like;
    }
    return s;
}

static cvs_status make_all(job *j) {
    cli *c = j->c;
    int n = 0;
    j->features = calloc((size_t)(j->n > 0 ? j->n : 1), sizeof *j->features);
    if (!j->features) {
        return out_of_memory(c);
    }
    for (; n < j->n; n++) {
        cvs_status s = cvs_feature_make(j->maker, j->channels[n], &j->features[n], &c->err);
        if (s != CVS_OK) {
            return s;
        }
    }
    return CVS_OK;
}

static cvs_status write_csv(job *j, const char *path) {
    cli *c = j->c;
    cli_table t;
    if (!cli_table_begin(c, &t)) {
        return CVS_E_MEMORY;
    }
    fprintf(t.to, "channel,variant,before,after,silent\n");
    for (int i = 0; i < j->n; i++) {
        const cvs_feature *f = &j->features[i];
        for (int k = 0; k < f->n; k++) {
            fprintf(t.to, "%lld,%d,%.9g,%.9g,%d\n", (long long)f->channel, k, f->value[k * (f->steps + 1)],
                    f->value[k * (f->steps + 1) + f->steps], f->silent);
        }
    }
    return cli_table_end(c, &t, path);
}

static cvs_status write_raw(job *j, const char *path) {
    cli *c = j->c;
    bool many = is_many(j), made;
    cvs_status s = many ? cvs_folder_make(path, &made, &c->err) : CVS_OK;
    for (int i = 0; i < j->n && s == CVS_OK; i++) {
        char file[4400];
        cvs_tensor t = {0};
        snprintf(file, sizeof file, "%s/channel%lld.npy", path, (long long)j->features[i].channel);
        s = cvs_feature_file(&j->features[i], cli_value(c, "--layout"), &t, &c->err);
        s = s == CVS_OK ? cvs_npy_write(many ? file : path, &t, &c->err) : s;
        cvs_tensor_free(&t);
    }
    return s;
}

static cvs_status draw(job *j) {
    cli *c = j->c;
    cli_figure figure;
    cvs_figure *picture = NULL;
    cvs_model_info info;
    cvs_model_describe(j->model, &info);
    const char **names = NULL;
    if (j->o.want == CVS_WANT_CLASS && info.n_classes > 0) {
        names = calloc((size_t)j->n, sizeof *names);
        if (!names) {
            return out_of_memory(c);
        }
    }
    for (int i = 0; names && i < j->n; i++) {
        names[i] = j->channels[i] < info.n_classes ? info.classes[j->channels[i]] : "?";
    }
    const char *whole = j->o.want == CVS_WANT_DIRECTION  ? CLI_T(c, "the direction", "该方向")
                        : j->o.want == CVS_WANT_LIKENESS ? CLI_T(c, "the picture", "这张图片")
                                                         : NULL;
    cli_figure_plain(c, j->model, cli_value(c, "-o"), &figure);
    cvs_status s =
        cvs_draw_features(j->features, j->n, whole ? &whole : names, &figure.options, &picture, &c->err);
    free(names);
    return cli_figure_write(c, s, picture, figure.path);
}

static cvs_status make_features(job *j) {
    cli *c = j->c;
    bool many = is_many(j), whole = j->o.want == CVS_WANT_DIRECTION || j->o.want == CVS_WANT_LIKENESS;
    const char *text = cli_value(c, j->o.want == CVS_WANT_CLASS ? "--class" : "--channel");
    int layer;
    if (!cli_value(c, "--mode") && many && (words_in(text) > 4 || !text || strcmp(text, "all") == 0)) {
        j->o.mode = CVS_FEATURE_BOOK;
    }
    cvs_status s = check_places(c, many);
    s = s == CVS_OK ? cli_open(c, c->args[0], false, &j->model) : s;
    if (s == CVS_OK && j->o.layer && j->o.want != CVS_WANT_CLASS) {
        s = cvs_model_find_layer(j->model, j->o.layer, &layer, &c->err);
    }
    s = s == CVS_OK ? read_helpers(j) : s;
    s = s == CVS_OK ? cvs_feature_maker_new(j->model, &j->run, &j->o, &j->maker, &c->err) : s;
    s = s == CVS_OK ? read_list(j, whole ? "0" : text) : s;
    s = s == CVS_OK ? make_all(j) : s;
    s = s == CVS_OK && cli_value(c, "--raw") ? write_raw(j, cli_value(c, "--raw")) : s;
    s = s == CVS_OK && cli_value(c, "--csv") ? write_csv(j, cli_value(c, "--csv")) : s;
    s = s == CVS_OK && cli_value(c, "-o") ? draw(j) : s;
    if (s == CVS_OK && j->n > 0) {
        cli_say(c, "%s", j->features[0].caption);
    }
    return s;
}

/* ---- dreaming ------------------------------------------------------------------------------------------------ */

static cvs_status dream(job *j, int64_t octaves) {
    cli *c = j->c;
    char names[2000];
    const char *layers[16];
    int n = 0;
    cvs_tensor picture = {0}, out = {0};
    snprintf(names, sizeof names, "%s", j->o.layer ? j->o.layer : "last-conv");
    for (char *at = strtok(names, ","); at && n < 16; at = strtok(NULL, ",")) {
        layers[n++] = at;
    }
    cvs_dream_options o = {.layers = layers,
                           .n_layers = n,
                           .octaves = (int)octaves,
                           .steps = j->o.steps,
                           .step = j->o.step,
                           .seed = j->o.seed,
                           .progress = cli_progress,
                           .progress_context = c};
    cvs_status s = check_places(c, false);
    s = s == CVS_OK ? cli_open(c, c->args[0], false, &j->model) : s;
    s = s == CVS_OK ? cli_picture(c, cli_value(c, "--dream"), &picture) : s;
    s = s == CVS_OK ? cvs_dream(j->model, &j->run, &picture, &o, &out, &c->err) : s;
    s = s == CVS_OK && cli_value(c, "--raw") ? cvs_npy_write(cli_value(c, "--raw"), &out, &c->err) : s;
    if (s == CVS_OK && cli_value(c, "-o")) {
        cli_figure figure;
        cvs_figure *drawn = NULL;
        cli_figure_plain(c, j->model, cli_value(c, "-o"), &figure);
        s = cvs_draw_dream(&picture, &out, j->o.layer ? j->o.layer : "last-conv", &figure.options, &drawn,
                           &c->err);
        s = cli_figure_write(c, s, drawn, figure.path);
    }
    cvs_tensor_free(&picture);
    cvs_tensor_free(&out);
    return s;
}

static int run(cli *c) {
    job j = {.c = c};
    int64_t octaves;
    if (!cli_value(c, "-o") && !cli_value(c, "--raw") && !cli_value(c, "--csv")) {
        return cli_usage(c, CLI_T(c, "convscope features needs -o FILE or --raw FILE.npy",
                                  "convscope features 需要 -o FILE 或 --raw FILE.npy"));
    }
    if (!is_list(cli_value(c, "--channel"))) {
        return cli_usage(c, CLI_T(c, "--channel is K, K,K,... or all, numbers from 0",
                                  "--channel 应为 K、K,K,... 或 all，从 0 数起"));
    }
    if (!read_options(&j) || !cli_run_options(c, &j.run) || !cli_int(c, "--octaves", 1, 8, 3, &octaves)) {
        return cvs_status_exit(CVS_E_ARGUMENT);
    }
    cvs_status s = cli_value(c, "--dream") ? dream(&j, octaves) : make_features(&j);
    for (int i = 0; j.features && i < j.n; i++) {
        cvs_feature_free(&j.features[i]);
    }
    free(j.features);
    free(j.channels);
    cvs_feature_maker_free(j.maker);
    cvs_tensor_free(&j.direction);
    cvs_tensor_free(&j.like);
    cvs_model_free(j.model);
    return s == CVS_OK ? 0 : cli_fail(c);
}

const cli_command cli_command_features = {
    .name = "features",
    .args = "MODEL --layer L -o FILE",
    .en = "what channels, units and classes look for: pictures made by the network; DeepDream",
    .zh = "通道、单元与类别在寻找什么：由网络生成的图片；DeepDream",
    .min_args = 1,
    .max_args = 1,
    .groups = CLI_MODEL | CLI_INPUT | CLI_RUN | CLI_FIGURE,
    .options = options,
    .n_options = sizeof options / sizeof options[0],
    .run = run,
};

/* SPDX-License-Identifier: MIT
 * cmd_generate.c - convscope generate SPEC -o DIR: samples of a data set as PNG files with their masks, as one contact sheet,
 * or as .npy arrays for other programs. SPEC is a generated set (things) or any other data set (mnist:DIR, folder:DIR).
 */
#include <stdlib.h>
#include <string.h>

#include "cli.h"

static const cli_option options[] = {
    {"-o", "DIR", "folder for NNN_class.png and NNN_class_mask.png",
     "存放 NNN_class.png 与 NNN_class_mask.png 的文件夹"},
    {"--sheet", "FILE", "all of them on one picture (.png)", "把所有图片拼成一张（.png）"},
    {"--raw", "FILE",
     "the pictures as numbers: uint8 [N,H,W,C] (.npy); classes and masks go to FILE.labels.npy, "
     "FILE.masks.npy",
     "图片的数值：uint8 [N,H,W,C]（.npy）；类别与掩膜写入 FILE.labels.npy、FILE.masks.npy"},
    {"--count", "N", "how many (40)", "数量（40）"},
    {"--seed", "S", "which pictures (0)", "随机种子（0）"},
    {"--split", "train|test", "training or unseen pictures (train)", "训练图片或未见过的图片（train）"},
    {"--columns", "N", "columns of the sheet (10)", "拼图的列数（10）"},
    {"--masks", NULL, "outline the object on the sheet", "在拼图上勾出物体轮廓"},
};

enum { MAX_COUNT = 1 << 20, GAP = 2, SHEET_SIDE = 64 };

typedef struct output {
    const char *dir, *sheet, *raw;
    bool outline;
    int64_t columns;
    int64_t height, width;                  /* of a picture on the sheet */
    cvs_tensor page, pixels, labels, masks; /* owned; made where asked for */
} output;

/* uint8 [H,W,3] from [H,W,1] or [H,W,3] or [H,W], owned. */
static cvs_status to_rgb(const cvs_tensor *t, cvs_tensor *out, cvs_error *err) {
    int64_t channels = t->rank == 3 ? t->dim[2] : 1;
    cvs_status s = cvs_tensor_new(out, CVS_U8, 3, (int64_t[]){t->dim[0], t->dim[1], 3}, err);
    if (s != CVS_OK) {
        return s;
    }
    const uint8_t *from = t->data;
    uint8_t *to = out->data;
    for (int64_t i = 0; i < t->dim[0] * t->dim[1]; i++) {
        for (int c = 0; c < 3; c++) {
            to[3 * i + c] = from[channels * i + (channels == 3 ? c : 0)];
        }
    }
    return CVS_OK;
}

static void draw_outline(cvs_tensor *picture, const cvs_tensor *mask) {
    const uint8_t *m = mask->data;
    uint8_t *p = picture->data;
    int64_t h = mask->dim[0], w = mask->dim[1];
    for (int64_t y = 0; y < h; y++) {
        for (int64_t x = 0; x < w; x++) {
            int64_t i = y * w + x;
            bool edge = x == 0 || y == 0 || x == w - 1 || y == h - 1 || !m[i - 1] || !m[i + 1] || !m[i - w] ||
                        !m[i + w];
            if (m[i] && edge) {
                memcpy(p + 3 * i, (uint8_t[]){255, 0, 255}, 3);
            }
        }
    }
}

/* Puts picture i on the sheet, resampled where it has not the sheet's size. */
static cvs_status place(cli *c, output *o, const cvs_tensor *rgb, int64_t i) {
    cvs_tensor resized = {0};
    if (rgb->dim[0] != o->height || rgb->dim[1] != o->width) {
        cvs_status s = cvs_image_resize(rgb, o->height, o->width, &resized, &c->err);
        if (s != CVS_OK) {
            return s;
        }
        rgb = &resized;
    }
    int64_t top = i / o->columns * (o->height + GAP) + GAP, left = i % o->columns * (o->width + GAP) + GAP;
    for (int64_t y = 0; y < o->height; y++) {
        memcpy((uint8_t *)o->page.data + ((top + y) * o->page.dim[1] + left) * 3,
               (const uint8_t *)rgb->data + y * o->width * 3, (size_t)o->width * 3);
    }
    cvs_tensor_free(&resized);
    return CVS_OK;
}

/* A class name as part of a file name: letters and digits stay. */
static void file_word(const char *name, char *out, size_t size) {
    size_t n = 0;
    for (; *name && n + 1 < size; name++) {
        unsigned char ch = (unsigned char)*name;
        bool plain =
            (ch >= '0' && ch <= '9') || (ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z') || ch >= 0x80;
        out[n++] = plain ? (char)ch : '-';
    }
    out[n] = 0;
}

static cvs_status write_files(cli *c, const output *o, int64_t i, const char *class_name,
                              const cvs_tensor *rgb, const cvs_tensor *mask) {
    char word[60], path[4400];
    file_word(class_name, word, sizeof word);
    snprintf(path, sizeof path, "%.4000s/%03lld_%s.png", o->dir, (long long)i, word);
    cvs_status s = cvs_png_write(path, rgb, &c->err);
    if (s == CVS_OK && mask->data) {
        cvs_tensor gray;
        s = to_rgb(mask, &gray, &c->err);
        if (s == CVS_OK) {
            snprintf(path, sizeof path, "%.4000s/%03lld_%s_mask.png", o->dir, (long long)i, word);
            s = cvs_png_write(path, &gray, &c->err);
            cvs_tensor_free(&gray);
        }
    }
    return s;
}

static cvs_status one(cli *c, const cvs_data *data, const cvs_data_info *info, output *o, int64_t i) {
    cvs_tensor picture, mask = {0}, rgb = {0};
    int label;
    cvs_status s = cvs_data_get(data, i, &picture, &label, info->has_masks ? &mask : NULL, &c->err);
    if (s == CVS_OK) {
        s = to_rgb(&picture, &rgb, &c->err);
    }
    if (s == CVS_OK && o->dir) {
        s = write_files(c, o, i, info->classes[label], &rgb, &mask);
    }
    if (s == CVS_OK && o->pixels.data) {
        memcpy((uint8_t *)o->pixels.data + (size_t)i * picture.bytes, picture.data, picture.bytes);
        ((int32_t *)o->labels.data)[i] = label;
        if (o->masks.data) {
            memcpy((uint8_t *)o->masks.data + (size_t)i * mask.bytes, mask.data, mask.bytes);
        }
    }
    if (s == CVS_OK && o->page.data) {
        if (o->outline && mask.data) {
            draw_outline(&rgb, &mask);
        }
        s = place(c, o, &rgb, i);
    }
    cvs_tensor_free(&picture);
    cvs_tensor_free(&mask);
    cvs_tensor_free(&rgb);
    return s;
}

/* Memory for what is written at the end. */
static cvs_status prepare(cli *c, const cvs_data_info *info, output *o) {
    int64_t h = info->height, w = info->width;
    cvs_status s = CVS_OK;
    if (o->sheet) {
        int64_t rows = (info->count + o->columns - 1) / o->columns;
        o->height = h > 0 ? h : SHEET_SIDE;
        o->width = h > 0 ? w : SHEET_SIDE;
        s = cvs_tensor_new(
            &o->page, CVS_U8, 3,
            (int64_t[]){rows * (o->height + GAP) + GAP, o->columns * (o->width + GAP) + GAP, 3}, &c->err);
        if (s == CVS_OK) {
            memset(o->page.data, 255, o->page.bytes);
        }
    }
    if (s == CVS_OK && o->raw) {
        s = cvs_tensor_new(&o->pixels, CVS_U8, 4, (int64_t[]){info->count, h, w, info->channels}, &c->err);
        if (s == CVS_OK) {
            s = cvs_tensor_new(&o->labels, CVS_I32, 1, &info->count, &c->err);
        }
        if (s == CVS_OK && info->has_masks) {
            s = cvs_tensor_new(&o->masks, CVS_U8, 3, (int64_t[]){info->count, h, w}, &c->err);
        }
    }
    if (s == CVS_OK && o->dir) {
        s = cvs_folder_make(o->dir, NULL, &c->err);
    }
    return s;
}

static cvs_status finish(cli *c, const output *o) {
    cvs_status s = o->sheet ? cvs_png_write(o->sheet, &o->page, &c->err) : CVS_OK;
    const cvs_tensor *arrays[] = {&o->pixels, &o->labels, &o->masks};
    static const char *const ends[] = {"", ".labels.npy", ".masks.npy"};
    for (int k = 0; s == CVS_OK && o->raw && k < 3; k++) {
        char path[4400];
        snprintf(path, sizeof path, "%.4300s%s", o->raw, ends[k]);
        if (arrays[k]->data) {
            s = cvs_npy_write(path, arrays[k], &c->err);
        }
    }
    return s;
}

/* Fills o and the data set's options from the command line; false = said why. */
static bool read_options(cli *c, output *o, cvs_data_options *data) {
    *o = (output){.dir = cli_value(c, "-o"), .sheet = cli_value(c, "--sheet"), .raw = cli_value(c, "--raw")};
    *data = (cvs_data_options){0};
    o->outline = cli_flag(c, "--masks");
    int64_t seed;
    if (!o->dir && !o->sheet && !o->raw) {
        cli_usage(c, CLI_T(c, "convscope generate needs -o DIR, --sheet FILE or --raw FILE",
                           "convscope generate 需要 -o DIR、--sheet FILE 或 --raw FILE"));
        return false;
    }
    if (!cli_int(c, "--count", 1, MAX_COUNT, 40, &data->limit) ||
        !cli_int(c, "--seed", 0, INT64_MAX, 0, &seed) || !cli_int(c, "--columns", 1, 1000, 10, &o->columns)) {
        return false;
    }
    data->seed = (uint64_t)seed;
    const char *split = cli_value(c, "--split");
    data->split = split && strcmp(split, "test") == 0 ? CVS_TEST : CVS_TRAIN;
    return true;
}

static cvs_status check_paths(cli *c, const output *o) {
    cvs_status s = o->dir ? cvs_folder_check(o->dir, &c->err) : CVS_OK;
    if (s == CVS_OK && o->sheet) {
        s = cvs_output_check(o->sheet, &c->err);
    }
    return s == CVS_OK && o->raw ? cvs_output_check(o->raw, &c->err) : s;
}

static cvs_status make(cli *c, const cvs_data *data, output *o) {
    cvs_data_info info;
    cvs_data_describe(data, &info);
    if (info.height == 0 && o->raw) {
        cli_usage(c, "%s",
                  CLI_T(c,
                        "pictures of different sizes do not fit into one array; use -o DIR or --sheet FILE",
                        "大小不同的图片不能放入一个数组；请使用 -o DIR 或 --sheet FILE"));
        return CVS_E_ARGUMENT;
    }
    cvs_status s = prepare(c, &info, o);
    for (int64_t i = 0; s == CVS_OK && i < info.count; i++) {
        s = one(c, data, &info, o, i);
    }
    if (s == CVS_OK) {
        s = finish(c, o);
    }
    if (s == CVS_OK) {
        cli_say(c,
                CLI_T(c, "%lld pictures of %s, fingerprint %016llx", "共 %lld 张图片，来自 %s，指纹 %016llx"),
                (long long)info.count, info.spec, (unsigned long long)info.fingerprint);
    }
    return s;
}

static int run(cli *c) {
    output o;
    cvs_data_options options_of_data;
    char spec[4200];
    if (!read_options(c, &o, &options_of_data)) {
        return cvs_status_exit(CVS_E_ARGUMENT);
    }
    if (check_paths(c, &o) != CVS_OK) {
        return cli_fail(c);
    }
    snprintf(spec, sizeof spec, "%s%.4100s", strchr(c->args[0], ':') ? "" : "generated:", c->args[0]);
    cvs_data *data;
    cvs_status s = cvs_data_open(spec, &options_of_data, &data, &c->err);
    if (s == CVS_OK) {
        s = make(c, data, &o);
        cvs_data_free(data);
    }
    cvs_tensor_free(&o.page);
    cvs_tensor_free(&o.pixels);
    cvs_tensor_free(&o.labels);
    cvs_tensor_free(&o.masks);
    return s == CVS_OK ? 0 : c->err.code == CVS_OK ? cvs_status_exit(s) : cli_fail(c);
}

const cli_command cli_command_generate = {
    .name = "generate",
    .args = "SPEC -o DIR",
    .en = "draw sample pictures with known masks: digits, things, shortcut (or copy from a data set)",
    .zh = "绘制带已知掩膜的样本图片：digits、things、shortcut（也可取自数据集）",
    .min_args = 1,
    .max_args = 1,
    .options = options,
    .n_options = sizeof options / sizeof options[0],
    .run = run,
};

/* SPDX-License-Identifier: MIT
 * cmd_correspondence.c - convscope correspondence MODEL PARTS.csv: does a layer hold the same parts of different pictures alike? PARTS.csv
 * has lines picture,part,top,left,rows,columns in pixels of the picture; pictures lie beside it.
 */
#include <stdlib.h>
#include <string.h>

#include "cli.h"

static const cli_option options[] = {
    {"--layers", "L[,L...]", "up to four layers (the first with kernels, and what the logits are made of)",
     "至多四个层（第一个带卷积核的层与 logit 的输入）"},
    {"--random", "N", "draws of random places (10)", "随机位置的抽取次数（10）"},
    {"--seed", "N", "of the random places (0)", "随机位置的种子（0）"},
    {"--csv", "FILE", "layer, part, mean, standard deviation", "层、部位、均值、标准差"},
};

enum { MOST_PICTURES = 1000, MOST_PARTS = 64, MOST_BOXES = MOST_PICTURES * MOST_PARTS };

typedef struct parts {
    cli *c;
    char *text; /* of the file, cut into words; owned */
    int n_pictures, n_parts, n_boxes;
    const char *pictures[MOST_PICTURES], *parts[MOST_PARTS];
    cvs_part_box *boxes; /* owned */
    cvs_tensor *loaded;  /* [n_pictures], owned */
} parts;

static int number_of(const char **list, int *n, int most, const char *word) {
    for (int i = 0; i < *n; i++) {
        if (strcmp(list[i], word) == 0) {
            return i;
        }
    }
    if (*n == most) {
        return -1;
    }
    list[*n] = word;
    return (*n)++;
}

static cvs_status bad_line(parts *p, int line, const char *what) {
    cvs_error *e = &p->c->err;
    e->code = CVS_E_FORMAT;
    snprintf(e->message, sizeof e->message, "%s", what);
    snprintf(e->file, sizeof e->file, "%s", p->c->args[1]);
    e->line = line;
    return e->code;
}

/* picture,part,top,left,rows,columns; a first line that begins with "picture," is a heading. */
static cvs_status read_line(parts *p, char *text, int line) {
    char *word[6];
    int n = 0;
    cvs_part_box *b = &p->boxes[p->n_boxes];
    for (char *at = strtok(text, ","); at && n < 6; at = strtok(NULL, ",")) {
        word[n++] = at;
    }
    if (n < 6 || p->n_boxes == MOST_BOXES) {
        return bad_line(
            p, line,
            CLI_T(p->c, "picture,part,top,left,rows,columns expected", "应为 图片,部位,上,左,行数,列数"));
    }
    b->picture = number_of(p->pictures, &p->n_pictures, MOST_PICTURES, word[0]);
    b->part = number_of(p->parts, &p->n_parts, MOST_PARTS, word[1]);
    for (int k = 0; k < 4; k++) {
        char *end;
        b->box[k] = strtol(word[2 + k], &end, 10);
        if (end == word[2 + k] || (*end && *end != '\r')) {
            return bad_line(p, line,
                            CLI_T(p->c, "a box has four whole numbers: top, left, rows, columns",
                                  "框由四个整数组成：上、左、行数、列数"));
        }
    }
    if (b->picture < 0 || b->part < 0) {
        return bad_line(
            p, line, CLI_T(p->c, "too many pictures (1000) or parts (64)", "图片（1000）或部位（64）太多"));
    }
    p->n_boxes++;
    return CVS_OK;
}

static cvs_status read_file(parts *p, const char *path) {
    cli *c = p->c;
    FILE *f = fopen(path, "rb");
    size_t size = 0, most = 4 << 20;
    p->text = malloc(most + 1);
    p->boxes = malloc(MOST_BOXES * sizeof *p->boxes);
    if (f && p->text) {
        size = fread(p->text, 1, most, f);
        p->text[size] = 0;
    }
    bool bad = !f || ferror(f) || size == most;
    if (f) {
        fclose(f);
    }
    if (!p->text || !p->boxes) {
        return c->err.code = CVS_E_MEMORY;
    }
    if (bad) {
        c->err.code = CVS_E_IO;
        snprintf(c->err.message, sizeof c->err.message, "%s",
                 CLI_T(c, "the file cannot be read", "无法读取此文件"));
        snprintf(c->err.file, sizeof c->err.file, "%s", path);
        return c->err.code;
    }
    int line = 0;
    for (char *at = p->text; at && *at;) {
        char *next = strchr(at, '\n');
        if (next) {
            *next++ = 0;
        }
        line++;
        if (*at && *at != '\r' && *at != '#' && !(line == 1 && strncmp(at, "picture,", 8) == 0)) {
            cvs_status s = read_line(p, at, line);
            if (s != CVS_OK) {
                return s;
            }
        }
        at = next;
    }
    return CVS_OK;
}

/* The pictures lie beside the file unless their paths say otherwise. */
static cvs_status load(parts *p) {
    cli *c = p->c;
    const char *slash = strrchr(c->args[1], '/');
    int folder = slash ? (int)(slash - c->args[1]) + 1 : 0;
    p->loaded = calloc((size_t)(p->n_pictures > 0 ? p->n_pictures : 1), sizeof *p->loaded);
    if (!p->loaded) {
        return c->err.code = CVS_E_MEMORY;
    }
    cvs_status s = CVS_OK;
    for (int i = 0; i < p->n_pictures && s == CVS_OK; i++) {
        char path[4400];
        bool whole = p->pictures[i][0] == '/';
        snprintf(path, sizeof path, "%.*s%.4000s", whole ? 0 : folder, c->args[1], p->pictures[i]);
        s = cli_picture(c, path, &p->loaded[i]);
    }
    return s;
}

static cvs_status write_csv(cli *c, const parts *p, const cvs_correspondence *r, const char *path) {
    cli_table t;
    if (!cli_table_begin(c, &t)) {
        return CVS_E_MEMORY;
    }
    fprintf(t.to, "layer,part,mean,deviation\n");
    for (int i = 0; i < r->n_layers * r->n_parts; i++) {
        int part = i % r->n_parts;
        cli_csv_cell(t.to, r->layer[i / r->n_parts]);
        putc(',', t.to);
        cli_csv_cell(t.to, part < p->n_parts ? p->parts[part] : "random");
        fprintf(t.to, ",%.9g,%.9g\n", r->mean[i], r->deviation[i]);
    }
    return cli_table_end(c, &t, path);
}

static void print_table(const cli *c, const parts *p, const cvs_correspondence *r) {
    for (int l = 0; l < r->n_layers; l++) {
        printf("%s\n", r->layer[l]);
        for (int k = 0; k < r->n_parts; k++) {
            printf("  ");
            cli_pad(stdout, k < p->n_parts ? p->parts[k] : CLI_T(c, "random places", "随机位置"), 24, false);
            printf("%.3f ± %.3f\n", r->mean[l * r->n_parts + k], r->deviation[l * r->n_parts + k]);
        }
    }
}

static cvs_status draw(cli *c, const cvs_model *model, const parts *p, const cvs_correspondence *r) {
    cli_figure figure;
    cvs_figure *picture = NULL;
    cli_figure_plain(c, model, cli_value(c, "-o"), &figure);
    cvs_status s = cvs_draw_correspondence(r, p->parts, &figure.options, &picture, &c->err);
    return cli_figure_write(c, s, picture, cli_value(c, "-o"));
}

static cvs_status measure(cli *c, parts *p, const cvs_run_options *run_options,
                          const cvs_correspondence_options *o) {
    cvs_model *model = NULL;
    cvs_correspondence r = {0};
    const char *figure = cli_value(c, "-o"), *csv = cli_value(c, "--csv");
    cvs_status s = figure ? cvs_figure_check_path(figure, &c->err) : CVS_OK;
    s = s == CVS_OK && csv ? cvs_output_check(csv, &c->err) : s;
    s = s == CVS_OK ? read_file(p, c->args[1]) : s;
    s = s == CVS_OK ? cli_open(c, c->args[0], false, &model) : s;
    s = s == CVS_OK ? load(p) : s;
    s = s == CVS_OK ? cvs_measure_correspondence(model, run_options, p->loaded, p->n_pictures, p->boxes,
                                                 p->n_boxes, p->n_parts, o, &r, &c->err)
                    : s;
    s = s == CVS_OK && csv ? write_csv(c, p, &r, csv) : s;
    s = s == CVS_OK && figure ? draw(c, model, p, &r) : s;
    if (s == CVS_OK) {
        print_table(c, p, &r);
        cli_say(c, "%s", r.caption);
    }
    cvs_correspondence_free(&r);
    cvs_model_free(model);
    return s;
}

static int run(cli *c) {
    cvs_run_options run_options;
    int64_t random, seed;
    char names[2000];
    const char *layers[8];
    parts *p = calloc(1, sizeof *p);
    cvs_correspondence_options o = {
        .layers = layers, .lang = c->lang, .progress = cli_progress, .progress_context = c};
    if (!p) {
        c->err.code = CVS_E_MEMORY;
        return cli_fail(c);
    }
    p->c = c;
    snprintf(names, sizeof names, "%s", cli_value(c, "--layers") ? cli_value(c, "--layers") : "");
    for (char *at = strtok(names, ","); at && o.n_layers < 8; at = strtok(NULL, ",")) {
        layers[o.n_layers++] = at;
    }
    bool ok = cli_int(c, "--random", 1, 1000, 10, &random) && cli_int(c, "--seed", 0, INT64_MAX, 0, &seed) &&
              cli_run_options(c, &run_options);
    cvs_status s = CVS_E_ARGUMENT;
    if (ok) {
        run_options.progress = NULL;
        o.random = (int)random;
        o.seed = (uint64_t)seed;
        s = measure(c, p, &run_options, &o);
    }
    for (int i = 0; p->loaded && i < p->n_pictures; i++) {
        cvs_tensor_free(&p->loaded[i]);
    }
    free(p->loaded);
    free(p->boxes);
    free(p->text);
    free(p);
    return s == CVS_OK ? 0 : ok ? cli_fail(c) : cvs_status_exit(s);
}

const cli_command cli_command_correspondence = {
    .name = "correspondence",
    .args = "MODEL PARTS.csv",
    .en = "does a layer hold the same parts of different pictures alike (Zeiler and Fergus, table 1)",
    .zh = "某层对不同图片的同一部位是否作同样处理（Zeiler 与 Fergus 表 1）",
    .min_args = 2,
    .max_args = 2,
    .groups = CLI_MODEL | CLI_INPUT | CLI_RUN | CLI_FIGURE,
    .options = options,
    .n_options = sizeof options / sizeof options[0],
    .run = run,
};

/* SPDX-License-Identifier: MIT
 * cli.h - what the commands share: the command table, parsed options, opening models and pictures, saying errors.
 * One file per command (cmd_*.c), one line each in commands.def. stdout is data, stderr is talk.
 */
#ifndef CVS_CLI_H
#define CVS_CLI_H

#include <stdio.h>

#include "convscope/convscope.h"
#include "convscope/draw.h"
#include "convscope/features.h"

typedef struct cli_option {
    const char *name;  /* "--top" */
    const char *value; /* placeholder ("N"), or NULL for a switch */
    const char *en, *zh;
} cli_option;

enum {                /* groups of options that many commands take */
       CLI_MODEL = 1, /* --weights --arch --signature --init --max-memory --confine --max-seconds */
       CLI_INPUT = 2, /* --preprocess --classes --layout */
       CLI_RUN = 4,   /* --threads --exact --device --batch --size */
       CLI_JSON = 8,
       CLI_FIGURE = 16 /* -o, --theme --scale */
};

struct cli;
typedef struct cli_command {
    const char *name, *args; /* "predict", "MODEL IMAGE..." */
    const char *en, *zh;     /* one line for help */
    int min_args, max_args;  /* positional; -1 = any number */
    unsigned groups;
    const cli_option *options;
    int n_options;
    int (*run)(struct cli *c); /* the exit code */
    const char *usual_layer;   /* of figures of a layer: where --layer is left out */
} cli_command;

typedef struct cli {
    const cli_command *command;
    cvs_lang lang;
    cvs_error err;
    int n_args;
    const char **args; /* positional */
    int n_set;
    struct {
        const char *name, *value;
    } set[64];
    cvs_preprocess preprocess;
    bool init; /* the command shows a model without weights with random ones, also where nobody said --init */
} cli;

extern const cli_command *const cli_commands[];
extern const int cli_n_commands;

/* The text in the user's language. */
#define CLI_T(c, english, chinese) ((c)->lang == CVS_ZH ? (chinese) : (english))

/* Fills args and set. 0: go on; -1: help was printed; else the exit code. */
int cli_parse(cli *c, int argc, char **argv);
/* Options: the last value given, or NULL / otherwise. A number that is none ends the parse with a sentence. */
const char *cli_value(const cli *c, const char *name);
bool cli_flag(const cli *c, const char *name);
/* Reads a whole number in [low, high]; false = said why, exit with 2. */
bool cli_int(cli *c, const char *name, int64_t low, int64_t high, int64_t otherwise, int64_t *out);

/* Prints c->err as "convscope: ..." and returns its exit code; usage() does so with a sentence of its own and code 2. */
int cli_fail(cli *c);
/* After an error in a text (a line and a column are known): that line and a caret under the column, to stderr. */
void cli_show_place(const cli *c);
/* The text of a regular file of at most 4 MiB without zero bytes, for free(); NULL where it is none. */
char *cli_small_text(const char *path);
int cli_usage(cli *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void cli_say(const cli *c, const char *fmt, ...) __attribute__((format(printf, 2, 3))); /* stderr */

/* Opens the model named by args[0] with the options given. Notes (guesses, ignored parts) go to stderr unless quiet. */
cvs_status cli_open(cli *c, const char *path, bool quiet, cvs_model **out);
bool cli_run_options(cli *c, cvs_run_options *out);
/* Runs the model on a picture or a .npy (several, comma-separated, for several inputs); says a guessed preprocessing. */
cvs_status cli_run_file(cli *c, const cvs_model *model, cvs_run *run, const char *path, cvs_tensor *shown);
/* The same for the sake of one layer: a run that stops behind it is a note. */
cvs_status cli_run_layer(cli *c, const cvs_model *model, cvs_run *run, const char *path, int layer,
                         cvs_tensor *shown);
/* ---- figures of a layer ---- */
typedef struct cli_figure {
    const char *path, *layer;
    cvs_figure_options options;
    char command[1500];
} cli_figure;
/* Reads -o, --layer; false = said why. titles() adds the model's name and the command line (after opening). */
bool cli_figure_options(cli *c, cli_figure *out);
void cli_figure_titles(cli *c, const cvs_model *model, cli_figure *figure);
/* The same for a figure of no layer: language, theme, titles. */
void cli_figure_plain(cli *c, const cvs_model *model, const char *path, cli_figure *out);
/* --theme (light or dark: cli_parse has looked). */
cvs_theme cli_theme(const cli *c);
/* The end of drawing: writes the figure unless drawing it failed with `drawn`, frees it, returns what failed first. */
cvs_status cli_figure_write(cli *c, cvs_status drawn, cvs_figure *figure, const char *path);
/* ---- files that a command prints (table_file.c) ---- */
typedef struct cli_table {
    FILE *to; /* print here */
    char *text;
    size_t size;
} cli_table;
/* False: no memory, c->err says so. */
bool cli_table_begin(cli *c, cli_table *t);
/* Ends it and writes it whole (path NULL: nowhere). */
cvs_status cli_table_end(cli *c, cli_table *t, const char *path);
/* A cell of a CSV, in quotes where it needs them. */
void cli_csv_cell(FILE *to, const char *text);

/* The command as one could type it again, quoted for a shell. Fills buf, returns it. */
const char *cli_command_line(const cli *c, char *buf, size_t size);
typedef cvs_status cli_layer_draw(cli *c, const cvs_model *model, cvs_run *run, int layer,
                                  const cvs_tensor *shown, const cli_figure *figure, cvs_figure **out);
/* The whole command MODEL IMAGE --layer L -o F: opens, runs, draws, writes; returns the exit code. */
int cli_layer_figure(cli *c, cli_layer_draw *draw);

/* Draws an explanation over the picture. */
cvs_status cli_draw_explanation(cli *c, const cvs_model *model, cvs_run *run, const cvs_tensor *shown,
                                const cvs_explanation *e, const char *path);

typedef struct cli_report {
    const char *model, *image;
    char *html; /* owned, cvs_free */
    size_t size;
} cli_report;
/* Makes the report; CVS_E_ARGUMENT with c->err empty: already said. */
cvs_status cli_report_make(cli *c, cli_report *out);
/* The path of a built-in model or picture; false when it is not there. */
bool cli_builtin(const char *name, char *out, size_t size);
/* The file that a word means: itself, or, where no file is called so, the built-in model, architecture or picture of that bare name
 * ("things", "resnet50", "things_mug.png"); its path is then written to `room`. */
const char *cli_named(const char *given, char *room, size_t size);
/* --at ROW,COLUMN into o; false: not so, said already. */
bool cli_place(cli *c, cvs_unit_options *o);
/* The picture file that a word means, decoded: uint8 [H,W,C], for cvs_tensor_free. */
cvs_status cli_picture(cli *c, const char *path, cvs_tensor *out);

/* ---- the app's server (cli_serve.c) ---- */
/* For cvs_serve_options.ready: prints the address (of `page`, where it is not NULL) and opens the browser unless --no-browser was given. */
typedef struct cli_ready {
    cli *c;
    const char *page; /* "watch", or NULL: the usual one */
} cli_ready;
bool cli_on_ready(void *context, const char *url);

/* The command in a process that can reach nothing but what its arguments name; its exit code. */
int cli_run_confined(cli *c);

/* Prints help for everything or one command, from the tables. */
void cli_help(const cli *c, const cli_command *command, FILE *to);
/* Columns that text takes on a terminal (CJK counts twice), and text padded to a width. */
int cli_width(const char *utf8);
void cli_pad(FILE *to, const char *utf8, int width, bool right);
/* Numbers for people: 138,357,544 - 15.5 G - 553.4 MB. Each fills buf and returns it. */
const char *cli_grouped(int64_t v, char *buf, size_t size);
const char *cli_short(double v, char *buf, size_t size);
const char *cli_bytes(int64_t v, char *buf, size_t size);
/* A progress bar on stderr when it is a terminal, nothing otherwise; give it as cvs_progress with the cli as context. */
bool cli_progress(void *context, const char *what, double fraction);
/* Escapes a file's text for one terminal line: control characters and bidi marks become \xNN. Fills buf, returns it. */
const char *cli_safe(const char *text, char *buf, size_t size);

/* What is wrong with the runs of a log, to `to`; says so when nothing is, unless quiet (cli_diagnosis.c). */
cvs_status cli_print_diagnosis(cli *c, const cvs_log *log, bool quiet, FILE *to);

/* info --plan (cli_plan.c): prints how a run would go; the exit status. */
int cli_print_plan(cli *c, const cvs_model *model, cvs_run_options options);

#endif

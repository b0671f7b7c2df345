/* SPDX-License-Identifier: MIT
 * bench_ours.c - our side of `make bench`: one piece of work, kept warm, driven over stdin and stdout by bench/run.py, over the public
 * headers only. Every request is a line of words separated by tabs, every answer a line that begins with "ok" or "error":
 *   prepare  task=forward|explain|ascent|live|train  model=FILE  input=FILE.npy  keep=all|answer  threads=N  method=...  layer=...  target=N ...
 *   run N    does the work N times: "ok" and N times in milliseconds
 *   dump F   writes the last result (output, map, or the layer named) to F.npy
 *   memory   the most memory the process has had, in bytes
 *   quit
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include <convscope/convscope.h>

enum { MOST_WORDS = 32, LINE = 4096 };

typedef struct bench {
    char line[LINE];
    char *word[MOST_WORDS];
    int n_words;
    const char *task;
    cvs_model *model;
    cvs_run *run;
    cvs_tensor input;
    cvs_explain_options explain;
    cvs_explanation explanation;
    cvs_ascent *ascent; /* changes the input itself */
    cvs_whatif *what_if;
    cvs_tensor answer; /* borrowed from what_if */
    long patch, moved;
    int layer; /* dumped instead of the output; -1: none */
    /* training: the loop asks for orders between two steps */
    long todo, warm;
    double last;
    bool stopped;
    cvs_error err;
} bench;

static double now_ms(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + 1e-6 * (double)t.tv_nsec;
}

/* The value of "name=value" among the words of the request, or `otherwise`. */
static const char *setting(const bench *b, const char *name, const char *otherwise) {
    size_t n = strlen(name);
    for (int i = 1; i < b->n_words; i++) {
        if (strncmp(b->word[i], name, n) == 0 && b->word[i][n] == '=') {
            return b->word[i] + n + 1;
        }
    }
    return otherwise;
}

static long number(const bench *b, const char *name, long otherwise) {
    const char *text = setting(b, name, NULL);
    return text ? strtol(text, NULL, 10) : otherwise;
}

/* Reads one request into words. false: the other side has hung up. */
static bool listen(bench *b) {
    if (!fgets(b->line, sizeof b->line, stdin)) {
        return false;
    }
    b->line[strcspn(b->line, "\n")] = '\0';
    b->n_words = 0;
    for (char *p = b->line; p && b->n_words < MOST_WORDS;) {
        b->word[b->n_words++] = p;
        p = strchr(p, '\t');
        if (p) {
            *p++ = '\0';
        }
    }
    return strcmp(b->word[0], "quit") != 0;
}

static void say_error(bench *b) {
    char text[1024];
    printf("error\t%s\n", cvs_error_text(&b->err, text, sizeof text));
    fflush(stdout);
}

static void say_ok(void) {
    printf("ok\n");
    fflush(stdout);
}

/* ---- work on a model ------------------------------------------------------------------------------------ */

static cvs_status open_model(bench *b) {
    cvs_error *err = &b->err;
    cvs_run_options options = {.threads = (int)number(b, "threads", 2),
                               .answer_only = strcmp(setting(b, "keep", "all"), "answer") == 0,
                               .for_gradients = strcmp(setting(b, "keep", "all"), "gradients") == 0};
    cvs_status s = cvs_model_open(setting(b, "model", ""), NULL, &b->model, err);
    if (s == CVS_OK) {
        s = cvs_npy_read(setting(b, "input", ""), NULL, &b->input, err);
    }
    if (s == CVS_OK) {
        s = cvs_run_new(b->model, &options, &b->run, err);
    }
    b->layer = -1;
    const char *layer = setting(b, "dump", NULL);
    if (s == CVS_OK && layer) {
        s = cvs_model_find_layer(b->model, layer, &b->layer, err);
    }
    return s;
}

/* The patch goes over the picture in steps of 8 pixels, row by row. */
static cvs_status move_patch(bench *b) {
    long rows = (long)(b->input.dim[2] - b->patch) / 8 + 1,
         columns = (long)(b->input.dim[3] - b->patch) / 8 + 1;
    long at = b->moved++ * 7 % (rows * columns);
    const cvs_edit patch = {
        .input = true, .y = at / columns * 8, .x = at % columns * 8, .h = b->patch, .w = b->patch};
    cvs_status s = cvs_whatif_apply(b->what_if, &patch, b->patch > 0, &b->err);
    return s == CVS_OK ? cvs_whatif_output(b->what_if, 0, &b->answer, &b->err) : s;
}

static cvs_status work_once(bench *b) {
    if (b->ascent) {
        return cvs_ascent_step(b->ascent, &b->input, 1.0, NULL, &b->err);
    }
    if (b->what_if) {
        return move_patch(b);
    }
    cvs_status s = cvs_run_tensors(b->run, &b->input, 1, &b->err);
    if (s == CVS_OK && strcmp(b->task, "explain") == 0) {
        cvs_explanation_free(&b->explanation);
        s = cvs_explain(b->run, &b->explain, &b->explanation, &b->err);
    }
    return s;
}

static cvs_status prepare_explain(bench *b) {
    static char method[64], layer[160], compat[32], rule[32],
        baseline[1024]; /* the request's line is written over */
    snprintf(method, sizeof method, "%s", setting(b, "method", "gradient"));
    snprintf(layer, sizeof layer, "%s", setting(b, "layer", "last-conv"));
    snprintf(compat, sizeof compat, "%s", setting(b, "compat", ""));
    snprintf(rule, sizeof rule, "%s", setting(b, "rule", ""));
    snprintf(baseline, sizeof baseline, "%s", setting(b, "baseline", ""));
    b->explain =
        (cvs_explain_options){.method = method,
                              .layer = layer,
                              .target.index = (int)number(b, "target", 281),
                              .target.probability = strcmp(setting(b, "output", ""), "probability") == 0,
                              .compat = *compat ? compat : NULL,
                              .rule = *rule ? rule : NULL,
                              .baseline = *baseline ? baseline : NULL,
                              .steps = number(b, "steps", 0),
                              .samples = number(b, "samples", 0),
                              .has_noise = setting(b, "noise", NULL) != NULL,
                              .noise = strtod(setting(b, "noise", "0"), NULL),
                              .has_epsilon = setting(b, "epsilon", NULL) != NULL,
                              .epsilon = strtod(setting(b, "epsilon", "0"), NULL),
                              .signed_map = number(b, "signed", 0) != 0,
                              .patch = number(b, "patch", 0),
                              .stride = number(b, "stride", 0),
                              .has_fill = setting(b, "fill", NULL) != NULL,
                              .fill = (double)number(b, "fill", 0)};
    return CVS_OK;
}

static void run_times(bench *b, long n) {
    double *ms = malloc((size_t)n * sizeof *ms);
    for (long i = 0; ms && i < n; i++) {
        double t = now_ms();
        if (work_once(b) != CVS_OK) {
            say_error(b);
            free(ms);
            return;
        }
        ms[i] = now_ms() - t;
    }
    printf("ok");
    for (long i = 0; ms && i < n; i++) {
        printf("\t%.6f", ms[i]);
    }
    printf("\n");
    fflush(stdout);
    free(ms);
}

static void dump(bench *b, const char *path) {
    cvs_tensor t = b->explanation.map;
    cvs_status s = CVS_OK;
    if (b->ascent) {
        t = b->input;
    } else if (b->what_if) {
        t = b->answer;
    } else if (strcmp(b->task, "forward") == 0) {
        s = b->layer >= 0 ? cvs_run_layer(b->run, b->layer, &t, &b->err)
                          : cvs_run_output(b->run, 0, &t, &b->err);
    }
    if (s == CVS_OK) {
        s = cvs_npy_write(path, &t, &b->err);
    }
    if (s == CVS_OK) {
        say_ok();
    } else {
        say_error(b);
    }
}

static void say_memory(void) {
    struct rusage use;
    getrusage(RUSAGE_SELF, &use);
    printf("ok\t%lld\n", (long long)use.ru_maxrss * 1024);
    fflush(stdout);
}

/* ---- training ------------------------------------------------------------------------------------------- */

/* After each step: the time since the one before, as long as some are asked for; then the next request. The first answer is to
 * "prepare". Between epochs the test pictures are looked at: no step is timed there. */
static bool step_made(void *context, const cvs_train_step *s) {
    bench *b = context;
    double t = now_ms();
    if (b->warm > 0) {
        if (--b->warm == 0) {
            say_ok();
        }
    } else if (b->todo > 0 && !s->epoch_ended && s->step > 1) {
        printf("\t%.6f", t - b->last);
        if (--b->todo == 0) {
            printf("\n");
            fflush(stdout);
        }
    }
    while (b->warm == 0 && b->todo == 0) {
        if (!listen(b)) {
            return false;
        }
        if (strcmp(b->word[0], "run") == 0 && b->n_words > 1) {
            b->todo = strtol(b->word[1], NULL, 10);
            printf("ok");
        } else if (strcmp(b->word[0], "dump") == 0) { /* the mean loss of the epoch so far */
            printf("ok\t%.9g\n", s->loss);
            fflush(stdout);
        } else {
            say_memory();
        }
    }
    b->last = now_ms();
    return true;
}

static void train(bench *b) {
    char recipe[LINE], data[LINE], run[LINE], start[LINE], order[LINE];
    snprintf(recipe, sizeof recipe, "%s", setting(b, "model", ""));
    snprintf(data, sizeof data, "%s", setting(b, "data", ""));
    snprintf(run, sizeof run, "%s", setting(b, "out", ""));
    snprintf(start, sizeof start, "%s", setting(b, "start", ""));
    snprintf(order, sizeof order, "%s", setting(b, "order", ""));
    cvs_train_options options = {.threads = (int)number(b, "threads", 2),
                                 .batch = (int)number(b, "batch", 64),
                                 .epochs = 100000,
                                 .optimizer = "adam",
                                 .start = *start ? start : NULL,
                                 .order = *order ? order : NULL,
                                 .on_step = step_made,
                                 .context = b};
    b->warm = number(b, "warm", 5);
    cvs_train(recipe, data, run, &options, NULL, &b->err);
    if (b->err.code != CVS_OK) {
        say_error(b);
    }
}

/* ---- requests ------------------------------------------------------------------------------------------- */

static void prepare(bench *b) {
    static char task[32];
    snprintf(task, sizeof task, "%s", setting(b, "task", "forward"));
    b->task = task;
    if (strcmp(task, "train") == 0) {
        train(b);
        return;
    }
    cvs_status s = open_model(b);
    if (s == CVS_OK && strcmp(task, "explain") == 0) {
        s = prepare_explain(b);
    }
    long warm = number(b, "warm", 2);
    b->patch = number(b, "patch", 32);
    if (s == CVS_OK && strcmp(task, "ascent") == 0) {
        cvs_run_options options = {.threads = (int)number(b, "threads", 2)};
        s = cvs_ascent_new(b->model, &options, setting(b, "layer", NULL), number(b, "channel", 0), &b->ascent,
                           &b->err);
    }
    if (s == CVS_OK && strcmp(task, "live") == 0) {
        s = cvs_run_tensors(b->run, &b->input, 1, &b->err);
        s = s == CVS_OK ? cvs_whatif_new(b->run, 0, &b->what_if, &b->err) : s;
    }
    for (long i = 0; i < warm && s == CVS_OK; i++) {
        s = work_once(b);
    }
    if (s == CVS_OK) {
        say_ok();
    } else {
        say_error(b);
    }
}

int main(void) {
    static bench b;
    while (listen(&b)) {
        if (strcmp(b.word[0], "prepare") == 0) {
            prepare(&b);
        } else if (strcmp(b.word[0], "run") == 0 && b.n_words > 1) {
            run_times(&b, strtol(b.word[1], NULL, 10));
        } else if (strcmp(b.word[0], "dump") == 0 && b.n_words > 1) {
            dump(&b, b.word[1]);
        } else if (strcmp(b.word[0], "memory") == 0) {
            say_memory();
        } else {
            printf("error\tunknown request\n");
            fflush(stdout);
        }
    }
    cvs_explanation_free(&b.explanation);
    cvs_ascent_free(b.ascent);
    cvs_whatif_free(b.what_if);
    cvs_run_free(b.run);
    cvs_tensor_free(&b.input);
    cvs_model_free(b.model);
    return 0;
}

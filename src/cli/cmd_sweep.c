/* SPDX-License-Identifier: MIT
 * cmd_sweep.c - convscope sweep RECIPE --data SPEC -o DIR --lr 0.1,0.01 --optimizer sgd,adam: a run for every combination, or for some drawn by
 * chance, each in a folder of its own, and a table of them, best first. Run again, it does what is missing.
 */
#include <limits.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"

static const cli_option options[] = {
    {"--data", "SPEC", "what to train on (default: what the recipe says)", "训练数据（默认用配方中的）"},
    {"-o", "DIR", "folder for run_001, run_002, ... and sweep.json",
     "存放 run_001、run_002……与 sweep.json 的文件夹"},
    {"--lr", "LIST", "learning rates, separated by commas; with --random the least and the largest",
     "学习率，用逗号分隔；与 --random 同用时为最小值与最大值"},
    {"--optimizer", "LIST", "optimisers, separated by commas", "优化器，用逗号分隔"},
    {"--batch", "LIST", "pictures a step, separated by commas", "每步图片数，用逗号分隔"},
    {"--seeds", "N", "seeds 1 to N of each combination (1)", "每种组合使用随机种子 1 到 N（1）"},
    {"--random", "N", "N combinations drawn by chance, rates evenly in their logarithm",
     "随机抽取 N 种组合，学习率按对数均匀"},
    {"--epochs", "N", "times over the whole set", "遍历数据集的轮数"},
    {"--limit", "N", "at most this many training pictures", "最多使用的训练图片数"},
    {"--set", "TEXT", "statements of a recipe for all of them: \"schedule cosine | augment flip\"",
     "用于所有运行的配方语句，如 \"schedule cosine | augment flip\""},
    {"--threads", "N", "threads", "线程数"},
};

enum { MOST = 4096, VALUES = 64 };

typedef struct list {
    char text[2000];
    int n; /* at least 1: NULL stands for the recipe's own */
    const char *value[VALUES];
} list;

typedef struct trial {
    int number;
    double rate;
    const char *optimizer, *batch;
    uint64_t seed;
    cvs_train_result result;
} trial;

static bool read_list(cli *c, const char *name, list *out) {
    const char *text = cli_value(c, name);
    *out = (list){.n = 1};
    if (!text) {
        return true;
    }
    snprintf(out->text, sizeof out->text, "%s", text);
    out->n = 0;
    char *save = NULL;
    for (char *s = strtok_r(out->text, ",", &save); s && out->n < VALUES; s = strtok_r(NULL, ",", &save)) {
        out->value[out->n++] = s;
    }
    if (out->n == 0) {
        cli_usage(c, CLI_T(c, "%s needs values separated by commas", "%s 需要用逗号分隔的值"), name);
    }
    return out->n > 0;
}

/* The same for the same number: a small generator is enough for which runs to make. */
static double chance(uint64_t i) {
    uint64_t x = (i + 1) * 0x9E3779B97F4A7C15U;
    x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9U;
    x = (x ^ x >> 27) * 0x94D049BB133111EBU;
    return (double)((x ^ x >> 31) >> 11) / 9007199254740992.0;
}

static bool good_rate(const char *text, double *out) {
    char *end;
    *out = text ? strtod(text, &end) : 0;
    return !text || (end != text && !*end && *out > 0 && *out <= 1000);
}

/* All combinations, or `random` of them; 0: said why. */
static int make_trials(cli *c, trial *trials, const list *rates, const list *optimizers, const list *batches,
                       int64_t seeds, int64_t random) {
    double rate[VALUES], low = HUGE_VAL, high = 0;
    int n = 0;
    for (int i = 0; i < rates->n; i++) {
        if (!good_rate(rates->value[i], &rate[i])) {
            cli_usage(c,
                      CLI_T(c, "%s is \"%s\", a number from %g to %g expected",
                            "%s 的值是“%s”，应为 %g 到 %g 的数"),
                      "--lr", rates->value[i], 1e-12, 1000.0);
            return 0;
        }
        low = fmin(low, rate[i]);
        high = fmax(high, rate[i]);
    }
    int64_t all = (int64_t)rates->n * optimizers->n * batches->n * seeds;
    for (int64_t i = 0; i < (random > 0 ? random : all) && n < MOST; i++) {
        int64_t k = random > 0 ? (int64_t)(chance((uint64_t)i * 4) * (double)all) : i;
        trial *t = &trials[n++];
        *t = (trial){.number = n, .seed = (uint64_t)(k % seeds) + 1, .rate = rate[k / seeds % rates->n]};
        t->optimizer = optimizers->value[k / seeds / rates->n % optimizers->n];
        t->batch = batches->value[k / seeds / rates->n / optimizers->n % batches->n];
        if (random > 0 && low > 0 && high > low) {
            t->rate = low * pow(high / low, chance((uint64_t)i * 4 + 1));
        }
    }
    return n;
}

static cvs_status run_one(cli *c, const char *folder, trial *t, const cvs_train_options *common) {
    char path[4200];
    cvs_train_options o = *common;
    o.learning_rate = t->rate;
    o.optimizer = t->optimizer;
    o.batch = t->batch ? atoi(t->batch) : 0;
    o.has_seed = true;
    o.seed = t->seed;
    o.resume = true;
    snprintf(path, sizeof path, "%s/run_%03d", folder, t->number);
    char room[PATH_MAX];
    cvs_status s = cvs_train(cli_named(c->args[0], room, sizeof room), cli_value(c, "--data"), path, &o,
                             &t->result, &c->err);
    /* One that diverged is a result too. */
    if (s == CVS_E_ARGUMENT && strstr(c->err.message, "no number any more")) {
        t->result = (cvs_train_result){.loss = (double)NAN, .val_loss = (double)NAN, .val_accuracy = 0};
        c->err = (cvs_error){.lang = c->lang};
        s = CVS_OK;
    }
    return s;
}

static int by_accuracy(const void *a, const void *b) {
    const trial *x = a, *y = b;
    return x->result.val_accuracy < y->result.val_accuracy   ? 1
           : x->result.val_accuracy > y->result.val_accuracy ? -1
                                                             : x->number - y->number;
}

static cvs_status write_json(cli *c, const char *folder, const trial *t, int n) {
    json_t *all = json_array();
    char path[4200], name[40];
    for (int i = 0; i < n; i++) {
        snprintf(name, sizeof name, "run_%03d", t[i].number);
        json_array_append_new(
            all, json_pack("{s:s,s:f,s:s*,s:s*,s:I,s:f,s:o,s:i}", "run", name, "learning_rate", t[i].rate,
                           "optimizer", t[i].optimizer, "batch", t[i].batch, "seed", (json_int_t)t[i].seed,
                           "val_accuracy", t[i].result.val_accuracy, "val_loss",
                           isfinite(t[i].result.val_loss) ? json_real(t[i].result.val_loss) : json_null(),
                           "epochs", t[i].result.epochs));
    }
    char *text = json_dumps(all, JSON_INDENT(1) | JSON_REAL_PRECISION(9));
    snprintf(path, sizeof path, "%s/sweep.json", folder);
    cvs_status s = text ? cvs_file_write(path, text, strlen(text), &c->err) : CVS_E_MEMORY;
    free(text);
    json_decref(all);
    return s;
}

static void print_table(const cli *c, const trial *t, int n) {
    printf("%-10s %12s %-10s %6s %5s %13s %10s\n", CLI_T(c, "run", "run"), "lr", "optimizer", "batch", "seed",
           "val_accuracy", "val_loss");
    for (int i = 0; i < n; i++) {
        printf("run_%03d    %12.6g %-10s %6s %5llu %12.2f%% %10.4f\n", t[i].number, t[i].rate,
               t[i].optimizer ? t[i].optimizer : "-", t[i].batch ? t[i].batch : "-",
               (unsigned long long)t[i].seed, 100 * t[i].result.val_accuracy, t[i].result.val_loss);
    }
}

static int run(cli *c) {
    int64_t seeds, random, epochs, threads;
    cvs_train_options o = {.lang = c->lang, .settings = cli_value(c, "--set")};
    const char *folder = cli_value(c, "-o");
    trial *trials = calloc(MOST, sizeof *trials);
    list *lists = calloc(3, sizeof *lists);
    int n = 0, code = cvs_status_exit(CVS_E_ARGUMENT);
    cvs_status s = trials && lists ? CVS_OK : CVS_E_MEMORY;
    if (!folder) {
        cli_usage(c, "%s", CLI_T(c, "convscope sweep needs -o DIR", "convscope sweep 需要 -o DIR"));
    } else if (s == CVS_OK && cli_int(c, "--seeds", 1, 1000, 1, &seeds) &&
               cli_int(c, "--random", 1, MOST, 0, &random) &&
               cli_int(c, "--epochs", 1, 1000000, 0, &epochs) &&
               cli_int(c, "--threads", 1, 1024, 0, &threads) &&
               cli_int(c, "--limit", 1, INT64_MAX, 0, &o.limit) && read_list(c, "--lr", &lists[0]) &&
               read_list(c, "--optimizer", &lists[1]) && read_list(c, "--batch", &lists[2])) {
        o.epochs = (int)epochs;
        o.threads = (int)threads;
        n = make_trials(c, trials, &lists[0], &lists[1], &lists[2], seeds, random);
    }
    for (int i = 0; i < n && s == CVS_OK; i++) {
        s = run_one(c, folder, &trials[i], &o);
        if (s == CVS_OK) {
            cli_say(c, CLI_T(c, "run %d of %d: val_accuracy %.4f", "第 %d 次，共 %d 次：val_accuracy %.4f"),
                    i + 1, n, trials[i].result.val_accuracy);
        }
    }
    if (n > 0 && s == CVS_OK) {
        qsort(trials, (size_t)n, sizeof *trials, by_accuracy);
        s = write_json(c, folder, trials, n);
        print_table(c, trials, n);
    }
    if (n > 0) {
        code = s == CVS_OK ? 0 : cli_fail(c);
    }
    free(trials);
    free(lists);
    return code;
}

const cli_command cli_command_sweep = {
    .name = "sweep",
    .args = "RECIPE",
    .en = "train with every combination of learning rates, optimisers, batches, seeds, or some by chance",
    .zh = "按学习率、优化器、批量、种子的各种组合（或随机若干种）训练",
    .min_args = 1,
    .max_args = 1,
    .options = options,
    .n_options = sizeof options / sizeof options[0],
    .run = run,
};

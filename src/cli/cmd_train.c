/* SPDX-License-Identifier: MIT
 * cmd_train.c - convscope train RECIPE --data SPEC -o RUN: a progress bar on a terminal, one line per epoch on stderr; Ctrl-C ends
 * the run after the batch at hand with everything written.
 */
#include <limits.h>
#include <errno.h>
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli.h"

static const cli_option options[] = {
    {"--data", "SPEC",
     "mnist:DIR, cifar10:DIR, npz:FILE, folder:DIR, generated:NAME, ... (default: the recipe's)",
     "mnist:DIR、cifar10:DIR、npz:FILE、folder:DIR、generated:NAME 等（默认用配方中的）"},
    {"-o", "RUN", "folder for model.onnx, best.onnx, history.json and state.safetensors",
     "存放 model.onnx、best.onnx、history.json 与 state.safetensors 的文件夹"},
    {"--epochs", "N", "times over the whole set", "遍历数据集的轮数"},
    {"--batch", "N", "pictures a step", "每步的图片数"},
    {"--lr", "X", "learning rate", "学习率"},
    {"--optimizer", "NAME", "sgd, momentum, nesterov, adam, adamw or rmsprop",
     "优化器：sgd、momentum、nesterov、adam、adamw 或 rmsprop"},
    {"--profile", "NAME", "torch or keras: whose defaults and arithmetic (torch)",
     "torch 或 keras：采用哪个库的默认值与算法（torch）"},
    {"--loss", "NAME", "cross_entropy, binary, mse, mae, hinge or margin",
     "损失函数：cross_entropy、binary、mse、mae、hinge 或 margin"},
    {"--momentum", "X", "share of the last step that is kept (0.9)", "动量（0.9）"},
    {"--seed", "S", "of the first weights, the order and the augmentation",
     "初始权重、顺序与数据增强的随机种子"},
    {"--threads", "N", "threads (default: one per CPU); the results have the same bits",
     "线程数（默认每个 CPU 一个）；结果逐位相同"},
    {"--limit", "N", "at most this many training pictures", "最多使用的训练图片数"},
    {"--holdout", "X",
     "keep this share of the training pictures to test with (default: the data's own test pictures)",
     "从训练图片中留出这一比例用于验证（默认用数据自带的测试图片）"},
    {"--steps", "N", "stop after so many steps", "训练若干步后停止"},
    {"--init", "DIR|MODEL", "first weights from DIR/NAME.npy, or a model's, by name and shape",
     "从 DIR/NAME.npy 或某个模型（按名称与形状）读取初始权重"},
    {"--head", "N|data", "a new last layer for N classes, or as many as the data has",
     "换上新的最后一层：N 个类别，或与数据的类别数相同"},
    {"--freeze", "NAMES",
     "what stays as it is: beginnings of parameters' names, or body (all but the last layer)",
     "保持不变的参数：名称开头（用逗号分隔），或 body（除最后一层外的全部）"},
    {"--set", "TEXT", "more statements of a recipe: \"schedule cosine | augment flip\"",
     "追加配方语句，如 \"schedule cosine | augment flip\""},
    {"--order", "FILE", "numbers of pictures, one a line, instead of shuffling",
     "不打乱，按此文件中的图片编号（每行一个）训练"},
    {"--resume", NULL, "go on from RUN's last checkpoint, to the same bits as without the interruption",
     "从 RUN 的最近检查点继续训练，结果与未中断时逐位相同"},
    {"--save-every", "S", "seconds between checkpoints within an epoch (60)",
     "一轮之内两次检查点的间隔秒数（60）"},
    {"--shards", "N",
     "pieces that every batch is cut into (8; 1 with batch normalization; under mpirun always 8)",
     "每批切成的份数（8；含批归一化时为 1；在 mpirun 下总是 8）"},
    {"--preview", "FILE", "train nothing; draw what augmentation makes of some pictures (.png)",
     "不训练；画出数据增强对若干图片的效果（.png）"},
    {"--snapshots", NULL,
     "keep the network of epochs 0, 1, 2, 3, 5, 8, 13, ... in RUN/snapshots, for evolution",
     "把第 0、1、2、3、5、8、13……轮的网络保存在 RUN/snapshots，供 evolution 使用"},
    {"--watch", NULL, "serve the page that shows the run while it goes on, and steers it (with --control)",
     "提供网页，实时查看并控制训练（含 --control）"},
    {"--no-browser", NULL, "with --watch: only print the page's address", "与 --watch 同用：只打印网页地址"},
    {"--control", NULL,
     "let RUN/control.json pause the run and change its learning rate (the page of watch writes it)",
     "允许 RUN/control.json 暂停训练、更改学习率（由 watch 的网页写入）"},
    {"--changes", "FILE",
     "history.json of a run that was steered: change the learning rate at the same steps",
     "一次被手动控制过的训练的 history.json：在相同的步更改学习率"},
    {"--no-events", NULL, "leave out RUN/train and RUN/validation (event files for watch and TensorBoard)",
     "不写 RUN/train 与 RUN/validation（供 watch 与 TensorBoard 使用的事件文件）"},
    {"--params", NULL, "write RUN/params/NAME.npy too", "另外写出 RUN/params/NAME.npy"},
};

static volatile sig_atomic_t interrupted;

static void on_interrupt(int number) {
    (void)number;
    interrupted = 1;
}

/* Ctrl-C asks for an end; a second one ends at once, as the default does. */
static void listen_for_interrupt(void) {
    struct sigaction action = {.sa_handler = on_interrupt, .sa_flags = (int)SA_RESETHAND};
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

typedef struct talk {
    cli *c;
    bool quiet;   /* one of many processes, and not the one that talks */
    bool stepped; /* training has begun */
    char settings[4096];
} talk;

static bool on_step(void *context, const cvs_train_step *s) {
    talk *t = context;
    cli *c = t->c;
    t->stepped = true;
    if (t->quiet) {
        return !interrupted;
    }
    char text[200];
    if (s->epoch_ended) {
        cli_progress(c, "", 1.0);
        cli_say(
            c,
            CLI_T(c,
                  "epoch %d/%d: loss %.4f, accuracy %.4f, val_loss %.4f, val_accuracy %.4f (%.0f pictures/s)",
                  "第 %d/%d 轮：loss %.4f，accuracy %.4f，val_loss %.4f，val_accuracy %.4f（每秒 %.0f 张）"),
            s->epoch, s->epochs, s->loss, s->accuracy, s->val_loss, s->val_accuracy, s->images_per_second);
        return !interrupted;
    }
    snprintf(text, sizeof text,
             CLI_T(c, "epoch %d/%d, step %lld/%lld, loss %.4f, accuracy %.4f, %.0f pictures/s",
                   "第 %d/%d 轮，第 %lld/%lld 步，loss %.4f，accuracy %.4f，每秒 %.0f 张"),
             s->epoch, s->epochs, (long long)s->step, (long long)s->steps, s->loss, s->accuracy,
             s->images_per_second);
    cli_progress(c, text, s->step < s->steps ? (double)s->step / (double)s->steps : 0.9999);
    return !interrupted;
}

/* A number in [low, high]; false = said why. */
/* --set, --head and --freeze as the statements that they are; NULL: there are none. */
static const char *gather(cli *c, char text[4096]) {
    const char *set = cli_value(c, "--set"), *head = cli_value(c, "--head"),
               *freeze = cli_value(c, "--freeze");
    int n = snprintf(text, 4096, "%s\n%s%s\n%s%s\n", set ? set : "", head ? "head " : "", head ? head : "",
                     freeze ? "freeze " : "", freeze ? freeze : "");
    for (int i = n - (freeze ? (int)strlen(freeze) : 0) - 1; freeze && i > 0 && i < n && n < 4096; i++) {
        text[i] = text[i] == ',' ? ' ' : text[i];
    }
    if (n >= 4096) {
        cli_usage(c, "%s",
                  CLI_T(c, "--set, --head and --freeze are too long", "--set、--head 与 --freeze 过长"));
        return NULL;
    }
    return set || head || freeze ? text : "";
}

static void on_note(void *context, const char *text) {
    cli_say(((talk *)context)->c, "%s", text);
}

static bool real(cli *c, const char *name, double low, double high, double *out) {
    const char *text = cli_value(c, name);
    *out = 0;
    if (!text) {
        return true;
    }
    char *end;
    double v = strtod(text, &end);
    if (end == text || *end || !isfinite(v) || v < low || v > high) {
        char safe[60];
        cli_usage(
            c, CLI_T(c, "%s is \"%s\", a number from %g to %g expected", "%s 的值是“%s”，应为 %g 到 %g 的数"),
            name, cli_safe(text, safe, sizeof safe), low, high);
        return false;
    }
    *out = v;
    return true;
}

static bool read_options(talk *t, cvs_train_options *o) {
    cli *c = t->c;
    int64_t epochs, batch, shards, seed, threads;
    *o = (cvs_train_options){.optimizer = cli_value(c, "--optimizer"),
                             .profile = cli_value(c, "--profile"),
                             .loss = cli_value(c, "--loss"),
                             .start = cli_value(c, "--init"),
                             .order = cli_value(c, "--order"),
                             .snapshots = cli_flag(c, "--snapshots"),
                             .control = cli_flag(c, "--control") || cli_flag(c, "--watch"),
                             .changes = cli_value(c, "--changes"),
                             .no_events = cli_flag(c, "--no-events"),
                             .resume = cli_flag(c, "--resume"),
                             .write_params = cli_flag(c, "--params"),
                             .has_seed = cli_value(c, "--seed") != NULL,
                             .lang = c->lang,
                             .on_step = on_step,
                             .on_note = on_note,
                             .settings = gather(c, t->settings),
                             .context = t};
    if (!o->settings || !cli_int(c, "--epochs", 1, 1000000, 0, &epochs) ||
        !cli_int(c, "--batch", 1, 65536, 0, &batch) || !cli_int(c, "--shards", 1, 64, 0, &shards) ||
        !cli_int(c, "--seed", 0, INT64_MAX, 0, &seed) || !cli_int(c, "--threads", 1, 1024, 0, &threads) ||
        !cli_int(c, "--limit", 1, INT64_MAX, 0, &o->limit) ||
        !cli_int(c, "--steps", 1, INT64_MAX, 0, &o->max_steps) ||
        !real(c, "--save-every", 1e-6, 1e9, &o->save_seconds) ||
        !real(c, "--holdout", 0.0001, 0.9, &o->holdout) || !real(c, "--lr", 1e-12, 1000, &o->learning_rate) ||
        !real(c, "--momentum", 0, 0.999999, &o->momentum)) {
        return false;
    }
    o->epochs = (int)epochs;
    o->batch = (int)batch;
    o->shards = (int)shards;
    o->seed = (uint64_t)seed;
    o->threads = (int)threads;
    if (!cli_value(c, "-o") && !cli_value(c, "--preview")) {
        cli_usage(c, CLI_T(c, "convscope train needs -o RUN, a folder to fill",
                           "convscope train 需要 -o RUN（要写入的文件夹）"));
        return false;
    }
    return true;
}

/* convscope watch RUN in a process of its own, which ends with this one: its number, or -1. The folder is there before it looks. */
static pid_t begin_watching(cli *c, const char *folder) {
    if (mkdir(folder, 0777) != 0 && errno != EEXIST) {
        return -1; /* training says what is wrong with it */
    }
    fflush(NULL);
    pid_t parent = getpid(), child = fork();
    if (child != 0) {
        return child;
    }
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    const char *lang = cli_value(c, "--lang");
    const char *args[] = {"convscope", "watch", folder, "--port", "0", NULL, NULL, NULL, NULL};
    int n = 5;
    if (cli_flag(c, "--no-browser")) {
        args[n++] = "--no-browser";
    }
    if (lang) {
        args[n++] = "--lang";
        args[n++] = lang;
    }
    if (getppid() == parent) {
        execv("/proc/self/exe", (char *const *)(uintptr_t)args);
    }
    _exit(3);
}

/* After the last epoch people still look: until Ctrl-C. */
static void go_on_watching(const cli *c, pid_t page) {
    if (page > 0 && !interrupted) {
        cli_say(c, "%s",
                CLI_T(c, "the run is over; the page stays until Ctrl-C",
                      "训练已结束；网页保持打开，按 Ctrl-C 退出"));
        while (!interrupted && waitpid(page, NULL, 0) < 0 && errno == EINTR) {}
    }
    if (page > 0) {
        kill(page, SIGTERM);
        waitpid(page, NULL, 0);
    }
}

/* What the run's own log says about it, after the epochs or after a failure. */
static void diagnose(cli *c, const char *folder) {
    cvs_log *log = NULL;
    cvs_error quiet = {.lang = c->lang}, kept = c->err;
    if (cvs_log_open(folder, NULL, &log, &quiet) == CVS_OK) {
        (void)cli_print_diagnosis(c, log, true, stderr);
    }
    cvs_log_free(log);
    c->err = kept;
}

/* Trains, and says how it ended; the exit code. */
static int train_alone(talk *t, const cvs_train_options *o) {
    cli *c = t->c;
    cvs_train_result result;
    const char *folder = cli_value(c, "-o");
    listen_for_interrupt();
    pid_t page = !t->quiet && cli_flag(c, "--watch") ? begin_watching(c, folder) : -1;
    if (!t->quiet && page < 0 && !o->no_events && isatty(STDERR_FILENO)) {
        char safe[600];
        cli_say(
            c, CLI_T(c, "to see it in the browser: convscope watch %s", "在浏览器中查看：convscope watch %s"),
            cli_safe(folder, safe, sizeof safe));
    }
    char room[PATH_MAX];
    cvs_status s = cvs_train(cli_named(c->args[0], room, sizeof room), cli_value(c, "--data"), folder, o,
                             &result, &c->err);
    bool stopped = s == CVS_OK && result.stopped;
    if (t->quiet) {
        return cvs_status_exit(stopped ? CVS_E_CANCELLED : s);
    }
    cli_progress(c, "", 1.0);
    if ((s == CVS_OK || t->stepped) && !o->no_events) {
        diagnose(c, folder);
    }
    int code = s == CVS_OK ? 0 : cli_fail(c);
    if (stopped) {
        cli_say(c,
                CLI_T(c,
                      "stopped; what was learned so far is in %s, and the same command with --resume goes on",
                      "已停止；目前学到的内容在 %s，同一命令加上 --resume 可继续训练"),
                folder);
        code = cvs_status_exit(CVS_E_CANCELLED);
    }
    if (s == CVS_OK || t->stepped) {
        go_on_watching(c, page);
    } else if (page > 0) {
        kill(page, SIGTERM);
        waitpid(page, NULL, 0);
    }
    return code;
}

/* Started by mpirun: together with the others, of which the first one talks. All know how it ended; were one not to, the others would wait
 * for it, so a failure ends them all. */
static int train(talk *t, cvs_train_options *o) {
    cli *c = t->c;
    cvs_comm comm;
    int size, rank;
    if (!cvs_comm_launched(&size, &rank)) {
        return train_alone(t, o);
    }
    if (cvs_comm_mpi(&comm, &c->err) != CVS_OK) {
        return rank == 0 ? cli_fail(c) : cvs_status_exit(c->err.code);
    }
    o->comm = &comm;
    t->quiet = comm.rank != 0;
    int code = train_alone(t, o);
    cvs_comm_mpi_end(&comm, 0);
    return code;
}

static int run(cli *c) {
    cvs_train_options o;
    talk t = {.c = c};
    if (!read_options(&t, &o)) {
        return cvs_status_exit(CVS_E_ARGUMENT);
    }
    if (cli_value(c, "--preview")) {
        cvs_tensor sheet = {0};
        char room[PATH_MAX];
        cvs_status s = cvs_train_preview(cli_named(c->args[0], room, sizeof room), cli_value(c, "--data"), &o,
                                         6, 8, &sheet, &c->err);
        if (s == CVS_OK) {
            s = cvs_png_write(cli_value(c, "--preview"), &sheet, &c->err);
        }
        cvs_tensor_free(&sheet);
        return s == CVS_OK ? 0 : cli_fail(c);
    }
    return train(&t, &o);
}

const cli_command cli_command_train = {
    .name = "train",
    .args = "RECIPE",
    .en = "train a network from a recipe (or a model file) on a data set",
    .zh = "按配方（或模型文件）在数据集上训练网络",
    .min_args = 1,
    .max_args = 1,
    .options = options,
    .n_options = sizeof options / sizeof options[0],
    .run = run,
};

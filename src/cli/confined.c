/* SPDX-License-Identifier: MIT
 * confined.c - --confine: the command runs in a process of its own that sees only the folders its arguments name, the fonts and
 * the program's own data, writes only where its options say, and has no network and no other program (convscope/confine.h).
 */
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli.h"

enum { MOST = 200 };

typedef struct folders {
    char *path[MOST];
    int n;
} folders;

static void add(folders *f, const char *path) {
    char *copy = f->n < MOST ? strdup(path) : NULL;
    if (copy) {
        f->path[f->n++] = copy;
    }
}

/* The folder of a path that may not exist yet. */
static void add_parent(folders *f, const char *path) {
    char *copy = strdup(path), *slash = copy ? strrchr(copy, '/') : NULL;
    if (slash) {
        slash[slash == copy ? 1 : 0] = 0;
    }
    add(f, !copy || !slash ? "." : copy);
    free(copy);
}

/* "ck-1" of ck-1.index, as TensorFlow calls a checkpoint: no file has that name, its parts lie beside the index. */
static bool add_checkpoint(folders *f, const char *path) {
    struct stat st;
    char index[PATH_MAX];
    int n = snprintf(index, sizeof index, "%s.index", path);
    if (n < 0 || (size_t)n >= sizeof index || stat(index, &st) != 0 || !S_ISREG(st.st_mode)) {
        return false;
    }
    add_parent(f, index);
    return true;
}

/* What a word of the command line names: a folder with all beneath, or a file with its neighbours (weights, classes, shards), and
 * where a link that the user named himself leads. */
static bool add_named(folders *f, const char *path) {
    struct stat st;
    char real[PATH_MAX];
    if (stat(path, &st) != 0) {
        return add_checkpoint(f, path);
    }
    if (S_ISDIR(st.st_mode)) {
        add(f, path);
        return true;
    }
    if (S_ISREG(st.st_mode)) {
        add_parent(f, path);
    }
    add(f, realpath(path, real) ? real : path);
    return true;
}

/* "a.png", "a.npy,b.npy", "mnist:DIR", "folder:DIR,limit=3" */
static void add_word(folders *f, const char *word) {
    if (add_named(f, word)) {
        return;
    }
    char *copy = strdup(word), *rest = copy;
    for (char *part; copy && (part = strsep(&rest, ",")) != NULL;) {
        char *colon = strchr(part, ':');
        if (!add_named(f, part) && colon) {
            add_named(f, colon + 1);
        }
    }
    free(copy);
}

static bool is_output(const char *name) {
    static const char *const names[] = {
        "-o",      "--raw", "--raw-activation", "--raw-classes", "--votes",
        "--sheet", "--csv", "--apply",          "--markdown",    "--check-figure"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(name, names[i]) == 0) {
            return true;
        }
    }
    return false;
}

static void add_output(folders *f, const char *path) {
    struct stat st;
    bool there = stat(path, &st) == 0;
    if (there && !S_ISREG(st.st_mode)) {
        add(f, path); /* a folder, a device, a pipe */
    } else {
        add_parent(f, path);
    }
}

/* Fonts, the C library's data, what threads and memory there are, the built-in models. */
static void add_system(folders *f) {
    static const char *const paths[] = {"/usr",
                                        "/lib",
                                        "/lib64",
                                        "/etc/fonts",
                                        "/etc/ld.so.cache",
                                        "/etc/localtime",
                                        "/var/cache/fontconfig",
                                        "/proc/self",
                                        "/proc/cpuinfo",
                                        "/proc/meminfo",
                                        "/sys/devices/system",
                                        "/sys/fs/cgroup",
                                        "/dev/urandom"};
    static const char *const of_home[] = {".fonts", ".config/fontconfig", ".cache/fontconfig",
                                          ".local/share/fonts"};
    char path[PATH_MAX];
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        add(f, paths[i]);
    }
    const char *home = getenv("HOME");
    for (size_t i = 0; home && i < sizeof of_home / sizeof of_home[0]; i++) {
        snprintf(path, sizeof path, "%s/%s", home, of_home[i]);
        add(f, path);
    }
    static const char *const builtin[] = {"digits.onnx", "resnet50.net"};
    for (size_t i = 0; i < sizeof builtin / sizeof builtin[0]; i++) {
        if (cli_builtin(builtin[i], path, sizeof path)) {
            add_parent(f, path);
        }
    }
}

static cvs_status confine(cli *c, int64_t memory, int64_t seconds) {
    folders read = {0}, write = {0};
    add_system(&read);
    for (int i = 0; i < c->n_args; i++) {
        add_word(&read, c->args[i]);
    }
    for (int i = 0; i < c->n_set; i++) {
        if (is_output(c->set[i].name)) {
            add_output(&write, c->set[i].value);
        } else {
            add_word(&read, c->set[i].value);
        }
    }
    add(&write, "/dev/null");
    cvs_confinement rules = {
        .read = (const char *const *)read.path,
        .n_read = read.n,
        .write = (const char *const *)write.path,
        .n_write = write.n,
        .memory_bytes = memory,
        .seconds = seconds,
        .serves = strcmp(c->command->name, "open") == 0,
    };
    cvs_confined holds;
    cvs_status s = cvs_confine(&rules, &holds, &c->err);
    for (int i = 0; i < read.n; i++) {
        free(read.path[i]);
    }
    for (int i = 0; i < write.n; i++) {
        free(write.path[i]);
    }
    if (s == CVS_OK && !holds.folders) {
        cli_say(c, CLI_T(c, "note: this kernel has no Landlock: other folders are not closed to the command",
                         "注：内核不支持 Landlock，未能禁止访问其他文件夹"));
    }
    if (s == CVS_OK && !holds.calls) {
        cli_say(c, CLI_T(c, "note: this kernel has no seccomp: the network is not closed to the command",
                         "注：内核不支持 seccomp，未能禁止网络访问"));
    }
    return s;
}

/* The exit code of the process, and a sentence where it had none of its own. */
static int outcome(cli *c, int status, int64_t seconds) {
    if (WIFEXITED(status)) {
        return WEXITSTATUS(status);
    }
    int number = WTERMSIG(status);
    if (number == SIGXCPU) {
        cli_say(
            c,
            CLI_T(c,
                  "convscope: %s took more than %lld seconds of processor time and was ended (--max-seconds)",
                  "convscope: %s 占用处理器超过 %lld 秒，已被终止（--max-seconds）"),
            c->command->name, (long long)seconds);
        return cvs_status_exit(CVS_E_LIMIT);
    }
    if (number == SIGINT || number == SIGTERM) {
        return cvs_status_exit(CVS_E_CANCELLED);
    }
    cli_say(
        c,
        CLI_T(
            c,
            "convscope: %s crashed while confined (signal %d); nothing outside was touched. Please report it",
            "convscope: %s 在受限进程中崩溃（信号 %d），外部未受影响。请报告此问题"),
        c->command->name, number);
    return cvs_status_exit(CVS_E_INTERNAL);
}

int cli_run_confined(cli *c) {
    int64_t mib, seconds;
    if (!cli_int(c, "--max-memory", 1, INT64_MAX >> 21, 8192, &mib) ||
        !cli_int(c, "--max-seconds", 1, 1 << 24, 600, &seconds)) {
        return cvs_status_exit(CVS_E_ARGUMENT);
    }
    fflush(stdout);
    fflush(stderr);
    pid_t parent = getpid(), child = fork();
    if (child < 0) {
        char reason[128];
        cli_say(c, CLI_T(c, "convscope: no process can be started: %s", "convscope: 无法启动进程：%s"),
                strerror_r(errno, reason, sizeof reason));
        return cvs_status_exit(CVS_E_IO);
    }
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent) {
            _exit(cvs_status_exit(CVS_E_CANCELLED));
        }
        /* Address space is more than memory: mapped weights, stacks and the C library's arenas of threads count. */
        return confine(c, (mib << 21) + ((int64_t)4 << 30), seconds) == CVS_OK ? c->command->run(c)
                                                                               : cli_fail(c);
    }
    signal(SIGINT, SIG_IGN); /* the terminal tells the child too; its end is waited for */
    int status = 0;
    while (waitpid(child, &status, 0) < 0) {
        if (errno != EINTR) {
            return cvs_status_exit(CVS_E_INTERNAL);
        }
    }
    return outcome(c, status, seconds);
}

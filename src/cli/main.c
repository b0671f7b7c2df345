/* SPDX-License-Identifier: MIT
 * main.c - convscope's program: finds the command in the table, parses its options, runs it, maps errors to exit codes.
 */
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#if defined(__GLIBC__)
#include <malloc.h>
#endif

#include "cli.h"

#define CLI_COMMAND(name) extern const cli_command cli_command_##name;
#include "commands.def"
#undef CLI_COMMAND

const cli_command *const cli_commands[] = {
#define CLI_COMMAND(name) &cli_command_##name,
#include "commands.def"
#undef CLI_COMMAND
};
const int cli_n_commands = (int)(sizeof cli_commands / sizeof cli_commands[0]);

static const cli_command *find_command(const char *name) {
    for (int i = 0; i < cli_n_commands; i++) {
        if (strcmp(cli_commands[i]->name, name) == 0) {
            return cli_commands[i];
        }
    }
    return NULL;
}

static int unknown_command(cli *c, const char *name) {
    char safe[80];
    fprintf(stderr,
            CLI_T(c, "convscope: there is no command \"%s\"; the commands are",
                  "convscope: 没有命令“%s”；可用的命令有"),
            cli_safe(name, safe, sizeof safe));
    for (int i = 0; i < cli_n_commands; i++) {
        fprintf(stderr, "%s %s", i ? "," : "", cli_commands[i]->name);
    }
    fprintf(stderr, "\n");
    return 2;
}

/* --lang must be known before anything is said. */
static cvs_lang early_lang(int argc, char **argv) {
    const char *lang = NULL;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--lang") == 0 && i + 1 < argc) {
            lang = argv[i + 1];
        } else if (strncmp(argv[i], "--lang=", 7) == 0) {
            lang = argv[i] + 7;
        }
    }
    return cvs_lang_from(lang);
}

/* The heap in pages of 2 MiB where the system has them: a first prediction writes some ten megabytes of packed weights in blocks
 * too small to be given such pages one by one, and the faults of as many 4 KiB pages, in several threads at once, take longer
 * than the packing. Blocks from 4 MiB on have pages of their own (memory.c). */
static void heap_in_large_pages(void) {
#if defined(__GLIBC__) && defined(MADV_HUGEPAGE)
    const size_t heap = (size_t)64 << 20, page = (size_t)2 << 20;
    mallopt(M_MMAP_THRESHOLD, 4 << 20);
    mallopt(M_TRIM_THRESHOLD, 2 * (int)heap);
    mallopt(M_TOP_PAD, (int)heap);
    const uintptr_t before = (uintptr_t)sbrk(0);
    void *volatile grown = malloc((size_t)2 << 20); /* more than the heap has: it grows by this and the pad */
    free(grown);
    mallopt(M_TOP_PAD, 1 << 20);
    const uintptr_t start = (before + page - 1) / page * page, end = (uintptr_t)sbrk(0) / page * page;
    if (end > start) { /* another allocator may not use this memory */
        (void)madvise((void *)start, end - start, MADV_HUGEPAGE); /* a wish: any answer will do */
    }
#endif
}

/* Large files are mapped: one that somebody cuts while it is read has no bytes any more where some were. */
static void say_cut(const char *text, size_t n) {
    ssize_t written = write(STDERR_FILENO, text, n);
    _exit(written >= 0 ? cvs_status_exit(CVS_E_IO) : 70);
}

static void file_was_cut(int number) {
    static const char en[] = "convscope: a file that was being read became shorter meanwhile\n";
    (void)number;
    say_cut(en, sizeof en - 1);
}

static void file_was_cut_zh(int number) {
    static const char zh[] = "convscope: 正在读取的文件在读取期间变短了\n";
    (void)number;
    say_cut(zh, sizeof zh - 1);
}

/* Standard output is a pipe whose reader (head, a pager) has had enough: nothing to complain about. */
static bool reader_has_gone(void) {
    struct pollfd out = {.fd = STDOUT_FILENO, .events = POLLOUT};
    return poll(&out, 1, 0) == 1 && (out.revents & POLLERR);
}

int main(int argc, char **argv) {
    heap_in_large_pages();
    signal(SIGPIPE, SIG_IGN); /* a closed pipe or socket is a failed write, not the end of the process */
    cli c = {.lang = early_lang(argc, argv)};
    signal(SIGBUS, c.lang == CVS_ZH ? file_was_cut_zh : file_was_cut);
    c.err.lang = c.lang;
    c.args = calloc((size_t)argc + 1, sizeof *c.args);
    if (!c.args) {
        return cvs_status_exit(CVS_E_MEMORY);
    }
    int code = 0, at = 1;
    while (at < argc && (strcmp(argv[at], "--lang") == 0 || strncmp(argv[at], "--lang=", 7) == 0)) {
        const char *lang = argv[at][6] == '=' ? argv[at] + 7 : at + 1 < argc ? argv[at + 1] : "";
        code = strcmp(lang, "en") != 0 && strcmp(lang, "zh") != 0 ? 2 : code;
        at += argv[at][6] == '=' ? 1 : 2;
    }
    if (code != 0) {
        fprintf(stderr, "convscope: %s\n", CLI_T(&c, "--lang is en or zh", "--lang 只能是 en 或 zh"));
    } else if (at >= argc) {
        cli_help(&c, NULL, stderr);
        code = 2;
    } else if (strcmp(argv[at], "--help") == 0 || strcmp(argv[at], "-h") == 0) {
        cli_help(&c, NULL, stdout);
    } else if (strcmp(argv[at], "--version") == 0) {
        printf("convscope %s\n", CVS_VERSION);
    } else {
        c.command = find_command(argv[at]);
        code = c.command ? cli_parse(&c, argc - at - 1, argv + at + 1) : unknown_command(&c, argv[at]);
        if (code == 0) {
            code = cli_flag(&c, "--confine") ? cli_run_confined(&c) : c.command->run(&c);
        } else if (code < 0) { /* --help was answered */
            code = 0;
        }
    }
    free(c.args);
    if (fflush(stdout) != 0 || ferror(stdout)) {
        if (!reader_has_gone()) {
            fprintf(stderr, "%s\n",
                    CLI_T(&c, "convscope: cannot write to standard output", "convscope: 无法写入标准输出"));
        }
        code = code ? code : cvs_status_exit(CVS_E_IO);
    }
    return code;
}

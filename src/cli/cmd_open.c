/* SPDX-License-Identifier: MIT
 * cmd_open.c - convscope open [MODEL] [IMAGE...]: serves the report on this machine and opens the browser. Without arguments: the
 * built-in model on a built-in picture.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli.h"
#include "convscope/serve.h"

static const cli_option options[] = {
    {"--port", "N", "port on 127.0.0.1 (0: any free one)", "127.0.0.1 上的端口（0：任意空闲端口）"},
    {"--no-browser", NULL, "only print the address", "只打印地址，不打开浏览器"},
    {"--top", "N", "how many classes (10)", "显示多少个类别（10）"},
};

/* Starts the desktop's browser and does not wait for it: a child of a child, so that nothing is left to reap. */
static void open_browser(const char *url) {
    if (!getenv("DISPLAY") && !getenv("WAYLAND_DISPLAY")) {
        return;
    }
    pid_t child = fork();
    if (child == 0) {
        if (fork() == 0) {
            if (freopen("/dev/null", "w", stdout) && freopen("/dev/null", "w", stderr)) {
                execlp("xdg-open", "xdg-open", url, (char *)NULL);
            }
        }
        _exit(0);
    }
    if (child > 0) {
        waitpid(child, NULL, 0);
    }
}

static bool ready(void *context, const char *url) {
    cli *c = context;
    printf("%s\n", url);
    fflush(stdout);
    cli_say(c, "%s",
            CLI_T(c, "serving on this machine only; Ctrl-C ends it", "仅在本机提供服务；按 Ctrl-C 结束"));
    if (!cli_flag(c, "--no-browser")) {
        open_browser(url);
    }
    return true;
}

static int run(cli *c) {
    int64_t port;
    if (!cli_int(c, "--port", 0, 65535, 0, &port)) {
        return cvs_status_exit(CVS_E_ARGUMENT);
    }
    char model[1024], image[1024];
    cli_report report = {.model = c->n_args > 0 ? c->args[0] : model,
                         .image = c->n_args > 1 ? c->args[1] : image};
    if (c->n_args > 2) {
        cli_say(c,
                CLI_T(c, "note: the report shows the first picture, %s; the others are not used",
                      "注：报告只展示第一张图片 %s；其余图片未使用"),
                report.image);
    }
    if ((c->n_args < 1 && !cli_builtin("digits.onnx", model, sizeof model)) ||
        (c->n_args < 2 && !cli_builtin("digit.png", image, sizeof image))) {
        return cli_usage(c,
                         CLI_T(c, "the built-in model is not beside the program; name a MODEL and an IMAGE",
                               "程序旁没有内置模型；请指定 MODEL 与 IMAGE"));
    }
    if (cli_report_make(c, &report) != CVS_OK) {
        return c->err.code == CVS_OK ? cvs_status_exit(CVS_E_ARGUMENT) : cli_fail(c);
    }
    cvs_serve_options serve = {.port = (int)port, .ready = ready, .context = c};
    cvs_status s = cvs_serve_page(report.html, report.size, &serve, &c->err);
    cvs_free(report.html);
    return s == CVS_OK ? 0 : cli_fail(c);
}

const cli_command cli_command_open = {
    .name = "open",
    .args = "[MODEL] [IMAGE...]",
    .en = "look at it in the browser; without arguments, the built-in model on a built-in picture",
    .zh = "在浏览器中查看；不带参数时打开内置模型与内置图片",
    .min_args = 0,
    .max_args = -1,
    .groups = CLI_MODEL | CLI_INPUT | CLI_RUN,
    .options = options,
    .n_options = sizeof options / sizeof options[0],
    .run = run,
};

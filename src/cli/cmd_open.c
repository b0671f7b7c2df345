/* SPDX-License-Identifier: MIT
 * cmd_open.c - convscope open [MODEL] [IMAGE...]: serves the web app on this machine and opens the browser. Without arguments: the
 * built-in models and pictures. Several models may be named, to compare them.
 */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "cli.h"
#include "convscope/serve.h"

static const cli_option options[] = {
    {"--port", "N", "port on 127.0.0.1 (0: any free one)", "127.0.0.1 上的端口（0：任意空闲端口）"},
    {"--visdom-port", "N", "draw what the Visdom client for Python sends to this port of this machine",
     "显示 Python 的 Visdom 客户端发到本机此端口的内容"},
    {"--visdom-dir", "DIR", "where Visdom's environments are saved (default: nowhere)",
     "保存 Visdom 环境的文件夹（默认不保存）"},
    {"--no-browser", NULL, "only print the address", "只打印地址，不打开浏览器"},
};

/* By its name: what is opened as a picture (or numbers) rather than as a model. */
static bool is_picture(const char *path) {
    static const char *const ends[] = {".png", ".jpg", ".jpeg", ".jfif", ".webp", ".bmp", ".npy"};
    size_t n = strlen(path);
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
        size_t m = strlen(ends[i]);
        if (n > m && strcasecmp(path + n - m, ends[i]) == 0) {
            return true;
        }
    }
    return false;
}

typedef struct opened {
    cvs_model **models;
    const char **commands, **pictures;
    int n_models, n_pictures;
} opened;

/* The folder of a built-in file as one would type it here: without "..", below the working folder without what stands before it. */
static void builtin_folder(const char *file, char *out, size_t size) {
    char *whole = realpath(file, NULL), *here = realpath(".", NULL);
    const char *path = whole ? whole : file;
    size_t n = here ? strlen(here) : 0;
    if (n > 1 && strncmp(path, here, n) == 0 && path[n] == '/') {
        path += n + 1;
    }
    const char *slash = strrchr(path, '/');
    snprintf(out, size, "%.*s", slash ? (int)(slash - path) : 1, slash ? path : ".");
    free(whole);
    free(here);
}

static int serve(cli *c, const opened *o, int port, int visdom) {
    char folder[1024] = "", any[1024];
    if (cli_builtin("digits.onnx", any, sizeof any)) {
        builtin_folder(any, folder, sizeof folder);
    }
    cli_ready told = {.c = c};
    cvs_serve_options setup = {.port = port,
                               .visdom_port = visdom,
                               .visdom_folder = cli_value(c, "--visdom-dir"),
                               .lang = c->lang,
                               .models = (const cvs_model *const *)o->models,
                               .commands = o->commands,
                               .n_models = o->n_models,
                               .pictures = o->pictures,
                               .n_pictures = o->n_pictures,
                               .builtin = folder[0] ? folder : NULL,
                               .arrive = o->n_models == 0,
                               .open = {.lang = c->lang, .init = true, .init_seed = 1},
                               .ready = cli_on_ready,
                               .context = &told};
    if (!cli_run_options(c, &setup.run)) {
        return cvs_status_exit(CVS_E_ARGUMENT);
    }
    if (setup.arrive && !setup.builtin) {
        return cli_usage(c,
                         CLI_T(c, "the built-in models are not beside the program; name a MODEL and an IMAGE",
                               "程序旁没有内置模型；请指定 MODEL 与 IMAGE"));
    }
    setup.open.limits = setup.run.limits;
    return cvs_serve(&setup, &c->err) == CVS_OK ? 0 : cli_fail(c);
}

static int run(cli *c) {
    int64_t port, visdom;
    if (!cli_int(c, "--port", 0, 65535, 0, &port) || !cli_int(c, "--visdom-port", 1, 65535, 0, &visdom)) {
        return cvs_status_exit(CVS_E_ARGUMENT);
    }
    c->init = true; /* an architecture can be looked at too; the page says that its weights are random */
    size_t room = (size_t)c->n_args + 1;
    opened o = {.models = calloc(room, sizeof *o.models),
                .commands = calloc(room, sizeof *o.commands),
                .pictures = calloc(room, sizeof *o.pictures)};
    int code = o.models && o.commands && o.pictures ? 0 : cvs_status_exit(CVS_E_MEMORY);
    for (int i = 0; code == 0 && i < c->n_args; i++) {
        if (i > 0 && is_picture(c->args[i])) {
            o.pictures[o.n_pictures++] = c->args[i];
        } else if (cli_open(c, c->args[i], false, &o.models[o.n_models]) == CVS_OK) {
            o.commands[o.n_models++] = c->args[i];
        } else {
            code = cli_fail(c);
        }
    }
    code = code == 0 ? serve(c, &o, (int)port, (int)visdom) : code;
    for (int i = 0; o.models && i < o.n_models; i++) {
        cvs_model_free(o.models[i]);
    }
    free(o.models);
    free(o.commands);
    free(o.pictures);
    return code;
}

const cli_command cli_command_open = {
    .name = "open",
    .args = "[MODEL] [IMAGE...]",
    .en = "look at it in the browser; without arguments, the built-in models and pictures",
    .zh = "在浏览器中查看；不带参数时打开内置模型与内置图片",
    .min_args = 0,
    .max_args = -1,
    .groups = CLI_MODEL | CLI_INPUT | CLI_RUN,
    .options = options,
    .n_options = sizeof options / sizeof options[0],
    .run = run,
};

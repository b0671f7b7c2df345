/* SPDX-License-Identifier: MIT
 * cli_serve.c - what the commands that serve the app share: saying its address, opening the browser.
 */
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli.h"
#include "convscope/serve.h"

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

bool cli_on_ready(void *context, const char *url) {
    const cli_ready *told = context;
    const cli *c = told->c;
    const char *lang = cli_value(c, "--lang");
    char address[400]; /* the language that was asked for goes with it; else the browser's own is taken */
    snprintf(address, sizeof address, "%s%s%s%s%s", url, lang || told->page ? "#/" : "",
             told->page ? told->page
             : lang     ? "overview"
                        : "",
             lang ? "?lang=" : "", lang ? lang : "");
    printf("%s\n", address);
    fflush(stdout);
    if (!cvs_serve_has_app()) {
        cli_say(c, "%s",
                CLI_T(c,
                      "note: this program was built without its web app (it needs nodejs and npm); run make "
                      "again with them",
                      "注：此程序构建时缺少 nodejs 与 npm，未包含网页应用；安装后请重新运行 make"));
    }
    cli_say(c, "%s",
            CLI_T(c, "serving on this machine only; Ctrl-C ends it", "仅在本机提供服务；按 Ctrl-C 结束"));
    if (!cli_flag(c, "--no-browser")) {
        open_browser(address);
    }
    return true;
}

/* SPDX-License-Identifier: MIT
 * cmd_help.c - convscope help [COMMAND]: the command table as text.
 */
#include <string.h>

#include "cli.h"

static int run(cli *c) {
    for (int i = 0; i < cli_n_commands && c->n_args == 1; i++) {
        if (strcmp(cli_commands[i]->name, c->args[0]) == 0) {
            cli_help(c, cli_commands[i], stdout);
            return 0;
        }
    }
    if (c->n_args == 1) {
        char safe[80];
        return cli_usage(c, CLI_T(c, "there is no command \"%s\"", "没有命令“%s”"),
                         cli_safe(c->args[0], safe, sizeof safe));
    }
    cli_help(c, NULL, stdout);
    return 0;
}

const cli_command cli_command_help = {
    .name = "help",
    .args = "[COMMAND]",
    .en = "this list, or the options of a command",
    .zh = "显示命令列表，或某个命令的选项",
    .min_args = 0,
    .max_args = 1,
    .run = run,
};

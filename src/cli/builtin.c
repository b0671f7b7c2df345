/* SPDX-License-Identifier: MIT
 * builtin.c - where the built-in models, pictures and architectures are: beside the program in its build tree, or in the installed
 * data folder. A model may be called by its bare name: `things` is models/things.onnx, `resnet50` is zoo/resnet50.net.
 */
#include <limits.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"

bool cli_builtin(const char *name, char *out, size_t size) {
    char program[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", program, sizeof program - 1);
    if (n <= 0) {
        return false;
    }
    program[n] = 0;
    char *slash = strrchr(program, '/');
    if (!slash) {
        return false;
    }
    *slash = 0;
    static const char *const places[] = {"../models", "../zoo", "../share/convscope"};
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        int m = snprintf(out, size, "%s/%s/%s", program, places[i], name);
        if (m > 0 && (size_t)m < size && access(out, R_OK) == 0) {
            return true;
        }
    }
    return false;
}

const char *cli_named(const char *given, char *room, size_t size) {
    static const char *const ends[] = {"", ".onnx", ".net"};
    bool bare =
        !strchr(given, '/') && strlen(given) < 100 && given[0] && given[0] != '.' && access(given, F_OK) != 0;
    for (size_t i = 0; bare && i < sizeof ends / sizeof ends[0]; i++) {
        char name[128];
        snprintf(name, sizeof name, "%s%s", given, ends[i]);
        if (cli_builtin(name, room, size)) {
            return room;
        }
    }
    return given;
}

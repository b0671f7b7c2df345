/* SPDX-License-Identifier: MIT
 * builtin.c - where the built-in models and pictures are: beside the program in its build tree, or in the installed data folder.
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
    static const char *const places[] = {"%s/../models/%s", "%s/../share/convscope/%s"};
    for (int i = 0; i < 2; i++) {
        int m = i == 0 ? snprintf(out, size, places[0], program, name)
                       : snprintf(out, size, places[1], program, name);
        if (m > 0 && (size_t)m < size && access(out, R_OK) == 0) {
            return true;
        }
    }
    return false;
}

/* SPDX-License-Identifier: MIT
 * public_files.c - the public side of writing files and folders: checks before the work, atomic writes.
 */
#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/base.h"

cvs_status cvs_output_check(const char *path, cvs_error *err) {
    return cvi_check_output(path, err);
}

cvs_status cvs_file_write(const char *path, const void *data, size_t size, cvs_error *err) {
    return cvi_file_write(path, data, size, err);
}

/* Cuts the last component off; false when nothing is left to cut. */
static bool parent(char *path) {
    size_t n = strlen(path);
    while (n > 1 && path[n - 1] == '/') {
        path[--n] = 0;
    }
    char *slash = strrchr(path, '/');
    if (!slash) {
        bool here = strcmp(path, ".") == 0;
        strcpy(path, ".");
        return !here;
    }
    bool more = n > 1;
    slash[slash == path] = 0;
    return more;
}

cvs_status cvs_folder_check(const char *path, cvs_error *err) {
    if (!path || !*path) {
        return cvi_fail(err, CVS_E_ARGUMENT, "the path is empty");
    }
    size_t n = strlen(path);
    char *at = cvi_malloc(n + 2); /* room for "." */
    if (!at) {
        return cvi_no_memory(err, n);
    }
    memcpy(at, path, n + 1);
    struct stat st;
    while (stat(at, &st) != 0 && (errno == ENOENT || errno == ENOTDIR) && parent(at)) {}
    cvs_status s = CVS_OK;
    if (stat(at, &st) == 0 && !S_ISDIR(st.st_mode)) {
        s = cvi_fail(err, CVS_E_IO, "a file of this name is in the way of the folder");
    } else if (access(at, W_OK | X_OK) != 0) {
        s = cvi_fail(err, CVS_E_IO, "no permission to write here");
    }
    cvi_free(at);
    return cvi_at_file(err, s, path);
}

cvs_status cvs_folder_make(const char *path, bool *made, cvs_error *err) {
    bool there = path && cvi_is_folder(path);
    cvs_status s = there ? CVS_OK : cvi_make_folder(path, err);
    if (made) {
        *made = s == CVS_OK && !there;
    }
    return s;
}

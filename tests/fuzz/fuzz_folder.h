/* SPDX-License-Identifier: MIT
 * fuzz_folder.h - for fuzz targets of formats that are more than one file, or that are opened by a path: files in a folder of this process, in
 * memory where the system has such a folder. A file stays open and is written over, so that an input costs two system calls.
 */
#ifndef FUZZ_FOLDER_H
#define FUZZ_FOLDER_H

#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { FUZZ_FILES = 8 };

static struct {
    char path[200];
    int n;
    struct {
        char name[64], path[280];
        int fd;
    } file[FUZZ_FILES];
} fuzz_folder;

static inline void fuzz_folder_remove(void) {
    for (int i = 0; i < fuzz_folder.n; i++) {
        char *path = fuzz_folder.file[i].path, *last = strrchr(path, '/');
        unlink(path);
        *last = 0;
        if (strcmp(path, fuzz_folder.path) != 0) {
            rmdir(path); /* a subfolder; not before its last file */
        }
    }
    rmdir(fuzz_folder.path);
}

/* The folder's path. */
static inline const char *fuzz_folder_path(void) {
    if (!fuzz_folder.path[0]) {
        const char *tmp = getenv("TMPDIR");
        const char *in = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : tmp ? tmp : P_tmpdir;
        snprintf(fuzz_folder.path, sizeof fuzz_folder.path, "%.150s/convscope-fuzz-XXXXXX", in);
        if (!mkdtemp(fuzz_folder.path)) {
            abort(); /* nothing to test with */
        }
        atexit(fuzz_folder_remove);
    }
    return fuzz_folder.path;
}

/* Writes a file of the folder; its path, which stays. */
static inline const char *fuzz_write(const char *name, const void *data, size_t size) {
    char folder[sizeof fuzz_folder.path];
    memcpy(folder, fuzz_folder_path(), sizeof folder);
    int i = 0;
    while (i < fuzz_folder.n && strcmp(fuzz_folder.file[i].name, name) != 0) {
        i++;
    }
    if (i == fuzz_folder.n) {
        if (i == FUZZ_FILES) {
            abort();
        }
        snprintf(fuzz_folder.file[i].name, sizeof fuzz_folder.file[i].name, "%s", name);
        snprintf(fuzz_folder.file[i].path, sizeof fuzz_folder.file[i].path, "%s/%s", folder, name);
        fuzz_folder.file[i].fd = open(fuzz_folder.file[i].path, O_RDWR | O_CREAT | O_TRUNC, 0600);
        fuzz_folder.n++;
    }
    int fd = fuzz_folder.file[i].fd;
    if (ftruncate(fd, (off_t)size) != 0 || pwrite(fd, data, size, 0) != (ssize_t)size) {
        abort();
    }
    return fuzz_folder.file[i].path;
}

/* The bytes up to a zero byte, and what is behind it: two files of one input. */
static inline size_t fuzz_split(const uint8_t *data, size_t size, const uint8_t **rest, size_t *n_rest) {
    const uint8_t *end = memchr(data, 0, size);
    *rest = end ? end + 1 : data + size;
    *n_rest = (size_t)(data + size - *rest);
    return end ? (size_t)(end - data) : size;
}

#endif

/* SPDX-License-Identifier: MIT
 * second_file.c - finds the second file of a model in the folder of the first: by the same stem, or because it is the only one.
 */
#include "formats/second_file.h"

#include <dirent.h>
#include <strings.h>

static bool ends(const char *name, const char *suffix) {
    size_t n = strlen(name), k = strlen(suffix);
    return n > k && strcasecmp(name + n - k, suffix) == 0;
}

/* The file in `folder` with that suffix and, if there is one, the stem of `base`; else the only one with the suffix. *out is a
 * name, owned, or NULL; *n how many there are. */
static cvs_status find_beside(const char *folder, const char *base, const char *suffix, char **out, int *n,
                              cvs_error *err) {
    DIR *d = opendir(folder);
    const char *dot = strrchr(base, '.');
    size_t stem = dot ? (size_t)(dot - base) : strlen(base);
    bool same = false, failed = false;
    *out = NULL;
    *n = 0;
    for (struct dirent *e = d ? readdir(d) : NULL; e && *n < 4096 && !failed; e = readdir(d)) {
        if (e->d_name[0] == '.' || !ends(e->d_name, suffix)) {
            continue;
        }
        bool now = strncmp(e->d_name, base, stem) == 0 && strlen(e->d_name) == stem + strlen(suffix);
        *n += 1;
        if (!*out || (now && !same)) {
            cvi_free(*out);
            *out = cvi_strdup(e->d_name);
            failed = !*out;
        }
        same |= now;
    }
    if (d) {
        closedir(d);
    }
    if (failed) {
        return cvi_no_memory(err, 0);
    }
    if (*n > 1 && !same) {
        cvi_free(*out);
        *out = NULL;
    }
    return CVS_OK;
}

cvs_status cvi_read_beside(cvi_open *open, const char *suffix, cvi_file *file, int *n) {
    *n = 0;
    if (open->from_memory) {
        return CVS_OK;
    }
    char *folder = cvi_path_dir(open->path), *name = NULL;
    cvs_status s = folder ? find_beside(folder, cvi_path_base(open->path), suffix, &name, n, open->err)
                          : cvi_no_memory(open->err, strlen(open->path));
    if (s == CVS_OK && name) {
        s = cvi_at_file(open->err, cvi_file_read_beneath(folder, name, &open->limits, file, open->err), name);
    }
    cvi_free(folder);
    cvi_free(name);
    return s;
}

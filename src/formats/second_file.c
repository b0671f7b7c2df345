/* SPDX-License-Identifier: MIT
 * second_file.c - finds the second file of a model in the folder of the first: by the same stem, by a stem that goes on behind a dot
 * (net.prototxt, net.json.caffemodel), or because it is the only one.
 */
#include "formats/second_file.h"

#include <dirent.h>
#include <strings.h>

static bool ends(const char *name, const char *suffix) {
    size_t n = strlen(name), k = strlen(suffix);
    return n > k && strcasecmp(name + n - k, suffix) == 0;
}

/* How alike two stems are: 2 the same, 1 one goes on behind a dot where the other ends, 0 not at all. */
static int alike(const char *a, size_t n, const char *b, size_t k) {
    size_t shorter = CVI_MIN(n, k);
    if (strncmp(a, b, shorter) != 0) {
        return 0;
    }
    return n == k ? 2 : (n > k ? a : b)[shorter] == '.';
}

/* The file in `folder` with that suffix and, if there is one, the stem of `base`; else the only one whose stem goes on from it, or that
 * it goes on from; else the only one with the suffix. *out is a name, owned, or NULL; *n how many there are. */
static cvs_status find_beside(const char *folder, const char *base, const char *suffix, char **out, int *n,
                              cvs_error *err) {
    DIR *d = opendir(folder);
    const char *dot = strrchr(base, '.');
    size_t stem = dot ? (size_t)(dot - base) : strlen(base);
    int best = 0, equals = 0;
    bool failed = false;
    *out = NULL;
    *n = 0;
    for (struct dirent *e = d ? readdir(d) : NULL; e && *n < 4096 && !failed; e = readdir(d)) {
        if (e->d_name[0] == '.' || !ends(e->d_name, suffix) || ends(e->d_name, ".param.bin")) {
            continue; /* ncnn's .param.bin is a graph, not its numbers */
        }
        int now = alike(e->d_name, strlen(e->d_name) - strlen(suffix), base, stem);
        *n += 1;
        if (!*out || now > best) {
            cvi_free(*out);
            *out = cvi_strdup(e->d_name);
            failed = !*out;
            best = now;
            equals = 0;
        }
        equals += now == best;
    }
    if (d) {
        closedir(d);
    }
    if (failed) {
        return cvi_no_memory(err, 0);
    }
    if (*n > 1 && (best == 0 || equals > 1)) {
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

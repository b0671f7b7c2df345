/* SPDX-License-Identifier: MIT
 * folder.c - the model file in a folder: the one regular file that a reader knows, in the order of names; else onnx/model.onnx, as hubs keep it.
 * No other folder is looked into.
 */
#include "open.h"

#include <dirent.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "formats/hub.h"

#define MAX_FILES 4096 /* looked at */
#define MAX_NAMED 64   /* that may be chosen among by name */

static int by_name(const struct dirent **a, const struct dirent **b) {
    return strcmp((*a)->d_name, (*b)->d_name);
}

static int visible(const struct dirent *d) {
    return d->d_name[0] != '.';
}

/* Where hubs keep a network as ONNX alone: one real folder down. *out NULL: it is not there. */
static cvs_status find_onnx(const char *folder, char **out, cvs_error *err) {
    struct stat st;
    char *inner = cvi_path_join(folder, "onnx");
    bool real = inner && lstat(inner, &st) == 0 && S_ISDIR(st.st_mode);
    *out = real ? cvi_path_join(inner, "model.onnx") : NULL;
    bool failed = !inner || (real && !*out);
    cvi_free(inner);
    if (*out && !cvi_is_file(*out)) {
        cvi_free(*out);
        *out = NULL;
    }
    return failed ? cvi_no_memory(err, strlen(folder)) : CVS_OK;
}

static cvs_status choose(const char *folder, const cvs_limits *limits,
                         int (*score)(const char *path, const cvs_limits *limits), struct dirent **list,
                         int n, char **out, cvs_error *err) {
    char names[200] = "";
    const char *known[MAX_NAMED];
    int models = 0;
    for (int i = 0; i < n && i < MAX_FILES; i++) {
        char *path = cvi_path_join(folder, list[i]->d_name);
        if (!path) {
            return cvi_no_memory(err, strlen(folder));
        }
        if (!cvi_is_file(path) || score(path, limits) < CVI_SURE) {
            cvi_free(path);
            continue;
        }
        size_t used = strlen(names);
        snprintf(names + used, sizeof names - used, "%s%.60s", models ? ", " : "", list[i]->d_name);
        if (models < MAX_NAMED) {
            known[models] = list[i]->d_name;
        }
        if (models++ == 0) {
            *out = path;
        } else {
            cvi_free(path);
        }
    }
    int hub = models > 1 ? cvi_hub_choose(folder, known, CVI_MIN(models, MAX_NAMED)) : -1;
    if (hub >= 0) { /* the same weights in several forms, the state of training beside them */
        cvi_free(*out);
        *out = cvi_path_join(folder, known[hub]);
        return *out ? CVS_OK : cvi_no_memory(err, strlen(folder));
    }
    if (models == 1) {
        return CVS_OK;
    }
    cvi_free(*out);
    *out = NULL;
    if (models == 0) {
        CVI_TRY(find_onnx(folder, out, err));
        if (*out) {
            return CVS_OK;
        }
    }
    return models == 0
               ? cvi_fail(err, CVS_E_NOT_FOUND, "the folder holds no model file among its %d files", n)
               : cvi_fail(err, CVS_E_ARGUMENT, "the folder holds %d models, name one of them: %s", models,
                          names);
}

cvs_status cvi_find_in_folder(const char *folder, const cvs_limits *limits,
                              int (*score)(const char *path, const cvs_limits *limits), char **out,
                              cvs_error *err) {
    struct dirent **list = NULL;
    *out = NULL;
    int n = scandir(folder, &list, visible, by_name);
    if (n < 0) {
        return cvi_fail(err, CVS_E_IO, "the folder cannot be read");
    }
    cvs_status s = choose(folder, limits, score, list, n, out, err);
    for (int i = 0; i < n; i++) {
        free(list[i]);
    }
    free(list);
    return s;
}

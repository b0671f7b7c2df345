/* SPDX-License-Identifier: MIT
 * snapshots.c - which networks a run kept: the files of RUN/snapshots that are called epoch_N.onnx.
 */
#include "train/snapshots.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { MOST_FILES = 4096 };

static int by_epoch(const void *a, const void *b) {
    int x = ((const cvi_snapshot *)a)->epoch, y = ((const cvi_snapshot *)b)->epoch;
    return (x > y) - (x < y);
}

static int list(const char *folder, cvi_snapshot *all) {
    DIR *dir = opendir(folder);
    int n = 0;
    for (const struct dirent *d; dir && n < MOST_FILES && (d = readdir(dir)) != NULL;) {
        int epoch, used = 0;
        if (sscanf(d->d_name, "epoch_%d.onnx%n", &epoch, &used) == 1 && used > 0 && !d->d_name[used] &&
            epoch >= 0) {
            all[n] = (cvi_snapshot){cvi_path_join(folder, d->d_name), epoch};
            n += all[n].path != NULL;
        }
    }
    if (dir) {
        closedir(dir);
    }
    return n;
}

cvs_status cvi_snapshots_find(const char *run, int most, cvi_snapshot *out, int *n, cvs_error *err) {
    *n = 0;
    if (access(run, F_OK) != 0) {
        return cvi_at_file(err, cvi_fail(err, CVS_E_IO, "there is no such folder"), run);
    }
    char *folder = cvi_path_join(run, "snapshots");
    cvi_snapshot *all = cvi_calloc(MOST_FILES, sizeof *all);
    if (!folder || !all) {
        cvi_free(folder);
        cvi_free(all);
        return cvi_no_memory(err, MOST_FILES * sizeof *all);
    }
    int found = list(folder, all);
    qsort(all, (size_t)found, sizeof *all, by_epoch);
    int keep = found < 2 ? 0 : CVI_MIN(found, most);
    for (int i = 0; i < found; i++) {
        if (*n < keep && i == *n * (found - 1) / (keep - 1)) {
            out[(*n)++] = all[i];
        } else {
            cvi_free(all[i].path);
        }
    }
    cvi_free(folder);
    cvi_free(all);
    return keep >= 2 ? CVS_OK
                     : cvi_at_file(err,
                                   cvi_fail(err, CVS_E_NOT_FOUND,
                                            "this run has fewer than two snapshots of its network; train "
                                            "keeps them with --snapshots"),
                                   run);
}

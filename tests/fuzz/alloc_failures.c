/* SPDX-License-Identifier: MIT
 * alloc_failures.c - linked to every fuzz target: with ALLOC_FAILURES=FOLDER in the environment it fuzzes nothing, but gives the target each
 * file of the folder again and again, the k-th allocation failing, once alone and once with all after it, for every k there is (20,000
 * at most). The sanitizers see what is left behind. Prints files, allocations and injected failures.
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/base.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

enum { MOST = 20000 };

typedef struct plan {
    long at, calls;
    bool after;
} plan;

static bool should_fail(void *context, size_t bytes) {
    plan *p = context;
    long call = p->calls++;
    (void)bytes;
    return call == p->at || (p->after && call > p->at);
}

/* Allocations that the target makes when the one at `at` fails (-1: none does). */
static long calls(const cvi_file *f, long at, bool after) {
    plan p = {.at = at, .after = after};
    const cvi_hooks hooks = {.context = &p, .fail_alloc = should_fail};
    cvi_set_hooks(&hooks);
    (void)LLVMFuzzerTestOneInput(f->data, f->size);
    cvi_set_hooks(NULL);
    return p.calls;
}

static long fail_each(const cvi_file *f, long *counted) {
    long n = calls(f, -1, false), injected = 0;
    *counted += n;
    for (long k = 0; k < n && k < MOST; k++) {
        (void)calls(f, k, false);
        (void)calls(f, k, true);
        injected += 2;
    }
    return injected;
}

int LLVMFuzzerInitialize(int *argc, char ***argv) {
    const char *folder = getenv("ALLOC_FAILURES");
    long files = 0, counted = 0, injected = 0;
    (void)argc;
    (void)argv;
    if (!folder) {
        return 0;
    }
    DIR *d = opendir(folder);
    for (struct dirent *e = d ? readdir(d) : NULL; e; e = readdir(d)) {
        char path[4096];
        cvi_file f = {0};
        cvs_error err = {0};
        snprintf(path, sizeof path, "%s/%s", folder, e->d_name);
        if (e->d_name[0] != '.' && cvi_file_read(path, NULL, &f, &err) == CVS_OK) {
            injected += fail_each(&f, &counted);
            cvi_file_close(&f);
            files++;
        }
    }
    if (d) {
        closedir(d);
    }
    printf("%ld files, %ld allocations, %ld failures injected\n", files, counted, injected);
    exit(files > 0 ? 0 : 2);
}

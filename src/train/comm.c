/* SPDX-License-Identifier: MIT
 * comm.c - whether an MPI launcher started this process, and loading convscope_mpi.so, the part that speaks MPI, from beside the program
 * or from lib/convscope.
 */
#include <dlfcn.h>
#include <stdlib.h>

#include "base/base.h"
#include "convscope/comm.h"

static void *module; /* once in a process, by its main thread */

/* A whole number in a variable of the environment, or -1. */
static int number(const char *name) {
    const char *text = getenv(name);
    char *end = NULL;
    long v = text ? strtol(text, &end, 10) : -1;
    return text && end != text && *end == 0 && v >= 0 && v < 1 << 24 ? (int)v : -1;
}

bool cvs_comm_launched(int *size, int *rank) {
    static const char *const names[][2] = {
        {"OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK"}, /* Open MPI */
        {"PMI_SIZE", "PMI_RANK"},                         /* MPICH, Intel MPI, Slurm with PMI-1 or -2 */
        {"SLURM_NTASKS", "PMIX_RANK"},                    /* Slurm with PMIx */
    };
    for (int i = 0; i < CVI_COUNT(names); i++) {
        int n = number(names[i][0]), r = number(names[i][1]);
        if (n > 0 && r >= 0) {
            *size = n;
            *rank = r;
            return true;
        }
    }
    return false;
}

static void *load(const char *folder, const char *where) {
    cvi_buf path = {0};
    cvi_buf_printf(&path, "%s/%sconvscope_mpi.so", folder, where);
    /* global: an MPI loads parts of its own, which look for it */
    void *found = !path.failed && cvi_is_file(path.data) ? dlopen(path.data, RTLD_NOW | RTLD_GLOBAL) : NULL;
    cvi_buf_free(&path);
    return found;
}

/* dlsym gives a pointer to data where C wants one to a function. */
static void find(const char *name, void *function) {
    void *at = dlsym(module, name);
    memcpy(function, &at, sizeof at);
}

cvs_status cvs_comm_mpi(cvs_comm *out, cvs_error *err) {
    bool (*begin)(cvs_comm * out) = NULL;
    Dl_info here;
    *out = (cvs_comm){0};
    bool known = dladdr(&module, &here) != 0 && here.dli_fname && here.dli_fname[0] == '/';
    char *real =
        known ? NULL : realpath("/proc/self/exe", NULL); /* a program knows itself as it was called */
    char *folder = known || real ? cvi_path_dir(known ? here.dli_fname : real) : NULL;
    free(real); /* libc's own memory */
    module = module || !folder ? module : load(folder, "");
    module = module || !folder ? module : load(folder, "../lib/convscope/");
    cvi_free(folder);
    if (module) {
        find("cvs_mpi_begin", &begin);
    }
    if (!begin) {
        return cvi_fail(
            err, CVS_E_UNSUPPORTED,
            "this program was built without MPI, and every process that was started would train the same: "
            "start it without mpirun, or install libopenmpi-dev and openmpi-bin and build again");
    }
    if (!begin(out)) {
        return cvi_fail(err, CVS_E_IO, "MPI could not be started");
    }
    return CVS_OK;
}

void cvs_comm_mpi_end(cvs_comm *comm, int code) {
    void (*end)(cvs_comm * comm, int code) = NULL;
    if (module && comm->context) {
        find("cvs_mpi_end", &end);
        if (end) {
            end(comm, code);
        }
        comm->context = NULL;
    }
}

/* SPDX-License-Identifier: MIT
 * mpi_comm.c - cvs_comm by MPI: all of Convscope that knows it. Built as convscope_mpi.so beside the program where an MPI is there, and loaded
 * by comm.c only when a launcher started the process, so that the program itself neither needs nor loads one. Open MPI's default is kept
 * that an error ends all processes.
 */
#include <mpi.h>
#include <stdlib.h>

#include "convscope/comm.h"

__attribute__((visibility("default"))) bool cvs_mpi_begin(cvs_comm *out);
__attribute__((visibility("default"))) void cvs_mpi_end(cvs_comm *comm, int code);

/* MPI counts in int; a broadcast goes in pieces of this. */
enum { MOST_BYTES = 1 << 30 };

typedef struct mpi {
    int size;
    int *from, *to; /* offsets, by rank */
} mpi;

static void offsets(const mpi *m, const int *counts, int *out) {
    int at = 0;
    for (int i = 0; i < m->size; i++) {
        out[i] = at;
        at += counts[i];
    }
}

static bool all_to_all(void *context, const float *send, const int *send_counts, float *receive,
                       const int *receive_counts) {
    mpi *m = context;
    offsets(m, send_counts, m->from);
    offsets(m, receive_counts, m->to);
    return MPI_Alltoallv(send, send_counts, m->from, MPI_FLOAT, receive, receive_counts, m->to, MPI_FLOAT,
                         MPI_COMM_WORLD) == MPI_SUCCESS;
}

static bool all_gather(void *context, float *data, const int *counts) {
    mpi *m = context;
    offsets(m, counts, m->to);
    return MPI_Allgatherv(MPI_IN_PLACE, 0, MPI_DATATYPE_NULL, data, counts, m->to, MPI_FLOAT,
                          MPI_COMM_WORLD) == MPI_SUCCESS;
}

static bool sum(void *context, double *v, int n) {
    (void)context;
    return MPI_Allreduce(MPI_IN_PLACE, v, n, MPI_DOUBLE, MPI_SUM, MPI_COMM_WORLD) == MPI_SUCCESS;
}

static bool broadcast(void *context, int from, void *data, int64_t bytes) {
    (void)context;
    for (char *at = data; bytes > 0;) {
        int n = bytes < MOST_BYTES ? (int)bytes : MOST_BYTES;
        if (MPI_Bcast(at, n, MPI_BYTE, from, MPI_COMM_WORLD) != MPI_SUCCESS) {
            return false;
        }
        at += n;
        bytes -= n;
    }
    return true;
}

bool cvs_mpi_begin(cvs_comm *out) {
    int provided = 0, size = 1, rank = 0, local = 1;
    MPI_Comm here;
    mpi *m = calloc(1, sizeof *m);
    if (!m || MPI_Init_thread(NULL, NULL, MPI_THREAD_FUNNELED, &provided) != MPI_SUCCESS) {
        free(m);
        return false;
    }
    MPI_Comm_size(MPI_COMM_WORLD, &size);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    if (MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, rank, MPI_INFO_NULL, &here) ==
        MPI_SUCCESS) {
        MPI_Comm_size(here, &local);
        MPI_Comm_free(&here);
    }
    m->size = size;
    m->from = calloc((size_t)size, sizeof *m->from);
    m->to = calloc((size_t)size, sizeof *m->to);
    *out = (cvs_comm){.rank = rank,
                      .size = size,
                      .local = local,
                      .all_to_all = all_to_all,
                      .all_gather = all_gather,
                      .sum = sum,
                      .broadcast = broadcast,
                      .context = m};
    return m->from && m->to;
}

void cvs_mpi_end(cvs_comm *comm, int code) {
    mpi *m = comm->context;
    if (code != 0) {
        MPI_Abort(MPI_COMM_WORLD, code);
    }
    MPI_Finalize();
    free(m->from);
    free(m->to);
    free(m);
}

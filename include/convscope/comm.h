/* SPDX-License-Identifier: MIT
 * comm.h - processes that train together: who they are and how they exchange numbers. cvs_comm_mpi gives MPI's; a program may bring its own
 * (the tests use threads). Training uses it from one thread of each process, and all of them make the same calls in the same order.
 */
#ifndef CONVSCOPE_COMM_H
#define CONVSCOPE_COMM_H

#include "base.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Every function returns false when another process is gone; nothing can be exchanged after that. */
typedef struct cvs_comm {
    int rank, size; /* rank 0 writes what a run leaves behind */
    int local;      /* of them on this machine, this one included */
    /* send holds what goes to rank 0, then to rank 1, ..., send_counts[size] numbers each; what they send to this one arrives in the same
     * order in `receive`, receive_counts[size] numbers each. */
    bool (*all_to_all)(void *context, const float *send, const int *send_counts, float *receive,
                       const int *receive_counts);
    /* data holds the parts of rank 0, rank 1, ..., counts[size] numbers each; each process has filled its own and gets the others'. */
    bool (*all_gather)(void *context, float *data, const int *counts);
    /* v[n] becomes the sum over all processes. Only ever one of them has a number at a place, the others 0: the order does not show. */
    bool (*sum)(void *context, double *v, int n);
    /* data of rank `from` goes to all. */
    bool (*broadcast)(void *context, int from, void *data, int64_t bytes);
    void *context;
} cvs_comm;

/* How many processes an MPI launcher (mpirun, mpiexec, srun) says it has started, and which of them this one is; false: none did. */
bool cvs_comm_launched(int *size, int *rank);
/* Joins them: loads the part that knows MPI, which is a file of its own beside the program and there only when it was built with MPI.
 * CVS_E_UNSUPPORTED where it is not. Once in a process. End with cvs_comm_mpi_end. */
cvs_status cvs_comm_mpi(cvs_comm *out, cvs_error *err);
/* Leaves. code 0: waits for the others, who leave too. Else they may be waiting for this one: all are ended with that exit code. */
void cvs_comm_mpi_end(cvs_comm *comm, int code);

#ifdef __cplusplus
}
#endif
#endif

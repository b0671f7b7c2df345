/* SPDX-License-Identifier: MIT
 * confine.h - what the calling process gives up before it looks at a file that nobody vouches for: other folders (Landlock), the
 * network, other programs and other processes (seccomp), memory and processor time without bound (setrlimit).
 */
#ifndef CVS_CONFINE_H
#define CVS_CONFINE_H

#include "convscope/base.h"

typedef struct cvs_confinement {
    const char *const *
        read; /* [n_read] files and folders that stay readable, with all beneath; what is not there is left out */
    int n_read;
    const char *const *write; /* [n_write] folders in which files may be made, changed and removed */
    int n_write;
    int64_t memory_bytes; /* of address space; 0: as it is */
    int64_t seconds;      /* of processor time, all threads together; 0: as it is */
    bool serves;          /* may listen and answer on sockets, never call out */
} cvs_confinement;

typedef struct cvs_confined {
    bool folders; /* the kernel has Landlock and keeps the process to its folders */
    bool calls;   /* the kernel has seccomp: no socket, no program, no other process */
} cvs_confined;

/* For good, for this process and its later threads; call it before there are other threads. A kernel without Landlock or seccomp
 * is no error: *out says what holds. CVS_E_IO: the kernel has them and refused. */
cvs_status cvs_confine(const cvs_confinement *rules, cvs_confined *out, cvs_error *err);

#endif

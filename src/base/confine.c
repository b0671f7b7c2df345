/* SPDX-License-Identifier: MIT
 * confine.c - see convscope/confine.h. Three walls, each of the kernel's own: resource limits; Landlock, which opens only the folders that
 * were named (links out of them lead nowhere); a seccomp filter that fails calls which reading a model never needs. The filter is
 * a list of what is refused, not of what is allowed: drawing libraries and the C library may call what they like otherwise.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined(__has_include)
#if __has_include(<linux/landlock.h>)
#include <linux/landlock.h>
#endif
#if __has_include(<linux/seccomp.h>)
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#endif
#endif

#include "base/base.h"
#include "convscope/confine.h"

static cvs_status refused(const char *what, cvs_error *err) {
    char reason[128];
    return cvi_fail(err, CVS_E_IO, "this process cannot be confined (%s): %s", what,
                    strerror_r(errno, reason, sizeof reason));
}

/* ---- limits ---- */

/* The soft limit is told by a signal, the hard one, `more` above it, ends the process. */
static bool limit(__rlimit_resource_t what, rlim_t most, rlim_t more) {
    struct rlimit l;
    if (getrlimit(what, &l) != 0) {
        return false;
    }
    l.rlim_cur = CVI_MIN(l.rlim_max, most);
    l.rlim_max = CVI_MIN(l.rlim_max, most + more);
    return setrlimit(what, &l) == 0;
}

/* ---- folders ---- */

#ifdef LANDLOCK_CREATE_RULESET_VERSION
enum {
    READ = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR,
    WRITE = LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR | LANDLOCK_ACCESS_FS_REMOVE_FILE |
            LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_MAKE_REG,
    OTHER = LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_MAKE_CHAR | LANDLOCK_ACCESS_FS_MAKE_SOCK |
            LANDLOCK_ACCESS_FS_MAKE_FIFO | LANDLOCK_ACCESS_FS_MAKE_BLOCK | LANDLOCK_ACCESS_FS_MAKE_SYM,
    OF_FILES = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE
};

static bool allow(int ruleset, const char *path, unsigned access) {
    struct stat st;
    int fd = open(path, O_PATH | O_CLOEXEC);
    if (fd < 0) {
        return true; /* nothing there, nothing to allow */
    }
    bool ok = fstat(fd, &st) == 0;
    if (ok && (S_ISFIFO(st.st_mode) || S_ISSOCK(st.st_mode))) { /* has no place in a folder; stays usable */
        close(fd);
        return true;
    }
    struct landlock_path_beneath_attr rule = {
        .allowed_access = S_ISDIR(st.st_mode) ? access : access & OF_FILES,
        .parent_fd = fd,
    };
    ok = ok && syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) == 0;
    close(fd);
    return ok;
}

static cvs_status close_folders(const cvs_confinement *rules, bool *done, cvs_error *err) {
    struct landlock_ruleset_attr handled = {.handled_access_fs = READ | WRITE | OTHER};
    if (syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION) < 1) {
        return CVS_OK; /* not in this kernel, or switched off */
    }
    int ruleset = (int)syscall(SYS_landlock_create_ruleset, &handled, sizeof handled, 0);
    if (ruleset < 0) {
        return refused("Landlock", err);
    }
    bool ok = true;
    for (int i = 0; i < rules->n_read; i++) {
        ok = ok && allow(ruleset, rules->read[i], READ);
    }
    for (int i = 0; i < rules->n_write; i++) {
        ok = ok && allow(ruleset, rules->write[i], READ | WRITE);
    }
    ok = ok && syscall(SYS_landlock_restrict_self, ruleset, 0) == 0;
    cvs_status s = ok ? CVS_OK : refused("Landlock", err);
    close(ruleset);
    *done = ok;
    return s;
}
#else
static cvs_status close_folders(const cvs_confinement *rules, bool *done, cvs_error *err) {
    (void)rules;
    (void)done;
    (void)err;
    return CVS_OK;
}
#endif

/* ---- calls ---- */

#if defined(__x86_64__)
#define ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define ARCH AUDIT_ARCH_AARCH64
#endif

#if defined(SECCOMP_RET_ERRNO) && defined(ARCH)
static const int answers[] = {SYS_socket,  SYS_socketpair, SYS_bind,    SYS_listen,  SYS_accept,
                              SYS_accept4, SYS_sendto,     SYS_sendmsg, SYS_sendmmsg};
static const int forbidden[] = {
    SYS_connect,
    SYS_execve,
    SYS_execveat,
    SYS_ptrace,
    SYS_kill,
    SYS_tkill,
    SYS_rt_sigqueueinfo,
    SYS_process_vm_readv,
    SYS_process_vm_writev,
    SYS_mount,
    SYS_umount2,
    SYS_pivot_root,
    SYS_chroot,
    SYS_unshare,
    SYS_setns,
    SYS_bpf,
    SYS_perf_event_open,
    SYS_keyctl,
    SYS_add_key,
    SYS_request_key,
    SYS_init_module,
    SYS_finit_module,
    SYS_delete_module,
    SYS_kexec_load,
    SYS_reboot,
    SYS_swapon,
    SYS_name_to_handle_at,
    SYS_open_by_handle_at,
    SYS_userfaultfd,
    SYS_personality,
    SYS_symlinkat,
    SYS_linkat,
    SYS_mknodat,
    SYS_io_setup,
#ifdef SYS_io_uring_setup
    SYS_io_uring_setup,
#endif
#ifdef SYS_pidfd_open
    SYS_pidfd_open,
#endif
#ifdef SYS_fork
    SYS_fork,
    SYS_vfork,
    SYS_symlink,
    SYS_link,
    SYS_mknod,
#endif
};

/* Threads are made by clone with CLONE_THREAD; clone3 hides its flags in memory, so it is "not there" and libc takes clone. */
static cvs_status close_calls(bool serves, bool *done, cvs_error *err) {
    enum { MOST = CVI_COUNT(answers) + CVI_COUNT(forbidden), HEAD = 6, TAIL = 7 };
    struct sock_filter code[HEAD + MOST + TAIL];
    int first = serves ? CVI_COUNT(answers) : 0, count = MOST - first;
    unsigned short n = 0;
    const unsigned no = SECCOMP_RET_ERRNO | EPERM, absent = SECCOMP_RET_ERRNO | ENOSYS;
#define STEP(...)    code[n++] = (struct sock_filter)__VA_ARGS__
#define LOAD(field)  STEP(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (unsigned)offsetof(struct seccomp_data, field)))
#define RETURN(what) STEP(BPF_STMT(BPF_RET | BPF_K, what))
    LOAD(arch);
    STEP(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ARCH, 1, 0));
    RETURN(no);
    LOAD(nr);
    STEP(BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, 0x40000000u, 0, 1)); /* the x32 numbers of the same calls */
    RETURN(no);
    for (int i = 0; i < count; i++) {
        int k = first + i, call = k < CVI_COUNT(answers) ? answers[k] : forbidden[k - CVI_COUNT(answers)];
        STEP(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)call, (unsigned char)(count - i + 4), 0));
    }
    STEP(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone3, 5, 0));
    STEP(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone, 0, 2));
    LOAD(args[0]); /* the low half: both machines store it first */
    STEP(BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, CLONE_THREAD, 0, 1));
    RETURN(SECCOMP_RET_ALLOW);
    RETURN(no);
    RETURN(absent);
#undef RETURN
#undef LOAD
#undef STEP
    struct sock_fprog program = {.len = n, .filter = code};
    if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0) {
        return errno == EINVAL || errno == ENOSYS ? CVS_OK : refused("seccomp", err);
    }
    *done = true;
    return CVS_OK;
}
#else
static cvs_status close_calls(bool serves, bool *done, cvs_error *err) {
    (void)serves;
    (void)done;
    (void)err;
    return CVS_OK;
}
#endif

cvs_status cvs_confine(const cvs_confinement *rules, cvs_confined *out, cvs_error *err) {
    *out = (cvs_confined){0};
    if (!limit(RLIMIT_CORE, 0, 0) ||
        (rules->memory_bytes > 0 && !limit(RLIMIT_AS, (rlim_t)rules->memory_bytes, 0)) ||
        (rules->seconds > 0 && !limit(RLIMIT_CPU, (rlim_t)rules->seconds, 5))) {
        return refused("limits", err);
    }
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) {
        return refused("privileges", err);
    }
    CVI_TRY(close_folders(rules, &out->folders, err));
    return close_calls(rules->serves, &out->calls, err);
}

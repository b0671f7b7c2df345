/* SPDX-License-Identifier: MIT
 * file.c - reading whole files, by name and beneath a folder, and taking paths apart.
 * Large regular files are mapped privately and read-only. (Who truncates a file while it is mapped breaks the
 * program that reads it, as everywhere; files that others may change are best copied first. convscope itself says so in a sentence.)
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#if defined(__linux__)
#include <linux/openat2.h>
#include <sys/syscall.h>
#endif

#include "base/base.h"

enum { MAP_FROM = 1 << 20, FIRST_READ = 1 << 16, PIPE_SECONDS = 20 };

static cvs_status open_failed(int number, cvs_error *err) {
    switch (number) {
    case ENOENT:
    case ENOTDIR:
        return cvi_fail(err, CVS_E_IO, "there is no such file");
    case EACCES:
    case EPERM:
        return cvi_fail(err, CVS_E_IO, "no permission to read this file");
    case EISDIR:
        return cvi_fail(err, CVS_E_IO, "this is a folder, not a file");
    default: {
        char reason[128];
        return cvi_fail(err, CVS_E_IO, "cannot be opened: %s", strerror_r(number, reason, sizeof reason));
    }
    }
}

static cvs_status read_failed(int number, cvs_error *err) {
    char reason[128];
    return cvi_fail(err, CVS_E_IO, "cannot be read: %s", strerror_r(number, reason, sizeof reason));
}

/* One read(2), again after a signal; -1 with errno on failure. */
static ssize_t read_some(int fd, uint8_t *data, size_t size) {
    if (cvi_io_should_fail()) {
        errno = EIO;
        return -1;
    }
    ssize_t n;
    do {
        n = read(fd, data, CVI_MIN(size, (size_t)1 << 30));
    } while (n < 0 && errno == EINTR);
    return n;
}

/* Reads to the end whatever fd is; `expected` bytes are a hint only (files of /proc say 0, pipes nothing). */
static cvs_status read_all(int fd, size_t expected, int64_t most, cvi_file *out, cvs_error *err) {
    size_t capacity = expected > 0 ? expected + 1 : (size_t)FIRST_READ, size = 0;
    uint8_t *data = cvi_malloc(capacity);
    if (data == NULL) {
        return cvi_no_memory(err, capacity);
    }
    for (;;) {
        if (size == capacity) {
            uint8_t *larger = capacity <= SIZE_MAX / 4 ? cvi_realloc(data, size, capacity * 2) : NULL;
            if (larger == NULL) {
                cvi_free(data);
                return cvi_no_memory(err, capacity);
            }
            data = larger;
            capacity *= 2;
        }
        ssize_t n = read_some(fd, data + size, capacity - size);
        if (n < 0) {
            cvs_status s = read_failed(errno, err);
            cvi_free(data);
            return s;
        }
        if (n == 0) {
            break;
        }
        size += (size_t)n;
        if ((uint64_t)size > (uint64_t)most) {
            cvi_free(data);
            return cvi_fail(err, CVS_E_LIMIT, "the file has more than %lld bytes, the limit",
                            (long long)most);
        }
    }
    out->data = data;
    out->size = size;
    return CVS_OK;
}

static cvs_status map_all(int fd, size_t size, cvi_file *out, cvs_error *err) {
    if (cvi_io_should_fail()) {
        return read_failed(EIO, err);
    }
    void *p = mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (p == MAP_FAILED) {
        return errno == ENOMEM ? cvi_no_memory(err, size) : read_failed(errno, err);
    }
    out->data = p;
    out->size = size;
    out->mapped = true;
    return CVS_OK;
}

/* A pipe whose other end nobody opens would be waited for until somebody interrupts. It was opened without waiting; from the first byte
 * on it is read as every other one. */
static cvs_status wait_for_writer(int fd, cvs_error *err) {
    struct pollfd what = {.fd = fd, .events = POLLIN};
    int n = 0;
    do {
        n = poll(&what, 1, PIPE_SECONDS * 1000);
    } while (n < 0 && errno == EINTR);
    if (n <= 0) {
        return cvi_fail(err, CVS_E_IO, "this is a pipe, and nothing came through it for %d seconds",
                        PIPE_SECONDS);
    }
    int flags = fcntl(fd, F_GETFL);
    return flags >= 0 && fcntl(fd, F_SETFL, flags & ~O_NONBLOCK) == 0 ? CVS_OK : read_failed(errno, err);
}

/* Fills out from an open descriptor, without its path. */
static cvs_status read_open(int fd, const struct stat *st, const cvs_limits *limits, cvi_file *out,
                            cvs_error *err) {
    cvs_limits l = cvs_limits_default(limits);
    if (S_ISDIR(st->st_mode)) {
        return open_failed(EISDIR, err);
    }
    if (!S_ISREG(st->st_mode)) { /* a pipe or a device ends when it likes, and must fit into memory */
        CVI_TRY(wait_for_writer(fd, err));
        return read_all(fd, 0, CVI_MIN(l.max_file_bytes, l.max_memory_bytes), out, err);
    }
    if (st->st_size > l.max_file_bytes) {
        return cvi_fail(err, CVS_E_LIMIT, "the file has %lld bytes, the limit is %lld",
                        (long long)st->st_size, (long long)l.max_file_bytes);
    }
    if (st->st_size >= MAP_FROM) {
        return map_all(fd, (size_t)st->st_size, out, err);
    }
    return read_all(fd, (size_t)st->st_size, l.max_file_bytes, out, err);
}

/* Ends both readers: takes fd (or the errno of its opening) and path, and leaves *out filled or zeroed. */
static cvs_status finish(int fd, int number, bool guarded, const char *path, const cvs_limits *limits,
                         cvi_file *out, cvs_error *err) {
    if (fd < 0) {
        return open_failed(number, err);
    }
    struct stat st;
    cvs_status s = CVS_OK;
    if (fstat(fd, &st) != 0) {
        s = read_failed(errno, err);
    } else if (guarded && S_ISDIR(st.st_mode)) {
        s = open_failed(EISDIR, err);
    } else if (guarded && !S_ISREG(st.st_mode)) {
        s = cvi_fail(err, CVS_E_FORMAT, "a file named by another file must be a regular file");
    } else if (guarded && st.st_nlink != 1) {
        s = cvi_fail(err, CVS_E_FORMAT,
                     "a file named by another file must have one name only, but this one has %lld hard links",
                     (long long)st.st_nlink);
    }
    if (s == CVS_OK) {
        s = read_open(fd, &st, limits, out, err);
    }
    close(fd);
    if (s == CVS_OK) {
        out->path = cvi_strdup(path);
        if (out->path == NULL) {
            cvi_file_close(out);
            s = cvi_no_memory(err, strlen(path));
        }
    }
    return s;
}

cvs_status cvi_file_read(const char *path, const cvs_limits *limits, cvi_file *out, cvs_error *err) {
    *out = (cvi_file){0};
    if (path == NULL || path[0] == '\0') {
        return cvi_fail(err, CVS_E_ARGUMENT, "the path is empty");
    }
    int fd = -1, number = EIO;
    if (!cvi_io_should_fail()) {
        do {
            fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
        } while (fd < 0 && errno == EINTR);
        number = errno;
    }
    return cvi_at_file(err, finish(fd, number, false, path, limits, out, err), path);
}

/* No component may be ".." (or the path absolute): refused by name, before anything is opened. */
static bool stays_beneath(const char *relative) {
    if (relative[0] == '/' || relative[0] == '\0') {
        return false;
    }
    for (const char *p = relative; *p != '\0';) {
        size_t n = strcspn(p, "/");
        if (n == 2 && p[0] == '.' && p[1] == '.') {
            return false;
        }
        p += n;
        p += strspn(p, "/");
    }
    return true;
}

/* Where the kernel has no openat2: one component after the other, following no link. */
static int open_stepwise(int dir, const char *relative) {
    int at = dup(dir);
    const char *p = relative;
    while (at >= 0) {
        char part[256];
        size_t n = strcspn(p, "/"), slashes = strspn(p + n, "/");
        bool last = p[n + slashes] == '\0';
        if (n >= sizeof part) {
            close(at);
            errno = ENAMETOOLONG;
            return -1;
        }
        memcpy(part, p, n);
        part[n] = '\0';
        int flags = O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY | O_NONBLOCK |
                    (last && slashes == 0 ? 0 : O_DIRECTORY);
        int next = openat(at, part, flags);
        int number = errno;
        struct stat st;
        if (next < 0 && number == ENOTDIR && fstatat(at, part, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
            S_ISLNK(st.st_mode)) {
            number = ELOOP; /* as openat2 says it */
        }
        close(at);
        errno = number;
        if (last) {
            return next;
        }
        at = next;
        p += n + slashes;
    }
    return at;
}

static int open_beneath(int dir, const char *relative) {
#if defined(SYS_openat2)
    struct open_how how = {.flags = O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK,
                           .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS};
    int tries = 0;
    long fd;
    do { /* EAGAIN: somebody renamed a folder meanwhile */
        fd = syscall(SYS_openat2, dir, relative, &how, sizeof how);
    } while (fd < 0 && (errno == EINTR || errno == EAGAIN) && ++tries < 16);
    if (fd >= 0 || (errno != ENOSYS && errno != EPERM)) {
        return (int)fd;
    }
#endif
    return open_stepwise(dir, relative);
}

cvs_status cvi_file_read_beneath(const char *dir, const char *relative, const cvs_limits *limits,
                                 cvi_file *out, cvs_error *err) {
    *out = (cvi_file){0};
    char *path = cvi_path_join(dir, relative);
    if (path == NULL) {
        return cvi_no_memory(err, strlen(dir) + strlen(relative));
    }
    cvs_status s;
    if (!stays_beneath(relative)) {
        s = cvi_fail(err, CVS_E_FORMAT,
                     "a file named by another file must lie beneath its folder, but this path is absolute or "
                     "has \"..\" in it");
    } else {
        int folder = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC), fd = -1, number = EIO;
        if (folder < 0) {
            number = errno;
        } else {
            if (!cvi_io_should_fail()) {
                fd = open_beneath(folder, relative);
                number = errno;
            }
            close(folder);
        }
        if (fd < 0 && (number == ELOOP || number == EXDEV)) {
            s = cvi_fail(err, CVS_E_FORMAT,
                         "a file named by another file must not be reached through a symbolic link or lie "
                         "outside its folder");
        } else {
            s = finish(fd, number, true, path, limits, out, err);
        }
    }
    cvi_at_file(err, s, path);
    cvi_free(path);
    return s;
}

void cvi_file_close(cvi_file *f) {
    if (f == NULL) {
        return;
    }
    if (f->mapped) {
        munmap((void *)(uintptr_t)f->data, f->size);
    } else {
        cvi_free((void *)(uintptr_t)f->data);
    }
    cvi_free(f->path);
    *f = (cvi_file){0};
}

bool cvi_is_folder(const char *path) {
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

bool cvi_is_file(const char *path) {
    struct stat st;
    return stat(path, &st) == 0 && S_ISREG(st.st_mode);
}

char *cvi_path_join(const char *dir, const char *name) {
    size_t a = strlen(dir), b = strlen(name);
    char *path = cvi_malloc(a + b + 2);
    if (path != NULL) {
        bool slash = a > 0 && dir[a - 1] != '/';
        memcpy(path, dir, a);
        if (slash) {
            path[a++] = '/';
        }
        memcpy(path + a, name, b + 1);
    }
    return path;
}

const char *cvi_path_base(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash != NULL ? slash + 1 : path;
}

char *cvi_path_dir(const char *path) {
    size_t n = (size_t)(cvi_path_base(path) - path);
    if (n == 0) {
        return cvi_strdup(".");
    }
    while (n > 1 && path[n - 1] == '/') {
        n--;
    }
    char *dir = cvi_malloc(n + 1);
    if (dir != NULL) {
        memcpy(dir, path, n);
        dir[n] = '\0';
    }
    return dir;
}

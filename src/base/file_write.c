/* SPDX-License-Identifier: MIT
 * file_write.c - writing files so that a reader sees the old one or the whole new one, never a part.
 * A temporary file in the same folder is written, synced and renamed; a failure removes it. What is there and is no
 * regular file (/dev/null, a pipe, a terminal) is written directly. Links are followed to their target.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/base.h"

static cvs_status write_failed(int number, cvs_error *err) {
    char reason[128];
    switch (number) {
    case EACCES:
    case EPERM:
    case EROFS:
        return cvi_fail(err, CVS_E_IO, "no permission to write here");
    case ENOSPC:
    case EDQUOT:
        return cvi_fail(err, CVS_E_IO, "no space is left on the device");
    default:
        return cvi_fail(err, CVS_E_IO, "cannot be written: %s", strerror_r(number, reason, sizeof reason));
    }
}

/* Tests what can be known before writing; *direct says that path is there and is no regular file. */
static cvs_status check_target(const char *path, struct stat *st, bool *exists, bool *direct,
                               cvs_error *err) {
    *exists = *direct = false;
    if (path == NULL || path[0] == '\0') {
        return cvi_fail(err, CVS_E_ARGUMENT, "the path is empty");
    }
    if (stat(path, st) == 0) {
        *exists = true;
        *direct = !S_ISREG(st->st_mode);
        if (S_ISDIR(st->st_mode)) {
            return cvi_fail(err, CVS_E_IO, "this is a folder, a file name is needed");
        }
        if (access(path, W_OK) != 0) {
            return *direct ? write_failed(errno, err)
                           : cvi_fail(err, CVS_E_IO, "this file is write-protected");
        }
        if (*direct) {
            return CVS_OK;
        }
    } else if (path[strlen(path) - 1] == '/') {
        return cvi_fail(err, CVS_E_IO, "this is a folder, a file name is needed");
    }
    char *dir = cvi_path_dir(path);
    if (dir == NULL) {
        return cvi_no_memory(err, strlen(path));
    }
    struct stat folder;
    cvs_status s = CVS_OK;
    if (stat(dir, &folder) != 0) {
        s = errno == EACCES ? write_failed(errno, err)
                            : cvi_fail(err, CVS_E_IO, "the folder %s does not exist", dir);
    } else if (!S_ISDIR(folder.st_mode)) {
        s = cvi_fail(err, CVS_E_IO, "%s is not a folder", dir);
    } else if (access(dir, W_OK | X_OK) != 0) {
        s = write_failed(errno, err);
    }
    cvi_free(dir);
    return s;
}

cvs_status cvi_check_output(const char *path, cvs_error *err) {
    struct stat st;
    bool exists, direct;
    return cvi_at_file(err, check_target(path, &st, &exists, &direct, err), path);
}

/* The file that a chain of links ends at, so that a link stays a link; else the path itself. Owned. */
static char *final_path(const char *path, bool exists) {
    struct stat st;
    if (exists && lstat(path, &st) == 0 && S_ISLNK(st.st_mode)) {
        char *real = realpath(path, NULL);
        if (real != NULL) {
            char *copy = cvi_strdup(real);
            free(real);
            return copy;
        }
    }
    return cvi_strdup(path);
}

/* Makes a new file beside w->path with a name of its own; returns its descriptor or -1 with errno. */
static int make_temporary(cvi_writer *w, bool exists, const struct stat *st) {
    char *dir = cvi_path_dir(w->path);
    size_t room = dir != NULL ? strlen(dir) + 64 : 0;
    w->temporary = dir != NULL ? cvi_malloc(room) : NULL;
    int fd = -1, number = ENOMEM;
    for (int i = 0; w->temporary != NULL && fd < 0 && i < 10000; i++) {
        snprintf(w->temporary, room, "%s/.convscope-%ld-%d.tmp", dir, (long)getpid(), i);
        fd = open(w->temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0666);
        number = errno;
        if (fd < 0 && number != EEXIST && number != EINTR) {
            break;
        }
    }
    if (fd >= 0 && exists && fchmod(fd, st->st_mode & 0777) != 0) {
        number = errno; /* the new file then has the usual rights; its content is what counts */
    }
    if (fd < 0) {
        cvi_free(w->temporary);
        w->temporary = NULL;
    }
    cvi_free(dir);
    errno = number;
    return fd;
}

cvs_status cvi_writer_begin(cvi_writer *w, const char *path, cvs_error *err) {
    *w = (cvi_writer){0};
    struct stat st;
    bool exists, direct;
    cvs_status s = check_target(path, &st, &exists, &direct, err);
    if (s != CVS_OK) {
        return cvi_at_file(err, s, path);
    }
    w->path = direct ? cvi_strdup(path) : final_path(path, exists);
    if (w->path == NULL) {
        return cvi_at_file(err, cvi_no_memory(err, strlen(path)), path);
    }
    int fd = -1;
    if (cvi_io_should_fail()) {
        errno = EIO;
    } else if (direct) {
        fd = open(path, O_WRONLY | O_CLOEXEC | O_NOCTTY);
    } else {
        fd = make_temporary(w, exists, &st);
    }
    if (fd >= 0) {
        w->stream = fdopen(fd, "wb");
    }
    if (w->stream == NULL) {
        s = errno == ENOMEM ? cvi_no_memory(err, BUFSIZ) : write_failed(errno, err);
        if (fd >= 0) {
            close(fd);
        }
        cvi_writer_abort(w);
    }
    return cvi_at_file(err, s, path);
}

cvs_status cvi_writer_add(cvi_writer *w, const void *data, size_t size, cvs_error *err) {
    if (w->stream == NULL) {
        return cvi_fail(err, CVS_E_INTERNAL, "cannot be written: %s", "?");
    }
    errno = 0;
    bool failed = cvi_io_should_fail();
    if (failed || (size > 0 && fwrite(data, 1, size, w->stream) != size)) {
        return cvi_at_file(err, write_failed(failed || errno == 0 ? EIO : errno, err), w->path);
    }
    return CVS_OK;
}

/* After the rename the folder's entry itself is synced; where a file system cannot do that, nothing is lost by it. */
static void sync_folder(const char *path) {
    char *dir = cvi_path_dir(path);
    int fd = dir != NULL ? open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    if (fd >= 0) {
        (void)fsync(fd);
        close(fd);
    }
    cvi_free(dir);
}

cvs_status cvi_writer_commit(cvi_writer *w, cvs_error *err) {
    if (w->stream == NULL) {
        return cvi_fail(err, CVS_E_INTERNAL, "cannot be written: %s", "?");
    }
    int number = 0;
    if (cvi_io_should_fail()) {
        number = EIO;
    } else if (fflush(w->stream) != 0 || ferror(w->stream) ||
               (w->temporary != NULL && !w->unsynced && fsync(fileno(w->stream)) != 0)) {
        number = errno != 0 ? errno : EIO;
    }
    if (fclose(w->stream) != 0 && number == 0) {
        number = errno;
    }
    w->stream = NULL;
    if (number == 0 && w->temporary != NULL && rename(w->temporary, w->path) != 0) {
        number = errno;
    }
    if (number != 0) {
        cvs_status s = cvi_at_file(err, write_failed(number, err), w->path);
        cvi_writer_abort(w);
        return s;
    }
    if (w->temporary != NULL) {
        if (!w->unsynced) {
            sync_folder(w->path);
        }
        cvi_free(w->temporary);
        w->temporary = NULL;
    }
    cvi_writer_abort(w);
    return CVS_OK;
}

void cvi_writer_abort(cvi_writer *w) {
    if (w->stream != NULL) {
        fclose(w->stream);
    }
    if (w->temporary != NULL) {
        unlink(w->temporary);
    }
    cvi_free(w->temporary);
    cvi_free(w->path);
    *w = (cvi_writer){0};
}

cvs_status cvi_file_write(const char *path, const void *data, size_t size, cvs_error *err) {
    cvi_writer w;
    CVI_TRY(cvi_writer_begin(&w, path, err));
    cvs_status s = cvi_writer_add(&w, data, size, err);
    if (s != CVS_OK) {
        cvi_writer_abort(&w);
        return s;
    }
    return cvi_writer_commit(&w, err);
}

cvs_status cvi_make_folder(const char *path, cvs_error *err) {
    if (path == NULL || path[0] == '\0') {
        return cvi_fail(err, CVS_E_ARGUMENT, "the path is empty");
    }
    char *copy = cvi_strdup(path);
    if (copy == NULL) {
        return cvi_no_memory(err, strlen(path));
    }
    int number = 0;
    for (char *p = copy + 1; number == 0; p++) {
        if (*p != '/' && *p != '\0') {
            continue;
        }
        char kept = *p;
        *p = '\0';
        if (mkdir(copy, 0777) != 0 && !cvi_is_folder(copy)) {
            number = errno == 0 ? EIO : errno;
        }
        *p = kept;
        if (kept == '\0') {
            break;
        }
    }
    cvi_free(copy);
    if (number == 0) {
        return CVS_OK;
    }
    cvs_status s;
    char reason[128];
    if (number == EEXIST || number == ENOTDIR) {
        s = cvi_fail(err, CVS_E_IO, "a file of this name is in the way of the folder");
    } else if (number == EACCES || number == EPERM || number == EROFS) {
        s = write_failed(number, err);
    } else {
        s = cvi_fail(err, CVS_E_IO, "the folder cannot be made: %s",
                     strerror_r(number, reason, sizeof reason));
    }
    return cvi_at_file(err, s, path);
}

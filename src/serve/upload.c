/* SPDX-License-Identifier: MIT
 * upload.c - see upload.h. The process is a copy of this one that keeps one pipe, opens no file, starts nothing and reaches no network
 * (cvs_confine), with bounds on its memory and time. It writes a head and, for a picture, the pixels; what it writes is believed only as
 * far as sizes go. Where no process can be started (the server itself is confined then), the file is read here.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "upload.h"

#include "convscope/confine.h"

enum { MOST_SECONDS = 120 };
static const int64_t least_memory = (int64_t)1 << 30;

typedef struct head {
    int32_t status;
    int64_t height, width;
    cvs_error err;
} head;

typedef struct asked {
    const void *data;
    size_t size;
    const char *name;
    const cvs_limits *limits;
    const cvs_open_options *open; /* NULL: a picture */
    cvs_lang lang;
} asked;

/* ---- in the copy ------------------------------------------------------------------------------------------------- */

static bool write_all(int fd, const void *data, size_t size) {
    for (const char *at = data; size > 0;) {
        ssize_t n = write(fd, at, size);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            return false;
        }
        at += n;
        size -= (size_t)n;
    }
    return true;
}

/* Address space in use: what is mapped already (models, a sanitizer's shadow) does not count against the file. */
static int64_t mapped_bytes(void) {
    long long pages = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    if (f) {
        if (fscanf(f, "%lld", &pages) != 1) {
            pages = 0;
        }
        fclose(f);
    }
    return (int64_t)pages * sysconf(_SC_PAGESIZE);
}

static void keep_only(int fd) {
    dup2(fd, 3);
#if defined(SYS_close_range)
    if (syscall(SYS_close_range, 4u, ~0u, 0u) == 0) {
        return;
    }
#endif
    for (int i = 4; i < 4096; i++) {
        close(i);
    }
}

static cvs_status read_model(const asked *a, cvs_error *err) {
    cvs_model *model = NULL;
    cvs_status s = cvs_model_open_memory(a->data, a->size, a->name, a->open, &model, err);
    cvs_model_free(model);
    return s;
}

_Noreturn static void look(const asked *a, int fd) {
    head h = {.err = {.lang = a->lang}};
    cvs_tensor pixels = {0};
    cvs_confined holds;
    int64_t room = a->limits->max_memory_bytes > 0 ? a->limits->max_memory_bytes : (int64_t)8 << 30;
    cvs_confinement rules = {.memory_bytes = mapped_bytes() + 2 * room + least_memory,
                             .seconds = MOST_SECONDS};
    signal(SIGINT, SIG_IGN);
    signal(SIGTERM, SIG_DFL);
    signal(SIGPIPE, SIG_DFL);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    keep_only(fd);
    h.status = cvs_confine(&rules, &holds, &h.err);
    if (h.status == CVS_OK) {
        h.status = a->open ? read_model(a, &h.err)
                           : cvs_image_decode(a->data, a->size, a->name, a->limits, &pixels, &h.err);
    }
    if (h.status == CVS_OK && pixels.data) {
        h.height = pixels.dim[0];
        h.width = pixels.dim[1];
    }
    bool good = write_all(3, &h, sizeof h) && (!pixels.data || write_all(3, pixels.data, pixels.bytes));
    _exit(good ? 0 : 1);
}

/* ---- in the server ------------------------------------------------------------------------------------------------ */

static int64_t now_ms(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Whole, before the deadline; false else. */
static bool read_all(int fd, void *data, size_t size, int64_t deadline) {
    for (char *at = data; size > 0;) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        int64_t left = deadline - now_ms();
        int ready = left > 0 ? poll(&p, 1, (int)left) : 0;
        if (ready < 0 && errno == EINTR) {
            continue;
        }
        ssize_t n = ready > 0 ? read(fd, at, size) : 0;
        if (n <= 0) {
            return false;
        }
        at += n;
        size -= (size_t)n;
    }
    return true;
}

static cvs_status refuse(cvs_error *err, cvs_status code, const char *name, const char *en, const char *zh) {
    err->code = code;
    snprintf(err->message, sizeof err->message, "%.100s: %s", name, err->lang == CVS_ZH ? zh : en);
    return code;
}

/* The pixels that a head promises, within the limits. */
static cvs_status take_pixels(const asked *a, const head *h, int fd, int64_t deadline, cvs_tensor *pixels,
                              cvs_error *err) {
    int64_t dim[3] = {h->height, h->width, 3};
    if (h->height < 1 || h->width < 1 || h->height > INT32_MAX || h->width > INT32_MAX / h->height) {
        return refuse(err, CVS_E_FORMAT, a->name, "this is no picture", "这不是图片");
    }
    cvs_status s = cvs_tensor_new(pixels, CVS_U8, 3, dim, err);
    if (s == CVS_OK && !read_all(fd, pixels->data, pixels->bytes, deadline)) {
        cvs_tensor_free(pixels);
        s = refuse(err, CVS_E_FORMAT, a->name, "the picture's reader stopped half-way", "图片读取中途中断");
    }
    return s;
}

/* Its texts end, whatever it wrote; a status that there is not is a fault of the file. */
static cvs_status take_error(const head *h, cvs_error *err) {
    cvs_lang lang = err->lang;
    *err = h->err;
    err->lang = lang;
    err->code = h->status > CVS_OK && h->status <= CVS_E_INTERNAL ? (cvs_status)h->status : CVS_E_FORMAT;
    err->message[sizeof err->message - 1] = err->file[sizeof err->file - 1] = 0;
    err->node[sizeof err->node - 1] = err->attribute[sizeof err->attribute - 1] = 0;
    return err->code;
}

/* What the copy said; `told`: it said something. */
static cvs_status hear(const asked *a, int fd, int64_t deadline, cvs_tensor *pixels, bool *told,
                       cvs_error *err) {
    head h;
    *told = read_all(fd, &h, sizeof h, deadline);
    if (!*told) {
        return CVS_E_FORMAT;
    }
    if (h.status != CVS_OK) {
        return take_error(&h, err);
    }
    return a->open ? CVS_OK : take_pixels(a, &h, fd, deadline, pixels, err);
}

/* *started: a process looked; else the caller reads the file itself. */
static cvs_status look_apart(const asked *a, cvs_tensor *pixels, bool *started, cvs_error *err) {
    int ends[2];
    *started = pipe2(ends, O_CLOEXEC) == 0;
    if (!*started) {
        return CVS_OK;
    }
    pid_t child = fork();
    if (child == 0) {
        look(a, ends[1]);
    }
    close(ends[1]);
    *started = child > 0;
    bool told = true;
    int64_t deadline = now_ms() + (int64_t)MOST_SECONDS * 1000;
    cvs_status s = child > 0 ? hear(a, ends[0], deadline, pixels, &told, err) : CVS_OK;
    close(ends[0]);
    if (child > 0) {
        kill(child, SIGKILL); /* done, or over its time */
        int status = 0;
        while (waitpid(child, &status, 0) < 0 && errno == EINTR) {}
        if (!told && now_ms() >= deadline) {
            return refuse(err, CVS_E_LIMIT, a->name, "reading this file takes too long; it was not opened",
                          "读取该文件耗时过长，未打开");
        }
        if (!told) {
            return refuse(
                err, CVS_E_FORMAT, a->name,
                "this file crashed its reader, which ran apart; it was not opened. Please report it",
                "该文件使隔离运行的读取进程崩溃，未打开。请报告此问题");
        }
    }
    return s;
}

cvs_status upload_picture(const void *data, size_t size, const char *name, const cvs_limits *limits,
                          cvs_tensor *pixels, cvs_error *err) {
    asked a = {.data = data, .size = size, .name = name, .limits = limits, .lang = err->lang};
    bool apart;
    cvs_status s = look_apart(&a, pixels, &apart, err);
    return apart ? s : cvs_image_decode(data, size, name, limits, pixels, err);
}

cvs_status upload_check_model(const void *data, size_t size, const char *name, const cvs_open_options *open,
                              cvs_error *err) {
    asked a = {
        .data = data, .size = size, .name = name, .limits = &open->limits, .open = open, .lang = err->lang};
    bool apart;
    return look_apart(&a, NULL, &apart, err);
}

/* SPDX-License-Identifier: MIT
 * test_confine.c - a confined process: what it named works, everything else is refused by the kernel, threads still start.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "convscope/confine.h"
#include "test_helpers.h"

enum { NO_WALLS = 100, CANNOT_CONFINE = 101 };

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif

static char folder[256], in[300], out[300], inside[320], outside[320], way[320], made[320], made_outside[320];

static void *answer(void *number) {
    *(int *)number = 42;
    return NULL;
}

static int opens(const char *path, int how) {
    int fd = open(path, how, 0600);
    if (fd >= 0) {
        close(fd);
        return 0;
    }
    return errno;
}

/* In the child: the number of the first thing that is not as it should be, 0 when all are. */
static int try_all(void) {
    const char *const read[] = {in, "/nothing/here"};
    const char *const write[] = {out};
    cvs_confinement rules = {.read = read, .n_read = 2, .write = write, .n_write = 1, .seconds = 60};
#ifndef SANITIZED
    rules.memory_bytes = (int64_t)2 << 30;
#endif
    cvs_confined holds;
    cvs_error err = {0};
    if (cvs_confine(&rules, &holds, &err) != CVS_OK) {
        return CANNOT_CONFINE;
    }
    if (!holds.folders || !holds.calls) {
        return NO_WALLS;
    }
    pthread_t thread;
    int number = 0, status;
    pid_t child;
    if (opens(inside, O_RDONLY) != 0) {
        return 1;
    }
    if (opens(outside, O_RDONLY) != EACCES || opens(way, O_RDONLY) != EACCES ||
        opens("/etc/passwd", O_RDONLY) != EACCES) {
        return 2;
    }
    if (opens(made, O_WRONLY | O_CREAT) != 0) {
        return 3;
    }
    if (opens(made_outside, O_WRONLY | O_CREAT) != EACCES || opens(inside, O_WRONLY) != EACCES) {
        return 4;
    }
    if (socket(AF_INET, SOCK_STREAM, 0) >= 0 || errno != EPERM) {
        return 5;
    }
    if ((child = fork()) >= 0 || errno != EPERM) {
        if (child == 0) {
            _exit(0);
        }
        waitpid(child, &status, 0);
        return 6;
    }
    if (execl("/bin/true", "true", (char *)NULL) != -1 || (errno != EPERM && errno != EACCES)) {
        return 7;
    }
    if (pthread_create(&thread, NULL, answer, &number) != 0 || pthread_join(thread, NULL) != 0 ||
        number != 42) {
        return 8;
    }
    if (kill(getppid(), 0) == 0 || errno != EPERM) {
        return 9;
    }
#ifndef SANITIZED
    if (mmap(NULL, (size_t)4 << 30, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1,
             0) != MAP_FAILED) {
        return 10;
    }
#endif
    return 0;
}

static void write_text(const char *path) {
    int fd = open(path, O_WRONLY | O_CREAT, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "x", 1), 1);
    close(fd);
}

static void only_what_was_named(void **state) {
    (void)state;
    test_folder(folder);
    snprintf(in, sizeof in, "%s/in", folder);
    snprintf(out, sizeof out, "%s/out", folder);
    snprintf(inside, sizeof inside, "%s/a", in);
    snprintf(way, sizeof way, "%s/link", in);
    snprintf(outside, sizeof outside, "%s/secret", folder);
    snprintf(made, sizeof made, "%s/b", out);
    snprintf(made_outside, sizeof made_outside, "%s/c", folder);
    assert_int_equal(mkdir(in, 0700) | mkdir(out, 0700), 0);
    write_text(inside);
    write_text(outside);
    assert_int_equal(symlink(outside, way), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        _exit(try_all());
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    const char *const files[] = {inside, way, outside, made, made_outside};
    for (int i = 0; i < 5; i++) {
        unlink(files[i]);
    }
    assert_int_equal(rmdir(in) | rmdir(out) | rmdir(folder), 0);
    assert_true(WIFEXITED(status));
    if (WEXITSTATUS(status) == NO_WALLS) {
        print_message("skipped: this kernel has no Landlock or no seccomp\n");
        skip();
    }
    assert_int_equal(WEXITSTATUS(status), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(only_what_was_named)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

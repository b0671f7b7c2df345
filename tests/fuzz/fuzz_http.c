/* SPDX-License-Identifier: MIT
 * fuzz_http.c - libFuzzer target: requests as the server's router hands them on, without sockets. The first byte picks the route, the text
 * up to the first line break are its arguments, the rest is the body; the app behind it has a small model and a picture.
 */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "serve/api.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct {
    const char *path;
    bool post;
} asked[] = {
#define ROUTE(path, post, lane, most, handle) {path, post},
#include "serve/routes.def"
#undef ROUTE
};

/* Shapes of many kinds: a convolution, a pool, a branch, a dense end with class scores. */
static const char net[] = "input 3x8x8\n"
                          "conv 4 k3 relu\n"
                          "maxpool k2\n"
                          "conv 6 k3 relu\n"
                          "fc 5\n"
                          "softmax\n";

static app *server(void) {
    static app a;
    static cvs_serve_options o = {.run = {.threads = 1}};
    static bool ready;
    if (!ready) {
        cvs_error err = {0};
        cvs_model *model = NULL;
        cvs_tensor pixels = {0};
        const cvs_open_options open = {.init = true, .init_seed = 1};
        ready = true;
        if (cvs_model_open_memory(net, sizeof net - 1, "small.net", &open, &model, &err) != CVS_OK ||
            app_open(&a, &o, &err) != CVS_OK || store_model(&a, model, "small", "", &err) < 0 ||
            cvs_tensor_new(&pixels, CVS_U8, 3, (int64_t[]){8, 8, 3}, &err) != CVS_OK) {
            abort();
        }
        for (int i = 0; i < 192; i++) {
            ((uint8_t *)pixels.data)[i] = (uint8_t)(i * 37);
        }
        if (store_picture(&a, &pixels, "p.png", "", &err) < 0) {
            abort();
        }
    }
    return &a;
}

/* "a=1&b=2", as it is: escapes are the transport's. */
static void read_args(request *q, const char *text, size_t n) {
    for (size_t at = 0; at < n && q->n_args < MAX_ARGS;) {
        const char *end = memchr(text + at, '&', n - at);
        size_t length = end ? (size_t)(end - text) - at : n - at;
        snprintf(q->args[q->n_args++], MAX_ARG, "%.*s", (int)(length < MAX_ARG ? length : MAX_ARG - 1),
                 text + at);
        at += length + 1;
    }
}

/* Jobs end before the next request: a short while of their own, then by being cancelled. */
static void settle(app *a) {
    const struct timespec pause = {.tv_nsec = 200000};
    for (int turn = 0;; turn++) {
        bool busy = false;
        for (int i = 0; i < MAX_JOBS; i++) {
            busy = busy || (a->jobs[i].id && !atomic_load(&a->jobs[i].done));
            if (turn > 20) {
                atomic_store(&a->jobs[i].cancel, true);
            }
        }
        if (!busy) {
            return;
        }
        nanosleep(&pause, NULL);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    app *a = server();
    if (size < 1) {
        return 0;
    }
    size_t pick = data[0] % (sizeof asked / sizeof asked[0]);
    const route *to = route_find(asked[pick].path, asked[pick].post);
    if (strcmp(to->path, "/api/pictures") == 0 || strcmp(to->path, "/api/report") == 0) {
        return 0; /* a process for every picture; a page of many figures: fuzz_image and the tests have them */
    }
    const char *text = (const char *)data + 1;
    const char *line = memchr(text, '\n', size - 1);
    size_t first = line ? (size_t)(line - text) : size - 1, rest = line ? size - 1 - first - 1 : 0;
    request *q = calloc(1, sizeof *q);
    reply r = {0};
    if (!q) {
        return 0;
    }
    q->post = to->post;
    snprintf(q->path, sizeof q->path, "%s", to->path);
    snprintf(q->content, sizeof q->content, "application/json");
    read_args(q, text, first);
    if (to->post && rest > 0) {
        q->size = rest < to->most ? rest : to->most;
        q->body = malloc(q->size);
        if (q->body) {
            memcpy(q->body, line + 1, q->size);
        }
    }
    if (!to->post || q->body) {
        to->handle(a, q, &r);
        settle(a);
        if (!r.data && !r.status) {
            abort(); /* a request without an answer */
        }
    }
    if (!r.borrowed) {
        free(r.data);
    }
    free(q->body);
    free(q);
    return 0;
}

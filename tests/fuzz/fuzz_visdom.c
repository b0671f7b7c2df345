/* SPDX-License-Identifier: MIT
 * fuzz_visdom.c - libFuzzer target: requests as the Visdom client sends them, one behind the other, a byte 0 between; of each the first line is
 * the path and the rest the body. Nothing is saved.
 */
#include <stdlib.h>
#include <string.h>

#include "serve/visdom.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void ask(visdom *v, const uint8_t *text, size_t n) {
    const uint8_t *line = memchr(text, '\n', n);
    size_t length = line ? (size_t)(line - text) : n;
    char path[64];
    reply r = {0};
    snprintf(path, sizeof path, "%.*s", (int)(length < 60 ? length : 60), (const char *)text);
    visdom_request(v, path, line ? line + 1 : text + n, line ? n - length - 1 : 0, &r);
    if (!r.borrowed) {
        free(r.data);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    visdom *v = visdom_new(NULL);
    if (!v) {
        return 0;
    }
    for (size_t at = 0; at < size;) {
        const uint8_t *end = memchr(data + at, 0, size - at);
        size_t n = end ? (size_t)(end - data) - at : size - at;
        ask(v, data + at, n);
        at += n + 1;
    }
    visdom_free(v);
    return 0;
}

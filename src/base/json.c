/* SPDX-License-Identifier: MIT
 * json.c - JSON texts by jansson: duplicate keys rejected, nesting bounded before parsing (jansson recurses),
 * its memory through our hooks, whose refusal ends a parse, and errors with line and column.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdlib.h>

#include "base/base.h"

enum { MAX_DEPTH = 64 };

static pthread_once_t allocator_once = PTHREAD_ONCE_INIT;

/* What this thread's parser has been given. jansson 2.14 goes on where a long text finds no memory, with letters missing, and reads past its
 * end: so the first request that fails ends the parse from here, and its pieces are freed. */
static _Thread_local struct {
    bool runs;
    jmp_buf out_of_memory;
    void **piece; /* [n], NULL where it was given back */
    size_t n, capacity;
} parser;

static bool remember(void *piece) {
    if (parser.n == parser.capacity) {
        size_t wanted = parser.capacity ? parser.capacity * 2 : 64;
        void *more = realloc(parser.piece, wanted * sizeof *parser.piece);
        if (more == NULL) {
            return false;
        }
        parser.piece = more;
        parser.capacity = wanted;
    }
    parser.piece[parser.n++] = piece;
    return true;
}

/* jansson makes many small pieces: no alignment for them, but the same hook and the same free(). */
static void *small_malloc(size_t bytes) {
    void *p = cvi_alloc_should_fail(bytes) ? NULL : malloc(bytes);
    if (parser.runs && (p == NULL || !remember(p))) {
        free(p);
        longjmp(parser.out_of_memory, 1);
    }
    return p;
}

/* Mostly what was asked for last. */
static void small_free(void *p) {
    for (size_t i = parser.runs && p ? parser.n : 0; i-- > 0;) {
        if (parser.piece[i] == p) {
            parser.piece[i] = NULL;
            break;
        }
    }
    while (parser.runs && parser.n > 0 && parser.piece[parser.n - 1] == NULL) {
        parser.n--;
    }
    free(p);
}

static void set_allocator(void) {
    json_set_alloc_funcs(small_malloc, small_free);
}

static cvs_status check_depth(const char *text, size_t size, cvs_error *err) {
    int depth = 0, line = 1;
    size_t line_start = 0;
    bool in_string = false;
    for (size_t i = 0; i < size; i++) {
        char c = text[i];
        if (c == '\n') {
            line++;
            line_start = i + 1;
        } else if (in_string) {
            if (c == '\\') {
                i++;
            } else if (c == '"') {
                in_string = false;
            }
        } else if (c == '"') {
            in_string = true;
        } else if (c == '{' || c == '[') {
            if (++depth > MAX_DEPTH) {
                cvs_status s = cvi_fail(err, CVS_E_LIMIT, "the JSON text is nested deeper than %d levels",
                                        (int)MAX_DEPTH);
                return cvi_at_line(err, s, line, (int)CVI_MIN(i - line_start + 1, (size_t)INT32_MAX));
            }
        } else if (c == '}' || c == ']') {
            depth--;
        }
    }
    return CVS_OK;
}

/* NULL and *no_memory, or NULL and why in *e. */
static json_t *load(const char *text, size_t size, json_error_t *e, bool *no_memory) {
    json_t *volatile value = NULL;
    *no_memory = false;
    parser.runs = true;
    if (setjmp(parser.out_of_memory) == 0) {
        value = json_loadb(text, size, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, e);
    } else {
        *no_memory = true;
    }
    parser.runs = false;
    for (size_t i = 0; *no_memory && i < parser.n; i++) {
        free(parser.piece[i]);
    }
    free(parser.piece);
    parser.piece = NULL;
    parser.n = parser.capacity = 0;
    return value;
}

cvs_status cvi_json_parse(const char *text, size_t size, json_t **out, cvs_error *err) {
    *out = NULL;
    pthread_once(&allocator_once, set_allocator);
    if (size >= 3 && memcmp(text, "\xEF\xBB\xBF", 3) == 0) {
        text += 3;
        size -= 3;
    }
    if (size == 0) {
        return cvi_fail(err, CVS_E_FORMAT, "the JSON text is empty");
    }
    CVI_TRY(check_depth(text, size, err));
    json_error_t e;
    bool no_memory = false;
    json_t *value = load(text, size, &e, &no_memory);
    if (value == NULL) {
        if (no_memory) {
            return cvi_no_memory(err, size);
        }
        cvs_status s = cvi_fail(err, CVS_E_FORMAT, "not valid JSON: %s", e.text);
        return cvi_at_line(err, s, CVI_MAX(e.line, 1), CVI_MAX(e.column, 1));
    }
    *out = value;
    return CVS_OK;
}

const char *cvi_json_string(const json_t *object, const char *key, const char *otherwise) {
    const json_t *v = json_object_get(object, key);
    return json_is_string(v) ? json_string_value(v) : otherwise;
}

int64_t cvi_json_int(const json_t *object, const char *key, int64_t otherwise) {
    const json_t *v = json_object_get(object, key);
    return json_is_integer(v) ? (int64_t)json_integer_value(v) : otherwise;
}

double cvi_json_number(const json_t *object, const char *key, double otherwise) {
    const json_t *v = json_object_get(object, key);
    return json_is_number(v) ? json_number_value(v) : otherwise;
}

bool cvi_json_bool(const json_t *object, const char *key, bool otherwise) {
    const json_t *v = json_object_get(object, key);
    return json_is_boolean(v) ? json_is_true(v) : otherwise;
}

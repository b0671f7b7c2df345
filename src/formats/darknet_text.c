/* SPDX-License-Identifier: MIT
 * darknet_text.c - Darknet's cfg text: sections in brackets, key=value lines with any blanks, # and ; comments. A key may repeat: the
 * first one counts, as in Darknet.
 */
#include "formats/darknet.h"

#include <ctype.h>
#include <stdlib.h>
#include <math.h>

enum { MAX_SECTIONS = 100000 };

static void *grow(cvi_arena *a, const void *old, int n, int *capacity, size_t size) {
    if (n < *capacity) {
        return (void *)(uintptr_t)old;
    }
    int more = *capacity ? 2 * *capacity : 8;
    char *p = cvi_arena_alloc(a, more, size);
    if (p && n) {
        memcpy(p, old, (size_t)n * size);
    }
    *capacity = p ? more : *capacity;
    return p;
}

/* A copy of text without blanks (Darknet removes them all). */
static const char *stripped(cvi_arena *a, const char *s, size_t n) {
    char *out = cvi_arena_alloc(a, (int64_t)n + 1, 1);
    size_t k = 0;
    for (size_t i = 0; out && i < n; i++) {
        if (!isspace((unsigned char)s[i])) {
            out[k++] = s[i];
        }
    }
    return out;
}

static cvs_status add_section(cvi_arena *a, darknet_cfg *cfg, const char *s, size_t n, int line,
                              cvs_error *err) {
    const char *close = memchr(s, ']', n);
    if (!close || cfg->n >= MAX_SECTIONS) {
        return cvi_at_line(err, cvi_fail(err, CVS_E_FORMAT, "a section's name is not closed by a bracket"),
                           line, 1);
    }
    darknet_section *more = grow(a, cfg->section, cfg->n, &cfg->capacity, sizeof *more);
    if (!more) {
        return cvi_no_memory(err, sizeof *more);
    }
    cfg->section = more;
    more[cfg->n] = (darknet_section){.kind = stripped(a, s + 1, (size_t)(close - s - 1)), .line = line};
    return more[cfg->n++].kind ? CVS_OK : cvi_no_memory(err, n);
}

static cvs_status add_option(cvi_arena *a, darknet_section *section, const char *s, size_t n, int line,
                             cvs_error *err) {
    const char *equal = memchr(s, '=', n);
    if (!equal) {
        return cvi_at_line(err,
                           cvi_fail(err, CVS_E_FORMAT, "key=value expected, not \"%.60s\"",
                                    cvi_arena_strn(a, s, CVI_MIN(n, 60))),
                           line, 1);
    }
    darknet_option *more = grow(a, section->option, section->n, &section->capacity, sizeof *more);
    if (!more) {
        return cvi_no_memory(err, sizeof *more);
    }
    section->option = more;
    darknet_option *o = &more[section->n++];
    *o = (darknet_option){.key = stripped(a, s, (size_t)(equal - s)),
                          .value = stripped(a, equal + 1, n - (size_t)(equal + 1 - s)),
                          .line = line};
    return o->key && o->value ? CVS_OK : cvi_no_memory(err, n);
}

cvs_status cvi_darknet_parse(cvi_arena *a, const char *text, size_t size, darknet_cfg *out, cvs_error *err) {
    const char *end = text + size;
    *out = (darknet_cfg){0};
    for (int line = 1; text < end; line++) {
        const char *stop = memchr(text, '\n', (size_t)(end - text));
        stop = stop ? stop : end;
        while (text < stop && isspace((unsigned char)*text)) {
            text++;
        }
        size_t n = (size_t)(stop - text);
        if (n > 0 && *text == '[') {
            CVI_TRY(add_section(a, out, text, n, line, err));
        } else if (n > 0 && *text != '#' && *text != ';' && *text != '\0') {
            if (out->n == 0) {
                return cvi_at_line(
                    err, cvi_fail(err, CVS_E_FORMAT, "the text should begin with a section, [net]"), line, 1);
            }
            CVI_TRY(add_option(a, &out->section[out->n - 1], text, n, line, err));
        }
        text = stop < end ? stop + 1 : end;
    }
    return CVS_OK;
}

static darknet_option *find(darknet *d, const char *key) {
    for (int i = 0; i < d->section->n; i++) {
        if (strcmp(d->section->option[i].key, key) == 0) {
            d->section->option[i].used = true;
            return &d->section->option[i];
        }
    }
    return NULL;
}

const char *cvi_darknet_text(darknet *d, const char *key, const char *otherwise) {
    const darknet_option *o = find(d, key);
    return o ? o->value : otherwise;
}

double cvi_darknet_float(darknet *d, const char *key, double otherwise) {
    const darknet_option *o = find(d, key);
    char *end = NULL;
    double v = o ? strtod(o->value, &end) : otherwise;
    if (o && cvi_build_ok(&d->b) && (end == o->value || !isfinite(v))) {
        cvs_status s =
            cvi_fail(d->b.err, CVS_E_FORMAT, "%.60s should be a number, it is \"%.60s\"", key, o->value);
        cvi_build_keep(&d->b, cvi_at_line(d->b.err, s, o->line, 1));
        return otherwise;
    }
    return v;
}

int64_t cvi_darknet_int(darknet *d, const char *key, int64_t otherwise) {
    double v = cvi_darknet_float(d, key, (double)otherwise);
    if (fabs(v) > INT32_MAX) {
        cvi_build_set(&d->b, cvi_fail(d->b.err, CVS_E_FORMAT,
                                      "%.60s should be a whole number of 32 bits, it is %.60s", key,
                                      cvi_darknet_text(d, key, "")));
        return otherwise;
    }
    return (int64_t)v; /* atoi cuts what follows */
}

int cvi_darknet_list(darknet *d, const char *key, int max, int64_t *out) {
    const char *s = cvi_darknet_text(d, key, NULL);
    int n = 0;
    while (s && *s && n < max) {
        char *end;
        long v = strtol(s, &end, 10);
        if (end == s) {
            break;
        }
        out[n++] = v;
        s = *end == ',' ? end + 1 : end;
    }
    return n;
}

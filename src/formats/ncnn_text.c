/* SPDX-License-Identifier: MIT
 * ncnn_text.c - ncnn's .param text: the number 7767517, how many layers and blobs, then a line a layer: type, name, counts, blobs,
 * and settings id=value; an array is -23300-id=n,a,b,c or id=a,b,c.
 */
#include "formats/ncnn.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>

typedef struct words {
    const char *at, *end; /* of the line */
    cvi_arena *a;
} words;

/* The next word of a line, terminated; NULL at its end; *failed on lack of memory. */
static const char *next_word(words *w, bool *failed) {
    while (w->at < w->end && isspace((unsigned char)*w->at)) {
        w->at++;
    }
    const char *start = w->at;
    while (w->at < w->end && !isspace((unsigned char)*w->at)) {
        w->at++;
    }
    if (w->at == start) {
        return NULL;
    }
    const char *s = cvi_arena_strn(w->a, start, (size_t)(w->at - start));
    *failed |= s == NULL;
    return s;
}

static cvs_status bad(cvs_error *err, int line, const char *word) {
    return cvi_at_line(err, cvi_fail(err, CVS_E_FORMAT, "\"%.60s\" is not understood here", word), line, 1);
}

static cvs_status read_list(cvi_arena *a, const char *s, int max, ncnn_setting *out, cvs_error *err) {
    int n = 1;
    for (const char *p = s; *p; p++) {
        n += *p == ',';
    }
    double *list = cvi_arena_alloc(a, n, sizeof *list);
    if (!list) {
        return cvi_no_memory(err, (size_t)n * sizeof *list);
    }
    int k = 0;
    for (char *end = NULL; *s && k < n; s = *end == ',' ? end + 1 : end) {
        list[k] = strtod(s, &end);
        if (end == s) {
            break;
        }
        k++;
    }
    *out = (ncnn_setting){.given = true, .n = max >= 0 ? CVI_MIN(k, max) : k, .list = list};
    out->value = out->n > 0 ? list[0] : 0;
    return CVS_OK;
}

static cvs_status read_setting(cvi_arena *a, const char *word, ncnn_layer *l, cvs_error *err) {
    char *end = NULL;
    long id = strtol(word, &end, 10);
    if (end == word || *end != '=') {
        return bad(err, l->line, word);
    }
    const char *value = end + 1;
    bool counted = id <= -23300;
    id = counted ? -23300 - id : id;
    if (id < 0 || id >= NCNN_MAX_ID) { /* of a newer ncnn, or remarks */
        return CVS_OK;
    }
    if (counted) {
        long n = strtol(value, &end, 10);
        if (end == value || n < 0) {
            return bad(err, l->line, word);
        }
        return read_list(a, *end == ',' ? end + 1 : end, (int)CVI_MIN(n, 1 << 20), &l->setting[id], err);
    }
    if (*value == '"' || isalpha((unsigned char)*value)) { /* an expression */
        const char *start = value + (*value == '"'), *stop = strchr(start, '"');
        const char *text = cvi_arena_strn(a, start, stop ? (size_t)(stop - start) : strlen(start));
        l->setting[id] = (ncnn_setting){.given = true, .n = -1, .text = text};
        return text ? CVS_OK : cvi_no_memory(err, strlen(start));
    }
    if (strchr(value, ',')) {
        return read_list(a, value, -1, &l->setting[id], err);
    }
    double v = strtod(value, &end);
    if (end == value || !isfinite(v)) {
        return *value ? CVS_OK : bad(err, l->line, word); /* as if it were not told */
    }
    l->setting[id] = (ncnn_setting){.given = true, .value = v, .n = -1};
    return CVS_OK;
}

static cvs_status read_blobs(words *w, int n, const char ***out, int line, cvs_error *err) {
    bool failed = false;
    *out = cvi_arena_alloc(w->a, CVI_MAX(n, 1), sizeof **out);
    if (!*out) {
        return cvi_no_memory(err, (size_t)n * sizeof **out);
    }
    for (int i = 0; i < n; i++) {
        (*out)[i] = next_word(w, &failed);
        if (failed) {
            return cvi_no_memory(err, 0);
        }
        if (!(*out)[i]) {
            return cvi_at_line(err, cvi_fail(err, CVS_E_FORMAT, "the line names fewer blobs than it counts"),
                               line, 1);
        }
    }
    return CVS_OK;
}

static cvs_status read_layer(words *w, ncnn_layer *l, int line, cvs_error *err) {
    bool failed = false;
    *l = (ncnn_layer){.type = next_word(w, &failed), .name = next_word(w, &failed), .line = line};
    const char *n_in = next_word(w, &failed), *n_out = next_word(w, &failed);
    if (failed) {
        return cvi_no_memory(err, 0);
    }
    l->n_in = n_in ? (int)strtol(n_in, NULL, 10) : -1;
    l->n_out = n_out ? (int)strtol(n_out, NULL, 10) : -1;
    if (!l->type || !l->name || l->n_in < 0 || l->n_out < 0 || l->n_in > 10000 || l->n_out > 10000) {
        return bad(err, line, l->type ? l->type : "");
    }
    CVI_TRY(read_blobs(w, l->n_in, &l->in, line, err));
    CVI_TRY(read_blobs(w, l->n_out, &l->out, line, err));
    for (const char *s = next_word(w, &failed); s; s = next_word(w, &failed)) {
        CVI_TRY(read_setting(w->a, s, l, err));
    }
    return failed ? cvi_no_memory(err, 0) : CVS_OK;
}

cvs_status cvi_ncnn_parse(cvi_arena *a, const char *text, size_t size, const cvs_limits *limits,
                          ncnn_param *out, cvs_error *err) {
    const char *end = text + size;
    long count = -1;
    *out = (ncnn_param){0};
    for (int line = 1; text < end; line++) {
        const char *stop = memchr(text, '\n', (size_t)(end - text));
        stop = stop ? stop : end;
        words w = {.at = text, .end = stop, .a = a};
        text = stop < end ? stop + 1 : end;
        while (w.at < w.end && isspace((unsigned char)*w.at)) {
            w.at++;
        }
        if (w.at == w.end || line == 1) {
            continue;
        }
        if (count < 0) {
            bool failed = false;
            const char *s = next_word(&w, &failed);
            count = s ? strtol(s, NULL, 10) : -1;
            if (failed) {
                return cvi_no_memory(err, 0);
            }
            if (count < 1 || count > limits->max_nodes || (size_t)count > size) {
                return cvi_at_line(
                    err, cvi_fail(err, CVS_E_FORMAT, "%ld layers cannot be in this file", count), line, 1);
            }
            out->layer = cvi_arena_alloc(a, count, sizeof *out->layer);
            if (!out->layer) {
                return cvi_no_memory(err, (size_t)count * sizeof *out->layer);
            }
            continue;
        }
        if (out->n >= count) { /* ncnn itself reads no further */
            out->line_left = line;
            break;
        }
        CVI_TRY(read_layer(&w, &out->layer[out->n++], line, err));
    }
    return out->n > 0 ? CVS_OK : cvi_fail(err, CVS_E_FORMAT, "the text describes no layers");
}

double cvi_ncnn_float(const ncnn *m, int id, double otherwise) {
    const ncnn_setting *s = &m->layer->setting[id];
    return s->given ? s->value : otherwise;
}

int64_t cvi_ncnn_int(ncnn *m, int id, int64_t otherwise) {
    double v = cvi_ncnn_float(m, id, (double)otherwise);
    if (!(fabs(v) <= INT32_MAX)) {
        cvi_build_set(&m->b, cvi_fail(m->b.err, CVS_E_FORMAT,
                                      "setting %d is %g, a whole number of 32 bits is needed", id, v));
        return otherwise;
    }
    return (int64_t)v;
}

/* SPDX-License-Identifier: MIT
 * http_reply.c - reading arguments and bodies, making replies: JSON, packets of numbers, errors.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "http.h"

const char *arg_text(const request *q, const char *name, const char *otherwise) {
    size_t n = strlen(name);
    for (int i = 0; i < q->n_args; i++) {
        if (strncmp(q->args[i], name, n) == 0 && q->args[i][n] == '=') {
            return q->args[i] + n + 1;
        }
    }
    return otherwise;
}

int64_t arg_int(const request *q, const char *name, int64_t otherwise) {
    const char *text = arg_text(q, name, "");
    char *end = NULL;
    long long v = strtoll(text, &end, 10);
    return text[0] && end && *end == 0 ? v : otherwise;
}

cvs_lang arg_lang(const request *q) {
    return strncmp(arg_text(q, "lang", "en"), "zh", 2) == 0 ? CVS_ZH : CVS_EN;
}

const char *arg_view(const request *q) {
    const char *v = arg_text(q, "v", "");
    return strlen(v) < MAX_VIEW ? v : "";
}

json_t *body_json(const request *q, reply *r) {
    json_error_t err;
    json_t *j = json_loadb((const char *)q->body, q->size, JSON_REJECT_DUPLICATES, &err);
    if (!json_is_object(j)) {
        json_decref(j);
        reply_error(r, 400, "the body must be a JSON object");
        return NULL;
    }
    return j;
}

void reply_bytes(reply *r, const char *type, void *owned, size_t size) {
    r->status = 200;
    r->type = type;
    r->data = owned;
    r->size = size;
}

void reply_json(reply *r, json_t *owned) {
    char *text = owned ? json_dumps(owned, JSON_COMPACT | JSON_REAL_PRECISION(12)) : NULL;
    json_decref(owned);
    if (!text) {
        reply_error(r, 500, "out of memory");
        return;
    }
    reply_bytes(r, "application/json", text, strlen(text));
}

static void reply_status(reply *r, int status, const char *code, const char *text) {
    json_t *j = json_pack("{so ss}", "error", json_clean(text), "code", code);
    char *dump = j ? json_dumps(j, JSON_COMPACT) : NULL;
    json_decref(j);
    reply_bytes(r, "application/json", dump, dump ? strlen(dump) : 0);
    r->status = status;
}

void reply_error(reply *r, int status, const char *text) {
    reply_status(r, status, "request", text);
}

void reply_failed(reply *r, const cvs_error *err) {
    char text[1200];
    int status = err->code == CVS_E_NOT_FOUND   ? 404
                 : err->code == CVS_E_CANCELLED ? 409
                 : err->code == CVS_E_INTERNAL  ? 500
                 : err->code == CVS_E_MEMORY    ? 503
                                                : 422;
    reply_status(r, status, cvs_status_name(err->code, CVS_EN), cvs_error_text(err, text, sizeof text));
}

void reply_packet(reply *r, json_t *header, const part *parts, int n) {
    char *text = header ? json_dumps(header, JSON_COMPACT | JSON_REAL_PRECISION(12)) : NULL;
    json_decref(header);
    size_t length = text ? strlen(text) : 0, padded = (4 + length + 7) / 8 * 8 - 4, total = 4 + padded;
    for (int i = 0; i < n; i++) {
        total += parts[i].size;
    }
    uint8_t *data = text ? malloc(total) : NULL;
    if (!data) {
        free(text);
        reply_error(r, 503, "out of memory");
        return;
    }
    for (int i = 0; i < 4; i++) {
        data[i] = (uint8_t)(padded >> (8 * i));
    }
    memcpy(data + 4, text, length);
    memset(data + 4 + length, ' ', padded - length);
    free(text);
    size_t at = 4 + padded;
    for (int i = 0; i < n; i++) {
        if (parts[i].size > 0) {
            memcpy(data + at, parts[i].data, parts[i].size);
        }
        at += parts[i].size;
    }
    reply_bytes(r, "application/vnd.convscope.packet", data, total);
}

/* Bytes of one valid character of UTF-8 at s, 0 where there is none. */
static int utf8_length(const unsigned char *s) {
    if (s[0] < 0x80) {
        return s[0] >= 0x20 && s[0] != 0x7f;
    }
    int n = s[0] >= 0xf0 ? 4 : s[0] >= 0xe0 ? 3 : 2;
    uint32_t code = s[0] & (0xffu >> (n + 1));
    if (s[0] < 0xc2 || s[0] > 0xf4) {
        return 0;
    }
    for (int i = 1; i < n; i++) {
        if ((s[i] & 0xc0) != 0x80) {
            return 0;
        }
        code = code << 6 | (s[i] & 0x3fu);
    }
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    bool bidi = (code >= 0x202a && code <= 0x202e) || (code >= 0x2066 && code <= 0x2069);
    return code >= least[n] && code <= 0x10ffff && (code < 0xd800 || code > 0xdfff) && !bidi &&
                   !(code >= 0x80 && code < 0xa0)
               ? n
               : 0;
}

json_t *json_clean(const char *text) {
    size_t n = strlen(text), to = 0;
    char *clean = malloc(3 * n + 1);
    if (!clean) {
        return NULL;
    }
    for (size_t i = 0; i < n;) {
        int len = utf8_length((const unsigned char *)text + i);
        if (len == 0) {
            memcpy(clean + to, "\xef\xbf\xbd", 3);
            to += 3;
            i++;
            continue;
        }
        memcpy(clean + to, text + i, (size_t)len);
        to += (size_t)len;
        i += (size_t)len;
    }
    clean[to] = 0;
    json_t *j = json_stringn(clean, to);
    free(clean);
    return j;
}

json_t *json_number_any(double v) {
    return isnan(v)   ? json_string("NaN")
           : isinf(v) ? json_string(v > 0 ? "Infinity" : "-Infinity")
                      : json_real(v);
}

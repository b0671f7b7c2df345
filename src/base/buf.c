/* SPDX-License-Identifier: MIT
 * buf.c - the growing byte buffer that writers of SVG, HTML, JSON and files append to.
 * A failed allocation sets `failed` and keeps what was there; later additions do nothing, so that callers test once.
 */
#include "base/base.h"

static bool reserve(cvi_buf *b, size_t more) {
    if (b->failed) {
        return false;
    }
    if (more >= SIZE_MAX / 4 - b->size) {
        b->failed = true;
        return false;
    }
    size_t need = b->size + more + 1;
    if (need <= b->capacity) {
        return true;
    }
    size_t capacity = CVI_MAX(CVI_MAX(b->capacity * 2, need), (size_t)256);
    char *data = cvi_realloc(b->data, b->size, capacity);
    if (data == NULL) {
        b->failed = true;
        return false;
    }
    b->data = data;
    b->capacity = capacity;
    return true;
}

void cvi_buf_add(cvi_buf *b, const void *data, size_t n) {
    if (reserve(b, n)) {
        if (n > 0) {
            memcpy(b->data + b->size, data, n);
        }
        b->size += n;
        b->data[b->size] = '\0';
    }
}

void cvi_buf_puts(cvi_buf *b, const char *s) {
    cvi_buf_add(b, s, strlen(s));
}

void cvi_buf_printf(cvi_buf *b, const char *fmt, ...) {
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    if (n < 0) {
        b->failed = true;
    } else if (reserve(b, (size_t)n)) {
        va_start(args, fmt);
        vsnprintf(b->data + b->size, (size_t)n + 1, fmt, args);
        va_end(args);
        b->size += (size_t)n;
    }
}

void cvi_buf_base64(cvi_buf *b, const void *data, size_t n) {
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const uint8_t *in = data;
    if (n > SIZE_MAX / 8 || !reserve(b, (n + 2) / 3 * 4)) {
        b->failed = true;
        return;
    }
    char *out = b->data + b->size;
    for (size_t i = 0; i < n; i += 3) {
        uint32_t bits = (uint32_t)in[i] << 16;
        bits |= i + 1 < n ? (uint32_t)in[i + 1] << 8 : 0;
        bits |= i + 2 < n ? (uint32_t)in[i + 2] : 0;
        *out++ = digits[bits >> 18];
        *out++ = digits[bits >> 12 & 63];
        *out++ = i + 1 < n ? digits[bits >> 6 & 63] : '=';
        *out++ = i + 2 < n ? digits[bits & 63] : '=';
    }
    b->size = (size_t)(out - b->data);
    *out = '\0';
}

void cvi_buf_xml(cvi_buf *b, const char *s) {
    size_t n = strlen(s);
    while (n > 0 && !b->failed) {
        uint32_t c = 0;
        bool valid = false;
        size_t used = cvi_utf8_next(s, n, &c, &valid);
        if (!valid) {
            cvi_buf_puts(b, "\xEF\xBF\xBD");
        } else if (c == '&') {
            cvi_buf_puts(b, "&amp;");
        } else if (c == '<') {
            cvi_buf_puts(b, "&lt;");
        } else if (c == '>') {
            cvi_buf_puts(b, "&gt;");
        } else if (c == '"') {
            cvi_buf_puts(b, "&quot;");
        } else if (c == '\'') {
            cvi_buf_puts(b, "&#39;");
        } else if (c == '\n' || c == '\t' ||
                   !(c < 0x20 || (c >= 0x7F && c < 0xA0) || c == 0xFFFE || c == 0xFFFF)) {
            cvi_buf_add(b, s, used);
        }
        s += used;
        n -= used;
    }
}

void cvi_buf_free(cvi_buf *b) {
    cvi_free(b->data);
    *b = (cvi_buf){0};
}

/* SPDX-License-Identifier: MIT
 * error.c - filling, placing and printing cvs_error, and the tables of statuses and limits.
 * Messages are formatted in the language that the caller asked for, at the moment of failure, so that
 * nothing but the struct itself travels up.
 */
#include <stdlib.h>

#include "base/base.h"

static const struct {
    int exit_code;
    const char *name[2];
} statuses[] = {
#define CVS_STATUS(name, exit_code, en, zh) {exit_code, {en, zh}},
#include "convscope/status.def"
#undef CVS_STATUS
};

static cvs_lang lang_of(const cvs_error *err) {
    return err != NULL && err->lang == CVS_ZH ? CVS_ZH : CVS_EN;
}

void cvi_copy_text(char *dst, size_t size, const char *s) {
    if (size == 0) {
        return;
    }
    size_t n = strlen(s);
    if (n >= size) {
        n = size - 1;
        while (n > 0 && ((unsigned char)s[n] & 0xC0) == 0x80) {
            n--; /* do not leave half a character */
        }
    }
    memmove(dst, s, n);
    dst[n] = '\0';
}

void cvi_error_clear(cvs_error *err) {
    if (err != NULL) {
        *err = (cvs_error){.lang = err->lang};
    }
}

cvs_status cvi_fail(cvs_error *err, cvs_status code, const char *fmt, ...) {
    if (err == NULL) {
        return code;
    }
    char text[sizeof err->message + 8]; /* first of all: the arguments may point into err */
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(text, sizeof text, cvi_tr(lang_of(err), fmt), args);
    va_end(args);
    cvi_error_clear(err);
    err->code = code;
    cvi_copy_text(err->message, sizeof err->message, n < 0 ? fmt : text);
    return code;
}

cvs_status cvi_no_memory(cvs_error *err, size_t bytes) {
    return cvi_fail(err, CVS_E_MEMORY, "out of memory: %zu bytes could not be had", bytes);
}

static bool placing(const cvs_error *err) {
    return err != NULL && err->code != CVS_OK;
}

cvs_status cvi_at_file(cvs_error *err, cvs_status code, const char *path) {
    if (placing(err) && err->file[0] == '\0' && path != NULL) {
        size_t n = strlen(path), room = sizeof err->file - 1;
        if (n <= room) {
            memcpy(err->file, path, n + 1);
        } else { /* the end of a path says more than its beginning */
            const char *tail = path + (n - (room - 3));
            while (((unsigned char)*tail & 0xC0) == 0x80) {
                tail++;
            }
            snprintf(err->file, sizeof err->file, "...%s", tail);
        }
    }
    return code;
}

cvs_status cvi_at_node(cvs_error *err, cvs_status code, const char *name, const char *op) {
    if (placing(err) && err->node[0] == '\0') {
        char text[sizeof err->node + 200];
        bool has_name = name != NULL && name[0] != '\0', has_op = op != NULL && op[0] != '\0';
        char shown[sizeof err->node - 40]; /* leaves room for the operator */
        cvi_copy_text(shown, sizeof shown, has_name ? name : "");
        if (has_name && has_op) {
            snprintf(text, sizeof text, "%s (%.100s)", shown, op);
        } else {
            snprintf(text, sizeof text, "%s", has_name ? shown : has_op ? op : "?");
        }
        cvi_copy_text(err->node, sizeof err->node, text);
    }
    return code;
}

cvs_status cvi_at_attr(cvs_error *err, cvs_status code, const char *attribute) {
    if (placing(err) && err->attribute[0] == '\0' && attribute != NULL) {
        cvi_copy_text(err->attribute, sizeof err->attribute, attribute);
    }
    return code;
}

cvs_status cvi_at_offset(cvs_error *err, cvs_status code, int64_t offset) {
    if (placing(err) && !err->has_offset) {
        err->has_offset = true;
        err->offset = offset;
    }
    return code;
}

cvs_status cvi_at_line(cvs_error *err, cvs_status code, int line, int column) {
    if (placing(err) && err->line == 0) {
        err->line = line;
        err->column = column;
    }
    return code;
}

/* Characters that could move the cursor, change colours or reverse the text of a terminal or a page. */
static bool is_control(uint32_t c) {
    return c < 0x20 || (c >= 0x7F && c < 0xA0) || c == 0x200E || c == 0x200F ||
           (c >= 0x2028 && c <= 0x202E) || (c >= 0x2066 && c <= 0x2069) || c == 0xFEFF;
}

/* Appends s at buf[*at], escaped; whole characters only. */
static void append(char *buf, size_t size, size_t *at, const char *s) {
    size_t n = strlen(s);
    while (n > 0) {
        uint32_t code = 0;
        bool valid = false;
        size_t used = cvi_utf8_next(s, n, &code, &valid);
        char escape[16];
        const char *piece = s;
        size_t bytes = used;
        if (!valid || is_control(code)) {
            int k = 0;
            if (code == '\n') {
                k = snprintf(escape, sizeof escape, "\\n");
            } else if (code == '\t') {
                k = snprintf(escape, sizeof escape, "\\t");
            } else if (!valid || code < 0x80) {
                k = snprintf(escape, sizeof escape, "\\x%02x", (unsigned)(unsigned char)s[0]);
            } else {
                k = snprintf(escape, sizeof escape, "\\u%04x", (unsigned)code);
            }
            piece = escape;
            bytes = (size_t)k;
        }
        if (*at + bytes >= size) {
            return;
        }
        memcpy(buf + *at, piece, bytes);
        *at += bytes;
        s += used;
        n -= used;
    }
}

const char *cvs_error_text(const cvs_error *err, char *buf, size_t size) {
    if (buf == NULL || size == 0) {
        return "";
    }
    size_t at = 0;
    if (err != NULL) {
        cvs_lang lang = lang_of(err);
        const char *separator = "";
        char place[sizeof err->node + 64];
        if (err->file[0] != '\0') {
            append(buf, size, &at, err->file);
            separator = ": ";
        }
        if (err->node[0] != '\0') {
            append(buf, size, &at, separator);
            snprintf(place, sizeof place, cvi_tr(lang, "node %s"), err->node);
            append(buf, size, &at, place);
            separator = ", ";
        }
        if (err->attribute[0] != '\0') {
            append(buf, size, &at, separator);
            append(buf, size, &at, err->attribute);
            separator = ", ";
        }
        if (err->line > 0) {
            append(buf, size, &at, separator);
            snprintf(place, sizeof place, cvi_tr(lang, "line %d, column %d"), err->line, err->column);
            append(buf, size, &at, place);
            separator = ", ";
        }
        if (err->has_offset) {
            append(buf, size, &at, separator);
            snprintf(place, sizeof place, cvi_tr(lang, "byte %lld"), (long long)err->offset);
            append(buf, size, &at, place);
        }
        append(buf, size, &at, at > 0 ? ": " : "");
        append(buf, size, &at, err->message[0] != '\0' ? err->message : cvs_status_name(err->code, lang));
    }
    buf[at] = '\0';
    return buf;
}

static int known(cvs_status code) {
    int i = (int)code;
    return i >= 0 && i < CVI_COUNT(statuses) ? i : (int)CVS_E_INTERNAL;
}

int cvs_status_exit(cvs_status code) {
    return statuses[known(code)].exit_code;
}

const char *cvs_status_name(cvs_status code, cvs_lang lang) {
    return statuses[known(code)].name[lang == CVS_ZH];
}

cvs_limits cvs_limits_default(const cvs_limits *limits) {
    cvs_limits l = {0};
    if (limits != NULL) {
        l = *limits;
    }
    l.max_file_bytes = l.max_file_bytes > 0 ? l.max_file_bytes : (int64_t)16 << 30;
    l.max_memory_bytes = l.max_memory_bytes > 0 ? l.max_memory_bytes : (int64_t)8 << 30;
    l.max_nodes = l.max_nodes > 0 ? l.max_nodes : 1000000;
    l.max_depth = l.max_depth > 0 ? l.max_depth : 64;
    l.max_pixels = l.max_pixels > 0 ? l.max_pixels : (int64_t)256 << 20;
    l.max_name_bytes = l.max_name_bytes > 0 ? l.max_name_bytes : 65536;
    return l;
}

cvs_lang cvs_lang_from(const char *explicit_name) {
    if (explicit_name != NULL && strncmp(explicit_name, "zh", 2) == 0) {
        return CVS_ZH;
    }
    if (explicit_name != NULL && strncmp(explicit_name, "en", 2) == 0) {
        return CVS_EN;
    }
    static const char *const variables[] = {"LC_ALL", "LC_MESSAGES", "LANG"};
    for (int i = 0; i < CVI_COUNT(variables); i++) {
        const char *value = getenv(variables[i]);
        if (value != NULL && value[0] != '\0') { /* the first that is set decides, as in setlocale */
            return strncmp(value, "zh", 2) == 0 ? CVS_ZH : CVS_EN;
        }
    }
    return CVS_EN;
}

/* SPDX-License-Identifier: MIT
 * text.c - the table of Chinese texts, looked up by their English literal, and reading UTF-8.
 * The rows come from zh/<folder>.def. An index sorted by the English text is made at the first lookup of a
 * Chinese one, once, under pthread_once.
 */
#include <pthread.h>
#include <stdlib.h>

#include "base/base.h"

typedef struct text_row {
    const char *english, *chinese;
} text_row;

static const text_row rows[] = {
#define CVI_ZH(english, chinese) {english, chinese},
#include "base/zh/all.def"
#undef CVI_ZH
};

static int sorted[CVI_COUNT(rows)];
static pthread_once_t sorted_once = PTHREAD_ONCE_INIT;

static int by_english(const void *a, const void *b) {
    int i = *(const int *)a, j = *(const int *)b;
    int order = strcmp(rows[i].english, rows[j].english);
    return order != 0 ? order : i - j;
}

static void sort_rows(void) {
    for (int i = 0; i < CVI_COUNT(rows); i++) {
        sorted[i] = i;
    }
    qsort(sorted, CVI_COUNT(rows), sizeof sorted[0], by_english);
}

const char *cvi_tr(cvs_lang lang, const char *english) {
    if (lang != CVS_ZH || english == NULL) {
        return english;
    }
    pthread_once(&sorted_once, sort_rows);
    int low = 0, high = CVI_COUNT(rows);
    while (low < high) {
        int middle = low + (high - low) / 2;
        if (strcmp(rows[sorted[middle]].english, english) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    if (low < CVI_COUNT(rows) && strcmp(rows[sorted[low]].english, english) == 0) {
        return rows[sorted[low]].chinese;
    }
    return english;
}

int cvi_text_rows(void) {
    return CVI_COUNT(rows);
}

void cvi_text_row(int i, const char **english, const char **chinese) {
    *english = rows[i].english;
    *chinese = rows[i].chinese;
}

size_t cvi_utf8_next(const char *s, size_t n, uint32_t *code, bool *valid) {
    const unsigned char *u = (const unsigned char *)s;
    uint32_t c = u[0], least = 0;
    size_t bytes = 1;
    *code = 0xFFFD;
    *valid = false;
    if (c < 0x80) {
        *code = c;
        *valid = true;
        return 1;
    }
    if (c >= 0xC2 && c < 0xE0) {
        bytes = 2, c &= 0x1F, least = 0x80;
    } else if (c >= 0xE0 && c < 0xF0) {
        bytes = 3, c &= 0x0F, least = 0x800;
    } else if (c >= 0xF0 && c < 0xF5) {
        bytes = 4, c &= 0x07, least = 0x10000;
    } else {
        return 1;
    }
    if (bytes > n) {
        return 1;
    }
    for (size_t i = 1; i < bytes; i++) {
        if ((u[i] & 0xC0) != 0x80) {
            return 1;
        }
        c = c << 6 | (u[i] & 0x3Fu);
    }
    if (c < least || c > 0x10FFFF || (c >= 0xD800 && c <= 0xDFFF)) {
        return 1;
    }
    *code = c;
    *valid = true;
    return bytes;
}

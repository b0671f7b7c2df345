/* SPDX-License-Identifier: MIT
 * net_read.c - the reader of the text language (.net): recognised by its first word, then parsed and built.
 */
#include <ctype.h>

#include "formats/net.h"
#include "formats/reader.h"

/* The first word of a text that has neither zero bytes nor comments before it; behind the label, where there is one. */
static size_t first_word(const uint8_t *data, size_t size, const char **word) {
    size_t at = size >= 3 && memcmp(data, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
    size_t end = CVI_MIN(size, 65536);
    while (at < end && (isspace(data[at]) || data[at] == '#' || data[at] == '|')) {
        bool comment = data[at] == '#';
        while (comment && at < end && data[at] != '\n') {
            at++;
        }
        at += at < end;
    }
    size_t label = at;
    while (label < end && data[label] != ':' && data[label] != '\n' && data[label] != '{') {
        label++;
    }
    if (label < end && data[label] == ':') {
        for (label++; label < end && (data[label] == ' ' || data[label] == '\t'); label++) {}
        at = label;
    }
    size_t start = at;
    while (at < end && (isalnum(data[at]) || data[at] == '_')) {
        at++;
    }
    *word = (const char *)data + start;
    return at - start;
}

static int match(const cvi_open *open) {
    const char *word;
    char copy[32];
    size_t n = open->is_folder ? 0 : first_word(open->file->data, open->file->size, &word);
    if (n == 0 || n >= sizeof copy || memchr(open->file->data, 0, CVI_MIN(open->file->size, 4096))) {
        return 0;
    }
    memcpy(copy, word, n);
    copy[n] = 0;
    if (strcmp(copy, "input") == 0 || strcmp(copy, "block") == 0 || strcmp(copy, "train") == 0) {
        return 50;
    }
    return cvi_net_word(copy) ? 40 : 0;
}

static cvs_status read(cvi_open *open) {
    net_file file = {0};
    cvs_model *m = open->model;
    CVI_TRY(cvi_net_parse(m->arena, (const char *)open->file->data, open->file->size, open->limits.max_depth,
                          &file, open->err));
    m->recipe = file.train;
    CVI_TRY(cvi_net_build(m, &file, open->err));
    return CVS_OK;
}

const cvi_reader cvi_reader_net = {
    .name = "net",
    .title = "Convscope text",
    .suffixes = ".net .txt",
    .match = match,
    .read = read,
};

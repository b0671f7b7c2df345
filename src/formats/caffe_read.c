/* SPDX-License-Identifier: MIT
 * caffe_read.c - the reader of Caffe models: a prototxt with the caffemodel that --weights names or that lies beside it (the same
 * stem, or the only one in the folder), or a caffemodel with its prototxt found in the same way.
 */
#include <ctype.h>

#include "formats/second_file.h"
#include "formats/caffe.h"

/* ---- recognising ---- */

static bool word_at(const cvi_file *f, size_t at, const char *word) {
    size_t n = strlen(word);
    return at + n <= f->size && memcmp(f->data + at, word, n) == 0;
}

static size_t skip_space(const cvi_file *f, size_t at) {
    size_t end = CVI_MIN(f->size, 1 << 20);
    while (at < end && (isspace(f->data[at]) || f->data[at] == '#')) {
        bool comment = f->data[at] == '#';
        while (comment && at < end && f->data[at] != '\n') {
            at++;
        }
        at += at < end;
    }
    return at;
}

/* Whether "layer" or "layers" opens a brace somewhere. */
static bool has_layer(const cvi_file *f) {
    size_t end = CVI_MIN(f->size, 1 << 20);
    for (size_t at = 0; at + 6 < end; at++) {
        bool start = at == 0 || isspace(f->data[at - 1]) || f->data[at - 1] == '}' || f->data[at - 1] == ';';
        if (!start || f->data[at] != 'l' || !word_at(f, at, "layer")) {
            continue;
        }
        size_t k = skip_space(f, at + 5 + (f->data[at + 5] == 's'));
        k = k < end && f->data[k] == ':' ? skip_space(f, k + 1) : k;
        if (k < end && f->data[k] == '{') {
            return true;
        }
    }
    return false;
}

static int match(const cvi_open *open) {
    const cvi_file *f = open->file;
    if (open->is_folder || f->size < 2) {
        return 0;
    }
    int binary = cvi_caffe_is_weights(f->data, f->size);
    if (binary) {
        return binary;
    }
    size_t at = skip_space(f, f->size >= 3 && memcmp(f->data, "\xef\xbb\xbf", 3) == 0 ? 3 : 0), end = at;
    while (end < f->size && end < at + 64 && (isalnum(f->data[end]) || f->data[end] == '_')) {
        end++;
    }
    size_t k = skip_space(f, end);
    bool field = end > at && k < f->size && (f->data[k] == ':' || f->data[k] == '{');
    return field && !memchr(f->data, 0, CVI_MIN(f->size, 4096)) && has_layer(f) ? 90 : 0;
}

/* ---- reading ---- */

static cvs_status build(cvi_open *open, const cvi_file *text, const cvi_file *weights) {
    caffe_message file;
    caffe_weights numbers;
    cvi_arena *a = open->model->arena;
    cvs_status s;
    if (weights->data) {
        s = cvi_caffe_weights(a, weights->data, weights->size, &open->limits, &numbers, open->err);
        CVI_TRY(weights->path ? cvi_at_file(open->err, s, weights->path) : s);
        if (numbers.n == 0) {
            s = cvi_fail(open->err, CVS_E_FORMAT, "the weights file holds no numbers of a Caffe layer");
            return cvi_at_file(open->err, s, weights->path ? weights->path : open->path);
        }
    }
    s = cvi_caffe_parse(a, (const char *)text->data, text->size, open->limits.max_depth, &file, open->err);
    s = s == CVS_OK ? cvi_caffe_build(open->model, &file, weights->data ? &numbers : NULL, open->err) : s;
    return s != CVS_OK && text->path ? cvi_at_file(open->err, s, text->path) : s;
}

static cvs_status read_weights_alone(cvi_open *open) {
    cvi_file text = {0};
    int n = 0;
    if (!open->from_memory) {
        CVI_TRY(cvi_read_beside(open, ".prototxt", &text, &n));
    }
    if (!text.data) {
        return n > 1 ? cvi_fail(open->err, CVS_E_ARGUMENT,
                                "this file holds weights only, and %d prototxt files lie beside it: open the "
                                "right one "
                                "with --weights for this file",
                                n)
                     : cvi_fail(open->err, CVS_E_NOT_FOUND,
                                "this file holds weights only, and no prototxt with the layers lies beside "
                                "it: open the "
                                "prototxt with --weights for this file");
    }
    cvs_status s = build(open, &text, open->file);
    cvi_file_close(&text);
    return s;
}

static cvs_status read_caffe(cvi_open *open) {
    cvi_file weights = {0};
    int n = 0;
    const char *named = open->options ? open->options->weights : NULL;
    if (cvi_caffe_is_weights(open->file->data, open->file->size)) {
        return read_weights_alone(open);
    }
    if (named) {
        CVI_TRY(cvi_file_read(named, &open->limits, &weights, open->err));
    } else if (!open->from_memory) {
        CVI_TRY(cvi_read_beside(open, ".caffemodel", &weights, &n));
        if (n > 1 && !weights.data &&
            !cvi_model_note(open->model,
                            "%d caffemodel files lie beside the prototxt: name one with --weights", n)) {
            return cvi_no_memory(open->err, 0);
        }
    }
    cvs_status s = build(open, open->file, &weights);
    cvi_file_close(&weights);
    return s;
}

/* The weights were taken while the layers were built (read_caffe). */
static cvs_status load_weights(cvs_model *model, const char *path, cvs_error *err) {
    (void)model;
    (void)path;
    (void)err;
    return CVS_OK;
}

const cvi_reader cvi_reader_caffe = {.name = "caffe",
                                     .title = "Caffe",
                                     .suffixes = ".prototxt .caffemodel",
                                     .match = match,
                                     .read = read_caffe,
                                     .load_weights = load_weights};

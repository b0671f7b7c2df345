/* SPDX-License-Identifier: MIT
 * darknet_read.c - the reader of Darknet models: a cfg with the weights that --weights names or that lie beside it (the same stem, or the
 * only ones in the folder); or the weights with their cfg found in the same way.
 */
#include <ctype.h>
#include <strings.h>

#include "formats/second_file.h"
#include "formats/darknet.h"

static uint32_t u32(const uint8_t *p) {
    return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

/* No magic: small version numbers, whole floats, and the usual name. */
static bool is_weights(const cvi_open *open) {
    const cvi_file *f = open->file;
    size_t n = strlen(open->path);
    return !open->is_folder && f->size >= 20 && f->size % 4 == 0 && n > 8 &&
           strcasecmp(open->path + n - 8, ".weights") == 0 && u32(f->data) < 10 && u32(f->data + 4) < 10 &&
           u32(f->data + 8) < 100;
}

static int match(const cvi_open *open) {
    const cvi_file *f = open->file;
    size_t at = 0, end = CVI_MIN(f->size, 1 << 16);
    if (open->is_folder) {
        return 0;
    }
    while (at < end && (isspace(f->data[at]) || f->data[at] == '#' || f->data[at] == ';')) {
        bool comment = !isspace(f->data[at]);
        while (comment && at < end && f->data[at] != '\n') {
            at++;
        }
        at += at < end;
    }
    bool net = at + 5 <= f->size && strncasecmp((const char *)f->data + at, "[net]", 5) == 0;
    bool network = at + 9 <= f->size && strncasecmp((const char *)f->data + at, "[network]", 9) == 0;
    return net || network ? 95 : is_weights(open) ? 40 : 0;
}

static cvs_status build(cvi_open *open, const cvi_file *text, cvi_file *numbers) {
    cvs_model *model = open->model;
    darknet_cfg cfg;
    darknet_weights weights = {0};
    if (numbers->data) {
        CVI_TRY(cvi_model_keep_file(model, numbers, open->err)); /* weights stay where they lie */
        CVI_TRY(cvi_darknet_weights(&model->files[model->n_files - 1], &weights, open->err));
    }
    CVI_TRY(cvi_darknet_parse(model->arena, (const char *)text->data, text->size, &cfg, open->err));
    return cvi_darknet_build(model, &cfg, &weights, open->err);
}

static cvs_status read_darknet(cvi_open *open) {
    cvi_file other = {0};
    const char *named = open->options ? open->options->weights : NULL;
    int n = 0;
    cvs_status s;
    if (is_weights(open)) {
        CVI_TRY(cvi_read_beside(open, ".cfg", &other, &n));
        s = other.data
                ? build(open, &other, open->file)
                : cvi_fail(
                      open->err, CVS_E_NOT_FOUND,
                      "this file holds weights only, and no cfg with the layers lies beside it: open the "
                      "cfg with --weights for this file");
    } else {
        if (named) {
            CVI_TRY(cvi_file_read(named, &open->limits, &other, open->err));
        } else {
            CVI_TRY(cvi_read_beside(open, ".weights", &other, &n));
        }
        s = build(open, open->file, &other);
    }
    cvi_file_close(&other);
    return s;
}

/* The weights were taken while the layers were built. */
static cvs_status load_weights(cvs_model *model, const char *path, cvs_error *err) {
    (void)model;
    (void)path;
    (void)err;
    return CVS_OK;
}

const cvi_reader cvi_reader_darknet = {.name = "darknet",
                                       .title = "Darknet",
                                       .suffixes = ".cfg .weights",
                                       .match = match,
                                       .read = read_darknet,
                                       .load_weights = load_weights};

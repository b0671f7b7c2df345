/* SPDX-License-Identifier: MIT
 * ncnn_read.c - the reader of ncnn models: a .param, text or binary, with the .bin that --weights names or that lies beside it.
 */
#include <ctype.h>

#include "formats/second_file.h"
#include "formats/ncnn.h"

static int match(const cvi_open *open) {
    const cvi_file *f = open->file;
    bool text = f->size > 8 && memcmp(f->data, "7767517", 7) == 0 && isspace(f->data[7]);
    return !open->is_folder && (text || cvi_ncnn_is_binary(f->data, f->size)) ? 100 : 0;
}

static cvs_status read_ncnn(cvi_open *open) {
    cvs_model *model = open->model;
    const char *named = open->options ? open->options->weights : NULL;
    const uint8_t *data = NULL;
    size_t size = 0;
    cvi_file numbers = {0};
    ncnn_param param;
    int n = 0;
    CVI_TRY(named ? cvi_file_read(named, &open->limits, &numbers, open->err)
                  : cvi_read_beside(open, ".bin", &numbers, &n));
    if (numbers.data) {
        CVI_TRY(cvi_model_keep_file(model, &numbers, open->err)); /* weights stay where they lie */
        data = model->files[model->n_files - 1].data;
        size = model->files[model->n_files - 1].size;
    }
    const uint8_t *graph = open->file->data;
    if (cvi_ncnn_is_binary(graph, open->file->size)) {
        CVI_TRY(
            cvi_ncnn_parse_binary(model->arena, graph, open->file->size, &model->limits, &param, open->err));
        if (!cvi_model_note(model,
                            "a binary .param has no names: layers and blobs are called by their numbers")) {
            return cvi_no_memory(open->err, 0);
        }
    } else {
        CVI_TRY(cvi_ncnn_parse(model->arena, (const char *)graph, open->file->size, &model->limits, &param,
                               open->err));
    }
    ncnn_sides sides;
    CVI_TRY(cvi_ncnn_find_sides(open, &param, &sides));
    return cvi_ncnn_build_sized(model, &param, data, size, &sides, &n, open->err);
}

/* The weights were taken while the layers were built. */
static cvs_status load_weights(cvs_model *model, const char *path, cvs_error *err) {
    (void)model;
    (void)path;
    (void)err;
    return CVS_OK;
}

const cvi_reader cvi_reader_ncnn = {.name = "ncnn",
                                    .title = "ncnn",
                                    .suffixes = ".param .param.bin",
                                    .match = match,
                                    .read = read_ncnn,
                                    .load_weights = load_weights};

/* SPDX-License-Identifier: MIT
 * tflite_read.c - the reader of TensorFlow Lite models: a FlatBuffer with the identifier TFL3, perhaps with metadata.
 */
#include "formats/tflite.h"

static int match(const cvi_open *open) {
    const cvi_file *f = open->file;
    return !open->is_folder && f->size >= 8 && memcmp(f->data + 4, "TFL3", 4) == 0 ? 100 : 0;
}

static cvs_status read_tflite(cvi_open *open) {
    cvs_model *model = open->model;
    tflite m = {.f = {.data = open->file->data, .size = open->file->size, .err = open->err}};
    model->graph = cvi_graph_new(model, NULL, "", open->err);
    if (!model->graph) {
        return CVS_E_MEMORY;
    }
    CVI_TRY(cvi_model_keep_file(model, open->file, open->err)); /* weights stay where they lie */
    model->file_layout = CVI_FILE_LAST;
    cvi_tf_begin(&m.t, model, "tflite", open->err);
    cvi_fb_table graph = cvi_tflite_lists(&m, 0);
    if (cvi_build_ok(&m.t.b)) {
        cvi_tflite_build(&m, &graph);
    }
    if (cvi_build_ok(&m.t.b)) {
        cvi_build_set(&m.t.b, cvi_tflite_metadata(&m));
    }
    return cvi_tf_finish(&m.t);
}

const cvi_reader cvi_reader_tflite = {.name = "tflite",
                                      .title = "TensorFlow Lite",
                                      .suffixes = ".tflite .lite",
                                      .match = match,
                                      .read = read_tflite};

/* SPDX-License-Identifier: MIT
 * onnx_metadata.c - what an ONNX file's metadata says of classes and preprocessing; see onnx_metadata.h.
 */
#include "onnx_metadata.h"

#include <stdlib.h>

#include "class_list.h"

cvs_status cvi_onnx_take_metadata(cvs_model *model, const char *key, const char *value, cvs_error *err) {
    cvs_error quiet = {0};
    if (strcmp(key, CVI_ONNX_KEY_CLASSES) == 0) {
        json_t *list = NULL;
        cvs_status s = cvi_json_parse(value, strlen(value), &list, &quiet);
        if (s == CVS_OK) {
            s = cvi_classes_from_json(model, list, "metadata of the model file", &quiet);
        }
        json_decref(list);
        return s == CVS_E_MEMORY ? cvi_no_memory(err, 0) : CVS_OK;
    }
    if (strcmp(key, CVI_ONNX_KEY_PREPROCESS) == 0) {
        cvs_preprocess p = {0};
        if (cvs_preprocess_parse(value, &p, &quiet) == CVS_OK) {
            model->preprocess = p;
            model->preprocess.known = true;
            snprintf(model->preprocess.from, sizeof model->preprocess.from, "%s",
                     "metadata of the model file");
        }
    }
    return CVS_OK;
}

cvs_status cvi_onnx_classes_text(const cvs_model *model, char **out, cvs_error *err) {
    cvi_buf b = {0};
    *out = NULL;
    if (model->n_classes == 0) {
        return CVS_OK;
    }
    for (int i = 0; i < model->n_classes; i++) {
        json_t *name = json_string(model->classes[i]);
        char *text = name ? json_dumps(name, JSON_ENCODE_ANY) : NULL;
        b.failed |= text == NULL;
        cvi_buf_puts(&b, i ? "," : "[");
        cvi_buf_puts(&b, text ? text : "");
        json_decref(name);
        free(text); /* jansson's own memory */
    }
    cvi_buf_puts(&b, "]");
    if (b.failed) {
        cvi_buf_free(&b);
        return cvi_no_memory(err, 0);
    }
    *out = b.data;
    return CVS_OK;
}

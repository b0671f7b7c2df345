/* SPDX-License-Identifier: MIT
 * data_run.c - pictures of a data set through a run, and their masks the way of the pictures.
 */
#include "convscope/check.h"
#include "engine/run_state.h"

/* uint8 [H,W], [H,W,1] or [H,W,3] -> [H,W,3], owned. */
static cvs_status to_rgb(const cvs_tensor *t, cvs_tensor *out, cvs_error *err) {
    int64_t channels = t->rank == 3 ? t->dim[2] : 1;
    if ((t->rank != 2 && t->rank != 3) || t->dtype != CVS_U8 || (channels != 1 && channels != 3)) {
        return cvi_fail(err, CVS_E_ARGUMENT, "a picture is uint8 with rows, columns and 1 or 3 channels");
    }
    CVI_TRY(cvs_tensor_new(out, CVS_U8, 3, (int64_t[]){t->dim[0], t->dim[1], 3}, err));
    for (int64_t i = 0; i < t->dim[0] * t->dim[1]; i++) {
        for (int c = 0; c < 3; c++) {
            ((uint8_t *)out->data)[3 * i + c] =
                ((const uint8_t *)t->data)[channels * i + (channels == 3 ? c : 0)];
        }
    }
    return CVS_OK;
}

cvs_status cvs_mask_fit(const cvs_model *model, const cvs_tensor *mask, int64_t height, int64_t width,
                        cvs_tensor *out, cvs_error *err) {
    cvs_preprocess p = model->preprocess;
    cvs_tensor rgb = {0}, numbers = {0}, seen = {0};
    *out = (cvs_tensor){0};
    p.invert = false;
    p.order = CVS_RGB;
    cvs_status s = to_rgb(mask, &rgb, err);
    if (s == CVS_OK) {
        s = cvs_preprocess_apply(&p, &rgb, 3, height, width, &numbers, &seen, err);
    }
    if (s == CVS_OK) {
        s = cvs_tensor_new(out, CVS_U8, 2, seen.dim, err);
    }
    for (int64_t i = 0; s == CVS_OK && i < seen.dim[0] * seen.dim[1]; i++) {
        ((uint8_t *)out->data)[i] = ((const uint8_t *)seen.data)[3 * i] > 127 ? 255 : 0;
    }
    cvs_tensor_free(&rgb);
    cvs_tensor_free(&numbers);
    cvs_tensor_free(&seen);
    return s;
}

cvs_status cvs_run_data(cvs_run *run, const cvs_data *data, int64_t i, cvs_tensor *shown, int *label,
                        cvs_tensor *mask, cvs_error *err) {
    cvs_data_info info;
    cvs_tensor picture = {0}, own = {0}, rgb = {0}, seen = {0};
    int is = 0;
    cvs_data_describe(data, &info);
    if (shown) {
        *shown = (cvs_tensor){0};
    }
    if (mask) {
        *mask = (cvs_tensor){0};
    }
    if (i < 0 || i >= info.count) {
        return cvi_fail(err, CVS_E_NOT_FOUND,
                        "there is no picture %lld in %.200s: it has %lld, counted from 0", (long long)i,
                        info.spec, (long long)info.count);
    }
    cvs_status s = cvs_data_get(data, i, &picture, &is, info.has_masks && mask ? &own : NULL, err);
    if (s == CVS_OK) {
        s = to_rgb(&picture, &rgb, err);
    }
    if (s == CVS_OK) {
        s = cvs_run_image(run, &rgb, &seen, err);
    }
    if (s == CVS_OK && own.data && seen.data) {
        s = cvs_mask_fit(run->model, &own, seen.dim[0], seen.dim[1], mask, err);
    }
    if (label) {
        *label = is;
    }
    if (shown && s == CVS_OK) {
        *shown = seen;
        seen = (cvs_tensor){0};
    }
    cvs_tensor_free(&picture);
    cvs_tensor_free(&own);
    cvs_tensor_free(&rgb);
    cvs_tensor_free(&seen);
    return s;
}

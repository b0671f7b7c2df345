/* SPDX-License-Identifier: MIT
 * guided_gradcam.c - Guided Grad-CAM (Selvaraju et al. 2017): guided backpropagation times the enlarged Grad-CAM (bilinear,
 * half-pixel centres).
 */
#include "explain/method.h"

/* The map at pixel (y, x) of [rows, columns]: bilinear, half-pixel centres; or as Captum, which is to say PyTorch, does it: the number
 * at or before the pixel's corner. */
static double enlarged(const cvi_question *q, const cvs_tensor *map, int64_t y, int64_t x, int64_t rows,
                       int64_t columns) {
    int64_t h = map->dim[2], w = map->dim[3];
    if (q->compat == CVI_CAPTUM) {
        float by_y = (float)h / (float)rows, by_x = (float)w / (float)columns;
        int64_t v = CVI_MIN((int64_t)((float)y * by_y), h - 1),
                u = CVI_MIN((int64_t)((float)x * by_x), w - 1);
        return cvi_get(map, v * w + u);
    }
    return cvi_map_bilinear(map->data, h, w, ((double)y + 0.5) / (double)rows,
                            ((double)x + 0.5) / (double)columns);
}

static cvs_status run(cvi_question *q, cvs_explanation *out) {
    cvs_explanation cam = {0};
    cvs_tensor g;
    cvs_status s = cvi_cam_run(q, cvi_cam_mean_gradient, &cam);
    if (s == CVS_OK) {
        s = cvi_question_gradient(q, CVI_GUIDED, q->input_value, &g);
    }
    if (s == CVS_OK) {
        cvi_as_picture(&g);
    }
    if (s == CVS_OK && g.rank != 4) {
        s = cvi_no_picture(q->err);
    }
    if (s == CVS_OK) {
        s = cvs_tensor_convert(&g, CVS_F32, &out->map, q->err);
    }
    if (s == CVS_OK) {
        int64_t h = g.dim[2], w = g.dim[3];
        float *map = out->map.data;
        for (int64_t i = 0; i < h * w; i++) {
            double by = enlarged(q, &cam.map, i / w, i % w, h, w);
            for (int64_t c = 0; c < g.dim[1]; c++) {
                map[c * h * w + i] = (float)((double)map[c * h * w + i] * by);
            }
        }
        snprintf(q->settings, sizeof q->settings, "%s",
                 cvi_tr(q->options->lang, q->compat == CVI_CAPTUM
                                              ? "Grad-CAM enlarged to the nearest number"
                                              : "Grad-CAM enlarged bilinearly, half-pixel centres"));
    }
    cvs_explanation_free(&cam);
    return s;
}

const cvi_method cvi_method_guided_gradcam = {
    .name = "guided-gradcam",
    .title_en = "Guided Grad-CAM",
    .title_zh = "引导 Grad-CAM",
    .sentence_en = "Guided backpropagation where Grad-CAM says the evidence is.",
    .sentence_zh = "在 Grad-CAM 指出的证据所在处显示引导反向传播。",
    .caveat_en = "The fine detail is guided backpropagation's, which hardly depends on the weights; only the "
                 "place comes from the class.",
    .caveat_zh = "其中的精细结构来自引导反向传播，几乎不依赖权重；只有位置来自该类别。",
    .source = "Selvaraju et al. 2017, arXiv:1610.02391",
    .family = CVI_FAMILY_BACKWARD,
    .flags = CVI_FLAG_LAYER,
    .kind = CVS_MAP_PIXELS,
    .needs_layer = true,
    .compat = CVI_CAPTUM,
    .run = run,
};

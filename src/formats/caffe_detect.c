/* SPDX-License-Identifier: MIT
 * caffe_detect.c - the layers of single-shot detectors (the SSD branch of Caffe): PriorBox and DetectionOutput.
 * Settings, their defaults and rounding: its caffe.proto, prior_box_layer.cpp and detection_output_layer.cpp.
 */
#include <math.h>

#include "formats/caffe.h"

enum { MOST = 64 }; /* sizes or ratios of one layer; the published networks have 2 and 3 */

static bool too_many(cvi_caffe *c, const char *name, int n) {
    if (n > MOST && cvi_build_ok(&c->b)) {
        cvi_build_set(&c->b, cvi_fail(c->b.err, CVS_E_LIMIT, "%s has %d numbers, at most %d are allowed",
                                      name, n, MOST));
    }
    return n > MOST;
}

/* All numbers of a field; how many. */
static int list_of(cvi_caffe *c, const char *name, double *out) {
    int n = cvi_caffe_count(cvi_caffe_params(c), name);
    if (too_many(c, name, n)) {
        return 0;
    }
    for (int i = 0; i < n; i++) {
        out[i] = cvi_caffe_number(c, name, NULL, i, 0);
    }
    return n;
}

/* Sizes in whole pixels: Caffe cuts what is behind the point. */
static int sizes_of(cvi_caffe *c, const char *name, double *out) {
    int n = list_of(c, name, out);
    for (int i = 0; i < n; i++) {
        out[i] = trunc(out[i]);
    }
    return n;
}

/* Ratios besides 1, each once, with their reciprocals behind them. */
static int ratios_of(cvi_caffe *c, double *out) {
    double given[MOST];
    int n = list_of(c, "aspect_ratio", given), all = 0;
    bool flip = cvi_caffe_bool(c, "flip", NULL, true);
    for (int i = 0; i < n; i++) {
        bool known = fabs(given[i] - 1) < 1e-6;
        for (int k = 0; k < all; k++) {
            known |= fabs(given[i] - out[k]) < 1e-6;
        }
        if (known) {
            continue;
        }
        out[all++] = given[i];
        if (flip && given[i] != 0) {
            out[all++] = 1 / given[i];
        }
    }
    return all;
}

/* name, or name_h and name_w; 0: not given. */
static bool pair_of(cvi_caffe *c, const char *both, const char *h, const char *w, double *out) {
    double one = cvi_caffe_number(c, both, NULL, 0, 0);
    out[0] = cvi_caffe_number(c, h, NULL, 0, one);
    out[1] = cvi_caffe_number(c, w, NULL, 0, one);
    return out[0] != 0 && out[1] != 0;
}

void cvi_caffe_prior_box(cvi_caffe *c) {
    double least[MOST], most[MOST], ratio[2 * MOST], variance[MOST], image[2], step[2];
    int n = sizes_of(c, "min_size", least), larger = sizes_of(c, "max_size", most);
    int ratios = ratios_of(c, ratio), variances = list_of(c, "variance", variance);
    bool sides = pair_of(c, "img_size", "img_h", "img_w", image);
    bool steps = pair_of(c, "step", "step_h", "step_w", step);
    if (cvi_build_ok(&c->b) && sides && !(image[0] >= 1 && image[1] >= 1 && fmax(image[0], image[1]) < 1e9)) {
        cvi_build_set(&c->b,
                      cvi_fail(c->b.err, CVS_E_SHAPE, "a picture of %g x %g cannot be", image[0], image[1]));
    }
    int v = cvi_caffe_op(c, "convscope::PriorBox", NULL, CVI_MIN(c->n_in, 2), c->in);
    cvi_build_floats(&c->b, "min_size", n, least);
    if (larger > 0) {
        cvi_build_floats(&c->b, "max_size", larger, most);
    }
    if (ratios > 0) {
        cvi_build_floats(&c->b, "aspect_ratio", ratios, ratio);
    }
    if (variances > 0) {
        cvi_build_floats(&c->b, "variance", variances, variance);
    }
    if (sides && cvi_build_ok(&c->b)) {
        cvi_build_ints(&c->b, "image", 2, (int64_t[]){(int64_t)image[0], (int64_t)image[1]});
    }
    if (steps) {
        cvi_build_floats(&c->b, "step", 2, step);
    }
    cvi_build_float(&c->b, "offset", cvi_caffe_number(c, "offset", NULL, 0, 0.5));
    cvi_build_int(&c->b, "clip", cvi_caffe_bool(c, "clip", NULL, false));
    cvi_caffe_top(c, 0, v);
}

/* ---- DetectionOutput ------------------------------------------------------------------------------------ */

/* Numbers of one picture in a blob, or -1. */
static int64_t per_picture(cvi_caffe *c, int value) {
    const cvs_tensor *s = cvi_caffe_shape(c, value);
    int64_t n = s ? 1 : -1;
    for (int i = 1; s && i < s->rank; i++) {
        if (!cvi_mul(n, s->dim[i], &n)) {
            return -1;
        }
    }
    return n;
}

/* What num_classes and share_location say must be what the shapes say. */
static void check_counts(cvi_caffe *c) {
    int64_t classes = cvi_caffe_int(c, "num_classes", NULL, 0, 0), want = 0;
    bool shared = cvi_caffe_bool(c, "share_location", NULL, true);
    const cvs_tensor *prior = cvi_caffe_shape(c, c->in[2]);
    int64_t boxes = prior && prior->rank > 0 ? prior->dim[prior->rank - 1] / 4 : -1;
    int64_t moves = per_picture(c, c->in[0]), scores = per_picture(c, c->in[1]);
    if (!cvi_build_ok(&c->b) || c->guessed || boxes < 1 || moves < 0 || scores < 0) {
        return;
    }
    int64_t per = shared ? 4 : 4 * classes; /* 32 bits times 4 */
    bool fits = classes > 0 && cvi_mul(boxes, classes, &want) && want == scores &&
                cvi_mul(boxes, per, &want) && want == moves;
    if (!fits) {
        cvi_build_set(&c->b,
                      cvi_fail(c->b.err, CVS_E_SHAPE,
                               "%lld boxes of %lld classes do not fit %lld scores and %lld moves",
                               (long long)boxes, (long long)classes, (long long)scores, (long long)moves));
    }
}

static const char *code_of(const cvi_caffe *c) {
    const char *word = cvi_caffe_word(c, "code_type", "CORNER");
    return cvi_caffe_same(word, "CENTER_SIZE") || strcmp(word, "2") == 0   ? "center_size"
           : cvi_caffe_same(word, "CORNER_SIZE") || strcmp(word, "3") == 0 ? "corner_size"
           : cvi_caffe_same(word, "CORNER") || strcmp(word, "1") == 0      ? "corner"
                                                                           : NULL;
}

void cvi_caffe_detection_output(cvi_caffe *c) {
    const caffe_message *nms = cvi_caffe_message(cvi_caffe_params(c), "nms_param");
    const char *code = code_of(c);
    if (c->n_in < 3) {
        cvi_build_set(&c->b,
                      cvi_fail(c->b.err, CVS_E_FORMAT,
                               "the layer reads %d blobs, it needs %d: moves, scores and boxes", c->n_in, 3));
        return;
    }
    if (!code) {
        cvi_caffe_opaque(c, "this way to code boxes is not known");
        return;
    }
    check_counts(c);
    int v = cvi_caffe_op(c, "convscope::DetectionOutput", NULL, 3, c->in);
    cvi_build_string(&c->b, "code_type", code);
    cvi_build_int(&c->b, "background_label_id", cvi_caffe_int(c, "background_label_id", NULL, 0, 0));
    cvi_build_int(&c->b, "variance_encoded_in_target",
                  cvi_caffe_bool(c, "variance_encoded_in_target", NULL, false));
    if (cvi_caffe_field(cvi_caffe_params(c), "confidence_threshold", 0)) {
        cvi_build_float(&c->b, "confidence_threshold",
                        cvi_caffe_number(c, "confidence_threshold", NULL, 0, 0));
    }
    cvi_build_int(&c->b, "keep_top_k", cvi_caffe_int(c, "keep_top_k", NULL, 0, -1));
    cvi_build_int(&c->b, "top_k", cvi_caffe_int_of(c, nms, "top_k", 0, -1));
    cvi_build_float(&c->b, "nms_threshold", cvi_caffe_number_of(c, nms, "nms_threshold", 0, 0.3));
    cvi_build_float(&c->b, "eta", cvi_caffe_number_of(c, nms, "eta", 0, 1));
    cvi_build_int(&c->b, "clip", cvi_caffe_bool(c, "clip", NULL, false));
    cvi_caffe_top(c, 0, v);
}

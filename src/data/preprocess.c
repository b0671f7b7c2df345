/* SPDX-License-Identifier: MIT
 * preprocess.c - from a picture to what goes into a network: resize, crop, channel order, scale, mean, std; its presets, and
 * its text form "--preprocess" in and out.
 */
#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <strings.h>

#include "base/base.h"
#include "convscope/data.h"

/* ---- presets ---------------------------------------------------------------------------------------- */

typedef struct preset {
    const char *name;
    cvs_preprocess p;
} preset;

#define RATIO_256_224 (256.0 / 224.0)

static const preset presets[] = {
    {"unit", {.scale = 1.0 / 255}},
    {"tf", {.scale = 1.0 / 127.5, .mean = {1, 1, 1, 1}}},
    {"ImageNet-torch",
     {.resize_ratio = RATIO_256_224,
      .scale = 1.0 / 255,
      .mean = {0.485, 0.456, 0.406},
      .std = {0.229, 0.224, 0.225}}},
    {"ImageNet-caffe",
     {.resize_ratio = RATIO_256_224, .order = CVS_BGR, .scale = 1, .mean = {103.939, 116.779, 123.68}}},
};

/* ---- parsing ---------------------------------------------------------------------------------------- */

typedef struct words {
    const char *name;
    int value;
} words;

static const words resize_words[] = {{"shorter", CVS_RESIZE_SHORTER},
                                     {"stretch", CVS_RESIZE_STRETCH},
                                     {"none", CVS_RESIZE_NONE},
                                     {"letterbox", CVS_RESIZE_LETTERBOX},
                                     {NULL, 0}};
static const words order_words[] = {{"rgb", CVS_RGB}, {"bgr", CVS_BGR}, {"gray", CVS_GRAY}, {NULL, 0}};
static const words yes_words[] = {{"yes", 1}, {"no", 0}, {"true", 1}, {"false", 0}, {NULL, 0}};

static bool word(const words *table, const char *text, int *value) {
    for (; table->name; table++) {
        if (strcasecmp(table->name, text) == 0) {
            *value = table->value;
            return true;
        }
    }
    return false;
}

/* "0.5" or "1/255". */
static bool number(const char *text, double *out) {
    char *end = NULL;
    double v = strtod(text, &end);
    if (end != text && *end == '/') {
        const char *below = end + 1;
        double divisor = strtod(below, &end);
        v = end == below || divisor == 0 ? (double)NAN : v / divisor;
    }
    if (end == text || *end || !isfinite(v)) {
        return false;
    }
    *out = v;
    return true;
}

/* "a" or "a:b:c" (up to 4); one number stands for every channel. */
static bool numbers(const char *text, double out[4]) {
    char copy[128];
    if (strlen(text) >= sizeof copy) {
        return false;
    }
    cvi_copy_text(copy, sizeof copy, text);
    int n = 0;
    for (char *at = copy; at && n < 4; n++) {
        char *colon = strchr(at, ':');
        if (colon) {
            *colon++ = '\0';
        }
        if (!number(at, &out[n])) {
            return false;
        }
        at = colon;
        if (at && n == 3) {
            return false;
        }
    }
    for (int i = n; i < 4; i++) {
        out[i] = n == 1 ? out[0] : 0;
    }
    return n > 0;
}

static bool set_key(cvs_preprocess *p, const char *key, const char *value) {
    int choice = 0;
    double v = 0;
    bool ok = false;
    if (strcasecmp(key, "resize") == 0) {
        ok = word(resize_words, value, &choice);
        p->resize = (cvs_resize)choice;
    } else if (strcasecmp(key, "order") == 0) {
        ok = word(order_words, value, &choice);
        p->order = (cvs_channel_order)choice;
    } else if (strcasecmp(key, "invert") == 0) {
        ok = word(yes_words, value, &choice);
        p->invert = choice != 0;
    } else if (strcasecmp(key, "size") == 0) {
        ok = number(value, &v) && v >= 0 && v <= 65536 && v == floor(v);
        p->resize_to = ok ? (int64_t)v : 0;
    } else if (strcasecmp(key, "ratio") == 0) {
        ok = number(value, &v) && v >= 1 && v <= 16;
        p->resize_ratio = v;
        p->resize_to = 0;
    } else if (strcasecmp(key, "scale") == 0) {
        ok = number(value, &v) && v > 0;
        p->scale = v;
    } else if (strcasecmp(key, "mean") == 0) {
        ok = numbers(value, p->mean);
    } else if (strcasecmp(key, "std") == 0) {
        ok = numbers(value, p->std);
        for (int i = 0; i < 4 && ok; i++) {
            ok = p->std[i] >= 0;
        }
    }
    return ok;
}

static bool set_preset(cvs_preprocess *p, const char *name) {
    for (int i = 0; i < CVI_COUNT(presets); i++) {
        if (strcasecmp(presets[i].name, name) == 0) {
            *p = presets[i].p;
            snprintf(p->from, sizeof p->from, "preset %s", presets[i].name);
            return true;
        }
    }
    return false;
}

static cvs_status parse_item(cvs_preprocess *p, char *item, bool first, cvs_error *err) {
    while (isspace((unsigned char)*item)) {
        item++;
    }
    for (size_t n = strlen(item); n > 0 && isspace((unsigned char)item[n - 1]); n--) {
        item[n - 1] = '\0';
    }
    char *equals = strchr(item, '=');
    if (!equals) {
        if (first && set_preset(p, item)) {
            return CVS_OK;
        }
        return cvi_fail(err, CVS_E_ARGUMENT,
                        "unknown preprocessing \"%.60s\"; presets: unit, tf, ImageNet-torch, ImageNet-caffe",
                        item);
    }
    *equals = '\0';
    if (!set_key(p, item, equals + 1)) {
        return cvi_fail(err, CVS_E_ARGUMENT,
                        "preprocessing \"%.40s=%.60s\" is not understood; keys: "
                        "resize=shorter|stretch|none|letterbox, size=, "
                        "ratio=, order=rgb|bgr|gray, scale=, mean=a:b:c, std=a:b:c, invert=yes|no",
                        item, equals + 1);
    }
    return CVS_OK;
}

cvs_status cvs_preprocess_parse(const char *text, cvs_preprocess *out, cvs_error *err) {
    char copy[512];
    cvs_preprocess p = {.from = "given"};
    if (strlen(text) >= sizeof copy) {
        return cvi_at_attr(err, cvi_fail(err, CVS_E_ARGUMENT, "the preprocessing text is too long"),
                           "preprocess");
    }
    cvi_copy_text(copy, sizeof copy, text);
    bool first = true;
    for (char *item = copy; item;) {
        char *comma = strchr(item, ',');
        if (comma) {
            *comma++ = '\0';
        }
        cvs_status s = parse_item(&p, item, first, err);
        if (s != CVS_OK) {
            return cvi_at_attr(err, s, "preprocess");
        }
        first = false;
        item = comma;
    }
    p.known = true;
    *out = p;
    return CVS_OK;
}

/* ---- writing ---------------------------------------------------------------------------------------- */

/* The shortest decimal text that reads back as the same number. */
static void put_number(char *buf, size_t size, double v) {
    for (int digits = 6; digits <= 17; digits++) {
        snprintf(buf, size, "%.*g", digits, v);
        if (strtod(buf, NULL) == v) {
            return;
        }
    }
}

static void put(char *buf, size_t size, const char *key, const char *value) {
    size_t n = strlen(buf);
    snprintf(buf + n, size - n, "%s%s=%s", n ? "," : "", key, value);
}

static void put_list(char *buf, size_t size, const char *key, const double *v) {
    char text[128] = "";
    for (int i = 0; i < (v[3] != 0 ? 4 : 3); i++) {
        size_t n = strlen(text);
        snprintf(text + n, sizeof text - n, "%s", i ? ":" : "");
        n = strlen(text);
        put_number(text + n, sizeof text - n, v[i]);
    }
    put(buf, size, key, text);
}

static const char *name_of(const words *table, int value) {
    for (; table->name; table++) {
        if (table->value == value) {
            return table->name;
        }
    }
    return "?";
}

static bool any(const double *v) {
    return v[0] != 0 || v[1] != 0 || v[2] != 0 || v[3] != 0;
}

const char *cvs_preprocess_text(const cvs_preprocess *p, char *buf, size_t size) {
    char number_text[40];
    if (size == 0) {
        return buf;
    }
    buf[0] = '\0';
    put(buf, size, "resize", name_of(resize_words, (int)p->resize));
    if (p->resize_to > 0) {
        snprintf(number_text, sizeof number_text, "%lld", (long long)p->resize_to);
        put(buf, size, "size", number_text);
    } else if (p->resize_ratio > 0 && p->resize_ratio != 1) {
        put_number(number_text, sizeof number_text, p->resize_ratio);
        put(buf, size, "ratio", number_text);
    }
    put(buf, size, "order", name_of(order_words, (int)p->order));
    if (p->scale <= 0 || p->scale == 1.0 / 255) {
        put(buf, size, "scale", "1/255");
    } else {
        put_number(number_text, sizeof number_text, p->scale);
        put(buf, size, "scale", number_text);
    }
    if (any(p->mean)) {
        put_list(buf, size, "mean", p->mean);
    }
    if (any(p->std)) {
        put_list(buf, size, "std", p->std);
    }
    if (p->invert) {
        put(buf, size, "invert", "yes");
    }
    return buf;
}

/* ---- applying --------------------------------------------------------------------------------------- */

/* The size to resize an h x w picture to, so that an H x W crop fits in it. Sides as torchvision computes them:
 * the side that decides is exact, the other one truncated. */
static void resized_size(const cvs_preprocess *p, int64_t h, int64_t w, int64_t H, int64_t W, int64_t *nh,
                         int64_t *nw) {
    double ratio = p->resize_ratio > 0 ? p->resize_ratio : 1;
    double to_h = p->resize_to > 0 ? (double)p->resize_to : rint((double)H * ratio);
    double to_w = p->resize_to > 0 ? (double)p->resize_to : rint((double)W * ratio);
    bool by_height = to_h * (double)w >= to_w * (double)h; /* scaling by height leaves enough width */
    *nh = by_height ? (int64_t)to_h : (int64_t)(to_w * (double)h / (double)w);
    *nw = by_height ? (int64_t)(to_h * (double)w / (double)h) : (int64_t)to_w;
    *nh = CVI_MAX(*nh, H);
    *nw = CVI_MAX(*nw, W);
}

/* Where the samples of one row or column come from: between which two, and how far along, as OpenCV's INTER_LINEAR has it. */
typedef struct place {
    int64_t low, high;
    double share;
} place;

static place sample_place(int64_t i, int64_t from, int64_t to) {
    double at = ((double)i + 0.5) * (double)from / (double)to - 0.5;
    at = CVI_MIN(CVI_MAX(at, 0.0), (double)(from - 1));
    int64_t low = (int64_t)at;
    return (place){low, CVI_MIN(low + 1, from - 1), at - (double)low};
}

enum { GREY = 114 };

/* The picture with its aspect kept in the middle of grey, uint8 [H,W,3], owned. The odd pixel of grey lies at the bottom and right. */
static cvs_status letterbox(const cvs_tensor *image, int64_t H, int64_t W, cvs_tensor *out, cvs_error *err) {
    int64_t h = image->dim[0], w = image->dim[1], dim[3] = {H, W, 3};
    double scale = fmin((double)H / (double)h, (double)W / (double)w);
    int64_t nh = CVI_MIN(H, CVI_MAX((int64_t)1, (int64_t)rint((double)h * scale)));
    int64_t nw = CVI_MIN(W, CVI_MAX((int64_t)1, (int64_t)rint((double)w * scale)));
    int64_t top = (H - nh) / 2, left = (W - nw) / 2;
    const uint8_t *from = image->data;
    CVI_TRY(cvs_tensor_new(out, CVS_U8, 3, dim, err));
    memset(out->data, GREY, (size_t)(H * W * 3));
    for (int64_t y = 0; y < nh; y++) {
        place r = sample_place(y, h, nh);
        uint8_t *to = (uint8_t *)out->data + ((top + y) * W + left) * 3;
        for (int64_t x = 0; x < nw; x++) {
            place c = sample_place(x, w, nw);
            for (int k = 0; k < 3; k++) {
                double a = from[(r.low * w + c.low) * 3 + k], b = from[(r.low * w + c.high) * 3 + k];
                double d = from[(r.high * w + c.low) * 3 + k], e = from[(r.high * w + c.high) * 3 + k];
                double above = a + (b - a) * c.share, below = d + (e - d) * c.share;
                *to++ = (uint8_t)(above + (below - above) * r.share + 0.5);
            }
        }
    }
    return CVS_OK;
}

/* Resized and cropped to H x W, uint8 [H,W,3], owned. */
static cvs_status fit(const cvs_preprocess *p, const cvs_tensor *image, int64_t H, int64_t W, cvs_tensor *out,
                      cvs_error *err) {
    int64_t h = image->dim[0], w = image->dim[1], nh = H, nw = W;
    if (p->resize == CVS_RESIZE_NONE && (h != H || w != W)) {
        return cvi_fail(err, CVS_E_SHAPE,
                        "the picture is %lldx%lld (width x height), the network takes %lldx%lld unresized",
                        (long long)w, (long long)h, (long long)W, (long long)H);
    }
    if (p->resize == CVS_RESIZE_LETTERBOX) {
        return letterbox(image, H, W, out, err);
    }
    if (p->resize == CVS_RESIZE_SHORTER) {
        resized_size(p, h, w, H, W, &nh, &nw);
        int64_t pixels = 0, most = cvs_limits_default(NULL).max_pixels;
        if (!cvi_mul(nh, nw, &pixels) || pixels > most) {
            return cvi_fail(
                err, CVS_E_LIMIT,
                "resized by its shorter side the picture would have %lldx%lld pixels, the limit is %lld",
                (long long)nw, (long long)nh, (long long)most);
        }
    }
    cvs_tensor scaled = {0};
    const cvs_tensor *from = image;
    if (nh != h || nw != w) {
        CVI_TRY(cvs_image_resize(image, nh, nw, &scaled, err));
        from = &scaled;
    }
    int64_t top = (int64_t)rint((double)(nh - H) / 2), left = (int64_t)rint((double)(nw - W) / 2);
    int64_t dim[3] = {H, W, 3};
    cvs_status s = cvs_tensor_new(out, CVS_U8, 3, dim, err);
    for (int64_t y = 0; y < H && s == CVS_OK; y++) {
        memcpy((uint8_t *)out->data + y * W * 3, (const uint8_t *)from->data + ((top + y) * nw + left) * 3,
               (size_t)W * 3);
    }
    cvs_tensor_free(&scaled);
    return s;
}

/* Luma with Pillow's weights (ITU-R 601-2 in 16-bit fixed point), on all three channels; then inversion. */
static void recolour(const cvs_preprocess *p, bool gray, cvs_tensor *image) {
    uint8_t *px = image->data;
    for (int64_t i = 0; i < image->dim[0] * image->dim[1]; i++, px += 3) {
        if (gray) {
            uint32_t luma = (px[0] * 19595u + px[1] * 38470u + px[2] * 7471u + 0x8000u) >> 16;
            px[0] = px[1] = px[2] = (uint8_t)luma;
        }
        for (int c = 0; c < 3 && p->invert; c++) {
            px[c] = (uint8_t)(255 - px[c]);
        }
    }
}

static void scale_planes(const cvs_preprocess *p, const cvs_tensor *image, int64_t channels, float *out) {
    int64_t pixels = image->dim[0] * image->dim[1];
    const uint8_t *px = image->data;
    double scale = p->scale > 0 ? p->scale : 1.0 / 255;
    for (int64_t c = 0; c < channels; c++) {
        int64_t source = p->order == CVS_BGR && channels == 3 ? 2 - c : c;
        double std = p->std[c] != 0 ? p->std[c] : 1;
        for (int64_t i = 0; i < pixels; i++) {
            out[c * pixels + i] = (float)((px[i * 3 + source] * scale - p->mean[c]) / std);
        }
    }
}

cvs_status cvs_preprocess_apply(const cvs_preprocess *p, const cvs_tensor *image, int64_t channels,
                                int64_t height, int64_t width, cvs_tensor *out, cvs_tensor *shown,
                                cvs_error *err) {
    *out = (cvs_tensor){0};
    if (shown) {
        *shown = (cvs_tensor){0};
    }
    if (image->dtype != CVS_U8 || image->rank != 3 || image->dim[2] != 3 || image->dim[0] < 1 ||
        image->dim[1] < 1) {
        return cvi_fail(err, CVS_E_ARGUMENT, "a picture has the shape [H,W,3] and 8-bit numbers");
    }
    if (channels != 1 && channels != 3) {
        return cvi_fail(err, CVS_E_SHAPE,
                        "the network takes %lld channels; a picture has 1 or 3 (give it a .npy file)",
                        (long long)channels);
    }
    if (height < 1 || width < 1 || height > 65536 || width > 65536) {
        return cvi_fail(err, CVS_E_SHAPE, "the network takes %lldx%lld pixels (width x height)",
                        (long long)width, (long long)height);
    }
    cvs_tensor seen = {0};
    CVI_TRY(fit(p, image, height, width, &seen, err));
    recolour(p, channels == 1 || p->order == CVS_GRAY, &seen);
    int64_t dim[4] = {1, channels, height, width};
    cvs_status s = cvs_tensor_new(out, CVS_F32, 4, dim, err);
    if (s == CVS_OK) {
        scale_planes(p, &seen, channels, out->data);
    }
    if (s == CVS_OK && shown) {
        *shown = seen;
    } else {
        cvs_tensor_free(&seen);
    }
    return s;
}

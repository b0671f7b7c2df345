/* SPDX-License-Identifier: MIT
 * samples.c - a split of a data set, read once: pictures as bytes in the network's size, numbers made of them when a batch is
 * filled. The bytes are those that prediction sees (the same preprocessing), so a trained model answers as it was trained.
 */
#include <math.h>
#include <stdatomic.h>

#include "train/trainer.h"

typedef struct load_job {
    cvi_samples *s;
    const cvs_preprocess *p;
    atomic_int failed;
    cvs_error *errors; /* per worker */
    cvs_lang lang;
} load_job;

/* uint8 [H,W,1] or [H,W,3] -> [H,W,3], owned. */
static cvs_status to_rgb(const cvs_tensor *t, cvs_tensor *out, cvs_error *err) {
    CVI_TRY(cvs_tensor_new(out, CVS_U8, 3, (int64_t[]){t->dim[0], t->dim[1], 3}, err));
    const uint8_t *from = t->data;
    uint8_t *to = out->data;
    int64_t channels = t->dim[2];
    for (int64_t i = 0; i < t->dim[0] * t->dim[1]; i++) {
        for (int c = 0; c < 3; c++) {
            to[3 * i + c] = from[channels * i + (channels == 3 ? c : 0)];
        }
    }
    return CVS_OK;
}

cvs_status cvi_samples_read(cvs_data *data, int64_t i, const cvs_preprocess *p, const int64_t input[3],
                            cvs_tensor *numbers, cvs_tensor *shown, int *label, cvs_error *err) {
    cvs_tensor picture = {0}, rgb = {0};
    cvs_status status = cvs_data_get(data, i, &picture, label, NULL, err);
    if (status == CVS_OK) {
        status = to_rgb(&picture, &rgb, err);
    }
    if (status == CVS_OK) {
        status = cvs_preprocess_apply(p, &rgb, input[0], input[1], input[2], numbers, shown, err);
    }
    cvs_tensor_free(&picture);
    cvs_tensor_free(&rgb);
    return status;
}

/* The picture as the network sees it, planes in the network's channel order. */
static cvs_status read_one(const load_job *j, int64_t i, cvs_error *err) {
    cvi_samples *s = j->s;
    cvs_tensor numbers = {0}, shown = {0};
    cvs_status status =
        cvi_samples_read(s->data, i, j->p, (const int64_t[]){s->channels, s->height, s->width}, &numbers,
                         &shown, &s->labels[i], err);
    int64_t pixels = s->height * s->width;
    uint8_t *to = s->pixels + i * s->channels * pixels;
    for (int64_t c = 0; status == CVS_OK && c < s->channels; c++) {
        int64_t source = j->p->order == CVS_BGR && s->channels == 3 ? 2 - c : c;
        for (int64_t k = 0; k < pixels; k++) {
            to[c * pixels + k] = ((const uint8_t *)shown.data)[3 * k + source];
        }
    }
    cvs_tensor_free(&numbers);
    cvs_tensor_free(&shown);
    return status;
}

static void load_body(void *context, int64_t chunk, int worker) {
    load_job *j = context;
    for (int64_t i = chunk * 32; i < CVI_MIN(j->s->n, chunk * 32 + 32) && !j->failed; i++) {
        if (read_one(j, i, &j->errors[worker]) != CVS_OK) {
            j->failed = 1;
        }
    }
}

static cvs_status load_all(cvi_samples *s, const cvs_preprocess *p, cvi_pool *pool, cvs_error *err) {
    int threads = cvi_pool_threads(pool);
    load_job j = {.s = s, .p = p};
    j.errors = cvi_calloc((size_t)threads, sizeof *j.errors);
    if (!j.errors) {
        return cvi_no_memory(err, (size_t)threads * sizeof *j.errors);
    }
    for (int i = 0; err && i < threads; i++) {
        j.errors[i].lang = err->lang;
    }
    cvi_pool_run(pool, (s->n + 31) / 32, load_body, &j);
    cvs_status status = CVS_OK;
    for (int i = 0; i < threads && status == CVS_OK; i++) {
        if (j.errors[i].code != CVS_OK) {
            status = j.errors[i].code;
            if (err) {
                *err = j.errors[i];
            }
        }
    }
    cvi_free(j.errors);
    return status;
}

static cvs_status make_room(cvi_samples *s, const cvs_limits *limits, cvs_error *err) {
    int64_t bytes = 0, most = cvs_limits_default(limits).max_memory_bytes;
    bool fits = cvi_mul(s->channels, s->height, &bytes) && cvi_mul(bytes, s->width, &bytes) &&
                cvi_mul(bytes, s->n, &bytes) && bytes <= most;
    if (!fits) {
        return cvi_fail(err, CVS_E_LIMIT,
                        "%lld pictures of this size need more than %lld MiB of memory, the limit; use fewer",
                        (long long)s->n, (long long)(most >> 20));
    }
    s->pixels = cvi_malloc((size_t)CVI_MAX(bytes, 1));
    s->labels = cvi_calloc((size_t)CVI_MAX(s->n, 1), sizeof *s->labels);
    return s->pixels && s->labels ? CVS_OK : cvi_no_memory(err, (size_t)bytes);
}

/* As cvs_preprocess_apply computes it. */
static void make_values(cvi_samples *s, const cvs_preprocess *p) {
    double scale = p->scale > 0 ? p->scale : 1.0 / 255;
    for (int c = 0; c < 4; c++) {
        double std = p->std[c] != 0 ? p->std[c] : 1;
        for (int px = 0; px < 256; px++) {
            s->value[c][px] = (float)((px * scale - p->mean[c]) / std);
        }
    }
}

cvs_status cvi_samples_load(cvs_data *data, const cvs_limits *limits, const cvs_preprocess *p,
                            const int64_t input[3], cvi_pool *pool, cvi_samples *out, cvs_error *err) {
    *out = (cvi_samples){.channels = input[0], .height = input[1], .width = input[2], .data = data};
    cvs_data_info info;
    cvs_data_describe(data, &info);
    out->n = info.count;
    out->n_classes = info.n_classes;
    out->classes = info.classes;
    out->fingerprint = info.fingerprint;
    out->bgr = p->order == CVS_BGR;
    make_values(out, p);
    cvs_status s = make_room(out, limits, err);
    if (s == CVS_OK) {
        s = load_all(out, p, pool, err);
    }
    if (s != CVS_OK) {
        cvi_samples_free(out);
    }
    return s;
}

void cvi_samples_normalise(cvi_samples *s, cvs_preprocess *p) {
    double scale = p->scale > 0 ? p->scale : 1.0 / 255;
    int64_t pixels = s->height * s->width;
    for (int64_t c = 0; c < CVI_MIN(s->channels, (int64_t)4); c++) {
        int64_t count[256] = {0};
        double sum = 0, square = 0, all = (double)(s->n * pixels);
        for (int64_t i = 0; i < s->n; i++) {
            const uint8_t *plane = s->pixels + (i * s->channels + c) * pixels;
            for (int64_t k = 0; k < pixels; k++) {
                count[plane[k]]++;
            }
        }
        for (int v = 0; v < 256; v++) {
            sum += (double)count[v] * v * scale;
            square += (double)count[v] * v * scale * v * scale;
        }
        double mean = sum / fmax(all, 1), deviation = sqrt(fmax(square / fmax(all, 1) - mean * mean, 0));
        p->mean[c] = round(mean * 1e4) / 1e4; /* as files of models keep them */
        p->std[c] = deviation > 1e-4 ? round(deviation * 1e4) / 1e4 : 1;
    }
    for (int c = 1; s->channels == 1 && c < 4; c++) {
        p->mean[c] = p->mean[0];
        p->std[c] = p->std[0];
    }
    make_values(s, p);
}

void cvi_samples_free(cvi_samples *s) {
    cvi_free(s->pixels);
    cvi_free(s->labels);
    cvs_data_free(s->data);
    *s = (cvi_samples){0};
}

enum { PURPOSE_AUGMENT = 0x61756774 /* "augt" */ };

/* One picture's choices. */
typedef struct change {
    double cos, sin; /* of the turn, divided by the enlargement */
    double dy, dx, gain, lift;
    int64_t down, right; /* by how much it moves over zeros */
    double hue, saturation;
    bool flip;
    int64_t top, left, side; /* of the square that is cut out */
} change;

/* In [-1, 1), the k-th choice of a picture. */
static double choice(uint64_t seed, uint64_t draw, int k) {
    return 2 * cvi_random_uniform(seed, PURPOSE_AUGMENT + ((uint64_t)k << 32), draw) - 1;
}

static change choose(const cvi_samples *s, const cvi_augment *a, uint64_t seed, uint64_t draw) {
    double turn = choice(seed, draw, 1) * a->rotate * 3.14159265358979323846 / 180;
    double zoom = pow(1 + a->scale, choice(seed, draw, 2));
    change c = {.cos = cos(turn) / zoom,
                .sin = sin(turn) / zoom,
                .dy = floor(choice(seed, draw, 3) * ((double)a->shift + 0.5) + 0.5),
                .dx = floor(choice(seed, draw, 4) * ((double)a->shift + 0.5) + 0.5),
                .gain = 1 + choice(seed, draw, 5) * a->contrast,
                .lift = choice(seed, draw, 6) * a->brightness * 255,
                .flip = a->flip && choice(seed, draw, 7) < 0,
                .side = a->cutout};
    c.down = (int64_t)floor(choice(seed, draw, 10) * ((double)a->crop + 0.5) + 0.5);
    c.right = (int64_t)floor(choice(seed, draw, 11) * ((double)a->crop + 0.5) + 0.5);
    c.hue = choice(seed, draw, 12) * a->colour * 3.14159265358979323846;
    c.saturation = 1 + choice(seed, draw, 13) * a->colour;
    c.top = (int64_t)((choice(seed, draw, 8) + 1) / 2 * (double)s->height) - c.side / 2;
    c.left = (int64_t)((choice(seed, draw, 9) + 1) / 2 * (double)s->width) - c.side / 2;
    return c;
}

/* Between the four pixels around a place, edges repeated. */
static double between(const uint8_t *plane, int64_t h, int64_t w, double y, double x) {
    y = y < 0 ? 0 : y > (double)(h - 1) ? (double)(h - 1) : y;
    x = x < 0 ? 0 : x > (double)(w - 1) ? (double)(w - 1) : x;
    int64_t top = (int64_t)y, left = (int64_t)x, down = CVI_MIN(top + 1, h - 1),
            right = CVI_MIN(left + 1, w - 1);
    double v = y - (double)top, u = x - (double)left;
    return (1 - v) * ((1 - u) * plane[top * w + left] + u * plane[top * w + right]) +
           v * ((1 - u) * plane[down * w + left] + u * plane[down * w + right]);
}

/* Hue and saturation of [3,h,w] in YIQ (the television standard of 1953): the colour plane turned and stretched, the light as it was. */
static void recolour(const cvi_samples *s, const change *c, float *out) {
    int64_t n = s->height * s->width;
    int first = s->bgr ? 2 : 0;
    double zero[3], step[3], cosine = cos(c->hue) * c->saturation, sine = sin(c->hue) * c->saturation;
    for (int p = 0; p < 3; p++) {
        int plane = p == 0 ? first : p == 2 ? 2 - first : 1;
        zero[p] = (double)s->value[plane][0];
        step[p] = ((double)s->value[plane][255] - zero[p]) / 255;
    }
    float *red = out + first * n, *green = out + n, *blue = out + (2 - first) * n;
    for (int64_t i = 0; i < n && step[0] != 0 && step[1] != 0 && step[2] != 0; i++) {
        double r = ((double)red[i] - zero[0]) / step[0], g = ((double)green[i] - zero[1]) / step[1];
        double b = ((double)blue[i] - zero[2]) / step[2], y = 0.299 * r + 0.587 * g + 0.114 * b;
        double u = 0.5959 * r - 0.2746 * g - 0.3213 * b, v = 0.2115 * r - 0.5227 * g + 0.3112 * b;
        double i_new = cosine * u - sine * v, q_new = sine * u + cosine * v;
        double now[3] = {y + 0.956 * i_new + 0.619 * q_new, y - 0.272 * i_new - 0.647 * q_new,
                         y - 1.106 * i_new + 1.703 * q_new};
        float *to[3] = {red + i, green + i, blue + i};
        for (int p = 0; p < 3; p++) {
            now[p] = now[p] < 0 ? 0 : now[p] > 255 ? 255 : now[p];
            *to[p] = (float)(zero[p] + step[p] * now[p]);
        }
    }
}

/* Turned, enlarged, moved, mirrored, brighter or darker, with a square cut out. A pixel's number is linear in its byte. */
static void get_changed(const cvi_samples *s, int64_t i, const cvi_augment *a, uint64_t seed, uint64_t draw,
                        float *out) {
    int64_t h = s->height, w = s->width;
    double cy = (double)(h - 1) / 2, cx = (double)(w - 1) / 2;
    change c = choose(s, a, seed, draw);
    for (int64_t p = 0; p < s->channels; p++) {
        const uint8_t *plane = s->pixels + (i * s->channels + p) * h * w;
        double zero = (double)s->value[p][0], step = ((double)s->value[p][255] - zero) / 255;
        for (int64_t y = 0; y < h; y++) {
            for (int64_t x = 0; x < w; x++) {
                int64_t above = y - c.down, left = (c.flip ? w - 1 - x : x) - c.right;
                bool outside = above < 0 || above >= h || left < 0 || left >= w;
                double from_y = (double)above - cy - c.dy, from_x = (double)left - cx - c.dx;
                double v = between(plane, h, w, cy + c.cos * from_y + c.sin * from_x,
                                   cx + c.cos * from_x - c.sin * from_y);
                bool cut = y >= c.top && y < c.top + c.side && x >= c.left && x < c.left + c.side;
                v = cut ? 128 : ((outside ? 0 : v) - 128) * c.gain + 128 + c.lift;
                out[(p * h + y) * w + x] = (float)(zero + step * (v < 0 ? 0 : v > 255 ? 255 : v));
            }
        }
    }
    if (a->colour > 0 && s->channels == 3) {
        recolour(s, &c, out);
    }
}

void cvi_samples_get(const cvi_samples *s, int64_t i, const cvi_augment *augment, uint64_t seed,
                     uint64_t draw, float *out) {
    int64_t dy = 0, dx = 0, h = s->height, w = s->width;
    bool flip = false;
    if (augment &&
        (augment->rotate > 0 || augment->scale > 0 || augment->brightness > 0 || augment->contrast > 0 ||
         augment->cutout > 0 || augment->crop > 0 || augment->colour > 0)) {
        get_changed(s, i, augment, seed, draw, out);
        return;
    }
    if (augment && (augment->shift > 0 || augment->flip)) {
        uint64_t bits = cvi_random_bits(seed, PURPOSE_AUGMENT, draw);
        uint64_t range = 2 * (uint64_t)augment->shift + 1;
        dy = (int64_t)((bits & 0xffffff) % range) - augment->shift;
        dx = (int64_t)((bits >> 24 & 0xffffff) % range) - augment->shift;
        flip = augment->flip && bits >> 63;
    }
    for (int64_t c = 0; c < s->channels; c++) {
        const uint8_t *plane = s->pixels + (i * s->channels + c) * h * w;
        const float *value = s->value[c];
        for (int64_t y = 0; y < h; y++) {
            const uint8_t *row = plane + CVI_MIN(CVI_MAX(y - dy, 0), h - 1) * w;
            float *to = out + (c * h + y) * w;
            for (int64_t x = 0; x < w; x++) {
                int64_t from = CVI_MIN(CVI_MAX((flip ? w - 1 - x : x) - dx, 0), w - 1);
                to[x] = value[row[from]];
            }
        }
    }
}

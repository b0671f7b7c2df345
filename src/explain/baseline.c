/* SPDX-License-Identifier: MIT
 * baseline.c - the pictures that methods start from: black, white, the picture's own mean colour, the picture out of focus, uniform
 * noise, or a file; and what captions call them.
 */
#include "engine/run_state.h"
#include "explain/again.h"
#include "explain/blur.h"

enum { NOISE = 0x62617365 /* "base" */ };

void cvi_channel_means(const cvs_tensor *picture, int64_t channels, double *mean) {
    int64_t area = cvs_tensor_count(picture) / channels;
    for (int64_t c = 0; c < channels; c++) {
        mean[c] = 0.0;
        for (int64_t i = 0; i < area; i++) {
            mean[c] += cvi_get(picture, c * area + i) / (double)area;
        }
    }
}

/* A file in the model's own layout, with or without the batch dimension, of exactly the picture's shape. */
static cvs_status baseline_file(const cvi_again *a, const char *path, float *out) {
    const cvs_tensor *p = &a->picture;
    cvs_error *err = a->q->err;
    cvs_tensor file = {0}, numbers = {0}, turned = {0};
    cvs_status s = cvs_npy_read(path, &a->q->run->options.limits, &file, err);
    if (s == CVS_OK) {
        s = cvs_tensor_convert(&file, CVS_F32, &numbers, err);
    }
    bool flat = a->q->run->inputs[0].rank == 3; /* no channel axis in the file either */
    while (s == CVS_OK && numbers.rank > 0 && numbers.rank < p->rank &&
           (flat || numbers.rank == p->rank - 1)) {
        memmove(numbers.dim + 1, numbers.dim, sizeof *numbers.dim * (size_t)numbers.rank);
        numbers.dim[0] = 1;
        numbers.rank++;
    }
    if (s == CVS_OK && numbers.rank == p->rank) {
        bool last = !flat && a->q->model->graph->values[a->q->input_value].file_layout == CVI_FILE_LAST &&
                    p->rank >= 3;
        int perm[CVS_MAX_RANK] = {0};
        for (int i = 1; i < p->rank; i++) {
            perm[i] = !last ? i : i == 1 ? p->rank - 1 : i - 1;
        }
        s = cvs_tensor_permute(&numbers, perm, &turned, err);
    }
    if (s == CVS_OK) {
        bool fits = turned.rank == p->rank;
        for (int i = 0; i < p->rank && fits; i++) {
            fits = turned.dim[i] == p->dim[i];
        }
        if (fits) {
            memcpy(out, turned.data, p->bytes);
        } else {
            char x[200], y[200];
            s = cvi_fail(err, CVS_E_SHAPE, "the baseline is %s, the picture is %s (batch and channels first)",
                         cvs_shape_text(file.rank, file.dim, x, sizeof x),
                         cvs_shape_text(p->rank, p->dim, y, sizeof y));
            cvi_at_file(err, s, path);
        }
    }
    cvs_tensor_free(&file);
    cvs_tensor_free(&numbers);
    cvs_tensor_free(&turned);
    return s;
}

/* What black (level 0) or white (255) is in channel c of the network's input. */
static double level_of(const cvs_preprocess *p, int64_t c, double level) {
    double scale = p->scale > 0.0 ? p->scale : 1.0 / 255;
    bool known = c < CVI_COUNT(p->mean);
    double std = known && p->std[c] != 0.0 ? p->std[c] : 1.0;
    return ((p->invert ? 255.0 - level : level) * scale - (known ? p->mean[c] : 0.0)) / std;
}

/* A tenth of the shorter side: what is left shows no object. */
static double blur_width(const cvs_tensor *picture) {
    return CVI_MAX(1.0, (double)CVI_MIN(picture->dim[2], picture->dim[3]) / 10.0);
}

static cvs_status blurred(const cvi_again *a, float *out) {
    CVI_TRY(cvi_again_picture(a));
    double *soft = cvi_calloc((size_t)a->pixels, sizeof *soft);
    if (!soft) {
        return cvi_no_memory(a->q->err, (size_t)a->pixels * sizeof *soft);
    }
    cvs_status s = cvi_blur(&a->picture, blur_width(&a->picture), CVI_BEYOND_EDGE, soft, a->q->err);
    for (int64_t i = 0; i < a->pixels; i++) {
        out[i] = (float)soft[i];
    }
    cvi_free(soft);
    return s;
}

typedef enum start { BLACK, WHITE, MEAN, BLUR, NOISY, FILE_NPY, N_STARTS } start;
static const char *const names[] = {"black", "white", "mean", "blur", "noise"};

static start which(const char *text) {
    size_t n = strlen(text);
    int i = 0;
    while (i < CVI_COUNT(names) && strcmp(names[i], text) != 0) {
        i++;
    }
    return i < CVI_COUNT(names) ? (start)i : n > 4 && strcmp(text + n - 4, ".npy") == 0 ? FILE_NPY : N_STARTS;
}

static cvs_status fill(const cvi_again *a, const char *text, double *mean, float *out) {
    const cvs_preprocess *p = &a->q->model->preprocess;
    int64_t channels = a->picture.rank >= 3 ? a->picture.dim[1] : 1, area = a->pixels / channels;
    start kind = which(text);
    switch (kind) {
    case BLUR:
        return blurred(a, out);
    case FILE_NPY:
        return baseline_file(a, text, out);
    case MEAN:
        cvi_channel_means(&a->picture, channels, mean);
        break;
    case N_STARTS:
        return cvi_fail(a->q->err, CVS_E_ARGUMENT,
                        "the baseline is \"%.60s\", black, mean, blur, white, noise or FILE.npy expected",
                        text);
    default:
        break;
    }
    for (int64_t i = 0; i < a->pixels; i++) {
        int64_t c = i / area;
        double black = level_of(p, c, 0.0), white = level_of(p, c, 255.0);
        double u = kind == NOISY ? cvi_random_uniform(a->q->options->seed, NOISE, (uint64_t)i) : 0.0;
        out[i] = (float)(kind == MEAN ? mean[c] : kind == WHITE ? white : black + u * (white - black));
    }
    return CVS_OK;
}

cvs_status cvi_baseline(const cvi_again *a, const char *text, float **out) {
    int64_t channels = a->picture.rank >= 3 ? a->picture.dim[1] : 1;
    *out = cvi_calloc((size_t)a->pixels, sizeof **out);
    double *mean = cvi_calloc((size_t)channels, sizeof *mean);
    cvs_status s = *out && mean ? CVS_OK : cvi_no_memory(a->q->err, (size_t)a->pixels * sizeof **out);
    if (s == CVS_OK) {
        s = fill(a, text ? text : "black", mean, *out);
    }
    cvi_free(mean);
    return s;
}

const char *cvi_baseline_words(const cvi_again *a, char *buf, size_t size) {
    const cvs_explain_options *o = a->q->options;
    const char *text = o->baseline ? o->baseline : "black";
    start kind = which(text);
    if (kind == BLUR && a->picture.rank == 4) {
        snprintf(buf, size, cvi_tr(o->lang, "blur (standard deviation %.3g pixels)"),
                 blur_width(&a->picture));
    } else if (kind == NOISY) {
        snprintf(buf, size, cvi_tr(o->lang, "noise (uniform, seed %llu)"), (unsigned long long)o->seed);
    } else {
        snprintf(buf, size, "%.80s", cvi_path_base(text));
    }
    return buf;
}

/* SPDX-License-Identifier: MIT
 * top_units.c - the pictures that excite a channel most (Zeiler and Fergus 2014, figure 2). First pass: every picture once, of each
 * channel its largest unit, the best few kept by name. Second pass: the chosen pictures again, each unit projected and cut out.
 */
#include <math.h>
#include <stdlib.h>

#include "explain/probe.h"

/* What captions say of the cut, by cvs_top_crop. */
static const char *const crops[] = {"cut to what the unit can see",
                                    "cut to what holds 99 percent of its projection", "whole"};

enum { MOST_TOP = 100, USUAL_TOP = 9, USUAL_MAPS = 12 };

typedef struct search {
    cvi_probe probe;
    cvs_pictures *pictures;
    const cvs_top_options *o;
    cvs_top *out;
    cvs_tensor input; /* the shape that pictures get */
    cvs_error *err;
} search;

void cvs_top_free(cvs_top *t) {
    if (t) {
        for (int i = 0; t->units && i < t->n_channels * t->top; i++) {
            cvi_free(t->units[i].picture);
            cvs_tensor_free(&t->units[i].patch);
            cvs_tensor_free(&t->units[i].projection);
        }
        cvi_free(t->units);
        cvi_free(t->channels);
        *t = (cvs_top){0};
    }
}

/* ---- which channels --------------------------------------------------------------------------------------- */

static cvs_status choose_channels(search *s, const cvi_planes *a) {
    cvs_top *out = s->out;
    const cvs_top_options *o = s->o;
    int64_t n = o->n_channels > 0 ? o->n_channels : CVI_MIN(o->maps > 0 ? o->maps : USUAL_MAPS, a->channels);
    out->top = o->top > 0 ? CVI_MIN(o->top, MOST_TOP) : USUAL_TOP;
    if (n > INT32_MAX / MOST_TOP) {
        return cvi_fail(s->err, CVS_E_LIMIT, "%lld channels are too many", (long long)n);
    }
    out->channels = cvi_calloc((size_t)n, sizeof *out->channels);
    out->units = cvi_calloc((size_t)(n * out->top), sizeof *out->units);
    if (!out->channels || !out->units) {
        return cvi_no_memory(s->err, (size_t)(n * out->top) * sizeof *out->units);
    }
    out->n_channels = (int)n;
    for (int64_t i = 0; i < n; i++) {
        out->channels[i] = o->n_channels > 0 ? o->channels[i] : i * a->channels / n;
        CVI_TRY(cvi_planes_channel(a, out->channels[i], s->probe.layer, s->err));
    }
    return CVS_OK;
}

/* ---- first pass ------------------------------------------------------------------------------------------- */

static bool precedes(double value, const char *name, const cvs_top_unit *other) {
    return !other->picture || value > other->value ||
           (value >= other->value && strcmp(name, other->picture) < 0);
}

static cvs_status offer(search *s, int channel, const cvi_planes *a, const char *name) {
    cvs_top_unit *list = s->out->units + (int64_t)channel * s->out->top, *last = list + s->out->top - 1;
    int64_t at = cvi_planes_largest(a, s->out->channels[channel]);
    double value = (double)a->data[s->out->channels[channel] * a->rows * a->columns + at];
    if (!(value > 0) || isinf(value) || !precedes(value, name, last)) {
        return CVS_OK;
    }
    char *copy = cvi_strdup(name);
    if (!copy) {
        return cvi_no_memory(s->err, strlen(name));
    }
    cvi_free(last->picture);
    while (last > list && precedes(value, copy, last - 1)) {
        last[0] = last[-1];
        last--;
    }
    *last =
        (cvs_top_unit){.picture = copy, .value = value, .row = at / a->columns, .column = at % a->columns};
    return CVS_OK;
}

static cvs_status see(search *s, const cvs_tensor *picture, cvs_tensor *shown, cvi_planes *a) {
    cvs_tensor x = {0};
    CVI_TRY(cvs_preprocess_apply(&s->probe.model->preprocess, picture, s->input.dim[1], s->input.dim[2],
                                 s->input.dim[3], &x, shown, s->err));
    cvs_status status = cvi_probe_run(&s->probe, &x, a, s->err);
    cvs_tensor_free(&x);
    return status;
}

static cvs_status tell(const search *s, double done) {
    cvs_progress told = s->o->progress;
    if (told && !told(s->o->progress_context, cvi_tr(s->o->lang, "pictures"), done)) {
        return cvi_fail(s->err, CVS_E_CANCELLED, "cancelled");
    }
    return CVS_OK;
}

static cvs_status look(search *s) {
    for (;;) {
        cvs_tensor picture;
        const char *name;
        cvi_planes a;
        CVI_TRY(cvs_pictures_next(s->pictures, &picture, &name, s->err));
        if (!picture.data) {
            break;
        }
        cvs_status status = see(s, &picture, NULL, &a);
        cvs_tensor_free(&picture);
        CVI_TRY(status);
        if (s->out->pictures++ == 0) {
            CVI_TRY(choose_channels(s, &a));
        }
        for (int c = 0; c < s->out->n_channels; c++) {
            CVI_TRY(offer(s, c, &a, name));
        }
        CVI_TRY(tell(s, -1));
    }
    s->out->skipped = cvs_pictures_skipped(s->pictures, NULL);
    if (s->out->pictures == 0) {
        return cvi_fail(s->err, CVS_E_NOT_FOUND,
                        "there is no picture here that could be read (%lld could not)",
                        (long long)s->out->skipped);
    }
    return CVS_OK;
}

/* ---- second pass ------------------------------------------------------------------------------------------ */

/* What is cut out: the unit's field, or the whole of a side that it covers. */
static void choose_box(const search *s, cvs_top_unit *u) {
    bool known =
        cvi_unit_box(s->probe.model->graph, s->probe.exec, s->probe.value, u->row, u->column, u->box);
    for (int a = 0; a < 2; a++) {
        if (!known || s->o->crop == CVS_CROP_WHOLE || u->box[2 + a] >= s->input.dim[2 + a]) {
            u->box[a] = 0;
            u->box[2 + a] = s->input.dim[2 + a];
        }
    }
}

/* The part of the marginal sums [n] that holds all but 0.25 % of their whole at either end. */
static void trim(const double *sum, int64_t n, int64_t *first, int64_t *last) {
    double all = 0.0, low = 0.0, high = 0.0;
    for (int64_t i = 0; i < n; i++) {
        all += sum[i];
    }
    *first = 0;
    *last = n - 1;
    while (*first < *last && low + sum[*first] <= 0.0025 * all) {
        low += sum[(*first)++];
    }
    while (*last > *first && high + sum[*last] <= 0.0025 * all) {
        high += sum[(*last)--];
    }
}

/* The box made smaller: the square around what holds 99 % of the projection's size, inside the picture. */
static cvs_status shrink(const search *s, cvs_top_unit *u, const cvs_tensor *map) {
    int64_t h = s->input.dim[2], w = s->input.dim[3], y0, y1, x0, x1;
    double *rows = cvi_calloc((size_t)(h + w), sizeof *rows), *columns = rows + h, all = 0.0;
    if (!rows) {
        return cvi_no_memory(s->err, (size_t)(h + w) * sizeof *rows);
    }
    for (int64_t i = 0; i < s->input.dim[1] * h * w; i++) {
        double v = fabs((double)((const float *)map->data)[i]);
        rows[i / w % h] += v;
        columns[i % w] += v;
        all += v;
    }
    trim(rows, h, &y0, &y1);
    trim(columns, w, &x0, &x1);
    cvi_free(rows);
    if (!(all > 0.0)) {
        return CVS_OK; /* nothing came back: the field says where it would have been */
    }
    int64_t side = CVI_MAX(y1 - y0, x1 - x0) + 1, tall = CVI_MIN(side, h), wide = CVI_MIN(side, w);
    u->box[0] = CVI_MAX(0, CVI_MIN((y0 + y1 + 1 - tall) / 2, h - tall));
    u->box[1] = CVI_MAX(0, CVI_MIN((x0 + x1 + 1 - wide) / 2, w - wide));
    u->box[2] = tall;
    u->box[3] = wide;
    return CVS_OK;
}

static cvs_status cut(const search *s, cvs_top_unit *u, const cvs_tensor *shown, const cvs_tensor *map) {
    int64_t h = s->input.dim[2], w = s->input.dim[3], channels = s->input.dim[1];
    int64_t patch[3] = {u->box[2], u->box[3], 3}, projection[3] = {channels, u->box[2], u->box[3]};
    CVI_TRY(cvs_tensor_new(&u->patch, CVS_U8, 3, patch, s->err));
    CVI_TRY(cvs_tensor_new(&u->projection, CVS_F32, 3, projection, s->err));
    memset(u->patch.data, 128, u->patch.bytes);
    for (int64_t i = 0; i < u->box[2] * u->box[3]; i++) {
        int64_t y = u->box[0] + i / u->box[3], x = u->box[1] + i % u->box[3];
        if (y < 0 || x < 0 || y >= h || x >= w) {
            continue;
        }
        memcpy((uint8_t *)u->patch.data + 3 * i, (const uint8_t *)shown->data + 3 * (y * w + x), 3);
        for (int64_t c = 0; c < channels; c++) {
            ((float *)u->projection.data)[c * u->box[2] * u->box[3] + i] =
                ((const float *)map->data)[(c * h + y) * w + x];
        }
    }
    return CVS_OK;
}

static cvs_status project(search *s, int unit, const cvi_planes *a, const cvs_tensor *shown) {
    cvs_top_unit *u = &s->out->units[unit];
    int64_t channel = s->out->channels[unit / s->out->top];
    int64_t at = (channel * a->rows + u->row) * a->columns + u->column;
    cvs_tensor map;
    choose_box(s, u);
    CVI_TRY(cvi_project_seed(s->probe.exec, s->probe.value, &s->probe.shape, at, (float)u->value,
                             s->probe.input, s->o->rule, &map, s->err));
    if (s->o->crop == CVS_CROP_EFFECTIVE) {
        CVI_TRY(shrink(s, u, &map));
    }
    return cut(s, u, shown, &map);
}

/* All units of the picture of the first one that has no patch yet. */
static cvs_status project_picture(search *s, int first) {
    const char *name = s->out->units[first].picture;
    cvs_tensor picture, shown = {0};
    cvi_planes a;
    CVI_TRY(cvs_pictures_read(s->pictures, name, &picture, s->err));
    cvs_status status = see(s, &picture, &shown, &a);
    cvs_tensor_free(&picture);
    for (int i = first; i < s->out->n_channels * s->out->top && status == CVS_OK; i++) {
        const cvs_top_unit *u = &s->out->units[i];
        if (u->picture && strcmp(u->picture, name) == 0) {
            status = project(s, i, &a, &shown);
        }
    }
    cvs_tensor_free(&shown);
    return status;
}

static cvs_status project_all(search *s) {
    int n = s->out->n_channels * s->out->top;
    for (int i = 0; i < n; i++) {
        if (s->out->units[i].picture && !s->out->units[i].patch.data) {
            CVI_TRY(project_picture(s, i));
        }
        CVI_TRY(tell(s, (double)(i + 1) / n));
    }
    return CVS_OK;
}

cvs_status cvs_top_units(const cvs_model *model, const cvs_run_options *run_options, cvs_pictures *pictures,
                         const cvs_top_options *options, cvs_top *out, cvs_error *err) {
    search s = {.pictures = pictures, .o = options, .out = out, .err = err};
    *out = (cvs_top){0};
    cvs_status status = cvi_probe_new(model, run_options, options->layer, &s.probe, err);
    if (status == CVS_OK) {
        status = cvi_probe_input(&s.probe, &s.input, err);
    }
    if (status == CVS_OK) {
        cvi_copy_text(out->layer, sizeof out->layer, s.probe.layer);
        status = look(&s);
    }
    if (status == CVS_OK) {
        status = project_all(&s);
    }
    if (status == CVS_OK) {
        snprintf(
            out->caption, sizeof out->caption,
            cvi_tr(options->lang, "The pictures among %lld that excite each channel of layer %s most, %s, "
                                  "and the unit projected to the pixels. Signed, "
                                  "not scaled; Convscope %s. Projections are of these pictures, they are "
                                  "no samples from the model."),
            (long long)out->pictures, out->layer, cvi_tr(options->lang, crops[options->crop]), CVS_VERSION);
    } else {
        cvs_top_free(out);
    }
    cvi_probe_free(&s.probe);
    return status;
}

/* SPDX-License-Identifier: MIT
 * feature.c - pictures that a network makes up: what is asked for is checked, made by one of the modes (feature_book.c,
 * feature_fourier.c) and described.
 */
#include <math.h>

#include "explain/feature.h"

enum { MOST_VARIANTS = 16, MOST_STEPS = 1000000 };

/* ---- the network's side ------------------------------------------------------------------------------------ */

void cvi_feature_scale(const cvs_feature_maker *m, int64_t c, double *factor, double *offset) {
    const cvs_preprocess *p = &m->probe.model->preprocess;
    double scale = p->scale > 0 ? p->scale : 1.0 / 255;
    double mean = c < 4 ? p->mean[c] : 0, std = c < 4 && p->std[c] != 0 ? p->std[c] : 1;
    *factor = scale / std;
    *offset = -mean / std;
    if (p->invert && m->o.mode == CVS_FEATURE_FOURIER) {
        *offset += 255 * *factor;
        *factor = -*factor;
    }
}

int64_t cvi_feature_colour(const cvs_feature_maker *m, int64_t c) {
    return m->input.dim[1] == 3 && m->probe.model->preprocess.order == CVS_BGR ? 2 - c : c;
}

cvs_status cvi_feature_ask(cvs_feature_maker *m, bool seed, double *value, cvs_error *err) {
    CVI_TRY(cvi_probe_run(&m->probe, &m->input, &m->planes, err));
    *value = cvi_want_value(&m->want, &m->planes, seed ? m->seed.data : NULL);
    return CVS_OK;
}

static bool is_zero(const cvs_tensor *t) {
    const float *v = t->data;
    for (int64_t i = 0; i < cvs_tensor_count(t); i++) {
        if (v[i] < 0 || v[i] > 0) {
            return false;
        }
    }
    return true;
}

cvs_status cvi_feature_answer(cvs_feature_maker *m, bool wake, cvs_tensor *gradient, bool *silent,
                              cvs_error *err) {
    CVI_TRY(cvi_probe_back(&m->probe, CVI_GRADIENT, &m->seed, gradient, err));
    *silent = is_zero(gradient);
    if (*silent && wake) { /* silent rectifiers let the signal through */
        CVI_TRY(cvi_probe_back(&m->probe, CVI_DECONVNET, &m->seed, gradient, err));
        *silent = is_zero(gradient);
    }
    return CVS_OK;
}

cvs_status cvi_feature_tell(const cvs_feature_maker *m, double done, cvs_error *err) {
    if (m->o.progress && !m->o.progress(m->o.progress_context, m->probe.layer, done)) {
        return cvi_fail(err, CVS_E_CANCELLED, "cancelled");
    }
    return CVS_OK;
}

/* ---- making a maker ------------------------------------------------------------------------------------------ */

static cvs_status check_options(const cvs_feature_options *o, cvs_error *err) {
    if (o->steps < 0 || o->steps > MOST_STEPS) {
        return cvi_fail(err, CVS_E_ARGUMENT, "%lld steps are not possible, 1 to %lld are",
                        (long long)o->steps, (long long)MOST_STEPS);
    }
    if (o->variants < 0 || o->variants > MOST_VARIANTS) {
        return cvi_fail(err, CVS_E_ARGUMENT, "%d pictures of one channel are not possible, 1 to %d are",
                        o->variants, MOST_VARIANTS);
    }
    if (!(o->step >= 0 && o->step < 1e9) || !(o->diversity >= 0 && o->diversity < 1e12) ||
        !(o->power >= 0 && o->power <= 16)) {
        return cvi_fail(err, CVS_E_ARGUMENT,
                        "a step, a diversity or a power is negative or too large to mean anything");
    }
    if ((o->want == CVS_WANT_DIRECTION) != (o->direction != NULL) ||
        (o->want == CVS_WANT_LIKENESS) != (o->like != NULL)) {
        return cvi_fail(err, CVS_E_ARGUMENT,
                        "a direction needs its numbers, an inversion its picture, and only they do");
    }
    return CVS_OK;
}

static cvs_status open_probe(cvs_feature_maker *m, const cvs_model *model, const cvs_run_options *run_options,
                             cvs_error *err) {
    if (m->o.want != CVS_WANT_CLASS) {
        return cvi_probe_new(model, run_options, m->o.layer, &m->probe, err);
    }
    cvs_logit_kind kind;
    if (model->graph->n_outputs < 1) {
        return cvi_fail(err, CVS_E_UNSUPPORTED, "the model has no output to explain");
    }
    return cvi_probe_value(model, run_options, cvi_graph_logit(model->graph, 0, &kind), &m->probe, err);
}

static cvs_status take_direction(cvs_feature_maker *m, cvs_error *err) {
    const cvs_tensor *d = m->o.direction;
    if (d->dtype != CVS_F32 || cvs_tensor_count(d) != m->channels || !d->data) {
        char text[200];
        return cvi_fail(err, CVS_E_SHAPE,
                        "the direction is %s %s, float32 with one number for each of the %lld channels of "
                        "layer %.80s is needed",
                        cvs_dtype_name(d->dtype), cvs_shape_text(d->rank, d->dim, text, sizeof text),
                        (long long)m->channels, m->probe.layer);
    }
    m->want.direction = d->data;
    m->want.power = m->o.power;
    return CVS_OK;
}

static cvs_status take_like(cvs_feature_maker *m, cvs_error *err) {
    cvs_tensor x = {0};
    CVI_TRY(cvs_preprocess_apply(&m->probe.model->preprocess, m->o.like, m->input.dim[1], m->input.dim[2],
                                 m->input.dim[3], &x, NULL, err));
    cvs_status s = cvi_probe_run(&m->probe, &x, &m->planes, err);
    m->want.like = s == CVS_OK ? cvi_malloc((size_t)m->n_layer * sizeof(float)) : NULL;
    if (s == CVS_OK && !m->want.like) {
        s = cvi_no_memory(err, (size_t)m->n_layer * sizeof(float));
    }
    for (int64_t i = 0; i < m->n_layer && s == CVS_OK; i++) {
        m->want.like[i] = m->planes.data[i];
        m->want.like_size += (double)m->planes.data[i] * (double)m->planes.data[i];
    }
    cvs_tensor_free(&x);
    return s;
}

static cvs_status prepare(cvs_feature_maker *m, cvs_error *err) {
    cvs_tensor shape;
    CVI_TRY(cvi_probe_input(&m->probe, &shape, err));
    CVI_TRY(cvs_tensor_new(&m->input, CVS_F32, shape.rank, shape.dim, err));
    CVI_TRY(
        cvi_probe_run(&m->probe, &m->input, &m->planes, err)); /* shapes, and what cannot be differentiated */
    m->channels = m->planes.channels;
    m->n_layer = m->planes.channels * m->planes.rows * m->planes.columns;
    CVI_TRY(cvs_tensor_new(&m->seed, CVS_F32, m->probe.shape.rank, m->probe.shape.dim, err));
    m->want = (cvi_want){.kind = m->o.want, .row = -1};
    if (m->o.has_position) {
        m->want.row = m->o.row;
        m->want.column = m->o.column;
        if (m->o.row < 0 || m->o.row >= m->planes.rows || m->o.column < 0 ||
            m->o.column >= m->planes.columns) {
            return cvi_fail(
                err, CVS_E_NOT_FOUND,
                "there is no unit at row %lld, column %lld: layer %.80s has %lld x %lld positions",
                (long long)m->o.row, (long long)m->o.column, m->probe.layer, (long long)m->planes.rows,
                (long long)m->planes.columns);
        }
    }
    return m->o.want == CVS_WANT_DIRECTION  ? take_direction(m, err)
           : m->o.want == CVS_WANT_LIKENESS ? take_like(m, err)
                                            : CVS_OK;
}

cvs_status cvs_feature_maker_new(const cvs_model *model, const cvs_run_options *run_options,
                                 const cvs_feature_options *options, cvs_feature_maker **out,
                                 cvs_error *err) {
    *out = NULL;
    CVI_TRY(check_options(options, err));
    cvs_feature_maker *m = cvi_calloc(1, sizeof *m);
    if (!m) {
        return cvi_no_memory(err, sizeof *m);
    }
    bool book = options->mode == CVS_FEATURE_BOOK;
    m->o = *options;
    m->o.steps = m->o.steps > 0 ? m->o.steps : book ? 40 : 512;
    m->o.step = m->o.step > 0 ? m->o.step : book ? 1 : 0.05;
    m->o.variants = CVI_MAX(m->o.variants, 1);
    m->o.still = m->o.still || m->o.want == CVS_WANT_LIKENESS; /* what is to come out stands still as well */
    cvs_status s = open_probe(m, model, run_options, err);
    s = s == CVS_OK ? prepare(m, err) : s;
    if (s != CVS_OK) {
        cvs_feature_maker_free(m);
        return s;
    }
    *out = m;
    return CVS_OK;
}

void cvs_feature_maker_free(cvs_feature_maker *m) {
    if (m) {
        cvs_tensor_free(&m->input);
        cvs_tensor_free(&m->seed);
        cvi_free(m->want.like);
        cvi_probe_free(&m->probe);
        cvi_free(m);
    }
}

int64_t cvs_feature_channels(const cvs_feature_maker *m) {
    return m->channels;
}

/* ---- one feature ----------------------------------------------------------------------------------------------- */

static void write_caption(const cvs_feature_maker *m, cvs_feature *out) {
    static const char *const wants[] = {"The mean of a channel of layer %s",
                                        "One unit of a channel of layer %s", "The logit of a class (%s)",
                                        "A direction of layer %s", "Likeness to the picture in layer %s"};
    cvs_lang lang = m->o.lang;
    char want[220];
    snprintf(want, sizeof want, cvi_tr(lang, wants[m->o.want]), out->layer);
    if (m->o.mode == CVS_FEATURE_BOOK) {
        snprintf(
            out->caption, sizeof out->caption,
            cvi_tr(lang,
                   "%s, made larger by %lld steps of %g along the gradient, from noise around grey, seed "
                   "%llu, as in Deep Learning with Python 5.4; Convscope %s. Such pictures show what can "
                   "excite the network, not what it meets in real pictures."),
            want, (long long)m->o.steps, m->o.step, (unsigned long long)m->o.seed, CVS_VERSION);
        return;
    }
    snprintf(out->caption, sizeof out->caption,
             cvi_tr(lang, "%s, made larger by %lld steps of Adam (%g) on the picture's spectrum, colours "
                          "decorrelated, %s, seed %llu; Convscope %s. Such pictures show what can excite the "
                          "network, not what it meets in real pictures."),
             want, (long long)m->o.steps, m->o.step,
             cvi_tr(lang, m->o.still ? "held still" : "moved, turned and scaled a little"),
             (unsigned long long)m->o.seed, CVS_VERSION);
}

static cvs_status make(cvs_feature_maker *m, cvs_feature *out, cvs_error *err) {
    int64_t input[4] = {out->n, m->input.dim[1], m->input.dim[2], m->input.dim[3]};
    int64_t shown[4] = {out->n, m->input.dim[2], m->input.dim[3], 3};
    CVI_TRY(cvs_tensor_new(&out->input, CVS_F32, 4, input, err));
    CVI_TRY(cvs_tensor_new(&out->shown, CVS_U8, 4, shown, err));
    out->value = cvi_calloc((size_t)(out->n * (m->o.steps + 1)), sizeof *out->value);
    if (!out->value) {
        return cvi_no_memory(err, (size_t)(out->n * (m->o.steps + 1)) * sizeof *out->value);
    }
    out->silent = true;
    for (int i = 0; i < out->n && m->o.mode == CVS_FEATURE_BOOK; i++) {
        CVI_TRY(cvi_feature_book(m, i, out, &out->silent, err));
    }
    if (m->o.mode != CVS_FEATURE_BOOK) {
        CVI_TRY(cvi_feature_fourier(m, out, &out->silent, err));
    }
    write_caption(m, out);
    return CVS_OK;
}

cvs_status cvs_feature_make(cvs_feature_maker *m, int64_t channel, cvs_feature *out, cvs_error *err) {
    bool whole = m->o.want == CVS_WANT_DIRECTION || m->o.want == CVS_WANT_LIKENESS;
    *out = (cvs_feature){.channel = whole ? 0 : channel, .n = m->o.variants, .steps = m->o.steps};
    const cvi_value *in = &m->probe.model->graph->values[m->probe.input];
    out->channels_last = in->file_layout == CVI_FILE_LAST;
    out->flat = in->rank == 3;
    cvi_copy_text(out->layer, sizeof out->layer, m->probe.layer);
    if (!whole) {
        CVI_TRY(cvi_planes_channel(&m->planes, channel, m->probe.layer, err));
    }
    m->want.channel = out->channel;
    cvs_status s = make(m, out, err);
    if (s != CVS_OK) {
        cvs_feature_free(out);
    }
    return s;
}

void cvs_feature_free(cvs_feature *f) {
    if (f) {
        cvs_tensor_free(&f->input);
        cvs_tensor_free(&f->shown);
        cvi_free(f->value);
        *f = (cvs_feature){0};
    }
}

cvs_status cvs_feature_file(const cvs_feature *f, const char *layout, cvs_tensor *out, cvs_error *err) {
    return cvi_picture_file(&f->input, f->flat, f->channels_last, layout, out, err);
}

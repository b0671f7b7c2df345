/* SPDX-License-Identifier: MIT
 * correspond.c - does a layer hold the same parts of different pictures alike? Each part is greyed out, and the signs of what changes in
 * the layer are compared between pictures (Zeiler and Fergus 2014, table 1).
 */
#include <math.h>

#include "engine/run_state.h"
#include "explain/ends.h"

enum { PURPOSE = 0x70617274, USUAL_DRAWS = 10, MOST_DRAWS = 1000, MOST_PICTURES = 1000, MOST_PARTS = 64 };

typedef struct study {
    const cvs_correspondence_options *o;
    cvs_correspondence *out;
    cvs_run *run;
    const cvs_tensor *pictures;
    int n_pictures, draws, rows; /* rows = parts + draws */
    const cvs_part_box *boxes;
    int n_boxes, parts;
    int layer[CVS_CORRESPOND_LAYERS];
    int64_t count[CVS_CORRESPOND_LAYERS];
    int8_t *sign[CVS_CORRESPOND_LAYERS]; /* [rows][n_pictures][count]; owned */
    float *base[CVS_CORRESPOND_LAYERS];  /* of the unchanged picture; owned */
    cvs_error *err;
} study;

void cvs_correspondence_free(cvs_correspondence *c) {
    if (c) {
        cvi_free(c->mean);
        cvi_free(c->deviation);
        *c = (cvs_correspondence){0};
    }
}

/* ---- greying out --------------------------------------------------------------------------------------------------- */

static cvs_status grey_out(const study *s, const cvs_tensor *in, const int64_t box[4], cvs_tensor *out) {
    int64_t h = in->dim[0], w = in->dim[1];
    double mean[3] = {0};
    CVI_TRY(cvs_tensor_new(out, CVS_U8, 3, in->dim, s->err));
    memcpy(out->data, in->data, out->bytes);
    for (int64_t i = 0; i < 3 * h * w; i++) {
        mean[i % 3] += (double)((const uint8_t *)in->data)[i] / (double)(h * w);
    }
    for (int64_t y = CVI_MAX(box[0], 0); y < CVI_MIN(box[0] + box[2], h); y++) {
        for (int64_t x = CVI_MAX(box[1], 0); x < CVI_MIN(box[1] + box[3], w); x++) {
            for (int c = 0; c < 3; c++) {
                ((uint8_t *)out->data)[3 * (y * w + x) + c] = (uint8_t)lrint(mean[c]);
            }
        }
    }
    return CVS_OK;
}

static const cvs_part_box *box_of(const study *s, int picture, int part) {
    for (int i = 0; i < s->n_boxes; i++) {
        if (s->boxes[i].picture == picture && s->boxes[i].part == part) {
            return &s->boxes[i];
        }
    }
    return NULL;
}

/* A box of the mean size of this picture's parts, anywhere in its middle square: what most networks see of it. */
static void random_box(const study *s, int picture, int draw, int64_t box[4]) {
    double rows = 0, columns = 0;
    for (int p = 0; p < s->parts; p++) {
        const cvs_part_box *b = box_of(s, picture, p);
        rows += (double)b->box[2] / s->parts;
        columns += (double)b->box[3] / s->parts;
    }
    uint64_t at = ((uint64_t)draw * MOST_PICTURES + (uint64_t)picture) * 2;
    double h = (double)s->pictures[picture].dim[0], w = (double)s->pictures[picture].dim[1];
    double side = fmin(h, w), top = floor((h - side) / 2), left = floor((w - side) / 2);
    box[2] = (int64_t)rint(rows);
    box[3] = (int64_t)rint(columns);
    box[0] = (int64_t)(top + floor(cvi_random_uniform(s->o->seed, PURPOSE, at) * fmax(side - rows + 1, 1)));
    box[1] = (int64_t)(left +
                       floor(cvi_random_uniform(s->o->seed, PURPOSE, at + 1) * fmax(side - columns + 1, 1)));
}

/* ---- looking ------------------------------------------------------------------------------------------------------- */

static cvs_status look(study *s, const cvs_tensor *picture, int row, int which) {
    CVI_TRY(cvs_run_image(s->run, picture, NULL, s->err));
    for (int l = 0; l < s->out->n_layers; l++) {
        cvs_tensor v;
        CVI_TRY(cvs_run_layer(s->run, s->layer[l], &v, s->err));
        int64_t n = cvs_tensor_count(&v), bytes;
        if (v.dtype != CVS_F32 || n < 1 || (s->sign[l] && n != s->count[l])) {
            return cvi_fail(s->err, CVS_E_UNSUPPORTED, "layer %.80s has no numbers of float32 to compare",
                            s->out->layer[l]);
        }
        if (!s->sign[l]) {
            s->count[l] = n;
            bool fits = cvi_mul(n, (int64_t)s->rows * s->n_pictures, &bytes) && bytes <= (int64_t)4 << 30;
            s->sign[l] = fits ? cvi_malloc((size_t)bytes) : NULL;
            s->base[l] = cvi_malloc(v.bytes);
            if (!s->sign[l] || !s->base[l]) {
                return cvi_no_memory(s->err, (size_t)n * (size_t)s->rows);
            }
        }
        const float *now = v.data;
        if (row < 0) {
            memcpy(s->base[l], now, v.bytes);
            continue;
        }
        int8_t *to = s->sign[l] + ((int64_t)row * s->n_pictures + which) * n;
        for (int64_t i = 0; i < n; i++) {
            to[i] = (int8_t)((s->base[l][i] > now[i]) - (s->base[l][i] < now[i]));
        }
    }
    return CVS_OK;
}

static cvs_status look_at_all(study *s) {
    for (int i = 0; i < s->n_pictures; i++) {
        CVI_TRY(look(s, &s->pictures[i], -1, i));
        for (int row = 0; row < s->rows; row++) {
            cvs_tensor changed = {0};
            int64_t box[4];
            if (row < s->parts) {
                memcpy(box, box_of(s, i, row)->box, sizeof box);
            } else {
                random_box(s, i, row - s->parts, box);
            }
            cvs_status status = grey_out(s, &s->pictures[i], box, &changed);
            status = status == CVS_OK ? look(s, &changed, row, i) : status;
            cvs_tensor_free(&changed);
            CVI_TRY(status);
        }
        double done = (double)(i + 1) / s->n_pictures;
        if (s->o->progress && !s->o->progress(s->o->progress_context, s->out->layer[0], done)) {
            return cvi_fail(s->err, CVS_E_CANCELLED, "cancelled");
        }
    }
    return CVS_OK;
}

/* ---- comparing ------------------------------------------------------------------------------------------------------ */

static double differ(const int8_t *a, const int8_t *b, int64_t n) {
    int64_t count = 0;
    for (int64_t i = 0; i < n; i++) {
        count += a[i] != b[i];
    }
    return (double)count / (double)n;
}

/* Sums of one row's pairs of pictures. */
static void compare(const study *s, int l, int row, double *sum, double *squares, int *pairs) {
    const int8_t *at = s->sign[l] + (int64_t)row * s->n_pictures * s->count[l];
    for (int i = 0; i < s->n_pictures; i++) {
        for (int j = i + 1; j < s->n_pictures; j++) {
            double d = differ(at + i * s->count[l], at + j * s->count[l], s->count[l]);
            *sum += d;
            *squares += d * d;
            (*pairs)++;
        }
    }
}

static void finish(study *s) {
    for (int l = 0; l < s->out->n_layers; l++) {
        double of_draws = 0, squares_of_draws = 0;
        for (int row = 0; row < s->rows; row++) {
            double sum = 0, squares = 0;
            int pairs = 0, at = l * s->out->n_parts + row;
            compare(s, l, row, &sum, &squares, &pairs);
            double mean = sum / pairs;
            if (row < s->parts) {
                s->out->mean[at] = mean;
                s->out->deviation[at] = sqrt(fmax(squares / pairs - mean * mean, 0));
            } else {
                of_draws += mean / s->draws;
                squares_of_draws += mean * mean / s->draws;
            }
        }
        s->out->mean[l * s->out->n_parts + s->parts] = of_draws;
        s->out->deviation[l * s->out->n_parts + s->parts] =
            sqrt(fmax(squares_of_draws - of_draws * of_draws, 0));
    }
}

/* ---- the question ---------------------------------------------------------------------------------------------------- */

static cvs_status check(const study *s) {
    if (s->n_pictures < 2 || s->n_pictures > MOST_PICTURES || s->parts < 1 || s->parts > MOST_PARTS) {
        return cvi_fail(s->err, CVS_E_ARGUMENT,
                        "%d parts of %d pictures: 1 to %d parts of 2 to %d pictures can be compared",
                        s->parts, s->n_pictures, MOST_PARTS, MOST_PICTURES);
    }
    for (int i = 0; i < s->n_pictures * s->parts; i++) {
        const cvs_part_box *b = box_of(s, i / s->parts, i % s->parts);
        const cvs_tensor *p = &s->pictures[i / s->parts];
        if (!b) {
            return cvi_fail(s->err, CVS_E_ARGUMENT, "picture %d has no box of part %d (both from 1)",
                            i / s->parts + 1, i % s->parts + 1);
        }
        bool in = b->box[2] > 0 && b->box[3] > 0 && b->box[0] >= 0 && b->box[1] >= 0 &&
                  b->box[0] < p->dim[0] && b->box[1] < p->dim[1] && b->box[2] <= p->dim[0] &&
                  b->box[3] <= p->dim[1];
        if (!in) {
            return cvi_fail(s->err, CVS_E_ARGUMENT,
                            "the box of part %d lies outside picture %d (both from 1)", i % s->parts + 1,
                            i / s->parts + 1);
        }
    }
    return CVS_OK;
}

static cvs_status take_layers(study *s, const cvs_model *model) {
    const cvi_graph *g = model->graph;
    int n = s->o->n_layers;
    if (n < 0 || n > CVS_CORRESPOND_LAYERS) {
        return cvi_fail(s->err, CVS_E_ARGUMENT, "%d layers are too many, up to %d can be compared", n,
                        CVS_CORRESPOND_LAYERS);
    }
    for (int i = 0; i < n; i++) {
        CVI_TRY(cvs_model_find_layer(model, s->o->layers[i], &s->layer[i], s->err));
    }
    if (n == 0) {
        CVI_TRY(cvi_low_layer(model, &s->layer[0], s->err));
        CVI_TRY(cvi_high_layer(model, &s->layer[1], s->err));
        n = 2;
    }
    s->out->n_layers = n;
    for (int i = 0; i < n; i++) {
        cvi_copy_text(s->out->layer[i], sizeof s->out->layer[i],
                      g->values[cvi_graph_layer(g, s->layer[i])].name);
    }
    s->out->n_parts = s->parts + 1;
    s->out->mean = cvi_calloc((size_t)(n * s->out->n_parts), sizeof(double));
    s->out->deviation = cvi_calloc((size_t)(n * s->out->n_parts), sizeof(double));
    return s->out->mean && s->out->deviation ? CVS_OK : cvi_no_memory(s->err, sizeof(double));
}

cvs_status cvs_measure_correspondence(const cvs_model *model, const cvs_run_options *run_options,
                                      const cvs_tensor *pictures, int n_pictures, const cvs_part_box *boxes,
                                      int n_boxes, int n_parts, const cvs_correspondence_options *options,
                                      cvs_correspondence *out, cvs_error *err) {
    study s = {.o = options, .out = out, .pictures = pictures, .n_pictures = n_pictures, .err = err};
    s.boxes = boxes;
    s.n_boxes = n_boxes;
    s.parts = n_parts;
    s.draws = options->random > 0 ? CVI_MIN(options->random, MOST_DRAWS) : USUAL_DRAWS;
    s.rows = s.parts + s.draws;
    *out = (cvs_correspondence){0};
    cvs_status status = check(&s);
    status = status == CVS_OK ? take_layers(&s, model) : status;
    status = status == CVS_OK ? cvs_run_new(model, run_options, &s.run, err) : status;
    status = status == CVS_OK ? look_at_all(&s) : status;
    if (status == CVS_OK) {
        finish(&s);
        snprintf(out->caption, sizeof out->caption,
                 cvi_tr(options->lang,
                        "Share of numbers of a layer whose change has another sign in another picture when "
                        "the same part is greyed out; %d pictures, mean and standard deviation "
                        "over their pairs (random places: over %d draws, seed %llu). Low: the "
                        "layer knows the part. After Zeiler and Fergus 2014, table 1; Convscope %s."),
                 n_pictures, s.draws, (unsigned long long)options->seed, CVS_VERSION);
    }
    for (int l = 0; l < CVS_CORRESPOND_LAYERS; l++) {
        cvi_free(s.sign[l]);
        cvi_free(s.base[l]);
    }
    cvs_run_free(s.run);
    if (status != CVS_OK) {
        cvs_correspondence_free(out);
    }
    return status;
}

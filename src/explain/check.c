/* SPDX-License-Identifier: MIT
 * check.c - measures an explanation: what it is without the network (sparseness, the object), what the network says to pixels that go,
 * how much the map shakes, whether it adds up, and whether it knows the weights; one sentence of verdict each.
 */
#include <math.h>

#include "engine/run_state.h"
#include "explain/again.h"
#include "explain/checks.h"

static const struct {
    const char *name, *title, *sentence;
    int better;
} infos[CVS_N_METRICS] = {
    {"deletion", "Deletion", "area under the probability while the highest pixels become the mean colour",
     -1},
    {"insertion", "Insertion", "area under the probability while they return on a blurred picture", 1},
    {"road", "ROAD", "half of what is lost more without the highest pixels than without the lowest", 1},
    {"sensitivity", "Sensitivity", "largest relative change of the map under small noise", -1},
    {"sparseness", "Sparseness", "Gini index: 0 spread evenly, 1 all in one place", 0},
    {"completeness", "Completeness error", "how far the sum of the map is from what the method promises", -1},
    {"random-weights", "Likeness, shuffled weights",
     "rank correlation with the map of the same network with its weights shuffled", -1},
    {"pointing", "Pointing game", "whether the highest pixel lies on the object", 1},
    {"mass", "Mass on the object", "share of the positive parts that lies on the object", 1},
    {"rank", "Rank on the object", "share of the highest pixels that lies on the object", 1},
};

cvs_status cvs_metric_describe(cvs_metric metric, cvs_lang lang, cvs_metric_info *out, cvs_error *err) {
    if ((int)metric < 0 || (int)metric >= CVS_N_METRICS) {
        return cvi_fail(err, CVS_E_ARGUMENT, "there is no metric %d", (int)metric);
    }
    *out = (cvs_metric_info){.name = infos[metric].name,
                             .title = cvi_tr(lang, infos[metric].title),
                             .sentence = cvi_tr(lang, infos[metric].sentence),
                             .better = infos[metric].better};
    return CVS_OK;
}

typedef struct checking {
    cvs_run *run;
    const cvs_explain_options *how;
    const cvs_explanation *e;
    const cvs_check_options *o;
    cvs_tensor picture; /* [1,C,H,W], borrowed */
    int64_t height, width;
    float *map; /* over the picture */
    int64_t *order;
    cvi_many many;
    cvs_checked *out;
    cvs_error *err;
} checking;

static bool wanted(const checking *c, cvs_metric m) {
    return c->o->only == 0 || (c->o->only & (1u << m));
}

static void set(checking *c, cvs_metric m, double value) {
    c->out->metric[m].known = isfinite(value);
    c->out->metric[m].value = isfinite(value) ? value : 0.0;
}

/* fmt: a row of the Chinese table, in the language of the verdicts. */
static void CVI_PRINTF(3, 4) say(checking *c, cvs_metric m, const char *fmt, ...) {
    va_list args;
    va_start(args, fmt);
    vsnprintf(c->out->metric[m].verdict, sizeof c->out->metric[m].verdict, cvi_tr(c->o->lang, fmt), args);
    va_end(args);
}

static cvs_status tell(const checking *c, const char *what, double done) {
    if (c->o->progress && !c->o->progress(c->o->progress_context, cvi_tr(c->o->lang, what), done)) {
        return cvi_fail(c->err, CVS_E_CANCELLED, "cancelled");
    }
    return CVS_OK;
}

/* ---- pixels that go --------------------------------------------------------------------------------------- */

static void judge_curves(checking *c) {
    cvs_checked *r = c->out;
    double del = r->metric[CVS_DELETION].value, ins = r->metric[CVS_INSERTION].value;
    if (wanted(c, CVS_DELETION)) {
        say(c, CVS_DELETION,
            del < 0.8 * r->random_deletion
                ? "Good: the probability falls faster (area %.3f) than when random pixels go (%.3f)."
            : del <= 1.1 * r->random_deletion ? "No better than chance: area %.3f, with random pixels %.3f."
                                              : "Worse than chance: area %.3f, with random pixels %.3f; the "
                                                "pixels marked are not those needed.",
            del, r->random_deletion);
    }
    if (wanted(c, CVS_INSERTION)) {
        say(c, CVS_INSERTION,
            ins > r->random_insertion + 0.2 * (1.0 - r->random_insertion)
                ? "Good: the probability comes back sooner (area %.3f) than with random pixels (%.3f)."
            : ins >= r->random_insertion - 0.05
                ? "Little better than chance: area %.3f, with random pixels %.3f."
                : "Worse than chance: area %.3f, with random pixels %.3f; the pixels marked do not suffice.",
            ins, r->random_insertion);
    }
}

static cvs_status check_curves(checking *c) {
    int64_t area = c->height * c->width;
    int points = c->o->points > 0 ? CVI_MIN(c->o->points, CVS_CHECK_POINTS - 1) : 64;
    cvi_curves k = {.many = &c->many,
                    .picture = c->picture.data,
                    .channels = c->picture.dim[1],
                    .height = c->height,
                    .width = c->width,
                    .order = c->order,
                    .target = c->e->target_index,
                    .points = points,
                    .seed = c->o->seed,
                    .err = c->err};
    double area_under = 0.0;
    CVI_TRY(tell(c, "curves", 0.05));
    if (wanted(c, CVS_DELETION)) {
        CVI_TRY(cvi_curve_deletion(&k, &c->out->deletion, &area_under));
        set(c, CVS_DELETION, area_under);
    }
    if (wanted(c, CVS_INSERTION)) {
        CVI_TRY(cvi_curve_insertion(&k, &c->out->insertion, &area_under));
        set(c, CVS_INSERTION, area_under);
    }
    if (wanted(c, CVS_ROAD)) {
        CVI_TRY(tell(c, "curves", 0.12));
        CVI_TRY(cvi_curve_road(&k, &c->out->without_highest, &c->out->without_lowest, &area_under));
        set(c, CVS_ROAD, area_under);
        say(c, CVS_ROAD,
            area_under > 0.05
                ? "Good: taking the highest pixels away costs more than taking the lowest (score %.3f)."
            : area_under > -0.02
                ? "It hardly matters which pixels go first (score %.3f)."
                : "The wrong way round: taking the lowest pixels away costs more (score %.3f).",
            area_under);
    }
    if (wanted(c, CVS_DELETION) || wanted(c, CVS_INSERTION)) {
        int64_t *order = cvi_calloc((size_t)area, sizeof *order);
        float *none = cvi_calloc((size_t)area, sizeof *none);
        cvs_removal curve;
        cvs_status s = order && none ? cvi_rank_pixels(none, area, c->o->seed + 1, order, c->err)
                                     : cvi_no_memory(c->err, (size_t)area * sizeof *order);
        k.order = order;
        if (s == CVS_OK && wanted(c, CVS_DELETION)) {
            s = cvi_curve_deletion(&k, &curve, &c->out->random_deletion);
        }
        if (s == CVS_OK && wanted(c, CVS_INSERTION)) {
            s = cvi_curve_insertion(&k, &curve, &c->out->random_insertion);
        }
        cvi_free(order);
        cvi_free(none);
        CVI_TRY(s);
        judge_curves(c);
    }
    return CVS_OK;
}

/* ---- what shakes -------------------------------------------------------------------------------------------- */

/* |map' - map| / |map| over all numbers of the two raw maps. */
static double change_of(const cvs_explanation *a, const cvs_explanation *b) {
    int64_t n = cvs_tensor_count(&a->map);
    double diff = 0.0, own = 0.0;
    if (cvs_tensor_count(&b->map) != n) {
        return (double)NAN;
    }
    for (int64_t i = 0; i < n; i++) {
        double x = cvi_get(&a->map, i), y = cvi_get(&b->map, i);
        diff += (x - y) * (x - y);
        own += x * x;
    }
    return own > 0.0 ? sqrt(diff / own) : (double)NAN;
}

static cvs_status shake(checking *c, cvs_run *run, double radius, int draw, double *most) {
    cvs_tensor x = {0};
    cvs_explanation e = {0};
    cvs_explain_options how = *c->how;
    how.sample = 0;
    how.progress = NULL;
    CVI_TRY(cvs_tensor_convert(&c->picture, CVS_F32, &x, c->err));
    float *v = x.data;
    int64_t n = cvs_tensor_count(&x);
    for (int64_t i = 0; i < n; i++) {
        double u = cvi_random_uniform(c->o->seed, 0x7368616B65u, (uint64_t)(draw * n + i));
        v[i] += (float)(radius * (2.0 * u - 1.0));
    }
    cvi_as_input(run->model, &x);
    cvs_status s = cvs_run_tensors(run, &x, 1, c->err);
    if (s == CVS_OK) {
        s = cvs_explain(run, &how, &e, c->err);
    }
    if (s == CVS_OK) {
        *most = fmax(*most, change_of(c->e, &e));
    }
    cvs_explanation_free(&e);
    cvs_tensor_free(&x);
    return s;
}

static cvs_status check_sensitivity(checking *c) {
    const float *x = c->picture.data;
    double lo = (double)x[0], hi = lo, most = -1.0, share = c->o->radius > 0.0 ? c->o->radius : 0.02;
    int draws = c->o->draws > 0 ? c->o->draws : 10;
    for (int64_t i = 0; i < cvs_tensor_count(&c->picture); i++) {
        lo = fmin(lo, (double)x[i]);
        hi = fmax(hi, (double)x[i]);
    }
    cvs_run *run = NULL;
    cvs_run_options ro = c->run->options;
    ro.for_gradients = true;
    ro.progress = NULL;
    CVI_TRY(cvs_run_new(c->run->model, &ro, &run, c->err));
    cvs_status s = CVS_OK;
    for (int k = 0; s == CVS_OK && k < draws; k++) {
        s = tell(c, "sensitivity", 0.2 + 0.1 * k / draws);
        if (s == CVS_OK) {
            s = shake(c, run, share * (hi - lo), k, &most);
        }
    }
    cvs_run_free(run);
    CVI_TRY(s);
    set(c, CVS_SENSITIVITY, most >= 0.0 ? most : (double)NAN);
    if (most < 0.0) {
        say(c, CVS_SENSITIVITY, "Not measured: the map is zero everywhere.");
        return CVS_OK;
    }
    say(c, CVS_SENSITIVITY,
        most < 0.3 ? "Steady: noise of %.3g of the picture's range changes it by at most %.0f %%."
        : most < 1.0
            ? "It moves: noise of %.3g of the picture's range changes it by up to %.0f %%."
            : "Unsteady: noise of %.3g of the picture's range, hardly visible, changes it by up to %.0f %%.",
        share, 100.0 * most);
    return CVS_OK;
}

/* What the explanation itself says of its sum. */
static cvs_status check_sum(checking *c) {
    if (!c->e->has_completeness) {
        say(c, CVS_COMPLETENESS,
            "Not measured: this method does not promise that its parts add up to anything.");
        return CVS_OK;
    }
    double sum = c->e->completeness_of + c->e->completeness_error;
    c->out->sum = sum;
    c->out->should = c->e->completeness_of;
    double error = fabs(sum - c->out->should) / fabs(c->out->should);
    set(c, CVS_COMPLETENESS, error);
    say(c, CVS_COMPLETENESS,
        error <= 0.01 ? "Complete: the parts add up to %.4g of %.4g."
        : error <= 0.1
            ? "Nearly complete: the parts add up to %.4g of %.4g."
            : "Not complete: the parts add up to %.4g where %.4g should be shared out; biases take the rest, "
              "or more steps are needed.",
        sum, c->out->should);
    return CVS_OK;
}

/* ---- what knows the weights ---------------------------------------------------------------------------------- */

static cvs_status check_weights(checking *c) {
    CVI_TRY(cvi_check_shuffled(c->run, c->how, c->e, c->o, c->out, c->err));
    if (c->out->n_shuffled == 0) {
        say(c, CVS_RANDOM_WEIGHTS, "Not measured: the model has no weights of its own.");
        return CVS_OK;
    }
    double all = c->out->shuffled[0].down.size, top = c->out->shuffled[c->out->n_shuffled - 1].down.size;
    set(c, CVS_RANDOM_WEIGHTS, isfinite(all) ? all : 0.0);
    if (!isfinite(all)) {
        say(c, CVS_RANDOM_WEIGHTS,
            "With shuffled weights the map is the same everywhere: it depends on the weights.");
        return CVS_OK;
    }
    say(c, CVS_RANDOM_WEIGHTS,
        fabs(all) >= 0.7 ? "Beware: it hardly depends on what was learned, likeness %.2f with all weights "
                           "shuffled (%.2f with the "
                           "last layers only)."
        : isfinite(top) && fabs(top) > 0.9 ? "Beware: likeness %.2f once all weights are shuffled, but %.2f "
                                             "with the last layers only: it does not notice "
                                             "what they learned."
        : fabs(all) < 0.4 ? "It depends on the weights: likeness %.2f once all are shuffled (%.2f with the "
                            "last layers only)."
                          : "It depends on the weights in part: likeness %.2f once all are shuffled (%.2f "
                            "with the last layers only).",
        all, top);
    return CVS_OK;
}

/* ---- the object ------------------------------------------------------------------------------------------------- */

static void check_object(checking *c) {
    const cvs_tensor *m = c->o->mask;
    int64_t area = c->height * c->width, object = 0;
    bool fits = m && m->dtype == CVS_U8 && m->rank == 2 && m->dim[0] == c->height && m->dim[1] == c->width;
    for (int64_t i = 0; fits && i < area; i++) {
        object += ((const uint8_t *)m->data)[i] != 0;
    }
    if (!fits || object == 0) {
        for (int k = CVS_POINTING; k <= CVS_RANK; k++) {
            say(c, (cvs_metric)k, "Not measured: where the object is, is not known.");
        }
        return;
    }
    double pointing, mass, rank, chance = (double)object / (double)area;
    cvi_on_object(c->map, c->order, m->data, area, &pointing, &mass, &rank);
    c->out->object = chance;
    set(c, CVS_POINTING, pointing);
    set(c, CVS_MASS, mass);
    set(c, CVS_RANK, rank);
    say(c, CVS_POINTING,
        pointing > 0.0 ? "The highest pixel lies on the object."
                       : "The highest pixel lies beside the object.");
    if (!isfinite(mass)) {
        say(c, CVS_MASS, "Nothing in the map is positive.");
    } else {
        say(c, CVS_MASS,
            mass > 1.5 * chance ? "%.0f %% of the positive parts lie on the object, which covers %.0f %%: "
                                  "%.1f times what chance gives."
                                : "Only %.0f %% of the positive parts lie on the object, which covers %.0f "
                                  "%%: %.1f times what chance "
                                  "gives.",
            100.0 * mass, 100.0 * chance, mass / chance);
    }
    say(c, CVS_RANK, "Of as many highest pixels as the object has, %.0f %% lie on it (chance: %.0f %%).",
        100.0 * rank, 100.0 * chance);
}

static cvs_status measure(checking *c) {
    int64_t area = c->height * c->width;
    double gini = 0.0;
    CVI_TRY(cvi_evidence(c->e, c->height, c->width, &c->map, c->err));
    c->order = cvi_calloc((size_t)area, sizeof *c->order);
    if (!c->order) {
        return cvi_no_memory(c->err, (size_t)area * sizeof *c->order);
    }
    CVI_TRY(cvi_rank_pixels(c->map, area, c->o->seed, c->order, c->err));
    if (wanted(c, CVS_SPARSENESS)) {
        CVI_TRY(cvi_gini(c->map, area, &gini, c->err));
        set(c, CVS_SPARSENESS, gini);
        say(c, CVS_SPARSENESS,
            gini >= 0.6 ? "Focused: Gini index %.2f (0 spread evenly, 1 all in one place)."
            : gini >= 0.3
                ? "Spread out: Gini index %.2f (0 spread evenly, 1 all in one place)."
                : "Nearly even over the picture: Gini index %.2f (0 spread evenly, 1 all in one place).",
            gini);
    }
    check_object(c);
    int64_t batch = CVI_MAX(1, CVI_MIN(16, (4 << 20) / CVI_MAX(cvs_tensor_count(&c->picture), 1)));
    CVI_TRY(cvi_many_new(c->run->model, &c->run->options, &c->picture, batch, &c->many, c->err));
    memcpy(cvi_many_place(&c->many, 0), c->picture.data, (size_t)c->many.pixels * sizeof(float));
    CVI_TRY(cvi_many_ask(&c->many, 1, c->err));
    if (c->e->target_index >= c->many.classes) {
        return cvi_fail(c->err, CVS_E_ARGUMENT, "there is no class %lld, the model has %lld, counted from 0",
                        (long long)c->e->target_index, (long long)c->many.classes);
    }
    c->out->probability = c->many.probability[c->e->target_index];
    CVI_TRY(check_curves(c));
    if (wanted(c, CVS_COMPLETENESS)) {
        CVI_TRY(check_sum(c));
    }
    c->out->forwards = c->many.asked;
    if (wanted(c, CVS_SENSITIVITY)) {
        CVI_TRY(check_sensitivity(c));
    }
    return wanted(c, CVS_RANDOM_WEIGHTS) ? check_weights(c) : CVS_OK;
}

cvs_status cvs_check(cvs_run *run, const cvs_explain_options *how, const cvs_explanation *e,
                     const cvs_check_options *options, cvs_checked *out, cvs_error *err) {
    static const cvs_check_options defaults;
    cvs_explain_options fixed = *how;
    *out = (cvs_checked){0};
    if (e->target_index < 0) {
        return cvi_fail(err, CVS_E_UNSUPPORTED,
                        "this is measured for one class as the target, not for a mix, a neuron or a region");
    }
    if (!run->ran || run->model->graph->n_inputs != 1 ||
        (run->inputs[0].rank != 4 && run->inputs[0].rank != 3) || run->inputs[0].dtype != CVS_F32 ||
        how->sample < 0 || how->sample >= run->inputs[0].dim[0]) {
        return cvi_fail(err, CVS_E_UNSUPPORTED,
                        "this is measured for models with one input [N,C,H,W] of float32 only");
    }
    fixed.target.index = e->target_index;
    checking c = {.run = run,
                  .how = &fixed,
                  .e = e,
                  .o = options ? options : &defaults,
                  .picture = run->inputs[0],
                  .out = out,
                  .err = err};
    c.picture.owned = false;
    c.picture.bytes /= (size_t)c.picture.dim[0];
    c.picture.data = (char *)c.picture.data + (size_t)how->sample * c.picture.bytes;
    c.picture.dim[0] = 1;
    cvi_as_picture(&c.picture);
    c.height = c.picture.dim[2];
    c.width = c.picture.dim[3];
    cvs_status s = measure(&c);
    cvi_free(c.map);
    cvi_free(c.order);
    cvi_many_free(&c.many);
    return s;
}

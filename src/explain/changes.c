/* SPDX-License-Identifier: MIT
 * changes.c - runs many changes through the incremental re-run, some at a time, so that whole layers of numbers are never kept for
 * all of them.
 */
#include "explain/changes.h"

enum { SOME = 108 }; /* changes at a time: four of the re-run's own batches */

/* One value's numbers for some changes. */
typedef struct wanted {
    int value;
    int64_t count; /* numbers of one change */
    float *numbers;
} wanted;

typedef struct changing {
    cvi_again *a;
    cvi_changed *out;
    wanted want[3]; /* the target's value, the scores, the feature map */
    int n_want;
    int64_t n, classes;
    float *grid;  /* [classes, SOME] */
    double begun; /* share of all changes done before these */
} changing;

static cvs_status want(changing *c, int value, int *which) {
    cvs_tensor t;
    for (int k = 0; k < c->n_want; k++) {
        if (c->want[k].value == value) {
            *which = k;
            return CVS_OK;
        }
    }
    CVI_TRY(cvi_exec_value(c->a->exec, value, &t, c->a->q->err));
    int64_t count = cvs_tensor_count(&t), all;
    if (t.dtype != CVS_F32 || !cvi_mul(count, SOME, &all)) {
        return cvi_fail(c->a->q->err, CVS_E_LIMIT, "the values of this model are larger than any memory");
    }
    float *numbers = cvi_calloc((size_t)CVI_MAX(all, 1), sizeof *numbers);
    if (!numbers) {
        return cvi_no_memory(c->a->q->err, (size_t)all * sizeof *numbers);
    }
    *which = c->n_want;
    c->want[c->n_want++] = (wanted){value, count, numbers};
    return CVS_OK;
}

static void keep_map(const changing *c, const wanted *w, int64_t first, int64_t here) {
    int64_t channels = 1;
    cvs_tensor t;
    if (cvi_exec_value(c->a->exec, w->value, &t, NULL) == CVS_OK && t.rank >= 2) {
        channels = t.dim[1];
    }
    int64_t area = w->count / CVI_MAX(channels, 1);
    for (int64_t i = 0; i < here; i++) {
        const float *map = w->numbers + i * w->count + c->out->map_channel * area;
        double sum = 0.0;
        for (int64_t k = 0; k < area; k++) {
            sum += (double)map[k];
        }
        c->out->map_sum[first + i] = sum;
    }
}

static bool tell(void *context, const char *what, double done) {
    const changing *c = context;
    const cvs_explain_options *o = c->a->q->options;
    return !o->progress ||
           o->progress(o->progress_context, what, c->begun + done * (double)SOME / (double)c->n);
}

static cvs_status run_some(changing *c, cvi_incr *incr, const cvi_change *changes, const int which[3]) {
    cvi_question *q = c->a->q;
    cvi_incr_told told = {tell, c, q->options->method};
    int values[3];
    void *into[3];
    for (int k = 0; k < c->n_want; k++) {
        values[k] = c->want[k].value;
        into[k] = c->want[k].numbers;
    }
    for (int64_t first = 0; first < c->n; first += SOME) {
        int64_t here = CVI_MIN(SOME, c->n - first);
        c->begun = (double)first / (double)c->n;
        CVI_TRY(cvi_incr_run(incr, changes + first, here, values, c->n_want, into, &told, q->err));
        if (which[0] >= 0) {
            CVI_TRY(
                cvi_question_targets(q, c->a->exec, c->want[which[0]].numbers, here, c->out->target + first));
        }
        if (which[1] >= 0) {
            CVI_TRY(cvi_question_grid(q, c->a->exec, c->want[which[1]].numbers, here, c->grid));
            for (int64_t k = 0; k < c->classes; k++) {
                memcpy(c->out->classes + k * c->n + first, c->grid + k * here,
                       (size_t)here * sizeof *c->grid);
            }
        }
        if (which[2] >= 0) {
            keep_map(c, &c->want[which[2]], first, here);
        }
    }
    return CVS_OK;
}

static cvs_status run_all(changing *c, const cvi_change *changes) {
    cvi_question *q = c->a->q;
    int which[3] = {-1, -1, -1}, scores;
    if (c->out->target) {
        CVI_TRY(want(c, q->target_value, &which[0]));
    }
    if (c->out->classes) {
        CVI_TRY(cvi_question_classes(q, c->a->exec, &c->classes, &scores));
        CVI_TRY(want(c, scores, &which[1]));
        c->grid = cvi_calloc((size_t)c->classes, SOME * sizeof *c->grid);
        if (!c->grid) {
            return cvi_no_memory(q->err, (size_t)c->classes * SOME * sizeof *c->grid);
        }
    }
    if (c->out->map_sum) {
        CVI_TRY(want(c, c->out->map_value, &which[2]));
    }
    cvi_incr *incr = NULL;
    CVI_TRY(cvi_incr_new(c->a->exec, &incr, q->err));
    cvs_status s = run_some(c, incr, changes, which);
    cvi_incr_free(incr);
    return s;
}

cvs_status cvi_changes_run(cvi_again *a, const cvi_change *changes, int64_t n, cvi_changed *out) {
    changing c = {.a = a, .out = out, .n = n};
    cvs_status s = n > 0 ? run_all(&c, changes) : CVS_OK;
    for (int k = 0; k < c.n_want; k++) {
        cvi_free(c.want[k].numbers);
    }
    cvi_free(c.grid);
    return s;
}

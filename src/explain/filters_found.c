/* SPDX-License-Identifier: MIT
 * filters_found.c - dead, duplicate, low-rank and insensitive filters: from statistics and from switching off; each set is cut out of a
 * twin, which is measured on pictures that did not choose it.
 */
#include <math.h>
#include <stdlib.h>

#include "explain/units.h"

#define ALIKE      0.95  /* correlation of a duplicate */
#define LOST       0.01  /* of a layer's variance, when filters are mixed from others */
#define HARMLESS   0.002 /* nats that an insensitive filter may cost */
#define DEAD_SHARE 1e-6  /* of the layer's largest output */

typedef struct set {
    bool *filter; /* [channels] */
    int n;
} set;

static cvs_finding *found(cvi_diagnosing *g, cvs_finding_kind kind, int unit, const bool *filter) {
    const cvi_unit *u = &g->u.list[unit];
    cvs_finding *f = cvi_finding_new(g, kind, g->d->layers[unit].layer);
    if (!f) {
        return NULL;
    }
    f->of = (int)u->channels;
    f->filters = cvi_calloc((size_t)u->channels, sizeof *f->filters);
    for (int c = 0; f->filters && c < u->channels; c++) {
        if (filter[c]) {
            f->filters[f->n_filters++] = c;
        }
    }
    if (u->stuck) {
        snprintf(f->kept, sizeof f->kept, "%s", cvi_tr(g->o->lang, u->stuck));
    }
    if (!f->filters) {
        cvi_no_memory(g->err, (size_t)u->channels * sizeof *f->filters);
        return NULL;
    }
    return f;
}

/* The network without a set of filters of one unit. */
static cvs_status measure(cvi_diagnosing *g, int unit, const bool *filter, cvs_effect *out,
                          cvi_score *first) {
    bool **all = cvi_calloc((size_t)g->u.n + 1, sizeof *all);
    cvs_model *twin = NULL;
    if (!all) {
        return cvi_no_memory(g->err, (size_t)g->u.n * sizeof *all);
    }
    all[unit] = (bool *)(uintptr_t)filter;
    cvs_status s = cvi_cut_make(g->model, &(cvi_cut){.units = &g->u, .filter = all}, &twin, g->err);
    if (s == CVS_OK) {
        s = cvi_effect_of(g, twin, out, first);
    }
    cvs_model_free(twin);
    cvi_free(all);
    return s;
}

static void find_dead(const cvi_unit *u, set *s) {
    for (int c = 0; c < u->channels; c++) {
        s->filter[c] = cvi_unit_still(u, c, DEAD_SHARE);
        s->n += s->filter[c];
    }
}

/* text gets "5 as 3 (0.98), ..." of the first few. */
static void find_duplicates(const cvi_unit *u, const bool *dead, set *s, char *text, size_t size) {
    size_t at = 0;
    int64_t n = u->channels;
    text[0] = 0;
    for (int64_t j = 0; u->cov && j < n; j++) {
        double best = ALIKE;
        int64_t like = -1;
        for (int64_t i = 0; i < j && !dead[j]; i++) {
            double both = u->cov[i * n + i] * u->cov[j * n + j];
            double alike = both > 0.0 ? u->cov[j * n + i] / sqrt(both) : 0.0;
            if (!dead[i] && !s->filter[i] && alike > best) {
                best = alike;
                like = i;
            }
        }
        if (like >= 0) {
            s->filter[j] = true;
            if (s->n++ < 6 && at < size - 40) {
                at += (size_t)snprintf(text + at, size - at, "%s%lld ~ %lld (%.3f)", at ? ", " : "",
                                       (long long)j, (long long)like, best);
            }
        }
    }
}

static cvs_status find_dependent(const cvi_unit *u, const bool *dead, set *s, cvs_error *err) {
    bool *keep = u->cov ? cvi_calloc((size_t)u->channels, sizeof *keep) : NULL;
    if (!keep) {
        return u->cov ? cvi_no_memory(err, (size_t)u->channels) : CVS_OK;
    }
    cvs_status st = cvi_independent(u->cov, u->channels, LOST, keep, err);
    for (int c = 0; st == CVS_OK && c < u->channels; c++) {
        s->filter[c] = !keep[c] && !dead[c];
        s->n += s->filter[c];
    }
    cvi_free(keep);
    return st;
}

typedef struct priced {
    double loss;
    int channel;
} priced;

static int cheapest_first(const void *a, const void *b) {
    const priced *x = a, *y = b;
    return x->loss < y->loss ? -1 : x->loss > y->loss ? 1 : x->channel - y->channel;
}

/* Filters whose absence costs next to nothing alone; half as many while together they cost more than they may. */
static cvs_status find_insensitive(cvi_diagnosing *g, int unit, const bool *dead, set *s,
                                   cvs_effect *effect) {
    const cvi_unit *u = &g->u.list[unit];
    const double *loss = g->d->layers[unit].loss;
    priced *list = cvi_calloc((size_t)u->channels, sizeof *list);
    int n = 0;
    cvi_score first;
    if (!list) {
        return cvi_no_memory(g->err, (size_t)u->channels * sizeof *list);
    }
    for (int c = 0; c < u->channels; c++) {
        if (!dead[c] && isfinite(loss[c]) && loss[c] <= HARMLESS) {
            list[n++] = (priced){loss[c], c};
        }
    }
    qsort(list, (size_t)n, sizeof *list, cheapest_first);
    cvs_status st = CVS_OK;
    n = n == u->channels ? n - 1 : n;
    for (; st == CVS_OK && n > 0; n /= 2) {
        memset(s->filter, 0, (size_t)u->channels);
        for (int k = 0; k < n; k++) {
            s->filter[list[k].channel] = true;
        }
        s->n = n;
        if (u->stuck) {
            break;
        }
        st = measure(g, unit, s->filter, effect, &first);
        if (st == CVS_OK && cvi_affordable(g, &first)) {
            break;
        }
    }
    s->n = n;
    cvi_free(list);
    return st;
}

/* Behind the sentence: how many layers lose these filters. */
static void tell_tied(const cvi_diagnosing *g, const cvi_unit *u, cvs_finding *f) {
    size_t at = strlen(f->evidence);
    if (u->n_member > 0 && !u->stuck) {
        snprintf(f->evidence + at, sizeof f->evidence - at,
                 cvi_tr(g->o->lang, " They go from %d layers at once, whose outputs are added."),
                 u->n_member + 1);
    }
}

static cvs_status measured(cvi_diagnosing *g, cvs_finding *f, int unit, const bool *filter) {
    cvi_score first;
    return f->kept[0] || f->n_filters >= f->of ? CVS_OK : measure(g, unit, filter, &f->without, &first);
}

static cvs_status look_at(cvi_diagnosing *g, int unit, set *dead, set *set_of) {
    const cvi_unit *u = &g->u.list[unit];
    cvs_layer_health *h = &g->d->layers[unit];
    cvs_finding *f;
    char text[300];
    find_dead(u, dead);
    h->dead = dead->n;
    if (dead->n > 0) {
        CVI_TRY((f = found(g, CVS_FIND_DEAD, unit, dead->filter)) ? CVS_OK : CVS_E_MEMORY);
        cvi_finding_say(g, f, "%d of %d filters give the same number everywhere on all pictures.", dead->n,
                        f->of);
        tell_tied(g, u, f);
        CVI_TRY(measured(g, f, unit, dead->filter));
    }
    find_duplicates(u, dead->filter, set_of, text, sizeof text);
    h->duplicate = set_of->n;
    if (set_of->n > 0) {
        CVI_TRY((f = found(g, CVS_FIND_DUPLICATE, unit, set_of->filter)) ? CVS_OK : CVS_E_MEMORY);
        cvi_finding_say(g, f, "%d of %d filters repeat another one (correlation of their outputs): %s.",
                        set_of->n, f->of, text);
        CVI_TRY(measured(g, f, unit, set_of->filter));
    }
    *set_of = (set){set_of->filter, 0};
    memset(set_of->filter, 0, (size_t)u->channels);
    CVI_TRY(find_dependent(u, dead->filter, set_of, g->err));
    h->dependent = set_of->n;
    if (set_of->n > 0) {
        CVI_TRY((f = found(g, CVS_FIND_LOW_RANK, unit, set_of->filter)) ? CVS_OK : CVS_E_MEMORY);
        cvi_finding_say(
            g, f,
            "The outputs of %d filters spread over %.1f directions (effective rank); %d filters can be mixed "
            "from the others with 1 %% of the variance lost.",
            f->of, u->rank, set_of->n);
        CVI_TRY(measured(g, f, unit, set_of->filter));
    }
    *set_of = (set){set_of->filter, 0};
    memset(set_of->filter, 0, (size_t)u->channels);
    cvs_effect effect = {0};
    CVI_TRY(find_insensitive(g, unit, dead->filter, set_of, &effect));
    h->insensitive = set_of->n;
    if (set_of->n > 0) {
        double worst = 0.0;
        for (int c = 0; c < u->channels; c++) {
            worst = set_of->filter[c] ? fmax(worst, h->loss[c]) : worst;
        }
        CVI_TRY((f = found(g, CVS_FIND_INSENSITIVE, unit, set_of->filter)) ? CVS_OK : CVS_E_MEMORY);
        cvi_finding_say(g, f,
                        "Put to its mean alone, none of %d of %d filters raises the loss by more than %.4f.",
                        set_of->n, f->of, worst);
        tell_tied(g, u, f);
        f->without = effect;
    }
    return CVS_OK;
}

cvs_status cvi_find_filters(cvi_diagnosing *g) {
    for (int i = 0; i < g->u.n; i++) {
        const cvi_unit *u = &g->u.list[i];
        if (u->answer) {
            continue;
        }
        CVI_TRY(cvi_tell_diagnosis(g, "filters cut out", 0.6 + 0.15 * (double)i / (double)g->u.n));
        bool *room = cvi_calloc((size_t)u->channels, 2 * sizeof *room);
        if (!room) {
            return cvi_no_memory(g->err, (size_t)u->channels * 2);
        }
        set dead = {room, 0}, other = {room + u->channels, 0};
        cvs_status s = look_at(g, i, &dead, &other);
        cvi_free(room);
        CVI_TRY(s);
    }
    return CVS_OK;
}

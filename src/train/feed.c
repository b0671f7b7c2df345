/* SPDX-License-Identifier: MIT
 * feed.c - the batches of an epoch, one ahead: while a step computes, a thread of its own reads and changes the next batch's pictures. What a
 * picture becomes depends on seed, step and place alone, so it does not matter who made it. With mixup, pictures are blended in pairs.
 */
#include "train/feed.h"

#include <math.h>
#include <pthread.h>

enum { PURPOSE_MIX = 0x6d697875 /* "mixu" */ };

typedef struct slot {
    int64_t from, n, step; /* what it is for; n 0: nothing */
    cvi_batch batch;
    float *x, *mixed;
    int *labels, *second;
} slot;

struct cvi_feed {
    cvi_loop *loop;
    slot slots[2];
    int now; /* the one that was handed out last */
    bool threaded;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    slot *job; /* what the thread is to fill, or NULL */
    bool end;
};

/* ---- filling ---------------------------------------------------------------------------------------------- */

typedef struct filling {
    const cvi_loop *loop;
    slot *s;
} filling;

static int64_t numbers_each(const cvi_loop *r) {
    return r->input[0] * r->input[1] * r->input[2];
}

static void fill_body(void *context, int64_t chunk, int worker) {
    (void)worker;
    const filling *f = context;
    const cvi_loop *r = f->loop;
    int64_t picture = r->order[f->s->from + chunk];
    uint64_t draw = (uint64_t)f->s->step * (uint64_t)r->training.batch + (uint64_t)chunk;
    cvi_samples_get(&r->train, picture, &r->training.augment, r->training.seed, draw,
                    f->s->x + chunk * numbers_each(r));
    f->s->labels[chunk] = r->train.labels[picture];
}

static double uniform(const cvi_loop *r, int64_t step, int k) {
    return cvi_random_uniform(r->training.seed, PURPOSE_MIX + ((uint64_t)k << 32), (uint64_t)step);
}

/* One draw of Beta(alpha, alpha) for alpha up to 1 (Johnk 1964). */
static double draw_share(const cvi_loop *r, int64_t step) {
    double alpha = r->training.augment.mixup;
    for (int k = 0; k < 200; k += 2) {
        double a = pow(uniform(r, step, k), 1 / alpha), b = pow(uniform(r, step, k + 1), 1 / alpha);
        if (a + b > 0 && a + b <= 1) {
            return a / (a + b);
        }
    }
    return 1; /* as it is: with a tiny alpha that is what mixing nearly always means */
}

/* Each picture becomes share of itself and the rest of a later one (Zhang et al. 2018). */
static void mix(const cvi_loop *r, slot *s) {
    int64_t each = numbers_each(r);
    double share = draw_share(r, s->step);
    int64_t shift = 1 + (int64_t)(uniform(r, s->step, 1000) * (double)(s->n - 1));
    shift = CVI_MIN(shift, s->n - 1);
    for (int64_t i = 0; i < s->n; i++) {
        int64_t other = (i + shift) % s->n;
        const float *a = s->x + i * each, *b = s->x + other * each;
        for (int64_t k = 0; k < each; k++) {
            s->mixed[i * each + k] = (float)(share * (double)a[k] + (1 - share) * (double)b[k]);
        }
        s->second[i] = s->labels[other];
    }
    s->batch = (cvi_batch){s->n, s->mixed, s->labels, s->second, share};
}

/* pool NULL: on the calling thread. */
static void fill(const cvi_loop *r, slot *s, cvi_pool *pool) {
    filling f = {r, s};
    cvi_pool_run(pool, s->n, fill_body, &f);
    s->batch = (cvi_batch){s->n, s->x, s->labels, NULL, 1};
    if (r->training.augment.mixup > 0 && s->n > 1) {
        mix(r, s);
    }
}

/* ---- the thread --------------------------------------------------------------------------------------------- */

static void *work(void *context) {
    cvi_feed *f = context;
    pthread_mutex_lock(&f->lock);
    while (!f->end) {
        if (!f->job) {
            pthread_cond_wait(&f->changed, &f->lock);
            continue;
        }
        slot *s = f->job;
        pthread_mutex_unlock(&f->lock);
        fill(f->loop, s, NULL);
        pthread_mutex_lock(&f->lock);
        f->job = NULL;
        pthread_cond_broadcast(&f->changed);
    }
    pthread_mutex_unlock(&f->lock);
    return NULL;
}

static void wait_for(cvi_feed *f) {
    pthread_mutex_lock(&f->lock);
    while (f->job) {
        pthread_cond_wait(&f->changed, &f->lock);
    }
    pthread_mutex_unlock(&f->lock);
}

static void begin(cvi_feed *f, slot *s) {
    pthread_mutex_lock(&f->lock);
    f->job = s;
    pthread_cond_broadcast(&f->changed);
    pthread_mutex_unlock(&f->lock);
}

/* ---- for the loop ------------------------------------------------------------------------------------------- */

const cvi_batch *cvi_feed_next(cvi_feed *f) {
    const cvi_loop *r = f->loop;
    slot *s = &f->slots[1 - f->now], *after = &f->slots[f->now];
    int64_t from = r->at.taken, n = CVI_MIN((int64_t)r->training.batch, r->n_order - from);
    if (f->threaded) {
        wait_for(f);
    }
    if (s->n != n || s->from != from || s->step != r->at.step) {
        s->from = from;
        s->n = n;
        s->step = r->at.step;
        fill(r, s, r->pool);
    }
    f->now = 1 - f->now;
    after->n = 0;
    int64_t left = r->n_order - from - n;
    if (f->threaded && left > 0) {
        after->from = from + n;
        after->n = CVI_MIN((int64_t)r->training.batch, left);
        after->step = s->step + 1;
        begin(f, after);
    }
    return &s->batch;
}

void cvi_feed_forget(cvi_feed *f) {
    if (f->threaded) {
        wait_for(f);
    }
    f->slots[0].n = f->slots[1].n = 0;
}

static bool make_slot(const cvi_loop *r, slot *s) {
    size_t batch = (size_t)r->training.batch, each = (size_t)numbers_each(r);
    bool mixes = r->training.augment.mixup > 0;
    s->x = cvi_calloc(batch, each * sizeof *s->x);
    s->labels = cvi_calloc(batch, sizeof *s->labels);
    s->mixed = mixes ? cvi_calloc(batch, each * sizeof *s->mixed) : NULL;
    s->second = mixes ? cvi_calloc(batch, sizeof *s->second) : NULL;
    return s->x && s->labels && (!mixes || (s->mixed && s->second));
}

cvs_status cvi_feed_new(cvi_loop *r, cvi_feed **out, cvs_error *err) {
    cvi_feed *f = cvi_calloc(1, sizeof *f);
    *out = f;
    if (!f || !make_slot(r, &f->slots[0]) || !make_slot(r, &f->slots[1])) {
        return cvi_no_memory(err, (size_t)r->training.batch * (size_t)numbers_each(r) * sizeof(float));
    }
    f->loop = r;
    if (cvi_pool_threads(r->pool) < 2) { /* somebody asked for one thread */
        return CVS_OK;
    }
    pthread_mutex_init(&f->lock, NULL);
    pthread_cond_init(&f->changed, NULL);
    f->threaded = pthread_create(&f->thread, NULL, work, f) == 0;
    if (!f->threaded) {
        pthread_cond_destroy(&f->changed);
        pthread_mutex_destroy(&f->lock);
    }
    return CVS_OK;
}

void cvi_feed_free(cvi_feed *f) {
    if (!f) {
        return;
    }
    if (f->threaded) {
        wait_for(f);
        pthread_mutex_lock(&f->lock);
        f->end = true;
        pthread_cond_broadcast(&f->changed);
        pthread_mutex_unlock(&f->lock);
        pthread_join(f->thread, NULL);
        pthread_cond_destroy(&f->changed);
        pthread_mutex_destroy(&f->lock);
    }
    for (int i = 0; i < 2; i++) {
        cvi_free(f->slots[i].x);
        cvi_free(f->slots[i].mixed);
        cvi_free(f->slots[i].labels);
        cvi_free(f->slots[i].second);
    }
    cvi_free(f);
}

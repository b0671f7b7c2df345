/* SPDX-License-Identifier: MIT
 * pool.c - a small pool of threads that claim fixed chunks of one job at a time.
 * All a worker has to do with a job goes through one word, `state`: [generation | open | workers inside]. A worker
 * enters only while the job is open; the caller takes chunks too, then closes the job and waits only for those
 * who entered. A worker that was slow to wake (a busy machine) therefore costs nothing.
 * Each thread first takes the chunks of a range of its own, from the front, then what is left of the others'. So a thread
 * meets the same part of every map of a network, and finds in its own second-level cache what it wrote one layer before.
 */
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <unistd.h>

#include "base/base.h"

#define INSIDE  ((uint64_t)0xFFFF)  /* workers now inside the job */
#define OPEN    ((uint64_t)0x10000) /* workers may enter */
#define ONE_GEN ((uint64_t)0x20000) /* counts jobs, so that a worker enters each at most once */

/* Pauses before sleeping, of tens of nanoseconds each: a worker spins for as long as a caller is likely to need from
 * one layer to the next, a caller for as long as a chunk is likely to last. */
enum { MAX_THREADS = 1024, WORKER_SPINS = 1500, CALLER_SPINS = 4000 };

typedef struct worker {
    cvi_pool *pool;
    pthread_t thread;
    int index; /* 1.. ; 0 is the caller */
} worker;

/* The chunks that are one thread's own as long as it is there to take them; a cache line each. */
typedef struct range {
    _Atomic int64_t next;
    int64_t end;
    char pad[64 - 2 * sizeof(int64_t)];
} range;

struct cvi_pool {
    /* The job: written by the caller while the job is closed and nobody is inside. */
    void (*body)(void *context, int64_t chunk, int worker);
    void *context;
    char pad[64];
    _Atomic uint64_t state;
    _Atomic int sleepers;      /* workers waiting on `work` */
    _Atomic bool caller_waits; /* the caller waits on `done` */
    _Atomic bool busy;         /* a job runs: others do theirs alone */
    _Atomic bool stop;
    pthread_mutex_t mutex;
    pthread_cond_t work, done;
    int threads; /* caller included */
    int started; /* workers whose thread runs */
    worker *workers;
    range *ranges; /* [threads] */
};

/* Which worker of which pool this thread is while it is inside a body; a nested run keeps the number. */
static _Thread_local const cvi_pool *inside_pool;
static _Thread_local int inside_worker;

static void relax(void) {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

static void run_range(cvi_pool *pool, range *r, int index) {
    while (atomic_load_explicit(&r->next, memory_order_relaxed) < r->end) {
        int64_t chunk = atomic_fetch_add_explicit(&r->next, 1, memory_order_relaxed);
        if (chunk < r->end) {
            pool->body(pool->context, chunk, index);
        }
    }
}

static void claim_chunks(cvi_pool *pool, int index) {
    const cvi_pool *outer_pool = inside_pool;
    int outer_worker = inside_worker;
    inside_pool = pool;
    inside_worker = index;
    for (int i = 0; i < pool->threads; i++) {
        run_range(pool, &pool->ranges[(index + i) % pool->threads], index);
    }
    inside_pool = outer_pool;
    inside_worker = outer_worker;
}

static bool may_enter(uint64_t state, uint64_t last) {
    return (state & OPEN) != 0 && (state & ~(OPEN | INSIDE)) != last;
}

/* Enters the job that is open, unless it is the one entered `last`. */
static bool enter(cvi_pool *pool, uint64_t *last) {
    uint64_t state = atomic_load(&pool->state);
    while (may_enter(state, *last)) {
        if (atomic_compare_exchange_weak(&pool->state, &state, state + 1)) {
            *last = state & ~(OPEN | INSIDE);
            return true;
        }
    }
    return false;
}

static void leave(cvi_pool *pool) {
    uint64_t before = atomic_fetch_sub(&pool->state, 1);
    if ((before & INSIDE) == 1 && (before & OPEN) == 0 && atomic_load(&pool->caller_waits)) {
        pthread_mutex_lock(&pool->mutex);
        pthread_cond_signal(&pool->done);
        pthread_mutex_unlock(&pool->mutex);
    }
}

static void sleep_until_work(cvi_pool *pool, uint64_t last) {
    pthread_mutex_lock(&pool->mutex);
    atomic_fetch_add(&pool->sleepers, 1);
    while (!atomic_load(&pool->stop) && !may_enter(atomic_load(&pool->state), last)) {
        pthread_cond_wait(&pool->work, &pool->mutex);
    }
    atomic_fetch_sub(&pool->sleepers, 1);
    pthread_mutex_unlock(&pool->mutex);
}

static void *work(void *argument) {
    worker *self = argument;
    cvi_pool *pool = self->pool;
    uint64_t last = UINT64_MAX;
    int spins = 0;
    while (!atomic_load(&pool->stop)) {
        if (enter(pool, &last)) {
            claim_chunks(pool, self->index);
            leave(pool);
            spins = 0;
        } else if (spins < WORKER_SPINS) {
            spins++;
            relax();
        } else {
            sleep_until_work(pool, last);
            spins = 0;
        }
    }
    return NULL;
}

static int available_cpus(void) {
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) == 0) {
        return CPU_COUNT(&set);
    }
    return (int)sysconf(_SC_NPROCESSORS_ONLN);
}

/* Starts the workers with all signals blocked: those belong to the program's own threads. */
static void start_workers(cvi_pool *pool) {
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    for (int i = 0; i < pool->threads - 1; i++) {
        worker *w = &pool->workers[i];
        *w = (worker){.pool = pool, .index = i + 1};
        if (pthread_create(&w->thread, NULL, work, w) != 0) {
            break; /* fewer threads give the same results */
        }
        pool->started++;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

cvi_pool *cvi_pool_new(int threads) {
    threads = threads > 0 ? threads : available_cpus();
    threads = CVI_MIN(CVI_MAX(threads, 1), (int)MAX_THREADS);
    cvi_pool *pool = cvi_calloc(1, sizeof *pool);
    worker *workers = cvi_calloc((size_t)threads, sizeof *workers);
    range *ranges = cvi_calloc((size_t)threads, sizeof *ranges);
    if (pool == NULL || workers == NULL || ranges == NULL) {
        cvi_free(pool);
        cvi_free(workers);
        cvi_free(ranges);
        return NULL;
    }
    pool->threads = threads;
    pool->workers = workers;
    pool->ranges = ranges;
    pthread_mutex_init(&pool->mutex, NULL);
    pthread_cond_init(&pool->work, NULL);
    pthread_cond_init(&pool->done, NULL);
    start_workers(pool);
    return pool;
}

void cvi_pool_free(cvi_pool *pool) {
    if (pool == NULL) {
        return;
    }
    pthread_mutex_lock(&pool->mutex);
    atomic_store(&pool->stop, true);
    pthread_cond_broadcast(&pool->work);
    pthread_mutex_unlock(&pool->mutex);
    for (int i = 0; i < pool->started; i++) {
        pthread_join(pool->workers[i].thread, NULL);
    }
    pthread_cond_destroy(&pool->work);
    pthread_cond_destroy(&pool->done);
    pthread_mutex_destroy(&pool->mutex);
    cvi_free(pool->workers);
    cvi_free(pool->ranges);
    cvi_free(pool);
}

int cvi_pool_threads(const cvi_pool *pool) {
    return pool != NULL ? pool->threads : 1;
}

static void run_alone(const cvi_pool *pool, int64_t n_chunks, void (*body)(void *, int64_t, int),
                      void *context) {
    int index = pool != NULL && inside_pool == pool ? inside_worker : 0;
    for (int64_t chunk = 0; chunk < n_chunks; chunk++) {
        body(context, chunk, index);
    }
}

/* Waits until everybody who entered has left. */
static void wait_for_workers(cvi_pool *pool) {
    for (int i = 0; i < CALLER_SPINS; i++) {
        if ((atomic_load(&pool->state) & INSIDE) == 0) {
            return;
        }
        relax();
    }
    pthread_mutex_lock(&pool->mutex);
    atomic_store(&pool->caller_waits, true);
    while ((atomic_load(&pool->state) & INSIDE) != 0) {
        pthread_cond_wait(&pool->done, &pool->mutex);
    }
    atomic_store(&pool->caller_waits, false);
    pthread_mutex_unlock(&pool->mutex);
}

/* Ranges that differ by one chunk at most, the longer ones first: the caller is always there. */
static void share_out(cvi_pool *pool, int64_t n_chunks) {
    int64_t size = n_chunks / pool->threads, longer = n_chunks % pool->threads, at = 0;
    for (int i = 0; i < pool->threads; i++) {
        atomic_store_explicit(&pool->ranges[i].next, at, memory_order_relaxed);
        at += size + (i < longer ? 1 : 0);
        pool->ranges[i].end = at;
    }
}

void cvi_pool_run(cvi_pool *pool, int64_t n_chunks, void (*body)(void *context, int64_t chunk, int worker),
                  void *context) {
    if (pool == NULL || pool->started == 0 || n_chunks <= 1 || atomic_exchange(&pool->busy, true)) {
        run_alone(pool, n_chunks, body, context);
        return;
    }
    pool->body = body;
    pool->context = context;
    share_out(pool, n_chunks);
    /* Opening: a new generation, nobody inside. Sequentially consistent, as is the count of sleepers: either a worker
     * that is about to sleep sees the open job, or we see the sleeper. */
    atomic_store(&pool->state, ((atomic_load(&pool->state) & ~(OPEN | INSIDE)) + ONE_GEN) | OPEN);
    int sleepers = atomic_load(&pool->sleepers);
    if (sleepers > 0) {
        /* Once we had the mutex, whoever counted itself has either seen the job or waits. It is not held while
         * waking, or the woken would run into it. */
        pthread_mutex_lock(&pool->mutex);
        pthread_mutex_unlock(&pool->mutex);
        if (n_chunks - 1 >= sleepers) {
            pthread_cond_broadcast(&pool->work);
        } else {
            for (int64_t i = 0; i < n_chunks - 1; i++) {
                pthread_cond_signal(&pool->work);
            }
        }
    }
    claim_chunks(pool, 0);
    atomic_fetch_and(&pool->state, ~OPEN);
    wait_for_workers(pool);
    atomic_store(&pool->busy, false);
}

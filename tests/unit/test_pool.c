/* SPDX-License-Identifier: MIT
 * test_pool.c - every chunk once, by anybody; nested and concurrent runs; many short jobs. Run it under
 * -Db_sanitize=thread after a change to pool.c.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/base.h"
#include "test_helpers.h"

enum { CHUNKS = 1000 };

typedef struct tally {
    cvi_pool *pool;
    int count
        [CHUNKS]; /* plain on purpose: a chunk belongs to one thread, and the caller sees what it wrote */
    int64_t n;
    _Atomic int wrong_worker, inside_worker[64];
} tally;

static void count_chunk(void *context, int64_t chunk, int worker) {
    tally *t = context;
    if (worker < 0 || worker >= cvi_pool_threads(t->pool) ||
        atomic_fetch_add(&t->inside_worker[worker], 1) != 0) {
        atomic_fetch_add(&t->wrong_worker, 1); /* two threads at once under one number */
    }
    t->count[chunk]++;
    atomic_fetch_sub(&t->inside_worker[worker], 1);
}

static void expect_once(tally *t) {
    for (int64_t i = 0; i < CHUNKS; i++) {
        assert_int_equal(t->count[i], i < t->n);
    }
    assert_int_equal(t->wrong_worker, 0);
}

static void every_chunk_once(void **state) {
    (void)state;
    static const int64_t sizes[] = {0, 1, 2, 3, 7, 100, CHUNKS};
    for (int threads = 0; threads <= 5; threads++) {
        cvi_pool *pool = cvi_pool_new(threads);
        assert_non_null(pool);
        assert_true(threads == 0 ? cvi_pool_threads(pool) >= 1 : cvi_pool_threads(pool) == threads);
        for (int repeat = 0; repeat < 30; repeat++) {
            for (int i = 0; i < CVI_COUNT(sizes); i++) {
                tally t = {.pool = pool, .n = sizes[i]};
                cvi_pool_run(pool, t.n, count_chunk, &t);
                expect_once(&t);
            }
        }
        cvi_pool_free(pool);
    }
    tally t = {.n = 5};
    cvi_pool_run(NULL, 5, count_chunk, &t);
    expect_once(&t);
    assert_int_equal(cvi_pool_threads(NULL), 1);
    cvi_pool_free(NULL);
}

/* Jobs of two chunks in a row, some after a pause in which the workers fall asleep. */
static void many_short_jobs(void **state) {
    (void)state;
    cvi_pool *pool = cvi_pool_new(4);
    for (int i = 0; i < 20000; i++) {
        tally t = {.pool = pool, .n = 2 + i % 5};
        cvi_pool_run(pool, t.n, count_chunk, &t);
        for (int64_t k = 0; k < t.n; k++) {
            assert_int_equal(t.count[k], 1);
        }
        if (i % 1000 == 0) {
            usleep(2000);
        }
    }
    cvi_pool_free(pool);
}

typedef struct outer {
    cvi_pool *pool;
    tally inner[8];
    _Atomic int wrong;
} outer;

static void see_worker(void *context, int64_t chunk, int worker) {
    int *seen = context;
    seen[chunk] = worker;
}

static void run_inner(void *context, int64_t chunk, int worker) {
    outer *o = context;
    int seen[3] = {-1, -1, -1};
    o->inner[chunk] = (tally){.pool = o->pool, .n = 100};
    cvi_pool_run(o->pool, 100, count_chunk, &o->inner[chunk]);
    cvi_pool_run(o->pool, 3, see_worker, seen); /* a nested run keeps the number of its thread */
    if (seen[0] != worker || seen[1] != worker || seen[2] != worker) {
        atomic_fetch_add(&o->wrong, 1);
    }
}

static void nested_runs(void **state) {
    (void)state;
    static outer o;
    o.pool = cvi_pool_new(4);
    for (int repeat = 0; repeat < 50; repeat++) {
        cvi_pool_run(o.pool, 8, run_inner, &o);
        for (int i = 0; i < 8; i++) {
            expect_once(&o.inner[i]);
        }
    }
    assert_int_equal(o.wrong, 0);
    cvi_pool_free(o.pool);
}

static void *run_many(void *context) {
    cvi_pool *pool = context;
    for (int i = 0; i < 300; i++) {
        tally t = {.pool = pool, .n = 50};
        cvi_pool_run(pool, 50, count_chunk, &t);
        for (int k = 0; k < 50; k++) {
            if (t.count[k] != 1) {
                return context;
            }
        }
    }
    return NULL;
}

static void concurrent_callers(void **state) {
    (void)state;
    cvi_pool *pool = cvi_pool_new(3);
    pthread_t threads[4];
    for (int i = 0; i < 4; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, run_many, pool), 0);
    }
    for (int i = 0; i < 4; i++) {
        void *wrong = NULL;
        pthread_join(threads[i], &wrong);
        assert_null(wrong);
    }
    cvi_pool_free(pool);
}

static void pools_come_and_go(void **state) {
    (void)state;
    for (int i = 0; i < 200; i++) {
        cvi_pool *pool = cvi_pool_new(3);
        if (i % 2 == 0) {
            tally t = {.pool = pool, .n = 10};
            cvi_pool_run(pool, 10, count_chunk, &t);
            expect_once(&t);
        }
        cvi_pool_free(pool);
    }
    for (int k = 0; k < 2; k++) {
        test_fail_from(k, -1);
        assert_null(cvi_pool_new(2));
        cvi_set_hooks(NULL);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_chunk_once),  cmocka_unit_test(many_short_jobs),
        cmocka_unit_test(nested_runs),       cmocka_unit_test(concurrent_callers),
        cmocka_unit_test(pools_come_and_go),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

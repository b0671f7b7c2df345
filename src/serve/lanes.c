/* SPDX-License-Identifier: MIT
 * lanes.c - three queues, each with threads of its own: short looks at what is there, forward passes, explanations. What waits in
 * one never holds up another; what the heavy one computes, with threads that it starts, steps back where the others want the processor.
 */
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "app.h"

enum { MOST_WAITING = 256, HEAVY_NICE = 5 };

typedef struct item {
    struct item *next;
    lane_work *work;
    void *context;
} item;

typedef struct lane {
    pthread_mutex_t lock;
    pthread_cond_t more;
    item *first, **last;
    int waiting, n_threads, nice;
    bool stop;
    pthread_t threads[2];
} lane;

struct lanes {
    lane lane[N_LANES];
};

static void *serve_lane(void *context) {
    lane *l = context;
    if (l->nice >
        0) { /* of this thread alone, and of those that it will start; where it fails, nothing is lost */
        (void)setpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid), l->nice);
    }
    pthread_mutex_lock(&l->lock);
    while (!l->stop) {
        item *i = l->first;
        if (!i) {
            pthread_cond_wait(&l->more, &l->lock);
            continue;
        }
        l->first = i->next;
        l->last = l->first ? l->last : &l->first;
        l->waiting--;
        pthread_mutex_unlock(&l->lock);
        i->work(i->context);
        free(i);
        pthread_mutex_lock(&l->lock);
    }
    pthread_mutex_unlock(&l->lock);
    return NULL;
}

lanes *lanes_new(void) {
    static const int threads[N_LANES] = {[LANE_LIGHT] = 2, [LANE_RUN] = 1, [LANE_HEAVY] = 1};
    lanes *l = calloc(1, sizeof *l);
    for (int k = 0; l && k < N_LANES; k++) {
        lane *at = &l->lane[k];
        pthread_mutex_init(&at->lock, NULL);
        pthread_cond_init(&at->more, NULL);
        at->last = &at->first;
        at->nice = k == LANE_HEAVY ? HEAVY_NICE : 0;
    }
    for (int k = 0; l && k < N_LANES; k++) {
        lane *at = &l->lane[k];
        while (at->n_threads < threads[k]) {
            if (pthread_create(&at->threads[at->n_threads], NULL, serve_lane, at) != 0) {
                lanes_free(l);
                return NULL;
            }
            at->n_threads++;
        }
    }
    return l;
}

void lanes_free(lanes *l) {
    for (int k = 0; l && k < N_LANES; k++) {
        lane *at = &l->lane[k];
        pthread_mutex_lock(&at->lock);
        at->stop = true;
        pthread_cond_broadcast(&at->more);
        pthread_mutex_unlock(&at->lock);
    }
    for (int k = 0; l && k < N_LANES; k++) {
        lane *at = &l->lane[k];
        for (int i = 0; i < at->n_threads; i++) {
            pthread_join(at->threads[i], NULL);
        }
        while (at->first) {
            item *next = at->first->next;
            free(at->first);
            at->first = next;
        }
        pthread_cond_destroy(&at->more);
        pthread_mutex_destroy(&at->lock);
    }
    free(l);
}

bool lanes_push(lanes *l, lane_kind kind, lane_work *work, void *context) {
    lane *at = &l->lane[kind];
    item *i = malloc(sizeof *i);
    if (!i) {
        return false;
    }
    *i = (item){.work = work, .context = context};
    pthread_mutex_lock(&at->lock);
    bool room = at->waiting < MOST_WAITING && !at->stop;
    if (room) {
        *at->last = i;
        at->last = &i->next;
        at->waiting++;
        pthread_cond_signal(&at->more);
    }
    pthread_mutex_unlock(&at->lock);
    if (!room) {
        free(i);
    }
    return room;
}

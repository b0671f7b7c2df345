/* SPDX-License-Identifier: MIT
 * ranks.c - what processes that train together tell each other. The gradients go a block of numbers at a time: each process gets all pieces'
 * numbers of its part of the block, adds them in the order of the pieces, and the sums go to everybody. So every number is added up
 * once, by one process, and always in the same order.
 */
#include "train/ranks.h"

#include <sched.h>
#include <unistd.h>

enum { BLOCK = 1 << 20 }; /* numbers of a piece exchanged at a time: bounds the memory, and MPI's counts */

static cvs_status gone(cvs_error *err) {
    return cvi_fail(
        err, CVS_E_IO,
        "another process of this training is gone; with --resume it goes on from the last checkpoint");
}

/* ---- pieces --------------------------------------------------------------------------------------------------- */

static int first_piece(const cvi_trainer *t, int rank) {
    return (int)((int64_t)t->n_pieces * rank / t->comm->size);
}

void cvi_ranks_pieces(const cvi_trainer *t, int *from, int *to) {
    *from = t->comm ? first_piece(t, t->comm->rank) : 0;
    *to = t->comm ? first_piece(t, t->comm->rank + 1) : t->n_pieces;
}

cvs_status cvi_ranks_check(const cvi_trainer *t, cvs_error *err) {
    if (t->comm && t->comm->size > t->n_pieces) {
        return cvi_fail(
            err, CVS_E_ARGUMENT,
            "%d processes are too many: every batch is cut into %d shards, and a process needs at least "
            "one (--shards N makes more)",
            t->comm->size, t->n_pieces);
    }
    return CVS_OK;
}

static bool is_empty(const cvi_trainer *t, int index) {
    return t->batch * index / t->n_pieces == t->batch * (index + 1) / t->n_pieces;
}

/* ---- losses ---------------------------------------------------------------------------------------------------- */

cvs_status cvi_ranks_losses(cvi_trainer *t, cvs_status own, cvs_error *err) {
    if (!t->comm) {
        return own;
    }
    int n = t->n_pieces, from, to;
    int64_t room = 2 * n + 1 + (t->margins ? t->batch : 0);
    double *v = cvi_calloc((size_t)room, sizeof *v), few[2 * CVI_MAX_PIECES + 1] = {0};
    cvs_status s = v ? own : cvi_no_memory(err, (size_t)room * sizeof *v);
    double *all = v ? v : few; /* the others wait for these numbers whatever happened here */
    cvi_ranks_pieces(t, &from, &to);
    all[2 * n] = s != CVS_OK;
    for (int i = from; i < to && s == CVS_OK; i++) {
        all[i] = t->pieces[i].loss;
        all[n + i] = (double)t->pieces[i].right;
    }
    for (int64_t i = t->batch * from / n; t->margins && v && i < t->batch * to / n; i++) {
        v[2 * n + 1 + i] = (double)t->margins[i];
    }
    bool heard = t->comm->sum(t->comm->context, all, 2 * n + 1);
    /* Apart, so that one without memory does not hold up the others. */
    if (heard && t->margins && all[2 * n] == 0) {
        heard = t->comm->sum(t->comm->context, v + 2 * n + 1, (int)t->batch);
    }
    for (int i = 0; i < n && heard; i++) {
        t->pieces[i].loss = all[i];
        t->pieces[i].right = (int64_t)all[n + i];
    }
    for (int64_t i = 0; t->margins && v && heard && i < t->batch; i++) {
        t->margins[i] = (float)v[2 * n + 1 + i];
    }
    bool any = all[2 * n] > 0;
    cvi_free(v);
    if (s != CVS_OK) {
        return s;
    }
    return !heard ? gone(err)
           : any  ? cvi_fail(err, CVS_E_CANCELLED, "another process of this training failed")
                  : CVS_OK;
}

/* ---- gradients --------------------------------------------------------------------------------------------------- */

typedef struct block {
    cvi_trainer *t;
    int64_t from, n;
    int *send_counts, *receive_counts, *parts;
    float *send, *receive;
} block;

static int64_t part(const block *b, int rank) { /* where the part of a process begins in the block */
    return b->n * rank / b->t->comm->size;
}

static void pack(block *b) {
    cvi_trainer *t = b->t;
    float *to = b->send;
    int mine, end;
    cvi_ranks_pieces(t, &mine, &end);
    for (int rank = 0; rank < t->comm->size; rank++) {
        int64_t at = part(b, rank), n = part(b, rank + 1) - at;
        b->parts[rank] = (int)n;
        b->send_counts[rank] = b->receive_counts[rank] = 0;
        for (int i = mine; i < end; i++) {
            if (!is_empty(t, i)) {
                memcpy(to, t->pieces[i].gradients + b->from + at, (size_t)n * sizeof *to);
                to += n;
                b->send_counts[rank] += (int)n;
            }
        }
    }
    int64_t own = b->parts[t->comm->rank];
    for (int rank = 0; rank < t->comm->size; rank++) {
        for (int i = first_piece(t, rank); i < first_piece(t, rank + 1); i++) {
            b->receive_counts[rank] += is_empty(t, i) ? 0 : (int)own;
        }
    }
}

/* Processes and their pieces are in order, and so is what arrives. */
static void add_up(const block *b, int pieces, float *to) {
    int64_t n = b->parts[b->t->comm->rank];
    if (n > 0) {
        memcpy(to, b->receive, (size_t)n * sizeof *to);
    }
    for (int i = 1; i < pieces; i++) {
        const float *more = b->receive + i * n;
        for (int64_t k = 0; k < n; k++) {
            to[k] += more[k];
        }
    }
}

static cvs_status exchange(block *b, float *into, int64_t numbers, int pieces, cvs_error *err) {
    const cvs_comm *comm = b->t->comm;
    for (b->from = 0; b->from < numbers; b->from += b->n) {
        b->n = CVI_MIN((int64_t)BLOCK, numbers - b->from);
        pack(b);
        if (!comm->all_to_all(comm->context, b->send, b->send_counts, b->receive, b->receive_counts)) {
            return gone(err);
        }
        add_up(b, pieces, into + b->from + part(b, comm->rank));
        if (!comm->all_gather(comm->context, into + b->from, b->parts)) {
            return gone(err);
        }
    }
    return CVS_OK;
}

cvs_status cvi_ranks_gradients(cvi_trainer *t, cvs_error *err) {
    if (!t->comm) {
        return CVS_OK;
    }
    int64_t numbers = t->params->numbers + t->n_statistics, room = CVI_MIN(numbers, (int64_t)BLOCK);
    int from, to, size = t->comm->size, pieces = 0, first = -1;
    cvi_ranks_pieces(t, &from, &to);
    for (int i = 0; i < t->n_pieces; i++) {
        first = first < 0 && !is_empty(t, i) ? i : first;
        pieces += !is_empty(t, i);
    }
    block b = {.t = t,
               .send_counts = cvi_calloc((size_t)size, sizeof(int)),
               .receive_counts = cvi_calloc((size_t)size, sizeof(int)),
               .parts = cvi_calloc((size_t)size, sizeof(int)),
               .send = cvi_malloc((size_t)(room * CVI_MAX(to - from, 1)) * sizeof(float)),
               .receive =
                   cvi_malloc((size_t)(((room + size - 1) / size + 1) * CVI_MAX(pieces, 1)) * sizeof(float))};
    cvs_status s = first >= 0 ? cvi_trainer_need_gradients(t, first, err) : CVS_OK;
    if (s == CVS_OK && (!b.send_counts || !b.receive_counts || !b.parts || !b.send || !b.receive)) {
        s = cvi_no_memory(err, (size_t)room * sizeof(float));
    }
    s = cvi_ranks_agree(t->comm, s, NULL, err);
    if (s == CVS_OK && first >= 0) {
        s = exchange(&b, t->pieces[first].gradients, numbers, pieces, err);
    }
    for (int i = 0; i < t->n_pieces; i++) {
        t->pieces[i].any = i == first;
    }
    cvi_free(b.send_counts);
    cvi_free(b.receive_counts);
    cvi_free(b.parts);
    cvi_free(b.send);
    cvi_free(b.receive);
    return s;
}

cvs_status cvi_ranks_evaluated(cvi_trainer *t, int64_t chunks, cvs_status own, cvs_error *err) {
    if (!t->comm) {
        return own;
    }
    CVI_TRY(cvi_ranks_agree(t->comm, own, NULL, err));
    for (int64_t at = 0; at < chunks; at += BLOCK) {
        int n = (int)CVI_MIN((int64_t)BLOCK, chunks - at);
        double *rights = cvi_calloc((size_t)n, sizeof *rights);
        CVI_TRY(cvi_ranks_agree(t->comm, rights ? CVS_OK : cvi_no_memory(err, (size_t)n * sizeof *rights),
                                NULL, err));
        for (int i = 0; i < n; i++) {
            rights[i] = (double)t->rights[at + i];
        }
        bool heard =
            t->comm->sum(t->comm->context, t->losses + at, n) && t->comm->sum(t->comm->context, rights, n);
        for (int i = 0; i < n; i++) {
            t->rights[at + i] = (int64_t)rights[i];
        }
        cvi_free(rights);
        if (!heard) {
            return gone(err);
        }
    }
    int64_t cells = t->cells ? (int64_t)t->n_cells * t->n_cells : 0;
    for (int64_t at = 0; at < cells; at += BLOCK) {
        if (!t->comm->sum(t->comm->context, t->cells + at, (int)CVI_MIN((int64_t)BLOCK, cells - at))) {
            return gone(err);
        }
    }
    return CVS_OK;
}

/* ---- one for all -------------------------------------------------------------------------------------------------- */

cvs_status cvi_ranks_agree(const cvs_comm *comm, cvs_status own, bool *stop, cvs_error *err) {
    if (!comm) {
        return own;
    }
    double v[2] = {stop && *stop, own != CVS_OK};
    if (!comm->sum(comm->context, v, 2)) {
        return own != CVS_OK ? own : gone(err);
    }
    if (stop) {
        *stop = v[0] > 0;
    }
    if (v[1] == 0) {
        return CVS_OK;
    }
    /* Who failed by itself? A failure that only tells of another's says so by its status. */
    int n = CVI_MIN(comm->size, 4096), speaks = -1;
    double codes[4096] = {0};
    if (comm->rank < n) {
        codes[comm->rank] = own == CVS_E_CANCELLED ? -1 : (double)own;
    }
    if (!comm->sum(comm->context, codes, n)) {
        return own != CVS_OK ? own : gone(err);
    }
    for (int i = n - 1; i >= 0; i--) {
        speaks = codes[i] > 0 ? i : speaks;
    }
    for (int i = n - 1; i >= 0 && speaks < 0; i--) {
        speaks = codes[i] != 0 ? i : speaks;
    }
    cvs_error said = err ? *err : (cvs_error){0};
    said.code = own;
    if (!comm->broadcast(comm->context, CVI_MAX(speaks, 0), &said, sizeof said)) {
        return own != CVS_OK ? own : gone(err);
    }
    if (err) {
        cvs_lang lang = err->lang;
        *err = said;
        err->lang = lang;
    }
    return said.code;
}

int cvi_ranks_threads(const cvs_comm *comm, int wanted) {
    cpu_set_t mine;
    long all = sysconf(_SC_NPROCESSORS_ONLN);
    if (!comm || wanted > 0 || sched_getaffinity(0, sizeof mine, &mine) != 0) {
        return wanted;
    }
    int own = CPU_COUNT(&mine); /* fewer than all: the launcher has divided them already */
    return CVI_MAX(1, own < all ? own : own / CVI_MAX(comm->local, 1));
}

/* ---- a run begins --------------------------------------------------------------------------------------------------- */

/* What must be the same everywhere, as one number. */
static uint64_t fingerprint(const cvi_loop *r) {
    const cvi_history *h = &r->history;
    uint64_t f = cvi_random_bits(h->fingerprint, h->val_fingerprint, h->order_fingerprint);
    cvi_buf b = {0};
    cvi_history_settings(&b, h);
    for (size_t i = 0; i < b.size; i++) {
        f = cvi_random_bits(f, i, (uint64_t)(unsigned char)b.data[i]);
    }
    cvi_buf_free(&b);
    for (int i = 0; i < r->params.n; i++) {
        f = cvi_random_bits(f, (uint64_t)cvs_tensor_count(&r->params.list[i].now), r->params.list[i].trained);
    }
    return f;
}

static bool send_params(const cvs_comm *c, cvi_params *p) {
    bool good = true;
    for (int i = 0; i < p->n && good; i++) {
        cvi_param *one = &p->list[i];
        good = one->now.bytes == 0 || c->broadcast(c->context, 0, one->now.data, (int64_t)one->now.bytes);
        for (int k = 0; good && one->trained && k < p->n_slots && one->now.bytes > 0; k++) {
            good = c->broadcast(c->context, 0, one->slots[k], (int64_t)one->now.bytes);
        }
    }
    return good;
}

cvs_status cvi_ranks_begin(cvi_loop *r) {
    const cvs_comm *c = r->options->comm;
    if (!c) {
        return CVS_OK;
    }
    uint64_t own = fingerprint(r), first = own;
    if (!c->broadcast(c->context, 0, &first, sizeof first)) {
        return gone(r->err);
    }
    cvs_status s =
        first == own
            ? CVS_OK
            : cvi_fail(r->err, CVS_E_ARGUMENT,
                       "process %d has other data or settings than process 0: the recipe and the data must "
                       "be the same on every machine",
                       c->rank);
    CVI_TRY(cvi_ranks_agree(c, s, NULL, r->err));
    if (!c->broadcast(c->context, 0, &r->at, sizeof r->at) ||
        !c->broadcast(c->context, 0, &r->history.n, sizeof(int)) ||
        !c->broadcast(c->context, 0, r->history.list,
                      r->training.epochs * (int64_t)sizeof *r->history.list) ||
        !c->broadcast(c->context, 0, &r->history.seconds, sizeof r->history.seconds) ||
        !send_params(c, &r->params)) {
        return gone(r->err);
    }
    return CVS_OK;
}

cvs_status cvi_ranks_steering(cvi_loop *r) {
    const cvs_comm *c = r->options->comm;
    if (c && !c->broadcast(c->context, 0, &r->steering, sizeof r->steering)) {
        return gone(r->err);
    }
    if (c) {
        r->history.n_changes = r->steering.n;
    }
    return CVS_OK;
}

/* SPDX-License-Identifier: MIT
 * bands.c - chains of steps that go through large maps band by band. Where only the answer is asked for, a map that only the next step
 * reads need not be there as a whole: a thread computes some rows of it, then the rows of the next map that follow from them, and so
 * on to the last step of the chain, with everything between in its second-level cache. Rows that two bands need are computed
 * twice. Only a whole pass does it; a value inside a chain that somebody looks at is computed again.
 */
#include "engine/plan.h"

#include "kernels/kernels.h"

/* What a thread holds of the maps inside a chain, and the smallest map (one picture) worth it. Measured: MobileNetV2, SqueezeNet. */
enum { BAND_BYTES = 512 << 10, MAP_BYTES = 1 << 20 };

static int64_t band_bytes(const cvi_exec *x) {
    return x->options.part_bytes > 0 ? x->options.part_bytes : BAND_BYTES;
}

static const cvi_group *group_of(const cvi_exec *x, int n) {
    return x->steps[n].group >= 0 ? &x->groups[x->steps[n].group] : NULL;
}

static int last_of(const cvi_exec *x, int head) {
    const cvi_group *g = group_of(x, head);
    return g ? g->node[g->n - 1] : head;
}

int cvi_chain_output(const cvi_exec *x, int head) {
    const cvi_group *g = group_of(x, head);
    return g ? g->out : x->g->nodes[head].out[0];
}

/* Whether node n, with the group that it is the head of, can run row by row. */
static bool by_rows(cvi_exec *x, int n, cvi_band *b) {
    const cvi_step *step = &x->steps[n];
    const cvi_node *node = &x->g->nodes[n];
    const cvi_group *g = group_of(x, n);
    if (!node->def || !node->def->band || step->kind != CVI_STEP_RUN || !step->fast || step->late ||
        step->repack || step->chain >= 0 || node->def->fast_layout != CVS_NHWC8 || (g && g->node[0] != n)) {
        return false;
    }
    for (int k = 1; k < node->n_out; k++) {
        if (node->out[k] >= 0) {
            return false;
        }
    }
    bool fits = cvi_call_fill(x, n, &x->call, CVI_IN_CONSTANTS, NULL) == CVS_OK;
    if (fits) {
        x->call.ctx.prepared = NULL;
        fits = node->def->band(&x->call.ctx, b);
    }
    cvi_arena_reset(x->scratch);
    return fits;
}

/* A map that need not be there: large, and only one node reads it. */
static bool may_vanish(const cvi_exec *x, int v, const cvi_readers *r, const cvi_band *b) {
    const cvi_slot *slot = &x->slots[v];
    int64_t least = x->options.part_bytes > 0 ? x->options.part_bytes / 8 : MAP_BYTES;
    return slot->known && !slot->late && !slot->keep && !slot->constant && slot->into < 0 &&
           r->count[v] == 1 && slot->shape.rank == 4 && slot->shape.dtype == CVS_F32 &&
           b->out_rows * b->out_row * (int64_t)sizeof(float) >= least;
}

/* Input rows [*y0, *y1) of the output rows [*y0, *y1). */
static void rows_before(const cvi_band *b, int64_t *y0, int64_t *y1) {
    int64_t first = *y0 * b->step + b->first, last = (*y1 - 1) * b->step + b->first + b->count;
    *y0 = CVI_MIN(b->in_rows, CVI_MAX(0, first));
    *y1 = CVI_MAX(*y0, CVI_MIN(b->in_rows, last));
}

/* Most rows of the outputs of all links but the last when the last one makes `rows`; their bytes. */
static int64_t rows_inside(const cvi_band *b, int n, int64_t rows, int64_t *most) {
    int64_t bytes = 0;
    for (int i = n - 1; i > 0; i--) {
        rows = CVI_MIN(b[i].in_rows, (rows - 1) * b[i].step + b[i].count);
        most[i - 1] = rows;
        bytes += (rows * b[i - 1].out_row * (int64_t)sizeof(float) + 63) / 64 * 64;
    }
    return bytes;
}

/* Rows of the last link in a band: as many as the cache holds what they need for; 0: not even one. */
static int64_t rows_of_band(const cvi_exec *x, const cvi_band *b, int n) {
    int64_t most[CVI_CHAIN_MOST], rows = 0;
    while (rows < b[n - 1].out_rows && rows_inside(b, n, rows + 1, most) <= band_bytes(x)) {
        rows++;
    }
    return rows;
}

/* Links behind node n as long as maps vanish, and the rows that bands share are not too many. */
static void grow(cvi_exec *x, int n, const cvi_readers *r, cvi_chain *chain) {
    cvi_band b[CVI_CHAIN_MOST];
    chain->n = 0;
    if (!by_rows(x, n, &b[0])) {
        return;
    }
    chain->head[chain->n++] = n;
    while (chain->n < CVI_CHAIN_MOST) {
        int at = chain->head[chain->n - 1], v = cvi_chain_output(x, at),
            next = may_vanish(x, v, r, &b[chain->n - 1]) ? r->reader[v] : -1;
        if (next < 0 || x->g->nodes[next].in[0] != v || x->steps[next].part != x->steps[n].part ||
            !by_rows(x, next, &b[chain->n])) {
            return;
        }
        int64_t most[CVI_CHAIN_MOST], rows = rows_of_band(x, b, chain->n + 1);
        if (rows == 0 || (rows_inside(b, chain->n + 1, rows, most), most[0] * b[0].out_rows == 0) ||
            4 * most[0] * ((b[chain->n].out_rows + rows - 1) / rows) > 5 * b[0].out_rows) {
            return; /* a quarter of the first map, at most, is computed twice */
        }
        chain->head[chain->n++] = next;
    }
}

static void adopt(cvi_exec *x, const cvi_chain *chain) {
    for (int i = 0; i < chain->n; i++) {
        const cvi_group *g = group_of(x, chain->head[i]);
        x->steps[chain->head[i]].chain = x->n_chains;
        for (int k = 0; g && k < g->n; k++) {
            x->steps[g->node[k]].chain = x->n_chains;
        }
        x->slots[cvi_chain_output(x, chain->head[i])].vanishes = i + 1 < chain->n;
    }
    x->chains[x->n_chains] = *chain;
    x->chains[x->n_chains++].last = last_of(x, chain->head[chain->n - 1]);
}

cvs_status cvi_bands_find(cvi_exec *x, cvs_error *err) {
    const cvi_graph *g = x->g;
    for (int n = 0; n < g->n_nodes; n++) {
        x->steps[n].chain = -1;
    }
    if (x->options.keep != CVI_KEEP_ANSWER || x->options.plain || x->options.training ||
        x->options.keep_aux) {
        return CVS_OK;
    }
    size_t nodes = (size_t)CVI_MAX(g->n_nodes, 1);
    cvi_readers r;
    cvs_status s = cvi_readers_find(x, &r, err);
    x->chains = cvi_calloc(nodes, sizeof *x->chains);
    if (s == CVS_OK && !x->chains) {
        s = cvi_no_memory(err, nodes * sizeof *x->chains);
    }
    for (int n = 0; n < g->n_nodes && s == CVS_OK; n++) {
        cvi_chain chain;
        grow(x, n, &r, &chain);
        if (chain.n > 1) {
            adopt(x, &chain);
        }
    }
    cvi_readers_free(&r);
    return s;
}

bool cvi_chain_runs(const cvi_exec *x, int n) {
    return x->steps[n].chain >= 0 && x->passing && x->last == -1;
}

/* ---- running ----------------------------------------------------------------------------------------------- */

typedef struct band_job {
    cvi_band link[CVI_CHAIN_MOST];
    int n;
    const float *in;
    float *out;
    int64_t rows, bands;        /* of the last link: rows of a band, bands of a picture */
    int64_t at[CVI_CHAIN_MOST]; /* where a worker's rows of each link's output begin, in floats */
    float *held;                /* [threads][held_floats] */
    int64_t held_floats;
} band_job;

/* Where row 0 of a picture would be if row y is at `row`. */
static float *row_zero(const float *row, int64_t y, int64_t floats) {
    return (float *)((uintptr_t)row - (uintptr_t)(y * floats) * sizeof(float));
}

static void run_band(void *context, int64_t chunk, int worker) {
    const band_job *j = context;
    int64_t n = chunk / j->bands, y0[CVI_CHAIN_MOST], y1[CVI_CHAIN_MOST];
    int last = j->n - 1;
    y0[last] = chunk % j->bands * j->rows;
    y1[last] = CVI_MIN(j->link[last].out_rows, y0[last] + j->rows);
    for (int i = last; i > 0; i--) {
        y0[i - 1] = y0[i];
        y1[i - 1] = y1[i];
        rows_before(&j->link[i], &y0[i - 1], &y1[i - 1]);
    }
    const float *in = j->in + n * j->link[0].in_rows * j->link[0].in_row;
    for (int i = 0; i <= last; i++) {
        const cvi_band *b = &j->link[i];
        float *out = i == last ? j->out + n * b->out_rows * b->out_row
                               : row_zero(j->held + worker * j->held_floats + j->at[i], y0[i], b->out_row);
        b->run(b, n, in, out, y0[i], y1[i], worker);
        in = out;
    }
}

cvs_status cvi_chain_run(cvi_exec *x, int n, const cvi_band *links, int64_t samples, const float *in,
                         float *out, cvs_error *err) {
    band_job j = {.n = n, .in = in, .out = out};
    int64_t most[CVI_CHAIN_MOST];
    memcpy(j.link, links, sizeof *links * (size_t)n);
    j.rows = CVI_MAX(1, rows_of_band(x, j.link, j.n));
    j.bands = (j.link[j.n - 1].out_rows + j.rows - 1) / j.rows;
    j.bands +=
        j.bands > 2 && j.bands % 2 != 0 && j.bands < j.link[j.n - 1].out_rows ? 1 : 0; /* for two threads */
    j.rows = (j.link[j.n - 1].out_rows + j.bands - 1) / j.bands;
    j.held_floats = rows_inside(j.link, j.n, j.rows, most) / (int64_t)sizeof(float);
    for (int i = 0; i + 2 < j.n; i++) {
        j.at[i + 1] = j.at[i] + (most[i] * j.link[i].out_row + 15) / 16 * 16;
    }
    int64_t bytes = j.held_floats * cvi_pool_threads(x->options.pool) * (int64_t)sizeof(float);
    j.held = cvi_arena_raw(x->scratch, bytes);
    if (!j.held) {
        return cvi_no_memory(err, (size_t)bytes);
    }
    cvi_pool_run(x->options.pool, samples * j.bands, run_band, &j);
    return CVS_OK;
}

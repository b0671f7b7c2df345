/* SPDX-License-Identifier: MIT
 * walk.c - rows of a broadcast, moving elements by tables of offsets, sums in double, and the small checks that
 * operators share (walk.h). Pieces of work depend on shapes only, so any thread count gives the same bits.
 */
#include "ops/walk.h"
#include "tensor/small.h"

#define PIECE 32768 /* elements that are worth a thread's while */

/* ---- shapes and types -------------------------------------------------------------------------------- */
void cvi_strides(int rank, const int64_t *dim, int64_t *stride) {
    int64_t step = 1;
    for (int a = rank - 1; a >= 0; a--) {
        stride[a] = step;
        step *= dim[a] > 0 ? dim[a] : 1;
    }
}

int64_t cvi_product(const int64_t *dim, int from, int to) {
    int64_t product = 1;
    for (int a = from; a < to; a++) {
        product *= dim[a];
    }
    return product;
}

bool cvi_same_shape(const cvs_tensor *a, const cvs_tensor *b) {
    if (a->rank != b->rank) {
        return false;
    }
    for (int k = 0; k < a->rank; k++) {
        if (a->dim[k] != b->dim[k]) {
            return false;
        }
    }
    return true;
}

bool cvi_is_signed(cvs_dtype dtype) {
    return cvi_is_float(dtype) || dtype == CVS_I8 || dtype == CVS_I16 || dtype == CVS_I32 ||
           dtype == CVS_I64 || dtype == CVS_I4 || dtype == CVS_I2 || cvi_is_small_float(dtype);
}

void cvi_put_int(const cvs_tensor *t, int64_t i, int64_t v) {
    switch (t->dtype) {
    case CVS_U8:
    case CVS_I8:
        ((uint8_t *)t->data)[i] = (uint8_t)v;
        break;
    case CVS_BOOL:
        ((uint8_t *)t->data)[i] = v != 0;
        break;
    case CVS_U16:
    case CVS_I16:
        ((uint16_t *)t->data)[i] = (uint16_t)v;
        break;
    case CVS_U32:
    case CVS_I32:
        ((uint32_t *)t->data)[i] = (uint32_t)v;
        break;
    case CVS_U64:
    case CVS_I64:
        ((int64_t *)t->data)[i] = v;
        break;
    case CVS_U4:
    case CVS_I4:
    case CVS_U2:
    case CVS_I2:
        ((uint8_t *)t->data)[i] = cvi_small_wrap(t->dtype, v);
        break;
    default:
        cvi_put(t, i, (double)v);
        break;
    }
}

cvs_status cvi_one_type(const cvi_opctx *ctx, int a, int b) {
    if (ctx->in[a]->dtype == ctx->in[b]->dtype) {
        return CVS_OK;
    }
    return cvi_fail(ctx->err, CVS_E_FORMAT, "inputs %d and %d are %s and %s, but must be of one type", a, b,
                    cvs_dtype_name(ctx->in[a]->dtype), cvs_dtype_name(ctx->in[b]->dtype));
}

cvs_status cvi_type_is(const cvi_opctx *ctx, int k, bool (*fits)(cvs_dtype), const char *wanted) {
    if (fits(ctx->in[k]->dtype)) {
        return CVS_OK;
    }
    return cvi_fail(ctx->err, CVS_E_FORMAT, "input %d is %s, but must be %s", k,
                    cvs_dtype_name(ctx->in[k]->dtype),
                    cvi_tr(ctx->err != NULL ? ctx->err->lang : CVS_EN, wanted));
}

cvs_status cvi_rank_is(const cvi_opctx *ctx, int k, int rank) {
    if (ctx->in[k]->rank == rank) {
        return CVS_OK;
    }
    return cvi_fail(ctx->err, CVS_E_SHAPE, "input %d has %d dimensions, but must have %d", k,
                    ctx->in[k]->rank, rank);
}

cvs_status cvi_rank_from(const cvi_opctx *ctx, int k, int rank) {
    if (ctx->in[k]->rank >= rank) {
        return CVS_OK;
    }
    return cvi_fail(ctx->err, CVS_E_SHAPE, "input %d has %d dimensions, but needs at least %d", k,
                    ctx->in[k]->rank, rank);
}

cvs_status cvi_ints(const cvi_opctx *ctx, int k, int64_t *v, int max, int *n) {
    const cvs_tensor *t = cvi_in(ctx, k);
    if (t == NULL) {
        *n = -1;
        return CVS_OK;
    }
    int64_t count = cvs_tensor_count(t);
    if (t->rank > 1 || !cvi_is_integer(t->dtype)) {
        char shape[128];
        return cvi_fail(ctx->err, CVS_E_SHAPE, "input %d must be a list of integers, but is %s of shape %s",
                        k, cvs_dtype_name(t->dtype), cvs_shape_text(t->rank, t->dim, shape, sizeof shape));
    }
    if (count < 0 || count > max) {
        return cvi_fail(ctx->err, CVS_E_SHAPE, "input %d has %lld numbers, at most %d are allowed", k,
                        (long long)count, max);
    }
    CVI_TRY(cvi_need(ctx, k));
    for (int64_t i = 0; i < count; i++) {
        v[i] = cvi_get_int(t, i);
    }
    *n = (int)count;
    return CVS_OK;
}

/* ---- rows of a broadcast -------------------------------------------------------------------------------- */
static bool joinable(const cvi_walk *w, int a) {
    for (int o = 0; o < w->n; o++) {
        if (w->step[o][a] != w->step[o][a + 1] * w->dim[a + 1]) {
            return false;
        }
    }
    return true;
}

void cvi_walk_make(cvi_walk *w, int rank, const int64_t *dim, int n, const cvs_tensor *const *operand) {
    int64_t step[CVI_WALK_OPERANDS][CVS_MAX_RANK] = {{0}};
    for (int o = 0; o < n; o++) {
        const cvs_tensor *t = operand[o];
        int64_t stride[CVS_MAX_RANK];
        cvi_strides(t->rank, t->dim, stride);
        for (int a = 0; a < t->rank; a++) {
            step[o][a + rank - t->rank] = t->dim[a] == 1 ? 0 : stride[a];
        }
    }
    *w = (cvi_walk){.n = n};
    /* Axes of side 1 carry nothing; then each axis is joined with its right neighbour where it continues it. */
    for (int a = 0; a < rank; a++) {
        if (dim[a] != 1) {
            w->dim[w->rank] = dim[a];
            for (int o = 0; o < n; o++) {
                w->step[o][w->rank] = step[o][a];
            }
            w->rank++;
        }
    }
    for (int a = w->rank - 2; a >= 0; a--) {
        if (joinable(w, a)) {
            w->dim[a] *= w->dim[a + 1];
            for (int o = 0; o < n; o++) {
                w->step[o][a] = w->step[o][a + 1];
            }
            for (int b = a + 1; b < w->rank - 1; b++) {
                w->dim[b] = w->dim[b + 1];
                for (int o = 0; o < n; o++) {
                    w->step[o][b] = w->step[o][b + 1];
                }
            }
            w->rank--;
        }
    }
    if (w->rank == 0) {
        w->rank = 1;
        w->dim[0] = 1;
    }
    w->length = w->dim[w->rank - 1];
    w->rows = w->length > 0 ? cvi_product(w->dim, 0, w->rank - 1) : 0; /* of nothing there are none */
}

void cvi_walk_at(const cvi_walk *w, int64_t row, int64_t *offset) {
    for (int o = 0; o < w->n; o++) {
        offset[o] = 0;
    }
    for (int a = w->rank - 2; a >= 0; a--) {
        int64_t i = row % w->dim[a];
        row /= w->dim[a];
        for (int o = 0; o < w->n; o++) {
            offset[o] += i * w->step[o][a];
        }
    }
}

typedef struct piece_job {
    int64_t rows, per;
    void *context;
    void (*body)(void *context, int64_t begin, int64_t end);
} piece_job;

static void run_piece(void *context, int64_t chunk, int worker) {
    (void)worker;
    const piece_job *job = context;
    int64_t begin = chunk * job->per;
    job->body(job->context, begin, CVI_MIN(begin + job->per, job->rows));
}

void cvi_each_rows(const cvi_opctx *ctx, int64_t rows, int64_t length, void *context,
                   void (*body)(void *context, int64_t begin, int64_t end)) {
    if (rows <= 0) {
        return;
    }
    int64_t per = length >= PIECE ? 1 : PIECE / CVI_MAX(length, 1);
    if (per >= rows) {
        body(context, 0, rows);
        return;
    }
    piece_job job = {rows, per, context, body};
    cvi_pool_run(ctx->pool, (rows + per - 1) / per, run_piece, &job);
}

/* ---- moving by tables ------------------------------------------------------------------------------------ */
cvs_status cvi_map_new(const cvi_opctx *ctx, cvi_map *m, int rank, const int64_t *dim) {
    *m = (cvi_map){.rank = rank};
    for (int a = 0; a < rank; a++) {
        m->dim[a] = dim[a];
        m->at[a] = cvi_arena_alloc(ctx->scratch, CVI_MAX(dim[a], 1), sizeof(int64_t));
        if (m->at[a] == NULL) {
            return cvi_no_memory(ctx->err, (size_t)dim[a] * sizeof(int64_t));
        }
    }
    return CVS_OK;
}

void cvi_map_line(cvi_map *m, int axis, int64_t start, int64_t step) {
    for (int64_t i = 0; i < m->dim[axis]; i++) {
        m->at[axis][i] = start + i * step;
    }
}

typedef struct move_job {
    const cvi_map *map;
    const char *in;
    char *out;
    const void *fill;
    size_t size;
    int64_t length;
    bool line; /* the last table is start, start + 1, ... */
} move_job;

/* Offset of a row in `in`, or -1 when an outer axis says fill. */
static int64_t map_row(const cvi_map *m, int64_t row) {
    int64_t offset = 0;
    bool outside = false;
    for (int a = m->rank - 2; a >= 0; a--) {
        int64_t at = m->at[a][row % m->dim[a]];
        row /= m->dim[a];
        outside = outside || at < 0;
        offset += at;
    }
    return outside ? -1 : offset;
}

static void fill_row(const move_job *job, char *to, int64_t n) {
    if (job->fill == NULL) {
        memset(to, 0, (size_t)n * job->size);
        return;
    }
    for (int64_t i = 0; i < n; i++) {
        memcpy(to + (size_t)i * job->size, job->fill, job->size);
    }
}

#define PICK_ROW(type)                                                                                       \
    do {                                                                                                     \
        type *y = (type *)to;                                                                                \
        const type *x = (const type *)job->in + base;                                                        \
        for (int64_t i = 0; i < job->length; i++) {                                                          \
            if (at[i] >= 0) {                                                                                \
                y[i] = x[at[i]];                                                                             \
            } else if (job->fill != NULL) {                                                                  \
                memcpy(&y[i], job->fill, sizeof y[i]);                                                       \
            } else {                                                                                         \
                y[i] = 0;                                                                                    \
            }                                                                                                \
        }                                                                                                    \
    } while (0)

static void move_row(const move_job *job, int64_t row) {
    const cvi_map *m = job->map;
    char *to = job->out + (size_t)(row * job->length) * job->size;
    int64_t base = map_row(m, row);
    if (base < 0) {
        fill_row(job, to, job->length);
        return;
    }
    const int64_t *at = m->at[m->rank - 1];
    if (job->line) {
        memcpy(to, job->in + (size_t)(base + at[0]) * job->size, (size_t)job->length * job->size);
        return;
    }
    switch (job->size) {
    case 1:
        PICK_ROW(uint8_t);
        break;
    case 2:
        PICK_ROW(uint16_t);
        break;
    case 4:
        PICK_ROW(uint32_t);
        break;
    default:
        PICK_ROW(uint64_t);
        break;
    }
}

static void move_rows(void *context, int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; row++) {
        move_row(context, row);
    }
}

static bool is_line(const int64_t *at, int64_t n) {
    for (int64_t i = 1; i < n; i++) {
        if (at[i] != at[i - 1] + 1) {
            return false;
        }
    }
    return n > 0 && at[0] >= 0;
}

void cvi_map_move(const cvi_opctx *ctx, const cvi_map *m, const void *in, size_t size, const void *fill,
                  void *out) {
    if (m->rank == 0) {
        memcpy(out, in, size);
        return;
    }
    move_job job = {
        .map = m, .in = in, .out = out, .fill = fill, .size = size, .length = m->dim[m->rank - 1]};
    job.line = is_line(m->at[m->rank - 1], job.length);
    if (job.length > 0) {
        cvi_each_rows(ctx, cvi_product(m->dim, 0, m->rank - 1), job.length, &job, move_rows);
    }
}

cvs_status cvi_map_add(const cvi_opctx *ctx, const cvi_map *m, const cvs_tensor *grad_out,
                       cvs_tensor *grad_in) {
    double *sum;
    CVI_TRY(cvi_sum_new(ctx, grad_in, &sum));
    int64_t length = m->rank > 0 ? m->dim[m->rank - 1] : 1;
    int64_t rows = cvi_product(m->dim, 0, m->rank > 0 ? m->rank - 1 : 0);
    static const int64_t zero = 0;
    const int64_t *at = m->rank > 0 ? m->at[m->rank - 1] : &zero;
    for (int64_t row = 0; row < rows; row++) {
        int64_t base = map_row(m, row);
        for (int64_t i = 0; base >= 0 && i < length; i++) {
            if (at[i] >= 0) {
                sum[base + at[i]] += cvi_get(grad_out, row * length + i);
            }
        }
    }
    cvi_sum_add(grad_in, sum);
    return CVS_OK;
}

/* ---- sums ---------------------------------------------------------------------------------------------- */
cvs_status cvi_sum_new(const cvi_opctx *ctx, const cvs_tensor *t, double **sum) {
    int64_t n = CVI_MAX(cvs_tensor_count(t), 1);
    *sum = cvi_arena_alloc(ctx->scratch, n, sizeof(double));
    return *sum != NULL ? CVS_OK : cvi_no_memory(ctx->err, (size_t)n * sizeof(double));
}

void cvi_sum_add(cvs_tensor *t, const double *sum) {
    int64_t n = cvs_tensor_count(t);
    if (t->dtype == CVS_F32) {
        float *y = t->data;
        for (int64_t i = 0; i < n; i++) {
            y[i] += (float)sum[i];
        }
    } else {
        for (int64_t i = 0; i < n; i++) {
            cvi_put(t, i, cvi_get(t, i) + sum[i]);
        }
    }
}

void cvi_tensor_add(cvs_tensor *t, const cvs_tensor *from) {
    int64_t n = cvs_tensor_count(t);
    if (t->dtype == CVS_F32) {
        float *y = t->data;
        const float *x = from->data;
        for (int64_t i = 0; i < n; i++) {
            y[i] += x[i];
        }
    } else {
        for (int64_t i = 0; i < n; i++) {
            cvi_put(t, i, cvi_get(t, i) + cvi_get(from, i));
        }
    }
}

/* ---- common callbacks ------------------------------------------------------------------------------------ */
cvs_status cvi_infer_same(cvi_opctx *ctx) {
    return cvi_out_shape(ctx, 0, ctx->in[0]->dtype, ctx->in[0]->rank, ctx->in[0]->dim);
}

void cvi_cost_each(const cvi_opctx *ctx, cvi_cost *cost) {
    cost->flops = cvs_tensor_count(&ctx->out[0]);
}

void cvi_field_none(const cvi_opctx *ctx, cvi_field_step *step) {
    (void)ctx;
    step->kind = CVI_FIELD_NONE;
}

void cvi_field_all(const cvi_opctx *ctx, cvi_field_step *step) {
    (void)ctx;
    step->kind = CVI_FIELD_ALL;
}

void cvi_field_kept(const cvi_opctx *ctx, cvi_field_step *step) {
    const cvs_tensor *x = ctx->in[0], *y = &ctx->out[0];
    step->kind = CVI_FIELD_NONE;
    if (x->rank >= 3 && y->rank >= 3 && x->dim[x->rank - 1] == y->dim[y->rank - 1] &&
        x->dim[x->rank - 2] == y->dim[y->rank - 2]) {
        step->kind = CVI_FIELD_SAME;
    }
}

/* SPDX-License-Identifier: MIT
 * state_parametrized.c - weights that PyTorch keeps as parts, put together under their plain name: weight_norm (size and direction) and
 * spectral_norm (weight and the two vectors that measure it), under their old names and those of nn.utils.parametrize.
 */
#include <math.h>

#include "formats/state.h"

/* One module's parts stand near each other in a file. */
enum { NEAR = 12 };

static const struct {
    const char *first, *second, *third; /* g, v; or weight, u, v */
} kinds[] = {
    {".parametrizations.weight.original0", ".parametrizations.weight.original1", NULL},
    {".weight_g", ".weight_v", NULL},
    {".parametrizations.weight.original", ".parametrizations.weight.0._u", ".parametrizations.weight.0._v"},
    {".weight_orig", ".weight_u", ".weight_v"}};

/* The length of what stands before the suffix; 0: the name ends otherwise. */
static size_t before(const char *name, const char *suffix) {
    size_t n = strlen(name), k = strlen(suffix);
    return n > k && strcmp(name + n - k, suffix) == 0 ? n - k : 0;
}

static cvi_state_item *near(cvi_state *s, int i, size_t base, const char *suffix) {
    for (int k = CVI_MAX(0, i - NEAR); suffix && k < CVI_MIN(s->n, i + NEAR); k++) {
        cvi_state_item *item = &s->item[k];
        if (item->name && before(item->name, suffix) == base &&
            strncmp(item->name, s->item[i].name, base) == 0) {
            return item;
        }
    }
    return NULL;
}

static bool is_float(const cvs_tensor *t) {
    return t->dtype == CVS_F32 && t->data && cvs_tensor_count(t) > 0;
}

/* g v / |v|, for each place of the one axis that g has. */
static bool directed(const cvs_tensor *g, const cvs_tensor *v, float *out) {
    int axis = 0;
    for (int i = 0; i < g->rank; i++) {
        axis = g->dim[i] != 1 ? i : axis;
    }
    int64_t n = v->rank > 0 ? v->dim[axis] : 0, inner = 1, outer = 1;
    if (g->rank != v->rank || cvs_tensor_count(g) != n) {
        return false;
    }
    for (int i = 0; i < v->rank; i++) {
        *(i < axis ? &outer : &inner) *= i == axis ? 1 : v->dim[i];
    }
    const float *from = v->data;
    for (int64_t k = 0; k < n; k++) {
        double sum = 0;
        for (int64_t o = 0; o < outer * inner; o++) {
            double x = (double)from[(o / inner * n + k) * inner + o % inner];
            sum += x * x;
        }
        double factor = (double)((const float *)g->data)[k] / sqrt(sum);
        for (int64_t o = 0; o < outer * inner; o++) {
            int64_t at = (o / inner * n + k) * inner + o % inner;
            out[at] = (float)((double)from[at] * factor);
        }
    }
    return true;
}

/* w / (u' w v), with w as a matrix [d0, rest]. */
static bool measured(const cvs_tensor *w, const cvs_tensor *u, const cvs_tensor *v, float *out) {
    int64_t rows = w->rank > 0 ? w->dim[0] : 0, columns = cvs_tensor_count(w) / CVI_MAX(rows, 1);
    const float *a = w->data, *left = u->data, *right = v->data;
    double sigma = 0;
    if (cvs_tensor_count(u) != rows || cvs_tensor_count(v) != columns) {
        return false; /* of a transposed convolution, whose matrix is turned */
    }
    for (int64_t i = 0; i < rows; i++) {
        double sum = 0;
        for (int64_t k = 0; k < columns; k++) {
            sum += (double)a[i * columns + k] * (double)right[k];
        }
        sigma += sum * (double)left[i];
    }
    for (int64_t i = 0; i < rows * columns; i++) {
        out[i] = (float)((double)a[i] / sigma);
    }
    return true;
}

static cvs_status merge(cvi_state *s, int i, int kind, size_t base, cvs_error *err) {
    cvi_state_item *first = &s->item[i], *second = near(s, i, base, kinds[kind].second),
                   *third = near(s, i, base, kinds[kind].third);
    const cvs_tensor *shape = !second ? NULL : kinds[kind].third ? &first->t : &second->t;
    if (!second || (kinds[kind].third && !third) || !is_float(&first->t) || !is_float(&second->t) ||
        (third && !is_float(&third->t))) {
        return CVS_OK;
    }
    float *out = cvi_arena_raw(s->model->arena, (int64_t)shape->bytes);
    char *name = cvi_arena_printf(s->model->arena, "%.*s.weight", (int)base, first->name);
    if (!out || !name) {
        return cvi_no_memory(err, shape->bytes);
    }
    if (third ? measured(&first->t, &second->t, &third->t, out) : directed(&first->t, &second->t, out)) {
        first->t = *shape;
        first->t.owned = false;
        first->t.data = out;
        first->name = name;
        second->name = NULL;
        if (third) {
            third->name = NULL;
        }
    }
    return CVS_OK;
}

cvs_status cvi_state_merge(cvi_state *s, cvs_error *err) {
    int n = 0;
    for (int i = 0; i < s->n; i++) {
        size_t base = 0;
        for (int k = 0; k < CVI_COUNT(kinds) && base == 0 && s->item[i].name; k++) {
            base = before(s->item[i].name, kinds[k].first);
            if (base > 0) {
                CVI_TRY(merge(s, i, k, base, err));
            }
        }
    }
    for (int i = 0; i < s->n; i++) {
        if (s->item[i].name) {
            s->item[n++] = s->item[i];
        }
    }
    s->n = n;
    return CVS_OK;
}

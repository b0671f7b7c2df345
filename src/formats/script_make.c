/* SPDX-License-Identifier: MIT
 * script_make.c - torch calls that make tensors (zeros, full, arange, ...) or change their element type (to, float, ...). What does not depend
 * on the input's size is a constant.
 */
#include <math.h>

#include "formats/script.h"

enum { MAX_FILLED = 1 << 24 };

/* ---- element types --------------------------------------------------------------------------------------------- */

/* torch's number of an element type; what computes in float32 here is CVS_F32. CVS_NONE: no type. */
static cvs_dtype type_of(const script_value *v) {
    static const cvs_dtype types[] = {CVS_U8,  CVS_I8,   CVS_I16,  CVS_I32,  CVS_I64,  CVS_F32,       CVS_F32,
                                      CVS_F32, CVS_NONE, CVS_NONE, CVS_NONE, CVS_BOOL, [15] = CVS_F32};
    return v->kind == SCRIPT_V_INT && v->i[0] >= 0 && v->i[0] < CVI_COUNT(types) ? types[v->i[0]] : CVS_NONE;
}

static script_value as_type(script *s, script_value x, cvs_dtype type) {
    int v = cvi_script_graph(s, &x);
    cvs_dtype have = v >= 0 ? cvi_script_shape(s, v, 0)->dtype : CVS_NONE;
    if (!cvi_script_ok(s) || v < 0 || type == CVS_NONE || have == type || have == CVS_NONE) {
        return x;
    }
    return cvi_script_tensor(cvi_script_cast(s, v, type));
}

/* to(x, type, ...), to(x, device, type, ...), to(x, other, ...): numbers of another type only where it is not float already */
static script_value to(script *s, const script_call *row, const script_args *a) {
    (void)row;
    script_value x = cvi_script_arg(a, 0, "self"), how = cvi_script_arg(a, -1, "dtype");
    if (x.kind != SCRIPT_V_TENSOR) {
        return a->n > 0 ? x : cvi_script_refuse(s, a->name);
    }
    for (int k = 1; k < 3 && how.kind == SCRIPT_V_NONE && k < a->n; k++) {
        how = a->arg[k].kind == SCRIPT_V_INT || a->arg[k].kind == SCRIPT_V_TENSOR ? a->arg[k] : how;
    }
    if (how.kind == SCRIPT_V_TENSOR) {
        return as_type(s, x, cvi_script_shape(s, cvi_script_graph(s, &how), 0)->dtype);
    }
    return as_type(s, x, type_of(&how));
}

/* float(x), long(x), ...: the type stands in the row */
static script_value cast(script *s, const script_call *row, const script_args *a) {
    script_value x = cvi_script_arg(a, 0, "self");
    if (x.kind == SCRIPT_V_FLOAT || (row->f == CVS_F32 && cvi_script_is_number(&x))) {
        return row->f == CVS_F32 ? cvi_script_float(cvi_script_number(&x, 0)) : x;
    }
    return x.kind == SCRIPT_V_TENSOR ? as_type(s, x, (cvs_dtype)row->f) : x;
}

/* ---- tensors of one number --------------------------------------------------------------------------------------- */

static int constant(script *s, const cvs_tensor *t, const char *what) {
    char *name = cvi_arena_printf(s->arena, "%s%s%s", s->place, *s->place ? "/" : "", what);
    int v = name && cvi_script_ok(s) ? cvi_graph_constant(s->g, name, t, s->err) : -1;
    cvi_script_set(s, v < 0 ? cvi_no_memory(s->err, 0) : cvi_script_grow(s));
    return v;
}

/* n numbers from, from + step, ... as a constant of this shape, float32 or int64 */
static script_value numbers(script *s, int rank, const int64_t *dim, int64_t n, bool whole, double from,
                            double step, const char *what) {
    cvs_tensor t = {.dtype = whole ? CVS_I64 : CVS_F32, .rank = rank};
    for (int i = 0; i < rank; i++) {
        t.dim[i] = dim[i];
    }
    if (n < 0 || n > MAX_FILLED) {
        return cvi_script_refuse(s, what);
    }
    t.bytes = (size_t)n * cvs_dtype_size(t.dtype);
    t.data = cvi_arena_raw(s->arena, CVI_MAX((int64_t)t.bytes, 1));
    if (!t.data) {
        cvi_script_set(s, cvi_no_memory(s->err, t.bytes));
        return cvi_script_none();
    }
    for (int64_t i = 0; i < n; i++) {
        double v = from + (double)i * step;
        if (whole) {
            ((int64_t *)t.data)[i] = fabs(v) < 1e15 ? (int64_t)v : 0;
        } else {
            ((float *)t.data)[i] = (float)v;
        }
    }
    return cvi_script_tensor(constant(s, &t, what));
}

/* A tensor of these sizes, every element v. */
static script_value filled(script *s, const script_value *size, int rank, bool whole, double v) {
    int64_t dim[CVS_MAX_RANK], n = 1, one = 1;
    bool fixed = true, fits = true;
    if (rank < 0 || rank > CVS_MAX_RANK) {
        return cvi_script_refuse(s, "full");
    }
    for (int i = 0; i < rank; i++) {
        dim[i] = size[i].i[0];
        fixed &= size[i].kind == SCRIPT_V_INT && !size[i].size;
        fits &= dim[i] >= 0 && cvi_mul(n, dim[i], &n);
    }
    if (fixed) {
        return fits ? numbers(s, rank, dim, n, whole, v, 0, "filled") : cvi_script_refuse(s, "full");
    }
    script_value single = numbers(s, 1, &one, 1, whole, v, 0, "filled");
    int in[2] = {single.v, cvi_script_sizes(s, size, rank)};
    return cvi_script_simple(s, "Expand", 2, in);
}

/* zeros(size), full(size, value), new_full(x, size, value), full_like(x, value) and their kind; 2: the value is an argument */
static script_value make_filled(script *s, const script_call *row, const script_args *a) {
    bool new = strncmp(row->name, "new_", 4) == 0,
         in_place = strcmp(row->name, "fill") == 0 || strcmp(row->name, "zero") == 0;
    bool like = strstr(row->name, "_like") || in_place;
    script_value size = cvi_script_arg(a, new ? 1 : 0, "size"), all[CVS_MAX_RANK];
    script_value type = cvi_script_arg(a, -1, "dtype");
    int next = new ? 2 : 1, rank = 0;
    script_value v = row->f == 2 ? cvi_script_arg(a, next++, "fill_value") : cvi_script_int((int64_t)row->f);
    if (type.kind == SCRIPT_V_NONE) {
        type = cvi_script_arg(a, next, "dtype");
    }
    if (in_place && v.kind == SCRIPT_V_TENSOR) { /* a tensor of one number */
        int x = cvi_script_graph_arg(s, a, 0, "self"), n = cvi_script_rank(s, x);
        for (int i = 0; i < n; i++) {
            all[i] = cvi_script_dimension(s, x, i);
        }
        v = n > 0 ? as_type(s, v, cvi_script_shape(s, x, 0)->dtype) : v;
        int in[2] = {cvi_script_graph(s, &v), n > 0 ? cvi_script_sizes(s, all, n) : -1};
        return n > 0 ? cvi_script_simple(s, "Expand", 2, in) : v;
    }
    if (!cvi_script_is_number(&v)) {
        return cvi_script_refuse(s, a->name);
    }
    cvs_dtype want = type_of(&type);
    if (like || new) {
        int x = cvi_script_graph_arg(s, a, 0, "self");
        want = want == CVS_NONE && x >= 0 ? cvi_script_shape(s, x, 0)->dtype : want;
    }
    if (like) {
        int x = cvi_script_graph_arg(s, a, 0, "self");
        rank = cvi_script_rank(s, x);
        for (int i = 0; i < rank; i++) {
            all[i] = cvi_script_dimension(s, x, i);
        }
    } else if (size.kind == SCRIPT_V_LIST && *size.shared_n <= CVS_MAX_RANK) {
        rank = *size.shared_n;
        memcpy(all, *size.shared, (size_t)rank * sizeof *all);
    } else {
        return cvi_script_refuse(s, a->name);
    }
    if (want == CVS_NONE) { /* full() takes the type of its value */
        want = row->f == 2 && v.kind == SCRIPT_V_INT    ? CVS_I64
               : row->f == 2 && v.kind == SCRIPT_V_BOOL ? CVS_BOOL
                                                        : CVS_F32;
    }
    script_value made = filled(s, all, rank, want != CVS_F32, cvi_script_number(&v, 0));
    return as_type(s, made, want);
}

/* ---- ranges -------------------------------------------------------------------------------------------------------- */

/* arange(end), arange(start, end), arange(start, end, step); TorchScript adds type, layout, device and memory behind */
static script_value arange(script *s, const script_call *row, const script_args *a) {
    (void)row;
    int n = a->n > 4 ? a->n - 4 : a->n;
    script_value end = cvi_script_arg(a, n > 1 ? 1 : 0, "end"),
                 type = cvi_script_arg(a, a->n > 4 ? n : -1, "dtype");
    script_value start = n > 1 ? cvi_script_arg(a, 0, "start") : cvi_script_int(0),
                 step = n > 2 ? cvi_script_arg(a, 2, "step") : cvi_script_int(1);
    if (!cvi_script_is_number(&start) || !cvi_script_is_number(&end) || !cvi_script_is_number(&step)) {
        return cvi_script_refuse(s, a->name);
    }
    bool whole =
        start.kind == SCRIPT_V_INT && end.kind == SCRIPT_V_INT && step.kind == SCRIPT_V_INT && n <= 3;
    cvs_dtype want = type_of(&type);
    double from = cvi_script_number(&start, 0), by = cvi_script_number(&step, 1);
    double length = by != 0 ? ceil((cvi_script_number(&end, 0) - from) / by) : -1;
    script_value length_now = cvi_script_arith(s, '-', end, start);
    if (whole && length_now.size && by == 1 &&
        !start.size) { /* as long as the input says: 1, 1, ... summed up */
        script_value ones = filled(s, &length_now, 1, true, 1);
        const int64_t axis = 0;
        int in[2] = {ones.v, cvi_script_const_ints(s, 1, &axis)};
        in[0] = cvi_script_done(s, cvi_script_node(s, "CumSum", 2, in, 0, true)).v;
        in[1] = cvi_script_const_int(s, start.i[0] - 1);
        return as_type(s, cvi_script_simple(s, "Add", 2, in), want);
    }
    s->fixed |= start.size || end.size || step.size;
    int64_t count = length > 0 && length <= MAX_FILLED ? (int64_t)length : length <= 0 && by != 0 ? 0 : -1;
    script_value v = numbers(s, 1, &count, count, whole, from, by, "arange");
    return as_type(s, v, want);
}

/* linspace(start, end, steps) */
static script_value linspace(script *s, const script_call *row, const script_args *a) {
    (void)row;
    script_value start = cvi_script_arg(a, 0, "start"), end = cvi_script_arg(a, 1, "end"),
                 steps = cvi_script_arg(a, 2, "steps");
    int64_t n = cvi_script_whole(&steps, -1);
    s->fixed |= steps.size != NULL;
    double from = cvi_script_number(&start, 0), to = cvi_script_number(&end, 0);
    return numbers(s, 1, &n, n, false, from, n > 1 ? (to - from) / (double)(n - 1) : 0, "linspace");
}

static const script_call rows[] = {
    {"to", to, NULL, 0},
    {"_to_copy", to, NULL, 0},
    {"type_as", to, NULL, 0},
    {"float", cast, NULL, CVS_F32},
    {"double", cast, NULL, CVS_F32},
    {"half", cast, NULL, CVS_F32},
    {"bfloat16", cast, NULL, CVS_F32},
    {"long", cast, NULL, CVS_I64},
    {"zeros", make_filled, NULL, 0},
    {"ones", make_filled, NULL, 1},
    {"empty", make_filled, NULL, 0},
    {"full", make_filled, NULL, 2},
    {"zeros_like", make_filled, NULL, 0},
    {"ones_like", make_filled, NULL, 1},
    {"empty_like", make_filled, NULL, 0},
    {"full_like", make_filled, NULL, 2},
    {"fill", make_filled, NULL, 2},
    {"zero", make_filled, NULL, 0},
    {"new_zeros", make_filled, NULL, 0},
    {"new_ones", make_filled, NULL, 1},
    {"new_empty", make_filled, NULL, 0},
    {"new_full", make_filled, NULL, 2},
    {"arange", arange, NULL, 0},
    {"linspace", linspace, NULL, 0},
};

const script_calls cvi_script_make = {rows, CVI_COUNT(rows)};

/* SPDX-License-Identifier: MIT
 * script_words.c - calls that are no arithmetic on tensors: int(), len(), range(), tests for None, list access, exceptions.
 */
#include "formats/script.h"

static script_value first(const script_args *a) {
    return cvi_script_arg(a, 0, "");
}

/* int(x), NumToTensor(x): a number stays one */
static script_value number(script *s, const script_call *row, const script_args *a) {
    script_value v = first(a);
    if (!cvi_script_is_number(&v)) {
        return cvi_script_refuse(s, a->name);
    }
    if (strcmp(row->name, "int") == 0 && v.kind == SCRIPT_V_FLOAT) {
        return v.f > -1e15 && v.f < 1e15 ? cvi_script_int((int64_t)v.f) : cvi_script_refuse(s, a->name);
    }
    return v;
}

static script_value truth(script *s, const script_call *row, const script_args *a) {
    script_value v = first(a);
    return cvi_script_bool(cvi_script_true(s, &v) == (row->f == 0));
}

static script_value length(script *s, const script_call *row, const script_args *a) {
    (void)row;
    script_value v = first(a);
    if (v.kind == SCRIPT_V_LIST) {
        return cvi_script_int(*v.shared_n);
    }
    if (v.kind == SCRIPT_V_DICT || v.kind == SCRIPT_V_STRING) {
        return cvi_script_int(v.kind == SCRIPT_V_DICT ? *v.shared_n / 2 : (int64_t)strlen(v.s));
    }
    if (v.kind == SCRIPT_V_TENSOR && cvi_script_rank(s, v.v) > 0) {
        return cvi_script_int(cvi_script_shape(s, v.v, 0)->dim[0]);
    }
    return cvi_script_refuse(s, a->name);
}

static script_value range(script *s, const script_call *row, const script_args *a) {
    (void)row;
    script_value v = first(a), to = cvi_script_arg(a, 1, ""), by = cvi_script_arg(a, 2, "");
    int64_t from = a->n > 1 ? cvi_script_whole(&v, 0) : 0,
            end = a->n > 1 ? cvi_script_whole(&to, 0) : cvi_script_whole(&v, 0);
    int64_t step = cvi_script_whole(&by, 1);
    script_value item[1024];
    int n = 0;
    for (int64_t i = from; step > 0 && i < end; i += step) {
        if (n == CVI_COUNT(item)) {
            return cvi_script_refuse(s, "a long loop");
        }
        item[n++] = cvi_script_int(i);
    }
    return step > 0 ? cvi_script_list(s, n, item) : cvi_script_refuse(s, a->name);
}

/* __range_length(from, end, step) and __derive_index(i, from, step): a range as a while loop counts it */
static script_value range_part(script *s, const script_call *row, const script_args *a) {
    int64_t v[3];
    for (int i = 0; i < 3; i++) {
        script_value arg = cvi_script_arg(a, i, "");
        v[i] = cvi_script_whole(&arg, 0);
        s->fixed |= arg.size != NULL;
        if (arg.kind != SCRIPT_V_INT || v[i] > INT32_MAX || v[i] < -INT32_MAX) {
            return cvi_script_refuse(s, a->name);
        }
    }
    if (row->f != 0) {
        return cvi_script_int(v[1] + v[0] * v[2]);
    }
    int64_t steps = v[2] > 0   ? (v[1] - v[0] + v[2] - 1) / v[2]
                    : v[2] < 0 ? (v[0] - v[1] - v[2] - 1) / -v[2]
                               : 0;
    return cvi_script_int(CVI_MAX(steps, 0));
}

/* x is y and its opposite: None, a truth value, or the same tensor */
static script_value is_none(script *s, const script_call *row, const script_args *a) {
    script_value x = first(a), y = cvi_script_arg(a, 1, "");
    bool same = x.kind == y.kind &&
                (x.kind == SCRIPT_V_NONE || (x.kind == SCRIPT_V_BOOL && x.i[0] == y.i[0]) ||
                 (x.kind == SCRIPT_V_TENSOR && cvi_script_graph(s, &x) == cvi_script_graph(s, &y)));
    return cvi_script_bool(same == (row->f == 0));
}

static script_value get_item(script *s, const script_call *row, const script_args *a) {
    (void)row;
    script_value list = first(a), at = cvi_script_arg(a, 1, "");
    int64_t i = cvi_script_whole(&at, -1);
    if (list.kind != SCRIPT_V_LIST || at.kind != SCRIPT_V_INT) {
        return cvi_script_refuse(s, a->name);
    }
    i += i < 0 ? *list.shared_n : 0;
    return i >= 0 && i < *list.shared_n ? (*list.shared)[i] : cvi_script_refuse(s, "an index beyond a list");
}

/* Whether a list has a number or text among its items, a dictionary among its keys. */
static script_value contains(script *s, const script_call *row, const script_args *a) {
    (void)row;
    script_value list = first(a), what = cvi_script_arg(a, 1, "");
    bool dict = list.kind == SCRIPT_V_DICT, found = false;
    if (list.kind != SCRIPT_V_LIST && !dict) {
        return cvi_script_refuse(s, a->name);
    }
    for (int i = 0; i < *list.shared_n && !found; i += 1 + dict) {
        const script_value *v = &(*list.shared)[i];
        found = v->kind == SCRIPT_V_STRING && what.kind == SCRIPT_V_STRING ? strcmp(v->s, what.s) == 0
                : cvi_script_is_number(v) && cvi_script_is_number(&what)
                    ? cvi_script_number(v, 0) == cvi_script_number(&what, 0)
                    : false;
    }
    return cvi_script_bool(found);
}

static script_value append(script *s, const script_call *row, const script_args *a) {
    (void)row;
    script_value list = first(a);
    if (list.kind != SCRIPT_V_LIST || a->n != 2 || *list.shared_n > 4000) {
        return cvi_script_refuse(s, a->name);
    }
    int n = *list.shared_n;
    script_value *bigger = cvi_arena_alloc(s->arena, n + 1, sizeof *bigger);
    if (!bigger) {
        cvi_script_set(s, cvi_no_memory(s->err, 0));
        return cvi_script_none();
    }
    if (n > 0) {
        memcpy(bigger, *list.shared, (size_t)n * sizeof *bigger);
    }
    bigger[n] = a->arg[1];
    *list.shared = bigger;
    *list.shared_n = n + 1;
    return list;
}

/* dict(): an empty one, or a copy */
static script_value dictionary(script *s, const script_call *row, const script_args *a) {
    (void)row;
    script_value from = first(a);
    script_value d = from.kind == SCRIPT_V_DICT ? cvi_script_list(s, *from.shared_n, *from.shared)
                                                : cvi_script_list(s, 0, NULL);
    d.kind = cvi_script_ok(s) ? SCRIPT_V_DICT : d.kind;
    return d;
}

/* _set_item(container, key, value): in a list by place, in a dictionary by text, at its end when it is new */
static script_value set_item(script *s, const script_call *row, const script_args *a) {
    (void)row;
    script_value c = first(a), key = cvi_script_arg(a, 1, "");
    bool dict = c.kind == SCRIPT_V_DICT && key.kind == SCRIPT_V_STRING,
         list = c.kind == SCRIPT_V_LIST && key.kind == SCRIPT_V_INT;
    if (a->n != 3 || (!dict && !list) || *c.shared_n > 4000) {
        return cvi_script_refuse(s, a->name);
    }
    int n = *c.shared_n;
    for (int i = 0; i < n; i += 1 + dict) {
        const script_value *at = &(*c.shared)[i];
        if (dict ? at->kind == SCRIPT_V_STRING && strcmp(at->s, key.s) == 0
                 : key.i[0] == i || key.i[0] + n == i) {
            (*c.shared)[i + dict] = a->arg[2];
            return cvi_script_none();
        }
    }
    script_value *bigger = dict ? cvi_arena_alloc(s->arena, n + 2, sizeof *bigger) : NULL;
    if (!bigger) {
        return dict ? (cvi_script_set(s, cvi_no_memory(s->err, 0)), cvi_script_none())
                    : cvi_script_refuse(s, a->name);
    }
    if (n > 0) {
        memcpy(bigger, *c.shared, (size_t)n * sizeof *bigger);
    }
    bigger[n] = key;
    bigger[n + 1] = a->arg[2];
    *c.shared = bigger;
    *c.shared_n = n + 2;
    return cvi_script_none();
}

/* keys(d), values(d) */
static script_value halves(script *s, const script_call *row, const script_args *a) {
    script_value d = first(a), item[256];
    int n = d.kind == SCRIPT_V_DICT ? *d.shared_n / 2 : -1;
    if (n < 0 || n > CVI_COUNT(item)) {
        return cvi_script_refuse(s, a->name);
    }
    for (int i = 0; i < n; i++) {
        item[i] = (*d.shared)[2 * i + (row->f != 0)];
    }
    return cvi_script_list(s, n, item);
}

/* list(x): a copy, which append() may lengthen */
static script_value first_one(script *s, const script_call *row, const script_args *a) {
    (void)row;
    script_value v = first(a);
    return v.kind == SCRIPT_V_LIST ? cvi_script_list(s, *v.shared_n, *v.shared) : v;
}

static script_value nothing(script *s, const script_call *row, const script_args *a) {
    (void)s;
    (void)row;
    (void)a;
    return cvi_script_none();
}

static script_value raise(script *s, const script_call *row, const script_args *a) {
    (void)row;
    script_value what = first(a);
    return cvi_script_refuse(s, what.kind == SCRIPT_V_STRING ? what.s : "an exception");
}

/* The kind of a device: all that flows here is on the processor. */
static script_value device_kind(script *s, const script_call *row, const script_args *a) {
    (void)s;
    (void)row;
    (void)a;
    return (script_value){.kind = SCRIPT_V_STRING, .s = "cpu", .v = -1};
}

/* Whether a tensor holds floating-point numbers: all that flow here do. */
static script_value yes(script *s, const script_call *row, const script_args *a) {
    (void)s;
    (void)a;
    return cvi_script_bool(row->f != 0);
}

static const script_call rows[] = {
    {"int", number, NULL, 0},
    {"Int", number, NULL, 0},
    {"IntImplicit", number, NULL, 0},
    {"FloatImplicit", number, NULL, 0},
    {"ScalarImplicit", number, NULL, 0},
    {"NumToTensor", number, NULL, 0},
    {"ImplicitTensorToNum", number, NULL, 0},
    {"tensor", number, NULL, 0},
    {"scalar_tensor", number, NULL, 0},
    {"bool", truth, NULL, 0},
    {"Bool", truth, NULL, 0},
    {"__not__", truth, NULL, 1},
    {"len", length, NULL, 0},
    {"range", range, NULL, 0},
    {"__range_length", range_part, NULL, 0},
    {"__derive_index", range_part, NULL, 1},
    {"__is__", is_none, NULL, 0},
    {"__isnot__", is_none, NULL, 1},
    {"__getitem__", get_item, NULL, 0},
    {"append", append, NULL, 0},
    {"format", nothing, NULL, 0},
    {"list", first_one, NULL, 0},
    {"dict", dictionary, NULL, 0},
    {"_set_item", set_item, NULL, 0},
    {"keys", halves, NULL, 0},
    {"values", halves, NULL, 1},
    {"warn", nothing, NULL, 0},
    {"warnings.warn", nothing, NULL, 0},
    {"_assert_tensor_metadata", nothing, NULL, 0},
    {"_assert_scalar", nothing, NULL, 0},
    {"_assert_async", nothing, NULL, 0},
    {"_assert", nothing, NULL, 0},
    {"sym_constrain_range", nothing, NULL, 0},
    {"sym_constrain_range_for_size", nothing, NULL, 0},
    {"_check_is_size", nothing, NULL, 0},
    {"device", nothing, NULL, 0},
    {"dtype", nothing, NULL, 0},
    {"RaiseException", raise, NULL, 0},
    {"is_floating_point", yes, NULL, 1},
    {"is_scripting", yes, NULL, 1},
    {"is_grad_enabled", yes, NULL, 0},
    {"is_autocast_enabled", yes, NULL, 0},
    {"is_nested", yes, NULL, 0},
    {"is_tracing", yes, NULL, 0},
    {"is_cuda", yes, NULL, 0},
    {"type", device_kind, NULL, 0},
    {"requires_grad", yes, NULL, 0},
    {"__contains__", contains, NULL, 0},
};

const script_calls cvi_script_words = {rows, CVI_COUNT(rows)};

/* SPDX-License-Identifier: MIT
 * script_values.c - values of a TorchScript run, and the graph's nodes. Shapes are worked out twice, for a smaller and a larger input: what
 * is equal for both does not depend on the input's size and becomes a constant; what differs stays arithmetic on dimensions.
 */
#include "formats/script.h"
#include "graph/build.h"
#include "ops/op.h"

bool cvi_script_ok(const script *s) {
    return s->status == CVS_OK;
}

void cvi_script_keep(script *s, cvs_status status) {
    s->status = s->status == CVS_OK ? status : s->status;
}

script_value cvi_script_none(void) {
    return (script_value){.kind = SCRIPT_V_NONE, .v = -1};
}

script_value cvi_script_int(int64_t i) {
    return (script_value){.kind = SCRIPT_V_INT, .i = {i, i}, .f = (double)i, .v = -1};
}

script_value cvi_script_bool(bool b) {
    return (script_value){.kind = SCRIPT_V_BOOL, .i = {b, b}, .f = b, .v = -1};
}

script_value cvi_script_float(double f) {
    return (script_value){.kind = SCRIPT_V_FLOAT, .f = f, .v = -1};
}

script_value cvi_script_tensor(int v) {
    return v < 0 ? cvi_script_none() : (script_value){.kind = SCRIPT_V_TENSOR, .v = v};
}

script_value cvi_script_list(script *s, int n, const script_value *item) {
    script_value list = {.kind = SCRIPT_V_LIST, .v = -1, .n = n};
    list.shared = cvi_arena_alloc(s->arena, 1, sizeof *list.shared);
    list.shared_n = cvi_arena_alloc(s->arena, 1, sizeof *list.shared_n);
    script_value *copy = cvi_arena_alloc(s->arena, CVI_MAX(n, 1), sizeof *copy);
    if (!list.shared || !list.shared_n || !copy) {
        cvi_script_set(s, cvi_no_memory(s->err, 0));
        return cvi_script_none();
    }
    if (n > 0) {
        memcpy(copy, item, (size_t)n * sizeof *copy);
    }
    *list.shared = copy;
    *list.shared_n = n;
    return list;
}

script_value cvi_script_refuse(script *s, const char *what) {
    cvi_script_set(s, cvi_fail(s->err, CVS_E_UNSUPPORTED,
                               "the TorchScript code does what is not understood: %.100s", what));
    return cvi_script_none();
}

/* ---- numbers ------------------------------------------------------------------------------------------------ */

bool cvi_script_is_number(const script_value *v) {
    return v->kind == SCRIPT_V_INT || v->kind == SCRIPT_V_FLOAT || v->kind == SCRIPT_V_BOOL;
}

double cvi_script_number(const script_value *v, double otherwise) {
    return v->kind == SCRIPT_V_FLOAT ? v->f : cvi_script_is_number(v) ? (double)v->i[0] : otherwise;
}

int64_t cvi_script_whole(const script_value *v, int64_t otherwise) {
    return v->kind == SCRIPT_V_INT || v->kind == SCRIPT_V_BOOL ? v->i[0] : otherwise;
}

bool cvi_script_true(script *s, const script_value *v) {
    switch (v->kind) {
    case SCRIPT_V_INT:
    case SCRIPT_V_BOOL:
        if (v->size && (v->i[0] != 0) != (v->i[1] != 0)) {
            s->fixed = true; /* the way depends on the input's size: then there is one size only */
        }
        return v->i[0] != 0;
    case SCRIPT_V_FLOAT:
        return v->f != 0;
    case SCRIPT_V_NONE:
        return false;
    case SCRIPT_V_STRING:
        return *v->s != 0;
    case SCRIPT_V_LIST:
        return *v->shared_n > 0;
    default:
        cvi_script_refuse(s, "a branch that depends on numbers of a tensor");
        return false;
    }
}

script_value cvi_script_sized(script *s, int64_t a, int64_t b, script_size size) {
    script_value v = {.kind = SCRIPT_V_INT, .i = {a, b}, .f = (double)a, .v = -1};
    if (a != b) {
        script_size *copy = cvi_arena_alloc(s->arena, 1, sizeof *copy);
        if (!copy) {
            cvi_script_set(s, cvi_no_memory(s->err, 0));
            return v;
        }
        *copy = size;
        v.size = copy;
    }
    return v;
}

static int64_t floor_divide(int64_t a, int64_t b) {
    if (b == 0 || (a == INT64_MIN && b == -1)) {
        return 0;
    }
    int64_t q = a / b;
    return q - (a % b != 0 && (a < 0) != (b < 0));
}

static int64_t arith(char op, int64_t a, int64_t b) {
    int64_t out = 0;
    switch (op) {
    case '+':
        return __builtin_add_overflow(a, b, &out) ? 0 : out;
    case '-':
        return __builtin_sub_overflow(a, b, &out) ? 0 : out;
    case '*':
        return __builtin_mul_overflow(a, b, &out) ? 0 : out;
    case '%':
        return b == 0 ? 0 : a - floor_divide(a, b) * b;
    default:
        return floor_divide(a, b);
    }
}

static const script_size *size_of(script *s, const script_value *v) {
    if (v->size) {
        return v->size;
    }
    script_size *c = cvi_arena_alloc(s->arena, 1, sizeof *c);
    if (!c) {
        cvi_script_set(s, cvi_no_memory(s->err, 0));
        return NULL;
    }
    *c = (script_size){.op = 'c', .number = v->i[0]};
    return c;
}

script_value cvi_script_arith(script *s, char op, script_value a, script_value b) {
    if (a.kind == SCRIPT_V_FLOAT || b.kind == SCRIPT_V_FLOAT) {
        double x = cvi_script_number(&a, 0), y = cvi_script_number(&b, 0);
        return cvi_script_float(op == '+'   ? x + y
                                : op == '-' ? x - y
                                : op == '*' ? x * y
                                : y != 0    ? x / y
                                            : 0);
    }
    int64_t first = arith(op, a.i[0], b.i[0]), second = arith(op, a.i[1], b.i[1]);
    script_size size = {.op = op};
    if (first != second) {
        size.a = size_of(s, &a);
        size.b = size_of(s, &b);
    }
    return cvi_script_sized(s, first, second, size);
}

int cvi_script_wholes(script *s, const script_value *v, int64_t *out, int max) {
    if (v->kind == SCRIPT_V_INT || v->kind == SCRIPT_V_BOOL) {
        for (int i = 0; i < max; i++) {
            out[i] = v->i[0];
        }
        s->fixed |= v->size != NULL;
        return 1;
    }
    int n = v->kind == SCRIPT_V_LIST ? *v->shared_n : 0;
    for (int i = 0; i < max; i++) {
        const script_value *item = n > 0 ? &(*v->shared)[CVI_MIN(i, n - 1)] : NULL;
        out[i] = item ? cvi_script_whole(item, 0) : 0;
        s->fixed |= item && item->size != NULL; /* settings of a layer are numbers */
    }
    return n;
}

/* ---- shapes -------------------------------------------------------------------------------------------------- */

cvs_status cvi_script_grow(script *s) {
    int n = s->g->n_values;
    if (n <= s->n_shapes) {
        return CVS_OK;
    }
    int room = CVI_MAX(256, 2 * n);
    for (int k = 0; k < 2; k++) {
        cvs_tensor *bigger = cvi_arena_alloc(s->arena, room, sizeof *bigger);
        if (!bigger) {
            return cvi_no_memory(s->err, 0);
        }
        for (int i = s->n_shapes; i < room; i++) {
            bigger[i].rank = -1;
        }
        if (s->n_shapes > 0) {
            memcpy(bigger, s->shape[k], (size_t)s->n_shapes * sizeof *bigger);
        }
        s->shape[k] = bigger;
    }
    int *now = cvi_arena_alloc(s->arena, room, sizeof *now);
    script_view *view = cvi_arena_alloc(s->arena, room, sizeof *view);
    if (!now || !view) {
        return cvi_no_memory(s->err, 0);
    }
    for (int i = 0; i < room; i++) {
        now[i] = i < s->n_shapes ? s->now[i] : i;
        view[i] = i < s->n_shapes ? s->view[i] : (script_view){.of = -1};
    }
    s->now = now;
    s->view = view;
    s->n_shapes = room;
    return CVS_OK;
}

const cvs_tensor *cvi_script_shape(const script *s, int v, int which) {
    static const cvs_tensor unknown = {.rank = -1};
    if (v < 0 || v >= s->g->n_values) {
        return &unknown;
    }
    const cvs_tensor *constant = s->g->values[v].constant;
    return constant ? constant : v < s->n_shapes ? &s->shape[which][v] : &unknown;
}

int cvi_script_rank(const script *s, int v) {
    return cvi_script_shape(s, v, 0)->rank;
}

/* ---- constants -------------------------------------------------------------------------------------------------- */

int cvi_script_constant(script *s, const char *name, const cvs_tensor *t) {
    int v = cvi_script_ok(s) ? cvi_graph_find(s->g, name) : -1;
    if (v >= 0 && s->g->values[v].constant && s->g->values[v].constant->data == t->data) {
        return v;
    }
    if (cvi_script_ok(s)) {
        v = cvi_graph_constant(s->g, name, t, s->err);
        cvi_script_set(s, v < 0 ? CVS_E_MEMORY : cvi_script_grow(s));
    }
    return v;
}

static const char *place_name(script *s, const char *what) {
    return *s->place ? cvi_arena_printf(s->arena, "%s/%s", s->place, what) : what;
}

int cvi_script_const_ints(script *s, int n, const int64_t *v) {
    const char *name = place_name(s, "numbers");
    int c = cvi_script_ok(s) && name ? cvi_graph_ints(s->g, name, n, v, s->err) : -1;
    cvi_script_set(s, c < 0 ? cvi_no_memory(s->err, 0) : cvi_script_grow(s));
    return c;
}

int cvi_script_const_int(script *s, int64_t v) {
    cvs_tensor t = {.dtype = CVS_I64, .bytes = sizeof v, .data = cvi_arena_raw(s->arena, sizeof v)};
    const char *name = place_name(s, "number");
    if (!t.data || !name) {
        cvi_script_set(s, cvi_no_memory(s->err, sizeof v));
        return -1;
    }
    memcpy(t.data, &v, sizeof v);
    int c = cvi_script_ok(s) ? cvi_graph_constant(s->g, name, &t, s->err) : -1;
    cvi_script_set(s, c < 0 ? cvi_no_memory(s->err, 0) : cvi_script_grow(s));
    return c;
}

int cvi_script_const_float(script *s, double v) {
    float f = (float)v;
    const char *name = place_name(s, "number");
    int c = cvi_script_ok(s) && name ? cvi_graph_floats(s->g, name, 0, NULL, &f, s->err) : -1;
    cvi_script_set(s, c < 0 ? cvi_no_memory(s->err, 0) : cvi_script_grow(s));
    return c;
}

/* ---- nodes --------------------------------------------------------------------------------------------------------- */

/* relu, relu_1, relu_2: the k-th name of a kind of node in this place. */
static const char *counted_name(const script *s, const char *kind, int k) {
    char number[16] = "";
    if (k > 0) {
        snprintf(number, sizeof number, "_%d", k);
    }
    return cvi_arena_printf(s->arena, "%s%s%s%s", s->place, *s->place ? "/" : "", kind, number);
}

/* "layer1.0.conv1" for the first node of a module without submodules, "layer1.0/relu" elsewhere. */
static const char *node_name(script *s, const char *op, bool hidden) {
    if (!hidden && s->leaf && !s->named && *s->place) {
        s->named = true;
        return s->place;
    }
    char small[40];
    const char *base = strrchr(op, ':') ? strrchr(op, ':') + 1 : op;
    size_t n = 0;
    for (; base[n] && n + 1 < sizeof small; n++) {
        small[n] = (char)(base[n] >= 'A' && base[n] <= 'Z' ? base[n] + 32 : base[n]);
    }
    small[n] = 0;
    const char *name = counted_name(s, small, 0);
    int taken = 0, open = 1;
    if (!name || cvi_graph_find(s->g, name) < 0) {
        return name;
    }
    /* One that is free behind one that is taken, in as many tries as the count has binary digits. */
    for (; (name = counted_name(s, small, open)) && cvi_graph_find(s->g, name) >= 0; open *= 2) {
        taken = open;
    }
    while (name && open - taken > 1) {
        int k = taken + (open - taken) / 2;
        const char *other = counted_name(s, small, k);
        bool free_one = other && cvi_graph_find(s->g, other) < 0;
        taken = free_one ? taken : k;
        open = free_one ? k : open;
        name = free_one || !other ? other : name;
    }
    return name;
}

script_node cvi_script_nodes(script *s, const char *op, int n_in, const int *in, int n_attr, int n_out,
                             bool hidden) {
    script_node none = {.index = -1, .out = -1};
    const char *name = cvi_script_ok(s) ? node_name(s, op, hidden) : NULL;
    if (!name) {
        cvi_script_set(s, cvi_no_memory(s->err, 0));
        return none;
    }
    int index = cvi_graph_node(s->g, name, op, n_in, n_out, n_attr, s->err);
    if (index < 0) {
        cvi_script_keep(s, CVS_E_MEMORY);
        return none;
    }
    for (int i = 0; i < n_in; i++) {
        s->g->nodes[index].in[i] = in[i];
    }
    for (int i = 0; i < n_out; i++) {
        int v = cvi_graph_value(s->g, name, CVS_F32, -1, NULL, s->err);
        if (v < 0) {
            cvi_script_keep(s, CVS_E_MEMORY);
            return none;
        }
        s->g->nodes[index].out[i] = v;
        s->g->values[v].hidden = hidden;
    }
    cvi_script_set(s, cvi_script_grow(s));
    return (script_node){.node = &s->g->nodes[index], .index = index, .out = s->g->nodes[index].out[0]};
}

script_node cvi_script_node(script *s, const char *op, int n_in, const int *in, int n_attr, bool hidden) {
    return cvi_script_nodes(s, op, n_in, in, n_attr, 1, hidden);
}

/* The next attribute that has no name yet. */
static cvi_attr *free_attr(script *s, const script_node *n) {
    cvi_node *node = cvi_script_ok(s) && n->index >= 0 ? &s->g->nodes[n->index] : NULL;
    for (int i = 0; node && i < node->n_attr; i++) {
        if (!node->attr[i].name[0]) {
            return &node->attr[i];
        }
    }
    cvi_script_set(s, cvi_fail(s->err, CVS_E_INTERNAL, "no tensor is left"));
    return NULL;
}

static void set(script *s, bool ok) {
    if (!ok) {
        cvi_script_set(s, cvi_no_memory(s->err, 0));
    }
}

void cvi_script_attr_int(script *s, script_node *n, const char *name, int64_t v) {
    cvi_attr *a = free_attr(s, n);
    set(s, a && cvi_attr_set_int(s->g, a, name, v));
}

void cvi_script_attr_float(script *s, script_node *n, const char *name, double v) {
    cvi_attr *a = free_attr(s, n);
    set(s, a && cvi_attr_set_float(s->g, a, name, v));
}

void cvi_script_attr_ints(script *s, script_node *n, const char *name, int count, const int64_t *v) {
    cvi_attr *a = free_attr(s, n);
    set(s, a && cvi_attr_set_ints(s->g, a, name, count, v));
}

void cvi_script_attr_string(script *s, script_node *n, const char *name, const char *v) {
    cvi_attr *a = free_attr(s, n);
    set(s, a && cvi_attr_set_string(s->g, a, name, v));
}

void cvi_script_attr_strings(script *s, script_node *n, const char *name, int count, const char *const *v) {
    cvi_attr *a = free_attr(s, n);
    set(s, a && cvi_attr_set_strings(s->g, a, name, count, v));
}

/* Shapes of a node's outputs for one of the two sizes; unknown ones stay rank -1. */
static cvs_status infer(script *s, const cvi_node *node, int which, cvs_tensor *out) {
    const cvi_op *op = cvi_op_find(node->op);
    const cvs_tensor **in = cvi_arena_alloc(s->arena, CVI_MAX(node->n_in, 1), sizeof *in);
    bool unknown = !op;
    if (!in) {
        return cvi_no_memory(s->err, 0);
    }
    for (int i = 0; i < node->n_in; i++) {
        in[i] = node->in[i] < 0 ? NULL : cvi_script_shape(s, node->in[i], which);
        unknown |= in[i] && in[i]->rank < 0;
    }
    for (int i = 0; op && i < op->n_inputs; i++) { /* None where a tensor must be */
        if (!op->inputs[i].optional && (i >= node->n_in || !in[i])) {
            return cvi_fail(s->err, CVS_E_UNSUPPORTED,
                            "the TorchScript code does what is not understood: %.100s", node->op);
        }
    }
    cvs_error err = {.lang = s->err ? s->err->lang : CVS_EN};
    cvi_opctx ctx = {.graph = s->g,
                     .node = node,
                     .op = op,
                     .n_in = node->n_in,
                     .n_out = node->n_out,
                     .in = in,
                     .out = out,
                     .err = &err};
    cvs_status status = unknown ? CVS_E_LATE : op->infer(&ctx);
    if (status == CVS_E_LATE) {
        for (int i = 0; i < node->n_out; i++) {
            out[i] = (cvs_tensor){.dtype = CVS_F32, .rank = -1};
        }
        return CVS_OK;
    }
    if (status != CVS_OK && s->err) {
        *s->err = err;
    }
    return status;
}

script_value cvi_script_done(script *s, script_node n) {
    if (!cvi_script_ok(s) || n.index < 0) {
        return cvi_script_none();
    }
    const cvi_node *node = &s->g->nodes[n.index];
    cvs_tensor *out[2];
    for (int k = 0; k < 2; k++) {
        out[k] = cvi_arena_alloc(s->arena, CVI_MAX(node->n_out, 1), sizeof **out);
        if (!out[k]) {
            cvi_script_set(s, cvi_no_memory(s->err, 0));
            return cvi_script_none();
        }
        cvs_status status = infer(s, node, k, out[k]);
        if (status != CVS_OK && k == 1) {
            s->fixed = true; /* fits one input, and no other */
            cvi_script_keep(s, status);
            return cvi_script_none();
        }
        if (status != CVS_OK) {
            cvi_script_set(s, cvi_at_node(s->err, status, node->name, node->op));
            return cvi_script_none();
        }
    }
    for (int i = 0; i < node->n_out; i++) {
        int v = node->out[i];
        if (v < 0) {
            continue;
        }
        cvi_value *value = &s->g->values[v];
        s->shape[0][v] = out[0][i];
        s->shape[1][v] = out[1][i];
        value->dtype = out[0][i].dtype ? out[0][i].dtype : CVS_F32;
        value->rank = out[0][i].rank == out[1][i].rank ? out[0][i].rank : -1;
        for (int d = 0; d < value->rank; d++) {
            value->dim[d] = out[0][i].dim[d] == out[1][i].dim[d] ? out[0][i].dim[d] : -1;
        }
    }
    return cvi_script_tensor(n.out);
}

script_value cvi_script_simple(script *s, const char *op, int n_in, const int *in) {
    return cvi_script_done(s, cvi_script_node(s, op, n_in, in, 0, false));
}

/* ---- into the graph -------------------------------------------------------------------------------------------- */

int cvi_script_graph(script *s, const script_value *v) {
    if (v->kind == SCRIPT_V_TENSOR) {
        int at = v->v;
        while (s->now[at] != at) { /* what in-place operators made of it since */
            at = s->now[at];
        }
        return at;
    }
    if (v->kind == SCRIPT_V_INT && v->size) {
        return cvi_script_cast(s, cvi_script_sizes(s, v, 1), CVS_F32);
    }
    return cvi_script_is_number(v) ? cvi_script_const_float(s, cvi_script_number(v, 0)) : -1;
}

int cvi_script_cast(script *s, int v, cvs_dtype type) {
    script_node node = cvi_script_node(s, "Cast", 1, &v, 1, true);
    cvi_script_attr_int(s, &node, "to", type);
    return cvi_script_done(s, node).v;
}

static cvs_dtype tensor_type(script *s, const script_value *v) {
    return v->kind == SCRIPT_V_TENSOR ? cvi_script_shape(s, cvi_script_graph(s, v), 0)->dtype : CVS_NONE;
}

void cvi_script_pair(script *s, const script_value *x, const script_value *y, int out[2]) {
    const script_value *v[2] = {x, y};
    cvs_dtype type[2] = {tensor_type(s, x), tensor_type(s, y)};
    for (int i = 0; i < 2; i++) {
        bool whole = type[1 - i] != CVS_NONE && type[1 - i] != CVS_F32 && type[1 - i] != CVS_BOOL;
        bool number = v[i]->kind == SCRIPT_V_INT && !v[i]->size && whole;
        out[i] = number ? cvi_script_const_int(s, v[i]->i[0]) : cvi_script_graph(s, v[i]);
        type[i] = out[i] < 0 ? CVS_NONE : cvi_script_shape(s, out[i], 0)->dtype;
    }
    for (int i = 0; i < 2 && cvi_script_ok(s);
         i++) { /* floats before whole numbers, long ones before short, truth last */
        cvs_dtype other = type[1 - i];
        bool cast = type[i] != CVS_NONE && type[i] != other &&
                    (other == CVS_F32 || (other == CVS_I64 && type[i] != CVS_F32) ||
                     (type[i] == CVS_BOOL && other != CVS_NONE));
        out[i] = cast ? cvi_script_cast(s, out[i], other) : out[i];
        type[i] = cast ? other : type[i];
    }
}

/* A size as a tensor of one element. */
static int size_node(script *s, const script_size *size, int64_t constant, int depth) {
    int in[2];
    if (depth > 60) {
        cvi_script_refuse(s, "arithmetic");
        return -1;
    }
    if (!size || size->op == 'c') {
        int64_t number = size ? size->number : constant;
        return cvi_script_const_ints(s, 1, &number);
    }
    script_value v;
    if (size->op == 'd') {
        int64_t axis = size->axis;
        in[0] = cvi_script_done(s, cvi_script_node(s, "Shape", 1, &size->value, 0, true)).v;
        in[1] = cvi_script_const_ints(s, 1, &axis);
        script_node n = cvi_script_node(s, "Gather", 2, in, 1, true);
        cvi_script_attr_int(s, &n, "axis", 0);
        v = cvi_script_done(s, n);
    } else {
        const char *op = size->op == '+'   ? "Add"
                         : size->op == '-' ? "Sub"
                         : size->op == '*' ? "Mul"
                         : size->op == '%' ? "Mod"
                                           : "Div";
        in[0] = size_node(s, size->a, 0, depth + 1);
        in[1] = size_node(s, size->b, 0, depth + 1);
        v = cvi_script_done(s, cvi_script_node(s, op, 2, in, 0, true));
    }
    return v.v;
}

/* The numbers of a tensor of sizes, for shape rules that need them. */
static void know(script *s, int v, const script_value *list, int n) {
    for (int k = 0; k < 2 && cvi_script_ok(s); k++) {
        int64_t *numbers = cvi_arena_alloc(s->arena, n, sizeof *numbers);
        if (!numbers) {
            cvi_script_set(s, cvi_no_memory(s->err, 0));
            return;
        }
        for (int i = 0; i < n; i++) {
            numbers[i] = list[i].i[k];
        }
        s->shape[k][v] = (cvs_tensor){
            .dtype = CVS_I64, .rank = 1, .dim = {n}, .data = numbers, .bytes = (size_t)n * sizeof *numbers};
        s->g->values[v].dtype = CVS_I64;
    }
}

int cvi_script_sizes(script *s, const script_value *v, int n) {
    int in[CVS_MAX_RANK * 2];
    int64_t numbers[CVS_MAX_RANK * 2];
    bool constant = true;
    if (n < 1 || n > CVI_COUNT(in)) {
        cvi_script_refuse(s, "a list of sizes");
        return -1;
    }
    for (int i = 0; i < n; i++) {
        constant &= v[i].size == NULL;
        numbers[i] = v[i].i[0];
    }
    if (constant) {
        return cvi_script_const_ints(s, n, numbers);
    }
    for (int i = 0; i < n; i++) {
        in[i] = size_node(s, v[i].size, v[i].i[0], 0);
    }
    int out = in[0];
    if (n > 1) {
        script_node join = cvi_script_node(s, "Concat", n, in, 1, true);
        cvi_script_attr_int(s, &join, "axis", 0);
        out = cvi_script_done(s, join).v;
    }
    if (cvi_script_ok(s)) {
        know(s, out, v, n);
    }
    return out;
}

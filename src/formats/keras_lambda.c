/* SPDX-License-Identifier: MIT
 * keras_lambda.c - functions that a functional model of Keras applies to tensors without a layer: keras.ops in Keras 3, functions of
 * TensorFlow in Keras 2 (TFOpLambda, SlicingOpLambda). Each is a row of keras_functions.def: the operation of TensorFlow that it is, and how
 * its settings become that operation's inputs and attributes; tf_nodes*.c then makes it.
 */
#include "formats/keras_lambda.h"

#include <ctype.h>

#include "ops/op.h"

/* ---- numbers in the file ---- */

const json_t *cvi_lambda_unwrap(const json_t *v) { /* {"class_name": "__numpy__", "config": {"value": ...}} */
    const json_t *value = json_object_get(json_object_get(v, "config"), "value");
    return value ? value : v;
}

static bool fill(const json_t *v, const cvs_tensor *t, int axis, int64_t *at) {
    if (axis == t->rank) {
        bool number = json_is_number(v) || json_is_boolean(v);
        if (number) {
            cvi_put(t, (*at)++, json_is_boolean(v) ? json_is_true(v) : json_number_value(v));
        }
        return number;
    }
    if (!json_is_array(v) || (int64_t)json_array_size(v) != t->dim[axis]) {
        return false;
    }
    for (size_t i = 0; i < json_array_size(v); i++) {
        if (!fill(json_array_get(v, i), t, axis + 1, at)) {
            return false;
        }
    }
    return true;
}

/* A number or nested lists of them as a constant. False: it is neither. */
bool cvi_lambda_constant(lambda *l, const json_t *v, cvs_dtype type, cvi_tf_tensor *out) {
    cvs_tensor t = {.dtype = type};
    int64_t at = 0;
    v = cvi_lambda_unwrap(v);
    for (const json_t *e = v; json_is_array(e); e = json_array_get(e, 0)) {
        if (t.rank == CVS_MAX_RANK) {
            return false;
        }
        t.dim[t.rank++] = (int64_t)json_array_size(e);
    }
    int64_t n = cvs_tensor_count(&t), bytes = 0;
    if (n < 0 || n > 1 << 24 || !cvi_mul(n, (int64_t)cvs_dtype_size(type), &bytes)) {
        return false;
    }
    t.bytes = (size_t)bytes;
    t.data = cvi_arena_alloc(l->k->b.model->arena, CVI_MAX(bytes, 1), 1);
    if (!t.data) {
        cvi_build_no_memory(&l->net.t.b, t.bytes);
        return false;
    }
    if (!fill(v, &t, 0, &at)) {
        return false;
    }
    *out = cvi_tf_constant(cvi_tf_part(&l->net.t, "numbers"), &t);
    return true;
}

cvi_tf_tensor cvi_lambda_ints(lambda *l, const char *part, int rank, int64_t n, const int64_t *v) {
    cvs_tensor t = {.dtype = CVS_I64, .rank = rank, .dim = {n}, .bytes = (size_t)n * sizeof *v};
    int64_t *to = cvi_arena_alloc(l->k->b.model->arena, CVI_MAX(n, 1), sizeof *to);
    if (!to) {
        cvi_build_no_memory(&l->net.t.b, t.bytes);
        return cvi_tf_none();
    }
    memcpy(to, v, t.bytes);
    t.data = to;
    return cvi_tf_constant(cvi_tf_part(&l->net.t, part), &t);
}

cvi_tf_tensor cvi_lambda_whole(lambda *l, const char *part, int64_t v) {
    return cvi_lambda_ints(l, part, 0, 1, &v);
}

/* ---- settings ---- */

/* By keyword in the layer's settings or the call, or by its place in the call. */
const json_t *cvi_lambda_setting(const lambda *l, const char *key, const char *other, size_t place) {
    const json_t *v = cvi_keras_get(l->k, key, other);
    v = v ? v : json_object_get(l->words, key);
    v = v || !other ? v : json_object_get(l->words, other);
    v = v ? v : json_array_get(l->args, place);
    return json_is_null(v) ? NULL : v;
}

bool cvi_lambda_truth(const lambda *l, const char *key, const char *other) {
    return json_is_true(cvi_lambda_setting(l, key, other, 99));
}

int64_t cvi_lambda_number_or(const json_t *v, int64_t otherwise) {
    return json_is_integer(v) ? json_integer_value(v)
           : json_is_real(v) && json_real_value(v) > -1e15 && json_real_value(v) < 1e15
               ? (int64_t)json_real_value(v)
               : otherwise;
}

/* A whole number or a list of them; -1: it is neither, or has more than max. null in a list counts as `none`. */
int cvi_lambda_list_of(const json_t *v, int max, int64_t none, int64_t *out) {
    v = cvi_lambda_unwrap(v);
    if (json_is_integer(v)) {
        out[0] = json_integer_value(v);
        return 1;
    }
    if (!json_is_array(v) || json_array_size(v) > (size_t)max) {
        return -1;
    }
    for (size_t i = 0; i < json_array_size(v); i++) {
        const json_t *e = json_array_get(v, i);
        if (!json_is_integer(e) && !json_is_null(e)) {
            return -1;
        }
        out[i] = json_is_null(e) ? none : json_integer_value(e);
    }
    return (int)json_array_size(v);
}

static void add_attr(lambda *l, tf_attr a) {
    if (l->node.n_attr < LAMBDA_ATTRS) {
        l->attr[l->node.n_attr++] = a;
    }
}

void cvi_lambda_add_int(lambda *l, const char *name, int64_t v) {
    add_attr(l, (tf_attr){.name = name, .i = v, .f = (double)v});
}

void cvi_lambda_add_text(lambda *l, const char *name, const char *v) {
    add_attr(l, (tf_attr){.name = name, .s = v});
}

void cvi_lambda_add_list(lambda *l, const char *name, int n, const int64_t *v) {
    int64_t *to = cvi_arena_alloc(l->k->b.model->arena, CVI_MAX(n, 1), sizeof *to);
    if (!to) {
        cvi_build_no_memory(&l->net.t.b, 0);
        return;
    }
    memcpy(to, v, (size_t)n * sizeof *v);
    add_attr(l, (tf_attr){.name = name, .n = n, .ints = to});
}

/* ---- making ---- */

/* Runs TensorFlow's operation; its outputs are then net.out. False: not in this form. */
bool cvi_lambda_emit(lambda *l, const char *op, int n, cvi_tf_tensor *const *in) {
    const tf_maker *maker = cvi_tf_maker(op);
    tf_net *m = &l->net;
    if (!maker || !cvi_build_ok(&m->t.b)) {
        return false;
    }
    l->node.op = m->t.type = op;
    l->node.name = m->t.name;
    l->node.attr = l->attr;
    m->node = &l->node;
    m->in = cvi_arena_alloc(l->k->b.model->arena, CVI_MAX(n, 1), sizeof *m->in);
    if (!m->in) {
        cvi_build_no_memory(&m->t.b, 0);
        return false;
    }
    memcpy(m->in, in, (size_t)n * sizeof *in);
    m->n_in = n;
    m->out = NULL;
    m->n_out = m->cap_out = 0;
    m->refused = NULL;
    maker->make(m);
    l->node.n_attr = 0;
    return cvi_build_ok(&m->t.b) && !m->refused && m->n_out > 0;
}

/* The same as a hidden step on the way; the result is *out. */
bool cvi_lambda_between(lambda *l, const char *part, const char *op, int n, cvi_tf_tensor *const *in,
                        cvi_tf_tensor *out) {
    const char *own = l->net.t.name;
    l->net.t.name = cvi_tf_part(&l->net.t, part);
    bool done = cvi_lambda_emit(l, op, n, in);
    l->net.t.name = own;
    *out = done ? l->net.out[0] : cvi_tf_none();
    if (done && out->form[out->moved] >= 0) {
        l->net.t.b.g->values[out->form[out->moved]].hidden = true;
    }
    return done;
}

/* ---- operands ---- */

static bool is_tensor(const json_t *v) {
    return json_object_get(json_object_get(v, "config"), "keras_history") ||
           (json_is_array(v) && json_array_size(v) >= 3 && json_is_string(json_array_get(v, 0)) &&
            json_is_integer(json_array_get(v, 1)));
}

static bool add_operand(lambda *l, const json_t *v, cvi_keras_tensor *const *in, int n) {
    if (l->n == LAMBDA_OPERANDS) {
        return false;
    }
    cvi_tf_tensor *to = &l->operand[l->n];
    if (is_tensor(v)) {
        if (l->n_given == n) {
            return false;
        }
        const cvi_keras_tensor *t = in[l->n_given++];
        *to = (cvi_tf_tensor){
            .name = l->net.t.name, .form = {t->form[0], t->form[1]}, .rank = t->rank, .moved = t->moved};
        l->n++;
        return true;
    }
    if (json_is_array(v) && json_array_size(v) > 0 && is_tensor(json_array_get(v, 0))) {
        for (size_t i = 0; i < json_array_size(v); i++) {
            if (!add_operand(l, json_array_get(v, i), in, n)) {
                return false;
            }
        }
        return true;
    }
    if ((json_is_number(v) || json_is_object(v)) && cvi_lambda_constant(l, v, CVS_F32, to)) {
        l->n++;
    }
    return true; /* a setting */
}

/* The call's operands in their order. Keras 2: [name, node, tensor, {keywords}], several of such, or "_CONSTANT_VALUE" for the name. */
static bool read_operands(lambda *l, cvi_keras_tensor *const *in, int n) {
    const json_t *call = l->k->call, *v = NULL;
    const char *key = NULL;
    json_t *word = NULL;
    l->args = json_object_get(call, "args");
    l->words = json_object_get(call, "kwargs");
    if (l->args) {
        for (size_t i = 0; i < json_array_size(l->args); i++) {
            if (!add_operand(l, json_array_get(l->args, i), in, n)) {
                return false;
            }
        }
    } else {
        while (json_is_array(call) && json_array_size(call) == 1) {
            call = json_array_get(call, 0);
        }
        bool several = json_is_array(json_array_get(call, 0));
        for (size_t i = 0; i < (several ? json_array_size(call) : 1); i++) {
            v = several ? json_array_get(call, i) : call;
            const json_t *name = json_array_get(v, 0);
            l->words = l->words ? l->words : json_array_get(v, 3);
            bool number = json_is_string(name) && strcmp(json_string_value(name), "_CONSTANT_VALUE") == 0;
            if (!add_operand(l, number ? json_array_get(v, 2) : v, in, n)) {
                return false;
            }
        }
    }
    json_object_foreach((json_t *)(uintptr_t)l->words, key, word) {
        bool operand = is_tensor(word) || strcmp(key, "y") == 0 || strcmp(key, "x2") == 0 ||
                       (json_is_array(word) && is_tensor(json_array_get(word, 0)));
        if (operand && !add_operand(l, word, in, n)) {
            return false;
        }
    }
    return l->n > 0 && l->n_given == n;
}

static void plain_name(const cvi_keras *k, char *out, size_t size) {
    const char *s = cvi_json_string(k->layer->config, "function", k->layer->class_name);
    const char *dot = strrchr(s, '.');
    size_t n = 0;
    s = strcmp(k->layer->class_name, "SlicingOpLambda") == 0 ? "getitem" : dot ? dot + 1 : s;
    for (const char *p = s; *p && n + 1 < size; p++) {
        if (*p != '_') {
            out[n++] = (char)tolower((unsigned char)*p);
        }
    }
    out[n] = 0;
}

/* What one operation gave, as Keras's layers see it. */
static cvi_keras_tensor seen(const cvi_tf_tensor *x) {
    bool moved = x->moved && x->form[1] >= 0;
    return (cvi_keras_tensor){.form = {x->form[0], x->form[1]}, .rank = x->rank, .moved = moved};
}

static bool collect(lambda *l, cvi_keras_tensor *out) {
    cvi_keras *k = l->k;
    tf_net *m = &l->net;
    for (int i = 0; i < m->n_out; i++) {
        cvi_tf_tensor *x = &m->out[i];
        if (cvi_tf_is_constant(x)) {
            cvi_tf_form(&m->t, x, false);
        }
        if (!cvi_build_ok(&m->t.b) || x->rank < 0 || (x->form[0] < 0 && x->form[1] < 0)) {
            return false;
        }
    }
    *out = seen(&m->out[0]);
    if (m->n_out > 1) {
        k->more = cvi_arena_alloc(k->b.model->arena, m->n_out - 1, sizeof *k->more);
        if (!k->more) {
            cvi_build_no_memory(&m->t.b, 0);
            return false;
        }
        for (int i = 1; i < m->n_out; i++) {
            k->more[i - 1] = seen(&m->out[i]);
        }
        k->n_more = m->n_out - 1;
    }
    return true;
}

/* Makes room for an operation, which works on the builder of the layer at hand. */
static lambda *begin(cvi_keras *k) {
    cvi_arena *a = k->b.model->arena;
    lambda *l = cvi_build_ok(&k->b) ? cvi_arena_alloc(a, 1, sizeof *l) : NULL;
    tf_graphdef *none = l ? cvi_arena_alloc(a, 1, sizeof *none) : NULL;
    if (!none) {
        cvi_build_no_memory(&k->b, sizeof *l);
        return NULL;
    }
    *l = (lambda){.k = k, .net = {.g = none}};
    l->net.t = (cvi_tf){
        .b = k->b, .shapes = k->shapes, .name = k->name, .type = "", .first = k->first, .domain = "keras"};
    l->net.t.shapes.evaluate = 1 << 20;
    return l;
}

/* Gives the builder back; what a refused operation left is taken out. */
static bool end(lambda *l, int nodes, bool done) {
    cvi_keras *k = l->k;
    int64_t evaluate = k->shapes.evaluate;
    k->b.status = l->net.t.b.status;
    k->b.node = l->net.t.b.node;
    k->shapes = l->net.t.shapes;
    k->shapes.evaluate = evaluate;
    if (!done && (cvi_build_ok(&k->b) || k->b.status == CVS_E_UNSUPPORTED)) {
        k->b.status = CVS_OK;
        cvi_error_clear(k->b.err);
        k->b.g->n_nodes = nodes;
        k->shapes.inferred = CVI_MIN(k->shapes.inferred, nodes);
    }
    return done;
}

bool cvi_keras_lambda(cvi_keras *k, cvi_keras_tensor *const *in, int n, cvi_keras_tensor *out) {
    char name[40];
    const lambda_row *r;
    plain_name(k, name, sizeof name);
    r = cvi_lambda_function(name);
    int nodes = k->b.g->n_nodes;
    lambda *l = r ? begin(k) : NULL;
    return l && end(l, nodes, read_operands(l, in, n) && r->make(l, r) && collect(l, out));
}

bool cvi_keras_einsum(cvi_keras *k, const char *equation, cvi_keras_tensor *x, int kernel, int rank,
                      cvi_keras_tensor *out) {
    int nodes = k->b.g->n_nodes;
    lambda *l = begin(k);
    if (!l) {
        return false;
    }
    l->operand[0] = (cvi_tf_tensor){
        .name = k->name, .form = {x->form[0], x->form[1]}, .rank = x->rank, .moved = x->moved};
    l->operand[1] = cvi_tf_value(&l->net.t, kernel, rank, false);
    cvi_lambda_add_text(l, "equation", equation);
    return end(l, nodes,
               cvi_lambda_emit(l, "Einsum", 2, (cvi_tf_tensor *[]){&l->operand[0], &l->operand[1]}) &&
                   collect(l, out));
}

/* SPDX-License-Identifier: MIT
 * keras_more.c - layers of Keras that are seldom in networks of pictures: RepeatVector, Embedding, EinsumDense, CenterCrop,
 * UnitNormalization, RMSNormalization, a recurrent layer made of a cell.
 */
#include <ctype.h>

#include "formats/keras.h"

static int one_int(cvi_keras *k, const char *part, int64_t v) {
    return cvi_keras_const_ints(k, part, 1, &v);
}

/* x [N,D] n times, as [N,n,D]. */
void cvi_keras_repeat_vector(cvi_keras *k, cvi_keras_tensor *const *in, int n, cvi_keras_tensor *out) {
    int64_t times[3] = {1, cvi_keras_get_int(k, "n", NULL, 0), 1};
    (void)n;
    if (!cvi_keras_check_rank(k, in[0], 2)) {
        return;
    }
    if (times[1] < 1 || times[1] > INT32_MAX) {
        cvi_keras_bad(k, "n");
        return;
    }
    int v = cvi_keras_form(k, in[0], false);
    v = cvi_keras_op(k, "Unsqueeze", cvi_keras_part(k, "step"), true, 2, (int[]){v, one_int(k, "axis", 1)});
    v = cvi_keras_op(k, "Tile", k->name, false, 2, (int[]){v, cvi_keras_const_ints(k, "times", 3, times)});
    *out = cvi_keras_out(k, v, 3, false);
}

/* Whole numbers x [N,...] as rows of a table, [N,...,D]. */
void cvi_keras_embedding(cvi_keras *k, cvi_keras_tensor *const *in, int n, cvi_keras_tensor *out) {
    int64_t rows = cvi_keras_get_int(k, "input_dim", NULL, -1),
            width = cvi_keras_get_int(k, "output_dim", NULL, -1);
    (void)n;
    if (in[0]->rank >= CVS_MAX_RANK - 1 || cvi_keras_get(k, "lora_rank", NULL) ||
        cvi_keras_get_bool(k, "mask_zero", NULL, false)) {
        cvi_keras_bad(k, "mask_zero"); /* layers behind it would leave steps out */
        return;
    }
    int v = cvi_keras_form(k, in[0], false);
    int table = cvi_keras_take(k, &(cvi_keras_want){.name = "embeddings", .rank = 2, .dim = {rows, width}});
    v = cvi_keras_op(k, "Cast", cvi_keras_part(k, "rows"), true, 1, &v);
    cvi_build_int(&k->b, "to", CVS_I64);
    int rank = in[0]->rank + 1;
    bool image = (rank == 4 || rank == 5) && !k->first;
    v = cvi_keras_op(k, "Gather", image ? cvi_keras_part(k, "found") : k->name, image, 2, (int[]){table, v});
    *out = cvi_keras_settle(k, v, rank);
}

/* ---- cutting out the middle ---- */

void cvi_keras_center_crop(cvi_keras *k, cvi_keras_tensor *const *in, int n, cvi_keras_tensor *out) {
    bool last = cvi_keras_last(k);
    int64_t want[2] = {cvi_keras_get_int(k, "height", NULL, 0), cvi_keras_get_int(k, "width", NULL, 0)},
            begin[2], end[2];
    static const int64_t axes[2] = {2, 3};
    if (!cvi_keras_check_rank(k, in[0], 4)) {
        return;
    }
    for (int i = 0; i < 2; i++) {
        int64_t side = cvi_keras_dim(k, in[0], last ? 1 + i : 2 + i);
        if (side < 1 || want[i] < 1 || want[i] > side) { /* larger: it resizes, and keeps the proportions */
            if (side >= 1 && want[i] >= 1) {
                cvi_keras_resizing(k, in, n, out);
            } else {
                cvi_keras_bad(k, "height");
            }
            return;
        }
        begin[i] = (side - want[i]) / 2;
        end[i] = begin[i] + want[i];
    }
    int x[4] = {cvi_keras_form(k, in[0], last), cvi_keras_const_ints(k, "begin", 2, begin),
                cvi_keras_const_ints(k, "end", 2, end), cvi_keras_const_ints(k, "axes", 2, axes)};
    *out = cvi_keras_out(k, cvi_keras_op(k, "Slice", k->name, false, 4, x), 4, last);
}

/* ---- normalising without statistics ---- */

/* The setting "axis", a number or a list, as places of the named form. 0: not understood. */
static int read_axes(cvi_keras *k, const cvi_keras_tensor *t, int64_t *axes) {
    const json_t *v = cvi_keras_get(k, "axis", NULL);
    int n = json_is_array(v) ? (int)CVI_MIN(json_array_size(v), CVS_MAX_RANK) : 1;
    for (int i = 0; i < n; i++) {
        const json_t *e = json_is_array(v) ? json_array_get(v, (size_t)i) : v;
        if (v && !json_is_integer(e)) {
            return 0;
        }
        axes[i] = cvi_keras_axis(k, t, v ? json_integer_value(e) : -1);
    }
    return n;
}

/* x over a root of its squares' sum or mean along axes, which is at least `least`, or with `more` added. */
static int over_root(cvi_keras *k, const cvi_keras_tensor *t, const char *name, const char *reduce,
                     double least, double more) {
    int64_t axes[CVS_MAX_RANK];
    int x = cvi_keras_value(t), m = read_axes(k, t, axes);
    if (m == 0) {
        cvi_keras_bad(k, "axis");
        return -1;
    }
    int v = cvi_keras_op(k, "Mul", cvi_keras_part(k, "squares"), true, 2, (int[]){x, x});
    v = cvi_keras_op(k, reduce, cvi_keras_part(k, "sum"), true, 2,
                     (int[]){v, cvi_keras_const_ints(k, "axes", m, axes)});
    cvi_build_int(&k->b, "keepdims", 1);
    v = cvi_keras_op(k, more > 0 ? "Add" : "Max", cvi_keras_part(k, "bounded"), true, 2,
                     (int[]){v, cvi_keras_const_float(k, "bound", more > 0 ? more : least)});
    v = cvi_keras_op(k, "Sqrt", cvi_keras_part(k, "root"), true, 1, &v);
    return cvi_keras_op(k, "Div", name, name != k->name, 2, (int[]){x, v});
}

void cvi_keras_unit_norm(cvi_keras *k, cvi_keras_tensor *const *in, int n, cvi_keras_tensor *out) {
    (void)n;
    int v = over_root(k, in[0], k->name, "ReduceSum", 1e-12, 0);
    *out = cvi_keras_out(k, v, in[0]->rank, in[0]->moved);
}

void cvi_keras_rms_norm(cvi_keras *k, cvi_keras_tensor *const *in, int n, cvi_keras_tensor *out) {
    cvi_keras_tensor *t = in[0], part;
    const json_t *axis = cvi_keras_get(k, "axis", NULL);
    (void)n;
    axis = json_is_array(axis) ? json_array_get(axis, 0) : axis;
    int64_t a = json_is_integer(axis) ? json_integer_value(axis) : -1;
    if (json_array_size(cvi_keras_get(k, "axis", NULL)) > 1 || (a != -1 && a != t->rank - 1)) {
        cvi_keras_bad(k, "axis");
        return;
    }
    int v = over_root(k, t, cvi_keras_part(k, "normal"), "ReduceMean", 0,
                      cvi_keras_get_number(k, "epsilon", NULL, 1e-6));
    int64_t c = k->source ? -1 : cvi_keras_dim(k, t, -1);
    cvi_keras_want want = {.name = "scale", .rank = 1, .dim = {c}, .out_rank = t->moved ? t->rank - 1 : 1};
    for (int i = 0; i < want.out_rank; i++) {
        want.out_dim[i] = i == 0 ? -1 : 1;
    }
    part = cvi_keras_out(k, v, t->rank, t->moved);
    int x[2] = {cvi_keras_value(&part), cvi_keras_take(k, &want)};
    *out = cvi_keras_out(k, cvi_keras_op(k, "Mul", k->name, false, 2, x), t->rank, t->moved);
}

/* ---- EinsumDense ---- */

typedef struct equation {
    char in[CVS_MAX_RANK + 1], kernel[CVS_MAX_RANK + 1], out[CVS_MAX_RANK + 1];
    int64_t size[128];
} equation;

/* One side up to `end`; "..." stands for the first `dots` letters from Z down. */
static const char *read_side(const char *s, char end, int dots, char *to) {
    int n = 0;
    for (; *s && *s != end; s++) {
        if (strncmp(s, "...", 3) == 0) {
            for (int i = 0; i < dots && n < CVS_MAX_RANK; i++) {
                to[n++] = (char)('Z' - i);
            }
            s += 2;
        } else if (isalpha((unsigned char)*s) && n < CVS_MAX_RANK) {
            to[n++] = *s;
        } else if (*s != ' ') {
            return NULL;
        }
    }
    to[n] = 0;
    return *s == end ? s + (end != 0) : NULL;
}

/* "...x,xyz->...yz" for an input of that rank; sizes from the input and, where told, from the output. */
static bool read_equation(cvi_keras *k, cvi_keras_tensor *t, equation *e) {
    const char *s = cvi_keras_get_string(k, "equation", NULL, ""), *comma = strchr(s, ',');
    int letters = 0;
    for (const char *p = s; comma && p < comma; p++) {
        letters += isalpha((unsigned char)*p) != 0;
    }
    *e = (equation){0};
    int dots = t->rank - letters;
    s = dots >= 0 ? read_side(s, ',', dots, e->in) : NULL;
    s = s ? read_side(s, '-', 0, e->kernel) : NULL;
    s = s && *s == '>' ? read_side(s + 1, 0, dots, e->out) : NULL;
    if (!s || strlen(e->in) != (size_t)t->rank || !e->kernel[0]) {
        return false;
    }
    memset(e->size, -1, sizeof e->size);
    const json_t *shape = cvi_keras_get(k, "output_shape", NULL);
    size_t n = strlen(e->out), m = json_is_array(shape) ? json_array_size(shape) : 1;
    for (size_t i = 0; i < m && m <= n; i++) {
        const json_t *d = json_is_array(shape) ? json_array_get(shape, i) : shape;
        e->size[(int)e->out[n - m + i]] = json_is_integer(d) ? json_integer_value(d) : -1;
    }
    for (int i = 0; i < t->rank; i++) {
        e->size[(int)e->in[i]] = cvi_keras_dim(k, t, i);
    }
    return true;
}

void cvi_keras_einsum_dense(cvi_keras *k, cvi_keras_tensor *const *in, int n, cvi_keras_tensor *out) {
    cvi_keras_tensor *t = in[0], linear;
    equation e;
    (void)n;
    if (!read_equation(k, t, &e) || cvi_keras_get(k, "lora_rank", NULL)) {
        cvi_keras_bad(k, "equation");
        return;
    }
    const char *axes = cvi_keras_get_string(k, "bias_axes", NULL, NULL), *name = k->name;
    bool active = cvi_keras_has_activation(k);
    cvi_keras_want kernel = {.name = "kernel", .rank = (int)strlen(e.kernel)}, bias = {.name = "bias"};
    for (int i = 0; i < kernel.rank; i++) {
        kernel.dim[i] = k->source ? -1 : e.size[(int)e.kernel[i]];
    }
    int w = cvi_keras_take(k, &kernel), rank = (int)strlen(e.out);
    char text[3 * CVS_MAX_RANK + 8];
    snprintf(text, sizeof text, "%s,%s->%s", e.in, e.kernel, e.out);
    const char *before = active ? cvi_keras_part(k, "linear") : name;
    k->name = axes ? cvi_keras_part(k, "product") : before;
    bool done = cvi_build_ok(&k->b) && cvi_keras_einsum(k, text, t, w, kernel.rank, &linear);
    k->name = before;
    if (!done) {
        k->name = name;
        cvi_keras_bad(k, "equation");
        return;
    }
    if (axes) { /* the bias has the letters that it names, in the order of the result, each place after the first of them */
        bool begun = false;
        for (int i = 0; i < rank; i++) {
            bool own = strchr(axes, e.out[i]) != NULL;
            begun |= own;
            if (own) {
                bias.dim[bias.rank++] = k->source ? -1 : e.size[(int)e.out[i]];
            }
            if (begun) {
                bias.out_dim[bias.out_rank++] = own ? e.size[(int)e.out[i]] : 1;
            }
        }
        int b = cvi_keras_take(k, &bias), v = cvi_keras_form(k, &linear, false);
        bool image = (rank == 4 || rank == 5) && !k->first;
        v = cvi_keras_op(k, "Add", image ? cvi_keras_part(k, "rows") : k->name, image, 2, (int[]){v, b});
        linear = cvi_keras_settle(k, v, rank);
    }
    k->name = name;
    if (active) {
        cvi_keras_activate(k, &linear, cvi_keras_get(k, "activation", NULL), out);
    } else {
        *out = linear;
    }
}

/* ---- RNN(cell) ---- */

/* RNN(LSTMCell(8)) is LSTM(8): the settings of both together are those of the layer. */
void cvi_keras_rnn(cvi_keras *k, cvi_keras_tensor *const *in, int n, cvi_keras_tensor *out) {
    const json_t *cell = cvi_keras_get(k, "cell", NULL), *own = k->layer->config;
    const char *was = k->layer->class_name, *class = cvi_json_string(cell, "class_name", "");
    static const char *const cells[][2] = {
        {"LSTMCell", "LSTM"}, {"GRUCell", "GRU"}, {"SimpleRNNCell", "SimpleRNN"}};
    json_t *both = json_copy((json_t *)(uintptr_t)json_object_get(cell, "config"));
    for (int i = 0; i < CVI_COUNT(cells) && both; i++) {
        if (strcmp(class, cells[i][0]) == 0 && json_object_update(both, (json_t *)(uintptr_t)own) == 0) {
            k->layer->class_name = cells[i][1];
            k->layer->config = both;
            cvi_keras_recurrent(k, in, n, out);
            k->layer->class_name = was;
            k->layer->config = own;
            json_decref(both);
            return;
        }
    }
    json_decref(both);
    cvi_keras_opaque(k, in, n, out);
    cvi_keras_skip_rest(k);
}

/* SPDX-License-Identifier: MIT
 * tf_nodes_loop.c - loops of TensorFlow graphs whose number of turns the file decides (recurrent layers over a known number of steps):
 * written out turn by turn, as functions are where they are called. The lists of tensors that loops read and fill are known while reading.
 */
#include "formats/tf_nodes.h"

#include "ops/op.h"

enum { MOST_TURNS = 2048, MOST_ITEMS = 4096 };

/* Never changed once made: a list with another item is another list. */
struct cvi_tf_list {
    int64_t n;
    const cvi_tf_tensor **item; /* NULL: nothing was put there */
};

static const char shapeless[] = "its sizes are known only while running";

/* ---- lists ---- */

static cvi_tf_list *new_list(tf_net *m, int64_t n) {
    cvi_arena *a = m->t.b.model->arena;
    cvi_tf_list *l = cvi_arena_alloc(a, 1, sizeof *l);
    if (l) {
        l->n = n;
        l->item = cvi_arena_alloc(a, CVI_MAX(n, 1), sizeof *l->item);
    }
    if (!l || !l->item) {
        cvi_build_no_memory(&m->t.b, (size_t)n * sizeof *l->item);
        return NULL;
    }
    return l;
}

static void put_list(tf_net *m, const cvi_tf_list *l) {
    if (l) {
        cvi_tf_tensor x = cvi_tf_none();
        x.list = l;
        cvi_tf_node_put(m, 0, x);
    }
}

static const cvi_tf_list *list_in(tf_net *m) {
    const cvi_tf_tensor *x = cvi_tf_node_in(m, 0);
    if (!x || !x->list) {
        m->refused = shapeless;
        return NULL;
    }
    return x->list;
}

/* element_shape, how many */
void cvi_tfn_list_reserve(tf_net *m) {
    int64_t n = 0;
    if (cvi_tf_node_ints(m, 1, 1, &n) != 1 || n < 0 || n > MOST_ITEMS) {
        m->refused = shapeless;
        return;
    }
    put_list(m, new_list(m, n));
}

/* The pieces of a tensor along its first axis. */
void cvi_tfn_list_from_tensor(tf_net *m) {
    cvi_tf_tensor *x = cvi_tf_node_in(m, 0);
    cvi_arena *a = m->t.b.model->arena;
    int64_t dim[CVS_MAX_RANK];
    if (!x || x->rank < 1 || !cvi_tf_dims(&m->t, x, dim) || dim[0] < 1 || dim[0] > MOST_ITEMS) {
        m->refused = shapeless;
        return;
    }
    int n = (int)dim[0];
    cvi_tf_list *l = new_list(m, n);
    cvi_tf_tensor *piece = cvi_arena_alloc(a, n, sizeof *piece);
    const char **names = cvi_arena_alloc(a, n, sizeof *names);
    int64_t *sizes = cvi_arena_alloc(a, n, sizeof *sizes);
    if (!l || !piece || !names || !sizes) {
        cvi_build_no_memory(&m->t.b, 0);
        return;
    }
    for (int i = 0; i < n; i++) {
        names[i] = cvi_build_name(&m->t.b, "%s/%d", m->t.name, i);
        piece[i] = cvi_tf_none();
        sizes[i] = 1;
        l->item[i] = &piece[i];
    }
    cvi_tf_split(&m->t, x, 0, n, sizes, true, names, piece);
    put_list(m, l);
}

/* list, which, element_shape */
void cvi_tfn_list_get(tf_net *m) {
    const cvi_tf_list *l = list_in(m);
    int64_t at = 0;
    if (!l || cvi_tf_node_ints(m, 1, 1, &at) != 1 || at < 0 || at >= l->n || !l->item[at]) {
        m->refused = shapeless;
        return;
    }
    cvi_tf_node_put(m, 0, *l->item[at]);
}

/* list, which, what */
void cvi_tfn_list_set(tf_net *m) {
    const cvi_tf_list *l = list_in(m);
    const cvi_tf_tensor *x = cvi_tf_node_in(m, 2);
    int64_t at = 0;
    if (!l || !x || cvi_tf_node_ints(m, 1, 1, &at) != 1 || at < 0 || at >= l->n) {
        m->refused = shapeless;
        return;
    }
    cvi_tf_list *more = new_list(m, l->n);
    cvi_tf_tensor *kept = cvi_arena_alloc(m->t.b.model->arena, 1, sizeof *kept);
    if (!more || !kept) {
        cvi_build_no_memory(&m->t.b, 0);
        return;
    }
    memcpy(more->item, l->item, (size_t)l->n * sizeof *l->item);
    *kept = *x;
    more->item[at] = kept;
    put_list(m, more);
}

/* All of a list as one tensor, with a new first axis. */
void cvi_tfn_list_stack(tf_net *m) {
    const cvi_tf_list *l = list_in(m);
    cvi_tf_tensor **in = l ? cvi_arena_alloc(m->t.b.model->arena, CVI_MAX(l->n, 1), sizeof *in) : NULL,
                  *all = l ? cvi_arena_alloc(m->t.b.model->arena, CVI_MAX(l->n, 1), sizeof *all) : NULL;
    if (!l || l->n < 1) {
        m->refused = shapeless;
        return;
    }
    if (!in || !all) {
        cvi_build_no_memory(&m->t.b, 0);
        return;
    }
    for (int64_t i = 0; i < l->n; i++) {
        if (!l->item[i] || l->item[i]->list) {
            m->refused = "this form of the operator is not run";
            return;
        }
        all[i] = *l->item[i];
        in[i] = &all[i];
    }
    cvi_tf_node_put(m, 0, cvi_tf_pack(&m->t, (int)l->n, in, 0));
}

void cvi_tfn_list_length(tf_net *m) {
    const cvi_tf_list *l = list_in(m);
    int32_t *n = l ? cvi_arena_alloc(m->t.b.model->arena, 1, sizeof *n) : NULL;
    if (!l || !n) {
        cvi_build_set(&m->t.b, l ? cvi_no_memory(m->t.b.err, sizeof *n) : CVS_OK);
        return;
    }
    *n = (int32_t)l->n;
    const cvs_tensor t = {.dtype = CVS_I32, .bytes = sizeof *n, .data = n};
    cvi_tf_node_put(m, 0, cvi_tf_constant(m->t.name, &t));
}

/* ---- the loop ---- */

/* Calls a function on the state; its results, NULL after a failure. */
static cvi_tf_tensor *call(tf_net *m, const char *function, cvi_tf_tensor *state, int n, int *n_out) {
    cvi_tf_tensor **in = cvi_arena_alloc(m->t.b.model->arena, CVI_MAX(n, 1), sizeof *in);
    if (!in) {
        cvi_build_no_memory(&m->t.b, 0);
        return NULL;
    }
    for (int k = 0; k < n; k++) {
        in[k] = &state[k];
    }
    m->in = in;
    m->n_in = n;
    cvi_tf_call(m, function, 0);
    *n_out = m->n_out;
    return cvi_build_ok(&m->t.b) ? m->out : NULL;
}

void cvi_tfn_while(tf_net *m) {
    const char *cond = cvi_tf_attr_text(m->node, "cond", ""), *body = cvi_tf_attr_text(m->node, "body", "");
    int n = m->n_in, turns = 0;
    cvi_tf_tensor *state = cvi_arena_alloc(m->t.b.model->arena, CVI_MAX(n, 1), sizeof *state);
    if (!state) {
        cvi_build_no_memory(&m->t.b, 0);
        return;
    }
    for (int k = 0; k < n; k++) {
        state[k] = m->in[k] ? *m->in[k] : cvi_tf_none();
    }
    for (;; turns++) {
        int n_out = 0;
        cvi_tf_tensor *out = call(m, cond, state, n, &n_out);
        const cvs_tensor *goes_on = out && n_out == 1 ? cvi_tf_numbers(&m->t, &out[0]) : NULL;
        if (!cvi_build_ok(&m->t.b)) {
            return;
        }
        if (!goes_on || cvs_tensor_count(goes_on) != 1 || turns > MOST_TURNS) {
            m->refused = "how often it goes round is known only while running";
            m->keep = true; /* what was asked may have turned values that others read */
            return;
        }
        if (!cvi_get_int(goes_on, 0)) {
            break;
        }
        out = call(m, body, state, n, &n_out);
        if (!out) {
            return;
        }
        if (n_out != n) {
            cvi_build_set(&m->t.b, cvi_fail(m->t.b.err, CVS_E_FORMAT,
                                            "the loop's body gives %d values, it takes %d", n_out, n));
            return;
        }
        state = out;
    }
    m->out = NULL;
    m->n_out = 0;
    m->cap_out = 0;
    for (int k = n - 1; k >= 0; k--) {
        cvi_tf_node_put(m, k, state[k]);
    }
}

/* SPDX-License-Identifier: MIT
 * state_assign.c - named tensors into the constants of a graph: by name, or, for an architecture that someone else named, in order.
 */
#include "formats/state.h"

/* What the text language calls a parameter, and PyTorch. */
static const struct {
    const char *ours, *theirs;
} suffixes[] = {{"scale", "weight"},
                {"shift", "bias"},
                {"mean", "running_mean"},
                {"variance", "running_var"},
                {"slope", "weight"}};

static cvi_state_item *item_of(const cvs_tensor *t) {
    return t ? (cvi_state_item *)(uintptr_t)((const char *)t - offsetof(cvi_state_item, t)) : NULL;
}

static cvi_state_item *find(const cvi_state *s, const char *name) {
    const char *dot = strrchr(name, '.');
    cvi_state_item *item = item_of(cvi_state_find(s, "%s", name));
    for (int i = 0; dot && !item && i < CVI_COUNT(suffixes); i++) {
        if (strcmp(dot + 1, suffixes[i].ours) == 0) {
            item = item_of(cvi_state_find(s, "%.*s.%s", (int)(dot - name), name, suffixes[i].theirs));
        }
    }
    return item;
}

/* The same sizes; sizes of 1 at the ends do not matter ([C,1,1] is [C]). */
static bool same_shape(const cvs_tensor *a, const cvs_tensor *b) {
    int i = 0, k = 0;
    for (;;) {
        while (i < a->rank && a->dim[i] == 1) {
            i++;
        }
        while (k < b->rank && b->dim[k] == 1) {
            k++;
        }
        if (i == a->rank || k == b->rank) {
            return i == a->rank && k == b->rank;
        }
        if (a->dim[i++] != b->dim[k++]) {
            return false;
        }
    }
}

/* The constant keeps its shape and gets the item's numbers. */
static cvs_status give(cvs_model *m, cvi_value *v, cvi_state_item *item, cvs_error *err) {
    cvs_tensor *t = cvi_arena_alloc(m->arena, 1, sizeof *t);
    if (!t) {
        return cvi_no_memory(err, sizeof *t);
    }
    *t = item->t;
    t->owned = false;
    t->rank = v->constant->rank;
    memcpy(t->dim, v->constant->dim, sizeof t->dim);
    v->constant = t;
    item->used = true;
    return CVS_OK;
}

static bool fits(const cvi_value *v, const cvi_state_item *item) {
    return item && item->t.data && same_shape(v->constant, &item->t) && v->constant->dtype == item->t.dtype;
}

cvs_status cvi_state_assign_named(cvs_model *m, cvi_state *s, int *missing, int *left, cvs_error *err) {
    *missing = *left = 0;
    for (int i = 0; i < s->n; i++) {
        s->item[i].used = false;
    }
    for (int i = 0; i < m->graph->n_values; i++) {
        cvi_value *v = &m->graph->values[i];
        if (!v->constant) {
            continue;
        }
        cvi_state_item *item = find(s, v->name);
        if (fits(v, item)) {
            CVI_TRY(give(m, v, item, err));
        } else {
            *missing += !v->constant->data && cvs_tensor_count(v->constant) != 0;
        }
    }
    for (int i = 0; i < s->n; i++) {
        *left += !s->item[i].used && !cvi_state_is_counter(&s->item[i]);
    }
    m->has_weights = *missing == 0;
    return CVS_OK;
}

/* ---- in order ---------------------------------------------------------------------------------------------- */

static cvs_status differ(const cvi_value *v, const cvi_state_item *item, cvs_error *err) {
    char want[120], have[120];
    cvs_status s =
        cvi_fail(err, CVS_E_SHAPE,
                 "the weights do not fit the architecture: \"%.80s\" has shape %s, \"%.80s\" asks for %s",
                 item->name, cvs_shape_text(item->t.rank, item->t.dim, have, sizeof have), v->name,
                 cvs_shape_text(v->constant->rank, v->constant->dim, want, sizeof want));
    return cvi_at_attr(err, s, item->name);
}

/* Constants without numbers, in the order in which the nodes read them, and tensors left over, side by side. */
static cvs_status assign_in_order(cvs_model *m, cvi_state *s, int missing, int left, cvs_error *err) {
    int next = 0;
    if (missing != left || !s->ordered) {
        return cvi_fail(err, CVS_E_FORMAT,
                        "the file's names do not fit the architecture's: %d weights are missing, %d tensors "
                        "are left over",
                        missing, left);
    }
    for (int i = 0; i < m->graph->n_nodes; i++) {
        const cvi_node *node = &m->graph->nodes[i];
        for (int k = 0; k < node->n_in; k++) {
            cvi_value *v = node->in[k] >= 0 ? &m->graph->values[node->in[k]] : NULL;
            if (!v || !v->constant || v->constant->data || cvs_tensor_count(v->constant) == 0) {
                continue;
            }
            while (next < s->n && (s->item[next].used || cvi_state_is_counter(&s->item[next]))) {
                next++;
            }
            if (next == s->n || !fits(v, &s->item[next])) {
                return next == s->n ? cvi_fail(err, CVS_E_INTERNAL, "no tensor is left")
                                    : differ(v, &s->item[next], err);
            }
            CVI_TRY(give(m, v, &s->item[next], err));
        }
    }
    m->has_weights = true;
    return CVS_OK;
}

cvs_status cvi_state_assign(cvs_model *m, cvi_state *s, cvs_error *err) {
    int missing = 0, left = 0;
    CVI_TRY(cvi_state_assign_named(m, s, &missing, &left, err));
    if (missing > 0) {
        CVI_TRY(assign_in_order(m, s, missing, left, err));
        return cvi_model_note(m, "weights were matched to layers in order: their names differ")
                   ? CVS_OK
                   : cvi_no_memory(err, 0);
    }
    if (left > 0 && !cvi_model_note(m, "%d tensors of the file belong to no layer", left)) {
        return cvi_no_memory(err, 0);
    }
    return CVS_OK;
}

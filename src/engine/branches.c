/* SPDX-License-Identifier: MIT
 * branches.c - concatenations that cost nothing. Where not every value must have memory of its own, a node whose operator joins its
 * inputs along the channels (CVI_OP_JOINS) need not copy: each branch writes its result straight into its slice of the joined
 * value, pixels a whole row of that value apart (cvi_epilogue.pitch). All branches of a node do so or none. Only a whole pass
 * does it. A branch that somebody looks at afterwards is cut out of the joined value where that is kept, else computed again.
 */
#include "engine/plan.h"

#include "kernels/kernels.h"

typedef struct counts {
    int *readers; /* per value */
} counts;

static bool count_reader(void *context, int v) {
    ((counts *)context)->readers[v]++;
    return false;
}

/* The step at which value v is made, when it can be written with a pitch of its own; else -1. */
static int writer(const cvi_exec *x, int v) {
    int n = x->g->values[v].producer;
    if (n < 0) {
        return -1;
    }
    const cvi_step *step = &x->steps[n];
    const cvi_node *node = &x->g->nodes[n];
    const cvi_group *group = step->group >= 0 ? &x->groups[step->group] : NULL;
    if (!node->def || step->kind != CVI_STEP_RUN || !step->fast || step->late || step->repack ||
        (group && (group->out != v || group->add >= 0))) {
        return -1;
    }
    for (int k = 1; k < node->n_out; k++) {
        if (node->out[k] >= 0) {
            return -1;
        }
    }
    const cvi_op *head = x->g->nodes[group ? group->node[0] : n].def;
    return (head->epilogue & CVI_EPI_PITCH) && head->fast_layout == CVS_NHWC8 ? n : -1;
}

static bool is_picture(const cvi_slot *slot) {
    return slot->known && !slot->late && !slot->constant && slot->shape.rank == 4 &&
           slot->shape.dtype == CVS_F32;
}

/* Whether every branch of node n can write into the joined value; `first`: the earliest of the steps that do. */
static bool joins(const cvi_exec *x, int n, const counts *c, int *first) {
    const cvi_node *node = &x->g->nodes[n];
    const cvi_step *step = &x->steps[n];
    if (!node->def || !(node->def->flags & CVI_OP_JOINS) || step->kind != CVI_STEP_RUN || !step->fast ||
        step->late || step->group >= 0 || node->n_in < 2 || !is_picture(&x->slots[node->out[0]])) {
        return false;
    }
    int64_t channel = 0;
    *first = n;
    for (int k = 0; k < node->n_in; k++) {
        int v = node->in[k], from = v >= 0 && is_picture(&x->slots[v]) ? writer(x, v) : -1;
        if (from < 0 || x->slots[v].keep || x->slots[v].inner || c->readers[v] != 1 || channel % 8 != 0 ||
            x->steps[from].part != step->part) {
            return false;
        }
        channel += x->slots[v].shape.dim[1];
        *first = CVI_MIN(*first, from);
    }
    return true;
}

cvs_status cvi_branches_find(cvi_exec *x, cvs_error *err) {
    const cvi_graph *g = x->g;
    if (x->options.keep == CVI_KEEP_ALL || x->options.plain || x->options.training) {
        return CVS_OK;
    }
    size_t values = (size_t)CVI_MAX(g->n_values, 1);
    counts c = {cvi_calloc(values, sizeof *c.readers)};
    if (!c.readers) {
        return cvi_no_memory(err, values * sizeof *c.readers);
    }
    for (int n = 0; n < g->n_nodes; n++) {
        cvi_plan_reads(x, n, count_reader, &c);
    }
    for (int n = 0; n < g->n_nodes; n++) {
        const cvi_node *node = &g->nodes[n];
        int first;
        if (!joins(x, n, &c, &first)) {
            continue;
        }
        x->steps[n].joined = true;
        x->steps[n].birth = first;
        int64_t channel = 0;
        for (int k = 0; k < node->n_in; k++) {
            cvi_slot *slot = &x->slots[node->in[k]];
            slot->into = node->out[0];
            slot->channel = channel;
            channel += slot->shape.dim[1];
        }
    }
    cvi_free(c.readers);
    return CVS_OK;
}

bool cvi_branch_joined(const cvi_exec *x, int v) {
    return x->slots[v].into >= 0 && x->passing && x->last == -1;
}

bool cvi_branches_joined(const cvi_exec *x, int n) {
    return x->steps[n].joined && x->passing && x->last == -1;
}

int64_t cvi_branch_pitch(const cvi_exec *x, int v) {
    return cvi_branch_joined(x, v) ? CVI_PITCH(x->slots[x->slots[v].into].shape.dim[1]) : 0;
}

/* Memory of value v as a slice of the joined value: t is the whole of v and gets its pointer. */
cvs_status cvi_branch_memory(cvi_exec *x, int v, cvs_tensor *t, cvs_error *err) {
    const cvi_slot *slot = &x->slots[v];
    cvs_tensor whole = x->slots[slot->into].shape;
    int64_t bytes = 0;
    whole.layout = CVS_NHWC8;
    (void)cvi_form_bytes(&whole, CVS_NHWC8, &bytes);
    whole.bytes = (size_t)bytes;
    CVI_TRY(cvi_exec_memory(x, slot->into, CVS_NHWC8, &whole.data, err));
    cvi_part_narrow(x, slot->into, &whole);
    t->data = NULL;
    cvi_part_narrow(x, v, t);
    t->data = (float *)whole.data + slot->channel;
    return CVS_OK;
}

/* Value v into memory of its own, out of the joined value, if its numbers are there. */
cvs_status cvi_branch_cut(cvi_exec *x, int v, cvs_error *err) {
    cvi_slot *slot = &x->slots[v];
    const cvi_slot *whole = slot->into >= 0 ? &x->slots[slot->into] : NULL;
    if (!whole || !whole->holds || !whole->form[CVS_NHWC8].ready) {
        return CVS_OK;
    }
    const cvs_tensor *shape = &slot->shape;
    int64_t rows = shape->dim[0] * shape->dim[2] * shape->dim[3], count = shape->dim[1];
    void *data = NULL;
    CVI_TRY(cvi_exec_memory(x, v, CVS_NHWC8, &data, err));
    if (data) {
        cvi_copy_channels(x->options.pool, rows, count, whole->form[CVS_NHWC8].data,
                          CVI_PITCH(whole->shape.dim[1]), slot->channel, data, CVI_PITCH(count), 0);
        cvi_pad_channels(x->options.pool, rows, count, CVI_PITCH(count), data);
    }
    slot->form[CVS_NHWC8].data = data;
    slot->form[CVS_NHWC8].ready = true;
    return CVS_OK;
}

/* SPDX-License-Identifier: MIT
 * back_into.c - gradients into the caller's memory. Where nobody else uses the buffer in which a wanted gradient comes together, the
 * operators write the caller's memory instead of it; the others are copied or added after the pass.
 */
#include "engine/back.h"

/* What a look at every step says of one buffer. */
typedef struct uses {
    int wanted; /* how many wanted values end in it */
    bool other; /* read, copied, or begun from another buffer */
} uses;

static void look(const cvi_exec *x, const cvi_back_plan *p, uses *of) {
    for (int i = 0; i < p->steps.count; i++) {
        const cvi_back_step *step = &cvi_back_steps(p)[i];
        if (step->kind != CVI_BACK_FAST && step->kind != CVI_BACK_PLAIN) {
            const int touched[3] = {step->from, step->to, step->base};
            for (int k = 0; k < 3; k++) {
                if (touched[k] >= 0 && step->kind != CVI_BACK_CLEAR) {
                    of[touched[k]].other = true;
                }
            }
            continue;
        }
        const cvi_node *node = &x->g->nodes[step->node];
        const cvi_back_part *part = cvi_back_parts(p) + step->parts;
        for (int k = 0; k < node->n_out + node->n_in; k++) {
            bool mixes = k < node->n_out || (part[k].base >= 0 && part[k].base != part[k].buffer);
            if (part[k].buffer >= 0 && mixes) {
                of[part[k].buffer].other = true;
            }
            if (part[k].base >= 0 && mixes) {
                of[part[k].base].other = true;
            }
        }
    }
}

/* CLEAR and SEED leave their unused buffers as planning left them, which may be 0: only `to` counts there. */
cvs_status cvi_back_find_owners(const cvi_exec *x, cvi_back_plan *p, cvs_error *err) {
    if (p->owner) {
        return CVS_OK;
    }
    uses *of = cvi_calloc((size_t)p->buffers.count + 1, sizeof *of);
    p->owner = cvi_calloc((size_t)p->buffers.count + 1, sizeof *p->owner);
    if (!of || !p->owner) {
        cvi_free(of);
        return cvi_no_memory(err, (size_t)p->buffers.count * sizeof *of);
    }
    const int *wanted = p->key + p->n_seeds;
    look(x, p, of);
    for (int i = 0; i < p->n_wanted; i++) {
        of[p->buffer[wanted[i]]].wanted++;
    }
    for (int b = 0; b < p->buffers.count; b++) {
        p->owner[b] = -1;
    }
    for (int i = 0; i < p->n_wanted; i++) {
        int b = p->buffer[wanted[i]];
        if (of[b].wanted == 1 && !of[b].other && p->form[wanted[i]] == CVS_PLAIN) {
            p->owner[b] = i;
        }
    }
    cvi_free(of);
    return CVS_OK;
}

static void lay(const cvs_tensor *t, void *into, bool add) {
    int64_t n = cvs_tensor_count(t);
    if (!add) {
        memcpy(into, t->data, t->bytes);
    } else if (t->dtype == CVS_F64) {
        for (int64_t i = 0; i < n; i++) {
            ((double *)into)[i] += ((const double *)t->data)[i];
        }
    } else {
        for (int64_t i = 0; i < n; i++) {
            ((float *)into)[i] += ((const float *)t->data)[i];
        }
    }
}

/* After the pass: those that the operators did not write where they belong. */
cvs_status cvi_back_hand_over(cvi_exec *x, cvi_back_plan *p, void *const *into, bool add, cvs_error *err) {
    const int *wanted = p->key + p->n_seeds;
    for (int i = 0; i < p->n_wanted; i++) {
        cvs_tensor t;
        if (p->owner[p->buffer[wanted[i]]] == i) {
            continue;
        }
        CVI_TRY(cvi_exec_gradient(x, wanted[i], &t, err));
        if (t.bytes > 0) {
            lay(&t, into[i], add);
        }
    }
    return CVS_OK;
}

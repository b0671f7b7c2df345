/* SPDX-License-Identifier: MIT
 * field.c - receptive fields through any graph: a window widens what its input sees, branches that meet see the union
 * (Araujo, Norris, Sim: Computing Receptive Fields of Convolutional Neural Networks, Distill 2019).
 */
#include <math.h>

#include "engine/field.h"
#include "engine/plan.h"

static void merge(cvi_field *into, const cvi_field *f) {
    if (!f->known && !f->carried) {
        return;
    }
    if (!into->known && !into->carried) {
        *into = *f;
        return;
    }
    into->known = into->known || f->known;
    into->carried = !into->known;
    for (int a = 0; a < 2; a++) {
        into->low[a] = fmin(into->low[a], f->low[a]);
        into->high[a] = fmax(into->high[a], f->high[a]);
        into->jump[a] =
            fmin(into->jump[a], f->jump[a]); /* a gate that saw all is spread over the positions */
    }
}

/* Everything: at least the whole picture, centred on it. */
static void see_all(cvi_field *f, const int64_t side[2]) {
    for (int a = 0; a < 2; a++) {
        double size = fmax(f->high[a] - f->low[a] + 1, (double)side[a]), centre = ((double)side[a] - 1) / 2;
        f->low[a] = centre - (size - 1) / 2;
        f->high[a] = centre + (size - 1) / 2;
        f->jump[a] = (double)side[a];
    }
}

static void step_field(cvi_field *f, const cvi_field_step *s, const int64_t side[2]) {
    for (int a = 0; a < 2; a++) {
        if (s->kind == CVI_FIELD_WINDOW) {
            double reach = (double)(s->kernel[a] - 1) * (double)CVI_MAX(s->dilation[a], 1);
            double pad = (double)s->pad_begin[a];
            f->low[a] -= pad * f->jump[a];
            f->high[a] += (reach - pad) * f->jump[a];
            f->jump[a] *= (double)CVI_MAX(s->stride[a], 1);
        } else if (s->kind == CVI_FIELD_SCALE && s->scale[a] > 0) {
            double centre = 0.5 / s->scale[a] - 0.5, half = (double)(CVI_MAX(s->kernel[a], 1) - 1) / 2;
            f->low[a] += (centre - half) * f->jump[a];
            f->high[a] += (centre + half) * f->jump[a];
            f->jump[a] /= s->scale[a];
        }
    }
    if (s->kind == CVI_FIELD_ALL) {
        see_all(f, side);
        f->known = true;
    }
}

/* Rows and columns of the first input that has any. */
static bool picture_side(const cvi_exec *x, int64_t side[2]) {
    for (int i = 0; i < x->g->n_inputs; i++) {
        const cvs_tensor *t = &x->slots[x->g->inputs[i]].shape;
        if (t->dtype != CVS_NONE && (t->rank == 3 || t->rank == 4)) {
            side[0] = t->rank == 4 ? t->dim[2] : 1;
            side[1] = t->dim[t->rank - 1];
            return true;
        }
    }
    return false;
}

void cvi_fields(cvi_exec *x, cvi_field *field) {
    const cvi_graph *g = x->g;
    int64_t side[2] = {0, 0};
    memset(field, 0, sizeof *field * (size_t)g->n_values);
    if (!picture_side(x, side)) {
        return;
    }
    for (int i = 0; i < g->n_inputs; i++) {
        const cvs_tensor *t = &x->slots[g->inputs[i]].shape;
        if (t->dtype != CVS_NONE && (t->rank == 3 || t->rank == 4)) {
            field[g->inputs[i]] = (cvi_field){.known = true, .jump = {1, 1}};
        }
    }
    for (int n = 0; n < g->n_nodes; n++) {
        const cvi_node *node = &g->nodes[n];
        cvi_field f = {0};
        cvi_opctx ctx;
        for (int k = 0; k < node->n_in; k++) {
            if (node->in[k] >= 0) {
                merge(&f, &field[node->in[k]]);
            }
        }
        if ((!f.known && !f.carried) || !node->def || cvi_exec_opctx(x, n, &ctx, NULL) != CVS_OK) {
            continue;
        }
        cvi_field_step s = {.kind = CVI_FIELD_SAME};
        if (node->def->field) {
            node->def->field(&ctx, &s);
        }
        step_field(&f, &s, side);
        if (s.kind == CVI_FIELD_NONE) {
            f.known = false;
            f.carried = (node->def->flags & CVI_OP_RESHAPE) != 0;
        }
        for (int k = 0; k < node->n_out; k++) {
            if (node->out[k] >= 0) {
                field[node->out[k]] = f;
            }
        }
    }
}

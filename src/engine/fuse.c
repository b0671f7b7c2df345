/* SPDX-License-Identifier: MIT
 * fuse.c - finds nodes that can run as one call (a fused group, plan.h) and makes the epilogue that the head's operator
 * gets. What a node can be in a group its descriptor says; no operator is named here.
 */
#include "engine/plan.h"

static bool count_reader(void *context, int v) {
    cvi_readers *r = context;
    r->count[v]++;
    r->reader[v] = r->node;
    return false;
}

cvs_status cvi_readers_find(const cvi_exec *x, cvi_readers *out, cvs_error *err) {
    size_t values = (size_t)CVI_MAX(x->g->n_values, 1);
    *out = (cvi_readers){.count = cvi_calloc(values, sizeof *out->count),
                         .reader = cvi_calloc(values, sizeof *out->reader)};
    if (!out->count || !out->reader) {
        return cvi_no_memory(err, values * sizeof *out->count);
    }
    for (int n = 0; n < x->g->n_nodes; n++) {
        out->node = n;
        cvi_plan_reads(x, n, count_reader, out);
    }
    return CVS_OK;
}

void cvi_readers_free(cvi_readers *r) {
    cvi_free(r->count);
    cvi_free(r->reader);
}

/* The first output of a node that has no other, else -1. */
static int only_output(const cvi_node *node) {
    for (int k = 1; k < node->n_out; k++) {
        if (node->out[k] >= 0) {
            return -1;
        }
    }
    return node->n_out > 0 ? node->out[0] : -1;
}

static bool runs_fast(const cvi_exec *x, int n) {
    const cvi_step *step = &x->steps[n];
    return x->g->nodes[n].def && step->kind == CVI_STEP_RUN && step->fast && !step->late && !step->repack &&
           step->group < 0;
}

/* Whether the form in which `head` writes its output is the one in which node n reads its input k. */
static bool same_form(const cvi_exec *x, int head, int v, int n, int k) {
    const cvs_tensor *shape = &x->slots[v].shape;
    bool nhwc8 = x->g->nodes[head].def->fast_layout == CVS_NHWC8 && shape->rank == 4;
    return shape->dtype == CVS_F32 && cvi_step_form(x, n, k) == (nhwc8 ? CVS_NHWC8 : CVS_PLAIN);
}

static bool same_shape(const cvs_tensor *a, const cvs_tensor *b) {
    return a->dtype == b->dtype && a->rank == b->rank &&
           memcmp(a->dim, b->dim, sizeof(int64_t) * (size_t)a->rank) == 0;
}

/* What the part `n` would be behind `v`, the group's value so far: adds it to the group and answers true if it fits. */
static bool take_part(cvi_exec *x, cvi_group *group, int v, int n) {
    const cvi_node *node = &x->g->nodes[n];
    const cvi_op *op = node->def;
    unsigned mask = x->g->nodes[group->node[0]].def->epilogue;
    float lo, hi;
    const cvi_opctx *ctx = &x->call.ctx; /* filled by the caller */
    bool open = group->add < 0 && group->limit < 0;
    if ((mask & CVI_EPI_AFFINE) && open && node->in[0] == v && op->affine && op->affine(ctx, NULL, NULL)) {
        group->scales = true;
    } else if ((mask & CVI_EPI_ADD) && open && (op->flags & CVI_OP_ADDS) && node->n_in == 2) {
        int k = node->in[0] == v ? 1 : 0, other = node->in[k];
        if (other < 0 || other == v || node->in[1 - k] != v ||
            !same_shape(&x->slots[other].shape, &x->slots[v].shape) ||
            !same_form(x, group->node[0], other, n, k)) {
            return false;
        }
        group->add = n;
        group->residual = other;
    } else if ((mask & CVI_EPI_CLAMP) && group->limit < 0 && node->in[0] == v && op->clamp &&
               op->clamp(ctx, &lo, &hi)) {
        group->limit = n;
    } else {
        return false;
    }
    group->node[group->n++] = n;
    return true;
}

/* Follows the chain behind node n as far as it fits. */
static cvs_status grow(cvi_exec *x, const cvi_readers *r, cvi_group *group, cvs_error *err) {
    int v = only_output(&x->g->nodes[group->node[0]]);
    while (v >= 0 && group->n < CVI_GROUP_MOST && r->count[v] == 1 && !x->slots[v].keep &&
           !x->slots[v].constant) {
        int n = r->reader[v];
        int k = 0;
        const cvi_node *node = &x->g->nodes[n];
        while (k < node->n_in && node->in[k] != v) {
            k++;
        }
        int out = only_output(node);
        if (k == node->n_in || out < 0 || !runs_fast(x, n) || !same_form(x, group->node[0], v, n, k) ||
            !same_shape(&x->slots[v].shape, &x->slots[out].shape)) {
            break;
        }
        CVI_TRY(cvi_call_fill(x, n, &x->call, CVI_IN_CONSTANTS, err));
        bool fits = take_part(x, group, v, n);
        cvi_arena_reset(x->scratch);
        if (!fits) {
            break;
        }
        v = out;
    }
    group->out = v;
    return CVS_OK;
}

static void adopt(cvi_exec *x, const cvi_group *group) {
    for (int i = 0; i < group->n; i++) {
        x->steps[group->node[i]].group = x->n_groups;
        if (i + 1 < group->n) {
            x->slots[only_output(&x->g->nodes[group->node[i]])].inner = true;
        }
    }
    x->groups[x->n_groups++] = *group;
}

static cvs_status find(cvi_exec *x, const cvi_readers *r, cvs_error *err) {
    for (int n = 0; n < x->g->n_nodes; n++) {
        if (!runs_fast(x, n) || x->g->nodes[n].def->epilogue == 0) {
            continue;
        }
        cvi_group group = {.n = 1, .node = {n}, .add = -1, .limit = -1, .residual = -1};
        CVI_TRY(grow(x, r, &group, err));
        if (group.n > 1) {
            adopt(x, &group);
        }
    }
    return CVS_OK;
}

cvs_status cvi_fuse_find(cvi_exec *x, cvs_error *err) {
    const cvi_graph *g = x->g;
    if (x->options.keep == CVI_KEEP_ALL || x->options.plain) {
        return CVS_OK;
    }
    size_t nodes = (size_t)CVI_MAX(g->n_nodes, 1);
    cvi_readers r;
    cvs_status s = cvi_readers_find(x, &r, err);
    x->groups = cvi_calloc(nodes, sizeof *x->groups);
    if (s == CVS_OK && !x->groups) {
        s = cvi_no_memory(err, nodes * sizeof *x->groups);
    }
    if (s == CVS_OK) {
        s = find(x, &r, err);
    }
    cvi_readers_free(&r);
    return s;
}

/* ---- the epilogue ----------------------------------------------------------------------------------------- */

/* y = (x*s1 + t1)*s2 + t2: scale and shift of the parts together, each computed from its node's constants. */
static cvs_status multiply_factors(cvi_exec *x, cvi_group *group, int64_t channels, cvs_error *err) {
    float *scale = group->factors, *shift = scale + channels;
    float *one = cvi_malloc((size_t)channels * 2 * sizeof *one);
    if (!one) {
        return cvi_no_memory(err, (size_t)channels * 2 * sizeof *one);
    }
    cvs_status s = CVS_OK;
    for (int64_t c = 0; c < channels; c++) {
        scale[c] = 1;
        shift[c] = 0;
    }
    for (int i = 1; i < group->n && s == CVS_OK; i++) {
        int n = group->node[i];
        if (n == group->add || n == group->limit) {
            break;
        }
        s = cvi_call_fill(x, n, &x->call, CVI_IN_PARAMETERS, err);
        if (s == CVS_OK && !x->g->nodes[n].def->affine(&x->call.ctx, one, one + channels)) {
            s = cvi_fail(err, CVS_E_INTERNAL, "a node of a fused group changed its kind");
        }
        for (int64_t c = 0; c < channels && s == CVS_OK; c++) {
            shift[c] = shift[c] * one[c] + one[channels + c];
            scale[c] *= one[c];
        }
    }
    cvi_free(one);
    return s;
}

cvs_status cvi_fuse_epilogue(cvi_exec *x, cvi_group *group, cvs_error *err) {
    const cvs_tensor *y = &x->slots[group->out].shape;
    cvi_epilogue *e = &group->epilogue;
    *e = (cvi_epilogue){0};
    if (group->scales) {
        int64_t channels = y->dim[1];
        if (!group->factors) {
            group->factors = cvi_malloc((size_t)channels * 2 * sizeof(float));
        }
        if (!group->factors) {
            return cvi_no_memory(err, (size_t)channels * 2 * sizeof(float));
        }
        CVI_TRY(multiply_factors(x, group, channels, err));
        e->scale = group->factors;
        e->shift = group->factors + channels;
    }
    if (group->limit >= 0) {
        CVI_TRY(cvi_call_fill(x, group->limit, &x->call, CVI_IN_PARAMETERS, err));
        e->clamp = x->g->nodes[group->limit].def->clamp(&x->call.ctx, &e->lo, &e->hi);
    }
    return CVS_OK;
}

void cvi_fuse_free(cvi_exec *x) {
    for (int i = 0; i < x->n_groups; i++) {
        cvi_free(x->groups[i].factors);
    }
    cvi_free(x->groups);
}

/* SPDX-License-Identifier: MIT
 * fullgrad.c - FullGrad (Srinivas and Fleuret 2019): the picture times its gradient, and every bias times its gradient, as maps over
 * the picture. By default as pytorch-grad-cam adds them up: absolute values, every channel scaled to 0..1 and enlarged bilinearly.
 * With signs, each part is spread over the pixels that it lies on and keeps its sum, so that a network of linear pieces has all of
 * its target in the map and in the biases that have no place.
 */
#include <math.h>

#include "explain/method.h"

typedef struct full {
    cvi_question *q;
    cvs_explanation *out;
    double *map;      /* [h*w] */
    double elsewhere; /* biases behind the last feature maps */
    bool *depends;    /* values: on the input and above the target */
    int *values, *nodes, n;
    int voter; /* which of them the votes are about; -1: none */
    int64_t h, w;
} full;

static const cvs_tensor *number(const cvi_graph *g, const cvi_node *n, int k) {
    const cvs_tensor *t = k < n->n_in && n->in[k] >= 0 ? g->values[n->in[k]].constant : NULL;
    return t && t->data ? t : NULL;
}

/* Input k of the node's operator plays this part. */
static bool has_role(const cvi_node *n, int k, cvi_role role) {
    return n->def && k < n->def->n_inputs && n->def->inputs[k].role == role;
}

static bool is_norm(const cvi_node *n) {
    return has_role(n, 3, CVI_MEAN) && has_role(n, 4, CVI_VARIANCE);
}

static bool per_channel(const cvi_node *n) {
    return is_norm(n) || (n->def && (n->def->flags & CVI_OP_CONV) && has_role(n, 2, CVI_BIAS));
}

static bool has_flag(const cvi_node *n, unsigned flag) {
    return n->def && (n->def->flags & flag);
}

/* The tensor that a node adds to what depends on the picture; NULL: none. */
static const cvs_tensor *bias_of(const cvi_graph *g, const cvi_node *n) {
    if (is_norm(n)) {
        return number(g, n, 1) && number(g, n, 3) && number(g, n, 4) ? number(g, n, 2) : NULL;
    }
    if (per_channel(n) || has_role(n, 2, CVI_BIAS)) {
        return number(g, n, 2);
    }
    if (has_flag(n, CVI_OP_ADDS | CVI_OP_SUBTRACTS) && n->n_in == 2) {
        return number(g, n, 1) ? number(g, n, 1) : number(g, n, 0);
    }
    return NULL;
}

/* What is added at element i of an output of shape t. */
static double bias_at(const cvi_graph *g, const cvi_node *n, const cvs_tensor *b, const cvs_tensor *t,
                      int64_t i) {
    if (per_channel(n)) {
        int64_t area = 1;
        for (int d = 2; d < t->rank; d++) {
            area *= t->dim[d];
        }
        int64_t c = i / area % t->dim[1];
        if (!is_norm(n)) {
            return cvi_get(b, c);
        }
        double spread = sqrt(cvi_get(number(g, n, 4), c) + cvi_node_float(n, "epsilon", 1e-5));
        return cvi_get(b, c) - cvi_get(number(g, n, 1), c) * cvi_get(number(g, n, 3), c) / spread;
    }
    int64_t at = 0, step = 1;
    for (int d = 0; d < t->rank; d++) { /* from the last dimension on; a missing or single one is repeated */
        int64_t side = t->dim[t->rank - 1 - d], own = d < b->rank ? b->dim[b->rank - 1 - d] : 1;
        at += own > 1 ? i % side * step : 0;
        step *= own;
        i /= side;
    }
    double v = cvi_get(b, at);
    v *= has_role(n, 2, CVI_BIAS) ? cvi_node_float(n, "beta", 1.0) : 1.0; /* of a dense layer */
    return has_flag(n, CVI_OP_SUBTRACTS) && b == number(g, n, 1) ? -v : v;
}

/* ---- laying a part over the picture ------------------------------------------------------------------------ */

static double highest(const double *v, int64_t n, double *low) {
    double high = -HUGE_VAL;
    *low = HUGE_VAL;
    for (int64_t i = 0; i < n; i++) {
        high = fmax(high, v[i]);
        *low = fmin(*low, v[i]);
    }
    return high;
}

/* Absolute values scaled to 0..1, added to sum [h,w]. */
static void add_scaled(double *part, double *sum, int64_t area) {
    double low;
    for (int64_t i = 0; i < area; i++) {
        part[i] = fabs(part[i]);
    }
    double high = highest(part, area, &low);
    for (int64_t i = 0; i < area; i++) {
        sum[i] += (part[i] - low) / (high - low + 1e-7);
    }
}

/* The sum of all channels enlarged, which is the sum of the enlarged ones. */
static void enlarge(full *f, const double *sum, float *buffer, int64_t h, int64_t w) {
    for (int64_t i = 0; i < h * w; i++) {
        buffer[i] = (float)sum[i];
    }
    for (int64_t i = 0; i < f->h * f->w; i++) {
        f->map[i] += cvi_map_bilinear(buffer, h, w, ((double)(i / f->w) + 0.5) / (double)f->h,
                                      ((double)(i % f->w) + 0.5) / (double)f->w);
    }
}

/* Every cell shared out over the pixels of its rectangle by the area that they have in common. */
static void lay_spread(full *f, const double *part, int64_t h, int64_t w) {
    double per_y = (double)f->h / (double)h, per_x = (double)f->w / (double)w;
    for (int64_t i = 0; i < h * w; i++) {
        double top = (double)(i / w) * per_y, left = (double)(i % w) * per_x;
        for (int64_t y = (int64_t)top; y < f->h && (double)y < top + per_y; y++) {
            double tall = fmin((double)y + 1.0, top + per_y) - fmax((double)y, top);
            for (int64_t x = (int64_t)left; x < f->w && (double)x < left + per_x; x++) {
                double wide = fmin((double)x + 1.0, left + per_x) - fmax((double)x, left);
                f->map[y * f->w + x] += part[i] * (tall / per_y) * (wide / per_x);
            }
        }
    }
}

/* One value's products [C,h,w], channel by channel; those without a place are summed. */
static cvs_status lay(full *f, const cvs_tensor *shape, double *products) {
    int64_t count = cvs_tensor_count(shape);
    if (shape->rank != 4 || shape->dim[2] * shape->dim[3] <= 1) {
        for (int64_t i = 0; i < count; i++) {
            f->elsewhere += products[i];
        }
        return CVS_OK;
    }
    int64_t h = shape->dim[2], w = shape->dim[3];
    double *sum = cvi_calloc((size_t)(h * w), sizeof *sum);
    float *buffer = cvi_calloc((size_t)(h * w), sizeof *buffer);
    bool room = sum && buffer;
    for (int64_t k = 0; k < count && room; k += h * w) {
        if (!f->q->options->signed_map) {
            add_scaled(products + k, sum, h * w);
            continue;
        }
        for (int64_t i = 0; i < h * w; i++) {
            sum[i] += products[k + i];
        }
    }
    if (room && f->q->options->signed_map) {
        lay_spread(f, sum, h, w);
    } else if (room) {
        enlarge(f, sum, buffer, h, w);
    }
    cvi_free(sum);
    cvi_free(buffer);
    return room ? CVS_OK : cvi_no_memory(f->q->err, (size_t)(h * w) * sizeof *sum);
}

/* ---- which biases there are -------------------------------------------------------------------------------- */

/* Nodes between the picture and the target, in order: those that add a bias. */
static void collect(full *f) {
    const cvi_graph *g = f->q->model->graph;
    bool *above = f->depends + g->n_values;
    f->depends[f->q->input_value] = true;
    above[f->q->target_value] = true;
    for (int i = g->n_nodes - 1; i >= 0; i--) {
        bool needed = false;
        for (int k = 0; k < g->nodes[i].n_out; k++) {
            needed = needed || (g->nodes[i].out[k] >= 0 && above[g->nodes[i].out[k]]);
        }
        for (int k = 0; k < g->nodes[i].n_in && needed; k++) {
            if (g->nodes[i].in[k] >= 0) {
                above[g->nodes[i].in[k]] = true;
            }
        }
    }
    for (int i = 0; i < g->n_nodes; i++) {
        const cvi_node *n = &g->nodes[i];
        bool from_picture = false;
        for (int k = 0; k < n->n_in; k++) {
            from_picture = from_picture || (n->in[k] >= 0 && f->depends[n->in[k]]);
        }
        for (int k = 0; k < n->n_out && from_picture; k++) {
            if (n->out[k] >= 0) {
                f->depends[n->out[k]] = true;
            }
        }
        if (from_picture && n->n_out > 0 && n->out[0] >= 0 && above[n->out[0]] && bias_of(g, n)) {
            f->values[f->n] = n->out[0];
            f->nodes[f->n++] = i;
        }
    }
}

/* Whose maps vote: the last ones that add a bias and have places, up to the layer asked for. */
static cvs_status choose_voter(full *f) {
    cvi_question *q = f->q;
    const cvi_graph *g = q->model->graph;
    int asked = -1, end = g->n_nodes;
    f->voter = -1;
    if (q->options->layer && strcmp(q->options->layer, "last-conv") != 0) {
        CVI_TRY(cvi_ops_find_layer(g, q->options->layer, &asked, q->err));
        end = g->values[asked].producer;
    }
    for (int k = 1; k < f->n && f->nodes[k] <= end; k++) {
        cvs_tensor t;
        CVI_TRY(cvi_question_value(q, f->values[k], &t));
        f->voter = t.rank == 4 && t.dim[2] * t.dim[3] > 1 ? k : f->voter;
    }
    if (f->voter >= 0) {
        cvi_copy_text(f->out->layer, sizeof f->out->layer, g->values[f->values[f->voter]].name);
    }
    return CVS_OK;
}

/* What every feature map's bias gives to the target: bias times gradient, all places together. */
static cvs_status vote(full *f, const cvs_tensor *shape, const double *products) {
    int64_t channels = shape->dim[1], area = shape->dim[2] * shape->dim[3];
    double *value = cvi_calloc((size_t)CVI_MAX(channels, 1), sizeof *value);
    if (!value) {
        return cvi_no_memory(f->q->err, (size_t)channels * sizeof *value);
    }
    for (int64_t i = 0; i < channels * area; i++) {
        value[i / area] += products[i];
    }
    cvs_status s = cvi_cam_votes(f->q, value, NULL, channels, f->out);
    cvi_free(value);
    return s;
}

/* This sample's part of a value and its gradient; false where the value has no gradient. */
static cvs_status products(full *f, int k) {
    const cvi_graph *g = f->q->model->graph;
    cvi_question *q = f->q;
    cvs_tensor slope, value;
    CVI_TRY(cvi_exec_gradient(q->exec, f->values[k], &slope, q->err));
    CVI_TRY(cvi_question_value(q, f->values[k], &value));
    if (f->nodes[k] < 0) {
        cvi_as_picture(&value);
    }
    int64_t count = cvs_tensor_count(&value), all = cvs_tensor_count(&slope);
    int64_t first = all > count ? CVI_MIN(q->sample, all / count - 1) * count : 0;
    double *part = cvi_calloc((size_t)CVI_MAX(count, 1), sizeof *part);
    if (!part) {
        return cvi_no_memory(q->err, (size_t)count * sizeof *part);
    }
    for (int64_t i = 0; i < count; i++) {
        const cvi_node *n = f->nodes[k] >= 0 ? &g->nodes[f->nodes[k]] : NULL;
        double b = n ? bias_at(g, n, bias_of(g, n), &value, i) : cvi_get(&value, i);
        part[i] = b * cvi_get(&slope, first + i);
    }
    cvs_status s = k == f->voter ? vote(f, &value, part) : CVS_OK;
    s = s == CVS_OK ? lay(f, &value, part) : s;
    cvi_free(part);
    return s;
}

static cvs_status ask(full *f) {
    cvi_question *q = f->q;
    const cvs_explain_options *o = q->options;
    int64_t dim[4] = {1, 1, f->h, f->w};
    double all = 0.0;
    f->nodes[0] = -1;
    f->values[0] = q->input_value;
    f->n = 1;
    collect(f);
    CVI_TRY(choose_voter(f));
    CVI_TRY(cvi_exec_backward(q->exec, CVI_GRADIENT, &q->target_value, &q->seed, 1, f->values, f->n, q->err));
    for (int k = 0; k < f->n; k++) {
        CVI_TRY(products(f, k));
    }
    CVI_TRY(cvs_tensor_new(&f->out->map, CVS_F32, 4, dim, q->err));
    for (int64_t i = 0; i < f->h * f->w; i++) {
        ((float *)f->out->map.data)[i] = (float)f->map[i];
        all += f->map[i];
    }
    if (o->signed_map) {
        snprintf(q->settings, sizeof q->settings,
                 cvi_tr(o->lang, "%d values with a bias; biases without a place give %.4g"), f->n - 1,
                 f->elsewhere);
        cvi_complete(f->out, all + f->elsewhere, f->out->target_value);
    } else {
        snprintf(q->settings, sizeof q->settings,
                 cvi_tr(o->lang, "%d values with a bias, every channel's absolute values scaled to 0..1"),
                 f->n - 1);
    }
    return CVS_OK;
}

static cvs_status run(cvi_question *q, cvs_explanation *out) {
    const cvi_graph *g = q->model->graph;
    full f = {.q = q, .out = out};
    cvs_tensor x;
    CVI_TRY(cvi_question_value(q, q->input_value, &x));
    if (x.dtype != CVS_F32) {
        return cvi_whole_numbers(x.dtype, q->err);
    }
    cvi_as_picture(&x);
    if (x.rank != 4) {
        return cvi_no_picture(q->err);
    }
    f.h = x.dim[2];
    f.w = x.dim[3];
    f.map = cvi_calloc((size_t)(f.h * f.w), sizeof *f.map);
    f.depends = cvi_calloc((size_t)g->n_values, 2 * sizeof *f.depends);
    f.values = cvi_calloc((size_t)g->n_nodes + 1, 2 * sizeof *f.values);
    cvs_status s = CVS_OK;
    if (!f.map || !f.depends || !f.values) {
        s = cvi_no_memory(q->err, (size_t)(f.h * f.w) * sizeof *f.map);
    } else {
        f.nodes = f.values + g->n_nodes + 1;
        s = ask(&f);
    }
    cvi_free(f.map);
    cvi_free(f.depends);
    cvi_free(f.values);
    return s;
}

const cvi_method cvi_method_fullgrad = {
    .name = "fullgrad",
    .title_en = "FullGrad",
    .title_zh = "FullGrad 全梯度",
    .sentence_en =
        "The picture times its gradient and every bias times its gradient, added up over the picture.",
    .sentence_zh = "图片乘以其梯度，加上每个偏置乘以其梯度，在图片上相加。",
    .caveat_en = "Without signs every channel is scaled before adding, so sizes say nothing; with signs the "
                 "parts add up, for networks of linear pieces only.",
    .caveat_zh =
        "不带正负号时，各通道先缩放再相加，数值大小没有意义；带正负号时各部分可加，但仅限分段线性的网络。",
    .source = "Srinivas and Fleuret 2019, arXiv:1905.00780; default arithmetic of pytorch-grad-cam",
    .family = CVI_FAMILY_CAM,
    .flags = CVI_FLAG_LAYER ", " CVI_FLAG_SIGNED ", " CVI_FLAG_VOTES,
    .kind = CVS_MAP_LAYER,
    .compat = CVI_PYTORCH_GRAD_CAM,
    .run = run,
};

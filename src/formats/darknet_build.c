/* SPDX-License-Identifier: MIT
 * darknet_build.c - builds a graph from Darknet's sections, one after the other: the input, names, activations, references to other layers,
 * outputs (what nobody reads, and what every detection section gets).
 */
#include "formats/darknet.h"

enum { MAX_SIDE = 1 << 20 };

static void locate(const void *owner, cvs_error *err, cvs_status s) {
    const darknet *d = owner;
    if (d->section && s != CVS_E_MEMORY) {
        cvi_at_line(err, s, d->section->line, 1);
    }
}

const char *cvi_darknet_name(darknet *d, const char *kind) {
    return cvi_build_name(&d->b, "%s_%d", kind, d->number);
}

int cvi_darknet_op(darknet *d, const char *op, const char *name, int n, const int *in) {
    return cvi_build_op(&d->b, op, name, false, n, in);
}

int64_t cvi_darknet_dim(darknet *d, int value, int axis) {
    const cvs_tensor *s = cvi_shapes_of(&d->shapes, &d->b, value);
    if (s && axis < s->rank) {
        return s->dim[axis];
    }
    cvi_build_set(&d->b, cvi_fail(d->b.err, CVS_E_UNSUPPORTED, "an input whose shape is not known"));
    return 1;
}

int cvi_darknet_layer(darknet *d, int64_t index) {
    int64_t at = index < 0 ? index + d->number : index;
    if (at < 0 || at >= d->number) {
        cvi_build_set(&d->b, cvi_fail(d->b.err, CVS_E_FORMAT, "layer %lld does not come before layer %d",
                                      (long long)index, d->number));
        return -1;
    }
    return d->made[at];
}

int cvi_darknet_activate(darknet *d, int value, const char *otherwise) {
    static const struct {
        const char *name, *op;
    } plain[] = {{"relu", "Relu"},       {"logistic", "Sigmoid"}, {"tanh", "Tanh"},
                 {"elu", "Elu"},         {"selu", "Selu"},        {"mish", "Mish"},
                 {"leaky", "LeakyRelu"}, {"gelu", "Gelu"},        {"revleaky", "LeakyRelu"}};
    const char *act = cvi_darknet_text(d, "activation", otherwise), *name = cvi_darknet_name(d, act);
    if (strcmp(act, "linear") == 0) {
        return value;
    }
    for (int i = 0; i < CVI_COUNT(plain); i++) {
        if (strcmp(act, plain[i].name) == 0) {
            int v = cvi_darknet_op(d, plain[i].op, name, 1, &value);
            if (strcmp(act, "leaky") == 0) {
                cvi_build_float(&d->b, "alpha", 0.1);
            } else if (strcmp(act, "gelu") == 0) {
                cvi_build_string(&d->b, "approximate", "tanh");
            }
            return v;
        }
    }
    if (strcmp(act, "swish") == 0) {
        int gate = cvi_build_op(&d->b, "Sigmoid", cvi_build_name(&d->b, "%s/gate", name), true, 1, &value);
        return cvi_darknet_op(d, "Mul", name, 2, (int[]){value, gate});
    }
    if (strcmp(act, "ramp") == 0) { /* max(x,0) + 0.1 x */
        int tenth = cvi_build_const_float(&d->b, cvi_build_name(&d->b, "%s/tenth", name), 0.1);
        int in[2] = {cvi_build_op(&d->b, "Relu", cvi_build_name(&d->b, "%s/positive", name), true, 1, &value),
                     cvi_build_op(&d->b, "Mul", cvi_build_name(&d->b, "%s/slope", name), true, 2,
                                  (int[]){value, tenth})};
        return cvi_darknet_op(d, "Add", name, 2, in);
    }
    bool six = strcmp(act, "relu6") == 0;
    if (six || strcmp(act, "hardtan") == 0) {
        int in[3] = {value, cvi_build_const_float(&d->b, cvi_build_name(&d->b, "%s/low", name), six ? 0 : -1),
                     cvi_build_const_float(&d->b, cvi_build_name(&d->b, "%s/high", name), six ? 6 : 1)};
        return cvi_darknet_op(d, "Clip", name, 3, in);
    }
    int v = cvi_darknet_op(d, cvi_build_name(&d->b, "darknet::%s", act), name, 1, &value);
    if (cvi_build_ok(&d->b)) {
        d->b.g->nodes[d->b.node].note =
            cvi_tr(d->b.model->lang, "this operator is not known: it is drawn, but not run");
    }
    return v;
}

void cvi_darknet_done(darknet *d, int value) {
    d->made[d->number] = value;
}

/* A section that only draws. Numbers lie one behind another: where it may have some, those of the sections behind it are lost. */
static void make_box(darknet *d, const char *why) {
    static const char *const without[] = {"shortcut",    "route",         "reorg",    "reorg3d", "maxpool",
                                          "max",         "local_avgpool", "upsample", "softmax", "soft",
                                          "contrastive", "normalization", "lrn"};
    bool holds = d->weights->data != NULL && d->weights->at < d->weights->size;
    for (int i = 0; i < CVI_COUNT(without); i++) {
        holds &= strcmp(d->section->kind, without[i]) != 0;
    }
    if (holds && cvi_build_ok(&d->b)) {
        d->weights->data = NULL;
        if (!cvi_model_note(d->b.model,
                            "the numbers of the layers behind \"%.80s\" cannot be found: how many it has "
                            "itself is not known",
                            cvi_darknet_name(d, d->section->kind))) {
            cvi_build_no_memory(&d->b, 0);
        }
    }
    int v = cvi_darknet_op(d, cvi_build_name(&d->b, "darknet::%s", d->section->kind),
                           cvi_darknet_name(d, d->section->kind), 1, &d->last);
    if (cvi_build_ok(&d->b)) {
        d->b.g->nodes[d->b.node].note = cvi_tr(d->b.model->lang, why);
    }
    cvi_darknet_done(d, v);
}

static void add_input(darknet *d) {
    int64_t dim[4] = {-1, cvi_darknet_int(d, "channels", 3), cvi_darknet_int(d, "height", 416),
                      cvi_darknet_int(d, "width", 416)};
    for (int i = 1; i < 4; i++) {
        if (dim[i] < 1 || dim[i] > MAX_SIDE) {
            cvi_build_set(&d->b, cvi_fail(d->b.err, CVS_E_SHAPE, "%s holds %lld, the least allowed is %lld",
                                          i == 1   ? "channels"
                                          : i == 2 ? "height"
                                                   : "width",
                                          (long long)dim[i], 1LL));
        }
    }
    d->last = cvi_build_ok(&d->b)
                  ? cvi_build_made(&d->b, cvi_graph_value(d->b.g, "input", CVS_F32, 4, dim, d->b.err))
                  : -1;
    if (cvi_build_ok(&d->b) && !cvi_graph_add_input(d->b.g, d->last)) {
        cvi_build_no_memory(&d->b, 0);
    }
    d->b.model->preprocess = (cvs_preprocess){.known = true, .resize = CVS_RESIZE_STRETCH};
    snprintf(d->b.model->preprocess.from, sizeof d->b.model->preprocess.from, "model file");
}

static void build_section(darknet *d) {
    const darknet_kind *kind = cvi_darknet_kind(d->section->kind);
    int nodes = d->b.g->n_nodes;
    d->refused = NULL;
    d->made[d->number] = d->last;
    if (kind) {
        kind->make(d);
    } else {
        static const char *const recurrent[] = {"rnn", "gru", "lstm", "crnn", "conv_lstm", "history"};
        d->refused = "this operator is not known: it is drawn, but not run";
        for (int i = 0; i < CVI_COUNT(recurrent); i++) {
            if (strcmp(d->section->kind, recurrent[i]) == 0) {
                d->refused = "sections that remember what came before are drawn, but not run";
            }
        }
    }
    if (d->b.status == CVS_E_UNSUPPORTED || (d->refused && cvi_build_ok(&d->b))) {
        d->b.status = CVS_OK;
        cvi_error_clear(d->b.err);
        d->b.g->n_nodes = nodes;
        d->shapes.inferred = CVI_MIN(d->shapes.inferred, nodes);
        make_box(d, d->refused ? d->refused : "this form of the operator is not run");
    }
    d->last = d->made[d->number];
}

static bool is_detection(const char *kind) {
    return strcmp(kind, "yolo") == 0 || strcmp(kind, "region") == 0 || strcmp(kind, "detection") == 0 ||
           strcmp(kind, "gaussian_yolo") == 0 || strcmp(kind, "Gaussian_yolo") == 0;
}

static void add_outputs(darknet *d, bool any) {
    for (int i = 1; i < d->cfg->n && cvi_build_ok(&d->b); i++) {
        int v = d->made[i - 1];
        bool here = any ? is_detection(d->cfg->section[i].kind) : i == d->cfg->n - 1, again = v < 0;
        for (int k = 0; k < d->b.g->n_outputs; k++) {
            again |= d->b.g->outputs[k] == v;
        }
        if (here && !again && !cvi_graph_add_output(d->b.g, v)) {
            cvi_build_no_memory(&d->b, 0);
        }
    }
}

cvs_status cvi_darknet_build(cvs_model *model, const darknet_cfg *cfg, darknet_weights *weights,
                             cvs_error *err) {
    darknet d = {.b = {.model = model, .err = err, .locate = locate, .owner = &d},
                 .a = model->arena,
                 .cfg = cfg,
                 .weights = weights};
    bool any = false;
    if (cfg->n < 2 ||
        (strcmp(cfg->section[0].kind, "net") != 0 && strcmp(cfg->section[0].kind, "network") != 0)) {
        return cvi_fail(err, CVS_E_FORMAT, "the text should begin with a section, [net]");
    }
    d.b.g = model->graph = cvi_graph_new(model, NULL, "", err);
    d.made = cvi_arena_alloc(model->arena, cfg->n, sizeof *d.made);
    if (!d.b.g || !d.made) {
        return cvi_no_memory(err, 0);
    }
    model->has_weights = weights->data != NULL;
    d.section = &cfg->section[0];
    add_input(&d);
    for (int i = 1; i < cfg->n && cvi_build_ok(&d.b); i++) {
        d.section = &cfg->section[i];
        d.number = i - 1;
        any |= is_detection(d.section->kind);
        build_section(&d);
    }
    d.section = NULL;
    add_outputs(&d, any);
    if (cvi_build_ok(&d.b) && weights->data && weights->at < weights->size &&
        !cvi_model_note(model, "%lld bytes at the end of the weights file belong to no layer",
                        (long long)(weights->size - weights->at))) {
        return cvi_no_memory(err, 0);
    }
    if (cvi_build_ok(&d.b) && d.b.g->n_nodes == 0) {
        return cvi_fail(err, CVS_E_FORMAT, "the text describes no layers");
    }
    return cvi_build_ok(&d.b) ? cvi_graph_finish(d.b.g, err) : d.b.status;
}

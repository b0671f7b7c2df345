/* SPDX-License-Identifier: MIT
 * torchscript.c - a TorchScript archive into a graph. The file does not say how large the input is: sizes are tried until every shape
 * fits, the usual ones first. Each try follows the code with two sizes; if only the smaller fits, it is tried with another width of the same
 * height (readers of lines of text), and then the model takes one size.
 */
#include "formats/script.h"

enum {
    MAX_TRIES = 300,
    MAX_SIZES = 200,
    USUAL = 30,
    MAX_INPUTS = 16,
    MAX_OUTPUTS = 64,
    MAX_ALL_NODES = 60000
};

enum { ROW = 3, PICTURE = 4, VIDEO = 5, FRAMES = 16 };

typedef struct attempt {
    int64_t channels, side, wide;
    int rank;         /* of the input: pictures, until the first convolution says rows or videos */
    bool fixed, line; /* line: only the width is free */
} attempt;

/* The sizes of the input at one of the two tries, with or without what is free as -1. */
static void input_dims(const attempt *t, int64_t batch, int64_t more, bool free, int64_t dim[5]) {
    int64_t high = t->side + (t->line ? 0 : more), wide = t->wide + more,
            frames = FRAMES + (more > 0 ? FRAMES : 0);
    int64_t end[3] = {frames, high, wide};
    const bool set[3] = {t->fixed || t->line, t->fixed || t->line, t->fixed};
    dim[0] = batch;
    dim[1] = t->channels;
    for (int k = 2; k < t->rank; k++) {
        int at = 3 - t->rank + k;
        dim[k] = free && !set[at] ? -1 : end[at];
    }
}

static cvs_status add_inputs(script *s, const attempt *t, const char *const *names, int n,
                             script_value *out) {
    for (int i = 0; i < n; i++) {
        int64_t dim[5];
        input_dims(t, -1, 0, true, dim);
        int v = cvi_graph_value(s->g, names[i], CVS_F32, t->rank, dim, s->err);
        if (v < 0 || !cvi_graph_add_input(s->g, v)) {
            return cvi_no_memory(s->err, 0);
        }
        CVI_TRY(cvi_script_grow(s));
        for (int k = 0; k < 2; k++) { /* the larger of the two sizes differs by 64 */
            s->shape[k][v] = (cvs_tensor){.dtype = CVS_F32, .rank = t->rank};
            input_dims(t, k + 1, k == 1 && !t->fixed ? 64 : 0, false, s->shape[k][v].dim);
        }
        for (int k = 2; k < t->rank; k++) {
            s->g->values[v].usual[k] = dim[k] < 0 ? s->shape[0][v].dim[k] : 0;
        }
        out[i] = cvi_script_tensor(v);
    }
    return CVS_OK;
}

/* Every tensor of what forward returned, in order. */
static int add_outputs(script *s, const script_value *v, int depth) {
    int n = 0;
    if (v->kind == SCRIPT_V_TENSOR) {
        int at = cvi_script_graph(s, v);
        bool computed = false;
        for (int i = 0; i < s->g->n_nodes && !computed; i++) {
            for (int k = 0; k < s->g->nodes[i].n_out; k++) {
                computed |= s->g->nodes[i].out[k] == at;
            }
        }
        for (int i = 0; i < s->g->n_outputs; i++) {
            computed &= s->g->outputs[i] != at;
        }
        if (computed && !cvi_graph_add_output(s->g, at)) {
            cvi_script_set(s, cvi_no_memory(s->err, 0));
        }
        if (computed) {
            s->g->values[at].hidden = false;
        }
        return computed;
    }
    bool list = v->kind == SCRIPT_V_LIST || v->kind == SCRIPT_V_DICT;
    for (int i = 0; list && i < *v->shared_n && depth < 8 && s->g->n_outputs < MAX_OUTPUTS; i++) {
        n += add_outputs(s, &(*v->shared)[i], depth + 1);
    }
    return n;
}

/* One try. CVS_OK: s->model->graph is it. */
static cvs_status try_size(script *s, const attempt *t, const cvi_pickle *root) {
    const char *names[MAX_INPUTS];
    script_value in[MAX_INPUTS], self = {.kind = SCRIPT_V_MODULE, .s = "", .object = root, .v = -1};
    s->status = CVS_OK;
    s->channels = t->channels;
    s->rank = t->rank;
    s->side = t->side;
    s->one_size = t->fixed;
    s->guess &= t->line || t->fixed; /* what the attempt before found about this size */
    s->wants_channels = s->wants_rank = s->fixed = s->leaf = s->named = false;
    s->n_shapes = s->n_opaque = s->depth = s->nesting = 0;
    s->shape[0] = s->shape[1] = NULL;
    s->now = NULL;
    s->view = NULL;
    s->place = "";
    cvi_error_clear(s->err);
    s->g = s->model->graph = cvi_graph_new(s->model, NULL, "", s->err);
    if (!s->g) {
        return CVS_E_MEMORY;
    }
    bool code = !s->tree;
    names[0] = "input";
    int n = code ? cvi_script_inputs(s, self, names, MAX_INPUTS) : 1;
    if (n < 1 && cvi_script_ok(s)) {
        return cvi_fail(s->err, CVS_E_UNSUPPORTED,
                        "the TorchScript code has no forward method with an input");
    }
    cvi_script_set(s, cvi_script_ok(s) ? add_inputs(s, t, names, n, in) : CVS_OK);
    script_value out = !cvi_script_ok(s) ? cvi_script_none()
                       : code            ? cvi_script_forward(s, self, in, n)
                                         : s->tree(s, root, in[0]);
    if (cvi_script_ok(s) && s->fixed && !t->fixed) { /* every shape fits, but settings follow the size */
        s->guess = true;
        return CVS_E_SHAPE;
    }
    if (cvi_script_ok(s) && add_outputs(s, &out, 0) == 0) {
        cvi_script_set(s, cvi_fail(s->err, CVS_E_FORMAT, "the TorchScript code returns no tensor"));
    }
    return s->status;
}

/* The sizes to try for a picture of so many channels. */
static int sizes(int64_t channels, int64_t *out) {
    static const int16_t gray[] = {224, 28, 32, 64, 48, 96, 128, 256, 227, 299, 112, 160, 0},
                         color[] = {224, 32,  64,  299, 28,  227, 96, 128, 48,  256, 112,
                                    160, 384, 512, 331, 100, 150, 84, 180, 200, 300, 320,
                                    416, 640, 40,  56,  72,  80,  24, 16,  0};
    const int16_t *list = channels == 1 ? gray : color;
    int n = 0;
    for (; list[n]; n++) {
        out[n] = list[n];
    }
    for (int side = 8; side <= 1024; side += 8) { /* then whatever patches and poolings may divide */
        out[n++] = side;
    }
    return n;
}

/* The file says the size; how many channels, the first convolution does. */
static cvs_status try_side(script *s, const cvi_pickle *root, int64_t side) {
    attempt t = {.channels = 3, .side = side, .wide = side, .rank = PICTURE, .fixed = true};
    cvs_status status = try_size(s, &t, root);
    if (status == CVS_E_SHAPE && s->wants_channels && s->asked_channels != t.channels) {
        t.channels = s->asked_channels;
        s->steps = 0;
        status = try_size(s, &t, root);
    }
    return status;
}

/* Goes through the sizes, those that were asked for first; the first error is the one to tell when none fits. Where all usual sizes end in
 * that error, word for word, it is not about the size. */
static cvs_status search_sizes(script *s, const cvi_pickle *root) {
    cvs_error first = {0};
    const bool uneven = s->uneven;
    const cvs_open_options *o = s->open->options;
    attempt t = {.channels = 3, .rank = PICTURE};
    int64_t list[MAX_SIZES], all = 0;
    bool asked = o && o->height > 0 && o->width > 0 && o->height <= 65536 && o->width <= 65536;
    int n = sizes(3, list), tries = 0;
    bool differ = false;
    cvs_status status = CVS_E_SHAPE;
    for (int i = asked ? -1 : 0;
         i < n && tries < MAX_TRIES && (i < USUAL || (all < MAX_ALL_NODES && (differ || !s->err))); i++) {
        t.side = i < 0 ? o->height : list[i];
        t.wide = i < 0 ? o->width : list[i];
        s->uneven = uneven || i < 0;
        t.fixed = t.line = false;
        for (int again = 0; again < 5; again++, tries++) {
            s->steps = 0;
            status = try_size(s, &t, root);
            all += s->g ? s->g->n_nodes : 0;
            if (status == CVS_OK || status == CVS_E_MEMORY || status == CVS_E_LIMIT) {
                return status;
            }
            if (s->wants_rank && s->asked_rank != t.rank) {
                t.rank = s->asked_rank;
            } else if (s->wants_channels && s->asked_channels != t.channels) {
                t.channels = s->asked_channels;
                n = sizes(t.channels, list);
                i = CVI_MIN(i, 0);
                t.side = i < 0 ? o->height : list[0];
                t.wide = i < 0 ? o->width : list[0];
                t.fixed = t.line = false;
            } else if (s->fixed && !t.fixed) {
                t.fixed = t.line;
                t.line = !t.line;
            } else {
                break;
            }
        }
        if (s->err && first.code == CVS_OK) {
            first = *s->err;
        }
        differ = differ || (s->err && strcmp(first.message, s->err->message) != 0);
        if (status != CVS_E_SHAPE) { /* no other size will help */
            break;
        }
    }
    if (s->err && first.code != CVS_OK && status == CVS_E_SHAPE) {
        *s->err = first;
    }
    return status;
}

/* Sizes whose adaptive poolings have windows of one length first, then any. */
static cvs_status search(script *s, const cvi_pickle *root) {
    s->uneven = s->was_uneven = false;
    cvs_status status = search_sizes(s, root);
    if (status == CVS_E_SHAPE && s->was_uneven) {
        s->uneven = true;
        status = search_sizes(s, root);
    }
    return status;
}

static cvs_status read_constants(cvi_torch *t, const cvi_pickle **out) {
    cvi_pickle *p = NULL;
    CVI_TRY(cvi_torch_pickle(t, "constants.pkl", &p));
    *out = p;
    return CVS_OK;
}

cvs_status cvi_script_notes(const script *s) {
    char list[400] = "";
    for (int i = 0; i < s->n_opaque; i++) {
        size_t n = strlen(list);
        snprintf(list + n, sizeof list - n, "%s%.60s", i ? ", " : "", s->opaque[i]);
    }
    bool ok =
        s->n_opaque == 0 || cvi_model_note(s->model, "a run stops at what has no translation: %s", list);
    return ok ? CVS_OK : cvi_no_memory(s->err, 0);
}

static cvs_status build(script *s, const cvi_pickle *root, int64_t side, const char *producer) {
    cvs_status status = side > 0 ? try_side(s, root, side) : search(s, root);
    if (status != CVS_OK) {
        return status == s->err->code
                   ? status
                   : cvi_fail(s->err, status, "the TorchScript code could not be followed");
    }
    s->model->has_weights = true;
    s->model->producer = producer;
    CVI_TRY(cvi_script_notes(s));
    const cvs_tensor *in = cvi_script_shape(s, s->g->inputs[0], 0);
    s->model->size_guessed = side == 0 && s->one_size && in->rank == 4;
    const cvs_open_options *o = s->open->options;
    bool asked = o && o->height == in->dim[2] && o->width == in->dim[3];
    if (s->guess && s->model->size_guessed && !asked &&
        !cvi_model_note(s->model,
                        "the file does not say how large its input is; %lldx%lld fits, a guess: --size HxW "
                        "names another",
                        (long long)in->dim[2], (long long)in->dim[3])) {
        return cvi_no_memory(s->err, 0);
    }
    cvi_script_drop_states(s);
    return cvi_graph_finish(s->g, s->err);
}

cvs_status cvi_torchscript_read(cvi_open *open, cvi_torch *t, const cvi_pickle *root) {
    cvs_error own = {0};
    script s = {.open = open,
                .torch = t,
                .model = open->model,
                .arena = open->model->arena,
                .err = open->err ? open->err : &own};
    if (strncmp(cvi_pickle_maker(root), "__torch__.", 10) != 0) {
        return cvi_fail(s.err, CVS_E_FORMAT, "data.pkl holds no module of TorchScript");
    }
    CVI_TRY(read_constants(t, &s.constants));
    return build(&s, root, 0, "TorchScript");
}

cvs_status cvi_script_tree_read(cvi_open *open, cvi_torch *t, const cvi_pickle *root, cvi_script_tree *run,
                                int64_t side) {
    cvs_error own = {0};
    script s = {.open = open,
                .torch = t,
                .model = open->model,
                .arena = open->model->arena,
                .err = open->err ? open->err : &own,
                .tree = run};
    return build(&s, root, side, "");
}

cvs_status cvi_torch_sequential_read(cvi_open *open, cvi_torch *t, const cvi_pickle *root) {
    return cvi_script_tree_read(open, t, root, cvi_torch_run_sequential, 0);
}

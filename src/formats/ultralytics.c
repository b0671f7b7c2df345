/* SPDX-License-Identifier: MIT
 * ultralytics.c - checkpoints of YOLOv5 and of the package ultralytics (YOLOv3 to YOLO12 and RT-DETR's convolutional parts): the saved
 * object is a list of modules, each of which says where its input comes from, so the list is the graph. Names of classes, the size of
 * pictures and the version are in the file too. Classes that are not known leave the file what it is without its graph: weights.
 */
#include "formats/ultralytics.h"

enum { MAX_MODULES = 400, MAX_DEPTH = 24, MAX_SOURCES = 64, MAX_NAMES = 100000, DEFAULT_SIDE = 640 };
static const int64_t most_whole = (int64_t)1 << 31;

/* ---- a module's parts and settings -------------------------------------------------------------------------- */

static bool is_module(const cvi_pickle *p) {
    return cvi_pickle_is(p, CVI_PK_OBJECT) && cvi_pickle_get(p->state, "_modules");
}

static const cvi_pickle *part_of(const cvi_pickle *p, const char *name) {
    while (p) {
        char one[60];
        const char *dot = strchr(name, '.');
        size_t n = dot ? (size_t)(dot - name) : strlen(name);
        snprintf(one, sizeof one, "%.*s", (int)n, name);
        p = cvi_pickle_get(cvi_pickle_get(p->state, "_modules"), one);
        p = is_module(p) ? p : NULL;
        if (!dot) {
            return p;
        }
        name = dot + 1;
    }
    return NULL;
}

const cvi_pickle *cvi_yolo_part(const cvi_yolo *m, const char *name) {
    return part_of(m->p, name);
}

script_value cvi_yolo_run(const cvi_yolo *m, const char *name, script_value x) {
    const cvi_pickle *p = cvi_yolo_part(m, name);
    char *path = cvi_arena_printf(m->s->arena, "%s.%s", m->path, name);
    if (!p || !path) {
        return path ? cvi_script_refuse(m->s, name) : cvi_script_refuse(m->s, m->path);
    }
    return cvi_script_ok(m->s) ? cvi_torch_run_module(m->s, p, path, x) : cvi_script_none();
}

int64_t cvi_yolo_int(const cvi_yolo *m, const char *name, int64_t otherwise) {
    const cvi_pickle *p = cvi_pickle_get(m->p->state, name);
    bool is = cvi_pickle_is(p, CVI_PK_INT) || cvi_pickle_is(p, CVI_PK_BOOL);
    return is ? CVI_MAX(CVI_MIN(p->i, most_whole), -most_whole) : otherwise;
}

double cvi_yolo_float(const cvi_yolo *m, const char *name, double otherwise) {
    const cvi_pickle *p = cvi_pickle_get(m->p->state, name);
    return cvi_pickle_is(p, CVI_PK_FLOAT) ? p->f : cvi_pickle_is(p, CVI_PK_INT) ? (double)p->i : otherwise;
}

int cvi_yolo_count(script_value x) {
    return x.kind == SCRIPT_V_LIST ? *x.shared_n : x.kind == SCRIPT_V_TENSOR;
}

script_value cvi_yolo_item(const cvi_yolo *m, script_value x, int i) {
    if (i < 0 || i >= cvi_yolo_count(x)) {
        return cvi_script_refuse(m->s, m->path);
    }
    return x.kind == SCRIPT_V_LIST ? (*x.shared)[i] : x;
}

/* ---- nodes of the module itself -------------------------------------------------------------------------------- */

void cvi_yolo_at(const cvi_yolo *m, bool last) {
    m->s->place = m->path;
    m->s->leaf = last;
    m->s->named = false;
}

int cvi_yolo_op(const cvi_yolo *m, const char *op, int n, const int *in) {
    return cvi_script_simple(m->s, op, n, in).v;
}

int cvi_yolo_two(const cvi_yolo *m, const char *op, int a, int b) {
    int in[2] = {a, b};
    return cvi_yolo_op(m, op, 2, in);
}

int cvi_yolo_number(const cvi_yolo *m, const char *op, int x, double number) {
    return cvi_yolo_two(m, op, x, cvi_script_const_float(m->s, number));
}

int cvi_yolo_softmax(const cvi_yolo *m, int x, int64_t axis) {
    script_node node = cvi_script_node(m->s, "Softmax", 1, &x, 1, false);
    cvi_script_attr_int(m->s, &node, "axis", axis);
    return cvi_script_done(m->s, node).v;
}

int cvi_yolo_concat(const cvi_yolo *m, int n, const int *in, int64_t axis) {
    if (n < 1) {
        return cvi_script_refuse(m->s, m->path).v;
    }
    script_node node = cvi_script_node(m->s, "Concat", n, in, 1, false);
    cvi_script_attr_int(m->s, &node, "axis", axis);
    return cvi_script_done(m->s, node).v;
}

void cvi_yolo_split(const cvi_yolo *m, int x, int64_t axis, int n, const int64_t *sizes, int *out) {
    int in[2] = {x, cvi_script_const_ints(m->s, n, sizes)};
    script_node node = cvi_script_nodes(m->s, "Split", 2, in, 1, n, false);
    cvi_script_attr_int(m->s, &node, "axis", axis);
    cvi_script_done(m->s, node);
    for (int i = 0; i < n; i++) {
        out[i] = cvi_script_ok(m->s) ? m->s->g->nodes[node.index].out[i] : -1;
    }
}

int cvi_yolo_reshape(const cvi_yolo *m, int x, int n, const int64_t *dim) {
    return cvi_yolo_two(m, "Reshape", x, cvi_script_const_ints(m->s, n, dim));
}

int cvi_yolo_turn(const cvi_yolo *m, int x, int n, const int64_t *perm) {
    script_node node = cvi_script_node(m->s, "Transpose", 1, &x, 1, false);
    cvi_script_attr_ints(m->s, &node, "perm", n, perm);
    return cvi_script_done(m->s, node).v;
}

int cvi_yolo_constant(const cvi_yolo *m, const char *name, int rank, const int64_t *dim, const float *v) {
    const char *full = cvi_arena_printf(m->s->arena, "%s/%s", m->path, name);
    int c = cvi_script_ok(m->s) && full ? cvi_graph_floats(m->s->g, full, rank, dim, v, m->s->err) : -1;
    cvi_script_set(m->s, c < 0 ? cvi_no_memory(m->s->err, 0) : cvi_script_grow(m->s));
    return c;
}

int64_t cvi_yolo_dim(const cvi_yolo *m, int x, int axis) {
    const cvs_tensor *t = cvi_script_shape(m->s, x, 0);
    return axis < t->rank ? t->dim[axis] : 0;
}

/* ---- classes ------------------------------------------------------------------------------------------------------ */

/* "Conv" of "ultralytics.nn.modules.conv.Conv"; other packages name theirs the same way. */
static const cvi_yolo_class *class_of(const cvi_pickle *p) {
    const cvi_yolo_classes *const lists[] = {&cvi_yolo_blocks, &cvi_yolo_heads};
    const char *maker = cvi_pickle_maker(p), *dot = strrchr(maker, '.');
    bool torch = strncmp(maker, "torch.nn.", 9) == 0 && dot && strcmp(dot, ".Upsample") != 0;
    for (int l = 0; dot && !torch && l < CVI_COUNT(lists); l++) {
        for (int i = 0; i < lists[l]->n; i++) {
            if (strcmp(lists[l]->list[i].name, dot + 1) == 0) {
                return &lists[l]->list[i];
            }
        }
    }
    return NULL;
}

bool cvi_yolo_module(script *s, const cvi_pickle *p, const char *path, script_value x, script_value *out) {
    const cvi_yolo_class *c = class_of(p);
    cvi_yolo m = {.s = s, .p = p, .path = path};
    if (c && ++s->nesting > MAX_DEPTH) {
        *out = cvi_script_refuse(s, path);
    } else if (c) {
        *out = c->run(&m, x);
    }
    s->nesting -= c != NULL;
    return c != NULL;
}

/* The first class that is none of those known, NULL when all are. *n counts modules. */
static const char *unknown_class(const cvi_pickle *p, int depth, int *n) {
    const cvi_pickle *inner = cvi_pickle_get(p->state, "_modules");
    const char *maker = cvi_pickle_maker(p);
    bool list = strcmp(maker, "torch.nn.modules.container.ModuleList") == 0;
    if (depth > MAX_DEPTH || ++*n > 100 * MAX_MODULES) {
        return maker;
    }
    if (!list && !class_of(p) && !cvi_torch_knows_module(p)) {
        return maker;
    }
    for (int64_t i = 1; inner && i < inner->n; i += 2) {
        const char *c = is_module(inner->item[i]) ? unknown_class(inner->item[i], depth + 1, n) : NULL;
        if (c) {
            return c;
        }
    }
    return NULL;
}

/* ---- the list of modules -------------------------------------------------------------------------------------------- */

/* The list that a network is: its modules say where their inputs come from. */
static const cvi_pickle *list_of(const cvi_pickle *p) {
    const cvi_pickle *list = is_module(p) ? part_of(p, "model") : NULL,
                     *first = list ? part_of(list, "0") : NULL;
    return first && cvi_pickle_get(first->state, "f") && cvi_pickle_get(first->state, "i") ? list : NULL;
}

const cvi_pickle *cvi_ultralytics_model(const cvi_pickle *root) {
    static const char *const keys[] = {
        "ema", "model"}; /* as the libraries choose: the average, where there is one */
    if (list_of(root)) {
        return root;
    }
    for (int i = 0; i < CVI_COUNT(keys); i++) {
        const cvi_pickle *p = cvi_pickle_get(root, keys[i]);
        if (list_of(p)) {
            return p;
        }
    }
    return NULL;
}

/* What module i reads: the one before it, an earlier one, or several. */
static script_value source(script *s, const cvi_pickle *from, const script_value *made, int i) {
    script_value item[MAX_SOURCES];
    bool list = cvi_pickle_is(from, CVI_PK_LIST) || cvi_pickle_is(from, CVI_PK_TUPLE);
    int n = list ? (int)CVI_MIN(from->n, MAX_SOURCES) : 1;
    for (int k = 0; k < n; k++) {
        const cvi_pickle *one = list ? from->item[k] : from;
        int64_t at = cvi_pickle_is(one, CVI_PK_INT) ? one->i : INT64_MIN;
        at = at < 0 && at >= -i - 1 ? at + i : at;
        if (at < -1 || at >= i) {
            return cvi_script_refuse(s, "a layer reads one that does not come before it");
        }
        item[k] = made[at + 1]; /* made[0] is the picture */
    }
    return list ? cvi_script_list(s, n, item) : item[0];
}

static script_value run_list(script *s, const cvi_pickle *root, script_value x) {
    const cvi_pickle *list = cvi_pickle_get(list_of(root)->state, "_modules");
    int n = (int)CVI_MIN(list->n / 2, MAX_MODULES);
    script_value *made = cvi_arena_alloc(s->arena, n + 1, sizeof *made);
    if (!made) {
        cvi_script_set(s, cvi_no_memory(s->err, 0));
        return cvi_script_none();
    }
    made[0] = x;
    for (int i = 0; i < n && cvi_script_ok(s); i++) {
        const cvi_pickle *p = list->item[2 * i + 1];
        char *path = cvi_arena_printf(s->arena, "model.%d", i);
        if (!is_module(p) || !path) {
            return cvi_script_refuse(s, "a list of modules");
        }
        script_value in = source(s, cvi_pickle_get(p->state, "f"), made, i);
        made[i + 1] = cvi_script_ok(s) ? cvi_torch_run_module(s, p, path, in) : cvi_script_none();
    }
    return made[n];
}

/* ---- what else the file says ------------------------------------------------------------------------------------------ */

static const cvi_pickle *first_of(const cvi_pickle *a, const cvi_pickle *b) {
    return a && a->kind != CVI_PK_NONE ? a : b;
}

/* The side of the pictures it was trained on, a multiple of the largest stride. */
static int64_t side_of(const cvi_pickle *root, const cvi_pickle *model, bool classifies) {
    static const char *const keys[] = {"train_args", "opt"};
    const cvi_pickle *size = cvi_pickle_get(cvi_pickle_get(model->state, "args"), "imgsz");
    for (int i = 0; i < CVI_COUNT(keys) && root != model; i++) {
        size = first_of(size, cvi_pickle_get(cvi_pickle_get(root, keys[i]), "imgsz"));
    }
    const cvi_pickle *second = cvi_pickle_item(size, 1);
    size = cvi_pickle_item(size, 0) ? cvi_pickle_item(size, 0) : size;
    int64_t side = cvi_pickle_is(size, CVI_PK_INT) ? size->i : 0;
    side = cvi_pickle_is(second, CVI_PK_INT) ? CVI_MAX(side, second->i) : side;
    side = side < 32 || side > 4096 ? (classifies ? 224 : DEFAULT_SIDE) : side;
    return (side + 31) / 32 * 32;
}

/* Names as a list, or by number. */
static const char *name_at(const cvi_pickle *names, int64_t i) {
    for (int64_t k = 0; !cvi_pickle_item(names, 0) && k + 1 < names->n; k += 2) {
        if (names->item[k]->kind == CVI_PK_INT && names->item[k]->i == i) {
            return cvi_pickle_text(names->item[k + 1]);
        }
    }
    return cvi_pickle_text(cvi_pickle_item(names, i));
}

/* A classifier's names are those of its outputs; what a detector tells apart is a note. */
static cvs_status tell_names(cvi_open *open, const cvi_pickle *model, bool classifies) {
    const cvi_pickle *names = cvi_pickle_get(model->state, "names");
    cvs_model *m = open->model;
    bool pairs = cvi_pickle_is(names, CVI_PK_DICT);
    int64_t n = pairs ? names->n / 2 : cvi_pickle_is(names, CVI_PK_LIST) ? names->n : 0;
    if (n < 1 || n > MAX_NAMES) {
        return CVS_OK;
    }
    const char **list = cvi_arena_alloc(m->arena, n, sizeof *list);
    char text[500] = "";
    if (!list) {
        return cvi_no_memory(open->err, (size_t)n * sizeof *list);
    }
    for (int64_t i = 0; i < n; i++) {
        list[i] = name_at(names, pairs && n > 5000 ? -1 : i);
        size_t at = strlen(text);
        if (i < 12) {
            snprintf(text + at, sizeof text - at, "%s%.30s", i ? ", " : "", list[i]);
        }
    }
    if (classifies) {
        m->n_classes = (int)n;
        m->classes = list;
        m->classes_from = cvi_tr(m->lang, "model file");
        return CVS_OK;
    }
    return cvi_model_note(m, "it tells %lld classes apart: %s%s", (long long)n, text, n > 12 ? ", ..." : "")
               ? CVS_OK
               : cvi_no_memory(open->err, 0);
}

/* "yolov8n" of ".../yolov8n.yaml". */
static const char *name_of(cvs_model *m, const cvi_pickle *model) {
    const char *file = cvi_pickle_text(cvi_pickle_get(model->state, "yaml_file"));
    file = *file ? file : cvi_pickle_text(cvi_pickle_get(cvi_pickle_get(model->state, "yaml"), "yaml_file"));
    const char *slash = strrchr(file, '/'), *dot = strrchr(file, '.');
    file = slash ? slash + 1 : file;
    return dot && dot > file ? cvi_arena_strn(m->arena, file, (size_t)(dot - file)) : NULL;
}

static const char *last_class(const cvi_pickle *model) {
    const cvi_pickle *list = cvi_pickle_get(list_of(model)->state, "_modules");
    const cvi_pickle *p = list->n >= 2 ? list->item[list->n - 1] : NULL;
    const char *dot = p ? strrchr(cvi_pickle_maker(p), '.') : NULL;
    return dot ? dot + 1 : "";
}

cvs_status cvi_ultralytics_read(cvi_open *open, cvi_torch *t, const cvi_pickle *root, const char **unknown) {
    const cvi_pickle *model = cvi_ultralytics_model(root), *list = list_of(model);
    cvs_model *m = open->model;
    int n = 0;
    *unknown = unknown_class(list, 0, &n);
    if (*unknown) {
        return CVS_OK;
    }
    bool classifies = strcmp(last_class(model), "Classify") == 0;
    bool imagenet = classifies && strncmp(cvi_pickle_maker(model), "ultralytics.", 12) != 0;
    m->preprocess = (cvs_preprocess){.known = true, .resize = CVS_RESIZE_LETTERBOX};
    if (classifies) {
        m->preprocess.resize = CVS_RESIZE_SHORTER;
    }
    if (imagenet) {
        CVI_TRY(cvs_preprocess_parse("ImageNet-torch,ratio=1", &m->preprocess, open->err));
    }
    snprintf(m->preprocess.from, sizeof m->preprocess.from, "model file");
    CVI_TRY(cvi_script_tree_read(open, t, model, run_list, side_of(root, model, classifies)));
    const char *version = root != model ? cvi_pickle_text(cvi_pickle_get(root, "version")) : "";
    m->producer = *version ? cvi_arena_printf(m->arena, "ultralytics %.20s", version) : "";
    m->name = name_of(m, model);
    return m->producer ? tell_names(open, model, classifies) : cvi_no_memory(open->err, 0);
}

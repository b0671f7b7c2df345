/* SPDX-License-Identifier: MIT
 * script_run.c - follows TorchScript code: frames, modules and their attributes, branches and loops whose conditions are known. Calls of
 * torch itself go to script_call.c. Steps and depth are bounded; there is nothing that the code could reach but the graph.
 */
#include "formats/script.h"

#include <stdlib.h>

enum { MAX_STEPS = 4000000, MAX_CALLS = 80, MAX_LIST = 4096, MAX_NESTING = 1500 };

typedef struct variable {
    const char *name;
    script_value value;
} variable;

struct script_frame {
    variable *var;
    int n, capacity;
    bool returned;
    script_value result;
};

static script_value eval(script *s, script_frame *f, const script_expr *e);
static void run_body(script *s, script_frame *f, const script_body *body);

static void set_variable(script *s, script_frame *f, const char *name, script_value v) {
    for (int i = f->n - 1; i >= 0; i--) {
        if (strcmp(f->var[i].name, name) == 0) {
            f->var[i].value = v;
            return;
        }
    }
    if (f->n == f->capacity) {
        int room = CVI_MAX(32, 2 * f->capacity);
        variable *bigger = cvi_arena_alloc(s->arena, room, sizeof *bigger);
        if (!bigger) {
            cvi_script_set(s, cvi_no_memory(s->err, 0));
            return;
        }
        if (f->n > 0) {
            memcpy(bigger, f->var, (size_t)f->n * sizeof *bigger);
        }
        f->var = bigger;
        f->capacity = room;
    }
    f->var[f->n++] = (variable){name, v};
}

/* ---- code and modules ----------------------------------------------------------------------------------------- */

/* The file of "__torch__.a.b.Name", parsed once; *name is set to "Name". NULL: there is none. */
static const script_file *find_file(script *s, const char *qualified, const char **name) {
    const char *dot = strrchr(qualified, '.');
    size_t n = dot ? (size_t)(dot - qualified) : 0;
    char path[600];
    if (!cvi_script_ok(s) || n == 0 || n > 500) {
        return NULL;
    }
    *name = dot + 1;
    memcpy(path, qualified, n);
    path[n] = 0;
    for (char *c = path; *c; c++) {
        *c = *c == '.' ? '/' : *c;
    }
    for (int i = 0; i < s->n_files; i++) {
        if (strcmp(s->file[i].path, path) == 0) {
            return &s->file[i];
        }
    }
    char entry[640];
    const uint8_t *text = NULL;
    int64_t size = 0;
    snprintf(entry, sizeof entry, "code/%s.py", path);
    cvi_script_set(s, cvi_torch_entry(s->torch, entry, &text, &size));
    if (!cvi_script_ok(s) || !text) {
        return NULL;
    }
    if (s->n_files == s->cap_files) {
        int room = CVI_MAX(16, 2 * s->cap_files);
        script_file *bigger = cvi_arena_alloc(s->arena, room, sizeof *bigger);
        if (!bigger) {
            cvi_script_set(s, cvi_no_memory(s->err, 0));
            return NULL;
        }
        if (s->n_files > 0) {
            memcpy(bigger, s->file, (size_t)s->n_files * sizeof *bigger);
        }
        s->file = bigger;
        s->cap_files = room;
    }
    script_file *file = &s->file[s->n_files];
    *file = (script_file){.path = cvi_arena_strn(s->arena, path, n)};
    if (!file->path) {
        cvi_script_set(s, cvi_no_memory(s->err, 0));
        return NULL;
    }
    s->n_files++;
    cvs_status status = cvi_script_parse(s->arena, (const char *)text, (size_t)size, file, s->err);
    cvi_script_set(s, status == CVS_OK ? status : cvi_at_attr(s->err, status, path));
    return cvi_script_ok(s) ? file : NULL;
}

static const script_function *find_function(script *s, const char *qualified, const char *method) {
    const char *name = "";
    const script_file *file = find_file(s, qualified, &name);
    for (int i = 0; file && i < file->n; i++) {
        const script_class *c = file->class[i];
        if (strcmp(c->name, method ? name : "") != 0) {
            continue;
        }
        for (int k = 0; k < c->n; k++) {
            if (strcmp(c->function[k]->name, method ? method : name) == 0) {
                return c->function[k];
            }
        }
    }
    return NULL;
}

static bool is_module(const cvi_pickle *p) {
    return strncmp(cvi_pickle_maker(p), "__torch__.", 10) == 0;
}

static bool has_modules(const cvi_pickle *p) {
    for (int64_t i = 1; cvi_pickle_is(p->state, CVI_PK_DICT) && i < p->state->n; i += 2) {
        if (is_module(p->state->item[i])) {
            return true;
        }
    }
    return false;
}

/* A tensor of the file: a constant of the graph; a single whole number stays a number. */
static script_value tensor_value(script *s, const char *name, const cvs_tensor *t, bool number) {
    if (t->rank == 0 && t->data && (number || t->dtype == CVS_I64) &&
        (t->dtype == CVS_I64 || t->dtype == CVS_F32 || t->dtype == CVS_F64)) {
        if (t->dtype == CVS_I64) {
            return cvi_script_int(*(const int64_t *)t->data);
        }
        return cvi_script_float(t->dtype == CVS_F32 ? (double)*(const float *)t->data
                                                    : *(const double *)t->data);
    }
    cvs_tensor used = *t;
    bool half = t->dtype == CVS_F16 || t->dtype == CVS_BF16;
    if ((half || t->dtype == CVS_F64) && t->data) {
        cvs_tensor wide = {0};
        cvi_script_set(s, cvs_tensor_convert(t, CVS_F32, &wide, s->err));
        if (cvi_script_ok(s)) {
            used = wide;
            used.owned = false;
            used.data = cvi_arena_raw(s->arena, (int64_t)CVI_MAX(wide.bytes, 1));
            if (used.data) {
                memcpy(used.data, wide.data, wide.bytes);
            }
            cvi_script_set(s, used.data ? CVS_OK : cvi_no_memory(s->err, wide.bytes));
            s->model->widened |= half;
        }
        cvs_tensor_free(&wide);
    }
    return cvi_script_tensor(cvi_script_constant(s, name, &used));
}

static script_value from_pickle(script *s, const char *path, const cvi_pickle *p, int depth);

static script_value list_from_pickle(script *s, const char *path, const cvi_pickle *p, int depth) {
    int n = (int)CVI_MIN(p->n, MAX_LIST);
    script_value *item = cvi_arena_alloc(s->arena, CVI_MAX(n, 1), sizeof *item);
    if (!item) {
        cvi_script_set(s, cvi_no_memory(s->err, 0));
        return cvi_script_none();
    }
    for (int i = 0; i < n; i++) {
        char *name = cvi_arena_printf(s->arena, "%s.%d", path, i);
        item[i] = from_pickle(s, name ? name : path, p->item[i], depth + 1);
    }
    return cvi_script_list(s, n, item);
}

static script_value from_pickle(script *s, const char *path, const cvi_pickle *p, int depth) {
    bool is = false;
    cvs_tensor t = {0};
    if (!p || !cvi_script_ok(s) || depth > 8 || ++s->steps > MAX_STEPS) {
        return cvi_script_none();
    }
    int known = cvi_graph_find(s->g, path);
    if (known >= 0 && s->g->values[known].constant) {
        return cvi_script_tensor(known);
    }
    cvi_script_set(s, cvi_torch_tensor(s->torch, p, &is, &t));
    if (is) {
        return tensor_value(s, path, &t, false);
    }
    switch (p->kind) {
    case CVI_PK_BOOL:
        return cvi_script_bool(p->i != 0);
    case CVI_PK_INT:
        return cvi_script_int(p->i);
    case CVI_PK_FLOAT:
        return cvi_script_float(p->f);
    case CVI_PK_TEXT:
        return (script_value){.kind = SCRIPT_V_STRING, .s = p->text, .v = -1};
    case CVI_PK_LIST:
    case CVI_PK_TUPLE:
        return list_from_pickle(s, path, p, depth);
    case CVI_PK_DICT: {
        script_value d = list_from_pickle(s, path, p, depth);
        d.kind = d.kind == SCRIPT_V_LIST && *d.shared_n % 2 == 0 ? SCRIPT_V_DICT : SCRIPT_V_NONE;
        return d;
    }
    case CVI_PK_OBJECT:
        if (strncmp(cvi_pickle_maker(p), "__torch__.torch.classes.xnnpack.", 32) ==
            0) { /* weights and settings */
            return from_pickle(s, path, p->state, depth + 1);
        }
        if (is_module(p)) {
            return (script_value){.kind = SCRIPT_V_MODULE, .s = path, .object = p, .v = -1};
        }
        if (strncmp(cvi_pickle_maker(p), "torch.jit._pickle.", 18) ==
            0) { /* a list or dictionary with its type */
            return from_pickle(s, path, cvi_pickle_item(p->args, 0), depth + 1);
        }
        return cvi_script_none();
    default:
        return cvi_script_none();
    }
}

script_value cvi_script_from_pickle(script *s, const char *path, const cvi_pickle *p) {
    return from_pickle(s, path, p, 0);
}

/* An attribute of a module: parameters become constants of the graph. */
static script_value attribute_of(script *s, script_value self, const char *name) {
    if (strcmp(name, "training") == 0) {
        return cvi_script_bool(false); /* a model is opened to be looked at */
    }
    const cvi_pickle *state = self.object->state;
    const cvi_pickle *p = cvi_pickle_get(state, name);
    char *path = cvi_arena_printf(s->arena, "%s%s%s", self.s, *self.s ? "." : "", name);
    if (!path) {
        cvi_script_set(s, cvi_no_memory(s->err, 0));
        return cvi_script_none();
    }
    return from_pickle(s, path, p, 0);
}

static script_value constant(script *s, const char *name) {
    char *end = NULL;
    long k = strncmp(name, "CONSTANTS.c", 11) == 0 ? strtol(name + 11, &end, 10) : -1;
    const cvi_pickle *p = k >= 0 && !*end ? cvi_pickle_item(s->constants, k) : NULL;
    bool is = false;
    cvs_tensor t = {0};
    if (!p) {
        return cvi_script_refuse(s, name);
    }
    const char *folder = s->torch->folder;
    s->torch->folder = "constants/";
    cvi_script_set(s, cvi_torch_tensor(s->torch, p, &is, &t));
    script_value v = is && cvi_script_ok(s) ? tensor_value(s, name, &t, true) : from_pickle(s, name, p, 0);
    s->torch->folder = folder;
    return v;
}

/* ---- calls ------------------------------------------------------------------------------------------------------- */

/* Binds arguments to parameters and runs the body. `self` counts as the first argument of a method. */
static script_value call_function(script *s, const script_function *fn, const script_args *a,
                                  const script_value *self) {
    script_frame f = {0};
    int first = self != NULL;
    if (++s->depth > MAX_CALLS) {
        cvi_script_set(s, cvi_fail(s->err, CVS_E_LIMIT, "the code is nested too deeply"));
        return cvi_script_none();
    }
    for (int i = 0; i < fn->n && cvi_script_ok(s); i++) {
        script_value v = cvi_script_none();
        bool found = i == 0 && self;
        if (found) {
            v = *self;
        } else if (i - first < a->n) {
            v = a->arg[i - first];
            found = true;
        }
        for (int k = 0; k < a->n_named && !found; k++) {
            if (strcmp(a->key[k], fn->param[i]) == 0) {
                v = a->named[k];
                found = true;
            }
        }
        if (!found && fn->initial[i]) {
            v = eval(s, &f, fn->initial[i]);
        }
        set_variable(s, &f, fn->param[i], v);
    }
    run_body(s, &f, &fn->body);
    s->depth--;
    return f.returned ? f.result : cvi_script_none();
}

static script_value call_method(script *s, script_value self, const char *method, const script_args *a) {
    const script_function *fn = find_function(s, cvi_pickle_maker(self.object), method);
    if (!fn) {
        return cvi_script_refuse(s, method);
    }
    const char *place = s->place;
    bool leaf = s->leaf, named = s->named;
    s->place = self.s;
    s->leaf = !has_modules(self.object);
    s->named = false;
    script_value v = call_function(s, fn, a, &self);
    s->place = place;
    s->leaf = leaf;
    s->named = named;
    return v;
}

static script_value call_append(script *s, script_value list, script_value item) {
    int n = *list.shared_n;
    if (n >= MAX_LIST) {
        return cvi_script_refuse(s, "append");
    }
    script_value *bigger = cvi_arena_alloc(s->arena, n + 1, sizeof *bigger);
    if (!bigger) {
        cvi_script_set(s, cvi_no_memory(s->err, 0));
        return cvi_script_none();
    }
    if (n > 0) {
        memcpy(bigger, *list.shared, (size_t)n * sizeof *bigger);
    }
    bigger[n] = item;
    *list.shared = bigger;
    *list.shared_n = n + 1;
    return cvi_script_none();
}

static bool eval_args(script *s, script_frame *f, const script_expr *e, script_args *a) {
    *a = (script_args){.arg = cvi_arena_alloc(s->arena, e->n + 1, sizeof *a->arg),
                       .named = cvi_arena_alloc(s->arena, e->n + 1, sizeof *a->named),
                       .key = cvi_arena_alloc(s->arena, e->n + 1, sizeof *a->key)};
    if (!a->arg || !a->named || !a->key) {
        cvi_script_set(s, cvi_no_memory(s->err, 0));
        return false;
    }
    for (int i = 0; i < e->n && cvi_script_ok(s); i++) {
        script_value v = eval(s, f, e->item[i]);
        if (e->names[i]) {
            a->key[a->n_named] = e->names[i];
            a->named[a->n_named++] = v;
        } else {
            a->arg[a->n++] = v;
        }
    }
    return cvi_script_ok(s);
}

static script_value call(script *s, script_frame *f, const script_expr *e) {
    script_args a;
    const script_expr *callee = e->left;
    if (callee->kind == SCRIPT_ATTR) {
        script_value self = eval(s, f, callee->left);
        if (!cvi_script_ok(s) || (self.kind != SCRIPT_V_NAME && !eval_args(s, f, e, &a))) {
            return cvi_script_none();
        }
        if (self.kind == SCRIPT_V_MODULE) {
            return call_method(s, self, callee->text, &a);
        }
        if (self.kind == SCRIPT_V_LIST && strcmp(callee->text, "append") == 0 && a.n == 1) {
            return call_append(s, self, a.arg[0]);
        }
        if (self.kind != SCRIPT_V_NAME) {
            return cvi_script_refuse(s, callee->text);
        }
    }
    script_value name = eval(s, f, callee);
    if (!cvi_script_ok(s) || name.kind != SCRIPT_V_NAME) {
        return cvi_script_refuse(s, callee->text ? callee->text : "a call");
    }
    if ((strcmp(name.s, "annotate") == 0 || strcmp(name.s, "unchecked_cast") == 0 ||
         strcmp(name.s, "uninitialized") == 0) &&
        e->n > 0) { /* the type before the value is no value */
        return e->n > 1 ? eval(s, f, e->item[e->n - 1]) : cvi_script_none();
    }
    if (!eval_args(s, f, e, &a)) {
        return cvi_script_none();
    }
    if (strcmp(name.s, "getattr") == 0 && a.n == 2 && a.arg[0].kind == SCRIPT_V_MODULE &&
        a.arg[1].kind == SCRIPT_V_STRING) {
        return attribute_of(s, a.arg[0], a.arg[1].s);
    }
    if (strncmp(name.s, "__torch__.", 10) == 0) {
        const script_function *fn = find_function(s, name.s, NULL);
        return fn                 ? call_function(s, fn, &a, NULL)
               : cvi_script_ok(s) ? cvi_script_list(s, a.n, a.arg) /* a named tuple */
                                  : cvi_script_none();
    }
    a.name = name.s;
    return cvi_script_call(s, &a);
}

/* ---- expressions --------------------------------------------------------------------------------------------------- */

static script_value lookup(script *s, script_frame *f, const char *name) {
    for (int i = f->n - 1; i >= 0; i--) {
        if (strcmp(f->var[i].name, name) == 0) {
            return f->var[i].value;
        }
    }
    if (strcmp(name, "None") == 0) {
        return cvi_script_none();
    }
    if (strcmp(name, "True") == 0 || strcmp(name, "False") == 0) {
        return cvi_script_bool(*name == 'T');
    }
    if (strcmp(name, "inf") == 0 || strcmp(name, "nan") == 0) {
        return cvi_script_float(*name == 'i' ? (double)__builtin_inff() : (double)__builtin_nanf(""));
    }
    (void)s;
    return (script_value){.kind = SCRIPT_V_NAME, .s = name, .v = -1};
}

static script_value attribute(script *s, script_frame *f, const script_expr *e) {
    script_value left = eval(s, f, e->left);
    if (!cvi_script_ok(s)) {
        return left;
    }
    if (left.kind == SCRIPT_V_MODULE) {
        return attribute_of(s, left, e->text);
    }
    if (left.kind != SCRIPT_V_NAME) {
        return cvi_script_none(); /* x.device and the like */
    }
    const char *name = cvi_arena_printf(s->arena, "%s.%s", left.s, e->text);
    if (!name) {
        cvi_script_set(s, cvi_no_memory(s->err, 0));
        return cvi_script_none();
    }
    return strcmp(left.s, "CONSTANTS") == 0 ? constant(s, name)
                                            : (script_value){.kind = SCRIPT_V_NAME, .s = name, .v = -1};
}

static script_value index_value(script *s, script_frame *f, const script_expr *e) {
    script_value left = eval(s, f, e->left), at = e->n == 1 ? eval(s, f, e->item[0]) : cvi_script_none();
    if (!cvi_script_ok(s)) {
        return left;
    }
    if (left.kind == SCRIPT_V_NAME) { /* a type: List[int] */
        return left;
    }
    if (left.kind == SCRIPT_V_LIST && at.kind == SCRIPT_V_INT) {
        int64_t i = at.i[0] < 0 ? at.i[0] + *left.shared_n : at.i[0];
        return i >= 0 && i < *left.shared_n ? (*left.shared)[i]
                                            : cvi_script_refuse(s, "an index beyond a list");
    }
    if (left.kind == SCRIPT_V_DICT && at.kind == SCRIPT_V_STRING) {
        for (int i = 0; i + 1 < *left.shared_n; i += 2) {
            const script_value *key = &(*left.shared)[i];
            if (key->kind == SCRIPT_V_STRING && strcmp(key->s, at.s) == 0) {
                return (*left.shared)[i + 1];
            }
        }
    }
    return cvi_script_refuse(s, "an index");
}

/* Operators written as signs are calls of torch in disguise. */
static script_value operators(script *s, script_frame *f, const script_expr *e) {
    static const struct {
        const char *sign, *name;
    } names[] = {{"+", "torch.add"},  {"-", "torch.sub"},       {"*", "torch.mul"},
                 {"/", "torch.div"},  {"//", "torch.floordiv"}, {"%", "torch.remainder"},
                 {"**", "torch.pow"}, {"==", "torch.eq"},       {"!=", "torch.ne"},
                 {"<", "torch.lt"},   {">", "torch.gt"},        {"<=", "torch.le"},
                 {">=", "torch.ge"},  {"is", "torch.__is__"},   {"is not", "torch.__isnot__"}};
    script_value arg[2] = {eval(s, f, e->left), cvi_script_none()};
    if (e->kind == SCRIPT_UNARY) {
        if (!cvi_script_ok(s) || strcmp(e->text, "not") == 0) {
            return cvi_script_bool(!cvi_script_true(s, &arg[0]));
        }
        return cvi_script_call(s, &(script_args){.name = "torch.neg", .n = 1, .arg = arg});
    }
    if (strcmp(e->text, "and") == 0 || strcmp(e->text, "or") == 0) {
        bool left = cvi_script_ok(s) && cvi_script_true(s, &arg[0]);
        return left == (*e->text == 'o') || !cvi_script_ok(s) ? arg[0] : eval(s, f, e->right);
    }
    arg[1] = eval(s, f, e->right);
    for (int i = 0; i < CVI_COUNT(names) && cvi_script_ok(s); i++) {
        if (strcmp(names[i].sign, e->text) == 0) {
            return cvi_script_call(s, &(script_args){.name = names[i].name, .n = 2, .arg = arg});
        }
    }
    return cvi_script_refuse(s, e->text);
}

static script_value eval_deep(script *s, script_frame *f, const script_expr *e);

static bool deeper(script *s) {
    if (++s->nesting > MAX_NESTING) {
        cvi_script_set(s, cvi_fail(s->err, CVS_E_LIMIT, "the code is nested too deeply"));
    }
    return cvi_script_ok(s);
}

static script_value eval(script *s, script_frame *f, const script_expr *e) {
    script_value v = cvi_script_ok(s) && deeper(s) ? eval_deep(s, f, e) : cvi_script_none();
    s->nesting -= cvi_script_ok(s);
    return v;
}

static script_value eval_deep(script *s, script_frame *f, const script_expr *e) {
    if (++s->steps > MAX_STEPS) {
        cvi_script_set(s, cvi_fail(s->err, CVS_E_LIMIT, "the code runs too long"));
        return cvi_script_none();
    }
    switch (e->kind) {
    case SCRIPT_NAME:
        return lookup(s, f, e->text);
    case SCRIPT_INT:
        return cvi_script_int(e->i);
    case SCRIPT_FLOAT:
        return cvi_script_float(e->f);
    case SCRIPT_STRING:
        return (script_value){.kind = SCRIPT_V_STRING, .s = e->text, .v = -1};
    case SCRIPT_ATTR:
        return attribute(s, f, e);
    case SCRIPT_CALL:
        return call(s, f, e);
    case SCRIPT_INDEX:
        return index_value(s, f, e);
    case SCRIPT_UNARY:
    case SCRIPT_BINARY:
        return operators(s, f, e);
    case SCRIPT_LIST:
    case SCRIPT_TUPLE:
    case SCRIPT_DICT:
        break;
    }
    script_value *item = cvi_arena_alloc(s->arena, CVI_MAX(e->n, 1), sizeof *item);
    if (!item) {
        cvi_script_set(s, cvi_no_memory(s->err, 0));
        return cvi_script_none();
    }
    for (int i = 0; i < e->n; i++) {
        item[i] = eval(s, f, e->item[i]);
    }
    script_value list = cvi_script_list(s, e->n, item);
    list.kind = cvi_script_ok(s) && e->kind == SCRIPT_DICT ? SCRIPT_V_DICT : list.kind;
    return list;
}

/* ---- statements ------------------------------------------------------------------------------------------------------- */

static void assign(script *s, script_frame *f, const script_statement *st) {
    script_value v = eval(s, f, st->value);
    if (!cvi_script_ok(s) || st->n_targets == 0) {
        return;
    }
    if (st->n_targets == 1) {
        set_variable(s, f, st->target[0], v);
        return;
    }
    int n = st->n_targets == -1 ? 1 : st->n_targets;
    if (v.kind == SCRIPT_V_TENSOR &&
        s->n_opaque > 0) { /* a call that is not known: its first output stands for all */
        for (int i = 0; i < n; i++) {
            set_variable(s, f, st->target[i], i == 0 ? v : cvi_script_none());
        }
        return;
    }
    if (v.kind != SCRIPT_V_LIST || *v.shared_n < n) {
        cvi_script_refuse(s, "unpacking");
        return;
    }
    for (int i = 0; i < n; i++) {
        set_variable(s, f, st->target[i], (*v.shared)[i]);
    }
}

static void loop(script *s, script_frame *f, const script_statement *st) {
    script_value over = eval(s, f, st->value);
    if (!cvi_script_ok(s)) {
        return;
    }
    if (over.kind != SCRIPT_V_LIST) {
        cvi_script_refuse(s, "for");
        return;
    }
    for (int i = 0; i < *over.shared_n && cvi_script_ok(s) && !f->returned; i++) {
        set_variable(s, f, st->target[0], (*over.shared)[i]);
        run_body(s, f, &st->body);
    }
}

static void run_body(script *s, script_frame *f, const script_body *body) {
    if (!deeper(s)) {
        return;
    }
    for (int i = 0; i < body->n && cvi_script_ok(s) && !f->returned; i++) {
        const script_statement *st = body->statement[i];
        script_value v;
        switch (st->kind) {
        case SCRIPT_ASSIGN:
            assign(s, f, st);
            break;
        case SCRIPT_RETURN:
            f->result = st->value ? eval(s, f, st->value) : cvi_script_none();
            f->returned = true;
            break;
        case SCRIPT_IF:
            v = eval(s, f, st->value);
            if (cvi_script_ok(s)) {
                bool yes = cvi_script_true(s, &v);
                run_body(s, f, yes ? &st->body : &st->otherwise);
            }
            break;
        case SCRIPT_FOR:
            loop(s, f, st);
            break;
        case SCRIPT_WHILE:
            for (;;) {
                v = eval(s, f, st->value);
                if (!cvi_script_ok(s) || !cvi_script_true(s, &v) || f->returned) {
                    break;
                }
                run_body(s, f, &st->body);
            }
            break;
        }
    }
    s->nesting--;
}

/* ---- the whole ------------------------------------------------------------------------------------------------------------ */

script_value cvi_script_forward(script *s, script_value self, const script_value *args, int n) {
    script_args a = {.n = n, .arg = cvi_arena_alloc(s->arena, CVI_MAX(n, 1), sizeof *args)};
    if (!a.arg) {
        cvi_script_set(s, cvi_no_memory(s->err, 0));
        return cvi_script_none();
    }
    memcpy(a.arg, args, (size_t)n * sizeof *args);
    return call_method(s, self, "forward", &a);
}

int cvi_script_inputs(script *s, script_value self, const char **names, int max) {
    const script_function *fn = find_function(s, cvi_pickle_maker(self.object), "forward");
    int n = 0;
    for (int i = 1; fn && i < fn->n && n < max; i++) {
        if (!fn->initial[i]) {
            names[n++] = fn->param[i];
        }
    }
    return fn ? n : -1;
}

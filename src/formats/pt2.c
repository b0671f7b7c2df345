/* SPDX-License-Identifier: MIT
 * pt2.c - reader of torch.export archives (.pt2): a graph of ATen calls as JSON, weights as raw bytes, or in a PyTorch archive inside
 * the archive. Calls become nodes by the same rows as TorchScript's (script.h). The schema is that of torch/_export/serde/schema.py, 8.x, and
 * of the files before PyTorch 2.8. Compiled code in an archive (AOTInductor) is never looked at.
 */
#include <stdlib.h>

#include "formats/script.h"

typedef struct pt2 {
    script s;
    cvi_torch torch;
    cvi_zip *zip;
    const char *root;  /* "archive/", or "" in older files */
    const char *model; /* name of the model in the archive */
    cvi_state state;   /* weights and constants */
    json_t *places;    /* name in the graph -> index into values */
    script_value *values;
    int n_values, cap_values;
    const json_t *graph;
    const char *last; /* module of the node before */
    bool fixed;       /* the graph holds for the sizes of the export only */
} pt2;

/* ---- finding it --------------------------------------------------------------------------------------------- */

static bool ends(const char *s, const char *suffix, size_t *n) {
    size_t k = strlen(s), m = strlen(suffix);
    *n = k >= m ? k - m : 0;
    return k >= m && strcmp(s + *n, suffix) == 0;
}

/* The first entry models/NAME.json beneath the folder with archive_format, or the older name. root and model in the arena. */
static const cvi_zip_entry *find_graph(const cvi_zip *z, cvi_arena *arena, const char **root,
                                       const char **model) {
    size_t n = 0;
    const cvi_zip_entry *old = cvi_zip_find(z, "serialized_exported_program.json");
    if (old) {
        *root = "";
        *model = "";
        return old;
    }
    for (int i = 0; i < cvi_zip_count(z); i++) {
        if (!ends(cvi_zip_at(z, i)->name, "archive_format", &n)) {
            continue;
        }
        const char *folder = cvi_arena_strn(arena, cvi_zip_at(z, i)->name, n);
        for (int k = 0; folder && k < cvi_zip_count(z); k++) {
            const char *name = cvi_zip_at(z, k)->name;
            size_t end = 0;
            if (strncmp(name, folder, n) == 0 && strncmp(name + n, "models/", 7) == 0 &&
                ends(name, ".json", &end)) {
                *root = folder;
                *model = end >= n + 7 ? cvi_arena_strn(arena, name + n + 7, end - n - 7) : NULL;
                return *model ? cvi_zip_at(z, k) : NULL;
            }
        }
    }
    return NULL;
}

static int match(const cvi_open *open) {
    if (!open->zip) {
        return 0;
    }
    const char *root = NULL, *model = NULL;
    cvi_arena *arena = cvi_arena_new(1 << 22);
    int score = arena && find_graph(open->zip, arena, &root, &model) ? 96 : 0;
    cvi_arena_free(arena);
    return score;
}

static cvs_status entry(pt2 *p, const char *name, const uint8_t **out, int64_t *n, bool *checked) {
    char full[700];
    *out = NULL;
    int length = snprintf(full, sizeof full, "%s%s", p->root, name);
    const cvi_zip_entry *e = length > 0 && (size_t)length < sizeof full ? cvi_zip_find(p->zip, full) : NULL;
    if (e && !e->folder) {
        CVI_TRY(cvi_zip_read(p->zip, e, p->s.arena, out, checked, p->s.err));
        *n = e->size;
    }
    return CVS_OK;
}

/* Python writes -Infinity, Infinity and NaN, which JSON has not: as texts, which as_float may be too. */
static bool quote_infinite(cvi_arena *arena, const char **text, int64_t *size) {
    static const char *const words[] = {"-Infinity", "Infinity", "NaN"};
    const char *from = *text, *end = from + *size;
    int64_t n = 0;
    bool quoted = false;
    for (const char *c = from; c < end; c++) {
        n += *c == 'I' || *c == 'N';
    }
    char *out = n > 0 ? cvi_arena_raw(arena, *size + 2 * n) : NULL, *to = out;
    if (!out) {
        return n == 0;
    }
    while (from < end) {
        const char *word = NULL;
        for (int i = 0; i < CVI_COUNT(words) && !quoted && !word; i++) {
            size_t k = strlen(words[i]);
            word = (size_t)(end - from) >= k && memcmp(from, words[i], k) == 0 ? words[i] : NULL;
        }
        if (word) {
            size_t k = strlen(word);
            *to++ = '"';
            memcpy(to, word, k);
            to += k;
            *to++ = '"';
            from += k;
            continue;
        }
        if (quoted && *from == '\\' && from + 1 < end) {
            *to++ = *from++;
        } else if (*from == '"') {
            quoted = !quoted;
        }
        *to++ = *from++;
    }
    *text = out;
    *size = to - out;
    return true;
}

static cvs_status json_entry(pt2 *p, const char *name, json_t **out) {
    const uint8_t *text = NULL;
    int64_t n = 0;
    *out = NULL;
    CVI_TRY(entry(p, name, &text, &n, NULL));
    const char *json = (const char *)text;
    if (!text) {
        return CVS_OK;
    }
    return quote_infinite(p->s.arena, &json, &n)
               ? cvi_at_attr(p->s.err, cvi_json_parse(json, (size_t)n, out, p->s.err), name)
               : cvi_no_memory(p->s.err, (size_t)n);
}

/* ---- weights --------------------------------------------------------------------------------------------------- */

/* Element types as torch.export numbers them. */
static cvs_dtype type_of(int64_t number) {
    static const cvs_dtype types[] = {CVS_NONE, CVS_U8,  CVS_I8,   CVS_I16,  CVS_I32,  CVS_I64,  CVS_F16,
                                      CVS_F32,  CVS_F64, CVS_NONE, CVS_NONE, CVS_NONE, CVS_BOOL, CVS_BF16};
    return number >= 0 && number < CVI_COUNT(types) ? types[number] : CVS_NONE;
}

/* [{"as_int": 3}, ...]: false when one depends on the input */
static bool fixed_numbers(const json_t *list, int64_t *out, int *n) {
    *n = (int)CVI_MIN(json_array_size(list), CVS_MAX_RANK + 1);
    bool ok = json_is_array(list) && *n <= CVS_MAX_RANK;
    for (int i = 0; ok && i < *n; i++) {
        const json_t *v = json_object_get(json_array_get(list, (size_t)i), "as_int");
        out[i] = json_integer_value(v);
        ok = json_is_integer(v) && out[i] >= 0;
    }
    return ok;
}

/* A tensor of raw bytes, described by its meta; strides other than row-major are followed by a call of the unpickler's code. */
static cvs_status raw_tensor(pt2 *p, const char *name, const json_t *meta, const uint8_t *bytes,
                             int64_t size) {
    cvs_tensor t = {.dtype = type_of(cvi_json_int(meta, "dtype", 0))};
    int64_t stride[CVS_MAX_RANK + 1], row = 1, at = 0, needed = 0, count = 0;
    int n_strides = 0;
    const json_t *offset = json_object_get(meta, "storage_offset");
    bool ok = t.dtype != CVS_NONE && fixed_numbers(json_object_get(meta, "sizes"), t.dim, &t.rank) &&
              fixed_numbers(json_object_get(meta, "strides"), stride, &n_strides) && n_strides == t.rank;
    at = cvi_json_int(offset, "as_int", 0);
    for (int i = t.rank - 1; ok && i >= 0; i--) {
        ok = (t.dim[i] <= 1 || stride[i] == row) && cvi_mul(row, CVI_MAX(t.dim[i], 1), &row);
    }
    count = ok ? cvs_tensor_count(&t) : -1;
    ok = ok && count >= 0 && cvi_add(at, count, &needed) &&
         cvi_mul(needed, (int64_t)cvs_dtype_size(t.dtype), &needed) && needed <= size;
    if (!ok) {
        return cvi_at_attr(p->s.err,
                           cvi_fail(p->s.err, CVS_E_FORMAT, "the sizes and strides of a tensor are damaged"),
                           name);
    }
    size_t element = cvs_dtype_size(t.dtype);
    const uint8_t *from = bytes + (size_t)at * element;
    t.bytes = (size_t)count * element;
    t.data = (void *)(uintptr_t)from;
    if (t.bytes > 0 && (uintptr_t)from % element != 0) {
        t.data = cvi_arena_raw(p->s.arena, (int64_t)t.bytes);
        if (!t.data) {
            return cvi_no_memory(p->s.err, t.bytes);
        }
        memcpy(t.data, from, t.bytes);
    }
    return cvi_state_add(&p->state, name, &t, p->s.err);
}

/* data/weights/NAME_weights_config.json: where the bytes of each tensor are */
static cvs_status raw_tensors(pt2 *p, const char *folder, const char *kind, bool *found) {
    char name[400];
    json_t *json = NULL, *one;
    const char *key;
    snprintf(name, sizeof name, "%s%.200s_%s_config.json", folder, p->model, kind);
    CVI_TRY(json_entry(p, name, &json));
    *found = json != NULL;
    json_t *config = json_object_get(json, "config");
    cvs_status s = CVS_OK;
    json_object_foreach(config, key, one) {
        const uint8_t *bytes = NULL;
        int64_t n = 0;
        bool good = true;
        if (cvi_json_bool(one, "use_pickle", false)) {
            continue; /* an object of Python */
        }
        snprintf(name, sizeof name, "%s%.200s", folder, cvi_json_string(one, "path_name", "?"));
        s = entry(p, name, &bytes, &n, &good);
        p->torch.wrong_sums += !good;
        if (s == CVS_OK && !bytes) {
            s = cvi_fail(p->s.err, CVS_E_FORMAT, "the numbers \"%.60s\" of a tensor are not in the file",
                         name);
        }
        s = s == CVS_OK ? raw_tensor(p, key, json_object_get(one, "tensor_meta"), bytes, n) : s;
        if (s != CVS_OK) {
            break;
        }
    }
    json_decref(json);
    return s;
}

/* A PyTorch archive as an entry: a dictionary of tensors. */
static cvs_status inner_archive(pt2 *p, const char *name) {
    const uint8_t *bytes = NULL;
    int64_t n = 0;
    cvi_torch t = {.model = p->s.model, .err = p->s.err, .folder = "data/"};
    cvi_pickle *root = NULL;
    CVI_TRY(entry(p, name, &bytes, &n, NULL));
    if (!bytes || n == 0) {
        return CVS_OK;
    }
    CVI_TRY(
        cvi_at_attr(p->s.err, cvi_zip_open(bytes, (size_t)n, &p->s.model->limits, &t.zip, p->s.err), name));
    for (int i = 0; i < cvi_zip_count(t.zip) && !t.root; i++) {
        size_t end = 0;
        const char *e = cvi_zip_at(t.zip, i)->name;
        t.root = ends(e, "/data.pkl", &end) ? cvi_arena_strn(p->s.arena, e, end) : NULL;
    }
    cvs_status s = t.root ? cvi_torch_pickle(&t, "data.pkl", &root)
                          : cvi_fail(p->s.err, CVS_E_FORMAT, "the zip archive is cut off or damaged");
    s = s == CVS_OK && root ? cvi_torch_collect(&t, root, &p->state) : s;
    s = s == CVS_OK ? cvi_torch_notes(&t) : s;
    cvi_zip_close(t.zip);
    return s == CVS_OK ? s : cvi_at_attr(p->s.err, s, name);
}

static cvs_status read_tensors(pt2 *p) {
    char name[400];
    bool found = false;
    if (!*p->model) {
        CVI_TRY(inner_archive(p, "serialized_state_dict.pt"));
        CVI_TRY(inner_archive(p, "serialized_constants.pt"));
    } else {
        CVI_TRY(raw_tensors(p, "data/weights/", "weights", &found));
        if (!found) {
            snprintf(name, sizeof name, "data/weights/%.200s.pt", p->model);
            CVI_TRY(inner_archive(p, name));
        }
        CVI_TRY(raw_tensors(p, "data/constants/", "constants", &found));
        if (!found) {
            snprintf(name, sizeof name, "data/constants/%.200s.pt", p->model);
            CVI_TRY(inner_archive(p, name));
        }
    }
    return cvi_state_done(&p->state, p->s.err);
}

/* ---- names and arguments ---------------------------------------------------------------------------------------- */

static void define(pt2 *p, const char *name, script_value v) {
    script *s = &p->s;
    if (!name || !cvi_script_ok(s)) {
        return;
    }
    if (p->n_values == p->cap_values) {
        int room = CVI_MAX(64, 2 * p->cap_values);
        script_value *bigger = cvi_arena_alloc(s->arena, room, sizeof *bigger);
        if (!bigger) {
            cvi_script_set(s, cvi_no_memory(s->err, 0));
            return;
        }
        if (p->n_values > 0) {
            memcpy(bigger, p->values, (size_t)p->n_values * sizeof *bigger);
        }
        p->values = bigger;
        p->cap_values = room;
    }
    p->values[p->n_values] = v;
    if (json_object_set_new(p->places, name, json_integer(p->n_values++)) != 0) {
        cvi_script_set(s, cvi_no_memory(s->err, 0));
    }
}

static script_value named(pt2 *p, const char *name) {
    const json_t *at = json_object_get(p->places, name);
    if (!at) {
        return cvi_script_refuse(&p->s, name);
    }
    return p->values[json_integer_value(at)];
}

static script_value argument(pt2 *p, const json_t *arg, int depth);

static script_value list_argument(pt2 *p, const json_t *list, int depth) {
    int n = (int)CVI_MIN(json_array_size(list), 4096);
    script_value *item = cvi_arena_alloc(p->s.arena, CVI_MAX(n, 1), sizeof *item);
    if (!item) {
        cvi_script_set(&p->s, cvi_no_memory(p->s.err, 0));
        return cvi_script_none();
    }
    for (int i = 0; i < n; i++) {
        const json_t *e = json_array_get(list, (size_t)i);
        const char *name = cvi_json_string(e, "name", NULL);
        item[i] = json_is_boolean(e)   ? cvi_script_bool(json_is_true(e))
                  : json_is_integer(e) ? cvi_script_int(json_integer_value(e))
                  : json_is_real(e)    ? cvi_script_float(json_real_value(e))
                  : name               ? named(p, name)
                                       : argument(p, e, depth + 1);
    }
    return cvi_script_list(&p->s, n, item);
}

/* An element type by the number that torch itself gives it, as TorchScript's code has them. */
static script_value scalar_type(int64_t number) {
    return number < 1 || number > 13 ? cvi_script_none() : cvi_script_int(number == 13 ? 15 : number - 1);
}

/* One argument: an object with the one key that says what it is. */
static script_value argument(pt2 *p, const json_t *arg, int depth) {
    static const char *const lists[] = {"as_ints",    "as_floats",   "as_bools",
                                        "as_tensors", "as_sym_ints", "as_optional_tensors"};
    const json_t *v;
    for (int i = 0; i < CVI_COUNT(lists) && depth < 8; i++) {
        if ((v = json_object_get(arg, lists[i]))) {
            return list_argument(p, v, depth);
        }
    }
    if ((v = json_object_get(arg, "as_tensor"))) {
        return named(p, cvi_json_string(v, "name", ""));
    }
    if (json_is_integer(v = json_object_get(arg, "as_int"))) {
        return cvi_script_int(json_integer_value(v));
    }
    if (json_is_number(v = json_object_get(arg, "as_float"))) {
        return cvi_script_float(json_number_value(v));
    }
    if (json_is_string(v = json_object_get(arg, "as_float"))) { /* "Infinity" and the like */
        return cvi_script_float(strtod(json_string_value(v), NULL));
    }
    if (json_is_boolean(v = json_object_get(arg, "as_bool"))) {
        return cvi_script_bool(json_is_true(v));
    }
    if (json_is_string(v = json_object_get(arg, "as_string"))) {
        return (script_value){.kind = SCRIPT_V_STRING, .s = json_string_value(v), .v = -1};
    }
    if (json_is_string(v = json_object_get(arg, "as_name"))) {
        return named(p, json_string_value(v));
    }
    if (json_is_integer(v = json_object_get(arg, "as_scalar_type"))) {
        return scalar_type(json_integer_value(v));
    }
    if (depth < 8 &&
        ((v = json_object_get(arg, "as_sym_int")) || (v = json_object_get(arg, "as_optional_tensor")))) {
        return argument(p, v, depth + 1);
    }
    return cvi_script_none();
}

/* ---- the graph ------------------------------------------------------------------------------------------------------ */

/* A dimension: a number, or an expression with the number that it had when exported. */
static void input_dim(const json_t *size, int axis, int64_t dim[2]) {
    const json_t *fixed = json_object_get(size, "as_int");
    const json_t *hint = json_object_get(json_object_get(json_object_get(size, "as_expr"), "hint"), "as_int");
    dim[0] = dim[1] = json_is_integer(fixed)  ? json_integer_value(fixed)
                      : json_is_integer(hint) ? json_integer_value(hint)
                                              : 2;
    dim[1] += json_is_integer(fixed) ? 0 : axis < 2 ? 1 : 64;
}

static cvs_status user_input(pt2 *p, const char *name) {
    script *s = &p->s;
    const json_t *meta = json_object_get(json_object_get(p->graph, "tensor_values"), name);
    const json_t *sizes = json_object_get(meta, "sizes");
    int64_t dim[CVS_MAX_RANK];
    cvs_tensor shape[2] = {{.dtype = type_of(cvi_json_int(meta, "dtype", 7))}, {0}};
    if (!json_is_array(sizes) || json_array_size(sizes) > CVS_MAX_RANK || shape[0].dtype == CVS_NONE) {
        return cvi_fail(s->err, CVS_E_FORMAT, "input %.100s is no tensor, so the model cannot be run", name);
    }
    shape[0].rank = (int)json_array_size(sizes);
    shape[1] = shape[0];
    for (int i = 0; i < shape[0].rank; i++) {
        int64_t both[2];
        input_dim(json_array_get(sizes, (size_t)i), i, both);
        both[1] = p->fixed ? both[0] : both[1];
        if (both[0] < 0 || both[0] > INT32_MAX) {
            return cvi_fail(s->err, CVS_E_FORMAT, "the sizes and strides of a tensor are damaged");
        }
        shape[0].dim[i] = both[0];
        shape[1].dim[i] = both[1];
        dim[i] = both[0] == both[1] ? both[0] : -1;
    }
    int v = cvi_graph_value(s->g, name, shape[0].dtype, shape[0].rank, dim, s->err);
    if (v < 0 || !cvi_graph_add_input(s->g, v)) {
        return cvi_no_memory(s->err, 0);
    }
    CVI_TRY(cvi_script_grow(s));
    for (int i = 2; i < shape[0].rank; i++) {
        s->g->values[v].usual[i] = dim[i] < 0 ? shape[0].dim[i] : 0;
    }
    s->shape[0][v] = shape[0];
    s->shape[1][v] = shape[1];
    define(p, name, cvi_script_tensor(v));
    return s->status;
}

/* Parameters, buffers and constants by the name that the signature gives them. */
static cvs_status add_inputs(pt2 *p, const json_t *signature) {
    static const char *const kinds[][2] = {{"parameter", "parameter_name"},
                                           {"buffer", "buffer_name"},
                                           {"tensor_constant", "tensor_constant_name"}};
    script *s = &p->s;
    size_t k;
    const json_t *spec;
    json_array_foreach(json_object_get(signature, "input_specs"), k, spec) {
        const json_t *user = json_object_get(json_object_get(spec, "user_input"), "arg");
        const char *name = cvi_json_string(json_object_get(user, "as_tensor"), "name", NULL);
        if (name) {
            CVI_TRY(user_input(p, name));
        }
        for (int i = 0; i < CVI_COUNT(kinds); i++) {
            const json_t *one = json_object_get(spec, kinds[i][0]);
            const char *stored = cvi_json_string(one, kinds[i][1], NULL);
            name = cvi_json_string(json_object_get(one, "arg"), "name", NULL);
            const cvs_tensor *t = stored ? cvi_state_find(&p->state, "%s", stored) : NULL;
            if (!one) {
                continue;
            }
            if (!t || !t->data) {
                return cvi_fail(s->err, CVS_E_FORMAT, "the numbers \"%.60s\" of a tensor are not in the file",
                                stored ? stored : "");
            }
            bool number = t->rank == 0 && t->dtype == CVS_I64;
            define(p, name,
                   number ? cvi_script_int(*(const int64_t *)t->data)
                          : cvi_script_tensor(cvi_script_constant(s, stored, t)));
        }
    }
    return s->status;
}

/* Where in the module a node stands, from "...;L__self___conv1,conv1,torch.nn.modules.conv.Conv2d". */
static void set_place(pt2 *p, const json_t *node) {
    script *s = &p->s;
    const char *stack = cvi_json_string(json_object_get(node, "metadata"), "nn_module_stack", "");
    const char *last = strrchr(stack, ';') ? strrchr(stack, ';') + 1 : stack;
    const char *path = strchr(last, ','), *type = path ? strchr(path + 1, ',') : NULL;
    s->place = type && type - path < 300 ? cvi_arena_strn(s->arena, path + 1, (size_t)(type - path - 1)) : "";
    s->place = s->place ? s->place : "";
    if (strncmp(s->place, "L['self'].", 10) == 0) {
        s->place += 10;
    }
    s->leaf = type && strncmp(type + 1, "torch.nn.modules.", 17) == 0 && !strstr(type, "Sequential");
    s->named = p->last && strcmp(p->last, s->place) == 0;
    p->last = s->place;
}

/* Whether an argument can only be given by name: newer files say so (kind 2), in older ones it is known. Such arguments stand last, and
 * which of them are there differs, so they have no place. */
static bool by_name_only(const json_t *input) {
    static const char *const names[] = {"dtype",         "layout",        "device",     "pin_memory",
                                        "memory_format", "rounding_mode", "correction", "generator"};
    const json_t *kind = json_object_get(input, "kind");
    const char *name = cvi_json_string(input, "name", "");
    bool known = false;
    for (int i = 0; i < CVI_COUNT(names); i++) {
        known |= strcmp(names[i], name) == 0;
    }
    return json_is_integer(kind) ? json_integer_value(kind) == 2 : known;
}

/* torch.ops.aten.conv2d.default(...) */
static cvs_status add_node(pt2 *p, const json_t *node) {
    script *s = &p->s;
    char name[200];
    const char *target = cvi_json_string(node, "target", "");
    const json_t *inputs = json_object_get(node, "inputs"), *outputs = json_object_get(node, "outputs");
    int n = (int)CVI_MIN(json_array_size(inputs), 64);
    script_args a = {.n_named = n, .by_name = true};
    a.arg = a.named = cvi_arena_alloc(s->arena, n + 1, sizeof *a.arg);
    a.key = cvi_arena_alloc(s->arena, n + 1, sizeof *a.key);
    if (!a.arg || !a.key) {
        return cvi_no_memory(s->err, 0);
    }
    for (int i = 0; i < n; i++) {
        const json_t *in = json_array_get(inputs, (size_t)i);
        a.arg[i] = argument(p, json_object_get(in, "arg"), 0);
        a.key[i] = cvi_json_string(in, "name", "");
        a.n += a.n == i && !by_name_only(in);
    }
    bool aten = strncmp(target, "torch.ops.aten.", 15) == 0;
    snprintf(name, sizeof name, "torch.%.150s",
             aten                                     ? target + 15
             : strncmp(target, "_operator.", 10) == 0 ? target + 10
                                                      : target);
    char *overload = aten ? strrchr(name + 6, '.') : NULL;
    if (overload) {
        *overload = 0;
    }
    a.name = strcmp(name, "torch.sym_size") == 0 ? "torch.size" : name;
    set_place(p, node);
    script_value v = cvi_script_ok(s) ? cvi_script_call(s, &a) : cvi_script_none();
    for (size_t i = 0; i < json_array_size(outputs) && cvi_script_ok(s); i++) {
        const json_t *out = json_array_get(outputs, i), *list = json_object_get(out, "as_tensors");
        script_value one = v;
        if (json_array_size(outputs) > 1 && v.kind == SCRIPT_V_LIST) {
            one = (int)i < *v.shared_n ? (*v.shared)[i] : cvi_script_none();
        } else if (i > 0) {
            one = cvi_script_none();
        }
        for (size_t k = 0; k < json_array_size(list) && one.kind == SCRIPT_V_LIST && (int)k < *one.shared_n;
             k++) {
            define(p, cvi_json_string(json_array_get(list, k), "name", NULL), (*one.shared)[k]);
        }
        define(p, cvi_json_string(json_object_get(out, "as_tensor"), "name", NULL), one);
        define(p, cvi_json_string(json_object_get(out, "as_sym_int"), "as_name", NULL), one);
    }
    return s->status;
}

static cvs_status add_outputs(pt2 *p, const json_t *signature) {
    script *s = &p->s;
    size_t k;
    const json_t *spec;
    json_array_foreach(json_object_get(signature, "output_specs"), k, spec) {
        const json_t *arg = json_object_get(json_object_get(spec, "user_output"), "arg");
        if (!json_object_get(arg, "as_tensor")) {
            continue;
        }
        script_value v = argument(p, arg, 0);
        int at = cvi_script_ok(s) ? cvi_script_graph(s, &v) : -1;
        bool given = at < 0 || s->g->values[at].constant;
        for (int i = 0; i < s->g->n_inputs; i++) {
            given |= s->g->inputs[i] == at;
        }
        if (given) {
            continue;
        }
        s->g->values[at].hidden = false;
        if (!cvi_graph_add_output(s->g, at)) {
            return cvi_no_memory(s->err, 0);
        }
    }
    if (cvi_script_ok(s) && s->g->n_outputs == 0) {
        return cvi_fail(s->err, CVS_E_FORMAT, "the exported graph returns no tensor");
    }
    return s->status;
}

/* The graph, with sizes left open as the file has them, or fixed. */
static cvs_status try_build(pt2 *p, const json_t *json) {
    script *s = &p->s;
    const json_t *module = json_object_get(json, "graph_module"),
                 *signature = json_object_get(module, "signature");
    size_t k;
    const json_t *node;
    p->graph = json_object_get(module, "graph");
    json_decref(p->places);
    p->places = json_object();
    p->n_values = 0;
    p->last = NULL;
    s->status = CVS_OK;
    s->fixed = s->leaf = s->named = false;
    s->n_shapes = s->n_opaque = 0;
    s->shape[0] = s->shape[1] = NULL;
    s->now = NULL;
    s->view = NULL;
    s->place = "";
    cvi_error_clear(s->err);
    s->g = s->model->graph = cvi_graph_new(s->model, NULL, "", s->err);
    if (!s->g || !p->places) {
        return cvi_no_memory(s->err, 0);
    }
    CVI_TRY(add_inputs(p, signature));
    json_array_foreach(json_object_get(p->graph, "nodes"), k, node) {
        CVI_TRY(cvi_at_attr(s->err, add_node(p, node), cvi_json_string(node, "target", "?")));
    }
    return add_outputs(p, signature);
}

static cvs_status build(pt2 *p, const json_t *json) {
    script *s = &p->s;
    cvs_status status = try_build(p, json);
    if (s->fixed) { /* somewhere a setting follows the input's size */
        p->fixed = true;
        status = try_build(p, json);
    }
    CVI_TRY(status);
    s->model->has_weights = true;
    s->model->producer =
        cvi_arena_printf(s->arena, "torch.export %.40s", cvi_json_string(json, "torch_version", ""));
    CVI_TRY(cvi_script_notes(s));
    CVI_TRY(cvi_torch_notes(&p->torch));
    cvi_script_drop_states(s);
    return s->model->producer ? cvi_graph_finish(s->g, s->err) : cvi_no_memory(s->err, 0);
}

static cvs_status read(cvi_open *open) {
    cvs_error own = {0};
    cvs_model *m = open->model;
    pt2 p = {
        .s = {.open = open, .model = m, .arena = m->arena, .err = open->err ? open->err : &own, .place = ""}};
    p.torch = (cvi_torch){.model = m, .err = p.s.err};
    p.s.torch = &p.torch;
    p.state = (cvi_state){.model = m, .exact = true};
    json_t *json = NULL;
    const void *data = open->file->data;
    size_t size = open->file->size;
    CVI_TRY(cvi_model_keep_file(m, open->file, p.s.err));
    CVI_TRY(cvi_zip_open(data, size, &open->limits, &p.zip, p.s.err));
    const cvi_zip_entry *e = find_graph(p.zip, m->arena, &p.root, &p.model);
    cvs_status s = e ? json_entry(&p, e->name + strlen(p.root), &json) : cvi_no_memory(p.s.err, 0);
    s = s == CVS_OK ? read_tensors(&p) : s;
    s = s == CVS_OK ? build(&p, json) : s;
    json_decref(p.places);
    json_decref(json);
    cvi_zip_close(p.zip);
    return s;
}

const cvi_reader cvi_reader_pt2 = {
    .name = "pt2", .title = "PyTorch export", .suffixes = ".pt2", .match = match, .read = read};

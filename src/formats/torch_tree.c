/* SPDX-License-Identifier: MIT
 * torch_tree.c - where the weights are in what people save with torch.save: a state_dict, a checkpoint with one inside, a whole module
 * with its parameters, buffers and submodules. Names join with dots. Objects of other classes stay inert and are noted.
 */
#include "formats/torch.h"

enum { MAX_DEPTH = 64, MAX_PATH = 1000 };

/* What is data to PyTorch's own loader of weights and needs no note. */
static const char *const harmless[] = {"collections.OrderedDict",
                                       "collections.defaultdict",
                                       "collections.Counter",
                                       "torch.Size",
                                       "torch.device",
                                       "torch._utils._rebuild_tensor",
                                       "torch._utils._rebuild_tensor_v2",
                                       "torch._utils._rebuild_tensor_v3",
                                       "torch._utils._rebuild_parameter",
                                       "torch._utils._rebuild_parameter_with_state",
                                       "builtins.set",
                                       "__builtin__.set",
                                       "builtins.dict",
                                       "_codecs.encode",
                                       "numpy.core.multiarray.scalar",
                                       "numpy._core.multiarray.scalar",
                                       "numpy.dtype"};
/* Where checkpoints keep the weights, in this order; and what they keep beside them. */
static const char *const inner[] = {"state_dict", "model_state_dict", "model_state",    "model",
                                    "net",        "network",          "module",         "ema_state_dict",
                                    "ema",        "params_ema",       "params",         "weights",
                                    "model_ema",  "ema_model",        "state_dict_ema", "generator",
                                    "G"};

/* Classes of storages, of modules and their code: what the tree is made of. */
static const char *const families[] = {"torch.nn.", "torchvision.", "__torch__.", "torch.jit._pickle.",
                                       "numpy."};

static bool is_harmless(const char *name) {
    size_t n = strlen(name);
    for (int i = 0; i < CVI_COUNT(harmless); i++) {
        if (strcmp(harmless[i], name) == 0) {
            return true;
        }
    }
    for (int i = 0; i < CVI_COUNT(families); i++) {
        if (strncmp(name, families[i], strlen(families[i])) == 0) {
            return true;
        }
    }
    bool own = strncmp(name, "torch.", 6) == 0 && !strchr(name + 6, '.'); /* torch.float32 */
    return own || (strncmp(name, "torch.", 6) == 0 && n > 7 && strcmp(name + n - 7, "Storage") == 0);
}

void cvi_torch_foreign(cvi_torch *t, const cvi_pickle *globals) {
    for (const cvi_pickle *g = globals; g && t->n_foreign < TORCH_MAX_FOREIGN; g = g->before) {
        bool known = is_harmless(g->text);
        for (int i = 0; i < t->n_foreign && !known; i++) {
            known = strcmp(t->foreign[i], g->text) == 0;
        }
        if (!known) {
            t->foreign[t->n_foreign++] = g->text;
        }
    }
}

/* Classes of modules are known by their state: _parameters, _buffers, _modules; TorchScript's keep attributes plainly. */
static bool is_module(const cvi_pickle *p) {
    return cvi_pickle_is(p, CVI_PK_OBJECT) && cvi_pickle_get(p->state, "_modules");
}

static bool is_scripted(const cvi_pickle *p) {
    return strncmp(cvi_pickle_maker(p), "__torch__.", 10) == 0;
}

typedef struct walk {
    cvi_torch *t;
    cvi_state *state; /* NULL: only look whether there is a tensor */
    bool found;
    char path[MAX_PATH];
} walk;

static cvs_status visit(walk *w, const cvi_pickle *p, int depth);

/* The same under one more name. */
static cvs_status visit_part(walk *w, const cvi_pickle *key, int64_t index, const cvi_pickle *p, int depth) {
    size_t n = strlen(w->path);
    const char *dot = n > 0 ? "." : "";
    int added = 0;
    if (cvi_pickle_is(key, CVI_PK_TEXT)) {
        added = snprintf(w->path + n, sizeof w->path - n, "%s%s", dot, key->text);
    } else {
        added = snprintf(w->path + n, sizeof w->path - n, "%s%lld", dot, (long long)index);
    }
    cvs_status s = CVS_OK;
    if (added < 0 || (size_t)added >= sizeof w->path - n) {
        s = cvi_fail(w->t->err, CVS_E_LIMIT, "the name of a tensor is too long");
    } else {
        s = visit(w, p, depth + 1);
    }
    w->path[n] = 0;
    return s;
}

static cvs_status visit_pairs(walk *w, const cvi_pickle *p, int depth) {
    for (int64_t i = 0; i + 1 < p->n; i += 2) {
        const cvi_pickle *key = p->item[i];
        if (key->kind == CVI_PK_TEXT || key->kind == CVI_PK_INT) {
            CVI_TRY(visit_part(w, key, key->i, p->item[i + 1], depth));
        }
    }
    return CVS_OK;
}

static cvs_status visit_module(walk *w, const cvi_pickle *p, int depth) {
    static const char *const parts[] = {"_parameters", "_buffers", "_modules"};
    for (int i = 0; i < CVI_COUNT(parts); i++) {
        const cvi_pickle *part = cvi_pickle_get(p->state, parts[i]);
        if (cvi_pickle_is(part, CVI_PK_DICT) || (cvi_pickle_is(part, CVI_PK_OBJECT) && part->pairs)) {
            CVI_TRY(visit_pairs(w, part, depth));
        }
    }
    return CVS_OK;
}

static cvs_status visit(walk *w, const cvi_pickle *p, int depth) {
    cvi_torch *t = w->t;
    bool is = false;
    cvs_tensor tensor = {0};
    if (!p) {
        return CVS_OK;
    }
    if (depth > MAX_DEPTH || ++t->visits > 8 * t->model->limits.max_nodes) {
        return cvi_fail(t->err, CVS_E_LIMIT, "the saved objects are nested too deeply or repeat too often");
    }
    CVI_TRY(cvi_torch_tensor(t, p, &is, &tensor));
    if (is) {
        w->found = true;
        return w->state ? cvi_state_add(w->state, w->path, &tensor, t->err) : CVS_OK;
    }
    switch (p->kind) {
    case CVI_PK_LIST:
    case CVI_PK_TUPLE:
        for (int64_t i = 0; i < p->n; i++) {
            CVI_TRY(visit_part(w, NULL, i, p->item[i], depth));
        }
        return CVS_OK;
    case CVI_PK_DICT:
        return visit_pairs(w, p, depth);
    case CVI_PK_OBJECT:
        if (is_module(p)) {
            return visit_module(w, p, depth);
        }
        if (is_scripted(p)) {
            return p->state ? visit(w, p->state, depth + 1) : CVS_OK;
        }
        return p->pairs ? visit_pairs(w, p, depth) : CVS_OK;
    default:
        return CVS_OK;
    }
}

static bool is_dictionary(const cvi_pickle *p) {
    return cvi_pickle_is(p, CVI_PK_DICT) || (cvi_pickle_is(p, CVI_PK_OBJECT) && p->pairs);
}

/* Looks for something inside a checkpoint without keeping anything. */
static cvs_status holds_tensors(cvi_torch *t, const cvi_pickle *p, bool direct, bool *found) {
    *found = false;
    for (int64_t i = 0; direct && is_dictionary(p) && i + 1 < p->n && !*found; i += 2) {
        cvs_tensor tensor = {0};
        CVI_TRY(cvi_torch_tensor(t, p->item[i + 1], found, &tensor));
        *found &= tensor.rank > 0; /* an epoch or a loss is no weight */
    }
    if (!direct) {
        walk w = {.t = t};
        CVI_TRY(visit(&w, p, 0));
        *found = w.found;
    }
    return CVS_OK;
}

/* From a checkpoint to the dictionary or module with the weights. *what: the last key that was followed. */
static cvs_status descend(cvi_torch *t, const cvi_pickle **root, const char **what) {
    for (int depth = 0; depth < 8 && is_dictionary(*root); depth++) {
        bool found = false;
        const cvi_pickle *next = NULL;
        CVI_TRY(holds_tensors(t, *root, true, &found));
        for (int i = 0; i < CVI_COUNT(inner) && !found && !next; i++) {
            const cvi_pickle *p = cvi_pickle_get(*root, inner[i]);
            bool inside = false;
            if (is_dictionary(p) || is_module(p)) {
                CVI_TRY(holds_tensors(t, p, false, &inside));
            }
            next = inside ? p : NULL;
            *what = inside ? inner[i] : *what;
        }
        if (!next) {
            return CVS_OK;
        }
        *root = next;
    }
    return CVS_OK;
}

cvs_status cvi_torch_collect(cvi_torch *t, const cvi_pickle *root, cvi_state *state) {
    const char *what = NULL;
    walk w = {.t = t, .state = state};
    CVI_TRY(descend(t, &root, &what));
    CVI_TRY(visit(&w, root, 0));
    if (what && !cvi_model_note(t->model,
                                "the weights are what the checkpoint keeps as \"%s\"; the rest is left alone",
                                what)) {
        return cvi_no_memory(t->err, 0);
    }
    return CVS_OK;
}

const char *cvi_torch_foreign_text(const cvi_torch *t, char *buf, size_t size) {
    buf[0] = 0;
    for (int i = 0; i < t->n_foreign; i++) {
        size_t n = strlen(buf);
        snprintf(buf + n, size - n, "%s%.60s", i ? ", " : "", t->foreign[i]);
    }
    return buf;
}

cvs_status cvi_torch_notes(cvi_torch *t) {
    char list[600];
    bool ok = (!t->n_foreign ||
               cvi_model_note(t->model,
                              "what the file would have Python make or call stays data and is never run: %s",
                              cvi_torch_foreign_text(t, list, sizeof list))) &&
              (!t->wrong_sums ||
               cvi_model_note(t->model, "the checksums of %d tensors do not fit: the file may be damaged",
                              t->wrong_sums));
    return ok ? CVS_OK : cvi_no_memory(t->err, 0);
}

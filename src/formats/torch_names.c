/* SPDX-License-Identifier: MIT
 * torch_names.c - class names in a checkpoint: lists and tables of names under the keys that training programs use, in the dictionary itself, in
 * its settings, or as attributes of a whole module.
 */
#include "formats/told.h"
#include "formats/torch.h"

enum { MAX_DEPTH = 4, MAX_VALUES = 4 << 20 };

/* Texts, numbers, lists and tables of them as JSON; NULL for everything else. *left counts down. */
static json_t *as_json(const cvi_pickle *p, int depth, int64_t *left) {
    bool pairs = cvi_pickle_is(p, CVI_PK_DICT) || (cvi_pickle_is(p, CVI_PK_OBJECT) && p->pairs);
    bool list = cvi_pickle_is(p, CVI_PK_LIST) || cvi_pickle_is(p, CVI_PK_TUPLE);
    *left -= 8;
    if (!p || depth > MAX_DEPTH || *left < 0) {
        return NULL;
    }
    if (p->kind == CVI_PK_TEXT) {
        *left -= p->n; /* one text may hang at many places */
        return *left < 0 ? NULL : json_stringn(p->text, (size_t)p->n);
    }
    if (p->kind == CVI_PK_INT && !p->wide) {
        return json_integer(p->i);
    }
    json_t *out = pairs ? json_object() : list ? json_array() : NULL;
    for (int64_t i = 0; out && i + pairs < p->n; i += 1 + pairs) {
        char number[24];
        const cvi_pickle *key = p->item[i];
        snprintf(number, sizeof number, "%lld", (long long)key->i);
        const char *name = !pairs                     ? ""
                           : key->kind == CVI_PK_TEXT ? key->text
                           : key->kind == CVI_PK_INT  ? number
                                                      : NULL;
        json_t *v = name ? as_json(p->item[i + pairs], depth + 1, left) : NULL;
        if (!v || (pairs ? json_object_set_new(out, name, v) : json_array_append_new(out, v)) != 0) {
            json_decref(out);
            return NULL;
        }
    }
    return out;
}

/* The attributes of an object (a module, an argparse.Namespace), else the thing itself. */
static const cvi_pickle *attributes(const cvi_pickle *p) {
    return cvi_pickle_is(p, CVI_PK_OBJECT) && !p->pairs && p->state ? p->state : p;
}

/* The first of the usual keys in a dictionary, one after the other: what is under others is never copied. */
static cvs_status look(cvi_torch *t, const cvi_pickle *p, bool *taken) {
    const cvi_pickle *dictionary = attributes(p);
    const char *key = NULL;
    int64_t left = MAX_VALUES;
    for (int i = 0; !*taken && (key = cvi_told_key(i)) != NULL; i++) {
        const cvi_pickle *v = cvi_pickle_get(dictionary, key);
        json_t *json = v ? as_json(v, 0, &left) : NULL;
        cvs_status s =
            json ? cvi_told_classes(t->model, json, cvi_tr(t->model->lang, "model file"), taken, t->err)
                 : CVS_OK;
        json_decref(json);
        CVI_TRY(s);
    }
    return CVS_OK;
}

cvs_status cvi_torch_classes(cvi_torch *t, const cvi_pickle *root) {
    static const char *const places[] = {
        "hyper_parameters", "hparams", "meta", "config", "cfg", "args", "opt", "metadata", "model", "net"};
    bool taken = false;
    CVI_TRY(look(t, root, &taken));
    for (int i = 0; i < CVI_COUNT(places) && !taken; i++) {
        const cvi_pickle *p = cvi_pickle_get(attributes(root), places[i]);
        CVI_TRY(p ? look(t, p, &taken) : CVS_OK);
        const cvi_pickle *inner = p && !taken ? cvi_pickle_get(attributes(p), "dataset_meta") : NULL;
        CVI_TRY(inner ? look(t, inner, &taken) : CVS_OK); /* of OpenMMLab */
    }
    return CVS_OK;
}

/* SPDX-License-Identifier: MIT
 * pickle.h (internal) - Python pickles as data. The machine builds a tree of what the bytes describe and never looks a name up: a call
 * such as os.system("x") becomes an inert node that says "an object made by os.system with these arguments". What the tree means
 * (torch_tree.c) is decided by a closed list of names. All protocols, 0 to 5; no extension registry, no out-of-band buffers.
 */
#ifndef CVI_PICKLE_H
#define CVI_PICKLE_H

#include "base/base.h"

typedef enum cvi_pickle_kind {
    CVI_PK_NONE,
    CVI_PK_BOOL,
    CVI_PK_INT,
    CVI_PK_FLOAT,
    CVI_PK_TEXT,
    CVI_PK_BYTES,
    CVI_PK_LIST,
    CVI_PK_TUPLE,
    CVI_PK_DICT, /* item: key, value, key, value */
    CVI_PK_SET,
    CVI_PK_GLOBAL, /* text "module.name" */
    CVI_PK_OBJECT, /* what `callee` would have made of `args`; `state` from BUILD; items set on it */
    CVI_PK_REF     /* `args`: a persistent id, the place of something outside the pickle */
} cvi_pickle_kind;

/* A node. The same one may hang at many places, and a container may contain itself: walks must be bounded. */
typedef struct cvi_pickle cvi_pickle;
struct cvi_pickle {
    cvi_pickle_kind kind;
    bool wide; /* of an integer: it did not fit, i is the nearest */
    int64_t i; /* of an integer or truth value */
    double f;  /* of a number */
    int64_t n; /* bytes of text or bytes, items of a container (a dictionary: keys and values together) */
    const char *text; /* terminated, except for CVI_PK_BYTES, which are borrowed from the pickle */
    cvi_pickle **item;
    int64_t capacity;
    bool pairs; /* the items of an object are keys and values */
    cvi_pickle *callee, *args, *state;
    cvi_pickle *before; /* of a CVI_PK_REF or CVI_PK_GLOBAL: the one before it */
};

typedef struct cvi_pickled {
    cvi_pickle *root;
    cvi_pickle *refs;    /* all persistent ids, last first, by `before` */
    cvi_pickle *globals; /* all names of Python, the same way */
    size_t used;         /* bytes of the pickle */
} cvi_pickled;

/* Reads one pickle from data[0..size); nodes in the arena. Errors carry base + the byte offset. */
cvs_status cvi_pickle_read(cvi_arena *arena, const uint8_t *data, size_t size, int64_t base, cvi_pickled *out,
                           cvs_error *err);

/* Looks that are safe on any node, NULL included. */
bool cvi_pickle_is(const cvi_pickle *p, cvi_pickle_kind kind);
/* Item i of a list or tuple, or NULL. */
cvi_pickle *cvi_pickle_item(const cvi_pickle *p, int64_t i);
/* The value of a text key of a dictionary or of pairs on an object, or NULL. */
cvi_pickle *cvi_pickle_get(const cvi_pickle *p, const char *key);
/* The text of a text node, else ""; the name of the global that an object's callee is, else "". */
const char *cvi_pickle_text(const cvi_pickle *p);
const char *cvi_pickle_maker(const cvi_pickle *p);

#endif

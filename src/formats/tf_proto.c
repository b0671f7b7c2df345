/* SPDX-License-Identifier: MIT
 * tf_proto.c - GraphDef and its functions from protobuf. Field numbers: the .proto files of tensorflow/core/framework.
 */
#include "formats/tf_graph.h"

#include "ops/op.h"

typedef struct reading {
    cvi_arena *a;
    const cvs_limits *limits;
    cvs_error *err;
} reading;

static cvs_status text(const reading *r, const cvi_pb *p, const cvi_pb_field *f, const char **out) {
    return cvi_pb_string(p, r->a, f, r->limits->max_name_bytes, "a name", out);
}

/* Any bytes as a terminated text; what is no UTF-8 becomes "". */
static cvs_status loose_text(const reading *r, const cvi_pb *p, const cvi_pb_field *f, const char **out) {
    CVI_TRY(cvi_pb_expect(p, f, CVI_PB_BYTES, "a text"));
    bool good = cvi_utf8_valid(f->bytes.data, f->bytes.size);
    *out = cvi_arena_strn(r->a, good ? (const char *)f->bytes.data : "", good ? f->bytes.size : 0);
    return *out ? CVS_OK : cvi_no_memory(r->err, f->bytes.size);
}

/* A list that grows by one: a copy twice as large whenever its length is a power of two. */
static void *append(const reading *r, const void *old, int n, size_t size) {
    if (n && (n & (n - 1))) {
        return (void *)(uintptr_t)old;
    }
    char *more = n < 1 << 28 ? cvi_arena_alloc(r->a, n ? 2 * (int64_t)n : 1, size) : NULL;
    if (more && n) {
        memcpy(more, old, (size_t)n * size);
    }
    return more;
}

static cvs_status add_text(const reading *r, const char ***list, int *n, const char *s) {
    const char **more = append(r, *list, *n, sizeof *more);
    if (!more) {
        return cvi_no_memory(r->err, sizeof *more);
    }
    more[*n] = s;
    *list = more;
    ++*n;
    return CVS_OK;
}

/* ---- tensors ---- */

static cvs_status read_shape(const reading *r, const cvi_pb *parent, const cvi_pb_piece *m, int *rank,
                             int64_t *dim) {
    cvi_pb p, d;
    cvi_pb_field f, g;
    CVI_TRY(cvi_pb_enter(parent, m, &p));
    *rank = 0;
    bool unknown = false;
    TF_EACH(p, f) {
        unknown |= f.number == 3 && f.value;
        if (f.number != 2) {
            continue;
        }
        CVI_TRY(cvi_pb_expect(&p, &f, CVI_PB_BYTES, "a dimension"));
        if (*rank == CVS_MAX_RANK) {
            return cvi_fail(r->err, CVS_E_UNSUPPORTED, "a tensor of rank %d, at most %d is supported",
                            CVS_MAX_RANK + 1, CVS_MAX_RANK);
        }
        dim[*rank] = 0;
        CVI_TRY(cvi_pb_enter(&p, &f.bytes, &d));
        TF_EACH(d, g) {
            dim[*rank] = g.number == 1 ? (int64_t)g.value : dim[*rank];
        }
        dim[*rank] = dim[*rank] < -1 ? -1 : dim[*rank];
        ++*rank;
    }
    *rank = unknown ? -1 : *rank;
    return CVS_OK;
}

typedef struct raw_tensor {
    cvs_tensor t;
    int64_t type;
    cvi_pb_piece content;
    int64_t n_values; /* of typed lists */
} raw_tensor;

/* Where typed numbers are, and how wide; -1: not such a field. */
static int width_of(uint32_t field) {
    switch (field) {
    case 5:
        return 4;
    case 6:
        return 8;
    case 7:
    case 10:
    case 11:
    case 13:
    case 16:
    case 17:
        return 0;
    default:
        return -1;
    }
}

void cvi_tf_put_number(const cvs_tensor *t, int64_t i, uint32_t field, uint64_t bits) {
    if (field == 13 && cvs_dtype_size(t->dtype) == 2) { /* the bits of half numbers */
        uint16_t v = (uint16_t)bits;
        memcpy((char *)t->data + 2 * i, &v, 2);
    } else if (field == 5 || field == 6) {
        cvi_put(t, i, field == 5 ? (double)cvi_pb_float(bits) : cvi_pb_double(bits));
    } else if (t->dtype == CVS_I64 || t->dtype == CVS_U64) {
        memcpy((char *)t->data + 8 * i, &bits, 8);
    } else {
        cvi_put(t, i, (double)(int64_t)bits);
    }
}

/* Typed numbers; the last one is repeated where they are fewer than the shape has. */
static cvs_status fill_values(const reading *r, const cvi_pb *parent, const cvi_pb_piece *m, raw_tensor *raw,
                              int64_t count) {
    cvi_pb p;
    cvi_pb_field f;
    int64_t n = 0;
    size_t size = cvs_dtype_size(raw->t.dtype);
    CVI_TRY(cvi_pb_enter(parent, m, &p));
    TF_EACH(p, f) {
        int width = width_of(f.number);
        if (width < 0) {
            continue;
        }
        cvi_pb_numbers numbers;
        uint64_t bits = 0;
        bool more = true;
        CVI_TRY(cvi_pb_numbers_begin(&p, &f, width, "numbers of a tensor", &numbers));
        TF_EACH_NUMBER(p, numbers, bits, more) {
            if (n >= count) {
                return cvi_fail(r->err, CVS_E_FORMAT, "a tensor has more numbers than its shape of %lld",
                                (long long)count);
            }
            cvi_tf_put_number(&raw->t, n++, f.number, bits);
        }
    }
    for (int64_t i = n; n > 0 && i < count; i++) {
        memcpy((char *)raw->t.data + (size_t)i * size, (char *)raw->t.data + (size_t)(n - 1) * size, size);
    }
    return CVS_OK;
}

static cvs_status take_content(const reading *r, raw_tensor *raw, int64_t need) {
    const uint8_t *bytes = raw->content.data;
    if ((int64_t)raw->content.size != need) {
        char shape[200];
        return cvi_fail(r->err, CVS_E_FORMAT, "a tensor of shape %s has %lld bytes",
                        cvs_shape_text(raw->t.rank, raw->t.dim, shape, sizeof shape),
                        (long long)raw->content.size);
    }
    if (need > 0 && (uintptr_t)bytes % cvs_dtype_size(raw->t.dtype) == 0) {
        union {
            const void *from;
            void *to;
        } borrow = {.from = bytes}; /* never written through */
        raw->t.data = borrow.to;
        return CVS_OK;
    }
    raw->t.data = cvi_arena_alloc(r->a, CVI_MAX(need, 1), 1);
    if (!raw->t.data) {
        return cvi_no_memory(r->err, (size_t)need);
    }
    memcpy(raw->t.data, bytes, (size_t)need);
    return CVS_OK;
}

/* Numbers become a tensor (without data where the file has none: TensorFlow.js); texts a list. */
static cvs_status read_tensor(const reading *r, const cvi_pb *parent, const cvi_pb_piece *m, tf_attr *a) {
    cvi_pb p;
    cvi_pb_field f;
    raw_tensor raw = {0};
    bool content = false, values = false;
    const char **texts = NULL;
    CVI_TRY(cvi_pb_enter(parent, m, &p));
    TF_EACH(p, f) {
        if (f.number == 1) {
            raw.type = (int64_t)f.value;
        } else if (f.number == 2) {
            CVI_TRY(cvi_pb_expect(&p, &f, CVI_PB_BYTES, "a shape"));
            CVI_TRY(read_shape(r, &p, &f.bytes, &raw.t.rank, raw.t.dim));
        } else if (f.number == 4) {
            CVI_TRY(cvi_pb_expect(&p, &f, CVI_PB_BYTES, "numbers of a tensor"));
            raw.content = f.bytes;
            content = f.bytes.size > 0;
        } else if (f.number == 8) {
            const char *s = NULL;
            CVI_TRY(loose_text(r, &p, &f, &s));
            CVI_TRY(add_text(r, &texts, &a->n, s));
        }
        values |= width_of(f.number) >= 0;
    }
    a->strings = texts;
    raw.t.dtype = cvi_tf_type(raw.type);
    int64_t count = raw.t.rank >= 0 ? cvs_tensor_count(&raw.t) : -1, need = 0;
    if (raw.t.dtype == CVS_NONE) {
        return CVS_OK; /* texts, resources: no tensor of ours */
    }
    if (count < 0 || !cvi_mul(count, (int64_t)cvs_dtype_size(raw.t.dtype), &need)) {
        return cvi_fail(r->err, CVS_E_FORMAT, "a weight has an impossible shape");
    }
    if (content) {
        CVI_TRY(take_content(r, &raw, need));
    } else if (values || count == 0) {
        raw.t.data = cvi_arena_alloc(r->a, CVI_MAX(need, 1), 1);
        if (!raw.t.data) {
            return cvi_no_memory(r->err, (size_t)need);
        }
        CVI_TRY(fill_values(r, parent, m, &raw, count));
    }
    raw.t.bytes = (size_t)need;
    cvs_tensor *t = cvi_arena_alloc(r->a, 1, sizeof *t);
    if (!t) {
        return cvi_no_memory(r->err, sizeof *t);
    }
    *t = raw.t;
    a->tensor = t;
    return CVS_OK;
}

/* ---- attributes ---- */

static cvs_status read_list(const reading *r, const cvi_pb *parent, const cvi_pb_piece *m, tf_attr *a) {
    cvi_pb p;
    cvi_pb_field f;
    int64_t *ints = NULL;
    const char **texts = NULL;
    int n_texts = 0;
    a->n = 0; /* of an attribute that comes twice the last list counts */
    a->strings = NULL;
    CVI_TRY(cvi_pb_enter(parent, m, &p));
    TF_EACH(p, f) {
        if (f.number == 2) {
            const char *s = NULL;
            CVI_TRY(loose_text(r, &p, &f, &s));
            CVI_TRY(add_text(r, &texts, &n_texts, s));
        } else if (f.number == 3 || f.number == 5 || f.number == 6) {
            cvi_pb_numbers numbers;
            uint64_t bits = 0;
            bool more = true;
            CVI_TRY(cvi_pb_numbers_begin(&p, &f, 0, "a list", &numbers));
            TF_EACH_NUMBER(p, numbers, bits, more) {
                int64_t *longer = append(r, ints, a->n, sizeof *longer);
                if (!longer) {
                    return cvi_no_memory(r->err, sizeof *longer);
                }
                ints = longer;
                ints[a->n++] = (int64_t)bits;
            }
        }
    }
    a->ints = ints;
    if (n_texts > 0) {
        a->strings = texts;
        a->n = n_texts;
        a->ints = NULL;
    }
    return CVS_OK;
}

static cvs_status read_value(const reading *r, const cvi_pb *parent, const cvi_pb_piece *m, tf_attr *a) {
    cvi_pb p, q;
    cvi_pb_field f, g;
    CVI_TRY(cvi_pb_enter(parent, m, &p));
    TF_EACH(p, f) {
        bool message = f.number == 1 || f.number == 7 || f.number == 8 || f.number == 10;
        CVI_TRY(message ? cvi_pb_expect(&p, &f, CVI_PB_BYTES, "an attribute") : CVS_OK);
        if (f.number == 1) {
            CVI_TRY(read_list(r, &p, &f.bytes, a));
        } else if (f.number == 2) {
            CVI_TRY(loose_text(r, &p, &f, &a->s));
        } else if (f.number == 3 || f.number == 5 || f.number == 6) {
            a->i = (int64_t)f.value;
            a->f = (double)a->i;
        } else if (f.number == 4) {
            a->f = (double)cvi_pb_float(f.value);
        } else if (f.number == 7) {
            a->has_shape = true;
            CVI_TRY(read_shape(r, &p, &f.bytes, &a->rank, a->dim));
        } else if (f.number == 8) {
            CVI_TRY(read_tensor(r, &p, &f.bytes, a));
        } else if (f.number == 10) { /* a function: its name */
            CVI_TRY(cvi_pb_enter(&p, &f.bytes, &q));
            TF_EACH(q, g) {
                CVI_TRY(g.number == 1 ? text(r, &q, &g, &a->s) : CVS_OK);
            }
        }
    }
    return CVS_OK;
}

/* ---- nodes and functions ---- */

static cvs_status read_attr(const reading *r, const cvi_pb *parent, const cvi_pb_field *field, tf_node *n) {
    cvi_pb p;
    cvi_pb_field f;
    tf_attr a = {.name = ""};
    CVI_TRY(cvi_pb_expect(parent, field, CVI_PB_BYTES, "an attribute"));
    CVI_TRY(cvi_pb_enter(parent, &field->bytes, &p));
    TF_EACH(p, f) {
        if (f.number == 1) {
            CVI_TRY(text(r, &p, &f, &a.name));
        } else if (f.number == 2) {
            CVI_TRY(cvi_pb_expect(&p, &f, CVI_PB_BYTES, "an attribute"));
            CVI_TRY(read_value(r, &p, &f.bytes, &a));
        }
    }
    if (a.name[0] == '_') { /* the converter's own remarks */
        return CVS_OK;
    }
    tf_attr *more = append(r, n->attr, n->n_attr, sizeof *more);
    if (!more) {
        return cvi_no_memory(r->err, sizeof *more);
    }
    more[n->n_attr++] = a;
    n->attr = more;
    return CVS_OK;
}

static cvs_status read_node(const reading *r, const cvi_pb *parent, const cvi_pb_field *field,
                            tf_body *body) {
    cvi_pb p;
    cvi_pb_field f;
    tf_node *n = cvi_tf_add_node(r->a, body);
    if (!n) {
        return cvi_no_memory(r->err, sizeof *n);
    }
    *n = (tf_node){.name = "", .op = ""};
    CVI_TRY(cvi_pb_expect(parent, field, CVI_PB_BYTES, "a node"));
    CVI_TRY(cvi_pb_enter(parent, &field->bytes, &p));
    TF_EACH(p, f) {
        const char *s = NULL;
        if (f.number == 1) {
            CVI_TRY(text(r, &p, &f, &n->name));
        } else if (f.number == 2) {
            CVI_TRY(text(r, &p, &f, &n->op));
        } else if (f.number == 3) {
            CVI_TRY(text(r, &p, &f, &s));
            CVI_TRY(s[0] == '^' ? CVS_OK : add_text(r, &n->in, &n->n_in, s));
        } else if (f.number == 5) {
            cvs_status status = read_attr(r, &p, &f, n);
            CVI_TRY(cvi_at_node(r->err, status, n->name, n->op));
        }
    }
    return CVS_OK;
}

/* Names of arguments and results, from the function's signature (an OpDef). */
static cvs_status read_signature(const reading *r, const cvi_pb *parent, const cvi_pb_field *field,
                                 tf_function *fn) {
    cvi_pb p, q;
    cvi_pb_field f, g;
    CVI_TRY(cvi_pb_expect(parent, field, CVI_PB_BYTES, "a signature"));
    CVI_TRY(cvi_pb_enter(parent, &field->bytes, &p));
    TF_EACH(p, f) {
        if (f.number == 1) {
            CVI_TRY(text(r, &p, &f, &fn->name));
        } else if (f.number == 2 || f.number == 3) {
            const char *s = "";
            CVI_TRY(cvi_pb_expect(&p, &f, CVI_PB_BYTES, "an argument"));
            CVI_TRY(cvi_pb_enter(&p, &f.bytes, &q));
            TF_EACH(q, g) {
                CVI_TRY(g.number == 1 ? text(r, &q, &g, &s) : CVS_OK);
            }
            CVI_TRY(f.number == 2 ? add_text(r, &fn->args, &fn->n_args, s)
                                  : add_text(r, &fn->rets, &fn->n_rets, s));
        }
    }
    return CVS_OK;
}

typedef struct ret_list {
    const char **key, **from;
    int n, n_from;
} ret_list;

static cvs_status read_ret(const reading *r, const cvi_pb *parent, const cvi_pb_field *field,
                           ret_list *rets) {
    cvi_pb p;
    cvi_pb_field f;
    const char *key = "", *from = "";
    CVI_TRY(cvi_pb_expect(parent, field, CVI_PB_BYTES, "a result"));
    CVI_TRY(cvi_pb_enter(parent, &field->bytes, &p));
    TF_EACH(p, f) {
        CVI_TRY(f.number == 1 ? text(r, &p, &f, &key) : f.number == 2 ? text(r, &p, &f, &from) : CVS_OK);
    }
    CVI_TRY(add_text(r, &rets->key, &rets->n, key));
    return add_text(r, &rets->from, &rets->n_from, from);
}

static cvs_status read_function(const reading *r, const cvi_pb *parent, const cvi_pb_field *field,
                                tf_graphdef *g) {
    cvi_pb p;
    cvi_pb_field f;
    ret_list rets = {0};
    tf_function *fn = cvi_tf_add_function(r->a, g);
    if (!fn) {
        return cvi_no_memory(r->err, sizeof *fn);
    }
    *fn = (tf_function){.name = ""};
    CVI_TRY(cvi_pb_expect(parent, field, CVI_PB_BYTES, "a function"));
    CVI_TRY(cvi_pb_enter(parent, &field->bytes, &p));
    TF_EACH(p, f) {
        CVI_TRY(f.number == 1   ? read_signature(r, &p, &f, fn)
                : f.number == 3 ? read_node(r, &p, &f, &fn->body)
                : f.number == 4 ? read_ret(r, &p, &f, &rets)
                                : CVS_OK);
    }
    int n = 0;
    for (int i = 0; i < fn->n_rets; i++) {
        const char *from = "";
        for (int k = 0; k < rets.n; k++) {
            from = strcmp(rets.key[k], fn->rets[i]) == 0 ? rets.from[k] : from;
        }
        CVI_TRY(add_text(r, &fn->ret_from, &n, from));
    }
    return CVS_OK;
}

cvs_status cvi_tf_read_graph(cvi_arena *a, const cvi_pb *parent, const cvi_pb_piece *message,
                             const cvs_limits *limits, tf_graphdef *out) {
    reading r = {.a = a, .limits = limits, .err = parent->err};
    cvi_pb p = *parent, q;
    cvi_pb_field f, g;
    *out = (tf_graphdef){0};
    if (message) {
        CVI_TRY(cvi_pb_enter(parent, message, &p));
    }
    TF_EACH(p, f) {
        if (f.number == 1) {
            CVI_TRY(read_node(&r, &p, &f, &out->main));
        } else if (f.number == 2 && f.wire == CVI_PB_BYTES) {
            CVI_TRY(cvi_pb_enter(&p, &f.bytes, &q));
            TF_EACH(q, g) {
                CVI_TRY(g.number == 1 ? read_function(&r, &q, &g, out) : CVS_OK);
            }
        }
    }
    return cvi_tf_index(a, out, r.err);
}

/* SPDX-License-Identifier: MIT
 * tf_slices.c - tensors of a TensorFlow checkpoint that are kept in slices: variables that a partitioner cut, each slice under a key of its
 * own (TensorFlow's ordered code), and checkpoints of the first generation, a table of SavedTensorSlices whose every tensor is slices.
 */
#include "formats/tf_bundle.h"
#include "formats/tf_graph.h"

#include "ops/op.h"

#include <stdlib.h>

enum { MAX_CODE = 1 << 12 };

static cvs_status read_extent(const cvi_pb *parent, const cvi_pb_field *field, bundle_slice *s,
                              cvs_error *err) {
    cvi_pb p;
    cvi_pb_field f;
    CVI_TRY(cvi_pb_expect(parent, field, CVI_PB_BYTES, "a slice"));
    CVI_TRY(cvi_pb_enter(parent, &field->bytes, &p));
    if (s->rank == CVS_MAX_RANK) {
        return cvi_tf_bundle_damaged(err);
    }
    int64_t *start = &s->start[s->rank], *length = &s->length[s->rank];
    s->rank++;
    *length = -1;
    TF_EACH(p, f) {
        *start = f.number == 1 ? (int64_t)f.value : *start;
        *length = f.number == 2 ? (int64_t)f.value : *length;
    }
    return *start < 0 || *length < -1 ? cvi_tf_bundle_damaged(err) : CVS_OK;
}

static cvs_status read_slice(const cvi_pb *parent, const cvi_pb_field *field, bundle_slice *s,
                             cvs_error *err) {
    cvi_pb p;
    cvi_pb_field f;
    *s = (bundle_slice){0};
    CVI_TRY(cvi_pb_expect(parent, field, CVI_PB_BYTES, "a slice"));
    CVI_TRY(cvi_pb_enter(parent, &field->bytes, &p));
    TF_EACH(p, f) {
        CVI_TRY(f.number == 1 ? read_extent(&p, &f, s, err) : CVS_OK);
    }
    return CVS_OK;
}

static cvs_status put_slice(const tf_bundle *b, bundle_entry *e, const bundle_slice *s, cvs_error *err) {
    bundle_slice *kept = cvi_arena_alloc(b->model->arena, 1, sizeof *kept);
    if (!kept) {
        return cvi_no_memory(err, sizeof *kept);
    }
    *kept = *s;
    kept->next = e->slice;
    e->slice = kept;
    return CVS_OK;
}

cvs_status cvi_tf_slice_read(const tf_bundle *b, const cvi_pb *parent, const cvi_pb_field *field,
                             bundle_entry *e, cvs_error *err) {
    bundle_slice s;
    CVI_TRY(read_slice(parent, field, &s, err));
    return put_slice(b, e, &s, err);
}

/* ---- the first generation ---- */

/* SavedSliceMeta: a tensor's name, shape and type. */
static cvs_status read_meta(tf_bundle *b, const cvi_pb *parent, const cvi_pb_field *field, cvs_error *err) {
    cvi_pb p;
    cvi_pb_field f;
    cvs_tensor t = {0};
    cvi_pb_piece name = {0};
    bundle_entry *e = NULL;
    int64_t type = 0;
    CVI_TRY(cvi_pb_expect(parent, field, CVI_PB_BYTES, "a tensor"));
    CVI_TRY(cvi_pb_enter(parent, &field->bytes, &p));
    TF_EACH(p, f) {
        if (f.number == 1 && f.wire == CVI_PB_BYTES) {
            name = f.bytes;
        } else if (f.number == 2) {
            t.rank = 0;
            CVI_TRY(cvi_tf_bundle_shape(&p, &f, &t, err));
        } else if (f.number == 3) {
            type = (int64_t)f.value;
        }
    }
    if (!name.data || !cvi_utf8_valid(name.data, name.size)) {
        return cvi_tf_bundle_damaged(err);
    }
    CVI_TRY(cvi_tf_bundle_add(b, (const char *)name.data, name.size, &e, err));
    e->t = t;
    e->type = type;
    e->t.dtype = cvi_tf_type(type);
    return CVS_OK;
}

/* SavedSlice: a tensor's name, where in it, and a TensorProto with the numbers, which is looked into when it is wanted. */
static cvs_status read_data(const tf_bundle *b, const cvi_pb *parent, const cvi_pb_field *field,
                            cvs_error *err) {
    cvi_pb p;
    cvi_pb_field f;
    cvi_pb_piece name = {0}, data = {0};
    bundle_slice s = {0};
    CVI_TRY(cvi_pb_expect(parent, field, CVI_PB_BYTES, "a tensor"));
    CVI_TRY(cvi_pb_enter(parent, &field->bytes, &p));
    TF_EACH(p, f) {
        if (f.number == 1 && f.wire == CVI_PB_BYTES) {
            name = f.bytes;
        } else if (f.number == 2) {
            CVI_TRY(read_slice(&p, &f, &s, err));
        } else if (f.number == 3 && f.wire == CVI_PB_BYTES) {
            data = f.bytes;
        }
    }
    bundle_entry *e = name.data ? cvi_tf_bundle_find(b, (const char *)name.data, name.size) : NULL;
    if (!e || !data.data) {
        return CVS_OK; /* numbers of a tensor that the file does not list */
    }
    s.data = data.data;
    s.bytes = (int64_t)data.size;
    return put_slice(b, e, &s, err);
}

static int by_key(const void *a, const void *b) {
    const bundle_entry *x = a, *y = b;
    int c = memcmp(x->key, y->key, CVI_MIN(x->n_key, y->n_key));
    return c ? c : (x->n_key > y->n_key) - (x->n_key < y->n_key);
}

cvs_status cvi_tf_first_row(tf_bundle *b, const void *value, size_t size, cvs_error *err) {
    cvi_pb p = cvi_pb_begin(value, size, 8, err), q;
    cvi_pb_field f, g;
    TF_EACH(p, f) {
        if (f.number ==
            1) { /* what tensors there are: in the first row, sorted so that the others find them */
            CVI_TRY(cvi_pb_expect(&p, &f, CVI_PB_BYTES, "a list of tensors"));
            CVI_TRY(cvi_pb_enter(&p, &f.bytes, &q));
            TF_EACH(q, g) {
                CVI_TRY(g.number == 1 ? read_meta(b, &q, &g, err) : CVS_OK);
            }
            cvi_tf_first_done(b);
        } else if (f.number == 2) {
            CVI_TRY(read_data(b, &p, &f, err));
        }
    }
    return CVS_OK;
}

void cvi_tf_first_done(tf_bundle *b) {
    if (b->n > 1) {
        qsort(b->entry, (size_t)b->n, sizeof *b->entry, by_key);
    }
}

/* How wide the numbers of a TensorProto's field are; -1: no numbers. */
static int width_of(uint32_t field) {
    return field == 5                                                                              ? 4
           : field == 6                                                                            ? 8
           : field == 7 || field == 10 || field == 11 || field == 13 || field == 16 || field == 17 ? 0
                                                                                                   : -1;
}

/* The numbers of a slice of the first generation, `count` of them: where they lie if they are one packed field, else copied. */
static cvs_status first_numbers(const tf_bundle *b, const bundle_slice *s, cvs_dtype type, int64_t count,
                                const uint8_t **out, cvs_error *err) {
    cvi_pb p = cvi_pb_begin(s->data, (size_t)s->bytes, 8, err);
    cvi_pb_field f;
    int64_t size = (int64_t)cvs_dtype_size(type), need = 0, n = 0;
    cvs_tensor t = {.dtype = type, .rank = 1, .dim = {count}};
    if (!cvi_mul(count, size, &need)) {
        return cvi_tf_bundle_damaged(err);
    }
    t.bytes = (size_t)need;
    TF_EACH(p, f) {
        int width = width_of(f.number);
        bool raw = f.number == 4 || (f.number == 5 && type == CVS_F32) || (f.number == 6 && type == CVS_F64);
        if (raw && f.wire == CVI_PB_BYTES && n == 0 && (int64_t)f.bytes.size == need) {
            *out = f.bytes.data;
            return CVS_OK;
        }
        if (width < 0) {
            continue;
        }
        if (!t.data) {
            t.data = cvi_arena_alloc(b->model->arena, CVI_MAX(need, 1), 1);
            CVI_TRY(t.data ? CVS_OK : cvi_no_memory(err, t.bytes));
        }
        cvi_pb_numbers numbers;
        uint64_t bits = 0;
        bool more = true;
        CVI_TRY(cvi_pb_numbers_begin(&p, &f, width, "numbers of a tensor", &numbers));
        TF_EACH_NUMBER(p, numbers, bits, more) {
            if (n >= count) {
                return cvi_tf_bundle_damaged(err);
            }
            cvi_tf_put_number(&t, n++, f.number, bits);
        }
    }
    *out = t.data;
    return n == count ? CVS_OK : cvi_tf_bundle_damaged(err);
}

/* ---- keys of slices ---- */

/* Numbers from 0 in TensorFlow's ordered code for signed ones: as many ones in front as there are bytes, a zero, the number, big end first. */
static bool put_signed(char *code, size_t *n, int64_t v) {
    int bytes = 1;
    while (bytes < 8 && v >> (7 * bytes - 1)) {
        bytes++;
    }
    if (bytes == 8 || *n + 8 > MAX_CODE) {
        return false;
    }
    for (int i = 0; i < bytes; i++) {
        code[*n + (size_t)i] = (char)(uint8_t)(v >> (8 * (bytes - 1 - i)));
    }
    code[*n] = (char)(uint8_t)((uint8_t)code[*n] | (0xff << (8 - bytes) & 0xff));
    *n += (size_t)bytes;
    return true;
}

/* The key of a slice: 0, the tensor's name, the rank, and start and length of every side. */
static bool slice_key(const bundle_entry *e, const bundle_slice *s, char *code, size_t *n) {
    *n = 0;
    code[(*n)++] = 0;
    for (size_t i = 0; i < e->n_key; i++) {
        if (*n + 16 > MAX_CODE) {
            return false;
        }
        uint8_t c = (uint8_t)e->key[i];
        code[(*n)++] = (char)c;
        if (c == 0 || c == 0xff) {
            code[(*n)++] = c == 0 ? '\xff' : '\0';
        }
    }
    memcpy(code + *n, "\0\1\1", 3);
    *n += 3;
    code[(*n)++] = (char)s->rank;
    for (int i = 0; i < s->rank; i++) {
        if (!put_signed(code, n, s->start[i])) {
            return false;
        }
        if (s->length[i] == -1) {
            code[(*n)++] = '\x7f';
        } else if (!put_signed(code, n, s->length[i])) {
            return false;
        }
    }
    return true;
}

static cvs_status second_numbers(tf_bundle *b, const bundle_entry *e, const bundle_slice *s, int64_t count,
                                 const uint8_t **out, cvs_error *err) {
    char code[MAX_CODE];
    size_t n = 0;
    int64_t need = 0;
    bool known = s->rank > 0 && slice_key(e, s, code, &n) &&
                 cvi_mul(count, (int64_t)cvs_dtype_size(e->t.dtype), &need);
    const bundle_entry *own = known ? cvi_tf_bundle_find(b, code, n) : NULL;
    if (!own || own->slice || own->type != e->type || own->size != need) {
        return cvi_tf_bundle_damaged(err);
    }
    return cvi_tf_bundle_bytes(b, own, out, err);
}

/* ---- putting together ---- */

/* Fills in whole sides; false: the slice does not lie in the tensor. */
static bool settle(bundle_slice *s, const cvs_tensor *t, int64_t *count) {
    *count = 1;
    if (s->rank != t->rank && s->rank != 0) {
        return false;
    }
    for (int i = 0; i < t->rank; i++) {
        int64_t length = i >= s->rank || s->length[i] < 0 ? t->dim[i] - s->start[i] : s->length[i];
        if (s->start[i] > t->dim[i] || length < 0 || length > t->dim[i] - s->start[i] ||
            !cvi_mul(*count, length, count)) {
            return false;
        }
        s->length[i] = length;
    }
    return true;
}

/* Copies a block row by row along the last axis. */
static void copy_block(const cvs_tensor *t, const bundle_slice *s, const uint8_t *from) {
    int64_t size = (int64_t)cvs_dtype_size(t->dtype), at[CVS_MAX_RANK] = {0};
    int last = t->rank - 1;
    int64_t run = last >= 0 ? s->length[last] : 1;
    for (bool more = true; more;) {
        int64_t to = 0;
        for (int i = 0; i < t->rank; i++) {
            to = to * t->dim[i] + s->start[i] + at[i];
        }
        memcpy((uint8_t *)t->data + to * size, from, (size_t)(run * size));
        from += run * size;
        more = false;
        for (int i = last - 1; i >= 0 && !more; i--) {
            more = ++at[i] < s->length[i];
            at[i] = more ? at[i] : 0;
        }
    }
}

cvs_status cvi_tf_slices_join(tf_bundle *b, const bundle_entry *e, cvs_tensor *out, bool *found,
                              cvs_error *err) {
    int64_t total = cvs_tensor_count(out), need = 0, covered = 0;
    if (total < 0 || !cvi_mul(total, (int64_t)cvs_dtype_size(out->dtype), &need)) {
        return cvi_tf_bundle_damaged(err);
    }
    out->bytes = (size_t)need;
    out->data = cvi_arena_alloc(b->model->arena, CVI_MAX(need, 1), 1);
    if (!out->data) {
        return cvi_no_memory(err, out->bytes);
    }
    for (const bundle_slice *s = e->slice; s; s = s->next) {
        bundle_slice now = *s;
        const uint8_t *from = NULL;
        int64_t count = 0;
        if (!settle(&now, out, &count) || count > total - covered) {
            return cvi_at_attr(err, cvi_tf_bundle_damaged(err), e->key);
        }
        cvs_status status = s->data ? first_numbers(b, s, out->dtype, count, &from, err)
                                    : second_numbers(b, e, s, count, &from, err);
        CVI_TRY(cvi_at_attr(err, status, e->key));
        if (count > 0) {
            copy_block(out, &now, from);
        }
        covered += count;
    }
    *found = true;
    return covered == total ? CVS_OK : cvi_at_attr(err, cvi_tf_bundle_damaged(err), e->key);
}

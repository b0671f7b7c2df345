/* SPDX-License-Identifier: MIT
 * torch_tensor.c - tensors of a PyTorch tree: calls of torch._utils._rebuild_tensor_v2 and relatives with a storage, an offset, sizes
 * and strides. Sizes are checked against the storage before anything is read; what is not contiguous is copied.
 */
#include "formats/torch.h"

/* An expanded tensor repeats its numbers (YOLOv5's grids do): so many elements may come of fewer bytes. */
enum { REPEATED = 1 << 20 };

static const struct {
    const char *storage, *dtype; /* torch.FloatStorage, torch.float32 */
    cvs_dtype type;
} types[] = {{"Float", "float32", CVS_F32},      {"Double", "float64", CVS_F64}, {"Half", "float16", CVS_F16},
             {"BFloat16", "bfloat16", CVS_BF16}, {"Long", "int64", CVS_I64},     {"Int", "int32", CVS_I32},
             {"Short", "int16", CVS_I16},        {"Char", "int8", CVS_I8},       {"Byte", "uint8", CVS_U8},
             {"Bool", "bool", CVS_BOOL},         {"Untyped", "uint8", CVS_U8}};

/* "torch.FloatStorage", "torch.cuda.FloatStorage", "torch.storage.UntypedStorage" */
static cvs_dtype storage_type(const cvi_pickle *p) {
    const char *dot =
        cvi_pickle_is(p, CVI_PK_GLOBAL) && strncmp(p->text, "torch.", 6) == 0 ? strrchr(p->text, '.') : NULL;
    for (int i = 0; dot && i < CVI_COUNT(types); i++) {
        size_t n = strlen(types[i].storage);
        if (strncmp(dot + 1, types[i].storage, n) == 0 && strcmp(dot + 1 + n, "Storage") == 0) {
            return types[i].type;
        }
    }
    return CVS_NONE;
}

static cvs_dtype named_type(const cvi_pickle *p) {
    for (int i = 0; cvi_pickle_is(p, CVI_PK_GLOBAL) && i < CVI_COUNT(types); i++) {
        if (strncmp(p->text, "torch.", 6) == 0 && strcmp(p->text + 6, types[i].dtype) == 0) {
            return types[i].type;
        }
    }
    return CVS_NONE;
}

cvs_dtype cvi_torch_storage_type(const cvi_pickle *ref, const char **key, int64_t *n) {
    const cvi_pickle *id = cvi_pickle_is(ref, CVI_PK_REF) ? ref->args : NULL;
    const cvi_pickle *count = cvi_pickle_item(id, 4);
    *key = cvi_pickle_text(cvi_pickle_item(id, 2));
    *n = cvi_pickle_is(count, CVI_PK_INT) && count->i >= 0 ? count->i : -1;
    bool storage = strcmp(cvi_pickle_text(cvi_pickle_item(id, 0)), "storage") == 0 && **key && *n >= 0;
    return storage ? storage_type(cvi_pickle_item(id, 1)) : CVS_NONE;
}

cvs_status cvi_torch_entry(cvi_torch *t, const char *name, const uint8_t **out, int64_t *n) {
    char full[1024];
    *out = NULL;
    int length = snprintf(full, sizeof full, "%s/%s", t->root, name);
    const cvi_zip_entry *e = length > 0 && (size_t)length < sizeof full ? cvi_zip_find(t->zip, full) : NULL;
    if (!e || e->folder) {
        return CVS_OK;
    }
    bool good = true, numbers = strncmp(name, t->folder, strlen(t->folder)) == 0;
    CVI_TRY(cvi_zip_read(t->zip, e, t->model->arena, out, numbers ? &good : NULL, t->err));
    t->wrong_sums += !good;
    *n = e->size;
    return CVS_OK;
}

/* The bytes of a storage; those of a view into another storage (old streams) are a part of it. */
static cvs_status storage_bytes(cvi_torch *t, const char *key, const uint8_t **out, int64_t *bytes) {
    char name[600];
    *out = NULL;
    if (t->zip) {
        int n = snprintf(name, sizeof name, "%s%s", t->folder, key);
        CVI_TRY(n > 0 && (size_t)n < sizeof name ? cvi_torch_entry(t, name, out, bytes) : CVS_OK);
    }
    for (int i = 0; !t->zip && i < t->n_storages; i++) {
        if (strcmp(t->storage[i].key, key) == 0) {
            *out = t->storage[i].data;
            *bytes = t->storage[i].bytes;
        }
    }
    return *out ? CVS_OK
                : cvi_at_attr(t->err,
                              cvi_fail(t->err, CVS_E_FORMAT,
                                       "the numbers \"%.60s\" of a tensor are not in the file", key),
                              key);
}

typedef struct shape {
    int64_t offset, stride[CVS_MAX_RANK];
    bool contiguous;
    int64_t reach; /* one past the last element that is read */
} shape;

/* Sizes, strides and offset, all checked: nothing negative, nothing overflows. */
static bool read_shape(const cvi_pickle *args, cvs_tensor *out, shape *s) {
    const cvi_pickle *offset = cvi_pickle_item(args, 1), *sizes = cvi_pickle_item(args, 2),
                     *strides = cvi_pickle_item(args, 3);
    *s = (shape){.contiguous = true};
    if (cvi_pickle_is(sizes, CVI_PK_OBJECT)) { /* torch.Size(...) */
        sizes = cvi_pickle_item(sizes->args, 0);
    }
    if (!cvi_pickle_is(offset, CVI_PK_INT) || offset->i < 0 || !cvi_pickle_is(sizes, CVI_PK_TUPLE) ||
        !cvi_pickle_is(strides, CVI_PK_TUPLE) || sizes->n != strides->n || sizes->n > CVS_MAX_RANK) {
        return false;
    }
    s->offset = offset->i;
    out->rank = (int)sizes->n;
    int64_t last = offset->i, row = 1;
    bool empty = false;
    for (int i = out->rank - 1; i >= 0; i--) {
        const cvi_pickle *size = sizes->item[i], *stride = strides->item[i];
        int64_t far = 0;
        if (size->kind != CVI_PK_INT || stride->kind != CVI_PK_INT || size->i < 0 || stride->i < 0) {
            return false;
        }
        out->dim[i] = size->i;
        s->stride[i] = stride->i;
        s->contiguous &= size->i == 1 || stride->i == row;
        empty |= size->i == 0;
        if (!cvi_mul(row, CVI_MAX(size->i, 1), &row) || !cvi_mul(CVI_MAX(size->i, 1) - 1, stride->i, &far) ||
            !cvi_add(last, far, &last) || !cvi_add(last, 1, &s->reach)) {
            return false;
        }
    }
    s->contiguous |= empty;
    s->reach = empty ? s->offset : last + 1;
    return true;
}

static void copy_strided(const uint8_t *from, const cvs_tensor *t, const shape *s, size_t size) {
    int64_t n = cvs_tensor_count(t), at[CVS_MAX_RANK] = {0}, place = s->offset;
    uint8_t *to = t->data;
    for (int64_t i = 0; i < n; i++) {
        memcpy(to + (size_t)i * size, from + (size_t)place * size, size);
        for (int k = t->rank - 1; k >= 0; k--) {
            place += s->stride[k];
            if (++at[k] < t->dim[k]) {
                break;
            }
            place -= s->stride[k] * t->dim[k];
            at[k] = 0;
        }
    }
}

static cvs_status place(cvi_torch *t, const uint8_t *bytes, const shape *s, cvs_tensor *out) {
    size_t size = cvs_dtype_size(out->dtype);
    int64_t n = cvs_tensor_count(out);
    out->bytes = (size_t)n * size;
    const uint8_t *at = bytes + (size_t)s->offset * size;
    if (n == 0) {
        return CVS_OK;
    }
    if (s->contiguous && (uintptr_t)at % size == 0) {
        out->data = (void *)(uintptr_t)at;
        return CVS_OK;
    }
    out->data = cvi_arena_raw(t->model->arena, (int64_t)out->bytes);
    if (!out->data) {
        return cvi_no_memory(t->err, out->bytes);
    }
    if (s->contiguous) {
        memcpy(out->data, at, out->bytes);
    } else {
        copy_strided(bytes, out, s, size);
    }
    return CVS_OK;
}

/* _rebuild_tensor_v2(storage, offset, size, stride, ...); v3 names the element type last. */
static cvs_status rebuild(cvi_torch *t, const cvi_pickle *args, bool v3, bool *is, cvs_tensor *out) {
    const char *key = "";
    int64_t stated = 0, bytes = 0, needed = 0;
    shape s;
    const uint8_t *data = NULL;
    *out = (cvs_tensor){.dtype = cvi_torch_storage_type(cvi_pickle_item(args, 0), &key, &stated)};
    if (v3 && out->dtype != CVS_NONE) {
        out->dtype = named_type(cvi_pickle_item(args, 6));
    }
    if (out->dtype == CVS_NONE) {
        return CVS_OK; /* complex numbers, quantised ones: left as they are */
    }
    *is = true;
    if (!read_shape(args, out, &s)) {
        return cvi_fail(t->err, CVS_E_FORMAT, "the sizes and strides of a tensor are damaged");
    }
    CVI_TRY(storage_bytes(t, key, &data, &bytes));
    int64_t count = cvs_tensor_count(out);
    if (count < 0 || !cvi_mul(s.reach, (int64_t)cvs_dtype_size(out->dtype), &needed) || needed > bytes ||
        count > CVI_MAX(bytes, REPEATED)) {
        char text[160];
        return cvi_fail(t->err, CVS_E_FORMAT, "a tensor of shape %s does not fit into its %lld bytes",
                        cvs_shape_text(out->rank, out->dim, text, sizeof text), (long long)bytes);
    }
    return place(t, data, &s, out);
}

cvs_status cvi_torch_tensor(cvi_torch *t, const cvi_pickle *p, bool *is, cvs_tensor *out) {
    *is = false;
    for (int i = 0; i < 4; i++) { /* a parameter is a wrapped tensor */
        const char *maker = cvi_pickle_maker(p);
        if (strcmp(maker, "torch._utils._rebuild_tensor_v2") == 0 ||
            strcmp(maker, "torch._utils._rebuild_tensor") == 0) {
            return rebuild(t, p->args, false, is, out);
        }
        if (strcmp(maker, "torch._utils._rebuild_tensor_v3") == 0) {
            return rebuild(t, p->args, true, is, out);
        }
        if (strcmp(maker, "torch._utils._rebuild_parameter") != 0 &&
            strcmp(maker, "torch._utils._rebuild_parameter_with_state") != 0) {
            return CVS_OK;
        }
        p = cvi_pickle_item(p->args, 0);
    }
    return CVS_OK;
}

/* SPDX-License-Identifier: MIT
 * npy.c - reading and writing .npy (numpy.lib.format, versions 1.0 to 3.0).
 * The header is a Python dictionary; we accept exactly the literals that NumPy writes (three keys, strings, True
 * or False, a tuple of integers) and evaluate nothing. Element types that are no numbers are refused by name.
 */
#include "base/base.h"
#include "tensor/dtype.h"
#include "tensor/list.h"
#include "tensor/npy.h"
#include "tensor/small.h"

enum { MAX_HEADER = 65535 };

typedef struct header {
    cvs_dtype dtype;
    bool swap, fortran;
    int rank;
    int64_t dim[CVS_MAX_RANK];
} header;

/* What is left of the header's text; `base` is the start of the file, for offsets. */
typedef struct cursor {
    const char *at, *end, *base;
    cvs_error *err;
} cursor;

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
static const char native_order = '>';
#else
static const char native_order = '<';
#endif

static const struct {
    char code[3];
    cvs_dtype dtype;
} codes[] = {{"b1", CVS_BOOL}, {"i1", CVS_I8},  {"u1", CVS_U8},  {"i2", CVS_I16},
             {"u2", CVS_U16},  {"i4", CVS_I32}, {"u4", CVS_U32}, {"i8", CVS_I64},
             {"u8", CVS_U64},  {"f2", CVS_F16}, {"f4", CVS_F32}, {"f8", CVS_F64}};

static cvs_status bad(cursor *c, const char *what) {
    what = cvi_tr(c->err != NULL ? c->err->lang : CVS_EN, what);
    cvs_status s = cvi_fail(c->err, CVS_E_FORMAT, "the .npy header is damaged: expected %s", what);
    return cvi_at_offset(c->err, s, c->at - c->base);
}

static void skip_spaces(cursor *c) {
    while (c->at < c->end && (*c->at == ' ' || *c->at == '\t' || *c->at == '\n' || *c->at == '\r')) {
        c->at++;
    }
}

static bool take(cursor *c, char wanted) {
    skip_spaces(c);
    if (c->at < c->end && *c->at == wanted) {
        c->at++;
        return true;
    }
    return false;
}

static bool take_word(cursor *c, const char *word) {
    size_t n = strlen(word);
    skip_spaces(c);
    if ((size_t)(c->end - c->at) >= n && memcmp(c->at, word, n) == 0) {
        c->at += n;
        return true;
    }
    return false;
}

/* 'text' or "text" without escapes, into out. */
static cvs_status take_string(cursor *c, char *out, size_t size) {
    char quote = take(c, '\'') ? '\'' : take(c, '"') ? '"' : '\0';
    if (quote == '\0') {
        return bad(c, "a string");
    }
    size_t n = 0;
    while (c->at < c->end && *c->at != quote && *c->at != '\\' && n + 1 < size) {
        out[n++] = *c->at++;
    }
    out[n] = '\0';
    if (c->at >= c->end || *c->at != quote) {
        return bad(c, "the end of a string");
    }
    c->at++;
    return CVS_OK;
}

static cvs_status take_dtype(cursor *c, header *h) {
    char text[32];
    const char *start = c->at;
    if (take(c, '[')) { /* a list of fields: a structured array */
        cvs_status s = cvi_fail(c->err, CVS_E_UNSUPPORTED,
                                "structured .npy arrays are not supported, one element type is needed");
        return cvi_at_offset(c->err, s, start - c->base);
    }
    CVI_TRY(take_string(c, text, sizeof text));
    char order = text[0];
    const char *code = strchr("<>|=", order) != NULL && order != '\0' ? text + 1 : text;
    for (int i = 0; i < CVI_COUNT(codes); i++) {
        if (strcmp(code, codes[i].code) == 0 || (codes[i].dtype == CVS_BOOL && strcmp(code, "?") == 0)) {
            h->dtype = codes[i].dtype;
            h->swap = (order == '<' || order == '>') && order != native_order;
            return CVS_OK;
        }
    }
    cvs_status s;
    if (code[0] == 'O') {
        s = cvi_fail(c->err, CVS_E_UNSUPPORTED,
                     ".npy files of Python objects are not opened: they would have to run code");
    } else {
        s = cvi_fail(c->err, CVS_E_UNSUPPORTED, "the .npy element type '%s' is not supported", text);
    }
    return cvi_at_offset(c->err, s, start - c->base);
}

static cvs_status take_shape(cursor *c, header *h) {
    if (!take(c, '(')) {
        return bad(c, "'(' of the shape");
    }
    h->rank = 0;
    while (!take(c, ')')) {
        skip_spaces(c);
        int64_t value = 0;
        const char *digits = c->at;
        for (; c->at < c->end && *c->at >= '0' && *c->at <= '9'; c->at++) {
            if (!cvi_mul(value, 10, &value) || !cvi_add(value, *c->at - '0', &value)) {
                return bad(c, "a dimension of less than 2^63");
            }
        }
        if (c->at == digits) {
            return bad(c, "a dimension");
        }
        (void)take(c, 'L'); /* Python 2 wrote long integers so */
        if (h->rank == CVS_MAX_RANK) {
            cvs_status s = cvi_fail(c->err, CVS_E_UNSUPPORTED, "a tensor has 0 to %d dimensions, not %d",
                                    CVS_MAX_RANK, h->rank + 1);
            return cvi_at_offset(c->err, s, digits - c->base);
        }
        h->dim[h->rank++] = value;
        if (!take(c, ',')) {
            if (h->rank == 1) {
                return bad(c, "',' after the only dimension");
            }
            if (!take(c, ')')) {
                return bad(c, "')' of the shape");
            }
            break;
        }
    }
    return CVS_OK;
}

static cvs_status take_dictionary(cursor *c, header *h) {
    unsigned seen = 0;
    if (!take(c, '{')) {
        return bad(c, "'{'");
    }
    while (!take(c, '}')) {
        char key[16];
        unsigned bit;
        CVI_TRY(take_string(c, key, sizeof key));
        if (!take(c, ':')) {
            return bad(c, "':'");
        }
        if (strcmp(key, "descr") == 0) {
            bit = 1;
            CVI_TRY(take_dtype(c, h));
        } else if (strcmp(key, "fortran_order") == 0) {
            bit = 2;
            h->fortran = take_word(c, "True");
            if (!h->fortran && !take_word(c, "False")) {
                return bad(c, "True or False");
            }
        } else if (strcmp(key, "shape") == 0) {
            bit = 4;
            CVI_TRY(take_shape(c, h));
        } else {
            return bad(c, "one of the keys descr, fortran_order and shape");
        }
        if ((seen & bit) != 0) {
            return bad(c, "every key once");
        }
        seen |= bit;
        if (!take(c, ',')) {
            if (!take(c, '}')) {
                return bad(c, "'}'");
            }
            break;
        }
    }
    skip_spaces(c);
    if (c->at != c->end) {
        return bad(c, "the end of the header");
    }
    return seen == 7 ? CVS_OK : bad(c, "all of the keys descr, fortran_order and shape");
}

/* Parses everything before the numbers; *data_at is where they begin. */
static cvs_status read_header(const uint8_t *file, size_t size, header *h, size_t *data_at, cvs_error *err) {
    static const uint8_t magic[6] = {0x93, 'N', 'U', 'M', 'P', 'Y'};
    if (size < 10 || memcmp(file, magic, sizeof magic) != 0) {
        return cvi_at_offset(err, cvi_fail(err, CVS_E_FORMAT, "this is not a .npy file"), 0);
    }
    if (file[6] < 1 || file[6] > 3 || file[7] != 0) {
        cvs_status s = cvi_fail(err, CVS_E_UNSUPPORTED, ".npy version %d.%d is not known, 1.0 to 3.0 are",
                                file[6], file[7]);
        return cvi_at_offset(err, s, 6);
    }
    size_t start = file[6] == 1 ? 10 : 12, length = 0;
    for (size_t i = size < start ? 8 : start; i > 8; i--) {
        length = length << 8 | file[i - 1];
    }
    if (size < start || length > size - start) {
        cvs_status s =
            cvi_fail(err, CVS_E_FORMAT, "the .npy header of %zu bytes is cut off: the file has %zu bytes",
                     length, size);
        return cvi_at_offset(err, s, 8);
    }
    if (length > MAX_HEADER) {
        cvs_status s = cvi_fail(err, CVS_E_LIMIT, "the .npy header has %zu bytes, the limit is %d", length,
                                (int)MAX_HEADER);
        return cvi_at_offset(err, s, 8);
    }
    cursor c = {.at = (const char *)file + start, .base = (const char *)file, .err = err};
    c.end = c.at + length;
    *data_at = start + length;
    return take_dictionary(&c, h);
}

static cvs_status from_fortran(cvs_tensor *t, cvs_error *err) {
    int perm[CVS_MAX_RANK];
    cvs_tensor reversed;
    for (int i = 0; i < t->rank; i++) {
        perm[i] = t->rank - 1 - i;
    }
    cvs_status s = cvs_tensor_permute(t, perm, &reversed, err);
    cvs_tensor_free(t);
    if (s == CVS_OK) {
        *t = reversed;
    }
    return s;
}

cvs_status cvi_npy_decode(const void *data, size_t size, const cvs_limits *limits, cvs_tensor *out,
                          cvs_error *err) {
    header h = {0};
    size_t data_at = 0;
    *out = (cvs_tensor){0};
    CVI_TRY(read_header(data, size, &h, &data_at, err));
    if (h.fortran) { /* the same numbers in C order have the dimensions reversed */
        for (int i = 0; i < h.rank / 2; i++) {
            int64_t other = h.dim[i];
            h.dim[i] = h.dim[h.rank - 1 - i];
            h.dim[h.rank - 1 - i] = other;
        }
    }
    cvs_tensor shape = {.rank = h.rank};
    memcpy(shape.dim, h.dim, sizeof h.dim);
    int64_t count = cvs_tensor_count(&shape), bytes = 0;
    bool fits = count >= 0 && cvi_mul(count, (int64_t)cvs_dtype_size(h.dtype), &bytes);
    if (!fits || (uint64_t)bytes != size - data_at) {
        char text[200];
        cvs_status s = cvi_fail(
            err, CVS_E_FORMAT, "the shape %s of %s does not fit the %zu bytes of numbers in the file",
            cvs_shape_text(h.rank, h.dim, text, sizeof text), cvs_dtype_name(h.dtype), size - data_at);
        return cvi_at_offset(err, s, (int64_t)data_at);
    }
    if (bytes > cvs_limits_default(limits).max_memory_bytes) {
        return cvi_fail(err, CVS_E_LIMIT, "the tensor needs %lld bytes, the limit is %lld", (long long)bytes,
                        (long long)cvs_limits_default(limits).max_memory_bytes);
    }
    CVI_TRY(cvs_tensor_new(out, h.dtype, h.rank, h.dim, err));
    if (bytes > 0) {
        /* Through cvi_convert, which makes 0 or 1 of any bool. */
        cvi_convert(out->data, h.dtype, (const uint8_t *)data + data_at, h.dtype, count);
        if (h.swap) {
            cvi_swap_bytes(out->data, cvs_dtype_size(h.dtype), count);
        }
    }
    return h.fortran ? from_fortran(out, err) : CVS_OK;
}

cvs_status cvs_npy_read(const char *path, const cvs_limits *limits, cvs_tensor *out, cvs_error *err) {
    cvi_file file;
    *out = (cvs_tensor){0};
    CVI_TRY(cvi_file_read(path, limits, &file, err));
    cvs_status s = cvi_at_file(err, cvi_npy_decode(file.data, file.size, limits, out, err), path);
    cvi_file_close(&file);
    return s;
}

/* Version 1.0, padded with spaces so that the numbers begin at a multiple of 64, as NumPy does. */
static size_t write_header(char *out, size_t room, const cvs_tensor *t) {
    const char *code = "f4";
    for (int i = 0; i < CVI_COUNT(codes); i++) {
        code = codes[i].dtype == t->dtype ? codes[i].code : code;
    }
    char shape[CVS_MAX_RANK * 22 + 8];
    size_t at = 0;
    for (int i = 0; i < t->rank; i++) {
        at += (size_t)snprintf(shape + at, sizeof shape - at, "%s%lld", i > 0 ? ", " : "",
                               (long long)t->dim[i]);
    }
    snprintf(shape + at, sizeof shape - at, "%s", t->rank == 1 ? "," : "");
    char order = cvs_dtype_size(t->dtype) == 1 ? '|' : native_order;
    int n = snprintf(out + 10, room - 10, "{'descr': '%c%s', 'fortran_order': False, 'shape': (%s), }", order,
                     code, shape);
    size_t total = ((size_t)n + 10 + 1 + 63) / 64 * 64;
    memset(out + 10 + n, ' ', total - 10 - (size_t)n);
    out[total - 1] = '\n';
    memcpy(out, "\x93NUMPY\x01\x00", 8);
    out[8] = (char)(uint8_t)(total - 10);
    out[9] = (char)(uint8_t)((total - 10) >> 8);
    return total;
}

/* The type that stands in for one that NumPy does not have. */
static cvs_dtype npy_type(cvs_dtype t) {
    if (t == CVS_I4 || t == CVS_I2) {
        return CVS_I8;
    }
    if (t == CVS_U4 || t == CVS_U2) {
        return CVS_U8;
    }
    return t == CVS_BF16 || cvi_is_small_float(t) ? CVS_F32 : t;
}

cvs_status cvs_npy_write(const char *path, const cvs_tensor *t, cvs_error *err) {
    cvs_tensor wide = {0};
    cvs_dtype as = npy_type(t->dtype);
    if (as != t->dtype) {
        CVI_TRY(cvs_tensor_convert(t, as, &wide, err));
        t = &wide;
    }
    int64_t count = cvs_tensor_count(t), bytes = 0;
    cvs_status s = CVS_OK;
    if (t->dtype == CVI_LIST) {
        s = cvi_fail(err, CVS_E_UNSUPPORTED, "a sequence of tensors has no .npy form");
    } else if (t->layout != CVS_PLAIN) {
        s = cvi_fail(err, CVS_E_ARGUMENT, "the tensor must be in plain layout");
    } else if (count < 0 || cvs_dtype_size(t->dtype) == 0 ||
               !cvi_mul(count, (int64_t)cvs_dtype_size(t->dtype), &bytes) || (uint64_t)bytes > t->bytes ||
               (bytes > 0 && t->data == NULL)) {
        char text[200];
        s = cvi_fail(err, CVS_E_ARGUMENT, "a tensor of shape %s holds %zu bytes only",
                     cvs_shape_text(t->rank, t->dim, text, sizeof text),
                     t->data != NULL ? t->bytes : (size_t)0);
    }
    if (s == CVS_OK) {
        char head[512];
        cvi_writer w;
        s = cvi_writer_begin(&w, path, err);
        if (s == CVS_OK) {
            w.unsynced = true;
            s = cvi_writer_add(&w, head, write_header(head, sizeof head, t), err);
            if (s == CVS_OK && bytes > 0) {
                s = cvi_writer_add(&w, t->data, (size_t)bytes, err);
            }
            if (s == CVS_OK) {
                s = cvi_writer_commit(&w, err);
            } else {
                cvi_writer_abort(&w);
            }
        }
    }
    cvs_tensor_free(&wide);
    return cvi_at_file(err, s, path);
}

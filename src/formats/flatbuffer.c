/* SPDX-License-Identifier: MIT
 * flatbuffer.c - what flatbuffer.h declares. A table begins with a signed offset back to its list of fields (a "vtable": its size, the
 * table's size, then one 16-bit place per field, 0 = absent); vectors and strings begin with their count; all is little-endian.
 */
#include "formats/flatbuffer.h"

static void fail(cvi_fb *f, size_t at, const char *what) {
    if (f->status == CVS_OK) {
        f->status = cvi_fail(f->err, CVS_E_FORMAT, "%s points outside the file of %zu bytes",
                             cvi_tr(f->err ? f->err->lang : CVS_EN, what), f->size);
        cvi_at_offset(f->err, f->status, (int64_t)at);
    }
}

static bool inside(cvi_fb *f, size_t at, size_t bytes, const char *what) {
    if (f->status == CVS_OK && (at > f->size || bytes > f->size - at)) {
        fail(f, at, what);
    }
    return f->status == CVS_OK;
}

/* A little-endian number of 1 to 8 bytes that is known to lie inside. */
static uint64_t number(const cvi_fb *f, size_t at, size_t bytes) {
    uint64_t v = 0;
    for (size_t i = 0; i < bytes; i++) {
        v |= (uint64_t)f->data[at + i] << (8 * i);
    }
    return v;
}

static int64_t extend(uint64_t v, size_t bytes) {
    int shift = 64 - 8 * (int)bytes;
    return (int64_t)(v << shift) >> shift;
}

/* Follows the 32-bit offset at `at`; 0 on failure. */
static size_t follow(cvi_fb *f, size_t at, const char *what) {
    if (!inside(f, at, 4, what)) {
        return 0;
    }
    size_t to = at + (size_t)number(f, at, 4);
    if (to == at || to >= f->size) {
        fail(f, at, what);
        return 0;
    }
    return to;
}

static cvi_fb_table table(cvi_fb *f, size_t at) {
    cvi_fb_table t = {0}, none = {0};
    if (at == 0 || !inside(f, at, 4, "a table")) {
        return none;
    }
    int64_t fields = (int64_t)at - extend(number(f, at, 4), 4);
    if (fields < 0 || fields > (int64_t)f->size) {
        fail(f, at, "a table");
        return none;
    }
    t.at = at;
    t.fields = (size_t)fields;
    if (!inside(f, t.fields, 4, "a table")) {
        return none;
    }
    t.n_fields_bytes = (size_t)number(f, t.fields, 2);
    t.bytes = (size_t)number(f, t.fields + 2, 2);
    if (t.n_fields_bytes < 4 || t.bytes < 4 || !inside(f, t.fields, t.n_fields_bytes, "a table") ||
        !inside(f, t.at, t.bytes, "a table")) {
        fail(f, at, "a table");
        return none;
    }
    return t;
}

cvi_fb_table cvi_fb_root(cvi_fb *f) {
    return table(f, follow(f, 0, "a table"));
}

/* Where a field's own bytes are, or 0 where it is absent. */
static size_t place(cvi_fb *f, const cvi_fb_table *t, int field, size_t bytes) {
    size_t entry = 4 + 2 * (size_t)field;
    if (f->status != CVS_OK || t->at == 0 || entry + 2 > t->n_fields_bytes) {
        return 0;
    }
    size_t offset = (size_t)number(f, t->fields + entry, 2);
    if (offset == 0) {
        return 0;
    }
    if (offset > t->bytes || bytes > t->bytes - offset) {
        fail(f, t->at, "a field");
        return 0;
    }
    return t->at + offset;
}

bool cvi_fb_has(cvi_fb *f, const cvi_fb_table *t, int field) {
    return place(f, t, field, 1) != 0;
}

int64_t cvi_fb_int(cvi_fb *f, const cvi_fb_table *t, int field, int bytes, bool is_signed,
                   int64_t otherwise) {
    size_t at = place(f, t, field, (size_t)bytes);
    if (at == 0) {
        return otherwise;
    }
    uint64_t v = number(f, at, (size_t)bytes);
    return is_signed ? extend(v, (size_t)bytes) : (int64_t)v;
}

static double float_of(uint32_t bits) {
    float v;
    memcpy(&v, &bits, sizeof v);
    return (double)v;
}

double cvi_fb_float(cvi_fb *f, const cvi_fb_table *t, int field, double otherwise) {
    size_t at = place(f, t, field, 4);
    return at ? float_of((uint32_t)number(f, at, 4)) : otherwise;
}

cvi_fb_table cvi_fb_table_field(cvi_fb *f, const cvi_fb_table *t, int field) {
    size_t at = place(f, t, field, 4);
    return table(f, at ? follow(f, at, "a table") : 0);
}

cvi_fb_vector cvi_fb_vector_field(cvi_fb *f, const cvi_fb_table *t, int field, size_t element) {
    size_t at = place(f, t, field, 4), to = at ? follow(f, at, "a list") : 0;
    if (to == 0 || !inside(f, to, 4, "a list")) {
        return (cvi_fb_vector){0};
    }
    int64_t n = (int64_t)number(f, to, 4);
    if ((uint64_t)n > (f->size - to - 4) / element) {
        fail(f, to, "a list");
        return (cvi_fb_vector){0};
    }
    return (cvi_fb_vector){.at = to + 4, .n = n, .size = element};
}

const char *cvi_fb_string_field(cvi_fb *f, const cvi_fb_table *t, int field, size_t *length) {
    cvi_fb_vector v = cvi_fb_vector_field(f, t, field, 1);
    *length = (size_t)v.n;
    return v.at ? (const char *)f->data + v.at : "";
}

cvi_fb_table cvi_fb_table_at(cvi_fb *f, const cvi_fb_vector *v, int64_t i) {
    return table(f, follow(f, v->at + (size_t)i * 4, "a table"));
}

int64_t cvi_fb_int_at(const cvi_fb *f, const cvi_fb_vector *v, int64_t i) {
    return extend(number(f, v->at + (size_t)i * v->size, v->size), v->size);
}

double cvi_fb_float_at(const cvi_fb *f, const cvi_fb_vector *v, int64_t i) {
    return float_of((uint32_t)number(f, v->at + (size_t)i * 4, 4));
}

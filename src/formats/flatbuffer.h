/* SPDX-License-Identifier: MIT
 * flatbuffer.h (internal) - a bounds-checked reader of FlatBuffers, which knows no schema. Every offset, table, field and vector is
 * checked against the file before it is used; nothing is copied. A failure sticks in `status`, what is read after it is 0 or empty.
 * Format: https://flatbuffers.dev/internals/
 */
#ifndef CVI_FLATBUFFER_H
#define CVI_FLATBUFFER_H

#include "base/base.h"

typedef struct cvi_fb {
    const uint8_t *data;
    size_t size;
    cvs_error *err;
    cvs_status status;
} cvi_fb;

/* A table: where it and its list of fields begin. at 0: there is none, all its fields are absent. */
typedef struct cvi_fb_table {
    size_t at, fields, n_fields_bytes, bytes;
} cvi_fb_table;

/* n elements of `size` bytes; of tables and strings: 4-byte offsets. */
typedef struct cvi_fb_vector {
    size_t at;
    int64_t n;
    size_t size;
} cvi_fb_vector;

cvi_fb_table cvi_fb_root(cvi_fb *f);
/* Fields by number. Absent: the default, or none. */
int64_t cvi_fb_int(cvi_fb *f, const cvi_fb_table *t, int field, int bytes, bool is_signed, int64_t otherwise);
double cvi_fb_float(cvi_fb *f, const cvi_fb_table *t, int field, double otherwise);
cvi_fb_table cvi_fb_table_field(cvi_fb *f, const cvi_fb_table *t, int field);
cvi_fb_vector cvi_fb_vector_field(cvi_fb *f, const cvi_fb_table *t, int field, size_t element);
bool cvi_fb_has(cvi_fb *f, const cvi_fb_table *t, int field);
/* A string, borrowed and not terminated. */
const char *cvi_fb_string_field(cvi_fb *f, const cvi_fb_table *t, int field, size_t *length);
/* Element i of a vector of tables; of numbers. i is within the vector. */
cvi_fb_table cvi_fb_table_at(cvi_fb *f, const cvi_fb_vector *v, int64_t i);
int64_t cvi_fb_int_at(const cvi_fb *f, const cvi_fb_vector *v, int64_t i);
double cvi_fb_float_at(const cvi_fb *f, const cvi_fb_vector *v, int64_t i);

#endif

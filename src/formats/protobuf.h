/* SPDX-License-Identifier: MIT
 * protobuf.h (internal) - a zero-copy walker over the protobuf wire format, as the readers of ONNX (and later Caffe and
 * TensorFlow) need it: varints, fixed numbers, lengths, packed or not, groups skipped, unknown fields left to the
 * caller to ignore. It knows no schema. Nothing is copied: what it hands out points into the file's bytes.
 *
 * A singular message may arrive in pieces that have to be merged, and merging is reading the pieces one after the
 * other; so a message here is a chain of pieces.
 * Wire format: https://protobuf.dev/programming-guides/encoding/
 */
#ifndef CVI_PROTOBUF_H
#define CVI_PROTOBUF_H

#include "base/base.h"

typedef enum cvi_pb_wire {
    CVI_PB_VARINT = 0,
    CVI_PB_FIXED64 = 1,
    CVI_PB_BYTES = 2, /* strings, bytes, messages, packed numbers */
    CVI_PB_FIXED32 = 5
} cvi_pb_wire;

/* A message's bytes; pieces are read in order. Zeroed = an empty message that never appeared. */
typedef struct cvi_pb_piece {
    const uint8_t *data;
    size_t size;
    struct cvi_pb_piece *next, *last; /* last: kept in the first piece only */
} cvi_pb_piece;

/* Where a walk stands. `base` is the first byte of the file: offsets in errors count from it. */
typedef struct cvi_pb {
    const uint8_t *base, *at, *end;
    const cvi_pb_piece *next;
    int depth, max_depth;
    cvs_error *err;
} cvi_pb;

/* One field. number 0 = the message is over. bytes: of a BYTES field, borrowed. */
typedef struct cvi_pb_field {
    uint32_t number;
    cvi_pb_wire wire;
    uint64_t value; /* VARINT, FIXED32, FIXED64: the bits */
    cvi_pb_piece bytes;
    int64_t offset; /* of the field's tag in the file */
} cvi_pb_field;

/* A walk over a whole file. */
cvi_pb cvi_pb_begin(const void *data, size_t size, int64_t max_depth, cvs_error *err);
/* A walk over a message that was found in `parent`; fails when messages nest deeper than max_depth. */
cvs_status cvi_pb_enter(const cvi_pb *parent, const cvi_pb_piece *message, cvi_pb *out);
/* The next field; groups are skipped. Damage is CVS_E_FORMAT with the offset. */
cvs_status cvi_pb_next(cvi_pb *r, cvi_pb_field *f);
/* Fails with the field's offset unless it has this wire type; `what` names it for people. */
cvs_status cvi_pb_expect(const cvi_pb *r, const cvi_pb_field *f, cvi_pb_wire wire, const char *what);

/* Appends a BYTES field to a message that may come in pieces (pieces live in the arena). */
cvs_status cvi_pb_collect(const cvi_pb *r, cvi_arena *a, cvi_pb_piece *message, const cvi_pb_field *f,
                          const char *what);
/* A terminated copy of a string: valid UTF-8 without NUL, at most max bytes. */
cvs_status cvi_pb_string(const cvi_pb *r, cvi_arena *a, const cvi_pb_field *f, int64_t max, const char *what,
                         const char **out);

/* Numbers of a repeated field, packed or one by one: next() hands them out one at a time. width: 0 varint, 4, 8. */
typedef struct cvi_pb_numbers {
    const uint8_t *at, *end;
    int width;
    uint64_t single;
    bool has_single;
} cvi_pb_numbers;
cvs_status cvi_pb_numbers_begin(const cvi_pb *r, const cvi_pb_field *f, int width, const char *what,
                                cvi_pb_numbers *out);
/* *more = false when there are no more. */
cvs_status cvi_pb_numbers_next(const cvi_pb *r, cvi_pb_numbers *n, uint64_t *value, bool *more);
/* How many numbers a begun sequence has (a bounded scan). */
int64_t cvi_pb_numbers_count(const cvi_pb_numbers *n);

/* The offset in the file of a place in it. */
int64_t cvi_pb_offset(const cvi_pb *r, const void *place);
/* Bits of float and double fields. */
float cvi_pb_float(uint64_t bits);
double cvi_pb_double(uint64_t bits);
/* True when n bytes are UTF-8 without NUL. */
bool cvi_utf8_valid(const uint8_t *s, size_t n);

#endif

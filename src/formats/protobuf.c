/* SPDX-License-Identifier: MIT
 * protobuf.c - the wire walker that protobuf.h declares. Every length is compared with what is left before it is used, so that
 * no pointer ever leaves the message it belongs to; work is linear in the bytes.
 */
#include "protobuf.h"

cvi_pb cvi_pb_begin(const void *data, size_t size, int64_t max_depth, cvs_error *err) {
    data = data ? data : ""; /* an empty file has no bytes to point to */
    cvi_pb r = {.base = data, .at = data, .err = err};
    r.end = r.at + size;
    r.max_depth = (int)CVI_MIN(max_depth, 1000);
    return r;
}

int64_t cvi_pb_offset(const cvi_pb *r, const void *place) {
    return (int64_t)((const uint8_t *)place - r->base);
}

/* Adds the place to a failure: `return fail_at(r, place, cvi_fail(...))`. */
static cvs_status fail_at(const cvi_pb *r, const void *place, cvs_status code) {
    return cvi_at_offset(r->err, code, cvi_pb_offset(r, place));
}

cvs_status cvi_pb_enter(const cvi_pb *parent, const cvi_pb_piece *message, cvi_pb *out) {
    *out = *parent;
    out->at = message->data ? message->data : parent->base;
    out->end = out->at + message->size;
    out->next = message->next;
    out->depth = parent->depth + 1;
    if (out->depth > out->max_depth) {
        return fail_at(
            parent, out->at,
            cvi_fail(parent->err, CVS_E_LIMIT, "messages are nested deeper than %d levels", out->max_depth));
    }
    return CVS_OK;
}

/* A varint of up to ten bytes, advancing *at. */
static bool varint(const uint8_t **at, const uint8_t *end, uint64_t *out) {
    uint64_t v = 0;
    const uint8_t *p = *at;
    for (int shift = 0; shift < 70; shift += 7) {
        if (p == end) {
            return false;
        }
        uint8_t byte = *p++;
        if (shift == 63 && byte > 1) {
            return false;
        }
        v |= (uint64_t)(byte & 0x7f) << shift;
        if (!(byte & 0x80)) {
            *at = p;
            *out = v;
            return true;
        }
    }
    return false;
}

static uint64_t little(const uint8_t *p, int n) {
    uint64_t v = 0;
    for (int i = 0; i < n; i++) {
        v |= (uint64_t)p[i] << (8 * i);
    }
    return v;
}

/* Reads tag and content of one field, whatever it is. Groups come out as wire types 3 and 4. */
static cvs_status field(cvi_pb *r, cvi_pb_field *f, unsigned *wire) {
    const uint8_t *start = r->at;
    uint64_t tag = 0, length = 0;
    *f = (cvi_pb_field){.offset = cvi_pb_offset(r, start)};
    if (!varint(&r->at, r->end, &tag) || (tag >> 3) == 0 || (tag >> 3) > 0x1fffffff) {
        return fail_at(
            r, start,
            cvi_fail(r->err, CVS_E_FORMAT, "damaged or cut off: a protobuf field should start here"));
    }
    f->number = (uint32_t)(tag >> 3);
    *wire = (unsigned)(tag & 7);
    size_t left = (size_t)(r->end - r->at);
    bool ok = true;
    switch (*wire) {
    case CVI_PB_VARINT:
        ok = varint(&r->at, r->end, &f->value);
        break;
    case CVI_PB_FIXED64:
    case CVI_PB_FIXED32: {
        int n = *wire == CVI_PB_FIXED64 ? 8 : 4;
        ok = left >= (size_t)n;
        if (ok) {
            f->value = little(r->at, n);
            r->at += n;
        }
        break;
    }
    case CVI_PB_BYTES:
        ok = varint(&r->at, r->end, &length);
        left = (size_t)(r->end - r->at);
        if (ok && length > left) {
            return fail_at(r, start,
                           cvi_fail(r->err, CVS_E_FORMAT,
                                    "damaged or cut off: a field says %llu bytes, %zu are left",
                                    (unsigned long long)length, left));
        }
        if (ok) {
            f->bytes = (cvi_pb_piece){.data = r->at, .size = (size_t)length};
            r->at += length;
        }
        break;
    case 3:
    case 4:
        break;
    default:
        ok = false;
    }
    if (!ok) {
        return fail_at(r, start,
                       cvi_fail(r->err, CVS_E_FORMAT,
                                "damaged or cut off: no valid content in protobuf field %u", f->number));
    }
    f->wire = (cvi_pb_wire)(*wire);
    return CVS_OK;
}

/* Skips a group after its start tag: until the end tag that belongs to it. */
static cvs_status skip_group(cvi_pb *r, uint32_t number, int64_t offset) {
    uint32_t open[64];
    int n = 0;
    const int most = CVI_MIN(CVI_COUNT(open), CVI_MAX(r->max_depth - r->depth, 1));
    open[n++] = number;
    while (n > 0) {
        cvi_pb_field f;
        unsigned wire = 0;
        bool over = r->at == r->end;
        if (!over) {
            CVI_TRY(field(r, &f, &wire));
        }
        if (over || (wire == 4 && f.number != open[n - 1])) {
            return cvi_at_offset(
                r->err, cvi_fail(r->err, CVS_E_FORMAT, "damaged: a protobuf group is not closed"), offset);
        }
        if (wire == 4) {
            n--;
        } else if (wire == 3 && n == most) {
            return cvi_at_offset(
                r->err,
                cvi_fail(r->err, CVS_E_LIMIT, "messages are nested deeper than %d levels", r->max_depth),
                offset);
        } else if (wire == 3) {
            open[n++] = f.number;
        }
    }
    return CVS_OK;
}

cvs_status cvi_pb_next(cvi_pb *r, cvi_pb_field *f) {
    for (;;) {
        while (r->at == r->end && r->next) {
            r->at = r->next->data;
            r->end = r->at + r->next->size;
            r->next = r->next->next;
        }
        if (r->at == r->end) {
            *f = (cvi_pb_field){.offset = cvi_pb_offset(r, r->at)};
            return CVS_OK;
        }
        unsigned wire = 0;
        CVI_TRY(field(r, f, &wire));
        if (wire == 4) {
            return cvi_at_offset(
                r->err, cvi_fail(r->err, CVS_E_FORMAT, "damaged: a protobuf group ends that never began"),
                f->offset);
        }
        if (wire != 3) {
            return CVS_OK;
        }
        CVI_TRY(skip_group(r, f->number, f->offset));
    }
}

cvs_status cvi_pb_expect(const cvi_pb *r, const cvi_pb_field *f, cvi_pb_wire wire, const char *what) {
    if (f->wire == wire) {
        return CVS_OK;
    }
    return cvi_at_offset(r->err,
                         cvi_fail(r->err, CVS_E_FORMAT, "damaged: %s has wire type %d, it should be %d", what,
                                  (int)f->wire, (int)wire),
                         f->offset);
}

cvs_status cvi_pb_collect(const cvi_pb *r, cvi_arena *a, cvi_pb_piece *message, const cvi_pb_field *f,
                          const char *what) {
    CVI_TRY(cvi_pb_expect(r, f, CVI_PB_BYTES, what));
    if (!message->data) {
        *message = f->bytes;
        return CVS_OK;
    }
    cvi_pb_piece *piece = cvi_arena_alloc(a, 1, sizeof *piece);
    if (!piece) {
        return cvi_no_memory(r->err, sizeof *piece);
    }
    *piece = f->bytes;
    *(message->last ? &message->last->next : &message->next) = piece;
    message->last = piece;
    return CVS_OK;
}

bool cvi_utf8_valid(const uint8_t *s, size_t n) {
    for (size_t i = 0; i < n;) {
        uint8_t c = s[i];
        size_t more = c < 0x80                   ? 0
                      : (c >= 0xc2 && c <= 0xdf) ? 1
                      : (c & 0xf0) == 0xe0       ? 2
                      : (c >= 0xf0 && c <= 0xf4) ? 3
                                                 : 9;
        if (c == 0 || more > n - i - 1) {
            return false;
        }
        for (size_t k = 1; k <= more; k++) {
            if ((s[i + k] & 0xc0) != 0x80) {
                return false;
            }
        }
        if ((c == 0xe0 && s[i + 1] < 0xa0) || (c == 0xed && s[i + 1] > 0x9f) ||
            (c == 0xf0 && s[i + 1] < 0x90) || (c == 0xf4 && s[i + 1] > 0x8f)) {
            return false; /* overlong, surrogate, beyond U+10FFFF */
        }
        i += more + 1;
    }
    return true;
}

cvs_status cvi_pb_string(const cvi_pb *r, cvi_arena *a, const cvi_pb_field *f, int64_t max, const char *what,
                         const char **out) {
    CVI_TRY(cvi_pb_expect(r, f, CVI_PB_BYTES, what));
    if (f->bytes.size > (uint64_t)max) {
        return cvi_at_offset(r->err,
                             cvi_fail(r->err, CVS_E_LIMIT, "%s is %zu bytes long, the limit is %lld", what,
                                      f->bytes.size, (long long)max),
                             f->offset);
    }
    if (!cvi_utf8_valid(f->bytes.data, f->bytes.size)) {
        return cvi_at_offset(r->err, cvi_fail(r->err, CVS_E_FORMAT, "damaged: %s is not UTF-8 text", what),
                             f->offset);
    }
    const char *copy = cvi_arena_strn(a, (const char *)f->bytes.data, f->bytes.size);
    if (!copy) {
        return cvi_no_memory(r->err,
                             f->bytes.size); /* *out stays what it was: errors on the way up read it */
    }
    *out = copy;
    return CVS_OK;
}

cvs_status cvi_pb_numbers_begin(const cvi_pb *r, const cvi_pb_field *f, int width, const char *what,
                                cvi_pb_numbers *out) {
    *out = (cvi_pb_numbers){.width = width};
    if (f->wire == CVI_PB_BYTES) {
        out->at = f->bytes.data;
        out->end = out->at + f->bytes.size;
        if (width && f->bytes.size % (size_t)width) {
            return cvi_at_offset(r->err,
                                 cvi_fail(r->err, CVS_E_FORMAT,
                                          "damaged: %s holds %zu bytes, not a multiple of %d", what,
                                          f->bytes.size, width),
                                 f->offset);
        }
        return CVS_OK;
    }
    CVI_TRY(cvi_pb_expect(r, f,
                          width == 0   ? CVI_PB_VARINT
                          : width == 4 ? CVI_PB_FIXED32
                                       : CVI_PB_FIXED64,
                          what));
    out->single = f->value;
    out->has_single = true;
    return CVS_OK;
}

cvs_status cvi_pb_numbers_next(const cvi_pb *r, cvi_pb_numbers *n, uint64_t *value, bool *more) {
    *more = n->has_single || n->at != n->end;
    if (n->has_single) {
        *value = n->single;
        n->has_single = false;
    } else if (*more && n->width) {
        *value = little(n->at, n->width);
        n->at += n->width;
    } else if (*more && !varint(&n->at, n->end, value)) {
        return fail_at(r, n->at,
                       cvi_fail(r->err, CVS_E_FORMAT, "damaged or cut off: a packed number is not complete"));
    }
    return CVS_OK;
}

int64_t cvi_pb_numbers_count(const cvi_pb_numbers *n) {
    int64_t count = n->has_single;
    if (n->width) {
        return count + (int64_t)(n->end - n->at) / n->width;
    }
    for (const uint8_t *p = n->at; p != n->end; p++) {
        count += !(*p & 0x80);
    }
    return count;
}

float cvi_pb_float(uint64_t bits) {
    uint32_t b = (uint32_t)bits;
    float f;
    memcpy(&f, &b, sizeof f);
    return f;
}

double cvi_pb_double(uint64_t bits) {
    double d;
    memcpy(&d, &bits, sizeof d);
    return d;
}

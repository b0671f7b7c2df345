/* SPDX-License-Identifier: MIT
 * event_read.c - Event messages of TensorBoard's files, by number (event.proto, summary.proto, tensor.proto). Everything handed out points
 * into the record; nothing is trusted: sizes are those of the bytes that are there.
 */
#include "watch/event_read.h"

#include <math.h>

enum { DEPTH = 16, LONGEST_TAG = 4096 };

cvs_status cvi_event_parse(const uint8_t *data, size_t size, cvi_event *out, cvs_error *err) {
    cvi_pb r = cvi_pb_begin(data, size, DEPTH, err);
    cvi_pb_field f;
    *out = (cvi_event){0};
    for (;;) {
        CVI_TRY(cvi_pb_next(&r, &f));
        if (f.number == 0) {
            return CVS_OK;
        }
        if (f.number == 1 && f.wire == CVI_PB_FIXED64) {
            out->wall = cvi_pb_double(f.value);
        } else if (f.number == 2 && f.wire == CVI_PB_VARINT) {
            out->step = (int64_t)f.value;
        } else if ((f.number == 5 || f.number == 7) && f.wire == CVI_PB_BYTES) {
            cvi_pb inner;
            cvi_pb_field g;
            CVI_TRY(cvi_pb_enter(&r, &f.bytes, &inner));
            do {
                CVI_TRY(cvi_pb_next(&inner, &g));
                out->n_values += f.number == 5 && g.number == 1 && g.wire == CVI_PB_BYTES;
                out->restart |= f.number == 7 && g.number == 1 && g.wire == CVI_PB_VARINT && g.value == 1;
            } while (g.number != 0);
        }
    }
}

/* ---- a tensor ------------------------------------------------------------------------------------------- */

static cvs_status read_shape(const cvi_pb *parent, const cvi_pb_field *f, cvi_event_tensor *t) {
    cvi_pb r, one;
    cvi_pb_field d, v;
    CVI_TRY(cvi_pb_enter(parent, &f->bytes, &r));
    for (;;) {
        CVI_TRY(cvi_pb_next(&r, &d));
        if (d.number == 0) {
            return CVS_OK;
        }
        if (d.number == 2 && d.wire == CVI_PB_BYTES) {
            int64_t size = 0;
            CVI_TRY(cvi_pb_enter(&r, &d.bytes, &one));
            do {
                CVI_TRY(cvi_pb_next(&one, &v));
                size = v.number == 1 && v.wire == CVI_PB_VARINT ? (int64_t)v.value : size;
            } while (v.number != 0);
            if (t->rank < CVI_COUNT(t->dim)) {
                t->dim[t->rank] = size;
            }
            t->rank++;
        }
    }
}

static cvs_status read_tensor(const cvi_pb *parent, const cvi_pb_field *f, cvi_event_tensor *t) {
    static const struct {
        uint32_t field;
        int width;
    } numbers[] = {{5, 4}, {6, 8}, {7, 0}, {10, 0}, {11, 0}, {13, 0}};
    cvi_pb r;
    cvi_pb_field g;
    CVI_TRY(cvi_pb_enter(parent, &f->bytes, &r));
    for (;;) {
        CVI_TRY(cvi_pb_next(&r, &g));
        if (g.number == 0) {
            return CVS_OK;
        }
        if (g.number == 1 && g.wire == CVI_PB_VARINT) {
            t->dtype = (int)CVI_MIN(g.value, 1000);
        } else if (g.number == 2 && g.wire == CVI_PB_BYTES) {
            CVI_TRY(read_shape(&r, &g, t));
        } else if (g.number == 4 && g.wire == CVI_PB_BYTES) {
            t->content = g.bytes;
        } else if (g.number == 8 && g.wire == CVI_PB_BYTES) {
            if (t->n_strings < CVI_COUNT(t->strings)) {
                t->strings[t->n_strings] = g.bytes;
            }
            t->n_strings++;
        }
        for (int i = 0; i < CVI_COUNT(numbers); i++) {
            if (g.number == numbers[i].field && t->numbers.number == 0) {
                t->numbers = g; /* one field: packed, or a single number */
                t->width = numbers[i].width;
            }
        }
    }
}

static double from_half(uint16_t h) {
    int exponent = h >> 10 & 31, fraction = h & 1023;
    double v = exponent == 0    ? ldexp((double)fraction, -24)
               : exponent == 31 ? (fraction ? (double)NAN : (double)INFINITY)
                                : ldexp((double)(fraction + 1024), exponent - 25);
    return h & 0x8000 ? -v : v;
}

static uint64_t little(const uint8_t *p, int n) {
    uint64_t v = 0;
    for (int i = 0; i < n; i++) {
        v |= (uint64_t)p[i] << (8 * i);
    }
    return v;
}

/* DataType codes of tensorflow/core/framework/types.proto. */
enum { FLOAT = 1, DOUBLE = 2, INT32 = 3, UINT8 = 4, INT64 = 9, BOOL = 10, BFLOAT16 = 14, HALF = 19 };

static int size_of(int dtype) {
    return dtype == DOUBLE || dtype == INT64    ? 8
           : dtype == FLOAT || dtype == INT32   ? 4
           : dtype == HALF || dtype == BFLOAT16 ? 2
           : dtype == UINT8 || dtype == BOOL    ? 1
                                                : 0;
}

static double number_of(int dtype, uint64_t bits) {
    switch (dtype) {
    case FLOAT:
        return (double)cvi_pb_float(bits);
    case DOUBLE:
        return cvi_pb_double(bits);
    case INT32:
        return (double)(int32_t)(uint32_t)bits;
    case HALF:
        return from_half((uint16_t)bits);
    case BFLOAT16:
        return (double)cvi_pb_float((bits & 0xffff) << 16);
    default:
        return (double)(int64_t)bits;
    }
}

bool cvi_event_number(const cvi_event_tensor *t, int64_t i, double *out) {
    int size = size_of(t->dtype);
    if (size > 0 && t->content.size > 0) {
        if ((uint64_t)i >= t->content.size / (size_t)size) {
            return false;
        }
        *out = number_of(t->dtype, little(t->content.data + i * size, size));
        return true;
    }
    if (t->numbers.number == 0 || size == 0) {
        return false;
    }
    if (t->numbers.wire != CVI_PB_BYTES) { /* not packed: one number, which stands for a whole shape */
        *out = number_of(t->dtype, t->numbers.value);
        return i == 0;
    }
    if (t->width > 0) {
        if ((uint64_t)i >= t->numbers.bytes.size / (size_t)t->width) {
            return false;
        }
        *out = number_of(t->dtype, little(t->numbers.bytes.data + i * t->width, t->width));
        return true;
    }
    cvi_pb r = cvi_pb_begin(t->numbers.bytes.data, t->numbers.bytes.size, 1, NULL);
    cvi_pb_numbers n;
    uint64_t bits = 0;
    bool more = cvi_pb_numbers_begin(&r, &t->numbers, 0, "", &n) == CVS_OK;
    for (int64_t k = 0; more && k <= i; k++) {
        if (cvi_pb_numbers_next(&r, &n, &bits, &more) != CVS_OK) {
            return false;
        }
    }
    *out = number_of(t->dtype, bits);
    return more;
}

double *cvi_event_numbers(const cvi_event_tensor *t, int64_t most, int64_t *n) {
    int size = size_of(t->dtype);
    size_t bytes = t->content.size > 0 ? t->content.size : t->numbers.bytes.size;
    int64_t room = t->content.size > 0 && size > 0 ? (int64_t)bytes / size : (int64_t)bytes + 1;
    double *list = cvi_calloc((size_t)CVI_MAX(CVI_MIN(room, most), 1), sizeof *list);
    *n = 0;
    while (list && *n < CVI_MIN(room, most) && cvi_event_number(t, *n, &list[*n])) {
        (*n)++;
    }
    if (*n == 0) {
        cvi_free(list);
        return NULL;
    }
    return list;
}

/* ---- a value -------------------------------------------------------------------------------------------- */

/* SummaryMetadata {1: plugin_data {1: name, 2: content}}. */
static cvs_status read_metadata(const cvi_pb *parent, const cvi_pb_field *f, cvi_arena *arena,
                                cvi_event_value *out) {
    cvi_pb r, data;
    cvi_pb_field g, h;
    CVI_TRY(cvi_pb_enter(parent, &f->bytes, &r));
    for (;;) {
        CVI_TRY(cvi_pb_next(&r, &g));
        if (g.number == 0) {
            return CVS_OK;
        }
        if (g.number != 1 || g.wire != CVI_PB_BYTES) {
            continue;
        }
        CVI_TRY(cvi_pb_enter(&r, &g.bytes, &data));
        do {
            CVI_TRY(cvi_pb_next(&data, &h));
            if (h.number == 1 && h.wire == CVI_PB_BYTES) {
                CVI_TRY(cvi_pb_string(&data, arena, &h, LONGEST_TAG, "plugin_name", &out->plugin));
            } else if (h.number == 2 && h.wire == CVI_PB_BYTES) {
                out->content = h.bytes;
            }
        } while (h.number != 0);
    }
}

static cvs_status read_value(const cvi_pb *parent, const cvi_pb_field *f, cvi_arena *arena,
                             cvi_event_value *out) {
    cvi_pb r;
    cvi_pb_field g;
    const char *node = "";
    CVI_TRY(cvi_pb_enter(parent, &f->bytes, &r));
    for (;;) {
        CVI_TRY(cvi_pb_next(&r, &g));
        if (g.number == 0) {
            out->tag = out->tag[0] ? out->tag : node;
            return CVS_OK;
        }
        if (g.number == 2 && g.wire == CVI_PB_FIXED32) {
            out->form = CVI_FORM_SIMPLE;
            out->simple = (double)cvi_pb_float(g.value);
        } else if (g.wire != CVI_PB_BYTES) {
            continue;
        } else if (g.number == 1 || g.number == 7) {
            CVI_TRY(cvi_pb_string(&r, arena, &g, LONGEST_TAG, "tag", g.number == 1 ? &out->tag : &node));
        } else if (g.number == 4) {
            out->form = CVI_FORM_IMAGE;
            out->image = g.bytes;
        } else if (g.number == 5) {
            out->form = CVI_FORM_HISTO;
            out->histo = g.bytes;
        } else if (g.number == 8) {
            out->form = CVI_FORM_TENSOR;
            CVI_TRY(read_tensor(&r, &g, &out->tensor));
        } else if (g.number == 9) {
            CVI_TRY(read_metadata(&r, &g, arena, out));
        }
    }
}

cvs_status cvi_event_each(const uint8_t *data, size_t size, cvi_arena *arena, cvi_event_visit *visit,
                          void *context, cvs_error *err) {
    cvi_pb r = cvi_pb_begin(data, size, DEPTH, err), summary;
    cvi_pb_field f, g;
    int seen = 0;
    bool more = true;
    for (;;) {
        CVI_TRY(cvi_pb_next(&r, &f));
        if (f.number == 0) {
            return CVS_OK;
        }
        if (f.number != 5 || f.wire != CVI_PB_BYTES) {
            continue;
        }
        CVI_TRY(cvi_pb_enter(&r, &f.bytes, &summary));
        do {
            CVI_TRY(cvi_pb_next(&summary, &g));
            if (g.number == 1 && g.wire == CVI_PB_BYTES) {
                cvi_event_value v = {.tag = "", .plugin = ""};
                CVI_TRY(read_value(&summary, &g, arena, &v));
                CVI_TRY(visit(context, seen++, &v, &more));
            }
            if (!more) {
                return CVS_OK;
            }
        } while (g.number != 0);
    }
}

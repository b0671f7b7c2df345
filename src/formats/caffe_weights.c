/* SPDX-License-Identifier: MIT
 * caffe_weights.c - the numbers of a caffemodel: a binary NetParameter of any of the three generations, whose layers hold blobs.
 * Only where each blob lies is read at first; its numbers are copied when a layer asks for them.
 * Field numbers: caffe.proto of BVLC Caffe 1.0 (NetParameter, LayerParameter, V1LayerParameter, V0LayerParameter, BlobProto).
 */
#include "formats/caffe.h"
#include "formats/protobuf.h"

enum { MAX_DEPTH = 16 };

/* ---- blobs ---- */

static cvs_status read_shape(const cvi_pb *r, const cvi_pb_field *f, caffe_blob *b) {
    cvi_pb shape;
    cvi_pb_field d;
    CVI_TRY(cvi_pb_expect(r, f, CVI_PB_BYTES, "shape"));
    CVI_TRY(cvi_pb_enter(r, &f->bytes, &shape));
    b->rank = 0;
    for (;;) {
        CVI_TRY(cvi_pb_next(&shape, &d));
        if (!d.number) {
            return CVS_OK;
        }
        cvi_pb_numbers n;
        uint64_t v;
        bool more = d.number == 1;
        if (more) {
            CVI_TRY(cvi_pb_numbers_begin(&shape, &d, 0, "dim", &n));
        }
        while (more) {
            CVI_TRY(cvi_pb_numbers_next(&shape, &n, &v, &more));
            if (more && b->rank == CVS_MAX_RANK) {
                return cvi_at_offset(r->err,
                                     cvi_fail(r->err, CVS_E_LIMIT,
                                              "a shape of %d dimensions; at most %d are allowed", b->rank + 1,
                                              CVS_MAX_RANK),
                                     d.offset);
            }
            if (more) {
                b->dim[b->rank++] = (int64_t)v;
            }
        }
    }
}

/* Numbers of a blob: fields 5 (float) and 8 (double). out NULL: they are only counted. */
static cvs_status read_numbers(cvi_pb *r, const cvi_pb_field *f, int64_t room, float *out, int64_t *at) {
    cvi_pb_numbers n;
    int width = f->number == 5 ? 4 : 8;
    CVI_TRY(cvi_pb_numbers_begin(r, f, width, "data", &n));
    if (!out) {
        return cvi_add(*at, cvi_pb_numbers_count(&n), at)
                   ? CVS_OK
                   : cvi_fail(r->err, CVS_E_LIMIT, "a blob has too many numbers");
    }
    for (;;) {
        uint64_t v;
        bool more;
        CVI_TRY(cvi_pb_numbers_next(r, &n, &v, &more));
        if (!more || *at == room) {
            return CVS_OK;
        }
        out[(*at)++] = width == 4 ? cvi_pb_float(v) : (float)cvi_pb_double(v);
    }
}

/* The shape and the count; *legacy gets num, channels, height, width. */
static cvs_status scan_blob(cvi_pb *r, caffe_blob *b, int64_t legacy[4], bool *old) {
    cvi_pb_field f;
    for (;;) {
        CVI_TRY(cvi_pb_next(r, &f));
        if (!f.number) {
            return CVS_OK;
        }
        if (f.number >= 1 && f.number <= 4) {
            CVI_TRY(cvi_pb_expect(r, &f, CVI_PB_VARINT, "num"));
            legacy[f.number - 1] = (int64_t)f.value;
            *old = true;
        } else if (f.number == 5 || f.number == 8) {
            CVI_TRY(read_numbers(r, &f, 0, NULL, &b->count));
        } else if (f.number == 7) {
            CVI_TRY(read_shape(r, &f, b));
            *old = false;
        }
    }
}

static cvs_status read_blob(const cvi_pb *layer, const cvi_pb_field *f, caffe_blob *b) {
    cvi_pb r;
    int64_t legacy[4] = {1, 1, 1, 1}, product = 1;
    bool old = false;
    char text[200];
    *b = (caffe_blob){.data = f->bytes.data, .size = f->bytes.size, .rank = -1};
    CVI_TRY(cvi_pb_enter(layer, &f->bytes, &r));
    CVI_TRY(scan_blob(&r, b, legacy, &old));
    if (b->rank < 0 && old) {
        b->rank = 4;
        memcpy(b->dim, legacy, sizeof legacy);
    } else if (b->rank < 0) {
        b->rank = 1;
        b->dim[0] = b->count;
    }
    for (int i = 0; i < b->rank; i++) {
        if (!cvi_mul(product, b->dim[i], &product)) {
            product = -1;
            break;
        }
    }
    if (product != b->count) {
        return cvi_at_offset(layer->err,
                             cvi_fail(layer->err, CVS_E_FORMAT, "a blob of shape %s has %lld numbers",
                                      cvs_shape_text(b->rank, b->dim, text, sizeof text),
                                      (long long)b->count),
                             f->offset);
    }
    return CVS_OK;
}

cvs_status cvi_caffe_numbers(const caffe_blob *blob, float *out, cvs_error *err) {
    cvi_pb r = cvi_pb_begin(blob->data, blob->size, MAX_DEPTH, err);
    int64_t at = 0;
    for (;;) {
        cvi_pb_field f;
        CVI_TRY(cvi_pb_next(&r, &f));
        if (!f.number) {
            return CVS_OK;
        }
        if (f.number == 5 || f.number == 8) {
            CVI_TRY(read_numbers(&r, &f, blob->count, out, &at));
        }
    }
}

/* ---- layers: the fields' numbers in each generation ---- */

typedef struct generation {
    uint32_t name, blobs, inner; /* inner: a layer of the generation before, 0 = none */
} generation;
static const generation third = {1, 7, 0}, second = {4, 6, 1}, first = {1, 50, 0};

static cvs_status read_layer(const cvi_pb *r, cvi_arena *a, const cvi_pb_piece *bytes, const generation *kind,
                             int64_t max_name, caffe_blobs *out) {
    cvi_pb layer;
    cvi_pb_field f;
    CVI_TRY(cvi_pb_enter(r, bytes, &layer));
    for (;;) {
        CVI_TRY(cvi_pb_next(&layer, &f));
        if (!f.number) {
            return CVS_OK;
        }
        if (f.number == kind->name) {
            CVI_TRY(cvi_pb_string(&layer, a, &f, max_name, "name", &out->layer));
        } else if (f.number == kind->blobs) {
            CVI_TRY(cvi_pb_expect(&layer, &f, CVI_PB_BYTES, "blobs"));
            if (out->n < CAFFE_MAX_BLOBS) {
                CVI_TRY(read_blob(&layer, &f, &out->blob[out->n]));
                out->n++;
            }
        } else if (kind->inner && f.number == kind->inner) {
            CVI_TRY(cvi_pb_expect(&layer, &f, CVI_PB_BYTES, "layer"));
            CVI_TRY(read_layer(&layer, a, &f.bytes, &first, max_name, out));
        }
    }
}

static cvs_status keep(cvi_arena *a, caffe_weights *w, const caffe_blobs *b, cvs_error *err) {
    if (w->n == w->capacity) {
        int64_t cap = CVI_MAX(32, 2 * w->capacity);
        caffe_blobs **bigger = cvi_arena_alloc(a, cap, sizeof(caffe_blobs *));
        if (!bigger) {
            return cvi_no_memory(err, (size_t)cap * sizeof(caffe_blobs *));
        }
        if (w->n > 0) {
            memcpy(bigger, w->layer, (size_t)w->n * sizeof(caffe_blobs *));
        }
        w->layer = bigger;
        w->capacity = cap;
    }
    caffe_blobs *copy = cvi_arena_alloc(a, 1, sizeof *copy);
    if (!copy) {
        return cvi_no_memory(err, sizeof *copy);
    }
    *copy = *b;
    w->layer[w->n] = copy;
    if (cvi_caffe_map_get(w->by_name, b->layer) < 0 && !cvi_caffe_map_put(w->by_name, copy->layer, w->n)) {
        return cvi_no_memory(err, strlen(b->layer));
    }
    w->n++;
    return CVS_OK;
}

cvs_status cvi_caffe_weights(cvi_arena *a, const void *data, size_t size, const cvs_limits *limits,
                             caffe_weights *out, cvs_error *err) {
    cvi_pb r = cvi_pb_begin(data, size, MAX_DEPTH, err);
    *out = (caffe_weights){.by_name = cvi_caffe_map(a)};
    if (!out->by_name) {
        return cvi_no_memory(err, 0);
    }
    for (;;) {
        cvi_pb_field f;
        CVI_TRY(cvi_pb_next(&r, &f));
        if (!f.number) {
            return CVS_OK;
        }
        if (f.number != 100 && f.number != 2) {
            continue;
        }
        caffe_blobs b = {.layer = ""};
        CVI_TRY(cvi_pb_expect(&r, &f, CVI_PB_BYTES, "layer"));
        CVI_TRY(read_layer(&r, a, &f.bytes, f.number == 100 ? &third : &second, limits->max_name_bytes, &b));
        if (b.n > 0) {
            CVI_TRY(keep(a, out, &b, err));
        }
    }
}

/* A message that reads as a layer: its name and type where they should be. */
static bool looks_like_layer(const cvi_pb *r, const cvi_pb_field *f) {
    cvi_pb layer;
    cvi_pb_field g;
    bool name = false, type = false;
    if (cvi_pb_enter(r, &f->bytes, &layer) != CVS_OK) {
        return false;
    }
    for (int i = 0; i < 64 && cvi_pb_next(&layer, &g) == CVS_OK && g.number; i++) {
        bool text =
            g.wire == CVI_PB_BYTES && g.bytes.size < 4096 && cvi_utf8_valid(g.bytes.data, g.bytes.size);
        if (f->number == 100) {
            name |= g.number == 1 && text;
            type |= g.number == 2 && text;
        } else {
            name |= (g.number == 4 && text) || (g.number == 1 && g.wire == CVI_PB_BYTES);
            type |= (g.number == 5 && g.wire == CVI_PB_VARINT && g.value < 64) ||
                    (g.number == 1 && g.wire == CVI_PB_BYTES);
        }
    }
    return name && type;
}

int cvi_caffe_is_weights(const void *data, size_t size) {
    cvs_error quiet = {0};
    cvi_pb r = cvi_pb_begin(data, size, MAX_DEPTH, &quiet);
    for (int i = 0; i < 64; i++) {
        cvi_pb_field f;
        if (cvi_pb_next(&r, &f) != CVS_OK || !f.number || (f.number == 1 && f.wire != CVI_PB_BYTES)) {
            return 0;
        }
        if ((f.number == 100 || f.number == 2) && f.wire == CVI_PB_BYTES) {
            return looks_like_layer(&r, &f) ? 45 : 0;
        }
    }
    return 0;
}

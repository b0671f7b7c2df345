/* SPDX-License-Identifier: MIT
 * tf_bundle.h (internal) - what the files tf_bundle*.c share: the entries of a TensorFlow checkpoint, of both generations.
 */
#ifndef CVI_TF_BUNDLE_H
#define CVI_TF_BUNDLE_H

#include "formats/tf_graph.h"

/* A block of a tensor that was cut into several. */
typedef struct bundle_slice bundle_slice;
struct bundle_slice {
    int64_t start[CVS_MAX_RANK], length[CVS_MAX_RANK]; /* length -1: the whole side */
    int rank;
    const void *data; /* first generation: its numbers, of `bytes` */
    int64_t bytes;
    bundle_slice *next;
};

typedef struct bundle_entry {
    const char *key; /* terminated; keys of slices hold zero bytes too */
    size_t n_key;
    cvs_tensor t; /* without data */
    int64_t type; /* the file's number of the element type */
    int64_t shard, offset, size;
    bundle_slice *slice; /* NULL: in one piece */
} bundle_entry;

struct tf_bundle {
    cvs_model *model;
    const char *folder, *prefix;
    bundle_entry *entry; /* sorted by key as the file has them */
    int64_t n, capacity, n_shards;
    cvi_file *shard; /* kept here too: the model closes them */
    bool big_endian;
    bool first_generation; /* one file with everything */
};

/* ---- tf_bundle.c ---- */
/* Adds an entry with a key of n bytes; *out is valid until the next. */
cvs_status cvi_tf_bundle_add(tf_bundle *b, const char *key, size_t n, bundle_entry **out, cvs_error *err);
bundle_entry *cvi_tf_bundle_find(const tf_bundle *b, const char *key, size_t n);
/* A TensorShapeProto into t. */
cvs_status cvi_tf_bundle_shape(const cvi_pb *parent, const cvi_pb_field *field, cvs_tensor *t,
                               cvs_error *err);
/* The bytes of an entry in its shard. */
cvs_status cvi_tf_bundle_bytes(tf_bundle *b, const bundle_entry *e, const uint8_t **out, cvs_error *err);
cvs_status cvi_tf_bundle_damaged(cvs_error *err);

/* ---- tf_slices.c ---- */
/* A TensorSliceProto, put in front of the entry's slices. */
cvs_status cvi_tf_slice_read(const tf_bundle *b, const cvi_pb *parent, const cvi_pb_field *field,
                             bundle_entry *e, cvs_error *err);
/* The tensor put together from its slices; *found false: one of another type. */
cvs_status cvi_tf_slices_join(tf_bundle *b, const bundle_entry *e, cvs_tensor *out, bool *found,
                              cvs_error *err);
/* A row of the first generation's table. */
cvs_status cvi_tf_first_row(tf_bundle *b, const void *value, size_t size, cvs_error *err);
/* Sorts the entries, once all are there. */
void cvi_tf_first_done(tf_bundle *b);

#endif

/* SPDX-License-Identifier: MIT
 * dataset.h (internal) - one source of labelled pictures per file, one line in sources.def.
 */
#ifndef CVI_DATASET_H
#define CVI_DATASET_H

#include "base/base.h"
#include "convscope/data.h"

typedef struct cvi_source {
    const char *name;    /* "mnist" of "mnist:DIR" */
    const char *en, *zh; /* one line for help */
    /* Opens `where` (the text after the colon): fills data->info and data->self. On failure close() is called too. */
    cvs_status (*open)(cvs_data *data, const char *where, const cvs_data_options *options, cvs_error *err);
    /* Reads picture i in [0, info.count). Thread safe. mask may be NULL. */
    cvs_status (*get)(const cvs_data *data, int64_t i, cvs_tensor *picture, int *label, cvs_tensor *mask,
                      cvs_error *err);
    void (*close)(cvs_data *data);
} cvi_source;

struct cvs_data {
    const cvi_source *source;
    cvs_data_info info;
    cvi_arena *arena; /* names; freed with the set */
    void *self;       /* the source's own */
};

/* ---- what sources share (pick.c) --------------------------------------------------------------------- */

/* Which of n labelled pictures belong to the set, in rising order: where `own_split` is false a share of every class
 * (options->holdout, the same pictures for the same seed; below 0 with split_training: of the training pictures only what is kept) is kept for CVS_TEST; then options->limit is divided evenly over
 * the classes, and a class that has fewer leaves its rest to the others. *out is owned (cvi_free). */
cvs_status cvi_pick(const int *label, int64_t n, int n_classes, bool own_split,
                    const cvs_data_options *options, int64_t **out, int64_t *count, cvs_error *err);

/* Sets data->info.classes: names from DIR/FILE where it is there, else `known` (NULL at its end; may be NULL), else numbers; at
 * least as many as the label `most` needs, at most 256. */
cvs_status cvi_name_classes(cvs_data *data, const char *dir, const char *file, const char *const *known,
                            int most, cvs_error *err);

/* Pictures and labels in memory (arrays.c): what several sources end with. */
typedef struct cvi_arrays {
    int64_t n, height, width;
    int channels;    /* 1 or 3 */
    bool planes;     /* [C,H,W] a picture, else [H,W,C] */
    uint8_t *pixels; /* owned */
    uint8_t *labels; /* owned; a byte each */
    int64_t *index;  /* of picture i of the set, owned; made by finish */
} cvi_arrays;
/* Takes over `a`'s arrays (freed on failure too): data->self, classes as above, the pick and the fingerprint. own_split: these are
 * the pictures of options->split already. */
cvs_status cvi_arrays_finish(cvs_data *data, cvi_arrays *a, bool own_split, const char *dir, const char *file,
                             const char *const *known, const cvs_data_options *options, cvs_error *err);
void cvi_arrays_free(cvi_arrays *a);
cvs_status cvi_arrays_get(const cvs_data *data, int64_t i, cvs_tensor *picture, int *label, cvs_tensor *mask,
                          cvs_error *err);
void cvi_arrays_close(cvs_data *data);

/* Appends the pictures of one batch of CIFAR's python version (cifar_pickle.c); labels: which list of it counts. */
cvs_status cvi_cifar_pickle(const char *path, const char *labels, int classes, const cvs_limits *limits,
                            cvi_arrays *a, cvs_error *err);
/* The names of classes in a pickled file of CIFAR (batches.meta, meta), NULL at the end, in the arena `names`. */
cvs_status cvi_cifar_names(const char *path, const char *key, const cvs_limits *limits, cvi_arena *names,
                           const char ***out, cvs_error *err);

/* FNV-1a of bytes, continued from `hash` (start with CVI_HASH_START). */
#define CVI_HASH_START 0xCBF29CE484222325u
uint64_t cvi_hash(uint64_t hash, const void *data, size_t n);
uint64_t cvi_hash_number(uint64_t hash, uint64_t number);

/* Whether a file's name ends as that of a picture (source_folder.c). */
bool cvi_is_picture_name(const char *name);
/* Whether a spec names a source that there is, before the colon (dataset.c). */
bool cvi_is_spec(const char *spec);

/* ---- idx files (idx.c) ------------------------------------------------------------------------------- */

typedef struct cvi_idx {
    int rank; /* 1 to 4 */
    int64_t dim[4];
    uint8_t *data; /* unsigned bytes, row-major, owned */
    int64_t bytes;
} cvi_idx;

/* Reads an idx file of unsigned bytes, plain or gzipped (told by content), of the given rank. */
cvs_status cvi_idx_read(const char *path, int rank, const cvs_limits *limits, cvi_idx *out, cvs_error *err);
/* The same from memory. */
cvs_status cvi_idx_decode(const uint8_t *data, size_t size, int rank, const cvs_limits *limits, cvi_idx *out,
                          cvs_error *err);
void cvi_idx_free(cvi_idx *idx); /* zeroed allowed */

#endif

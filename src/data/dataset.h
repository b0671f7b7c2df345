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
    /* Opens `where` (the text after the colon): fills data->info and data->self. */
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

extern const cvi_source *const cvi_sources[];
extern const int cvi_n_sources;

#endif

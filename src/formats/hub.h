/* SPDX-License-Identifier: MIT
 * hub.h (internal) - the folders of model hubs: config.json (Hugging Face transformers, timm) and preprocessor_config.json beside the weights
 * name classes, normalisation, size of pictures and settings that no tensor shows.
 */
#ifndef CVI_HUB_H
#define CVI_HUB_H

#include "formats/reader.h"

typedef struct cvi_hub {
    json_t *config, *preprocessor; /* owned; NULL: not there, not of a hub, or damaged */
    char damage[2][300];           /* what is wrong with either, or "" */
} cvi_hub;

/* Reads both beneath the folder of the model file `path` (or the folder `path`). Only lack of memory is an error. */
cvs_status cvi_hub_open(const char *path, const cvs_limits *limits, cvi_hub *out, cvs_error *err);
void cvi_hub_close(cvi_hub *hub);
/* The side of pictures that they name, 0: none. */
int64_t cvi_hub_side(const cvi_hub *hub);
/* The name of the network ("tf_efficientnet_b0", "resnet"), or NULL. */
const char *cvi_hub_name(const cvi_hub *hub);
/* Class names and preprocessing for a model that is read; damage becomes a note. */
cvs_status cvi_hub_take(cvs_model *model, const char *path, cvs_error *err);
/* Which of several files in a folder with such a config.json is the model: the index in names, or -1. */
int cvi_hub_choose(const char *folder, const char *const *names, int n);

#endif

/* SPDX-License-Identifier: MIT
 * state.h (internal) - named tensors without a graph, as PyTorch's state_dict, safetensors and npz hold them: a list that models are made
 * of (state_model.c: an architecture recognised by names and shapes, or a guess that says it is one) and that weights come from
 * (state_assign.c).
 */
#ifndef CVI_STATE_H
#define CVI_STATE_H

#include "formats/reader.h"

typedef struct cvi_state cvi_state;

typedef struct cvi_state_item {
    const char *name;
    cvs_tensor t; /* borrowed from the model's file or arena; 16-bit and 64-bit floats as float32 */
    bool used;
} cvi_state_item;

struct cvi_state {
    cvs_model *model; /* whose arena holds everything */
    bool keep_types;
    bool exact; /* names are kept as they are: something else in the file speaks of them */
    bool
        foreign; /* not from PyTorch: no chain is guessed, whose rows of dense layers would be in another order */
    const char *
        file; /* the file's own name without folders: tells apart what tensors do not (timm's tf_ variants); may be NULL */
    const struct cvi_hub
        *hub;     /* what lies beside the weights says settings that no tensor shows; may be NULL */
    bool ordered; /* the file keeps the order in which the tensors were defined */
    int n;
    int64_t capacity;
    cvi_state_item *item;
    cvi_state_item **by_name;
};

/* Adds a tensor; name is copied, data borrowed. After the last one: done() strips what all names begin with where it is a wrapper
 * ("module.", "model."), and refuses doubled names. */
cvs_status cvi_state_add(cvi_state *s, const char *name, const cvs_tensor *t, cvs_error *err);
/* Weights that are kept as parts (weight_norm, spectral_norm) put together under their plain name; cvi_state_done does it. */
cvs_status cvi_state_merge(cvi_state *s, cvs_error *err);
cvs_status cvi_state_done(cvi_state *s, cvs_error *err);
/* The tensor of the name that fmt prints, or NULL. */
const cvs_tensor *cvi_state_find(const cvi_state *s, const char *fmt, ...) CVI_PRINTF(2, 3);
/* Whether a tensor only counts (num_batches_tracked) and belongs to no layer's arithmetic. */
bool cvi_state_is_counter(const cvi_state_item *item);

/* Makes open->model from the tensors alone. */
cvs_status cvi_state_model(cvi_open *open, cvi_state *s);

/* Gives the constants of a graph their numbers by exact name (bn: scale, shift, mean, variance are weight, bias, running_mean,
 * running_var). *missing = constants that got none; *left = tensors that were not used, counters apart. */
cvs_status cvi_state_assign_named(cvs_model *m, cvi_state *s, int *missing, int *left, cvs_error *err);
/* The same for an architecture that someone else named: by name, and where names differ in order, shape by shape. */
cvs_status cvi_state_assign(cvs_model *m, cvi_state *s, cvs_error *err);

/* An architecture known by the names and shapes of its tensors; one line each in archs.def. */
typedef struct cvi_arch {
    const char *name;
    /* Writes the architecture in the text language, labels as the tensors are named. Nothing written: not this one. */
    void (*write)(const cvi_state *s, cvi_buf *text);
    const char *note;  /* an English sentence that opening says with it (its Chinese in zh/), or NULL */
    bool any_size;     /* the sizes behind the channels that the text names are only the usual ones */
    const char *extra; /* tensors of this prefix are not needed for the answer (auxiliary heads), or NULL */
} cvi_arch;

/* state_chain.c: convolutions, normalisations and dense layers one behind the other, with poolings that make the sizes fit. */
void cvi_state_chain(const cvi_state *s, cvi_buf *text);
/* state_view.c: one layer per tensor of weights, unconnected. */
cvs_status cvi_state_view(cvi_open *open, cvi_state *s);

#endif

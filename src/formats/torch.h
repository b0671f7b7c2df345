/* SPDX-License-Identifier: MIT
 * torch.h (internal) - what the files torch*.c share: a PyTorch file is a pickled tree (pickle.h) whose tensors lie outside the pickle,
 * in zip entries or behind it. A tree is read by a closed list of names: everything else in it is inert.
 */
#ifndef CVI_TORCH_H
#define CVI_TORCH_H

#include "formats/pickle.h"
#include "formats/state.h"
#include "formats/zip.h"

enum { TORCH_MAX_FOREIGN = 12 };

typedef struct cvi_torch_storage { /* of the stream form */
    const char *key;
    const uint8_t *data;
    int64_t bytes;
} cvi_torch_storage;

typedef struct cvi_torch {
    cvs_model *model;
    bool keep_types;
    cvs_error *err;
    cvi_zip *zip;       /* NULL: the stream form */
    const char *root;   /* name of the archive's folder */
    const char *folder; /* of the storages: "data/", "constants/" */
    cvi_torch_storage *storage;
    int n_storages;
    int64_t visits; /* of nodes, bounded */
    int wrong_sums; /* storages whose checksum does not fit */
    int n_foreign;
    const char *foreign[TORCH_MAX_FOREIGN]; /* names that the file would have called */
} cvi_torch;

/* ---- torch_tensor.c ---- */
/* Whether a node is a tensor; then *out is it (data borrowed from the file or the model's arena). */
cvs_status cvi_torch_tensor(cvi_torch *t, const cvi_pickle *p, bool *is, cvs_tensor *out);
/* The storage class of a persistent id: CVS_NONE when it is none that we read. *key: what names it. */
cvs_dtype cvi_torch_storage_type(const cvi_pickle *ref, const char **key, int64_t *n);
/* The bytes of an entry of the archive, root + "/" + name; *out NULL when there is none. */
cvs_status cvi_torch_entry(cvi_torch *t, const char *name, const uint8_t **out, int64_t *n);

/* ---- torch_tree.c ---- */
/* Collects the tensors of a tree under their dotted names: of a state_dict, of a checkpoint around one, of a whole module. */
cvs_status cvi_torch_collect(cvi_torch *t, const cvi_pickle *root, cvi_state *state);
/* Remembers the names of a pickle that are none of PyTorch's own; the list of them as text. */
void cvi_torch_foreign(cvi_torch *t, const cvi_pickle *globals);
const char *cvi_torch_foreign_text(const cvi_torch *t, char *buf, size_t size);
/* Notes on the model what was seen and not made. */
cvs_status cvi_torch_notes(cvi_torch *t);

/* ---- torch_names.c ---- */
/* Class names that a checkpoint keeps beside the weights. */
cvs_status cvi_torch_classes(cvi_torch *t, const cvi_pickle *root);

/* ---- torch.c ---- */
/* Reads data.pkl (or NAME.pkl) of an archive. */
cvs_status cvi_torch_pickle(cvi_torch *t, const char *name, cvi_pickle **out);

/* ---- torch_module.c ---- */
/* Whether a tree is a module made of Sequentials and of layers that are known, so that it says its own graph. */
bool cvi_torch_is_sequential(const cvi_pickle *root);

/* ---- ultralytics.c ---- */
/* The network in a checkpoint of YOLOv5 or of the package ultralytics, NULL when it is none. */
const cvi_pickle *cvi_ultralytics_model(const cvi_pickle *root);
/* Builds open->model from it, unless *unknown names a class that is not known. */
cvs_status cvi_ultralytics_read(cvi_open *open, cvi_torch *t, const cvi_pickle *root, const char **unknown);

/* ---- torchscript.c ---- */
/* Builds open->model from such a module. */
cvs_status cvi_torch_sequential_read(cvi_open *open, cvi_torch *t, const cvi_pickle *root);
/* Builds open->model from the code of a TorchScript archive whose data.pkl is `root`. */
cvs_status cvi_torchscript_read(cvi_open *open, cvi_torch *t, const cvi_pickle *root);

#endif

/* SPDX-License-Identifier: MIT
 * hdf5.h (internal) - a read-only subset of HDF5: what Keras files consist of, and nothing that could reach
 * outside the file. Groups, attributes with text, data sets of numbers. Written from the HDF5 File Format
 * Specification 3.0 (The HDF Group). No external or soft links, external storage, virtual data sets,
 * committed types or plug-in filters: each is refused with a sentence. Files are hostile: every address and
 * length is checked, circles are found, and no data set may declare more than its stored bytes can back.
 */
#ifndef CVI_HDF5_H
#define CVI_HDF5_H

#include "base/base.h"
#include "convscope/tensor.h"

typedef struct cvi_h5 cvi_h5;

/* One named member of a group. */
typedef struct cvi_h5_link {
    const char *name;
    int64_t object; /* address of its object header; -1 for a soft or external link, refused when followed */
} cvi_h5_link;

typedef struct cvi_h5_group {
    int64_t n;
    const cvi_h5_link *link; /* sorted by name, names unique */
} cvi_h5_group;

/* True if a superblock's signature stands at 0, 512, 1024, 2048... */
bool cvi_h5_is(const void *data, size_t size);

/* Opens a file in memory; data is borrowed until close. *out is owned, cvi_h5_close. Errors carry a byte
 * offset in the file. One thread at a time. */
cvs_status cvi_h5_open(const void *data, size_t size, const cvs_limits *limits, cvi_h5 **out, cvs_error *err);
void cvi_h5_close(cvi_h5 *f); /* NULL allowed */
/* CVS_E_FORMAT where the file is shorter than it says: what is left may still be read, but something is lost. */
cvs_status cvi_h5_complete(const cvi_h5 *f, cvs_error *err);
int64_t cvi_h5_root(const cvi_h5 *f);

/* Lists a group; the result is borrowed until close. */
cvs_status cvi_h5_list(cvi_h5 *f, int64_t object, cvi_h5_group *out, cvs_error *err);
/* The member of a listed group, or NULL. */
const cvi_h5_link *cvi_h5_member(const cvi_h5_group *group, const char *name);
/* Follows "a/b/c" from `object`; *out = -1 when a component is absent. */
cvs_status cvi_h5_find(cvi_h5 *f, int64_t object, const char *path, int64_t *out, cvs_error *err);

/* An attribute with text: a scalar or a list of fixed or variable-length strings; an empty list may be of
 * any type (h5py writes it as floats). *n = -1 when there is no such attribute. Texts are NUL-terminated,
 * borrowed until close. */
cvs_status cvi_h5_attribute(cvi_h5 *f, int64_t object, const char *name, int64_t *n, const char ***out,
                            cvs_error *err);

/* A data set of numbers in its own element type and shape, in this machine's byte order. Data stored in one
 * piece and aligned is borrowed from the file's bytes, else owned: cvs_tensor_free in both cases. */
cvs_status cvi_h5_dataset(cvi_h5 *f, int64_t object, cvs_tensor *out, cvs_error *err);

#endif

/* SPDX-License-Identifier: MIT
 * safetensors.h (internal) - named tensors in one file: u64 length of a JSON header, the header, the numbers. The rules are those of
 * the reference reader: ranges sorted by offset begin at 0, touch, neither overlap nor leave holes, and end with the file.
 */
#ifndef CVI_SAFETENSORS_H
#define CVI_SAFETENSORS_H

#include "base/base.h"
#include "convscope/tensor.h"

typedef struct cvi_safetensor {
    const char *name;
    cvs_tensor t; /* CVS_PLAIN, borrowed */
} cvi_safetensor;

typedef struct cvi_safetensors {
    int n;
    cvi_safetensor *list; /* in the order of the file's numbers */
    int n_pairs;
    const char **pairs; /* metadata: key, value, key, value */
    cvi_arena *arena;   /* names, and numbers that were not aligned */
    cvi_file file;      /* when read from a file */
} cvi_safetensors;

/* Reads a file, or bytes that must outlive *out. Errors carry the byte offset. Free with cvi_safetensors_free. */
cvs_status cvi_safetensors_read(const char *path, const cvs_limits *limits, cvi_safetensors *out,
                                cvs_error *err);
cvs_status cvi_safetensors_parse(const uint8_t *data, size_t size, const cvs_limits *limits,
                                 cvi_safetensors *out, cvs_error *err);
void cvi_safetensors_free(cvi_safetensors *s);
/* The tensor of a name, or NULL. */
const cvs_tensor *cvi_safetensors_find(const cvi_safetensors *s, const char *name);
/* Writes n tensors with different names, and metadata pairs, atomically; the same input gives the same bytes. Larger elements first,
 * then by name, the header padded to 8, as the reference writer does. */
cvs_status cvi_safetensors_write(const char *path, const cvi_safetensor *list, int n,
                                 const char *const *pairs, int n_pairs, cvs_error *err);

#endif

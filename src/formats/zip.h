/* SPDX-License-Identifier: MIT
 * zip.h (internal) - a strict reader of zip archives in memory, for .pt, .keras, .npz. One reading only is possible of what it accepts: the
 * central directory and every local header must agree, entries lie one behind the other from the first byte on without overlap or
 * hidden bytes, names are unique, relative and free of "..". Stored and deflated entries; no encryption, no other methods, no links.
 */
#ifndef CVI_ZIP_H
#define CVI_ZIP_H

#include "base/base.h"

typedef struct cvi_zip_entry {
    const char *name;
    int64_t header; /* of the local header */
    int64_t data;   /* of the first stored byte */
    int64_t stored; /* bytes in the file */
    int64_t size;   /* bytes as read */
    uint32_t crc;
    bool deflated, folder;
} cvi_zip_entry;

typedef struct cvi_zip cvi_zip;

/* True if the bytes begin as a zip archive with entries does. */
bool cvi_zip_is(const void *data, size_t size);
/* Opens an archive; data is borrowed until close. *out is owned, cvi_zip_close. Errors carry a byte offset. */
cvs_status cvi_zip_open(const void *data, size_t size, const cvs_limits *limits, cvi_zip **out,
                        cvs_error *err);
/* The archive that stands behind other bytes, as associated files behind a .tflite: whether there is an end record at all, and opening it
 * just as strictly from its first entry on. Places in it count from the file's start or from the archive's own. */
bool cvi_zip_follows(const void *data, size_t size);
cvs_status cvi_zip_open_behind(const void *data, size_t size, const cvs_limits *limits, cvi_zip **out,
                               cvs_error *err);
void cvi_zip_close(cvi_zip *z); /* NULL allowed */
/* Entries in the order of the directory, borrowed until close. */
int cvi_zip_count(const cvi_zip *z);
const cvi_zip_entry *cvi_zip_at(const cvi_zip *z, int i);
/* The entry of that name, or NULL. */
const cvi_zip_entry *cvi_zip_find(const cvi_zip *z, const char *name);
/* The bytes of an entry: stored ones are borrowed from the archive's own bytes, deflated ones lie in `arena` (and count against the
 * limit on memory, all entries together). A wrong checksum is an error unless `checked` is given: then it is told there. */
cvs_status cvi_zip_read(cvi_zip *z, const cvi_zip_entry *e, cvi_arena *arena, const uint8_t **out,
                        bool *checked, cvs_error *err);

#endif

/* SPDX-License-Identifier: MIT
 * hdf5_internal.h (internal) - what the files hdf5_*.c share: the open file, a bounded cursor, the messages of
 * an object header, element types. Addresses count from the superblock, as in the file.
 */
#ifndef CVI_HDF5_INTERNAL_H
#define CVI_HDF5_INTERNAL_H

#include "formats/hdf5.h"

enum { /* types of header messages that are read or refused */
       H5_DATASPACE = 0x01,
       H5_LINK_INFO = 0x02,
       H5_DATATYPE = 0x03,
       H5_LINK = 0x06,
       H5_EXTERNAL_FILES = 0x07,
       H5_LAYOUT = 0x08,
       H5_FILTERS = 0x0B,
       H5_ATTRIBUTE = 0x0C,
       H5_CONTINUATION = 0x10,
       H5_SYMBOL_TABLE = 0x11,
       H5_ATTRIBUTE_INFO = 0x15
};

struct cvi_h5 {
    const uint8_t *data; /* from the superblock on */
    int64_t size;        /* bytes there */
    int64_t start;       /* the superblock's place in the file, for messages */
    int offset_bytes, length_bytes;
    int64_t root;
    int64_t whole;      /* how many bytes the file says it has; -1: nothing said */
    int64_t work;       /* bytes of structures that may still be walked: bounds every circle */
    int64_t max_memory; /* one data set */
    int64_t max_name;
    cvi_arena *arena;
};

/* Reads little-endian numbers between pos and end; once it would pass end it is `bad` and gives zeros. */
typedef struct cvi_h5_cursor {
    const cvi_h5 *f;
    int64_t pos, end;
    bool bad;
} cvi_h5_cursor;

/* A cursor over [address, address + bytes), which must lie in the file; `what` names the structure. Pays the
 * bytes from the file's work budget. */
cvs_status cvi_h5_enter(cvi_h5 *f, int64_t address, int64_t bytes, const char *what, cvi_h5_cursor *out,
                        cvs_error *err);
uint64_t cvi_h5_uint(cvi_h5_cursor *c, int bytes);
int64_t cvi_h5_address(cvi_h5_cursor *c); /* -1: undefined */
int64_t cvi_h5_length(cvi_h5_cursor *c);
void cvi_h5_skip(cvi_h5_cursor *c, int64_t bytes);
/* Fails if the cursor went bad. */
cvs_status cvi_h5_ok(const cvi_h5_cursor *c, const char *what, cvs_error *err);
/* Fails unless the four letters stand here; steps over them. */
cvs_status cvi_h5_signature(cvi_h5_cursor *c, const char *letters, const char *what, cvs_error *err);
/* Fails unless the 4 bytes at `end` are the checksum of [begin, end). */
cvs_status cvi_h5_checksum(const cvi_h5 *f, int64_t begin, int64_t end, const char *what, cvs_error *err);
cvs_status cvi_h5_version(const char *what, int version, int64_t at, const cvi_h5 *f, cvs_error *err);

/* One message of an object header: its body is [pos, pos + size). */
typedef struct cvi_h5_message {
    int type, flags;
    int64_t pos, size;
} cvi_h5_message;

/* All messages of an object, continuation blocks included; in the file's arena. */
cvs_status cvi_h5_messages(cvi_h5 *f, int64_t object, cvi_h5_message **out, int64_t *n, cvs_error *err);
/* The first message of a type, or NULL. A shared one is refused (committed types). */
cvs_status cvi_h5_one(const cvi_h5 *f, const cvi_h5_message *m, int64_t n, int type,
                      const cvi_h5_message **out, cvs_error *err);

/* Objects in a fractal heap that a version-2 B-tree lists (dense links and attributes): calls visit with the
 * bytes of each. */
typedef cvs_status (*cvi_h5_visit)(void *context, int64_t pos, int64_t size, cvs_error *err);
cvs_status cvi_h5_dense(cvi_h5 *f, int64_t heap, int64_t tree, int record_type, cvi_h5_visit visit,
                        void *context, cvs_error *err);

/* The records themselves of a version-2 B-tree of this type (10, 11: chunks). */
cvs_status cvi_h5_records(cvi_h5 *f, int64_t tree, int record_type, int record_least, cvi_h5_visit visit,
                          void *context, cvs_error *err);

typedef enum cvi_h5_kind { H5_NUMBER, H5_TEXT, H5_TEXT_REFERENCE, H5_OTHER } cvi_h5_kind;

typedef struct cvi_h5_type {
    cvi_h5_kind kind;
    cvs_dtype dtype; /* of a number */
    int64_t size;    /* bytes of one element as stored */
    bool swap;       /* stored in the other byte order */
    bool space_padded;
    int class;
} cvi_h5_type;

typedef struct cvi_h5_space {
    bool null; /* holds nothing at all */
    int rank;
    int64_t dim[CVS_MAX_RANK];
    int64_t limit[CVS_MAX_RANK]; /* how far each may grow; -1: without end */
    int64_t count;
} cvi_h5_space;

cvs_status cvi_h5_read_type(cvi_h5_cursor *c, cvi_h5_type *out, cvs_error *err);
cvs_status cvi_h5_read_space(cvi_h5_cursor *c, cvi_h5_space *out, cvs_error *err);

/* The filters that a chunk passed through, in writing order. */
enum { H5_DEFLATE = 1, H5_SHUFFLE = 2, H5_FLETCHER32 = 3, H5_MAX_FILTERS = 8 };
typedef struct cvi_h5_filters {
    int n;
    int id[H5_MAX_FILTERS];
} cvi_h5_filters;
cvs_status cvi_h5_read_filters(cvi_h5_cursor *c, cvi_h5_filters *out, cvs_error *err);
/* Undoes the filters (but those in skip_mask): `stored` bytes at pos give exactly out_bytes in out; scratch
 * holds out_bytes + 8 * H5_MAX_FILTERS bytes twice. */
cvs_status cvi_h5_unfilter(const cvi_h5 *f, const cvi_h5_filters *filters, uint32_t skip_mask, int64_t pos,
                           int64_t stored, int64_t element, uint8_t *out, int64_t out_bytes, uint8_t *scratch,
                           cvs_error *err);

/* Where one chunk lies. */
typedef struct cvi_h5_chunk {
    int64_t index; /* row-major number of the chunk in the grid of chunks */
    int64_t address, stored;
    uint32_t skip_mask;
} cvi_h5_chunk;

/* The storage of a chunked data set. */
typedef struct cvi_h5_chunked {
    const cvi_h5_type *type;
    const cvi_h5_space *space;
    const cvi_h5_filters *filters;
    int64_t chunk[CVS_MAX_RANK]; /* elements of one chunk */
    int64_t grid[CVS_MAX_RANK];  /* chunks along each dimension */
    int64_t n_chunks, chunk_bytes;
    bool plain_edges; /* partial chunks are not filtered */
    int index_type;   /* 0 version-1 B-tree; else as in layout version 4 */
    int64_t address;
    int64_t single_bytes;
    uint32_t single_mask;
} cvi_h5_chunked;
/* Makes the tensor once every chunk is found; on failure it is left to the caller to free. */
cvs_status cvi_h5_read_chunks(cvi_h5 *f, const cvi_h5_chunked *storage, cvs_tensor *out, cvs_error *err);

#endif

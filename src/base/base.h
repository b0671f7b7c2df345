/* SPDX-License-Identifier: MIT
 * base.h (internal) - errors, memory, buffers, files, JSON, threads, text: all that knows no networks.
 * One header because every file of the library needs most of it; the code is in error.c memory.c arena.c buf.c
 * file.c file_write.c inflate.c json.c pool.c text.c random.c beside it. Internal names start with cvi_.
 */
#ifndef CVI_BASE_H
#define CVI_BASE_H

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <jansson.h>

#include "convscope/base.h"

#define CVI_COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))
#define CVI_MIN(a, b)    ((a) < (b) ? (a) : (b))
#define CVI_MAX(a, b)    ((a) > (b) ? (a) : (b))
#if defined(__GNUC__)
#define CVI_PRINTF(fmt, first) __attribute__((format(printf, fmt, first)))
#else
#define CVI_PRINTF(fmt, first)
#endif

/* ---- errors (error.c) ------------------------------------------------------------------------------
 * fail() fills err (if any) and returns code. fmt is an English literal that has a row in zh/<folder>.def; the
 * message is formatted in err->lang. at_*() add the place as the error travels up: the innermost
 * place wins, all do nothing while err is NULL or err->code is CVS_OK, all return err's code. */
cvs_status cvi_fail(cvs_error *err, cvs_status code, const char *fmt, ...) CVI_PRINTF(3, 4);
cvs_status cvi_no_memory(cvs_error *err, size_t bytes);
cvs_status cvi_at_file(cvs_error *err, cvs_status code, const char *path);
cvs_status cvi_at_node(cvs_error *err, cvs_status code, const char *name, const char *op);
cvs_status cvi_at_attr(cvs_error *err, cvs_status code, const char *attribute);
cvs_status cvi_at_offset(cvs_error *err, cvs_status code, int64_t offset);
cvs_status cvi_at_line(cvs_error *err, cvs_status code, int line, int column);
/* Forgets an error (keeps the language) when a caller tries something else instead. */
void cvi_error_clear(cvs_error *err);
#define CVI_TRY(call)                                                                                        \
    do {                                                                                                     \
        cvs_status cvi_try_ = (call);                                                                        \
        if (cvi_try_ != CVS_OK) {                                                                            \
            return cvi_try_;                                                                                 \
        }                                                                                                    \
    } while (0)

/* ---- text in two languages (text.c and the rows in zh/) -------------------------------------------------
 * tr() gives the Chinese text of an English literal when lang is CVS_ZH (the English one where a row is missing;
 * a test fails then). Rows: CVI_ZH("English", "中文"), one .def per folder. */
const char *cvi_tr(cvs_lang lang, const char *english);
/* The table itself, for the test that reads it: number of rows, and row i (borrowed, static). */
int cvi_text_rows(void);
void cvi_text_row(int i, const char **english, const char **chinese);
/* Reads one character of UTF-8 from s[0..n), n > 0: returns its bytes (1 to 4) and sets *code. A byte that begins no
 * valid character (overlong, surrogate, cut off) is returned alone with *code = 0xFFFD and *valid = false. */
size_t cvi_utf8_next(const char *s, size_t n, uint32_t *code, bool *valid);
/* Copies s into dst[0..size), always terminated; where it does not fit it is cut between two characters. */
void cvi_copy_text(char *dst, size_t size, const char *s);

/* ---- memory (memory.c) -----------------------------------------------------------------------------
 * All allocation of the library goes through these, so that a test can fail the k-th one. */
void *cvi_malloc(size_t bytes);              /* 64-byte aligned; NULL on failure; never for 0 bytes */
void *cvi_calloc(size_t count, size_t size); /* checked product, zeroed */
void *cvi_realloc(void *p, size_t old_bytes, size_t new_bytes);
void cvi_free(void *p);
char *cvi_strdup(const char *s);
/* Test hooks: called before every allocation and every read/write; returning true makes it fail. */
typedef struct cvi_hooks {
    bool (*fail_alloc)(void *context, size_t bytes);
    bool (*fail_io)(void *context);
    void *context;
} cvi_hooks;
void cvi_set_hooks(const cvi_hooks *hooks); /* NULL: none. Not thread safe: tests only */
/* Asked before an allocation or a read/write that does not go through the functions here (a library's own). */
bool cvi_alloc_should_fail(size_t bytes);
bool cvi_io_should_fail(void);

/* Checked arithmetic: false on overflow or a negative operand, then *out is untouched. */
bool cvi_mul(int64_t a, int64_t b, int64_t *out);
bool cvi_add(int64_t a, int64_t b, int64_t *out);

/* Arena: many small pieces, freed together. Pieces are zeroed and 16-byte aligned. */
typedef struct cvi_arena cvi_arena;
cvi_arena *cvi_arena_new(int64_t max_bytes);                     /* 0 = no bound; NULL on failure */
void cvi_arena_free(cvi_arena *a);                               /* NULL allowed */
void cvi_arena_reset(cvi_arena *a);                              /* forgets the pieces, keeps the memory */
void *cvi_arena_alloc(cvi_arena *a, int64_t count, size_t size); /* NULL: out of memory, bound or overflow */
/* Scratch for hot loops: 64-byte aligned and not zeroed. */
void *cvi_arena_raw(cvi_arena *a, int64_t bytes);
char *cvi_arena_strn(cvi_arena *a, const char *s, size_t n); /* terminated copy */
char *cvi_arena_printf(cvi_arena *a, const char *fmt, ...) CVI_PRINTF(2, 3);
int64_t cvi_arena_bytes(const cvi_arena *a);

/* ---- growing byte buffer (buf.c): failure is sticky, test `failed` once at the end ------------------- */
typedef struct cvi_buf {
    char *data; /* always terminated by a NUL beyond size, unless NULL */
    size_t size, capacity;
    bool failed;
} cvi_buf;
void cvi_buf_add(cvi_buf *b, const void *data, size_t n);
void cvi_buf_puts(cvi_buf *b, const char *s);
void cvi_buf_printf(cvi_buf *b, const char *fmt, ...) CVI_PRINTF(2, 3);
void cvi_buf_base64(cvi_buf *b, const void *data, size_t n);
void cvi_buf_xml(
    cvi_buf *b, const char *s); /* escaped for XML and HTML text and attributes; control characters dropped */
void cvi_buf_free(cvi_buf *b);

/* ---- files (file.c) --------------------------------------------------------------------------------
 * A file read whole: mapped when large and regular, else read into memory. Errors carry the path. */
typedef struct cvi_file {
    const uint8_t *data; /* never NULL after success; data[size] need not exist */
    size_t size;
    char *path;
    bool mapped;
} cvi_file;
cvs_status cvi_file_read(const char *path, const cvs_limits *limits, cvi_file *out, cvs_error *err);
/* Opens `relative`, a path that a file named, only beneath folder `dir`: no "..", no symbolic link, a regular
 * file with one hard link. */
cvs_status cvi_file_read_beneath(const char *dir, const char *relative, const cvs_limits *limits,
                                 cvi_file *out, cvs_error *err);
void cvi_file_close(cvi_file *f); /* NULL and zeroed allowed */
/* Writes a whole file: temporary file in the same folder, fsync, rename. Nothing is left on failure. */
cvs_status cvi_file_write(const char *path, const void *data, size_t size, cvs_error *err);
/* The same in pieces: begin, add..., then commit or abort. */
typedef struct cvi_writer {
    FILE *stream;
    char *path, *temporary;
    bool unsynced; /* set after begin: no fsync, for what can be made again and comes in hundreds of files */
} cvi_writer;
cvs_status cvi_writer_begin(cvi_writer *w, const char *path, cvs_error *err);
cvs_status cvi_writer_add(cvi_writer *w, const void *data, size_t size, cvs_error *err);
cvs_status cvi_writer_commit(cvi_writer *w, cvs_error *err);
void cvi_writer_abort(cvi_writer *w);
/* Says before the work whether `path` could be written (its folder exists and is writable, it is no folder). */
cvs_status cvi_check_output(const char *path, cvs_error *err);
/* Makes a folder (and its parents) unless it is there. */
cvs_status cvi_make_folder(const char *path, cvs_error *err);
bool cvi_is_folder(const char *path);
bool cvi_is_file(const char *path);
/* dir + "/" + name, owned (cvi_free); and the part of a path after the last '/' (borrowed). */
char *cvi_path_join(const char *dir, const char *name);
const char *cvi_path_base(const char *path);
char *cvi_path_dir(const char *path); /* owned; "." when there is none */
/* Inflates a zlib (raw = false) or raw deflate stream into exactly out_size bytes; anything else is an error. */
cvs_status cvi_inflate(const void *in, size_t in_size, bool raw, void *out, size_t out_size, cvs_error *err);

/* ---- JSON (json.c): jansson with duplicate keys rejected, depth bounded, errors with line and column -- */
cvs_status cvi_json_parse(const char *text, size_t size, json_t **out, cvs_error *err); /* json_decref */
/* Lookups that are safe on any type: the default where the key is absent or of another type. */
const char *cvi_json_string(const json_t *object, const char *key, const char *otherwise);
int64_t cvi_json_int(const json_t *object, const char *key, int64_t otherwise);
double cvi_json_number(const json_t *object, const char *key, double otherwise);
bool cvi_json_bool(const json_t *object, const char *key, bool otherwise);

/* ---- threads (pool.c) ------------------------------------------------------------------------------
 * run() calls body(context, chunk, worker) once for every chunk in [0, n_chunks): chunks are claimed one by one, the
 * caller works too, nobody waits for a worker that never showed up. What a chunk computes must not depend
 * on who computes it; then any thread count gives the same bits. worker is in [0, threads). A pool runs one
 * job at a time; a nested or concurrent run() on a busy pool is done by the caller alone. */
typedef struct cvi_pool cvi_pool;
cvi_pool *cvi_pool_new(int threads); /* 0 = one per CPU; NULL on failure */
void cvi_pool_free(cvi_pool *pool);
int cvi_pool_threads(const cvi_pool *pool); /* 1 for NULL */
void cvi_pool_run(cvi_pool *pool, int64_t n_chunks, void (*body)(void *context, int64_t chunk, int worker),
                  void *context); /* pool NULL: on the calling thread */

/* ---- counter-based random numbers (random.c): Philox 4x32-10, Salmon et al. 2011 ---------------------
 * The same (seed, purpose, index) gives the same number on every run and any thread. */
void cvi_philox(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4]); /* one block */
uint64_t cvi_random_bits(uint64_t seed, uint64_t purpose, uint64_t index);
double cvi_random_uniform(uint64_t seed, uint64_t purpose, uint64_t index); /* [0,1), 53 bits */
double cvi_random_normal(uint64_t seed, uint64_t purpose, uint64_t index);  /* Box-Muller, two draws */

#endif

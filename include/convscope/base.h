/* SPDX-License-Identifier: MIT
 * base.h - statuses, errors, limits, language: what every other public header builds on.
 *
 * Conventions of the whole library: a function that can fail returns cvs_status and takes a cvs_error
 * last (it may be NULL). Zero-initialised option structs mean the defaults. "owned" results are freed by
 * the caller with the function named beside them, "borrowed" ones live as long as the object they came
 * from, "filled" ones are the caller's memory. A loaded cvs_model may be shared by threads (it is not
 * changed by running); a cvs_run belongs to one thread at a time; nothing else is shared.
 */
#ifndef CONVSCOPE_BASE_H
#define CONVSCOPE_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define CVS_VERSION "0.1.0"

typedef enum cvs_status {
#define CVS_STATUS(name, exit_code, en, zh) CVS_##name,
#include "status.def"
#undef CVS_STATUS
    CVS_N_STATUS
} cvs_status;

/* The language of messages, captions and reports. */
typedef enum cvs_lang { CVS_EN, CVS_ZH } cvs_lang;

/* What went wrong, on the caller's stack. Set `lang` before the call to choose the message's language;
 * everything else is filled. Empty strings and has_offset == false mean "does not apply". */
typedef struct cvs_error {
    cvs_status code;
    cvs_lang lang;
    bool has_offset;
    int64_t offset;     /* byte in `file` */
    int line, column;   /* in a text input, from 1; 0 = does not apply */
    char message[400];  /* one sentence with the actual and the expected value */
    char file[256];     /* file that is at fault */
    char node[160];     /* node (and operator) at fault */
    char attribute[64]; /* attribute, input or option at fault */
} cvs_error;

/* Writes the whole error as one line of UTF-8 (file, place, message) into buf; always terminated.
 * Control characters that came from a file are shown as escapes. Returns buf. */
const char *cvs_error_text(const cvs_error *err, char *buf, size_t size);

/* The process exit code that belongs to a status, and its short name in a language (borrowed, static). */
int cvs_status_exit(cvs_status code);
const char *cvs_status_name(cvs_status code, cvs_lang lang);

/* Bounds on what a file may make the program do; 0 = the default in brackets. */
typedef struct cvs_limits {
    int64_t max_file_bytes;   /* one file [16 GiB] */
    int64_t max_memory_bytes; /* what one model or one run may allocate [8 GiB] */
    int64_t max_nodes;        /* nodes in a graph, all subgraphs together [1,000,000] */
    int64_t max_depth;        /* nesting of messages, JSON, subgraphs [64] */
    int64_t max_pixels;       /* one picture [256 Mi] */
    int64_t max_name_bytes;   /* one name [65,536] */
} cvs_limits;

/* Returns the limits with every 0 replaced by its default. */
cvs_limits cvs_limits_default(const cvs_limits *limits);

/* Told how far a long call is: fraction in [0,1] (negative: unknown), `what` is borrowed, in the call's
 * language. Return false to cancel; the call then ends with CVS_E_CANCELLED. Called on the calling thread. */
typedef bool (*cvs_progress)(void *context, const char *what, double fraction);

/* Says before any work whether `path` could be written: its folder exists and may be written, it is no folder itself. */
cvs_status cvs_output_check(const char *path, cvs_error *err);
/* The same for a folder that a command fills: it is there and writable, or its nearest existing parent is. */
cvs_status cvs_folder_check(const char *path, cvs_error *err);
/* Makes the folder and its parents unless it is there; *made (may be NULL) says whether it was made now. */
cvs_status cvs_folder_make(const char *path, bool *made, cvs_error *err);
/* Writes a whole file: temporary file beside it, fsync, rename. Nothing is left on failure. */
cvs_status cvs_file_write(const char *path, const void *data, size_t size, cvs_error *err);

/* Frees memory that the library handed over as "owned, cvs_free". NULL is allowed. */
void cvs_free(void *memory);

/* The program's language from an explicit "en"/"zh" (may be NULL), else LC_ALL, LC_MESSAGES, LANG. */
cvs_lang cvs_lang_from(const char *explicit_name);

#ifdef __cplusplus
}
#endif
#endif

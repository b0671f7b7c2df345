/* SPDX-License-Identifier: MIT
 * log.h (internal) - a log as it lies in memory: runs, their files, their series. log.c reads, log_payload.c fetches what stayed in files.
 */
#ifndef CVI_LOG_H
#define CVI_LOG_H

#include "base/base.h"
#include "convscope/watch.h"

/* Where a point's bytes are: the record in a file, and which value of it. */
typedef struct cvi_place {
    int64_t offset, size; /* of the record's own bytes */
    int file, k;
} cvi_place;

/* Of every 16, 256, 4096, ... points where the least, the largest and the first that is not finite are (or -1): whole groups only.
 * curve.c makes it when a curve is asked for. */
enum { CVI_GROUP = 16, CVI_LEVELS = 8 };
typedef struct cvi_level {
    int64_t n, room;
    int64_t *low, *high, *broken;
} cvi_level;

typedef struct cvi_series {
    int run;
    char *tag; /* owned */
    cvs_series_kind kind;
    bool known; /* kind is decided */
    int64_t n, room;
    int64_t *step;
    double *wall, *value; /* value: of scalars */
    cvi_place *place;     /* of the others */
    int last_file;
    int64_t covered; /* points that `levels` stand for */
    cvi_level levels[CVI_LEVELS];
} cvi_series;

typedef struct cvi_log_file {
    char *path; /* owned */
    int run;
    int64_t offset; /* read so far */
    bool stopped;   /* damaged here */
} cvi_log_file;

typedef struct cvi_log_param {
    int run;
    char *name, *value; /* owned */
} cvi_log_param;

struct cvs_log {
    char *root;  /* owned, as all below */
    bool single; /* root is a file */
    cvs_limits limits;
    cvs_lang lang;
    int n_runs, room_runs;
    char **runs;
    int n_files, room_files;
    cvi_log_file *files;
    int n_series, room_series;
    cvi_series *series;
    int n_slots; /* a power of two, or 0 */
    int *slots;  /* hash table: series + 1, or 0 */
    int n_params, room_params;
    cvi_log_param *params;
    int n_notes, room_notes;
    char **notes;
    cvi_arena *arena; /* of the record being read */
    bool clocked;     /* `first` and `epochs` are of now */
    double *first;    /* [n_runs] when the run's first event was, or NaN */
    int *epochs;      /* [n_runs] a series with one point an epoch, or -1 */
};

void cvi_levels_free(cvi_series *s);

#endif

/* SPDX-License-Identifier: MIT
 * run_db.h (internal to src/watch) - RUN/run.sqlite: its tables, opening it to write (one process) or to read (anybody, the file
 * being anybody's), and its errors as sentences. The tables are documented in docs/training.md.
 */
#ifndef CVI_RUN_DB_H
#define CVI_RUN_DB_H

#include <sqlite3.h>

#include "base/base.h"

#define CVI_RUN_FILE "run.sqlite"
enum {
    CVI_RUN_APPLICATION = 0x43565352, /* "CVSR" */
    CVI_RUN_VERSION = 1,
    CVI_RUN_MOST_BYTES = 256 << 20, /* of a file that is read */
    CVI_RUN_MOST_TEXT = 1 << 20     /* of a text or number in it */
};

/* Opens run.sqlite of folder `run` to write, with write-ahead log; made new where it is not there, is damaged or somebody else's. */
cvs_status cvi_run_db_write(const char *run, sqlite3 **out, cvs_error *err);
/* Opens the file to read, after checking that its tables are ours, word for word. most: bytes. sqlite3_close when read. */
cvs_status cvi_run_db_read(const char *path, int64_t most, sqlite3 **out, cvs_error *err);
/* What a call of SQLite gave, as a sentence; `path` is the file's. */
cvs_status cvi_run_db_error(sqlite3 *db, int rc, const char *path, cvs_error *err);

#endif

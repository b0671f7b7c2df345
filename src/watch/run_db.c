/* SPDX-License-Identifier: MIT
 * run_db.c - opening RUN/run.sqlite. The writer keeps a write-ahead log, so that readers see whole transactions at any moment and a
 * killed process leaves every one that was committed. A reader trusts nothing: the schema must be ours word for word (so there are no
 * views, triggers, virtual tables, generated columns or expressions to run), only SELECT is allowed, sizes and work are bounded.
 */
#include "watch/run_db.h"

#include <sys/stat.h>
#include <unistd.h>

static const struct {
    const char *name, *sql;
} tables[] = {
#define CVI_RUN_TABLE(name, columns) {#name, "CREATE TABLE " #name " (" columns ") STRICT"},
#include "watch/run_tables.def"
#undef CVI_RUN_TABLE
};

/* ---- errors ----------------------------------------------------------------------------------------------- */

cvs_status cvi_run_db_error(sqlite3 *db, int rc, const char *path, cvs_error *err) {
    cvs_status s;
    switch (rc & 0xff) {
    case SQLITE_OK:
    case SQLITE_DONE:
    case SQLITE_ROW:
        return CVS_OK;
    case SQLITE_FULL:
        s = cvi_fail(err, CVS_E_IO, "the disk is full: the record of the run could not be written");
        break;
    case SQLITE_NOMEM:
        return cvi_no_memory(err, 0);
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
    case SQLITE_SCHEMA:
        s = cvi_fail(err, CVS_E_FORMAT, "this record of a run is damaged");
        break;
    case SQLITE_TOOBIG:
    case SQLITE_INTERRUPT:
        s = cvi_fail(err, CVS_E_LIMIT, "this record of a run is larger than any that a run writes");
        break;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        s = cvi_fail(err, CVS_E_IO, "another program holds the record of this run");
        break;
    case SQLITE_READONLY:
        s = cvi_fail(err, CVS_E_IO, "the record of the run may not be written here");
        break;
    default:
        s = cvi_fail(err, CVS_E_IO, "the record of the run could not be read or written: %.150s",
                     db ? sqlite3_errmsg(db) : sqlite3_errstr(rc));
    }
    return cvi_at_file(err, s, path);
}

/* The number that a PRAGMA or a SELECT without rows to choose from answers. */
static int one_number(sqlite3 *db, const char *sql, int64_t *out) {
    sqlite3_stmt *q = NULL;
    int rc = sqlite3_prepare_v2(db, sql, -1, &q, NULL);
    rc = rc == SQLITE_OK ? sqlite3_step(q) : rc;
    *out = rc == SQLITE_ROW ? sqlite3_column_int64(q, 0) : -1;
    sqlite3_finalize(q);
    return rc == SQLITE_ROW || rc == SQLITE_DONE ? SQLITE_OK : rc;
}

/* ---- trusting nothing -------------------------------------------------------------------------------------- */

static void close_doors(sqlite3 *db) {
    sqlite3_db_config(db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    sqlite3_db_config(db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
    sqlite3_db_config(db, SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION, 0, NULL);
    sqlite3_db_config(db, SQLITE_DBCONFIG_ENABLE_TRIGGER, 0, NULL);
    sqlite3_db_config(db, SQLITE_DBCONFIG_ENABLE_VIEW, 0, NULL);
    sqlite3_db_config(db, SQLITE_DBCONFIG_ENABLE_FTS3_TOKENIZER, 0, NULL);
    static const int limits[][2] = {
        {SQLITE_LIMIT_LENGTH, CVI_RUN_MOST_TEXT},
        {SQLITE_LIMIT_SQL_LENGTH, 20000},
        {SQLITE_LIMIT_COLUMN, 64},
        {SQLITE_LIMIT_EXPR_DEPTH, 20},
        {SQLITE_LIMIT_COMPOUND_SELECT, 2},
        {SQLITE_LIMIT_VDBE_OP, 25000},
        {SQLITE_LIMIT_FUNCTION_ARG, 8},
        {SQLITE_LIMIT_ATTACHED, 0},
        {SQLITE_LIMIT_LIKE_PATTERN_LENGTH, 50},
        {SQLITE_LIMIT_TRIGGER_DEPTH, 1},
        {SQLITE_LIMIT_WORKER_THREADS, 0},
    };
    for (int i = 0; i < CVI_COUNT(limits); i++) {
        sqlite3_limit(db, limits[i][0], limits[i][1]);
    }
    sqlite3_exec(db, "PRAGMA cell_size_check=ON; PRAGMA mmap_size=0; PRAGMA cache_size=-2000", NULL, NULL,
                 NULL);
}

/* Nothing but reading tables. */
static int allow(void *context, int action, const char *a, const char *b, const char *c, const char *d) {
    (void)context;
    (void)a;
    (void)b;
    (void)c;
    (void)d;
    return action == SQLITE_SELECT || action == SQLITE_READ || action == SQLITE_TRANSACTION ? SQLITE_OK
                                                                                            : SQLITE_DENY;
}

/* SQLITE_OK when every table is ours and there is nothing else, SQLITE_NOTADB when not. */
static int has_our_tables(sqlite3 *db) {
    sqlite3_stmt *q = NULL;
    int64_t application, version;
    int found = 0, rc = one_number(db, "PRAGMA application_id", &application);
    rc = rc == SQLITE_OK ? one_number(db, "PRAGMA user_version", &version) : rc;
    if (rc == SQLITE_OK && (application != CVI_RUN_APPLICATION || version != CVI_RUN_VERSION)) {
        rc = SQLITE_NOTADB;
    }
    if (rc == SQLITE_OK) {
        rc = sqlite3_prepare_v2(db, "SELECT type, name, sql FROM sqlite_schema LIMIT 64", -1, &q, NULL);
    }
    while (rc == SQLITE_OK && (rc = sqlite3_step(q)) == SQLITE_ROW) {
        const char *type = (const char *)sqlite3_column_text(q, 0),
                   *name = (const char *)sqlite3_column_text(q, 1),
                   *sql = (const char *)sqlite3_column_text(q, 2);
        rc = SQLITE_NOTADB;
        if (type && name && !sql && strcmp(type, "index") == 0 &&
            strncmp(name, "sqlite_autoindex_", 17) == 0) {
            rc = SQLITE_OK; /* of a PRIMARY KEY; it has no text of its own */
            continue;
        }
        for (int i = 0; sql && name && i < CVI_COUNT(tables); i++) {
            rc = strcmp(name, tables[i].name) == 0 && strcmp(sql, tables[i].sql) == 0 ? SQLITE_OK : rc;
        }
        found++;
    }
    sqlite3_finalize(q);
    return rc != SQLITE_DONE ? rc : found == CVI_COUNT(tables) ? SQLITE_OK : SQLITE_NOTADB;
}

/* ---- to read ------------------------------------------------------------------------------------------------ */

static cvs_status open_to_read(const char *path, bool immutable, sqlite3 **out, cvs_error *err) {
    /* SQLite's own escape for names in a URI: all but plain characters as %XX */
    cvi_buf uri = {0};
    cvi_buf_puts(&uri, path[0] == '/' ? "file://" : "file:");
    for (const unsigned char *p = (const unsigned char *)path; *p; p++) {
        bool plain = (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') || (*p >= '0' && *p <= '9') ||
                     *p == '/' || *p == '.' || *p == '_' || *p == '-';
        cvi_buf_printf(&uri, plain ? "%c" : "%%%02X", *p);
    }
    cvi_buf_puts(&uri, immutable ? "?immutable=1" : "");
    if (uri.failed) {
        cvi_buf_free(&uri);
        return cvi_no_memory(err, strlen(path) * 3);
    }
    int rc =
        sqlite3_open_v2(uri.data, out, SQLITE_OPEN_READONLY | SQLITE_OPEN_URI | SQLITE_OPEN_NOMUTEX, NULL);
    cvi_buf_free(&uri);
    if (rc == SQLITE_OK) {
        close_doors(*out);
        sqlite3_busy_timeout(*out, 500);
        rc = sqlite3_exec(*out, "SELECT count(*) FROM sqlite_schema", NULL, NULL, NULL);
    }
    return cvi_run_db_error(*out, rc, path, err);
}

cvs_status cvi_run_db_read(const char *path, int64_t most, sqlite3 **out, cvs_error *err) {
    struct stat st;
    *out = NULL;
    if (cvi_io_should_fail() || stat(path, &st) != 0 || !S_ISREG(st.st_mode)) {
        return cvi_at_file(err, cvi_fail(err, CVS_E_IO, "there is no record of a run here"), path);
    }
    if (st.st_size > CVI_MIN(most, (int64_t)CVI_RUN_MOST_BYTES)) {
        return cvi_at_file(
            err, cvi_fail(err, CVS_E_LIMIT, "this record of a run is larger than any that a run writes"),
            path);
    }
    if (cvi_alloc_should_fail(1 << 16)) {
        return cvi_no_memory(err, 1 << 16);
    }
    cvs_status s = open_to_read(path, false, out, err);
    /* A log beside it that may not be looked at, as on read-only media: the file by itself. */
    if (s == CVS_E_IO) {
        sqlite3_close(*out);
        *out = NULL;
        cvi_error_clear(err);
        s = open_to_read(path, true, out, err);
    }
    int rc = s == CVS_OK ? has_our_tables(*out) : SQLITE_OK;
    if (rc != SQLITE_OK && rc != SQLITE_NOTADB) {
        s = cvi_run_db_error(*out, rc, path, err);
    } else if (rc == SQLITE_NOTADB) {
        s = cvi_at_file(
            err, cvi_fail(err, CVS_E_FORMAT, "this is no record of a run, or one of another version"), path);
    }
    if (s == CVS_OK) {
        sqlite3_set_authorizer(*out, allow, NULL);
    } else {
        sqlite3_close(*out);
        *out = NULL;
    }
    return s;
}

/* ---- to write ----------------------------------------------------------------------------------------------- */

static int make_tables(sqlite3 *db) {
    char text[200];
    snprintf(text, sizeof text, "BEGIN IMMEDIATE; PRAGMA application_id=%d; PRAGMA user_version=%d",
             CVI_RUN_APPLICATION, CVI_RUN_VERSION);
    int rc = sqlite3_exec(db, text, NULL, NULL, NULL);
    for (int i = 0; i < CVI_COUNT(tables) && rc == SQLITE_OK; i++) {
        rc = sqlite3_exec(db, tables[i].sql, NULL, NULL, NULL);
    }
    return rc == SQLITE_OK ? sqlite3_exec(db, "COMMIT", NULL, NULL, NULL) : rc;
}

static int open_to_write(const char *path, sqlite3 **out) {
    int rc =
        sqlite3_open_v2(path, out, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL);
    if (rc == SQLITE_OK) {
        close_doors(*out);
        sqlite3_busy_timeout(*out, 5000);
        rc = sqlite3_exec(*out, "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL", NULL, NULL, NULL);
    }
    int64_t n = 0;
    rc = rc == SQLITE_OK ? one_number(*out, "SELECT count(*) FROM sqlite_schema", &n) : rc;
    rc = rc == SQLITE_OK && n == 0 ? make_tables(*out) : rc;
    return rc == SQLITE_OK ? has_our_tables(*out) : rc;
}

static void remove_files(const char *path) {
    static const char *const ends[] = {"", "-wal", "-shm", "-journal"};
    char name[4200];
    for (int i = 0; i < CVI_COUNT(ends); i++) {
        if (snprintf(name, sizeof name, "%s%s", path, ends[i]) < (int)sizeof name) {
            unlink(name);
        }
    }
}

cvs_status cvi_run_db_write(const char *run, sqlite3 **out, cvs_error *err) {
    char *path = cvi_path_join(run, CVI_RUN_FILE);
    struct stat st;
    *out = NULL;
    if (!path || cvi_alloc_should_fail(1 << 16)) {
        cvi_free(path);
        return cvi_no_memory(err, 1 << 16);
    }
    if (cvi_io_should_fail()) {
        cvs_status s = cvi_run_db_error(NULL, SQLITE_IOERR, path, err);
        cvi_free(path);
        return s;
    }
    if (lstat(path, &st) == 0 && !S_ISREG(st.st_mode)) {
        unlink(path); /* a link would lead the writer elsewhere */
    }
    int rc = open_to_write(path, out), kind = rc & 0xff;
    if (kind == SQLITE_NOTADB || kind == SQLITE_CORRUPT) { /* what it said is in the checkpoint too */
        sqlite3_close(*out);
        *out = NULL;
        remove_files(path);
        rc = open_to_write(path, out);
    }
    cvs_status s = cvi_run_db_error(*out, rc, path, err);
    if (s != CVS_OK) {
        sqlite3_close(*out);
        *out = NULL;
    }
    cvi_free(path);
    return s;
}

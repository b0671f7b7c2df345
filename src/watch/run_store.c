/* SPDX-License-Identifier: MIT
 * run_store.c - writing RUN/run.sqlite: one transaction for the beginning, one for every epoch, one for the end, and in between a small one
 * every two seconds. The folder itself is locked while a process trains into it, so that a second one is refused and readers know
 * whether a run that says "running" still does; the kernel lets go of the lock however the process ends.
 */
#include "watch/run_store.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <sys/file.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "watch/run_db.h"

#define PAUSE_SECONDS 2.0

struct cvi_run_store {
    sqlite3 *db;
    char *path;
    int lock; /* of the folder, or -1: this file system has none */
    int64_t session;
    double told;
};

static double wall(void) {
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* ---- one process a folder ------------------------------------------------------------------------------------ */

/* A reader that looks whether somebody trains holds the lock for an instant: tried for a second. */
static cvs_status claim(const char *run, int *lock, cvs_error *err) {
    *lock = open(run, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    for (int i = 0; *lock >= 0; i++) {
        if (flock(*lock, LOCK_EX | LOCK_NB) == 0) {
            return CVS_OK;
        }
        if (errno != EWOULDBLOCK) { /* a network's file system: without */
            close(*lock);
            *lock = -1;
        } else if (i == 20) {
            close(*lock);
            *lock = -1;
            return cvi_fail(
                err, CVS_E_ARGUMENT,
                "another process trains into this folder just now; wait for its end, or name another one");
        } else {
            nanosleep(&(struct timespec){.tv_nsec = 50000000}, NULL);
        }
    }
    return CVS_OK;
}

/* ---- statements --------------------------------------------------------------------------------------------- */

typedef struct bound {
    sqlite3_stmt *q;
    int at, rc;
} bound;

static bound begin_query(const cvi_run_store *s, const char *sql) {
    bound b = {0};
    b.rc = cvi_io_should_fail() ? SQLITE_IOERR : sqlite3_prepare_v2(s->db, sql, -1, &b.q, NULL);
    return b;
}

/* An unsuccessful bind shows when the query runs. */
static void put_text(bound *b, const char *v) {
    b->rc = b->rc == SQLITE_OK ? sqlite3_bind_text(b->q, ++b->at, v ? v : "", -1, SQLITE_TRANSIENT) : b->rc;
}

static void put_int(bound *b, int64_t v) {
    b->rc = b->rc == SQLITE_OK ? sqlite3_bind_int64(b->q, ++b->at, v) : b->rc;
}

static void put_real(bound *b, double v) { /* NaN becomes NULL */
    b->rc = b->rc == SQLITE_OK ? sqlite3_bind_double(b->q, ++b->at, v) : b->rc;
}

static int end_query(bound *b) {
    int rc = b->rc == SQLITE_OK ? sqlite3_step(b->q) : b->rc;
    sqlite3_finalize(b->q);
    return rc == SQLITE_DONE || rc == SQLITE_ROW ? SQLITE_OK : rc;
}

static int plain(const cvi_run_store *s, const char *sql) {
    return cvi_io_should_fail() ? SQLITE_IOERR : sqlite3_exec(s->db, sql, NULL, NULL, NULL);
}

/* Ends the transaction as it went; what SQLite says of it as a sentence. */
static cvs_status close_transaction(const cvi_run_store *s, int rc, cvs_error *err) {
    rc = rc == SQLITE_OK ? plain(s, "COMMIT") : rc;
    cvs_status status = cvi_run_db_error(s->db, rc, s->path, err);
    if (rc != SQLITE_OK) {
        sqlite3_exec(s->db, "ROLLBACK", NULL, NULL, NULL);
    }
    return status;
}

/* ---- rows ---------------------------------------------------------------------------------------------------- */

static int put_settings(const cvi_run_store *s, const cvs_run_record *r) {
    int rc = plain(s, "DELETE FROM settings");
    for (int i = 0; i < r->n_settings && rc == SQLITE_OK; i++) {
        bound b = begin_query(s, "INSERT OR REPLACE INTO settings VALUES (?, ?, ?)");
        put_text(&b, r->settings[i].name);
        put_text(&b, r->settings[i].text);
        put_real(&b, r->settings[i].number);
        rc = end_query(&b);
    }
    return rc;
}

static int put_epoch(const cvi_run_store *s, const cvs_run_epoch *e) {
    bound b = begin_query(s, "INSERT OR REPLACE INTO epochs VALUES (?, ?, ?, ?, ?, ?, ?, ?)");
    put_int(&b, e->epoch);
    put_int(&b, e->step);
    put_real(&b, e->loss);
    put_real(&b, e->accuracy);
    put_real(&b, e->val_loss);
    put_real(&b, e->val_accuracy);
    put_real(&b, e->learning_rate);
    put_real(&b, e->seconds);
    return end_query(&b);
}

static int put_files(const cvi_run_store *s, const cvs_run_record *r) {
    int rc = SQLITE_OK;
    for (int i = 0; i < r->n_files && rc == SQLITE_OK; i++) {
        bound b = begin_query(s, "INSERT OR REPLACE INTO files VALUES (?, ?, ?)");
        put_text(&b, r->files[i].name);
        put_text(&b, r->files[i].kind);
        put_int(&b, r->files[i].epoch);
        rc = end_query(&b);
    }
    return rc;
}

static int put_standing(const cvi_run_store *s, const cvs_run_record *r) {
    bound b =
        begin_query(s, "UPDATE run SET updated = ?, seconds = ?, step = ?, now_epoch = ?, now_loss = ?, "
                       "now_accuracy = ?, best_epoch = ?, best = ?");
    put_real(&b, wall());
    put_real(&b, r->seconds);
    put_int(&b, r->step);
    put_int(&b, r->now_epoch);
    put_real(&b, r->now_loss);
    put_real(&b, r->now_accuracy);
    put_int(&b, r->best_epoch);
    put_real(&b, r->best_epoch > 0 ? r->best : (double)NAN);
    return end_query(&b);
}

/* A run that begins: nothing of what an earlier one wrote stays. */
static int put_new(const cvi_run_store *s) {
    unsigned char bits[8] = {0};
    char id[17];
    int rc = plain(s, "DELETE FROM run; DELETE FROM epochs; DELETE FROM files; DELETE FROM sessions");
    if (getrandom(bits, sizeof bits, 0) != (ssize_t)sizeof bits) {
        double now = wall();
        memcpy(bits, &now, sizeof bits);
    }
    for (int i = 0; i < 8; i++) {
        snprintf(id + 2 * i, 3, "%02x", bits[i]);
    }
    if (rc == SQLITE_OK) {
        bound b = begin_query(s, "INSERT INTO run (one, id, started) VALUES (1, ?, ?)");
        put_text(&b, id);
        put_real(&b, wall());
        rc = end_query(&b);
    }
    return rc;
}

static int put_what(const cvi_run_store *s, const cvs_run_record *r) {
    bound b =
        begin_query(s, "UPDATE run SET name = ?, status = 'running', message = '', recipe = ?, data = ?, "
                       "seed = ?, version = ?, ended = 0, params = ?, pictures = ?, val_pictures = ?, "
                       "epochs = ?, steps = ?, watched = ?");
    char seed[24];
    snprintf(seed, sizeof seed, "%llu", (unsigned long long)r->seed);
    put_text(&b, r->name);
    put_text(&b, r->recipe);
    put_text(&b, r->data);
    put_text(&b, seed);
    put_text(&b, r->version);
    put_int(&b, r->params);
    put_int(&b, r->pictures);
    put_int(&b, r->val_pictures);
    put_int(&b, r->epochs);
    put_int(&b, r->steps);
    put_text(&b, r->watched);
    return end_query(&b);
}

static int put_session(cvi_run_store *s, const cvi_run_begin *begin) {
    char host[256] = "";
    (void)gethostname(host, sizeof host - 1);
    bound b =
        begin_query(s, "INSERT INTO sessions (started, ended, status, from_step, threads, ranks, host, pid) "
                       "VALUES (?, 0, 'running', ?, ?, ?, ?, ?)");
    put_real(&b, wall());
    put_int(&b, begin->what->step);
    put_int(&b, begin->threads);
    put_int(&b, begin->ranks);
    put_text(&b, host);
    put_int(&b, getpid());
    int rc = end_query(&b);
    s->session = sqlite3_last_insert_rowid(s->db);
    return rc;
}

/* Sessions that ended without a word did so before this one. */
static int close_old_sessions(const cvi_run_store *s) {
    return plain(s, "UPDATE sessions SET status = 'killed' WHERE status = 'running'");
}

static int64_t rows_of_run(const cvi_run_store *s) {
    sqlite3_stmt *q = NULL;
    int64_t n = 0;
    if (sqlite3_prepare_v2(s->db, "SELECT count(*) FROM run WHERE one = 1 AND length(id) = 16", -1, &q,
                           NULL) == SQLITE_OK &&
        sqlite3_step(q) == SQLITE_ROW) {
        n = sqlite3_column_int64(q, 0);
    }
    sqlite3_finalize(q);
    return n;
}

/* The epochs that the checkpoint knows are those that count. */
static int put_beginning(cvi_run_store *s, const cvi_run_begin *b) {
    int rc = plain(s, "BEGIN IMMEDIATE");
    if (rc == SQLITE_OK && !(b->go_on && rows_of_run(s) == 1)) {
        rc = put_new(s);
    }
    rc = rc == SQLITE_OK ? put_what(s, b->what) : rc;
    rc = rc == SQLITE_OK ? put_settings(s, b->what) : rc;
    rc = rc == SQLITE_OK ? plain(s, "DELETE FROM epochs") : rc;
    for (int i = 0; i < b->what->n_epochs && rc == SQLITE_OK; i++) {
        rc = put_epoch(s, &b->what->list[i]);
    }
    rc = rc == SQLITE_OK ? put_files(s, b->what) : rc;
    rc = rc == SQLITE_OK ? close_old_sessions(s) : rc;
    rc = rc == SQLITE_OK ? put_session(s, b) : rc;
    return rc == SQLITE_OK ? put_standing(s, b->what) : rc;
}

/* ---- the calls ------------------------------------------------------------------------------------------------- */

static void drop(cvi_run_store *s) {
    if (s) {
        sqlite3_close(s->db);
        if (s->lock >= 0) {
            close(s->lock);
        }
        cvi_free(s->path);
        cvi_free(s);
    }
}

cvs_status cvi_run_store_begin(const char *run, const cvi_run_begin *b, cvi_run_store **out, cvs_error *err) {
    cvi_run_store *s = cvi_calloc(1, sizeof *s);
    *out = NULL;
    if (!s || !(s->path = cvi_path_join(run, CVI_RUN_FILE))) {
        cvi_free(s);
        return cvi_no_memory(err, sizeof *s);
    }
    s->lock = -1;
    cvs_status status = cvi_at_file(err, claim(run, &s->lock, err), run);
    if (status == CVS_OK) {
        status = cvi_run_db_write(run, &s->db, err);
    }
    if (status == CVS_OK) {
        status = close_transaction(s, put_beginning(s, b), err);
    }
    if (status == CVS_OK) { /* so that the file by itself, without its log, is a record already */
        sqlite3_wal_checkpoint_v2(s->db, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
        s->told = wall();
        *out = s;
    } else {
        drop(s);
    }
    return status;
}

cvs_status cvi_run_store_progress(cvi_run_store *s, const cvs_run_record *now, bool whole, cvs_error *err) {
    double clock = wall();
    if (!whole && fabs(clock - s->told) < PAUSE_SECONDS) {
        return CVS_OK;
    }
    s->told = clock;
    int rc = plain(
        s, "PRAGMA synchronous=NORMAL; BEGIN IMMEDIATE"); /* no fsync: the next epoch's is soon enough */
    rc = rc == SQLITE_OK ? put_standing(s, now) : rc;
    cvs_status status = close_transaction(s, rc, err);
    (void)sqlite3_exec(s->db, "PRAGMA synchronous=FULL", NULL, NULL, NULL);
    return status;
}

cvs_status cvi_run_store_epoch(cvi_run_store *s, const cvs_run_record *now, const cvs_run_epoch *row,
                               cvs_error *err) {
    int rc = plain(s, "BEGIN IMMEDIATE");
    rc = rc == SQLITE_OK ? put_standing(s, now) : rc;
    rc = rc == SQLITE_OK ? put_epoch(s, row) : rc;
    rc = rc == SQLITE_OK ? put_files(s, now) : rc;
    s->told = wall();
    return close_transaction(s, rc, err);
}

cvs_status cvi_run_store_end(cvi_run_store *s, const cvs_run_record *now, cvs_run_state state,
                             const char *message, cvs_error *err) {
    if (!s) {
        return CVS_OK;
    }
    static const char *const sql[] = {"UPDATE run SET status = ?, ended = ?, message = ?",
                                      "UPDATE sessions SET status = ?, ended = ? WHERE session = ?"};
    int rc = plain(s, "BEGIN IMMEDIATE");
    rc = rc == SQLITE_OK ? put_standing(s, now) : rc;
    for (int i = 0; i < 2 && rc == SQLITE_OK; i++) {
        bound b = begin_query(s, sql[i]);
        put_text(&b, cvs_run_state_name(state));
        put_real(&b, wall());
        if (i == 0) {
            put_text(&b, message);
        } else {
            put_int(&b, s->session);
        }
        rc = end_query(&b);
    }
    cvs_status status = close_transaction(s, rc, err);
    /* A single file without a log beside it, that read-only media may hold; it stays as it is while somebody reads. */
    sqlite3_busy_timeout(s->db, 100);
    (void)sqlite3_exec(s->db, "PRAGMA journal_mode=DELETE", NULL, NULL, NULL);
    drop(s);
    return status;
}

/* SPDX-License-Identifier: MIT
 * run_read.c - cvs_runs: finds the folders with a run.sqlite below a folder and reads their records, each into an arena of its own. On a
 * refresh only what changed is read again. A run that says it goes on is believed while a process holds its folder's lock.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "convscope/runs.h"
#include "watch/run_db.h"

enum {
    DEEPEST = 12,
    MOST_FOLDERS = 200000,
    MOST_RUNS = 100000,
    MOST_EPOCHS = 1000000,
    MOST_ROWS = 4096,
    NOTES = 20
};
#define STILL_SECONDS                                                                                        \
    120.0 /* without word from a run whose file system has no locks, after which it counts as killed */

typedef struct entry {
    cvs_run_record record;
    cvi_arena *arena; /* of the record */
    char *path, *below;
    struct timespec changed[2]; /* of the file and of its log */
    off_t size[2];
    bool seen, good;
} entry;

struct cvs_runs {
    char *root;
    cvs_limits limits;
    int n, room, n_known;
    entry *list;
    int *shown, n_shown; /* those that could be read, in order */
    char *notes[NOTES];
    int folders; /* looked into by the scan at hand */
};

/* ---- names of states ---------------------------------------------------------------------------------------- */

static const char *const states[] = {"running", "finished", "stopped", "failed", "killed"};

const char *cvs_run_state_name(cvs_run_state state) {
    return (unsigned)state < CVS_N_RUN_STATES ? states[state] : "";
}

const char *cvs_run_state_text(cvs_run_state state, cvs_lang lang) {
    return cvi_tr(lang, cvs_run_state_name(state));
}

static cvs_run_state state_of(const char *name) {
    for (int i = 0; i < CVS_N_RUN_STATES; i++) {
        if (strcmp(name, states[i]) == 0) {
            return (cvs_run_state)i;
        }
    }
    return CVS_RUN_KILLED;
}

/* ---- rows ---------------------------------------------------------------------------------------------------- */

typedef struct reading {
    sqlite3 *db;
    cvi_arena *arena;
    int work; /* left, in thousands of SQLite's steps */
    int rc;
} reading;

static int worked(void *context) {
    reading *r = context;
    return --r->work < 0;
}

static const char *text_at(reading *r, sqlite3_stmt *q, int column) {
    const char *text = (const char *)sqlite3_column_text(q, column);
    int n = sqlite3_column_bytes(q, column);
    char *copy = cvi_arena_strn(r->arena, text ? text : "", text ? strnlen(text, (size_t)n) : 0);
    r->rc = copy ? r->rc : SQLITE_NOMEM;
    return copy ? copy : "";
}

static double real_at(sqlite3_stmt *q, int column) {
    return sqlite3_column_type(q, column) == SQLITE_NULL ? (double)NAN : sqlite3_column_double(q, column);
}

static int count_at(sqlite3_stmt *q, int column) {
    int64_t v = sqlite3_column_int64(q, column);
    return (int)CVI_MAX(CVI_MIN(v, (int64_t)2000000000), (int64_t)0);
}

/* Calls row for every row, at most `most`. */
static void each_row(reading *r, const char *sql, int most,
                     void (*row)(reading *r, sqlite3_stmt *q, void *out), void *out) {
    sqlite3_stmt *q = NULL;
    r->rc = r->rc == SQLITE_OK ? sqlite3_prepare_v2(r->db, sql, -1, &q, NULL) : r->rc;
    for (int i = 0; r->rc == SQLITE_OK; i++) {
        int rc = i < most ? sqlite3_step(q) : SQLITE_TOOBIG;
        if (rc != SQLITE_ROW) {
            r->rc = rc == SQLITE_DONE ? SQLITE_OK : rc;
            break;
        }
        row(r, q, out);
    }
    sqlite3_finalize(q);
}

/* Rows of any size, into a growing array of the arena's. */
static void *one_more(reading *r, void *list, int n, size_t size) {
    if (n & (n - 1)) { /* room for the next power of two is there */
        return list;
    }
    void *grown = cvi_arena_alloc(r->arena, n > 0 ? 2 * (int64_t)n : 1, size);
    if (grown && n > 0) {
        memcpy(grown, list, (size_t)n * size);
    }
    r->rc = grown ? r->rc : SQLITE_NOMEM;
    return grown;
}

static void read_run(reading *r, sqlite3_stmt *q, void *out) {
    cvs_run_record *v = out;
    int k = 0;
    v->id = text_at(r, q, k++);
    v->name = text_at(r, q, k++);
    v->state = state_of(text_at(r, q, k++));
    v->message = text_at(r, q, k++);
    v->recipe = text_at(r, q, k++);
    v->data = text_at(r, q, k++);
    v->seed = strtoull(text_at(r, q, k++), NULL, 10);
    v->version = text_at(r, q, k++);
    v->started = sqlite3_column_double(q, k++);
    v->updated = sqlite3_column_double(q, k++);
    v->ended = sqlite3_column_double(q, k++);
    v->seconds = sqlite3_column_double(q, k++);
    v->params = sqlite3_column_int64(q, k++);
    v->pictures = sqlite3_column_int64(q, k++);
    v->val_pictures = sqlite3_column_int64(q, k++);
    v->epochs = count_at(q, k++);
    v->steps = sqlite3_column_int64(q, k++);
    v->step = sqlite3_column_int64(q, k++);
    v->now_epoch = count_at(q, k++);
    v->now_loss = real_at(q, k++);
    v->now_accuracy = real_at(q, k++);
    v->watched = text_at(r, q, k++);
    v->best_epoch = count_at(q, k++);
    v->best = real_at(q, k);
}

static void read_setting(reading *r, sqlite3_stmt *q, void *out) {
    cvs_run_record *v = out;
    cvs_run_setting *list = one_more(r, (void *)(uintptr_t)v->settings, v->n_settings, sizeof *list);
    if (list) {
        list[v->n_settings++] = (cvs_run_setting){text_at(r, q, 0), text_at(r, q, 1), real_at(q, 2)};
        v->settings = list;
    }
}

static void read_epoch(reading *r, sqlite3_stmt *q, void *out) {
    cvs_run_record *v = out;
    cvs_run_epoch *list = one_more(r, (void *)(uintptr_t)v->list, v->n_epochs, sizeof *list);
    if (list) {
        list[v->n_epochs++] = (cvs_run_epoch){count_at(q, 0), sqlite3_column_int64(q, 1),
                                              real_at(q, 2),  real_at(q, 3),
                                              real_at(q, 4),  real_at(q, 5),
                                              real_at(q, 6),  real_at(q, 7)};
        v->list = list;
    }
}

static void read_file(reading *r, sqlite3_stmt *q, void *out) {
    cvs_run_record *v = out;
    cvs_run_artifact *list = one_more(r, (void *)(uintptr_t)v->files, v->n_files, sizeof *list);
    if (list) {
        list[v->n_files++] = (cvs_run_artifact){text_at(r, q, 0), text_at(r, q, 1), count_at(q, 2)};
        v->files = list;
    }
}

static void read_session(reading *r, sqlite3_stmt *q, void *out) {
    cvs_run_record *v = out;
    cvs_run_session *list = one_more(r, (void *)(uintptr_t)v->sessions, v->n_sessions, sizeof *list);
    if (list) {
        list[v->n_sessions++] = (cvs_run_session){.started = sqlite3_column_double(q, 0),
                                                  .ended = sqlite3_column_double(q, 1),
                                                  .status = text_at(r, q, 2),
                                                  .from_step = sqlite3_column_int64(q, 3),
                                                  .threads = count_at(q, 4),
                                                  .ranks = count_at(q, 5),
                                                  .host = text_at(r, q, 6),
                                                  .pid = sqlite3_column_int64(q, 7)};
        v->sessions = list;
    }
}

/* ---- one record ------------------------------------------------------------------------------------------------ */

/* Whether a process holds the folder: 1 yes, 0 no, -1 nobody can say. */
static int is_held(const char *folder) {
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC), held = -1;
    if (fd >= 0) {
        held = flock(fd, LOCK_SH | LOCK_NB) == 0 ? 0 : errno == EWOULDBLOCK ? 1 : -1;
        close(fd);
    }
    return held;
}

static cvs_status read_tables(const char *path, int64_t most, reading *r, cvs_run_record *out,
                              cvs_error *err) {
    static const char *const settings = "SELECT name, text, number FROM settings ORDER BY rowid",
                             *const epochs = "SELECT epoch, step, loss, accuracy, val_loss, val_accuracy, "
                                             "learning_rate, seconds FROM epochs ORDER BY epoch",
                             *const files = "SELECT name, kind, epoch FROM files ORDER BY rowid",
                             *const sessions =
                                 "SELECT started, ended, status, from_step, threads, ranks, host, pid "
                                 "FROM sessions ORDER BY session";
    const char *folder = out->path, *below = out->folder;
    *out = (cvs_run_record){.path = folder, .folder = below};
    CVI_TRY(cvi_run_db_read(path, most, &r->db, err));
    sqlite3_progress_handler(r->db, 1000, worked, r);
    r->rc = sqlite3_exec(r->db, "BEGIN", NULL, NULL, NULL); /* one moment for all tables */
    each_row(r,
             "SELECT id, name, status, message, recipe, data, seed, version, started, updated, ended, "
             "seconds, params, "
             "pictures, val_pictures, epochs, steps, step, now_epoch, now_loss, now_accuracy, watched, "
             "best_epoch, best "
             "FROM run WHERE one = 1",
             2, read_run, out);
    each_row(r, settings, MOST_ROWS, read_setting, out);
    each_row(r, epochs, MOST_EPOCHS, read_epoch, out);
    each_row(r, files, MOST_ROWS, read_file, out);
    each_row(r, sessions, MOST_ROWS, read_session, out);
    cvs_status s = cvi_run_db_error(r->db, r->rc, path, err);
    sqlite3_close(r->db);
    r->db = NULL;
    if (s == CVS_OK && !out->id) {
        s = cvi_at_file(err, cvi_fail(err, CVS_E_FORMAT, "this record of a run is empty"), path);
    }
    return s;
}

/* Fills e->record. A run that says it goes on while nobody holds its folder is read once more: it may have ended just now. */
static cvs_status read_record(entry *e, const char *path, int64_t most, cvs_error *err) {
    cvs_status s = CVS_OK;
    for (int i = 0; i < 2 && s == CVS_OK; i++) {
        cvi_arena_free(e->arena);
        e->arena = cvi_arena_new((int64_t)512 << 20);
        if (!e->arena) {
            return cvi_no_memory(err, 1024);
        }
        reading r = {.arena = e->arena, .work = 100000};
        e->record.path = e->path;
        e->record.folder = e->below;
        s = read_tables(path, most, &r, &e->record, err);
        if (s != CVS_OK || e->record.state != CVS_RUN_RUNNING) {
            return s;
        }
        int held = is_held(e->path);
        if (held == 1 || (held < 0 && (double)time(NULL) - e->record.updated < STILL_SECONDS)) {
            return s;
        }
    }
    e->record.state = CVS_RUN_KILLED;
    return s;
}

/* ---- finding ----------------------------------------------------------------------------------------------------- */

static int by_folder(const void *a, const void *b);

static cvs_status found(cvs_runs *runs, const char *path, const char *below, cvs_error *err) {
    entry key = {.below = (char *)(uintptr_t)(below[0] ? below : ".")}, *e = NULL;
    if (runs->n_known > 0) { /* those of the last scan are in order; a scan finds each once */
        e = bsearch(&key, runs->list, (size_t)runs->n_known, sizeof key, by_folder);
    }
    if (!e && runs->n < MOST_RUNS) {
        if (runs->n == runs->room) {
            int room = CVI_MAX(64, 2 * runs->room);
            entry *grown =
                cvi_realloc(runs->list, (size_t)runs->room * sizeof *grown, (size_t)room * sizeof *grown);
            if (!grown) {
                return cvi_no_memory(err, (size_t)room * sizeof *grown);
            }
            runs->list = grown;
            runs->room = room;
        }
        e = &runs->list[runs->n];
        *e = (entry){.path = cvi_strdup(path), .below = cvi_strdup(below[0] ? below : ".")};
        if (!e->path || !e->below) {
            cvi_free(e->path);
            cvi_free(e->below);
            return cvi_no_memory(err, strlen(path));
        }
        runs->n++;
    }
    if (e) {
        e->seen = true;
    }
    return CVS_OK;
}

static bool is_run(const char *folder) {
    char *path = cvi_path_join(folder, CVI_RUN_FILE);
    bool is = path && cvi_is_file(path);
    cvi_free(path);
    return is;
}

/* A folder with a record is a run and holds no others. Links are not followed. */
static cvs_status scan(cvs_runs *runs, const char *path, const char *below, int depth, cvs_error *err) {
    if (is_run(path)) {
        return found(runs, path, below, err);
    }
    DIR *dir = depth < DEEPEST && ++runs->folders < MOST_FOLDERS ? opendir(path) : NULL;
    cvs_status s = CVS_OK;
    for (const struct dirent *e; dir && s == CVS_OK && (e = readdir(dir)) != NULL;) {
        struct stat st;
        if (e->d_name[0] == '.' || (e->d_type != DT_DIR && e->d_type != DT_UNKNOWN)) {
            continue;
        }
        char *full = cvi_path_join(path, e->d_name);
        char *name = below[0] ? cvi_path_join(below, e->d_name) : cvi_strdup(e->d_name);
        if (!full || !name) {
            s = cvi_no_memory(err, strlen(path));
        } else if (e->d_type == DT_DIR || (lstat(full, &st) == 0 && S_ISDIR(st.st_mode))) {
            s = scan(runs, full, name, depth + 1, err);
        }
        cvi_free(full);
        cvi_free(name);
    }
    if (dir) {
        closedir(dir);
    }
    return s;
}

/* ---- the list ---------------------------------------------------------------------------------------------------- */

/* Names with numbers by their value: run_2 before run_10. */
static int by_name(const char *a, const char *b) {
    while (*a && *b) {
        if (*a >= '0' && *a <= '9' && *b >= '0' && *b <= '9') {
            size_t za = strspn(a, "0"), zb = strspn(b, "0");
            size_t na = strspn(a + za, "0123456789"), nb = strspn(b + zb, "0123456789");
            int order = na != nb ? (na < nb ? -1 : 1) : memcmp(a + za, b + zb, na);
            order = order != 0 ? order : (za < zb) - (za > zb); /* 0.001 before 0.01 */
            if (order != 0) {
                return order;
            }
            a += za + na;
            b += zb + nb;
            continue;
        }
        if (*a != *b) {
            break;
        }
        a++;
        b++;
    }
    return (unsigned char)*a - (unsigned char)*b;
}

static int by_folder(const void *a, const void *b) {
    const entry *x = a, *y = b;
    int order = by_name(x->below, y->below);
    return order != 0 ? order : strcmp(x->below, y->below);
}

static bool same_files(entry *e, const char *path) {
    bool same = true;
    for (int i = 0; i < 2; i++) {
        struct stat st = {0};
        char name[4200];
        snprintf(name, sizeof name, "%s%s", path, i ? "-wal" : "");
        (void)stat(name, &st);
        same = same && e->size[i] == st.st_size && e->changed[i].tv_sec == st.st_mtim.tv_sec &&
               e->changed[i].tv_nsec == st.st_mtim.tv_nsec;
        e->size[i] = st.st_size;
        e->changed[i] = st.st_mtim;
    }
    return same;
}

static void free_entry(entry *e) {
    cvi_arena_free(e->arena);
    cvi_free(e->path);
    cvi_free(e->below);
}

static void note(cvs_runs *runs, const cvs_error *why) {
    char text[1200];
    for (int i = 0; i < NOTES; i++) {
        if (!runs->notes[i]) {
            runs->notes[i] = cvi_strdup(cvs_error_text(why, text, sizeof text));
            return;
        }
    }
}

static void forget_notes(cvs_runs *runs) {
    for (int i = 0; i < NOTES; i++) {
        cvi_free(runs->notes[i]);
        runs->notes[i] = NULL;
    }
}

/* Reads what is new or changed; *any: something was. */
static cvs_status read_entries(cvs_runs *runs, cvs_lang lang, bool *any, cvs_error *err) {
    for (int i = 0; i < runs->n; i++) {
        entry *e = &runs->list[i];
        cvs_error why = {.lang = lang};
        char *path = cvi_path_join(e->path, CVI_RUN_FILE);
        if (!path) {
            return cvi_no_memory(err, strlen(e->path));
        }
        if (!same_files(e, path) || (e->good && e->record.state == CVS_RUN_RUNNING) || !e->good) {
            cvs_status s = read_record(e, path, runs->limits.max_file_bytes, &why);
            e->good = s == CVS_OK;
            *any = true;
            if (s == CVS_E_MEMORY) {
                cvi_free(path);
                return cvi_no_memory(err, 1024);
            }
        }
        if (!e->good && is_held(e->path) != 1) { /* else it is being made just now */
            note(runs, &why);
        }
        cvi_free(path);
    }
    return CVS_OK;
}

cvs_status cvs_runs_refresh(cvs_runs *runs, bool *changed, cvs_error *err) {
    bool any = false;
    int kept = 0;
    runs->folders = 0;
    runs->n_known = runs->n;
    for (int i = 0; i < runs->n; i++) {
        runs->list[i].seen = false;
    }
    CVI_TRY(scan(runs, runs->root, "", 0, err));
    for (int i = 0; i < runs->n; i++) {
        if (runs->list[i].seen) {
            runs->list[kept++] = runs->list[i];
        } else {
            free_entry(&runs->list[i]);
            any = true;
        }
    }
    runs->n = kept;
    runs->n_shown = 0;
    forget_notes(runs);
    if (runs->n > 1) {
        qsort(runs->list, (size_t)runs->n, sizeof *runs->list, by_folder);
    }
    CVI_TRY(read_entries(runs, err ? err->lang : CVS_EN, &any, err));
    cvi_free(runs->shown);
    runs->shown = cvi_calloc((size_t)runs->n + 1, sizeof *runs->shown);
    if (!runs->shown) {
        return cvi_no_memory(err, (size_t)runs->n * sizeof *runs->shown);
    }
    for (int i = 0; i < runs->n; i++) {
        if (runs->list[i].good) {
            runs->shown[runs->n_shown++] = i;
        }
    }
    if (changed) {
        *changed = any;
    }
    return CVS_OK;
}

cvs_status cvs_runs_open(const char *folder, const cvs_limits *limits, cvs_runs **out, cvs_error *err) {
    *out = NULL;
    if (!cvi_is_folder(folder)) {
        return cvi_at_file(err, cvi_fail(err, CVS_E_IO, "there is no such folder"), folder);
    }
    cvs_runs *runs = cvi_calloc(1, sizeof *runs);
    if (!runs || !(runs->root = cvi_strdup(folder))) {
        cvi_free(runs);
        return cvi_no_memory(err, sizeof *runs);
    }
    runs->limits = cvs_limits_default(limits);
    cvs_status s = cvs_runs_refresh(runs, NULL, err);
    if (s == CVS_OK) {
        *out = runs;
    } else {
        cvs_runs_free(runs);
    }
    return s;
}

void cvs_runs_free(cvs_runs *runs) {
    if (runs) {
        for (int i = 0; i < runs->n; i++) {
            free_entry(&runs->list[i]);
        }
        forget_notes(runs);
        cvi_free(runs->list);
        cvi_free(runs->shown);
        cvi_free(runs->root);
        cvi_free(runs);
    }
}

int cvs_runs_count(const cvs_runs *runs) {
    return runs->n_shown;
}

const cvs_run_record *cvs_runs_get(const cvs_runs *runs, int i) {
    return i >= 0 && i < runs->n_shown ? &runs->list[runs->shown[i]].record : NULL;
}

const char *cvs_runs_note(const cvs_runs *runs, int i) {
    return i >= 0 && i < NOTES ? runs->notes[i] : NULL;
}

const char *cvs_run_record_setting(const cvs_run_record *r, const char *name) {
    for (int i = 0; i < r->n_settings; i++) {
        if (strcmp(r->settings[i].name, name) == 0) {
            return r->settings[i].text;
        }
    }
    return NULL;
}

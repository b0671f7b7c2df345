/* SPDX-License-Identifier: MIT
 * log.c - log directories by TensorBoard's rules: every folder below (links followed) that holds a file whose name contains "tfevents" is
 * a run; its files are read in the order of their names, each from where the last reading ended. What a restart made void is dropped.
 */
#include "watch/log.h"

#include <dirent.h>
#include <math.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "watch/event_read.h"
#include "watch/record.h"

enum { DEEPEST = 24, CHECKED = 65536 /* bytes of a record whose checksum is made */ };

/* Makes room for one more of `n` things of a size; list: where the pointer to them is. */
static bool more_room(void *list, int n, int *room, size_t size) {
    void *was;
    memcpy(&was, list, sizeof was);
    if (n < *room) {
        return true;
    }
    int wanted = CVI_MAX(16, *room * 2);
    void *grown = *room < 1 << 29 ? cvi_realloc(was, (size_t)*room * size, (size_t)wanted * size) : NULL;
    if (!grown) {
        return false;
    }
    memcpy(list, &grown, sizeof grown);
    *room = wanted;
    return true;
}

/* ---- finding files -------------------------------------------------------------------------------------- */

static int find_run(const cvs_log *log, const char *name) {
    for (int i = 0; i < log->n_runs; i++) {
        if (strcmp(log->runs[i], name) == 0) {
            return i;
        }
    }
    return -1;
}

static cvs_status add_file(cvs_log *log, const char *run, const char *path, cvs_error *err) {
    int r = log->n_files > 0 && strcmp(log->runs[log->files[log->n_files - 1].run], run) == 0
                ? log->files[log->n_files - 1].run
                : find_run(log, run);
    for (int i = 0; i < log->n_files; i++) {
        if (log->files[i].run == r && strcmp(log->files[i].path, path) == 0) {
            return CVS_OK;
        }
    }
    if (r < 0) {
        if (!more_room(&log->runs, log->n_runs, &log->room_runs, sizeof *log->runs) ||
            !(log->runs[log->n_runs] = cvi_strdup(run))) {
            return cvi_no_memory(err, strlen(run));
        }
        r = log->n_runs++;
    }
    if (!more_room(&log->files, log->n_files, &log->room_files, sizeof *log->files)) {
        return cvi_no_memory(err, sizeof *log->files);
    }
    cvi_log_file *f = &log->files[log->n_files];
    *f = (cvi_log_file){.path = cvi_strdup(path), .run = r};
    log->n_files += f->path != NULL;
    return f->path ? CVS_OK : cvi_no_memory(err, strlen(path));
}

static bool is_events(const char *name) {
    size_t n = strlen(name);
    return strstr(name, "tfevents") && !(n > 14 && strcmp(name + n - 14, ".profile-empty") == 0);
}

static int by_name(const struct dirent **a, const struct dirent **b) {
    return strcmp((*a)->d_name, (*b)->d_name);
}

static int no_dots(const struct dirent *e) {
    return e->d_name[0] != '.';
}

/* Folder `path`, called `name` below the root ("" for itself); parents: folders that it lies in, so that a link to one is not followed. */
static cvs_status scan(cvs_log *log, const char *path, const char *name, struct stat *parents, int depth,
                       cvs_error *err) {
    struct dirent **list = NULL;
    struct stat st;
    if (depth >= DEEPEST || stat(path, &parents[depth]) != 0) {
        return CVS_OK;
    }
    for (int i = 0; i < depth; i++) {
        if (parents[i].st_dev == parents[depth].st_dev && parents[i].st_ino == parents[depth].st_ino) {
            return CVS_OK;
        }
    }
    int n = scandir(path, &list, no_dots, by_name);
    cvs_status s = CVS_OK;
    for (int i = 0; i < n; i++) {
        char *full = cvi_path_join(path, list[i]->d_name);
        char *below = name[0] ? cvi_path_join(name, list[i]->d_name) : cvi_strdup(list[i]->d_name);
        if (!full || !below) {
            s = cvi_no_memory(err, strlen(path));
        } else if (s == CVS_OK && stat(full, &st) == 0) {
            if (S_ISDIR(st.st_mode)) {
                s = scan(log, full, below, parents, depth + 1, err);
            } else if (S_ISREG(st.st_mode) && is_events(list[i]->d_name)) {
                s = add_file(log, name[0] ? name : ".", full, err);
            }
        }
        cvi_free(full);
        cvi_free(below);
        free(list[i]); /* libc's own memory */
    }
    free(list);
    return s;
}

/* ---- series --------------------------------------------------------------------------------------------- */

static uint64_t hash_of(int run, const char *tag) {
    uint64_t h = UINT64_C(14695981039346656037) ^ (uint64_t)run;
    for (; *tag; tag++) {
        h = (h ^ (uint8_t)*tag) * UINT64_C(1099511628211);
    }
    return h ^ h >> 29;
}

/* Where the series is or would be in the table. */
static int slot_of(const cvs_log *log, int run, const char *tag) {
    int at = (int)(hash_of(run, tag) & (uint64_t)(log->n_slots - 1));
    while (log->slots[at] && (log->series[log->slots[at] - 1].run != run ||
                              strcmp(log->series[log->slots[at] - 1].tag, tag) != 0)) {
        at = (at + 1) & (log->n_slots - 1);
    }
    return at;
}

static bool grow_table(cvs_log *log) {
    if (log->n_series * 2 < log->n_slots) {
        return true;
    }
    int n = CVI_MAX(64, log->n_slots * 2);
    int *slots = cvi_calloc((size_t)n, sizeof *slots);
    if (!slots) {
        return false;
    }
    cvi_free(log->slots);
    log->slots = slots;
    log->n_slots = n;
    for (int i = 0; i < log->n_series; i++) {
        log->slots[slot_of(log, log->series[i].run, log->series[i].tag)] = i + 1;
    }
    return true;
}

static cvi_series *need_series(cvs_log *log, int run, const char *tag) {
    if (!grow_table(log)) {
        return NULL;
    }
    int at = slot_of(log, run, tag);
    if (log->slots[at]) {
        return &log->series[log->slots[at] - 1];
    }
    if (!more_room(&log->series, log->n_series, &log->room_series, sizeof *log->series)) {
        return NULL;
    }
    cvi_series *s = &log->series[log->n_series];
    *s = (cvi_series){.run = run, .tag = cvi_strdup(tag), .last_file = -1};
    if (!s->tag) {
        return NULL;
    }
    log->slots[at] = ++log->n_series;
    return s;
}

static cvs_series_kind kind_of(const cvi_event_value *v) {
    static const struct {
        const char *plugin;
        cvs_series_kind kind;
    } plugins[] = {{"scalars", CVS_SCALARS},
                   {"histograms", CVS_HISTOGRAMS},
                   {"images", CVS_PICTURES},
                   {"text", CVS_TEXTS}};
    double number;
    for (int i = 0; i < CVI_COUNT(plugins); i++) {
        if (strcmp(plugins[i].plugin, v->plugin) == 0) {
            return plugins[i].kind;
        }
    }
    return v->form == CVI_FORM_SIMPLE  ? CVS_SCALARS
           : v->form == CVI_FORM_IMAGE ? CVS_PICTURES
           : v->form == CVI_FORM_HISTO ? CVS_HISTOGRAMS
           : v->form == CVI_FORM_TENSOR && !v->plugin[0] && v->tensor.rank == 0 &&
                   cvi_event_number(&v->tensor, 0, &number)
               ? CVS_SCALARS
               : CVS_OTHER_SERIES;
}

static bool more_points(cvi_series *s) {
    if (s->n < s->room) {
        return true;
    }
    size_t was = (size_t)s->room, now = (size_t)CVI_MAX(8, s->room * 2);
    bool scalar = s->kind == CVS_SCALARS;
    int64_t *step = cvi_realloc(s->step, was * sizeof *step, now * sizeof *step);
    s->step = step ? step : s->step;
    double *wall = step ? cvi_realloc(s->wall, was * sizeof *wall, now * sizeof *wall) : NULL;
    s->wall = wall ? wall : s->wall;
    double *value = wall && scalar ? cvi_realloc(s->value, was * sizeof *value, now * sizeof *value) : NULL;
    s->value = value ? value : s->value;
    cvi_place *place =
        wall && !scalar ? cvi_realloc(s->place, was * sizeof *place, now * sizeof *place) : NULL;
    s->place = place ? place : s->place;
    s->room = value || place ? (int64_t)now : s->room;
    return value || place;
}

/* Steps go up. One that goes back, or that another file had too (again), is of a restart: what was there from that step on is void. */
static void drop_from(cvi_series *s, int64_t step, bool again) {
    while (s->n > 0 && (again ? s->step[s->n - 1] >= step : s->step[s->n - 1] > step)) {
        s->n--;
    }
    s->covered = CVI_MIN(s->covered, s->n);
}

/* ---- records -------------------------------------------------------------------------------------------- */

typedef struct reading {
    cvs_log *log;
    int file;
    const cvi_event *event;
    cvi_place place;
    cvs_error *err;
} reading;

/* hparams: HParamsPluginData {3: session_start_info {1: map name -> Value {2 number, 3 text, 4 bool}}}. */
static cvs_status take_param(reading *r, const cvi_pb *parent, const cvi_pb_field *entry) {
    cvs_log *log = r->log;
    cvi_pb e, v;
    cvi_pb_field f, g;
    const char *name = "", *text = NULL;
    CVI_TRY(cvi_pb_enter(parent, &entry->bytes, &e));
    do {
        CVI_TRY(cvi_pb_next(&e, &f));
        if (f.number == 1 && f.wire == CVI_PB_BYTES) {
            CVI_TRY(cvi_pb_string(&e, log->arena, &f, 4096, "name", &name));
        } else if (f.number == 2 && f.wire == CVI_PB_BYTES) {
            CVI_TRY(cvi_pb_enter(&e, &f.bytes, &v));
            do {
                CVI_TRY(cvi_pb_next(&v, &g));
                if (g.number == 3 && g.wire == CVI_PB_BYTES) {
                    CVI_TRY(cvi_pb_string(&v, log->arena, &g, 65536, "value", &text));
                } else if (g.number == 2 && g.wire == CVI_PB_FIXED64) {
                    text = cvi_arena_printf(log->arena, "%g", cvi_pb_double(g.value));
                } else if (g.number == 4 && g.wire == CVI_PB_VARINT) {
                    text = g.value ? "true" : "false";
                }
            } while (g.number != 0);
        }
    } while (f.number != 0);
    int run = log->files[r->file].run;
    for (int i = 0; i < log->n_params; i++) {
        if (log->params[i].run == run && strcmp(log->params[i].name, name) == 0) {
            return CVS_OK;
        }
    }
    if (!text || !more_room(&log->params, log->n_params, &log->room_params, sizeof *log->params)) {
        return text ? cvi_no_memory(r->err, sizeof *log->params) : CVS_OK;
    }
    cvi_log_param *p = &log->params[log->n_params];
    *p = (cvi_log_param){run, cvi_strdup(name), cvi_strdup(text)};
    if (!p->name || !p->value) {
        cvi_free(p->name);
        cvi_free(p->value);
        return cvi_no_memory(r->err, strlen(text));
    }
    log->n_params++;
    return CVS_OK;
}

static cvs_status take_params(reading *r, const cvi_event_value *v) {
    cvi_pb p = cvi_pb_begin(v->content.data, v->content.size, 16, r->err), start;
    cvi_pb_field f, g;
    do {
        CVI_TRY(cvi_pb_next(&p, &f));
        if (f.number == 3 && f.wire == CVI_PB_BYTES) {
            CVI_TRY(cvi_pb_enter(&p, &f.bytes, &start));
            do {
                CVI_TRY(cvi_pb_next(&start, &g));
                if (g.number == 1 && g.wire == CVI_PB_BYTES) {
                    CVI_TRY(take_param(r, &start, &g));
                }
            } while (g.number != 0);
        }
    } while (f.number != 0);
    return CVS_OK;
}

static cvs_status take_value(void *context, int k, const cvi_event_value *v, bool *more) {
    reading *r = context;
    (void)more;
    if (strcmp(v->plugin, "hparams") == 0) {
        return v->content.size > 0 ? take_params(r, v) : CVS_OK;
    }
    if (v->form == CVI_FORM_NONE) {
        return CVS_OK;
    }
    cvi_series *s = need_series(r->log, r->log->files[r->file].run, v->tag);
    if (!s) {
        return cvi_no_memory(r->err, sizeof *s);
    }
    if (!s->known) {
        s->kind = kind_of(v);
        s->known = true;
    }
    double number = v->simple;
    if (s->kind == CVS_SCALARS && v->form != CVI_FORM_SIMPLE &&
        (v->form != CVI_FORM_TENSOR || !cvi_event_number(&v->tensor, 0, &number))) {
        return CVS_OK; /* a scalar's tag with something else */
    }
    drop_from(s, r->event->step, s->last_file != r->file);
    if (!more_points(s)) {
        return cvi_no_memory(r->err, (size_t)s->n * 40);
    }
    s->step[s->n] = r->event->step;
    s->wall[s->n] = r->event->wall;
    if (s->kind == CVS_SCALARS) {
        s->value[s->n] = number;
    } else {
        s->place[s->n] = (cvi_place){r->place.offset, r->place.size, r->file, k};
    }
    s->n++;
    s->last_file = r->file;
    return CVS_OK;
}

static cvs_status take_record(cvs_log *log, int file, const uint8_t *data, size_t size, int64_t offset,
                              cvs_error *err) {
    cvi_event event;
    CVI_TRY(cvi_event_parse(data, size, &event, err));
    if (event.restart) {
        for (int i = 0; i < log->n_series; i++) {
            if (log->series[i].run == log->files[file].run) {
                drop_from(&log->series[i], event.step, true);
            }
        }
    }
    if (event.n_values == 0) {
        return CVS_OK;
    }
    reading r = {log, file, &event, {.offset = offset, .size = (int64_t)size}, err};
    cvi_arena_reset(log->arena);
    return cvi_event_each(data, size, log->arena, take_value, &r, err);
}

static cvs_status note_damage(cvs_log *log, int file, const char *why, int64_t offset, cvs_error *err) {
    char text[700];
    log->files[file].stopped = true;
    snprintf(text, sizeof text,
             cvi_tr(log->lang, "%.300s is damaged at byte %lld: %.200s; what comes before counts"),
             log->files[file].path, (long long)offset, why);
    if (!more_room(&log->notes, log->n_notes, &log->room_notes, sizeof *log->notes) ||
        !(log->notes[log->n_notes] = cvi_strdup(text))) {
        return cvi_no_memory(err, sizeof text);
    }
    log->n_notes++;
    return CVS_OK;
}

/* Reads on in a file; a record that is not complete yet is left for the next time. */
static cvs_status read_file(cvs_log *log, int file, bool *changed, cvs_error *err) {
    cvi_file f = {0};
    cvs_limits limits = log->limits;
    cvs_error why = {.lang = log->lang};
    struct stat st;
    limits.max_file_bytes = INT64_MAX; /* mapped, and only touched where something new is */
    if (log->files[file].stopped || stat(log->files[file].path, &st) != 0 ||
        st.st_size <= log->files[file].offset ||
        cvi_file_read(log->files[file].path, &limits, &f, NULL) != CVS_OK) {
        return CVS_OK;
    }
    size_t at = (size_t)log->files[file].offset;
    cvs_status s = CVS_OK;
    while (s == CVS_OK && at + CVI_RECORD_HEAD <= f.size) {
        uint64_t n;
        if (!cvi_record_length(f.data + at, &n)) {
            s = note_damage(log, file, cvi_tr(log->lang, "the length of a record has a wrong checksum"),
                            (int64_t)at, err);
            break;
        }
        if (n > f.size || f.size - (size_t)n < at + CVI_RECORD_HEAD + CVI_RECORD_TAIL) {
            break;
        }
        const uint8_t *data = f.data + at + CVI_RECORD_HEAD;
        if (n <= CHECKED && !cvi_record_good(data, (size_t)n)) {
            s = note_damage(log, file, cvi_tr(log->lang, "a record has a wrong checksum"), (int64_t)at, err);
            break;
        }
        cvs_status one = take_record(log, file, data, (size_t)n, (int64_t)at + CVI_RECORD_HEAD, &why);
        if (one == CVS_E_MEMORY) {
            s = cvi_no_memory(err, (size_t)n);
        } else if (one != CVS_OK) {
            s = note_damage(log, file, why.message, (int64_t)at, err);
            break;
        }
        at += CVI_RECORD_HEAD + (size_t)n + CVI_RECORD_TAIL;
        *changed = true;
    }
    log->files[file].offset = (int64_t)at;
    cvi_file_close(&f);
    return s;
}

/* ---- public --------------------------------------------------------------------------------------------- */

cvs_status cvs_log_refresh(cvs_log *log, bool *changed, cvs_error *err) {
    struct stat parents[DEEPEST];
    bool any = false;
    cvs_status s =
        log->single ? add_file(log, ".", log->root, err) : scan(log, log->root, "", parents, 0, err);
    for (int i = 0; i < log->n_files && s == CVS_OK; i++) {
        s = read_file(log, i, &any, err);
    }
    if (changed) {
        *changed = any;
    }
    log->clocked = log->clocked && !any;
    return s;
}

cvs_status cvs_log_open(const char *path, const cvs_limits *limits, cvs_log **out, cvs_error *err) {
    *out = NULL;
    if (!cvi_is_folder(path) && !cvi_is_file(path)) {
        return cvi_at_file(err, cvi_fail(err, CVS_E_IO, "there is no such file or folder"), path);
    }
    cvs_log *log = cvi_calloc(1, sizeof *log);
    if (!log) {
        return cvi_no_memory(err, sizeof *log);
    }
    log->limits = cvs_limits_default(limits);
    log->lang = err ? err->lang : CVS_EN;
    log->root = cvi_strdup(path);
    log->single = !cvi_is_folder(path);
    log->arena = cvi_arena_new(0);
    cvs_status s =
        log->root && log->arena ? cvs_log_refresh(log, NULL, err) : cvi_no_memory(err, strlen(path));
    if (s != CVS_OK) {
        cvs_log_free(log);
        return s;
    }
    *out = log;
    return CVS_OK;
}

void cvs_log_free(cvs_log *log) {
    if (!log) {
        return;
    }
    for (int i = 0; i < log->n_series; i++) {
        cvi_series *s = &log->series[i];
        cvi_free(s->tag);
        cvi_free(s->step);
        cvi_free(s->wall);
        cvi_free(s->value);
        cvi_free(s->place);
        cvi_levels_free(s);
    }
    for (int i = 0; i < log->n_files; i++) {
        cvi_free(log->files[i].path);
    }
    for (int i = 0; i < log->n_params; i++) {
        cvi_free(log->params[i].name);
        cvi_free(log->params[i].value);
    }
    for (int i = 0; i < log->n_runs; i++) {
        cvi_free(log->runs[i]);
    }
    for (int i = 0; i < log->n_notes; i++) {
        cvi_free(log->notes[i]);
    }
    cvi_free(log->series);
    cvi_free(log->slots);
    cvi_free(log->files);
    cvi_free(log->params);
    cvi_free(log->runs);
    cvi_free(log->notes);
    cvi_free(log->first);
    cvi_free(log->epochs);
    cvi_free(log->root);
    cvi_arena_free(log->arena);
    cvi_free(log);
}

int cvs_log_n_runs(const cvs_log *log) {
    return log->n_runs;
}

const char *cvs_log_run(const cvs_log *log, int run) {
    return log->runs[run];
}

const char *cvs_log_note(const cvs_log *log, int i) {
    return i >= 0 && i < log->n_notes ? log->notes[i] : NULL;
}

int cvs_log_count(const cvs_log *log) {
    return log->n_series;
}

void cvs_log_series(const cvs_log *log, int i, cvs_series *out) {
    const cvi_series *s = &log->series[i];
    *out = (cvs_series){.run = s->run,
                        .run_name = log->runs[s->run],
                        .tag = s->tag,
                        .kind = s->kind,
                        .n = s->n,
                        .step = s->step,
                        .wall = s->wall,
                        .value = s->value};
}

int cvs_log_find(const cvs_log *log, const char *run, const char *tag) {
    int r = find_run(log, run);
    return r < 0 || log->n_slots == 0 ? -1 : log->slots[slot_of(log, r, tag)] - 1;
}

bool cvs_log_hparam(const cvs_log *log, int i, int *run, const char **name, const char **value) {
    if (i < 0 || i >= log->n_params) {
        return false;
    }
    *run = log->params[i].run;
    *name = log->params[i].name;
    *value = log->params[i].value;
    return true;
}

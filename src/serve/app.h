/* SPDX-License-Identifier: MIT
 * app.h (internal to serve) - what the server knows: models, pictures, runs, jobs; and the lanes that work for it.
 *
 * Models and pictures are only added, never changed or taken away while the server lives: a number that was given out stays good
 * and needs no lock. A run belongs to whoever holds its slot's lock.
 */
#ifndef SERVE_APP_H
#define SERVE_APP_H

#include <pthread.h>

#include "http.h"
#include "visdom.h"

enum { MAX_MODELS = 32, MAX_PICTURES = 512, MAX_JOBS = 64, SLOTS = 2, VIEWS_HELD = 2, MAX_VIEWS = 16 };

/* ---- lanes: light work never waits for heavy work (lanes.c) ------------------------------------------------------ */
typedef enum lane_kind { LANE_LIGHT, LANE_RUN, LANE_HEAVY, N_LANES } lane_kind;
typedef void lane_work(void *context);
typedef struct lanes lanes;
lanes *lanes_new(void); /* NULL on failure */
/* Waits for what runs, drops what waits. */
void lanes_free(lanes *l);
/* false: too much is waiting, or no memory. */
bool lanes_push(lanes *l, lane_kind kind, lane_work *work, void *context);

/* ---- models and pictures (store.c) --------------------------------------------------------------------------------- */
typedef struct picture {
    char name[128];
    char *path;        /* a .npy, read by the run; else NULL */
    cvs_tensor pixels; /* uint8 [H,W,3]; without data for a .npy */
    char group[32];    /* built-in model that it belongs to; "" = for all */
    char command[600]; /* how to name it on a command line; "" = only here */
} picture;

/* What-if edits of a view of the page, made. */
typedef struct edited_run {
    char view[MAX_VIEW];
    cvs_whatif *whatif; /* owned; NULL: none yet */
    int64_t used;       /* when, for "least recently" */
} edited_run;

/* A run that holds the numbers of one picture, and what-if edits of it. */
typedef struct slot {
    pthread_mutex_t lock;
    cvs_run *run;
    edited_run edited[VIEWS_HELD];
    cvs_tensor shown; /* what the network saw, uint8 [H,W,3]; or without data */
    int picture;      /* that it holds, -1 = none; of `lock` */
    int wanted;       /* that it holds or will hold; of the entry's lock */
    double ms;        /* the forward pass took */
    cvs_error
        stopped; /* code != CVS_OK: the run stopped on its way, at an operator that is unknown; what came before can be read */
    int64_t used; /* when, for "least recently" */
} slot;

typedef struct entry {
    const cvs_model *model;
    cvs_model *owned; /* the same, where the server opened it */
    char name[128];
    char builtin[32];           /* "" = none */
    char command[600];          /* how to name it on a command line; "" = only here */
    const cvs_run_options *run; /* borrowed: sizes for free dimensions */
    cvs_summary summary[2];     /* by language */
    bool summarized[2];
    pthread_mutex_t lock; /* of which slot is whose */
    slot slots[SLOTS];
} entry;

/* The edits of a view, remembered; of the app's lock. */
typedef struct edit_set {
    char view[MAX_VIEW];
    const entry *model;
    int picture;
    json_t *edits; /* owned; NULL: free */
    int64_t used;
} edit_set;

/* ---- jobs (jobs.c) ---------------------------------------------------------------------------------------------------- */
struct task;
typedef struct job {
    int id; /* 0 = free */
    struct app *app;
    const struct task *task; /* what it does (tasks.h) */
    json_t *ask;             /* owned */
    int model, picture;
    cvs_lang lang;
    atomic_bool cancel, done;
    pthread_mutex_t lock; /* of what follows */
    double fraction;
    char what[160];
    bool failed;
    cvs_error err;
    struct { /* the one of its task is filled */
        cvs_explanation why;
        cvs_feature feature;
        cvs_top top;
        cvs_projection projection;
    } result;
    double seconds;
    int held; /* by those who read the result without the lock; of the table's lock */
} job;

/* Queues work; ask: the request's object (shared). The same asked again finds the job that did it, or is at it. NULL: too many are
 * waiting. */
job *job_start(struct app *a, const struct task *task, json_t *ask, int m, int p, cvs_lang lang);
/* Of one that is entered: keeps its result until job_let_go, which is called without a lock. */
void job_hold(job *j);
void job_let_go(job *j);
/* The job of that number with the table and it locked, or NULL; leave as soon as read. */
job *job_enter(struct app *a, int64_t id);
void job_leave(job *j);

typedef struct watching watching; /* logs of training (watching.c) */

typedef struct app {
    const cvs_serve_options *options;
    watching *watching;   /* NULL: none were named */
    visdom *visdom;       /* NULL: no port was opened for it */
    pthread_mutex_t lock; /* of the tables' counts */
    int n_models, n_pictures, next_job;
    entry models[MAX_MODELS];
    picture pictures[MAX_PICTURES];
    job jobs[MAX_JOBS];
    edit_set edits[MAX_VIEWS];
    lanes *lanes;
    atomic_llong clock;
    atomic_bool stopping;
    struct { /* the run that explanations use: one at a time, in the heavy lane */
        cvs_run *run;
        int model, picture;
    } why;
    struct { /* what makes feature pictures, warm from channel to channel; of the heavy lane, as `why` */
        cvs_feature_maker *maker;
        json_t *how; /* what it was made for, owned */
        job *job;    /* that it works for */
    } maker;
} app;

/* That run, with the picture run through the model; for work in the heavy lane only. Borrowed. */
cvs_status why_run(app *a, int model, int number, cvs_run **out, cvs_error *err);

/* Fills the tables from the options. */
cvs_status app_open(app *a, const cvs_serve_options *options, cvs_error *err);
/* Ends the lanes: what runs is cancelled and waited for. */
void app_stop(app *a);
void app_close(app *a);

/* Adds what is given; the number, or -1 with err filled. add_model takes the model. */
int store_model(app *a, cvs_model *model, const char *name, const char *builtin, cvs_error *err);
int store_picture(app *a, cvs_tensor *pixels, const char *name, const char *group, cvs_error *err);
int store_builtin(app *a, const char *name, cvs_error *err);
/* Opens a model or picture that came over the wire. */
int store_upload_model(app *a, const void *data, size_t size, const char *name, cvs_lang lang,
                       cvs_error *err);
int store_upload_picture(app *a, const void *data, size_t size, const char *name, cvs_error *err);
/* By the arguments "m" and "p"; NULL and a 404 reply. */
entry *store_find_model(app *a, const request *q, reply *r, const char *name);
picture *store_find_picture(app *a, const request *q, reply *r, const char *name, int *number);
entry *store_model_at(app *a, int64_t number);
picture *store_picture_at(app *a, int64_t number);
/* Layers and costs, made once; NULL with err filled. Borrowed. */
const cvs_summary *store_summary(entry *e, cvs_error *err);

/* The slot that holds picture number p of a model, run now if need be, locked. NULL with err filled. slot_leave unlocks. */
slot *slot_enter(app *a, entry *e, int p, cvs_error *err);
/* The same, also where the run stopped on its way (slot.stopped). */
slot *slot_enter_part(app *a, entry *e, int p, cvs_error *err);
void slot_leave(slot *s);
/* Runs a picture. shown may be NULL. */
cvs_status run_picture(cvs_run *run, const picture *p, cvs_tensor *shown, cvs_error *err);

/* What-if edits of a view (edits.c), with the slot locked; *out is borrowed. Makes a view's edits, a list as POST /api/whatif takes it; one that
 * names nothing that is there: CVS_E_ARGUMENT without a message. */
cvs_status edits_make(app *a, entry *e, slot *s, const char *view, const json_t *list, cvs_whatif **out,
                      cvs_error *err);
/* What a view made last of the slot's picture; *out = NULL: it has no edits. */
cvs_status edits_see(app *a, entry *e, slot *s, const char *view, cvs_whatif **out, cvs_error *err);
void edits_drop(slot *s);

/* What a request is answered with (routes.def). */
typedef void handler(app *a, const request *q, reply *r);
typedef struct route {
    const char *path;
    bool post;
    lane_kind lane;
    size_t most; /* bytes of a body */
    handler *handle;
} route;
handler api_visdom_client; /* on a port of its own */
const route *route_find(const char *path, bool post);

/* A value of a run (or of its edits) by place: "12" a layer, "in0" an input. Filled as [C,H,W]. */
typedef struct grid {
    const float *data;
    int64_t c, h, w;
    cvs_tensor converted; /* owned */
} grid;
/* edits: what it became with them; NULL: unchanged. */
cvs_status grid_read(slot *s, const char *where, cvs_whatif *edits, grid *out, cvs_error *err);
void grid_free(grid *g);
bool parse_place(const char *where, cvs_place *place, int *index);

/* The embedded web app (generated by the build): path, type, bytes. NULL: there is none of that name. */
typedef struct asset {
    const char *path, *type;
    bool packed; /* with gzip */
    const unsigned char *data;
    size_t size;
} asset;
extern const asset cvs_web_assets[];
extern const int cvs_n_web_assets;

#endif

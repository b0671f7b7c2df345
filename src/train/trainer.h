/* SPDX-License-Identifier: MIT
 * trainer.h (internal) - the parts of training: what a recipe says (recipe.c), optimisers, losses and schedules (optimizer.c, losses.c, schedule.c),
 * parameters (params.c), pictures as numbers (samples.c), one step and one evaluation (trainer.c), the curves (history.c), what a
 * run leaves on disk (state.c), and the loop over epochs (loop.c).
 */
#ifndef CVI_TRAINER_H
#define CVI_TRAINER_H

#include "convscope/train.h"
#include "engine/engine.h"

/* A batch is always cut into this many pieces, whatever the number of threads; each has its own gradients, and they are added in
 * the order of the pieces. One piece where statistics of the whole batch are needed (BatchNormalization), unless the recipe cuts it
 * (`shards`). The pieces may belong to several processes (ranks.h). */
enum { CVI_PIECES = 8, CVI_MAX_PIECES = 64, CVI_MAX_SLOTS = 3 };

/* ---- optimisers (optimizer.c, optimizers.def) ---------------------------------------------------------- */
typedef enum cvi_profile {
    CVI_TORCH,
    CVI_KERAS,
    CVI_N_PROFILES
} cvi_profile; /* whose defaults and arithmetic */

typedef struct cvi_rates {
    double learning_rate, momentum, dampening, beta1, beta2, rho, epsilon, decay;
    bool variant; /* the optimiser's: amsgrad, centered */
    cvi_profile profile;
} cvi_rates;

typedef struct cvi_optimizer {
    const char *name;
    cvi_rates rates[CVI_N_PROFILES]; /* defaults */
    int n_slots;                     /* buffers of the size of the weights */
    const char *slots[CVI_MAX_SLOTS];
    const char *variant; /* a word that changes the rule and takes one more buffer, slots[n_slots]; or NULL */
    /* Changes w[n] by the gradient g[n]; step counts from 1; slots begin as 0. */
    void (*update)(const cvi_rates *r, int64_t step, int64_t n, float *w, const float *g,
                   float *const slots[CVI_MAX_SLOTS]);
} cvi_optimizer;
const cvi_optimizer *cvi_optimizer_find(const char *name); /* NULL: there is none */
const char *cvi_optimizer_names(char *text, size_t size);  /* "sgd, momentum, ..." */

/* ---- named choices with numbers: losses and schedules ---------------------------------------------------- */
enum { CVI_MAX_SETTINGS = 5 };

/* One "key=number" of a recipe. */
typedef struct cvi_setting {
    const char *key;
    double initial, low, high;
    bool whole;
} cvi_setting;

/* ---- losses (losses.c, losses.def, loss_*.c) --------------------------------------------------------------- */
typedef struct cvi_loss_row {
    int64_t k;            /* numbers of one picture */
    const float *x;       /* [k] logits, or what the network answers where the loss says so */
    int label;            /* in [0, max(k, 2)) */
    const double *values; /* of the loss's settings */
    const double
        *weights; /* of the classes where the loss shares a target among them by their weights, else NULL */
} cvi_loss_row;

typedef struct cvi_loss {
    const char *name;
    cvi_setting settings[CVI_MAX_SETTINGS]; /* until a key is NULL */
    bool on_answer; /* of the network's output as it is; else of the logits before a softmax or sigmoid */
    bool
        sigmoid; /* each logit is a question of its own: a sigmoid may follow, and one logit stands for two classes */
    bool
        by_weight; /* PyTorch divides the batch's sum by that of its weights, not by the pictures; and so targets are shared */
    /* The loss of one picture without its class's weight; gradient [k] or NULL. */
    double (*row)(const cvi_loss_row *r, double *gradient);
} cvi_loss;
const cvi_loss *cvi_loss_find(const char *name);
const char *cvi_loss_names(char *text, size_t size);
typedef struct cvi_training cvi_training;
/* The class that k numbers answer: the first largest; of one number 0 or 1. */
int64_t cvi_loss_answer(int64_t k, const float *x);
/* n pictures' answers x [n,k]: adds to *loss the sum of their losses, each times its class's weight and `scale`, to *right how many have
 * their largest number (the first one) at the label, and, unless gradient is NULL, writes gradient [n,k] = d loss / d x times
 * weight and `share`. weighted: with the classes' weights; room: k numbers. */
void cvi_loss_batch(const cvi_training *t, bool weighted, int64_t n, int64_t k, const float *x,
                    const int *labels, double scale, double share, float *gradient, double *room,
                    double *loss, int64_t *right);
/* The same for pictures that are `mix` of one label's and the rest of a second's: of both losses and gradients the same share counts. */
void cvi_loss_mixed(const cvi_training *t, int64_t n, int64_t k, const float *x, const int *labels,
                    const int *second, double mix, double scale, double share, float *gradient, double *room,
                    double *loss, int64_t *right);

/* ---- schedules of the learning rate (schedule.c, schedules.def, schedule_*.c) ------------------------------ */
typedef struct cvi_when {
    int64_t step, steps; /* since the warm-up, from 0, and planned */
    int epoch;           /* from 0 */
    const struct cvi_training *training;
} cvi_when;

/* "STEP=FACTOR" or "EPOCHe=FACTOR": from there on the learning rate is so many times what the recipe says. */
typedef struct cvi_point {
    double at, factor;
    bool epochs;
} cvi_point;

typedef struct cvi_schedule {
    const char *name;
    cvi_setting settings[CVI_MAX_SETTINGS];
    bool points; /* takes cvi_points instead, in rising order */
    /* What the learning rate is multiplied by. */
    double (*factor)(const double *values, const double *state, const cvi_when *when);
    /* After an epoch, with the watched number (smaller is better); state begins as 0. NULL: nothing to do. */
    void (*epoch_ended)(const double *values, double *state, double watched);
} cvi_schedule;
const cvi_schedule *cvi_schedule_find(const char *name);
const char *cvi_schedule_names(char *text, size_t size);

/* ---- what to do (recipe.c) ----------------------------------------------------------------------------- */
typedef struct cvi_augment {
    int64_t shift;     /* pixels in either direction, edges repeated */
    bool flip;         /* left and right exchanged, every other time */
    double rotate;     /* degrees in either direction */
    double scale;      /* share by which the side grows or shrinks at most */
    double brightness; /* share of the range added or taken off at most */
    double contrast;   /* share by which differences from mid-grey grow or shrink at most */
    int64_t cutout;    /* side of a square of mid-grey, 0 = none (DeVries and Taylor 2017) */
    int64_t crop; /* zeros around the picture of which a part of its size is cut (He et al. 2016), 0 = none */
    double colour; /* share by which saturation, and of the circle by which hue, changes at most */
    double mixup;  /* alpha of mixup, 0 = none; made by the feed, of whole batches */
} cvi_augment;

typedef enum cvi_watched { CVI_VAL_LOSS, CVI_VAL_ACCURACY, CVI_LOSS, CVI_ACCURACY } cvi_watched;

struct cvi_training {
    int epochs, batch, shards; /* shards 0: as a process alone cuts its batches */
    const cvi_optimizer *optimizer;
    cvi_rates rates;
    int n_slots; /* of the optimiser, with its variant's */
    uint64_t seed;
    cvi_initialiser init; /* of kernels that the recipe has no other for */
    double holdout;       /* share of the training pictures to test with; 0: what the data has for it */
    const cvi_loss *loss;
    double loss_values[CVI_MAX_SETTINGS];
    int n_classes;         /* of class_weights, 0 = none given */
    double *class_weights; /* of the model's arena */
    const cvi_schedule *schedule;
    double schedule_values[CVI_MAX_SETTINGS];
    int n_points;
    const cvi_point *points;        /* of the model's arena */
    double warm_steps, warm_epochs; /* the rate rises over these */
    double warm_from; /* from this share on, at the first step; < 0: the first step has its part already */
    double clip_norm, clip_value, clip_each; /* 0 = no */
    double l1, l2;                           /* penalties on weights (not on biases, scales, shifts) */
    const cvi_recipe *recipe;                /* for penalties on weights by name: "penalty l2=0.01 conv_1" */
    cvi_watched watched;                     /* what best, plateau and stop look at */
    bool stops;
    double patience, delta;
    cvi_augment augment;
    bool normalise; /* by the training pictures' own mean and deviation */
    bool exact;     /* no Winograd: every product of a convolution as it is written */
    int64_t limit;
    const cvi_recipe_statement *freeze; /* words behind "freeze": beginnings of parameters' names, or NULL */
    const char *data;                   /* what the recipe suggests, or NULL */
    const char *start;                  /* a folder or model to begin from, or NULL */
    int64_t head; /* outputs of a new last layer; 0 = none, -1 = as many as the data has classes */
};

/* Defaults, then what the recipe says, then what the options say. Errors name the recipe's line and column. */
cvs_status cvi_training_read(const cvs_model *model, const cvs_train_options *options, cvi_training *out,
                             cvs_error *err);
/* First weights for a model that has none, as the recipe (read from this model without fault) wants them. */
cvs_status cvi_training_init(const cvi_training *t, cvs_model *model, cvs_error *err);
/* The learning rate for step `step` (from 0) of `steps`, in epoch `epoch` (from 0) of so many steps each; state: the schedule's. */
double cvi_training_rate(const cvi_training *t, int64_t step, int64_t steps, int64_t per_epoch, int epoch,
                         const double *state);

/* ---- parameters (params.c) ----------------------------------------------------------------------------- */
typedef struct cvi_param {
    int value;
    const char *name;
    const char *
        file; /* what its file was called that it began from, borrowed from the model's arena; or NULL: its name */
    cvi_role role;
    bool trained;   /* else a running statistic, or frozen */
    bool frozen;    /* as it is */
    bool weight;    /* of a kernel or matrix: penalties act on it */
    cvs_tensor now; /* owned; the model's constant points here */
    float *slots[CVI_MAX_SLOTS];
    double l1, l2; /* penalties */
} cvi_param;

typedef struct cvi_params {
    int n;
    cvi_param *list; /* trained ones first */
    int n_trained, n_slots;
    int *values;     /* of the trained ones */
    int64_t numbers; /* of the trained ones together */
} cvi_params;

/* l1 and l2 of one statement "penalty", and of how many names it says at its end to which weights they are limited. */
cvs_status cvi_training_penalty(const cvs_model *model, const cvi_recipe_statement *s, double *l1, double *l2,
                                int *names, cvs_error *err);
/* Takes over the trainable constants of a model (roles weight, bias, scale, shift) and the running statistics: copies them, and
 * makes the model's constants point to the copies, so the model must not be used after cvi_params_free. */
cvs_status cvi_params_take(cvs_model *model, const cvi_training *training, cvi_params *out, cvs_error *err);
/* Parameters whose names begin with one of the statement's words are no longer trained, nor, of statistics, renewed; NULL: none. */
cvs_status cvi_params_freeze(cvs_model *model, cvi_params *p, const cvi_recipe_statement *freeze,
                             cvs_error *err);
void cvi_params_free(cvi_params *p);
/* Starting numbers from FOLDER/NAME.npy, of every parameter; and all of them written to such a folder. A file may have the parameter's name
 * in PyTorch (norm.running_var) or Keras (norm.moving_variance) too; it is then written under that. */
cvs_status cvi_params_load(cvi_params *p, cvi_arena *arena, const char *folder, const cvs_limits *limits,
                           cvs_error *err);
cvs_status cvi_params_save(const cvi_params *p, const char *folder, cvs_error *err);

/* ---- other classes, other weights (head.c) ---------------------------------------------------------------- */
/* The last layer with weights gets so many outputs, with first weights; the model's class names are forgotten. */
cvs_status cvi_head_replace(cvs_model *model, int64_t outputs, uint64_t seed, cvs_error *err);
/* Whether a constant belongs to the last layer with weights or stands behind it. */
bool cvi_head_has(const cvs_model *model, int value);
/* Takes over what the model at `path` has under the same names with the same shapes; where it has none, what agrees in order. *unfit: the first
 * parameter that was left as it is, or NULL; borrowed from p. */
cvs_status cvi_params_transfer(cvi_params *p, const char *path, const cvs_limits *limits, int *taken,
                               const char **unfit, cvs_error *err);

/* ---- pictures (samples.c) ------------------------------------------------------------------------------ */
typedef struct cvi_samples {
    int64_t n, channels, height, width;
    int n_classes;
    uint8_t *pixels; /* [n][channels][height][width], owned */
    int *labels;     /* owned */
    const char *const *classes;
    uint64_t fingerprint;
    bool bgr;            /* of three channels the first is blue */
    float value[4][256]; /* what a pixel stands for, by channel */
    cvs_data *data;      /* owned */
} cvi_samples;

/* Reads a split whole, each picture resized as the preprocessing says. `data` is handed over (freed on failure too). */
cvs_status cvi_samples_load(cvs_data *data, const cvs_limits *limits, const cvs_preprocess *p,
                            const int64_t input[3], cvi_pool *pool, cvi_samples *out, cvs_error *err);
void cvi_samples_free(cvi_samples *s);
/* Mean and deviation of every channel of these pictures into *p, to four digits behind the point, and what a pixel stands for by them. */
void cvi_samples_normalise(cvi_samples *s, cvs_preprocess *p);
/* Picture i of a set as the network takes it: numbers [1,C,H,W] and, unless NULL, what is seen, uint8 [H,W,3]; both owned. */
cvs_status cvi_samples_read(cvs_data *data, int64_t i, const cvs_preprocess *p, const int64_t input[3],
                            cvs_tensor *numbers, cvs_tensor *shown, int *label, cvs_error *err);
/* Picture i as numbers out [C,H,W]; augment may be NULL; draw numbers the augmentation's random choices. */
void cvi_samples_get(const cvi_samples *s, int64_t i, const cvi_augment *augment, uint64_t seed,
                     uint64_t draw, float *out);

/* ---- steps (trainer.c) --------------------------------------------------------------------------------- */
typedef struct cvi_trainer cvi_trainer;
/* pool may be NULL; model, params and training are borrowed. n_classes 0: any number of outputs. */
cvs_status cvi_trainer_new(cvs_model *model, cvi_params *params, const cvi_training *training,
                           const int64_t input[3], int n_classes, cvi_pool *pool, cvi_trainer **out,
                           cvs_error *err);
void cvi_trainer_free(cvi_trainer *t);
/* Whether a network has running statistics that follow the batch. */
bool cvi_trainer_statistics(const cvi_graph *g);
/* From now on its steps and evaluations are made together with others (ranks.h), who all call the same; comm is borrowed. */
cvs_status cvi_trainer_join(cvi_trainer *t, const cvs_comm *comm, cvs_error *err);
/* Forward, backward and update with x [B,C,H,W] and its labels; adds to *loss the sum of the samples' losses, to *right. `step`
 * counts from 1 over the whole run. */
cvs_status cvi_trainer_step(cvi_trainer *t, int64_t batch, float *x, const int *labels, int64_t step,
                            double learning_rate, double *loss, int64_t *right, cvs_error *err);
/* For the next step: measure the weights, their gradients and changes; and write every picture's margin, the label's logit less the
 * largest other one, to margins [B] unless it is NULL. Neither changes what the step does. */
void cvi_trainer_watch(cvi_trainer *t, bool measure, float *margins);
/* For the next step: its pictures are mixed (cvi_loss_mixed); second NULL: they are not. */
void cvi_trainer_mix(cvi_trainer *t, const int *second, double share);
typedef struct cvi_measure {
    double weight, gradient,
        change; /* sums of squares: before the step; before clipping to a norm; of what the step changed */
    double largest;            /* of the gradient, absolute */
    int64_t broken, unchanged; /* gradients that are not finite; weights that the step left as they were */
} cvi_measure;
/* Of the last step that was measured, one a trained parameter; borrowed. */
const cvi_measure *cvi_trainer_measured(const cvi_trainer *t);
/* The gradient of trained parameter i that the last step used, borrowed until the next one; NULL: there was none. */
const float *cvi_trainer_gradient(const cvi_trainer *t, int i);
/* The value that the loss is computed from, and how many numbers it has a picture. */
int cvi_trainer_answer(const cvi_trainer *t, int64_t *outputs);
/* Mean loss and accuracy of all pictures, without changing anything. */
cvs_status cvi_trainer_evaluate(cvi_trainer *t, const cvi_samples *s, double *loss, double *accuracy,
                                cvs_error *err);
/* The next evaluation also counts its pictures into cells [n][n], row = label, column = answer; all processes ask alike. Borrowed until then. */
void cvi_trainer_confusion(cvi_trainer *t, int n, double *cells);
/* Channels, rows and columns that the model takes; free sides are filled from the data's. */
cvs_status cvi_trainer_input(const cvs_model *model, const cvs_data_info *info, int64_t input[3],
                             cvs_error *err);

/* ---- what is left behind (history.c, state.c) ------------------------------------------------------------ */
typedef struct cvi_change { /* of the learning rate, by hand: from step `step` (from 1) on */
    int64_t step;
    double rate;
} cvi_change;
enum { CVI_MAX_CHANGES = CVS_MAX_CHANGES };
typedef struct cvi_epoch {
    double loss, accuracy, val_loss, val_accuracy, learning_rate, seconds;
} cvi_epoch;
/* By training picture: its margins over the epochs after the first, added up, and how many they are. A run that goes on goes on with them. */
typedef struct cvi_doubts {
    int64_t n; /* 0: nobody keeps them */
    float *sum;
    int32_t *seen;
} cvi_doubts;

typedef struct cvi_history {
    int n;
    cvi_epoch *list; /* owned, room for all epochs */
    const char *recipe, *data;
    const cvi_training *training;
    cvi_doubts doubts; /* owned */
    uint64_t fingerprint, val_fingerprint, order_fingerprint;
    int64_t pictures, val_pictures, params, steps;
    int shards;
    double seconds;
    bool stopped;
    cvi_change *changes; /* borrowed, room for CVI_MAX_CHANGES */
    int n_changes;
} cvi_history;
cvs_status cvi_history_write(const cvi_history *h, const char *run, cvs_error *err);
/* What a run was made with, as a JSON object. */
void cvi_history_settings(cvi_buf *b, const cvi_history *h);
/* The seconds of the epochs, as an earlier process wrote them; what cannot be read stays as it is. */
void cvi_history_read_seconds(cvi_history *h, const char *run);

/* All that the next step depends on beside the parameters and the optimiser's buffers. */
typedef struct cvi_standing {
    int64_t step;  /* made */
    int epoch;     /* being made, from 1 */
    int64_t taken; /* pictures of its order */
    double loss;   /* sum over these */
    int64_t right;
    double schedule[CVI_MAX_SETTINGS]; /* the schedule's state */
    double best;                       /* watched number, smaller is better */
    int best_epoch, waited;
    bool enough; /* patience is at its end */
} cvi_standing;

/* RUN/state.safetensors: parameters by name, the optimiser's slots as NAME/slot, the doubts as doubts/sum and doubts/seen; as metadata where the run stands, the rows of whole
 * epochs, and the settings that its bits depend on. No time is in it: the same run gives the same bytes. */
cvs_status cvi_state_write(const cvi_params *p, const cvi_standing *at, const cvi_history *h, const char *run,
                           cvs_error *err);
/* Puts all of that back; *found = false where the run has no state yet. Fails when the settings differ, naming the first. */
cvs_status cvi_state_read(cvi_params *p, cvi_standing *at, cvi_history *h, int room, const char *run,
                          const cvs_limits *limits, bool *found, cvs_error *err);

#endif

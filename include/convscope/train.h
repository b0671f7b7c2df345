/* SPDX-License-Identifier: MIT
 * train.h - train a network from a recipe and a data set, on the CPU; the same bits for any number of threads.
 */
#ifndef CONVSCOPE_TRAIN_H
#define CONVSCOPE_TRAIN_H

#include "comm.h"
#include "data.h"
#include "model.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Told after every batch and every epoch; borrowed. Return false to stop cleanly. */
typedef struct cvs_train_step {
    int epoch, epochs;     /* from 1 */
    int64_t step, steps;   /* in this epoch, from 1 */
    bool epoch_ended;      /* then the val_ fields are filled */
    double loss, accuracy; /* running mean of the epoch */
    double val_loss, val_accuracy;
    double seconds, images_per_second;
} cvs_train_step;

typedef struct cvs_train_options {
    /* What is 0 or NULL is taken from the recipe's training block, else from the default in brackets. */
    int epochs;            /* [5] */
    int batch;             /* [64] */
    const char *optimizer; /* sgd, momentum, nesterov, adam, adamw, rmsprop [adam] */
    const char *profile;   /* torch or keras: whose defaults and arithmetic [torch] */
    const char *loss;      /* cross_entropy, binary, mse, mae, hinge, margin [cross_entropy] */
    double learning_rate;  /* [the optimiser's: 0.001 for adam, 0.01 for sgd, ...] */
    double momentum;       /* [0.9 where the optimiser has it] */
    bool has_seed;
    uint64_t seed; /* [1] of weights, order and augmentation */
    int threads;
    int64_t limit; /* at most this many training pictures */
    double
        holdout; /* this share of the training pictures is kept to test with, whatever the data has for it [0: what it has] */
    const char *
        start; /* folder of NAME.npy with starting weights (names of PyTorch and Keras are known too), or a model file whose
                        * parameters are taken over by name and shape, else in their order; or NULL */
    const char *order; /* text file: one picture number a line, read instead of shuffling, or NULL */
    int64_t max_steps; /* stop after so many steps, 0 = no */
    bool write_params; /* RUN/params/NAME.npy at the end; always with start or order */
    bool resume;       /* go on from the last checkpoint, to the bits of an uninterrupted run; or begin */
    bool snapshots;    /* RUN/snapshots/epoch_N.onnx for N = 0, 1, 2, 3, 5, 8, 13, ...: cvs_draw_evolution */
    bool control;      /* RUN/control.json may pause the run and change its learning rate: cvs_run_steer */
    const char *
        changes; /* history.json of a run whose learning rate was changed by hand: the same is done, or NULL */
    bool no_events;      /* leave out RUN/train and RUN/validation, the event files for those who watch */
    double save_seconds; /* between checkpoints in the midst of an epoch [60]; one comes after every epoch */
    /* How many shards every batch is cut into: the gradients are those of the shards, added in their order, and BatchNormalization takes
     * its statistics from each. [the recipe's; 8, or 1 for a network with BatchNormalization; with comm 8 for every network] */
    int shards;
    const cvs_comm
        *comm; /* processes that train together, or NULL; borrowed. on_step is asked in each of them */
    cvs_lang lang;
    cvs_limits limits;
    const char *
        settings; /* statements as in a train { } block, one a line or with |; they win over the recipe's; or NULL */
    bool (*on_step)(void *context, const cvs_train_step *step);
    void (*on_note)(void *context, const char *text); /* what else is worth saying, in `lang`; or NULL */
    void *context;
} cvs_train_options;

typedef struct cvs_train_result {
    double accuracy, loss, val_accuracy, val_loss; /* of the last epoch */
    int epochs;
    int64_t params;
    bool stopped; /* on_step asked for it */
} cvs_train_result;

/* What augmentation makes of the first training pictures: `rows` pictures as they are at the left and `columns` - 1 times changed, as uint8
 * [H,W,3], owned. options: data settings, seed and lang count. */
cvs_status cvs_train_preview(const char *recipe, const char *data, const cvs_train_options *options, int rows,
                             int columns, cvs_tensor *out, cvs_error *err);

/* Trains `recipe` (a text file of the language with a train { } block, or any model file) on `data` and fills folder `run`:
 * history.json, model.onnx, best.onnx, state.safetensors, train/ and validation/ (TensorBoard's event files). Everything is written atomically; on failure nothing half-written is left. A
 * run that is killed at any moment can go on (`resume`) with the same recipe, data and settings; more epochs may be asked for. */
cvs_status cvs_train(const char *recipe, const char *data, const char *run, const cvs_train_options *options,
                     cvs_train_result *result, cvs_error *err);

/* ---- a hand on a run while it goes on ------------------------------------------------------------------
 * A run that was started with `control` looks before every step for a request and says every few seconds how it stands. Changes of
 * the learning rate are kept with their steps in history.json ("changes") and in the checkpoint: going on, and repeating with
 * `changes`, give the same bits. docs/training.md has the files. */
enum { CVS_MAX_CHANGES = 64 };
typedef struct cvs_steering {
    int64_t request; /* number of the last request that was done */
    bool paused, ended;
    int64_t step;
    int epoch, epochs;
    double learning_rate; /* before the schedule */
    int n_changes;
    struct {
        int64_t step; /* the first with it, from 1 */
        double learning_rate;
    } changes[CVS_MAX_CHANGES];
} cvs_steering;
/* How the run stands. CVS_E_IO where it takes no requests. A run that has not said anything for 15 seconds counts as ended. */
cvs_status cvs_run_steering(const char *run, cvs_steering *out, cvs_error *err);
typedef struct cvs_steer {
    bool keep_pause, pause; /* keep_pause: as it is */
    int64_t steps;          /* with pause: make so many first */
    double learning_rate;   /* 0: as it is */
} cvs_steer;
/* Asks for something; a request that comes before the last one was seen takes its place. */
cvs_status cvs_run_steer(const char *run, const cvs_steer *ask, cvs_error *err);

#ifdef __cplusplus
}
#endif
#endif

/* SPDX-License-Identifier: MIT
 * trainer_parts.h (internal) - the insides of a trainer, for trainer.c (steps, evaluation) and trainer_update.c (gradients to weights).
 */
#ifndef CVI_TRAINER_PARTS_H
#define CVI_TRAINER_PARTS_H

#include "train/trainer.h"

enum { EVALUATE = 64, STRETCH = 8192, CACHE = 1024 * 1024 };

/* An exec for one number of pictures. Such numbers are few: a full share, what a piece ends with, and the same at the end of an epoch. */
enum { SIZES = 4 };
typedef struct sized {
    int64_t n, round; /* the last call of cvi_trainer_step it ran in: its weights are packed for that */
    cvi_exec *exec;
} sized;

typedef struct worker_state {
    sized sizes[SIZES];
    int next; /* which of them is replaced */
    cvi_exec *exec;
    float *seed; /* gradient of the answer */
    double *row; /* for the loss */
    int64_t seed_room;
    cvs_error err;
    cvs_status status;
} worker_state;

typedef struct piece {
    float *
        gradients; /* of the trained parameters, one after another, then renewed statistics: NULL until used */
    void **into;   /* where each of them is */
    bool any;      /* this step */
    double loss;
    int64_t right;
} piece;

typedef struct stretch {
    int param;
    int64_t from, to, at; /* at: of the first one in a piece's gradients */
} stretch;

struct cvi_trainer {
    const cvs_model *model;
    cvi_params *params;
    const cvi_training *training;
    cvi_pool *pool;
    int64_t input[3];
    int answer; /* the value that the loss is computed from */
    int64_t outputs;
    int n_pieces;
    int64_t share;        /* pictures at a time */
    int64_t n_statistics; /* numbers of running statistics, behind a piece's gradients; 0 = there are none */
    piece pieces[CVI_MAX_PIECES];
    const cvs_comm *comm; /* NULL: alone */
    float *own_margins;   /* [batch] where nobody asked for them, so that all processes do the same */
    int n_workers;
    worker_state *workers, *testers;
    stretch *stretches;
    double *norms, *penalties; /* by stretch: of the gradient, squared; of the weights */
    int64_t n_stretches;
    /* the step being made */
    int64_t batch, step, round;
    double divisor; /* of the sum of the losses */
    const float *x;
    const int *labels;
    cvi_rates rates;
    int first;     /* piece that has a gradient: where all of them were added up */
    float *scales; /* by parameter: what clipping leaves */
    bool measuring;
    const int *second; /* of mixed pictures, else NULL */
    double mix;
    float *margins;                /* of the batch, or NULL */
    cvi_measure *measures, *parts; /* by parameter; by stretch */
    /* the evaluation being made */
    const cvi_samples *samples;
    double *losses;
    int64_t *rights;
    double *
        cells; /* [n_cells][n_cells] of the next evaluation, row = label, column = answer; borrowed, or NULL */
    int n_cells;
    int *answers; /* one a picture while an evaluation counts cells, -1: another process has it */
    float *room;  /* of all workers */
    int *room_labels;
};

/* Room for a piece's gradients and statistics. */
cvs_status cvi_trainer_need_gradients(cvi_trainer *t, int piece, cvs_error *err);
/* Adds up the pieces' gradients and changes the weights; returns the penalties on the weights before the update. */
double cvi_trainer_update(cvi_trainer *t);
/* The measures of all stretches into those of the parameters. */
void cvi_trainer_sum_measures(cvi_trainer *t);

#endif

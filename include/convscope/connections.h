/* SPDX-License-Identifier: MIT
 * connections.h - between layers: which channel feeds which, by weights and by a picture; and one unit's forward and backward signals side
 * by side. Layers are named as in explain.h.
 */
#ifndef CONVSCOPE_CONNECTIONS_H
#define CONVSCOPE_CONNECTIONS_H

#include "features.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct cvs_connections_options {
    const char *from; /* NULL: what the kernels of `to` read */
    const char *to;   /* NULL: last-conv */
    int64_t sample;
    cvs_lang lang;
    cvs_progress progress;
    void *progress_context;
} cvs_connections_options;

typedef struct cvs_connections {
    char from[128], to[128], caption[700];
    int64_t n_from, n_to; /* channels */
    /* [n_to][n_from]: the L2 norm of the weights between two channels, where one layer of kernels lies between; else data NULL. Channels
     * that groups keep apart have 0. */
    cvs_tensor norm;
    /* [n_to][n_from], with a run: sum over positions of a_c * d(sum over positions of B_k) / d a_c, what channel c of `from` adds to the
     * sum of channel k of `to`: exact where rectifiers and maxima only choose, but for biases; first order elsewhere. */
    cvs_tensor contribution;
    double *total; /* [n_to], with a run: sum over positions of B_k; owned */
} cvs_connections;

/* run: after a forward pass, or NULL for weights alone. Free with cvs_connections_free. */
cvs_status cvs_connect(const cvs_model *model, cvs_run *run, const cvs_connections_options *options,
                       cvs_connections *out, cvs_error *err);
void cvs_connections_free(cvs_connections *c);

/* ---- forward beside backward -------------------------------------------------------------------------------- */
enum { CVS_SIGNAL_RULES = 3 }; /* gradient, deconvnet, guided: in this order */
typedef struct cvs_signal {
    char layer[128];
    bool input; /* the picture itself: all its channels are shown */
    int64_t channel,
        channels;       /* the one with the largest part in the unit (|activation * gradient|), of how many */
    cvs_tensor forward; /* that channel's activations, float32 [h,w]; of the input [C,h,w]; owned */
    cvs_tensor back[CVS_SIGNAL_RULES];  /* the signal that comes back from the unit, alike; owned */
    double zeros[1 + CVS_SIGNAL_RULES]; /* share of zeros in the whole layer: activations, then signals */
} cvs_signal;
typedef struct cvs_signals {
    int n;
    cvs_signal *layers; /* from the unit's layer down to the picture; owned */
    int64_t channel, row, column;
    double value; /* the unit's activation; signals start from 1 */
    char layer[128], caption[600];
} cvs_signals;
/* The unit of options (rule is not read) and at most `most` layers on the way down to the picture, evenly chosen; 0 = 8. Free with
 * cvs_signals_free. */
cvs_status cvs_follow(cvs_run *run, const cvs_unit_options *options, int most, cvs_signals *out,
                      cvs_error *err);
void cvs_signals_free(cvs_signals *s);

#ifdef __cplusplus
}
#endif
#endif

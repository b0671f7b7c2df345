/* SPDX-License-Identifier: MIT
 * dissect.h - network dissection (Bau, Zhou, Khosla, Oliva and Torralba 2017, arXiv:1704.05796) with the object masks of a data set: which
 * feature maps light up on which objects.
 */
#ifndef CONVSCOPE_DISSECT_H
#define CONVSCOPE_DISSECT_H

#include "data.h"
#include "run.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct cvs_dissect_options {
    const char *layer; /* NULL = last-conv */
    bool has_share;    /* `share` counts even where it is 0 */
    double share;      /* of a map's positions over all pictures that lie above its threshold (0.005) */
    int64_t pictures;  /* the first so many; 0 = 200 */
    cvs_lang lang;     /* of the caption */
    cvs_progress progress;
    void *progress_context;
} cvs_dissect_options;

typedef struct cvs_dissection {
    char layer[128], caption[500];
    int64_t pictures;
    int channels, classes;
    double *threshold; /* [channels]: -inf where all positions lie above; owned, as those below */
    /* [channels][classes]: positions of the picture where the map, enlarged bilinearly (half-pixel centres), is above its threshold and
     * an object of the class is, by those where one of both holds, summed over all pictures. 0.04 and more is called a detector. */
    double *iou;
    int *best; /* [channels]: the class of the largest, the first of equals */
} cvs_dissection;

/* The data set must know its objects' masks; each picture's mask counts for its class. All maps are kept while this works. Free with
 * cvs_dissection_free. */
cvs_status cvs_dissect(const cvs_model *model, const cvs_run_options *run_options, const cvs_data *data,
                       const cvs_dissect_options *options, cvs_dissection *out, cvs_error *err);
void cvs_dissection_free(cvs_dissection *d);

#ifdef __cplusplus
}
#endif
#endif

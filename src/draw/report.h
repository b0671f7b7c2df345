/* SPDX-License-Identifier: MIT
 * report.h (internal) - the report while it is being written: what its parts share.
 */
#ifndef CVI_REPORT_H
#define CVI_REPORT_H

#include "convscope/draw_report.h"
#include "draw/figure.h"
#include "draw/layer.h"

typedef struct cvi_report {
    cvs_run *run;
    const cvs_model *model;
    const cvs_tensor *shown; /* NULL: none */
    cvs_report_options o;    /* defaults filled in */
    cvs_model_info info;
    cvs_summary sum;
    cvs_maps_stats *stats; /* per layer; maps 0: no numbers to picture */
    bool *linked;          /* layer i reads layer i-1 */
    bool deep;             /* too many layers to show all opened */
    int64_t layer_pixels;  /* for the pictures of one layer */
    const char *model_arg, *image_arg;
    cvi_buf out;
} cvi_report;

const char *cvi_report_tr(const cvi_report *r, const char *english);
/* Text, escaped; a whole paragraph of a class (NULL: none). */
void cvi_report_text(cvi_report *r, const char *text);
void cvi_report_textf(cvi_report *r, const char *fmt, ...) CVI_PRINTF(2, 3);
void cvi_report_p(cvi_report *r, const char *class_name, const char *text);
/* The command line "convscope <verb> MODEL [IMAGE] [--layer NAME] <rest>", quoted for a shell, as a block to copy. */
void cvi_report_command(cvi_report *r, const char *verb, bool with_image, const cvs_layer *layer,
                        const char *rest);
/* A figure inline; prefix makes its ids unique. Takes the figure (frees it). */
cvs_status cvi_report_figure(cvi_report *r, cvs_figure *figure, const char *prefix, cvs_error *err);
cvs_figure_options cvi_report_look(const cvi_report *r, bool compact);
/* What people call the model: its file, with its folder where the file's name says nothing ("lenet/model.json"). */
const char *cvi_report_title(const cvi_report *r);
/* The colour chip of a layer's class. */
void cvi_report_chip(cvi_report *r, const cvs_layer *layer);

/* report_parts.c */
void cvi_report_header(cvi_report *r);
cvs_status cvi_report_prediction(cvi_report *r, cvs_error *err);
cvs_status cvi_report_structure(cvi_report *r, cvs_error *err);
/* report_why.c */
cvs_status cvi_report_why(cvi_report *r, cvs_error *err);
/* report_layer.c */
cvs_status cvi_report_layer(cvi_report *r, const cvs_layer *layer, cvs_error *err);

#endif

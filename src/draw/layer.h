/* SPDX-License-Identifier: MIT
 * layer.h (internal) - figures of a model's layer whose summary is at hand: for the public functions and the report.
 */
#ifndef CVI_LAYER_H
#define CVI_LAYER_H

#include "convscope/draw.h"

cvs_status cvi_filters_of(const cvs_model *model, const cvs_layer *layer, cvs_filter_view view, bool sorted,
                          const cvs_figure_options *options, cvs_figure **out, cvs_error *err);
cvs_status cvi_maps_of(cvs_run *run, const cvs_model *model, const cvs_layer *layer, const cvs_tensor *shown,
                       bool own_scale, const cvs_figure_options *options, cvs_figure **out, cvs_error *err);
cvs_status cvi_pooling_of(cvs_run *run, const cvs_layer *layer, const int64_t shift[2], int examples,
                          const cvs_figure_options *options, cvs_figure **out, cvs_error *err);
/* A layer's value after a run as float32: borrowed where it already is, else converted and owned (cvs_tensor_free both). */
cvs_status cvi_layer_floats(cvs_run *run, const cvs_layer *layer, cvs_tensor *out, cvs_error *err);

#endif

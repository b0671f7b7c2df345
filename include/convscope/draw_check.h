/* SPDX-License-Identifier: MIT
 * draw_check.h - figures of what check.h and diagnose.h measured.
 */
#ifndef CONVSCOPE_DRAW_CHECK_H
#define CONVSCOPE_DRAW_CHECK_H

#include "check.h"
#include "diagnose.h"
#include "draw.h"

#ifdef __cplusplus
extern "C" {
#endif

/* One explanation's curves, its likeness to maps of shuffled weights, and a sentence for each measure. `title`: the method's. */
cvs_status cvs_draw_checked(const cvs_checked *checked, const cvs_explanation *why, const char *title,
                            const cvs_figure_options *options, cvs_figure **out, cvs_error *err);
/* Methods compared: one column for each measure, a dot with its standard error for each method, chance as a dashed line. */
cvs_status cvs_draw_scores(const cvs_scores *scores, const cvs_figure_options *options, cvs_figure **out,
                           cvs_error *err);

/* A diagnosis on one page. */
cvs_status cvs_draw_diagnosis(const cvs_model_diagnosis *diagnosis, const cvs_figure_options *options,
                              cvs_figure **out, cvs_error *err);

#ifdef __cplusplus
}
#endif
#endif

/* SPDX-License-Identifier: MIT
 * charts.h - figures of training and testing: what is taken for what, the worst pictures, curves. As draw.h, whose figures these are.
 */
#ifndef CONVSCOPE_CHARTS_H
#define CONVSCOPE_CHARTS_H

#include "draw.h"
#include "evaluate.h"
#include "evolution.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The confusion matrix with recall and precision of every class, the most frequent mistakes, the worst pictures. */
cvs_status cvs_draw_evaluation(const cvs_evaluation *e, const cvs_figure_options *options, cvs_figure **out,
                               cvs_error *err);

/* One line of a chart: n points, x not decreasing; y may have numbers that are not finite (the line is broken there). */
typedef struct cvs_curve {
    const char *name;
    int64_t n;
    const double *x, *y;
    const double *low, *high; /* a band behind the line, as long as y; or both NULL */
} cvs_curve;
/* Curves with one pair of axes. Curves of one name have one colour in all charts of a figure. */
typedef struct cvs_chart {
    const char *title, *x_title;
    bool log_y; /* numbers that are not positive are left out */
    double
        smoothing; /* [0, 1): TensorBoard's de-biased running mean, the curve itself drawn faintly behind */
    int n;
    const cvs_curve *curves;
} cvs_chart;
/* Charts two in a row. Every point within a pixel's width counts: of many, least and largest are drawn, so no spike is lost. */
cvs_status cvs_draw_charts(const cvs_chart *charts, int n, const char *title,
                           const cvs_figure_options *options, cvs_figure **out, cvs_error *err);
/* The running mean that smoothing means: out [n] may be y. Broken at numbers that are not finite, which stay. */
void cvs_smooth(const double *y, int64_t n, double smoothing, double *out);

/* How features formed: RUN/snapshots (kept by training) side by side; filters of the first convolution, and of a picture file the feature
 * maps of a layer and Grad-CAM for what the last snapshot answers. */
typedef struct cvs_evolution_options {
    const char *image; /* or NULL: filters only */
    const char *layer; /* [last-conv] */
    int rows;          /* channels shown [8] */
} cvs_evolution_options;
cvs_status cvs_draw_evolution(const char *run, const cvs_evolution_options *o,
                              const cvs_figure_options *options, cvs_figure **out, cvs_error *err);

/* Of convolutions as cvs_evolution_look found them (all of one run; epochs[n_epochs]: their numbers): one epoch (counted from 0, called
 * `number`), with a row each for kernels, maps, strongest units; all epochs side by side, as figure 4 of Zeiler and Fergus 2014. */
cvs_status cvs_draw_evolution_frame(const cvs_evolution_layer *layers, int n, int epoch, int number,
                                    const cvs_figure_options *options, cvs_figure **out, cvs_error *err);
cvs_status cvs_draw_evolution_strip(const cvs_evolution_layer *layers, int n, const int *epochs,
                                    const char *run, const cvs_figure_options *options, cvs_figure **out,
                                    cvs_error *err);
/* The frames as an animation (scale: pixels per point, 0 = 1.5), and into a TensorBoard log in `folder`: a picture a layer and epoch. */
cvs_status cvs_evolution_gif(const cvs_evolution_layer *layers, int n, const int *epochs, const char *path,
                             const cvs_figure_options *options, double scale, cvs_error *err);
cvs_status cvs_evolution_events(const cvs_evolution_layer *layers, int n, const int *epochs,
                                const char *folder, const cvs_figure_options *options, cvs_error *err);

#ifdef __cplusplus
}
#endif
#endif

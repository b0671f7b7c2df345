/* SPDX-License-Identifier: MIT
 * draw_report.h - the report: one page about a model and what it makes of a picture.
 *
 *     cvs_run_image(run, picture, &err);
 *     cvs_report_write(run, model, NULL, "report.html", NULL, &err);
 */
#ifndef CONVSCOPE_DRAW_REPORT_H
#define CONVSCOPE_DRAW_REPORT_H

#include "run.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct cvs_report_options {
    cvs_lang lang;
    const char *model_path, *image_path; /* as the user typed them, for the commands under the pictures */
    int top;                             /* classes shown, 0 = 10 */
    int64_t max_pixels;                  /* of all maps together, 0 = 6,000,000: bounds the file's size */
    cvs_progress progress;
    void *progress_context;
} cvs_report_options;
/* One self-contained HTML page (no script, font or picture from elsewhere): structure, prediction, every layer with its
 * filters, maps, pooling and the command behind each picture. After cvs_run_file or cvs_run_image; `shown` may be NULL.
 * *html is terminated UTF-8, owned (cvs_free). */
cvs_status cvs_report_html(cvs_run *run, const cvs_model *model, const cvs_tensor *shown,
                           const cvs_report_options *options, char **html, size_t *size, cvs_error *err);
/* The same into a file, atomically. */
cvs_status cvs_report_write(cvs_run *run, const cvs_model *model, const cvs_tensor *shown, const char *path,
                            const cvs_report_options *options, cvs_error *err);

#ifdef __cplusplus
}
#endif
#endif

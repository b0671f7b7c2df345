/* SPDX-License-Identifier: MIT
 * cli_report.c - makes the report's HTML for the commands report and open.
 */
#include "cli.h"

cvs_status cli_report_make(cli *c, cli_report *out) {
    cvs_run_options run_options;
    int64_t top;
    if (!cli_run_options(c, &run_options) || !cli_int(c, "--top", 1, 100000, 10, &top)) {
        return CVS_E_ARGUMENT;
    }
    cvs_model *model = NULL;
    cvs_run *run = NULL;
    cvs_tensor shown = {0};
    cvs_status s = cli_open(c, out->model, false, &model);
    if (s == CVS_OK) {
        s = cvs_run_new(model, &run_options, &run, &c->err);
    }
    if (s == CVS_OK) {
        s = cli_run_file(c, model, run, out->image, &shown);
    }
    if (s == CVS_OK) {
        cvs_report_options options = {.lang = c->lang,
                                      .model_path = out->model,
                                      .image_path = out->image,
                                      .top = (int)top,
                                      .progress = cli_progress,
                                      .progress_context = c};
        s = cvs_report_html(run, model, shown.data ? &shown : NULL, &options, &out->html, &out->size,
                            &c->err);
    }
    cvs_tensor_free(&shown);
    cvs_run_free(run);
    cvs_model_free(model);
    return s;
}

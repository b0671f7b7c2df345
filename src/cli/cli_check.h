/* SPDX-License-Identifier: MIT
 * cli_check.h - pictures of data sets by number, and explain --check (cli_check.c).
 */
#ifndef CVS_CLI_CHECK_H
#define CVS_CLI_CHECK_H

#include "cli.h"

/* "generated:things#19": the data set and the number; false: it is not of that form. */
bool cli_data_number(const char *path, char *spec, size_t size, int64_t *number);
/* Runs that picture; shown and mask may be NULL. */
cvs_status cli_run_number(cli *c, cvs_run *run, const char *spec, int64_t number, cvs_tensor *shown,
                          cvs_tensor *mask);
/* As cli_run_file, and pictures of data sets by number (test split); mask gets uint8 [H,W] of what the network sees where the object is
 * known (the data set's, or --mask FILE), else stays as it is. Both are owned. A CVS_E_ARGUMENT with c->err empty: already said. */
cvs_status cli_run_picture(cli *c, const cvs_model *model, cvs_run *run, const char *path, cvs_tensor *shown,
                           cvs_tensor *mask);
/* explain --check: measures, draws (--check-figure), prints. */
cvs_status cli_check(cli *c, const cvs_model *model, cvs_run *run, const cvs_explain_options *how,
                     const cvs_explanation *e, const cvs_tensor *mask);

#endif

/* SPDX-License-Identifier: MIT
 * convert_check.h - does a converted model answer as the one that it was made from?
 */
#ifndef CLI_CONVERT_CHECK_H
#define CLI_CONVERT_CHECK_H

#include "cli.h"

/* Opens `to`, runs it and `model` (opened from `from`) on the same numbers. *worst: the largest difference of any output, in units of its
 * largest number. Fails (c->err) where one of them cannot be opened or run. */
cvs_status cli_convert_check(cli *c, const cvs_model *model, const char *from, const char *to, double *worst);

#endif

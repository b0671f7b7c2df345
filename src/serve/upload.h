/* SPDX-License-Identifier: MIT
 * upload.h (internal to serve) - files that came over the wire, looked at first by a process that can do no harm.
 */
#ifndef SERVE_UPLOAD_H
#define SERVE_UPLOAD_H

#include "app.h"

/* A picture is decoded in there: only its pixels, uint8 [H,W,3], owned, come out. */
cvs_status upload_picture(const void *data, size_t size, const char *name, const cvs_limits *limits,
                          cvs_tensor *pixels, cvs_error *err);
/* A model is opened in there once and thrown away: a file that crashes, hangs or fills the memory of its reader is refused here and
 * never read by the server itself. */
cvs_status upload_check_model(const void *data, size_t size, const char *name, const cvs_open_options *open,
                              cvs_error *err);

#endif

/* SPDX-License-Identifier: MIT
 * second_file.h (internal) - the second file of a model that comes in two: architecture and weights side by side.
 */
#ifndef CVI_SECOND_FILE_H
#define CVI_SECOND_FILE_H

#include "formats/reader.h"

/* Reads the file beside the one that is opened whose name ends in `suffix`: the one with the same stem, else the only one.
 * *n: how many there are. None, or several without the right stem: file->data stays NULL. From memory there is none. */
cvs_status cvi_read_beside(cvi_open *open, const char *suffix, cvi_file *file, int *n);

#endif

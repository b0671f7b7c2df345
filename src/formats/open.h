/* SPDX-License-Identifier: MIT
 * open.h (internal) - the parts of opening a model that are not one format's business.
 */
#ifndef CVI_OPEN_H
#define CVI_OPEN_H

#include "class_list.h"
#include "reader.h"

#define CVI_SURE 50 /* a score that counts as a model, in a folder of many files */

/* ---- open.c ---- */
/* Opens what several readers look into before they say whether a file is theirs (zip archives), once for all; and lets it go. */
void cvi_look_begin(cvi_open *open);
void cvi_look_end(cvi_open *open);

/* ---- looks_like.c ---- */
/* Fails with one sentence that says what a file that no reader knows looks like ("a PNG picture"). */
/* Whether a file begins as a picture, a program, an archive that no reader takes: then it is that, and no model in disguise. */
bool cvi_is_foreign(const cvi_file *file);
cvs_status cvi_unknown_file(const cvi_file *file, cvs_error *err);

/* ---- other_formats.c ---- */
/* Whether a file is surely of a format of networks that is not read: no reader is asked then. */
bool cvi_is_other_format(const cvi_file *file);
/* CVS_E_UNSUPPORTED with what it is and how its network gets here; CVS_OK where it is none of them. */
cvs_status cvi_other_format(const cvi_file *file, cvs_error *err);
/* The same of a folder (Core ML's .mlpackage and .mlmodelc). */
cvs_status cvi_other_folder(const char *path, cvs_error *err);

/* ---- folder.c ---- */
/* Finds the one model file in a folder; *out owned (cvi_free). None or several: a sentence that says so. */
cvs_status cvi_find_in_folder(const char *folder, const cvs_limits *limits,
                              int (*score)(const char *path, const cvs_limits *limits), char **out,
                              cvs_error *err);

/* ---- side_files.c ---- */
/* Reads classes and preprocessing from what lies beside the model file: NAME.convscope.json, convscope.json, NAME.txt, classes.txt,
 * labels.txt. What the model file itself says is replaced only by a .json side file. */
cvs_status cvi_side_files(cvs_model *model, const char *path, cvs_error *err);
/* Loads a second file with weights into a model. */
cvs_status cvi_load_weights(cvs_model *model, const char *path, cvs_error *err);

#endif

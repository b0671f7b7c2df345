/* SPDX-License-Identifier: MIT
 * class_list.h (internal) - class names: from a text file (one a line, with or without an index or a WordNet id in front), from
 * a JSON list or object, and whether as many as the model's outputs.
 */
#ifndef CVI_CLASS_LIST_H
#define CVI_CLASS_LIST_H

#include "graph/graph.h"

/* Sets model->classes from text or JSON; `from` says for people where it came from (copied). */
cvs_status cvi_classes_from_text(cvs_model *model, const char *text, size_t size, const char *from,
                                 cvs_error *err);
cvs_status cvi_classes_from_json(cvs_model *model, const json_t *json, const char *from, cvs_error *err);
/* Reads a file of either kind. */
cvs_status cvi_classes_from_file(cvs_model *model, const char *path, const char *from, cvs_error *err);
/* ImageNet's 1,000 names, one more before them for a model that knows a background. */
cvs_status cvi_classes_imagenet(cvs_model *model, bool background, cvs_error *err);
/* How many values one sample of the first output has; -1: not known without a run, -2: no memory. */
int64_t cvi_classes_wanted(const cvs_model *model);
/* Drops the names, with a note, when they are not as many as the first output has classes. */
cvs_status cvi_classes_check(cvs_model *model, cvs_error *err);

#endif

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
/* Drops the names, with a note, when they are not as many as the first output has classes. */
cvs_status cvi_classes_check(cvs_model *model, cvs_error *err);

#endif

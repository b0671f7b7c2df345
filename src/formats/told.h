/* SPDX-License-Identifier: MIT
 * told.h (internal) - what model files of other libraries tell of classes and pictures, in their own vocabulary: lists, tables by number or by
 * name, metadata of exporters (Ultralytics, Windows ML), the config.json of hubs (hub.c). Data only: what is not understood is left alone,
 * and only lack of memory is an error. A side file and the caller have the last word.
 */
#ifndef CVI_TOLD_H
#define CVI_TOLD_H

#include "formats/reader.h"

/* A Python literal (dict, list, tuple, set, text, number, True, False, None) as JSON: keys become text, tuples and sets lists. *out NULL
 * where the text is none; only lack of memory is an error. */
cvs_status cvi_python_literal(const char *text, size_t size, json_t **out, cvs_error *err);

/* Class names: a list of names, {"0": name}, {name: 0}, or a list of {"id", "name"}; taken where there are at least two and each number
 * from 0 on has one. *taken says whether. `from` is for people (copied). */
cvs_status cvi_told_classes(cvs_model *model, const json_t *names, const char *from, bool *taken,
                            cvs_error *err);
/* The keys under which programs keep class names, i from 0; NULL beyond the last. */
const char *cvi_told_key(int i);
/* The first of an object's usual keys ("classes", "id2label", "class_to_idx", ...) that holds class names. */
cvs_status cvi_told_object(cvs_model *model, const json_t *object, const char *from, bool *taken,
                           cvs_error *err);
/* An exporter's metadata, keys and values (values that are text may be JSON, Python literals or lists with commas). */
cvs_status cvi_told_metadata(cvs_model *model, const json_t *metadata, cvs_error *err);
/* The same from a text that is JSON or a Python literal; anything else is left alone. *size: the side of pictures it names, or 0. */
cvs_status cvi_told_text(cvs_model *model, const char *text, size_t size, int64_t *side, cvs_error *err);
/* Names of a network whose outputs are not one number a class: moved from the classes into a note. */
cvs_status cvi_told_apart(cvs_model *model, cvs_error *err);

#endif

/* SPDX-License-Identifier: MIT
 * readers.c - the tables of readers and writers, from readers.def and writers.def.
 */
#include "reader.h"

#define CVI_READER(name) extern const cvi_reader cvi_reader_##name;
#include "readers.def"
#undef CVI_READER

const cvi_reader *const cvi_readers[] = {
#define CVI_READER(name) &cvi_reader_##name,
#include "readers.def"
#undef CVI_READER
    NULL,
};
const int cvi_n_readers = CVI_COUNT(cvi_readers) - 1;

#define CVI_MODEL_WRITER(name) extern const cvi_model_writer cvi_model_writer_##name;
#include "writers.def"
#undef CVI_MODEL_WRITER

const cvi_model_writer *const cvi_model_writers[] = {
#define CVI_MODEL_WRITER(name) &cvi_model_writer_##name,
#include "writers.def"
#undef CVI_MODEL_WRITER
    NULL,
};
const int cvi_n_model_writers = CVI_COUNT(cvi_model_writers) - 1;

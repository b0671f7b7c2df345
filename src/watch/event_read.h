/* SPDX-License-Identifier: MIT
 * event_read.h (internal) - one event file, record by record, without copying what it holds.
 */
#ifndef CVI_EVENT_READ_H
#define CVI_EVENT_READ_H

#include "formats/protobuf.h"

/* A TensorProto that was met: its pieces are borrowed from the record. */
typedef struct cvi_event_tensor {
    int dtype, rank;
    int64_t dim[4];       /* the first ones */
    cvi_pb_piece content; /* raw numbers */
    cvi_pb_field numbers; /* float_val, double_val, int_val, ...; number 0: none */
    int width;            /* of these numbers: 0 varint, 4, 8 */
    int n_strings;
    cvi_pb_piece strings[3]; /* the first ones */
} cvi_event_tensor;

typedef enum cvi_event_form {
    CVI_FORM_NONE,
    CVI_FORM_SIMPLE,
    CVI_FORM_IMAGE,
    CVI_FORM_HISTO,
    CVI_FORM_TENSOR
} cvi_event_form;

/* One Summary.Value. */
typedef struct cvi_event_value {
    const char *tag, *plugin; /* of the record's arena; "" when absent */
    cvi_pb_piece content;     /* the plugin's own bytes */
    cvi_event_form form;
    double simple;
    cvi_pb_piece image, histo; /* messages */
    cvi_event_tensor tensor;
} cvi_event_value;

typedef struct cvi_event {
    double wall;
    int64_t step;
    bool restart;
    int n_values; /* of the summary */
} cvi_event;

/* Reads an event's head. */
cvs_status cvi_event_parse(const uint8_t *data, size_t size, cvi_event *out, cvs_error *err);
/* Visits the values of its summary in order, k from 0, until *more is made false; arena: for the strings. */
typedef cvs_status cvi_event_visit(void *context, int k, const cvi_event_value *v, bool *more);
cvs_status cvi_event_each(const uint8_t *data, size_t size, cvi_arena *arena, cvi_event_visit *visit,
                          void *context, cvs_error *err);
/* The i-th number of a tensor of any numeric type; false beyond the last. */
bool cvi_event_number(const cvi_event_tensor *t, int64_t i, double *out);
/* All of them, at most `most`: owned (cvi_free), NULL when out of memory or there are none. */
double *cvi_event_numbers(const cvi_event_tensor *t, int64_t most, int64_t *n);

#endif

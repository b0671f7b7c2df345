/* SPDX-License-Identifier: MIT
 * arch_table.h (internal) - an architecture as rows of text cells: what every format of the table style writes.
 */
#ifndef CVI_ARCH_TABLE_H
#define CVI_ARCH_TABLE_H

#include "draw/arch.h"

typedef enum cvi_column {
    CVI_COL_INDEX,
    CVI_COL_NAME,
    CVI_COL_TYPE,
    CVI_COL_WINDOW, /* kernel, stride, pad, dilation, groups */
    CVI_COL_IN,
    CVI_COL_OUT,
    CVI_COL_PARAMS,
    CVI_COL_PARAMS_SHARE,
    CVI_COL_MACS,
    CVI_COL_MACS_SHARE,
    CVI_COL_BYTES,
    CVI_COL_PEAK,
    CVI_COL_FIELD,
    CVI_COL_STRIDE,
    CVI_N_COLUMNS
} cvi_column;

typedef enum cvi_row_kind { CVI_ROW_LAYER, CVI_ROW_GROUP, CVI_ROW_TOTAL } cvi_row_kind;

typedef struct cvi_row {
    cvi_row_kind kind;
    int depth;  /* frames around it */
    int repeat; /* of a group */
    int box;    /* of the view, for a layer; else -1 */
    int64_t params, macs, bytes, peak;
    const char *cell[CVI_N_COLUMNS]; /* in the arch's language, never NULL */
} cvi_row;

typedef struct cvi_table {
    const cvi_arch *arch;
    cvi_view *view;
    int n;
    cvi_row *rows; /* in the view's arena; the total is the last */
} cvi_table;

/* Rows of what the view shows: every box, a row with the sums before each open group. Freed with cvi_table_free. */
cvs_status cvi_table_make(const cvi_arch *a, const cvs_draw_options *o, cvi_table *out, cvs_error *err);
void cvi_table_free(cvi_table *t);
/* Heading of a column with its unit, in a language; and the key of JSON and CSV. */
const char *cvi_column_title(cvi_column c, cvs_lang lang);
const char *cvi_column_key(cvi_column c);
bool cvi_column_is_number(cvi_column c);

#endif

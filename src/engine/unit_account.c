/* SPDX-License-Identifier: MIT
 * unit_account.c - the terms of one number as an account that people can check: rows by channel, ranked, with a running total that adds up
 * as printed.
 */
#include <math.h>
#include <stdlib.h>

#include "base/base.h"
#include "convscope/run.h"

static int64_t channel_of(const cvs_unit *u, const cvs_term *t) {
    const cvs_source *s = &u->source[t->source];
    int64_t plane = 1, channels = s->rank > 1 ? s->dim[1] : s->rank == 1 ? s->dim[0] : 1;
    for (int i = 2; i < s->rank; i++) {
        plane *= s->dim[i];
    }
    return t->at < 0 || plane < 1 || channels < 1 ? -1 : t->at / plane % channels;
}

static double adds(const cvs_unit *u, const cvs_term *t) {
    switch (u->kind) {
    case CVS_UNIT_SUM:
        return t->at < 0 ? 0 : t->value * t->weight;
    case CVS_UNIT_SOFTMAX:
        return t->weight;
    default:
        return t->value;
    }
}

/* Terms that make one row: all taps of one channel, where there are several channels with as many taps each. */
static int64_t taps_of(const cvs_unit *u) {
    int64_t changes = 0, last = -2;
    int source = -1;
    for (int64_t i = 0; i < u->n_terms && u->kind == CVS_UNIT_SUM; i++) {
        int64_t c = channel_of(u, &u->terms[i]);
        if (c >= 0 && (c != last || u->terms[i].source != source)) {
            changes++;
            last = c;
            source = u->terms[i].source;
        }
    }
    return changes > 1 && u->n_terms % changes == 0 ? u->n_terms / changes : 1;
}

static int by_size(const void *a, const void *b) {
    const cvs_unit_row *x = a, *y = b;
    double p = fabs(x->value), q = fabs(y->value);
    return p != q                     ? (p < q ? 1 : -1)
           : x->channel != y->channel ? (x->channel < y->channel ? -1 : 1)
                                      : (x->place > y->place) - (x->place < y->place);
}

static int by_value(const void *a, const void *b) {
    double x = ((const cvs_unit_row *)a)->value, y = ((const cvs_unit_row *)b)->value;
    return x != y ? (x < y ? 1 : -1) : by_size(a, b);
}

static void add_row(cvs_unit_account *out, cvs_unit_row row) {
    double unit = pow(10, out->digits), before = out->n > 0 ? out->row[out->n - 1].total : 0;
    row.total = before + round(row.value * unit) / unit;
    out->row[out->n++] = row;
}

cvs_status cvs_unit_account_of(const cvs_unit *u, int most, int digits, cvs_unit_account *out,
                               cvs_error *err) {
    int64_t taps = taps_of(u), n = u->n_terms / taps;
    *out = (cvs_unit_account){.digits = CVI_MAX(0, CVI_MIN(digits, 12)), .parts = n};
    most = CVI_MAX(1, CVI_MIN(most, CVS_UNIT_ROWS - 4));
    cvs_unit_row *rows = cvi_calloc((size_t)CVI_MAX(n, 1), sizeof *rows);
    if (!rows) {
        return cvi_no_memory(err, (size_t)n * sizeof *rows);
    }
    for (int64_t i = 0; i < n; i++) {
        rows[i] = (cvs_unit_row){.kind = CVS_ROW_TERMS, .channel = -1, .place = -1, .count = taps};
        for (int64_t k = i * taps; k < (i + 1) * taps; k++) {
            int64_t c = channel_of(u, &u->terms[k]);
            rows[i].source = u->terms[k].source;
            rows[i].channel = c >= 0 ? c : rows[i].channel;
            rows[i].place = taps == 1 ? u->terms[k].at : -1;
            rows[i].value += adds(u, &u->terms[k]);
        }
    }
    bool sum = u->kind == CVS_UNIT_SUM;
    qsort(rows, (size_t)n, sizeof *rows, sum ? by_size : by_value);
    if (sum && u->bias != 0) {
        add_row(out, (cvs_unit_row){.kind = CVS_ROW_BIAS, .channel = -1, .place = -1, .value = u->bias});
    }
    for (int64_t i = 0; i < n && i < most; i++) {
        add_row(out, rows[i]);
    }
    if (n > most) {
        cvs_unit_row rest = {.kind = CVS_ROW_OTHERS, .channel = -1, .place = -1, .count = n - most};
        for (int64_t i = most; i < n; i++) {
            rest.value += rows[i].value;
        }
        add_row(out, rest);
    }
    cvi_free(rows);
    double unit = pow(10, out->digits), shown = round(u->result * unit) / unit,
           lost = shown - (out->n > 0 ? out->row[out->n - 1].total : 0);
    if (sum && fabs(lost) > 0.5 / unit) {
        add_row(out, (cvs_unit_row){.kind = CVS_ROW_ROUNDING, .channel = -1, .place = -1, .value = lost});
    }
    return CVS_OK;
}

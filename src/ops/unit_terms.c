/* SPDX-License-Identifier: MIT
 * unit_terms.c - the terms of one output element: a growing list of them, and the walk over a window.
 */
#include "ops/unit.h"

void cvi_unit_add(cvs_unit *unit, int input, int64_t at, int64_t tap, double value, double weight) {
    if (unit->failed) {
        return;
    }
    if (unit->n_terms == unit->capacity) {
        int64_t more = unit->capacity * 2 + 64;
        cvs_term *grown =
            cvi_realloc(unit->terms, (size_t)unit->capacity * sizeof *grown, (size_t)more * sizeof *grown);
        if (grown == NULL) {
            unit->failed = true;
            return;
        }
        unit->terms = grown;
        unit->capacity = more;
    }
    unit->terms[unit->n_terms++] =
        (cvs_term){.source = input, .at = at, .tap = tap, .value = value, .weight = weight};
}

void cvi_unit_window(const cvi_window *w, int64_t o, int64_t base, cvi_unit_visit *visit, void *context) {
    int64_t place[3] = {o / (w->out[1] * w->out[2]), o / w->out[2] % w->out[1], o % w->out[2]}, start[3];
    for (int a = 0; a < 3; a++) {
        start[a] = place[a] * w->stride[a] - w->begin[a];
    }
    int64_t tap = 0;
    for (int64_t d = 0; d < w->kernel[0]; d++) {
        for (int64_t h = 0; h < w->kernel[1]; h++) {
            for (int64_t k = 0; k < w->kernel[2]; k++, tap++) {
                int64_t at[3] = {start[0] + d * w->dilation[0], start[1] + h * w->dilation[1],
                                 start[2] + k * w->dilation[2]};
                bool inside = true;
                for (int a = 0; a < 3; a++) {
                    inside = inside && at[a] >= 0 && at[a] < w->in[a];
                }
                visit(context, tap, inside ? base + (at[0] * w->in[1] + at[1]) * w->in[2] + at[2] : -1);
            }
        }
    }
}

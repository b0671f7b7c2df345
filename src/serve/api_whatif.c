/* SPDX-License-Identifier: MIT
 * api_whatif.c - makes a view's edits and answers what the model says now (edits.c).
 */
#include <time.h>

#include "api.h"

static json_t *first_output(cvs_whatif *w, cvs_error *err) {
    cvs_tensor t, f = {0};
    if (cvs_whatif_output(w, 0, &t, err) != CVS_OK || cvs_tensor_convert(&t, CVS_F32, &f, err) != CVS_OK) {
        return NULL;
    }
    json_t *list = json_array();
    int64_t n = cvs_tensor_count(&f);
    for (int64_t i = 0; i < n && i < 4096; i++) {
        json_array_append_new(list, json_number_any((double)((const float *)f.data)[i]));
    }
    cvs_tensor_free(&f);
    return list;
}

static double now_ms(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

/* Makes these edits on the unchanged picture (those of before are gone) and answers the model's first output. */
void api_whatif(app *a, const request *q, reply *r) {
    cvs_error err = {.lang = arg_lang(q)};
    cvs_whatif *w = NULL;
    entry *e;
    json_t *ask = body_json(q, r);
    slot *s = ask ? enter_slot(a, q, r, &e) : NULL;
    if (s) {
        double start = now_ms();
        cvs_status status = edits_make(a, e, s, arg_view(q), json_object_get(ask, "edits"), &w, &err);
        json_t *out = status == CVS_OK ? first_output(w, &err) : NULL;
        slot_leave(s);
        if (out) {
            reply_json(r, json_pack("{so sf}", "output", out, "ms", now_ms() - start));
        } else if (status == CVS_E_ARGUMENT && !err.message[0]) {
            reply_error(r, 400, "an edit names a place, a channel, a weight or a number that is not there");
        } else {
            reply_failed(r, &err);
        }
    }
    json_decref(ask);
}

/* SPDX-License-Identifier: MIT
 * remark.c - why a map is blank, has nothing positive in it, or is not made of numbers: in words, with what would help.
 */
#include <math.h>

#include "explain/method.h"

typedef struct content {
    int64_t broken, positive, negative;
    double least, largest;
} content;

static content content_of(const cvs_tensor *t) {
    content c = {.least = HUGE_VAL, .largest = -HUGE_VAL};
    for (int64_t i = 0, n = cvs_tensor_count(t); i < n; i++) {
        double v = cvi_get(t, i);
        c.broken += !isfinite(v);
        if (isfinite(v)) {
            c.positive += v > 0.0;
            c.negative += v < 0.0;
            c.least = fmin(c.least, v);
            c.largest = fmax(c.largest, v);
        }
    }
    return c;
}

/* The class is so sure, or so impossible, that its probability has no slope left in float32. */
static bool saturated(const cvs_explanation *e) {
    return e->probability && (e->target_value > 1.0 - 1e-6 || e->target_value < 1e-6);
}

static bool layer_is_zero(cvi_question *q) {
    cvs_tensor maps;
    cvi_question quiet = *q;
    quiet.err = NULL;
    if (q->layer_value < 0 || cvi_question_value(&quiet, q->layer_value, &maps) != CVS_OK) {
        return false;
    }
    content c = content_of(&maps);
    return c.positive == 0 && c.negative == 0;
}

static const char *why_blank(cvi_question *q, const cvs_explanation *e) {
    double votes = 0.0;
    for (int k = 0; k < e->n_votes; k++) {
        votes += fabs(e->votes[k].value);
    }
    if (votes > 0.0 && !q->options->signed_map) {
        return "Blank, because the weighted feature maps add up to zero or less everywhere: nothing in this "
               "layer "
               "speaks for the target. --signed shows what speaks against it.";
    }
    if (layer_is_zero(q)) {
        return "Blank, because every feature map of the layer is zero for this picture: another layer may be "
               "awake.";
    }
    if (saturated(e)) {
        return "Blank, because the probability is so close to 0 or 1 that it has no slope left: --output "
               "logit "
               "still has one.";
    }
    if (e->has_completeness && e->completeness_of == 0.0) {
        return "Blank, because the target is the same for the baseline: another --baseline tells more.";
    }
    return "Blank, because no small change would change the target: its gradient is zero everywhere, shut "
           "off "
           "by rectifiers on the way or by the target itself.";
}

void cvi_remark(cvi_question *q, cvs_explanation *out) {
    cvs_lang lang = q->options->lang;
    content c = content_of(&out->map);
    const char *text = NULL;
    if (c.broken > 0) {
        snprintf(out->note, sizeof out->note,
                 cvi_tr(lang, "%lld of the map's values are not finite: numbers overflow in this network."),
                 (long long)c.broken);
        return;
    }
    if (out->kind == CVS_MAP_GRID) {
        bool same = c.largest - c.least <= 1e-6 * fmax(fabs(c.largest), 1e-6);
        text = same ? "The target is the same wherever the patch is: it covers nothing that counts." : NULL;
    } else if (c.positive == 0 && c.negative == 0) {
        text = why_blank(q, out);
    } else if (c.positive == 0) {
        text = "Nothing in this map is positive: all of it speaks against the target.";
    }
    if (text) {
        snprintf(out->note, sizeof out->note, "%s", cvi_tr(lang, text));
    }
}

/* SPDX-License-Identifier: MIT
 * target.c - "top", a class number or a class name, into a target.
 */
#include <ctype.h>
#include <stdlib.h>

#include "explain/method.h"

static bool same_letters(const char *a, const char *b) {
    for (; *a && *b; a++, b++) {
        if (tolower((unsigned char)*a) != tolower((unsigned char)*b)) {
            return false;
        }
    }
    return *a == *b;
}

/* Up to three names that hold the text, or begin with its first letters. */
static void near_names(const cvs_model *m, const char *text, char *out, size_t size) {
    size_t at = 0, letters = strlen(text);
    int found = 0;
    out[0] = 0;
    for (; letters > 0 && found == 0; letters--) {
        for (int i = 0; i < m->n_classes && found < 3; i++) {
            bool near = false;
            for (const char *s = m->classes[i]; *s && !near; s++) {
                near = strncasecmp(s, text, letters) == 0;
            }
            if (near) {
                int n = snprintf(out + at, size - at, "%s%.60s (%d)", found++ ? ", " : "", m->classes[i], i);
                at = CVI_MIN(at + (size_t)n, size - 1);
            }
        }
    }
}

cvs_status cvs_target_parse(const cvs_model *model, const char *text, cvs_target *out, cvs_error *err) {
    *out = (cvs_target){.index = -1};
    if (!text || strcmp(text, "top") == 0) {
        return CVS_OK;
    }
    char *end;
    long number = strtol(text, &end, 10);
    if (end != text && !*end) {
        if (number < 0 || number > INT32_MAX) {
            return cvi_fail(err, CVS_E_ARGUMENT, "class %ld is not possible", number);
        }
        out->index = (int)number;
        return CVS_OK;
    }
    for (int i = 0; i < model->n_classes; i++) {
        if (same_letters(model->classes[i], text)) {
            out->index = i;
            return CVS_OK;
        }
    }
    if (model->n_classes == 0) {
        return cvi_fail(
            err, CVS_E_NOT_FOUND,
            "no class names are known for this model, so \"%.60s\" is none; give a number or --classes FILE",
            text);
    }
    char near[220];
    near_names(model, text, near, sizeof near);
    return cvi_fail(err, CVS_E_NOT_FOUND, "there is no class \"%.60s\"; near names: %.200s", text, near);
}

/* SPDX-License-Identifier: MIT
 * target.c - "top", a class, a mix of classes, a neuron or a region, from text into a target.
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

/* A class by number or name. */
static cvs_status parse_class(const cvs_model *model, const char *text, int *out, cvs_error *err) {
    char *end;
    long number = strtol(text, &end, 10);
    if (end != text && !*end) {
        if (number < 0 || number > INT32_MAX) {
            return cvi_fail(err, CVS_E_ARGUMENT, "class %ld is not possible", number);
        }
        *out = (int)number;
        return CVS_OK;
    }
    for (int i = 0; i < model->n_classes; i++) {
        if (same_letters(model->classes[i], text)) {
            *out = i;
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

/* "2*CLASS,-1*CLASS": commas part the classes, so one whose name has a comma goes by its number. */
static cvs_status parse_mix(const cvs_model *model, const char *text, cvs_target *out, cvs_error *err) {
    out->kind = CVS_TARGET_MIX;
    for (const char *at = text; *at; at += strcspn(at, ","), at += *at == ',') {
        char part[200], *end = NULL;
        size_t n = strcspn(at, ",");
        if (out->n_parts == CVS_TARGET_PARTS || n >= sizeof part) {
            return cvi_fail(err, CVS_E_ARGUMENT, "a mix has at most %d classes", CVS_TARGET_PARTS);
        }
        memcpy(part, at, n);
        part[n] = 0;
        double weight = strtod(part, &end);
        bool weighed = end != part && *end == '*';
        if (weighed && !(weight >= -1e6 && weight <= 1e6)) {
            return cvi_fail(err, CVS_E_ARGUMENT, "a weight of %g is not possible in a mix", weight);
        }
        CVI_TRY(parse_class(model, weighed ? end + 1 : part, &out->part[out->n_parts], err));
        out->weight[out->n_parts++] = weighed ? weight : 1.0;
    }
    if (out->n_parts == 0) {
        return cvi_fail(err, CVS_E_ARGUMENT, "a mix needs classes, as in mix:1*3,-1*5");
    }
    return CVS_OK;
}

/* A whole number that is not negative. */
static bool parse_count(const char **at, int64_t *out) {
    char *end;
    if (!isdigit((unsigned char)**at)) {
        return false;
    }
    long long v = strtoll(*at, &end, 10);
    *at = end;
    *out = v;
    return v <= INT32_MAX;
}

/* "5" or, of a region, "5-9". */
static bool parse_range(const char **at, bool region, int64_t *first, int64_t *count) {
    int64_t last;
    if (!parse_count(at, first)) {
        return false;
    }
    last = *first;
    if (region && **at == '-') {
        ++*at;
        if (!parse_count(at, &last) || last < *first) {
            return false;
        }
    }
    *count = last - *first + 1;
    return true;
}

/* "LAYER:CHANNEL", "LAYER:CHANNEL,ROW,COLUMN"; a layer's name may hold colons itself, so the last one counts. */
static cvs_status parse_place(const cvs_model *model, const char *text, cvs_target *out, cvs_error *err) {
    bool region = out->kind == CVS_TARGET_REGION, good = false;
    const char *colon = strrchr(text, ':');
    char layer[200];
    if (colon && colon > text && (size_t)(colon - text) < sizeof layer) {
        const char *at = colon + 1;
        memcpy(layer, text, (size_t)(colon - text));
        layer[colon - text] = 0;
        CVI_TRY(cvs_model_find_layer(model, layer, &out->layer, err));
        good = true;
        if (region && *at == '*') {
            out->channel = -1;
            at++;
        } else {
            good = parse_count(&at, &out->channel);
        }
        out->y = -1;
        if (good && *at == ',') {
            at++;
            good = parse_range(&at, region, &out->y, &out->rows) && *at++ == ',' &&
                   parse_range(&at, region, &out->x, &out->columns);
        }
        good = good && !*at;
    }
    if (!good) {
        return cvi_fail(err, CVS_E_ARGUMENT,
                        region ? "the target is \"region:%.60s\", region:LAYER:CHANNEL or "
                                 "region:LAYER:CHANNEL,ROW-ROW,COLUMN-COLUMN expected, * for all channels"
                               : "the target is \"neuron:%.60s\", neuron:LAYER:CHANNEL or "
                                 "neuron:LAYER:CHANNEL,ROW,COLUMN expected",
                        text);
    }
    return CVS_OK;
}

cvs_status cvs_target_parse(const cvs_model *model, const char *text, cvs_target *out, cvs_error *err) {
    *out = (cvs_target){.index = -1};
    if (!text || strcmp(text, "top") == 0) {
        return CVS_OK;
    }
    if (strncmp(text, "mix:", 4) == 0) {
        return parse_mix(model, text + 4, out, err);
    }
    if (strncmp(text, "neuron:", 7) == 0 || strncmp(text, "region:", 7) == 0) {
        out->kind = text[0] == 'n' ? CVS_TARGET_NEURON : CVS_TARGET_REGION;
        return parse_place(model, text + 7, out, err);
    }
    return parse_class(model, text, &out->index, err);
}

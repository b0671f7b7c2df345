/* SPDX-License-Identifier: MIT
 * keras_config.c - settings of a Keras layer, under today's key or the one of Keras 1, with the reader's failure when a
 * value is not what it should be.
 */
#include "formats/keras.h"

const json_t *cvi_keras_get(const cvi_keras *k, const char *key, const char *old_key) {
    const json_t *v = json_object_get(k->layer->config, key);
    if (!v && old_key) {
        v = json_object_get(k->layer->config, old_key);
    }
    return v && !json_is_null(v) ? v : NULL;
}

static void complain(cvi_keras *k, cvs_status code, const char *key) {
    if (cvi_build_ok(&k->b)) {
        cvs_status s = cvi_fail(k->b.err, code, "the setting \"%.60s\" of this layer is not understood", key);
        cvi_build_set(&k->b, cvi_at_attr(k->b.err, s, key));
    }
}

void cvi_keras_bad(cvi_keras *k, const char *key) {
    complain(k, CVS_E_UNSUPPORTED, key);
}

void cvi_keras_wrong(cvi_keras *k, const char *key) {
    complain(k, CVS_E_FORMAT, key);
}

int64_t cvi_keras_get_int(const cvi_keras *k, const char *key, const char *old_key, int64_t otherwise) {
    const json_t *v = cvi_keras_get(k, key, old_key);
    if (json_is_integer(v)) {
        return json_integer_value(v);
    }
    double d = json_is_real(v) ? json_real_value(v) : 0.5;
    return d > -1e15 && d < 1e15 && d == (double)(int64_t)d ? (int64_t)d : otherwise;
}

double cvi_keras_get_number(const cvi_keras *k, const char *key, const char *old_key, double otherwise) {
    const json_t *v = cvi_keras_get(k, key, old_key);
    return json_is_number(v) ? json_number_value(v) : otherwise;
}

bool cvi_keras_get_bool(const cvi_keras *k, const char *key, const char *old_key, bool otherwise) {
    const json_t *v = cvi_keras_get(k, key, old_key);
    return json_is_boolean(v) ? json_is_true(v) : otherwise;
}

const char *cvi_keras_get_string(const cvi_keras *k, const char *key, const char *old_key,
                                 const char *otherwise) {
    const json_t *v = cvi_keras_get(k, key, old_key);
    return json_is_string(v) ? json_string_value(v) : otherwise;
}

void cvi_keras_get_sizes(cvi_keras *k, const json_t *v, const char *key, int n, int64_t otherwise,
                         int64_t *out) {
    for (int i = 0; i < n; i++) {
        const json_t *e = json_is_array(v) && json_array_size(v) == (size_t)n ? json_array_get(v, (size_t)i)
                          : json_is_array(v) && json_array_size(v) == 1       ? json_array_get(v, 0)
                                                                              : v;
        if (!v || json_is_null(v)) {
            out[i] = otherwise;
        } else if (json_is_integer(e) && json_integer_value(e) >= 1 && json_integer_value(e) < INT32_MAX) {
            out[i] = json_integer_value(e);
        } else {
            out[i] = 1;
            cvi_keras_wrong(k, key);
        }
    }
}

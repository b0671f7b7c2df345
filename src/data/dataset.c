/* SPDX-License-Identifier: MIT
 * dataset.c - a data set by its spec ("mnist:DIR"): finds the source, opens, describes, reads, frees.
 */
#include "data/dataset.h"

#define CVI_SOURCE(name) extern const cvi_source cvi_source_##name;
#include "sources.def"
#undef CVI_SOURCE

static const cvi_source *const sources[] = {
#define CVI_SOURCE(name) &cvi_source_##name,
#include "sources.def"
#undef CVI_SOURCE
};

enum { N_SOURCES = CVI_COUNT(sources), MAX_SPEC = 4096 };

static const cvi_source *find_source(const char *name, size_t n) {
    for (int i = 0; i < N_SOURCES; i++) {
        if (strlen(sources[i]->name) == n && memcmp(sources[i]->name, name, n) == 0) {
            return sources[i];
        }
    }
    return NULL;
}

bool cvi_is_spec(const char *spec) {
    const char *colon = strchr(spec, ':');
    return colon != NULL && find_source(spec, (size_t)(colon - spec)) != NULL;
}

static cvs_status check_options(const cvs_data_options *o, cvs_error *err) {
    if (o->split != CVS_TRAIN && o->split != CVS_TEST) {
        return cvi_fail(err, CVS_E_ARGUMENT, "the split is %d, it must be training (0) or test (1)",
                        (int)o->split);
    }
    if (o->limit < 0) {
        return cvi_fail(err, CVS_E_ARGUMENT, "the limit of pictures is %lld, it must not be negative",
                        (long long)o->limit);
    }
    if (!(o->holdout >= 0 && o->holdout < 1)) {
        return cvi_fail(err, CVS_E_ARGUMENT, "the share kept for testing is %g, it must be from 0 to below 1",
                        o->holdout);
    }
    return CVS_OK;
}

static cvs_status open_source(cvs_data *data, const char *spec, const char *where,
                              const cvs_data_options *options, cvs_error *err) {
    data->arena = cvi_arena_new(options->limits.max_memory_bytes);
    if (data->arena == NULL) {
        return cvi_no_memory(err, sizeof *data);
    }
    data->info.spec = cvi_arena_strn(data->arena, spec, strlen(spec));
    if (data->info.spec == NULL) {
        return cvi_no_memory(err, strlen(spec));
    }
    cvs_data_options o = *options;
    o.split_training = o.split_training && o.holdout > 0;
    /* The source opens its training pictures, pick.c takes the share of them. */
    if (o.split_training && o.split == CVS_TEST) {
        o.split = CVS_TRAIN;
        o.holdout = -o.holdout;
    }
    CVI_TRY(data->source->open(data, where, &o, err));
    if (data->info.count == 0) {
        return cvi_fail(err, CVS_E_NOT_FOUND, "the data set \"%.100s\" has no pictures in this split", spec);
    }
    return CVS_OK;
}

cvs_status cvs_data_open(const char *spec, const cvs_data_options *options, cvs_data **out, cvs_error *err) {
    *out = NULL;
    cvi_error_clear(err);
    cvs_data_options o = options != NULL ? *options : (cvs_data_options){0};
    CVI_TRY(check_options(&o, err));
    o.limits = cvs_limits_default(&o.limits);
    if (spec == NULL || strlen(spec) > MAX_SPEC) {
        return cvi_fail(err, CVS_E_ARGUMENT, "the name of the data set is missing or too long");
    }
    const char *colon = strchr(spec, ':');
    const cvi_source *source = colon != NULL ? find_source(spec, (size_t)(colon - spec)) : NULL;
    char folder[MAX_SPEC + 8];
    if (source == NULL && cvi_is_folder(spec)) { /* a folder by its path alone */
        snprintf(folder, sizeof folder, "folder:%s", spec);
        spec = folder;
        colon = strchr(spec, ':');
        source = find_source(spec, (size_t)(colon - spec));
    }
    if (source == NULL) {
        return cvi_fail(err, CVS_E_ARGUMENT,
                        "\"%.100s\" names no data set; write mnist:DIR, folder:DIR or generated:NAME", spec);
    }
    if (colon[1] == '\0') {
        return cvi_fail(err, CVS_E_ARGUMENT, "something must follow the colon of \"%.100s\"", spec);
    }
    cvs_data *data = cvi_calloc(1, sizeof *data);
    if (data == NULL) {
        return cvi_no_memory(err, sizeof *data);
    }
    data->source = source;
    cvs_status s = open_source(data, spec, colon + 1, &o, err);
    if (s != CVS_OK) {
        cvs_data_free(data);
        return s;
    }
    *out = data;
    return CVS_OK;
}

void cvs_data_free(cvs_data *data) {
    if (data != NULL) {
        data->source->close(data);
        cvi_arena_free(data->arena);
        cvi_free(data);
    }
}

void cvs_data_describe(const cvs_data *data, cvs_data_info *out) {
    *out = data->info;
}

cvs_status cvs_data_get(const cvs_data *data, int64_t i, cvs_tensor *picture, int *label, cvs_tensor *mask,
                        cvs_error *err) {
    *picture = (cvs_tensor){0};
    *label = -1;
    if (mask != NULL) {
        *mask = (cvs_tensor){0};
    }
    if (i < 0 || i >= data->info.count) {
        return cvi_fail(err, CVS_E_ARGUMENT, "picture %lld was asked for, the data set has 0 to %lld",
                        (long long)i, (long long)(data->info.count - 1));
    }
    cvs_status s = data->source->get(data, i, picture, label, mask, err);
    if (s != CVS_OK) {
        cvs_tensor_free(picture);
        cvs_tensor_free(mask);
    }
    return s;
}

const char *cvs_data_source(int i, cvs_lang lang) {
    if (i < 0 || i >= N_SOURCES) {
        return NULL;
    }
    return lang == CVS_ZH ? sources[i]->zh : sources[i]->en;
}

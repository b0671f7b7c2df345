/* SPDX-License-Identifier: MIT
 * source_generated.c - "generated:NAME": pictures that Convscope draws itself, each from (seed, split, number) alone, so that
 * none has to be stored and any can be had without those before it. Picture i shows class i modulo the number of classes.
 */
#include "data/gen.h"

static const cvi_generator *const generators[] = {&cvi_generator_digits, &cvi_generator_things,
                                                  &cvi_generator_shortcut};

enum { MOST_PICTURES = 1 << 24 };

typedef struct generated {
    const cvi_generator *generator;
    uint64_t seed;
    cvs_split split;
} generated;

static uint64_t fingerprint(const generated *g, int64_t count) {
    uint64_t h = cvi_hash(CVI_HASH_START, g->generator->name, strlen(g->generator->name) + 1);
    h = cvi_hash_number(h, (uint64_t)g->generator->version);
    h = cvi_hash_number(h, g->seed);
    h = cvi_hash_number(h, (uint64_t)g->split);
    return cvi_hash_number(h, (uint64_t)count);
}

static cvs_status open_generated(cvs_data *data, const char *where, const cvs_data_options *options,
                                 cvs_error *err) {
    generated *g = cvi_calloc(1, sizeof *g);
    if (g == NULL) {
        return cvi_no_memory(err, sizeof *g);
    }
    data->self = g;
    for (int i = 0; i < CVI_COUNT(generators); i++) {
        if (strcmp(generators[i]->name, where) == 0) {
            g->generator = generators[i];
        }
    }
    if (g->generator == NULL) {
        return cvi_fail(err, CVS_E_NOT_FOUND,
                        "there is no generated data set \"%.60s\"; there are digits, things and shortcut",
                        where);
    }
    if (options->limit > MOST_PICTURES) {
        return cvi_fail(err, CVS_E_LIMIT, "%lld generated pictures are asked for, the limit is %d",
                        (long long)options->limit, MOST_PICTURES);
    }
    const cvi_generator *m = g->generator;
    g->seed = options->seed;
    g->split =
        options->holdout < 0 ? CVS_TEST : options->split; /* there are as many other pictures as one likes */
    data->info.count = options->limit > 0 ? options->limit : g->split == CVS_TEST ? m->n_test : m->n_train;
    data->info.n_classes = m->n_classes;
    data->info.classes = m->classes;
    data->info.classes_zh = m->classes_zh;
    data->info.channels = m->channels;
    data->info.height = data->info.width = m->side;
    data->info.has_masks = m->has_masks;
    data->info.fingerprint = fingerprint(g, data->info.count);
    return CVS_OK;
}

static cvs_status get_generated(const cvs_data *data, int64_t i, cvs_tensor *picture, int *label,
                                cvs_tensor *mask, cvs_error *err) {
    const generated *g = data->self;
    const cvi_generator *m = g->generator;
    CVI_TRY(cvs_tensor_new(picture, CVS_U8, 3, (int64_t[]){m->side, m->side, m->channels}, err));
    if (mask != NULL) {
        CVI_TRY(cvs_tensor_new(mask, CVS_U8, 2, (int64_t[]){m->side, m->side}, err));
    }
    cvi_gen_work *work = cvi_malloc(sizeof *work); /* too large for the stack of a thread */
    if (work == NULL) {
        return cvi_no_memory(err, sizeof *work);
    }
    *label = (int)(i % m->n_classes);
    m->draw(g->seed, g->split, i, *label, work, picture->data, mask != NULL ? mask->data : NULL);
    cvi_free(work);
    return CVS_OK;
}

static void close_generated(cvs_data *data) {
    cvi_free(data->self);
}

const cvi_source cvi_source_generated = {
    .name = "generated",
    .en = "generated:NAME - drawn by Convscope from a seed: digits, things, shortcut",
    .zh = "generated:NAME - 由 Convscope 按种子绘制：digits、things、shortcut",
    .open = open_generated,
    .get = get_generated,
    .close = close_generated,
};
